//! Set `Transition`: how the scene on air gives way to the next.

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::scene::{SceneTransition, SceneTransitionKind};
use raster::Raster;

use crate::animate::sample_easing;
use crate::clock::FrameClock;
use crate::profile::AddTimed;
use crate::schedule::{Tick, TickSet};

/// The scene that goes, as its last picture, while it dissolves into the one that comes.
#[derive(Resource, Default)]
pub struct OutgoingScene(Option<Outgoing>);

struct Outgoing {
    picture: Arc<Raster>,
    since_tick: u64,
    transition: SceneTransition,
    opacity: f32,
}

impl OutgoingScene {
    /// Starts to dissolve `picture`, when the transition is one that takes time.
    pub fn begin(&mut self, picture: Arc<Raster>, since_tick: u64, transition: SceneTransition) {
        self.0 = match transition.kind {
            SceneTransitionKind::Fade if transition.duration > 0.0 => Some(Outgoing {
                picture,
                since_tick,
                transition,
                opacity: 1.0,
            }),
            SceneTransitionKind::Fade | SceneTransitionKind::Cut => None,
        };
    }

    /// The picture and how much of it is still seen.
    pub fn visible(&self) -> Option<(&Arc<Raster>, f32)> {
        self.0
            .as_ref()
            .map(|outgoing| (&outgoing.picture, outgoing.opacity))
    }
}

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<OutgoingScene>();
    let system = app.timed(TickSet::Transition, "transition::scene", mix_scenes);
    app.add_systems(Tick, system);
}

fn mix_scenes(clock: Res<FrameClock>, mut outgoing: ResMut<OutgoingScene>) {
    let Some(scene) = &mut outgoing.0 else { return };
    let part = clock.seconds_since(scene.since_tick) / f64::from(scene.transition.duration);
    scene.opacity = 1.0 - sample_easing(scene.transition.easing, part).clamp(0.0, 1.0) as f32;
    if part >= 1.0 {
        outgoing.0 = None;
    }
}
