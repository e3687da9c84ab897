//! Failures of the encoder, brought about from inside.

use std::sync::atomic::{AtomicUsize, Ordering};

use codec::{FrameRate, StreamKind, VideoEncoder};
use crossbeam_channel::{Sender, bounded, tick};

use super::*;
use crate::streaming::event::Listener;
use crate::streaming::media::{AudioChunk, TickSender, media_channel};
use crate::streaming::outputs::{PacketQueue, Popped};
use crate::streaming::rendition::Shared;
use crate::streaming::{Ladder, RenditionSettings, Streaming};

/// What an encoder of the tests does on a frame, instead of encoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Waits until the test lets it go on.
    Hang,
    Fail,
    Panic,
}

/// An encoder with a fault on one frame.
struct Faulty {
    inner: VideoEncoder,
    /// The frame, counted from its opening.
    at: Option<(u64, Fault)>,
    frames: u64,
    release: Receiver<()>,
    bitrate_is_fixed: bool,
}

impl PictureEncoder for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }
    fn stream(&self) -> &StreamDescription {
        self.inner.stream()
    }
    fn settings(&self) -> &VideoSettings {
        self.inner.settings()
    }
    fn encode(
        &mut self,
        frame: &Arc<I420Frame>,
        pts: i64,
        sink: &mut dyn FnMut(Packet),
    ) -> Result<(), CodecError> {
        self.frames += 1;
        if let Some((at, fault)) = self.at
            && at == self.frames - 1
        {
            match fault {
                Fault::Hang => drop(self.release.recv()),
                Fault::Fail => return Err(CodecError::EncoderMissing { name: "faulty" }),
                Fault::Panic => panic!("on purpose"),
            }
        }
        self.inner.encode(frame, pts, sink)
    }
    fn flush(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        self.inner.flush(sink)
    }
    fn set_bitrate_kbps(&mut self, bitrate_kbps: u32) -> Result<(), CodecError> {
        assert!(!self.bitrate_is_fixed, "it cannot");
        self.inner.set_bitrate_kbps(bitrate_kbps)
    }
    fn request_keyframe(&mut self) {
        self.inner.request_keyframe();
    }
    fn changes_bitrate_live(&self) -> bool {
        !self.bitrate_is_fixed
    }
    fn fallback(&self) -> Option<Fallback> {
        self.bitrate_is_fixed.then(|| Fallback {
            wanted: "better".to_owned(),
            used: "faulty".to_owned(),
            reason: "there is none".to_owned(),
        })
    }
}

/// Encoders of which the nth that is opened for pictures of `width` has the nth of `faults`. Dropping the sender lets those that hang go on.
fn faulty(width: u32, faults: &[Option<(u64, Fault)>]) -> (OpenPicture, Sender<()>) {
    let (keep, release) = bounded(0);
    let faults = faults.to_vec();
    let opened = AtomicUsize::new(0);
    let open: OpenPicture = Arc::new(move |settings, _| {
        let is_meant = settings.width == width;
        let index = if is_meant {
            opened.fetch_add(1, Ordering::SeqCst)
        } else {
            usize::MAX
        };
        Ok(Box::new(Faulty {
            inner: VideoEncoder::open(settings)?,
            at: faults.get(index).copied().flatten(),
            frames: 0,
            release: release.clone(),
            bitrate_is_fixed: false,
        }))
    });
    (open, keep)
}

fn settings(width: u32) -> EncoderSettings {
    let video = VideoSettings {
        width,
        height: 64,
        frame_rate: FrameRate::whole(30),
        ..VideoSettings::default()
    };
    EncoderSettings {
        video,
        ..EncoderSettings::default()
    }
}

fn media(tick: u64) -> TickMedia {
    TickMedia {
        tick,
        frame: Arc::new(I420Frame::new(64, 64).expect("a small frame")),
        audio: AudioChunk::Silence { samples: 1600 },
    }
}

fn packets(queue: &PacketQueue) -> Vec<Packet> {
    std::iter::from_fn(|| match queue.pop(Duration::ZERO) {
        Popped::Packet(packet) => Some(packet),
        Popped::Nothing | Popped::Ended => None,
    })
    .collect()
}

fn pts(packets: &[Packet], kind: StreamKind) -> Vec<i64> {
    let of_kind = packets.iter().filter(|packet| packet.kind() == kind);
    of_kind.map(Packet::pts).collect()
}

fn keys(packets: &[Packet]) -> Vec<i64> {
    let keys = packets.iter().filter(|packet| packet.is_video_key());
    keys.map(Packet::pts).collect()
}

/// A thread without a thread.
struct Bench {
    thread: EncoderThread,
    queue: Arc<PacketQueue>,
    sender: TickSender,
}

impl Bench {
    fn new(faults: &[Option<(u64, Fault)>], renditions: usize) -> Self {
        Self::with(faulty(64, faults).0, renditions, Listener::default())
    }

    fn with(open: OpenPicture, renditions: usize, listener: Listener) -> Self {
        let settings = settings(64);
        let (sender, receiver) = media_channel(2);
        let clock = KeyframeClock::new(&settings.video, renditions);
        let control =
            EncoderControl::new(&settings.video, receiver.frames_refused(), Arc::new(clock));
        let control = Arc::new(control);
        let mut post = Post::new("main".to_owned(), settings, control, receiver, listener);
        post.open = open;
        let queue = Arc::new(PacketQueue::new(4096));
        post.fan_out.add(Arc::clone(&queue));
        let thread = EncoderThread::open(Arc::new(post), Arc::default()).expect("encoders");
        Self {
            thread,
            queue,
            sender,
        }
    }

    fn take(&mut self, ticks: std::ops::Range<u64>) {
        for tick in ticks {
            self.thread.post.control.clock().advance(tick);
            self.thread.take(media(tick));
        }
    }

    fn finish(&mut self) -> Vec<Packet> {
        self.thread.flush().expect("a flush");
        packets(&self.queue)
    }

    fn stats(&self) -> EncoderStats {
        self.thread.post.control.stats(0)
    }
}

#[test]
fn a_failed_video_encoder_is_replaced_on_the_next_tick() {
    for fault in [Fault::Fail, Fault::Panic] {
        let mut bench = Bench::new(&[Some((10, fault))], 1);
        bench.take(0..20);
        let packets = bench.finish();
        assert_eq!(bench.stats().restarts, 1);
        // What was inside was lost with the encoder; the next one starts anew at its own time.
        let times = pts(&packets, StreamKind::Video);
        assert_eq!(
            times.last_chunk::<9>(),
            Some(&[11, 12, 13, 14, 15, 16, 17, 18, 19])
        );
        assert!(!times.contains(&10));
        assert_eq!(keys(&packets), [0, 11]);
    }
}

#[test]
fn pictures_that_nobody_takes_are_not_made() {
    let mut bench = Bench::new(&[], 1);
    bench.thread.post.fan_out.remove(&bench.queue);
    bench.take(0..100);
    assert_eq!(bench.stats().frames, 0);
    bench.thread.post.fan_out.add(Arc::clone(&bench.queue));
    bench.take(100..130);
    let packets = bench.finish();
    assert_eq!(
        pts(&packets, StreamKind::Video),
        (100..130).collect::<Vec<_>>()
    );
    assert_eq!(keys(&packets), [100, 120]);
}

#[test]
fn in_a_ladder_an_encoder_begins_at_a_keyframe_of_all() {
    let mut bench = Bench::new(&[Some((10, Fault::Fail))], 3);
    bench.take(0..30);
    // It asked on tick 11, and the next tick to be handed in was 12.
    assert_eq!(keys(&bench.finish()), [0, 12]);
    assert_eq!(bench.stats().frames_dropped, 1);
}

#[test]
fn a_keyframe_whose_frame_was_dropped_is_made_of_the_next() {
    let mut bench = Bench::new(&[], 3);
    bench.take(0..58);
    for tick in 58..63 {
        bench.thread.post.control.clock().advance(tick);
    }
    bench.take(63..70);
    let packets = bench.finish();
    assert_eq!(keys(&packets), [0, 60]);
    let expected: Vec<i64> = (0..58).chain([60]).chain(64..70).collect();
    assert_eq!(pts(&packets, StreamKind::Video), expected);
}

#[test]
fn an_encoder_whose_bitrate_is_fixed_is_replaced_at_a_keyframe() {
    let open: OpenPicture = Arc::new(|settings, _| {
        Ok(Box::new(Faulty {
            inner: VideoEncoder::open(settings)?,
            at: None,
            frames: 0,
            release: bounded(0).1,
            bitrate_is_fixed: true,
        }))
    });
    let (told, events) = bounded(4);
    let listener = Listener::new(move |event| drop(told.try_send(event)));
    let mut bench = Bench::with(open, 2, listener);
    // That it is not the one that was asked for is said aloud.
    let event = events.try_recv();
    assert!(matches!(event, Ok(StreamingEvent::EncoderFallback { used, .. }) if used == "faulty"));
    bench.take(0..10);
    bench.thread.post.control.set_limit_kbps(Some(700));
    bench.take(10..30);
    assert_eq!(
        bench
            .thread
            .video
            .as_ref()
            .map(|video| video.settings().bitrate_kbps),
        Some(700)
    );
    let packets = bench.finish();
    // Asked for on tick 10, begun on tick 11, and nothing was lost.
    assert_eq!(keys(&packets), [0, 11]);
    assert_eq!(
        pts(&packets, StreamKind::Video),
        (0..30).collect::<Vec<_>>()
    );
    assert_eq!(bench.stats().restarts, 0);
}

#[test]
fn a_failed_audio_encoder_leaves_the_clock_as_it_is() {
    let mut bench = Bench::new(&[], 1);
    bench.take(0..10);
    // One that was flushed refuses all further samples, as a broken one would.
    let flushed = lock(&bench.thread.line).flush_sound();
    flushed.expect("a flush");
    bench.take(10..60);
    let packets = bench.finish();
    assert_eq!(bench.stats().restarts, 1);
    let times = pts(&packets, StreamKind::Audio);
    // The last packet is where all samples up to the end put it, however many encoders there were.
    let end = times.last().copied().expect("sound") + 1024;
    assert!((60 * 1600 - 1024..60 * 1600 + 1024).contains(&end), "{end}");
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn dropped_frames_keep_their_sound() {
    let mut bench = Bench::new(&[], 1);
    // Two fit, four do not, and then there is room again.
    for tick in 0..6 {
        let _ = bench.sender.try_send(media(tick));
    }
    let receiver = bench.thread.post.receiver.media.clone();
    for _ in 0..2 {
        bench.thread.take(receiver.try_recv().expect("a tick"));
    }
    bench.sender.try_send(media(6)).expect("room");
    bench.thread.take(receiver.try_recv().expect("a tick"));
    assert_eq!(lock(&bench.thread.line).samples_given(), 7 * 1600);
    assert_eq!(bench.stats().silence_samples, 0);
}

#[test]
fn a_thread_that_hangs_in_the_sound_leaves_a_line_that_goes_on() {
    let mut bench = Bench::new(&[], 1);
    bench.take(0..60);
    let (post, line) = (
        Arc::clone(&bench.thread.post),
        Arc::clone(&bench.thread.line),
    );
    let mut held = lock(&line);
    let generation = post.give_up();
    let next = EncoderThread::succeed(Arc::clone(&post), generation, Arc::default(), None);
    let mut old = std::mem::replace(&mut bench.thread, next);
    bench.take(60..120);
    // What the old one still says goes nowhere.
    let audio = AudioChunk::Silence { samples: 48_000 };
    let (_keep, sound) = bounded(1);
    let said = held.take_sound(
        60,
        &audio,
        &sound,
        &post.settings,
        &post.control,
        &Watch::default(),
    );
    said.expect("sound");
    held.outputs.flush();
    drop(held);
    assert!(!old.take(media(120)));
    let packets = bench.finish();
    for kind in [StreamKind::Audio, StreamKind::Video] {
        let times = pts(&packets, kind);
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    }
    let sound = pts(&packets, StreamKind::Audio);
    let end = sound.last().copied().expect("sound") + 1024;
    assert!(
        (120 * 1600 - 1024..120 * 1600 + 1024).contains(&end),
        "{end}"
    );
    // A few frames of sound were inside.
    assert!(
        sound.windows(2).all(|pair| pair[1] - pair[0] < 6 * 1024),
        "{sound:?}"
    );
}

/// Three renditions of which the second has faults, fed at the true rate until it has been restarted so often, and 20 ticks more;
/// gives the packets of each.
fn run_ladder(
    faults: &[Option<(u64, Fault)>],
    restarts: u64,
    listener: Listener,
) -> (Vec<Vec<Packet>>, Duration) {
    let widths = [64, 96, 128];
    let ladder = widths.map(|width| RenditionSettings::new(format!("w{width}"), settings(width)));
    let ladder = Ladder::new(ladder.to_vec());
    let mut shared = Shared::new(&ladder, listener).expect("a good ladder");
    let (open, keep) = faulty(96, faults);
    shared.open = open;
    let streaming = Streaming::start_shared(ladder, shared).expect("a ladder");
    let queues = streaming.tap();
    let sender = streaming.sender();
    let beat = tick(Duration::from_nanos(1_000_000_000 / 30));
    let mut left = 20;
    let (mut lost, mut longest) = (None, Duration::ZERO);
    let mut frames = 0;
    for tick in 0.. {
        assert!(tick < 900, "not restarted");
        beat.recv().expect("a beat");
        let _ = sender.try_send(media(tick));
        let stats = streaming.stats().renditions[1].encoder;
        if stats.frames == frames {
            let since = lost.get_or_insert_with(Instant::now);
            longest = longest.max(since.elapsed());
        } else {
            (lost, frames) = (None, stats.frames);
        }
        if tick == 40 {
            streaming.request_keyframe();
        }
        left -= i32::from(stats.restarts >= restarts && tick > 70);
        if left == 0 {
            break;
        }
    }
    // Those that hung say what they have to say, and are not heard.
    drop(keep);
    let ends = streaming.shutdown(Duration::from_secs(5));
    assert!(ends.iter().all(|end| end.result.is_ok()), "{ends:?}");
    (queues.iter().map(|queue| packets(queue)).collect(), longest)
}

#[test]
fn an_encoder_that_hangs_is_replaced_and_not_heard_any_more() {
    let (told, events) = bounded(64);
    let listener = Listener::new(move |event| drop(told.try_send(event)));
    let hang = Some((20, Fault::Hang));
    let (renditions, longest) = run_ladder(&[hang, hang], 2, listener);
    eprintln!("no frame for {longest:?} at most");
    let restarts = events.try_iter().filter(|event| {
        matches!(event, StreamingEvent::EncoderRestarted { rendition, .. } if rendition == "w96")
    });
    assert_eq!(restarts.count(), 2);
    // Every rendition has its keyframes on the same ticks, all the same.
    assert_eq!(keys(&renditions[0]), keys(&renditions[1]));
    assert_eq!(keys(&renditions[0]), keys(&renditions[2]));
    assert!(keys(&renditions[0]).len() >= 4);
    let times = pts(&renditions[1], StreamKind::Video);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    // The sound goes on without a gap.
    for packets in &renditions {
        let times = pts(packets, StreamKind::Audio);
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] == 1024),
            "{times:?}"
        );
    }
}

#[test]
fn encoders_that_fail_or_panic_keep_the_keyframes_of_a_ladder_together() {
    let faults = [Some((25, Fault::Fail)), Some((30, Fault::Panic))];
    let (renditions, longest) = run_ladder(&faults, 2, Listener::default());
    eprintln!("no frame for {longest:?} at most");
    assert_eq!(keys(&renditions[0]), keys(&renditions[1]));
    assert_eq!(keys(&renditions[0]), keys(&renditions[2]));
    let sound = pts(&renditions[1], StreamKind::Audio);
    assert!(
        sound.windows(2).all(|pair| pair[1] - pair[0] == 1024),
        "{sound:?}"
    );
}

#[test]
fn no_more_than_a_few_threads_are_given_up() {
    let hang = Some((3, Fault::Hang));
    let (open, keep) = faulty(64, &[hang; 16]);
    let ladder = Ladder::from(settings(64));
    let mut shared = Shared::new(&ladder, Listener::default()).expect("a good ladder");
    shared.open = open;
    let abandoned = Arc::clone(&shared.abandoned);
    let streaming = Streaming::start_shared(ladder, shared).expect("a ladder");
    let _taken = streaming.tap();
    let sender = streaming.sender();
    let beat = tick(Duration::from_nanos(1_000_000_000 / 30));
    let start = Instant::now();
    let mut full_at = None;
    for tick in 0.. {
        beat.recv().expect("a beat");
        let _ = sender.try_send(media(tick));
        let count = abandoned.load(Ordering::SeqCst);
        assert!(count <= crate::streaming::rendition::ABANDONED_MAX);
        if count == crate::streaming::rendition::ABANDONED_MAX {
            let since = *full_at.get_or_insert(tick);
            // Long enough for one more to be given up.
            if tick > since + 45 {
                break;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{count}");
    }
    assert_eq!(streaming.stats().encoder().restarts, 4);
    drop(keep);
    let ends = streaming.shutdown(Duration::from_secs(5));
    assert!(ends.iter().all(|end| end.result.is_ok()), "{ends:?}");
}
