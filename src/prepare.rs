//! Makes a loaded scene ready for the air: reads and decodes its pictures and fonts, and draws its layers once, on a thread that
//! nobody waits for. What was read and decoded is kept in a cache.

mod assets;
mod cache;
mod kept;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};

use components::layer::LayerSpec;
use components::scene::{FrameRate, SceneSpec};
use components::source::Source;
use components::viewport::CanvasFit;
use raster::I420Frame;
use systems::assets::{
    Arrival, FontDatabase, FontFamily, FontQuery, FontSource, Picture, PictureDoor, PictureError,
    PictureFonts,
};
use systems::data::{DataScope, SceneData};
use systems::inner::inner_values;
use systems::scene::SceneBundle;
use systems::{Engine, EngineSettings};

pub use assets::Assets;
pub use cache::{AssetCache, AssetCacheFigures, Preloaded, SvgFonts, Worth};

use seen::ContentId;

use crate::scene::LoadedScene;
use crate::scene::files::{asset_id, find_asset, find_inside};

/// The moment of tick 0 where nothing else is said, so that the same scene gives the same frames: 2026-01-01T00:00:00Z, in milliseconds
/// since 1970.
pub const DEFAULT_EPOCH_UNIX_MS: i64 = 1_767_225_600_000;
/// How many pictures of a feed are read before it comes on air.
const FEED_PICTURES_AT_FIRST: usize = 64;
/// How many files that cannot be used are told of.
pub const MISSING_MAX: usize = 50;

/// The fonts of the system, for the text of SVGs; looked for when the first has some.
static SYSTEM_FONTS: LazyLock<Arc<FontDatabase>> = LazyLock::new(|| {
    let mut fonts = FontDatabase::new();
    fonts.load_system_fonts();
    let families: Vec<String> = ["Noto Sans", "DejaVu Sans", "Liberation Sans"]
        .map(str::to_owned)
        .into_iter()
        .chain(
            fonts
                .faces()
                .filter_map(|face| Some(face.families.first()?.0.clone())),
        )
        .collect();
    let has = |fonts: &FontDatabase, family: FontFamily| {
        let query = FontQuery {
            families: &[family],
            ..FontQuery::default()
        };
        fonts.query(&query).is_some()
    };
    let fallback = families
        .into_iter()
        .find(|family| has(&fonts, FontFamily::Name(family)));
    // Names that stand for any font of a kind must stand for one that is there, or text is left out.
    if let Some(family) = fallback {
        if !has(&fonts, FontFamily::Serif) {
            fonts.set_serif_family(family.clone());
        }
        if !has(&fonts, FontFamily::SansSerif) {
            fonts.set_sans_serif_family(family.clone());
        }
        if !has(&fonts, FontFamily::Monospace) {
            fonts.set_monospace_family(family);
        }
    }
    Arc::new(fonts)
});

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
    /// A film or a sound is not there.
    #[error("film or sound `{src}`: {reason}")]
    Media {
        /// The words of its `src`.
        src: String,
        /// What is wrong.
        reason: String,
    },
    /// A scene that stands in it is not there or cannot be used.
    #[error("scene `{id}`: it is not there, or cannot be used")]
    Scene {
        /// Its name.
        id: String,
    },
}

/// Where a scene's files are, and by which names.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
    names: BTreeMap<String, String>,
    assets: Assets,
}

/// The files that a scene shows at first, by the words that name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Pictures that it cannot be without.
    pub pictures: Vec<String>,
    /// Pictures that viewers sent.
    pub chat_pictures: BTreeSet<String>,
    /// Paths of fonts.
    pub fonts: Vec<String>,
}

impl Files {
    /// Files in `folder`, some of them under `names`, and uploaded ones.
    pub fn new(folder: PathBuf, names: BTreeMap<String, String>, assets: Assets) -> Self {
        Self {
            folder,
            names,
            assets,
        }
    }

    /// The files of a scene.
    pub fn of_scene(spec: &SceneSpec, folder: PathBuf, assets: Assets) -> Self {
        let mut names = BTreeMap::new();
        // The outermost scene first: its names hide those of scenes within it.
        spec.walk_scenes(&mut |spec| {
            for (name, asset) in &spec.assets {
                let path = || asset.path.clone();
                names.entry(name.clone()).or_insert_with(path);
            }
        });
        Self::new(folder, names, assets)
    }

    /// A picture, from the cache or decoded.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn picture(&self, src: &str) -> Result<Picture, PictureError> {
        let path = self.find(src).map_err(PictureError)?;
        self.assets.cache().picture(&path, self)
    }

    /// Puts a picture into the cache, for as much as it is worth.
    pub fn preload_picture(&self, src: &str, worth: Worth) -> Preloaded {
        match self.find(src) {
            Ok(path) => self.assets.cache().preload_picture(&path, self, worth),
            Err(_) => Preloaded::Unusable,
        }
    }

    /// Puts a font into the cache, for as much as it is worth.
    pub fn preload_font(&self, src: &str, worth: Worth) -> Preloaded {
        match self.find(src) {
            Ok(path) => self.assets.cache().preload_font(&path, worth),
            Err(_) => Preloaded::Unusable,
        }
    }

    /// The paths of the scene's own fonts, in order.
    fn font_paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<&String> = self.names.values().filter(|path| is_font(path)).collect();
        paths.sort_unstable();
        paths.dedup();
        // A font that cannot be read is told of where the scene's fonts are.
        paths
            .iter()
            .filter_map(|path| self.find(path).ok())
            .collect()
    }

    /// The file behind an asset's name, an uploaded asset, or a path inside the scene's folder.
    ///
    /// # Errors
    /// There is no such file, or it lies elsewhere.
    pub fn find(&self, src: &str) -> Result<PathBuf, String> {
        let relative = self.names.get(src).map_or(src, String::as_str);
        let path = match asset_id(relative) {
            Some(id) => find_asset(Some(self.assets.folder()), id),
            None => find_inside(&self.folder, relative),
        };
        path.map_err(|error| error.to_string())
    }
}

/// The fonts of the scene, before those of the system.
impl SvgFonts for Files {
    fn set(&self) -> u64 {
        let paths = self.font_paths();
        let contents = paths
            .iter()
            .filter_map(|path| self.assets.cache().font_content(path).ok());
        font_set(contents)
    }

    fn fonts(&self) -> PictureFonts {
        let paths = self.font_paths();
        let own: Vec<_> = paths
            .iter()
            .filter_map(|path| self.assets.cache().font(path).ok())
            .collect();
        let mut database = Arc::clone(&SYSTEM_FONTS);
        for (bytes, _) in &own {
            let source = FontSource::Binary(Arc::new(Arc::clone(bytes)));
            Arc::make_mut(&mut database).load_font_source(source);
        }
        PictureFonts {
            database,
            set: font_set(own.iter().map(|(_, content)| *content)),
        }
    }
}

/// A number for the fonts of a scene; 0 where it has none of its own.
fn font_set(contents: impl Iterator<Item = ContentId>) -> u64 {
    let (mut hasher, mut has_own) = (DefaultHasher::new(), false);
    for content in contents {
        content.hash(&mut hasher);
        has_own = true;
    }
    if has_own { hasher.finish().max(1) } else { 0 }
}

/// Reads and decodes everything that `scene` shows at first; its uploaded files are among `assets`.
///
/// # Errors
/// The first file that cannot be used.
pub fn bundle(scene: &LoadedScene, assets: &Assets) -> Result<SceneBundle, PrepareError> {
    let mut first = None;
    let bundle = bundle_as_far(scene, assets, &mut |error| {
        first = Some(error);
        false
    });
    first.map_or(Ok(bundle), Err)
}

/// As [`bundle`], without the files that cannot be used: which those are, also of films, sounds, scenes within it and pictures that come
/// later; the first [`MISSING_MAX`].
pub fn bundle_without_missing(
    scene: &LoadedScene,
    assets: &Assets,
) -> (SceneBundle, Vec<PrepareError>) {
    let mut missing = Vec::new();
    let bundle = bundle_as_far(scene, assets, &mut |error| {
        missing.push(error);
        true
    });
    missing_later(scene, assets, &mut missing);
    missing.truncate(MISSING_MAX);
    (bundle, missing)
}

/// What is not there of all that a bundle has no place for.
fn missing_later(scene: &LoadedScene, assets: &Assets, missing: &mut Vec<PrepareError>) {
    let files = Files::of_scene(&scene.spec, scene.folder.clone(), assets.clone());
    let media = |src: &String, missing: &mut Vec<PrepareError>| {
        // What is at an address tells by itself how it is.
        if let (false, Err(reason)) = (src.contains("://"), files.find(src)) {
            let src = src.clone();
            missing.push(PrepareError::Media { src, reason });
        }
    };
    scene.spec.walk_scenes(&mut |spec| {
        spec.walk_layers(|layer| match &layer.source {
            _ if missing.len() >= MISSING_MAX => {}
            Source::Video(video) => media(&video.src, missing),
            Source::Audio(audio) => media(&audio.src, missing),
            Source::Scene(inner) if inner.inner.is_none() => missing.push(PrepareError::Scene {
                id: inner.scene_id().to_owned(),
            }),
            Source::VisualFeed(feed) => {
                let later = feed.items.iter().skip(FEED_PICTURES_AT_FIRST);
                let later = later.filter_map(|item| item.image.as_deref());
                let later = later.filter_map(|src| Some((src, files.find(src).err()?)));
                let error = |(src, reason): (&str, String)| PrepareError::Picture {
                    src: src.to_owned(),
                    reason,
                };
                missing.extend(later.take(MISSING_MAX).map(error));
            }
            _ => {}
        });
    });
}

/// Reads and decodes as far as `goes_on` says after a file that cannot be used.
fn bundle_as_far(
    scene: &LoadedScene,
    assets: &Assets,
    goes_on: &mut dyn FnMut(PrepareError) -> bool,
) -> SceneBundle {
    let files = Files::of_scene(&scene.spec, scene.folder.clone(), assets.clone());
    let mut bundle = SceneBundle::new(scene.spec.clone());
    for src in first_pictures(&scene.spec) {
        match files.picture(&src) {
            Ok(picture) => bundle.pictures.push((src.as_str().into(), picture)),
            Err(error) => {
                let reason = error.to_string();
                if !goes_on(PrepareError::Picture { src, reason }) {
                    return bundle;
                }
            }
        }
    }
    for path in font_names(&scene.spec) {
        match font_of(path, &files) {
            Ok(font) => bundle.fonts.push(font),
            Err(error) => {
                if !goes_on(error) {
                    return bundle;
                }
            }
        }
    }
    for src in chat_pictures(&scene.spec) {
        // What viewers sent does not keep a scene off the air.
        if let Ok(picture) = files.picture(&src) {
            bundle.pictures.push((src.as_str().into(), picture));
        }
    }
    bundle
}

/// Reads the fonts of a scene and of those within it.
///
/// # Errors
/// The first that cannot be read.
pub fn fonts_of(spec: &SceneSpec, files: &Files) -> Result<Vec<(String, Arc<[u8]>)>, PrepareError> {
    let paths = font_names(spec).into_iter();
    paths.map(|path| font_of(path, files)).collect()
}

fn font_of(path: &str, files: &Files) -> Result<(String, Arc<[u8]>), PrepareError> {
    let read = || {
        let found = files.find(path)?;
        let (bytes, _) = files.assets.cache().font(&found)?;
        Ok(bytes)
    };
    let font = read().map_err(|reason| PrepareError::Font {
        path: path.to_owned(),
        reason,
    })?;
    Ok((path.to_owned(), font))
}

/// The paths of the fonts of a scene and of those within it.
fn font_names(spec: &SceneSpec) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    spec.walk_scenes(&mut |spec| {
        for asset in spec.assets.values().filter(|asset| is_font(&asset.path)) {
            if !paths.contains(&asset.path.as_str()) {
                paths.push(&asset.path);
            }
        }
    });
    paths
}

impl Needs {
    /// What a scene shows at first.
    pub fn of(spec: &SceneSpec) -> Self {
        Self {
            pictures: first_pictures(spec),
            chat_pictures: chat_pictures(spec),
            fonts: font_names(spec).into_iter().map(str::to_owned).collect(),
        }
    }
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

/// The names of all pictures, filled from the scene's own data.
fn first_pictures(spec: &SceneSpec) -> Vec<String> {
    let mut data = SceneData::default();
    data.replace(spec.data.clone());
    let mut sources: Vec<String> = Vec::new();
    sources.extend(spec.transitions.scene.src.clone());
    let program = data.program();
    spec.walk_layers(|layer| {
        pictures_of(layer, &mut data, program, &mut |words| {
            if !sources.iter().any(|known| known == words) {
                sources.push(words.to_owned());
            }
        });
    });
    sources
}

/// Calls `visit` with the words of each picture that a layer shows, its children's not, when it looks its data up in `scope`.
pub fn pictures_of(
    layer: &LayerSpec,
    data: &mut SceneData,
    scope: DataScope,
    visit: &mut dyn FnMut(&str),
) {
    layer.visit_pictures(&mut |_, name| {
        let words = name.fill(|path| data.lookup(scope, path));
        if !words.is_empty() {
            visit(&words);
        }
    });
    match &layer.source {
        Source::VisualFeed(feed) => {
            // The others are asked for one ahead.
            let first = feed.items.iter().take(FEED_PICTURES_AT_FIRST);
            first
                .filter_map(|item| item.image.as_deref())
                .for_each(&mut *visit);
            for layer in feed.template.iter().flatten() {
                layer.walk(&mut |layer| {
                    layer.visit_pictures(&mut |_, name| {
                        if let Some(name) = name.literal() {
                            visit(&name);
                        }
                    });
                });
            }
        }
        Source::Scene(source) => {
            let Some(inner) = &source.inner else { return };
            let own = data.add(inner_values(inner, source), Some(scope));
            inner.walk_layers(|layer| pictures_of(layer, data, own, visit));
            data.remove(own);
        }
        _ => {}
    }
}

/// The pictures of the authors and badges of every chat.
fn chat_pictures(spec: &SceneSpec) -> BTreeSet<String> {
    let mut sources = BTreeSet::new();
    spec.walk_layers(|layer| {
        if let Source::Chat(chat) = &layer.source {
            sources.extend(chat.pictures().map(str::to_owned));
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

/// A scene's first frame, as an encoder would get it, at the size of the settings.
///
/// # Errors
/// The frame's size does not serve, or the scene has too many layers.
pub fn first_frame(
    bundle: SceneBundle,
    settings: &EngineSettings,
) -> Result<Arc<I420Frame>, Box<dyn std::error::Error + Send + Sync>> {
    let scratch = EngineSettings {
        rate: bundle.spec.canvas.fps.unwrap_or(settings.rate),
        render_threads: 1,
        pool_frames: 2,
        ..*settings
    };
    let mut engine = Engine::new(scratch)?;
    engine.load(bundle)?;
    engine.tick();
    let frame = engine.frame().ok_or("no frame was made")?;
    Ok(frame.frame)
}

/// A scene as it looks `seconds` after it came on air, at the size of the settings, with every colour as it is drawn.
///
/// # Errors
/// The frame's size does not serve, or the scene has too many layers.
pub fn still(
    bundle: SceneBundle,
    settings: &EngineSettings,
    fit: CanvasFit,
    seconds: f64,
) -> Result<systems::Picture, Box<dyn std::error::Error + Send + Sync>> {
    let rate = bundle.spec.canvas.fps.unwrap_or(settings.rate);
    let scratch = EngineSettings {
        rate,
        render_threads: 1,
        pool_frames: 2,
        ..*settings
    };
    let mut engine = Engine::new(scratch)?;
    engine.set_fit(fit);
    engine.load(bundle)?;
    engine.seek((seconds * rate.as_f64()).round() as u64);
    engine.tick();
    Ok(engine.picture())
}

/// The settings of an engine for `spec`, whose tick 0 is at [`DEFAULT_EPOCH_UNIX_MS`].
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
        epoch_unix_ms: DEFAULT_EPOCH_UNIX_MS,
        now_nanos: crate::clock::now_nanos,
    }
}

/// Reads pictures that data asks for while on air, until the engine ends.
///
/// # Errors
/// When the system gives no thread.
pub fn serve_pictures(
    read: impl Fn(&str) -> Result<Picture, PictureError> + Send + 'static,
    door: PictureDoor,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("pictures".to_owned())
        .spawn(move || {
            for src in &door.requests {
                let picture = read(&src);
                if door.arrivals.send(Arrival { src, picture }).is_err() {
                    return;
                }
            }
        })
}
