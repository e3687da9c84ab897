//! Takes up a scene where an earlier run left it: its timelines and feeds stand where they stood, counted in the same ticks, and what was
//! on its way goes on.
//!
//! Everything else that moves follows from the tick on which the scene came on air, or a layer that came later.

use std::collections::BTreeMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::animation::{Timeline, TimelineId};
use components::layer::LayerId;
use serde::{Deserialize, Serialize};

use super::{Motions, Reachable, motions};
use crate::animate::{ChatRows, Strip};
use crate::avatar::Avatar;
use crate::feed::{Arrivals, FeedClock, FeedState};
use crate::input;
use crate::layout::ShownPicture;

/// When parts of a scene came on air that came after it, in ticks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Came {
    /// Layers, or what they show, by their names.
    pub layers: BTreeMap<String, u64>,
    /// Messages of chats that came after the chat, by the names of the layers and their own.
    pub messages: BTreeMap<String, BTreeMap<Arc<str>, u64>>,
    /// Where films and sounds stood that did not simply begin with their layer, by the names of the layers.
    pub films: BTreeMap<String, FilmPlace>,
}

/// Where a film stood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilmPlace {
    /// On this tick.
    pub tick: u64,
    /// Seconds of the file, with loops not taken out.
    pub seconds: f64,
}

impl Came {
    /// The same with every tick made another.
    #[must_use]
    pub fn moved(mut self, to: impl Fn(u64) -> u64) -> Self {
        let messages = self.messages.values_mut().flat_map(BTreeMap::values_mut);
        let films = self.films.values_mut().map(|place| &mut place.tick);
        for tick in self.layers.values_mut().chain(messages).chain(films) {
            *tick = to(*tick);
        }
        self
    }
}

/// Where the timelines and feeds of a scene stood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Timelines by their names.
    pub timelines: BTreeMap<String, Timeline>,
    /// Feeds by the names of their layers.
    pub feeds: BTreeMap<String, FeedState>,
    /// When the items of feeds arrived, by the names of the layers.
    pub arrivals: BTreeMap<String, Arrivals>,
    /// When layers and messages came that came after the scene.
    pub came: Came,
    /// What is on its way.
    pub motions: Motions,
}

/// Has the scene on air stand there. Names that it does not have are passed over. `tick` is the first that is shown.
pub(crate) fn resume(world: &mut World, standing: &Standing, tick: u64) {
    input::resume(world, &standing.came, tick);
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
    resume_layers(world, &standing.came);
    motions::resume(world, &standing.motions);
}

fn resume_layers(world: &mut World, came: &Came) {
    type Moving<'a> = (
        &'a LayerId,
        Option<&'a mut Strip>,
        Option<&'a mut ChatRows>,
        Option<&'a mut ShownPicture>,
        Option<&'a mut Avatar>,
    );
    let mut layers = world.query_filtered::<Moving, Reachable>();
    for (id, strip, rows, picture, avatar) in layers.iter_mut(world) {
        if let (Some(mut rows), Some(messages)) = (rows, came.messages.get(id.as_str())) {
            rows.came_on(messages);
        }
        let Some(tick) = came.layers.get(id.as_str()).copied() else {
            continue;
        };
        if let Some(mut strip) = strip {
            strip.began_on(tick);
        }
        if let Some(mut picture) = picture {
            picture.began_on(tick);
        }
        if let Some(mut avatar) = avatar {
            avatar.began_on(tick);
        }
    }
}
