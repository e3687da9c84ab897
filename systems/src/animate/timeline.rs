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
    let since_play = match timeline.state {
        PlayState::Stopped => return None,
        PlayState::Playing { since_tick } => clock.seconds_since(since_tick),
        PlayState::Paused { at_seconds } => at_seconds,
    };
    let moved = (since_play - timeline.delay).max(0.0) * timeline.speed;
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
            state: PlayState::Playing { since_tick: 30 },
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
