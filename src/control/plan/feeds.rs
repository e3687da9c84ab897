//! Changes of feeds: their items, and which one is on show.

use std::sync::Arc;

use components::Problems;
use components::layer::LayerSpec;
use components::source::{FeedItem, Source, VisualFeedSource};
use serde_json::Value;
use systems::data::merge_object;
use systems::feed::FeedAction;

use super::Work;
use crate::control::authored;
use crate::control::change::{PushItems, UpdateItem};
use crate::control::error::ApiError;
use crate::control::show::{layer_at, siblings_mut};
use crate::control::view::json_of;
use crate::scene::registry::{self, field};

/// What a feed is told.
#[derive(Clone, Debug)]
pub struct FeedTold {
    /// The name of its layer.
    pub layer: String,
    /// What it is to do.
    pub action: FeedAction,
}

/// The feed of a layer.
///
/// # Errors
/// The layer's source is another one.
pub fn feed_of(layer: &LayerSpec) -> Result<&VisualFeedSource, ApiError> {
    match &layer.source {
        Source::VisualFeed(feed) => Ok(feed),
        other => Err(ApiError::conflict(format!(
            "the layer `{}` is no feed: its source is of the kind `{}`",
            layer.id,
            other.kind()
        ))),
    }
}

/// The place of an item in a feed.
///
/// # Errors
/// There is none of this name.
pub fn find_item(feed: &VisualFeedSource, id: &str) -> Result<usize, ApiError> {
    feed.find(id).ok_or_else(|| {
        let known = feed.items.iter().map(|item| item.id.as_str());
        ApiError::not_found("item", id, known)
    })
}

impl Work<'_> {
    fn feed(&self, layer: &str) -> Result<(Vec<usize>, VisualFeedSource), ApiError> {
        let place = self.find(layer)?;
        let layer = layer_at(&self.show.program.spec.layers, &place)
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        let feed = feed_of(layer)?.clone();
        Ok((place, feed))
    }

    fn put_feed(&mut self, place: &[usize], feed: VisualFeedSource) {
        let index = place.last().copied().unwrap_or_default();
        let list = siblings_mut(&mut self.scene().layers, place);
        if let Some(layer) = list.and_then(|list| list.get_mut(index)) {
            Arc::make_mut(layer).source = Source::VisualFeed(feed);
        }
    }

    pub(super) fn push_items(&mut self, push: &PushItems, at: &str) -> Result<(), ApiError> {
        let (place, mut feed) = self.feed(&push.id)?;
        let one = std::slice::from_ref(&push.items);
        let (values, is_list) = match &push.items {
            Value::Array(list) => (list.as_slice(), true),
            _ => (one, false),
        };
        let mut items = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let at = match is_list {
                true => format!("{at}[{index}]"),
                false => at.to_owned(),
            };
            let item = read_item(value, &at)?;
            let mut known = feed.items.iter().chain(&items);
            if known.any(|other| other.id == item.id) {
                let id = &item.id;
                let message =
                    format!("the id `{id}` is taken; the ids of a feed's items are unique");
                return Err(ApiError::conflict(message).with("path", field(&at, "id")));
            }
            items.push(item);
        }
        let count = feed.items.len() + items.len();
        if count > feed.max_items as usize {
            return Err(ApiError::conflict(format!(
                "the feed `{}` would have {count} items; its `maxItems` is {}",
                push.id, feed.max_items
            )));
        }
        let position = push.position.unwrap_or(usize::MAX).min(feed.items.len());
        feed.items.splice(position..position, items);
        self.put_feed(&place, feed);
        Ok(())
    }

    pub(super) fn update_item(&mut self, update: &UpdateItem, at: &str) -> Result<(), ApiError> {
        let (place, mut feed) = self.feed(&update.id)?;
        let index = find_item(&feed, &update.item)?;
        let patch = authored::object(&update.patch, at, "an object of an item's fields")?;
        if let Some(other) = patch.get("id")
            && other.as_str() != Some(&update.item)
        {
            return Err(authored::unusable(field(at, "id"), "an item keeps its id"));
        }
        let Value::Object(mut merged) = json_of(&*feed.items[index]) else {
            return Err(ApiError::internal("an item cannot be written"));
        };
        merge_object(&mut merged, patch);
        let item = read_item(&Value::Object(merged), at)?;
        if *item != *feed.items[index] {
            feed.items[index] = item;
            self.put_feed(&place, feed);
        }
        Ok(())
    }

    pub(super) fn delete_item(&mut self, layer: &str, item: &str) -> Result<(), ApiError> {
        let (place, mut feed) = self.feed(layer)?;
        let index = find_item(&feed, item)?;
        feed.items.remove(index);
        self.put_feed(&place, feed);
        Ok(())
    }

    pub(super) fn tell_feed(&mut self, layer: &str, action: FeedAction) -> Result<(), ApiError> {
        let (_, feed) = self.feed(layer)?;
        if feed.items.is_empty() {
            return Err(ApiError::conflict(format!("the feed `{layer}` is empty")));
        }
        if let FeedAction::Show { item, .. } = &action {
            find_item(&feed, item)?;
        }
        self.feeds.push(FeedTold {
            layer: layer.to_owned(),
            action,
        });
        Ok(())
    }
}

fn read_item(value: &Value, at: &str) -> Result<Arc<FeedItem>, ApiError> {
    let mut problems = Problems::new();
    registry::parse_value(value, at, &mut problems)
        .map(Arc::new)
        .ok_or_else(|| authored::refused(&problems.into_vec()))
}
