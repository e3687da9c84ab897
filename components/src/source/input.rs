//! What all live inputs have: how long they wait for what is late, and what is seen when they are lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate::{Problems, Validate};

/// How a live input is held together: `{"buffer": 0.3, "timeout": 4, "fallback": "assets/back-soon.webp"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Reception {
    /// Seconds for which pictures and sound are held, so that what comes unevenly is shown evenly. Default 0.12.
    #[serde(skip_serializing_if = "is_default_buffer")]
    #[schemars(range(min = 0, max = 5))]
    pub buffer: f32,
    /// Seconds without a picture, after which the fallback takes the place of the last one. Default 5.
    #[serde(skip_serializing_if = "is_default_timeout")]
    #[schemars(range(min = 0.2, max = 3600))]
    pub timeout: f32,
    /// What is seen before the first picture, and when the input is lost: name of an entry in the scene's `assets`, or a path relative
    /// to the scene file. Nothing when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
}

const BUFFER: f32 = 0.12;
const TIMEOUT: f32 = 5.0;

impl Default for Reception {
    fn default() -> Self {
        Self {
            buffer: BUFFER,
            timeout: TIMEOUT,
            fallback: None,
        }
    }
}

impl Reception {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Validate for Reception {
    fn validate(&self, problems: &mut Problems) {
        problems.range("buffer", self.buffer, 0.0..=5.0);
        problems.range("timeout", self.timeout, 0.2..=3600.0);
    }
}

fn is_default_buffer(value: &f32) -> bool {
    *value == BUFFER
}

fn is_default_timeout(value: &f32) -> bool {
    *value == TIMEOUT
}
