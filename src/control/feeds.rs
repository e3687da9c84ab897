//! Where feeds stand: the same functions as in the world, on the same tick, so that nobody has to ask it.

use std::collections::BTreeMap;
use std::sync::Arc;

use components::layer::LayerSpec;
use components::scene::{FrameRate, SceneSpec};
use components::source::{Source, VisualFeedSource};
use serde_json::json;
use systems::clock::FrameClock;
use systems::feed::{Arrivals, FeedState, after_action, follow, from_now, show_at};

use super::events::Event;
use super::plan::FeedTold;
use super::show::{Snapshot, find_layer, layer_at};

/// What has landed on a tick.
pub struct Landing<'a> {
    /// What feeds were told, in order.
    pub told: &'a [FeedTold],
    /// Whether another scene came on air.
    pub loads_scene: bool,
    /// The rate of the ticks before it, where that changed.
    pub old_rate: Option<FrameRate>,
}

/// The feeds of a scene that comes on air on `tick`.
pub fn fresh(spec: &SceneSpec, tick: u64) -> BTreeMap<String, FeedState> {
    let mut feeds = BTreeMap::new();
    each(spec, &mut |id, feed| {
        feeds.insert(id.to_owned(), FeedState::start(feed, tick));
    });
    feeds
}

/// The feeds after what has landed on the tick of `clock`.
pub fn landed(
    before: &Snapshot,
    spec: &SceneSpec,
    landing: &Landing,
    clock: &FrameClock,
) -> BTreeMap<String, FeedState> {
    let mut feeds = (*before.feeds).clone();
    let old_spec = &before.show.program.spec;
    if landing.loads_scene {
        feeds = fresh(spec, clock.tick);
    } else if !std::ptr::eq(&**old_spec, spec) {
        let mut next = BTreeMap::new();
        each(spec, &mut |id, feed| {
            let state = match (feeds.get(id), source(old_spec, id)) {
                (Some(state), Some(old)) => follow(state, old, feed, clock),
                _ => FeedState::start(feed, clock.tick),
            };
            next.insert(id.to_owned(), state);
        });
        feeds = next;
    }
    for told in landing.told {
        if let (Some(state), Some(feed)) = (feeds.get_mut(&told.layer), source(spec, &told.layer)) {
            *state = after_action(state, feed, &told.action, clock);
        }
    }
    if let Some(rate) = landing.old_rate {
        let old = FrameClock {
            tick: clock.tick,
            rate,
        };
        for state in feeds.values_mut() {
            *state = from_now(state, &old);
        }
    }
    feeds
}

/// When the items of a scene's feeds came on air where they all did at `now_ms`.
pub fn fresh_arrivals(spec: &SceneSpec, now_ms: i64) -> BTreeMap<String, Arrivals> {
    let mut arrivals = BTreeMap::new();
    each(spec, &mut |id, feed| {
        arrivals.insert(id.to_owned(), Arrivals::new(feed, now_ms));
    });
    arrivals
}

/// The same after what has landed at `now_ms`.
pub fn landed_arrivals(
    before: &Snapshot,
    spec: &Arc<SceneSpec>,
    landing: &Landing,
    now_ms: i64,
) -> Arc<BTreeMap<String, Arrivals>> {
    let old_spec = &before.show.program.spec;
    if landing.loads_scene {
        return Arc::new(fresh_arrivals(spec, now_ms));
    }
    if Arc::ptr_eq(old_spec, spec) {
        return Arc::clone(&before.arrivals);
    }
    let mut next = BTreeMap::new();
    each(spec, &mut |id, feed| {
        let known = before.arrivals.get(id).zip(source(old_spec, id));
        let arrivals = match known {
            Some((arrivals, old)) => {
                let mut arrivals = arrivals.clone();
                arrivals.follow(old, feed, now_ms);
                arrivals
            }
            None => Arrivals::new(feed, now_ms),
        };
        next.insert(id.to_owned(), arrivals);
    });
    Arc::new(next)
}

/// What differs in which items are on show, as far as a change made it so.
pub fn news(before: &Snapshot, after: &Snapshot, events: &mut Vec<Event>) {
    let clock = FrameClock {
        tick: after.tick,
        rate: after.rate,
    };
    for (id, state) in after.feeds.iter() {
        let old = before.feeds.get(id);
        if old == Some(state) {
            continue;
        }
        let shown = |spec: &SceneSpec, state: &FeedState| {
            let feed = source(spec, id)?;
            let showing = show_at(state, feed, &clock)?;
            Some((feed.items.get(showing.index)?.id.clone(), showing.pinned))
        };
        let now = shown(&after.show.program.spec, state);
        let was = old.and_then(|old| shown(&before.show.program.spec, old));
        if now != was {
            let (item, pinned) = now.unzip();
            let data = json!({"id": id, "item": item, "pinned": pinned.unwrap_or(false)});
            events.push(Event::about("feed:show", id, data));
        }
    }
}

/// What differs in the items of two feeds that are the same apart from them; `None` when more differs.
pub fn items(id: &str, old: &LayerSpec, new: &LayerSpec) -> Option<Vec<Event>> {
    let (Source::VisualFeed(before), Source::VisualFeed(after)) = (&old.source, &new.source) else {
        return None;
    };
    let bare = |feed: &VisualFeedSource| VisualFeedSource {
        items: Vec::new(),
        ..feed.clone()
    };
    if bare(before) != bare(after) {
        return None;
    }
    let stay = |from: &VisualFeedSource, to: &VisualFeedSource| -> Vec<String> {
        let items = from.items.iter();
        let stays = items.filter(|item| to.find(item.id.as_str()).is_some());
        stays.map(|item| item.id.to_string()).collect()
    };
    if stay(before, after) != stay(after, before) {
        // Another order is no item's own.
        return None;
    }
    let mut events = Vec::new();
    let mut tell = |data| events.push(Event::about("feed:item", id, data));
    for item in &before.items {
        if after.find(item.id.as_str()).is_none() {
            tell(json!({"id": id, "item": item.id, "change": "delete"}));
        }
    }
    for (index, item) in after.items.iter().enumerate() {
        let name = item.id.as_str();
        match before.find(name).and_then(|index| before.items.get(index)) {
            None => tell(
                json!({"id": id, "item": name, "change": "push", "index": index, "value": item}),
            ),
            Some(old) if old != item => {
                let value = (json!(old), json!(item));
                if let (Some(old), Some(new)) = (value.0.as_object(), value.1.as_object()) {
                    let changes = super::news::merge_patch(old, new);
                    tell(json!({"id": id, "item": name, "change": "update", "changes": changes}));
                }
            }
            Some(_) => {}
        }
    }
    Some(events)
}

fn source<'a>(spec: &'a SceneSpec, id: &str) -> Option<&'a VisualFeedSource> {
    let place = find_layer(&spec.layers, id)?;
    match &layer_at(&spec.layers, &place)?.source {
        Source::VisualFeed(feed) => Some(feed),
        _ => None,
    }
}

fn each(spec: &SceneSpec, visit: &mut dyn FnMut(&str, &VisualFeedSource)) {
    spec.walk_layers(|layer| {
        if let Source::VisualFeed(feed) = &layer.source {
            visit(layer.id.as_str(), feed);
        }
    });
}
