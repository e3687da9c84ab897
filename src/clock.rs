//! The clock that the tick loop keeps to, injected so that tests need not wait.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A clock that never goes back.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment.
    fn now(&self) -> Duration;
    /// Returns at `deadline`, or at once when it has passed.
    fn sleep_until(&self, deadline: Duration);
}

/// The system's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        origin().elapsed()
    }

    fn sleep_until(&self, deadline: Duration) {
        let wait = deadline.saturating_sub(self.now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }
}

/// Nanoseconds since the program first asked, for the engine's profile.
pub fn now_nanos() -> u64 {
    origin().elapsed().as_nanos() as u64
}
