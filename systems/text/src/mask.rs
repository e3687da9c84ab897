//! Coverage: where ink is, as one byte a pixel, and how colour gets through it.

use components::Colour;
use tiny_skia::{FillRule, Mask, Path, Pixmap, Transform};

use crate::rect::PixelRect;

/// Coverage of a rectangle of the raster.
pub(crate) struct Coverage {
    mask: Mask,
}

impl Coverage {
    /// No ink in `rect`. None when the rectangle is empty.
    pub(crate) fn new(rect: PixelRect) -> Option<Self> {
        let (width, height) = rect.size()?;
        Some(Self {
            mask: Mask::new(width, height)?,
        })
    }

    /// Adds the inside of `path`, which `transform` brings into the rectangle.
    pub(crate) fn fill(&mut self, path: &Path, transform: Transform) {
        self.mask
            .fill_path(path, FillRule::Winding, true, transform);
    }

    /// Takes away what `other` covers, which is of the same size.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.mask.data_mut().iter_mut().zip(other.mask.data()) {
            *mine = div_255(u32::from(*mine) * u32::from(255 - theirs)) as u8;
        }
    }

    /// The coverage as tiny-skia wants it.
    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Lays `colour` over `pixmap`, which is of the same size, where there is ink.
    pub(crate) fn paint(&self, pixmap: &mut Pixmap, colour: Colour) {
        let source = colour.premultiplied();
        let pixels = pixmap.data_mut().chunks_exact_mut(4);
        for (pixel, coverage) in pixels.zip(self.mask.data()) {
            match coverage {
                0 => {}
                255 if source[3] == 255 => pixel.copy_from_slice(&source),
                coverage => over(pixel, source, *coverage),
            }
        }
    }
}

/// Lays a premultiplied colour over a premultiplied pixel, weakened to `coverage` of 255.
pub(crate) fn over(pixel: &mut [u8], source: [u8; 4], coverage: u8) {
    let alpha = div_255(u32::from(source[3]) * u32::from(coverage));
    for (below, above) in pixel.iter_mut().zip(source) {
        let above = div_255(u32::from(above) * u32::from(coverage));
        let kept = div_255(u32::from(*below) * (255 - alpha));
        *below = (above + kept).min(255) as u8;
    }
    // Channels are rounded on their own, and none may pass alpha.
    if let [red, green, blue, alpha] = pixel {
        *red = (*red).min(*alpha);
        *green = (*green).min(*alpha);
        *blue = (*blue).min(*alpha);
    }
}

/// `product / 255` to the nearest, exact for products of two bytes.
fn div_255(product: u32) -> u32 {
    let biased = product + 128;
    (biased + (biased >> 8)) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_is_exact_at_the_ends() {
        let mut pixel = [10, 20, 30, 40];
        over(&mut pixel, [200, 100, 50, 255], 0);
        assert_eq!(pixel, [10, 20, 30, 40]);
        over(&mut pixel, [200, 100, 50, 255], 255);
        assert_eq!(pixel, [200, 100, 50, 255]);
        for product in 0..=255 * 255 {
            assert_eq!(div_255(product), (product as f32 / 255.0).round() as u32);
        }
    }
}
