//! Recordings, replays and thumbnails over the API, proved from the files that they give.

use super::api::start;
use super::client::{Answer, Client};
use super::resume::{again, kill};
use super::support::{TempFolder, probe, until};
use serde_json::{Value, json};

fn download(client: &Client, path: &str, header: &str) -> Answer {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
    client.raw(request.as_bytes())
}

/// What ffprobe says of a body.
fn probed(folder: &TempFolder, name: &str, answer: &Answer) -> Value {
    let path = folder.file(name);
    std::fs::write(&path, &answer.body).unwrap();
    probe(&path.to_string_lossy())
}

fn seconds(probed: &Value) -> f64 {
    probed["format"]["duration"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn until_frames(client: &Client, count: u64) {
    let frames = |client: &Client| client.get("/stream/status")["frameCount"].as_u64().unwrap();
    let from = frames(client);
    until("some frames", || {
        (frames(client) > from + count).then_some(())
    });
}

#[test]
fn a_recording_is_started_marked_stopped_listed_downloaded_and_deleted() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &["--recording", "false"]);
    let mut socket = client.socket("/ws?events=recording:*");
    for path in ["stop", "markers"] {
        let path = format!("/stream/recordings/{path}");
        let (code, answer) = client.ask("POST", &path, json!({"label": "x"}));
        assert_eq!(code, 409, "{answer}");
    }
    let begun = client.ok(
        "POST",
        "/stream/recordings/start",
        json!({"name": "friday", "container": "mkv"}),
    );
    let data = &begun["data"];
    assert_eq!(
        (&data["id"], &data["state"], &data["container"]),
        (&json!("friday"), &json!("recording"), &json!("mkv"))
    );
    assert_eq!(data["codecs"], json!(["h264", "aac"]));
    assert_eq!(socket.event("recording:update")["data"]["id"], "friday");
    assert_eq!(
        client
            .ask("POST", "/stream/recordings/start", Value::Null)
            .0,
        409
    );
    assert_eq!(client.get("/stream/recordings")["current"], "friday");
    assert_eq!(
        client
            .ask("DELETE", "/stream/recordings/friday", Value::Null)
            .0,
        409
    );
    until_frames(&client, 75);
    let marked = client.ok(
        "POST",
        "/stream/recordings/markers",
        json!({"label": "Lot <12>"}),
    );
    let marker = &marked["data"]["marker"];
    until_frames(&client, 30);
    let ended = client.ok("POST", "/stream/recordings/stop", Value::Null)["data"].take();
    assert_eq!(
        (&ended["state"], &ended["markers"][0]),
        (&json!("finished"), marker)
    );
    assert!(ended["bytes"].as_u64().unwrap() > 1000, "{ended}");

    let whole = download(&client, "/stream/recordings/friday/download", "");
    assert_eq!(whole.status, 200);
    assert!(
        whole.has("content-type", "video/x-matroska"),
        "{}",
        whole.head
    );
    assert!(
        whole.has("content-disposition", "attachment; filename=\"friday.mkv\""),
        "{}",
        whole.head
    );
    assert!(whole.has("accept-ranges", "bytes"), "{}", whole.head);
    let facts = probed(&folder, "downloaded.mkv", &whole);
    assert_eq!(facts["streams"].as_array().unwrap().len(), 2);
    let length = seconds(&facts);
    assert!(length > 2.0, "{length}");
    let at = marker["at"].as_f64().unwrap();
    assert!(at > 0.5 && at < length, "{at} of {length}");
    let said = ended["seconds"].as_f64().unwrap();
    assert!((said - length).abs() < 1.0, "{said} of {length}");
    let part = download(
        &client,
        "/stream/recordings/friday/download",
        "Range: bytes=100-199\r\n",
    );
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[100..200]));
    let beyond = download(
        &client,
        "/stream/recordings/friday/download",
        "Range: bytes=999999999-\r\n",
    );
    assert_eq!(beyond.status, 416);
    assert_eq!(
        download(&client, "/stream/recordings/friday/download?file=2", "").status,
        404
    );
    let chapters = std::fs::read_to_string(folder.file("data/recordings/friday.vtt")).unwrap();
    assert!(
        chapters.starts_with("WEBVTT\n") && chapters.contains("Lot &lt;12&gt;"),
        "{chapters}"
    );

    // A second one of the name gets a number; both are there after a restart.
    let second = client.ok(
        "POST",
        "/stream/recordings/start",
        json!({"name": "friday", "container": "mkv"}),
    );
    assert_eq!(second["data"]["id"], "friday-2");
    until_frames(&client, 80);
    std::fs::write(folder.file("data/recordings/of-others.mp4"), "1234").unwrap();
    on_air.signal("-KILL");
    on_air.end();
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    // It goes on being recorded, as it was asked for, in a file of its own.
    until_frames(&client, 30);
    let further = client.ok("POST", "/stream/recordings/stop", Value::Null)["data"].take();
    assert_eq!(
        (&further["id"], &further["container"]),
        (&json!("friday-3"), &json!("mkv"))
    );
    let list = client.get("/stream/recordings");
    let states: Vec<(&str, &str)> = ["friday", "friday-2", "of-others"]
        .iter()
        .map(|id| {
            let recordings = list["recordings"].as_array().unwrap();
            let found = recordings
                .iter()
                .find(|recording| recording["id"] == *id)
                .unwrap();
            (
                found["id"].as_str().unwrap(),
                found["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("friday", "finished"),
            ("friday-2", "interrupted"),
            ("of-others", "found")
        ]
    );
    assert_eq!(list["current"], Value::Null);
    for id in ["friday", "friday-2", "friday-3", "of-others"] {
        client.ok("DELETE", &format!("/stream/recordings/{id}"), Value::Null);
    }
    assert_eq!(client.get("/stream/recordings")["count"], 0);
    assert_eq!(
        std::fs::read_dir(folder.file("data/recordings"))
            .unwrap()
            .count(),
        0
    );
    let (code, answer) = client.ask("POST", "/stream/recordings/start", json!({"name": "../up"}));
    assert_eq!(code, 422, "{answer}");
    let (code, answer) = client.ask(
        "POST",
        "/stream/recordings/start",
        json!({"rendition": "mian"}),
    );
    assert_eq!(
        (code, &answer["error"]["details"]["suggestion"]),
        (422, &json!("did you mean `main`?"))
    );
}

#[test]
fn a_recording_ends_with_the_stream_and_the_next_begins_with_it() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &[]);
    let current = |client: &Client| client.get("/stream/recordings")["current"].clone();
    let first = current(&client);
    assert!(first.is_string());
    until_frames(&client, 45);
    client.ok("POST", "/stream/stop", Value::Null);
    let ended = client.get(&format!("/stream/recordings/{}", first.as_str().unwrap()));
    assert_eq!(ended["state"], "finished");
    assert_eq!(current(&client), Value::Null);
    let (code, answer) = client.ask("POST", "/stream/recordings/start", Value::Null);
    assert_eq!(code, 409, "{answer}");
    client.ok("POST", "/stream/start", Value::Null);
    assert!(current(&client).is_string() && current(&client) != first);
}

/// The recording that is being written, `None` where nothing is.
fn current(client: &Client) -> Option<String> {
    let list = client.get("/stream/recordings");
    list["current"].as_str().map(str::to_owned)
}

#[test]
fn whether_it_is_being_recorded_survives_and_ends_with_the_stream() {
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &[]);
    assert!(current(&client).is_some());
    let stop = |client: &Client| {
        until_frames(client, 30);
        let path = "/stream/recordings/stop?durable=true";
        client.ok("POST", path, Value::Null);
    };
    stop(&client);
    kill(on_air);
    let (on_air, client) = again(&folder, &[]);
    assert_eq!(current(&client), None, "it was stopped by hand");
    let asked = json!({"name": "late", "container": "ts"});
    client.ok("POST", "/stream/recordings/start?durable=true", asked);
    // An end of the program is none of the stream.
    on_air.signal("-TERM");
    on_air.end();
    let (on_air, client) = again(&folder, &[]);
    assert_eq!(current(&client).as_deref(), Some("late-2"));
    let late = client.get("/stream/recordings/late-2");
    assert_eq!(late["container"], "ts", "{late}");
    // A stream that is started begins as the settings say.
    client.ok("POST", "/stream/stop", Value::Null);
    client.ok("POST", "/stream/start?durable=true", Value::Null);
    let begun = current(&client).expect("a recording");
    assert!(!begun.starts_with("late"), "{begun}");
    stop(&client);
    kill(on_air);
    // So does one whose setting was changed meanwhile, and was changed back.
    let (on_air, client) = again(&folder, &["--recording", "false"]);
    assert_eq!(current(&client), None);
    client.ok(
        "POST",
        "/stream/recordings/start?durable=true",
        json!({"name": "hand"}),
    );
    kill(on_air);
    let (_on_air, client) = again(&folder, &[]);
    let begun = current(&client).expect("a recording");
    assert!(!begun.starts_with("hand"), "{begun}");
}

#[test]
fn a_recording_of_several_files_is_one_and_so_is_the_file_of_an_output() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false"]);
    let asked = json!({"name": "long", "split": {"minutes": 0.05}});
    client.ok("POST", "/stream/recordings/start", asked);
    client.ok(
        "POST",
        "/stream/outputs",
        json!({"id": "archive", "url": "archive.mkv"}),
    );
    let files = |id: &str| {
        let (status, answer) = client.ask("GET", &format!("/stream/recordings/{id}"), Value::Null);
        let files = answer["data"]["files"].as_array().map(Vec::len);
        files.filter(|_| status == 200)
    };
    until("a second file", || {
        files("long").filter(|count| *count >= 2)
    });
    let ended = client.ok("POST", "/stream/recordings/stop", Value::Null)["data"].take();
    let names = ended["files"].as_array().unwrap();
    let length: f64 = names
        .iter()
        .map(|file| file["seconds"].as_f64().unwrap())
        .sum();
    assert!(
        (ended["seconds"].as_f64().unwrap() - length).abs() < 0.01,
        "{ended}"
    );
    let second = download(&client, "/stream/recordings/long/download?file=2", "");
    assert_eq!(second.status, 200, "{}", second.head);
    assert_eq!(
        probed(&folder, "second.mp4", &second)["streams"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    assert_eq!(files("archive"), Some(1));
    client.ok("POST", "/stream/outputs/archive/stop", Value::Null);
    let archive = until("the end of the file", || {
        let archive = client.get("/stream/recordings/archive");
        (archive["state"] == "finished").then_some(archive)
    });
    assert_eq!(
        (&archive["output"], &archive["container"]),
        (&json!("archive"), &json!("mkv"))
    );
}

#[test]
fn what_mp4_does_not_hold_is_recorded_in_what_does() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--stream-codec", "vp8", "--audio-codec", "opus"]);
    let config = client.get("/stream/config");
    assert_eq!(
        (&config["STREAM_CODEC"], &config["AUDIO_CODEC"]),
        (&json!("vp8"), &json!("opus"))
    );
    until_frames(&client, 75);
    let ended = client.ok("POST", "/stream/recordings/stop", Value::Null)["data"].take();
    assert_eq!(
        (&ended["container"], &ended["codecs"]),
        (&json!("webm"), &json!(["vp8", "opus"]))
    );
    let id = ended["id"].as_str().unwrap();
    let answer = download(&client, &format!("/stream/recordings/{id}/download"), "");
    assert!(answer.has("content-type", "video/webm"), "{}", answer.head);
    assert_eq!(
        probed(&folder, "v.webm", &answer)["streams"][0]["codec_name"],
        "vp8"
    );
    // An output that cannot carry it says why, and nothing else is kept from running.
    let push = json!({"id": "push", "url": "rtmp://127.0.0.1:1/live", "key": "k"});
    let (code, answer) = client.ask("POST", "/stream/outputs", push);
    assert_eq!(code, 422, "{answer}");
    assert_eq!(client.get("/stream/outputs")["count"], 0);
    let saved = client.ok("POST", "/stream/replay/save", Value::Null);
    assert_eq!(saved["data"]["container"], "webm");
}

#[test]
fn the_last_seconds_are_saved_from_memory() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false", "--replay-seconds", "4"]);
    until("more than is kept", || {
        let replay = client.get("/stream/replay");
        (replay["kept"].as_f64()? >= 4.0).then_some(())
    });
    let kept = client.get("/stream/replay");
    assert!(
        kept["kept"].as_f64().unwrap() < 7.0 && kept["bytes"].as_u64().unwrap() > 0,
        "{kept}"
    );
    let saved = client.ok(
        "POST",
        "/stream/replay/save",
        json!({"seconds": 2, "name": "goal"}),
    )["data"]
        .take();
    assert_eq!(
        (&saved["id"], &saved["state"]),
        (&json!("goal"), &json!("finished"))
    );
    let answer = download(&client, "/stream/recordings/goal/download", "");
    assert!(answer.has("content-type", "video/mp4"), "{}", answer.head);
    let facts = probed(&folder, "goal.mp4", &answer);
    let length = seconds(&facts);
    assert!(
        (2.0..5.0).contains(&length),
        "from the keyframe before: {length}"
    );
    assert_eq!(facts["streams"].as_array().unwrap().len(), 2);
    let listed = client.get("/stream/recordings");
    assert_eq!(listed["count"], 1);

    let off = client.ok("PATCH", "/stream/replay", json!({"enabled": false}));
    assert_eq!(
        (&off["data"]["enabled"], &off["data"]["bytes"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(
        client.ask("POST", "/stream/replay/save", Value::Null).0,
        409
    );
    assert_eq!(
        client
            .ask("PATCH", "/stream/replay", json!({"seconds": 601}))
            .0,
        422
    );
    client.ok(
        "PATCH",
        "/stream/replay",
        json!({"enabled": true, "seconds": 2}),
    );
    until("something kept", || {
        (client.get("/stream/replay")["kept"].as_f64()? > 0.5).then_some(())
    });
}

#[test]
fn what_is_kept_of_the_last_seconds_survives_until_the_setting_is_another() {
    let folder = TempFolder::new();
    let set = |seconds| ["--recording", "false", "--replay-seconds", seconds];
    let replay = |client: &Client| {
        let replay = client.get("/stream/replay");
        (replay["enabled"] == true, replay["seconds"].as_u64())
    };
    let (on_air, client) = start(&folder, &set("4"));
    let path = "/stream/replay?durable=true";
    client.ok("PATCH", path, json!({"seconds": 7}));
    client.ok("PATCH", path, json!({"enabled": false}));
    kill(on_air);
    let (on_air, client) = again(&folder, &set("4"));
    assert_eq!(replay(&client), (false, Some(7)));
    let mut socket = client.socket("/ws?events=replay:*");
    let patch = json!({"type": "replay", "action": "update", "settings": {"enabled": true}, "durable": true});
    let answer = socket.ask(patch);
    assert_eq!(answer["success"], true, "{answer}");
    kill(on_air);
    let (on_air, client) = again(&folder, &set("4"));
    assert_eq!(replay(&client), (true, Some(7)));
    kill(on_air);
    let (_on_air, client) = again(&folder, &set("9"));
    assert_eq!(replay(&client), (true, Some(9)));
}

#[test]
fn thumbnails_are_small_pictures_of_the_program() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(
        &folder,
        &["--recording", "false", "--thumbnail-interval", "0"],
    );
    assert_eq!(client.get("/stream/thumbnails")["count"], 0);
    let answer = download(&client, "/stream/thumbnails/latest.jpg", "");
    assert_eq!(answer.status, 404);
    let first = client.ok("POST", "/stream/thumbnails", Value::Null)["data"].take();
    client.ok("PATCH", "/stream/layers/box", json!({"visible": false}));
    let second = client.ok("POST", "/stream/thumbnails", Value::Null)["data"].take();
    assert!(second["tick"].as_u64() > first["tick"].as_u64());
    let picture = |name: &str| {
        let answer = download(&client, &format!("/stream/thumbnails/{name}"), "");
        assert!(
            answer.status == 200 && answer.has("content-type", "image/jpeg"),
            "{}",
            answer.head
        );
        image::load_from_memory(&answer.body).unwrap().to_rgb8()
    };
    let is_orange = |picture: &image::RgbImage| {
        picture
            .pixels()
            .any(|pixel| pixel[0] > 200 && pixel[2] < 90)
    };
    let (latest, before) = (
        picture("latest.jpg"),
        picture(&format!("{}.jpg", first["id"])),
    );
    assert_eq!(latest.dimensions(), (320, 180));
    assert!(is_orange(&before) && !is_orange(&latest));
    for name in ["99.jpg", "latest.png", "x.jpg"] {
        assert_eq!(
            download(&client, &format!("/stream/thumbnails/{name}"), "").status,
            404,
            "{name}"
        );
    }
}
