//! Takes up a scene where an earlier run left it: its timelines and feeds stand where they stood, counted in the same ticks.
//!
//! Everything else that moves follows from the tick on which the scene came on air.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use components::animation::{Timeline, TimelineId};
use components::layer::LayerId;

use super::Reachable;
use crate::feed::{Arrivals, FeedClock, FeedState};
use crate::input;

/// Where the timelines and feeds of a scene stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Timelines by their names.
    pub timelines: BTreeMap<String, Timeline>,
    /// Feeds by the names of their layers.
    pub feeds: BTreeMap<String, FeedState>,
    /// When the items of feeds arrived, by the names of the layers.
    pub arrivals: BTreeMap<String, Arrivals>,
}

/// Has the scene on air stand there. Names that it does not have are passed over. Its films begin on `tick`, the first that is shown.
pub(crate) fn resume(world: &mut World, standing: &Standing, tick: u64) {
    input::begin_on(world, tick);
    let mut timelines = world.query_filtered::<(&TimelineId, &mut Timeline), Reachable>();
    for (id, mut timeline) in timelines.iter_mut(world) {
        if let Some(stood) = standing.timelines.get(&*id.0) {
            timeline.state = stood.state;
            timeline.started_for_tick = stood.started_for_tick;
        }
    }
    type Row<'a> = (&'a LayerId, &'a mut FeedClock, &'a mut Arrivals);
    let mut feeds = world.query_filtered::<Row, Reachable>();
    for (id, mut state, mut arrivals) in feeds.iter_mut(world) {
        if let Some(stood) = standing.feeds.get(id.as_str()) {
            state.0 = stood.clone();
        }
        if let Some(stood) = standing.arrivals.get(id.as_str()) {
            *arrivals = stood.clone();
        }
    }
}
