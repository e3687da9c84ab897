//! What a snapshot becomes when something has landed: timelines, feeds and the change of scenes, by the functions that the systems use.

use std::collections::BTreeMap;
use std::sync::Arc;

use components::animation::{Timeline, TimelineSpec};
use components::scene::SceneSpec;
use systems::animate::{after_action, from_now, keep_place, start_followers};
use systems::clock::{FrameClock, tick_at_rate};
use systems::feed::{Arrivals, Epoch, FeedState};
use systems::scene::{Came, Motions, Standing, timeline_component};
use systems::transition::{MixAction, MixCourse, MixPlace};

use super::came;
use super::feeds;
use super::plan::Mixing;
use super::show::{MixNow, Snapshot};
use super::task::Sent;

/// What follows from the scene on air, and from when it came there.
pub(super) struct OnAir {
    pub(super) timelines: Arc<BTreeMap<String, Timeline>>,
    pub(super) since_tick: u64,
    pub(super) came: Arc<Came>,
    pub(super) paused_tick: Option<u64>,
    /// The change of scenes in course.
    pub(super) mix: Option<MixNow>,
}

/// How the scene on air and the change of scenes stand in the world after what was sent: by the same functions, on the same tick.
pub(super) fn landed_mix(before: &Snapshot, sent: &Sent, clock: &FrameClock) -> OnAir {
    let mut now = OnAir {
        timelines: Arc::clone(&before.timelines),
        since_tick: before.since_tick,
        came: Arc::clone(&before.came),
        paused_tick: before.paused_tick,
        mix: before.mix.clone(),
    };
    if let Some(old) = sent.plan.old_rate {
        // As long before this tick as it was.
        let moved = |tick: u64| {
            let gone = clock.tick.saturating_sub(tick);
            clock
                .tick
                .saturating_sub(tick_at_rate(gone, old, clock.rate))
        };
        now.came = Arc::new((*now.came).clone().moved(moved));
        now.paused_tick = now.paused_tick.map(moved);
        now.since_tick = moved(now.since_tick);
    }
    now.paused_tick = match sent.show.pause {
        Some(_) => now.paused_tick.or(Some(clock.tick)),
        None => None,
    };
    if sent.plan.loads_scene {
        now.since_tick = clock.tick;
        now.came = Arc::default();
    } else {
        let landing = came::Landing {
            old: &before.show.program.spec,
            new: &sent.show.program.spec,
            playbacks: &sent.plan.playbacks,
            since_tick: now.since_tick,
            clock,
        };
        now.came = came::after(&now.came, &landing);
    }
    for mixing in &sent.plan.mixes {
        match *mixing {
            Mixing::Cuts => now.mix = None,
            Mixing::Begins { duration, hold } => {
                now.mix = Some(MixNow {
                    place: MixPlace::begin(MixCourse::begin(duration, hold, clock)),
                    timelines: Arc::clone(&now.timelines),
                    since_tick: before.since_tick,
                    came: Arc::clone(&before.came),
                });
            }
            Mixing::Told(action) => {
                let Some(mut mix) = now.mix.take() else {
                    continue;
                };
                mix.place = mix.place.after(action, clock);
                if matches!(action, MixAction::Reverse | MixAction::Cancel) {
                    std::mem::swap(&mut now.timelines, &mut mix.timelines);
                    (now.since_tick, mix.since_tick) = (mix.since_tick, before.since_tick);
                    (now.came, mix.came) = (mix.came, Arc::clone(&before.came));
                }
                if !matches!(action, MixAction::Finish | MixAction::Cancel) {
                    now.mix = Some(mix);
                }
            }
        }
    }
    let timelines = landed_timelines(before, &now.timelines, sent, clock);
    now.timelines = Arc::new(timelines);
    now
}

fn landed_timelines(
    before: &Snapshot,
    timelines_before: &BTreeMap<String, Timeline>,
    sent: &Sent,
    clock: &FrameClock,
) -> BTreeMap<String, Timeline> {
    if let Some(rate) = sent.plan.old_rate {
        let old = FrameClock {
            tick: clock.tick,
            rate,
        };
        let mut timelines = timelines_before.clone();
        for timeline in timelines.values_mut() {
            timeline.state = from_now(timeline, &old);
        }
        return timelines;
    }
    let specs = &sent.show.program.spec.timelines;
    let same_scene = Arc::ptr_eq(&before.show.program.spec, &sent.show.program.spec);
    if same_scene && sent.plan.actions.is_empty() && !sent.plan.loads_scene {
        return timelines_before.clone();
    }
    let mut timelines = fresh_timelines(specs, clock);
    if !sent.plan.loads_scene {
        let mut old = timelines_before.clone();
        // Until the tick before this one, timelines started after others.
        let tick_before = FrameClock {
            tick: clock.tick.saturating_sub(1),
            rate: clock.rate,
        };
        start_followers(&mut old, &tick_before);
        for (id, timeline) in &mut timelines {
            if let Some(old) = old.get(id) {
                *timeline = keep_place(timeline.clone(), old, clock);
            }
        }
    }
    for told in &sent.plan.actions {
        if let Some(timeline) = timelines.get_mut(&told.id) {
            timeline.state = after_action(timeline, told.action, clock);
        }
    }
    timelines
}

/// The feeds as the world has them after what was sent, and when their items came on air.
pub(super) fn landed_feeds(
    before: &Snapshot,
    sent: &Sent,
    clock: &FrameClock,
    epoch: Epoch,
) -> (
    Arc<BTreeMap<String, FeedState>>,
    Arc<BTreeMap<String, Arrivals>>,
) {
    let landing = feeds::Landing {
        told: &sent.plan.feeds,
        loads_scene: sent.plan.loads_scene,
        old_rate: sent.plan.old_rate,
    };
    let spec = &sent.show.program.spec;
    let feeds = feeds::landed(before, spec, &landing, clock);
    let arrivals = feeds::landed_arrivals(before, spec, &landing, epoch.at(clock));
    (Arc::new(feeds), arrivals)
}

/// Timelines as they are when their scene comes on air.
fn fresh_timelines(specs: &[Arc<TimelineSpec>], clock: &FrameClock) -> BTreeMap<String, Timeline> {
    specs
        .iter()
        .map(|spec| (spec.id.clone(), timeline_component(spec, clock.tick)))
        .collect()
}

/// Where the timelines and feeds of a scene stand that came on air on the tick of `clock`.
pub fn fresh(spec: &SceneSpec, clock: &FrameClock, epoch: Epoch) -> Standing {
    Standing {
        timelines: fresh_timelines(&spec.timelines, clock),
        feeds: feeds::fresh(spec, clock.tick),
        arrivals: feeds::fresh_arrivals(spec, epoch.at(clock)),
        came: Came::default(),
        motions: Motions::default(),
    }
}
