//! Bounds on FFmpeg's blocking calls.
//!
//! FFmpeg polls a callback while it waits for a socket. The callback reads an [`Interrupt`]: the deadline of the
//! operation under way, and a limit that another thread may set over all operations (at shutdown).

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No deadline.
const NEVER: u64 = u64::MAX;

/// Says when the FFmpeg call under way must give up. Shared between the thread that is in FFmpeg and the one
/// that wants to stop it.
#[derive(Debug)]
pub struct Interrupt {
    /// Deadline of the operation under way, in milliseconds of [`now_ms`].
    operation_ms: AtomicU64,
    /// Deadline of everything, set from outside.
    limit_ms: AtomicU64,
    /// Whether the last operation was told to give up. Not every layer of FFmpeg passes that on as its error.
    gave_up: AtomicBool,
}

impl Default for Interrupt {
    fn default() -> Self {
        Self {
            operation_ms: AtomicU64::new(NEVER),
            limit_ms: AtomicU64::new(NEVER),
            gave_up: AtomicBool::new(false),
        }
    }
}

impl Interrupt {
    /// Every operation, the one under way and all later ones, gives up once `remaining` has passed. A later call
    /// can only bring that moment nearer.
    pub fn limit(&self, remaining: Duration) {
        self.limit_ms
            .fetch_min(deadline_ms(remaining), Ordering::Relaxed);
    }

    /// Makes the operation under way and all later ones give up at once.
    pub fn abort(&self) {
        self.limit_ms.store(0, Ordering::Relaxed);
    }

    /// Whether the limit has passed, so that no later operation can succeed.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        now_ms() >= self.limit_ms.load(Ordering::Relaxed)
    }

    /// Runs one blocking operation that must end within `allowed`.
    pub(crate) fn during<T>(&self, allowed: Duration, operation: impl FnOnce() -> T) -> T {
        self.gave_up.store(false, Ordering::Relaxed);
        self.operation_ms
            .store(deadline_ms(allowed), Ordering::Relaxed);
        let result = operation();
        self.operation_ms.store(NEVER, Ordering::Relaxed);
        result
    }

    pub(crate) fn is_due(&self) -> bool {
        let deadline = self
            .operation_ms
            .load(Ordering::Relaxed)
            .min(self.limit_ms.load(Ordering::Relaxed));
        let is_due = deadline != NEVER && now_ms() >= deadline;
        if is_due {
            self.gave_up.store(true, Ordering::Relaxed);
        }
        is_due
    }

    /// Whether the last operation was told to give up.
    pub(crate) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }
}

/// Milliseconds of the monotonic clock since the first use; an atomic can hold it, an `Instant` it cannot.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(NEVER - 1)
}

fn deadline_ms(remaining: Duration) -> u64 {
    now_ms().saturating_add(u64::try_from(remaining.as_millis()).unwrap_or(NEVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_due_only_while_it_runs() {
        let interrupt = Interrupt::default();
        assert!(!interrupt.is_due());
        assert!(interrupt.during(Duration::ZERO, || interrupt.is_due()));
        assert!(!interrupt.during(Duration::from_secs(60), || interrupt.is_due()));
        assert!(!interrupt.is_due());
    }

    #[test]
    fn a_limit_holds_for_all_operations_and_only_shrinks() {
        let interrupt = Interrupt::default();
        interrupt.limit(Duration::from_secs(60));
        assert!(!interrupt.is_aborted());
        interrupt.abort();
        interrupt.limit(Duration::from_secs(60));
        assert!(interrupt.is_aborted());
        assert!(interrupt.during(Duration::from_secs(60), || interrupt.is_due()));
    }
}
