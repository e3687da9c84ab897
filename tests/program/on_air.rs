//! The program on the air: what a player gets, and what becomes of it on signals and on changes of the scene.

use super::support::{
    FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, get, probe, program, text, until,
};
use std::path::PathBuf;
use std::time::Duration;

fn start(folder: &TempFolder, more: &[&str]) -> OnAir {
    folder.write("scene.json", SMALL_SCENE);
    OnAir::start(
        program(&folder.0)
            .args(["run", "scene.json"])
            .args(FREE_PORTS)
            .args(more),
    )
}

fn recording(folder: &TempFolder) -> PathBuf {
    until("the recording", || {
        let entries = std::fs::read_dir(folder.file("data/recordings")).ok()?;
        entries
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|extension| extension == "mp4"))
    })
}

#[test]
fn a_player_finds_the_live_stream_and_health_is_told() {
    let folder = TempFolder::new();
    let on_air = start(&folder, &[]);
    let (player, health) = (on_air.port("api"), on_air.port("health"));
    until("a playlist with two segments", || {
        let (code, body) = get(player, "/hls/program.m3u8")?;
        (code == 200 && text(&body).matches("#EXTINF").count() >= 2).then_some(())
    });

    let probed = probe(&format!("http://127.0.0.1:{player}/hls/program.m3u8"));
    let streams = probed["streams"].as_array().unwrap();
    let of = |kind: &str| {
        streams
            .iter()
            .find(|stream| stream["codec_type"] == kind)
            .unwrap()
    };
    let (video, audio) = (of("video"), of("audio"));
    for (field, value) in [
        ("codec_name", "h264"),
        ("profile", "High"),
        ("pix_fmt", "yuv420p"),
        ("r_frame_rate", "30/1"),
        ("color_space", "bt709"),
        ("color_transfer", "bt709"),
        ("color_primaries", "bt709"),
        ("color_range", "tv"),
    ] {
        assert_eq!(video[field], value, "{field}");
    }
    assert_eq!(
        (&video["width"], &video["height"]),
        (&320.into(), &180.into())
    );
    assert_eq!(
        (&audio["codec_name"], &audio["sample_rate"]),
        (&"aac".into(), &"48000".into())
    );
    let start_of = |stream: &serde_json::Value| {
        stream["start_time"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    assert!(
        (start_of(video) - start_of(audio)).abs() < 1.0 / 30.0,
        "picture and sound start together"
    );

    assert!(text(&get(player, "/").unwrap().1).contains("<video"));
    assert_eq!(get(player, "/hls/../../scene.json").unwrap().0 / 100, 4);
    for path in ["/health", "/healthz", "/ready"] {
        let (code, body) = get(health, path).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (code, &body["success"]),
            (200, &true.into()),
            "{path}: {body}"
        );
    }
}

#[test]
fn sigterm_ends_the_files_cleanly_within_five_seconds() {
    let folder = TempFolder::new();
    let on_air = start(&folder, &[]);
    let file = recording(&folder);
    until("something recorded", || {
        (std::fs::metadata(&file).ok()?.len() > 10_000).then_some(())
    });
    on_air.signal("-TERM");
    let (status, took) = on_air.end();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    let probed = probe(&file.to_string_lossy());
    assert_eq!(probed["streams"].as_array().unwrap().len(), 2);
}

#[test]
fn a_recording_plays_after_kill_9() {
    let folder = TempFolder::new();
    let on_air = start(&folder, &["--hls", "false"]);
    let file = recording(&folder);
    // More than two fragments of two seconds.
    until("some fragments", || {
        let bytes = std::fs::read(&file).ok()?;
        (bytes.windows(4).filter(|window| window == b"moof").count() >= 3).then_some(())
    });
    on_air.signal("-KILL");
    assert_eq!(on_air.end().0.code(), None);
    let probed = probe(&file.to_string_lossy());
    assert_eq!(probed["streams"][0]["codec_name"], "h264");
}

#[test]
fn a_changed_scene_comes_on_air_and_a_broken_one_changes_nothing() {
    let folder = TempFolder::new();
    let on_air = start(&folder, &["--hls", "false", "--recording", "false"]);
    on_air.line("on air");
    folder.write("scene.json", &SMALL_SCENE.replace("#ff8000", "#00ff80"));
    on_air.line("the scene was reloaded");
    folder.write(
        "scene.json",
        &SMALL_SCENE.replace("\"layers\"", "\"layer\""),
    );
    let said = on_air.line("nothing changed on air");
    assert!(said.contains("`layers`"), "{said}");
    folder.write(
        "scene.json",
        &SMALL_SCENE.replace("\"fps\": 30", "\"fps\": 60"),
    );
    on_air.line("the scene asks for 60 fps (canvas.fps), and 30 fps are on air");
    on_air.signal("-TERM");
    assert_eq!(on_air.end().0.code(), Some(0));
}

#[test]
fn a_stream_key_is_never_shown() {
    let folder = TempFolder::new();
    let url = "rtmp://127.0.0.1:1/live/very-secret-key";
    let on_air = start(
        &folder,
        &[
            "--hls",
            "false",
            "--recording",
            "false",
            "--stream-url",
            url,
            "--log-level",
            "debug",
        ],
    );
    on_air.line("on air");
    // The push is refused at once; wait until that has been said.
    until("the refused push", || {
        on_air
            .all_lines()
            .to_lowercase()
            .contains("refused")
            .then_some(())
    });
    on_air.signal("-TERM");
    on_air.line("off air");
    assert!(
        !on_air.all_lines().contains("very-secret-key"),
        "{}",
        on_air.all_lines()
    );
}
