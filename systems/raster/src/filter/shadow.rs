//! A shadow below the picture: its alpha, grown, blurred, moved, in one colour.

use fearless_simd::{Level, dispatch};

use super::{Alpha, Blur, Margin, Pixels, Scratch, distance::Distance, reach, round_bits, within};

/// Offsets, spreads: no picture is longer.
const LENGTH_MAX: f32 = crate::raster::SIDE_MAX as f32;

/// A soft copy of the picture's shape in one colour, below the picture.
///
/// With A the picture's alpha, S(x, y) its shape grown by `spread` and blurred by `sigma`, and c and o the colour and its
/// opacity, each pixel becomes `picture + c * o * S((x, y) - offset) * (1 - A)`. A fractional offset is taken between pixels
/// linearly, so that a shadow moves smoothly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropShadow {
    /// How far the shadow lies to the right and below, in pixels.
    pub offset: [f32; 2],
    /// Standard deviation of its blur in pixels, 0 to [`super::SIGMA_MAX`].
    pub sigma: f32,
    /// Pixels by which the shape grows on every side before it is blurred; negative ones shrink it.
    pub spread: f32,
    /// Red, green, blue, opacity; not premultiplied.
    pub colour: [u8; 4],
}

impl DropShadow {
    /// The room that the shadow takes beside the picture.
    pub fn margin(&self) -> Margin {
        let spread = within(self.spread, 0.0, LENGTH_MAX, 0.0).ceil();
        let grown = reach(self.sigma) as f32 + spread;
        Margin::moved(grown, grown, self.offset.map(finite_offset))
    }

    /// Draws the shadow below `pixels`.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        if self.colour[3] == 0 {
            return;
        }
        let Scratch {
            level,
            blur,
            plane,
            shadow_row,
            distance,
            ..
        } = scratch;
        plane.fill_from(pixels);
        let spread = within(self.spread, -LENGTH_MAX, LENGTH_MAX, 0.0);
        if spread != 0.0 {
            grow(plane, pixels, spread, distance, *level);
        }
        Blur::new(self.sigma).run(&mut super::planes::One(plane), *level, blur);
        let paint = Paint {
            colour: self.colour,
            offset: self.offset.map(finite_offset),
            strength: 1.0,
        };
        paint.below(pixels, plane, shadow_row, *level);
    }
}

fn finite_offset(offset: f32) -> f32 {
    within(offset, -LENGTH_MAX, LENGTH_MAX, 0.0)
}

/// Moves the edge of the shape outwards by `spread` pixels, at an equal distance, so that corners become round.
fn grow(plane: &mut Alpha, pixels: &Pixels, spread: f32, distance: &mut Distance, level: Level) {
    distance.measure(pixels, spread.abs() + 1.0, level);
    for (y, row) in plane
        .values
        .chunks_exact_mut(plane.width.max(1))
        .enumerate()
    {
        distance.row(y);
        for (value, point) in row.iter_mut().zip(distance.points()) {
            let coverage = (spread + 0.5 - point.signed).clamp(0.0, 1.0);
            *value = if spread > 0.0 {
                (*value).max((coverage * point.level * 256.0 + 0.5) as u16)
            } else {
                (f32::from(*value) * coverage + 0.5) as u16
            };
        }
    }
}

/// How a plane of alpha is drawn below a picture.
pub(super) struct Paint {
    /// Not premultiplied.
    pub colour: [u8; 4],
    /// To the right and down, within the longest side of a picture.
    pub offset: [f32; 2],
    /// Factor on the alpha, whose product is limited to 1.
    pub strength: f32,
}

impl Paint {
    pub fn below(&self, pixels: &mut Pixels, plane: &Alpha, row: &mut Vec<f32>, level: Level) {
        dispatch!(level, _simd => below(self, pixels, plane, row));
    }
}

#[inline(always)]
fn below(paint: &Paint, pixels: &mut Pixels, plane: &Alpha, mixed: &mut Vec<f32>) {
    let (width, height) = (plane.width, plane.height);
    let [offset_x, offset_y] = paint.offset;
    let (whole_x, whole_y) = (offset_x.floor(), offset_y.floor());
    let (part_x, part_y) = (offset_x - whole_x, offset_y - whole_y);
    let (whole_x, whole_y) = (whole_x as isize, whole_y as isize);
    // One empty value on each side of the row.
    mixed.clear();
    mixed.resize(width + 2, 0.0);
    // The columns whose left or right source lies in the plane.
    let from = whole_x.clamp(0, width as isize) as usize;
    let to = (whole_x + width as isize + 1).clamp(0, width as isize) as usize;
    let plane_row = |y: isize| {
        let inside = usize::try_from(y).ok().filter(|y| *y < height);
        inside.map_or(&[][..], |y| &plane.values[y * width..][..width])
    };
    let [r, g, b, opacity] = paint.colour;
    let colour = [r, g, b].map(f32::from);
    let unit = paint.strength / f32::from(Alpha::OPAQUE);
    let opacity = f32::from(opacity) / 255.0;
    for (y, row) in pixels.rows_mut() {
        let source = y as isize - whole_y;
        let (near, far) = (plane_row(source), plane_row(source - 1));
        if near.is_empty() && far.is_empty() || from >= to {
            continue;
        }
        let inner = &mut mixed[1..=width];
        add_row(inner, near, (1.0 - part_y) * unit, false);
        add_row(inner, far, part_y * unit, !near.is_empty());
        let start = (from as isize - whole_x) as usize;
        let left = &mixed[start..][..to - from];
        let right = &mixed[start + 1..][..to - from];
        for ((pixel, &left), &right) in row[from..to].iter_mut().zip(left).zip(right) {
            let value = left * part_x + right * (1.0 - part_x);
            let below = (255 - (*pixel >> 24)) as i32 as f32;
            let share = value.min(1.0) * opacity * (below * (1.0 / 255.0));
            let add = |channel: f32| round_bits(channel * share);
            // No channel overflows: 255 times the share is at most what alpha leaves.
            *pixel += add(colour[0])
                | (add(colour[1]) << 8)
                | (add(colour[2]) << 16)
                | (add(255.0) << 24);
        }
    }
}

/// Sets `row` to `values` times `weight`, or adds that. A missing row of values counts as empty.
#[inline(always)]
fn add_row(row: &mut [f32], values: &[u16], weight: f32, add: bool) {
    if values.is_empty() {
        if !add {
            row.fill(0.0);
        }
    } else if add {
        for (sum, &value) in row.iter_mut().zip(values) {
            *sum += f32::from(value) * weight;
        }
    } else {
        for (sum, &value) in row.iter_mut().zip(values) {
            *sum = f32::from(value) * weight;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, error_max, pictures, unit, wild};

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(
            pixels in pictures(), x in -30.0f32..30.0, y in -30.0f32..30.0, sigma in 0.0f32..6.0, colour: [u8; 4],
        ) {
            let shadow = DropShadow { offset: [x, y], sigma, spread: 0.0, colour };
            let got = at_all_levels(&pixels, |pixels, scratch| shadow.apply(pixels, scratch));
            let mut plane = Alpha::default();
            plane.fill_from(&pixels);
            // The blur is held to floats by its own tests.
            Blur::new(sigma).apply_alpha(&mut plane, &mut Scratch::new());
            let value = |x: f64, y: f64| {
                let inside = x >= 0.0 && y >= 0.0 && x < plane.width as f64 && y < plane.height as f64;
                if inside { f64::from(plane.values[y as usize * plane.width + x as usize]) / f64::from(Alpha::OPAQUE) } else { 0.0 }
            };
            let worst = error_max(&got, |at_x, at_y| {
                let (x, y) = (at_x as f64 - f64::from(x), at_y as f64 - f64::from(y));
                let (left, top) = (x.floor(), y.floor());
                let (dx, dy) = (x - left, y - top);
                let upper = value(left, top) * (1.0 - dx) + value(left + 1.0, top) * dx;
                let lower = value(left, top + 1.0) * (1.0 - dx) + value(left + 1.0, top + 1.0) * dx;
                let picture = unit(pixels.words()[at_y * pixels.width() + at_x]);
                let share = (upper * (1.0 - dy) + lower * dy) * f64::from(colour[3]) / 255.0 * (1.0 - picture[3]);
                let colour = [colour[0], colour[1], colour[2], 255].map(|byte| f64::from(byte) / 255.0);
                std::array::from_fn(|c| picture[c] + colour[c] * share)
            });
            prop_assert!(worst < 0.51, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(
            pixels in pictures(), x in wild(), y in wild(), sigma in wild(), spread in wild(), colour: [u8; 4],
        ) {
            let shadow = DropShadow { offset: [x, y], sigma, spread, colour };
            shadow.margin();
            at_all_levels(&pixels, |pixels, scratch| shadow.apply(pixels, scratch));
        }
    }

    #[test]
    fn the_margin_holds_it() {
        let shadow = DropShadow {
            offset: [7.5, -3.0],
            sigma: 2.0,
            spread: 1.5,
            colour: [9, 9, 9, 255],
        };
        let margin = shadow.margin();
        assert!(margin.right > margin.left && margin.top > margin.bottom);
        let (left, top) = (margin.left, margin.top);
        let side = |a: u32, b: u32| a + b + 10;
        let mut pixels = draw(
            side(left, margin.right),
            side(top, margin.bottom),
            |x, y| {
                if (left..left + 10).contains(&x) && (top..top + 10).contains(&y) {
                    [255; 4]
                } else {
                    [0; 4]
                }
            },
        );
        shadow.apply(&mut pixels, &mut Scratch::new());
        let (width, height) = (pixels.width(), pixels.height());
        let alpha = |x: usize, y: usize| pixels.words()[y * width + x] >> 24;
        assert!((0..width).all(|x| alpha(x, 0).max(alpha(x, height - 1)) <= 1));
        assert!((0..height).all(|y| alpha(0, y).max(alpha(width - 1, y)) <= 1));
    }

    #[test]
    fn spread_grows_a_shape_by_whole_pixels_exactly() {
        let mut pixels = draw(30, 30, |x, y| {
            if (10..20).contains(&x) && (10..20).contains(&y) {
                [255; 4]
            } else {
                [0; 4]
            }
        });
        let shadow = DropShadow {
            offset: [0.0; 2],
            sigma: 0.0,
            spread: 3.0,
            colour: [0, 0, 0, 255],
        };
        shadow.apply(&mut pixels, &mut Scratch::new());
        let row: Vec<u32> = pixels.words()[15 * 30..][..30]
            .iter()
            .map(|pixel| pixel >> 24)
            .collect();
        let expected: Vec<u32> = (0..30)
            .map(|x| if (7..23).contains(&x) { 255 } else { 0 })
            .collect();
        assert_eq!(row, expected);
    }
}
