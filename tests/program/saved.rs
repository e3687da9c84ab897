//! Scenes that are saved over the API while their files are watched and while others are kept ready.

use super::api::start;
use super::client::a_box;
use super::support::{SMALL_SCENE, TempFolder};
use serde_json::{Value, json};

const QUIET: [&str; 4] = ["--recording", "false", "--log-level", "debug"];

#[test]
fn what_is_changed_after_a_save_stays_and_what_others_write_comes_on_air() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.5}));
    client.ok("POST", "/stream/scenes/scene/save", Value::Null);
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.25}));
    let revision = client.revision();
    on_air.line("the scene's file is as it was saved");
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.25);
    assert_eq!(client.revision(), revision);
    assert_eq!(client.get("/stream/scenes")["program"]["edited"], true);

    folder.write(
        "scene.json",
        &SMALL_SCENE.replace("\"Small\"", "\"Of others\""),
    );
    on_air.line("the scene was reloaded");
    let program = client.get("/stream/scenes")["program"].take();
    assert_eq!(
        program,
        json!({"id": "scene", "name": "Of others", "edited": false})
    );
    assert_eq!(client.get("/stream/layers/box")["opacity"], 1);
}

#[test]
fn a_saved_scene_comes_back_on_air_as_it_was_saved() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &QUIET);
    let mut second: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    second["layers"] = json!([a_box("dot", 4, 4, 20, "#00ff00")]);
    second["timelines"] = json!([]);
    client.ok("PUT", "/stream/scenes/second", second);
    let activate = |id: &str| {
        let path = format!("/stream/scenes/{id}/activate");
        client.ok("POST", &path, Value::Null);
    };
    // Both are kept ready from here on.
    activate("second");
    activate("scene");
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.5}));
    client.ok("POST", "/stream/scenes/scene/save", Value::Null);
    activate("second");
    activate("scene");
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.5);

    let mut third: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    third["layers"][0]["opacity"] = json!(0.75);
    client.ok("PUT", "/stream/scenes/scene", third);
    activate("second");
    activate("scene");
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.75);

    // Over another scene that is kept ready.
    client.ok("POST", "/stream/scenes/scene/save", json!({"as": "second"}));
    activate("scene");
    activate("second");
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.75);
}
