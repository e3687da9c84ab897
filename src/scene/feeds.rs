//! Rules of feeds that only the whole scene can break: the pictures of items, and what the layers of a template look up.

use std::sync::Arc;

use components::layer::LayerSpec;
use components::source::{Source, VisualFeedSource};

use super::registry::field;
use super::validate::Checker;
use super::words;

/// What a template can look up of the item on show, besides its own `data`.
const ITEM_PATHS: &[&str] = &[
    "item.id",
    "item.title",
    "item.artist",
    "item.image",
    "item.bid",
    "item.currency",
    "item.bidder",
    "item.endsAt",
    "item.countdown",
    "item.index",
    "item.count",
];
/// Those of them that are numbers.
const ITEM_NUMBERS: &[&str] = &["item.bid", "item.index", "item.count"];
/// What an item's own values begin with.
const ITEM_DATA: &str = "item.data.";

impl<'a> Checker<'a> {
    pub(super) fn feed(&mut self, feed: &'a VisualFeedSource, path: &str) {
        for (index, item) in feed.items.iter().enumerate() {
            if self.is_full() {
                return;
            }
            // What is no name was told where it was read.
            if let Some(image) = item.image.as_deref().filter(|image| !image.is_empty()) {
                let at = format!("{}[{index}].image", field(path, "items"));
                self.picture(image, at);
            }
        }
        if let Some(template) = &feed.template {
            self.in_item = true;
            self.template(template, &field(path, "template"));
            self.in_item = false;
        }
    }

    fn template(&mut self, layers: &'a [Arc<LayerSpec>], list: &str) {
        for (index, layer) in layers.iter().enumerate() {
            let path = format!("{list}[{index}]");
            if !self.is_full() && !matches!(layer.source, Source::VisualFeed(_)) {
                self.contents(layer, &path);
                self.template(&layer.children, &field(&path, "children"));
            }
        }
    }

    /// Whether a path is the item's; one that the item has not is reported.
    pub(super) fn is_of_item(&mut self, data_path: &str, at: &str) -> bool {
        if !self.in_item || data_path != "item" && !data_path.starts_with("item.") {
            return false;
        }
        if !ITEM_PATHS.contains(&data_path) && !data_path.starts_with(ITEM_DATA) {
            let message = format!("an item has no `{data_path}`");
            let help = words::suggest(data_path, ITEM_PATHS);
            let help = help.or_else(|| Some(format!("its own values are `{ITEM_DATA}name`")));
            self.report(at.to_owned(), message, help);
        }
        true
    }

    /// Whether a path gives an item's text, where a number is needed.
    pub(super) fn is_text_of_item(&self, data_path: &str) -> bool {
        self.in_item && ITEM_PATHS.contains(&data_path) && !ITEM_NUMBERS.contains(&data_path)
    }
}

/// The pictures that a feed names: those of its items, and of its template.
pub(super) fn pictures(feed: &VisualFeedSource, visit: &mut dyn FnMut(&str)) {
    for image in feed.items.iter().filter_map(|item| item.image.as_deref()) {
        visit(image);
    }
    for layer in feed.template.iter().flatten() {
        layer.walk(&mut |layer| {
            if let Source::Image(image) = &layer.source
                && !image.src.is_bound()
            {
                visit(&image.src.to_string());
            }
        });
    }
}
