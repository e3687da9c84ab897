//! Bytes of a file to a picture: which kind it is, and the limits that hold for all kinds. Called where waiting is allowed, never on
//! the tick.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use glam::Vec2;
use image::{ImageFormat, ImageReader, Limits, RgbaImage};
use raster::Raster;

use super::animation::{Animation, decode_animation};
use super::vector::{PictureFonts, VectorPicture, is_svg};

/// The longest side of a picture, in pixels.
pub const MAX_PICTURE_SIDE: u32 = 16_384;
/// The most bytes that decoding one picture may take.
pub const MAX_PICTURE_BYTES: u64 = 512 << 20;

/// A picture that layers can show. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Picture {
    kind: PictureKind,
    content: u64,
    /// Whether a cache holds one, which is no use of it.
    is_cached: Arc<AtomicBool>,
}

/// What a picture is made of.
#[derive(Clone, Debug)]
pub enum PictureKind {
    /// Pixels at their own size: premultiplied RGBA8.
    Still(Arc<Raster>),
    /// Lines and areas, drawn at the size at which they are shown.
    Vector(Arc<VectorPicture>),
    /// Frames that follow each other.
    Animated(Arc<Animation>),
}

/// Why a picture cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PictureError(pub String);

impl PictureError {
    pub(super) fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl Picture {
    /// What it is made of.
    pub fn kind(&self) -> &PictureKind {
        &self.kind
    }

    /// A hash of its file, and of the fonts that an SVG has: pictures that differ in it look different.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// Its own size, in pixels.
    pub fn size(&self) -> Vec2 {
        match &self.kind {
            PictureKind::Still(raster) => raster_size(raster),
            PictureKind::Vector(vector) => vector.size(),
            PictureKind::Animated(animation) => animation.size(),
        }
    }

    /// Bytes of heap held.
    pub fn byte_len(&self) -> usize {
        match &self.kind {
            PictureKind::Still(raster) => raster.byte_len(),
            PictureKind::Vector(vector) => vector.byte_len(),
            PictureKind::Animated(animation) => animation.byte_len(),
        }
    }

    /// Whether two are the very same picture: decoded once, or twice from the same bytes.
    pub fn is_same(&self, other: &Self) -> bool {
        self.content == other.content
    }

    /// How many hold it, this one with them.
    pub fn holders(&self) -> usize {
        match &self.kind {
            PictureKind::Still(raster) => Arc::strong_count(raster),
            PictureKind::Vector(vector) => Arc::strong_count(vector),
            PictureKind::Animated(animation) => Arc::strong_count(animation),
        }
    }

    /// Says of this and all its copies that one of them is in a cache, or is no more. It counts as nobody who shows it.
    pub fn set_cached(&self, is_cached: bool) {
        self.is_cached.store(is_cached, Relaxed);
    }

    /// Whether others hold it, too, apart from a cache.
    pub(super) fn is_shared(&self) -> bool {
        self.holders() > 1 + usize::from(self.is_cached.load(Relaxed))
    }
}

pub(super) fn raster_size(raster: &Raster) -> Vec2 {
    Vec2::new(raster.width() as f32, raster.height() as f32)
}

/// Decodes a PNG, JPEG, WebP, GIF or SVG, told apart by content and not by name. A GIF, PNG or WebP of more than one frame is an
/// animation. `fonts` is asked for the fonts of an SVG's text, if it has any.
///
/// # Errors
/// Says what is wrong with the bytes; a picture of more than [`MAX_PICTURE_SIDE`] pixels a side or [`MAX_PICTURE_BYTES`] is refused
/// before it takes memory, as is an animation above [`ANIMATION_MAX_BYTES`](super::ANIMATION_MAX_BYTES) and an SVG above
/// [`SVG_FILE_MAX`](super::SVG_FILE_MAX).
pub fn decode_picture(
    bytes: &[u8],
    fonts: &dyn Fn() -> PictureFonts,
) -> Result<Picture, PictureError> {
    // A decoder that a hostile file brings to panic must not take the thread with it.
    let kind = catch_unwind(AssertUnwindSafe(|| decode_kind(bytes, fonts)))
        .unwrap_or_else(|_| Err(PictureError::of("the file makes its decoder fail")))?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    if let PictureKind::Vector(vector) = &kind {
        vector.font_set.hash(&mut hasher);
    }
    Ok(Picture {
        kind,
        content: hasher.finish(),
        is_cached: Arc::default(),
    })
}

fn decode_kind(
    bytes: &[u8],
    fonts: &dyn Fn() -> PictureFonts,
) -> Result<PictureKind, PictureError> {
    if is_svg(bytes) {
        let vector = VectorPicture::parse(bytes, fonts)?;
        return Ok(PictureKind::Vector(Arc::new(vector)));
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(PictureError::of)?;
    if let Some(format @ (ImageFormat::Gif | ImageFormat::Png | ImageFormat::WebP)) =
        reader.format()
        && let Some(animation) = decode_animation(bytes, format)?
    {
        return Ok(PictureKind::Animated(Arc::new(animation)));
    }
    reader.limits(limits());
    let picture = reader.decode().map_err(PictureError::of)?.into_rgba8();
    premultiplied(picture).map(Arc::new).map(PictureKind::Still)
}

/// The limits of every decoder.
pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_PICTURE_SIDE);
    limits.max_image_height = Some(MAX_PICTURE_SIDE);
    limits.max_alloc = Some(MAX_PICTURE_BYTES);
    limits
}

/// A raster of straight RGBA8 pixels.
pub(super) fn premultiplied(picture: RgbaImage) -> Result<Raster, PictureError> {
    let (width, height) = picture.dimensions();
    let mut data = picture.into_raw();
    for pixel in data.as_chunks_mut::<4>().0 {
        let alpha = u32::from(pixel[3]);
        if alpha != 255 {
            for channel in &mut pixel[..3] {
                let product = u32::from(*channel) * alpha + 128;
                *channel = ((product + (product >> 8)) >> 8) as u8;
            }
        }
    }
    Raster::from_rgba8_premultiplied(width, height, data).map_err(PictureError::of)
}
