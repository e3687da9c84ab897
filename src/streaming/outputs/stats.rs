//! What can be seen of an output from other threads.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use codec::Transport;

/// What an output is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputState {
    /// Configured, and not started.
    Idle,
    /// Opening its target.
    Connecting,
    /// Connected; packets are being written.
    Live,
    /// Connected, and no packet was written for 1.5 s: its peer or its disk takes nothing, or nothing comes to be written. It is
    /// given up when one write takes longer than the output's timeout, and live again with the next packet.
    Stalled,
    /// Its last attempt failed, or its disk is full; it waits before the next.
    BackingOff,
    /// Ended for good, because it was removed or the program ended.
    Stopped,
    /// Gave up; only a retry by hand helps.
    Failed,
}

impl OutputState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Connecting,
        Self::Live,
        Self::Stalled,
        Self::BackingOff,
        Self::Stopped,
        Self::Failed,
    ];

    /// Its name in JSON and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::BackingOff => "backingOff",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether a peer is connected or a file is open.
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Live | Self::Stalled)
    }

    /// How much a part of an output in this state speaks for the whole: the worst does.
    const fn weight(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Idle => 1,
            Self::Live => 2,
            Self::Connecting => 3,
            Self::Stalled => 4,
            Self::BackingOff => 5,
            Self::Failed => 6,
        }
    }

    /// The state of an output whose parts are in `states`.
    pub(super) fn of_all(states: &[Self]) -> Self {
        let worst = states.iter().max_by_key(|state| state.weight());
        worst.copied().unwrap_or(Self::Idle)
    }
}

/// An error that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastError {
    /// When it happened.
    pub at: SystemTime,
    /// What it was, without the stream key.
    pub text: String,
}

/// One output at one moment. Counts are over all its connections, and go on through retries and changes.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputStats {
    /// The output's name.
    pub id: String,
    /// The rendition that it carries; several are joined by commas.
    pub rendition: String,
    /// The target in use, without the stream key.
    pub target: String,
    /// Which target is in use: 0 is the first, 1 the first of the backups.
    pub target_index: usize,
    /// What it is doing.
    pub state: OutputState,
    /// Bytes of packets written.
    pub bytes: u64,
    /// Kilobits a second written over the last second; 0 unless it is live.
    pub kbps: f64,
    /// Packets written.
    pub packets: u64,
    /// Packets dropped because the output was behind.
    pub packets_dropped: u64,
    /// Connections made anew after a failure.
    pub reconnects: u64,
    /// Sessions ended and begun anew because of their length, or for a new target.
    pub rotations: u64,
    /// Attempts that failed since it was last connected.
    pub attempts_failed: u32,
    /// Attempts that failed, and connections that broke.
    pub failures: u64,
    /// Packets that wait; in several renditions together.
    pub queue_len: usize,
    /// Media time of what waits, in the rendition that is furthest behind.
    pub queue_span: Duration,
    /// How far the last packet written is behind the encoder; zero unless it is connected.
    pub lag: Duration,
    /// Since when it has been connected.
    pub connected_since: Option<SystemTime>,
    /// How long it was connected, all connections together.
    pub uptime: Duration,
    /// What the peer has confirmed, where the protocol tells; in several renditions, of the first.
    pub acknowledged: Option<Transport>,
    /// Files ended.
    pub files_finished: u64,
    /// The last failure, without the stream key.
    pub last_error: Option<String>,
    /// When the last failure was.
    pub last_error_at: Option<SystemTime>,
}

/// The counts of an output. They outlive its threads when it is started anew.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) bytes: AtomicU64,
    pub(super) packets: AtomicU64,
    pub(super) reconnects: AtomicU64,
    pub(super) rotations: AtomicU64,
    pub(super) attempts_failed: AtomicU32,
    pub(super) failures: AtomicU64,
    pub(super) files_finished: AtomicU64,
    pub(super) target_index: AtomicUsize,
    /// Packets that queues of earlier threads dropped.
    pub(super) dropped_before: AtomicU64,
    /// An `f64`, as its bits.
    kbps: AtomicU64,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    connected: Option<(Instant, SystemTime)>,
    /// Of connections that have ended.
    uptime: Duration,
    last_error: Option<PastError>,
    acknowledged: Option<Transport>,
}

/// What [`Figures`] knows of connections.
pub(super) struct Connections {
    pub(super) since: Option<SystemTime>,
    pub(super) uptime: Duration,
    pub(super) last_error: Option<PastError>,
    pub(super) acknowledged: Option<Transport>,
}

impl Figures {
    pub(super) fn set_error(&self, text: String) {
        self.history().last_error = Some(PastError {
            at: SystemTime::now(),
            text,
        });
    }

    /// Keeps the times of connections when the output goes into `state`.
    pub(super) fn account(&self, state: OutputState) {
        let mut history = self.history();
        match (state.is_connected(), history.connected) {
            (true, None) => history.connected = Some((Instant::now(), SystemTime::now())),
            (false, Some((at, _))) => {
                history.uptime += at.elapsed();
                history.connected = None;
                history.acknowledged = None;
            }
            _ => {}
        }
    }

    pub(super) fn connections(&self) -> Connections {
        let history = self.history();
        let running = history
            .connected
            .map_or(Duration::ZERO, |(at, _)| at.elapsed());
        Connections {
            since: history.connected.map(|(_, since)| since),
            uptime: history.uptime + running,
            last_error: history.last_error.clone(),
            acknowledged: history.acknowledged,
        }
    }

    pub(super) fn set_acknowledged(&self, acknowledged: Option<Transport>) {
        self.history().acknowledged = acknowledged;
    }

    pub(super) fn set_kbps(&self, kbps: f64) {
        self.kbps.store(kbps.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn kbps(&self) -> f64 {
        f64::from_bits(self.kbps.load(Ordering::Relaxed))
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_speaks_for_the_whole() {
        use OutputState::{BackingOff, Connecting, Failed, Idle, Live, Stalled, Stopped};
        for (states, whole) in [
            (vec![Live, Live], Live),
            (vec![Live, Stopped], Live),
            (vec![Live, Connecting], Connecting),
            (vec![Stalled, Connecting], Stalled),
            (vec![Failed, Live], Failed),
            (vec![BackingOff, Stalled], BackingOff),
            (vec![Idle, Stopped], Idle),
            (vec![], Idle),
        ] {
            assert_eq!(OutputState::of_all(&states), whole, "{states:?}");
        }
    }

    #[test]
    fn connected_time_adds_up_over_connections() {
        let figures = Figures::default();
        figures.account(OutputState::Connecting);
        assert_eq!(figures.connections().since, None);
        figures.account(OutputState::Live);
        let since = figures.connections().since;
        assert!(since.is_some());
        figures.account(OutputState::Stalled);
        assert_eq!(figures.connections().since, since, "still connected");
        figures.account(OutputState::BackingOff);
        let uptime = figures.connections().uptime;
        assert!(uptime > Duration::ZERO && figures.connections().since.is_none());
        assert_eq!(figures.connections().uptime, uptime);
    }
}
