//! What happens, told to everybody who listens: numbered, kept for a while, and never waited for.
//!
//! Each event is written as JSON once. Listeners read from one ring; who falls behind it is told so and gets the newest state.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

/// How many events are kept for those who come back.
pub const KEPT: usize = 1024;
/// How many events a listener may be behind.
const BEHIND_MAX: usize = 512;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// What: `layer:update`.
    pub kind: &'static str,
    /// The layer, scene, timeline or other thing that it is about.
    pub subject: Option<String>,
    /// Facts.
    pub data: Value,
}

impl Event {
    /// An event about nothing in particular.
    pub fn new(kind: &'static str, data: Value) -> Self {
        Self {
            kind,
            subject: None,
            data,
        }
    }

    /// An event about one thing.
    pub fn about(kind: &'static str, subject: &str, data: Value) -> Self {
        Self {
            kind,
            subject: Some(subject.to_owned()),
            data,
        }
    }
}

/// An event as listeners get it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Counts up by one from event to event, from one run of the program to the next too.
    pub seq: u64,
    /// The revision of the world after it.
    pub revision: u64,
    /// What.
    pub kind: Cow<'static, str>,
    /// The thing that it is about.
    pub subject: Option<Arc<str>>,
    /// Whether events before it were not heard here: who listens is to look at everything.
    pub is_after_gap: bool,
    /// The whole event as JSON, shared by all who get it.
    pub json: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    event: &'a str,
    seq: u64,
    revision: u64,
    tick: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    data: &'a Value,
}

/// Where events are told. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Events {
    sender: broadcast::Sender<Told>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    /// The number before that of the first event.
    start: u64,
    seq: u64,
    /// Whether events of another instance are told.
    is_relay: bool,
    events: VecDeque<Told>,
}

impl Kept {
    fn begin_behind(&mut self, seq: u64) {
        self.events.clear();
        (self.start, self.seq) = (seq, seq);
    }
}

impl Events {
    /// No events yet; the first will have the number after `start`.
    ///
    /// A later run of the program must start behind every number of the ones before: whoever comes back with one of those hears
    /// that it is not kept, and not the wrong events. Milliseconds since 1970 do, since there is less than one event a millisecond.
    pub fn after(start: u64) -> Self {
        Self {
            sender: broadcast::Sender::new(BEHIND_MAX),
            kept: Arc::new(Mutex::new(Kept {
                start,
                seq: start,
                is_relay: false,
                events: VecDeque::with_capacity(KEPT),
            })),
        }
    }

    /// Tells an event to everybody who listens now.
    pub fn tell(&self, event: Event, revision: u64, tick: u64) {
        let mut kept = self.lock();
        kept.seq += 1;
        let written = Written {
            event: event.kind,
            seq: kept.seq,
            revision,
            tick,
            subject: event.subject.as_deref(),
            data: &event.data,
        };
        let json = serde_json::to_string(&written).unwrap_or_default();
        let told = Told {
            seq: kept.seq,
            revision,
            kind: Cow::Borrowed(event.kind),
            subject: event.subject.map(Into::into),
            is_after_gap: false,
            json: json.into(),
        };
        self.keep(&mut kept, told);
    }

    /// Tells an event of another instance as that has told it. What came before it and was not heard here is missed by all who listen
    /// here, so they hear that they are to look at everything: nothing from before is kept.
    pub fn relay(&self, mut told: Told) {
        let mut kept = self.lock();
        // Whoever listens since before the first one has missed nothing.
        let is_first = !std::mem::replace(&mut kept.is_relay, true);
        if told.seq != kept.seq + 1 {
            told.is_after_gap = !is_first;
            kept.begin_behind(told.seq.saturating_sub(1));
        }
        kept.seq = told.seq;
        self.keep(&mut kept, told);
    }

    /// Events of another instance up to `seq` were not heard here: the next one tells so to all who listen.
    pub fn miss(&self, seq: u64) {
        self.lock().begin_behind(seq.saturating_sub(1));
    }

    /// While the lock is held, so that nobody gets events out of order.
    fn keep(&self, kept: &mut Kept, told: Told) {
        if kept.events.len() == KEPT {
            kept.events.pop_front();
        }
        kept.events.push_back(told.clone());
        // No listener is no error.
        let _heard = self.sender.send(told);
    }

    /// Listens from now on; gives the number of the last event that was told before.
    pub fn listen(&self) -> (broadcast::Receiver<Told>, u64) {
        let kept = self.lock();
        (self.sender.subscribe(), kept.seq)
    }

    /// Listens from now on, and gives what was told after event `seq`; `None` in its place when that is not kept any more, or was
    /// never told.
    pub fn listen_since(&self, seq: u64) -> (broadcast::Receiver<Told>, Option<Vec<Told>>) {
        let kept = self.lock();
        let receiver = self.sender.subscribe();
        (receiver, since(&kept, |told| told.seq > seq, seq, kept.seq))
    }

    /// As [`Events::listen_since`], after the changes up to `revision`.
    pub fn listen_since_revision(
        &self,
        revision: u64,
        newest: u64,
    ) -> (broadcast::Receiver<Told>, Option<Vec<Told>>) {
        let kept = self.lock();
        let receiver = self.sender.subscribe();
        if revision > newest {
            return (receiver, None);
        }
        let first = kept.events.front();
        // What was told of the oldest revision that is kept may have lost its beginning.
        let is_whole =
            first.is_none_or(|first| first.seq == kept.start + 1 || first.revision <= revision);
        let missed = kept
            .events
            .iter()
            .filter(|told| told.revision > revision)
            .cloned()
            .collect();
        (receiver, is_whole.then_some(missed))
    }

    /// The number of the last event.
    pub fn newest(&self) -> u64 {
        self.lock().seq
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn since(
    kept: &Kept,
    wanted: impl Fn(&Told) -> bool,
    after: u64,
    newest: u64,
) -> Option<Vec<Told>> {
    let oldest = kept.events.front().map_or(newest + 1, |told| told.seq);
    if after > newest || after + 1 < oldest {
        return None;
    }
    Some(
        kept.events
            .iter()
            .filter(|told| wanted(told))
            .cloned()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tell(events: &Events, count: u64) {
        for number in 0..count {
            events.tell(Event::new("data:update", json!({"n": number})), number, 0);
        }
    }

    #[test]
    fn who_comes_back_gets_what_was_missed_or_hears_that_it_is_gone() {
        let events = Events::after(0);
        tell(&events, 10);
        let seqs = |missed: Option<Vec<Told>>| {
            missed.map(|missed| missed.iter().map(|told| told.seq).collect::<Vec<_>>())
        };
        assert_eq!(seqs(events.listen_since(8).1), Some(vec![9, 10]));
        assert_eq!(seqs(events.listen_since(10).1), Some(vec![]));
        assert_eq!(seqs(events.listen_since(11).1), None, "from the future");
        assert_eq!(
            seqs(events.listen_since_revision(7, 9).1),
            Some(vec![9, 10])
        );
        assert_eq!(seqs(events.listen_since_revision(10, 9).1), None);
        tell(&events, KEPT as u64);
        assert_eq!(seqs(events.listen_since(8).1), None, "no longer kept");
        assert_eq!(events.lock().events.len(), KEPT);
    }

    #[test]
    fn who_comes_back_after_a_restart_hears_that_what_was_missed_is_gone() {
        let events = Events::after(5000);
        assert!(events.listen_since(5000).1.is_some(), "nothing was missed");
        tell(&events, 100);
        for of_the_run_before in [0, 50, 4999] {
            assert!(events.listen_since(of_the_run_before).1.is_none());
        }
        let missed = events.listen_since(5099).1.expect("kept");
        assert_eq!(
            missed.iter().map(|told| told.seq).collect::<Vec<_>>(),
            [5100]
        );
        let missed = events.listen_since_revision(97, 99).1.expect("kept");
        assert_eq!(missed.len(), 2);
    }

    #[test]
    fn a_listener_that_falls_behind_is_told_so() {
        let events = Events::after(0);
        let (mut receiver, _) = events.listen();
        tell(&events, BEHIND_MAX as u64 + 5);
        let lagged = receiver.try_recv();
        assert!(
            matches!(lagged, Err(broadcast::error::TryRecvError::Lagged(_))),
            "{lagged:?}"
        );
    }
}
