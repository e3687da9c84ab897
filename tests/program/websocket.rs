//! WebSocket as real clients use it: commands with ids, events of every change, subscriptions, and coming back.

use super::api::start;
use super::client::Client;
use super::support::TempFolder;
use serde_json::{Value, json};
use tungstenite::Message;

#[test]
fn commands_are_answered_by_id_and_every_change_is_told() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &["--recording", "false"]);
    let mut watcher = Client::new(on_air.port("websocket")).socket("/stream/events");
    let mut socket = client.socket("/ws?events=none");
    let answer = socket.ask(json!({"type": "command", "command": {"type": "layer.update", "id": "box", "patch": {"opacity": 0.5}}}));
    assert_eq!(answer["success"], true, "{answer}");
    let event = watcher.event("layer:update");
    assert_eq!(
        event["data"],
        json!({"id": "box", "changes": {"opacity": 0.5}})
    );
    assert_eq!(
        (&event["tick"], &event["revision"]),
        (&answer["tick"], &answer["revision"])
    );

    let batch = socket.ask(json!({"type": "batch", "commands": [
        {"type": "data.update", "patch": {"bid": {"amount": 3}}},
        {"type": "layer.create", "layer": {"id": "new", "source": {"type": "color", "color": "red"}}},
        {"type": "timeline.pause", "id": "move"},
        {"type": "layer.delete", "id": "new"},
    ]}));
    assert_eq!(batch["data"]["applied"], 4, "{batch}");
    assert_eq!(
        watcher.event("data:update")["data"]["changes"],
        json!({"bid": {"amount": 3}})
    );
    assert_eq!(watcher.event("timeline:update")["data"]["state"], "paused");
    let paused = socket.ask(json!({"type": "stream", "action": "pause"}));
    assert_eq!(paused["data"]["isPaused"], true);
    assert_eq!(watcher.event("stream:status")["data"]["isPaused"], true);
    let metrics = watcher.event("metrics:update")["data"].clone();
    for field in ["fps", "bitrate", "dropped", "cpu", "memory"] {
        assert!(metrics[field].is_number(), "{metrics}");
    }
    for (message, words) in [
        (
            json!({"type": "command", "command": {"type": "layer.updte"}}),
            "layer.updte",
        ),
        (
            json!({"type": "command", "comand": {}}),
            "did you mean `command`?",
        ),
        (
            json!({"type": "batch", "commands": [{"type": "layer.delete", "id": "nobody"}]}),
            "`nobody`",
        ),
        (json!({"type": "subscrib"}), "did you mean `subscribe`?"),
        (json!({}), "`type`"),
    ] {
        let answer = socket.ask(message);
        assert_eq!(answer["success"], false);
        assert!(answer["error"].to_string().contains(words), "{answer}");
    }
}

#[test]
fn subscriptions_filter_and_who_comes_back_gets_what_was_missed() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    let change =
        |opacity: f64| client.ok("PATCH", "/stream/layers/box", json!({"opacity": opacity}));
    let mut socket = client.socket("/ws?events=layer:*&subjects=box");
    change(0.1);
    let seen = socket.event("layer:update");
    socket.ask(json!({"type": "subscribe", "events": ["data:update"]}));
    change(0.2);
    client.ok("PATCH", "/stream/data", json!({"a": 1}));
    let next = socket.next();
    assert_eq!(
        next["event"], "data:update",
        "the layer's change is left out: {next}"
    );
    drop(socket);

    change(0.3);
    let since = seen["seq"].as_u64().unwrap();
    let mut back = client.socket(&format!("/ws?events=layer:*,data:*&since={since}"));
    let missed: Vec<Value> = (0..3).map(|_| back.next()).collect();
    let kinds: Vec<_> = missed
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["layer:update", "data:update", "layer:update"]);
    let revision = seen["revision"].as_u64().unwrap();
    let mut by_revision = client.socket(&format!(
        "/ws?events=layer:*,data:*&sinceRevision={revision}"
    ));
    assert_eq!(by_revision.next(), missed[0]);

    // From a time that is not known any more there is the whole state.
    let mut lost = client.socket("/ws?since=999999");
    let snapshot = lost.event("snapshot");
    assert_eq!(snapshot["data"]["layers"][0]["opacity"], 0.3);
    assert_eq!(snapshot["data"]["data"], json!({"a": 1}));
    let asked = lost.ask(json!({"type": "snapshot"}));
    assert_eq!(asked["data"]["status"]["isLive"], true);
}

#[test]
fn what_is_no_message_is_refused_and_the_connection_goes_on() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    let mut socket = client.socket("/ws?events=none");
    for message in [
        Message::text("not json"),
        Message::text("[1"),
        Message::binary(vec![1, 2, 3]),
    ] {
        socket.send(message);
        let answer = socket.next();
        assert_eq!(
            (&answer["success"], &answer["id"]),
            (&json!(false), &Value::Null),
            "{answer}"
        );
    }
    assert_eq!(socket.ask(json!({"type": "ping"}))["success"], true);
    // Larger than any message may be.
    socket.send(Message::text("x".repeat(2 << 20)));
    assert!(socket.is_closed());
    let (status, answer) = client.ask("GET", "/ws", Value::Null);
    assert_eq!(status, 400, "{answer}");
    assert_eq!(client.ask("GET", "/ws?evnts=a", Value::Null).0, 400);
}
