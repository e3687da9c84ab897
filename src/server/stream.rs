//! The stream as a whole: status, metrics, start, stop, pause and resume.

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Answered, Asking, Json, MaybeJson, Reply, asked};
use super::routes::{Doc, Routes};
use super::{Api, Membership};
use crate::control::change::{PauseStream, ResumeStream};
use crate::control::{Change, ErrorCode, Show, Terms, ViewerCount};
use crate::prepare::AssetCacheFigures;
use crate::store::PersistStatus;

const TAG: &str = "stream";

/// How the stream stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// Whether the program is encoded and sent.
    is_live: bool,
    /// Whether a slate or the last frame is shown in the place of the scene.
    is_paused: bool,
    /// Frames made a second, measured over the last five seconds.
    fps: f64,
    /// Frames made since the program started.
    frame_count: u64,
    /// Frames that were the one before again, or that the encoder had no room for.
    dropped_frames: u64,
    /// Mean milliseconds that a frame took, over the last second.
    average_render_time: f64,
    /// Milliseconds since 1970 (UTC) at which the stream went on air; null while it is stopped.
    start_time: Option<u64>,
    /// The tick that was last.
    tick: u64,
    /// The world's revision.
    revision: u64,
    /// The name of the scene on air.
    scene: String,
    /// The name of the scene in preview.
    preview: Option<String>,
    /// Ticks that ended after their time.
    late_frames: u64,
    /// Clients that watch the program from this process.
    viewer_count: u64,
    /// How well changes are saved.
    store: PersistStatus,
    /// What this instance is: the one that is on air, or one that waits to take its place.
    role: StreamRole,
    /// The name of the instance that leads the stream, where several may share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<String>,
}

/// What an instance is among those of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StreamRole {
    /// It makes the program.
    Leader,
    /// It follows what the leader saves, and has it do what is asked here.
    Standby,
}

/// What this instance is, and who leads.
pub fn role(api: &Api) -> (StreamRole, Option<String>) {
    match api.membership() {
        Membership::Leader { name, .. } => (StreamRole::Leader, name.clone()),
        Membership::Standby(standby) => (StreamRole::Standby, standby.leader()),
    }
}

/// Figures of the running stream.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamMetrics {
    /// Frames made a second, measured over the last five seconds.
    fps: f64,
    /// Kbit/s of picture and sound; 0 while stopped.
    bitrate: f64,
    /// Frames that were the one before again, or that the encoder had no room for.
    dropped_frames: u64,
    /// Clients that watch the program from this process.
    viewer_count: u64,
    /// The same by how they watch.
    viewers: ViewerCount,
    /// Percent of one core, of all threads together.
    cpu_usage: f64,
    /// Bytes of memory in use.
    memory_usage: u64,
    /// Mean milliseconds that a frame takes.
    render_time: f64,
    /// Frames that wait for the encoder.
    encoder_queue: usize,
    /// Clients of WebSocket.
    web_socket_clients: usize,
    /// Decoded pictures and fonts that are kept.
    asset_cache: AssetCacheFigures,
}

/// What the stream is told to do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// What to do.
    action: Action,
}

/// The lifecycle of the stream.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Go on air.
    Start,
    /// Go off air.
    Stop,
    /// Show the slate.
    Pause,
    /// Show the scene again.
    Resume,
}

fn control_doc(id: &'static str) -> Doc {
    Doc::new(TAG, id, "Starts, stops, pauses or resumes the stream")
        .body::<Control>()
        .example(json!({"action": "pause"}))
        .changes::<StreamStatus>("How the stream stands now.")
        .error(ErrorCode::Conflict)
}

fn status_doc(id: &'static str) -> Doc {
    Doc::new(TAG, id, "Says how the stream stands")
        .more("Frames, rates and viewers are those of the instance that is asked: one that stands by makes none. `GET /stream/metrics` is the leader's, whichever is asked.")
        .answers::<StreamStatus>("How it stands.")
}

/// The routes.
pub fn routes() -> Routes {
    let lifecycle = |id, summary| {
        Doc::new(TAG, id, summary)
            .changes::<StreamStatus>("How the stream stands now.")
            .error(ErrorCode::Conflict)
    };
    Routes::new()
        .get("/status", status_doc("getStatus"), status)
        .get(
            "/metrics",
            Doc::new(TAG, "getMetrics", "Gives the figures of the running stream")
                .answers::<StreamMetrics>("The figures."),
            metrics,
        )
        .post(
            "/start",
            lifecycle("startStream", "Goes on air; already there, it changes nothing")
                .more("The encoder and all outputs start; settings that waited for the next start hold from here on."),
            start,
        )
        .post(
            "/stop",
            lifecycle("stopStream", "Goes off air; already off, it changes nothing")
                .more("Files and sessions are ended cleanly. The scene goes on and can be changed."),
            stop,
        )
        .post(
            "/pause",
            lifecycle("pauseStream", "Shows a slate in the place of the scene")
                .more("The stream stays connected, and the scene goes on behind the slate.")
                .optional_body::<PauseStream>()
                .terms(),
            pause,
        )
        .post(
            "/resume",
            lifecycle("resumeStream", "Shows the scene again").terms(),
            resume,
        )
        .post("/control", control_doc("controlStream"), control)
}

/// The paths that earlier clients know.
pub fn aliases() -> Routes {
    Routes::new()
        .get("/status", status_doc("getStatusAlias"), status)
        .post("/control", control_doc("controlStreamAlias"), control)
}

/// How the stream stands in `show`.
pub fn view(api: &Api, show: &Show) -> StreamStatus {
    let status = api.station().status();
    let figures = api.station().figures();
    let (role, leader) = role(api);
    StreamStatus {
        is_live: show.live_since_ms.is_some(),
        is_paused: show.pause.is_some(),
        fps: figures.fps,
        frame_count: status.counters.frames,
        dropped_frames: figures.dropped_frames,
        average_render_time: figures.render_ms,
        start_time: show.live_since_ms,
        tick: status.tick,
        revision: show.revision,
        scene: show.program.id.clone(),
        preview: show.preview.as_ref().map(|preview| preview.id.clone()),
        late_frames: status.counters.late,
        viewer_count: figures.viewers.total(),
        store: api.station().saving().status(),
        role,
        leader,
    }
}

async fn status(State(api): State<Api>) -> Answered {
    Reply::of(view(&api, &api.director().snapshot().show))
}

async fn metrics(State(api): State<Api>) -> Answered {
    let figures = api.station().figures();
    let stats = api.station().streaming_stats();
    Reply::of(StreamMetrics {
        fps: figures.fps,
        bitrate: figures.bitrate_kbps,
        dropped_frames: figures.dropped_frames,
        viewer_count: figures.viewers.total(),
        viewers: figures.viewers,
        cpu_usage: figures.cpu_percent,
        memory_usage: figures.memory_bytes,
        render_time: figures.render_ms,
        encoder_queue: stats.map_or(0, |stats| stats.encoder().queue_len),
        web_socket_clients: api.connections().count(),
        asset_cache: api.library().assets().cache().figures(),
    })
}

async fn start(State(api): State<Api>) -> Answered {
    act(&api, Action::Start).await
}

async fn stop(State(api): State<Api>) -> Answered {
    act(&api, Action::Stop).await
}

async fn pause(State(api): State<Api>, Asking(terms): Asking, body: MaybeJson) -> Answered {
    let pause: PauseStream = body.read()?;
    change(&api, Change::PauseStream(pause), terms).await
}

async fn resume(State(api): State<Api>, Asking(terms): Asking) -> Answered {
    change(&api, Change::ResumeStream(ResumeStream {}), terms).await
}

async fn control(State(api): State<Api>, body: Json) -> Answered {
    let control: Control = body.read()?;
    act(&api, control.action).await
}

/// Does what the stream is told.
///
/// # Errors
/// Why it is not done.
pub async fn act(api: &Api, action: Action) -> Answered {
    let outcome = match action {
        Action::Start => api.station().start().await?,
        Action::Stop => api.station().stop().await?,
        Action::Pause => {
            let pause = Change::PauseStream(PauseStream::default());
            return change(api, pause, Terms::default()).await;
        }
        Action::Resume => {
            return change(api, Change::ResumeStream(ResumeStream {}), Terms::default()).await;
        }
    };
    Reply::changed(&outcome, view(api, &outcome.show))
}

async fn change(api: &Api, change: Change, terms: Terms) -> Answered {
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, view(api, &outcome.show))
}
