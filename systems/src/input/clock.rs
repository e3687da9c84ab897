//! The time of an input: which of its microseconds belongs to a tick.
//!
//! A file's is a function of the ticks since its layer came on air. A live input has a clock of its own, which is never quite that of
//! the ticks; what is held of it grows or shrinks as the two drift apart, and a slow loop steers by that. Picture and sound have one
//! clock, so they cannot drift from each other.

use super::door::Stream;
use crate::clock::FrameClock;

/// The time of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FileClock {
    /// The tick from which it counts, and its microsecond there.
    base_tick: u64,
    base_us: f64,
    /// Microseconds a microsecond of the stream; 0 while it stands still.
    rate: f64,
}

impl FileClock {
    pub fn new(tick: u64) -> Self {
        Self {
            base_tick: tick,
            base_us: 0.0,
            rate: 1.0,
        }
    }

    /// Its microsecond at the start of a tick.
    pub fn at(&self, clock: &FrameClock, tick: u64) -> f64 {
        let ticks = tick.saturating_sub(self.base_tick);
        self.base_us + clock.rate.nanos_at(ticks) as f64 / 1000.0 * self.rate
    }

    /// Goes on at another rate, or with ticks of another length, from where it stands.
    pub fn rebase(&mut self, clock: &FrameClock, rate: f64) {
        (self.base_us, self.base_tick) = (self.at(clock, clock.tick), clock.tick);
        self.rate = rate;
    }

    /// Stands at a microsecond on this tick, and goes on from there.
    pub fn go_on_at(&mut self, clock: &FrameClock, now_us: f64) {
        (self.base_us, self.base_tick) = (now_us, clock.tick);
    }

    pub fn rate(&self) -> f64 {
        self.rate
    }
}

/// The most by which a live input is hurried or held back.
const STEER_MAX: f64 = 0.005;
/// The loop that steers: a second-order one, as slow as 20 s, damped by 0.8.
const OMEGA: f64 = 1.0 / 20.0;
const DAMPING: f64 = 0.8;
/// Seconds over which the least that is held is looked for.
const WINDOW_SECONDS: f64 = 1.0;
/// Windows of which the middle one is taken, and of which the least is.
const MEDIAN_OF: usize = 5;
const LEAST_OF: usize = 10;
/// Seconds at the beginning in which what comes faster than it was made, such as what a server had kept, is passed over.
const SETTLE_SECONDS: f64 = 0.4;
const SETTLE_EXCESS_US: f64 = 100_000.0;
/// What may be held above what is wanted before the rest is passed over.
const EXCESS_MAX_US: f64 = 300_000.0;
/// How long and how far behind an input may come in before its time begins anew, in seconds and microseconds.
const LATE_SECONDS: f64 = 0.5;
const LATE_US: f64 = 250_000.0;
/// What must be held of sound beyond a tick; and what more where it joins pictures, since it comes in packets.
const GUARD_US: f64 = 5000.0;
const PACKET_US: f64 = 30_000.0;

/// How much of a stream is held, in microseconds: from the tick's place to the newest that has come.
#[derive(Clone, Debug)]
struct Fill {
    /// The newest that has come.
    newest_us: Option<f64>,
    least: f64,
    minima: [f64; LEAST_OF],
    count: usize,
    /// What is to be held, once that is known.
    target: Option<f64>,
}

impl Default for Fill {
    fn default() -> Self {
        Self {
            newest_us: None,
            least: f64::INFINITY,
            minima: [0.0; LEAST_OF],
            count: 0,
            target: None,
        }
    }
}

impl Fill {
    fn note(&mut self, now_us: f64) {
        if let Some(newest_us) = self.newest_us {
            self.least = self.least.min(newest_us - now_us);
        }
    }

    fn end_window(&mut self) {
        if self.least.is_finite() {
            self.minima[self.count % LEAST_OF] = self.least;
            self.count += 1;
        }
        self.least = f64::INFINITY;
    }

    /// Forgets what was held, and keeps what is to be.
    fn moved(&mut self) {
        (self.count, self.least) = (0, f64::INFINITY);
    }

    fn newest_windows(&self, count: usize) -> impl Iterator<Item = f64> + '_ {
        (1..=count.min(self.count)).map(|back| self.minima[(self.count - back) % LEAST_OF])
    }

    fn median(&self) -> Option<f64> {
        if self.count < MEDIAN_OF {
            return None;
        }
        let mut sorted = [0.0; MEDIAN_OF];
        for (slot, value) in sorted.iter_mut().zip(self.newest_windows(MEDIAN_OF)) {
            *slot = value;
        }
        sorted.sort_unstable_by(f64::total_cmp);
        Some(sorted[MEDIAN_OF / 2])
    }

    fn least_of_all(&self) -> Option<f64> {
        let least = self.newest_windows(LEAST_OF).reduce(f64::min);
        least.filter(|_| self.count >= LEAST_OF)
    }
}

/// The time of a live input.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveClock {
    /// Its microsecond at the last tick, once something has come.
    now_us: Option<f64>,
    last_tick: u64,
    last_nanos: u64,
    pictures: Fill,
    sound: Fill,
    /// What the loop has learned of the drift, and by how much it steers.
    drift: f64,
    /// The drift when nothing had run dry for a while.
    steady_drift: f64,
    steer: f64,
    window_seconds: f64,
    /// Seconds since the time began.
    age_seconds: f64,
    late_seconds: f64,
    arrived: bool,
}

impl LiveClock {
    /// Its microsecond at the start of this tick; `None` before anything has come.
    pub fn now_us(&self) -> Option<f64> {
        self.now_us
    }

    /// Its microseconds a microsecond of the stream.
    pub fn rate(&self) -> f64 {
        1.0 + self.steer
    }

    /// How far it is ahead of the ticks', in parts per million.
    pub fn drift_ppm(&self) -> f64 {
        self.drift * 1e6
    }

    /// Microseconds that are held: of what there is less of.
    pub fn held_us(&self) -> Option<f64> {
        let now_us = self.now_us?;
        let newest = [self.pictures.newest_us, self.sound.newest_us];
        let least = newest.into_iter().flatten().reduce(f64::min)?;
        Some(least - now_us)
    }

    /// Goes on to this tick, before what has come is told.
    pub fn advance(&mut self, clock: &FrameClock) -> f64 {
        let nanos = clock.rate.nanos_at(clock.tick);
        let seconds = match self.now_us {
            // Ticks of another length have other times; one of them has passed.
            Some(_) if nanos < self.last_nanos => clock.rate.seconds_at(1),
            Some(_) => (nanos - self.last_nanos) as f64 / 1e9,
            None => 0.0,
        };
        if let Some(now_us) = &mut self.now_us {
            *now_us += seconds * 1e6 * (1.0 + self.steer);
        }
        (self.last_tick, self.last_nanos) = (clock.tick, nanos);
        seconds
    }

    /// Counts from this tick on, at which the rate of the ticks changes.
    pub fn count_from(&mut self, clock: &FrameClock) {
        self.last_nanos = clock.rate.nanos_at(clock.tick);
    }

    /// Has the time begin anew with the next that comes.
    pub fn stop(&mut self) {
        let (last_tick, last_nanos) = (self.last_tick, self.last_nanos);
        *self = Self {
            last_tick,
            last_nanos,
            drift: self.drift,
            steady_drift: self.drift,
            steer: self.drift,
            ..Self::default()
        };
    }

    /// What `buffer_us` comes to: no less than what can be read at all.
    fn buffer(buffer_us: f64, tick_us: f64) -> f64 {
        buffer_us.max(tick_us + 2.0 * GUARD_US)
    }

    /// Notes that something of `stream` came on this tick, from `first_us` to `newest_us`; true when the time begins anew with it.
    pub fn arrived(
        &mut self,
        stream: Stream,
        (first_us, newest_us): (f64, f64),
        jumped: bool,
        buffer_us: f64,
        tick_us: f64,
    ) -> bool {
        self.arrived = true;
        let buffer = Self::buffer(buffer_us, tick_us);
        let began = match self.now_us {
            None => true,
            // The other stream may have made the same jump already.
            Some(now_us) => {
                let near = -1e6..buffer + 1.5e6;
                jumped && !near.contains(&(newest_us - now_us))
            }
        };
        if began {
            let (drift, tick) = (self.drift, (self.last_tick, self.last_nanos));
            *self = Self {
                now_us: Some(first_us - buffer),
                last_tick: tick.0,
                last_nanos: tick.1,
                drift,
                steady_drift: drift,
                steer: drift,
                arrived: true,
                ..Self::default()
            };
        }
        let is_new = match stream {
            Stream::Picture => self.pictures.newest_us.replace(newest_us).is_none(),
            Stream::Sound => self.sound.newest_us.replace(newest_us).is_none(),
        };
        // Sound that joins pictures must have what it takes to be read on this very tick.
        if is_new
            && !began
            && stream == Stream::Sound
            && let Some(now_us) = &mut self.now_us
        {
            let short = tick_us + PACKET_US - (newest_us - *now_us);
            if short > 0.0 && short < 1e6 {
                *now_us -= short;
                self.pictures.moved();
            }
        }
        began
    }

    /// Looks at what is held once all that has come is told, and steers. True when the time jumps.
    pub fn steer(&mut self, seconds: f64, buffer_us: f64, tick_us: f64) -> bool {
        let Some(now_us) = self.now_us else {
            return false;
        };
        let buffer = Self::buffer(buffer_us, tick_us);
        let arrived = std::mem::take(&mut self.arrived);
        self.age_seconds += seconds;
        let newest = [self.pictures.newest_us, self.sound.newest_us];
        let held = newest.into_iter().flatten().reduce(f64::min);
        let held = held.map_or(0.0, |newest| newest - now_us);
        if self.age_seconds < SETTLE_SECONDS {
            let excess = held - buffer;
            if arrived && excess > SETTLE_EXCESS_US {
                return self.jump(now_us + excess);
            }
        }
        // What comes in too late for longer than a moment is shown at its own pace again.
        let newest = newest.into_iter().flatten().reduce(f64::max);
        let ahead = newest.map_or(0.0, |newest| newest - now_us);
        if ahead < -LATE_US {
            self.late_seconds += seconds;
            if arrived && self.late_seconds > LATE_SECONDS {
                return self.jump(now_us + ahead - buffer);
            }
            // Nothing is learned from a source that gives nothing, nor kept of what its last moments taught.
            (self.drift, self.steer) = (self.steady_drift, self.steady_drift);
            self.pictures.moved();
            self.sound.moved();
            self.window_seconds = 0.0;
            return false;
        } else {
            self.late_seconds = 0.0;
        }
        self.pictures.note(now_us);
        self.sound.note(now_us);
        self.window_seconds += seconds;
        if self.window_seconds < WINDOW_SECONDS {
            return false;
        }
        self.end_window(now_us, buffer, tick_us)
    }

    fn end_window(&mut self, now_us: f64, buffer: f64, tick_us: f64) -> bool {
        let window = std::mem::take(&mut self.window_seconds);
        self.pictures.end_window();
        self.sound.end_window();
        // A picture may come a little late: it is shown a tick later, as it would be between two ticks.
        let guards = [-tick_us / 2.0, tick_us + GUARD_US];
        let mut errors = [None; 2];
        let mut excess = f64::INFINITY;
        for ((fill, guard), error) in [&mut self.pictures, &mut self.sound]
            .into_iter()
            .zip(guards)
            .zip(&mut errors)
        {
            let Some(median) = fill.median() else {
                if fill.newest_us.is_some() {
                    excess = 0.0;
                }
                continue;
            };
            let highest = buffer.max(guard);
            let target = *fill.target.get_or_insert(median.clamp(guard, highest));
            let target = target.min(highest);
            let mut off = median - target;
            // One that has run dry is given more, whatever the other one says.
            let mut dry = None;
            if let Some(least) = fill.least_of_all() {
                if least < guard {
                    dry = Some(least - guard);
                    off = off.min(least - guard);
                }
                excess = excess.min(least - target);
            } else {
                excess = 0.0;
            }
            *error = Some((off, dry));
        }
        let [pictures, sound] = errors;
        let is_dry =
            |error: &Option<(f64, Option<f64>)>| error.is_some_and(|(_, dry)| dry.is_some());
        if !is_dry(&pictures) && !is_dry(&sound) {
            self.steady_drift = self.drift;
        }
        // Pictures are counted in steps of one, so that what is held of them wanders by one; sound tells more.
        let error = match (sound, pictures) {
            (Some(sound), Some((_, Some(dry)))) => Some(sound.0.min(dry)),
            (Some(sound), _) => Some(sound.0),
            (None, pictures) => pictures.map(|pictures| pictures.0),
        };
        if excess.is_finite() && excess > EXCESS_MAX_US {
            return self.jump(now_us + excess);
        }
        let Some(error) = error else { return false };
        let error = error / 1e6;
        self.drift = (self.drift + OMEGA * OMEGA * error * window).clamp(-STEER_MAX, STEER_MAX);
        let steer = self.drift + 2.0 * DAMPING * OMEGA * error;
        self.steer = steer.clamp(-STEER_MAX, STEER_MAX);
        false
    }

    fn jump(&mut self, to_us: f64) -> bool {
        self.now_us = Some(to_us);
        self.late_seconds = 0.0;
        self.pictures.moved();
        self.sound.moved();
        true
    }
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
