//! Layers that systems make below an authored one: spawned whole, with every value computed, so that the tick that makes them draws
//! them as well.

use std::sync::Arc;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use components::derived::{Computed, FilledText};
use components::layer::{
    Anchor, Crop, LayerId, LayerSpec, Opacity, Position, Rotation, Scale, Size, ZIndex,
};
use components::source::{ImageSource, TextSource};
use serde_json::Value;

use super::spawn::{Place, spawn_tree};
use super::stage::Internal;
use crate::animate::MovingProperty;
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};
use crate::layout::LayerTree;

/// Spawns a layer with all below it in the space of `host`, where it looks its data up. May be called late in the set `Animate`.
pub(crate) fn spawn_internal(
    world: &mut World,
    host: Entity,
    spec: Arc<LayerSpec>,
) -> Option<Entity> {
    let tick = world.resource::<FrameClock>().tick;
    let id = world.get::<LayerId>(host)?.clone();
    let place = Place {
        parent: Some(host),
        scope: *world.get::<DataScope>(host)?,
        within: Some(id.as_str()),
    };
    let layer = *spawn_tree(world, &[spec], &[], &place, tick).first()?;
    world.resource_scope(|world, data: Mut<SceneData>| compute(world, &data, layer));
    Some(layer)
}

/// Takes a layer away that a system made, with all below it.
pub(crate) fn despawn_internal(world: &mut World, layer: Entity) {
    // It may have gone with its host.
    if let Ok(layer) = world.get_entity_mut(layer) {
        layer.despawn();
        world.resource_mut::<LayerTree>().mark_stale();
    }
}

/// Takes away every layer that systems made below `host`.
pub(super) fn despawn_all_internal(host: &mut EntityWorldMut) {
    let Some(children) = host.get::<Children>() else {
        return;
    };
    let children: Vec<Entity> = children.iter().collect();
    host.world_scope(|world| {
        for child in children {
            if world.get::<Internal>(child).is_some() {
                despawn_internal(world, child);
            }
        }
    });
}

/// Computes what the systems of `Animate` that ran before have not seen.
fn compute(world: &mut World, data: &SceneData, layer: Entity) {
    let Some(scope) = world.get::<DataScope>(layer).copied() else {
        return;
    };
    let lookup = |path: &str| data.lookup(scope, path);
    let mut entity = world.entity_mut(layer);
    property::<Position>(&mut entity, &lookup);
    property::<Size>(&mut entity, &lookup);
    property::<Anchor>(&mut entity, &lookup);
    property::<Scale>(&mut entity, &lookup);
    property::<Rotation>(&mut entity, &lookup);
    property::<Opacity>(&mut entity, &lookup);
    property::<Crop>(&mut entity, &lookup);
    property::<ZIndex>(&mut entity, &lookup);
    let template = match (entity.get::<TextSource>(), entity.get::<ImageSource>()) {
        (Some(text), _) => Some(text.text.clone()),
        (None, Some(image)) => Some(image.src.clone()),
        (None, None) => None,
    };
    if let (Some(template), Some(mut filled)) = (template, entity.get_mut::<FilledText>()) {
        template.fill(lookup, &mut filled.0);
    }
    let children: Vec<Entity> = entity
        .get::<Children>()
        .map(|children| children.iter().collect())
        .unwrap_or_default();
    for child in children {
        compute(world, data, child);
    }
}

fn property<'a, T>(entity: &mut EntityWorldMut, lookup: &dyn Fn(&str) -> Option<&'a Value>)
where
    T: MovingProperty + Component<Mutability = Mutable>,
{
    if let Some(value) = entity.get::<T>().map(|authored| authored.resolve(lookup)) {
        entity.insert(Computed::<T>(value));
    }
}
