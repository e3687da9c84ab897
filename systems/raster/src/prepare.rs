//! From an item to the cheapest way of drawing it, worked out once when the item changes.

use components::BlendMode;
use glam::{Affine2, DAffine2, DVec2, Vec2};

use crate::{
    coverage::{Coverage, outer_bounds},
    item::{Clip, DrawItem, Paint},
    kernels::scale_pixel,
    matte::{Matte, Shown},
    planes::Planes,
    raster::Raster,
    rect::IRect,
};

/// Positions are rounded to this part of a pixel; an edge this near to the pixel grid is on it.
const SUBPIXELS: f64 = 256.0;

/// How an item's colours are found at a canvas pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Draw {
    /// One colour, opacity included.
    Solid(u32),
    /// A raster moved by whole pixels: its pixel is the canvas pixel plus `dx`, `dy`.
    Shift { dx: i32, dy: i32 },
    /// A raster moved by part of a pixel: between the pixel at `dx`, `dy` and the next, weights in 256ths.
    Between {
        dx: i32,
        dy: i32,
        weight_x: u8,
        weight_y: u8,
    },
    /// A raster under any other affine map: texel positions with 32 fractional bits, in picture `level` of the pyramid.
    Sample {
        level: u32,
        origin: [i64; 2],
        along_x: [i64; 2],
        along_y: [i64; 2],
    },
}

/// An item, ready to be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prepared {
    /// The canvas pixels it may touch. Empty when it cannot be seen.
    pub bounds: IRect,
    /// Canvas pixels that it hides wholly, whatever lies below, where its matte shows it. May be empty.
    pub cover: IRect,
    pub draw: Draw,
    /// In 255ths.
    pub opacity: u8,
    pub blend: BlendMode,
    /// Anti-aliasing of the item's own edges, where it needs any.
    pub edges: Option<Coverage>,
    /// The clip, where it is not a rectangle of whole pixels (which `bounds` has taken in).
    pub clip: Option<Coverage>,
    /// Where it shows; everywhere when absent.
    pub matte: Option<Matte>,
}

impl Prepared {
    const UNSEEN: Self = Self {
        bounds: IRect::EMPTY,
        cover: IRect::EMPTY,
        draw: Draw::Solid(0),
        opacity: 0,
        blend: BlendMode::Normal,
        edges: None,
        clip: None,
        matte: None,
    };

    /// Works out how to draw `item` where nothing shows outside of `canvas`.
    pub fn new(item: &DrawItem, canvas: IRect) -> Self {
        let opacity = (item.opacity.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        if opacity == 0 || !item.canvas_from_paint.is_finite() {
            return Self::UNSEEN;
        }
        let mut prepared = match &item.paint {
            Paint::Solid(colour) => prepare_solid(item, *colour, opacity),
            Paint::Raster(raster) => prepare_raster(item, raster),
            Paint::Planes(planes) => prepare_planes(item, &**planes),
        };
        prepared.bounds = prepared.bounds.intersect(canvas);
        prepared.opacity = opacity;
        prepared.blend = item.blend;
        if let Some(clip) = &item.clip {
            let (bounds, coverage) = cut_by_clip(clip);
            prepared.bounds = prepared.bounds.intersect(bounds);
            prepared.clip = coverage;
        }
        if let Some(matte) = &item.matte {
            prepared.bounds = prepared.bounds.intersect(matte.bounds());
            prepared.matte = item.matte;
        }
        if prepared.bounds.is_empty() {
            return Self::UNSEEN;
        }
        let hides = opacity == 255 && item.blend == BlendMode::Normal && prepared.clip.is_none();
        // One that is empty may have its sides crossed, which nobody later looks for.
        prepared.cover = Some(prepared.cover.intersect(prepared.bounds))
            .filter(|cover| hides && !cover.is_empty())
            .unwrap_or(IRect::EMPTY);
        prepared
    }

    /// Whether it hides everything below on all of `rect`, which must not be empty.
    pub fn covers(&self, rect: IRect) -> bool {
        self.cover.contains(rect)
            && self
                .matte
                .is_none_or(|matte| matte.shown(rect) == Shown::Wholly)
    }
}

/// The canvas pixels that a clip lets show, and its coverage, unless it is a rectangle of whole pixels.
pub(crate) fn cut_by_clip(clip: &Clip) -> (IRect, Option<Coverage>) {
    match upright_rect(clip.canvas_from_clip, clip.size) {
        Some((min, max)) if on_grid(min) && on_grid(max) => (grid_rect(min, max), None),
        _ => {
            let coverage = Coverage::new(clip.canvas_from_clip, clip.size);
            let bounds = if coverage.is_some() {
                outer_bounds(clip.canvas_from_clip, clip.size)
            } else {
                IRect::EMPTY
            };
            (bounds, coverage)
        }
    }
}

fn prepare_solid(item: &DrawItem, colour: [u8; 4], opacity: u8) -> Prepared {
    let [r, g, b, alpha] = colour;
    let colour = u32::from_le_bytes([r.min(alpha), g.min(alpha), b.min(alpha), alpha]);
    let draw = Draw::Solid(scale_pixel(colour, u32::from(opacity)));
    match upright_rect(item.canvas_from_paint, item.size) {
        Some((min, max)) if on_grid(min) && on_grid(max) => {
            let bounds = grid_rect(min, max);
            Prepared {
                bounds,
                cover: if alpha == 255 { bounds } else { IRect::EMPTY },
                draw,
                ..Prepared::UNSEEN
            }
        }
        upright => {
            let Some(edges) = Coverage::new(item.canvas_from_paint, item.size) else {
                return Prepared::UNSEEN;
            };
            let inside = upright
                .filter(|_| alpha == 255)
                .map_or(IRect::EMPTY, |(min, max)| inner_rect(min, max));
            Prepared {
                bounds: outer_bounds(item.canvas_from_paint, item.size),
                cover: inside,
                draw,
                edges: Some(edges),
                ..Prepared::UNSEEN
            }
        }
    }
}

fn prepare_raster(item: &DrawItem, raster: &Raster) -> Prepared {
    let (content, opaque) = (raster.content(), raster.opaque_rect());
    if is_at_own_size(item) {
        let steps = (item.canvas_from_paint.translation.as_dvec2() * SUBPIXELS).round();
        let step = |value: f64| (-value).clamp(-1e9, 1e9) as i64;
        let split = |value: f64| {
            (
                step(value).div_euclid(256) as i32,
                step(value).rem_euclid(256) as u8,
            )
        };
        let ((dx, weight_x), (dy, weight_y)) = (split(steps.x), split(steps.y));
        if weight_x == 0 && weight_y == 0 {
            let (bounds, cover) = (content.translate(-dx, -dy), opaque.translate(-dx, -dy));
            return Prepared {
                bounds,
                cover,
                draw: Draw::Shift { dx, dy },
                ..Prepared::UNSEEN
            };
        }
        let (more_x, more_y) = (i32::from(weight_x > 0), i32::from(weight_y > 0));
        let bounds = IRect {
            x0: content.x0 - more_x,
            y0: content.y0 - more_y,
            ..content
        }
        .translate(-dx, -dy);
        let cover = IRect {
            x1: opaque.x1 - more_x,
            y1: opaque.y1 - more_y,
            ..opaque
        }
        .translate(-dx, -dy);
        let bounds = if content.is_empty() {
            IRect::EMPTY
        } else {
            bounds
        };
        return Prepared {
            bounds,
            cover,
            draw: Draw::Between {
                dx,
                dy,
                weight_x,
                weight_y,
            },
            ..Prepared::UNSEEN
        };
    }
    let shrink = shrink_of(item);
    let level = if shrink > 1.0 {
        shrink.log2().round().min(31.0) as u32
    } else {
        0
    };
    prepare_sampled(item, raster.level(level).0, raster.is_opaque())
}

/// A decoded picture is opaque and has no smaller copies of itself: whoever decodes is told the size that is wanted.
fn prepare_planes(item: &DrawItem, planes: &dyn Planes) -> Prepared {
    let place = item.canvas_from_paint.translation.as_dvec2();
    if is_at_own_size(item) && on_grid(place) {
        let at = -place.round().clamp(DVec2::splat(-1e9), DVec2::splat(1e9));
        let (dx, dy) = (at.x as i32, at.y as i32);
        let whole = IRect::new(0, 0, planes.width() as i32, planes.height() as i32);
        let bounds = whole.translate(-dx, -dy);
        return Prepared {
            bounds,
            cover: bounds,
            draw: Draw::Shift { dx, dy },
            ..Prepared::UNSEEN
        };
    }
    prepare_sampled(item, 0, true)
}

/// Whether a scale or a turn moves no pixel by a sub-pixel step, and so is none.
fn is_at_own_size(item: &DrawItem) -> bool {
    let (matrix, size) = (item.canvas_from_paint.matrix2, item.paint_size());
    let off = (matrix.x_axis - Vec2::X).abs() * size.x + (matrix.y_axis - Vec2::Y).abs() * size.y;
    off.max_element() * (SUBPIXELS as f32) < 1.0
}

/// Paint pixels a canvas pixel, along a side.
fn shrink_of(item: &DrawItem) -> f64 {
    let matrix = item.canvas_from_paint.matrix2.as_dmat2();
    matrix.determinant().abs().sqrt().recip()
}

fn prepare_sampled(item: &DrawItem, level: u32, is_opaque: bool) -> Prepared {
    let size = item.paint_size();
    let Some(edges) = Coverage::new(item.canvas_from_paint, size) else {
        return Prepared::UNSEEN;
    };
    let canvas_from_paint = DAffine2 {
        matrix2: item.canvas_from_paint.matrix2.as_dmat2(),
        translation: item.canvas_from_paint.translation.as_dvec2(),
    };
    // Texel centres lie at halves, and so do canvas pixels.
    let paint_from_canvas = canvas_from_paint.inverse();
    let texel_from_paint = f64::from(1u32 << level).recip();
    let origin = paint_from_canvas.transform_point2(DVec2::splat(0.5)) * texel_from_paint - 0.5;
    let fixed = |v: DVec2| {
        [
            (v.x * 4_294_967_296.0).round() as i64,
            (v.y * 4_294_967_296.0).round() as i64,
        ]
    };
    let draw = Draw::Sample {
        level,
        origin: fixed(origin),
        along_x: fixed(paint_from_canvas.matrix2.x_axis * texel_from_paint),
        along_y: fixed(paint_from_canvas.matrix2.y_axis * texel_from_paint),
    };
    let upright = upright_rect(item.canvas_from_paint, size).filter(|_| is_opaque);
    let cover = upright.map_or(IRect::EMPTY, |(min, max)| inner_rect(min, max));
    Prepared {
        bounds: outer_bounds(item.canvas_from_paint, size),
        cover,
        draw,
        edges: Some(edges),
        ..Prepared::UNSEEN
    }
}

/// The corners of a mapped rectangle, when its sides stay along the axes.
fn upright_rect(canvas_from_rect: Affine2, size: Vec2) -> Option<(DVec2, DVec2)> {
    let matrix = canvas_from_rect.matrix2;
    if matrix.x_axis.y != 0.0 || matrix.y_axis.x != 0.0 || !canvas_from_rect.is_finite() {
        return None;
    }
    let origin = canvas_from_rect.translation.as_dvec2();
    let corner = origin
        + DVec2::new(
            f64::from(matrix.x_axis.x) * f64::from(size.x),
            f64::from(matrix.y_axis.y) * f64::from(size.y),
        );
    Some((origin.min(corner), origin.max(corner)))
}

fn on_grid(point: DVec2) -> bool {
    ((point - point.round()) * SUBPIXELS * 2.0)
        .abs()
        .max_element()
        < 1.0
}

fn grid_rect(min: DVec2, max: DVec2) -> IRect {
    let (min, max) = (
        min.round().clamp(DVec2::splat(-1e9), DVec2::splat(1e9)),
        max.round().clamp(DVec2::splat(-1e9), DVec2::splat(1e9)),
    );
    IRect::new(min.x as i32, min.y as i32, max.x as i32, max.y as i32)
}

/// The whole pixels inside, less any that rounding makes doubtful.
fn inner_rect(min: DVec2, max: DVec2) -> IRect {
    let slack = 1e-3;
    grid_rect((min + slack).ceil(), (max - slack).floor())
}
