//! What can be asked for: one kind of change a line, the same for REST, batches and WebSocket.
//!
//! A change is written as `{"type": "layer.update", "id": "host", "patch": {"opacity": 0.5}}`.

mod audio;
mod speech;
mod timelines;

use components::Problem;
use components::animation::Glide;
use components::effect::{Effect, Effects};
use components::transition::Transition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::ConfigPatch;
use super::error::{ApiError, ErrorCode};
pub use super::playback::{PlayLayer, PlaybackWord};
use super::schema;
use super::show::PausedAs;
use super::view::json_of;
use crate::scene::registry::{self, field};
use crate::scene::words;

pub use audio::{ResetMeters, UpdateAudio, UpdateChannel};
pub use speech::{SaySpeech, StopSpeech};
pub use timelines::{
    DeleteTimeline, PauseTimeline, PlayTimeline, PutTimeline, SeekTimeline, SeekTo, StopTimeline,
};

/// Makes of the list: the enum, how it is read, its schema, and the list of its names.
macro_rules! changes {
    ($($name:literal => $variant:ident $(, $payload:literal)?;)+) => {
        /// One change of the world that can be asked for.
        #[derive(Clone, Debug)]
        pub enum Change {
            $(
                #[doc = concat!("`", $name, "`.")]
                $variant($variant),
            )+
        }

        impl Change {
            /// The `type` of every change.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The `type` of this one.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            /// The field whose value is authored (a layer, a patch), and is the whole body where REST asks for this change.
            pub fn payload(&self) -> &'static str {
                match self { $(Self::$variant(_) => concat!($($payload)?),)+ }
            }

            /// As it is asked for.
            pub fn to_json(&self) -> Value {
                let mut value = match self { $(Self::$variant(body) => json_of(body),)+ };
                if let Value::Object(map) = &mut value {
                    map.insert("type".to_owned(), self.name().into());
                }
                value
            }

            fn read(name: &str, value: &Value, path: &str, found: &mut Vec<Problem>) -> Option<Self> {
                match name {
                    $($name => registry::read_body(value, path, Some("type"), found).map(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl JsonSchema for Change {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "Command".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let kinds: Vec<Value> = vec![$({
                    let schema = <$variant as JsonSchema>::json_schema(generator);
                    with_type(schema, $name)
                }),+];
                json_schema!({
                    "description": "One change of the world. `type` says which; the other fields are its own.",
                    "oneOf": kinds,
                })
            }
        }
    };
}

changes! {
    "layer.create" => CreateLayer, "layer";
    "layer.update" => UpdateLayer, "patch";
    "layer.replace" => ReplaceLayer, "layer";
    "layer.delete" => DeleteLayer;
    "layer.move" => MoveLayer;
    "chat.push" => PushChat, "messages";
    "chat.delete" => DeleteChat;
    "chat.clear" => ClearChat;
    "avatar.set" => SetAvatar;
    "effects.put" => PutEffects, "effects";
    "effects.add" => AddEffect, "effect";
    "effects.update" => UpdateEffect, "patch";
    "effects.delete" => DeleteEffect;
    "audio.update" => UpdateAudio, "patch";
    "audio.channel" => UpdateChannel, "patch";
    "audio.resetMeters" => ResetMeters;
    "data.update" => UpdateData, "patch";
    "timeline.play" => PlayTimeline;
    "timeline.pause" => PauseTimeline;
    "timeline.seek" => SeekTimeline;
    "timeline.stop" => StopTimeline;
    "timeline.put" => PutTimeline, "timeline";
    "timeline.delete" => DeleteTimeline;
    "layer.playback" => PlayLayer;
    "speech.say" => SaySpeech;
    "speech.stop" => StopSpeech;
    "feed.push" => PushItems, "items";
    "feed.update" => UpdateItem, "patch";
    "feed.delete" => DeleteItem;
    "feed.next" => NextItem;
    "feed.previous" => PreviousItem;
    "feed.show" => ShowItem;
    "scene.activate" => ActivateScene;
    "scene.preview" => PreviewScene;
    "transition.hold" => HoldTransition;
    "transition.run" => RunTransition;
    "stream.pause" => PauseStream;
    "stream.resume" => ResumeStream;
    "config.update" => UpdateConfig, "patch";
}

/// Adds a layer to the scene on air.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateLayer {
    /// The layer.
    #[schemars(schema_with = "schema::layer")]
    pub layer: Value,
    /// The layer in whose space it stands; none on the canvas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_name")]
    pub parent: Option<String>,
    /// Place among its siblings, which breaks ties of `zIndex`; last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::index")]
    pub index: Option<usize>,
}

/// Changes some fields of a layer by a JSON merge patch (RFC 7396): what is absent stays, `null` is the default.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateLayer {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The fields that change.
    #[schemars(with = "schema::LayerPatch")]
    pub patch: Value,
    /// How numbers and colours go there from what is on screen; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::glide")]
    pub animate: Option<Glide>,
    /// Whether the coordinates that the patch writes snap, where the scene's `canvas.grid.snap` is true: on the canvas to the nearest of
    /// the grid's lines, the edges of the safe areas and the canvas's middle; in a group to a grid of the same size.
    #[serde(default, skip_serializing_if = "is_false")]
    pub snap: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// Puts a whole layer in the place of another; its name may not change.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplaceLayer {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The layer that takes its place.
    #[schemars(schema_with = "schema::layer")]
    pub layer: Value,
}

/// Removes a layer and all below it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteLayer {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
}

/// Moves a layer below another one, or to another place among its siblings.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveLayer {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The layer in whose space it stands from now on; none on the canvas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_name")]
    pub parent: Option<String>,
    /// Place among its new siblings; last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::index")]
    pub index: Option<usize>,
}

/// The most messages that one command adds to a chat.
pub const PUSH_MAX: usize = 100;

/// Adds messages to a chat. When it has more than its `maxMessages`, the oldest go. A message whose id is there takes the place of the
/// other.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushChat {
    /// The name of the chat's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// A message, or a list of 1 to 100, the oldest first.
    #[schemars(schema_with = "schema::messages")]
    pub messages: Value,
}

/// Takes messages away from a chat, at once and without a trace: one by its id, or all of an author.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteChat {
    /// The name of the chat's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The message's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub message: Option<String>,
    /// The author, exactly as in the messages. In the place of `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub author: Option<String>,
}

/// Takes all messages away from a chat, at once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClearChat {
    /// The name of the chat's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
}

/// Tells an avatar what it does, what it feels, and how loud it speaks; what is absent stays. A field that is bound to data stays bound,
/// and the data is written. A state that ends by itself begins anew when it is told again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetAvatar {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// One of its states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub state: Option<String>,
    /// One of its emotions, or `neutral`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub emotion: Option<String>,
    /// The level of its mouth, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub level: Option<f32>,
}

/// Puts a list of effects in the place of all that a layer has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutEffects {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub layer: String,
    /// The effects, in the order in which they are applied.
    #[schemars(with = "Effects")]
    pub effects: Value,
}

/// Adds an effect to a layer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddEffect {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub layer: String,
    /// The effect.
    #[schemars(with = "Effect")]
    pub effect: Value,
    /// Its place among the layer's effects; last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::index")]
    pub index: Option<usize>,
}

/// Changes some fields of an effect by a JSON merge patch (RFC 7396): what is absent stays, `null` is the default. Another `type` takes
/// the place of all but `id` and `enabled`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateEffect {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub layer: String,
    /// The effect's `id`, its `type`, or its place from 0.
    #[schemars(schema_with = "schema::effect_name")]
    pub effect: String,
    /// The fields that change.
    #[schemars(with = "schema::EffectPatch")]
    pub patch: Value,
    /// How numbers and colours go there from what is on screen; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::glide")]
    pub animate: Option<Glide>,
}

/// Removes an effect, with the tracks that move it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteEffect {
    /// The layer's name.
    #[schemars(schema_with = "schema::name")]
    pub layer: String,
    /// The effect's `id`, its `type`, or its place from 0.
    #[schemars(schema_with = "schema::effect_name")]
    pub effect: String,
}

/// Changes the scene's variables by a JSON merge patch (RFC 7396); everything bound to them changes on one frame.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateData {
    /// The variables that change; `null` removes one.
    #[schemars(with = "Map<String, Value>")]
    pub patch: Value,
}

/// Adds items to a feed. The one on show stays.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushItems {
    /// The name of the feed's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// An item, or a list of items.
    #[schemars(with = "schema::Items")]
    pub items: Value,
    /// Place of the first among the feed's items; last when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::index")]
    pub position: Option<usize>,
}

/// Changes some fields of a feed's item by a JSON merge patch (RFC 7396). A new bid of the item on show rolls up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateItem {
    /// The name of the feed's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The item's name.
    #[schemars(schema_with = "schema::name")]
    pub item: String,
    /// The fields that change.
    #[schemars(with = "schema::ItemPatch")]
    pub patch: Value,
}

/// Removes an item of a feed; when it is on show, the next one takes its place.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteItem {
    /// The name of the feed's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The item's name.
    #[schemars(schema_with = "schema::name")]
    pub item: String,
}

/// Shows the next item of a feed now, also when one is pinned.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NextItem {
    /// The name of the feed's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
}

/// Shows the item before the one on show now, also when one is pinned.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviousItem {
    /// The name of the feed's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
}

/// Shows an item of a feed now; the feed goes on from there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowItem {
    /// The name of the feed's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The item's name.
    #[schemars(schema_with = "schema::name")]
    pub item: String,
    /// Whether it stays until the feed is told otherwise. Default false.
    #[serde(default)]
    pub pin: bool,
}

/// Takes a scene on air.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivateScene {
    /// The scene's name; the one in preview when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_name")]
    pub scene: Option<String>,
    /// How it comes; the scene's own way when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::transition")]
    pub transition: Option<Transition>,
}

/// Makes a scene ready to come on air next.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewScene {
    /// The scene's name.
    #[schemars(schema_with = "schema::name")]
    pub scene: String,
}

/// Has the change of scenes stand at a position, as the bar of a vision mixer does; starts one where none is in course.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldTransition {
    /// How much of the coming scene is there: 0 nothing, 1 all of it. At 1 the change still stands; `finish` ends it.
    #[schemars(range(min = 0, max = 1))]
    pub position: f32,
    /// Where none is in course: the scene that comes; the one in preview when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_name")]
    pub scene: Option<String>,
    /// Where none is in course: how it comes; the scene's own way when absent, a fade where that is a cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::transition")]
    pub transition: Option<Transition>,
}

/// Tells the change of scenes that is in course to go on, to turn round, or to end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunTransition {
    /// What it does.
    pub action: RunAction,
}

/// What a change of scenes is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RunAction {
    /// Goes on to the end from where it stands.
    Continue,
    /// Turns round: the scene that goes comes back, from what is on screen.
    Reverse,
    /// The scene that goes is back at once.
    Cancel,
    /// The scene that comes is there at once.
    Finish,
}

/// Shows a slate or the last frame in the place of the scene, which goes on behind it. The stream stays connected.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PauseStream {
    /// What is shown.
    pub show: PausedAs,
}

/// Shows the scene again.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeStream {}

/// Changes settings while running.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateConfig {
    /// The settings that change.
    #[schemars(with = "ConfigPatch")]
    pub patch: Value,
}

/// A change and where its authored value stands in the request, for the paths of problems.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The change.
    pub change: Change,
    /// Path of the change itself; empty where it is the whole request.
    pub path: String,
    /// Path of its payload; empty where that is the whole body.
    pub payload_path: String,
}

impl From<Change> for Asked {
    /// A change whose payload is the whole body.
    fn from(change: Change) -> Self {
        Self {
            change,
            path: String::new(),
            payload_path: String::new(),
        }
    }
}

impl Asked {
    /// Reads one change.
    ///
    /// # Errors
    /// Every problem of its shape. Layers and patches are looked at when they are applied.
    pub fn parse(value: &Value, path: &str) -> Result<Self, ApiError> {
        let mut found = Vec::new();
        let problem = |path: String, message: String, help: Option<String>| {
            let problem = Problem {
                path,
                message,
                help,
                on_key: false,
            };
            ApiError::problems(ErrorCode::BadRequest, &[problem])
        };
        let Some(map) = value.as_object() else {
            let message = "expected a command, an object with a `type`".to_owned();
            return Err(problem(path.to_owned(), message, None));
        };
        let Some(name) = map.get("type").and_then(Value::as_str) else {
            let message = "a command needs a `type`".to_owned();
            let help = words::suggest("", Change::NAMES);
            return Err(problem(path.to_owned(), message, help));
        };
        if !Change::NAMES.contains(&name) {
            let message = format!("unknown kind of command {}", words::name(name));
            let help = words::suggest(name, Change::NAMES);
            return Err(problem(field(path, "type"), message, help));
        }
        match Change::read(name, value, path, &mut found) {
            Some(change) if found.is_empty() => Ok(Self {
                payload_path: field(path, change.payload()),
                path: path.to_owned(),
                change,
            }),
            _ => Err(ApiError::problems(ErrorCode::BadRequest, &found)),
        }
    }
}

/// The schema of a change's own fields with its `type` beside them.
fn with_type(schema: Schema, name: &str) -> Value {
    let mut value = schema.to_value();
    let constant = serde_json::json!({"type": "string", "const": name});
    if let Value::Object(schema) = &mut value {
        let properties = schema
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
        properties["type"] = constant;
        let required = schema
            .entry("required")
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(required) = required {
            required.insert(0, "type".into());
        }
        schema.insert("title".to_owned(), name.into());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_are_read_by_their_type_and_problems_name_their_place() {
        let asked = Asked::parse(
            &json!({"type": "layer.update", "id": "host", "patch": {"opacity": 2}}),
            "commands[3]",
        )
        .expect("a change");
        assert_eq!(asked.change.name(), "layer.update");
        assert_eq!(asked.payload_path, "commands[3].patch");
        for (value, path, word) in [
            (json!(7), "commands[0]", "object"),
            (
                json!({"type": "layer.updat"}),
                "commands[0].type",
                "layer.updat",
            ),
            (json!({"type": "layer.delete"}), "commands[0]", "`id`"),
            (
                json!({"type": "layer.delete", "id": "a", "force": true}),
                "commands[0].force",
                "unknown field",
            ),
        ] {
            let error = Asked::parse(&value, "commands[0]").expect_err("a problem");
            assert_eq!(error.details["problems"][0]["path"], path, "{error:?}");
            assert!(error.message.contains(word), "{error:?}");
        }
    }
}
