//! What is wrong with a value, told by serde's types and worded for people who write scenes.

use std::fmt;

use components::Problem;
use serde::de::{self, Expected, Unexpected};
use serde_json::Value;

use super::words;

/// One reason why a value cannot be read. Its words are those of the format; none of Rust's types appear in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A value of another kind, or out of its type's range.
    Mismatch { expected: String, found: String },
    /// A list of the wrong length.
    Length { expected: String, found: usize },
    /// A field that does not exist.
    UnknownField {
        name: String,
        known: &'static [&'static str],
    },
    /// A word that is not among those of its field.
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    /// A field that must be written.
    Missing(&'static str),
    /// What a type says of itself.
    Other(String),
}

impl Fault {
    /// The problem in one sentence, without what to write instead.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Mismatch { expected, found } => format!("expected {expected}, found {found}"),
            Self::Length { expected, found } => {
                format!("expected {expected}, found a list of {found}")
            }
            Self::UnknownField { name, .. } => format!("unknown field {}", words::name(name)),
            Self::UnknownWord { word, .. } => format!("unknown word {}", words::name(word)),
            Self::Missing(field) => format!("the field `{field}` is missing"),
            Self::Other(message) => message.clone(),
        }
    }

    /// What to write instead.
    pub(super) fn help(&self) -> Option<String> {
        match self {
            Self::UnknownField { name, known } => words::suggest(name, known).or_else(|| {
                known
                    .is_empty()
                    .then(|| "there are no fields here".to_owned())
            }),
            Self::UnknownWord { word, known } => words::suggest(word, known),
            _ => None,
        }
    }
}

/// What a value is, in words of JSON.
pub(super) fn found_value(value: &Value) -> String {
    found(&unexpected(value))
}

/// A value as serde names what it did not expect.
pub(super) fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), ..) => Unexpected::Unsigned(value),
            (_, Some(value), _) => Unexpected::Signed(value),
            (.., value) => Unexpected::Float(value.unwrap_or(f64::NAN)),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// A value of the wrong kind.
pub(super) fn mismatch(expected: &str, value: &Value, path: &str) -> Problem {
    Problem {
        path: path.to_owned(),
        message: format!("expected {expected}, found {}", found_value(value)),
        ..Problem::default()
    }
}

/// A field that must be written.
pub(super) fn missing(name: &str, owner: &str, path: &str) -> Problem {
    Problem {
        path: path.to_owned(),
        message: format!("the {owner} has no `{name}`"),
        ..Problem::default()
    }
}

/// A field that does not exist.
pub(super) fn unknown_field(name: &str, path: &str, known: &[&str]) -> Problem {
    Problem {
        path: path.to_owned(),
        message: format!("unknown field {}", words::name(name)),
        help: words::suggest(name, known),
        on_key: true,
    }
}

fn found(value: &Unexpected<'_>) -> String {
    match value {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Char(value) => format!("the string \"{value}\""),
        Unexpected::Str(text) => format!("the string {}", words::quote(text)),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// What serde expected, in words of JSON. `in_range` tells a number of the right kind that is too small or too large.
fn expected(words: &dyn Expected, kind_fits: bool) -> String {
    let words = words.to_string();
    let whole = |low: String, high: String| {
        if kind_fits {
            format!("a whole number from {low} to {high}")
        } else {
            "a whole number".to_owned()
        }
    };
    match words.as_str() {
        "f32" | "f64" => "a number".to_owned(),
        "u8" => whole(u8::MIN.to_string(), u8::MAX.to_string()),
        "u16" => whole(u16::MIN.to_string(), u16::MAX.to_string()),
        "u32" => whole(u32::MIN.to_string(), u32::MAX.to_string()),
        "i32" => whole(i32::MIN.to_string(), i32::MAX.to_string()),
        "u64" | "usize" => whole("0".to_owned(), u64::MAX.to_string()),
        "i64" => whole(i64::MIN.to_string(), i64::MAX.to_string()),
        "a boolean" => "true or false".to_owned(),
        "a borrowed string" | "string" => "a string".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other if other.starts_with("tuple ") => "a list".to_owned(),
        other => match other.strip_prefix("an array of length ") {
            Some(length) => format!("a list of {length}"),
            None => other.to_owned(),
        },
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message())
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn invalid_type(value: Unexpected<'_>, words: &dyn Expected) -> Self {
        Self::Mismatch {
            expected: expected(words, false),
            found: found(&value),
        }
    }

    fn invalid_value(value: Unexpected<'_>, words: &dyn Expected) -> Self {
        Self::Mismatch {
            expected: expected(words, true),
            found: found(&value),
        }
    }

    fn invalid_length(length: usize, words: &dyn Expected) -> Self {
        Self::Length {
            expected: expected(words, true),
            found: length,
        }
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownWord {
            word: word.to_owned(),
            known,
        }
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownField {
            name: name.to_owned(),
            known,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}
