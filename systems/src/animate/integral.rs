//! How far a speed that moves has led: the sum of what it is above the authored one, from tick to tick.
//!
//! It is a function of the tick: of ticks that were left out the speed is found again, and a sum of whole numbers is the same in any
//! order. What a constant speed leads to is not in it, so that it costs nothing while nothing moves.

use bevy_ecs::prelude::*;
use components::animation::Timeline;
use components::scene::FrameRate;

use super::fields::{FieldMotions, MovingFields};
use super::timeline::{has_come_to_rest, seconds_before};
use crate::clock::FrameClock;

/// Parts of a unit in the sum.
const PARTS: f64 = (1_u64 << 32) as f64;

/// The most ticks that are gone through one by one, nine hours at 30 a second: a program that comes back to a scene which has been on
/// air for longer must not be late for it.
const STEPS_MAX: u64 = 1 << 20;

/// The sum over time of what a speed is above the authored one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Integral {
    parts: i128,
    /// The first tick whose speed is not in the sum.
    summed_to: u64,
    /// How much faster than authored it goes on that tick, in units a second, once that is known.
    faster: Option<f64>,
}

/// A field that is a speed, in units a second.
pub(crate) struct Speed {
    /// Its path in its source.
    pub path: &'static str,
    /// What is authored.
    pub own: f32,
    /// The least and the most that it may be.
    pub range: (f32, f32),
}

impl Integral {
    /// Nothing, from `tick` on.
    pub fn new(tick: u64) -> Self {
        Self {
            summed_to: tick,
            ..Self::default()
        }
    }

    /// As many units, from `tick` on.
    pub fn of(units: f64, tick: u64) -> Self {
        Self {
            parts: (units * PARTS).round() as i128,
            ..Self::new(tick)
        }
    }

    /// The first tick that is not in the sum.
    pub fn summed_to(&self) -> u64 {
        self.summed_to
    }

    /// Units.
    pub fn value(&self) -> f64 {
        self.parts as f64 / PARTS
    }

    /// Notes by how many units a second the speed of this tick is above the authored one.
    pub fn note(&mut self, faster: f64) {
        self.faster = Some(faster);
    }

    /// Takes the tick before this one, if its speed was noted.
    pub fn settle(&mut self, clock: &FrameClock, rate: FrameRate) {
        if let Some(faster) = self.faster.take()
            && self.summed_to < clock.tick
        {
            self.add(faster, rate, 1);
        }
    }

    fn add(&mut self, faster: f64, rate: FrameRate, ticks: u64) {
        let step = faster * rate.seconds_at(1) * PARTS;
        self.parts += step.round() as i128 * i128::from(ticks);
        self.summed_to += ticks;
    }

    /// Sums up to this tick. Comes before the speed of this tick is computed; whoever goes back in time begins again at `since_tick`.
    pub fn advance<S: MovingFields>(
        &mut self,
        speed: &Speed,
        since_tick: u64,
        mut motions: Option<Mut<FieldMotions<S>>>,
        timelines: &Query<&Timeline>,
        clock: &FrameClock,
        rate: FrameRate,
    ) {
        if clock.tick < self.summed_to {
            *self = Self::new(since_tick.min(clock.tick));
        }
        self.settle(clock, rate);
        while self.summed_to < clock.tick {
            let then = FrameClock {
                tick: self.summed_to,
                ..*clock
            };
            let seconds =
                |timeline| seconds_before(timelines.get(timeline).ok()?, clock, then.tick);
            let shown = motions
                .as_mut()
                .and_then(|motions| motions.number_at(speed.path, speed.own, seconds, &then));
            let rests = motions.as_ref().is_none_or(|motions| {
                motions.follows_only(speed.path, |timeline| {
                    let timeline = timelines.get(timeline);
                    timeline.is_ok_and(|timeline| has_come_to_rest(timeline, &then))
                })
            });
            let (low, high) = speed.range;
            let faster = shown.map_or(0.0, |shown| {
                f64::from(shown.clamp(low, high)) - f64::from(speed.own)
            });
            let left = clock.tick - self.summed_to;
            if !rests && left > STEPS_MAX {
                self.summed_to = clock.tick - STEPS_MAX;
                continue;
            }
            self.add(faster, rate, if rests { left } else { 1 });
        }
    }
}
