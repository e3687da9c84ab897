//! How long an output, or an input, waits before its next attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// No wait is longer, so that a peer that comes back is joined within 5 s however long it was away.
const DELAY_MAX: Duration = Duration::from_secs(4);

/// The wait after `failures` failures in a row (1 or more): `base` doubled with each, at most 4 s, less up to a quarter by
/// chance, so that the outputs of many machines do not all knock on a server at the same moment.
pub(crate) fn delay(base: Duration, failures: u32) -> Duration {
    let doubled = base
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(DELAY_MAX);
    doubled.mul_f64(1.0 - 0.25 * chance())
}

/// A number from 0 to 1. Each `RandomState` has keys of its own, which is chance enough here.
fn chance() -> f64 {
    f64::from(u16::try_from(RandomState::new().hash_one(0) & 0xffff).unwrap_or(0))
        / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_cap_and_vary() {
        let base = Duration::from_secs(1);
        for (failures, longest_s) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0), (u32::MAX, 4.0)] {
            let delay = delay(base, failures).as_secs_f64();
            assert!(
                (longest_s * 0.75..=longest_s).contains(&delay),
                "{failures}: {delay}"
            );
        }
        let several: std::collections::HashSet<Duration> =
            (0..32).map(|_| delay(base, 1)).collect();
        assert!(several.len() > 8);
    }
}
