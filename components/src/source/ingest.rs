//! Whoever publishes to the program's own RTMP server.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::Reception;
use crate::validate::{Problems, Validate};

/// A publisher on the embedded RTMP server, by the `id` or the name of the stream key that it publishes with.
///
/// `{"type": "ingest", "key": "guest"}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngestSource {
    /// The `id` or the name of a stream key; never the key itself, which is a secret.
    #[schemars(length(min = 1, max = 128), example = &"guest")]
    pub key: String,
    /// How it is held together.
    #[serde(default, skip_serializing_if = "Reception::is_default")]
    pub reception: Reception,
}

impl Validate for IngestSource {
    fn validate(&self, problems: &mut Problems) {
        problems.at("key", |problems| {
            if self.key.is_empty() || self.key.len() > 128 {
                problems.report("it must have 1 to 128 letters");
            }
            if self.key.starts_with("sm_") {
                problems.report(
                    "a stream key is a secret: name it by its `id` or its name, which `GET /stream/keys` tells",
                );
            }
        });
        problems.at("reception", |problems| self.reception.validate(problems));
    }
}
