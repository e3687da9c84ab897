//! Multiplies a picture by another one's alpha or luma.

use fearless_simd::dispatch;

use super::{Pixels, Scratch};
use crate::kernels::scale_pixel;

/// What of a mask's pixel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskSource {
    /// Its alpha.
    #[default]
    Alpha,
    /// Its brightness: the weights of ITU-R BT.709-6, section 3, on the premultiplied sRGB values, so that what is transparent
    /// counts as black.
    Luma,
}

/// Keeps of a picture what a mask of the same size shows.
///
/// All channels of a pixel are multiplied by m, or by 1 - m when inverted. Pixels that the mask lacks have m = 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// What of the mask counts.
    pub source: MaskSource,
    /// Keeps what the mask hides instead.
    pub inverted: bool,
}

impl Mask {
    /// Multiplies `pixels` by `mask`, top left on top left.
    pub fn apply(&self, pixels: &mut Pixels, mask: &Pixels, scratch: &mut Scratch) {
        dispatch!(scratch.level, _simd => match (self.source, self.inverted) {
            (MaskSource::Alpha, false) => rows(pixels, mask, alpha, 0),
            (MaskSource::Alpha, true) => rows(pixels, mask, alpha, 255),
            (MaskSource::Luma, false) => rows(pixels, mask, luma, 0),
            (MaskSource::Luma, true) => rows(pixels, mask, luma, 255),
        });
    }
}

#[inline(always)]
fn rows(pixels: &mut Pixels, mask: &Pixels, value: impl Fn(u32) -> u32 + Copy, flip: u32) {
    let mask_width = mask.width();
    for (y, row) in pixels.rows_mut() {
        let mask_row = mask.words().get(y * mask_width..(y + 1) * mask_width);
        let mask_row = mask_row.unwrap_or(&[]);
        for (pixel, &other) in row.iter_mut().zip(mask_row) {
            // 255 - v is v with all of its eight bits turned.
            *pixel = scale_pixel(*pixel, value(other) ^ flip);
        }
        if flip == 0 {
            let shown = mask_row.len().min(row.len());
            row[shown..].fill(0);
        }
    }
}

#[inline(always)]
fn alpha(pixel: u32) -> u32 {
    pixel >> 24
}

#[inline(always)]
fn luma(pixel: u32) -> u32 {
    let (r, g, b) = (pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255);
    (r * 13_933 + g * 46_871 + b * 4_732 + (1 << 15)) >> 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, error_max, pictures, unit};

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(pixels in pictures(), mask in pictures(), inverted: bool, of_luma: bool) {
            let source = if of_luma { MaskSource::Luma } else { MaskSource::Alpha };
            let got = at_all_levels(&pixels, |pixels, scratch| Mask { source, inverted }.apply(pixels, &mask, scratch));
            let worst = error_max(&got, |x, y| {
                let inside = x < mask.width() && y < mask.height();
                let [r, g, b, alpha] = if inside { unit(mask.words()[y * mask.width() + x]) } else { [0.0; 4] };
                let value = if of_luma { 0.2126 * r + 0.7152 * g + 0.0722 * b } else { alpha };
                let value = if inverted { 1.0 - value } else { value };
                unit(pixels.words()[y * pixels.width() + x]).map(|channel| channel * value)
            });
            prop_assert!(worst <= 1.001, "{worst}");
        }
    }
}
