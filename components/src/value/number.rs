//! A number that is written out, or bound to data.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::Template;

/// A finite number, or the data path that gives it: `12.5` or `"{{bid.width}}"`.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// The number itself.
    Literal(f32),
    /// A path into the scene's data. While the path holds no number, the value is 0.
    Bound(Box<str>),
}

impl Number {
    /// The value, looked up in the scene's data when it is bound.
    pub fn resolve<'a>(&self, lookup: impl Fn(&str) -> Option<&'a Value>) -> f32 {
        match self {
            Self::Literal(value) => *value,
            Self::Bound(path) => {
                let found = match lookup(path) {
                    Some(Value::Number(number)) => number.as_f64(),
                    Some(Value::String(text)) => text.trim().parse().ok(),
                    _ => None,
                };
                found.map_or(0.0, |value| value as f32)
            }
        }
    }

    /// As [`Number::resolve`], with the digits that a large amount has and 32 bits cannot hold.
    pub fn resolve_wide<'a>(&self, lookup: impl Fn(&str) -> Option<&'a Value>) -> f64 {
        let path = match self {
            // Through its shortest decimal form, which is what was written.
            Self::Literal(value) => return value.to_string().parse().unwrap_or_default(),
            Self::Bound(path) => path,
        };
        let found = match lookup(path) {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        found.filter(|value| value.is_finite()).unwrap_or_default()
    }

    /// The number when it is written out.
    pub fn literal(&self) -> Option<f32> {
        match self {
            Self::Literal(value) => Some(*value),
            Self::Bound(_) => None,
        }
    }

    /// The schema of a number from `low` to `high`, or of the data path that gives it.
    pub fn schema(low: f64, high: f64) -> Schema {
        json_schema!({
            "description": "A number, or one data path in double braces.",
            "anyOf": [
                {"type": "number", "minimum": low, "maximum": high},
                {"type": "string", "pattern": r"^\{\{[^{}]+\}\}$"}
            ],
        })
    }

    /// The data path when it is bound.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Bound(path) => Some(path),
        }
    }
}

impl Default for Number {
    fn default() -> Self {
        Self::Literal(0.0)
    }
}

impl From<f32> for Number {
    fn from(value: f32) -> Self {
        Self::Literal(value)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // A whole number is written without a fraction, as authors write it.
            Self::Literal(value) if value.fract() == 0.0 && value.abs() < 1e9 => {
                serializer.serialize_i64(*value as i64)
            }
            // Through its shortest decimal form, so that 0.1 does not come back as 0.10000000149.
            Self::Literal(value) => {
                serializer.serialize_f64(value.to_string().parse().unwrap_or(f64::from(*value)))
            }
            Self::Bound(path) => serializer.collect_str(&format_args!("{{{{{path}}}}}")),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a number, or a data path such as \"{{bid.width}}\"")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                let narrow = value as f32;
                if narrow.is_finite() {
                    Ok(Number::Literal(narrow))
                } else {
                    Err(E::custom(format!("{value:e} is out of range")))
                }
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                self.visit_f64(value as f64)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                self.visit_f64(value as f64)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                let template = Template::parse(text).map_err(E::custom)?;
                match template.parts() {
                    [super::TemplatePart::Hole(path)] => Ok(Number::Bound(path.as_str().into())),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number, or one data path in double braces.",
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\{\{[^{}]+\}\}$"}],
            "examples": [12.5, "{{bid.width}}"]
        })
    }
}
