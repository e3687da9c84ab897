//! Inputs: films, cameras, publishers and sounds, decoded on threads of their own for the layers that show them.
//!
//! The world asks through its [`InputDoor`]; the manager's thread ([`manager`]) starts a decoder for each film, and one for all
//! layers that show the same camera or publisher. A film's decoder ([`file`]) waits when its ways are full, which paces it; a live
//! one ([`live`]) leaves out what finds no room. What is lost is tried again for ever. Nothing here waits for the tick, and the
//! tick for nothing here; a decoder that breaks or panics is told of, counted and started again.

mod clock;
mod facts;
mod file;
mod file_pass;
mod ingest;
mod leaps;
mod live;
mod manager;
mod picture;
mod rtsp;
mod showing;
mod sound;
mod url;
mod view;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use systems::input::{InputDoor, InputStage};

use crate::ingest::IngestHub;

use showing::Entry;
pub use view::{InputKind, InputView, StageName};

/// How long opening may take before it counts as failed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often threads that wait look whether anybody still wants them.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The pause after the first failure; it doubles with each.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Finds the file behind the `src` of a layer, inside of the folders that it may lie in.
pub type FindFile = dyn Fn(&str) -> Result<PathBuf, String> + Send + Sync;
/// Gives what finds the files of the scene that is on its way to the air, or on it.
pub type SceneFiles = dyn Fn() -> Arc<FindFile> + Send + Sync;
/// The password in a variable.
pub type FindPassword = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What inputs are made from.
#[derive(Clone)]
pub struct Sources {
    /// Files of the scene on air. Asked when a layer asks for its film, and kept with that: a scene that gives way to another still
    /// finds its own.
    pub files: Arc<SceneFiles>,
    /// Passwords of cameras.
    pub password: Arc<FindPassword>,
    /// Publishers.
    pub hub: IngestHub,
    /// Decoders at a time; one more is refused.
    pub inputs_max: usize,
    /// Who hears of changes. Called on the threads that decode, so it must not wait.
    pub hear: Arc<dyn Fn(InputNews) + Send + Sync>,
}

/// A change of how an input stands.
#[derive(Clone, Debug, PartialEq)]
pub struct InputNews {
    /// The layer.
    pub layer: String,
    /// How it stands now.
    pub stage: InputStage,
    /// Why, where something is wrong. Nothing secret is in it.
    pub error: Option<String>,
}

/// All inputs. Cheap to copy; the threads end when their layers go, and at the latest with the world.
#[derive(Clone, Debug, Default)]
pub struct Inputs(Arc<Registry>);

/// Who is there.
#[derive(Debug, Default)]
struct Registry {
    entries: Mutex<Vec<Weak<Entry>>>,
}

impl Inputs {
    /// Serves the world's requests.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(door: InputDoor, sources: Sources) -> std::io::Result<Self> {
        let inputs = Self::default();
        manager::start(door, sources, inputs.clone())?;
        Ok(inputs)
    }

    /// Every input, in the order in which they were asked for.
    pub fn list(&self) -> Vec<InputView> {
        self.entries().iter().map(|entry| entry.view()).collect()
    }

    /// The input of a layer: the newest, where a layer of the same name is still leaving.
    pub fn get(&self, layer: &str) -> Option<InputView> {
        let entries = self.entries();
        entries
            .iter()
            .rev()
            .find(|entry| entry.layer.as_str() == layer)
            .map(|entry| entry.view())
    }

    /// Has a layer's input connect anew at once; `None` when there is none.
    pub fn reconnect(&self, layer: &str) -> Option<InputView> {
        let entries = self.entries();
        let entry = entries
            .iter()
            .rev()
            .find(|entry| entry.layer.as_str() == layer)?;
        entry.facts().reconnect();
        Some(entry.view())
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        let mut entries = self
            .0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.strong_count() > 0);
        entries.iter().filter_map(Weak::upgrade).collect()
    }

    fn add(&self, entry: &Arc<Entry>) {
        let mut entries = self
            .0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.strong_count() > 0);
        entries.push(Arc::downgrade(entry));
    }
}
