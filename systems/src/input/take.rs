//! Takes what has come: each tick's samples, and what the time of an input follows from.
//!
//! What comes late, too early, twice, or not at all is the rule here and no error: the tick never waits for it. Offline work, which has
//! no clock to keep, does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bevy_ecs::prelude::*;
use components::sound::Sound;
use crossbeam_channel::RecvTimeoutError;

use super::door::Stream;
use super::door::{InputStage, SoundBlock, TimedPicture};
use super::near::{AnySource, FilePlace, LiveInput};
use super::open::{SourceRow, source_of};
use super::reader::Pushed;
use crate::audio::{SourceSound, samples_in_tick};
use crate::avatar::Avatar;
use crate::clock::FrameClock;

/// Whether a tick waits for the pictures and the sound of files: offline, so that each run gives the same frames.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct WaitsForInputs(pub bool);

/// How long one look waits offline, and after how many of them in vain nobody is expected to answer: 10 s.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS_MAX: u32 = 2000;
/// What of a file comes later than this has it go on from there, instead of running after what it missed, in microseconds.
const TOO_LATE_US: f64 = 1e6;
/// How far one stream of a file may run ahead before the other is taken for silent, in microseconds.
const INTERLEAVED_US: f64 = 1e6;
/// What is taken of a file's sound beyond the tick, in microseconds.
const AHEAD_US: f64 = 60_000.0;
/// Pictures of a file that are taken at a time.
const BATCH: usize = 8;
/// A picture that is later than the one before by more than this, or earlier, has jumped, in microseconds.
const JUMP_US: f64 = 1e6;
const BACK_US: f64 = 200_000.0;

/// What of a file is taken.
#[derive(Clone, Copy, PartialEq)]
enum TakeFile {
    /// What is there of what the tick needs.
    ForTick,
    /// The same, while a tick offline waits, for one of its streams when it is known which.
    Waits(Option<Stream>),
}

type Row<'a> = (
    &'a mut LiveInput,
    SourceRow<'a>,
    &'a Sound,
    &'a mut SourceSound,
);

/// Set `Ingest`, and on ticks that repeat a frame: takes what has come, and this tick's samples of every input. Stands by itself: what is
/// seen is another system's.
pub fn take_sound(
    clock: Res<FrameClock>,
    waits: Res<WaitsForInputs>,
    mut layers: Query<Row, Without<Avatar>>,
) {
    for (input, row, sound, mut out) in &mut layers {
        let out = &mut *out;
        out.plays = false;
        let input = input.into_inner();
        let Some((source, _)) = source_of(&row) else {
            continue;
        };
        if input.ways.is_none() {
            continue;
        }
        input.follow(source, &clock);
        match input.is_live {
            true => input.take_live(source, &clock),
            false if waits.0 => input.wait_for(source, &clock),
            false => input.take_file(source, &clock, TakeFile::ForTick),
        }
        input.hear(source, sound, &clock, out);
    }
}

impl LiveInput {
    /// Follows what the source says of its speed, and what is still to be ordered.
    fn follow(&mut self, source: AnySource, clock: &FrameClock) {
        let says_live = self.state().is_some_and(|state| state.is_live());
        self.is_live = source.is_live() || says_live;
        self.paused = source.rate() == 0.0;
        if let Some(file) = &mut self.time.file
            && file.rate() != source.rate()
        {
            file.rebase(clock, source.rate());
        }
        if let Some(seconds) = self.pending {
            self.go_to(seconds, clock);
        }
    }

    /// Takes all that has come of what plays as it comes.
    fn take_live(&mut self, source: AnySource, clock: &FrameClock) {
        let seconds = self.time.live.advance(clock);
        let tick_us = clock.rate.seconds_at(1) * 1e6;
        let buffer_us = f64::from(source.buffer()) * 1e6;
        if self.paused {
            // It goes on somewhere else; what is shown stays.
            self.time.live.stop();
            self.forget();
            while self
                .ways
                .as_ref()
                .is_some_and(|ways| ways.pictures.try_recv().is_ok())
            {}
            while self
                .ways
                .as_ref()
                .is_some_and(|ways| ways.sound.try_recv().is_ok())
            {}
            return;
        }
        if let Some((span, jumped)) = self.take_live_pictures() {
            let live = &mut self.time.live;
            if live.arrived(Stream::Picture, span, jumped, buffer_us, tick_us) {
                tracing::debug!("an input's time begins anew with a picture");
            }
        }
        if let Some((span, jumped)) = self.take_live_sound() {
            let live = &mut self.time.live;
            let began = live.arrived(Stream::Sound, span, jumped, buffer_us, tick_us);
            if began && let Some(now_us) = live.now_us() {
                // Pictures of another time would never be due.
                let near = now_us - 2e6..now_us + buffer_us + 2e6;
                let before = self.pictures.len();
                self.keep_pictures(|pts_us| near.contains(&pts_us));
                self.note_dropped((before - self.pictures.len()) as u64);
            }
        }
        self.time.live.steer(seconds, buffer_us, tick_us);
        if let Some(state) = self.state() {
            let live = &self.time.live;
            let drift = live.drift_ppm().round() as i64;
            state.drift_ppm.store(drift, Ordering::Relaxed);
            let held = live.held_us().unwrap_or_default() as i64;
            state.held_us.store(held, Ordering::Relaxed);
        }
    }

    fn keep_pictures(&mut self, keep: impl Fn(f64) -> bool) {
        for _ in 0..self.pictures.len() {
            if let Some(picture) = self.take_picture()
                && keep(picture.pts_us as f64)
            {
                self.put_picture(picture);
            }
        }
    }

    /// The times of the first and the newest picture that came, and whether they jumped.
    fn take_live_pictures(&mut self) -> Option<((f64, f64), bool)> {
        let (mut span, mut jumped) = (None, false);
        while self.has_room() {
            let Some(Ok(picture)) = self.ways.as_ref().map(|ways| ways.pictures.try_recv()) else {
                break;
            };
            if picture.run != self.run {
                continue;
            }
            let pts_us = picture.pts_us as f64;
            let is_jump = self.newest_picture_us.is_some_and(|newest_us| {
                pts_us > newest_us + JUMP_US || pts_us < newest_us - BACK_US
            });
            if is_jump {
                self.note_dropped(self.pictures.len() as u64);
                self.keep_pictures(|_| false);
                (span, jumped) = (None, true);
            }
            self.newest_picture_us = Some(pts_us);
            let (first, _) = span.unwrap_or((pts_us, pts_us));
            span = Some((first, pts_us));
            self.put_picture(picture);
        }
        span.map(|span| (span, jumped))
    }

    fn take_live_sound(&mut self) -> Option<((f64, f64), bool)> {
        let (mut first, mut jumped) = (None, false);
        while let Some(Ok(block)) = self.ways.as_ref().map(|ways| ways.sound.try_recv()) {
            if block.run != self.run {
                continue;
            }
            let had_any = self.sound.has_any();
            if self.sound.push(&block) == Pushed::Anew {
                jumped |= had_any;
                first = None;
            }
            first = first.or(Some(block.pts_us as f64));
        }
        Some(((first?, self.sound.end_us()?), jumped))
    }

    /// Takes what this tick needs of a file. What is waited for may be one stream; of the other more is taken then, up to where the
    /// waiting ends.
    fn take_file(&mut self, source: AnySource, clock: &FrameClock, how: TakeFile) {
        let has_enough = |newest: Option<f64>, next_us: Option<f64>, ahead_us: f64| {
            newest
                .zip(next_us)
                .is_some_and(|(us, next_us)| us > next_us + ahead_us)
        };
        let may_wait = how == TakeFile::ForTick;
        let (pictures_us, sound_us) = match how {
            TakeFile::ForTick | TakeFile::Waits(None) => (0.0, AHEAD_US),
            TakeFile::Waits(Some(Stream::Picture)) => (0.0, INTERLEAVED_US),
            TakeFile::Waits(Some(Stream::Sound)) => (INTERLEAVED_US, AHEAD_US),
        };
        let enough_pictures =
            |input: &Self| has_enough(input.newest_picture_us, input.next_us(clock), pictures_us);
        // Where one is needed some more are taken with it: a decoder that finds much room works long at a time, with its data at hand.
        let mut goes_on = !enough_pictures(self);
        while goes_on
            && self.has_room()
            && let Some(Ok(picture)) = self.ways.as_ref().map(|ways| ways.pictures.try_recv())
        {
            self.take_file_picture(picture, source, clock, may_wait);
            goes_on = self.pictures.len() < BATCH || !enough_pictures(self);
        }
        while !has_enough(self.sound.end_us(), self.next_us(clock), sound_us)
            && let Some(Ok(block)) = self.ways.as_ref().map(|ways| ways.sound.try_recv())
        {
            self.take_file_sound(&block, source, clock, may_wait);
        }
        let is_ended = self.stage() == InputStage::Ended && !self.awaits_run;
        let ways = self.ways.as_ref();
        self.sound.ended = is_ended && ways.is_some_and(|ways| ways.sound.is_empty());
        self.is_over = self.sound.ended && ways.is_some_and(|ways| ways.pictures.is_empty());
    }

    fn take_file_picture(
        &mut self,
        picture: TimedPicture,
        source: AnySource,
        clock: &FrameClock,
        may_wait: bool,
    ) {
        self.given_up = false;
        if picture.run != self.run {
            return;
        }
        if may_wait {
            self.wait_for_late(picture.pts_us as f64, source, clock);
        }
        self.awaits_run = false;
        self.newest_picture_us = Some(picture.pts_us as f64);
        self.put_picture(picture);
    }

    fn take_file_sound(
        &mut self,
        block: &SoundBlock,
        source: AnySource,
        clock: &FrameClock,
        may_wait: bool,
    ) {
        self.given_up = false;
        if block.run != self.run {
            return;
        }
        if may_wait {
            self.wait_for_late(block.pts_us as f64, source, clock);
        }
        self.awaits_run = false;
        self.sound.push(block);
    }

    /// Has the time of a file stand at what comes far too late: one that was opened late, or was lost for a while, is shown from there.
    /// What comes after its end is its beginning, which somebody asked for.
    fn wait_for_late(&mut self, pts_us: f64, source: AnySource, clock: &FrameClock) {
        let Some(late_us) = self.now_us(clock).map(|now_us| now_us - pts_us) else {
            return;
        };
        let is_late = late_us > TOO_LATE_US * source.rate().max(1.0);
        if late_us > 0.0
            && (is_late || self.is_over)
            && let Some(file) = &mut self.time.file
        {
            file.go_on_at(clock, pts_us);
        }
        if std::mem::take(&mut self.is_over) {
            self.place = FilePlace {
                seconds: f64::from(source.span().start),
                at_us: pts_us,
            };
        }
    }

    /// Waits until a file's pictures and sound for this tick are there, or none can come.
    fn wait_for(&mut self, source: AnySource, clock: &FrameClock) {
        let (mut looks, mut lacks) = (0, None);
        while looks < LOOKS_MAX {
            let stage = self.stage();
            let is_over = matches!(stage, InputStage::Ended | InputStage::Failed);
            self.take_file(source, clock, TakeFile::Waits(lacks));
            lacks = self.lacks(source, clock);
            if lacks.is_none() || self.given_up || (is_over && !self.awaits_run) {
                return;
            }
            let Some(ways) = &self.ways else { return };
            let came = match lacks {
                Some(Stream::Picture) => ways.pictures.recv_timeout(LOOK).map(|picture| {
                    self.take_file_picture(picture, source, clock, false);
                }),
                _ => ways.sound.recv_timeout(LOOK).map(|block| {
                    self.take_file_sound(&block, source, clock, false);
                }),
            };
            match came {
                Ok(()) => looks = 0,
                Err(RecvTimeoutError::Timeout) => looks += 1,
                Err(RecvTimeoutError::Disconnected) => {
                    self.take_file(source, clock, TakeFile::Waits(lacks));
                    return;
                }
            }
        }
        self.given_up = true;
        tracing::warn!("nobody gives an input what a frame needs; frames go on without it");
    }

    /// What of a file this tick still needs.
    fn lacks(&self, source: AnySource, clock: &FrameClock) -> Option<Stream> {
        let (now_us, next_us) = (self.now_us(clock)?, self.next_us(clock)?);
        let picture_us = self.newest_picture_us.unwrap_or(f64::NEG_INFINITY);
        let sound_us = self.sound.end_us().unwrap_or(f64::NEG_INFINITY);
        let is_paused = next_us <= now_us;
        let may_sound = self.state().is_none_or(|state| !state.is_without_sound());
        let needs_sound = !is_paused && may_sound && sound_us < next_us + AHEAD_US;
        if !source.has_picture() {
            return needs_sound.then_some(Stream::Sound);
        }
        // Where one is far ahead of the other, it is looked whether the other can still come.
        let has_no_picture =
            sound_us > next_us + INTERLEAVED_US && self.is_blocked_by(Stream::Sound);
        if picture_us <= now_us && !has_no_picture {
            return Some(Stream::Picture);
        }
        let is_silent = picture_us > next_us + INTERLEAVED_US
            && self.is_blocked_by(Stream::Picture)
            || !self.has_room();
        (needs_sound && !is_silent).then_some(Stream::Sound)
    }

    /// Whether whoever decodes waits for room for this, and has nothing of the other. While there is no room it waits on.
    fn is_blocked_by(&self, stream: Stream) -> bool {
        self.ways.as_ref().is_none_or(|ways| {
            let is_full = match stream {
                Stream::Picture => ways.pictures.is_full() && ways.sound.is_empty(),
                Stream::Sound => ways.sound.is_full() && ways.pictures.is_empty(),
            };
            is_full && ways.state.blocked() == Some(stream)
        })
    }

    /// Reads this tick's samples.
    fn hear(
        &mut self,
        source: AnySource,
        sound: &Sound,
        clock: &FrameClock,
        out: &mut SourceSound,
    ) {
        self.heard_us = None;
        let count = samples_in_tick(clock.rate, clock.tick);
        let Some((now_us, next_us)) = self.now_us(clock).zip(self.next_us(clock)) else {
            return;
        };
        // What is to be heard early waits with its picture, and not with its sound.
        let later_us = f64::from(sound.delay.max(0.0)) * 1e6;
        let is_exact = !self.is_live && source.rate() == 1.0;
        let place = (now_us - later_us, next_us - later_us);
        let read = self.sound.read(place, count, is_exact, &mut out.samples);
        out.plays = read.plays;
        if read.missing < count {
            self.heard_us = read.from_us;
        }
        let stands = self.paused || self.sound.ended;
        if read.missing > 0
            && self.has_sounded
            && !stands
            && let Some(state) = self.state()
        {
            state.sound_gaps.fetch_add(1, Ordering::Relaxed);
        }
        self.has_sounded |= read.missing == 0;
        if let AnySource::Audio(audio) = source {
            let gain = |tick: u64, us: f64| {
                let on_air = clock.rate.seconds_at(tick.saturating_sub(self.since_tick));
                let rises = ramp(on_air, f64::from(audio.fade_in));
                let left = self.seconds_left(us, source);
                let falls = left.map_or(1.0, |left| ramp(left, f64::from(audio.fade_out)));
                rises * falls
            };
            let gains = (gain(clock.tick, now_us), gain(clock.tick + 1, next_us));
            fade(out, gains);
        }
    }

    /// Seconds until the file's end, where it has one that is known.
    fn seconds_left(&self, now_us: f64, source: AnySource) -> Option<f64> {
        let span = source.span();
        let known = self.state().map_or(0, |state| state.duration_us());
        let own_end = (known > 0).then_some(known as f64 / 1e6);
        let end = span.end.map(f64::from).or(own_end);
        let end = end.filter(|_| !span.loops)?;
        let seconds = self.place.seconds + (now_us - self.place.at_us) / 1e6;
        Some((end - seconds).max(0.0))
    }
}

/// From 0 to 1 in `length` seconds, softly at both ends.
fn ramp(seconds: f64, length: f64) -> f64 {
    if length <= 0.0 {
        return 1.0;
    }
    let part = (seconds / length).clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

fn fade(out: &mut SourceSound, (from, to): (f64, f64)) {
    if !out.plays || (from == 1.0 && to == 1.0) {
        return;
    }
    let count = out.samples.left.len().max(1) as f32;
    let (from, by) = (from as f32, (to - from) as f32 / count);
    let samples = out.samples.left.iter_mut().zip(&mut out.samples.right);
    for (index, (left, right)) in samples.enumerate() {
        let gain = from + by * index as f32;
        *left *= gain;
        *right *= gain;
    }
}
