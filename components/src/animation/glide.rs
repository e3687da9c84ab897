//! How a changed property goes from the value on screen to its new one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Easing;
use crate::validate::{Problems, Validate};

/// The way from the value on screen to a new one. A change on the way goes on from where the property then is; a spring keeps its
/// speed as well.
///
/// `{"duration": 0.6, "easing": "easeOutCubic"}`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Glide {
    /// Seconds, 0 to 600; of a spring, the time of one swing. Default 0.5.
    #[schemars(range(min = 0, max = 600))]
    pub duration: f32,
    /// Its course. Default `easeInOutCubic`.
    pub easing: Easing,
    /// Seconds before it begins. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 600))]
    pub delay: f32,
}

impl Default for Glide {
    fn default() -> Self {
        Self {
            duration: 0.5,
            easing: Easing::EaseInOutCubic,
            delay: 0.0,
        }
    }
}

fn is_zero(number: &f32) -> bool {
    *number == 0.0
}

impl Validate for Glide {
    fn validate(&self, problems: &mut Problems) {
        problems.range("duration", self.duration, 0.0..=600.0);
        problems.range("delay", self.delay, 0.0..=600.0);
        problems.at("easing", |problems| self.easing.validate(problems));
    }
}
