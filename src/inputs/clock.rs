//! The clock of a live input as the world sees it: it goes on when the source begins anew, and never back.

use std::time::{Duration, Instant};

/// A step back of the source's times from which on they are new ones.
const BACK_US: i64 = 1_000_000;
/// How far ahead of the time that has passed they may step before they are new ones: what publishers send ahead is less.
const AHEAD_US: i64 = 10_000_000;

/// Maps the times of a source that may begin anew to times that only grow.
#[derive(Debug, Default)]
pub(super) struct LiveClock {
    /// What is added to the source's times; `None` when they begin anew with the next.
    offset_us: Option<i64>,
    /// The newest time of the source, of pictures and of sound, and when it was seen.
    newest: [Option<(i64, Instant)>; 2],
    /// The latest time that was given, and when.
    given: Option<(i64, Instant)>,
}

impl LiveClock {
    /// The source begins anew: its next time follows the last one by the time that has passed.
    pub(super) fn begin(&mut self) {
        self.offset_us = None;
        self.newest = [None; 2];
    }

    /// The time for the world. `kind` is 0 for pictures and 1 for sound, which have one clock.
    pub(super) fn map(&mut self, kind: usize, source_us: i64, now: Instant) -> i64 {
        if let Some((newest_us, seen)) = self.newest[kind] {
            let step_us = source_us - newest_us;
            let passed_us = microseconds(now.saturating_duration_since(seen));
            if step_us < -BACK_US || step_us > passed_us.saturating_add(AHEAD_US) {
                self.begin();
            }
        }
        let newest = self.newest[kind].map_or(source_us, |(newest_us, _)| newest_us.max(source_us));
        self.newest[kind] = Some((newest, now));
        let offset_us = *self.offset_us.get_or_insert_with(|| match self.given {
            Some((given_us, at)) => {
                given_us + microseconds(now.saturating_duration_since(at)).max(1) - source_us
            }
            None => -source_us,
        });
        let out_us = source_us.saturating_add(offset_us);
        if self.given.is_none_or(|(given_us, _)| out_us > given_us) {
            self.given = Some((out_us, now));
        }
        out_us
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_begins_anew_goes_on_by_the_time_that_has_passed() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut clock = LiveClock::default();
        assert_eq!(clock.map(0, 5_000_000, at(0)), 0);
        assert_eq!(clock.map(1, 5_010_000, at(5)), 10_000);
        assert_eq!(clock.map(0, 5_040_000, at(40)), 40_000);
        // Told.
        clock.begin();
        assert_eq!(clock.map(0, 77, at(2040)), 2_040_000);
        assert_eq!(clock.map(1, 1_077, at(2041)), 2_041_000);
        // Not told: back to zero, and far ahead.
        clock.map(0, 60_000_077, at(60_040));
        let before = clock.map(0, 60_040_077, at(60_080));
        assert_eq!(clock.map(0, 0, at(60_120)), before + 40_000);
        assert_eq!(clock.map(0, 900_000_000, at(60_160)), before + 80_000);
    }

    #[test]
    fn a_stall_and_the_burst_after_it_are_no_new_times() {
        let start = Instant::now();
        let mut clock = LiveClock::default();
        clock.map(0, 0, start);
        let late = start + Duration::from_secs(5);
        assert_eq!(clock.map(0, 40_000, late), 40_000);
        assert_eq!(clock.map(0, 5_000_000, late), 5_000_000);
    }
}
