//! The instance that makes the program: the engine's thread, the encoder and its outputs, the watched scene file, and what the ports
//! show.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use codec::{AudioSettings, FrameRate as CodecRate, VideoSettings};
use components::layer::LayerSpec;
use components::scene::FrameRate;
use raster::I420Frame;
use serde_json::json;
use systems::clock::FrameClock;
use systems::feed::Epoch;
use systems::publish::Status;
use systems::render::Hold;
use systems::scene::{SceneBundle, Standing};
use systems::{Engine, EngineSettings};
use tokio::runtime::Runtime;

use super::house::House;
use super::{End, Program, Signals};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Settings;
use crate::control::assets::sharing::{self, AssetSharing};
use crate::control::change::PreviewScene;
use crate::control::keep::{self, Begin, Keeper, Opened, Origin, ResumedMix, Stand};
use crate::control::outputs::Desk;
use crate::control::show::{Changing, MixNow};
use crate::control::speech::{SpeechDesk, SpeechFile};
use crate::control::{
    self, ApiError, Change, Director, Ear, Event, Events, Library, Parts, PausedAs, Preloader,
    Reloads, Show, Start, Station, Terms, Ticks, now_ms,
};
use crate::ingest::IngestHub;
use crate::inputs::{Inputs, Sources, StageName};
use crate::ports::{FrameRequests, PlacedRequests};
use crate::rtmp::{self, Rtmp};
use crate::scene::{LoadOptions, LoadedScene, scene_from_text};
use crate::server::{self, Api, Guard, Membership};
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

/// Has the scene, or what was saved of it, on the air until a signal comes or another instance leads.
///
/// # Errors
/// What kept it from starting, or what ended it.
pub(super) fn lead(
    runtime: &Runtime,
    program: &Program<'_>,
    house: House,
    mut signals: Signals,
    opened: Opened,
    origin: Origin,
) -> anyhow::Result<End> {
    let (settings, library) = (program.settings, program.library.clone());
    let redis = opened.redis().cloned();
    if let (Some(redis), false) = (&redis, origin == Origin::TakeOver) {
        let named = opened.assets_named();
        runtime.block_on(sharing::fetch_named(&program.assets, redis, &named));
    }
    let stage = match Stage::build(program, &opened, origin) {
        Ok(stage) => stage,
        Err(error) => {
            // Another one may be able to.
            runtime.block_on(opened.give_back());
            return Err(error);
        }
    };
    let Stage {
        begin,
        engine_settings,
        mut engine,
        known,
        ticks,
        placed_at,
        slate,
    } = stage;
    let rate = begin.rate;
    let (leave, handover) = (opened.leave(), opened.handover());
    let name = opened.name().map(str::to_owned);

    let (frames, frames_port) = FrameRequests::new();
    engine.add_port(Box::new(frames_port));
    library.follow(&begin.show.program);
    let _pictures = {
        let library = library.clone();
        prepare::serve_pictures(
            move |src| library.picture_on_air(src),
            engine.picture_door(),
        )?
    };
    // What publishers send, for the layers that show it.
    let (events, hub) = (Events::after(opened.events_after()), IngestHub::default());
    let inputs = serve_inputs(&engine, settings, &library, &events, &hub)?;
    let desk = Desk::new(begin.base_outputs.clone());
    let (ear, heard) = Ear::new();
    let (placed, motions) = (engine.placed_door(), engine.motions_door());
    let speech = SpeechDesk::new(engine.speech_door());
    let (director, mut keeper, (keys, recordings)) = {
        let _context = runtime.enter();
        let keeper = Keeper::new(opened);
        let beside = keeper.open_beside(&begin, &library)?;
        let director = Director::start(Start {
            show: Show {
                changing: changing(&begin, placed_at.mix.as_ref()),
                ..begin.show.clone()
            },
            rate,
            tick: engine.next_tick(),
            since_tick: placed_at.since_tick,
            paused_tick: placed_at.paused_tick,
            origin_tick: begin
                .resumed
                .as_ref()
                .and_then(|resumed| resumed.origin_tick(rate)),
            standing: placed_at.standing,
            mix: placed_at.mix,
            schedule: begin
                .resumed
                .as_ref()
                .map_or_else(Vec::new, |resumed| resumed.schedule(rate)),
            commands: engine.commands(),
            engine: engine_settings,
            slate,
            library: library.clone(),
            known,
            ticks: ticks.clone(),
            events: events.clone(),
            speech: speech.clone(),
        });
        (director, keeper, beside)
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
        saving: keeper.saving().clone(),
        leave,
    });
    let rtmp = Rtmp::new(settings, station.clone(), keys.clone(), hub, players);
    let reloads = Reloads::new(director.clone(), library.clone(), runtime.handle().clone());
    let options = library.options(begin.show.config.max_layers);
    let watched = begin.watched.as_ref();
    let watcher = watched.map(|scene| reloads.watch(scene, options));
    let watcher = watcher.transpose()?;

    let speech = station.clone();
    // Ends with the world.
    thread::Builder::new()
        .name("speech".to_owned())
        .spawn(move || speech.tell_speech())?;

    let stop = Arc::new(AtomicBool::new(false));
    let ticking = spawn_ticks(engine, &begin, Arc::clone(&stop), ticks.clone())?;
    let result = runtime.block_on(async {
        tokio::spawn(station.clone().watch(director.snapshots()));
        tokio::spawn(reloads.follow(watcher));
        tokio::spawn(station.clone().hear(heard));
        tokio::spawn(station.clone().tell_saving());
        let every = Duration::from_secs(u64::from(settings.thumbnail_interval_s));
        tokio::spawn(station.clone().take_thumbnails(every));
        if let Err(error) = go_on_air(&station, &begin).await {
            keeper.stop().await.let_go().await;
            anyhow::bail!("{error}");
        }
        keeper.follow(&begin, director.snapshots(), ticks, motions);
        let _preloader = Preloader::start(library.clone(), director.snapshots())?;
        let sharing = redis.map(|redis| {
            let hear = station.clone();
            AssetSharing::spawn(program.assets.clone(), &redis, true, move |news| {
                hear.tell(news.event());
            })
        });
        let api = Api::new(
            station.clone(),
            library,
            program.assets.clone(),
            keys,
            rtmp.clone(),
            Guard::new(settings),
            Membership::Leader { name, handover },
        );
        house.show(&api, settings);
        house.let_in(rtmp).await;
        let shared = keeper
            .shared()
            .map(|(store, fence)| server::shared::spawn(&store, fence, &api));
        let ended = until_end(&station, &mut signals, || ticking.is_finished()).await;
        tracing::info!("going off air");
        // Nothing is answered any more that would not be saved.
        house.show_start();
        api.end();
        let is_superseded = matches!(ended, Ok(End::Superseded));
        if !is_superseded {
            house.close().await;
        }
        if let Some(shared) = shared {
            shared.stop().await;
        }
        // What is live now is to be live again: that it is stopped here is not saved.
        if let Some(sharing) = sharing {
            sharing.stop().await;
        }
        let kept = keeper.stop().await;
        // Files and sessions are ended before the ticks are, and before another program may lead.
        let (stopped, ()) = tokio::join!(station.stop(), kept.settle());
        // How the recordings ended is saved too; but another instance may have the state now.
        if !is_superseded {
            kept.save().await;
        }
        kept.let_go().await;
        let stopped = stopped.map_err(|error| anyhow::anyhow!("{error}"));
        if is_superseded {
            // Whatever is left of this one goes with it.
            if let Err(error) = stopped {
                tracing::error!("the stream was not stopped cleanly: {error}");
            }
            return Ok(signals.has_come().await);
        }
        stopped.and(ended)
    });
    if matches!(result, Ok(End::Superseded)) {
        return result;
    }
    stop.store(true, Relaxed);
    let engine_ended = ticking.join().is_ok();
    anyhow::ensure!(engine_ended, "the engine's thread ended by a panic");
    result
}

/// The scene, drawn and ready for its next tick.
struct Stage {
    begin: Begin,
    engine_settings: EngineSettings,
    engine: Engine,
    /// Pictures that the engine has.
    known: HashSet<Arc<str>>,
    ticks: Ticks,
    placed_at: PlacedAt,
    slate: Arc<I420Frame>,
}

impl Stage {
    fn build(program: &Program<'_>, opened: &Opened, origin: Origin) -> anyhow::Result<Self> {
        let (scene, settings, library) = (program.scene, program.settings, &program.library);
        if let Err(error) = SpeechFile::sweep(&settings.data_dir) {
            tracing::warn!(%error, "files of speech that an earlier run left cannot be deleted");
        }
        let stand = Stand {
            place: opened.place(),
            instance: opened.name(),
            leads: true,
        };
        let begin = keep::begin(opened.saved(), stand, scene, settings, library, origin)?;
        let (width, height) = begin.frame();
        let engine_settings = EngineSettings {
            width,
            height,
            ..prepare::engine_settings(
                &begin.first.spec,
                begin.rate,
                settings.render_threads,
                settings.pool_size,
                begin.show.config.max_layers,
            )
        };
        let (bundle, outgoing) = bundles(&begin, library)?;
        let known = [Some(&bundle), outgoing.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|bundle| &bundle.pictures)
            .map(|(src, _)| Arc::clone(src))
            .collect();
        // Its workers run as soon as the tick does.
        set_priority(Priority::Tick);
        let engine = Engine::new(engine_settings);
        set_priority(Priority::Normal);
        let mut engine = engine?;
        let ticks = Ticks::default();
        let placed_at = place(
            &mut engine,
            (bundle, outgoing),
            &begin,
            &ticks,
            opened.position_ns(),
        )?;
        let slate = slate(library, &engine_settings)?;
        match begin.show.pause {
            Some(PausedAs::Slate) => engine.hold(Hold::Slate(Arc::clone(&slate))),
            Some(PausedAs::LastFrame) => engine.hold(Hold::LastFrame),
            None => {}
        }
        Ok(Self {
            begin,
            engine_settings,
            engine,
            known,
            ticks,
            placed_at,
            slate,
        })
    }
}

/// The scene that comes on air with its files, and the one that it gives way to where a change was in course.
fn bundles(begin: &Begin, library: &Library) -> anyhow::Result<(SceneBundle, Option<SceneBundle>)> {
    let Some(resumed) = &begin.resumed else {
        return Ok((prepare::bundle(&begin.scene, library.assets())?, None));
    };
    // A stream that goes on does so without a picture that is gone.
    let without_missing = |scene: &LoadedScene| {
        let (bundle, missing) = prepare::bundle_without_missing(scene, library.assets());
        for error in missing {
            tracing::error!("the stream goes on without a file: {error}");
        }
        bundle
    };
    let Some(mix) = &resumed.mix else {
        return Ok((without_missing(&begin.scene), None));
    };
    let mut scene = begin.scene.clone();
    scene.spec.transitions.scene = mix.transition().clone();
    Ok((without_missing(&scene), Some(without_missing(&mix.from))))
}

/// What gives way to the scene on air, where that is in course.
fn changing(begin: &Begin, mix: Option<&MixNow>) -> Option<Changing> {
    let resumed = begin.resumed.as_ref().filter(|_| mix.is_some())?;
    resumed.mix.as_ref().map(ResumedMix::changing)
}

/// Where the scene stands in the engine.
struct PlacedAt {
    since_tick: u64,
    paused_tick: Option<u64>,
    standing: Standing,
    mix: Option<MixNow>,
}

/// Takes the scene on air, from its first tick on or from where the last run left off, and draws everything before the clock starts, so
/// that the first ticks are not late.
fn place(
    engine: &mut Engine,
    (mut bundle, outgoing): (SceneBundle, Option<SceneBundle>),
    begin: &Begin,
    ticks: &Ticks,
    position_ns: Option<u64>,
) -> anyhow::Result<PlacedAt> {
    let now_ms = now_ms().cast_signed();
    let spec = &begin.show.program.spec;
    let Some(resumed) = &begin.resumed else {
        ticks.set_epoch(Epoch(now_ms));
        engine.set_epoch(now_ms);
        engine.load(bundle)?;
        engine.tick();
        engine.seek(0);
        let clock = FrameClock {
            tick: 0,
            rate: begin.rate,
        };
        return Ok(PlacedAt {
            since_tick: 0,
            paused_tick: None,
            standing: control::fresh(spec, &clock, Epoch(now_ms)),
            mix: None,
        });
    };
    let from = resumed.ticks(begin.rate, now_ms, position_ns);
    let standing = resumed.standing(spec, begin.rate, &from);
    ticks.set_epoch(from.epoch);
    engine.set_epoch(from.epoch.0);
    let mix = resumed.mix.as_ref().zip(outgoing);
    let mix = mix.and_then(|(mix, bundle)| Some((mix.at(begin.rate, &from)?, bundle)));
    let mix = match mix {
        Some(((mix, standing), outgoing)) => {
            engine.seek(mix.since_tick);
            engine.load(outgoing)?;
            engine.resume(&standing, from.tick);
            // Only what has been seen can give way to something else.
            engine.tick();
            bundle.hold = Some(0.0);
            Some(mix)
        }
        None => None,
    };
    engine.seek(from.since_tick);
    engine.load(bundle)?;
    let mix = mix.filter(|mix| engine.resume_mix(mix.place));
    engine.resume(&standing, from.tick);
    // A frame that stands is the one before it did.
    if let Some(paused_tick) = from.paused_tick {
        engine.seek(paused_tick.saturating_sub(1).max(from.since_tick));
    }
    engine.tick();
    engine.seek(from.tick);
    ticks.note(from.tick);
    Ok(PlacedAt {
        since_tick: from.since_tick,
        paused_tick: from.paused_tick,
        standing,
        mix,
    })
}

/// Starts the stream, unless it was stopped when the last run ended.
async fn go_on_air(station: &Station, begin: &Begin) -> Result<(), ApiError> {
    let spec = &begin.show.program.spec;
    let canvas = &begin.scene.spec.canvas;
    let (scene, fps) = (&spec.name, begin.rate.as_f64());
    let Some(resumed) = &begin.resumed else {
        station.start().await?;
        tracing::info!(
            scene,
            width = canvas.width,
            height = canvas.height,
            fps,
            "the scene is on air"
        );
        return Ok(());
    };
    if let Some(since_ms) = resumed.live_since_ms {
        station.start_since(since_ms).await?;
        let revision = begin.show.revision;
        tracing::info!(
            scene,
            width = canvas.width,
            height = canvas.height,
            fps,
            revision,
            "the scene is on air, where the last run left off"
        );
    } else {
        tracing::warn!(
            scene,
            "the stream is stopped, as it was when the last run ended; `POST /stream/start` starts it"
        );
    }
    if let Some(scene) = resumed.preview.clone() {
        let director = station.director().clone();
        tokio::spawn(async move {
            let preview = Change::PreviewScene(PreviewScene { scene });
            if let Err(error) = director.change(preview, Terms::default()).await {
                tracing::warn!(%error, "the scene in preview cannot be made ready");
            }
        });
    }
    Ok(())
}

/// Decodes what the layers show of films, cameras and publishers, and tells how that goes.
pub(super) fn serve_inputs(
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
    let mut spec = scene_from_text(
        include_str!("../control/slate.json"),
        "slate",
        None,
        &options,
    )?;
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

/// Starts the ticks: at once with tick 0, or with the first one of the last run's that is still to come, at its moment.
fn spawn_ticks(
    mut engine: Engine,
    begin: &Begin,
    stop: Arc<AtomicBool>,
    ticks: Ticks,
) -> std::io::Result<thread::JoinHandle<()>> {
    let (rate, goes_on) = (begin.rate, begin.resumed.is_some());
    thread::Builder::new()
        .name("tick".to_owned())
        .spawn(move || {
            set_priority(Priority::Tick);
            let now = now_ms().cast_signed();
            if goes_on {
                let epoch = ticks.epoch();
                let tick = keep::next_tick(epoch, rate, now).max(engine.next_tick());
                engine.seek(tick);
                let due_ms = epoch.at(&FrameClock { tick, rate }) - now;
                let ahead = Duration::from_millis(u64::try_from(due_ms).unwrap_or(0));
                SystemClock.sleep_until(SystemClock.now() + ahead.min(Duration::from_secs(1)));
            } else {
                ticks.set_epoch(Epoch(now));
                engine.set_epoch(now);
            }
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

/// Waits until the program is to end, and reports meanwhile.
async fn until_end(
    station: &Station,
    signals: &mut Signals,
    tick_ended: impl Fn() -> bool,
) -> anyhow::Result<End> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut report =
        tokio::time::interval_at(tokio::time::Instant::now() + REPORT_EVERY, REPORT_EVERY);
    loop {
        tokio::select! {
            () = signals.come() => return Ok(End::Stopped),
            leader = station.saving().lost() => {
                tracing::error!("`{leader}` leads this stream now");
                return Ok(End::Superseded);
            }
            _ = second.tick() => anyhow::ensure!(!tick_ended(), "the tick loop ended"),
            _ = report.tick() => report_stats(&station.status(), station.streaming_stats().as_ref()),
        }
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
