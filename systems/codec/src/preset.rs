//! One scale of effort for every video encoder, and what each of them makes of it.

use std::fmt;
use std::str::FromStr;

use crate::error::CodecError;

/// How much work the encoder spends on a frame, from the least to the most. The names are libx264's; libvpx is given what
/// costs about as much (measured on one thread at 1280x720: within a factor of two), hardware its own scale:
///
/// | preset    | libx264   | libvpx `cpu-used` | libvpx-vp9 `cpu-used` | h264_nvenc | h264_qsv | h264_vaapi `compression_level` |
/// |-----------|-----------|-------------------|-----------------------|------------|----------|--------------------------------|
/// | ultrafast | ultrafast | -16               | 8                     | p1         | veryfast | 7                              |
/// | superfast | superfast | -12               | 8                     | p2         | faster   | 6                              |
/// | veryfast  | veryfast  | -6                | 7                     | p3         | fast     | 5                              |
/// | faster    | faster    | -4                | 6                     | p4         | medium   | 4                              |
/// | fast      | fast      | -3                | 5                     | p5         | slow     | 3                              |
/// | medium    | medium    | -2                | 5                     | p6         | slower   | 2                              |
/// | slow      | slow      | -1                | 4                     | p7         | veryslow | 1                              |
///
/// libvpx takes a negative number as a fixed speed and a positive one as a share of the time of a frame, by which its
/// speed would hang on how busy the machine is; so it is given negative ones. VP9's fastest speed is still slower than
/// libx264's.
/// A render's quality of low, medium and high stands for superfast, veryfast and faster, whatever the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the names are libx264's own, which is where they are explained"
)]
pub enum Preset {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
    Slow,
}

impl Preset {
    /// Every preset, from the least effort to the most.
    pub const ALL: [Self; 7] = [
        Self::Ultrafast,
        Self::Superfast,
        Self::Veryfast,
        Self::Faster,
        Self::Fast,
        Self::Medium,
        Self::Slow,
    ];

    /// Whether libx264 with this preset writes the same headers as with `other`, so that one encoder can follow the other
    /// in a stream. VP8 and VP9 have no headers outside their frames, so that any of their presets continues any other.
    #[must_use]
    pub fn continues(self, other: Self) -> bool {
        self == other || (self.has_common_headers() && other.has_common_headers())
    }

    /// These differ in effort alone, once each looks back at one frame only.
    pub(crate) fn has_common_headers(self) -> bool {
        matches!(self, Self::Superfast | Self::Veryfast | Self::Faster)
    }

    /// libx264's name.
    #[must_use]
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

    /// libvpx's `cpu-used` for VP8: its fixed speeds.
    pub(crate) const fn vp8_speed(self) -> &'static str {
        match self {
            Self::Ultrafast => "-16",
            Self::Superfast => "-12",
            Self::Veryfast => "-6",
            Self::Faster => "-4",
            Self::Fast => "-3",
            Self::Medium => "-2",
            Self::Slow => "-1",
        }
    }

    /// libvpx's `cpu-used` for VP9.
    pub(crate) const fn vp9_speed(self) -> &'static str {
        match self {
            Self::Ultrafast | Self::Superfast => "8",
            Self::Veryfast => "7",
            Self::Faster => "6",
            Self::Fast | Self::Medium => "5",
            Self::Slow => "4",
        }
    }

    /// NVENC's name.
    pub(crate) const fn nvenc(self) -> &'static str {
        match self {
            Self::Ultrafast => "p1",
            Self::Superfast => "p2",
            Self::Veryfast => "p3",
            Self::Faster => "p4",
            Self::Fast => "p5",
            Self::Medium => "p6",
            Self::Slow => "p7",
        }
    }

    /// Quick Sync's name.
    pub(crate) const fn qsv(self) -> &'static str {
        match self {
            Self::Ultrafast => "veryfast",
            Self::Superfast => "faster",
            Self::Veryfast => "fast",
            Self::Faster => "medium",
            Self::Fast => "slow",
            Self::Medium => "slower",
            Self::Slow => "veryslow",
        }
    }

    /// VA-API's quality level, of which 1 is the best and the driver's own range is often 1 to 7.
    pub(crate) const fn vaapi(self) -> &'static str {
        match self {
            Self::Ultrafast => "7",
            Self::Superfast => "6",
            Self::Veryfast => "5",
            Self::Faster => "4",
            Self::Fast => "3",
            Self::Medium => "2",
            Self::Slow => "1",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Preset {
    type Err = CodecError;

    fn from_str(name: &str) -> Result<Self, CodecError> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.as_str() == name)
            .ok_or_else(|| CodecError::Setting {
                setting: "preset",
                value: name.to_owned(),
                expected: "one of ultrafast, superfast, veryfast, faster, fast, medium, slow",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_read_back() {
        for preset in Preset::ALL {
            assert_eq!(preset.as_str().parse(), Ok(preset));
        }
        assert!("turbo".parse::<Preset>().is_err());
    }
}
