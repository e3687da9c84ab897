//! What the encoders can be asked for.

use crate::codecs::{Acceleration, AudioCodec, VideoCodec};
use crate::error::CodecError;
use crate::preset::Preset;

/// Frames a second as a fraction, for example 30/1 or 30000/1001.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    /// Frames in `denominator` seconds.
    pub numerator: u32,
    /// Seconds.
    pub denominator: u32,
}

impl FrameRate {
    /// A whole number of frames a second.
    #[must_use]
    pub const fn whole(frames_per_second: u32) -> Self {
        Self {
            numerator: frames_per_second,
            denominator: 1,
        }
    }

    /// Frames a second.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// How many samples at `sample_rate` hertz precede the start of frame `tick`, rounded down, so that the
    /// samples of tick n are those from `samples_before(n)` to `samples_before(n + 1)`.
    #[must_use]
    pub fn samples_before(self, tick: u64, sample_rate: u32) -> u64 {
        let samples = u128::from(tick) * u128::from(sample_rate) * u128::from(self.denominator)
            / u128::from(self.numerator.max(1));
        u64::try_from(samples).unwrap_or(u64::MAX)
    }
}

/// How bits are spread over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RateControl {
    /// The bitrate is both mean and ceiling, for live outputs. `buffer_s` is the decoder's buffer (VBV) in seconds of
    /// the bitrate, 0.1 to 10: small holds the rate tightly, large lets keyframes be better. With more than one
    /// thread, libx264 plans by the progress of its other threads here, so that bytes differ from run to run. It is the
    /// only one that hardware knows: the others are left to software.
    Constant {
        /// Seconds of the bitrate.
        buffer_s: f32,
    },
    /// The bitrate is the mean over the file. The same frames give the same bytes.
    Average,
    /// The quality is held and the bitrate follows. The same frames give the same bytes.
    Quality {
        /// libx264's rate factor: 0 is lossless, 18 hardly differs from the original, 51 is worst. libvpx's own, 0 to
        /// 63, is taken in proportion.
        rate_factor: f32,
    },
}

/// How a rendition's picture is encoded: yuv420p, BT.709 limited range, each frame from earlier ones alone.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSettings {
    /// What the frames become.
    pub codec: VideoCodec,
    /// Which hardware is to encode them. It knows H.264 with a constant bitrate; all else is left to software, and said.
    pub acceleration: Acceleration,
    /// Pixels, even, 16 to 8192.
    pub width: u32,
    /// Pixels, even, 16 to 8192.
    pub height: u32,
    /// Frames a second.
    pub frame_rate: FrameRate,
    /// Kilobits a second, 50 to 200,000.
    pub bitrate_kbps: u32,
    /// What holds the bitrate.
    pub rate_control: RateControl,
    /// The encoder's effort.
    pub preset: Preset,
    /// Seconds between keyframes, more than 0; rounded to whole frames.
    pub keyframe_interval_s: f32,
    /// Encoder threads, 1 to 64: a fixed number, never one taken from the machine.
    pub threads: usize,
    /// Whether each frame comes out before the next is given (slices of one frame side by side, libx264's
    /// `zerolatency`). Otherwise frames are encoded side by side, which is faster and better, and each comes out
    /// `threads - 1` and the lookahead's frames later. libvpx and hardware always give each frame at once.
    pub low_latency: bool,
    /// Frames that libx264 looks ahead, 0 to 60; `None` is the preset's own number. More spends bits better, at more
    /// CPU and delay. Without effect on `low_latency`, which looks at none, and on every other encoder.
    pub lookahead_frames: Option<u32>,
}

impl Default for VideoSettings {
    fn default() -> Self {
        Self {
            codec: VideoCodec::default(),
            acceleration: Acceleration::default(),
            width: 1920,
            height: 1080,
            frame_rate: FrameRate::whole(30),
            bitrate_kbps: 4000,
            // Measured on cuts between still and noisy pictures: 0.25 s keeps every second within 10 % of the rate,
            // 0.5 s within 28 %, 1 s within 53 %.
            rate_control: RateControl::Constant { buffer_s: 0.25 },
            preset: Preset::Veryfast,
            keyframe_interval_s: 2.0,
            threads: 2,
            low_latency: false,
            lookahead_frames: Some(0),
        }
    }
}

impl VideoSettings {
    /// Frames from one keyframe to the next, at least 1.
    #[must_use]
    pub fn keyframe_interval_frames(&self) -> u32 {
        // Rates are below 1000 and intervals below a minute, so that the product is far below 2^31.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "validated, positive and small"
        )]
        let frames =
            (f64::from(self.keyframe_interval_s) * self.frame_rate.as_f64()).round() as u32;
        frames.max(1)
    }

    /// Whether an encoder with `preset` can take over the stream of one with these settings.
    #[must_use]
    pub fn continues_with(&self, preset: Preset) -> bool {
        match self.codec {
            VideoCodec::H264 => self.preset.continues(preset),
            VideoCodec::Vp8 | VideoCodec::Vp9 => true,
        }
    }

    /// # Errors
    /// [`CodecError::Setting`] names the first value out of its range.
    pub fn validate(&self) -> Result<(), CodecError> {
        let size_is_good = |size: u32| (16..=8192).contains(&size) && size.is_multiple_of(2);
        let refuse = |setting, value: String, expected| {
            Err(CodecError::Setting {
                setting,
                value,
                expected,
            })
        };
        if !size_is_good(self.width) {
            return refuse(
                "width",
                self.width.to_string(),
                "an even number of pixels from 16 to 8192 is needed",
            );
        }
        if !size_is_good(self.height) {
            return refuse(
                "height",
                self.height.to_string(),
                "an even number of pixels from 16 to 8192 is needed",
            );
        }
        let FrameRate {
            numerator,
            denominator,
        } = self.frame_rate;
        if denominator == 0 || !(1.0..=240.0).contains(&self.frame_rate.as_f64()) {
            return refuse(
                "frame_rate",
                format!("{numerator}/{denominator}"),
                "1 to 240 frames a second are needed",
            );
        }
        if !(50..=200_000).contains(&self.bitrate_kbps) {
            return refuse(
                "bitrate_kbps",
                self.bitrate_kbps.to_string(),
                "50 to 200000 kbit/s are needed",
            );
        }
        if !(0.05..=60.0).contains(&self.keyframe_interval_s) {
            return refuse(
                "keyframe_interval_s",
                self.keyframe_interval_s.to_string(),
                "0.05 to 60 s are needed",
            );
        }
        if !(1..=64).contains(&self.threads) {
            return refuse("threads", self.threads.to_string(), "1 to 64 are needed");
        }
        match self.rate_control {
            RateControl::Constant { buffer_s } if !(0.1..=10.0).contains(&buffer_s) => {
                return refuse("buffer_s", buffer_s.to_string(), "0.1 to 10 s are needed");
            }
            RateControl::Quality { rate_factor } if !(0.0..=51.0).contains(&rate_factor) => {
                return refuse("rate_factor", rate_factor.to_string(), "0 to 51 is needed");
            }
            _ => {}
        }
        if let Some(frames) = self.lookahead_frames.filter(|frames| *frames > 60) {
            return refuse("lookahead_frames", frames.to_string(), "0 to 60 are needed");
        }
        Ok(())
    }
}

/// How a rendition's sound is encoded: stereo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSettings {
    /// What the samples become.
    pub codec: AudioCodec,
    /// Hertz. Opus takes 48,000 alone.
    pub sample_rate: u32,
    /// Kilobits a second, 32 to 512.
    pub bitrate_kbps: u32,
    /// Samples by which the sound comes later than what it belongs to, as what mixes it takes its time: its timestamps are that much
    /// earlier.
    pub late_samples: u32,
}

impl Default for AudioSettings {
    fn default() -> Self {
        Self {
            codec: AudioCodec::default(),
            sample_rate: 48_000,
            bitrate_kbps: 128,
            late_samples: 0,
        }
    }
}

impl AudioSettings {
    /// # Errors
    /// [`CodecError::Setting`] names the first value out of its range.
    pub fn validate(&self) -> Result<(), CodecError> {
        let refuse = |setting, value: u32, expected| {
            Err(CodecError::Setting {
                setting,
                value: value.to_string(),
                expected,
            })
        };
        if !(32..=512).contains(&self.bitrate_kbps) {
            return refuse(
                "audio bitrate_kbps",
                self.bitrate_kbps,
                "32 to 512 kbit/s are needed",
            );
        }
        if self.codec == AudioCodec::Opus && self.sample_rate != 48_000 {
            return refuse("audio sample_rate", self.sample_rate, "Opus needs 48000 Hz");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_ticks_add_up_without_drift() {
        let rate = FrameRate {
            numerator: 30_000,
            denominator: 1001,
        };
        assert_eq!(rate.samples_before(30_000, 48_000), 1001 * 48_000);
        assert_eq!(FrameRate::whole(30).samples_before(1, 48_000), 1600);
    }

    #[test]
    fn bad_settings_are_named() {
        let bad = VideoSettings {
            width: 101,
            ..VideoSettings::default()
        };
        assert!(matches!(
            bad.validate(),
            Err(CodecError::Setting {
                setting: "width",
                ..
            })
        ));
        let bad = VideoSettings {
            keyframe_interval_s: f32::NAN,
            ..VideoSettings::default()
        };
        assert!(matches!(
            bad.validate(),
            Err(CodecError::Setting {
                setting: "keyframe_interval_s",
                ..
            })
        ));
    }
}
