//! Peers that mean harm, or are broken: the program and everybody else go on.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use stream_manager::rtmp::chunk::{ChunkWriter, Message};

use super::peer::{Peer, Running, Stage};
use super::support::{get, text, until};

/// Numbers that look random and are the same on each run (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.next() % most;
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A publisher and a player that must notice nothing.
fn others(stage: &Stage) -> (Running, Running, u64) {
    let (camera, _, _) = stage.publish("studio");
    let player = stage.player("studio");
    stage.until_count("player", 1);
    (camera, player, memory(stage))
}

fn memory(stage: &Stage) -> u64 {
    stage.ask("/stream/metrics")["memoryUsage"]
        .as_u64()
        .unwrap()
}

fn unharmed(stage: &Stage, mut others: (Running, Running, u64)) {
    until("the broken ones to be gone", || {
        (stage.count("connecting") == 0).then_some(())
    });
    assert!(others.0.0.try_wait().unwrap().is_none(), "the publisher");
    assert!(others.1.0.try_wait().unwrap().is_none(), "the player");
    assert_eq!(stage.count("publisher"), 1);
    assert_eq!(stage.count("player"), 1);
    let frames = stage.frames();
    until("frames", || (stage.frames() > frames + 10).then_some(()));
    let grown = memory(stage).saturating_sub(others.2);
    assert!(grown < 100 << 20, "{grown} bytes more");
    assert!(!stage.on_air.all_lines().contains("panicked"));
}

#[test]
fn random_bytes_do_no_harm() {
    let stage = Stage::new(&[]);
    let others = others(&stage);
    let mut chance = Chance(0x5eed);
    for round in 0..150 {
        if round % 3 == 0 {
            // No handshake at all.
            let mut stream = TcpStream::connect(("127.0.0.1", stage.rtmp)).unwrap();
            let _sent = stream.write_all(&chance.bytes(5000));
            continue;
        }
        let mut peer = Peer::connect(stage.rtmp);
        if round % 3 == 1 {
            let _sent = peer.stream.write_all(&chance.bytes(5000));
            continue;
        }
        // Messages of every kind, that hold anything.
        for _ in 0..8 {
            let kind = (chance.next() % 23) as u8;
            let body = chance.bytes(300);
            if peer.send(kind, chance.next() as u32, body).is_err() {
                break;
            }
        }
    }
    unharmed(&stage, others);
}

#[test]
fn broken_handshakes_do_no_harm() {
    let stage = Stage::new(&[]);
    let others = others(&stage);
    let mut waiting = Vec::new();
    for round in 0..40 {
        let mut stream = TcpStream::connect(("127.0.0.1", stage.rtmp)).unwrap();
        let hello = |version: u8, bytes: usize| {
            let mut hello = vec![version];
            hello.resize(1 + bytes, 0x5a);
            hello
        };
        let bytes = match round % 4 {
            // Another version, another protocol, half a packet, and no answer to ours.
            0 => hello(2, 1536),
            1 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            2 => hello(3, 700),
            _ => hello(3, 1536),
        };
        stream.write_all(&bytes).unwrap();
        waiting.push(stream);
    }
    until("the first to be let go", || {
        (stage.count("connecting") <= 20).then_some(())
    });
    // The others hold on until the time for it is over.
    unharmed(&stage, others);
}

#[test]
fn a_flood_of_empty_messages_is_let_go() {
    let stage = Stage::new(&[]);
    let others = others(&stage);
    let mut peer = Peer::connect(stage.rtmp);
    // The first has a header; each that follows is a byte.
    peer.stream
        .write_all(&[3, 0, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0])
        .unwrap();
    let flood = [0xc3; 65_536];
    while peer.stream.write_all(&flood).is_ok() {}
    until("the reason", || {
        let page = get(stage.on_air.port("metrics"), "/metrics").unwrap().1;
        let page = text(&page);
        let line = page
            .lines()
            .find(|line| line.starts_with("stream_rtmp_refused_total"));
        line.unwrap().ends_with(" 1").then_some(())
    });
    unharmed(&stage, others);
}

#[test]
fn what_is_too_large_is_refused() {
    let stage = Stage::new(&[]);
    let others = others(&stage);
    // A command that says it is long.
    let long = [3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0];
    // Arrays in arrays, and four thousand million values.
    let deep = [10, 0, 0, 0, 1].repeat(10_000);
    let wide = [&[10, 0xff, 0xff, 0xff, 0xff][..], &[5; 4000]].concat();
    for _ in 0..5 {
        let mut peer = Peer::connect(stage.rtmp);
        peer.stream.write_all(&long).unwrap();
        assert!(peer.is_let_go(super::support::LIMIT), "a long command");
        for body in [&deep, &wide] {
            let mut peer = Peer::connect(stage.rtmp);
            let _sent = peer.send(20, 0, body.clone());
            assert!(peer.is_let_go(super::support::LIMIT), "a large value");
        }
        for size in [0, u32::MAX] {
            let mut peer = Peer::connect(stage.rtmp);
            let _sent = peer.send(1, 0, size.to_be_bytes().to_vec());
            assert!(peer.is_let_go(super::support::LIMIT), "a chunk size");
        }
    }
    // Pieces of one byte are allowed.
    let (_, key) = stage.key("");
    let mut peer = Peer::connect(stage.rtmp);
    peer.send(1, 0, 1u32.to_be_bytes().to_vec()).unwrap();
    let mut writer = ChunkWriter::default();
    writer.set_chunk_size(1);
    for values in [vec![("connect", ""), ("publish", key.as_str())]].concat() {
        use stream_manager::rtmp::amf::{Value, write};
        let object = Value::object([("app", Value::text("live"))]);
        let body = write(&[
            Value::text(values.0),
            Value::Number(1.0),
            object,
            Value::text(values.1),
        ]);
        let message = Message {
            kind: 20,
            stream: 0,
            time_ms: 0,
            body,
        };
        let mut output = BytesMut::new();
        writer.write(3, &message, &mut output);
        peer.stream.write_all(&output).unwrap();
    }
    assert_eq!(peer.status(), "NetStream.Publish.Start");
    drop(peer);
    until("it to be gone", || {
        (stage.count("publisher") == 1).then_some(())
    });
    unharmed(&stage, others);
}

#[test]
fn hundreds_of_idle_connections_take_no_place_for_long() {
    let stage = Stage::new(&[
        "--rtmp-connections",
        "300",
        "--rtmp-address-connections",
        "200",
    ]);
    let others = others(&stage);
    // Some have shaken hands, and ask for nothing.
    let met: Vec<Peer> = (0..20).map(|_| Peer::connect(stage.rtmp)).collect();
    let idle: Vec<TcpStream> = (0..500)
        .map(|_| TcpStream::connect(("127.0.0.1", stage.rtmp)).unwrap())
        .collect();
    until("a full house", || {
        (stage.count("connecting") == 198).then_some(())
    });
    // The others do not say hello, and all are let go.
    until("them to be let go", || {
        (stage.count("connecting") == 0).then_some(())
    });
    drop((met, idle));
    unharmed(&stage, others);
}

#[test]
fn a_publisher_killed_in_mid_packet_many_times_harms_nobody() {
    let stage = Stage::new(&["--rtmp-grace", "10s"]);
    let others = others(&stage);
    let (_, key) = stage.key("fragile");
    let mut chance = Chance(7);
    for round in 0..50u32 {
        let mut peer = until("the key to be free", || {
            let mut peer = Peer::connect(stage.rtmp);
            (peer.publish(&key) == "NetStream.Publish.Start").then_some(peer)
        });
        peer.send(9, round, vec![0x17, 0, 0, 0, 0, 1, 100, 0, 31])
            .unwrap();
        for picture in 0..3 {
            let body = [&[0x17, 1, 0, 0, 0][..], &chance.bytes(3000)].concat();
            peer.send(9, picture * 33, body).unwrap();
        }
        // A picture of which a part comes.
        let part = [&[4, 0, 0, 99, 1, 0, 0, 9, 1, 0, 0, 0][..], &[0x27; 100]].concat();
        peer.stream.write_all(&part).unwrap();
        peer.stream
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
    }
    until("the last to be gone", || {
        (stage.count("publisher") == 1).then_some(())
    });
    unharmed(&stage, others);
}
