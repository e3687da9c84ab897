//! What each system costs: a stopwatch round every system, and a net under it.
//!
//! Systems run one after the other, so the clock is read once a system: its time is that since the one before it ended, with what the
//! schedule does between the two.
//!
//! The time comes from a function that the program passes in, since nothing here may read a clock. A system that panics is counted
//! and reported, and the rest of the tick goes on without it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::{
    Adapt, IntoAdapterSystem, RunSystemError, ScheduleSystem, System, SystemIn, SystemInput,
};

use crate::schedule::TickSet;

/// Gives nanoseconds since some fixed moment, never going back.
pub type NowNanos = fn() -> u64;

/// How many of the latest runs the percentiles are taken over.
pub const WINDOW: usize = 512;

/// The times of every system. Shared with whoever wants to read them, at any moment, without stopping the tick.
#[derive(Resource, Clone)]
pub struct Profile {
    now: NowNanos,
    /// When the last system ended, or the tick began, in nanoseconds.
    lap: Arc<AtomicU64>,
    systems: Vec<Arc<SystemTimes>>,
}

/// The times of one system.
pub struct SystemTimes {
    name: &'static str,
    set: TickSet,
    runs: AtomicU64,
    panics: AtomicU64,
    total_nanos: AtomicU64,
    last_nanos: AtomicU64,
    max_nanos: AtomicU64,
    window: [AtomicU64; WINDOW],
}

/// A system's times at one moment.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemSummary {
    /// `set::what it does`.
    pub name: &'static str,
    /// How often it ran.
    pub runs: u64,
    /// How often it panicked.
    pub panics: u64,
    /// Milliseconds of the latest run.
    pub last_ms: f64,
    /// Mean milliseconds over all runs.
    pub mean_ms: f64,
    /// Median milliseconds over the last [`WINDOW`] runs.
    pub p50_ms: f64,
    /// 99th percentile over the last [`WINDOW`] runs.
    pub p99_ms: f64,
    /// The longest run.
    pub max_ms: f64,
}

impl SystemTimes {
    fn new(name: &'static str, set: TickSet) -> Self {
        Self {
            name,
            set,
            runs: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            total_nanos: AtomicU64::new(0),
            last_nanos: AtomicU64::new(0),
            max_nanos: AtomicU64::new(0),
            window: [const { AtomicU64::new(0) }; WINDOW],
        }
    }

    fn record(&self, nanos: u64) {
        // One thread writes, so plain loads and stores are enough.
        let run = self.runs.load(Relaxed);
        self.window[run as usize % WINDOW].store(nanos, Relaxed);
        self.last_nanos.store(nanos, Relaxed);
        self.total_nanos
            .store(self.total_nanos.load(Relaxed) + nanos, Relaxed);
        if nanos > self.max_nanos.load(Relaxed) {
            self.max_nanos.store(nanos, Relaxed);
        }
        self.runs.store(run + 1, Relaxed);
    }

    /// `set::what it does`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The set that the system belongs to.
    pub fn set(&self) -> TickSet {
        self.set
    }

    /// Nanoseconds of the latest run.
    pub fn last_nanos(&self) -> u64 {
        self.last_nanos.load(Relaxed)
    }

    /// Nanoseconds of all runs together.
    pub fn total_nanos(&self) -> u64 {
        self.total_nanos.load(Relaxed)
    }

    /// The times at this moment.
    pub fn summary(&self) -> SystemSummary {
        let millis = |nanos: u64| nanos as f64 / 1e6;
        let runs = self.runs.load(Relaxed);
        let mut recent: Vec<u64> = self
            .window
            .iter()
            .take(runs.min(WINDOW as u64) as usize)
            .map(|nanos| nanos.load(Relaxed))
            .collect();
        recent.sort_unstable();
        let percentile = |part: f64| {
            recent
                .get(((recent.len().saturating_sub(1)) as f64 * part).round() as usize)
                .copied()
                .unwrap_or(0)
        };
        SystemSummary {
            name: self.name,
            runs,
            panics: self.panics.load(Relaxed),
            last_ms: millis(self.last_nanos.load(Relaxed)),
            mean_ms: millis(self.total_nanos.load(Relaxed)) / runs.max(1) as f64,
            p50_ms: millis(percentile(0.5)),
            p99_ms: millis(percentile(0.99)),
            max_ms: millis(self.max_nanos.load(Relaxed)),
        }
    }
}

impl Profile {
    /// No systems yet, and the clock to time them with.
    pub fn new(now: NowNanos) -> Self {
        Self {
            now,
            lap: Arc::default(),
            systems: Vec::new(),
        }
    }

    /// Starts the time of the tick's first system. Called before each run of the schedule.
    pub fn begin_tick(&self) {
        self.lap.store(self.now_nanos(), Relaxed);
    }

    /// The clock, in nanoseconds.
    pub fn now_nanos(&self) -> u64 {
        (self.now)()
    }

    /// Every timed system in the order in which it was added.
    pub fn systems(&self) -> &[Arc<SystemTimes>] {
        &self.systems
    }

    /// The times of every system at this moment.
    pub fn summaries(&self) -> Vec<SystemSummary> {
        self.systems.iter().map(|times| times.summary()).collect()
    }

    /// The system whose latest run was the longest, and how long that was in nanoseconds.
    pub fn slowest(&self) -> Option<(&'static str, u64)> {
        self.systems
            .iter()
            .map(|times| (times.name, times.last_nanos()))
            .max_by_key(|(_, nanos)| *nanos)
    }

    fn add(&mut self, name: &'static str, set: TickSet) -> Stopwatch {
        // A system that stands in two schedules is one to who reads the times.
        let known = self.systems.iter().find(|times| times.name == name);
        let times = known.map_or_else(|| Arc::new(SystemTimes::new(name, set)), Arc::clone);
        if known.is_none() {
            self.systems.push(Arc::clone(&times));
        }
        Stopwatch {
            now: self.now,
            lap: Arc::clone(&self.lap),
            times,
        }
    }
}

/// The adapter round one system.
pub struct Stopwatch {
    now: NowNanos,
    lap: Arc<AtomicU64>,
    times: Arc<SystemTimes>,
}

impl<S: System<Out = ()>> Adapt<S> for Stopwatch {
    type In = S::In;
    type Out = ();

    fn adapt(
        &mut self,
        input: <Self::In as SystemInput>::Inner<'_>,
        run_system: impl FnOnce(SystemIn<'_, S>) -> Result<(), RunSystemError>,
    ) -> Result<(), RunSystemError> {
        let _span =
            tracing::trace_span!(target: "profile", "system", name = self.times.name).entered();
        // What the system had half written stays as it is: components are plain values, and each is written whole.
        let result = catch_unwind(AssertUnwindSafe(|| run_system(input)));
        let end = (self.now)();
        let start = self.lap.load(Relaxed);
        self.lap.store(end, Relaxed);
        self.times.record(end.saturating_sub(start));
        result.unwrap_or_else(|_| {
            let panics = self.times.panics.fetch_add(1, Relaxed) + 1;
            // At powers of two, so that a system that panics on every tick does not fill the log.
            if panics.is_power_of_two() {
                tracing::error!(
                    system = self.times.name,
                    panics,
                    "a system panicked; the tick goes on without it"
                );
            }
            Ok(())
        })
    }
}

/// Adding timed systems to the tick.
pub trait AddTimed {
    /// Wraps `system`, which belongs to `set`, so that its times appear under `name`. Whoever calls this chains the result with the
    /// set's other systems and adds them to [`Tick`](crate::schedule::Tick).
    fn timed<M: 'static>(
        &mut self,
        set: TickSet,
        name: &'static str,
        system: impl IntoSystem<(), (), M> + 'static,
    ) -> ScheduleConfigs<ScheduleSystem>;
}

impl AddTimed for App {
    fn timed<M: 'static>(
        &mut self,
        set: TickSet,
        name: &'static str,
        system: impl IntoSystem<(), (), M> + 'static,
    ) -> ScheduleConfigs<ScheduleSystem> {
        let stopwatch = self.world_mut().resource_mut::<Profile>().add(name, set);
        IntoAdapterSystem::new(stopwatch, system).in_set(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule;

    #[derive(Resource, Default)]
    struct Runs(u32);

    #[test]
    fn a_system_that_panics_is_counted_and_the_others_run_on() {
        let mut app = App::empty();
        app.insert_resource(Profile::new(|| 0))
            .init_resource::<Runs>()
            .add_plugins(schedule::plugin);
        let systems = (
            app.timed(TickSet::Layout, "broken", || panic!("on purpose")),
            app.timed(TickSet::Layout, "sound", |mut runs: ResMut<Runs>| {
                runs.0 += 1
            }),
        )
            .chain();
        app.add_systems(schedule::Tick, systems);
        for _ in 0..3 {
            app.world_mut().run_schedule(schedule::Tick);
        }
        assert_eq!(app.world().resource::<Runs>().0, 3);
        let summaries = app.world().resource::<Profile>().summaries();
        assert_eq!(
            summaries
                .iter()
                .map(|summary| (summary.runs, summary.panics))
                .collect::<Vec<_>>(),
            [(3, 3), (3, 0)]
        );
    }

    #[test]
    #[should_panic(expected = "indeterminate execution order")]
    fn systems_whose_order_is_open_are_an_error() {
        let mut app = App::empty();
        app.insert_resource(Profile::new(|| 0))
            .init_resource::<Runs>()
            .add_plugins(schedule::plugin);
        let one = app.timed(TickSet::Layout, "one", |mut runs: ResMut<Runs>| runs.0 += 1);
        let other = app.timed(TickSet::Layout, "other", |mut runs: ResMut<Runs>| {
            runs.0 *= 2
        });
        app.add_systems(schedule::Tick, one);
        app.add_systems(schedule::Tick, other);
        app.world_mut().run_schedule(schedule::Tick);
    }
}
