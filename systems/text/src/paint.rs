//! Authored paints as tiny-skia shaders. Texts, shapes and gradient layers are filled by the same ones.

use components::value::{Gradient, GradientKind, Paint};
use tiny_skia::{
    Color, GradientStop, LinearGradient, Point, RadialGradient, Rect, Shader, SpreadMode,
    SweepGradient, Transform,
};

/// The shader of `paint` over `rect`, in the space that `rect` is in.
///
/// A gradient that has no extent, because its box or its stops have none, is its last colour.
pub fn paint_shader(paint: &Paint, rect: Rect) -> Shader<'static> {
    paint_shader_in(paint, rect, Transform::identity())
}

/// As [`paint_shader`], for drawing in another space than that of `rect`: `raster_from_rect` maps one to the other. Angles and
/// circles are those of the rect's space.
pub fn paint_shader_in(paint: &Paint, rect: Rect, raster_from_rect: Transform) -> Shader<'static> {
    match paint {
        Paint::Solid(colour) => Shader::SolidColor(solid(*colour)),
        Paint::Gradient(gradient) => gradient_shader(gradient, rect, raster_from_rect),
    }
}

/// Whether every colour of `paint` is opaque.
pub fn is_opaque(paint: &Paint) -> bool {
    match paint {
        Paint::Solid(colour) => colour.alpha == 255,
        Paint::Gradient(gradient) => gradient.stops.iter().all(|stop| stop.color.alpha == 255),
    }
}

fn solid(colour: components::Colour) -> Color {
    Color::from_rgba8(colour.red, colour.green, colour.blue, colour.alpha)
}

fn gradient_shader(gradient: &Gradient, rect: Rect, transform: Transform) -> Shader<'static> {
    let stops = skia_stops(gradient);
    let last = stops.last().map_or(Color::TRANSPARENT, |stop| stop.1);
    let stops: Vec<GradientStop> = stops
        .into_iter()
        .map(|(at, colour)| GradientStop::new(at, colour))
        .collect();
    let center = Point::from_xy(
        rect.x() + gradient.center.x * rect.width(),
        rect.y() + gradient.center.y * rect.height(),
    );
    if !(center.x.is_finite() && center.y.is_finite()) {
        return Shader::SolidColor(last);
    }
    let shader = match gradient.kind {
        GradientKind::Linear => {
            let (start, end) = linear_line(gradient.angle, rect);
            LinearGradient::new(start, end, stops, SpreadMode::Pad, transform)
        }
        GradientKind::Radial => {
            let radius = gradient.radius * rect.width().max(rect.height());
            if radius.is_finite() && radius > 0.0 {
                RadialGradient::new(
                    center,
                    0.0,
                    center,
                    radius,
                    stops,
                    SpreadMode::Pad,
                    transform,
                )
            } else {
                None
            }
        }
        // Sweeps start at the right; the authored one starts at the top.
        GradientKind::Conic => SweepGradient::new(
            center,
            0.0,
            360.0,
            stops,
            SpreadMode::Pad,
            transform.pre_concat(Transform::from_rotate_at(-90.0, center.x, center.y)),
        ),
    };
    shader.unwrap_or(Shader::SolidColor(last))
}

/// The stops in rising order, ready to be mixed channel by channel.
///
/// tiny-skia mixes straight colours, so a run from red to transparent black would darken on the way. A wholly transparent stop
/// therefore takes the colour of the neighbour on each side, which is what mixing premultiplied colours comes to.
fn skia_stops(gradient: &Gradient) -> Vec<(f32, Color)> {
    let mut stops = Vec::with_capacity(gradient.stops.len() + 2);
    let mut at_least = 0.0_f32;
    for (index, stop) in gradient.stops.iter().enumerate() {
        let at = if stop.at.is_finite() { stop.at } else { 0.0 };
        let at = at.clamp(0.0, 1.0).max(at_least);
        at_least = at;
        if stop.color.alpha > 0 {
            stops.push((at, solid(stop.color)));
            continue;
        }
        let neighbours = [
            index
                .checked_sub(1)
                .and_then(|before| gradient.stops.get(before)),
            gradient.stops.get(index + 1),
        ];
        let mut faded = neighbours.into_iter().flatten().map(|neighbour| {
            solid(components::Colour {
                alpha: 0,
                ..neighbour.color
            })
        });
        let first = faded.next().unwrap_or(Color::TRANSPARENT);
        stops.push((at, first));
        if let Some(second) = faded.next()
            && second != first
        {
            stops.push((at, second));
        }
    }
    stops
}

/// The line of a linear gradient, by the rule of CSS Images 3, section 3.1.1: through the middle, and as long as makes the corners
/// in its direction take the first and the last colour.
fn linear_line(angle_degrees: f32, rect: Rect) -> (Point, Point) {
    let angle = if angle_degrees.is_finite() {
        angle_degrees.to_radians()
    } else {
        std::f32::consts::PI
    };
    let (right, up) = angle.sin_cos();
    let half = (rect.width() * right.abs() + rect.height() * up.abs()) / 2.0;
    let (x, y) = (
        rect.x() + rect.width() / 2.0,
        rect.y() + rect.height() / 2.0,
    );
    (
        Point::from_xy(x - right * half, y + up * half),
        Point::from_xy(x + right * half, y - up * half),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use components::Colour;
    use components::value::{GradientStop as Stop, Point as Place};
    use tiny_skia::Pixmap;

    const RED: Colour = Colour::opaque(255, 0, 0);
    const BLUE: Colour = Colour::opaque(0, 0, 255);

    fn gradient(kind: GradientKind, angle: f32, stops: &[(f32, Colour)]) -> Paint {
        Paint::Gradient(Gradient {
            kind,
            angle,
            center: Place::default(),
            radius: 0.5,
            stops: stops
                .iter()
                .map(|(at, color)| Stop {
                    at: *at,
                    color: *color,
                })
                .collect(),
        })
    }

    fn painted(paint: &Paint, width: u32, height: u32) -> Pixmap {
        let mut pixmap = Pixmap::new(width, height).expect("not empty");
        let rect = Rect::from_xywh(0.0, 0.0, width as f32, height as f32).expect("not empty");
        let skia = tiny_skia::Paint {
            shader: paint_shader(paint, rect),
            ..Default::default()
        };
        pixmap.fill_rect(rect, &skia, Transform::identity(), None);
        pixmap
    }

    fn at(pixmap: &Pixmap, x: u32, y: u32) -> [u8; 4] {
        let pixel = pixmap.pixel(x, y).expect("inside");
        [pixel.red(), pixel.green(), pixel.blue(), pixel.alpha()]
    }

    #[test]
    fn angles_are_those_of_css() {
        let two = [(0.0, RED), (1.0, BLUE)];
        for (angle, first, last) in [
            (0.0, (50, 99), (50, 0)),
            (90.0, (0, 20), (99, 20)),
            (180.0, (50, 0), (50, 99)),
            (270.0, (99, 20), (0, 20)),
            (45.0, (0, 99), (99, 0)),
        ] {
            let pixmap = painted(&gradient(GradientKind::Linear, angle, &two), 100, 100);
            let (start, end) = (at(&pixmap, first.0, first.1), at(&pixmap, last.0, last.1));
            assert!(start[0] > 250 && start[2] < 5, "{angle}: {start:?}");
            assert!(end[2] > 250 && end[0] < 5, "{angle}: {end:?}");
        }
    }

    #[test]
    fn a_radial_run_ends_at_its_radius() {
        let paint = gradient(GradientKind::Radial, 180.0, &[(0.0, RED), (1.0, BLUE)]);
        let pixmap = painted(&paint, 100, 50);
        assert!(at(&pixmap, 50, 25)[0] > 245);
        assert!(at(&pixmap, 0, 25)[2] > 245, "half of the longer side");
        assert!(at(&pixmap, 75, 25)[0].abs_diff(128) < 6, "halfway");
    }

    #[test]
    fn a_conic_run_starts_at_the_top_and_goes_clockwise() {
        let green = Colour::opaque(0, 255, 0);
        let paint = gradient(
            GradientKind::Conic,
            180.0,
            &[(0.0, RED), (0.5, green), (1.0, BLUE)],
        );
        let pixmap = painted(&paint, 100, 100);
        assert!(at(&pixmap, 51, 1)[0] > 240, "red just after twelve o'clock");
        assert!(at(&pixmap, 48, 1)[2] > 240, "blue just before");
        assert!(at(&pixmap, 50, 98)[1] > 240, "green at six o'clock");
        assert!(at(&pixmap, 98, 50)[0].abs_diff(128) < 6, "halfway at three");
    }

    #[test]
    fn fading_out_does_not_darken() {
        let paint = gradient(
            GradientKind::Linear,
            90.0,
            &[(0.0, RED), (1.0, Colour::TRANSPARENT)],
        );
        let middle = at(&painted(&paint, 101, 3), 50, 1);
        assert!(middle[3].abs_diff(128) < 4 && middle[0].abs_diff(middle[3]) < 3);
    }

    #[test]
    fn degenerate_paints_are_one_colour() {
        let rect = Rect::from_xywh(3.0, 3.0, 10.0, 10.0).expect("not empty");
        for paint in [
            gradient(GradientKind::Linear, f32::NAN, &[(0.5, BLUE)]),
            gradient(GradientKind::Radial, 0.0, &[]),
            gradient(GradientKind::Conic, 0.0, &[(f32::NAN, RED), (7.0, BLUE)]),
        ] {
            paint_shader(&paint, rect);
        }
        let empty = Rect::from_xywh(3.0, 3.0, 0.0, 0.0).expect("a point");
        paint_shader(
            &gradient(GradientKind::Radial, 0.0, &[(0.0, RED), (1.0, BLUE)]),
            empty,
        );
    }
}
