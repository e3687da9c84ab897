//! Chooses what is seen of an input on a tick: the newest picture that is due, or what stands for one that is not there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bevy_ecs::prelude::*;
use components::sound::Sound;
use components::source::Playback;

use super::door::{InputStage, LivePicture};
use super::near::{AnySource, LiveInput};
use super::open::{SourceRow, source_of};
use crate::assets::{Picture, PictureKind, Pictures};
use crate::clock::FrameClock;

/// By how much a picture may be shown before its time, in microseconds: times are rounded.
const EARLY_US: f64 = 1000.0;
/// By what part of a tick one of a live input may be.
const NEARER: f64 = 0.5;

/// What is seen of an input on this tick. On each layer whose input may have pictures; written in `Ingest`, only when it is another.
#[derive(Component, Default)]
pub struct ShownInput {
    /// What is seen.
    pub content: InputContent,
    /// Another number for each picture.
    pub revision: u64,
    /// Keeps the resized frames of a moving picture that stands for it.
    pub(crate) frames: Option<Arc<()>>,
}

/// What is seen of an input.
#[derive(Clone, Default)]
pub enum InputContent {
    /// Nothing.
    #[default]
    Nothing,
    /// A picture of its own.
    Live {
        /// The picture, scaled by whoever decoded it.
        picture: LivePicture,
        /// Its own size in pixels, before that.
        natural: (u32, u32),
    },
    /// What stands for it, and which frame of that when it moves.
    Fallback(Picture, usize),
}

type Row<'a> = (
    &'a mut LiveInput,
    SourceRow<'a>,
    &'a Sound,
    &'a mut ShownInput,
);

pub(super) fn show_pictures(
    clock: Res<FrameClock>,
    mut pictures: ResMut<Pictures>,
    mut revisions: Local<u64>,
    mut layers: Query<Row>,
) {
    for (mut input, row, sound, mut shown) in &mut layers {
        let Some((source, _)) = source_of(&row) else {
            continue;
        };
        let input = &mut *input;
        if let Some(content) = input.newest_due(sound, &clock) {
            *revisions += 1;
            *shown = ShownInput {
                content,
                revision: *revisions,
                frames: None,
            };
            (input.picture_tick, input.fallback_tick) = (Some(clock.tick), None);
        } else if input.is_missing(source, &clock) {
            let name = source.fallback();
            // Before the first picture it has stood there since the layer came on air, whichever tick is looked at first.
            let since_tick = match input.picture_tick {
                None => input.since_tick,
                Some(_) => *input.fallback_tick.get_or_insert(clock.tick),
            };
            let fallback = name.and_then(|name| pictures.get(name));
            let fallback = fallback.map(|picture| {
                let frame = frame_of(&picture, since_tick, &clock);
                (picture, frame)
            });
            let is_same = match (&shown.content, &fallback) {
                (InputContent::Nothing, None) => true,
                (InputContent::Fallback(a, frame), Some((b, now))) => a.is_same(b) && frame == now,
                // One that is still on its way leaves what is there.
                (_, None) => name.is_some(),
                _ => false,
            };
            if !is_same {
                *revisions += 1;
                let frames = shown.frames.take();
                *shown = ShownInput {
                    content: fallback.map_or(InputContent::Nothing, |(picture, frame)| {
                        InputContent::Fallback(picture, frame)
                    }),
                    revision: *revisions,
                    frames,
                };
            }
        }
        input.tell_position(source, &clock);
    }
}

/// The frame of a moving picture that began to stand there on a tick.
fn frame_of(picture: &Picture, since_tick: u64, clock: &FrameClock) -> usize {
    let PictureKind::Animated(animation) = picture.kind() else {
        return 0;
    };
    let ticks = clock.tick.saturating_sub(since_tick);
    animation.frame_at(clock.rate.nanos_at(ticks), 0.0, &Playback::default())
}

impl LiveInput {
    /// Takes the newest picture whose time has come; those before it are passed over.
    fn newest_due(&mut self, sound: &Sound, clock: &FrameClock) -> Option<InputContent> {
        let now_us = self.now_us(clock)?;
        let waits_us = f64::from((-sound.delay).max(0.0)) * 1e6;
        // What comes as it likes falls between ticks: it is shown on the nearer one, so that its sound is neither before nor after it.
        let early_us = match self.is_live {
            true => clock.rate.seconds_at(1) * 1e6 * NEARER,
            false => EARLY_US,
        };
        let due_us = now_us - waits_us + early_us;
        let mut newest = None;
        let mut passed = 0;
        while self
            .pictures
            .front()
            .is_some_and(|picture| picture.pts_us as f64 <= due_us)
        {
            passed += u64::from(newest.is_some());
            newest = self.take_picture();
        }
        let newest = newest?;
        if let Some(state) = self.ways.as_ref().map(|ways| &ways.state) {
            state.pictures_dropped.fetch_add(passed, Ordering::Relaxed);
            state.pictures_shown.fetch_add(1, Ordering::Relaxed);
            if let Some(heard_us) = self.heard_us {
                let asked_us = f64::from(sound.delay) * 1e6;
                let offset = self.offset.note(newest.pts_us as f64 - heard_us - asked_us);
                state.av_offset_us.store(offset as i64, Ordering::Relaxed);
            }
        }
        let picture = match newest.picture {
            LivePicture::Unscaled(picture) => {
                let wanted = self.state().map(|state| state.wanted());
                picture.scaled(wanted.unwrap_or_default())?
            }
            ready => ready,
        };
        Some(InputContent::Live {
            picture,
            natural: newest.natural,
        })
    }

    /// Whether something else stands in the place of its picture.
    fn is_missing(&self, source: AnySource, clock: &FrameClock) -> bool {
        let Some(timeout) = source.timeout() else {
            return false;
        };
        let seconds = |tick: u64| clock.seconds_since(tick);
        let is_over = |tick: u64| seconds(tick) >= f64::from(timeout);
        let stage = self.stage();
        match self.picture_tick {
            Some(_) if self.paused => false,
            Some(tick) => {
                let is_lost = matches!(stage, InputStage::Reconnecting | InputStage::Failed);
                (self.is_live || is_lost) && is_over(tick)
            }
            // A file is there in a moment, and nothing else is to flash before it.
            None => self.is_live || stage == InputStage::Failed || is_over(self.since_tick),
        }
    }

    fn tell_position(&self, source: AnySource, clock: &FrameClock) {
        let Some(state) = self.state() else { return };
        let position = match self.now_us(clock) {
            Some(now_us) if !self.is_live => self.file_seconds(now_us, &source.span()) * 1e6,
            _ => 0.0,
        };
        state.position_us.store(position as i64, Ordering::Relaxed);
    }
}
