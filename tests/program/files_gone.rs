//! A stream that goes on comes back on air whatever happened to files meanwhile: scenes that were deleted or broken, and pictures, fonts,
//! films and scenes within it that are gone.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::api::start;
use super::assets::{png, upload};
use super::client::{Client, a_box};
use super::resume::{QUIET, again, command, kill};
use super::store::Redis;
use super::support::{FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, program, run, text, until};

const LEFT_OFF: &str = "where the last run left off";

fn scene(name: &str, layers: Value) -> Value {
    json!({
        "version": 1, "name": name, "canvas": {"width": 320, "height": 180, "fps": 30, "background": "#000000"}, "layers": layers,
    })
}

fn picture(id: &str, src: &str) -> Value {
    json!({"id": id, "source": {"type": "image", "src": src}, "size": {"width": 40, "height": 40}})
}

fn put(client: &Client, id: &str, scene: Value) {
    client.ok("PUT", &format!("/stream/scenes/{id}"), scene);
}

fn activate(client: &Client, id: &str) {
    let path = format!("/stream/scenes/{id}/activate");
    client.ok("POST", &path, Value::Null);
}

/// Starts the program, which must refuse; gives what it said.
fn refused(command: &mut Command) -> String {
    let output = run(command);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    words
}

/// Puts the scene `evening` on air, with a layer that was changed since.
fn evening(client: &Client) {
    put(
        client,
        "evening",
        scene("Evening", json!([a_box("card", 1, 2, 30, "#00ff00")])),
    );
    activate(client, "evening");
    client.ok("PATCH", "/stream/layers/card", json!({"opacity": 0.5}));
}

fn is_evening(on_air: &OnAir, client: &Client) {
    on_air.line(LEFT_OFF);
    assert_eq!(client.get("/stream/status")["scene"], "evening");
    assert_eq!(client.get("/stream/layers/card")["opacity"], 0.5);
}

#[test]
fn the_scene_that_it_was_started_with_may_be_deleted_or_broken() {
    let folder = TempFolder::new();
    let mut first: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    first["outputs"] =
        json!([{"id": "own", "url": "rtmp://127.0.0.1:9/live/own", "enabled": false}]);
    let first = first.to_string();
    folder.write("scene.json", &first);
    let (on_air, client) = again(&folder, &QUIET);
    evening(&client);
    let path = "/stream/scenes/scene?durable=true";
    client.ok("DELETE", path, Value::Null);
    kill(on_air);
    assert!(!folder.file("scene.json").exists());
    // Not only once.
    for _ in 0..2 {
        let (on_air, client) = again(&folder, &QUIET);
        let told = on_air.line("goes on with what it said before");
        assert!(
            told.contains("scene.json") && told.contains("WARN"),
            "{told}"
        );
        is_evening(&on_air, &client);
        // It is the one whose outputs all others are laid over.
        assert_eq!(client.get("/stream/outputs/own")["enabled"], false);
        kill(on_air);
    }
    folder.write("scene.json", "{\"version\": 1, \"name\": \"Half");
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line("goes on with what it said before");
    is_evening(&on_air, &client);
    kill(on_air);
    // Who asks for the file needs it, and so does who names another.
    let mut fresh = command(&folder, &["--fresh"]);
    assert!(
        refused(&mut fresh).contains("scene.json:1:"),
        "the place is told"
    );
    let mut other = program(&folder.0);
    other.args(["run", "other.json"]).args(FREE_PORTS);
    assert!(
        refused(&mut other).contains("other.json"),
        "the file is told"
    );
    folder.write("scene.json", &first);
    let (on_air, client) = again(&folder, &QUIET);
    is_evening(&on_air, &client);
    assert!(
        !on_air
            .all_lines()
            .contains("goes on with what it said before")
    );
}

#[test]
fn the_whole_folder_of_scenes_may_be_gone() {
    let folder = TempFolder::new();
    fs::create_dir(folder.file("shows")).unwrap();
    folder.write("shows/scene.json", SMALL_SCENE);
    let begin = || {
        let mut command = program(&folder.0);
        command.args(["run", "shows/scene.json", "--hls", "false"]);
        let on_air = OnAir::start(command.args(FREE_PORTS).args(QUIET));
        let client = Client::new(on_air.port("api"));
        (on_air, client)
    };
    let (on_air, client) = begin();
    evening(&client);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    kill(on_air);
    fs::remove_dir_all(folder.file("shows")).unwrap();
    let (on_air, client) = begin();
    is_evening(&on_air, &client);
}

#[test]
fn an_asset_that_only_the_first_scene_names_may_be_deleted() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let id = upload(&client, "red.png", &png([200, 0, 0], 8));
    put(
        &client,
        "scene",
        scene(
            "With a picture",
            json!([picture("red", &format!("asset:{id}"))]),
        ),
    );
    evening(&client);
    client.ok("DELETE", &format!("/stream/assets/{id}"), Value::Null);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    kill(on_air);
    let (on_air, client) = again(&folder, &QUIET);
    is_evening(&on_air, &client);
}

#[test]
fn a_file_that_is_half_saved_is_followed_once_it_is_whole() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    folder.write("scene.json", &SMALL_SCENE[..SMALL_SCENE.len() / 2]);
    on_air.line("the scene was not reloaded, nothing changed on air");
    kill(on_air);
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line(LEFT_OFF);
    assert_eq!(client.get("/stream/data")["n"], 1);
    assert_eq!(client.get("/stream/scenes")["program"]["name"], "Small");
    folder.write(
        "scene.json",
        &SMALL_SCENE.replace("\"Small\"", "\"Mended\""),
    );
    until("what was mended", || {
        let program = client.get("/stream/scenes")["program"].take();
        (program["name"] == "Mended").then_some(())
    });
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 2}));
    kill(on_air);
    // Whole, but with a picture that cannot be decoded: on air it is refused as well.
    let mut with_picture: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    with_picture["layers"] = json!([picture("broken", "broken.png")]);
    with_picture["timelines"] = json!([]);
    fs::write(folder.file("broken.png"), &png([0, 0, 200], 8)[..40]).unwrap();
    folder.write("scene.json", &with_picture.to_string());
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line(LEFT_OFF);
    assert_eq!(client.get("/stream/data")["n"], 2);
    fs::write(folder.file("broken.png"), png([0, 0, 200], 8)).unwrap();
    until("the picture", || {
        let (status, _) = client.ask("GET", "/stream/layers/broken", Value::Null);
        (status == 200).then_some(())
    });
}

#[test]
fn a_first_start_without_its_scene_says_what_is_wrong_with_it() {
    let folder = TempFolder::new();
    let words = refused(&mut command(&folder, &QUIET));
    assert!(
        words.contains("scene.json") && words.contains("cannot be read"),
        "{words}"
    );
    assert!(!folder.file("data").exists(), "nothing was begun");
}

fn write_font(folder: &TempFolder) {
    let font = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/assets/fonts/Inter-Bold.ttf");
    fs::copy(font, folder.file("face.ttf")).unwrap();
}

/// A scene with a picture, a font and a scene of its own, and what was accepted over the API though it is not there.
fn start_with_files(folder: &TempFolder) -> (OnAir, Client) {
    write_font(folder);
    fs::write(folder.file("seen.png"), png([10, 200, 10], 8)).unwrap();
    folder.write(
        "inner.json",
        &scene("Inner", json!([a_box("dot", 0, 0, 9, "#ffffff")])).to_string(),
    );
    let mut first = scene(
        "Files",
        json!([
            a_box("box", 0, 0, 20, "#ff0000"),
            picture("seen", "seen.png"),
            {"id": "inside", "source": {"type": "scene", "src": "inner"}},
        ]),
    );
    first["assets"] = json!({"face": {"path": "face.ttf"}});
    folder.write("scene.json", &first.to_string());
    let (on_air, client) = again(folder, &QUIET);
    let film = json!({"id": "film", "source": {"type": "video", "src": "never.mp4"}, "size": {"width": 32, "height": 18}});
    client.ok("POST", "/stream/layers", film);
    let mut items: Vec<Value> = (0..65)
        .map(|number| json!({"id": format!("i{number}"), "title": "An item"}))
        .collect();
    items.push(json!({"id": "last", "title": "Last", "image": "late.png"}));
    let feed = json!({"id": "lots", "source": {"type": "visualFeed", "items": items}, "size": {"width": 60, "height": 60}});
    client.ok("POST", "/stream/layers?durable=true", feed);
    (on_air, client)
}

#[test]
fn files_that_are_gone_are_named_and_the_rest_goes_on() {
    let folder = TempFolder::new();
    let (on_air, _) = start_with_files(&folder);
    kill(on_air);
    for name in ["seen.png", "face.ttf", "inner.json"] {
        fs::remove_file(folder.file(name)).unwrap();
    }
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line(LEFT_OFF);
    for name in [
        "`seen.png`",
        "`face.ttf`",
        "`inner`",
        "`never.mp4`",
        "`late.png`",
    ] {
        let told = on_air.line(&format!("goes on without a file: {}", kind_of(name)));
        assert!(told.contains("ERROR"), "{told}");
    }
    // It can be worked with: what is not there keeps nothing else from being changed, nor from being moved or taken away itself.
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.5}));
    client.ok(
        "PATCH",
        "/stream/layers/inside",
        json!({"position": {"x": 9, "y": 9}}),
    );
    client.ok("DELETE", "/stream/layers/film?durable=true", Value::Null);
    kill(on_air);
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line(LEFT_OFF);
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);
    let other = json!({"id": "other", "source": {"type": "scene", "src": "inner"}});
    let (status, answer) = client.ask("POST", "/stream/layers", other.clone());
    assert_eq!(status, 422, "{answer}");
    folder.write("inner.json", &scene("Inner", json!([])).to_string());
    client.ok("POST", "/stream/layers", other);
    // Once all is there again, nothing that was changed on air is lost.
    write_font(&folder);
    fs::write(folder.file("seen.png"), png([10, 200, 10], 8)).unwrap();
    on_air.line("what was changed on air stays");
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);
    client.ok("PATCH", "/stream/layers/seen", json!({"opacity": 0.5}));
}

/// How a file is told of.
fn kind_of(name: &str) -> String {
    let kind = match name {
        "`face.ttf`" => "font",
        "`inner`" => "scene",
        "`never.mp4`" => "film or sound",
        _ => "picture",
    };
    format!("{kind} {name}")
}

#[test]
fn what_stands_in_the_scene_on_air_cannot_be_deleted() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &QUIET);
    let id = upload(&client, "red.png", &png([200, 0, 0], 8));
    put(
        &client,
        "inmost",
        scene("Inmost", json!([picture("red", &format!("asset:{id}"))])),
    );
    let within = |name: &str| json!([{"id": "layer", "source": {"type": "scene", "src": name}}]);
    put(&client, "inner", scene("Inner", within("inmost")));
    put(&client, "outer", scene("Outer", within("inner.json")));
    activate(&client, "outer");
    let asset = format!("/stream/assets/{id}");
    let paths = ["/stream/scenes/inner", "/stream/scenes/inmost", &asset];
    for path in paths {
        let (status, answer) = client.ask("DELETE", path, Value::Null);
        let code = &answer["error"]["code"];
        assert_eq!(
            (status, code),
            (409, &json!("CONFLICT")),
            "{path}: {answer}"
        );
    }
    activate(&client, "scene");
    for path in paths {
        client.ok("DELETE", path, Value::Null);
    }
}

#[test]
fn a_scene_that_is_larger_with_its_data_than_a_file_may_be_comes_back() {
    const FILES: usize = 30_000;
    const PIECE_BYTES: usize = 900_000;
    let folder = TempFolder::new();
    fs::write(folder.file("seen.png"), png([10, 200, 10], 8)).unwrap();
    let mut large = scene("Large", json!([a_box("box", 0, 0, 20, "#ff0000")]));
    let names = (0..FILES).map(|number| (format!("a{number:05}"), json!({"path": "seen.png"})));
    large["assets"] = Value::Object(names.collect());
    let large = large.to_string();
    folder.write("scene.json", &large);
    let (on_air, client) = again(&folder, &QUIET);
    let pieces = (16 << 20) / PIECE_BYTES;
    assert!(large.len() + pieces * PIECE_BYTES > 16 << 20);
    for number in 0..pieces {
        let piece = json!({(format!("piece{number}")): "x".repeat(PIECE_BYTES)});
        client.ok("PATCH", "/stream/data", piece);
    }
    client.ok("PATCH", "/stream/data?durable=true", json!({"n": 1}));
    kill(on_air);
    let (on_air, client) = again(&folder, &QUIET);
    on_air.line(LEFT_OFF);
    assert_eq!(client.get("/stream/data")["n"], 1);
}

#[test]
fn a_standby_without_any_of_the_files_takes_over() {
    let redis = Redis::start();
    let url = redis.url();
    let more = [&QUIET[..], &["--redis-url", &url]].concat();
    let (first, second) = (TempFolder::new(), TempFolder::new());
    let inner = scene("Inner", json!([a_box("dot", 0, 0, 9, "#ffffff")]));
    first.write("inner.json", &inner.to_string());
    let layers = json!([
        a_box("box", 0, 0, 20, "#ff0000"),
        {"id": "inside", "source": {"type": "scene", "src": "inner"}},
    ]);
    first.write("scene.json", &scene("Outer", layers).to_string());
    let (on_air, client) = again(&first, &more);
    let path = "/stream/layers/box?durable=true";
    client.ok("PATCH", path, json!({"opacity": 0.5}));
    // One that names another scene could never do anything.
    let mut other = program(&second.0);
    other
        .args(["run", "other.json"])
        .args(FREE_PORTS)
        .args(&more);
    assert!(
        refused(&mut other).contains("other.json"),
        "the file is told"
    );
    let waiting = OnAir::start(&mut command(&second, &more));
    let told = waiting.line("files that the stream shows are not here");
    assert!(told.contains("`inner`"), "{told}");
    kill(on_air);
    waiting.line(LEFT_OFF);
    let client = Client::new(waiting.port("api"));
    client.leads();
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);
    client.ok("PATCH", path, json!({"opacity": 0.25}));
}
