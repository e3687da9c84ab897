//! A channel of a fleet as it stands in Redis: which scene, and which settings are its own. It is checked before it is written, and by
//! whoever carries it, since others may write there as well.
//!
//! Settings may hold stream keys, so nothing here prints one: what is shown is [`ChannelSpec::shown`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::ports::Ports;
use crate::config::{self, Origin};

/// Settings that a channel has no say in: they belong to who carries it.
pub const RESERVED: [&str; 16] = [
    "PORT",
    "WS_PORT",
    "METRICS_PORT",
    "HEALTH_PORT",
    "RTMP_PORT",
    "BIND",
    "DATA_DIR",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "STREAM_ID",
    "ADVERTISE_HOST",
    "ROLE",
    "FLEET",
    "FLEET_CAPACITY",
    "FLEET_PORT_BASE",
    "LOG_FORMAT",
];
/// What is shown in the place of a secret.
const HIDDEN: &str = "***";
/// The longest path of a scene, and the longest value of a variable that is no setting, in bytes.
const TEXT_MAX: usize = 1024;
/// Settings of one channel.
const SETTINGS_MAX: usize = 100;

/// What a channel is.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ChannelSpec {
    scene: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    settings: BTreeMap<String, String>,
}

/// The same as it was written, by this program or by another one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    scene: String,
    #[serde(default)]
    settings: serde_json::Map<String, Value>,
}

/// Why a channel is not taken. Shows no secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ChannelError {
    /// Its name cannot be a STREAM_ID, or not a folder.
    #[error(
        "the channel `{0}` has a name that is not allowed; it must be 1 to 64 letters from a to z in either case, digits, `.`, `_` and `-`, and more than dots"
    )]
    Id(String),
    /// What stands in Redis is no channel.
    #[error("its JSON is not {{\"scene\": ..., \"settings\": {{...}}}}: {0}")]
    Json(String),
    /// Its scene cannot be a path.
    #[error("its scene must be a path or a name, of 1 to {TEXT_MAX} letters")]
    Scene,
    /// Its settings cannot be used.
    #[error("{}", .0.join("; "))]
    Settings(Vec<String>),
}

impl ChannelSpec {
    /// A channel of this scene with these settings.
    ///
    /// # Errors
    /// As [`ChannelError`] says; every setting that is not allowed is named.
    pub fn new(
        scene: &str,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ChannelError> {
        if !is_text(scene) || scene.is_empty() {
            return Err(ChannelError::Scene);
        }
        let settings: BTreeMap<String, String> = settings.into_iter().collect();
        let mut problems: Vec<String> = settings
            .iter()
            .filter_map(|(name, value)| problem(name, value))
            .collect();
        if settings.len() > SETTINGS_MAX {
            problems.push(format!(
                "{} settings are more than {SETTINGS_MAX}",
                settings.len()
            ));
        }
        if !problems.is_empty() {
            return Err(ChannelError::Settings(problems));
        }
        Ok(Self {
            scene: scene.to_owned(),
            settings,
        })
    }

    /// Reads what stands in Redis. Numbers and switches may stand there as such.
    ///
    /// # Errors
    /// As [`ChannelError`] says.
    pub fn parse(json: &str) -> Result<Self, ChannelError> {
        // What serde says may repeat a value, which may be a key; where it stands is enough.
        let written: Written = serde_json::from_str(json).map_err(|error| {
            ChannelError::Json(format!("line {} column {}", error.line(), error.column()))
        })?;
        let mut settings = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, value) in written.settings {
            match value {
                Value::String(text) => {
                    settings.insert(name, text);
                }
                Value::Number(_) | Value::Bool(_) => {
                    settings.insert(name, value.to_string());
                }
                _ => problems.push(format!("{name} must be one value, not a list or object")),
            }
        }
        if !problems.is_empty() {
            return Err(ChannelError::Settings(problems));
        }
        Self::new(&written.scene, settings)
    }

    /// As it is written to Redis.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As it was given.
    #[must_use]
    pub fn scene(&self) -> &str {
        &self.scene
    }

    /// The scene's file: a name without a folder and without `.json` is that of a scene in `scenes`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let is_name = !self.scene.contains('/') && !self.scene.ends_with(".json");
        match is_name {
            true => Path::new("scenes").join(format!("{}.json", self.scene)),
            false => PathBuf::from(&self.scene),
        }
    }

    /// Its settings for people: what is secret is hidden.
    #[must_use]
    pub fn shown(&self) -> BTreeMap<&str, &str> {
        let shown = self.settings.iter().map(|(name, value)| {
            let value = if is_secret(name) { HIDDEN } else { value };
            (name.as_str(), value)
        });
        shown.collect()
    }

    /// What the process that carries it finds in its environment, besides what that of its supervisor has.
    #[must_use]
    pub fn environment(&self, id: &str, folder: &Path, ports: &Ports) -> Vec<(String, OsString)> {
        let own = self.settings.iter();
        let own = own.map(|(name, value)| (name.clone(), OsString::from(value)));
        let rtmp = ports
            .rtmp
            .map_or_else(|| "off".to_owned(), |port| port.to_string());
        let given = [
            ("PORT", ports.api.to_string()),
            ("WS_PORT", ports.websocket.to_string()),
            ("METRICS_PORT", ports.metrics.to_string()),
            ("HEALTH_PORT", ports.health.to_string()),
            ("RTMP_PORT", rtmp),
            ("STREAM_ID", id.to_owned()),
            ("ROLE", "auto".to_owned()),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), OsString::from(value)));
        let folder = ("DATA_DIR".to_owned(), folder.as_os_str().to_owned());
        own.chain(given).chain([folder]).collect()
    }
}

impl fmt::Debug for ChannelSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChannelSpec")
            .field("scene", &self.scene)
            .field("settings", &self.shown())
            .finish()
    }
}

/// Checks the name of a channel, which is its STREAM_ID, and a folder's.
///
/// # Errors
/// It is not allowed.
pub fn check_id(id: &str) -> Result<(), ChannelError> {
    let is_id = config::check_one("STREAM_ID", id, Origin::Channel).is_ok() && id.trim() == id;
    match is_id && id.contains(|letter| letter != '.') {
        true => Ok(()),
        false => Err(ChannelError::Id(id.escape_debug().take(80).collect())),
    }
}

fn is_secret(name: &str) -> bool {
    let mut settings = config::all().iter();
    config::is_secret_variable(name)
        || settings.any(|setting| setting.name == name && setting.is_secret)
}

fn problem(name: &str, value: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!(
            "{name} belongs to the instance that carries the channel, and cannot be set for a channel"
        ));
    }
    if value.contains('\0') {
        return Some(format!("{name} holds a character that no variable can"));
    }
    if config::is_secret_variable(name) {
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_good = is_name && name.len() <= 100 && value.len() <= TEXT_MAX;
        return (!is_good).then(|| {
            format!(
                "{name:?} must have a name of letters, digits and `_`, and at most {TEXT_MAX} bytes"
            )
        });
    }
    let checked = config::check_one(name, value, Origin::Channel);
    checked.err().map(|problem| problem.message)
}

fn is_text(text: &str) -> bool {
    text.len() <= TEXT_MAX && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: &Value) -> Result<ChannelSpec, ChannelError> {
        ChannelSpec::parse(&serde_json::json!({"scene": "demo", "settings": settings}).to_string())
    }

    #[test]
    fn a_channel_comes_back_as_it_was_written() {
        let spec = parse(&serde_json::json!({
            "TARGET_FPS": 25, "HLS": false, "STREAM_URL": "rtmp://host/app/secret", "TWITCH_STREAM_KEY": "secret",
        }))
        .unwrap();
        assert_eq!(ChannelSpec::parse(&spec.json()).unwrap(), spec);
        assert_eq!(spec.path(), Path::new("scenes/demo.json"));
        let shown = format!("{spec:?}");
        assert!(shown.contains("25") && !shown.contains("secret"), "{shown}");
        let environment = spec.environment("a", Path::new("d/channels/a"), &Ports::of(4300, 1));
        let value = |name: &str| {
            let mut found = environment.iter().filter(|(other, _)| other == name);
            let value = found.next().map(|(_, value)| value.to_str().unwrap());
            assert!(found.next().is_none(), "{name} is there once");
            value
        };
        for (name, expected) in [
            ("STREAM_URL", "rtmp://host/app/secret"),
            ("HLS", "false"),
            ("PORT", "4310"),
            ("RTMP_PORT", "4314"),
            ("STREAM_ID", "a"),
            ("DATA_DIR", "d/channels/a"),
        ] {
            assert_eq!(value(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        for path in ["shows/late.json", "late.json", "/srv/late"] {
            let spec = ChannelSpec::new(path, []).unwrap();
            assert_eq!(spec.path(), Path::new(path));
        }
        for scene in ["", "a\nb"] {
            assert_eq!(ChannelSpec::new(scene, []), Err(ChannelError::Scene));
        }
    }

    #[test]
    fn what_is_not_allowed_is_named_and_no_secret_is_shown() {
        let error = parse(&serde_json::json!({
            "REDIS_URL": "redis://:secret@host", "PORT": 80, "FPS_TARGET": 3, "TARGET_FP": 3, "STREAM_URL": "https://secret",
            "STREAM_BITRATE": "4G", "MY STREAM_KEY": "secret",
        }))
        .unwrap_err()
        .to_string();
        for words in [
            "REDIS_URL belongs to the instance",
            "PORT belongs to the instance",
            "FPS_TARGET is not a setting",
            "did you mean TARGET_FPS?",
            "STREAM_URL: the value from the channel's settings (not shown)",
            "STREAM_BITRATE: \"4G\" from the channel's settings is not allowed; it must be from 50",
            "\"MY STREAM_KEY\" must have a name",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        assert!(!error.contains("secret"), "{error}");
        for json in [
            "",
            "[]",
            r#"{"settings": {}}"#,
            r#"{"scene": "secret", "more": 1}"#,
            r#"{"scene": "a", "settings": {"HLS": null}}"#,
        ] {
            let error = ChannelSpec::parse(json).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_name_of_a_channel_is_a_folder_and_never_another_one() {
        for id in ["lobby", "a.b-c_1", "x"] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
        for id in ["", ".", "..", "a/b", " a", "a b", "\u{e4}", &"x".repeat(65)] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn what_is_reserved_are_settings() {
        for name in RESERVED {
            let is_setting = config::all().iter().any(|setting| setting.name == name);
            assert!(is_setting, "{name}");
        }
    }
}
