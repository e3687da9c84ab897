//! One colour over the whole box.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::animation::{FieldMut, Fields};
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

impl Fields for ColourSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        (path == "color").then_some(FieldMut::Colour(&mut self.color))
    }

    fn field_paths(&self) -> Vec<String> {
        vec!["color".to_owned()]
    }
}
