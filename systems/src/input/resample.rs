//! Sound between samples: a windowed sinc of 16 taps, tabulated once.
//!
//! The kernel is `cutoff * sinc(cutoff * x)` under a Kaiser window, each phase scaled so that its taps add up to one (Oppenheim and
//! Schafer, *Discrete-Time Signal Processing*, section 7.6). A sound that is played faster is cut off lower, so that what the new
//! rate cannot hold does not come back as another tone.

use std::sync::OnceLock;

/// Samples that one value is made of.
pub(super) const TAPS: usize = 16;
/// Samples before the position among those, its own included.
pub(super) const TAPS_BEFORE: usize = TAPS / 2;

const PHASES: usize = 256;
/// The shape of the Kaiser window: some 80 dB below.
const BETA: f64 = 7.9;
/// The steps for which there are kernels, in samples of the source a sample of the stream, and how much of the band each keeps.
const CUTOFFS: [(f64, f64); 5] = [
    (1.02, 0.94),
    (1.5, 0.63),
    (2.1, 0.45),
    (3.1, 0.3),
    (f64::INFINITY, 0.23),
];

type Phase = [f32; TAPS];

/// A kernel: one phase more than there are, so that each has a next one.
#[derive(Debug)]
pub(super) struct Kernel(Vec<Phase>);

/// The kernel for a step.
pub(super) fn kernel_for(step: f64) -> &'static Kernel {
    static KERNELS: OnceLock<[Kernel; CUTOFFS.len()]> = OnceLock::new();
    let kernels = KERNELS.get_or_init(|| CUTOFFS.map(|(_, cutoff)| Kernel::new(cutoff)));
    let index = CUTOFFS.iter().position(|(largest, _)| step <= *largest);
    &kernels[index.unwrap_or(CUTOFFS.len() - 1)]
}

impl Kernel {
    fn new(cutoff: f64) -> Self {
        let phases = (0..=PHASES).map(|phase| {
            let part = phase as f64 / PHASES as f64;
            let taps: [f64; TAPS] = std::array::from_fn(|tap| {
                let x = tap as f64 - (TAPS_BEFORE as f64 - 1.0) - part;
                sinc(cutoff * x) * kaiser(x / TAPS_BEFORE as f64)
            });
            let sum: f64 = taps.iter().sum();
            taps.map(|tap| (tap / sum) as f32)
        });
        Self(phases.collect())
    }

    /// The value at `part` (0 to 1) of the way from sample 7 to sample 8 of `samples`.
    #[inline]
    pub fn at(&self, samples: &[[f32; 2]; TAPS], part: f64) -> [f32; 2] {
        let place = part * PHASES as f64;
        let phase = (place as usize).min(PHASES - 1);
        let between = (place - phase as f64) as f32;
        let (a, b) = (&self.0[phase], &self.0[phase + 1]);
        let mut sum = [0.0f32; 2];
        for ((sample, a), b) in samples.iter().zip(a).zip(b) {
            let weight = a + (b - a) * between;
            sum[0] += sample[0] * weight;
            sum[1] += sample[1] * weight;
        }
        sum
    }
}

fn sinc(x: f64) -> f64 {
    let angle = std::f64::consts::PI * x;
    if angle.abs() < 1e-9 {
        1.0
    } else {
        angle.sin() / angle
    }
}

fn kaiser(x: f64) -> f64 {
    let inside = 1.0 - x * x;
    if inside <= 0.0 {
        0.0
    } else {
        bessel(BETA * inside.sqrt()) / bessel(BETA)
    }
}

/// The modified Bessel function of the first kind and order 0, by its power series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hertz: f64, at: f64) -> f64 {
        (std::f64::consts::TAU * hertz * at / 48_000.0).sin()
    }

    #[test]
    fn a_tone_between_samples_is_the_tone() {
        let kernel = kernel_for(1.0002);
        for hertz in [100.0, 1000.0, 8000.0, 15_000.0] {
            let mut worst = 0.0f64;
            for step in 0..2000 {
                let at = 100.0 + f64::from(step) * 1.0002;
                let whole = at.floor();
                let samples = std::array::from_fn(|tap| {
                    let sample = tone(hertz, whole - 7.0 + tap as f64) as f32;
                    [sample, -sample]
                });
                let [left, right] = kernel.at(&samples, at - whole);
                worst = worst.max((f64::from(left) - tone(hertz, at)).abs());
                assert_eq!(left, -right);
            }
            // 60 dB below up to 8 kHz, and still near at 15.
            let limit = if hertz > 10_000.0 { 0.01 } else { 0.001 };
            assert!(worst < limit, "{hertz} Hz: {worst}");
        }
    }

    #[test]
    fn what_the_new_rate_cannot_hold_is_gone() {
        let kernel = kernel_for(2.0);
        let mut loudest = 0.0f32;
        for step in 0..1000 {
            let at = 100.0 + f64::from(step) * 2.0;
            let samples =
                std::array::from_fn(|tap| [tone(20_000.0, at - 7.0 + tap as f64) as f32; 2]);
            loudest = loudest.max(kernel.at(&samples, 0.0)[0].abs());
        }
        assert!(loudest < 0.05, "{loudest}");
    }
}
