//! The API's own description: `openapi.json`, and a page to try it, whose files are in the binary.

use std::sync::OnceLock;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::IntoResponse;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::Api;
use super::routes::{Doc, Routes};

/// The routes.
pub fn routes() -> Routes {
    Routes::new().get(
        "/openapi.json",
        Doc::new("docs", "getOpenApi", "Gives this document")
            .raw("The OpenAPI 3.1 document.", &["application/json"])
            .public(),
        openapi,
    )
}

/// The page.
pub fn page() -> Router {
    SwaggerUi::new("/docs")
        .config(Config::new(["/openapi.json"]).try_it_out_enabled(true))
        .into()
}

async fn openapi(State(api): State<Api>) -> impl IntoResponse {
    static TEXT: OnceLock<(bool, String)> = OnceLock::new();
    let with_token = api.guard().has_token();
    let (_, text) = TEXT.get_or_init(|| (with_token, super::openapi(with_token).to_string()));
    let json = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, json)], text.as_str())
}
