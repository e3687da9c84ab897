//! What editors measure: spaces, places, what is under a pointer, snapping, and guides that are never on air.

use super::api::start;
use super::client::{Client, a_box};
use super::support::{OnAir, SMALL_SCENE, TempFolder};
use serde_json::{Value, json};

fn quiet(folder: &TempFolder) -> (OnAir, Client) {
    start(folder, &["--recording", "false"])
}

pub fn convert(client: &Client, from: Value, to: Value, point: (f64, f64)) -> (f64, f64) {
    let body = json!({"from": from, "to": to, "points": [{"x": point.0, "y": point.1}]});
    let answer = client.ok("POST", "/stream/viewport/convert", body);
    let point = &answer["data"]["points"][0];
    (point["x"].as_f64().unwrap(), point["y"].as_f64().unwrap())
}

/// A scene of 640x640 with a turned group, on air on frames of 320x180.
fn square(client: &Client) {
    let mut scene: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    scene["canvas"] = json!({"width": 640, "height": 640, "grid": {"size": 20, "snap": true}});
    scene["timelines"] = json!([]);
    let mut child = a_box("child", 10, 0, 40, "#ff0000");
    child["zIndex"] = json!(1);
    scene["layers"] = json!([
        a_box("back", 0, 0, 640, "#202020"),
        {"id": "group", "source": {"type": "group"}, "position": {"x": 320, "y": 320}, "rotation": 90, "scale": {"x": 2, "y": 2},
         "children": [child]},
        {"id": "hidden", "visible": false, "source": {"type": "color", "color": "#ffffff"}, "size": {"width": 640, "height": 640}},
    ]);
    let (status, answer) = client.ask("PUT", "/stream/scenes/square", scene);
    assert_eq!(status, 201, "{answer}");
    client.ok("POST", "/stream/scenes/square/activate", Value::Null);
}

#[test]
fn a_scene_of_another_canvas_comes_on_air_scaled() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let view = client.get("/stream/viewport");
    assert_eq!(view["canvas"], json!({"width": 320, "height": 180}));
    assert_eq!(
        (&view["scale"], &view["output"]),
        (&json!(1), &view["canvas"])
    );
    square(&client);
    let view = client.get("/stream/viewport");
    assert_eq!(view["canvas"], json!({"width": 640, "height": 640}));
    assert_eq!(view["output"], json!({"width": 320, "height": 180}));
    assert_eq!(view["scale"], 0.28125);
    assert_eq!(view["offset"], json!({"x": 70, "y": 0}));
    assert_eq!(view["grid"], json!({"size": 20, "snap": true}));
    let title = &view["safeAreas"]["title"];
    assert_eq!(
        title["canvas"]["x"].as_f64().unwrap().round(),
        32.0,
        "{title}"
    );
    assert_eq!(title["output"]["x"].as_f64().unwrap().round(), 79.0);
    let frame = client.send("GET", "/stream/snapshot.png", "", b"");
    let picture = image::load_from_memory(&frame.body).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (320, 180));
    assert!(picture.get_pixel(60, 90).0.iter().all(|value| *value < 3));
    assert!(
        picture
            .get_pixel(80, 10)
            .0
            .iter()
            .all(|value| value.abs_diff(32) < 3)
    );
}

#[test]
fn points_go_from_every_space_to_every_other_and_back() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    square(&client);
    let layer = |id: &str| json!({"layer": id});
    let middle = convert(&client, json!("normalized"), json!("canvas"), (0.5, 0.5));
    assert_eq!(middle, (320.0, 320.0));
    assert_eq!(
        convert(&client, json!("canvas"), json!("output"), middle),
        (160.0, 90.0)
    );
    // Turned by a quarter and twice as large: x of the child runs down the canvas.
    let corner = convert(&client, layer("child"), json!("canvas"), (0.0, 0.0));
    assert!((corner.0 - 320.0).abs() < 1e-3 && (corner.1 - 340.0).abs() < 1e-3);
    let spaces = [
        json!("canvas"),
        json!("output"),
        json!("normalized"),
        layer("group"),
        layer("child"),
    ];
    for from in &spaces {
        for to in &spaces {
            let there = convert(&client, from.clone(), to.clone(), (12.5, -3.25));
            let back = convert(&client, to.clone(), from.clone(), there);
            assert!(
                (back.0 - 12.5).abs() < 1e-2 && (back.1 + 3.25).abs() < 1e-2,
                "{from} {to}: {there:?} {back:?}"
            );
        }
    }
    let snapped = client.ok(
        "POST",
        "/stream/viewport/convert",
        json!({"from": "canvas", "to": "canvas", "snap": true, "points": [{"x": 93, "y": 318}]}),
    );
    assert_eq!(snapped["data"]["points"], json!([{"x": 100, "y": 320}]));
    for (body, status) in [
        (
            json!({"from": "canvas", "to": {"layer": "nobody"}, "points": [{"x": 0, "y": 0}]}),
            404,
        ),
        (
            json!({"from": "canvas", "to": "screen", "points": [{"x": 0, "y": 0}]}),
            400,
        ),
        (json!({"from": "canvas", "to": "output", "points": []}), 400),
        (
            json!({"from": "canvas", "to": "output", "points": [{"x": 1e7, "y": 0}]}),
            400,
        ),
    ] {
        let answer = client.ask("POST", "/stream/viewport/convert", body.clone());
        assert_eq!(answer.0, status, "{body}: {}", answer.1);
    }
}

#[test]
fn a_layer_says_where_it_stands_and_a_pointer_what_is_under_it() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    square(&client);
    let child = client.get("/stream/layers/child/bounds");
    assert_eq!(child["box"], json!({"width": 40, "height": 40}));
    assert_eq!(
        (&child["visible"], &child["onCanvas"]),
        (&json!(true), &json!(true))
    );
    // From x 240 to 320 and y 340 to 420, and so does its group, which has no box of its own.
    for bounds in [&child, &client.get("/stream/layers/group/bounds")] {
        let area = &bounds["bounds"]["canvas"];
        for (name, expected) in [
            ("x", 240.0),
            ("y", 340.0),
            ("width", 80.0),
            ("height", 80.0),
        ] {
            let value = area[name].as_f64().unwrap();
            assert!((value - expected).abs() < 1e-2, "{name}: {bounds}");
        }
        assert_eq!(bounds["corners"].as_array().unwrap().len(), 4);
    }
    assert_eq!(client.get("/stream/layers/hidden/bounds")["visible"], false);
    assert_eq!(
        client
            .ask("GET", "/stream/layers/nobody/bounds", Value::Null)
            .0,
        404
    );

    let under = |pointer: Value| {
        client.ok("POST", "/stream/viewport/hit", pointer)["data"]["layers"].clone()
    };
    assert_eq!(under(json!({"x": 280, "y": 380})), json!(["child", "back"]));
    assert_eq!(under(json!({"x": 280, "y": 330})), json!(["back"]));
    assert_eq!(
        under(json!({"x": 0.4375, "y": 0.59, "space": "normalized"})),
        json!(["child", "back"])
    );
    assert_eq!(
        under(json!({"x": 10, "y": 90, "space": "output"})),
        json!([]),
        "a bar"
    );
}

#[test]
fn positions_snap_where_scene_and_request_say_so() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    square(&client);
    let patch = |query: &str, id: &str, position: Value| {
        let path = format!("/stream/layers/{id}{query}");
        client.ok("PATCH", &path, json!({"position": position}))["data"]["position"].clone()
    };
    let moved = patch("?snap=true", "back", json!({"x": 93, "y": 318}));
    assert_eq!(moved, json!({"x": 100, "y": 320}));
    let plain = patch("", "back", json!({"x": 93, "y": 318}));
    assert_eq!(plain, json!({"x": 93, "y": 318}));
    // Only what is written snaps; in a group to its own grid.
    assert_eq!(patch("?snap=true", "back", json!({"y": 29}))["x"], 93);
    assert_eq!(patch("?snap=true", "child", json!({"x": 31}))["x"], 40);
    let batch = json!({"commands": [
        {"type": "layer.update", "id": "back", "snap": true, "patch": {"position": {"x": 7, "y": 11}}},
    ]});
    client.ok("POST", "/stream/commands", batch);
    let back = client.get("/stream/layers/back");
    assert_eq!(back["position"], json!({"x": 0, "y": 20}));
    // The first scene does not say so.
    client.ok("POST", "/stream/scenes/scene/activate", Value::Null);
    assert_eq!(patch("?snap=true", "box", json!({"y": 31}))["y"], 31);
}

#[test]
fn guides_are_seen_in_the_preview_alone() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let mut scene: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    scene["layers"] = json!([]);
    scene["timelines"] = json!([]);
    client.ask("PUT", "/stream/scenes/plain", scene);
    client.ok("POST", "/stream/scenes/plain/preview", Value::Null);
    let picture = |query: &str| {
        let answer = client.send("GET", &format!("/stream/preview.png{query}"), "", b"");
        let picture = image::load_from_memory(&answer.body);
        picture.unwrap_or_else(|_| panic!("{query}")).into_rgb8()
    };
    let plain = picture("");
    let own = plain.get_pixel(0, 0).0;
    assert!(plain.pixels().all(|pixel| pixel.0 == own));
    for size in [(320, 180), (640, 360), (1920, 1080)] {
        let guided = picture(&format!("?guides=safeAreas&size={}x{}", size.0, size.1));
        assert_eq!(guided.dimensions(), size);
        // One crisp line of the title area's colour on the way in from the left.
        let row: Vec<_> = (0..size.0 / 2)
            .map(|x| guided.get_pixel(x, size.1 / 3).0)
            .collect();
        let lit = row
            .iter()
            .filter(|pixel| pixel[0] == 255 && pixel[1] == 211);
        assert_eq!(
            lit.count() as f64,
            (f64::from(size.1) / 1080.0).round().max(1.0),
            "{size:?}"
        );
    }
    // Of other proportions: bars beside the canvas.
    let tall = picture("?size=180x180&guides=center");
    assert_eq!(
        (tall.get_pixel(90, 5).0, tall.get_pixel(5, 90).0),
        ([0; 3], own)
    );
    assert_eq!(picture("?size=180x180&fit=cover").get_pixel(90, 5).0, own);
    assert_eq!(picture("?at=2.5").get_pixel(5, 5).0, own);

    for path in [
        "/stream/snapshot.png?guides=true",
        "/stream/snapshot.jpg?guides=grid",
        "/stream/preview.png?guides=lines",
        "/stream/preview.png?size=641x360",
        "/stream/preview.png?size=640x360&width=64",
        "/stream/preview.png?at=-1",
    ] {
        assert_eq!(client.send("GET", path, "", b"").status, 400, "{path}");
    }
    let jpeg = client.send("GET", "/stream/preview.jpg?guides=true", "", b"");
    assert!(jpeg.body.starts_with(b"\xff\xd8"));
    // The program has none of them, also once the scene is there.
    client.ok("POST", "/stream/preview/take", Value::Null);
    let snapshot = client.send("GET", "/stream/snapshot.png", "", b"");
    let program = image::load_from_memory(&snapshot.body).unwrap().into_rgb8();
    let first = program.get_pixel(0, 0).0;
    assert!(program.pixels().all(|pixel| pixel.0 == first));
}
