//! Failures of the encoder, brought about from inside.

use std::sync::Arc;
use std::time::Duration;

use codec::{FrameRate, Packet, StreamKind, VideoSettings};
use crossbeam_channel::bounded;
use raster::I420Frame;

use super::*;
use crate::streaming::media::media_channel;
use crate::streaming::outputs::{PacketQueue, Popped};

struct Bench {
    thread: EncoderThread,
    queue: Arc<PacketQueue>,
    frame: Arc<I420Frame>,
}

impl Bench {
    fn new() -> Self {
        let video = VideoSettings {
            width: 64,
            height: 64,
            frame_rate: FrameRate::whole(30),
            ..VideoSettings::default()
        };
        let settings = EncoderSettings {
            video,
            ..EncoderSettings::default()
        };
        let control = Arc::new(EncoderControl::new(&settings.video, Arc::default()));
        let fan_out = Arc::new(FanOut::default());
        let queue = Arc::new(PacketQueue::new(4096));
        fan_out.add(Arc::clone(&queue));
        let thread = EncoderThread::open(settings, control, fan_out).expect("encoders");
        Self {
            thread,
            queue,
            frame: Arc::new(I420Frame::new(64, 64).expect("a small frame")),
        }
    }

    fn take(&mut self, tick: u64) {
        let (_keep, sound) = bounded(1);
        let audio = AudioChunk::Silence { samples: 1600 };
        self.thread.take(
            TickMedia {
                tick,
                frame: Arc::clone(&self.frame),
                audio,
            },
            &sound,
        );
    }

    fn packets(&self) -> Vec<Packet> {
        std::iter::from_fn(|| match self.queue.pop(Duration::ZERO) {
            Popped::Packet(packet) => Some(packet),
            Popped::Nothing | Popped::Ended => None,
        })
        .collect()
    }

    fn pts(&self, kind: StreamKind) -> Vec<i64> {
        self.packets()
            .iter()
            .filter(|packet| packet.kind() == kind)
            .map(Packet::pts)
            .collect()
    }
}

#[test]
fn a_failed_video_encoder_is_replaced_on_the_next_tick() {
    let mut bench = Bench::new();
    for tick in 0..10 {
        bench.take(tick);
    }
    // An encoder that was flushed refuses all further frames, as a broken one would.
    bench
        .thread
        .video
        .as_mut()
        .expect("an encoder")
        .flush(&mut |_| {})
        .expect("a flush");
    bench.packets();
    for tick in 10..20 {
        bench.take(tick);
    }
    bench.thread.flush().expect("a flush");
    assert_eq!(bench.thread.control.stats(0).restarts, 1);
    let packets = bench.packets();
    let video: Vec<&Packet> = packets
        .iter()
        .filter(|packet| packet.kind() == StreamKind::Video)
        .collect();
    // Tick 10 was lost with the encoder; the next one starts anew at its own time.
    assert_eq!(
        video.iter().map(|packet| packet.pts()).collect::<Vec<_>>(),
        (11..20).collect::<Vec<_>>()
    );
    assert!(video[0].is_video_key());
}

#[test]
fn a_failed_audio_encoder_leaves_the_clock_as_it_is() {
    let mut bench = Bench::new();
    for tick in 0..10 {
        bench.take(tick);
    }
    bench
        .thread
        .audio
        .as_mut()
        .expect("an encoder")
        .flush(&mut |_| {})
        .expect("a flush");
    for tick in 10..60 {
        bench.take(tick);
    }
    bench.thread.flush().expect("a flush");
    assert_eq!(bench.thread.control.stats(0).restarts, 1);
    let pts = bench.pts(StreamKind::Audio);
    // The last packet is where all samples up to the end put it, however many encoders there were.
    let end = pts.last().copied().expect("sound") + 1024;
    assert!((60 * 1600 - 1024..60 * 1600 + 1024).contains(&end), "{end}");
    assert!(pts.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_panic_in_a_tick_is_survived() {
    let mut bench = Bench::new();
    bench.take(0);
    bench.thread.settings.video.frame_rate = FrameRate {
        numerator: 30,
        denominator: 0,
    };
    bench.take(1);
    bench.thread.settings.video.frame_rate = FrameRate::whole(30);
    for tick in 2..10 {
        bench.take(tick);
    }
    bench.thread.flush().expect("a flush");
    assert!(bench.thread.control.stats(0).restarts >= 1);
    assert_eq!(bench.pts(StreamKind::Video).last(), Some(&9));
}

#[test]
fn dropped_frames_keep_their_sound() {
    let (sender, receiver) = media_channel(2);
    let mut bench = Bench::new();
    let media = |tick| TickMedia {
        tick,
        frame: Arc::new(I420Frame::new(64, 64).expect("a small frame")),
        audio: AudioChunk::Silence { samples: 1600 },
    };
    // Two fit, four do not, and then there is room again.
    for tick in 0..6 {
        let _ = sender.try_send(media(tick));
    }
    for _ in 0..2 {
        bench
            .thread
            .take(receiver.media.try_recv().expect("a tick"), &receiver.sound);
    }
    sender.try_send(media(6)).expect("room");
    bench
        .thread
        .take(receiver.media.try_recv().expect("a tick"), &receiver.sound);
    assert_eq!(bench.thread.samples_given, 7 * 1600);
    assert_eq!(bench.thread.control.stats(0).silence_samples, 0);
}
