//! Decoded planes to RGBA: BT.709, limited range; the way back from [`convert`](super::convert).
//!
//! The coefficients are the inverse of those of ITU-R BT.709-6, section 3, in 13-bit fixed point: a channel is the rounded real value
//! to within a tenth. What lies outside of RGB is clamped to it.

use fearless_simd::{Level, dispatch, i16x32, i32x16, prelude::*, u32x16};

const BITS: u32 = 13;
const Y: i32 = 9539;
const R_V: i32 = 14686;
const G_U: i32 = -1747;
const G_V: i32 = -4366;
const B_U: i32 = 17305;
const HALF: i32 = 1 << (BITS - 1);
const R_BIAS: i32 = HALF - 16 * Y - 128 * R_V;
const G_BIAS: i32 = HALF - 16 * Y - 128 * (G_U + G_V);
const B_BIAS: i32 = HALF - 16 * Y - 128 * B_U;

/// Pixels of a block.
const BLOCK: usize = 16;

/// Converts a row of luma, with a sample of each chroma for every pixel, to opaque pixels.
pub fn planes_row(level: Level, out: &mut [u32], y: &[u8], u: &[u8], v: &[u8]) {
    dispatch!(level, simd => planes_row_simd(simd, out, y, u, v));
}

/// Scalar twin of [`planes_row`].
pub fn planes_row_scalar(out: &mut [u32], y: &[u8], u: &[u8], v: &[u8]) {
    for (((out, &y), &u), &v) in out.iter_mut().zip(y).zip(u).zip(v) {
        let (y, u, v) = (i32::from(y) * Y, i32::from(u), i32::from(v));
        let channel = |sum: i32| (sum >> BITS).clamp(0, 255) as u8;
        let r = channel(y + v * R_V + R_BIAS);
        let g = channel(y + u * G_U + v * G_V + G_BIAS);
        let b = channel(y + u * B_U + B_BIAS);
        *out = u32::from_le_bytes([r, g, b, 255]);
    }
}

/// Gives every pixel of a row the chroma sample that it shares with its neighbour; `odd` when the row starts at the second of two.
pub fn double_row(out: &mut [u8], chroma: &[u8], odd: bool) {
    let (first, pairs) = out.split_at_mut(usize::from(odd).min(out.len()));
    let (alone, shared) = chroma.split_at(first.len().min(chroma.len()));
    first.copy_from_slice(alone);
    let (whole, last) = pairs.as_chunks_mut::<2>();
    let rest = shared.get(whole.len()..).unwrap_or_default();
    for (pair, &sample) in whole.iter_mut().zip(shared) {
        *pair = [sample; 2];
    }
    for (out, &sample) in last.iter_mut().zip(rest) {
        *out = sample;
    }
}

/// Two 16-bit coefficients for the low and the high half of each lane.
#[inline(always)]
fn coefficients<S: Simd>(simd: S, low: i32, high: i32) -> i16x32<S> {
    u32x16::splat(simd, (low as u32 & 0xffff) | ((high as u32) << 16)).bitcast()
}

/// A byte from a sum; not a closure of its caller, which would lose the instruction set.
#[inline(always)]
fn channel<S: Simd>(simd: S, sum: i32x16<S>) -> u32x16<S> {
    let (low, high) = (i32x16::splat(simd, 0), i32x16::splat(simd, 255));
    (sum >> BITS).max(low).min(high).bitcast()
}

#[inline(always)]
fn planes_row_simd<S: Simd>(simd: S, out: &mut [u32], y: &[u8], u: &[u8], v: &[u8]) {
    let len = out.len().min(y.len()).min(u.len()).min(v.len());
    let whole = len - len % BLOCK;
    let with_v = coefficients(simd, Y, R_V);
    let with_u = coefficients(simd, Y, B_U);
    let green_u = coefficients(simd, Y, G_U);
    let green_v = coefficients(simd, 0, G_V);
    let (r_bias, g_bias, b_bias) = (
        i32x16::splat(simd, R_BIAS),
        i32x16::splat(simd, G_BIAS),
        i32x16::splat(simd, B_BIAS),
    );
    let opaque = u32x16::splat(simd, 0xff00_0000);
    let samples = y[..whole]
        .chunks_exact(BLOCK)
        .zip(u[..whole].chunks_exact(BLOCK))
        .zip(v[..whole].chunks_exact(BLOCK));
    for (out, ((y, u), v)) in out[..whole].chunks_exact_mut(BLOCK).zip(samples) {
        let (mut with_red, mut with_blue) = ([0u32; BLOCK], [0u32; BLOCK]);
        for lane in 0..BLOCK {
            with_red[lane] = u32::from(y[lane]) | u32::from(v[lane]) << 16;
            with_blue[lane] = u32::from(y[lane]) | u32::from(u[lane]) << 16;
        }
        let yv: i16x32<S> = u32x16::from_slice(simd, &with_red).bitcast();
        let yu: i16x32<S> = u32x16::from_slice(simd, &with_blue).bitcast();
        let r = channel(simd, yv.pairwise_dot_product(with_v) + r_bias);
        let b = channel(simd, yu.pairwise_dot_product(with_u) + b_bias);
        let green = yu.pairwise_dot_product(green_u) + yv.pairwise_dot_product(green_v);
        let g = channel(simd, green + g_bias);
        (r | (g << 8) | (b << 16) | opaque).store_slice(out);
    }
    planes_row_scalar(
        &mut out[whole..len],
        &y[whole..len],
        &u[whole..len],
        &v[whole..len],
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{kernels::convert::convert_rows_scalar, testing::levels};

    /// The inverse of BT.709 limited range in floats.
    fn reference(y: u8, u: u8, v: u8) -> [f64; 3] {
        let y = (f64::from(y) - 16.0) / 219.0 * 255.0;
        let (pb, pr) = (
            (f64::from(u) - 128.0) / 224.0 * 255.0,
            (f64::from(v) - 128.0) / 224.0 * 255.0,
        );
        let (r, b) = (y + 1.5748 * pr, y + 1.8556 * pb);
        [r, (y - 0.2126 * r - 0.0722 * b) / 0.7152, b]
    }

    proptest! {
        #[test]
        fn simd_equals_scalar_and_both_are_near_the_reference(
            samples in proptest::collection::vec(any::<[u8; 3]>(), 0..300),
        ) {
            let plane = |index: usize| samples.iter().map(|sample| sample[index]).collect::<Vec<_>>();
            let (y, u, v) = (plane(0), plane(1), plane(2));
            let mut expected = vec![0; samples.len()];
            planes_row_scalar(&mut expected, &y, &u, &v);
            for level in levels() {
                let mut out = vec![0; samples.len()];
                planes_row(level, &mut out, &y, &u, &v);
                prop_assert_eq!(&out, &expected);
            }
            for ([y, u, v], pixel) in samples.iter().zip(&expected) {
                let bytes = pixel.to_le_bytes();
                for (real, byte) in reference(*y, *u, *v).into_iter().zip(bytes) {
                    prop_assert!((real.clamp(0.0, 255.0) - f64::from(byte)).abs() <= 0.6);
                }
                prop_assert_eq!(bytes[3], 255);
            }
        }

        /// What was converted from RGB comes back to the same planes, but for what one step of a channel can do.
        #[test]
        fn there_and_back_again(colour: [u8; 3]) {
            let pixel = u32::from_le_bytes([colour[0], colour[1], colour[2], 255]);
            let there = |pixel: u32| {
                let (mut a, mut b, mut u, mut v) = ([0; 2], [0; 2], [0; 1], [0; 1]);
                let row: &[u32] = &[pixel; 2];
                convert_rows_scalar([row, row], [&mut a, &mut b], &mut u, &mut v);
                [a[0], u[0], v[0]]
            };
            let first = there(pixel);
            let mut back = [0];
            planes_row_scalar(&mut back, &[first[0]], &[first[1]], &[first[2]]);
            for (a, b) in first.into_iter().zip(there(back[0])) {
                prop_assert!(a.abs_diff(b) <= 1, "{:?} {:?}", first, there(back[0]));
            }
        }
    }

    #[test]
    fn chroma_is_shared_by_pairs_from_either_start() {
        let mut row = [0; 5];
        double_row(&mut row, &[1, 2, 3], false);
        assert_eq!(row, [1, 1, 2, 2, 3]);
        double_row(&mut row, &[1, 2, 3], true);
        assert_eq!(row, [1, 2, 2, 3, 3]);
    }
}
