//! Encoders of every kind: their beat, their delay, and what they say of themselves.

use super::*;
use crate::settings::FrameRate;

fn settings() -> VideoSettings {
    VideoSettings {
        width: 64,
        height: 48,
        frame_rate: FrameRate::whole(30),
        ..VideoSettings::default()
    }
}

fn frame() -> Arc<I420Frame> {
    Arc::new(I420Frame::new(64, 48).expect("a small frame"))
}

#[test]
fn frames_are_lent_and_given_back() {
    for low_latency in [false, true] {
        let settings = VideoSettings {
            low_latency,
            ..settings()
        };
        let mut encoder = VideoEncoder::open(&settings).expect("libx264");
        let frame = frame();
        for pts in 0..10 {
            encoder
                .encode(&frame, pts, &mut |_| {})
                .expect("a frame taken");
            // libx264 takes it in at once, so that the pool has it back before the next tick.
            assert_eq!(Arc::strong_count(&frame), 1);
        }
    }
}

#[test]
fn keyframes_come_on_the_beat_and_when_asked() {
    let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
    let frame = frame();
    let mut keys = Vec::new();
    let mut count = 0;
    let mut sink = |packet: Packet| {
        assert_eq!(
            (packet.pts(), packet.dts(), packet.duration()),
            (count, count, 1)
        );
        count += 1;
        if packet.is_video_key() {
            keys.push(packet.pts());
        }
    };
    for pts in 0..130 {
        if pts == 75 {
            encoder.request_keyframe();
        }
        encoder
            .encode(&frame, pts, &mut sink)
            .expect("a frame taken");
    }
    encoder.flush(&mut sink).expect("the last packets");
    assert_eq!(count, 130);
    assert_eq!(keys, [0, 60, 75]);
}

#[test]
fn delay_is_what_the_settings_say() {
    for (low_latency, threads, delay) in [(true, 2, 0), (false, 1, 0), (false, 2, 1)] {
        let settings = VideoSettings {
            low_latency,
            threads,
            ..settings()
        };
        let mut encoder = VideoEncoder::open(&settings).expect("libx264");
        let frame = frame();
        let mut given = 0;
        for pts in 0..20 {
            encoder
                .encode(&frame, pts, &mut |_| given += 1)
                .expect("a frame taken");
        }
        assert_eq!(
            20 - given,
            delay,
            "low_latency {low_latency}, {threads} threads"
        );
    }
}

#[test]
fn a_frame_of_another_size_is_refused() {
    let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
    let other = Arc::new(I420Frame::new(32, 32).expect("a small frame"));
    let refused = encoder.encode(&other, 0, &mut |_| {});
    assert!(matches!(
        refused,
        Err(CodecError::FrameSize {
            actual_width: 32,
            ..
        })
    ));
    assert_eq!(Arc::strong_count(&other), 1);
    encoder
        .encode(&frame(), 0, &mut |_| {})
        .expect("a frame taken");
}

#[test]
fn clones_share_their_bytes() {
    let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
    let mut packets = Vec::new();
    for pts in 0..3 {
        encoder
            .encode(&frame(), pts, &mut |packet| packets.push(packet))
            .expect("a frame taken");
    }
    let clone = packets[0].clone();
    assert_eq!(clone.data().as_ptr(), packets[0].data().as_ptr());
    assert!(!clone.is_empty());
    // Annex B: SPS and PPS are in the description.
    assert!(encoder.stream().headers().starts_with(&[0, 0, 0, 1]));
}

#[test]
fn bad_bitrates_are_refused_and_change_nothing() {
    let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
    assert!(encoder.set_bitrate_kbps(0).is_err());
    assert_eq!(encoder.settings().bitrate_kbps, 4000);
    encoder.set_bitrate_kbps(1000).expect("a good bitrate");
    assert_eq!(encoder.settings().bitrate_kbps, 1000);
}

fn of_codec(codec: VideoCodec) -> VideoSettings {
    VideoSettings {
        codec,
        ..settings()
    }
}

#[test]
fn vp8_and_vp9_keep_the_same_rules() {
    for (codec, name) in [(VideoCodec::Vp8, "libvpx"), (VideoCodec::Vp9, "libvpx-vp9")] {
        for threads in [1, 3] {
            let settings = VideoSettings {
                threads,
                ..of_codec(codec)
            };
            let mut encoder = VideoEncoder::open(&settings).expect("libvpx");
            assert_eq!(encoder.name(), name);
            assert_eq!(encoder.stream().video_codec(), Some(codec));
            assert_eq!(encoder.stream().size(), Some((64, 48)));
            let frame = frame();
            let mut keys = Vec::new();
            for pts in 0..130 {
                if pts == 75 {
                    encoder.request_keyframe();
                }
                let mut given = Vec::new();
                encoder
                    .encode(&frame, pts, &mut |packet| given.push(packet))
                    .expect("a frame taken");
                // One out for each in, so that nothing waits and nothing is dropped.
                assert_eq!(given.len(), 1, "{codec} at {pts}");
                assert_eq!(
                    (given[0].pts(), given[0].dts(), given[0].duration()),
                    (pts, pts, 1)
                );
                assert_eq!(Arc::strong_count(&frame), 1);
                if given[0].is_video_key() {
                    keys.push(pts);
                }
            }
            assert_eq!(keys, [0, 60, 75], "{codec}");
            encoder
                .flush(&mut |packet| panic!("{packet:?} was held back"))
                .expect("an end");
        }
    }
}

#[test]
fn every_preset_and_rate_control_opens() {
    let controls = [
        RateControl::Constant { buffer_s: 0.25 },
        RateControl::Average,
        RateControl::Quality { rate_factor: 23.0 },
    ];
    for codec in VideoCodec::ALL {
        for preset in crate::Preset::ALL {
            for rate_control in controls {
                let settings = VideoSettings {
                    preset,
                    rate_control,
                    ..of_codec(*codec)
                };
                let mut encoder = VideoEncoder::open(&settings).expect("an encoder");
                let mut count = 0;
                encoder
                    .encode(&frame(), 0, &mut |_| count += 1)
                    .and_then(|()| encoder.flush(&mut |_| count += 1))
                    .expect("a frame taken");
                assert_eq!(count, 1, "{codec} {preset} {rate_control:?}");
            }
        }
    }
}

#[test]
fn a_stream_goes_on_with_another_encoder_of_the_same_headers() {
    for codec in VideoCodec::ALL {
        let first = VideoEncoder::open(&of_codec(*codec)).expect("an encoder");
        let slower = VideoSettings {
            bitrate_kbps: 500,
            ..of_codec(*codec)
        };
        let mut next = first.reopened(&slower).expect("the same headers");
        assert_eq!(next.settings().bitrate_kbps, 500);
        let mut packets = Vec::new();
        next.encode(&frame(), 77, &mut |packet| packets.push(packet))
            .and_then(|()| next.flush(&mut |packet| packets.push(packet)))
            .expect("a frame taken");
        assert!(packets[0].is_video_key() && packets[0].pts() == 77);
        let larger = VideoSettings {
            width: 128,
            ..slower
        };
        assert!(matches!(
            first.reopened(&larger),
            Err(CodecError::OtherHeaders { .. })
        ));
    }
    let first = VideoEncoder::open(&settings()).expect("libx264");
    let other = VideoSettings {
        preset: crate::Preset::Ultrafast,
        ..settings()
    };
    assert!(first.reopened(&other).is_err());
}

#[test]
fn who_cannot_change_the_bitrate_says_so() {
    let mut encoder = VideoEncoder::open(&of_codec(VideoCodec::Vp9)).expect("libvpx");
    assert!(!encoder.changes_bitrate_live());
    assert_eq!(
        encoder.set_bitrate_kbps(1000),
        Err(CodecError::FixedBitrate {
            encoder: "libvpx-vp9"
        })
    );
    assert_eq!(encoder.settings().bitrate_kbps, 4000);
    let encoder = VideoEncoder::open(&settings()).expect("libx264");
    assert!(encoder.changes_bitrate_live());
}

/// Holds where there is no such hardware, as in CI; elsewhere it is the encoder that was wanted.
#[test]
fn software_takes_over_and_says_why() {
    for acceleration in &Acceleration::ALL[1..] {
        let settings = VideoSettings {
            acceleration: *acceleration,
            ..settings()
        };
        let mut encoder = VideoEncoder::open(&settings).expect("at least libx264");
        let Some(fallback) = encoder.fallback() else {
            assert_ne!(encoder.name(), "libx264");
            continue;
        };
        assert_eq!((fallback.wanted, fallback.used), (*acceleration, "libx264"));
        assert_eq!(encoder.name(), "libx264");
        let tried = Backend::hardware(*acceleration);
        for backend in tried {
            assert!(fallback.reason.contains(backend.name()), "{fallback:?}");
        }
        // FFmpeg's error number alone tells nobody what to install.
        let told = fallback.reason.matches('(').count();
        assert!(told >= tried.len(), "{fallback:?}");
        let reopened = encoder.reopened(&settings).expect("the same headers");
        assert_eq!(reopened.fallback(), encoder.fallback());
        encoder
            .encode(&frame(), 0, &mut |_| {})
            .expect("a frame taken");
    }
    let settings = VideoSettings {
        acceleration: Acceleration::Nvenc,
        ..of_codec(VideoCodec::Vp9)
    };
    let encoder = VideoEncoder::open(&settings).expect("libvpx");
    let fallback = encoder.fallback().expect("a reason");
    assert_eq!(
        (fallback.used, fallback.reason.as_str()),
        (
            "libvpx-vp9",
            "hardware is used for H.264 alone, not for VP9"
        )
    );
}

/// What cannot be opened here can still be asked for its options.
#[test]
fn hardware_encoders_know_their_options() {
    for backend in Backend::hardware(Acceleration::Auto) {
        let help = std::process::Command::new("ffmpeg")
            .args(["-hide_banner", "-h", &format!("encoder={}", backend.name())])
            .output()
            .expect("the ffmpeg program");
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        for (name, value) in backend.options(&settings()) {
            // An option of every encoder.
            if name == "compression_level" {
                continue;
            }
            let option = help
                .lines()
                .position(|line| line.starts_with(&format!("  -{name} ")));
            let option = option.unwrap_or_else(|| panic!("{} has no {name}", backend.name()));
            let values: Vec<&str> = help
                .lines()
                .skip(option + 1)
                .take_while(|line| line.starts_with("     "))
                .filter_map(|line| line.split_whitespace().next())
                .collect();
            assert!(
                value.parse::<i32>().is_ok() || values.contains(&value.as_str()),
                "{} {name}={value}: {values:?}",
                backend.name()
            );
        }
    }
}
