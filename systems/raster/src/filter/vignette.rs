//! Darkens a picture towards its corners.

use fearless_simd::dispatch;

use super::{Pixels, Scratch, pack, unpack, within};

/// The narrowest fade, as a share of the way to the corner: a harder edge would show steps.
const SOFTNESS_MIN: f32 = 0.01;

/// A soft frame of one colour inside of the picture; alpha stays as it is.
///
/// With d the distance from the middle of the area, 1 in its corners, each axis measured by the area's own half side, and
/// t = (d - size) / softness limited to 0..1, the colour is mixed in by `amount * t * t * (3 - 2 * t)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vignette {
    /// How much of the colour there is where it is strongest, 0 to 1.
    pub amount: f32,
    /// Where the fade begins: 0 in the middle, 1 in the corners.
    pub size: f32,
    /// How wide the fade is, in the unit of the size, 0 to 1.
    pub softness: f32,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// The area's left, top, right and bottom, in pixels.
    pub area: [f32; 4],
}

impl Vignette {
    /// Darkens `pixels`. An area without a width or a height changes nothing.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        let [left, top, right, bottom] = self.area.map(|edge| within(edge, -1e6, 1e6, 0.0));
        let half = [(right - left) * 0.5, (bottom - top) * 0.5];
        let amount = within(self.amount, 0.0, 1.0, 0.0);
        if half[0] < 0.25 || half[1] < 0.25 || amount == 0.0 {
            return;
        }
        let fade = Fade {
            centre: [(left + right) * 0.5, (top + bottom) * 0.5],
            // A corner is the square root of 2 half sides away.
            scale: half.map(|half| std::f32::consts::FRAC_1_SQRT_2 / half),
            from: within(self.size, 0.0, 1.0, 1.0),
            per_softness: 1.0 / within(self.softness, SOFTNESS_MIN, 1.0, 1.0),
            amount,
            colour: self.colour.map(|channel| f32::from(channel) / 255.0),
        };
        dispatch!(scratch.level, _simd => rows(&fade, pixels));
    }
}

struct Fade {
    centre: [f32; 2],
    scale: [f32; 2],
    from: f32,
    per_softness: f32,
    amount: f32,
    colour: [f32; 3],
}

#[inline(always)]
fn rows(fade: &Fade, pixels: &mut Pixels) {
    for (y, row) in pixels.rows_mut() {
        let dy = (y as f32 + 0.5 - fade.centre[1]) * fade.scale[1];
        for (x, pixel) in row.iter_mut().enumerate() {
            let dx = (x as i32 as f32 + 0.5 - fade.centre[0]) * fade.scale[0];
            let distance = (dx * dx + dy * dy).sqrt();
            let t = ((distance - fade.from) * fade.per_softness).clamp(0.0, 1.0);
            let share = fade.amount * (t * t * (3.0 - 2.0 * t));
            let [r, g, b, alpha] = unpack(*pixel);
            let mix = |value: f32, colour: f32| value + share * (colour * alpha - value);
            *pixel = pack(
                mix(r, fade.colour[0]),
                mix(g, fade.colour[1]),
                mix(b, fade.colour[2]),
                *pixel >> 24,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, error_max, pictures, unit, wild};

    fn reference(vignette: Vignette, x: usize, y: usize, pixel: u32) -> [f64; 4] {
        let [left, top, right, bottom] = vignette.area.map(f64::from);
        let along = |at: usize, low: f64, high: f64| {
            (at as f64 + 0.5 - (low + high) / 2.0) / ((high - low) / 2.0)
        };
        let d =
            (along(x, left, right).powi(2) + along(y, top, bottom).powi(2)).sqrt() / 2.0f64.sqrt();
        let softness = f64::from(vignette.softness.max(SOFTNESS_MIN));
        let t = ((d - f64::from(vignette.size)) / softness).clamp(0.0, 1.0);
        let share = f64::from(vignette.amount) * t * t * (3.0 - 2.0 * t);
        let mut channels = unit(pixel);
        let alpha = channels[3];
        for (channel, colour) in channels.iter_mut().zip(vignette.colour) {
            *channel += share * (f64::from(colour) / 255.0 * alpha - *channel);
        }
        channels
    }

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(
            pixels in pictures(), amount in 0.0f32..1.0, size in 0.0f32..1.0, softness in 0.0f32..1.0, colour: [u8; 3],
            low in -10.0f32..10.0, sides in 1.0f32..40.0,
        ) {
            let vignette = Vignette { amount, size, softness, colour, area: [low, low * 0.5, low + sides, low * 0.5 + sides * 1.5] };
            let got = at_all_levels(&pixels, |pixels, scratch| vignette.apply(pixels, scratch));
            let worst = error_max(&got, |x, y| reference(vignette, x, y, pixels.words()[y * pixels.width() + x]));
            prop_assert!(worst < 0.52, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), values in proptest::array::uniform7(wild())) {
            let [amount, size, softness, left, top, right, bottom] = values;
            let vignette = Vignette { amount, size, softness, colour: [1, 2, 3], area: [left, top, right, bottom] };
            at_all_levels(&pixels, |pixels, scratch| vignette.apply(pixels, scratch));
        }
    }

    #[test]
    fn neighbours_differ_by_one_step_at_most() {
        let mut pixels = draw(1200, 30, |_, _| [255; 4]);
        let vignette = Vignette {
            amount: 1.0,
            size: 0.2,
            softness: 0.8,
            colour: [0; 3],
            area: [0.0, 0.0, 1200.0, 30.0],
        };
        vignette.apply(&mut pixels, &mut Scratch::new());
        let row = &pixels.words()[15 * 1200..][..1200];
        assert!(
            row.windows(2)
                .all(|pair| (pair[0] & 255).abs_diff(pair[1] & 255) <= 1)
        );
        assert!(
            row.iter().all(|pixel| pixel >> 24 == 255)
                && row[0] & 255 < 120
                && row[600] & 255 == 255
        );
    }
}
