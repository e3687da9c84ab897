//! The way on which an utterance's sound comes, and what may wait on all ways together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::say::SpeechState;

/// Frames of sound in one block: 10 ms at 48 kHz.
pub const BLOCK_FRAMES: usize = 480;
/// What one way may always hold, however much waits on others, so that what is spoken never starves: 2 s, in samples.
pub const NEAR_SAMPLES: u64 = 96_000;

/// Up to 10 ms of sound at 48 kHz, in 16 bit, since minutes of it may wait.
#[derive(Clone, Debug)]
pub struct SpeechBlock {
    /// How many of `frames` count.
    pub len: u16,
    /// Left and right.
    pub frames: [[i16; 2]; BLOCK_FRAMES],
}

/// How much sound may wait to be said on all ways together. Cheap to copy.
#[derive(Clone, Debug)]
pub struct SpeechBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    used: AtomicU64,
    max: u64,
}

impl SpeechBudget {
    /// So many samples of each channel.
    pub fn new(samples_max: u64) -> Self {
        Self(Arc::new(Budget {
            used: AtomicU64::new(0),
            max: samples_max,
        }))
    }

    /// Samples of each channel that wait.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// A part of it, which is nothing yet.
    pub fn part(&self) -> SpeechPart {
        SpeechPart {
            budget: self.clone(),
            samples: AtomicU64::new(0),
        }
    }
}

impl Default for SpeechBudget {
    /// Without an end.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

/// A part of a [`SpeechBudget`], given back when it goes, or before.
#[derive(Debug)]
pub struct SpeechPart {
    budget: SpeechBudget,
    /// Its samples, or [`GIVEN_BACK`].
    samples: AtomicU64,
}

/// What stands for the samples of a part that takes no more.
const GIVEN_BACK: u64 = u64::MAX;

impl SpeechPart {
    /// Takes so many samples more, unless that is too much.
    pub fn grow(&self, samples: u64) -> bool {
        self.grow_beyond(samples, 0)
    }

    /// The same; up to `free` samples are never too much.
    fn grow_beyond(&self, samples: u64, free: u64) -> bool {
        let used = &self.budget.0.used;
        let after = used
            .fetch_add(samples, Ordering::Relaxed)
            .saturating_add(samples);
        let is_full = after > self.budget.0.max;
        let grown = self.change(|own| Some(own + samples).filter(|own| !is_full || *own <= free));
        if !grown {
            used.fetch_sub(samples, Ordering::Relaxed);
        }
        grown
    }

    fn shrink(&self, samples: u64) {
        if self.change(|own| Some(own.saturating_sub(samples))) {
            self.budget.0.used.fetch_sub(samples, Ordering::Relaxed);
        }
    }

    /// Gives all of it back, and takes nothing from then on.
    fn give_back(&self) {
        let samples = self.samples.swap(GIVEN_BACK, Ordering::Relaxed);
        if samples != GIVEN_BACK {
            self.budget.0.used.fetch_sub(samples, Ordering::Relaxed);
        }
    }

    fn is_given_back(&self) -> bool {
        self.samples.load(Ordering::Relaxed) == GIVEN_BACK
    }

    /// Changes what it has, unless it was given back: both ends of a way do, at any time.
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> bool {
        let change = |own| Some(own).filter(|own| *own != GIVEN_BACK).and_then(&change);
        let order = Ordering::Relaxed;
        self.samples.fetch_update(order, order, change).is_ok()
    }
}

impl Drop for SpeechPart {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The far end of an utterance's way. Dropping it says that nothing follows.
#[derive(Debug)]
pub struct SpeechIn {
    blocks: Sender<Box<SpeechBlock>>,
    state: Arc<SpeechState>,
    part: Arc<SpeechPart>,
}

impl SpeechIn {
    /// Puts a block in, without waiting. Gives it back when there is no room, on the way or in the budget, or nobody listens.
    ///
    /// # Errors
    /// The block, and why.
    pub fn try_send(&self, block: Box<SpeechBlock>) -> Result<(), TrySendError<Box<SpeechBlock>>> {
        let len = u64::from(block.len);
        if !self.part.grow_beyond(len, NEAR_SAMPLES) {
            return Err(match self.part.is_given_back() {
                true => TrySendError::Disconnected(block),
                false => TrySendError::Full(block),
            });
        }
        if let Err(error) = self.blocks.try_send(block) {
            self.part.shrink(len);
            return Err(error);
        }
        self.state.add_received(len);
        Ok(())
    }

    /// What both ends see.
    pub fn state(&self) -> &Arc<SpeechState> {
        &self.state
    }

    /// Says that it broke off by a fault.
    pub fn fail(self) {
        self.state.set_failed();
    }
}

impl Drop for SpeechIn {
    fn drop(&mut self) {
        self.state.set_complete();
    }
}

/// The near end of an utterance's way.
#[derive(Clone, Debug)]
pub struct SpeechOut {
    blocks: Receiver<Box<SpeechBlock>>,
    state: Arc<SpeechState>,
    part: Arc<SpeechPart>,
}

impl SpeechOut {
    /// What both ends see.
    pub fn state(&self) -> &Arc<SpeechState> {
        &self.state
    }

    /// The next block, if there is one.
    pub(super) fn take(&self) -> Option<Box<SpeechBlock>> {
        let block = self.blocks.try_recv().ok()?;
        self.part.shrink(u64::from(block.len));
        Some(block)
    }

    /// Nobody hears any more of it: gives back what it has of the budget, though the far end may stay for as long as it likes.
    pub(super) fn close(&self) {
        self.part.give_back();
    }

    /// How many blocks wait.
    pub(super) fn waiting(&self) -> usize {
        self.blocks.len()
    }
}

/// A way for an utterance on which so many blocks may wait, as long as the budget has room.
pub fn speech_way(blocks_max: usize, budget: &SpeechBudget) -> (SpeechIn, SpeechOut) {
    let (sender, receiver) = bounded(blocks_max);
    let state = Arc::new(SpeechState::default());
    let part = Arc::new(budget.part());
    let near = SpeechOut {
        blocks: receiver,
        state: Arc::clone(&state),
        part: Arc::clone(&part),
    };
    let far = SpeechIn {
        blocks: sender,
        state,
        part,
    };
    (far, near)
}

/// A way with all of an utterance's sound, which `part` has grown by.
pub fn whole_way(blocks: VecDeque<Box<SpeechBlock>>, part: SpeechPart) -> SpeechOut {
    let (sender, receiver) = bounded(blocks.len().max(1));
    let state = Arc::new(SpeechState::default());
    for block in blocks {
        let len = u64::from(block.len);
        // There is room for each.
        if sender.try_send(block).is_ok() {
            state.add_received(len);
        }
    }
    state.set_complete();
    SpeechOut {
        blocks: receiver,
        state,
        part: Arc::new(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: u16) -> Box<SpeechBlock> {
        Box::new(SpeechBlock {
            len,
            frames: [[0; 2]; BLOCK_FRAMES],
        })
    }

    #[test]
    fn what_waits_is_counted_until_it_is_taken_or_dropped() {
        let budget = SpeechBudget::new(10_000);
        let (far, near) = speech_way(10, &budget);
        for len in [480, 480, 100] {
            far.try_send(block(len)).expect("room");
        }
        assert_eq!(budget.used(), 1060);
        assert_eq!(near.take().map(|block| block.len), Some(480));
        assert_eq!(budget.used(), 580);
        drop((far, near));
        assert_eq!(budget.used(), 0);
        let part = budget.part();
        assert!(part.grow(960));
        let near = whole_way([block(480), block(480)].into(), part);
        assert_eq!((near.waiting(), near.state().received()), (2, 960));
        assert!(near.state().is_complete());
        assert_eq!(near.take().map(|block| block.len), Some(480));
        assert_eq!(budget.used(), 480);
        drop(near);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_full_budget_holds_back_all_but_the_next_two_seconds() {
        let budget = SpeechBudget::new(1000);
        let part = budget.part();
        assert!(part.grow(1000) && !part.grow(1));
        assert_eq!(budget.used(), 1000, "what was refused is not counted");
        let (far, near) = speech_way(1000, &budget);
        let mut sent = 0;
        while far.try_send(block(480)).is_ok() {
            sent += 1;
        }
        assert_eq!(sent * 480, NEAR_SAMPLES);
        near.take().expect("a block");
        far.try_send(block(480))
            .expect("what is spoken never starves");
        drop(part);
        far.try_send(block(480))
            .expect_err("still more than there may be");
    }

    #[test]
    fn a_full_way_counts_nothing() {
        let budget = SpeechBudget::default();
        let (far, near) = speech_way(1, &budget);
        far.try_send(block(480)).expect("room");
        assert!(matches!(
            far.try_send(block(480)),
            Err(TrySendError::Full(_))
        ));
        assert_eq!(budget.used(), 480);
        drop(near);
        assert!(matches!(
            far.try_send(block(480)),
            Err(TrySendError::Disconnected(_))
        ));
        assert!(budget.used() <= 480);
    }

    #[test]
    fn what_is_over_gives_back_what_it_had_while_the_far_end_stays() {
        let budget = SpeechBudget::new(10_000);
        let (far, near) = speech_way(10, &budget);
        for _ in 0..3 {
            far.try_send(block(480)).expect("room");
        }
        near.close();
        assert_eq!(budget.used(), 0);
        assert!(matches!(
            far.try_send(block(480)),
            Err(TrySendError::Disconnected(_))
        ));
        near.take().expect("a block that nobody counts any more");
        assert_eq!(budget.used(), 0);
        drop((far, near));
        assert_eq!(budget.used(), 0);
    }
}
