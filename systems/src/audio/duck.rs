//! Sounds that step back while others are heard: `audio::ducking`.
//!
//! The level of the others is taken after their own gain and before they step back themselves, so nothing goes round in circles; a layer
//! does not step back under itself. Everything is counted in samples, so ticks of any rate give the same.

use bevy_ecs::prelude::*;
use components::derived::Computed;
use components::sound::{Duck, Sound};

use super::channel::{ChannelLevel, ChannelSound, Channels, LEVEL_SAMPLES, stretches_of};
use super::{SAMPLE_RATE, samples_in_tick};
use crate::clock::FrameClock;

/// In so many time constants an exponential course has gone 95 % of its way, which is what `attack` and `release` stand for.
const TIMES_OF_95: f32 = 3.0;
/// What is left to go where a course is taken as ended, in decibels.
const REST_DB: f32 = 0.01;

/// How far a layer has stepped back. On each layer with sound; written in `Mix`.
#[derive(Component, Clone, Debug, Default)]
pub struct DuckState {
    /// Decibels by which it is quieter at the end of this tick, 0 or more.
    pub reduction_db: f32,
    /// Samples for which it still stays back.
    hold: f32,
}

impl DuckState {
    /// Goes on by `samples`, over which the others are heard or not. `duck` is what it is told, if anything still is.
    fn advance(&mut self, duck: Option<&Duck>, others_are_heard: bool, samples: usize) {
        let usual = Duck::default();
        let settings = duck.unwrap_or(&usual);
        let samples = samples as f32;
        if others_are_heard {
            self.hold = settings.hold * SAMPLE_RATE as f32;
        } else {
            self.hold -= samples;
        }
        let stays = duck.is_some() && (others_are_heard || self.hold > 0.0);
        let target = if stays { settings.by } else { 0.0 };
        let seconds = if target > self.reduction_db {
            settings.attack
        } else {
            settings.release
        };
        let time = seconds * SAMPLE_RATE as f32 / TIMES_OF_95;
        self.reduction_db += (target - self.reduction_db) * (1.0 - (-samples / time).exp());
        if (target - self.reduction_db).abs() < REST_DB {
            self.reduction_db = target;
        }
    }

    fn factor(&self) -> f32 {
        10f32.powf(-self.reduction_db / 20.0)
    }
}

/// Has sounds step back.
pub(super) fn ducking(
    clock: Res<FrameClock>,
    channels: Res<Channels>,
    levels: Query<&ChannelLevel>,
    mut rows: Query<(&Computed<Sound>, &mut DuckState, &mut ChannelSound)>,
) {
    let count = samples_in_tick(clock.rate, clock.tick);
    for entity in &channels.0 {
        let Ok((sound, mut state, mut channel)) = rows.get_mut(*entity) else {
            continue;
        };
        let duck = sound.0.duck.as_ref();
        if duck.is_none() && state.reduction_db == 0.0 {
            continue;
        }
        let mut start = 0;
        for (place, length) in stretches_of(count).enumerate() {
            let are_heard = duck.is_some_and(|duck| {
                let others = channels.0.iter().filter(|other| *other != entity);
                let level: f32 = others
                    .filter_map(|other| levels.get(*other).ok())
                    .filter(|level| level.role == duck.under)
                    .filter_map(|level| level.levels.get(place))
                    .sum();
                level > 10f32.powf(duck.threshold / 10.0)
            });
            let before = state.factor();
            state.advance(duck, are_heard, length);
            let after = state.factor();
            if channel.plays && (before, after) != (1.0, 1.0) {
                ramp(&mut channel, start..start + length, before, after);
            }
            start += LEVEL_SAMPLES;
        }
    }
}

fn ramp(channel: &mut ChannelSound, range: std::ops::Range<usize>, before: f32, after: f32) {
    let step = (after - before) / range.len() as f32;
    let sides = [&mut channel.samples.left, &mut channel.samples.right];
    for side in sides
        .into_iter()
        .filter_map(|side| side.get_mut(range.clone()))
    {
        for (place, sample) in side.iter_mut().enumerate() {
            *sample *= before + step * (place + 1) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_back_by_95_percent_in_the_time_that_was_said_and_holds_between_words() {
        let duck = Duck {
            by: 20.0,
            attack: 0.1,
            hold: 0.5,
            release: 1.0,
            ..Duck::default()
        };
        let mut state = DuckState::default();
        let mut run = |heard, seconds: f32| {
            for _ in 0..(seconds * 200.0).round() as usize {
                state.advance(Some(&duck), heard, LEVEL_SAMPLES);
            }
            state.reduction_db
        };
        let after_attack = run(true, 0.1);
        assert!((after_attack - 19.0).abs() < 0.1, "{after_attack}");
        assert_eq!(run(true, 1.0), 20.0);
        assert_eq!(run(false, 0.49), 20.0, "it holds");
        let after_release = run(false, 1.01);
        assert!((after_release - 1.0).abs() < 0.1, "{after_release}");
        assert_eq!(run(false, 2.0), 0.0);
    }

    #[test]
    fn what_is_told_no_more_comes_back() {
        let mut state = DuckState {
            reduction_db: 12.0,
            hold: 1e9,
        };
        for _ in 0..1000 {
            state.advance(None, false, LEVEL_SAMPLES);
        }
        assert_eq!(state.reduction_db, 0.0);
    }
}
