//! Changes while it runs: bitrate, outputs that come and go.

use std::time::Duration;

use codec::VideoSettings;
use stream_manager::streaming::{EncoderSettings, OutputSettings, Streaming, StreamingError};

use crate::support::probe::Probe;
use crate::support::{
    TempFolder, encoder_settings, file_output, noise, push_fast, shut_down, wait_until,
};

/// Kilobits a second of the picture between two moments.
fn kbps(probe: &Probe, from_s: f64, to_s: f64) -> f64 {
    let bytes: u64 = probe
        .video()
        .iter()
        .filter(|packet| (from_s..to_s).contains(&packet.pts_s))
        .map(|packet| packet.bytes)
        .sum();
    bytes as f64 * 8.0 / 1000.0 / (to_s - from_s)
}

#[test]
fn the_bitrate_changes_live_and_is_held() {
    let folder = TempFolder::new("bitrate");
    let base = encoder_settings(4000);
    let settings = EncoderSettings {
        video: VideoSettings {
            width: 640,
            height: 360,
            ..base.video.clone()
        },
        ..base
    };
    let streaming =
        Streaming::start(settings, vec![file_output("a", &folder.target("a.mp4"))]).unwrap();
    let frames = noise(640, 360, 60);
    push_fast(&streaming, &frames, 0..150, "a");
    wait_until("the first part is encoded", Duration::from_secs(20), || {
        streaming.stats().encoder().frames == 150
    });
    streaming.set_bitrate_kbps(None, 1000).unwrap();
    push_fast(&streaming, &frames, 150..330, "a");
    assert!(streaming.set_bitrate_kbps(None, 10).is_err());
    shut_down(streaming, &[]);

    let probe = Probe::open(&folder.path("a.mp4"));
    assert_eq!(probe.video().len(), 330);
    let (before, after) = (kbps(&probe, 1.0, 5.0), kbps(&probe, 6.0, 11.0));
    assert!(
        (3000.0..4200.0).contains(&before),
        "before: {before} kbit/s"
    );
    assert!((800.0..1100.0).contains(&after), "after: {after} kbit/s");
    // No second overshoots by more than a tenth, before the change and from one second after it.
    for start in 0..=300 {
        let start_s = f64::from(start) / 30.0;
        let rate = kbps(&probe, start_s, start_s + 1.0);
        let is_held = if start <= 120 {
            rate <= 4400.0
        } else {
            start < 180 || rate <= 1100.0
        };
        assert!(is_held, "{rate} kbit/s from {start_s} s");
    }
}

#[test]
fn outputs_come_and_go_without_a_trace_in_the_others() {
    let folder = TempFolder::new("live-outputs");
    let streaming = Streaming::start(
        encoder_settings(600),
        vec![file_output("a", &folder.target("a.mp4"))],
    )
    .unwrap();
    let frames = noise(320, 180, 8);
    push_fast(&streaming, &frames, 0..75, "a");
    let duplicate = streaming.add_output(file_output("a", &folder.target("c.mp4")));
    assert!(matches!(duplicate, Err(StreamingError::DuplicateOutput { id }) if id == "a"));
    assert!(matches!(
        streaming.remove_output("b"),
        Err(StreamingError::UnknownOutput { .. })
    ));
    wait_until("the first part is encoded", Duration::from_secs(20), || {
        streaming.stats().encoder().frames == 75
    });
    streaming
        .add_output(file_output("b", &folder.target("b.mkv")))
        .unwrap();
    push_fast(&streaming, &frames, 75..150, "a");
    wait_until(
        "the second part is encoded",
        Duration::from_secs(20),
        || streaming.stats().encoder().frames == 150,
    );
    streaming.remove_output("b").unwrap();
    wait_until("the output ends", Duration::from_secs(5), || {
        streaming
            .ended()
            .iter()
            .any(|end| end.who == "output b" && end.result.is_ok())
    });
    push_fast(&streaming, &frames, 150..180, "a");
    shut_down(streaming, &[]);

    let first = Probe::open(&folder.path("a.mp4"));
    assert_eq!(first.video().len(), 180);
    // Joining asked for a keyframe at once, and the beat went on after it.
    let second = Probe::open(&folder.path("b.mkv"));
    let keyframes: Vec<usize> = (0..180)
        .filter(|index| first.video()[*index].is_key)
        .collect();
    assert_eq!(keyframes, [0, 60, 75, 120]);
    assert!(second.video()[0].is_key && second.video()[0].pts_s == 0.0);
    // One frame may still be inside the encoder, as it encodes two side by side.
    assert!(
        (74..=75).contains(&second.video().len()),
        "{}",
        second.video().len()
    );
}

#[test]
fn the_operators_bitrate_is_held_within_three_seconds() {
    let folder = TempFolder::new("operator");
    let base = encoder_settings(6000);
    let settings = EncoderSettings {
        video: VideoSettings {
            width: 640,
            height: 360,
            // With more, libx264 plans by how far its others are, which on a busy machine is not what it was.
            threads: 1,
            ..base.video.clone()
        },
        ..base
    };
    let streaming =
        Streaming::start(settings, vec![file_output("a", &folder.target("a.mp4"))]).unwrap();
    let frames = noise(640, 360, 60);
    let mut encoded = 0;
    for (kbps, seconds) in [(6000, 4), (1000, 5), (6000, 5)] {
        streaming.set_bitrate_kbps(None, kbps).unwrap();
        push_fast(&streaming, &frames, encoded..encoded + seconds * 30, "a");
        encoded += seconds * 30;
        wait_until("all is encoded", Duration::from_secs(60), || {
            streaming.stats().encoder().frames == encoded
        });
    }
    shut_down(streaming, &[]);
    let probe = Probe::open(&folder.path("a.mp4"));
    for (from_s, to_s, target) in [(0.0, 4.0, 6000.0), (4.0, 9.0, 1000.0), (9.0, 14.0, 6000.0)] {
        // Right to a tenth within three seconds, and from there on, over what lies between two keyframes.
        for start_s in [from_s + 1.0, to_s - 2.0] {
            let rate = kbps(&probe, start_s, start_s + 2.0);
            assert!(
                (rate / target - 1.0).abs() <= 0.1,
                "{rate} of {target} from {start_s} s"
            );
        }
        // No second is above it by more, from the change on: a frame of the old rate may be inside the encoder.
        let mut start_s = from_s + 0.1;
        while start_s + 1.0 <= to_s {
            let rate = kbps(&probe, start_s, start_s + 1.0);
            assert!(rate <= target * 1.1, "{rate} of {target} from {start_s} s");
            start_s += 0.05;
        }
    }
}

#[test]
fn targets_say_what_they_are() {
    for bad in ["udp://host:1", "a.txt", "", "http://host/a.mp4"] {
        assert!(OutputSettings::new("a", bad).is_err(), "{bad}");
    }
    let error = OutputSettings::new("a", "udp://host?passphrase=hunter22")
        .unwrap_err()
        .to_string();
    assert!(!error.contains("hunter22"), "{error}");
}
