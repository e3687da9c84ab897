//! `/health` and `/healthz`: whether the program ticks, or stands by; `/ready`: whether it is on air with all that it needs.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::Api;
use super::stream::{self, StreamRole};

/// After how long without a tick the program counts as unwell.
pub const TICK_SILENCE_MAX: Duration = Duration::from_secs(2);

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/health", get(alive))
        .route("/healthz", get(alive))
        .route("/ready", get(ready))
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
    } else if has_frames && silence <= TICK_SILENCE_MAX {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    };
    report(code, word, &api)
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
