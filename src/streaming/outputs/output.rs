//! One output: its handle, and its thread, where `run` retries and `run_once` works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use codec::{Interrupt, Muxer, MuxerOptions, Packet, StreamDescription};

use super::backoff;
use super::queue::{PacketQueue, Popped};
use super::settings::{OutputKind, OutputSettings};
use super::stats::{Figures, OutputState, OutputStats};
use super::target;
use crate::streaming::encoder::EncoderControl;
use crate::streaming::error::StreamingError;
use crate::streaming::event::{Listener, StreamingEvent};
use crate::streaming::thread::{NamedThread, ThreadEnd, panicked};

/// A connection that lived as long is taken as good: failures before it are forgotten.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// While failures go on, one in so many is logged as a warning, the others as detail.
const WARN_EVERY: u32 = 20;
/// The thread looks at its queue again after so long without a packet.
const IDLE: Duration = Duration::from_secs(1);

/// What every output of a rendition shares.
#[derive(Debug, Clone)]
pub(crate) struct OutputContext {
    /// Its name.
    pub(crate) rendition: String,
    /// The streams of the rendition.
    pub(crate) streams: Vec<StreamDescription>,
    /// Where a keyframe is asked for.
    pub(crate) encoder: Arc<EncoderControl>,
    /// Bytes that the socket may hold back.
    pub(crate) send_buffer_bytes: u32,
}

/// A running output.
#[derive(Debug)]
pub(crate) struct Output {
    settings: Arc<OutputSettings>,
    rendition: String,
    queue: Arc<PacketQueue>,
    figures: Arc<Figures>,
    guard: Arc<Interrupt>,
    thread: NamedThread,
}

impl Output {
    /// Starts the output's thread. Packets may be pushed to [`Output::queue`] at once.
    pub(crate) fn start(
        settings: OutputSettings,
        context: OutputContext,
        listener: Listener,
    ) -> Result<Self, StreamingError> {
        settings.validate()?;
        let settings = Arc::new(settings);
        let queue = Arc::new(PacketQueue::new(settings.max_queue));
        let figures = Arc::new(Figures::default());
        let guard = Arc::new(Interrupt::default());
        let rendition = context.rendition.clone();
        let worker = Worker {
            settings: Arc::clone(&settings),
            queue: Arc::clone(&queue),
            figures: Arc::clone(&figures),
            guard: Arc::clone(&guard),
            context,
            listener,
        };
        let thread = NamedThread::spawn(format!("output {}", settings.id), move || worker.run())?;
        Ok(Self {
            settings,
            rendition,
            queue,
            figures,
            guard,
            thread,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.settings.id
    }

    pub(crate) fn settings(&self) -> &OutputSettings {
        &self.settings
    }

    pub(crate) fn queue(&self) -> &Arc<PacketQueue> {
        &self.queue
    }

    pub(crate) fn stats(&self) -> OutputStats {
        self.figures
            .snapshot(&self.settings, &self.rendition, &self.queue)
    }

    /// Ends a wait for the next attempt. Says whether the thread is still there to hear it.
    pub(crate) fn retry_now(&self) -> bool {
        self.queue.wake();
        !matches!(
            self.figures.state(),
            OutputState::Failed | OutputState::Stopped
        )
    }

    /// Lets the output write what waits and end, for no longer than `remaining`.
    pub(crate) fn stop(&self, remaining: Duration) {
        self.guard.limit(remaining);
        self.queue.close();
    }

    /// The thread's end, once it has come. It is given once.
    pub(crate) fn poll_end(&self) -> Option<ThreadEnd> {
        self.thread.poll()
    }

    /// The end of the thread, which must have been told to stop; `None` when it was polled before.
    pub(crate) fn end_by(&self, deadline: Instant) -> Option<ThreadEnd> {
        self.thread.end_by(deadline)
    }
}

/// The thread's side.
struct Worker {
    settings: Arc<OutputSettings>,
    queue: Arc<PacketQueue>,
    figures: Arc<Figures>,
    guard: Arc<Interrupt>,
    context: OutputContext,
    listener: Listener,
}

impl Worker {
    /// Goes into a state and tells of it.
    fn enter(&self, state: OutputState, error: Option<&StreamingError>) {
        if self.figures.state() == state && error.is_none() {
            return;
        }
        self.figures.set_state(state);
        self.listener.tell(StreamingEvent::OutputState {
            output: self.settings.id.clone(),
            state,
            error: error.map(StreamingError::chain),
        });
    }

    /// Connects and writes until it is told to stop or may try no more.
    fn run(self) -> Result<(), StreamingError> {
        let mut failures = 0;
        loop {
            self.enter(OutputState::Connecting, None);
            let mut connected_at = None;
            let attempt = catch_unwind(AssertUnwindSafe(|| self.run_once(&mut connected_at)))
                .unwrap_or_else(|panic| Err(panicked(&*panic)));
            let Err(error) = attempt else {
                self.enter(OutputState::Stopped, None);
                return Ok(());
            };
            if connected_at.is_some_and(|at: Instant| at.elapsed() >= GOOD_AFTER) {
                failures = 0;
            }
            failures += 1;
            self.queue.suspend();
            self.figures
                .attempts_failed
                .store(failures, Ordering::Relaxed);
            self.figures.set_error(error.chain());
            if self.queue.is_closed() {
                self.enter(OutputState::Stopped, Some(&error));
                return Err(error);
            }
            match self.may_try_again(failures, error) {
                Ok(error) => self.enter(OutputState::BackingOff, Some(&error)),
                Err(error) => {
                    self.enter(OutputState::Failed, Some(&error));
                    return Err(error);
                }
            }
            self.queue
                .wait(backoff::delay(self.settings.retry_delay, failures));
            if self.queue.is_closed() {
                self.enter(OutputState::Stopped, None);
                return Ok(());
            }
        }
    }

    /// One connection, from opening to the end of the stream.
    fn run_once(&self, connected_at: &mut Option<Instant>) -> Result<(), StreamingError> {
        let prepared = target::prepare(&self.settings)?;
        let muxer = Muxer::open(
            &prepared.target,
            prepared.container,
            &self.context.streams,
            &self.muxer_options(),
            &self.guard,
        )
        .map_err(classify)?;
        *connected_at = Some(Instant::now());
        let connections = self.figures.connections.fetch_add(1, Ordering::Relaxed);
        // What gathered while a live peer was being reached is old by now; a file, at its first opening, wants it all.
        if connections > 0 || self.settings.kind == OutputKind::Rtmp {
            self.queue.restart();
            self.context.encoder.request_keyframe();
        }
        self.enter(OutputState::Live, None);
        self.figures.attempts_failed.store(0, Ordering::Relaxed);
        tracing::info!(
            output = self.settings.id,
            target = muxer.target(),
            "output connected"
        );
        self.write_all(muxer)
    }

    fn write_all(&self, mut muxer: Muxer) -> Result<(), StreamingError> {
        // Every connection starts at a keyframe, which is its time 0; no earlier sound follows it.
        let mut start_ns = None;
        loop {
            match self.queue.pop(IDLE) {
                Popped::Packet(packet) => {
                    let start_ns = *start_ns.get_or_insert_with(|| packet.dts_nanoseconds());
                    self.write(&mut muxer, &packet, start_ns)?;
                }
                Popped::Nothing => {}
                Popped::Ended => return muxer.finish().map_err(classify),
            }
        }
    }

    fn write(
        &self,
        muxer: &mut Muxer,
        packet: &Packet,
        start_ns: i64,
    ) -> Result<(), StreamingError> {
        muxer.write_shifted(packet, start_ns).map_err(classify)?;
        self.figures
            .bytes
            .fetch_add(packet.len() as u64, Ordering::Relaxed);
        self.figures.packets.fetch_add(1, Ordering::Relaxed);
        self.figures
            .written_ns
            .store(packet.dts_nanoseconds(), Ordering::Relaxed);
        Ok(())
    }

    /// The error, as an error when it is final.
    fn may_try_again(
        &self,
        failures: u32,
        error: StreamingError,
    ) -> Result<StreamingError, StreamingError> {
        let (id, target) = (&self.settings.id, self.settings.target_shown());
        // A file cannot be opened again without losing it, and a full disk does not empty itself.
        let is_final = matches!(self.settings.kind, OutputKind::File(_))
            || matches!(error, StreamingError::DiskFull { .. });
        if is_final {
            return Err(error);
        }
        if self.settings.retry_attempts > 0 && failures >= self.settings.retry_attempts {
            return Err(StreamingError::RetriesExhausted {
                attempts: failures,
                last: Box::new(error),
            });
        }
        let said = error.chain();
        if failures % WARN_EVERY == 1 {
            tracing::warn!(
                output = id,
                target,
                failures,
                error = said,
                "output failed; it will be tried again"
            );
        } else {
            tracing::debug!(
                output = id,
                target,
                failures,
                error = said,
                "output failed; it will be tried again"
            );
        }
        Ok(error)
    }

    fn muxer_options(&self) -> MuxerOptions {
        MuxerOptions {
            ca_file: self.settings.ca_file.clone(),
            hls: self.settings.hls.clone(),
            send_buffer_bytes: self.context.send_buffer_bytes,
            open_timeout: self.settings.timeout,
            write_timeout: self.settings.timeout,
            ..MuxerOptions::default()
        }
    }
}

fn classify(error: codec::CodecError) -> StreamingError {
    if error.is_disk_full() {
        StreamingError::DiskFull { source: error }
    } else {
        error.into()
    }
}
