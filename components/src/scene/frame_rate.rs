//! Frames a second as an exact fraction.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Frames a second, 1 to 120: `30`, `60`, `25`, or an NTSC rate such as `29.97`, which stands for 30000/1001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    /// Frames.
    pub numerator: u32,
    /// Seconds for that many frames.
    pub denominator: u32,
}

impl FrameRate {
    /// A whole number of frames a second.
    pub const fn whole(fps: u32) -> Self {
        Self {
            numerator: fps,
            denominator: 1,
        }
    }

    /// The exact rate meant by a decimal number; `None` when it lies outside 1 to 120 or means no usual rate.
    pub fn from_decimal(fps: f64) -> Option<Self> {
        if !(1.0..=120.0).contains(&fps) {
            return None;
        }
        let rounded = fps.round();
        if (fps - rounded).abs() < 1e-6 {
            return Some(Self::whole(rounded as u32));
        }
        let up = fps.ceil();
        ((up * 1000.0 / 1001.0 - fps).abs() < 0.005).then_some(Self {
            numerator: up as u32 * 1000,
            denominator: 1001,
        })
    }

    /// Frames a second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The start of tick `tick` in nanoseconds since tick 0, rounded down.
    pub fn nanos_at(self, tick: u64) -> u64 {
        (u128::from(tick) * 1_000_000_000 * u128::from(self.denominator)
            / u128::from(self.numerator)) as u64
    }

    /// The start of tick `tick` in seconds since tick 0.
    pub fn seconds_at(self, tick: u64) -> f64 {
        tick as f64 * f64::from(self.denominator) / f64::from(self.numerator)
    }

    /// The ticks that have begun by `nanos` nanoseconds after tick 0, tick 0 not counted.
    pub fn ticks_at(self, nanos: u64) -> u64 {
        (u128::from(nanos) * u128::from(self.numerator)
            / (1_000_000_000 * u128::from(self.denominator))) as u64
    }

    /// How many audio samples belong to tick `tick` at `sample_rate` Hz. Over any run of ticks the sum is exact.
    pub fn samples_in(self, tick: u64, sample_rate: u32) -> usize {
        let before = |tick: u64| {
            u128::from(tick) * u128::from(sample_rate) * u128::from(self.denominator)
                / u128::from(self.numerator)
        };
        (before(tick + 1) - before(tick)) as usize
    }
}

impl Default for FrameRate {
    fn default() -> Self {
        Self::whole(30)
    }
}

impl Serialize for FrameRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.denominator == 1 {
            serializer.serialize_u32(self.numerator)
        } else {
            serializer.serialize_f64((self.as_f64() * 1000.0).round() / 1000.0)
        }
    }
}

impl<'de> Deserialize<'de> for FrameRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fps = f64::deserialize(deserializer)?;
        Self::from_decimal(fps)
            .ok_or_else(|| D::Error::custom(format!("{fps} is not a frame rate; it must be from 1 to 120, whole or an NTSC rate such as 29.97")))
    }
}

impl JsonSchema for FrameRate {
    fn schema_name() -> Cow<'static, str> {
        "FrameRate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 1, "maximum": 120, "examples": [30, 60, 29.97]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntsc_rates_are_exact() {
        assert_eq!(
            FrameRate::from_decimal(29.97),
            Some(FrameRate {
                numerator: 30_000,
                denominator: 1001
            })
        );
        assert_eq!(
            FrameRate::from_decimal(23.976),
            Some(FrameRate {
                numerator: 24_000,
                denominator: 1001
            })
        );
        assert_eq!(FrameRate::from_decimal(60.0), Some(FrameRate::whole(60)));
        assert_eq!(FrameRate::from_decimal(29.5), None);
        assert_eq!(FrameRate::from_decimal(f64::NAN), None);
    }

    #[test]
    fn a_second_of_ticks_has_a_second_of_samples() {
        assert_eq!(
            (0..30)
                .map(|tick| FrameRate::whole(30).samples_in(tick, 48_000))
                .sum::<usize>(),
            48_000
        );
        let ntsc = FrameRate {
            numerator: 30_000,
            denominator: 1001,
        };
        assert_eq!(
            (0..30_000)
                .map(|tick| ntsc.samples_in(tick, 48_000))
                .sum::<usize>(),
            48_000 * 1001
        );
    }

    #[test]
    fn ticks_and_nanoseconds_agree() {
        let rate = FrameRate::whole(60);
        assert_eq!(rate.nanos_at(60), 1_000_000_000);
        assert_eq!(rate.ticks_at(1_000_000_000), 60);
        assert_eq!(rate.ticks_at(999_999_999), 59);
    }
}
