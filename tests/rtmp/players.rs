//! Players and publishers of FFmpeg and GStreamer.

use std::process::Command;

use super::peer::{Running, Stage, packets};
use super::support::{get, probe, run, text, until};

/// FFmpeg as a player that keeps what it gets.
fn keep(url: &str, seconds: &str, path: &str) {
    let played = run(Command::new("ffmpeg").args([
        "-v", "error", "-i", url, "-t", seconds, "-c", "copy", "-y", path,
    ]));
    assert!(played.status.success(), "{}", text(&played.stderr));
}

/// Picture and sound from nought on, without a gap, and in order.
fn check_whole(path: &str, seconds: f64) {
    let packets = packets(path);
    for (kind, a_second) in [("video", 30.0), ("audio", 48_000.0 / 1024.0)] {
        let times: Vec<f64> = packets
            .iter()
            .filter(|packet| packet.0 == kind)
            .map(|packet| packet.1)
            .collect();
        let expected = seconds * a_second;
        assert!(
            (times.len() as f64) > expected * 0.9,
            "{kind}: {} of {expected}",
            times.len()
        );
        assert!(times[0] < 0.1, "{kind} starts at {}", times[0]);
        for pair in times.windows(2) {
            let step = pair[1] - pair[0];
            assert!(step > 0.0 && step < 0.1, "{kind}: {pair:?}");
        }
    }
    let first = packets.iter().find(|packet| packet.0 == "video").unwrap();
    assert!(first.2, "it begins with a keyframe");
}

#[test]
fn ffmpeg_plays_the_program_from_a_keyframe_on() {
    let stage = Stage::new(&[]);
    let line = stage.on_air.line("listening");
    assert!(
        line.contains(&format!("rtmp://localhost:{}/live/program", stage.rtmp)),
        "{line}"
    );
    let file = stage.folder.file("program.flv");
    let file = file.to_str().unwrap();
    keep(&stage.url("program"), "3", file);
    check_whole(file, 3.0);
    let streams = probe(file)["streams"].clone();
    assert_eq!(streams[0]["codec_name"], "h264");
    assert_eq!(
        (&streams[0]["width"], &streams[1]["codec_name"]),
        (&320.into(), &"aac".into())
    );

    // A player is a viewer.
    let player = stage.player("program");
    until("a viewer", || {
        let metrics = stage.ask("/stream/metrics");
        (metrics["viewerCount"] == 1 && metrics["viewers"]["rtmp"] == 1).then_some(())
    });
    drop(player);
    until("no viewer", || {
        (stage.ask("/stream/status")["viewerCount"] == 0).then_some(())
    });
    // One picture is none, one after the other are.
    let look = || assert_eq!(get(stage.api, "/stream/snapshot.jpg").unwrap().0, 200);
    look();
    assert_eq!(stage.ask("/stream/status")["viewerCount"], 0);
    until("a viewer of pictures", || {
        look();
        (stage.ask("/stream/metrics")["viewers"]["preview"] == 1).then_some(())
    });
}

#[test]
fn a_program_that_nobody_else_takes_is_encoded_for_a_player() {
    let stage = Stage::new(&[
        "--hls",
        "off",
        "--replay-seconds",
        "0",
        "--gop-cache",
        "off",
    ]);
    let file = stage.folder.file("program.flv");
    let file = file.to_str().unwrap();
    for _ in 0..2 {
        keep(&stage.url("program"), "2", file);
        check_whole(file, 2.0);
    }
}

#[test]
fn a_program_that_players_cannot_take_is_refused_with_a_reason() {
    let stage = Stage::new(&[
        "--stream-codec",
        "vp9",
        "--audio-codec",
        "opus",
        "--hls",
        "off",
    ]);
    let played = run(Command::new("ffprobe").args(["-v", "error", &stage.url("program")]));
    assert!(!played.status.success());
    let error = text(&played.stderr);
    assert!(error.contains("h264 with aac"), "{error}");
}

#[test]
fn gstreamer_publishes_and_plays() {
    let stage = Stage::new(&[]);
    let (id, key) = stage.key("studio");
    let sink = format!("location={}", stage.url(&key));
    let _camera = Running::start(Command::new("gst-launch-1.0").args([
        "videotestsrc",
        "is-live=true",
        "!",
        "video/x-raw,width=320,height=180,framerate=30/1",
        "!",
        "x264enc",
        "tune=zerolatency",
        "key-int-max=30",
        "!",
        "h264parse",
        "!",
        "flvmux",
        "name=mux",
        "streamable=true",
        "!",
        "rtmp2sink",
        &sink,
        "audiotestsrc",
        "is-live=true",
        "!",
        "audioconvert",
        "!",
        "audio/x-raw,rate=48000,channels=2",
        "!",
        "avenc_aac",
        "!",
        "aacparse",
        "!",
        "mux.",
    ]));
    stage.until_count("publisher", 1);
    let file = stage.folder.file("studio.flv");
    let file = file.to_str().unwrap();
    // By the name of its key, by its id, and the program.
    for stream in ["studio", &id, "program"] {
        let location = format!("location={}", stage.url(stream));
        let mut play = Command::new("timeout");
        play.args([
            "20",
            "gst-launch-1.0",
            "rtmp2src",
            &location,
            "num-buffers=200",
            "!",
        ]);
        let played = run(play.args(["filesink", &format!("location={file}")]));
        assert!(played.status.success(), "{}", text(&played.stderr));
        let kinds: Vec<String> = packets(file).into_iter().map(|packet| packet.0).collect();
        for kind in ["video", "audio"] {
            let count = kinds.iter().filter(|other| *other == kind).count();
            assert!(count > 20, "{stream}: {count} packets of {kind}");
        }
    }
}

#[test]
fn what_is_published_is_played_from_the_start_of_a_group() {
    // All that is logged is read for the key.
    let stage = Stage::new(&["--log-level", "trace"]);
    let (_camera, id, key) = stage.publish("studio");
    let sessions = until("codecs", || {
        let sessions = stage.ask("/stream/rtmp")["sessions"].clone();
        (sessions[0]["codecs"].as_array()?.len() == 2).then_some(sessions)
    });
    assert_eq!(sessions[0]["stream"], id.as_str());
    assert_eq!(sessions[0]["codecs"], serde_json::json!(["h264", "aac"]));
    assert!(!sessions.to_string().contains(&key));
    let file = stage.folder.file("studio.flv");
    let file = file.to_str().unwrap();
    keep(&stage.url("studio"), "3", file);
    check_whole(file, 3.0);
    assert!(!stage.on_air.all_lines().contains(&key));
}
