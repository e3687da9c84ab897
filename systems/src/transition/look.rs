//! What a transition makes of a rectangle of the canvas when a part of the way is gone: the same for layers and for whole scenes.

use components::transition::{Side, Transition, TransitionKind};
use components::value::Point;
use glam::{Affine2, Vec2};
use raster::Matte;

/// How what comes or goes is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Factor of its opacity, 0 to 1.
    pub opacity: f32,
    /// Where its canvas lies on the canvas.
    pub canvas_from_own: Affine2,
    /// What is uncovered of it.
    pub matte: Option<Matte>,
    /// A colour over it and how much of that is seen, 0 to 1.
    pub veil: Option<([u8; 3], f32)>,
}

impl Look {
    /// As it is.
    pub const WHOLE: Self = Self {
        opacity: 1.0,
        canvas_from_own: Affine2::IDENTITY,
        matte: None,
        veil: None,
    };
}

/// A rectangle that comes or goes, on a canvas of `canvas` pixels.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its top left.
    pub min: Vec2,
    /// Its bottom right.
    pub max: Vec2,
    /// Width and height of the canvas.
    pub canvas: Vec2,
    /// How many canvas pixels a pixel of the frame is: no edge is harder than that.
    pub pixel: f32,
}

impl Frame {
    /// The whole canvas.
    pub fn whole(canvas: Vec2) -> Self {
        Self {
            min: Vec2::ZERO,
            max: canvas,
            canvas,
            pixel: 1.0,
        }
    }

    fn at(&self, point: Point) -> Vec2 {
        self.min + (self.max - self.min) * Vec2::new(point.x, point.y)
    }

    /// How far it is from here to outside of the canvas, towards a side.
    fn way_out(&self, side: Side) -> Vec2 {
        match side {
            Side::Left => Vec2::new(-self.max.x.max(0.0), 0.0),
            Side::Right => Vec2::new((self.canvas.x - self.min.x).max(0.0), 0.0),
            Side::Top => Vec2::new(0.0, -self.max.y.max(0.0)),
            Side::Bottom => Vec2::new(0.0, (self.canvas.y - self.min.y).max(0.0)),
        }
    }
}

/// The unit vector that points from the middle to a side.
pub fn outwards(side: Side) -> Vec2 {
    match side {
        Side::Left => Vec2::NEG_X,
        Side::Right => Vec2::X,
        Side::Top => Vec2::NEG_Y,
        Side::Bottom => Vec2::Y,
    }
}

/// How something is seen of which `part` has come, eased: 0 nothing, 1 all of it; beyond that where an easing overshoots.
pub fn look(transition: &Transition, part: f32, frame: &Frame) -> Look {
    let inside = part.clamp(0.0, 1.0);
    let faded = Look {
        opacity: inside,
        ..Look::WHOLE
    };
    match transition.kind {
        TransitionKind::Cut | TransitionKind::Stinger => Look {
            opacity: if part > 0.0 { 1.0 } else { 0.0 },
            ..Look::WHOLE
        },
        TransitionKind::Fade => faded,
        TransitionKind::FadeThroughColor => {
            let colour = transition.color;
            let veil = 1.0 - (2.0 * inside - 1.0).abs();
            Look {
                opacity: if inside >= 0.5 { 1.0 } else { 0.0 },
                veil: Some(([colour.red, colour.green, colour.blue], veil)),
                ..Look::WHOLE
            }
        }
        TransitionKind::Slide | TransitionKind::Push => {
            let way = match transition.distance {
                Some(distance) => outwards(transition.side) * distance,
                None => frame.way_out(transition.side),
            };
            let opacity = if transition.fade { inside } else { 1.0 };
            Look {
                // With nothing of it come yet it is not there, whatever the distance.
                opacity: if part > 0.0 { opacity } else { 0.0 },
                canvas_from_own: Affine2::from_translation(way * (1.0 - part)),
                ..Look::WHOLE
            }
        }
        TransitionKind::Scale => {
            let centre = frame.at(transition.center);
            let factor = transition.scale + (1.0 - transition.scale) * part;
            let canvas_from_own = Affine2::from_translation(centre)
                * Affine2::from_scale(Vec2::splat(factor.max(0.0)))
                * Affine2::from_translation(-centre);
            Look {
                canvas_from_own,
                ..faded
            }
        }
        TransitionKind::Wipe | TransitionKind::Iris | TransitionKind::Clock => Look {
            matte: (inside < 1.0).then(|| matte(transition, inside, frame)),
            ..Look::WHOLE
        },
    }
}

fn matte(transition: &Transition, part: f32, frame: &Frame) -> Matte {
    let centre = frame.at(transition.center);
    let softness = transition.softness.max(frame.pixel);
    match transition.kind {
        TransitionKind::Iris => Matte::iris_in(frame.min, frame.max, centre, softness, part),
        TransitionKind::Clock => Matte::clock(centre, 0.0, part).soft(softness),
        _ => {
            let direction = match transition.angle {
                Some(degrees) => Vec2::from_angle(degrees.to_radians()),
                None => -outwards(transition.side),
            };
            Matte::wipe(frame.min, frame.max, direction, softness, part)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        min: Vec2::new(100.0, 50.0),
        max: Vec2::new(300.0, 150.0),
        canvas: Vec2::new(640.0, 360.0),
        pixel: 1.0,
    };

    #[test]
    fn every_kind_ends_with_the_whole_thing() {
        use TransitionKind as K;
        for kind in [
            K::Cut,
            K::Fade,
            K::Slide,
            K::Push,
            K::Scale,
            K::Wipe,
            K::Iris,
            K::Clock,
        ] {
            let transition = Transition::new(kind, 1.0);
            assert_eq!(look(&transition, 1.0, &FRAME), Look::WHOLE, "{kind:?}");
        }
        let through = Transition::new(K::FadeThroughColor, 1.0);
        assert_eq!(look(&through, 1.0, &FRAME).veil, Some(([0, 0, 0], 0.0)));
        assert_eq!(look(&through, 0.5, &FRAME).veil, Some(([0, 0, 0], 1.0)));
    }

    #[test]
    fn a_slide_starts_outside_of_the_canvas() {
        for (side, corner) in [
            (Side::Left, Vec2::new(-200.0, 50.0)),
            (Side::Right, Vec2::new(640.0, 50.0)),
            (Side::Top, Vec2::new(100.0, -100.0)),
            (Side::Bottom, Vec2::new(100.0, 360.0)),
        ] {
            let transition = Transition {
                side,
                ..Transition::new(TransitionKind::Slide, 1.0)
            };
            let look = look(&transition, 0.0, &FRAME);
            let moved = look.canvas_from_own.transform_point2(FRAME.min);
            assert_eq!((moved, look.opacity), (corner, 0.0), "{side:?}");
        }
    }
}
