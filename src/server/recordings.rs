//! Recordings, the replay of the last seconds, and what is in their folder.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

use super::Api;
use super::answer::{Answered, Deleted, MaybeJson, Name, Params, Reply, read};
use super::keys::blocking;
use super::routes::{Doc, Routes, schema_of};
use crate::control::recordings::{
    Marked, NewMarker, NewRecording, OUTPUT, Recording, media_type, recording_name,
};
use crate::control::{ApiError, ErrorCode, Event};
use crate::streaming::{REPLAY_BYTES_MAX, REPLAY_SECONDS_MAX, ReplayStats};

const TAG: &str = "recordings";
const MEDIA_TYPES: &[&str] = &[
    "video/mp4",
    "video/webm",
    "video/mp2t",
    "video/x-matroska",
    "video/x-flv",
];

/// Every recording.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RecordingsAnswer {
    /// The recordings, the newest first.
    recordings: Vec<Recording>,
    /// How many there are.
    count: usize,
    /// The one that `recordings/stop` would end; null when nothing is recorded.
    current: Option<String>,
}

/// How the last seconds are kept.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ReplayAnswer {
    /// Whether anything is kept.
    enabled: bool,
    /// Seconds that are asked for.
    seconds: u32,
    /// Seconds that are kept now: up to a keyframe more than asked for.
    kept: f64,
    /// Bytes of memory that they take.
    bytes: usize,
    /// The most bytes that are kept, whatever the seconds.
    bytes_max: usize,
}

/// How the last seconds are to be kept; what is left out stays.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct ReplayPatch {
    /// Seconds, 1 to 600.
    #[schemars(range(min = 1, max = 600))]
    seconds: Option<u32>,
    /// Whether anything is kept.
    enabled: Option<bool>,
}

/// What of the last seconds is to be saved.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct SaveReplay {
    /// Seconds, 0.1 to 600; all that are kept when absent. It begins at the keyframe before them.
    #[schemars(range(min = 0.1, max = 600))]
    seconds: Option<f64>,
    /// The name of the recording; `replay-` and the time when absent.
    #[schemars(schema_with = "recording_name")]
    name: Option<String>,
}

/// The routes.
pub fn routes() -> Routes {
    let id = json!({"type": "string", "minLength": 1, "maxLength": 255});
    let doc = |name, summary| {
        Doc::new(TAG, name, summary).path("id", id.clone(), "The recording's name.")
    };
    let own = ["getRecording", "downloadRecording", "deleteRecording"];
    Routes::new()
        .get(
            "/recordings",
            Doc::new(TAG, "listRecordings", "Lists the recordings, those of earlier runs and files that were found too")
                .answers::<RecordingsAnswer>("The recordings."),
            async |State(api): State<Api>| list(&api).await,
        )
        .post(
            "/recordings/start",
            Doc::new(TAG, "startRecording", "Begins a recording, at the next keyframe")
                .more("After a restart of the program it goes on in a file of its own, and ends with the stream.")
                .optional_body::<NewRecording>()
                .example(json!({"name": "friday", "container": "mkv", "split": {"minutes": 60}}))
                .error(ErrorCode::Conflict)
                .answer(201, "It has begun.", schema_of::<Recording>, false)
                .kept()
                .leads("id", &own),
            async |State(api): State<Api>, body: MaybeJson| start(&api, body.read()?).await,
        )
        .post(
            "/recordings/stop",
            Doc::new(TAG, "stopRecording", "Ends the recording; its file is whole once this is answered")
                .more("Nothing more is recorded until that is asked for, or the stream is started where RECORDING is on.")
                .error(ErrorCode::Conflict)
                .answers::<Recording>("It has ended.").kept(),
            async |State(api): State<Api>| stop(&api).await,
        )
        .post(
            "/recordings/markers",
            Doc::new(TAG, "markRecording", "Marks this moment of the recording")
                .more("The markers are in the index and, as WebVTT chapters, in a file beside the recording.")
                .body::<NewMarker>()
                .example(json!({"label": "Lot 12"}))
                .error(ErrorCode::Conflict)
                .answer(201, "It is marked.", schema_of::<Marked>, false).kept(),
            async |State(api): State<Api>, body: super::answer::Json| mark(&api, body.read()?).await,
        )
        .get(
            "/recordings/{id}",
            doc("getRecording", "Says what is known of a recording").answers::<Recording>("The recording."),
            async |State(api): State<Api>, Name(id): Name| get(&api, id).await,
        )
        .delete(
            "/recordings/{id}",
            doc("deleteRecording", "Deletes a recording with its files")
                .query("forget", json!({"type": "boolean"}), "Takes one from the list whose files another instance has; they stay there.")
                .error(ErrorCode::Conflict)
                .answers::<Deleted>("It is gone.")
                .kept(),
            async |State(api): State<Api>, Name(id): Name, query: Params| {
                let forget = query.flag("forget")?.unwrap_or(false);
                delete(&api, id, Deletion { forget }).await
            },
        )
        .get(
            "/recordings/{id}/download",
            doc("downloadRecording", "Gives a recording's file, or a part of it")
                .more("One that is being written gives what is there; one whose files another instance has is not found, and the error names that `instance`.")
                .query("file", json!({"type": "integer", "minimum": 1, "maximum": 100_000}), "Which of several files; 1, the first, when absent.")
                .file("The file.", MEDIA_TYPES),
            download,
        )
        .merge(replay_routes())
}

fn replay_routes() -> Routes {
    Routes::new()
        .get(
            "/replay",
            Doc::new(
                TAG,
                "getReplay",
                "Says how much of the last seconds is kept",
            )
            .answers::<ReplayAnswer>("How they are kept."),
            async |State(api): State<Api>| replay(&api),
        )
        .patch(
            "/replay",
            Doc::new(
                TAG,
                "patchReplay",
                "Changes how many of the last seconds are kept, at once",
            )
            .more("It is saved, and holds until REPLAY_SECONDS is another.")
            .body::<ReplayPatch>()
            .example(json!({"seconds": 60}))
            .answers::<ReplayAnswer>("How they are kept.")
            .kept(),
            async |State(api): State<Api>, body: super::answer::Json| set_replay(&api, &body.0),
        )
        .post(
            "/replay/save",
            Doc::new(
                TAG,
                "saveReplay",
                "Saves the last seconds as a recording, without a second encode",
            )
            .optional_body::<SaveReplay>()
            .example(json!({"seconds": 20, "name": "highlight"}))
            .error(ErrorCode::Conflict)
            .answer(201, "It is saved.", schema_of::<Recording>, false)
            .kept()
            .leads(
                "id",
                &["getRecording", "downloadRecording", "deleteRecording"],
            ),
            async |State(api): State<Api>, body: MaybeJson| save_replay(&api, &body.read()?).await,
        )
}

/// Every recording.
pub async fn list(api: &Api) -> Answered {
    let store = api.station().recordings().clone();
    let current = store.of_output(OUTPUT).map(|recording| recording.id);
    let recordings = blocking(move || Ok(store.list())).await?;
    let count = recordings.len();
    Reply::of(RecordingsAnswer {
        recordings,
        count,
        current,
    })
}

/// Begins a recording.
pub async fn start(api: &Api, asked: NewRecording) -> Answered {
    Ok(Reply::of(api.station().record(asked).await?)?
        .created()
        .kept())
}

/// Ends the recording.
pub async fn stop(api: &Api) -> Answered {
    Ok(Reply::of(api.station().stop_recording().await?)?.kept())
}

/// Marks this moment.
pub async fn mark(api: &Api, asked: NewMarker) -> Answered {
    let marked = api.station().mark_recording(asked).await?;
    Ok(Reply::of(marked)?.created().kept())
}

async fn get(api: &Api, id: String) -> Answered {
    let store = api.station().recordings().clone();
    Reply::of(blocking(move || store.get(&id)).await?)
}

/// How a recording is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deletion {
    /// Whether one whose files another instance has is taken from the list.
    #[serde(default)]
    pub forget: bool,
}

/// Deletes a recording.
pub async fn delete(api: &Api, id: String, how: Deletion) -> Answered {
    let (store, gone) = (api.station().recordings().clone(), id.clone());
    blocking(move || store.delete(&gone, how.forget)).await?;
    api.station()
        .tell(Event::about("recording:delete", &id, json!({"id": id})));
    Ok(Reply::of(Deleted { id })?.kept())
}

async fn download(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    request: Request,
) -> Result<Response, ApiError> {
    let number = query.whole("file")?.unwrap_or(1);
    let store = api.station().recordings().clone();
    let (recording, folder) =
        blocking(move || Ok((store.get(&id)?, store.folder().to_owned()))).await?;
    if let Some(instance) = &recording.instance {
        let message = format!(
            "the files of the recording `{}` lie with the instance `{instance}`; ask that one for them",
            recording.id
        );
        let error = ApiError::new(ErrorCode::NotFound, message);
        return Err(error.with("instance", instance.as_str()));
    }
    let missing = || ApiError::not_found("file of the recording", &number.to_string(), []);
    let index = usize::try_from(number).unwrap_or(0).checked_sub(1);
    let file = index
        .and_then(|index| recording.files.get(index))
        .ok_or_else(missing)?;
    // The name is one that the index or the folder itself gave, and has no folders in it.
    let served = ServeFile::new(folder.join(&file.name))
        .oneshot(request)
        .await;
    let mut response = match served {
        Ok(response) if response.status() != axum::http::StatusCode::NOT_FOUND => {
            response.map(Body::new)
        }
        Ok(_) | Err(_) => return Err(missing()),
    };
    let name: String = file
        .name
        .chars()
        .map(|letter| {
            if letter.is_ascii_graphic() && !"\"\\".contains(letter) {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let attachment = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let headers = response.headers_mut();
    if headers.contains_key(CONTENT_TYPE) {
        let kind = HeaderValue::from_static(media_type(recording.container));
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(
        CONTENT_DISPOSITION,
        attachment.unwrap_or(HeaderValue::from_static("attachment")),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// How the last seconds are kept.
pub fn replay(api: &Api) -> Answered {
    Reply::of(replay_answer(&api.station().replay().stats()))
}

fn replay_answer(stats: &ReplayStats) -> ReplayAnswer {
    ReplayAnswer {
        enabled: stats.is_on,
        seconds: stats.seconds,
        kept: (stats.kept.as_secs_f64() * 1000.0).round() / 1000.0,
        bytes: stats.bytes,
        bytes_max: REPLAY_BYTES_MAX,
    }
}

/// Changes how many of the last seconds are kept.
pub fn set_replay(api: &Api, patch: &Value) -> Answered {
    let patch: ReplayPatch = read(patch)?;
    if let Some(seconds) = patch.seconds
        && !(1..=REPLAY_SECONDS_MAX).contains(&seconds)
    {
        let message = format!(
            "seconds: {seconds} is out of range; it must be from 1 to {REPLAY_SECONDS_MAX}"
        );
        return Err(ApiError::invalid(message));
    }
    let stats = api.station().change_replay(patch.seconds, patch.enabled)?;
    let answer = replay_answer(&stats);
    let data = json!({"enabled": answer.enabled, "seconds": answer.seconds});
    api.station().tell(Event::new("replay:update", data));
    Ok(Reply::of(answer)?.kept())
}

/// Saves the last seconds.
async fn save_replay(api: &Api, asked: &SaveReplay) -> Answered {
    if let Some(seconds) = asked.seconds
        && !(0.1..=f64::from(REPLAY_SECONDS_MAX)).contains(&seconds)
    {
        let message = format!(
            "seconds: {seconds} is out of range; it must be from 0.1 to {REPLAY_SECONDS_MAX}"
        );
        return Err(ApiError::invalid(message));
    }
    let saved = api
        .station()
        .save_replay(asked.seconds, asked.name.clone())
        .await?;
    Ok(Reply::of(saved)?.created().kept())
}

/// Saves the last seconds, as a message asks for it.
pub async fn save_replay_of(api: &Api, asked: &Value) -> Answered {
    save_replay(api, &read(asked)?).await
}
