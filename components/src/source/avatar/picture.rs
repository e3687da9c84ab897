//! A picture of an avatar as authors write it: a name, or a name and a place.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::json;

use super::Offset;

/// A picture over the body: its file, or the file and where it lies, such as `{"src": "eyes.png", "offset": {"x": 210, "y": 180}}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AvatarPicture {
    /// Name of an entry in the scene's `assets`, or a path relative to the scene file.
    pub src: String,
    /// Where its top left lies in the frame.
    pub offset: Offset,
}

impl Serialize for AvatarPicture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            src: &'a str,
            offset: Offset,
        }
        if self.offset == Offset::default() {
            return serializer.serialize_str(&self.src);
        }
        Whole {
            src: &self.src,
            offset: self.offset,
        }
        .serialize(serializer)
    }
}

/// By hand, and not untagged, so that an error inside keeps its own words and place.
impl<'de> Deserialize<'de> for AvatarPicture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole {
            src: String,
            #[serde(default)]
            offset: Offset,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = AvatarPicture;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the name of a picture, or an object with its `src` and `offset`")
            }
            fn visit_str<E: de::Error>(self, src: &str) -> Result<AvatarPicture, E> {
                Ok(AvatarPicture {
                    src: src.to_owned(),
                    offset: Offset::default(),
                })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AvatarPicture, A::Error> {
                let Whole { src, offset } =
                    Whole::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(AvatarPicture { src, offset })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for AvatarPicture {
    fn schema_name() -> Cow<'static, str> {
        "AvatarPicture".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut offset = generator.subschema_for::<Offset>();
        offset.insert(
            "description".to_owned(),
            "Where its top left lies in the frame. Default 0, 0.".into(),
        );
        json_schema!({
            "description": "A picture over the body: its file, or the file and where it lies in the frame.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "src": {"type": "string", "description": "Name of an entry in the scene's `assets`, or a path relative to the scene file."},
                        "offset": offset,
                    },
                    "required": ["src"],
                    "additionalProperties": false,
                },
            ],
            "examples": ["host/eyes.svg", json!({"src": "host/eyes.png", "offset": {"x": 210, "y": 180}})],
        })
    }
}
