//! Changes of sound: of the sum, and of one layer.

use components::animation::Glide;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::schema;

/// Changes what is done to the sum of all sounds, by a JSON merge patch (RFC 7396): what is absent stays, `null` is the default.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateAudio {
    /// The fields that change.
    #[schemars(with = "schema::MasterPatch")]
    pub patch: Value,
    /// How the gain goes there from what is heard; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::glide")]
    pub animate: Option<Glide>,
}

/// Changes how the sound of a layer is mixed, by a JSON merge patch (RFC 7396): what is absent stays, `null` is the default.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateChannel {
    /// The name of a layer that has sound.
    #[schemars(schema_with = "schema::name")]
    pub layer: String,
    /// The fields that change.
    #[schemars(with = "schema::SoundPatch")]
    pub patch: Value,
    /// How gain and pan go there from what is heard, which makes a fade; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::glide")]
    pub animate: Option<Glide>,
}

/// Has the meters begin anew what they show of the whole time: integrated loudness, and the largest true peak. That is no change of what is
/// authored, and makes no revision. Going on air does the same.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetMeters {}
