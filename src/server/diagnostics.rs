//! Seeing inside: what each system costs, and what made the last late or dropped frame.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::answer::{Answered, Reply};
use super::routes::{Doc, Routes};

const TAG: &str = "diagnostics";

/// What every system costs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Profile {
    /// The time that a tick has, in milliseconds.
    tick_ms: f64,
    /// Every system in the order in which they run.
    systems: Vec<SystemCost>,
}

/// What one system costs, in milliseconds.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SystemCost {
    /// `set::what it does`.
    name: &'static str,
    /// How often it ran.
    runs: u64,
    /// How often it panicked.
    panics: u64,
    /// The latest run.
    last: f64,
    /// The mean over all runs.
    mean: f64,
    /// The median over the last 512 runs.
    p50: f64,
    /// The 99th percentile over the last 512 runs.
    p99: f64,
    /// The longest run.
    max: f64,
}

/// What made the last late or dropped frame.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LastDrop {
    /// The latest; null when there was none.
    last_drop: Option<Drop>,
    /// Ticks that ended after their time.
    late: u64,
    /// Frames that were the one before again.
    repeated: u64,
    /// Frames that the encoder had no room for.
    encoder_full: u64,
    /// Ticks on which no frame of the pool was free.
    pool_exhausted: u64,
}

/// One late or dropped frame.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Drop {
    /// The tick.
    tick: u64,
    /// How late it was, in milliseconds; 0 for a drop.
    late_ms: f64,
    /// What was to blame: `system`, `encoder` or `pool`.
    cause: &'static str,
    /// The system that took longest on that tick.
    system: &'static str,
    /// How long that was, in milliseconds.
    system_ms: f64,
    /// The layer that took longest to draw anew on that tick, if any was.
    layer: Option<String>,
}

/// The routes.
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/profile",
            Doc::new(TAG, "getProfile", "Says what each system costs")
                .answers::<Profile>("The times."),
            profile,
        )
        .get(
            "/diagnostics/last-drop",
            Doc::new(
                TAG,
                "getLastDrop",
                "Says what made the last late or dropped frame",
            )
            .answers::<LastDrop>("The latest, and how many there were."),
            last_drop,
        )
}

async fn profile(State(api): State<Api>) -> Answered {
    let systems = api.station().profile().summaries();
    Reply::of(Profile {
        tick_ms: 1000.0 / api.director().snapshot().rate.as_f64(),
        systems: systems
            .into_iter()
            .map(|system| SystemCost {
                name: system.name,
                runs: system.runs,
                panics: system.panics,
                last: system.last_ms,
                mean: system.mean_ms,
                p50: system.p50_ms,
                p99: system.p99_ms,
                max: system.max_ms,
            })
            .collect(),
    })
}

async fn last_drop(State(api): State<Api>) -> Answered {
    let status = api.station().status();
    let counters = status.counters;
    Reply::of(LastDrop {
        last_drop: status.blame.map(|blame| Drop {
            tick: blame.tick,
            late_ms: blame.late_ms,
            cause: blame.cause,
            system: blame.system,
            system_ms: blame.system_ms,
            layer: blame.layer,
        }),
        late: counters.late,
        repeated: counters.repeated,
        encoder_full: counters.encoder_full,
        pool_exhausted: counters.pool_exhausted,
    })
}
