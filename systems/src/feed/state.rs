//! Which item of a feed is on show: a function of the tick, of the source, and of where commands left it.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::scene::FrameRate;
use components::source::{FeedOrder, VisualFeedSource};
use serde::{Deserialize, Serialize};

use crate::clock::{FrameClock, tick_at_rate};

/// How far a sum of ticks may be from a whole dwell time and still be one.
const NEARLY: f64 = 1e-6;

/// Where a feed was when a command last moved it; from there it goes on by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedState {
    since_tick: u64,
    /// How long the item had been on show by then.
    seconds: f64,
    /// `None` while the feed is empty.
    item: Option<Arc<str>>,
    /// How often a shuffled feed had gone through all of its items.
    round: u64,
    /// The item whose place it takes.
    from: Option<Arc<str>>,
    pinned: bool,
}

/// [`FeedState`] in the world, on the feed's layer. Written by spawning, by edits and by commands.
#[derive(Component, Clone, Debug)]
pub(crate) struct FeedClock(pub FeedState);

/// What a feed shows on a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Showing {
    /// The place of the item among the feed's items.
    pub index: usize,
    /// The item whose place it takes, or took.
    pub previous: Option<usize>,
    /// The item that comes after it; the same one when none does.
    pub next: usize,
    /// How long it has been on show.
    pub seconds: f64,
    /// Whether it stays until it is told otherwise.
    pub pinned: bool,
    round: u64,
}

/// What a feed can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedAction {
    /// Show the next item now.
    Next,
    /// Show the item before this one now.
    Previous,
    /// Show this item now.
    Show {
        /// Its name.
        item: Arc<str>,
        /// Whether it stays until the feed is told otherwise.
        pinned: bool,
    },
}

impl FeedState {
    /// A feed that starts on `tick`, with its first item.
    pub fn start(source: &VisualFeedSource, tick: u64) -> Self {
        let first = Order::new(source, 0).at(0);
        Self {
            since_tick: tick,
            seconds: 0.0,
            item: first.and_then(|index| name(source, index)),
            round: 0,
            from: None,
            pinned: false,
        }
    }

    /// The same moment counted in ticks of another rate.
    #[must_use]
    pub fn at_rate(mut self, old: FrameRate, new: FrameRate) -> Self {
        self.since_tick = tick_at_rate(self.since_tick, old, new);
        self
    }
}

fn name(source: &VisualFeedSource, index: usize) -> Option<Arc<str>> {
    source.items.get(index).map(|item| item.id.as_str().into())
}

/// The items of one round in their order.
enum Order {
    /// As they are listed.
    Listed(usize),
    /// By number.
    Drawn(Vec<usize>),
}

impl Order {
    fn new(source: &VisualFeedSource, round: u64) -> Self {
        let count = source.items.len();
        // Of two items there is but one order that never shows one twice.
        if source.order != FeedOrder::Shuffle || count < 3 {
            return Self::Listed(count);
        }
        let mut drawn = draw(source, round);
        if let Some(last_round) = round.checked_sub(1)
            && draw(source, last_round).last() == drawn.first()
        {
            drawn.swap(0, 1);
        }
        Self::Drawn(drawn)
    }

    fn at(&self, place: usize) -> Option<usize> {
        match self {
            Self::Listed(count) => (place < *count).then_some(place),
            Self::Drawn(drawn) => drawn.get(place).copied(),
        }
    }

    fn place_of(&self, index: usize) -> usize {
        match self {
            Self::Listed(_) => index,
            Self::Drawn(drawn) => drawn.iter().position(|own| *own == index).unwrap_or(0),
        }
    }
}

/// An order that a new item changes only where it comes in: by a hash of the item's name.
fn draw(source: &VisualFeedSource, round: u64) -> Vec<usize> {
    let key = |index: &usize| {
        let id = source.items[*index].id.as_str();
        // FNV-1a, and the last steps of SplitMix64, so that near names and rounds are far from each other.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(source.seed);
        for byte in id.bytes().chain(round.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash ^ (hash >> 31), *index)
    };
    let mut drawn: Vec<usize> = (0..source.items.len()).collect();
    drawn.sort_by_key(key);
    drawn
}

/// `steps` items after the one at `index` in `round`: its place in the list, and its round.
fn step(source: &VisualFeedSource, index: usize, round: u64, steps: i64) -> (usize, u64) {
    let count = source.items.len() as i64;
    if count == 0 {
        return (0, 0);
    }
    let place = Order::new(source, round).place_of(index) as i64 + steps;
    if source.order == FeedOrder::Once {
        return (place.clamp(0, count - 1) as usize, 0);
    }
    let rounds = place.div_euclid(count);
    let place = place.rem_euclid(count) as usize;
    let round = match source.order {
        FeedOrder::Shuffle => round.saturating_add_signed(rounds),
        FeedOrder::Loop | FeedOrder::Once => 0,
    };
    (Order::new(source, round).at(place).unwrap_or(0), round)
}

/// What a feed shows on a tick; `None` when it is empty.
pub fn show_at(
    state: &FeedState,
    source: &VisualFeedSource,
    clock: &FrameClock,
) -> Option<Showing> {
    let count = source.items.len();
    if count == 0 {
        return None;
    }
    let find = |id: &Option<Arc<str>>| id.as_ref().and_then(|id| source.find(id));
    let start = find(&state.item).unwrap_or(0);
    let seconds = state.seconds + clock.seconds_since(state.since_tick);
    let dwell = f64::from(source.dwell);
    let mut steps = if state.pinned || count == 1 {
        0
    } else {
        ((seconds / dwell + NEARLY).floor() as i64).max(0)
    };
    if source.order == FeedOrder::Once {
        steps = steps.min((count - 1 - start) as i64);
    }
    let (index, round) = step(source, start, state.round, steps);
    let previous = match steps {
        0 => find(&state.from),
        steps => Some(step(source, start, state.round, steps - 1).0),
    };
    Some(Showing {
        index,
        previous: previous.filter(|previous| *previous != index),
        next: step(source, index, round, 1).0,
        seconds: (seconds - steps as f64 * dwell).max(0.0),
        pinned: state.pinned,
        round,
    })
}

/// The state of a feed whose source changes on this tick: the item on show stays where it is.
pub fn follow(
    state: &FeedState,
    old: &VisualFeedSource,
    new: &VisualFeedSource,
    clock: &FrameClock,
) -> FeedState {
    let ids = |source: &VisualFeedSource| -> Vec<Arc<str>> {
        let items = source.items.iter();
        items.map(|item| item.id.as_str().into()).collect()
    };
    let (before, after) = (ids(old), ids(new));
    let same_pace = (old.dwell, old.order, old.seed) == (new.dwell, new.order, new.seed);
    if same_pace && before == after {
        return state.clone();
    }
    let Some(showing) = show_at(state, old, clock) else {
        return FeedState::start(new, clock.tick);
    };
    let stays = |index: usize| before.get(index).filter(|id| after.contains(id)).cloned();
    let kept = FeedState {
        since_tick: clock.tick,
        seconds: showing.seconds.min(f64::from(new.dwell)),
        item: stays(showing.index),
        round: showing.round,
        from: showing.previous.and_then(stays),
        pinned: state.pinned,
    };
    if kept.item.is_some() {
        return kept;
    }
    // It is gone: the first that comes after it and is still there takes its place.
    let mut followers = (1..before.len() as i64)
        .map(|steps| step(old, showing.index, showing.round, steps))
        .filter_map(|(index, round)| Some((stays(index)?, round)));
    match followers.next() {
        Some((item, round)) => FeedState {
            item: Some(item),
            round,
            seconds: 0.0,
            from: None,
            pinned: false,
            ..kept
        },
        None => FeedState::start(new, clock.tick),
    }
}

/// The state of a feed after `action` on this tick, whose frame is the first to show it.
pub fn after_action(
    state: &FeedState,
    source: &VisualFeedSource,
    action: &FeedAction,
    clock: &FrameClock,
) -> FeedState {
    let Some(showing) = show_at(state, source, clock) else {
        return state.clone();
    };
    let ((target, round), pinned) = match action {
        FeedAction::Next => (step(source, showing.index, showing.round, 1), false),
        FeedAction::Previous => (step(source, showing.index, showing.round, -1), false),
        FeedAction::Show { item, pinned } => match source.find(item) {
            Some(index) => ((index, showing.round), *pinned),
            None => return state.clone(),
        },
    };
    let (seconds, from) = if target == showing.index {
        (showing.seconds, showing.previous)
    } else {
        (clock.rate.seconds_at(1), Some(showing.index))
    };
    FeedState {
        since_tick: clock.tick,
        seconds,
        item: name(source, target),
        round,
        from: from.and_then(|index| name(source, index)),
        pinned,
    }
}

/// The same state, counted from this tick: what a change of the rate leaves as it is.
pub fn from_now(state: &FeedState, clock: &FrameClock) -> FeedState {
    FeedState {
        since_tick: clock.tick,
        seconds: state.seconds + clock.seconds_since(state.since_tick),
        ..state.clone()
    }
}
