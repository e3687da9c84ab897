//! The API as programs use it: what is asked for is on air, what is refused changes nothing and says why.

use super::client::{Client, a_box};
use super::support::{FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, program, until};
use serde_json::{Value, json};

pub fn start(folder: &TempFolder, more: &[&str]) -> (OnAir, Client) {
    folder.write("scene.json", SMALL_SCENE);
    let on_air = OnAir::start(
        program(&folder.0)
            .args(["run", "scene.json"])
            .args(FREE_PORTS)
            .args(["--hls", "false"])
            .args(more),
    );
    let client = Client::new(on_air.port("api"));
    (on_air, client)
}

fn quiet(folder: &TempFolder) -> (OnAir, Client) {
    start(folder, &["--recording", "false"])
}

fn ids(client: &Client) -> Vec<String> {
    let list = client.get("/stream/layers");
    let layers = list["layers"].as_array().unwrap();
    assert_eq!(list["count"], layers.len());
    layers
        .iter()
        .map(|layer| layer["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn layers_are_made_read_changed_moved_and_deleted() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    assert_eq!(ids(&client), ["box"]);

    let mut card = a_box("card", 10, 10, 40, "#ffffff");
    card["zIndex"] = json!(-5);
    let made = client.ok("POST", "/stream/layers", card);
    assert_eq!(
        made["data"]["opacity"], 1,
        "what holds by default is told too"
    );
    assert_eq!(ids(&client), ["card", "box"], "from the back to the front");
    let (tick, revision) = (
        made["tick"].as_u64().unwrap(),
        made["revision"].as_u64().unwrap(),
    );

    let changed = client.ok(
        "PATCH",
        "/stream/layers/card",
        json!({"opacity": 0.5, "position": {"x": 30}, "zIndex": 999}),
    );
    assert!(changed["tick"].as_u64().unwrap() > tick);
    assert_eq!(changed["revision"], revision + 1);
    let card = client.get("/stream/layers/card");
    assert_eq!(card, changed["data"]);
    assert_eq!(
        (&card["opacity"], &card["position"]),
        (&json!(0.5), &json!({"x": 30, "y": 10}))
    );
    assert_eq!(ids(&client), ["box", "card"]);
    let reset = client.ok("PATCH", "/stream/layers/card", json!({"opacity": null}));
    assert_eq!(reset["data"]["opacity"], 1);

    client.ok(
        "POST",
        "/api/layers?parent=card",
        a_box("child", 0, 0, 8, "red"),
    );
    assert_eq!(client.get("/stream/layers/child")["parent"], "card");
    assert_eq!(client.get("/api/layers/card")["children"], json!(["child"]));
    client.ok("POST", "/stream/layers/child/move", json!({"index": 0}));
    assert_eq!(client.get("/stream/layers/child")["parent"], Value::Null);
    let (status, answer) = client.ask(
        "POST",
        "/stream/layers/card/move",
        json!({"parent": "card"}),
    );
    assert_eq!(
        (status, &answer["error"]["code"]),
        (409, &json!("CONFLICT"))
    );

    client.ok(
        "PUT",
        "/stream/layers/child",
        a_box("child", 5, 5, 9, "blue"),
    );
    client.ok("DELETE", "/stream/layers/child", Value::Null);
    assert_eq!(
        client.ask("GET", "/stream/layers/child", Value::Null).0,
        404
    );
    // With the layer go the tracks that move it.
    client.ok("DELETE", "/stream/layers/box", Value::Null);
    assert_eq!(client.get("/stream/timelines")["count"], 0);
    assert_eq!(ids(&client), ["card"]);
}

#[test]
fn a_refused_change_changes_nothing_and_says_what_is_wrong_and_where() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let before = (client.revision(), client.get("/stream/layers"));
    let mut wrong = Vec::new();
    let huge = json!({"size": {"width": 100_000, "height": 100_000}});
    for (method, path, body, status, words) in [
        (
            "PATCH",
            "/stream/layers/box",
            json!({"opacty": 1}),
            400,
            "did you mean `opacity`?",
        ),
        (
            "PATCH",
            "/stream/layers/box",
            json!({"opacity": "x"}),
            400,
            "opacity: expected",
        ),
        (
            "PATCH",
            "/stream/layers/box",
            json!({"opacity": 2}),
            422,
            "opacity: 2 is out of range",
        ),
        ("PATCH", "/stream/layers/box", huge, 422, "size.width"),
        (
            "PATCH",
            "/stream/layers/box",
            json!([1]),
            400,
            "expected an object",
        ),
        (
            "PATCH",
            "/stream/layers/box",
            json!({"id": "other"}),
            422,
            "keeps its id",
        ),
        (
            "PATCH",
            "/stream/layers/bix",
            json!({}),
            404,
            "did you mean `box`?",
        ),
        (
            "POST",
            "/stream/layers",
            a_box("box", 0, 0, 4, "red"),
            409,
            "`box` is taken",
        ),
        (
            "POST",
            "/stream/layers",
            json!({"id": "a b"}),
            422,
            "letters from a to z",
        ),
        (
            "POST",
            "/stream/layers",
            json!({"name": "x"}),
            400,
            "has no `id`",
        ),
        (
            "POST",
            "/stream/layers?parent=nobody",
            a_box("n", 0, 0, 4, "red"),
            404,
            "`nobody`",
        ),
        (
            "POST",
            "/stream/layers?parnt=box",
            a_box("n", 0, 0, 4, "red"),
            400,
            "did you mean `parent`?",
        ),
        (
            "POST",
            "/stream/layers",
            json!({"id": "t", "source": {"type": "text", "text": "{{no.such}}", "font": {"size": 12}}}),
            422,
            "source.text: there is no `no.such`",
        ),
        (
            "POST",
            "/stream/layers",
            json!({"id": "p", "source": {"type": "image", "src": "../../etc/passwd"}}),
            422,
            "leaves the scene's folder",
        ),
        (
            "POST",
            "/stream/layers",
            json!({"id": "p", "source": {"type": "image", "src": "gone.png"}}),
            422,
            "does not exist",
        ),
        (
            "PATCH",
            "/stream/data",
            json!({"clock": 1}),
            422,
            "built-in",
        ),
        (
            "PATCH",
            "/stream/config",
            json!({"STREAM_BITRATE": "fast"}),
            422,
            "STREAM_BITRATE: expected kbit/s",
        ),
        ("PATCH", "/stream/config", json!({"PORT": 1}), 400, "PORT"),
        (
            "POST",
            "/stream/scenes/nowhere/activate",
            Value::Null,
            404,
            "`nowhere`",
        ),
        (
            "PUT",
            "/stream/scenes/.hidden",
            json!({}),
            422,
            "does not begin with a dot",
        ),
        (
            "POST",
            "/stream/timelines/move/seek",
            json!({"to": 99}),
            422,
            "from 0 to 1",
        ),
        (
            "POST",
            "/stream/timelines/mov/play",
            Value::Null,
            404,
            "did you mean `move`?",
        ),
        (
            "POST",
            "/stream/control",
            json!({"action": "explode"}),
            400,
            "action",
        ),
        (
            "POST",
            "/stream/commands",
            json!({"commands": []}),
            400,
            "1 to 1000",
        ),
        (
            "POST",
            "/stream/commands",
            json!({"commands": [{"type": "layer.delete", "id": "box"}, {"type": "layer.update", "id": "box", "patch": {}}]}),
            404,
            "`box`",
        ),
        (
            "POST",
            "/stream/commands",
            json!({"commands": [{"type": "data.update", "patch": {}}, {"type": "layer.update", "id": "box", "patch": {"opacity": -1}}]}),
            422,
            "commands[1].patch.opacity",
        ),
        (
            "POST",
            "/stream/commands",
            json!({"commands": [{"type": "data.update", "patch": {}}], "ifRevision": 999}),
            409,
            "not 999",
        ),
        (
            "POST",
            "/stream/commands",
            json!({"commands": [{"type": "data.update", "patch": {}}], "at": 0}),
            409,
            "is past",
        ),
    ] {
        let (code, answer) = client.ask(method, path, body.clone());
        let said = answer["error"].to_string();
        if code != status || !said.contains(words) || answer["success"] != false {
            wrong.push(format!("{method} {path} {body}: {code} {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((client.revision(), client.get("/stream/layers")), before);
    let trial = client.ok(
        "PATCH",
        "/stream/layers/box?dryRun=true",
        json!({"opacity": 0.2}),
    );
    assert_eq!(trial["data"]["opacity"], 0.2);
    assert_eq!((client.revision(), client.get("/stream/layers")), before);
}

#[test]
fn hostile_requests_get_a_clear_refusal() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let patch = |body: &[u8]| client.send("PATCH", "/stream/layers/box", "application/json", body);
    let deep = "[".repeat(100_000);
    for (body, status, words) in [
        (deep.as_bytes(), 400, "recursion limit"),
        (&b"{\"opacity\": NaN}"[..], 400, "not JSON"),
        (b"{\"name\": \"\xff\xfe\"}", 400, "not UTF-8"),
        (b"{\"opacity\": 1e999}", 400, "not JSON"),
        (b"{\"opacity\": 0.5", 400, "not JSON"),
    ] {
        let answer = patch(body);
        let said = answer.json()["error"]["message"].to_string();
        assert_eq!(answer.status, status, "{said}");
        assert!(said.contains(words), "{said}");
    }
    let answer = client.send("PATCH", "/stream/layers/box", "text/plain", b"{}");
    assert_eq!(answer.status, 415);
    let nothing = "Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n";
    for (request, status) in [
        ("PATCH /stream/layers/box", 400),
        ("POST /stream/scenes/scene/activate", 200),
    ] {
        let request = format!("{request} HTTP/1.1\r\n{nothing}");
        assert_eq!(client.raw(request.as_bytes()).status, status, "{request}");
    }
    // A gigabyte is promised, and refused before it comes.
    let head = "POST /stream/layers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{";
    assert_eq!(client.raw(head.as_bytes()).status, 413);
    for path in [
        "/hls/../../scene.json",
        "/hls/%2e%2e/%2e%2e/scene.json",
        "/stream/scenes/..%2f..%2fetc%2fpasswd",
        "/stream/layers/%ff",
    ] {
        let status = client.send("GET", path, "", b"").status;
        assert_eq!(status / 100, 4, "{path}: {status}");
    }
    for (header, status) in [
        ("Host: evil.example", 403),
        ("Host: localhost\r\nOrigin: https://evil.example", 403),
        ("Host: localhost:1\r\nOrigin: http://localhost:1", 200),
    ] {
        let request =
            format!("GET /stream/status HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n");
        assert_eq!(client.raw(request.as_bytes()).status, status, "{header}");
    }
    let wrong_method = client.send("PUT", "/stream/status", "", b"");
    assert_eq!(wrong_method.status, 405);
    assert!(
        wrong_method.head.to_lowercase().contains("allow: get"),
        "{}",
        wrong_method.head
    );
    assert_eq!(
        client.get("/stream/layers")["count"],
        1,
        "it is still there"
    );
}

#[test]
fn a_token_guards_the_api_and_is_told_to_nobody() {
    let folder = TempFolder::new();
    let token = "a-very-secret-token";
    let (on_air, mut client) = start(
        &folder,
        &[
            "--recording",
            "false",
            "--api-token",
            token,
            "--log-level",
            "debug",
        ],
    );
    for (method, path) in [
        ("GET", "/stream/status"),
        ("POST", "/stream/stop"),
        ("GET", "/ws"),
        ("GET", "/stream/keys"),
    ] {
        let (status, answer) = client.ask(method, path, Value::Null);
        assert_eq!(
            (status, &answer["error"]["code"]),
            (401, &json!("UNAUTHORIZED")),
            "{path}"
        );
    }
    assert_eq!(
        client.send("GET", "/openapi.json", "", b"").json()["components"]["securitySchemes"]["token"]
            ["scheme"],
        "bearer"
    );
    client.token = Some(token);
    assert_eq!(client.get("/stream/status")["isLive"], true);
    let mut socket = Client {
        token: None,
        ..client.clone()
    }
    .socket(&format!("/ws?token={token}"));
    assert_eq!(socket.ask(json!({"type": "ping"}))["success"], true);
    assert_eq!(
        Client::new(on_air.port("health")).get("/health")["status"],
        "ok"
    );

    let made = client.ok("POST", "/stream/keys", json!({"name": "studio"}));
    let key = made["data"]["key"].as_str().unwrap().to_owned();
    let list = client.get("/stream/keys");
    assert!(!list.to_string().contains(&key), "{list}");
    assert_eq!(list["keys"][0]["name"], "studio");
    let config = client.get("/stream/config").to_string();
    on_air.signal("-TERM");
    on_air.line("the engine ended");
    let said = on_air.all_lines() + &config;
    assert!(!said.contains(token) && !said.contains(&key), "{said}");
}

#[test]
fn scenes_are_written_prepared_taken_on_air_saved_and_deleted() {
    let folder = TempFolder::new();
    let (on_air, client) = quiet(&folder);
    let scene: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    let mut second = scene.clone();
    second["name"] = json!("Second");
    second["layers"] = json!([a_box("dot", 4, 4, 20, "#00ff00")]);
    second["timelines"] = json!([]);
    let (status, answer) = client.ask("PUT", "/stream/scenes/second", second.clone());
    assert_eq!(status, 201, "{answer}");
    assert!(folder.file("second.json").is_file(), "it is on the disk");
    let list = client.get("/stream/scenes");
    assert_eq!(list["count"], 2);
    assert_eq!(
        list["program"],
        json!({"id": "scene", "name": "Small", "edited": false})
    );

    client.ok("POST", "/stream/scenes/second/preview", Value::Null);
    assert_eq!(client.get("/stream/preview")["scene"], "second");
    let picture = client.send("GET", "/stream/preview.png", "", b"");
    assert!(picture.body.starts_with(b"\x89PNG"));
    let fade = json!({"transition": {"type": "fade", "duration": 0.2}});
    let taken = client.ok("POST", "/stream/preview/take", fade);
    assert_eq!(taken["data"]["id"], "second");
    assert_eq!(client.get("/stream/preview")["scene"], Value::Null);
    assert_eq!(client.get("/stream/layers")["layers"][0]["id"], "dot");

    // Its file is followed now.
    second["layers"][0]["opacity"] = json!(0.9);
    folder.write("second.json", &second.to_string());
    until("the change of the file on air", || {
        (client.get("/stream/layers/dot")["opacity"] == 0.9).then_some(())
    });
    client.ok("PATCH", "/stream/layers/dot", json!({"opacity": 0.25}));
    assert_eq!(client.get("/stream/scenes")["program"]["edited"], true);
    client.ok("POST", "/stream/scenes/second/save", Value::Null);
    let saved: Value =
        serde_json::from_slice(&std::fs::read(folder.file("second.json")).unwrap()).unwrap();
    assert_eq!(saved["layers"][0]["opacity"], 0.25);
    assert_eq!(client.get("/stream/scenes")["program"]["edited"], false);

    let (status, _) = client.ask("DELETE", "/stream/scenes/second", Value::Null);
    assert_eq!(status, 409, "it is on air");
    client.ok("POST", "/stream/scenes/scene/activate", Value::Null);
    client.ok("DELETE", "/stream/scenes/second", Value::Null);
    assert!(!folder.file("second.json").exists());

    // What is written to the scene on air comes on air, a canvas of another size is scaled, and another rate is not even written.
    let mut third = scene.clone();
    third["layers"][0]["opacity"] = json!(0.75);
    client.ok("PUT", "/stream/scenes/scene", third);
    assert_eq!(client.get("/stream/layers/box")["opacity"], 0.75);
    let mut wide = scene;
    wide["canvas"]["width"] = json!(640);
    client.ok("PUT", "/stream/scenes/scene", wide.clone());
    assert_eq!(client.get("/stream/config")["STREAM_RESOLUTION"], "320x180");
    wide["canvas"]["fps"] = json!(25);
    assert_eq!(client.ask("PUT", "/stream/scenes/scene", wide).0, 409);
    let file = std::fs::read_to_string(folder.file("scene.json")).unwrap();
    assert!(
        file.contains("\"width\": 640") && file.contains("\"fps\": 30"),
        "{file}"
    );
    drop(on_air);
}

#[test]
fn uploaded_pictures_are_kept_by_their_hash_and_shown() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbaImage::from_pixel(8, 8, image::Rgba([255, 255, 255, 255]))
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    let upload = |name: &str, bytes: &[u8]| {
        let mut body = format!(
            "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--cut--\r\n");
        client.send(
            "POST",
            "/stream/assets",
            "multipart/form-data; boundary=cut",
            &body,
        )
    };
    let made = upload("../white.png", png.get_ref());
    assert_eq!(made.status, 201, "{}", made.json());
    let asset = made.json()["data"].clone();
    assert_eq!(
        (&asset["name"], &asset["width"], &asset["kind"]),
        (&json!("white.png"), &json!(8), &json!("image"))
    );
    assert_eq!(upload("again.png", png.get_ref()).status, 200);
    assert_eq!(upload("page.html", b"<html>").status, 422);
    assert_eq!(client.get("/stream/assets")["count"], 1);
    let id = asset["id"].as_str().unwrap();
    let content = client.send("GET", &format!("/stream/assets/{id}/content"), "", b"");
    assert_eq!(content.body, *png.get_ref());
    assert!(content.has("content-security-policy", "sandbox"));

    // A picture that could also be a page is kept as it is, and comes to nothing as a page.
    let svg = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 30 20'><script>fetch('/stream')</script></svg>";
    let made = upload("logo.svg", svg);
    assert_eq!(made.status, 201, "{}", made.json());
    let drawn = made.json()["data"].clone();
    assert_eq!(
        (&drawn["mediaType"], &drawn["width"], &drawn["height"]),
        (&json!("image/svg+xml"), &json!(30), &json!(20))
    );
    let drawn = drawn["id"].as_str().unwrap();
    let content = client.send("GET", &format!("/stream/assets/{drawn}/content"), "", b"");
    assert_eq!(content.body, svg);
    assert!(content.has("content-type", "image/svg+xml"));
    assert!(content.has("x-content-type-options", "nosniff"));
    assert!(content.has(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    ));
    client.ok("DELETE", &format!("/stream/assets/{drawn}"), Value::Null);
    assert_eq!(
        upload("bomb.svg", b"<svg xmlns='http://www.w3.org/2000/svg'>").status,
        422
    );

    let layer = json!({
        "id": "white", "position": {"x": 0, "y": 0}, "size": {"width": 320, "height": 180}, "fit": "fill",
        "zIndex": 900, "source": {"type": "image", "src": format!("asset:{id}")},
    });
    client.ok("POST", "/stream/layers", layer);
    let snapshot = client.send("GET", "/stream/snapshot.png?width=160", "", b"");
    let picture = image::load_from_memory(&snapshot.body).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (160, 90));
    assert!(
        picture
            .pixels()
            .all(|pixel| pixel.0.iter().all(|value| *value > 250))
    );
    let (status, _) = client.ask("DELETE", &format!("/stream/assets/{id}"), Value::Null);
    assert_eq!(status, 409, "it is on air");
    client.ok("DELETE", "/stream/layers/white", Value::Null);
    client.ok("DELETE", &format!("/stream/assets/{id}"), Value::Null);
    assert_eq!(client.get("/stream/assets")["count"], 0);
}

#[test]
fn timelines_are_played_paused_moved_and_stopped() {
    let folder = TempFolder::new();
    let (_on_air, client) = quiet(&folder);
    assert_eq!(
        client.get("/stream/timelines")["timelines"][0]["state"],
        "playing"
    );
    let paused = client.ok("POST", "/stream/timelines/move/pause", Value::Null);
    assert_eq!(paused["data"]["state"], "paused");
    let sought = client.ok("POST", "/stream/timelines/move/seek", json!({"to": 0.5}));
    assert_eq!(sought["data"]["position"], 0.5);
    let stopped = client.ok("POST", "/stream/timelines/move/stop", Value::Null);
    assert_eq!(
        (&stopped["data"]["state"], &stopped["data"]["position"]),
        (&json!("stopped"), &Value::Null)
    );
    let once = json!({
        "id": "once", "autoplay": false, "markers": {"middle": 0.1},
        "tracks": [{"layer": "box", "property": "opacity", "keyframes": [{"at": 0, "value": 0}, {"at": 0.2, "value": 1}]}],
    });
    client.ok("PUT", "/stream/timelines/once", once);
    client.ok(
        "POST",
        "/stream/timelines/once/seek",
        json!({"to": "middle"}),
    );
    client.ok("POST", "/stream/timelines/once/play", Value::Null);
    until("its end", || {
        let list = client.get("/stream/timelines");
        let found = list["timelines"]
            .as_array()
            .unwrap()
            .iter()
            .find(|line| line["id"] == "once")?
            .clone();
        (found["state"] == "ended").then_some(())
    });
    client.ok("DELETE", "/stream/timelines/once", Value::Null);
    assert_eq!(client.get("/stream/timelines")["count"], 1);
}
