//! Effects on layers that hold others together: what is below them is composed alone, in a space of its own, and filtered as one
//! picture, which then moves, turns and fades like any other.
//!
//! It is made anew only when one of its draw items differs from the last time. The innermost comes first.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use components::derived::Computed;
use components::effect::{EffectKind, Effects};
use components::layer::{BlendMode, Crop, LayerId};
use glam::{Affine2, Vec2};
use raster::filter::Margin;
use raster::{Clip, DrawItem, Group, IRect, ItemKey, Paint, Stack, compose_layer_into};

use super::mask::MaskPictures;
use super::plan::Plan;
use super::{Buffers, EffectRoom, Flattened, fits};
use crate::assets::Pictures;
use crate::clock::FrameClock;
use crate::layout::{Placed, crop_box};
use crate::profile::Profile;
use crate::render::cache::{RasterCache, RasterCosts};
use crate::render::compose::{Canvas, DrawList, canvas_from_paint};
use crate::render::drawn::Drawn;

/// A picture of more canvases than this is cut to what the canvas can show of it.
const CANVASES_MAX: f32 = 4.0;

/// What the picture was made of.
#[derive(Default)]
pub(super) struct State {
    drawn: Drawn,
    items: Vec<ItemKey>,
    groups: Vec<Group>,
    rect: IRect,
    plan: Plan,
    masks: MaskPictures,
    buffers: Buffers,
}

/// A layer whose items are to become one picture.
pub(in crate::render) struct OpenFold {
    pub entity: Entity,
    /// The place of the first of its items.
    pub first_item: usize,
    /// The place of the first of its groups.
    pub first_group: usize,
    pub placed: Placed,
    pub blend: BlendMode,
    /// Its box, in layer pixels.
    pub layout: Vec2,
}

/// What it takes to make a picture of a layer's items.
#[derive(SystemParam)]
pub(in crate::render) struct Folding<'w, 's> {
    clock: Res<'w, FrameClock>,
    profile: Res<'w, Profile>,
    canvas: Res<'w, Canvas>,
    room: ResMut<'w, EffectRoom>,
    cache: ResMut<'w, RasterCache>,
    costs: ResMut<'w, RasterCosts>,
    pictures: ResMut<'w, Pictures>,
    layers: Query<
        'w,
        's,
        (
            &'static LayerId,
            &'static Computed<Effects>,
            &'static Computed<Crop>,
            &'static mut Flattened,
        ),
    >,
}

impl Folding<'_, '_> {
    /// Puts one item into the place of all that were listed since the layer was opened.
    pub fn fold(&mut self, list: &mut DrawList, open: &OpenFold, canvas: Vec2) {
        let Ok((id, Computed(effects), Computed(crop), mut state)) =
            self.layers.get_mut(open.entity)
        else {
            return;
        };
        let state = &mut state.bypass_change_detection().0;
        let (items, groups) = (
            &list.items[open.first_item..],
            &mut list.groups[open.first_group..],
        );
        for group in &mut *groups {
            group.items.start -= open.first_item;
            group.items.end -= open.first_item;
        }
        state.buffers.settle(self.clock.tick);
        let scale = open.placed.own_space.unwrap_or(Vec2::ONE);
        let mut content = bounds(items);
        if is_cut_first(effects) && open.layout.min_element() > 0.0 {
            let (origin, size) = crop_box(open.layout, crop);
            content = content.intersect(whole(origin * scale, (origin + size) * scale));
        }
        let is_seen = open.placed.opacity > 0.0 && !content.is_empty();
        if is_seen {
            let plan = &mut self.room.plan;
            let area = area_of(open, crop, scale, content);
            plan.make(effects, scale, area, &mut self.pictures);
            let rect = seen_part(content, plan.room, open, scale, canvas);
            plan.area.0 -= Vec2::new((rect.x0 - content.x0) as f32, (rect.y0 - content.y0) as f32);
            if !state.is_of(items, groups, rect, plan) {
                self.costs.time(&self.profile, id.as_str(), || {
                    state.note(items, groups, rect, &self.room.plan);
                    let stack = Stack { items, groups };
                    state.renew(
                        stack,
                        effects,
                        self.clock.tick,
                        &self.canvas,
                        &mut self.room,
                        &mut self.cache,
                        &mut self.pictures,
                    );
                });
            }
        }
        list.items.truncate(open.first_item);
        list.groups.truncate(open.first_group);
        let Some(paint) = state.drawn.paint.clone().filter(|_| is_seen) else {
            return;
        };
        list.items.push(DrawItem {
            key: open.entity.to_bits(),
            revision: state.drawn.revision,
            paint,
            size: state.drawn.size,
            canvas_from_paint: canvas_from_paint(&open.placed, &state.drawn),
            opacity: open.placed.opacity,
            blend: open.blend,
            clip: open.placed.clip,
            matte: None,
        });
    }
}

/// Whether the first effect leaves nothing beside the layer's box.
fn is_cut_first(effects: &Effects) -> bool {
    let first = effects.0.iter().find(|effect| effect.enabled);
    first.is_some_and(|effect| matches!(effect.kind, EffectKind::CornerRadius(_)))
}

/// Where the layer's box lies in a picture of `content`: its corner and its size. Of a layer without a box it is what its layers cover.
fn area_of(open: &OpenFold, crop: &Crop, scale: Vec2, content: IRect) -> (Vec2, Vec2) {
    let low = Vec2::new(content.x0 as f32, content.y0 as f32);
    let high = Vec2::new(content.x1 as f32, content.y1 as f32);
    if open.layout.min_element() > 0.0 {
        let (origin, size) = crop_box(open.layout, crop);
        (origin * scale - low, size * scale)
    } else {
        (Vec2::ZERO, high - low)
    }
}

impl State {
    /// Whether the picture was made of these.
    fn is_of(&self, items: &[DrawItem], groups: &[Group], rect: IRect, plan: &Plan) -> bool {
        let keys = items.iter().map(ItemKey::of);
        self.rect == rect
            && self.plan == *plan
            && self.groups == *groups
            && self.items.iter().copied().eq(keys)
    }

    fn note(&mut self, items: &[DrawItem], groups: &[Group], rect: IRect, plan: &Plan) {
        self.items.clear();
        self.items.extend(items.iter().map(ItemKey::of));
        self.groups.clear();
        self.groups.extend_from_slice(groups);
        self.rect = rect;
        self.plan.copy_from(plan);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a system's parameters, passed on"
    )]
    fn renew(
        &mut self,
        stack: Stack,
        effects: &Effects,
        tick: u64,
        canvas: &Canvas,
        room: &mut EffectRoom,
        cache: &mut RasterCache,
        pictures: &mut Pictures,
    ) {
        let moves = self.buffers.moves(tick);
        self.buffers.changed_on = Some(tick);
        let before = match self.drawn.paint.take() {
            Some(Paint::Raster(raster)) => Some(raster),
            _ => None,
        };
        let spare = match moves {
            true => std::mem::replace(&mut self.buffers.before, before),
            false => None,
        };
        let (scale, margin) = (self.plan.scale, self.plan.room);
        let (width, height) = (
            (self.rect.x1 - self.rect.x0) as u32,
            (self.rect.y1 - self.rect.y0) as u32,
        );
        if self.plan.hides || !fits([width, height], margin) {
            return;
        }
        let size = self.plan.area.1;
        self.masks
            .renew(effects, scale, size, moves, pictures, cache);
        let work = &mut room.work;
        if compose_layer_into(work, stack, self.rect, margin, &canvas.workers).is_err() {
            return;
        }
        let Some(raster) = room.finish(&self.masks, spare) else {
            return;
        };
        let low = Vec2::new(self.rect.x0 as f32, self.rect.y0 as f32)
            - Vec2::new(margin.left as f32, margin.top as f32);
        self.drawn = Drawn {
            size: Vec2::new(raster.width() as f32, raster.height() as f32),
            paint: Some(Paint::Raster(raster)),
            layer_from_paint: Affine2::from_scale(scale.recip()) * Affine2::from_translation(low),
            revision: room.computed,
        };
    }
}

/// The pixels that items may touch.
fn bounds(items: &[DrawItem]) -> IRect {
    let (mut low, mut high) = (Vec2::INFINITY, Vec2::NEG_INFINITY);
    for item in items {
        let size = match &item.paint {
            Paint::Solid(_) => item.size,
            Paint::Raster(raster) => Vec2::new(raster.width() as f32, raster.height() as f32),
            Paint::Planes(planes) => Vec2::new(planes.width() as f32, planes.height() as f32),
        };
        let (mut item_low, mut item_high) = span(item.canvas_from_paint, size);
        if let Some(Clip {
            canvas_from_clip,
            size,
        }) = item.clip
        {
            let (clip_low, clip_high) = span(canvas_from_clip, size);
            (item_low, item_high) = (item_low.max(clip_low), item_high.min(clip_high));
        }
        if item_low.cmplt(item_high).all() {
            (low, high) = (low.min(item_low), high.max(item_high));
        }
    }
    whole(low, high)
}

/// The upright rectangle round one that a transform may have turned.
fn span(from_own: Affine2, size: Vec2) -> (Vec2, Vec2) {
    let corners = [
        Vec2::ZERO,
        Vec2::new(size.x, 0.0),
        Vec2::new(0.0, size.y),
        size,
    ];
    let corners = corners.map(|corner| from_own.transform_point2(corner));
    (
        corners.into_iter().fold(Vec2::INFINITY, Vec2::min),
        corners.into_iter().fold(Vec2::NEG_INFINITY, Vec2::max),
    )
}

fn whole(low: Vec2, high: Vec2) -> IRect {
    if !(low.is_finite() && high.is_finite()) {
        return IRect::EMPTY;
    }
    // Far beyond any canvas, and far from the end of the numbers.
    let (low, high) = (
        low.floor().clamp(Vec2::splat(-1e6), Vec2::splat(1e6)),
        high.ceil().clamp(Vec2::splat(-1e6), Vec2::splat(1e6)),
    );
    IRect::new(low.x as i32, low.y as i32, high.x as i32, high.y as i32)
}

/// All of it, or, of what is much larger than the canvas, the part that the canvas can show and what effects bring in from beside it.
fn seen_part(content: IRect, room: Margin, open: &OpenFold, scale: Vec2, canvas: Vec2) -> IRect {
    let size = Vec2::new(
        (content.x1 - content.x0) as f32,
        (content.y1 - content.y0) as f32,
    );
    let longest = raster::SIDE_MAX as f32 / 2.0;
    if size.x * size.y <= canvas.x * canvas.y * CANVASES_MAX && size.max_element() <= longest {
        return content;
    }
    let canvas_from_space = open.placed.canvas_from_layer * Affine2::from_scale(scale.recip());
    if canvas_from_space.matrix2.determinant().abs() < 1e-9 {
        return IRect::EMPTY;
    }
    let (low, high) = span(canvas_from_space.inverse(), canvas);
    // A shadow may fall from any side.
    let reach = [room.left, room.top, room.right, room.bottom];
    let reach = reach.into_iter().max().unwrap_or(0) as f32;
    whole(
        (low - reach).max(Vec2::new(content.x0 as f32, content.y0 as f32)),
        (high + reach).min(Vec2::new(content.x1 as f32, content.y1 as f32)),
    )
}
