//! What an output can be asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use codec::{Container, HlsOptions, Unsupported, redact_url};

use crate::streaming::encoder::EncoderSettings;
use crate::streaming::error::StreamingError;
use crate::streaming::rendition::RENDITIONS_MAX;

/// The most URLs besides the target.
const BACKUPS_MAX: usize = 8;
/// The least that a file can be split at: less than a group of pictures is no file.
const SPLIT_BYTES_MIN: u64 = 64 * 1024;

/// The ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// Pushes to `rtmp://` or `rtmps://`.
    Rtmp,
    /// Sends MPEG-TS to `srt://`.
    Srt,
    /// Writes a file, which must not exist yet; or several, when it is split, or goes on after its disk was full.
    File(Container),
    /// Keeps a folder of segments. With one rendition its playlist is `program.m3u8`; with several each has a folder of its own
    /// with that playlist in it. `master.m3u8` names them all. What an earlier run left in the folder is deleted.
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

impl Split {
    /// Whether there is one file, however long.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.after.is_none() && self.bytes.is_none()
    }
}

/// One output. Its `Debug` shows no stream key.
#[derive(Clone, PartialEq)]
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
    /// URLs that are tried in turn, each after two failures in a row of the one before. When one of them is live, `target` is
    /// tried again only after the next failure. For `rtmp`, `rtmps` and `srt` alone.
    pub backups: Vec<String>,
    /// The platform whose rules it is checked by.
    pub platform: Option<Platform>,
    /// After so long, 1 s at least, a session is ended at a keyframe and begun anew with it, as platforms limit the length of one.
    /// That is no failure. Never when left out.
    pub session_max: Option<Duration>,
    /// When a file ends and the next one begins. Files are named `NAME-0001.ext` and on, past those that exist; each starts at
    /// time 0 and plays alone.
    pub split: Split,
    /// Whether the rendition's bitrate may go down when this output falls behind.
    pub adaptive: bool,
    /// Attempts in a row that may fail before the output gives up; 0 is never. A full disk does not count.
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
    /// An output whose kind is read from its target: `rtmp://`, `rtmps://` and `srt://` push, a path that ends in `/` or `.m3u8` is
    /// an HLS folder, and `.mp4`, `.mkv`, `.flv`, `.ts` and `.webm` are files.
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

    /// Whether what `encoder` makes can be carried.
    ///
    /// # Errors
    /// The codec that cannot, and why.
    pub fn holds(&self, encoder: &EncoderSettings) -> Result<(), Unsupported> {
        let (video, audio) = (
            encoder.video.codec,
            encoder.audio.as_ref().map(|audio| audio.codec),
        );
        match self.kind {
            OutputKind::Rtmp => Container::Flv.check(video, audio),
            OutputKind::Srt => Container::MpegTs.check(video, audio),
            OutputKind::File(container) => container.check(video, audio),
            OutputKind::Hls => self.hls.segment_type.check(video, audio),
        }
    }

    /// The target as it may be shown, without its stream key.
    #[must_use]
    pub fn target_shown(&self) -> String {
        redact_url(&self.target)
    }

    /// The URL of an index: 0 is the target, 1 the first of the backups. The target for one that is not there.
    #[must_use]
    pub fn url(&self, index: usize) -> &str {
        let backup = index
            .checked_sub(1)
            .and_then(|index| self.backups.get(index));
        backup.unwrap_or(&self.target)
    }

    /// [`OutputSettings::url`] as it may be shown, without its stream key.
    #[must_use]
    pub fn url_shown(&self, index: usize) -> String {
        redact_url(self.url(index))
    }

    /// Whether what runs can take these settings without being replaced. What of them concerns a session that is under way may
    /// still need another one.
    pub(crate) fn fits(&self, running: &Self) -> bool {
        let is_same_folder = self.kind != OutputKind::Hls
            || (&self.target, &self.hls) == (&running.target, &running.hls);
        (self.kind, &self.renditions) == (running.kind, &running.renditions) && is_same_folder
    }

    /// Whether a session under `running` at URL `index` cannot go on under these.
    pub(super) fn needs_session(&self, running: &Self, index: usize) -> bool {
        self.url(index) != running.url(index)
            || self.target != running.target
            || (self.kind == OutputKind::Rtmp && self.ca_file != running.ca_file)
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
        self.validate_kind()?;
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

impl fmt::Debug for OutputSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backups: Vec<String> = self.backups.iter().map(|url| redact_url(url)).collect();
        formatter
            .debug_struct("OutputSettings")
            .field("id", &self.id)
            .field("target", &self.target_shown())
            .field("kind", &self.kind)
            .field("renditions", &self.renditions)
            .field("backups", &backups)
            .field("platform", &self.platform)
            .field("session_max", &self.session_max)
            .field("split", &self.split)
            .field("adaptive", &self.adaptive)
            .field("retry_attempts", &self.retry_attempts)
            .field("retry_delay", &self.retry_delay)
            .field("max_queue", &self.max_queue)
            .field("ca_file", &self.ca_file)
            .field("hls", &self.hls)
            .field("timeout", &self.timeout)
            .finish()
    }
}

/// What is good for some kinds of output alone.
impl OutputSettings {
    fn validate_kind(&self) -> Result<(), StreamingError> {
        let refuse = |setting, value: String, expected| {
            Err(StreamingError::Setting {
                id: self.id.clone(),
                setting,
                value,
                expected,
            })
        };
        let is_push = matches!(self.kind, OutputKind::Rtmp | OutputKind::Srt);
        let has_kind =
            |url: &&String| Self::new("", url.as_str()).is_ok_and(|other| other.kind == self.kind);
        if let Some(backup) = self.backups.iter().find(|url| !is_push || !has_kind(url)) {
            return refuse(
                "backups",
                redact_url(backup),
                "URLs like the target's are needed, and an output that pushes",
            );
        }
        if self.backups.len() > BACKUPS_MAX {
            let count = self.backups.len().to_string();
            return refuse("backups", count, "at most 8 URLs can be used");
        }
        if let Some(longest) = self.session_max
            && (!is_push || longest < Duration::from_secs(1))
        {
            return refuse(
                "session_max",
                format!("{longest:?}"),
                "1 s or more is needed, and an output that pushes",
            );
        }
        let Split { after, bytes } = self.split;
        let is_short = after.is_some_and(|after| after < Duration::from_secs(1))
            || bytes.is_some_and(|bytes| bytes < SPLIT_BYTES_MIN);
        let is_file = matches!(self.kind, OutputKind::File(_));
        if !self.split.is_none() && (is_short || !is_file) {
            return refuse(
                "split",
                format!("{after:?}, {bytes:?} bytes"),
                "1 s and 64 KiB or more are needed, and a file",
            );
        }
        let is_repeated = |(index, id): (usize, &String)| self.renditions[..index].contains(id);
        if (self.renditions.len() > 1 && self.kind != OutputKind::Hls)
            || self.renditions.len() > RENDITIONS_MAX
            || self.renditions.iter().enumerate().any(is_repeated)
        {
            return refuse(
                "renditions",
                self.renditions.join(", "),
                "one is needed, or up to 8 different ones in an HLS folder",
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
        expected: "rtmp://, rtmps://, srt://, a folder that ends in /, or a file of .mp4, .mkv, .flv, .ts or .webm is needed",
    }
}
