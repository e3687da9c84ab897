//! How far a strip has run. No layers here.

use bevy_ecs::prelude::*;
use components::animation::Timeline;
use components::scene::FrameRate;
use components::source::TickerSource;
use serde::{Deserialize, Serialize};

use super::Strip;
use crate::animate::fields::FieldMotions;
use crate::animate::integral::{Integral, Speed};
use crate::clock::FrameClock;

/// How far the strip has moved, as a function of the tick: in pixels of the strip as it is authored, so that one whose gaps or letters
/// move neither jumps nor depends on how it came there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Way {
    since_tick: u64,
    /// Pixels on that tick.
    from: f64,
    /// Pixels a second, as authored.
    speed: f32,
    rate: Option<FrameRate>,
    /// What came to it since then as the speed was moved.
    moved: Integral,
}

/// Where a strip stands that has not simply run since it came, so that another run goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StripPlace {
    /// It stood there on this tick.
    pub since_tick: u64,
    /// Pixels that it had moved.
    pub from: f64,
    /// Pixels a second since then, as authored.
    pub speed: f32,
    /// Pixels that came to it since then as its speed was moved.
    pub moved: f64,
    /// The first tick whose speed is not in that.
    pub summed_to: u64,
}

impl Way {
    /// Where it stands; `None` where it has only run as it is authored, which can be found again.
    pub fn place(&self) -> Option<StripPlace> {
        let moved = self.moved.value();
        (self.from != 0.0 || moved != 0.0).then(|| StripPlace {
            since_tick: self.since_tick,
            from: self.from,
            speed: self.speed,
            moved,
            summed_to: match moved {
                0.0 => self.since_tick,
                _ => self.moved.summed_to(),
            },
        })
    }

    /// Of a strip that goes on from there.
    pub fn going_on(place: StripPlace, rate: FrameRate) -> Self {
        Self {
            since_tick: place.since_tick,
            from: place.from,
            speed: place.speed,
            rate: Some(rate),
            moved: Integral::of(place.moved, place.summed_to),
        }
    }

    /// Of a strip that comes on air on `tick`.
    pub fn new(tick: u64) -> Self {
        Self {
            since_tick: tick,
            moved: Integral::new(tick),
            ..Self::default()
        }
    }

    /// Whether it goes at this speed, as authored, and at this rate of ticks.
    pub fn goes_at(&self, speed: f32, rate: FrameRate) -> bool {
        self.speed == speed && self.rate == Some(rate)
    }

    /// Pixels on this tick.
    pub fn at(&self, clock: &FrameClock) -> f64 {
        let rate = self.rate.unwrap_or(clock.rate);
        let ticks = clock.tick.saturating_sub(self.since_tick);
        self.from + f64::from(self.speed) * rate.seconds_at(ticks) + self.moved.value()
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
        (self.speed, self.rate) = (speed, Some(clock.rate));
    }

    /// Notes the speed of this tick, in pixels a second, as it was moved.
    pub fn note(&mut self, speed: f32) {
        self.moved.note(f64::from(speed) - f64::from(self.speed));
    }

    /// Goes on from `from` on this tick.
    pub fn restart(&mut self, from: f64, clock: &FrameClock) {
        (self.since_tick, self.from) = (clock.tick, from);
        self.moved = Integral::new(clock.tick);
    }
}

type Runners<'w> = (
    &'w TickerSource,
    &'w mut Strip,
    Option<&'w mut FieldMotions<TickerSource>>,
);

/// Adds up how far a speed that moves has taken each strip before this tick.
pub(in crate::animate) fn run(
    clock: Res<FrameClock>,
    timelines: Query<&Timeline>,
    mut strips: Query<Runners>,
) {
    for (source, mut strip, motions) in &mut strips {
        let way = &mut strip.bypass_change_detection().way;
        let speed = Speed {
            path: "speed",
            // A strip that was not laid out yet goes at the speed that it comes with.
            own: way.rate.map_or(source.speed, |_| way.speed),
            range: (-5000.0, 5000.0),
        };
        let rate = way.rate.unwrap_or(clock.rate);
        let since_tick = way.since_tick;
        way.moved
            .advance(&speed, since_tick, motions, &timelines, &clock, rate);
    }
}
