//! Set `Transition`: how the scene on air gives way to the next, and how layers come and go.
//!
//! While one scene gives way to another both are in the world and both go on moving; the one that goes is marked [`Outgoing`]. One of
//! the two lies over the other, and how it is seen follows from the part of the way that is gone. Turning round swaps the two.

mod clip;
mod look;
mod presence;

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::animation::TimelineId;
use components::layer::LayerId;
use components::scene::FrameRate;
use components::sound::MasterSound;
use components::transition::{Transition, TransitionKind};
use glam::{Affine2, Vec2};
use raster::Raster;
use serde::{Deserialize, Serialize};

use crate::animate::sample_easing;
use crate::audio::{self, Through};
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};
use crate::layout::{CanvasSize, LayerTree, OutputSize};
use crate::profile::AddTimed;
use crate::render::Background;
use crate::scene::{Outgoing, SceneInfo};
use crate::schedule::{Tick, TickSet};
use crate::speech;

pub use clip::Clip;
pub use look::{Frame, Look, look, outwards};
pub use presence::{Presence, PresencePlace};
pub(crate) use presence::{advance as advance_presence, retire};

/// The change from one scene to another that is in course, if any.
#[derive(Resource, Default)]
pub struct SceneMix(Option<Mix>);

struct Mix {
    transition: Transition,
    clip: Option<Clip>,
    place: MixPlace,
    /// The part of the scene that comes, 0 to 1, on this tick.
    part: f64,
    /// What belongs to the scene that goes.
    scope: DataScope,
    backdrop: [u8; 3],
    info: SceneInfo,
}

/// Where a change of scenes stands at any time, of which the world and those outside of it come to the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MixCourse {
    /// Seconds from start to end.
    duration: f64,
    is_held: bool,
    /// The part of the scene that comes, 0 to 1, on `since_tick`.
    from: f64,
    since_tick: u64,
}

impl MixCourse {
    /// One that starts on the tick of `clock`, or stands where `hold` of the coming scene is there.
    pub fn begin(duration: f64, hold: Option<f32>, clock: &FrameClock) -> Self {
        Self {
            duration,
            is_held: hold.is_some(),
            from: hold.map_or(0.0, |part| f64::from(part.clamp(0.0, 1.0))),
            since_tick: clock.tick,
        }
    }

    /// The same with its tick made another.
    #[must_use]
    pub fn moved(self, to: impl Fn(u64) -> u64) -> Self {
        Self {
            since_tick: to(self.since_tick),
            ..self
        }
    }

    /// The part of the scene that comes, 0 to 1.
    pub fn part(&self, clock: &FrameClock) -> f64 {
        if self.is_held {
            return self.from;
        }
        let gone = clock.seconds_since(self.since_tick) / self.duration;
        // A change without a length is over at once.
        (self.from + gone.max(0.0)).min(1.0)
    }

    /// The tick on which the scene that comes is there alone; none while it stands.
    pub fn end_tick(&self, rate: FrameRate) -> Option<u64> {
        let seconds = (1.0 - self.from).max(0.0) * self.duration;
        (!self.is_held).then(|| self.since_tick + (seconds * rate.as_f64() - 1e-6).ceil() as u64)
    }

    /// Whether it stands until it is moved.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether the scene that comes is there.
    pub fn is_over(&self, clock: &FrameClock) -> bool {
        !self.is_held && self.part(clock) >= 1.0
    }

    /// What `action` on the tick of `clock` makes of it.
    pub fn after(&self, action: MixAction, clock: &FrameClock) -> Self {
        // It moves on at once, from the part of the tick before.
        let since_tick = clock.tick.saturating_sub(1);
        let before = FrameClock {
            tick: since_tick,
            ..*clock
        };
        let part = self.part(&before);
        let (is_held, from) = match action {
            MixAction::Hold(part) => (true, f64::from(part.clamp(0.0, 1.0))),
            MixAction::Release => (false, part),
            MixAction::Finish => (false, 1.0),
            MixAction::Reverse => (false, 1.0 - part),
            MixAction::Cancel => (false, 1.0),
        };
        Self {
            is_held,
            from,
            since_tick,
            ..*self
        }
    }
}

/// A change of scenes in course, so that another run goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MixPlace {
    /// Where it stands.
    pub course: MixCourse,
    /// Whether it was turned round: the scene that goes lies over the one that comes.
    pub is_turned: bool,
    /// Whether an operator moved it, which makes its course even.
    pub is_even: bool,
}

impl MixPlace {
    /// One that begins there.
    pub fn begin(course: MixCourse) -> Self {
        Self {
            is_even: course.is_held(),
            course,
            is_turned: false,
        }
    }

    /// What `action` on the tick of `clock` makes of it.
    #[must_use]
    pub fn after(self, action: MixAction, clock: &FrameClock) -> Self {
        let turns = matches!(action, MixAction::Reverse | MixAction::Cancel);
        Self {
            course: self.course.after(action, clock),
            is_turned: self.is_turned != turns,
            is_even: self.is_even || matches!(action, MixAction::Hold(_)),
        }
    }
}

/// What a change of scenes is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MixAction {
    /// Stand where this part of the coming scene is there, 0 to 1: the bar of a mixer.
    Hold(f32),
    /// Go on to the end from there.
    Release,
    /// Turn round: the scene that goes comes back, from what is on screen.
    Reverse,
    /// The scene that goes is back at once.
    Cancel,
    /// The scene that comes is there at once.
    Finish,
}

/// How both scenes are seen on this tick.
#[derive(Clone, Debug)]
pub struct MixLooks {
    /// The scene below; `None` where nothing of it is seen.
    pub under: Option<Look>,
    /// The scene over it.
    pub over: Option<Look>,
    /// The colour behind the lower scene, and behind the upper one.
    pub backdrops: [[u8; 3]; 2],
    /// A colour over both, and how much of it is seen.
    pub veil: Option<([u8; 3], f32)>,
    /// A picture over both, as large as the canvas, and its number.
    pub clip: Option<(Arc<Raster>, u64)>,
}

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<SceneMix>();
    let set = TickSet::Transition;
    let systems = (
        app.timed(set, "transition::scenes", advance),
        app.timed(set, "transition::retire", retire_scene),
    )
        .chain();
    app.add_systems(Tick, systems);
}

impl SceneMix {
    /// Whether a change is in course.
    pub fn is_active(&self) -> bool {
        self.0.is_some()
    }

    /// The part of the coming scene that is there, 0 to 1, while a change is in course.
    pub fn part(&self) -> Option<f64> {
        self.0.as_ref().map(|mix| mix.part)
    }

    /// Whether the scene that goes lies over the other.
    pub fn outgoing_is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|mix| mix.place.is_turned)
    }

    /// What is done to the sum of the sounds of the scene that goes, while a change is in course.
    pub fn outgoing_master(&self) -> Option<&MasterSound> {
        self.0.as_ref().map(|mix| &mix.info.audio.master)
    }

    /// The canvas of the scene that goes, while a change is in course.
    pub fn outgoing_canvas(&self) -> Option<CanvasSize> {
        self.0.as_ref().map(|mix| CanvasSize::of(&mix.info.canvas))
    }

    /// How both scenes are seen on a frame of `output` pixels, when a change is in course. `backdrop` is the colour behind the scene
    /// that comes.
    pub fn looks(&self, output: Vec2, backdrop: [u8; 3]) -> Option<MixLooks> {
        let mix = self.0.as_ref()?;
        let (over_part, backdrops) = if mix.place.is_turned {
            (1.0 - mix.part, [backdrop, mix.backdrop])
        } else {
            (mix.part, [mix.backdrop, backdrop])
        };
        let eased = match &mix.clip {
            Some(clip) => clip.eased(over_part),
            None if mix.place.is_even => over_part as f32,
            None => sample_easing(mix.transition.easing, over_part) as f32,
        };
        let frame = Frame::whole(output);
        let mut over = look(&mix.transition, eased, &frame);
        let veil = over.veil.take();
        let mut under = Look::WHOLE;
        if mix.transition.kind == TransitionKind::Push {
            let way = outwards(mix.transition.side) * output;
            under.canvas_from_own = Affine2::from_translation(-way * eased);
        }
        let replaces = mix.transition.kind == TransitionKind::FadeThroughColor;
        let over_is_there = over.opacity > 0.0;
        Some(MixLooks {
            under: (!(replaces && over_is_there)).then_some(under),
            over: over_is_there.then_some(over),
            backdrops,
            veil,
            clip: mix.clip.as_ref().and_then(|clip| clip.frame(over_part)),
        })
    }
}

/// Has the scene on air go, through `transition`, from this tick on; the caller then spawns the one that comes, which is laid out on
/// `canvas`. `hold` has the change stand where this part of the coming scene is there.
pub(crate) fn begin(
    world: &mut World,
    mut transition: Transition,
    clip: Option<Clip>,
    canvas: CanvasSize,
    hold: Option<f32>,
) {
    end(world);
    // Its lengths are pixels of the canvas of the scene that says them; both scenes are seen through it on the frame.
    let scale = world.resource::<OutputSize>().view(canvas).scale;
    transition.softness *= scale;
    transition.distance = transition.distance.map(|distance| distance * scale);
    let Some(info) = world.get_resource::<SceneInfo>().cloned() else {
        return;
    };
    for entity in all(world, false) {
        world
            .entity_mut(entity)
            .insert(Outgoing)
            .remove::<Through>();
    }
    let clock = *world.resource::<FrameClock>();
    let seconds = f64::from(transition.duration);
    let duration = clip.as_ref().map_or(seconds, Clip::duration);
    let mix = Mix {
        transition,
        clip,
        place: MixPlace::begin(MixCourse::begin(duration, hold, &clock)),
        part: 0.0,
        scope: world.resource::<SceneData>().program(),
        backdrop: world.resource::<Background>().0,
        info,
    };
    world.resource_mut::<SceneMix>().0 = Some(mix);
    world.resource_mut::<LayerTree>().mark_stale();
}

/// Ends a change that is in course: the scene that comes is there.
pub(crate) fn end(world: &mut World) {
    let Some(mix) = world.resource_mut::<SceneMix>().0.take() else {
        return;
    };
    for entity in all(world, true) {
        // A child may have gone with its parent.
        if let Ok(entity) = world.get_entity_mut(entity) {
            entity.despawn();
        }
    }
    world.resource_mut::<SceneData>().remove(mix.scope);
    world.resource_mut::<LayerTree>().mark_stale();
}

/// The layers and timelines of the scene that goes, or of the one on air.
pub(crate) fn all(world: &mut World, outgoing: bool) -> Vec<Entity> {
    let mut rows =
        world.query_filtered::<(Entity, Has<Outgoing>), Or<(With<LayerId>, With<TimelineId>)>>();
    rows.iter(world)
        .filter(|(_, goes)| *goes == outgoing)
        .map(|(entity, _)| entity)
        .collect()
}

/// Tells the change in course what to do; false when there is none.
pub(crate) fn tell(world: &mut World, action: MixAction) -> bool {
    let clock = *world.resource::<FrameClock>();
    let mut resource = world.resource_mut::<SceneMix>();
    let Some(mix) = &mut resource.0 else {
        return false;
    };
    mix.place = mix.place.after(action, &clock);
    match action {
        MixAction::Hold(_) | MixAction::Release => {}
        MixAction::Finish => end(world),
        MixAction::Reverse | MixAction::Cancel => {
            swap(world);
            if action == MixAction::Cancel {
                end(world);
            }
        }
    }
    true
}

/// Has the change that was just begun stand where it stood in an earlier run; false where none was begun.
pub(crate) fn resume(world: &mut World, place: MixPlace) -> bool {
    let mut mix = world.resource_mut::<SceneMix>();
    let Some(mix) = &mut mix.0 else {
        return false;
    };
    mix.place = place;
    world.resource_mut::<LayerTree>().mark_stale();
    true
}

/// The scene that goes is the scene on air from now on, and the other way round.
fn swap(world: &mut World) {
    let heirs = speech::outgoing_avatars(world);
    let is_heir = |layer: &str| heirs.iter().any(|heir| heir.as_str() == layer);
    let carried = speech::lift(world, is_heir);
    audio::turn_round(world);
    let (comes, goes) = (all(world, true), all(world, false));
    for entity in goes {
        world
            .entity_mut(entity)
            .insert(Outgoing)
            .remove::<Through>();
    }
    for entity in comes {
        world.entity_mut(entity).remove::<Outgoing>();
    }
    speech::land(world, carried);
    let Some(mut mix) = world.resource_mut::<SceneMix>().0.take() else {
        return;
    };
    mix.scope = world.resource_mut::<SceneData>().swap_program(mix.scope);
    let mut background = world.resource_mut::<Background>();
    std::mem::swap(&mut background.0, &mut mix.backdrop);
    if let Some(mut info) = world.get_resource_mut::<SceneInfo>() {
        std::mem::swap(&mut *info, &mut mix.info);
        let canvas = CanvasSize::of(&info.canvas);
        world.insert_resource(canvas);
    }
    world.resource_mut::<SceneMix>().0 = Some(mix);
    world.resource_mut::<LayerTree>().mark_stale();
}

fn advance(clock: Res<FrameClock>, mut mix: ResMut<SceneMix>) {
    let Some(mix) = &mut mix.0 else { return };
    mix.part = mix.place.course.part(&clock);
}

/// Lets go of a scene that has gone.
fn retire_scene(world: &mut World) {
    let is_over = |mix: &Mix| mix.part >= 1.0 && !mix.place.course.is_held();
    if world.resource::<SceneMix>().0.as_ref().is_some_and(is_over) {
        end(world);
    }
}
