//! The scenes that can come on air: the scene files of one folder, read, checked, written and listed. Everything here waits for
//! the disk, and is called where that is allowed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use components::layer::LayerId;
use components::scene::SceneSpec;
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use systems::EngineSettings;
use systems::assets::{Picture, PictureError};

use super::authored;
use super::error::{ApiError, ErrorCode};
use super::keep::Beside;
use super::kept_scenes::{KeptScenes, Synced};
use super::plan::{Prepared, ReadScene, WantedScene};
use super::schema;
use super::show::{Staged, fingerprint};
use crate::prepare::{self, Assets, Files};
use crate::scene::{Around, LoadOptions, LoadedScene, load_inner, load_scene, to_json};

/// The most scenes that are listed.
const LISTED_MAX: usize = 1000;

/// A folder of scene files.
#[derive(Clone, Debug)]
pub struct Library {
    folder: PathBuf,
    assets: Assets,
    /// Where the pictures of the scene on air are, for those that data asks for.
    on_air: Arc<RwLock<Arc<Files>>>,
    /// What was last written under each name: SHA-256 of the text.
    written: Arc<Mutex<BTreeMap<String, [u8; 32]>>>,
    /// What saves the scenes beside their files; `None` where nothing does.
    kept: Arc<RwLock<Option<KeptScenes>>>,
}

/// A scene in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SceneEntry {
    /// Its name: that of its file without `.json`.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// Milliseconds since 1970 (UTC) at which the file was written.
    pub modified_at: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Library {
    /// The scenes of `folder`, whose uploaded files are among `assets`.
    pub fn new(folder: PathBuf, assets: impl Into<Assets>) -> Self {
        let assets = assets.into();
        let on_air = Files::new(folder.clone(), BTreeMap::new(), assets.clone());
        Self {
            folder,
            assets,
            on_air: Arc::new(RwLock::new(Arc::new(on_air))),
            written: Arc::default(),
            kept: Arc::default(),
        }
    }

    /// Has scenes saved beside their files from here on, once [`Library::hand_to`] says where.
    pub fn keep(&self, kept: KeptScenes) -> KeptScenes {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Some(kept.clone());
        kept
    }

    /// What saves the scenes beside their files, or what `open` gives where nothing does yet.
    pub fn kept_or(&self, open: impl FnOnce() -> KeptScenes) -> KeptScenes {
        self.kept().unwrap_or_else(|| self.keep(open()))
    }

    /// What saves the scenes beside their files.
    fn kept(&self) -> Option<KeptScenes> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    /// Hands what is saved from here on to `beside`, and what was found to have been written to by somebody else.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn hand_to(&self, beside: &Beside, found: &Synced) -> Result<(), ApiError> {
        let Some(kept) = self.kept() else {
            return Ok(());
        };
        kept.hand_to(beside.clone());
        for (name, text) in &found.puts {
            beside.put(name, text.clone())?;
        }
        kept.note_puts(beside, &found.puts);
        Ok(())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The uploaded assets, and what is kept of files.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Notes which scene is on air, or is sent there.
    pub fn follow(&self, program: &Staged) {
        let files = Files::of_scene(&program.spec, program.folder.clone(), self.assets.clone());
        *self.on_air.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
    }

    /// Reads a picture of the scene on air.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn picture_on_air(&self, src: &str) -> Result<Picture, PictureError> {
        self.files_on_air().picture(src)
    }

    /// Where the files of the scene on air are.
    pub fn files_on_air(&self) -> Arc<Files> {
        let files = self.on_air.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&files)
    }

    /// Reads pictures of a scene.
    ///
    /// # Errors
    /// The first that cannot be shown.
    pub fn pictures(
        &self,
        scene: &Staged,
        words: &[Arc<str>],
    ) -> Result<Vec<(Arc<str>, Picture)>, ApiError> {
        let files = Files::of_scene(&scene.spec, scene.folder.clone(), self.assets.clone());
        words
            .iter()
            .map(|src| match files.picture(src) {
                Ok(picture) => Ok((Arc::clone(src), picture)),
                Err(error) => Err(ApiError::invalid(format!(
                    "the picture {} cannot be shown: {error}",
                    crate::scene::words::name(src)
                ))),
            })
            .collect()
    }

    /// The file of a sound that a request about a scene names.
    ///
    /// # Errors
    /// There is none, or it is larger than `bytes_max`.
    pub fn sound_file(&self, scene: &Staged, src: &str, bytes_max: u64) -> Result<PathBuf, String> {
        let files = Files::of_scene(&scene.spec, scene.folder.clone(), self.assets.clone());
        let path = files.find(src)?;
        match std::fs::metadata(&path) {
            Ok(facts) if facts.len() <= bytes_max => Ok(path),
            Ok(facts) => Err(format!(
                "it has {} bytes; at most {bytes_max} are read",
                facts.len()
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads scenes that are to stand in the scene on air, and their fonts.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn inner_scenes(
        &self,
        scene: &Staged,
        wanted: &[WantedScene],
        max_layers: usize,
    ) -> Result<Vec<(String, ReadScene)>, ApiError> {
        let options = self.options(max_layers);
        let read = |wanted: &WantedScene| {
            let around = Around {
                outer: (*scene.spec.data).clone(),
                given: wanted.given.clone(),
            };
            let unusable = |message: String| authored::unusable(wanted.at.clone(), message);
            let spec = load_inner(&wanted.id, &scene.id, &scene.folder, &around, &options)
                .map_err(unusable)?;
            let files = Files::of_scene(&spec, scene.folder.clone(), self.assets.clone());
            let fonts =
                prepare::fonts_of(&spec, &files).map_err(|error| unusable(error.to_string()))?;
            let spec = Arc::new(spec);
            Ok((wanted.id.clone(), ReadScene { spec, fonts }))
        };
        wanted.iter().map(read).collect()
    }

    /// Whether a name can be that of a scene.
    ///
    /// # Errors
    /// Says what a name has.
    pub fn check_id(id: &str) -> Result<(), ApiError> {
        // A schema lies beside the scenes that it is of.
        if LayerId::from(id).is_well_formed() && !id.ends_with(".schema") {
            Ok(())
        } else {
            Err(ApiError::invalid(
                "a scene's name has 1 to 128 letters from a to z, digits, `.`, `_` and `-`; it does not begin with a dot or end with `.schema`",
            ))
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// The file of a scene that is there.
    fn find(&self, id: &str) -> Result<PathBuf, ApiError> {
        let path = self.path(id);
        if Self::check_id(id).is_ok() && path.is_file() {
            return Ok(path);
        }
        let known = self.list();
        let known = known.iter().map(|scene| scene.id.as_str());
        Err(ApiError::not_found("scene", id, known))
    }

    /// A scene of the list; `None` where there is none of this name.
    pub fn entry(&self, id: &str) -> Option<SceneEntry> {
        Self::check_id(id).ok()?;
        entry_of(id, &fs::metadata(self.path(id)).ok()?)
    }

    /// Every scene, by name; at most [`LISTED_MAX`].
    pub fn list(&self) -> Vec<SceneEntry> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut scenes: Vec<SceneEntry> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let id = name.strip_suffix(".json")?;
                Self::check_id(id).ok()?;
                entry_of(id, &entry.metadata().ok()?)
            })
            .take(LISTED_MAX)
            .collect();
        scenes.sort_by(|a, b| a.id.cmp(&b.id));
        scenes
    }

    /// Reads and checks a scene.
    ///
    /// # Errors
    /// There is no such scene, or every problem of its file.
    pub fn load(&self, id: &str, max_layers: usize) -> Result<LoadedScene, ApiError> {
        let path = self.find(id)?;
        load_scene(&path, &self.options(max_layers)).map_err(|errors| {
            let problems: Vec<serde_json::Value> = errors
                .problems()
                .iter()
                .take(20)
                .map(|problem| {
                    serde_json::json!({
                        "path": problem.path, "message": problem.message,
                        "line": problem.line, "column": problem.column,
                    })
                })
                .collect();
            ApiError::conflict(format!("the scene `{id}` cannot be used: {errors}"))
                .with("problems", problems)
        })
    }

    /// How scenes of the library are read.
    pub fn options(&self, max_layers: usize) -> LoadOptions {
        LoadOptions {
            max_layers,
            assets: Some(self.assets.folder().to_owned()),
            ..LoadOptions::default()
        }
    }

    /// Reads a scene and all its files, and draws its layers.
    ///
    /// # Errors
    /// As [`Library::load`], and the first file that cannot be used.
    pub fn prepare(
        &self,
        id: &str,
        max_layers: usize,
        engine: &EngineSettings,
    ) -> Result<Prepared, ApiError> {
        let scene = self.load(id, max_layers)?;
        // Whoever asks for it did not write it: it is what is there that does not serve.
        self.prepare_loaded(id, &scene, engine)
            .map_err(|error| ApiError::conflict(error.message))
    }

    /// As [`Library::prepare`], of a scene that was read.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn prepare_loaded(
        &self,
        id: &str,
        scene: &LoadedScene,
        engine: &EngineSettings,
    ) -> Result<Prepared, ApiError> {
        let mut bundle = prepare::bundle(scene, &self.assets)
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        prepare::draw_ahead(&mut bundle, engine);
        Ok(Prepared {
            staged: Staged {
                id: id.to_owned(),
                spec: Arc::new(scene.spec.clone()),
                folder: scene.folder.clone(),
                is_edited: false,
                file: fingerprint(&scene.spec),
            },
            bundle,
        })
    }

    /// Writes a scene so that it is there whole or not at all, also when the machine stops meanwhile.
    ///
    /// # Errors
    /// A bad name, or the disk's.
    pub fn write(&self, id: &str, scene: &SceneSpec) -> Result<(), ApiError> {
        Self::check_id(id)?;
        let path = self.path(id);
        let text = to_json(scene);
        let write = || {
            // Noted before: whoever watches the file may read it before this is done.
            self.note_written(id, &text);
            write_whole(&path, text.as_bytes()).map_err(|error| {
                self.written().remove(id);
                tracing::warn!(path = %path.display(), %error, "a scene cannot be written");
                ApiError::new(
                    ErrorCode::Unavailable,
                    format!("the scene `{id}` cannot be written: {}", error.kind()),
                )
            })
        };
        match self.kept() {
            Some(kept) => kept.write(id, &text, write),
            None => write(),
        }
    }

    /// Notes what is written to a scene's file, so that it is not taken for somebody else's.
    pub(super) fn note_written(&self, id: &str, text: &str) {
        self.written().insert(id.to_owned(), hash(text));
    }

    /// Whether a scene that was found in a file is the one that was written there last, and not somebody else's.
    pub fn is_own(&self, id: &str, found: &SceneSpec) -> bool {
        let mut written = self.written();
        let is_own = written.get(id) == Some(&hash(&to_json(found)));
        if !is_own {
            // Should the same be found again, somebody else has put it back.
            written.remove(id);
        }
        is_own
    }

    fn written(&self) -> MutexGuard<'_, BTreeMap<String, [u8; 32]>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes a scene's file.
    ///
    /// # Errors
    /// There is none, or the disk's.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        let path = self.find(id)?;
        let delete = || {
            fs::remove_file(path).map_err(|error| {
                ApiError::new(
                    ErrorCode::Unavailable,
                    format!("the scene `{id}` cannot be deleted: {}", error.kind()),
                )
            })
        };
        match self.kept() {
            Some(kept) => kept.delete(id, delete),
            None => delete(),
        }
    }
}

fn entry_of(id: &str, metadata: &fs::Metadata) -> Option<SceneEntry> {
    let modified = metadata.is_file().then(|| metadata.modified().ok())??;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    Some(SceneEntry {
        id: id.to_owned(),
        modified_at: since.as_millis() as u64,
        bytes: metadata.len(),
    })
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Writes a file beside its place, has it on the disk, and puts it there at once.
///
/// # Errors
/// The disk's.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_whole_by(path, |file| file.write_all(bytes))
}

/// The same of a file that is written bit by bit.
///
/// # Errors
/// The disk's, or those of `write`: then what was there is still there.
pub fn write_whole_by(
    path: &Path,
    write: impl FnOnce(&mut fs::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}
