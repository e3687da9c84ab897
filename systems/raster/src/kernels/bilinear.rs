//! Sampling between pixels: the fixed weights of a shifted picture, and the varying ones of a scaled or turned picture.
//!
//! Weights are in 256ths. A sample is blended along y first, then along x, each step rounded to a byte; a colour never
//! exceeds its alpha, because both go through the same weights.

use fearless_simd::{Level, dispatch, prelude::*};

use super::{LANES_MAX, for_vectors};

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
    let rb = (a & 0x00ff_00ff)
        .wrapping_mul(keep)
        .wrapping_add((b & 0x00ff_00ff).wrapping_mul(weight))
        .wrapping_add(0x0080_0080);
    let ga = ((a >> 8) & 0x00ff_00ff)
        .wrapping_mul(keep)
        .wrapping_add(((b >> 8) & 0x00ff_00ff).wrapping_mul(weight))
        .wrapping_add(0x0080_0080);
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
    dispatch!(level, simd => sample_row_simd(simd, dst, row));
}

/// Scalar twin of [`sample_row`].
pub fn sample_row_scalar(dst: &mut [u32], row: &SampleRow<'_>) {
    let [mut u, mut v] = row.start;
    for d in dst {
        let (x0, x1, weight_x) = texels(u, row.width);
        let (y0, y1, weight_y) = texels(v, row.height);
        let (upper, lower) = (y0 * row.width, y1 * row.width);
        let left = mix_pixels(row.pixels[upper + x0], row.pixels[lower + x0], weight_y);
        let right = mix_pixels(row.pixels[upper + x1], row.pixels[lower + x1], weight_y);
        *d = mix_pixels(left, right, weight_x);
        u = u.wrapping_add(row.step[0]);
        v = v.wrapping_add(row.step[1]);
    }
}

/// The two neighbours of a position, kept inside `0..len`, and the weight of the second in 256ths.
#[inline(always)]
fn texels(position: i64, len: usize) -> (usize, usize, u32) {
    let last = len as i64 - 1;
    let index = position >> 32;
    let weight = ((position >> 24) & 255) as u32;
    (
        index.clamp(0, last) as usize,
        (index + 1).clamp(0, last) as usize,
        weight,
    )
}

/// Looks pixels up one by one, into vectors that are then mixed at once.
#[inline(always)]
fn sample_row_simd<S: Simd>(simd: S, dst: &mut [u32], row: &SampleRow<'_>) {
    let lanes = S::u32s::LEN;
    let [mut u, mut v] = row.start;
    let mut taps = [[0u32; LANES_MAX]; 4];
    let mut weights = [[0u32; LANES_MAX]; 2];
    for chunk in dst.chunks_mut(lanes) {
        for lane in 0..chunk.len() {
            let (x0, x1, weight_x) = texels(u, row.width);
            let (y0, y1, weight_y) = texels(v, row.height);
            let (upper, lower) = (y0 * row.width, y1 * row.width);
            taps[0][lane] = row.pixels[upper + x0];
            taps[1][lane] = row.pixels[upper + x1];
            taps[2][lane] = row.pixels[lower + x0];
            taps[3][lane] = row.pixels[lower + x1];
            // Both halves of a pixel get the weight.
            weights[0][lane] = weight_x * 0x0001_0001;
            weights[1][lane] = weight_y * 0x0001_0001;
            u = u.wrapping_add(row.step[0]);
            v = v.wrapping_add(row.step[1]);
        }
        let load = [
            S::u32s::from_slice(simd, &taps[0][..lanes]),
            S::u32s::from_slice(simd, &taps[1][..lanes]),
        ];
        let below = [
            S::u32s::from_slice(simd, &taps[2][..lanes]),
            S::u32s::from_slice(simd, &taps[3][..lanes]),
        ];
        let along_x: S::u16s = S::u32s::from_slice(simd, &weights[0][..lanes]).bitcast();
        let along_y: S::u16s = S::u32s::from_slice(simd, &weights[1][..lanes]).bitcast();
        let left = mix_vectors(simd, load[0], below[0], along_y);
        let right = mix_vectors(simd, load[1], below[1], along_y);
        let mixed = mix_vectors(simd, left, right, along_x);
        if chunk.len() == lanes {
            mixed.store_slice(chunk);
        } else {
            mixed.store_slice(&mut taps[0][..lanes]);
            chunk.copy_from_slice(&taps[0][..chunk.len()]);
        }
    }
}

/// `a` at weight 0, towards `b` at weight 256. Not a closure of its callers: those would lose the instruction set.
#[inline(always)]
fn mix_vectors<S: Simd>(simd: S, a: S::u32s, b: S::u32s, weight: S::u16s) -> S::u32s {
    let keep = S::u16s::splat(simd, 256) - weight;
    let half = S::u16s::splat(simd, 128);
    let low = S::u16s::splat(simd, 255);
    let (a, b): (S::u16s, S::u16s) = (a.bitcast(), b.bitcast());
    let rb = ((a & low) * keep + (b & low) * weight + half) >> 8;
    let ga = ((a >> 8) * keep + (b >> 8) * weight + half) & S::u16s::splat(simd, 0xff00);
    (rb | ga).bitcast()
}

#[inline(always)]
fn mix_rows_simd<S: Simd>(simd: S, dst: &mut [u32], a: &[u32], b: &[u32], weight: u8) {
    let weight = S::u16s::splat(simd, u16::from(weight));
    let lanes = S::u32s::LEN;
    let len = dst.len().min(a.len()).min(b.len());
    let whole = len - len % lanes;
    let rows = dst[..whole]
        .chunks_exact_mut(lanes)
        .zip(a[..whole].chunks_exact(lanes))
        .zip(b[..whole].chunks_exact(lanes));
    for ((d, a), b) in rows {
        mix_vectors(
            simd,
            S::u32s::from_slice(simd, a),
            S::u32s::from_slice(simd, b),
            weight,
        )
        .store_slice(d);
    }
    // The tail carries `a` in the place of the destination, which it replaces.
    let tail = &mut dst[whole..len];
    tail.copy_from_slice(&a[whole..len]);
    for_vectors!(lanes, tail, b[whole..len], |d, s| {
        mix_vectors(
            simd,
            S::u32s::from_slice(simd, d),
            S::u32s::from_slice(simd, s),
            weight,
        )
        .store_slice(d);
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
