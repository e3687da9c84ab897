//! The thread that takes the world's requests: a decoder's thread for each film, one for all layers that show the same live input.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use components::source::RtspTransport;
use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use systems::input::{InputDoor, InputSpec, InputStage, OpenInput};

use super::facts::Facts;
use super::file::{Film, FilmInput};
use super::ingest::IngestSource;
use super::live::{Joins, LiveInput};
use super::rtsp::{RtspRuntime, RtspSource};
use super::showing::{Entry, Showing};
use super::{FindFile, Inputs, RETRY_DELAY, Sources, url};
use crate::streaming::{Priority, backoff_delay, set_priority};

/// How often ended threads are looked for, decoders ended whose layers have gone, and refused inputs tried again.
const TIDY_EVERY: Duration = Duration::from_millis(250);
/// Inputs that are refused and wait for room; of further ones nothing is kept, so that the world asks again.
const REFUSED_MAX: usize = 256;

/// What makes live inputs the same, so that one decoder serves all layers that show it.
#[derive(Clone, Debug, PartialEq)]
enum Same {
    Ingest(String),
    Rtsp {
        url: String,
        transport: RtspTransport,
        username: Option<String>,
        password_from: Option<String>,
    },
}

struct Decoding {
    thread: JoinHandle<()>,
    facts: Arc<Facts>,
    /// Who can join it.
    shared: Option<(Same, Arc<Joins>)>,
    /// Disconnected when the layer has gone, of one that no other can join: it may be blocked then.
    gone: Option<Receiver<Infallible>>,
}

/// A layer that is to show an input.
struct Wanted {
    spec: InputSpec,
    showing: Showing,
    /// Finds the files of its scene.
    find: Arc<FindFile>,
}

struct Manager {
    sources: Sources,
    inputs: Inputs,
    decoding: Vec<Decoding>,
    refused: Vec<Wanted>,
    runtime: Arc<RtspRuntime>,
}

/// Starts the thread, which ends with the world.
pub(super) fn start(door: InputDoor, sources: Sources, inputs: Inputs) -> std::io::Result<()> {
    let mut manager = Manager {
        sources,
        inputs,
        decoding: Vec::new(),
        refused: Vec::new(),
        runtime: Arc::default(),
    };
    thread::Builder::new()
        .name("inputs".to_owned())
        .spawn(move || {
            set_priority(Priority::Work);
            loop {
                match door.requests.recv_timeout(TIDY_EVERY) {
                    Ok(request) => manager.take(request),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                manager.tidy();
            }
        })
        .map(drop)
}

impl Manager {
    fn take(&mut self, request: OpenInput) {
        let facts = Arc::<Facts>::default();
        let entry = Arc::new(Entry::new(
            request.layer.clone(),
            &request.spec,
            Arc::clone(&request.ends.state),
            facts,
        ));
        let OpenInput { spec, ends, .. } = request;
        self.open(Wanted {
            spec,
            showing: Showing::new(Arc::clone(&entry), ends),
            find: (self.sources.files)(),
        });
        // Who sees it in the list finds that it takes what comes.
        self.inputs.add(&entry);
    }

    fn open(&mut self, mut wanted: Wanted) {
        let entry = Arc::clone(&wanted.showing.entry);
        let same = same_of(&wanted.spec);
        if let Some(same) = &same {
            for decoding in &self.decoding {
                if let Some((other, joins)) = &decoding.shared
                    && other == same
                {
                    entry.set_facts(Arc::clone(&decoding.facts));
                    match joins.join(wanted.showing) {
                        Ok(()) => return,
                        Err(back) => wanted.showing = *back,
                    }
                }
            }
        }
        self.decoding
            .retain(|decoding| !decoding.thread.is_finished());
        if self.decoding.len() >= self.sources.inputs_max {
            let reason = format!(
                "there are {} inputs already, which is as many as MAX_INPUTS allows",
                self.decoding.len()
            );
            entry.facts().set_error(Some(&reason));
            let showing = &wanted.showing;
            showing.set_stage(InputStage::Failed, Some(&reason), &self.sources);
            if self.refused.len() < REFUSED_MAX {
                self.refused.push(wanted);
            }
            return;
        }
        // A decoder that is there for others may have just ended: the facts are its own.
        let facts = Arc::<Facts>::default();
        entry.set_facts(Arc::clone(&facts));
        let joins = Arc::<Joins>::default();
        let gone = same.is_none().then(|| wanted.showing.ends.gone.clone());
        match self.spawn(wanted, &facts, &joins) {
            Ok(thread) => self.decoding.push(Decoding {
                thread,
                facts,
                shared: same.map(|same| (same, joins)),
                gone,
            }),
            // Its ways went with it, by which the world sees that it must ask again.
            Err(error) => tracing::error!(%error, layer = %entry.layer, "no thread for an input"),
        }
    }

    fn spawn(
        &self,
        wanted: Wanted,
        facts: &Arc<Facts>,
        joins: &Arc<Joins>,
    ) -> std::io::Result<JoinHandle<()>> {
        let Wanted {
            spec,
            showing,
            find,
        } = wanted;
        let (sources, facts, joins) = (self.sources.clone(), Arc::clone(facts), Arc::clone(joins));
        let name = format!("input {}", showing.entry.layer.as_str());
        let kept = Arc::clone(&facts);
        let mut body: Box<dyn FnMut() + Send> = match spec {
            InputSpec::Video(source) => {
                let film = Film::of_video(&source, &find);
                play(showing, film, sources, facts, joins)
            }
            InputSpec::Audio(source) => {
                let film = Film::of_audio(&source, &find);
                play(showing, film, sources, facts, joins)
            }
            InputSpec::Ingest(source) => {
                let from = IngestSource::new(&self.sources.hub, &source.key);
                let mut live = LiveInput::new(showing, from, sources, facts, joins);
                Box::new(move || live.run())
            }
            InputSpec::Rtsp(source) => {
                let from = RtspSource::new(&source, &self.runtime, &self.sources);
                let mut live = LiveInput::new(showing, from, sources, facts, joins);
                Box::new(move || live.run())
            }
        };
        thread::Builder::new().name(name).spawn(move || {
            set_priority(Priority::Work);
            let mut panics = 0;
            while catch_unwind(AssertUnwindSafe(&mut body)).is_err() {
                panics += 1;
                kept.panics.fetch_add(1, Relaxed);
                kept.set_error(Some("the decoder broke down, and is started again"));
                thread::sleep(backoff_delay(RETRY_DELAY, panics));
            }
        })
    }

    /// Lets go of threads that have ended, ends those whose layers have gone, and tries again what was refused.
    fn tidy(&mut self) {
        self.decoding
            .retain(|decoding| !decoding.thread.is_finished());
        for decoding in &self.decoding {
            let gone = decoding.gone.as_ref().map(Receiver::try_recv);
            if gone == Some(Err(TryRecvError::Disconnected)) {
                // An address that says nothing would keep it until its deadline.
                decoding.facts.interrupt();
            }
        }
        self.refused.retain_mut(|wanted| !wanted.showing.is_gone());
        while self.decoding.len() < self.sources.inputs_max && !self.refused.is_empty() {
            let wanted = self.refused.remove(0);
            wanted.showing.entry.facts().set_error(None);
            self.open(wanted);
        }
    }
}

/// What the thread of a file or an address does.
fn play(
    showing: Showing,
    film: Film,
    sources: Sources,
    facts: Arc<Facts>,
    joins: Arc<Joins>,
) -> Box<dyn FnMut() + Send> {
    if film.is_remote {
        return url::input(showing, film, sources, facts, joins);
    }
    let mut film = FilmInput::new(showing, film, sources, facts, None);
    Box::new(move || film.run())
}

fn same_of(spec: &InputSpec) -> Option<Same> {
    match spec {
        InputSpec::Ingest(source) => Some(Same::Ingest(source.key.clone())),
        InputSpec::Rtsp(source) => Some(Same::Rtsp {
            url: source.url.clone(),
            transport: source.transport,
            username: source.username.clone(),
            password_from: source.password_from.clone(),
        }),
        InputSpec::Video(_) | InputSpec::Audio(_) => None,
    }
}

/// Locks what a panic cannot leave half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
