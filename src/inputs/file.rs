//! A film, or a sound, from its beginning to its end: opened, played, sought in, looped, and opened again when it breaks.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use codec::Demuxer;
use components::source::{AudioSource, VideoSource};
use crossbeam_channel::RecvTimeoutError;
use systems::input::{InputOrder, InputStage};

use super::facts::Facts;
use super::file_pass::{Passed, Player};
use super::showing::Showing;
use super::{FindFile, LOOK_EVERY, OPEN_TIMEOUT, RETRY_DELAY, Sources};
use crate::streaming::backoff_delay;

/// What is played, and how.
#[derive(Clone)]
pub(super) struct Film {
    pub(super) src: String,
    pub(super) is_remote: bool,
    pub(super) loops: bool,
    pub(super) start_us: i64,
    pub(super) end_us: Option<i64>,
    pub(super) is_sound_alone: bool,
    /// Finds the files of its scene.
    pub(super) find: Arc<FindFile>,
}

impl Film {
    /// A film, or pictures and sound from an address.
    pub(super) fn of_video(source: &VideoSource, find: &Arc<FindFile>) -> Self {
        Self {
            src: source.src.clone(),
            is_remote: source.is_remote(),
            loops: source.loops,
            start_us: microseconds(source.start),
            end_us: source.end.map(microseconds),
            is_sound_alone: false,
            find: Arc::clone(find),
        }
    }

    /// Sound alone.
    pub(super) fn of_audio(source: &AudioSource, find: &Arc<FindFile>) -> Self {
        Self {
            src: source.src.clone(),
            is_remote: source.src.contains("://"),
            loops: source.loops,
            start_us: microseconds(source.start),
            end_us: source.end.map(microseconds),
            is_sound_alone: true,
            find: Arc::clone(find),
        }
    }
}

/// Whole milliseconds of what is written in seconds, as it was meant: 0.1 is no 0.10000000149.
fn microseconds(seconds: f32) -> i64 {
    (f64::from(seconds) * 1_000.0).round() as i64 * 1000
}

/// Where to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Microseconds of the film.
    pub(super) from_us: i64,
    /// The time that they have for the world.
    pub(super) at_us: i64,
    /// The run's number.
    pub(super) run: u32,
    /// Where the sound goes on, in microseconds of the film: it may have been given out further than the pictures.
    pub(super) sound_us: i64,
    /// Whether the picture at `from_us` has been given out already, as a connection was lost after it.
    pub(super) is_resumed: bool,
}

impl Place {
    /// A place at which both begin.
    pub(super) fn new(from_us: i64, at_us: i64, run: u32) -> Self {
        Self {
            from_us,
            at_us,
            run,
            sound_us: from_us,
            is_resumed: false,
        }
    }
}

/// Opens what a film is read from.
///
/// # Errors
/// Why not, without secrets.
pub(super) fn open(film: &Film, facts: &Facts) -> Result<Demuxer, String> {
    let interrupt = facts.new_interrupt();
    let demuxer = if film.is_remote {
        Demuxer::open_url(&film.src, &interrupt, OPEN_TIMEOUT)
    } else {
        let path = (film.find)(&film.src)?;
        Demuxer::open_file(&path, &interrupt, OPEN_TIMEOUT)
    };
    let mut demuxer = demuxer.map_err(|error| error.to_string())?;
    if film.is_sound_alone {
        if demuxer.audio().is_none() {
            return Err("there is no sound in it".to_owned());
        }
        demuxer.without_video();
    }
    if let Some(video) = demuxer.video() {
        facts.note_video(video);
    }
    if let Some(audio) = demuxer.audio() {
        facts.note_audio(audio);
    }
    facts.note_duration(demuxer.duration_us());
    Ok(demuxer)
}

/// Plays a film for one layer, until the layer goes.
pub(super) struct FilmInput {
    showing: Showing,
    film: Film,
    sources: Sources,
    facts: Arc<Facts>,
    place: Place,
    /// What was opened to see what it is.
    opened: Option<Demuxer>,
}

enum Ended {
    Gone,
    Anew,
}

impl FilmInput {
    pub(super) fn new(
        showing: Showing,
        film: Film,
        sources: Sources,
        facts: Arc<Facts>,
        opened: Option<Demuxer>,
    ) -> Self {
        let place = Place::new(film.start_us, 0, showing.run);
        Self {
            showing,
            film,
            sources,
            facts,
            place,
            opened,
        }
    }

    /// Returns when the layer has gone.
    pub(super) fn run(&mut self) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            match self.session() {
                Ok(Ended::Gone) => return,
                Ok(Ended::Anew) => {
                    self.facts.note_anew();
                    failures = 0;
                }
                Err(error) => {
                    if self.showing.is_gone() {
                        return;
                    }
                    if begun.elapsed() > OPEN_TIMEOUT {
                        failures = 0;
                    }
                    failures += 1;
                    self.failed(&error);
                    if !self.wait(backoff_delay(RETRY_DELAY, failures)) {
                        return;
                    }
                }
            }
        }
    }

    fn failed(&self, error: &str) {
        self.facts.note_lost(error);
        let was_live = self.facts.bytes.load(Relaxed) > 0;
        let stage = if was_live && self.film.is_remote {
            InputStage::Reconnecting
        } else {
            InputStage::Failed
        };
        self.showing.set_stage(stage, Some(error), &self.sources);
    }

    /// Plays from where it is, until the layer goes, a new connection is asked for, or the film breaks.
    fn session(&mut self) -> Result<Ended, String> {
        self.facts.take_retry();
        if let Some(order) = self.showing.order.take() {
            self.take(order);
        }
        let demuxer = match self.opened.take() {
            Some(demuxer) => demuxer,
            None => open(&self.film, &self.facts)?,
        };
        let duration_us = demuxer.duration_us().unwrap_or(0);
        let state = &self.showing.ends.state;
        state.duration_us.store(duration_us, Relaxed);
        if !self.place.is_resumed {
            let Place {
                from_us,
                at_us,
                run,
                ..
            } = self.place;
            self.place = Place::new(self.within(from_us), at_us, run);
        }
        state.set_without_sound(demuxer.audio().is_none());
        let mut player = Player::new(demuxer, &self.film, &self.sources, &self.facts)?;
        loop {
            match player.play(&self.showing, &mut self.place)? {
                Passed::Gone => return Ok(Ended::Gone),
                Passed::Anew => return Ok(Ended::Anew),
                Passed::Order(order) => {
                    self.take(order);
                    player.clear();
                }
                Passed::End if self.film.loops => self.rewind(),
                Passed::End => {
                    self.showing
                        .set_stage(InputStage::Ended, None, &self.sources);
                    loop {
                        match self.showing.ends.orders.recv_timeout(LOOK_EVERY * 5) {
                            Ok(order) => {
                                self.take(order);
                                player.clear();
                                break;
                            }
                            Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Gone),
                            Err(RecvTimeoutError::Timeout) if self.facts.is_retry_wanted() => {
                                self.rewind();
                                return Ok(Ended::Anew);
                            }
                            Err(RecvTimeoutError::Timeout) => {}
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, order: InputOrder) {
        let InputOrder::Seek {
            to_seconds,
            run,
            at_us,
        } = order;
        let from_us = (to_seconds * 1_000_000.0).round() as i64;
        self.place = Place::new(self.within(from_us), at_us, run);
    }

    /// The place in the film that stands for one beyond its in and out points, or beyond its own end as soon as that is known: the
    /// nearest, or where a film that loops is by then.
    fn within(&self, from_us: i64) -> i64 {
        let known_us = self.showing.ends.state.duration_us();
        let end_us = self.film.end_us.or((known_us > 0).then_some(known_us));
        let start_us = self.film.start_us;
        match end_us {
            Some(end_us) if self.film.loops && from_us >= end_us && end_us > start_us => {
                start_us + (from_us - start_us) % (end_us - start_us)
            }
            Some(end_us) => from_us.clamp(start_us.min(end_us - 1), end_us - 1),
            None => from_us.max(start_us),
        }
    }

    /// Goes on at the in point.
    fn rewind(&mut self) {
        self.place = Place::new(self.film.start_us, self.place.at_us, self.place.run);
    }

    /// Waits before the next attempt; `false` when the layer has gone meanwhile.
    fn wait(&mut self, delay: Duration) -> bool {
        let until = Instant::now() + delay;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.facts.is_retry_wanted() {
                return true;
            }
            match self.showing.ends.orders.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}
