//! What stands beside the show survives with it: stream keys, the index of recordings, saved scenes; on this machine and on another.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use stream_manager::store::{Embedded, Store, embedded};

use super::api::start;
use super::client::Client;
use super::resume::{QUIET, again, command, kill};
use super::store::Redis;
use super::support::{OnAir, TempFolder, program, run, text, until};

/// What an export of the first release with a state holds, and the scene that was on air then.
const OLD_EXPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/export-1.json");
const OLD_SCENE: &str = r##"{"version": 1, "name": "Small", "canvas": {"width": 320, "height": 180, "fps": 30, "background": "#102030"},
  "layers": [{"id": "box", "source": {"type": "color", "color": "#ff8000"}, "size": {"width": 80, "height": 60}, "position": {"x": 0, "y": 60}}]}"##;

fn scene(name: &str) -> Value {
    json!({"version": 1, "name": name, "canvas": {"width": 320, "height": 180, "background": "#000000"}, "layers": []})
}

/// Publishes with a key, until the program has noted that.
pub fn publish(on_air: &OnAir, client: &Client, id: &str, key: &str) {
    let url = format!("rtmp://127.0.0.1:{}/live/{key}", on_air.port("rtmp"));
    let mut camera = Camera(
        Command::new("ffmpeg")
            .args(["-v", "error", "-re", "-f", "lavfi", "-i"])
            .arg("testsrc2=size=64x36:rate=10:duration=60")
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "10"])
            .args(["-pix_fmt", "yuv420p", "-f", "flv"])
            .arg(url)
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until("the key to be accepted", || {
        assert!(camera.0.try_wait().unwrap().is_none(), "it was refused");
        let keys = client.get("/stream/keys")["keys"].take();
        let mut keys = keys.as_array().unwrap().iter();
        let key = keys.find(|key| key["id"] == id).unwrap();
        key["lastUsed"].as_u64()
    });
}

struct Camera(Child);

impl Drop for Camera {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The name of the instance that uses a folder.
pub fn instance(folder: &TempFolder) -> String {
    let kept = std::fs::read_to_string(folder.file("data/instance")).unwrap();
    kept.split_whitespace().next().unwrap().to_owned()
}

/// Waits until a program leads that was started where another one was killed.
fn leading((on_air, client): (OnAir, Client)) -> (OnAir, Client) {
    until("it to lead", || {
        let (status, answer) = client.ask("GET", "/stream/status", Value::Null);
        let is_leader = status == 200 && answer["data"]["role"] == "leader";
        is_leader.then_some(())
    });
    (on_air, client)
}

/// A key that is made: its name for the API, and itself.
fn make_key(client: &Client, body: Value) -> (String, String) {
    let made = client.ok("POST", "/stream/keys?durable=true", body)["data"].take();
    let word = |name: &str| made[name].as_str().unwrap().to_owned();
    (word("id"), word("key"))
}

pub fn names(client: &Client) -> Vec<String> {
    let keys = client.get("/stream/keys")["keys"].take();
    let keys = keys.as_array().unwrap().iter();
    keys.map(|key| key["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Changes of every kind, each of which is saved when it is answered; gives a key that was made.
fn change(client: &Client) -> (String, String) {
    let (_, gone) = make_key(client, json!({"name": "gone"}));
    assert!(gone.starts_with("sm_"));
    let listed = client.get("/stream/keys")["keys"][0]["id"].take();
    let path = format!("/stream/keys/{}?durable=true", listed.as_str().unwrap());
    client.ok("DELETE", &path, Value::Null);
    let made = make_key(client, json!({"name": "studio", "readable": true}));
    client.ok(
        "POST",
        "/stream/recordings/start?durable=true",
        json!({"name": "friday", "container": "mkv"}),
    );
    client.ok(
        "POST",
        "/stream/recordings/markers?durable=true",
        json!({"label": "Lot 12"}),
    );
    let replay = json!({"seconds": 77, "enabled": false});
    client.ok("PATCH", "/stream/replay?durable=true", replay);
    client.ok("PUT", "/stream/scenes/gone?durable=true", scene("Gone"));
    client.ok("DELETE", "/stream/scenes/gone?durable=true", Value::Null);
    // A batch that is taken back does not come again.
    let batch =
        json!({"at": 1_000_000, "commands": [{"type": "data.update", "patch": {"late": true}}]});
    let waits = client.ok("POST", "/stream/commands?durable=true", batch);
    let path = format!(
        "/stream/commands/{}?durable=true",
        waits["data"]["scheduled"]
    );
    client.ok("DELETE", &path, Value::Null);
    client.ok("PUT", "/stream/scenes/late?durable=true", scene("Late"));
    made
}

fn is_kept(client: &Client) {
    assert_eq!(names(client), ["studio"]);
    assert_eq!(client.get("/stream/commands")["count"], 0);
    assert_eq!(client.get("/stream/scenes/late")["name"], "Late");
    assert_eq!(client.ask("GET", "/stream/scenes/gone", Value::Null).0, 404);
    let recording = client.get("/stream/recordings/friday");
    assert_eq!(recording["state"], "interrupted", "{recording}");
    assert_eq!(recording["markers"][0]["label"], "Lot 12");
    let list = client.get("/stream/recordings");
    assert_eq!(list["current"], "friday-2", "it goes on, here");
    let replay = client.get("/stream/replay");
    assert_eq!(
        (&replay["seconds"], &replay["enabled"]),
        (&json!(77), &json!(false))
    );
}

#[test]
fn keys_recordings_and_scenes_outlive_a_kill_in_the_programs_own_file() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let (id, key) = change(&client);
    kill(on_air);
    let left = |name: &str| folder.file("data").join(name).exists();
    assert!(!left("keys.json") && !left("recordings.json"));
    let (on_air, client) = again(&folder, &QUIET);
    is_kept(&client);
    assert_eq!(
        client.get("/stream/recordings/friday")["instance"],
        Value::Null
    );
    publish(&on_air, &client, &id, &key);
    assert!(!on_air.all_lines().contains(&key));
    on_air.signal("-TERM");
    on_air.end();
    let shown = run(program(&folder.0).args(["state", "show"]));
    let shown = text(&shown.stdout);
    for line in ["keys       1", "recordings 2", "scenes     1 saved"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!shown.contains(&key));
    // A recording that ends with the program is known to have ended well.
    let (on_air, client) = again(&folder, &QUIET);
    client.ask("POST", "/stream/recordings/stop", Value::Null);
    client.ok("POST", "/stream/recordings/start", json!({"name": "last"}));
    on_air.signal("-TERM");
    on_air.end();
    let (_on_air, client) = again(&folder, &QUIET);
    let last = client.get("/stream/recordings/last");
    assert_eq!(last["state"], "finished", "{last}");
}

#[test]
fn keys_recordings_and_scenes_come_to_another_machine_through_redis() {
    let redis = Redis::start();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    let first = TempFolder::new();
    let (on_air, client) = start(&first, &more);
    let (id, key) = change(&client);
    // The scene that both are started with, which is on air.
    client.ok("PUT", "/stream/scenes/scene", scene("Saved"));
    let layer = json!({"id": "late", "source": {"type": "color", "color": "#ff0000"}, "size": {"width": 4, "height": 4}});
    client.ok("POST", "/stream/layers?durable=true", layer);
    kill(on_air);
    let second = TempFolder::new();
    let (on_air, client) = leading(start(&second, &more));
    on_air.line("where the last run left off");
    assert_eq!(client.get("/stream/layers")["count"], 1);
    is_kept(&client);
    assert!(second.file("late.json").exists());
    publish(&on_air, &client, &id, &key);
    let recording = client.get("/stream/recordings/friday");
    let instance = instance(&first);
    assert_eq!(recording["instance"], *instance, "it lies there");
    let (status, answer) = client.ask("GET", "/stream/recordings/friday/download", Value::Null);
    let error = &answer["error"];
    assert_eq!((status, &error["code"]), (404, &json!("NOT_FOUND")));
    assert_eq!(error["details"]["instance"], *instance, "{error}");
    let path = "/stream/recordings/friday?durable=true";
    let (status, answer) = client.ask("DELETE", path, Value::Null);
    assert_eq!(status, 409, "{answer}");
    client.ok("PUT", "/stream/scenes/late?durable=true", scene("Later"));
    client.ok("DELETE", "/stream/scenes/late?durable=true", Value::Null);
    client.ok("PUT", "/stream/scenes/other?durable=true", scene("Other"));
    kill(on_air);
    // The first is back, and knows what became of its own.
    let (on_air, client) = leading(again(&first, &more));
    let recording = client.get("/stream/recordings/friday");
    assert_eq!(recording["instance"], Value::Null, "{recording}");
    assert!(!first.file("late.json").exists() && first.file("other.json").exists());
    let answer = client.send("GET", "/stream/recordings/friday/download", "", b"");
    assert_eq!(answer.status, 200, "{}", answer.head);
    kill(on_air);
    // What somebody has written to a file here counts.
    first.write("other.json", &scene("By hand").to_string());
    let (on_air, client) = leading(again(&first, &more));
    assert_eq!(client.get("/stream/scenes/other")["name"], "By hand");
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    kill(on_air);
    let (on_air, client) = leading(again(&second, &more));
    assert_eq!(client.get("/stream/scenes/other")["name"], "By hand");
    let (status, answer) = client.ask(
        "DELETE",
        "/stream/recordings/friday?forget=true",
        Value::Null,
    );
    assert_eq!(status, 200, "{answer}");
    let deleted = client.ask("GET", "/stream/recordings/friday", Value::Null);
    assert_eq!(deleted.0, 404);
    drop(on_air);
}

#[test]
fn a_standby_shows_what_the_leader_keeps_and_has_it_change_that() {
    let redis = Redis::start();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    let [first, second] = [(); 2].map(|()| TempFolder::new());
    let (leader, client) = start(&first, &more);
    make_key(&client, json!({"name": "before"}));
    client.ok("PUT", "/stream/scenes/late?durable=true", scene("Late"));
    let (on_air, standby) = start(&second, &more);
    until("the standby to show it", || {
        let (status, answer) = standby.ask("GET", "/stream/keys", Value::Null);
        (status == 200 && answer["data"]["keys"][0]["name"] == "before").then_some(())
    });
    assert_eq!(standby.get("/stream/status")["role"], "standby");
    assert_eq!(standby.get("/stream/scenes/late")["name"], "Late");
    client.ok("PUT", "/stream/scenes/late", scene("Later"));
    client.ok(
        "POST",
        "/stream/recordings/start",
        json!({"name": "friday"}),
    );
    until("the standby to follow", || {
        let (_, answer) = standby.ask("GET", "/stream/recordings/friday", Value::Null);
        let instance = &answer["data"]["instance"];
        let name = standby.get("/stream/scenes/late")["name"].take();
        (instance.is_string() && name == "Later").then_some(())
    });
    // What is asked of it, on the command line too, is done by the leader.
    let (id, key) = make_key(&standby, json!({"name": "through"}));
    let made = run(program(&second.0).args(["keys", "add", "--name", "said", "--redis-url", &url]));
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(names(&client), ["before", "through", "said"]);
    kill(leader);
    let (on_air, client) = leading((on_air, standby));
    assert_eq!(names(&client), ["before", "through", "said"]);
    assert_eq!(
        client.get("/stream/recordings/friday")["state"],
        "interrupted"
    );
    let further = client.get("/stream/recordings/friday-2");
    assert_eq!(
        (&further["state"], &further["instance"]),
        (&json!("recording"), &Value::Null)
    );
    publish(&on_air, &client, &id, &key);
}

#[test]
fn a_store_that_stands_still_is_told_with_what_stands_beside_the_show_too() {
    let redis = Redis::start();
    let folder = TempFolder::new();
    let url = redis.url();
    let (on_air, client) = start(&folder, &[&QUIET[..], &["--redis-url", &url]].concat());
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    redis.signal("-STOP");
    until("the store to be down", || {
        (client.get("/stream/status")["store"]["state"] != "ok").then_some(())
    });
    let made = client.ok("POST", "/stream/keys", json!({"name": "studio"}));
    assert!(made["store"].is_string(), "{made}");
    let made = client.ok("PUT", "/stream/scenes/late", scene("Late"));
    assert!(made["store"].is_string(), "{made}");
    let (status, answer) = client.ask("POST", "/stream/keys?durable=true", json!({"name": "two"}));
    assert_eq!(
        (status, &answer["error"]["code"]),
        (504, &json!("NOT_SAVED")),
        "{answer}"
    );
    assert_eq!(names(&client), ["studio", "two"], "they hold all the same");
    redis.signal("-CONT");
    let path = "/stream/scenes/late?durable=true";
    until("the store to be well", || {
        (client.ask("DELETE", path, Value::Null).0 != 504).then_some(())
    });
    kill(on_air);
    let other = TempFolder::new();
    let (_on_air, client) = leading(start(
        &other,
        &[&QUIET[..], &["--redis-url", &url]].concat(),
    ));
    assert_eq!(names(&client), ["studio", "two"]);
}

#[test]
fn keys_and_recordings_of_an_earlier_release_are_taken_over_once() {
    let folder = TempFolder::new();
    std::fs::create_dir_all(folder.file("data/recordings")).unwrap();
    let keys = r#"[{"id": "042c3486601f8fc4", "name": "studio", "hash": "04ced5256d648504f496f398ad65e159f5b5f3dbb0f60938e1d36eae3f0562a6",
        "shown": "sm_b8c5", "createdAt": 1795259654741, "lastUsed": null}]"#;
    folder.write("data/keys.json", keys);
    folder.write("data/recordings/old.mkv", "abc");
    let index = r#"[{"id": "old", "state": "recording", "files": [{"name": "old.mkv", "bytes": 0, "seconds": null}], "container": "mkv",
        "rendition": "main", "codecs": ["h264"], "startedAt": 5, "seconds": 1.5, "bytes": 0, "markers": [], "output": "recording", "error": null}]"#;
    folder.write("data/recordings.json", index);
    let (on_air, client) = start(&folder, &QUIET);
    for name in ["keys.json.imported", "recordings.json.imported"] {
        let path = folder.file("data").join(name);
        until(name, || path.exists().then_some(()));
    }
    let key = "sm_b8c5455e91a62b3f45a4b3754061f4d3efca4851";
    publish(&on_air, &client, "042c3486601f8fc4", key);
    let old = client.get("/stream/recordings/old");
    assert_eq!(
        (&old["state"], &old["bytes"]),
        (&json!("interrupted"), &json!(3))
    );
    client.ok(
        "DELETE",
        "/stream/keys/042c3486601f8fc4?durable=true",
        Value::Null,
    );
    client.ok("DELETE", "/stream/recordings/old?durable=true", Value::Null);
    kill(on_air);
    // One that comes late is not taken, and left where it is.
    folder.write("data/keys.json", keys);
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line("those of the file are not taken");
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    assert!(names(&client).is_empty() && folder.file("data/keys.json").exists());
    assert_eq!(client.get("/stream/recordings")["count"], 0);
}

/// Makes keys and saves scenes, each saved when it is answered, until the program is gone; gives how many of them were.
fn write(client: &Client, writer: usize, ends: &AtomicBool) -> u32 {
    let mut count = 0;
    while !ends.load(SeqCst) {
        let name = format!("{writer}-{}", count + 1);
        let key = json!({"name": name}).to_string();
        let scene = scene(&name).to_string();
        let path = format!("/stream/scenes/w{writer}?durable=true");
        let made = client.try_send("POST", "/stream/keys?durable=true", key.as_bytes());
        if made != Some(201) {
            break;
        }
        let written = client.try_send("PUT", &path, scene.as_bytes());
        if written.is_none_or(|status| status >= 300) {
            break;
        }
        count += 1;
    }
    count
}

/// Kills it while keys are made and scenes saved; `next` is the machine on which it goes on.
fn survives_being_killed(more: &[&str], next: impl Fn(TempFolder) -> TempFolder) {
    let (mut folder, mut saved) = (TempFolder::new(), 0);
    for round in 0..4 {
        let (on_air, client) = leading(start(&folder, more));
        let ends = AtomicBool::new(false);
        let chance = u64::from(getrandom::u32().unwrap());
        let counts: Vec<u32> = thread::scope(|scope| {
            let writers = [0, 1].map(|writer| {
                let (client, ends) = (client.clone(), &ends);
                scope.spawn(move || write(&client, 2 * round + writer, ends))
            });
            thread::park_timeout(Duration::from_millis(200 + chance % 500));
            on_air.signal("-KILL");
            ends.store(true, SeqCst);
            writers.map(|writer| writer.join().unwrap()).into()
        });
        on_air.end();
        folder = next(folder);
        let (on_air, client) = leading(start(&folder, more));
        let names = names(&client);
        for (writer, &count) in counts.iter().enumerate() {
            let writer = 2 * round + writer;
            for number in 1..=count {
                let name = format!("{writer}-{number}");
                assert!(names.contains(&name), "round {round}: {name} was lost");
            }
            if count > 0 {
                let scene = client.get(&format!("/stream/scenes/w{writer}"))["name"].take();
                let number = scene.as_str().unwrap().split_once('-').unwrap().1;
                let number: u32 = number.parse().unwrap();
                assert!(number >= count, "round {round}: {number} of {count}");
            }
        }
        saved += counts.iter().sum::<u32>();
        kill(on_air);
    }
    assert!(saved > 0);
}

#[test]
fn killed_at_random_moments_it_keeps_every_key_and_scene_in_its_file() {
    survives_being_killed(&QUIET, |folder| folder);
}

#[test]
fn killed_at_random_moments_every_key_and_scene_comes_to_another_machine() {
    let redis = Redis::start();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    survives_being_killed(&more, |_| TempFolder::new());
}

#[test]
fn a_key_that_redis_has_lost_again_is_saved_anew() {
    let mut redis = Redis::start();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    let (first, second) = (TempFolder::new(), TempFolder::new());
    let (on_air, client) = leading(start(&first, &more));
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    let mut other = redis::Client::open(url.as_str()).unwrap();
    let () = redis::cmd("SAVE").query(&mut other).unwrap();
    // A key makes no revision: the older file is at the same one.
    make_key(&client, json!({"name": "studio"}));
    redis.restart();
    until("the key in Redis", || {
        let mut command = redis::cmd("HGET");
        command.arg("sm:{main}:documents").arg("keys");
        let found: Option<String> = command.query(&mut other).ok()?;
        found?.contains("studio").then_some(())
    });
    kill(on_air);
    let (_on_air, client) = leading(start(&second, &more));
    assert_eq!(names(&client), ["studio"]);
}

#[test]
fn what_stands_beside_the_show_and_cannot_be_read_is_told_and_left_as_it_is() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let (_, key) = make_key(&client, json!({"readable": true}));
    kill(on_air);
    let file = folder.file("data").join(embedded::FILE_NAME);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broken = format!("[{{\"key\": \"{key}\"}}]");
    runtime.block_on(async {
        let store = Store::Embedded(Embedded::open(file.clone()).await.unwrap());
        let before = store.load().await.unwrap();
        let puts = [("keys".into(), Some(broken.into()))].into();
        store.commit(before.change(puts)).await.unwrap();
        store.close().await;
    });
    let refused = run(&mut command(&folder, &QUIET));
    let words = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{words}");
    for word in ["state.redb", "`keys`", "left as it is", "state import"] {
        assert!(words.contains(word), "{word}: {words}");
    }
    assert!(!words.contains(&key), "{words}");
    assert!(
        state(&folder.0, &["show", "keys"]).contains(&key),
        "asked for"
    );
}

/// What `state` says, which must end well.
pub fn state(folder: &Path, words: &[&str]) -> String {
    let output = run(program(folder).arg("state").args(words));
    let told = text(&[&output.stdout[..], &output.stderr].concat());
    assert!(output.status.success(), "{words:?}: {told}");
    told
}

#[test]
fn an_export_makes_the_same_stream_on_a_fresh_machine() {
    let first = TempFolder::new();
    let (on_air, client) = start(&first, &QUIET);
    let (id, key) = make_key(&client, json!({"name": "studio"}));
    let mut picture = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(4, 4, image::Rgb([200, 10, 10]));
    pixels
        .write_to(&mut picture, image::ImageFormat::Png)
        .unwrap();
    let mut body =
        b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"red.png\"\r\n\r\n"
            .to_vec();
    body.extend_from_slice(picture.get_ref());
    body.extend_from_slice(b"\r\n--cut--\r\n");
    let media_type = "multipart/form-data; boundary=cut";
    let uploaded = client.send("POST", "/stream/assets", media_type, &body);
    assert_eq!(uploaded.status, 201, "{}", uploaded.head);
    let asset = uploaded.json()["data"].clone();
    let source = format!("asset:{}", asset["id"].as_str().unwrap());
    let mut shown = scene("Shown");
    shown["layers"] = json!([{"id": "red", "source": {"type": "image", "src": source}, "size": {"width": 40, "height": 40}}]);
    client.ok("PUT", "/stream/scenes/shown", shown);
    client.ok("POST", "/stream/scenes/shown/activate", Value::Null);
    client.ok(
        "PATCH",
        "/stream/layers/red?durable=true",
        json!({"opacity": 0.5}),
    );
    on_air.signal("-TERM");
    on_air.end();
    let told = state(&first.0, &["export", "all.json"]);
    assert!(told.contains("and 1 assets"), "{told}");
    let told = state(&first.0, &["export", "small.json", "--without-assets"]);
    assert!(!told.contains("assets"), "{told}");

    let second = TempFolder::new();
    std::fs::copy(first.file("all.json"), second.file("all.json")).unwrap();
    let told = state(&second.0, &["import", "all.json"]);
    assert!(told.contains("and 1 assets"), "{told}");
    assert!(state(&second.0, &["show"]).contains("assets     1 in DATA_DIR"));
    let (on_air, client) = start(&second, &QUIET);
    on_air.line("where the last run left off");
    assert_eq!(client.get("/stream/status")["scene"], "shown");
    assert_eq!(client.get("/stream/layers/red")["opacity"], 0.5);
    assert_eq!(client.get("/stream/assets")["assets"][0], asset);
    assert!(second.file("shown.json").exists());
    publish(&on_air, &client, &id, &key);
    assert!(!on_air.all_lines().contains(&key));
}

#[test]
fn an_export_of_the_release_before_comes_on_air() {
    let folder = TempFolder::new();
    folder.write("scene.json", OLD_SCENE);
    assert!(
        state(&folder.0, &["import", OLD_EXPORT]).contains("imported 9 documents of revision 4")
    );
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line("where the last run left off");
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);
    assert_eq!(client.get("/stream/data")["word"], "of the earlier release");
    assert_eq!(client.get("/stream/outputs/copy")["enabled"], false);
    assert!(names(&client).is_empty());
}
