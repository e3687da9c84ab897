//! The codecs, and who does the work of encoding.

use std::fmt;
use std::str::FromStr;

use crate::error::CodecError;

/// How pictures are encoded. What each of a [`crate::Preset`]'s steps means to each encoder stands in the table there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264 High, which every platform and player takes. By libx264, or by hardware ([`Acceleration`]). The bitrate can
    /// be changed while the encoder runs.
    #[default]
    H264,
    /// VP8 by libvpx, for WebM. It has no field for BT.709, which the container says instead. A new bitrate needs a new
    /// encoder ([`crate::VideoEncoder::reopened`]).
    Vp8,
    /// VP9, profile 0, by libvpx. A new bitrate needs a new encoder ([`crate::VideoEncoder::reopened`]).
    Vp9,
}

/// How sound is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC-LC in frames of 1024 samples, by FFmpeg's own encoder.
    #[default]
    Aac,
    /// Opus in frames of 20 ms, by libopus: 48 kHz alone, the bitrate a mean that each second keeps.
    Opus,
}

/// Which hardware encodes H.264. When it cannot, software does, and the encoder says why
/// ([`crate::VideoEncoder::fallback`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Acceleration {
    /// Software: the same frames take the same way on every machine.
    #[default]
    None,
    /// The first that works of NVENC, Quick Sync and VA-API.
    Auto,
    /// NVIDIA's NVENC.
    Nvenc,
    /// VA-API, of Intel and AMD on Linux.
    Vaapi,
    /// Intel's Quick Sync Video.
    Qsv,
}

macro_rules! names {
    ($kind:ty, $setting:literal, $expected:literal, $($variant:ident = $name:literal, $label:literal),+) => {
        impl $kind {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in settings.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }

            /// The name that people know it by.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label),+
                }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl FromStr for $kind {
            type Err = CodecError;

            fn from_str(name: &str) -> Result<Self, CodecError> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str() == name)
                    .ok_or_else(|| CodecError::Setting {
                        setting: $setting,
                        value: name.to_owned(),
                        expected: $expected,
                    })
            }
        }
    };
}

names!(
    VideoCodec,
    "video codec",
    "one of h264, vp8, vp9",
    H264 = "h264",
    "H.264",
    Vp8 = "vp8",
    "VP8",
    Vp9 = "vp9",
    "VP9"
);
names!(
    AudioCodec,
    "audio codec",
    "one of aac, opus",
    Aac = "aac",
    "AAC",
    Opus = "opus",
    "Opus"
);
names!(
    Acceleration,
    "acceleration",
    "one of none, auto, nvenc, vaapi, qsv",
    None = "none",
    "software",
    Auto = "auto",
    "any hardware",
    Nvenc = "nvenc",
    "NVENC",
    Vaapi = "vaapi",
    "VA-API",
    Qsv = "qsv",
    "Quick Sync"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for codec in VideoCodec::ALL {
            assert_eq!(codec.as_str().parse(), Ok(*codec));
        }
        for codec in AudioCodec::ALL {
            assert_eq!(codec.as_str().parse(), Ok(*codec));
        }
        for acceleration in Acceleration::ALL {
            assert_eq!(acceleration.as_str().parse(), Ok(*acceleration));
        }
        assert!("mp3".parse::<AudioCodec>().is_err());
    }
}
