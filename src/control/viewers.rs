//! Who watches the program from this process: players over RTMP, and clients of the live HLS files.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

/// A client of HLS asks for a playlist or a segment at least so often: three times a segment's length of 2 s, and some time on the way.
const HLS_SILENCE_MAX: Duration = Duration::from_secs(8);
/// The most clients of HLS that are told apart; more are not counted.
const HLS_MAX: usize = 20_000;

/// The viewers. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Viewers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rtmp: AtomicUsize,
    /// When each was last seen.
    hls: Mutex<HashMap<u64, Instant>>,
}

/// How many watch the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ViewerCount {
    /// Players over RTMP.
    pub rtmp: u64,
    /// Clients of HLS, the player page among them, told apart by address and `User-Agent`.
    pub hls: u64,
}

impl ViewerCount {
    /// All together.
    pub fn total(self) -> u64 {
        self.rtmp + self.hls
    }
}

impl Viewers {
    /// So many play the program over RTMP.
    pub fn set_rtmp(&self, players: usize) {
        self.0.rtmp.store(players, Relaxed);
    }

    /// A client has asked for a file of HLS.
    pub fn note_hls(&self, address: Option<IpAddr>, agent: &[u8], now: Instant) {
        let mut hasher = DefaultHasher::new();
        (address, agent).hash(&mut hasher);
        let mut seen = self.0.hls.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= HLS_MAX {
            forget(&mut seen, now);
        }
        let client = hasher.finish();
        if seen.len() < HLS_MAX || seen.contains_key(&client) {
            seen.insert(client, now);
        }
    }

    /// How many watch now.
    pub fn count(&self, now: Instant) -> ViewerCount {
        let mut seen = self.0.hls.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut seen, now);
        ViewerCount {
            rtmp: self.0.rtmp.load(Relaxed) as u64,
            hls: seen.len() as u64,
        }
    }
}

fn forget(seen: &mut HashMap<u64, Instant>, now: Instant) {
    seen.retain(|_, at| now.saturating_duration_since(*at) < HLS_SILENCE_MAX);
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
        for index in 0..HLS_MAX + 10 {
            viewers.note_hls(None, &index.to_be_bytes(), later);
        }
        assert_eq!(viewers.count(later).hls, HLS_MAX as u64);
    }
}
