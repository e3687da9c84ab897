//! The watcher: a thread that sees what an output's own thread cannot tell while it is blocked.
//!
//! It looks at every output five times a second: which has stopped moving, how many kilobits a second go out, and how many packets
//! were dropped. It takes no lock that is held while anything waits.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::board::Board;
use super::part::Part;
use super::stats::OutputState;
use crate::streaming::error::StreamingError;
use crate::streaming::event::StreamingEvent;
use crate::streaming::thread::NamedThread;

/// The time from one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A connected output that wrote nothing for so long has stalled.
const STALLED_AFTER: Duration = Duration::from_millis(1500);
/// The rate is taken over so many looks: a second.
const RATE_LOOKS: usize = 5;
/// Drops of one output are told no more often.
const DROPS_TOLD_EVERY: Duration = Duration::from_secs(1);

/// What the watcher keeps of one output.
#[derive(Debug)]
pub(super) struct Watched {
    board: Arc<Board>,
    parts: Arc<[Part]>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Bytes written at the last looks.
    bytes: VecDeque<(Instant, u64)>,
    drops_told: u64,
    drops_told_at: Option<Instant>,
}

impl Watched {
    pub(super) fn new(board: Arc<Board>, parts: Arc<[Part]>) -> Self {
        Self {
            board,
            parts,
            memory: Mutex::default(),
        }
    }

    fn look(&self, now: Instant) {
        let timeout = self.board.settings().timeout;
        for part in self.parts.iter() {
            let peer = part.look_at_peer();
            let silence = peer.map_or(Duration::ZERO, |(_, silence)| silence);
            if part.index == 0 {
                self.board
                    .figures
                    .set_acknowledged(peer.map(|(transport, _)| transport));
            }
            if part.since_progress() > STALLED_AFTER || silence > STALLED_AFTER {
                if self
                    .board
                    .swap(part.index, OutputState::Live, OutputState::Stalled)
                {
                    // A peer that confirms nothing is not live because the kernel takes another packet.
                    let ends_with_a_packet = silence <= STALLED_AFTER;
                    part.is_stalled.store(ends_with_a_packet, Ordering::Relaxed);
                }
                if silence > timeout {
                    part.give_up();
                }
            } else {
                part.is_stalled.store(false, Ordering::Relaxed);
                self.board
                    .swap(part.index, OutputState::Stalled, OutputState::Live);
            }
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = self.board.figures.bytes.load(Ordering::Relaxed);
        self.board.figures.set_kbps(memory.rate_kbps(now, bytes));
        let dropped: u64 = self
            .parts
            .iter()
            .map(|part| part.queue.figures().dropped)
            .sum();
        let is_due = memory
            .drops_told_at
            .is_none_or(|at| now.duration_since(at) >= DROPS_TOLD_EVERY);
        if dropped > memory.drops_told && is_due {
            let packets = dropped - memory.drops_told;
            (memory.drops_told, memory.drops_told_at) = (dropped, Some(now));
            drop(memory);
            self.board.tell(StreamingEvent::OutputDropped {
                output: self.board.id().to_owned(),
                packets,
            });
        }
    }
}

impl Memory {
    fn rate_kbps(&mut self, now: Instant, bytes: u64) -> f64 {
        if self.bytes.len() > RATE_LOOKS {
            self.bytes.pop_front();
        }
        self.bytes.push_back((now, bytes));
        let Some((since, before)) = self.bytes.front() else {
            return 0.0;
        };
        let seconds = now.duration_since(*since).as_secs_f64();
        // Less than a second, just after the start, is not a rate yet, and neither is a count that another output began.
        if seconds < 0.5 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "bytes of a second")]
        let bits = bytes.saturating_sub(*before) as f64 * 8.0;
        bits / 1000.0 / seconds
    }
}

/// The thread. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Watcher {
    watched: Arc<Mutex<Vec<Weak<Watched>>>>,
    _thread: NamedThread,
    _stop: Sender<()>,
}

impl Watcher {
    pub(crate) fn start() -> Result<Self, StreamingError> {
        let watched = Arc::<Mutex<Vec<Weak<Watched>>>>::default();
        let (stop, stopped) = bounded(0);
        let thread = NamedThread::spawn("output watch".to_owned(), {
            let watched = Arc::clone(&watched);
            move || {
                watch(&watched, &stopped);
                Ok(())
            }
        })?;
        Ok(Self {
            watched,
            _thread: thread,
            _stop: stop,
        })
    }

    /// Watches an output for as long as it lives.
    pub(super) fn add(&self, watched: &Arc<Watched>) {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(watched));
    }
}

fn watch(watched: &Mutex<Vec<Weak<Watched>>>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        let all: Vec<Arc<Watched>> = {
            let all = watched.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        let now = Instant::now();
        for watched in all {
            watched.look(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_second_and_falls_to_nothing() {
        let mut memory = Memory::default();
        let start = Instant::now();
        let mut rate = 0.0;
        for look in 0..20 {
            // 25,000 bytes in 200 ms are 1000 kbit/s.
            rate = memory.rate_kbps(start + LOOK_EVERY * look, u64::from(look) * 25_000);
        }
        assert!((rate - 1000.0).abs() < 1.0, "{rate}");
        for look in 20..25 {
            rate = memory.rate_kbps(start + LOOK_EVERY * look, 19 * 25_000);
        }
        assert_eq!(rate, 0.0);
        assert!(memory.bytes.len() <= RATE_LOOKS + 1);
    }
}
