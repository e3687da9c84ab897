//! What keeps the sum from clipping, also between samples: `audio::limiter`.
//!
//! Each sample asks for a gain that keeps it, and what is between it and the next, below the ceiling. The least of what a stretch asks for
//! is held, comes back slowly, and is averaged over the same stretch, so that the gain is where it has to be when the sample comes out: the
//! sound comes out [`LATENCY_SAMPLES`] later than it goes in. Below the ceiling samples are passed on bit for bit.

use std::collections::VecDeque;

use components::sound::Limiter as LimiterSpec;

use super::true_peak::{AHEAD, BEHIND, phases, raise, sample_peak};
use super::{SAMPLE_RATE, StereoSamples};

/// Samples of each of the two averages.
const AVERAGE: usize = 65;
/// Samples over which a peak is felt, before it and after.
const REACH: usize = 2 * AVERAGE - 1;
/// How much later the program's sound comes out than its sources gave it: 3 ms.
pub const LATENCY_SAMPLES: usize = AHEAD + REACH - 1;
/// The gain aims this far below the ceiling, for what a gain in motion and other ways to interpolate add.
const MARGIN_DB: f32 = 0.1;
/// A gain this close to 1 is 1.
const REST: f64 = 1e-5;
/// In so many time constants a gain has come back by 95 %.
const TIMES_OF_95: f64 = 3.0;

/// A running mean of the last [`AVERAGE`] values. They have 24 bits and are at most 1, so the sum is exact for ever.
#[derive(Debug)]
struct Average {
    values: [f32; AVERAGE],
    next: usize,
    sum: f64,
}

impl Average {
    fn new() -> Self {
        Self {
            values: [1.0; AVERAGE],
            next: 0,
            sum: AVERAGE as f64,
        }
    }

    fn push(&mut self, value: f32) -> f32 {
        let oldest = std::mem::replace(&mut self.values[self.next], value);
        self.next = (self.next + 1) % AVERAGE;
        self.sum += f64::from(value) - f64::from(oldest);
        (self.sum / AVERAGE as f64) as f32
    }
}

/// The limiter of the sum.
#[derive(Debug)]
pub(super) struct Limiter {
    /// The last samples of each side that have not come out, and this tick's behind them.
    line: [Vec<f32>; 2],
    peaks: Vec<f32>,
    scratch: Vec<f32>,
    last_peak: f32,
    /// What was asked for within reach: the place in time and the gain, each lower than the ones before it.
    asked: VecDeque<(u64, f32)>,
    now: u64,
    /// What is held, on its way back to 1.
    held: f64,
    averages: [Average; 2],
    /// Samples since the gain was last moved.
    calm: usize,
    /// Samples of nothing that went in since the last sound.
    empty: usize,
    /// The least gain of this tick.
    pub(super) least: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            line: [vec![0.0; LATENCY_SAMPLES], vec![0.0; LATENCY_SAMPLES]],
            peaks: Vec::new(),
            scratch: Vec::new(),
            last_peak: 0.0,
            asked: VecDeque::with_capacity(2 * REACH),
            now: 0,
            held: 1.0,
            averages: [Average::new(), Average::new()],
            calm: 2 * REACH,
            empty: LATENCY_SAMPLES,
            least: 1.0,
        }
    }
}

impl Limiter {
    /// Whether what goes in and what has to come out is nothing, so that a tick can be left out.
    pub(super) fn is_empty(&self, plays: bool) -> bool {
        !plays && self.empty >= LATENCY_SAMPLES
    }

    /// Lets a tick pass on which there is nothing.
    pub(super) fn rest(&mut self) {
        if self.calm < 2 * REACH || self.held < 1.0 {
            // As at the start; its buffers are used again.
            self.asked.clear();
            (self.last_peak, self.now, self.held) = (0.0, 0, 1.0);
            self.averages = [Average::new(), Average::new()];
            (self.calm, self.empty) = (2 * REACH, LATENCY_SAMPLES);
        }
        self.least = 1.0;
    }

    /// Takes a tick's samples in, `count` of nothing where there are none, and gives out as many.
    pub(super) fn run(
        &mut self,
        input: Option<&StereoSamples>,
        count: usize,
        spec: &LimiterSpec,
        out: &mut StereoSamples,
    ) {
        let sides = input.map(|input| [&input.left, &input.right]);
        for (side, line) in self.line.iter_mut().enumerate() {
            match sides {
                Some(sides) => line.extend_from_slice(&sides[side][..count]),
                None => line.resize(LATENCY_SAMPLES + count, 0.0),
            }
        }
        self.empty = match input {
            Some(_) => 0,
            None => self.empty + count,
        };
        let ceiling = 10f32.powf((spec.ceiling - MARGIN_DB) / 20.0);
        let from = LATENCY_SAMPLES - AHEAD - BEHIND;
        let loudest = sample_peak(&self.line[0][from..]).max(sample_peak(&self.line[1][from..]));
        let is_quiet = loudest * phases().overshoot_max <= ceiling;
        out.left.clear();
        out.right.clear();
        out.left.extend_from_slice(&self.line[0][..count]);
        out.right.extend_from_slice(&self.line[1][..count]);
        self.least = 1.0;
        if is_quiet && self.calm >= 2 * REACH {
            self.last_peak = 0.0;
            self.now += count as u64;
        } else {
            self.look(is_quiet, count);
            self.turn_down(ceiling, spec.release, out);
        }
        for line in &mut self.line {
            line.copy_within(count.., 0);
            line.truncate(LATENCY_SAMPLES);
        }
    }

    /// The true peaks from where the tick before stopped.
    fn look(&mut self, is_quiet: bool, count: usize) {
        self.peaks.clear();
        self.peaks.resize(count, 0.0);
        if is_quiet {
            return;
        }
        let from = LATENCY_SAMPLES - AHEAD - BEHIND;
        for line in &self.line {
            raise(&mut self.peaks, &line[from..], &mut self.scratch);
        }
    }

    fn turn_down(&mut self, ceiling: f32, release_s: f32, out: &mut StereoSamples) {
        let back = 1.0 - (-TIMES_OF_95 / (f64::from(release_s) * f64::from(SAMPLE_RATE))).exp();
        for (place, peak) in self.peaks.iter().enumerate() {
            // What is between two samples is made by both.
            let felt = peak.max(self.last_peak);
            self.last_peak = *peak;
            self.now += 1;
            if felt > ceiling {
                let gain = ceiling / felt;
                while self.asked.back().is_some_and(|(_, other)| *other >= gain) {
                    self.asked.pop_back();
                }
                self.asked.push_back((self.now, gain));
            }
            while self
                .asked
                .front()
                .is_some_and(|(at, _)| at + REACH as u64 <= self.now)
            {
                self.asked.pop_front();
            }
            let wanted = self.asked.front().map_or(1.0, |(_, gain)| *gain);
            let risen = self.held + (1.0 - self.held) * back;
            let risen = if risen > 1.0 - REST { 1.0 } else { risen };
            self.held = risen.min(f64::from(wanted));
            let [first, second] = &mut self.averages;
            let gain = second.push(first.push(self.held as f32));
            self.calm = if self.held < 1.0 { 0 } else { self.calm + 1 };
            self.least = self.least.min(gain);
            out.left[place] *= gain;
            out.right[place] *= gain;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &StereoSamples, tick: usize, spec: &LimiterSpec) -> StereoSamples {
        let mut limiter = Limiter::default();
        let (mut all, mut out) = (StereoSamples::default(), StereoSamples::default());
        for (left, right) in input.left.chunks(tick).zip(input.right.chunks(tick)) {
            let input = StereoSamples {
                left: left.to_vec(),
                right: right.to_vec(),
            };
            limiter.run(Some(&input), left.len(), spec, &mut out);
            all.left.extend(&out.left);
            all.right.extend(&out.right);
        }
        all
    }

    fn noise(count: usize, gain: f32) -> StereoSamples {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let left = (0..count).map(|_| next() * gain).collect();
        let right = (0..count).map(|_| next() * gain).collect();
        StereoSamples { left, right }
    }

    #[test]
    fn below_the_ceiling_it_only_delays() {
        let input = noise(9_600, 0.25);
        let out = run(&input, 800, &LimiterSpec::default());
        let end = input.left.len() - LATENCY_SAMPLES;
        assert!(out.left[LATENCY_SAMPLES..] == input.left[..end]);
        assert!(out.right[LATENCY_SAMPLES..] == input.right[..end]);
        assert_eq!(LATENCY_SAMPLES, 144, "3 ms, as documented");
    }

    #[test]
    fn no_true_peak_gets_above_the_ceiling_and_ticks_do_not_matter() {
        let mut input = noise(48_000, 4.0);
        // Loud and quiet in turns, and a single spike.
        for (place, sample) in input.left.iter_mut().enumerate() {
            *sample *= if place % 9_000 < 3_000 { 0.05 } else { 1.0 };
        }
        input.right[20_000] = 12.0;
        for ceiling in [-1.0, -6.0, 0.0] {
            let spec = LimiterSpec {
                ceiling,
                ..LimiterSpec::default()
            };
            let out = run(&input, 1600, &spec);
            let limit = 10f32.powf(ceiling / 20.0);
            for side in [&out.left, &out.right] {
                let mut peaks = vec![0.0; side.len() - BEHIND - AHEAD - 1];
                raise(&mut peaks, side, &mut Vec::new());
                let peak = sample_peak(&peaks);
                assert!(peak <= limit, "{ceiling}: {}", 20.0 * peak.log10());
                assert!(peak > limit * 0.9, "it is not turned down more than needed");
            }
            assert!(run(&input, 801, &spec) == out);
        }
    }

    #[test]
    fn after_a_peak_it_is_itself_again() {
        let mut input = noise(48_000, 0.1);
        input.left[1000] = 8.0;
        let out = run(&input, 800, &LimiterSpec::default());
        assert!(out.left[1500].abs() < input.left[1500 - LATENCY_SAMPLES].abs());
        let late = 40_000;
        let same = out.left[late..] == input.left[late - LATENCY_SAMPLES..48_000 - LATENCY_SAMPLES];
        assert!(same);
    }
}
