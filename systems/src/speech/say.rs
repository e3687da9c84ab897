//! An utterance, and what all see of it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::tell::EndReason;
use super::way::SpeechOut;

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

/// Why the world does not say an utterance at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// As many wait as may.
    Full = 1,
    /// The layer says one of this name already.
    Duplicate = 2,
    /// There is no such avatar on air any more.
    Gone = 3,
}

/// How an utterance came to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechEnd {
    /// Why.
    pub reason: EndReason,
    /// On which tick.
    pub tick: u64,
    /// Samples of it that were heard.
    pub played: u64,
    /// The last of its words that began, and its place among them.
    pub last_word: Option<(Arc<str>, usize)>,
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
    /// A [`Refusal`], or 0.
    refusal: AtomicU8,
    end: OnceLock<SpeechEnd>,
    is_shown: AtomicBool,
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

    /// Why it is not said at all, if it is not. Known once its command has been applied.
    pub fn refusal(&self) -> Option<Refusal> {
        match self.refusal.load(Ordering::Acquire) {
            1 => Some(Refusal::Full),
            2 => Some(Refusal::Duplicate),
            3 => Some(Refusal::Gone),
            _ => None,
        }
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.refusal.store(refusal as u8, Ordering::Release);
        self.set_stage(SpeechStage::Over);
    }

    /// How it came to its end, once it is over and was not refused.
    pub fn end(&self) -> Option<&SpeechEnd> {
        self.end.get()
    }

    pub(super) fn set_end(&self, end: SpeechEnd) {
        // It ends once.
        let _known = self.end.set(end);
        self.set_stage(SpeechStage::Over);
    }

    pub(super) fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Acquire)
    }

    pub(super) fn set_shown(&self) {
        self.is_shown.store(true, Ordering::Release);
    }

    pub(super) fn add_received(&self, samples: u64) {
        self.received.fetch_add(samples, Ordering::Relaxed);
    }

    pub(super) fn set_complete(&self) {
        self.is_complete.store(true, Ordering::Release);
    }

    pub(super) fn set_failed(&self) {
        self.has_failed.store(true, Ordering::Release);
    }
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
    /// At once: what is spoken breaks off, and so does another one that was to break in and has not begun. What waits goes on waiting.
    Interrupt,
    /// At once, in the place of all: what is spoken breaks off, and what waits is forgotten.
    Replace,
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
    /// Letters of its text, and of what its words show at a time where they take the text's place.
    pub const TEXT_MAX: usize = 10_000;
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
