//! The desk of the outputs: changes go from here into the show, which is saved, and to the running stream, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use components::output::{OutputSpec, RenditionSpec};
use serde_json::{Map, Value, json};

use super::{Entry, OutputChange, OutputList, engine};
use crate::config::Settings;
use crate::control::config::{Config, ConfigPatch};
use crate::control::director::{Outcome, Terms, Work};
use crate::control::error::ApiError;
use crate::control::events::Event;
use crate::control::station::{Station, now_ms};
use crate::streaming::{OutputState, OutputStats, Streaming};

/// What is kept of the outputs. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What settings and the first scene ask for.
    base: OutputList,
    /// Held while something is changed, from the plan to the running stream.
    changing: tokio::sync::Mutex<()>,
    running: Mutex<Running>,
}

/// What runs now, as far as this side knows.
#[derive(Debug, Default)]
struct Running {
    /// What each output was started with.
    specs: HashMap<String, Arc<OutputSpec>>,
    notes: HashMap<String, Note>,
}

/// What is remembered of an output.
#[derive(Clone, Debug)]
struct Note {
    since_ms: u64,
    /// Why it could not be started.
    refused: Option<String>,
}

/// An output with how it goes.
#[derive(Clone, Debug)]
pub struct OutputNow {
    /// What is authored.
    pub entry: Entry,
    /// The engine's figures, while it runs.
    pub stats: Option<OutputStats>,
    /// Milliseconds since 1970 (UTC) at which its state began; `None` before the first.
    pub since_ms: Option<u64>,
    /// Why it could not be started.
    pub refused: Option<String>,
}

impl Desk {
    /// A desk whose changes are laid over what settings and scene ask for.
    pub fn new(base: OutputList) -> Self {
        Self(Arc::new(Inner {
            base,
            changing: tokio::sync::Mutex::default(),
            running: Mutex::default(),
        }))
    }

    /// Starts everything that is enabled. What cannot be started is noted and said, and keeps nothing else from starting.
    pub fn start(
        &self,
        streaming: &Streaming,
        list: &OutputList,
        settings: &Settings,
        config: &Config,
    ) {
        *self.running() = Running::default();
        // Said where it happens.
        drop(self.follow(streaming, list, settings, config));
    }

    /// Nothing runs any more.
    pub fn stopped(&self) {
        *self.running() = Running::default();
    }

    /// Notes that an output does something else from now on.
    pub fn hear(&self, id: &str) {
        if let Some(note) = self.running().notes.get_mut(id) {
            note.since_ms = now_ms();
        }
    }

    /// An output with how it goes.
    pub fn now(&self, entry: &Entry, stats: &[OutputStats]) -> OutputNow {
        let running = self.running();
        let id = &entry.spec.id;
        let note = running.notes.get(id);
        let stats = stats.iter().find(|stats| stats.id == *id);
        OutputNow {
            entry: entry.clone(),
            stats: stats.filter(|_| entry.spec.enabled).cloned(),
            since_ms: note.map(|note| note.since_ms),
            refused: note.and_then(|note| note.refused.clone()),
        }
    }

    /// Brings the running stream to the list: what is not asked for any more, or otherwise, ends; what is new begins.
    ///
    /// # Errors
    /// The first output that cannot be started; the others are.
    fn follow(
        &self,
        streaming: &Streaming,
        list: &OutputList,
        settings: &Settings,
        config: &Config,
    ) -> Result<(), ApiError> {
        let mut running = self.running();
        let is_there = |id: &String| list.output(id).is_ok();
        let gone: Vec<String> = running
            .specs
            .keys()
            .filter(|id| !is_there(id))
            .cloned()
            .collect();
        for id in gone {
            engine::end(streaming, &id);
            running.specs.remove(&id);
            running.notes.remove(&id);
        }
        let mut result = Ok(());
        for entry in &list.outputs {
            let spec = &entry.spec;
            let before = running.specs.get(&spec.id).cloned();
            if before.as_ref() == Some(spec) || before.is_none() && !spec.enabled {
                continue;
            }
            let settings = || engine::settings_of(spec, list, settings, config.fps);
            let done = match before {
                None => settings().and_then(|output| engine::begin(streaming, output)),
                Some(_) if !spec.enabled => engine::rest(streaming, &spec.id, true),
                // Only switched on.
                Some(before) if is_same_but_on(&before, spec) => {
                    engine::rest(streaming, &spec.id, false)
                }
                Some(_) => settings()
                    .and_then(|output| engine::change(streaming, output))
                    .and_then(|()| engine::rest(streaming, &spec.id, false)),
            };
            running.note(
                &spec.id,
                done.as_ref().err().map(|error| error.message.clone()),
            );
            match done {
                Ok(()) => {
                    running.specs.insert(spec.id.clone(), Arc::clone(spec));
                }
                Err(error) => {
                    tracing::error!(output = spec.id, %error, "an output cannot be started");
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn note(&mut self, id: &str, refused: Option<String>) {
        let note = Note {
            since_ms: now_ms(),
            refused,
        };
        self.notes.insert(id.to_owned(), note);
    }
}

impl Station {
    /// Changes outputs or renditions. Once it is answered, the change is in the show and the running stream follows it.
    ///
    /// # Errors
    /// Why it is not done; nothing has changed then.
    pub async fn change_outputs(
        &self,
        change: OutputChange,
        terms: Terms,
    ) -> Result<Outcome, ApiError> {
        let desk = self.desk().clone();
        let _one = desk.0.changing.lock().await;
        let show = Arc::clone(&self.director().snapshot().show);
        let (list, changes) = show
            .outputs
            .after(&change, &desk.0.base, &show.output_changes)?;
        self.check_change(&change, &list, &show.config)?;
        let patch = self.config_patch(&change, &list);
        let work = Work::Outputs {
            list: Arc::new(list),
            changes: Arc::new(changes),
            patch,
        };
        let outcome = self.director().ask(work, terms).await?;
        if terms.dry_run {
            return Ok(outcome);
        }
        if let Err(error) = self.bring_outputs().await {
            // As it was before.
            let undo = Work::Outputs {
                list: Arc::clone(&show.outputs),
                changes: Arc::clone(&show.output_changes),
                patch: as_it_is(&show.config),
            };
            let undone = self.director().ask(undo, Terms::default()).await;
            let followed = self.bring_outputs().await;
            if undone.and(followed.map(|()| outcome)).is_err() {
                tracing::error!("a change of the outputs that failed could not be undone");
            }
            return Err(error);
        }
        self.follow(&outcome.show);
        Ok(outcome)
    }

    /// What can be wrong here and now, looked at before anything changes.
    fn check_change(
        &self,
        change: &OutputChange,
        list: &OutputList,
        config: &Config,
    ) -> Result<(), ApiError> {
        let id = match change {
            OutputChange::Add(spec) => &spec.id,
            OutputChange::Patch(id, _) => id,
            OutputChange::Remove(_) => return Ok(()),
            OutputChange::Rendition(..) => {
                // As the next start will have it.
                return engine::ladder(list, self.settings(), config).map(|_| ());
            }
        };
        let spec = &list.output(id)?.spec;
        if !spec.enabled {
            return Ok(());
        }
        engine::settings_of(spec, list, self.settings(), config.fps).map(|_| ())
    }

    /// What a change of `main` changes of the settings that stand for it.
    fn config_patch(&self, change: &OutputChange, list: &OutputList) -> ConfigPatch {
        let OutputChange::Rendition(id, patch) = change else {
            return ConfigPatch::default();
        };
        match list.rendition(id) {
            Ok(spec) if id == RenditionSpec::MAIN => main_patch(spec, patch, self.settings()),
            _ => ConfigPatch::default(),
        }
    }

    /// Brings the running stream, if there is one, to the newest list.
    async fn bring_outputs(&self) -> Result<(), ApiError> {
        let _changing = self.changing().await;
        let Some(streaming) = self.streaming() else {
            return Ok(());
        };
        let (desk, settings) = (self.desk().clone(), self.settings().clone());
        let show = Arc::clone(&self.director().snapshot().show);
        // It makes folders and threads.
        let work = move || desk.follow(&streaming, &show.outputs, &settings, &show.config);
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("starting the output failed")))
    }

    /// Has an output try again now: it ends its pause, or starts anew after it gave up.
    ///
    /// # Errors
    /// There is none of this name, it is stopped, or the stream is.
    pub async fn retry_output(&self, id: &str) -> Result<(), ApiError> {
        let show = Arc::clone(&self.director().snapshot().show);
        let entry = show.outputs.output(id)?.clone();
        let _one = self.desk().0.changing.lock().await;
        if !entry.spec.enabled {
            let message = format!("the output `{id}` is stopped; start it");
            return Err(ApiError::conflict(message));
        }
        let runs = self.desk().running().specs.contains_key(id);
        if !runs {
            // It could not be started before.
            return self.bring_outputs().await;
        }
        let streaming = self.streaming();
        let streaming = streaming.ok_or_else(|| ApiError::conflict("the stream is stopped"))?;
        engine::retry(&streaming, id)
    }

    /// Every output of the show with how it goes.
    pub fn outputs_now(&self, list: &OutputList) -> Vec<OutputNow> {
        let stats = self.streaming_stats().map(|stats| stats.outputs);
        let stats = stats.unwrap_or_default();
        let outputs = list.outputs.iter();
        outputs
            .map(|entry| self.desk().now(entry, &stats))
            .collect()
    }

    /// Tells that an output does something else.
    pub(in crate::control) fn tell_output(
        &self,
        id: &str,
        state: OutputState,
        error: Option<&str>,
    ) {
        self.desk().hear(id);
        let changes = json!({"state": super::view::state_name(state), "lastError": error});
        self.tell(Event::about(
            "output:update",
            id,
            json!({"id": id, "changes": changes}),
        ));
    }
}

/// The patch that leads back to these settings.
fn as_it_is(config: &Config) -> ConfigPatch {
    ConfigPatch::of_main(
        Some(config.bitrate_kbps),
        Some(config.preset),
        Some(config.next_audio_bitrate_kbps),
        (config.codec.1, config.audio_codec.1, config.accelerated.1),
    )
}

fn is_same_but_on(before: &OutputSpec, now: &OutputSpec) -> bool {
    let mut on = before.clone();
    on.enabled = now.enabled;
    on == *now
}

/// What `main` has of its own is what the settings call STREAM_BITRATE, STREAM_PRESET and AUDIO_BITRATE.
fn main_patch(
    spec: &RenditionSpec,
    patch: &Map<String, Value>,
    settings: &Settings,
) -> ConfigPatch {
    let is_named = |name: &str| patch.contains_key(name);
    let preset = spec.preset.and_then(|preset| preset.as_str().parse().ok());
    ConfigPatch::of_main(
        is_named("bitrate").then(|| spec.bitrate.unwrap_or(settings.stream_bitrate_kbps)),
        is_named("preset").then(|| preset.unwrap_or(settings.stream_preset)),
        is_named("audioBitrate").then(|| spec.audio_bitrate.unwrap_or(settings.audio_bitrate_kbps)),
        (
            engine::video_codec(spec, settings),
            engine::audio_codec(spec, settings),
            engine::is_accelerated(spec, settings),
        ),
    )
}
