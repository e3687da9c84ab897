//! Messages of WebSocket about outputs, renditions, recordings, replays and thumbnails: each does what its route does.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{Answered, read};
use super::{Api, outputs, recordings, thumbnails};
use crate::control::outputs::read_output;
use crate::control::{ApiError, ErrorCode, Terms};
use crate::scene::words;

/// The types of these messages.
pub const TYPES: [&str; 5] = ["output", "rendition", "recording", "replay", "thumbnail"];

/// `{"id": 1, "type": "output", "action": "update", "name": "twitch", "settings": {"enabled": false}}`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    action: String,
    /// The output, the rendition or the recording.
    #[serde(default)]
    name: Option<String>,
    /// What REST has in its body.
    #[serde(default)]
    settings: Option<Value>,
    #[serde(default)]
    if_revision: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    #[serde(rename = "id", default)]
    _id: Value,
    #[serde(rename = "type")]
    _type: String,
}

/// Does what such a message asks for.
///
/// # Errors
/// Why it is not done.
pub async fn ask(api: &Api, kind: &str, value: &Value) -> Answered {
    let message: Message = read(value)?;
    let terms = Terms {
        at_tick: None,
        if_revision: message.if_revision,
        dry_run: message.dry_run,
    };
    let body = || {
        message
            .settings
            .clone()
            .unwrap_or_else(|| Map::new().into())
    };
    let name = || {
        let name = message.name.as_deref();
        name.ok_or_else(|| ApiError::new(ErrorCode::BadRequest, "the field `name` is missing"))
    };
    match (kind, message.action.as_str()) {
        ("output", "list") => outputs::list(api),
        ("output", "get") => outputs::get(api, name()?),
        ("output", "add") => outputs::add(api, &body(), terms).await,
        ("output", "update") => outputs::update(api, name()?, body(), terms).await,
        ("output", "remove") => outputs::remove(api, name()?, terms).await,
        ("output", "start") => outputs::enable(api, name()?, true, terms).await,
        ("output", "stop") => outputs::enable(api, name()?, false, terms).await,
        ("output", "retry") => outputs::retry(api, name()?).await,
        ("output", "check") => match &message.settings {
            Some(settings) => outputs::check(api, &read_output(settings)?),
            None => outputs::check_id(api, name()?),
        },
        ("rendition", "list") => outputs::list_renditions(api),
        ("rendition", "update") => outputs::update_rendition(api, name()?, body(), terms).await,
        ("recording", "list") => recordings::list(api).await,
        ("recording", "start") => recordings::start(api, read(&body())?).await,
        ("recording", "stop") => recordings::stop(api).await,
        ("recording", "mark") => recordings::mark(api, read(&body())?).await,
        ("recording", "delete") => {
            recordings::delete(api, name()?.to_owned(), read(&body())?).await
        }
        ("replay", "get") => recordings::replay(api),
        ("replay", "update") => recordings::set_replay(api, &body()),
        ("replay", "save") => recordings::save_replay_of(api, &body()).await,
        ("thumbnail", "list") => thumbnails::list(api),
        ("thumbnail", "take") => thumbnails::take(api).await,
        (kind, action) => {
            let message = format!("unknown action {}", words::name(action));
            let error = ApiError::new(ErrorCode::BadRequest, message);
            Err(error.suggest(words::suggest(action, actions(kind))))
        }
    }
}

fn actions(kind: &str) -> &'static [&'static str] {
    match kind {
        "output" => &[
            "list", "get", "add", "update", "remove", "start", "stop", "retry", "check",
        ],
        "rendition" => &["list", "update"],
        "recording" => &["list", "start", "stop", "mark", "delete"],
        "replay" => &["get", "update", "save"],
        _ => &["list", "take"],
    }
}
