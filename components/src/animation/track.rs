//! Tracks: one property of one layer over the time of a timeline.

use std::fmt;
use std::marker::PhantomData;

use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use glam::Vec2;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Easing;
use crate::layer::LayerId;
use crate::validate::{Problems, Validate};

/// A track as files write it.
///
/// `{"layer": "host", "property": "position.y", "keyframes": [{"at": 0, "value": 540}, {"at": 2, "value": 560, "easing": "easeInOutSine"}]}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrackSpec {
    /// The layer that is moved.
    pub layer: LayerId,
    /// The property that is moved.
    pub property: Property,
    /// Whether values are added to the layer's own (multiplied, for scale and opacity) and do not replace it. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub additive: bool,
    /// Values and their times, in rising order of time.
    #[schemars(length(min = 1, max = 10_000))]
    pub keyframes: Vec<Keyframe>,
}

/// The most keyframes of a track.
const KEYFRAMES_MAX: usize = 10_000;

/// A property that a track can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Property {
    /// Both coordinates, in pixels.
    #[serde(rename = "position")]
    Position,
    /// Pixels from the left.
    #[serde(rename = "position.x")]
    PositionX,
    /// Pixels from the top.
    #[serde(rename = "position.y")]
    PositionY,
    /// Both factors.
    #[serde(rename = "scale")]
    Scale,
    /// Horizontal factor.
    #[serde(rename = "scale.x")]
    ScaleX,
    /// Vertical factor.
    #[serde(rename = "scale.y")]
    ScaleY,
    /// Degrees clockwise.
    #[serde(rename = "rotation")]
    Rotation,
    /// 0 to 1.
    #[serde(rename = "opacity")]
    Opacity,
}

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keyframe {
    /// Seconds from the timeline's start.
    #[schemars(range(min = 0, max = 86_400))]
    pub at: f32,
    /// The value at that time.
    pub value: KeyframeValue,
    /// How the value gets here from the keyframe before. Default `linear`.
    #[serde(default, skip_serializing_if = "Easing::is_linear")]
    pub easing: Easing,
}

/// A number, or a pair for a property that has two: `12`, `{"x": 10, "y": 20}`. One number stands for both of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(deny_unknown_fields)]
pub enum KeyframeValue {
    /// One number.
    Number(#[schemars(range(min = -1e6, max = 1e6))] f32),
    /// Two numbers.
    Pair {
        /// Horizontal.
        #[schemars(range(min = -1e6, max = 1e6))]
        x: f32,
        /// Vertical.
        #[schemars(range(min = -1e6, max = 1e6))]
        y: f32,
    },
}

impl KeyframeValue {
    /// Both coordinates.
    pub fn pair(self) -> Vec2 {
        match self {
            Self::Number(value) => Vec2::splat(value),
            Self::Pair { x, y } => Vec2::new(x, y),
        }
    }
}

/// The tracks that move the property `T` of one layer. On the layer's entity; written by spawning.
#[derive(Component, Clone, Debug)]
pub struct Tracks<T: Send + Sync + 'static> {
    /// One entry a track, in the order of the file; a later one has the last word.
    pub lanes: Vec<Lane>,
    marker: PhantomData<fn() -> T>,
}

/// One track, ready to be sampled.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The timeline it follows.
    pub timeline: Entity,
    /// Which numbers of the value it moves.
    pub mask: [bool; 2],
    /// Whether the value is applied on top of the authored one.
    pub additive: bool,
    /// Values in rising order of time; at least one.
    pub keyframes: Vec<Keyframe>,
}

impl<T: Send + Sync + 'static> Tracks<T> {
    /// Tracks of one property.
    pub fn new(lanes: Vec<Lane>) -> Self {
        Self {
            lanes,
            marker: PhantomData,
        }
    }
}

impl Property {
    /// Which numbers of the property's value are moved.
    pub fn mask(self) -> [bool; 2] {
        match self {
            Self::PositionX | Self::ScaleX | Self::Rotation | Self::Opacity => [true, false],
            Self::PositionY | Self::ScaleY => [false, true],
            Self::Position | Self::Scale => [true, true],
        }
    }
}

impl<'de> Deserialize<'de> for KeyframeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            x: f32,
            y: f32,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = KeyframeValue;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number, or {\"x\": .., \"y\": ..}")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<KeyframeValue, E> {
                Ok(KeyframeValue::Number(value as f32))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<KeyframeValue, E> {
                self.visit_f64(value as f64)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<KeyframeValue, E> {
                self.visit_f64(value as f64)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<KeyframeValue, A::Error> {
                let Pair { x, y } = Pair::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(KeyframeValue::Pair { x, y })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Validate for TrackSpec {
    fn validate(&self, problems: &mut Problems) {
        if self.keyframes.is_empty() {
            problems.at("keyframes", |problems| {
                problems.report("a track needs at least one keyframe")
            });
        }
        if self.keyframes.len() > KEYFRAMES_MAX {
            problems.at("keyframes", |problems| {
                problems.report(format!("a track has at most {KEYFRAMES_MAX} keyframes"));
            });
            return;
        }
        let pair_allowed = matches!(self.property, Property::Position | Property::Scale);
        let range = match self.property {
            Property::Position | Property::PositionX | Property::PositionY | Property::Rotation => {
                -1e6..=1e6
            }
            Property::Scale | Property::ScaleX | Property::ScaleY => -1000.0..=1000.0,
            Property::Opacity => 0.0..=1.0,
        };
        for (index, keyframe) in self.keyframes.iter().enumerate() {
            problems.at_index("keyframes", index, |problems| {
                problems.range("at", keyframe.at, 0.0..=86_400.0);
                if index > 0 && keyframe.at <= self.keyframes[index - 1].at {
                    problems.at("at", |problems| {
                        problems.report("keyframes must stand in rising order of time")
                    });
                }
                match keyframe.value {
                    KeyframeValue::Number(value) => problems.range("value", value, range.clone()),
                    KeyframeValue::Pair { .. } if !pair_allowed => {
                        problems.at("value", |problems| {
                            problems.report("this property is one number, not a pair")
                        });
                    }
                    KeyframeValue::Pair { x, y } => problems.at("value", |problems| {
                        problems.range("x", x, range.clone());
                        problems.range("y", y, range.clone());
                    }),
                }
                problems.at("easing", |problems| keyframe.easing.validate(problems));
            });
        }
    }
}
