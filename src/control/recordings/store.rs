//! The recordings that there are: those of the index, and what else lies in the folder.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use components::output::ContainerName;
use tokio::sync::Notify;

use super::index::{DOCUMENT, SavedIndex, document};
use super::{
    MARKERS_MAX, Marker, RecordedFile, Recording, RecordingState, WISHES, Wishes, chapters,
};
use crate::control::error::{ApiError, ErrorCode};
use crate::control::keep::Beside;
use crate::control::library::write_whole;
use crate::control::station::now_ms;
use crate::streaming::StreamClock;

/// The most files of the folder that are listed.
const LISTED_MAX: usize = 10_000;

/// The recordings. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// The name of this instance; `None` where it is the only one.
    instance: Option<String>,
    beside: Beside,
    entries: Mutex<Vec<Recording>>,
    /// What was asked for over the API.
    wishes: Mutex<Wishes>,
    /// Whenever one has ended.
    ended: Notify,
}

/// What is known of a recording when it begins.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The output that writes it.
    pub output: String,
    /// Its file; of several, the name that theirs begin with.
    pub path: PathBuf,
    /// The layout of its files.
    pub container: ContainerName,
    /// The rendition that it has.
    pub rendition: String,
    /// The codecs of picture and sound.
    pub codecs: Vec<String>,
    /// The newest moment on the stream's clock when it was asked for, in seconds since tick 0.
    pub asked_s: f64,
}

impl Store {
    /// The recordings of a folder and an index; `instance` is the name of this one where several share the index. What an earlier run
    /// did not end is noted as interrupted.
    pub fn new(
        folder: PathBuf,
        saved: SavedIndex,
        instance: Option<String>,
        beside: Beside,
    ) -> Self {
        let mut entries = saved.entries;
        let mut is_other = saved.is_new;
        for entry in &mut entries {
            let before = entry.clone();
            if entry.state == RecordingState::Recording {
                entry.state = RecordingState::Interrupted;
            }
            // Of an instance that is gone nobody could measure it then.
            if entry.state == RecordingState::Interrupted && entry.instance == instance {
                measure(&folder, entry);
            }
            is_other |= before != *entry;
        }
        let store = Self::view(folder, entries, saved.wishes, instance, beside);
        if is_other {
            store.write(&mut store.lock());
        }
        store
    }

    /// The same, to look at what another instance records.
    pub fn following(folder: PathBuf, saved: SavedIndex, instance: Option<String>) -> Self {
        let beside = Beside::nowhere();
        Self::view(folder, saved.entries, saved.wishes, instance, beside)
    }

    fn view(
        folder: PathBuf,
        entries: Vec<Recording>,
        wishes: Wishes,
        instance: Option<String>,
        beside: Beside,
    ) -> Self {
        Self(Arc::new(Inner {
            folder,
            instance,
            beside,
            entries: Mutex::new(entries),
            wishes: Mutex::new(wishes),
            ended: Notify::new(),
        }))
    }

    /// Takes the index that somebody else has saved in the place of this one.
    pub fn follow(&self, saved: SavedIndex) {
        *self.lock() = saved.entries;
        *self.lock_wishes() = saved.wishes;
    }

    /// What was asked for over the API.
    pub fn wishes(&self) -> Wishes {
        self.lock_wishes().clone()
    }

    /// Saves what is asked for now, and then has `done` follow it, one after the other.
    ///
    /// # Errors
    /// There is no room for it; it is as it was then.
    pub(super) fn wish<T>(
        &self,
        change: impl FnOnce(&mut Wishes),
        done: impl FnOnce(&Wishes) -> T,
    ) -> Result<T, ApiError> {
        let mut wishes = self.lock_wishes();
        let mut next = wishes.clone();
        change(&mut next);
        if next != *wishes {
            self.0.beside.put(WISHES, Some(next.document()?))?;
            *wishes = next;
        }
        Ok(done(&wishes))
    }

    /// A recording that was begun by hand and given up is not begun again by itself.
    pub(in crate::control) fn forget_failed(&self) {
        let forget = |wishes: &mut Wishes| {
            wishes.recording.take_if(|wish| wish.asked.is_some());
        };
        if let Err(error) = self.wish(forget, |_| ()) {
            tracing::warn!(%error, "that the recording failed is not saved");
        }
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Every recording, the newest first: what the index knows and has files, here or with another instance, then what else lies in the
    /// folder.
    pub fn list(&self) -> Vec<Recording> {
        let mut list = self.lock().clone();
        for entry in &mut list {
            if self.is_here(entry) {
                entry.instance = None;
            }
            if entry.state == RecordingState::Recording && entry.instance.is_none() {
                measure(&self.0.folder, entry);
            }
        }
        let is_there = |entry: &Recording| {
            let mut files = entry.files.iter();
            files.any(|file| self.0.folder.join(&file.name).is_file())
        };
        list.retain(|entry| {
            entry.instance.is_some() || entry.state == RecordingState::Recording || is_there(entry)
        });
        let here = list.iter().filter(|entry| entry.instance.is_none());
        let known: HashSet<String> = here
            .flat_map(|entry| entry.files.iter().map(|file| file.name.clone()))
            .collect();
        let ids: HashSet<String> = list.iter().map(|entry| entry.id.clone()).collect();
        list.extend(self.found(&known, &ids));
        list.sort_by(|a, b| b.started_at.cmp(&a.started_at).then(a.id.cmp(&b.id)));
        list
    }

    /// Whether a recording's files are in this folder: this instance wrote them, or they lie there as they were written, as in a folder
    /// that several share.
    fn is_here(&self, entry: &Recording) -> bool {
        let is_whole = |file: &RecordedFile| {
            let facts = fs::metadata(self.0.folder.join(&file.name));
            facts.is_ok_and(|facts| facts.is_file() && facts.len() == file.bytes)
        };
        entry.instance == self.0.instance
            || entry.instance.is_none()
            || (entry.bytes > 0 && entry.files.iter().all(is_whole))
    }

    /// Files that no recording has.
    fn found(&self, known: &HashSet<String>, ids: &HashSet<String>) -> Vec<Recording> {
        let Ok(entries) = fs::read_dir(&self.0.folder) else {
            return Vec::new();
        };
        let files = entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let container = ContainerName::of_file(&name)?;
            let facts = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            if known.contains(&name) || name.starts_with('.') {
                return None;
            }
            let written = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            let stem = name
                .rsplit_once('.')
                .map_or(name.as_str(), |(stem, _)| stem);
            // The whole name where a recording has the stem.
            let id = if ids.contains(stem) {
                name.as_str()
            } else {
                stem
            };
            Some(Recording {
                id: id.to_owned(),
                state: RecordingState::Found,
                container,
                rendition: None,
                codecs: Vec::new(),
                started_at: written.as_millis() as u64,
                seconds: None,
                bytes: facts.len(),
                markers: Vec::new(),
                output: None,
                error: None,
                instance: None,
                first_s: None,
                asked_s: 0.0,
                files: vec![RecordedFile {
                    bytes: facts.len(),
                    name,
                    seconds: None,
                }],
            })
        });
        files.take(LISTED_MAX).collect()
    }

    /// A recording.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, id: &str) -> Result<Recording, ApiError> {
        let list = self.list();
        let found = list.iter().find(|entry| entry.id == id).cloned();
        found.ok_or_else(|| {
            ApiError::not_found("recording", id, list.iter().map(|entry| entry.id.as_str()))
        })
    }

    /// A path for a recording that has neither the file nor the name of another: `stem.extension`, or with a number where it is taken.
    pub fn free_path(&self, stem: &str, extension: &str) -> PathBuf {
        let entries = self.lock();
        let is_taken = |name: &str| {
            // The first of several files has a number of its own.
            let files = [
                format!("{name}.{extension}"),
                format!("{name}-0001.{extension}"),
            ];
            entries.iter().any(|entry| entry.id == name)
                || files.iter().any(|file| self.0.folder.join(file).exists())
        };
        let mut name = stem.to_owned();
        let mut number = 1;
        while is_taken(&name) {
            number += 1;
            name = format!("{stem}-{number}");
        }
        self.0.folder.join(format!("{name}.{extension}"))
    }

    /// Notes that one begins; gives what is known of it. Its files are noted as they begin.
    pub fn begin(&self, begun: &Begun) -> Recording {
        let name = file_name(&begun.path);
        let stem = name
            .rsplit_once('.')
            .map_or(name.as_str(), |(stem, _)| stem);
        let mut entries = self.lock();
        let entry = Recording {
            id: stem.to_owned(),
            state: RecordingState::Recording,
            files: Vec::new(),
            container: begun.container,
            rendition: Some(begun.rendition.clone()),
            codecs: begun.codecs.clone(),
            started_at: now_ms(),
            seconds: Some(0.0),
            bytes: 0,
            markers: Vec::new(),
            output: Some(begun.output.clone()),
            error: None,
            instance: self.0.instance.clone(),
            first_s: None,
            asked_s: begun.asked_s,
        };
        entries.push(entry.clone());
        self.write(&mut entries);
        self.shown(entry)
    }

    /// The recording that an output writes now.
    pub fn of_output(&self, output: &str) -> Option<Recording> {
        let entries = self.lock();
        let found = entries.iter().rev().find(|entry| writes(entry, output));
        found.cloned().map(|entry| self.shown(entry))
    }

    /// A recording as this instance tells of it, which writes it.
    fn shown(&self, mut entry: Recording) -> Recording {
        if entry.instance == self.0.instance {
            entry.instance = None;
        }
        entry
    }

    /// Notes how far an output's recording has come; it is `lag_s` seconds behind the encoder. In memory alone, as it comes every second.
    pub fn measured(&self, output: &str, clock: &StreamClock, lag_s: f64) {
        let mut entries = self.lock();
        if let Some(entry) = entries.iter_mut().rev().find(|entry| writes(entry, output)) {
            // It begins at the first keyframe after it was asked for.
            let mut keyframes = clock.keyframes_s.iter().copied();
            let first_s = keyframes.find(|at| *at > entry.asked_s);
            entry.first_s = entry.first_s.or(first_s);
            if let Some(first_s) = entry.first_s {
                let seconds = (clock.newest_s - lag_s - first_s).max(0.0);
                let seconds = (seconds * 1000.0).round() / 1000.0;
                entry.seconds = Some(entry.seconds.unwrap_or(0.0).max(seconds));
            }
        }
    }

    /// Notes that an output writes a further file.
    pub fn file_begun(&self, output: &str, path: &Path) {
        let name = file_name(path);
        self.change(output, |entry| {
            if entry.files.iter().all(|file| file.name != name) {
                entry.files.push(RecordedFile {
                    name: name.clone(),
                    ..RecordedFile::default()
                });
            }
        });
    }

    /// Notes the length of a file that has ended.
    pub fn file_ended(&self, output: &str, path: &Path, seconds: f64) {
        self.file_begun(output, path);
        let name = file_name(path);
        self.change(output, |entry| {
            if let Some(file) = entry.files.iter_mut().find(|file| file.name == name) {
                file.seconds = Some((seconds * 1000.0).round() / 1000.0);
            }
        });
    }

    /// Notes that an output's recording has ended; gives what it came to.
    pub fn end(
        &self,
        output: &str,
        state: RecordingState,
        error: Option<&str>,
    ) -> Option<Recording> {
        // Looked at before: who holds the lock does not wait for the disk.
        let mut measured = self.of_output(output)?;
        measure(&self.0.folder, &mut measured);
        let ended = self.change(output, |entry| {
            entry.state = state;
            entry.error = error.map(str::to_owned);
            let lengths: Option<Vec<f64>> = entry.files.iter().map(|file| file.seconds).collect();
            if let Some(lengths) = lengths.filter(|lengths| !lengths.is_empty()) {
                let seconds: f64 = lengths.iter().sum();
                entry.seconds = Some((seconds * 1000.0).round() / 1000.0);
            }
            for (file, measured) in entry.files.iter_mut().zip(&measured.files) {
                file.bytes = measured.bytes;
            }
            entry.bytes = entry.files.iter().map(|file| file.bytes).sum();
        });
        if let Some(entry) = &ended {
            self.write_chapters(entry);
        }
        self.0.ended.notify_waiters();
        ended
    }

    /// Notes that all have ended: the stream was stopped. Gives them.
    pub fn end_all(&self) -> Vec<Recording> {
        let outputs: Vec<String> = {
            let entries = self.lock();
            let running = entries
                .iter()
                .filter(|entry| entry.state == RecordingState::Recording);
            running.filter_map(|entry| entry.output.clone()).collect()
        };
        let ended = outputs.iter();
        ended
            .filter_map(|output| self.end(output, RecordingState::Finished, None))
            .collect()
    }

    /// Returns once an output writes no recording any more.
    pub async fn until_ended(&self, output: &str) {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.of_output(output).is_none() {
                return;
            }
            ended.await;
        }
    }

    /// Marks a moment of the recording that an output writes.
    ///
    /// # Errors
    /// It has as many markers as it may have.
    pub fn mark(
        &self,
        output: &str,
        tick: u64,
        now_s: f64,
        label: &str,
    ) -> Result<(Recording, Marker), ApiError> {
        let mut entries = self.lock();
        let entry = entries
            .iter_mut()
            .rev()
            .find(|entry| writes(entry, output))
            .ok_or_else(|| ApiError::conflict("nothing is recorded now"))?;
        if entry.markers.len() >= MARKERS_MAX {
            let message = format!("the recording has {MARKERS_MAX} markers, which is the most");
            return Err(ApiError::conflict(message));
        }
        // Before its first frame, a moment is its beginning.
        let at = entry
            .first_s
            .map_or(0.0, |first_s| (now_s - first_s).max(0.0));
        let marker = Marker {
            at: (at * 1000.0).round() / 1000.0,
            tick,
            label: label.to_owned(),
        };
        entry.markers.push(marker.clone());
        let entry = entry.clone();
        self.write(&mut entries);
        drop(entries);
        self.write_chapters(&entry);
        Ok((self.shown(entry), marker))
    }

    /// Deletes a recording with its files. One whose files another instance has is only taken from the index, where `forgets` says so.
    ///
    /// # Errors
    /// There is none of this name, it is being written, another instance has its files, or the disk's.
    pub fn delete(&self, id: &str, forgets: bool) -> Result<(), ApiError> {
        let recording = self.get(id)?;
        if recording.state == RecordingState::Recording {
            let message = format!("the recording `{id}` is being written; stop it first");
            return Err(ApiError::conflict(message));
        }
        if let Some(instance) = &recording.instance {
            if !forgets {
                let message = format!(
                    "the files of the recording `{id}` lie with the instance `{instance}`, which alone can delete them; `forget=true` takes it from the list and leaves them there"
                );
                return Err(ApiError::conflict(message).with("instance", instance.as_str()));
            }
        } else {
            for file in &recording.files {
                remove(&self.0.folder.join(&file.name))?;
            }
            if !recording.markers.is_empty() {
                remove(&self.chapters(&recording))?;
            }
        }
        let mut entries = self.lock();
        entries.retain(|entry| entry.id != id);
        self.write(&mut entries);
        Ok(())
    }

    fn change(&self, output: &str, change: impl FnOnce(&mut Recording)) -> Option<Recording> {
        let mut entries = self.lock();
        let entry = entries
            .iter_mut()
            .rev()
            .find(|entry| writes(entry, output))?;
        change(entry);
        let entry = entry.clone();
        self.write(&mut entries);
        Some(self.shown(entry))
    }

    fn chapters(&self, recording: &Recording) -> PathBuf {
        let first = recording.files.first();
        let name = first.map_or(recording.id.as_str(), |file| file.name.as_str());
        self.0.folder.join(Path::new(name).with_extension("vtt"))
    }

    fn write_chapters(&self, recording: &Recording) {
        if recording.markers.is_empty() {
            return;
        }
        let ended = recording.state != RecordingState::Recording;
        let seconds = recording.seconds.filter(|_| ended);
        let text = chapters::web_vtt(&recording.markers, seconds);
        if let Err(error) = write_whole(&self.chapters(recording), text.as_bytes()) {
            tracing::warn!(recording = recording.id, %error, "the chapters cannot be written");
        }
    }

    /// Hands the index over as it is now; under its lock, so that it is saved in order. The files are what counts: where there is no
    /// room, the oldest leave the index, and their files are found all the same.
    fn write(&self, entries: &mut Vec<Recording>) {
        let put = document(entries).and_then(|bytes| self.0.beside.put(DOCUMENT, Some(bytes)));
        if let Err(error) = put {
            tracing::warn!(%error, "the index of recordings is not saved");
        }
    }

    fn lock_wishes(&self) -> MutexGuard<'_, Wishes> {
        self.0.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Recording>> {
        self.0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn writes(entry: &Recording, output: &str) -> bool {
    entry.state == RecordingState::Recording && entry.output.as_deref() == Some(output)
}

/// Takes the sizes from the files.
fn measure(folder: &Path, entry: &mut Recording) {
    for file in &mut entry.files {
        file.bytes = fs::metadata(folder.join(&file.name)).map_or(0, |facts| facts.len());
    }
    entry.bytes = entry.files.iter().map(|file| file.bytes).sum();
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Deletes a file; one that is not there is gone already.
fn remove(path: &Path) -> Result<(), ApiError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a recording cannot be deleted");
            let message = "the recording cannot be deleted";
            Err(ApiError::new(ErrorCode::Unavailable, message))
        }
    }
}
