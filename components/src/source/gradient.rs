//! A run of colours over the whole box.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
