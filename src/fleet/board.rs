//! How an instance of a fleet does: written by its supervisor and its carriers, read by who asks over HTTP. Holds no secret.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::ports::Ports;

/// How often an instance says that it is there; its leases hold three times as long.
pub const BEAT: Duration = Duration::from_secs(1);
/// After so long without an attempt to say so, the supervisor counts as stalled. One attempt may take 6 s.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How a channel stands at its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelState {
    /// Its process is there.
    Running,
    /// Its process ended, and is started again after a pause.
    Waiting,
    /// Its process was told to end.
    Stopping,
    /// What stands in Redis is not a channel that can be started.
    Refused,
}

/// One channel that the instance has.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStatus {
    /// Its STREAM_ID.
    pub id: String,
    /// As it was given.
    pub scene: Option<String>,
    /// How it stands.
    pub state: ChannelState,
    /// Its process.
    pub pid: Option<u32>,
    /// Whether its `/health` says so; not known before it has answered once. Whether it is on air says its `/ready`.
    pub is_well: Option<bool>,
    /// Its place, which its ports follow from; counted from 0.
    pub slot: Option<u16>,
    /// Its ports.
    pub ports: Option<Ports>,
    /// How often its process ended without being told to, since the instance has it.
    pub restarts: u64,
    /// When its process started, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Why its process ended last, or why it is refused.
    pub error: Option<String>,
}

/// What the last attempt to reach Redis came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisState {
    /// There was none yet.
    Unknown,
    /// It answered.
    Ok,
    /// It did not; what runs goes on.
    Away,
}

/// Everything that is told of an instance.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// The name of the fleet.
    pub fleet: String,
    /// The name of the instance.
    pub instance: String,
    /// Channels that it carries at most.
    pub capacity: usize,
    /// Whether Redis answers.
    pub redis: RedisState,
    /// What Redis said where it does not.
    pub redis_error: Option<String>,
    /// How often a process ended without being told to, with those of channels that it has no more.
    pub restarts: u64,
    /// What it has, by name.
    #[serde(serialize_with = "as_list")]
    pub channels: BTreeMap<String, ChannelStatus>,
    /// The last attempt to reach Redis.
    #[serde(skip)]
    pub last_beat: Instant,
}

fn as_list<S: serde::Serializer>(
    channels: &BTreeMap<String, ChannelStatus>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(channels.values())
}

impl FleetStatus {
    /// Channels whose process is there.
    #[must_use]
    pub fn running(&self) -> usize {
        let states = self.channels.values().map(|channel| channel.state);
        states
            .filter(|state| *state == ChannelState::Running)
            .count()
    }

    /// Whether the supervisor does its work. That Redis is away is no reason to end it, since nothing would come back by that.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.last_beat.elapsed() <= SILENCE_MAX
    }

    /// Whether it belongs to the fleet: Redis answers, or it carries something all the same.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_well()
            && match self.redis {
                RedisState::Ok => true,
                RedisState::Away => self.running() > 0,
                RedisState::Unknown => false,
            }
    }
}

/// The place where it is kept. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<FleetStatus>>);

impl Board {
    /// Of an instance that has nothing yet.
    #[must_use]
    pub fn new(fleet: &str, instance: &str, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(FleetStatus {
            fleet: fleet.to_owned(),
            instance: instance.to_owned(),
            capacity,
            redis: RedisState::Unknown,
            redis_error: None,
            restarts: 0,
            channels: BTreeMap::new(),
            last_beat: Instant::now(),
        })))
    }

    /// As it stands now.
    #[must_use]
    pub fn read(&self) -> FleetStatus {
        self.write().clone()
    }

    pub(super) fn write(&self) -> MutexGuard<'_, FleetStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is told of one channel, if it is there.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut ChannelStatus)) {
        if let Some(channel) = self.write().channels.get_mut(id) {
            change(channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_away_is_no_reason_to_end_what_runs() {
        let board = Board::new("main", "one", 2);
        assert!(board.read().is_well() && !board.read().is_ready());
        board.write().redis = RedisState::Ok;
        assert!(board.read().is_ready());
        board.write().redis = RedisState::Away;
        assert!(board.read().is_well() && !board.read().is_ready());
        let channel = ChannelStatus {
            id: "a".to_owned(),
            scene: None,
            state: ChannelState::Running,
            pid: None,
            is_well: None,
            slot: None,
            ports: None,
            restarts: 0,
            since_ms: None,
            error: None,
        };
        board.write().channels.insert("a".to_owned(), channel);
        assert!(board.read().is_ready());
        board.change("a", |channel| channel.state = ChannelState::Waiting);
        assert!(!board.read().is_ready());
    }
}
