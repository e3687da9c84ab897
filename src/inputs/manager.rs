//! The thread that takes the world's requests: a decoder's thread for each film, one for all layers that show the same live input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use components::source::RtspTransport;
use crossbeam_channel::{RecvTimeoutError, TryRecvError};
use systems::input::{InputDoor, InputSpec, InputStage, OpenInput};

use super::facts::Facts;
use super::file::{Film, FilmInput};
use super::ingest::IngestSource;
use super::live::{Joins, LiveInput};
use super::rtsp::{RtspRuntime, RtspSource};
use super::showing::{Entry, Showing};
use super::{Inputs, RETRY_DELAY, Sources, url};
use crate::streaming::{Priority, backoff_delay, set_priority};

/// How often ended threads are looked for, and refused inputs tried again.
const TIDY_EVERY: Duration = Duration::from_millis(250);
/// Inputs that are refused and wait for room; further ones are left to themselves.
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
    shared: Option<(Same, Arc<Joins>, Arc<Facts>)>,
}

struct Manager {
    sources: Sources,
    inputs: Inputs,
    decoding: Vec<Decoding>,
    refused: Vec<(OpenInput, Arc<Entry>)>,
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
        self.open(request, Arc::clone(&entry));
        // Who sees it in the list finds that it takes what comes.
        self.inputs.add(&entry);
    }

    fn open(&mut self, request: OpenInput, entry: Arc<Entry>) {
        let OpenInput { layer, spec, ends } = request;
        let mut showing = Showing::new(Arc::clone(&entry), ends);
        let same = same_of(&spec);
        if let Some(same) = &same {
            for decoding in &self.decoding {
                if let Some((other, joins, facts)) = &decoding.shared
                    && other == same
                {
                    entry.set_facts(Arc::clone(facts));
                    match joins.join(showing) {
                        Ok(()) => return,
                        Err(back) => showing = *back,
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
            showing.set_stage(InputStage::Failed, Some(&reason), &self.sources);
            if self.refused.len() < REFUSED_MAX {
                let ends = showing.ends;
                self.refused.push((OpenInput { layer, spec, ends }, entry));
            }
            return;
        }
        // A decoder that is there for others may have just ended: the facts are its own.
        let facts = Arc::<Facts>::default();
        entry.set_facts(Arc::clone(&facts));
        let joins = Arc::<Joins>::default();
        let spawned = self.spawn(&spec, showing, &facts, &joins);
        match spawned {
            Ok(thread) => self.decoding.push(Decoding {
                thread,
                shared: same.map(|same| (same, joins, facts)),
            }),
            Err(error) => tracing::error!(%error, %layer, "no thread for an input"),
        }
    }

    fn spawn(
        &self,
        spec: &InputSpec,
        showing: Showing,
        facts: &Arc<Facts>,
        joins: &Arc<Joins>,
    ) -> std::io::Result<JoinHandle<()>> {
        let (sources, facts, joins) = (self.sources.clone(), Arc::clone(facts), Arc::clone(joins));
        let name = format!("input {}", showing.entry.layer.as_str());
        let kept = Arc::clone(&facts);
        let mut body: Box<dyn FnMut() + Send> = match spec {
            InputSpec::Video(source) if source.is_remote() => {
                url::input(showing, Film::from(source), sources, facts, joins)
            }
            InputSpec::Audio(source) if source.src.contains("://") => {
                url::input(showing, Film::from(source), sources, facts, joins)
            }
            InputSpec::Video(source) => {
                let mut film = FilmInput::new(showing, Film::from(source), sources, facts, None);
                Box::new(move || film.run())
            }
            InputSpec::Audio(source) => {
                let mut film = FilmInput::new(showing, Film::from(source), sources, facts, None);
                Box::new(move || film.run())
            }
            InputSpec::Ingest(source) => {
                let from = IngestSource::new(&self.sources.hub, &source.key);
                let timeout = Duration::from_secs_f32(source.reception.timeout.max(0.2));
                let mut live = LiveInput::new(showing, from, timeout, sources, facts, joins);
                Box::new(move || live.run())
            }
            InputSpec::Rtsp(source) => {
                let from = RtspSource::new(source, &self.runtime, &self.sources);
                let timeout = Duration::from_secs_f32(source.reception.timeout.max(0.2));
                let mut live = LiveInput::new(showing, from, timeout, sources, facts, joins);
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

    /// Lets go of threads that have ended, and tries again what was refused.
    fn tidy(&mut self) {
        self.decoding
            .retain(|decoding| !decoding.thread.is_finished());
        self.refused.retain(|(request, _)| {
            // Orders are for a decoder; what matters here is whether anybody is left who could give one.
            !matches!(
                request.ends.orders.try_recv(),
                Err(TryRecvError::Disconnected)
            )
        });
        while self.decoding.len() < self.sources.inputs_max && !self.refused.is_empty() {
            let (request, entry) = self.refused.remove(0);
            entry.facts().set_error(None);
            self.open(request, entry);
        }
    }
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
