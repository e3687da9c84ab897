//! Time as the systems know it: the number of the tick.

use bevy_ecs::prelude::*;
use components::scene::FrameRate;

/// Which tick this is. Written at the start of the set `Command`; the same ticks always give the same frames.
#[derive(Resource, Clone, Copy, Debug)]
pub struct FrameClock {
    /// The tick that runs, counted from 0.
    pub tick: u64,
    /// Ticks a second.
    pub rate: FrameRate,
}

impl FrameClock {
    /// The start of this tick in seconds since tick 0.
    pub fn seconds(&self) -> f64 {
        self.rate.seconds_at(self.tick)
    }

    /// Seconds between the starts of an earlier tick and this one.
    pub fn seconds_since(&self, tick: u64) -> f64 {
        self.rate.seconds_at(self.tick.saturating_sub(tick))
    }
}

/// The tick of the rate `new` that begins when `tick` of the rate `old` does, as near as there is one, where both count from one moment.
pub fn tick_at_rate(tick: u64, old: FrameRate, new: FrameRate) -> u64 {
    if old == new {
        return tick;
    }
    (old.seconds_at(tick) * new.as_f64()).round() as u64
}
