//! Feeds and scenes within scenes over the API: items come, change and go, one is shown, bounds are held, and events tell it.

use super::api::start;
use super::client::Client;
use super::support::{FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, program, run, text, until};
use serde_json::{Value, json};

fn item(id: &str) -> Value {
    json!({"id": id, "title": id.to_uppercase()})
}

fn ids(feed: &Value) -> Vec<&str> {
    let items = feed["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

fn feed_layer(client: &Client, fields: Value) {
    let mut source = json!({"type": "visualFeed", "items": [item("a"), item("b")], "dwell": 3600});
    for (name, value) in fields.as_object().unwrap() {
        source[name] = value.clone();
    }
    let layer = json!({"id": "lots", "type": "visualFeed", "size": {"width": 100, "height": 150}, "source": source});
    client.ok("POST", "/stream/layers", layer);
}

#[test]
fn items_are_pushed_changed_shown_and_deleted_and_events_tell_the_difference() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    feed_layer(&client, json!({"maxItems": 5}));
    let mut socket = client.socket("/ws?events=feed:*,layer:*");
    let feed = client.get("/stream/layers/lots/feed");
    assert_eq!((ids(&feed), &feed["maxItems"]), (vec!["a", "b"], &json!(5)));
    assert_eq!(feed["showing"]["item"], "a");

    let (status, answer) = client.ask("POST", "/stream/layers/lots/feed", item("c"));
    assert_eq!(
        (status, ids(&answer["data"])),
        (201, vec!["a", "b", "c"]),
        "{answer}"
    );
    let event = socket.next();
    assert_eq!(event["event"], "feed:item", "and no whole layer: {event}");
    let value = &event["data"]["value"];
    assert_eq!(
        (
            &event["data"]["change"],
            &event["data"]["index"],
            &value["title"]
        ),
        (&json!("push"), &json!(2), &json!("C"))
    );
    let pushed = client.ok(
        "POST",
        "/stream/layers/lots/feed?position=0",
        json!([item("d")]),
    );
    assert_eq!(ids(&pushed["data"]), ["d", "a", "b", "c"]);
    assert_eq!(
        pushed["data"]["showing"]["item"], "a",
        "the one on show stays"
    );
    assert_eq!(socket.next()["data"]["item"], "d");

    let patch = json!({"bid": 3.5, "bidder": "ada.eth"});
    let patched = client.ok("PATCH", "/stream/layers/lots/feed/a", patch.clone());
    assert_eq!(patched["data"]["item"]["bid"], 3.5);
    assert_eq!(
        socket.next()["data"],
        json!({"id": "lots", "item": "a", "change": "update", "changes": patch})
    );

    let shown = client.ok(
        "POST",
        "/stream/layers/lots/feed/c/show",
        json!({"pin": true}),
    );
    assert_eq!(
        (
            &shown["data"]["showing"]["item"],
            &shown["data"]["showing"]["pinned"]
        ),
        (&json!("c"), &json!(true))
    );
    assert_eq!(
        socket.event("feed:show")["data"],
        json!({"id": "lots", "item": "c", "pinned": true})
    );
    let next = client.ok("POST", "/stream/layers/lots/feed/next", Value::Null);
    assert_eq!(
        next["data"]["showing"]["item"], "d",
        "the first after the last"
    );
    assert_eq!(socket.event("feed:show")["data"]["pinned"], false);
    client.ok("POST", "/stream/layers/lots/feed/previous", Value::Null);
    assert_eq!(socket.event("feed:show")["data"]["item"], "c");

    client.ok("DELETE", "/stream/layers/lots/feed/c", Value::Null);
    assert_eq!(
        socket.next()["data"],
        json!({"id": "lots", "item": "c", "change": "delete"})
    );
    assert_eq!(
        socket.event("feed:show")["data"]["item"],
        "d",
        "what came after it"
    );

    // The same by a batch, on one tick.
    let batch = json!({"commands": [
        {"type": "feed.push", "id": "lots", "items": item("e"), "position": 1},
        {"type": "feed.update", "id": "lots", "item": "e", "patch": {"title": "Last"}},
        {"type": "feed.show", "id": "lots", "item": "e"},
        {"type": "feed.delete", "id": "lots", "item": "d"},
    ]});
    client.ok("POST", "/stream/commands", batch);
    let feed = client.get("/stream/layers/lots/feed");
    assert_eq!(ids(&feed), ["e", "a", "b"]);
    assert_eq!(feed["items"][0]["title"], "Last");
    assert_eq!(feed["showing"]["item"], "e");
}

#[test]
fn bounds_and_mistakes_are_refused_with_their_places_and_change_nothing() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    feed_layer(&client, json!({"maxItems": 3}));
    let before = client.revision();
    let feed = "/stream/layers/lots/feed";
    for (method, path, body, status, words) in [
        (
            "POST",
            feed,
            json!([item("c"), item("d")]),
            409,
            "`maxItems` is 3",
        ),
        ("POST", feed, item("a"), 409, "is taken"),
        ("POST", feed, json!({"id": "c"}), 400, "title"),
        (
            "POST",
            feed,
            json!([{"id": "c", "title": "C", "bid": -1}]),
            422,
            "[0].bid",
        ),
        (
            "POST",
            feed,
            json!({"id": "c", "title": "C", "endsAt": "tomorrow"}),
            422,
            "endsAt",
        ),
        (
            "POST",
            feed,
            json!({"id": "c", "title": "C", "image": "no.png"}),
            422,
            "no.png",
        ),
        (
            "PATCH",
            "/stream/layers/lots/feed/b",
            json!({"titel": "B"}),
            400,
            "did you mean `title`?",
        ),
        (
            "PATCH",
            "/stream/layers/lots/feed/b",
            json!({"id": "c"}),
            422,
            "keeps its id",
        ),
        (
            "PATCH",
            "/stream/layers/lots/feed/bb",
            json!({"bid": 1}),
            404,
            "`bb`",
        ),
        (
            "DELETE",
            "/stream/layers/lots/feed/nobody",
            Value::Null,
            404,
            "`nobody`",
        ),
        (
            "POST",
            "/stream/layers/lots/feed/nobody/show",
            Value::Null,
            404,
            "`nobody`",
        ),
        (
            "POST",
            "/stream/layers/box/feed/next",
            Value::Null,
            409,
            "no feed",
        ),
        (
            "POST",
            "/stream/layers/nobody/feed/next",
            Value::Null,
            404,
            "`nobody`",
        ),
        (
            "GET",
            "/stream/layers/box/feed",
            Value::Null,
            409,
            "no feed",
        ),
    ] {
        let (got, answer) = client.ask(method, path, body);
        let said = answer.to_string();
        assert!(
            got == status && said.contains(words),
            "{method} {path}: {got} {said}"
        );
    }
    assert_eq!(client.revision(), before);
    for id in ["a", "b"] {
        client.ok("DELETE", &format!("{feed}/{id}"), Value::Null);
    }
    assert_eq!(client.get(feed)["showing"], Value::Null);
    let (status, _) = client.ask("POST", &format!("{feed}/next"), Value::Null);
    assert_eq!(status, 409, "nothing comes after nothing");
}

#[test]
fn a_scene_is_put_into_another_over_the_api_and_saved_by_its_name() {
    let folder = TempFolder::new();
    folder.write("inner.json", &SMALL_SCENE.replace("\"Small\"", "\"Inner\""));
    let circle = r#"{"version": 1, "name": "C", "layers": [{"id": "l", "source": {"type": "scene", "src": "scene"}}]}"#;
    folder.write("circle.json", circle);
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    let nest = |src: &str| json!({"id": "nested", "size": {"width": 160, "height": 90}, "source": {"type": "scene", "src": src}});
    for (src, words) in [
        ("iner", "did you mean"),
        ("circle", "scene → circle → scene"),
        ("scene", "circle"),
    ] {
        let (status, answer) = client.ask("POST", "/stream/layers", nest(src));
        let said = answer.to_string();
        assert!(
            status == 422 && said.contains(words) && said.contains("source.src"),
            "{said}"
        );
    }
    client.ok("POST", "/stream/layers", nest("inner"));
    let layer = client.get("/stream/layers/nested");
    assert_eq!(layer["source"], json!({"type": "scene", "src": "inner"}));
    let listed = client.get("/stream/layers")["count"].clone();
    assert_eq!(listed, 2, "inner layers are not the scene's own");
    let moved = client.ok(
        "PATCH",
        "/stream/layers/nested",
        json!({"position": {"x": 9}, "source": {"background": true}}),
    );
    assert_eq!(moved["data"]["source"]["background"], true);
    let saved = client.get("/stream/scenes/scene");
    assert_eq!(saved["layers"][1]["source"]["src"], "inner");
}

#[test]
fn a_change_of_an_inner_scene_comes_on_air_by_itself() {
    let folder = TempFolder::new();
    let inner = r##"{"version": 1, "name": "Inner", "layers": [{"id": "l", "source": {"type": "color", "color": "#f00"}}]}"##;
    folder.write("inner.json", inner);
    let outer = SMALL_SCENE.replace(
        r#""layers": ["#,
        r#""layers": [{"id": "nested", "source": {"type": "scene", "src": "inner"}}, "#,
    );
    folder.write("outer.json", &outer);
    let on_air = OnAir::start(
        program(&folder.0)
            .args([
                "run",
                "outer.json",
                "--hls",
                "false",
                "--recording",
                "false",
            ])
            .args(FREE_PORTS),
    );
    let client = Client::new(on_air.port("api"));
    let at = |client: &Client| {
        let answer = client.raw(
            b"GET /stream/snapshot.png HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        );
        let picture = image::load_from_memory(&answer.body).unwrap().into_rgb8();
        picture.get_pixel(300, 10).0
    };
    let close = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 12);
    until("the inner scene", || {
        close(at(&client), [255, 0, 0]).then_some(())
    });
    folder.write("inner.json", &inner.replace("#f00", "#00f"));
    until("its change", || {
        close(at(&client), [0, 0, 255]).then_some(())
    });
    // A broken one changes nothing.
    folder.write("inner.json", "{");
    on_air.line("the scene was not reloaded");
    assert!(close(at(&client), [0, 0, 255]));
}

#[test]
fn a_render_counts_down_from_its_epoch() {
    let folder = TempFolder::new();
    let scene = r#"{"version": 1, "name": "Left", "canvas": {"width": 320, "height": 180}, "layers": [
      {"id": "lots", "size": {"width": 320, "height": 180}, "source": {"type": "visualFeed", "items": [
        {"id": "a", "title": "A", "endsAt": "2026-01-01T00:01:00Z"}
      ]}}
    ]}"#;
    folder.write("scene.json", scene);
    let render = |name: &str, more: &[&str]| {
        let output = run(program(&folder.0)
            .args(["render", "scene.json", "--frame", "0", "-o", name])
            .args(more));
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read(folder.file(name)).unwrap()
    };
    let plain = render("plain.png", &[]);
    assert!(plain == render("same.png", &["--epoch", "2026-01-01T00:00:00Z"]));
    assert!(plain != render("later.png", &["--epoch", "2026-01-01T00:00:30Z"]));
    let wrong = run(program(&folder.0).args([
        "render",
        "scene.json",
        "--frame",
        "0",
        "-o",
        "x.png",
        "--epoch",
        "noon",
    ]));
    assert!(text(&wrong.stderr).contains("2026-05-01T20:00:00Z"));
}
