//! The station: starts and stops the encoder and its outputs, follows settings that change while it runs, and measures.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use systems::profile::Profile;
use systems::publish::{Status, StatusBoard};
use tokio::sync::watch;

use super::config::Config;
use super::director::{Director, Outcome, Terms, Work};
use super::error::{ApiError, ErrorCode};
use super::events::{Event, Events};
use super::show::Show;
use super::ticks::Ticks;
use crate::config::Settings;
use crate::live;
use crate::ports::{FrameRequests, LivePort, PlacedRequests};
use crate::streaming::{Streaming, StreamingStats, ThreadEnd};

/// Files and sessions must have ended by then when the stream is stopped.
pub const SHUTDOWN_MAX: Duration = Duration::from_millis(4500);

/// The stream as a whole. Cheap to copy.
#[derive(Clone)]
pub struct Station(Arc<Inner>);

struct Inner {
    settings: Settings,
    director: Director,
    streaming: Mutex<Option<Arc<Streaming>>>,
    /// Held while the stream is started or stopped.
    changing: tokio::sync::Mutex<()>,
    board: StatusBoard,
    profile: Profile,
    ticks: Ticks,
    events: Events,
    frames: FrameRequests,
    placed: PlacedRequests,
    figures: watch::Sender<Figures>,
    /// Of outputs that were stopped with the stream, for counters that never go back.
    past: Mutex<Past>,
}

/// What was counted by encoders that have ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Past {
    /// Frames encoded.
    pub frames: u64,
    /// Bytes encoded.
    pub bytes: u64,
    /// Frames that found no room.
    pub dropped: u64,
    /// Encoders that failed and were replaced.
    pub restarts: u64,
}

/// Measured once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Frames made a second, over the last five seconds.
    pub fps: f64,
    /// Kbit/s of picture and sound.
    pub bitrate_kbps: f64,
    /// Frames that were the one before again, or that the encoder had no room for.
    pub dropped_frames: u64,
    /// Percent of one core.
    pub cpu_percent: f64,
    /// Bytes of memory in use (resident set).
    pub memory_bytes: u64,
    /// Mean milliseconds that a tick's systems take.
    pub render_ms: f64,
    /// Clients that watch the program.
    pub viewers: u64,
}

/// What the station is made of.
pub struct Parts {
    /// The settings at the start.
    pub settings: Settings,
    /// Who changes things.
    pub director: Director,
    /// What the ticks come to.
    pub board: StatusBoard,
    /// The times of all systems.
    pub profile: Profile,
    /// The ticks.
    pub ticks: Ticks,
    /// Where events are told.
    pub events: Events,
    /// Where single frames are asked for.
    pub frames: FrameRequests,
    /// Where it is asked how the layers stand.
    pub placed: PlacedRequests,
}

impl Station {
    /// A stopped station.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            settings: parts.settings,
            director: parts.director,
            streaming: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            board: parts.board,
            profile: parts.profile,
            ticks: parts.ticks,
            events: parts.events,
            frames: parts.frames,
            placed: parts.placed,
            figures: watch::Sender::new(Figures::default()),
            past: Mutex::default(),
        }))
    }

    /// Who changes things.
    pub fn director(&self) -> &Director {
        &self.0.director
    }

    /// The settings at the start.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What the ticks come to.
    pub fn status(&self) -> Status {
        self.0.board.read()
    }

    /// The times of all systems.
    pub fn profile(&self) -> &Profile {
        &self.0.profile
    }

    /// The ticks.
    pub fn ticks(&self) -> &Ticks {
        &self.0.ticks
    }

    /// Where events are told.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Where single frames are asked for.
    pub fn frames(&self) -> &FrameRequests {
        &self.0.frames
    }

    /// Where it is asked how the layers stand.
    pub fn placed(&self) -> &PlacedRequests {
        &self.0.placed
    }

    /// What was measured last.
    pub fn figures(&self) -> Figures {
        *self.0.figures.borrow()
    }

    /// The encoder and its outputs; `None` while stopped.
    pub fn streaming(&self) -> Option<Arc<Streaming>> {
        self.lock().clone()
    }

    /// How encoder and outputs go; `None` while stopped.
    pub fn streaming_stats(&self) -> Option<StreamingStats> {
        self.streaming().map(|streaming| streaming.stats())
    }

    /// What was counted before the stream was last started.
    pub fn past(&self) -> Past {
        *self.0.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on air with the settings as they are now; already there, it changes nothing.
    ///
    /// # Errors
    /// The encoder or its outputs cannot be started.
    pub async fn start(&self) -> Result<Outcome, ApiError> {
        let _changing = self.0.changing.lock().await;
        if self.streaming().is_some() {
            return Ok(self.unchanged());
        }
        let config = self.0.director.snapshot().show.config.clone().started();
        let settings = self.0.settings.clone();
        let started =
            tokio::task::spawn_blocking(move || start_streaming(&settings, &config)).await;
        let streaming = match started {
            Ok(Ok(streaming)) => Arc::new(streaming),
            Ok(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "the stream cannot be started");
                let message = format!("the stream cannot be started: {error}");
                return Err(ApiError::new(ErrorCode::Unavailable, message));
            }
            Err(_) => return Err(ApiError::internal("starting the stream failed")),
        };
        let since_ms = now_ms();
        let port = Box::new(LivePort(streaming.sender()));
        let outcome = self
            .0
            .director
            .ask(Work::GoLive { port, since_ms }, Terms::default())
            .await?;
        *self.lock() = Some(streaming);
        tracing::info!(tick = outcome.tick, "on air");
        Ok(outcome)
    }

    /// Goes off air: files and sessions are ended cleanly. Already off, it changes nothing.
    ///
    /// # Errors
    /// The world does not take the command.
    pub async fn stop(&self) -> Result<Outcome, ApiError> {
        let _changing = self.0.changing.lock().await;
        let Some(streaming) = self.streaming() else {
            return Ok(self.unchanged());
        };
        let outcome = self.0.director.ask(Work::GoOff, Terms::default()).await?;
        *self.lock() = None;
        let stats = streaming.stats().encoder();
        {
            let mut past = self.0.past.lock().unwrap_or_else(PoisonError::into_inner);
            past.frames += stats.frames;
            past.bytes += stats.bytes;
            past.dropped += stats.frames_dropped;
            past.restarts += stats.restarts;
        }
        let ends = tokio::task::spawn_blocking(move || shut_down(streaming))
            .await
            .unwrap_or_default();
        live::report_ends(&ends);
        tracing::info!(tick = outcome.tick, "off air");
        Ok(outcome)
    }

    fn unchanged(&self) -> Outcome {
        let snapshot = self.0.director.snapshot();
        Outcome {
            tick: self.0.ticks.next(),
            revision: snapshot.show.revision,
            show: Arc::clone(&snapshot.show),
            scheduled: None,
        }
    }

    /// Has the running encoder follow a config. What it cannot change holds from the next start on.
    pub fn follow(&self, config: &Config) {
        let Some(streaming) = self.streaming() else {
            return;
        };
        let bitrate = streaming.set_bitrate_kbps(None, config.bitrate_kbps);
        let preset = streaming.set_preset(None, config.preset);
        for error in [bitrate.err(), preset.err()].into_iter().flatten() {
            tracing::warn!(%error, "the running encoder does not follow");
        }
    }

    /// Follows every change of the config from now on, measures once a second, and tells both; ends with the program.
    pub async fn watch(self, mut shows: watch::Receiver<Arc<super::Snapshot>>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut meter = Meter::new();
        let mut config = shows.borrow().show.config.clone();
        loop {
            tokio::select! {
                changed = shows.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let show: Arc<Show> = Arc::clone(&shows.borrow_and_update().show);
                    if show.config != config {
                        config = show.config.clone();
                        self.follow(&config);
                    }
                }
                _ = second.tick() => {
                    if let Some(streaming) = self.streaming() {
                        live::report_ends(&streaming.ended());
                    }
                    self.measure(&mut meter);
                }
            }
        }
    }

    fn measure(&self, meter: &mut Meter) {
        let status = self.status();
        let stats = self.streaming_stats();
        let figures = meter.measure(&status, stats.as_ref(), self.past(), &self.0.profile);
        self.0.figures.send_replace(figures);
        let data = serde_json::json!({
            "fps": figures.fps,
            "bitrate": figures.bitrate_kbps,
            "dropped": figures.dropped_frames,
            "cpu": figures.cpu_percent,
            "memory": figures.memory_bytes,
            "viewers": figures.viewers,
        });
        self.0.events.tell(
            Event::new("metrics:update", data),
            status.counters.revision,
            status.tick,
        );
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Streaming>>> {
        self.0
            .streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn start_streaming(settings: &Settings, config: &Config) -> anyhow::Result<Streaming> {
    let mut encoder = live::encoder_settings(
        settings,
        config.resolution.0,
        config.resolution.1,
        config.fps,
    );
    encoder.video.bitrate_kbps = config.bitrate_kbps;
    encoder.video.preset = config.preset;
    if !config.audio {
        encoder.audio = None;
    }
    if let Some(audio) = &mut encoder.audio {
        audio.bitrate_kbps = config.audio_bitrate_kbps;
    }
    let outputs = live::outputs(settings, config.fps)?;
    Ok(Streaming::start(encoder, outputs)?)
}

fn shut_down(mut streaming: Arc<Streaming>) -> Vec<ThreadEnd> {
    // Others hold it for a moment at most, to look at its figures.
    let deadline = Instant::now() + SHUTDOWN_MAX;
    loop {
        match Arc::try_unwrap(streaming) {
            Ok(streaming) => return streaming.shutdown(deadline - Instant::now().min(deadline)),
            Err(shared) if Instant::now() < deadline => {
                streaming = shared;
                std::thread::yield_now();
            }
            // Dropped by the last who holds it, which tells its threads to end.
            Err(_) => return Vec::new(),
        }
    }
}

/// Milliseconds since 1970 (UTC).
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Seconds over which frames are counted for their rate: one more or less matters little then.
const FPS_SECONDS: usize = 5;

/// Makes rates of counters.
struct Meter {
    /// When how many frames had been made, the newest last.
    frames: VecDeque<(Instant, u64)>,
    at: Instant,
    cpu: Duration,
    ticks: u64,
    tick_nanos: u64,
}

impl Meter {
    fn new() -> Self {
        Self {
            frames: VecDeque::with_capacity(FPS_SECONDS + 1),
            at: Instant::now(),
            cpu: Duration::ZERO,
            ticks: 0,
            tick_nanos: 0,
        }
    }

    fn measure(
        &mut self,
        status: &Status,
        stats: Option<&StreamingStats>,
        past: Past,
        profile: &Profile,
    ) -> Figures {
        let now = Instant::now();
        let seconds = (now - self.at).as_secs_f64().max(1e-3);
        let usage = own_usage();
        let counters = status.counters;
        let nanos: u64 = profile
            .systems()
            .iter()
            .map(|system| system.total_nanos())
            .sum();
        let ticks = counters.frames - counters.repeated.min(counters.frames);
        let ticked = ticks.saturating_sub(self.ticks).max(1);
        if self.frames.len() > FPS_SECONDS {
            self.frames.pop_front();
        }
        let fps = self.frames.front().map_or(0.0, |(at, frames)| {
            counters.frames.saturating_sub(*frames) as f64 / (now - *at).as_secs_f64().max(1e-3)
        });
        self.frames.push_back((now, counters.frames));
        let dropped = past.dropped + stats.map_or(0, |stats| stats.encoder().frames_dropped);
        let figures = Figures {
            fps: (fps * 100.0).round() / 100.0,
            bitrate_kbps: stats.map_or(0.0, |stats| stats.encoder().bitrate_kbps),
            dropped_frames: counters.repeated + dropped,
            cpu_percent: usage.cpu.saturating_sub(self.cpu).as_secs_f64() / seconds * 100.0,
            memory_bytes: usage.memory_bytes,
            render_ms: nanos.saturating_sub(self.tick_nanos) as f64 / 1e6 / ticked as f64,
            viewers: 0,
        };
        self.at = now;
        self.cpu = usage.cpu;
        self.ticks = ticks;
        self.tick_nanos = nanos;
        figures
    }
}

/// What this process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open files and sockets.
    pub descriptors: u64,
}

/// As Linux's `/proc/self` says (proc(5)); nought elsewhere.
pub fn own_usage() -> Usage {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return Usage::default();
    };
    // After the name in parentheses: utime and stime are the 12th and 13th, rss the 22nd.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let number = |index: usize| -> u64 {
        fields
            .get(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let descriptors =
        std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    Usage {
        cpu: Duration::from_secs_f64((number(11) + number(12)) as f64 / ticks_per_second as f64),
        memory_bytes: number(21) * rustix::param::page_size() as u64,
        descriptors,
    }
}
