//! What the world and the threads that decode say to each other.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use components::layer::LayerId;
use components::source::{AudioSource, IngestSource, RtspSource, VideoSource};
use crossbeam_channel::{Receiver, Sender};
use raster::{Planes, Raster};

/// Frames of sound in one block: 10 ms.
pub const BLOCK_FRAMES: usize = 480;
/// Pictures that may wait for their tick. A file's decoder waits when they do; a live one drops the oldest.
pub const PICTURES_QUEUED: usize = 16;
/// Blocks of sound that may wait: 6 s, more than the longest `buffer`.
pub const SOUND_QUEUED: usize = 600;

/// What is to be opened.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSpec {
    /// A film.
    Video(VideoSource),
    /// A camera.
    Rtsp(RtspSource),
    /// A publisher.
    Ingest(IngestSource),
    /// Sound from a file.
    Audio(AudioSource),
}

/// A request for an input.
#[derive(Debug)]
pub struct OpenInput {
    /// The layer, for messages; inputs of several layers may be the same.
    pub layer: LayerId,
    /// What.
    pub spec: InputSpec,
    /// Where it goes.
    pub ends: InputEnds,
}

/// The far ends of an input's ways. A send that finds nobody means that the layer is gone.
#[derive(Debug)]
pub struct InputEnds {
    /// Pictures in the order of their time; at most [`PICTURES_QUEUED`] wait.
    pub pictures: Sender<TimedPicture>,
    /// Sound in the order of its time; at most [`SOUND_QUEUED`] blocks wait. Boxed, so that a way costs little before anything comes.
    pub sound: Sender<Box<SoundBlock>>,
    /// What the world asks for.
    pub orders: Receiver<InputOrder>,
    /// Nothing ever comes by it: it is disconnected when the layer goes, for whoever watches over a decoder that is blocked.
    pub gone: Receiver<Infallible>,
    /// What each side lets the other see.
    pub state: Arc<InputState>,
}

/// The world's end of the requests, for whoever decodes.
#[derive(Clone, Debug)]
pub struct InputDoor {
    /// What is asked for, at most 256 at a time.
    pub requests: Receiver<OpenInput>,
}

/// A decoded picture.
#[derive(Clone)]
pub enum LivePicture {
    /// Opaque, in the planes it came in: 8-bit 4:2:0, BT.709, limited range.
    Planes(Arc<dyn Planes>),
    /// With alpha: premultiplied.
    Raster(Arc<Raster>),
    /// Not scaled yet: of whoever decodes for offline work, where each tick scales for itself, so that its size does not depend on how
    /// far the decoder was ahead. None is ever seen as it is.
    Unscaled(Arc<dyn UnscaledPicture>),
}

/// A decoded picture that is made ready on the tick that shows it.
pub trait UnscaledPicture: Send + Sync {
    /// The picture in a size, in its own where that is 0 by 0; `None` when it cannot be made.
    fn scaled(&self, size: WantedSize) -> Option<LivePicture>;
    /// Bytes that it holds.
    fn byte_len(&self) -> usize;
}

/// A picture and its time.
#[derive(Clone)]
pub struct TimedPicture {
    /// Which run of the input it belongs to: the number of the last [`InputOrder::Seek`], 0 before. Those of earlier ones are dropped.
    pub run: u32,
    /// Microseconds on the input's own clock, that of its sound too. Of a file: since its start, in and out points and loops
    /// taken out, so that it only grows.
    pub pts_us: i64,
    /// The picture.
    pub picture: LivePicture,
    /// Its own size before it was scaled, with pixels made square.
    pub natural: (u32, u32),
}

/// Up to 10 ms of sound at 48 kHz.
#[derive(Clone, Debug)]
pub struct SoundBlock {
    /// As of a picture.
    pub run: u32,
    /// Microseconds on the input's clock of the first frame.
    pub pts_us: i64,
    /// How many of `frames` count.
    pub len: u16,
    /// Left and right, -1 to 1.
    pub frames: [[f32; 2]; BLOCK_FRAMES],
}

/// What the world asks of a thread that decodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputOrder {
    /// Goes on at another place of the file. What comes from then on has the number `run`; its time goes on from `at_us`.
    Seek {
        /// Seconds of the file, within its in and out points.
        to_seconds: f64,
        /// Number of the run that begins.
        run: u32,
        /// Microseconds that the first picture there has.
        at_us: i64,
    },
}

/// How an input stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum InputStage {
    /// It is being opened, for the first time.
    #[default]
    Opening,
    /// It gives pictures or sound.
    Live,
    /// It is lost, and being opened again.
    Reconnecting,
    /// Its file has come to an end.
    Ended,
    /// It cannot be opened, and is tried again.
    Failed,
}

/// The size at which a layer shows its input, in pixels of the frame; 0 by 0 while it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedSize {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// What world and decoder let each other, and all others, see of an input.
#[derive(Debug, Default)]
pub struct InputState {
    wanted: AtomicU64,
    stage: AtomicU8,
    /// Milliseconds for which it may be silent; told by the world whenever the source says otherwise.
    timeout_ms: AtomicU32,
    /// Whether pictures are scaled on the tick that shows them; told by the world before it asks.
    scales_late: AtomicBool,
    /// Pictures that came too late, or found no room.
    pub pictures_dropped: AtomicU64,
    /// Pictures that a tick took.
    pub pictures_shown: AtomicU64,
    /// Ticks for which there was no sound where there was some before.
    pub sound_gaps: AtomicU64,
    /// How far the input's clock is ahead of the ticks', in parts per million.
    pub drift_ppm: AtomicI64,
    /// Microseconds of pictures and sound that are held.
    pub held_us: AtomicI64,
    /// Seconds of the file that are shown, in microseconds; told by the world, 0 of what is live.
    pub position_us: AtomicI64,
    /// Microseconds of the file's own length; told by whoever decodes, 0 while it is not known.
    pub duration_us: AtomicI64,
    /// Whether it plays as it comes: an address without a length. Told by whoever decodes, before the first picture or sound.
    live: AtomicBool,
    /// Whether it has no sound at all. Told by whoever decodes, before the first picture.
    without_sound: AtomicBool,
    /// What whoever decodes a file can give nothing more without room for, as a [`Stream`] and 1; 0 while it works.
    blocked: AtomicU8,
    /// Microseconds by which its sound is heard later than its picture is seen, apart from what was asked for.
    pub av_offset_us: AtomicI64,
}

/// What comes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its pictures.
    Picture,
    /// Its sound.
    Sound,
}

impl InputState {
    /// The size that pictures are to be scaled to.
    pub fn wanted(&self) -> WantedSize {
        let wanted = self.wanted.load(Ordering::Relaxed);
        WantedSize {
            width: (wanted >> 32) as u32,
            height: wanted as u32,
        }
    }

    /// Says which size pictures are to be scaled to.
    pub fn set_wanted(&self, size: WantedSize) {
        let wanted = u64::from(size.width) << 32 | u64::from(size.height);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// How it stands.
    pub fn stage(&self) -> InputStage {
        match self.stage.load(Ordering::Acquire) {
            1 => InputStage::Live,
            2 => InputStage::Reconnecting,
            3 => InputStage::Ended,
            4 => InputStage::Failed,
            _ => InputStage::Opening,
        }
    }

    /// Whether it plays as it comes. What is no file always does.
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Says that an address has no length, so that it plays as it comes; before the first picture or sound.
    pub fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Relaxed);
    }

    /// Whether it is known to have no sound, so that nobody waits for any.
    pub fn is_without_sound(&self) -> bool {
        self.without_sound.load(Ordering::Relaxed)
    }

    /// Says whether it has no sound at all; before the first picture.
    pub fn set_without_sound(&self, without_sound: bool) {
        self.without_sound.store(without_sound, Ordering::Relaxed);
    }

    /// Microseconds of the file's own length; 0 while it is not known.
    pub fn duration_us(&self) -> i64 {
        self.duration_us.load(Ordering::Relaxed)
    }

    /// Says how it stands. Who sees it sees all that was given before.
    pub fn set_stage(&self, stage: InputStage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// How long it may be silent before it counts as lost; `None` where its source does not say.
    pub fn timeout(&self) -> Option<Duration> {
        let timeout_ms = self.timeout_ms.load(Ordering::Relaxed);
        (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()))
    }

    /// Says how long it may be silent, in seconds.
    pub fn set_timeout(&self, seconds: f32) {
        let timeout_ms = (seconds * 1000.0).max(1.0) as u32;
        self.timeout_ms.store(timeout_ms, Ordering::Relaxed);
    }

    /// Whether pictures are to be given as [`LivePicture::Unscaled`].
    pub fn scales_late(&self) -> bool {
        self.scales_late.load(Ordering::Relaxed)
    }

    /// What alone is ready to be given, and finds no room: of the other nothing comes before there is some. Told by whoever decodes a
    /// file, while it waits.
    pub fn blocked(&self) -> Option<Stream> {
        match self.blocked.load(Ordering::Acquire) {
            1 => Some(Stream::Picture),
            2 => Some(Stream::Sound),
            _ => None,
        }
    }

    /// Says what alone is ready to be given, and finds no room.
    pub fn set_blocked(&self, stream: Option<Stream>) {
        let blocked = match stream {
            Some(Stream::Picture) => 1,
            Some(Stream::Sound) => 2,
            None => 0,
        };
        self.blocked.store(blocked, Ordering::Release);
    }

    /// Says that each tick scales its own picture, before the input is asked for.
    pub fn set_scales_late(&self) {
        self.scales_late.store(true, Ordering::Relaxed);
    }
}
