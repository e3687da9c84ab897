//! What is wrong, or will be, with an output before it is started: the rules of its platform, and those of every output.
//!
//! [`OutputSettings::validate`] refuses what cannot run. Here is said what would run and be turned away, look bad, or break later.

use codec::RateControl;

use super::platform::Limits;
use super::settings::{OutputKind, OutputSettings, Platform};
use crate::streaming::rendition::RenditionSettings;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and could be better.
    Warning,
    /// The target refuses it, or nothing can be written.
    Error,
}

/// One thing that is wrong with an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule, such as `video-bitrate`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What was found, redacted.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// Packets of sound a second: 1024 samples each at 48 kHz.
const SOUND_PACKETS_PER_S: f64 = 48_000.0 / 1024.0;
/// Keyframes closer than this cost more than they give.
const KEYFRAME_S_MIN: f32 = 1.0;

/// Checks an output against the rendition that it carries: the rules of its platform, if it names one, and the general ones.
#[must_use]
pub fn check(output: &OutputSettings, rendition: &RenditionSettings) -> Vec<Finding> {
    let mut checker = Checker {
        output,
        rendition,
        findings: Vec::new(),
    };
    checker.check_rendition();
    checker.check_container();
    checker.check_queue();
    checker.check_key();
    checker.check_keyframes();
    if let Some(platform) = output.platform {
        let limits = platform.limits();
        checker.check_target(platform, &limits);
        checker.check_video(platform, &limits);
        checker.check_sound(platform, &limits);
        checker.check_session(platform);
    }
    checker.findings
}

struct Checker<'a> {
    output: &'a OutputSettings,
    rendition: &'a RenditionSettings,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn find(
        &mut self,
        rule: &'static str,
        severity: Severity,
        message: impl Into<String>,
        value: impl ToString,
        allowed: impl ToString,
    ) {
        self.findings.push(Finding {
            rule,
            severity,
            message: message.into(),
            value: value.to_string(),
            allowed: allowed.to_string(),
        });
    }

    fn fps(&self) -> f64 {
        self.rendition.encoder.video.frame_rate.as_f64()
    }

    fn check_rendition(&mut self) {
        let (wanted, id) = (&self.output.renditions, &self.rendition.id);
        if !wanted.is_empty() && !wanted.contains(id) {
            let message = format!("the output does not carry the rendition {id}");
            self.find("rendition", Severity::Error, message, id, wanted.join(", "));
        }
    }

    fn check_container(&mut self) {
        if let Err(unsupported) = self.output.holds(&self.rendition.encoder) {
            self.find(
                "container",
                Severity::Error,
                unsupported.to_string(),
                unsupported.codec,
                unsupported.reason,
            );
        }
    }

    /// A queue that does not hold a group of pictures has no keyframe to go on from when it is full, and drops all there is.
    fn check_queue(&mut self) {
        let encoder = &self.rendition.encoder;
        let sound = encoder.audio.map_or(0.0, |_| SOUND_PACKETS_PER_S);
        let needed = (self.fps() + sound) * f64::from(encoder.video.keyframe_interval_s);
        let held = f64::from(u32::try_from(self.output.max_queue).unwrap_or(u32::MAX));
        if held < needed {
            self.find(
                "queue",
                Severity::Warning,
                "the queue holds less than the packets from one keyframe to the next, so that a short delay loses more than it has to",
                format!("{} packets", self.output.max_queue),
                format!("{} packets or more", needed.ceil()),
            );
        }
    }

    /// `rtmp://host/app/key`: without a key, servers refuse or, worse, take it as a stream of no name.
    fn check_key(&mut self) {
        if self.output.kind != OutputKind::Rtmp {
            return;
        }
        for index in 0..=self.output.backups.len() {
            let path = self.output.url(index).splitn(4, '/').nth(3).unwrap_or("");
            let key = path.split_once('/').map_or("", |(_, key)| key);
            let is_placeholder = key.contains(['{', '<']) || key.eq_ignore_ascii_case("key");
            if key.is_empty() || is_placeholder {
                let shown = self.output.url_shown(index);
                self.find(
                    "key",
                    Severity::Error,
                    "the stream key is missing from the URL",
                    shown,
                    "rtmp://HOST/APP/KEY",
                );
            }
        }
    }

    fn check_keyframes(&mut self) {
        let interval_s = self.rendition.encoder.video.keyframe_interval_s;
        if interval_s < KEYFRAME_S_MIN {
            self.find(
                "keyframe-interval",
                Severity::Warning,
                "keyframes as close as this cost much of the bitrate",
                format!("{interval_s} s"),
                format!("{KEYFRAME_S_MIN} s or more"),
            );
        }
        let longest_s = match self.output.platform {
            Some(platform) => platform.limits().keyframe_s,
            None => return,
        };
        if interval_s > longest_s {
            self.find(
                "keyframe-interval",
                Severity::Error,
                "the platform needs keyframes more often",
                format!("{interval_s} s"),
                format!("{longest_s} s or less"),
            );
        }
    }

    fn check_target(&mut self, platform: Platform, limits: &Limits) {
        if self.output.kind != OutputKind::Rtmp {
            self.find(
                "protocol",
                Severity::Error,
                format!("{platform} takes RTMP"),
                self.output.target_shown(),
                "rtmps:// or rtmp://",
            );
            return;
        }
        for index in 0..=self.output.backups.len() {
            let url = self.output.url(index);
            let is_open = !url.to_ascii_lowercase().starts_with("rtmps://");
            let is_elsewhere = Platform::of_url(url) != Some(platform);
            let shown = self.output.url_shown(index);
            if is_open {
                let (severity, message) = if limits.needs_tls {
                    (Severity::Error, "the platform takes streams over TLS alone")
                } else {
                    (
                        Severity::Warning,
                        "the stream key goes over the network in the open",
                    )
                };
                self.find("protocol", severity, message, shown.clone(), "rtmps://");
            }
            if is_elsewhere {
                self.find(
                    "host",
                    Severity::Warning,
                    format!("this is no ingest of {platform}"),
                    shown,
                    limits.hosts.join(", "),
                );
            }
        }
        if platform == Platform::Youtube && self.output.backups.is_empty() {
            self.find(
                "backup",
                Severity::Warning,
                "YouTube has a second ingest, and nothing goes there when the first cannot be reached",
                "none",
                "rtmps://b.rtmps.youtube.com:443/live2?backup=1/KEY",
            );
        }
    }

    fn check_video(&mut self, platform: Platform, limits: &Limits) {
        let video = &self.rendition.encoder.video;
        let (fps, kbps) = (self.fps(), video.bitrate_kbps);
        let is_fast = fps > 31.0;
        let kbps_max = if is_fast {
            limits.video_kbps_fast
        } else {
            limits.video_kbps
        };
        let (longer, shorter) = (video.width.max(video.height), video.width.min(video.height));
        let (rate_control, size) = (
            video.rate_control,
            format!("{}x{}", video.width, video.height),
        );
        if kbps > kbps_max {
            self.find(
                "video-bitrate",
                Severity::Error,
                format!("{platform} takes less at {} frames a second", fps.round()),
                format!("{kbps} kbit/s"),
                format!("{kbps_max} kbit/s or less"),
            );
        } else if platform == Platform::Youtube && kbps > youtube_kbps(shorter, is_fast) {
            self.find(
                "video-bitrate",
                Severity::Warning,
                "more than YouTube advises for this size",
                format!("{kbps} kbit/s"),
                format!("{} kbit/s", youtube_kbps(shorter, is_fast)),
            );
        }
        if fps > f64::from(limits.fps) + 0.5 {
            self.find(
                "frame-rate",
                Severity::Error,
                format!("{platform} takes fewer frames"),
                format!("{fps} frames a second"),
                format!("{} or less", limits.fps),
            );
        }
        let (longer_max, shorter_max) = limits.size;
        if longer > longer_max || shorter > shorter_max {
            self.find(
                "size",
                Severity::Error,
                format!("{platform} takes smaller pictures"),
                size,
                format!("{longer_max}x{shorter_max} or less"),
            );
        }
        if !matches!(rate_control, RateControl::Constant { .. }) {
            let severity = if limits.needs_constant_rate {
                Severity::Error
            } else {
                Severity::Warning
            };
            self.find(
                "rate-control",
                severity,
                "the bitrate is not held, so that busy pictures exceed what the platform takes",
                format!("{rate_control:?}"),
                "a constant bitrate",
            );
        }
    }

    fn check_sound(&mut self, platform: Platform, limits: &Limits) {
        match &self.rendition.encoder.audio {
            None => self.find(
                "audio",
                Severity::Warning,
                format!("{platform} may not show a stream without sound"),
                "none",
                "AAC",
            ),
            Some(audio) if audio.bitrate_kbps > limits.audio_kbps => {
                let kbps = audio.bitrate_kbps;
                self.find(
                    "audio-bitrate",
                    Severity::Warning,
                    format!("{platform} takes less"),
                    format!("{kbps} kbit/s"),
                    format!("{} kbit/s or less", limits.audio_kbps),
                );
            }
            Some(_) => {}
        }
    }

    fn check_session(&mut self, platform: Platform) {
        let Some(longest) = platform.session_max() else {
            return;
        };
        if self
            .output
            .session_max
            .is_none_or(|session| session > longest)
        {
            let value = self.output.session_max;
            self.find(
                "session",
                Severity::Warning,
                format!("{platform} ends longer sessions, at a moment of its own"),
                value.map_or("unlimited".to_owned(), |session| {
                    format!("{} s", session.as_secs())
                }),
                format!("{} s or less", longest.as_secs()),
            );
        }
    }
}

/// Kilobits a second that YouTube advises for H.264, by the shorter side in pixels.
fn youtube_kbps(shorter: u32, is_fast: bool) -> u32 {
    match (shorter, is_fast) {
        (..=480, _) => 4000,
        (481..=720, false) => 4000,
        (481..=720, true) => 6000,
        (721..=1080, false) => 10_000,
        (721..=1080, true) => 12_000,
        (1081..=1440, false) => 15_000,
        (1081..=1440, true) => 24_000,
        (_, false) => 30_000,
        (_, true) => 51_000,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use codec::{AudioSettings, FrameRate, VideoSettings};

    use super::*;
    use crate::streaming::encoder::EncoderSettings;

    fn rendition(change: impl FnOnce(&mut EncoderSettings)) -> RenditionSettings {
        let mut encoder = EncoderSettings::default();
        change(&mut encoder);
        RenditionSettings::new(RenditionSettings::MAIN, encoder)
    }

    fn video(change: impl FnOnce(&mut VideoSettings)) -> RenditionSettings {
        rendition(|encoder| change(&mut encoder.video))
    }

    fn on(platform: Platform) -> OutputSettings {
        OutputSettings::for_platform("a", platform, "s3cret-key", None).expect("an output")
    }

    /// The rules that are broken, with how badly.
    fn broken(
        output: &OutputSettings,
        rendition: &RenditionSettings,
    ) -> Vec<(&'static str, Severity)> {
        let findings = check(output, rendition);
        for finding in &findings {
            assert!(!format!("{finding:?}").contains("s3cret"), "{finding:?}");
            assert!(!finding.message.is_empty() && !finding.allowed.is_empty());
        }
        findings
            .iter()
            .map(|finding| (finding.rule, finding.severity))
            .collect()
    }

    const OPEN: (&str, Severity) = ("protocol", Severity::Warning);

    #[test]
    fn the_defaults_fit_every_platform() {
        let house = rendition(|_| {});
        for (platform, expected) in [
            (Platform::Twitch, vec![OPEN]),
            (Platform::X, vec![OPEN]),
            (Platform::Youtube, vec![]),
            (Platform::Facebook, vec![]),
        ] {
            assert_eq!(broken(&on(platform), &house), expected, "{platform}");
        }
    }

    #[test]
    fn keyframes_must_come_often_enough_and_not_too_often() {
        let slow = video(|video| video.keyframe_interval_s = 2.5);
        let rule = "keyframe-interval";
        assert!(broken(&on(Platform::Twitch), &slow).contains(&(rule, Severity::Error)));
        assert_eq!(broken(&on(Platform::X), &slow), [OPEN]);
        let dense = video(|video| video.keyframe_interval_s = 0.5);
        assert_eq!(
            broken(&on(Platform::Youtube), &dense),
            [(rule, Severity::Warning)]
        );
    }

    #[test]
    fn the_bitrate_of_the_picture_is_limited() {
        let at = |kbps, fps, height: u32| {
            video(move |video| {
                video.bitrate_kbps = kbps;
                video.frame_rate = FrameRate::whole(fps);
                (video.width, video.height) = (height * 16 / 9, height);
            })
        };
        let rule = "video-bitrate";
        for (platform, rendition, severity) in [
            (Platform::Twitch, at(6000, 60, 1080), None),
            (Platform::Twitch, at(6001, 60, 1080), Some(Severity::Error)),
            (
                Platform::Facebook,
                at(6001, 30, 1080),
                Some(Severity::Error),
            ),
            (Platform::Facebook, at(9000, 60, 1080), None),
            (
                Platform::Facebook,
                at(9001, 60, 1080),
                Some(Severity::Error),
            ),
            (Platform::X, at(12_000, 60, 1080), None),
            (Platform::X, at(12_001, 30, 1080), Some(Severity::Error)),
            (Platform::Youtube, at(12_000, 60, 1080), None),
            (
                Platform::Youtube,
                at(12_001, 60, 1080),
                Some(Severity::Warning),
            ),
            (
                Platform::Youtube,
                at(12_000, 30, 1080),
                Some(Severity::Warning),
            ),
            (Platform::Youtube, at(51_000, 60, 2160), None),
            (
                Platform::Youtube,
                at(51_001, 60, 2160),
                Some(Severity::Error),
            ),
        ] {
            let found = broken(&on(platform), &rendition);
            let found = found.iter().find(|(name, _)| *name == rule);
            assert_eq!(
                found.map(|(_, severity)| *severity),
                severity,
                "{platform} {rendition:?}"
            );
        }
    }

    #[test]
    fn the_sound_is_limited_and_wanted() {
        let loud = rendition(|encoder| {
            encoder.audio = Some(AudioSettings {
                bitrate_kbps: 192,
                ..AudioSettings::default()
            });
        });
        let mute = rendition(|encoder| encoder.audio = None);
        let rule = ("audio-bitrate", Severity::Warning);
        assert!(broken(&on(Platform::Youtube), &loud).contains(&rule));
        assert!(!broken(&on(Platform::Twitch), &loud).contains(&rule));
        assert!(broken(&on(Platform::X), &mute).contains(&("audio", Severity::Warning)));
    }

    #[test]
    fn size_and_frame_rate_are_limited() {
        let large = video(|video| (video.width, video.height) = (2560, 1440));
        let tall = video(|video| (video.width, video.height) = (1080, 1920));
        let fast = video(|video| video.frame_rate = FrameRate::whole(120));
        let size = ("size", Severity::Error);
        assert!(broken(&on(Platform::Twitch), &large).contains(&size));
        assert!(!broken(&on(Platform::Youtube), &large).contains(&size));
        assert!(!broken(&on(Platform::Facebook), &tall).contains(&size));
        assert!(broken(&on(Platform::X), &fast).contains(&("frame-rate", Severity::Error)));
    }

    #[test]
    fn twitch_needs_a_constant_rate() {
        let free = video(|video| video.rate_control = RateControl::Average);
        let rule = "rate-control";
        assert!(broken(&on(Platform::Twitch), &free).contains(&(rule, Severity::Error)));
        assert!(broken(&on(Platform::Youtube), &free).contains(&(rule, Severity::Warning)));
    }

    #[test]
    fn facebook_needs_tls_and_the_host_must_be_the_platforms() {
        let house = rendition(|_| {});
        let open = OutputSettings {
            target: "rtmp://rtmp-api.facebook.com/rtmp/s3cret-key".to_owned(),
            ..on(Platform::Facebook)
        };
        assert_eq!(broken(&open, &house), [("protocol", Severity::Error)]);
        let elsewhere = OutputSettings {
            target: "rtmps://live.example/rtmp/s3cret-key".to_owned(),
            ..on(Platform::Facebook)
        };
        assert_eq!(broken(&elsewhere, &house), [("host", Severity::Warning)]);
        let file = OutputSettings {
            platform: Some(Platform::X),
            ..OutputSettings::new("a", "a.mp4").expect("a file")
        };
        assert_eq!(broken(&file, &house), [("protocol", Severity::Error)]);
    }

    #[test]
    fn youtube_should_have_a_backup_and_twitch_a_limit() {
        let house = rendition(|_| {});
        let single = OutputSettings {
            backups: Vec::new(),
            ..on(Platform::Youtube)
        };
        assert_eq!(broken(&single, &house), [("backup", Severity::Warning)]);
        for session_max in [None, Some(Duration::from_secs(48 * 3600))] {
            let endless = OutputSettings {
                session_max,
                ..on(Platform::Twitch)
            };
            assert_eq!(
                broken(&endless, &house),
                [OPEN, ("session", Severity::Warning)]
            );
        }
    }

    #[test]
    fn general_rules_need_no_platform() {
        let house = rendition(|_| {});
        let push = OutputSettings::new("a", "rtmp://host/app/s3cret-key").expect("an output");
        assert_eq!(broken(&push, &house), []);
        for target in [
            "rtmp://host",
            "rtmp://host/app",
            "rtmp://host/app/",
            "rtmp://host/app/{stream_key}",
        ] {
            let bare = OutputSettings::new("a", target).expect("an output");
            assert_eq!(
                broken(&bare, &house),
                [("key", Severity::Error)],
                "{target}"
            );
        }
        let short = OutputSettings {
            max_queue: 64,
            ..push.clone()
        };
        assert_eq!(broken(&short, &house), [("queue", Severity::Warning)]);
        let other = OutputSettings {
            renditions: vec!["720p".to_owned()],
            ..push
        };
        assert_eq!(broken(&other, &house), [("rendition", Severity::Error)]);
        let webm = OutputSettings::new("a", "a.webm").expect("a file");
        assert_eq!(broken(&webm, &house), [("container", Severity::Error)]);
    }
}
