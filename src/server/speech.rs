//! Speech of hosts: files and samples that an avatar says, and its queue. Samples as they are synthesised come by [`super::ws_speech`].

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use systems::speech::{ShownUtterance, SpeechOrder, SpeechOut, SpeechStage};

use super::answer::{
    Answered, Asking, Name, Names, Params, Reply, asked, check_length, parse, read,
};
use super::keys::blocking;
use super::routes::{Doc, Routes};
use super::{Api, BODY_MAX, ws_speech};
use crate::control::change::StopSpeech;
use crate::control::schema::NAME_PATTERN;
use crate::control::speech::{
    BODY_BYTES_MAX, PcmFormat, PcmKind, SayFile, Saying, avatar_of, read_pcm, sound_of,
};
use crate::control::{ApiError, Change, ErrorCode, Terms, Work};

const TAG: &str = "speech";
/// What a form has round the file, in bytes.
const FORM_MAX: u64 = 1 << 20;
/// Samples a second of the program's sound.
const RATE: f64 = 48_000.0;

/// An utterance that was taken in.
#[derive(Debug, Serialize, JsonSchema)]
struct Said {
    /// The layer.
    layer: String,
    /// The utterance.
    id: String,
    /// How many were before it; what is spoken counts.
    place: u32,
    /// Seconds that it lasts.
    duration: f64,
}

/// What an avatar says, and what it is to say after that.
#[derive(Debug, Serialize, JsonSchema)]
struct Queue {
    /// The layer.
    layer: String,
    /// Whether something is spoken.
    speaking: bool,
    /// What is spoken, and what waits, in order.
    utterances: Vec<UtteranceView>,
    /// How many there are.
    count: usize,
}

/// One utterance.
#[derive(Debug, Serialize, JsonSchema)]
struct UtteranceView {
    /// Its name.
    id: String,
    /// What is said.
    text: String,
    /// What the avatar feels while it lasts.
    emotion: Option<String>,
    /// `waiting`, `speaking`, or `paused` while more of its sound has to come.
    state: &'static str,
    /// Seconds of it that were heard.
    position: f64,
    /// Seconds of it that have come.
    received: f64,
    /// Whether all of it has come.
    complete: bool,
}

/// What was stopped.
#[derive(Debug, Serialize, JsonSchema)]
struct Stopped {
    /// The layer.
    layer: String,
    /// The utterance; null when all were.
    id: Option<String>,
}

/// The routes.
pub fn routes() -> Routes {
    let name = || json!({"type": "string", "pattern": NAME_PATTERN});
    let doc = |id, summary| {
        Doc::new(TAG, id, summary)
            .path("id", name(), "The id of the avatar's layer.")
            .error(ErrorCode::Conflict)
    };
    let utterance = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"});
    let mut routes = Routes::new().post(
        "/layers/{id}/speak",
        doc("say", "Has an avatar say something")
            .more(
                "The body is JSON with `src`, the file of its sound; or a form (`multipart/form-data`) with the file as `file` (WAV, MP3, Ogg, FLAC, M4A) and \
                 the other fields as parts; or the samples themselves as `audio/pcm`, or a file as `audio/wav`, `audio/mpeg` and the like, with the other fields in the query. \
                 At most 10 minutes and 64 MiB. The mouth follows what is heard on the same frame. `emotion` lasts as long as it does. With `captions` texts \
                 show it: `{{speech.<layer>.line}}`, `.text`, `.word`, `.speaking`. WebSocket tells `speech:queued`, `speech:start`, `speech:word` and `speech:end`. \
                 Sound that is still being synthesised is pushed over `/stream/layers/{id}/speak/ws`.",
            )
            .body::<SayFile>()
            .example(json!({"src": "hello.mp3", "text": "Good evening, Lisbon!", "emotion": "happy", "captions": true}))
            .query("utterance", utterance.clone(), "For a body of sound: the utterance's `id`.")
            .query("text", json!({"type": "string", "maxLength": 10_000}), "For a body of sound: what is said.")
            .query("emotion", json!({"type": "string"}), "For a body of sound: what the avatar feels.")
            .query("captions", json!({"type": "boolean"}), "For a body of sound: whether texts show it.")
            .query("queue", json!({"enum": ["append", "next", "interrupt"]}), "For a body of sound: where it goes in the queue.")
            .query("gain", json!({"type": "number", "minimum": -60, "maximum": 24}), "For a body of sound: gain in decibels.")
            .query("rate", json!({"type": "integer", "minimum": 8000, "maximum": 48_000}), "For `audio/pcm`: samples a second; 24000 when absent.")
            .query("channels", json!({"type": "integer", "minimum": 1, "maximum": 2}), "For `audio/pcm`: channels; 1 when absent.")
            .query("format", json!({"enum": ["s16le", "f32le"]}), "For `audio/pcm`: how samples are written; `s16le` when absent.")
            .terms()
            .changes::<Said>("It would be queued, with `dryRun`.")
            .creates::<Said>("It is queued."),
        say,
    );
    // For this one route alone.
    routes.router = routes
        .router
        .layer(DefaultBodyLimit::max((BODY_BYTES_MAX + FORM_MAX) as usize));
    routes
        .get(
            "/layers/{id}/speak",
            doc("getSpeech", "Says what an avatar says, and what waits")
                .answers::<Queue>("The queue."),
            get,
        )
        .delete(
            "/layers/{id}/speak",
            doc(
                "stopSpeech",
                "Breaks off what an avatar says, and forgets what waits",
            )
            .terms()
            .changes::<Stopped>("It falls silent within 30 ms."),
            stop_all,
        )
        .delete(
            "/layers/{id}/speak/{utterance}",
            doc("stopUtterance", "Breaks off or forgets one utterance")
                .path("utterance", utterance, "The utterance's id.")
                .terms()
                .changes::<Stopped>("It is not said any further."),
            stop_one,
        )
        .merge(ws_speech::routes())
}

async fn say(
    State(api): State<Api>,
    Name(layer): Name,
    query: Params,
    Asking(terms): Asking,
    request: Request,
) -> Answered {
    avatar_of(&api.director().snapshot().show, &layer)?;
    check_length(&request, BODY_BYTES_MAX + FORM_MAX)?;
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok()?.split(';').next())
        .map(|essence| essence.trim().to_ascii_lowercase())
        .unwrap_or_default();
    let (saying, sound) = match media_type.as_str() {
        "application/json" => say_json(&api, request).await?,
        "multipart/form-data" => say_form(&api, request).await?,
        "audio/pcm" | "audio/l16" => say_pcm(&api, &query, request).await?,
        other if other.starts_with("audio/") || other == "application/ogg" => {
            let saying = saying_of(&query)?;
            let bytes = body(&api, request).await?;
            (saying, decoded(&api, bytes).await?)
        }
        _ => {
            return Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                "the body must be JSON, multipart/form-data with a part `file`, `audio/pcm`, or a file of sound",
            ));
        }
    };
    queue(&api, layer, &saying, sound, terms).await
}

/// Has it said, and answers.
async fn queue(
    api: &Api,
    layer: String,
    saying: &Saying,
    sound: SpeechOut,
    terms: Terms,
) -> Answered {
    let desk = api.station().speech();
    let id = saying.id.clone().unwrap_or_else(|| desk.made_id());
    desk.must_have_room(&layer, &id)?;
    let state = std::sync::Arc::clone(sound.state());
    let order = SpeechOrder::Say(Box::new(saying.utterance(&id, sound)));
    let work = Work::Speech {
        layer: layer.clone(),
        order,
    };
    let outcome = api.director().ask(work, terms).await?;
    let said = Said {
        layer,
        id,
        place: state.place(),
        duration: seconds(state.received()),
    };
    Ok(Reply::changed(&outcome, said)?.made(&terms))
}

fn seconds(samples: u64) -> f64 {
    (samples as f64 / RATE * 1000.0).round() / 1000.0
}

async fn say_json(api: &Api, request: Request) -> Result<(Saying, SpeechOut), ApiError> {
    check_length(&request, BODY_MAX as u64)?;
    let bytes = body(api, request).await?;
    if bytes.len() > BODY_MAX {
        return Err(too_large(BODY_MAX as u64));
    }
    let asked: SayFile = read(&parse(&bytes)?)?;
    let saying = asked.saying()?;
    let Some(src) = asked.src else {
        let message = "it needs the file of its sound";
        return Err(crate::control::authored::unusable(
            "src".to_owned(),
            message,
        ));
    };
    let program = api.director().snapshot().show.program.clone();
    let library = api.library().clone();
    let _permit = api.station().speech().decoding().await;
    let sound = blocking(move || {
        let path = library.sound_file(&program, &src, BODY_BYTES_MAX);
        let at = |message: String| crate::control::authored::unusable("src".to_owned(), message);
        sound_of(&path.map_err(at)?).map_err(|error| match error.code {
            ErrorCode::Invalid => at(error.message),
            _ => error,
        })
    });
    Ok((saying, sound.await?))
}

async fn say_form(api: &Api, request: Request) -> Result<(Saying, SpeechOut), ApiError> {
    let mut form = Multipart::from_request(request, api).await.map_err(|_| {
        ApiError::new(
            ErrorCode::UnsupportedMediaType,
            "the body must be multipart/form-data with a part `file`",
        )
    })?;
    let (mut fields, mut file) = (Map::new(), None);
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" {
            file = Some(part.bytes().await.map_err(broken)?);
            continue;
        }
        let text = part.text().await.map_err(broken)?;
        if text.len() > BODY_MAX || fields.len() > 16 {
            return Err(too_large(BODY_MAX as u64));
        }
        fields.insert(name.clone(), value_of(&name, text));
    }
    let saying = read::<SayFile>(&Value::Object(fields))?;
    if saying.src.is_some() {
        let message = "a form brings its sound as the part `file`";
        return Err(crate::control::authored::unusable(
            "src".to_owned(),
            message,
        ));
    }
    let saying = saying.saying()?;
    let file = file.ok_or_else(|| {
        let message = "the form must have a part named `file`";
        crate::control::authored::unusable("file".to_owned(), message)
    })?;
    Ok((saying, decoded(api, file).await?))
}

/// A field of a form or a query, as JSON has it.
fn value_of(name: &str, text: String) -> Value {
    match name {
        "words" | "captions" | "gain" => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        _ => Value::String(text),
    }
}

fn saying_of(query: &Params) -> Result<Saying, ApiError> {
    let mut fields = Map::new();
    for (parameter, name) in [
        ("utterance", "id"),
        ("text", "text"),
        ("emotion", "emotion"),
        ("captions", "captions"),
        ("queue", "queue"),
        ("gain", "gain"),
    ] {
        if let Some(text) = query.get(parameter) {
            fields.insert(name.to_owned(), value_of(name, text.to_owned()));
        }
    }
    read::<SayFile>(&Value::Object(fields))?.saying()
}

async fn say_pcm(
    api: &Api,
    query: &Params,
    request: Request,
) -> Result<(Saying, SpeechOut), ApiError> {
    let saying = saying_of(query)?;
    let format = match query.get("format") {
        None | Some("s16le") => PcmFormat::S16le,
        Some("f32le") => PcmFormat::F32le,
        Some(_) => {
            let message = "it must be `s16le` or `f32le`";
            return Err(crate::control::authored::unusable(
                "format".to_owned(),
                message,
            ));
        }
    };
    let kind = PcmKind {
        rate: query.parsed("rate", "a whole number")?.unwrap_or(24_000),
        channels: query.parsed("channels", "1 or 2")?.unwrap_or(1),
        format,
    }
    .checked()?;
    let bytes = body(api, request).await?;
    let _permit = api.station().speech().decoding().await;
    let sound = blocking(move || read_pcm(&bytes, kind)).await?;
    Ok((saying, sound))
}

async fn body(api: &Api, request: Request) -> Result<Bytes, ApiError> {
    let bytes = Bytes::from_request(request, api).await;
    let bytes = bytes.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(BODY_BYTES_MAX),
        _ => ApiError::new(ErrorCode::BadRequest, "the body broke off"),
    })?;
    if bytes.len() as u64 > BODY_BYTES_MAX {
        return Err(too_large(BODY_BYTES_MAX));
    }
    Ok(bytes)
}

/// The sound of a file that was sent.
async fn decoded(api: &Api, bytes: Bytes) -> Result<SpeechOut, ApiError> {
    if bytes.len() as u64 > BODY_BYTES_MAX {
        return Err(too_large(BODY_BYTES_MAX));
    }
    let folder = api.station().settings().data_dir.clone();
    let _permit = api.station().speech().decoding().await;
    blocking(move || {
        let disk = |error: std::io::Error| ApiError::internal(format!("the disk: {error}"));
        std::fs::create_dir_all(&folder).map_err(disk)?;
        let file = tempfile::Builder::new()
            .prefix(".speech-")
            .tempfile_in(&folder)
            .map_err(disk)?;
        std::fs::write(file.path(), &bytes).map_err(disk)?;
        drop(bytes);
        sound_of(file.path())
    })
    .await
}

fn too_large(bytes_max: u64) -> ApiError {
    let message = format!("the body is larger than {bytes_max} bytes");
    ApiError::new(ErrorCode::TooLarge, message)
}

fn broken(error: MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(BODY_BYTES_MAX);
    }
    let message = format!("the form cannot be read: {}", error.body_text());
    ApiError::new(ErrorCode::BadRequest, message)
}

async fn get(State(api): State<Api>, Name(layer): Name) -> Answered {
    avatar_of(&api.director().snapshot().show, &layer)?;
    let shown = api.station().speech().board().of(&layer);
    let utterances: Vec<UtteranceView> = shown.iter().map(view).collect();
    Reply::of(Queue {
        speaking: utterances.iter().any(|shown| shown.state != "waiting"),
        count: utterances.len(),
        layer,
        utterances,
    })
}

fn view(shown: &ShownUtterance) -> UtteranceView {
    let state = &shown.state;
    UtteranceView {
        id: shown.id.to_string(),
        text: shown.text.to_string(),
        emotion: shown.emotion.as_deref().map(str::to_owned),
        state: match state.stage() {
            SpeechStage::Waiting => "waiting",
            SpeechStage::Speaking | SpeechStage::Over => "speaking",
            SpeechStage::Paused => "paused",
        },
        position: seconds(state.played()),
        received: seconds(state.received()),
        complete: state.is_complete(),
    }
}

async fn stop_all(State(api): State<Api>, Name(layer): Name, Asking(terms): Asking) -> Answered {
    stop(&api, layer, None, terms).await
}

async fn stop_one(
    State(api): State<Api>,
    Names(layer, utterance): Names,
    Asking(terms): Asking,
) -> Answered {
    avatar_of(&api.director().snapshot().show, &layer)?;
    api.station().speech().must_be_said(&layer, &utterance)?;
    stop(&api, layer, Some(utterance), terms).await
}

async fn stop(api: &Api, layer: String, id: Option<String>, terms: Terms) -> Answered {
    let change = Change::StopSpeech(StopSpeech {
        id: layer.clone(),
        utterance: id.clone(),
    });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, Stopped { layer, id })
}
