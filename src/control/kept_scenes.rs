//! Scenes that were saved over the API, as documents beside the show: what brings them to the scene folders of other machines, and into an
//! export.
//!
//! `DATA_DIR/scenes.synced.json` has what file and document were when they were last the same. Where a file is still as it was then, the
//! document counts, and is written; where somebody has written to the file since, the file does, and becomes the document. Nothing is
//! written over or deleted without a copy of it in `DATA_DIR/scenes.replaced`. Everything here waits for the disk.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::keep::Beside;
use super::library::{Library, write_whole};
use crate::scene::{LoadOptions, scene_from_text, to_json};
use crate::store::archive::sha256;
use crate::store::{Documents, Puts};

/// What the names of the documents begin with.
pub const PREFIX: &str = "scenes/";
/// What was last the same, in DATA_DIR.
const RECORD_FILE: &str = "scenes.synced.json";
/// Copies of files that gave way to a document, in DATA_DIR: the newest of each name.
const REPLACED_FOLDER: &str = "scenes.replaced";
/// The largest file that is looked at, in bytes.
const FILE_BYTES_MAX: u64 = crate::store::DOCUMENT_BYTES_MAX as u64;
/// Folders of scenes that are remembered.
const FOLDERS_MAX: usize = 16;

/// Keeps the scenes of one folder. Cheap to copy.
#[derive(Clone, Debug)]
pub struct KeptScenes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data_dir: PathBuf,
    /// The folder of scenes, as the record has it.
    folder: String,
    /// Whether other machines have the same documents.
    is_shared: bool,
    record: Mutex<Record>,
    /// Held while a scene is written, so that file and document follow each other in one order. Only who writes scenes waits for it.
    writing: Mutex<()>,
    beside: Mutex<Beside>,
    /// The documents that were looked at last while another instance leads; `None` before the first time.
    seen: Mutex<Option<Documents>>,
}

/// What file and document were when they were last the same.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    /// Where the documents are.
    place: String,
    /// By folder and scene: SHA-256 of the text.
    folders: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a comparison came to.
#[derive(Default)]
pub struct Synced {
    /// The scenes whose files were written or deleted.
    pub files: BTreeSet<String>,
    /// Documents of files that somebody has written to.
    pub puts: Puts,
}

/// Scenes may hold stream keys.
impl std::fmt::Debug for Synced {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Synced")
            .field("files", &self.files)
            .field("puts", &self.puts.keys())
            .finish()
    }
}

/// What is to be done with a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Both are the same.
    Same,
    /// The document is written to the folder.
    Write,
    /// The file goes, as the document did.
    Remove,
    /// The file becomes the document.
    Put,
    /// The file is of nobody else's concern.
    Leave,
}

impl KeptScenes {
    /// The scenes of `folder`; `place` is the store that has the documents, and `is_shared` whether other machines use it.
    pub fn open(data_dir: &Path, folder: &Path, place: &str, is_shared: bool) -> Self {
        let absolute = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let mut record = Record::read(&data_dir.join(RECORD_FILE));
        if record.place != place {
            // What was the same as documents elsewhere says nothing of these.
            record = Record {
                place: place.to_owned(),
                ..Record::default()
            };
        }
        Self(Arc::new(Inner {
            data_dir: data_dir.to_owned(),
            folder: absolute.display().to_string(),
            is_shared,
            record: Mutex::new(record),
            writing: Mutex::default(),
            beside: Mutex::default(),
            seen: Mutex::default(),
        }))
    }

    /// Has what is saved from here on handed over.
    pub(super) fn hand_to(&self, beside: Beside) {
        *lock(&self.0.beside) = beside;
    }

    /// Writes a scene's file by `write`, and hands its text over.
    pub(super) fn write(
        &self,
        id: &str,
        text: &str,
        write: impl FnOnce() -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let _writing = lock(&self.0.writing);
        let (name, bytes) = (name(id), Bytes::copy_from_slice(text.as_bytes()));
        let beside = lock(&self.0.beside).clone();
        beside.check(&name, &bytes)?;
        write()?;
        beside.put(&name, Some(bytes))?;
        self.note_once_saved(&beside, id, Some(sha256(text.as_bytes())));
        Ok(())
    }

    /// Deletes a scene's file by `delete`, and its document.
    pub(super) fn delete(
        &self,
        id: &str,
        delete: impl FnOnce() -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let _writing = lock(&self.0.writing);
        delete()?;
        let beside = lock(&self.0.beside).clone();
        beside.put(&name(id), None)?;
        self.note_once_saved(&beside, id, None);
        Ok(())
    }

    /// Until it is saved, the record says what was the same before: a program that dies meanwhile finds a file that was written to since.
    fn note_once_saved(&self, beside: &Beside, id: &str, hash: Option<String>) {
        let (this, id) = (self.clone(), id.to_owned());
        beside.once_saved(move || {
            let mut record = lock(&this.0.record);
            record.note(&this.0.folder, &id, hash);
            this.write_record(&record);
        });
    }

    /// Brings folder and documents together. `documents` are all there are. `keep` is a scene whose file is never deleted.
    ///
    /// A file that cannot be read or written is said, and left as it is.
    pub fn sync(&self, library: &Library, documents: &Documents, keep: &str) -> Synced {
        let all = documents.iter();
        let all = all.map(|(name, text)| (Arc::clone(name), Some(text.clone())));
        self.follow(library, &all.collect(), true, keep)
    }

    /// The same while another instance leads, of what differs from the last time. That one alone can save what was written to a file here.
    pub fn mirror(&self, library: &Library, documents: &Documents, keep: &str) -> Synced {
        let scenes = documents
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX));
        let scenes: Documents = scenes
            .map(|(name, text)| (Arc::clone(name), text.clone()))
            .collect();
        let before = lock(&self.0.seen).replace(scenes.clone());
        let Some(before) = before else {
            return self.sync(library, documents, keep);
        };
        // A store that was emptied has not deleted anything.
        let gone = before
            .keys()
            .filter(|name| documents.contains_key("show") && !scenes.contains_key(*name));
        let mut changes: Puts = gone.map(|name| (Arc::clone(name), None)).collect();
        for (name, text) in scenes {
            let is_same = |known: &Bytes| {
                (known.as_ptr(), known.len()) == (text.as_ptr(), text.len()) || *known == text
            };
            if !before.get(&name).is_some_and(is_same) {
                changes.insert(name, Some(text));
            }
        }
        if changes.is_empty() {
            return Synced::default();
        }
        self.follow(library, &changes, false, keep)
    }

    /// The same of documents that have changed, or of all there are.
    fn follow(&self, library: &Library, changes: &Puts, is_whole: bool, keep: &str) -> Synced {
        let mut wanted: BTreeMap<String, Option<Bytes>> = changes
            .iter()
            .filter_map(|(name, text)| {
                let id = name.strip_prefix(PREFIX)?;
                Some((id.to_owned(), text.clone()))
            })
            .collect();
        // A store that was emptied has not deleted anything.
        if is_whole && self.0.is_shared && changes.contains_key("show") {
            for id in self.known() {
                wanted.entry(id).or_insert(None);
            }
        }
        self.take(library, wanted, keep)
    }

    fn take(
        &self,
        library: &Library,
        wanted: BTreeMap<String, Option<Bytes>>,
        keep: &str,
    ) -> Synced {
        let _writing = lock(&self.0.writing);
        let mut synced = Synced::default();
        let mut record = lock(&self.0.record).clone();
        let before = record.folders.clone();
        for (id, text) in wanted {
            if let Err(reason) = self.take_one(library, &mut record, &mut synced, (&id, text), keep)
            {
                tracing::warn!(
                    scene = id,
                    "a scene of the store is not in the folder: {reason}"
                );
            }
        }
        if record.folders != before {
            self.write_record(&record);
            *lock(&self.0.record) = record;
        }
        synced
    }

    fn take_one(
        &self,
        library: &Library,
        record: &mut Record,
        synced: &mut Synced,
        (id, document): (&str, Option<Bytes>),
        keep: &str,
    ) -> Result<(), String> {
        Library::check_id(id).map_err(|error| error.to_string())?;
        let path = library.folder().join(format!("{id}.json"));
        let file = read(&path)?;
        let hash = |bytes: &[u8]| Some(sha256(bytes));
        let (file_hash, document_hash) = (
            file.as_deref().and_then(hash),
            document.as_deref().and_then(hash),
        );
        let known = record.hash(&self.0.folder, id);
        if known.is_none() && !self.0.is_shared && record.is_of_another(&self.0.folder, id) {
            return Ok(());
        }
        let is_kept = id == keep || !self.0.is_shared;
        let step = step(file_hash.as_ref(), document_hash.as_ref(), known.as_ref());
        match (step, file, document) {
            (Step::Write, file, Some(text)) => {
                let spec = scene(id, &text)?;
                self.put_aside(id, file.as_deref())?;
                library.note_written(id, &to_json(&spec));
                write_whole(&path, &text).map_err(|error| error.to_string())?;
                tracing::info!(
                    scene = id,
                    "the scene was saved elsewhere, and is in the folder now"
                );
                synced.files.insert(id.to_owned());
                record.note(&self.0.folder, id, document_hash);
            }
            (Step::Remove, Some(file), _) if !is_kept => {
                self.put_aside(id, Some(&file))?;
                fs::remove_file(&path).map_err(|error| error.to_string())?;
                tracing::info!(
                    scene = id,
                    "the scene was deleted elsewhere; its file is gone"
                );
                synced.files.insert(id.to_owned());
                record.note(&self.0.folder, id, None);
            }
            (Step::Put, Some(file), _) => {
                scene(id, &file)?;
                tracing::info!(
                    scene = id,
                    "the scene's file was written to since it was saved; the file counts"
                );
                synced.puts.insert(name(id).into(), Some(file.into()));
            }
            (Step::Same, ..) => record.note(&self.0.folder, id, file_hash),
            _ => record.note(&self.0.folder, id, None),
        }
        Ok(())
    }

    /// Keeps a copy of a file that gives way.
    fn put_aside(&self, id: &str, file: Option<&[u8]>) -> Result<(), String> {
        let Some(file) = file else {
            return Ok(());
        };
        let folder = self.0.data_dir.join(REPLACED_FOLDER);
        fs::create_dir_all(&folder)
            .and_then(|()| write_whole(&folder.join(format!("{id}.json")), file))
            .map_err(|error| format!("its file cannot be put aside: {error}"))
    }

    /// Notes that what was handed over of files is saved.
    pub(super) fn note_puts(&self, beside: &Beside, puts: &Puts) {
        for (name, text) in puts {
            if let (Some(id), Some(text)) = (name.strip_prefix(PREFIX), text) {
                self.note_once_saved(beside, id, Some(sha256(text)));
            }
        }
    }

    fn known(&self) -> Vec<String> {
        let record = lock(&self.0.record);
        let scenes = record.folders.get(&self.0.folder);
        scenes.map_or_else(Vec::new, |scenes| scenes.keys().cloned().collect())
    }

    fn write_record(&self, record: &Record) {
        let path = self.0.data_dir.join(RECORD_FILE);
        let written = serde_json::to_vec_pretty(record)
            .map_err(std::io::Error::other)
            .and_then(|bytes| {
                fs::create_dir_all(&self.0.data_dir)?;
                write_whole(&path, &bytes)
            });
        if let Err(error) = written {
            // Without it a file counts as one that somebody has written to, which keeps it.
            tracing::warn!(path = %path.display(), %error, "it is not noted which scenes are saved");
        }
    }
}

impl Record {
    /// One that is not there or cannot be read says nothing.
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn hash(&self, folder: &str, id: &str) -> Option<String> {
        self.folders.get(folder)?.get(id).cloned()
    }

    /// Whether a scene was saved to another folder, of which the document is then.
    fn is_of_another(&self, folder: &str, id: &str) -> bool {
        let mut others = self.folders.iter().filter(|(name, _)| *name != folder);
        others.any(|(_, scenes)| scenes.contains_key(id))
    }

    fn note(&mut self, folder: &str, id: &str, hash: Option<String>) {
        match hash {
            Some(hash) => {
                while self.folders.len() >= FOLDERS_MAX && !self.folders.contains_key(folder) {
                    self.folders.pop_first();
                }
                let scenes = self.folders.entry(folder.to_owned()).or_default();
                scenes.insert(id.to_owned(), hash);
            }
            None => {
                if let Some(scenes) = self.folders.get_mut(folder) {
                    scenes.remove(id);
                }
            }
        }
    }
}

/// What is to be done where the texts are these, and were `known` when they were last the same.
fn step(file: Option<&String>, document: Option<&String>, known: Option<&String>) -> Step {
    match (file, document) {
        (None, None) => Step::Leave,
        (Some(file), Some(document)) if file == document => Step::Same,
        (None, Some(_)) => Step::Write,
        (Some(file), Some(_)) => match known {
            Some(known) if known != file => Step::Put,
            _ => Step::Write,
        },
        (Some(file), None) if known == Some(file) => Step::Remove,
        (Some(_), None) => Step::Leave,
    }
}

/// The scene of a text, whatever files it names.
fn scene(id: &str, text: &[u8]) -> Result<components::scene::SceneSpec, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
    let options = LoadOptions {
        max_layers: usize::MAX,
        ..LoadOptions::default()
    };
    scene_from_text(text, id, None, &options).map_err(|errors| errors.plain())
}

/// The text of a file; `None` where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::metadata(path) {
        Ok(facts) if !facts.is_file() => return Err("something else has its name".to_owned()),
        Ok(facts) if facts.len() > FILE_BYTES_MAX => {
            return Err(format!("its file has more than {FILE_BYTES_MAX} bytes"));
        }
        _ => {}
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn name(id: &str) -> String {
    format!("{PREFIX}{id}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
