//! The sound of an input as samples that can be had at any place and any speed, without a click where some are missing.

use super::door::SoundBlock;
use super::resample::{Kernel, TAPS, TAPS_BEFORE, kernel_for};
use crate::audio::{SAMPLE_RATE, StereoSamples};

const SAMPLES_A_SECOND: f64 = SAMPLE_RATE as f64;
/// The most samples that are kept: 9 s, more than the longest buffer and the longest delay together.
const SAMPLES_MAX: usize = 9 * 48_000;
/// Samples before the place of reading that are kept, for the taps.
const KEPT: i64 = 64;
/// Samples in which one sound goes over into another, or into silence: 5 ms.
const FADE: u32 = 240;
/// Microseconds by which a block may be off the one before it and still follow on: time stamps are rounded to milliseconds.
const JITTER_US: f64 = 20_000.0;
/// The longest hole that is filled with silence, in microseconds; beyond it the sound begins anew.
const HOLE_MAX_US: f64 = 1_000_000.0;
/// The part of such a difference by which the time of the samples follows it, block by block.
const FOLLOW: f64 = 1.0 / 32.0;
/// Samples by which reading may be off its place before it jumps there, and the part of the speed by which it is led back.
const OFF_MAX: f64 = 480.0;
const LEAD: f64 = 0.004;

/// What a block of sound did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It follows on.
    Follows,
    /// It is the first, or lies elsewhere: the time begins anew with it.
    Anew,
}

/// The samples that wait, and the place of reading. Samples are counted from the last new beginning.
#[derive(Debug, Default)]
pub(super) struct SoundReader {
    samples: Vec<[f32; 2]>,
    /// The number of the first sample that is kept.
    first: i64,
    /// The microsecond of sample 0, once there are any.
    zero_us: Option<f64>,
    /// Where reading goes on; in samples.
    cursor: Option<f64>,
    /// What was heard last, and what it is faded out from.
    last: [f32; 2],
    held: [f32; 2],
    fade_left: u32,
    sounds: bool,
    /// Whether no more comes, so that the end need not wait for what follows it.
    pub ended: bool,
}

/// What reading a tick came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Read {
    /// Whether anything is heard.
    pub plays: bool,
    /// Samples that were missing.
    pub missing: usize,
    /// The microsecond at which reading began, if it did.
    pub from_us: Option<f64>,
}

impl SoundReader {
    /// Forgets all samples; what is heard fades out.
    pub fn clear(&mut self) {
        self.samples.clear();
        (self.first, self.zero_us, self.cursor) = (0, None, None);
        self.ended = false;
    }

    /// Whether there has been any sound since the last new beginning.
    pub fn has_any(&self) -> bool {
        self.zero_us.is_some()
    }

    /// The microsecond after the last sample.
    pub fn end_us(&self) -> Option<f64> {
        Some(self.zero_us? + in_micros(self.end() as f64))
    }

    fn end(&self) -> i64 {
        self.first + self.samples.len() as i64
    }

    /// Takes a block. One that lies more than a second from where the last one ended begins anew.
    pub fn push(&mut self, block: &SoundBlock) -> Pushed {
        let frames = &block.frames[..usize::from(block.len).min(block.frames.len())];
        let pts_us = block.pts_us as f64;
        let expected = self.end_us();
        let off_us = expected.map(|expected| pts_us - expected);
        let mut begins_softly = false;
        let outcome = match (off_us, &mut self.zero_us) {
            (Some(off_us), Some(zero_us)) if off_us.abs() <= JITTER_US => {
                // What is less than a sample is how its time was rounded.
                if off_us.abs() > in_micros(1.0) {
                    *zero_us += off_us * FOLLOW;
                }
                Pushed::Follows
            }
            (Some(off_us), Some(_)) if off_us > 0.0 && off_us < HOLE_MAX_US => {
                let hole = in_samples(off_us).round() as usize;
                soften_end(&mut self.samples, self.first, self.cursor);
                begins_softly = true;
                let room = SAMPLES_MAX.saturating_sub(self.samples.len());
                let len = self.samples.len() + hole.min(room);
                self.samples.resize(len, [0.0; 2]);
                Pushed::Follows
            }
            _ => {
                self.clear();
                self.zero_us = Some(pts_us);
                Pushed::Anew
            }
        };
        if self.samples.len() + frames.len() > SAMPLES_MAX {
            // Nobody reads: the oldest go.
            let gone = frames.len().min(self.samples.len());
            self.samples.drain(..gone);
            self.first += gone as i64;
        }
        let from = self.samples.len();
        self.samples.extend_from_slice(frames);
        if begins_softly {
            let rising = self.samples[from..].iter_mut().take(FADE as usize);
            for (index, sample) in rising.enumerate() {
                *sample = sample.map(|side| side * (index as f32 / FADE as f32));
            }
        }
        outcome
    }

    /// Reads what lies from `from_us` to `to_us` into `count` samples of `out`. `exact` copies samples as they are where it can.
    pub fn read(
        &mut self,
        (from_us, to_us): (f64, f64),
        count: usize,
        exact: bool,
        out: &mut StereoSamples,
    ) -> Read {
        out.left.clear();
        out.right.clear();
        let mut read = Read::default();
        // One that stands still is silent, and goes on from there.
        let moves = count > 0 && to_us != from_us;
        let course = self.zero_us.filter(|_| moves).map(|zero_us| {
            let (from, to) = (in_samples(from_us - zero_us), in_samples(to_us - zero_us));
            let (cursor, step) = self.course(from, to, count, exact);
            read.from_us = Some(zero_us + in_micros(cursor));
            (cursor, step, kernel_for(step.abs()))
        });
        for index in 0..count {
            let raw = course.and_then(|(cursor, step, kernel)| {
                self.sample(cursor + step * index as f64, kernel)
            });
            if raw.is_some() != self.sounds {
                self.sounds = raw.is_some();
                self.begin_fade();
            }
            read.missing += usize::from(raw.is_none());
            let value = self.faded(raw.unwrap_or_default());
            read.plays |= value != [0.0; 2];
            self.last = value;
            out.left.push(value[0]);
            out.right.push(value[1]);
        }
        if let Some((cursor, step, _)) = course {
            self.cursor = Some(cursor + step * count as f64);
        }
        self.trim();
        read
    }

    /// Where reading begins and the step from sample to sample: on from where it was, led towards its place; or there at once.
    fn course(&mut self, from: f64, to: f64, count: usize, exact: bool) -> (f64, f64) {
        let count = count as f64;
        let wanted = (to - from) / count;
        let near = self
            .cursor
            .filter(|cursor| (cursor - from).abs() <= OFF_MAX);
        if exact {
            // Whole samples, so that each is heard as it is.
            let near = near.filter(|cursor| (cursor - from).abs() <= 8.0);
            let cursor = near.unwrap_or_else(|| self.jump(from));
            return (cursor.round(), 1.0);
        }
        match near {
            Some(cursor) => {
                let step = (to - cursor) / count;
                let reach = wanted.abs() * LEAD;
                (cursor, step.clamp(wanted - reach, wanted + reach))
            }
            None => (self.jump(from), wanted),
        }
    }

    fn jump(&mut self, to: f64) -> f64 {
        if self.sounds {
            self.begin_fade();
        }
        to
    }

    fn begin_fade(&mut self) {
        (self.held, self.fade_left) = (self.last, FADE);
    }

    /// From what was heard last to `value`, while it fades.
    fn faded(&mut self, value: [f32; 2]) -> [f32; 2] {
        if self.fade_left == 0 {
            return value;
        }
        self.fade_left -= 1;
        let old = self.fade_left as f32 / FADE as f32;
        let new = 1.0 - old;
        [0, 1].map(|side| value[side] * new + self.held[side] * old)
    }

    /// The sound at a place; `None` where there is none, or it is not all there yet.
    fn sample(&self, place: f64, kernel: &Kernel) -> Option<[f32; 2]> {
        let whole = place.floor();
        let part = place - whole;
        let at = whole as i64 - self.first;
        let after = if self.ended {
            1
        } else {
            TAPS_BEFORE as i64 + 1
        };
        if at < 0 || at + after > self.samples.len() as i64 {
            return None;
        }
        let at = at as usize;
        if part == 0.0 {
            return Some(self.samples[at]);
        }
        let from = (at + 1).wrapping_sub(TAPS_BEFORE);
        if let Some(taps) = self
            .samples
            .get(from..)
            .and_then(<[_]>::first_chunk::<TAPS>)
        {
            return Some(kernel.at(taps, part));
        }
        // At the beginning and the end there is silence beyond.
        let taps = std::array::from_fn(|tap| {
            let index = (at + 1 + tap).checked_sub(TAPS_BEFORE);
            let sample = index.and_then(|index| self.samples.get(index));
            sample.copied().unwrap_or_default()
        });
        Some(kernel.at(&taps, part))
    }

    /// Lets go of what lies before the place of reading.
    fn trim(&mut self) {
        let Some(cursor) = self.cursor else { return };
        let gone = (cursor as i64 - KEPT - self.first).clamp(0, self.samples.len() as i64);
        // Moving the rest down costs; it is done now and then.
        if gone as usize >= (self.samples.len() / 2).max(4800) {
            self.samples.drain(..gone as usize);
            self.first += gone;
        }
    }
}

/// Has what waits fall to nothing in its last 5 ms, or in what is left of them to be read, before a hole.
fn soften_end(samples: &mut [[f32; 2]], first: i64, cursor: Option<f64>) {
    let read = cursor.map_or(0, |cursor| cursor as i64 + TAPS_BEFORE as i64 - first);
    let from = samples.len().saturating_sub(FADE as usize);
    let from = from
        .max(usize::try_from(read).unwrap_or(0))
        .min(samples.len());
    let count = samples.len() - from;
    for (index, sample) in samples[from..].iter_mut().enumerate() {
        let left = (count - 1 - index) as f32 / count as f32;
        *sample = sample.map(|side| side * left);
    }
}

fn in_micros(samples: f64) -> f64 {
    samples * (1e6 / SAMPLES_A_SECOND)
}

fn in_samples(micros: f64) -> f64 {
    micros * (SAMPLES_A_SECOND / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::door::BLOCK_FRAMES;

    fn block(number: i64, pts_us: i64, value: impl Fn(i64) -> f32) -> SoundBlock {
        let first = number * BLOCK_FRAMES as i64;
        SoundBlock {
            run: 0,
            pts_us,
            len: BLOCK_FRAMES as u16,
            frames: std::array::from_fn(|index| [value(first + index as i64); 2]),
        }
    }

    /// The largest step from sample to sample.
    fn steepest(sound: &[f32]) -> f32 {
        sound
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn whole_samples_are_copied_and_counted_exactly() {
        let mut reader = SoundReader::default();
        let number = |index: i64| (index % 4801) as f32 / 8192.0;
        for index in 0..30 {
            reader.push(&block(index, index * 10_000, number));
        }
        let mut out = StereoSamples::default();
        let mut heard = Vec::new();
        for tick in 0..7i64 {
            let from = (tick * 100_000 / 3) as f64;
            let to = ((tick + 1) * 100_000 / 3) as f64;
            let read = reader.read((from, to), 1600, true, &mut out);
            assert_eq!((read.missing, out.left.len()), (0, 1600));
            heard.extend_from_slice(&out.left);
        }
        // The first 5 ms rise.
        for (index, value) in heard.iter().enumerate().skip(FADE as usize) {
            assert_eq!(*value, number(index as i64), "{index}");
        }
    }

    #[test]
    fn gaps_and_jumps_do_not_click() {
        let mut reader = SoundReader::default();
        let wave = |index: i64| (index as f64 * 0.02).sin() as f32 * 0.8;
        for index in 0..10 {
            reader.push(&block(index, index * 10_000, wave));
        }
        let mut out = StereoSamples::default();
        let mut heard = Vec::new();
        for tick in 0..4 {
            let from = f64::from(tick) * 33_333.0;
            reader.read((from, from + 33_333.0), 1600, false, &mut out);
            heard.extend_from_slice(&out.left);
        }
        // It ran dry after 100 ms; a hole of 100 ms, then more.
        assert_eq!(out.left.last(), Some(&0.0));
        for index in 20..40 {
            assert_eq!(
                reader.push(&block(index, index * 10_000, wave)),
                Pushed::Follows
            );
        }
        for tick in 4..9 {
            // From the sixth tick on it is another place.
            let from = f64::from(tick) * 33_333.0 + if tick > 6 { 40_700.0 } else { 0.0 };
            reader.read((from, from + 33_333.0), 1600, false, &mut out);
            heard.extend_from_slice(&out.left);
        }
        assert!(heard[9600..].iter().any(|value| value.abs() > 0.7));
        assert!(steepest(&heard) < 0.03, "{}", steepest(&heard));
    }

    #[test]
    fn rounded_times_are_led_after_smoothly() {
        let mut reader = SoundReader::default();
        let wave = |index: i64| (index as f64 * 0.05).sin() as f32;
        let mut out = StereoSamples::default();
        let mut heard = Vec::new();
        let mut next = 0;
        for tick in 0..300 {
            while next * 10 < (tick + 4) * 34 {
                // Whole milliseconds, one to each side; and the samples are 100 ppm too fast for their times.
                let exact = next as f64 * 10_000.0 / 1.0001;
                let pts_us = ((exact / 1000.0).round() as i64 + next % 3 - 1) * 1000;
                assert!(next == 0 || reader.push(&block(next, pts_us, wave)) == Pushed::Follows);
                if next == 0 {
                    reader.push(&block(0, 0, wave));
                }
                next += 1;
            }
            let from = tick as f64 * 33_333.333;
            let read = reader.read((from, from + 33_333.333), 1600, false, &mut out);
            if tick > 0 {
                assert_eq!(read.missing, 0, "{tick}");
            }
            heard.extend_from_slice(&out.left);
        }
        let heard = &heard[480..];
        assert!(steepest(heard) < 0.0505, "{}", steepest(heard));
    }
}
