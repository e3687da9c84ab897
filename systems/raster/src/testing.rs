//! Shared by the unit tests: every SIMD level of this machine, and rows of valid premultiplied pixels.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use crate::kernels::Level;

/// Every level this machine can run, from the baseline up.
pub fn levels() -> Vec<Level> {
    let best = Level::new();
    let mut levels = vec![Level::baseline(), best];
    #[cfg(target_arch = "x86_64")]
    {
        levels.extend(best.as_sse4_2().map(fearless_simd::Simd::level));
        levels.extend(best.as_avx2().map(fearless_simd::Simd::level));
    }
    levels
}

/// Up to `len` premultiplied pixels, with whole and empty alpha more often than chance would have them.
pub fn premultiplied_row(len: usize) -> impl Strategy<Value = Vec<u32>> {
    let pixel = (
        any::<[u8; 3]>(),
        prop_oneof![Just(0u8), Just(255u8), any::<u8>()],
    )
        .prop_map(|(rgb, alpha)| {
            u32::from_le_bytes([
                rgb[0].min(alpha),
                rgb[1].min(alpha),
                rgb[2].min(alpha),
                alpha,
            ])
        });
    proptest::collection::vec(pixel, 0..=len)
}
