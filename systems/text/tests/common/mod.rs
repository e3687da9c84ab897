//! What the tests of texts share: sources, drawing, and measuring ink.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::expect_used, reason = "a helper that fails fails the test")]

pub mod variable_font;

use components::source::{Align, Font, Overflow, TextDirection, TextSource, VerticalAlign};
use components::{Colour, Paint, Template};
use glam::Vec2;
use stream_manager_text::{DrawnText, FontLibrary, TextError, TextRequest};

/// Alpha from which a pixel counts as ink.
const INK_ALPHA_MIN: u8 = 24;

/// A white text in Noto Sans, 40 px, that wraps.
pub fn source() -> TextSource {
    TextSource {
        counter: None,
        text: Template::parse("").expect("no holes"),
        font: Font {
            family: "Noto Sans".to_owned(),
            size: 40.0,
            ..Font::default()
        },
        fill: Paint::Solid(Colour::WHITE),
        align: Align::Start,
        vertical_align: VerticalAlign::Top,
        wrap: true,
        max_lines: None,
        overflow: Overflow::Visible,
        fit_to_box: None,
        outline: None,
        shadow: None,
        direction: TextDirection::Auto,
    }
}

/// [`source`], changed.
pub fn source_with(change: impl FnOnce(&mut TextSource)) -> TextSource {
    let mut source = source();
    change(&mut source);
    source
}

pub fn try_draw(
    source: &TextSource,
    words: &str,
    size: Option<(f32, f32)>,
) -> Result<DrawnText, TextError> {
    FontLibrary::new(true).draw(&TextRequest {
        source,
        words,
        size: size.map(Vec2::from),
        scale: Vec2::ONE,
    })
}

pub fn draw(source: &TextSource, words: &str, size: Option<(f32, f32)>) -> DrawnText {
    try_draw(source, words, size).expect("a text that can be drawn")
}

/// Edges of the ink in the layer's box, in layer pixels at scale 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ink {
    pub left: f32,
    pub top: f32,
    pub right: f32,
    pub bottom: f32,
}

impl Ink {
    pub fn width(self) -> f32 {
        self.right - self.left
    }

    pub fn height(self) -> f32 {
        self.bottom - self.top
    }
}

pub fn ink(drawn: &DrawnText) -> Ink {
    ink_where(drawn, |pixel| pixel[3] >= INK_ALPHA_MIN).expect("some ink")
}

/// Edges of the pixels that `is_ink` accepts, which sees premultiplied channels.
pub fn ink_where(drawn: &DrawnText, is_ink: impl Fn([u8; 4]) -> bool) -> Option<Ink> {
    let width = drawn.pixmap.width() as usize;
    let mut found: Option<Ink> = None;
    for (index, pixel) in drawn.pixmap.data().chunks_exact(4).enumerate() {
        if is_ink([pixel[0], pixel[1], pixel[2], pixel[3]]) {
            let at = drawn.origin + Vec2::new((index % width) as f32, (index / width) as f32);
            let ink = found.get_or_insert(Ink {
                left: f32::MAX,
                top: f32::MAX,
                right: f32::MIN,
                bottom: f32::MIN,
            });
            ink.left = ink.left.min(at.x);
            ink.top = ink.top.min(at.y);
            ink.right = ink.right.max(at.x + 1.0);
            ink.bottom = ink.bottom.max(at.y + 1.0);
        }
    }
    found
}

/// Ink in whole pixels, by alpha.
pub fn ink_area(drawn: &DrawnText) -> f32 {
    let alphas = drawn.pixmap.data().iter().skip(3).step_by(4);
    alphas.map(|alpha| f32::from(*alpha) / 255.0).sum()
}

/// Rows of the raster that have ink, as runs from top to bottom: one a line when lines do not touch.
pub fn bands(drawn: &DrawnText) -> Vec<(f32, f32)> {
    let row_bytes = 4 * drawn.pixmap.width() as usize;
    let mut bands: Vec<(f32, f32)> = Vec::new();
    for (y, row) in drawn.pixmap.data().chunks_exact(row_bytes).enumerate() {
        if row.chunks_exact(4).any(|pixel| pixel[3] >= INK_ALPHA_MIN) {
            let y = drawn.origin.y + y as f32;
            match bands.last_mut() {
                Some(band) if band.1 == y => band.1 = y + 1.0,
                _ => bands.push((y, y + 1.0)),
            }
        }
    }
    bands
}

/// A font that comes with the product.
pub fn house_font(file: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/assets/fonts/");
    std::fs::read(format!("{folder}{file}")).expect("a font of the house")
}
