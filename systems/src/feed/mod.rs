//! Feeds: which item is on show, the layers of it and of the one that gives way, and what they say.
//!
//! Which item shows is a function of the tick and of a [`FeedState`], which only commands change; so playing to a time and seeking to
//! it are the same thing, and whoever has the state knows the item without asking the world.

mod card;
mod clock;
mod stage;
mod state;

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::layer::LayerId;
use components::source::VisualFeedSource;

use crate::clock::FrameClock;
use crate::profile::AddTimed;
use crate::scene::Reachable;
use crate::schedule::{Tick, TickSet};

pub use clock::{Arrivals, Epoch, countdown_words};
pub use state::{FeedAction, FeedState, Showing, after_action, follow, from_now, show_at};

pub(crate) use stage::FeedStage;
pub(crate) use state::FeedClock;

/// Adds the systems.
pub fn plugin(app: &mut App) {
    let system = app.timed(TickSet::Populate, "populate::feeds", stage::populate);
    app.add_systems(Tick, system);
}

/// Gives a layer its feed, which starts on this tick.
pub(crate) fn insert(entity: &mut EntityWorldMut, source: &VisualFeedSource) {
    let clock = *entity.world().resource::<FrameClock>();
    let now_ms = entity.world().resource::<Epoch>().at(&clock);
    entity.insert((
        source.clone(),
        FeedClock(FeedState::start(source, clock.tick)),
        Arrivals::new(source, now_ms),
        FeedStage::default(),
    ));
}

/// Has a feed go on with another source.
pub(crate) fn put(entity: &mut EntityWorldMut, source: &VisualFeedSource) {
    let clock = *entity.world().resource::<FrameClock>();
    let now_ms = entity.world().resource::<Epoch>().at(&clock);
    let Some(old) = entity.get::<VisualFeedSource>().cloned() else {
        return;
    };
    if old == *source {
        return;
    }
    if let Some(mut state) = entity.get_mut::<FeedClock>() {
        state.0 = follow(&state.0, &old, source, &clock);
    }
    if let Some(mut arrivals) = entity.get_mut::<Arrivals>() {
        arrivals.follow(&old, source, now_ms);
    }
    entity.insert(source.clone());
}

/// Takes all of a feed away but the layers that it made.
pub(crate) fn remove(entity: &mut EntityWorldMut) {
    entity.remove::<(VisualFeedSource, FeedClock, Arrivals, FeedStage)>();
}

/// Sets the moment of tick 0; items have as long as they had.
pub(crate) fn set_epoch(world: &mut World, unix_ms: i64) {
    let mut epoch = world.resource_mut::<Epoch>();
    let later_ms = unix_ms - epoch.0;
    epoch.0 = unix_ms;
    for mut arrivals in world.query::<&mut Arrivals>().iter_mut(world) {
        arrivals.shift(later_ms);
    }
}

/// Where the feed of a layer of the scene on air stands.
pub fn state_of(world: &mut World, layer: &str) -> Option<FeedState> {
    let mut rows = world.query_filtered::<(&LayerId, &FeedClock), Reachable>();
    let mut rows = rows.iter(world);
    rows.find_map(|(id, state)| (id.as_str() == layer).then(|| state.0.clone()))
}

/// Tells the feed of a layer what to do.
pub(crate) fn act(world: &mut World, layer: &Arc<str>, action: &FeedAction) {
    let clock = *world.resource::<FrameClock>();
    type Row<'a> = (&'a LayerId, &'a VisualFeedSource, &'a mut FeedClock);
    let mut rows = world.query_filtered::<Row, Reachable>();
    for (id, source, mut state) in rows.iter_mut(world) {
        if id.as_str() == &**layer {
            state.0 = after_action(&state.0, source, action, &clock);
        }
    }
}
