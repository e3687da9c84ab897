//! Speech of hosts: files and samples that an avatar says, and its queue. Samples as they are synthesised come by [`super::ws_speech`].

mod raw;

use axum::body::Bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt as _;
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
use crate::control::authored::unusable;
use crate::control::change::StopSpeech;
use crate::control::schema::NAME_PATTERN;
use crate::control::speech::{
    BODY_BYTES_MAX, Noted, SayFile, Saying, SpeechFile, avatar_of, check_id, must_be_heard, placed,
    read_pcm, seconds, sound_of,
};
use crate::control::{ApiError, Change, ErrorCode, Terms, Work};

const TAG: &str = "speech";
/// What a form has round the file, in bytes.
const FORM_MAX: u64 = 1 << 20;

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
                 the other fields as parts; or the samples themselves as `audio/pcm` or `audio/L16` (RFC 2586: the highest byte first), or a file as `audio/wav`, `audio/mpeg` and the like, with the other fields in the query. \
                 At most 10 minutes and 64 MiB. The mouth follows what is heard on the same frame. `emotion` lasts as long as it does. With `captions` texts \
                 show it: `{{speech.<layer>.line}}`, `.text`, `.word`, `.speaking`. WebSocket tells `speech:queued`, `speech:start`, `speech:word`, \
                 `speech:pause`, `speech:resume` and `speech:end` with `reason` (`done`, `interrupted`, `cancelled`, `error`), `position` and `lastWord`. \
                 201 says that the world has taken it into the queue. What the world refuses is told as `speech:refused` with `reason` (`full`, `duplicate`, `gone`), and answered by 503, 409 and 409. \
                 Said in a batch (`speech.say`), with `at` too, the answer is that of the batch, and `speech:queued` or `speech:refused` tells what became of it. \
                 What is said goes on when the scene changes to one with an avatar of this name. It makes no revision. \
                 Sound that is still being synthesised is pushed over `/stream/layers/{id}/speak/ws`.",
            )
            .error(ErrorCode::Unavailable)
            .body::<SayFile>()
            .example(json!({"src": "hello.mp3", "text": "Good evening, Lisbon!", "emotion": "happy", "captions": true}))
            .query("utterance", utterance.clone(), "For a body of sound: the utterance's `id`.")
            .query("text", json!({"type": "string", "maxLength": 10_000}), "For a body of sound: what is said.")
            .query("emotion", json!({"type": "string"}), "For a body of sound: what the avatar feels.")
            .query("captions", json!({"type": "boolean"}), "For a body of sound: whether texts show it.")
            .query("queue", json!({"enum": ["append", "next", "interrupt", "replace"]}), "For a body of sound: where it goes in the queue.")
            .query("gain", json!({"type": "number", "minimum": -60, "maximum": 24}), "For a body of sound: gain in decibels.")
            .query("rate", json!({"type": "integer", "minimum": 8000, "maximum": 48_000}), "For `audio/pcm` and `audio/L16`: samples a second, where the media type has no `rate`; 24000 when absent.")
            .query("channels", json!({"type": "integer", "minimum": 1, "maximum": 2}), "For `audio/pcm` and `audio/L16`: channels, where the media type has no `channels`; 1 when absent.")
            .query("format", json!({"enum": ["s16le", "f32le"]}), "For `audio/pcm`: how samples are written; `s16le` when absent.")
            .terms()
            .changes::<Said>("It would be queued, with `dryRun`.")
            .creates::<Said>("It is queued.")
            .fleeting(),
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
            .changes::<Stopped>("It falls silent within 30 ms.")
            .fleeting(),
            stop_all,
        )
        .delete(
            "/layers/{id}/speak/{utterance}",
            doc("stopUtterance", "Breaks off or forgets one utterance")
                .path("utterance", utterance, "The utterance's id.")
                .terms()
                .changes::<Stopped>("It is not said any further.")
                .fleeting(),
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
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let (media_type, parameters) = match content_type.split_once(';') {
        Some((essence, parameters)) => (essence.trim(), parameters),
        None => (content_type.trim(), ""),
    };
    let desk = api.station().speech();
    let (saying, sound) = match media_type {
        "application/json" => say_json(&api, &layer, request).await?,
        "multipart/form-data" => {
            let _sending = desk.sending()?;
            say_form(&api, &layer, request).await?
        }
        "audio/pcm" | "audio/l16" => {
            let saying = saying_of(&query)?;
            let kind = raw::kind(&query, media_type == "audio/l16", parameters)?;
            desk.must_have_room(&layer, &saying)?;
            let _sending = desk.sending()?;
            let file = body(&api, request).await?;
            let budget = desk.budget().clone();
            let _permit = desk.decoding().await;
            let sound = blocking(move || {
                let from = std::fs::File::open(file.path());
                let from = from.map_err(|error| ApiError::internal(format!("the disk: {error}")));
                read_pcm(from?, kind, &budget)
            });
            (saying, sound.await?)
        }
        other if other.starts_with("audio/") || other == "application/ogg" => {
            let saying = saying_of(&query)?;
            desk.must_have_room(&layer, &saying)?;
            let _sending = desk.sending()?;
            let file = body(&api, request).await?;
            (saying, decoded(&api, file).await?)
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
    desk.must_have_room(&layer, saying)?;
    let id = saying.id.clone().unwrap_or_else(|| desk.made_id(&layer));
    let utterance = saying.utterance(&id, sound);
    let noted = Noted::of(&utterance);
    let work = Work::Speech {
        layer: layer.clone(),
        order: SpeechOrder::Say(Box::new(utterance)),
    };
    let place = desk.place(&layer, saying.mode());
    let outcome = api.director().ask(work, terms).await?;
    let is_asked = terms.dry_run || outcome.scheduled.is_some();
    if !is_asked {
        desk.must_be_taken(&layer, &noted)?;
    }
    let said = Said {
        layer,
        id,
        place: if is_asked {
            place
        } else {
            noted.state().place()
        },
        duration: seconds(noted.state().received()),
    };
    Ok(Reply::changed(&outcome, said)?.made(&terms))
}

async fn say_json(
    api: &Api,
    layer: &str,
    request: Request,
) -> Result<(Saying, SpeechOut), ApiError> {
    check_length(&request, BODY_MAX as u64)?;
    let mut body = request.into_body().into_data_stream();
    let mut bytes = Vec::new();
    while let Some(some) = body.next().await {
        bytes.extend_from_slice(&some.map_err(|_| broke_off())?);
        if bytes.len() > BODY_MAX {
            return Err(too_large(BODY_MAX as u64));
        }
    }
    let asked: SayFile = read(&parse(&bytes)?)?;
    let saying = asked.saying()?;
    let Some(src) = asked.src else {
        return Err(unusable("src".to_owned(), "it needs the file of its sound"));
    };
    let desk = api.station().speech();
    desk.must_have_room(layer, &saying)?;
    let program = api.director().snapshot().show.program.clone();
    let library = api.library().clone();
    let _permit = desk.decoding().await;
    let reader = desk.clone();
    let sound = blocking(move || reader.read_file(&library, &program, &src, "src"));
    Ok((saying, sound.await?))
}

async fn say_form(
    api: &Api,
    layer: &str,
    request: Request,
) -> Result<(Saying, SpeechOut), ApiError> {
    let mut form = Multipart::from_request(request, api).await.map_err(|_| {
        ApiError::new(
            ErrorCode::UnsupportedMediaType,
            "the body must be multipart/form-data with a part `file`",
        )
    })?;
    let (mut fields, mut file) = (Map::new(), None);
    while let Some(mut part) = form.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" {
            let mut incoming = begin(api).await?;
            while let Some(bytes) = part.chunk().await.map_err(broken)? {
                incoming = written(incoming, bytes).await?;
            }
            file = Some(incoming);
            continue;
        }
        let text = text_of(part).await?;
        if fields.len() > 16 {
            return Err(too_large(BODY_MAX as u64));
        }
        fields.insert(name.clone(), value_of(&name, text));
    }
    let saying = read::<SayFile>(&Value::Object(fields))?;
    if saying.src.is_some() {
        let message = "a form brings its sound as the part `file`";
        return Err(unusable("src".to_owned(), message));
    }
    let saying = saying.saying()?;
    let file = file.ok_or_else(|| {
        let message = "the form must have a part named `file`";
        unusable("file".to_owned(), message)
    })?;
    api.station().speech().must_have_room(layer, &saying)?;
    let sound = decoded(api, file).await;
    Ok((saying, sound.map_err(|error| placed(error, "file"))?))
}

/// A field of a form, of which not more is kept than a request may have.
async fn text_of(mut part: Field<'_>) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(some) = part.chunk().await.map_err(broken)? {
        bytes.extend_from_slice(&some);
        if bytes.len() > BODY_MAX {
            return Err(too_large(BODY_MAX as u64));
        }
    }
    let text = String::from_utf8(bytes);
    text.map_err(|_| ApiError::new(ErrorCode::BadRequest, "the fields of a form are UTF-8"))
}

/// A field of a form or a query, as JSON has it.
fn value_of(name: &str, text: String) -> Value {
    match name {
        "words" | "captions" | "gain" => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        _ => Value::String(text),
    }
}

fn saying_of(query: &Params) -> Result<Saying, ApiError> {
    if let Some(id) = query.get("utterance") {
        check_id(id, "utterance")?;
    }
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

/// A body that is a sound, on the disk.
async fn body(api: &Api, request: Request) -> Result<SpeechFile, ApiError> {
    let mut body = request.into_body().into_data_stream();
    let mut file = begin(api).await?;
    while let Some(bytes) = body.next().await {
        file = written(file, bytes.map_err(|_| broke_off())?).await?;
    }
    Ok(file)
}

async fn begin(api: &Api) -> Result<SpeechFile, ApiError> {
    let folder = api.station().settings().data_dir.clone();
    blocking(move || SpeechFile::begin(&folder)).await
}

async fn written(mut file: SpeechFile, bytes: Bytes) -> Result<SpeechFile, ApiError> {
    blocking(move || {
        file.write(&bytes)?;
        Ok(file)
    })
    .await
}

/// The sound of a file that was sent.
async fn decoded(api: &Api, file: SpeechFile) -> Result<SpeechOut, ApiError> {
    let desk = api.station().speech();
    let budget = desk.budget().clone();
    let _permit = desk.decoding().await;
    blocking(move || sound_of(file.path(), &budget)).await
}

fn broke_off() -> ApiError {
    ApiError::new(ErrorCode::BadRequest, "the body broke off")
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
    must_be_heard(&api.director().snapshot().show, &layer)?;
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
    must_be_heard(&api.director().snapshot().show, &layer)?;
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
