//! What can fail, each time with what was being done and FFmpeg's own words.

use ffmpeg_next as ffmpeg;

use crate::container::Unsupported;
use crate::interrupt::Interrupt;

/// An encoder or a muxer that could not do its work. Targets in it are already redacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// This build of FFmpeg has no such encoder.
    #[error("this FFmpeg has no encoder named {name}")]
    EncoderMissing {
        /// FFmpeg's name of the encoder.
        name: &'static str,
    },
    /// A setting is out of the range that its documentation gives.
    #[error("{setting} is {value}: {expected}")]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// The value that was refused.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// A frame does not have the size that the encoder was opened with.
    #[error(
        "a frame of {actual_width}x{actual_height} was given to an encoder of {width}x{height}"
    )]
    FrameSize {
        /// Width of the encoder, pixels.
        width: u32,
        /// Height of the encoder, pixels.
        height: u32,
        /// Width of the frame, pixels.
        actual_width: u32,
        /// Height of the frame, pixels.
        actual_height: u32,
    },
    /// FFmpeg refused to open an encoder, or an open one failed.
    #[error("cannot {action} the {encoder} encoder: {reason}")]
    Encoder {
        /// What was being done ("open", "feed", ...).
        action: &'static str,
        /// FFmpeg's name of the encoder.
        encoder: &'static str,
        /// FFmpeg's text.
        reason: String,
    },
    /// FFmpeg refused to open a decoder, or could not convert what came out of one.
    #[error("cannot {action} {codec}: {reason}")]
    Decoder {
        /// What was being done ("decode", "convert", ...).
        action: &'static str,
        /// FFmpeg's name of the codec.
        codec: String,
        /// FFmpeg's text.
        reason: String,
    },
    /// The bitrate of this encoder is the one that it was opened with.
    #[error("the bitrate of the {encoder} encoder cannot be changed while it runs")]
    FixedBitrate {
        /// FFmpeg's name of the encoder.
        encoder: &'static str,
    },
    /// A stream cannot go on with a new encoder, as its headers would differ from the ones that were sent.
    #[error(
        "a new {encoder} encoder with these settings cannot continue the stream: its headers differ"
    )]
    OtherHeaders {
        /// FFmpeg's name of the encoder.
        encoder: &'static str,
    },
    /// A container does not take such a stream.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Opening, writing or finishing a target failed.
    #[error("cannot {action} {target}: {reason}")]
    Target {
        /// What was being done ("open", "write to", ...).
        action: &'static str,
        /// The redacted target.
        target: String,
        /// FFmpeg's text.
        reason: String,
        /// FFmpeg's error number (a negated `errno` or a negated tag).
        code: i32,
    },
    /// The target made no progress before its deadline, or the operation was aborted.
    #[error("gave up to {action} {target}: no progress before the deadline")]
    Deadline {
        /// What was being done.
        action: &'static str,
        /// The redacted target.
        target: String,
    },
    /// FFmpeg did not know these options: a mistake in this crate, so it fails debug builds and tests.
    #[error("FFmpeg left options of {what} unused: {names}")]
    UnusedOptions {
        /// The encoder or the redacted target.
        what: String,
        /// The names, separated by commas.
        names: String,
    },
}

impl CodecError {
    /// Whether the disk that the target lies on is full (`ENOSPC`) or its quota is used up (`EDQUOT`).
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        // `EDQUOT` has no constant in ffmpeg-next; 122 is its value on Linux.
        const EDQUOT: i32 = 122;
        matches!(self, Self::Target { code, .. }
            if *code == ffmpeg::ffi::AVERROR(ffmpeg::error::ENOSPC) || *code == ffmpeg::ffi::AVERROR(EDQUOT))
    }

    pub(crate) fn encoder(
        action: &'static str,
        encoder: &'static str,
        error: ffmpeg::Error,
    ) -> Self {
        Self::Encoder {
            action,
            encoder,
            reason: error.to_string(),
        }
    }

    pub(crate) fn decoder(action: &'static str, codec: &str, error: ffmpeg::Error) -> Self {
        Self::Decoder {
            action,
            codec: codec.to_owned(),
            reason: error.to_string(),
        }
    }

    /// Adds to the reason of an SRT target that did not open why its peer refused: FFmpeg has one error for all.
    pub(crate) fn refused(mut self, refusal: Option<String>) -> Self {
        if let Self::Target { reason, .. } = &mut self {
            match refusal {
                Some(refusal) => *reason = format!("{refusal} ({reason})"),
                None => reason.push_str(
                    " (nobody listens, or the peer refused, as it does for a wrong passphrase or streamid)",
                ),
            }
        }
        self
    }

    pub(crate) fn target(
        action: &'static str,
        target: &str,
        error: ffmpeg::Error,
        guard: &Interrupt,
    ) -> Self {
        let target = target.to_owned();
        if error == ffmpeg::Error::Exit || guard.gave_up() {
            return Self::Deadline { action, target };
        }
        Self::Target {
            action,
            target,
            reason: error.to_string(),
            code: error.into(),
        }
    }
}
