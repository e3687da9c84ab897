//! Sound from a file, without a picture.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::video::{check_span, check_src};
use crate::validate::{Problems, Validate};

/// Sound from a file or a URL: whatever FFmpeg reads. The layer shows nothing; its `sound` says how it is mixed.
///
/// `{"type": "audio", "src": "assets/bed.opus", "loop": true, "fadeIn": 2}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AudioSource {
    /// Name of an entry in the scene's `assets`, a path relative to the scene file, or a URL. A URL may hold no user and password.
    #[schemars(length(min = 1, max = 2048), example = "assets/bed.opus")]
    pub src: String,
    /// Whether it begins again when it has ended. Default false.
    #[serde(rename = "loop", default, skip_serializing_if = "is_false")]
    pub loops: bool,
    /// Whether it stands still. Default false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Seconds of the file at which it starts. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 86_400))]
    pub start: f32,
    /// Seconds of the file at which it ends; its own end when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.04, max = 86_400))]
    pub end: Option<f32>,
    /// Seconds in which it rises when its layer comes on air. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 600))]
    pub fade_in: f32,
    /// Seconds in which it falls before its end, when it does not loop, and when its layer goes. Default 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 600))]
    pub fade_out: f32,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Validate for AudioSource {
    fn validate(&self, problems: &mut Problems) {
        check_span(self.start, self.end, problems);
        problems.range("fadeIn", self.fade_in, 0.0..=600.0);
        problems.range("fadeOut", self.fade_out, 0.0..=600.0);
        problems.at("src", |problems| check_src(&self.src, problems));
    }
}
