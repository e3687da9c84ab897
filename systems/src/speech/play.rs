//! This tick's samples of what is spoken: `ingest::speech`.
//!
//! Sound is let in and out in straight ramps, also where it runs dry, so nothing clicks. What is taken from an utterance's way is only
//! what the tick needs; from tick to tick nothing is allocated.

use std::sync::Arc;

use bevy_ecs::prelude::*;

use super::captions::Script;
use super::data::{SpeechData, Spoken};
use super::queue::{Speaking, Speech, over};
use super::say::SpeechStage;
use super::tell::{EndReason, SpeechNews, Teller};
use super::way::BLOCK_FRAMES;
use super::{CUT_SAMPLES, PREBUFFER_SAMPLES, RAMP_SAMPLES, WAITING_MAX, WORDS_A_TICK};
use crate::audio::{SAMPLE_RATE, SourceSound, StereoSamples, samples_in_tick};
use crate::avatar::Avatar;
use crate::clock::FrameClock;
use crate::data::SceneData;
use crate::scene::Outgoing;

/// The loudness at which a mouth is shut, and at which it is wide open, in dB below full scale.
const SHUT_DBFS: f32 = -50.0;
const OPEN_DBFS: f32 = -12.0;

type Row<'a> = (Entity, &'a mut Speech, &'a mut SourceSound, Has<Outgoing>);

/// Set `Ingest`, and on ticks that repeat a frame: this tick's samples of each avatar that speaks.
pub(super) fn speak(
    clock: Res<FrameClock>,
    mut teller: ResMut<Teller>,
    mut data: ResMut<SceneData>,
    mut layers: Query<Row, With<Avatar>>,
) {
    let teller = &mut *teller;
    teller.catch_up();
    for (entity, speech, mut sound, goes) in &mut layers {
        let speech = speech.into_inner();
        let sound = &mut *sound;
        sound.plays = false;
        speech.level = None;
        if speech.is_idle() && !speech.is_stale && !speech.has_shown {
            continue;
        }
        let Some(layer) = speech.layer.clone() else {
            continue;
        };
        speech.play(&layer, &clock, teller, sound);
        let data = data.bypass_change_detection().speech_mut();
        if goes {
            // The scene that comes may have a layer of this name.
            data.forget(entity);
        } else {
            speech.show(entity, &layer, data);
        }
        if speech.is_stale {
            speech.is_stale = !teller.show(entity, &layer, speech.shown());
        }
    }
}

/// Where samples of a tick go.
struct Room<'a> {
    samples: &'a mut StereoSamples,
    at: usize,
    square_sum: f64,
}

impl Room<'_> {
    fn left(&self) -> usize {
        self.samples.left.len() - self.at
    }

    fn put(&mut self, left: f32, right: f32) {
        self.samples.left[self.at] = left;
        self.samples.right[self.at] = right;
        self.at += 1;
        self.square_sum += f64::from(left * left + right * right) / 2.0;
    }
}

impl Speech {
    fn play(
        &mut self,
        layer: &Arc<str>,
        clock: &FrameClock,
        teller: &mut Teller,
        out: &mut SourceSound,
    ) {
        let count = samples_in_tick(clock.rate, clock.tick);
        for side in [&mut out.samples.left, &mut out.samples.right] {
            side.clear();
            side.resize(count, 0.0);
        }
        let mut room = Room {
            samples: &mut out.samples,
            at: 0,
            square_sum: 0.0,
        };
        let mut speaks = false;
        for _ in 0..=WAITING_MAX {
            // What finds no room on this tick begins on the next.
            if self.current.is_none() && (room.left() == 0 || !self.begin(layer, clock, teller)) {
                break;
            }
            speaks = true;
            let Some(current) = &mut self.current else {
                break;
            };
            let was_paused = current.is_paused();
            let before = current.played;
            let end = current.write(&mut self.ready, &mut room, clock);
            let played = current.played;
            if played > before {
                current.goes_on();
            }
            if was_paused && played > before {
                let news = SpeechNews::Resume { played: before };
                teller.tell(layer, &current.said.id, clock.tick, news);
            }
            current.tell_words(layer, clock.tick, teller);
            let Some(reason) = end else {
                // On a long tick it can have gone on and run dry again.
                if current.is_paused() && (!was_paused || played > before) {
                    let news = SpeechNews::Pause { played };
                    teller.tell(layer, &current.said.id, clock.tick, news);
                }
                current.turn();
                break;
            };
            self.end(layer, clock.tick, reason, teller);
        }
        self.give_up(layer, clock.tick, count, teller);
        if speaks {
            let mean = room.square_sum / count.max(1) as f64;
            out.plays = room.square_sum > 0.0;
            self.level = Some(openness(mean));
        }
    }

    /// What is spoken is over.
    fn end(&mut self, layer: &Arc<str>, tick: u64, reason: EndReason, teller: &mut Teller) {
        if let Some(current) = self.current.take() {
            teller.lose(current.words_untold());
            over(current, layer, tick, reason, teller);
        }
        self.ready.clear();
        self.is_stale = true;
    }

    /// An utterance whose turn it is, and whose sound does not come, does not hold up the others for ever.
    fn give_up(&mut self, layer: &Arc<str>, tick: u64, samples: usize, teller: &mut Teller) {
        if let Some(current) = &mut self.current {
            if current.is_paused() && current.stalls(samples) {
                self.end(layer, tick, EndReason::Error, teller);
            }
        } else if let Some(next) = self.waiting.front_mut()
            && next.stalls(samples)
            && let Some(next) = self.waiting.pop_front()
        {
            over(next, layer, tick, EndReason::Error, teller);
            self.is_stale = true;
        }
    }

    /// Begins the next utterance, if enough of it is there.
    fn begin(&mut self, layer: &Arc<str>, clock: &FrameClock, teller: &mut Teller) -> bool {
        let is_ready = |next: &Speaking| next.has_enough(0);
        if !self.waiting.front().is_some_and(is_ready) {
            return false;
        }
        let Some(mut next) = self.waiting.pop_front() else {
            return false;
        };
        next.goes_on();
        next.said.sound.state().set_stage(SpeechStage::Speaking);
        teller.tell(layer, &next.said.id, clock.tick, SpeechNews::Start);
        self.current = Some(next);
        self.is_stale = true;
        true
    }

    /// Shows texts what is said.
    fn show(&mut self, entity: Entity, layer: &str, data: &mut SpeechData) {
        let current = self.current.as_mut();
        let shown = current.filter(|current| current.said.captions);
        self.has_shown = shown.is_some();
        let spoken = shown.map_or_else(Spoken::default, Speaking::spoken);
        data.show(entity, layer, spoken);
    }
}

impl Speaking {
    /// Whether it can begin or go on, with `ready` samples taken out already.
    fn has_enough(&self, ready: usize) -> bool {
        let sound = &self.said.sound;
        let is_complete = sound.state().is_complete();
        is_complete || ready + sound.waiting() * BLOCK_FRAMES >= PREBUFFER_SAMPLES
    }

    fn is_paused(&self) -> bool {
        self.said.sound.state().stage() == SpeechStage::Paused
    }

    /// Words that have begun and were not told.
    fn words_untold(&self) -> u64 {
        let untold = self.said.words.iter().skip(self.words_begun);
        untold.take_while(|word| self.has_begun(word.start)).count() as u64
    }

    /// Whether a moment of it has been heard.
    fn has_begun(&self, seconds: f32) -> bool {
        ((f64::from(seconds) * f64::from(SAMPLE_RATE)).round() as u64) < self.played
    }

    /// Writes what there is of it, as far as there is room. Gives why it is over, when it is.
    fn write(
        &mut self,
        ready: &mut std::collections::VecDeque<[i16; 2]>,
        room: &mut Room<'_>,
        clock: &FrameClock,
    ) -> Option<EndReason> {
        let state = Arc::clone(self.said.sound.state());
        if state.stage() == SpeechStage::Paused {
            if self.cut.is_some() {
                return self.cut;
            }
            if !self.has_enough(ready.len()) {
                return None;
            }
            state.set_stage(SpeechStage::Speaking);
        }
        // Room for the longest tick, once.
        let most = samples_in_tick(clock.rate, clock.tick) + RAMP_SAMPLES + 2 * BLOCK_FRAMES;
        ready.reserve(most.saturating_sub(ready.len()));
        // Asked before the way is looked at: what was sent before is found there.
        let is_complete = state.is_complete();
        let needed = room.left() + RAMP_SAMPLES;
        while ready.len() < needed
            && let Some(block) = self.said.sound.take()
        {
            let len = usize::from(block.len).min(BLOCK_FRAMES);
            ready.extend(&block.frames[..len]);
        }
        let is_dry = is_complete && self.said.sound.waiting() == 0;
        let rise = 1.0 / RAMP_SAMPLES as f32;
        let fall = 1.0 / CUT_SAMPLES as f32;
        let scale = self.gain / 32768.0;
        while room.left() > 0 {
            let left = ready.len() as f32;
            let Some([left_sample, right_sample]) = ready.pop_front() else {
                break;
            };
            let wanted = match self.cut {
                Some(_) => self.ramp - fall,
                None => self.ramp + rise,
            };
            // Where nothing is known to follow, it is let out.
            self.ramp = wanted.min(left * rise).clamp(0.0, 1.0);
            if self.cut.is_some() && self.ramp <= 0.0 {
                self.note(&state);
                return self.cut;
            }
            let gain = self.ramp * scale;
            room.put(
                f32::from(left_sample) * gain,
                f32::from(right_sample) * gain,
            );
            self.played += 1;
        }
        self.note(&state);
        if !ready.is_empty() {
            return None;
        }
        if is_dry {
            let done = match state.has_failed() {
                true => EndReason::Error,
                false => EndReason::Done,
            };
            return Some(self.cut.unwrap_or(done));
        }
        self.ramp = 0.0;
        state.set_stage(SpeechStage::Paused);
        self.cut
    }

    fn note(&self, state: &super::SpeechState) {
        state.set_played(self.played);
    }

    fn seconds(&self) -> f64 {
        self.played as f64 / f64::from(SAMPLE_RATE)
    }

    /// Turns to the phrase that is said; never back, when it becomes known how long all of it is. What was told of it since is taken in
    /// here, once a tick at the most.
    fn turn(&mut self) {
        if !self.said.captions {
            return;
        }
        if self.script_is_stale || !self.script.reaches(self.words_begun) {
            self.script = Script::new(&self.said.text, &self.said.words, self.words_begun);
            self.script_is_stale = false;
        }
        let state = self.said.sound.state();
        let length = state.is_complete().then(|| state.received() as f64);
        let length = length.map(|samples| samples / f64::from(SAMPLE_RATE));
        let phrase = self.script.phrase_at(self.seconds(), length);
        self.phrase = self.phrase.max(phrase);
    }

    /// Tells words that have begun, some of them on a later tick where they are many.
    fn tell_words(&mut self, layer: &Arc<str>, tick: u64, teller: &mut Teller) {
        for _ in 0..WORDS_A_TICK {
            let Some(word) = self.said.words.get(self.words_begun) else {
                return;
            };
            if !self.has_begun(word.start) {
                return;
            }
            let news = SpeechNews::Word {
                word: Arc::clone(&word.word),
                index: self.words_begun,
                start: word.start,
                end: word.end,
            };
            teller.tell(layer, &self.said.id, tick, news);
            self.words_begun += 1;
        }
    }

    /// What texts show of it.
    fn spoken(&mut self) -> Spoken<'_> {
        let last = self.words_begun.checked_sub(1);
        self.had_phrase |= self.said.words.is_empty();
        // Words that are told ahead of their time take nothing away that is shown.
        let line = if last.is_none() && self.had_phrase {
            self.script.phrase(self.phrase)
        } else {
            self.script.line_after(self.words_begun)
        };
        Spoken {
            text: &self.script.text,
            line,
            word: last.map_or("", |last| &*self.said.words[last].word),
            speaking: true,
        }
    }
}

/// How wide a mouth is open at a mean square: 0 to 1, even in decibels.
fn openness(mean_square: f64) -> f32 {
    let dbfs = 10.0 * (mean_square.max(1e-12) as f32).log10();
    ((dbfs - SHUT_DBFS) / (OPEN_DBFS - SHUT_DBFS)).clamp(0.0, 1.0)
}
