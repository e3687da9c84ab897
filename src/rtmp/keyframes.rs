//! Keyframes that players wait for: everybody may play the program, so they are asked for once in a while only.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one keyframe that is asked for to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Whether somebody waits, and when it was asked for one.
#[derive(Debug, Default)]
pub struct Keyframes(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_wanted: bool,
    asked_at: Option<Instant>,
}

impl Keyframes {
    /// Somebody waits for one.
    pub fn want(&self) {
        self.lock().is_wanted = true;
    }

    /// Whether it is time to ask for one; then that is noted.
    pub fn is_due(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        let asked_at = inner.asked_at;
        let may = asked_at.is_none_or(|at| now.saturating_duration_since(at) >= EVERY);
        let is_due = inner.is_wanted && may;
        if is_due {
            *inner = Inner {
                is_wanted: false,
                asked_at: Some(now),
            };
        }
        is_due
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_wait_one_is_asked_for_a_second() {
        let (keyframes, start) = (Keyframes::default(), Instant::now());
        let mut asked = 0;
        for index in 0..1000 {
            keyframes.want();
            asked += u32::from(keyframes.is_due(start + Duration::from_millis(index * 10)));
        }
        assert_eq!(asked, 10);
        let later = start + Duration::from_secs(60);
        assert!(keyframes.is_due(later), "who came last is not forgotten");
        assert!(!keyframes.is_due(later + EVERY), "nobody waits");
    }
}
