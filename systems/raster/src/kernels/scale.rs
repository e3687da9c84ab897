//! Rows of pixels multiplied by a coverage or an opacity.

use fearless_simd::{Level, dispatch, prelude::*};

use super::{div255, div255_high, scale_pixel};

/// Multiplies every pixel by `factor / 255`, rounding each channel.
pub fn scale_row(level: Level, row: &mut [u32], factor: u8) {
    dispatch!(level, simd => scale_row_simd(simd, row, factor));
}

/// Scalar twin of [`scale_row`].
pub fn scale_row_scalar(row: &mut [u32], factor: u8) {
    for pixel in row {
        *pixel = scale_pixel(*pixel, u32::from(factor));
    }
}

#[inline(always)]
fn scale_row_simd<S: Simd>(simd: S, row: &mut [u32], factor: u8) {
    let wide = S::u16s::splat(simd, u16::from(factor));
    let mut chunks = row.chunks_exact_mut(S::u32s::LEN);
    for chunk in &mut chunks {
        let source: S::u16s = S::u32s::from_slice(simd, chunk).bitcast();
        let rb = div255(simd, (source & S::u16s::splat(simd, 255)) * wide);
        let ga = div255_high(simd, (source >> 8) * wide);
        let scaled: S::u32s = (rb | ga).bitcast();
        scaled.store_slice(chunk);
    }
    scale_row_scalar(chunks.into_remainder(), factor);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{levels, premultiplied_row};

    proptest! {
        #[test]
        fn simd_equals_scalar(row in premultiplied_row(80), factor: u8) {
            let mut expected = row.clone();
            scale_row_scalar(&mut expected, factor);
            for level in levels() {
                let mut got = row.clone();
                scale_row(level, &mut got, factor);
                prop_assert_eq!(&got, &expected);
            }
        }
    }
}
