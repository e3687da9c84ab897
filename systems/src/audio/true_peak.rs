//! What a sound comes to between its samples: four values a sample, as ITU-R BS.1770-4, annex 2, asks for.
//!
//! The filter is longer than the one that the annex prints as an example (32 taps a phase, Kaiser window), so that it reads high notes as
//! others that interpolate well do.

use std::sync::OnceLock;

/// Taps of each phase.
pub(super) const TAPS: usize = 32;
/// How many samples after the one that is looked at must be known.
pub(super) const AHEAD: usize = TAPS / 2;
/// How many samples before it must be known.
pub(super) const BEHIND: usize = TAPS / 2 - 1;
/// Taps that are counted in one go.
const TAPS_AT_ONCE: usize = 4;
/// Values between two samples.
const BETWEEN: usize = 3;
/// Shape of the window.
const KAISER_BETA: f64 = 8.0;

/// The filters of the values at one, two and three quarters of the way to the next sample.
pub(super) struct Phases {
    taps: [[f32; TAPS]; BETWEEN],
    /// No value between samples is larger than the largest sample times this.
    pub(super) overshoot_max: f32,
}

/// The filters; made once.
pub(super) fn phases() -> &'static Phases {
    static PHASES: OnceLock<Phases> = OnceLock::new();
    PHASES.get_or_init(|| {
        let taps: [[f32; TAPS]; BETWEEN] =
            std::array::from_fn(|phase| taps_at((phase + 1) as f64 / (BETWEEN + 1) as f64));
        let overshoot_max = taps
            .iter()
            .map(|taps| taps.iter().map(|tap| tap.abs()).sum::<f32>())
            .fold(1.0, f32::max);
        Phases {
            taps,
            overshoot_max,
        }
    })
}

fn taps_at(fraction: f64) -> [f32; TAPS] {
    let taps: [f64; TAPS] = std::array::from_fn(|tap| {
        let way = tap as f64 - BEHIND as f64 - fraction;
        let within = way / (AHEAD as f64);
        let sinc = (std::f64::consts::PI * way).sin() / (std::f64::consts::PI * way);
        let window = bessel(KAISER_BETA * (1.0 - within * within).max(0.0).sqrt());
        sinc * window / bessel(KAISER_BETA)
    });
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / sum) as f32)
}

/// The modified Bessel function of the first kind, of order 0.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for order in 1..64 {
        let half = x / (2.0 * f64::from(order));
        term *= half * half;
        sum += term;
    }
    sum
}

/// Raises each of `peaks` to the largest absolute value from its sample to before the next. The sample of `peaks[0]` is
/// `samples[BEHIND]`, and [`AHEAD`] samples follow that of the last. `scratch` is of no meaning.
pub(super) fn raise(peaks: &mut [f32], samples: &[f32], scratch: &mut Vec<f32>) {
    let count = peaks.len();
    for (peak, sample) in peaks.iter_mut().zip(&samples[BEHIND..]) {
        *peak = peak.max(sample.abs());
    }
    for taps in &phases().taps {
        scratch.clear();
        scratch.resize(count, 0.0);
        for (place, taps) in taps.chunks_exact(TAPS_AT_ONCE).enumerate() {
            add_taps(scratch, &samples[place * TAPS_AT_ONCE..], taps);
        }
        for (peak, value) in peaks.iter_mut().zip(&*scratch) {
            *peak = peak.max(value.abs());
        }
    }
}

/// Some taps over many values, which a compiler turns into wide instructions without another order of the sums.
fn add_taps(values: &mut [f32], samples: &[f32], taps: &[f32]) {
    let count = values.len();
    let &[a, b, c, d] = taps else {
        return;
    };
    let (first, second) = (&samples[..count], &samples[1..][..count]);
    let (third, fourth) = (&samples[2..][..count], &samples[3..][..count]);
    for place in 0..count {
        values[place] +=
            a * first[place] + b * second[place] + (c * third[place] + d * fourth[place]);
    }
}

/// The largest of `samples` by absolute value.
pub(super) fn sample_peak(samples: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let chunks = samples.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, sample) in lanes.iter_mut().zip(chunk) {
            *lane = if sample.abs() > *lane {
                sample.abs()
            } else {
                *lane
            };
        }
    }
    rest.iter()
        .map(|sample| sample.abs())
        .chain(lanes)
        .fold(0.0, f32::max)
}

/// The sum of the squares of `samples`.
pub(super) fn square_sum(samples: &[f32]) -> f32 {
    let mut lanes = [0f32; 8];
    let chunks = samples.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, sample) in lanes.iter_mut().zip(chunk) {
            *lane += sample * sample;
        }
    }
    let rest: f32 = rest.iter().map(|sample| sample * sample).sum();
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_wave_is_found_between_its_samples() {
        // A quarter of the sampling rate at 45 degrees: every sample is 3 dB below the wave.
        for (period, phase) in [(4.0, 0.125), (5.3, 0.0), (2.6, 0.3), (48.0, 0.01)] {
            let samples: Vec<f32> = (0..800)
                .map(|place| {
                    (std::f64::consts::TAU * (f64::from(place) / period + phase)).sin() as f32
                })
                .collect();
            let mut peaks = vec![0.0; samples.len() - TAPS];
            raise(&mut peaks, &samples, &mut Vec::new());
            let peak = peaks.iter().fold(0f32, |a, b| a.max(*b));
            assert!((20.0 * peak.log10()).abs() < 0.05, "{period}: {peak}");
        }
    }

    #[test]
    fn nothing_is_larger_than_is_said() {
        let phases = phases();
        assert!((1.0..4.0).contains(&phases.overshoot_max));
        // The worst input has the sign of each tap.
        let taps = phases.taps[1];
        let mut samples: Vec<f32> = taps.iter().map(|tap| tap.signum()).collect();
        samples.push(0.0);
        let mut peaks = [0.0];
        raise(&mut peaks, &samples, &mut Vec::new());
        assert!(peaks[0] <= phases.overshoot_max * 1.0001 && peaks[0] > 2.0);
    }

    #[test]
    fn sums_and_peaks_look_at_every_sample() {
        for count in [0, 1, 7, 8, 9, 803] {
            let samples: Vec<f32> = (0..count).map(|place| -(place as f32) / 803.0).collect();
            let peak = samples.iter().fold(0f32, |a, b| a.max(b.abs()));
            assert_eq!(sample_peak(&samples), peak);
            let sum: f32 = samples.iter().map(|sample| sample * sample).sum();
            assert!((square_sum(&samples) - sum).abs() <= sum * 1e-5);
        }
    }
}
