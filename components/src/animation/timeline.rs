//! Timelines: named clocks with markers, which tracks follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use bevy_ecs::component::Component;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::track::TrackSpec;
use crate::validate::{Problems, Validate};

/// A timeline as files write it.
///
/// `{"id": "bob", "loop": "pingPong", "tracks": [{"layer": "host", "property": "position.y", "keyframes": [...]}]}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimelineSpec {
    /// Unique name.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Whether it plays from the scene's first tick. Default true.
    #[serde(default = "yes")]
    pub autoplay: bool,
    /// What happens at its end. Default `once`.
    #[serde(default, rename = "loop")]
    pub loop_mode: LoopMode,
    /// Seconds from its start to its end. Default its last keyframe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 86_400))]
    pub duration: Option<f32>,
    /// Seconds between being played and moving. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub delay: f32,
    /// Seconds of the timeline a second of the stream, above 0. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0.001, max = 1000))]
    pub speed: f32,
    /// The timeline at whose end this one starts; it must play once. A `delay` comes after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub start_after: Option<String>,
    /// A name that timelines share which are played, paused, moved and stopped together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub group: Option<String>,
    /// Named times in seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "markers")]
    pub markers: BTreeMap<String, f32>,
    /// The properties that it moves.
    #[serde(default)]
    pub tracks: Vec<TrackSpec>,
}

/// What happens when a timeline reaches its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LoopMode {
    /// It stays on its last values.
    #[default]
    Once,
    /// It begins anew.
    Loop,
    /// It runs back, and then forth again.
    PingPong,
}

/// The public name of a timeline.
#[derive(Component, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[component(immutable)]
pub struct TimelineId(pub Arc<str>);

/// A timeline in the world, on an entity of its own. Written by spawning and by play commands.
///
/// Its position is a function of the tick and of `state` alone, so that playing to a time and seeking to it are the same thing.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Timeline {
    /// Seconds from start to end, above 0.
    pub duration: f64,
    /// What happens at the end.
    pub loop_mode: LoopMode,
    /// Seconds before it moves.
    pub delay: f64,
    /// Timeline seconds a stream second.
    pub speed: f64,
    /// Playing or not.
    pub state: PlayState,
    /// The timeline at whose end this one starts.
    pub start_after: Option<Arc<str>>,
    /// The tick since which `start_after` was playing when this one started after it, so that it starts once for each time.
    pub started_for_tick: Option<u64>,
}

/// Whether a timeline moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlayState {
    /// Its tracks do nothing.
    Stopped,
    /// Moving since a tick.
    Playing {
        /// The tick at which it stood at `from_seconds`.
        since_tick: u64,
        /// Seconds since it was played, delay included, at that tick; 0 when it was played from its start.
        from_seconds: f64,
    },
    /// Standing at a time.
    Paused {
        /// Seconds since it was played, delay included.
        at_seconds: f64,
    },
}

fn markers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "number", "minimum": 0, "maximum": 86_400},
    })
}

fn yes() -> bool {
    true
}

fn one() -> f32 {
    1.0
}

impl TimelineSpec {
    /// A timeline without tracks that plays once from its scene's first tick.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            autoplay: true,
            loop_mode: LoopMode::Once,
            duration: None,
            delay: 0.0,
            speed: 1.0,
            start_after: None,
            group: None,
            markers: BTreeMap::new(),
            tracks: Vec::new(),
        }
    }

    /// Seconds from start to end: what is written, or the time of the last keyframe, of the last layer of a list.
    pub fn duration_seconds(&self) -> f32 {
        let ends = self.tracks.iter().map(|track| {
            let behind = track.stagger * track.layers.0.len().saturating_sub(1) as f32;
            track.keyframes.last().map_or(0.0, |last| last.at) + behind
        });
        self.duration.unwrap_or_else(|| ends.fold(0.0, f32::max))
    }
}

impl Validate for TimelineSpec {
    fn validate(&self, problems: &mut Problems) {
        if self.id.is_empty() || self.id.chars().count() > 128 {
            problems.at("id", |problems| {
                problems.report("an id has 1 to 128 letters")
            });
        }
        problems.range("delay", self.delay, 0.0..=86_400.0);
        problems.range("speed", self.speed, 0.001..=1000.0);
        match self.duration {
            Some(duration) => problems.range("duration", duration, 0.001..=86_400.0),
            None if !self.tracks.is_empty() && self.duration_seconds() <= 0.0 => {
                problems.report("a timeline needs a keyframe after 0 seconds, or a `duration`");
            }
            None => {}
        }
        for (name, value) in [("startAfter", &self.start_after), ("group", &self.group)] {
            if let Some(value) = value
                && (value.is_empty() || value.chars().count() > 128)
            {
                problems.at(name, |problems| {
                    problems.report("a name has 1 to 128 letters")
                });
            }
        }
        for (name, at) in &self.markers {
            problems.at("markers", |problems| {
                problems.range(name, *at, 0.0..=86_400.0)
            });
        }
        for (index, track) in self.tracks.iter().enumerate() {
            problems.at_index("tracks", index, |problems| track.validate(problems));
        }
    }
}
