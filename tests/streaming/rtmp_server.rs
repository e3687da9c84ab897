//! Pushing to nginx with its RTMP module, which goes away and comes back.

use std::time::Duration;

use stream_manager::streaming::{OutputSettings, OutputState, Streaming};

use crate::support::nginx::Nginx;
use crate::support::probe::{Probe, assert_no_gaps};
use crate::support::{Ticker, encoder_settings, noise, output, shut_down, wait_until};

#[test]
fn a_server_receives_and_is_joined_again_when_it_returns() {
    let nginx = Nginx::new();
    let mut server = nginx.start();
    let target = nginx.url("key");
    let streaming = Streaming::start(
        encoder_settings(600),
        vec![OutputSettings::new("push", target).unwrap()],
    )
    .unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let push = || output(&streaming, "push").unwrap();
    wait_until(
        "the server has two and a half seconds",
        Duration::from_secs(15),
        || push().packets > 190,
    );
    assert_eq!(push().state, OutputState::Live);
    server.kill();
    wait_until("the loss is noticed", Duration::from_secs(6), || {
        push().state == OutputState::BackingOff
    });
    // Long enough for the waits to have grown.
    wait_until("some attempts fail", Duration::from_secs(15), || {
        push().attempts_failed >= 3
    });
    let server = nginx.start();
    let took = wait_until("the server is joined again", Duration::from_secs(5), || {
        push().state == OutputState::Live
    });
    eprintln!("joined again after {took:?}");
    let packets = push().packets;
    let took = wait_until("packets flow again", Duration::from_secs(2), || {
        push().packets > packets
    });
    eprintln!("first packet {took:?} after");
    wait_until("two more seconds", Duration::from_secs(15), || {
        push().packets > packets + 160
    });
    assert_eq!((push().reconnects, push().packets_dropped), (1, 0));
    drop(ticker);
    shut_down(streaming, &[]);
    wait_until(
        "the server has closed its file",
        Duration::from_secs(5),
        || nginx.recordings().len() == 2,
    );
    Nginx::end(server);

    // Time goes on from one connection to the next.
    let mut last_s = -1.0;
    for recording in nginx.recordings() {
        let probe = Probe::open_cut(&recording);
        probe.assert_house_format(320, 180);
        let video = probe.video();
        let start_s = video[0].pts_s;
        assert!(
            video[0].is_key && start_s > last_s,
            "starts with {:?}",
            video[0]
        );
        assert!(last_s > 0.0 || start_s < 0.1, "time 0 is the first packet");
        assert!(
            (probe.audio()[0].pts_s - start_s).abs() < 0.1,
            "sound starts with {:?}",
            probe.audio()[0]
        );
        last_s = video[video.len() - 1].pts_s;
        assert_no_gaps(&recording, &video);
    }
}
