//! Tracks: one property of one layer over the time of a timeline.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use glam::Vec4;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Easing, Property};
use crate::layer::{Crop, LayerId};
use crate::validate::{Problems, Validate};
use crate::value::Colour;

/// A track as files write it.
///
/// `{"layer": "host", "property": "position.y", "keyframes": [{"at": 0, "value": 540}, {"at": 2, "value": 560, "easing": "easeInOutSine"}]}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrackSpec {
    /// The layer that is moved, or a list of layers that are moved alike.
    #[serde(rename = "layer")]
    pub layers: TrackLayers,
    /// The property that is moved.
    pub property: Property,
    /// Whether values are added to the layer's own (multiplied, for scale and opacity) and do not replace it. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub additive: bool,
    /// Seconds by which each layer of a list starts after the one before. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 3600))]
    pub stagger: f32,
    /// The line along which `position` moves; the keyframes then say which part of its length has been gone, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<MotionPath>,
    /// Values and their times, in rising order of time.
    #[schemars(length(min = 1, max = 10_000))]
    pub keyframes: Vec<Keyframe>,
}

/// A line that a layer moves along. Equal parts of its length take equal parts of the way, however its curves are drawn.
///
/// `{"d": "M 200 700 C 600 100 1300 100 1700 700", "orient": true}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MotionPath {
    /// SVG path data (the `d` of a `<path>`) in the pixels of the layer's parent.
    #[schemars(length(min = 1, max = 100_000))]
    pub d: String,
    /// Whether the layer turns with the line: its right side then shows where it goes. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orient: bool,
}

/// The layers that a track moves: `"host"`, or `["card-1", "card-2"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackLayers(pub Vec<LayerId>);

/// The most layers of a track.
const LAYERS_MAX: usize = 1000;
/// The most keyframes of a track.
const KEYFRAMES_MAX: usize = 10_000;

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

/// A number, a pair for a property that has two, the edges of a crop, or a colour: `12`, `{"x": 10, "y": 20}`,
/// `{"left": 40, "right": 40}`, `"#ff0066"`. One number stands for both of a pair and for all edges.
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
    /// What is cut off the edges of a layer; nothing off those that are left out.
    Sides(Crop),
    /// A colour.
    Colour(#[schemars(description = "A colour as CSS writes it.")] Colour),
}

impl KeyframeValue {
    /// Four numbers: one four times, a pair and noughts, left, top, right and bottom, or a colour's channels from 0 to 255.
    pub fn numbers(self) -> Vec4 {
        match self {
            Self::Number(value) => Vec4::splat(value),
            Self::Pair { x, y } => Vec4::new(x, y, 0.0, 0.0),
            Self::Sides(crop) => Vec4::new(crop.left, crop.top, crop.right, crop.bottom),
            Self::Colour(colour) => {
                let channels = [colour.red, colour.green, colour.blue, colour.alpha];
                Vec4::from_array(channels.map(f32::from))
            }
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

/// One track as it moves one layer.
#[derive(Clone, Debug)]
pub struct Lane {
    /// The timeline it follows.
    pub timeline: Entity,
    /// Which numbers of the value it moves.
    pub mask: [bool; 4],
    /// Whether the value is applied on top of the authored one.
    pub additive: bool,
    /// Seconds by which it runs behind its timeline.
    pub delay: f32,
    /// The line that it follows.
    pub path: Option<MotionPath>,
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

impl TrackLayers {
    /// A single layer.
    pub fn one(id: impl Into<LayerId>) -> Self {
        Self(vec![id.into()])
    }

    /// Every layer.
    pub fn iter(&self) -> impl Iterator<Item = &LayerId> {
        self.0.iter()
    }
}

impl Serialize for TrackLayers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => one.serialize(serializer),
            list => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TrackLayers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = TrackLayers;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the name of a layer, or a list of names")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<TrackLayers, E> {
                Ok(TrackLayers::one(name))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<TrackLayers, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(TrackLayers)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for TrackLayers {
    fn schema_name() -> Cow<'static, str> {
        "TrackLayers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let id = generator.subschema_for::<LayerId>();
        json_schema!({
            "description": "The name of a layer, or a list of names.",
            "anyOf": [id, {"type": "array", "items": id, "minItems": 1, "maxItems": LAYERS_MAX}],
            "examples": ["host", ["card-1", "card-2"]]
        })
    }
}

fn is_zero(number: &f32) -> bool {
    *number == 0.0
}

impl<'de> Deserialize<'de> for KeyframeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Of a pair both are there, of the edges any.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parts {
            x: Option<f32>,
            y: Option<f32>,
            left: Option<f32>,
            top: Option<f32>,
            right: Option<f32>,
            bottom: Option<f32>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = KeyframeValue;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(
                    "a number, a colour, {\"x\": .., \"y\": ..} or {\"left\": .., \"top\": ..}",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyframeValue, E> {
                Colour::parse(text)
                    .map(KeyframeValue::Colour)
                    .map_err(E::custom)
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
                let parts = Parts::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let sides = [parts.left, parts.top, parts.right, parts.bottom];
                match (parts.x, parts.y) {
                    (None, None) if sides.iter().any(Option::is_some) => {
                        let [left, top, right, bottom] = sides.map(Option::unwrap_or_default);
                        Ok(KeyframeValue::Sides(Crop {
                            left,
                            top,
                            right,
                            bottom,
                        }))
                    }
                    (Some(x), Some(y)) if sides.iter().all(Option::is_none) => {
                        Ok(KeyframeValue::Pair { x, y })
                    }
                    (None, _) if sides.iter().all(Option::is_none) => {
                        Err(de::Error::missing_field("x"))
                    }
                    (_, None) if sides.iter().all(Option::is_none) => {
                        Err(de::Error::missing_field("y"))
                    }
                    _ => Err(de::Error::custom(
                        "a value has `x` and `y`, or edges such as `left`, and not both",
                    )),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl TrackSpec {
    /// A track of one layer whose values take the place of its own.
    pub fn new(layer: impl Into<LayerId>, property: Property, keyframes: Vec<Keyframe>) -> Self {
        Self {
            layers: TrackLayers::one(layer),
            property,
            additive: false,
            stagger: 0.0,
            path: None,
            keyframes,
        }
    }

    /// A field's own kind and range are looked at where the layer is known.
    fn check_value(
        &self,
        value: KeyframeValue,
        range: Option<RangeInclusive<f32>>,
        problems: &mut Problems,
    ) {
        let finite = || f32::MIN..=f32::MAX;
        let is_field = matches!(self.property, Property::Source(_) | Property::Effect(_));
        match value {
            KeyframeValue::Number(value) => {
                problems.range("value", value, range.unwrap_or_else(finite))
            }
            KeyframeValue::Pair { .. } if self.property == Property::Crop => {
                problems.at("value", |problems| {
                    problems.report("this property has edges: `left`, `top`, `right`, `bottom`")
                });
            }
            KeyframeValue::Pair { .. } if !self.property.is_pair() || self.path.is_some() => {
                problems.at("value", |problems| {
                    problems.report("this property is one number, not a pair")
                });
            }
            KeyframeValue::Sides(_) if self.property != Property::Crop => {
                problems.at("value", |problems| {
                    problems.report("only the property `crop` has edges")
                });
            }
            KeyframeValue::Sides(crop) => {
                problems.at("value", |problems| crop.validate(problems));
            }
            KeyframeValue::Pair { x, y } => problems.at("value", |problems| {
                let range = range.unwrap_or_else(finite);
                problems.range("x", x, range.clone());
                problems.range("y", y, range);
            }),
            KeyframeValue::Colour(_) if !is_field => problems.at("value", |problems| {
                problems.report("this property is a number, not a colour")
            }),
            KeyframeValue::Colour(_) => {}
        }
    }

    fn check_layers(&self, problems: &mut Problems) {
        let layers = &self.layers.0;
        if layers.is_empty() || layers.len() > LAYERS_MAX {
            problems.at("layer", |problems| {
                problems.report(format!("a track moves 1 to {LAYERS_MAX} layers"))
            });
        }
        problems.range("stagger", self.stagger, 0.0..=3600.0);
    }
}

impl Validate for TrackSpec {
    fn validate(&self, problems: &mut Problems) {
        self.check_layers(problems);
        if self.path.is_some() && self.property != Property::Position {
            problems.at("path", |problems| {
                problems.report("a path moves the property `position` alone")
            });
        }
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
        let range = match (&self.path, self.property.range()) {
            (Some(_), _) => Some(0.0..=1.0),
            (None, range) => range.map(|(low, high)| low..=high),
        };
        for (index, keyframe) in self.keyframes.iter().enumerate() {
            problems.at_index("keyframes", index, |problems| {
                problems.range("at", keyframe.at, 0.0..=86_400.0);
                if index > 0 && keyframe.at <= self.keyframes[index - 1].at {
                    problems.at("at", |problems| {
                        problems.report("keyframes must stand in rising order of time")
                    });
                }
                self.check_value(keyframe.value, range.clone(), problems);
                problems.at("easing", |problems| keyframe.easing.validate(problems));
            });
        }
    }
}
