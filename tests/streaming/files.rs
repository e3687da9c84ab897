//! Files and folders of segments, as other tools see them.

use std::time::Duration;

use stream_manager::streaming::{OutputState, Streaming};

use crate::support::probe::Probe;
use crate::support::{
    TempFolder, encoder_settings, file_output, noise, output, push_fast, shut_down, wait_until,
};

/// One encoder, five containers.
#[test]
fn every_container_has_the_house_format_and_a_steady_beat() {
    let folder = TempFolder::new("containers");
    let outputs = ["a.mp4", "a.mkv", "a.flv", "a.ts", "hls/"]
        .map(|name| file_output(name, &folder.target(name)));
    let streaming = Streaming::start(encoder_settings(600), outputs.to_vec()).unwrap();
    // The folder has no queue of a file's length, so it sets the pace.
    push_fast(&streaming, &noise(320, 180, 30), 0..600, "hls/");
    shut_down(streaming, &[]);

    // MP4 counts in parts of a frame; Matroska and FLV in milliseconds.
    for (name, unit_s, frames) in [
        ("a.mp4", 1e-6, 600),
        ("a.mkv", 0.001, 600),
        ("a.flv", 0.001, 600),
        ("a.ts", 2e-5, 600),
    ] {
        let probe = Probe::open(&folder.path(name));
        probe.assert_house_format(320, 180);
        probe.assert_steady(unit_s);
        assert_eq!(probe.video().len(), frames, "{name}");
        assert_eq!(probe.stream("video")["avg_frame_rate"], "30/1", "{name}");
        assert!(probe.video()[0].pts_s.abs() < 1e-6, "{name} starts at 0");
        let audio = probe.audio();
        assert!(
            (0.0..0.022).contains(&audio[0].pts_s),
            "{name}: sound starts at {}",
            audio[0].pts_s
        );
        for (index, packet) in audio.iter().enumerate() {
            let expected = audio[0].pts_s + index as f64 * 1024.0 / 48_000.0;
            assert!(
                (packet.pts_s - expected).abs() <= unit_s.max(1e-5),
                "{name}: sound packet {index}"
            );
        }
    }
    let mp4 = Probe::open(&folder.path("a.mp4"));
    assert!(
        mp4.video()
            .iter()
            .all(|packet| (packet.duration_s - 1.0 / 30.0).abs() < 1e-6)
    );
}

#[test]
fn an_hls_folder_keeps_a_live_window() {
    let folder = TempFolder::new("hls");
    std::fs::create_dir(folder.path("live")).unwrap();
    std::fs::write(folder.path("live/program_99999.m4s"), "of an earlier run").unwrap();
    std::fs::write(folder.path("live/other.txt"), "not ours").unwrap();
    let streaming = Streaming::start(
        encoder_settings(600),
        vec![file_output("hls", &folder.target("live/"))],
    )
    .unwrap();
    push_fast(&streaming, &noise(320, 180, 30), 0..1200, "hls");
    shut_down(streaming, &[]);

    let playlist = std::fs::read_to_string(folder.path("live/program.m3u8")).unwrap();
    assert!(playlist.contains("#EXT-X-TARGETDURATION:2\n"), "{playlist}");
    assert!(
        playlist.contains("#EXT-X-MAP:URI=\"init.mp4\""),
        "{playlist}"
    );
    assert!(
        playlist.contains("#EXT-X-INDEPENDENT-SEGMENTS"),
        "{playlist}"
    );
    assert_eq!(
        playlist.matches("#EXTINF:2.000000,").count(),
        6,
        "{playlist}"
    );
    assert_eq!(playlist.matches("#EXTINF").count(), 6, "{playlist}");
    let names = std::fs::read_dir(folder.path("live"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let segments = names.iter().filter(|name| name.ends_with(".m4s")).count();
    // FFmpeg keeps one segment longer than the playlist, for readers in the middle of it.
    assert!((6..=7).contains(&segments), "{names:?}");
    assert!(
        names.contains(&"other.txt".to_owned()) && !names.contains(&"program_99999.m4s".to_owned())
    );
    let probe = Probe::open(&folder.path("live/program.m3u8"));
    probe.assert_house_format(320, 180);
    probe.assert_steady(1e-6);
    assert_eq!(probe.video().len(), 360);
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let folder = TempFolder::new("existing");
    std::fs::write(folder.path("a.mp4"), "precious").unwrap();
    let settings = vec![
        file_output("old", &folder.target("a.mp4")),
        file_output("new", &folder.target("b.mp4")),
    ];
    let streaming = Streaming::start(encoder_settings(600), settings).unwrap();
    wait_until("the output gives up", Duration::from_secs(5), || {
        output(&streaming, "old").unwrap().state == OutputState::Failed
    });
    assert!(
        output(&streaming, "old")
            .unwrap()
            .last_error
            .unwrap()
            .contains("exists already")
    );
    push_fast(&streaming, &noise(320, 180, 4), 0..60, "new");
    shut_down(streaming, &["old"]);
    assert_eq!(std::fs::read(folder.path("a.mp4")).unwrap(), b"precious");
    assert_eq!(Probe::open(&folder.path("b.mp4")).video().len(), 60);
}
