//! How many wrong keys an address may try, and all together. Who has tried too many is refused unlooked at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Wrong keys that an address may try at once.
const BURST: f64 = 5.0;
/// Wrong keys a second after that.
const RATE: f64 = 1.0;
/// Wrong keys at once of all addresses together.
const BURST_ALL: f64 = 50.0;
/// Wrong keys a second of all addresses together.
const RATE_ALL: f64 = 20.0;
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// The wrong keys of the last seconds.
#[derive(Debug)]
pub struct WrongKeys(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    all: Bucket,
    addresses: HashMap<IpAddr, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn at(&self, now: Instant, rate: f64, burst: f64) -> Self {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        Self {
            left: (self.left + gained).min(burst),
            at: now,
        }
    }
}

impl WrongKeys {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        let all = Bucket {
            left: BURST_ALL,
            at: now,
        };
        Self(Mutex::new(Inner {
            all,
            addresses: HashMap::new(),
        }))
    }

    /// Whether a key of this address is looked at.
    pub fn may_try(&self, address: IpAddr, now: Instant) -> bool {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = inner.addresses.get(&address) else {
            // Nothing is held against it, whatever others do.
            return true;
        };
        bucket.at(now, RATE, BURST).left >= 1.0
            && inner.all.at(now, RATE_ALL, BURST_ALL).left >= 1.0
    }

    /// A key of this address was wrong.
    pub fn note(&self, address: IpAddr, now: Instant) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.all = inner.all.at(now, RATE_ALL, BURST_ALL);
        inner.all.left = (inner.all.left - 1.0).max(0.0);
        if inner.addresses.len() >= ADDRESSES_MAX {
            inner
                .addresses
                .retain(|_, bucket| bucket.at(now, RATE, BURST).left < BURST);
        }
        let is_full = inner.addresses.len() >= ADDRESSES_MAX;
        if is_full && !inner.addresses.contains_key(&address) {
            return;
        }
        let fresh = Bucket {
            left: BURST,
            at: now,
        };
        let bucket = inner.addresses.entry(address).or_insert(fresh);
        *bucket = bucket.at(now, RATE, BURST);
        bucket.left = (bucket.left - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_tries_a_few_wrong_keys_and_then_one_a_second() {
        let start = Instant::now();
        let wrong = WrongKeys::new(start);
        let [bad, good] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let tried = (0..100)
            .filter(|_| {
                let may = wrong.may_try(bad, start);
                if may {
                    wrong.note(bad, start);
                }
                may
            })
            .count();
        assert_eq!(tried, 5);
        assert!(wrong.may_try(good, start));
        assert!(!wrong.may_try(bad, start + Duration::from_millis(900)));
        assert!(wrong.may_try(bad, start + Duration::from_millis(1100)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Instant::now();
        let wrong = WrongKeys::new(start);
        for index in 0..10_000u32 {
            wrong.note(IpAddr::from(index.to_be_bytes()), start);
        }
        let inner = wrong.0.lock().expect("a lock");
        assert_eq!(inner.addresses.len(), ADDRESSES_MAX);
    }
}
