//! The blend modes other than source-over, on premultiplied bytes.
//!
//! Formulas: W3C "Compositing and Blending Level 1", sections 5 and 9.1, multiplied out for premultiplied colours so that no
//! division by alpha is left; each channel is rounded once. The same function serves as the vector body (compiled once for
//! each instruction set, where LLVM vectorizes it) and, compiled for the baseline, as the scalar twin.

use components::BlendMode;
use fearless_simd::{Level, dispatch};

use super::{div255_scalar, over};

/// Blends `src` onto `dst` by `mode`. [`BlendMode::Normal`] is [`over::over`].
pub fn blend(level: Level, mode: BlendMode, dst: &mut [u32], src: &[u32]) {
    match mode {
        BlendMode::Normal => over::over(level, dst, src),
        BlendMode::Multiply => dispatch!(level, _simd => rows(dst, src, multiply)),
        BlendMode::Screen => dispatch!(level, _simd => rows(dst, src, screen)),
        BlendMode::Overlay => dispatch!(level, _simd => rows(dst, src, overlay)),
        BlendMode::Darken => dispatch!(level, _simd => rows(dst, src, darken)),
        BlendMode::Lighten => dispatch!(level, _simd => rows(dst, src, lighten)),
        BlendMode::Add => dispatch!(level, _simd => add_rows(dst, src)),
    }
}

/// Scalar twin of [`blend`].
pub fn blend_scalar(mode: BlendMode, dst: &mut [u32], src: &[u32]) {
    match mode {
        BlendMode::Normal => over::over_scalar(dst, src),
        BlendMode::Multiply => rows(dst, src, multiply),
        BlendMode::Screen => rows(dst, src, screen),
        BlendMode::Overlay => rows(dst, src, overlay),
        BlendMode::Darken => rows(dst, src, darken),
        BlendMode::Lighten => rows(dst, src, lighten),
        BlendMode::Add => add_rows(dst, src),
    }
}

/// Applies `channel(src, dst, src_alpha, dst_alpha)`, which gives 255 times the result, to the colours, and the union to alpha.
#[inline(always)]
fn rows(dst: &mut [u32], src: &[u32], channel: impl Fn(u32, u32, u32, u32) -> u32 + Copy) {
    for (d, &s) in dst.iter_mut().zip(src) {
        let (src_alpha, dst_alpha) = (s >> 24, *d >> 24);
        let alpha = src_alpha + dst_alpha - div255_scalar(src_alpha * dst_alpha);
        let one = |shift: u32| {
            let value = channel(
                (s >> shift) & 255,
                (*d >> shift) & 255,
                src_alpha,
                dst_alpha,
            );
            // Rounding may lift a colour one step over its alpha, which would not be premultiplied.
            div255_scalar(value).min(alpha)
        };
        *d = one(0) | (one(8) << 8) | (one(16) << 16) | (alpha << 24);
    }
}

#[inline(always)]
fn add_rows(dst: &mut [u32], src: &[u32]) {
    for (d, &s) in dst.iter_mut().zip(src) {
        let one = |shift: u32| (((s >> shift) & 255) + ((*d >> shift) & 255)).min(255) << shift;
        *d = one(0) | one(8) | one(16) | one(24);
    }
}

#[inline(always)]
fn multiply(s: u32, d: u32, src_alpha: u32, dst_alpha: u32) -> u32 {
    s * d + s * (255 - dst_alpha) + d * (255 - src_alpha)
}

#[inline(always)]
fn screen(s: u32, d: u32, _src_alpha: u32, _dst_alpha: u32) -> u32 {
    255 * (s + d) - s * d
}

#[inline(always)]
fn overlay(s: u32, d: u32, src_alpha: u32, dst_alpha: u32) -> u32 {
    let dark = 2 * s * d;
    // Cannot be negative: a premultiplied colour is at most its alpha.
    let light = (src_alpha * dst_alpha).wrapping_sub(
        2 * dst_alpha
            .wrapping_sub(d)
            .wrapping_mul(src_alpha.wrapping_sub(s)),
    );
    let blended = if 2 * d <= dst_alpha { dark } else { light };
    blended + s * (255 - dst_alpha) + d * (255 - src_alpha)
}

#[inline(always)]
fn darken(s: u32, d: u32, src_alpha: u32, dst_alpha: u32) -> u32 {
    255 * (s + d) - (s * dst_alpha).max(d * src_alpha)
}

#[inline(always)]
fn lighten(s: u32, d: u32, src_alpha: u32, dst_alpha: u32) -> u32 {
    255 * (s + d) - (s * dst_alpha).min(d * src_alpha)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{levels, premultiplied_row};

    /// The W3C formula in floats, on one premultiplied channel in 0..=1.
    fn reference(mode: BlendMode, s: f64, d: f64, sa: f64, da: f64) -> f64 {
        if mode == BlendMode::Add {
            return (s + d).min(1.0);
        }
        let cs = if sa > 0.0 { s / sa } else { 0.0 };
        let cb = if da > 0.0 { d / da } else { 0.0 };
        let blended = match mode {
            BlendMode::Normal | BlendMode::Add => cs,
            BlendMode::Multiply => cs * cb,
            BlendMode::Screen => cb + cs - cb * cs,
            BlendMode::Overlay if cb <= 0.5 => 2.0 * cs * cb,
            BlendMode::Overlay => 1.0 - 2.0 * (1.0 - cs) * (1.0 - cb),
            BlendMode::Darken => cs.min(cb),
            BlendMode::Lighten => cs.max(cb),
        };
        s * (1.0 - da) + d * (1.0 - sa) + sa * da * blended
    }

    proptest! {
        #[test]
        fn simd_equals_scalar_and_both_follow_the_formula(dst in premultiplied_row(70), src in premultiplied_row(70)) {
            for mode in BlendMode::ALL {
                let mut expected = dst.clone();
                blend_scalar(mode, &mut expected, &src);
                for level in levels() {
                    let mut got = dst.clone();
                    blend(level, mode, &mut got, &src);
                    prop_assert_eq!(&got, &expected);
                }
                for ((&out, &d), &s) in expected.iter().zip(&dst).zip(&src) {
                    let (out, d, s) = (out.to_le_bytes(), d.to_le_bytes(), s.to_le_bytes());
                    let unit = |v: u8| f64::from(v) / 255.0;
                    for c in 0..3 {
                        let exact = reference(mode, unit(s[c]), unit(d[c]), unit(s[3]), unit(d[3])) * 255.0;
                        prop_assert!((f64::from(out[c]) - exact).abs() <= 1.001, "{:?} {:?} {:?} {} {}", mode, s, d, out[c], exact);
                        prop_assert!(out[c] <= out[3]);
                    }
                }
            }
        }
    }
}
