//! `/health` and `/healthz`: whether the program ticks, or stands by; `/ready`: whether it is on air with all that it needs.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::stream::{self, StreamRole};
use super::{Api, Membership, Standby};
use crate::control::keep::handover::{WORD_HEADER, YIELD_PATH};
use crate::control::{ApiError, ErrorCode};

/// After how long without a tick the program counts as unwell.
pub const TICK_SILENCE_MAX: Duration = Duration::from_secs(2);

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/health", get(alive))
        .route("/healthz", get(alive))
        .route("/ready", get(ready))
        .route(YIELD_PATH, post(let_go))
        .with_state(api)
}

async fn alive(State(api): State<Api>) -> Response {
    let silence = api.station().ticks().silence();
    let (code, word) = if stands_by(&api) {
        (StatusCode::OK, "standby")
    } else if silence <= TICK_SILENCE_MAX {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stalled")
    };
    report(code, word, &api)
}

async fn ready(State(api): State<Api>) -> Response {
    let silence = api.station().ticks().silence();
    let has_frames = api.station().status().counters.frames > 0;
    let (code, word) = if stands_by(&api) {
        (StatusCode::SERVICE_UNAVAILABLE, "standby")
    } else if api.is_unsure() {
        (StatusCode::SERVICE_UNAVAILABLE, "unconfirmed")
    } else if has_frames && silence <= TICK_SILENCE_MAX {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    };
    report(code, word, &api)
}

/// Another instance has taken the lease, of which this one may not know.
async fn let_go(State(api): State<Api>, headers: HeaderMap) -> Response {
    let word = headers
        .get(WORD_HEADER)
        .map_or(&[][..], HeaderValue::as_bytes);
    match api.membership() {
        Membership::Leader {
            handover: Some(handover),
            ..
        } if handover.let_go(word) => report(StatusCode::OK, "let go", &api),
        _ => {
            let message = "only the instance that has the lease may ask for this";
            ApiError::new(ErrorCode::Forbidden, message).into_response()
        }
    }
}

/// Whether another instance makes the program.
fn stands_by(api: &Api) -> bool {
    stream::role(api).0 == StreamRole::Standby
}

fn report(code: StatusCode, word: &str, api: &Api) -> Response {
    let station = api.station();
    let status = station.status();
    let (role, leader) = stream::role(api);
    let body = json!({
        "success": code.is_success(),
        "data": {
            "status": word,
            "role": role,
            "leader": leader,
            // Why a standby could not take the leader's place.
            "trouble": api.standby().and_then(Standby::trouble),
            "isLive": station.streaming().is_some(),
            "tick": status.tick,
            "frames": status.counters.frames,
            "repeated": status.counters.repeated,
            "late": status.counters.late,
            "dropped": status.counters.encoder_full,
            "lastDrop": status.blame,
            "lastTickMsAgo": station.ticks().silence().as_millis() as u64,
            // That changes are not saved is no reason to end a stream.
            "store": station.saving().status(),
        }
    });
    (code, axum::Json(body)).into_response()
}
