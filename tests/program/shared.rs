//! Redis as the world that programs share: what others send is done once and in order, answered, and told to whoever listens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::Commands as _;
use serde_json::{Value, json};
use stream_manager::store::remote::{Link, Timeouts};
use stream_manager::store::{RedisStore, RedisUrl, Store};

use super::api::start;
use super::client::{Client, a_box};
use super::resume::{QUIET, command};
use super::store::Redis;
use super::support::{LIMIT, OnAir, SMALL_SCENE, TempFolder, text, until};

/// How many changes several programs make at once; more where this variable says so.
const CHANGES: &str = "STREAM_MANAGER_TEST_CHANGES";
const CHANGES_DEFAULT: usize = 10_000;
/// Changes of them that come over HTTP, and how many clients make them.
const OVER_HTTP: usize = 640;
const HTTP_CLIENTS: usize = 16;
/// Commands that a program sends in one piece.
const PIECE: usize = 200;

/// Another program that knows nothing but Redis.
pub struct Other(pub redis::Connection);

impl Other {
    pub fn new(redis: &Redis) -> Self {
        let client = redis::Client::open(redis.url()).unwrap();
        let connection = until("Redis", || client.get_connection().ok());
        connection.set_read_timeout(Some(LIMIT)).unwrap();
        Self(connection)
    }

    fn add(&mut self, fields: &[(&str, &str)]) {
        let _entry: String = self.0.xadd("sm:{main}:commands", "*", fields).unwrap();
    }

    pub fn send(&mut self, id: &str, message: &Value) {
        self.add(&[("id", id), ("json", &message.to_string())]);
    }

    /// What became of a command, waited for under a limit.
    pub fn result(&mut self, id: &str) -> Value {
        until(&format!("the result of `{id}`"), || self.look(id))
    }

    pub fn look(&mut self, id: &str) -> Option<Value> {
        let text: Option<String> = self.0.get(format!("sm:{{main}}:done:{id}")).unwrap();
        text.map(|text| serde_json::from_str(&text).unwrap())
    }

    pub fn ask(&mut self, id: &str, message: &Value) -> Value {
        self.send(id, message);
        self.result(id)
    }

    /// The stream of results: ids and texts.
    pub fn results(&mut self) -> Vec<(String, Value)> {
        let reply: redis::streams::StreamRangeReply =
            self.0.xrange_all("sm:{main}:results").unwrap();
        let field = |entry: &redis::streams::StreamId, name: &str| entry.get::<String>(name);
        let results = reply.ids.iter().map(|entry| {
            let json = field(entry, "json").map(|json| serde_json::from_str(&json).unwrap());
            (field(entry, "id").unwrap(), json.unwrap_or_default())
        });
        results.collect()
    }
}

pub fn data(patch: Value) -> Value {
    json!({"type": "command", "command": {"type": "data.update", "patch": patch}})
}

fn request(method: &str, path: &str, body: Value) -> Value {
    let mut request = json!({"type": "request", "method": method, "path": path});
    if !body.is_null() {
        request["body"] = body;
    }
    request
}

pub fn start_with(redis: &Redis, folder: &TempFolder) -> (OnAir, Client, Other) {
    let (on_air, client) = start(folder, &arguments(&redis.url()));
    (on_air, client, Other::new(redis))
}

pub fn arguments(url: &str) -> [&str; 4] {
    [QUIET[0], QUIET[1], "--redis-url", url]
}

/// What a line of the metrics says.
fn metric(on_air: &OnAir, name: &str) -> f64 {
    let metrics = Client::new(on_air.port("metrics"));
    let page = text(&metrics.send("GET", "/metrics", "", &[]).body);
    let mut lines = page.lines().filter_map(|line| line.rsplit_once(' '));
    let found = lines.find(|(found, _)| *found == name);
    let (_, value) = found.unwrap_or_else(|| panic!("no `{name}`"));
    value.parse().unwrap()
}

/// How many commands came to this.
pub fn commands(on_air: &OnAir, result: &str) -> f64 {
    let name = format!("stream_shared_commands_total{{result=\"{result}\"}}");
    metric(on_air, &name)
}

#[test]
fn what_others_send_is_done_as_if_it_came_over_http() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let (_on_air, client, mut other) = start_with(&redis, &folder);
    let patch = json!({"type": "layer.update", "id": "box", "patch": {"opacity": 0.5}});
    let message = json!({"type": "command", "command": patch, "durable": true});
    let answer = other.ask("one", &message);
    assert_eq!(
        (&answer["status"], &answer["success"]),
        (&json!(200), &json!(true)),
        "{answer}"
    );
    assert_eq!(answer["revision"], client.revision());
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);
    let batch = json!({"type": "batch", "commands": [
        {"type": "data.update", "patch": {"a": 1}}, {"type": "data.update", "patch": {"b": 2}},
    ]});
    assert_eq!(other.ask("two", &batch)["data"]["applied"], 2);
    let pause = json!({"type": "stream", "action": "pause"});
    assert_eq!(other.ask("three", &pause)["data"]["isPaused"], true);
    let list = json!({"type": "output", "action": "list"});
    assert!(other.ask("four", &list)["data"]["outputs"].is_array());
    let snapshot = other.ask("five", &json!({"type": "snapshot"}));
    assert_eq!(snapshot["data"]["data"]["data"], json!({"a": 1, "b": 2}));
    assert_eq!(snapshot["data"]["revision"], client.revision());

    let path = "/stream/layers/box?durable=true&dryRun=false";
    let answer = other.ask("six", &request("PATCH", path, json!({"opacity": 0.25})));
    assert_eq!(answer["data"], client.get("/stream/layers/box"));
    assert_eq!(answer["data"]["opacity"], 0.25);
    let card = a_box("card", 1, 2, 3, "#00ff00");
    let answer = other.ask("seven", &request("POST", "/stream/layers", card));
    assert_eq!(answer["status"], 201, "{answer}");
    // What reads sees what was sent before it, and is not waited for.
    other.send(
        "eight",
        &request("DELETE", "/stream/layers/card", Value::Null),
    );
    other.send("nine", &request("GET", "/stream/layers", Value::Null));
    let answer = other.result("nine");
    assert_eq!(answer["data"]["count"], 1, "{answer}");
    let picture = other.ask(
        "ten",
        &request("GET", "/stream/snapshot.png?width=64", Value::Null),
    );
    assert_eq!(picture["contentType"], "image/png", "{picture}");
    let bytes = STANDARD.decode(picture["base64"].as_str().unwrap());
    assert!(bytes.unwrap().starts_with(b"\x89PNG"));

    let svg = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 2'><rect width='4' height='2'/></svg>";
    let form = format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.svg\"\r\n\r\n{svg}\r\n--x--\r\n"
    );
    let mut upload = request("POST", "/stream/assets", Value::Null);
    upload["base64"] = STANDARD.encode(form).into();
    upload["contentType"] = "multipart/form-data; boundary=x".into();
    let answer = other.ask("eleven", &upload);
    assert_eq!(answer["status"], 201, "{answer}");
    let path = format!(
        "/stream/assets/{}/content",
        answer["data"]["id"].as_str().unwrap()
    );
    assert_eq!(client.send("GET", &path, "", &[]).body, svg.as_bytes());

    let document = other.ask("long", &request("GET", "/openapi.json", Value::Null));
    assert!(document["openapi"].is_string());

    let results = other.results();
    assert_eq!(results.len(), 12, "{results:?}");
    for (id, result) in &results {
        let expected = match &**id {
            "long" => Value::Null,
            id => other.look(id).unwrap(),
        };
        assert_eq!(result, &expected, "{id}");
    }
    let lives: i64 = other.0.pttl("sm:{main}:done:one").unwrap();
    assert!((3_000_000..=3_600_000).contains(&lives), "{lives}");
    let lives: i64 = other.0.pttl("sm:{main}:done:nine").unwrap();
    assert!((1..=30_000).contains(&lives), "{lives}");
    let open: u64 = other.0.hlen("sm:{main}:open").unwrap();
    assert_eq!(open, 0);
}

#[test]
fn what_cannot_be_used_is_refused_in_the_words_of_the_api() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let (on_air, client, mut other) = start_with(&redis, &folder);
    let before = client.revision();
    other.add(&[("json", "{}")]);
    other.add(&[("id", ""), ("json", "{}")]);
    other.add(&[("id", "nothing")]);
    other.add(&[("id", "cut"), ("json", "{\"type\": ")]);
    let deep = "[".repeat(100_000);
    other.add(&[("id", "deep"), ("json", &deep)]);
    let long = "x".repeat((1 << 20) + 1);
    other.add(&[("id", "long"), ("json", &long)]);
    let missing = json!({"type": "layer.delete", "id": "bxo"});
    for (id, message) in [
        ("empty", json!({})),
        ("list", json!([])),
        ("type", json!({"type": "comand"})),
        ("field", json!({"type": "command", "comand": {}})),
        ("layer", json!({"type": "command", "command": missing})),
        (
            "durable",
            json!({"type": "command", "command": missing, "durable": 1}),
        ),
        ("subscribe", json!({"type": "subscribe", "events": ["*"]})),
        ("method", request("patch", "/stream/layers/box", json!({}))),
        ("path", request("GET", "stream/layers", Value::Null)),
        ("route", request("GET", "/stream/layer", Value::Null)),
        (
            "query",
            request("GET", "/stream/layers?typ=host", Value::Null),
        ),
        ("socket", request("GET", "/ws", Value::Null)),
    ] {
        other.send(id, &message);
    }
    for (id, status, words) in [
        ("nothing", 400, "`json` is missing"),
        ("cut", 400, "not JSON"),
        ("deep", 400, "not JSON"),
        ("long", 413, "at most 1048576 bytes"),
        ("empty", 400, "a `type`"),
        ("list", 400, "a `type`"),
        ("type", 400, "did you mean `command`?"),
        ("field", 400, "did you mean `command`?"),
        ("layer", 404, "did you mean `box`?"),
        ("durable", 400, "expected true or false"),
        ("subscribe", 400, "SUBSCRIBE"),
        ("method", 400, "PATCH"),
        ("path", 400, "path"),
        ("route", 404, "no such route"),
        ("query", 400, "did you mean `type`?"),
        ("socket", 426, "WebSocket"),
    ] {
        let answer = other.result(id);
        assert_eq!(
            (&answer["status"], &answer["success"]),
            (&json!(status), &json!(false)),
            "{id}: {answer}"
        );
        assert!(answer.to_string().contains(words), "{id}: {answer}");
    }
    // A clash of revisions has the words that it has over HTTP.
    let path = "/stream/data?ifRevision=999";
    let (status, refused) = client.ask("PATCH", path, json!({"n": 1}));
    assert_eq!(status, 409);
    let mut late = data(json!({"n": 1}));
    late["ifRevision"] = 999.into();
    let answer = other.ask("late", &late);
    assert_eq!(
        (&answer["status"], &answer["error"]),
        (&json!(409), &refused["error"])
    );
    assert_eq!(client.revision(), before);
    assert_eq!(commands(&on_air, "done"), 0.0);
    assert_eq!(commands(&on_air, "refused"), 17.0);
    assert_eq!(commands(&on_air, "nameless"), 2.0);
    on_air.line("commands without a usable `id`");
}

#[test]
fn a_command_that_comes_twice_is_done_once() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let (on_air, client, mut other) = start_with(&redis, &folder);
    let before = client.revision();
    for n in 0..5 {
        other.send("same", &data(json!({"n": n})));
    }
    let answer = other.ask("next", &data(json!({"m": 1})));
    assert_eq!(answer["revision"], before + 2, "{answer}");
    other.send("same", &data(json!({"n": 9})));
    other.add(&[("id", "has a space"), ("json", "{}")]);
    let answer = other.ask("last", &data(json!({"m": 2})));
    assert_eq!(answer["revision"], before + 3);
    assert_eq!(other.look("same").unwrap()["revision"], before + 1);
    assert_eq!(client.get("/stream/data")["n"], 0);
    assert_eq!(commands(&on_air, "done"), 3.0);
    assert_eq!(commands(&on_air, "repeated"), 5.0);
    assert_eq!(commands(&on_air, "nameless"), 1.0);
    until("all to be answered", || {
        (metric(&on_air, "stream_shared_commands_open") == 0.0).then_some(())
    });
}

#[test]
fn commands_take_effect_in_the_order_of_the_stream() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let (_on_air, client, mut other) = start_with(&redis, &folder);
    let scene = json!({
        "version": 1, "name": "Other", "canvas": {"width": 320, "height": 180, "background": "#000000"},
        "layers": [a_box("dot", 1, 1, 9, "#ffffff")],
    });
    // Each needs what the one before has made, though the first ones go to the disk before they go to the director.
    other.send("a", &request("PUT", "/stream/scenes/other", scene));
    other.send(
        "b",
        &request("POST", "/stream/scenes/other/activate", Value::Null),
    );
    let opaque = json!({"type": "layer.update", "id": "dot", "patch": {"opacity": 0.5}});
    other.send("c", &json!({"type": "command", "command": opaque}));
    other.send("d", &request("GET", "/stream/layers/dot", Value::Null));
    let mut revisions = Vec::new();
    for id in ["a", "b", "c", "d"] {
        let answer = other.result(id);
        assert_eq!(answer["success"], true, "{id}: {answer}");
        revisions.extend(answer["revision"].as_u64());
    }
    assert!(revisions.is_sorted(), "{revisions:?}");
    assert_eq!(other.result("d")["data"]["opacity"], 0.5);
    // Neither a stop nor what waits until it is saved holds up what comes behind it for long.
    other.send("stop", &json!({"type": "stream", "action": "stop"}));
    let mut saved = data(json!({"saved": true}));
    saved["durable"] = true.into();
    other.send("saved", &saved);
    let answer = other.ask("behind", &data(json!({"behind": true})));
    assert_eq!(answer["success"], true);
    assert_eq!(other.result("saved")["success"], true);
    assert_eq!(other.result("stop")["success"], true);
    assert_eq!(client.get("/stream/status")["isLive"], false);
}

/// Sends so many changes in pieces, and gives the results in the order in which they were sent.
fn write(mut other: Other, name: &str, count: usize) -> Vec<Value> {
    let id = |n: usize| format!("{name}-{n}");
    for first in (0..count).step_by(PIECE) {
        let mut pipe = redis::pipe();
        for n in first..count.min(first + PIECE) {
            let json = data(change(name, n)).to_string();
            let fields = [("id", id(n)), ("json", json)];
            pipe.xadd("sm:{main}:commands", "*", &fields).ignore();
        }
        let _sent: () = pipe.query(&mut other.0).unwrap();
    }
    let mut results = Vec::with_capacity(count);
    while results.len() < count {
        let end = count.min(results.len() + PIECE);
        let names: Vec<String> = (results.len()..end)
            .map(|n| format!("sm:{{main}}:done:{}", id(n)))
            .collect();
        let found = until("results", || {
            let found: Vec<Option<String>> = other.0.mget(&names).unwrap();
            found.into_iter().collect::<Option<Vec<String>>>()
        });
        results.extend(found.iter().map(|json| serde_json::from_str(json).unwrap()));
    }
    results
}

/// The change number `n` of a writer: its count, and now and then something that stays.
pub fn change(name: &str, n: usize) -> Value {
    match n % 50 {
        0 => json!({(name): n, (format!("{name}-{n}")): n}),
        _ => json!({(name): n}),
    }
}

/// Another instance of the same stream, which stands by.
fn stand_by(redis: &Redis, folder: &TempFolder) -> (OnAir, Client) {
    folder.write("scene.json", SMALL_SCENE);
    let on_air = OnAir::start(&mut command(folder, &arguments(&redis.url())));
    let client = Client::new(on_air.port("api"));
    until("the instance to stand by", || {
        let answer = client.send("GET", "/stream/status", "", &[]);
        (answer.status == 200 && answer.json()["data"]["role"] == "standby").then_some(())
    });
    (on_air, client)
}

#[test]
fn who_stands_by_has_done_what_is_asked_of_it() {
    let redis = Redis::start();
    let (first, second) = (TempFolder::new(), TempFolder::new());
    let (_on_air, leader, _other) = start_with(&redis, &first);
    let (_standby, client) = stand_by(&redis, &second);
    let path = "/stream/layers/box?durable=true";
    let answer = client.ok("PATCH", path, json!({"opacity": 0.5}));
    assert_eq!(answer["revision"], leader.revision());
    assert_eq!(leader.get("/stream/layers/box"), answer["data"]);
    assert_eq!(client.get("/stream/layers/box"), answer["data"]);
    for (method, path, body) in [
        ("PATCH", "/stream/layers/bxo", json!({})),
        ("PATCH", "/stream/data?ifRevision=7777", json!({"n": 1})),
        ("PATCH", "/stream/layers/box", json!({"opacity": 7})),
        ("POST", "/stream/layers", Value::Null),
        ("PATCH", "/stream/outputs", json!({})),
        ("GET", "/stream/recordings/none", Value::Null),
    ] {
        let expected = leader.ask(method, path, body.clone());
        assert!(expected.0 >= 400, "{expected:?}");
        assert_eq!(client.ask(method, path, body), expected, "{method} {path}");
    }
    let path = "/stream/outputs";
    let allowed = client.send("PATCH", path, "application/json", b"{}");
    let expected = leader.send("PATCH", path, "application/json", b"{}");
    let allow = |answer: &super::client::Answer| {
        let mut lines = answer.head.lines().map(str::to_ascii_lowercase);
        lines.find(|line| line.starts_with("allow:"))
    };
    assert!(allow(&allowed).is_some());
    assert_eq!(allow(&allowed), allow(&expected));
    let picture = client.send("GET", "/stream/snapshot.png", "", &[]);
    assert!(picture.has("content-type", "image/png") && picture.body.starts_with(b"\x89PNG"));
    let mut socket = client.socket("/ws");
    let mut message = data(json!({"over": "socket"}));
    message["durable"] = true.into();
    let answer = socket.ask(message);
    assert_eq!(answer["revision"], leader.revision(), "{answer}");
    assert_eq!(answer.get("status"), None);
    let event = socket.event("data:update");
    assert_eq!(event["data"]["changes"], json!({"over": "socket"}));
}

#[test]
fn programs_that_write_through_redis_and_over_http_at_once_end_in_one_world() {
    let count = std::env::var(CHANGES).map_or(CHANGES_DEFAULT, |text| text.parse().unwrap());
    let over_http = OVER_HTTP.min(count / 10);
    let each = (count - over_http) / 2;
    let redis = Redis::start();
    let (folder, beside) = (TempFolder::new(), TempFolder::new());
    let (_on_air, client, mut other) = start_with(&redis, &folder);
    let (_standby, follower) = stand_by(&redis, &beside);
    let before = client.revision();
    let next = AtomicU64::new(0);
    // Every other one asks the instance that stands by.
    let ask = |n: u64| match n % 2 {
        0 => &client,
        _ => &follower,
    };
    let (through_redis, through_http) = thread::scope(|scope| {
        let writers = ["left", "right"].map(|name| {
            let writer = Other::new(&redis);
            scope.spawn(move || write(writer, name, each))
        });
        let clients: Vec<_> = (0..HTTP_CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut revisions = Vec::new();
                    loop {
                        let n = next.fetch_add(1, SeqCst);
                        if n >= over_http as u64 {
                            return revisions;
                        }
                        let patch = json!({(format!("http-{n}")): n});
                        let answer = ask(n).ok("PATCH", "/stream/data", patch);
                        revisions.push(answer["revision"].as_u64().unwrap());
                    }
                })
            })
            .collect();
        let results = writers.map(|writer| writer.join().unwrap());
        let revisions = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        (results, revisions.collect::<Vec<u64>>())
    });
    let mut revisions: BTreeSet<u64> = through_http.into_iter().collect();
    assert_eq!(revisions.len(), over_http);
    for results in &through_redis {
        let mut last = before;
        for answer in results {
            assert_eq!(answer["success"], true, "{answer}");
            let revision = answer["revision"].as_u64().unwrap();
            assert!(revision > last, "{revision} after {last}");
            last = revision;
            assert!(revisions.insert(revision), "{revision} twice");
        }
    }
    // Each change made one revision, and there is none that nobody made.
    let made = (2 * each + over_http) as u64;
    assert_eq!(revisions.len() as u64, made);
    assert_eq!(revisions.first(), Some(&(before + 1)));
    assert_eq!(revisions.last(), Some(&(before + made)));
    let mut last = data(json!({"end": true}));
    last["durable"] = true.into();
    let answer = other.ask("end", &last);
    assert_eq!(answer["revision"], before + made + 1, "{answer}");

    let mut expected = serde_json::Map::new();
    for name in ["left", "right"] {
        for n in 0..each {
            expected.extend(change(name, n).as_object().unwrap().clone());
        }
    }
    expected.extend((0..over_http).map(|n| (format!("http-{n}"), n.into())));
    expected.insert("end".to_owned(), true.into());
    let expected = Value::from(expected);
    assert_eq!(client.get("/stream/data"), expected);
    until("the instance that stands by", || {
        (follower.revision() == before + made + 1).then_some(())
    });
    for path in ["/stream/data", "/stream/layers", "/stream/config"] {
        assert_eq!(follower.get(path), client.get(path));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let saved = runtime.block_on(async {
        let url = RedisUrl::parse(&redis.url()).unwrap();
        let store = RedisStore::new(Link::new(url, Timeouts::default()), "main");
        Store::Redis(store).load().await.unwrap()
    });
    assert_eq!(saved.revision, before + made + 1);
    let document = |name: &str| serde_json::from_slice::<Value>(&saved.documents[name]).unwrap();
    assert_eq!(document("data"), expected);
    let layer = document("scene")["scene"]["layers"][0].take();
    assert_eq!(layer["id"], client.get("/stream/layers/box")["id"]);
}

/// Listens to the events of the stream; the first one is taken off by who calls.
pub fn listen(redis: &Redis, heard: impl FnOnce(&mut dyn FnMut() -> Value)) {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let mut channel = connection.as_pubsub();
    channel.subscribe("sm:{main}:events").unwrap();
    heard(&mut || {
        let payload: String = channel.get_message().unwrap().get_payload().unwrap();
        serde_json::from_str(&payload).unwrap()
    });
}

#[test]
fn events_are_heard_in_order_and_a_gap_is_seen() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    listen(&redis, |next| {
        let (on_air, client, _other) = start_with(&redis, &folder);
        let mut socket = client.socket("/ws?events=layer:*,data:*,audio:levels");
        let first = next();
        assert_eq!(
            (&first["event"], &first["data"]["reason"]),
            (&json!("resync"), &json!("start"))
        );
        for n in 0..20 {
            let opacity = f64::from(n) / 32.0;
            client.ok("PATCH", "/stream/layers/box", json!({"opacity": opacity}));
        }
        client.ok("PATCH", "/stream/data", json!({"end": 1}));
        let mut seq = first["seq"].as_u64().unwrap();
        let mut of_layers = Vec::new();
        loop {
            let event = next();
            assert_eq!(event["seq"], seq + 1, "{event}");
            seq += 1;
            match event["event"].as_str().unwrap() {
                "layer:update" => of_layers.push(event),
                "data:update" => break,
                kind => assert_ne!(kind, "audio:levels"),
            }
        }
        assert_eq!(of_layers.len(), 20);
        for event in of_layers {
            assert_eq!(socket.event("layer:update"), event, "as over WebSocket");
        }

        // More happens while Redis stands still than is kept.
        for n in 0..40 {
            client.ok(
                "POST",
                "/stream/layers",
                a_box(&format!("b{n}"), 0, 0, 4, "#ffffff"),
            );
        }
        redis.signal("-STOP");
        let mut busy = client.socket("/ws?events=none");
        for n in 0..60 {
            let change = |id: usize| {
                let patch = json!({"opacity": f64::from(n) / 64.0});
                json!({"type": "layer.update", "id": format!("b{id}"), "patch": patch})
            };
            let commands: Vec<Value> = (0..40).map(change).collect();
            let answer = busy.ask(json!({"type": "batch", "commands": commands}));
            assert_eq!(answer["success"], true, "{answer}");
        }
        redis.signal("-CONT");
        let (mut is_behind, mut after) = (false, 0);
        while after < 3 {
            let event = next();
            let now = event["seq"].as_u64().unwrap();
            if event["event"] == "resync" {
                assert_eq!(event["data"]["reason"], "behind");
                assert_eq!(now - seq, event["data"]["missed"].as_u64().unwrap());
                is_behind = true;
            } else {
                assert_eq!(now, seq + 1, "{event}");
                after += u32::from(is_behind);
            }
            seq = now;
        }
        assert!(metric(&on_air, "stream_shared_events_lost_total") > 0.0);
    });
}
