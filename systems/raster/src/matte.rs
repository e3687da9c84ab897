//! Soft-edged regions of the canvas outside of which nothing shows: what wipes, irises and clock wipes are made of.
//!
//! A matte knows of a rectangle whether all of it, nothing of it or part of it shows; so most tiles are drawn without a matte
//! or not at all, and a moving matte damages only what its edge sweeps. These answers hold to the last bit: they leave more
//! room than the rounding of the loops in `kernels::ramp` can take.

use glam::{DVec2, Vec2};

use crate::{
    kernels::{
        Level,
        ramp::{Ramp, coverage_row},
    },
    rect::IRect,
};

/// Pixels by which a rectangle must clear an edge before the edge is taken not to touch it.
const SLACK: f64 = 1.0 / 64.0;
/// Numbers above this are taken for infinite.
const FAR: f32 = 1e9;
/// A rectangle larger than any canvas.
const EVERYWHERE: IRect = IRect::new(-1_000_000, -1_000_000, 1_000_000, 1_000_000);

/// A region of the canvas, in canvas pixels, that a [`crate::DrawItem`] or a [`crate::Group`] shows itself in.
///
/// Its edge is a linear ramp, centred on the shape's outline and at least one pixel wide, which is anti-aliasing. Starts out as
/// the inside of its shape with the hardest edge; see [`Matte::soft`] and [`Matte::inverted`]. A matte and its inverse add up to
/// the whole on every pixel. A shape that is not finite is empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matte {
    shape: Shape,
    /// Width of the ramp in pixels, at least 1.
    softness: f32,
    inverted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Empty,
    /// Where `dot(p, normal)` is at most `offset`.
    Linear {
        normal: Vec2,
        offset: f32,
    },
    Iris {
        centre: Vec2,
        radius: f32,
    },
    /// A sector of at most half a turn: what lies inside of both edges.
    Wedge {
        centre: Vec2,
        /// Unit normals of the edges, inwards.
        normals: [Vec2; 2],
        /// Cosine of the sector's angle.
        cosine: f32,
    },
}

/// How much of a rectangle a matte shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    Partly,
    Wholly,
}

impl Matte {
    const fn new(shape: Shape) -> Self {
        Self {
            shape,
            softness: 1.0,
            inverted: false,
        }
    }

    /// The half plane of the points whose dot product with `normal` is at most `offset` times its length.
    pub fn linear(normal: Vec2, offset: f32) -> Self {
        let Some(normal) = normal.try_normalize() else {
            return Self::new(Shape::Empty);
        };
        if offset.abs() < FAR {
            Self::new(Shape::Linear { normal, offset })
        } else {
            let everything = offset > 0.0;
            Self {
                inverted: everything,
                ..Self::new(Shape::Empty)
            }
        }
    }

    /// A circle. With a radius below 0 it is empty, once the edge's ramp has left the centre.
    pub fn iris(centre: Vec2, radius: f32) -> Self {
        let is_near = centre.abs().max_element() < FAR && radius.abs() < FAR;
        Self::new(if is_near {
            Shape::Iris { centre, radius }
        } else {
            Shape::Empty
        })
    }

    /// The sector that a hand sweeps that starts at `start`, in turns clockwise from 12 o'clock, and goes on for `sweep` turns:
    /// clockwise above 0, counter-clockwise below. Empty at 0, everything from a whole turn on.
    pub fn clock(centre: Vec2, start: f32, sweep: f32) -> Self {
        let is_near = centre.abs().max_element() < FAR && start.abs() < FAR && sweep.is_finite();
        if !is_near || sweep == 0.0 {
            return Self::new(Shape::Empty);
        }
        if sweep.abs() >= 1.0 {
            return Self::new(Shape::Empty).inverted();
        }
        let (start, sweep) = (f64::from(start), f64::from(sweep));
        let (first, last) = (start.min(start + sweep), start.max(start + sweep));
        // Clockwise from a hand, on a canvas whose y points down.
        let onward = |turns: f64| {
            let (sin, cos) = (turns * std::f64::consts::TAU).sin_cos();
            DVec2::new(cos, sin).as_vec2()
        };
        let cosine = ((last - first) * std::f64::consts::TAU).cos() as f32;
        // The rest of the turn has the same two edges, in the other order.
        let is_large = last - first > 0.5;
        let (from, to) = if is_large {
            (last, first)
        } else {
            (first, last)
        };
        let wedge = Self::new(Shape::Wedge {
            centre,
            normals: [onward(from), -onward(to)],
            cosine,
        });
        if is_large { wedge.inverted() } else { wedge }
    }

    /// A half plane that crosses the rectangle from `min` to `max` in `direction` while `progress` goes from 0 to 1: nothing of
    /// the rectangle shows at 0, all of it at 1, and the ramp of `softness` pixels moves evenly in between.
    pub fn wipe(min: Vec2, max: Vec2, direction: Vec2, softness: f32, progress: f32) -> Self {
        let normal = direction.normalize_or_zero();
        let (middle, half) = ((min + max) * 0.5, (max - min).abs() * 0.5);
        let reach = half.dot(normal.abs()) + ramp_width(softness) * 0.5;
        let offset = middle.dot(normal) + reach * (2.0 * progress - 1.0);
        Self::linear(normal, offset).soft(softness)
    }

    /// A circle around `centre` that grows, while `progress` goes from 0 to 1, from nothing until all of the rectangle from `min`
    /// to `max` shows, ramp of `softness` pixels included.
    pub fn iris_in(min: Vec2, max: Vec2, centre: Vec2, softness: f32, progress: f32) -> Self {
        let corner = (min - centre).abs().max((max - centre).abs());
        let half_ramp = ramp_width(softness) * 0.5;
        let radius = -half_ramp + (corner.length() + 2.0 * half_ramp) * progress;
        Self::iris(centre, radius).soft(softness)
    }

    /// The same with an edge of `softness` pixels; below 1 it is 1.
    #[must_use]
    pub fn soft(self, softness: f32) -> Self {
        Self {
            softness: ramp_width(softness),
            ..self
        }
    }

    /// The same on a canvas that is drawn `scale` times as large, above 0, its origin at `offset`.
    #[must_use]
    pub fn magnified(self, scale: f32, offset: Vec2) -> Self {
        let shape = match self.shape {
            Shape::Empty => Shape::Empty,
            Shape::Linear {
                normal,
                offset: reach,
            } => Shape::Linear {
                normal,
                offset: reach * scale + offset.dot(normal),
            },
            Shape::Iris { centre, radius } => Shape::Iris {
                centre: centre * scale + offset,
                radius: radius * scale,
            },
            Shape::Wedge {
                centre,
                normals,
                cosine,
            } => Shape::Wedge {
                centre: centre * scale + offset,
                normals,
                cosine,
            },
        };
        Self {
            shape,
            softness: ramp_width(self.softness * scale),
            ..self
        }
    }

    /// The same with inside and outside exchanged.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self {
            inverted: !self.inverted,
            ..self
        }
    }

    /// A rectangle outside of which nothing shows; not always the smallest.
    pub fn bounds(&self) -> IRect {
        let half_ramp = self.softness * 0.5;
        match self.shape {
            Shape::Empty if self.inverted => EVERYWHERE,
            Shape::Empty => IRect::EMPTY,
            Shape::Linear { normal, offset } => {
                let (normal, offset) = if self.inverted {
                    (-normal, -offset)
                } else {
                    (normal, offset)
                };
                let reach = offset + half_ramp;
                let mut bounds = EVERYWHERE;
                match (normal.x, normal.y) {
                    (1.0, _) => bounds.x1 = edge(reach.ceil()) + 1,
                    (-1.0, _) => bounds.x0 = edge((-reach).floor()) - 1,
                    (_, 1.0) => bounds.y1 = edge(reach.ceil()) + 1,
                    (_, -1.0) => bounds.y0 = edge((-reach).floor()) - 1,
                    _ => {}
                }
                bounds
            }
            Shape::Iris { centre, radius } if !self.inverted => {
                let reach = radius + half_ramp;
                if reach <= 0.0 {
                    return IRect::EMPTY;
                }
                let (min, max) = ((centre - reach).floor(), (centre + reach).ceil());
                IRect::new(
                    edge(min.x) - 1,
                    edge(min.y) - 1,
                    edge(max.x) + 1,
                    edge(max.y) + 1,
                )
            }
            Shape::Iris { .. } | Shape::Wedge { .. } => EVERYWHERE,
        }
    }

    /// How much of `rect`, which must not be empty, shows. `Nothing` and `Wholly` are certain.
    pub(crate) fn shown(&self, rect: IRect) -> Shown {
        let shown = self.shown_inside(rect);
        match shown {
            Shown::Nothing if self.inverted => Shown::Wholly,
            Shown::Wholly if self.inverted => Shown::Nothing,
            _ => shown,
        }
    }

    fn shown_inside(&self, rect: IRect) -> Shown {
        // Pixels are measured at their centres.
        let min = DVec2::new(f64::from(rect.x0), f64::from(rect.y0)) + 0.5;
        let max = DVec2::new(f64::from(rect.x1), f64::from(rect.y1)) - 0.5;
        let (middle, half) = ((min + max) * 0.5, (max - min) * 0.5);
        let half_ramp = f64::from(self.softness) * 0.5 + SLACK;
        match self.shape {
            Shape::Empty => Shown::Nothing,
            Shape::Linear { normal, offset } => {
                let normal = normal.as_dvec2();
                let depth = f64::from(offset) - middle.dot(normal);
                shown_between(depth, half.dot(normal.abs()), half_ramp)
            }
            Shape::Iris { centre, radius } => {
                let away = (middle - centre.as_dvec2()).abs();
                let (nearest, farthest) = ((away - half).max(DVec2::ZERO), away + half);
                // Distances are less exact the longer they are.
                let half_ramp = half_ramp + farthest.length() * 1e-6;
                let radius = f64::from(radius);
                if radius - farthest.length() >= half_ramp {
                    Shown::Wholly
                } else if radius - nearest.length() <= -half_ramp {
                    Shown::Nothing
                } else {
                    Shown::Partly
                }
            }
            Shape::Wedge {
                centre, normals, ..
            } => {
                let [a, b] = normals.map(|normal| {
                    let normal = normal.as_dvec2();
                    let depth = (middle - centre.as_dvec2()).dot(normal);
                    shown_between(depth, half.dot(normal.abs()), half_ramp)
                });
                match (a, b) {
                    (Shown::Nothing, _) | (_, Shown::Nothing) => Shown::Nothing,
                    (Shown::Wholly, Shown::Wholly) => Shown::Wholly,
                    _ => Shown::Partly,
                }
            }
        }
    }

    /// Writes the coverage of the columns from `x0` of row `y`, as `kernels::ramp` has it.
    pub(crate) fn coverage_row(&self, level: Level, out: &mut [u32], x0: i32, y: i32) {
        let flip = if self.inverted { 255 } else { 0 };
        let first = DVec2::new(0.5, f64::from(y) + 0.5);
        let slope = f64::from(self.softness).recip();
        // What a row has in common is worked out exactly, once.
        let line = |normal: Vec2, depth: f64| {
            let step = f64::from(normal.x) * slope;
            (step as f32, (0.5 + depth * slope) as f32)
        };
        let ramp = match self.shape {
            Shape::Empty => Ramp::Line {
                step: 0.0,
                base: 0.0,
            },
            Shape::Linear { normal, offset } => {
                let depth = f64::from(offset) - first.dot(normal.as_dvec2());
                let (step, base) = line(-normal, depth);
                Ramp::Line { step, base }
            }
            Shape::Iris { centre, radius } => {
                let away = first - centre.as_dvec2();
                Ramp::Circle {
                    dx: away.x as f32,
                    dy_squared: (away.y * away.y) as f32,
                    slope: slope as f32,
                    base: (0.5 + f64::from(radius) * slope) as f32,
                }
            }
            Shape::Wedge {
                centre,
                normals,
                cosine,
            } => {
                let from_centre = first - centre.as_dvec2();
                let lines = normals.map(|normal| line(normal, from_centre.dot(normal.as_dvec2())));
                Ramp::Wedge {
                    steps: lines.map(|(step, _)| step),
                    bases: lines.map(|(_, base)| base),
                    cosine,
                }
            }
        };
        coverage_row(level, out, x0, ramp, flip);
    }
}

/// From the depth inside an edge of a rectangle's middle, and how much shallower or deeper its other pixels lie.
fn shown_between(depth: f64, spread: f64, half_ramp: f64) -> Shown {
    if depth - spread >= half_ramp {
        Shown::Wholly
    } else if depth + spread <= -half_ramp {
        Shown::Nothing
    } else {
        Shown::Partly
    }
}

/// A softness that is no number is the hardest.
fn ramp_width(softness: f32) -> f32 {
    if softness > 1.0 {
        softness.min(1e6)
    } else {
        1.0
    }
}

fn edge(value: f32) -> i32 {
    (value as i32).clamp(-1_000_000, 1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arb_matte() -> impl Strategy<Value = Matte> {
        let at = || (-120.0f32..220.0, -120.0f32..220.0).prop_map(|(x, y)| Vec2::new(x, y));
        let shape = prop_oneof![
            (-3.2f32..3.2, -200.0f32..300.0)
                .prop_map(|(angle, offset)| Matte::linear(Vec2::from_angle(angle), offset)),
            (0u8..4, -200.0f32..300.0).prop_map(|(side, offset)| {
                let normal = [Vec2::X, Vec2::NEG_X, Vec2::Y, Vec2::NEG_Y][usize::from(side)];
                Matte::linear(normal, offset.round())
            }),
            (at(), -20.0f32..260.0).prop_map(|(centre, radius)| Matte::iris(centre, radius)),
            (at(), 0.0f32..1.0, -1.1f32..1.1)
                .prop_map(|(centre, start, sweep)| Matte::clock(centre, start, sweep)),
        ];
        let softness = prop_oneof![Just(0.0f32), 0.0f32..200.0];
        (shape, softness, any::<bool>()).prop_map(|(matte, softness, inverted)| {
            let matte = matte.soft(softness);
            if inverted { matte.inverted() } else { matte }
        })
    }

    fn row(matte: &Matte, x0: i32, y: i32, len: usize) -> Vec<u32> {
        let mut out = vec![0; len];
        matte.coverage_row(Level::new(), &mut out, x0, y);
        out.iter().map(|coverage| coverage & 255).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn what_is_said_of_a_rectangle_holds_for_its_pixels(matte in arb_matte(), x0 in -100i32..150, y0 in -100i32..150, width in 1i32..70, height in 1i32..20) {
            let rect = IRect::new(x0, y0, x0 + width, y0 + height);
            let (shown, bounds) = (matte.shown(rect), matte.bounds());
            for y in rect.y0..rect.y1 {
                for (x, coverage) in (x0..).zip(row(&matte, x0, y, width as usize)) {
                    match shown {
                        Shown::Nothing => prop_assert_eq!(coverage, 0, "{} {}", x, y),
                        Shown::Wholly => prop_assert_eq!(coverage, 255, "{} {}", x, y),
                        Shown::Partly => {}
                    }
                    let is_inside = bounds.contains(IRect::new(x, y, x + 1, y + 1));
                    prop_assert!(coverage == 0 || is_inside, "{} {}", x, y);
                }
            }
        }

        #[test]
        fn a_matte_and_its_inverse_are_the_whole(matte in arb_matte(), y in -100i32..150) {
            let inverse = row(&matte.inverted(), -100, y, 300);
            for (coverage, inverse) in row(&matte, -100, y, 300).into_iter().zip(inverse) {
                prop_assert_eq!(coverage + inverse, 255);
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_empty() {
        for matte in [
            Matte::linear(Vec2::ZERO, 1.0),
            Matte::linear(Vec2::X, f32::NAN),
            Matte::linear(Vec2::new(f32::NAN, 0.0), 1.0),
            Matte::linear(Vec2::X, f32::NEG_INFINITY),
            Matte::iris(Vec2::ZERO, f32::INFINITY),
            Matte::iris(Vec2::splat(f32::NAN), 4.0),
            Matte::clock(Vec2::ZERO, 0.0, f32::NAN),
        ] {
            assert_eq!(row(&matte.soft(f32::NAN), -4, 0, 9), [0; 9], "{matte:?}");
            assert!(matte.bounds().is_empty(), "{matte:?}");
        }
        assert_eq!(
            row(&Matte::linear(Vec2::X, f32::INFINITY), -4, 0, 9),
            [255; 9]
        );
    }
}
