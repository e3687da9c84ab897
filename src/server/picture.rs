//! Pictures of the program, taken from the very frames that the encoders get, and of the preview.

use std::io::Cursor;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage, imageops};
use raster::I420Frame;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Api;
use super::answer::Params;
use super::keys::blocking;
use super::routes::{Doc, Routes};
use crate::control::{ApiError, ErrorCode};
use crate::prepare;

const TAG: &str = "pictures";
/// How many pictures are made at a time; more wait.
static AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// What kind of file is asked for.
#[derive(Clone, Copy)]
enum Format {
    Png,
    Jpeg,
}

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
            .query("quality", quality, "1 to 100; 85 when absent."),
            async |State(api): State<Api>, query: Params| program(&api, &query, Format::Jpeg).await,
        )
        .get(
            "/preview.png",
            doc(
                "getPreviewPng",
                "Gives the scene in preview as it would begin",
                &["image/png"],
            )
            .error(ErrorCode::Conflict),
            preview,
        )
}

async fn program(api: &Api, query: &Params, format: Format) -> Result<Response, ApiError> {
    let (width, quality) = (width(query)?, quality(query)?);
    let _turn = AT_A_TIME.acquire().await;
    let frame = api.station().frames().next().await.ok_or_else(|| {
        ApiError::new(
            ErrorCode::Unavailable,
            "too many pictures are asked for; try again later",
        )
    })?;
    // Copied at once: the frame is one of the pool.
    let picture = blocking(move || rgb(&frame.frame)).await?;
    answer(picture, width, format, quality).await
}

async fn preview(State(api): State<Api>, query: Params) -> Result<Response, ApiError> {
    let width = width(&query)?;
    let show = api.director().snapshot().show.clone();
    let Some(staged) = &show.preview else {
        return Err(ApiError::conflict("no scene is in preview"));
    };
    let _turn = AT_A_TIME.acquire().await;
    let (library, id) = (api.library().clone(), staged.id.clone());
    let (max_layers, engine) = (show.config.max_layers, api.director().engine_settings());
    let picture = blocking(move || {
        let scene = library.load(&id, max_layers)?;
        let bundle = prepare::bundle(&scene, library.assets())
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let frame = prepare::first_frame(bundle, &engine)
            .map_err(|error| ApiError::conflict(error.to_string()))?;
        rgb(&frame)
    })
    .await?;
    answer(picture, width, Format::Png, 85).await
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

fn quality(query: &Params) -> Result<u8, ApiError> {
    match query.parsed::<u8>("quality", "a whole number from 1 to 100")? {
        None => Ok(85),
        Some(quality @ 1..=100) => Ok(quality),
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
    quality: u8,
) -> Result<Response, ApiError> {
    let bytes = blocking(move || encode(picture, width, format, quality)).await?;
    let media_type = match format {
        Format::Png => "image/png",
        Format::Jpeg => "image/jpeg",
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, bytes).into_response())
}

/// The picture in a frame: BT.709, limited range (ITU-R BT.709-6).
fn rgb(frame: &Arc<I420Frame>) -> Result<RgbImage, ApiError> {
    let planes = yuv::YuvPlanarImage {
        y_plane: frame.y(),
        y_stride: frame.luma_stride() as u32,
        u_plane: frame.u(),
        u_stride: frame.chroma_stride() as u32,
        v_plane: frame.v(),
        v_stride: frame.chroma_stride() as u32,
        width: frame.width(),
        height: frame.height(),
    };
    let mut picture = RgbImage::new(frame.width(), frame.height());
    let stride = frame.width() * 3;
    yuv::yuv420_to_rgb(
        &planes,
        &mut picture,
        stride,
        yuv::YuvRange::Limited,
        yuv::YuvStandardMatrix::Bt709,
    )
    .map_err(|error| {
        tracing::error!(%error, "a frame is no picture");
        ApiError::internal("the frame cannot be read")
    })?;
    Ok(picture)
}

fn encode(
    picture: RgbImage,
    width: Option<u32>,
    format: Format,
    quality: u8,
) -> Result<Vec<u8>, ApiError> {
    let picture = match width.filter(|width| *width < picture.width()) {
        None => picture,
        Some(width) => {
            let height =
                u64::from(picture.height()) * u64::from(width) / u64::from(picture.width());
            let height = (height as u32).max(1);
            imageops::resize(&picture, width, height, imageops::FilterType::Triangle)
        }
    };
    let mut bytes = Cursor::new(Vec::new());
    let (width, height) = picture.dimensions();
    let written = match format {
        Format::Png => {
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
                .write_image(&picture, width, height, ExtendedColorType::Rgb8)
        }
        Format::Jpeg => JpegEncoder::new_with_quality(&mut bytes, quality).write_image(
            &picture,
            width,
            height,
            ExtendedColorType::Rgb8,
        ),
    };
    written.map_err(|error| {
        tracing::error!(%error, "a picture cannot be written");
        ApiError::internal("the picture cannot be written")
    })?;
    Ok(bytes.into_inner())
}
