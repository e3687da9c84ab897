//! Encoding and muxing, demuxing and decoding: everything that talks to FFmpeg.
//!
//! One encoder turns frames or samples into [`Packet`]s, one [`Muxer`] writes packets to one target. A [`Demuxer`] reads
//! [`CodedPacket`]s, a [`VideoDecoder`] and a [`PictureConverter`] make pictures of them, an [`AudioDecoder`] sound. All are
//! plain values that their owner drives: this crate starts no thread, opens no socket by itself, retries
//! nothing, and decides nothing about what to drop. Those policies live in the root's `streaming` room.
//!
//! The only clock read here is the monotonic one behind [`Interrupt`], because FFmpeg's blocking calls can be
//! bounded in no other way.

mod audio;
mod codecs;
mod container;
mod convert;
mod decoder;
mod demuxer;
mod error;
mod ffi;
mod hls;
mod interrupt;
mod muxer;
mod packet;
mod preset;
mod redact;
mod rfc6381;
mod settings;
mod transport;
mod video;

pub use audio::AudioEncoder;
pub use codecs::{Acceleration, AudioCodec, VideoCodec};
pub use container::{Container, Unsupported};
pub use convert::{ConvertedPicture, PictureConverter};
pub use decoder::{
    AudioDecoder, CodedPacket, DECODED_RATE, DecodedPicture, InputCodec, MediaStream, VideoDecoder,
};
pub use demuxer::Demuxer;
pub use error::CodecError;
pub use hls::{HlsOptions, SegmentType};
pub use interrupt::Interrupt;
pub use muxer::{Muxer, MuxerOptions};
pub use packet::{Packet, StreamDescription, StreamKind, TimeBase};
pub use preset::Preset;
pub use redact::redact_url;
pub use settings::{AudioSettings, FrameRate, RateControl, VideoSettings};
pub use transport::{Transport, TransportProbe};
pub use video::{Fallback, VideoEncoder};

/// Registers FFmpeg's parts and leads its log into `tracing`; every `open` of this crate calls it, so that
/// calling it at startup only moves the cost there. Only the first call does anything.
pub fn initialize() {
    ffi::initialize();
}
