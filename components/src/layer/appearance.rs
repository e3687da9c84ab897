//! How a layer looks, whatever its source.

use bevy_ecs::component::Component;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::validate::{Problems, Validate};
use crate::value::Number;

/// How much of the layer is seen, 0 (nothing) to 1 (all of it). Children are seen through their groups: factors multiply.
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Opacity(#[schemars(schema_with = "part")] pub Number);

fn part(_: &mut SchemaGenerator) -> Schema {
    Number::schema(0.0, 1.0)
}

impl Default for Opacity {
    fn default() -> Self {
        Self(Number::Literal(1.0))
    }
}

/// Whether the layer and its children are drawn at all.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Visible(pub bool);

impl Default for Visible {
    fn default() -> Self {
        Self(true)
    }
}

/// How the layer's colours meet those below it, as in W3C "Compositing and Blending Level 1", on sRGB values.
#[derive(
    Component, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum BlendMode {
    /// Lies over what is below.
    #[default]
    Normal,
    /// Product: darkens, white changes nothing.
    Multiply,
    /// Inverse product: lightens, black changes nothing.
    Screen,
    /// Multiply in the darks below, screen in the lights.
    Overlay,
    /// The darker of the two, channel by channel.
    Darken,
    /// The lighter of the two, channel by channel.
    Lighten,
    /// Sum, cut at white (`plus-lighter`).
    Add,
}

impl BlendMode {
    /// Every mode.
    pub const ALL: [Self; 7] = [
        Self::Normal,
        Self::Multiply,
        Self::Screen,
        Self::Overlay,
        Self::Darken,
        Self::Lighten,
        Self::Add,
    ];
}

/// What is cut off the edges of the source before it is fitted, in source pixels: `{"left": 40, "right": 40}`.
///
/// On a group it cuts the group's box and clips the children to it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Crop {
    /// Pixels cut off the left edge, 0 or more.
    #[schemars(range(min = 0, max = 16384))]
    pub left: f32,
    /// Pixels cut off the top edge, 0 or more.
    #[schemars(range(min = 0, max = 16384))]
    pub top: f32,
    /// Pixels cut off the right edge, 0 or more.
    #[schemars(range(min = 0, max = 16384))]
    pub right: f32,
    /// Pixels cut off the bottom edge, 0 or more.
    #[schemars(range(min = 0, max = 16384))]
    pub bottom: f32,
}

impl Crop {
    /// Whether nothing is cut.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Validate for Crop {
    fn validate(&self, problems: &mut Problems) {
        for (side, value) in [
            ("left", self.left),
            ("top", self.top),
            ("right", self.right),
            ("bottom", self.bottom),
        ] {
            problems.range(side, value, 0.0..=super::Size::MAX);
        }
    }
}

/// How a source fills a box of another shape, as CSS `object-fit` does.
#[derive(
    Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Fit {
    /// The whole source is seen, with room left over at two sides.
    #[default]
    Contain,
    /// The whole box is filled; what hangs over is cut.
    Cover,
    /// Stretched to the box.
    Fill,
    /// In its own size, centred, cut at the box.
    None,
}
