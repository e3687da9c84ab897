//! Whether a change is saved: `?durable=true` has its answer wait until it is, and an answer says so where it will not be in time.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::Api;
use super::answer::{Answered, Landed, Params};
use crate::control::ApiError;
use crate::control::view::json_of;
use crate::store::PersistState;

/// The name of the parameter.
pub const DURABLE: &str = "durable";
/// The field of an answer that says how the store is.
pub const STORE: &str = "store";
/// The longest answer that the field is put into, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// Has the answer wait where the request says so. What changes nothing in the show is saved when it is answered, or was nothing to save.
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
    let Some(Landed(revision)) = response.extensions().get().copied() else {
        return response;
    };
    if waits {
        return match saved(api, revision, response.status()).await {
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
    if let Some(Landed(revision)) = reply.landed() {
        if waits {
            saved(api, revision, reply.status()).await?;
        } else {
            reply.store = unwell(api);
        }
    }
    Ok(reply)
}

/// Waits until a change is saved, or that it is scheduled.
async fn saved(api: &Api, revision: u64, status: StatusCode) -> Result<(), ApiError> {
    let saving = api.station().saving();
    match status {
        StatusCode::ACCEPTED => saving.flushed(revision).await,
        _ => saving.durable(revision).await,
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
