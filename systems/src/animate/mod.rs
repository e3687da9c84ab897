//! Set `Animate`: from authored values, data and tracks to `Computed<T>`.
//!
//! Everything here is a function of the tick: playing to a time and seeking to it give the same values.

mod blend;
mod chat;
mod counter;
mod easing;
mod fields;
mod glide;
mod integral;
mod lane;
mod path;
mod property;
mod ticker;
mod timeline;
mod words;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::effect::Effects;
use components::layer::{Anchor, Crop, Opacity, Position, Rotation, Scale, Size, ZIndex};
use components::sound::Sound;
use components::source::{
    ChatSource, ColourSource, GradientSource, ImageSource, ShapeSource, TextSource, TickerSource,
};

use crate::data::SceneData;
use crate::profile::AddTimed;
use crate::schedule::{Tick, TickSet};
use crate::transition::{advance_presence, retire};

pub(crate) use blend::blend_timeline;
pub(crate) use chat::ChatRows;
pub use counter::{COUNTER, Rolling};
pub use easing::{EasingCurve, sample_easing};
pub(crate) use fields::compute as compute_fields;
pub use fields::{FieldMotions, MovingFields};
pub(crate) use fields::{add_lanes, glide_to, remove_lanes};
pub use glide::{GlidePlace, GlideState};
pub(crate) use integral::{Integral, Speed};
pub use lane::CompiledLane;
pub use path::LengthPath;
pub(crate) use property::begin_glide;
pub use property::{CompiledTracks, Motion, MovingProperty};
pub(crate) use ticker::Strip;
pub use ticker::StripPlace;
pub use timeline::{
    TimelineAction, TimelineNow, after_action, from_now, has_ended, keep_place, local_seconds,
    start_after, start_followers,
};

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    let set = TickSet::Animate;
    let properties = (
        app.timed(set, "animate::timelines", timeline::advance),
        crate::avatar::animate(app),
        app.timed(set, "animate::position", property::compute::<Position>),
        app.timed(set, "animate::size", property::compute::<Size>),
        app.timed(set, "animate::anchor", property::compute::<Anchor>),
        app.timed(set, "animate::scale", property::compute::<Scale>),
        app.timed(set, "animate::rotation", property::compute::<Rotation>),
        app.timed(set, "animate::opacity", property::compute::<Opacity>),
        app.timed(set, "animate::crop", property::compute::<Crop>),
        app.timed(set, "animate::z_index", property::compute::<ZIndex>),
    )
        .chain();
    let sources = (
        app.timed(set, "animate::colours", fields::compute::<ColourSource>),
        app.timed(set, "animate::gradients", fields::compute::<GradientSource>),
        app.timed(set, "animate::shapes", fields::compute::<ShapeSource>),
        app.timed(set, "animate::texts", fields::compute::<TextSource>),
        app.timed(set, "animate::plays", crate::layout::advance_plays),
        app.timed(set, "animate::images", fields::compute::<ImageSource>),
        app.timed(set, "animate::ticker_ways", ticker::run),
        app.timed(
            set,
            "animate::tickers_looks",
            fields::compute::<TickerSource>,
        ),
        app.timed(set, "animate::chats_looks", fields::compute::<ChatSource>),
        app.timed(set, "animate::effects", fields::compute::<Effects>),
        app.timed(set, "animate::sounds", fields::compute::<Sound>),
        app.timed(set, "animate::counters", counter::roll),
        app.timed(set, "animate::words", words::fill),
    )
        .chain();
    let layers = (
        app.timed(set, "animate::presence", advance_presence),
        app.timed(set, "animate::retire", retire),
        app.timed(set, "animate::ticker_items", ticker::follow),
        app.timed(set, "animate::tickers", ticker::flow),
        app.timed(set, "animate::chat_rows", chat::follow),
        app.timed(set, "animate::chats", chat::flow),
        app.timed(set, "animate::settle_data", settle),
    )
        .chain();
    app.add_systems(Tick, (properties, sources, layers).chain());
}

fn settle(mut data: ResMut<SceneData>) {
    data.settle();
}
