//! Everything that is saved as one file, while the program goes on: over the API, by the command line beside it, and back again.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::api::start;
use super::assets::{is_here, png, upload};
use super::beside::names;
use super::client::Client;
use super::resume::{QUIET, again, kill};
use super::store::Redis;
use super::support::{LIMIT, TempFolder, program, run, text, until, wave};

const EXPORT: &str = "/stream/state/export";

/// How `stream-manager state` ends, and what it says.
fn state(folder: &TempFolder, words: &[&str]) -> (bool, String) {
    let output = run(program(&folder.0).arg("state").args(words));
    let told = text(&[&output.stdout[..], &output.stderr].concat());
    (output.status.success(), told)
}

fn done(folder: &TempFolder, words: &[&str]) -> String {
    let (is_good, told) = state(folder, words);
    assert!(is_good, "{words:?}: {told}");
    told
}

fn refused(folder: &TempFolder, words: &[&str]) -> String {
    let (is_good, told) = state(folder, words);
    assert!(!is_good, "{words:?}: {told}");
    told
}

#[test]
fn a_program_that_runs_is_exported_and_looked_at_without_a_pause() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let picture = upload(&client, "red.png", &png([200, 10, 10], 8));
    // Not waited for: what was answered is in it.
    client.ok("POST", "/stream/keys", json!({"name": "studio"}));
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.5}));
    let told = done(&folder, &["export", "all.json"]);
    assert!(told.contains("and 1 assets"), "{told}");
    for (words, part) in [
        (&["show"][..], "of the program at http://127.0.0.1:"),
        (&["show"], "keys       1"),
        (&["show", "scene"], "\"opacity\": 0.5"),
        (&["list"], "timelines\t"),
        (&["verify"], "ok; read"),
    ] {
        let told = done(&folder, words);
        assert!(told.contains(part), "{words:?}: {told}");
    }
    let told = refused(&folder, &["import", "all.json", "--replace"]);
    assert!(
        told.contains("a program runs on") && told.contains("stop it"),
        "{told}"
    );
    // The same over HTTP.
    client.ok("PATCH", "/stream/data", json!({"word": "later"}));
    let answer = client.send("GET", EXPORT, "", b"");
    assert_eq!(answer.status, 200);
    assert!(
        answer.has("cache-control", "no-store"),
        "it may hold keys: {}",
        answer.head
    );
    std::fs::write(folder.file("http.json"), &answer.body).unwrap();
    let bare = client.send("GET", &format!("{EXPORT}?assets=false"), "", b"");
    assert!(!text(&bare.body).contains(&picture), "without assets");
    let (status, _) = client.ask("GET", &format!("{EXPORT}?assets=1"), Value::Null);
    assert_eq!(status, 400);
    assert!(
        client.get("/stream/status")["isLive"] == true,
        "it goes on all the while"
    );
    kill(on_air);
    for (name, word) in [("all.json", Value::Null), ("http.json", json!("later"))] {
        let other = TempFolder::new();
        std::fs::copy(folder.file(name), other.file(name)).unwrap();
        assert!(done(&other, &["import", name]).contains("and 1 assets"));
        let (_on_air, client) = start(&other, &QUIET);
        assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);
        assert_eq!(client.get("/stream/data")["word"], word);
        assert_eq!(names(&client), ["studio"]);
        assert!(is_here(&client, &picture).is_some());
    }
}

#[test]
fn an_export_asks_for_the_token_where_there_is_one() {
    let folder = TempFolder::new();
    let token = "hush-hush-hush-hush";
    let (_on_air, mut client) = start(&folder, &[&QUIET[..], &["--api-token", token]].concat());
    assert_eq!(client.send("GET", EXPORT, "", b"").status, 401);
    let told = refused(&folder, &["export", "all.json"]);
    assert!(told.contains("API_TOKEN"), "{told}");
    assert!(!folder.file("all.json").exists());
    client.token = Some(token);
    client.ok("PATCH", "/stream/data", json!({"n": 1}));
    done(&folder, &["export", "all.json", "--api-token", token]);
    let told = done(&folder, &["show", "data", "--api-token", token]);
    assert!(told.contains("\"n\": 1"), "{told}");
}

/// A client that has asked for an export, and takes nothing of it yet.
fn asking(client: &Client) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", client.port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let request = format!("GET {EXPORT} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first[9..], b"200");
    stream
}

#[test]
fn clients_that_take_nothing_hold_up_nobody_and_a_part_is_not_taken_for_the_whole() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let picture = upload(&client, "red.png", &png([200, 10, 10], 8));
    // More than a connection holds that nobody reads from.
    let sound = wave(48_000, 2, &vec![0; 30 << 20]);
    upload(&client, "silence.wav", &sound);
    let (mut first, second) = (asking(&client), asking(&client));
    let (status, answer) = client.ask("GET", EXPORT, Value::Null);
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &json!("UNAVAILABLE"))
    );
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    // The newest asset comes first: this one is not there any more when it is its turn.
    client.ok("DELETE", &format!("/stream/assets/{picture}"), Value::Null);
    let mut answer = Vec::new();
    let _dropped = first.read_to_end(&mut answer);
    on_air.line("the state could not be exported");
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    std::fs::write(folder.file("part.json"), &answer[head.unwrap() + 4..]).unwrap();
    let other = TempFolder::new();
    let part = folder.file("part.json");
    let told = refused(&other, &["import", part.to_str().unwrap()]);
    assert!(told.contains("is missing or damaged"), "{told}");
    drop((first, second));
    until("room for an export", || {
        let answer = client.send("GET", EXPORT, "", b"");
        (answer.status == 200).then(|| assert!(answer.body.len() > sound.len()))
    });
}

#[test]
fn what_redis_has_not_yet_is_exported_from_memory_and_a_standby_gives_what_is_saved() {
    let redis = Redis::start();
    let (folder, other) = (TempFolder::new(), TempFolder::new());
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    let (_on_air, client) = start(&folder, &more);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    let (waiting, standby) = start(&other, &more);
    waiting.line("this instance stands by");
    let data = |client: &Client| {
        let answer = client.send("GET", &format!("{EXPORT}?assets=false"), "", b"");
        assert_eq!(answer.status, 200, "{}", text(&answer.body));
        answer.json()["documents"]["data"]["text"].clone()
    };
    until("the standby to serve", || {
        (standby.ask("GET", "/stream/data", Value::Null).0 == 200).then_some(())
    });
    assert_eq!(data(&standby), "{\"n\":1}");
    let told = refused(&folder, &["export", "all.json"]);
    assert!(told.contains("nothing is saved"), "not in a file: {told}");
    let told = done(&folder, &["show", "--redis-url", &url]);
    assert!(told.contains("engine     redis"), "{told}");
    redis.signal("-STOP");
    client.ok("PATCH", "/stream/data", json!({"n": 2}));
    assert_eq!(data(&client), "{\"n\":2}");
    let told = done(&folder, &["show", "data", "--redis-url", &url]);
    assert!(told.contains("\"n\": 2"), "{told}");
    let (status, answer) = standby.ask("GET", EXPORT, Value::Null);
    assert_eq!(status, 503, "{answer}");
    redis.signal("-CONT");
}

#[test]
fn assets_that_come_back_with_an_export_stay_though_redis_remembers_that_they_were_deleted() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let url = redis.url();
    let place = ["--redis-url", &url];
    let more = [&QUIET[..], &place].concat();
    let (on_air, client) = start(&folder, &more);
    // One of them lies here again when the import comes, as from a copy of the folder.
    let ids = [10, 90].map(|red| upload(&client, "a.png", &png([red, 0, 0], 8)));
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    done(&folder, &[&["export", "all.json"], &place[..]].concat());
    let kept = folder.file("data/assets").join(&ids[0]);
    let facts = kept.with_extension("json");
    let copies = [&kept, &facts].map(|file| (file.clone(), std::fs::read(file).unwrap()));
    let import = [&["import", "all.json", "--replace"], &place[..]].concat();
    let told = refused(&folder, &import);
    assert!(told.contains("leads") && told.contains("stop it"), "{told}");
    for id in &ids {
        client.ok("DELETE", &format!("/stream/assets/{id}"), Value::Null);
    }
    let mut other = redis::Client::open(url.as_str()).unwrap();
    until("Redis to know", || {
        let mut command = redis::cmd("ZCARD");
        let count: u64 = command
            .arg("sm:{main}:assets:deleted")
            .query(&mut other)
            .unwrap();
        (count == 2).then_some(())
    });
    on_air.signal("-TERM");
    on_air.end();
    for (file, bytes) in copies {
        std::fs::write(file, bytes).unwrap();
    }
    done(&folder, &import);
    let (_on_air, client) = again(&folder, &more);
    until("Redis to list them again", || {
        let mut command = redis::cmd("HLEN");
        let count: u64 = command.arg("sm:{main}:assets").query(&mut other).unwrap();
        (count == 2).then_some(())
    });
    for id in &ids {
        assert!(is_here(&client, id).is_some(), "{id}");
    }
    let mut command = redis::cmd("ZCARD");
    let count: u64 = command
        .arg("sm:{main}:assets:deleted")
        .query(&mut other)
        .unwrap();
    assert_eq!(count, 0);
}
