//! A picture from a file: still, drawn by lines, or moving.

use std::borrow::Cow;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::animation::{FieldMut, Fields, number};
use crate::validate::{Problems, Validate};
use crate::value::Template;

/// A picture: PNG, JPEG, WebP or SVG, or a moving one: GIF, APNG, animated WebP.
///
/// `{"type": "image", "src": "assets/sunset.webp"}`
///
/// An SVG is drawn at the size at which it is shown. What it names outside its own file is left out; its fonts are those of the
/// scene and of the system. A moving picture shows its frames as browsers do: a frame of 10 milliseconds or less, which in a GIF is one
/// below 20, lasts 100.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageSource {
    /// Name of an entry in the scene's `assets`, or a path relative to the scene file. May hold `{{data.paths}}`; while it then
    /// names no picture that can be read, nothing is drawn.
    #[serde(serialize_with = "write_template", deserialize_with = "read_template")]
    #[schemars(with = "String", example = "assets/sunset.webp")]
    pub src: Template,
    /// How a moving picture plays; others take no notice. Default: as its file says, from its start.
    #[serde(default, skip_serializing_if = "Playback::is_default")]
    pub playback: Playback,
}

/// How a moving picture plays, counted from the tick on which its layer came on air, or on which its source changed:
/// `{"speed": 0.5, "loop": "once", "start": 1.5}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Playback {
    /// Seconds of the file a second of the stream, in steps of a thousandth; 0 stands still at `start`. Default 1.
    #[serde(skip_serializing_if = "is_one")]
    #[schemars(range(min = 0, max = 16))]
    pub speed: f32,
    /// What happens after its last frame. Default `file`.
    #[serde(rename = "loop", skip_serializing_if = "PlaybackLoop::is_default")]
    pub loop_mode: PlaybackLoop,
    /// Seconds of the file at which it starts. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 3600))]
    pub start: f32,
}

/// How often a moving picture plays. After the last time its last frame stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlaybackLoop {
    /// As often as its file says.
    #[default]
    File,
    /// Once.
    Once,
    /// For ever.
    Forever,
}

impl Playback {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Playback {
    fn default() -> Self {
        Self {
            speed: 1.0,
            loop_mode: PlaybackLoop::default(),
            start: 0.0,
        }
    }
}

impl PlaybackLoop {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl Fields for ImageSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "playback.speed" => number(&mut self.playback.speed, 0.0, 16.0),
            "playback.start" => number(&mut self.playback.start, 0.0, 3600.0),
            _ => None,
        }
    }

    fn field_paths(&self) -> Vec<String> {
        ["playback.speed", "playback.start"]
            .map(str::to_owned)
            .into()
    }
}

impl Validate for ImageSource {
    fn validate(&self, problems: &mut Problems) {
        problems.at("playback", |problems| {
            problems.range("speed", self.playback.speed, 0.0..=16.0);
            problems.range("start", self.playback.start, 0.0..=3600.0);
        });
    }
}

pub(in crate::source) fn write_template<S: Serializer>(
    template: &Template,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(template)
}

pub(in crate::source) fn read_template<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Template, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    Template::parse(&text).map_err(D::Error::custom)
}
