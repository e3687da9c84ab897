//! One colour over the whole box.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Colour;

/// One colour over the layer's box, or over the whole canvas when the layer has no size.
///
/// `{"type": "color", "color": "#0b0d17"}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColourSource {
    /// The colour.
    pub color: Colour,
}
