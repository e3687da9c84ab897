//! Connections that break, targets that are replaced by backups, sessions that are rotated.

use std::path::Path;
use std::time::Duration;

use stream_manager::streaming::OutputState::{BackingOff, Connecting, Live};
use stream_manager::streaming::{OutputSettings, Streaming};

use crate::support::events::Heard;
use crate::support::nginx::Nginx;
use crate::support::probe::{Probe, assert_no_gaps};
use crate::support::proxy::Proxy;
use crate::support::{
    Process, TempFolder, Ticker, encoder_settings, free_port, noise, output, shut_down, wait_until,
};

fn push(target: String) -> OutputSettings {
    OutputSettings {
        retry_delay: Duration::from_millis(100),
        ..OutputSettings::new("push", target).unwrap()
    }
}

#[test]
fn a_backup_takes_over_and_the_first_comes_back_with_the_next_failure() {
    let (primary, backup) = (Nginx::new(), Nginx::new());
    let server = backup.start();
    let settings = OutputSettings {
        backups: vec![
            format!("rtmp://127.0.0.1:{}/live/s3cret", free_port()),
            backup.url("s3cret"),
        ],
        ..push(primary.url("s3cret"))
    };
    let streaming = Streaming::start(encoder_settings(600), vec![settings]).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = || output(&streaming, "push").unwrap();
    wait_until("the second backup is live", Duration::from_secs(15), || {
        stats().state == Live && stats().packets > 60
    });
    // Two failures each.
    assert_eq!((stats().target_index, stats().failures), (2, 4));
    let shown = stats().target;
    assert!(
        shown.contains(&backup.port.to_string()) && !shown.contains("s3cret"),
        "{shown}"
    );
    // The first one is back, and left alone while the backup works.
    let first = primary.start();
    let packets = stats().packets;
    wait_until("a second more", Duration::from_secs(10), || {
        stats().packets > packets + 77
    });
    assert_eq!((stats().target_index, stats().failures), (2, 4));
    Nginx::end(server);
    wait_until("the first is live", Duration::from_secs(10), || {
        stats().state == Live && stats().target_index == 0
    });
    assert_eq!(stats().failures, 5);
    drop(ticker);
    shut_down(streaming, &[]);
    Nginx::end(first);
}

/// The time of the first and of the last frame of a stream as it was sent.
fn span_s(path: &Path) -> (f64, f64) {
    let probe = Probe::open_cut(path);
    let video = probe.video();
    assert!(video[0].is_key, "{}", path.display());
    (video[0].pts_s, video[video.len() - 1].pts_s)
}

#[test]
fn time_goes_on_over_a_reconnect() {
    let (folder, port) = (TempFolder::new("continuous"), free_port());
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let receive = |name: &str| {
        let target = folder.target(name);
        let keep = ["-c", "copy", "-copyts", "-f", "matroska", &target];
        // It would look at 5 s of the stream before it writes any.
        let soon = ["-v", "error", "-analyzeduration", "300000"];
        let listen = [&soon[..], &["-copyts", "-listen", "1", "-i", &url]].concat();
        Process::start("ffmpeg", &[&listen[..], &keep[..]].concat())
    };
    let size = |name: &str| std::fs::metadata(folder.path(name)).map_or(0, |file| file.len());
    let mut first = receive("first.mkv");
    let streaming = Streaming::start(encoder_settings(2000), vec![push(url.clone())]).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = || output(&streaming, "push").unwrap();
    wait_until("some of it was received", Duration::from_secs(15), || {
        size("first.mkv") > 300_000
    });
    first.kill();
    wait_until("the loss is noticed", Duration::from_secs(10), || {
        stats().failures > 0
    });
    let mut second = receive("second.mkv");
    wait_until("it goes on", Duration::from_secs(15), || {
        size("second.mkv") > 300_000
    });
    drop(ticker);
    shut_down(streaming, &[]);
    let _ = second.0.wait();
    let (first, second) = (
        span_s(&folder.path("first.mkv")),
        span_s(&folder.path("second.mkv")),
    );
    assert!(first.0 < 0.05, "time 0 is the first packet: {first:?}");
    assert!(second.0 > first.1, "{first:?}, then {second:?}");
    assert!(second.0 < first.1 + 20.0, "{first:?}, then {second:?}");
}

#[test]
fn a_session_is_rotated_at_a_keyframe_and_nothing_is_lost() {
    let (nginx, heard) = (Nginx::new(), Heard::default());
    let server = nginx.start();
    let settings = OutputSettings {
        session_max: Some(Duration::from_millis(1100)),
        ..push(nginx.url("key"))
    };
    let mut encoder = encoder_settings(600);
    encoder.video.keyframe_interval_s = 0.5;
    let streaming = Streaming::start_with(encoder, vec![settings], heard.listener()).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = || output(&streaming, "push").unwrap();
    wait_until("two rotations", Duration::from_secs(20), || {
        stats().rotations == 2 && stats().state == Live
    });
    drop(ticker);
    let (frames, stats) = (streaming.stats().encoder().frames, stats());
    assert_eq!(
        (stats.failures, stats.reconnects, stats.packets_dropped),
        (0, 0, 0)
    );
    shut_down(streaming, &[]);
    Nginx::end(server);
    let states = heard.states("push");
    let expected = [Connecting, Live, Connecting, Live, Connecting, Live];
    assert!(states.starts_with(&expected), "{states:?}");
    let recordings = nginx.recordings_of("key");
    assert_eq!(recordings.len(), 3, "{recordings:?}");
    let mut received = 0;
    for recording in &recordings {
        let probe = Probe::open_cut(recording);
        assert!(probe.video()[0].is_key);
        assert_no_gaps(recording, &probe.video());
        received += probe.video().len() as u64;
    }
    // The first connection began with a keyframe some frames after the start; nothing is missing between the sessions.
    assert!(
        received + 30 >= frames && received <= frames + 4,
        "{received} of {frames}"
    );
}

#[test]
fn a_peer_that_resets_is_joined_again_and_again() {
    let (nginx, heard) = (Nginx::new(), Heard::default());
    let server = nginx.start();
    let proxy = Proxy::start(0, nginx.port);
    proxy.set_life(Duration::from_millis(1500));
    let target = format!("rtmp://127.0.0.1:{}/live/key", proxy.port);
    let streaming =
        Streaming::start_with(encoder_settings(600), vec![push(target)], heard.listener()).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = || output(&streaming, "push").unwrap();
    wait_until("three connections", Duration::from_secs(20), || {
        stats().reconnects >= 2
    });
    proxy.set_life(Duration::ZERO);
    wait_until("one that stays", Duration::from_secs(15), || {
        stats().state == Live
            && stats()
                .connected_since
                .unwrap()
                .elapsed()
                .unwrap()
                .as_secs()
                >= 3
    });
    assert_eq!(proxy.connections(), stats().reconnects + 1);
    assert!(stats().uptime > Duration::from_secs(5));
    drop(ticker);
    shut_down(streaming, &[]);
    Nginx::end(server);
    let states = heard.states("push");
    let expected = [Connecting, Live, BackingOff, Connecting, Live, BackingOff];
    assert!(states.starts_with(&expected), "{states:?}");
    for recording in nginx.recordings_of("key") {
        let probe = Probe::open_cut(&recording);
        assert_no_gaps(&recording, &probe.video());
    }
}
