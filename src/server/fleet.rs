//! What a supervisor of a fleet tells on HEALTH_PORT: `/health` and `/healthz`, whether it does its work; `/ready`, whether it belongs to
//! its fleet; `/fleet`, what it carries; `/metrics` for Prometheus. There is no secret in any of it, and nothing can be changed.

use std::fmt;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use serde_json::json;

use super::answer;
use super::metrics::{self, Page, flag};
use crate::control::{ApiError, ErrorCode};
use crate::fleet::{Board, FleetStatus, RedisState};

/// The routes.
pub fn fleet(board: Board) -> Router {
    Router::new()
        .route("/health", get(alive))
        .route("/healthz", get(alive))
        .route("/ready", get(ready))
        .route("/fleet", get(show))
        .route("/metrics", get(scrape))
        .with_state(board)
        .fallback(no_route)
        .method_not_allowed_fallback(answer::no_method)
}

async fn no_route() -> ApiError {
    let message = "there is no such route; a supervisor has /health, /ready, /fleet and /metrics, and each channel its own ports";
    ApiError::new(ErrorCode::NotFound, message)
}

async fn alive(State(board): State<Board>) -> Response {
    let status = board.read();
    match status.is_well() {
        true => report(StatusCode::OK, "ok", &status),
        false => report(StatusCode::SERVICE_UNAVAILABLE, "stalled", &status),
    }
}

async fn ready(State(board): State<Board>) -> Response {
    let status = board.read();
    match status.is_ready() {
        true => report(StatusCode::OK, "ready", &status),
        false => report(StatusCode::SERVICE_UNAVAILABLE, "starting", &status),
    }
}

fn report(code: StatusCode, word: &str, status: &FleetStatus) -> Response {
    let body = json!({
        "success": code.is_success(),
        "data": {
            "status": word,
            "redis": status.redis,
            "redisError": status.redis_error,
            "lastBeatMsAgo": status.last_beat.elapsed().as_millis() as u64,
            "capacity": status.capacity,
            "channels": status.channels.len(),
            "running": status.running(),
        }
    });
    (code, Json(body)).into_response()
}

async fn show(State(board): State<Board>) -> Response {
    Json(json!({"success": true, "data": board.read()})).into_response()
}

async fn scrape(State(board): State<Board>, headers: HeaderMap) -> Response {
    metrics::answer(Box::new(Everything(board.read())), &headers)
}

#[derive(Debug)]
struct Everything(FleetStatus);

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = &self.0;
        let mut page = Page::new(encoder);
        page.gauge(
            "stream_fleet_capacity",
            "Channels that this instance carries at most.",
            status.capacity as f64,
        )?;
        page.gauge(
            "stream_fleet_channels",
            "Channels that this instance has.",
            status.channels.len() as f64,
        )?;
        page.gauge(
            "stream_fleet_running",
            "Channels whose process is there.",
            status.running() as f64,
        )?;
        page.gauge(
            "stream_fleet_redis_up",
            "Whether Redis answers.",
            flag(status.redis == RedisState::Ok),
        )?;
        page.counter(
            "stream_fleet_restarts",
            "Processes of channels that ended without being told to.",
            status.restarts,
        )?;
        let up = status.channels.values().map(|channel| {
            let labels = vec![("channel", channel.id.clone())];
            (labels, flag(channel.pid.is_some()))
        });
        page.family(
            "stream_fleet_channel_up",
            "Whether the channel's process is there.",
            MetricType::Gauge,
            up,
        )
    }
}
