//! Makes a background colour transparent, as a green screen needs.

use fearless_simd::dispatch;

use super::{Pixels, Scratch, pack, round_bits, unpack, within};

/// The narrowest fade; the eye cannot tell it from a hard edge, and noise can.
const FADE_MIN: f32 = 0.001;

/// Weights of luma: ITU-R BT.709-6, section 3.
const LUMA: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// Blue and red difference for a unit of the difference to luma: ITU-R BT.709-6, section 3.
const CB: f32 = 1.0 / 1.8556;
const CR: f32 = 1.0 / 1.5748;

/// Makes pixels transparent that have the hue and the saturation of a key colour, however bright they are.
///
/// A pixel's distance d is that of its colour and the key in the plane of the differences Cb and Cr, each from -0.5 to 0.5.
/// Its alpha and colours are multiplied by f(d, smoothness), where f(d, width) = t * sqrt(t) with t = (d - similarity) / width,
/// limited to 0..1. Before that, the colour is mixed with grey of the same luma: only f(d, spill) of it stays, so that light
/// of the screen on the edge of a figure turns grey.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChromaKey {
    /// Red, green, blue of the background.
    pub colour: [u8; 3],
    /// The distance up to which pixels are fully transparent, 0 to 1. 0.4 suits an evenly lit screen.
    pub similarity: f32,
    /// How much further away pixels are fully visible, 0 to 1.
    pub smoothness: f32,
    /// How much further away than the similarity pixels keep all of their colour, 0 to 1.
    pub spill: f32,
}

impl ChromaKey {
    /// Keys `pixels`.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        let key = Key {
            plane: differences(self.colour.map(|channel| f32::from(channel) / 255.0)).1,
            similarity: within(self.similarity, 0.0, 1.0, 0.0),
            per_smoothness: 1.0 / within(self.smoothness, FADE_MIN, 1.0, FADE_MIN),
            per_spill: 1.0 / within(self.spill, FADE_MIN, 1.0, FADE_MIN),
        };
        dispatch!(scratch.level, _simd => rows(&key, pixels.words_mut()));
    }
}

struct Key {
    plane: [f32; 2],
    similarity: f32,
    per_smoothness: f32,
    per_spill: f32,
}

/// Luma, and Cb and Cr.
#[inline(always)]
fn differences([r, g, b]: [f32; 3]) -> (f32, [f32; 2]) {
    let luma = r * LUMA[0] + g * LUMA[1] + b * LUMA[2];
    (luma, [(b - luma) * CB, (r - luma) * CR])
}

#[inline(always)]
fn rows(key: &Key, pixels: &mut [u32]) {
    for pixel in pixels {
        let [r, g, b, alpha] = unpack(*pixel);
        let (luma, [cb, cr]) = differences([r, g, b]);
        let per_alpha = 1.0 / alpha.max(1.0);
        let (dx, dy) = (cb * per_alpha - key.plane[0], cr * per_alpha - key.plane[1]);
        let beyond = (dx * dx + dy * dy).sqrt() - key.similarity;
        let opacity = fade(beyond * key.per_smoothness);
        let stays = fade(beyond * key.per_spill);
        let channel = |value: f32| (luma + stays * (value - luma)) * opacity;
        let (r, g, b) = (channel(r), channel(g), channel(b));
        *pixel = pack(r, g, b, round_bits(alpha * opacity));
    }
}

#[inline(always)]
fn fade(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t.sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, error_max, pictures, unit, wild};

    fn reference(filter: ChromaKey, pixel: u32) -> [f64; 4] {
        let [r, g, b, alpha] = unit(pixel);
        if alpha == 0.0 {
            return [0.0; 4];
        }
        let plane = |[r, g, b]: [f64; 3]| {
            let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            (y, (b - y) / 1.8556, (r - y) / 1.5748)
        };
        let colour = [r, g, b].map(|channel| channel / alpha);
        let (y, cb, cr) = plane(colour);
        let (_, key_cb, key_cr) = plane(filter.colour.map(|channel| f64::from(channel) / 255.0));
        let d = (cb - key_cb).hypot(cr - key_cr);
        let f = |width: f32| {
            ((d - f64::from(filter.similarity)) / f64::from(width.max(FADE_MIN)))
                .clamp(0.0, 1.0)
                .powf(1.5)
        };
        let stays = f(filter.spill);
        let seen = alpha * f(filter.smoothness);
        let [r, g, b] = colour.map(|channel| (y + stays * (channel - y)) * seen);
        [r, g, b, seen]
    }

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(
            pixels in pictures(), colour: [u8; 3], similarity in 0.0f32..1.0, smoothness in 0.0f32..1.0, spill in 0.0f32..1.0,
        ) {
            let filter = ChromaKey { colour, similarity, smoothness, spill };
            let got = at_all_levels(&pixels, |pixels, scratch| filter.apply(pixels, scratch));
            let worst = error_max(&got, |x, y| reference(filter, pixels.words()[y * pixels.width() + x]));
            prop_assert!(worst < 0.9, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), colour: [u8; 3], values in proptest::array::uniform3(wild())) {
            let [similarity, smoothness, spill] = values;
            let filter = ChromaKey { colour, similarity, smoothness, spill };
            at_all_levels(&pixels, |pixels, scratch| filter.apply(pixels, scratch));
        }
    }

    #[test]
    fn the_screen_goes_and_the_figure_stays() {
        let (screen, shade, skin, grey) = (
            [0, 255, 0, 255],
            [0, 150, 10, 255],
            [220, 170, 140, 255],
            [128, 128, 128, 255],
        );
        let mut pixels = draw(4, 1, |x, _| [screen, shade, skin, grey][x as usize]);
        let filter = ChromaKey {
            colour: [0, 255, 0],
            similarity: 0.4,
            smoothness: 0.08,
            spill: 0.1,
        };
        filter.apply(&mut pixels, &mut Scratch::new());
        assert_eq!(pixels.words()[..2], [0; 2]);
        assert_eq!(pixels.words()[2..], [skin, grey].map(u32::from_le_bytes));
    }
}
