//! What is answered before this instance is anything: it waits for the store, or reads what is saved.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::json;

use crate::control::{ApiError, ErrorCode};

/// Says on every path that the program starts; `/health` that it is well.
pub fn starting() -> Router {
    let answer = |code: StatusCode| {
        let body = json!({"success": code.is_success(), "data": {"status": "starting"}});
        (code, axum::Json(body)).into_response()
    };
    let alive = move || async move { answer(StatusCode::OK) };
    let ready = move || async move { answer(StatusCode::SERVICE_UNAVAILABLE) };
    Router::new()
        .route("/health", get(alive))
        .route("/healthz", get(alive))
        .route("/ready", get(ready))
        .fallback(|| async {
            let message = "the program starts; the log says what it waits for";
            ApiError::new(ErrorCode::Unavailable, message).into_response()
        })
}
