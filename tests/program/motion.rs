//! Motion over the API: scenes that give way to each other by hand, layers that go to new values, timelines in groups.

use super::api::start;
use super::client::{Client, a_box};
use super::support::{OnAir, SMALL_SCENE, TempFolder};
use serde_json::{Value, json};

fn quiet(folder: &TempFolder) -> (OnAir, Client) {
    start(folder, &["--recording", "false"])
}

fn second(client: &Client) {
    let mut second: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    second["layers"] = json!([a_box("dot", 4, 4, 20, "#00ff00")]);
    second["timelines"] = json!([{"id": "go", "loop": "loop", "tracks": [{
        "layer": "dot", "property": "position.x", "keyframes": [{"at": 0, "value": 0}, {"at": 60, "value": 60}],
    }]}]);
    // So long that none of it is over before the test is.
    second["transitions"] = json!({"scene": {"type": "wipe", "duration": 60}});
    client.ok("PUT", "/stream/scenes/second", second);
}

fn program(client: &Client) -> Value {
    client.get("/stream/scenes")["program"]["id"].take()
}

#[test]
fn an_operator_moves_turns_and_ends_a_change_of_scenes() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    second(&client);
    let mut socket = client.socket("/ws");
    assert_eq!(client.get("/stream/transition")["active"], false);
    for action in ["continue", "reverse", "cancel", "finish"] {
        let path = format!("/stream/transition/{action}");
        assert_eq!(client.ask("POST", &path, Value::Null).0, 409, "{action}");
    }

    let activated = client.ok("POST", "/stream/scenes/second/activate", Value::Null);
    assert_eq!(program(&client), "second");
    let started = socket.event("transition:start");
    assert_eq!(started["tick"], activated["tick"]);
    assert_eq!(started["data"]["from"], "scene");
    let now = client.get("/stream/transition");
    assert_eq!(
        (&now["active"], &now["to"]),
        (&json!(true), &json!("second"))
    );
    assert_eq!(now["transition"]["type"], "wipe");

    let held = client.ok("PUT", "/stream/transition", json!({"position": 0.5}));
    assert_eq!(held["data"]["position"], 0.5);
    assert_eq!(held["data"]["held"], true);
    assert_eq!(socket.event("transition:update")["data"]["position"], 0.5);
    let (status, answer) = client.ask(
        "PUT",
        "/stream/transition",
        json!({"position": 0.7, "scene": "scene"}),
    );
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = client.ask("PUT", "/stream/transition", json!({"position": 1.5}));
    assert_eq!(status, 422, "{answer}");
    // What is changed meanwhile is changed in the scene that comes.
    client.ok("PATCH", "/stream/layers/dot", json!({"opacity": 0.5}));

    client.ok("POST", "/stream/transition/reverse", Value::Null);
    assert_eq!(program(&client), "scene");
    assert_eq!(client.get("/stream/layers")["layers"][0]["id"], "box");
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.25}));
    client.ok("POST", "/stream/transition/cancel", Value::Null);
    assert_eq!(program(&client), "second");
    assert_eq!(
        client.get("/stream/layers/dot")["opacity"],
        0.5,
        "as it was left"
    );
    assert_eq!(
        client.get("/stream/timelines")["timelines"][0]["state"],
        "playing"
    );
    assert_eq!(socket.event("transition:end")["data"]["active"], false);
    assert_eq!(client.get("/stream/transition")["active"], false);

    let (status, _) = client.ask("PUT", "/stream/transition", json!({"position": 0.1}));
    assert_eq!(status, 409, "no scene is in preview");
    client.ok("POST", "/stream/scenes/scene/preview", Value::Null);
    client.ok("PUT", "/stream/transition", json!({"position": 0.1}));
    assert_eq!(
        client.get("/stream/transition")["transition"]["type"],
        "fade",
        "a cut cannot be held"
    );
    client.ok("POST", "/stream/transition/finish", Value::Null);
    assert_eq!(program(&client), "scene");
}

#[test]
fn a_change_of_scenes_ends_by_itself_and_says_so() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    second(&client);
    let mut socket = client.socket("/ws");
    let way = json!({"transition": {"type": "fade", "duration": 0.2}});
    let activated = client.ok("POST", "/stream/scenes/second/activate", way);
    let end = socket.event("transition:end");
    let ticks = end["tick"].as_u64().unwrap() - activated["tick"].as_u64().unwrap();
    assert!((6..=8).contains(&ticks), "{ticks} ticks of 30 a second");
    assert_eq!(end["data"], json!({"from": "scene", "to": "second"}));
    assert_eq!(
        client
            .ask("POST", "/stream/transition/reverse", Value::Null)
            .0,
        409
    );
}

#[test]
fn layers_go_to_new_values_and_what_cannot_be_is_refused() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let patch = json!({"position": {"x": 50}});
    let moved = client.ok(
        "PATCH",
        "/stream/layers/box?animate=30&easing=easeOutCubic",
        patch.clone(),
    );
    assert_eq!(
        moved["data"]["position"]["x"], 50,
        "the new value is the layer's own at once"
    );
    let spring =
        json!({"to": {"opacity": 0.5}, "duration": 0.4, "easing": {"spring": {"bounce": 0.3}}});
    client.ok("POST", "/stream/layers/box/animations", spring);
    for (method, path, body, words) in [
        (
            "PATCH",
            "/stream/layers/box?animate=x",
            patch.clone(),
            "animate",
        ),
        (
            "PATCH",
            "/stream/layers/box?animate=601",
            patch.clone(),
            "600",
        ),
        (
            "PATCH",
            "/stream/layers/box?animate=1&easing=fast",
            patch.clone(),
            "easing",
        ),
        (
            "PATCH",
            "/stream/layers/box?easing=linear",
            patch.clone(),
            "`animate`",
        ),
        (
            "POST",
            "/stream/layers/box/animations",
            json!({"to": {}, "duration": -1}),
            "duration",
        ),
        (
            "POST",
            "/stream/layers/box/animations",
            json!({"to": {"opacity": 2}}),
            "to.opacity",
        ),
        (
            "POST",
            "/stream/layers/box/animations",
            json!({"duration": 1}),
            "`to`",
        ),
    ] {
        let (status, answer) = client.ask(method, path, body);
        assert_eq!(status / 100, 4, "{path}");
        assert!(
            answer["error"].to_string().contains(words),
            "{path}: {answer}"
        );
    }
    let (status, _) = client.ask(
        "POST",
        "/stream/layers/nobody/animations",
        json!({"to": {}}),
    );
    assert_eq!(status, 404);
}

#[test]
fn crops_and_anchors_are_moved_by_timelines_and_on_the_way_to_new_values() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let scene = |crop: f32| {
        let mut scene: Value = serde_json::from_str(SMALL_SCENE).unwrap();
        scene["layers"] = json!([a_box("dot", 100, 20, 40, "#00ff00")]);
        scene["timelines"] = json!([{"id": "cut", "duration": 1, "tracks": [
            {"layer": "dot", "property": "crop", "keyframes": [{"at": 0, "value": {"left": crop, "top": 5}}]},
            {"layer": "dot", "property": "crop.right", "keyframes": [{"at": 0, "value": 4}]},
        ]}]);
        scene
    };
    let (status, answer) = client.ask("PUT", "/stream/scenes/cut", scene(-1.0));
    assert_eq!(status, 422, "{answer}");
    let told = answer.to_string();
    assert!(
        told.contains("timelines[0].tracks[0].keyframes[0].value.left"),
        "{told}"
    );
    client.ok("PUT", "/stream/scenes/cut", scene(10.0));
    client.ok("POST", "/stream/scenes/cut/activate", Value::Null);
    let moved = client.get("/stream/layers/dot/animations");
    assert_eq!(
        moved["animations"][0]["properties"],
        json!(["crop", "crop.right"])
    );
    // What is cut off is not there for a pointer either.
    let hit = |x: u32, y: u32| {
        let body = json!({"x": x, "y": y, "space": "canvas"});
        client.ok("POST", "/stream/viewport/hit", body)["data"]["layers"].clone()
    };
    assert_eq!(hit(105, 40), json!([]));
    assert_eq!(hit(115, 22), json!([]));
    assert_eq!(hit(138, 40), json!([]));
    assert_eq!(hit(115, 40), json!(["dot"]));

    // A long way to another anchor and another crop: told at once, seen bit by bit.
    let to = json!({"to": {"crop": {"top": 30}, "zIndex": 7}, "duration": 600});
    client.ok("POST", "/stream/timelines/cut/stop", Value::Null);
    let told = client.ok("POST", "/stream/layers/dot/animations", to);
    assert_eq!(told["data"]["crop"]["top"], 30.0);
    assert_eq!(told["data"]["zIndex"], 7);
    assert_eq!(hit(115, 40), json!(["dot"]), "hardly anything is cut yet");
    let left = || {
        client.get("/stream/layers/dot/bounds")["bounds"]["canvas"]["x"]
            .as_f64()
            .unwrap()
    };
    let before = left();
    let patch = json!({"anchor": "right"});
    let told = client.ok(
        "PATCH",
        "/stream/layers/dot?animate=600&easing=linear",
        patch,
    );
    assert_eq!(told["data"]["anchor"]["x"], 1.0);
    let after = left();
    assert!(after < before && after > before - 20.0, "{before} {after}");
}

#[test]
fn timelines_are_told_in_groups_and_follow_each_other() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let line = |group: Option<&str>, after: Option<&str>| {
        let mut line = json!({"autoplay": false, "tracks": [{
            "layer": "box", "property": "opacity", "keyframes": [{"at": 0, "value": 0}, {"at": 50, "value": 1}],
        }]});
        if let Some(group) = group {
            line["group"] = json!(group);
        }
        if let Some(after) = after {
            line["startAfter"] = json!(after);
        }
        line
    };
    for (id, group) in [("a", Some("both")), ("b", Some("both")), ("c", None)] {
        let mut body = line(group, None);
        body["id"] = json!(id);
        client.ok("PUT", &format!("/stream/timelines/{id}"), body);
    }
    let played = client.ok("POST", "/stream/timelines/both/play?blend=0.3", Value::Null);
    let states: Vec<&Value> = played["data"]["timelines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["state"])
        .collect();
    assert_eq!(states, ["playing", "playing"]);
    assert_eq!(client.get("/stream/timelines/c")["id"], "c");
    let animations = client.get("/stream/layers/box/animations");
    assert!(animations["count"].as_u64().unwrap() >= 3, "{animations}");
    client.ok(
        "DELETE",
        "/stream/layers/box/animations?blend=0.2",
        Value::Null,
    );
    let all = client.get("/stream/timelines");
    let stopped = all["timelines"]
        .as_array()
        .unwrap()
        .iter()
        .all(|it| it["state"] == "stopped");
    assert!(stopped, "{all}");

    for (id, after, words) in [("d", "nobody", "no timeline"), ("d", "d", "circle")] {
        let mut body = line(None, Some(after));
        body["id"] = json!(id);
        let (status, answer) = client.ask("PUT", "/stream/timelines/d", body);
        assert_eq!(status, 422);
        assert!(answer["error"].to_string().contains(words), "{answer}");
    }
    for (property, value, words) in [
        ("source.colour", json!(1), "source.color"),
        ("source.color", json!(1), "colour"),
        ("size.width", json!(0), "0.01"),
    ] {
        let body = json!({"id": "e", "duration": 1, "tracks": [{"layer": "box", "property": property, "keyframes": [{"at": 0, "value": value}]}]});
        let (status, answer) = client.ask("PUT", "/stream/timelines/e", body);
        assert_eq!(status / 100, 4, "{property}");
        assert!(
            answer["error"].to_string().contains(words),
            "{property}: {answer}"
        );
    }
}

#[test]
fn a_scene_is_saved_as_it_is_authored_whatever_moved() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    second(&client);
    client.ok("POST", "/stream/scenes/second/activate", Value::Null);
    client.ok("POST", "/stream/transition/finish", Value::Null);
    client.ok("POST", "/stream/scenes/second/save", Value::Null);
    let authored = std::fs::read(folder.file("second.json")).unwrap();
    for step in ["pause", "seek", "play", "stop", "play"] {
        let body = if step == "seek" {
            json!({"to": 31.5})
        } else {
            Value::Null
        };
        client.ok("POST", &format!("/stream/timelines/go/{step}"), body);
    }
    client.ok(
        "PUT",
        "/stream/transition",
        json!({"position": 0.5, "scene": "scene"}),
    );
    client.ok("POST", "/stream/transition/cancel", Value::Null);
    client.ok("POST", "/stream/scenes/second/save", Value::Null);
    assert!(std::fs::read(folder.file("second.json")).unwrap() == authored);
}
