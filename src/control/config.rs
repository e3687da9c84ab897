//! Settings that can be changed while the program runs, under the names of the settings table.

use codec::{AudioCodec, Preset, VideoCodec};
use components::output::RenditionSpec;
use components::scene::FrameRate;
use components::{Problem, Problems};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::{ApiError, ErrorCode};
use super::outputs;
use crate::config::{RenderQuality, Settings};

/// Kbit/s.
const BITRATE: std::ops::RangeInclusive<u32> = 50..=200_000;
/// Kbit/s of the sound.
const AUDIO_BITRATE: std::ops::RangeInclusive<u32> = 32..=512;
/// As [`MAX_LAYERS`](Settings::max_layers).
const LAYERS: std::ops::RangeInclusive<usize> = 1..=1000;

/// The current values.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Pixels of the frames.
    pub resolution: (u32, u32),
    /// Ticks a second now.
    pub fps: FrameRate,
    /// Ticks a second from the next start on.
    pub next_fps: FrameRate,
    /// Encoder effort in three steps.
    pub quality: RenderQuality,
    /// libx264 preset.
    pub preset: Preset,
    /// Kbit/s of the picture.
    pub bitrate_kbps: u32,
    /// Layers that a scene may have.
    pub max_layers: usize,
    /// Whether the stream has sound.
    pub audio: bool,
    /// Whether it has from the next start on.
    pub next_audio: bool,
    /// Kbit/s of the sound.
    pub audio_bitrate_kbps: u32,
    /// Kbit/s of the sound from the next start on.
    pub next_audio_bitrate_kbps: u32,
    /// Codec of the main rendition's picture, now and from the next start on.
    pub codec: (VideoCodec, VideoCodec),
    /// Codec of its sound, now and from the next start on.
    pub audio_codec: (AudioCodec, AudioCodec),
    /// Whether hardware is asked to encode, now and from the next start on.
    pub accelerated: (bool, bool),
}

/// The settings as the API shows them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(rename = "Config")]
pub struct ConfigView {
    /// Width x height of the frames in pixels: the canvas of the scene that the program started with. Other canvases are scaled to it.
    #[schemars(regex(pattern = "^[0-9]+x[0-9]+$"))]
    pub stream_resolution: String,
    /// Frames a second now.
    pub target_fps: f64,
    /// Encoder effort: low, medium, high stand for superfast, veryfast, faster.
    pub render_quality: RenderQuality,
    /// libx264 preset in use.
    pub stream_preset: String,
    /// Layers that a scene may have.
    pub max_layers: usize,
    /// Bitrate of the picture in kbit/s, with its unit.
    #[schemars(regex(pattern = "^[0-9]+k$"))]
    pub stream_bitrate: String,
    /// Codec of the picture.
    pub stream_codec: String,
    /// Whether hardware is asked to encode; where there is none, software does.
    pub enable_hardware_acceleration: bool,
    /// Whether the stream has sound.
    pub audio_enabled: bool,
    /// Codec of the sound.
    pub audio_codec: String,
    /// Bitrate of the sound in kbit/s.
    pub audio_bitrate: u32,
    /// What was changed and holds from the next start of the stream on.
    #[serde(rename = "atNextStart")]
    pub at_next_start: Map<String, Value>,
}

/// A bitrate with its unit, or in kbit/s without one.
const BITRATE_PATTERN: &str = "^[0-9]{1,6}[kKmM]?$";

/// What may be changed; what is left out stays.
///
/// `{"STREAM_BITRATE": "6000k", "RENDER_QUALITY": "high"}`
#[derive(Clone, Debug, Default)]
pub struct ConfigPatch {
    fps: Option<FrameRate>,
    quality: Option<RenderQuality>,
    preset: Option<Preset>,
    bitrate_kbps: Option<u32>,
    max_layers: Option<usize>,
    audio: Option<bool>,
    audio_bitrate_kbps: Option<u32>,
    resolution: Option<(u32, u32)>,
    hardware: Option<bool>,
    codecs: Option<(VideoCodec, AudioCodec, bool)>,
}

const NAMES: [&str; 9] = [
    "TARGET_FPS",
    "RENDER_QUALITY",
    "STREAM_PRESET",
    "STREAM_BITRATE",
    "MAX_LAYERS",
    "AUDIO_ENABLED",
    "AUDIO_BITRATE",
    "STREAM_RESOLUTION",
    "ENABLE_HARDWARE_ACCELERATION",
];

impl Config {
    /// What the program starts with: the settings, and what is authored of the main rendition over them.
    pub fn new(
        settings: &Settings,
        main: &RenditionSpec,
        resolution: (u32, u32),
        fps: FrameRate,
    ) -> Self {
        let preset = main.preset.and_then(|preset| preset.as_str().parse().ok());
        let audio_bitrate_kbps = main.audio_bitrate.unwrap_or(settings.audio_bitrate_kbps);
        Self {
            resolution,
            fps,
            next_fps: fps,
            quality: settings.render_quality,
            preset: preset.unwrap_or(settings.stream_preset),
            bitrate_kbps: main.bitrate.unwrap_or(settings.stream_bitrate_kbps),
            max_layers: settings.max_layers,
            audio: settings.audio_enabled,
            next_audio: settings.audio_enabled,
            audio_bitrate_kbps,
            next_audio_bitrate_kbps: audio_bitrate_kbps,
            codec: twice(outputs::video_codec(main, settings)),
            audio_codec: twice(outputs::audio_codec(main, settings)),
            accelerated: twice(outputs::is_accelerated(main, settings)),
        }
    }

    /// As the API shows it.
    pub fn view(&self) -> ConfigView {
        let mut later = Map::new();
        if self.next_fps != self.fps {
            later.insert("TARGET_FPS".to_owned(), fps_value(self.next_fps));
        }
        if self.next_audio != self.audio {
            later.insert("AUDIO_ENABLED".to_owned(), self.next_audio.into());
        }
        if self.next_audio_bitrate_kbps != self.audio_bitrate_kbps {
            later.insert(
                "AUDIO_BITRATE".to_owned(),
                self.next_audio_bitrate_kbps.into(),
            );
        }
        let (now, next) = (self.codec.0, self.codec.1);
        if next != now {
            later.insert("STREAM_CODEC".to_owned(), next.as_str().into());
        }
        let (now, next) = (self.audio_codec.0, self.audio_codec.1);
        if next != now {
            later.insert("AUDIO_CODEC".to_owned(), next.as_str().into());
        }
        let (now, next) = self.accelerated;
        if next != now {
            later.insert("ENABLE_HARDWARE_ACCELERATION".to_owned(), next.into());
        }
        ConfigView {
            stream_resolution: format!("{}x{}", self.resolution.0, self.resolution.1),
            target_fps: rounded(self.fps),
            render_quality: self.quality,
            stream_preset: self.preset.as_str().to_owned(),
            max_layers: self.max_layers,
            stream_bitrate: format!("{}k", self.bitrate_kbps),
            stream_codec: self.codec.0.as_str().to_owned(),
            enable_hardware_acceleration: self.accelerated.0,
            audio_enabled: self.audio,
            audio_codec: self.audio_codec.0.as_str().to_owned(),
            audio_bitrate: self.audio_bitrate_kbps,
            at_next_start: later,
        }
    }

    /// With a patch applied.
    ///
    /// # Errors
    /// A value that only a scene, or another build, can change.
    pub fn patched(
        &self,
        patch: &ConfigPatch,
        fps_of_scene: Option<FrameRate>,
    ) -> Result<Self, ApiError> {
        let mut config = self.clone();
        if patch.resolution.is_some_and(|size| size != self.resolution) {
            return Err(ApiError::conflict(format!(
                "STREAM_RESOLUTION is {}, the canvas of the first scene; start the program with a scene of another canvas",
                self.view().stream_resolution
            )));
        }
        if let Some(hardware) = patch.hardware.filter(|on| *on != self.accelerated.1) {
            return Err(ApiError::conflict(format!(
                "ENABLE_HARDWARE_ACCELERATION is {}: `acceleration` of the rendition `main` says which hardware is asked",
                !hardware
            )));
        }
        if let Some((codec, audio_codec, accelerated)) = patch.codecs {
            config.codec.1 = codec;
            config.audio_codec.1 = audio_codec;
            config.accelerated.1 = accelerated;
        }
        if let Some(fps) = patch.fps {
            if let Some(own) = fps_of_scene.filter(|own| *own != fps) {
                return Err(ApiError::conflict(format!(
                    "TARGET_FPS: the scene on air asks for {} fps by itself (canvas.fps)",
                    rounded(own)
                )));
            }
            config.next_fps = fps;
        }
        if let Some(quality) = patch.quality {
            config.quality = quality;
            config.preset = quality.preset();
        }
        if let Some(preset) = patch.preset {
            config.preset = preset;
        }
        if let Some(bitrate) = patch.bitrate_kbps {
            config.bitrate_kbps = bitrate;
        }
        if let Some(max) = patch.max_layers {
            config.max_layers = max;
        }
        if let Some(audio) = patch.audio {
            config.next_audio = audio;
        }
        if let Some(bitrate) = patch.audio_bitrate_kbps {
            config.next_audio_bitrate_kbps = bitrate;
        }
        Ok(config)
    }

    /// What waits for the next start is taken over.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.fps = self.next_fps;
        self.audio = self.next_audio;
        self.audio_bitrate_kbps = self.next_audio_bitrate_kbps;
        self.codec.0 = self.codec.1;
        self.audio_codec.0 = self.audio_codec.1;
        self.accelerated.0 = self.accelerated.1;
        self
    }
}

impl ConfigPatch {
    /// What the main rendition's bitrate, effort and bitrate of the sound become; what is `None` stays. And its codecs, and whether it is
    /// accelerated.
    pub fn of_main(
        bitrate_kbps: Option<u32>,
        preset: Option<Preset>,
        audio_bitrate_kbps: Option<u32>,
        codecs: (VideoCodec, AudioCodec, bool),
    ) -> Self {
        Self {
            bitrate_kbps,
            preset,
            audio_bitrate_kbps,
            codecs: Some(codecs),
            ..Self::default()
        }
    }

    /// Reads a patch; every wrong value is named.
    ///
    /// # Errors
    /// An unknown name, a value of a wrong kind ([`ErrorCode::BadRequest`]), or one that is out of range ([`ErrorCode::Invalid`]).
    pub fn parse(value: &Value, path: &str) -> Result<Self, ApiError> {
        let Value::Object(map) = value else {
            let problem = Problem {
                path: path.to_owned(),
                message: "expected an object of settings".to_owned(),
                ..Problem::default()
            };
            return Err(ApiError::problems(ErrorCode::BadRequest, &[problem]));
        };
        let mut patch = Self::default();
        let mut found = Problems::below(path);
        let mut code = ErrorCode::Invalid;
        for (name, value) in map {
            let mut expect = |kind_fits: bool, read: Option<()>, what: &str| {
                if read.is_none() {
                    found.at(name, |problems| {
                        problems.report(format!("expected {what}"));
                    });
                    if !kind_fits {
                        code = ErrorCode::BadRequest;
                    }
                }
            };
            match name.as_str() {
                "TARGET_FPS" => expect(
                    value.is_number(),
                    value
                        .as_f64()
                        .and_then(FrameRate::from_decimal)
                        .map(|fps| patch.fps = Some(fps)),
                    "frames a second from 1 to 120, whole or an NTSC rate such as 29.97",
                ),
                "RENDER_QUALITY" => expect(
                    value.is_string(),
                    value
                        .as_str()
                        .and_then(RenderQuality::from_name)
                        .map(|quality| patch.quality = Some(quality)),
                    "low, medium or high",
                ),
                "STREAM_PRESET" => expect(
                    value.is_string(),
                    value
                        .as_str()
                        .and_then(|name| name.parse().ok())
                        .map(|preset| patch.preset = Some(preset)),
                    "a libx264 preset from ultrafast to slow",
                ),
                "STREAM_BITRATE" => expect(
                    value.is_number() || value.is_string(),
                    bitrate(value)
                        .filter(|kbps| BITRATE.contains(kbps))
                        .map(|kbps| patch.bitrate_kbps = Some(kbps)),
                    "kbit/s from 50 to 200000, such as 4000, \"4000k\" or \"4M\"",
                ),
                "MAX_LAYERS" => expect(
                    value.is_number(),
                    whole(value)
                        .filter(|count| LAYERS.contains(count))
                        .map(|count| patch.max_layers = Some(count)),
                    "a whole number from 1 to 1000",
                ),
                "AUDIO_ENABLED" => expect(
                    value.is_boolean(),
                    value.as_bool().map(|audio| patch.audio = Some(audio)),
                    "true or false",
                ),
                "AUDIO_BITRATE" => expect(
                    value.is_number() || value.is_string(),
                    bitrate(value)
                        .filter(|kbps| AUDIO_BITRATE.contains(kbps))
                        .map(|kbps| patch.audio_bitrate_kbps = Some(kbps)),
                    "kbit/s from 32 to 512, such as 128 or \"128k\"",
                ),
                "STREAM_RESOLUTION" => expect(
                    value.is_string(),
                    value
                        .as_str()
                        .and_then(size)
                        .map(|size| patch.resolution = Some(size)),
                    "width x height, such as \"1920x1080\"",
                ),
                "ENABLE_HARDWARE_ACCELERATION" => expect(
                    value.is_boolean(),
                    value
                        .as_bool()
                        .map(|hardware| patch.hardware = Some(hardware)),
                    "true or false",
                ),
                _ => {
                    code = ErrorCode::BadRequest;
                    found.at(name, |problems| {
                        problems.report_with_help(
                            "there is no such setting, or it cannot be changed while running",
                            crate::scene::words::suggest(name, &NAMES),
                        );
                    });
                }
            }
        }
        if found.is_empty() {
            Ok(patch)
        } else {
            Err(ApiError::problems(code, &found.into_vec()))
        }
    }
}

impl JsonSchema for ConfigPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ConfigPatch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let presets: Vec<&str> = Preset::ALL.iter().map(|preset| preset.as_str()).collect();
        json_schema!({
            "type": "object",
            "description": "What may be changed while running; what is left out stays.",
            "additionalProperties": false,
            "properties": {
                "TARGET_FPS": {"type": "number", "minimum": 1, "maximum": 120, "description": "Frames a second from the next start on, where the scene names none: whole, or an NTSC rate such as 29.97."},
                "RENDER_QUALITY": {"enum": ["low", "medium", "high"], "description": "Encoder effort, at once: low, medium, high stand for superfast, veryfast, faster."},
                "STREAM_PRESET": {"enum": presets, "description": "libx264 preset, at once."},
                "STREAM_BITRATE": {"description": "Kbit/s of the picture, at once: 4000, \"4000k\" or \"4M\".", "oneOf": [
                    {"type": "integer", "minimum": BITRATE.start(), "maximum": BITRATE.end()},
                    {"type": "string", "pattern": BITRATE_PATTERN},
                ]},
                "MAX_LAYERS": {"type": "integer", "minimum": LAYERS.start(), "maximum": LAYERS.end(), "description": "Layers that a scene may have, at once; not fewer than the one on air has."},
                "AUDIO_ENABLED": {"type": "boolean", "description": "Whether the stream has sound, from the next start on."},
                "AUDIO_BITRATE": {"description": "Kbit/s of the sound, from the next start on.", "oneOf": [
                    {"type": "integer", "minimum": AUDIO_BITRATE.start(), "maximum": AUDIO_BITRATE.end()},
                    {"type": "string", "pattern": BITRATE_PATTERN},
                ]},
                "STREAM_RESOLUTION": {"type": "string", "pattern": "^[0-9]{1,5}x[0-9]{1,5}$", "description": "The scene's canvas decides; another value is refused."},
                "ENABLE_HARDWARE_ACCELERATION": {"type": "boolean", "description": "Only as it is: `acceleration` of the rendition `main` says which hardware is asked."},
            },
            "examples": [{"STREAM_BITRATE": "6000k", "RENDER_QUALITY": "high"}],
        })
    }
}

fn twice<T: Copy>(value: T) -> (T, T) {
    (value, value)
}

fn rounded(rate: FrameRate) -> f64 {
    (rate.as_f64() * 1000.0).round() / 1000.0
}

pub(super) fn fps_value(rate: FrameRate) -> Value {
    rounded(rate).into()
}

/// JSON knows no whole numbers: 50 and 50.0 are the same.
fn whole(value: &Value) -> Option<usize> {
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..1e9).contains(&number)).then_some(number as usize)
}

/// Pixels, written `1920x1080`.
fn size(text: &str) -> Option<(u32, u32)> {
    let side = |digits: &str| {
        let is_plain =
            (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| digits.parse().ok()).flatten()
    };
    let (width, height) = text.split_once('x')?;
    Some((side(width)?, side(height)?))
}

fn bitrate(value: &Value) -> Option<u32> {
    match value {
        Value::Number(_) => u32::try_from(whole(value)?).ok(),
        Value::String(text) => {
            let (digits, factor) = match text.strip_suffix(['k', 'K']) {
                Some(digits) => (digits, 1),
                None => match text.strip_suffix(['m', 'M']) {
                    Some(digits) => (digits, 1000),
                    None => (text.as_str(), 1),
                },
            };
            // `parse` would take a sign.
            let is_plain =
                (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then_some(())?;
            digits.parse::<u32>().ok()?.checked_mul(factor)
        }
        _ => None,
    }
}
