//! Peers that refuse, are silent, or stop reading: nothing of it reaches the other outputs.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use codec::VideoSettings;
use stream_manager::streaming::{EncoderSettings, OutputSettings, OutputState, Streaming};

use crate::support::probe::Probe;
use crate::support::{
    Process, TempFolder, encoder_settings, file_output, free_port, log, noise, output, push_fast,
    shut_down, wait_until,
};

fn rtmp(id: &str, port: u16) -> OutputSettings {
    let settings = OutputSettings::new(
        id,
        format!("rtmp://127.0.0.1:{port}/live/s3cret-stream-key?token=t0psecret"),
    );
    OutputSettings {
        timeout: Duration::from_secs(1),
        retry_delay: Duration::from_millis(100),
        ..settings.unwrap()
    }
}

#[test]
fn a_refusing_peer_is_retried_and_given_up_as_asked() {
    log::capture();
    let folder = TempFolder::new("refusing");
    let port = free_port();
    let outputs = vec![
        OutputSettings {
            retry_attempts: 2,
            ..rtmp("twice", port)
        },
        rtmp("forever", port),
        file_output("file", &folder.target("a.mp4")),
    ];
    let streaming = Streaming::start(encoder_settings(600), outputs).unwrap();
    push_fast(&streaming, &noise(320, 180, 8), 0..120, "file");
    let state = |id| output(&streaming, id).unwrap();
    wait_until("two attempts", Duration::from_secs(5), || {
        state("twice").state == OutputState::Failed
    });
    wait_until("more attempts", Duration::from_secs(5), || {
        state("forever").attempts_failed >= 3
    });
    let error = state("forever").last_error.unwrap();
    assert!(
        error.contains("Connection refused") && error.contains("/live/***"),
        "{error}"
    );
    // A retry by hand starts it again, and it gives up again.
    streaming.retry_output("twice").unwrap();
    wait_until("it gives up again", Duration::from_secs(5), || {
        streaming
            .ended()
            .iter()
            .any(|end| end.who == "output twice" && end.result.is_err())
    });
    shut_down(streaming, &["twice", "forever"]);
    assert_eq!(Probe::open(&folder.path("a.mp4")).video().len(), 120);
    let lines = log::lines();
    assert!(
        lines.contains("Connection refused"),
        "FFmpeg's log is not led into ours"
    );
    assert!(!lines.contains("s3cret-stream-key") && !lines.contains("t0psecret"));
}

#[test]
fn a_silent_peer_is_given_up_and_does_not_delay_the_end() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = OutputSettings {
        timeout: Duration::from_secs(60),
        ..rtmp("patient", port)
    };
    let streaming =
        Streaming::start(encoder_settings(600), vec![rtmp("silent", port), settings]).unwrap();
    wait_until("the attempt fails", Duration::from_secs(5), || {
        output(&streaming, "silent").unwrap().attempts_failed >= 1
    });
    let error = output(&streaming, "silent").unwrap().last_error.unwrap();
    assert!(error.contains("deadline"), "{error}");
    assert_eq!(
        output(&streaming, "patient").unwrap().state,
        OutputState::Connecting
    );
    shut_down(streaming, &["silent", "patient"]);
}

#[test]
fn a_stopped_receiver_harms_nobody_else() {
    let folder = TempFolder::new("stopped");
    let port = free_port();
    let url = format!("rtmp://127.0.0.1:{port}/live/s3cret-stream-key?token=t0psecret");
    let receiver = Process::start(
        "ffmpeg",
        &["-v", "error", "-listen", "1", "-i", &url, "-f", "null", "-"],
    );
    let base = encoder_settings(12_000);
    let settings = EncoderSettings {
        video: VideoSettings {
            width: 640,
            height: 360,
            ..base.video.clone()
        },
        ..base
    };
    let outputs = vec![
        rtmp("stopped", port),
        file_output("file", &folder.target("a.mkv")),
    ];
    let streaming = Streaming::start(settings, outputs).unwrap();
    let frames = noise(640, 360, 30);
    wait_until("the receiver is reached", Duration::from_secs(10), || {
        output(&streaming, "stopped").unwrap().state == OutputState::Live
    });
    receiver.signal("-STOP");
    let mut ticks = 0;
    let start = Instant::now();
    // As much as the sockets hold, and then the deadline.
    while output(&streaming, "stopped").unwrap().attempts_failed == 0 {
        assert!(
            start.elapsed() < Duration::from_secs(25),
            "a receiver that reads nothing was not noticed"
        );
        push_fast(&streaming, &frames, ticks..ticks + 16, "file");
        ticks += 16;
    }
    let error = output(&streaming, "stopped").unwrap().last_error.unwrap();
    assert!(error.contains("deadline"), "{error}");
    let file = output(&streaming, "file").unwrap();
    assert_eq!((file.packets_dropped, file.state), (0, OutputState::Live));
    shut_down(streaming, &["stopped"]);
    receiver.signal("-CONT");
    let probe = Probe::open(&folder.path("a.mkv"));
    assert_eq!(probe.video().len() as u64, ticks);
    let gaps = probe
        .audio()
        .windows(2)
        .filter(|pair| pair[1].pts_s - pair[0].pts_s > 0.023)
        .count();
    assert_eq!(gaps, 0, "sound was lost");
}
