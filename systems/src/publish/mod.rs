//! Set `Publish`: lets everybody outside the world see what the tick came to, without anybody waiting.

mod door;
mod placed;

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use bevy_app::App;
use bevy_ecs::prelude::*;
use raster::ComposeStats;

use crate::clock::FrameClock;
use crate::profile::{AddTimed, Profile};
use crate::render::{ComposedFrame, RasterCosts};
use crate::scene::answer_motions;
use crate::schedule::{Tick, TickSet};

pub(crate) use door::Requests;
pub use door::{Door, REQUESTS_MAX, Reply};
pub use placed::{LAYERS_MAX, PlacedDoor, PlacedLayer, PlacedLayers};

/// Counts since the start.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Frames given to the encoders, repeats included.
    pub frames: u64,
    /// Frames that are the one before again because the tick was late or had no free frame.
    pub repeated: u64,
    /// Ticks that ended after their deadline.
    pub late: u64,
    /// Frames that an encoder had no room for.
    pub encoder_full: u64,
    /// Ticks on which no frame of the pool was free.
    pub pool_exhausted: u64,
    /// Tiles composed.
    pub tiles_composed: u64,
    /// Tiles of all frames together.
    pub tiles_total: u64,
    /// Raised by every applied change.
    pub revision: u64,
}

/// What made the latest late or dropped frame.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blame {
    /// The tick.
    pub tick: u64,
    /// How late it was, in milliseconds; 0 for a drop.
    pub late_ms: f64,
    /// What was to blame: `system`, `encoder` or `pool`.
    pub cause: &'static str,
    /// The system that took longest on that tick.
    pub system: &'static str,
    /// How long that was, in milliseconds.
    pub system_ms: f64,
    /// The layer that took longest to draw anew on that tick, if any was.
    pub layer: Option<String>,
}

/// One tick as others see it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The tick.
    pub tick: u64,
    /// Counts since the start.
    pub counters: Counters,
    /// What the last frame took.
    pub compose: ComposeStats,
    /// The latest blame.
    pub blame: Option<Blame>,
}

/// The newest [`Status`], to be read at any time from any thread.
#[derive(Resource, Clone, Default)]
pub struct StatusBoard(Arc<Mutex<Status>>);

impl StatusBoard {
    /// A copy of the newest status.
    pub fn read(&self) -> Status {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the status, unless somebody reads it this very moment: the next tick writes it anyway.
    fn try_write(&self, write: impl FnOnce(&mut Status)) {
        match self.0.try_lock() {
            Ok(mut status) => write(&mut status),
            Err(TryLockError::Poisoned(poisoned)) => write(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// The blame to publish next.
#[derive(Resource, Default)]
pub(crate) struct LatestBlame(pub Option<Blame>);

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<Counters>()
        .init_resource::<StatusBoard>()
        .init_resource::<LatestBlame>();
    let system = app.timed(TickSet::Publish, "publish::write_status", write_status);
    let answer = app.timed(TickSet::Publish, "publish::placed_layers", placed::answer);
    let motions = app.timed(TickSet::Publish, "publish::motions", answer_motions);
    app.add_systems(Tick, (system, answer, motions).chain());
}

fn write_status(
    clock: Res<FrameClock>,
    composed: Res<ComposedFrame>,
    board: Res<StatusBoard>,
    profile: Res<Profile>,
    costs: Res<RasterCosts>,
    mut counters: ResMut<Counters>,
    mut blame: ResMut<LatestBlame>,
    mut seen: Local<Drops>,
) {
    counters.frames += u64::from(composed.frame.is_some());
    counters.tiles_composed += composed.stats.tiles_composed as u64;
    counters.tiles_total += composed.stats.tiles_total as u64;
    let drops = Drops {
        encoder_full: counters.encoder_full,
        pool_exhausted: counters.pool_exhausted,
    };
    if drops.pool_exhausted > seen.pool_exhausted {
        blame.0 = Some(blame_tick(&profile, &costs, "pool", clock.tick, 0.0));
    } else if drops.encoder_full > seen.encoder_full {
        blame.0 = Some(blame_tick(&profile, &costs, "encoder", clock.tick, 0.0));
    }
    *seen = drops;
    let latest = blame.0.take();
    board.try_write(|status| {
        status.tick = clock.tick;
        status.counters = *counters;
        status.compose = composed.stats;
        if latest.is_some() {
            status.blame = latest;
        }
    });
}

/// The counts of dropped and unmade frames at the end of the last tick.
#[derive(Default)]
struct Drops {
    encoder_full: u64,
    pool_exhausted: u64,
}

/// Names what made a tick late.
pub(crate) fn blame_tick(
    profile: &Profile,
    costs: &RasterCosts,
    cause: &'static str,
    tick: u64,
    late_ms: f64,
) -> Blame {
    let (system, nanos) = profile.slowest().unwrap_or(("none", 0));
    Blame {
        tick,
        late_ms,
        cause,
        system,
        system_ms: nanos as f64 / 1e6,
        layer: costs.worst().map(str::to_owned),
    }
}
