//! The HTTP servers of this release: the player page with the live HLS files, and health.
//!
//! Both read what the tick publishes; neither touches the world.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue,
};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use systems::publish::StatusBoard;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::clock::{Clock, SystemClock};

/// After how long without a tick the program counts as unwell.
pub const TICK_SILENCE_MAX: Duration = Duration::from_secs(2);

/// When the last tick ended, as the health of the program.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<AtomicU64>);

impl Default for Pulse {
    fn default() -> Self {
        let pulse = Self(Arc::default());
        pulse.beat();
        pulse
    }
}

impl Pulse {
    /// Notes that a tick has ended now.
    pub fn beat(&self) {
        self.0.store(SystemClock.now().as_millis() as u64, Relaxed);
    }

    fn silence(&self) -> Duration {
        SystemClock
            .now()
            .saturating_sub(Duration::from_millis(self.0.load(Relaxed)))
    }
}

/// What the health routes read.
#[derive(Clone)]
pub struct Health {
    /// The newest status.
    pub board: StatusBoard,
    /// The last tick.
    pub pulse: Pulse,
}

const PLAYER: &str = include_str!("player.html");

/// The player page at `/`, and the live files under `/hls`.
pub fn player(hls_folder: &Path) -> Router {
    let files = ServeDir::new(hls_folder).append_index_html_on_directories(false);
    let live = Router::new()
        .fallback_service(files)
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ))
        .layer(SetResponseHeaderLayer::overriding(
            ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        ));
    Router::new()
        .route("/", get(page))
        .nest_service("/hls", live)
}

async fn page() -> impl IntoResponse {
    let policy = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src 'self' blob:";
    ([(CONTENT_SECURITY_POLICY, policy)], Html(PLAYER))
}

/// `/health` and `/healthz`: whether the program ticks; `/ready`: whether it has made a frame.
pub fn health(state: Health) -> Router {
    Router::new()
        .route("/health", get(alive))
        .route("/healthz", get(alive))
        .route("/ready", get(ready))
        .with_state(state)
}

async fn alive(State(health): State<Health>) -> Response {
    let silence = health.pulse.silence();
    let (code, word) = if silence <= TICK_SILENCE_MAX {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stalled")
    };
    report(code, word, &health)
}

async fn ready(State(health): State<Health>) -> Response {
    let has_frames = health.board.read().counters.frames > 0;
    let (code, word) = if has_frames {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    };
    report(code, word, &health)
}

fn report(code: StatusCode, word: &str, health: &Health) -> Response {
    let status = health.board.read();
    let body = json!({
        "success": code.is_success(),
        "data": {
            "status": word,
            "tick": status.tick,
            "frames": status.counters.frames,
            "repeated": status.counters.repeated,
            "late": status.counters.late,
            "dropped": status.counters.encoder_full,
            "lastDrop": status.blame,
            "lastTickMsAgo": health.pulse.silence().as_millis() as u64,
        }
    });
    (code, Json(body)).into_response()
}

/// Binds `address` (port 0 takes a free one); gives the true address, and what serves `router` there until `stop` is done.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let server = async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stop)
            .await;
        if let Err(error) = served {
            tracing::error!(%address, %error, "an HTTP server ended");
        }
    };
    Ok((address, server))
}
