//! Containers: which file is which, what fits into each, and how FFmpeg is told to write them.

use std::path::Path;

use crate::codecs::{AudioCodec, VideoCodec};
use crate::ffi;
use crate::hls::{self, SegmentType};
use crate::muxer::MuxerOptions;
use crate::packet::StreamDescription;

/// How packets are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// FLV in a file, or over `rtmp://` and `rtmps://`.
    Flv,
    /// MP4 in fragments, one a keyframe and at least two a second: playable up to the last fragment even when writing
    /// never ended.
    FragmentedMp4,
    /// MP4 with one index, written at the end: worth nothing unless finished.
    Mp4,
    /// Matroska in clusters, one a keyframe and at least two a second.
    Matroska,
    /// MPEG transport stream, in a file or over `srt://`.
    MpegTs,
    /// WebM in clusters, for VP8, VP9 and Opus.
    WebM,
    /// A folder: a playlist and segments, of MP4 or MPEG-TS. The target is the playlist's path.
    Hls,
}

/// A stream that a container cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{codec} does not fit into {container}: {reason}")]
pub struct Unsupported {
    /// What was to hold it, as people name it.
    pub container: &'static str,
    /// The codec that does not fit, as people name it.
    pub codec: &'static str,
    /// Why, and what does fit.
    pub reason: &'static str,
}

/// Seconds after which a file is whole on the disk up to here, in the units of the options below.
const WHOLE_EVERY_MS: &str = "500";
const WHOLE_EVERY_US: &str = "500000";

impl Container {
    /// The container that a file's extension stands for; `None` for one that is not known. `mp4` and `m4v` are
    /// fragmented, as recordings must survive a crash.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Some(Self::FragmentedMp4),
            "mkv" => Some(Self::Matroska),
            "flv" => Some(Self::Flv),
            "ts" => Some(Self::MpegTs),
            "webm" => Some(Self::WebM),
            "m3u8" => Some(Self::Hls),
            _ => None,
        }
    }

    /// The name that people know it by.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Flv => "FLV and RTMP",
            Self::FragmentedMp4 | Self::Mp4 => "MP4",
            Self::Matroska => "Matroska",
            Self::MpegTs => "MPEG-TS",
            Self::WebM => "WebM",
            Self::Hls => "HLS",
        }
    }

    /// Whether such streams fit. An HLS folder is taken to have segments of MP4 ([`SegmentType::check`] knows both).
    ///
    /// # Errors
    /// [`Unsupported`] says which of them does not, and why.
    pub fn check(self, video: VideoCodec, audio: Option<AudioCodec>) -> Result<(), Unsupported> {
        self.check_streams(Some(video), audio)
    }

    pub(crate) fn check_streams(
        self,
        video: Option<VideoCodec>,
        audio: Option<AudioCodec>,
    ) -> Result<(), Unsupported> {
        let container = self.label();
        let refuse = |codec, reason| {
            Err(Unsupported {
                container,
                codec,
                reason,
            })
        };
        if let Some(reason) = video.and_then(|codec| self.refuses_video(codec)) {
            return refuse(video.map_or("", VideoCodec::label), reason);
        }
        if let Some(reason) = audio.and_then(|codec| self.refuses_audio(codec)) {
            return refuse(audio.map_or("", AudioCodec::label), reason);
        }
        Ok(())
    }

    fn refuses_video(self, codec: VideoCodec) -> Option<&'static str> {
        match (self, codec) {
            (Self::Flv, VideoCodec::Vp8 | VideoCodec::Vp9) => {
                Some("of the codecs here it takes H.264 pictures alone")
            }
            (Self::MpegTs, VideoCodec::Vp8 | VideoCodec::Vp9) => {
                Some("it has no name for this codec, so that players find no picture; use H.264")
            }
            (Self::Mp4 | Self::FragmentedMp4 | Self::Hls, VideoCodec::Vp8) => {
                Some("MP4 with VP8 is not written by FFmpeg; use H.264 or VP9")
            }
            (Self::WebM, VideoCodec::H264) => {
                Some("it is defined for VP8 and VP9 alone; Matroska takes H.264 too")
            }
            _ => None,
        }
    }

    fn refuses_audio(self, codec: AudioCodec) -> Option<&'static str> {
        match (self, codec) {
            (Self::Flv, AudioCodec::Opus) => Some("of the codecs here it takes AAC sound alone"),
            (Self::WebM, AudioCodec::Aac) => {
                Some("it is defined for Opus sound; Matroska takes AAC too")
            }
            _ => None,
        }
    }

    /// By how much the packets of a stream must be moved for the container to say what they say, nanoseconds. Matroska
    /// writes Opus later by the encoder's priming, which its readers take off again (`CodecDelay`, RFC 9559, section
    /// 5.1.4.1.25); libavformat before 61 says so in the header and leaves the moving to its caller.
    pub(crate) fn delay_ns(self, stream: &StreamDescription) -> i64 {
        let is_moved = matches!(self, Self::Matroska | Self::WebM)
            && stream.audio_codec() == Some(AudioCodec::Opus)
            && ffi::format_version_major() < 61;
        if is_moved {
            stream
                .time_base
                .nanoseconds(stream.parameters.priming_samples())
        } else {
            0
        }
    }

    pub(crate) const fn format(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::FragmentedMp4 | Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
            Self::MpegTs => "mpegts",
            Self::WebM => "webm",
            Self::Hls => "hls",
        }
    }

    pub(crate) fn options(
        self,
        target: &str,
        options: &MuxerOptions,
    ) -> Vec<(&'static str, String)> {
        match self {
            // A server's stream has no end at which its length could be filled in.
            Self::Flv if target.contains("://") => {
                vec![("flvflags", "no_duration_filesize".to_owned())]
            }
            Self::Flv | Self::Mp4 | Self::MpegTs => Vec::new(),
            Self::Matroska | Self::WebM => {
                vec![("cluster_time_limit", WHOLE_EVERY_MS.to_owned())]
            }
            Self::FragmentedMp4 => {
                vec![
                    (
                        "movflags",
                        // The header waits for the first fragment, so that it can say where each stream starts.
                        "+frag_keyframe+empty_moov+default_base_moof+delay_moov".to_owned(),
                    ),
                    ("frag_duration", WHOLE_EVERY_US.to_owned()),
                ]
            }
            Self::Hls => hls::options(target, &options.hls),
        }
    }
}

impl SegmentType {
    /// Whether such streams fit into an HLS folder with segments of this type.
    ///
    /// # Errors
    /// [`Unsupported`] says which of them does not, and why.
    pub fn check(self, video: VideoCodec, audio: Option<AudioCodec>) -> Result<(), Unsupported> {
        self.check_streams(Some(video), audio)
    }

    pub(crate) fn check_streams(
        self,
        video: Option<VideoCodec>,
        audio: Option<AudioCodec>,
    ) -> Result<(), Unsupported> {
        if self == Self::Fmp4 {
            return Container::Hls.check_streams(video, audio);
        }
        let container = "HLS with MPEG-TS segments";
        Container::MpegTs
            .check_streams(video, audio)
            .map_err(|refused| Unsupported {
                container,
                ..refused
            })?;
        // MPEG-TS itself has it, but no player looks for it there.
        if audio == Some(AudioCodec::Opus) {
            return Err(Unsupported {
                container,
                codec: AudioCodec::Opus.label(),
                reason: "players of HLS know AAC alone there; segments of MP4 take Opus",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_why() {
        let refused = Container::Flv.check(VideoCodec::H264, Some(AudioCodec::Opus));
        assert_eq!(
            refused.map_err(|refused| refused.to_string()),
            Err(
                "Opus does not fit into FLV and RTMP: of the codecs here it takes AAC sound alone"
                    .to_owned()
            )
        );
        let refused = SegmentType::MpegTs.check(VideoCodec::H264, Some(AudioCodec::Opus));
        assert!(refused.is_err());
        assert!(Container::Hls.check(VideoCodec::Vp8, None).is_err());
        assert!(Container::Hls.check(VideoCodec::Vp9, None).is_ok());
    }
}
