//! What an output can be asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use codec::{Container, HlsOptions, redact_url};

use crate::streaming::error::StreamingError;

/// The ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Pushes to `rtmp://` or `rtmps://`.
    Rtmp,
    /// Sends MPEG-TS to `srt://`.
    Srt,
    /// Writes one file, which must not exist yet.
    File(Container),
    /// Keeps a folder of segments and a playlist, `program.m3u8`. Segments of an earlier run in it are deleted.
    Hls,
}

/// Where live streams are watched, each with rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// X (Twitter).
    X,
    /// Twitch.
    Twitch,
    /// YouTube.
    Youtube,
    /// Facebook.
    Facebook,
}

/// When a file ends and the next one begins: at the first keyframe after either. Never when both are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Split {
    /// The length of a file.
    pub after: Option<Duration>,
    /// Bytes of a file.
    pub bytes: Option<u64>,
}

/// One output.
#[derive(Debug, Clone)]
pub struct OutputSettings {
    /// Its name, unique in a rendition.
    pub id: String,
    /// A URL, a file, or a folder, as `kind` needs. It may hold a stream key: show it through
    /// [`OutputSettings::target_shown`].
    pub target: String,
    /// The way out.
    pub kind: OutputKind,
    /// The renditions that it carries, by name: one, or several in an HLS folder. The main one when empty.
    pub renditions: Vec<String>,
    /// URLs that are tried in turn when `target` cannot be reached.
    pub backups: Vec<String>,
    /// The platform whose rules it is checked by.
    pub platform: Option<Platform>,
    /// After so long, a session is ended and begun anew, as platforms limit the length of one. Never when left out.
    pub session_max: Option<Duration>,
    /// When a file ends and the next one begins.
    pub split: Split,
    /// Whether the rendition's bitrate may go down when this output falls behind.
    pub adaptive: bool,
    /// Attempts in a row that may fail before the output gives up; 0 is never. A file has one attempt.
    pub retry_attempts: u32,
    /// The wait after the first failure, which doubles with each further one up to 4 s.
    pub retry_delay: Duration,
    /// Packets that may wait, at least 16; about 77 a second at 30 frames.
    pub max_queue: usize,
    /// Certificates (PEM) that `rtmps` trusts instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Segments of an HLS folder.
    pub hls: HlsOptions,
    /// How long connecting and one write may take each, 100 ms to 60 s. A peer that reads nothing for so long once the
    /// socket's buffers are full is given up.
    pub timeout: Duration,
}

impl OutputSettings {
    /// An output whose kind is read from its target: `rtmp://` and `rtmps://` push, a path that ends in `/` or `.m3u8` is
    /// an HLS folder, and `.mp4`, `.mkv` and `.flv` are files.
    ///
    /// # Errors
    /// [`StreamingError::Setting`] when the target is none of these.
    pub fn new(id: impl Into<String>, target: impl Into<String>) -> Result<Self, StreamingError> {
        let (id, mut target) = (id.into(), target.into());
        let container = Container::from_path(Path::new(&target));
        let kind = match target.split_once("://") {
            Some((scheme, _))
                if ["rtmp", "rtmps"]
                    .iter()
                    .any(|known| scheme.eq_ignore_ascii_case(known)) =>
            {
                OutputKind::Rtmp
            }
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("srt") => OutputKind::Srt,
            Some(_) => return Err(unknown_target(&id, &target)),
            None if target.ends_with('/') => OutputKind::Hls,
            None if container == Some(Container::Hls) => {
                let folder = Path::new(&target).parent().unwrap_or(Path::new("."));
                target = folder.to_string_lossy().into_owned();
                OutputKind::Hls
            }
            None => OutputKind::File(container.ok_or_else(|| unknown_target(&id, &target))?),
        };
        // A file should lose nothing to a slow disk; a live peer should not fall far behind.
        let max_queue = if matches!(kind, OutputKind::File(_)) {
            2048
        } else {
            512
        };
        Ok(Self {
            id,
            target,
            kind,
            renditions: Vec::new(),
            backups: Vec::new(),
            platform: None,
            session_max: None,
            split: Split::default(),
            adaptive: matches!(kind, OutputKind::Rtmp | OutputKind::Srt),
            retry_attempts: 0,
            retry_delay: Duration::from_secs(1),
            max_queue,
            ca_file: None,
            hls: HlsOptions::default(),
            timeout: Duration::from_secs(4),
        })
    }

    /// The target as it may be shown, without its stream key.
    #[must_use]
    pub fn target_shown(&self) -> String {
        redact_url(&self.target)
    }

    /// # Errors
    /// [`StreamingError::Setting`] names the first value out of its range.
    pub fn validate(&self) -> Result<(), StreamingError> {
        let refuse = |setting, value: String, expected| {
            Err(StreamingError::Setting {
                id: self.id.clone(),
                setting,
                value,
                expected,
            })
        };
        if self.id.is_empty() || self.id.len() > 64 {
            return refuse(
                "id",
                self.id.chars().take(64).collect(),
                "1 to 64 bytes are needed",
            );
        }
        if self.max_queue < 16 {
            return refuse(
                "max_queue",
                self.max_queue.to_string(),
                "at least 16 packets are needed",
            );
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&self.timeout) {
            return refuse(
                "timeout",
                format!("{:?}", self.timeout),
                "100 ms to 60 s are needed",
            );
        }
        if self.hls.segment_s < 1 || self.hls.window < 2 {
            let value = format!("{:?}", self.hls);
            return refuse(
                "hls",
                value,
                "segments of 1 s or more and a window of 2 or more are needed",
            );
        }
        Ok(())
    }
}

fn unknown_target(id: &str, target: &str) -> StreamingError {
    StreamingError::Setting {
        id: id.to_owned(),
        setting: "target",
        value: redact_url(target),
        expected: "rtmp://, rtmps://, srt://, a folder that ends in /, or a file of .mp4, .mkv or .flv is needed",
    }
}
