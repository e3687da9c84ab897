//! When a program is started with the same scene as the last time, and what becomes of the stream that was on air where it is not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::api::start;
use super::beside::state;
use super::client::Client;
use super::resume::{QUIET, again, kill};
use super::store::Redis;
use super::support::{FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, program};

const BOX: &str = "/stream/layers/box?durable=true";

/// Starts the program with a scene as it is named, and its DATA_DIR.
fn run_in(folder: &Path, scene: &Path, data: &Path) -> (OnAir, Client) {
    let mut command = program(folder);
    command.arg("run").arg(scene).args(FREE_PORTS).args(QUIET);
    command.args(["--hls", "false", "--data-dir"]).arg(data);
    let on_air = OnAir::start(&mut command);
    let client = Client::new(on_air.port("api"));
    (on_air, client)
}

fn opacity(client: &Client) -> Value {
    client.get("/stream/layers/box")["opacity"].clone()
}

/// The copy that a log line says was set aside, which must be its owner's alone.
fn copy(on_air: &OnAir, folder: &Path) -> PathBuf {
    let line = on_air.line("what was on air before is set aside");
    assert!(line.contains("WARN"), "{line}");
    let words = line.split_once("state import ").unwrap().1;
    let path = folder.join(words.split_once(" --replace").unwrap().0);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    path
}

#[test]
fn the_same_scene_by_another_name_or_in_another_place_goes_on() {
    let folder = TempFolder::new();
    let data = folder.file("data");
    fs::create_dir(folder.file("shows")).unwrap();
    folder.write("shows/scene.json", SMALL_SCENE);
    let (on_air, client) = run_in(&folder.0, Path::new("shows/scene.json"), &data);
    client.ok("PATCH", BOX, json!({"opacity": 0.5}));
    client.ok("POST", "/stream/stop?durable=true", Value::Null);
    kill(on_air);
    let goes_on = |within: &Path, scene: &Path| {
        let (on_air, client) = run_in(within, scene, &data);
        on_air.line("the stream is stopped, as it was");
        assert_eq!(opacity(&client), 0.5, "{}", scene.display());
        assert_eq!(client.get("/stream/status")["isLive"], false);
        kill(on_air);
    };
    goes_on(&folder.0, Path::new("./shows/scene.json"));
    goes_on(&folder.0, &folder.file("shows/scene.json"));
    goes_on(&folder.file("shows"), Path::new("scene.json"));
    // A copy that says the same, as a new release beside the one of before.
    fs::create_dir(folder.file("release")).unwrap();
    folder.write("release/scene.json", SMALL_SCENE);
    goes_on(&folder.0, Path::new("release/scene.json"));
    fs::rename(folder.file("release"), folder.file("moved")).unwrap();
    goes_on(&folder.0, Path::new("moved/scene.json"));
    assert!(!data.join("state.before").exists(), "nothing was set aside");
}

#[test]
fn an_export_goes_on_elsewhere_in_another_place() {
    let first = TempFolder::new();
    first.write("scene.json", SMALL_SCENE);
    let (on_air, client) = run_in(&first.0, Path::new("scene.json"), &first.file("data"));
    client.ok("PATCH", BOX, json!({"opacity": 0.5}));
    kill(on_air);
    state(&first.0, &["export", "all.json"]);
    let second = TempFolder::new();
    fs::create_dir(second.file("shows")).unwrap();
    // Another title: an import is what counts, and not what lies there.
    second.write(
        "shows/scene.json",
        &SMALL_SCENE.replace("\"Small\"", "\"Other\""),
    );
    fs::copy(first.file("all.json"), second.file("all.json")).unwrap();
    state(&second.0, &["import", "all.json"]);
    for _ in 0..2 {
        let (on_air, client) = run_in(
            &second.0,
            Path::new("shows/scene.json"),
            &second.file("data"),
        );
        on_air.line("where the last run left off");
        assert_eq!(opacity(&client), 0.5);
        assert_eq!(client.get("/stream/scenes")["program"]["name"], "Small");
        kill(on_air);
    }
}

#[test]
fn an_instance_compares_its_file_with_none_of_another_instance() {
    let redis = Redis::start();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    let (first, second) = (TempFolder::new(), TempFolder::new());
    let (on_air, client) = start(&first, &more);
    let mut evening: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    evening["name"] = json!("Evening");
    client.ok("PUT", "/stream/scenes/evening", evening);
    client.ok("POST", "/stream/scenes/evening/activate", Value::Null);
    client.ok("PATCH", BOX, json!({"opacity": 0.5}));
    kill(on_air);
    second.write("scene.json", &SMALL_SCENE.replace("\"Small\"", "\"Other\""));
    let (on_air, client) = again(&second, &more);
    on_air.line("where the last run left off");
    client.leads();
    assert_eq!(client.get("/stream/status")["scene"], "evening");
    assert_eq!(opacity(&client), 0.5);
}

#[test]
fn another_scene_of_the_same_name_begins_and_what_was_on_air_can_be_had_back() {
    let folder = TempFolder::new();
    let data = folder.file("data");
    for (name, title) in [("one", "\"One\""), ("two", "\"Two\"")] {
        fs::create_dir(folder.file(name)).unwrap();
        let text = SMALL_SCENE.replace("\"Small\"", title);
        folder.write(&format!("{name}/scene.json"), &text);
    }
    let (one, two) = (Path::new("one/scene.json"), Path::new("two/scene.json"));
    let (on_air, client) = run_in(&folder.0, one, &data);
    client.ok("PATCH", BOX, json!({"opacity": 0.5}));
    kill(on_air);
    let (on_air, client) = run_in(&folder.0, two, &data);
    assert_eq!(client.get("/stream/scenes")["program"]["name"], "Two");
    assert_eq!(opacity(&client), 1);
    let aside = copy(&on_air, &folder.0);
    assert!(
        aside.starts_with(data.join("state.before")),
        "{}",
        aside.display()
    );
    client.ok("PATCH", BOX, json!({"opacity": 0.25}));
    kill(on_air);
    let aside = aside.display().to_string();
    state(&folder.0, &["import", &aside, "--replace"]);
    let (on_air, client) = run_in(&folder.0, one, &data);
    on_air.line("where the last run left off");
    assert_eq!(opacity(&client), 0.5);
    assert_eq!(client.get("/stream/scenes")["program"]["name"], "One");
}

#[test]
fn what_was_on_air_is_set_aside_where_the_file_was_written_to_and_can_be_had_back() {
    let folder = TempFolder::new();
    let (scene, data) = (Path::new("scene.json"), folder.file("data"));
    folder.write("scene.json", SMALL_SCENE);
    let (on_air, client) = run_in(&folder.0, scene, &data);
    client.ok("PATCH", BOX, json!({"opacity": 0.5}));
    kill(on_air);
    folder.write(
        "scene.json",
        &SMALL_SCENE.replace("\"Small\"", "\"Written\""),
    );
    let (on_air, client) = run_in(&folder.0, scene, &data);
    assert_eq!(client.get("/stream/scenes")["program"]["name"], "Written");
    assert_eq!(opacity(&client), 1);
    let aside = copy(&on_air, &folder.0);
    client.ok("PATCH", BOX, json!({"opacity": 0.25}));
    kill(on_air);
    state(
        &folder.0,
        &["import", &aside.display().to_string(), "--replace"],
    );
    let (on_air, client) = run_in(&folder.0, scene, &data);
    on_air.line("where the last run left off");
    let program = client.get("/stream/scenes")["program"].take();
    assert_eq!(
        program,
        json!({"id": "scene", "name": "Small", "edited": true})
    );
    assert_eq!(opacity(&client), 0.5);
    client.ok("PATCH", BOX, json!({"opacity": 0.75}));
    kill(on_air);
    // From here on it is a run like any other.
    folder.write("scene.json", &SMALL_SCENE.replace("\"Small\"", "\"Again\""));
    let (on_air, client) = run_in(&folder.0, scene, &data);
    assert_eq!(client.get("/stream/scenes")["program"]["name"], "Again");
    copy(&on_air, &folder.0);
    kill(on_air);
}
