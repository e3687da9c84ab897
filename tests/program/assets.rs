//! Assets as users see them: pictures that are there before their scene, and files that programs share through Redis.

use serde_json::{Value, json};
use sha2::Digest as _;

use super::api::start;
use super::client::Client;
use super::resume::{QUIET, again, kill};
use super::store::Redis;
use super::support::{OnAir, TempFolder, text, until};

/// A picture of one colour as a file.
pub fn png(colour: [u8; 3], side: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(side, side, image::Rgb(colour))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// Scenes of four pictures each, which no other scene has.
fn write_scenes(folder: &TempFolder, names: &[&str]) {
    for (number, name) in names.iter().enumerate() {
        let layers: Vec<Value> = (0..4_u8)
            .map(|place| {
                let src = format!("{name}-{place}.png");
                let colour = [number as u8 * 8 + place, 90, 200];
                std::fs::write(folder.file(&src), png(colour, 40)).unwrap();
                json!({
                    "id": format!("picture-{place}"), "position": {"x": u32::from(place) * 40, "y": 0},
                    "size": {"width": 40, "height": 40}, "source": {"type": "image", "src": src},
                })
            })
            .collect();
        let scene = json!({
            "version": 1, "name": name, "canvas": {"width": 320, "height": 180, "background": "#000000"}, "layers": layers,
        });
        folder.write(&format!("{name}.json"), &scene.to_string());
    }
}

/// A figure of the cache.
fn figure(client: &Client, name: &str) -> u64 {
    client.get("/stream/metrics")["assetCache"][name]
        .as_u64()
        .unwrap()
}

fn activate(client: &Client, name: &str) {
    let path = format!("/stream/scenes/{name}/activate");
    client.ok("POST", &path, Value::Null);
}

fn metrics(on_air: &OnAir) -> String {
    let client = Client::new(on_air.port("metrics"));
    text(&client.send("GET", "/metrics", "", b"").body)
}

#[test]
fn scenes_that_may_come_are_decoded_before_they_are_asked_for() {
    let folder = TempFolder::new();
    write_scenes(&folder, &["a", "b"]);
    let (on_air, client) = start(&folder, &QUIET);
    until("both scenes", || {
        (figure(&client, "preloaded") == 8).then_some(())
    });
    for name in ["a", "b", "a"] {
        activate(&client, name);
    }
    assert_eq!(figure(&client, "misses"), 0);
    assert!(figure(&client, "hits") >= 8);
    let told = metrics(&on_air);
    for line in [
        "stream_asset_cache_misses_total 0",
        "stream_asset_cache_preloaded_total 8",
        "stream_asset_cache_evictions_total 0",
        "stream_asset_cache_entries 8",
        "stream_asset_cache_limit_bytes 268435456",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("stream_asset_cache_hits_total 0"), "{told}");
    // A picture that is another one now is decoded anew.
    std::fs::write(folder.file("b-0.png"), png([255, 255, 255], 41)).unwrap();
    client.ok("PUT", "/stream/scenes/b", client.get("/stream/scenes/b"));
    activate(&client, "b");
    let snapshot = client.send("GET", "/stream/snapshot.png", "", b"");
    let picture = image::load_from_memory(&snapshot.body).unwrap().into_rgb8();
    assert!(picture.get_pixel(20, 20).0.iter().all(|value| *value > 250));
}

#[test]
fn drawings_are_read_ahead_in_the_fonts_of_their_scene() {
    let folder = TempFolder::new();
    let font = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/scenes/assets/fonts/BricolageGrotesque-ExtraBold.ttf"
    );
    std::fs::copy(font, folder.file("own.ttf")).unwrap();
    folder.write(
        "sign.svg",
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 90 30'><text y='20'>open</text></svg>",
    );
    let scene = json!({
        "version": 1, "name": "Sign", "canvas": {"width": 320, "height": 180, "background": "#000000"},
        "assets": {"own": {"path": "own.ttf"}},
        "layers": [{
            "id": "sign", "position": {"x": 0, "y": 0}, "size": {"width": 90, "height": 30},
            "source": {"type": "image", "src": "sign.svg"},
        }],
    });
    folder.write("sign.json", &scene.to_string());
    let (_on_air, client) = start(&folder, &QUIET);
    until("the font and the sign", || {
        (figure(&client, "preloaded") == 2).then_some(())
    });
    activate(&client, "sign");
    assert_eq!(figure(&client, "misses"), 0);
}

#[test]
fn without_a_cache_every_scene_is_decoded_when_it_comes() {
    let folder = TempFolder::new();
    write_scenes(&folder, &["a", "b"]);
    let more = [&QUIET[..], &["--asset-cache-mb", "0"]].concat();
    let (_on_air, client) = start(&folder, &more);
    for name in ["a", "b"] {
        activate(&client, name);
    }
    let names = ["hits", "misses", "preloaded", "entries"];
    assert_eq!(names.map(|name| figure(&client, name)), [0, 8, 0, 0]);
}

#[test]
fn a_scheduled_change_finds_everything_decoded() {
    let folder = TempFolder::new();
    write_scenes(&folder, &["a", "b", "c", "d", "e"]);
    let (_on_air, client) = start(&folder, &QUIET);
    let tick = client.get("/stream/status")["tick"].as_u64().unwrap() + 600;
    let batch = json!({"commands": [{"type": "scene.activate", "scene": "a"}], "at": tick});
    client.ok("POST", "/stream/commands", batch);
    // Only some scenes are kept ready: these push it out.
    for name in ["b", "c", "d", "e"] {
        let path = format!("/stream/scenes/{name}/preview");
        client.ok("POST", &path, Value::Null);
    }
    assert!(client.get("/stream/status")["tick"].as_u64().unwrap() < tick);
    until("every scene", || {
        (figure(&client, "entries") == 20).then_some(())
    });
    let before = ["hits", "misses"].map(|name| figure(&client, name));
    until("the change", || {
        (client.get("/stream/status")["scene"] == "a").then_some(())
    });
    let after = ["hits", "misses"].map(|name| figure(&client, name));
    assert_eq!(after, [before[0] + 4, before[1]]);
}

/// The assets of the stream in Redis, as another program sees them.
struct Other(redis::Connection);

impl Other {
    fn of(redis: &Redis) -> Self {
        let client = redis::Client::open(redis.url()).unwrap();
        Self(client.get_connection().unwrap())
    }

    fn ask<T: redis::FromRedisValue>(&mut self, words: &[&[u8]]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut self.0).unwrap()
    }

    fn facts(&mut self, id: &str) -> Option<String> {
        self.ask(&[b"HGET", b"sm:{main}:assets", id.as_bytes()])
    }

    fn bytes(&mut self, id: &str) -> Option<Vec<u8>> {
        let key = format!("sm:{{main}}:asset:{id}");
        self.ask(&[b"GET", key.as_bytes()])
    }

    fn tell(&mut self, message: &str) {
        let _heard: u64 = self.ask(&[b"PUBLISH", b"sm:{main}:assets:changed", message.as_bytes()]);
    }

    /// Lists an asset with any bytes, as though they were those of a picture.
    fn put(&mut self, id: &str, length: usize, bytes: &[u8]) {
        let facts = json!({
            "id": id, "name": "theirs.png", "kind": "image", "mediaType": "image/png", "bytes": length, "createdAt": 1,
        });
        let key = format!("sm:{{main}}:asset:{id}");
        let () = self.ask(&[b"SET", key.as_bytes(), bytes]);
        let facts = facts.to_string();
        let _new: u64 = self.ask(&[
            b"HSET",
            b"sm:{main}:assets",
            id.as_bytes(),
            facts.as_bytes(),
        ]);
        self.tell(&format!("added {id}"));
    }
}

fn id_of(bytes: &[u8]) -> String {
    let hash = sha2::Sha256::digest(bytes);
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Uploads a file, and gives its id.
pub fn upload(client: &Client, name: &str, bytes: &[u8]) -> String {
    let mut body = format!(
        "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--cut--\r\n");
    let media_type = "multipart/form-data; boundary=cut";
    let made = client.send("POST", "/stream/assets", media_type, &body);
    assert_eq!(made.status, 201, "{}", made.json());
    made.json()["data"]["id"].as_str().unwrap().to_owned()
}

fn asset(client: &Client, id: &str) -> Option<Value> {
    let (status, answer) = client.ask("GET", &format!("/stream/assets/{id}"), Value::Null);
    (status == 200).then(|| answer["data"].clone())
}

/// Whether an asset is known and its file is here.
pub fn is_here(client: &Client, id: &str) -> Option<()> {
    asset(client, id)?["missing"].is_null().then_some(())
}

fn on_redis(redis: &Redis) -> Vec<String> {
    let quiet = QUIET.iter().map(|word| (*word).to_owned());
    quiet
        .chain(["--redis-url".to_owned(), redis.url()])
        .collect()
}

fn layer_of(id: &str) -> Value {
    json!({
        "id": "theirs", "position": {"x": 0, "y": 0}, "size": {"width": 320, "height": 180}, "fit": "fill",
        "zIndex": 900, "source": {"type": "image", "src": format!("asset:{id}")},
    })
}

fn is_white(client: &Client) -> bool {
    let snapshot = client.send("GET", "/stream/snapshot.png?width=160", "", b"");
    let picture = image::load_from_memory(&snapshot.body).unwrap().into_rgb8();
    let mut pixels = picture.pixels();
    pixels.all(|pixel| pixel.0.iter().all(|value| *value > 250))
}

#[test]
fn an_uploaded_asset_is_in_redis_also_after_redis_lost_it() {
    let (folder, redis) = (TempFolder::new(), Redis::start());
    let more = on_redis(&redis);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (_on_air, client) = start(&folder, &more);
    let mut other = Other::of(&redis);
    let small = png([255, 0, 0], 8);
    let id = upload(&client, "red.png", &small);
    until("its bytes in Redis", || {
        other.facts(&id)?;
        (other.bytes(&id)? == small).then_some(())
    });
    // Larger than what is sent by Redis.
    let mut noise = image::RgbImage::new(800, 600);
    let mut state = 1_u32;
    for value in noise.iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as u8;
    }
    let mut large = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut large, image::ImageFormat::Png).unwrap();
    assert!(large.get_ref().len() > 1 << 20);
    let large = upload(&client, "noise.png", large.get_ref());
    until("the list", || other.facts(&large));
    assert_eq!(other.bytes(&large), None);

    let () = other.ask(&[b"FLUSHALL"]);
    until("both again", || {
        other.facts(&large)?;
        (other.bytes(&id)? == small).then_some(())
    });
    client.ok("DELETE", &format!("/stream/assets/{id}"), Value::Null);
    until("its end", || {
        (other.facts(&id).is_none() && other.bytes(&id).is_none()).then_some(())
    });
    assert_eq!(client.get("/stream/assets")["count"], 1);
    // Again, though it is remembered that it was deleted.
    assert_eq!(upload(&client, "red.png", &small), id);
    until("its bytes in Redis", || other.bytes(&id));
    assert!(is_here(&client, &id).is_some());
}

#[test]
fn an_asset_of_another_program_is_shown_and_goes_with_it() {
    let (folder, redis) = (TempFolder::new(), Redis::start());
    let more = on_redis(&redis);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (_on_air, client) = start(&folder, &more);
    let mut socket = client.socket("/ws");
    let mut other = Other::of(&redis);
    let white = png([255, 255, 255], 8);
    let id = id_of(&white);
    other.put(&id, white.len(), &white);
    until("the asset", || is_here(&client, &id));
    let told = socket.event("asset:create");
    assert_eq!(told["data"]["id"], *id, "{told}");
    client.ok("POST", "/stream/layers", layer_of(&id));
    assert!(is_white(&client));
    client.ok("DELETE", "/stream/layers/theirs", Value::Null);

    // A message alone deletes nothing.
    other.tell(&format!("deleted {id}"));
    let second = png([250, 255, 255], 9);
    other.put(&id_of(&second), second.len(), &second);
    until("the second asset", || is_here(&client, &id_of(&second)));
    assert!(is_here(&client, &id).is_some());
    let _gone: u64 = other.ask(&[b"HDEL", b"sm:{main}:assets", id.as_bytes()]);
    let _noted: u64 = other.ask(&[b"ZADD", b"sm:{main}:assets:deleted", b"1", id.as_bytes()]);
    other.tell(&format!("deleted {id}"));
    until("its end", || asset(&client, &id).is_none().then_some(()));
    assert!(!folder.file("data").join("assets").join(&id).exists());
    assert_eq!(client.get("/stream/assets")["count"], 1);
}

#[test]
fn what_redis_says_of_assets_is_not_believed() {
    let (folder, redis) = (TempFolder::new(), Redis::start());
    let more = on_redis(&redis);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (on_air, client) = start(&folder, &more);
    let mut other = Other::of(&redis);
    let good = png([1, 2, 3], 8);
    let wrong = "0".repeat(32);
    other.put(&wrong, good.len(), &good);
    on_air.line("an asset in Redis cannot be used");
    let page = b"<html>".to_vec();
    other.put(&id_of(&page), page.len(), &page);
    let large = vec![7; (1 << 20) + 1];
    other.put(&id_of(&large), 1 << 20, &large);
    on_air.line("another length than it should");
    let path = "../../../../../../../../tmp/asset";
    other.put(path, good.len(), &good);
    for (id, facts) in [(&*"1".repeat(32), "[1"), ("", ""), (&*"2".repeat(32), "{}")] {
        let _new: u64 = other.ask(&[
            b"HSET",
            b"sm:{main}:assets",
            id.as_bytes(),
            facts.as_bytes(),
        ]);
        other.tell(&format!("added {id}"));
    }
    other.tell("added");
    on_air.line("an asset in Redis is passed over");
    let id = id_of(&good);
    other.put(&id, good.len(), &good);
    until("the good one", || is_here(&client, &id));
    let assets = folder.file("data").join("assets");
    let files = std::fs::read_dir(assets).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [id.clone(), format!("{id}.json")]);
    // More than there may be: none of them are taken, and what is here stays.
    let numbers: Vec<String> = (0..10_001).map(|number| format!("{number:032x}")).collect();
    for some in numbers.chunks(1000) {
        let mut words: Vec<&[u8]> = vec![b"HSET", b"sm:{main}:assets"];
        words.extend(some.iter().flat_map(|id| [id.as_bytes(), &b"{}"[..]]));
        let _new: u64 = other.ask(&words);
    }
    on_air.line("Redis lists too many assets");
    assert!(is_here(&client, &id).is_some());
}

#[test]
fn a_scene_begins_with_assets_that_only_redis_has() {
    let (folder, redis) = (TempFolder::new(), Redis::start());
    let mut other = Other::of(&redis);
    let white = png([255, 255, 255], 8);
    let id = id_of(&white);
    other.put(&id, white.len(), &white);
    let scene = json!({
        "version": 1, "name": "Theirs", "canvas": {"width": 320, "height": 180, "background": "#000000"},
        "layers": [layer_of(&id)],
    });
    folder.write("scene.json", &scene.to_string());
    let more = on_redis(&redis);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (_on_air, client) = again(&folder, &more);
    assert!(is_white(&client));
    assert!(is_here(&client, &id).is_some());
}

#[test]
fn what_redis_was_not_told_is_told_after_a_crash() {
    let (folder, redis) = (TempFolder::new(), Redis::start());
    let more = on_redis(&redis);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let (on_air, client) = start(&folder, &more);
    let mut other = Other::of(&redis);
    let first = upload(&client, "first.png", &png([1, 1, 1], 8));
    until("the first in Redis", || other.bytes(&first));
    redis.signal("-STOP");
    client.ok("DELETE", &format!("/stream/assets/{first}"), Value::Null);
    let second = upload(&client, "second.png", &png([2, 2, 2], 8));
    kill(on_air);
    redis.signal("-CONT");
    let (_on_air, client) = again(&folder, &more);
    until("the second in Redis", || other.bytes(&second));
    until("the first to be gone from there", || {
        (other.facts(&first).is_none() && other.bytes(&first).is_none()).then_some(())
    });
    until("the first to be gone here", || {
        asset(&client, &first).is_none().then_some(())
    });
    until("nothing left to tell", || {
        let left = std::fs::read_dir(folder.file("data").join("assets-outbox"));
        (left.unwrap().count() == 0).then_some(())
    });
}
