//! OBS publishes, as its users have it do, and mpv plays.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::peer::{Running, Stage};
use super::support::{run, text, until};

const GLOBAL: &str = "[General]\nFirstRun=true\nLastVersion=486539264\nEnableAutoUpdates=false\n\
    [Basic]\nProfile=test\nProfileDir=test\nSceneCollection=test\nSceneCollectionFile=test\n";
const PROFILE: &str = "[General]\nName=test\n[Output]\nMode=Simple\n[SimpleOutput]\nVBitrate=500\n\
    [Video]\nBaseCX=320\nBaseCY=180\nOutputCX=320\nOutputCY=180\nFPSCommon=30\n";
/// A red picture.
const SCENES: &str = r#"{"name": "test", "current_scene": "Scene", "current_program_scene": "Scene", "scene_order": [{"name": "Scene"}], "sources": [
    {"id": "color_source", "versioned_id": "color_source_v3", "name": "Red", "settings": {"color": 4278190335, "width": 320, "height": 180}},
    {"id": "scene", "versioned_id": "scene", "name": "Scene", "settings": {"id_counter": 1, "items": [{"id": 1, "name": "Red", "visible": true,
        "pos": {"x": 0.0, "y": 0.0}, "scale": {"x": 1.0, "y": 1.0}, "bounds": {"x": 0.0, "y": 0.0}}]}}]}"#;

/// A screen that nobody sees: its server, and its name.
fn screen() -> (Running, String) {
    let mut child = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "640x480x24"])
        .args(["-nolisten", "tcp"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut name = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut name).unwrap();
    (Running(child), format!(":{}", name.trim()))
}

/// OBS, streaming to a server with a key as its user entered them.
fn obs(stage: &Stage, display: &str, server: &str, key: &str) -> Running {
    let home = "home/.config/obs-studio";
    let service = format!(
        r#"{{"type": "rtmp_custom", "settings": {{"server": "{server}", "key": "{key}", "use_auth": false}}}}"#
    );
    for (file, content) in [
        ("global.ini", GLOBAL),
        ("basic/profiles/test/basic.ini", PROFILE),
        ("basic/profiles/test/service.json", &service),
        ("basic/scenes/test.json", SCENES),
    ] {
        let path = stage.folder.file(&format!("{home}/{file}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    Running::start(
        Command::new("obs")
            .args(["--startstreaming", "--multi"])
            .args(["--profile", "test", "--collection", "test"])
            .env("HOME", stage.folder.file("home"))
            .env_remove("XDG_CONFIG_HOME")
            .env("DISPLAY", display)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:"),
    )
}

fn mpv_plays(url: &str) {
    let mut play = Command::new("timeout");
    play.args(["20", "mpv", "--no-config", "--vo=null", "--ao=null"]);
    let played = run(play.args(["--frames=40", url]));
    let told = text(&played.stdout) + &text(&played.stderr);
    assert!(played.status.success(), "{told}");
    assert!(told.contains("VO: [null] 320x180"), "{told}");
    assert!(told.contains("AO: [null] 48000Hz stereo"), "{told}");
}

#[test]
fn obs_publishes_and_mpv_plays() {
    let stage = Stage::new(&[]);
    let (_, key) = stage.key("studio");
    let server = format!("rtmp://127.0.0.1:{}/live", stage.rtmp);
    let (_screen, display) = screen();
    let obs = obs(&stage, &display, &server, &key);
    stage.until_count("publisher", 1);
    let url = stage.url("studio");
    // Its first pictures may still be black.
    until("red", || {
        let picture = run(Command::new("ffmpeg")
            .args(["-v", "error", "-i", &url, "-frames:v", "1"])
            .args(["-vf", "scale=1:1", "-pix_fmt", "rgb24"])
            .args(["-f", "rawvideo", "-"]));
        let is_red = |pixel: &[u8]| pixel[0] > 230 && pixel[1] < 25 && pixel[2] < 25;
        picture
            .stdout
            .first_chunk::<3>()
            .filter(|pixel| is_red(&pixel[..]))
            .map(|_| ())
    });
    mpv_plays(&url);
    mpv_plays(&stage.url("program"));
    drop(obs);
    stage.until_count("publisher", 0);
}
