//! How much of each pixel lies inside a rectangle that may be turned, scaled, or off the pixel grid.
//!
//! Coverage is the product of that of two strips, one between each pair of opposite edges, each measured along its normal in
//! canvas pixels. That is exact for upright rectangles, however thin, and anti-aliases turned ones over one pixel.

use glam::{Affine2, Vec2};

use crate::{kernels::scale_pixel, rect::IRect};

/// A strip between two parallel lines: at pixel (x, y), `x * dx + y * dy + offset` is the distance in from the first line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Strip {
    dx: f64,
    dy: f64,
    offset: f64,
    width: f64,
}

/// Added where a bound is computed ahead of the pixels, so that rounding cannot make it too tight.
const SLACK: f64 = 1e-6;

impl Strip {
    fn coverage(&self, from_first: f64) -> f64 {
        (from_first.min(0.5) + (self.width - from_first).min(0.5)).clamp(0.0, 1.0)
    }

    /// The x, as reals, between which the distance from each line is at least `inside`.
    fn columns(&self, base: f64, inside: f64) -> (f64, f64) {
        let (low, high) = (inside - base, self.width - inside - base);
        // A strip thinner than twice `inside` has no such columns.
        if low > high {
            return (0.0, -1.0);
        }
        if self.dx.abs() < 1e-12 {
            return if low <= 0.0 && high >= 0.0 {
                (f64::NEG_INFINITY, f64::INFINITY)
            } else {
                (0.0, -1.0)
            };
        }
        let (a, b) = (low / self.dx, high / self.dx);
        (a.min(b), a.max(b))
    }
}

/// The coverage of a rectangle under an affine map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coverage {
    strips: [Strip; 2],
}

impl Coverage {
    /// Of the rectangle `0..size` mapped by `canvas_from_rect`. `None` when it has no area to speak of.
    pub fn new(canvas_from_rect: Affine2, size: Vec2) -> Option<Self> {
        let matrix = canvas_from_rect.matrix2.as_dmat2();
        let det = matrix.determinant();
        let has_area = det.abs() > 1e-9 && size.x > 0.0 && size.y > 0.0;
        if !has_area || !canvas_from_rect.is_finite() {
            return None;
        }
        let inverse = matrix.inverse();
        let origin = canvas_from_rect.translation.as_dvec2();
        let strip = |row: glam::DVec2, width: f32| {
            // Distances in canvas pixels are those of the rectangle's space over the length of the gradient.
            let scale = row.length();
            let (dx, dy) = (row.x / scale, row.y / scale);
            // Pixels are measured at their centres.
            Strip {
                dx,
                dy,
                offset: (0.5 - origin.x) * dx + (0.5 - origin.y) * dy,
                width: f64::from(width) / scale,
            }
        };
        Some(Self {
            strips: [strip(inverse.row(0), size.x), strip(inverse.row(1), size.y)],
        })
    }

    /// The columns of row `y` that may be covered at all, clipped to `x0..x1`.
    pub fn columns(&self, y: i32, x0: i32, x1: i32) -> (i32, i32) {
        self.columns_inside(y, -0.5 - SLACK, x0, x1, f64::floor, f64::ceil)
    }

    /// The columns of row `y` that are covered wholly, clipped to `x0..x1`.
    fn whole_columns(&self, y: i32, x0: i32, x1: i32) -> (i32, i32) {
        self.columns_inside(y, 0.5 + SLACK, x0, x1, f64::ceil, f64::floor)
    }

    fn columns_inside(
        &self,
        y: i32,
        inside: f64,
        x0: i32,
        x1: i32,
        first: fn(f64) -> f64,
        last: fn(f64) -> f64,
    ) -> (i32, i32) {
        let (mut from, mut to) = (f64::from(x0), f64::from(x1 - 1));
        for strip in &self.strips {
            let (low, high) = strip.columns(f64::from(y) * strip.dy + strip.offset, inside);
            from = from.max(low);
            to = to.min(high);
        }
        if from > to {
            return (x0, x0);
        }
        let (from, to) = (first(from) as i32, last(to) as i32 + 1);
        (from.clamp(x0, x1), to.clamp(x0, x1))
    }

    /// Coverage of one pixel, 0 to 255.
    fn at(&self, x: i32, y: i32) -> u32 {
        let [a, b] = self.strips.map(|strip| {
            strip.coverage(f64::from(x) * strip.dx + (f64::from(y) * strip.dy + strip.offset))
        });
        (a * b * 255.0 + 0.5) as u32
    }

    /// Multiplies the pixels of `row`, which starts at column `x0` of row `y`, by their coverage.
    pub fn apply(&self, row: &mut [u32], x0: i32, y: i32) {
        let x1 = x0 + row.len() as i32;
        let (from, to) = self.whole_columns(y, x0, x1);
        let (from, to) = if from < to { (from, to) } else { (x1, x1) };
        for x in (x0..from).chain(to..x1) {
            let pixel = &mut row[(x - x0) as usize];
            *pixel = scale_pixel(*pixel, self.at(x, y));
        }
    }
}

/// The pixels a mapped rectangle may touch. Empty when it is not finite.
pub(crate) fn outer_bounds(canvas_from_rect: Affine2, size: Vec2) -> IRect {
    if !canvas_from_rect.is_finite() || !size.is_finite() {
        return IRect::EMPTY;
    }
    let corners = [
        Vec2::ZERO,
        Vec2::new(size.x, 0.0),
        Vec2::new(0.0, size.y),
        size,
    ]
    .map(|corner| canvas_from_rect.transform_point2(corner));
    let min = corners.iter().copied().fold(Vec2::INFINITY, Vec2::min) - 0.01;
    let max = corners.iter().copied().fold(Vec2::NEG_INFINITY, Vec2::max) + 0.01;
    // A float that does not fit saturates. One pixel more on each side is where anti-aliasing may reach.
    let edge = |value: f32| (value as i32).clamp(-1_000_000, 1_000_000);
    IRect::new(
        edge(min.x.floor()) - 1,
        edge(min.y.floor()) - 1,
        edge(max.x.ceil()) + 1,
        edge(max.y.ceil()) + 1,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn covered(coverage: &Coverage, x: i32, y: i32) -> u32 {
        let mut row = [u32::MAX; 40];
        coverage.apply(&mut row, -10, y);
        let (from, to) = coverage.columns(y, -10, 30);
        let value = row[(x + 10) as usize] >> 24;
        assert!(value == 0 || (from..to).contains(&x));
        value
    }

    #[test]
    fn upright_edges_are_exact() {
        let coverage = Coverage::new(
            Affine2::from_translation(Vec2::new(2.25, 1.0)),
            Vec2::new(3.0, 2.0),
        )
        .unwrap();
        assert_eq!(
            [1, 2, 3, 4, 5, 6].map(|x| covered(&coverage, x, 1)),
            [0, 191, 255, 255, 64, 0]
        );
        assert_eq!(
            [0, 1, 2, 3].map(|y| covered(&coverage, 3, y)),
            [0, 255, 255, 0]
        );
    }

    #[test]
    fn a_thin_line_keeps_its_area() {
        let coverage = Coverage::new(
            Affine2::from_translation(Vec2::new(2.4, 0.0)),
            Vec2::new(0.2, 4.0),
        )
        .unwrap();
        assert_eq!([1, 2, 3].map(|x| covered(&coverage, x, 1)), [0, 51, 0]);
    }

    #[test]
    fn a_turned_square_keeps_its_area() {
        let turned = Affine2::from_angle_translation(0.5, Vec2::new(10.0, -3.0));
        let coverage = Coverage::new(turned, Vec2::new(9.0, 9.0)).unwrap();
        let bounds = outer_bounds(turned, Vec2::new(9.0, 9.0));
        let mut area = 0.0;
        for y in bounds.y0..bounds.y1 {
            for x in bounds.x0.max(-10)..bounds.x1.min(30) {
                area += f64::from(covered(&coverage, x, y)) / 255.0;
            }
        }
        assert!((area - 81.0).abs() < 0.5, "{area}");
    }

    #[test]
    fn nothing_is_covered_by_a_rectangle_without_area() {
        assert!(Coverage::new(Affine2::from_scale(Vec2::new(1.0, 0.0)), Vec2::ONE).is_none());
        assert!(
            Coverage::new(
                Affine2::from_translation(Vec2::new(f32::NAN, 0.0)),
                Vec2::ONE
            )
            .is_none()
        );
    }
}
