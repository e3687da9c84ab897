//! The few values that settings choose between.

use codec::Preset;

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

/// How the picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamCodec {
    /// H.264 High by libx264.
    H264,
}

impl StreamCodec {
    pub(super) const NAMES: [(&str, Self); 1] = [("h264", Self::H264)];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
        }
    }
}

/// How the sound is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioCodec {
    /// AAC-LC, 48 kHz, stereo.
    Aac,
}

impl AudioCodec {
    pub(super) const NAMES: [(&str, Self); 1] = [("aac", Self::Aac)];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aac => "aac",
        }
    }
}

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
