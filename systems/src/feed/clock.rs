//! Real time, as far as ticks tell it, and the time that items have left.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::source::{FeedItem, VisualFeedSource};
use serde::{Deserialize, Serialize};

use crate::clock::FrameClock;

/// The moment of tick 0, in milliseconds since 1970 (UTC). Systems read no clock: this is all they know of the time of day.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Epoch(pub i64);

impl Epoch {
    /// The moment of a tick, in milliseconds since 1970.
    pub fn at(&self, clock: &FrameClock) -> i64 {
        self.0 + (clock.rate.nanos_at(clock.tick) / 1_000_000) as i64
    }

    /// Keeps the moment of this tick when ticks come at another rate from now on.
    pub fn keep(&mut self, old: &FrameClock, new: &FrameClock) {
        self.0 += self.at(old) - self.at(new);
    }
}

/// When items with `endsIn` came on air, by name, in milliseconds since 1970. On the feed's layer; written when the feed is spawned or
/// edited.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arrivals(BTreeMap<Arc<str>, i64>);

impl Arrivals {
    /// Every item arrives now.
    pub fn new(source: &VisualFeedSource, now_ms: i64) -> Self {
        let mut arrivals = Self::default();
        arrivals.follow(&VisualFeedSource::default(), source, now_ms);
        arrivals
    }

    /// An item that is new, or has another time to run, arrives now.
    pub fn follow(&mut self, old: &VisualFeedSource, new: &VisualFeedSource, now_ms: i64) {
        let before: HashMap<&str, Option<f64>> = old
            .items
            .iter()
            .map(|item| (item.id.as_str(), item.ends_in))
            .collect();
        let mut next = BTreeMap::new();
        for item in new.items.iter().filter(|item| item.ends_in.is_some()) {
            let id = item.id.as_str();
            let stays = before.get(id) == Some(&item.ends_in);
            let arrival = self.0.get(id).filter(|_| stays).copied();
            next.insert(Arc::from(id), arrival.unwrap_or(now_ms));
        }
        self.0 = next;
    }

    /// Has every item have arrived later.
    pub fn shift(&mut self, later_ms: i64) {
        for arrival in self.0.values_mut() {
            *arrival += later_ms;
        }
    }

    /// Whole seconds that an item has left, rounded up, never below 0; `None` when it has all the time.
    pub fn seconds_left(&self, item: &FeedItem, now_ms: i64) -> Option<u64> {
        let end_ms = match (&item.ends_at, item.ends_in) {
            (Some(moment), _) => moment.unix_ms(),
            (None, Some(seconds)) => {
                let arrival = self.0.get(item.id.as_str()).copied().unwrap_or(now_ms);
                arrival + (seconds * 1000.0).round() as i64
            }
            (None, None) => return None,
        };
        Some(((end_ms - now_ms).max(0) as u64).div_ceil(1000))
    }
}

/// Time left as people read it: `1:05:09`, `5:09`, or `ended` at the end.
pub fn countdown_words(seconds: u64, ended: &str) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (seconds, hours) {
        (0, _) => ended.to_owned(),
        (_, 0) => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use components::scene::FrameRate;

    #[test]
    fn time_left_is_written_as_people_read_it() {
        let words = |seconds| countdown_words(seconds, "Sold");
        assert_eq!(
            [0, 1, 59, 60, 3599, 3600, 90_061].map(words),
            [
                "Sold", "0:01", "0:59", "1:00", "59:59", "1:00:00", "25:01:01"
            ]
        );
    }

    #[test]
    fn another_rate_keeps_the_time_of_day() {
        let clock = |fps| FrameClock {
            tick: 90,
            rate: FrameRate::whole(fps),
        };
        let mut epoch = Epoch(1_000_000);
        epoch.keep(&clock(30), &clock(60));
        assert_eq!(epoch.at(&clock(60)), 1_003_000);
    }
}
