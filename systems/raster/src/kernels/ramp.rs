//! Rows of coverage: how much of each pixel a soft-edged shape shows, and pixels multiplied by it.
//!
//! Coverage is computed in `f32` with additions, products and square roots alone, which are the same on every machine, and kept
//! as `c | c << 16` for `c` in 255ths, ready for 16-bit lanes. A pixel's coverage depends on its column, not on where its row
//! starts. As in `blend`, the same functions serve as vector bodies and, compiled for the baseline, as scalar twins.

use fearless_simd::{Level, dispatch, prelude::*};

use super::{
    div255, div255_high,
    over::{over_pixel, over_vector},
    scale_pixel,
};

/// Along one row, how far inside a shape the pixel at column `x` is: 0 at the outer end of the soft edge, 1 at the inner one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ramp {
    /// `x * step + base`.
    Line {
        /// Change from a column to the next.
        step: f32,
        /// At column 0.
        base: f32,
    },
    /// `base - slope * sqrt((x + dx)^2 + dy_squared)`.
    Circle {
        /// From column 0 to its distance from the centre.
        dx: f32,
        /// Square of the row's distance from the centre.
        dy_squared: f32,
        /// Fall a pixel outwards.
        slope: f32,
        /// At the centre.
        base: f32,
    },
    /// What two half planes share, whose edges meet at an angle.
    Wedge {
        /// Change of both distances from a column to the next.
        steps: [f32; 2],
        /// Both distances at column 0.
        bases: [f32; 2],
        /// Cosine of the angle between the edges, which is at most half a turn.
        cosine: f32,
    },
}

/// Writes the coverage of the columns from `x0` on; `flip` is 0, or 255 for what lies outside.
pub fn coverage_row(level: Level, out: &mut [u32], x0: i32, ramp: Ramp, flip: u8) {
    dispatch!(level, _simd => fill(out, x0, ramp, flip));
}

/// Scalar twin of [`coverage_row`].
pub fn coverage_row_scalar(out: &mut [u32], x0: i32, ramp: Ramp, flip: u8) {
    fill(out, x0, ramp, flip);
}

/// Multiplies the pixels of `row` by their coverage.
pub fn scale_by(level: Level, row: &mut [u32], coverage: &[u32]) {
    dispatch!(level, simd => scale_by_simd(simd, row, coverage));
}

/// Scalar twin of [`scale_by`].
pub fn scale_by_scalar(row: &mut [u32], coverage: &[u32]) {
    for (pixel, &coverage) in row.iter_mut().zip(coverage) {
        *pixel = scale_pixel(*pixel, coverage & 255);
    }
}

/// Draws `src`, multiplied by its coverage, over `dst`: [`scale_by`] and `over` in one.
pub fn over_by(level: Level, dst: &mut [u32], src: &[u32], coverage: &[u32]) {
    dispatch!(level, simd => over_by_simd(simd, dst, src, coverage));
}

/// Scalar twin of [`over_by`].
pub fn over_by_scalar(dst: &mut [u32], src: &[u32], coverage: &[u32]) {
    for ((d, &s), &coverage) in dst.iter_mut().zip(src).zip(coverage) {
        *d = over_pixel(*d, scale_pixel(s, coverage & 255));
    }
}

#[inline(always)]
fn fill(out: &mut [u32], x0: i32, ramp: Ramp, flip: u8) {
    let flip = u32::from(flip);
    // One loop for each shape, so that none has a branch inside.
    match ramp {
        Ramp::Line { step, base } => {
            for (i, out) in (0i32..).zip(out) {
                *out = pack((x0 + i) as f32 * step + base, flip);
            }
        }
        Ramp::Circle {
            dx,
            dy_squared,
            slope,
            base,
        } => {
            for (i, out) in (0i32..).zip(out) {
                let x = (x0 + i) as f32 + dx;
                *out = pack(base - slope * (x * x + dy_squared).sqrt(), flip);
            }
        }
        Ramp::Wedge {
            steps: [step_a, step_b],
            bases: [base_a, base_b],
            cosine,
        } => {
            // What lies beyond both edges: nothing when the wedge is thin, their product at a right angle, the lesser of the
            // two when the edges make one line.
            let product_weight = 1.0 - cosine.abs();
            let lesser_weight = (-cosine).max(0.0);
            for (i, out) in (0i32..).zip(out) {
                let x = (x0 + i) as f32;
                let beyond_a = 1.0 - (x * step_a + base_a).clamp(0.0, 1.0);
                let beyond_b = 1.0 - (x * step_b + base_b).clamp(0.0, 1.0);
                let lesser = if beyond_a < beyond_b {
                    beyond_a
                } else {
                    beyond_b
                };
                let both = beyond_a * beyond_b * product_weight + lesser * lesser_weight;
                *out = pack(1.0 - beyond_a - beyond_b + both, flip);
            }
        }
    }
}

#[inline(always)]
fn pack(inside: f32, flip: u32) -> u32 {
    // The sum's last bit is worth one, so it is rounded, and its low bits are the number.
    let rounded = inside.clamp(0.0, 1.0) * 255.0 + 8_388_608.0;
    let value = (rounded.to_bits() & 255) ^ flip;
    value | (value << 16)
}

#[inline(always)]
fn scaled<S: Simd>(simd: S, src: &[u32], coverage: &[u32]) -> S::u32s {
    let source: S::u16s = S::u32s::from_slice(simd, src).bitcast();
    let factor: S::u16s = S::u32s::from_slice(simd, coverage).bitcast();
    let rb = div255(simd, (source & S::u16s::splat(simd, 255)) * factor);
    let ga = div255_high(simd, (source >> 8) * factor);
    (rb | ga).bitcast()
}

#[inline(always)]
fn scale_by_simd<S: Simd>(simd: S, row: &mut [u32], coverage: &[u32]) {
    let len = row.len().min(coverage.len());
    let mut rows = row[..len].chunks_exact_mut(S::u32s::LEN);
    let mut coverages = coverage[..len].chunks_exact(S::u32s::LEN);
    for (d, c) in (&mut rows).zip(&mut coverages) {
        scaled(simd, d, c).store_slice(d);
    }
    scale_by_scalar(rows.into_remainder(), coverages.remainder());
}

#[inline(always)]
fn over_by_simd<S: Simd>(simd: S, dst: &mut [u32], src: &[u32], coverage: &[u32]) {
    let len = dst.len().min(src.len()).min(coverage.len());
    let mut dst = dst[..len].chunks_exact_mut(S::u32s::LEN);
    let mut src = src[..len].chunks_exact(S::u32s::LEN);
    let mut coverage = coverage[..len].chunks_exact(S::u32s::LEN);
    for ((d, s), c) in (&mut dst).zip(&mut src).zip(&mut coverage) {
        let source = scaled(simd, s, c);
        over_vector(simd, S::u32s::from_slice(simd, d), source).store_slice(d);
    }
    over_by_scalar(dst.into_remainder(), src.remainder(), coverage.remainder());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{levels, premultiplied_row};

    fn arb_ramp() -> impl Strategy<Value = Ramp> {
        let part = || -1.0f32..1.0;
        let at = || -300.0f32..300.0;
        prop_oneof![
            (part(), at()).prop_map(|(step, base)| Ramp::Line { step, base }),
            (at(), 0.0f32..90_000.0, 0.001f32..1.0, at()).prop_map(
                |(dx, dy_squared, slope, base)| Ramp::Circle {
                    dx,
                    dy_squared,
                    slope,
                    base
                }
            ),
            ([part(), part()], [at(), at()], part()).prop_map(|(steps, bases, cosine)| {
                Ramp::Wedge {
                    steps,
                    bases,
                    cosine,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn coverage_is_the_same_on_every_machine_and_however_a_row_is_cut(ramp in arb_ramp(), x0 in -500i32..500, len in 0usize..90, cut in 0usize..90, flip in prop_oneof![Just(0u8), Just(255)]) {
            let mut expected = vec![7; len];
            coverage_row_scalar(&mut expected, x0, ramp, flip);
            for &value in &expected {
                prop_assert!(value & 0xffff <= 255 && value & 0xffff == value >> 16);
            }
            for level in levels() {
                let mut got = vec![9; len];
                let cut = cut.min(len);
                coverage_row(level, &mut got[..cut], x0, ramp, flip);
                coverage_row(level, &mut got[cut..], x0 + cut as i32, ramp, flip);
                prop_assert_eq!(&got, &expected);
            }
        }

        #[test]
        fn simd_equals_scalar(dst in premultiplied_row(80), src in premultiplied_row(80), coverage in proptest::collection::vec(any::<u8>(), 80)) {
            let len = dst.len().min(src.len());
            let coverage: Vec<u32> = coverage[..len].iter().map(|&c| u32::from(c) * 0x10001).collect();
            let (mut scaled, mut drawn) = (src[..len].to_vec(), dst[..len].to_vec());
            scale_by_scalar(&mut scaled, &coverage);
            over_by_scalar(&mut drawn, &src[..len], &coverage);
            for level in levels() {
                let mut got = src[..len].to_vec();
                scale_by(level, &mut got, &coverage);
                prop_assert_eq!(&got, &scaled);
                let mut got = dst[..len].to_vec();
                over_by(level, &mut got, &src[..len], &coverage);
                prop_assert_eq!(&got, &drawn);
            }
        }
    }
}
