//! How loud a sound is to the ear: ITU-R BS.1770-4, with the windows and gates of EBU R 128 and EBU Tech 3341.
//!
//! Energies are kept a tenth of a second at a time, so a reading costs a few additions, whatever its window. What the gates need of the
//! past is a histogram: a program that runs for weeks takes no more memory than one of a minute.

use super::StereoSamples;

/// Samples of a step: a tenth of a second.
const STEP_SAMPLES: usize = 4800;
/// Steps of the momentary window, 400 ms, which are those of a gating block too.
const MOMENTARY_STEPS: usize = 4;
/// Steps of the short-term window, 3 s.
const SHORT_TERM_STEPS: usize = 30;
/// What is below is left out of the integrated loudness, in LUFS.
const GATE_LUFS: f64 = -70.0;
/// What is so far below the rest is left out of it, in LU.
const RELATIVE_GATE_LU: f64 = -10.0;
/// Steps of the histogram for a LU.
const BINS_PER_LU: f64 = 20.0;
/// From the gate to +10 LUFS.
const BINS: usize = 1600;
/// What stands for silence in every reading, in dB or LUFS.
pub const SILENCE_DB: f32 = -100.0;

/// A value of each side.
type Sides = [f64; 2];

/// A filter of second order: its coefficients, `a0` being 1.
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
}

/// The head: BS.1770-4, table 1, for 48 kHz.
const HEAD: Biquad = Biquad {
    b: [1.53512485958697, -2.69169618940638, 1.19839281085285],
    a: [-1.69065929318241, 0.73248077421585],
};
/// The ear at low notes: BS.1770-4, table 2, for 48 kHz.
const LOW: Biquad = Biquad {
    b: [1.0, -2.0, 1.0],
    a: [-1.99004745483398, 0.99007225036621],
};

impl Biquad {
    /// A sample of each side, in the second transposed form. Both sides at once, which a compiler turns into wide instructions.
    #[inline(always)]
    fn step(&self, state: &mut [Sides; 2], x: Sides) -> Sides {
        let y = [
            self.b[0] * x[0] + state[0][0],
            self.b[0] * x[1] + state[0][1],
        ];
        let two = state[1];
        state[0] = [
            (self.b[1] * x[0] + two[0]) - self.a[0] * y[0],
            (self.b[1] * x[1] + two[1]) - self.a[0] * y[1],
        ];
        state[1] = [
            self.b[2] * x[0] - self.a[1] * y[0],
            self.b[2] * x[1] - self.a[1] * y[1],
        ];
        y
    }
}

/// The loudness of one sound.
#[derive(Clone, Debug)]
pub struct Loudness {
    /// What both filters remember.
    filters: [[Sides; 2]; 2],
    /// Of the step that is not whole yet.
    energy: f64,
    filled: usize,
    /// Mean squares of the last steps, both sides added, the newest at `newest`.
    steps: [f64; SHORT_TERM_STEPS],
    newest: usize,
    /// Steps so far.
    count: u64,
    /// Gating blocks by their loudness: how many, and their energies. Made when the first is loud enough.
    blocks: Vec<(u64, f64)>,
    integrated: f32,
}

impl Default for Loudness {
    fn default() -> Self {
        Self {
            filters: Default::default(),
            energy: 0.0,
            filled: 0,
            steps: [0.0; SHORT_TERM_STEPS],
            newest: 0,
            count: 0,
            blocks: Vec::new(),
            integrated: SILENCE_DB,
        }
    }
}

impl Loudness {
    /// Takes a tick's samples in, or `count` of silence.
    pub(super) fn hear(&mut self, samples: Option<&StereoSamples>, count: usize) {
        let mut taken = 0;
        while taken < count {
            let length = (STEP_SAMPLES - self.filled).min(count - taken);
            match samples {
                Some(samples) => {
                    let range = taken..taken + length;
                    self.add(&samples.left[range.clone()], &samples.right[range]);
                }
                // What is left in the filters is far below what can be heard.
                None => self.filters = Default::default(),
            }
            taken += length;
            self.filled += length;
            if self.filled == STEP_SAMPLES {
                self.end_step();
            }
        }
    }

    /// Forgets all that was heard for the integrated loudness; what is shown of the last seconds stays.
    pub(super) fn begin_anew(&mut self) {
        // No gating block reaches back to before.
        self.count = 0;
        self.blocks.fill((0, 0.0));
        self.integrated = SILENCE_DB;
    }

    fn add(&mut self, left: &[f32], right: &[f32]) {
        let [mut head, mut low] = self.filters;
        let mut energy = [0.0; 2];
        for (left, right) in left.iter().zip(right) {
            let heard = HEAD.step(&mut head, [f64::from(*left), f64::from(*right)]);
            let heard = LOW.step(&mut low, heard);
            energy[0] += heard[0] * heard[0];
            energy[1] += heard[1] * heard[1];
        }
        self.energy += energy[0] + energy[1];
        self.filters = [head, low];
        // Numbers that are all but nothing are slow to count with.
        for state in self.filters.iter_mut().flatten().flatten() {
            if state.abs() < 1e-30 {
                *state = 0.0;
            }
        }
    }

    fn end_step(&mut self) {
        self.newest = (self.newest + 1) % SHORT_TERM_STEPS;
        self.steps[self.newest] = self.energy / STEP_SAMPLES as f64;
        self.energy = 0.0;
        self.filled = 0;
        self.count += 1;
        if self.count < MOMENTARY_STEPS as u64 {
            return;
        }
        let energy = self.mean(MOMENTARY_STEPS);
        let lufs = lufs_of(energy);
        if lufs < GATE_LUFS {
            return;
        }
        if self.blocks.is_empty() {
            self.blocks = vec![(0, 0.0); BINS];
        }
        let bin = ((lufs - GATE_LUFS) * BINS_PER_LU) as usize;
        let block = &mut self.blocks[bin.min(BINS - 1)];
        block.0 += 1;
        block.1 += energy;
        self.integrated = integrated(&self.blocks);
    }

    /// The mean energy of the last `count` steps.
    fn mean(&self, count: usize) -> f64 {
        let places =
            (0..count).map(|back| (self.newest + SHORT_TERM_STEPS - back) % SHORT_TERM_STEPS);
        places.map(|place| self.steps[place]).sum::<f64>() / count as f64
    }

    /// Of the last 400 ms, in LUFS.
    pub fn momentary(&self) -> f32 {
        reading(self.mean(MOMENTARY_STEPS))
    }

    /// Of the last 3 s, in LUFS.
    pub fn short_term(&self) -> f32 {
        reading(self.mean(SHORT_TERM_STEPS))
    }

    /// Of all that was heard, without what the gates leave out, in LUFS.
    pub fn integrated(&self) -> f32 {
        self.integrated
    }
}

fn integrated(blocks: &[(u64, f64)]) -> f32 {
    let mean = |blocks: &[(u64, f64)]| {
        let (count, energy) = blocks.iter().fold((0, 0.0), |(count, energy), block| {
            (count + block.0, energy + block.1)
        });
        energy / count.max(1) as f64
    };
    let gate = lufs_of(mean(blocks)) + RELATIVE_GATE_LU;
    let first = ((gate - GATE_LUFS) * BINS_PER_LU).max(0.0) as usize;
    reading(mean(&blocks[first.min(BINS)..]))
}

fn lufs_of(energy: f64) -> f64 {
    -0.691 + 10.0 * energy.log10()
}

fn reading(energy: f64) -> f32 {
    (lufs_of(energy) as f32).max(SILENCE_DB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(decibels: f64, frequency: f64, seconds: f64) -> StereoSamples {
        let gain = 10f64.powf(decibels / 20.0);
        let side: Vec<f32> = (0..(seconds * 48_000.0) as usize)
            .map(|place| {
                let turns = place as f64 * frequency / 48_000.0;
                (gain * (std::f64::consts::TAU * turns).sin()) as f32
            })
            .collect();
        StereoSamples {
            left: side.clone(),
            right: side,
        }
    }

    fn hear(loudness: &mut Loudness, samples: &StereoSamples) {
        loudness.hear(Some(samples), samples.left.len());
    }

    /// EBU Tech 3341, minimum requirements, cases 1 to 4: a 1 kHz stereo tone reads as its level.
    #[test]
    fn the_cases_of_ebu_tech_3341() {
        let mut plain = Loudness::default();
        hear(&mut plain, &tone(-23.0, 1000.0, 20.0));
        for reading in [plain.momentary(), plain.short_term(), plain.integrated()] {
            assert!((reading + 23.0).abs() < 0.1, "{reading}");
        }
        let mut gated = Loudness::default();
        for (decibels, seconds) in [(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)] {
            hear(&mut gated, &tone(decibels, 1000.0, seconds));
        }
        let reading = gated.integrated();
        assert!((reading + 23.0).abs() < 0.1, "{reading}");
        let mut faint = Loudness::default();
        for (decibels, seconds) in [
            (-72.0, 10.0),
            (-36.0, 10.0),
            (-23.0, 60.0),
            (-36.0, 10.0),
            (-72.0, 10.0),
        ] {
            hear(&mut faint, &tone(decibels, 1000.0, seconds));
        }
        let reading = faint.integrated();
        assert!((reading + 23.0).abs() < 0.1, "{reading}");
    }

    #[test]
    fn silence_is_silence_and_is_not_integrated() {
        let mut loudness = Loudness::default();
        hear(&mut loudness, &tone(-20.0, 1000.0, 5.0));
        let before = loudness.integrated();
        loudness.hear(None, 48_000 * 10);
        assert_eq!(loudness.momentary(), SILENCE_DB);
        assert_eq!(loudness.short_term(), SILENCE_DB);
        assert!((loudness.integrated() - before).abs() < 0.3);
    }
}
