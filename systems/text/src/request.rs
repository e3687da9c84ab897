//! What is asked of the library, and what it answers.

use components::source::TextSource;
use glam::Vec2;
use tiny_skia::Pixmap;

/// A text to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct TextRequest<'a> {
    /// The authored text; its `text` field is not read, since holes are filled before.
    pub source: &'a TextSource,
    /// The words, with every hole filled. `\n` breaks a line.
    pub words: &'a str,
    /// The layer's box in layer pixels; none lays the text out at its natural size.
    pub size: Option<Vec2>,
    /// Raster pixels a layer pixel, to the right and down. Held between 1/100 and 64; what is not a number counts as 1.
    pub scale: Vec2,
}

/// A text as pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnText {
    /// Premultiplied sRGB, no larger than the ink; one transparent pixel when there is no ink.
    pub pixmap: Pixmap,
    /// Where the pixmap's top left corner stands in the layer's box, in layer pixels; always a whole number of raster pixels.
    /// Negative when an outline, a shadow or overflowing words reach out of the box.
    pub origin: Vec2,
    /// The box that the text was laid out in, in layer pixels.
    pub size: Vec2,
    /// Size of the em square that was used, in layer pixels; not the authored one when `fitToBox` changed it.
    pub font_size: f32,
    /// Glyphs for which no font had a picture and an empty box was drawn.
    pub missing_glyphs: usize,
}
