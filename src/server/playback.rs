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
use crate::inputs::InputView;

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
    /// Milliseconds of the file, from its beginning, at which it stands or goes on; nothing while the file is not open, or when it is an
    /// address without a length.
    #[serde(skip_serializing_if = "Option::is_none")]
    position_ms: Option<u64>,
    /// Milliseconds that the whole file lasts; nothing while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
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
    let input = api.station().inputs().get(&id);
    Reply::changed(&outcome, view(&outcome.show, &id, (action, to), input)?)
}

fn view(
    show: &Show,
    id: &str,
    (action, to): (PlaybackWord, Option<f64>),
    input: Option<InputView>,
) -> Result<PlaybackView, ApiError> {
    let spec = &show.program.spec;
    let (layer, _) = layer_with_parent(spec, id)
        .ok_or_else(|| ApiError::not_found("layer", id, layer_ids(spec)))?;
    let (paused, speed, loops, start, end) = match &layer.source {
        Source::Video(film) => (film.paused, film.speed, film.loops, film.start, film.end),
        Source::Audio(sound) => (sound.paused, 1.0, sound.loops, sound.start, sound.end),
        _ => return Err(ApiError::internal("a file was lost")),
    };
    let duration = input.as_ref().and_then(|input| input.duration);
    let end = end.map(f64::from).or(duration).unwrap_or(f64::INFINITY);
    // Where it is sent counts at once; the world tells of it with the frame.
    let position = input.and_then(|input| input.position);
    let position = position.map(|now| match (action, to) {
        (PlaybackWord::Seek, Some(to)) => to.max(f64::from(start)).min(end),
        (PlaybackWord::Restart, _) => f64::from(start),
        _ => now,
    });
    Ok(PlaybackView {
        id: id.to_owned(),
        paused,
        speed,
        loops,
        position_ms: position.map(milliseconds),
        duration_ms: duration.map(milliseconds),
    })
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}
