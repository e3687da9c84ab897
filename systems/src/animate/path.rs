//! Lines that layers move along: at equal steps of length, whatever curves they are drawn with.

use glam::{Vec2, Vec4};
use tiny_skia::PathSegment;

use crate::render::parse_path;

/// How far a chord may lie from its curve, in pixels. Well below what an edge's anti-aliasing shows.
const TOLERANCE: f32 = 0.02;
/// The most chords of one curve.
const CHORDS_MAX: u32 = 512;

/// A line as chords, with the length gone at each of their ends.
#[derive(Clone, Debug)]
pub struct LengthPath {
    points: Vec<Vec2>,
    /// Pixels from the start; rises, and has as many entries as `points`.
    lengths: Vec<f32>,
}

impl LengthPath {
    /// Measures an SVG path; its pieces follow each other without the gaps between them.
    ///
    /// # Errors
    /// What is wrong with the path, or that it has no length.
    pub fn parse(data: &str) -> Result<Self, String> {
        let path = parse_path(data)?;
        let mut measured = Self {
            points: Vec::new(),
            lengths: Vec::new(),
        };
        let (mut at, mut start) = (Vec2::ZERO, Vec2::ZERO);
        for segment in path.segments() {
            match segment {
                PathSegment::MoveTo(to) => {
                    at = point(to);
                    start = at;
                    measured.begin(at);
                }
                PathSegment::LineTo(to) => {
                    at = point(to);
                    measured.go_to(at);
                }
                PathSegment::QuadTo(c, to) => {
                    let (c, to) = (point(c), point(to));
                    let bend = (at - 2.0 * c + to).length();
                    measured.curve(chords(bend * 0.25), |t| {
                        let s = 1.0 - t;
                        s * s * at + 2.0 * s * t * c + t * t * to
                    });
                    at = to;
                }
                PathSegment::CubicTo(c, d, to) => {
                    let (c, d, to) = (point(c), point(d), point(to));
                    let bend = (at - 2.0 * c + d).length().max((c - 2.0 * d + to).length());
                    measured.curve(chords(bend * 0.75), |t| {
                        let s = 1.0 - t;
                        s * s * s * at + 3.0 * s * s * t * c + 3.0 * s * t * t * d + t * t * t * to
                    });
                    at = to;
                }
                PathSegment::Close => {
                    at = start;
                    measured.go_to(at);
                }
            }
        }
        if measured.length() > 0.0 && measured.length().is_finite() {
            Ok(measured)
        } else {
            Err("the path has no length to move along".to_owned())
        }
    }

    /// Its whole length in pixels.
    pub fn length(&self) -> f32 {
        self.lengths.last().copied().unwrap_or_default()
    }

    /// The place after a part of the length, 0 to 1, and the direction there in degrees, clockwise from the right.
    pub fn at(&self, part: f32) -> (Vec2, f32) {
        let gone = part.clamp(0.0, 1.0) * self.length();
        let last = self.points.len().saturating_sub(1);
        // The chord of no length where two pieces meet is never stood on.
        let end = self
            .lengths
            .partition_point(|length| *length <= gone)
            .clamp(1, last);
        let (from, to) = (self.points[end - 1], self.points[end]);
        let (low, high) = (self.lengths[end - 1], self.lengths[end]);
        let along = if high > low {
            ((gone - low) / (high - low)).clamp(0.0, 1.0)
        } else {
            1.0
        };
        let way = to - from;
        (from + way * along, way.y.atan2(way.x).to_degrees())
    }

    /// [`LengthPath::at`] as a track's value: x, y, and the direction in the place of rotation.
    pub(super) fn value(&self, part: f32) -> Vec4 {
        let (place, direction) = self.at(part);
        Vec4::new(place.x, place.y, direction, 0.0)
    }

    fn begin(&mut self, at: Vec2) {
        self.lengths.push(self.length());
        self.points.push(at);
    }

    fn go_to(&mut self, to: Vec2) {
        let step = self.points.last().map_or(0.0, |from| from.distance(to));
        if step > 0.0 {
            self.lengths.push(self.length() + step);
            self.points.push(to);
        }
    }

    fn curve(&mut self, chords: u32, at: impl Fn(f32) -> Vec2) {
        for chord in 1..=chords {
            self.go_to(at(chord as f32 / chords as f32));
        }
    }
}

/// How many chords a curve needs whose middle lies at most `bend` pixels from its chord: the error falls with their square.
fn chords(bend: f32) -> u32 {
    ((bend / TOLERANCE).sqrt().ceil() as u32).clamp(1, CHORDS_MAX)
}

fn point(point: tiny_skia::Point) -> Vec2 {
    Vec2::new(point.x, point.y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_take_equal_lengths() {
        // The speed of this curve's own parameter varies by more than ten times.
        let path = LengthPath::parse("M0 0 C 10 0 990 0 1000 800").expect("a path");
        let places: Vec<Vec2> = (0..=200)
            .map(|step| path.at(step as f32 / 200.0).0)
            .collect();
        let step = path.length() / 200.0;
        for pair in places.windows(2) {
            let gone = pair[0].distance(pair[1]);
            assert!((gone - step).abs() < 0.01 * step + 0.02, "{gone} of {step}");
        }
        assert_eq!(
            (places[0], places[200]),
            (Vec2::ZERO, Vec2::new(1000.0, 800.0))
        );
    }

    #[test]
    fn a_circle_has_its_length_and_its_tangents() {
        let path = LengthPath::parse("M 100 0 A 100 100 0 1 1 -100 0 A 100 100 0 1 1 100 0")
            .expect("a path");
        assert!(
            (path.length() - std::f32::consts::TAU * 100.0).abs() < 0.3,
            "{}",
            path.length()
        );
        for eighth in 0..8 {
            let (place, direction) = path.at(eighth as f32 / 8.0 + 0.001);
            assert!((place.length() - 100.0).abs() < 0.05);
            let tangent = Vec2::from_angle(direction.to_radians());
            assert!(tangent.dot(place / 100.0).abs() < 0.05, "{eighth}");
        }
    }

    #[test]
    fn gaps_are_jumped_and_what_has_no_length_is_refused() {
        let path = LengthPath::parse("M0 0 h100 M0 500 h100").expect("a path");
        assert_eq!(path.length(), 200.0);
        assert_eq!(path.at(0.25).0, Vec2::new(50.0, 0.0));
        assert_eq!(path.at(0.75).0, Vec2::new(50.0, 500.0));
        assert!(LengthPath::parse("M5 5").is_err());
        assert!(LengthPath::parse("M5 5 L 5 5").is_err());
        assert!(LengthPath::parse("up and away").is_err());
    }
}
