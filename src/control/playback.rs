//! What the file of a layer can be told.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Plays, pauses or moves the film or the sound of a layer whose source is a file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlayLayer {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// What it does.
    pub action: PlaybackWord,
    /// Seconds of the file, from its beginning; only with `seek`. What lies beyond its in and out points is moved to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub to: Option<f64>,
}

/// What a file is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlaybackWord {
    /// Goes on. It is the source's `paused` that changes.
    Play,
    /// Stands still and is silent.
    Pause,
    /// Goes on at another place, or stands still there.
    Seek,
    /// Plays from its in point.
    Restart,
}
