//! Where what is authored meets the streaming engine: the one place that knows the engine's names for outputs, renditions, codecs and
//! platforms. What the engine cannot do in this build is refused here, with the path of the field that asks for it.

use std::path::Path;
use std::time::Duration;

use codec::{
    Acceleration, AudioCodec, AudioSettings, Container, HlsOptions, Preset,
    SegmentType as Segments, VideoCodec,
};
use components::Problem;
use components::output::{
    AccelerationName, AudioCodecName, ContainerName, OutputSpec, OutputType, PlatformName,
    PresetName, RenditionSpec, Secret, SegmentType, SplitSpec, VideoCodecName,
};
use components::scene::FrameRate;

use super::OutputList;
use crate::config::Settings;
use crate::control::config::Config;
use crate::control::error::{ApiError, ErrorCode};
use crate::control::recordings::{OUTPUT, free_name};
use crate::live;
use crate::scene::{files, words};
use crate::streaming::{
    Adaptive, EncoderSettings, Ladder, OutputKind, OutputSettings, Platform, RenditionSettings,
    Split, Streaming, StreamingError,
};

/// The output of the setting HLS, which writes into the served folder itself; others write into folders of their own below it.
pub const HLS: &str = "hls";

/// An output as the engine takes it.
///
/// # Errors
/// A value that cannot be used here and now, with its path: a variable that is not set, a rendition or a file that is not there.
pub fn settings_of(
    spec: &OutputSpec,
    list: &OutputList,
    settings: &Settings,
    rate: FrameRate,
) -> Result<OutputSettings, ApiError> {
    let way = spec.way().unwrap_or(OutputType::File);
    let mut backups = Vec::new();
    let (target, kind) = match way {
        OutputType::Rtmp => {
            let (target, others) = rtmp_targets(spec, settings)?;
            backups = others;
            (target, OutputKind::Rtmp)
        }
        OutputType::Srt => {
            let own = |url: &Secret| url.reveal().to_owned();
            backups.extend(spec.backup_urls.iter().map(own));
            (
                spec.url.as_ref().map(own).unwrap_or_default(),
                OutputKind::Srt,
            )
        }
        OutputType::File => {
            let container = container_of(spec);
            let folder = settings.recordings_dir();
            let stem = stem_of(spec);
            let path = free_name(&folder, &stem, container.extension());
            (
                path.to_string_lossy().into_owned(),
                OutputKind::File(layout(container)),
            )
        }
        OutputType::Hls => (hls_folder(spec, settings), OutputKind::Hls),
    };
    for (index, id) in spec.renditions.iter().enumerate() {
        list.rendition(id).map_err(|error| {
            let known = list.renditions.iter().map(|spec| spec.id.as_str());
            let near = words::nearest(id, known).map(|near| format!("did you mean `{near}`?"));
            problem(&format!("renditions[{index}]"), error.message, near)
        })?;
    }
    let mut output = OutputSettings {
        id: spec.id.clone(),
        target,
        kind,
        renditions: spec.renditions.clone(),
        backups,
        platform: spec.platform.map(platform),
        session_max: session_max(spec),
        split: split(spec),
        hls: hls_options(spec),
        ca_file: ca_file(spec, settings)?,
        retry_attempts: spec.retry_attempts.unwrap_or(settings.retry_attempts),
        retry_delay: spec.retry_delay.map_or(settings.retry_delay, milliseconds),
        max_queue: queue_packets(spec, way, settings, rate),
        ..template(&spec.id)?
    };
    output.adaptive = spec
        .adaptive
        .unwrap_or(matches!(way, OutputType::Rtmp | OutputType::Srt));
    if let Some(timeout) = spec.timeout {
        output.timeout = milliseconds(timeout);
    }
    output.validate().map_err(|error| refused(&error))?;
    Ok(output)
}

/// The engine's own defaults.
fn template(id: &str) -> Result<OutputSettings, ApiError> {
    OutputSettings::new(id, "x.mp4").map_err(|error| refused(&error))
}

/// How many packets may wait: a recording should lose nothing to a slow disk; a live peer should not fall far behind.
fn queue_packets(
    spec: &OutputSpec,
    way: OutputType,
    settings: &Settings,
    rate: FrameRate,
) -> usize {
    let wanted = match spec.max_queue {
        Some(frames) => settings.packets_of(frames as usize, rate),
        None => settings.queue_packets(rate),
    };
    match (way, spec.max_queue) {
        (OutputType::File, None) => wanted.max(2048),
        _ => wanted.max(16),
    }
}

/// The address to push to, and those that are tried when it cannot be reached.
fn rtmp_targets(spec: &OutputSpec, settings: &Settings) -> Result<(String, Vec<String>), ApiError> {
    let key = key_of(spec, settings)?;
    let own = |url: &Secret| with_key(url.reveal(), key.as_deref());
    let mut backups: Vec<String> = spec.backup_urls.iter().map(own).collect();
    if let Some(url) = &spec.url {
        return Ok((own(url), backups));
    }
    let Some(name) = spec.platform else {
        return Ok((String::new(), backups));
    };
    let Some(key) = &key else {
        let message = "a platform needs a stream key: write `key`, or `keyFrom`";
        return Err(problem("key", message.to_owned(), None));
    };
    let ingest = platform(name).url(key, spec.region.as_deref());
    let ingest = ingest.map_err(|error| match error {
        StreamingError::Setting {
            setting, expected, ..
        } => problem(setting, expected.to_owned(), None),
        error => refused(&error),
    })?;
    if backups.is_empty() {
        backups = ingest.backups;
    }
    Ok((ingest.target, backups))
}

fn with_key(url: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("{}/{key}", url.trim_end_matches('/')),
        None => url.to_owned(),
    }
}

fn key_of(spec: &OutputSpec, settings: &Settings) -> Result<Option<String>, ApiError> {
    let Some(name) = &spec.key_from else {
        return Ok(spec.key.as_ref().map(|key| key.reveal().to_owned()));
    };
    match settings.stream_keys.get(name) {
        Some(key) => Ok(Some(key.to_owned())),
        None => {
            let message = format!("the variable {name} is not set, in the environment or in .env");
            Err(problem("keyFrom", message, None))
        }
    }
}

fn platform(name: PlatformName) -> Platform {
    match name {
        PlatformName::X => Platform::X,
        PlatformName::Twitch => Platform::Twitch,
        PlatformName::Youtube => Platform::Youtube,
        PlatformName::Facebook => Platform::Facebook,
    }
}

/// The layout of an output's files.
pub fn container_of(spec: &OutputSpec) -> ContainerName {
    let of_url = || ContainerName::of_file(spec.url.as_ref()?.reveal());
    spec.container.or_else(of_url).unwrap_or(ContainerName::Mp4)
}

/// The name of an output's files without their ending.
fn stem_of(spec: &OutputSpec) -> String {
    let name = spec
        .url
        .as_ref()
        .map_or(spec.id.as_str(), |url| url.reveal());
    match ContainerName::of_file(name) {
        Some(_) => name
            .rsplit_once('.')
            .map_or(name, |(stem, _)| stem)
            .to_owned(),
        None => name.to_owned(),
    }
}

/// The engine's name of a layout.
pub fn layout(container: ContainerName) -> Container {
    match container {
        ContainerName::Mp4 => Container::FragmentedMp4,
        ContainerName::Mkv => Container::Matroska,
        ContainerName::Flv => Container::Flv,
        ContainerName::Ts => Container::MpegTs,
        ContainerName::Webm => Container::WebM,
    }
}

/// A layout that holds what a rendition is encoded as: `wanted` where it does.
pub fn container_for(wanted: ContainerName, encoder: &EncoderSettings) -> ContainerName {
    let audio = encoder.audio.map(|audio| audio.codec);
    let holds = |name: &ContainerName| layout(*name).check(encoder.video.codec, audio).is_ok();
    // Matroska takes everything.
    let mut names = [wanted, ContainerName::Mp4, ContainerName::Webm].into_iter();
    names.find(holds).unwrap_or(ContainerName::Mkv)
}

fn hls_folder(spec: &OutputSpec, settings: &Settings) -> String {
    let folder = settings.hls_dir();
    let folder = match &spec.url {
        Some(url) => folder.join(url.reveal().trim_end_matches("program.m3u8")),
        None if spec.id == HLS => folder,
        None => folder.join(&spec.id),
    };
    folder.to_string_lossy().into_owned()
}

fn hls_options(spec: &OutputSpec) -> HlsOptions {
    let default = HlsOptions::default();
    HlsOptions {
        segment_s: spec.segment_seconds.unwrap_or(default.segment_s),
        window: spec.window.unwrap_or(default.window),
        segment_type: match spec.segment_type {
            Some(SegmentType::Mpegts) => Segments::MpegTs,
            Some(SegmentType::Fmp4) | None => Segments::Fmp4,
        },
        ..default
    }
}

fn split(spec: &OutputSpec) -> Split {
    let Some(split) = spec.split else {
        return Split::default();
    };
    Split {
        after: split
            .minutes
            .map(|minutes| Duration::from_secs_f32(minutes * 60.0)),
        bytes: split
            .megabytes
            .map(|megabytes| u64::from(megabytes) * 1_000_000),
    }
}

fn ca_file(spec: &OutputSpec, settings: &Settings) -> Result<Option<std::path::PathBuf>, ApiError> {
    let find = |file: &String| {
        files::find_inside(&settings.data_dir, file)
            .map_err(|error| problem("caFile", format!("{error}, below DATA_DIR"), None))
    };
    spec.ca_file.as_ref().map(find).transpose()
}

/// After so long a session is begun anew: as authored, or before the platform ends it.
fn session_max(spec: &OutputSpec) -> Option<Duration> {
    let hours = spec.session_hours;
    let own = hours.map(|hours| Duration::from_secs_f32(hours * 3600.0));
    own.or_else(|| spec.platform.and_then(|name| platform(name).session_max()))
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(u64::from(number))
}

/// Every rendition as the engine takes it, `main` first.
///
/// # Errors
/// A value that the encoders cannot do.
pub fn ladder(list: &OutputList, settings: &Settings, config: &Config) -> Result<Ladder, ApiError> {
    let count = list.renditions.len();
    let frame_queue = Ladder::frame_queue(settings.pool_size, count);
    let renditions = list.renditions.iter().map(|spec| {
        let mut rendition = rendition_settings(spec, list, settings, config);
        rendition.encoder.frame_queue = frame_queue;
        rendition
    });
    let ladder = Ladder::new(renditions.collect());
    ladder.validate().map_err(|error| refused(&error))?;
    Ok(ladder)
}

/// One rendition as the engine takes it.
pub fn rendition_settings(
    spec: &RenditionSpec,
    list: &OutputList,
    settings: &Settings,
    config: &Config,
) -> RenditionSettings {
    let (width, height) = spec.size_on(config.resolution);
    let mut encoder = live::encoder_settings(settings, width, height, config.fps);
    let video = &mut encoder.video;
    video.codec = video_codec(spec, settings);
    video.acceleration = acceleration(spec, settings);
    video.bitrate_kbps = bitrate_of(spec, config);
    video.preset = preset_of(spec, config);
    video.keyframe_interval_s = keyframe_interval(list);
    encoder.audio = config.audio.then(|| AudioSettings {
        codec: audio_codec(spec, settings),
        bitrate_kbps: spec.audio_bitrate.unwrap_or(config.audio_bitrate_kbps),
        late_samples: systems::audio::LATENCY_SAMPLES as u32,
        ..AudioSettings::default()
    });
    RenditionSettings {
        adaptive: spec.adaptive.map(|adaptive| Adaptive {
            floor_kbps: adaptive.floor,
        }),
        ..RenditionSettings::new(&spec.id, encoder)
    }
}

/// Seconds from one keyframe to the next, which all renditions share.
pub fn keyframe_interval(list: &OutputList) -> f32 {
    let main = list.renditions.first();
    main.and_then(|main| main.keyframe_interval).unwrap_or(2.0)
}

/// The codec of a rendition's picture.
pub fn video_codec(spec: &RenditionSpec, settings: &Settings) -> VideoCodec {
    match spec.codec {
        None => settings.stream_codec,
        Some(VideoCodecName::H264) => VideoCodec::H264,
        Some(VideoCodecName::Vp8) => VideoCodec::Vp8,
        Some(VideoCodecName::Vp9) => VideoCodec::Vp9,
    }
}

/// The codec of a rendition's sound.
pub fn audio_codec(spec: &RenditionSpec, settings: &Settings) -> AudioCodec {
    match spec.audio_codec {
        None => settings.audio_codec,
        Some(AudioCodecName::Aac) => AudioCodec::Aac,
        Some(AudioCodecName::Opus) => AudioCodec::Opus,
    }
}

/// Whether hardware is asked to encode a rendition.
pub fn is_accelerated(spec: &RenditionSpec, settings: &Settings) -> bool {
    acceleration(spec, settings) != Acceleration::None
}

fn acceleration(spec: &RenditionSpec, settings: &Settings) -> Acceleration {
    match spec.acceleration {
        None => settings.hwaccel,
        Some(AccelerationName::None) => Acceleration::None,
        Some(AccelerationName::Auto) => Acceleration::Auto,
        Some(AccelerationName::Nvenc) => Acceleration::Nvenc,
        Some(AccelerationName::Vaapi) => Acceleration::Vaapi,
        Some(AccelerationName::Qsv) => Acceleration::Qsv,
    }
}

/// Kbit/s of a rendition's picture: that of `main`, and by itself less for fewer pixels. Fewer pixels need more bits each, by the power of
/// 0.75 that encoding ladders of the platforms follow.
pub fn bitrate_of(spec: &RenditionSpec, config: &Config) -> u32 {
    if spec.id == RenditionSpec::MAIN {
        return config.bitrate_kbps;
    }
    spec.bitrate.unwrap_or_else(|| {
        let pixels = |(width, height): (u32, u32)| f64::from(width) * f64::from(height);
        let ratio = pixels(spec.size_on(config.resolution)) / pixels(config.resolution).max(1.0);
        let kbps = f64::from(config.bitrate_kbps) * ratio.powf(0.75);
        ((kbps / 10.0).round() * 10.0).clamp(50.0, 200_000.0) as u32
    })
}

/// The effort for a rendition.
pub fn preset_of(spec: &RenditionSpec, config: &Config) -> Preset {
    let named = |name: PresetName| name.as_str().parse().unwrap_or(config.preset);
    match spec.id.as_str() {
        RenditionSpec::MAIN => config.preset,
        _ => spec.preset.map_or(config.preset, named),
    }
}

/// Starts an output on the running stream.
///
/// # Errors
/// The engine's.
pub fn begin(streaming: &Streaming, output: OutputSettings) -> Result<(), ApiError> {
    make_folder(&output)?;
    tracing::info!(output = output.id, target = output.target_shown(), "output");
    streaming
        .add_output(output)
        .map_err(|error| refused(&error))
}

/// Makes the folder that an output writes into.
///
/// # Errors
/// The disk's.
pub fn make_folder(output: &OutputSettings) -> Result<(), ApiError> {
    let folder = match output.kind {
        OutputKind::File(_) => Path::new(&output.target).parent(),
        OutputKind::Hls => Some(Path::new(&output.target)),
        OutputKind::Rtmp | OutputKind::Srt => None,
    };
    let Some(folder) = folder else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        let folder = folder.display();
        tracing::warn!(output = output.id, %folder, %error, "the folder of an output cannot be made");
        let message = format!("the folder of the output `{}` cannot be made", output.id);
        ApiError::new(ErrorCode::Unavailable, message)
    })
}

/// The output that records into a file.
///
/// # Errors
/// A setting that the engine refuses.
pub fn recorder(
    path: &Path,
    container: ContainerName,
    split: Option<SplitSpec>,
    rendition: &str,
    settings: &Settings,
    rate: FrameRate,
) -> Result<OutputSettings, ApiError> {
    let spec = OutputSpec {
        split,
        ..OutputSpec::new(OUTPUT)
    };
    let output = OutputSettings {
        target: path.to_string_lossy().into_owned(),
        kind: OutputKind::File(layout(container)),
        renditions: vec![rendition.to_owned()],
        split: self::split(&spec),
        max_queue: queue_packets(&spec, OutputType::File, settings, rate),
        adaptive: false,
        ..template(OUTPUT)?
    };
    output.validate().map_err(|error| refused(&error))?;
    Ok(output)
}

/// The layout that a file's name stands for.
pub fn container_of_path(path: &Path) -> Option<ContainerName> {
    ContainerName::of_file(path.file_name()?.to_str()?)
}

/// Ends an output; it writes what waits, aside. One that is not there is none to end.
pub fn end(streaming: &Streaming, id: &str) {
    if let Err(error) = streaming.remove_output(id) {
        tracing::debug!(output = id, %error, "no such output runs");
    }
}

/// Has an output try again now.
///
/// # Errors
/// It does not run.
pub fn retry(streaming: &Streaming, id: &str) -> Result<(), ApiError> {
    streaming.retry_output(id).map_err(|error| match error {
        StreamingError::UnknownOutput { .. } => {
            ApiError::conflict(format!("the output `{id}` is stopped; start it"))
        }
        error => refused(&error),
    })
}

/// Has a running output follow other settings: what can go on goes on.
///
/// # Errors
/// The engine's; the output is as it was then.
pub fn change(streaming: &Streaming, output: OutputSettings) -> Result<(), ApiError> {
    make_folder(&output)?;
    streaming
        .change_output(output)
        .map_err(|error| refused(&error))
}

/// Starts an output that rests, or has it rest: its counts stay.
///
/// # Errors
/// The engine's.
pub fn rest(streaming: &Streaming, id: &str, rests: bool) -> Result<(), ApiError> {
    let done = if rests {
        streaming.stop_output(id)
    } else {
        streaming.start_output(id)
    };
    done.map_err(|error| refused(&error))
}

/// Has a running rendition follow what can change at once.
pub fn follow_rendition(streaming: &Streaming, spec: &RenditionSpec, config: &Config) {
    let id = Some(spec.id.as_str());
    let bitrate = streaming.set_bitrate_kbps(id, bitrate_of(spec, config));
    let preset = streaming.set_preset(id, preset_of(spec, config));
    for error in [bitrate.err(), preset.err()].into_iter().flatten() {
        tracing::warn!(rendition = spec.id, %error, "the running encoder does not follow");
    }
}

fn refused(error: &StreamingError) -> ApiError {
    ApiError::invalid(error.chain())
}

fn problem(path: &str, message: String, help: Option<String>) -> ApiError {
    let problem = Problem {
        path: path.to_owned(),
        message,
        help,
        on_key: false,
    };
    ApiError::problems(ErrorCode::Invalid, &[problem])
}
