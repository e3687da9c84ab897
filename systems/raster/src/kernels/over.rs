//! Source-over of premultiplied pixels, with exactly rounded division by 255.
//!
//! `dst = src * o + dst * (1 - src.alpha * o)` for an opacity `o` in 255ths; each product is rounded to a byte on its own, so
//! that an opaque span of a translucent picture gets the same bytes whichever kernel draws it.

use fearless_simd::{Level, dispatch, prelude::*};

use super::{div255, div255_high, for_vectors, scale_pixel};

/// Draws `src` over `dst`.
pub fn over(level: Level, dst: &mut [u32], src: &[u32]) {
    dispatch!(level, simd => over_simd(simd, dst, src));
}

/// Draws `src` over `dst` with an opacity of `opacity / 255`.
pub fn over_opacity(level: Level, dst: &mut [u32], src: &[u32], opacity: u8) {
    dispatch!(level, simd => over_opacity_simd(simd, dst, src, opacity));
}

/// [`over_opacity`] for a source whose alpha is 255 throughout: the same bytes, sooner.
pub fn fade(level: Level, dst: &mut [u32], src: &[u32], opacity: u8) {
    dispatch!(level, simd => fade_simd(simd, dst, src, opacity));
}

/// Draws one colour over `dst`.
pub fn over_solid(level: Level, dst: &mut [u32], colour: u32) {
    dispatch!(level, simd => over_solid_simd(simd, dst, colour));
}

/// One pixel over another: the scalar twin.
#[inline(always)]
pub const fn over_pixel(dst: u32, src: u32) -> u32 {
    src.wrapping_add(scale_pixel(dst, 255 - (src >> 24)))
}

/// Scalar twin of [`over`].
pub fn over_scalar(dst: &mut [u32], src: &[u32]) {
    for (d, &s) in dst.iter_mut().zip(src) {
        *d = over_pixel(*d, s);
    }
}

/// Scalar twin of [`over_opacity`].
pub fn over_opacity_scalar(dst: &mut [u32], src: &[u32], opacity: u8) {
    for (d, &s) in dst.iter_mut().zip(src) {
        *d = over_pixel(*d, scale_pixel(s, u32::from(opacity)));
    }
}

/// Scalar twin of [`over_solid`].
pub fn over_solid_scalar(dst: &mut [u32], colour: u32) {
    for d in dst {
        *d = over_pixel(*d, colour);
    }
}

#[inline(always)]
pub(super) fn over_vector<S: Simd>(simd: S, below: S::u32s, src: S::u32s) -> S::u32s {
    let alpha = src >> 24;
    let alpha: S::u16s = (alpha | (alpha << 16)).bitcast();
    let inverse = S::u16s::splat(simd, 255) - alpha;
    let below: S::u16s = below.bitcast();
    let rb = div255(simd, (below & S::u16s::splat(simd, 255)) * inverse);
    let ga = div255_high(simd, (below >> 8) * inverse);
    let kept: S::u32s = (rb | ga).bitcast();
    src + kept
}

#[inline(always)]
fn over_simd<S: Simd>(simd: S, dst: &mut [u32], src: &[u32]) {
    for_vectors!(S::u32s::LEN, dst, src, |d, s| {
        over_vector(
            simd,
            S::u32s::from_slice(simd, d),
            S::u32s::from_slice(simd, s),
        )
        .store_slice(d);
    });
}

#[inline(always)]
fn over_opacity_simd<S: Simd>(simd: S, dst: &mut [u32], src: &[u32], opacity: u8) {
    let factor = S::u16s::splat(simd, u16::from(opacity));
    for_vectors!(S::u32s::LEN, dst, src, |d, s| {
        let source: S::u16s = S::u32s::from_slice(simd, s).bitcast();
        let rb = div255(simd, (source & S::u16s::splat(simd, 255)) * factor);
        let ga = div255_high(simd, (source >> 8) * factor);
        over_vector(simd, S::u32s::from_slice(simd, d), (rb | ga).bitcast()).store_slice(d);
    });
}

#[inline(always)]
fn fade_simd<S: Simd>(simd: S, dst: &mut [u32], src: &[u32], opacity: u8) {
    let factor = S::u16s::splat(simd, u16::from(opacity));
    let inverse = S::u16s::splat(simd, 255 - u16::from(opacity));
    let low = S::u16s::splat(simd, 255);
    for_vectors!(S::u32s::LEN, dst, src, |d, s| {
        let source: S::u16s = S::u32s::from_slice(simd, s).bitcast();
        let below: S::u16s = S::u32s::from_slice(simd, d).bitcast();
        let rb = div255(simd, (source & low) * factor) + div255(simd, (below & low) * inverse);
        let ga =
            div255_high(simd, (source >> 8) * factor) + div255_high(simd, (below >> 8) * inverse);
        let mixed: S::u32s = (rb | ga).bitcast();
        mixed.store_slice(d);
    });
}

#[inline(always)]
fn over_solid_simd<S: Simd>(simd: S, dst: &mut [u32], colour: u32) {
    let source = S::u32s::splat(simd, colour);
    let lanes = S::u32s::LEN;
    let mut chunks = dst.chunks_exact_mut(lanes);
    for d in &mut chunks {
        over_vector(simd, S::u32s::from_slice(simd, d), source).store_slice(d);
    }
    over_solid_scalar(chunks.into_remainder(), colour);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{levels, premultiplied_row};

    proptest! {
        #[test]
        fn simd_equals_scalar(dst in premultiplied_row(80), src in premultiplied_row(80), skip in 0usize..9, opacity: u8, colour in premultiplied_row(1)) {
            let dst = dst.get(skip..).unwrap_or(&[]);
            let colour = colour.first().copied().unwrap_or(0x8040_2010);
            let (mut plain, mut faded, mut solid) = (dst.to_vec(), dst.to_vec(), dst.to_vec());
            over_scalar(&mut plain, &src);
            over_opacity_scalar(&mut faded, &src, opacity);
            over_solid_scalar(&mut solid, colour);
            for level in levels() {
                let mut got = dst.to_vec();
                over(level, &mut got, &src);
                prop_assert_eq!(&got, &plain);
                let mut got = dst.to_vec();
                over_opacity(level, &mut got, &src, opacity);
                prop_assert_eq!(&got, &faded);
                let opaque: Vec<u32> = src.iter().map(|pixel| pixel | 0xff00_0000).collect();
                let mut faded = dst.to_vec();
                over_opacity_scalar(&mut faded, &opaque, opacity);
                let mut got = dst.to_vec();
                fade(level, &mut got, &opaque, opacity);
                prop_assert_eq!(&got, &faded);
                let mut got = dst.to_vec();
                over_solid(level, &mut got, colour);
                prop_assert_eq!(&got, &solid);
            }
        }
    }

    #[test]
    fn a_product_is_rounded_exactly() {
        for value in 0..=255u32 {
            for factor in 0..=255u32 {
                let expected = (f64::from(value * factor) / 255.0).round() as u32;
                assert_eq!(
                    scale_pixel(value * 0x0101_0101, factor),
                    expected * 0x0101_0101
                );
            }
        }
    }
}
