//! Whether a change is saved: `?durable=true` has its answer wait until it is, and an answer says so where it will not be in time.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::Api;
use super::answer::{Answered, Kept, Landed, Params};
use crate::control::ApiError;
use crate::control::view::json_of;
use crate::store::PersistState;

/// The name of the parameter.
pub const DURABLE: &str = "durable";
/// The field of an answer that says how the store is.
pub const STORE: &str = "store";
/// The longest answer that the field is put into, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// The revision that it has made.
    Landed(u64),
    /// All that is known by now: what waits for its tick, or stands beside the show, has no revision of its own.
    Beside(u64),
}

impl Change {
    fn of(api: &Api, landed: Option<Landed>, is_kept: bool, status: StatusCode) -> Option<Self> {
        let all = is_kept || status == StatusCode::ACCEPTED;
        match landed {
            Some(Landed(revision)) if all => Some(Self::Beside(revision)),
            Some(Landed(revision)) => Some(Self::Landed(revision)),
            None if is_kept => Some(Self::Beside(api.director().snapshot().show.revision)),
            None => None,
        }
    }
}

/// Has the answer wait where the request says so. What changes nothing that is saved is answered at once.
pub async fn wait(State(api): State<Api>, request: Request, next: Next) -> Response {
    let waits = is_asked(&request);
    let response = next.run(request).await;
    settled(&api, response, waits).await
}

/// Whether a request says that its answer is to wait.
pub fn is_asked(request: &Request) -> bool {
    match *request.method() {
        Method::GET | Method::HEAD => false,
        // What cannot be read of the query is told by the route.
        _ => Params::of(request.uri())
            .and_then(|query| query.flag(DURABLE))
            .is_ok_and(|waits| waits == Some(true)),
    }
}

/// The answer to a change that has landed, once it is saved where it `waits`, else with how the store is where that matters.
pub async fn settled(api: &Api, response: Response, waits: bool) -> Response {
    let landed = response.extensions().get().copied();
    let is_kept = response.extensions().get::<Kept>().is_some();
    let Some(change) = Change::of(api, landed, is_kept, response.status()) else {
        return response;
    };
    if waits {
        return match saved(api, change).await {
            Ok(()) => response,
            Err(error) => error.into_response(),
        };
    }
    match unwell(api) {
        None => response,
        Some(state) => marked(response, state).await,
    }
}

/// The same for an answer that goes another way.
///
/// # Errors
/// It is not saved in time.
pub async fn wait_for(api: &Api, answer: Answered, waits: bool) -> Answered {
    let mut reply = answer?;
    let change = Change::of(api, reply.landed(), reply.is_kept(), reply.status());
    if let Some(change) = change {
        if waits {
            saved(api, change).await?;
        } else {
            reply.store = unwell(api);
        }
    }
    Ok(reply)
}

/// Waits until a change is saved, or that it is scheduled.
async fn saved(api: &Api, change: Change) -> Result<(), ApiError> {
    let saving = api.station().saving();
    match change {
        Change::Landed(revision) => saving.durable(revision).await,
        Change::Beside(revision) => saving.flushed(revision).await,
    }
}

/// How the store is where changes are not saved in time.
fn unwell(api: &Api) -> Option<PersistState> {
    let state = api.station().saving().status().state;
    (state != PersistState::Ok).then_some(state)
}

/// The answer with how the store is.
async fn marked(response: Response, state: PersistState) -> Response {
    let (head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_MAX).await else {
        return ApiError::internal("the answer to the change is too long").into_response();
    };
    let body = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(mut answer)) => {
            answer.insert(STORE.to_owned(), json_of(&state));
            Body::from(Value::Object(answer).to_string())
        }
        _ => Body::from(bytes),
    };
    Response::from_parts(head, body)
}
