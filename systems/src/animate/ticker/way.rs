//! How far a strip has run. No layers here.

use bevy_ecs::prelude::*;
use components::animation::Timeline;
use components::scene::FrameRate;
use components::source::TickerSource;

use super::Strip;
use crate::animate::fields::FieldMotions;
use crate::animate::timeline::{has_come_to_rest, seconds_before};
use crate::clock::FrameClock;

/// The field of the speed, and its range in pixels a second.
const SPEED: &str = "speed";
const SPEED_MAX: f32 = 5000.0;

/// How far the strip has moved, as a function of the tick: in pixels of the strip as it is authored, so that one whose gaps or letters
/// move neither jumps nor depends on how it came there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    since_tick: u64,
    /// Pixels on that tick.
    from: f64,
    /// Pixels a second, as authored.
    speed: f64,
    rate: Option<FrameRate>,
    /// What came to it since then as the speed was moved, in parts of a pixel: a sum of whole numbers is the same in any order.
    moved: i128,
    /// The first tick whose speed is not in that sum.
    summed_to: u64,
    /// How much faster than authored it goes on that tick, in pixels a second, once that is known.
    faster: Option<f64>,
}

/// Parts of a pixel in the sum of a [`Way`].
const PARTS_PER_PX: f64 = (1_u64 << 32) as f64;

impl Way {
    /// Of a strip that comes on air on `tick`.
    pub fn new(tick: u64) -> Self {
        Self {
            since_tick: tick,
            summed_to: tick,
            ..Self::default()
        }
    }

    /// Whether it goes at this speed, as authored, and at this rate of ticks.
    pub fn goes_at(&self, speed: f32, rate: FrameRate) -> bool {
        self.speed == f64::from(speed) && self.rate == Some(rate)
    }

    /// Pixels on this tick.
    pub fn at(&self, clock: &FrameClock) -> f64 {
        let rate = self.rate.unwrap_or(clock.rate);
        let ticks = clock.tick.saturating_sub(self.since_tick);
        self.from + self.speed * rate.seconds_at(ticks) + self.moved as f64 / PARTS_PER_PX
    }

    /// Goes on from where it is when its speed, as authored, or the rate of ticks changes.
    pub fn turn(&mut self, speed: f32, clock: &FrameClock) {
        if self.goes_at(speed, clock.rate) {
            return;
        }
        // One that has no rate yet has not moved, and has been on air since it was made.
        if self.rate.is_some() {
            self.restart(self.at(clock), clock);
        }
        (self.speed, self.rate) = (f64::from(speed), Some(clock.rate));
    }

    /// Notes the speed of this tick, in pixels a second, as it was moved.
    pub fn note(&mut self, speed: f32) {
        self.faster = Some(f64::from(speed) - self.speed);
    }

    /// Goes on from `from` on this tick.
    pub fn restart(&mut self, from: f64, clock: &FrameClock) {
        (self.since_tick, self.from) = (clock.tick, from);
        (self.moved, self.summed_to, self.faster) = (0, clock.tick, None);
    }

    /// Takes what some ticks of a speed add.
    fn add(&mut self, faster: f64, rate: FrameRate, ticks: u64) {
        let step = faster * rate.seconds_at(1) * PARTS_PER_PX;
        self.moved += step.round() as i128 * i128::from(ticks);
        self.summed_to += ticks;
    }
}

type Runners<'w> = (
    &'w TickerSource,
    &'w mut Strip,
    Option<&'w mut FieldMotions<TickerSource>>,
);

/// Adds up how far a speed that moves has taken each strip before this tick. Of ticks that were left out the speed is found again.
pub(in crate::animate) fn run(
    clock: Res<FrameClock>,
    timelines: Query<&Timeline>,
    mut strips: Query<Runners>,
) {
    for (source, mut strip, mut motions) in &mut strips {
        let way = &mut strip.bypass_change_detection().way;
        // A strip that was not laid out yet goes at the speed that it comes with.
        let speed = way.rate.map_or(f64::from(source.speed), |_| way.speed);
        let rate = way.rate.unwrap_or(clock.rate);
        if clock.tick < way.summed_to {
            way.moved = 0;
            (way.summed_to, way.faster) = (way.since_tick.min(clock.tick), None);
        }
        if let Some(faster) = way.faster.take()
            && way.summed_to < clock.tick
        {
            way.add(faster, rate, 1);
        }
        while way.summed_to < clock.tick {
            let then = FrameClock {
                tick: way.summed_to,
                ..*clock
            };
            let seconds =
                |timeline| seconds_before(timelines.get(timeline).ok()?, &clock, then.tick);
            let shown = motions
                .as_mut()
                .and_then(|motions| motions.number_at(SPEED, speed as f32, seconds, &then));
            let rests = motions.as_ref().is_none_or(|motions| {
                motions.follows_only(SPEED, |timeline| {
                    let timeline = timelines.get(timeline);
                    timeline.is_ok_and(|timeline| has_come_to_rest(timeline, &then))
                })
            });
            let faster = shown.map_or(0.0, |shown| {
                f64::from(shown.clamp(-SPEED_MAX, SPEED_MAX)) - speed
            });
            let ticks = if rests { clock.tick - way.summed_to } else { 1 };
            way.add(faster, rate, ticks);
        }
    }
}
