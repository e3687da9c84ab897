//! Set `Animate`: from authored values, data and tracks to `Computed<T>`.
//!
//! Everything here is a function of the tick: playing to a time and seeking to it give the same values.

mod easing;
mod property;
mod timeline;
mod words;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::layer::{Opacity, Position, Rotation, Scale, Size};

use crate::data::SceneData;
use crate::profile::AddTimed;
use crate::schedule::{Tick, TickSet};

pub use easing::{EasingCurve, sample_easing};
pub use property::{CompiledLane, CompiledTracks, MovingProperty};
pub use timeline::{TimelineAction, TimelineNow, after_action, from_now, has_ended, local_seconds};

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    let set = TickSet::Animate;
    let systems = (
        app.timed(set, "animate::timelines", timeline::advance),
        app.timed(set, "animate::words", words::fill),
        app.timed(set, "animate::position", property::compute::<Position>),
        app.timed(set, "animate::size", property::compute::<Size>),
        app.timed(set, "animate::scale", property::compute::<Scale>),
        app.timed(set, "animate::rotation", property::compute::<Rotation>),
        app.timed(set, "animate::opacity", property::compute::<Opacity>),
        app.timed(set, "animate::settle_data", settle),
    )
        .chain();
    app.add_systems(Tick, systems);
}

fn settle(mut data: ResMut<SceneData>) {
    data.settle();
}
