//! Scenes within scenes: their layers and timelines, on a stage of the size of their canvas.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::NaturalSize;
use components::layer::{LayerId, LayerSpec, ZIndex};
use components::scene::SceneSpec;
use components::source::{ColourSource, SceneSource, Source};
use glam::Vec2;
use serde_json::{Map, Value};

use super::{Interior, OwnScope, covering, spawn_stage};
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData, merge_object};
use crate::scene::{Place, spawn_tree};

/// What stands on the stage of a scene within a scene. On its layer; written when layers are spawned and edited.
#[derive(Component, Debug)]
pub(crate) struct InnerScene {
    stage: Option<(Entity, DataScope)>,
    shown: SceneSource,
}

type Unfilled = (With<SceneSource>, Without<InnerScene>);

/// Brings all scenes within the scene on air to what their sources say. Called when layers came or changed, so that timelines start
/// on the tick on which those of the scene around them do.
pub(crate) fn fill_scenes(world: &mut World) {
    let mut layers = world.query_filtered::<Entity, With<SceneSource>>();
    let mut todo: Vec<Entity> = layers.iter(world).collect();
    if todo.is_empty() {
        return;
    }
    let mut unfilled = world.query_filtered::<Entity, Unfilled>();
    while !todo.is_empty() {
        for layer in todo.drain(..) {
            // One may have gone with the scene that it stood in.
            follow(world, layer);
        }
        // Those that came with the others, one scene deeper.
        todo.extend(unfilled.iter(world));
    }
}

/// Brings the stage to what the source says now. The same scene with other data goes on where it is.
fn follow(world: &mut World, layer: Entity) {
    let Some(source) = world.get::<SceneSource>(layer).cloned() else {
        return;
    };
    let mut old_stage = None;
    if let Some(inner) = world.get::<InnerScene>(layer) {
        let same_scene = inner.shown.background == source.background
            && match (&inner.shown.inner, &source.inner) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
                (a, b) => a.is_none() && b.is_none(),
            };
        let same_data = inner.shown.data == source.data;
        old_stage = inner.stage;
        if same_scene {
            if let (Some((_, scope)), Some(spec), false) = (old_stage, &source.inner, same_data) {
                let values = inner_values(spec, &source);
                world.resource_mut::<SceneData>().set(scope, values);
            }
            if let Some(mut inner) = world.get_mut::<InnerScene>(layer) {
                inner.shown = source;
            }
            return;
        }
    }
    if let Some((stage, _)) = old_stage {
        world.despawn(stage);
    }
    let stage = source
        .inner
        .as_ref()
        .and_then(|spec| fill(world, layer, spec, &source));
    let natural = source
        .inner
        .as_ref()
        .map_or(Vec2::ZERO, |spec| canvas(spec));
    world.entity_mut(layer).insert((
        InnerScene {
            stage,
            shown: source,
        },
        NaturalSize(natural),
    ));
}

/// Spawns the scene below the layer.
fn fill(
    world: &mut World,
    layer: Entity,
    spec: &SceneSpec,
    source: &SceneSource,
) -> Option<(Entity, DataScope)> {
    let above = *world.get::<DataScope>(layer)?;
    let within = world.get::<LayerId>(layer)?.clone();
    let tick = world.resource::<FrameClock>().tick;
    let values = inner_values(spec, source);
    let scope = world.resource_mut::<SceneData>().add(values, Some(above));
    let stage = spawn_stage(world, layer, scope, Interior::Canvas(canvas(spec)));
    world.entity_mut(stage).insert(OwnScope(scope));
    let mut layers = Vec::with_capacity(spec.layers.len() + 1);
    if source.background {
        let mut colour = LayerSpec::new("canvas");
        colour.source = Source::Colour(ColourSource {
            color: spec.canvas.background,
        });
        colour.z_index = ZIndex(Some(i32::MIN));
        layers.push(Arc::new(colour));
    }
    layers.extend(spec.layers.iter().cloned());
    let layers = covering(&layers, canvas(spec));
    let place = Place {
        parent: Some(stage),
        scope,
        within: Some(within.as_str()),
    };
    spawn_tree(world, &layers, &spec.timelines, &place, tick);
    Some((stage, scope))
}

/// The values of a scene within a scene: its own, with those that the source gives in their place.
pub fn inner_values(spec: &SceneSpec, source: &SceneSource) -> Arc<Map<String, Value>> {
    if source.data.is_empty() {
        return Arc::clone(&spec.data);
    }
    let mut values = (*spec.data).clone();
    merge_object(&mut values, &source.data);
    Arc::new(values)
}

fn canvas(spec: &SceneSpec) -> Vec2 {
    Vec2::new(spec.canvas.width as f32, spec.canvas.height as f32)
}
