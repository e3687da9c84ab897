//! The thread of an output, or of one rendition within it: `run` retries, `session` works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use codec::{CodecError, Packet};
use crossbeam_channel::{Receiver, Sender};

use super::backoff;
use super::board::Board;
use super::ladder::HlsLadder;
use super::part::Part;
use super::queue::Order;
use super::settings::{OutputKind, OutputSettings};
use super::stats::OutputState;
use super::target::{self, Parts};
use crate::streaming::error::StreamingError;
use crate::streaming::event::StreamingEvent;
use crate::streaming::thread::panicked;

/// A connection that lived as long is taken as good: failures before it are forgotten.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// While failures go on, one in so many is logged as a warning, the others as detail.
const WARN_EVERY: u32 = 20;
/// So many failures in a row on one URL, and the next is tried.
const FAILURES_PER_URL: u32 = 2;
/// What is logged of a failure.
const SAID: &str = "output failed; it will be tried again";
/// A full disk is looked at again after so long.
const DISK_RETRY: Duration = Duration::from_secs(5);
/// A server that still holds the connection of the process before is asked so often, and for so long.
const HELD_RETRY: Duration = Duration::from_millis(500);
const HELD_MAX: Duration = Duration::from_secs(60);
/// One that may not send asks so often whether it may.
const LEAVE_LOOK: Duration = Duration::from_millis(50);
/// An output that takes the place of another waits for its end no longer.
const PREDECESSOR_MAX: Duration = Duration::from_secs(6);

/// The thread's side of a [`Part`].
pub(super) struct Worker {
    pub(super) board: Arc<Board>,
    pub(super) parts: Arc<[Part]>,
    /// Which of the parts this thread is for.
    pub(super) index: usize,
    /// The folder that it shares with others.
    pub(super) ladder: Option<Arc<HlsLadder>>,
    /// Ended when the threads have, whose place this one takes.
    pub(super) predecessors: Vec<Receiver<()>>,
    /// Dropped at the end of the thread, for whoever takes its place.
    pub(super) _presence: Sender<()>,
}

/// What a thread remembers from one session to the next.
#[derive(Debug)]
pub(super) struct Course {
    /// When the thread did.
    begun: Instant,
    /// Failures in a row.
    failures: u32,
    /// Those of them on the URL in use.
    failures_here: u32,
    /// Whether any session has begun.
    pub(super) has_connected: bool,
    /// When the session under way did.
    pub(super) connected_at: Option<Instant>,
    /// Whether the one before ended by a failure.
    has_failed: bool,
    /// Whether that was because the disk is full, which has been told.
    is_full: bool,
    /// Time 0 of a live target, in nanoseconds of the stream: the first packet of the first connection.
    pub(super) epoch_ns: Option<i64>,
    /// The keyframe at which the last session ended and the next one begins.
    pub(super) carried: Option<Packet>,
    pub(super) files: Parts,
    /// The file of the session under way, and of one that a full disk has ended.
    pub(super) path: Option<PathBuf>,
}

/// Why a session ended well.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// No packet follows.
    Closed,
    /// As ordered.
    Ordered,
    /// It was long enough; the next one begins with this keyframe.
    Next(Packet),
    /// Others who write with it have failed.
    Over,
}

impl Course {
    fn new(begun: Instant) -> Self {
        Self {
            begun,
            failures: 0,
            failures_here: 0,
            has_connected: false,
            connected_at: None,
            has_failed: false,
            is_full: false,
            epoch_ns: None,
            carried: None,
            files: Parts::default(),
            path: None,
        }
    }

    /// Whether it has never connected since the stream went on here, which was a moment ago.
    fn takes_place(&self, origin_ns: Option<i64>) -> bool {
        origin_ns.is_some() && !self.has_connected && self.begun.elapsed() < HELD_MAX
    }

    fn path_or_target(&self, settings: &OutputSettings) -> PathBuf {
        let target = || PathBuf::from(&settings.target);
        self.path.clone().unwrap_or_else(target)
    }
}

impl Worker {
    pub(super) fn part(&self) -> &Part {
        &self.parts[self.index]
    }

    pub(super) fn enter(&self, state: OutputState, error: Option<&StreamingError>) {
        self.board.enter(self.index, state, error);
    }

    /// Connects and writes until it is told to stop or may try no more.
    pub(super) fn run(self) -> Result<(), StreamingError> {
        let result = self.run_sessions();
        if let Some(ladder) = &self.ladder {
            ladder.go(self.index);
        }
        result
    }

    fn run_sessions(&self) -> Result<(), StreamingError> {
        let deadline = Instant::now() + PREDECESSOR_MAX;
        for predecessor in &self.predecessors {
            // Its end comes as the loss of the other side.
            let _ = predecessor.recv_deadline(deadline);
        }
        let mut course = Course::new(Instant::now());
        loop {
            if !self.await_start(&mut course) {
                self.enter(OutputState::Stopped, None);
                return Ok(());
            }
            course.connected_at = None;
            let attempt = catch_unwind(AssertUnwindSafe(|| self.session(&mut course)))
                .unwrap_or_else(|panic| Err(panicked(&*panic)));
            if let Some(ladder) = &self.ladder {
                ladder.leave(self.index);
            }
            match attempt {
                Ok(SessionEnd::Closed) => {
                    self.enter(OutputState::Stopped, None);
                    return Ok(());
                }
                Ok(SessionEnd::Next(packet)) => course.carried = Some(packet),
                Ok(SessionEnd::Ordered | SessionEnd::Over) => self.part().queue.restart(),
                Err(StreamingError::NotLeading) => {
                    if self.wait_for_leave(&mut course) {
                        self.enter(OutputState::Stopped, None);
                        return Ok(());
                    }
                }
                Err(error) => {
                    if self.fail(&mut course, error)? {
                        self.enter(OutputState::Stopped, None);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Rests until it may run. Says whether it may, and not that it has to end.
    fn await_start(&self, course: &mut Course) -> bool {
        let queue = &self.part().queue;
        match queue.standing_order() {
            Order::Run => return true,
            Order::Reopen => {
                // Another target, perhaps: what is known of the old one says nothing of it.
                *course = Course {
                    epoch_ns: course.epoch_ns,
                    has_connected: course.has_connected,
                    ..Course::new(course.begun)
                };
                self.use_url(0);
                self.board.figures.rotations.fetch_add(1, Ordering::Relaxed);
                queue.restart();
                queue.order(Order::Run);
                return !queue.is_closed();
            }
            Order::Hold => {}
        }
        self.enter(OutputState::Idle, None);
        (course.failures, course.failures_here) = (0, 0);
        course.carried = None;
        let is_to_run = queue.wait_for_run();
        if is_to_run && course.has_connected {
            queue.restart();
        }
        is_to_run
    }

    /// After a failed attempt: waits before the next. Says whether the output was told to end meanwhile.
    fn fail(&self, course: &mut Course, error: StreamingError) -> Result<bool, StreamingError> {
        let (part, figures) = (self.part(), &self.board.figures);
        part.queue.suspend();
        course.carried = None;
        course.has_failed = true;
        figures.failures.fetch_add(1, Ordering::Relaxed);
        let is_full = matches!(error, StreamingError::DiskFull { .. });
        if course
            .connected_at
            .is_some_and(|at| at.elapsed() >= GOOD_AFTER)
        {
            (course.failures, course.failures_here) = (0, 0);
        }
        // Where this process has taken the place of another one, the server may hold that one's connection for a while.
        let is_held = course.takes_place(part.context.conditions.origin_ns);
        // A disk that fills up says nothing of the target, however often it does.
        if !is_full && !is_held {
            course.failures = course.failures.saturating_add(1);
        } else if !course.is_full {
            self.board.tell(StreamingEvent::DiskFull {
                output: self.board.id().to_owned(),
                path: course.path_or_target(&self.board.settings()),
            });
        }
        course.is_full = is_full;
        figures
            .attempts_failed
            .store(course.failures, Ordering::Relaxed);
        if part.queue.is_closed() {
            self.enter(OutputState::Stopped, Some(&error));
            return Err(error);
        }
        let settings = self.board.settings();
        match self.may_try_again(course, &settings, error) {
            Ok(error) => self.enter(OutputState::BackingOff, Some(&error)),
            Err(error) => {
                self.enter(OutputState::Failed, Some(&error));
                return Err(error);
            }
        }
        if is_held {
            part.queue.wait(HELD_RETRY);
            return Ok(part.queue.is_closed());
        }
        self.choose_url(course, &settings);
        if is_full {
            self.wait_for_room(course, &settings);
        } else {
            part.queue
                .wait(backoff::delay(settings.retry_delay, course.failures));
        }
        Ok(part.queue.is_closed())
    }

    /// Rests until it may send again, which is no fault of the peer. Says whether the output was told to end meanwhile.
    fn wait_for_leave(&self, course: &mut Course) -> bool {
        let part = self.part();
        part.queue.suspend();
        course.carried = None;
        course.has_failed = true;
        tracing::warn!(output = self.board.id(), "{}", StreamingError::NotLeading);
        self.enter(OutputState::BackingOff, Some(&StreamingError::NotLeading));
        while !part.context.conditions.leave.may_send()
            && !part.queue.is_closed()
            && part.queue.standing_order() == Order::Run
        {
            part.queue.wait(LEAVE_LOOK);
        }
        part.queue.is_closed()
    }

    /// Waits while the disk is full, for 5 s at least unless somebody asks for a retry.
    fn wait_for_room(&self, course: &Course, settings: &OutputSettings) {
        let part = self.part();
        let path = course.path_or_target(settings);
        loop {
            let begun = Instant::now();
            part.queue.wait(DISK_RETRY);
            let was_woken = begun.elapsed() < DISK_RETRY;
            if was_woken || target::check_room(&path, part.bytes_per_second).is_ok() {
                return;
            }
        }
    }

    /// Two failures in a row on one URL, and the next is tried, in turn. When a backup that was reached fails, the first URL is
    /// tried again: only then, so that a backup that works is not left for a target that may not.
    fn choose_url(&self, course: &mut Course, settings: &OutputSettings) {
        let current = self.board.figures.target_index.load(Ordering::Relaxed);
        if course.connected_at.is_some() && current > 0 {
            course.failures_here = 0;
            self.use_url(0);
            return;
        }
        course.failures_here += 1;
        if course.failures_here >= FAILURES_PER_URL && !settings.backups.is_empty() {
            course.failures_here = 0;
            self.use_url((current + 1) % (settings.backups.len() + 1));
        }
    }

    fn use_url(&self, index: usize) {
        self.board
            .figures
            .target_index
            .store(index, Ordering::Relaxed);
    }

    /// The error, as an error when it is final.
    fn may_try_again(
        &self,
        course: &Course,
        settings: &OutputSettings,
        error: StreamingError,
    ) -> Result<StreamingError, StreamingError> {
        let is_mistake = match error {
            StreamingError::FileExists { .. }
            | StreamingError::Codec(CodecError::Unsupported { .. }) => true,
            // A folder that is not there. Later on it may have been a disk that will come back.
            StreamingError::File { .. } => !course.has_connected,
            _ => false,
        };
        if is_mistake {
            return Err(error);
        }
        let failures = course.failures;
        if settings.retry_attempts > 0 && failures >= settings.retry_attempts {
            return Err(StreamingError::RetriesExhausted {
                attempts: failures,
                last: Box::new(error),
            });
        }
        let (output, target, said) = (self.board.id(), self.target_shown(), error.chain());
        if failures % WARN_EVERY <= 1 {
            tracing::warn!(output, target, failures, error = said, "{SAID}");
        } else {
            tracing::debug!(output, target, failures, error = said, "{SAID}");
        }
        Ok(error)
    }

    /// The target in use, without its key.
    pub(super) fn target_shown(&self) -> String {
        let settings = self.board.settings();
        settings.url_shown(self.board.figures.target_index.load(Ordering::Relaxed))
    }

    /// Counts a session that has begun.
    pub(super) fn count_session(&self, course: &mut Course, settings: &OutputSettings) {
        let figures = &self.board.figures;
        figures.attempts_failed.store(0, Ordering::Relaxed);
        course.connected_at = Some(Instant::now());
        // Of several threads, one counts; files are counted as such.
        let counts = self.index == 0 && !matches!(settings.kind, OutputKind::File(_));
        if counts && course.has_connected {
            if course.has_failed {
                figures.reconnects.fetch_add(1, Ordering::Relaxed);
            } else if course.carried.is_some() {
                figures.rotations.fetch_add(1, Ordering::Relaxed);
            }
        }
        course.has_connected = true;
        (course.has_failed, course.is_full) = (false, false);
    }
}
