//! An utterance, and the way on which its sound comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, SendError, Sender, TrySendError, bounded};

/// Frames of sound in one block: 10 ms at 48 kHz.
pub const BLOCK_FRAMES: usize = 480;

/// Up to 10 ms of sound at 48 kHz, in 16 bit, since minutes of it may wait.
#[derive(Clone, Debug)]
pub struct SpeechBlock {
    /// How many of `frames` count.
    pub len: u16,
    /// Left and right.
    pub frames: [[i16; 2]; BLOCK_FRAMES],
}

/// How an utterance stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum SpeechStage {
    /// It waits for its turn, or for its sound.
    #[default]
    Waiting,
    /// It is heard.
    Speaking,
    /// It was heard, and waits for more of its sound.
    Paused,
    /// It is over.
    Over,
}

/// What both ends of an utterance's way, and all others, see of it.
#[derive(Debug, Default)]
pub struct SpeechState {
    stage: AtomicU8,
    is_complete: AtomicBool,
    has_failed: AtomicBool,
    received: AtomicU64,
    played: AtomicU64,
    place: AtomicU32,
}

impl SpeechState {
    /// How it stands.
    pub fn stage(&self) -> SpeechStage {
        match self.stage.load(Ordering::Relaxed) {
            1 => SpeechStage::Speaking,
            2 => SpeechStage::Paused,
            3 => SpeechStage::Over,
            _ => SpeechStage::Waiting,
        }
    }

    pub(super) fn set_stage(&self, stage: SpeechStage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Whether no more of its sound will come.
    pub fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
    }

    /// Whether its sound broke off by a fault.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Samples of each channel that have come.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Samples of each channel that were heard.
    pub fn played(&self) -> u64 {
        self.played.load(Ordering::Relaxed)
    }

    pub(super) fn set_played(&self, samples: u64) {
        self.played.store(samples, Ordering::Relaxed);
    }

    /// How many were before it when it was queued; what is spoken counts.
    pub fn place(&self) -> u32 {
        self.place.load(Ordering::Relaxed)
    }

    pub(super) fn set_place(&self, place: usize) {
        self.place.store(place as u32, Ordering::Relaxed);
    }
}

/// The far end of an utterance's way. Dropping it says that nothing follows.
#[derive(Debug)]
pub struct SpeechIn {
    blocks: Sender<Box<SpeechBlock>>,
    state: Arc<SpeechState>,
}

impl SpeechIn {
    /// Puts a block in, without waiting. Gives it back when there is no room, or nobody listens.
    ///
    /// # Errors
    /// The block, and why.
    pub fn try_send(&self, block: Box<SpeechBlock>) -> Result<(), TrySendError<Box<SpeechBlock>>> {
        let len = u64::from(block.len);
        self.blocks.try_send(block)?;
        self.state.received.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    /// Puts a block in, and waits for room.
    ///
    /// # Errors
    /// Nobody listens any more.
    pub fn send(&self, block: Box<SpeechBlock>) -> Result<(), SendError<Box<SpeechBlock>>> {
        let len = u64::from(block.len);
        self.blocks.send(block)?;
        self.state.received.fetch_add(len, Ordering::Relaxed);
        Ok(())
    }

    /// What both ends see.
    pub fn state(&self) -> &Arc<SpeechState> {
        &self.state
    }

    /// Says that it broke off by a fault.
    pub fn fail(self) {
        self.state.has_failed.store(true, Ordering::Release);
    }
}

impl Drop for SpeechIn {
    fn drop(&mut self) {
        self.state.is_complete.store(true, Ordering::Release);
    }
}

/// The near end of an utterance's way.
#[derive(Clone, Debug)]
pub struct SpeechOut {
    pub(super) blocks: Receiver<Box<SpeechBlock>>,
    pub(super) state: Arc<SpeechState>,
}

impl SpeechOut {
    /// What both ends see.
    pub fn state(&self) -> &Arc<SpeechState> {
        &self.state
    }
}

/// A way for an utterance on which so many blocks may wait.
pub fn speech_way(blocks_max: usize) -> (SpeechIn, SpeechOut) {
    let (sender, receiver) = bounded(blocks_max);
    let state = Arc::new(SpeechState::default());
    let near = SpeechOut {
        blocks: receiver,
        state: Arc::clone(&state),
    };
    let far = SpeechIn {
        blocks: sender,
        state,
    };
    (far, near)
}

/// A word and when it is said, in seconds since the utterance's own beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct SpokenWord {
    /// The word.
    pub word: Arc<str>,
    /// When it begins.
    pub start: f32,
    /// When it ends.
    pub end: f32,
}

/// Where an utterance goes in its layer's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueMode {
    /// After all that wait.
    #[default]
    Append,
    /// After what is spoken, before all that wait.
    Next,
    /// At once: what is spoken breaks off.
    Interrupt,
}

/// Something to be said.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// Its name, for whoever stops it or hears of it.
    pub id: Arc<str>,
    /// What is said, for captions.
    pub text: Arc<str>,
    /// What the avatar feels while it lasts.
    pub emotion: Option<Arc<str>>,
    /// Whether texts show it as `speech.<layer>`.
    pub captions: bool,
    /// Words with their times, in the order of these; at most `WORDS_MAX`.
    pub words: Vec<SpokenWord>,
    /// Gain in decibels.
    pub gain_db: f32,
    /// Where it goes.
    pub queue: QueueMode,
    /// Its sound.
    pub sound: SpeechOut,
}

impl Utterance {
    /// Words that one utterance may have.
    pub const WORDS_MAX: usize = 4096;
}

/// What a layer is told about what it says.
#[derive(Clone, Debug)]
pub enum SpeechOrder {
    /// Says something.
    Say(Box<Utterance>),
    /// Says more of what is being said.
    Tell {
        /// The utterance.
        id: Arc<str>,
        /// All of its text, in the place of what was known of it.
        text: Option<Arc<str>>,
        /// Further words with their times.
        words: Vec<SpokenWord>,
    },
    /// Breaks off what is spoken and forgets what waits.
    Stop {
        /// Only this utterance; all when absent.
        id: Option<Arc<str>>,
    },
}
