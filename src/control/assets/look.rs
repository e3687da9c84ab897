//! What the bytes of an upload are, told by looking at them and never by a name.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use codec::{Demuxer, Interrupt, MediaStream};
use systems::assets::{PictureFonts, decode_picture, is_svg};

use super::{AssetKind, SVG_TYPE, disk};
use crate::control::error::ApiError;

/// The longest side of a picture, in pixels, and the most pixels of one.
const SIDE_MAX: u32 = 16_384;
const PIXELS_MAX: u64 = 64 << 20;

/// How long a film or a sound may take to be looked at.
const MEDIA_DEADLINE: Duration = Duration::from_secs(10);

/// What the bytes of a file tell.
pub(super) struct Looked {
    pub(super) kind: AssetKind,
    pub(super) media_type: &'static str,
    /// Pixels.
    pub(super) size: Option<(u32, u32)>,
    pub(super) duration_ms: Option<u64>,
}

impl Looked {
    fn of(kind: AssetKind, media_type: &'static str, size: Option<(u32, u32)>) -> Self {
        Self {
            kind,
            media_type,
            size,
            duration_ms: None,
        }
    }
}

/// What the bytes are. A picture's size is read from its head, and its pixels are decoded once, within limits.
pub(super) fn look(start: &[u8], path: &Path) -> Result<Looked, ApiError> {
    let fonts = [
        (&b"\x00\x01\x00\x00"[..], "font/ttf"),
        (b"true", "font/ttf"),
        (b"OTTO", "font/otf"),
        (b"ttcf", "font/collection"),
    ];
    if let Some((_, media_type)) = fonts.iter().find(|(magic, _)| start.starts_with(magic)) {
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|error| disk(&error))?;
        if !text::is_font(&bytes) {
            return Err(ApiError::invalid("the file begins like a font and is none"));
        }
        return Ok(Looked::of(AssetKind::Font, media_type, None));
    }
    if is_svg(start) {
        // Read without fonts: where its letters come to lie matters when it is shown.
        let bytes = fs::read(path).map_err(|error| disk(&error))?;
        let picture = decode_picture(&bytes, &PictureFonts::default)
            .map_err(|error| ApiError::invalid(format!("the picture cannot be read: {error}")))?;
        let size = picture.size().ceil();
        let size = Some((size.x as u32, size.y as u32));
        return Ok(Looked::of(AssetKind::Image, SVG_TYPE, size));
    }
    let format = image::guess_format(start).ok();
    let media_type = match format {
        Some(image::ImageFormat::Png) => "image/png",
        Some(image::ImageFormat::Jpeg) => "image/jpeg",
        Some(image::ImageFormat::WebP) => "image/webp",
        Some(image::ImageFormat::Gif) => "image/gif",
        _ => return look_at_media(start, path),
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        ApiError::invalid(format!("the picture cannot be read: {error}"))
    };
    let (width, height) = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|error| disk(&error))?
        .into_dimensions()
        .map_err(|error| unreadable(&error))?;
    let pixels = u64::from(width) * u64::from(height);
    if width > SIDE_MAX || height > SIDE_MAX || pixels > PIXELS_MAX {
        return Err(ApiError::invalid(format!(
            "the picture is {width}x{height}; at most {SIDE_MAX} pixels a side and {} million in all are taken",
            PIXELS_MAX >> 20
        )));
    }
    let bytes = fs::read(path).map_err(|error| disk(&error))?;
    decode_picture(&bytes, &PictureFonts::default).map_err(|error| unreadable(&error))?;
    let size = Some((width, height));
    Ok(Looked::of(AssetKind::Image, media_type, size))
}

/// What FFmpeg tells of films and sound; only containers that name no other files are opened.
fn look_at_media(start: &[u8], path: &Path) -> Result<Looked, ApiError> {
    let interrupt = Arc::new(Interrupt::default());
    let demuxer = Demuxer::open_file(path, &interrupt, MEDIA_DEADLINE).map_err(|error| {
        tracing::debug!(%error, "an upload is no film and no sound");
        ApiError::invalid(
            "PNG, JPEG, WebP, GIF, SVG, TrueType, OpenType, and the films and sounds that FFmpeg reads are taken; the bytes are none of them",
        )
    })?;
    let kind = match demuxer.video() {
        Some(_) => AssetKind::Video,
        None => AssetKind::Audio,
    };
    Ok(Looked {
        kind,
        media_type: media_type(start, kind),
        size: demuxer.video().and_then(MediaStream::size),
        duration_ms: demuxer.duration_us().map(|us| us.unsigned_abs() / 1000),
    })
}

/// The media type of a film or a sound, by how its file begins.
fn media_type(start: &[u8], kind: AssetKind) -> &'static str {
    let is_video = kind == AssetKind::Video;
    let pick = |video, audio| if is_video { video } else { audio };
    match start {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => pick("video/mp4", "audio/mp4"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => pick("video/webm", "audio/webm"),
        [b'O', b'g', b'g', b'S', ..] => pick("video/ogg", "audio/ogg"),
        [b'R', b'I', b'F', b'F', ..] => pick("video/x-msvideo", "audio/wav"),
        [b'F', b'L', b'V', ..] => pick("video/x-flv", "audio/x-flv"),
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => "audio/mpeg",
        [0x47, ..] => "video/mp2t",
        _ => "application/octet-stream",
    }
}
