//! Where the program goes and in which encodings, as scenes and the API write it: data that the engine never looks at.

mod rendition;
mod secret;

pub use rendition::{
    AccelerationName, AdaptiveSpec, AudioCodecName, PresetName, RenditionSpec, VideoCodecName,
};
pub use secret::Secret;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate::{Problems, Validate};
use rendition::whole;

/// An output: one destination of the program.
///
/// `{"id": "twitch", "platform": "twitch", "keyFrom": "TWITCH_STREAM_KEY", "renditions": ["720p"]}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputSpec {
    /// Its name, unique among the outputs: a letter or a digit, then up to 63 of letters, digits, `-` and `_`.
    #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"))]
    pub id: String,
    /// The way out. Default what `url` or `platform` says.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<OutputType>,
    /// The platform that is pushed to: it gives the address, and the rules that the output is checked by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<PlatformName>,
    /// The platform's region or server, where it has several, such as `va` of X.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,31}$"))]
    pub region: Option<String>,
    /// Where: `rtmp://`, `rtmps://` or `srt://`; for `file` the name of a file in the folder of recordings, such as `friday.mp4`, which gets a
    /// number where it is taken; for `hls` the name of a folder below the one that is served at `/hls`, with a slash at its end. A key in
    /// it is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// Stream key, put behind an RTMP address. It is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// Name of the environment variable that holds the key, so that no file has to. It must contain `STREAM_KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = "^[A-Z0-9_]*STREAM_KEY[A-Z0-9_]*$"))]
    pub key_from: Option<String>,
    /// Addresses that are tried in turn when `url` cannot be reached, at most 8. The key is put behind these too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub backup_urls: Vec<Secret>,
    /// The renditions that it carries, by name: one, or several in HLS. Default `main`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(regex(pattern = "^[a-z0-9-]{1,32}$")))]
    pub renditions: Vec<String>,
    /// Whether it runs while the stream is on air. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// Attempts in a row that may fail before it gives up, 0 to 1000000; 0 is never. Default the setting RETRY_ATTEMPTS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub retry_attempts: Option<u32>,
    /// Milliseconds before the first reconnect, 100 to 600000; they grow with each failure. Default the setting RETRY_DELAY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 600_000))]
    pub retry_delay: Option<u32>,
    /// Milliseconds that connecting and one write may take each, 100 to 60000. Default 4000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 60_000))]
    pub timeout: Option<u32>,
    /// Frames that it may lag before it drops to the next keyframe, 2 to 10000. Default the setting MAX_QUEUE_SIZE, and more for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 10_000))]
    pub max_queue: Option<u32>,
    /// Hours after which a session is ended and begun anew, 0.01 to 168, as platforms limit the length of one. Default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01, max = 168))]
    pub session_hours: Option<f32>,
    /// For `file`: when one file ends and the next begins. Default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitSpec>,
    /// For `file`: its layout. Default what the ending of `url` says, or `mp4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,
    /// For `hls`: seconds in a segment, 1 to 60. Default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub segment_seconds: Option<u32>,
    /// For `hls`: segments in the playlist, 2 to 1000. Default 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1000))]
    pub window: Option<u32>,
    /// For `hls`: the kind of segments. Default `fmp4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_type: Option<SegmentType>,
    /// Whether its rendition's bitrate may go down when it falls behind. Default true for `rtmp` and `srt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<bool>,
    /// For `rtmps://`: a file of certificates (PEM) below DATA_DIR that are trusted instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub ca_file: Option<String>,
}

/// The ways out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// Pushes to an RTMP server.
    Rtmp,
    /// Sends MPEG-TS over SRT.
    Srt,
    /// Writes files into the folder of recordings.
    File,
    /// Keeps a live playlist with its segments, served at `/hls`.
    Hls,
}

/// Where live streams are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlatformName {
    /// X (Twitter).
    X,
    /// Twitch.
    Twitch,
    /// YouTube.
    Youtube,
    /// Facebook.
    Facebook,
}

/// Layouts of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContainerName {
    /// MP4 in fragments, playable up to the last one even when writing never ended.
    Mp4,
    /// Matroska.
    Mkv,
    /// Flash video.
    Flv,
    /// MPEG transport stream.
    Ts,
    /// WebM, for VP8, VP9 and Opus.
    Webm,
}

impl ContainerName {
    /// Every layout.
    pub const ALL: [Self; 5] = [Self::Mp4, Self::Mkv, Self::Flv, Self::Ts, Self::Webm];

    /// The ending of its files, without the point.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Mkv => "mkv",
            Self::Flv => "flv",
            Self::Ts => "ts",
            Self::Webm => "webm",
        }
    }

    /// The layout that a file's name stands for.
    pub fn of_file(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Self::ALL
            .into_iter()
            .find(|container| container.extension().eq_ignore_ascii_case(extension))
    }
}

/// Kinds of HLS segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SegmentType {
    /// Fragmented MP4.
    Fmp4,
    /// MPEG transport stream, for old players.
    Mpegts,
}

/// When a file ends and the next one begins: at the first keyframe after either.
///
/// `{"minutes": 60}`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SplitSpec {
    /// Minutes of a file, 0.05 to 1440.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.05, max = 1440))]
    pub minutes: Option<f32>,
    /// Megabytes (10^6 bytes) of a file, 1 to 1000000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub megabytes: Option<u32>,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

impl OutputSpec {
    /// The most outputs.
    pub const COUNT_MAX: usize = 32;
    /// The most bytes of a name.
    pub const ID_BYTES_MAX: usize = 64;
    /// Names that cannot be used: the program's own output, and a route.
    pub const RESERVED: [&str; 2] = ["recording", "check"];

    /// An output of this name that says nothing else.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: None,
            platform: None,
            region: None,
            url: None,
            key: None,
            key_from: None,
            backup_urls: Vec::new(),
            renditions: Vec::new(),
            enabled: true,
            retry_attempts: None,
            retry_delay: None,
            timeout: None,
            max_queue: None,
            session_hours: None,
            split: None,
            container: None,
            segment_seconds: None,
            window: None,
            segment_type: None,
            adaptive: None,
            ca_file: None,
        }
    }

    /// Whether a name is one that an output can have.
    pub fn is_name(id: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=Self::ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(is_plain)
            && !id.starts_with(['-', '_'])
    }

    /// The way out: as it is written, or as address and platform say; `None` when nothing tells.
    pub fn way(&self) -> Option<OutputType> {
        let of_url = || self.url.as_ref().and_then(|url| way_of(url.reveal()));
        let of_platform = || self.platform.map(|_| OutputType::Rtmp);
        self.kind.or_else(of_url).or_else(of_platform)
    }
}

/// The way out that an address stands for.
fn way_of(url: &str) -> Option<OutputType> {
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("rtmp" | "rtmps") => Some(OutputType::Rtmp),
        Some("srt") => Some(OutputType::Srt),
        Some(_) => None,
        None if url.ends_with('/') || url.ends_with(".m3u8") => Some(OutputType::Hls),
        None => ContainerName::of_file(url).map(|_| OutputType::File),
    }
}

impl Validate for OutputSpec {
    fn validate(&self, problems: &mut Problems) {
        if !Self::is_name(&self.id) {
            problems.at("id", |problems| {
                problems.report(
                    "an output's name is a letter or a digit, then up to 63 of letters, digits, - and _",
                )
            });
        }
        if Self::RESERVED.contains(&self.id.as_str()) {
            problems.at("id", |problems| {
                problems.report("this name is kept for the program itself; use another one")
            });
        }
        match self.way() {
            Some(way) => {
                self.check_address(way, problems);
                self.check_fields(way, problems);
            }
            None if self.url.is_some() => problems.at("url", |problems| {
                problems.report("it must begin with rtmp://, rtmps:// or srt://, name a folder with / at its end, or end in .mp4, .mkv, .flv, .ts or .webm")
            }),
            None => problems.report("an output needs `url`, `platform` or `type`"),
        }
        self.check_secrets(problems);
        for (index, rendition) in self.renditions.iter().enumerate() {
            if !RenditionSpec::is_name(rendition) || self.renditions[..index].contains(rendition) {
                problems.at_index("renditions", index, |problems| {
                    problems.report("it must be the name of a rendition, each once")
                });
            }
        }
        if self.renditions.len() > 1 && self.way() != Some(OutputType::Hls) {
            problems.at("renditions", |problems| {
                problems.report(
                    "only `hls` carries several renditions; add an output for each otherwise",
                )
            });
        }
        self.check_ranges(problems);
    }
}

impl OutputSpec {
    fn check_address(&self, way: OutputType, problems: &mut Problems) {
        let Some(url) = &self.url else {
            if matches!(way, OutputType::Rtmp | OutputType::Srt) && self.platform.is_none() {
                problems.report("it needs `url`, or `platform`");
            }
            return;
        };
        let fits = match way {
            OutputType::Rtmp | OutputType::Srt => {
                way_of(url.reveal()) == Some(way) && has_host(url.reveal())
            }
            OutputType::File => is_inside(url.reveal()) && !url.reveal().contains('/'),
            OutputType::Hls => is_inside(url.reveal()),
        };
        if !fits {
            let expected = match way {
                OutputType::Rtmp => {
                    "it must be an address such as rtmp://host/app or rtmps://host:443/app"
                }
                OutputType::Srt => "it must be an address such as srt://host:8890?streamid=name",
                OutputType::File => {
                    "it must name a file in the folder of recordings, such as friday.mp4"
                }
                OutputType::Hls => "it must name a folder, such as stage/",
            };
            problems.at("url", |problems| problems.report(expected));
        }
        for (index, backup) in self.backup_urls.iter().enumerate() {
            if way_of(backup.reveal()) != Some(way) || !has_host(backup.reveal()) {
                problems.at_index("backupUrls", index, |problems| {
                    problems.report("it must be an address of the same kind as `url`")
                });
            }
        }
        let of_file = ContainerName::of_file(url.reveal());
        if way == OutputType::File && of_file.or(self.container) != self.container.or(of_file) {
            problems.at("container", |problems| {
                problems.report("it differs from the ending of `url`")
            });
        } else if way == OutputType::File && of_file.is_none() && self.container.is_none() {
            problems.at("url", |problems| {
                problems.report(
                    "it must end in .mp4, .mkv, .flv, .ts or .webm, or `container` be given",
                )
            });
        }
    }

    /// A field of another kind of output would have no effect, which its author should know.
    fn check_fields(&self, way: OutputType, problems: &mut Problems) {
        let is_push = matches!(way, OutputType::Rtmp | OutputType::Srt);
        let (is_rtmp, is_file, is_hls) = (
            way == OutputType::Rtmp,
            way == OutputType::File,
            way == OutputType::Hls,
        );
        for (name, is_there, fits, of) in [
            ("platform", self.platform.is_some(), is_rtmp, "rtmp"),
            ("key", self.key.is_some(), is_rtmp, "rtmp"),
            ("keyFrom", self.key_from.is_some(), is_rtmp, "rtmp"),
            ("caFile", self.ca_file.is_some(), is_rtmp, "rtmp"),
            (
                "backupUrls",
                !self.backup_urls.is_empty(),
                is_push,
                "rtmp or srt",
            ),
            (
                "sessionHours",
                self.session_hours.is_some(),
                is_push,
                "rtmp or srt",
            ),
            ("split", self.split.is_some(), is_file, "file"),
            ("container", self.container.is_some(), is_file, "file"),
            (
                "segmentSeconds",
                self.segment_seconds.is_some(),
                is_hls,
                "hls",
            ),
            ("window", self.window.is_some(), is_hls, "hls"),
            ("segmentType", self.segment_type.is_some(), is_hls, "hls"),
        ] {
            if is_there && !fits {
                problems.at(name, |problems| {
                    problems.report(format!("it belongs to an output of the type {of}"))
                });
            }
        }
        if self.region.is_some() && self.platform.is_none() {
            problems.at("region", |problems| problems.report("it needs `platform`"));
        }
    }

    fn check_secrets(&self, problems: &mut Problems) {
        if self.key.is_some() && self.key_from.is_some() {
            problems.at("keyFrom", |problems| {
                problems.report("`key` and `keyFrom` exclude each other")
            });
        }
        let secrets = [("url", &self.url), ("key", &self.key)];
        for (name, secret) in secrets {
            if secret
                .as_ref()
                .is_some_and(|secret| !secret.is_well_formed())
            {
                problems.at(name, |problems| {
                    problems.report("it must be one word of 1 to 2048 bytes, without white space")
                });
            }
        }
        for (index, backup) in self.backup_urls.iter().enumerate() {
            if index >= 8 || !backup.is_well_formed() {
                problems.at_index("backupUrls", index, |problems| {
                    problems.report("it must be one word of 1 to 2048 bytes, one of at most 8")
                });
            }
        }
        if let Some(name) = &self.key_from {
            let is_plain = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
            if name.len() > 128 || !name.bytes().all(is_plain) || !name.contains("STREAM_KEY") {
                problems.at("keyFrom", |problems| {
                    problems.report(
                        "it must be the name of a variable that contains STREAM_KEY, of A to Z, 0 to 9 and _, such as TWITCH_STREAM_KEY",
                    )
                });
            }
        }
        if let Some(region) = &self.region {
            let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if region.len() > 32
                || region.is_empty()
                || region.starts_with('-')
                || !region.bytes().all(is_plain)
            {
                problems.at("region", |problems| {
                    problems.report("it must be 1 to 32 of a to z, 0 to 9 and -, such as va")
                });
            }
        }
    }

    fn check_ranges(&self, problems: &mut Problems) {
        whole(
            problems,
            "retryAttempts",
            self.retry_attempts,
            0,
            1_000_000,
            "attempts",
        );
        whole(
            problems,
            "retryDelay",
            self.retry_delay,
            100,
            600_000,
            "milliseconds",
        );
        whole(
            problems,
            "timeout",
            self.timeout,
            100,
            60_000,
            "milliseconds",
        );
        whole(problems, "maxQueue", self.max_queue, 2, 10_000, "frames");
        whole(
            problems,
            "segmentSeconds",
            self.segment_seconds,
            1,
            60,
            "seconds",
        );
        whole(problems, "window", self.window, 2, 1000, "segments");
        if let Some(hours) = self.session_hours {
            problems.range("sessionHours", hours, 0.01..=168.0);
        }
        if let Some(split) = &self.split {
            problems.at("split", |problems| split.validate(problems));
        }
        if let Some(file) = &self.ca_file
            && !is_inside(file)
        {
            problems.at("caFile", |problems| {
                problems.report(
                    "it must be the path of a file below DATA_DIR, such as certificates/ca.pem",
                )
            });
        }
    }
}

impl Validate for SplitSpec {
    fn validate(&self, problems: &mut Problems) {
        if let Some(minutes) = self.minutes {
            problems.range("minutes", minutes, 0.05..=1440.0);
        }
        whole(
            problems,
            "megabytes",
            self.megabytes,
            1,
            1_000_000,
            "megabytes",
        );
        if self.minutes.is_none() && self.megabytes.is_none() {
            problems.report("a split needs `minutes`, `megabytes`, or both");
        }
    }
}

/// Whether an address has a host.
fn has_host(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.is_empty() && !host.starts_with(':')
}

/// Whether a path stays below the folder that it is relative to, and has only plain names.
fn is_inside(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && !name.contains(['\\', ':', '\0', '*', '?', '"', '<', '>', '|'])
            && !name.chars().any(char::is_control)
    };
    path.len() <= 255 && path.split('/').all(is_name)
}

#[cfg(test)]
mod tests;
