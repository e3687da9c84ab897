//! Renditions: the sizes and bitrates that the program is encoded in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validate::{Problems, Validate};

/// One encoding of the program, as scenes and the API write it. What is left out is that of the rendition `main`, which there always is:
/// as large as the canvas, encoded as the settings say.
///
/// `{"id": "720p", "height": 720, "bitrate": 3000}`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenditionSpec {
    /// Its name, by which outputs ask for it: 1 to 32 of `a` to `z`, `0` to `9` and `-`.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,32}$"))]
    pub id: String,
    /// Pixels, even, 16 to 7680. Default what follows from the height; without both, the canvas's. `main` always has the canvas's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 7680), extend("multipleOf" = 2))]
    pub width: Option<u32>,
    /// Pixels, even, 16 to 4320. Default what follows from the width.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 4320), extend("multipleOf" = 2))]
    pub height: Option<u32>,
    /// Kbit/s of the picture, 50 to 200000. Default the setting STREAM_BITRATE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 50, max = 200_000))]
    pub bitrate: Option<u32>,
    /// Codec of the picture. Default the setting STREAM_CODEC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<VideoCodecName>,
    /// Effort of the encoder. Default the setting STREAM_PRESET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetName>,
    /// Codec of the sound. Default the setting AUDIO_CODEC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<AudioCodecName>,
    /// Kbit/s of the sound, 32 to 512. Default the setting AUDIO_BITRATE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 32, max = 512))]
    pub audio_bitrate: Option<u32>,
    /// For `main`: seconds from one keyframe to the next, 0.5 to 10. Default 2. All renditions have their keyframes on the same frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 10))]
    pub keyframe_interval: Option<f32>,
    /// Lowers the bitrate while an output cannot keep up, and raises it again. Off when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveSpec>,
    /// The hardware that encodes; software takes over where there is none. Default the setting HWACCEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceleration: Option<AccelerationName>,
}

/// How far a bitrate may go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdaptiveSpec {
    /// Kbit/s of the picture that are always kept, 50 to 200000.
    #[schemars(range(min = 50, max = 200_000))]
    pub floor: u32,
}

/// Codecs of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodecName {
    /// H.264 High.
    H264,
    /// VP8, for WebM and Matroska.
    Vp8,
    /// VP9, for WebM, Matroska and MP4.
    Vp9,
}

/// Codecs of the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodecName {
    /// AAC-LC.
    Aac,
    /// Opus, for WebM, Matroska and MP4.
    Opus,
}

/// Efforts, from the least to the most, by libx264's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "the names are libx264's own, which is where they are explained"
)]
pub enum PresetName {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
    Slow,
}

impl PresetName {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
        }
    }
}

/// Hardware that encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccelerationName {
    /// Software.
    None,
    /// What is found first of the others.
    Auto,
    /// NVIDIA.
    Nvenc,
    /// Intel and AMD, over VA-API.
    Vaapi,
    /// Intel Quick Sync.
    Qsv,
}

impl RenditionSpec {
    /// The rendition that there always is.
    pub const MAIN: &str = "main";
    /// The most renditions, `main` counted.
    pub const COUNT_MAX: usize = 8;

    /// A rendition of this name that says nothing else.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }

    /// Whether a name is one that a rendition can have.
    pub fn is_name(id: &str) -> bool {
        (1..=32).contains(&id.len())
            && id
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }

    /// Width and height in pixels on a canvas of this size; both are even.
    pub fn size_on(&self, canvas: (u32, u32)) -> (u32, u32) {
        let follow = |side: u32, of: u32, other: u32| {
            let exact = u64::from(side) * u64::from(of) / u64::from(other.max(1));
            // The next even number, as chroma has half the lines.
            (exact as u32).next_multiple_of(2).clamp(16, 8192)
        };
        match (self.width, self.height) {
            (Some(width), Some(height)) => (width, height),
            (Some(width), None) => (width, follow(width, canvas.1, canvas.0)),
            (None, Some(height)) => (follow(height, canvas.0, canvas.1), height),
            (None, None) => canvas,
        }
    }
}

impl Validate for RenditionSpec {
    fn validate(&self, problems: &mut Problems) {
        if !Self::is_name(&self.id) {
            problems.at("id", |problems| {
                problems
                    .report("a rendition's name is 1 to 32 of the characters a to z, 0 to 9 and -")
            });
        }
        for (name, side, max) in [("width", self.width, 7680), ("height", self.height, 4320)] {
            let Some(side) = side else { continue };
            if self.id == Self::MAIN {
                problems.at(name, |problems| {
                    problems.report("`main` has the size of the canvas; name a rendition of another size otherwise")
                });
            } else if !(16..=max).contains(&side) || side % 2 != 0 {
                problems.at(name, |problems| {
                    problems.report(format!(
                        "{side} does not serve; it must be even and from 16 to {max}"
                    ))
                });
            }
        }
        let floor = self.adaptive.map(|adaptive| adaptive.floor);
        whole(problems, "bitrate", self.bitrate, 50, 200_000, "kbit/s");
        whole(
            problems,
            "audioBitrate",
            self.audio_bitrate,
            32,
            512,
            "kbit/s",
        );
        problems.at("adaptive", |problems| {
            whole(problems, "floor", floor, 50, 200_000, "kbit/s");
            if let (Some(floor), Some(bitrate)) = (floor, self.bitrate)
                && floor > bitrate
            {
                problems.at("floor", |problems| {
                    problems.report(format!("{floor} is more than the bitrate of {bitrate}"))
                });
            }
        });
        if let Some(seconds) = self.keyframe_interval {
            problems.range("keyframeInterval", seconds, 0.5..=10.0);
            if self.id != Self::MAIN {
                problems.at("keyframeInterval", |problems| {
                    problems.report("it belongs to `main`, whose keyframes all renditions share")
                });
            }
        }
    }
}

/// Reports a whole number that is out of its range.
pub(super) fn whole(
    problems: &mut Problems,
    name: &str,
    value: Option<u32>,
    low: u32,
    high: u32,
    unit: &str,
) {
    if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
        problems.at(name, |problems| {
            problems.report(format!(
                "{value} is out of range; it must be from {low} to {high} {unit}"
            ))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_side_follows_from_the_canvas_and_is_even() {
        let size = |width, height| {
            let spec = RenditionSpec {
                width,
                height,
                ..RenditionSpec::new("r")
            };
            spec.size_on((1920, 1080))
        };
        assert_eq!(size(None, Some(720)), (1280, 720));
        assert_eq!(size(None, Some(480)), (854, 480));
        assert_eq!(size(Some(640), None), (640, 360));
        assert_eq!(size(None, None), (1920, 1080));
        assert_eq!(size(Some(100), Some(100)), (100, 100));
    }

    #[test]
    fn every_wrong_value_is_named() {
        let spec = RenditionSpec {
            width: Some(101),
            bitrate: Some(100),
            adaptive: Some(AdaptiveSpec { floor: 200 }),
            keyframe_interval: Some(1.0),
            ..RenditionSpec::new("720P")
        };
        let mut problems = Problems::new();
        spec.validate(&mut problems);
        let paths: Vec<_> = problems
            .into_vec()
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        assert_eq!(paths, ["id", "width", "adaptive.floor", "keyframeInterval"]);
    }
}
