//! The spine of a tick: which sets there are, in which order, and what holds after each.

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{
    LogLevel, ScheduleBuildSettings, ScheduleConfigs, ScheduleLabel, SingleThreadedExecutor,
};
use bevy_ecs::system::ScheduleSystem;

/// The schedule that runs once a tick.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tick;

/// The schedule of a tick on which there was no time to compose: the sound of that tick alone, in the sets `Ingest` and `Mix`.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repeat;

/// The sets of [`Tick`], in the order in which they run.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TickSet {
    /// After this set the clock shows this tick, and every change that was accepted for it is in the authored components.
    Command,
    /// After this set each input's newest frame and every asset that has arrived can be used by this tick.
    Ingest,
    /// After this set every layer that a source makes for itself is there, such as those of a scene within a scene.
    Populate,
    /// After this set `Computed<T>` holds every property's value on this tick; nothing later reads the authored one.
    Animate,
    /// After this set every layer knows its box, its place on the canvas, and its place in the drawing order.
    Layout,
    /// After this set every mix between layers or scenes has its weight.
    Transition,
    /// After this set the program's sound of this tick is mixed.
    Mix,
    /// After this set the frame of this tick is composed, in the encoder's planes.
    Render,
    /// After this set the encoders have been offered the frame and this tick's sound.
    Encode,
    /// After this set everybody outside the world can see what this tick came to.
    Publish,
}

/// Adds the schedules and their sets.
pub fn plugin(app: &mut App) {
    let mut tick = empty(Tick);
    tick.configure_sets(
        (
            TickSet::Command,
            TickSet::Ingest,
            TickSet::Populate,
            TickSet::Animate,
            TickSet::Layout,
            TickSet::Transition,
            TickSet::Mix,
            TickSet::Render,
            TickSet::Encode,
            TickSet::Publish,
        )
            .chain(),
    );
    let mut repeat = empty(Repeat);
    repeat.configure_sets((TickSet::Ingest, TickSet::Mix).chain());
    app.add_schedule(tick).add_schedule(repeat);
}

fn empty(label: impl ScheduleLabel) -> Schedule {
    let mut schedule = Schedule::new(label);
    // For systems as small as these one thread is faster than many; the parallel work is tiles, inside `Render`.
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule.set_build_settings(ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        hierarchy_detection: LogLevel::Error,
        ..Default::default()
    });
    schedule
}

/// Adds systems that sound needs: they run on every tick, also on one on which there was no time to compose. `make` is called for each
/// of the two schedules. What such a system has to remember belongs into resources and components: each schedule has `Local`s and change
/// detection of its own.
pub fn add_to_every_tick(
    app: &mut App,
    make: impl Fn(&mut App) -> ScheduleConfigs<ScheduleSystem>,
) {
    let systems = make(app);
    app.add_systems(Tick, systems);
    let systems = make(app);
    app.add_systems(Repeat, systems);
}
