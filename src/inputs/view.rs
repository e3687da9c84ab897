//! An input as the API shows it.

use std::sync::atomic::Ordering::Relaxed;

use schemars::JsonSchema;
use serde::Serialize;
use systems::input::{InputStage, InputState};

use super::facts::Facts;

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InputKind {
    /// A film.
    Video,
    /// A camera.
    Rtsp,
    /// A publisher.
    Ingest,
    /// Sound from a file.
    Audio,
}

/// How an input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StageName {
    /// It is being opened, or waited for, for the first time.
    Opening,
    /// It gives pictures or sound.
    Live,
    /// It is lost, and tried again.
    Reconnecting,
    /// Its file has come to an end.
    Ended,
    /// It cannot be opened, and is tried again.
    Failed,
}

impl StageName {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Opening,
        Self::Live,
        Self::Reconnecting,
        Self::Ended,
        Self::Failed,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Live => "live",
            Self::Reconnecting => "reconnecting",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

impl From<InputStage> for StageName {
    fn from(stage: InputStage) -> Self {
        match stage {
            InputStage::Opening => Self::Opening,
            InputStage::Live => Self::Live,
            InputStage::Reconnecting => Self::Reconnecting,
            InputStage::Ended => Self::Ended,
            InputStage::Failed => Self::Failed,
        }
    }
}

/// An input, and how it goes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InputView {
    /// The layer that shows it.
    pub layer: String,
    /// What it is.
    pub kind: InputKind,
    /// Where it comes from: a file, an address without user, password and query, or the `id` or name of a stream key.
    pub address: String,
    /// How it stands.
    pub stage: StageName,
    /// What is wrong, or was the last time that something was. Also why pictures are there without their sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The codec of its pictures, by FFmpeg's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    /// The codec of its sound, by FFmpeg's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<String>,
    /// Width of its pictures, upright and with square pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of its pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Whether its pictures are HDR (PQ or HLG). Their colours are converted and their brightness is shown as it is, so that they look
    /// flat.
    pub hdr: bool,
    /// Samples a second of its sound, before it is brought to 48 kHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Kilobits a second that come in, over the last seconds; nothing is said while it is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate_kbps: Option<f64>,
    /// Seconds that it lasts; a live one does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Seconds of the file that are shown; a live one does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<f64>,
    /// Times that it came back after it was lost, or was asked to connect anew. Attempts that failed do not count.
    pub reconnects: u64,
    /// Pictures that came too late, or found no room.
    pub dropped_pictures: u64,
    /// Pictures that were shown.
    pub shown_pictures: u64,
    /// Ticks that lacked its sound.
    pub sound_gaps: u64,
    /// Packets and pictures that could not be decoded.
    pub broken_packets: u64,
    /// Times that its decoder broke down and was started again.
    pub decoder_restarts: u64,
    /// Milliseconds of pictures and sound that are held, so that they are shown evenly.
    pub held_ms: f64,
    /// How far its clock is ahead of the stream's, in parts per million.
    pub drift_ppm: i64,
    /// Milliseconds by which its sound is heard later than its picture is seen, apart from what was asked for.
    pub av_offset_ms: f64,
    /// Bytes of coded pictures and sound.
    pub bytes: u64,
}

impl InputView {
    pub(super) fn new(
        layer: &str,
        kind: InputKind,
        address: &str,
        state: &InputState,
        facts: &Facts,
    ) -> Self {
        let known = facts.known();
        Self {
            layer: layer.to_owned(),
            kind,
            address: address.to_owned(),
            stage: state.stage().into(),
            error: known.error.or(known.sound_error),
            video_codec: known.video_codec,
            audio_codec: known.audio_codec,
            width: known.natural.map(|natural| natural.0),
            height: known.natural.map(|natural| natural.1),
            fps: known
                .frames_per_second
                .map(|rate| (rate * 1000.0).round() / 1000.0),
            hdr: known.is_hdr,
            sample_rate: known.sample_rate,
            bitrate_kbps: known.bitrate_kbps.map(f64::round),
            duration: known.duration_seconds,
            position: known
                .duration_seconds
                .map(|_| state.position_us.load(Relaxed) as f64 / 1_000_000.0),
            reconnects: facts.reconnects.load(Relaxed),
            dropped_pictures: state.pictures_dropped.load(Relaxed),
            shown_pictures: state.pictures_shown.load(Relaxed),
            sound_gaps: state.sound_gaps.load(Relaxed),
            broken_packets: facts.broken.load(Relaxed),
            decoder_restarts: facts.panics.load(Relaxed),
            held_ms: milliseconds(state.held_us.load(Relaxed)),
            drift_ppm: state.drift_ppm.load(Relaxed),
            av_offset_ms: milliseconds(state.av_offset_us.load(Relaxed)),
            bytes: facts.bytes.load(Relaxed),
        }
    }
}

fn milliseconds(us: i64) -> f64 {
    us as f64 / 1000.0
}
