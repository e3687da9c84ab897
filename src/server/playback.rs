//! Plays, pauses and moves the file of a layer.

use axum::extract::State;
use components::source::Source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::answer::{Answered, Asking, Json, Name, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{PlayLayer, PlaybackWord};
use crate::control::schema::NAME_PATTERN;
use crate::control::show::{layer_ids, layer_with_parent};
use crate::control::{ApiError, Change, ErrorCode, Show};

/// What a file is to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LayerPlay")]
struct Playback {
    /// What it does.
    action: PlaybackWord,
    /// Seconds of the file, from its beginning; only with `seek`. What lies beyond its in and out points is moved to them.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    to: Option<f64>,
}

/// How a file plays.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LayerPlayback")]
#[serde(rename_all = "camelCase")]
struct PlaybackView {
    /// The layer.
    id: String,
    /// Whether it stands still.
    paused: bool,
    /// Seconds of the file a second of the stream.
    speed: f32,
    /// Whether it begins again when it has ended.
    #[serde(rename = "loop")]
    loops: bool,
}

/// The routes.
pub fn routes() -> Routes {
    let pattern = json!({"type": "string", "pattern": NAME_PATTERN});
    Routes::new().post(
        "/layers/{id}/playback",
        Doc::new("layers", "playLayer", "Plays, pauses or moves the film or the sound of a layer")
            .more("The layer's source is a file, `video` or `audio`. Its sound stays with its picture, and goes over without a click.")
            .path("id", pattern, "The layer's id.")
            .body::<Playback>()
            .example(json!({"action": "seek", "to": 12.5}))
            .error(ErrorCode::Conflict)
            .terms()
            .changes::<PlaybackView>("How it plays after it."),
        play,
    )
}

async fn play(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    Json(body): Json,
) -> Answered {
    let Playback { action, to } = super::answer::read(&body)?;
    let change = Change::PlayLayer(PlayLayer {
        id: id.clone(),
        action,
        to,
    });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, view(&outcome.show, &id)?)
}

fn view(show: &Show, id: &str) -> Result<PlaybackView, ApiError> {
    let spec = &show.program.spec;
    let (layer, _) = layer_with_parent(spec, id)
        .ok_or_else(|| ApiError::not_found("layer", id, layer_ids(spec)))?;
    let (paused, speed, loops) = match &layer.source {
        Source::Video(video) => (video.paused, video.speed, video.loops),
        Source::Audio(audio) => (audio.paused, 1.0, audio.loops),
        _ => return Err(ApiError::internal("a file was lost")),
    };
    Ok(PlaybackView {
        id: id.to_owned(),
        paused,
        speed,
        loops,
    })
}
