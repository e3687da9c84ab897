//! From drawn layers to the frame: the draw list, and the compositor that touches only what changed.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::layer::BlendMode;
use components::scene::{SceneTransition, SceneTransitionKind};
use glam::{Affine2, Mat2, Vec2};
use raster::{ComposeStats, Compositor, DrawItem, FramePool, I420Frame, Paint, Raster, Workers};

use super::drawn::Drawn;
use crate::layout::{CanvasSize, LayerTree, Placed};
use crate::publish::Counters;
use crate::transition::OutgoingScene;

/// The compositor, the frames it writes into, and the threads that help it.
#[derive(Resource)]
pub struct Canvas {
    /// Composes.
    pub compositor: Compositor,
    /// The frames.
    pub pool: FramePool,
    /// The threads.
    pub workers: Workers,
}

/// The canvas's own colour.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct Background(pub [u8; 3]);

/// What is drawn on this tick, from the back to the front.
#[derive(Resource, Default)]
pub struct DrawList {
    /// The items.
    pub items: Vec<DrawItem>,
}

/// The frame of this tick. The last good one stays while a new one cannot be made.
#[derive(Resource, Default)]
pub struct ComposedFrame {
    /// The frame; `None` before the first.
    pub frame: Option<Arc<I420Frame>>,
    /// What it took.
    pub stats: ComposeStats,
}

/// What goes out in the place of the scene, which goes on behind it.
#[derive(Resource, Clone, Default)]
pub enum Hold {
    /// Nothing: the scene is shown.
    #[default]
    Scene,
    /// The last frame that was composed.
    LastFrame,
    /// This frame, as large as the canvas.
    Slate(Arc<I420Frame>),
}

/// The key of the outgoing scene's picture among the layers' keys.
const OUTGOING_KEY: u64 = u64::MAX;
/// How far from whole a transform may be and still be laid on whole pixels.
const SNAP: f32 = 1e-3;

type ListRow<'a> = (Entity, &'a Drawn, &'a Placed, &'a BlendMode);

pub(super) fn list(
    tree: Res<LayerTree>,
    outgoing: Res<OutgoingScene>,
    layers: Query<ListRow>,
    mut draw_list: ResMut<DrawList>,
) {
    let items = &mut draw_list.items;
    items.clear();
    for node in &tree.nodes {
        let Ok((entity, drawn, placed, blend)) = layers.get(node.entity) else {
            continue;
        };
        if !placed.visible || placed.opacity <= 0.0 {
            continue;
        }
        let Some(paint) = &drawn.paint else { continue };
        items.push(DrawItem {
            key: entity.to_bits(),
            revision: drawn.revision,
            paint: paint.clone(),
            size: drawn.size,
            canvas_from_paint: canvas_from_paint(placed, drawn),
            opacity: placed.opacity,
            blend: *blend,
            clip: placed.clip,
            matte: None,
        });
    }
    if let Some((picture, opacity)) = outgoing.visible() {
        let mut item = DrawItem::raster(OUTGOING_KEY, Arc::clone(picture), Affine2::IDENTITY);
        item.opacity = opacity;
        items.push(item);
    }
}

/// Where the paint lies on the canvas. A raster at its own size that no track moves is laid on whole pixels, so that it is as crisp
/// as it was drawn.
fn canvas_from_paint(placed: &Placed, drawn: &Drawn) -> Affine2 {
    let mut transform = placed.canvas_from_layer * drawn.layer_from_paint;
    let matrix = transform.matrix2;
    let is_unscaled = [matrix.x_axis - Vec2::X, matrix.y_axis - Vec2::Y]
        .into_iter()
        .all(|rest| rest.abs().max_element() < SNAP);
    if is_unscaled && matches!(drawn.paint, Some(Paint::Raster(_))) {
        transform.matrix2 = Mat2::IDENTITY;
        if !placed.moves {
            transform.translation = transform.translation.round();
        }
    }
    transform
}

pub(super) fn compose(
    background: Res<Background>,
    list: Res<DrawList>,
    hold: Res<Hold>,
    mut canvas: ResMut<Canvas>,
    mut composed: ResMut<ComposedFrame>,
    mut counters: ResMut<Counters>,
) {
    let held = match &*hold {
        Hold::Scene => None,
        Hold::LastFrame => composed.frame.clone(),
        Hold::Slate(frame) => Some(Arc::clone(frame)),
    };
    if held.is_some() {
        composed.frame = held;
        composed.stats = ComposeStats::default();
        return;
    }
    let Canvas {
        compositor,
        pool,
        workers,
    } = &mut *canvas;
    match compositor.compose(background.0, &list.items, pool, workers) {
        Ok(result) => {
            composed.frame = Some(result.frame);
            composed.stats = result.stats;
        }
        Err(error) => {
            composed.stats = ComposeStats::default();
            counters.pool_exhausted += 1;
            counters.repeated += 1;
            if counters.pool_exhausted.is_power_of_two() {
                tracing::warn!(%error, times = counters.pool_exhausted, "no new frame could be made; the last one is repeated");
            }
        }
    }
}

/// The whole canvas as it was composed last: RGBA8, rows tightly packed, alpha 255.
pub fn picture(world: &World) -> Vec<u8> {
    let canvas = world.resource::<Canvas>();
    canvas.compositor.compose_rgba(
        world.resource::<Background>().0,
        &world.resource::<DrawList>().items,
        &canvas.workers,
    )
}

/// The picture that a transition dissolves, when there is one on air and the transition takes time.
pub fn last_picture(world: &World, transition: SceneTransition) -> Option<Arc<Raster>> {
    let on_air = world.resource::<ComposedFrame>().frame.is_some();
    if !on_air || transition.kind == SceneTransitionKind::Cut || transition.duration <= 0.0 {
        return None;
    }
    let size = *world.resource::<CanvasSize>();
    Raster::from_rgba8_premultiplied(size.width, size.height, picture(world))
        .ok()
        .map(Arc::new)
}
