//! Addresses: those that say how long they last are films, all others are live.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::Demuxer;
use systems::input::InputStage;

use super::facts::Facts;
use super::file::{self, Film, FilmInput};
use super::live::{Joins, LiveInput, LiveItem, LiveSource};
use super::showing::Showing;
use super::{LOOK_EVERY, RETRY_DELAY, Sources};
use crate::streaming::backoff_delay;

/// What the thread of an address does: finds out what it is, for ever if need be, and plays it.
pub(super) fn input(
    showing: Showing,
    film: Film,
    sources: Sources,
    facts: Arc<Facts>,
    joins: Arc<Joins>,
) -> Box<dyn FnMut() + Send> {
    enum Kind {
        Unknown(Option<Box<Showing>>),
        Film(Box<FilmInput>),
        Live(Box<LiveInput<UrlSource>>),
    }
    let mut kind = Kind::Unknown(Some(Box::new(showing)));
    Box::new(move || {
        if let Kind::Unknown(showing) = &mut kind {
            let Some(mut waiting) = showing.take() else {
                return;
            };
            let Some(demuxer) = find_out(&mut waiting, &film, &sources, &facts) else {
                return;
            };
            let (film, sources, facts) = (film.clone(), sources.clone(), Arc::clone(&facts));
            kind = if demuxer.duration_us().is_some() {
                let opened = Some(demuxer);
                Kind::Film(Box::new(FilmInput::new(
                    *waiting, film, sources, facts, opened,
                )))
            } else {
                waiting.ends.state.set_live(true);
                let source = UrlSource {
                    film,
                    opened: Some(demuxer),
                    reads: None,
                };
                let joins = Arc::clone(&joins);
                Kind::Live(Box::new(LiveInput::new(
                    *waiting, source, sources, facts, joins,
                )))
            };
        }
        match &mut kind {
            Kind::Unknown(_) => {}
            Kind::Film(film) => film.run(),
            Kind::Live(live) => live.run(),
        }
    })
}

/// Opens an address, however long it takes; `None` when the layer has gone meanwhile.
fn find_out(
    showing: &mut Showing,
    film: &Film,
    sources: &Sources,
    facts: &Facts,
) -> Option<Demuxer> {
    let mut failures = 0;
    loop {
        facts.take_retry();
        let opened = file::open(film, facts);
        // What is ordered meanwhile is kept, and is where a film begins.
        if showing.is_gone() {
            return None;
        }
        match opened {
            Ok(demuxer) => return Some(demuxer),
            Err(error) => {
                failures += 1;
                facts.note_lost(&error);
                showing.set_stage(InputStage::Failed, Some(&error), sources);
            }
        }
        let until = Instant::now() + backoff_delay(RETRY_DELAY, failures);
        while Instant::now() < until && !facts.is_retry_wanted() {
            if showing.is_gone() {
                return None;
            }
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

/// A live address.
pub(super) struct UrlSource {
    film: Film,
    opened: Option<Demuxer>,
    reads: Option<Reading>,
}

struct Reading {
    demuxer: Demuxer,
    /// Streams that are yet to be told of.
    headers: Vec<LiveItem>,
}

impl LiveSource for UrlSource {
    fn connect(&mut self, facts: &Facts) -> Result<(), String> {
        self.reads = None;
        let demuxer = match self.opened.take() {
            Some(demuxer) => demuxer,
            None => file::open(&self.film, facts)?,
        };
        let video = demuxer.video().cloned().map(LiveItem::Video);
        let audio = demuxer.audio().cloned().map(LiveItem::Audio);
        self.reads = Some(Reading {
            headers: video.into_iter().chain(audio).collect(),
            demuxer,
        });
        Ok(())
    }

    fn next(&mut self, _: Duration, silent_max: Duration) -> Result<Option<LiveItem>, String> {
        let Some(reading) = &mut self.reads else {
            return Err("it is not open".to_owned());
        };
        if let Some(header) = reading.headers.pop() {
            return Ok(Some(header));
        }
        // Its own deadline is that of silence.
        reading.demuxer.allow(silent_max);
        match reading.demuxer.read() {
            Ok(Some(packet)) => Ok(Some(LiveItem::Packet(packet))),
            Ok(None) => Err("it has ended".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn is_patient(&self) -> bool {
        false
    }
}
