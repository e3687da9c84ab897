//! The shadow behind a text: its alpha, moved, softened and coloured.

use components::source::Shadow;
use glam::Vec2;
use tiny_skia::Pixmap;

use crate::blur;
use crate::mask::over;
use crate::rect::{PixelRect, for_shared_rows};
use crate::style::within;

/// A shadow in raster pixels.
pub(crate) struct Softness<'a> {
    shadow: &'a Shadow,
    sigma: Vec2,
    offset_x: i64,
    offset_y: i64,
}

impl<'a> Softness<'a> {
    /// The authored shadow at `scale` raster pixels a layer pixel.
    pub(crate) fn new(shadow: &'a Shadow, scale: Vec2) -> Self {
        let blur = within(shadow.blur, 0.0, 100.0, 0.0);
        let pixels = |value: f32, scale: f32| {
            (within(value, -10_000.0, 10_000.0, 0.0) * scale).round() as i64
        };
        Self {
            shadow,
            sigma: blur * scale,
            offset_x: pixels(shadow.offset.x, scale.x),
            offset_y: pixels(shadow.offset.y, scale.y),
        }
    }

    /// How far each side of the shadow lies from that side of the text.
    pub(crate) fn reach(&self) -> PixelRect {
        let (x, y) = self.spread();
        PixelRect {
            left: self.offset_x - x,
            top: self.offset_y - y,
            right: self.offset_x + x,
            bottom: self.offset_y + y,
        }
    }

    fn spread(&self) -> (i64, i64) {
        (
            i64::from(blur::reach_px(self.sigma.x)),
            i64::from(blur::reach_px(self.sigma.y)),
        )
    }

    /// The picture of `whole`: the shadow of `text`, which shows `ink`, and the text over it.
    pub(crate) fn under(&self, text: &Pixmap, ink: PixelRect, whole: PixelRect) -> Option<Pixmap> {
        let (width, height) = whole.size()?;
        let mut pixmap = Pixmap::new(width, height)?;
        let (soft, alpha) = self.alpha(text, ink)?;
        let colour = self.shadow.color.premultiplied();
        let pixels = pixmap.data_mut();
        for_shared_rows(soft, whole, |from, to, count| {
            let row = pixels[4 * to..4 * (to + count)].chunks_exact_mut(4);
            for (pixel, coverage) in row.zip(&alpha[from..from + count]) {
                if *coverage > 0 {
                    over(pixel, colour, *coverage);
                }
            }
        });
        for_shared_rows(ink, whole, |from, to, count| {
            let row = pixels[4 * to..4 * (to + count)].chunks_exact_mut(4);
            let texts = text.data()[4 * from..4 * (from + count)].chunks_exact(4);
            for (pixel, source) in row.zip(texts) {
                match source {
                    [_, _, _, 0] => {}
                    [_, _, _, 255] => pixel.copy_from_slice(source),
                    source => over(pixel, [source[0], source[1], source[2], source[3]], 255),
                }
            }
        });
        Some(pixmap)
    }

    /// The softened alpha of `text`, and the rectangle of the raster that it covers.
    fn alpha(&self, text: &Pixmap, ink: PixelRect) -> Option<(PixelRect, Vec<u8>)> {
        let (x, y) = self.spread();
        let soft = ink.grown(self.reach());
        let (width, height) = soft.size()?;
        let (width, height) = (width as usize, height as usize);
        let mut alpha = vec![0_u8; width.checked_mul(height)?];
        let rows = alpha.chunks_exact_mut(width).skip(y as usize);
        let texts = text.data().chunks_exact(4 * text.width() as usize);
        for (row, pixels) in rows.zip(texts) {
            let row = &mut row[x as usize..];
            for (alpha, pixel) in row.iter_mut().zip(pixels.chunks_exact(4)) {
                *alpha = pixel[3];
            }
        }
        blur::box_blur_alpha_xy(&mut alpha, width, height, self.sigma.x, self.sigma.y);
        Some((soft, alpha))
    }
}
