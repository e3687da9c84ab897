//! What rendering and profiling share: an engine with a scene in it, and a progress bar.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ArgMatches;
use components::scene::FrameRate;
use components::value::Moment;
use components::viewport::CanvasFit;
use indicatif::{ProgressBar, ProgressStyle};
use systems::Engine;
use systems::assets::Arrival;

use super::{Failure, load, rate_of, settings};
use crate::config::Settings;
use crate::ingest::IngestHub;
use crate::inputs::{FindFile, Inputs, Sources};
use crate::logging::{self, LogGuard};
use crate::prepare::{self, Assets, Files};
use crate::scene::LoadedScene;

/// A scene in an engine that nobody waits for.
pub(super) struct Offline {
    pub settings: Settings,
    pub scene: LoadedScene,
    pub engine: Engine,
    /// Width and height of the frames in pixels.
    pub size: (u32, u32),
    pub rate: FrameRate,
    files: Files,
    _log: LogGuard,
}

impl Offline {
    pub fn open(matches: &ArgMatches) -> Result<Self, Failure> {
        let settings = settings(matches)?;
        let trace = matches.get_one::<PathBuf>("trace");
        let log = logging::start(
            &settings.log_level.directives(),
            settings.log_format,
            trace.map(PathBuf::as_path),
        )?;
        let scene = load(matches, &settings)?;
        let rate = rate_of(&scene, &settings);
        let mut engine_settings = prepare::engine_settings(
            &scene.spec,
            rate,
            settings.render_threads,
            settings.pool_size,
            settings.max_layers,
        );
        if let Ok(Some(epoch)) = matches.try_get_one::<Moment>("epoch") {
            engine_settings.epoch_unix_ms = epoch.unix_ms();
        }
        // Not every command knows these.
        let size = matches.try_get_one::<(u32, u32)>("size").ok().flatten();
        if let Some((width, height)) = size {
            (engine_settings.width, engine_settings.height) = (*width, *height);
        }
        let mut engine = Engine::new(engine_settings)?;
        if let Ok(Some(fit)) = matches.try_get_one::<CanvasFit>("fit") {
            engine.set_fit(*fit);
        }
        let assets = Assets::from(settings.assets_dir());
        let files = Files::of_scene(&scene.spec, scene.folder.clone(), assets.clone());
        serve_inputs(&mut engine, &settings, &files)?;
        engine.load(prepare::bundle(&scene, &assets)?)?;
        Ok(Self {
            settings,
            scene,
            engine,
            size: (engine_settings.width, engine_settings.height),
            rate,
            files,
            _log: log,
        })
    }
}

/// Decodes the films and sounds of the scene, and has each tick wait for its own.
fn serve_inputs(engine: &mut Engine, settings: &Settings, files: &Files) -> anyhow::Result<()> {
    let (files, passwords) = (files.clone(), settings.input_passwords.clone());
    let find: Arc<FindFile> = Arc::new(move |src| files.find(src));
    let sources = Sources {
        files: Arc::new(move || Arc::clone(&find)),
        password: Arc::new(move |name| passwords.get(name).map(str::to_owned)),
        hub: IngestHub::default(),
        inputs_max: settings.max_inputs,
        hear: Arc::new(|news| {
            if let Some(error) = news.error {
                tracing::warn!(layer = news.layer, %error, "an input");
            }
        }),
    };
    Inputs::start(engine.input_door(), sources)?;
    engine.set_waits_for_inputs(true);
    Ok(())
}

impl Offline {
    /// Runs a tick, and reads the pictures that it asks for, so that the next tick has them on every run.
    pub fn tick(&mut self) -> bool {
        self.engine.tick();
        let door = self.engine.picture_door();
        let mut has_read = false;
        for src in door.requests.try_iter() {
            let picture = self.files.picture(&src);
            // As many fit as can be asked for.
            has_read |= door.arrivals.try_send(Arrival { src, picture }).is_ok();
        }
        has_read
    }
}

/// A bar on standard error; nothing when that is not a terminal.
pub(super) fn progress(frames: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(frames);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} frames, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}
