//! Changes of timelines.

use components::animation::Glide;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::schema;

/// Plays a timeline: on from where it stands, from its start when it was stopped or has ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlayTimeline {
    /// The name of a timeline, or of a group of timelines.
    #[schemars(schema_with = "schema::text")]
    pub id: String,
    /// How what it moves goes there from what is on screen; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::glide")]
    pub blend: Option<Glide>,
}

/// Lets a timeline stand still where it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PauseTimeline {
    /// The name of a timeline, or of a group of timelines.
    #[schemars(schema_with = "schema::text")]
    pub id: String,
}

/// Moves a timeline to a time; whether it plays does not change.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeekTimeline {
    /// The name of a timeline, or of a group of timelines.
    #[schemars(schema_with = "schema::text")]
    pub id: String,
    /// Seconds from its start, or the name of one of its markers.
    pub to: SeekTo,
    /// How what it moves goes there from what is on screen; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::glide")]
    pub blend: Option<Glide>,
}

/// A time on a timeline.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected seconds from the timeline's start, or the name of a marker"
)]
pub enum SeekTo {
    /// Seconds from its start.
    Seconds(#[schemars(range(min = 0, max = 86_400))] f64),
    /// A marker's name.
    Marker(#[schemars(length(min = 1, max = 128))] String),
}

/// Lets a timeline go of everything that it moves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopTimeline {
    /// The name of a timeline, or of a group of timelines.
    #[schemars(schema_with = "schema::text")]
    pub id: String,
    /// How what it moves goes there from what is on screen; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::glide")]
    pub blend: Option<Glide>,
}

/// Adds a timeline to the scene on air, or puts it in the place of the one of the same name, which goes on from where it stands.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutTimeline {
    /// The timeline.
    #[schemars(with = "components::animation::TimelineSpec")]
    pub timeline: Value,
}

/// Removes a timeline; what it moved goes back to its own values.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteTimeline {
    /// The timeline's name.
    #[schemars(schema_with = "schema::text")]
    pub id: String,
}
