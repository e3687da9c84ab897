//! The change of what avatars say: that they stop. What they are to say comes with its sound, and is no change that can be written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::schema;

/// Breaks off what an avatar says and forgets what waits, or one utterance alone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopSpeech {
    /// The avatar's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The utterance; all of them when absent. One that is over already is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub utterance: Option<String>,
}
