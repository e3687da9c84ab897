//! Many channels over several instances: each is carried once, taken over, changed and ended, and none takes another one with it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use super::client::Client;
use super::store::Redis;
use super::support::{LIMIT, OnAir, SMALL_SCENE, TempFolder, program, run, text, until};

/// The scene of every channel here, light enough for four at a time.
fn scene() -> String {
    SMALL_SCENE.replace("\"fps\": 30", "\"fps\": 10")
}

/// A number of ports in a row below those that the system gives by itself, which nobody has now.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = 15_000 + (std::process::id() % 150) as u16 * 100;
    loop {
        let base = 15_000 + (own - 15_000 + NEXT.fetch_add(count, Ordering::Relaxed)) % 15_000;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (base..base + count).all(is_free) {
            return base;
        }
    }
}

/// What several instances share: one Redis, and the folder with the scene.
struct World {
    redis: Redis,
    folder: TempFolder,
}

impl World {
    fn new() -> Self {
        let folder = TempFolder::new();
        std::fs::create_dir(folder.file("scenes")).unwrap();
        folder.write("scenes/small.json", &scene());
        Self {
            redis: Redis::start(),
            folder,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.folder.0);
        command
            .env("REDIS_URL", self.redis.url())
            .arg("fleet")
            .args(arguments);
        command
    }

    fn fleet(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.fleet(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn add(&self, id: &str, more: &[&str]) -> String {
        let all = [
            &["add", id, "--scene", "small"],
            &["--set", "HLS=false", "--set", "RECORDING=false"][..],
            more,
        ];
        self.ok(&all.concat())
    }

    fn list(&self) -> Value {
        serde_json::from_str(&self.ok(&["list", "--json"])).unwrap()
    }

    fn join(&self, name: &str, capacity: u16) -> Instance {
        // The last ten are its own.
        let base = free_ports(capacity * 10 + 10);
        let health = base + capacity * 10;
        let on_air = OnAir::start(
            self.command(&["run"])
                .args(["--capacity", &capacity.to_string()])
                .args(["--port-base", &base.to_string()])
                .args(["--health-port", &health.to_string()])
                .args(["--data-dir", name]),
        );
        on_air.line("listening for channels");
        Instance {
            on_air,
            client: Client::new(health),
            base,
        }
    }

    /// Asks Redis beside the program.
    fn redis(&self, command: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.redis.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "{command}\r\n").unwrap();
        let mut answer = [0; 64];
        let count = stream.read(&mut answer).unwrap();
        assert!(count > 0 && answer[0] != b'-', "{}", text(&answer[..count]));
    }
}

struct Instance {
    on_air: OnAir,
    client: Client,
    base: u16,
}

impl Instance {
    fn channels(&self) -> Vec<Value> {
        let channels = self.client.get("/fleet")["channels"].take();
        serde_json::from_value(channels).unwrap()
    }

    fn channel(&self, id: &str) -> Option<Value> {
        let mut channels = self.channels().into_iter();
        channels.find(|channel| channel["id"] == id)
    }

    /// A channel that is on air, waited for.
    fn on_air(&self, id: &str) -> Value {
        until(&format!("{id} to be on air"), || {
            self.channel(id).filter(is_ready)
        })
    }

    fn ready(&self) -> Vec<Value> {
        self.channels().into_iter().filter(is_ready).collect()
    }
}

/// Whether the process of a channel says of itself that it is on air.
fn is_ready(channel: &Value) -> bool {
    let Some(port) = channel["ports"]["health"].as_u64() else {
        return false;
    };
    let client = Client::new(u16::try_from(port).unwrap());
    channel["state"] == "running" && client.try_send("GET", "/ready", b"") == Some(200)
}

fn names(channels: &[Value]) -> BTreeSet<String> {
    let names = channels.iter().map(|channel| channel["id"].as_str());
    names.map(|name| name.unwrap().to_owned()).collect()
}

fn pid(channel: &Value) -> u64 {
    channel["pid"].as_u64().unwrap()
}

/// Whether a process has ended; one that nobody has asked for yet counts as such.
fn has_ended(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    state.is_empty() || state.starts_with('Z')
}

#[test]
fn channels_are_carried_once_and_taken_over_from_who_dies() {
    let world = World::new();
    for id in ["a", "b", "c"] {
        assert!(world.add(id, &[]).contains("added"));
    }
    let (one, two) = (world.join("one", 2), world.join("two", 2));
    let carried = || [one.ready(), two.ready()];
    let [first, second] = until("all three to be on air", || {
        Some(carried()).filter(|[first, second]| first.len() + second.len() == 3)
    });
    assert!(names(&first).is_disjoint(&names(&second)));
    let listed = world.list();
    let holders = listed["channels"].as_array().unwrap();
    assert!(
        holders
            .iter()
            .all(|channel| channel["instance"].is_string() && channel["since"].is_string()),
        "{listed}"
    );
    assert_eq!(listed["instances"].as_array().unwrap().len(), 2);
    // Places have the ports that are documented.
    for (instance, channels) in [(&one, &first), (&two, &second)] {
        for channel in channels {
            let slot = channel["slot"].as_u64().unwrap();
            let port = u64::from(instance.base) + 10 * slot;
            assert_eq!(channel["ports"]["api"], port, "{channel}");
            assert_eq!(channel["ports"]["rtmp"], port + 4, "{channel}");
        }
    }
    // The one with two dies. Its processes end with it, and the other one has room for one of its channels.
    let (dead, dead_channels, living) = match first.len() {
        2 => (one, first, two),
        _ => (two, second, one),
    };
    dead.on_air.signal("-KILL");
    until("the processes to end with their supervisor", || {
        dead_channels
            .iter()
            .all(|channel| has_ended(pid(channel)))
            .then_some(())
    });
    until("a channel to be taken over", || {
        (living.ready().len() == 2).then_some(())
    });
    let spare = world.join("spare", 1);
    until("the last one to be taken over", || {
        (spare.ready().len() == 1).then_some(())
    });
    let all = [living.ready(), spare.ready()].concat();
    assert_eq!(names(&all).len(), 3, "{all:?}");
    // Nothing more fits, so a fourth channel waits, and is not lost.
    assert!(world.add("d", &[]).contains("added"));
    let listed = world.list();
    assert_eq!(listed["channels"][3]["id"], "d");
    assert_eq!(listed["channels"][3]["instance"], Value::Null);
    world.ok(&["remove", all[2]["id"].as_str().unwrap()]);
    spare.on_air("d");
}

#[test]
fn a_channel_is_changed_mended_and_removed_while_others_go_on() {
    let world = World::new();
    let instance = world.join("one", 3);
    world.ok(&["add", "broken", "--scene", "scenes/none.json"]);
    world.add("still", &[]);
    world.add(
        "moved",
        &["--set", "STREAM_URL=rtmp://127.0.0.1:9/live/s3cret"],
    );
    let (still, moved) = (instance.on_air("still"), instance.on_air("moved"));
    // What is secret is in the environment alone.
    let line = std::fs::read(format!("/proc/{}/cmdline", pid(&moved))).unwrap();
    assert!(!text(&line).contains("s3cret"));
    let listed = world.ok(&["list"]);
    assert!(
        listed.contains("STREAM_URL=***") && !listed.contains("s3cret"),
        "{listed}"
    );
    // A scene that is not there is told, tried again with pauses, and on air as soon as it is mended.
    let broken = until("the scene to be missed twice", || {
        let channel = instance.channel("broken")?;
        (channel["restarts"].as_u64() >= Some(2)).then_some(channel)
    });
    let error = broken["error"].as_str().unwrap();
    assert!(
        error.contains("scenes/none.json") && error.contains("cannot be read"),
        "{error}"
    );
    assert!(world.add("broken", &[]).contains("changed"));
    let mended = instance.on_air("broken");
    assert_eq!(mended["error"], Value::Null);
    // Other settings are those of another process, in the same place.
    let port = u16::try_from(moved["ports"]["api"].as_u64().unwrap()).unwrap();
    let client = Client::new(port);
    assert_eq!(client.ask("GET", "/stream/status", Value::Null).0, 200);
    world.add("moved", &["--set", "API_TOKEN=a-token-of-its-own"]);
    until("the new settings", || {
        (client.try_send("GET", "/stream/status", b"") == Some(401)).then_some(())
    });
    let again = instance.on_air("moved");
    assert_eq!(again["ports"], moved["ports"]);
    assert!(has_ended(pid(&moved)) && pid(&again) != pid(&moved));
    assert_eq!(again["restarts"], 0, "that was asked for");
    // Settings that cannot be used end nothing, and what was never good is refused.
    for id in ["still", "odd"] {
        world.redis(&format!("HSET sm:{{fleet:main}}:channels {id} nonsense"));
    }
    until("the settings to be refused", || {
        let error = instance.channel("still")?["error"].take();
        error.as_str()?.contains("cannot be used").then_some(())
    });
    assert!(instance.channel("odd").is_none(), "there is no room for it");
    world.ok(&["remove", "moved"]);
    let odd = until("it to be refused", || instance.channel("odd"));
    assert_eq!(odd["state"], "refused", "{odd}");
    // It takes nobody's place.
    world.add("more", &[]);
    let more = pid(&instance.on_air("more"));
    world.ok(&["remove", "more"]);
    until("its process to end", || has_ended(more).then_some(()));
    until("it to be told no more", || {
        instance.channel("more").is_none().then_some(())
    });
    until("its process to end", || {
        has_ended(pid(&again)).then_some(())
    });
    until("it to be told no more", || {
        instance.channel("moved").is_none().then_some(())
    });
    world.ok(&["remove", "odd"]);
    // One that is killed is started again.
    let killed = pid(&mended);
    let status = Command::new("kill")
        .args(["-KILL", &killed.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let again = until("another process", || {
        let channel = instance.channel("broken").filter(is_ready)?;
        (pid(&channel) != killed).then_some(channel)
    });
    let restarts = mended["restarts"].as_u64().unwrap() + 1;
    assert_eq!(again["restarts"], restarts);
    assert!(
        again["error"].as_str().unwrap().contains("signal: 9"),
        "{again}"
    );
    assert_eq!(pid(&instance.channel("still").unwrap()), pid(&still));
    let metrics = instance.client.send("GET", "/metrics", "", b"");
    let metrics = text(&metrics.body);
    for line in [
        "stream_fleet_capacity 3",
        "stream_fleet_channels 2",
        &format!("stream_fleet_restarts_total {restarts}"),
        "stream_fleet_channel_up{channel=\"still\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // The end is clean, and others see it at once.
    instance.on_air.signal("-TERM");
    let lines = instance.on_air.all_lines();
    assert!(
        lines.contains("[still] ") && !lines.contains("s3cret"),
        "{lines}"
    );
    assert!(instance.on_air.end().0.success());
    assert!(has_ended(pid(&still)) && has_ended(pid(&again)));
    let listed = world.list();
    assert_eq!(listed["instances"], json!([]));
    assert_eq!(listed["channels"][0]["instance"], Value::Null);
}

#[test]
fn what_runs_goes_on_while_redis_is_away() {
    let world = World::new();
    world.add("a", &[]);
    let instance = world.join("one", 1);
    let before = pid(&instance.on_air("a"));
    world.redis.signal("-STOP");
    until("Redis to be missed", || {
        (instance.client.get("/health")["redis"] == "away").then_some(())
    });
    assert_eq!(instance.client.get("/ready")["running"], 1);
    world.redis.signal("-CONT");
    until("Redis to be back", || {
        (instance.client.get("/health")["redis"] == "ok").then_some(())
    });
    assert_eq!(pid(&instance.on_air("a")), before);
    // A process that was stopped does not end by itself.
    let _stopped = Command::new("kill")
        .args(["-STOP", &before.to_string()])
        .status()
        .unwrap();
    let again = until("another process", || {
        let channel = instance.channel("a").filter(is_ready)?;
        (pid(&channel) != before).then_some(channel)
    });
    assert!(has_ended(before));
    let error = again["error"].as_str().unwrap();
    assert!(error.contains("/health"), "{error}");
    let before = pid(&again);
    // Nothing is saved there any more, and the channel is wanted all the same.
    world.redis("FLUSHALL");
    until("the channel to be wanted again", || {
        (world.list()["channels"][0]["instance"].is_string()).then_some(())
    });
    assert_eq!(pid(&instance.channel("a").unwrap()), before);
}

#[test]
fn who_starts_as_redis_is_back_takes_nothing_of_others() {
    let world = World::new();
    world.add("a", &[]);
    let one = world.join("one", 1);
    let before = pid(&one.on_air("a"));
    // Its lease ran out while Redis was away, and it has not looked yet.
    one.on_air.signal("-STOP");
    world.redis("DEL sm:{fleet:main}:holder:a");
    let two = world.join("two", 1);
    until("the other one to have looked", || {
        (two.client.get("/health")["redis"] == "ok").then_some(())
    });
    assert!(two.channels().is_empty());
    one.on_air.signal("-CONT");
    until("the channel to be had again", || {
        (world.list()["channels"][0]["instance"].is_string()).then_some(())
    });
    assert_eq!(pid(&one.on_air("a")), before);
    assert!(two.channels().is_empty());
}

#[test]
fn a_paused_instance_keeps_its_stream_until_it_finds_that_another_one_has_it() {
    let world = World::new();
    world.add("a", &[]);
    let paused = world.join("paused", 1);
    let before = paused.on_air("a");
    let other = world.join("other", 1);
    assert!(other.channels().is_empty());
    paused.on_air.signal("-STOP");
    let taken = until("the other one to take it", || {
        other.channel("a").filter(|channel| channel["pid"].is_u64())
    });
    assert!(!has_ended(pid(&before)));
    assert!(!is_ready(&taken), "the stream's own lease is held still");
    let client = Client::new(paused.base + 3);
    assert_eq!(client.try_send("GET", "/ready", b""), Some(200));
    paused.on_air.signal("-CONT");
    assert_eq!(pid(&other.on_air("a")), pid(&taken));
    assert!(has_ended(pid(&before)));
    until("it to be told no more", || {
        paused.channels().is_empty().then_some(())
    });
}

#[test]
fn what_cannot_be_done_is_said_with_its_exit_code() {
    let world = World::new();
    for (arguments, code, words) in [
        (
            &["add", "a/b", "--scene", "small"][..],
            2,
            "a name that is not allowed",
        ),
        (
            &["add", "..", "--scene", "small"],
            2,
            "a name that is not allowed",
        ),
        (
            &[
                "add",
                "a",
                "--scene",
                "small",
                "--set",
                "PORT=1",
                "--set",
                "TARGET_FP=9",
            ],
            2,
            "did you mean TARGET_FPS?",
        ),
        (
            &[
                "add",
                "a",
                "--scene",
                "small",
                "--set",
                "REDIS_URL=redis://x",
            ],
            2,
            "REDIS_URL belongs to the instance",
        ),
        (
            &["add", "a", "--scene", "small", "--set", "STREAM_URL"],
            2,
            "has no STREAM_URL",
        ),
        (&["add", "a"], 2, "--scene"),
        (&["remove", "a"], 1, "there is no channel `a`"),
        (&["run", "--capacity", "0"], 2, "FLEET_CAPACITY"),
        (
            &["run", "--port-base", "4291"],
            2,
            "HEALTH_PORT 4291 is one of the ports of channels",
        ),
        (
            &["list", "--redis-url", "redis://127.0.0.1:9"],
            1,
            "cannot be reached",
        ),
    ] {
        let output = world.fleet(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let output = run(program(&world.folder.0).args(["fleet", "list"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("REDIS_URL"),
        "it must be given"
    );
    assert_eq!(world.list(), json!({"channels": [], "instances": []}));
}
