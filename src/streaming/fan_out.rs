//! The list of outputs that the encoder's packets go to, which may change at any time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use codec::{Packet, StreamKind};

use super::outputs::PacketQueue;

/// Every packet goes to every queue by reference. The list is replaced, never changed in place, so that the encoder
/// holds the lock only to take it. Times of picture and sound only grow, whichever encoder thread they come from: what is not
/// later than the last is left out, which is the first sound of an encoder that took the place of one that hung.
#[derive(Debug)]
pub(super) struct FanOut {
    queues: Mutex<Arc<Vec<Arc<PacketQueue>>>>,
    /// Decoding times of the last picture and the last sound, in nanoseconds.
    last_ns: [AtomicI64; 2],
}

impl Default for FanOut {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
            last_ns: [const { AtomicI64::new(i64::MIN) }; 2],
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

    /// Gives `packet` to every output. Never waits for one.
    pub(super) fn push(&self, packet: &Packet) {
        let kind = usize::from(packet.kind() == StreamKind::Audio);
        let now_ns = packet.dts_nanoseconds();
        if self.last_ns[kind].fetch_max(now_ns, Ordering::Relaxed) >= now_ns {
            return;
        }
        let queues = Arc::clone(&self.queues.lock().unwrap_or_else(PoisonError::into_inner));
        for queue in queues.iter() {
            queue.push(packet);
        }
    }

    /// Tells every output that no packet follows.
    pub(super) fn close(&self) {
        let queues = Arc::clone(&self.queues.lock().unwrap_or_else(PoisonError::into_inner));
        for queue in queues.iter() {
            queue.close();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<PacketQueue>>)) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = queues.as_ref().clone();
        change(&mut changed);
        *queues = Arc::new(changed);
    }
}
