//! Effects over the API: listed, written, moved and refused.

use super::api::start;
use super::client::{Client, a_box};
use super::support::{OnAir, TempFolder};
use serde_json::{Value, json};

fn on_air(folder: &TempFolder) -> (OnAir, Client) {
    let (on_air, client) = start(folder, &["--recording", "false"]);
    client.ok(
        "POST",
        "/stream/layers",
        a_box("card", 100, 50, 60, "#ff0000"),
    );
    (on_air, client)
}

const CARD: &str = "/stream/layers/card/effects";

fn names(client: &Client) -> Value {
    client.get(CARD)["names"].clone()
}

#[test]
fn effects_are_listed_written_changed_and_deleted() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    assert_eq!(
        client.get(CARD),
        json!({"effects": [], "names": [], "count": 0})
    );

    let list = json!({"effects": [{"type": "cornerRadius", "radius": 24}, {"type": "blur", "id": "soft", "radius": 3}]});
    let put = client.ok("PUT", CARD, list.clone());
    assert_eq!(put["data"]["effects"], list["effects"]);
    let shadow = json!({"type": "dropShadow", "blur": 40});
    let (status, added) = client.ask("POST", &format!("{CARD}?index=1"), shadow);
    assert_eq!((status, &added["data"]["count"]), (201, &json!(3)));
    assert_eq!(
        names(&client),
        json!(["cornerRadius", "dropShadow", "soft"])
    );

    let one = |name: &str| format!("{CARD}/{name}");
    let changed = client.ok("PATCH", &one("soft"), json!({"radius": 9}));
    assert_eq!(changed["data"]["effects"][2]["radius"], 9);
    client.ok(
        "PATCH",
        &one("1"),
        json!({"y": 30, "enabled": false, "blur": null}),
    );
    assert_eq!(
        client.get(CARD)["effects"][1],
        json!({"type": "dropShadow", "y": 30, "enabled": false})
    );
    let other = client.ok(
        "PATCH",
        &one("soft"),
        json!({"type": "glow", "color": "#00ff00"}),
    );
    assert_eq!(
        other["data"]["effects"][2],
        json!({"type": "glow", "id": "soft", "color": "#00ff00"})
    );
    // The same as the layer's own field, in which a patch replaces the whole list.
    assert_eq!(
        client.get("/stream/layers/card")["effects"],
        client.get(CARD)["effects"]
    );
    client.ok("DELETE", &one("cornerRadius"), Value::Null);
    assert_eq!(names(&client), json!(["dropShadow", "soft"]));
    client.ok(
        "PATCH",
        "/stream/layers/card",
        json!({"effects": [{"type": "pixelate"}]}),
    );
    assert_eq!(names(&client), json!(["pixelate"]));
    client.ok("PATCH", "/stream/layers/card", json!({"effects": null}));
    assert_eq!(client.get(CARD)["count"], 0);
}

#[test]
fn effects_go_to_new_values_in_a_batch_and_tell_it() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let mut socket = client.socket("/ws");
    let batch = json!({"commands": [
        {"type": "effects.put", "layer": "card", "effects": [{"type": "blur"}]},
        {"type": "effects.add", "layer": "card", "effect": {"type": "glow"}},
        {"type": "effects.update", "layer": "card", "effect": "blur", "patch": {"radius": 20}, "animate": {"duration": 2}},
        {"type": "effects.delete", "layer": "card", "effect": "glow"},
    ]});
    client.ok("POST", "/stream/commands", batch);
    let event = socket.event("layer:update");
    assert_eq!(
        event["data"],
        json!({"id": "card", "changes": {"effects": [{"type": "blur", "radius": 20}]}})
    );
    client.ok(
        "PATCH",
        &format!("{CARD}/blur?animate=0.5&easing=linear"),
        json!({"radius": 2}),
    );
    let refused = json!({"commands": [
        {"type": "effects.put", "layer": "card", "effects": [{"type": "blur", "radius": 300}]},
    ]});
    let (status, answer) = client.ask("POST", "/stream/commands", refused);
    assert_eq!(status, 422, "{answer}");
    assert_eq!(
        answer["error"]["details"]["problems"][0]["path"],
        "commands[0].effects[0].radius"
    );
}

#[test]
fn tracks_of_an_effect_go_with_it_and_those_of_others_stay() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let list = json!({"effects": [{"type": "glow"}, {"type": "blur"}, {"type": "pixelate"}]});
    client.ok("PUT", CARD, list);
    let track = |property: &str| json!({"layer": "card", "property": property, "keyframes": [{"at": 0, "value": 1}, {"at": 1, "value": 9}]});
    let tracks = [
        "effects.glow.radius",
        "effects.1.radius",
        "effects.pixelate.size",
    ]
    .map(track);
    client.ok(
        "PUT",
        "/stream/timelines/pulse",
        json!({"id": "pulse", "tracks": tracks}),
    );
    let wrong = json!({"id": "wrong", "tracks": [track("effects.blurr.radius")]});
    let (status, answer) = client.ask("PUT", "/stream/timelines/wrong", wrong);
    assert!(
        status == 422 && answer.to_string().contains("effects.blur.radius"),
        "{answer}"
    );

    client.ok("DELETE", &format!("{CARD}/glow"), Value::Null);
    let timeline = client.get("/stream/timelines/pulse");
    let moved: Vec<&str> = timeline["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| track["property"].as_str().unwrap())
        .collect();
    assert_eq!(moved, ["effects.pixelate.size", "effects.blur.radius"]);
}

#[test]
fn what_cannot_be_is_refused_where_it_stands() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    client.ok(
        "PUT",
        CARD,
        json!({"effects": [{"type": "blur", "id": "soft"}]}),
    );
    let before = (client.revision(), client.get(CARD));
    let many: Vec<Value> = (0..17).map(|_| json!({"type": "blur"})).collect();
    let one = format!("{CARD}/soft");
    let cases = [
        (
            "POST",
            CARD,
            json!({"type": "blurr"}),
            400,
            "did you mean `blur`?",
        ),
        (
            "POST",
            CARD,
            json!({"type": "blur", "radios": 1}),
            400,
            "did you mean `radius`?",
        ),
        (
            "POST",
            CARD,
            json!({"type": "blur", "radius": -1}),
            422,
            "radius: -1 is out of range",
        ),
        (
            "POST",
            CARD,
            json!({"type": "blur", "id": "soft"}),
            422,
            "has this id",
        ),
        (
            "POST",
            CARD,
            json!({"type": "mask"}),
            422,
            "needs a `src` or a `gradient`",
        ),
        (
            "POST",
            CARD,
            json!({"type": "mask", "src": "../../etc/passwd"}),
            422,
            "leaves the scene's folder",
        ),
        (
            "POST",
            CARD,
            json!({"type": "mask", "src": "gone.png"}),
            422,
            "does not exist",
        ),
        (
            "PUT",
            CARD,
            json!({"effects": many}),
            422,
            "at most 16 effects",
        ),
        ("PUT", CARD, json!([]), 400, "expected an object"),
        (
            "PUT",
            CARD,
            json!({"effects": [], "more": 1}),
            400,
            "unknown field",
        ),
        (
            "PATCH",
            &one,
            json!({"radius": "x"}),
            400,
            "radius: expected a number",
        ),
        (
            "PATCH",
            &one,
            json!({"intensity": 2}),
            422,
            "unknown field `intensity`",
        ),
        (
            "PATCH",
            &format!("{CARD}/sof"),
            json!({}),
            404,
            "did you mean `soft`?",
        ),
        (
            "DELETE",
            &format!("{CARD}/1"),
            Value::Null,
            404,
            "there is no effect",
        ),
        (
            "PATCH",
            "/stream/layers/nobody/effects/0",
            json!({}),
            404,
            "`nobody`",
        ),
    ];
    for (method, path, body, wanted, words) in cases {
        let (status, answer) = client.ask(method, path, body.clone());
        let text = answer.to_string();
        assert!(
            status == wanted && text.contains(words),
            "{method} {path} {body}: {status} {text}"
        );
    }
    assert_eq!((client.revision(), client.get(CARD)), before);
}
