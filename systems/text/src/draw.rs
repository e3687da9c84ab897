//! From placed glyphs to pixels.
//!
//! Everything is drawn into the smallest rectangle of whole raster pixels that holds the ink: shadow, then outline, then fill, then
//! glyphs that bring their own colours. Letters stand at fractional places from left to right, but each baseline is moved to the
//! nearest raster row, which keeps the feet of letters sharp.

use components::source::{Overflow, TextSource};
use components::value::Paint;
use glam::Vec2;
use tiny_skia::{
    FilterQuality, LineCap, LineJoin, Path, PathBuilder, PathSegment, Pixmap, PixmapPaint, Point,
    Rect, Stroke, Transform,
};

use crate::error::TextError;
use crate::glyph::{FaceKey, Glyphs, OUTLINE_EM, Picture, Shape, SizedPicture};
use crate::layout::{Composition, Run};
use crate::mask::Coverage;
use crate::paint::{is_opaque, paint_shader_in};
use crate::rect::PixelRect;
use crate::shadow::Softness;
use crate::style::within;

/// Letters whose outlines are filled as one path: enough to overlap without seams, few enough to keep a path's bounds small.
const PATH_GLYPHS_MAX: usize = 12;

/// Draws `composition` as `source` paints it, at `scale` raster pixels a layer pixel. `has_box` says whether the layer has a size
/// that ink can be cut at. Returns the pixels and where their top left corner stands, in layer pixels.
pub(crate) fn draw(
    glyphs: &mut Glyphs,
    composition: &Composition,
    source: &TextSource,
    scale: Vec2,
    has_box: bool,
) -> Result<(Pixmap, Vec2), TextError> {
    let scene = Scene::new(glyphs, composition, source, scale);
    let clip = (has_box && source.overflow == Overflow::Clip).then(|| {
        let corner = (composition.size * scale).round();
        PixelRect {
            left: 0,
            top: 0,
            right: corner.x as i64,
            bottom: corner.y as i64,
        }
    });
    let shadow = source
        .shadow
        .as_ref()
        .filter(|shadow| shadow.color.alpha > 0)
        .map(|shadow| Softness::new(shadow, scale));

    let mut ink = scene.ink();
    if let Some(clip) = clip {
        // A shadow inside the box may be that of a letter outside it.
        let reach = shadow
            .as_ref()
            .map_or(PixelRect::default(), Softness::reach);
        ink = ink.intersection(clip.grown(reach.flipped()));
    }
    ink.check()?;
    let Some(text) = scene.draw(ink) else {
        return Ok((empty_pixmap(), Vec2::ZERO));
    };
    let Some(shadow) = shadow else {
        return Ok((text, ink.origin() / scale));
    };
    let mut whole = ink.union(ink.grown(shadow.reach()));
    if let Some(clip) = clip {
        whole = whole.intersection(clip);
    }
    whole.check()?;
    Ok(match shadow.under(&text, ink, whole) {
        Some(pixmap) => (pixmap, whole.origin() / scale),
        None => (empty_pixmap(), Vec2::ZERO),
    })
}

fn empty_pixmap() -> Pixmap {
    #[expect(clippy::expect_used, reason = "one by one pixel is a size that exists")]
    Pixmap::new(1, 1).expect("one pixel")
}

/// A glyph with the way it is drawn.
struct Item<'a> {
    shape: Shape,
    picture: Option<std::sync::Arc<Picture>>,
    run: &'a Run,
    /// The pen, in layer pixels, its baseline on a raster row.
    pen: Vec2,
}

/// All that is drawn, before it is known where.
struct Scene<'a> {
    items: Vec<Item<'a>>,
    composition: &'a Composition,
    source: &'a TextSource,
    scale: Vec2,
    /// Width of the line around letters in layer pixels; 0 for none.
    outline_px: f32,
}

impl<'a> Scene<'a> {
    fn new(
        glyphs: &mut Glyphs,
        composition: &'a Composition,
        source: &'a TextSource,
        scale: Vec2,
    ) -> Self {
        let count = composition.runs.iter().map(|run| run.glyphs.len()).sum();
        let mut items = Vec::with_capacity(count);
        for run in &composition.runs {
            let face = FaceKey::of(run);
            let down = (run.baseline * scale.y).round() / scale.y - run.baseline;
            for (glyph, at) in &run.glyphs {
                let key = face.glyph(*glyph);
                let shape = glyphs.shape(&key, run);
                let picture = match shape {
                    Shape::Nothing => continue,
                    Shape::Picture => glyphs.picture(&key, run),
                    Shape::Outline(_) | Shape::Layers(_) => None,
                };
                items.push(Item {
                    shape,
                    picture,
                    run,
                    pen: *at + Vec2::new(0.0, down),
                });
            }
        }
        let outline_px = source
            .outline
            .as_ref()
            .filter(|outline| outline.color.alpha > 0)
            .map_or(0.0, |outline| within(outline.width, 0.0, 1000.0, 0.0));
        Self {
            items,
            composition,
            source,
            scale,
            outline_px,
        }
    }

    /// The raster pixels that ink may be on, shadow aside.
    fn ink(&self) -> PixelRect {
        let mut ink: Option<PixelRect> = None;
        for item in &self.items {
            let Some((min, max)) = item.bounds(self.scale, self.outline_px) else {
                continue;
            };
            let rect = PixelRect {
                left: min.x.floor() as i64,
                top: min.y.floor() as i64,
                right: max.x.ceil() as i64,
                bottom: max.y.ceil() as i64,
            };
            ink = Some(ink.map_or(rect, |ink| ink.union(rect)));
        }
        ink.unwrap_or_default()
    }

    /// The picture of `rect`, if that has an area.
    fn draw(&self, rect: PixelRect) -> Option<Pixmap> {
        let (width, height) = rect.size()?;
        let mut pixmap = Pixmap::new(width, height)?;
        let raster_from_layer = Transform::from_translate(-rect.left as f32, -rect.top as f32)
            .pre_scale(self.scale.x, self.scale.y);
        let paths = self.paths(rect);
        if !paths.is_empty() {
            let mut fill = Coverage::new(rect)?;
            for path in &paths {
                fill.fill(path, raster_from_layer);
            }
            if let Some(outline) = &self.source.outline
                && self.outline_px > 0.0
            {
                let mut around = self.outline_coverage(rect, &paths, raster_from_layer)?;
                if !is_opaque(&self.source.fill) {
                    around.subtract(&fill);
                }
                around.paint(&mut pixmap, outline.color);
            }
            self.fill(&mut pixmap, &fill, raster_from_layer);
        }
        self.draw_coloured(&mut pixmap, rect, raster_from_layer);
        Some(pixmap)
    }

    /// The outlines of all letters that touch `rect`, in layer pixels, neighbours in one path.
    fn paths(&self, rect: PixelRect) -> Vec<Path> {
        let mut paths = Vec::new();
        let mut builder = PathBuilder::new();
        let mut count = 0;
        let mut run: Option<&Run> = None;
        for item in &self.items {
            let Shape::Outline(path) = &item.shape else {
                continue;
            };
            if !item.touches(rect, self.scale, self.outline_px) {
                continue;
            }
            let is_same_run = run.is_some_and(|run| std::ptr::eq(run, item.run));
            if count >= PATH_GLYPHS_MAX || !is_same_run {
                paths.extend(std::mem::take(&mut builder).finish());
                count = 0;
                run = Some(item.run);
            }
            push_path(&mut builder, path, |point| item.layer_point(point));
            count += 1;
        }
        paths.extend(builder.finish());
        paths
    }

    fn outline_coverage(
        &self,
        rect: PixelRect,
        paths: &[Path],
        raster_from_layer: Transform,
    ) -> Option<Coverage> {
        let mut around = Coverage::new(rect)?;
        let stroke = Stroke {
            width: 2.0 * self.outline_px,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        for path in paths {
            if let Some(line) = path.stroke(&stroke, self.scale.max_element()) {
                around.fill(&line, raster_from_layer);
            }
        }
        Some(around)
    }

    fn fill(&self, pixmap: &mut Pixmap, coverage: &Coverage, raster_from_layer: Transform) {
        match &self.source.fill {
            Paint::Solid(colour) => coverage.paint(pixmap, *colour),
            paint @ Paint::Gradient(_) => {
                let (width, height) = (pixmap.width() as f32, pixmap.height() as f32);
                if let Some(rect) = Rect::from_xywh(0.0, 0.0, width, height)
                    && let Some(paint) = self.skia_paint(paint, raster_from_layer)
                {
                    let mask = Some(coverage.mask());
                    pixmap.fill_rect(rect, &paint, Transform::identity(), mask);
                }
            }
        }
    }

    fn skia_paint(
        &self,
        paint: &Paint,
        raster_from_layer: Transform,
    ) -> Option<tiny_skia::Paint<'static>> {
        let block = self.composition.block;
        let rect = Rect::from_ltrb(block.min.x, block.min.y, block.max.x, block.max.y)?;
        Some(tiny_skia::Paint {
            shader: paint_shader_in(paint, rect, raster_from_layer),
            ..tiny_skia::Paint::default()
        })
    }

    /// Glyphs with colours of their own. A fill that lets the ground through lets it through them, too.
    fn draw_coloured(&self, pixmap: &mut Pixmap, rect: PixelRect, raster_from_layer: Transform) {
        let opacity = match &self.source.fill {
            Paint::Solid(colour) => f32::from(colour.alpha) / 255.0,
            Paint::Gradient(_) => 1.0,
        };
        for item in &self.items {
            match &item.shape {
                Shape::Layers(layers) if item.touches(rect, self.scale, 0.0) => {
                    for (path, colour) in layers.iter() {
                        let mut builder = PathBuilder::new();
                        push_path(&mut builder, path, |point| item.layer_point(point));
                        let paint = match colour {
                            Some(colour) => {
                                let mut paint = tiny_skia::Paint::default();
                                let alpha = f32::from(colour.alpha()) * opacity;
                                paint.set_color_rgba8(
                                    colour.red(),
                                    colour.green(),
                                    colour.blue(),
                                    alpha.round() as u8,
                                );
                                Some(paint)
                            }
                            None => self.skia_paint(&self.source.fill, raster_from_layer),
                        };
                        let (Some(path), Some(mut paint)) = (builder.finish(), paint) else {
                            continue;
                        };
                        paint.anti_alias = true;
                        pixmap.fill_path(
                            &path,
                            &paint,
                            tiny_skia::FillRule::Winding,
                            raster_from_layer,
                            None,
                        );
                    }
                }
                Shape::Picture => {
                    if let Some((picture, at)) = item.sized_picture(self.scale) {
                        draw_picture(pixmap, &picture, at - rect.origin(), opacity);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Item<'_> {
    /// A point of the cached outline, in layer pixels.
    fn layer_point(&self, point: Point) -> Point {
        let size = self.run.font_size / OUTLINE_EM;
        let slant = self.run.skew_degrees.to_radians().tan();
        Point::from_xy(
            self.pen.x + size * (point.x - slant * point.y),
            self.pen.y + size * point.y,
        )
    }

    /// Corners of what the glyph may cover, in raster pixels. None when that is nothing, or nowhere.
    fn bounds(&self, scale: Vec2, outline_px: f32) -> Option<(Vec2, Vec2)> {
        let of_path = |path: &Path| {
            let bounds = path.bounds();
            let corners = [
                (bounds.left(), bounds.top()),
                (bounds.right(), bounds.top()),
                (bounds.left(), bounds.bottom()),
                (bounds.right(), bounds.bottom()),
            ];
            let (mut min, mut max) = (Vec2::MAX, Vec2::MIN);
            for (x, y) in corners {
                let point = self.layer_point(Point::from_xy(x, y));
                let point = Vec2::new(point.x, point.y);
                min = min.min(point);
                max = max.max(point);
            }
            (min, max)
        };
        let (min, max) = match &self.shape {
            Shape::Nothing => return None,
            Shape::Outline(path) => {
                let (min, max) = of_path(path);
                ((min - outline_px) * scale, (max + outline_px) * scale)
            }
            Shape::Layers(layers) => {
                let (min, max) = layers.iter().map(|(path, _)| of_path(path)).reduce(
                    |(min, max), (other_min, other_max)| (min.min(other_min), max.max(other_max)),
                )?;
                (min * scale, max * scale)
            }
            Shape::Picture => {
                let (picture, at) = self.sized_picture(scale)?;
                let size = Vec2::new(
                    picture.pixmap.width() as f32,
                    picture.pixmap.height() as f32,
                );
                (at, at + size * picture.stretch)
            }
        };
        (min.is_finite() && max.is_finite()).then_some((min, max))
    }

    fn touches(&self, rect: PixelRect, scale: Vec2, outline_px: f32) -> bool {
        self.bounds(scale, outline_px).is_some_and(|(min, max)| {
            max.x > rect.left as f32
                && min.x < rect.right as f32
                && max.y > rect.top as f32
                && min.y < rect.bottom as f32
        })
    }

    /// The picture of the glyph, and where its top left corner stands, in raster pixels.
    fn sized_picture(&self, scale: Vec2) -> Option<(SizedPicture<'_>, Vec2)> {
        let picture = self.picture.as_ref()?.sized(self.run.font_size * scale)?;
        let at = self.pen * scale + picture.corner;
        Some((picture, at))
    }
}

fn push_path(builder: &mut PathBuilder, path: &Path, place: impl Fn(Point) -> Point) {
    for segment in path.segments() {
        match segment {
            PathSegment::MoveTo(to) => {
                let to = place(to);
                builder.move_to(to.x, to.y);
            }
            PathSegment::LineTo(to) => {
                let to = place(to);
                builder.line_to(to.x, to.y);
            }
            PathSegment::QuadTo(control, to) => {
                let (control, to) = (place(control), place(to));
                builder.quad_to(control.x, control.y, to.x, to.y);
            }
            PathSegment::CubicTo(first, second, to) => {
                let (first, second, to) = (place(first), place(second), place(to));
                builder.cubic_to(first.x, first.y, second.x, second.y, to.x, to.y);
            }
            PathSegment::Close => builder.close(),
        }
    }
}

fn draw_picture(pixmap: &mut Pixmap, picture: &SizedPicture<'_>, at: Vec2, opacity: f32) {
    let paint = PixmapPaint {
        opacity,
        // Sharper filters overshoot, which premultiplied colours do not bear.
        quality: FilterQuality::Bilinear,
        ..PixmapPaint::default()
    };
    let stretch = picture.stretch;
    let transform = Transform::from_translate(at.x, at.y).pre_scale(stretch.x, stretch.y);
    pixmap.draw_pixmap(0, 0, picture.pixmap.as_ref(), &paint, transform, None);
}
