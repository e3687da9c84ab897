//! Redis as the shared world when something is wrong: what others send is done once all the same, by whoever leads.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use redis::Commands as _;
use serde_json::{Value, json};

use super::client::Client;
use super::resume::{again, command, kill};
use super::shared::{Other, arguments, change, data, listen, start_with};
use super::store::Redis;
use super::support::{OnAir, SMALL_SCENE, TempFolder, until};

#[test]
fn connections_that_break_lose_nothing_and_do_nothing_twice() {
    const COMMANDS: usize = 2000;
    const KILLS_MAX: u32 = 200;
    let redis = Redis::start();
    let folder = TempFolder::new();
    listen(&redis, |next| {
        let (_on_air, client, mut other) = start_with(&redis, &folder);
        let before = client.revision();
        let mut seq = next()["seq"].as_u64().unwrap();
        let mut pipe = redis::pipe();
        for n in 0..COMMANDS {
            let json = data(change("all", n)).to_string();
            let fields = [("id", format!("c{n}")), ("json", json)];
            pipe.xadd("sm:{main}:commands", "*", &fields).ignore();
        }
        let _sent: () = pipe.query(&mut other.0).unwrap();
        let last = format!("c{}", COMMANDS - 1);
        let (mut times, mut kills) = (0, 0);
        until("the last result", || {
            // A slow machine gets nowhere between two of them, so they end.
            if times < KILLS_MAX {
                times += 1;
                let mut kill = redis::cmd("CLIENT");
                kill.arg("KILL").arg("TYPE").arg("normal");
                kills += kill.query::<u64>(&mut other.0).unwrap();
            }
            other.look(&last)
        });
        assert!(kills > 5, "{kills}");
        let mut revisions = BTreeSet::new();
        for n in 0..COMMANDS {
            let answer = other.result(&format!("c{n}"));
            assert_eq!(answer["success"], true, "{answer}");
            revisions.insert(answer["revision"].as_u64().unwrap());
        }
        let made = before + COMMANDS as u64;
        assert_eq!(revisions.len(), COMMANDS);
        assert_eq!(client.revision(), made);
        let results = other.results().len();
        assert_eq!(results, COMMANDS, "each is told once");
        loop {
            let event = next();
            let now = event["seq"].as_u64().unwrap();
            assert!(now == seq + 1 || event["event"] == "resync", "{event}");
            seq = now;
            if event["revision"] == made {
                break;
            }
        }
    });
}

#[test]
fn what_is_sent_while_nobody_leads_is_done_once_by_the_next() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let url = redis.url();
    let (on_air, client, mut other) = start_with(&redis, &folder);
    let mut before = data(json!({"before": 1}));
    before["durable"] = true.into();
    let answer = other.ask("before", &before);
    assert_eq!(answer["revision"], client.revision());
    kill(on_air);
    // One that the killed program had begun.
    let mark = "1:1-1";
    let _new: u64 = other.0.hset("sm:{main}:open", "begun", mark).unwrap();
    for n in 0..300 {
        other.send(&format!("m{n}"), &data(json!({(format!("m{n}")): n})));
        other.send(&format!("m{}", n / 2), &data(json!({"twice": n})));
    }
    let (_on_air, client) = again(&folder, &arguments(&url));
    let mut revisions = BTreeSet::new();
    for n in 0..300 {
        let answer = other.result(&format!("m{n}"));
        assert_eq!(answer["success"], true, "{answer}");
        revisions.insert(answer["revision"].as_u64().unwrap());
    }
    let (first, last) = (revisions.first().unwrap(), revisions.last().unwrap());
    assert_eq!((revisions.len(), last - first), (300, 299));
    let answer = other.result("begun");
    assert_eq!(
        (&answer["status"], &answer["error"]["code"]),
        (&json!(504), &json!("OUTCOME_UNKNOWN")),
        "{answer}"
    );
    let found = client.get("/stream/data");
    assert_eq!(found["before"], 1);
    assert!((0..300).all(|n| found[format!("m{n}")] == n), "{found}");
    assert_eq!(found["twice"], Value::Null, "{found}");
    assert_eq!(client.revision(), *last);
}

#[test]
fn a_program_that_is_told_to_end_leaves_no_command_half_done() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let url = redis.url();
    let (on_air, _client, mut other) = start_with(&redis, &folder);
    let mut pipe = redis::pipe();
    for n in 0..400 {
        let json = data(json!({(format!("n{n}")): n})).to_string();
        let fields = [("id", format!("n{n}")), ("json", json)];
        pipe.xadd("sm:{main}:commands", "*", &fields).ignore();
    }
    let _sent: () = pipe.query(&mut other.0).unwrap();
    other.result("n0");
    on_air.signal("-TERM");
    let (status, _) = on_air.end();
    assert!(status.success());
    let (_on_air, client) = again(&folder, &arguments(&url));
    let mut revisions = BTreeSet::new();
    for n in 0..400 {
        let answer = other.result(&format!("n{n}"));
        assert_eq!(answer["success"], true, "{answer}");
        revisions.insert(answer["revision"].as_u64().unwrap());
    }
    assert_eq!(revisions.len(), 400);
    let found = client.get("/stream/data");
    assert!((0..400).all(|n| found[format!("n{n}")] == n), "{found}");
}

#[test]
fn who_takes_a_place_does_what_is_sent_and_who_comes_back_late_does_not() {
    let redis = Redis::start();
    let (first, second) = (TempFolder::new(), TempFolder::new());
    let (on_air, _client, mut other) = start_with(&redis, &first);
    let send = |other: &mut Other, n: u32| {
        let mut message = data(json!({(format!("n{n}")): n}));
        message["durable"] = true.into();
        other.send(&format!("n{n}"), &message);
    };
    (0..20).for_each(|n| send(&mut other, n));
    second.write("scene.json", SMALL_SCENE);
    let next = OnAir::start(&mut command(&second, &arguments(&redis.url())));
    (20..40).for_each(|n| send(&mut other, n));
    other.result("n39");
    let lease = |other: &mut Other| -> Option<String> { other.0.get("sm:{main}:lease").unwrap() };
    let held = lease(&mut other);
    on_air.signal("-STOP");
    (40..60).for_each(|n| send(&mut other, n));
    other.result("n59");
    let held_now = lease(&mut other);
    assert!(held_now.is_some() && held_now != held);
    on_air.signal("-CONT");
    (60..80).for_each(|n| send(&mut other, n));
    let client = Client::new(next.port("api"));
    let found = |n: u32| client.get("/stream/data")[format!("n{n}")] == n;
    for n in 0..80 {
        let answer = other.result(&format!("n{n}"));
        // Only what the first one had begun when it was stopped is not known.
        let is_known = answer["error"]["code"] != "OUTCOME_UNKNOWN";
        assert!(is_known || (40..60).contains(&n), "{n}: {answer}");
        assert!(!is_known || answer["success"] == true, "{n}: {answer}");
        assert!(!is_known || found(n), "{n}: {answer}");
    }
    assert_eq!(lease(&mut other), held_now);
}

#[test]
fn commands_and_events_go_on_when_redis_is_back() {
    let mut redis = Redis::start();
    let folder = TempFolder::new();
    let (on_air, client, mut other) = start_with(&redis, &folder);
    assert_eq!(other.ask("one", &data(json!({"n": 1})))["success"], true);
    // It stands still, for longer than a call may take.
    redis.signal("-STOP");
    let sender = thread::spawn(move || {
        for n in 0..50 {
            other.send(&format!("s{n}"), &data(json!({(format!("s{n}")): n})));
        }
        other
    });
    on_air.line("not taking commands from Redis for now");
    assert_eq!(client.get("/stream/status")["isLive"], true);
    redis.signal("-CONT");
    let mut other = sender.join().unwrap();
    for n in 0..50 {
        assert_eq!(other.result(&format!("s{n}"))["success"], true);
    }
    let found = client.get("/stream/data");
    assert!((0..50).all(|n| found[format!("s{n}")] == n), "{found}");
    // Everything in it is deleted.
    let _done: () = redis::cmd("FLUSHALL").query(&mut other.0).unwrap();
    assert_eq!(other.ask("two", &data(json!({"n": 2})))["success"], true);
    // It is gone, and comes back empty.
    redis.restart();
    let mut other = Other::new(&redis);
    let mut three = data(json!({"n": 3}));
    three["durable"] = true.into();
    assert_eq!(other.ask("three", &three)["success"], true);
    assert_eq!(client.get("/stream/data")["n"], 3);
    listen(&redis, |next| {
        let last = next()["seq"].as_u64().unwrap();
        other.send("four", &data(json!({"n": 4})));
        let event = loop {
            let event = next();
            if event["event"] == "data:update" {
                break event;
            }
        };
        assert!(event["seq"].as_u64().unwrap() > last);
    });
    on_air.signal("-TERM");
    let (status, took) = on_air.end();
    assert!(status.success() && took < Duration::from_secs(10));
}
