//! Publishers: packets as FFmpeg's FLV muxer writes them, which are those of RTMP.

use bytes::Bytes;
use components::source::IngestSource;
use stream_manager::ingest::{IngestAudioCodec, IngestPacket, IngestVideoCodec, Publisher};
use systems::input::{InputSpec, InputStage, LivePicture, WantedSize};

use crate::support::{NUMBERED, Near, World, joined, until, yuv_at};

/// A second of numbered frames and a tone, as a publisher sends them.
fn a_second(world: &World) -> Vec<IngestPacket> {
    let codecs = "-t 1 -c:v libx264 -qp 4 -g 30 -tune zerolatency -c:a aac -ar 44100 -f flv";
    let flv = world.ffmpeg("live.flv", &format!("{NUMBERED} {codecs}"));
    packets(&std::fs::read(flv).expect("a file"))
}

fn spec(key: &str) -> InputSpec {
    let source: IngestSource =
        serde_json::from_value(serde_json::json!({"key": key})).expect("a source");
    InputSpec::Ingest(source)
}

/// The tags of an FLV file (Adobe Flash Video File Format 10.1, annex E) as packets.
pub fn packets(flv: &[u8]) -> Vec<IngestPacket> {
    let mut packets = Vec::new();
    let mut at = 9 + 4;
    while let Some(head) = flv.get(at..at + 11) {
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let time = i64::from(u32::from_be_bytes([head[7], head[4], head[5], head[6]]));
        let body = &flv[at + 11..at + 11 + size];
        at += 11 + size + 4;
        match head[0] {
            9 if body[1] == 0 => packets.push(IngestPacket::VideoHeader {
                codec: IngestVideoCodec::H264,
                header: Bytes::copy_from_slice(&body[5..]),
            }),
            9 if body[1] == 1 => packets.push(IngestPacket::Video {
                dts_ms: time,
                composition_ms: i32::from_be_bytes([body[2], body[3], body[4], 0]) >> 8,
                keyframe: body[0] >> 4 == 1,
                data: Bytes::copy_from_slice(&body[5..]),
            }),
            8 if body[1] == 0 => packets.push(IngestPacket::AudioHeader {
                codec: IngestAudioCodec::Aac,
                header: Bytes::copy_from_slice(&body[2..]),
            }),
            8 => packets.push(IngestPacket::Audio {
                pts_ms: time,
                data: Bytes::copy_from_slice(&body[2..]),
            }),
            _ => {}
        }
    }
    packets
}

/// Sends packets one by one as their pictures are taken, so that none finds its way full.
fn publish(
    publisher: &Publisher,
    packets: &[IngestPacket],
    near: &Near,
) -> (Vec<(i64, u8)>, Vec<systems::input::SoundBlock>) {
    let (mut pictures, mut sound) = (Vec::new(), Vec::new());
    for packet in packets {
        let is_picture = matches!(packet, IngestPacket::Video { .. });
        publisher.send(packet.clone());
        if is_picture {
            let picture = near.picture();
            pictures.push((picture.pts_us, yuv_at(&picture.picture, 100, 100)[0]));
        }
        sound.extend(near.sound.try_iter().map(|block| *block));
    }
    (pictures, sound)
}

#[test]
fn a_publisher_is_seen_and_heard_and_may_go_and_come_again() {
    let world = World::new();
    let packets = a_second(&world);
    let near = world.open("guest", spec("guest"));
    world.wait_for("guest", |_| true);
    let mut newest = -1;
    for round in 0..20 {
        let publisher = world.hub.publish("id-1", "guest").expect("nobody else");
        let (pictures, sound) = publish(&publisher, &packets, &near);
        assert_eq!(pictures.len(), 30);
        assert_eq!(near.state.stage(), InputStage::Live);
        for (index, (pts_us, luma)) in (0..).zip(&pictures) {
            assert!(
                (i64::from(*luma) - (16 + index * 3)).abs() <= 2,
                "{round} {index}: {luma}"
            );
            assert!(*pts_us > newest, "{round}: {pts_us} after {newest}");
            newest = *pts_us;
        }
        let (_, samples) = joined(&sound);
        assert!(samples.len() > 40_000, "{round}: {}", samples.len());
        drop(publisher);
        until("it is noticed", || {
            (near.state.stage() == InputStage::Reconnecting).then_some(())
        });
        near.sound.try_iter().for_each(drop);
    }
    let view = world.inputs.get("guest").expect("a view");
    assert_eq!(
        (view.video_codec.as_deref(), view.audio_codec.as_deref()),
        (Some("h264"), Some("aac"))
    );
    assert_eq!(view.address, "guest");
    assert_eq!(view.error.as_deref(), Some("the publisher has gone"));
    let news = world.news.lock().unwrap();
    assert_eq!(news.len(), 40);
    assert_eq!(news[1].error.as_deref(), Some("the publisher has gone"));
}

#[test]
fn one_decoder_serves_all_layers_each_in_its_size() {
    let world = World::with_inputs(1);
    let packets = a_second(&world);
    let large = world.open("large", spec("guest"));
    let small = world.open("small", spec("guest"));
    world.wait_for("small", |_| true);
    small.state.set_wanted(WantedSize {
        width: 160,
        height: 90,
    });
    let publisher = world.hub.publish("guest", "a guest").expect("nobody else");
    let (mut seen, mut others) = (Vec::new(), Vec::new());
    for packet in packets.iter().chain(&packets) {
        publisher.send(packet.clone());
        if matches!(packet, IngestPacket::Video { .. }) {
            seen.push(large.picture());
            // It may join a little later.
            others.extend(small.pictures.try_iter());
        }
    }
    let width = |picture: &LivePicture| match picture {
        LivePicture::Planes(planes) => planes.width(),
        LivePicture::Raster(_) | LivePicture::Unscaled(_) => panic!("not in planes"),
    };
    assert!(others.len() > 30, "{}", others.len());
    for other in &others {
        let one = seen
            .iter()
            .find(|one| one.pts_us == other.pts_us)
            .expect("the same picture");
        assert_eq!((width(&one.picture), width(&other.picture)), (320, 160));
    }
    drop(large);
    publisher.send(packets[0].clone());
    until("one has gone", || {
        (world.inputs.list().len() == 1).then_some(())
    });
}

#[test]
fn a_world_that_takes_nothing_costs_pictures_and_no_more() {
    let world = World::new();
    let packets = a_second(&world);
    let near = world.open("guest", spec("guest"));
    world.wait_for("guest", |_| true);
    let publisher = world.hub.publish("guest", "a guest").expect("nobody else");
    packets
        .iter()
        .for_each(|packet| publisher.send(packet.clone()));
    world.wait_for("guest", |view| view.dropped_pictures == 14);
    assert_eq!(near.pictures.len(), 16);
}

#[test]
fn another_timeout_reaches_a_decoder_that_runs() {
    let world = World::new();
    let packets = a_second(&world);
    let near = world.open("guest", spec("guest"));
    near.state.set_timeout(3600.0);
    world.wait_for("guest", |_| true);
    let publisher = world.hub.publish("guest", "a guest").expect("nobody else");
    publish(&publisher, &packets, &near);
    assert_eq!(near.state.stage(), InputStage::Live);
    near.state.set_timeout(0.2);
    let view = world.wait_for("guest", |view| view.stage.as_str() == "reconnecting");
    assert_eq!((view.bitrate_kbps, view.reconnects), (None, 0));
    publish(&publisher, &packets, &near);
    assert_eq!(world.inputs.get("guest").expect("a view").reconnects, 1);
}

#[test]
fn damaged_packets_are_counted_and_passed_over() {
    let world = World::new();
    let packets = a_second(&world);
    let near = world.open("guest", spec("guest"));
    world.wait_for("guest", |_| true);
    let publisher = world.hub.publish("guest", "a guest").expect("nobody else");
    let mut state = 1u32;
    for packet in packets.iter().chain(&packets).chain(&packets) {
        let mut packet = packet.clone();
        if let IngestPacket::Video { data, .. } | IngestPacket::Audio { data, .. } = &mut packet {
            let mut bytes = data.to_vec();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 30 == 0 {
                bytes.truncate(bytes.len() / 3);
            } else if state >> 30 == 1 {
                let len = bytes.len();
                bytes[(state as usize >> 8) % len] ^= 0xff;
            }
            *data = bytes.into();
        }
        publisher.send(packet);
        near.pictures.try_iter().for_each(drop);
        near.sound.try_iter().for_each(drop);
    }
    // Whole again.
    drop(publisher);
    until("it is noticed", || {
        near.pictures.try_iter().for_each(drop);
        near.sound.try_iter().for_each(drop);
        (near.state.stage() == InputStage::Reconnecting).then_some(())
    });
    near.pictures.try_iter().for_each(drop);
    let publisher = world.hub.publish("guest", "a guest").expect("nobody else");
    let (pictures, _) = publish(&publisher, &packets, &near);
    assert_eq!(pictures.len(), 30);
    let view = world.inputs.get("guest").expect("a view");
    assert!(view.broken_packets > 0);
    assert_eq!(view.decoder_restarts, 0);
}
