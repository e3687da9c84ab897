//! Thumbnails: small pictures of the program, taken now and then.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::answer::{Answered, Name, Reply};
use super::routes::{Doc, Routes, schema_of};
use crate::control::thumbnails::Thumbnail;
use crate::control::{ApiError, ErrorCode};

const TAG: &str = "pictures";

/// Every thumbnail that is kept.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ThumbnailsAnswer {
    /// The thumbnails, the newest first.
    thumbnails: Vec<Thumbnail>,
    /// How many there are.
    count: usize,
    /// Seconds from one to the next; 0 when none are taken by themselves.
    interval: u32,
}

/// The routes.
pub fn routes() -> Routes {
    let file = json!({"type": "string", "pattern": "^([1-9][0-9]{0,14}|latest)\\.jpg$"});
    Routes::new()
        .get(
            "/thumbnails",
            Doc::new(
                TAG,
                "listThumbnails",
                "Lists the small pictures of the program that are kept",
            )
            .answers::<ThumbnailsAnswer>("The thumbnails."),
            async |State(api): State<Api>| list(&api),
        )
        .post(
            "/thumbnails",
            Doc::new(
                TAG,
                "takeThumbnail",
                "Takes a small picture of the program's next frame",
            )
            .error(ErrorCode::Unavailable)
            .answer(201, "It is taken.", schema_of::<Thumbnail>, false),
            async |State(api): State<Api>| take(&api).await,
        )
        .get(
            "/thumbnails/{file}",
            Doc::new(TAG, "getThumbnail", "Gives a small picture of the program")
                .path("file", file, "Its number and `.jpg`, or `latest.jpg`.")
                .raw("The picture.", &["image/jpeg"]),
            picture,
        )
}

/// Every thumbnail.
pub fn list(api: &Api) -> Answered {
    let thumbnails = api.station().thumbnails().list();
    Reply::of(ThumbnailsAnswer {
        count: thumbnails.len(),
        thumbnails,
        interval: api.station().settings().thumbnail_interval_s,
    })
}

/// Takes one now.
pub async fn take(api: &Api) -> Answered {
    Ok(Reply::of(api.station().take_thumbnail().await?)?.created())
}

async fn picture(State(api): State<Api>, Name(file): Name) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("thumbnail", &file, ["latest.jpg"]);
    let id = match file.strip_suffix(".jpg") {
        Some("latest") => None,
        Some(id) => Some(id.parse::<u64>().map_err(|_| missing())?),
        None => return Err(missing()),
    };
    let (_, jpeg) = api.station().thumbnails().get(id).ok_or_else(missing)?;
    // The next one has another number.
    let cache = if id.is_some() {
        "private, max-age=3600, immutable"
    } else {
        "no-store"
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    Ok((headers, jpeg).into_response())
}
