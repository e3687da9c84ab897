//! Sources: what gives a layer its pixels. One component a kind; a layer has exactly one.
//!
//! To add a kind: one file here, one in `systems`, one line in [`Source`].

mod colour;
mod gradient;
mod image;
mod shape;
mod text;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::Serialize;

pub use colour::ColourSource;
pub use gradient::GradientSource;
pub use image::ImageSource;
pub use shape::{CornerRadii, ShapeKind, ShapeSource, Stroke};
pub use text::{
    Align, FitText, Font, FontStyle, Outline, Overflow, Shadow, TextDirection, TextSource,
    VerticalAlign,
};

use crate::validate::{Problems, Validate};

/// The source of a layer as files and the API write it; `type` tells the kind.
///
/// It is read by `scene::registry` in the program (kind first, then its fields), so that an error keeps its place.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Source {
    /// One colour.
    #[serde(rename = "color")]
    Colour(ColourSource),
    /// A run of colours.
    Gradient(GradientSource),
    /// A still picture.
    Image(ImageSource),
    /// A rectangle, an ellipse or a path.
    Shape(ShapeSource),
    /// Words.
    Text(TextSource),
    /// Nothing of its own: it holds its children together.
    Group(GroupSource),
}

/// A layer that draws only its children.
#[derive(
    Component, Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct GroupSource {}

impl Source {
    /// The `type` of every kind, as files write them.
    pub const KINDS: &[&str] = &["color", "gradient", "image", "shape", "text", "group"];

    /// The `type` of this one.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Colour(_) => "color",
            Self::Gradient(_) => "gradient",
            Self::Image(_) => "image",
            Self::Shape(_) => "shape",
            Self::Text(_) => "text",
            Self::Group(_) => "group",
        }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::Group(GroupSource::default())
    }
}

impl Validate for Source {
    fn validate(&self, problems: &mut Problems) {
        match self {
            Self::Colour(_) | Self::Group(_) | Self::Image(_) => {}
            Self::Gradient(source) => {
                problems.at("gradient", |problems| source.gradient.validate(problems))
            }
            Self::Shape(source) => source.validate(problems),
            Self::Text(source) => source.validate(problems),
        }
    }
}
