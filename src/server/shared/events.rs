//! The events of the stream, told to whoever subscribes to its channel in Redis: those that WebSocket clients get, in order.
//!
//! It is a listener as any other: it has its place in the ring of events and keeps nothing of its own. When it cannot follow, because
//! Redis was away for longer than the ring holds, it tells the event `resync` in their place. A `resync` also comes first when a
//! program begins to lead. Its `seq` is that of the last event before it, so whoever compares numbers sees what is missing.

use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::{Patience, Stop, add};
use crate::control::events::Told;
use crate::server::Api;
use crate::store::shared::EventTeller;

/// Events that are told at once, and about their bytes.
const TOLD_MAX: usize = 128;
const TOLD_BYTES_MAX: usize = 4 << 20;

/// Tells events until it is to stop or another instance leads.
pub async fn run(teller: EventTeller, api: Api, mut stop: Stop) {
    let (events, newest) = api.station().events().listen();
    let mut ring = Ring {
        events,
        last: newest,
        first: vec![(newest, resync(&api, newest, "start", 0))],
        api: api.clone(),
    };
    let mut patience = Patience::new("telling events in Redis");
    while let Some(some) = tokio::select! {
        biased;
        () = stop.come() => None,
        some = ring.next() => some,
    } {
        let count = u64::try_from(some.len()).unwrap_or(u64::MAX);
        let telling = async {
            loop {
                let each = some.iter().map(|(seq, json)| (*seq, &**json));
                match teller.tell(each).await {
                    Ok(()) => break true,
                    Err(error) if patience.fail(&error).await => {}
                    Err(_) => break false,
                }
            }
        };
        let is_told = tokio::select! {
            biased;
            told = telling => told,
            () = stop.come() => false,
        };
        let counters = api.shared();
        if !is_told {
            add(&counters.events_lost, count);
            return;
        }
        patience.well();
        add(&counters.events, count);
    }
}

/// An event with its number.
type Numbered = (u64, bytes::Bytes);

struct Ring {
    api: Api,
    events: Receiver<Told>,
    /// The number of the last event that was taken.
    last: u64,
    /// What comes before the next event.
    first: Vec<Numbered>,
}

impl Ring {
    /// The next events, at least one; `None` when there will be no more.
    async fn next(&mut self) -> Option<Vec<Numbered>> {
        let mut some = std::mem::take(&mut self.first);
        if some.is_empty() {
            match self.events.recv().await {
                Ok(told) => self.take(told, &mut some),
                Err(RecvError::Lagged(_)) => self.catch_up(&mut some),
                Err(RecvError::Closed) => return None,
            }
        }
        let bytes = |some: &[Numbered]| some.iter().map(|(_, json)| json.len()).sum::<usize>();
        while some.len() < TOLD_MAX && bytes(&some) < TOLD_BYTES_MAX {
            match self.events.try_recv() {
                Ok(told) => self.take(told, &mut some),
                Err(TryRecvError::Lagged(_)) => self.catch_up(&mut some),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Some(some)
    }

    fn take(&mut self, told: Told, some: &mut Vec<Numbered>) {
        self.last = told.seq;
        some.push((told.seq, told.json));
    }

    /// Goes on with what is kept of what was missed, or says that it is missing.
    fn catch_up(&mut self, some: &mut Vec<Numbered>) {
        let (events, missed) = self.api.station().events().listen_since(self.last);
        self.events = events;
        if let Some(missed) = missed {
            for told in missed {
                self.take(told, some);
            }
            return;
        }
        let (events, newest) = self.api.station().events().listen();
        self.events = events;
        let count = newest.saturating_sub(self.last);
        add(&self.api.shared().events_lost, count);
        self.last = newest;
        some.push((newest, resync(&self.api, newest, "behind", count)));
    }
}

fn resync(api: &Api, seq: u64, reason: &str, missed: u64) -> bytes::Bytes {
    let snapshot = api.director().snapshot();
    let event = json!({
        "event": "resync", "seq": seq, "revision": snapshot.show.revision, "tick": snapshot.tick,
        "data": {"reason": reason, "missed": missed},
    });
    event.to_string().into()
}
