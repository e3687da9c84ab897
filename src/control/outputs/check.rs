//! What a viewer's platform, a container or a player would say of an output, said before it goes on air.

use components::output::{ContainerName, OutputSpec, OutputType, PlatformName, RenditionSpec};
use schemars::JsonSchema;
use serde::Serialize;

use super::engine::{bitrate_of, container_of, settings_of};
use super::{OutputList, secrets};
use crate::config::Settings;
use crate::control::config::Config;

/// One thing that is to be said of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// The field that it is about; empty for the output as a whole.
    pub path: String,
    /// What is to be said, in a sentence.
    pub message: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// It will not work.
    Error,
    /// It may be refused, or look worse than it could.
    Warning,
    /// Good to know.
    Note,
}

/// What a platform takes, as it says itself (autumn 2026).
struct Rules {
    name: &'static str,
    video_kbps_max: u32,
    audio_kbps_max: u32,
    keyframe_s_max: f32,
    fps_max: f64,
    session_hours_max: Option<f32>,
}

fn rules(platform: PlatformName, fps: f64) -> Rules {
    let rules = |name, video_kbps_max, audio_kbps_max, keyframe_s_max, session_hours_max| Rules {
        name,
        video_kbps_max,
        audio_kbps_max,
        keyframe_s_max,
        fps_max: 60.0,
        session_hours_max,
    };
    match platform {
        PlatformName::X => rules("X", 12_000, 128, 3.0, None),
        PlatformName::Twitch => rules("Twitch", 6000, 320, 2.0, Some(48.0)),
        PlatformName::Youtube => rules("YouTube", 51_000, 160, 4.0, None),
        PlatformName::Facebook => {
            let kbps = if fps > 30.5 { 9000 } else { 6000 };
            rules("Facebook", kbps, 128, 2.0, Some(8.0))
        }
    }
}

/// Everything that is to be said of an output, what matters most first.
pub fn findings(
    spec: &OutputSpec,
    list: &OutputList,
    settings: &Settings,
    config: &Config,
) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Err(error) = settings_of(spec, list, settings, config.fps) {
        let path = error.details["problems"][0]["path"].as_str();
        let message = error.details["problems"][0]["message"].as_str();
        found.push(Finding {
            level: Level::Error,
            path: path.unwrap_or_default().to_owned(),
            message: message.unwrap_or(&error.message).to_owned(),
        });
    }
    let default = [RenditionSpec::MAIN.to_owned()];
    let ids = if spec.renditions.is_empty() {
        &default[..]
    } else {
        &spec.renditions[..]
    };
    let carried: Vec<&RenditionSpec> = ids
        .iter()
        .filter_map(|id| list.rendition(id).ok().map(|spec| &**spec))
        .collect();
    for rendition in &carried {
        if let Some(platform) = spec.platform {
            of_platform(
                &rules(platform, config.fps.as_f64()),
                spec,
                rendition,
                config,
                &mut found,
            );
        }
    }
    of_way(spec, &carried, &mut found);
    found.sort_by_key(|finding| finding.level as u8);
    found
}

fn of_platform(
    rules: &Rules,
    spec: &OutputSpec,
    rendition: &RenditionSpec,
    config: &Config,
    found: &mut Vec<Finding>,
) {
    let (id, name) = (&rendition.id, rules.name);
    let kbps = bitrate_of(rendition, config);
    let audio_kbps = rendition.audio_bitrate.unwrap_or(config.audio_bitrate_kbps);
    let keyframe_s = rendition.keyframe_interval.unwrap_or(2.0);
    let fps = config.fps.as_f64();
    let mut warn = |is_wrong: bool, path: &str, message: String| {
        if is_wrong {
            found.push(Finding {
                level: Level::Warning,
                path: path.to_owned(),
                message,
            });
        }
    };
    warn(
        kbps > rules.video_kbps_max,
        "renditions",
        format!(
            "`{id}` has {kbps} kbit/s of picture, and {name} takes {}",
            rules.video_kbps_max
        ),
    );
    warn(
        config.audio && audio_kbps > rules.audio_kbps_max,
        "renditions",
        format!(
            "`{id}` has {audio_kbps} kbit/s of sound, and {name} takes {}",
            rules.audio_kbps_max
        ),
    );
    warn(
        keyframe_s > rules.keyframe_s_max,
        "renditions",
        format!(
            "`{id}` has a keyframe every {keyframe_s} s, and {name} wants one every {} s",
            rules.keyframe_s_max
        ),
    );
    warn(
        fps > rules.fps_max + 0.01,
        "renditions",
        format!(
            "{fps} frames a second are more than the {} of {name}",
            rules.fps_max
        ),
    );
    warn(
        !config.audio,
        "platform",
        format!("the stream has no sound, without which {name} may refuse it"),
    );
    if let Some(max) = rules.session_hours_max {
        let hours = spec.session_hours;
        warn(
            hours.is_none_or(|hours| hours > max),
            "sessionHours",
            format!(
                "{name} ends a session after {max} hours; with `sessionHours` it is begun anew before"
            ),
        );
    }
}

fn of_way(spec: &OutputSpec, carried: &[&RenditionSpec], found: &mut Vec<Finding>) {
    let mut say = |level, path: &str, message: &str| {
        found.push(Finding {
            level,
            path: path.to_owned(),
            message: message.to_owned(),
        });
    };
    let has_scheme = |scheme: &str| {
        let url = secrets::masked(spec).url;
        url.is_some_and(|url| url.reveal().to_ascii_lowercase().starts_with(scheme))
    };
    match spec.way() {
        Some(OutputType::Rtmp) if has_scheme("rtmp://") => say(
            Level::Note,
            "url",
            "the stream key goes over the network unencrypted; rtmps:// encrypts it where the server has it",
        ),
        Some(OutputType::Hls) => {
            let interval = |spec: &&RenditionSpec| spec.keyframe_interval.unwrap_or(2.0);
            let first = carried.first().map(interval);
            if carried.iter().any(|spec| Some(interval(spec)) != first) {
                let message = "the renditions of one playlist need the same keyframeInterval";
                say(Level::Error, "renditions", message);
            }
            let segment_s = spec.segment_seconds.unwrap_or(2) as f32;
            if first.is_some_and(|interval| (segment_s / interval).fract() > 1e-3) {
                let message = "it is no multiple of the keyframe interval; segments end at the keyframe after it";
                say(Level::Note, "segmentSeconds", message);
            }
        }
        Some(OutputType::File)
            if container_of(spec) == ContainerName::Webm
                && carried.iter().any(|spec| spec.codec.is_none()) =>
        {
            let message = "WebM takes VP8, VP9 and Opus, and no H.264; mkv takes all";
            say(Level::Error, "container", message);
        }
        _ => {}
    }
    if spec.key.is_some() {
        say(
            Level::Note,
            "key",
            "the key is kept in a file; with `keyFrom` it stays in the environment",
        );
    }
}
