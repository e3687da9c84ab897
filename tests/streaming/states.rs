//! What outputs do and say of it: idle, live, stalled, changed while they run.

use std::time::Duration;

use stream_manager::streaming::OutputState::{BackingOff, Connecting, Idle, Live, Stalled};
use stream_manager::streaming::{OutputSettings, Split, Streaming, StreamingError};

use crate::support::events::Heard;
use crate::support::nginx::Nginx;
use crate::support::probe::Probe;
use crate::support::{
    TempFolder, Ticker, encoder_settings, file_output, free_port, noise, output, push_fast,
    shut_down, wait_until,
};

#[test]
fn an_output_is_started_and_stopped_by_hand() {
    let (folder, heard) = (TempFolder::new("idle"), Heard::default());
    let streaming =
        Streaming::start_with(encoder_settings(600), Vec::new(), heard.listener()).unwrap();
    streaming
        .add_output(file_output("pace", &folder.target("pace.mp4")))
        .unwrap();
    streaming
        .add_idle_output(file_output("a", &folder.target("a.mp4")))
        .unwrap();
    let frames = noise(320, 180, 8);
    let state = || output(&streaming, "a").unwrap().state;
    push_fast(&streaming, &frames, 0..60, "pace");
    assert_eq!(state(), Idle);
    assert!(!folder.path("a.mp4").exists());
    streaming.start_output("a").unwrap();
    wait_until("it is live", Duration::from_secs(5), || state() == Live);
    push_fast(&streaming, &frames, 60..180, "pace");
    wait_until("it has written", Duration::from_secs(10), || {
        output(&streaming, "a").unwrap().packets > 200
    });
    streaming.stop_output("a").unwrap();
    wait_until("it rests", Duration::from_secs(5), || state() == Idle);
    // Whole, though the program goes on.
    let first = Probe::open(&folder.path("a.mp4")).video().len();
    assert!(first >= 60, "{first} frames");
    let stats = output(&streaming, "a").unwrap();
    assert_eq!((stats.kbps, stats.connected_since), (0.0, None));
    assert!(stats.uptime > Duration::ZERO && stats.files_finished == 1);
    push_fast(&streaming, &frames, 180..240, "pace");
    streaming.start_output("a").unwrap();
    wait_until("it is live again", Duration::from_secs(5), || {
        state() == Live
    });
    push_fast(&streaming, &frames, 240..360, "pace");
    assert!(matches!(
        streaming.stop_output("b"),
        Err(StreamingError::UnknownOutput { .. })
    ));
    shut_down(streaming, &[]);
    // What was there is not overwritten.
    assert_eq!(Probe::open(&folder.path("a.mp4")).video().len(), first);
    let second = Probe::open(&folder.path("a-0002.mp4"));
    assert!(second.video()[0].is_key && second.video()[0].pts_s == 0.0);
    assert!(heard.states("a").starts_with(&[Idle, Connecting, Live]));
    let begun = heard.started("a");
    assert_eq!(begun, [folder.path("a.mp4"), folder.path("a-0002.mp4")]);
}

#[test]
fn a_change_restarts_only_what_must() {
    let (folder, nginx) = (TempFolder::new("change"), Nginx::new());
    let server = nginx.start();
    let push = OutputSettings::new("push", nginx.url("one")).unwrap();
    let streaming = Streaming::start(encoder_settings(600), vec![push.clone()]).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = || output(&streaming, "push").unwrap();
    let flows = |what: &str, before: u64| {
        wait_until(what, Duration::from_secs(10), || {
            stats().state == Live && stats().packets > before + 60
        })
    };
    flows("packets flow", 0);
    let since = stats().connected_since;
    // Numbers change where they stand.
    let changed = OutputSettings {
        retry_attempts: 7,
        max_queue: 900,
        backups: vec![nginx.url("backup")],
        session_max: Some(Duration::from_secs(3600)),
        ..push.clone()
    };
    streaming.change_output(changed.clone()).unwrap();
    flows("packets flow on", stats().packets);
    assert_eq!((stats().connected_since, stats().rotations), (since, 0));
    // Another key is another session, of the same output.
    let other = OutputSettings {
        target: nginx.url("two"),
        ..changed.clone()
    };
    streaming.change_output(other).unwrap();
    wait_until("the other session", Duration::from_secs(10), || {
        stats().rotations == 1 && stats().state == Live
    });
    flows("packets flow there", stats().packets);
    assert_eq!((stats().reconnects, stats().failures), (0, 0));
    // Another kind is another thread, with the counts of the first.
    let before = stats().packets;
    let file = OutputSettings {
        id: "push".to_owned(),
        ..file_output("push", &folder.target("a.mp4"))
    };
    streaming.change_output(file).unwrap();
    flows("a file is written", before);
    let wrong = OutputSettings {
        split: Split {
            after: Some(Duration::ZERO),
            bytes: None,
        },
        ..file_output("push", &folder.target("b.mp4"))
    };
    assert!(streaming.change_output(wrong).is_err());
    assert!(streaming.change_output(file_output("x", "x.mp4")).is_err());
    drop(ticker);
    shut_down(streaming, &[]);
    Nginx::end(server);
    for key in ["one", "two"] {
        let recordings = nginx.recordings_of(key);
        assert_eq!(recordings.len(), 1, "{key}: {recordings:?}");
        assert!(Probe::open_cut(&recordings[0]).video()[0].is_key);
    }
    assert!(nginx.recordings_of("backup").is_empty());
    assert!(Probe::open(&folder.path("a.mp4")).video().len() > 20);
}

#[test]
fn a_peer_that_reads_nothing_is_stalled_before_it_is_given_up() {
    let (nginx, heard) = (Nginx::new(), Heard::default());
    let server = nginx.start();
    let push = OutputSettings {
        timeout: Duration::from_secs(3),
        max_queue: 128,
        retry_delay: Duration::from_millis(100),
        ..OutputSettings::new("push", nginx.url("key")).unwrap()
    };
    let streaming =
        Streaming::start_with(encoder_settings(8000), vec![push], heard.listener()).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = || output(&streaming, "push").unwrap();
    wait_until("the rate is known", Duration::from_secs(10), || {
        stats().kbps > 1000.0 && stats().state == Live
    });
    server.signal("-STOP");
    wait_until("it stalls", Duration::from_secs(15), || {
        stats().state == Stalled
    });
    assert_eq!(stats().kbps, 0.0);
    // Whether the kernel still takes packets or not: none of what is on its way arrives.
    assert!(stats().acknowledged.unwrap().bytes_in_flight > 0);
    assert!(stats().connected_since.is_some());
    // Once more under way, it is live with the next packet.
    server.signal("-CONT");
    wait_until("it is live again", Duration::from_secs(5), || {
        stats().state == Live
    });
    server.signal("-STOP");
    wait_until("it is given up", Duration::from_secs(15), || {
        stats().failures > 0
    });
    server.signal("-CONT");
    wait_until("it is joined again", Duration::from_secs(10), || {
        stats().state == Live && stats().reconnects == 1
    });
    assert!(stats().last_error.unwrap().contains("deadline"));
    assert!(stats().last_error_at.is_some());
    drop(ticker);
    // The server may still think that the first publisher is there.
    shut_down(streaming, &["push"]);
    let states = heard.states("push");
    let expected = [
        Connecting, Live, Stalled, Live, Stalled, BackingOff, Connecting,
    ];
    assert!(states.starts_with(&expected), "{states:?}");
    let drops = heard.drops("push");
    assert!(!drops.is_empty() && drops.len() < 30, "{drops:?}");
}

#[test]
fn settings_that_do_not_belong_together_are_named() {
    let file = file_output("a", "a.mp4");
    let push = OutputSettings::new("a", format!("rtmp://127.0.0.1:{}/a/b", free_port())).unwrap();
    let second = Some(Duration::from_secs(1));
    for (setting, bad) in [
        (
            "backups",
            OutputSettings {
                backups: vec!["rtmp://h/a/b".to_owned()],
                ..file.clone()
            },
        ),
        (
            "backups",
            OutputSettings {
                backups: vec!["srt://h:1".to_owned()],
                ..push.clone()
            },
        ),
        (
            "session_max",
            OutputSettings {
                session_max: second,
                ..file.clone()
            },
        ),
        (
            "session_max",
            OutputSettings {
                session_max: Some(Duration::ZERO),
                ..push.clone()
            },
        ),
        (
            "split",
            OutputSettings {
                split: Split {
                    after: second,
                    bytes: None,
                },
                ..push.clone()
            },
        ),
        (
            "split",
            OutputSettings {
                split: Split {
                    after: None,
                    bytes: Some(1),
                },
                ..file
            },
        ),
        (
            "renditions",
            OutputSettings {
                renditions: vec!["a".to_owned(), "b".to_owned()],
                ..push
            },
        ),
    ] {
        let error = bad.validate().unwrap_err();
        let named =
            matches!(&error, StreamingError::Setting { setting: named, .. } if *named == setting);
        assert!(named, "{setting}: {error}");
    }
}
