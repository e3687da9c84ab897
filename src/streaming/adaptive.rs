//! Adaptive bitrate: what a rendition's outputs take decides what is encoded. Pure: it is told the time and what was measured.
//!
//! An output lags by the packets that wait for it and by the bytes that its socket holds and the peer has not confirmed, as far as these
//! are more than a round trip takes. So a lag says that it is too much, and what the peer confirms meanwhile (or, where the protocol does
//! not tell, what is written) says how much is not. The bitrate goes down to 0.85 of that at once, further
//! while what has gathered does not shrink, and back to it when that is gone. It goes up by 5 % of the operator's ceiling, after 10 s
//! without lag, and near the rate that was too much before, by 10 % of what it is at most, and waits
//! as long again after every step. A step up that fails doubles
//! that wait, up to two minutes.
//!
//! The slowest output that gets on counts. One that is connecting or writes nothing does not: it would be of no use to anybody
//! that the others look worse, and its own thread gives it up.

use std::time::Duration;

use super::error::StreamingError;
use super::event::BitrateReason;
use super::outputs::OutputStats;

/// The time from one look to the next.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// Rates and trends are those of the last second.
const BEATS_MEASURED: usize = 4;
/// An output that wrote nothing for so many looks does not get on.
const BEATS_DEAD: usize = 2;
/// Longer than [`BEATS_DEAD`] looks and the frames inside an encoder, so that an output which died is never seen to lag first.
const LAG_HIGH: Duration = Duration::from_millis(650);
/// Less than this is no lag: frames come and go in pieces.
const LAG_LOW: Duration = Duration::from_millis(300);
/// A lag that shrinks by less in a second does not shrink.
const SHRINKS_S: f64 = 0.05;
/// Of what the slowest output takes.
const DOWN: f64 = 0.85;
/// The least of it, while what has gathered is to go away.
const DRAIN: f64 = 0.6;
/// After a step down, time to see what it does.
const DOWN_EVERY: Duration = Duration::from_millis(1500);
/// A step up, as a part of the ceiling.
const UP: f64 = 0.05;
/// So many times what was too much is taken as beyond it: a deep buffer hides a small excess for long.
const BEYOND: f64 = 1.3;
/// The largest step near what was too much, as a part of what is held.
const UP_NEAR: f64 = 0.1;
const UP_EVERY: Duration = Duration::from_secs(3);
/// Without lag for so long before a step up.
const PATIENCE_MIN: Duration = Duration::from_secs(10);
const PATIENCE_MAX: Duration = Duration::from_secs(120);
/// A lag so soon after a step up is that step's.
const PROBE: Duration = Duration::from_secs(20);

/// How a rendition's bitrate follows what its outputs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adaptive {
    /// Kbit/s of the picture below which it never goes, 50 to 200,000. Where the operator asks for less, that is held.
    pub floor_kbps: u32,
}

impl Adaptive {
    /// # Errors
    /// A floor out of its range.
    pub(super) fn validate(self, rendition: &str) -> Result<(), StreamingError> {
        if (50..=200_000).contains(&self.floor_kbps) {
            return Ok(());
        }
        Err(StreamingError::Setting {
            id: rendition.to_owned(),
            setting: "floor_kbps",
            value: self.floor_kbps.to_string(),
            expected: "50 to 200000 kbit/s are needed",
        })
    }
}

/// An output at one look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OutputSample {
    /// Whether it is connected, has been looked at for a second, and has written something lately.
    pub(super) gets_on: bool,
    /// How far it is behind the encoder.
    pub(super) lag: Duration,
    /// By how many seconds that has grown in the last one.
    pub(super) lag_growth_s: f64,
    /// Kbit/s written over the last second, sound and all.
    pub(super) written_kbps: f64,
    /// Whether packets were dropped since the last look.
    pub(super) has_dropped: bool,
}

/// Measures one output from look to look.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The last looks, oldest first.
    looks: Vec<Look>,
}

/// How long the peer takes for what its socket holds, beyond the time of a round trip.
fn held_back(stats: &OutputStats) -> Duration {
    let Some(acknowledged) = stats.acknowledged.filter(|_| stats.kbps >= 1.0) else {
        return Duration::ZERO;
    };
    let pending = acknowledged.bytes_in_flight;
    let seconds = f64::from(pending) * 8.0 / 1000.0 / stats.kbps;
    Duration::from_secs_f64(seconds.min(60.0)).saturating_sub(acknowledged.rtt * 3 / 2)
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    bytes: u64,
    dropped: u64,
    lag: Duration,
}

impl Meter {
    /// Looks at the output, `at` the supervisor's time.
    pub(super) fn look(&mut self, at: Duration, stats: &OutputStats) -> OutputSample {
        // A stalled one too: whether it is dead is told by how long it writes nothing.
        let is_live = stats.state.is_connected();
        if !is_live {
            self.looks.clear();
        }
        let look = Look {
            at,
            bytes: stats
                .acknowledged
                .map_or(stats.bytes, |acknowledged| acknowledged.bytes_acknowledged),
            dropped: stats.packets_dropped,
            lag: stats.lag + held_back(stats),
        };
        self.measure(is_live, look)
    }

    fn measure(&mut self, is_live: bool, look: Look) -> OutputSample {
        // One of the same name has taken its place.
        if self
            .looks
            .last()
            .is_some_and(|past| past.bytes > look.bytes)
        {
            self.looks.clear();
        }
        let before = self.looks.last().copied().unwrap_or(look);
        if self.looks.len() > BEATS_MEASURED {
            self.looks.remove(0);
        }
        self.looks.push(look);
        let first = self.looks[0];
        let has_written = self
            .looks
            .iter()
            .rev()
            .nth(BEATS_DEAD)
            .is_some_and(|past| past.bytes < look.bytes);
        let span_s = (look.at - first.at).as_secs_f64().max(0.001);
        let bytes = u32::try_from(look.bytes - first.bytes).unwrap_or(u32::MAX);
        OutputSample {
            gets_on: is_live && has_written && self.looks.len() > BEATS_MEASURED,
            lag: look.lag,
            lag_growth_s: (look.lag.as_secs_f64() - first.lag.as_secs_f64()) / span_s,
            written_kbps: f64::from(bytes) * 8.0 / 1000.0 / span_s,
            has_dropped: look.dropped > before.dropped,
        }
    }
}

/// A bitrate below the operator's ceiling, or none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) limit_kbps: Option<u32>,
    pub(super) reason: BitrateReason,
}

/// The bitrate of one rendition.
#[derive(Debug)]
pub(super) struct Controller {
    floor_kbps: f64,
    audio_kbps: f64,
    /// `None` while the ceiling holds.
    limit_kbps: Option<f64>,
    /// What the slowest output took when it last was too much, with its sound.
    wall_kbps: Option<f64>,
    lowered_at: Option<Duration>,
    /// The last step up that may yet turn out to be too much.
    raised_at: Option<Duration>,
    /// Since when nobody has lagged.
    clear_since: Option<Duration>,
    patience: Duration,
}

impl Controller {
    pub(super) fn new(adaptive: Adaptive, audio_kbps: u32) -> Self {
        Self {
            floor_kbps: f64::from(adaptive.floor_kbps),
            audio_kbps: f64::from(audio_kbps),
            limit_kbps: None,
            wall_kbps: None,
            lowered_at: None,
            raised_at: None,
            clear_since: None,
            patience: PATIENCE_MIN,
        }
    }

    /// Looks at all outputs that are adaptive and carry the rendition. `now` only grows; `ceiling_kbps` is the operator's.
    pub(super) fn step(
        &mut self,
        now: Duration,
        ceiling_kbps: u32,
        outputs: &[OutputSample],
    ) -> Option<Change> {
        if outputs.is_empty() {
            // What nobody needs any more.
            return self.is_limited().then(|| self.release());
        }
        let ceiling = f64::from(ceiling_kbps);
        let mut worst_kbps: Option<f64> = None;
        let (mut lag_max, mut count) = (Duration::ZERO, 0);
        for output in outputs.iter().filter(|output| output.gets_on) {
            count += 1;
            lag_max = lag_max.max(output.lag);
            let does_not_shrink = output.lag_growth_s > -SHRINKS_S;
            if output.has_dropped || (output.lag > LAG_HIGH && does_not_shrink) {
                let least = worst_kbps.unwrap_or(f64::INFINITY);
                worst_kbps = Some(least.min(output.written_kbps));
            }
        }
        if count == 0 || lag_max > LAG_LOW {
            self.clear_since = None;
        } else {
            self.clear_since.get_or_insert(now);
        }
        match worst_kbps {
            Some(worst_kbps) => self.lower(now, ceiling, worst_kbps),
            None => self.raise(now, ceiling),
        }
    }

    fn is_limited(&self) -> bool {
        self.limit_kbps.is_some()
    }

    fn lower(&mut self, now: Duration, ceiling: f64, worst_kbps: f64) -> Option<Change> {
        let current = self.limit_kbps.unwrap_or(ceiling).min(ceiling);
        let floor = self.floor_kbps.min(ceiling);
        let is_recent = self.lowered_at.is_some_and(|at| now - at < DOWN_EVERY);
        let mut goal = DOWN * worst_kbps - self.audio_kbps;
        if goal > 0.9 * current {
            if is_recent {
                return None;
            }
            // It is little enough, and yet what has gathered does not go away.
            goal = (DOWN * current).max(DRAIN * worst_kbps - self.audio_kbps);
        } else {
            self.wall_kbps = Some(worst_kbps);
        }
        let limit = goal.min(current).max(floor);
        if limit > current - 1.0 {
            return None;
        }
        if self.raised_at.take().is_some_and(|at| now - at < PROBE) {
            self.patience = (self.patience * 2).min(PATIENCE_MAX);
        }
        self.lowered_at = Some(now);
        self.limit_kbps = Some(limit);
        Some(self.change(BitrateReason::Congestion))
    }

    fn raise(&mut self, now: Duration, ceiling: f64) -> Option<Change> {
        let (limit, clear_since) = (self.limit_kbps?, self.clear_since?);
        let clear = now - clear_since;
        let since_raised = self.raised_at.map_or(Duration::MAX, |at| now - at);
        // What was left free for what had gathered.
        let drained = self.wall_kbps.map(|wall| DOWN * wall - self.audio_kbps);
        if let Some(drained) = drained.filter(|drained| *drained > limit + 1.0)
            && clear >= BEAT * 2
        {
            self.limit_kbps = Some(drained.max(self.floor_kbps));
            return self.raised(ceiling);
        }
        if clear < self.patience || since_raised < UP_EVERY {
            return None;
        }
        let mut step = UP * ceiling;
        if let Some(wall) = self.wall_kbps {
            if since_raised < self.patience {
                return None;
            }
            step = step.min(UP_NEAR * limit);
            // Beyond what was too much, and all is well.
            if limit + self.audio_kbps > wall * BEYOND {
                (self.wall_kbps, self.patience) = (None, PATIENCE_MIN);
            }
        }
        self.raised_at = Some(now);
        self.limit_kbps = Some(limit + step);
        self.raised(ceiling)
    }

    fn raised(&mut self, ceiling: f64) -> Option<Change> {
        if self.limit_kbps.is_some_and(|limit| limit >= ceiling) {
            return Some(self.release());
        }
        Some(self.change(BitrateReason::Recovery))
    }

    fn release(&mut self) -> Change {
        (self.limit_kbps, self.wall_kbps) = (None, None);
        self.change(BitrateReason::Recovery)
    }

    fn change(&self, reason: BitrateReason) -> Change {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from the floor to the ceiling, both far below 2^32"
        )]
        let limit_kbps = self.limit_kbps.map(|limit| limit.round() as u32);
        Change { limit_kbps, reason }
    }
}

#[cfg(test)]
mod tests;
