//! Pictures of the program, taken from the very frames that the encoders get, and of the preview.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use components::viewport::{self, CanvasFit, Viewport};
use glam::Vec2;
use image::{DynamicImage, RgbImage, RgbaImage};
use serde_json::json;

use super::Api;
use super::answer::Params;
use super::guides::{self, Guides};
use super::keys::blocking;
use super::routes::{Doc, Routes};
use crate::control::still::{self, Format};
use crate::control::{ApiError, ErrorCode};
use crate::prepare;

const TAG: &str = "pictures";
/// The latest look at a preview, in seconds.
const SECONDS_MAX: f64 = 86_400.0;

fn doc(id: &'static str, summary: &'static str, media_types: &'static [&'static str]) -> Doc {
    let width = json!({"type": "integer", "minimum": 16, "maximum": 7680});
    Doc::new(TAG, id, summary)
        .query(
            "width",
            width,
            "Pixels; the canvas's own when absent, and at most. The height follows.",
        )
        .error(ErrorCode::Unavailable)
        .raw("The picture.", media_types)
}

/// The routes.
pub fn routes() -> Routes {
    let quality = json!({"type": "integer", "minimum": 1, "maximum": 100});
    Routes::new()
        .get(
            "/snapshot.png",
            doc(
                "getSnapshotPng",
                "Gives the program's next frame as it is encoded",
                &["image/png"],
            ),
            async |State(api): State<Api>, query: Params| program(&api, &query, Format::Png).await,
        )
        .get(
            "/snapshot.jpg",
            doc(
                "getSnapshotJpeg",
                "Gives the program's next frame as it is encoded",
                &["image/jpeg"],
            )
            .query("quality", quality.clone(), "1 to 100; 85 when absent."),
            async |State(api): State<Api>, query: Params| {
                program(&api, &query, jpeg(&query)?).await
            },
        )
        .get(
            "/preview.png",
            preview_doc(
                "getPreviewPng",
                "Gives the scene in preview as it would look on air",
                &["image/png"],
            ),
            async |State(api): State<Api>, query: Params| preview(&api, &query, Format::Png).await,
        )
        .get(
            "/preview.jpg",
            preview_doc(
                "getPreviewJpeg",
                "Gives the scene in preview as it would look on air",
                &["image/jpeg"],
            )
            .query("quality", quality, "1 to 100; 85 when absent."),
            async |State(api): State<Api>, query: Params| {
                preview(&api, &query, jpeg(&query)?).await
            },
        )
}

fn preview_doc(
    id: &'static str,
    summary: &'static str,
    media_types: &'static [&'static str],
) -> Doc {
    doc(id, summary, media_types)
        .more("It is drawn aside; nothing of it, and no guide, comes on air.")
        .query(
            "size",
            json!({"type": "string", "pattern": "^[0-9]{2,4}x[0-9]{2,4}$"}),
            "Draws it for a frame of this size, such as 3840x2160, and not for its canvas. Both sides even. Not with `width`.",
        )
        .query(
            "fit",
            json!({"enum": ["contain", "cover"]}),
            "What becomes of a canvas of other proportions than `size`; `contain` when absent.",
        )
        .query(
            "at",
            json!({"type": "number", "minimum": 0, "maximum": SECONDS_MAX}),
            "Seconds since it came on air; its first frame when absent.",
        )
        .query(
            "guides",
            json!({"type": "string", "pattern": guides::PATTERN}),
            "Draws guides over it: `true` for all, or some of `safeAreas`, `grid` and `center` with commas in between.",
        )
        .error(ErrorCode::Conflict)
}

/// How a picture of the preview is asked for.
struct Look {
    size: Option<(u32, u32)>,
    fit: CanvasFit,
    seconds: f64,
    guides: Guides,
}

impl Look {
    fn of(query: &Params) -> Result<Self, ApiError> {
        let bad = |message: String| ApiError::new(ErrorCode::BadRequest, message);
        let size = match query.get("size").map(viewport::parse_size) {
            Some(None) => {
                let expected = viewport::SIZE_EXPECTED;
                return Err(bad(format!(
                    "the query parameter `size` must be {expected}"
                )));
            }
            size => size.flatten(),
        };
        if size.is_some() && query.get("width").is_some() {
            return Err(bad("`size` and `width` exclude each other".to_owned()));
        }
        let fit = match query.get("fit") {
            None | Some("contain") => CanvasFit::Contain,
            Some("cover") => CanvasFit::Cover,
            Some(_) => {
                let message = "the query parameter `fit` must be `contain` or `cover`";
                return Err(bad(message.to_owned()));
            }
        };
        let seconds = match query.get("at").map(str::parse::<f64>) {
            None => 0.0,
            Some(Ok(seconds)) if (0.0..=SECONDS_MAX).contains(&seconds) => seconds,
            Some(_) => {
                return Err(bad(format!(
                    "the query parameter `at` must be a number of seconds from 0 to {SECONDS_MAX}"
                )));
            }
        };
        let guides = query
            .get("guides")
            .map_or(Ok(Guides::default()), Guides::parse)?;
        Ok(Self {
            size,
            fit,
            seconds,
            guides,
        })
    }
}

async fn program(api: &Api, query: &Params, format: Format) -> Result<Response, ApiError> {
    let width = width(query)?;
    let _turn = still::AT_A_TIME.acquire().await;
    let frame = api.station().frames().next().await.ok_or_else(|| {
        ApiError::new(
            ErrorCode::Unavailable,
            "too many pictures are asked for; try again later",
        )
    })?;
    // Copied at once: the frame is one of the pool.
    let picture = blocking(move || still::rgb(&frame.frame)).await?;
    answer(picture, width, format).await
}

async fn preview(api: &Api, query: &Params, format: Format) -> Result<Response, ApiError> {
    let (width, look) = (width(query)?, Look::of(query)?);
    let show = api.director().snapshot().show.clone();
    let Some(staged) = &show.preview else {
        return Err(ApiError::conflict("no scene is in preview"));
    };
    let _turn = still::AT_A_TIME.acquire().await;
    let (library, id) = (api.library().clone(), staged.id.clone());
    let (max_layers, mut engine) = (show.config.max_layers, api.director().engine_settings());
    let picture = blocking(move || {
        let scene = library.load(&id, max_layers)?;
        let mut bundle = prepare::bundle(&scene, library.assets())
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let canvas = bundle.spec.canvas.clone();
        (engine.width, engine.height) = look.size.unwrap_or((canvas.width, canvas.height));
        let size = |width: u32, height: u32| Vec2::new(width as f32, height as f32);
        let (own, frame) = (
            size(canvas.width, canvas.height),
            size(engine.width, engine.height),
        );
        let guides = look
            .guides
            .layers(&canvas, &Viewport::new(own, frame, look.fit));
        engine.max_layers += guides.len();
        bundle.spec.layers.extend(guides);
        let picture = prepare::still(bundle, &engine, look.fit, look.seconds)
            .map_err(|error| ApiError::conflict(error.to_string()))?;
        without_alpha(picture)
    })
    .await?;
    answer(picture, width, format).await
}

fn width(query: &Params) -> Result<Option<u32>, ApiError> {
    let width = query.parsed::<u32>("width", "a whole number from 16 to 7680")?;
    match width {
        Some(width) if !(16..=7680).contains(&width) => Err(ApiError::new(
            ErrorCode::BadRequest,
            "the query parameter `width` must be from 16 to 7680",
        )),
        width => Ok(width),
    }
}

/// A JPEG of the quality that is asked for.
fn jpeg(query: &Params) -> Result<Format, ApiError> {
    match query.parsed::<u8>("quality", "a whole number from 1 to 100")? {
        None => Ok(Format::Jpeg(85)),
        Some(quality @ 1..=100) => Ok(Format::Jpeg(quality)),
        Some(_) => Err(ApiError::new(
            ErrorCode::BadRequest,
            "the query parameter `quality` must be from 1 to 100",
        )),
    }
}

async fn answer(
    picture: RgbImage,
    width: Option<u32>,
    format: Format,
) -> Result<Response, ApiError> {
    let bytes = blocking(move || still::encode(picture, width, format)).await?;
    let media_type = match format {
        Format::Png => "image/png",
        Format::Jpeg(_) => "image/jpeg",
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, bytes).into_response())
}

fn without_alpha(picture: systems::Picture) -> Result<RgbImage, ApiError> {
    RgbaImage::from_raw(picture.width, picture.height, picture.rgba)
        .map(|picture| DynamicImage::from(picture).into_rgb8())
        .ok_or_else(|| ApiError::internal("the picture has the wrong size"))
}
