//! Where a layer is, how large, and how it is turned.
//!
//! A layer's space is its parent's: the canvas for a layer at the top, the group's box for a child. x runs right, y runs down, in pixels.

use std::fmt;

use bevy_ecs::component::Component;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::json;

use crate::value::Number;

/// Where the layer's anchor stands in its parent's space, in pixels: `{"x": 960, "y": 540}`.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Position {
    /// Pixels from the parent's left edge.
    #[schemars(schema_with = "coordinate")]
    pub x: Number,
    /// Pixels from the parent's top edge.
    #[schemars(schema_with = "coordinate")]
    pub y: Number,
}

fn coordinate(_: &mut SchemaGenerator) -> Schema {
    Number::schema(-1e6, 1e6)
}

/// The layer's box before scaling, in pixels: `{"width": 640, "height": 360}`. A layer without one is as large as its source.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Pixels, above 0.
    #[schemars(schema_with = "side")]
    pub width: Number,
    /// Pixels, above 0.
    #[schemars(schema_with = "side")]
    pub height: Number,
}

fn side(_: &mut SchemaGenerator) -> Schema {
    Number::schema(0.01, f64::from(Size::MAX))
}

impl Size {
    /// The longest side of a layer's box, in pixels.
    pub const MAX: f32 = 16384.0;
}

/// The point of the box that stands at the position, and about which the layer scales and turns, as parts of the box.
///
/// In JSON `{"x": 0.5, "y": 1}`, or a name: `"center"`, `"topLeft"` (the default), `"top"`, `"topRight"`, `"left"`, `"right"`,
/// `"bottomLeft"`, `"bottom"`, `"bottomRight"`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Anchor {
    /// 0 is the left edge, 1 the right one.
    pub x: f32,
    /// 0 is the top edge, 1 the bottom one.
    pub y: f32,
}

const ANCHOR_NAMES: [(&str, f32, f32); 9] = [
    ("topLeft", 0.0, 0.0),
    ("top", 0.5, 0.0),
    ("topRight", 1.0, 0.0),
    ("left", 0.0, 0.5),
    ("center", 0.5, 0.5),
    ("right", 1.0, 0.5),
    ("bottomLeft", 0.0, 1.0),
    ("bottom", 0.5, 1.0),
    ("bottomRight", 1.0, 1.0),
];

impl<'de> Deserialize<'de> for Anchor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair {
            x: f32,
            y: f32,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Anchor;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an anchor, such as \"center\" or {\"x\": 0.5, \"y\": 0.5}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Anchor, E> {
                const NAMES: &[&str] = &[
                    "topLeft",
                    "top",
                    "topRight",
                    "left",
                    "center",
                    "right",
                    "bottomLeft",
                    "bottom",
                    "bottomRight",
                ];
                ANCHOR_NAMES
                    .iter()
                    .find(|(name, ..)| *name == text)
                    .map(|&(_, x, y)| Anchor { x, y })
                    .ok_or_else(|| E::unknown_variant(text, NAMES))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Anchor, A::Error> {
                let Pair { x, y } = Pair::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Anchor { x, y })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Anchor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anchor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let part = json!({"type": "number", "minimum": -100, "maximum": 100});
        let names: Vec<&str> = ANCHOR_NAMES.iter().map(|(name, ..)| *name).collect();
        json_schema!({
            "description": "The point of the box that stands at the position, as a name or as parts of the box.",
            "anyOf": [
                {"enum": names},
                {
                    "type": "object",
                    "properties": {"x": part, "y": part},
                    "required": ["x", "y"],
                    "additionalProperties": false
                }
            ],
            "examples": ["center", {"x": 0.5, "y": 1}]
        })
    }
}

/// Size on the canvas over size of the box: `1.5`, or `{"x": 1, "y": -1}` to mirror. Default 1.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Scale {
    /// Horizontal factor.
    pub x: Number,
    /// Vertical factor.
    pub y: Number,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            x: Number::Literal(1.0),
            y: Number::Literal(1.0),
        }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScalePair {
    #[schemars(schema_with = "factor")]
    x: Number,
    #[schemars(schema_with = "factor")]
    y: Number,
}

fn factor(_: &mut SchemaGenerator) -> Schema {
    Number::schema(-1000.0, 1000.0)
}

impl Serialize for Scale {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.x == self.y {
            self.x.serialize(serializer)
        } else {
            ScalePair {
                x: self.x.clone(),
                y: self.y.clone(),
            }
            .serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Scale;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a factor, such as 1.5 or {\"x\": 1, \"y\": 2}")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scale, E> {
                let both = Number::deserialize(de::value::F64Deserializer::new(value))?;
                Ok(Scale {
                    x: both.clone(),
                    y: both,
                })
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scale, E> {
                self.visit_f64(value as f64)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scale, E> {
                self.visit_f64(value as f64)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scale, E> {
                let both = Number::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(Scale {
                    x: both.clone(),
                    y: both,
                })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Scale, A::Error> {
                let ScalePair { x, y } =
                    ScalePair::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Scale { x, y })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Scale {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scale".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let number = factor(generator);
        let pair = generator.subschema_for::<ScalePair>();
        json_schema!({"description": "A factor for both directions, or one each.", "anyOf": [number, pair], "examples": [1.5, {"x": 1, "y": -1}]})
    }
}

/// Turn about the anchor in degrees, clockwise: `-12.5`.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Rotation(#[schemars(schema_with = "coordinate")] pub Number);
