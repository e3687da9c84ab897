//! Where each timeline stands on this tick.

use bevy_ecs::prelude::*;
use components::animation::{LoopMode, PlayState, Timeline};

use crate::clock::FrameClock;

/// Seconds from a timeline's start on this tick; `None` while it is stopped. Written in `Animate`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct TimelineNow(pub Option<f64>);

pub(super) fn advance(clock: Res<FrameClock>, mut timelines: Query<(&Timeline, &mut TimelineNow)>) {
    for (timeline, mut now) in &mut timelines {
        let seconds = local_seconds(timeline, &clock);
        now.set_if_neq(TimelineNow(seconds));
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
}
