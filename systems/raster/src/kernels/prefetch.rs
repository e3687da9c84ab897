//! Asks the memory for pixels that will be read soon.
//!
//! Many pictures are read in turn, a row of each, so the hardware sees none of them for long enough to read ahead by itself.

/// Pixels in a cache line.
const LINE: usize = 16;

/// Starts to bring a row of pixels into the cache. Has no other effect.
#[inline(always)]
pub fn prefetch(row: &[u32]) {
    #[cfg(target_arch = "x86_64")]
    for pixel in row.iter().step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees, and the address is that of a live reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(pixel).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, LINE);
}
