//! Pictures out of packets.

use ffmpeg::frame;
use ffmpeg_next as ffmpeg;

use super::{CodedPacket, MediaStream, Tolerant};
use crate::error::CodecError;
use crate::ffi;

/// The longest side of a picture that is made, in pixels.
pub(crate) const SIDE_MAX: u32 = 8192;
/// The most pixels of one: the largest level of H.264 (Rec. ITU-T H.264, table A-1, level 6) has as many, 139,264 macroblocks.
pub(crate) const AREA_MAX: u64 = 139_264 * 256;

/// A picture as a decoder gave it, in the decoder's own memory.
pub struct DecodedPicture {
    pub(crate) frame: frame::Video,
    pub(crate) about: ffi::Description,
    pub(crate) quarter_turns: u8,
    pts_us: Option<i64>,
    duration_us: i64,
}

impl DecodedPicture {
    /// When it is shown, in microseconds.
    #[must_use]
    pub fn pts_us(&self) -> Option<i64> {
        self.pts_us
    }

    /// How long it is shown in microseconds, as well as the stream tells; 0 where it does not.
    #[must_use]
    pub fn duration_us(&self) -> i64 {
        self.duration_us
    }

    /// Its size upright and with pixels made square.
    #[must_use]
    pub fn natural_size(&self) -> (u32, u32) {
        let (mut width, height) = (self.about.width, self.about.height);
        let (across, down) = self.about.pixel_aspect;
        if across > 0 && down > 0 && across != down {
            let squared = u64::from(width) * u64::from(across) / u64::from(down);
            width = u32::try_from(squared).unwrap_or(u32::MAX).max(1);
        }
        let (width, height) = bounded_size(width, height);
        if self.quarter_turns % 2 == 1 {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Whether its brightness is that of HDR (SMPTE ST 2084 or ARIB STD-B67), which is shown as it is, and looks flat.
    #[must_use]
    pub fn is_hdr(&self) -> bool {
        self.about.is_hdr
    }
}

/// A size of the same proportions that has no side and no area beyond what is shown: pixels that are far from square would ask for more
/// than anybody has memory for.
pub(crate) fn bounded_size(width: u32, height: u32) -> (u32, u32) {
    let (wide, high) = (f64::from(width), f64::from(height));
    let by_side = f64::from(SIDE_MAX) / wide.max(high);
    let by_area = (AREA_MAX as f64 / (wide * high)).sqrt();
    let by = by_side.min(by_area);
    if by >= 1.0 {
        return (width, height);
    }
    let side = |side: f64| ((side * by) as u32).clamp(1, SIDE_MAX);
    (side(wide), side(high))
}

/// Decodes one stream of pictures.
pub struct VideoDecoder {
    decoder: Tolerant,
    pixel_aspect: (u32, u32),
    quarter_turns: u8,
    frame_us: i64,
}

impl VideoDecoder {
    /// Opens the decoder. With alpha in VP8 and VP9 it is that of libvpx, as FFmpeg's own leave alpha out. `is_live` asks for each
    /// picture as early as the codec allows.
    ///
    /// # Errors
    /// This FFmpeg cannot decode it.
    pub fn open(stream: &MediaStream, is_live: bool) -> Result<Self, CodecError> {
        ffi::initialize();
        let codec = stream.codec();
        let name = match codec.as_str() {
            "vp9" if stream.has_alpha_mode => Some("libvpx-vp9"),
            "vp8" if stream.has_alpha_mode => Some("libvpx"),
            _ => None,
        };
        // H.264 and H.265 say in their headers how far pictures are out of order, and are as early as that by themselves.
        let is_low_delay = is_live && !matches!(codec.as_str(), "h264" | "hevc");
        let frame_us = stream
            .frames_per_second
            .map_or(0, |rate| (1_000_000.0 / rate).round() as i64);
        Ok(Self {
            decoder: Tolerant::open(stream, name, is_low_delay)?,
            pixel_aspect: stream.parameters.pixel_aspect(),
            quarter_turns: stream.quarter_turns,
            frame_us,
        })
    }

    /// Gives it a packet. Take all pictures out before the next.
    ///
    /// # Errors
    /// The decoder could not be opened anew.
    pub fn send(&mut self, packet: &CodedPacket) -> Result<(), CodecError> {
        self.decoder.send(packet)
    }

    /// Takes the next picture out, in the order in which they are shown.
    pub fn receive(&mut self) -> Option<DecodedPicture> {
        loop {
            let mut frame = frame::Video::empty();
            if !self.decoder.receive(&mut frame) {
                return None;
            }
            let Ok(mut about) = ffi::describe_picture(&frame) else {
                self.decoder.broken += 1;
                continue;
            };
            // What the container says is right where both say something.
            if self.pixel_aspect.0 > 0 {
                about.pixel_aspect = self.pixel_aspect;
            }
            let told = frame.packet().duration;
            return Some(DecodedPicture {
                pts_us: ffi::best_time_us(&frame),
                duration_us: if self.frame_us > 0 {
                    self.frame_us
                } else {
                    told.max(0)
                },
                frame,
                about,
                quarter_turns: self.quarter_turns,
            });
        }
    }

    /// No packet follows: what is inside comes out.
    pub fn end(&mut self) {
        self.decoder.end();
    }

    /// Forgets everything, to go on at another place, at a keyframe.
    pub fn flush(&mut self) {
        self.decoder.flush();
    }

    /// Packets and pictures that could not be decoded.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.decoder.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded_in_proportion() {
        assert_eq!(bounded_size(1920, 1080), (1920, 1080));
        assert_eq!(bounded_size(8192, 4320), (8192, 4320));
        assert_eq!(bounded_size(16_384, 4096), (8192, 2048));
        assert_eq!(bounded_size(u32::MAX, 1), (8192, 1));
        for (width, height) in [
            (16_384, 8192),
            (8192, 8192),
            (8192, 16_000),
            (u32::MAX, 8192),
        ] {
            let (wide, high) = bounded_size(width, height);
            assert!(u64::from(wide) * u64::from(high) <= AREA_MAX);
            assert!(wide.max(high) <= SIDE_MAX);
            let proportions = f64::from(wide) / f64::from(high);
            let wanted = f64::from(width) / f64::from(height);
            assert!(high < 50 || (proportions / wanted - 1.0).abs() < 0.01);
        }
    }
}
