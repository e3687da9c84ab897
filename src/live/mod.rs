//! A scene on the air, from start to a clean end: the ports are opened first, then the store; in Redis this instance stands by until it
//! leads; then the engine runs until a signal comes, or until another instance leads.

mod house;
mod leader;
mod standby;

use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::house::House;
pub use self::leader::{audio_settings, encoder_settings, report_ends};
use crate::config::Settings;
use crate::control::Library;
use crate::control::assets::AssetStore;
use crate::control::keep::{self, FirstScene, Opened, Origin};
use crate::prepare::Assets;
use crate::store::embedded;
use crate::streaming::{Priority, set_priority};

/// How a run ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A signal came.
    Stopped,
    /// Another instance leads the stream. This one has let go of everything, and may begin anew as a standby.
    Superseded,
}

/// Runs `scene`, or what was saved of it, on the air until SIGTERM or SIGINT, or until another instance leads. `is_fresh` begins as
/// the scene's file says.
///
/// # Errors
/// What kept it from starting, or what ended it; [`SceneErrors`](crate::scene::SceneErrors) where the scene's file cannot be read and
/// nothing was saved that goes on without it.
pub fn run(scene: &FirstScene, settings: &Settings, is_fresh: bool) -> anyhow::Result<End> {
    if let Some(errors) = scene.errors() {
        let is_shared = settings.redis().is_some();
        let may_be_saved = is_shared || settings.data_dir.join(embedded::FILE_NAME).exists();
        anyhow::ensure!(may_be_saved && !is_fresh, errors.clone());
        if is_shared {
            // It may take a while until it is known what is saved.
            tracing::warn!(
                "this program can only go on with a stream that was saved: {}",
                errors.plain()
            );
        }
    }
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("server")
        .on_thread_start(|| set_priority(Priority::Work))
        .enable_all()
        .build()?;
    let result = run_on(&runtime, scene, settings, is_fresh);
    // What reads files for a request is not waited for.
    runtime.shutdown_background();
    result
}

fn run_on(
    runtime: &Runtime,
    scene: &FirstScene,
    settings: &Settings,
    is_fresh: bool,
) -> anyhow::Result<End> {
    // Before anything is on air: a signal that comes early still ends everything cleanly.
    let mut signals = {
        let _context = runtime.enter();
        Signals::new()?
    };
    let files = Assets::new(settings.assets_dir(), settings.asset_cache_mb << 20);
    let program = Program {
        scene,
        settings,
        library: Library::new(scene.folder().to_owned(), files),
        assets: AssetStore::new(settings.assets_dir()),
    };
    let house = runtime.block_on(House::open(settings))?;
    let opened = runtime.block_on(open(&program, &house, &mut signals))?;
    let Some(opened) = opened else {
        runtime.block_on(house.close());
        return Ok(End::Stopped);
    };
    let origin = match (opened.is_takeover(), is_fresh) {
        (true, _) => Origin::TakeOver,
        (false, true) => Origin::Fresh,
        (false, false) => Origin::Start,
    };
    leader::lead(runtime, &program, house, signals, opened, origin)
}

/// What the program is started with, whatever this instance is meanwhile.
struct Program<'a> {
    scene: &'a FirstScene,
    settings: &'a Settings,
    library: Library,
    assets: AssetStore,
}

/// The store, once this instance is the one that writes to it; `None` where a signal came before.
async fn open(
    program: &Program<'_>,
    house: &House,
    signals: &mut Signals,
) -> anyhow::Result<Option<Opened>> {
    match program.settings.redis() {
        None => Ok(Some(keep::open(program.settings).await?)),
        Some(url) => {
            let member = keep::join(program.settings, url, house.health_port())?;
            standby::until_lead(member, program, house, signals).await
        }
    }
}

/// What asks the program to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Whether one came meanwhile, as an end.
    async fn has_come(&mut self) -> End {
        tokio::select! {
            biased;
            () = self.come() => End::Stopped,
            () = std::future::ready(()) => End::Superseded,
        }
    }

    /// Waits for one.
    async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
