//! The station: starts and stops the encoder and its outputs, follows settings that change while it runs, and measures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use systems::audio::{LevelBoard, SoundLevels};
use systems::profile::Profile;
use systems::publish::{Status, StatusBoard};
use tokio::sync::watch;

use super::director::{Director, Outcome, Terms, Work};
use super::error::{ApiError, ErrorCode};
use super::events::{Event, Events};
use super::figures::{Figures, Meter};
use super::hear::Ear;
use super::keep::{Saving, next_tick};
use super::outputs::{self, Desk};
use super::recordings;
use super::show::Show;
use super::speech::SpeechDesk;
use super::thumbnails::Thumbnails;
use super::ticks::Ticks;
use super::view::json_of;
use super::viewers::Viewers;
use crate::config::Settings;
use crate::inputs::Inputs;
use crate::live;
use crate::ports::{FrameRequests, LivePort, PlacedRequests};
use crate::store::PersistState;
use crate::streaming::{
    Conditions, Leave, PacketTap, Replay, Streaming, StreamingStats, ThreadEnd,
};

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
    levels: LevelBoard,
    profile: Profile,
    ticks: Ticks,
    events: Events,
    frames: FrameRequests,
    placed: PlacedRequests,
    figures: watch::Sender<Figures>,
    desk: Desk,
    recordings: recordings::Store,
    replay: Arc<Replay>,
    thumbnails: Thumbnails,
    ear: Ear,
    inputs: Inputs,
    players: Arc<dyn PacketTap>,
    speech: SpeechDesk,
    saving: Saving,
    leave: Leave,
    viewers: Viewers,
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

/// What the station is made of.
pub struct Parts {
    /// The settings at the start.
    pub settings: Settings,
    /// Who changes things.
    pub director: Director,
    /// What the ticks come to.
    pub board: StatusBoard,
    /// How loud they are.
    pub levels: LevelBoard,
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
    /// What is kept of the outputs.
    pub desk: Desk,
    /// The recordings.
    pub recordings: recordings::Store,
    /// Where the streaming threads tell what happens.
    pub ear: Ear,
    /// What the layers show of films, cameras and publishers.
    pub inputs: Inputs,
    /// Who takes the program's packets for players.
    pub players: Arc<dyn PacketTap>,
    /// Where speech is asked for.
    pub speech: SpeechDesk,
    /// How saving goes.
    pub saving: Saving,
    /// Whether it may be sent to servers.
    pub leave: Leave,
}

impl Station {
    /// A stopped station.
    pub fn new(parts: Parts) -> Self {
        let replay = Arc::new(Replay::default());
        let wishes = parts.recordings.wishes();
        let (seconds, is_on) = wishes.replay(parts.settings.replay_seconds);
        replay.set(seconds, is_on);
        Self(Arc::new(Inner {
            settings: parts.settings,
            director: parts.director,
            streaming: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            board: parts.board,
            levels: parts.levels,
            profile: parts.profile,
            ticks: parts.ticks,
            events: parts.events,
            frames: parts.frames,
            placed: parts.placed,
            figures: watch::Sender::new(Figures::default()),
            desk: parts.desk,
            recordings: parts.recordings,
            replay,
            thumbnails: Thumbnails::default(),
            ear: parts.ear,
            inputs: parts.inputs,
            players: parts.players,
            speech: parts.speech,
            saving: parts.saving,
            leave: parts.leave,
            viewers: Viewers::default(),
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

    /// What the meters of sound show.
    pub fn sound_levels(&self) -> SoundLevels {
        self.0.levels.read()
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

    /// What is kept of the outputs.
    pub fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// What the layers show of films, cameras and publishers.
    pub fn inputs(&self) -> &Inputs {
        &self.0.inputs
    }

    /// The recordings.
    pub fn recordings(&self) -> &recordings::Store {
        &self.0.recordings
    }

    /// The last seconds of the program.
    pub fn replay(&self) -> &Replay {
        &self.0.replay
    }

    /// Small pictures of the program.
    pub fn thumbnails(&self) -> &Thumbnails {
        &self.0.thumbnails
    }

    /// How well changes are saved.
    pub fn saving(&self) -> &Saving {
        &self.0.saving
    }

    /// Who watches the program from this process.
    pub fn viewers(&self) -> &Viewers {
        &self.0.viewers
    }

    /// Events of the streaming threads that found no room.
    pub fn events_lost(&self) -> u64 {
        self.0.ear.lost()
    }

    /// Held while the stream, or what it writes to, is started or stopped.
    pub(super) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.changing.lock().await
    }

    /// Where speech is asked for and seen.
    pub fn speech(&self) -> &SpeechDesk {
        &self.0.speech
    }

    /// Tells an event of now.
    pub fn tell(&self, event: Event) {
        let status = self.status();
        let events = self.events();
        events.tell(event, status.counters.revision, status.tick);
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
        self.start_after(None).await
    }

    /// As [`Station::start`], of a stream that is on air since then and was interrupted.
    ///
    /// # Errors
    /// As [`Station::start`].
    pub async fn start_since(&self, since_ms: u64) -> Result<Outcome, ApiError> {
        self.start_after(Some(since_ms)).await
    }

    async fn start_after(&self, gone_on_ms: Option<u64>) -> Result<Outcome, ApiError> {
        let _changing = self.0.changing.lock().await;
        if self.streaming().is_some() {
            return Ok(self.unchanged());
        }
        let since_ms = gone_on_ms.unwrap_or_else(now_ms);
        let snapshot = self.0.director.snapshot();
        let conditions = Conditions {
            leave: self.0.leave.clone(),
            origin_ns: gone_on_ms.map(|since_ms| {
                let begun = snapshot.origin_tick.unwrap_or_else(|| {
                    next_tick(self.0.ticks.epoch(), snapshot.rate, since_ms.cast_signed())
                });
                snapshot.rate.nanos_at(begun).cast_signed()
            }),
        };
        let mut show = (*snapshot.show).clone();
        show.config = show.config.started();
        let station = self.clone();
        let started = tokio::task::spawn_blocking(move || {
            station.start_streaming(&show, since_ms, conditions)
        })
        .await;
        let streaming = match started {
            Ok(Ok(streaming)) => Arc::new(streaming),
            Ok(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "the stream cannot be started");
                let message = format!("the stream cannot be started: {error}");
                return Err(ApiError::new(ErrorCode::Unavailable, message));
            }
            Err(_) => return Err(ApiError::internal("starting the stream failed")),
        };
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
        self.measure_recordings(&streaming, &streaming.stats());
        self.desk().stopped();
        let recordings = self.recordings().clone();
        let shut_down = move || (shut_down(streaming), recordings.end_all());
        let (ends, ended) = tokio::task::spawn_blocking(shut_down)
            .await
            .unwrap_or_default();
        live::report_ends(&ends);
        for recording in &ended {
            self.tell_recording(recording);
        }
        tracing::info!(tick = outcome.tick, "off air");
        Ok(outcome)
    }

    /// Opens the encoders, and starts the outputs, the recording and the replay of a stream that is live since then.
    fn start_streaming(
        &self,
        show: &Show,
        since_ms: u64,
        conditions: Conditions,
    ) -> anyhow::Result<Streaming> {
        let (settings, config) = (self.settings(), &show.config);
        let ladder = outputs::ladder(&show.outputs, settings, config)?;
        // None of the outputs can keep the stream from starting.
        let listener = self.0.ear.listener();
        let streaming = Streaming::start_under(ladder, Vec::new(), listener, conditions)?;
        self.desk()
            .start(&streaming, &show.outputs, settings, config);
        if let Some((output, begun)) = self.records_at_start(show, since_ms) {
            self.recordings().begin(&begun);
            if let Err(error) = outputs::begin(&streaming, output) {
                tracing::error!(%error, "nothing is recorded");
                let failed = recordings::RecordingState::Failed;
                self.recordings()
                    .end(recordings::OUTPUT, failed, Some(&error.message));
            }
        }
        streaming.keep_replay(None, &self.0.replay)?;
        streaming.tap_main(&self.0.players)?;
        Ok(streaming)
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

    /// Has the running encoders follow a show. What they cannot change holds from the next start on.
    pub fn follow(&self, show: &Show) {
        let Some(streaming) = self.streaming() else {
            return;
        };
        for rendition in &show.outputs.renditions {
            outputs::follow_rendition(&streaming, rendition, &show.config);
        }
    }

    /// Follows every change of the config from now on, measures once a second, and tells both; ends with the program.
    pub async fn watch(self, mut shows: watch::Receiver<Arc<super::Snapshot>>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut meter = Meter::new();
        let mut known = Arc::clone(&shows.borrow().show);
        loop {
            tokio::select! {
                changed = shows.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let show: Arc<Show> = Arc::clone(&shows.borrow_and_update().show);
                    if show.config != known.config {
                        self.follow(&show);
                    }
                    known = show;
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
        if let (Some(streaming), Some(stats)) = (self.streaming(), &stats) {
            self.measure_recordings(&streaming, stats);
        }
        let mut figures = meter.measure(&status, stats.as_ref(), self.past(), &self.0.profile);
        figures.viewers = self.0.viewers.count(Instant::now());
        self.0.figures.send_replace(figures);
        let data = serde_json::json!({
            "fps": figures.fps,
            "bitrate": figures.bitrate_kbps,
            "dropped": figures.dropped_frames,
            "cpu": figures.cpu_percent,
            "memory": figures.memory_bytes,
            "viewers": figures.viewers.total(),
        });
        self.tell(Event::new("metrics:update", data));
    }

    /// Tells how well changes are saved whenever that turns, until the program ends.
    pub async fn tell_saving(self) {
        let mut state = PersistState::Ok;
        loop {
            let status = self.0.saving.turned(state).await;
            state = status.state;
            self.tell(Event::new("store:state", json_of(&status)));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Streaming>>> {
        self.0
            .streaming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
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
