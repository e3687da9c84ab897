//! Settings of what is encoded and recorded, which are more than one word: renditions, and when a recording's file ends; and the stream
//! keys that variables hold.

use std::collections::BTreeMap;
use std::fmt;

use components::output::{ContainerName, RenditionSpec, SplitSpec};
use components::{Problems, Validate as _};

/// The word in the names of variables that hold stream keys.
pub const STREAM_KEY: &str = "STREAM_KEY";

/// Stream keys by the names of their variables, of `.env` and the environment. `Debug` shows no key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StreamKeys(BTreeMap<String, String>);

impl StreamKeys {
    /// Keeps a variable when its name says that it holds a key.
    pub(super) fn note(&mut self, name: &str, value: &str) -> bool {
        let is_key = name.contains(STREAM_KEY) && !value.trim().is_empty();
        if is_key {
            self.0.insert(name.to_owned(), value.trim().to_owned());
        }
        is_key
    }

    /// The key that a variable holds.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// How the names of variables begin that hold the password of a camera.
const RTSP_PASSWORD: &str = "RTSP_PASSWORD";

/// Passwords of cameras by the names of their variables, of `.env` and the environment. `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct InputPasswords(BTreeMap<String, String>);

impl InputPasswords {
    /// Keeps a variable when its name says that it holds such a password.
    pub(super) fn note(&mut self, name: &str, value: &str) -> bool {
        let is_password = name.starts_with(RTSP_PASSWORD) && !value.is_empty();
        if is_password {
            self.0.insert(name.to_owned(), value.to_owned());
        }
        is_password
    }

    /// The password that a variable holds.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Whether a variable of this name is no setting and is read all the same: it holds a stream key or the password of a camera.
#[must_use]
pub fn is_secret_variable(name: &str) -> bool {
    name.contains(STREAM_KEY) || name.starts_with(RTSP_PASSWORD)
}

impl fmt::Debug for InputPasswords {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for StreamKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// Names of layouts of files.
pub(super) const CONTAINERS: [(&str, ContainerName); 5] = [
    ("mp4", ContainerName::Mp4),
    ("mkv", ContainerName::Mkv),
    ("flv", ContainerName::Flv),
    ("ts", ContainerName::Ts),
    ("webm", ContainerName::Webm),
];

/// `720p:3000,480p:1200`: heights with kbit/s, or without.
pub(super) fn renditions(text: &str) -> Option<Vec<RenditionSpec>> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let read: Vec<RenditionSpec> = parts.map(rendition).collect::<Option<_>>()?;
    let is_taken = |(index, spec): (usize, &RenditionSpec)| {
        read[..index].iter().any(|other| other.id == spec.id)
    };
    let fits = read.len() < RenditionSpec::COUNT_MAX && !read.iter().enumerate().any(is_taken);
    fits.then_some(read)
}

fn rendition(text: &str) -> Option<RenditionSpec> {
    let (name, kbps) = match text.split_once(':') {
        Some((name, kbps)) => (name, Some(number(kbps.trim_end_matches(['k', 'K']))?)),
        None => (text, None),
    };
    let height = number(name.strip_suffix(['p', 'P'])?)?;
    let spec = RenditionSpec {
        height: Some(height),
        bitrate: kbps,
        ..RenditionSpec::new(format!("{height}p"))
    };
    let mut problems = Problems::new();
    spec.validate(&mut problems);
    problems.is_empty().then_some(spec)
}

/// `60m`, `500MB`, or both with a comma between.
pub(super) fn split(text: &str) -> Option<Option<SplitSpec>> {
    if text.is_empty() {
        return Some(None);
    }
    let mut split = SplitSpec {
        minutes: None,
        megabytes: None,
    };
    for part in text.split(',').map(str::trim) {
        let lower = part.to_ascii_lowercase();
        match (lower.strip_suffix("mb"), lower.strip_suffix('m')) {
            (Some(megabytes), _) if split.megabytes.is_none() => {
                split.megabytes = Some(number(megabytes)?);
            }
            (None, Some(minutes)) if split.minutes.is_none() => {
                split.minutes = Some(number(minutes)? as f32);
            }
            _ => return None,
        }
    }
    let mut problems = Problems::new();
    split.validate(&mut problems);
    problems.is_empty().then_some(Some(split))
}

/// Plain digits; `parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_is_heights_with_bitrates() {
        let read = renditions("720p:3000, 480p:1200k,360p").expect("three");
        let facts: Vec<_> = read
            .iter()
            .map(|spec| (spec.id.as_str(), spec.height, spec.bitrate))
            .collect();
        assert_eq!(
            facts,
            [
                ("720p", Some(720), Some(3000)),
                ("480p", Some(480), Some(1200)),
                ("360p", Some(360), None)
            ]
        );
        assert_eq!(renditions(""), Some(Vec::new()));
        for text in [
            "720",
            "p",
            "721p",
            "720p:",
            "720p:10",
            "720p,720p:1",
            "-720p",
            "720p:+300",
        ] {
            assert_eq!(renditions(text), None, "{text}");
        }
    }

    #[test]
    fn a_split_is_minutes_megabytes_or_both() {
        let read = |text| {
            split(text)
                .expect("a split")
                .map(|split| (split.minutes, split.megabytes))
        };
        assert_eq!(read(""), None);
        assert_eq!(read("60m"), Some((Some(60.0), None)));
        assert_eq!(read("500MB, 15m"), Some((Some(15.0), Some(500))));
        for text in ["60", "m", "0m", "60m,70m", "5GB", "1h"] {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn only_passwords_of_cameras_are_kept_and_none_is_shown() {
        let mut passwords = InputPasswords::default();
        assert!(passwords.note("RTSP_PASSWORD_DOOR", "open sesame"));
        assert!(!passwords.note("REDIS_PASSWORD", "abcd") && !passwords.note("RTSP_PASSWORD", ""));
        assert_eq!(passwords.get("RTSP_PASSWORD_DOOR"), Some("open sesame"));
        assert!(!format!("{passwords:?}").contains("sesame"));
    }

    #[test]
    fn only_what_is_named_a_key_is_kept_and_none_is_shown() {
        let mut keys = StreamKeys::default();
        assert!(keys.note("TWITCH_STREAM_KEY", " live_1234 "));
        assert!(!keys.note("API_TOKEN", "abcd") && !keys.note("X_STREAM_KEY", ""));
        assert_eq!(keys.get("TWITCH_STREAM_KEY"), Some("live_1234"));
        assert!(!format!("{keys:?}").contains("1234"));
    }
}
