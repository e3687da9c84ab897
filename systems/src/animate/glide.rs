//! The way from the value on screen to a new one: an offset from where the property stands by itself, which goes to nothing.
//!
//! Since it is an offset, the new value may itself be in motion. It is a function of the tick, so nothing is integrated and nothing
//! drifts.

use components::animation::{Easing, Glide};
use components::validate::{Problems, Validate as _};
use glam::Vec4;
use serde::{Deserialize, Serialize};

use super::easing::EasingCurve;
use crate::clock::FrameClock;

/// Below this part of what it began with, a spring has come to rest.
const REST: f64 = 1e-4;

/// A glide that was begun.
#[derive(Clone, Debug)]
pub struct GlideState {
    /// The value on screen when it was asked for.
    shown: Vec4,
    /// Units a second at that time.
    velocity: Vec4,
    /// The tick of that value.
    since_tick: u64,
    glide: Glide,
    course: Course,
    /// Known once the property's own value of the next tick is.
    offset: Option<Vec4>,
}

#[derive(Clone, Debug)]
enum Course {
    Eased(EasingCurve),
    /// A damped spring by its angular frequency in radians a second and its damping ratio, above 0 and at most 1.
    Spring {
        frequency: f64,
        damping: f64,
    },
}

impl Course {
    fn of(glide: &Glide) -> Self {
        let duration = f64::from(glide.duration);
        match glide.easing {
            Easing::Spring(spring) if duration > 0.0 => Self::Spring {
                frequency: std::f64::consts::TAU / duration,
                damping: 1.0 - f64::from(spring.bounce),
            },
            easing => Self::Eased(easing.into()),
        }
    }
}

/// Where a glide stands, so that another run goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GlidePlace {
    /// How it goes.
    pub glide: Glide,
    /// The tick of the value that it goes from.
    pub since_tick: u64,
    /// That value.
    pub from: [f32; 4],
    /// Units a second at that time.
    pub velocity: [f32; 4],
    /// What the value was above the property's own on the next tick.
    pub offset: Option<[f32; 4]>,
}

impl GlidePlace {
    /// Whether it goes in a way that can be asked for: what is read may have been written by hand.
    pub(crate) fn is_sound(&self) -> bool {
        let mut problems = Problems::new();
        self.glide.validate(&mut problems);
        problems.is_empty()
    }
}

impl From<GlidePlace> for GlideState {
    fn from(place: GlidePlace) -> Self {
        Self {
            shown: Vec4::from_array(place.from),
            velocity: Vec4::from_array(place.velocity),
            since_tick: place.since_tick,
            glide: place.glide,
            course: Course::of(&place.glide),
            offset: place.offset.map(Vec4::from_array),
        }
    }
}

impl GlideState {
    /// Begins on the tick of `clock`, from what the tick before showed.
    pub fn begin(glide: &Glide, shown: Vec4, velocity: Vec4, clock: &FrameClock) -> Self {
        Self {
            shown,
            velocity,
            since_tick: clock.tick.saturating_sub(1),
            glide: *glide,
            course: Course::of(glide),
            offset: None,
        }
    }

    /// Where it stands; `None` where its numbers are none that can be written down.
    pub fn place(&self) -> Option<GlidePlace> {
        let offset = self.offset.unwrap_or_default();
        let is_finite = [self.shown, self.velocity, offset]
            .iter()
            .all(|numbers| numbers.is_finite());
        is_finite.then(|| GlidePlace {
            glide: self.glide,
            since_tick: self.since_tick,
            from: self.shown.to_array(),
            velocity: self.velocity.to_array(),
            offset: self.offset.map(|offset| offset.to_array()),
        })
    }

    /// What is added to `own`, the value that the property has by itself on this tick; `None` when it has come to rest.
    pub fn offset(&mut self, own: Vec4, clock: &FrameClock) -> Option<Vec4> {
        let start = *self.offset.get_or_insert(self.shown - own);
        let seconds = clock.seconds_since(self.since_tick) - f64::from(self.glide.delay);
        if seconds <= 0.0 {
            return Some(start);
        }
        match &self.course {
            Course::Eased(curve) => {
                let part = seconds / f64::from(self.glide.duration);
                (part < 1.0).then(|| start * (1.0 - curve.sample(part)) as f32)
            }
            Course::Spring { frequency, damping } => {
                let envelope = (-damping * frequency * seconds).exp();
                if envelope < REST {
                    return None;
                }
                let (of_place, of_speed) = swing(*frequency, *damping, seconds);
                Some(start * of_place as f32 + self.velocity * of_speed as f32)
            }
        }
    }

    /// Ends the way of those numbers in which the property's own value was changed on this tick, from `before` to `own`: a change without
    /// a glide is there at once. A glide that begins on this tick has been asked for with the change, and stays.
    pub fn settle(&mut self, before: Vec4, own: Vec4) {
        if let Some(offset) = &mut self.offset {
            let stays = before.cmpeq(own);
            *offset = Vec4::select(stays, *offset, Vec4::ZERO);
            self.velocity = Vec4::select(stays, self.velocity, Vec4::ZERO);
        }
    }

    /// The larger of where it comes from and where it goes to, by absolute value.
    pub fn largest(&self) -> Vec4 {
        let end = self.shown - self.offset.unwrap_or_default();
        self.shown.abs().max(end.abs())
    }
}

/// The free damped oscillator `x'' + 2 d f x' + f^2 x = 0`: what is left of a first place and of a first speed after `seconds`.
fn swing(frequency: f64, damping: f64, seconds: f64) -> (f64, f64) {
    let decay = (-damping * frequency * seconds).exp();
    let under = 1.0 - damping * damping;
    if under < 1e-9 {
        let turns = frequency * seconds;
        return (decay * (1.0 + turns), decay * seconds);
    }
    let damped = frequency * under.sqrt();
    let (sin, cos) = (damped * seconds).sin_cos();
    (
        decay * (cos + damping * frequency / damped * sin),
        decay * sin / damped,
    )
}

#[cfg(test)]
mod tests {
    use components::animation::Spring;
    use components::scene::FrameRate;

    use super::*;

    fn clock(tick: u64) -> FrameClock {
        FrameClock {
            tick,
            rate: FrameRate::whole(60),
        }
    }

    fn run(glide: Glide, from: f32, velocity: f32, to: f32) -> Vec<f32> {
        let mut state =
            GlideState::begin(&glide, Vec4::splat(from), Vec4::splat(velocity), &clock(10));
        (10..400)
            .map_while(|tick| state.offset(Vec4::splat(to), &clock(tick)))
            .map(|offset| to + offset.x)
            .collect()
    }

    #[test]
    fn an_easing_goes_from_the_shown_value_and_ends() {
        let glide = Glide {
            duration: 0.5,
            easing: Easing::Linear,
            delay: 0.0,
        };
        let values = run(glide, 100.0, 0.0, 400.0);
        assert_eq!(
            values.len(),
            29,
            "30 ticks of which the last is the value itself"
        );
        assert!((values[0] - 110.0).abs() < 1e-3 && (values[28] - 390.0).abs() < 1e-2);
    }

    #[test]
    fn a_spring_keeps_the_speed_it_had() {
        for bounce in [0.0, 0.3, 0.8] {
            let glide = Glide {
                duration: 0.5,
                easing: Easing::Spring(Spring { bounce }),
                delay: 0.0,
            };
            let values = run(glide, 100.0, 600.0, 100.0);
            // 600 pixels a second are 10 a tick, less what the spring pulls back.
            let step = values[0] - 100.0;
            assert!((7.0..10.0).contains(&step), "{bounce}: {step}");
            assert!((values[values.len() - 1] - 100.0).abs() < 0.1);
        }
    }

    #[test]
    fn a_delay_stands_still_first() {
        let glide = Glide {
            duration: 0.1,
            easing: Easing::Linear,
            delay: 0.5,
        };
        let values = run(glide, 1.0, 0.0, 2.0);
        assert!(values[..29].iter().all(|value| *value == 1.0));
        assert!(values[30] > 1.0);
    }
}
