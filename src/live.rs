//! A scene on the air: the engine's thread, the encoder and its outputs, the watched scene file, and the HTTP servers, from start to
//! a clean end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use codec::{AudioSettings, FrameRate as CodecRate, VideoSettings};
use components::layer::LayerSpec;
use components::output::RenditionSpec;
use components::scene::FrameRate;
use raster::I420Frame;
use serde_json::json;
use systems::publish::Status;
use systems::scene::SceneBundle;
use systems::{Engine, EngineSettings};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::config::Settings;
use crate::control::assets::AssetStore;
use crate::control::config::Config;
use crate::control::keys::KeyStore;
use crate::control::outputs::{Desk, OutputList};
use crate::control::speech::{SpeechDesk, SpeechFile};
use crate::control::{
    Director, Ear, Event, Events, Library, Parts, Reloads, Show, Staged, Start, Station, Ticks,
    now_ms, recordings, scene_id,
};
use crate::ingest::IngestHub;
use crate::inputs::{Inputs, Sources, StageName};
use crate::ports::{FrameRequests, PlacedRequests};
use crate::rtmp::{self, Rtmp};
use crate::scene::{LoadOptions, LoadedScene, scene_from_text};
use crate::server::{self, Api, Guard, Limits};
use crate::streaming::{
    EncoderSettings, Ladder, Priority, StreamingStats, ThreadEnd, set_priority,
};
use crate::{prepare, tick_loop};

/// How often the log says how the stream goes.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The encoder's settings for a canvas.
pub fn encoder_settings(
    settings: &Settings,
    width: u32,
    height: u32,
    rate: FrameRate,
) -> EncoderSettings {
    EncoderSettings {
        video: VideoSettings {
            width,
            height,
            frame_rate: CodecRate {
                numerator: rate.numerator,
                denominator: rate.denominator,
            },
            bitrate_kbps: settings.stream_bitrate_kbps,
            preset: settings.stream_preset,
            ..VideoSettings::default()
        },
        audio: audio_settings(settings),
        frame_queue: Ladder::frame_queue(settings.pool_size, 1),
    }
}

/// The sound's settings; `None` when the stream is to have none.
pub fn audio_settings(settings: &Settings) -> Option<AudioSettings> {
    settings.audio_enabled.then(|| AudioSettings {
        bitrate_kbps: settings.audio_bitrate_kbps,
        late_samples: systems::audio::LATENCY_SAMPLES as u32,
        ..AudioSettings::default()
    })
}

/// Runs `scene` on the air until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting, or what ended it.
pub fn run(scene: LoadedScene, settings: &Settings, options: LoadOptions) -> anyhow::Result<()> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("server")
        .on_thread_start(|| set_priority(Priority::Work))
        .enable_all()
        .build()?;
    // Before anything is on air: a signal that comes early still ends everything cleanly.
    let signals = {
        let _context = runtime.enter();
        Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        }
    };
    let keys = KeyStore::open(settings.data_dir.join("keys.json"))?;
    if let Err(error) = SpeechFile::sweep(&settings.data_dir) {
        tracing::warn!(%error, "files of speech that an earlier run left cannot be deleted");
    }

    let canvas = &scene.spec.canvas;
    let rate = canvas.fps.unwrap_or(settings.target_fps);
    let engine_settings = prepare::engine_settings(
        &scene.spec,
        rate,
        settings.render_threads,
        settings.pool_size,
        settings.max_layers,
    );
    let library = Library::new(scene.folder.clone(), settings.assets_dir());
    let bundle = prepare::bundle(&scene, library.assets())?;
    let known = bundle
        .pictures
        .iter()
        .map(|(src, _)| Arc::clone(src))
        .collect();
    // Its workers run as soon as the tick does.
    set_priority(Priority::Tick);
    let engine = Engine::new(engine_settings);
    set_priority(Priority::Normal);
    let mut engine = engine?;
    engine.load(bundle)?;
    // Everything is drawn before the clock starts, so that the first ticks are not late.
    engine.tick();
    engine.seek(0);

    let (frames, frames_port) = FrameRequests::new();
    engine.add_port(Box::new(frames_port));
    let program = Staged {
        id: scene_id(&scene.path),
        spec: Arc::new(scene.spec.clone()),
        folder: scene.folder.clone(),
        is_edited: false,
    };
    library.follow(&program);
    let _pictures = {
        let library = library.clone();
        prepare::serve_pictures(
            move |src| library.picture_on_air(src),
            engine.picture_door(),
        )?
    };
    // What publishers send, for the layers that show it.
    let (events, hub) = (Events::after(now_ms()), IngestHub::default());
    let inputs = serve_inputs(&engine, settings, &library, &events, &hub)?;
    let desk = Desk::open(settings, OutputList::of(settings, &scene.spec))?;
    let outputs = desk.list();
    let main = outputs.rendition(RenditionSpec::MAIN)?;
    let config = Config::new(settings, main, (canvas.width, canvas.height), rate);
    let recordings = recordings::Store::open(
        settings.recordings_dir(),
        settings.data_dir.join("recordings.json"),
    )?;
    let (ear, heard) = Ear::new();
    let placed = engine.placed_door();
    let ticks = Ticks::default();
    let show = Show {
        revision: 0,
        program,
        preview: None,
        changing: None,
        pause: None,
        live_since_ms: None,
        config,
        outputs: Arc::new(outputs),
    };
    let speech = SpeechDesk::new(engine.speech_door());
    let director = {
        let _context = runtime.enter();
        Director::start(Start {
            show,
            rate,
            commands: engine.commands(),
            engine: engine_settings,
            slate: slate(&library, &engine_settings)?,
            library: library.clone(),
            known,
            ticks: ticks.clone(),
            events: events.clone(),
            speech: speech.clone(),
        })
    };
    let players = rtmp::Program::new(settings.gop_cache);
    let station = Station::new(Parts {
        settings: settings.clone(),
        director: director.clone(),
        board: engine.status_board(),
        levels: engine.level_board(),
        profile: engine.profile(),
        ticks: ticks.clone(),
        events,
        frames,
        placed: PlacedRequests(placed),
        desk,
        recordings,
        ear,
        inputs,
        players: Arc::new(players.clone()),
        speech,
    });
    let rtmp = Rtmp::new(settings, station.clone(), keys.clone(), hub, players);
    let reloads = Reloads::new(director.clone(), library.clone(), runtime.handle().clone());
    let watcher = reloads.watch(&scene, options)?;

    let speech = station.clone();
    // Ends with the world.
    thread::Builder::new()
        .name("speech".to_owned())
        .spawn(move || speech.tell_speech())?;

    let stop = Arc::new(AtomicBool::new(false));
    engine.set_epoch(now_ms().cast_signed());
    let ticking = spawn_ticks(engine, Arc::clone(&stop), ticks)?;
    let result = runtime.block_on(async {
        tokio::spawn(station.clone().watch(director.snapshots()));
        tokio::spawn(reloads.follow(watcher));
        tokio::spawn(station.clone().hear(heard));
        let every = Duration::from_secs(u64::from(settings.thumbnail_interval_s));
        tokio::spawn(station.clone().take_thumbnails(every));
        station
            .start()
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        tracing::info!(
            scene = scene.spec.name,
            width = scene.spec.canvas.width,
            height = scene.spec.canvas.height,
            fps = rate.as_f64(),
            "the scene is on air"
        );
        let api = Api::new(
            station.clone(),
            library,
            AssetStore::new(settings.assets_dir()),
            keys,
            rtmp.clone(),
            Guard::new(settings),
        );
        let served = serve_until_signal(settings, &api, rtmp, &station, signals, || {
            ticking.is_finished()
        })
        .await;
        // Files and sessions are ended before the ticks are.
        let stopped = station.stop().await;
        served.and(
            stopped
                .map(|_| ())
                .map_err(|error| anyhow::anyhow!("{error}")),
        )
    });
    stop.store(true, Relaxed);
    let engine_ended = ticking.join().is_ok();
    // What reads files for a request is not waited for.
    runtime.shutdown_background();
    anyhow::ensure!(engine_ended, "the engine's thread ended by a panic");
    result
}

/// Decodes what the layers show of films, cameras and publishers, and tells how that goes.
fn serve_inputs(
    engine: &Engine,
    settings: &Settings,
    library: &Library,
    events: &Events,
    hub: &IngestHub,
) -> std::io::Result<Inputs> {
    let (library, passwords) = (library.clone(), settings.input_passwords.clone());
    let (events, board) = (events.clone(), engine.status_board());
    let sources = Sources {
        files: Arc::new(move || {
            let files = library.files_on_air();
            Arc::new(move |src: &str| files.find(src))
        }),
        password: Arc::new(move |name| passwords.get(name).map(str::to_owned)),
        hub: hub.clone(),
        inputs_max: settings.max_inputs,
        hear: Arc::new(move |news| {
            let status = board.read();
            let stage = StageName::from(news.stage).as_str();
            let data = json!({"layer": news.layer, "stage": stage, "error": news.error});
            let event = Event::about("input:state", &news.layer, data);
            events.tell(event, status.counters.revision, status.tick);
        }),
    };
    Inputs::start(engine.input_door(), sources)
}

/// What a paused stream shows: the first frame of the scene `slate` where the library has one, or the product's own.
fn slate(library: &Library, engine: &EngineSettings) -> anyhow::Result<Arc<I420Frame>> {
    let own = library
        .load("slate", engine.max_layers)
        .ok()
        .and_then(|scene| prepare::bundle(&scene, library.assets()).ok());
    let bundle = match own {
        Some(bundle) => bundle,
        None => built_in_slate(engine)?,
    };
    prepare::first_frame(bundle, engine).map_err(|error| anyhow::anyhow!("the slate: {error}"))
}

fn built_in_slate(engine: &EngineSettings) -> anyhow::Result<SceneBundle> {
    let options = LoadOptions::default();
    let mut spec = scene_from_text(include_str!("control/slate.json"), "slate", None, &options)?;
    let scale = (engine.width as f32 / spec.canvas.width as f32)
        .min(engine.height as f32 / spec.canvas.height as f32);
    // Drawn at the size of the canvas, in its middle.
    let mut group = LayerSpec::new("slate");
    group.position.x = ((engine.width as f32 - spec.canvas.width as f32 * scale) / 2.0).into();
    group.position.y = ((engine.height as f32 - spec.canvas.height as f32 * scale) / 2.0).into();
    group.scale.x = scale.into();
    group.scale.y = scale.into();
    group.children = std::mem::take(&mut spec.layers);
    spec.layers = vec![Arc::new(group)];
    (spec.canvas.width, spec.canvas.height) = (engine.width, engine.height);
    Ok(SceneBundle::new(spec))
}

fn spawn_ticks(
    mut engine: Engine,
    stop: Arc<AtomicBool>,
    ticks: Ticks,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name("tick".to_owned())
        .spawn(move || {
            set_priority(Priority::Tick);
            tick_loop::run(&mut engine, &SystemClock, &stop, |engine| {
                ticks.note(engine.next_tick());
            });
            let counters = engine.counters();
            tracing::info!(
                frames = counters.frames,
                repeated = counters.repeated,
                late = counters.late,
                "the engine ended"
            );
        })
}

/// What asks the program to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

async fn serve_until_signal(
    settings: &Settings,
    api: &Api,
    rtmp: Rtmp,
    station: &Station,
    mut signals: Signals,
    tick_ended: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(());
    let until_stop = || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.changed().await) }
    };
    let limits = Limits {
        connections: settings.max_connections,
    };
    let mut servers = Vec::new();
    let mut addresses = Vec::new();
    for (port, router) in [
        (settings.port, server::api(api.clone(), &settings.hls_dir())),
        (settings.ws_port, server::websocket(api.clone())),
        (settings.metrics_port, server::metrics(api.clone())),
        (settings.health_port, server::health(api.clone())),
    ] {
        let address = (settings.bind, port).into();
        let (address, server) = server::serve(address, router, limits, until_stop())
            .await
            .with_context(|| format!("port {port} of {} cannot be used", settings.bind))?;
        servers.push(tokio::spawn(server));
        addresses.push(address);
    }
    let mut program = "off".to_owned();
    if let Some(port) = settings.rtmp_port {
        let (address, server) = rtmp
            .serve((settings.bind, port).into(), until_stop())
            .await
            .with_context(|| {
                format!(
                    "RTMP_PORT {port} of {} cannot be used; another one, or off, does without",
                    settings.bind
                )
            })?;
        servers.push(tokio::spawn(server));
        program = format!("rtmp://{}/live/program", host(address));
    }
    if let [api, websocket, metrics, health] = addresses[..] {
        tracing::info!(
            api = %url(api), websocket = %url(websocket), metrics = %url(metrics), health = %url(health), rtmp = %program,
            "listening"
        );
    }

    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut report =
        tokio::time::interval_at(tokio::time::Instant::now() + REPORT_EVERY, REPORT_EVERY);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = second.tick() => anyhow::ensure!(!tick_ended(), "the tick loop ended"),
            _ = report.tick() => report_stats(&station.status(), station.streaming_stats().as_ref()),
        }
    }
    tracing::info!("going off air");
    drop(stop);
    for server in servers {
        // A client that does not let go is not waited for.
        drop(tokio::time::timeout(Duration::from_millis(300), server).await);
    }
    Ok(())
}

/// Where a browser on this machine finds a server.
fn url(address: SocketAddr) -> String {
    format!("http://{}", host(address))
}

fn host(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

fn report_stats(status: &Status, stats: Option<&StreamingStats>) {
    let counters = status.counters;
    tracing::info!(
        frames = counters.frames,
        repeated = counters.repeated,
        late = counters.late,
        dropped = counters.encoder_full,
        last_drop = ?status.blame,
        "engine"
    );
    let Some(stats) = stats else {
        return;
    };
    tracing::info!(encoder = ?stats.encoder(), "encoder");
    for output in &stats.outputs {
        tracing::info!(
            output = output.id,
            state = ?output.state,
            bytes = output.bytes,
            dropped = output.packets_dropped,
            reconnects = output.reconnects,
            lag_ms = output.lag.as_millis() as u64,
            last_error = output.last_error,
            "output"
        );
    }
}

/// Logs how threads ended.
pub fn report_ends(ends: &[ThreadEnd]) {
    for end in ends {
        match &end.result {
            Ok(()) => tracing::info!(thread = end.who, "ended"),
            Err(error) => tracing::error!(thread = end.who, error = error.chain(), "ended"),
        }
    }
}
