//! What others hear and see of speech: events, and the queues.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use bevy_ecs::prelude::*;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::say::SpeechState;

/// Events that may wait to be told.
const EVENTS_MAX: usize = 1024;

/// Why an utterance is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// All of it was said.
    Done,
    /// Another one took its place.
    Interrupted,
    /// It was stopped, or its layer is gone.
    Cancelled,
    /// Its sound broke off, or there was no room for it.
    Error,
}

/// What happened to an utterance.
#[derive(Clone, Debug, PartialEq)]
pub enum SpeechNews {
    /// It stands in the queue.
    Queued {
        /// How many are before it; what is spoken counts.
        place: usize,
    },
    /// Its first sample belongs to this tick.
    Start,
    /// A word begins on this tick.
    Word {
        /// The word.
        word: Arc<str>,
        /// Its place among the words.
        index: usize,
        /// Seconds since the utterance's beginning, as they were told.
        start: f32,
        /// As of its end.
        end: f32,
    },
    /// Nothing of it follows.
    End {
        /// Why.
        reason: EndReason,
    },
}

/// Something that happened, where and when.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechEvent {
    /// The layer.
    pub layer: Arc<str>,
    /// The utterance.
    pub id: Arc<str>,
    /// The tick.
    pub tick: u64,
    /// What.
    pub news: SpeechNews,
}

/// The queue of one layer, as others see it.
#[derive(Clone, Debug)]
pub struct ShownSpeech {
    /// Whose it is.
    pub(super) entity: Entity,
    /// The layer.
    pub layer: Arc<str>,
    /// What is spoken, if anything is, and what waits, in order.
    pub utterances: Vec<ShownUtterance>,
}

/// One utterance, as others see it.
#[derive(Clone, Debug)]
pub struct ShownUtterance {
    /// Its name.
    pub id: Arc<str>,
    /// What is said.
    pub text: Arc<str>,
    /// What the avatar feels while it lasts.
    pub emotion: Option<Arc<str>>,
    /// How far it is.
    pub state: Arc<SpeechState>,
}

/// The queues of all layers that have something to say, to be read at any time from any thread.
#[derive(Clone, Debug, Default)]
pub struct SpeechBoard(Arc<Mutex<Vec<ShownSpeech>>>);

impl SpeechBoard {
    /// The queue of a layer; empty when it has nothing to say.
    pub fn of(&self, layer: &str) -> Vec<ShownUtterance> {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest layer of this name is the one on air.
        let shown = board.iter().rev().find(|shown| &*shown.layer == layer);
        shown.map_or_else(Vec::new, |shown| shown.utterances.clone())
    }

    /// Samples of each channel that have come and wait, on all layers.
    pub fn held(&self) -> u64 {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let states = board.iter().flat_map(|shown| &shown.utterances);
        let held = states.map(|shown| shown.state.received().saturating_sub(shown.state.played()));
        held.sum()
    }
}

/// The outside's end of what is told.
#[derive(Clone, Debug)]
pub struct SpeechDoor {
    /// What happens, in order.
    pub events: Receiver<SpeechEvent>,
    /// The queues.
    pub board: SpeechBoard,
    lost: Arc<AtomicU64>,
}

impl SpeechDoor {
    /// Events that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The world's end of what is told.
#[derive(Resource, Clone)]
pub struct Teller {
    events: Sender<SpeechEvent>,
    board: SpeechBoard,
    lost: Arc<AtomicU64>,
}

impl Teller {
    /// The door, and the world's end of it.
    pub fn new() -> (SpeechDoor, Self) {
        let (sender, events) = bounded(EVENTS_MAX);
        let (board, lost) = (SpeechBoard::default(), Arc::<AtomicU64>::default());
        let teller = Self {
            events: sender,
            board: board.clone(),
            lost: Arc::clone(&lost),
        };
        let door = SpeechDoor {
            events,
            board,
            lost,
        };
        (door, teller)
    }

    /// Tells an event; it is counted and lost when there is no room.
    pub(super) fn tell(&self, layer: &Arc<str>, id: &Arc<str>, tick: u64, news: SpeechNews) {
        let event = SpeechEvent {
            layer: Arc::clone(layer),
            id: Arc::clone(id),
            tick,
            news,
        };
        if self.events.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Shows a queue; false when somebody reads the board this very moment.
    pub(super) fn show(
        &self,
        entity: Entity,
        layer: &Arc<str>,
        utterances: impl Iterator<Item = ShownUtterance>,
    ) -> bool {
        let mut board = match self.board.0.try_lock() {
            Ok(board) => board,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let utterances: Vec<ShownUtterance> = utterances.collect();
        let known = board.iter().position(|shown| shown.entity == entity);
        match known {
            Some(place) if utterances.is_empty() => drop(board.remove(place)),
            Some(place) => board[place].utterances = utterances,
            None if utterances.is_empty() => {}
            None => board.push(ShownSpeech {
                entity,
                layer: Arc::clone(layer),
                utterances,
            }),
        }
        true
    }

    /// Forgets the queue of a layer that is gone.
    pub(super) fn forget(&self, entity: Entity) {
        let mut board = self.board.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.retain(|shown| shown.entity != entity);
    }
}
