//! The loops over pixels: one row in, one row out, nothing allocated.
//!
//! A pixel is a `u32` whose bytes in memory are R, G, B, A, premultiplied. Every kernel takes the SIMD [`Level`] found once by
//! its owner and has a scalar twin in the same file; property tests hold the two to the same bytes. All arithmetic is on
//! integers, so that results do not depend on the machine, on where a row starts, or on how it was cut into pieces.
//! A kernel treats rows of unequal length as if both had the shorter length.

pub mod bilinear;
pub mod blend;
pub mod convert;
pub mod over;
pub mod planes;
pub mod ramp;
pub mod resize;
pub mod scale;

pub use fearless_simd::Level;
use fearless_simd::prelude::*;

/// Pixels of the widest vector in use; the tail of a row is padded to it.
pub(crate) const LANES_MAX: usize = 16;

/// Rounded `x / 255` for `x` in `0..=65025`, on 16-bit lanes.
#[inline(always)]
pub(crate) fn div255<S: Simd>(simd: S, x: S::u16s) -> S::u16s {
    let t = x + S::u16s::splat(simd, 128);
    (t + (t >> 8)) >> 8
}

/// The high half of each lane holds rounded `x / 255`; the low half is cleared. Saves a shift when the result goes to odd bytes.
#[inline(always)]
pub(crate) fn div255_high<S: Simd>(simd: S, x: S::u16s) -> S::u16s {
    let t = x + S::u16s::splat(simd, 128);
    (t + (t >> 8)) & S::u16s::splat(simd, 0xff00)
}

/// Rounded `x / 255` for `x` in `0..=65025`.
#[inline(always)]
pub(crate) const fn div255_scalar(x: u32) -> u32 {
    let t = x + 128;
    (t + (t >> 8)) >> 8
}

/// Multiplies the four bytes of a pixel by `factor / 255`, rounding each.
#[inline(always)]
pub(crate) const fn scale_pixel(pixel: u32, factor: u32) -> u32 {
    let rb = (pixel & 0x00ff_00ff)
        .wrapping_mul(factor)
        .wrapping_add(0x0080_0080);
    let ga = ((pixel >> 8) & 0x00ff_00ff)
        .wrapping_mul(factor)
        .wrapping_add(0x0080_0080);
    let rb = (rb.wrapping_add((rb >> 8) & 0x00ff_00ff) >> 8) & 0x00ff_00ff;
    let ga = ga.wrapping_add((ga >> 8) & 0x00ff_00ff) & 0xff00_ff00;
    rb | ga
}

/// Runs `body` over a row in whole vectors, the last one padded, with a source row beside it.
macro_rules! for_vectors {
    ($lanes:expr, $dst:expr, $src:expr, |$d:ident, $s:ident| $body:expr) => {{
        let lanes = $lanes;
        let len = $dst.len().min($src.len());
        let whole = len - len % lanes;
        let (dst_whole, dst_tail) = $dst[..len].split_at_mut(whole);
        let (src_whole, src_tail) = $src[..len].split_at(whole);
        for ($d, $s) in dst_whole
            .chunks_exact_mut(lanes)
            .zip(src_whole.chunks_exact(lanes))
        {
            $body
        }
        if !dst_tail.is_empty() {
            let mut dst_pad = [0u32; $crate::kernels::LANES_MAX];
            let mut src_pad = [0u32; $crate::kernels::LANES_MAX];
            dst_pad[..dst_tail.len()].copy_from_slice(dst_tail);
            src_pad[..src_tail.len()].copy_from_slice(src_tail);
            {
                let $d = &mut dst_pad[..lanes];
                let $s = &src_pad[..lanes];
                $body
            }
            dst_tail.copy_from_slice(&dst_pad[..dst_tail.len()]);
        }
    }};
}
pub(crate) use for_vectors;
