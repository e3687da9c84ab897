//! Pictures of glyphs: outlines at any size, colour pictures at the size that is needed.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use swash::FontRef;
use swash::scale::outline::Outline;
use swash::scale::{Render, ScaleContext, Scaler, Source, StrikeWith};
use swash::zeno::{Command, PathData};
use tiny_skia::{ColorU8, IntSize, Path, PathBuilder, Pixmap};

use crate::cache::Generations;
use crate::layout::Run;

/// Size of the em square that cached outlines are made for. They are not hinted, so they scale to any other.
pub(crate) const OUTLINE_EM: f32 = 512.0;

/// What cached outlines may take, in bytes, roughly counted.
const OUTLINE_BYTES_MAX: usize = 16 << 20;
/// What cached colour pictures may take, in bytes.
const PICTURE_BYTES_MAX: usize = 48 << 20;
/// Fonts that swash keeps its own state for.
const SCALER_FONTS_MAX: usize = 32;
/// Largest em square of a colour picture in raster pixels; larger ones are stretched.
const PICTURE_EM_MAX: f32 = 1024.0;
/// By how much a face is made bolder on each side when it lacks a bold one, as part of the em square.
const EMBOLDEN_EM: f32 = 1.0 / 48.0;

/// Makes and keeps pictures of glyphs.
pub(crate) struct Glyphs {
    scaler: ScaleContext,
    shapes: Generations<GlyphKey, Shape>,
    pictures: Generations<(GlyphKey, u32), Option<Arc<Picture>>>,
}

/// How a glyph is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Not at all: a space, or a glyph that cannot be read.
    Nothing,
    /// An outline, to be filled with the text's paint. Its em square is [`OUTLINE_EM`], y grows downwards from the baseline.
    Outline(Arc<Path>),
    /// Outlines with colours of their own, bottom first; none takes the text's paint.
    Layers(Arc<[(Path, Option<ColorU8>)]>),
    /// A picture, which [`Glyphs::picture`] makes at a size.
    Picture,
}

/// A colour picture of a glyph at one size.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) pixmap: Pixmap,
    /// From the pen to the picture's left edge, in its pixels.
    pub(crate) left: f32,
    /// From the baseline up to the picture's top edge, in its pixels.
    pub(crate) top: f32,
    /// Size of the em square in its pixels.
    pub(crate) em: f32,
}

/// One glyph of one face.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GlyphKey {
    face: FaceKey,
    glyph: u32,
}

/// A font file's face in one place of its variation space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaceKey {
    blob: u64,
    index: u32,
    coords: Arc<[i16]>,
    embolden: bool,
}

impl Hash for GlyphKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.face.blob.hash(state);
        self.face.index.hash(state);
        self.face.coords.hash(state);
        self.glyph.hash(state);
    }
}

impl FaceKey {
    pub(crate) fn of(run: &Run) -> Self {
        Self {
            blob: run.font.data.id(),
            index: run.font.index,
            coords: Arc::clone(&run.coords),
            embolden: run.embolden,
        }
    }

    pub(crate) fn glyph(&self, glyph: u32) -> GlyphKey {
        GlyphKey {
            face: self.clone(),
            glyph,
        }
    }
}

impl Glyphs {
    pub(crate) fn new() -> Self {
        Self {
            scaler: ScaleContext::with_max_entries(SCALER_FONTS_MAX),
            shapes: Generations::new(OUTLINE_BYTES_MAX),
            pictures: Generations::new(PICTURE_BYTES_MAX),
        }
    }

    /// Forgets all pictures.
    pub(crate) fn clear(&mut self) {
        self.shapes.clear();
        self.pictures.clear();
    }

    /// How the glyph is drawn. `run` is one that the key was made from.
    pub(crate) fn shape(&mut self, key: &GlyphKey, run: &Run) -> Shape {
        let Self { scaler, shapes, .. } = self;
        shapes.get(key, shape_bytes, || {
            make_shape(scaler, key, run).unwrap_or(Shape::Nothing)
        })
    }

    /// The colour picture of a glyph whose shape is [`Shape::Picture`], for an em square of `em` raster pixels.
    pub(crate) fn picture(&mut self, key: &GlyphKey, run: &Run, em: f32) -> Option<Arc<Picture>> {
        let em = em.clamp(1.0, PICTURE_EM_MAX);
        let Self {
            scaler, pictures, ..
        } = self;
        let cost = |picture: &Option<Arc<Picture>>| {
            64 + picture
                .as_ref()
                .map_or(0, |picture| picture.pixmap.data().len())
        };
        pictures.get(&(key.clone(), em.to_bits()), cost, || {
            make_picture(scaler, key, run, em).map(Arc::new)
        })
    }
}

fn shape_bytes(shape: &Shape) -> usize {
    let path_bytes = |path: &Path| 9 * path.len() + 64;
    128 + match shape {
        Shape::Nothing | Shape::Picture => 0,
        Shape::Outline(path) => path_bytes(path),
        Shape::Layers(layers) => layers.iter().map(|(path, _)| path_bytes(path)).sum(),
    }
}

fn font_of(run: &Run) -> Option<FontRef<'_>> {
    FontRef::from_index(run.font.data.as_ref(), run.font.index as usize)
}

fn make_shape(context: &mut ScaleContext, key: &GlyphKey, run: &Run) -> Option<Shape> {
    let font = font_of(run)?;
    let glyph = u16::try_from(key.glyph).ok()?;
    let mut scaler = scaler(context, font, run, OUTLINE_EM);
    if let Some(outline) = scaler.scale_color_outline(glyph) {
        let palette = font.color_palettes().next();
        let layers: Vec<(Path, Option<ColorU8>)> = (0..outline.len())
            .filter_map(|index| {
                let layer = outline.get(index)?;
                let colour = layer.color_index().and_then(|index| {
                    let [red, green, blue, alpha] = palette?.get(index);
                    Some(ColorU8::from_rgba(red, green, blue, alpha))
                });
                Some((path_of(layer.path())?, colour))
            })
            .collect();
        return Some(Shape::Layers(layers.into()));
    }
    if scaler.has_color_bitmaps() && scaler.scale_color_bitmap(glyph, STRIKE).is_some() {
        return Some(Shape::Picture);
    }
    let mut outline = Outline::new();
    if !scaler.scale_outline_into(glyph, &mut outline) {
        return None;
    }
    if run.embolden {
        let strength = OUTLINE_EM * EMBOLDEN_EM;
        outline.embolden(strength, strength);
    }
    Some(Shape::Outline(Arc::new(path_of(outline.path())?)))
}

const STRIKE: StrikeWith = StrikeWith::BestFit;

fn scaler<'a>(
    context: &'a mut ScaleContext,
    font: FontRef<'a>,
    run: &'a Run,
    em: f32,
) -> Scaler<'a> {
    context
        .builder_with_id(font, [run.font.data.id(), u64::from(run.font.index)])
        .size(em)
        .hint(false)
        .normalized_coords(run.coords.iter())
        .build()
}

/// The outline as a tiny-skia path, upside down, since fonts count upwards.
fn path_of(outline: impl PathData) -> Option<Path> {
    let mut path = PathBuilder::new();
    for command in outline.commands() {
        match command {
            Command::MoveTo(to) => path.move_to(to.x, -to.y),
            Command::LineTo(to) => path.line_to(to.x, -to.y),
            Command::QuadTo(control, to) => path.quad_to(control.x, -control.y, to.x, -to.y),
            Command::CurveTo(a, b, to) => path.cubic_to(a.x, -a.y, b.x, -b.y, to.x, -to.y),
            Command::Close => path.close(),
        }
    }
    path.finish()
}

fn make_picture(context: &mut ScaleContext, key: &GlyphKey, run: &Run, em: f32) -> Option<Picture> {
    let glyph = u16::try_from(key.glyph).ok()?;
    let mut scaler = scaler(context, font_of(run)?, run, em);
    let image = Render::new(&[Source::ColorBitmap(STRIKE)]).render(&mut scaler, glyph)?;
    let placement = image.placement;
    let mut data = image.data;
    let size = IntSize::from_wh(placement.width, placement.height)?;
    for pixel in data.chunks_exact_mut(4) {
        let colour = ColorU8::from_rgba(pixel[0], pixel[1], pixel[2], pixel[3]).premultiply();
        pixel.copy_from_slice(&[colour.red(), colour.green(), colour.blue(), colour.alpha()]);
    }
    Some(Picture {
        pixmap: Pixmap::from_vec(data, size)?,
        left: placement.left as f32,
        top: placement.top as f32,
        em,
    })
}
