//! An avatar on the air: its pictures come with it, and it is told what to do.

use super::api::start;
use super::client::Client;
use super::support::TempFolder;
use serde_json::{Value, json};

const PICTURE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="#0f0"/></svg>"##;

fn avatar() -> Value {
    json!({"id": "host", "source": {
        "type": "avatar",
        "states": {"idle": {"src": "idle.svg"}, "wave": {"src": "wave.svg", "duration": 0.5}},
        "emotions": {"happy": {"eyes": "eyes.svg"}},
        "emotion": "{{host.emotion}}",
        "mouth": {"level": "{{host.voice.level}}", "shapes": [{"src": "mouth.svg", "from": 0.1}]},
    }})
}

fn problem(client: &Client, body: Value) -> (u16, Value) {
    let (status, answer) = client.ask("POST", "/stream/layers/host/avatar", body);
    (status, answer["error"].clone())
}

#[test]
fn an_avatar_is_told_what_to_do_and_what_it_cannot_do_is_refused() {
    let folder = TempFolder::new();
    for name in ["idle.svg", "wave.svg", "eyes.svg"] {
        folder.write(name, PICTURE);
    }
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    let data = json!({"host": {"emotion": "neutral", "voice": {"level": 0}}});
    client.ok("PATCH", "/stream/data", data);
    let (status, answer) = client.ask("POST", "/stream/layers", avatar());
    assert_eq!(status, 422, "a picture of its mouth is missing: {answer}");
    assert!(answer.to_string().contains("mouth.svg"));
    folder.write("mouth.svg", PICTURE);
    client.ok("POST", "/stream/layers", avatar());

    let told = json!({"state": "wave", "emotion": "happy", "level": 0.5});
    let answer = client.ok("POST", "/stream/layers/host/avatar", told);
    let source = &answer["data"]["source"];
    assert_eq!(source["state"], "wave");
    // What is bound stays bound, and the data are written.
    assert_eq!(source["emotion"], "{{host.emotion}}");
    assert_eq!(
        client.get("/stream/data")["host"],
        json!({"emotion": "happy", "voice": {"level": 0.5}})
    );
    // The same again begins anew.
    let again = client.ok("POST", "/api/layers/host/avatar", json!({"state": "wave"}));
    assert_eq!(again["data"]["source"]["again"], 1);
    let batch = json!({"commands": [{"type": "avatar.set", "id": "host", "state": "idle"}]});
    client.ok("POST", "/stream/commands", batch);

    let (status, error) = problem(&client, json!({"state": "wawe"}));
    assert_eq!(
        (status, &error["details"]["problems"][0]["path"]),
        (422, &json!("state"))
    );
    assert!(
        error.to_string().contains("did you mean `wave`?"),
        "{error}"
    );
    let (status, error) = problem(&client, json!({"emotion": "hapy"}));
    assert_eq!(status, 422);
    assert!(error.to_string().contains("`happy`"), "{error}");
    assert_eq!(problem(&client, json!({"level": 2})).0, 422);
    assert_eq!(problem(&client, json!({"stat": "wave"})).0, 400);
    let (status, answer) = client.ask("POST", "/stream/layers/box/avatar", json!({"level": 1}));
    assert_eq!(
        (status, &answer["error"]["code"]),
        (409, &json!("CONFLICT"))
    );
}
