//! Outputs and renditions as the API shows them: what is authored without its secrets, and how it goes.

use std::time::{Duration, UNIX_EPOCH};

use components::output::{OutputSpec, OutputType, RenditionSpec};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Origin, OutputNow, masked};
use crate::control::config::Config;
use crate::streaming::{OutputState, OutputStats, RenditionSettings, RenditionStats};

/// An output.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Output")]
pub struct OutputView {
    /// Its name.
    pub id: String,
    /// The way out.
    #[serde(rename = "type")]
    pub kind: OutputType,
    /// Who wrote it first.
    pub origin: Origin,
    /// Whether the API has changed it since.
    pub changed: bool,
    /// Whether it runs while the stream is on air.
    pub enabled: bool,
    /// What is authored; `***` stands for what is secret.
    pub settings: OutputSpec,
    /// How it goes.
    pub status: OutputStatus,
}

/// How an output goes. Counts go on through retries and changes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// What it does.
    pub state: StateName,
    /// Milliseconds since 1970 (UTC) at which it began to do so; null while it does not run.
    pub since: Option<u64>,
    /// Where it writes to, without the key; null while it does not run.
    pub target: Option<String>,
    /// Which address that is: 0 is its own, 1 the first of the backups.
    pub target_index: usize,
    /// Kbit/s over the last second.
    pub kbps: f64,
    /// Bytes written.
    pub bytes: u64,
    /// Packets that wait.
    pub queue: usize,
    /// Seconds of the program that wait.
    pub queue_seconds: f64,
    /// Packets dropped because it was behind.
    pub dropped: u64,
    /// Connections made anew after a failure.
    pub reconnects: u64,
    /// Sessions begun anew because of their length, or for another target.
    pub rotations: u64,
    /// Attempts that failed since it was last connected.
    pub attempts_failed: u32,
    /// Attempts that failed, and connections that broke.
    pub failures: u64,
    /// Seconds that it is behind the encoder.
    pub lag: f64,
    /// Seconds that it was connected, all connections together.
    pub uptime: f64,
    /// Bytes of this connection that the peer has acknowledged; null where that is not known.
    pub acknowledged: Option<u64>,
    /// Milliseconds that a packet and its confirmation take; null where that is not known.
    pub round_trip: Option<f64>,
    /// The last failure, without the key.
    pub last_error: Option<String>,
    /// Milliseconds since 1970 (UTC) of the last failure.
    pub last_error_at: Option<u64>,
}

/// What an output does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StateName {
    /// It is disabled, or the stream is stopped.
    Off,
    /// It opens its target.
    Connecting,
    /// Connected; packets are written.
    Live,
    /// Connected, and its peer or disk takes nothing.
    Stalled,
    /// Its last attempt failed, or its disk is full; it waits before the next.
    BackingOff,
    /// It ended as asked.
    Stopped,
    /// It gave up, or cannot be started: a retry helps, or another setting.
    Failed,
}

/// The name of a state, as the API writes it.
pub fn state_name(state: OutputState) -> StateName {
    match state {
        OutputState::Idle => StateName::Off,
        OutputState::Connecting => StateName::Connecting,
        OutputState::Live => StateName::Live,
        OutputState::Stalled => StateName::Stalled,
        OutputState::BackingOff => StateName::BackingOff,
        OutputState::Stopped => StateName::Stopped,
        OutputState::Failed => StateName::Failed,
    }
}

/// An output as it is shown.
pub fn output(now: &OutputNow) -> OutputView {
    let spec = &now.entry.spec;
    let stats = now.stats.as_ref();
    let of_stats = stats.map_or(StateName::Off, |stats| state_name(stats.state));
    let state = if now.refused.is_some() {
        StateName::Failed
    } else {
        of_stats
    };
    let mut status = stats.map_or_else(status_without, status_of);
    status.state = state;
    status.since = now.since_ms.filter(|_| state != StateName::Off);
    status.last_error = now.refused.clone().or(status.last_error);
    OutputView {
        id: spec.id.clone(),
        kind: spec.way().unwrap_or(OutputType::File),
        origin: now.entry.origin,
        changed: now.entry.is_changed,
        enabled: spec.enabled,
        settings: masked(spec),
        status,
    }
}

fn status_of(stats: &OutputStats) -> OutputStatus {
    let acknowledged = stats.acknowledged.as_ref();
    let round_trip = acknowledged.map(|acknowledged| acknowledged.rtt);
    OutputStatus {
        state: state_name(stats.state),
        since: None,
        target: Some(stats.target.clone()),
        target_index: stats.target_index,
        kbps: (stats.kbps * 10.0).round() / 10.0,
        bytes: stats.bytes,
        queue: stats.queue_len,
        queue_seconds: seconds(stats.queue_span),
        dropped: stats.packets_dropped,
        reconnects: stats.reconnects,
        rotations: stats.rotations,
        attempts_failed: stats.attempts_failed,
        failures: stats.failures,
        lag: seconds(stats.lag),
        uptime: seconds(stats.uptime),
        acknowledged: acknowledged.map(|acknowledged| acknowledged.bytes_acknowledged),
        round_trip: round_trip.map(|time| seconds(time * 1000)),
        last_error: stats.last_error.clone(),
        last_error_at: stats.last_error_at.and_then(|at| {
            let since = at.duration_since(UNIX_EPOCH).ok()?;
            u64::try_from(since.as_millis()).ok()
        }),
    }
}

fn status_without() -> OutputStatus {
    OutputStatus {
        state: StateName::Off,
        since: None,
        target: None,
        target_index: 0,
        kbps: 0.0,
        bytes: 0,
        queue: 0,
        queue_seconds: 0.0,
        dropped: 0,
        reconnects: 0,
        rotations: 0,
        attempts_failed: 0,
        failures: 0,
        lag: 0.0,
        uptime: 0.0,
        acknowledged: None,
        round_trip: None,
        last_error: None,
        last_error_at: None,
    }
}

/// To milliseconds.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A rendition.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Rendition")]
pub struct RenditionView {
    /// Its name.
    pub id: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: f64,
    /// Codec of the picture.
    pub codec: String,
    /// Effort of the encoder.
    pub preset: String,
    /// Kbit/s of the picture as set.
    pub bitrate: u32,
    /// Codec of the sound; null without sound.
    pub audio_codec: Option<String>,
    /// Kbit/s of the sound; null without sound.
    pub audio_bitrate: Option<u32>,
    /// Seconds from one keyframe to the next.
    pub keyframe_interval: f32,
    /// What is authored of it.
    pub settings: RenditionSpec,
    /// How it goes; null while the stream is stopped.
    pub status: Option<RenditionStatus>,
    /// What was changed and holds from the next start of the stream on.
    pub at_next_start: Map<String, Value>,
}

/// How a rendition goes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenditionStatus {
    /// The encoder in use, by its library's name.
    pub encoder: String,
    /// Frames encoded a second.
    pub fps: f64,
    /// Kbit/s of picture and sound over the last second.
    pub kbps: f64,
    /// Kbit/s of the picture that the encoder is set to now; less than `bitrate` while an output is behind.
    pub bitrate_now: u32,
    /// Frames encoded.
    pub frames: u64,
    /// Frames that found no room on the way to the encoder.
    pub dropped: u64,
    /// Frames that wait for the encoder.
    pub queue: usize,
    /// Encoders that failed and were replaced.
    pub restarts: u64,
    /// Milliseconds that a frame takes to encode, on average.
    pub encode_ms: f64,
}

/// A rendition as it is shown. `running` is what the encoder was started with.
pub fn rendition(
    spec: &RenditionSpec,
    wanted: &RenditionSettings,
    config: &Config,
    running: Option<&RenditionSettings>,
    stats: Option<&RenditionStats>,
) -> RenditionView {
    let (video, audio) = (&wanted.encoder.video, wanted.encoder.audio);
    RenditionView {
        id: spec.id.clone(),
        width: video.width,
        height: video.height,
        fps: (config.fps.as_f64() * 1000.0).round() / 1000.0,
        codec: video.codec.as_str().to_owned(),
        preset: video.preset.as_str().to_owned(),
        bitrate: video.bitrate_kbps,
        audio_codec: audio.map(|audio| audio.codec.as_str().to_owned()),
        audio_bitrate: audio.map(|audio| audio.bitrate_kbps),
        keyframe_interval: video.keyframe_interval_s,
        settings: spec.clone(),
        status: stats.map(|stats| RenditionStatus {
            encoder: stats.encoder_name.clone(),
            fps: stats.encoder.fps,
            kbps: stats.encoder.bitrate_kbps,
            bitrate_now: stats.encoder.bitrate_kbps_set,
            frames: stats.encoder.frames,
            dropped: stats.encoder.frames_dropped,
            queue: stats.encoder.queue_len,
            restarts: stats.encoder.restarts,
            encode_ms: stats.encoder.encode_ms_mean,
        }),
        at_next_start: running.map_or_else(Map::new, |running| later(wanted, running)),
    }
}

/// What the running encoder does not follow.
fn later(wanted: &RenditionSettings, running: &RenditionSettings) -> Map<String, Value> {
    let mut later = Map::new();
    let mut note = |name: &str, differs: bool, value: Value| {
        if differs {
            later.insert(name.to_owned(), value);
        }
    };
    let (next, now) = (&wanted.encoder.video, &running.encoder.video);
    note("width", next.width != now.width, next.width.into());
    note("height", next.height != now.height, next.height.into());
    note("codec", next.codec != now.codec, next.codec.as_str().into());
    note(
        "acceleration",
        next.acceleration != now.acceleration,
        next.acceleration.as_str().into(),
    );
    note(
        "preset",
        !next.preset.continues(now.preset),
        next.preset.as_str().into(),
    );
    note(
        "keyframeInterval",
        (next.keyframe_interval_s - now.keyframe_interval_s).abs() > 1e-6,
        next.keyframe_interval_s.into(),
    );
    let floor = wanted.adaptive.map(|adaptive| adaptive.floor_kbps);
    note(
        "adaptive",
        wanted.adaptive != running.adaptive,
        floor.map_or(Value::Null, |floor| json!({"floor": floor})),
    );
    if let (Some(next), Some(now)) = (wanted.encoder.audio, running.encoder.audio) {
        let differs = next.bitrate_kbps != now.bitrate_kbps;
        note("audioBitrate", differs, next.bitrate_kbps.into());
        note(
            "audioCodec",
            next.codec != now.codec,
            next.codec.as_str().into(),
        );
    }
    later
}
