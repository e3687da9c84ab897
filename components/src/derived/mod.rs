//! What the systems compute on each tick from the authored components. Never saved, never read by commands.

use std::sync::Arc;

use bevy_ecs::component::Component;
use glam::{Affine2, Vec2};

/// The value of an authored property on this tick, after data and tracks. Written in the set `Animate`; everything after it reads
/// this and not the authored component.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct Computed<T: Animatable>(pub T::Value);

/// A property that has a value on each tick.
pub trait Animatable: Component {
    /// What it comes to, in plain numbers.
    type Value: Copy + PartialEq + Send + Sync + std::fmt::Debug + 'static;
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

/// The words of a text, or the path of an image, with its holes filled. Written in `Animate` when the data or the source changes.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct FilledText(pub String);

/// The natural size of the source in pixels: an image's own, a text's measure. Written in `Layout`; zero while unknown.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct NaturalSize(pub Vec2);

/// The layer's box on this tick, before its own scale, in pixels. Written in `Layout`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct LayoutBox(pub Vec2);

/// Where the layer's box is on the canvas, and how much of it is seen. Written in `Layout`, parents first.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct OnCanvas {
    /// From the layer's box (pixels, origin at its top left) to the canvas.
    pub canvas_from_layer: Affine2,
    /// The product of the opacities from the root down, 0 to 1.
    pub opacity: f32,
    /// Whether the layer and all above it are visible.
    pub visible: bool,
    /// Factor by which the box is enlarged on the canvas, tracks of scale left out: the resolution to raster at. Above 0.
    pub raster_scale: Vec2,
}

impl Default for OnCanvas {
    fn default() -> Self {
        Self {
            canvas_from_layer: Affine2::IDENTITY,
            opacity: 1.0,
            visible: true,
            raster_scale: Vec2::ONE,
        }
    }
}

/// Place in the drawing order of the whole canvas, from the back. Written in `Layout` when the hierarchy or a z-index changes.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrawOrder(pub u32);

/// Who decoded or drew what, for blame: a name that outlives the entity.
#[derive(Component, Clone, Debug)]
pub struct BlameName(pub Arc<str>);
