//! Outputs over the API: added, checked, changed, stopped, started, retried and removed while the stream goes on; kept over a restart;
//! and nothing secret anywhere.

use super::api::start;
use super::client::{Client, Socket};
use super::nginx::Nginx;
use super::support::{
    FREE_PORTS, OnAir, SMALL_SCENE, TempFolder, get, probe, program, text, until,
};
use serde_json::{Value, json};

const QUIET: [&str; 2] = ["--recording", "false"];
const SECRET: &str = "live-4711-very-secret";

fn status(client: &Client, id: &str) -> Value {
    client.get(&format!("/stream/outputs/{id}"))["status"].take()
}

fn until_state(client: &Client, id: &str, state: &str) {
    until(&format!("`{id}` to be {state}"), || {
        (status(client, id)["state"] == state).then_some(())
    });
}

/// An answer that must be a refusal: its code and its message.
fn refused(client: &Client, method: &str, path: &str, body: Value) -> (u16, String) {
    let (status, answer) = client.ask(method, path, body);
    assert_eq!(answer["success"], false, "{method} {path}: {answer}");
    (
        status,
        answer["error"]["message"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn an_output_is_added_changed_stopped_started_and_removed_while_the_stream_goes_on() {
    let nginx = Nginx::start();
    let folder = TempFolder::new();
    let (on_air, client) = start(&folder, &QUIET);
    let mut socket = client.socket("/ws?events=output:*");
    assert_eq!(client.get("/stream/outputs")["count"], 0);
    let spec = json!({"id": "push", "url": nginx.application(), "key": SECRET, "retryDelay": 100});

    let tried = client.ok("POST", "/stream/outputs?dryRun=true", spec.clone());
    assert_eq!(tried["data"]["status"]["state"], "off");
    assert_eq!(client.get("/stream/outputs")["count"], 0, "only tried");
    let before = client.revision();
    let added = client.ok("POST", "/stream/outputs", spec.clone());
    assert_eq!(added["revision"], before + 1);
    assert!(added["tick"].is_u64());
    let data = &added["data"];
    assert_eq!(
        (&data["type"], &data["origin"]),
        (&json!("rtmp"), &json!("api"))
    );
    assert_eq!(data["settings"]["key"], "***");
    assert_eq!(socket.event("output:create")["data"]["id"], "push");
    until_state(&client, "push", "live");
    until("its bytes", || {
        let status = status(&client, "push");
        (status["bytes"].as_u64()? > 10_000 && status["kbps"].as_f64()? > 0.0).then_some(())
    });
    let live = status(&client, "push");
    assert!(
        live["since"].is_u64() && live["reconnects"] == 0 && live["lastError"].is_null(),
        "{live}"
    );

    // A stop is a stop until it is started again.
    let stopped = client.ok("POST", "/stream/outputs/push/stop", Value::Null);
    assert_eq!(stopped["data"]["enabled"], false);
    assert_eq!(status(&client, "push")["state"], "off");
    let again = client.ok("POST", "/stream/outputs/push/stop", Value::Null);
    assert_eq!(again["revision"], stopped["revision"], "already stopped");
    assert_eq!(
        refused(&client, "POST", "/stream/outputs/push/retry", Value::Null).0,
        409
    );
    until("the received file", || {
        (nginx.received(SECRET).len() == 1).then_some(())
    });
    client.ok("POST", "/stream/outputs/push/start", Value::Null);
    until_state(&client, "push", "live");

    // Another key is another connection.
    let patched = client.ok(
        "PATCH",
        "/stream/outputs/push",
        json!({"key": "other-key-0815", "url": nginx.application()}),
    );
    assert_eq!(patched["data"]["settings"]["key"], "***");
    until("the other key", || {
        (!nginx.received("other-key-0815").is_empty()).then_some(())
    });
    // What is shown may come back as it is shown, and changes nothing.
    let shown = client.get("/stream/outputs/push")["settings"].take();
    let same = client.ok("PATCH", "/stream/outputs/push", shown);
    assert_eq!(same["revision"], patched["revision"]);

    let (code, message) = refused(
        &client,
        "PATCH",
        "/stream/outputs/push?ifRevision=0",
        json!({"timeout": 900}),
    );
    assert_eq!(code, 409, "{message}");
    client.ok("DELETE", "/stream/outputs/push", Value::Null);
    assert_eq!(socket.event("output:delete")["data"]["id"], "push");
    assert_eq!(
        refused(&client, "GET", "/stream/outputs/push", Value::Null).0,
        404
    );
    on_air.signal("-TERM");
    assert_eq!(on_air.end().0.code(), Some(0));
    let received = nginx.received(SECRET);
    let probed = probe(&received[0].to_string_lossy());
    assert_eq!(probed["streams"].as_array().unwrap().len(), 2);
}

#[test]
fn an_output_comes_back_by_itself_and_at_once_when_asked() {
    let mut nginx = Nginx::start();
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &QUIET);
    let spec = json!({"id": "push", "url": nginx.application(), "key": "k-1", "retryDelay": 100});
    client.ok("POST", "/stream/outputs", spec);
    until_state(&client, "push", "live");
    nginx.kill();
    let mut socket = client.socket("/ws?events=output:update");
    until_state(&client, "push", "backingOff");
    until("some attempts", || {
        let status = status(&client, "push");
        (status["attemptsFailed"].as_u64()? >= 2 && status["lastError"].is_string()).then_some(())
    });
    let told = socket.event("output:update");
    assert_eq!(told["data"]["id"], "push");
    nginx.run();
    client.ok("POST", "/stream/outputs/push/retry", Value::Null);
    until_state(&client, "push", "live");
    assert_eq!(status(&client, "push")["reconnects"], 1);
    // One that is refused for good gives up, and says so.
    let spec = json!({"id": "nowhere", "url": "rtmp://127.0.0.1:1/live", "key": "k-2", "retryDelay": 100, "retryAttempts": 2});
    client.ok("POST", "/stream/outputs", spec);
    until_state(&client, "nowhere", "failed");
    assert_eq!(status(&client, "push")["state"], "live");
}

#[test]
fn what_cannot_be_is_refused_with_the_path_and_the_nearest_word() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &QUIET);
    let revision = client.revision();
    for (body, code, words) in [
        (
            json!({"id": "a", "ulr": "rtmp://h/a"}),
            400,
            "ulr: unknown field `ulr`",
        ),
        (
            json!({"id": "a", "platform": "twich", "key": SECRET}),
            400,
            "platform: unknown word `twich`",
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "timeout": 5}),
            422,
            "timeout: 5 is out of range",
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "renditions": ["mian"]}),
            422,
            "renditions[0]: there is no rendition `mian`",
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "keyFrom": "MISSING_STREAM_KEY"}),
            422,
            "keyFrom: the variable MISSING_STREAM_KEY is not set",
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "keyFrom": "API_TOKEN"}),
            422,
            "keyFrom: ",
        ),
        (
            json!({"id": "a", "type": "file", "url": "../out.mp4"}),
            422,
            "url: ",
        ),
        (
            json!({"id": "a", "platform": "x"}),
            422,
            "key: a platform needs a stream key",
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a/***"}),
            422,
            "url: `***` stands for",
        ),
        (json!({"id": "recording", "type": "file"}), 422, "id: "),
        (json!({"id": "a", "url": 7}), 400, "url: "),
        (
            json!({"url": "rtmp://h/a"}),
            400,
            "the field `id` is missing",
        ),
    ] {
        let (status, message) = refused(&client, "POST", "/stream/outputs", body.clone());
        assert_eq!(status, code, "{body}: {message}");
        assert!(message.contains(words), "{body}: {message}");
        assert!(!message.contains(SECRET), "{message}");
    }
    let (_, answer) = client.ask("POST", "/stream/outputs", json!({"id": "a", "ulr": "x"}));
    let help = answer["error"]["details"]["problems"][0]["help"]
        .as_str()
        .unwrap();
    assert!(help.contains("did you mean `url`?"), "{answer}");
    let (_, answer) = client.ask("GET", "/stream/outputs/psh", Value::Null);
    assert_eq!(answer["error"]["code"], "NOT_FOUND");
    let file = json!({"id": "file", "type": "file", "enabled": false});
    client.ok("POST", "/stream/outputs", file.clone());
    assert_eq!(refused(&client, "POST", "/stream/outputs", file).0, 409);
    assert_eq!(
        refused(
            &client,
            "PATCH",
            "/stream/outputs/file",
            json!({"split": {}})
        )
        .0,
        422
    );
    assert_eq!(
        refused(
            &client,
            "PATCH",
            "/stream/outputs/file",
            json!({"id": "other"})
        )
        .0,
        422
    );
    assert_eq!(client.revision(), revision + 1);
}

#[test]
fn an_output_is_checked_before_and_after_it_is_added() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &["--recording", "false", "--stream-bitrate", "8M"]);
    let levels = |checked: &Value| -> Vec<String> {
        let findings = checked["findings"].as_array().unwrap();
        findings
            .iter()
            .map(|finding| finding["level"].as_str().unwrap().to_owned())
            .collect()
    };
    let spec = json!({"id": "twitch", "platform": "twitch", "key": SECRET, "enabled": false});
    let checked = client.ok("POST", "/stream/outputs/check", spec.clone())["data"].take();
    assert_eq!(checked["ok"], false);
    assert!(
        levels(&checked).contains(&"error".to_owned()),
        "8 Mbit/s are too many: {checked}"
    );
    assert!(checked.to_string().contains("8000 kbit/s"), "{checked}");
    client.ok("POST", "/stream/outputs", spec);
    assert_eq!(client.get("/stream/outputs/twitch/check"), checked);
    let webm = json!({"id": "w", "type": "file", "container": "webm"});
    let checked = client.ok("POST", "/stream/outputs/check", webm)["data"].take();
    assert_eq!(
        (&checked["ok"], levels(&checked)[0].as_str()),
        (&json!(false), "error")
    );
    assert!(!checked.to_string().contains(SECRET));
}

/// Everything that a client can see, and the log.
fn everything(on_air: &OnAir, client: &Client, socket: &mut Socket) -> String {
    let mut seen = on_air.all_lines();
    for path in [
        "outputs",
        "outputs/push",
        "outputs/push/check",
        "outputs/env",
        "outputs/hidden",
        "scenes/scene",
        "status",
        "config",
        "renditions",
    ] {
        let (_, answer) = client.ask("GET", &format!("/stream/{path}"), Value::Null);
        seen.push_str(&answer.to_string());
    }
    seen.push_str(&text(&get(on_air.port("metrics"), "/metrics").unwrap().1));
    // A mark in the stream of events: what was told before it has come.
    client.ok("PATCH", "/stream/layers/box", json!({"opacity": 0.5}));
    loop {
        let event = socket.next();
        seen.push_str(&event.to_string());
        if event["event"] == "layer:update" {
            return seen;
        }
    }
}

#[test]
fn outputs_of_scene_settings_and_api_come_back_after_a_restart_and_nothing_secret_is_seen() {
    let nginx = Nginx::start();
    let folder = TempFolder::new();
    let mut scene: Value = serde_json::from_str(SMALL_SCENE).unwrap();
    scene["renditions"] = json!([{"id": "main", "bitrate": 700}]);
    scene["outputs"] = json!([
        {"id": "env", "url": nginx.application(), "keyFrom": "SCENE_STREAM_KEY", "retryDelay": 100},
        {"id": "hidden", "url": format!("{}/scene-key-2222", nginx.application()), "retryDelay": 100},
    ]);
    folder.write("scene.json", &scene.to_string());
    let run = || {
        OnAir::start(
            program(&folder.0)
                .args([
                    "run",
                    "scene.json",
                    "--hls",
                    "false",
                    "--recording",
                    "false",
                    "--log-level",
                    "debug",
                ])
                .args([
                    "--stream-url",
                    &format!("{}/settings-key-3333", nginx.application()),
                ])
                .args(FREE_PORTS)
                .env("SCENE_STREAM_KEY", "env-key-1111"),
        )
    };
    let secrets = [
        "env-key-1111",
        "scene-key-2222",
        "settings-key-3333",
        SECRET,
        "hidden-words-5555",
    ];
    let none_of = |seen: &str| {
        for secret in secrets {
            assert!(!seen.contains(secret), "{secret} is seen: {seen}");
        }
    };
    let ids = |client: &Client| -> Vec<String> {
        let list = client.get("/stream/outputs")["outputs"].take();
        let ids = list.as_array().unwrap().iter();
        ids.map(|output| output["id"].as_str().unwrap().to_owned())
            .collect()
    };
    {
        let on_air = run();
        let client = Client::new(on_air.port("api"));
        let mut socket = client.socket("/ws");
        assert_eq!(ids(&client), ["push", "env", "hidden"]);
        assert_eq!(client.get("/stream/config")["STREAM_BITRATE"], "700k");
        for id in ["push", "env", "hidden"] {
            until_state(&client, id, "live");
        }
        let api = json!({"id": "api", "url": nginx.application(), "key": SECRET, "backupUrls": ["rtmp://127.0.0.1:1/live/hidden-words-5555"]});
        client.ok("POST", "/stream/outputs", api);
        until_state(&client, "api", "live");
        client.ok("PATCH", "/stream/outputs/env", json!({"retryDelay": 250}));
        client.ok("POST", "/stream/outputs/hidden/stop", Value::Null);
        client.ok("DELETE", "/stream/outputs/push", Value::Null);
        let main = "/stream/renditions/main?durable=true";
        client.ok("PATCH", main, json!({"bitrate": 900}));
        // A scene comes back with its keys, though none is shown.
        let shown = client.get("/stream/scenes/scene");
        assert_eq!(
            shown["outputs"][1]["url"]
                .as_str()
                .unwrap()
                .matches("***")
                .count(),
            1
        );
        client.ok("PUT", "/stream/scenes/scene", shown);
        client.ok("POST", "/stream/scenes/scene/save", Value::Null);
        let written = std::fs::read_to_string(folder.file("scene.json")).unwrap();
        assert!(
            written.contains("scene-key-2222"),
            "what is authored is written back"
        );
        none_of(&everything(&on_air, &client, &mut socket));
        on_air.signal("-KILL");
        on_air.end();
    }
    use std::os::unix::fs::PermissionsExt as _;
    let saved = std::fs::metadata(folder.file("data/state.redb")).unwrap();
    assert_eq!(saved.permissions().mode() & 0o777, 0o600);

    let on_air = run();
    let client = Client::new(on_air.port("api"));
    let mut socket = client.socket("/ws");
    assert_eq!(ids(&client), ["env", "hidden", "api"]);
    for id in ["env", "api"] {
        until_state(&client, id, "live");
    }
    let shown = client.get("/stream/outputs/env");
    assert_eq!(
        (&shown["origin"], &shown["changed"]),
        (&json!("scene"), &json!(true))
    );
    assert_eq!(shown["settings"]["retryDelay"], 250);
    assert_eq!(status(&client, "hidden")["state"], "off");
    assert_eq!(client.get("/stream/config")["STREAM_BITRATE"], "900k");
    none_of(&everything(&on_air, &client, &mut socket));
}

#[test]
fn outputs_are_asked_for_over_websocket_too() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(&folder, &QUIET);
    let mut socket = client.socket("/ws");
    let add =
        json!({"type": "output", "action": "add", "settings": {"id": "stage", "type": "hls"}});
    let added = socket.ask(add);
    assert_eq!(
        (&added["success"], &added["data"]["id"]),
        (&json!(true), &json!("stage")),
        "{added}"
    );
    until_state(&client, "stage", "live");
    until("its playlist", || {
        let (code, body) = get(client.port, "/hls/stage/program.m3u8")?;
        (code == 200 && text(&body).contains("#EXTINF")).then_some(())
    });
    let stopped = socket.ask(json!({"type": "output", "action": "stop", "name": "stage"}));
    assert_eq!(stopped["data"]["enabled"], false);
    let odd = socket.ask(json!({"type": "output", "action": "stpo", "name": "stage"}));
    assert!(
        odd["error"]["details"]["suggestion"]
            .as_str()
            .unwrap()
            .contains("`stop`"),
        "{odd}"
    );
    let slower = socket.ask(json!({"type": "rendition", "action": "update", "name": "main", "settings": {"bitrate": 900}}));
    assert_eq!(slower["data"]["bitrate"], 900, "{slower}");
    let removed = socket.ask(json!({"type": "output", "action": "remove", "name": "stage"}));
    assert_eq!(removed["data"]["id"], "stage");
    assert_eq!(client.get("/stream/outputs")["count"], 0);
}

#[test]
fn a_rendition_changes_at_once_or_says_when() {
    let folder = TempFolder::new();
    let (_on_air, client) = start(
        &folder,
        &["--recording", "false", "--renditions", "90p:200"],
    );
    let list = client.get("/stream/renditions");
    let size = |index: usize| {
        (
            list["renditions"][index]["width"].clone(),
            list["renditions"][index]["height"].clone(),
        )
    };
    assert_eq!(
        (size(0), size(1)),
        ((json!(320), json!(180)), (json!(160), json!(90)))
    );
    let now = client.ok(
        "PATCH",
        "/stream/renditions/90p",
        json!({"bitrate": 300, "preset": "superfast"}),
    );
    let data = &now["data"];
    assert_eq!(
        (&data["bitrate"], &data["preset"]),
        (&json!(300), &json!("superfast"))
    );
    assert_eq!(data["atNextStart"], json!({}));
    until("the encoder to follow", || {
        let rendition = client.get("/stream/renditions/90p");
        (rendition["status"]["bitrateNow"] == 300).then_some(())
    });
    let later = client.ok(
        "PATCH",
        "/stream/renditions/90p",
        json!({"audioBitrate": 64}),
    );
    assert_eq!(later["data"]["atNextStart"], json!({"audioBitrate": 64}));
    client.ok("PATCH", "/stream/renditions/main", json!({"bitrate": 650}));
    assert_eq!(client.get("/stream/config")["STREAM_BITRATE"], "650k");
    let (code, message) = refused(
        &client,
        "PATCH",
        "/stream/renditions/main",
        json!({"width": 640}),
    );
    assert_eq!(code, 422, "{message}");
    assert_eq!(
        refused(&client, "PATCH", "/stream/renditions/91p", json!({})).0,
        404
    );
    client.ok("POST", "/stream/stop", Value::Null);
    client.ok("POST", "/stream/start", Value::Null);
    assert_eq!(
        client.get("/stream/renditions/90p")["atNextStart"],
        json!({})
    );
}
