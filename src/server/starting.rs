//! What is answered before this instance is anything: it waits for the store, or reads what is saved.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::json;

use crate::control::{ApiError, ErrorCode};

/// Says on every path that the program starts; `/health` that it is well, and why it gets no further where something keeps it.
pub fn starting(trouble: Option<&str>) -> Router {
    let data = json!({"status": "starting", "trouble": trouble});
    let answer = move |code: StatusCode| {
        let body = json!({"success": code.is_success(), "data": data});
        (code, axum::Json(body)).into_response()
    };
    let (alive, ready) = (answer.clone(), answer);
    let alive = move || async move { alive(StatusCode::OK) };
    let ready = move || async move { ready(StatusCode::SERVICE_UNAVAILABLE) };
    Router::new()
        .route("/health", get(alive.clone()))
        .route("/healthz", get(alive))
        .route("/ready", get(ready))
        .fallback(|| async {
            let message = "the program starts; the log says what it waits for";
            ApiError::new(ErrorCode::Unavailable, message).into_response()
        })
}
