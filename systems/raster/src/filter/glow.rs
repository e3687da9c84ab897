//! Light round the picture: its blurred alpha in one colour, below it.

use super::{Blur, Margin, Pixels, Scratch, reach, shadow::Paint, within};

/// A soft halo of the picture's shape.
///
/// As a [`super::DropShadow`] without an offset, but the blurred alpha is multiplied by `intensity` and limited to 1 before it
/// is coloured, so that the halo can be stronger than the shape alone would make it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glow {
    /// Standard deviation of the blur in pixels, 0 to [`super::SIGMA_MAX`].
    pub sigma: f32,
    /// Red, green, blue, opacity; not premultiplied.
    pub colour: [u8; 4],
    /// Factor on the blurred alpha, 0 to 16.
    pub intensity: f32,
}

impl Glow {
    /// The room that the halo takes.
    pub fn margin(&self) -> Margin {
        Margin::all(reach(self.sigma))
    }

    /// Draws the halo below `pixels`.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        let strength = within(self.intensity, 0.0, 16.0, 1.0);
        if strength == 0.0 || self.colour[3] == 0 {
            return;
        }
        let Scratch {
            level,
            blur,
            plane,
            shadow_row,
            ..
        } = scratch;
        plane.fill_from(pixels);
        Blur::new(self.sigma).run(&mut super::planes::One(plane), *level, blur);
        let paint = Paint {
            colour: self.colour,
            offset: [0.0; 2],
            strength,
        };
        paint.below(pixels, plane, shadow_row, *level);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::{
        Alpha,
        testing::{at_all_levels, error_max, pictures, unit, wild},
    };

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(
            pixels in pictures(), sigma in 0.0f32..6.0, intensity in 0.0f32..16.0, colour: [u8; 4],
        ) {
            let glow = Glow { sigma, colour, intensity };
            let got = at_all_levels(&pixels, |pixels, scratch| glow.apply(pixels, scratch));
            let mut plane = Alpha::default();
            plane.fill_from(&pixels);
            Blur::new(sigma).apply_alpha(&mut plane, &mut Scratch::new());
            let worst = error_max(&got, |x, y| {
                let at = y * pixels.width() + x;
                let picture = unit(pixels.words()[at]);
                let value = f64::from(plane.values()[at]) / f64::from(Alpha::OPAQUE) * f64::from(intensity);
                let share = value.min(1.0) * f64::from(colour[3]) / 255.0 * (1.0 - picture[3]);
                let colour = [colour[0], colour[1], colour[2], 255].map(|byte| f64::from(byte) / 255.0);
                std::array::from_fn(|c| picture[c] + colour[c] * share)
            });
            prop_assert!(worst < 0.51, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), sigma in wild(), intensity in wild(), colour: [u8; 4]) {
            let glow = Glow { sigma, colour, intensity };
            at_all_levels(&pixels, |pixels, scratch| glow.apply(pixels, scratch));
        }
    }
}
