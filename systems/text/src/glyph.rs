//! Pictures of glyphs: outlines, and colour pictures at the sizes that the font has and at halves of it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use glam::Vec2;
use swash::FontRef;
use swash::scale::outline::Outline;
use swash::scale::{ScaleContext, Scaler, StrikeWith};
use swash::zeno::{Command, PathData};
use tiny_skia::{ColorU8, Path, PathBuilder, Pixmap};

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
/// Largest side of a colour picture in a font, in its pixels.
const PICTURE_SIDE_MAX: u32 = 1024;
/// Smallest side of a halved picture in pixels.
const PICTURE_LEVEL_SIDE_MIN: u32 = 8;
/// Clear pixels round a picture, which leave it a soft edge when it is drawn between pixels.
const PICTURE_BORDER: u32 = 4;
/// The strike of a bitmap font that is used: the largest, which is halved from.
const STRIKE: StrikeWith = StrikeWith::LargestSize;
/// By how much a face is made bolder on each side when it lacks a bold one, as part of the em square.
const EMBOLDEN_EM: f32 = 1.0 / 48.0;

/// Makes and keeps pictures of glyphs.
pub(crate) struct Glyphs {
    scaler: ScaleContext,
    shapes: Generations<GlyphKey, Shape>,
    pictures: Generations<GlyphKey, Option<Arc<Picture>>>,
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
    /// A picture, which [`Glyphs::picture`] makes.
    Picture,
}

/// A colour picture of a glyph.
#[derive(Debug)]
pub(crate) struct Picture {
    /// As the font has it, premultiplied, then half as large, and so on. There is at least one.
    levels: Vec<Pixmap>,
    /// From the pen to the picture's left edge, in pixels of the first level.
    left: f32,
    /// From the baseline up to the picture's top edge, in pixels of the first level.
    top: f32,
    /// Size of the em square in pixels of the first level.
    em: f32,
}

/// A picture made ready for a size.
pub(crate) struct SizedPicture<'a> {
    pub(crate) pixmap: &'a Pixmap,
    /// From the pen on the baseline to the top left corner, in raster pixels.
    pub(crate) corner: Vec2,
    /// Raster pixels a pixel of the pixmap.
    pub(crate) stretch: Vec2,
}

impl Picture {
    /// The smallest level that is not too small for an em square of `em` raster pixels.
    pub(crate) fn sized(&self, em: Vec2) -> Option<SizedPicture<'_>> {
        let halvings = (self.em / em.max_element()).log2().floor().max(0.0) as usize;
        let level = halvings.min(self.levels.len().saturating_sub(1));
        let stretch = em / self.em;
        Some(SizedPicture {
            pixmap: self.levels.get(level)?,
            corner: Vec2::new(self.left, -self.top) * stretch,
            stretch: stretch * (1_u32 << level) as f32,
        })
    }
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

    /// The colour picture of a glyph whose shape is [`Shape::Picture`].
    pub(crate) fn picture(&mut self, key: &GlyphKey, run: &Run) -> Option<Arc<Picture>> {
        let Self {
            scaler, pictures, ..
        } = self;
        let cost = |picture: &Option<Arc<Picture>>| {
            let levels = picture.iter().flat_map(|picture| &picture.levels);
            128 + levels.map(|level| level.data().len()).sum::<usize>()
        };
        pictures.get(key, cost, || make_picture(scaler, key, run).map(Arc::new))
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

fn make_picture(context: &mut ScaleContext, key: &GlyphKey, run: &Run) -> Option<Picture> {
    let glyph = u16::try_from(key.glyph).ok()?;
    let font = font_of(run)?;
    let em = f32::from(font.color_strikes().find_by_largest_ppem(glyph)?.ppem());
    // At the strike's own size nothing is resampled.
    let mut scaler = scaler(context, font, run, em);
    let image = scaler.scale_color_bitmap(glyph, STRIKE)?;
    let placement = image.placement;
    if placement.width.max(placement.height) > PICTURE_SIDE_MAX {
        return None;
    }
    let mut finest = Pixmap::new(
        placement.width + 2 * PICTURE_BORDER,
        placement.height + 2 * PICTURE_BORDER,
    )?;
    let row_bytes = 4 * finest.width() as usize;
    let border = PICTURE_BORDER as usize;
    let rows = finest.data_mut().chunks_exact_mut(row_bytes).skip(border);
    let image_rows = image.data.chunks_exact(4 * placement.width.max(1) as usize);
    for (row, image_row) in rows.zip(image_rows) {
        let pixels = row.chunks_exact_mut(4).skip(border);
        for (pixel, straight) in pixels.zip(image_row.chunks_exact(4)) {
            let [red, green, blue, alpha] = [straight[0], straight[1], straight[2], straight[3]];
            let colour = ColorU8::from_rgba(red, green, blue, alpha).premultiply();
            let bytes = [colour.red(), colour.green(), colour.blue(), colour.alpha()];
            pixel.copy_from_slice(&bytes);
        }
    }
    let mut levels = vec![finest];
    while let Some(half) = levels.last().and_then(halved) {
        levels.push(half);
    }
    Some(Picture {
        levels,
        left: placement.left as f32 - PICTURE_BORDER as f32,
        top: placement.top as f32 + PICTURE_BORDER as f32,
        em,
    })
}

/// The picture at half its size, each pixel the mean of four. None when it is too small to be of use.
fn halved(pixmap: &Pixmap) -> Option<Pixmap> {
    let (width, height) = (pixmap.width(), pixmap.height());
    if width.min(height) < 2 * PICTURE_LEVEL_SIDE_MIN {
        return None;
    }
    let mut half = Pixmap::new(width.div_ceil(2), height.div_ceil(2))?;
    let half_width = half.width();
    for (index, mean) in half.data_mut().chunks_exact_mut(4).enumerate() {
        let (x, y) = (index as u32 % half_width * 2, index as u32 / half_width * 2);
        let mut sums = [2_u32; 4];
        for (x, y) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)] {
            // Beyond the picture there is nothing, which adds nothing.
            if let Some(pixel) = pixmap.pixel(x, y) {
                let channels = [pixel.red(), pixel.green(), pixel.blue(), pixel.alpha()];
                for (sum, channel) in sums.iter_mut().zip(channels) {
                    *sum += u32::from(channel);
                }
            }
        }
        for (mean, sum) in mean.iter_mut().zip(sums) {
            *mean = (sum / 4) as u8;
        }
    }
    Some(half)
}
