//! The ticks as they go by, for those who plan ahead. The tick itself only stores two numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use components::scene::FrameRate;
use systems::feed::Epoch;
use tokio::sync::Notify;

use crate::clock::{Clock as _, SystemClock};

/// Which tick comes next, and when the last one ended. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Ticks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    /// Of the monotonic clock, when `next` was written.
    at_nanos: AtomicU64,
    /// The tick that somebody waits for; 0 when nobody does.
    wanted: AtomicU64,
    notify: Notify,
    /// The moment of tick 0, in milliseconds since 1970 (UTC).
    epoch_ms: AtomicI64,
}

impl Ticks {
    /// Notes that a tick has ended and `next` follows. Never waits.
    pub fn note(&self, next: u64) {
        let inner = &self.0;
        inner
            .at_nanos
            .store(SystemClock.now().as_nanos() as u64, SeqCst);
        inner.next.store(next, SeqCst);
        let wanted = inner.wanted.load(SeqCst);
        if wanted != 0 && next >= wanted {
            inner.wanted.store(0, SeqCst);
            inner.notify.notify_waiters();
        }
    }

    /// The moment of tick 0, as the world has it.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.0.epoch_ms.load(SeqCst))
    }

    /// Notes the moment of tick 0.
    pub fn set_epoch(&self, epoch: Epoch) {
        self.0.epoch_ms.store(epoch.0, SeqCst);
    }

    /// The tick that comes next.
    pub fn next(&self) -> u64 {
        self.0.next.load(SeqCst)
    }

    /// Time since the last tick ended.
    pub fn silence(&self) -> Duration {
        let at = Duration::from_nanos(self.0.at_nanos.load(SeqCst));
        SystemClock.now().saturating_sub(at)
    }

    /// Returns once `tick` is the next one, or was. For one waiter, the director.
    pub async fn wait_for(&self, tick: u64) {
        loop {
            let notified = self.0.notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            self.0.wanted.store(tick, SeqCst);
            if self.next() >= tick {
                return;
            }
            notified.await;
        }
    }

    /// The first tick that begins at or after a moment of UTC; `None` for a moment that is past.
    pub fn at_time(&self, moment: SystemTime, now: SystemTime, rate: FrameRate) -> Option<u64> {
        let ahead = moment.duration_since(now).ok()?;
        // The next tick begins a frame time after the last one began, which ended a moment ago; half a frame is near enough to be
        // rounded away.
        let since_last = self.silence();
        let frames = (ahead + since_last).as_secs_f64() * rate.as_f64();
        Some(self.next() + (frames.ceil() as u64).saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_tick_wakes_with_it() {
        let ticks = Ticks::default();
        let waiting = tokio::spawn({
            let ticks = ticks.clone();
            async move {
                ticks.wait_for(3).await;
                ticks.next()
            }
        });
        for next in 1..=5 {
            tokio::task::yield_now().await;
            ticks.note(next);
        }
        assert!(waiting.await.expect("no panic") >= 3);
        ticks.wait_for(2).await;
    }

    #[test]
    fn a_moment_is_the_tick_that_begins_then() {
        let ticks = Ticks::default();
        ticks.note(100);
        let now = SystemTime::now();
        let rate = FrameRate::whole(30);
        let in_a_second = ticks.at_time(now + Duration::from_secs(1), now, rate);
        assert!(
            in_a_second.is_some_and(|tick| (129..=131).contains(&tick)),
            "{in_a_second:?}"
        );
        assert_eq!(ticks.at_time(now - Duration::from_secs(1), now, rate), None);
    }
}
