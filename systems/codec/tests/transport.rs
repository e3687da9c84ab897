//! What TCP says of an RTMP connection, while the peer reads and while it stands still.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use stream_manager_codec::{
    AudioCodec, CodecError, Container, Muxer, MuxerOptions, VideoCodec, VideoSettings,
};
use support::{Encoded, Process, noise, video_settings, wait_until};

fn connect(target: &str, encoded: &Encoded) -> Muxer {
    let options = MuxerOptions {
        write_timeout: Duration::from_secs(1),
        send_buffer_bytes: 64 * 1024,
        ..MuxerOptions::default()
    };
    let mut muxer = None;
    wait_until("the server answers", Duration::from_secs(20), || {
        muxer = Muxer::open(
            target,
            Container::Flv,
            &encoded.streams,
            &options,
            &Arc::default(),
        )
        .ok();
        muxer.is_some()
    });
    muxer.unwrap()
}

#[test]
fn acknowledged_bytes_follow_a_reader_and_stop_with_it() {
    let settings = VideoSettings {
        bitrate_kbps: 20_000,
        ..video_settings(VideoCodec::H264)
    };
    let frames = noise(30);
    let encoded = Encoded::of(&settings, Some(AudioCodec::Aac), 60, |tick| {
        (Arc::clone(&frames[tick as usize % 30]), None)
    });
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let target = format!("rtmp://127.0.0.1:{port}/live/key");
    let peer = Process::start(
        "ffmpeg",
        &[
            "-v", "quiet", "-listen", "1", "-i", &target, "-c", "copy", "-f", "null", "-",
        ],
    );
    let mut muxer = connect(&target, &encoded);
    let probe = muxer.transport_probe().unwrap();
    // Two seconds over and over, each later than the last.
    let start = encoded.packets[0].dts_nanoseconds();
    let mut turn = 0;
    let mut write_all = |muxer: &mut Muxer| -> Result<(), CodecError> {
        turn += 1;
        let shift = start - turn * 3_000_000_000;
        encoded
            .packets
            .iter()
            .try_for_each(|packet| muxer.write_shifted(packet, shift))
    };
    for _ in 0..3 {
        write_all(&mut muxer).unwrap();
    }
    let written = muxer.payload_bytes();
    assert!(written > 200_000, "{written}");
    wait_until("all is acknowledged", Duration::from_secs(10), || {
        let transport = muxer.transport().unwrap();
        transport.bytes_in_flight == 0 && transport.bytes_acknowledged >= written
    });
    let reading = muxer.transport().unwrap();
    // What FLV and RTMP add is little.
    assert!(
        reading.bytes_acknowledged < written * 11 / 10,
        "{reading:?}"
    );
    assert!(reading.rtt < Duration::from_secs(1), "{reading:?}");

    peer.signal("-STOP");
    let error = (0..10_000).find_map(|_| write_all(&mut muxer).err());
    assert!(
        matches!(error, Some(CodecError::Deadline { .. })),
        "{error:?}"
    );
    // Asked while the connection is still open, and by whoever likes.
    let stuck = std::thread::spawn(move || (probe.transport(), probe))
        .join()
        .unwrap();
    let (Some(stuck), probe) = stuck else {
        panic!("no figures of a connection that is open");
    };
    assert!(stuck.bytes_in_flight > 16 * 1024, "{stuck:?}");
    assert!(
        muxer.payload_bytes() > stuck.bytes_acknowledged,
        "{stuck:?}"
    );
    assert_eq!(
        muxer.transport().unwrap().bytes_acknowledged,
        stuck.bytes_acknowledged
    );
    peer.signal("-KILL");
    drop(muxer);
    assert_eq!(probe.transport(), None);
}

#[test]
fn files_have_no_transport() {
    let folder = support::TempFolder::new("no-transport");
    let encoded = Encoded::noise(VideoCodec::H264, None, 1);
    let muxer = Muxer::open(
        &folder.target("a.mkv"),
        Container::Matroska,
        &encoded.streams,
        &MuxerOptions::default(),
        &Arc::default(),
    );
    assert_eq!(muxer.unwrap().transport(), None);
}
