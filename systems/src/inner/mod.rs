//! The layers that sources make for themselves, which are layers like any other from then on.
//!
//! A source that is more than one picture has one internal layer below its own, its stage; all else that it makes stands on that, and
//! goes with it. What is made follows from the source and the tick, so nothing here is saved, and no command reaches it.

mod scene;

use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use components::layer::{LayerId, LayerSpec, ZIndex};
use components::source::Source;
use glam::Vec2;

use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};
use crate::scene::{Place, spawn_tree};

pub use scene::inner_values;
pub(crate) use scene::{InnerScene, fill_scenes};

/// The space in which the layers of a stage stand. On the stage; written when it is made, read in `Layout`.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub enum Interior {
    /// A canvas of this size, cropped and fitted into the box as a picture is, and cut at the box.
    Canvas(Vec2),
    /// The box itself, and nothing outside of it.
    Box,
}

/// A layer that systems move on this tick: it is not laid on whole pixels, and is drawn at its own size. On layers that a source made;
/// written in `Populate`.
#[derive(Component, Clone, Copy, Debug)]
pub(crate) struct InTransition;

/// A scope of data that goes with the entity.
#[derive(Component, Clone, Copy, Debug)]
#[component(immutable, on_remove = let_scope_go)]
pub(crate) struct OwnScope(pub DataScope);

fn let_scope_go(mut world: DeferredWorld, context: HookContext) {
    let scope = world.get::<OwnScope>(context.entity).map(|own| own.0);
    if let (Some(scope), Some(mut data)) = (scope, world.get_resource_mut::<SceneData>()) {
        data.remove(scope);
    }
}

/// Makes a stage below a layer, behind the layer's own children.
pub(crate) fn spawn_stage(
    world: &mut World,
    layer: Entity,
    scope: DataScope,
    interior: Interior,
) -> Entity {
    let tick = world.resource::<FrameClock>().tick;
    let within = world.get::<LayerId>(layer).cloned();
    let mut spec = LayerSpec::new("stage");
    spec.z_index = ZIndex(Some(i32::MIN));
    let place = Place {
        parent: Some(layer),
        scope,
        within: within.as_ref().map(LayerId::as_str),
    };
    let made = spawn_tree(world, &[Arc::new(spec)], &[], &place, tick);
    // One layer was asked for.
    let stage = made.first().copied().unwrap_or(layer);
    world.entity_mut(stage).insert(interior);
    stage
}

/// The layers with a size where they would cover the canvas, which is another one here.
pub(crate) fn covering(layers: &[Arc<LayerSpec>], canvas: Vec2) -> Vec<Arc<LayerSpec>> {
    layers
        .iter()
        .map(|layer| {
            let covers = layer.size.is_none()
                && matches!(layer.source, Source::Colour(_) | Source::Gradient(_));
            let children = covering(&layer.children, canvas);
            let mut pairs = children.iter().zip(&layer.children);
            if !covers && pairs.all(|(new, old)| Arc::ptr_eq(new, old)) {
                return Arc::clone(layer);
            }
            let mut layer = LayerSpec::clone(layer);
            layer.children = children;
            if covers {
                layer.size = Some(components::layer::Size {
                    width: canvas.x.into(),
                    height: canvas.y.into(),
                });
            }
            Arc::new(layer)
        })
        .collect()
}
