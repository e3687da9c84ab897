//! The few values that settings choose between.

use codec::{Acceleration, AudioCodec, Preset, VideoCodec};

/// How much work is spent on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RenderQuality {
    /// libx264 superfast.
    Low,
    /// libx264 veryfast.
    Medium,
    /// libx264 faster.
    High,
}

impl RenderQuality {
    pub(super) const NAMES: [(&str, Self); 3] = [
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
    ];

    /// The quality of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .into_iter()
            .find_map(|(other, quality)| (other == name).then_some(quality))
    }

    /// The preset that it stands for.
    #[must_use]
    pub const fn preset(self) -> Preset {
        match self {
            Self::Low => Preset::Superfast,
            Self::Medium => Preset::Veryfast,
            Self::High => Preset::Faster,
        }
    }
}

/// Codecs of the picture.
pub(super) const VIDEO_CODECS: [(&str, VideoCodec); 3] = [
    ("h264", VideoCodec::H264),
    ("vp8", VideoCodec::Vp8),
    ("vp9", VideoCodec::Vp9),
];

/// Codecs of the sound.
pub(super) const AUDIO_CODECS: [(&str, AudioCodec); 2] =
    [("aac", AudioCodec::Aac), ("opus", AudioCodec::Opus)];

/// What encodes.
pub(super) const ACCELERATIONS: [(&str, Acceleration); 5] = [
    ("none", Acceleration::None),
    ("auto", Acceleration::Auto),
    ("nvenc", Acceleration::Nvenc),
    ("vaapi", Acceleration::Vaapi),
    ("qsv", Acceleration::Qsv),
];

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl LogFormat {
    pub(super) const NAMES: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];
}

/// What this program is among those that share a stream in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads where nobody else does, and else waits to take the leader's place.
    Auto,
    /// It leads, or ends with an error that names who does.
    Leader,
    /// It never leads: it follows, answers, and has the leader do what is asked of it.
    Standby,
}

impl Role {
    pub(super) const NAMES: [(&str, Self); 3] = [
        ("auto", Self::Auto),
        ("leader", Self::Leader),
        ("standby", Self::Standby),
    ];
}
