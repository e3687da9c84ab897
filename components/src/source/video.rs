//! A film from a file or a URL, with its sound.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::Reception;
use crate::validate::{Problems, Validate};

/// A video, from a file or over HTTP, HTTPS, HLS, SRT, RTMP or UDP: whatever FFmpeg reads. Its alpha is kept where it has some.
///
/// `{"type": "video", "src": "assets/intro.mp4", "loop": true}`
///
/// A file is a function of the tick: it plays from the tick on which its layer came on air. An address that gives no length is live:
/// it plays as it comes, and `loop`, `start`, `end` and `speed` say nothing.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VideoSource {
    /// Name of an entry in the scene's `assets`, a path relative to the scene file, or a URL. A URL may hold no user and password.
    #[schemars(length(min = 1, max = 2048), example = "assets/intro.mp4")]
    pub src: String,
    /// Whether it begins again when it has ended; otherwise its last picture stays. Default false.
    #[serde(rename = "loop", default, skip_serializing_if = "is_false")]
    pub loops: bool,
    /// Whether it stands still and is silent. Default false.
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
    /// Seconds of the file a second of the stream. The pitch of its sound follows, as that of a tape. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 0.1, max = 4))]
    pub speed: f32,
    /// How it is held together.
    #[serde(default, skip_serializing_if = "Reception::is_default")]
    pub reception: Reception,
}

impl VideoSource {
    /// Whether it is read from an address, and not from the scene's folder.
    pub fn is_remote(&self) -> bool {
        self.src.contains("://")
    }
}

fn one() -> f32 {
    1.0
}

fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Validate for VideoSource {
    fn validate(&self, problems: &mut Problems) {
        check_span(self.start, self.end, problems);
        problems.range("speed", self.speed, 0.1..=4.0);
        problems.at("src", |problems| check_src(&self.src, problems));
        problems.at("reception", |problems| self.reception.validate(problems));
    }
}

/// Checks the in and out points of a file, in seconds.
pub(super) fn check_span(start: f32, end: Option<f32>, problems: &mut Problems) {
    problems.range("start", start, 0.0..=86_400.0);
    if let Some(end) = end {
        problems.range("end", end, 0.04..=86_400.0);
        if end <= start {
            problems.at("end", |problems| {
                problems.report("it must end after it starts");
            });
        }
    }
}

/// Checks the name of a file, or an address.
pub(super) fn check_src(src: &str, problems: &mut Problems) {
    if src.is_empty() || src.len() > 2048 {
        problems.report("it must have 1 to 2048 letters");
    }
    let host = src.split_once("://").map(|(_, rest)| rest);
    let host = host.and_then(|rest| rest.split(['/', '?']).next());
    if host.is_some_and(|host| host.contains('@')) {
        problems.report("an address holds no user and no password");
    }
}
