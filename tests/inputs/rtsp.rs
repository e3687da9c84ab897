//! Cameras: a real RTSP server, GStreamer's, that is killed and started again.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use components::source::RtspSource;
use systems::input::{InputSpec, InputStage};

use crate::support::{LIMIT, Near, World, rgb_at, until};

/// GStreamer's RTSP server; killed when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(port: u16) -> Self {
        Self::start_with(&[&port.to_string()])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/inputs/rtsp_server.py");
        // Debian's own, for which its bindings are.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3, which scripts/install-packages.sh installs for tests");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let port = line.trim().parse().expect("a port");
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn open(world: &World, layer: &str, server: &Server, path: &str, more: serde_json::Value) -> Near {
    let mut source = serde_json::json!({"url": format!("rtsp://127.0.0.1:{}{path}", server.port)});
    let fields = source.as_object_mut().expect("an object");
    fields.extend(more.as_object().cloned().unwrap_or_default());
    let source: RtspSource = serde_json::from_value(source).expect("a source");
    world.open(layer, InputSpec::Rtsp(source))
}

/// Takes pictures and sound; both must go on evenly.
fn watch(near: &Near, count: usize) -> (i64, usize, f32) {
    let (mut newest, mut samples, mut loudest) = (i64::MIN, 0, 0.0f32);
    for _ in 0..count {
        let picture = near.picture();
        assert!(picture.pts_us > newest, "{} after {newest}", picture.pts_us);
        newest = picture.pts_us;
        let [red, green, blue] = rgb_at(&picture.picture, 100, 100);
        let worst = [red - 200.0, green - 60.0, blue - 40.0]
            .map(f64::abs)
            .into_iter()
            .fold(0.0, f64::max);
        assert!(worst < 12.0, "{red} {green} {blue}");
        for block in near.sound.try_iter() {
            samples += usize::from(block.len);
            loudest = block
                .frames
                .iter()
                .map(|[left, _]| left.abs())
                .fold(loudest, f32::max);
        }
    }
    (newest, samples, loudest)
}

#[test]
fn cameras_of_each_kind_are_seen_and_heard_over_tcp_and_udp() {
    let (world, server) = (World::new(), Server::start(0));
    for (path, transport, codecs) in [
        ("/h264-aac", "tcp", ("h264", "aac")),
        ("/h264-pcma", "udp", ("h264", "pcm_alaw")),
        ("/h265-pcmu", "tcp", ("hevc", "pcm_mulaw")),
        ("/h264-aac", "udp", ("h264", "aac")),
    ] {
        let layer = format!("{path} {transport}");
        let near = open(
            &world,
            &layer,
            &server,
            path,
            serde_json::json!({"transport": transport}),
        );
        let (_, samples, loudest) = watch(&near, 45);
        assert!(samples > 40_000, "{layer}: {samples}");
        assert!((0.35..0.65).contains(&loudest), "{layer}: {loudest}");
        assert_eq!(near.state.stage(), InputStage::Live);
        let view = world.inputs.get(&layer).expect("a view");
        assert_eq!(
            (view.video_codec.as_deref(), view.audio_codec.as_deref()),
            (Some(codecs.0), Some(codecs.1))
        );
        assert_eq!((view.width, view.height), (Some(320), Some(240)));
        let fps = view.fps.expect("a rate");
        assert!((29.0..31.0).contains(&fps), "{layer}: {fps}");
    }
}

#[test]
fn a_password_is_asked_for_and_never_shown() {
    let (world, server) = (World::new(), Server::start_with(&["0", "locked"]));
    let right = serde_json::json!({"username": "viewer", "passwordFrom": "RTSP_PASSWORD_TEST"});
    let near = open(&world, "in", &server, "/h264-pcma", right);
    watch(&near, 5);
    let refused = open(&world, "out", &server, "/h264-pcma", serde_json::json!({}));
    let view = world.wait_for("out", |view| view.error.is_some());
    assert!(
        view.error
            .as_deref()
            .is_some_and(|error| error.contains("401")),
        "{view:?}"
    );
    assert_eq!(refused.state.stage(), InputStage::Failed);
    let unset = serde_json::json!({"username": "viewer", "passwordFrom": "RTSP_PASSWORD_NONE"});
    let _near = open(&world, "unset", &server, "/h264-pcma", unset);
    let view = world.wait_for("unset", |view| view.error.is_some());
    assert!(
        view.error
            .as_deref()
            .is_some_and(|error| error.contains("RTSP_PASSWORD_NONE is not set")),
        "{view:?}"
    );
    let shown = format!("{:?} {:?}", world.inputs.list(), world.news.lock().unwrap());
    assert!(!shown.contains("sesame"), "{shown}");
}

#[test]
fn a_camera_that_goes_and_comes_is_found_again() {
    let (world, mut server) = (World::new(), Server::start(0));
    let port = server.port;
    let near = open(
        &world,
        "door",
        &server,
        "/h264-aac",
        serde_json::json!({"transport": "tcp"}),
    );
    let (mut newest, _, _) = watch(&near, 10);
    for round in 0..4 {
        drop(server);
        until("it is noticed", || {
            near.sound.try_iter().for_each(drop);
            for picture in near.pictures.try_iter() {
                newest = newest.max(picture.pts_us);
            }
            (near.state.stage() == InputStage::Reconnecting).then_some(())
        });
        server = Server::start(port);
        let picture = near.pictures.recv_timeout(LIMIT).expect("a picture");
        assert!(
            picture.pts_us > newest,
            "{round}: {} after {newest}",
            picture.pts_us
        );
        newest = watch(&near, 10).0;
    }
    let view = world.inputs.get("door").expect("a view");
    assert!(view.reconnects >= 4, "{view:?}");
    assert_eq!(view.stage.as_str(), "live");
}
