//! Avatars: characters of pictures that lie over each other.
//!
//! Each picture that an avatar may show is an image layer of its own below it, drawn once and then shown or hidden: a mouth that moves
//! touches the pixels of the mouth and no others. The set `Animate` decides what is seen ([`play`], a function of the tick and of the
//! changes before it), `Layout` fits the frame into the layer's box ([`fit`]); placing and drawing are those of every layer.

mod blink;
mod fit;
mod level;
mod play;
mod rig;
mod wardrobe;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use components::source::AvatarSource;

use crate::animate::compute_fields;
use crate::profile::AddTimed;
use crate::schedule::TickSet;

pub(crate) use fit::{fit, measure};
pub use rig::Avatar;
pub(crate) use rig::set_avatar_rate;

/// The systems of the set `Animate`, which come before those of opacity.
pub(crate) fn animate(app: &mut App) -> ScheduleConfigs<ScheduleSystem> {
    let set = TickSet::Animate;
    (
        app.timed(set, "avatar::dress", rig::dress),
        app.timed(set, "avatar::fields", compute_fields::<AvatarSource>),
        app.timed(set, "avatar::act", rig::act),
    )
        .chain()
}
