//! What the systems compute on each tick from the authored components. Never saved, never read by commands.

use bevy_ecs::component::Component;
use glam::Vec2;

/// The value of an authored property on this tick, after data and tracks. Written in the set `Animate`; everything after it reads
/// this and not the authored component.
#[derive(Component)]
pub struct Computed<T: Animatable>(pub T::Value);

/// By hand, since a derived one would ask it of `T` as well.
impl<T: Animatable> PartialEq for Computed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// A property that has a value on each tick.
pub trait Animatable: Component {
    /// What it comes to, in plain numbers.
    type Value: Clone + PartialEq + Send + Sync + std::fmt::Debug + 'static;
}

impl Animatable for crate::layer::Position {
    type Value = Vec2;
}
impl Animatable for crate::layer::Scale {
    type Value = Vec2;
}
impl Animatable for crate::layer::Rotation {
    type Value = f32;
}
impl Animatable for crate::layer::Opacity {
    type Value = f32;
}
impl Animatable for crate::layer::Size {
    type Value = Vec2;
}
impl Animatable for crate::layer::Anchor {
    type Value = Vec2;
}
impl Animatable for crate::layer::Crop {
    type Value = Self;
}
impl Animatable for crate::layer::ZIndex {
    type Value = i32;
}

/// Sources are computed as a whole: the authored one, with those fields that tracks move.
macro_rules! sources {
    ($($source:ident),+ $(,)?) => {
        $(impl Animatable for crate::source::$source {
            type Value = Self;
        })+
    };
}

sources!(
    ColourSource,
    GradientSource,
    ShapeSource,
    TextSource,
    AvatarSource,
    ImageSource,
    TickerSource,
    ChatSource
);

impl Animatable for crate::sound::Sound {
    type Value = Self;
}

impl Animatable for crate::effect::Effects {
    type Value = Self;
}

/// The words of a text, or the path of an image, with its holes filled. Written in `Animate` when the data or the source changes.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct FilledText(pub String);

/// The natural size of the source in pixels: an image's own, a text's measure. Written in `Layout`; zero while unknown.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct NaturalSize(pub Vec2);

/// The layer's box on this tick, before its own scale, in pixels. Written in `Layout`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct LayoutBox(pub Vec2);

/// Place in the drawing order of the whole canvas, from the back. Written in `Layout` when the hierarchy or a z-index changes.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrawOrder(pub u32);
