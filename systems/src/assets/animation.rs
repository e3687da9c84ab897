//! Moving pictures: whole frames and when each ends. Which of them shows is a function of the time since the picture came on air.

use std::io::Cursor;
use std::sync::Arc;

use components::source::{Playback, PlaybackLoop};
use glam::Vec2;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::LoopCount;
use image::{AnimationDecoder, Delay, Frames, ImageDecoder, ImageError, ImageFormat, Rgba};
use raster::Raster;

use super::picture::{PictureError, limits, premultiplied, raster_size};

/// The most bytes that the decoded frames of one animation may take.
pub const ANIMATION_MAX_BYTES: usize = 256 << 20;
/// Delays up to this one stand for [`HASTY_DELAY_NANOS`], as in browsers: files say 0 or 10 ms and mean no haste.
const DELAY_FLOOR_NANOS: u64 = 10_000_000;
/// How long a frame lasts whose delay is too short.
const HASTY_DELAY_NANOS: u64 = 100_000_000;

/// A moving picture. Its frames are whole: what the file says about blending and disposing is done.
pub struct Animation {
    frames: Vec<Arc<Raster>>,
    /// When each frame ends, in nanoseconds since the first began; rises strictly.
    ends_nanos: Vec<u64>,
    /// How often the file says that it plays; `None` is for ever.
    plays: Option<u32>,
    size: Vec2,
}

impl std::fmt::Debug for Animation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Animation")
            .field("frames", &self.frames.len())
            .field("plays", &self.plays)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Animation {
    /// The frames in their order; at least two, all of the same size.
    pub fn frames(&self) -> &[Arc<Raster>] {
        &self.frames
    }

    /// When each frame ends, in nanoseconds since the first began.
    pub fn ends_nanos(&self) -> &[u64] {
        &self.ends_nanos
    }

    /// How often the file says that it plays; `None` is for ever.
    pub fn plays(&self) -> Option<u32> {
        self.plays
    }

    /// Its size, in pixels.
    pub fn size(&self) -> Vec2 {
        self.size
    }

    /// Bytes of heap held.
    pub fn byte_len(&self) -> usize {
        let frames: usize = self.frames.iter().map(|frame| frame_bytes(frame)).sum();
        frames + self.ends_nanos.len() * size_of::<u64>()
    }

    /// The frame that shows `elapsed_nanos` after the picture came on air, when it has played `more` seconds of the file more than
    /// that, or less. In whole numbers, so that it is the same after a year.
    pub fn frame_at(&self, elapsed_nanos: u64, more: f64, playback: &Playback) -> usize {
        let thousandths = |value: f32| (f64::from(value.max(0.0)) * 1000.0).round() as u128;
        let at = thousandths(playback.start) * 1_000_000
            + u128::from(elapsed_nanos) * thousandths(playback.speed) / 1000;
        let at = at.saturating_add_signed((more * 1e9).round() as i128);
        let last = self.frames.len() - 1;
        let duration = u128::from(self.ends_nanos[last]);
        let plays = match playback.loop_mode {
            PlaybackLoop::File => self.plays,
            PlaybackLoop::Once => Some(1),
            PlaybackLoop::Forever => None,
        };
        if plays.is_some_and(|plays| at >= duration * u128::from(plays)) {
            return last;
        }
        let at = (at % duration) as u64;
        self.ends_nanos.partition_point(|&end| end <= at)
    }
}

/// The frames of a GIF, PNG or WebP; `None` when it has only one, which is decoded as a still picture.
pub(super) fn decode_animation(
    bytes: &[u8],
    format: ImageFormat,
) -> Result<Option<Animation>, PictureError> {
    let source = Cursor::new(bytes);
    match format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(source).map_err(PictureError::of)?;
            decoder.set_limits(limits()).map_err(PictureError::of)?;
            collect(decoder.into_frames(), gif_plays(bytes))
        }
        ImageFormat::Png => {
            let decoder = PngDecoder::with_limits(source, limits()).map_err(PictureError::of)?;
            if !decoder.is_apng().map_err(PictureError::of)? {
                return Ok(None);
            }
            let decoder = decoder.apng().map_err(PictureError::of)?;
            let plays = plays_of(decoder.loop_count());
            collect(decoder.into_frames(), plays)
        }
        ImageFormat::WebP => {
            let mut decoder = WebPDecoder::new(source).map_err(PictureError::of)?;
            if !decoder.has_animation() {
                return Ok(None);
            }
            decoder.set_limits(limits()).map_err(PictureError::of)?;
            // The decoder knows no limit of memory of its own.
            let (width, height) = decoder.dimensions();
            if width as usize * height as usize * 4 > ANIMATION_MAX_BYTES {
                return Err(too_large());
            }
            // As browsers do, whatever the file says; without it the decoder disposes of nothing.
            decoder
                .set_background_color(Rgba([0; 4]))
                .map_err(PictureError::of)?;
            let plays = plays_of(decoder.loop_count());
            collect(decoder.into_frames(), plays)
        }
        _ => Ok(None),
    }
}

fn plays_of(count: LoopCount) -> Option<u32> {
    match count {
        LoopCount::Infinite => None,
        LoopCount::Finite(plays) => Some(plays.get()),
    }
}

/// How often a GIF plays. Without the block of Netscape it is once; with it, its number is of repetitions after the first time, and 0
/// is for ever. The decoder tells the first of these from the last in no way, so the block is looked for here.
fn gif_plays(bytes: &[u8]) -> Option<u32> {
    let block = [&b"NETSCAPE2.0\x03\x01"[..], b"ANIMEXTS1.0\x03\x01"];
    let count = bytes.windows(15).find_map(|window| {
        let (name, count) = window.split_at_checked(13)?;
        block.contains(&name).then_some(count)
    });
    match count {
        Some(&[low, high]) => match u16::from_le_bytes([low, high]) {
            0 => None,
            repetitions => Some(u32::from(repetitions) + 1),
        },
        _ => Some(1),
    }
}

fn collect(frames: Frames<'_>, plays: Option<u32>) -> Result<Option<Animation>, PictureError> {
    let mut kept: Vec<Arc<Raster>> = Vec::new();
    let mut ends_nanos: Vec<u64> = Vec::new();
    let mut bytes = 0;
    for frame in frames {
        let frame = match frame {
            Ok(frame) => frame,
            // Of 16 bits a channel, for one: its first picture can be shown all the same.
            Err(ImageError::Unsupported(_)) if kept.is_empty() => return Ok(None),
            Err(error) => return Err(PictureError::of(error)),
        };
        let end = ends_nanos.last().copied().unwrap_or(0) + delay_nanos(frame.delay());
        let raster = premultiplied(frame.into_buffer())?;
        if let Some(previous) = kept.last()
            && previous.data() == raster.data()
            && let Some(last) = ends_nanos.last_mut()
        {
            *last = end;
            continue;
        }
        bytes += frame_bytes(&raster);
        if !kept.is_empty() && bytes > ANIMATION_MAX_BYTES {
            return Err(too_large());
        }
        kept.push(Arc::new(raster));
        ends_nanos.push(end);
    }
    let size = match kept.as_slice() {
        [] | [_] => return Ok(None),
        [first, ..] => raster_size(first),
    };
    Ok(Some(Animation {
        frames: kept,
        ends_nanos,
        plays,
        size,
    }))
}

/// Small pictures weigh more than their pixels.
fn frame_bytes(frame: &Raster) -> usize {
    frame.byte_len() + size_of::<Raster>()
}

fn too_large() -> PictureError {
    PictureError(format!(
        "the frames of the animation take more than {} MiB",
        ANIMATION_MAX_BYTES >> 20
    ))
}

/// Whole nanoseconds, rounded down.
fn delay_nanos(delay: Delay) -> u64 {
    let (numerator, denominator) = delay.numer_denom_ms();
    let nanos = u64::from(numerator) * 1_000_000 / u64::from(denominator.max(1));
    if nanos <= DELAY_FLOOR_NANOS {
        HASTY_DELAY_NANOS
    } else {
        nanos
    }
}
