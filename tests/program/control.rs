//! What reaches the frames: batches on one of them, starts and stops, slates, and settings that change while the stream goes on.
//! Proved from what was recorded.

use std::path::Path;
use std::process::Command;

use super::api::start;
use super::client::{Client, a_box};
use super::support::{TempFolder, probe, run, text, until};
use serde_json::{Value, json};

/// The luma of every frame of a recording, 320 x 180 bytes each.
fn frames(path: &Path) -> Vec<Vec<u8>> {
    let output = run(Command::new("ffmpeg").args([
        "-v",
        "error",
        "-i",
        &path.to_string_lossy(),
        "-map",
        "0:v",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-vsync",
        "passthrough",
        "-",
    ]));
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        text(&output.stderr)
    );
    output
        .stdout
        .chunks_exact(320 * 180)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The tick of every frame of a recording of 30 frames a second, counted from its first: frames that were dropped leave a gap.
fn ticks(path: &Path) -> Vec<u64> {
    let output = run(Command::new("ffprobe").args([
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "csv=print_section=0",
        &path.to_string_lossy(),
    ]));
    let listed = text(&output.stdout);
    let seconds: Vec<f64> = listed
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect();
    seconds
        .iter()
        .map(|at| ((at - seconds[0]) * 30.0).round() as u64)
        .collect()
}

fn recordings(folder: &TempFolder) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.file("data/recordings")) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// How many of a hundred boxes are lit.
fn lit(frame: &[u8]) -> usize {
    (0..100)
        .filter(|index| {
            let (x, y) = (index % 20 * 16 + 4, index / 20 * 16 + 4);
            frame[y * 320 + x] > 120
        })
        .count()
}

fn hundred(patch: &Value) -> Vec<Value> {
    (0..100)
        .map(|index| json!({"type": "layer.update", "id": format!("b{index}"), "patch": patch}))
        .collect()
}

#[test]
fn a_batch_of_a_hundred_changes_lands_on_one_frame_now_and_on_its_tick() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &["--max-layers", "200", "--stream-bitrate", "8M"]);
    client.ok("DELETE", "/stream/layers/box", Value::Null);
    let boxes: Vec<Value> = (0..100)
        .map(|index| {
            let mut layer = a_box(
                &format!("b{index}"),
                index % 20 * 16,
                index / 20 * 16,
                12,
                "white",
            );
            layer["visible"] = json!(false);
            layer["zIndex"] = json!(900);
            json!({"type": "layer.create", "layer": layer})
        })
        .collect();
    client.ok("POST", "/stream/commands", json!({"commands": boxes}));
    let shown = client.ok(
        "POST",
        "/stream/commands",
        json!({"commands": hundred(&json!({"visible": true}))}),
    );
    let mut socket = client.socket("/ws?events=command:*");
    let first = shown["tick"].as_u64().unwrap();
    let (off, on) = (first + 60, first + 67);
    for (tick, visible) in [(off, false), (on, true)] {
        let batch = json!({"commands": hundred(&json!({"visible": visible})), "at": tick});
        let (status, answer) = client.ask("POST", "/stream/commands", batch);
        assert_eq!((status, &answer["tick"]), (202, &tick.into()), "{answer}");
    }
    assert_eq!(client.get("/stream/commands")["count"], 2);
    for tick in [off, on] {
        assert_eq!(socket.event("command:applied")["tick"], tick);
    }
    // In good time it can be taken back.
    let later = client.ok(
        "POST",
        "/stream/commands",
        json!({"commands": hundred(&json!({"visible": false})), "at": on + 9000}),
    );
    let id = later["data"]["scheduled"].as_u64().unwrap();
    client.ok("DELETE", &format!("/stream/commands/{id}"), Value::Null);
    client.ok("POST", "/stream/stop", Value::Null);
    on_air.signal("-TERM");
    on_air.end();

    let recording = &recordings(&folder)[0];
    let (frames, ticks) = (frames(recording), ticks(recording));
    assert_eq!(frames.len(), ticks.len());
    // A machine that is busy drops frames, so what counts is the tick of each and not its number.
    let seen: Vec<(u64, usize)> = ticks
        .into_iter()
        .zip(frames.iter().map(|frame| lit(frame)))
        // Frames from before the moving box was taken away.
        .skip_while(|(_, count)| (1..100).contains(count))
        .collect();
    assert!(
        seen.iter().all(|(_, count)| [0, 100].contains(count)),
        "half a batch is never seen: {seen:?}"
    );
    let switches: Vec<u64> = seen
        .windows(2)
        .filter(|pair| pair[0].1 != pair[1].1)
        .map(|pair| pair[1].0)
        .collect();
    assert_eq!(switches.len(), 3, "on, off, on: {switches:?}");
    // The recording began on some tick before the first of them; every frame of it fits the ticks that were told.
    let is_shown = |tick: u64| (first..off).contains(&tick) || tick >= on;
    let begins = (0..=first).find(|begin| {
        seen.iter()
            .all(|(tick, count)| is_shown(begin + tick) == (*count == 100))
    });
    assert!(
        begins.is_some(),
        "exactly on their ticks: {switches:?} and {first}, {off}, {on}"
    );
}

#[test]
fn a_pause_holds_a_slate_and_keeps_the_stream_and_settings_change_live() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &[]);
    let status = |client: &Client| client.get("/stream/status");
    assert_eq!(status(&client)["isPaused"], false);
    let before = client.revision();
    for _ in 0..2 {
        let paused = client.ok("POST", "/stream/pause", Value::Null);
        assert_eq!(paused["data"]["isPaused"], true);
        assert_eq!(
            paused["revision"],
            before + 1,
            "a second pause changes nothing"
        );
    }
    // While it is held, the scene can be changed.
    client.ok("PATCH", "/stream/layers/box", json!({"visible": false}));
    assert!(client.revision() > before);
    client.ok(
        "PATCH",
        "/stream/config",
        json!({"STREAM_BITRATE": "500k", "RENDER_QUALITY": "high"}),
    );
    let config = client.get("/stream/config");
    assert_eq!(
        (&config["STREAM_BITRATE"], &config["STREAM_PRESET"]),
        (&json!("500k"), &json!("faster"))
    );
    let later = client.ok(
        "PATCH",
        "/stream/config",
        json!({"TARGET_FPS": 30, "AUDIO_BITRATE": 96}),
    );
    assert_eq!(later["data"]["atNextStart"], json!({"AUDIO_BITRATE": 96}));
    let frames_at = |client: &Client| status(client)["frameCount"].as_u64().unwrap();
    let held = frames_at(&client);
    until("some frames of the slate", || {
        (frames_at(&client) > held + 30).then_some(())
    });
    client.ok("POST", "/stream/resume", Value::Null);
    client.ok("PATCH", "/stream/config", json!({"RENDER_QUALITY": "low"}));
    let resumed = frames_at(&client);
    until("some frames of the scene", || {
        (frames_at(&client) > resumed + 30).then_some(())
    });
    on_air.signal("-TERM");
    on_air.end();

    let files = recordings(&folder);
    assert_eq!(files.len(), 1, "one stream from the start to the end");
    let pictures = frames(&files[0]);
    let brightest = |frame: &Vec<u8>| frame.iter().copied().max().unwrap();
    let slate = pictures
        .iter()
        .filter(|frame| brightest(frame) > 200)
        .count();
    assert!(
        slate >= 30,
        "the slate is seen: {slate} of {}",
        pictures.len()
    );
    let last = brightest(pictures.last().unwrap());
    assert!(last < 100, "and the scene again, without its box: {last}");
    let probed = probe(&files[0].to_string_lossy());
    assert_eq!(probed["streams"][0]["r_frame_rate"], "30/1");
}

#[test]
fn the_stream_stops_and_starts_anew_while_the_scene_goes_on() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &[]);
    let grown = |number: usize| {
        until("a recording", || {
            let files = recordings(&folder);
            let file = files.get(number)?;
            (std::fs::metadata(file).unwrap().len() > 5000).then_some(())
        });
    };
    grown(0);
    let stopped = client.ok("POST", "/stream/control", json!({"action": "stop"}));
    assert_eq!(
        (&stopped["data"]["isLive"], &stopped["data"]["startTime"]),
        (&json!(false), &Value::Null)
    );
    let revision = stopped["revision"].as_u64().unwrap();
    let again = client.ok("POST", "/api/stream/control", json!({"action": "stop"}));
    assert_eq!(again["revision"], revision, "a second stop changes nothing");
    assert_eq!(client.ask("POST", "/stream/pause", Value::Null).0, 409);
    assert_eq!(
        probe(&recordings(&folder)[0].to_string_lossy())["streams"]
            .as_array()
            .unwrap()
            .len(),
        2,
        "its file is whole"
    );
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.5}));
    client.ok("POST", "/stream/start", Value::Null);
    let running = client.ok("POST", "/stream/start", Value::Null);
    assert_eq!(running["data"]["isLive"], true);
    grown(1);
    on_air.signal("-TERM");
    assert_eq!(on_air.end().0.code(), Some(0));
    for file in recordings(&folder) {
        assert!(!frames(&file).is_empty());
    }
}
