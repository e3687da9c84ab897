//! Where each layer stands on the canvas: transforms, opacity, visibility and clips, from the parents down.

use bevy_ecs::prelude::*;
use components::derived::{Computed, LayoutBox};
use components::effect::Effects;
use components::layer::{Anchor, Crop, Fit, Opacity, Position, Rotation, Scale, Visible};
use components::source::{GroupSource, ImageSource};
use components::transition::{Enter, Exit, TransitionKind};
use components::viewport::Viewport;
use glam::{Affine2, Vec2};
use raster::{Clip, Matte};

use super::CanvasSize;
use super::inputs::InputPlace;
use super::measure::{crop_box, fitted};
use super::tree::LayerTree;
use super::view::{OutputSize, Views};
use crate::animate::{CompiledTracks, Motion};
use crate::inner::{InTransition, Interior};
use crate::render::{Effected, Flattened};
use crate::scene::Outgoing;
use crate::transition::{Frame, Look, Presence, SceneMix, look};

/// Where a layer stands on this tick. Written in `Layout`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct Placed {
    /// From the layer's box (pixels, origin at its top left) to the canvas.
    pub canvas_from_layer: Affine2,
    /// Its own opacity, 0 to 1; a layer and all that stands in it fade as one.
    pub opacity: f32,
    /// Whether the layer and all above it are visible.
    pub visible: bool,
    /// Whether a track moves the layer or one above it. What stands still is laid on whole pixels, to be crisp; what moves is not,
    /// to be smooth.
    pub moves: bool,
    /// What the groups above leave of it.
    pub clip: Option<Clip>,
    /// What is uncovered of it and of all below it, while it comes or goes.
    pub matte: Option<Matte>,
    /// A colour over its box and how much of that is seen, while it comes or goes.
    pub veil: Option<([u8; 3], f32)>,
    /// Of a layer whose effects are applied to all below it as one picture: the pixels of that picture a pixel of the layer's box. Those
    /// layers stand in a space of their own, in which the box has its top left at 0, 0, and not on the canvas; so this one can move, turn
    /// and fade without them.
    pub own_space: Option<Vec2>,
}

impl Placed {
    /// Where a box stands in its own space, drawn with `scale` pixels a pixel.
    pub(crate) fn in_own_space(scale: Vec2) -> Self {
        Self {
            canvas_from_layer: Affine2::from_scale(scale),
            opacity: 1.0,
            visible: true,
            ..Self::default()
        }
    }
}

/// How many raster pixels a pixel of the layer's box is drawn with: its enlargement on the frame, at the largest that its tracks
/// reach. Apart from [`Placed`], so that moving a layer does not have it drawn anew.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct RasterScale(pub Vec2);

impl Default for RasterScale {
    fn default() -> Self {
        Self(Vec2::ONE)
    }
}

/// Whether a layer's crop cuts it where it is composed, and not out of its picture, which stays as it is while the crop moves. On
/// layers with pixels of their own; written in `Layout`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CropClip(pub bool);

/// A layer that cuts all below it at its box, as a group with a crop does. Written with the sources that show rows or strips.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct ClipsChildren;

/// A layer that a system moves, apart from tracks and glides, and whether it is on its way on this tick. What its scale comes to on a
/// tick is passing: it is drawn at its own size.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flows(pub bool);
/// The space in which a layer's children stand, where that is not the layer's own box; they are drawn as one. On groups that systems
/// made; written in `Layout`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct ChildSpace {
    /// From that space to the layer's box.
    pub layer_from_children: Affine2,
    /// Its enlargement for rasters, which stays the same while the space sways.
    pub scale: Vec2,
    /// The part of the layer's box in which the children are seen: top left and size; everywhere when absent.
    pub clip: Option<(Vec2, Vec2)>,
    /// Whether the space sways.
    pub moves: bool,
}

/// The most and the fewest raster pixels a pixel of the layer's box.
const RASTER_SCALE: (f32, f32) = (1.0 / 64.0, 8.0);

type PlacementRow<'a> = (
    &'a Computed<Position>,
    &'a Computed<Scale>,
    &'a Computed<Rotation>,
    &'a Computed<Opacity>,
    &'a LayoutBox,
    &'a Computed<Anchor>,
    &'a Visible,
    &'a Computed<Crop>,
    (
        Has<GroupSource>,
        Has<ClipsChildren>,
        Option<&'a Flows>,
        Option<&'a ChildSpace>,
    ),
    Option<&'a CompiledTracks<Scale>>,
    (
        Has<CompiledTracks<Position>>,
        Has<CompiledTracks<Rotation>>,
        Option<&'a Motion<Scale>>,
        Option<&'a Motion<Position>>,
        Option<&'a Motion<Rotation>>,
        &'a Fit,
        Option<&'a Interior>,
        Has<InTransition>,
    ),
    (Option<&'a Presence>, Option<&'a Enter>, Option<&'a Exit>),
    Option<(&'a Computed<Effects>, &'a Flattened)>,
    (
        Has<CompiledTracks<Anchor>>,
        Has<CompiledTracks<Crop>>,
        Option<&'a Motion<Anchor>>,
        Option<&'a Motion<Crop>>,
        Has<ImageSource>,
        Has<Effected>,
        Option<&'a InputPlace>,
    ),
);

#[derive(Clone, Copy)]
pub(super) struct Inherited {
    placed: Placed,
    scale: Vec2,
    /// The box, and how a canvas lies in it.
    layout: Vec2,
    crop: Crop,
    fit: Fit,
    /// From the space that the layers are placed in to the canvas.
    canvas_from_space: Affine2,
}

pub(super) fn propagate(
    (size, output, mix): (Res<CanvasSize>, Res<OutputSize>, Res<SceneMix>),
    tree: Res<LayerTree>,
    rows: Query<PlacementRow>,
    outgoing: Query<(), With<Outgoing>>,
    mut outputs: Query<(&mut Placed, &mut RasterScale, Option<&mut CropClip>)>,
    mut inherited: Local<Vec<Inherited>>,
) {
    inherited.clear();
    let views = Views::new(&output, &size, &mix);
    let root_of = |view: &Viewport| Inherited {
        placed: Placed {
            canvas_from_layer: Affine2::IDENTITY,
            opacity: 1.0,
            visible: true,
            moves: false,
            clip: None,
            matte: None,
            veil: None,
            own_space: None,
        },
        layout: Vec2::ZERO,
        crop: Crop::default(),
        fit: Fit::default(),
        // Drawn with as many pixels as the frame shows of it.
        scale: Vec2::splat(view.scale),
        canvas_from_space: Affine2::IDENTITY,
    };
    for node in &tree.nodes {
        let view = views.of(mix.is_active() && outgoing.contains(node.entity));
        let parent = node
            .parent
            .and_then(|place| inherited.get(place as usize))
            .copied()
            .unwrap_or_else(|| root_of(view));
        let (Ok(row), Ok((mut placed, mut raster_scale, crop_clip))) =
            (rows.get(node.entity), outputs.get_mut(node.entity))
        else {
            inherited.push(parent);
            continue;
        };
        let mut own = place(&parent, row, view);
        if let Some(mut crop_clip) = crop_clip {
            crop_clip.set_if_neq(CropClip(own.cut.is_some()));
            own.for_itself.clip = own.cut.or(own.for_itself.clip);
        }
        raster_scale.set_if_neq(RasterScale(drawn_scale(own.scale)));
        placed.set_if_neq(own.for_itself);
        inherited.push(Inherited {
            placed: own.for_children,
            scale: own.scale_of_children,
            layout: own.layout,
            crop: own.crop,
            fit: own.fit,
            canvas_from_space: match own.for_itself.own_space {
                Some(scale) => {
                    parent.canvas_from_space
                        * own.for_itself.canvas_from_layer
                        * Affine2::from_scale(scale.recip())
                }
                None => parent.canvas_from_space,
            },
        });
    }
}

/// A layer's enlargement as one that it can be drawn with.
fn drawn_scale(scale: Vec2) -> Vec2 {
    scale.clamp(Vec2::splat(RASTER_SCALE.0), Vec2::splat(RASTER_SCALE.1))
}

struct Own {
    for_itself: Placed,
    for_children: Placed,
    scale: Vec2,
    layout: Vec2,
    crop: Crop,
    fit: Fit,
    scale_of_children: Vec2,
    /// What a crop that moves leaves of its own picture.
    cut: Option<Clip>,
}

fn place(
    parent: &Inherited,
    row: <PlacementRow<'_> as bevy_ecs::query::QueryData>::Item<'_, '_>,
    view: &Viewport,
) -> Own {
    let (
        position,
        scale,
        rotation,
        opacity,
        layout,
        anchor,
        visible,
        Computed(crop),
        (is_group, clips, flows, space),
        scale_tracks,
        (
            position_tracked,
            rotation_tracked,
            scale_motion,
            position_motion,
            rotation_motion,
            fit,
            interior,
            in_transition,
        ),
        (presence, enter, exit),
        effects,
        (anchor_tracked, crop_tracked, anchor_motion, crop_motion, is_image, is_effected, input),
    ) = row;
    if let Some(interior) = interior {
        return place_interior(parent, *interior);
    }
    let position_moves = position_tracked
        || anchor_tracked
        || position_motion.is_some_and(Motion::glides)
        || anchor_motion.is_some_and(Motion::glides);
    let rotation_moves = rotation_tracked || rotation_motion.is_some_and(Motion::glides);
    let crop_moves = crop_tracked || crop_motion.is_some_and(Motion::glides);
    let anchor_point = anchor.0 * layout.0;
    let parent_from_layer =
        Affine2::from_scale_angle_translation(scale.0, rotation.0.to_radians(), position.0)
            * Affine2::from_translation(-anchor_point);
    let at_rest = parent.placed.canvas_from_layer * parent_from_layer;
    let coming = presence.and_then(|presence| presence.transition(enter, exit));
    let look = coming.map_or(Look::WHOLE, |(transition, part)| {
        let own_way_out = matches!(
            transition.kind,
            TransitionKind::Slide | TransitionKind::Push
        );
        let frame = match own_way_out {
            true => frame_in_space(parent.canvas_from_space, at_rest, layout.0, view),
            false => frame_of(at_rest, layout.0, view),
        };
        look(transition, part, &frame)
    });
    let canvas_from_layer = look.canvas_from_own * at_rest;
    let is_there = presence.map_or(visible.0, Presence::is_there);

    // A layer whose scale is animated is drawn at the largest scale it reaches, whatever the tick: seeking gives what playing gives.
    let gliding = scale_motion.and_then(Motion::largest);
    let drawn_scale = match (scale_tracks, gliding) {
        (Some(tracks), _) => scale.0.abs().max(tracks.largest()),
        (None, Some(largest)) => largest,
        (None, None) if flows.is_some() => Vec2::ONE,
        (None, None) if in_transition => Vec2::ONE,
        (None, None) => scale.0.abs(),
    };
    let placed = Placed {
        canvas_from_layer,
        opacity: parent.placed.opacity * opacity.0 * look.opacity,
        visible: parent.placed.visible && is_there,
        moves: parent.placed.moves
            || coming.is_some()
            || flows.is_some_and(|flows| flows.0)
            || in_transition
            || scale_tracks.is_some()
            || gliding.is_some()
            || position_moves
            || rotation_moves
            || crop_moves && (is_image || input.is_some()),
        clip: parent.placed.clip,
        matte: look.matte,
        veil: look
            .veil
            .map(|(colour, part)| (colour, part * parent.placed.opacity * opacity.0)),
        own_space: effects
            .filter(|(effects, _)| effects.0.has_enabled())
            .map(|_| self::drawn_scale(parent.scale * drawn_scale)),
    };
    let below = match placed.own_space {
        Some(scale) => Placed {
            visible: placed.visible,
            ..Placed::in_own_space(scale)
        },
        None => Placed {
            // They have it as one.
            opacity: 1.0,
            matte: None,
            veil: None,
            ..placed
        },
    };
    let for_children = if clips || is_group && !crop.is_none() {
        let (origin, size) = crop_box(layout.0, crop);
        let own = Clip {
            canvas_from_clip: below.canvas_from_layer * Affine2::from_translation(origin),
            size,
        };
        Placed {
            clip: Some(meet(below.clip, own)),
            ..below
        }
    } else {
        below
    };
    let scale = parent.scale * drawn_scale;
    // A picture is cropped before it is put into its box.
    let left = if is_image { Crop::default() } else { *crop };
    let (origin, size) = crop_box(layout.0, &left);
    let cut = Clip {
        canvas_from_clip: canvas_from_layer * Affine2::from_translation(origin),
        size,
    };
    let own = Own {
        cut: match input {
            // A decoded picture is cut where it is composed, and not out of its planes.
            Some(input) => input.cut.map(|(origin, size)| {
                let own = Clip {
                    canvas_from_clip: canvas_from_layer * Affine2::from_translation(origin),
                    size,
                };
                meet(placed.clip, own)
            }),
            None => cut_within(placed.clip, cut).filter(|_| crop_moves && !is_effected),
        },
        for_itself: placed,
        for_children,
        scale,
        scale_of_children: scale,
        layout: layout.0,
        crop: *crop,
        fit: *fit,
    };
    let Some(space) = space else { return own };
    let clip = space.clip.map(|(origin, size)| Clip {
        canvas_from_clip: below.canvas_from_layer * Affine2::from_translation(origin),
        size,
    });
    Own {
        for_children: Placed {
            canvas_from_layer: below.canvas_from_layer * space.layer_from_children,
            moves: below.moves || space.moves,
            clip: clip.map_or(below.clip, |clip| Some(meet(below.clip, clip))),
            ..below
        },
        scale_of_children: scale * space.scale,
        ..own
    }
}

/// A stage: its space within the box of the layer that it was made for, and cut there.
fn place_interior(parent: &Inherited, interior: Interior) -> Own {
    let box_size = parent.layout;
    let canvas_from_layer = parent.placed.canvas_from_layer;
    let (origin, size, layer_from_interior, scale) = match interior {
        Interior::Box => (Vec2::ZERO, box_size, Affine2::IDENTITY, Vec2::ONE),
        Interior::Canvas(canvas) => {
            let (cropped_from, cropped) = crop_box(canvas, &parent.crop);
            let (origin, size) = fitted(cropped, box_size, parent.fit);
            // Nothing is left of it, so nothing is seen.
            let scale = if cropped.min_element() > 0.0 {
                size / cropped
            } else {
                Vec2::ONE
            };
            let place = Affine2::from_scale_angle_translation(scale, 0.0, origin)
                * Affine2::from_translation(-cropped_from);
            (origin, size, place, scale)
        }
    };
    let low = origin.max(Vec2::ZERO);
    let high = (origin + size).min(box_size).max(low);
    let own = Clip {
        canvas_from_clip: canvas_from_layer * Affine2::from_translation(low),
        size: high - low,
    };
    let placed = Placed {
        canvas_from_layer: canvas_from_layer * layer_from_interior,
        clip: Some(meet(parent.placed.clip, own)),
        ..parent.placed
    };
    Own {
        for_itself: placed,
        for_children: placed,
        scale: parent.scale * scale,
        scale_of_children: parent.scale * scale,
        layout: box_size,
        crop: Crop::default(),
        fit: parent.fit,
        cut: None,
    }
}

/// The rectangle of the canvas that a layer comes to stand in; the whole canvas for a group without a box.
fn frame_of(canvas_from_layer: Affine2, size: Vec2, view: &Viewport) -> Frame {
    let whole = Frame {
        pixel: view.scale.recip(),
        ..Frame::whole(view.canvas)
    };
    if size.min_element() <= 0.0 {
        return whole;
    }
    let corners = [
        Vec2::ZERO,
        Vec2::new(size.x, 0.0),
        Vec2::new(0.0, size.y),
        size,
    ]
    .map(|corner| canvas_from_layer.transform_point2(corner));
    Frame {
        min: corners.into_iter().fold(Vec2::INFINITY, Vec2::min),
        max: corners.into_iter().fold(Vec2::NEG_INFINITY, Vec2::max),
        ..whole
    }
}

/// As [`frame_of`], for the way out of the canvas of a layer in a space of its own, in pixels of that space.
fn frame_in_space(
    canvas_from_space: Affine2,
    space_from_layer: Affine2,
    size: Vec2,
    view: &Viewport,
) -> Frame {
    if canvas_from_space == Affine2::IDENTITY {
        return frame_of(space_from_layer, size, view);
    }
    let frame = frame_of(canvas_from_space * space_from_layer, size, view);
    let enlargement = canvas_from_space.matrix2.determinant().abs().sqrt();
    let space_from_canvas = enlargement.max(1e-6).recip();
    Frame {
        min: frame.min * space_from_canvas,
        max: frame.max * space_from_canvas,
        canvas: frame.canvas * space_from_canvas,
        pixel: frame.pixel * space_from_canvas,
    }
}

/// The meeting of two clips where both stand upright; else the inner one alone.
fn meet(outer: Option<Clip>, inner: Clip) -> Clip {
    let Some((outer, inner_rect)) = outer.and_then(upright).zip(upright(inner)) else {
        return inner;
    };
    let low = outer.0.max(inner_rect.0);
    let high = outer.1.min(inner_rect.1).max(low);
    Clip {
        canvas_from_clip: Affine2::from_translation(low),
        size: high - low,
    }
}

/// The meeting of a layer's own clip and that of the groups above; `None` where one is turned, so that both cannot be had as one.
fn cut_within(outer: Option<Clip>, inner: Clip) -> Option<Clip> {
    let can_meet = outer.is_none_or(|outer| upright(outer).and(upright(inner)).is_some());
    can_meet.then(|| meet(outer, inner))
}

/// The corners of a clip that is not turned.
fn upright(clip: Clip) -> Option<(Vec2, Vec2)> {
    let matrix = clip.canvas_from_clip.matrix2;
    (matrix.x_axis.y.abs() < 1e-6 && matrix.y_axis.x.abs() < 1e-6).then(|| {
        let (a, b) = (
            clip.canvas_from_clip.transform_point2(Vec2::ZERO),
            clip.canvas_from_clip.transform_point2(clip.size),
        );
        (a.min(b), a.max(b))
    })
}
