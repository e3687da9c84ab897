//! What stands beside the show when a program begins to lead, from the documents and from files of earlier releases.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::beside::Beside;
use super::{Keeper, aside};
use crate::config::Settings;
use crate::control::kept_scenes::{KeptScenes, Synced};
use crate::control::keys::{self, KeyStore, SavedKeys};
use crate::control::library::Library;
use crate::control::recordings::{self, SavedIndex};
use crate::store::Saved;

/// Who looks at what is saved.
#[derive(Clone, Copy, Debug)]
pub struct Stand<'a> {
    /// Where the store is, without a password.
    pub place: &'a str,
    /// The name of this instance, where several share the store.
    pub instance: Option<&'a str>,
    /// Whether this instance leads, and so writes what is saved.
    pub leads: bool,
}

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
        saved: &Saved,
        stand: Stand<'_>,
        settings: &Settings,
        library: &Library,
        first: &str,
    ) -> anyhow::Result<Self> {
        let documents = &saved.documents;
        let unreadable = |what: String| {
            anyhow::anyhow!(
                "{what}: {} was left as it is; take an export in with `stream-manager state import FILE --replace`",
                stand.place
            )
        };
        let keys = SavedKeys::of(documents).map_err(unreadable)?;
        let index = SavedIndex::of(documents).map_err(unreadable)?;
        let mut found = Self {
            keys: SavedKeys::default(),
            keys_are_new: false,
            recordings: index,
            scenes: Synced::default(),
            old_files: Vec::new(),
            instance: stand.instance.map(str::to_owned),
            folder: settings.recordings_dir(),
        };
        if stand.leads {
            found.take_old_files(keys, &settings.data_dir)?;
        } else {
            found.keys = keys.unwrap_or_default();
        }
        let open = || {
            let place = match stand.instance {
                Some(_) => stand.place,
                None => "embedded",
            };
            let is_shared = stand.instance.is_some();
            KeptScenes::open(&settings.data_dir, library.folder(), place, is_shared)
        };
        found.scenes = match stand.leads {
            true => library.keep(open()).sync(library, documents, first),
            false => library.kept_or(open).mirror(library, documents, first),
        };
        Ok(found)
    }

    /// Takes over what files of earlier releases hold. `saved` are the keys of the documents.
    fn take_old_files(&mut self, saved: Option<SavedKeys>, data_dir: &Path) -> anyhow::Result<()> {
        self.old_files = old_files(data_dir);
        let file = data_dir.join(keys::OLD_FILE);
        let old = SavedKeys::of_file(&file)?;
        if let (Some(saved), Some(old)) = (&saved, &old)
            && !saved.has_all_of(old)
        {
            self.old_files.retain(|path| *path != file);
            let file = file.display();
            tracing::warn!(%file, "the saved state has keys of its own; those of the file are not taken, and it is left where it is");
        }
        self.keys_are_new = saved.is_none() && old.is_some();
        self.keys = saved.or(old).unwrap_or_default();
        let file = data_dir.join(recordings::OLD_FILE);
        // One that was taken over already says what has been deleted since.
        if !aside(&file).exists() {
            self.recordings.take_file(&file, self.instance.as_deref())?;
        }
        Ok(())
    }

    /// Keys and recordings to look at, while another instance leads.
    pub(super) fn look(&self) -> (KeyStore, recordings::Store) {
        let (folder, index) = (self.folder.clone(), self.recordings.clone());
        let recordings = recordings::Store::following(folder, index, self.instance.clone());
        (
            KeyStore::new(self.keys.clone(), Beside::nowhere()),
            recordings,
        )
    }

    /// Has those show what the other instance has saved since.
    pub(super) fn show(&self, keys: &KeyStore, recordings: &recordings::Store) {
        keys.follow(self.keys.clone());
        recordings.follow(self.recordings.clone());
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
