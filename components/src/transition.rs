//! How a layer comes and goes, and how one scene gives way to another.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::animation::Easing;
use crate::layer::Size;
use crate::validate::{Problems, Validate};
use crate::value::{Colour, Point};

/// One way to come or to go. Fields that a kind does not use are errors.
///
/// `{"type": "wipe", "side": "left", "softness": 80, "duration": 0.8}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Transition {
    /// The way. Default `cut`.
    #[serde(rename = "type")]
    pub kind: TransitionKind,
    /// Seconds, 0 to 60. Default 0.5. A `stinger` is as long as its clip.
    #[schemars(range(min = 0, max = 60))]
    pub duration: f32,
    /// Its course. Default `easeInOutCubic`.
    pub easing: Easing,
    /// Seconds before it begins; of layers alone. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 3600))]
    pub delay: f32,
    /// For `slide`, `push` and `wipe`: the side that it comes from; on its way out, the side that it goes to. Default `left`.
    #[serde(skip_serializing_if = "is_default")]
    pub side: Side,
    /// For `wipe`: the direction in which the edge goes, in degrees clockwise from the right, in the place of `side`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -360, max = 360))]
    pub angle: Option<f32>,
    /// For `wipe`, `iris` and `clock`: pixels over which the edge fades. Default 0, a clean edge.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 4000))]
    pub softness: f32,
    /// For `iris`, `clock` and `scale`: the middle, as parts of the layer's box or of the canvas. Default the middle of it.
    #[serde(skip_serializing_if = "is_default")]
    pub center: Point,
    /// For `fadeThroughColor`: the colour in between. Default black.
    #[serde(skip_serializing_if = "is_black")]
    pub color: Colour,
    /// For `scale`: the factor from which it grows, or to which it shrinks, 0 to 10. Default 0.8. It fades as well.
    #[serde(skip_serializing_if = "is_scale")]
    #[schemars(range(min = 0, max = 10))]
    pub scale: f32,
    /// For `slide` of a layer: pixels of the canvas that it goes. Default as far as it takes to leave the canvas.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16384))]
    pub distance: Option<f32>,
    /// For `slide`: whether it fades as well. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fade: bool,
    /// For `stinger`, and needed by it: an animated picture with transparency (APNG, WebP or GIF) that plays over the change, by the name
    /// of an asset or its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub src: Option<String>,
    /// For `stinger`: seconds of the clip at which what is below it changes. Default the middle of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 60))]
    pub cut_at: Option<f32>,
}

/// The kinds of transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TransitionKind {
    /// At once.
    #[default]
    Cut,
    /// Dissolves.
    Fade,
    /// Dissolves into a colour, and out of it.
    FadeThroughColor,
    /// Moves in over what is there.
    Slide,
    /// Moves in and moves away what is there; a layer slides.
    Push,
    /// Grows and fades in.
    Scale,
    /// Is uncovered by a straight edge.
    Wipe,
    /// Is uncovered by a circle that grows.
    Iris,
    /// Is uncovered by a hand that goes round, from the top clockwise.
    Clock,
    /// Is changed behind a clip that plays over it.
    Stinger,
}

/// A side of the canvas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// The left.
    #[default]
    Left,
    /// The right.
    Right,
    /// The top.
    Top,
    /// The bottom.
    Bottom,
}

/// How a layer comes when it is created, when it becomes visible, and with its scene. Written by spawning and by edits.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Enter(pub Transition);

/// How a layer goes when it becomes invisible and when it is removed. Written by spawning and by edits.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Exit(pub Transition);

impl Default for Transition {
    fn default() -> Self {
        Self {
            kind: TransitionKind::Cut,
            duration: 0.5,
            easing: Easing::EaseInOutCubic,
            delay: 0.0,
            side: Side::Left,
            angle: None,
            softness: 0.0,
            center: Point::default(),
            color: Colour::BLACK,
            scale: 0.8,
            distance: None,
            fade: false,
            src: None,
            cut_at: None,
        }
    }
}

impl Transition {
    /// One of a kind that takes `duration` seconds.
    pub fn new(kind: TransitionKind, duration: f32) -> Self {
        Self {
            kind,
            duration,
            ..Self::default()
        }
    }

    /// Whether nothing is seen of it.
    pub fn is_cut(&self) -> bool {
        match self.kind {
            TransitionKind::Cut => true,
            TransitionKind::Stinger => false,
            _ => self.duration <= 0.0,
        }
    }

    fn uses(&self, field: &str) -> bool {
        use TransitionKind as K;
        match field {
            "side" => matches!(self.kind, K::Slide | K::Push | K::Wipe),
            "angle" => self.kind == K::Wipe,
            "softness" => matches!(self.kind, K::Wipe | K::Iris | K::Clock),
            "center" => matches!(self.kind, K::Iris | K::Clock | K::Scale),
            "color" => self.kind == K::FadeThroughColor,
            "scale" => self.kind == K::Scale,
            "distance" => self.kind == K::Slide,
            "fade" => matches!(self.kind, K::Slide | K::Push),
            _ => self.kind == K::Stinger,
        }
    }
}

fn is_zero(number: &f32) -> bool {
    *number == 0.0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_black(colour: &Colour) -> bool {
    *colour == Colour::BLACK
}

fn is_scale(scale: &f32) -> bool {
    *scale == 0.8
}

impl Validate for Transition {
    fn validate(&self, problems: &mut Problems) {
        problems.range("duration", self.duration, 0.0..=60.0);
        problems.range("delay", self.delay, 0.0..=3600.0);
        problems.range("softness", self.softness, 0.0..=4000.0);
        problems.range("scale", self.scale, 0.0..=10.0);
        problems.at("center", |problems| self.center.validate(problems));
        problems.at("easing", |problems| self.easing.validate(problems));
        for (name, value, high) in [
            ("distance", self.distance, Size::MAX),
            ("cutAt", self.cut_at, 60.0),
        ] {
            if let Some(value) = value {
                problems.range(name, value, 0.0..=high);
            }
        }
        if let Some(angle) = self.angle {
            problems.range("angle", angle, -360.0..=360.0);
        }
        let given = [
            ("side", self.side != Side::Left),
            ("angle", self.angle.is_some()),
            ("softness", self.softness != 0.0),
            ("center", self.center != Point::default()),
            ("color", self.color != Colour::BLACK),
            ("scale", self.scale != 0.8),
            ("distance", self.distance.is_some()),
            ("fade", self.fade),
            ("src", self.src.is_some()),
            ("cutAt", self.cut_at.is_some()),
        ];
        for (name, is_given) in given {
            if is_given && !self.uses(name) {
                problems.at(name, |problems| {
                    problems.report("this kind of transition does not use it")
                });
            }
        }
        if self.kind == TransitionKind::Stinger && self.src.is_none() {
            problems.report("a stinger needs its clip, `src`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kind_does_not_use_is_told() {
        let transition: Transition =
            serde_json::from_str(r##"{"type": "fade", "side": "top", "color": "#fff"}"##)
                .expect("of the right shape");
        let mut problems = Problems::new();
        transition.validate(&mut problems);
        let paths: Vec<_> = problems.into_vec().into_iter().map(|it| it.path).collect();
        assert_eq!(paths, ["side", "color"]);
    }
}
