//! One part of an output: what its thread, its handle and the watcher share.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::{Interrupt, StreamDescription};

use super::queue::PacketQueue;
use crate::streaming::encoder::EncoderControl;

/// What every output of a rendition shares.
#[derive(Debug, Clone)]
pub(crate) struct OutputContext {
    /// Its name.
    pub(crate) rendition: String,
    /// The streams of the rendition.
    pub(crate) streams: Vec<StreamDescription>,
    /// Where a keyframe is asked for.
    pub(crate) encoder: Arc<EncoderControl>,
    /// Bytes that the socket may hold back: about a second of the stream.
    pub(crate) send_buffer_bytes: u32,
}

/// The way of one rendition's packets within an output.
#[derive(Debug)]
pub(super) struct Part {
    /// Its place among the parts.
    pub(super) index: usize,
    pub(super) context: OutputContext,
    pub(super) queue: Arc<PacketQueue>,
    /// Decoding time of the last packet written, in nanoseconds.
    pub(super) written_ns: AtomicI64,
    /// The watcher found no progress; the next packet written ends that.
    pub(super) is_stalled: AtomicBool,
    progress: Mutex<Instant>,
    bounds: Mutex<Bounds>,
}

/// How the thread's blocking calls are bounded from outside.
#[derive(Debug)]
struct Bounds {
    /// Of the session under way.
    guard: Arc<Interrupt>,
    /// For this session and all that follow.
    until: Option<Instant>,
}

impl Part {
    pub(super) fn new(index: usize, context: OutputContext, capacity: usize) -> Self {
        Self {
            index,
            context,
            queue: Arc::new(PacketQueue::new(capacity)),
            written_ns: AtomicI64::new(i64::MIN),
            is_stalled: AtomicBool::new(false),
            progress: Mutex::new(Instant::now()),
            bounds: Mutex::new(Bounds {
                guard: Arc::default(),
                until: None,
            }),
        }
    }

    /// A guard for a new session, under the limit that holds.
    pub(super) fn arm(&self) -> Arc<Interrupt> {
        let mut bounds = self.bounds();
        bounds.guard = Arc::default();
        if let Some(until) = bounds.until {
            bounds
                .guard
                .limit(until.saturating_duration_since(Instant::now()));
        }
        Arc::clone(&bounds.guard)
    }

    /// Lets the session under way and all that follow block no longer than `remaining`.
    pub(super) fn limit(&self, remaining: Duration) {
        let mut bounds = self.bounds();
        bounds.until = Some(Instant::now() + remaining);
        bounds.guard.limit(remaining);
    }

    /// Lets the session under way alone block no longer than `remaining`.
    pub(super) fn end_session_within(&self, remaining: Duration) {
        self.bounds().guard.limit(remaining);
    }

    /// Takes the limit from sessions to come.
    pub(super) fn unlimit(&self) {
        self.bounds().until = None;
    }

    /// Something got through.
    pub(super) fn progressed(&self) {
        *self.progress() = Instant::now();
    }

    /// How long ago something got through.
    pub(super) fn since_progress(&self) -> Duration {
        self.progress().elapsed()
    }

    /// How far what was written is behind the encoder.
    pub(super) fn lag(&self) -> Duration {
        let written_ns = self.written_ns.load(Ordering::Relaxed);
        if written_ns == i64::MIN {
            return Duration::ZERO;
        }
        let behind_ns = self.queue.figures().newest_ns.saturating_sub(written_ns);
        Duration::from_nanos(u64::try_from(behind_ns).unwrap_or(0))
    }

    fn bounds(&self) -> MutexGuard<'_, Bounds> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Instant> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
