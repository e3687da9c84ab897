//! Who may publish, who may not, and who comes back.

use std::process::Command;

use stream_manager::rtmp::amf::Value;

use super::peer::{Peer, Running, Stage, camera};
use super::support::{FREE_PORTS, program, run, text, until};

#[test]
fn a_key_lets_one_publisher_in_until_it_is_deleted() {
    // All that is logged is read for the key.
    let stage = Stage::new(&["--log-level", "trace"]);
    let (mut first, id, key) = stage.publish("studio");

    let second = run(camera(5).arg(stage.url(&key)));
    let error = text(&second.stderr);
    assert!(
        error.contains("somebody publishes with this key already"),
        "{error}"
    );
    assert_eq!(stage.count("publisher"), 1);

    // Deleted on the command line, which the program notices.
    let deleted = run(program(&stage.folder.0).args(["keys", "delete", &id]));
    assert!(deleted.status.success(), "{}", text(&deleted.stderr));
    until("the publisher to be let go", || first.0.try_wait().unwrap());
    let mut late = Peer::connect(stage.rtmp);
    assert_eq!(late.publish(&key), "NetStream.Publish.BadName");

    // Deleted by the API.
    let (id, key) = stage.key("second");
    let mut peer = Peer::connect(stage.rtmp);
    let named = format!("anything?user=second&pass={key}");
    assert_eq!(peer.publish(&named), "NetStream.Publish.Start");
    until("the use to be noted", || {
        let listed = run(program(&stage.folder.0).args(["keys", "list"]));
        text(&listed.stdout).contains("last used 20").then_some(())
    });
    stage.delete(&format!("/stream/keys/{id}"));
    assert_eq!(peer.status_with("description"), "its key is gone");
    assert!(peer.is_let_go(super::support::LIMIT));
    stage.until_count("publisher", 0);
    assert!(!stage.on_air.all_lines().contains(&key));
}

#[test]
fn wrong_keys_are_refused_before_media_is_read_and_only_so_many() {
    let stage = Stage::new(&[]);
    let (_, key) = stage.key("");
    let mut peer = Peer::connect(stage.rtmp);
    assert_eq!(peer.publish("sm_wrong"), "NetStream.Publish.BadName");
    // What is sent all the same is thrown away.
    let _sent = peer.send(9, 0, vec![0x17; 100_000]);
    assert!(peer.is_let_go(super::support::LIMIT));
    // After a few, keys are not looked at for some seconds, be they right or wrong.
    until("no key to be looked at", || {
        let mut peer = Peer::connect(stage.rtmp);
        peer.ask_to_publish("sm_wrong");
        peer.status_with("description")
            .contains("too many")
            .then_some(())
    });
    until("the right key to be taken", || {
        let mut peer = Peer::connect(stage.rtmp);
        (peer.publish(&key) == "NetStream.Publish.Start").then_some(())
    });
    stage.until_count("connecting", 0);
}

#[test]
fn user_and_password_are_taken_as_obs_gives_them() {
    let stage = Stage::new(&[]);
    let made =
        run(program(&stage.folder.0).args(["keys", "add", "--name", "studio", "--readable"]));
    let made = text(&made.stdout);
    let key = made.split_whitespace().nth(1).unwrap();
    let url = |password: &str| format!("rtmp://studio:{password}@127.0.0.1:{}/login/x", stage.rtmp);
    let wrong = run(camera(5).arg(url("wrong")));
    assert!(!wrong.status.success());
    assert_eq!(stage.count("publisher"), 0);
    let _camera = Running::start(camera(60).arg(url(key)));
    stage.until_count("publisher", 1);
}

#[test]
fn one_who_is_let_go_hears_why_and_the_log_has_it() {
    let stage = Stage::new(&[]);
    let (_, key) = stage.key("");
    let mut peer = Peer::connect(stage.rtmp);
    assert_eq!(peer.publish(&key), "NetStream.Publish.Start");
    let sessions = stage.ask("/stream/rtmp")["sessions"].clone();
    let id = sessions[0]["id"].as_str().unwrap();
    stage.delete(&format!("/stream/rtmp/{id}"));
    assert_eq!(
        peer.status_with("description"),
        "the operator has closed it"
    );
    assert!(peer.is_let_go(super::support::LIMIT));
    stage
        .on_air
        .line("the client is let go: the operator has closed it");
}

#[test]
fn who_stops_publishing_may_begin_again_on_the_same_connection() {
    let stage = Stage::new(&[]);
    let (_, key) = stage.key("");
    let mut peer = Peer::connect(stage.rtmp);
    assert_eq!(peer.publish(&key), "NetStream.Publish.Start");
    for _ in 0..3 {
        peer.command("FCUnpublish", Value::Null, &key);
        assert_eq!(peer.status(), "NetStream.Unpublish.Success");
        stage.until_count("publisher", 0);
        assert_eq!(stage.count("connecting"), 1);
        peer.command("publish", Value::Null, &key);
        assert_eq!(peer.status(), "NetStream.Publish.Start");
        stage.until_count("publisher", 1);
    }
    peer.command("deleteStream", Value::Null, "");
    assert_eq!(peer.status(), "NetStream.Unpublish.Success");
    peer.command("play", Value::Null, "program");
    stage.until_count("player", 1);
    peer.command("closeStream", Value::Null, "");
    stage.until_count("connecting", 1);
}

#[test]
fn a_key_is_not_used_by_who_is_refused() {
    let stage = Stage::new(&[]);
    let (id, key) = stage.key("");
    let mut first = Peer::connect(stage.rtmp);
    assert_eq!(first.publish(&key), "NetStream.Publish.Start");
    let last_used = || {
        let keys = stage.ask("/stream/keys")["keys"].clone();
        let found = keys
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["id"] == id.as_str());
        found.unwrap()["lastUsed"].as_u64()
    };
    let noted = until("the use to be noted", last_used);
    for _ in 0..3 {
        let mut second = Peer::connect(stage.rtmp);
        assert_eq!(second.publish(&key), "NetStream.Publish.BadName");
    }
    assert_eq!(last_used(), Some(noted));
}

#[test]
fn a_publisher_that_was_lost_comes_back_to_those_who_watch() {
    let stage = Stage::new(&["--rtmp-grace", "20s"]);
    let (_, key) = stage.key("studio");
    let mut first = stage.camera(&key);
    let file = stage.folder.file("watched.flv");
    let mut player = Running::start(Command::new("ffmpeg").args([
        "-v",
        "error",
        "-i",
        &stage.url("studio"),
        "-t",
        "6",
        "-c",
        "copy",
        "-y",
        file.to_str().unwrap(),
    ]));
    stage.until_count("player", 1);
    // Killed, and no goodbye.
    first.0.kill().unwrap();
    stage.until_count("publisher", 0);
    assert_eq!(stage.count("player"), 1, "it waits");
    let _second = stage.camera(&key);
    let status = until("the player to have its six seconds", || {
        player.0.try_wait().unwrap()
    });
    assert!(status.success());
    let packets = super::peer::packets(file.to_str().unwrap());
    for kind in ["video", "audio"] {
        let times: Vec<f64> = packets
            .iter()
            .filter(|packet| packet.0 == kind)
            .map(|packet| packet.1)
            .collect();
        assert!(times.windows(2).all(|pair| pair[1] > pair[0]), "{times:?}");
        assert!(times.last().unwrap() > &5.0);
    }
}

#[test]
fn one_that_is_silent_gives_its_place_to_another() {
    let stage = Stage::new(&["--rtmp-grace", "400"]);
    let (_, key) = stage.key("");
    let mut silent = Peer::connect(stage.rtmp);
    assert_eq!(silent.publish(&key), "NetStream.Publish.Start");
    until("another to be let in", || {
        let mut other = Peer::connect(stage.rtmp);
        (other.publish(&key) == "NetStream.Publish.Start").then_some(())
    });
    assert!(silent.is_let_go(super::support::LIMIT));
}

#[test]
fn a_port_that_is_taken_is_an_error_with_the_settings_name() {
    let stage = Stage::new(&[]);
    let port = stage.rtmp.to_string();
    let output = run(program(&stage.folder.0)
        .args(["run", "scene.json", "--recording", "off"])
        .args(&FREE_PORTS[..8])
        .args(["--rtmp-port", &port, "--data-dir", "other"]));
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(error.contains(&format!("RTMP_PORT {port}")), "{error}");
}
