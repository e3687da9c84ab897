//! Pictures of frames: from the planes that the encoders get to files of pictures. All of it takes milliseconds of a processor, and is
//! called where that is allowed.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage, imageops};
use raster::I420Frame;
use tokio::sync::Semaphore;

use super::error::ApiError;

/// How many pictures are made at a time; more wait.
pub static AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Without loss.
    Png,
    /// Of this quality, 1 to 100.
    Jpeg(u8),
}

/// The picture in a frame: BT.709, limited range (ITU-R BT.709-6).
///
/// # Errors
/// The frame's planes do not fit its size.
pub fn rgb(frame: &I420Frame) -> Result<RgbImage, ApiError> {
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

/// A picture as a file, at most `width` pixels wide.
///
/// # Errors
/// The encoder's.
pub fn encode(picture: RgbImage, width: Option<u32>, format: Format) -> Result<Vec<u8>, ApiError> {
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
    let written =
        match format {
            Format::Png => PngEncoder::new_with_quality(
                &mut bytes,
                CompressionType::Fast,
                FilterType::Adaptive,
            )
            .write_image(&picture, width, height, ExtendedColorType::Rgb8),
            Format::Jpeg(quality) => JpegEncoder::new_with_quality(&mut bytes, quality)
                .write_image(&picture, width, height, ExtendedColorType::Rgb8),
        };
    written.map_err(|error| {
        tracing::error!(%error, "a picture cannot be written");
        ApiError::internal("the picture cannot be written")
    })?;
    Ok(bytes.into_inner())
}
