//! Whether an encoder thread gets on: the thread writes, the supervisor reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A call that takes so long, while a frame waits, is one that hangs.
const HANGS_AFTER: Duration = Duration::from_millis(700);
/// No call is waited for longer, however slow the encoder is otherwise.
const HANGS_AFTER_MAX: Duration = Duration::from_secs(5);
/// So many times as long as a frame takes on average may a call take.
const SLOWER_MAX: f64 = 8.0;

/// Counts what a thread does.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Begins and ends of calls into the encoder: odd within one.
    calls: AtomicU64,
    is_opening: AtomicBool,
}

impl Watch {
    /// A call begins.
    pub(super) fn begin(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The call is over.
    pub(super) fn end(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// An encoder is being opened, which takes some of them long, or is open.
    pub(super) fn opening(&self, is_opening: bool) {
        self.is_opening.store(is_opening, Ordering::Relaxed);
        self.step();
    }

    /// The call got on by one step.
    pub(super) fn step(&self) {
        self.calls.fetch_add(2, Ordering::Relaxed);
    }
}

/// The supervisor's notes on one thread. Time is that in which it looked: a machine that slept, or was too busy to let
/// anybody look, does not count against an encoder.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    seen: u64,
    without_progress: Duration,
}

impl Patience {
    /// Looks once more, `since` after the last time. `true` when a call has hung for too long while frames waited.
    pub(crate) fn look(
        &mut self,
        watch: &Watch,
        frames_wait: bool,
        since: Duration,
        encode_ms_mean: f64,
    ) -> bool {
        let calls = watch.calls.load(Ordering::Relaxed);
        let is_in_call = calls % 2 == 1;
        if calls != self.seen || !is_in_call || !frames_wait {
            self.seen = calls;
            self.without_progress = Duration::ZERO;
            return false;
        }
        self.without_progress += since.min(HANGS_AFTER / 4);
        let usual =
            Duration::from_secs_f64((encode_ms_mean * SLOWER_MAX / 1000.0).clamp(0.0, 60.0));
        let limit = if watch.is_opening.load(Ordering::Relaxed) {
            HANGS_AFTER_MAX
        } else {
            usual.clamp(HANGS_AFTER, HANGS_AFTER_MAX)
        };
        self.without_progress > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_millis(50);

    /// Looks until the thread is said to hang.
    fn beats(watch: &Watch, frames_wait: bool, encode_ms_mean: f64) -> Option<usize> {
        let mut patience = Patience::default();
        (0..1000).find(|_| patience.look(watch, frames_wait, BEAT, encode_ms_mean))
    }

    #[test]
    fn only_a_call_that_keeps_frames_waiting_hangs() {
        let watch = Watch::default();
        assert_eq!(beats(&watch, true, 5.0), None);
        watch.begin();
        assert_eq!(beats(&watch, false, 5.0), None);
        assert_eq!(beats(&watch, true, 5.0), Some(15));
        // A slow preset has more time, but not for ever, and so has one that opens.
        assert_eq!(beats(&watch, true, 200.0), Some(33));
        assert_eq!(beats(&watch, true, 5000.0), Some(101));
        watch.opening(true);
        assert_eq!(beats(&watch, true, 5.0), Some(101));
    }

    #[test]
    fn progress_and_sleep_are_not_held_against_it() {
        let (watch, mut patience) = (Watch::default(), Patience::default());
        watch.begin();
        for _ in 0..100 {
            assert!(!patience.look(&watch, true, BEAT, 5.0));
            watch.step();
        }
        assert!(!patience.look(&watch, true, BEAT, 5.0));
        assert!(!patience.look(&watch, true, Duration::from_secs(3600), 5.0));
    }
}
