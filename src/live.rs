//! A scene on the air: the engine's thread, the encoder and its outputs, the watched scene file, and the HTTP servers, from start to
//! a clean end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use codec::{AudioSettings, FrameRate as CodecRate, VideoSettings};
use components::scene::FrameRate;
use systems::command::{Applied, Command, CommandError, CommandSender};
use systems::publish::Status;
use systems::{Engine, EngineSettings};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock::SystemClock;
use crate::config::Settings;
use crate::http::{self, Health, Pulse};
use crate::ports::LivePort;
use crate::scene::{LoadOptions, LoadedScene, SceneErrors, SceneWatcher};
use crate::streaming::{
    EncoderSettings, OutputKind, OutputSettings, Streaming, StreamingStats, ThreadEnd,
};
use crate::{prepare, tick_loop};

/// Files and sessions must have ended by then after a signal.
const SHUTDOWN_MAX: Duration = Duration::from_millis(4500);
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
        // The rest of the pool: one frame is composed, one is the last, one is inside the encoder.
        frame_queue: settings.pool_size.saturating_sub(3).clamp(1, 16),
    }
}

/// The sound's settings; `None` when the stream is to have none.
pub fn audio_settings(settings: &Settings) -> Option<AudioSettings> {
    settings.audio_enabled.then(|| AudioSettings {
        bitrate_kbps: settings.audio_bitrate_kbps,
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
        .thread_name("http")
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

    let canvas = &scene.spec.canvas;
    let rate = canvas.fps.unwrap_or(settings.target_fps);
    let engine_settings = prepare::engine_settings(
        &scene.spec,
        rate,
        settings.render_threads,
        settings.pool_size,
        settings.max_layers,
    );
    let mut engine = Engine::new(engine_settings)?;
    engine.load(prepare::bundle(&scene)?)?;
    // Everything is drawn before the clock starts, so that the first ticks are not late.
    engine.tick();
    engine.seek(0);

    let streaming = Arc::new(Streaming::start(
        encoder_settings(settings, canvas.width, canvas.height, rate),
        outputs(settings, rate)?,
    )?);
    engine.add_port(Box::new(LivePort(streaming.sender())));
    let pulse = Pulse::default();
    let health = Health {
        board: engine.status_board(),
        pulse: pulse.clone(),
    };
    let _pictures = prepare::serve_pictures(&scene, engine.picture_door())?;
    let _watcher = watch_scene(&scene, options, engine.commands(), engine_settings)?;

    let stop = Arc::new(AtomicBool::new(false));
    let ticking = spawn_ticks(engine, rate, Arc::clone(&stop), pulse)?;
    tracing::info!(
        scene = scene.spec.name,
        width = canvas.width,
        height = canvas.height,
        fps = rate.as_f64(),
        "on air"
    );

    let result = runtime.block_on(serve_until_signal(
        settings,
        health,
        signals,
        &streaming,
        || ticking.is_finished(),
    ));

    stop.store(true, Relaxed);
    let engine_ended = ticking.join().is_ok();
    let ends = match Arc::try_unwrap(streaming) {
        Ok(streaming) => streaming.shutdown(SHUTDOWN_MAX),
        Err(_) => Vec::new(),
    };
    report_ends(&ends);
    anyhow::ensure!(engine_ended, "the engine's thread ended by a panic");
    result
}

fn spawn_ticks(
    mut engine: Engine,
    rate: FrameRate,
    stop: Arc<AtomicBool>,
    pulse: Pulse,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name("tick".to_owned())
        .spawn(move || {
            tick_loop::run(&mut engine, rate, &SystemClock, &stop, |_| pulse.beat());
            let counters = engine.counters();
            tracing::info!(
                frames = counters.frames,
                repeated = counters.repeated,
                late = counters.late,
                "off air"
            );
        })
}

fn outputs(settings: &Settings, rate: FrameRate) -> anyhow::Result<Vec<OutputSettings>> {
    let mut outputs = Vec::new();
    if settings.hls {
        let folder = settings.hls_dir();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("the folder `{}` cannot be made", folder.display()))?;
        outputs.push(OutputSettings::new(
            "hls",
            format!("{}/", folder.display()),
        )?);
    }
    if settings.recording {
        let folder = settings.recordings_dir();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("the folder `{}` cannot be made", folder.display()))?;
        outputs.push(OutputSettings::new(
            "recording",
            free_name(&folder).to_string_lossy(),
        )?);
    }
    if let Some(url) = &settings.stream_url {
        let mut push = OutputSettings::new("push", url.reveal())?;
        push.retry_attempts = settings.retry_attempts;
        push.retry_delay = settings.retry_delay;
        outputs.push(push);
    }
    for output in &mut outputs {
        let wanted = settings.queue_packets(rate);
        // A recording should lose nothing to a slow disk; a live peer should not fall far behind.
        output.max_queue = if matches!(output.kind, OutputKind::File(_)) {
            output.max_queue.max(wanted)
        } else {
            wanted.max(16)
        };
        tracing::info!(output = output.id, target = output.target_shown(), "output");
    }
    Ok(outputs)
}

/// A file name that is not taken, from the time in UTC: `20260131T235959Z.mp4`.
fn free_name(folder: &Path) -> PathBuf {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let stamp = utc_stamp(seconds);
    let mut path = folder.join(format!("{stamp}.mp4"));
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = folder.join(format!("{stamp}-{number}.mp4"));
    }
    path
}

/// Seconds since 1970 as `YYYYMMDDTHHMMSSZ` (ISO 8601 basic), by the civil calendar of days since 0000-03-01.
fn utc_stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

fn watch_scene(
    scene: &LoadedScene,
    options: LoadOptions,
    commands: CommandSender,
    engine: EngineSettings,
) -> anyhow::Result<SceneWatcher> {
    let on_change = move |loaded: Result<LoadedScene, SceneErrors>| {
        if let Err(reason) = reload(loaded, &commands, &engine) {
            tracing::error!("the scene was not reloaded, nothing changed on air: {reason}");
        }
    };
    Ok(SceneWatcher::start(scene, options, on_change)?)
}

fn reload(
    loaded: Result<LoadedScene, SceneErrors>,
    commands: &CommandSender,
    engine: &EngineSettings,
) -> Result<(), String> {
    let scene = loaded.map_err(|errors| errors.plain())?;
    let mut bundle = prepare::bundle(&scene).map_err(|error| error.to_string())?;
    prepare::draw_ahead(&mut bundle, engine);
    let name = scene.spec.name;
    let answer = move |result: Result<Applied, CommandError>| match result {
        Ok(applied) => tracing::info!(
            scene = name,
            tick = applied.tick,
            revision = applied.revision,
            "the scene was reloaded"
        ),
        Err(error) => {
            tracing::error!("the scene was not reloaded, nothing changed on air: {error}")
        }
    };
    commands
        .send(Command::LoadScene(Box::new(bundle)), answer)
        .map_err(|error| error.to_string())
}

/// What asks the program to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

async fn serve_until_signal(
    settings: &Settings,
    health: Health,
    mut signals: Signals,
    streaming: &Streaming,
    tick_ended: impl Fn() -> bool,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(());
    let until_stop = || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.changed().await) }
    };
    let bind = |port| (settings.bind, port).into();
    let board = health.board.clone();
    let mut servers = Vec::new();
    let mut addresses = Vec::new();
    for (port, router) in [
        (settings.port, http::player(&settings.hls_dir())),
        (settings.health_port, http::health(health)),
    ] {
        let (address, server) = http::serve(bind(port), router, until_stop())
            .await
            .with_context(|| format!("port {port} of {} cannot be used", settings.bind))?;
        servers.push(tokio::spawn(server));
        addresses.push(address);
    }
    if let [player, health] = addresses[..] {
        tracing::info!(player = %url(player), health = %url(health), "listening");
    }

    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut report =
        tokio::time::interval_at(tokio::time::Instant::now() + REPORT_EVERY, REPORT_EVERY);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = second.tick() => {
                report_ends(&streaming.ended());
                anyhow::ensure!(!tick_ended(), "the tick loop ended");
            }
            _ = report.tick() => report_stats(&board.read(), &streaming.stats()),
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
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

fn report_stats(status: &Status, stats: &StreamingStats) {
    let counters = status.counters;
    tracing::info!(
        frames = counters.frames,
        repeated = counters.repeated,
        late = counters.late,
        dropped = counters.encoder_full,
        last_drop = ?status.blame,
        "engine"
    );
    tracing::info!(encoder = ?stats.encoder, "encoder");
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

fn report_ends(ends: &[ThreadEnd]) {
    for end in ends {
        match &end.result {
            Ok(()) => tracing::info!(thread = end.who, "ended"),
            Err(error) => tracing::error!(thread = end.who, error = error.chain(), "ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::utc_stamp;

    #[test]
    fn stamps_follow_the_calendar() {
        assert_eq!(utc_stamp(0), "19700101T000000Z");
        assert_eq!(utc_stamp(951_827_696), "20000229T123456Z");
        assert_eq!(utc_stamp(4_107_542_399), "21000228T235959Z");
    }
}
