//! A line along the edge of the picture's shape.

use super::{Margin, Pixels, Scratch, distance::Point, pack, unpack, within};

/// The widest line in pixels.
const WIDTH_MAX: f32 = 1000.0;

/// On which side of the edge the line lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Over the picture.
    Inside,
    /// Half over the picture, half beside it.
    Center,
    /// Beside the picture.
    #[default]
    Outside,
}

/// A line of even width that follows the picture's shape, with round corners where it goes round one.
///
/// With s the distance of a pixel's middle from the edge, negative inside, a the share of the pixel that the shape covers, i
/// and o the widths inside and outside, and c(w) = w - s + 0.5 limited to 0..1, the line covers a - c(-i) of the shape's own
/// share and c(o) - a of the rest. Over the shape it is drawn above the picture's colours, beside it in the room they leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Border {
    /// Width in pixels, 0 to 1000.
    pub width: f32,
    /// Red, green, blue, opacity; not premultiplied.
    pub colour: [u8; 4],
    /// On which side of the edge.
    pub placement: Placement,
}

impl Border {
    /// Widths inside and outside of the edge.
    fn widths(&self) -> (f32, f32) {
        let width = within(self.width, 0.0, WIDTH_MAX, 0.0);
        match self.placement {
            Placement::Inside => (width, 0.0),
            Placement::Center => (width * 0.5, width * 0.5),
            Placement::Outside => (0.0, width),
        }
    }

    /// The room that the line takes beside the picture.
    pub fn margin(&self) -> Margin {
        match self.widths().1 {
            0.0 => Margin::default(),
            // A pixel that the line only touches has to be there too.
            outside => Margin::all(outside.ceil() as u32 + 1),
        }
    }

    /// Draws the line onto `pixels`.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        let (inside, outside) = self.widths();
        if inside + outside <= 0.0 || self.colour[3] == 0 {
            return;
        }
        let [r, g, b, opacity] = self.colour.map(f32::from);
        let line = Line {
            inside,
            outside,
            colour: [r, g, b],
            opacity: opacity / 255.0,
        };
        let distance = &mut scratch.distance;
        distance.measure(pixels, inside.max(outside) + 1.5, scratch.level);
        for (y, row) in pixels.rows_mut() {
            distance.row(y);
            for (pixel, point) in row.iter_mut().zip(distance.points()) {
                // Infinite where the edge is far away.
                if point.signed.is_finite() {
                    *pixel = line.draw(*pixel, point);
                }
            }
        }
    }
}

struct Line {
    inside: f32,
    outside: f32,
    colour: [f32; 3],
    opacity: f32,
}

impl Line {
    fn draw(&self, pixel: u32, point: &Point) -> u32 {
        let up_to = |width: f32| (width - point.signed + 0.5).clamp(0.0, 1.0);
        let shape = point.coverage;
        let over = if self.inside > 0.0 {
            (shape - up_to(-self.inside)).max(0.0)
        } else {
            0.0
        };
        let [r, g, b, alpha] = unpack(pixel);
        // Of the picture's part of the pixel, this share lies below the line.
        let below = if shape > 0.0 {
            over / shape * self.opacity
        } else {
            0.0
        };
        let beside = if self.outside > 0.0 {
            (up_to(self.outside) - shape).clamp(0.0, 1.0 - alpha * (1.0 / 255.0))
        } else {
            0.0
        };
        let keep = 1.0 - below;
        // No more than what is left of the pixel: a soft picture may cover more than its shape.
        let share = ((over + beside) * self.opacity).min(1.0 - keep * alpha * (1.0 / 255.0));
        let [r, g, b] =
            [(r, 0), (g, 1), (b, 2)].map(|(value, c)| value * keep + self.colour[c] * share);
        let alpha = (alpha * keep + 255.0 * share + 0.5) as u32;
        pack(r, g, b, alpha.min(255))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, pictures, wild};

    const PLACEMENTS: [Placement; 3] = [Placement::Inside, Placement::Center, Placement::Outside];

    fn disc(side: u32, alpha: f64) -> Pixels {
        draw(side, side, |x, y| {
            let share = area(x, y, side, |d| d < 20.0);
            let value = (share * alpha).round() as u8;
            [0, 0, value, value]
        })
    }

    /// The share of a pixel whose points' distance from the middle passes a test.
    fn area(x: u32, y: u32, side: u32, test: impl Fn(f64) -> bool) -> f64 {
        let middle = f64::from(side) / 2.0;
        let hits = (0..400).filter(|i| {
            let sub = |from: u32, i: u32| f64::from(from) + (f64::from(i) + 0.5) / 20.0 - middle;
            test(sub(x, i % 20).hypot(sub(y, i / 20)))
        });
        hits.count() as f64 / 400.0
    }

    #[test]
    fn a_line_round_a_disc_is_the_ring_it_should_be() {
        for (placement, low, high) in [
            (Placement::Inside, 17.0, 20.0),
            (Placement::Center, 18.5, 21.5),
            (Placement::Outside, 20.0, 23.0),
        ] {
            for alpha in [255.0, 128.0] {
                let mut pixels = disc(60, alpha);
                let border = Border {
                    width: 3.0,
                    colour: [255, 0, 0, 255],
                    placement,
                };
                border.apply(&mut pixels, &mut Scratch::new());
                for y in 0..60 {
                    for x in 0..60 {
                        let ring = area(x, y, 60, |d| d > low && d < high) * 255.0;
                        let inner = area(x, y, 60, |d| d < low.min(20.0)) * alpha;
                        let [r, _, b, a] = pixels.words()[(y * 60 + x) as usize].to_le_bytes();
                        let errors = [
                            f64::from(r) - ring,
                            f64::from(b) - inner,
                            f64::from(a) - ring - inner,
                        ];
                        assert!(
                            errors.iter().all(|error| error.abs() < 30.0),
                            "{placement:?} {alpha} {x} {y}: {errors:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_round_a_box_has_whole_pixels_and_no_seam() {
        let mut pixels = draw(30, 30, |x, y| {
            if (10..20).contains(&x) && (10..20).contains(&y) {
                [0, 0, 255, 255]
            } else {
                [0; 4]
            }
        });
        Border {
            width: 4.0,
            colour: [255, 0, 0, 255],
            placement: Placement::Outside,
        }
        .apply(&mut pixels, &mut Scratch::new());
        let row = &pixels.words()[15 * 30..][..30];
        let (red, blue) = (
            u32::from_le_bytes([255, 0, 0, 255]),
            u32::from_le_bytes([0, 0, 255, 255]),
        );
        let expected: Vec<u32> = (0..30)
            .map(|x| match x {
                6..10 | 20..24 => red,
                10..20 => blue,
                _ => 0,
            })
            .collect();
        assert_eq!(row, expected);
        // The corner is round.
        assert_eq!(pixels.words()[6 * 30 + 6], 0);
    }

    proptest! {
        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), width in wild(), colour: [u8; 4], placement in 0usize..3) {
            let border = Border { width, colour, placement: PLACEMENTS[placement] };
            border.margin();
            at_all_levels(&pixels, |pixels, scratch| border.apply(pixels, scratch));
        }
    }
}
