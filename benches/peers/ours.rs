//! Our side without an encoder: composing, the bare tick, and what it allocates.

use std::time::Instant;

use anyhow::{Result, ensure};
use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::Schedules;
use stream_manager::clock::now_nanos;
use systems::Engine;
use systems::profile::{AddTimed as _, Profile};
use systems::schedule::{self, Tick, TickSet};

use crate::alloc;
use crate::scenes::Stage;
use crate::usage::{Cost, Who, measure};

/// Frames a second where nothing is on the air.
pub const FPS: u32 = 30;
/// Frames of the pool, as the program has them by default (`POOL_SIZE`).
pub const POOL_FRAMES: usize = 16;
/// Ticks before anything is measured.
const WARM_UP: u64 = 30;

/// What composing took.
pub struct Composing {
    pub cost: Cost,
    /// Milliseconds of a tick, median, wall time.
    pub tick_ms: f64,
    /// The part of all tiles that was composed anew, 0 to 1.
    pub damage: f64,
    /// Mean milliseconds a tick of each set of the schedule that took any.
    pub sets: Vec<(TickSet, f64)>,
}

/// Ticks `frames` times, with the frames thrown away.
///
/// # Errors
/// The engine's.
pub fn compose(stage: &Stage, threads: usize, frames: u64) -> Result<Composing> {
    let mut engine = warm(stage, threads)?;
    let (tiles, times) = (tiles(&engine), set_nanos(&engine));
    let (tick_ms, cost) = measure(Who::Ourselves, || Ok(median_tick_ms(&mut engine, frames)))?;
    let counters = engine.counters();
    ensure!(counters.repeated == 0, "the pool ran dry");
    let (composed, total) = self::tiles(&engine);
    let sets = set_nanos(&engine)
        .iter()
        .zip(&times)
        .map(|((set, after), (_, before))| (*set, (after - before) as f64 / 1e6 / frames as f64))
        .collect();
    Ok(Composing {
        cost,
        tick_ms,
        damage: (composed - tiles.0) as f64 / (total - tiles.1).max(1) as f64,
        sets,
    })
}

/// The median time of a tick in milliseconds, and of composing within it.
///
/// # Errors
/// The engine's.
pub fn tick_ms(stage: &Stage, ticks: u64) -> Result<(f64, f64)> {
    let mut engine = warm(stage, 0)?;
    let tick_ms = median_tick_ms(&mut engine, ticks);
    Ok((tick_ms, system_ms(&engine, "render::compose")))
}

/// The median time of a system in milliseconds.
pub fn system_ms(engine: &Engine, name: &str) -> f64 {
    let summaries = engine.profile().summaries();
    let system = summaries.iter().find(|system| system.name == name);
    system.map_or(0.0, |system| system.p50_ms)
}

/// What ticks allocate once they are warm.
pub struct Allocations {
    /// A tick, on the average of those on which no text changed.
    pub steady: f64,
    /// A tick on which the second changed.
    pub on_second: f64,
}

/// Counts over four seconds, with two threads.
///
/// # Errors
/// The engine's.
pub fn allocations(stage: &Stage) -> Result<Allocations> {
    let mut engine = stage.engine(FPS, 2, POOL_FRAMES)?;
    // Long enough for every list to have found its size.
    for _ in 0..4 * FPS {
        engine.tick();
    }
    let (mut steady, mut on_second) = ((0, 0), (0, 0));
    for _ in 0..4 * FPS {
        let before = alloc::count();
        let report = engine.tick();
        let counted = if report.tick.is_multiple_of(u64::from(FPS)) {
            &mut on_second
        } else {
            &mut steady
        };
        counted.0 += alloc::count() - before;
        counted.1 += 1;
    }
    let mean = |(allocations, ticks): (u64, u64)| allocations as f64 / ticks as f64;
    Ok(Allocations {
        steady: mean(steady),
        on_second: mean(on_second),
    })
}

/// What timing every system costs a tick, in milliseconds: as many systems that do nothing, with their stopwatches and without.
///
/// # Errors
/// The engine's.
pub fn profiling_ms(stage: &Stage) -> Result<f64> {
    const RUNS: u32 = 5_000;
    const ROUNDS: usize = 7;
    let systems = stage.engine(FPS, 1, POOL_FRAMES)?.profile().systems().len();
    let (mut timed, mut bare) = (idle(systems, true), idle(systems, false));
    let run = |(world, schedule): &mut (World, Schedule)| {
        let start = Instant::now();
        for _ in 0..RUNS {
            schedule.run(world);
        }
        start.elapsed().as_secs_f64() * 1e3 / f64::from(RUNS)
    };
    let mut costs: Vec<f64> = (0..ROUNDS)
        .map(|_| run(&mut timed) - run(&mut bare))
        .collect();
    costs.sort_by(f64::total_cmp);
    Ok(costs.get(ROUNDS / 2).copied().unwrap_or_default())
}

/// A schedule of systems that do nothing.
fn idle(systems: usize, timed: bool) -> (World, Schedule) {
    fn nothing() {}
    let mut app = App::empty();
    app.insert_resource(Profile::new(now_nanos))
        .add_plugins(schedule::plugin);
    for _ in 0..systems {
        if timed {
            let system = app.timed(TickSet::Animate, "idle", nothing);
            app.add_systems(Tick, system);
        } else {
            app.add_systems(Tick, nothing.in_set(TickSet::Animate));
        }
    }
    let mut world = std::mem::take(app.world_mut());
    let schedule = world
        .resource_mut::<Schedules>()
        .remove(Tick)
        .unwrap_or_else(|| Schedule::new(Tick));
    (world, schedule)
}

/// Ticks, and gives the median time of one in milliseconds.
pub fn median_tick_ms(engine: &mut Engine, ticks: u64) -> f64 {
    let mut times = Vec::with_capacity(ticks as usize);
    for _ in 0..ticks {
        let start = Instant::now();
        engine.tick();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// An engine that has found its pace.
pub fn warm(stage: &Stage, threads: usize) -> Result<Engine> {
    let mut engine = stage.engine(FPS, threads, POOL_FRAMES)?;
    for _ in 0..WARM_UP {
        engine.tick();
    }
    Ok(engine)
}

fn tiles(engine: &Engine) -> (u64, u64) {
    let counters = engine.counters();
    (counters.tiles_composed, counters.tiles_total)
}

/// Nanoseconds of all runs of the systems of each set, in the order of the sets.
fn set_nanos(engine: &Engine) -> Vec<(TickSet, u64)> {
    let mut sets: Vec<(TickSet, u64)> = Vec::new();
    for system in engine.profile().systems() {
        match sets.iter_mut().find(|(set, _)| *set == system.set()) {
            Some((_, nanos)) => *nanos += system.total_nanos(),
            None => sets.push((system.set(), system.total_nanos())),
        }
    }
    sets
}
