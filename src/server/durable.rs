//! `?durable=true`: the answer to a change waits until the change is saved.

use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Api;
use super::answer::{Answered, Landed, Params};

/// The name of the parameter.
pub const DURABLE: &str = "durable";

/// Has the answer wait where the request says so. What changes nothing in the show is saved when it is answered, or was nothing to save.
pub async fn wait(State(api): State<Api>, request: Request, next: Next) -> Response {
    let waits = match *request.method() {
        Method::GET | Method::HEAD => false,
        // What cannot be read of the query is told by the route.
        _ => Params::of(request.uri())
            .and_then(|query| query.flag(DURABLE))
            .is_ok_and(|waits| waits == Some(true)),
    };
    let response = next.run(request).await;
    if !waits {
        return response;
    }
    let Some(Landed(revision)) = response.extensions().get().copied() else {
        return response;
    };
    match api.station().saving().durable(revision).await {
        Ok(()) => response,
        Err(error) => error.into_response(),
    }
}

/// The same for an answer that goes another way.
///
/// # Errors
/// It is not saved in time.
pub async fn wait_for(api: &Api, answer: Answered) -> Answered {
    let reply = answer?;
    if let Some(Landed(revision)) = reply.landed() {
        api.station().saving().durable(revision).await?;
    }
    Ok(reply)
}
