//! Speech as it is synthesised, over a WebSocket: what is pushed, what is held back, what breaks off, and who goes.

use serde_json::{Value, json};
use tungstenite::Message;

use super::client::{Client, Socket};
use super::speech::{SPEAK, on_air, speech_events, tone};
use super::support::{TempFolder, text, until};

/// The next message of a connection that pushes, apart from what says that something was taken in.
fn told(socket: &mut Socket) -> Value {
    loop {
        let message = socket.next();
        if message.get("taken").is_none() {
            return message;
        }
    }
}

#[test]
fn samples_are_pushed_as_they_are_made() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let mut socket = client.socket(&format!("{SPEAK}/ws"));
    socket.send(Message::binary(vec![0; 100]));
    assert_eq!(socket.next()["error"]["code"], "BAD_REQUEST");
    say(&mut socket, json!({"rate": 1}));
    assert_eq!(
        socket.next()["error"]["details"]["problems"][0]["path"],
        "rate"
    );
    say(&mut socket, json!({"rate": 24000, "emotion": "angry"}));
    assert_eq!(socket.next()["error"]["code"], "INVALID");
    for id in ["first", "second"] {
        say(
            &mut socket,
            json!({"rate": 24000, "id": id, "text": "Bom dia", "captions": true}),
        );
        assert_eq!(socket.next()["accepted"]["id"], id);
        let samples = tone(24_000, 0.4);
        for chunk in samples.chunks(4_801) {
            socket.send(Message::binary(chunk.to_vec()));
        }
        let words = json!([{"word": "Bom", "start": 0.3, "end": 0.35}]);
        say(&mut socket, json!({"words": words}));
        say(&mut socket, json!({"end": true}));
        let names: Vec<Value> = (0..3).map(|_| told(&mut socket)).collect();
        assert_eq!(names[0]["start"]["id"], id, "{names:?}");
        assert_eq!(names[1]["word"]["word"], "Bom", "{names:?}");
        let end = &names[2]["end"];
        assert_eq!(end["reason"], "done", "{names:?}");
        let position = end["position"].as_f64().unwrap();
        assert!((position - 0.4).abs() < 0.005, "{position}");
        assert_eq!(end["lastWord"], json!({"word": "Bom", "index": 0}));
    }
    say(
        &mut socket,
        json!({"rate": 8000, "format": "f32le", "channels": 2}),
    );
    let id = socket.next()["accepted"]["id"].clone();
    socket.send(Message::binary(vec![0; 64_000]));
    assert_eq!(told(&mut socket)["start"]["id"], id);
    say(&mut socket, json!({"cancel": true}));
    let end = told(&mut socket)["end"].take();
    assert_eq!((&end["id"], &end["reason"]), (&id, &json!("cancelled")));
}

#[test]
fn a_client_that_goes_is_said_as_far_as_it_came_and_one_too_fast_is_held_back() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let mut events = speech_events(&client);
    let mut socket = client.socket(&format!("{SPEAK}/ws"));
    socket.send(Message::text(
        json!({"rate": 24000, "id": "cut"}).to_string(),
    ));
    assert!(socket.next()["accepted"].is_object());
    socket.send(Message::binary(tone(24_000, 0.3)));
    events.event("speech:start");
    drop(socket);
    let event = events.event("speech:end");
    assert_eq!(
        (&event["data"]["id"], &event["data"]["reason"]),
        (&json!("cut"), &json!("done"))
    );
    // 200 s at once.
    let mut socket = client.socket(&format!("{SPEAK}/ws"));
    socket.send(Message::text(
        json!({"rate": 8000, "id": "fast"}).to_string(),
    ));
    assert!(socket.next()["accepted"].is_object());
    for _ in 0..20 {
        socket.send(Message::binary(vec![0; 160_000]));
    }
    let received = until("120 s are taken", || {
        let received = client.get(SPEAK)["utterances"][0]["received"].as_f64()?;
        (received >= 120.0).then_some(received)
    });
    assert!(received < 130.0, "{received}");
    client.ok("DELETE", SPEAK, Value::Null);
    assert_eq!(events.event("speech:end")["data"]["id"], "fast");
}

fn say(socket: &mut Socket, value: Value) {
    socket.send(Message::text(value.to_string()));
}

/// The answer to a message, with what is told of speech left aside.
fn answer(socket: &mut Socket) -> Value {
    loop {
        let message = socket.next();
        let is_answer = ["accepted", "taken", "error"]
            .iter()
            .any(|name| message.get(*name).is_some());
        if is_answer {
            return message;
        }
    }
}

#[test]
fn what_is_pushed_is_answered_and_the_next_follows_what_was_stopped_from_elsewhere() {
    let folder = TempFolder::new();
    let (on_air, client) = on_air(&folder);
    let mut events = speech_events(&client);
    let mut socket = client.socket(&format!("{SPEAK}/ws"));
    say(&mut socket, json!({"rate": 24000, "id": "a"}));
    assert_eq!(answer(&mut socket)["accepted"]["id"], "a");
    socket.send(Message::binary(tone(24_000, 20.0)));
    let one = json!([{"word": "one", "start": 1, "end": 2}]);
    say(&mut socket, json!({"words": one}));
    let taken = answer(&mut socket)["taken"].take();
    assert_eq!((&taken["id"], &taken["words"]), (&json!("a"), &json!(1)));
    let received = taken["received"].as_f64().unwrap();
    assert!((19.9..20.1).contains(&received), "{received}");
    // Words go on where those before ended.
    let early = json!([{"word": "two", "start": 0.5, "end": 2}]);
    say(&mut socket, json!({"words": early}));
    let error = answer(&mut socket)["error"].take();
    assert_eq!(error["details"]["problems"][0]["path"], "words[0].start");
    let many = json!({"word": "a", "start": 2, "end": 2});
    say(&mut socket, json!({"words": vec![many; 4096]}));
    let error = answer(&mut socket)["error"].take();
    assert_eq!(error["details"]["problems"][0]["path"], "words");
    say(&mut socket, json!({"rate": 24000, "id": "b"}));
    assert_eq!(answer(&mut socket)["error"]["code"], "CONFLICT");
    // Stopped from elsewhere: what follows is another one.
    events.event("speech:start");
    client.ok("DELETE", &format!("{SPEAK}/a"), Value::Null);
    assert_eq!(events.event("speech:end")["data"]["reason"], "cancelled");
    let metrics = Client::new(on_air.port("metrics"));
    let body = text(&metrics.send("GET", "/metrics", "", b"").body);
    assert!(
        body.contains("stream_speech_held_seconds 0.0\n"),
        "nothing of it is held though its client stays:\n{body}"
    );
    socket.send(Message::binary(tone(24_000, 0.2)));
    say(&mut socket, json!({"rate": 24000, "id": "b"}));
    let accepted = answer(&mut socket);
    assert_eq!(accepted["accepted"]["id"], "b", "{accepted}");
    socket.send(Message::binary(tone(24_000, 0.2)));
    say(&mut socket, json!({"end": true}));
    let taken = answer(&mut socket)["taken"].take();
    assert_eq!(taken["end"], true, "{taken}");
    let end = events.event("speech:end");
    assert_eq!(
        (&end["data"]["id"], &end["data"]["reason"]),
        (&json!("b"), &json!("done"))
    );
    let position = end["data"]["position"].as_f64().unwrap();
    assert!((position - 0.2).abs() < 0.005, "its own alone: {position}");
    // The name of one that is said is taken, whoever asks.
    say(&mut socket, json!({"rate": 24000, "id": "c"}));
    assert_eq!(answer(&mut socket)["accepted"]["id"], "c");
    let mut other = client.socket(&format!("{SPEAK}/ws"));
    say(&mut other, json!({"rate": 24000, "id": "c"}));
    assert_eq!(answer(&mut other)["error"]["code"], "CONFLICT");
    say(&mut socket, json!({"cancel": true}));
    assert_eq!(answer(&mut socket)["taken"]["cancel"], true);
}

#[test]
fn one_who_is_held_back_is_still_heard() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let mut socket = client.socket(&format!("{SPEAK}/ws"));
    let begin = |socket: &mut Socket, id: &str| {
        say(socket, json!({"rate": 8000, "id": id}));
        assert_eq!(answer(socket)["accepted"]["id"], id);
        // 130 s, of which 120 s find room.
        for _ in 0..2 {
            socket.send(Message::binary(vec![0; 8000 * 2 * 65]));
        }
        until("120 s are taken", || {
            let queue = client.get(SPEAK);
            let shown = queue["utterances"].as_array()?;
            let own = shown.iter().find(|shown| shown["id"] == *id)?;
            (own["received"].as_f64()? >= 119.9).then_some(())
        });
    };
    begin(&mut socket, "a");
    // However much more waits.
    for _ in 0..20 {
        socket.send(Message::binary(vec![0; 4000]));
    }
    say(&mut socket, json!({"text": "More"}));
    let taken = answer(&mut socket)["taken"].take();
    let received = taken["received"].as_f64().unwrap();
    let position = client.get(SPEAK)["utterances"][0]["position"].as_f64();
    let ahead = received - position.unwrap();
    assert!(ahead < 121.0, "what waits is not there yet: {ahead}");
    say(&mut socket, json!({"end": true}));
    say(&mut socket, json!({"rate": 8000, "id": "never"}));
    socket.send(Message::binary(vec![0; 4000]));
    say(&mut socket, json!({"cancel": true, "words": "none"}));
    client.ok("DELETE", &format!("{SPEAK}/a"), Value::Null);
    assert_eq!(answer(&mut socket)["taken"]["end"], true);
    assert_eq!(answer(&mut socket)["accepted"]["id"], "never");
    let taken = answer(&mut socket)["taken"].take();
    assert_eq!(
        (&taken["id"], &taken["cancel"]),
        (&json!("never"), &json!(true))
    );
    begin(&mut socket, "c");
    for _ in 0..5 {
        socket.send(Message::binary(vec![0; 4000]));
    }
    say(&mut socket, json!({"end": true}));
    say(&mut socket, json!({"cancel": true}));
    assert_eq!(answer(&mut socket)["taken"]["end"], true);
    let taken = answer(&mut socket)["taken"].take();
    assert_eq!(
        (&taken["id"], &taken["cancel"]),
        (&json!("c"), &json!(true)),
        "at once, though nothing of it was heard"
    );
    begin(&mut socket, "b");
    let mut events = speech_events(&client);
    drop(socket);
    // What came before it went is complete, as soon as there is room for the rest.
    client.ok("DELETE", SPEAK, Value::Null);
    assert_eq!(events.event("speech:end")["data"]["id"], "b");
}
