//! What encoders give and muxers take.

use std::sync::Arc;
use std::time::Duration;

use ffmpeg_next as ffmpeg;

use crate::codecs::{AudioCodec, VideoCodec};
use crate::ffi;
use crate::rfc6381;
use crate::settings::FrameRate;

/// Which of a rendition's two streams a packet or a description belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// The picture.
    Video,
    /// The sound.
    Audio,
}

/// The unit of timestamps: `numerator / denominator` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    /// Seconds in `denominator` units.
    pub numerator: i32,
    /// Units in `numerator` seconds.
    pub denominator: i32,
}

impl TimeBase {
    /// `timestamp` units in nanoseconds, rounded down; negative before zero.
    #[must_use]
    pub fn nanoseconds(self, timestamp: i64) -> i64 {
        let nanoseconds = i128::from(timestamp) * i128::from(self.numerator) * 1_000_000_000;
        let nanoseconds = nanoseconds.div_euclid(i128::from(self.denominator.max(1)));
        i64::try_from(nanoseconds).unwrap_or(if timestamp < 0 { i64::MIN } else { i64::MAX })
    }

    /// The timestamp in this unit that is nearest to `nanoseconds`.
    #[must_use]
    pub fn timestamp(self, nanoseconds: i64) -> i64 {
        let unit = i128::from(self.numerator.max(1)) * 1_000_000_000;
        let timestamp =
            (i128::from(nanoseconds) * i128::from(self.denominator) + unit / 2).div_euclid(unit);
        i64::try_from(timestamp).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
    }

    pub(crate) fn rational(self) -> ffmpeg::Rational {
        ffmpeg::Rational(self.numerator, self.denominator)
    }
}

/// One encoded frame. A clone is a further reference to the same bytes, which nothing changes any more.
pub struct Packet {
    inner: ffmpeg::Packet,
    kind: StreamKind,
    time_base: TimeBase,
}

impl Packet {
    /// `inner` must be an encoder's, with timestamps and duration in `time_base`.
    pub(crate) fn new(inner: ffmpeg::Packet, kind: StreamKind, time_base: TimeBase) -> Self {
        Self {
            inner,
            kind,
            time_base,
        }
    }

    pub(crate) fn reference(&self) -> ffmpeg::Packet {
        ffi::reference(&self.inner)
    }

    /// Which stream it belongs to.
    #[must_use]
    pub fn kind(&self) -> StreamKind {
        self.kind
    }

    /// When to show or play it, in units of [`Packet::time_base`].
    #[must_use]
    pub fn pts(&self) -> i64 {
        self.inner.pts().unwrap_or(0)
    }

    /// When to decode it, in units of [`Packet::time_base`]. There are no B-frames, so it equals the pts.
    #[must_use]
    pub fn dts(&self) -> i64 {
        self.inner.dts().unwrap_or(0)
    }

    /// How long it lasts, in units of [`Packet::time_base`].
    #[must_use]
    pub fn duration(&self) -> i64 {
        self.inner.duration()
    }

    /// When to decode it, in nanoseconds of the stream's clock, whose zero is tick 0.
    #[must_use]
    pub fn dts_nanoseconds(&self) -> i64 {
        self.time_base.nanoseconds(self.dts())
    }

    /// How long it lasts.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_nanos(
            u64::try_from(self.time_base.nanoseconds(self.duration())).unwrap_or(0),
        )
    }

    /// The unit of the timestamps.
    #[must_use]
    pub fn time_base(&self) -> TimeBase {
        self.time_base
    }

    /// Whether decoding can start here. Every audio packet can; ask for the kind as well.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.inner.is_key()
    }

    /// Whether a stream can be joined here: a keyframe of the picture.
    #[must_use]
    pub fn is_video_key(&self) -> bool {
        self.kind == StreamKind::Video && self.is_key()
    }

    /// Bytes of the payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.size()
    }

    /// Whether there is no payload. Encoders give none such.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.inner.data().unwrap_or_default()
    }
}

impl Clone for Packet {
    fn clone(&self) -> Self {
        Self {
            inner: self.reference(),
            kind: self.kind,
            time_base: self.time_base,
        }
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Packet")
            .field("kind", &self.kind)
            .field("pts", &self.pts())
            .field("key", &self.is_key())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The codec of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Video(VideoCodec),
    Audio(AudioCodec),
}

/// What a muxer must know of an encoder's stream before the first packet: codec, size, headers, units.
#[derive(Clone)]
pub struct StreamDescription {
    pub(crate) parameters: Arc<ffi::SharedParameters>,
    pub(crate) kind: StreamKind,
    pub(crate) coding: Coding,
    pub(crate) time_base: TimeBase,
    pub(crate) frame_rate: Option<FrameRate>,
}

impl StreamDescription {
    /// Picture or sound.
    #[must_use]
    pub fn kind(&self) -> StreamKind {
        self.kind
    }

    /// The unit of its packets' timestamps.
    #[must_use]
    pub fn time_base(&self) -> TimeBase {
        self.time_base
    }

    /// Frames a second of a picture.
    #[must_use]
    pub fn frame_rate(&self) -> Option<FrameRate> {
        self.frame_rate
    }

    /// How the picture is encoded; `None` for sound.
    #[must_use]
    pub fn video_codec(&self) -> Option<VideoCodec> {
        match self.coding {
            Coding::Video(codec) => Some(codec),
            Coding::Audio(_) => None,
        }
    }

    /// How the sound is encoded; `None` for a picture.
    #[must_use]
    pub fn audio_codec(&self) -> Option<AudioCodec> {
        match self.coding {
            Coding::Video(_) => None,
            Coding::Audio(codec) => Some(codec),
        }
    }

    /// Width and height of a picture, pixels; `None` for sound.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        matches!(self.coding, Coding::Video(_)).then(|| self.parameters.size())
    }

    /// The codec as players are told of it (RFC 6381), for example `avc1.64001f`, `vp09.00.30.08`, `mp4a.40.2` or
    /// `opus`. `None` when the headers do not tell.
    #[must_use]
    pub fn rfc6381(&self) -> Option<String> {
        match self.coding {
            Coding::Video(VideoCodec::H264) => rfc6381::avc(self.headers()),
            Coding::Video(VideoCodec::Vp8) => Some("vp8".to_owned()),
            Coding::Video(VideoCodec::Vp9) => rfc6381::vp9(self.size()?, self.frame_rate?),
            Coding::Audio(AudioCodec::Aac) => rfc6381::aac(self.headers()),
            Coding::Audio(AudioCodec::Opus) => Some("opus".to_owned()),
        }
    }

    /// The codec's headers: SPS and PPS (Annex B) of H.264, the AudioSpecificConfig of AAC, the identification header of
    /// Opus (RFC 7845). VP8 and VP9 have none.
    #[must_use]
    pub fn headers(&self) -> &[u8] {
        self.parameters.extradata()
    }
}

impl std::fmt::Debug for StreamDescription {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StreamDescription")
            .field("kind", &self.kind)
            .field("time_base", &self.time_base)
            .field("frame_rate", &self.frame_rate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_keep_their_moment() {
        let frames = TimeBase {
            numerator: 1001,
            denominator: 30_000,
        };
        for timestamp in [-3, 0, 1, 29, 107_892] {
            assert_eq!(frames.timestamp(frames.nanoseconds(timestamp)), timestamp);
        }
        let samples = TimeBase {
            numerator: 1,
            denominator: 48_000,
        };
        assert_eq!(samples.nanoseconds(-1024), -21_333_334);
    }

    #[test]
    fn packets_cross_threads() {
        fn is_send_and_sync<T: Send + Sync>() {}
        is_send_and_sync::<Packet>();
        is_send_and_sync::<StreamDescription>();
    }
}
