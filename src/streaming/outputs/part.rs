//! One part of an output: what its thread, its handle and the watcher share.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::{Interrupt, StreamDescription, Transport, TransportProbe};

use super::queue::PacketQueue;
use crate::streaming::encoder::EncoderControl;
use crate::streaming::leave::Conditions;
use crate::streaming::rendition::RenditionSettings;

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
    /// Under which the stream has started.
    pub(crate) conditions: Conditions,
}

/// The way of one rendition's packets within an output.
#[derive(Debug)]
pub(super) struct Part {
    /// Its place among the parts.
    pub(super) index: usize,
    pub(super) context: OutputContext,
    /// Of picture and sound, as they are set.
    pub(super) bytes_per_second: u32,
    pub(super) queue: Arc<PacketQueue>,
    /// Decoding time of the last packet written, in nanoseconds.
    pub(super) written_ns: AtomicI64,
    /// The watcher found that nothing is written; the next packet ends that.
    pub(super) is_stalled: AtomicBool,
    progress: Mutex<Instant>,
    peer: Mutex<Option<Peer>>,
    bounds: Mutex<Bounds>,
}

/// What is known of a connection's other end.
#[derive(Debug)]
struct Peer {
    probe: TransportProbe,
    acknowledged: u64,
    /// When that last became more, or nothing was on the way.
    at: Instant,
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
    pub(super) fn new(
        index: usize,
        context: OutputContext,
        rendition: &RenditionSettings,
        capacity: usize,
    ) -> Self {
        let encoder = &rendition.encoder;
        let audio_kbps = encoder.audio.map_or(0, |audio| audio.bitrate_kbps);
        let kbps = encoder.video.bitrate_kbps.saturating_add(audio_kbps);
        Self {
            index,
            context,
            bytes_per_second: kbps.saturating_mul(125),
            queue: Arc::new(PacketQueue::new(capacity)),
            written_ns: AtomicI64::new(i64::MIN),
            is_stalled: AtomicBool::new(false),
            progress: Mutex::new(Instant::now()),
            peer: Mutex::new(None),
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

    /// A session begins; `probe` asks about its peer.
    pub(super) fn connect(&self, probe: Option<TransportProbe>) {
        let at = Instant::now();
        *self.peer() = probe.map(|probe| Peer {
            probe,
            acknowledged: 0,
            at,
        });
        self.progressed();
    }

    /// The session ends.
    pub(super) fn disconnect(&self) {
        *self.peer() = None;
    }

    /// What the peer has confirmed, and for how long it has confirmed nothing of what is on its way. What is written may lie in
    /// the kernel for seconds, so writes alone do not tell that a peer has gone.
    pub(super) fn look_at_peer(&self) -> Option<(Transport, Duration)> {
        let mut peer = self.peer();
        let peer = peer.as_mut()?;
        let transport = peer.probe.transport()?;
        if transport.bytes_in_flight == 0 || transport.bytes_acknowledged > peer.acknowledged {
            (peer.acknowledged, peer.at) = (transport.bytes_acknowledged, Instant::now());
        }
        Some((transport, peer.at.elapsed()))
    }

    /// Makes the session under way fail.
    pub(super) fn give_up(&self) {
        self.bounds().guard.abort();
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

    fn peer(&self) -> MutexGuard<'_, Option<Peer>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bounds(&self) -> MutexGuard<'_, Bounds> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Instant> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
