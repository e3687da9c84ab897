//! Inputs of a program on the air: the API, events and metrics; and films rendered offline, frame by frame.

use serde_json::{Value, json};

use crate::program::{FREE_PORTS, OnAir, TempFolder, get, program, run, text, until};
use crate::support::ffmpeg;

const FILM: &str = "-f lavfi -i color=black:s=320x180:r=30,format=yuv420p,geq=lum='16+N*3':cb=128:cr=128 \
                    -f lavfi -i sine=480:r=48000 -t 2 -c:v libx264 -qp 4 -bf 2 -g 30 -colorspace bt709 -color_range tv -c:a aac";

fn folder() -> TempFolder {
    let folder = TempFolder::new();
    ffmpeg(&folder.file("film.mp4"), FILM);
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

fn json_of(port: u16, path: &str) -> Option<(u16, Value)> {
    let (status, body) = get(port, path)?;
    Some((status, serde_json::from_slice(&body).ok()?))
}

#[test]
fn the_api_and_the_metrics_tell_how_inputs_go() {
    let folder = folder();
    let on_air = OnAir::start(
        program(&folder.0)
            .args([
                "run",
                "scene.json",
                "--recording",
                "false",
                "--hls",
                "false",
            ])
            .args(FREE_PORTS),
    );
    let (api, metrics) = (on_air.port("api"), on_air.port("metrics"));
    let inputs = until("a film and an error", || {
        let (_, answer) = json_of(api, "/stream/inputs")?;
        let inputs = answer["data"]["inputs"].as_array()?.clone();
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

    let (status, one) = json_of(api, "/stream/inputs/film").expect("an answer");
    assert_eq!((status, &one["data"]["kind"]), (200, &json!("video")));
    let (status, none) = json_of(api, "/stream/inputs/flim").expect("an answer");
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
