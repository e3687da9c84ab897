//! Commands that end by themselves: what they print, write and exit with.

use super::support::{SMALL_SCENE, TempFolder, probe, program, run, text};

#[test]
fn exit_codes_tell_success_failure_and_wrong_use_apart() {
    let folder = TempFolder::new();
    folder.write("good.json", SMALL_SCENE);
    folder.write(
        "bad.json",
        &SMALL_SCENE.replace("\"fps\": 30", "\"fsp\": 30"),
    );
    for (arguments, code) in [
        (vec!["--help"], 0),
        (vec!["--version"], 0),
        (vec!["check", "good.json"], 0),
        (vec!["check", "bad.json"], 1),
        (vec!["check", "missing.json"], 1),
        (vec!["check", "good.json", "bad.json"], 1),
        (vec!["schema"], 0),
        (vec!["fly"], 2),
        (vec![], 2),
        (vec!["check"], 2),
        (vec!["render", "good.json"], 2),
        (vec!["render", "good.json", "-o", "x.png"], 2),
        (
            vec!["render", "good.json", "-o", "x.mp4", "--frame", "1"],
            2,
        ),
        (
            vec!["render", "good.json", "-o", "x.mp4", "--duration", "-1"],
            2,
        ),
        (vec!["run", "good.json", "--target-fps", "soon"], 2),
        (vec!["profile", "good.json", "--frames", "0"], 2),
    ] {
        let output = run(program(&folder.0).args(&arguments));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn check_names_the_place_the_path_and_the_nearest_word() {
    let folder = TempFolder::new();
    folder.write(
        "bad.json",
        &SMALL_SCENE.replace("\"fps\": 30", "\"fsp\": 30"),
    );
    let output = run(program(&folder.0).args(["check", "bad.json"]));
    let said = text(&output.stderr);
    assert!(
        said.contains("bad.json:2:") && said.contains("canvas.fsp") && said.contains("`fps`"),
        "{said}"
    );
}

#[test]
fn help_lists_every_setting() {
    let folder = TempFolder::new();
    let help = text(&run(program(&folder.0).args(["run", "--help"])).stdout);
    for setting in stream_manager::config::all() {
        assert!(
            help.contains(&format!("--{}", setting.flag())) && help.contains(setting.name),
            "{}",
            setting.name
        );
    }
}

#[test]
fn a_rendered_file_is_the_same_bytes_on_every_run_and_number_of_threads() {
    let folder = TempFolder::new();
    folder.write("scene.json", SMALL_SCENE);
    let mut files = Vec::new();
    for (index, threads) in ["1", "1", "2", "4"].into_iter().enumerate() {
        let name = format!("{index}.mp4");
        let output = run(program(&folder.0).args([
            "render",
            "scene.json",
            "-o",
            &name,
            "--duration",
            "2",
            "--render-threads",
            threads,
        ]));
        assert!(output.status.success(), "{}", text(&output.stderr));
        files.push(std::fs::read(folder.file(&name)).unwrap());
    }
    assert!(
        files.iter().all(|file| *file == files[0]),
        "the files differ"
    );
    let probed = probe(&folder.file("0.mp4").to_string_lossy());
    assert_eq!(probed["streams"][0]["nb_frames"], "60");
    assert_eq!(probed["streams"][0]["r_frame_rate"], "30/1");
}

#[test]
fn a_part_of_a_scene_is_rendered_from_where_it_was_asked() {
    let folder = TempFolder::new();
    folder.write("scene.json", SMALL_SCENE);
    let frame = |name: &str, arguments: &[&str]| {
        let output = run(program(&folder.0)
            .args(["render", "scene.json", "-o", name])
            .args(arguments));
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    frame("15.png", &["--frame", "15"]);
    frame("0.png", &["--frame", "0"]);
    let left_edge = |name: &str| {
        let picture = image::open(folder.file(name)).unwrap().into_rgba8();
        (0..picture.width())
            .find(|x| picture.get_pixel(*x, 90).0 == [255, 128, 0, 255])
            .unwrap()
    };
    // Half a second of a second's ease-in-out over 240 pixels.
    assert_eq!((left_edge("0.png"), left_edge("15.png")), (0, 120));
    frame("part.mp4", &["--from", "0.5", "--to", "1.5"]);
    assert_eq!(
        probe(&folder.file("part.mp4").to_string_lossy())["streams"][0]["nb_frames"],
        "30"
    );
}

#[test]
fn a_scene_is_rendered_at_the_size_that_is_asked_for() {
    let folder = TempFolder::new();
    folder.write("scene.json", SMALL_SCENE);
    let render = |arguments: &[&str]| {
        run(program(&folder.0)
            .args(["render", "scene.json", "-o"])
            .args(arguments))
    };
    for (name, arguments) in [
        ("large.png", &["--frame", "0", "--size", "1280x720"][..]),
        ("tall.png", &["--frame", "0", "--size", "320x320"]),
        (
            "cover.png",
            &["--frame", "0", "--size", "320x320", "--fit", "cover"],
        ),
        ("film.mp4", &["--duration", "0.2", "--size", "640x360"]),
    ] {
        let output = render(&[&[name], arguments].concat());
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
    }
    let pixel = |name: &str, x, y| {
        let picture = image::open(folder.file(name)).unwrap().into_rgb8();
        (picture.dimensions(), picture.get_pixel(x, y).0)
    };
    // The box reaches from 0 by 60 to 80 by 120, four times as large.
    assert_eq!(pixel("large.png", 319, 240), ((1280, 720), [255, 128, 0]));
    assert_eq!(pixel("large.png", 320, 240).1, [16, 32, 48]);
    assert_eq!(pixel("tall.png", 5, 69), ((320, 320), [0; 3]));
    assert_eq!(pixel("tall.png", 5, 71).1, [16, 32, 48]);
    assert_eq!(pixel("cover.png", 5, 5).1, [16, 32, 48]);
    let stream = &probe(&folder.file("film.mp4").to_string_lossy())["streams"][0];
    assert_eq!(
        (&stream["width"], &stream["height"]),
        (&640.into(), &360.into())
    );
    for bad in ["1281x720", "720", "1280X720", "0x0", "16000x900"] {
        let output = render(&["bad.png", "--frame", "0", "--size", bad]);
        assert_eq!(output.status.code(), Some(2), "{bad}");
    }
}

#[test]
fn render_does_not_overwrite_unless_it_is_told_to() {
    let folder = TempFolder::new();
    folder.write("scene.json", SMALL_SCENE);
    folder.write("x.png", "precious");
    let output =
        run(program(&folder.0).args(["render", "scene.json", "-o", "x.png", "--frame", "0"]));
    assert_eq!(
        (
            output.status.code(),
            std::fs::read_to_string(folder.file("x.png")).unwrap()
        ),
        (Some(2), "precious".to_owned())
    );
    let output = run(program(&folder.0).args([
        "render",
        "scene.json",
        "-o",
        "x.png",
        "--frame",
        "0",
        "--force",
    ]));
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_profile_names_every_system_and_a_trace_has_a_span_for_each() {
    let folder = TempFolder::new();
    folder.write("scene.json", SMALL_SCENE);
    let output = run(program(&folder.0).args([
        "profile",
        "scene.json",
        "--frames",
        "20",
        "--json",
        "--trace",
        "trace.json",
    ]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let profile: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let trace: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.file("trace.json")).unwrap()).unwrap();
    let spans: Vec<&str> = trace
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["name"].as_str())
        .collect();
    for system in profile["systems"].as_array().unwrap() {
        assert_eq!(system["runs"], 20, "{system}");
        let name = system["name"].as_str().unwrap();
        assert!(spans.contains(&name), "no span for {name}");
    }
}

#[test]
fn a_stream_has_no_sound_when_it_is_switched_off() {
    let folder = TempFolder::new();
    folder.write("scene.json", SMALL_SCENE);
    let output = run(program(&folder.0).args([
        "render",
        "scene.json",
        "-o",
        "mute.mkv",
        "--duration",
        "1",
        "--audio-enabled",
        "false",
    ]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let probed = probe(&folder.file("mute.mkv").to_string_lossy());
    let kinds: Vec<_> = probed["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| stream["codec_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["video"]);
}
