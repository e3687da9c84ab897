//! How a layer's sound goes into the program's, and what is done to the sum.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::animation::{FieldMut, Fields, number};
use crate::validate::{Problems, Validate};

/// The gain that stands for no sound at all, in decibels.
pub const GAIN_MIN_DB: f32 = -60.0;
/// The largest gain, in decibels.
pub const GAIN_MAX_DB: f32 = 24.0;
/// How much earlier than its picture a sound may be heard, in seconds.
pub const SOUND_EARLY_MAX: f32 = 0.5;
/// How much later than its picture a sound may be heard, in seconds.
pub const SOUND_LATE_MAX: f32 = 2.0;

/// How the sound of a layer is mixed: `{"gain": -12, "duck": {"by": 10}}`. A layer that is not visible is not heard.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Sound {
    /// Gain in decibels; -60 is silence. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = -60, max = 24))]
    pub gain: f32,
    /// Where it is heard: -1 left, 0 in the middle, 1 right. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = -1, max = 1))]
    pub pan: f32,
    /// Whether it is silent, whatever else is said. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub muted: bool,
    /// While any layer is solo, only those that are solo are heard. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub solo: bool,
    /// Seconds by which it is heard later than its picture is seen; less than 0 is earlier, for which the picture waits. Not of avatars. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = -0.5, max = 2))]
    pub delay: f32,
    /// What it is, for ducking. Default `speech` of an avatar, `music` of an audio file, `content` of all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<SoundRole>,
    /// Has it step back while something else is heard. Not when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duck: Option<Duck>,
}

/// What a sound is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SoundRole {
    /// Somebody speaks.
    Speech,
    /// Music, below what is said.
    Music,
    /// Anything else.
    #[default]
    Content,
}

/// How a sound steps back under others: `{"by": 12, "under": "speech"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Duck {
    /// Decibels by which it steps back. Default 12.
    #[schemars(range(min = 0, max = 60))]
    pub by: f32,
    /// The sounds under which it steps back. Default `speech`.
    pub under: SoundRole,
    /// The level of those, in decibels below full scale (RMS), from which on they count. Default -40.
    #[schemars(range(min = -60, max = 0))]
    pub threshold: f32,
    /// Seconds in which it steps back. Default 0.08.
    #[schemars(range(min = 0.001, max = 10))]
    pub attack: f32,
    /// Seconds for which it stays back when they fall silent, so that it does not rise between words. Default 0.4.
    #[schemars(range(min = 0, max = 10))]
    pub hold: f32,
    /// Seconds in which it comes back. Default 0.8.
    #[schemars(range(min = 0.001, max = 30))]
    pub release: f32,
}

/// What is done to the sum of all sounds: `{"master": {"gain": -3, "limiter": {"ceiling": -1}}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AudioSpec {
    /// The sum.
    #[serde(skip_serializing_if = "is_default")]
    pub master: MasterSound,
}

/// The sum of all sounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct MasterSound {
    /// Gain before the limiter, in decibels; -60 is silence. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = -60, max = 24))]
    pub gain: f32,
    /// Whether the program is silent. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub muted: bool,
    /// What keeps peaks from clipping.
    #[serde(skip_serializing_if = "is_default")]
    pub limiter: Limiter,
}

/// A limiter of true peaks: no sample, and nothing between samples, gets above the ceiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Limiter {
    /// The highest true peak, in decibels below full scale (dBTP). Default -1.
    #[schemars(range(min = -20, max = 0))]
    pub ceiling: f32,
    /// Seconds in which the gain comes back after a peak. Default 0.1.
    #[schemars(range(min = 0.01, max = 2))]
    pub release: f32,
}

impl Default for Sound {
    fn default() -> Self {
        Self {
            gain: 0.0,
            pan: 0.0,
            muted: false,
            solo: false,
            delay: 0.0,
            role: None,
            duck: None,
        }
    }
}

impl Default for Duck {
    fn default() -> Self {
        Self {
            by: 12.0,
            under: SoundRole::Speech,
            threshold: -40.0,
            attack: 0.08,
            hold: 0.4,
            release: 0.8,
        }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            ceiling: -1.0,
            release: 0.1,
        }
    }
}

impl AudioSpec {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Fields for Sound {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "gain" => number(&mut self.gain, GAIN_MIN_DB, GAIN_MAX_DB),
            "pan" => number(&mut self.pan, -1.0, 1.0),
            _ => None,
        }
    }

    fn field_paths(&self) -> Vec<String> {
        ["gain", "pan"].map(str::to_owned).into()
    }
}

impl Validate for Sound {
    fn validate(&self, problems: &mut Problems) {
        problems.range("gain", self.gain, GAIN_MIN_DB..=GAIN_MAX_DB);
        problems.range("pan", self.pan, -1.0..=1.0);
        problems.range("delay", self.delay, -SOUND_EARLY_MAX..=SOUND_LATE_MAX);
        if let Some(duck) = &self.duck {
            problems.at("duck", |problems| duck.validate(problems));
        }
    }
}

impl Validate for Duck {
    fn validate(&self, problems: &mut Problems) {
        problems.range("by", self.by, 0.0..=60.0);
        problems.range("threshold", self.threshold, -60.0..=0.0);
        problems.range("attack", self.attack, 0.001..=10.0);
        problems.range("hold", self.hold, 0.0..=10.0);
        problems.range("release", self.release, 0.001..=30.0);
    }
}

impl Validate for AudioSpec {
    fn validate(&self, problems: &mut Problems) {
        problems.at("master", |problems| self.master.validate(problems));
    }
}

impl Validate for MasterSound {
    fn validate(&self, problems: &mut Problems) {
        problems.range("gain", self.gain, GAIN_MIN_DB..=GAIN_MAX_DB);
        problems.at("limiter", |problems| {
            problems.range("ceiling", self.limiter.ceiling, -20.0..=0.0);
            problems.range("release", self.limiter.release, 0.01..=2.0);
        });
    }
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
