//! How much sound belongs to a tick.

use components::scene::FrameRate;

/// Samples a second of the program's sound.
pub const SAMPLE_RATE: u32 = 48_000;

/// How many samples belong to `tick`: over any run of ticks the sum is exactly the time that the ticks take.
pub fn samples_in_tick(rate: FrameRate, tick: u64) -> usize {
    rate.samples_in(tick, SAMPLE_RATE)
}
