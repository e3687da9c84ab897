//! The scene that the program is started with: as its file says, or as that said when it could last be read.
//!
//! It gives the outputs, the canvas and the rate that everything else is laid over, also where another scene is on air. So it is saved with
//! the show: a stream that goes on needs no file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use components::scene::SceneSpec;

use super::begin::Origin;
use super::documents::{self, ShowDocument};
use crate::control::scene_id;
use crate::scene::{LoadOptions, LoadedScene, SceneErrors, folder_of, load_scene, scene_from_text};
use crate::store::{DOCUMENT_BYTES_MAX, Documents};

/// The scene that the command line names, as far as its file can be read. Cheap to copy where it cannot.
#[derive(Clone, Debug)]
pub struct FirstScene {
    path: PathBuf,
    found: Result<LoadedScene, Arc<SceneErrors>>,
}

impl FirstScene {
    /// Reads its file. One that cannot be read is told of once it is known whether the program needs it.
    pub fn read(path: &Path, options: &LoadOptions) -> Self {
        Self {
            path: path.to_owned(),
            found: load_scene(path, options).map_err(Arc::new),
        }
    }

    /// The folder that it lies in, as far as there is one.
    pub fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    /// What is wrong with its file, if something is.
    pub fn errors(&self) -> Option<&SceneErrors> {
        self.found.as_ref().err().map(|errors| &**errors)
    }

    /// Its name.
    pub(super) fn id(&self) -> String {
        scene_id(&self.path)
    }

    /// The same by now, where somebody else may have written to its file. What was read before still counts where it cannot be read any
    /// more, unless the file is known to be another (`is_written`).
    pub(super) fn again(&self, options: &LoadOptions, is_written: bool) -> Self {
        let again = Self::read(&self.path, options);
        match again.found.is_err() && self.found.is_ok() && !is_written {
            true => self.clone(),
            false => again,
        }
    }

    /// What its file says.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn scene(&self) -> Result<&LoadedScene, &Arc<SceneErrors>> {
        self.found.as_ref()
    }

    /// Where its file is, with all links followed.
    pub(super) fn file(&self) -> Option<String> {
        Some(self.path.canonicalize().ok()?.display().to_string())
    }

    /// Whether a saved show is of this scene, for a program that begins so as this instance. A file of the same name is the same scene
    /// wherever it lies, unless the one of before is still there and says something else.
    pub(super) fn is_of(
        &self,
        show: &ShowDocument,
        origin: Origin,
        instance: Option<&str>,
    ) -> bool {
        let is_named = scene_id(Path::new(&show.started_with)) == self.id();
        // Paths of another machine say nothing here.
        let is_own = !show.is_imported && show.instance.as_deref() == instance;
        let before = show.file.as_deref().filter(|_| is_own);
        match origin {
            Origin::Fresh => false,
            Origin::TakeOver => is_named,
            Origin::Start => is_named && !before.is_some_and(|file| self.is_beside(file.as_ref())),
        }
    }

    /// Whether another file is there and says something else.
    fn is_beside(&self, other: &Path) -> bool {
        let Ok(other) = other.canonicalize() else {
            return false;
        };
        match self.path.canonicalize() {
            Ok(own) => own != other && !is_same_text(&own, &other),
            Err(_) => true,
        }
    }

    /// As its file said when a show was saved that goes on; `None` where that is not known.
    pub(super) fn of_documents(&self, documents: &Documents) -> Option<LoadedScene> {
        let text = std::str::from_utf8(documents.get(documents::FIRST)?).ok()?;
        let options = LoadOptions {
            max_layers: usize::MAX,
            check_files: false,
            text_bytes_max: usize::MAX,
            assets: None,
        };
        let spec = scene_from_text(text, &self.id(), None, &options).ok()?;
        let folder = self.folder().to_owned();
        Some(LoadedScene::new(spec, folder, self.path.clone()))
    }
}

fn is_same_text(one: &Path, other: &Path) -> bool {
    let text = |path| {
        let facts = fs::metadata(path).ok()?;
        let is_looked_at = facts.is_file() && facts.len() <= DOCUMENT_BYTES_MAX as u64;
        is_looked_at.then(|| fs::read(path).ok())?
    };
    text(one).is_some_and(|text_of_one| text(other) == Some(text_of_one))
}

/// The document of a scene; `None` where it is larger than a store takes.
pub(super) fn document(spec: &SceneSpec) -> Option<Bytes> {
    let bytes = serde_json::to_vec(spec).ok()?;
    (bytes.len() <= DOCUMENT_BYTES_MAX).then(|| Bytes::from(bytes))
}
