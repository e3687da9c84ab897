//! What stands beside the show when a program begins to lead, from the documents and from files of earlier releases.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::beside::Beside;
use super::open::Opened;
use super::{Keeper, aside};
use crate::config::Settings;
use crate::control::kept_scenes::{KeptScenes, Synced};
use crate::control::keys::{self, KeyStore, SavedKeys};
use crate::control::library::Library;
use crate::control::recordings::{self, SavedIndex};

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    keys: SavedKeys,
    /// Whether the keys came from the file of an earlier release.
    keys_are_new: bool,
    recordings: SavedIndex,
    pub(super) scenes: Synced,
    /// Files of an earlier release, which are not read any more once the state has what they held.
    pub(super) old_files: Vec<PathBuf>,
    instance: Option<String>,
    folder: PathBuf,
}

impl Found {
    /// Looks, and brings the folder of scenes and the documents together. `first` is the scene that the program is started with.
    pub(super) fn new(
        opened: &Opened,
        settings: &Settings,
        library: &Library,
        first: &str,
    ) -> anyhow::Result<Self> {
        let documents = &opened.saved.documents;
        let unreadable = |what: String| {
            anyhow::anyhow!(
                "{what}: {} was left as it is; take an export in with `stream-manager state import FILE --replace`",
                opened.place
            )
        };
        let saved = SavedKeys::of(documents).map_err(unreadable)?;
        let mut index = SavedIndex::of(documents).map_err(unreadable)?;
        let file = settings.data_dir.join(keys::OLD_FILE);
        let old = SavedKeys::of_file(&file)?;
        let mut old_files = old_files(&settings.data_dir);
        if let (Some(saved), Some(old)) = (&saved, &old)
            && !saved.has_all_of(old)
        {
            old_files.retain(|path| *path != file);
            let file = file.display();
            tracing::warn!(%file, "the saved state has keys of its own; those of the file are not taken, and it is left where it is");
        }
        let keys_are_new = saved.is_none() && old.is_some();
        let file = settings.data_dir.join(recordings::OLD_FILE);
        // One that was taken over already says what has been deleted since.
        if !aside(&file).exists() {
            index.take_file(&file, opened.instance.as_deref())?;
        }
        let is_shared = opened.lease.is_some();
        let place = if is_shared {
            &*opened.place
        } else {
            "embedded"
        };
        let kept = KeptScenes::open(&settings.data_dir, library.folder(), place, is_shared);
        let scenes = kept.sync(library, documents, first);
        library.keep(kept);
        Ok(Self {
            keys: saved.or(old).unwrap_or_default(),
            keys_are_new,
            recordings: index,
            scenes,
            old_files,
            instance: opened.instance.clone(),
            folder: settings.recordings_dir(),
        })
    }
}

/// Files of earlier releases that the documents have the place of, as far as they are there.
fn old_files(data_dir: &Path) -> Vec<PathBuf> {
    ["outputs.json", keys::OLD_FILE, recordings::OLD_FILE]
        .map(|name| data_dir.join(name))
        .into_iter()
        .filter(|path| path.exists() && !aside(path).exists())
        .collect()
}

impl Keeper {
    /// Opens what stands beside the show; whatever changes of it is saved from here on.
    ///
    /// # Errors
    /// What was taken over has no room in the store.
    pub(super) fn open_found(
        &self,
        found: &Found,
        library: &Library,
    ) -> anyhow::Result<(KeyStore, recordings::Store)> {
        let no_room = || "what stands beside the show cannot be saved";
        let beside = Beside::store(self.saving.0.persister.clone());
        if found.keys_are_new {
            let document = found.keys.document().with_context(no_room)?;
            beside
                .put(keys::DOCUMENT, Some(document))
                .with_context(no_room)?;
        }
        library
            .hand_to(&beside, &found.scenes)
            .with_context(no_room)?;
        let keys = KeyStore::new(found.keys.clone(), beside.clone());
        let recordings = recordings::Store::new(
            found.folder.clone(),
            found.recordings.clone(),
            found.instance.clone(),
            beside,
        );
        Ok((keys, recordings))
    }
}
