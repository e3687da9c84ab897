//! From drawn layers to the frame: the draw list, and the compositor that touches only what changed.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::LayoutBox;
use components::layer::BlendMode;
use components::viewport::Viewport;
use glam::{Affine2, Mat2, Vec2};
use raster::{
    Clip, ComposeStats, Compositor, DrawItem, FramePool, Group, I420Frame, Paint, Raster, Stack,
    Workers,
};

use super::drawn::Drawn;
use super::effect::{Effected, Folding, OpenFold};
use crate::layout::{
    CanvasSize, ChildSpace, InputPlace, LayerTree, OutputSize, Placed, Views, on_frame,
};
use crate::publish::Counters;
use crate::transition::{Presence, SceneMix};

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
    /// The colour behind everything.
    pub background: [u8; 3],
    /// The items.
    pub items: Vec<DrawItem>,
    /// Those of them that are drawn as one.
    pub groups: Vec<Group>,
}

impl DrawList {
    /// What the compositor is given.
    pub fn stack(&self) -> Stack<'_> {
        Stack {
            items: &self.items,
            groups: &self.groups,
        }
    }
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
    /// This frame, as large as the others.
    Slate(Arc<I420Frame>),
}

/// How far from whole a transform may be and still be laid on whole pixels.
const SNAP: f32 = 1e-3;

/// Keys of what belongs to no layer: entities have none of these. The backdrops of the lower and the upper scene, and the veil over both.
const BACKDROPS: [u64; 2] = [u64::MAX, u64::MAX - 1];
const VEIL: u64 = u64::MAX - 2;
/// Keys of the groups of the lower and the upper scene.
const SCENES: [u64; 2] = [u64::MAX - 3, u64::MAX - 4];
/// Key of the clip over both scenes.
const CLIP: u64 = u64::MAX - 5;
/// Keys of the bars beside the canvases of the lower and the upper scene; each has this one and the one before it.
const BARS: [u64; 2] = [u64::MAX - 0x100, u64::MAX - 0x102];
/// What is added to a layer's key for the colour or the clip over its box.
const VEIL_OF_LAYER: u64 = 1 << 63;

type ListRow<'a> = (
    Entity,
    &'a Drawn,
    Option<&'a Effected>,
    &'a Placed,
    &'a BlendMode,
    &'a LayoutBox,
    Option<&'a Presence>,
    (Has<Children>, Has<ChildSpace>),
    Option<&'a InputPlace>,
);

/// Where layers are seen: the frame and how the canvas lies on it.
#[derive(Clone, Copy)]
struct Sight<'a> {
    view: &'a Viewport,
    /// Pixels.
    frame: Vec2,
}

pub(super) fn list(
    tree: Res<LayerTree>,
    mix: Res<SceneMix>,
    (size, output): (Res<CanvasSize>, Res<OutputSize>),
    background: Res<Background>,
    layers: Query<ListRow>,
    mut folding: Folding,
    mut draw_list: ResMut<DrawList>,
    mut open: Local<Vec<OpenGroup>>,
) {
    let list = &mut *draw_list;
    list.items.clear();
    list.groups.clear();
    list.background = background.0;
    let (views, frame) = (Views::new(&output, &size, &mix), output.size());
    let Some(looks) = mix.looks(frame, background.0) else {
        let all = 0..tree.nodes.len();
        let sight = Sight {
            view: &views.program,
            frame,
        };
        list_layers(&tree, all, sight, &layers, list, &mut open, &mut folding);
        list_bars(list, &views.program, 1);
        return;
    };
    let split = tree.under.min(tree.nodes.len());
    let halves = [
        (looks.under, 0..split),
        (looks.over, split..tree.nodes.len()),
    ];
    list.background = looks.backdrops[usize::from(looks.under.is_none())];
    for (half, (look, nodes)) in halves.into_iter().enumerate() {
        let Some(look) = look else { continue };
        let first = list.items.len();
        let [red, green, blue] = looks.backdrops[half];
        let colour = [red, green, blue, 255];
        let backdrop = DrawItem::solid(BACKDROPS[half], colour, frame, Affine2::IDENTITY);
        list.items.push(backdrop);
        let group = list.groups.len();
        list.groups.push(Group {
            opacity: look.opacity,
            matte: look.matte,
            clip: (look.canvas_from_own != Affine2::IDENTITY).then_some(Clip {
                canvas_from_clip: look.canvas_from_own,
                size: frame,
            }),
            isolated: true,
            ..Group::new(SCENES[half], first..first)
        });
        let view = views.of(mix.outgoing_is_over() == (half == 1));
        let sight = Sight { view, frame };
        list_layers(&tree, nodes, sight, &layers, list, &mut open, &mut folding);
        list_bars(list, view, half);
        list.groups[group].items.end = list.items.len();
        move_all(list, first, group, look.canvas_from_own);
    }
    if let Some(([red, green, blue], part)) = looks.veil {
        let mut veil = DrawItem::solid(VEIL, [red, green, blue, 255], frame, Affine2::IDENTITY);
        veil.opacity = part;
        list.items.push(veil);
    }
    if let Some(picture) = &looks.clip {
        let item = clip_item(CLIP, picture, Affine2::IDENTITY, frame);
        list.items.push(item);
    }
}

/// A frame of a clip over a box of `size`.
fn clip_item(
    key: u64,
    (raster, number): &(Arc<Raster>, u64),
    canvas_from_box: Affine2,
    size: Vec2,
) -> DrawItem {
    let own = Vec2::new(raster.width() as f32, raster.height() as f32);
    let canvas_from_paint = canvas_from_box * Affine2::from_scale(size / own);
    let mut item = DrawItem::raster(key, Arc::clone(raster), canvas_from_paint);
    item.revision = *number;
    item
}

/// Moves what was listed since `first`, and the groups since `group`, which is the scene's own.
fn move_all(list: &mut DrawList, first: usize, group: usize, by: Affine2) {
    if by == Affine2::IDENTITY {
        return;
    }
    let moved = |clip: Clip| Clip {
        canvas_from_clip: by * clip.canvas_from_clip,
        ..clip
    };
    for item in &mut list.items[first..] {
        item.canvas_from_paint = by * item.canvas_from_paint;
        item.clip = item.clip.map(moved);
    }
    // A layer's own matte stays where it is: it comes or goes while its scene does, which nobody can tell from moving along.
    for inner in &mut list.groups[group + 1..] {
        inner.clip = inner.clip.map(moved);
    }
}

/// Blackens what a scene's canvas leaves of the frame, over all of its layers: none of them shows outside of its canvas.
fn list_bars(list: &mut DrawList, view: &Viewport, half: usize) {
    for (low, high) in view.bars() {
        let is_first = low == Vec2::ZERO;
        let key = BARS[half] - u64::from(is_first);
        let place = Affine2::from_translation(low);
        list.items
            .push(DrawItem::solid(key, [0, 0, 0, 255], high - low, place));
    }
}

/// A layer whose items, and those of all below it, are drawn as one, or that has something drawn over them.
pub(super) struct OpenGroup {
    /// Its place in the tree.
    node: u32,
    /// The place of its group.
    group: Option<usize>,
    /// Drawn over all of it.
    veil: Option<DrawItem>,
    /// For the effects that all of it is filtered by.
    fold: Option<OpenFold>,
}

fn list_layers(
    tree: &LayerTree,
    nodes: std::ops::Range<usize>,
    sight: Sight,
    layers: &Query<ListRow>,
    list: &mut DrawList,
    open: &mut Vec<OpenGroup>,
    folding: &mut Folding,
) {
    for (place, node) in (nodes.start as u32..).zip(&tree.nodes[nodes]) {
        // In this order of walking, what is not above a layer has been walked to its end.
        close(list, open, folding, sight.frame, |inner| {
            node.parent.is_none_or(|parent| inner > parent)
        });
        let Ok(row) = layers.get(node.entity) else {
            continue;
        };
        let (entity, drawn, effected, placed, blend, layout, presence, children, input) = row;
        let (has_children, is_one_picture) = children;
        if !placed.visible {
            continue;
        }
        // What is folded into one picture stands in the space of that picture, and not on the frame.
        let is_folded = open.iter().any(|above| above.fold.is_some());
        let placed = &match is_folded {
            true => *placed,
            false => on_frame(placed, sight.view),
        };
        let key = entity.to_bits();
        let frame = presence.and_then(Presence::frame);
        let folds = placed.own_space.is_some();
        // A layer and what stands in it fade and blend as one.
        let is_plain = placed.opacity >= 1.0 && *blend == BlendMode::Normal;
        let joins = has_children && (!is_plain || is_one_picture) && !folds;
        if placed.matte.is_some() || placed.veil.is_some() || frame.is_some() || joins || folds {
            let first = list.items.len();
            let group = (placed.matte.is_some() || joins).then(|| {
                let mut group = Group::new(key, first..first);
                group.matte = placed.matte;
                if joins {
                    (group.opacity, group.blend) = (placed.opacity, *blend);
                    group.isolated = true;
                }
                list.groups.push(group);
                list.groups.len() - 1
            });
            let veil = placed
                .veil
                .map(|veil| veil_item(key, veil, placed, layout.0))
                .or_else(|| {
                    let key = key ^ VEIL_OF_LAYER;
                    frame.map(|frame| clip_item(key, frame, placed.canvas_from_layer, layout.0))
                });
            open.push(OpenGroup {
                node: place,
                group,
                veil,
                fold: placed.own_space.map(|_| OpenFold {
                    entity,
                    first_item: first,
                    first_group: list.groups.len(),
                    placed: *placed,
                    blend: *blend,
                    layout: layout.0,
                }),
            });
        }
        // What has effects as a whole stands in its own space, as all below it does.
        let in_own_space = placed.own_space.map(|scale| Placed {
            clip: input
                .and_then(|input| input.cut)
                .map(|(low, size)| Clip::rect(low * scale, (low + size) * scale)),
            ..Placed::in_own_space(scale)
        });
        let (placed, blend) = match &in_own_space {
            Some(own) => (own, BlendMode::Normal),
            None if joins => (placed, BlendMode::Normal),
            None => (placed, *blend),
        };
        let Some(drawn) = effected.map_or(Some(drawn), |effected| effected.shown(drawn)) else {
            continue;
        };
        let Some(paint) = drawn.paint.as_ref().filter(|_| placed.opacity > 0.0) else {
            continue;
        };
        list.items.push(DrawItem {
            key,
            revision: drawn.revision,
            paint: paint.clone(),
            size: drawn.size,
            canvas_from_paint: canvas_from_paint(placed, drawn),
            opacity: if joins { 1.0 } else { placed.opacity },
            blend,
            clip: placed.clip,
            matte: None,
        });
    }
    close(list, open, folding, sight.frame, |_| true);
}

/// Closes the groups of layers that `is_done`, from the innermost.
fn close(
    list: &mut DrawList,
    open: &mut Vec<OpenGroup>,
    folding: &mut Folding,
    frame: Vec2,
    is_done: impl Fn(u32) -> bool,
) {
    while let Some(last) = open.pop_if(|last| is_done(last.node)) {
        if let Some(fold) = &last.fold {
            folding.fold(list, fold, frame);
        }
        if let Some(group) = last.group {
            list.groups[group].items.end = list.items.len();
        }
        // It is seen over a layer that is not there yet.
        list.items.extend(last.veil);
    }
}

fn veil_item(key: u64, veil: ([u8; 3], f32), placed: &Placed, size: Vec2) -> DrawItem {
    let ([red, green, blue], part) = veil;
    let colour = [red, green, blue, 255];
    let mut item = DrawItem::solid(key ^ VEIL_OF_LAYER, colour, size, placed.canvas_from_layer);
    item.opacity = part;
    item.clip = placed.clip;
    item
}

/// Where the paint lies on the canvas. A picture at its own size that no track moves is laid on whole pixels, so that it is as crisp
/// as it was drawn.
pub(super) fn canvas_from_paint(placed: &Placed, drawn: &Drawn) -> Affine2 {
    let mut transform = placed.canvas_from_layer * drawn.layer_from_paint;
    let matrix = transform.matrix2;
    let is_unscaled = [matrix.x_axis - Vec2::X, matrix.y_axis - Vec2::Y]
        .into_iter()
        .all(|rest| rest.abs().max_element() < SNAP);
    if is_unscaled && matches!(drawn.paint, Some(Paint::Raster(_) | Paint::Planes(_))) {
        transform.matrix2 = Mat2::IDENTITY;
        if !placed.moves {
            transform.translation = transform.translation.round();
        }
    }
    transform
}

pub(super) fn compose(
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
    match compositor.compose(list.background, list.stack(), pool, workers) {
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
    let list = world.resource::<DrawList>();
    canvas
        .compositor
        .compose_rgba(list.background, list.stack(), &canvas.workers)
}
