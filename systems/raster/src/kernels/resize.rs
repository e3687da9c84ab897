//! Rows of a plane of bytes at another size: first rows are blended into one, then its pixels.
//!
//! What each pixel is made of is worked out once (`Taps`); the loops multiply and add integers, in an order that does not
//! matter. They are written plainly and compiled once for every level, where the compiler makes vectors of them.

use std::f64::consts::PI;

use fearless_simd::{Level, dispatch};

/// Weights of one blending of rows add up to this, so that a sum of bytes fits 16 bits.
pub const ROW_UNIT: i32 = 1 << 8;
/// Weights along a row add up to this.
pub const COLUMN_UNIT: i32 = 1 << 14;
/// A byte of 1 is 2^7 in the row between the two steps, and 2^7 * 2^14 before the last one.
const SHIFT: u32 = 7 + COLUMN_UNIT.ilog2();
/// Columns that are blended at a time.
const BLOCK: usize = 64;

/// Which pixels of a row (or column) each pixel of a resized one is made of, and how much of each.
#[derive(Clone, Debug, Default)]
pub struct Taps {
    /// Pixels that each is made of, the same for all.
    count: usize,
    /// The first of them.
    starts: Vec<u32>,
    /// `count` weights each.
    weights: Vec<i16>,
}

impl Taps {
    /// From `from` pixels to `to`, both at least 1; weights add up to `unit`, at most 2^14. Pixels keep their centres: the
    /// one at x is made of what lies around (x + 0.5) * from / to. Smaller rows are weighed by a Hamming-windowed sinc as wide
    /// as two pixels of the result (sharper than a triangle, and never negative, so that nothing rings), larger ones by a triangle.
    pub fn new(from: u32, to: u32, unit: i32) -> Self {
        let scale = f64::from(from.max(1)) / f64::from(to.max(1));
        let is_smaller = scale > 1.0;
        let support = scale.max(1.0);
        let filter = if is_smaller { hamming } else { triangle };
        let from = from.max(1) as usize;
        // Whole vectors where the row is long enough; the weights that are too many are 0.
        let needed = (2.0 * support).ceil() as usize + 1;
        let count = needed.next_multiple_of(4).min(from);
        let mut taps = Self {
            count,
            ..Self::default()
        };
        let mut exact = vec![0.0; count];
        for x in 0..to.max(1) {
            let centre = (f64::from(x) + 0.5) * scale;
            let first = (centre - support).floor().max(0.0) as usize;
            let start = first.min(from - count);
            for (index, weight) in exact.iter_mut().enumerate() {
                *weight = filter(((start + index) as f64 + 0.5 - centre) / support);
            }
            taps.starts.push(start as u32);
            round_into(&mut taps.weights, &exact, unit);
        }
        taps
    }

    /// The first pixel, and the weights from there on, for the one at `index`.
    pub fn at(&self, index: usize) -> (usize, &[i16]) {
        let weights = &self.weights[index * self.count..][..self.count];
        (self.starts[index] as usize, weights)
    }

    /// Pixels of the result.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

/// Whole numbers that are as the weights to each other and add up to `unit` exactly, so that a plain area stays as it is: all
/// are rounded down, and those that lost most are rounded up instead.
fn round_into(weights: &mut Vec<i16>, exact: &[f64], unit: i32) {
    let sum: f64 = exact.iter().sum();
    let scaled = |index: usize| exact[index] / sum * f64::from(unit);
    let begin = weights.len();
    weights.extend((0..exact.len()).map(|index| scaled(index).floor() as i16));
    let rounded = &mut weights[begin..];
    let missing = unit - rounded.iter().map(|&weight| i32::from(weight)).sum::<i32>();
    let mut by_loss: Vec<usize> = (0..exact.len()).collect();
    by_loss.sort_by(|&one, &other| scaled(other).fract().total_cmp(&scaled(one).fract()));
    for &index in by_loss.iter().take(missing.max(0) as usize) {
        rounded[index] += 1;
    }
}

fn hamming(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        0.0
    } else if x == 0.0 {
        1.0
    } else {
        let angle = PI * x;
        (0.54 + 0.46 * angle.cos()) * angle.sin() / angle
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// Blends the rows of `plane`, `stride` bytes apart and the first at its begin, into `out`, by weights that add up to [`ROW_UNIT`].
pub fn blend_rows(level: Level, plane: &[u8], stride: usize, weights: &[i16], out: &mut [i16]) {
    dispatch!(level, simd => {
        let _ = simd;
        blend_rows_any(plane, stride, weights, out);
    });
}

/// Scalar twin of [`blend_rows`].
pub fn blend_rows_scalar(plane: &[u8], stride: usize, weights: &[i16], out: &mut [i16]) {
    blend_rows_any(plane, stride, weights, out);
}

#[inline(always)]
fn blend_rows_any(plane: &[u8], stride: usize, weights: &[i16], out: &mut [i16]) {
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [0u16; BLOCK];
        for (row, &weight) in weights.iter().enumerate() {
            if weight == 0 {
                continue;
            }
            // Not negative, and 256 at most.
            let weight = weight as u16;
            let pixels = &plane[row * stride + block * BLOCK..];
            if let Some(pixels) = pixels.first_chunk::<BLOCK>() {
                for (sum, &pixel) in sums.iter_mut().zip(pixels) {
                    *sum = sum.wrapping_add(u16::from(pixel).wrapping_mul(weight));
                }
            } else {
                for (sum, &pixel) in sums.iter_mut().zip(pixels) {
                    *sum = sum.wrapping_add(u16::from(pixel).wrapping_mul(weight));
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> 1) as i16;
        }
    }
}

/// Makes a row of bytes from a blended one, by weights that add up to [`COLUMN_UNIT`].
pub fn resize_row(level: Level, row: &[i16], taps: &Taps, out: &mut [u8]) {
    dispatch!(level, simd => {
        let _ = simd;
        resize_row_any(row, taps, out);
    });
}

/// Scalar twin of [`resize_row`].
pub fn resize_row_scalar(row: &[i16], taps: &Taps, out: &mut [u8]) {
    resize_row_any(row, taps, out);
}

#[inline(always)]
fn resize_row_any(row: &[i16], taps: &Taps, out: &mut [u8]) {
    match taps.count {
        4 => resize_row_by::<4>(row, taps, out),
        8 => resize_row_by::<8>(row, taps, out),
        count => {
            let pixels = taps.starts.iter().zip(taps.weights.chunks_exact(count));
            for (out, (&start, weights)) in out.iter_mut().zip(pixels) {
                *out = weigh(&row[start as usize..], weights);
            }
        }
    }
}

#[inline(always)]
fn resize_row_by<const COUNT: usize>(row: &[i16], taps: &Taps, out: &mut [u8]) {
    let (weights, _) = taps.weights.as_chunks::<COUNT>();
    for ((out, &start), weights) in out.iter_mut().zip(&taps.starts).zip(weights) {
        if let Some(pixels) = row
            .get(start as usize..)
            .and_then(|rest| rest.first_chunk::<COUNT>())
        {
            *out = weigh(pixels, weights);
        }
    }
}

#[inline(always)]
fn weigh(pixels: &[i16], weights: &[i16]) -> u8 {
    let products = pixels
        .iter()
        .zip(weights)
        .map(|(&pixel, &weight)| i32::from(pixel).wrapping_mul(i32::from(weight)));
    let sum = products.fold(0, i32::wrapping_add);
    // Weights are not negative and add up to the unit: the sum is that of a byte, and nothing wraps.
    (sum.wrapping_add(1 << (SHIFT - 1)) >> SHIFT) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::levels;

    proptest! {
        #[test]
        fn simd_equals_scalar(
            pixels in proptest::collection::vec(any::<u8>(), 8..4000),
            rows in 1usize..9,
            to in 1u32..600,
        ) {
            let width = pixels.len() / rows.min(pixels.len() / 2);
            let height = (pixels.len() / width) as u32;
            let down = Taps::new(height, 1, ROW_UNIT);
            let (first, weights) = down.at(0);
            let plane = &pixels[first * width..];
            let mut expected = vec![0; width];
            blend_rows_scalar(plane, width, weights, &mut expected);
            let across = Taps::new(width as u32, to, COLUMN_UNIT);
            let mut row = vec![0; to as usize];
            resize_row_scalar(&expected, &across, &mut row);
            for level in levels() {
                let mut blended = vec![0; width];
                blend_rows(level, plane, width, weights, &mut blended);
                prop_assert_eq!(&blended, &expected);
                let mut resized = vec![0; to as usize];
                resize_row(level, &blended, &across, &mut resized);
                prop_assert_eq!(&resized, &row);
            }
        }

        #[test]
        fn weights_are_not_negative_and_add_up(from in 1u32..5000, to in 1u32..3000) {
            for unit in [ROW_UNIT, COLUMN_UNIT] {
                let taps = Taps::new(from, to, unit);
                for index in 0..taps.len() {
                    let (start, weights) = taps.at(index);
                    prop_assert!(start + weights.len() <= from as usize);
                    prop_assert!(weights.iter().all(|weight| *weight >= 0));
                    prop_assert_eq!(weights.iter().map(|&weight| i32::from(weight)).sum::<i32>(), unit);
                }
            }
        }
    }
}
