//! A character put together from pictures: what it does, what it feels, and a mouth that follows a level.

mod check;
mod look;
mod picture;

use std::collections::BTreeMap;

use bevy_ecs::component::Component;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

pub use look::AvatarSlots;
pub use picture::AvatarPicture;

use super::image::{read_template, write_template};
use crate::animation::{Easing, FieldMut, Fields, number, template};
use crate::value::{Number, Template};

/// A character of pictures that lie over each other: the body of what it does, the eyes, the mouth.
///
/// `{"type": "avatar", "states": {"idle": {"src": "host/idle.svg"}}, "state": "{{host.state}}",
/// "mouth": {"level": "{{host.level}}", "shapes": [{"src": "host/closed.svg", "from": 0}, {"src": "host/open.svg", "from": 0.3}]}}`
///
/// All pictures are whole frames of one size, empty where the others are to be seen, or smaller ones with an `offset`. From the back:
/// the state's own picture, the eyes (or the blink in their place), the mouth. They fill the layer's box as one picture, by its `fit`
/// and its `crop`, and have its opacity and blend mode as one.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarSource {
    /// What it can do, by name: 1 to 32. `talk` is taken by itself where `talkWhen` says so.
    #[schemars(length(min = 1, max = 32))]
    pub states: BTreeMap<String, AvatarState>,
    /// What it can feel, by name: at most 32. Each says what differs from the states' own pictures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 32))]
    pub emotions: BTreeMap<String, AvatarEmotion>,
    /// What it does: a name, or a data path in double braces. While that names no state, the last one stays. Default `idle`.
    #[serde(
        default = "idle",
        skip_serializing_if = "is_idle",
        serialize_with = "write_template",
        deserialize_with = "read_template"
    )]
    #[schemars(with = "String", example = "{{host.state}}")]
    pub state: Template,
    /// What it feels: a name, or a data path in double braces. `neutral` needs no entry in `emotions`. Default `neutral`.
    #[serde(
        default = "neutral",
        skip_serializing_if = "is_neutral",
        serialize_with = "write_template",
        deserialize_with = "read_template"
    )]
    #[schemars(with = "String", example = "{{host.emotion}}")]
    pub emotion: Template,
    /// The eyes, open: hidden while it blinks. None when left out, or when the states' pictures have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eyes: Option<AvatarPicture>,
    /// The mouth, which follows a level. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mouth: Option<AvatarMouth>,
    /// How it blinks. Default every 2.5 to 6 seconds, in the states that have a picture for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub blink: AvatarBlink,
    /// How states and emotions give way to each other.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transition: AvatarFade,
    /// Has it breathe. Not when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breathe: Option<AvatarBreath>,
    /// The level of the mouth from which on the state `talk` is taken by itself, while a state without a `duration` is asked for.
    /// Never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 1))]
    pub talk_when: Option<f32>,
    /// Seconds for which `talk` stays when the level has fallen below `talkWhen`, so that words are not told apart. Default 0.4.
    #[serde(default = "talk_hold", skip_serializing_if = "is_talk_hold")]
    #[schemars(range(min = 0, max = 10))]
    pub talk_hold: f32,
    /// Another number has the state that is asked for begin anew: a wave, and one more. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub again: u32,
}

/// Something that an avatar does.
///
/// `{"src": "host/wave.webp", "duration": 1.2, "then": "idle"}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarState {
    /// Name of an entry in the scene's `assets`, or a path relative to the scene file. A moving picture plays from its start.
    #[schemars(example = "host/idle.svg")]
    pub src: String,
    /// Where the picture lies in the frame. Default 0, 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offset: Offset,
    /// The eyes, in the place of the avatar's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eyes: Option<AvatarPicture>,
    /// What is seen while it blinks, in the place of the avatar's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blink: Option<AvatarPicture>,
    /// The shapes of the mouth, in the place of the avatar's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mouth: Option<AvatarShapes>,
    /// Seconds after which the state `then` takes its place, 0.05 to 3600. It stays when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.05, max = 3600))]
    pub duration: Option<f32>,
    /// The state after it; needs a `duration`. Default `idle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

/// What differs when an avatar feels something: in all states, or in some.
///
/// `{"eyes": "host/eyes-happy.svg", "states": {"wave": {"eyes": "host/eyes-wave-happy.svg"}}}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarEmotion {
    /// The picture in the place of every state's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Where that picture lies in the frame. Default 0, 0.
    #[serde(skip_serializing_if = "is_default")]
    pub offset: Offset,
    /// The eyes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eyes: Option<AvatarPicture>,
    /// What is seen while it blinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blink: Option<AvatarPicture>,
    /// The shapes of the mouth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mouth: Option<AvatarShapes>,
    /// What differs further in some states, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, AvatarOverride>,
}

/// What differs in one state while an avatar feels something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarOverride {
    /// The picture in the place of the state's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Where that picture lies in the frame. Default 0, 0.
    #[serde(skip_serializing_if = "is_default")]
    pub offset: Offset,
    /// The eyes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eyes: Option<AvatarPicture>,
    /// What is seen while it blinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blink: Option<AvatarPicture>,
    /// The shapes of the mouth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mouth: Option<AvatarShapes>,
}

/// A place in the frame of an avatar, in the pixels of its pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Offset {
    /// Pixels from the left edge of the frame. Default 0.
    #[schemars(range(min = -16384, max = 16384))]
    pub x: f32,
    /// Pixels from its top edge. Default 0.
    #[schemars(range(min = -16384, max = 16384))]
    pub y: f32,
}

/// A mouth that follows a level.
///
/// `{"level": "{{host.level}}", "shapes": [{"src": "closed.png", "from": 0}, {"src": "open.png", "from": 0.3}], "release": 0.1}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarMouth {
    /// How loud it speaks, 0 to 1, or the data path that gives it. A track can move it as `source.mouth.level`; it is then followed
    /// without smoothing. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(schema_with = "part")]
    pub level: Number,
    /// Its shapes in rising order of `from`, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub shapes: Vec<MouthShape>,
    /// Seconds in which it follows a rise of the level from 0 to 1; at 0 it follows on the very frame. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = 0, max = 10))]
    pub attack: f32,
    /// Seconds in which it follows a fall from 1 to 0. Default 0.12.
    #[serde(default = "release", skip_serializing_if = "is_release")]
    #[schemars(range(min = 0, max = 10))]
    pub release: f32,
    /// How far the level falls below a shape's `from` before the shape goes, so that it does not flicker. Default 0.03.
    #[serde(default = "hysteresis", skip_serializing_if = "is_hysteresis")]
    #[schemars(range(min = 0, max = 1))]
    pub hysteresis: f32,
}

/// Shapes of a mouth in the place of others; none when the list is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarShapes {
    /// In rising order of `from`, at most 16.
    #[schemars(length(max = 16))]
    pub shapes: Vec<MouthShape>,
}

/// One shape of a mouth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MouthShape {
    /// Name of an entry in the scene's `assets`, or a path relative to the scene file.
    pub src: String,
    /// Where the picture lies in the frame. Default 0, 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offset: Offset,
    /// The level from which on it is seen, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub from: f32,
}

/// How an avatar blinks. When it does follows from the layer's id and the tick, so two avatars do not blink together.
///
/// `{"src": "host/closed.svg", "every": [2.5, 6], "duration": 0.14, "double": 0.15}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarBlink {
    /// What is seen in the place of the eyes, in the states that have no `blink` of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Where that picture lies in the frame. Default 0, 0.
    #[serde(skip_serializing_if = "is_default")]
    pub offset: Offset,
    /// The least and the most seconds from one blink to the next, 0.2 to 600. Default 2.5 and 6.
    #[schemars(inner(range(min = 0.2, max = 600)))]
    pub every: [f32; 2],
    /// Seconds for which the eyes are closed. Default 0.14.
    #[schemars(range(min = 0.02, max = 2))]
    pub duration: f32,
    /// The part of blinks that come as two, 0 to 1. Default 0.15.
    #[schemars(range(min = 0, max = 1))]
    pub double: f32,
}

/// How one look of an avatar becomes another: both are there for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarFade {
    /// Seconds, 0 (at once) to 10. Default 0.18.
    #[schemars(range(min = 0, max = 10))]
    pub duration: f32,
    /// Its course. Default `easeInOutSine`.
    pub easing: Easing,
}

/// Breathing: the top of the frame rises and sinks, its bottom stays. Each quarter of a pixel has the whole avatar composed anew.
///
/// `{"amount": 5, "period": 4}`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AvatarBreath {
    /// How far the top rises, in the pixels of the pictures, 0 to 200. Default 5.
    #[schemars(range(min = 0, max = 200))]
    pub amount: f32,
    /// Seconds of one breath, 0.5 to 60. Default 4.
    #[schemars(range(min = 0.5, max = 60))]
    pub period: f32,
}

fn idle() -> Template {
    Template::literal(AvatarSource::IDLE)
}

fn neutral() -> Template {
    Template::literal(AvatarSource::NEUTRAL)
}

fn is_idle(state: &Template) -> bool {
    *state == idle()
}

fn is_neutral(emotion: &Template) -> bool {
    *emotion == neutral()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn talk_hold() -> f32 {
    0.4
}

fn is_talk_hold(seconds: &f32) -> bool {
    *seconds == talk_hold()
}

fn release() -> f32 {
    0.12
}

fn is_release(seconds: &f32) -> bool {
    *seconds == release()
}

fn hysteresis() -> f32 {
    0.03
}

fn is_hysteresis(part: &f32) -> bool {
    *part == hysteresis()
}

fn part(_: &mut SchemaGenerator) -> Schema {
    Number::schema(0.0, 1.0)
}

impl Default for AvatarBlink {
    fn default() -> Self {
        Self {
            src: None,
            offset: Offset::default(),
            every: [2.5, 6.0],
            duration: 0.14,
            double: 0.15,
        }
    }
}

impl Default for AvatarFade {
    fn default() -> Self {
        Self {
            duration: 0.18,
            easing: Easing::EaseInOutSine,
        }
    }
}

impl Default for AvatarBreath {
    fn default() -> Self {
        Self {
            amount: 5.0,
            period: 4.0,
        }
    }
}

impl Fields for AvatarSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "mouth.level" => template(&mut self.mouth.as_mut()?.level, 0.0, 1.0),
            "breathe.amount" => number(&mut self.breathe.as_mut()?.amount, 0.0, 200.0),
            _ => None,
        }
    }

    fn field_paths(&self) -> Vec<String> {
        let level = self.mouth.as_ref().map(|_| "mouth.level".to_owned());
        let breath = self.breathe.as_ref().map(|_| "breathe.amount".to_owned());
        level.into_iter().chain(breath).collect()
    }
}
