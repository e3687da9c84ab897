//! What others hear and see of speech: events, and the queues. And where utterances go that are over: minutes of sound are let go of on
//! another thread, not on the tick.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use bevy_ecs::prelude::*;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::say::{Refusal, SpeechStage, SpeechState, Utterance};

/// Events that may wait to be told.
const EVENTS_MAX: usize = 1024;
/// Events other than words that wait for room among those, when there is none.
const LATE_MAX: usize = 4096;
/// Utterances that may wait to be let go of.
const SPENT_MAX: usize = 1024;

/// Why an utterance is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EndReason {
    /// All of it was said.
    Done,
    /// Another one took its place.
    Interrupted,
    /// It was stopped, or its layer is gone.
    Cancelled,
    /// Its sound broke off, or did not come any more.
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
    /// It has run dry, and waits for more of its sound.
    Pause {
        /// Samples of it that were heard.
        played: u64,
    },
    /// It goes on.
    Resume {
        /// Samples of it that were heard.
        played: u64,
    },
    /// Nothing of it follows.
    End {
        /// Why.
        reason: EndReason,
        /// Samples of it that were heard.
        played: u64,
        /// The last of its words that began, and its place among them.
        last_word: Option<(Arc<str>, usize)>,
    },
    /// It is not said at all.
    Refused(Refusal),
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

impl ShownSpeech {
    /// What is not over: the world may not have come to showing that, or may never.
    fn alive(&self) -> impl Iterator<Item = &ShownUtterance> {
        let utterances = self.utterances.iter();
        utterances.filter(|shown| shown.state.stage() != SpeechStage::Over)
    }
}

/// What all layers of a name say, that of the newest first.
fn merged(board: &[ShownSpeech], layer: &str) -> Vec<ShownUtterance> {
    let mut all: Vec<ShownUtterance> = Vec::new();
    for shown in board.iter().rev().filter(|shown| &*shown.layer == layer) {
        for utterance in shown.alive() {
            // One that was noted and is shown, or was carried over, stands twice for a moment.
            if all
                .iter()
                .all(|known| !Arc::ptr_eq(&known.state, &utterance.state))
            {
                all.push(utterance.clone());
            }
        }
    }
    all
}

/// The queues of all layers that have something to say, to be read at any time from any thread.
#[derive(Clone, Debug, Default)]
pub struct SpeechBoard(Arc<Mutex<Vec<ShownSpeech>>>);

impl SpeechBoard {
    /// What a layer says and what waits; empty when it has nothing to say. What one of its name says that is on its way out comes after that.
    pub fn of(&self, layer: &str) -> Vec<ShownUtterance> {
        merged(&self.lock(), layer)
    }

    /// The queue of a layer alone that one more utterance would join.
    pub fn queue_of(&self, layer: &str) -> Vec<ShownUtterance> {
        let board = self.lock();
        // The newest layer of this name is the one on air.
        let shown = board.iter().rev().find(|shown| &*shown.layer == layer);
        shown.map_or_else(Vec::new, |shown| shown.alive().cloned().collect())
    }

    /// Every queue, with those of one name as one.
    pub fn all(&self) -> Vec<ShownSpeech> {
        let board = self.lock();
        let mut all: Vec<ShownSpeech> = Vec::new();
        for shown in board.iter() {
            let utterances = merged(&board, &shown.layer);
            if !utterances.is_empty() && all.iter().all(|known| known.layer != shown.layer) {
                let (entity, layer) = (shown.entity, Arc::clone(&shown.layer));
                all.push(ShownSpeech {
                    entity,
                    layer,
                    utterances,
                });
            }
        }
        all
    }

    /// Shows an utterance that the world has taken in, should somebody have read the board when the world was about to. It stands
    /// there until the world shows the queue, on its next tick.
    pub fn note(&self, layer: &str, utterance: ShownUtterance) {
        let mut board = self.lock();
        // Layers that went before the world showed their queue.
        board.retain(|shown| shown.entity != Entity::PLACEHOLDER || shown.alive().next().is_some());
        let state = &utterance.state;
        if state.is_shown() || state.stage() == SpeechStage::Over {
            return;
        }
        let place = state.place() as usize;
        match board.iter_mut().rev().find(|shown| &*shown.layer == layer) {
            Some(shown) => {
                let place = place.min(shown.utterances.len());
                shown.utterances.insert(place, utterance);
            }
            None => board.push(ShownSpeech {
                entity: Entity::PLACEHOLDER,
                layer: layer.into(),
                utterances: vec![utterance],
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ShownSpeech>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without waiting; `None` when somebody reads it this very moment.
    fn try_lock(&self) -> Option<MutexGuard<'_, Vec<ShownSpeech>>> {
        match self.0.try_lock() {
            Ok(board) => Some(board),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// What is counted of speech.
#[derive(Debug, Default)]
struct Counters {
    lost: AtomicU64,
    begun: AtomicU64,
    underruns: AtomicU64,
}

/// The outside's end of what is told.
#[derive(Clone, Debug)]
pub struct SpeechDoor {
    /// What happens, in order.
    pub events: Receiver<SpeechEvent>,
    /// The queues.
    pub board: SpeechBoard,
    /// Utterances that are over, to be dropped where that may take its time.
    pub spent: Receiver<Box<Utterance>>,
    counters: Arc<Counters>,
}

impl SpeechDoor {
    /// Events that found no room.
    pub fn lost(&self) -> u64 {
        self.counters.lost.load(Ordering::Relaxed)
    }

    /// Utterances that have begun.
    pub fn begun(&self) -> u64 {
        self.counters.begun.load(Ordering::Relaxed)
    }

    /// Times that one ran dry and paused.
    pub fn underruns(&self) -> u64 {
        self.counters.underruns.load(Ordering::Relaxed)
    }
}

/// The world's end of what is told.
#[derive(Resource)]
pub struct Teller {
    events: Sender<SpeechEvent>,
    board: SpeechBoard,
    spent: Sender<Box<Utterance>>,
    counters: Arc<Counters>,
    /// Events that found no room yet, in order.
    late: VecDeque<SpeechEvent>,
    /// Layers whose queues are to be forgotten.
    gone: Vec<Entity>,
}

impl Teller {
    /// The door, and the world's end of it.
    pub fn new() -> (SpeechDoor, Self) {
        let (sender, events) = bounded(EVENTS_MAX);
        let (let_go, spent) = bounded(SPENT_MAX);
        let (board, counters) = (SpeechBoard::default(), Arc::<Counters>::default());
        let teller = Self {
            events: sender,
            board: board.clone(),
            spent: let_go,
            counters: Arc::clone(&counters),
            late: VecDeque::new(),
            gone: Vec::new(),
        };
        let door = SpeechDoor {
            events,
            board,
            spent,
            counters,
        };
        (door, teller)
    }

    /// Tells an event. A word that finds no room is lost, and counted; all others wait for room.
    pub(super) fn tell(&mut self, layer: &Arc<str>, id: &Arc<str>, tick: u64, news: SpeechNews) {
        match news {
            SpeechNews::Start => self.counters.begun.fetch_add(1, Ordering::Relaxed),
            SpeechNews::Pause { .. } => self.counters.underruns.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        let is_word = matches!(news, SpeechNews::Word { .. });
        let mut event = SpeechEvent {
            layer: Arc::clone(layer),
            id: Arc::clone(id),
            tick,
            news,
        };
        if self.late.is_empty() {
            match self.events.try_send(event) {
                Ok(()) => return,
                Err(error) => event = error.into_inner(),
            }
        }
        if is_word || self.late.len() >= LATE_MAX {
            self.lose(1);
        } else {
            self.late.push_back(event);
        }
    }

    /// Counts events that are not told.
    pub(super) fn lose(&self, events: u64) {
        self.counters.lost.fetch_add(events, Ordering::Relaxed);
    }

    /// Tells what found no room before, and forgets what could not be forgotten.
    pub(super) fn catch_up(&mut self) {
        while let Some(event) = self.late.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.late.push_front(event);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => self.late.clear(),
            }
        }
        if !self.gone.is_empty()
            && let Some(mut board) = self.board.try_lock()
        {
            board.retain(|shown| !self.gone.contains(&shown.entity));
            self.gone.clear();
        }
    }

    /// Has an utterance dropped elsewhere; here, should there be no room.
    pub(super) fn let_go(&self, utterance: Box<Utterance>) {
        let _dropped = self.spent.try_send(utterance);
    }

    /// Shows a queue; false when somebody reads the board this very moment.
    pub(super) fn show(
        &self,
        entity: Entity,
        layer: &Arc<str>,
        utterances: impl Iterator<Item = ShownUtterance>,
    ) -> bool {
        let Some(mut board) = self.board.try_lock() else {
            return false;
        };
        let utterances: Vec<ShownUtterance> = utterances.collect();
        for shown in &utterances {
            shown.state.set_shown();
        }
        board.retain(|shown| shown.entity != Entity::PLACEHOLDER || shown.layer != *layer);
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

    /// Forgets the queue of a layer that is gone, on a later tick where somebody reads the board this very moment.
    pub(super) fn forget(&mut self, entity: Entity) {
        match self.board.try_lock() {
            Some(mut board) => board.retain(|shown| shown.entity != entity),
            None => self.gone.push(entity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(index: usize) -> SpeechNews {
        SpeechNews::Word {
            word: "a".into(),
            index,
            start: 0.0,
            end: 0.0,
        }
    }

    #[test]
    fn ends_wait_for_room_where_words_are_lost() {
        let (door, mut teller) = Teller::new();
        let (layer, id) = ("host".into(), "a".into());
        for index in 0..EVENTS_MAX + 7 {
            teller.tell(&layer, &id, 0, word(index));
        }
        assert_eq!(door.lost(), 7);
        let end = SpeechNews::End {
            reason: EndReason::Done,
            played: 5,
            last_word: None,
        };
        teller.tell(&layer, &id, 1, end.clone());
        teller.tell(&layer, &id, 2, SpeechNews::Start);
        teller.catch_up();
        assert_eq!(door.events.try_iter().take(EVENTS_MAX).count(), EVENTS_MAX);
        teller.catch_up();
        let rest: Vec<_> = door.events.try_iter().map(|event| event.news).collect();
        assert_eq!(rest, [end, SpeechNews::Start]);
        assert_eq!((door.lost(), door.begun()), (7, 1));
    }

    #[test]
    fn the_tick_never_waits_for_a_reader_of_the_board() {
        let (door, mut teller) = Teller::new();
        let layer = "host".into();
        let shown = || ShownUtterance {
            id: "a".into(),
            text: "".into(),
            emotion: None,
            state: Arc::default(),
        };
        let entity = Entity::from_raw_u32(1).expect("an entity");
        assert!(teller.show(entity, &layer, [shown()].into_iter()));
        let reading = door.board.lock();
        assert!(!teller.show(entity, &layer, [].into_iter()));
        teller.forget(entity);
        teller.catch_up();
        drop(reading);
        assert_eq!(door.board.of("host").len(), 1);
        teller.catch_up();
        assert!(door.board.of("host").is_empty());
    }

    #[test]
    fn what_the_world_could_not_show_is_noted_until_it_does() {
        let (door, teller) = Teller::new();
        let layer = "host".into();
        let shown = ShownUtterance {
            id: "a".into(),
            text: "".into(),
            emotion: None,
            state: Arc::default(),
        };
        door.board.note("host", shown.clone());
        assert_eq!(door.board.of("host").len(), 1);
        let entity = Entity::from_raw_u32(1).expect("an entity");
        assert!(teller.show(entity, &layer, [shown.clone()].into_iter()));
        door.board.note("host", shown);
        assert_eq!(door.board.all().len(), 1);
        assert_eq!(door.board.of("host").len(), 1, "it was shown");
    }

    fn shown_as(id: &str) -> ShownUtterance {
        ShownUtterance {
            id: id.into(),
            text: "".into(),
            emotion: None,
            state: Arc::default(),
        }
    }

    fn ids(shown: &[ShownUtterance]) -> Vec<&str> {
        shown.iter().map(|shown| &*shown.id).collect()
    }

    #[test]
    fn layers_of_one_name_are_seen_as_one_and_joined_alone() {
        let (door, teller) = Teller::new();
        let layer = "host".into();
        let entity = |index| Entity::from_raw_u32(index).expect("an entity");
        assert!(teller.show(entity(1), &layer, [shown_as("goes")].into_iter()));
        let stays = [shown_as("stays"), shown_as("waits")];
        assert!(teller.show(entity(2), &layer, stays.into_iter()));
        assert_eq!(ids(&door.board.of("host")), ["stays", "waits", "goes"]);
        assert_eq!(ids(&door.board.queue_of("host")), ["stays", "waits"]);
        let all = door.board.all();
        assert_eq!((all.len(), all[0].utterances.len()), (1, 3));
    }

    #[test]
    fn what_is_over_is_seen_no_more_though_the_world_shows_nothing_of_it() {
        let (door, _teller) = Teller::new();
        let noted = shown_as("ghost");
        door.board.note("host", noted.clone());
        assert_eq!(ids(&door.board.of("host")), ["ghost"]);
        // The layer went before its queue was shown.
        noted.state.refuse(Refusal::Gone);
        assert!(door.board.of("host").is_empty() && door.board.queue_of("host").is_empty());
        assert!(door.board.all().is_empty());
        door.board.note("other", shown_as("a"));
        assert_eq!(door.board.lock().len(), 1, "and it is forgotten");
    }
}
