//! Where each timeline stands on this tick.

use std::collections::BTreeMap;

use bevy_ecs::prelude::*;
use components::animation::{LoopMode, PlayState, Timeline, TimelineId};

use crate::clock::FrameClock;
use crate::scene::Outgoing;

/// Seconds from a timeline's start on this tick; `None` while it is stopped. Written in `Animate`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct TimelineNow(pub Option<f64>);

type TimelineRow<'a> = (&'a TimelineId, Option<&'a ChildOf>, Has<Outgoing>);

pub(super) fn advance(
    clock: Res<FrameClock>,
    names: Query<(Entity, TimelineRow), With<Timeline>>,
    mut timelines: Query<(Entity, &mut Timeline, &mut TimelineNow)>,
    mut followers: Local<Vec<Entity>>,
) {
    followers.clear();
    followers.extend(
        timelines
            .iter()
            .filter(|(_, timeline, _)| timeline.start_after.is_some())
            .map(|(entity, ..)| entity),
    );
    // One that starts may have ended already, so that the next one starts too: as many rounds as there are.
    for _ in 0..followers.len() {
        let mut started = false;
        for &entity in &*followers {
            let Ok((_, (_, parent, outgoing))) = names.get(entity) else {
                continue;
            };
            let Ok((_, follower, _)) = timelines.get(entity) else {
                continue;
            };
            let wanted = follower.start_after.as_deref();
            let leader = names.iter().find(|(_, (id, its_parent, its_outgoing))| {
                Some(&*id.0) == wanted && *its_parent == parent && *its_outgoing == outgoing
            });
            let Some((Ok((_, leader, _)), follower)) =
                leader.map(|(leader, _)| (timelines.get(leader), follower))
            else {
                continue;
            };
            let Some(start) = start_after(follower, leader, &clock) else {
                continue;
            };
            if let Ok((_, mut follower, _)) = timelines.get_mut(entity) {
                (follower.state, follower.started_for_tick) = start;
                started = true;
            }
        }
        if !started {
            break;
        }
    }
    for (_, timeline, mut now) in &mut timelines {
        let seconds = local_seconds(&timeline, &clock);
        now.set_if_neq(TimelineNow(seconds));
    }
}

/// How a timeline starts that follows another one, when that one has ended and it has not started for that end.
pub fn start_after(
    follower: &Timeline,
    leader: &Timeline,
    clock: &FrameClock,
) -> Option<(PlayState, Option<u64>)> {
    let PlayState::Playing { since_tick, .. } = leader.state else {
        return None;
    };
    if leader.loop_mode != LoopMode::Once || follower.started_for_tick == Some(since_tick) {
        return None;
    }
    let end = leader.delay + leader.duration / leader.speed;
    let from_seconds = since_play(leader, clock)? - end;
    (from_seconds >= 0.0).then_some((
        PlayState::Playing {
            since_tick: clock.tick,
            from_seconds,
        },
        Some(since_tick),
    ))
}

/// Starts every timeline that follows one which has ended, in a list of timelines by their names.
pub fn start_followers(timelines: &mut BTreeMap<String, Timeline>, clock: &FrameClock) {
    for _ in 0..timelines.len() {
        let starts: Vec<_> = timelines
            .iter()
            .filter_map(|(id, follower)| {
                let leader = timelines.get(follower.start_after.as_deref()?)?;
                Some((id.clone(), start_after(follower, leader, clock)?))
            })
            .collect();
        if starts.is_empty() {
            return;
        }
        for (id, start) in starts {
            if let Some(timeline) = timelines.get_mut(&id) {
                (timeline.state, timeline.started_for_tick) = start;
            }
        }
    }
}

/// Seconds from the timeline's start, 0 to its duration; `None` when it is stopped.
pub fn local_seconds(timeline: &Timeline, clock: &FrameClock) -> Option<f64> {
    let moved = (since_play(timeline, clock)? - timeline.delay).max(0.0) * timeline.speed;
    let duration = timeline.duration;
    Some(match timeline.loop_mode {
        LoopMode::Once => moved.min(duration),
        LoopMode::Loop => moved % duration,
        LoopMode::PingPong => {
            let there_and_back = moved % (2.0 * duration);
            if there_and_back <= duration {
                there_and_back
            } else {
                2.0 * duration - there_and_back
            }
        }
    })
}

/// As [`local_seconds`], on an earlier tick than that of `clock` on which it was in the same state; `None` on one before it played.
pub(super) fn seconds_before(timeline: &Timeline, clock: &FrameClock, tick: u64) -> Option<f64> {
    let mut then = *clock;
    then.tick = tick;
    match timeline.state {
        PlayState::Playing {
            since_tick,
            from_seconds,
        } if tick < since_tick => {
            let from_seconds = from_seconds - clock.rate.seconds_at(since_tick - tick);
            let state = PlayState::Playing {
                since_tick: tick,
                from_seconds,
            };
            let played = Timeline {
                state,
                ..timeline.clone()
            };
            (from_seconds >= 0.0)
                .then(|| local_seconds(&played, &then))
                .flatten()
        }
        _ => local_seconds(timeline, &then),
    }
}

/// Whether a timeline stands where it does from the tick of `clock` on, as long as nothing is told to it.
pub(super) fn has_come_to_rest(timeline: &Timeline, clock: &FrameClock) -> bool {
    match timeline.state {
        PlayState::Playing { since_tick, .. } => {
            clock.tick >= since_tick && has_ended(timeline, clock)
        }
        PlayState::Paused { .. } | PlayState::Stopped => true,
    }
}

/// Whether a timeline that plays once has come to its end.
pub fn has_ended(timeline: &Timeline, clock: &FrameClock) -> bool {
    timeline.loop_mode == LoopMode::Once
        && since_play(timeline, clock)
            .is_some_and(|seconds| (seconds - timeline.delay) * timeline.speed >= timeline.duration)
}

/// Seconds since it was played, delay included.
fn since_play(timeline: &Timeline, clock: &FrameClock) -> Option<f64> {
    match timeline.state {
        PlayState::Stopped => None,
        PlayState::Playing {
            since_tick,
            from_seconds,
        } => Some(from_seconds + clock.seconds_since(since_tick)),
        PlayState::Paused { at_seconds } => Some(at_seconds),
    }
}

/// The same state, counted from this tick: what a change of the rate leaves as it is.
pub fn from_now(timeline: &Timeline, clock: &FrameClock) -> PlayState {
    match (timeline.state, since_play(timeline, clock)) {
        (PlayState::Playing { .. }, Some(from_seconds)) => PlayState::Playing {
            since_tick: clock.tick,
            from_seconds,
        },
        (state, _) => state,
    }
}

/// A timeline that takes the place of `old`, from where that one stands; where it had ended, the new one has too.
pub fn keep_place(new: Timeline, old: &Timeline, clock: &FrameClock) -> Timeline {
    let same_pace = (new.delay, new.speed) == (old.delay, old.speed);
    let from_seconds = since_play(old, clock)
        .filter(|_| !same_pace)
        .map(|seconds| {
            let moved = (seconds - old.delay).max(0.0) * old.speed;
            if seconds < old.delay {
                seconds.min(new.delay)
            } else {
                new.delay + moved / new.speed
            }
        });
    let state = match (old.state, from_seconds) {
        (PlayState::Playing { .. }, Some(from_seconds)) => PlayState::Playing {
            since_tick: clock.tick,
            from_seconds,
        },
        (PlayState::Paused { .. }, Some(at_seconds)) => PlayState::Paused { at_seconds },
        (state, _) => state,
    };
    Timeline {
        state,
        started_for_tick: old.started_for_tick,
        ..new
    }
}

/// What a timeline is told to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimelineAction {
    /// Go on from where it stands; from the start when it was stopped or has ended.
    Play,
    /// Stand still where it is.
    Pause,
    /// Go to a time of its own, in seconds from its start; whether it moves does not change, and a stopped one stands there.
    Seek(f64),
    /// Let go of everything that it moves.
    Stop,
}

/// The state of a timeline after `action` on this tick.
pub fn after_action(timeline: &Timeline, action: TimelineAction, clock: &FrameClock) -> PlayState {
    let from_start = PlayState::Playing {
        since_tick: clock.tick,
        from_seconds: 0.0,
    };
    match action {
        TimelineAction::Stop => PlayState::Stopped,
        TimelineAction::Play if has_ended(timeline, clock) => from_start,
        TimelineAction::Play => match timeline.state {
            PlayState::Stopped => from_start,
            PlayState::Paused { at_seconds } => PlayState::Playing {
                since_tick: clock.tick,
                from_seconds: at_seconds,
            },
            playing @ PlayState::Playing { .. } => playing,
        },
        TimelineAction::Pause => since_play(timeline, clock)
            .map_or(PlayState::Stopped, |at_seconds| PlayState::Paused {
                at_seconds,
            }),
        TimelineAction::Seek(seconds) => {
            let at_seconds =
                timeline.delay + seconds.clamp(0.0, timeline.duration) / timeline.speed;
            match timeline.state {
                PlayState::Playing { .. } => PlayState::Playing {
                    since_tick: clock.tick,
                    from_seconds: at_seconds,
                },
                PlayState::Paused { .. } | PlayState::Stopped => PlayState::Paused { at_seconds },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use components::scene::FrameRate;

    fn at(loop_mode: LoopMode, seconds: f64) -> Option<f64> {
        let timeline = Timeline {
            duration: 2.0,
            loop_mode,
            delay: 1.0,
            speed: 2.0,
            state: PlayState::Playing {
                since_tick: 30,
                from_seconds: 0.0,
            },
            start_after: None,
            started_for_tick: None,
        };
        let clock = FrameClock {
            tick: 30 + (seconds * 30.0) as u64,
            rate: FrameRate::whole(30),
        };
        local_seconds(&timeline, &clock)
    }

    #[test]
    fn delay_speed_and_loop_mode_shape_the_time() {
        for mode in [LoopMode::Once, LoopMode::Loop, LoopMode::PingPong] {
            assert_eq!(at(mode, 0.5), Some(0.0), "{mode:?} waits for its delay");
            assert_eq!(at(mode, 1.5), Some(1.0), "{mode:?} runs at double speed");
        }
        assert_eq!(at(LoopMode::Once, 9.0), Some(2.0));
        assert_eq!(at(LoopMode::Loop, 2.5), Some(1.0));
        assert_eq!(at(LoopMode::PingPong, 2.5), Some(1.0));
        assert_eq!(at(LoopMode::PingPong, 3.0), Some(0.0));
    }

    #[test]
    fn a_follower_starts_exactly_at_the_end_and_once_for_each() {
        let line = |state, start_after: Option<&str>| Timeline {
            duration: 0.75,
            loop_mode: LoopMode::Once,
            delay: 0.0,
            speed: 1.0,
            state,
            start_after: start_after.map(Into::into),
            started_for_tick: None,
        };
        let playing = |since_tick| PlayState::Playing {
            since_tick,
            from_seconds: 0.0,
        };
        let mut timelines = BTreeMap::from([
            ("a".to_owned(), line(playing(30), None)),
            ("b".to_owned(), line(PlayState::Stopped, Some("a"))),
            ("c".to_owned(), line(PlayState::Stopped, Some("b"))),
        ]);
        let clock = |tick| FrameClock {
            tick,
            rate: FrameRate::whole(30),
        };
        let position = |timelines: &BTreeMap<String, Timeline>, id: &str, tick| {
            local_seconds(&timelines[id], &clock(tick))
        };
        start_followers(&mut timelines, &clock(52));
        assert_eq!(position(&timelines, "b", 52), None);
        // 0.75 seconds end in the middle of a tick; nothing of it is lost, and a jump to a late tick starts the whole chain.
        start_followers(&mut timelines, &clock(90));
        assert_eq!(position(&timelines, "b", 90), Some(0.75));
        assert_eq!(position(&timelines, "c", 90), Some(0.5));
        let stopped = timelines.get_mut("b").map(|b| b.state = PlayState::Stopped);
        assert!(stopped.is_some());
        start_followers(&mut timelines, &clock(95));
        assert_eq!(position(&timelines, "b", 95), None, "it was stopped");
        let again = timelines.get_mut("a").map(|a| a.state = playing(100));
        assert!(again.is_some());
        start_followers(&mut timelines, &clock(130));
        assert_eq!(position(&timelines, "b", 130), Some(0.25));
    }
}
