//! Text that nobody may see: stream keys, and addresses that hold one.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A secret as a file writes it. `Debug` hides it; serde writes it, since a scene that is saved keeps what is authored. Whoever answers a
/// request masks it first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// What stands for a secret, or for the part of an address that is one, wherever it is shown.
    pub const MASK: &str = "***";
    /// The most bytes of a secret.
    pub const BYTES_MAX: usize = 2048;

    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for connecting and comparing alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is, or holds, what only stands for a secret.
    pub fn is_masked(&self) -> bool {
        self.0.contains(Self::MASK)
    }

    /// Whether it is one word of 1 to [`Secret::BYTES_MAX`] bytes.
    pub(super) fn is_well_formed(&self) -> bool {
        let is_break = |letter: char| letter.is_whitespace() || letter.is_control();
        (1..=Self::BYTES_MAX).contains(&self.0.len()) && !self.0.contains(is_break)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(hidden)")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 512,
            "pattern": "^[!-~]+$",
            "description": "Letters without white space. What is secret of it is shown as `***`, and `***` leaves it as it is.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_and_not_shown() {
        let secret = Secret::new("live_1234");
        assert!(!format!("{secret:?}").contains("1234"));
        assert_eq!(
            serde_json::to_string(&secret).expect("JSON"),
            "\"live_1234\""
        );
        assert!(Secret::new("rtmp://host/app/***").is_masked());
        for text in ["", "two words", "line\n"] {
            assert!(!Secret::new(text).is_well_formed(), "{text:?}");
        }
    }
}
