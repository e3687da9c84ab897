//! Follows the file of the scene on air, and the files that it uses: what somebody writes there comes on air by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use components::scene::SceneSpec;
use tokio::runtime;
use tokio::time::{Instant, sleep_until};

use super::director::{Director, Terms, Work};
use super::library::Library;
use super::show::{Show, fingerprint};
use crate::scene::{LoadOptions, LoadedScene, SceneErrors, SceneWatcher, WatchError};

/// After a scene's file could not be read, the next try.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Watches scenes for the director. Cheap to copy.
#[derive(Clone)]
pub struct Reloads {
    director: Director,
    library: Library,
    runtime: runtime::Handle,
}

/// The name of a scene: that of its file without what follows the last dot.
pub fn scene_id(path: &Path) -> String {
    path.file_stem().map_or_else(
        || "scene".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

impl Reloads {
    /// Nothing is watched yet.
    pub fn new(director: Director, library: Library, runtime: runtime::Handle) -> Self {
        Self {
            director,
            library,
            runtime,
        }
    }

    /// Watches a scene until what is given back is dropped.
    ///
    /// # Errors
    /// The system gives no watch or no thread.
    pub fn watch(
        &self,
        scene: &LoadedScene,
        options: LoadOptions,
    ) -> Result<SceneWatcher, WatchError> {
        let id = scene_id(&scene.path);
        let this = self.clone();
        let mut last = (!scene.is_unread()).then(|| scene.clone());
        SceneWatcher::start(scene, options, move |loaded| {
            if let Ok(scene) = &loaded {
                let before = last.replace(scene.clone());
                if before.is_none() && this.is_edited_since(&id, &scene.spec) {
                    tracing::warn!(
                        scene = id,
                        "the scene's file and its files are there again; what was changed on air stays, and layers that lack a file show it once they are written again"
                    );
                    return;
                }
                let uses_others = before.is_none_or(|before| scene.uses_other_files(&before));
                if this.library.is_own(&id, &scene.spec) && !uses_others {
                    // It is on air already, perhaps with changes made since.
                    tracing::debug!(scene = id, "the scene's file is as it was saved");
                    return;
                }
            }
            this.reload(&id, loaded);
        })
    }

    /// From now on watches the scene that is on air, in the place of `watcher`'s; ends with the program.
    pub async fn follow(self, mut watcher: Option<SceneWatcher>) {
        let mut snapshots = self.director.snapshots();
        let mut watched = snapshots.borrow().show.program.id.clone();
        let mut next_try = Instant::now();
        loop {
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() {
                    return;
                },
                () = sleep_until(next_try), if watcher.is_none() => {}
            }
            let show = Arc::clone(&snapshots.borrow_and_update().show);
            let is_other = show.program.id != watched;
            if !is_other && (watcher.is_some() || Instant::now() < next_try) {
                continue;
            }
            watched.clone_from(&show.program.id);
            let (this, old) = (self.clone(), watcher.take());
            let changed = tokio::task::spawn_blocking(move || {
                // Its thread is waited for, which must not hold up a server.
                drop(old);
                this.watch_on_air(&show)
            });
            watcher = match changed.await {
                Ok(Ok(next)) => Some(next),
                Ok(Err(error)) => {
                    // It may be half written. Told once, and tried again until it can be read.
                    if is_other {
                        tracing::warn!(scene = watched, error, "the scene's file is not watched");
                    }
                    None
                }
                Err(_) => None,
            };
            next_try = Instant::now() + AGAIN_AFTER;
        }
    }

    /// Watches the scene on air, and brings there what was written to its file since it was read for the air, which nobody tells.
    fn watch_on_air(&self, show: &Show) -> Result<SceneWatcher, String> {
        let max_layers = show.config.max_layers;
        let program = &show.program;
        let scene = self
            .library
            .load(&program.id, max_layers)
            .map_err(|error| error.to_string())?;
        let watcher = self
            .watch(&scene, self.library.options(max_layers))
            .map_err(|error| error.to_string())?;
        // Of a scene that was changed on air it cannot be told.
        let is_newer = !program.is_edited && *program.spec != scene.spec;
        if is_newer && !self.library.is_own(&program.id, &scene.spec) {
            self.reload(&program.id, Ok(scene));
        }
        Ok(watcher)
    }

    /// Whether the scene on air was changed there since its file said this.
    fn is_edited_since(&self, id: &str, spec: &SceneSpec) -> bool {
        let program = self.director.snapshot().show.program.clone();
        program.id == id && program.is_edited && program.file == fingerprint(spec)
    }

    fn reload(&self, id: &str, loaded: Result<LoadedScene, SceneErrors>) {
        // Another scene may have come on air meanwhile; this one is read when it is asked for.
        let is_on_air = self.director.snapshot().show.program.id == id;
        let work = match loaded {
            Ok(_) if !is_on_air => Ok(Work::Forget(id.to_owned())),
            Ok(scene) => self
                .library
                .prepare_loaded(id, &scene, &self.director.engine_settings())
                .map(|prepared| Work::Reload(Arc::new(prepared)))
                .map_err(|error| error.to_string()),
            Err(errors) => Err(errors.plain()),
        };
        let outcome = work.and_then(|work| {
            self.runtime
                .block_on(self.director.ask(work, Terms::default()))
                .map_err(|error| error.to_string())
        });
        match outcome {
            Ok(outcome) => tracing::info!(
                scene = id,
                tick = outcome.tick,
                revision = outcome.revision,
                "the scene was reloaded"
            ),
            Err(reason) => {
                tracing::error!("the scene was not reloaded, nothing changed on air: {reason}");
            }
        }
    }
}
