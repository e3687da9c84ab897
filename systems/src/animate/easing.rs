//! The easings' curves: `keyframe`'s where it has them, and the common formulas of easings.net for the families that it lacks.

use std::f64::consts::{FRAC_PI_2, PI};

use components::animation::Easing;
use keyframe::EasingFunction;
use keyframe::functions as family;
use keyframe::mint::Vector2;

/// An easing made ready to be sampled: a Bézier curve has its table built once.
#[derive(Clone)]
pub enum EasingCurve {
    /// A named easing or a step function.
    Plain(Easing),
    /// A cubic Bézier curve.
    Bezier(Box<family::BezierCurve>),
}

impl std::fmt::Debug for EasingCurve {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(easing) => easing.fmt(out),
            Self::Bezier(_) => out.write_str("Bezier"),
        }
    }
}

impl From<Easing> for EasingCurve {
    fn from(easing: Easing) -> Self {
        match easing {
            Easing::CubicBezier([x1, y1, x2, y2]) => Self::Bezier(Box::new(
                family::BezierCurve::from(Vector2 { x: x1, y: y1 }, Vector2 { x: x2, y: y2 }),
            )),
            easing => Self::Plain(easing),
        }
    }
}

impl EasingCurve {
    /// The eased part of the way at `time`, both 0 to 1 (the result of some families overshoots).
    pub fn sample(&self, time: f64) -> f64 {
        match self {
            Self::Plain(easing) => sample_easing(*easing, time),
            Self::Bezier(curve) => curve.y(time.clamp(0.0, 1.0)),
        }
    }
}

/// Overshoot of the `back` family (10 %), from Robert Penner's equations.
const BACK: f64 = 1.70158;
const BACK_IN_OUT: f64 = BACK * 1.525;
/// Periods of the swings of the `elastic` family, from Robert Penner's equations.
const ELASTIC: f64 = 0.3;
const ELASTIC_IN_OUT: f64 = 0.45;

/// The eased part of the way at `time`, both 0 to 1. A Bézier curve is built anew on each call: use [`EasingCurve`] for many samples.
pub fn sample_easing(easing: Easing, time: f64) -> f64 {
    let t = time.clamp(0.0, 1.0);
    // Exact ends, whatever the rounding inside.
    if t == 0.0 || t == 1.0 {
        return if matches!(easing, Easing::Hold) {
            f64::from(u8::from(t == 1.0))
        } else {
            t
        };
    }
    match easing {
        Easing::Linear => family::Linear.y(t),
        Easing::Hold => 0.0,
        Easing::EaseInSine => 1.0 - (t * FRAC_PI_2).cos(),
        Easing::EaseOutSine => (t * FRAC_PI_2).sin(),
        Easing::EaseInOutSine => (1.0 - (t * PI).cos()) / 2.0,
        Easing::EaseInQuad => family::EaseInQuad.y(t),
        Easing::EaseOutQuad => family::EaseOutQuad.y(t),
        Easing::EaseInOutQuad => family::EaseInOutQuad.y(t),
        Easing::EaseInCubic => family::EaseInCubic.y(t),
        Easing::EaseOutCubic => family::EaseOutCubic.y(t),
        Easing::EaseInOutCubic => family::EaseInOutCubic.y(t),
        Easing::EaseInQuart => family::EaseInQuart.y(t),
        Easing::EaseOutQuart => family::EaseOutQuart.y(t),
        Easing::EaseInOutQuart => family::EaseInOutQuart.y(t),
        Easing::EaseInQuint => family::EaseInQuint.y(t),
        Easing::EaseOutQuint => family::EaseOutQuint.y(t),
        Easing::EaseInOutQuint => family::EaseInOutQuint.y(t),
        Easing::EaseInExpo => 2f64.powf(10.0 * t - 10.0),
        Easing::EaseOutExpo => 1.0 - 2f64.powf(-10.0 * t),
        Easing::EaseInOutExpo if t < 0.5 => 2f64.powf(20.0 * t - 10.0) / 2.0,
        Easing::EaseInOutExpo => (2.0 - 2f64.powf(10.0 - 20.0 * t)) / 2.0,
        Easing::EaseInBack => (BACK + 1.0) * t.powi(3) - BACK * t * t,
        Easing::EaseOutBack => 1.0 + (BACK + 1.0) * (t - 1.0).powi(3) + BACK * (t - 1.0).powi(2),
        Easing::EaseInOutBack if t < 0.5 => {
            (2.0 * t).powi(2) * ((BACK_IN_OUT + 1.0) * 2.0 * t - BACK_IN_OUT) / 2.0
        }
        Easing::EaseInOutBack => {
            ((2.0 * t - 2.0).powi(2) * ((BACK_IN_OUT + 1.0) * (2.0 * t - 2.0) + BACK_IN_OUT) + 2.0)
                / 2.0
        }
        Easing::EaseInCirc => 1.0 - (1.0 - t * t).sqrt(),
        Easing::EaseOutCirc => (1.0 - (t - 1.0).powi(2)).sqrt(),
        Easing::EaseInOutCirc => in_out(t, |t| 1.0 - (1.0 - t * t).sqrt()),
        Easing::EaseInElastic => -elastic(1.0 - t, ELASTIC),
        Easing::EaseOutElastic => 1.0 + elastic(t, ELASTIC),
        Easing::EaseInOutElastic if t < 0.5 => -elastic(1.0 - 2.0 * t, ELASTIC_IN_OUT) / 2.0,
        Easing::EaseInOutElastic => 1.0 + elastic(2.0 * t - 1.0, ELASTIC_IN_OUT) / 2.0,
        Easing::EaseInBounce => 1.0 - bounce(1.0 - t),
        Easing::EaseOutBounce => bounce(t),
        Easing::EaseInOutBounce => in_out(t, |t| 1.0 - bounce(1.0 - t)),
        Easing::Spring(swing) => spring(f64::from(swing.bounce), t),
        Easing::CubicBezier(_) => EasingCurve::from(easing).sample(t),
        Easing::Steps(count) => (t * f64::from(count)).floor() / f64::from(count.max(1)),
    }
}

/// An easing in, and then the same turned round.
fn in_out(t: f64, ease_in: impl Fn(f64) -> f64) -> f64 {
    if t < 0.5 {
        ease_in(2.0 * t) / 2.0
    } else {
        1.0 - ease_in(2.0 - 2.0 * t) / 2.0
    }
}

/// What is left of a swing of the `elastic` family at `t`, which dies out towards 1; `period` is that of the swing.
fn elastic(t: f64, period: f64) -> f64 {
    // The quarter of a swing before it begins makes it start at -1.
    2f64.powf(-10.0 * t) * ((t - period / 4.0) * 2.0 * PI / period).sin()
}

/// A ball that falls and bounces four times, from Robert Penner's equations: parabolas of the same width to height.
fn bounce(t: f64) -> f64 {
    const STEEPNESS: f64 = 7.5625;
    const WIDTH: f64 = 2.75;
    let arch = |middle: f64, height: f64| STEEPNESS * (t - middle / WIDTH).powi(2) + height;
    match t * WIDTH {
        at if at < 1.0 => arch(0.0, 0.0),
        at if at < 2.0 => arch(1.5, 0.75),
        at if at < 2.5 => arch(2.25, 0.9375),
        _ => arch(2.625, 0.984375),
    }
}

/// A mass on a damped spring let go at 0 and drawn to 1 (the step response of a second-order system), which has come within a
/// thousandth of its rest at 1; the last of it is spread over the way, so that it ends exactly there.
fn spring(bounce: f64, t: f64) -> f64 {
    let damping = (1.0 - bounce).clamp(0.05, 1.0);
    let at = |t: f64| {
        if damping >= 1.0 {
            // Critically damped: the envelope (1 + x) e^-x is a thousandth at 9.23.
            let x = 9.23 * t;
            return 1.0 - (1.0 + x) * (-x).exp();
        }
        // e^-6.91 is a thousandth.
        let decay = 6.91 * t;
        let swing = decay * (1.0 - damping * damping).sqrt() / damping;
        let phase = damping / (1.0 - damping * damping).sqrt();
        1.0 - (-decay).exp() * (swing.cos() + phase * swing.sin())
    };
    at(t) + (1.0 - at(1.0)) * t
}

#[cfg(test)]
mod tests {
    use super::*;
    use components::animation::Spring;

    fn all() -> impl Iterator<Item = Easing> {
        Easing::NAMED.iter().copied().chain([
            Easing::CubicBezier([0.22, 1.0, 0.36, 1.0]),
            Easing::Steps(5),
            Easing::Spring(Spring { bounce: 0.0 }),
            Easing::Spring(Spring { bounce: 0.5 }),
            Easing::Spring(Spring { bounce: 0.9 }),
        ])
    }

    #[test]
    fn every_easing_starts_at_nought_and_ends_at_one() {
        for easing in all() {
            let curve = EasingCurve::from(easing);
            assert!(
                curve.sample(0.0).abs() < 1e-6,
                "{easing:?} starts at {}",
                curve.sample(0.0)
            );
            assert!(
                (curve.sample(1.0) - 1.0).abs() < 1e-6,
                "{easing:?} ends at {}",
                curve.sample(1.0)
            );
        }
    }

    #[test]
    fn every_smooth_easing_is_continuous() {
        for easing in all().filter(|easing| !matches!(easing, Easing::Hold | Easing::Steps(_))) {
            let curve = EasingCurve::from(easing);
            let jump = (0..1000)
                .map(|i| {
                    (curve.sample(f64::from(i + 1) / 1000.0) - curve.sample(f64::from(i) / 1000.0))
                        .abs()
                })
                .fold(0.0, f64::max);
            // The circle stands upright at its end.
            assert!(jump < 0.06, "{easing:?} jumps by {jump}");
        }
    }

    #[test]
    fn in_out_families_are_symmetric() {
        for easing in all().filter(|easing| format!("{easing:?}").starts_with("EaseInOut")) {
            for time in [0.1, 0.25, 0.4] {
                let (early, late) = (
                    sample_easing(easing, time),
                    sample_easing(easing, 1.0 - time),
                );
                assert!(
                    (early + late - 1.0).abs() < 1e-6,
                    "{easing:?} at {time}: {early} and {late}"
                );
            }
        }
    }

    #[test]
    fn springs_swing_over_as_much_as_they_bounce_and_rest_at_the_end() {
        let highest = |bounce| {
            let easing = Easing::Spring(Spring { bounce });
            (0..=1000)
                .map(|i| sample_easing(easing, f64::from(i) / 1000.0))
                .fold(0.0, f64::max)
        };
        assert!(highest(0.0) <= 1.0 + 1e-9, "critically damped");
        // The overshoot of a second-order system with damping 0.5 is e^(-pi 0.5 / sqrt(0.75)).
        let expected = 1.0 + (-PI * 0.5 / 0.75f64.sqrt()).exp();
        assert!((highest(0.5) - expected).abs() < 2e-3, "{}", highest(0.5));
        assert!(highest(0.9) > 1.6);
    }

    #[test]
    fn css_ease_passes_through_its_known_point() {
        // cubic-bezier(0.25, 0.1, 0.25, 1) at 0.5, as browsers give it.
        let curve = EasingCurve::from(Easing::CubicBezier([0.25, 0.1, 0.25, 1.0]));
        assert!(
            (curve.sample(0.5) - 0.8024).abs() < 2e-3,
            "{}",
            curve.sample(0.5)
        );
    }
}
