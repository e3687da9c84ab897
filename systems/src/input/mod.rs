//! Live inputs as the world sees them: pictures and sound that threads outside decode, and the clock by which a tick takes them.
//!
//! A layer of the kind `video`, `rtsp`, `ingest` or `audio` asks for its input through the [`InputDoor`]; whoever decodes puts pictures
//! and sound into the bounded ways that come with the request. When the layer goes, so do the near ends of the ways: the
//! thread at the far ends notices, and ends. The tick takes what is there and never waits; offline work may.

mod clock;
mod door;
mod near;
mod open;
mod reader;
mod resample;
mod show;
mod take;

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::layer::LayerId;

use crate::assets::take_pictures;
use crate::audio::SourceSounds;
use crate::clock::FrameClock;
use crate::profile::AddTimed;
use crate::scene::{Came, FilmPlace, Reachable};
use crate::schedule::{Repeat, Tick, TickSet};

pub use door::{
    BLOCK_FRAMES, InputDoor, InputEnds, InputOrder, InputSpec, InputStage, InputState, LivePicture,
    OpenInput, PICTURES_QUEUED, SOUND_QUEUED, SoundBlock, Stream, TimedPicture, UnscaledPicture,
    WantedSize,
};
pub use near::{LiveInput, PlaybackAction};
pub use open::InputRequests;
pub use show::{InputContent, ShownInput};
pub use take::{WaitsForInputs, take_sound};

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<WaitsForInputs>();
    // Its tables are made now, and not on the tick that first hears something.
    resample::kernel_for(1.0);
    let set = TickSet::Ingest;
    let systems = (
        app.timed(set, "ingest::pictures", take_pictures),
        app.timed(set, "ingest::open_inputs", open::open_inputs),
        app.timed(set, "ingest::input_sound", take_sound)
            .in_set(SourceSounds),
        app.timed(set, "ingest::input_pictures", show::show_pictures),
    )
        .chain();
    app.add_systems(Tick, systems);
    // Also on a tick on which there was no time to compose.
    let sound = app
        .timed(set, "ingest::input_sound", take_sound)
        .in_set(SourceSounds);
    app.add_systems(Repeat, sound);
}

/// Tells the file of a layer of the scene on air where to go on.
pub(crate) fn act(world: &mut World, layer: &Arc<str>, action: PlaybackAction) {
    let clock = *world.resource::<FrameClock>();
    let mut rows = world.query_filtered::<(&LayerId, open::SourceRow, &mut LiveInput), Reachable>();
    for (id, row, mut input) in rows.iter_mut(world) {
        if id.as_str() != &**layer {
            continue;
        }
        let start = open::source_of(&row).map_or(0.0, |(source, _)| source.span().start);
        let seconds = match action {
            PlaybackAction::Seek(seconds) => seconds,
            PlaybackAction::Restart => f64::from(start),
        };
        input.go_to(seconds, &clock);
    }
}

/// Has all inputs, none of which is open yet, come on air on `tick`: live ones anew, and films where they are by then.
pub(crate) fn resume(world: &mut World, came: &Came, tick: u64) {
    let rate = world.resource::<FrameClock>().rate;
    let mut rows = world.query::<(&LayerId, open::SourceRow, &mut LiveInput)>();
    for (id, row, mut input) in rows.iter_mut(world) {
        let began_tick = std::mem::replace(&mut input.since_tick, tick);
        let Some((source, _)) = open::source_of(&row) else {
            continue;
        };
        let start = f64::from(source.span().start);
        let place = came.films.get(id.as_str()).copied();
        let place = place.unwrap_or(FilmPlace {
            tick: came.layers.get(id.as_str()).copied().unwrap_or(began_tick),
            seconds: start,
        });
        let gone = rate.seconds_at(tick.saturating_sub(place.tick)) * source.rate();
        let seconds = place.seconds + gone;
        input.begins_at = (!source.is_live() && seconds != start).then_some(seconds);
    }
}

/// Has all inputs count from this tick on, at which the rate of the ticks changes.
pub(crate) fn count_from(world: &mut World, clock: &FrameClock, new: &FrameClock) {
    let mut inputs = world.query::<&mut LiveInput>();
    for mut input in inputs.iter_mut(world) {
        input.count_from(clock, new);
    }
}
