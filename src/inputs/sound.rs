//! Samples of any count made into blocks of 10 ms.

use std::collections::VecDeque;

use codec::DECODED_RATE;
use systems::input::{BLOCK_FRAMES, SoundBlock};

/// Times that stray from what was counted by less are rounded ones.
const STRAY_US: i64 = 3_000;

/// Samples that wait to be a block.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    samples: VecDeque<[f32; 2]>,
    /// When the first of them is heard.
    start_us: i64,
}

impl Blocks {
    /// Adds samples, of which the first is heard at `pts_us`. Where they do not follow on, what waits goes out first, as a shorter block.
    pub(super) fn add(
        &mut self,
        pts_us: i64,
        samples: &[[f32; 2]],
        out: &mut impl FnMut(SoundBlock),
    ) {
        if samples.is_empty() {
            return;
        }
        if !self.samples.is_empty() && (pts_us - self.end_us()).abs() > STRAY_US {
            self.take(i64::MAX, out);
            self.flush(out);
        }
        if self.samples.is_empty() {
            self.start_us = pts_us;
        }
        self.samples.extend(samples);
    }

    /// Gives out whole blocks that end at `until_us` at the latest.
    pub(super) fn take(&mut self, until_us: i64, out: &mut impl FnMut(SoundBlock)) {
        while let Some(block) = self.next(until_us) {
            out(block);
        }
    }

    /// The next whole block, if it ends at `until_us` at the latest.
    pub(super) fn next(&mut self, until_us: i64) -> Option<SoundBlock> {
        let block_us = duration_us(BLOCK_FRAMES);
        let is_due = self.start_us.saturating_add(block_us) <= until_us;
        (self.samples.len() >= BLOCK_FRAMES && is_due).then(|| self.block(BLOCK_FRAMES))
    }

    /// Gives out what is less than a block.
    pub(super) fn flush(&mut self, out: &mut impl FnMut(SoundBlock)) {
        while let Some(block) = self.flushed() {
            out(block);
        }
    }

    /// The next block, whole or not.
    pub(super) fn flushed(&mut self) -> Option<SoundBlock> {
        let len = self.samples.len().min(BLOCK_FRAMES);
        (len > 0).then(|| self.block(len))
    }

    /// Has it end at `end_us`: what is beyond is cut off, and silence fills what is missing, if that is less than `silence_us_max`.
    pub(super) fn end_at(&mut self, end_us: i64, silence_us_max: i64) {
        if self.samples.is_empty() {
            return;
        }
        let missing_us = end_us - self.end_us();
        let frames = frames(end_us - self.start_us).max(0) as usize;
        if missing_us < silence_us_max {
            self.samples.resize(frames, [0.0; 2]);
        }
    }

    /// When the next sample is heard that follows on.
    pub(super) fn end_us(&self) -> i64 {
        self.start_us + duration_us(self.samples.len())
    }

    /// How long all that waits is.
    pub(super) fn held_us(&self) -> i64 {
        duration_us(self.samples.len())
    }

    pub(super) fn clear(&mut self) {
        self.samples.clear();
    }

    fn block(&mut self, len: usize) -> SoundBlock {
        let mut frames = [[0.0; 2]; BLOCK_FRAMES];
        for (frame, sample) in frames.iter_mut().zip(self.samples.drain(..len)) {
            *frame = sample;
        }
        let pts_us = self.start_us;
        self.start_us += duration_us(len);
        SoundBlock {
            run: 0,
            pts_us,
            len: len as u16,
            frames,
        }
    }
}

/// Microseconds that so many frames last.
pub(super) fn duration_us(frames: usize) -> i64 {
    (frames as i64 * 1_000_000 + i64::from(DECODED_RATE) / 2) / i64::from(DECODED_RATE)
}

/// The frames that are nearest to a time.
pub(super) fn frames(us: i64) -> i64 {
    (us * i64::from(DECODED_RATE) + 500_000).div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_becomes_blocks_without_a_gap_and_a_gap_is_told() {
        let (mut blocks, mut out) = (Blocks::default(), Vec::new());
        let mut keep = |block: SoundBlock| out.push((block.pts_us, block.len, block.frames[0][0]));
        blocks.add(0, &[[0.5; 2]; 700], &mut keep);
        // 700 frames are 14,583 us; the container says 15 ms.
        blocks.add(15_000, &[[0.25; 2]; 300], &mut keep);
        blocks.take(i64::MAX, &mut keep);
        blocks.add(1_000_000, &[[0.125; 2]; 480], &mut keep);
        blocks.take(1_009_999, &mut keep);
        blocks.take(1_010_000, &mut keep);
        assert_eq!(
            out,
            [
                (0, 480, 0.5),
                (10_000, 480, 0.5),
                (20_000, 40, 0.25),
                (1_000_000, 480, 0.125)
            ]
        );
    }

    #[test]
    fn an_end_is_exact() {
        let mut blocks = Blocks::default();
        blocks.add(0, &[[1.0; 2]; 1000], &mut |_| {});
        blocks.end_at(20_000, 100_000);
        assert_eq!(blocks.end_us(), 20_000);
        blocks.end_at(30_000, 100_000);
        assert_eq!(blocks.end_us(), 30_000);
        blocks.end_at(930_000, 100_000);
        assert_eq!(blocks.end_us(), 30_000);
    }
}
