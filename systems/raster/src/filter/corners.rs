//! Rounds the corners of a picture.

use super::{Pixels, Scratch, within};
use crate::kernels::scale_pixel;

/// Keeps of a picture what lies in a rectangle with round corners.
///
/// Each pixel is multiplied by the share of it that is inside: beside straight edges its overlap with the rectangle, at a
/// corner of radius r in which the pixel's middle is d away from the corner's centre r - d + 0.5, limited to 0..1. Radii that
/// meet on a side are made smaller, all by the same factor, as CSS Backgrounds and Borders 3, section 4.5, has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CornerRadius {
    /// Top left, top right, bottom right, bottom left, in pixels.
    pub radii: [f32; 4],
    /// The rectangle's left, top, right and bottom, in pixels.
    pub area: [f32; 4],
}

impl CornerRadius {
    /// Cuts `pixels` to the rectangle. An area without a width or a height leaves nothing.
    pub fn apply(&self, pixels: &mut Pixels, _scratch: &mut Scratch) {
        let shape = Shape::new(self);
        let width = pixels.width();
        for (y, row) in pixels.rows_mut() {
            let (from, to) = shape.whole_columns(y, width);
            for x in (0..from).chain(to..width) {
                row[x] = scale_pixel(row[x], shape.at(x, y));
            }
        }
    }
}

/// The rectangle with radii that fit it.
struct Shape {
    area: [f32; 4],
    radii: [f32; 4],
}

impl Shape {
    fn new(filter: &CornerRadius) -> Self {
        let area = filter.area.map(|edge| within(edge, -1e6, 1e6, 0.0));
        let [left, top, right, bottom] = area;
        let (width, height) = ((right - left).max(0.0), (bottom - top).max(0.0));
        let [a, b, c, d] = filter.radii.map(|radius| within(radius, 0.0, 1e6, 0.0));
        let sides = [
            (width, a + b),
            (height, b + c),
            (width, c + d),
            (height, d + a),
        ];
        let factor = sides
            .iter()
            .filter(|(side, sum)| sum > side)
            .map(|(side, sum)| side / sum)
            .fold(1.0, f32::min);
        Self {
            area,
            radii: [a, b, c, d].map(|radius| radius * factor),
        }
    }

    /// Columns of row `y` that lie inside altogether; none when there are none for sure.
    fn whole_columns(&self, y: usize, width: usize) -> (usize, usize) {
        let [left, top, right, bottom] = self.area;
        let (above, below) = (y as f32, y as f32 + 1.0);
        let [a, b, c, d] = self.radii;
        if above < top || below > bottom {
            return (width, width);
        }
        // A corner matters to the rows that touch its square.
        let inset = |upper: f32, lower: f32| {
            let upper = if above < top + upper { upper } else { 0.0 };
            let lower = if below > bottom - lower { lower } else { 0.0 };
            upper.max(lower)
        };
        let from = (left + inset(a, d)).ceil().max(0.0) as usize;
        let to = (right - inset(b, c)).floor().max(0.0) as usize;
        let (from, to) = (from.min(width), to.min(width));
        if from < to {
            (from, to)
        } else {
            (width, width)
        }
    }

    /// The share of one pixel that is inside, 0 to 255.
    fn at(&self, x: usize, y: usize) -> u32 {
        let [left, top, right, bottom] = self.area;
        let (x, y) = (x as f32, y as f32);
        let overlap = |at: f32, low: f32, high: f32| ((at + 1.0).min(high) - at.max(low)).max(0.0);
        let straight = overlap(x, left, right) * overlap(y, top, bottom);
        let (x, y) = (x + 0.5, y + 0.5);
        let [a, b, c, d] = self.radii;
        // How far the pixel lies in the square of each corner, from its centre towards the corner.
        let corners = [
            (a, left + a - x, top + a - y),
            (b, x - (right - b), top + b - y),
            (c, x - (right - c), y - (bottom - c)),
            (d, left + d - x, y - (bottom - d)),
        ];
        let mut coverage = straight;
        for (radius, dx, dy) in corners {
            if radius > 0.0 && dx > 0.0 && dy > 0.0 {
                let inside = radius - (dx * dx + dy * dy).sqrt() + 0.5;
                coverage = coverage.min(inside.clamp(0.0, 1.0));
            }
        }
        (coverage * 255.0 + 0.5) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, error_max, pictures, unit, wild};

    /// Whether a point lies in the rounded rectangle; radii have to fit.
    fn inside(filter: &CornerRadius, x: f64, y: f64) -> bool {
        let [left, top, right, bottom] = filter.area.map(f64::from);
        let [a, b, c, d] = filter.radii.map(f64::from);
        let corners = [
            (a, left + a - x, top + a - y),
            (b, x - right + b, top + b - y),
            (c, x - right + c, y - bottom + c),
            (d, left + d - x, y - bottom + d),
        ];
        let cut = corners
            .iter()
            .any(|&(radius, dx, dy)| dx > 0.0 && dy > 0.0 && dx.hypot(dy) > radius);
        x > left && x < right && y > top && y < bottom && !cut
    }

    proptest! {
        #[test]
        fn it_is_near_the_true_coverage(
            radii in proptest::array::uniform4(0.0f32..11.0), left in 0.0f32..4.0, top in 0.0f32..4.0,
        ) {
            let filter = CornerRadius { radii, area: [left, top, left + 22.3, top + 22.6] };
            let pixels = draw(30, 30, |_, _| [255; 4]);
            let got = at_all_levels(&pixels, |pixels, scratch| filter.apply(pixels, scratch));
            let worst = error_max(&got, |x, y| {
                const STEPS: usize = 24;
                let at = |from: usize, i: usize| from as f64 + (i as f64 + 0.5) / STEPS as f64;
                let hits = (0..STEPS * STEPS).filter(|i| inside(&filter, at(x, i % STEPS), at(y, i / STEPS))).count();
                [hits as f64 / (STEPS * STEPS) as f64; 4]
            });
            // The formula takes a corner's arc as straight within a pixel, and upright edges at their true angle.
            prop_assert!(worst < 0.13 * 255.0, "{worst}");
        }

        #[test]
        fn pixels_are_scaled_by_their_share(pixels in pictures(), radius in 0.0f32..9.0) {
            let (width, height) = (pixels.width() as f32, pixels.height() as f32);
            let filter = CornerRadius { radii: [radius; 4], area: [0.0, 0.0, width, height] };
            let got = at_all_levels(&pixels, |pixels, scratch| filter.apply(pixels, scratch));
            let shape = Shape::new(&filter);
            let r = f64::from(shape.radii[0]);
            let worst = error_max(&got, |x, y| {
                let beyond = |at: usize, len: f32| {
                    let at = at as f64 + 0.5;
                    (r - at).max(at - (f64::from(len) - r)).max(0.0)
                };
                let (dx, dy) = (beyond(x, width), beyond(y, height));
                let share = if dx > 0.0 && dy > 0.0 { (r - dx.hypot(dy) + 0.5).clamp(0.0, 1.0) } else { 1.0 };
                unit(pixels.words()[y * pixels.width() + x]).map(|channel| channel * share)
            });
            prop_assert!(worst <= 1.01, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), radii in proptest::array::uniform4(wild()), area in proptest::array::uniform4(wild())) {
            at_all_levels(&pixels, |pixels, scratch| CornerRadius { radii, area }.apply(pixels, scratch));
        }
    }

    #[test]
    fn without_radii_the_whole_area_stays() {
        let pixels = draw(9, 7, |x, y| [x as u8, y as u8, 9, 200]);
        let mut cut = pixels.clone();
        CornerRadius {
            radii: [0.0; 4],
            area: [0.0, 0.0, 9.0, 7.0],
        }
        .apply(&mut cut, &mut Scratch::new());
        assert_eq!(cut, pixels);
    }
}
