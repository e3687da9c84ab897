//! Standbys when what is saved is lost, or cannot be read: what was seen goes on, and a place that cannot be taken is left to others.

use redis::Commands as _;
use serde_json::json;
use stream_manager::control::now_ms;

use super::standby::{Instance, until_nobody_leads};
use super::store::Redis;
use super::support::{get, text, until};

#[test]
fn a_standby_takes_over_with_what_it_saw_where_redis_comes_back_empty() {
    let mut redis = Redis::start();
    let mut leader = Instance::start(&redis, &[]);
    leader.until_leads();
    let standby = Instance::start(&redis, &[]);
    standby.until_stands_by();
    let change = json!({"opacity": 0.375});
    leader
        .api()
        .ok("PATCH", "/stream/layers/box?durable=true", change);
    until("the standby to see the change", || {
        (standby.api().get("/stream/layers/box")["opacity"] == 0.375).then_some(())
    });
    let revision = leader.api().revision();
    leader.kill();
    redis.restart();
    standby.until_leads();
    let api = standby.api();
    assert_eq!(api.get("/stream/layers/box")["opacity"], 0.375);
    assert!(api.revision() >= revision);
    // It is all there again, for whoever comes next.
    api.ok("PATCH", "/stream/data?durable=true", json!({"again": true}));
    leader.again();
    leader.until_stands_by();
    until("the other one to see it", || {
        (leader.api().get("/stream/layers/box")["opacity"] == 0.375).then_some(())
    });
}

#[test]
fn a_state_of_a_newer_release_is_left_to_others_and_told() {
    let redis = Redis::start();
    let mut asking = redis::Client::open(redis.url())
        .and_then(|client| client.get_connection())
        .unwrap();
    let mut leader = Instance::start(&redis, &[]);
    leader.until_leads();
    let change = json!({"n": 1});
    leader
        .api()
        .ok("PATCH", "/stream/data?durable=true", change);
    let _new: u64 = asking.hset("sm:{main}:meta", "format", 2).unwrap();
    let mut standby = Instance::start(&redis, &[]);
    until("the trouble to be told", || {
        let (_, health) = standby.asks("/health")?;
        let trouble = health["data"]["trouble"].as_str()?;
        trouble.contains("format 2").then_some(())
    });
    leader.kill();
    until_nobody_leads(&redis);
    // One that finds out only when it has the lease lets it go.
    let mut other = Instance::start(&redis, &[]);
    let on_air = other.on_air.take().unwrap();
    on_air.line("knows formats up to 1");
    assert_eq!(on_air.end().0.code(), Some(1));
    let lease: Option<String> = asking.get("sm:{main}:lease").unwrap();
    assert_eq!(lease, None);
    // It stood by all the while.
    let _old: u64 = asking.hset("sm:{main}:meta", "format", 1).unwrap();
    standby.until_leads();
    assert_eq!(standby.api().get("/stream/data")["n"], 1);
    standby.kill();
}

#[test]
fn live_files_of_an_earlier_time_are_not_shown_by_who_stands_by() {
    let redis = Redis::start();
    let mut leader = Instance::start(&redis, &[]);
    leader.until_leads();
    let standby = Instance::start(&redis, &[]);
    standby.until_stands_by();
    std::fs::create_dir_all(standby.folder.file("data/hls")).unwrap();
    standby.folder.write("data/hls/old.m3u8", "#EXTM3U");
    let (code, body) = get(standby.ports[0], "/hls/old.m3u8").unwrap();
    let name = leader.api().get("/stream/status")["leader"].take();
    let body = text(&body);
    assert_eq!(code, 503, "{body}");
    assert!(body.contains(name.as_str().unwrap()), "{body}");
    leader.kill();
    standby.until_leads();
    let (code, _) = get(standby.ports[0], "/hls/old.m3u8").unwrap();
    assert_eq!(code, 200);
}

#[test]
fn events_of_a_new_leader_have_higher_numbers_though_its_clock_is_behind() {
    let redis = Redis::start();
    let mut asking = redis::Client::open(redis.url())
        .and_then(|client| client.get_connection())
        .unwrap();
    // The leader before was an hour ahead.
    let ahead = now_ms() + 3_600_000;
    let () = asking.set("sm:{main}:fence", ahead).unwrap();
    let leader = Instance::start(&redis, &[]);
    leader.until_leads();
    let api = leader.api();
    let mut socket = api.socket("/ws");
    api.ok("PATCH", "/stream/data", json!({"n": 1}));
    let seq = socket.event("data:update")["seq"].as_u64().unwrap();
    assert!(seq > ahead, "{seq} after {ahead}");
}
