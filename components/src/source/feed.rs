//! A feed of items that are shown one after the other, each by the same template.

use std::collections::HashSet;
use std::sync::Arc;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::Source;
use crate::animation::Easing;
use crate::layer::{LayerId, LayerSpec};
use crate::validate::{Problems, Validate};
use crate::value::Moment;

/// The most items that a feed may have, whatever its `maxItems`.
pub const FEED_ITEMS_MAX: usize = 1000;
/// The most layers of a feed's template.
pub const TEMPLATE_LAYERS_MAX: usize = 32;

/// Items such as lots of an auction, one on show at a time: by the built-in card, or by a template of ordinary layers, in whose
/// texts, pictures and numbers stand `{{item.title}}`, `{{item.bid}}`, `{{item.countdown}}` and so on.
///
/// `{"type": "visualFeed", "items": [{"id": "lot-1", "title": "Molten Choir", "bid": 2.4, "endsIn": 600}], "dwell": 8}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct VisualFeedSource {
    /// The items, in their order. Default none.
    #[schemars(length(max = 1000))]
    pub items: Vec<Arc<FeedItem>>,
    /// Seconds that an item is on show, 0.5 to 86400. Default 8.
    #[schemars(range(min = 0.5, max = 86_400))]
    pub dwell: f32,
    /// How the next item takes the place of the one on show.
    pub transition: FeedTransition,
    /// Which item comes next. Default `loop`.
    pub order: FeedOrder,
    /// What decides the order of `shuffle`: the same seed and items give the same order. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub seed: u32,
    /// The words of `{{item.countdown}}` when an item's time is over. Default "Ended".
    #[schemars(length(max = 64))]
    pub ended: String,
    /// The most items that it may have, 1 to 1000. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    pub max_items: u32,
    /// The layers of an item, in the layer's box and cut there; the layer needs a size then. At most 32, children counted, and none of
    /// them a feed or a scene. The built-in card when left out.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read_elsewhere"
    )]
    pub template: Option<Vec<Arc<LayerSpec>>>,
}

/// One item of a feed. A template reads its fields as `{{item.title}}`; besides them there are `{{item.countdown}}` (time left, as
/// `h:mm:ss` or `m:ss`), `{{item.index}}` (from 1) and `{{item.count}}`.
///
/// `{"id": "lot-1", "title": "Molten Choir", "artist": "Ada Veil", "image": "assets/choir.webp", "bid": 2.4, "endsIn": 600}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeedItem {
    /// Unique name in its feed.
    pub id: LayerId,
    /// What it is called.
    #[schemars(length(max = 500))]
    pub title: String,
    /// Who made it. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub artist: Option<String>,
    /// Its picture: the name of an entry in the scene's `assets`, a path relative to the scene file, or `asset:<id>`. None when left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub image: Option<String>,
    /// The highest bid, 0 to 1e15. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1e15))]
    pub bid: Option<f64>,
    /// What bids are counted in. Default "ETH".
    #[serde(default = "eth", skip_serializing_if = "is_eth")]
    #[schemars(length(max = 16))]
    pub currency: String,
    /// Who holds the highest bid. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub bidder: Option<String>,
    /// When its time is over, in UTC. Never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Moment>,
    /// Seconds from coming on air to the end of its time, 0 to 31536000, in the place of `endsAt`. An item comes on air with the scene,
    /// or when it is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ends_in: Option<f64>,
    /// Values of its own, which a template reads as `{{item.data.name}}`. Default none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// How one item of a feed takes the place of another.
///
/// `{"type": "push", "duration": 0.8, "easing": "easeInOutQuart", "direction": "up"}`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct FeedTransition {
    /// The way. Default `fade`.
    #[serde(rename = "type")]
    pub kind: FeedTransitionKind,
    /// Seconds, 0 to 60, and not longer than `dwell`. Both items are there meanwhile. Default 0.6.
    #[schemars(range(min = 0, max = 60))]
    pub duration: f32,
    /// Its course. Default `easeInOutCubic`.
    pub easing: Easing,
    /// Where the items of `slide` and `push` go. Default `left`.
    pub direction: FeedDirection,
}

/// The ways of a [`FeedTransition`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FeedTransitionKind {
    /// One dissolves into the other.
    #[default]
    Fade,
    /// The next one comes in over the other, which fades.
    Slide,
    /// The next one pushes the other out.
    Push,
    /// The next one comes forward while the other grows and fades.
    Scale,
    /// At once.
    Cut,
}

/// Where items go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FeedDirection {
    /// From right to left.
    #[default]
    Left,
    /// From left to right.
    Right,
    /// From the bottom to the top.
    Up,
    /// From the top to the bottom.
    Down,
}

/// Which item of a feed comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FeedOrder {
    /// The next of the list, and the first after the last.
    #[default]
    Loop,
    /// The next of the list; the last one stays.
    Once,
    /// Every item once in an order decided by `seed`, then every item in another order.
    Shuffle,
}

impl Default for VisualFeedSource {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            dwell: 8.0,
            transition: FeedTransition::default(),
            order: FeedOrder::default(),
            seed: 0,
            ended: "Ended".to_owned(),
            max_items: 100,
            template: None,
        }
    }
}

impl Default for FeedTransition {
    fn default() -> Self {
        Self {
            kind: FeedTransitionKind::Fade,
            duration: 0.6,
            easing: Easing::EaseInOutCubic,
            direction: FeedDirection::Left,
        }
    }
}

impl VisualFeedSource {
    /// The place of an item.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.items.iter().position(|item| item.id.as_str() == id)
    }

    /// How many layers it makes: two items of the template are alive while one takes the other's place. The built-in card is one.
    pub fn count_inner(&self) -> usize {
        self.template.as_ref().map_or(0, |layers| 2 * count(layers))
    }
}

fn count(layers: &[Arc<LayerSpec>]) -> usize {
    let mut sum = 0;
    for layer in layers {
        layer.walk(&mut |_| sum += 1);
    }
    sum
}

/// Layers are read by `scene::registry` in the program, which gives every error its place.
fn read_elsewhere<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Arc<LayerSpec>>>, D::Error> {
    IgnoredAny::deserialize(deserializer)?;
    Ok(None)
}

fn eth() -> String {
    "ETH".to_owned()
}

fn is_eth(currency: &str) -> bool {
    currency == "ETH"
}

fn is_zero(seed: &u32) -> bool {
    *seed == 0
}

impl Validate for VisualFeedSource {
    fn validate(&self, problems: &mut Problems) {
        problems.range("dwell", self.dwell, 0.5..=86_400.0);
        problems.at("transition", |problems| {
            problems.range("duration", self.transition.duration, 0.0..=60.0);
            if self.transition.duration > self.dwell.max(0.5) {
                problems.at("duration", |problems| {
                    problems.report("a transition is not longer than `dwell`");
                });
            }
            let easing = &self.transition.easing;
            problems.at("easing", |problems| easing.validate(problems));
        });
        length(problems, "ended", &self.ended, 64);
        if !(1..=FEED_ITEMS_MAX as u32).contains(&self.max_items) {
            problems.at("maxItems", |problems| {
                problems.report(format!("a feed has 1 to {FEED_ITEMS_MAX} items at most"));
            });
        }
        if self.items.len() > self.max_items as usize {
            problems.at("items", |problems| {
                problems.report(format!(
                    "the feed has {} items; its `maxItems` is {}",
                    self.items.len(),
                    self.max_items
                ));
            });
        }
        let mut ids = HashSet::new();
        for (index, item) in self.items.iter().enumerate() {
            problems.at_index("items", index, |problems| {
                item.validate(problems);
                if !ids.insert(item.id.as_str()) {
                    problems.at("id", |problems| {
                        problems.report(format!(
                            "the id `{}` is taken; the ids of a feed's items are unique",
                            item.id
                        ));
                    });
                }
            });
        }
        if let Some(template) = &self.template {
            problems.at("template", |problems| validate_template(template, problems));
        }
    }
}

/// What the layers by themselves do not tell; they are looked at where they are read.
fn validate_template(template: &[Arc<LayerSpec>], problems: &mut Problems) {
    if template.is_empty() {
        problems.report("a template has at least one layer; leave it out for the built-in card");
    }
    if count(template) > TEMPLATE_LAYERS_MAX {
        problems.report(format!(
            "a template has at most {TEMPLATE_LAYERS_MAX} layers"
        ));
    }
    let mut ids = HashSet::new();
    for layer in template {
        layer.walk(&mut |layer| {
            if !ids.insert(layer.id.as_str()) {
                problems.report(format!(
                    "the id `{}` is there twice; the ids of a template's layers are unique",
                    layer.id
                ));
            }
            if let Source::VisualFeed(_) | Source::Scene(_) = layer.source {
                let kind = layer.source.kind();
                problems.report(format!(
                    "the layer `{}` is a {kind}, which cannot stand in a template",
                    layer.id
                ));
            }
        });
    }
}

fn length(problems: &mut Problems, name: &str, text: &str, max: usize) {
    if text.chars().count() > max {
        problems.at(name, |problems| {
            problems.report(format!("the text is longer than {max} characters"));
        });
    }
}

impl Validate for FeedItem {
    fn validate(&self, problems: &mut Problems) {
        if !self.id.is_well_formed() {
            problems.at("id", |problems| {
                problems.report(format!(
                    "an id has 1 to {} letters from a to z, digits, `-`, `_` and `.`, and does not begin with a dot",
                    LayerId::MAX_LENGTH
                ));
            });
        }
        length(problems, "title", &self.title, 500);
        length(
            problems,
            "artist",
            self.artist.as_deref().unwrap_or_default(),
            500,
        );
        length(
            problems,
            "bidder",
            self.bidder.as_deref().unwrap_or_default(),
            200,
        );
        length(problems, "currency", &self.currency, 16);
        if let Some(image) = &self.image {
            length(problems, "image", image, 1000);
            if image.is_empty() || image.contains("{{") {
                problems.at("image", |problems| {
                    problems.report("a picture is named by its file, and holds no `{{`");
                });
            }
        }
        for (name, value, high) in [
            ("bid", self.bid, 1e15),
            ("endsIn", self.ends_in, 31_536_000.0),
        ] {
            if value.is_some_and(|value| !(0.0..=high).contains(&value)) {
                problems.at(name, |problems| {
                    problems.report(format!("it must be from 0 to {high}"));
                });
            }
        }
        if self.ends_at.is_some() && self.ends_in.is_some() {
            problems.at("endsIn", |problems| {
                problems.report("an item has `endsAt` or `endsIn`, and not both");
            });
        }
    }
}
