//! Reads and decodes ahead what may come on air next, on a thread that gives way to all others.
//!
//! What will be asked for comes first: the scene in preview, and what batches name that wait for their tick. Then come the other scenes of
//! the library, those that were on air last before those whose files are the newest, as far as there is room without pushing out what
//! was used. The thread looks at snapshots and at the folder; nobody waits for it, and it waits for nobody.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use components::scene::SceneSpec;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use serde_json::Value;
use tokio::sync::watch;

use super::library::{Library, SceneEntry};
use super::show::{Snapshot, Waiting};
use crate::prepare::{Files, Needs, Preloaded, Worth};
use crate::scene::files::{FileKind, sniff};
use crate::streaming::{Priority, set_priority};

/// The time from one look at what is on air to the next, and at the folder of scenes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LIST_EVERY: Duration = Duration::from_secs(5);
/// After so long the files are looked at again though no scene has changed.
const AGAIN_EVERY: Duration = Duration::from_secs(30);
/// How many scenes of the library are read ahead.
const SCENES_MAX: usize = 64;
/// How many words of scheduled batches are looked at, and the longest, in bytes.
const WORDS_MAX: usize = 2000;
const WORD_BYTES_MAX: usize = 512;

/// Reads ahead as long as it is there.
#[derive(Debug)]
pub struct Preloader {
    /// Its end is heard.
    _stop: Sender<Infallible>,
}

impl Preloader {
    /// Starts reading ahead, unless nothing would be kept.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        library: Library,
        snapshots: watch::Receiver<Arc<Snapshot>>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = bounded(0);
        if library.assets().cache().is_on() {
            let mut work = Work {
                library,
                snapshots,
                stopped,
                recent: VecDeque::new(),
                known: HashMap::new(),
            };
            thread::Builder::new()
                .name("preload".to_owned())
                .spawn(move || {
                    set_priority(Priority::Background);
                    work.run();
                })?;
        }
        Ok(Self { _stop: stop })
    }
}

struct Work {
    library: Library,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    stopped: Receiver<Infallible>,
    /// The scenes that were on air, the last one first.
    recent: VecDeque<String>,
    /// The files of scenes of the library, and the scene's file that they are of.
    known: HashMap<String, (SceneEntry, Arc<Ahead>)>,
}

/// What a scene needs, and where it is.
struct Ahead {
    needs: Needs,
    files: Files,
}

/// What makes another round of reading useful.
#[derive(Clone)]
struct Seen {
    program: String,
    preview: Option<Arc<SceneSpec>>,
    schedule: Arc<Vec<Arc<Waiting>>>,
    has_mix: bool,
}

/// The round is over: something else is to be read, or nothing any more.
struct Over;

impl Seen {
    fn of(snapshot: &Snapshot) -> Self {
        let preview = snapshot.show.preview.as_ref();
        Self {
            program: snapshot.show.program.id.clone(),
            preview: preview.map(|scene| Arc::clone(&scene.spec)),
            schedule: Arc::clone(&snapshot.schedule),
            has_mix: snapshot.mix.is_some(),
        }
    }

    fn is_as(&self, snapshot: &Snapshot) -> bool {
        let now = Self::of(snapshot);
        let same_preview = match (&self.preview, &now.preview) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same_preview
            && self.program == now.program
            && self.has_mix == now.has_mix
            && Arc::ptr_eq(&self.schedule, &now.schedule)
    }
}

impl Ahead {
    fn of(spec: &SceneSpec, folder: PathBuf, library: &Library) -> Self {
        Self {
            needs: Needs::of(spec),
            files: Files::of_scene(spec, folder, library.assets().clone()),
        }
    }
}

impl Work {
    fn run(&mut self) {
        let mut seen: Option<Seen> = None;
        let mut listed: Vec<SceneEntry> = Vec::new();
        let (mut list_at, mut again_at) = (Instant::now(), Instant::now());
        loop {
            let snapshot = self.snapshot();
            let mut is_due = seen.as_ref().is_none_or(|seen| !seen.is_as(&snapshot));
            let now = Instant::now();
            if now >= list_at {
                list_at = now + LIST_EVERY;
                let list = self.library.list();
                is_due |= list != listed || now >= again_at;
                listed = list;
                // What has left the air since may be too much.
                self.library.assets().cache().trim();
            }
            if is_due {
                again_at = now + AGAIN_EVERY;
                let next = Seen::of(&snapshot);
                self.note_program(&next.program);
                // One that was broken off is begun anew, on what is there by then.
                seen = self.round(&next, &listed).is_ok().then_some(next);
            }
            match self.stopped.recv_timeout(LOOK_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) | Ok(_) => return,
            }
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    fn note_program(&mut self, id: &str) {
        if self.recent.front().is_some_and(|first| first == id) {
            return;
        }
        self.recent.retain(|other| other != id);
        self.recent.push_front(id.to_owned());
        self.recent.truncate(SCENES_MAX);
    }

    /// Reads everything that may come, until something else may.
    fn round(&mut self, seen: &Seen, listed: &[SceneEntry]) -> Result<(), Over> {
        let cache = self.library.assets().cache().clone();
        cache.trim();
        let before = cache.figures().preloaded;
        let worth = Worth::Certain(cache.mark());
        let snapshot = self.snapshot();
        if let Some(preview) = &snapshot.show.preview {
            let ahead = Ahead::of(&preview.spec, preview.folder.clone(), &self.library);
            self.read(&ahead, seen, &mut || worth)?;
        }
        let mut certain = HashSet::new();
        self.read_schedule(seen, worth, &mut certain)?;
        let mut rank = 0;
        for entry in self.others(listed, &certain, &seen.program) {
            let Some(ahead) = self.scene(&entry) else {
                continue;
            };
            let has_room = self.read(&ahead, seen, &mut || {
                rank += 1;
                Worth::Perhaps(rank)
            })?;
            if !has_room {
                break;
            }
        }
        let read = cache.figures().preloaded - before;
        if read > 0 {
            tracing::debug!(read, "pictures and fonts were read ahead");
        }
        Ok(())
    }

    /// Reads what batches name that wait for their tick.
    fn read_schedule(
        &mut self,
        seen: &Seen,
        worth: Worth,
        certain: &mut HashSet<String>,
    ) -> Result<(), Over> {
        let mut words = Words::default();
        let commands = seen.schedule.iter().flat_map(|waiting| &waiting.commands);
        commands.for_each(|command| words.collect(command, false));
        for id in words.scenes {
            self.goes_on(seen)?;
            let entry = self.library.entry(&id);
            if let Some(ahead) = entry.and_then(|entry| self.scene(&entry)) {
                self.read(&ahead, seen, &mut || worth)?;
            }
            certain.insert(id);
        }
        let files = self.library.files_on_air();
        for word in words.others {
            self.goes_on(seen)?;
            let Ok(path) = files.find(&word) else {
                continue;
            };
            if sniff(&path).is_ok_and(|kind| kind == FileKind::Picture) {
                files.preload_picture(&word, worth);
            }
        }
        Ok(())
    }

    /// The scenes that nobody has asked for, the likeliest first.
    fn others(
        &self,
        listed: &[SceneEntry],
        certain: &HashSet<String>,
        program: &str,
    ) -> Vec<SceneEntry> {
        let mut others: Vec<SceneEntry> = listed
            .iter()
            .filter(|entry| entry.id != program && !certain.contains(&entry.id))
            .cloned()
            .collect();
        let place = |entry: &SceneEntry| {
            let mut recent = self.recent.iter();
            let place = recent.position(|id| *id == entry.id);
            (place.unwrap_or(usize::MAX), u64::MAX - entry.modified_at)
        };
        others.sort_by_cached_key(place);
        others.truncate(SCENES_MAX);
        others
    }

    /// A scene of the library, read where its file has changed; `None` where it cannot be used.
    fn scene(&mut self, entry: &SceneEntry) -> Option<Arc<Ahead>> {
        if let Some((known, ahead)) = self.known.get(&entry.id)
            && known == entry
        {
            return Some(Arc::clone(ahead));
        }
        let max_layers = self.snapshot().show.config.max_layers;
        let loaded = self.library.load(&entry.id, max_layers).ok()?;
        let ahead = Arc::new(Ahead::of(
            &loaded.spec,
            loaded.folder.clone(),
            &self.library,
        ));
        if self.known.len() >= 2 * SCENES_MAX {
            self.known.clear();
        }
        let known = (entry.clone(), Arc::clone(&ahead));
        self.known.insert(entry.id.clone(), known);
        Some(ahead)
    }

    /// Reads what a scene needs; whether there was room for all of it.
    fn read(
        &self,
        ahead: &Ahead,
        seen: &Seen,
        worth: &mut dyn FnMut() -> Worth,
    ) -> Result<bool, Over> {
        let (needs, files) = (&ahead.needs, &ahead.files);
        let mut has_room = true;
        for path in &needs.fonts {
            self.goes_on(seen)?;
            has_room &= files.preload_font(path, worth()) != Preloaded::NoRoom;
        }
        for src in needs.pictures.iter().chain(&needs.chat_pictures) {
            self.goes_on(seen)?;
            has_room &= files.preload_picture(src, worth()) != Preloaded::NoRoom;
        }
        Ok(has_room)
    }

    /// Whether the program still runs, and nothing else may come by now.
    fn goes_on(&self, seen: &Seen) -> Result<(), Over> {
        let is_running = matches!(self.stopped.try_recv(), Err(TryRecvError::Empty));
        if is_running && seen.is_as(&self.snapshots.borrow()) {
            Ok(())
        } else {
            Err(Over)
        }
    }
}

/// What scheduled commands name.
#[derive(Default)]
struct Words {
    /// Names of scenes.
    scenes: Vec<String>,
    /// Any other words: some are those of pictures.
    others: Vec<String>,
}

impl Words {
    fn collect(&mut self, value: &Value, is_scene: bool) {
        match value {
            Value::String(word) if word.len() <= WORD_BYTES_MAX => {
                let list = if is_scene {
                    &mut self.scenes
                } else {
                    &mut self.others
                };
                if list.len() < WORDS_MAX && !list.contains(word) {
                    list.push(word.clone());
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.collect(value, false)),
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, value)| self.collect(value, name == "scene")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scheduled_commands_tell_scenes_and_words() {
        let mut words = Words::default();
        words.collect(
            &json!({"type": "scene.activate", "scene": "next", "transition": {"type": "stinger", "src": "clip.webp"}}),
            false,
        );
        let layer = json!({"id": "inner", "source": {"type": "scene", "scene": "inside"}});
        words.collect(&json!({"type": "layer.create", "layer": layer}), false);
        assert_eq!(words.scenes, ["next", "inside"]);
        assert!(words.others.iter().any(|word| word == "clip.webp"));
        words.collect(&json!("x".repeat(WORD_BYTES_MAX + 1)), false);
        assert!(words.others.iter().all(|word| word.len() < 20));
    }
}
