//! How far each pixel is from the edge of the picture's shape, to a fraction of a pixel.
//!
//! The shape is where alpha is at least half of what it is close by, so that a translucent card has the same edge as an opaque
//! one. Where the edge crosses a pixel, how much of that pixel is covered and the direction in which coverage grows say where
//! exactly: that is a site, a short piece of a line. The nearest site of every pixel is found as Felzenszwalb and Huttenlocher,
//! "Distance Transforms of Sampled Functions" (2012), do it: first down and up each column, then along each row as the lower
//! envelope of parabolas, whose tips here need not lie on whole pixels. The distance is then that to the site's piece of line.

use fearless_simd::{Level, dispatch};

use super::Pixels;

/// No site.
const NONE: u32 = u32::MAX;

/// Below this alpha nothing counts as a shape of its own.
const ALPHA_MIN: u8 = 32;

/// How far to look for the alpha that counts as covered, in pixels: an anti-aliased edge is thinner.
const LOCAL: usize = 2;

/// Pixels that are looked at together.
const RUN: usize = 64;

/// A site stays inside of its pixel, so that sites of a row keep their order.
const INSIDE: f32 = 0.4995;

/// Sites passed on the way along an edge to the nearest one.
const STEPS_MAX: usize = 16;

/// Below this length, of 4.8 at most, the gradient of coverage has no direction.
const GRADIENT_MIN: f32 = 0.4;

/// A piece of the shape's edge.
#[derive(Clone, Copy, Debug)]
struct Site {
    /// The number of its pixel.
    pixel: u32,
    x: f32,
    y: f32,
    /// Along the edge.
    tangent: [f32; 2],
    /// Half the length of the piece.
    half: f32,
    /// Half the width of the shape, for a line thinner than a pixel, which is a site as a whole.
    thick: f32,
    /// Alpha of the shape close by, 0 to 255.
    level: f32,
}

/// What is known of one pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Distance to the edge, negative inside of the shape. Infinite when it is above the limit.
    pub signed: f32,
    /// Alpha of the shape at the nearest edge, 0 to 255; 0 when that is above the limit.
    pub level: f32,
    /// How much of the pixel the shape covers, 0 to 1.
    pub coverage: f32,
}

/// A parabola of a row's lower envelope.
#[derive(Clone, Copy, Debug)]
struct Parabola {
    site: u32,
    x: f32,
    height: f32,
    /// Where it becomes the lowest.
    from: f32,
}

/// The nearest sites of a picture's pixels.
#[derive(Debug, Default)]
pub(super) struct Distance {
    width: usize,
    height: usize,
    limit: f32,
    /// The largest alpha close by.
    local: Vec<u8>,
    /// Alpha in 255ths of that.
    coverage: Vec<u8>,
    sites: Vec<Site>,
    /// Each pixel's own site.
    own: Vec<u32>,
    /// The nearest site in the pixel's own column.
    nearest: Vec<u32>,
    envelope: Vec<Parabola>,
    points: Vec<Point>,
    row_spare: Vec<u8>,
}

impl Distance {
    /// Finds the edge of the shape of `pixels`. Distances above `limit` pixels are not looked for.
    pub fn measure(&mut self, pixels: &Pixels, limit: f32, level: Level) {
        (self.width, self.height) = (pixels.width(), pixels.height());
        self.limit = limit;
        dispatch!(level, _simd => self.cover(pixels));
        self.sites.clear();
        self.own.clear();
        self.own.resize(self.width * self.height, NONE);
        for y in 0..self.height {
            for from in (0..self.width).step_by(RUN) {
                let to = (from + RUN).min(self.width);
                if !self.is_plain(from, to, y) {
                    for x in from..to {
                        self.find_site(x, y);
                    }
                }
            }
        }
        self.sweep();
    }

    /// Whether there cannot be a site in a run of row `y`: nothing is covered there, or all of it with covered pixels all round.
    fn is_plain(&self, from: usize, to: usize, y: usize) -> bool {
        let row = |y: usize| &self.coverage[y * self.width..][..self.width];
        let own = &row(y)[from..to];
        if own.iter().fold(0, |all, covered| all | covered) == 0 {
            return true;
        }
        let is_inner = y > 0 && y + 1 < self.height && from > 0 && to < self.width;
        is_inner
            && all_are(&row(y)[from - 1..=to])
            && all_are(&row(y - 1)[from..to])
            && all_are(&row(y + 1)[from..to])
    }

    /// Coverage, as alpha over the largest alpha close by.
    #[inline(always)]
    fn cover(&mut self, pixels: &Pixels) {
        let (width, height) = (self.width, self.height);
        let resize = |bytes: &mut Vec<u8>, len: usize| {
            bytes.clear();
            bytes.resize(len, 0);
        };
        resize(&mut self.coverage, width * height);
        resize(&mut self.local, width * height);
        resize(&mut self.row_spare, width + 2 * LOCAL);
        if width == 0 {
            return;
        }
        // Along rows, into the place of coverage.
        let rows = pixels.words().chunks_exact(width);
        for (row, wide) in rows.zip(self.coverage.chunks_exact_mut(width)) {
            for (alpha, pixel) in self.row_spare[LOCAL..].iter_mut().zip(row) {
                *alpha = (pixel >> 24) as u8;
            }
            wide.fill(0);
            // One shift after the other: loops over whole rows are vectorized.
            for shift in 0..=2 * LOCAL {
                for (largest, alpha) in wide.iter_mut().zip(&self.row_spare[shift..]) {
                    *largest = (*largest).max(*alpha);
                }
            }
        }
        for (y, largest) in self.local.chunks_exact_mut(width).enumerate() {
            for near in y.saturating_sub(LOCAL)..=(y + LOCAL).min(height - 1) {
                let wide = &self.coverage[near * width..][..width];
                for (largest, wide) in largest.iter_mut().zip(wide) {
                    *largest = (*largest).max(*wide);
                }
            }
        }
        let pairs = self.coverage.iter_mut().zip(&mut self.local);
        for ((covered, local), pixel) in pairs.zip(pixels.words()) {
            let alpha = pixel >> 24;
            *local = (*local).max(ALPHA_MIN);
            let local = u32::from(*local);
            *covered = match alpha {
                0 => 0,
                alpha if alpha == local => 255,
                alpha => ((alpha * 255 + local / 2) / local) as u8,
            };
        }
    }

    /// Coverage of the nine pixels round one, row by row; none beyond the picture.
    fn around(&self, x: usize, y: usize) -> [[u8; 3]; 3] {
        let at = |x: usize, y: usize| {
            let inside = x < self.width && y < self.height;
            if inside {
                self.coverage[y * self.width + x]
            } else {
                0
            }
        };
        [y.wrapping_sub(1), y, y + 1].map(|y| [x.wrapping_sub(1), x, x + 1].map(|x| at(x, y)))
    }

    fn find_site(&mut self, x: usize, y: usize) {
        let at = y * self.width + x;
        let covered = self.coverage[at];
        if covered == 0 {
            return;
        }
        let inner = x > 0 && y > 0 && x + 1 < self.width && y + 1 < self.height;
        if covered == 255 && inner {
            let sides = [at - 1, at + 1, at - self.width, at + self.width];
            if sides.iter().all(|&side| self.coverage[side] != 0) {
                return;
            }
        }
        let around = self.around(x, y);
        let piece = if covered == 255 {
            whole_piece(&around)
        } else {
            part_piece(&around)
        };
        if let Some(mut site) = piece {
            site.x = x as f32 + site.x.clamp(-INSIDE, INSIDE);
            site.y = y as f32 + site.y.clamp(-INSIDE, INSIDE);
            site.level = f32::from(self.local[at]);
            site.pixel = at as u32;
            self.own[at] = self.sites.len() as u32;
            self.sites.push(site);
        }
    }

    /// Spreads sites down and up their columns.
    fn sweep(&mut self) {
        self.nearest.clone_from(&self.own);
        let width = self.width;
        let (sites, limit) = (&self.sites, self.limit);
        let gap = |site: u32, y: f32| {
            let site = sites.get(site as usize);
            site.map_or(f32::INFINITY, |site| (site.y - y).abs())
        };
        let mut pull = |from: usize, to: usize, y: f32| {
            for first in (0..width).step_by(RUN) {
                let run = first..(first + RUN).min(width);
                let others = &self.nearest[from + run.start..from + run.end];
                if others.iter().fold(NONE, |all, other| all & other) == NONE {
                    continue;
                }
                for x in run {
                    let (other, own) = (self.nearest[from + x], self.nearest[to + x]);
                    if other == NONE || other == own {
                        continue;
                    }
                    let other_gap = gap(other, y);
                    // What is too far away is not carried on, which leaves most of a large picture without any.
                    if other_gap <= limit && other_gap < gap(own, y) {
                        self.nearest[to + x] = other;
                    }
                }
            }
        };
        for y in 1..self.height {
            pull((y - 1) * width, y * width, y as f32);
        }
        for y in (1..self.height).rev() {
            pull(y * width, (y - 1) * width, (y - 1) as f32);
        }
    }

    /// Works out row `y`, for [`Distance::points`].
    pub fn row(&mut self, y: usize) {
        self.find_envelope(y);
        self.points.clear();
        let covered = &self.coverage[y * self.width..][..self.width];
        self.points.extend(covered.iter().map(|&covered| {
            let inside = covered >= 128;
            Point {
                signed: if inside {
                    f32::NEG_INFINITY
                } else {
                    f32::INFINITY
                },
                level: 0.0,
                coverage: f32::from(u8::from(inside)),
            }
        }));
        let limit = self.limit * self.limit;
        let column = |x: f32| (x.max(0.0) as usize).min(self.width);
        let mut points = std::mem::take(&mut self.points);
        for (index, parabola) in self.envelope.iter().enumerate() {
            // It is the lowest up to the next one, and matters no further than the limit.
            let next = self
                .envelope
                .get(index + 1)
                .map_or(f32::INFINITY, |next| next.from);
            let reach = (limit - parabola.height).max(0.0).sqrt() + 1.0;
            let from = parabola.from.max(parabola.x - reach).ceil();
            let to = next.min(parabola.x + reach).ceil();
            for x in column(from)..column(to) {
                let (at, covered) = (x as f32, covered[x]);
                if (at - parabola.x).powi(2) + parabola.height > limit {
                    continue;
                }
                let Some((site, distance)) = self.descend(parabola.site, at, y as f32) else {
                    continue;
                };
                let point = &mut points[x];
                point.signed = if covered >= 128 {
                    -distance.abs()
                } else {
                    distance.max(0.0)
                };
                point.level = site.level;
                // Further away a coverage in between is a soft picture's own, not the edge's.
                if distance.abs() < 0.75 || site.thick > 0.0 && distance < 0.5 {
                    point.coverage = f32::from(covered) * (1.0 / 255.0);
                }
            }
        }
        self.points = points;
    }

    /// The nearest site to a point, from a near one along the edge.
    ///
    /// A column keeps for each row the site that is nearest in height, but on a steep edge a higher or lower one may reach
    /// further out towards the point.
    fn descend(&self, from: u32, x: f32, y: f32) -> Option<(&Site, f32)> {
        let mut site = self.sites.get(from as usize)?;
        let mut distance = site.distance(x, y);
        for _ in 0..STEPS_MAX {
            let (column, row) = (
                site.pixel as usize % self.width,
                site.pixel as usize / self.width,
            );
            let rows = row.saturating_sub(1)..(row + 2).min(self.height);
            let columns = column.saturating_sub(1)..(column + 2).min(self.width);
            let before = distance;
            for at in
                rows.flat_map(|row| columns.clone().map(move |column| row * self.width + column))
            {
                if let Some(other) = self.sites.get(self.own[at] as usize) {
                    let closer = other.distance(x, y);
                    if closer < distance {
                        (site, distance) = (other, closer);
                    }
                }
            }
            if distance >= before {
                break;
            }
        }
        Some((site, distance))
    }

    /// The pixels of the row last worked out.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The lower envelope of the squared distances from the sites that the columns have for row `y`.
    fn find_envelope(&mut self, y: usize) {
        self.envelope.clear();
        let nearest = &self.nearest[y * self.width..][..self.width];
        for &index in nearest {
            let Some(site) = self.sites.get(index as usize) else {
                continue;
            };
            let dy = site.y - y as f32;
            if dy.abs() > self.limit {
                continue;
            }
            let mut next = Parabola {
                site: index,
                x: site.x,
                height: dy * dy,
                from: f32::NEG_INFINITY,
            };
            while let Some(last) = self.envelope.last() {
                let middle = (next.x + last.x) * 0.5;
                next.from = middle + (next.height - last.height) / (2.0 * (next.x - last.x));
                if next.from > last.from {
                    break;
                }
                self.envelope.pop();
                next.from = f32::NEG_INFINITY;
            }
            self.envelope.push(next);
        }
    }
}

/// Whether all pixels of a run are covered altogether.
fn all_are(covered: &[u8]) -> bool {
    covered.iter().fold(255, |all, covered| all & covered) == 255
}

impl Site {
    fn new(offset: [f32; 2], tangent: [f32; 2], half: f32, thick: f32) -> Self {
        Self {
            pixel: 0,
            x: offset[0],
            y: offset[1],
            tangent,
            half,
            thick,
            level: 0.0,
        }
    }

    /// From the middle of a pixel to the piece of line.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.x, y - self.y);
        let along = (dx * self.tangent[0] + dy * self.tangent[1]).clamp(-self.half, self.half);
        let (dx, dy) = (dx - along * self.tangent[0], dy - along * self.tangent[1]);
        (dx * dx + dy * dy).sqrt() - self.thick
    }
}

/// The edge at a pixel that is wholly covered: it has one where a neighbour is not covered at all.
fn whole_piece(around: &[[u8; 3]; 3]) -> Option<Site> {
    let empty = |covered: u8| f32::from(u8::from(covered == 0));
    let [left, right] = [empty(around[1][0]), empty(around[1][2])];
    let [top, bottom] = [empty(around[0][1]), empty(around[2][1])];
    let (x, y) = (right - left, bottom - top);
    match (left + right + top + bottom) as u32 {
        0 => None,
        // A straight edge, between the two pixels.
        1 => Some(Site::new([x * 0.5, y * 0.5], [y.abs(), x.abs()], 0.5, 0.0)),
        // A corner.
        2 if x != 0.0 => Some(Site::new([x * 0.5, y * 0.5], [0.0; 2], 0.0, 0.0)),
        // A line of one pixel.
        2 => Some(Site::new([0.0; 2], [top, left], 0.5, 0.5)),
        _ => Some(Site::new([0.0; 2], [0.0; 2], 0.0, 0.5)),
    }
}

/// The edge at a pixel that is covered in part, where covered pixels meet uncovered ones.
fn part_piece(around: &[[u8; 3]; 3]) -> Option<Site> {
    let flat = around.as_flattened();
    let any = |test: fn(u8) -> bool| flat.iter().any(|&covered| test(covered));
    if !any(|covered| covered >= 128) || !any(|covered| covered < 128) {
        return None;
    }
    let c = around.map(|row| row.map(|covered| f32::from(covered) * (1.0 / 255.0)));
    let area = c[1][1];
    let diagonal = std::f32::consts::SQRT_2;
    let gradient_x =
        c[0][2] + diagonal * c[1][2] + c[2][2] - c[0][0] - diagonal * c[1][0] - c[2][0];
    let gradient_y =
        c[2][0] + diagonal * c[2][1] + c[2][2] - c[0][0] - diagonal * c[0][1] - c[0][2];
    let length = (gradient_x * gradient_x + gradient_y * gradient_y).sqrt();
    if length < GRADIENT_MIN {
        return Some(Site::new([0.0; 2], [0.0; 2], 0.0, area * 0.5));
    }
    let normal = [gradient_x / length, gradient_y / length];
    let offset = line_offset(normal, area);
    let steep = normal[0].abs().max(normal[1].abs());
    Some(Site::new(
        [normal[0] * offset, normal[1] * offset],
        [-normal[1], normal[0]],
        0.5 / steep,
        0.0,
    ))
}

/// How far along `normal`, which points into the shape, the edge lies from the middle of a pixel of which `area` is covered.
///
/// A line across the pixel cuts off a triangle, a trapezium, or all but a triangle; each case is solved for the line.
fn line_offset(normal: [f32; 2], area: f32) -> f32 {
    let (a, b) = (normal[0].abs(), normal[1].abs());
    let (long, short) = (a.max(b), a.min(b));
    // The triangle at a corner grows up to this area.
    let triangle = 0.5 * short / long;
    let reach = 0.5 * (long + short);
    if area < triangle {
        reach - (2.0 * long * short * area).sqrt()
    } else if area <= 1.0 - triangle {
        (0.5 - area) * long
    } else {
        (2.0 * long * short * (1.0 - area)).sqrt() - reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::draw;

    /// A disc with the true coverage of its edge pixels.
    fn disc(side: u32, centre: [f64; 2], radius: f64, alpha: f64) -> Pixels {
        draw(side, side, |x, y| {
            let hits = (0..256).filter(|i| {
                let sub = |from: u32, i: u32| f64::from(from) - 0.5 + (f64::from(i) + 0.5) / 16.0;
                (sub(x, i % 16) - centre[0]).hypot(sub(y, i / 16) - centre[1]) < radius
            });
            let value = (hits.count() as f64 / 256.0 * alpha).round() as u8;
            [value; 4]
        })
    }

    #[test]
    fn distances_from_a_disc_are_true_to_a_tenth() {
        for (centre, alpha) in [
            ([30.3, 29.6], 255.0),
            ([30.0, 30.5], 255.0),
            ([29.8, 30.1], 120.0),
        ] {
            let radius = 14.7;
            let pixels = disc(60, centre, radius, alpha);
            let mut distance = Distance::default();
            distance.measure(&pixels, 12.0, Level::new());
            for y in 0..60 {
                distance.row(y);
                for (x, point) in distance.points().iter().enumerate() {
                    let truth = (x as f64 - centre[0]).hypot(y as f64 - centre[1]) - radius;
                    if truth.abs() < 11.0 {
                        let error = f64::from(point.signed) - truth;
                        assert!(
                            error.abs() < 0.12,
                            "{x} {y}: {} for {truth}, alpha {alpha}",
                            point.signed
                        );
                        assert!((f64::from(point.level) - alpha).abs() <= 1.0);
                    } else if truth.abs() > 13.0 {
                        assert!(f64::from(point.signed).is_infinite());
                        assert_eq!(point.signed < 0.0, truth < 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn distances_from_a_straight_edge_are_exact() {
        for angle in [0.0f64, 0.2, 0.5, std::f64::consts::FRAC_PI_4] {
            let normal = [angle.cos(), angle.sin()];
            let depth = |x: f64, y: f64| (x - 20.2) * normal[0] + (y - 20.4) * normal[1];
            let pixels = draw(40, 40, |x, y| {
                let hits = (0..4096).filter(|i| {
                    let sub =
                        |from: u32, i: u32| f64::from(from) - 0.5 + (f64::from(i) + 0.5) / 64.0;
                    depth(sub(x, i % 64), sub(y, i / 64)) < 0.0
                });
                [(f64::from(hits.count() as u32) / 4096.0 * 255.0).round() as u8; 4]
            });
            let mut distance = Distance::default();
            distance.measure(&pixels, 9.0, Level::new());
            for y in 12..28 {
                distance.row(y);
                for x in 12..28 {
                    let truth = depth(x as f64, y as f64);
                    let found = f64::from(distance.points()[x].signed);
                    // The picture's own ends are edges too.
                    if truth.abs() < 6.0 {
                        assert!(
                            (found - truth).abs() < 0.06,
                            "{angle}: {found} for {truth} at {x} {y}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_nearest_site_is_found_as_by_trying_all() {
        let pixels = draw(37, 29, |x, y| {
            let hit = (x * 7 + y * 13) % 31 < 2 || (x / 6 + y / 5) % 4 == 0;
            if hit { [255; 4] } else { [0; 4] }
        });
        let mut distance = Distance::default();
        distance.measure(&pixels, 50.0, Level::new());
        for y in 0..29 {
            distance.row(y);
            for (x, point) in distance.points().iter().enumerate() {
                let gap = |site: &Site| (site.x - x as f32).hypot(site.y - y as f32);
                let nearest = distance.sites.iter().map(gap).fold(f32::INFINITY, f32::min);
                // A piece of line may come closer than its middle, by its own size at most.
                assert!(
                    (point.signed.abs() - nearest).abs() < 0.8,
                    "{x} {y}: {point:?} {nearest}"
                );
            }
        }
    }
}
