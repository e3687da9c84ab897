//! What survives the program: killed at any moment, it comes back on air as it was, from its own file and from Redis.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use stream_manager::store::{Batch, Embedded, Store, embedded};

use super::api::start;
use super::client::{Client, a_box};
use super::support::{FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, program, run, text, until};

const QUIET: [&str; 2] = ["--recording", "false"];
/// How often the program is killed while it is changed; more where this variable says so.
const KILLS: &str = "STREAM_MANAGER_TEST_KILLS";
const KILLS_DEFAULT: u32 = 12;
/// Programs that change it at the same time, each about thirty times a second.
const WRITERS: usize = 4;

/// A Redis of this test alone.
struct Redis {
    child: Child,
    port: u16,
    _folder: TempFolder,
}

impl Redis {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = TempFolder::new();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(&folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is needed by this test");
        until("Redis", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the program again, with the scene's file as it is.
fn again(folder: &TempFolder, more: &[&str]) -> (OnAir, Client) {
    let on_air = OnAir::start(
        program(&folder.0)
            .args(["run", "scene.json"])
            .args(FREE_PORTS)
            .args(["--hls", "false"])
            .args(more),
    );
    let client = Client::new(on_air.port("api"));
    (on_air, client)
}

fn kill(on_air: OnAir) {
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
        "status": [status["isLive"], status["isPaused"], status["scene"], status["startTime"]],
        "program": client.get("/stream/scenes")["program"],
    })
}

fn comes_back_as_it_was(more: &[&str]) {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, more);
    change_much(&client);
    let (before, revision) = (facts(&client), client.revision());
    kill(on_air);
    let (on_air, client) = again(&folder, more);
    on_air.line("where the last run left off");
    assert_eq!(facts(&client), before);
    assert!(client.revision() > revision);
    until("the preview", || {
        (client.get("/stream/status")["preview"] == "other").then_some(())
    });
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
    client.ok("PATCH", path, json!({"opacity": 0.25}));
    kill(on_air);
    let (on_air, client) = again(&folder, &[&QUIET[..], &["--fresh"]].concat());
    assert_eq!(opacity(&client), 1);
    client.ok("PATCH", path, json!({"opacity": 0.75}));
    kill(on_air);
    // A file that was broken meanwhile is no reason to go dark where another scene is on air; nor is a new name for the scene.
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
}

#[test]
fn a_state_that_cannot_be_read_is_told_and_left_as_it_is() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    client.ok(
        "PATCH",
        "/stream/layers/box?durable=true",
        json!({"opacity": 0.5}),
    );
    kill(on_air);
    let file = folder.file("data").join(embedded::FILE_NAME);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = || {
        runtime.block_on(async {
            let store = Store::Embedded(Embedded::open(file.clone()).await.unwrap());
            let saved = store.load().await.unwrap();
            store.close().await;
            saved
        })
    };
    let before = read();
    runtime.block_on(async {
        let store = Store::Embedded(Embedded::open(file.clone()).await.unwrap());
        let broken = Some(Bytes::from_static(b"{\"id\": \"scene\"}"));
        let batch = Batch {
            after: Some(before.revision),
            revision: before.revision + 1,
            fence: before.fence,
            puts: [("scene".into(), broken)].into(),
        };
        store.commit(batch).await.unwrap();
        store.close().await;
    });
    let broken = read();
    let output = run(program(&folder.0)
        .args(["run", "scene.json"])
        .args(FREE_PORTS));
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    for word in ["state.redb", "`scene`", "left as it is", "--fresh"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    assert_eq!(read(), broken);
    let (_on_air, client) = again(&folder, &[&QUIET[..], &["--fresh"]].concat());
    assert_eq!(client.get("/stream/layers/box")["opacity"], 1);
}

/// Has the program refuse to start, which must leave the file as it is; gives what it said.
fn refused(folder: &TempFolder, file: &Path) -> String {
    let before = std::fs::read(file).unwrap();
    let output = run(program(&folder.0)
        .args(["run", "scene.json"])
        .args(FREE_PORTS));
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert_eq!(std::fs::read(file).unwrap(), before, "{words}");
    words
}

#[test]
fn a_file_that_is_damaged_newer_or_in_use_is_told_and_not_written_to() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    let file = folder.file("data").join(embedded::FILE_NAME);
    let other = run(program(&folder.0)
        .args(["run", "scene.json"])
        .args(FREE_PORTS));
    let words = text(&other.stderr);
    assert!(
        other.status.code() == Some(1) && words.contains("in use by another process"),
        "{words}"
    );
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 2}));
    kill(on_air);
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    for byte in damaged.iter_mut().skip(64) {
        *byte ^= 0x55;
    }
    std::fs::write(&file, &damaged).unwrap();
    let words = refused(&folder, &file);
    for word in ["state.redb", "damaged", "left as it is", "state import"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    std::fs::write(&file, &whole).unwrap();
    let database = redb::Database::create(&file).unwrap();
    let writing = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    writing
        .open_table(meta)
        .unwrap()
        .insert("format", 99)
        .unwrap();
    writing.commit().unwrap();
    drop(database);
    let words = refused(&folder, &file);
    for word in ["state.redb", "format 99", "use the release that wrote it"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    std::fs::write(&file, &whole).unwrap();
    let (_on_air, client) = again(&folder, &QUIET);
    assert_eq!(client.get("/stream/data")["n"], 2);
}

/// A disk of its own in a folder, for programs that are started through it.
struct SmallDisk(Child);

impl SmallDisk {
    fn mount(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let script =
            "mount -t tmpfs -o size=24m tmpfs \"$1\" && touch \"$1/mounted\" && exec sleep 600";
        let child = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
            .arg(folder)
            .spawn()
            .unwrap();
        let disk = Self(child);
        until("the disk", || {
            disk.file(&folder.join("mounted")).exists().then_some(())
        });
        disk
    }

    /// Where a file of the disk is for processes that do not have it.
    fn file(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.0.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    fn start(&self, folder: &TempFolder) -> (OnAir, Client) {
        let bare = program(&folder.0);
        let mut command = Command::new("nsenter");
        command
            .args(["--preserve-credentials", "--user", "--mount", "--target"])
            .arg(self.0.id().to_string())
            .args(["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh"])
            .arg(&folder.0)
            .arg(bare.get_program())
            .args(["run", "scene.json", "--hls", "false"])
            .args(FREE_PORTS)
            .args(QUIET);
        let on_air = OnAir::start(&mut command);
        let client = Client::new(on_air.port("api"));
        (on_air, client)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_full_disk_is_told_and_everything_is_saved_once_there_is_room() {
    let folder = TempFolder::new();
    folder.write("scene.json", SMALL_SCENE);
    let disk = SmallDisk::mount(&folder.file("data"));
    let (on_air, client) = disk.start(&folder);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    let filler = disk.file(&folder.file("data/filler"));
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 65_536]).is_ok() {}
    drop(file);
    let mut socket = client.socket("/ws");
    socket.ask(json!({"type": "subscribe", "events": ["store:*"]}));
    let large = |name: &str| json!({name: "x".repeat(900_000)});
    for name in ["a", "b", "c"] {
        client.ok("PATCH", "/stream/data", large(name));
    }
    let event = socket.event("store:state");
    assert_eq!(event["data"]["state"], "degraded", "{event}");
    let reason = event["data"]["reason"].as_str().unwrap();
    assert!(reason.contains("is full"), "{reason}");
    let answer = client.ok("PATCH", "/stream/data", json!({"n": 2}));
    assert_eq!(answer["store"], "degraded", "the answer says so as well");
    let (status, answer) = client.ask("PATCH", "/stream/data?durable=true", json!({"n": 3}));
    assert_eq!(
        (status, &answer["error"]["code"]),
        (504, &json!("NOT_SAVED"))
    );
    std::fs::remove_file(&filler).unwrap();
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 4}));
    assert_eq!(socket.event("store:state")["data"]["state"], "ok");
    kill(on_air);
    let (_on_air, client) = disk.start(&folder);
    let data = client.get("/stream/data");
    assert_eq!(data["n"], 4);
    assert_eq!(data["c"].as_str().map(str::len), Some(900_000));
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

#[test]
fn a_redis_that_stands_still_is_told_and_touches_nothing() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    let (on_air, client) = start(&folder, &more);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    redis.signal("-STOP");
    client.ok("PATCH", "/stream/data", json!({"n": 2}));
    let (status, answer) = client.ask("PATCH", "/stream/data?durable=true", json!({"n": 3}));
    assert_eq!(
        (status, &answer["error"]["code"]),
        (504, &json!("NOT_SAVED")),
        "{answer}"
    );
    let mut socket = client.socket("/ws");
    let command = json!({"type": "data.update", "patch": {"n": 4}});
    let answer = socket.ask(json!({"type": "command", "command": command, "durable": true}));
    assert_eq!(answer["error"]["code"], "NOT_SAVED", "{answer}");
    assert_eq!(
        client.get("/stream/data")["n"],
        4,
        "it is on air all the same"
    );
    let store = client.get("/stream/status")["store"].take();
    assert_eq!(
        (&store["engine"], &store["state"]),
        (&json!("redis"), &json!("down")),
        "{store}"
    );
    let health = Client::new(on_air.port("health")).get("/health");
    assert_eq!(health["store"]["state"], "down");
    let metrics = Client::new(on_air.port("metrics")).send("GET", "/metrics", "", &[]);
    let metrics = text(&metrics.body);
    assert!(
        metrics.contains("stream_store_state{engine=\"redis\",state=\"down\"} 1"),
        "{metrics}"
    );
    redis.signal("-CONT");
    until("the store to be well", || {
        (client.get("/stream/status")["store"]["state"] == "ok").then_some(())
    });
    let command = json!({"type": "data.update", "patch": {"n": 5}});
    let answer = socket.ask(json!({"type": "command", "command": command, "durable": true}));
    assert_eq!(answer["success"], true, "{answer}");
    kill(on_air);
    let (_on_air, client) = again(&folder, &more);
    assert_eq!(client.get("/stream/data")["n"], 5);
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
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
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
