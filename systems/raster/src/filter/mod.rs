//! Filters on single pictures: what a layer looks like before it is composed.
//!
//! Each filter is a plain value whose `apply` changes [`Pixels`], premultiplied RGBA8 on sRGB values. A filter that draws
//! beyond the shape tells by `margin` how much empty room it needs round the picture; without that room its result is cut
//! off, never wrong. Parameters are in pixels of the buffer. Any parameter may have any value: one outside of its range is
//! taken as the nearest end, and one that is not a number as the value that changes nothing.
//!
//! What a filter needs besides its result is kept in a [`Scratch`], so that one which is animated allocates nothing once warm.
//! Sums are on integers or on floats that are never fused, in an order that does not depend on the instruction set. The
//! filters know nothing of layers, draw nothing on a canvas, and start no threads.

mod blur;
mod border;
mod chroma_key;
mod colour;
mod corners;
mod distance;
mod glow;
mod mask;
mod pixelate;
mod pixels;
mod planes;
mod shadow;
#[cfg(test)]
mod testing;
mod vignette;

use fearless_simd::Level;

pub use blur::{Blur, SIGMA_MAX, reach};
pub use border::{Border, Placement};
pub use chroma_key::ChromaKey;
pub use colour::Colour;
pub use corners::CornerRadius;
pub use glow::Glow;
pub use mask::{Mask, MaskSource};
pub use pixelate::Pixelate;
pub use pixels::{Alpha, Margin, Pixels};
pub use shadow::DropShadow;
pub use vignette::Vignette;

/// Buffers that filters work in, kept from one call to the next. Holds no state: what is in it never changes a result.
#[derive(Debug)]
pub struct Scratch {
    level: Level,
    blur: blur::BlurScratch,
    plane: Alpha,
    shadow_row: Vec<f32>,
    distance: distance::Distance,
    curve: colour::Curve,
    block_sums: Vec<[u64; 4]>,
}

impl Scratch {
    /// Empty buffers, and the best instruction set of this machine.
    pub fn new() -> Self {
        Self::with_level(Level::new())
    }

    /// Empty buffers, and the instruction set of the caller's choice.
    pub fn with_level(level: Level) -> Self {
        Self {
            level,
            blur: blur::BlurScratch::default(),
            plane: Alpha::default(),
            shadow_row: Vec::new(),
            distance: distance::Distance::default(),
            curve: colour::Curve::default(),
            block_sums: Vec::new(),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// `value` between `low` and `high`; `neutral` when it is not a number.
fn within(value: f32, low: f32, high: f32, neutral: f32) -> f32 {
    if value.is_nan() {
        neutral
    } else {
        value.clamp(low, high)
    }
}

/// Added to a float of 0 to 2^22, leaves its nearest whole number in the low bits: quicker than a saturating conversion.
const ROUND: f32 = 8_388_608.0;

/// The nearest whole number to a `value` of -0.5 to 65535, ties to even.
#[inline(always)]
fn round_bits(value: f32) -> u32 {
    (value + ROUND).to_bits() & 0xffff
}

/// The four bytes of a pixel as floats: red, green, blue, alpha.
#[inline(always)]
fn unpack(pixel: u32) -> [f32; 4] {
    [0, 8, 16, 24].map(|shift| ((pixel >> shift) & 255) as i32 as f32)
}

/// Floats of 0 to 255 as a pixel, each rounded; a colour is at most its alpha.
#[inline(always)]
fn pack(r: f32, g: f32, b: f32, alpha: u32) -> u32 {
    let [r, g, b] = [r, g, b].map(|value| round_bits(value).min(alpha));
    r | (g << 8) | (b << 16) | (alpha << 24)
}
