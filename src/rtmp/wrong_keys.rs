//! How many wrong keys and tokens an address may try, and all together. Who has tried too many is refused unlooked at.
//!
//! A try is counted before it is looked at, and given back when it was right: many at once are no way around. An address that nothing is
//! held against shares no count with those that try wrong keys, so that they keep nobody out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Wrong keys of an address at once, and a second after that.
const OF_ADDRESS: Limit = Limit {
    burst: 5.0,
    rate: 1.0,
};
/// Of all addresses together that tried wrong ones before.
const OF_KNOWN: Limit = Limit {
    burst: 50.0,
    rate: 20.0,
};
/// Of all addresses together that nothing is held against.
const OF_FRESH: Limit = Limit {
    burst: 500.0,
    rate: 200.0,
};
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;
/// After a try that must wait for those before it, the next look.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How many are taken.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// At once.
    burst: f64,
    /// A second.
    rate: f64,
}

/// The wrong keys of the last seconds. Cheap to copy.
#[derive(Clone, Debug)]
pub struct WrongKeys(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    known: Bucket,
    fresh: Bucket,
    addresses: HashMap<IpAddr, Tries>,
}

/// What an address has tried.
#[derive(Debug)]
struct Tries {
    wrong: Bucket,
    /// That are being looked at.
    now: u32,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    limit: Limit,
    left: f64,
    at: Instant,
}

/// A key that is being looked at. It was wrong unless it is said that it was right.
#[derive(Debug)]
pub struct Try {
    wrong: WrongKeys,
    address: IpAddr,
    is_fresh: bool,
    is_right: bool,
}

/// Why no key is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTry {
    /// As many as may be wrong are being looked at.
    NotYet,
    /// Too many were wrong.
    TooMany,
}

impl Bucket {
    fn full(limit: Limit, now: Instant) -> Self {
        let left = limit.burst;
        Self {
            limit,
            left,
            at: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.limit.rate;
        self.left = (self.left + gained).min(self.limit.burst);
        self.at = now;
    }

    fn is_full(&self) -> bool {
        self.left >= self.limit.burst
    }

    fn give_back(&mut self) {
        self.left = (self.left + 1.0).min(self.limit.burst);
    }
}

impl WrongKeys {
    /// None yet.
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            known: Bucket::full(OF_KNOWN, now),
            fresh: Bucket::full(OF_FRESH, now),
            addresses: HashMap::new(),
        })))
    }

    /// Waits until a key of this address may be looked at; `None` when it may not.
    pub async fn try_one(&self, address: IpAddr) -> Option<Try> {
        loop {
            match self.take(address, Instant::now()) {
                Ok(taken) => return Some(taken),
                Err(NoTry::TooMany) => return None,
                Err(NoTry::NotYet) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Whether a key of this address may be looked at.
    ///
    /// # Errors
    /// [`NoTry`].
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<Try, NoTry> {
        let address = network(address);
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.known.refill(now);
        inner.fresh.refill(now);
        if inner.addresses.len() >= ADDRESSES_MAX {
            inner.addresses.retain(|_, tries| {
                tries.wrong.refill(now);
                tries.now > 0 || !tries.wrong.is_full()
            });
        }
        let has_room = inner.addresses.len() < ADDRESSES_MAX;
        let mut tries = inner.addresses.get_mut(&address);
        let is_fresh = tries.as_mut().is_none_or(|tries| {
            tries.wrong.refill(now);
            tries.now == 0 && tries.wrong.is_full()
        });
        if let Some(tries) = tries.filter(|tries| tries.wrong.left < 1.0) {
            return Err(if tries.now > 0 {
                NoTry::NotYet
            } else {
                NoTry::TooMany
            });
        }
        let all = if is_fresh {
            &mut inner.fresh
        } else {
            &mut inner.known
        };
        if all.left < 1.0 {
            return Err(NoTry::TooMany);
        }
        all.left -= 1.0;
        if has_room || inner.addresses.contains_key(&address) {
            let tries = inner.addresses.entry(address).or_insert_with(|| Tries {
                wrong: Bucket::full(OF_ADDRESS, now),
                now: 0,
            });
            tries.wrong.left -= 1.0;
            tries.now += 1;
        }
        Ok(Try {
            wrong: self.clone(),
            address,
            is_fresh,
            is_right: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Try {
    /// The key was right, and nothing is held against the address for it.
    pub fn was_right(mut self) {
        self.is_right = true;
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        let mut guard = self.wrong.lock();
        let inner = &mut *guard;
        let tries = inner.addresses.get_mut(&self.address);
        if let Some(tries) = tries {
            tries.now = tries.now.saturating_sub(1);
            if self.is_right {
                tries.wrong.give_back();
            }
        }
        if self.is_right {
            let all = if self.is_fresh {
                &mut inner.fresh
            } else {
                &mut inner.known
            };
            all.give_back();
        }
    }
}

/// What is one peer: an address, of IPv6 all of its /64, which one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand wrong keys are looked at.
    fn looked_at(wrong: &WrongKeys, address: impl Fn(u32) -> IpAddr, now: Instant) -> usize {
        (0..1000)
            .filter(|index| wrong.take(address(*index), now).is_ok())
            .count()
    }

    #[test]
    fn an_address_tries_a_few_wrong_keys_and_then_one_a_second() {
        let start = Instant::now();
        let wrong = WrongKeys::new(start);
        let [bad, good] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        assert_eq!(looked_at(&wrong, |_| bad, start), 5);
        assert!(wrong.take(good, start).is_ok());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(wrong.take(bad, at(900)).map(drop), Err(NoTry::TooMany));
        assert!(wrong.take(bad, at(1100)).is_ok());
    }

    #[test]
    fn many_at_once_are_no_way_around_and_right_ones_cost_nothing() {
        let start = Instant::now();
        let wrong = WrongKeys::new(start);
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut looking: Vec<Try> = (0..5)
            .map(|_| wrong.take(address, start).expect("one of five"))
            .collect();
        assert_eq!(wrong.take(address, start).map(drop), Err(NoTry::NotYet));
        for _ in 0..100 {
            looking.remove(0).was_right();
            looking.push(wrong.take(address, start).expect("in its place"));
        }
        // All wrong.
        looking.clear();
        assert_eq!(wrong.take(address, start).map(drop), Err(NoTry::TooMany));
    }

    #[test]
    fn fresh_addresses_are_bounded_together_and_keep_nobody_out_who_is_known() {
        let start = Instant::now();
        let wrong = WrongKeys::new(start);
        let known = IpAddr::from([192, 0, 2, 1]);
        assert!(wrong.take(known, start).is_ok());
        let fresh = |index: u32| IpAddr::from((0x0a00_0000 + index).to_be_bytes());
        assert_eq!(looked_at(&wrong, fresh, start), 499);
        assert!(wrong.take(known, start).is_ok());
        // Those that tried once are held to the other count until that is forgotten.
        assert_eq!(looked_at(&wrong, fresh, start), 49);
        let later = start + Duration::from_secs(5);
        assert_eq!(looked_at(&wrong, fresh, later), 500);
        // All of a /64 are one.
        let wrong = WrongKeys::new(start);
        let one = |index| Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(index)).into();
        assert_eq!(looked_at(&wrong, one, start), 5);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Instant::now();
        let wrong = WrongKeys::new(start);
        for index in 0..10_000u32 {
            let now = start + Duration::from_micros(5) * index;
            // Each is given back to the count of all, as far as that goes, and kept with the address.
            drop(wrong.take(IpAddr::from(index.to_be_bytes()), now));
            wrong.lock().fresh.give_back();
            assert!(wrong.lock().addresses.len() <= ADDRESSES_MAX);
        }
        assert_eq!(wrong.lock().addresses.len(), ADDRESSES_MAX);
    }
}
