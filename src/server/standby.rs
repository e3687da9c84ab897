//! A standby's side of the API: what the followed state tells is answered here; everything else is done by the leader, who is asked
//! through the commands of the store.
//!
//! An answer to a change comes once this instance has seen it too, so that who reads here afterwards finds what was written. Films and
//! other large things do not go this way; the error names who leads.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Api;
use super::answer::parse;
use crate::control::{ApiError, ErrorCode, Snapshot};
use crate::store::RedisStore;
use crate::store::shared::{Command, TakenBack, add_command, await_result, take_back};

/// How long the leader's answer is waited for: `durable` takes up to 5 s.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How long it may take to take back what was not begun.
const TAKE_BACK_MAX: Duration = Duration::from_secs(1);
/// How long it is waited until what the leader has changed is seen here.
const SEEN_MAX: Duration = Duration::from_secs(2);
/// The largest body that is handed on, in bytes; as base64 it fits into a command.
const BODY_MAX: usize = 700 * 1024;
/// The type of a body that has none.
const UNKNOWN: &str = "application/octet-stream";
/// What is read here, by the word behind `/stream/`.
const OWN: [&str; 9] = [
    "status",
    "config",
    "layers",
    "timelines",
    "data",
    "transition",
    "commands",
    // Their files lie with one instance or the other, and each gives its own.
    "recordings",
    // Too large to be handed on, and everything is in the store that the instances share.
    "state",
];
/// What of a layer only the leader knows, by the last word of the path.
const OF_LEADER: [&str; 3] = ["bounds", "speak", "playback"];

/// What an instance that stands by needs to answer. Cheap to copy.
#[derive(Clone)]
pub struct Standby(Arc<Inner>);

struct Inner {
    redis: RedisStore,
    /// The name of the instance that leads, as far as it is known.
    leader: watch::Receiver<Option<String>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    trouble: watch::Receiver<String>,
}

/// How a request went: what the leader answered.
struct Handed {
    status: StatusCode,
    fields: Map<String, Value>,
}

impl Standby {
    /// Of the stream that `redis` holds; `snapshots` follow what the leader saves, and `trouble` says why this instance could not take
    /// the leader's place, empty where it could.
    pub fn new(
        redis: RedisStore,
        leader: watch::Receiver<Option<String>>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        trouble: watch::Receiver<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            trouble,
            redis,
            leader,
            snapshots,
        }))
    }

    /// The store of the stream.
    pub fn redis(&self) -> &RedisStore {
        &self.0.redis
    }

    /// Who leads, as far as it is known.
    pub fn leader(&self) -> Option<String> {
        self.0.leader.borrow().clone()
    }

    /// Why this instance could not take the leader's place.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.0.trouble.borrow();
        (!trouble.is_empty()).then(|| trouble.clone())
    }

    /// Has the leader do what a WebSocket message asks for; the answer as the leader gives it.
    pub async fn message(&self, message: Value) -> Value {
        match self.hand_on(message).await {
            Ok(handed) => {
                let mut fields = handed.fields;
                fields.shift_remove("status");
                fields.shift_remove("headers");
                Value::Object(fields)
            }
            Err(error) => json!({"success": false, "error": error}),
        }
    }

    async fn request(&self, request: Request) -> Result<Response, ApiError> {
        let (head, body) = request.into_parts();
        // The leader trusts what comes through the store; a token has no business there.
        let path = without_token(&head.uri);
        let mut message = json!({"type": "request", "method": head.method.as_str(), "path": path});
        let body = to_bytes(body, BODY_MAX).await.map_err(|_| {
            let message = format!(
                "this instance stands by and hands on bodies of up to {BODY_MAX} bytes; ask the leader, {}",
                self.named()
            );
            ApiError::new(ErrorCode::TooLarge, message)
        })?;
        if !body.is_empty() {
            let kind = head.headers.get(CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            match parse(&body) {
                Ok(value) if kind.is_empty() || kind.contains("json") => message["body"] = value,
                _ => {
                    let kind = if kind.is_empty() { UNKNOWN } else { kind };
                    message["base64"] = BASE64.encode(&body).into();
                    message["contentType"] = kind.into();
                }
            }
        }
        self.hand_on(message).await.map(into_response)
    }

    fn named(&self) -> String {
        self.leader().map_or_else(
            || "which is not known".to_owned(),
            |name| format!("`{name}`"),
        )
    }

    async fn hand_on(&self, message: Value) -> Result<Handed, ApiError> {
        if self.0.leader.borrow().is_none() {
            let message =
                "this instance stands by, and it is not known at the moment who leads the stream";
            return Err(unavailable(message));
        }
        let chance = getrandom::u64().unwrap_or_default();
        let command = Command {
            id: format!("standby-{chance:016x}"),
            json: message.to_string(),
        };
        let answer = self.answer(&command).await?;
        let Ok(Value::Object(fields)) = serde_json::from_str(&answer) else {
            return Err(ApiError::internal("the leader's answer cannot be read"));
        };
        let code = fields.get("status").and_then(Value::as_u64);
        let code = code.and_then(|code| u16::try_from(code).ok());
        let status = code.and_then(|code| StatusCode::from_u16(code).ok());
        if let Some(revision) = fields.get("revision").and_then(Value::as_u64) {
            self.see(revision).await;
        }
        Ok(Handed {
            status: status.unwrap_or(StatusCode::OK),
            fields,
        })
    }

    /// What the leader answers to a command. Where it does not, the error says whether it is known that the command is not done.
    async fn answer(&self, command: &Command) -> Result<String, ApiError> {
        let (redis, leader) = (&self.0.redis, self.named());
        let undone = |why: &str| {
            let message = format!("this instance stands by, and {why}; it is not done");
            unavailable(&message)
        };
        let unknown = || {
            let message = format!(
                "this instance stands by, and the leader, {leader}, has not answered; what was asked for may be done all the same"
            );
            ApiError::new(ErrorCode::OutcomeUnknown, message)
        };
        let entry = match add_command(redis, command).await {
            Ok(entry) => entry,
            Err(error) if error.is_away() => return Err(unknown()),
            Err(error) => return Err(undone(&error.to_string())),
        };
        if let Ok(Some(answer)) = await_result(redis, &command.id, ANSWER_MAX).await {
            return Ok(answer);
        }
        match timeout(TAKE_BACK_MAX, take_back(redis, &command.id, &entry)).await {
            Ok(Ok(TakenBack::Answered(answer))) => Ok(answer),
            Ok(Ok(TakenBack::Undone)) => Err(undone(&format!(
                "the leader, {leader}, did not take what was asked for in time"
            ))),
            Ok(Ok(TakenBack::Begun) | Err(_)) | Err(_) => Err(unknown()),
        }
    }

    /// Waits until a revision is seen here as well, for a while.
    async fn see(&self, revision: u64) {
        let mut snapshots = self.0.snapshots.clone();
        let seen = snapshots.wait_for(|snapshot| snapshot.show.revision >= revision);
        if timeout(SEEN_MAX, seen).await.is_err() {
            tracing::debug!(revision, "a change of the leader is not seen here yet");
        }
    }
}

/// Path and query, without the token that browsers put there.
fn without_token(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default().split('&');
    let kept: Vec<&str> = query
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("token"))
        .collect();
    match kept.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), kept.join("&")),
    }
}

fn unavailable(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, message)
}

fn into_response(handed: Handed) -> Response {
    let Handed { status, mut fields } = handed;
    fields.shift_remove("status");
    let told = fields.shift_remove("headers");
    let kind = fields.get("contentType").and_then(Value::as_str);
    let kind = kind.map(str::to_owned);
    let bytes = fields.get("base64").and_then(Value::as_str);
    let bytes = bytes.and_then(|bytes| BASE64.decode(bytes).ok());
    let json = || "application/json".to_owned();
    let (kind, body) = match (bytes, fields.shift_remove("body")) {
        (Some(bytes), _) => (kind, Bytes::from(bytes)),
        (None, Some(body)) => (Some(json()), body.to_string().into()),
        (None, None) if fields.is_empty() => (None, Bytes::new()),
        (None, None) => (Some(json()), Value::Object(fields).to_string().into()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(kind) = kind.and_then(|kind| HeaderValue::try_from(kind).ok()) {
        headers.insert(CONTENT_TYPE, kind);
    }
    for (name, value) in told.iter().filter_map(Value::as_object).flatten() {
        let name = HeaderName::try_from(name.as_str());
        let value = value
            .as_str()
            .and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    response
}

/// Hands on what a standby does not answer itself.
pub async fn hand_on(State(api): State<Api>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && api.is_unsure() {
        return unsure().into_response();
    }
    match api.standby() {
        Some(standby) if !is_own(request.method(), request.uri().path()) => standby
            .request(request)
            .await
            .unwrap_or_else(|error| error.into_response()),
        _ => next.run(request).await,
    }
}

/// Lets requests through for what only the leader has: what lies here is of the time when this instance led.
pub async fn only_leader(State(api): State<Api>, request: Request, next: Next) -> Response {
    match api.standby() {
        Some(standby) => {
            let leader = standby.named();
            let message = format!("this instance stands by; ask the leader, {leader}");
            unavailable(&message).into_response()
        }
        None => next.run(request).await,
    }
}

/// Why a leader that may be none changes nothing.
pub fn unsure() -> ApiError {
    unavailable("it is not confirmed that this instance leads the stream; try again")
}

/// Whether a standby answers this itself.
fn is_own(method: &Method, path: &str) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let path = path.strip_prefix("/api").unwrap_or(path);
    let Some(below) = path.strip_prefix("/stream/") else {
        // The documents, and the WebSocket of commands and events.
        return true;
    };
    let mut words = below.split('/').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let of_leader = words.any(|word| OF_LEADER.contains(&word));
    first == "events" || (OWN.contains(&first) && !of_leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_no_further() {
        let path = |uri: &'static str| without_token(&Uri::from_static(uri));
        assert_eq!(path("/stream/start?token=a%2B"), "/stream/start");
        assert_eq!(
            path("/stream/layers/a?durable=true&token=b&ifRevision=3"),
            "/stream/layers/a?durable=true&ifRevision=3"
        );
        assert_eq!(path("/stream/layers?tokens=b"), "/stream/layers?tokens=b");
    }

    #[test]
    fn what_is_authored_is_read_here_and_all_else_is_asked_of_the_leader() {
        for (method, path, is_here) in [
            (Method::GET, "/stream/layers", true),
            (Method::GET, "/stream/layers/host", true),
            (Method::GET, "/api/stream/status", true),
            (Method::GET, "/stream/layers/host/bounds", false),
            (Method::GET, "/stream/layers/host/speak/ws", false),
            (Method::PATCH, "/stream/layers/host", false),
            (Method::GET, "/stream/snapshot.png", false),
            (Method::GET, "/stream/outputs", false),
            (Method::GET, "/stream/events", true),
            (Method::GET, "/stream/state/export", true),
            (Method::GET, "/ws", true),
            (Method::GET, "/openapi.json", true),
            (Method::POST, "/stream/start", false),
        ] {
            assert_eq!(is_own(&method, path), is_here, "{method} {path}");
        }
    }
}
