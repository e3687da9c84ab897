//! Rectangles, ellipses and paths, by tiny-skia; and what every vector source shares.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::Computed;
use components::source::{CornerRadii, ShapeKind, ShapeSource, Stroke};
use components::value::Paint;
use glam::{Affine2, Vec2};
use raster::Raster;
use tiny_skia::{
    FillRule, LineCap, LineJoin, Path, PathBuilder, Pixmap, Rect, StrokeDash, Transform,
};

use super::cache::{CachedRaster, RasterCache, RasterCosts, raster_key};
use super::drawn::{Stale, Target, TargetItem};
use super::svg_path::parse_path;
use crate::layout::crop_box;
use crate::profile::Profile;

/// The most pixels a raster may have.
const PIXELS_MAX: f32 = 64.0 * 1024.0 * 1024.0;

pub(super) fn draw(
    profile: Res<Profile>,
    mut cache: ResMut<RasterCache>,
    mut costs: ResMut<RasterCosts>,
    mut layers: Query<(&Computed<ShapeSource>, Target), Stale<Computed<ShapeSource>>>,
) {
    for (Computed(source), mut target) in &mut layers {
        let (size, scale) = (target.layout.0, target.scale.0);
        // A path may reach over its box; room is left for its line.
        let margin = match (source.shape, &source.stroke) {
            (ShapeKind::Path, stroke) => path_overhang(source, size, stroke.as_ref()),
            _ => 0.0,
        };
        let key = raster_key("shape", source, &[size.x, size.y, scale.x, scale.y], "");
        let raster = costs.time(&profile, target.id.as_str(), || {
            cache.get_or_draw(key, || {
                Some((
                    rasterise(source, size, Vec2::splat(margin), scale)?,
                    Vec2::splat(-margin),
                ))
            })
        });
        set_raster(&mut target, raster, key);
    }
}

/// How far a path and its line reach over the box, in whole pixels.
fn path_overhang(source: &ShapeSource, size: Vec2, stroke: Option<&Stroke>) -> f32 {
    let Some(path) = outline(source, size) else {
        return 0.0;
    };
    let bounds = path.bounds();
    let line = stroke.map_or(0.0, |stroke| stroke.width / 2.0);
    let over = [
        -bounds.left(),
        -bounds.top(),
        bounds.right() - size.x,
        bounds.bottom() - size.y,
    ]
    .into_iter()
    .fold(0.0, f32::max);
    (over + line).ceil().min(4096.0)
}

/// An empty pixmap for a box of `size` with `margin` round it, and the transform from box to pixmap.
pub(super) fn vector_canvas(size: Vec2, margin: Vec2, scale: Vec2) -> Option<(Pixmap, Transform)> {
    // A hair less, so that 100.00001 pixels are 100.
    let pixels = ((size + margin * 2.0) * scale - 1e-3).ceil();
    if !(pixels.min_element() >= 1.0 && pixels.x * pixels.y <= PIXELS_MAX) {
        return None;
    }
    let pixmap = Pixmap::new(pixels.x as u32, pixels.y as u32)?;
    Some((
        pixmap,
        Transform::from_translate(margin.x, margin.y).post_scale(scale.x, scale.y),
    ))
}

/// Shows a raster that was drawn at the target's scale, cropped as the layer says.
pub(super) fn set_raster(target: &mut TargetItem, cached: Option<CachedRaster>, key: u64) {
    let Some(CachedRaster { raster, origin }) = cached else {
        target.drawn.clear();
        return;
    };
    let (scale, cut) = (target.scale.0, target.cut());
    let size = Vec2::new(raster.width() as f32, raster.height() as f32);
    let (paint, size, offset) = if cut.is_none() {
        (Some(raster), size, Vec2::ZERO)
    } else {
        let (low, kept) = crop_box(target.layout.0, &cut);
        let low_px = ((low - origin) * scale).round().clamp(Vec2::ZERO, size);
        let high_px = ((low + kept - origin) * scale).round().clamp(low_px, size);
        let part = cut_out(&raster, low_px, high_px).map(Arc::new);
        (part, high_px - low_px, low_px / scale)
    };
    target.drawn.paint = paint.map(raster::Paint::Raster);
    target.drawn.size = size;
    target.drawn.layer_from_paint =
        Affine2::from_scale_angle_translation(scale.recip(), 0.0, origin + offset);
    target.drawn.revision = key ^ crop_bits(&cut);
}

fn crop_bits(crop: &components::layer::Crop) -> u64 {
    [crop.left, crop.top, crop.right, crop.bottom]
        .into_iter()
        .fold(0, |bits, side| {
            bits.rotate_left(16) ^ u64::from(side.to_bits())
        })
}

/// A part of a raster, in whole pixels.
pub(super) fn cut_out(raster: &Raster, low: Vec2, high: Vec2) -> Option<Raster> {
    let (x, y) = (low.x as usize, low.y as usize);
    let (width, height) = ((high.x - low.x) as usize, (high.y - low.y) as usize);
    if width == 0 || height == 0 {
        return None;
    }
    let stride = raster.width() as usize * 4;
    let rows = raster.data().chunks_exact(stride).skip(y).take(height);
    let data: Vec<u8> = rows
        .flat_map(|row| &row[x * 4..(x + width) * 4])
        .copied()
        .collect();
    Raster::from_rgba8_premultiplied(width as u32, height as u32, data).ok()
}

fn rasterise(source: &ShapeSource, size: Vec2, margin: Vec2, scale: Vec2) -> Option<Raster> {
    let (mut pixmap, transform) = vector_canvas(size, margin, scale)?;
    let rect = Rect::from_xywh(0.0, 0.0, size.x, size.y)?;
    if let Some(fill) = &source.fill
        && let Some(path) = outline(source, size)
    {
        fill_path(&mut pixmap, &path, fill, rect, transform);
    }
    if let Some(stroke) = &source.stroke {
        let path = match source.shape {
            // The line lies inside the edge: its middle is half its width in.
            ShapeKind::Rectangle => {
                let half = (stroke.width / 2.0).min(size.min_element() / 2.0 - 0.005);
                let radii = CornerRadii(source.radius.0.map(|radius| {
                    if radius > 0.0 {
                        (radius - half).max(0.0)
                    } else {
                        0.0
                    }
                }));
                inset(rect, half).and_then(|rect| rounded_rectangle(rect, radii))
            }
            ShapeKind::Ellipse => inset(rect, stroke.width / 2.0).and_then(PathBuilder::from_oval),
            ShapeKind::Path => outline(source, size),
        };
        if let Some(path) = path {
            stroke_path(&mut pixmap, &path, stroke, rect, transform);
        }
    }
    Some(Raster::from_pixmap(pixmap))
}

fn inset(rect: Rect, by: f32) -> Option<Rect> {
    Rect::from_ltrb(
        rect.left() + by,
        rect.top() + by,
        rect.right() - by,
        rect.bottom() - by,
    )
}

fn outline(source: &ShapeSource, size: Vec2) -> Option<Path> {
    let rect = Rect::from_xywh(0.0, 0.0, size.x, size.y)?;
    match source.shape {
        ShapeKind::Rectangle => rounded_rectangle(rect, source.radius),
        ShapeKind::Ellipse => PathBuilder::from_oval(rect),
        ShapeKind::Path => parse_path(source.path.as_deref()?).ok(),
    }
}

/// Part of a radius at which the control points of a quarter circle's cubic curve lie; error below 0.03 % of the radius.
const QUARTER_CIRCLE: f32 = 0.552_284_8;

/// A rectangle with round corners; radii that do not fit are made smaller together, as CSS does.
fn rounded_rectangle(rect: Rect, radii: CornerRadii) -> Option<Path> {
    if radii.is_none() {
        return Some(PathBuilder::from_rect(rect));
    }
    let [top_left, top_right, bottom_right, bottom_left] = radii.0;
    let (width, height) = (rect.width(), rect.height());
    let fit = [
        width / (top_left + top_right),
        width / (bottom_left + bottom_right),
        height / (top_left + bottom_left),
        height / (top_right + bottom_right),
    ]
    .into_iter()
    .filter(|part| part.is_finite())
    .fold(1.0, f32::min);
    let [tl, tr, br, bl] = radii.0.map(|radius| radius * fit);
    let away = 1.0 - QUARTER_CIRCLE;
    let (l, t, r, b) = (rect.left(), rect.top(), rect.right(), rect.bottom());
    let mut path = PathBuilder::new();
    path.move_to(l + tl, t);
    path.line_to(r - tr, t);
    path.cubic_to(r - tr * away, t, r, t + tr * away, r, t + tr);
    path.line_to(r, b - br);
    path.cubic_to(r, b - br * away, r - br * away, b, r - br, b);
    path.line_to(l + bl, b);
    path.cubic_to(l + bl * away, b, l, b - bl * away, l, b - bl);
    path.line_to(l, t + tl);
    path.cubic_to(l, t + tl * away, l + tl * away, t, l + tl, t);
    path.close();
    path.finish()
}

/// Fills a path; a gradient spans `rect`.
pub(super) fn fill_path(
    pixmap: &mut Pixmap,
    path: &Path,
    paint: &Paint,
    rect: Rect,
    transform: Transform,
) {
    let paint = tiny_skia::Paint {
        shader: text::paint::paint_shader(paint, rect),
        anti_alias: true,
        ..Default::default()
    };
    pixmap.fill_path(path, &paint, FillRule::Winding, transform, None);
}

fn stroke_path(
    pixmap: &mut Pixmap,
    path: &Path,
    stroke: &Stroke,
    rect: Rect,
    transform: Transform,
) {
    let paint = tiny_skia::Paint {
        shader: text::paint::paint_shader(&stroke.paint, rect),
        anti_alias: true,
        ..Default::default()
    };
    let dashes = if stroke.dash.len().is_multiple_of(2) {
        stroke.dash.clone()
    } else {
        stroke.dash.repeat(2)
    };
    let line = tiny_skia::Stroke {
        width: stroke.width,
        line_cap: LineCap::Butt,
        line_join: LineJoin::Round,
        dash: StrokeDash::new(dashes, 0.0),
        ..Default::default()
    };
    pixmap.stroke_path(path, &paint, &line, transform, None);
}
