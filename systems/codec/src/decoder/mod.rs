//! Decoding: coded packets in, pictures and sound out. One thread each, the caller's.
//!
//! A decoder takes what is broken as it comes: the packet is counted and left out, and a decoder that fails again and again begins
//! anew at the next keyframe.

mod audio;
mod video;

use std::sync::Arc;

use ffmpeg::codec::Id;
use ffmpeg_next as ffmpeg;

use crate::error::CodecError;
use crate::ffi;
use crate::packet::StreamKind;

pub use audio::{AudioDecoder, DECODED_RATE};
pub(crate) use video::bounded_size;
pub use video::{DecodedPicture, VideoDecoder};

/// Failures in a row after which a decoder is opened anew.
const FAILURES_IN_A_ROW_MAX: u32 = 25;

/// A coded picture or some coded sound, with its times in microseconds.
pub struct CodedPacket {
    kind: StreamKind,
    inner: ffmpeg::Packet,
}

impl CodedPacket {
    /// `inner` has its times in microseconds.
    pub(crate) fn new(kind: StreamKind, inner: ffmpeg::Packet) -> Self {
        Self { kind, inner }
    }

    /// A packet of somebody's bytes, which are copied. `pts_us` is when it is shown or heard, `dts_us` when it is decoded.
    #[must_use]
    pub fn from_bytes(
        kind: StreamKind,
        data: &[u8],
        pts_us: i64,
        dts_us: i64,
        is_key: bool,
    ) -> Self {
        let mut inner = ffmpeg::Packet::copy(data);
        inner.set_pts(Some(pts_us));
        inner.set_dts(Some(dts_us));
        if is_key {
            inner.set_flags(ffmpeg::packet::Flags::KEY);
        }
        Self { kind, inner }
    }

    /// Picture or sound.
    #[must_use]
    pub fn kind(&self) -> StreamKind {
        self.kind
    }

    /// When it is shown or heard, in microseconds, where it says so.
    #[must_use]
    pub fn pts_us(&self) -> Option<i64> {
        self.inner.pts().or_else(|| self.inner.dts())
    }

    /// How long it lasts in microseconds; 0 where it does not say.
    #[must_use]
    pub fn duration_us(&self) -> i64 {
        self.inner.duration().max(0)
    }

    /// Whether decoding can start here.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.inner.is_key()
    }

    /// Bytes of the payload.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.size()
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Codecs that publishers and cameras send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputCodec {
    /// H.264, with an `AVCDecoderConfigurationRecord`, or Annex B.
    H264,
    /// H.265, with an `HEVCDecoderConfigurationRecord`, or Annex B.
    H265,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
    /// AAC, with an `AudioSpecificConfig`.
    Aac,
    /// MP3.
    Mp3,
    /// Opus, with an `OpusHead`.
    Opus,
    /// G.711, A-law, at the rate that is told.
    PcmAlaw,
    /// G.711, mu-law, at the rate that is told.
    PcmMulaw,
    /// Samples of 16 bits, the lowest byte first, at the rate that is told.
    PcmS16le,
    /// Samples of 32 bits in floating point, the lowest byte first, at the rate that is told.
    PcmF32le,
}

impl InputCodec {
    fn id(self) -> Id {
        match self {
            Self::H264 => Id::H264,
            Self::H265 => Id::HEVC,
            Self::Vp9 => Id::VP9,
            Self::Av1 => Id::AV1,
            Self::Aac => Id::AAC,
            Self::Mp3 => Id::MP3,
            Self::Opus => Id::OPUS,
            Self::PcmAlaw => Id::PCM_ALAW,
            Self::PcmMulaw => Id::PCM_MULAW,
            Self::PcmS16le => Id::PCM_S16LE,
            Self::PcmF32le => Id::PCM_F32LE,
        }
    }

    fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::H265 | Self::Vp9 | Self::Av1)
    }
}

/// What a decoder must know of a stream. A copy is a further reference.
#[derive(Clone)]
pub struct MediaStream {
    pub(crate) parameters: Arc<ffi::SharedParameters>,
    pub(crate) start_us: Option<i64>,
    duration_us: Option<i64>,
    frames_per_second: Option<f64>,
    quarter_turns: u8,
    has_alpha_mode: bool,
}

impl MediaStream {
    pub(crate) fn of_container(facts: ffi::StreamFacts) -> Self {
        Self {
            parameters: Arc::new(facts.parameters),
            start_us: facts.start_us,
            duration_us: facts.duration_us,
            frames_per_second: facts.frames_per_second,
            quarter_turns: facts.quarter_turns,
            has_alpha_mode: facts.has_alpha_mode,
        }
    }

    /// A stream that is known by its codec and the codec's own header alone; `sound` are samples a second and channels, where
    /// the header does not tell.
    ///
    /// # Errors
    /// Without memory.
    pub fn of_codec(
        codec: InputCodec,
        header: &[u8],
        sound: Option<(u32, u16)>,
    ) -> Result<Self, CodecError> {
        ffi::initialize();
        let parameters =
            ffi::SharedParameters::made(codec.id(), codec.is_video(), header, sound)
                .map_err(|error| CodecError::decoder("describe", codec.id().name(), error))?;
        Ok(Self {
            parameters: Arc::new(parameters),
            start_us: None,
            duration_us: None,
            frames_per_second: None,
            quarter_turns: 0,
            has_alpha_mode: false,
        })
    }

    /// FFmpeg's name of the codec: `h264`, `aac`.
    #[must_use]
    pub fn codec(&self) -> String {
        self.parameters.codec_name()
    }

    /// Pixels of its pictures, where that is known before they are decoded.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        Some(self.parameters.size()).filter(|(width, height)| *width > 0 && *height > 0)
    }

    /// Pictures a second, where the container tells.
    #[must_use]
    pub fn frames_per_second(&self) -> Option<f64> {
        self.frames_per_second
    }

    /// Samples a second of its sound, where that is known.
    #[must_use]
    pub fn sample_rate(&self) -> Option<u32> {
        Some(self.parameters.sample_rate()).filter(|rate| *rate > 0)
    }

    /// How long it lasts in microseconds, where the container tells.
    #[must_use]
    pub fn duration_us(&self) -> Option<i64> {
        self.duration_us
    }
}

impl std::fmt::Debug for MediaStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MediaStream")
            .field("codec", &self.codec())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// A decoder that is opened when it is first needed, and anew when it fails again and again.
struct Tolerant {
    stream: MediaStream,
    /// FFmpeg's name of the decoder that is preferred.
    name: Option<&'static str>,
    is_low_delay: bool,
    context: ffi::DecoderContext,
    /// Whether packets are left out until the next keyframe.
    waits_for_key: bool,
    failures_in_a_row: u32,
    broken: u64,
}

impl Tolerant {
    fn open(
        stream: &MediaStream,
        name: Option<&'static str>,
        is_low_delay: bool,
    ) -> Result<Self, CodecError> {
        let context = ffi::DecoderContext::open(&stream.parameters, name, is_low_delay)
            .map_err(|error| CodecError::decoder("decode", &stream.codec(), error))?;
        Ok(Self {
            stream: stream.clone(),
            name,
            is_low_delay,
            context,
            waits_for_key: true,
            failures_in_a_row: 0,
            broken: 0,
        })
    }

    fn send(&mut self, packet: &CodedPacket) -> Result<(), CodecError> {
        if self.waits_for_key && packet.kind == StreamKind::Video && !packet.is_key() {
            return Ok(());
        }
        self.waits_for_key = false;
        if packet.is_empty() {
            return Ok(());
        }
        match self.context.send(Some(&packet.inner)) {
            Ok(()) => {
                self.failures_in_a_row = 0;
                Ok(())
            }
            // What comes out is taken before the next goes in, so this is the end of a stream that goes on.
            Err(ffmpeg::Error::Eof) => {
                self.context.flush();
                Ok(())
            }
            Err(_) => self.failed(),
        }
    }

    fn failed(&mut self) -> Result<(), CodecError> {
        self.broken += 1;
        self.failures_in_a_row += 1;
        if self.failures_in_a_row < FAILURES_IN_A_ROW_MAX {
            return Ok(());
        }
        self.failures_in_a_row = 0;
        self.waits_for_key = true;
        self.context =
            ffi::DecoderContext::open(&self.stream.parameters, self.name, self.is_low_delay)
                .map_err(|error| CodecError::decoder("decode", &self.stream.codec(), error))?;
        Ok(())
    }

    /// Takes a frame out; `false` when there is none yet.
    fn receive(&mut self, frame: &mut ffmpeg::frame::Frame) -> bool {
        loop {
            match self.context.receive(frame) {
                Ok(()) => return true,
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { .. }) => return false,
                // The frame is lost, and another may come.
                Err(_) => {
                    self.broken += 1;
                    self.failures_in_a_row += 1;
                    if self.failures_in_a_row >= FAILURES_IN_A_ROW_MAX {
                        return false;
                    }
                }
            }
        }
    }

    fn end(&mut self) {
        // Twice is an error that says nothing new.
        let _ended = self.context.send(None);
    }

    fn flush(&mut self) {
        self.context.flush();
        self.waits_for_key = true;
    }
}
