//! Chats over the API: messages that are pushed, listed and taken away, and what is told of them.

use super::api::start;
use super::client::Client;
use super::support::{OnAir, TempFolder};
use serde_json::{Value, json};

const CHAT: &str = "/stream/layers/chat/chat";

fn with_chat(folder: &TempFolder) -> (OnAir, Client) {
    let (on_air, client) = start(folder, &["--recording", "false"]);
    let layer = json!({
        "id": "chat", "type": "chat", "size": {"width": 300, "height": 160},
        "source": {"type": "chat", "maxMessages": 3, "font": {"size": 12}},
    });
    client.ok("POST", "/stream/layers", layer);
    (on_air, client)
}

fn ids(client: &Client) -> Vec<String> {
    let list = client.get(CHAT);
    let messages = list["messages"].as_array().unwrap();
    assert_eq!(list["count"], messages.len());
    messages
        .iter()
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn messages_are_pushed_kept_and_deleted_and_only_they_are_told() {
    let folder = TempFolder::new();
    let (_on_air, client) = with_chat(&folder);
    let mut socket = client.socket("/ws?events=chat:*,layer:update&subjects=chat");

    let one = json!({"author": "Mira", "text": "{{not.data}} 👋\u{202e}", "badges": ["MOD"]});
    let answer = client.ok("POST", CHAT, one);
    let made = answer["data"]["messages"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(made.starts_with('m'), "{answer}");
    assert_eq!(answer["data"]["messages"][0]["text"], "{{not.data}} 👋");
    let told = socket.event("chat:message");
    assert_eq!(told["tick"], answer["tick"]);
    assert_eq!(told["data"]["id"], "chat");
    assert_eq!(told["data"]["messages"], answer["data"]["messages"]);

    let list = json!([{"id": "b", "text": "two"}, {"author": "Theo", "text": "three"}]);
    let answer = client.ok("POST", CHAT, list);
    assert_eq!(answer["data"]["count"], 2);
    let third = answer["data"]["messages"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        socket.event("chat:message")["data"]["messages"][0]["id"],
        "b"
    );
    assert_eq!(ids(&client), [made.as_str(), "b", third.as_str()]);

    // The oldest makes room, without a word; one whose id is there is another text in its place.
    client.ok(
        "POST",
        CHAT,
        json!({"id": "d", "author": "Theo", "text": "four"}),
    );
    assert_eq!(ids(&client), ["b", third.as_str(), "d"]);
    socket.event("chat:message");
    client.ok("POST", CHAT, json!({"id": "b", "text": "two and a half"}));
    assert_eq!(ids(&client), ["b", third.as_str(), "d"]);
    let told = socket.event("chat:message");
    assert_eq!(told["data"]["messages"][0]["text"], "two and a half");

    let gone = client.ok("DELETE", &format!("{CHAT}/b"), Value::Null);
    assert_eq!(gone["data"], json!({"id": "chat", "count": 2}));
    // No deletion was told before it.
    assert_eq!(
        socket.event("chat:delete")["data"],
        json!({"id": "chat", "messages": ["b"]})
    );
    assert_eq!(
        client.ask("DELETE", &format!("{CHAT}/b"), Value::Null).0,
        404
    );
    client.ok("DELETE", &format!("{CHAT}?author=Theo"), Value::Null);
    assert_eq!(
        socket.event("chat:delete")["data"]["messages"],
        json!([third, "d"])
    );
    assert_eq!(ids(&client), [""; 0]);

    // The same as commands, in a batch: together or not at all.
    let push = |text: &str| json!({"type": "chat.push", "id": "chat", "messages": {"text": text}});
    let batch = json!({"commands": [push("a"), push("b"), push("c")]});
    client.ok("POST", "/stream/commands", batch);
    let now = ids(&client);
    assert_eq!(now.len(), 3);
    assert_ne!(now[0], now[1]);
    let broken = json!({"commands": [
        {"type": "chat.clear", "id": "chat"},
        {"type": "chat.delete", "id": "chat", "message": "nobody"},
    ]});
    assert_eq!(client.ask("POST", "/stream/commands", broken).0, 404);
    assert_eq!(ids(&client), now);
    client.ok("DELETE", CHAT, Value::Null);
    assert_eq!(ids(&client), [""; 0]);
    // A change of the layer itself is still told as one, and was not before.
    client.ok("PATCH", "/stream/layers/chat", json!({"opacity": 0.5}));
    let told = socket.event("layer:update");
    assert_eq!(told["data"]["changes"], json!({"opacity": 0.5}));
}

#[test]
fn what_is_no_message_is_refused_and_changes_nothing() {
    let folder = TempFolder::new();
    let (_on_air, client) = with_chat(&folder);
    client.ok("POST", CHAT, json!({"id": "a", "text": "stays"}));
    let revision = client.revision();
    let long = "x".repeat(501);
    let many: Vec<Value> = (0..101)
        .map(|number| json!({"text": number.to_string()}))
        .collect();
    for (path, body, status, place) in [
        (CHAT, json!({"text": long}), 422, "text"),
        (
            CHAT,
            json!([{"text": "fits"}, {"text": long}]),
            422,
            "[1].text",
        ),
        (CHAT, json!({"author": "Mira"}), 400, "text"),
        (CHAT, json!({"text": "a", "colour": "red"}), 400, "colour"),
        (CHAT, json!({"text": 3}), 400, "text"),
        (
            CHAT,
            json!({"text": "a", "author": "x".repeat(65)}),
            422,
            "author",
        ),
        (
            CHAT,
            json!({"text": "a", "badges": ["x".repeat(17)]}),
            422,
            "badges[0]",
        ),
        (CHAT, json!(many), 400, "101"),
        (CHAT, json!([]), 400, "1 to 100"),
        (CHAT, json!("hello"), 400, "object"),
        (
            "/stream/layers/box/chat",
            json!({"text": "a"}),
            409,
            "not a chat",
        ),
        (
            "/stream/layers/chatt/chat",
            json!({"text": "a"}),
            404,
            "did you mean",
        ),
    ] {
        let (found, answer) = client.ask("POST", path, body.clone());
        assert_eq!(found, status, "{answer}");
        assert!(answer.to_string().contains(place), "{place}: {answer}");
    }
    for command in [
        json!({"type": "chat.delete", "id": "chat"}),
        json!({"type": "chat.delete", "id": "chat", "message": "a", "author": "b"}),
    ] {
        let (status, answer) =
            client.ask("POST", "/stream/commands", json!({"commands": [command]}));
        assert_eq!(status, 422, "{answer}");
    }
    let dry = client.ok(
        "POST",
        &format!("{CHAT}?dryRun=true"),
        json!({"text": "maybe"}),
    );
    assert_eq!(dry["data"]["count"], 1);
    assert_eq!(client.revision(), revision);
    assert_eq!(ids(&client), ["a"]);
}

#[test]
fn messages_are_part_of_their_layer_and_no_more_are_kept_than_it_says() {
    let folder = TempFolder::new();
    let (_on_air, client) = with_chat(&folder);
    for number in 0..60 {
        client.ok(
            "POST",
            CHAT,
            json!({"id": number.to_string(), "author": "Mira", "text": "quick"}),
        );
    }
    assert_eq!(ids(&client), ["57", "58", "59"]);
    let layer = client.get("/stream/layers/chat");
    assert_eq!(layer["source"]["messages"].as_array().unwrap().len(), 3);
    let fewer = json!({"source": {"maxMessages": 2}});
    client.ok("PATCH", "/stream/layers/chat", fewer);
    client.ok("POST", CHAT, json!({"id": "last", "text": "fewer"}));
    assert_eq!(ids(&client), ["59", "last"]);
}
