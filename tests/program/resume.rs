//! What survives the program: killed at any moment, it comes back on air as it was, from its own file and from Redis.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use stream_manager::store::{Embedded, Store, embedded};

use super::api::start;
use super::client::{Client, a_box};
use super::store::Redis;
use super::support::{FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, program, run, text, until};
use super::viewport::convert;

pub const QUIET: [&str; 2] = ["--recording", "false"];
/// How often the program is killed while it is changed; more where this variable says so.
const KILLS: &str = "STREAM_MANAGER_TEST_KILLS";
const KILLS_DEFAULT: u32 = 12;
/// Programs that change it at the same time, each about thirty times a second.
const WRITERS: usize = 4;

/// The program with the scene's file as it is.
pub fn command(folder: &TempFolder, more: &[&str]) -> Command {
    let mut command = program(&folder.0);
    command.args(["run", "scene.json"]).args(FREE_PORTS);
    command.args(["--hls", "false"]).args(more);
    command
}

/// Starts the program again.
pub fn again(folder: &TempFolder, more: &[&str]) -> (OnAir, Client) {
    let on_air = OnAir::start(&mut command(folder, more));
    let client = Client::new(on_air.port("api"));
    (on_air, client)
}

pub fn kill(on_air: OnAir) {
    on_air.signal("-KILL");
    on_air.end();
}

fn change_much(client: &Client) {
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.5}));
    client.ok("POST", "/stream/layers", a_box("card", 1, 2, 3, "#00ff00"));
    client.ok("PATCH", "/stream/data", json!({"word": "kept"}));
    client.ok("PATCH", "/stream/config", json!({"STREAM_BITRATE": 900}));
    client.ok("PUT", "/stream/scenes/other", json!({
        "version": 1, "name": "Other", "canvas": {"width": 320, "height": 180, "background": "#000000"}, "layers": [],
    }));
    client.ok("POST", "/stream/scenes/other/preview", Value::Null);
    let output = json!({"id": "copy", "url": "rtmp://127.0.0.1:9/live/copy", "enabled": false});
    client.ok("POST", "/stream/outputs", output);
    client.ok("POST", "/stream/pause?durable=true", Value::Null);
}

/// Everything of it that a restart must not change.
fn facts(client: &Client) -> Value {
    let status = client.get("/stream/status");
    json!({
        "layers": client.get("/stream/layers"),
        "data": client.get("/stream/data"),
        "config": client.get("/stream/config"),
        "outputs": client.get("/stream/outputs/copy")["enabled"],
        "status": [status["isLive"], status["isPaused"], status["scene"], status["startTime"], status["preview"]],
        "program": client.get("/stream/scenes")["program"],
    })
}

fn comes_back_as_it_was(more: &[&str]) {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, more);
    change_much(&client);
    let (before, revision) = (facts(&client), client.revision());
    kill(on_air);
    // Also where it is killed again at once, before the scene in preview is drawn.
    let back = || {
        let (on_air, client) = again(&folder, more);
        on_air.line("where the last run left off");
        assert_eq!(facts(&client), before);
        (on_air, client)
    };
    kill(back().0);
    let (on_air, client) = back();
    assert_eq!(client.revision(), revision, "nothing was changed");
    client.ok("POST", "/stream/resume", Value::Null);
    client.ok("POST", "/stream/stop?durable=true", Value::Null);
    // Ended cleanly, and stopped by whoever asked for that.
    on_air.signal("-TERM");
    on_air.end();
    let (on_air, client) = again(&folder, more);
    on_air.line("the stream is stopped, as it was");
    assert_eq!(client.get("/stream/status")["isLive"], false);
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);
    client.ok("POST", "/stream/start", Value::Null);
    on_air.signal("-TERM");
    on_air.end();
    // The end of the program is no end of the stream.
    let (_on_air, client) = again(&folder, more);
    assert_eq!(client.get("/stream/status")["isLive"], true);
}

/// Where the left edge of a layer is on the canvas, in pixels.
fn left_edge(client: &Client, layer: &str) -> f64 {
    convert(client, json!({"layer": layer}), json!("canvas"), (0.0, 0.0)).0
}

#[test]
fn what_was_on_its_way_goes_on_after_a_kill() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    client.ok("POST", "/stream/layers", a_box("card", 0, 0, 3, "#00ff00"));
    client.ok(
        "PATCH",
        "/stream/layers/card?animate=600&easing=linear&durable=true",
        json!({"position": {"x": 6000}}),
    );
    let before = left_edge(&client, "card");
    kill(on_air);
    let (_on_air, client) = again(&folder, &QUIET);
    let back = left_edge(&client, "card");
    assert!(
        before <= back && back < 3000.0,
        "ten pixels a second lead from {before} to {back}"
    );
}

/// A scene in which nothing moves.
fn still(background: &str, dot: &str) -> Value {
    json!({
        "version": 1, "name": "Still", "canvas": {"width": 320, "height": 180, "background": background},
        "layers": [a_box("dot", 40, 60, 60, dot)],
        "transitions": {"scene": {"type": "wipe", "side": "left", "duration": 5}},
    })
}

#[test]
fn a_change_of_scenes_that_is_held_stands_there_after_a_kill() {
    let folder = TempFolder::new();
    let (mut on_air, mut client) = start(&folder, &QUIET);
    client.ok("PUT", "/stream/scenes/one", still("#400000", "#00ff00"));
    client.ok("PUT", "/stream/scenes/two", still("#000040", "#ffff00"));
    let cut = json!({"transition": {"type": "cut"}});
    client.ok("POST", "/stream/scenes/one/activate", cut);
    client.ok("PATCH", "/stream/layers/dot", json!({"opacity": 0.5}));
    let bar = json!({"position": 0.25, "scene": "two"});
    client.ok("PUT", "/stream/transition", bar);
    let faint = json!({"opacity": 0.75});
    client.ok("PATCH", "/stream/layers/dot?durable=true", faint);

    let picture = |client: &Client| client.send("GET", "/stream/snapshot.png", "", &[]).body;
    let facts = |client: &Client| {
        json!([
            client.get("/stream/transition"),
            client.get("/stream/layers")
        ])
    };
    for when in ["held", "turned round", "held again"] {
        match when {
            "turned round" => {
                // It goes on by itself from there, until it is held again.
                client.ok("POST", "/stream/transition/reverse", Value::Null);
                let bar = json!({"position": 0.5});
                client.ok("PUT", "/stream/transition?durable=true", bar);
            }
            "held again" => {
                let bar = json!({"position": 0.75});
                client.ok("PUT", "/stream/transition?durable=true", bar);
            }
            _ => {}
        }
        let before = (facts(&client), picture(&client));
        assert_eq!(before.0[0]["held"], true, "{when}: {}", before.0);
        kill(on_air);
        (on_air, client) = again(&folder, &QUIET);
        assert_eq!(facts(&client), before.0, "{when}");
        assert!(picture(&client) == before.1, "{when}: another picture");
    }
    client.ok("POST", "/stream/transition/continue", Value::Null);
    until("the end of the change", || {
        (client.get("/stream/transition")["active"] == false).then_some(())
    });
    assert_eq!(client.get("/stream/status")["scene"], "one");
    assert_eq!(client.get("/stream/layers/dot")["opacity"], 0.5);
}

#[test]
fn a_killed_program_comes_back_from_its_file_as_it_was() {
    comes_back_as_it_was(&QUIET);
}

#[test]
fn a_killed_program_comes_back_from_redis_as_it_was() {
    let redis = Redis::start();
    let url = redis.url();
    comes_back_as_it_was(&[&QUIET[..], &["--redis-url", &url]].concat());
}

#[test]
fn a_scene_stays_in_preview_while_its_files_are_away() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let picture = image::RgbImage::from_pixel(4, 4, image::Rgb([200, 10, 10]));
    picture.save(folder.file("red.png")).unwrap();
    let red = json!({"id": "red", "source": {"type": "image", "src": "red.png"}, "size": {"width": 40, "height": 40}});
    client.ok(
        "PUT",
        "/stream/scenes/other",
        json!({
            "version": 1, "name": "Other", "canvas": {"width": 320, "height": 180}, "layers": [red],
        }),
    );
    client.ok(
        "POST",
        "/stream/scenes/other/preview?durable=true",
        Value::Null,
    );
    kill(on_air);
    std::fs::rename(folder.file("red.png"), folder.file("away.png")).unwrap();
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line("the scene in preview cannot be made ready");
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    kill(on_air);
    std::fs::rename(folder.file("away.png"), folder.file("red.png")).unwrap();
    let (_on_air, client) = again(&folder, &QUIET);
    assert_eq!(client.get("/stream/status")["preview"], "other");
    client.ok("POST", "/stream/scenes/other/activate", Value::Null);
    assert_eq!(client.get("/stream/layers")["count"], 1);
}

/// Seconds of the timeline `move` of the small scene on a tick, which plays forth and back since tick 0.
fn moved(tick: u64) -> f64 {
    let seconds = tick as f64 / 30.0 % 2.0;
    seconds.min(2.0 - seconds)
}

#[test]
fn what_moves_goes_on_at_the_right_time() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let still = json!({"id": "still", "autoplay": false, "tracks": [
        {"layer": "box", "property": "position.y", "keyframes": [{"at": 0, "value": 0}, {"at": 4, "value": 90}]},
    ]});
    client.ok("PUT", "/stream/timelines/still", still);
    let seek = "/stream/timelines/still/seek?durable=true";
    client.ok("POST", seek, json!({"to": 2.5}));
    let tick = client.get("/stream/status")["tick"].as_u64().unwrap();
    let killed = Instant::now();
    kill(on_air);
    let (_on_air, client) = again(&folder, &QUIET);
    // The ticks went on while the program was away.
    let status = client.get("/stream/status");
    let list = client.get("/stream/timelines");
    let now = client.get("/stream/status")["tick"].as_u64().unwrap();
    let begun = status["tick"].as_u64().unwrap();
    let away = (killed.elapsed().as_secs_f64() * 30.0) as u64;
    assert!(
        begun > tick && now <= tick + away + 3,
        "{tick} {begun} {now} {away}"
    );
    let find = |id: &str| {
        let lines = list["timelines"].as_array().unwrap();
        lines.iter().find(|line| line["id"] == id).unwrap().clone()
    };
    assert_eq!(find("still")["position"], 2.5);
    let position = find("move")["position"].as_f64().unwrap();
    let is_one =
        (begun.saturating_sub(1)..=now + 2).any(|tick| (moved(tick) - position).abs() < 1e-6);
    assert!(is_one, "{position} from tick {begun} to {now}");
}

#[test]
fn a_scene_that_is_on_air_for_months_comes_back_at_once_and_its_files_begin_at_zero() {
    const MONTHS_MS: i64 = 100 * 24 * 3600 * 1000;
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    // A strip whose speed never rests has to be gone through tick by tick.
    let strip = json!({"id": "strip", "source": {"type": "ticker", "items": ["a"], "speed": 30}, "size": {"width": 320, "height": 20}});
    client.ok("POST", "/stream/layers", strip);
    let line = json!({"id": "faster", "loop": "pingPong", "tracks": [
        {"layer": "strip", "property": "source.speed", "keyframes": [{"at": 0, "value": 0}, {"at": 4, "value": 90}]},
    ]});
    client.ok("PUT", "/stream/timelines/faster?durable=true", line);
    kill(on_air);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let file = folder.file("data").join(embedded::FILE_NAME);
        let store = Store::Embedded(Embedded::open(file).await.unwrap());
        let saved = store.load().await.unwrap();
        let mut show: Value = serde_json::from_slice(&saved.documents["show"]).unwrap();
        show["epochMs"] = (show["epochMs"].as_i64().unwrap() - MONTHS_MS).into();
        let came = Bytes::from_static(b"{}");
        let show = Bytes::from(show.to_string());
        let puts = [("show".into(), Some(show)), ("came".into(), Some(came))].into();
        store.commit(saved.change(puts)).await.unwrap();
        store.close().await;
    });
    let (on_air, client) = again(&folder, &[]);
    let tick = client.get("/stream/status")["tick"].as_u64().unwrap();
    assert!(tick as i64 >= MONTHS_MS / 1000 * 30, "{tick}");
    let find = || {
        let list = client.get("/stream/timelines");
        let lines = list["timelines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["id"] == "move").unwrap();
        line["position"].as_f64().unwrap()
    };
    let position = find();
    until("it to move", || (find() != position).then_some(()));
    until("a recording", || {
        let tick_now = client.get("/stream/status")["tick"].as_u64()?;
        (tick_now > tick + 60).then_some(())
    });
    on_air.signal("-TERM");
    on_air.end();
    let list = std::fs::read_dir(folder.file("data/recordings")).unwrap();
    let mut files = list.map(|entry| entry.unwrap().path());
    let facts = super::support::probe(files.next().unwrap().to_str().unwrap());
    let number = |name: &str| {
        facts["format"][name]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    assert!(number("start_time").abs() < 0.2, "{facts}");
    assert!((1.0..60.0).contains(&number("duration")), "{facts}");
}

#[test]
fn a_frame_that_stands_is_the_same_after_a_restart() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let pause = json!({"show": "lastFrame"});
    client.ok("POST", "/stream/pause?durable=true", pause);
    let picture = |client: &Client| client.send("GET", "/stream/snapshot.png", "", &[]).body;
    let before = picture(&client);
    // What moves goes on behind it.
    until("some ticks", || {
        (client.get("/stream/timelines")["timelines"][0]["position"].as_f64()? > 0.0).then_some(())
    });
    assert!(before == picture(&client), "it stands");
    kill(on_air);
    let (_on_air, client) = again(&folder, &QUIET);
    assert!(picture(&client) == before, "another frame than before");
    client.ok("POST", "/stream/resume", Value::Null);
    until("the scene", || (picture(&client) != before).then_some(()));
}

#[test]
fn what_was_scheduled_is_done_on_its_tick_or_as_soon_as_it_can_be() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let next = || client.get("/stream/status")["tick"].as_u64().unwrap();
    let at = |tick: u64, word: &str| {
        let commands =
            json!({"at": tick, "commands": [{"type": "data.update", "patch": {(word): tick}}]});
        let path = "/stream/commands?durable=true";
        let (status, answer) = client.ask("POST", path, commands);
        assert_eq!(status, 202, "{answer}");
        answer["data"]["scheduled"].clone()
    };
    let late = next() + 200;
    at(late, "late");
    let never = at(late + 1, "never");
    client.ok("DELETE", &format!("/stream/commands/{never}"), Value::Null);
    let soon = next() + 8;
    at(soon, "soon");
    kill(on_air);
    let (on_air, client) = again(&folder, &QUIET);
    let word = |client: &Client, word: &str| client.get("/stream/data")[word].as_u64();
    assert_eq!(until("what is overdue", || word(&client, "soon")), soon);
    assert_eq!(until("what is due", || word(&client, "late")), late);
    let status = client.get("/stream/status");
    assert!(status["tick"].as_u64().unwrap() >= late, "{status}");
    assert_eq!(client.get("/stream/commands")["count"], 0);
    client.ok("PATCH", "/stream/data?durable=true", json!({"soon": 1}));
    kill(on_air);
    // It is not done twice, and what was taken back is not done.
    let (_on_air, client) = again(&folder, &QUIET);
    assert_eq!(
        (word(&client, "soon"), word(&client, "never")),
        (Some(1), None)
    );
}

#[test]
fn what_was_scheduled_for_a_revision_is_done_after_a_restart_at_that_one_alone() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let next = || client.get("/stream/status")["tick"].as_u64().unwrap();
    let at = |tick: u64, word: &str| {
        let commands = json!([{"type": "data.update", "patch": {(word): true}}]);
        let batch = json!({"at": tick, "ifRevision": client.revision(), "commands": commands});
        let path = "/stream/commands?durable=true";
        assert_eq!(client.ask("POST", path, batch).0, 202);
    };
    let due = next() + 150;
    at(due, "before");
    client.ok("PATCH", "/stream/data", json!({"changed": true}));
    at(due + 1, "after");
    kill(on_air);
    let (_on_air, client) = again(&folder, &QUIET);
    let waiting = || client.get("/stream/commands")["count"].as_u64() == Some(0);
    until("both to be due", || waiting().then_some(()));
    let data = until("the one that holds", || {
        let data = client.get("/stream/data");
        (data["after"] == true).then_some(data)
    });
    assert_eq!(data["before"], Value::Null, "the world had changed since");
}

#[test]
fn films_go_on_where_they_would_be() {
    let folder = TempFolder::new();
    let made = run(Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=s=160x90:r=15"])
        .args([
            "-t",
            "90",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "15",
        ])
        .arg(folder.file("film.mp4")));
    assert!(made.status.success(), "{}", text(&made.stderr));
    let film = |id: &str, loops: bool| json!({"id": id, "source": {"type": "video", "src": "film.mp4", "loop": loops}, "size": {"width": 160, "height": 90}});
    let scene = json!({"version": 1, "name": "Films", "canvas": {"width": 320, "height": 180, "fps": 30}, "layers": [film("plain", false), film("stands", true)]});
    folder.write("scene.json", &scene.to_string());
    let (on_air, client) = again(&folder, &QUIET);
    let position = |client: &Client, id: &str| {
        until("a picture", || {
            let input = client.get(&format!("/stream/inputs/{id}"));
            let is_there = input["stage"] == "live" || input["stage"] == "ended";
            input["position"].as_f64().filter(|_| is_there)
        })
    };
    position(&client, "plain");
    let path = |id: &str| format!("/stream/layers/{id}/playback?durable=true");
    let seek = |to: f64| json!({"action": "seek", "to": to});
    let sought = Instant::now();
    client.ok("POST", &path("plain"), seek(30.0));
    client.ok("POST", &path("stands"), seek(12.5));
    client.ok("POST", &path("stands"), json!({"action": "pause"}));
    let stood = until("the seek", || {
        Some(position(&client, "stands")).filter(|position| *position >= 12.4)
    });
    kill(on_air);
    let (_on_air, client) = again(&folder, &QUIET);
    // Before its place was found it is not known where it is.
    let began = until("the place", || {
        Some(position(&client, "plain")).filter(|position| *position > 1.0)
    });
    let latest = 30.0 + sought.elapsed().as_secs_f64() + 0.5;
    assert!(
        (30.0..=latest).contains(&began),
        "{began}, at most {latest}"
    );
    let stands = position(&client, "stands");
    assert!((stands - stood).abs() < 0.2, "{stood}, then {stands}");
}

const SET_ASIDE: &str = "what was on air before is set aside";

#[test]
fn another_scene_a_changed_file_and_who_says_so_begin_anew() {
    let folder = TempFolder::new();
    let opacity = |client: &Client| client.get("/stream/layers/box")["opacity"].clone();
    let (on_air, client) = start(&folder, &QUIET);
    let path = "/stream/layers/box?durable=true";
    client.ok("PATCH", path, json!({"opacity": 0.5}));
    let revision = client.revision();
    kill(on_air);
    folder.write(
        "scene.json",
        &SMALL_SCENE.replace("\"Small\"", "\"Written\""),
    );
    let (on_air, client) = again(&folder, &QUIET);
    assert_eq!(
        (
            client.get("/stream/scenes")["program"]["name"].clone(),
            opacity(&client)
        ),
        (json!("Written"), json!(1))
    );
    assert!(client.revision() > revision, "revisions go on");
    on_air.line(SET_ASIDE);
    client.ok("PATCH", path, json!({"opacity": 0.25}));
    kill(on_air);
    let (on_air, client) = again(&folder, &[&QUIET[..], &["--fresh"]].concat());
    assert_eq!(opacity(&client), 1);
    on_air.line(SET_ASIDE);
    client.ok("PATCH", path, json!({"opacity": 0.75}));
    kill(on_air);
    // Another name is another scene, whatever it says.
    folder.write("named.json", SMALL_SCENE);
    let mut named = program(&folder.0);
    named
        .args(["run", "named.json", "--hls", "false"])
        .args(FREE_PORTS)
        .args(QUIET);
    let on_air = OnAir::start(&mut named);
    let client = Client::new(on_air.port("api"));
    assert_eq!(opacity(&client), 1);
    assert_eq!(client.get("/stream/status")["scene"], "named");
    on_air.line(SET_ASIDE);
    let copies = std::fs::read_dir(folder.file("data/state.before")).unwrap();
    assert_eq!(copies.count(), 3);
}

#[test]
fn outputs_of_an_earlier_release_are_taken_over_once() {
    let folder = TempFolder::new();
    std::fs::create_dir_all(folder.file("data")).unwrap();
    let old = r#"{"outputs": {"copy": {"added": {"id": "copy", "url": "rtmp://127.0.0.1:9/live/copy", "enabled": false}}}, "renditions": {}}"#;
    folder.write("data/outputs.json", old);
    let (on_air, client) = start(&folder, &QUIET);
    assert_eq!(client.get("/stream/outputs/copy")["enabled"], false);
    until("the file to be put aside", || {
        folder
            .file("data/outputs.json.imported")
            .exists()
            .then_some(())
    });
    client.ok("DELETE", "/stream/outputs/copy?durable=true", Value::Null);
    kill(on_air);
    let (_on_air, client) = again(&folder, &QUIET);
    assert_eq!(
        client.ask("GET", "/stream/outputs/copy", Value::Null).0,
        404
    );
}

/// Changes one layer and one value together, over and over, until the program is gone; notes the last change that was said to be saved.
fn write(client: &Client, writer: usize, from: u64, saved: &AtomicU64, ends: &AtomicBool) {
    for number in from.. {
        let commands = json!({"commands": [
            {"type": "data.update", "patch": {(format!("n{writer}")): number}},
            {"type": "layer.update", "id": format!("box{writer}"), "patch": {"position": {"y": number}}},
        ]});
        let is_durable = number % 4 == 0;
        let path = format!("/stream/commands?durable={is_durable}");
        let body = commands.to_string();
        let Some(status) = client.try_send("POST", &path, body.as_bytes()) else {
            return;
        };
        assert_eq!(status, 200);
        if is_durable {
            saved.store(number, SeqCst);
        }
        if ends.load(SeqCst) {
            return;
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "with many kills it is a measurement, seen with --nocapture"
)]
fn survives_being_killed(more: &[&str]) {
    let folder = TempFolder::new();
    let (mut on_air, mut client) = start(&folder, more);
    for writer in 0..WRITERS {
        let layer = a_box(&format!("box{writer}"), 0, 0, 5, "#ffffff");
        client.ok("POST", "/stream/layers", layer);
    }
    client.ok(
        "PATCH",
        "/stream/data?durable=true",
        json!({"n0": 0, "n1": 0, "n2": 0, "n3": 0}),
    );
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok());
    let saved: [AtomicU64; WRITERS] = Default::default();
    let mut numbers = [0; WRITERS];
    let (mut slowest, mut changes) = (Duration::ZERO, 0);
    for round in 0..kills.unwrap_or(KILLS_DEFAULT) {
        let chance = u64::from(getrandom::u32().unwrap());
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            for (writer, from) in numbers.iter().enumerate() {
                let (client, saved, ends) = (client.clone(), &saved[writer], &ends);
                scope.spawn(move || write(&client, writer, from + 1, saved, ends));
            }
            thread::park_timeout(Duration::from_millis(100 + chance % 500));
            on_air.signal("-KILL");
            ends.store(true, SeqCst);
        });
        on_air.end();
        if round % 3 == 0 {
            // Before it is on air, or as it just is.
            let started = OnAir::start(&mut command(&folder, more));
            thread::park_timeout(Duration::from_millis(chance % 300));
            kill(started);
        }
        let begun = Instant::now();
        (on_air, client) = again(&folder, more);
        let data = client.get("/stream/data");
        slowest = slowest.max(begun.elapsed());
        for writer in 0..WRITERS {
            let number = data[format!("n{writer}")].as_u64().unwrap();
            let least = saved[writer].load(SeqCst);
            assert!(
                number >= least,
                "round {round}: {least} of writer {writer} was lost, {number} is there"
            );
            assert!(number >= numbers[writer], "round {round}: it went back");
            let layer = client.get(&format!("/stream/layers/box{writer}"));
            assert_eq!(
                layer["position"]["y"], number,
                "round {round}: half of a batch"
            );
            changes += number - numbers[writer];
            numbers[writer] = number;
        }
        assert_eq!(client.get("/stream/status")["isLive"], true);
    }
    assert!(saved.iter().any(|saved| saved.load(SeqCst) > 0));
    println!("{changes} changes survived; the slowest start took {slowest:?}");
}

#[test]
fn killed_at_random_moments_it_loses_nothing_that_was_saved_in_its_file() {
    survives_being_killed(&QUIET);
}

#[test]
fn killed_at_random_moments_it_loses_nothing_that_was_saved_in_redis() {
    let redis = Redis::start();
    let url = redis.url();
    survives_being_killed(&[&QUIET[..], &["--redis-url", &url]].concat());
}
