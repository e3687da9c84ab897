//! The store when something is wrong with it, and with another program beside: it is told, nothing is lost, the stream goes on.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use serde_json::json;
use stream_manager::store::{Embedded, Store, embedded};

use super::api::start;
use super::client::Client;
use super::resume::{QUIET, again, kill};
use super::support::{FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, program, run, text, until};

/// A Redis of this test alone.
pub struct Redis {
    child: Child,
    pub port: u16,
    folder: TempFolder,
}

impl Redis {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let folder = TempFolder::new();
        let child = Self::run(port, &folder);
        Self {
            child,
            port,
            folder,
        }
    }

    fn run(port: u16, folder: &TempFolder) -> Child {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(&folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server is needed by this test: {error}"));
        until("Redis", || TcpStream::connect(("127.0.0.1", port)).ok());
        child
    }

    /// Kills it and starts it again, with what it was told to `SAVE`.
    pub fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::run(self.port, &self.folder);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn signal(&self, name: &str) {
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
        let puts = [("scene".into(), broken)].into();
        store.commit(before.change(puts)).await.unwrap();
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

#[test]
fn one_program_leads_a_stream_in_redis_and_another_takes_its_place() {
    let redis = Redis::start();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url, "--stream-id", "evening"]].concat();
    let (first, second) = (TempFolder::new(), TempFolder::new());
    let (on_air, client) = start(&first, &more);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    second.write("scene.json", SMALL_SCENE);
    let start_second = |role: &str| {
        let mut command = program(&second.0);
        command.args(["run", "scene.json", "--hls", "false"]);
        command.args(FREE_PORTS).args(&more).args(["--role", role]);
        command
    };
    let refused = run(&mut start_second("leader"));
    let words = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{words}");
    assert!(
        words.contains("leads this stream, and ROLE=leader"),
        "{words}"
    );
    let waiting = OnAir::start(&mut start_second("auto"));
    waiting.line("this instance stands by");
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 2}));
    kill(on_air);
    waiting.line("where the last run left off");
    let client = Client::new(waiting.port("api"));
    client.leads();
    assert_eq!(client.get("/stream/data")["n"], 2);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 3}));
    // While it waits it ends when it is told to.
    let third = OnAir::start(
        program(&first.0)
            .args(["run", "scene.json", "--hls", "false"])
            .args(FREE_PORTS)
            .args(&more),
    );
    third.line("this instance stands by");
    third.signal("-TERM");
    assert!(third.end().0.success());
    waiting.signal("-TERM");
    waiting.end();
}
