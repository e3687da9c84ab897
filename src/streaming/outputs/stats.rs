//! What can be seen of an output from other threads.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::queue::PacketQueue;
use super::settings::OutputSettings;

/// What an output is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputState {
    /// Opening its target.
    Connecting,
    /// Connected; packets are being written.
    Live,
    /// Its last attempt failed; it waits before the next.
    BackingOff,
    /// Ended as asked.
    Stopped,
    /// Gave up; only a retry by hand helps.
    Failed,
}

impl OutputState {
    const ALL: [Self; 5] = [
        Self::Connecting,
        Self::Live,
        Self::BackingOff,
        Self::Stopped,
        Self::Failed,
    ];
}

/// One output at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputStats {
    /// The output's name.
    pub id: String,
    /// The rendition that it carries.
    pub rendition: String,
    /// Its target, without the stream key.
    pub target: String,
    /// What it is doing.
    pub state: OutputState,
    /// Bytes of packets written, over all connections.
    pub bytes: u64,
    /// Packets written, over all connections.
    pub packets: u64,
    /// Packets dropped because the output was behind.
    pub packets_dropped: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Attempts that failed since it was last connected.
    pub attempts_failed: u32,
    /// Packets that wait.
    pub queue_len: usize,
    /// How far the last packet written is behind the encoder; zero unless it is live.
    pub lag: Duration,
    /// The last failure, without the stream key.
    pub last_error: Option<String>,
}

/// The live figures, written by the output's thread alone.
#[derive(Debug, Default)]
pub(super) struct Figures {
    state: AtomicU8,
    pub(super) bytes: AtomicU64,
    pub(super) packets: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) attempts_failed: AtomicU32,
    pub(super) written_ns: AtomicI64,
    last_error: Mutex<Option<String>>,
}

impl Figures {
    pub(super) fn set_state(&self, state: OutputState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> OutputState {
        let index = usize::from(self.state.load(Ordering::Relaxed));
        OutputState::ALL
            .get(index)
            .copied()
            .unwrap_or(OutputState::Failed)
    }

    pub(super) fn set_error(&self, error: String) {
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn snapshot(
        &self,
        settings: &OutputSettings,
        rendition: &str,
        queue: &PacketQueue,
    ) -> OutputStats {
        let state = self.state();
        let queued = queue.figures();
        let behind = queued.newest_ns - self.written_ns.load(Ordering::Relaxed);
        let is_measured = state == OutputState::Live && self.packets.load(Ordering::Relaxed) > 0;
        OutputStats {
            id: settings.id.clone(),
            rendition: rendition.to_owned(),
            target: settings.target_shown(),
            state,
            bytes: self.bytes.load(Ordering::Relaxed),
            packets: self.packets.load(Ordering::Relaxed),
            packets_dropped: queued.dropped,
            reconnects: self.connections.load(Ordering::Relaxed).saturating_sub(1),
            attempts_failed: self.attempts_failed.load(Ordering::Relaxed),
            queue_len: queued.waiting,
            lag: Duration::from_nanos(if is_measured {
                u64::try_from(behind).unwrap_or(0)
            } else {
                0
            }),
            last_error: self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}
