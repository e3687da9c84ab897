//! Eight outputs at once, of which four have peers that misbehave. `SOAK_SECONDS` lengthens the misery, 3 s by default.

use std::time::{Duration, Instant};

use stream_manager::streaming::OutputState::{BackingOff, Live, Stalled};
use stream_manager::streaming::{EncoderSettings, OutputSettings, Streaming};

use crate::support::events::Heard;
use crate::support::nginx::Nginx;
use crate::support::probe::{Probe, assert_no_gaps};
use crate::support::proxy::Proxy;
use crate::support::{
    TempFolder, Ticker, encoder_settings, file_output, free_port, noise, output, shut_down,
    wait_until,
};

const GOOD: [&str; 4] = ["one", "two", "file", "hls"];
const BAD: [&str; 4] = ["refused", "reset", "stopped", "slow"];
const QUEUE: usize = 192;

fn soak() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    Duration::from_secs(seconds.map_or(3, |text| text.parse().unwrap()))
}

fn push(id: &str, port: u16) -> OutputSettings {
    OutputSettings {
        max_queue: QUEUE,
        timeout: Duration::from_secs(2),
        retry_delay: Duration::from_millis(200),
        ..OutputSettings::new(id, format!("rtmp://127.0.0.1:{port}/live/{id}")).unwrap()
    }
}

#[test]
fn four_bad_peers_take_nothing_from_four_good_ones() {
    let (folder, heard) = (TempFolder::new("eight"), Heard::default());
    let (nginx, other) = (Nginx::new(), Nginx::new());
    let (server, stopped) = (nginx.start(), other.start());
    let resetting = Proxy::start(0, nginx.port);
    resetting.set_life(Duration::from_secs(2));
    let throttled = Proxy::start(0, nginx.port);
    // Less than half of the stream. On loopback a window opens by 64 KB at a time, so that much less would look like a dead peer.
    throttled.set_rate(160_000);
    let refusing = free_port();
    let outputs = vec![
        push("one", nginx.port),
        push("two", nginx.port),
        file_output("file", &folder.target("a.mp4")),
        file_output("hls", &folder.target("live/")),
        push("refused", refusing),
        push("reset", resetting.port),
        push("stopped", other.port),
        push("slow", throttled.port),
    ];
    let encoder = EncoderSettings {
        // The machine may be busy with other tests; that is not what is asked here.
        frame_queue: 16,
        ..encoder_settings(3000)
    };
    let streaming = Streaming::start_with(encoder, outputs, heard.listener()).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = |id: &str| output(&streaming, id).unwrap();
    wait_until("the good ones are live", Duration::from_secs(15), || {
        GOOD.iter()
            .all(|id| stats(id).state == Live && stats(id).packets > 0)
    });
    wait_until(
        "the one to be stopped is live",
        Duration::from_secs(15),
        || stats("stopped").packets > 30,
    );
    stopped.signal("-STOP");
    let begun = Instant::now();
    wait_until(
        "all have suffered",
        soak() + Duration::from_secs(30),
        || {
            for id in GOOD {
                let stats = stats(id);
                assert_eq!((stats.packets_dropped, stats.failures), (0, 0), "{id}");
            }
            for id in BAD {
                let stats = stats(id);
                assert!(stats.queue_len <= QUEUE, "{id}: {}", stats.queue_len);
                assert!(
                    stats.kbps == 0.0 || stats.state == Live,
                    "{id}: {:?} at {} kbit/s",
                    stats.state,
                    stats.kbps
                );
            }
            begun.elapsed() > soak()
                && stats("refused").failures >= 3
                && stats("reset").reconnects >= 1
                && heard
                    .states("stopped")
                    .windows(2)
                    .any(|pair| pair == [Stalled, BackingOff])
                && stats("slow").packets_dropped > 0
        },
    );
    // The peers come back, and so do the outputs, by themselves.
    stopped.signal("-CONT");
    resetting.set_life(Duration::ZERO);
    throttled.set_rate(0);
    let _accepting = Proxy::start(refusing, nginx.port);
    let packets = BAD.map(|id| stats(id).packets);
    wait_until("all are live", Duration::from_secs(15), || {
        BAD.iter().zip(packets).all(|(id, before)| {
            let stats = stats(id);
            stats.state == Live && stats.packets > before + 77 && stats.lag < Duration::from_secs(1)
        })
    });
    drop(ticker);
    let encoder = streaming.stats().encoder();
    assert_eq!(encoder.frames_dropped, 0, "a tick was refused");
    shut_down(streaming, &BAD);
    Nginx::end(server);
    Nginx::end(stopped);

    let file = Probe::open(&folder.path("a.mp4"));
    file.assert_steady_frames(encoder.frames);
    for id in ["one", "two"] {
        let recordings = nginx.recordings_of(id);
        assert_eq!(recordings.len(), 1, "{id} was connected once");
        let probe = Probe::open_cut(&recordings[0]);
        assert_no_gaps(&recordings[0], &probe.video());
        let missing = encoder.frames - probe.video().len() as u64;
        assert!(
            missing < 60,
            "{id}: {missing} frames before it was connected"
        );
    }
    assert!(folder.path("live/master.m3u8").exists());
    let drops = heard.drops("slow");
    let seconds = begun.elapsed().as_secs() + 15;
    assert!(
        !drops.is_empty() && (drops.len() as u64) < seconds,
        "{drops:?}"
    );
}
