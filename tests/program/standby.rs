//! Two instances of one stream: what the one that stands by shows, and that it takes the place of one that is killed or stopped, with a
//! real server at the other end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use redis::Commands as _;
use serde_json::{Value, json};

use super::client::Client;
use super::nginx::Nginx;
use super::store::Redis;
use super::support::{OnAir, SMALL_SCENE, TempFolder, get, program, until};

/// How often the leader is killed or stopped; more where this variable says so.
const TAKEOVERS: &str = "STREAM_MANAGER_TEST_TAKEOVERS";
const TAKEOVERS_DEFAULT: usize = 2;

/// One instance, on ports that it keeps when it begins anew.
pub struct Instance {
    pub folder: TempFolder,
    pub ports: Vec<u16>,
    flags: Vec<String>,
    pub on_air: Option<OnAir>,
}

impl Instance {
    pub fn start(redis: &Redis, more: &[&str]) -> Self {
        Self::start_at(&redis.url(), "", more)
    }

    /// With the way to Redis, and what `.env` says.
    pub fn start_at(redis: &str, variables: &str, more: &[&str]) -> Self {
        let listeners: Vec<TcpListener> = (0..5)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        drop(listeners);
        let names = [
            "--port",
            "--ws-port",
            "--metrics-port",
            "--health-port",
            "--rtmp-port",
        ];
        let mut flags: Vec<String> = Vec::new();
        for (name, port) in names.iter().zip(&ports) {
            flags.extend([(*name).to_owned(), port.to_string()]);
        }
        flags.extend(["--redis-url".to_owned(), redis.to_owned()]);
        for flag in ["--recording", "false", "--hls", "false"]
            .iter()
            .chain(more)
        {
            flags.push((*flag).to_owned());
        }
        let folder = TempFolder::new();
        folder.write("scene.json", SMALL_SCENE);
        folder.write(".env", variables);
        let mut instance = Self {
            folder,
            ports,
            flags,
            on_air: None,
        };
        instance.again();
        instance
    }

    pub fn again(&mut self) {
        let mut command = program(&self.folder.0);
        command.args(["run", "scene.json"]).args(&self.flags);
        self.on_air = Some(OnAir::start(&mut command));
    }

    pub fn kill(&mut self) {
        let on_air = self.on_air.take().unwrap();
        on_air.signal("-KILL");
        on_air.end();
    }

    pub fn signal(&self, name: &str) {
        self.on_air.as_ref().unwrap().signal(name);
    }

    pub fn api(&self) -> Client {
        Client::new(self.ports[0])
    }

    /// What `/health` or `/ready` says.
    pub fn asks(&self, path: &str) -> Option<(u16, Value)> {
        let (code, body) = get(self.ports[3], path)?;
        Some((code, serde_json::from_slice(&body).ok()?))
    }

    pub fn until_leads(&self) {
        until("the instance to lead", || {
            self.asks("/ready").filter(|(code, _)| *code == 200)
        });
        assert_eq!(self.api().get("/stream/status")["role"], "leader");
    }

    pub fn until_stands_by(&self) {
        until("the instance to stand by", || {
            self.asks("/health")
                .filter(|(_, body)| body["data"]["role"] == "standby")
        });
    }
}

/// The way of one instance to Redis, which can be cut: then nothing goes through, and nothing is closed.
struct Way {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Way {
    fn to(redis: &Redis) -> Self {
        let target = redis.url().replace("redis://", "");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else {
                    continue;
                };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (there, back) = (Arc::clone(&cut), Arc::clone(&cut));
                std::thread::spawn(move || forward(from, to, &there));
                std::thread::spawn(move || forward(server, client, &back));
            }
        });
        Self { port, is_cut }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !is_cut.load(SeqCst) && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _closed = to.shutdown(Shutdown::Both);
}

/// A player of a key, who writes down the time of every packet.
struct Player {
    child: Child,
    file: PathBuf,
}

impl Player {
    fn start(nginx: &Nginx, key: &str, folder: &Path) -> Self {
        let file = folder.join(format!("{key}.times"));
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-copyts", "-i"])
            .arg(format!("{}/{key}", nginx.application()))
            .args([
                "-c",
                "copy",
                "-copyts",
                "-flush_packets",
                "1",
                "-f",
                "framecrc",
                "-y",
            ])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(File::create(folder.join(format!("{key}.errors"))).unwrap())
            .spawn()
            .unwrap();
        Self { child, file }
    }

    /// Milliseconds of the pictures so far.
    fn pictures(&self) -> Vec<i64> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter(|line| line.starts_with("0,"));
        lines
            .map(|line| line.split(',').nth(1).unwrap().trim().parse().unwrap())
            .collect()
    }

    /// Waits until more pictures have come.
    fn until_more(&self, what: &str) {
        let before = self.pictures().len();
        until(what, || (self.pictures().len() > before + 15).then_some(()));
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until the lease has run out.
pub fn until_nobody_leads(redis: &Redis) {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    until("the lease to run out", || {
        let holder: Option<String> = connection.get("sm:{main}:lease").unwrap();
        holder.is_none().then_some(())
    });
}

/// A server at which each of two instances has a key of its own, so that nothing but the lease keeps both from sending at once.
struct Receivers {
    nginx: Nginx,
    folder: TempFolder,
}

impl Receivers {
    const KEYS: [&str; 2] = ["one", "two"];

    fn start() -> Self {
        Self {
            nginx: Nginx::start(),
            folder: TempFolder::new(),
        }
    }

    fn urls(&self) -> [String; 2] {
        Self::KEYS.map(|key| format!("{}/{key}", self.nginx.application()))
    }

    fn players(&self) -> [Player; 2] {
        Self::KEYS.map(|key| Player::start(&self.nginx, key, &self.folder.0))
    }
}

fn takeovers() -> usize {
    std::env::var(TAKEOVERS).map_or(TAKEOVERS_DEFAULT, |text| text.parse().unwrap())
}

fn is_rising(times: &[i64]) -> bool {
    times.windows(2).all(|pair| pair[0] < pair[1])
}

#[test]
fn a_standby_takes_over_from_a_killed_leader_and_receivers_see_time_go_on() {
    let (redis, nginx, folder) = (Redis::start(), Nginx::start(), TempFolder::new());
    let url = format!("{}/show", nginx.application());
    let flags = ["--stream-url", &url];
    let mut instances = [
        Instance::start(&redis, &flags),
        Instance::start(&redis, &flags),
    ];
    until("one to lead", || {
        let leads =
            |instance: &Instance| instance.asks("/ready").is_some_and(|(code, _)| code == 200);
        instances.iter().position(leads)
    });
    if instances[1]
        .asks("/ready")
        .is_some_and(|(code, _)| code == 200)
    {
        instances.swap(0, 1);
    }
    instances[1].until_stands_by();
    let player = Player::start(&nginx, "show", &folder.0);
    player.until_more("pictures");
    let started = instances[0].api().get("/stream/status")["startTime"].clone();
    for round in 0..takeovers() {
        let [leader, standby] = &mut instances;
        let opacity = 0.1 + 0.01 * round as f64;
        leader.api().ok(
            "PATCH",
            "/stream/layers/box?durable=true",
            json!({"opacity": opacity}),
        );
        until("the standby to see the change", || {
            (standby.api().get("/stream/layers/box")["opacity"] == opacity).then_some(())
        });
        assert_eq!(standby.asks("/ready").unwrap().0, 503);
        let (seen, of_leader) = (
            standby.api().get("/stream/status"),
            leader.api().get("/stream/status"),
        );
        assert_eq!(seen["leader"], of_leader["leader"]);
        assert_eq!(
            (&seen["role"], &of_leader["role"]),
            (&json!("standby"), &json!("leader"))
        );
        assert_eq!(
            (&seen["isLive"], &seen["startTime"]),
            (&of_leader["isLive"], &of_leader["startTime"])
        );
        leader.kill();
        standby.until_leads();
        let now = standby.api().get("/stream/status");
        assert_eq!(
            (&now["isLive"], &now["startTime"]),
            (&json!(true), &started)
        );
        assert_eq!(standby.api().get("/stream/layers/box")["opacity"], opacity);
        player.until_more("pictures of the other instance");
        leader.again();
        leader.until_stands_by();
        instances.swap(0, 1);
    }
    let pictures = player.pictures();
    assert!(is_rising(&pictures), "time goes back: {pictures:?}");
}

/// What both send has the times of one clock: that of the stream.
#[test]
fn a_stopped_leader_that_wakes_up_sends_nothing_more_and_stands_by() {
    let (redis, receivers) = (Redis::start(), Receivers::start());
    let urls = receivers.urls();
    let first = Instance::start(&redis, &["--stream-url", &urls[0]]);
    first.until_leads();
    let second = Instance::start(&redis, &["--stream-url", &urls[1]]);
    second.until_stands_by();
    let players = receivers.players();
    players[0].until_more("pictures");
    let (instances, mut leads) = ([first, second], 0);
    for _ in 0..takeovers() {
        let other = 1 - leads;
        instances[leads].signal("-STOP");
        instances[other].until_leads();
        players[other].until_more("pictures of the other instance");
        let before = players[leads].pictures().len();
        instances[leads].signal("-CONT");
        instances[leads].until_stands_by();
        players[other].until_more("pictures beside one that woke up");
        assert_eq!(players[leads].pictures().len(), before);
        leads = other;
    }
    assert_one_sends(&players);
}

#[test]
fn a_leader_that_is_cut_off_from_redis_alone_lets_go_and_stands_by_once_it_is_back() {
    let (redis, receivers) = (Redis::start(), Receivers::start());
    let urls = receivers.urls();
    let way = Way::to(&redis);
    let leader = Instance::start_at(&way.url(), "", &["--stream-url", &urls[0]]);
    leader.until_leads();
    let standby = Instance::start(&redis, &["--stream-url", &urls[1]]);
    standby.until_stands_by();
    let players = receivers.players();
    players[0].until_more("pictures");
    way.is_cut.store(true, SeqCst);
    standby.until_leads();
    players[1].until_more("pictures of the other instance");
    let before = players[0].pictures().len();
    players[1].until_more("pictures beside one that is cut off");
    assert_eq!(players[0].pictures().len(), before);
    let refused = Client::new(leader.ports[3]).ask("POST", "/lease/yield", Value::Null);
    assert_eq!(refused.0, 403);
    way.is_cut.store(false, SeqCst);
    leader.until_stands_by();
    assert_one_sends(&players);
}

#[test]
fn a_leader_goes_on_while_redis_is_away_from_everybody() {
    let (redis, receivers) = (Redis::start(), Receivers::start());
    let urls = receivers.urls();
    let leader = Instance::start(&redis, &["--stream-url", &urls[0]]);
    leader.until_leads();
    let standby = Instance::start(&redis, &["--stream-url", &urls[1]]);
    standby.until_stands_by();
    let [player, _] = receivers.players();
    player.until_more("pictures");
    redis.signal("-STOP");
    until("it to be told", || {
        (leader.api().get("/stream/status")["store"]["state"] == "down").then_some(())
    });
    until("the standby to know that it does not know", || {
        let (_, health) = standby.asks("/health")?;
        health["data"]["leader"].is_null().then_some(())
    });
    let answer = leader
        .api()
        .ok("PATCH", "/stream/layers/box", json!({"opacity": 0.25}));
    assert_eq!(
        (&answer["data"]["opacity"], &answer["store"]),
        (&json!(0.25), &json!("down"))
    );
    player.until_more("pictures while Redis stands still");
    assert_eq!(standby.asks("/ready").unwrap().0, 503);
    redis.signal("-CONT");
    until("the change to be saved and seen", || {
        (standby.api().get("/stream/layers/box")["opacity"] == 0.25).then_some(())
    });
    assert_eq!(leader.api().get("/stream/status")["role"], "leader");
    let pictures = player.pictures();
    let is_whole = pictures.windows(2).all(|pair| pair[1] - pair[0] < 500);
    assert!(is_whole, "the stream was interrupted: {pictures:?}");
}

/// Of players of one stream, none may have got pictures of a time of which another one did.
fn assert_one_sends(players: &[Player]) {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for player in players {
        let pictures = player.pictures();
        assert!(is_rising(&pictures), "time goes back: {pictures:?}");
        // Nothing takes the place of a leader within half a second.
        let parts = pictures.chunk_by(|one, next| next - one < 500);
        runs.extend(parts.map(|part| (part[0], part[part.len() - 1])));
    }
    runs.sort_unstable();
    assert!(
        runs.windows(2).all(|pair| pair[0].1 < pair[1].0),
        "two have sent at once: {runs:?}"
    );
}

#[test]
fn an_instance_that_is_to_lead_ends_and_one_that_never_leads_waits() {
    let redis = Redis::start();
    let follower = Instance::start(&redis, &["--role", "standby"]);
    until("its ports", || follower.asks("/health"));
    assert_eq!(follower.asks("/ready").unwrap().0, 503);
    let leader = Instance::start(&redis, &[]);
    leader.until_leads();
    follower.until_stands_by();
    let mut other = Instance::start(&redis, &["--role", "leader"]);
    let on_air = other.on_air.take().unwrap();
    on_air.line("ROLE=leader says that this program must");
    assert_eq!(on_air.end().0.code(), Some(1));
    leader.signal("-TERM");
    let mut leader = leader;
    leader.on_air.take().unwrap().end();
    until("the follower to know that nobody leads", || {
        follower.api().get("/stream/status")["leader"]
            .is_null()
            .then_some(())
    });
    assert_eq!(follower.asks("/ready").unwrap().0, 503);
}

#[test]
fn what_is_asked_of_a_standby_is_done_by_the_leader_and_seen_on_both() {
    let redis = Redis::start();
    let leader = Instance::start(&redis, &[]);
    leader.until_leads();
    let standby = Instance::start_at(&redis.url(), "API_TOKEN=s3cret-word", &[]);
    standby.until_stands_by();
    let (there, mut here) = (leader.api(), standby.api());
    assert_eq!(
        here.ask("PATCH", "/stream/layers/box", json!({"opacity": 0.1}))
            .0,
        401
    );
    here.token = Some("s3cret-word");
    let mut socket = here.socket("/ws?token=s3cret-word");
    let changed = here.ok(
        "PATCH",
        "/stream/layers/box?durable=true",
        json!({"opacity": 0.5}),
    );
    assert_eq!(changed["data"]["opacity"], 0.5);
    // Who asks here reads what was written, at once.
    assert_eq!(here.get("/stream/layers/box")["opacity"], 0.5);
    assert_eq!(there.get("/stream/layers/box")["opacity"], 0.5);
    let told = socket.event("layer:update");
    assert_eq!(
        (&told["subject"], &told["revision"]),
        (&json!("box"), &changed["revision"])
    );
    let answer = socket.ask(json!({
        "type": "command", "command": {"type": "layer.update", "id": "box", "patch": {"opacity": 0.75}},
    }));
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(there.get("/stream/layers/box")["opacity"], 0.75);
    let answer = socket.ask(json!({"type": "snapshot"}));
    assert_eq!(answer["data"]["status"]["role"], "standby");
    // Errors are those of the leader.
    let (status, error) = here.ask("PATCH", "/stream/layers/box", json!({"opacity": 7}));
    assert_eq!((status, &error["error"]["code"]), (422, &json!("INVALID")));
    let (status, error) = here.ask("PATCH", "/stream/layers/nobody", json!({"opacity": 1}));
    assert_eq!(
        (status, &error["error"]["code"]),
        (404, &json!("NOT_FOUND"))
    );
    let old = here.ask(
        "PATCH",
        "/stream/layers/box?ifRevision=1",
        json!({"opacity": 1}),
    );
    assert_eq!(old.0, 409);
    // What is no JSON goes both ways.
    let picture = here.send("GET", "/stream/snapshot.png?width=64", "", b"");
    assert_eq!((picture.status, &picture.body[1..4]), (200, &b"PNG"[..]));
    let upload = |bytes: &[u8]| {
        let head =
            b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n";
        let form = [&head[..], bytes, b"\r\n--cut--\r\n"].concat();
        here.send(
            "POST",
            "/stream/assets",
            "multipart/form-data; boundary=cut",
            &form,
        )
    };
    let uploaded = upload(&picture.body);
    assert_eq!(
        uploaded.status,
        201,
        "{}",
        String::from_utf8_lossy(&uploaded.body)
    );
    let huge = upload(&vec![0; 1 << 20]);
    assert_eq!(huge.status, 413);
    let words = String::from_utf8_lossy(&huge.body).into_owned();
    assert!(words.contains("ask the leader"), "{words}");
    here.ok("POST", "/stream/pause", Value::Null);
    assert_eq!(here.get("/stream/status")["isPaused"], true);
    assert_eq!(there.get("/stream/status")["isPaused"], true);
}

/// Changes of each of four writers, two of whom ask the standby.
const CHANGES: &str = "STREAM_MANAGER_TEST_CHANGES";
const CHANGES_DEFAULT: u64 = 50;

#[test]
fn changes_that_go_to_both_instances_end_in_one_world() {
    let count = std::env::var(CHANGES).map_or(CHANGES_DEFAULT, |text| text.parse().unwrap());
    let redis = Redis::start();
    let leader = Instance::start(&redis, &["--rate-limit", "0"]);
    leader.until_leads();
    let standby = Instance::start(&redis, &["--rate-limit", "0"]);
    standby.until_stands_by();
    let before = leader.api().revision();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let client = if writer < 2 {
                leader.api()
            } else {
                standby.api()
            };
            std::thread::spawn(move || {
                let mut last = 0;
                for n in 1..=count {
                    let patch = json!({format!("writer{writer}"): n, "last": writer});
                    let answer = client.ok("PATCH", "/stream/data", patch);
                    let revision = answer["revision"].as_u64().unwrap();
                    assert!(revision > last, "{revision} after {last}");
                    last = revision;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let (there, here) = (leader.api(), standby.api());
    assert_eq!(there.revision(), before + 4 * count);
    until("both to be equal", || {
        (here.revision() == there.revision()).then_some(())
    });
    let data = there.get("/stream/data");
    for writer in 0..4 {
        assert_eq!(data[format!("writer{writer}")], count);
    }
    for path in [
        "/stream/data",
        "/stream/layers",
        "/stream/config",
        "/stream/timelines",
    ] {
        let without_time = |mut value: Value| {
            if let Some(lines) = value["timelines"].as_array_mut() {
                lines
                    .iter_mut()
                    .for_each(|line| line["position"] = Value::Null);
            }
            value
        };
        assert_eq!(
            without_time(here.get(path)),
            without_time(there.get(path)),
            "{path}"
        );
    }
}

#[test]
fn a_leader_that_wakes_up_after_others_have_led_goes_on_with_what_they_saved() {
    let (redis, nginx) = (Redis::start(), Nginx::start());
    let url = format!("{}/one", nginx.application());
    let first = Instance::start(&redis, &["--stream-url", &url]);
    first.until_leads();
    first
        .api()
        .ok("PATCH", "/stream/data?durable=true", json!({"by": "first"}));
    let mut second = Instance::start(&redis, &[]);
    second.until_stands_by();
    first.signal("-STOP");
    second.until_leads();
    second.api().ok(
        "PATCH",
        "/stream/data?durable=true",
        json!({"by": "second"}),
    );
    second.kill();
    // Nobody has the lease when it looks for it.
    until_nobody_leads(&redis);
    first.signal("-CONT");
    until("what the other one has saved", || {
        let (status, body) = get(first.ports[0], "/stream/data")?;
        let answer: Value = serde_json::from_slice(&body).ok()?;
        (status == 200 && answer["data"]["by"] == "second").then_some(())
    });
    first.until_leads();
    first
        .api()
        .ok("PATCH", "/stream/data?durable=true", json!({"again": true}));
    let data = first.api().get("/stream/data");
    assert_eq!(
        (&data["by"], &data["again"]),
        (&json!("second"), &json!(true))
    );
}

#[test]
fn an_instance_that_is_started_while_the_leader_is_cut_off_has_it_let_go() {
    let (redis, receivers) = (Redis::start(), Receivers::start());
    let urls = receivers.urls();
    let way = Way::to(&redis);
    let leader = Instance::start_at(&way.url(), "", &["--stream-url", &urls[0]]);
    leader.until_leads();
    leader
        .api()
        .ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    let players = receivers.players();
    players[0].until_more("pictures");
    way.is_cut.store(true, SeqCst);
    until_nobody_leads(&redis);
    players[0].until_more("pictures while it is cut off");
    let other = Instance::start(&redis, &["--stream-url", &urls[1]]);
    other.until_leads();
    assert_eq!(other.api().get("/stream/data")["n"], 1);
    players[1].until_more("pictures of the other instance");
    let (code, health) = leader.asks("/ready").unwrap();
    assert_eq!(
        (code, &health["data"]["status"]),
        (503, &json!("unconfirmed"))
    );
    let (status, refused) = leader.api().ask("PATCH", "/stream/data", json!({"n": 2}));
    assert_eq!(status, 503, "{refused}");
    way.is_cut.store(false, SeqCst);
    leader.until_stands_by();
    assert_one_sends(&players);
}
