//! A run of colours over the whole box.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::animation::{FieldMut, Fields, below};
use crate::value::Gradient;

/// A gradient over the layer's box, or over the whole canvas when the layer has no size.
///
/// `{"type": "gradient", "gradient": {"angle": 90, "stops": [{"at": 0, "color": "#f06"}, {"at": 1, "color": "#06f"}]}}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GradientSource {
    /// The gradient.
    pub gradient: Gradient,
}

impl Fields for GradientSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        self.gradient.field_mut(path.strip_prefix("gradient.")?)
    }

    fn field_paths(&self) -> Vec<String> {
        below("gradient", self.gradient.field_paths()).collect()
    }
}
