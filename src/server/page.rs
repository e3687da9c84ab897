//! The player page at `/`, and the live HLS files under `/hls`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, USER_AGENT,
};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{Api, standby};
use crate::control::Viewers;

/// Where pictures of the program are.
const PICTURES: [&str; 2] = ["/stream/snapshot.jpg", "/stream/snapshot.png"];
const PLAYER: &str = include_str!("player.html");

/// The page and the files, which are there where this instance makes them.
pub fn player(hls_folder: &Path, api: Api) -> Router {
    let viewers = api.station().viewers().clone();
    let files = ServeDir::new(hls_folder).append_index_html_on_directories(false);
    let live = Router::new()
        .fallback_service(files)
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ))
        .layer(from_fn_with_state(viewers, watched))
        .layer(from_fn_with_state(api, standby::only_leader))
        .layer(SetResponseHeaderLayer::overriding(
            ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        ));
    Router::new()
        .route("/", get(page))
        .nest_service("/hls", live)
}

/// Who gets a file of HLS watches.
async fn watched(State(viewers): State<Viewers>, request: Request, next: Next) -> Response {
    noting(request, next, |address, agent| {
        viewers.note_hls(address, agent, Instant::now());
    })
    .await
}

/// Who gets pictures of the program, one after the other, watches too.
pub async fn pictured(State(viewers): State<Viewers>, request: Request, next: Next) -> Response {
    if !PICTURES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    noting(request, next, |address, agent| {
        viewers.note_preview(address, agent, Instant::now());
    })
    .await
}

/// Answers, and notes who asked when there was something to give.
async fn noting(
    request: Request,
    next: Next,
    note: impl FnOnce(Option<IpAddr>, &[u8]),
) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|info| info.0.ip());
    let agent = request.headers().get(USER_AGENT).cloned();
    let response = next.run(request).await;
    if response.status().is_success() {
        note(
            address,
            agent.as_ref().map_or(&b""[..], HeaderValue::as_bytes),
        );
    }
    response
}

async fn page() -> impl IntoResponse {
    let policy = "default-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src 'self' blob:";
    ([(CONTENT_SECURITY_POLICY, policy)], Html(PLAYER))
}
