//! Threads that end by saying who they are and how it went.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::error::StreamingError;

/// The last word of a thread.
#[derive(Debug)]
pub struct ThreadEnd {
    /// `encoder`, or `output` and the output's name.
    pub who: String,
    /// How it went.
    pub result: Result<(), StreamingError>,
}

/// A running thread, whose end can be awaited with a limit. Dropping it leaves the thread to itself.
#[derive(Debug)]
pub(super) struct NamedThread {
    who: String,
    end: Receiver<Result<(), StreamingError>>,
}

impl NamedThread {
    /// Starts `body` on a thread of its own; a panic becomes its result.
    pub(super) fn spawn(
        who: String,
        body: impl FnOnce() -> Result<(), StreamingError> + Send + 'static,
    ) -> Result<Self, StreamingError> {
        let (sender, end) = bounded(1);
        std::thread::Builder::new()
            .name(who.clone())
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(body))
                    .unwrap_or_else(|panic| Err(panicked(&*panic)));
                // Nobody may be interested any more.
                let _ = sender.send(result);
            })
            .map_err(StreamingError::Spawn)?;
        Ok(Self { who, end })
    }

    /// The end, once it has come. It is given once.
    pub(super) fn poll(&self) -> Option<ThreadEnd> {
        Some(ThreadEnd {
            who: self.who.clone(),
            result: self.end.try_recv().ok()?,
        })
    }

    /// Waits for the end until `deadline`; a thread that is still there then is told as an error. `None` when the end was
    /// given before.
    pub(super) fn end_by(&self, deadline: Instant) -> Option<ThreadEnd> {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let result = match self.end.recv_timeout(remaining) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(StreamingError::StillRunning),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        Some(ThreadEnd {
            who: self.who.clone(),
            result,
        })
    }
}

/// How soon a thread runs when others want to as well: a nice value (`sched(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The tick and those who compose with it: about three times the weight of other threads. Only where the system allows it
    /// (root, or `CAP_SYS_NICE`); elsewhere they are as others.
    Tick = -5,
    /// As other programs.
    Normal = 0,
    /// Encoders and servers: behind the tick, and not far behind other programs, as most of the work is theirs.
    Work = 2,
    /// What nobody waits for: only where there is time left.
    Background = 15,
}

/// Sets the priority of the calling thread, and of all that it starts from now on.
pub fn set_priority(priority: Priority) {
    // Without a process it is the calling thread, on Linux.
    if let Err(error) = rustix::process::setpriority_process(None, priority as i32) {
        tracing::debug!(%error, ?priority, "a thread keeps its priority");
    }
}

/// The error for a caught panic.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> StreamingError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of an unknown kind".to_owned());
    StreamingError::Panicked { message }
}

/// Whole milliseconds for a statistic.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_result() {
        let thread =
            NamedThread::spawn("test".to_owned(), || panic!("on purpose")).expect("a thread");
        let end = thread
            .end_by(Instant::now() + Duration::from_secs(10))
            .expect("an end");
        assert_eq!(end.who, "test");
        assert!(
            matches!(end.result, Err(StreamingError::Panicked { message }) if message == "on purpose")
        );
        assert!(thread.poll().is_none());
    }

    #[test]
    fn a_thread_that_stays_is_told() {
        let (keep, kept) = bounded::<()>(0);
        let thread = NamedThread::spawn("stuck".to_owned(), move || {
            let _ = kept.recv();
            Ok(())
        });
        let end = thread
            .expect("a thread")
            .end_by(Instant::now())
            .expect("a report");
        assert!(matches!(end.result, Err(StreamingError::StillRunning)));
        drop(keep);
    }
}
