//! Hot reload: reads the scene again when its file, or a file that it uses, changes.
//!
//! The folders are watched and not the files, since many editors write a new file and rename it over the old one. What the system
//! does not tell (network disks, some containers) is found by looking at the files now and then.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use notify::event::{EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::error::SceneErrors;
use super::load::{LoadOptions, LoadedScene, Stamp, folder_of, load_noting_files};

/// How long files must be left alone before they are read.
const QUIET: Duration = Duration::from_millis(100);
/// How long one change after the other can put reading off.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// How often files are looked at without being told.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a scene cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system's watching of folders does not start.
    #[error("the scene's folder cannot be watched: {0}")]
    Notify(#[from] notify::Error),
    /// No thread.
    #[error("the thread that watches the scene does not start: {0}")]
    Thread(#[from] io::Error),
}

/// Watches a scene's files until it is dropped.
#[derive(Debug)]
pub struct SceneWatcher {
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SceneWatcher {
    /// Calls `on_change`, on a thread of its own, with each new state of a scene that was loaded before. What changed since it was
    /// loaded counts. Broken states are given too, as their problems; the next good one follows.
    ///
    /// # Errors
    /// When the system gives no watch or no thread.
    pub fn start(
        scene: &LoadedScene,
        options: LoadOptions,
        on_change: impl FnMut(Result<LoadedScene, SceneErrors>) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let (stop, stopped) = bounded(0);
        // One place: it says that something changed, not what.
        let (tell, told) = bounded(1);
        let names = Names::default();
        let watcher = notify::recommended_watcher(names.clone().listener(tell))?;
        let mut watch = Watch {
            path: scene.path.clone(),
            options,
            stamps: Vec::new(),
            folders: BTreeSet::new(),
            names,
            watcher,
        };
        watch.follow(scene.stamps.clone());
        let thread = thread::Builder::new()
            .name("scene-watch".to_owned())
            .spawn(move || watch.run(&told, &stopped, on_change))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for SceneWatcher {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            // Dropped by its own callback, it cannot wait for itself.
            && thread.thread().id() != thread::current().id()
        {
            // A panic of the callback has been printed where it happened.
            let _ended = thread.join();
        }
    }
}

/// The names of the files that count, shared with the system's watcher.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<BTreeSet<OsString>>>);

impl Names {
    fn replace(&self, names: BTreeSet<OsString>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    fn listener(self, tell: Sender<()>) -> impl FnMut(notify::Result<Event>) + Send + 'static {
        move |event| {
            let counts = match &event {
                Ok(event) => event.need_rescan() || changes(event.kind) && self.hold_any(event),
                // Something was missed; the files tell what.
                Err(_) => true,
            };
            if counts {
                // Full means that it has been told already.
                let _told = tell.try_send(());
            }
        }
    }

    /// By name alone, whatever the folder is called: one reading too many does no harm.
    fn hold_any(&self, event: &Event) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        event
            .paths
            .iter()
            .any(|path| path.file_name().is_some_and(|name| names.contains(name)))
    }
}

/// Reading a file is an event too, and must not lead to reading it again.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Any => true,
        EventKind::Modify(kind) => !matches!(kind, ModifyKind::Metadata(_)),
        EventKind::Access(_) | EventKind::Other => false,
    }
}

/// The watching thread's own state.
struct Watch {
    path: PathBuf,
    options: LoadOptions,
    stamps: Vec<Stamp>,
    folders: BTreeSet<PathBuf>,
    names: Names,
    watcher: RecommendedWatcher,
}

/// What woke the thread.
enum Wake {
    Told,
    Look,
    Stop,
}

impl Watch {
    fn run(
        mut self,
        told: &Receiver<()>,
        stopped: &Receiver<()>,
        mut on_change: impl FnMut(Result<LoadedScene, SceneErrors>),
    ) {
        // What changed between loading and watching was told by nobody.
        let mut changed = self.is_outdated();
        loop {
            if changed {
                if !settle(told, stopped) {
                    return;
                }
                let (scene, stamps) = load_noting_files(&self.path, &self.options);
                self.follow(stamps);
                on_change(scene);
            }
            changed = match wait(told, stopped, LOOK_EVERY) {
                Wake::Told => true,
                Wake::Look => self.is_outdated(),
                Wake::Stop => return,
            };
        }
    }

    fn is_outdated(&self) -> bool {
        self.stamps.iter().any(Stamp::is_outdated)
    }

    /// Watches the folders of these files from now on.
    fn follow(&mut self, stamps: Vec<Stamp>) {
        let name = |stamp: &Stamp| stamp.path.file_name().map(ToOwned::to_owned);
        self.names.replace(stamps.iter().filter_map(name).collect());
        let folders: BTreeSet<PathBuf> = stamps
            .iter()
            .map(|stamp| folder_of(&stamp.path).to_owned())
            .collect();
        for gone in self.folders.difference(&folders) {
            // It may have been deleted, and its watch with it.
            let _unwatched = self.watcher.unwatch(gone);
        }
        // A folder that cannot be watched is asked for again at the next change; until then its files are looked at now and then.
        let mut watched = BTreeSet::new();
        for folder in folders {
            let had = self.folders.contains(&folder);
            if had
                || self
                    .watcher
                    .watch(&folder, RecursiveMode::NonRecursive)
                    .is_ok()
            {
                watched.insert(folder);
            }
        }
        self.folders = watched;
        self.stamps = stamps;
    }
}

/// Waits until the files are left alone; false when the watching ends.
fn settle(told: &Receiver<()>, stopped: &Receiver<()>) -> bool {
    let began = Instant::now();
    loop {
        match wait(told, stopped, QUIET) {
            Wake::Told if began.elapsed() < QUIET_MAX => {}
            Wake::Told | Wake::Look => return true,
            Wake::Stop => return false,
        }
    }
}

fn wait(told: &Receiver<()>, stopped: &Receiver<()>, at_most: Duration) -> Wake {
    crossbeam_channel::select! {
        recv(stopped) -> _ => Wake::Stop,
        recv(told) -> _ => Wake::Told,
        default(at_most) => Wake::Look,
    }
}
