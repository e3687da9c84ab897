//! Makes a loaded scene ready for the air: reads and decodes its pictures and fonts, and draws its layers once, on a thread that
//! nobody waits for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use components::scene::{FrameRate, SceneSpec};
use components::source::Source;
use systems::assets::{Arrival, PictureDoor, PictureError, decode_picture};
use systems::data::SceneData;
use systems::scene::SceneBundle;
use systems::{Engine, EngineSettings};

use crate::scene::LoadedScene;
use crate::scene::files::find_inside;

/// The largest picture file, in bytes.
const PICTURE_FILE_MAX: u64 = 64 << 20;
/// The largest font file, in bytes.
const FONT_FILE_MAX: u64 = 64 << 20;

/// Why a scene's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A picture cannot be shown.
    #[error("picture `{src}`: {reason}")]
    Picture {
        /// The words of its `src`.
        src: String,
        /// What is wrong.
        reason: String,
    },
    /// A font cannot be read.
    #[error("font `{path}`: {reason}")]
    Font {
        /// The path in the scene.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// Where a scene's files are, and by which names.
#[derive(Clone, Debug)]
struct Files {
    folder: PathBuf,
    assets: BTreeMap<String, String>,
}

impl Files {
    fn of(scene: &LoadedScene) -> Self {
        let assets = scene
            .spec
            .assets
            .iter()
            .map(|(name, asset)| (name.clone(), asset.path.clone()))
            .collect();
        Self {
            folder: scene.folder.clone(),
            assets,
        }
    }

    /// The bytes behind an asset's name or a path inside the scene's folder.
    fn read(&self, src: &str, bytes_max: u64) -> Result<Vec<u8>, String> {
        let relative = self.assets.get(src).map_or(src, String::as_str);
        let path = find_inside(&self.folder, relative).map_err(|error| error.to_string())?;
        let length = std::fs::metadata(&path)
            .map_err(|error| error.to_string())?
            .len();
        if length > bytes_max {
            return Err(format!(
                "it has {length} bytes; at most {bytes_max} are read"
            ));
        }
        std::fs::read(&path).map_err(|error| error.to_string())
    }
}

/// Reads and decodes everything that `scene` shows at first.
///
/// # Errors
/// The first file that cannot be used.
pub fn bundle(scene: &LoadedScene) -> Result<SceneBundle, PrepareError> {
    let files = Files::of(scene);
    let mut bundle = SceneBundle::new(scene.spec.clone());
    for src in first_pictures(&scene.spec) {
        let fail = |reason: String| PrepareError::Picture {
            src: src.clone(),
            reason,
        };
        let bytes = files.read(&src, PICTURE_FILE_MAX).map_err(fail)?;
        let picture = decode_picture(&bytes).map_err(|error| fail(error.to_string()))?;
        bundle.pictures.push((src.as_str().into(), picture));
    }
    for asset in scene
        .spec
        .assets
        .values()
        .filter(|asset| is_font(&asset.path))
    {
        let bytes =
            files
                .read(&asset.path, FONT_FILE_MAX)
                .map_err(|reason| PrepareError::Font {
                    path: asset.path.clone(),
                    reason,
                })?;
        bundle.fonts.push((asset.path.clone(), bytes.into()));
    }
    Ok(bundle)
}

fn is_font(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    ["ttf", "otf", "ttc", "otc"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension))
}

/// The words of every image's `src`, filled from the scene's own data.
fn first_pictures(spec: &SceneSpec) -> Vec<String> {
    let mut data = SceneData::default();
    data.replace(spec.data.clone());
    let mut sources = Vec::new();
    spec.walk_layers(|layer| {
        if let Source::Image(image) = &layer.source {
            let mut words = String::new();
            image.src.fill(|path| data.lookup(path), &mut words);
            if !words.is_empty() && !sources.contains(&words) {
                sources.push(words);
            }
        }
    });
    sources
}

/// Draws the layers of a bundle ahead of time, so that the tick that takes it on air need not.
///
/// Draws nothing, and changes nothing, when the scene cannot be taken on air with these settings: loading it will say why.
pub fn draw_ahead(bundle: &mut SceneBundle, settings: &EngineSettings) {
    let scratch = EngineSettings {
        render_threads: 1,
        pool_frames: 2,
        ..*settings
    };
    let Ok(mut engine) = Engine::new(scratch) else {
        return;
    };
    if engine.load(bundle.clone()).is_ok() {
        engine.tick();
        bundle.rasters = engine.take_rasters();
    }
}

/// The settings of an engine for `spec`.
pub fn engine_settings(
    spec: &SceneSpec,
    rate: FrameRate,
    render_threads: usize,
    pool_frames: usize,
    max_layers: usize,
) -> EngineSettings {
    EngineSettings {
        width: spec.canvas.width,
        height: spec.canvas.height,
        rate,
        render_threads: if render_threads == 0 {
            thread::available_parallelism().map_or(1, usize::from)
        } else {
            render_threads
        },
        pool_frames,
        max_layers,
        now_nanos: crate::clock::now_nanos,
    }
}

/// Reads pictures that data asks for while on air, until the engine ends.
///
/// # Errors
/// When the system gives no thread.
pub fn serve_pictures(scene: &LoadedScene, door: PictureDoor) -> std::io::Result<JoinHandle<()>> {
    let files = Files::of(scene);
    thread::Builder::new()
        .name("pictures".to_owned())
        .spawn(move || {
            for src in &door.requests {
                let picture = files
                    .read(&src, PICTURE_FILE_MAX)
                    .map_err(PictureError)
                    .and_then(|bytes| decode_picture(&bytes));
                if door.arrivals.send(Arrival { src, picture }).is_err() {
                    return;
                }
            }
        })
}
