//! WebSocket as real clients use it: commands with ids, events of every change, subscriptions, and coming back.

use super::api::start;
use super::client::Client;
use super::support::TempFolder;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
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
    socket.send_too_much(Message::text("x".repeat(2 << 20)));
    assert!(socket.is_closed());
    let (status, answer) = client.ask("GET", "/ws", Value::Null);
    assert_eq!(status, 426, "{answer}");
    assert_eq!(client.ask("GET", "/ws?evnts=a", Value::Null).0, 400);
}

/// One frame as it goes over the wire (RFC 6455, section 5.2).
fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => bytes.push(mask_bit | length as u8),
        length => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    if masked {
        let mask = [1, 2, 3, 4];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// Opcode and payload of the next frame; `None` when the connection is closed.
fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    assert_eq!(head[1] & 0x80, 0, "servers do not mask");
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).ok()?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => panic!("no answer is that long"),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    Some((head[0], payload))
}

fn raw_socket(client: &Client) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", client.port)).unwrap();
    stream
        .set_read_timeout(Some(super::support::LIMIT))
        .unwrap();
    // The key and the answer to it are those of RFC 6455, section 1.3.
    let request = "GET /ws?events=none HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    stream
}

#[test]
fn frames_are_held_to_the_protocol() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    let close = |code: u16| [&code.to_be_bytes()[..], b"bye"].concat();
    // What is sent, and the code that the connection is closed with.
    let cases: Vec<(&str, Vec<Vec<u8>>, u16)> = vec![
        ("a reserved opcode", vec![frame(0x83, true, b"x")], 1002),
        (
            "a reserved control opcode",
            vec![frame(0x8b, true, b"")],
            1002,
        ),
        ("a reserved bit", vec![frame(0xc1, true, b"{}")], 1002),
        (
            "a frame that is not masked",
            vec![frame(0x81, false, b"{}")],
            1002,
        ),
        (
            "a control frame that is too long",
            vec![frame(0x89, true, &[7; 126])],
            1002,
        ),
        (
            "a control frame in pieces",
            vec![frame(0x09, true, b"x")],
            1002,
        ),
        (
            "a continuation of nothing",
            vec![frame(0x80, true, b"x")],
            1002,
        ),
        (
            "a new message inside another",
            vec![frame(0x01, true, b"{"), frame(0x81, true, b"}")],
            1002,
        ),
        (
            "text that is not UTF-8",
            vec![frame(0x81, true, b"\xff\xfe")],
            1007,
        ),
        (
            "text that is not UTF-8 in pieces",
            vec![frame(0x01, true, b"\xe2"), frame(0x80, true, b"\x28")],
            1007,
        ),
        ("a goodbye", vec![frame(0x88, true, &close(1000))], 1000),
        (
            "a goodbye of the caller's own",
            vec![frame(0x88, true, &close(3333))],
            3333,
        ),
        (
            "a goodbye with a code that is never sent",
            vec![frame(0x88, true, &close(1005))],
            1002,
        ),
        ("a goodbye of one byte", vec![frame(0x88, true, b"x")], 1002),
    ];
    for (what, frames, code) in cases {
        let mut stream = raw_socket(&client);
        for frame in frames {
            stream.write_all(&frame).unwrap();
        }
        let (opcode, payload) =
            read_frame(&mut stream).unwrap_or_else(|| panic!("{what}: closed without a word"));
        assert_eq!(opcode, 0x88, "{what}");
        assert_eq!(
            payload.get(..2),
            Some(&code.to_be_bytes()[..]),
            "{what}: {payload:?}"
        );
        assert_eq!(
            read_frame(&mut stream),
            None,
            "{what}: and then it is closed"
        );
    }

    let mut stream = raw_socket(&client);
    for (sent, length) in [(0, 0), (1, 125)] {
        let payload = vec![sent; length];
        stream.write_all(&frame(0x89, true, &payload)).unwrap();
        assert_eq!(
            read_frame(&mut stream),
            Some((0x8a, payload)),
            "a ping is answered by its own bytes"
        );
    }
    stream.write_all(&frame(0x8a, true, b"unasked")).unwrap();
    // A message in three pieces, with a ping between them, byte by byte.
    let pieces = [
        frame(0x01, true, b"{\"id\": \"\xe2\x82"),
        frame(0x89, true, b"between"),
        frame(0x00, true, b"\xac\", \"type\":"),
        frame(0x80, true, b" \"ping\"}"),
    ];
    for byte in pieces.concat() {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_frame(&mut stream), Some((0x8a, b"between".to_vec())));
    let (opcode, answer) = read_frame(&mut stream).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(
        (opcode, &answer["id"], &answer["success"]),
        (0x81, &json!("€"), &json!(true))
    );
}
