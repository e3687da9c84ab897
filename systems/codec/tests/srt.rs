//! SRT against FFmpeg's own listener: what arrives, wrong passphrases, and a peer that is gone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stream_manager_codec::{AudioCodec, CodecError, Container, Muxer, MuxerOptions, VideoCodec};
use support::{Encoded, Process, TempFolder, decoded_s, probe, wait_until};

const PASSPHRASE: &str = "correct-horse-battery";

fn free_port() -> u16 {
    UdpSocket::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A listener that writes what it gets to a file, as it is.
fn listener(port: u16, file: &str) -> Process {
    let source = format!("srt://127.0.0.1:{port}?mode=listener&passphrase={PASSPHRASE}");
    Process::start(
        "ffmpeg",
        &[
            "-v",
            "quiet",
            "-y",
            "-f",
            "data",
            "-i",
            &source,
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "data",
            "-flush_packets",
            "1",
            file,
        ],
    )
}

fn options() -> MuxerOptions {
    MuxerOptions {
        open_timeout: Duration::from_secs(2),
        write_timeout: Duration::from_secs(1),
        ..MuxerOptions::default()
    }
}

fn open(target: &str, encoded: &Encoded) -> Result<Muxer, CodecError> {
    Muxer::open(
        target,
        Container::MpegTs,
        &encoded.streams,
        &options(),
        &Arc::default(),
    )
}

/// Waits until the listener, which was just started, takes us.
fn connect(target: &str, encoded: &Encoded) -> Muxer {
    let mut muxer = None;
    wait_until("the listener answers", Duration::from_secs(20), || {
        muxer = open(target, encoded).ok();
        muxer.is_some()
    });
    muxer.unwrap()
}

/// Writes the stream for the `turn`th time, at the pace at which it is to be seen, which SRT's live mode is made for.
fn pace(muxer: &mut Muxer, encoded: &Encoded, turn: i64) -> Result<(), CodecError> {
    let length = encoded.packets[encoded.packets.len() - 1].dts_nanoseconds() + 100_000_000;
    let (start, first) = (Instant::now(), encoded.packets[0].dts_nanoseconds());
    for packet in &encoded.packets {
        let at = Duration::from_nanos((packet.dts_nanoseconds() - first).cast_unsigned());
        while let Some(rest) = at.checked_sub(start.elapsed()) {
            std::thread::park_timeout(rest);
        }
        muxer.write_shifted(packet, first - turn * length)?;
    }
    Ok(())
}

#[test]
fn what_is_sent_arrives() {
    let folder = TempFolder::new("srt");
    let encoded = Encoded::noise(VideoCodec::H264, Some(AudioCodec::Aac), 4);
    let path = folder.path("got.ts");
    let port = free_port();
    let _listener = listener(port, path.to_str().unwrap());
    let target = format!("srt://127.0.0.1:{port}?passphrase={PASSPHRASE}&streamid=s3cret-stream");
    let mut muxer = connect(&target, &encoded);
    assert_eq!(muxer.target(), format!("srt://127.0.0.1:{port}?***"));
    pace(&mut muxer, &encoded, 0).unwrap();
    let size = || std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    // All but the last fifth of a second, which is on its way.
    let most = muxer.payload_bytes() * 9 / 10;
    wait_until("it has arrived", Duration::from_secs(10), || size() > most);
    muxer.finish().unwrap();
    assert_eq!(probe(&path, "v", "codec_name"), "h264");
    assert_eq!(probe(&path, "a", "codec_name"), "aac");
    assert!(decoded_s(&path, "v").len() > 100);
}

#[test]
fn a_wrong_passphrase_is_refused_in_time_and_stays_a_secret() {
    let folder = TempFolder::new("srt-wrong");
    let encoded = Encoded::noise(VideoCodec::H264, None, 1);
    let port = free_port();
    let good = format!("srt://127.0.0.1:{port}?passphrase={PASSPHRASE}");
    let wrong = format!("srt://127.0.0.1:{port}?passphrase=tr0ub4dor-and-3&streamid=s3cret-stream");
    let _listener = listener(port, &folder.target("got.ts"));
    wait_until("the listener has its port", Duration::from_secs(20), || {
        UdpSocket::bind(("127.0.0.1", port)).is_err()
    });
    let start = Instant::now();
    let error = open(&wrong, &encoded).err().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    let said = error.to_string();
    // libsrt's words, or ours while the other tests connect.
    assert!(said.to_lowercase().contains("passphrase"), "{said}");
    for secret in ["tr0ub4dor", "s3cret-stream"] {
        assert!(!said.contains(secret), "{said}");
    }
    // The listener is there all the time.
    let _listener = connect(&good, &encoded);
}

#[test]
fn a_peer_that_is_gone_is_an_error() {
    let folder = TempFolder::new("srt-gone");
    let encoded = Encoded::noise(VideoCodec::H264, Some(AudioCodec::Aac), 2);
    let port = free_port();
    let mut peer = listener(port, &folder.target("got.ts"));
    let target = format!("srt://127.0.0.1:{port}?passphrase={PASSPHRASE}");
    let mut muxer = connect(&target, &encoded);
    pace(&mut muxer, &encoded, 0).unwrap();
    peer.0.kill().unwrap();
    peer.0.wait().unwrap();
    let start = Instant::now();
    let error = (1..10).find_map(|turn| pace(&mut muxer, &encoded, turn).err());
    let error = error.expect("somebody notices");
    eprintln!("noticed after {:?}: {error}", start.elapsed());
    assert!(!error.to_string().contains(PASSPHRASE), "{error}");
}
