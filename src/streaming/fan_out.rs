//! The list of outputs that the encoder's packets go to, which may change at any time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use codec::{Packet, StreamDescription, StreamKind};

use super::encoder::EncoderSettings;
use super::outputs::PacketQueue;
use super::replay::Replay;

/// How many keyframes are remembered.
const KEYFRAMES: usize = 32;

/// Somebody beside the outputs who takes the packets of a rendition, on the encoder's thread: it never waits.
pub trait PacketTap: std::fmt::Debug + Send + Sync {
    /// Whether packets are wanted now; a rendition that nobody wants is not encoded.
    fn is_wanted(&self) -> bool;

    /// Packets of these streams follow.
    fn begin(&self, settings: &EncoderSettings, streams: &[StreamDescription]);

    /// A packet.
    fn push(&self, packet: &Packet);

    /// No packet follows.
    fn end(&self);
}

/// Every packet goes to every queue by reference. The list is replaced, never changed in place, so that the encoder
/// holds the lock only to take it. Times of picture and sound only grow, whichever encoder thread they come from: what is not
/// later than the last is left out, which is the first sound of an encoder that took the place of one that hung.
#[derive(Debug)]
pub(super) struct FanOut {
    queues: Mutex<Arc<Vec<Arc<PacketQueue>>>>,
    /// Decoding times of the last picture and the last sound, in nanoseconds.
    last_ns: [AtomicI64; 2],
    replay: Mutex<Option<Arc<Replay>>>,
    tap: Mutex<Option<Arc<dyn PacketTap>>>,
    marks: Mutex<Marks>,
}

/// Where the stream stands on its own clock, in nanoseconds since tick 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// The end of the newest frame.
    pub(super) newest_ns: i64,
    /// The last keyframes, the oldest first.
    pub(super) keyframes_ns: VecDeque<i64>,
}

impl Default for FanOut {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
            last_ns: [const { AtomicI64::new(i64::MIN) }; 2],
            replay: Mutex::default(),
            tap: Mutex::default(),
            marks: Mutex::default(),
        }
    }
}

impl FanOut {
    pub(super) fn add(&self, queue: Arc<PacketQueue>) {
        self.change(|queues| queues.push(queue));
    }

    pub(super) fn remove(&self, queue: &Arc<PacketQueue>) {
        self.change(|queues| queues.retain(|other| !Arc::ptr_eq(other, queue)));
    }

    /// Whether anybody takes packets.
    pub(super) fn is_wanted(&self) -> bool {
        !lock(&self.queues).is_empty()
            || lock(&self.replay).is_some()
            || lock(&self.tap).as_ref().is_some_and(|tap| tap.is_wanted())
    }

    /// Who takes the packets beside the outputs from now on.
    pub(super) fn set_tap(&self, tap: Option<Arc<dyn PacketTap>>) {
        *lock(&self.tap) = tap;
    }

    /// Who keeps the last seconds from now on.
    pub(super) fn set_replay(&self, replay: Option<Arc<Replay>>) {
        *lock(&self.replay) = replay;
    }

    /// Where the stream stands.
    pub(super) fn marks(&self) -> Marks {
        lock(&self.marks).clone()
    }

    /// Gives `packet` to every output. Never waits for one.
    pub(super) fn push(&self, packet: &Packet) {
        let kind = usize::from(packet.kind() == StreamKind::Audio);
        let now_ns = packet.dts_nanoseconds();
        if self.last_ns[kind].fetch_max(now_ns, Ordering::Relaxed) >= now_ns {
            return;
        }
        lock(&self.marks).note(packet);
        let queues = Arc::clone(&lock(&self.queues));
        for queue in queues.iter() {
            queue.push(packet);
        }
        let replay = lock(&self.replay).clone();
        if let Some(replay) = replay {
            replay.push(packet);
        }
        let tap = lock(&self.tap).clone();
        if let Some(tap) = tap {
            tap.push(packet);
        }
    }

    /// By how many seconds the newest sound is ahead of the newest picture; `None` before there are both.
    pub(super) fn sound_ahead_s(&self) -> Option<f64> {
        let [picture, sound] = [0, 1].map(|kind: usize| self.last_ns[kind].load(Ordering::Relaxed));
        let both = picture != i64::MIN && sound != i64::MIN;
        // Far below 2^52 nanoseconds apart.
        #[expect(clippy::cast_precision_loss, reason = "a statistic")]
        both.then(|| (sound - picture) as f64 / 1e9)
    }

    /// Tells every output that no packet follows.
    pub(super) fn close(&self) {
        let queues = Arc::clone(&lock(&self.queues));
        for queue in queues.iter() {
            queue.close();
        }
        if let Some(tap) = lock(&self.tap).take() {
            tap.end();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<PacketQueue>>)) {
        let mut queues = lock(&self.queues);
        let mut changed = queues.as_ref().clone();
        change(&mut changed);
        *queues = Arc::new(changed);
    }
}

impl Marks {
    fn note(&mut self, packet: &Packet) {
        if packet.kind() != StreamKind::Video {
            return;
        }
        let length_ns = i64::try_from(packet.length().as_nanos()).unwrap_or(0);
        let at_ns = packet.dts_nanoseconds();
        self.newest_ns = at_ns + length_ns;
        if packet.is_key() {
            if self.keyframes_ns.len() == KEYFRAMES {
                self.keyframes_ns.pop_front();
            }
            self.keyframes_ns.push_back(at_ns);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
