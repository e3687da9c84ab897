//! Sampling between pixels: the fixed weights of a shifted picture, and the varying ones of a scaled or turned picture.
//!
//! Weights are in 256ths. A sample is blended along y first, then along x, each step rounded to a byte; a colour never
//! exceeds its alpha, because both go through the same weights.

use fearless_simd::{Level, dispatch, prelude::*};

use super::for_vectors;

/// Writes `a * (256 - weight) / 256 + b * weight / 256` into `dst`.
pub fn mix_rows(level: Level, dst: &mut [u32], a: &[u32], b: &[u32], weight: u8) {
    dispatch!(level, simd => mix_rows_simd(simd, dst, a, b, weight));
}

/// Scalar twin of [`mix_rows`].
pub fn mix_rows_scalar(dst: &mut [u32], a: &[u32], b: &[u32], weight: u8) {
    for ((d, &a), &b) in dst.iter_mut().zip(a).zip(b) {
        *d = mix_pixels(a, b, u32::from(weight));
    }
}

/// `a` at weight 0, towards `b` at weight 256.
#[inline(always)]
pub const fn mix_pixels(a: u32, b: u32, weight: u32) -> u32 {
    let keep = 256 - weight;
    let rb = (a & 0x00ff_00ff).wrapping_mul(keep).wrapping_add((b & 0x00ff_00ff).wrapping_mul(weight)).wrapping_add(0x0080_0080);
    let ga = ((a >> 8) & 0x00ff_00ff).wrapping_mul(keep).wrapping_add(((b >> 8) & 0x00ff_00ff).wrapping_mul(weight)).wrapping_add(0x0080_0080);
    ((rb >> 8) & 0x00ff_00ff) | (ga & 0xff00_ff00)
}

/// A picture to sample, and where a row of samples lies in it. Positions are texel indices with 32 fractional bits.
pub struct SampleRow<'a> {
    /// The pixels, rows tightly packed.
    pub pixels: &'a [u32],
    /// Pixels in a row, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
    /// Position of the first sample.
    pub start: [i64; 2],
    /// From one sample to the next.
    pub step: [i64; 2],
}

/// Fills `dst` with bilinear samples; beyond its edge the picture repeats its outermost pixels.
pub fn sample_row(level: Level, dst: &mut [u32], row: &SampleRow<'_>) {
    if row.step[1] == 0 {
        dispatch!(level, _simd => sample_level_row(dst, row));
    } else {
        dispatch!(level, _simd => sample_row_scalar(dst, row));
    }
}

/// Scalar twin of [`sample_row`], and its body for rows that climb.
#[inline(always)]
pub fn sample_row_scalar(dst: &mut [u32], row: &SampleRow<'_>) {
    let [mut u, mut v] = row.start;
    for d in dst {
        *d = sample(row, u, v);
        u = u.wrapping_add(row.step[0]);
        v = v.wrapping_add(row.step[1]);
    }
}

/// All samples lie between the same two picture rows, so those are looked up once.
#[inline(always)]
fn sample_level_row(dst: &mut [u32], row: &SampleRow<'_>) {
    let (y0, y1, weight_y) = texels(row.start[1], row.height);
    let upper = &row.pixels[y0 * row.width..][..row.width];
    let lower = &row.pixels[y1 * row.width..][..row.width];
    let mut u = row.start[0];
    for d in dst {
        let (x0, x1, weight_x) = texels(u, row.width);
        let left = mix_pixels(upper[x0], lower[x0], weight_y);
        let right = mix_pixels(upper[x1], lower[x1], weight_y);
        *d = mix_pixels(left, right, weight_x);
        u = u.wrapping_add(row.step[0]);
    }
}

#[inline(always)]
fn sample(row: &SampleRow<'_>, u: i64, v: i64) -> u32 {
    let (x0, x1, weight_x) = texels(u, row.width);
    let (y0, y1, weight_y) = texels(v, row.height);
    let (upper, lower) = (y0 * row.width, y1 * row.width);
    let left = mix_pixels(row.pixels[upper + x0], row.pixels[lower + x0], weight_y);
    let right = mix_pixels(row.pixels[upper + x1], row.pixels[lower + x1], weight_y);
    mix_pixels(left, right, weight_x)
}

/// The two neighbours of a position, kept inside `0..len`, and the weight of the second in 256ths.
#[inline(always)]
fn texels(position: i64, len: usize) -> (usize, usize, u32) {
    let last = len as i64 - 1;
    let index = position >> 32;
    let weight = ((position >> 24) & 255) as u32;
    (index.clamp(0, last) as usize, (index + 1).clamp(0, last) as usize, weight)
}

#[inline(always)]
fn mix_rows_simd<S: Simd>(simd: S, dst: &mut [u32], a: &[u32], b: &[u32], weight: u8) {
    let keep = S::u16s::splat(simd, 256 - u16::from(weight));
    let gain = S::u16s::splat(simd, u16::from(weight));
    let half = S::u16s::splat(simd, 128);
    let low = S::u16s::splat(simd, 255);
    let mix = |a: S::u32s, b: S::u32s| -> S::u32s {
        let (a, b): (S::u16s, S::u16s) = (a.bitcast(), b.bitcast());
        let rb = ((a & low) * keep + (b & low) * gain + half) >> 8;
        let ga = ((a >> 8) * keep + (b >> 8) * gain + half) & S::u16s::splat(simd, 0xff00);
        (rb | ga).bitcast()
    };
    let lanes = S::u32s::LEN;
    let len = dst.len().min(a.len()).min(b.len());
    let whole = len - len % lanes;
    let rows = dst[..whole].chunks_exact_mut(lanes).zip(a[..whole].chunks_exact(lanes)).zip(b[..whole].chunks_exact(lanes));
    for ((d, a), b) in rows {
        mix(S::u32s::from_slice(simd, a), S::u32s::from_slice(simd, b)).store_slice(d);
    }
    // The tail carries `a` in the place of the destination, which it replaces.
    let tail = &mut dst[whole..len];
    tail.copy_from_slice(&a[whole..len]);
    for_vectors!(lanes, tail, b[whole..len], |d, s| {
        mix(S::u32s::from_slice(simd, d), S::u32s::from_slice(simd, s)).store_slice(d);
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{levels, premultiplied_row};

    proptest! {
        #[test]
        fn simd_equals_scalar(a in premultiplied_row(70), b in premultiplied_row(70), weight: u8) {
            let mut expected = vec![0; 70];
            mix_rows_scalar(&mut expected, &a, &b, weight);
            for level in levels() {
                let mut got = vec![0; 70];
                mix_rows(level, &mut got, &a, &b, weight);
                prop_assert_eq!(&got, &expected);
            }
        }

        #[test]
        fn sampling_is_the_same_on_every_level(
            pixels in proptest::collection::vec(any::<u32>(), 63), u in -(4i64 << 32)..(12i64 << 32), v in -(4i64 << 32)..(12i64 << 32),
            du in -(2i64 << 32)..(2i64 << 32), dv in prop_oneof![Just(0i64), -(2i64 << 32)..(2i64 << 32)],
        ) {
            let row = SampleRow { pixels: &pixels, width: 9, height: 7, start: [u, v], step: [du, dv] };
            let mut expected = vec![0; 33];
            sample_row_scalar(&mut expected, &row);
            for level in levels() {
                let mut got = vec![0; 33];
                sample_row(level, &mut got, &row);
                prop_assert_eq!(&got, &expected);
            }
        }
    }
}
