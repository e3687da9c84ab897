//! Several renditions of one program.

use std::sync::Arc;
use std::time::Duration;

use codec::VideoSettings;
use stream_manager::streaming::{
    EncoderSettings, Ladder, OutputSettings, RenditionSettings, Streaming, StreamingError,
    TickMedia,
};

use crate::support::probe::{Probe, brightness};
use crate::support::{
    TempFolder, encoder_settings, file_output, noise, plain, push_fast, shut_down, tone, wait_until,
};

fn rendition(id: &str, width: u32, height: u32, kbps: u32) -> RenditionSettings {
    let base = encoder_settings(kbps);
    let encoder = EncoderSettings {
        video: VideoSettings {
            width,
            height,
            ..base.video.clone()
        },
        ..base
    };
    RenditionSettings::new(id, encoder)
}

fn file_of(rendition: &str, folder: &TempFolder) -> OutputSettings {
    OutputSettings {
        renditions: vec![rendition.to_owned()],
        ..file_output(rendition, &folder.target(&format!("{rendition}.mp4")))
    }
}

fn keyframes(probe: &Probe) -> Vec<i64> {
    let keys = probe
        .packets
        .iter()
        .filter(|packet| packet.is_video && packet.is_key);
    // In ticks: containers round.
    keys.map(|packet| (packet.pts_s * 30.0).round() as i64)
        .collect()
}

#[test]
fn renditions_have_their_sizes_and_the_same_keyframes_whatever_is_dropped() {
    let folder = TempFolder::new("ladder");
    let sizes = [("main", 640, 360), ("mid", 426, 240), ("low", 320, 180)];
    let ladder = sizes.map(|(id, width, height)| rendition(id, width, height, 800));
    let outputs = sizes.map(|(id, ..)| file_of(id, &folder)).to_vec();
    let streaming = Streaming::start(Ladder::new(ladder.to_vec()), outputs).unwrap();
    let frames = noise(640, 360, 8);
    push_fast(&streaming, &frames, 0..100, "main");
    streaming.request_keyframe();
    // As fast as can be: encoders of different sizes drop different frames.
    let sender = streaming.sender();
    for tick in 100..400u64 {
        if tick % 90 == 0 {
            streaming.request_keyframe();
        }
        let frame = Arc::clone(&frames[tick as usize % frames.len()]);
        let _ = sender.try_send(TickMedia {
            tick,
            frame,
            audio: tone(tick),
        });
    }
    push_fast(&streaming, &frames, 400..430, "main");
    let dropped: Vec<u64> = streaming
        .stats()
        .renditions
        .iter()
        .map(|rendition| rendition.encoder.frames_dropped)
        .collect();
    assert!(dropped.iter().all(|dropped| *dropped > 0), "{dropped:?}");
    for (rendition, (id, width, height)) in streaming.stats().renditions.iter().zip(sizes) {
        assert_eq!(
            (rendition.id.as_str(), rendition.width, rendition.height),
            (id, width, height)
        );
        assert_eq!(
            (rendition.codec, rendition.encoder_name.as_str()),
            ("h264", "libx264")
        );
        assert_eq!(rendition.encoder.frames_misfit, 0);
        assert_eq!(rendition.encoder.frames_scaled > 0, id != "main");
    }
    shut_down(streaming, &[]);

    let probes = sizes.map(|(id, ..)| Probe::open(&folder.path(&format!("{id}.mp4"))));
    for (probe, (_, width, height)) in probes.iter().zip(sizes) {
        probe.assert_house_format(width, height);
    }
    let first = keyframes(&probes[0]);
    assert!(first.len() >= 8 && first.contains(&360), "{first:?}");
    assert_eq!(first, keyframes(&probes[1]));
    assert_eq!(first, keyframes(&probes[2]));
}

#[test]
fn a_frame_of_another_size_is_scaled() {
    let folder = TempFolder::new("other-size");
    let streaming = Streaming::start(
        encoder_settings(600),
        vec![file_output("a", &folder.target("a.mp4"))],
    )
    .unwrap();
    let (usual, other) = (plain(320, 180, [200; 3]), plain(160, 90, [200; 3]));
    for tick in 0..60 {
        let frame = if (20..40).contains(&tick) {
            &other
        } else {
            &usual
        };
        let media = TickMedia {
            tick,
            frame: Arc::clone(frame),
            audio: tone(tick),
        };
        streaming.sender().send(media).unwrap();
    }
    wait_until("all is encoded", Duration::from_secs(10), || {
        streaming.stats().encoder().frames == 60
    });
    let stats = streaming.stats().encoder();
    assert_eq!(
        (stats.frames_scaled, stats.frames_misfit, stats.restarts),
        (20, 0, 0)
    );
    shut_down(streaming, &[]);
    let brightness = brightness(&folder.path("a.mp4"));
    assert_eq!(brightness.len(), 60);
    assert!(
        brightness
            .iter()
            .all(|value| value.abs_diff(brightness[0]) <= 1),
        "{brightness:?}"
    );
}

#[test]
fn each_rendition_is_commanded_by_its_name() {
    let ladder = Ladder::new(vec![
        rendition("main", 320, 180, 800),
        rendition("low", 160, 90, 200),
    ]);
    let streaming = Streaming::start(ladder, Vec::new()).unwrap();
    streaming.set_bitrate_kbps(Some("low"), 300).unwrap();
    let refused = streaming.set_bitrate_kbps(Some("none"), 300);
    assert!(matches!(refused, Err(StreamingError::UnknownRendition { id }) if id == "none"));
    let set: Vec<u32> = streaming
        .stats()
        .renditions
        .iter()
        .map(|rendition| rendition.encoder.bitrate_kbps_ceiling)
        .collect();
    assert_eq!(set, [800, 300]);
    // The encoder is replaced at a keyframe, which comes at once, and no frame is lost.
    let frames = noise(320, 180, 4);
    let folder = TempFolder::new("preset");
    streaming.add_output(file_of("low", &folder)).unwrap();
    push_fast(&streaming, &frames, 0..20, "low");
    wait_until("the first part is encoded", Duration::from_secs(10), || {
        streaming.stats().renditions[1].encoder.frames == 20
    });
    streaming
        .set_preset(Some("low"), codec::Preset::Superfast)
        .unwrap();
    push_fast(&streaming, &frames, 20..60, "low");
    shut_down(streaming, &[]);
    let probe = Probe::open(&folder.path("low.mp4"));
    assert_eq!(probe.video().len(), 60);
    let keys = keyframes(&probe);
    assert!(keys.len() == 2 && (21..26).contains(&keys[1]), "{keys:?}");
}

#[test]
fn renditions_that_would_not_share_their_keyframes_are_refused() {
    let mut other = rendition("low", 160, 90, 200);
    other.encoder.video.keyframe_interval_s = 1.0;
    let ladder = Ladder::new(vec![rendition("main", 320, 180, 800), other]);
    let error = Streaming::start(ladder, Vec::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("keyframe_interval_s"), "{error}");
}
