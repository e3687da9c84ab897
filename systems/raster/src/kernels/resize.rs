//! Rows of a plane of bytes at another size: first the pixels of each row, then rows into one.
//!
//! What each pixel is made of is worked out once (`Taps`, and `Blocks` of eight pixels of a row whose sources lie near each other);
//! the loops multiply and add integers, in an order that does not matter. Between the two steps a byte has 8 fractional bits.

use std::f64::consts::PI;

use fearless_simd::{Level, dispatch, prelude::*, u8x16, u16x16};

/// Weights along a row add up to this, so that a sum of bytes fits 16 bits.
pub const COLUMN_UNIT: u32 = 1 << 8;
/// Weights of one blending of rows add up to this, and the upper half of a product counts. A weight of all of it is one less.
pub const ROW_UNIT: u32 = 1 << 16;
/// Columns that are blended at a time.
const BLOCK: usize = 32;
/// Places of a vector of half words.
const VECTOR: usize = 8;
/// Bytes that a block looks at.
const WINDOW: usize = 16;

/// Which pixels of a row (or column) each pixel of a resized one is made of, and how much of each.
#[derive(Clone, Debug, Default)]
pub struct Taps {
    /// Pixels that each is made of, the same for all.
    count: usize,
    /// The first of them.
    starts: Vec<u32>,
    /// `count` weights each.
    weights: Vec<u16>,
}

impl Taps {
    /// From `from` pixels to `to`, both at least 1, of which one of the result is as wide as `scale` of the source (above 0; their quotient
    /// but for planes whose last pixel is half one). Weights add up to `unit`, at most 2^16. Pixels keep their centres: the
    /// one at x is made of what lies around (x + 0.5) * scale. Smaller rows are weighed by a Hamming-windowed sinc as wide
    /// as two pixels of the result (sharper than a triangle, and never negative, so that nothing rings), larger ones by a triangle.
    pub fn new(from: u32, to: u32, scale: f64, unit: u32) -> Self {
        let is_smaller = scale > 1.0;
        let support = scale.max(1.0);
        let filter = if is_smaller { hamming } else { triangle };
        let from = from.max(1) as usize;
        // Pixels whose centres the filter may reach.
        let count = ((2.0 * support).ceil() as usize).min(from);
        let mut taps = Self {
            count,
            ..Self::default()
        };
        let mut exact = vec![0.0; count];
        for x in 0..to.max(1) {
            let centre = (f64::from(x) + 0.5) * scale;
            // The first pixel whose centre the filter reaches.
            let first = (centre - support + 0.5).floor().max(0.0) as usize;
            let start = first.min(from - count);
            for (index, weight) in exact.iter_mut().enumerate() {
                *weight = filter(((start + index) as f64 + 0.5 - centre) / support);
            }
            // Beyond the last pixel there is no other.
            if exact.iter().all(|weight| *weight <= 0.0) {
                exact[count - 1] = 1.0;
            }
            taps.starts.push(start as u32);
            round_into(&mut taps.weights, &exact, unit);
        }
        taps.drop_zeros();
        taps
    }

    /// Leaves out last taps that weigh nothing for any pixel.
    fn drop_zeros(&mut self) {
        let weighs = |tap: usize| {
            self.weights
                .iter()
                .skip(tap)
                .step_by(self.count)
                .any(|&weight| weight > 0)
        };
        let needed = (1..=self.count)
            .rev()
            .find(|&count| weighs(count - 1))
            .unwrap_or(1);
        let weights = self
            .weights
            .chunks_exact(self.count)
            .flat_map(|weights| &weights[..needed]);
        self.weights = weights.copied().collect();
        self.count = needed;
    }

    /// The first pixel, and the weights from there on, for the one at `index`.
    pub fn at(&self, index: usize) -> (usize, &[u16]) {
        let weights = &self.weights[index * self.count..][..self.count];
        (self.starts[index] as usize, weights)
    }

    /// Pixels of the result.
    pub fn made(&self) -> usize {
        self.starts.len()
    }

    /// Pixels that each is made of.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Whole numbers that are as the weights to each other and add up to `unit` exactly, so that a plain area stays as it is: all
/// are rounded down, and those that lost most are rounded up instead.
fn round_into(weights: &mut Vec<u16>, exact: &[f64], unit: u32) {
    let sum: f64 = exact.iter().sum();
    let scaled = |index: usize| exact[index] / sum * f64::from(unit);
    let mut rounded: Vec<u32> = (0..exact.len())
        .map(|index| scaled(index).floor() as u32)
        .collect();
    let missing = unit - rounded.iter().sum::<u32>();
    let mut by_loss: Vec<usize> = (0..exact.len()).collect();
    by_loss.sort_by(|&one, &other| scaled(other).fract().total_cmp(&scaled(one).fract()));
    for &index in by_loss.iter().take(missing as usize) {
        rounded[index] += 1;
    }
    weights.extend(
        rounded
            .iter()
            .map(|&weight| u16::try_from(weight).unwrap_or(u16::MAX)),
    );
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

/// How the pixels of a row are made, in blocks whose sources lie near each other.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    taps: Taps,
    /// Pixels of the source.
    from: usize,
    /// Pixels of a block, 8, 4 or 2.
    lanes: usize,
    /// Windows of a block. Those of two blocks are looked at together.
    steps: usize,
    blocks: Vec<[Block; 2]>,
    /// For each window of two blocks the weights of what it gives.
    weights: Vec<StepWeights>,
}

/// Pixels that take two taps each from one window of bytes, and as many more from each window further on. Where a block has fewer
/// pixels than a vector has places, its pixels stand there more than once, each time for the next two taps.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// Where the first window begins.
    base: u32,
    /// Which byte of the window is where; those in even places weigh by `even`, their neighbours by `odd`.
    bytes: [u8; WINDOW],
}

/// Weights of the bytes in even places of two windows, and of those in odd ones.
#[derive(Clone, Copy, Debug, Default)]
struct StepWeights {
    even: [u16; WINDOW],
    odd: [u16; WINDOW],
}

impl Columns {
    /// Of rows of `from` pixels, as long as `taps` reach at most; weights add up to [`COLUMN_UNIT`].
    pub fn new(taps: Taps, from: u32) -> Self {
        let mut columns = Self {
            from: from as usize,
            ..Self::default()
        };
        // What is left over (a source shorter than its windows, one many times as wide as the result) is made pixel by pixel.
        let is_built = [8, 4, 2]
            .into_iter()
            .any(|lanes| columns.build(&taps, lanes));
        if !is_built {
            (columns.blocks, columns.weights) = (Vec::new(), Vec::new());
        }
        columns.taps = taps;
        columns
    }

    /// Whether windows hold what `lanes` pixels take from them.
    fn build(&mut self, taps: &Taps, lanes: usize) -> bool {
        let per_step = 2 * VECTOR / lanes;
        (self.lanes, self.steps) = (lanes, taps.count.div_ceil(per_step));
        (self.blocks, self.weights) = (Vec::new(), Vec::new());
        let reach = WINDOW + per_step * self.steps.saturating_sub(1);
        let Some(base_max) = self.from.checked_sub(reach) else {
            return false;
        };
        for (index, starts) in taps.starts.chunks_exact(2 * lanes).enumerate() {
            let (mut blocks, mut shifts) = ([Block::default(); 2], [0; WINDOW]);
            let shifts_of = shifts.chunks_exact_mut(VECTOR);
            for ((block, starts), shifts) in blocks
                .iter_mut()
                .zip(starts.chunks_exact(lanes))
                .zip(shifts_of)
            {
                let base = (starts[0] as usize).min(base_max);
                block.base = base as u32;
                let places = block.bytes.chunks_exact_mut(2).zip(shifts).enumerate();
                for (place, (bytes, shift)) in places {
                    let wanted = starts[place % lanes] as usize - base;
                    // At the end of the row a pixel looks a little further back, and what it has no tap for weighs nothing.
                    let first = wanted.min(WINDOW - per_step);
                    *shift = wanted - first;
                    if taps.count + *shift > per_step * self.steps {
                        return false;
                    }
                    let byte = (first + place / lanes * 2) as u8;
                    bytes.copy_from_slice(&[byte, byte + 1]);
                }
            }
            self.blocks.push(blocks);
            for step in 0..self.steps {
                let weight = |place: usize, odd: usize| {
                    let lane = place % VECTOR;
                    let pixel = (2 * index + place / VECTOR) * lanes + lane % lanes;
                    let tap = step * per_step + lane / lanes * 2 + odd;
                    let tap = tap.checked_sub(shifts[place]);
                    tap.and_then(|tap| taps.at(pixel).1.get(tap).copied())
                        .unwrap_or(0)
                };
                self.weights.push(StepWeights {
                    even: std::array::from_fn(|place| weight(place, 0)),
                    odd: std::array::from_fn(|place| weight(place, 1)),
                });
            }
        }
        true
    }

    /// Pixels of the source.
    pub fn from(&self) -> usize {
        self.from
    }

    /// Pixels of the result.
    pub fn made(&self) -> usize {
        self.taps.made()
    }
}

/// Makes a row of bytes with 8 fractional bits from one of bytes.
pub fn resize_row(level: Level, row: &[u8], columns: &Columns, out: &mut [u16]) {
    dispatch!(level, simd => resize_row_simd(simd, row, columns, out));
}

/// Scalar twin of [`resize_row`].
#[cfg(test)]
pub fn resize_row_scalar(row: &[u8], taps: &Taps, out: &mut [u16]) {
    resize_rest(row, taps, 0, out);
}

#[inline(always)]
fn resize_row_simd<S: Simd>(simd: S, row: &[u8], columns: &Columns, out: &mut [u16]) {
    match (columns.lanes, columns.steps) {
        (8, 1) => resize_blocks::<S, 8, 1>(simd, row, columns, out),
        (8, 2) => resize_blocks::<S, 8, 2>(simd, row, columns, out),
        (8, _) => resize_blocks_any::<S, 8>(simd, row, columns, out),
        (4, 1) => resize_blocks::<S, 4, 1>(simd, row, columns, out),
        (4, 2) => resize_blocks::<S, 4, 2>(simd, row, columns, out),
        (4, _) => resize_blocks_any::<S, 4>(simd, row, columns, out),
        (2, _) => resize_blocks_any::<S, 2>(simd, row, columns, out),
        _ => {}
    }
    let made = columns.blocks.len() * columns.lanes * 2;
    resize_rest(row, &columns.taps, made, out);
}

#[inline(always)]
fn resize_blocks<S: Simd, const LANES: usize, const STEPS: usize>(
    simd: S,
    row: &[u8],
    columns: &Columns,
    out: &mut [u16],
) {
    let (weights, _) = columns.weights.as_chunks::<STEPS>();
    let out = out.chunks_exact_mut(2 * LANES);
    for ((blocks, weights), out) in columns.blocks.iter().zip(weights).zip(out) {
        resize_block::<S, LANES>(simd, row, blocks, weights, out);
    }
}

#[inline(always)]
fn resize_blocks_any<S: Simd, const LANES: usize>(
    simd: S,
    row: &[u8],
    columns: &Columns,
    out: &mut [u16],
) {
    let weights = columns.weights.chunks_exact(columns.steps.max(1));
    let out = out.chunks_exact_mut(2 * LANES);
    for ((blocks, weights), out) in columns.blocks.iter().zip(weights).zip(out) {
        resize_block::<S, LANES>(simd, row, blocks, weights, out);
    }
}

#[inline(always)]
fn resize_block<S: Simd, const LANES: usize>(
    simd: S,
    row: &[u8],
    [one, other]: &[Block; 2],
    weights: &[StepWeights],
    out: &mut [u16],
) {
    let reach = WINDOW + 2 * VECTOR / LANES * (weights.len() - 1);
    let windows = |block: &Block| row.get(block.base as usize..block.base as usize + reach);
    let (Some(ones), Some(others)) = (windows(one), windows(other)) else {
        return;
    };
    let bytes = u8x16::from_slice(simd, &one.bytes).combine(u8x16::from_slice(simd, &other.bytes));
    let low = u16x16::splat(simd, 0xff);
    let mut sum = u16x16::splat(simd, 0);
    for (step, weights) in weights.iter().enumerate() {
        let from = step * 2 * VECTOR / LANES;
        let window = |row: &[u8]| u8x16::from_slice(simd, &row[from..from + WINDOW]);
        let pixels = window(ones).combine(window(others));
        let pixels: u16x16<S> = simd
            .swizzle_dyn_within_blocks_u8x32(pixels, bytes)
            .bitcast();
        sum += (pixels & low) * u16x16::from_slice(simd, &weights.even);
        sum += (pixels >> 8) * u16x16::from_slice(simd, &weights.odd);
    }
    if LANES == VECTOR {
        sum.store_slice(out);
        return;
    }
    // The same pixels in more than one place.
    let mut places = [0u16; WINDOW];
    sum.store_slice(&mut places);
    for (out, places) in out.chunks_exact_mut(LANES).zip(places.chunks_exact(VECTOR)) {
        for (pixel, out) in out.iter_mut().enumerate() {
            let places = places.iter().skip(pixel).step_by(LANES);
            *out = places.fold(0, |sum: u16, &part| sum.wrapping_add(part));
        }
    }
}

/// The pixels from `first` on, one at a time.
#[inline(always)]
fn resize_rest(row: &[u8], taps: &Taps, first: usize, out: &mut [u16]) {
    for (index, out) in out.iter_mut().enumerate().take(taps.made()).skip(first) {
        let (start, weights) = taps.at(index);
        let products = row[start..].iter().zip(weights);
        // Weights add up to 256 and no sum is above 255 times that.
        *out = products.fold(0, |sum: u16, (&pixel, &weight)| {
            sum.wrapping_add(u16::from(pixel).wrapping_mul(weight))
        });
    }
}

/// Blends rows with 8 fractional bits, which lie one after the other in `rows`, into one of bytes, by weights that add up to [`ROW_UNIT`].
pub fn blend_rows(level: Level, rows: &[u16], weights: &[u16], out: &mut [u8]) {
    dispatch!(level, simd => {
        let _ = simd;
        match weights {
            [one, other] => blend_some([*one, *other], rows, out),
            [a, b, c] => blend_some([*a, *b, *c], rows, out),
            [a, b, c, d] => blend_some([*a, *b, *c, *d], rows, out),
            [a, b, c, d, e, f] => blend_some([*a, *b, *c, *d, *e, *f], rows, out),
            _ => blend_many(rows, weights, out),
        }
    });
}

/// Scalar twin of [`blend_rows`].
#[cfg(test)]
pub fn blend_rows_scalar(rows: &[u16], weights: &[u16], out: &mut [u8]) {
    blend_any(rows, weights, 0, out);
}

/// As many rows as there are weights, block by block, so that sums stay in registers.
#[inline(always)]
fn blend_some<const COUNT: usize>(weights: [u16; COUNT], rows: &[u16], out: &mut [u8]) {
    let width = out.len();
    let half = half(COUNT);
    let blocks: [&[[u16; BLOCK]]; COUNT] =
        std::array::from_fn(|row| rows[row * width..][..width].as_chunks::<BLOCK>().0);
    let (outs, _) = out.as_chunks_mut::<BLOCK>();
    let count = outs.len();
    for (block, out) in outs.iter_mut().enumerate() {
        let pixels: [&[u16; BLOCK]; COUNT] = std::array::from_fn(|row| &blocks[row][block]);
        let mut sums = [half; BLOCK];
        for row in 0..COUNT {
            for (sum, &pixel) in sums.iter_mut().zip(pixels[row]) {
                *sum = sum.wrapping_add(upper(pixel, weights[row]));
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> 8) as u8;
        }
    }
    blend_any(rows, &weights, count * BLOCK, out);
}

/// Any number of rows.
#[inline(always)]
fn blend_many(rows: &[u16], weights: &[u16], out: &mut [u8]) {
    let width = out.len();
    let (outs, _) = out.as_chunks_mut::<BLOCK>();
    let count = outs.len();
    for (block, out) in outs.iter_mut().enumerate() {
        let mut sums = [half(weights.len()); BLOCK];
        for (row, &weight) in rows.chunks_exact(width).zip(weights) {
            if let Some(pixels) = row[block * BLOCK..].first_chunk::<BLOCK>() {
                for (sum, &pixel) in sums.iter_mut().zip(pixels) {
                    *sum = sum.wrapping_add(upper(pixel, weight));
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum >> 8) as u8;
        }
    }
    blend_any(rows, weights, count * BLOCK, out);
}

/// Any number of rows, one column at a time from `first` on.
#[inline(always)]
fn blend_any(rows: &[u16], weights: &[u16], first: usize, out: &mut [u8]) {
    let width = out.len();
    for (column, out) in out.iter_mut().enumerate().skip(first) {
        let rows = rows[column..].iter().step_by(width);
        let sum = rows
            .zip(weights)
            .fold(half(weights.len()), |sum, (&pixel, &weight)| {
                sum.wrapping_add(upper(pixel, weight))
            });
        *out = (sum >> 8) as u8;
    }
}

/// Half a byte, so that cutting the fraction off rounds, and what the products of so many rows lose on the mean.
fn half(rows: usize) -> u16 {
    (1 << 7) + (rows as u16 / 2).min(1 << 6)
}

/// The upper half of a product.
#[inline(always)]
fn upper(pixel: u16, weight: u16) -> u16 {
    ((u32::from(pixel) * u32::from(weight)) >> 16) as u16
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
            to in 1u32..1200,
        ) {
            let width = pixels.len() / rows.min(pixels.len() / 2);
            let height = pixels.len() / width;
            let scale = |from: usize, to: u32| from as f64 / f64::from(to);
            let taps = Taps::new(width as u32, to, scale(width, to), COLUMN_UNIT);
            let mut expected = vec![0; to as usize * height];
            for (row, out) in pixels.chunks_exact(width).zip(expected.chunks_exact_mut(to as usize)) {
                resize_row_scalar(row, &taps, out);
            }
            let columns = Columns::new(taps, width as u32);
            let down = Taps::new(height as u32, 1, height as f64, ROW_UNIT);
            let (first, weights) = down.at(0);
            let from = first * to as usize;
            let mut blended = vec![0; to as usize];
            blend_rows_scalar(&expected[from..], weights, &mut blended);
            for level in levels() {
                let mut resized = vec![0; to as usize * height];
                for (row, out) in pixels.chunks_exact(width).zip(resized.chunks_exact_mut(to as usize)) {
                    resize_row(level, row, &columns, out);
                }
                prop_assert_eq!(&resized, &expected);
                let mut out = vec![0; to as usize];
                blend_rows(level, &resized[from..], weights, &mut out);
                prop_assert_eq!(&out, &blended);
            }
        }

        #[test]
        fn weights_add_up(from in 1u32..5000, to in 1u32..3000) {
            for unit in [ROW_UNIT, COLUMN_UNIT] {
                let taps = Taps::new(from, to, f64::from(from) / f64::from(to), unit);
                for index in 0..taps.made() {
                    let (start, weights) = taps.at(index);
                    prop_assert!(start + weights.len() <= from as usize);
                    let sum = weights.iter().map(|&weight| u32::from(weight)).sum::<u32>();
                    prop_assert!(sum == unit || (unit == ROW_UNIT && weights.contains(&u16::MAX) && sum == unit - 1));
                }
            }
        }

        #[test]
        fn a_plain_row_stays_as_it_is(from in 1u32..3000, to in 1u32..3000, rows in 1u32..40, pixel: u8) {
            let taps = Taps::new(from, to, f64::from(from) / f64::from(to), COLUMN_UNIT);
            let mut resized = vec![0; to as usize];
            resize_row(Level::new(), &vec![pixel; from as usize], &Columns::new(taps, from), &mut resized);
            let down = Taps::new(rows, 1, f64::from(rows), ROW_UNIT);
            let mut out = vec![0; to as usize];
            blend_rows(Level::new(), &resized.repeat(rows as usize), down.at(0).1, &mut out);
            prop_assert!(out.iter().all(|&byte| byte == pixel));
        }
    }
}
