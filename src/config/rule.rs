//! What a setting's text may be, and how it becomes a value.
//!
//! A rule says what is allowed in the same place where it checks it, so that errors, help and listings cannot disagree with
//! the code.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use codec::Preset;
use components::output::{RenditionSpec, SplitSpec};
use components::scene::FrameRate;

use super::access::{ApiToken, Origins, RedisPassword};
use super::log_levels::LogLevels;
use super::stream_url::StreamUrl;
use super::streams;
use crate::store::RedisUrl;
use crate::store::remote::URL_EXPECTED;

type Reader<T> = Box<dyn Fn(&str) -> Option<T>>;

/// How one setting is read.
pub(super) struct Rule<T> {
    /// Completes "it must be ...".
    pub(super) allowed: String,
    /// Whether a refused value must not be shown.
    pub(super) is_secret: bool,
    read: Reader<T>,
}

impl<T> Rule<T> {
    fn new(allowed: impl Into<String>, read: impl Fn(&str) -> Option<T> + 'static) -> Self {
        Self {
            allowed: allowed.into(),
            is_secret: false,
            read: Box::new(read),
        }
    }

    /// The value, or `None` when the text is not allowed. White space around it does not count.
    pub(super) fn read(&self, text: &str) -> Option<T> {
        (self.read)(text.trim())
    }
}

/// A whole number in a range, of `unit` where that is not empty.
pub(super) fn whole<T>(range: RangeInclusive<T>, unit: &str) -> Rule<T>
where
    T: FromStr + PartialOrd + Display + 'static,
{
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    };
    let allowed = format!(
        "a whole number from {} to {}{unit}",
        range.start(),
        range.end()
    );
    Rule::new(allowed, move |text| {
        text.parse().ok().filter(|number| range.contains(number))
    })
}

/// Whatever the type itself reads.
pub(super) fn parsed<T: FromStr + 'static>(allowed: &str) -> Rule<T> {
    Rule::new(allowed, |text| text.parse().ok())
}

/// One of a few names, in any case.
pub(super) fn choice<T: Copy>(names: &'static [(&'static str, T)]) -> Rule<T> {
    let allowed = match names {
        [(only, _)] => format!("{only}, the only one in this release"),
        _ => one_of(names.iter().map(|(name, _)| *name)),
    };
    Rule::new(allowed, |text| {
        let mut names = names.iter();
        let (_, value) = names.find(|(name, _)| name.eq_ignore_ascii_case(text))?;
        Some(*value)
    })
}

/// On or off.
pub(super) fn switch() -> Rule<bool> {
    Rule::new("true or false (or on/off, yes/no, 1/0)", |text| match text
        .to_ascii_lowercase()
        .as_str()
    {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    })
}

/// A path that may not exist yet.
pub(super) fn path() -> Rule<PathBuf> {
    Rule::new("a path", |text| {
        (!text.is_empty()).then(|| PathBuf::from(text))
    })
}

/// Frames a second.
pub(super) fn frame_rate() -> Rule<FrameRate> {
    let allowed = "from 1 to 120 frames a second, whole or an NTSC rate such as 29.97";
    Rule::new(allowed, |text| FrameRate::from_decimal(text.parse().ok()?))
}

/// Kilobits a second: `4000`, `4000k` or `4M`.
pub(super) fn bitrate(range: RangeInclusive<u32>, examples: &str) -> Rule<u32> {
    let allowed = format!(
        "from {} to {} kbit/s, such as {examples}",
        range.start(),
        range.end()
    );
    Rule::new(allowed, move |text| {
        let (number, kbps_per_unit) = match text.strip_suffix(['k', 'K']) {
            Some(number) => (number, 1.0),
            None => match text.strip_suffix(['m', 'M']) {
                Some(number) => (number, 1000.0),
                None => (text, 1.0),
            },
        };
        let kbps = (decimal(number)? * kbps_per_unit).round();
        let is_allowed = (f64::from(*range.start())..=f64::from(*range.end())).contains(&kbps);
        is_allowed.then_some(kbps as u32)
    })
}

/// A time: `1000`, `1000ms` or `1s`.
pub(super) fn milliseconds(range: RangeInclusive<u32>) -> Rule<Duration> {
    let allowed = format!(
        "from {} to {} milliseconds, such as 1000, 1000ms or 1s",
        range.start(),
        range.end()
    );
    Rule::new(allowed, move |text| {
        let ms = match text.strip_suffix("ms") {
            Some(number) => decimal(number)?,
            None => match text.strip_suffix('s') {
                Some(number) => decimal(number)? * 1000.0,
                None => decimal(text)?,
            },
        };
        let is_allowed = (f64::from(*range.start())..=f64::from(*range.end())).contains(&ms);
        is_allowed.then(|| Duration::from_secs_f64(ms / 1000.0))
    })
}

/// A port, or none.
pub(super) fn port_or_off() -> Rule<Option<u16>> {
    Rule::new("a whole number from 0 to 65535, or off", |text| {
        if text.eq_ignore_ascii_case("off") {
            Some(None)
        } else {
            text.parse().ok().map(Some)
        }
    })
}

/// Whole seconds.
pub(super) fn seconds(range: RangeInclusive<u32>) -> Rule<Duration> {
    let whole = whole(range, "seconds");
    let allowed = whole.allowed.clone();
    Rule::new(allowed, move |text| {
        whole
            .read(text)
            .map(|seconds| Duration::from_secs(u64::from(seconds)))
    })
}

/// A libx264 preset.
pub(super) fn preset() -> Rule<Preset> {
    let allowed = "one of ultrafast, superfast, veryfast, faster, fast, medium, slow";
    Rule::new(allowed, |text| text.to_ascii_lowercase().parse().ok())
}

/// Renditions beside the main one.
pub(super) fn renditions() -> Rule<Vec<RenditionSpec>> {
    let allowed = "empty, or up to 7 heights with kbit/s, such as 720p:3000,480p:1200,360p";
    Rule::new(allowed, streams::renditions)
}

/// When a file ends and the next begins.
pub(super) fn split() -> Rule<Option<SplitSpec>> {
    let allowed = "empty, or minutes, megabytes or both, such as 60m or 60m,4000MB";
    Rule::new(allowed, streams::split)
}

/// Where to push, or nothing.
pub(super) fn stream_url() -> Rule<Option<StreamUrl>> {
    let allowed = "empty, or a URL such as rtmp://host/app/key, rtmps://host:port/app/key or srt://host:port?streamid=name";
    let rule = Rule::new(allowed, |text| {
        if text.is_empty() {
            Some(None)
        } else {
            StreamUrl::parse(text).map(Some)
        }
    });
    Rule {
        is_secret: true,
        ..rule
    }
}

/// A bearer token, or none.
pub(super) fn api_token() -> Rule<Option<ApiToken>> {
    let allowed = format!(
        "empty, or {} to 256 letters, digits and any of -._~+/=",
        super::access::TOKEN_MIN
    );
    let rule = Rule::new(allowed, |text| {
        if text.is_empty() {
            Some(None)
        } else {
            ApiToken::parse(text).map(Some)
        }
    });
    Rule {
        is_secret: true,
        ..rule
    }
}

/// Where Redis is, or nothing.
pub(super) fn redis_url() -> Rule<Option<RedisUrl>> {
    let rule = Rule::new(format!("empty, or {URL_EXPECTED}"), |text| {
        if text.is_empty() {
            Some(None)
        } else {
            RedisUrl::parse(text).map(Some)
        }
    });
    Rule {
        is_secret: true,
        ..rule
    }
}

/// A password, or none.
pub(super) fn redis_password() -> Rule<Option<RedisPassword>> {
    let rule = Rule::new("empty, or up to 512 printable letters", |text| {
        if text.is_empty() {
            Some(None)
        } else {
            RedisPassword::parse(text).map(Some)
        }
    });
    Rule {
        is_secret: true,
        ..rule
    }
}

/// The name of a stream among others.
pub(super) fn stream_id() -> Rule<String> {
    Rule::new(
        "1 to 64 letters from a to z in either case, digits, `.`, `_` and `-`",
        |text| {
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
            let is_good = (1..=64).contains(&text.len()) && text.chars().all(is_plain);
            is_good.then(|| text.to_owned())
        },
    )
}

/// A host without its port, or none.
pub(super) fn host() -> Rule<String> {
    let is_name = |text: &str| {
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
        text.len() <= 253 && text.chars().all(is_known)
    };
    Rule::new(
        "empty, or a host without a port such as 10.0.0.7, [fd00::7] or studio-1",
        move |text| {
            let inner = text
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'));
            let is_good = match inner {
                Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
                None => is_name(text),
            };
            is_good.then(|| text.to_owned())
        },
    )
}

/// Origins of pages.
pub(super) fn origins() -> Rule<Origins> {
    Rule::new(
        "empty, `*`, or origins with commas between, such as https://studio.example,http://localhost:5173",
        Origins::parse,
    )
}

/// Levels of the log.
pub(super) fn log_levels() -> Rule<LogLevels> {
    Rule::new(LogLevels::allowed(), LogLevels::parse)
}

/// Digits with at most one point; `f64` alone would also take `inf`, `nan` and `1e9`.
fn decimal(text: &str) -> Option<f64> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_plain.then(|| text.parse().ok()).flatten()
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", names.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrates_are_kilobits_with_or_without_a_suffix() {
        let rule = bitrate(50..=200_000, "4M");
        for (text, kbps) in [
            ("4000", 4000),
            ("2000k", 2000),
            ("2000K", 2000),
            ("4M", 4000),
            ("4.5m", 4500),
            (" 50 ", 50),
        ] {
            assert_eq!(rule.read(text), Some(kbps), "{text}");
        }
        for text in [
            "", "k", "M", ".", "-1", "49", "200001", "1e3", "inf", "nan", "4G", "4 M",
        ] {
            assert_eq!(rule.read(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_milliseconds_unless_they_say_seconds() {
        let rule = milliseconds(100..=600_000);
        for (text, ms) in [("1000", 1000), ("250ms", 250), ("1.5s", 1500)] {
            assert_eq!(rule.read(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "ms", "99", "601s", "1m", "-5"] {
            assert_eq!(rule.read(text), None, "{text}");
        }
    }

    #[test]
    fn every_preset_that_is_named_is_read() {
        let rule = preset();
        let names = rule.allowed.strip_prefix("one of ").unwrap();
        for name in names.split(", ") {
            assert_eq!(rule.read(name).unwrap().as_str(), name);
        }
        assert!(rule.read("turbo").is_none());
    }

    #[test]
    fn switches_take_the_usual_words() {
        assert_eq!(switch().read("On"), Some(true));
        assert_eq!(switch().read("0"), Some(false));
        assert_eq!(switch().read("maybe"), None);
    }
}
