//! The layers of an avatar's pictures: spawned when its source says so, shown and hidden on every tick.

use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use components::BlendMode;
use components::derived::Computed;
use components::layer::{LayerId, LayerSpec, Opacity, Position, Visible, ZIndex};
use components::scene::FrameRate;
use components::source::{AvatarSource, ImageSource, Playback, Source};
use components::value::{Number, Template};

use super::blink;
use super::play::{Play, Told};
use super::wardrobe::Wardrobe;
use crate::animate::FieldMotions;
use crate::assets::Pictures;
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};
use crate::layout::{ChildSpace, LayerTree, ShownPicture};
use crate::scene::{Place, spawn_tree};
use crate::speech::Speech;

/// The path of the level among the fields that tracks move.
const LEVEL: &str = "mouth.level";

/// What an avatar has and does. On layers with an [`AvatarSource`]; written in `Animate`.
#[derive(Component, Debug, Default)]
#[require(Speech)]
#[component(on_add = begin, on_remove = undress)]
pub struct Avatar {
    since_tick: u64,
    seed: u64,
    wardrobe: Wardrobe,
    /// The group that holds the pictures' layers.
    pub(super) rig: Option<Entity>,
    /// The layers of the wardrobe's parts.
    pub(super) parts: Vec<Entity>,
    weights: Vec<f32>,
    play: Option<Play>,
}

impl Avatar {
    /// It came on air on `tick`; before it was dressed.
    pub(crate) fn began_on(&mut self, tick: u64) {
        self.since_tick = tick;
    }

    /// The layers that hold the bodies, from the back.
    pub(super) fn bodies(&self) -> &[Entity] {
        &self.parts[..self.wardrobe.bodies.min(self.parts.len())]
    }
}

fn begin(mut world: DeferredWorld, context: HookContext) {
    let clock = world.get_resource::<FrameClock>();
    let tick = clock.map_or(0, |clock| clock.tick);
    let name = world.get::<LayerId>(context.entity);
    let seed = name.map_or(0, |name| blink::seed(name.as_str()));
    if let Some(mut avatar) = world.get_mut::<Avatar>(context.entity) {
        (avatar.since_tick, avatar.seed) = (tick, seed);
    }
}

fn undress(mut world: DeferredWorld, context: HookContext) {
    let avatar = world.get::<Avatar>(context.entity);
    if let Some(rig) = avatar.and_then(|avatar| avatar.rig) {
        world.commands().entity(rig).try_despawn();
    }
}

/// Gives avatars whose pictures have changed the layers for them.
pub(super) fn dress(
    world: &mut World,
    changed: &mut QueryState<Entity, (With<Avatar>, Changed<AvatarSource>)>,
) {
    if changed.query(world).is_empty() {
        return;
    }
    let changed: Vec<Entity> = changed.iter(world).collect();
    for entity in changed {
        let (Some(source), Some(avatar)) = (
            world.get::<AvatarSource>(entity),
            world.get::<Avatar>(entity),
        ) else {
            continue;
        };
        if avatar.wardrobe.is_of(source) {
            continue;
        }
        let wardrobe = Wardrobe::new(source);
        let has_same_parts = avatar.rig.is_some() && avatar.wardrobe.parts == wardrobe.parts;
        let (rig, parts) = match avatar.rig {
            Some(rig) if has_same_parts => (Some(rig), avatar.parts.clone()),
            old => {
                if let Some(old) = old {
                    world.despawn(old);
                }
                spawn_parts(world, entity, &wardrobe)
            }
        };
        let tick = world.resource::<FrameClock>().tick;
        let Some(mut avatar) = world.get_mut::<Avatar>(entity) else {
            continue;
        };
        let avatar = &mut *avatar;
        if has_same_parts {
            if let Some(play) = &mut avatar.play {
                play.redress(&avatar.wardrobe, &wardrobe);
            }
        } else if avatar.play.take().is_some() {
            avatar.since_tick = tick;
        }
        avatar.weights.clear();
        avatar.weights.resize(wardrobe.parts.len(), 0.0);
        (avatar.rig, avatar.parts, avatar.wardrobe) = (rig, parts, wardrobe);
    }
}

/// A group with a hidden image layer for each part.
fn spawn_parts(
    world: &mut World,
    avatar: Entity,
    wardrobe: &Wardrobe,
) -> (Option<Entity>, Vec<Entity>) {
    let Some((id, scope)) = world
        .get::<LayerId>(avatar)
        .cloned()
        .zip(world.get::<DataScope>(avatar).copied())
    else {
        return (None, Vec::new());
    };
    let layers = wardrobe.parts.iter().enumerate().map(|(index, part)| {
        Arc::new(LayerSpec {
            source: Source::Image(ImageSource {
                src: Template::literal(&*part.src),
                playback: Playback::default(),
            }),
            position: Position {
                x: part.offset.x.into(),
                y: part.offset.y.into(),
            },
            visible: Visible(false),
            ..LayerSpec::new(format!("part-{index}").as_str())
        })
    });
    let rig = Arc::new(LayerSpec {
        // Below whatever else stands on the layer.
        z_index: ZIndex(Some(i32::MIN)),
        children: layers.collect(),
        ..LayerSpec::new("avatar")
    });
    let place = Place {
        parent: Some(avatar),
        scope,
        within: Some(id.as_str()),
    };
    let tick = world.resource::<FrameClock>().tick;
    let Some(rig) = spawn_tree(world, &[rig], &[], &place, tick).pop() else {
        return (None, Vec::new());
    };
    world.entity_mut(rig).insert(ChildSpace::default());
    world.resource_mut::<LayerTree>().mark_stale();
    let parts = world.get::<Children>(rig);
    let parts = parts.map_or_else(Vec::new, |parts| parts.iter().collect());
    (Some(rig), parts)
}

type ActingRow<'a> = (
    &'a DataScope,
    &'a Computed<AvatarSource>,
    Option<&'a FieldMotions<AvatarSource>>,
    &'a Speech,
    &'a mut Avatar,
);
type PartRow<'a> = (
    &'a mut Visible,
    &'a mut Opacity,
    &'a mut BlendMode,
    &'a mut ShownPicture,
);

/// Shows of each avatar what its state, its level and the tick ask for.
pub(super) fn act(
    clock: Res<FrameClock>,
    data: Res<SceneData>,
    mut pictures: ResMut<Pictures>,
    mut avatars: Query<ActingRow>,
    mut layers: Query<PartRow>,
    mut words: Local<String>,
) {
    for (scope, Computed(source), motions, speech, mut avatar) in &mut avatars {
        let Avatar {
            since_tick,
            seed,
            wardrobe,
            parts,
            weights,
            play,
            ..
        } = avatar.bypass_change_detection();
        let lookup = |path: &str| data.lookup(*scope, path);
        source.state.fill(lookup, &mut words);
        let state = wardrobe.state(&words);
        source.emotion.fill(lookup, &mut words);
        let emotion = wardrobe.emotion(&words);
        let level = source
            .mouth
            .as_ref()
            .map(|mouth| mouth.level.resolve(lookup));
        let spoken = speech.level();
        let told = Told {
            tick: clock.tick,
            rate: clock.rate,
            source,
            state,
            emotion,
            felt: speech.emotion().and_then(|name| wardrobe.emotion(name)),
            // Data may say "nan".
            level: spoken
                .or(level)
                .filter(|level| !level.is_nan())
                .map_or(0.0, |level| level.clamp(0.0, 1.0)),
            exact: spoken.is_none() && motions.is_some_and(|motions| motions.moves(LEVEL)),
            seed: *seed,
        };
        // Whoever goes back in time finds what would have been there.
        play.take_if(|play| play.tick > clock.tick);
        let play = play.get_or_insert_with(|| Play::new(&told, wardrobe, *since_tick));
        let mut known = |part: u16| {
            let part = wardrobe.parts.get(usize::from(part));
            part.is_some_and(|part| pictures.get(&part.src).is_some())
        };
        play.advance(&told, wardrobe, &mut known);
        play.weigh(&told, wardrobe, weights);
        for (part, tick) in play.restarts.drain(..) {
            let layer = parts.get(usize::from(part)).copied();
            if let Some((.., mut shown)) = layer.and_then(|layer| layers.get_mut(layer).ok()) {
                let shown = shown.bypass_change_detection();
                (shown.since_tick, shown.from_nanos) = (tick, 0);
            }
        }
        let mut bodies_seen = 0;
        for (index, (layer, weight)) in parts.iter().zip(weights).enumerate() {
            let Ok((mut visible, mut opacity, mut blend, _)) = layers.get_mut(*layer) else {
                continue;
            };
            visible.set_if_neq(Visible(*weight > 0.0));
            opacity.set_if_neq(Opacity(Number::Literal(*weight)));
            if index >= wardrobe.bodies || *weight <= 0.0 {
                continue;
            }
            // Bodies that are both there are added up: laid over each other, what is below would shine through.
            bodies_seen += 1;
            let mode = if bodies_seen > 1 {
                BlendMode::Add
            } else {
                BlendMode::Normal
            };
            blend.set_if_neq(mode);
        }
    }
}

/// Keeps what avatars do when the rate of the ticks changes.
pub(crate) fn set_avatar_rate(world: &mut World, rate: FrameRate) {
    let clock = *world.resource::<FrameClock>();
    let rebase = |tick: u64| {
        let ticks = |span: u64| rate.ticks_at(clock.rate.nanos_at(span));
        if tick > clock.tick {
            return clock.tick + ticks(tick - clock.tick);
        }
        clock.tick.saturating_sub(ticks(clock.tick - tick))
    };
    let mut avatars = world.query::<&mut Avatar>();
    for mut avatar in avatars.iter_mut(world) {
        avatar.since_tick = rebase(avatar.since_tick);
        if let Some(play) = &mut avatar.play {
            play.set_rate(rebase);
        }
    }
}
