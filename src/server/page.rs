//! The player page at `/`, and the live HLS files under `/hls`.

use std::path::Path;

use axum::Router;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue,
};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

const PLAYER: &str = include_str!("player.html");

/// The page and the files.
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
