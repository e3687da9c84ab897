//! Outputs and renditions as the API shows them: what is authored without its secrets, and how it goes.

use components::output::{OutputSpec, OutputType, RenditionSpec};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::engine::{bitrate_of, preset_of};
use super::{Origin, OutputNow, masked};
use crate::config::Settings;
use crate::control::config::Config;
use crate::streaming::{OutputState, RenditionSettings, RenditionStats};

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

/// How an output goes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// What it does.
    pub state: StateName,
    /// Milliseconds since 1970 (UTC) at which it began to do so; null while it does not run.
    pub since: Option<u64>,
    /// Where it writes to, without the key; null while it does not run.
    pub target: Option<String>,
    /// Kbit/s over the last second.
    pub kbps: f64,
    /// Bytes written, over all connections.
    pub bytes: u64,
    /// Packets that wait.
    pub queue: usize,
    /// Packets dropped because it was behind.
    pub dropped: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Attempts that failed since it was last connected.
    pub attempts_failed: u32,
    /// Seconds that it is behind the encoder.
    pub lag: f64,
    /// Bytes that the peer has acknowledged; null where that is not known.
    pub acknowledged: Option<u64>,
    /// The last failure, without the key.
    pub last_error: Option<String>,
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
    /// Its last attempt failed; it waits before the next.
    BackingOff,
    /// It ended as asked.
    Stopped,
    /// It gave up, or cannot be started: a retry helps, or another setting.
    Failed,
}

/// The name of a state, as the API writes it.
pub fn state_name(state: OutputState) -> StateName {
    match state {
        OutputState::Connecting => StateName::Connecting,
        OutputState::Live => StateName::Live,
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
    let state = match &now.refused {
        Some(_) => StateName::Failed,
        None => of_stats,
    };
    let since = now.since_ms.filter(|_| state != StateName::Off);
    OutputView {
        id: spec.id.clone(),
        kind: spec.way().unwrap_or(OutputType::File),
        origin: now.entry.origin,
        changed: now.entry.is_changed,
        enabled: spec.enabled,
        settings: masked(spec),
        status: OutputStatus {
            state,
            since,
            target: stats.map(|stats| stats.target.clone()),
            kbps: (now.kbps * 10.0).round() / 10.0,
            bytes: stats.map_or(0, |stats| stats.bytes),
            queue: stats.map_or(0, |stats| stats.queue_len),
            dropped: stats.map_or(0, |stats| stats.packets_dropped),
            reconnects: stats.map_or(0, |stats| stats.reconnects),
            attempts_failed: stats.map_or(0, |stats| stats.attempts_failed),
            lag: stats.map_or(0.0, |stats| stats.lag.as_secs_f64()),
            acknowledged: None,
            last_error: now
                .refused
                .clone()
                .or_else(|| stats.and_then(|stats| stats.last_error.clone())),
        },
    }
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
    /// Kbit/s of the sound.
    pub audio_bitrate: u32,
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
    settings: &Settings,
    config: &Config,
    running: Option<&RenditionSettings>,
    stats: Option<&RenditionStats>,
) -> RenditionView {
    let (width, height) = spec.size_on(config.resolution);
    let keyframe_interval = spec.keyframe_interval.unwrap_or(2.0);
    let audio_bitrate = spec.audio_bitrate.unwrap_or(config.audio_bitrate_kbps);
    let mut later = Map::new();
    if let Some(RenditionSettings { encoder, .. }) = running {
        let mut note = |name: &str, differs: bool, value: Value| {
            if differs {
                later.insert(name.to_owned(), value);
            }
        };
        let video = &encoder.video;
        note("width", video.width != width, width.into());
        note("height", video.height != height, height.into());
        let differs = (video.keyframe_interval_s - keyframe_interval).abs() > 1e-6;
        note("keyframeInterval", differs, keyframe_interval.into());
        let differs = encoder
            .audio
            .as_ref()
            .is_some_and(|audio| audio.bitrate_kbps != audio_bitrate);
        note("audioBitrate", differs, audio_bitrate.into());
    }
    let name_of = |named: Option<Value>, default: &str| {
        let named = named.as_ref().and_then(Value::as_str);
        named.unwrap_or(default).to_owned()
    };
    let codec = spec
        .codec
        .and_then(|codec| serde_json::to_value(codec).ok());
    let audio_codec = spec
        .audio_codec
        .and_then(|codec| serde_json::to_value(codec).ok());
    RenditionView {
        id: spec.id.clone(),
        width,
        height,
        fps: (config.fps.as_f64() * 1000.0).round() / 1000.0,
        codec: name_of(codec, settings.stream_codec.name()),
        preset: preset_of(spec, config).as_str().to_owned(),
        bitrate: bitrate_of(spec, config),
        audio_codec: config
            .audio
            .then(|| name_of(audio_codec, settings.audio_codec.name())),
        audio_bitrate,
        keyframe_interval,
        settings: spec.clone(),
        status: stats.map(|stats| RenditionStatus {
            fps: stats.encoder.fps,
            kbps: stats.encoder.bitrate_kbps,
            bitrate_now: stats.encoder.bitrate_kbps_set,
            frames: stats.encoder.frames,
            dropped: stats.encoder.frames_dropped,
            queue: stats.encoder.queue_len,
            restarts: stats.encoder.restarts,
            encode_ms: stats.encoder.encode_ms_mean,
        }),
        at_next_start: later,
    }
}
