//! The drawing order: the hierarchy as a flat list, from the back of the canvas to the front.

use bevy_ecs::prelude::*;
use components::derived::{Computed, DrawOrder};
use components::layer::ZIndex;

use crate::scene::Outgoing;
use crate::transition::SceneMix;

/// The layers in drawing order: parents before their children, siblings by z-index and then by the order of the file. While one scene gives
/// way to another, all layers of the lower one come first. Rebuilt in
/// `Layout` only when the hierarchy or a z-index changes, so that a still scene walks a plain list.
#[derive(Resource, Debug, Default)]
pub struct LayerTree {
    /// The layers.
    pub nodes: Vec<Node>,
    /// How many of them belong to the lower of two scenes, while one gives way to another.
    pub under: usize,
    stale: bool,
}

/// One layer of the [`LayerTree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The layer.
    pub entity: Entity,
    /// The place of its parent in the list, which is before its own.
    pub parent: Option<u32>,
}

/// The place of a layer in the scene's file among all its layers. Written by spawning.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileOrder(pub u32);

impl LayerTree {
    /// Has the list rebuilt on this tick; called when layers come or go.
    pub fn mark_stale(&mut self) {
        self.stale = true;
    }
}

type Sorting<'a> = (
    Entity,
    &'a Computed<ZIndex>,
    &'a FileOrder,
    Option<&'a ChildOf>,
    Has<Outgoing>,
);

pub(super) fn order(
    mix: Res<SceneMix>,
    mut tree: ResMut<LayerTree>,
    changed: Query<(), Or<(Changed<Computed<ZIndex>>, Changed<ChildOf>)>>,
    layers: Query<Sorting>,
    mut orders: Query<&mut DrawOrder>,
) {
    if !tree.stale && changed.is_empty() {
        return;
    }
    let mut sorted: Vec<_> = layers
        .iter()
        .map(|(entity, z_index, place, parent, goes)| {
            let is_over = mix.is_active() && goes == mix.outgoing_is_over();
            let parent = parent.map(|parent| parent.parent());
            (parent, is_over, z_index.0, *place, entity)
        })
        .collect();
    sorted.sort_by_key(|&(parent, is_over, z, place, _)| (parent, is_over, z, place));

    let LayerTree {
        nodes,
        under,
        stale,
    } = &mut *tree;
    nodes.clear();
    // A stack and not recursion: a deep hierarchy cannot exhaust the thread's stack.
    let mut stack: Vec<(Entity, Option<u32>)> = Vec::new();
    let push_children =
        |stack: &mut Vec<(Entity, Option<u32>)>, parent: Option<Entity>, place: Option<u32>| {
            let first = sorted.partition_point(|row| row.0 < parent);
            let siblings = sorted[first..].partition_point(|row| row.0 == parent);
            stack.extend(
                sorted[first..first + siblings]
                    .iter()
                    .rev()
                    .map(|row| (row.4, place)),
            );
        };
    push_children(&mut stack, None, None);
    let over_roots = sorted.iter().filter(|row| row.0.is_none() && row.1).count();
    while let Some((entity, parent)) = stack.pop() {
        let place = nodes.len() as u32;
        // What is left on the stack below a root are the roots after it.
        if parent.is_none() && stack.len() + 1 == over_roots {
            *under = nodes.len();
        }
        nodes.push(Node { entity, parent });
        push_children(&mut stack, Some(entity), Some(place));
        if let Ok(mut draw_order) = orders.get_mut(entity) {
            draw_order.set_if_neq(DrawOrder(place));
        }
    }
    if over_roots == 0 {
        *under = nodes.len();
    }
    *stale = false;
}
