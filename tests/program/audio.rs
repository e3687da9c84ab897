//! Sound over the API, and in files as FFmpeg measures them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bevy_ecs::prelude::{Query, Res};
use codec::{AudioCodec, AudioSettings};
use components::layer::LayerSpec;
use components::scene::{FrameRate, SceneSpec};
use components::source::Source;
use serde_json::{Value, json};
use stream_manager::streaming::offline::{OfflineEncoder, OfflineSettings};
use systems::audio::{LATENCY_SAMPLES, SourceSound, samples_in_tick};
use systems::clock::FrameClock;
use systems::scene::SceneBundle;
use systems::schedule::TickSet;
use systems::{Engine, EngineSettings};

use super::api::start;
use super::client::Client;
use super::support::{OnAir, TempFolder, text, until, wave};

/// A program whose scene has a box and two layers with sound.
fn on_air(folder: &TempFolder) -> (OnAir, Client) {
    std::fs::write(folder.file("bed.wav"), wave(48_000, 2, &[0; 19_200])).unwrap();
    let (on_air, client) = start(folder, &["--recording", "false"]);
    let sounds = [
        json!({"id": "bed", "source": {"type": "audio", "src": "bed.wav", "loop": true}, "sound": {"gain": -18, "duck": {"by": 10}}}),
        json!({"id": "voice", "source": {"type": "audio", "src": "bed.wav"}, "sound": {"role": "speech"}}),
    ];
    for layer in sounds {
        client.ok("POST", "/stream/layers", layer);
    }
    (on_air, client)
}

#[test]
fn the_mixer_is_shown_changed_and_told() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    // Meters are those of the tick before.
    let mixer = until("the meters show both", || {
        let mixer = client.get("/stream/audio");
        let channels = mixer["channels"].as_array()?;
        let is_shown = channels.iter().all(|channel| channel["audible"] == true);
        is_shown.then_some(mixer)
    });
    assert_eq!(mixer["count"], 2, "a box has no sound: {mixer}");
    let limiter = json!({"ceiling": -1.0, "release": 0.1});
    assert_eq!(mixer["master"]["limiter"], limiter);
    assert_eq!(mixer["master"]["meters"]["peak"], -100.0);
    let bed = &mixer["channels"][0];
    assert_eq!(
        (&bed["layer"], &bed["role"], &bed["gain"], &bed["audible"]),
        (&json!("bed"), &json!("music"), &json!(-18.0), &json!(true))
    );
    let duck = json!({"by": 10.0, "under": "speech", "threshold": -40.0, "attack": 0.08, "hold": 0.4, "release": 0.8});
    assert_eq!(bed["duck"], duck);
    assert_eq!(mixer["channels"][1]["role"], "speech");

    let mut socket = client.socket("/ws?events=audio:update,layer:update");
    let changed = client.ok(
        "PATCH",
        "/stream/audio?animate=0.5",
        json!({"gain": -6, "limiter": {"ceiling": -2}}),
    );
    assert_eq!(changed["data"]["master"]["gain"], -6.0);
    assert_eq!(changed["data"]["master"]["limiter"]["release"], 0.1);
    let event = socket.event("audio:update");
    assert_eq!(
        event["data"],
        json!({"changes": {"gain": -6.0, "limiter": {"ceiling": -2.0, "release": 0.1}}})
    );
    assert_eq!(event["revision"], changed["revision"]);

    let path = "/stream/audio/channels/bed";
    let faded = client.ok(
        "PATCH",
        &format!("{path}?animate=1&easing=linear"),
        json!({"gain": -30, "pan": 0.5, "duck": {"by": 20}}),
    );
    assert_eq!(faded["data"]["gain"], -30.0);
    assert_eq!(faded["data"]["duck"]["by"], 20.0);
    let event = socket.event("audio:update");
    assert_eq!(event["data"]["layer"], "bed");
    assert_eq!(event["data"]["changes"]["gain"], -30.0);
    assert_eq!(event["data"]["changes"]["pan"], 0.5);
    assert_eq!(
        client.get("/stream/layers/bed")["sound"]["pan"],
        0.5,
        "it is the layer's own field"
    );
    client.ok("PATCH", path, json!({"duck": null, "muted": true}));
    let bed = client.get("/stream/audio")["channels"][0].take();
    assert_eq!((&bed["duck"], &bed["muted"]), (&Value::Null, &json!(true)));
    let solo = client.ok(
        "PATCH",
        "/stream/layers/voice",
        json!({"sound": {"solo": true}}),
    );
    assert_eq!(solo["data"]["sound"]["solo"], true);
}

#[test]
fn what_cannot_be_is_refused_and_batches_and_dry_runs_hold() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    let before = client.get("/stream/audio");
    let refused = |method: &str, path: &str, body: Value| {
        let (status, answer) = client.ask(method, path, body);
        let problem = answer["error"]["details"]["problems"][0]["path"].clone();
        (status, problem)
    };
    let channel = "/stream/audio/channels/bed";
    assert_eq!(
        refused("PATCH", channel, json!({"gain": 25})),
        (422, json!("gain"))
    );
    assert_eq!(
        refused("PATCH", channel, json!({"volume": 1})),
        (400, json!("volume"))
    );
    assert_eq!(
        refused("PATCH", channel, json!({"duck": {"by": "much"}})).0,
        400
    );
    let limiter = json!({"limiter": {"ceiling": 3}});
    assert_eq!(
        refused("PATCH", "/stream/audio", limiter),
        (422, json!("limiter.ceiling"))
    );
    let of = |layer: &str| format!("/stream/audio/channels/{layer}");
    assert_eq!(refused("PATCH", &of("box"), json!({"gain": 1})).0, 409);
    assert_eq!(refused("PATCH", &of("nobody"), json!({"gain": 1})).0, 404);
    let batch = json!({"commands": [
        {"type": "audio.update", "patch": {"gain": -3}},
        {"type": "audio.channel", "layer": "bed", "patch": {"gain": -90}},
    ]});
    assert_eq!(
        refused("POST", "/stream/commands", batch),
        (422, json!("commands[1].patch.gain"))
    );
    let revision = client.revision();
    let reset = client.ok("POST", "/stream/audio/meters/reset", Value::Null);
    assert_eq!(reset["data"]["master"]["meters"]["truePeakMax"], -100.0);
    let batch = json!({"commands": [{"type": "audio.resetMeters"}]});
    client.ok("POST", "/stream/commands", batch);
    assert_eq!(client.revision(), revision, "nothing that is authored");
    client.ok("PATCH", "/stream/audio?dryRun=true", json!({"muted": true}));
    assert_eq!(
        client.get("/stream/audio")["master"]["gain"],
        before["master"]["gain"]
    );
    assert_eq!(client.get("/stream/audio")["master"]["muted"], false);

    let mut socket = client.socket("/ws");
    let answer = socket.ask(json!({"type": "command", "command": {
        "type": "audio.channel", "layer": "voice", "patch": {"gain": 3}, "animate": {"duration": 0.2},
    }}));
    assert_eq!(answer["success"], true, "{answer}");
    let batch = json!({"commands": [
        {"type": "audio.update", "patch": {"gain": -3}, "animate": {"duration": 1}},
        {"type": "audio.channel", "layer": "bed", "patch": {"role": "content"}},
    ]});
    client.ok("POST", "/stream/commands", batch);
    let after = client.get("/stream/audio");
    assert_eq!(after["master"]["gain"], -3.0);
    assert_eq!(after["channels"][0]["role"], "content");
    assert_eq!(after["channels"][1]["gain"], 3.0);
}

#[test]
fn the_mix_is_saved_with_its_scene() {
    let folder = TempFolder::new();
    let (_on_air, client) = on_air(&folder);
    client.ok(
        "PATCH",
        "/stream/audio",
        json!({"gain": -4, "limiter": {"ceiling": -2}}),
    );
    client.ok("PATCH", "/stream/audio/channels/bed", json!({"pan": -1}));
    client.ok("POST", "/stream/scenes/scene/save", Value::Null);
    let saved: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.file("scene.json")).unwrap()).unwrap();
    assert_eq!(saved["audio"]["master"]["gain"], -4.0);
    assert_eq!(saved["audio"]["master"]["limiter"]["ceiling"], -2.0);
    assert_eq!(saved["layers"][1]["sound"]["pan"], -1.0);
}

#[test]
fn meters_are_told_to_who_asks_for_them_and_are_in_the_metrics() {
    let folder = TempFolder::new();
    let (on_air, client) = on_air(&folder);
    let mut meters = client.socket("/ws?events=audio:levels");
    let first = meters.event("audio:levels");
    let second = meters.event("audio:levels");
    assert!(second["tick"].as_u64() > first["tick"].as_u64());
    assert_eq!(first["data"]["channels"][0]["layer"], "bed");
    assert_eq!(first["data"]["master"]["momentary"], -100.0);
    for name in [
        "peak",
        "rms",
        "shortTerm",
        "integrated",
        "truePeakMax",
        "gainReduction",
    ] {
        assert!(first["data"]["master"][name].is_number(), "{name}: {first}");
    }
    // Who gets everything else does not get these.
    let mut all = client.socket("/ws");
    loop {
        let event = all.next();
        assert_ne!(event["event"], "audio:levels");
        if event["event"] == "metrics:update" {
            break;
        }
    }
    let metrics = Client::new(on_air.port("metrics"));
    let body = text(&metrics.send("GET", "/metrics", "", b"").body);
    for name in [
        "stream_audio_peak_dbfs -100",
        "stream_audio_loudness_lufs{window=\"integrated\"} -100",
        "stream_audio_gain_reduction_db 0",
        "stream_audio_channel_loudness_lufs{layer=\"voice\",window=\"momentary\"} -100",
        "stream_audio_channel_ducking_db{layer=\"bed\"} 0",
    ] {
        assert!(body.contains(name), "{name} is not in:\n{body}");
    }
}

/// Plays a tone of -23 LUFS, one that is much too loud, silence, and a tone of -29 LUFS, for 4 s each.
fn play(clock: Res<FrameClock>, mut layers: Query<&mut SourceSound>) {
    let rate = clock.rate;
    let start = clock.tick * 48_000 * u64::from(rate.denominator) / u64::from(rate.numerator);
    let count = samples_in_tick(rate, clock.tick) as u64;
    let wave = |place: u64| {
        let second = place as f64 / 48_000.0;
        let tone = (std::f64::consts::TAU * 1000.0 * second).sin();
        match place / 192_000 {
            0 => tone * 10f64.powf(-23.0 / 20.0),
            1 => tone * 3.0,
            2 => 0.0,
            _ => tone * 10f64.powf(-29.0 / 20.0),
        }
    };
    for mut sound in &mut layers {
        sound.plays = true;
        sound.samples.left = (start..start + count)
            .map(|place| wave(place) as f32)
            .collect();
        sound.samples.right = sound.samples.left.clone();
    }
}

fn render(path: &Path, codec: AudioCodec, rate: FrameRate, ticks: u64) {
    let mut spec = SceneSpec::new("sound");
    (spec.canvas.width, spec.canvas.height) = (64, 32);
    let source = serde_json::from_str(r#"{"src": "a.wav"}"#).unwrap();
    spec.layers.push(Arc::new(LayerSpec {
        source: Source::Audio(source),
        ..LayerSpec::new("a")
    }));
    let mut engine = Engine::new(EngineSettings {
        width: 64,
        height: 32,
        rate,
        render_threads: 1,
        pool_frames: 8,
        max_layers: 4,
        epoch_unix_ms: 0,
        now_nanos: || 0,
    })
    .unwrap();
    engine.add_sound_systems(TickSet::Ingest, play);
    engine.load(SceneBundle::new(spec)).unwrap();
    let frames = codec::FrameRate {
        numerator: rate.numerator,
        denominator: rate.denominator,
    };
    let mut settings = OfflineSettings::new(64, 32, frames);
    settings.audio = Some(AudioSettings {
        codec,
        bitrate_kbps: 256,
        late_samples: LATENCY_SAMPLES as u32,
        ..AudioSettings::default()
    });
    let mut encoder = OfflineEncoder::create(path, &settings).unwrap();
    for tick in 0..ticks {
        // Some have no time to compose.
        if tick % 7 == 3 {
            engine.repeat();
        } else {
            engine.tick();
        }
        let out = engine.frame().unwrap();
        encoder.push(out.frame, out.sound).unwrap();
    }
    encoder.finish().unwrap();
}

/// What a filter of FFmpeg says of a part of a file, in seconds.
fn measure(path: &Path, from: f64, seconds: f64, filter: &str) -> String {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(path)
        .args(["-af", &format!("atrim={from}:{},{filter}", from + seconds)])
        .args(["-vn", "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// Integrated loudness, and true peak.
fn loudness(path: &Path, from: f64, seconds: f64) -> (f64, f64) {
    let said = measure(path, from, seconds, "ebur128=peak=true");
    let summary = &said[said.rfind("Summary").unwrap()..];
    (number(summary, "I:"), number(summary, "Peak:"))
}

fn number(said: &str, word: &str) -> f64 {
    let rest = &said[said.find(word).unwrap() + word.len()..];
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_file_has_the_sound_that_was_mixed() {
    let folder = TempFolder::new();
    let ntsc = FrameRate {
        numerator: 30_000,
        denominator: 1001,
    };
    for (name, codec, rate, ticks) in [
        ("aac.mp4", AudioCodec::Aac, FrameRate::whole(30), 480),
        ("opus.mkv", AudioCodec::Opus, FrameRate::whole(60), 960),
        ("ntsc.mkv", AudioCodec::Aac, ntsc, 480),
    ] {
        let path = folder.file(name);
        render(&path, codec, rate, ticks);
        let (lufs, _) = loudness(&path, 0.2, 3.6);
        assert!((lufs + 23.0).abs() <= 0.1, "{name}: {lufs} LUFS");
        let (lufs, _) = loudness(&path, 12.5, 3.3);
        assert!((lufs + 29.0).abs() <= 0.1, "{name}: {lufs} LUFS");
        // Coding adds a little of its own.
        let (_, peak) = loudness(&path, 4.5, 3.0);
        assert!((-1.6..=-0.9).contains(&peak), "{name}: {peak} dBTP");

        let said = measure(&path, 0.0, 16.0, "silencedetect=noise=-45dB:duration=0.5");
        assert_eq!(said.matches("silence_start").count(), 1, "{said}");
        let (start, end) = (
            number(&said, "silence_start:"),
            number(&said, "silence_end:"),
        );
        assert!((start - 8.0).abs() < 0.03, "{name}: from {start}");
        assert!((end - 12.0).abs() < 0.03, "{name}: to {end}");
    }
}
