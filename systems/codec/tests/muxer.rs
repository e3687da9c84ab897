//! Muxers against targets that fail: each failure is bounded, named, and free of secrets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use raster::I420Frame;
use stream_manager_codec::{
    CodecError, Container, FrameRate, Interrupt, Muxer, MuxerOptions, StreamDescription,
    VideoEncoder, VideoSettings,
};

fn encoder() -> VideoEncoder {
    let settings = VideoSettings {
        width: 64,
        height: 64,
        frame_rate: FrameRate::whole(30),
        ..VideoSettings::default()
    };
    VideoEncoder::open(&settings).unwrap()
}

fn streams() -> Vec<StreamDescription> {
    vec![encoder().stream().clone()]
}

fn options() -> MuxerOptions {
    MuxerOptions {
        open_timeout: Duration::from_millis(300),
        ..MuxerOptions::default()
    }
}

#[test]
fn a_full_disk_is_known_as_such() {
    let mut encoder = encoder();
    let guard = Arc::default();
    let streams = [encoder.stream().clone()];
    let frame = Arc::new(I420Frame::new(64, 64).unwrap());
    let result = Muxer::open(
        "/dev/full",
        Container::Matroska,
        &streams,
        &options(),
        &guard,
    )
    .and_then(|mut muxer| {
        let mut packets = Vec::new();
        for pts in 0..200 {
            encoder.encode(&frame, pts, &mut |packet| packets.push(packet))?;
        }
        packets.iter().try_for_each(|packet| muxer.write(packet))?;
        muxer.finish()
    });
    let error = result.unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    assert!(error.to_string().contains("/dev/full"), "{error}");
}

#[test]
fn a_silent_peer_ends_at_the_deadline() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let target = format!(
        "rtmp://127.0.0.1:{}/live/s3cret-key",
        listener.local_addr().unwrap().port()
    );
    let start = Instant::now();
    let error = Muxer::open(
        &target,
        Container::Flv,
        &streams(),
        &options(),
        &Arc::default(),
    )
    .err()
    .unwrap();
    assert!(matches!(error, CodecError::Deadline { .. }), "{error}");
    assert!(!error.to_string().contains("s3cret-key"), "{error}");
    assert!(
        (Duration::from_millis(250)..Duration::from_secs(3)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn another_thread_can_end_it_sooner() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let target = format!(
        "rtmp://127.0.0.1:{}/live/key",
        listener.local_addr().unwrap().port()
    );
    let guard: Arc<Interrupt> = Arc::default();
    let aborting = std::thread::spawn({
        let guard = Arc::clone(&guard);
        move || {
            // The peer is reached; now the handshake waits.
            let _connection = listener.accept().unwrap();
            guard.abort();
        }
    });
    let options = MuxerOptions {
        open_timeout: Duration::from_secs(60),
        ..MuxerOptions::default()
    };
    let start = Instant::now();
    assert!(Muxer::open(&target, Container::Flv, &streams(), &options, &guard).is_err());
    aborting.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn refusals_and_bad_targets_are_named() {
    let guard = Arc::default();
    let error = Muxer::open(
        "/nowhere/a.mp4",
        Container::Mp4,
        &streams(),
        &options(),
        &guard,
    )
    .err()
    .unwrap();
    assert!(
        error
            .to_string()
            .contains("/nowhere/a.mp4: No such file or directory"),
        "{error}"
    );
    let error = Muxer::open("a\0b", Container::Mp4, &streams(), &options(), &guard)
        .err()
        .unwrap();
    assert!(matches!(error, CodecError::Target { .. }), "{error}");
    let error = Muxer::open(
        "rtmps://127.0.0.1:1/live/s3cret",
        Container::Flv,
        &streams(),
        &options(),
        &guard,
    );
    let error = error.err().unwrap().to_string();
    assert!(
        error.contains("rtmps://127.0.0.1:1/live/***: Connection refused"),
        "{error}"
    );
}

/// A TLS server with a certificate that nobody signed; `openssl` is in every Debian.
#[test]
fn rtmps_trusts_only_who_it_is_told_to() {
    use std::process::{Command, Stdio};
    let folder =
        std::env::temp_dir().join(format!("stream-manager-codec-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
        ])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-key",
        ])
        .arg(&key)
        .arg("-cert")
        .arg(&certificate)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let target = format!("rtmps://localhost:{port}/live/key");
    let options = |ca_file| MuxerOptions {
        ca_file,
        open_timeout: Duration::from_secs(2),
        ..MuxerOptions::default()
    };
    let open = |ca_file| {
        Muxer::open(
            &target,
            Container::Flv,
            &streams(),
            &options(ca_file),
            &Arc::default(),
        )
        .err()
    };
    // Until it listens, the connection is refused.
    let limit = Instant::now() + Duration::from_secs(10);
    let distrusted = loop {
        let error = open(None).unwrap();
        if !error.to_string().contains("refused") || Instant::now() > limit {
            break error;
        }
    };
    let trusted = open(Some(certificate)).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        matches!(distrusted, CodecError::Target { .. }),
        "{distrusted}"
    );
    // The certificate was taken, and then nobody there speaks RTMP.
    assert!(matches!(trusted, CodecError::Deadline { .. }), "{trusted}");
}
