//! How changes are saved, and how well that goes: plain values of the [`Persister`](super::Persister).

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error;

/// How it persists.
#[derive(Clone, Copy, Debug)]
pub struct PersistOptions {
    /// The least time from the begin of one commit to that of the next.
    pub pause: Duration,
    /// The first pause after a failure; it doubles with each, and has chance in it.
    pub retry_first: Duration,
    /// The longest pause after a failure.
    pub retry_max: Duration,
    /// How often the store is asked how it is while nothing changes.
    pub look: Duration,
    /// Changes that wait for longer than this are told as `degraded`.
    pub lag_max: Duration,
    /// For how long it is told after the last of them was saved.
    pub slow_told: Duration,
}

impl Default for PersistOptions {
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(25),
            retry_first: Duration::from_millis(50),
            retry_max: Duration::from_secs(1),
            look: Duration::from_secs(1),
            lag_max: Duration::from_millis(150),
            slow_told: Duration::from_secs(5),
        }
    }
}

/// How well changes are saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "StoreState")]
pub enum PersistState {
    /// The store takes what it is given.
    Ok,
    /// The store answers, and does not take all: it is slow, full, read-only, or refuses. Changes are kept in memory.
    Degraded,
    /// The store does not answer. Changes are kept in memory.
    Down,
}

/// Where saving stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StoreStatus")]
pub struct PersistStatus {
    /// `embedded` or `redis`.
    pub engine: &'static str,
    /// How well it goes.
    pub state: PersistState,
    /// Why it does not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The newest revision that was given.
    pub revision: u64,
    /// The newest revision that outlives the process.
    pub durable_revision: u64,
    /// How long the oldest change waits, in milliseconds.
    pub lag_ms: u64,
    /// How many documents wait.
    pub pending: usize,
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersistCounters {
    /// Commits that the store took.
    pub commits: u64,
    /// Commits that it did not take.
    pub failures: u64,
    /// Bytes of documents in those that it took.
    pub bytes: u64,
    /// Microseconds that the oldest change of each commit waited until it was saved, summed up.
    pub waited_us: u64,
}

/// A revision is not durable yet. It is kept and becomes so later, unless the process dies first.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("revision {revision} is not saved yet; {durable_revision} is")]
pub struct NotDurable {
    /// The one that was waited for.
    pub revision: u64,
    /// The newest that is.
    pub durable_revision: u64,
}
