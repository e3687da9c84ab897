//! The bitrate follows a link that narrows: over a relay that lets through only so much, into a real receiver.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{bounded, tick};
use socket2::{Domain, Socket, Type};
use stream_manager::streaming::{
    Adaptive, BitrateReason, Ladder, Listener, OutputSettings, OutputState, RenditionSettings,
    Streaming, StreamingEvent,
};

use crate::support::{
    Process, Ticker, encoder_settings, free_port, noise, output, shut_down, wait_until,
};

/// Relays one connection to `port`, no faster than a number of kbit/s that may change. Gives its own port.
fn relay(port: u16, kbps: Arc<AtomicU64>) -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // What lies in it is on its way as far as the sender knows; and loopback would fill and empty a large one in leaps of half a second.
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&address.into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            let (mut server, mut client) = back;
            let _ = std::io::copy(&mut server, &mut client);
        });
        // A bucket that is filled every 10 ms and holds no more than that.
        let beat = tick(Duration::from_millis(10));
        let mut chunk = vec![0; 1 << 16];
        loop {
            beat.recv().unwrap();
            let bytes = kbps.load(Ordering::Relaxed) * 10 / 8;
            let count = (bytes as usize).min(chunk.len());
            match client.read(&mut chunk[..count]) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    if server.write_all(&chunk[..count]).is_err() {
                        break;
                    }
                }
            }
        }
        let _ = server.shutdown(Shutdown::Write);
    });
    own
}

#[test]
fn the_bitrate_follows_a_link_that_narrows_without_a_reconnect() {
    let sink = free_port();
    let url = format!("rtmp://127.0.0.1:{sink}/live/key");
    let _receiver = Process::start(
        "ffmpeg",
        &[
            "-v", "error", "-listen", "1", "-i", &url, "-c", "copy", "-f", "null", "-",
        ],
    );
    wait_until("the receiver listens", Duration::from_secs(10), || {
        // Looking by connecting would use its one connection up.
        std::fs::read_to_string("/proc/net/tcp")
            .unwrap()
            .contains(&format!("0100007F:{sink:04X} 00000000:0000 0A"))
    });
    let link_kbps = Arc::new(AtomicU64::new(8000));
    let port = relay(sink, Arc::clone(&link_kbps));
    let (told, events) = bounded(256);
    let listener = Listener::new(move |event| drop(told.try_send(event)));
    let rendition = RenditionSettings {
        adaptive: Some(Adaptive { floor_kbps: 200 }),
        ..RenditionSettings::new("main", encoder_settings(3000))
    };
    let push = OutputSettings::new("push", format!("rtmp://127.0.0.1:{port}/live/key")).unwrap();
    let streaming =
        Streaming::start_with(Ladder::new(vec![rendition]), vec![push], listener).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let push = || output(&streaming, "push").unwrap();
    let encoder = || streaming.stats().encoder();
    wait_until("it streams", Duration::from_secs(15), || {
        push().state == OutputState::Live && encoder().bitrate_kbps > 2500.0
    });
    assert_eq!(encoder().bitrate_kbps_set, 3000);
    link_kbps.store(1000, Ordering::Relaxed);
    // Some hundred kilobytes of sockets' buffers are filled first, at the 2 Mbit/s that are too much.
    let took = wait_until("it goes down", Duration::from_secs(8), || {
        encoder().bitrate_kbps_set <= 900
    });
    eprintln!(
        "down to {} kbit/s after {took:?}",
        encoder().bitrate_kbps_set
    );
    assert!(encoder().bitrate_kbps_set >= 450, "{:?}", encoder());
    let took = wait_until("what has gathered is gone", Duration::from_secs(60), || {
        push().lag < Duration::from_millis(300) && encoder().bitrate_kbps < 1050.0
    });
    eprintln!(
        "measured {} kbit/s, no lag after {took:?}",
        encoder().bitrate_kbps
    );
    link_kbps.store(8000, Ordering::Relaxed);
    let low = encoder().bitrate_kbps_set;
    wait_until("it goes up again", Duration::from_secs(25), || {
        encoder().bitrate_kbps_set > low + 50
    });
    let stats = push();
    assert_eq!((stats.reconnects, stats.state), (0, OutputState::Live));
    assert_eq!(encoder().bitrate_kbps_ceiling, 3000);
    drop(ticker);
    shut_down(streaming, &["push"]);
    let told: Vec<(u32, BitrateReason)> = events
        .try_iter()
        .filter_map(|event| match event {
            StreamingEvent::Bitrate { kbps, reason, .. } => Some((kbps, reason)),
            _ => None,
        })
        .collect();
    assert!(
        told.iter().all(|(kbps, _)| (200..=3000).contains(kbps)),
        "{told:?}"
    );
    assert_eq!(told[0].1, BitrateReason::Congestion);
    assert!(
        told.iter()
            .any(|(_, reason)| *reason == BitrateReason::Recovery)
    );
}
