//! Where what is authored meets the streaming engine: the one place that knows the engine's names for outputs, renditions, codecs and
//! platforms. What the engine cannot do in this build is refused here, with the path of the field that asks for it.

use std::path::Path;
use std::time::Duration;

use codec::{AudioSettings, Container, HlsOptions, Preset};
use components::Problem;
use components::output::{
    AccelerationName, AudioCodecName, ContainerName, OutputSpec, OutputType, PlatformName,
    PresetName, RenditionSpec, SegmentType, SplitSpec, VideoCodecName,
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
    EncoderSettings, Ladder, OutputKind, OutputSettings, Platform, RenditionSettings, Split,
    Streaming, StreamingError,
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
    let (target, kind) = match way {
        OutputType::Rtmp => (rtmp_target(spec, settings)?, OutputKind::Rtmp),
        OutputType::Srt => {
            let url = spec.url.as_ref().map(|url| url.reveal().to_owned());
            (url.unwrap_or_default(), OutputKind::Srt)
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
        backups: backups(spec, settings)?,
        platform: spec.platform.map(platform),
        session_max: spec
            .session_hours
            .map(|hours| Duration::from_secs_f32(hours * 3600.0)),
        split: split(spec),
        hls: hls_options(spec)?,
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

fn rtmp_target(spec: &OutputSpec, settings: &Settings) -> Result<String, ApiError> {
    let key = key_of(spec, settings)?;
    let url = match (&spec.url, spec.platform) {
        (Some(url), _) => url.reveal().to_owned(),
        (None, Some(platform)) => platform_url(platform, spec.region.as_deref())?,
        (None, None) => String::new(),
    };
    if spec.url.is_none() && key.is_none() {
        let message = "a platform needs a stream key: write `key`, or `keyFrom`";
        return Err(problem("key", message.to_owned(), None));
    }
    Ok(with_key(&url, key.as_deref()))
}

fn backups(spec: &OutputSpec, settings: &Settings) -> Result<Vec<String>, ApiError> {
    let key = key_of(spec, settings)?;
    let backups = spec.backup_urls.iter();
    Ok(backups
        .map(|url| with_key(url.reveal(), key.as_deref()))
        .collect())
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

/// Where a platform takes streams.
fn platform_url(platform: PlatformName, region: Option<&str>) -> Result<String, ApiError> {
    let fixed = |url: &str| match region {
        None => Ok(url.to_owned()),
        Some(_) => {
            let message = "this platform has one address for all regions".to_owned();
            Err(problem("region", message, None))
        }
    };
    match platform {
        PlatformName::X => Ok(format!("rtmps://{}.pscp.tv:443/x", region.unwrap_or("va"))),
        PlatformName::Twitch => match region {
            None => Ok("rtmps://ingest.global-contribute.live-video.net:443/app".to_owned()),
            Some(region) => Ok(format!(
                "rtmps://{region}.contribute.live-video.net:443/app"
            )),
        },
        PlatformName::Youtube => fixed("rtmps://a.rtmps.youtube.com:443/live2"),
        PlatformName::Facebook => fixed("rtmps://rtmp-api.facebook.com:443/rtmp"),
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

fn hls_folder(spec: &OutputSpec, settings: &Settings) -> String {
    let folder = settings.hls_dir();
    let folder = match &spec.url {
        Some(url) => folder.join(url.reveal().trim_end_matches("program.m3u8")),
        None if spec.id == HLS => folder,
        None => folder.join(&spec.id),
    };
    folder.to_string_lossy().into_owned()
}

fn hls_options(spec: &OutputSpec) -> Result<HlsOptions, ApiError> {
    if spec.segment_type == Some(SegmentType::Mpegts) {
        return Err(not_here("segmentType", "segments of MPEG-TS"));
    }
    let default = HlsOptions::default();
    Ok(HlsOptions {
        segment_s: spec.segment_seconds.unwrap_or(default.segment_s),
        window: spec.window.unwrap_or(default.window),
    })
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

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(u64::from(number))
}

/// Every rendition as the engine takes it, `main` first.
///
/// # Errors
/// A value that this build cannot do, with its path.
pub fn ladder(list: &OutputList, settings: &Settings, config: &Config) -> Result<Ladder, ApiError> {
    let renditions = list.renditions.iter().map(|spec| {
        Ok(RenditionSettings {
            id: spec.id.clone(),
            encoder: encoder(spec, settings, config)?,
        })
    });
    let ladder = Ladder::new(renditions.collect::<Result<_, ApiError>>()?);
    ladder.validate().map_err(|error| refused(&error))?;
    Ok(ladder)
}

fn encoder(
    spec: &RenditionSpec,
    settings: &Settings,
    config: &Config,
) -> Result<EncoderSettings, ApiError> {
    check_codecs(spec)?;
    let (width, height) = spec.size_on(config.resolution);
    let mut encoder = live::encoder_settings(settings, width, height, config.fps);
    encoder.video.bitrate_kbps = bitrate_of(spec, config);
    encoder.video.preset = preset_of(spec, config);
    if let Some(seconds) = spec.keyframe_interval {
        encoder.video.keyframe_interval_s = seconds;
    }
    encoder.audio = config.audio.then(|| AudioSettings {
        bitrate_kbps: spec.audio_bitrate.unwrap_or(config.audio_bitrate_kbps),
        ..AudioSettings::default()
    });
    encoder
        .video
        .validate()
        .map_err(|error| ApiError::invalid(format!("the rendition `{}`: {error}", spec.id)))?;
    Ok(encoder)
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

/// Refuses what this build's encoders cannot do.
pub fn check_codecs(spec: &RenditionSpec) -> Result<(), ApiError> {
    if matches!(spec.codec, Some(VideoCodecName::Vp8 | VideoCodecName::Vp9)) {
        return Err(not_here("codec", "VP8 and VP9"));
    }
    if spec.audio_codec == Some(AudioCodecName::Opus) {
        return Err(not_here("audioCodec", "Opus"));
    }
    let acceleration = spec.acceleration.unwrap_or(AccelerationName::None);
    if !matches!(
        acceleration,
        AccelerationName::None | AccelerationName::Auto
    ) {
        return Err(not_here("acceleration", "hardware encoders"));
    }
    Ok(())
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

/// Has a running rendition follow what can change at once.
pub fn follow_rendition(streaming: &Streaming, spec: &RenditionSpec, config: &Config) {
    let (bitrate, preset) = (bitrate_of(spec, config), preset_of(spec, config));
    let is_main = spec.id == RenditionSpec::MAIN;
    let followed = if is_main {
        let bitrate = streaming.set_bitrate_kbps(bitrate);
        bitrate.and_then(|()| streaming.set_preset(preset))
    } else {
        streaming.set_rendition(&spec.id, bitrate, preset)
    };
    if let Err(error) = followed {
        tracing::warn!(rendition = spec.id, %error, "the running encoder does not follow");
    }
}

fn refused(error: &StreamingError) -> ApiError {
    ApiError::invalid(error.chain())
}

fn not_here(path: &str, what: &str) -> ApiError {
    problem(path, format!("{what} are not there in this build"), None)
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
