//! The queue of an output, with true packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::{FrameRate, Packet, VideoEncoder, VideoSettings};
use raster::I420Frame;

use super::queue::{PacketQueue, Popped};

/// Packets of `frames` frames with a keyframe every 10.
fn packets(frames: i64) -> Vec<Packet> {
    let settings = VideoSettings {
        width: 64,
        height: 64,
        frame_rate: FrameRate::whole(10),
        keyframe_interval_s: 1.0,
        ..VideoSettings::default()
    };
    let mut encoder = VideoEncoder::open(&settings).expect("libx264");
    let frame = Arc::new(I420Frame::new(64, 64).expect("a small frame"));
    let mut packets = Vec::new();
    for pts in 0..frames {
        encoder
            .encode(&frame, pts, &mut |packet| packets.push(packet))
            .expect("a packet");
    }
    encoder
        .flush(&mut |packet| packets.push(packet))
        .expect("the last packets");
    packets
}

fn drain(queue: &PacketQueue) -> Vec<i64> {
    std::iter::from_fn(|| match queue.pop(Duration::ZERO) {
        Popped::Packet(packet) => Some(packet.pts()),
        Popped::Nothing | Popped::Ended => None,
    })
    .collect()
}

#[test]
fn nothing_is_given_before_a_keyframe() {
    let queue = PacketQueue::new(64);
    for packet in &packets(25)[5..] {
        queue.push(packet);
    }
    assert_eq!(drain(&queue), (10..25).collect::<Vec<_>>());
    assert_eq!(queue.figures().dropped, 0);
}

#[test]
fn a_full_queue_drops_up_to_its_newest_keyframe() {
    let queue = PacketQueue::new(24);
    for packet in &packets(25) {
        queue.push(packet);
    }
    assert_eq!(drain(&queue), (20..25).collect::<Vec<_>>());
    assert_eq!(queue.figures().dropped, 20);
}

#[test]
fn a_queue_shorter_than_a_group_waits_for_the_next_keyframe() {
    let queue = PacketQueue::new(4);
    for packet in &packets(13) {
        queue.push(packet);
    }
    assert_eq!(drain(&queue), [10, 11, 12]);
    assert_eq!(queue.figures().dropped, 10);
}

#[test]
fn restarting_forgets_and_suspending_refuses() {
    let queue = PacketQueue::new(64);
    let packets = packets(25);
    queue.push(&packets[0]);
    queue.suspend();
    queue.push(&packets[10]);
    assert!(drain(&queue).is_empty());
    queue.restart();
    for packet in &packets[15..] {
        queue.push(packet);
    }
    assert_eq!(drain(&queue), (20..25).collect::<Vec<_>>());
    queue.close();
    queue.push(&packets[20]);
    assert!(matches!(queue.pop(Duration::from_secs(60)), Popped::Ended));
}

#[test]
fn waits_end_when_the_queue_is_closed_or_woken() {
    let queue = Arc::new(PacketQueue::new(64));
    let start = Instant::now();
    queue.wake();
    queue.wait(Duration::from_secs(60));
    let other = Arc::clone(&queue);
    let closing = std::thread::spawn(move || other.close());
    queue.wait(Duration::from_secs(60));
    closing.join().expect("the queue is closed");
    assert!(start.elapsed() < Duration::from_secs(30));
}
