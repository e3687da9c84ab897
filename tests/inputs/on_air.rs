//! Inputs of a program on the air: the API, events and metrics; and films rendered offline, frame by frame.

use serde_json::{Value, json};

use crate::client::Client;
use crate::program::{FREE_PORTS, OnAir, TempFolder, get, program, run, text, until};
use crate::support::{NUMBERED, ffmpeg};

const CODECS: &str = "-c:v libx264 -qp 4 -bf 2 -g 30 -colorspace bt709 -color_range tv -c:a aac";

fn numbered_film(folder: &TempFolder) {
    ffmpeg(&folder.file("film.mp4"), &format!("{NUMBERED} {CODECS}"));
}

fn folder() -> TempFolder {
    let folder = TempFolder::new();
    numbered_film(&folder);
    folder.write("noise.mp4", &"no film at all. ".repeat(1000));
    let size = json!({"width": 320, "height": 180});
    let scene = json!({
        "version": 1, "name": "Films", "canvas": {"width": 320, "height": 180, "fps": 30},
        "layers": [
            {"id": "film", "source": {"type": "video", "src": "film.mp4", "loop": true}, "size": size},
            {"id": "gone", "source": {"type": "video", "src": "noise.mp4"}, "size": size},
            {"id": "guest", "source": {"type": "ingest", "key": "guest"}, "size": size, "zIndex": -1}
        ]
    });
    folder.write("scene.json", &scene.to_string());
    folder
}

fn start(folder: &TempFolder) -> OnAir {
    let quiet = [
        "run",
        "scene.json",
        "--recording",
        "false",
        "--hls",
        "false",
    ];
    OnAir::start(program(&folder.0).args(quiet).args(FREE_PORTS))
}

#[test]
fn the_api_and_the_metrics_tell_how_inputs_go() {
    let folder = folder();
    let on_air = start(&folder);
    let (client, metrics) = (Client::new(on_air.port("api")), on_air.port("metrics"));
    let inputs = until("a film and an error", || {
        let inputs = client.get("/stream/inputs")["inputs"].as_array()?.clone();
        let find = |layer: &str| inputs.iter().find(|input| input["layer"] == layer).cloned();
        let (film, gone, guest) = (find("film")?, find("gone")?, find("guest")?);
        let is_there = film["shownPictures"].as_u64()? > 30 && gone["stage"] == "failed";
        is_there.then_some([film, gone, guest])
    });
    let [film, gone, guest] = inputs;
    assert_eq!(film["stage"], "live");
    assert_eq!(
        (&film["width"], &film["height"], &film["fps"]),
        (&json!(320), &json!(180), &json!(30.0))
    );
    assert_eq!(
        (&film["videoCodec"], &film["audioCodec"]),
        (&json!("h264"), &json!("aac"))
    );
    assert_eq!(film["sampleRate"], 48_000);
    assert!(
        gone["error"]
            .as_str()
            .is_some_and(|error| error.contains("Invalid data")),
        "{gone}"
    );
    assert_eq!(
        (&guest["stage"], &guest["address"]),
        (&json!("opening"), &json!("guest"))
    );

    assert_eq!(client.get("/stream/inputs/film")["kind"], "video");
    let (status, none) = client.ask("GET", "/stream/inputs/flim", Value::Null);
    assert_eq!(
        (status, &none["error"]["code"]),
        (404, &json!("NOT_FOUND")),
        "{none}"
    );

    let (_, body) = get(metrics, "/metrics").expect("metrics");
    let body = text(&body);
    for line in [
        "stream_input_up{layer=\"film\"} 1",
        "stream_input_state{layer=\"gone\",state=\"failed\"} 1",
        "stream_input_broken_packets_total{layer=\"film\"} 0",
    ] {
        assert!(body.contains(line), "{line} is not in:\n{body}");
    }
}

#[test]
fn a_film_is_rendered_frame_by_frame() {
    let folder = folder();
    for frame in [0, 1, 45, 75] {
        let name = format!("{frame}.png");
        let output = run(program(&folder.0).args([
            "render",
            "scene.json",
            "--frame",
            &frame.to_string(),
            "-o",
            &name,
        ]));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let picture = image::open(folder.file(&name))
            .expect("a picture")
            .to_rgb8();
        let grey = f64::from(picture.get_pixel(100, 100).0[0]);
        // Luma 16 + 3n in limited range.
        let due = f64::from(frame % 60) * 3.0 * 255.0 / 219.0;
        assert!((grey - due).abs() <= 2.0, "frame {frame}: {grey} for {due}");
    }
}

#[test]
fn a_scene_that_comes_shows_its_own_file_under_a_name_that_the_other_has_too() {
    let folder = TempFolder::new();
    for (name, size) in [("one.mp4", "320x180"), ("two.mp4", "160x90")] {
        let film = format!("-f lavfi -i testsrc2=s={size}:r=30 -t 2 -c:v libx264");
        ffmpeg(&folder.file(name), &film);
    }
    for (scene, film) in [("scene", "one.mp4"), ("second", "two.mp4")] {
        let spec = json!({
            "version": 1, "name": scene, "canvas": {"width": 320, "height": 180, "fps": 30},
            "assets": {"clip": {"path": film}},
            "layers": [{"id": "film", "source": {"type": "video", "src": "clip", "loop": true}}]
        });
        folder.write(&format!("{scene}.json"), &spec.to_string());
    }
    let on_air = start(&folder);
    let client = Client::new(on_air.port("api"));
    let width = |wanted: u64| {
        until("a film of this width", || {
            // For a moment the one has gone, and the other is not opened yet.
            let (_, film) = client.ask("GET", "/stream/inputs/film", Value::Null);
            let film = &film["data"];
            (film["shownPictures"].as_u64()? > 0 && film["width"] == wanted).then_some(())
        });
    };
    width(320);
    for (scene, wanted) in [("second", 160), ("scene", 320), ("second", 160)] {
        let path = format!("/stream/scenes/{scene}/activate");
        client.ok("POST", &path, json!({}));
        width(wanted);
    }
}

#[test]
fn a_film_says_where_it_is_and_one_that_has_ended_is_played_again() {
    let folder = TempFolder::new();
    numbered_film(&folder);
    let scene = json!({
        "version": 1, "name": "Film", "canvas": {"width": 320, "height": 180, "fps": 30},
        "layers": [{"id": "film", "source": {"type": "video", "src": "film.mp4", "start": 1.5}}]
    });
    folder.write("scene.json", &scene.to_string());
    let on_air = start(&folder);
    let client = Client::new(on_air.port("api"));
    let ended = || {
        until("the end", || {
            let film = client.get("/stream/inputs/film");
            (film["stage"] == "ended" && film["position"] == film["duration"]).then_some(film)
        })
    };
    let shown = ended()["shownPictures"].as_u64().expect("a number");
    client.ok("POST", "/stream/inputs/film/reconnect", Value::Null);
    // Half a second of it, picture by picture but for what a busy machine leaves out.
    until("it is played again", || {
        let film = client.get("/stream/inputs/film");
        (film["shownPictures"].as_u64()? > shown + 5).then_some(())
    });
    ended();
    let path = "/stream/layers/film/playback";
    let asked = client.ok("POST", path, json!({"action": "pause"}));
    assert_eq!(asked["data"]["durationMs"], 2000);
    assert_eq!(asked["data"]["positionMs"], 2000);
    for (to, there) in [(1.7, 1700), (0.2, 1500), (90.0, 2000)] {
        let asked = client.ok("POST", path, json!({"action": "seek", "to": to}));
        assert_eq!(asked["data"]["positionMs"], there, "{asked}");
    }
    let asked = client.ok("POST", path, json!({"action": "restart"}));
    assert_eq!(asked["data"]["positionMs"], 1500);
}

#[test]
fn a_film_that_is_shown_smaller_is_rendered_the_same_on_every_run() {
    let folder = TempFolder::new();
    ffmpeg(
        &folder.file("film.mp4"),
        "-f lavfi -i testsrc2=s=640x360:r=30 -t 1 -c:v libx264 -preset ultrafast",
    );
    let scene = json!({
        "version": 1, "name": "Film", "canvas": {"width": 320, "height": 180, "fps": 30},
        "layers": [{"id": "film", "source": {"type": "video", "src": "film.mp4"}, "size": {"width": 214, "height": 120}}]
    });
    folder.write("scene.json", &scene.to_string());
    let render = |name: &str| {
        let arguments = ["render", "scene.json", "--frame", "12", "-o", name];
        let output = run(program(&folder.0).args(arguments));
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read(folder.file(name)).expect("a picture")
    };
    let first = render("first.png");
    let mut others = ["second.png", "third.png", "fourth.png"].iter();
    assert!(others.all(|name| render(name) == first));
}
