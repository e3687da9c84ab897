//! Who watches the program from this process: players over RTMP, clients of the live HLS files, and those who ask for one picture of it
//! after the other.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

/// A client of HLS asks for a playlist or a segment at least so often: three times a segment's length of 2 s, and some time on the way.
/// Who asks for pictures as often watches too.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// The most clients of HLS that are told apart; more are not counted.
const HLS_MAX: usize = 20_000;
/// The most of them that one address may be: whoever asks says a `User-Agent` as it likes. A proxy in front has many.
const HLS_ADDRESS_MAX: u32 = 2000;
/// Where there are too many, those that went are looked for so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The viewers. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Viewers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rtmp: AtomicUsize,
    hls: Mutex<Clients>,
    previews: Mutex<Clients>,
}

/// Clients of HLS, or of pictures. Addresses and what clients say they are are kept as hashes, with keys of this run.
#[derive(Debug, Default)]
struct Clients {
    hasher: RandomState,
    seen: HashMap<u64, Seen>,
    /// How many each address is.
    addresses: HashMap<u64, u32>,
    looked_at: Option<Instant>,
}

/// A client.
#[derive(Clone, Copy, Debug)]
struct Seen {
    address: u64,
    last: Instant,
    /// Whether it was seen more than once.
    is_again: bool,
}

/// How many watch the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ViewerCount {
    /// Players over RTMP.
    pub rtmp: u64,
    /// Clients of HLS, the player page among them, told apart by address and `User-Agent`, up to 2000 of one address.
    pub hls: u64,
    /// Clients that ask for `snapshot.jpg` or `snapshot.png` every few seconds, told apart likewise. One picture alone is no viewer.
    pub preview: u64,
}

impl ViewerCount {
    /// All together.
    pub fn total(self) -> u64 {
        self.rtmp + self.hls + self.preview
    }
}

impl Viewers {
    /// So many play the program over RTMP.
    pub fn set_rtmp(&self, players: usize) {
        self.0.rtmp.store(players, Relaxed);
    }

    /// A client has asked for a file of HLS.
    pub fn note_hls(&self, address: Option<IpAddr>, agent: &[u8], now: Instant) {
        lock(&self.0.hls).note(address, agent, now);
    }

    /// A client has asked for a picture of the program.
    pub fn note_preview(&self, address: Option<IpAddr>, agent: &[u8], now: Instant) {
        lock(&self.0.previews).note(address, agent, now);
    }

    /// How many watch now.
    pub fn count(&self, now: Instant) -> ViewerCount {
        let hls = {
            let mut clients = lock(&self.0.hls);
            clients.forget(now);
            clients.seen.len() as u64
        };
        let mut previews = lock(&self.0.previews);
        previews.forget(now);
        let again = previews.seen.values().filter(|seen| seen.is_again);
        ViewerCount {
            rtmp: self.0.rtmp.load(Relaxed) as u64,
            hls,
            preview: again.count() as u64,
        }
    }
}

fn lock(clients: &Mutex<Clients>) -> MutexGuard<'_, Clients> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Clients {
    fn note(&mut self, address: Option<IpAddr>, agent: &[u8], now: Instant) {
        let client = self.hasher.hash_one((address, agent));
        let address = self.hasher.hash_one(address);
        if let Some(seen) = self.seen.get_mut(&client) {
            seen.is_again = now.saturating_duration_since(seen.last) < SILENCE_MAX;
            seen.last = now;
            return;
        }
        if self.is_full(address) {
            let is_due = |at| now.saturating_duration_since(at) >= LOOK_EVERY;
            if self.looked_at.is_none_or(is_due) {
                self.looked_at = Some(now);
                self.forget(now);
            }
            if self.is_full(address) {
                return;
            }
        }
        let seen = Seen {
            address,
            last: now,
            is_again: false,
        };
        self.seen.insert(client, seen);
        *self.addresses.entry(address).or_default() += 1;
    }

    fn is_full(&self, address: u64) -> bool {
        let of_address = self.addresses.get(&address).copied().unwrap_or_default();
        self.seen.len() >= HLS_MAX || of_address >= HLS_ADDRESS_MAX
    }

    fn forget(&mut self, now: Instant) {
        let addresses = &mut self.addresses;
        self.seen.retain(|_, seen| {
            let is_here = now.saturating_duration_since(seen.last) < SILENCE_MAX;
            if !is_here && let Some(count) = addresses.get_mut(&seen.address) {
                *count = count.saturating_sub(1);
            }
            is_here
        });
        addresses.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_counts_once_and_for_some_seconds() {
        let (viewers, start) = (Viewers::default(), Instant::now());
        let address = |last| Some(IpAddr::from([192, 0, 2, last]));
        for (last, agent) in [(1, "a"), (1, "a"), (1, "b"), (2, "a")] {
            viewers.note_hls(address(last), agent.as_bytes(), start);
        }
        viewers.set_rtmp(2);
        let count = viewers.count(start);
        assert_eq!((count.hls, count.rtmp, count.total()), (3, 2, 5));
        let later = start + Duration::from_secs(5);
        viewers.note_hls(address(2), b"a", later);
        assert_eq!(viewers.count(start + Duration::from_secs(9)).hls, 1);
    }

    #[test]
    fn who_asks_for_one_picture_after_the_other_watches() {
        let (viewers, start) = (Viewers::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let ask = |seconds| viewers.note_preview(None, b"a", at(seconds));
        let count = |seconds| viewers.count(at(seconds)).preview;
        ask(0);
        assert_eq!(count(0), 0);
        ask(1);
        assert_eq!((count(1), viewers.count(at(1)).total()), (1, 1));
        assert_eq!(count(9), 0);
        // Now and then one picture.
        ask(20);
        ask(40);
        assert_eq!(count(40), 0);
    }

    #[test]
    fn who_makes_up_clients_keeps_nobody_out() {
        let (viewers, start) = (Viewers::default(), Instant::now());
        let note = |address: u32, agent: u32, now| {
            let address = IpAddr::from(address.to_be_bytes());
            viewers.note_hls(Some(address), &agent.to_be_bytes(), now);
        };
        for agent in 0..HLS_ADDRESS_MAX + 10 {
            note(1, agent, start);
        }
        note(2, 0, start);
        let count = |now| viewers.count(now).hls;
        assert_eq!(count(start), u64::from(HLS_ADDRESS_MAX) + 1);
        for address in 3..HLS_MAX as u32 + 10 {
            note(address, 0, start);
        }
        assert_eq!(count(start), HLS_MAX as u64);
        // Who is seen goes on being so, and others come when those have gone.
        let later = start + Duration::from_secs(9);
        note(2, 0, later);
        note(70_000, 0, later);
        assert_eq!(count(later), 2);
        assert_eq!(lock(&viewers.0.hls).addresses.len(), 2);
    }

    #[test]
    fn many_clients_are_gone_through_once_a_second() {
        let start = Instant::now();
        let mut clients = Clients::default();
        let address = |index: u32| Some(IpAddr::from(index.to_be_bytes()));
        for index in 0..HLS_MAX as u32 {
            clients.note(address(index), b"", start);
        }
        let at = |ms| start + Duration::from_millis(ms);
        clients.note(address(u32::MAX), b"", at(7500));
        // All have gone by now, which is noticed a second after it was looked.
        clients.note(address(u32::MAX), b"", at(8400));
        assert_eq!(clients.seen.len(), HLS_MAX);
        clients.note(address(u32::MAX), b"", at(8500));
        assert_eq!(clients.seen.len(), 1);
    }
}
