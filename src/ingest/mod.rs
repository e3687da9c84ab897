//! What publishers send to this program, on its way to the layers that show it and to the players that ask for it.
//!
//! The RTMP server puts packets in, as they came; decoders and players take them out. A publisher never waits for who takes: a taker
//! that is behind loses packets up to the next keyframe, and knows it.

mod hub;

pub use hub::{IngestError, IngestHub, IngestReader, Publisher, Received};

use bytes::Bytes;

/// Codecs of pictures that publishers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IngestVideoCodec {
    /// H.264; its header is an `AVCDecoderConfigurationRecord`, its packets have length prefixes.
    H264,
    /// H.265, by enhanced RTMP; its header is an `HEVCDecoderConfigurationRecord`.
    H265,
    /// VP9, by enhanced RTMP.
    Vp9,
    /// AV1, by enhanced RTMP.
    Av1,
}

/// Codecs of sound that publishers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IngestAudioCodec {
    /// AAC; its header is an `AudioSpecificConfig`.
    Aac,
    /// MP3, which has no header.
    Mp3,
    /// Opus, by enhanced RTMP; its header is an `OpusHead`.
    Opus,
    /// G.711, A-law.
    PcmAlaw,
    /// G.711, mu-law.
    PcmMulaw,
}

/// One packet of a publisher. Bytes are shared by all who take it.
#[derive(Clone, Debug)]
pub enum IngestPacket {
    /// What a decoder of the pictures that follow must know.
    VideoHeader {
        /// Which.
        codec: IngestVideoCodec,
        /// The codec's own header.
        header: Bytes,
    },
    /// What a decoder of the sound that follows must know.
    AudioHeader {
        /// Which.
        codec: IngestAudioCodec,
        /// The codec's own header; empty where it has none.
        header: Bytes,
    },
    /// A coded picture.
    Video {
        /// When it is decoded, in milliseconds on the publisher's clock, grown beyond 32 bits.
        dts_ms: i64,
        /// Milliseconds from then until it is shown.
        composition_ms: i32,
        /// Whether a decoder can begin with it.
        keyframe: bool,
        /// The picture.
        data: Bytes,
    },
    /// Coded sound.
    Audio {
        /// When it is heard, in milliseconds on the publisher's clock.
        pts_ms: i64,
        /// The sound.
        data: Bytes,
    },
}

impl IngestPacket {
    /// Bytes that it carries.
    pub fn bytes(&self) -> usize {
        match self {
            Self::VideoHeader { header: data, .. }
            | Self::AudioHeader { header: data, .. }
            | Self::Video { data, .. }
            | Self::Audio { data, .. } => data.len(),
        }
    }
}
