//! Where the platforms take streams, and what they allow.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use codec::redact_url;

use super::settings::{OutputSettings, Platform};
use crate::streaming::error::StreamingError;

/// The URLs that a stream key is pushed to. They hold the key: show them redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Ingest {
    /// The first choice.
    pub target: String,
    /// Tried in turn when it cannot be reached.
    pub backups: Vec<String>,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backups: Vec<String> = self.backups.iter().map(|url| redact_url(url)).collect();
        formatter
            .debug_struct("Ingest")
            .field("target", &redact_url(&self.target))
            .field("backups", &backups)
            .finish()
    }
}

/// What a platform takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    /// Seconds from one keyframe to the next, at most.
    pub(super) keyframe_s: f32,
    /// Kilobits a second of the picture at up to 30 frames a second.
    pub(super) video_kbps: u32,
    /// The same at up to `fps`.
    pub(super) video_kbps_fast: u32,
    /// Kilobits a second of the sound.
    pub(super) audio_kbps: u32,
    /// Frames a second.
    pub(super) fps: u32,
    /// Pixels, the longer side and the shorter one.
    pub(super) size: (u32, u32),
    /// Whether the bitrate has to be constant, and not only should be.
    pub(super) needs_constant_rate: bool,
    /// Whether only `rtmps` is taken.
    pub(super) needs_tls: bool,
    /// Hosts of its ingest end in one of these.
    pub(super) hosts: &'static [&'static str],
}

/// Where X takes streams; the first is the default.
const X_REGIONS: [&str; 7] = ["va", "or", "ca", "ie", "de", "jp", "sg"];
/// Twitch ends a stream after 48 h.
const TWITCH_SESSION_MAX: Duration = Duration::from_secs(47 * 3600);
/// Keys and regions are no longer.
const KEY_BYTES_MAX: usize = 512;

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 4] = [Self::X, Self::Twitch, Self::Youtube, Self::Facebook];

    /// Its name in settings and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Twitch => "twitch",
            Self::Youtube => "youtube",
            Self::Facebook => "facebook",
        }
    }

    /// Where a stream key is pushed to. `region` is one of X's (`va`, `or`, `ca`, `ie`, `de`, `jp`, `sg`; `va` when left out), or the
    /// name of an ingest of Twitch such as `fra02`; the others have none.
    ///
    /// # Errors
    /// [`StreamingError::Setting`] for a key or a region that cannot be part of a URL, or a region that is not known.
    pub fn url(self, key: &str, region: Option<&str>) -> Result<Ingest, StreamingError> {
        let refuse = |setting, value: &str, expected| {
            Err(StreamingError::Setting {
                id: self.as_str().to_owned(),
                setting,
                value: value.to_owned(),
                expected,
            })
        };
        let key = key.trim();
        let is_plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'#' | b'"' | b'\\');
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(is_plain) {
            return refuse(
                "key",
                "***",
                "the stream key alone is needed, as it was given",
            );
        }
        let single = |target: String| Ingest {
            target,
            backups: Vec::new(),
        };
        let ingest = match (self, region) {
            (Self::X, region) => {
                let region = region.unwrap_or(X_REGIONS[0]);
                if !X_REGIONS.contains(&region) {
                    return refuse(
                        "region",
                        region,
                        "one of va, or, ca, ie, de, jp, sg is needed",
                    );
                }
                single(format!("rtmp://{region}.pscp.tv:80/x/{key}"))
            }
            (Self::Twitch, None) => single(format!("rtmp://live.twitch.tv/app/{key}")),
            (Self::Twitch, Some(region)) => {
                let is_name = region.bytes().all(|byte| byte.is_ascii_alphanumeric());
                if !is_name || !(2..=16).contains(&region.len()) {
                    return refuse(
                        "region",
                        region,
                        "the name of an ingest, such as fra02, is needed",
                    );
                }
                single(format!(
                    "rtmp://{region}.contribute.live-video.net/app/{key}"
                ))
            }
            (Self::Youtube, None) => Ingest {
                target: format!("rtmps://a.rtmps.youtube.com:443/live2/{key}"),
                backups: vec![format!(
                    "rtmps://b.rtmps.youtube.com:443/live2?backup=1/{key}"
                )],
            },
            (Self::Facebook, None) => {
                single(format!("rtmps://rtmp-api.facebook.com:443/rtmp/{key}"))
            }
            (Self::Youtube | Self::Facebook, Some(region)) => {
                return refuse("region", region, "this platform has no regions");
            }
        };
        Ok(ingest)
    }

    /// After so long a session is begun anew, because the platform would end it.
    #[must_use]
    pub const fn session_max(self) -> Option<Duration> {
        match self {
            Self::Twitch => Some(TWITCH_SESSION_MAX),
            Self::X | Self::Youtube | Self::Facebook => None,
        }
    }

    /// The platform that a URL belongs to, by its host.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let host = host(url)?.to_ascii_lowercase();
        let is_of = |domain: &&str| {
            let rest = host.strip_suffix(*domain);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let mut all = Self::ALL.into_iter();
        all.find(|platform| platform.limits().hosts.iter().any(&is_of))
    }

    pub(super) const fn limits(self) -> Limits {
        match self {
            Self::X => Limits {
                keyframe_s: 3.0,
                video_kbps: 12_000,
                video_kbps_fast: 12_000,
                audio_kbps: 128,
                fps: 60,
                size: (1920, 1080),
                needs_constant_rate: false,
                needs_tls: false,
                hosts: &["pscp.tv"],
            },
            Self::Twitch => Limits {
                keyframe_s: 2.0,
                video_kbps: 6000,
                video_kbps_fast: 6000,
                audio_kbps: 320,
                fps: 60,
                size: (1920, 1080),
                needs_constant_rate: true,
                needs_tls: false,
                hosts: &["twitch.tv", "live-video.net"],
            },
            Self::Youtube => Limits {
                keyframe_s: 2.0,
                video_kbps: 51_000,
                video_kbps_fast: 51_000,
                audio_kbps: 160,
                fps: 60,
                size: (3840, 2160),
                needs_constant_rate: false,
                needs_tls: false,
                hosts: &["youtube.com"],
            },
            Self::Facebook => Limits {
                keyframe_s: 2.0,
                video_kbps: 6000,
                video_kbps_fast: 9000,
                audio_kbps: 128,
                fps: 60,
                size: (1920, 1080),
                needs_constant_rate: false,
                needs_tls: true,
                hosts: &["facebook.com"],
            },
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = StreamingError;

    fn from_str(name: &str) -> Result<Self, StreamingError> {
        let mut all = Self::ALL.into_iter();
        all.find(|platform| platform.as_str() == name)
            .ok_or_else(|| StreamingError::Setting {
                id: "outputs".to_owned(),
                setting: "platform",
                value: name.to_owned(),
                expected: "one of x, twitch, youtube, facebook is needed",
            })
    }
}

impl OutputSettings {
    /// An output that pushes to a platform, with the URLs, the backups and the length of sessions that fit it.
    ///
    /// # Errors
    /// As [`Platform::url`].
    pub fn for_platform(
        id: impl Into<String>,
        platform: Platform,
        key: &str,
        region: Option<&str>,
    ) -> Result<Self, StreamingError> {
        let Ingest { target, backups } = platform.url(key, region)?;
        Ok(Self {
            backups,
            platform: Some(platform),
            session_max: platform.session_max(),
            ..Self::new(id, target)?
        })
    }
}

/// The host of a URL.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    host.split(':').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "abcd-EFGH-1234";

    #[test]
    fn every_platform_has_its_urls() {
        for (platform, region, target) in [
            (Platform::X, None, "rtmp://va.pscp.tv:80/x/abcd-EFGH-1234"),
            (
                Platform::X,
                Some("jp"),
                "rtmp://jp.pscp.tv:80/x/abcd-EFGH-1234",
            ),
            (
                Platform::Twitch,
                None,
                "rtmp://live.twitch.tv/app/abcd-EFGH-1234",
            ),
            (
                Platform::Twitch,
                Some("fra02"),
                "rtmp://fra02.contribute.live-video.net/app/abcd-EFGH-1234",
            ),
            (
                Platform::Youtube,
                None,
                "rtmps://a.rtmps.youtube.com:443/live2/abcd-EFGH-1234",
            ),
            (
                Platform::Facebook,
                None,
                "rtmps://rtmp-api.facebook.com:443/rtmp/abcd-EFGH-1234",
            ),
        ] {
            let settings = OutputSettings::for_platform("a", platform, KEY, region)
                .expect("an output of the platform");
            assert_eq!(settings.target, target);
            assert!(settings.validate().is_ok(), "{settings:?}");
            assert_eq!(Platform::of_url(target), Some(platform));
            for shown in [settings.url_shown(0), settings.url_shown(1)] {
                assert!(!shown.contains("EFGH"), "{shown}");
            }
        }
        let youtube = Platform::Youtube.url(KEY, None).expect("its URLs");
        assert_eq!(
            youtube.backups,
            ["rtmps://b.rtmps.youtube.com:443/live2?backup=1/abcd-EFGH-1234"]
        );
        assert!(!format!("{youtube:?}").contains("EFGH"), "{youtube:?}");
    }

    #[test]
    fn only_twitch_ends_sessions_by_itself() {
        for platform in Platform::ALL {
            let settings = OutputSettings::for_platform("a", platform, KEY, None);
            let longest = settings.expect("an output").session_max;
            let expected = (platform == Platform::Twitch).then_some(TWITCH_SESSION_MAX);
            assert_eq!(longest, expected, "{platform}");
        }
    }

    #[test]
    fn bad_keys_and_regions_are_refused_and_not_shown() {
        for key in ["", "  ", "a b", "rtmp://host/app/key", "a#b"] {
            let error = Platform::Twitch.url(key, None).expect_err("refused");
            assert!(error.to_string().contains("key is ***"), "{error}");
        }
        for (platform, region) in [
            (Platform::X, "mars"),
            (Platform::Twitch, "a.evil.example"),
            (Platform::Youtube, "va"),
            (Platform::Facebook, "va"),
        ] {
            assert!(
                platform.url(KEY, Some(region)).is_err(),
                "{platform} {region}"
            );
        }
        assert_eq!(
            "facebook".parse::<Platform>().ok(),
            Some(Platform::Facebook)
        );
        assert!("mixer".parse::<Platform>().is_err());
        assert_eq!(Platform::of_url("rtmp://nottwitch.tv/app/key"), None);
    }
}
