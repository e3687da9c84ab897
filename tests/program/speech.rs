//! Speech over the API: files and samples, queues, events, captions, and what is heard of it.

use serde_json::{Value, json};

use super::api::start;
use super::client::{Client, Socket};
use super::support::{OnAir, TempFolder, text, until, wave};

const PICTURE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="#0f0"/></svg>"##;
pub const SPEAK: &str = "/stream/layers/host/speak";

/// Samples of a tone, in 16 bits, of one channel.
pub fn tone(rate: u32, seconds: f64) -> Vec<u8> {
    let count = (f64::from(rate) * seconds) as u32;
    let sample = |place: u32| {
        let turns = f64::from(place) * 440.0 / f64::from(rate);
        (turns * std::f64::consts::TAU).sin() * 12_000.0
    };
    let samples = (0..count).map(|place| sample(place) as i16);
    samples.flat_map(i16::to_le_bytes).collect()
}

fn spoken(rate: u32, seconds: f64) -> Vec<u8> {
    wave(rate, 1, &tone(rate, seconds))
}

/// A program with an avatar, and a text that shows what it says.
pub fn on_air(folder: &TempFolder) -> (OnAir, Client) {
    folder.write("body.svg", PICTURE);
    std::fs::write(folder.file("hello.wav"), spoken(24_000, 0.4)).unwrap();
    let (on_air, client) = start(folder, &["--recording", "false"]);
    let host = json!({"id": "host", "source": {
        "type": "avatar",
        "states": {"idle": {"src": "body.svg"}},
        "emotions": {"happy": {"src": "body.svg"}},
        "mouth": {"shapes": [{"src": "body.svg", "from": 0.3}]},
    }});
    client.ok("POST", "/stream/layers", host);
    let caption = json!({"id": "caption", "source": {"type": "text", "text": "{{speech.host.line}}", "font": {"size": 24}}});
    client.ok("POST", "/stream/layers", caption);
    (on_air, client)
}

pub fn speech_events(client: &Client) -> Socket {
    client.socket("/ws?events=speech:*")
}

/// The next event: its kind and its utterance.
fn next(socket: &mut Socket) -> (String, String) {
    let event = socket.next();
    let (kind, id) = (&event["event"], &event["data"]["id"]);
    assert_eq!(event["data"]["layer"], "host");
    (
        kind.as_str().unwrap().to_owned(),
        id.as_str().unwrap().to_owned(),
    )
}

fn all(socket: &mut Socket, count: usize) -> Vec<(String, String)> {
    (0..count).map(|_| next(socket)).collect()
}

fn pair(kind: &str, id: &str) -> (String, String) {
    (kind.to_owned(), id.to_owned())
}

#[test]
fn files_and_samples_are_said_one_after_the_other() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let mut events = speech_events(&client);
    let said = client.ok(
        "POST",
        SPEAK,
        json!({
            "src": "hello.wav", "id": "one", "text": "Good evening", "captions": true, "emotion": "happy",
            "words": [{"word": "Good", "start": 0, "end": 0.1}, {"word": "evening", "start": 0.1, "end": 0.4}],
        }),
    );
    assert_eq!(said["data"]["id"], "one");
    assert_eq!(said["data"]["place"], 0);
    let duration = said["data"]["duration"].as_f64().unwrap();
    assert!((0.39..0.41).contains(&duration), "{duration}");
    assert!(said["tick"].is_u64() && said["revision"].is_u64());
    let pcm = client.send(
        "POST",
        &format!("{SPEAK}?rate=16000&utterance=two&text=Raw"),
        "audio/pcm",
        &tone(16_000, 0.3),
    );
    assert_eq!(pcm.status, 201, "{}", pcm.json());
    let file = client.send(
        "POST",
        &format!("{SPEAK}?utterance=three&queue=next&gain=-6"),
        "audio/wav",
        &spoken(48_000, 0.3),
    );
    assert_eq!(file.status, 201, "{}", file.json());
    let form = [
        b"--xyz\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\nfour\r\n".to_vec(),
        b"--xyz\r\nContent-Disposition: form-data; name=\"captions\"\r\n\r\ntrue\r\n".to_vec(),
        b"--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
            .to_vec(),
        spoken(22_050, 0.2),
        b"\r\n--xyz--\r\n".to_vec(),
    ]
    .concat();
    let form = client.send("POST", SPEAK, "multipart/form-data; boundary=xyz", &form);
    assert_eq!(form.status, 201, "{}", form.json());

    let mut told = all(&mut events, 14);
    let queued: Vec<_> = told
        .extract_if(.., |(kind, _)| kind == "speech:queued")
        .map(|(_, id)| id)
        .collect();
    assert_eq!(queued, ["one", "two", "three", "four"]);
    assert_eq!(
        told,
        [
            pair("speech:start", "one"),
            pair("speech:word", "one"),
            pair("speech:word", "one"),
            pair("speech:end", "one"),
            pair("speech:start", "three"),
            pair("speech:end", "three"),
            pair("speech:start", "two"),
            pair("speech:end", "two"),
            pair("speech:start", "four"),
            pair("speech:end", "four"),
        ]
    );
    let queue = client.get(SPEAK);
    assert_eq!(
        (&queue["count"], &queue["speaking"]),
        (&json!(0), &json!(false))
    );
}

#[test]
fn what_cannot_be_said_is_refused_and_names_the_field() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let refused = |path: &str, body: Value| {
        let (status, answer) = client.ask("POST", path, body);
        let at = answer["error"]["details"]["problems"][0]["path"].clone();
        (status, at)
    };
    let with = |more: Value| {
        let mut body = json!({"src": "hello.wav"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        refused(SPEAK, body)
    };
    assert_eq!(with(json!({"emotion": "hapy"})), (422, json!("emotion")));
    assert_eq!(with(json!({"gain": 25})), (422, json!("gain")));
    assert_eq!(with(json!({"id": "no spaces"})), (422, json!("id")));
    assert_eq!(with(json!({"src": "nothing.wav"})), (422, json!("src")));
    assert_eq!(with(json!({"src": "body.svg"})), (422, json!("src")));
    assert_eq!(
        with(json!({"src": "../../etc/passwd"})),
        (422, json!("src"))
    );
    assert_eq!(with(json!({"tekst": "a"})), (400, json!("tekst")));
    assert_eq!(with(json!({"queue": "first"})).0, 400);
    let delayed = json!({"id": "late", "source": {"type": "avatar", "states": {"idle": {"src": "body.svg"}}}, "sound": {"delay": 0.2}});
    assert_eq!(
        refused("/stream/layers", delayed),
        (422, json!("sound.delay")),
        "mouth and sound stay together"
    );
    let words = json!([{"word": "b", "start": 1, "end": 2}, {"word": "a", "start": 0, "end": 1}]);
    assert_eq!(
        with(json!({"words": words})),
        (422, json!("words[1].start"))
    );
    assert_eq!(refused(SPEAK, json!({"text": "a"})), (422, json!("src")));
    let body = json!({"src": "hello.wav"});
    assert_eq!(refused("/stream/layers/box/speak", body.clone()).0, 409);
    assert_eq!(refused("/stream/layers/nobody/speak", body).0, 404);
    let send = |query: &str, kind: &str, bytes: &[u8]| {
        client
            .send("POST", &format!("{SPEAK}{query}"), kind, bytes)
            .status
    };
    assert_eq!(send("?rate=4000", "audio/pcm", &[0; 64]), 422);
    assert_eq!(send("?format=u8", "audio/pcm", &[0; 64]), 422);
    assert_eq!(send("", "audio/pcm", &[0; 1]), 422);
    assert_eq!(send("", "audio/wav", b"RIFFnonsense"), 422);
    assert_eq!(send("", "text/plain", b"hello"), 415);
    let at = |query: &str, kind: &str, bytes: &[u8]| {
        let answer = client.send("POST", &format!("{SPEAK}{query}"), kind, bytes);
        let answer = answer.json();
        answer["error"]["details"]["problems"][0]["path"].clone()
    };
    let rate = tone(8_000, 0.1);
    assert_eq!(at("?utterance=a%20b", "audio/pcm", &rate), "utterance");
    let form = b"--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nno sound\r\n--xyz--\r\n";
    assert_eq!(at("", "multipart/form-data; boundary=xyz", form), "file");
    let long = json!({"src": "hello.wav", "text": "a".repeat(2 << 20)}).to_string();
    assert_eq!(send("", "application/json", long.as_bytes()), 413);
    assert_eq!(send("?speed=2", "audio/pcm", &[0; 64]), 400);
    let (status, _) = client.ask("DELETE", &format!("{SPEAK}/nothing"), Value::Null);
    assert_eq!(status, 404);
    let (status, _) = client.ask("PATCH", "/stream/data", json!({"speech": {"host": 1}}));
    assert_eq!(status, 422, "the name is kept");
    assert_eq!(client.get(SPEAK)["count"], 0);
}

#[test]
fn speech_is_stopped_and_interrupted() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let mut events = speech_events(&client);
    let say = |id: &str, queue: &str| {
        let path = format!("{SPEAK}?rate=8000&utterance={id}&queue={queue}");
        let answer = client.send("POST", &path, "audio/pcm", &tone(8_000, 30.0));
        assert_eq!(answer.status, 201, "{}", answer.json());
    };
    say("a", "append");
    say("b", "append");
    assert_eq!(all(&mut events, 3)[2].1, "b");
    let path = format!("{SPEAK}?rate=8000&utterance=a");
    assert_eq!(
        client
            .send("POST", &path, "audio/pcm", &tone(8_000, 0.1))
            .status,
        409
    );
    say("c", "interrupt");
    let told = all(&mut events, 3);
    assert_eq!(
        told,
        [
            pair("speech:queued", "c"),
            pair("speech:end", "a"),
            pair("speech:start", "c")
        ]
    );
    let queue = client.get(SPEAK);
    assert_eq!(queue["utterances"][0]["id"], "c");
    assert_eq!(queue["utterances"][0]["state"], "speaking");
    assert_eq!(queue["utterances"][1]["state"], "waiting");
    client.ok("DELETE", &format!("{SPEAK}/b"), Value::Null);
    let event = events.event("speech:end");
    assert_eq!(
        (&event["data"]["id"], &event["data"]["reason"]),
        (&json!("b"), &json!("cancelled"))
    );
    let batch = json!({"commands": [{"type": "speech.stop", "id": "host"}]});
    client.ok("POST", "/stream/commands", batch);
    assert_eq!(events.event("speech:end")["data"]["id"], "c");
    say("d", "append");
    events.event("speech:start");
    client.ok("DELETE", "/stream/layers/host", Value::Null);
    let event = events.event("speech:end");
    assert_eq!(
        (&event["data"]["id"], &event["data"]["reason"]),
        (&json!("d"), &json!("cancelled"))
    );
}

#[test]
fn what_is_said_is_heard() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let mut meters = client.socket("/ws?events=audio:levels");
    let level = |event: &Value| {
        let channels = event["data"]["channels"].as_array().unwrap().clone();
        let host = channels
            .into_iter()
            .find(|channel| channel["layer"] == "host");
        host.unwrap()["peak"].as_f64().unwrap()
    };
    assert!(level(&meters.event("audio:levels")) <= -99.0);
    client.ok("POST", SPEAK, json!({"src": "hello.wav"}));
    let mut is_heard = || {
        until("the tone is heard", || {
            let peak = level(&meters.event("audio:levels"));
            // 12000 of 32768 are -8.7 dBFS.
            (-10.0..-8.0).contains(&peak).then_some(())
        });
        until("it is over", || {
            (level(&meters.event("audio:levels")) <= -99.0).then_some(())
        });
    };
    is_heard();
    // RFC 2586: the highest byte first, and what it is in the type.
    let mut swapped = [tone(16_000, 0.5), tone(16_000, 0.5)].concat();
    swapped.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
    let send = |query: &str, kind: &str| {
        let answer = client.send("POST", &format!("{SPEAK}{query}"), kind, &swapped);
        (answer.status, answer.json())
    };
    let (status, said) = send("?rate=8000", "audio/L16; channels=1; Rate=16000");
    assert_eq!((status, &said["data"]["duration"]), (201, &json!(1.0)));
    is_heard();
    assert_eq!(send("?format=s16le", "audio/L16;rate=16000").0, 422);
    assert_eq!(send("", "audio/L16;rate=fast").0, 422);
}

#[test]
fn what_is_said_makes_no_revision_and_what_the_world_refuses_is_no_success() {
    let folder = TempFolder::new();
    let (on_air, client) = on_air(&folder);
    let revision = client.revision();
    let pcm = |query: &str| {
        client.send(
            "POST",
            &format!("{SPEAK}?rate=8000{query}"),
            "audio/pcm",
            &tone(8_000, 30.0),
        )
    };
    let tried = pcm("&utterance=a&dryRun=true").json();
    assert_eq!(tried["data"]["place"], 0, "{tried}");
    for place in 0..33 {
        let answer = pcm("").json();
        assert_eq!(answer["data"]["place"], place, "{answer}");
        let queue = client.get(SPEAK);
        let id = &answer["data"]["id"];
        let is_there = |shown: &Value| shown["id"] == *id;
        assert!(
            queue["utterances"].as_array().unwrap().iter().any(is_there),
            "who has the answer finds it"
        );
    }
    let refused = pcm("");
    assert_eq!(refused.status, 503, "{}", refused.json());
    let tried = pcm("&queue=replace&dryRun=true").json();
    assert_eq!(tried["data"]["place"], 0, "{tried}");
    assert_eq!(client.revision(), revision);
    let metrics = Client::new(on_air.port("metrics"));
    let body = text(&metrics.send("GET", "/metrics", "", b"").body);
    for name in [
        "stream_speech_queue{layer=\"host\"} 33",
        "stream_speech_utterances_total 1",
        "stream_speech_underruns_total 0",
        "stream_speech_events_lost_total 0",
        "stream_speech_clients 0",
    ] {
        assert!(body.contains(name), "{name} is not in:\n{body}");
    }
    let mut events = speech_events(&client);
    assert_eq!(pcm("&utterance=new&queue=replace").status, 201);
    for _ in 0..33 {
        assert_eq!(events.event("speech:end")["data"]["reason"], "interrupted");
    }
    let queue = client.get(SPEAK);
    assert_eq!(
        (&queue["count"], &queue["utterances"][0]["id"]),
        (&json!(1), &json!("new"))
    );
    client.ok("DELETE", SPEAK, Value::Null);
    assert_eq!(client.revision(), revision);
}

#[test]
fn batches_have_uploaded_sounds_said_on_their_tick() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let form = [
        b"--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
            .to_vec(),
        spoken(22_050, 0.2),
        b"\r\n--xyz--\r\n".to_vec(),
    ]
    .concat();
    let media_type = "multipart/form-data; boundary=xyz";
    let asset = client.send("POST", "/stream/assets", media_type, &form);
    let src = format!("asset:{}", asset.json()["data"]["id"].as_str().unwrap());
    let mut events = speech_events(&client);
    client.ok("POST", SPEAK, json!({"src": src, "id": "one"}));
    assert_eq!(events.event("speech:end")["data"]["reason"], "done");
    let refused = |command: Value| {
        let batch = json!({"commands": [{"type": "speech.stop", "id": "host"}, command]});
        let (status, answer) = client.ask("POST", "/stream/commands", batch);
        let path = answer["error"]["details"]["problems"][0]["path"].clone();
        (status, path)
    };
    let say = |fields: Value| {
        let mut command = json!({"type": "speech.say", "id": "host", "src": src});
        let fields = fields.as_object().unwrap().clone();
        command.as_object_mut().unwrap().extend(fields);
        command
    };
    for (fields, path) in [
        (json!({"gain": 25}), "commands[1].gain"),
        (json!({"utterance": "no spaces"}), "commands[1].utterance"),
        (json!({"emotion": "hapy"}), "commands[1].emotion"),
        (json!({"src": "nothing.wav"}), "commands[1].src"),
    ] {
        assert_eq!(refused(say(fields)), (422, json!(path)));
    }
    let tick = client.get("/stream/status")["tick"].as_u64().unwrap() + 30;
    let words = json!([{"word": "a", "start": 0, "end": 0.1}]);
    let batch = json!({"at": tick, "commands": [
        say(json!({"utterance": "two", "words": words})),
        say(json!({"queue": "append"})),
    ]});
    let (status, answer) = client.ask("POST", "/stream/commands", batch);
    assert_eq!(status, 202, "{answer}");
    let start = events.event("speech:start");
    assert_eq!(
        (&start["data"]["id"], &start["data"]["tick"]),
        (&json!("two"), &json!(tick))
    );
    assert_eq!(events.event("speech:word")["data"]["word"], "a");
    assert_eq!(events.event("speech:end")["data"]["id"], "two");
    assert_eq!(events.event("speech:end")["data"]["reason"], "done");
}

#[test]
fn speech_goes_on_when_the_scene_changes_and_a_host_that_goes_can_be_stopped() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    client.ok("POST", "/stream/scenes/scene/save", Value::Null);
    let saved = std::fs::read_to_string(folder.file("scene.json")).unwrap();
    let mut next: Value = serde_json::from_str(&saved).unwrap();
    next["transitions"] = json!({"scene": {"type": "fade", "duration": 30}});
    folder.write("next.json", &next.to_string());
    (next["layers"], next["timelines"]) = (json!([]), json!([]));
    folder.write("without.json", &next.to_string());
    let mut events = speech_events(&client);
    let path = format!("{SPEAK}?rate=8000&utterance=a");
    let said = client.send("POST", &path, "audio/pcm", &tone(8_000, 60.0));
    assert_eq!(said.status, 201);
    events.event("speech:start");
    client.ok("POST", "/stream/scenes/next/activate", Value::Null);
    let queue = client.get(SPEAK);
    assert_eq!(
        (&queue["count"], &queue["speaking"]),
        (&json!(1), &json!(true))
    );
    client.ok("POST", "/stream/scenes/without/activate", Value::Null);
    let queue = client.get(SPEAK);
    assert_eq!(
        queue["utterances"][0]["id"], "a",
        "it goes with its scene: {queue}"
    );
    let (status, _) = client.ask("POST", SPEAK, json!({"src": "hello.wav"}));
    assert_eq!(status, 404, "nothing new is said there");
    client.ok("DELETE", &format!("{SPEAK}/a"), Value::Null);
    assert_eq!(events.event("speech:end")["data"]["reason"], "cancelled");
}

#[test]
fn a_batch_that_changes_the_scene_speaks_in_the_scene_that_comes() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    client.ok("POST", "/stream/scenes/scene/save", Value::Null);
    let saved = std::fs::read_to_string(folder.file("scene.json")).unwrap();
    let mut next: Value = serde_json::from_str(&saved).unwrap();
    next["assets"] = json!({"jingle": {"path": "hello.wav"}});
    folder.write("next.json", &next.to_string());
    (next["layers"], next["timelines"]) = (json!([]), json!([]));
    folder.write("without.json", &next.to_string());
    let batch = |commands: Value| {
        let (status, answer) =
            client.ask("POST", "/stream/commands", json!({"commands": commands}));
        (status, answer["error"]["code"].clone())
    };
    let activate = |scene: &str| json!({"type": "scene.activate", "scene": scene});
    let say = |src: &str| json!({"type": "speech.say", "id": "host", "src": src, "utterance": "a"});
    // Its host would be gone by then.
    assert_eq!(
        batch(json!([say("hello.wav"), activate("without")])),
        (404, json!("NOT_FOUND"))
    );
    let delete = json!({"type": "layer.delete", "id": "host"});
    assert_eq!(batch(json!([say("hello.wav"), delete])).0, 404);
    assert_eq!(batch(json!([say("jingle"), activate("next")])).0, 422);
    assert_eq!(client.get("/stream/scenes")["program"]["id"], "scene");
    // What the scene that comes names.
    let mut events = speech_events(&client);
    assert_eq!(
        batch(json!([activate("next"), say("jingle")])),
        (200, Value::Null)
    );
    assert_eq!(events.event("speech:end")["data"]["reason"], "done");
}
