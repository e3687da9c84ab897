//! The world's end of an input: what has come and waits for its tick, and where it stands.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use components::source::{AudioSource, IngestSource, Reception, RtspSource, VideoSource};
use crossbeam_channel::{Receiver, Sender};

use super::clock::{FileClock, LiveClock};
use super::door::{
    InputOrder, InputSpec, InputStage, InputState, LivePicture, SoundBlock, TimedPicture,
    WantedSize,
};
use super::reader::SoundReader;
use crate::clock::FrameClock;

/// Pictures that wait for their tick behind those in the way: enough for the longest buffer at 30 pictures a second.
pub(super) const PICTURES_MAX: usize = 192;
/// Bytes that they may take; more wait in the way, where the decoder finds no room for new ones.
pub(super) const PICTURES_MAX_BYTES: usize = 384 << 20;

/// What a playback is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlaybackAction {
    /// Goes on at this second of the file.
    Seek(f64),
    /// Goes on where the file starts.
    Restart,
}

/// An input as the world has it. On each layer of the kinds video, rtsp, ingest and audio; written in `Ingest`.
#[derive(Component, Default)]
#[component(on_add = note_tick)]
pub struct LiveInput {
    pub(super) ways: Option<Ways>,
    /// What was opened, but for what can change without opening it again.
    pub(super) opened: Option<InputSpec>,
    /// The tick on which it came on air.
    pub(super) since_tick: u64,
    pub(super) time: InputTime,
    /// Where the file stood when its time was `at_us`.
    pub(super) place: FilePlace,
    /// The number of the last order to go elsewhere, and whether nothing has come since.
    pub(super) run: u32,
    pub(super) awaits_run: bool,
    /// The second of the file that it is to begin with, where that is not its first.
    pub(super) begins_at: Option<f64>,
    /// An order for which there was no room yet.
    pub(super) pending: Option<f64>,
    pub(super) pictures: VecDeque<TimedPicture>,
    pub(super) pictures_bytes: usize,
    pub(super) newest_picture_us: Option<f64>,
    /// The tick on which a picture came last.
    pub(super) picture_tick: Option<u64>,
    /// The tick since which something stands for it.
    pub(super) fallback_tick: Option<u64>,
    pub(super) sound: SoundReader,
    /// The microsecond of the sound that is heard on this tick.
    pub(super) heard_us: Option<f64>,
    /// Whether it is known to play as it comes.
    pub(super) is_live: bool,
    pub(super) paused: bool,
    /// Whether its file had come to its end, with all of it taken, when it was last looked at.
    pub(super) is_over: bool,
    /// Offline, nothing more is waited for until something comes: nobody answers.
    pub(super) given_up: bool,
    /// The tick since which nobody has been at the far ends.
    pub(super) abandoned_tick: Option<u64>,
    pub(super) offset: Offset,
    /// Whether a whole tick of it has been heard.
    pub(super) has_sounded: bool,
    /// A size that is wanted, and since which tick, before the decoder is told.
    pub(crate) wanting: (WantedSize, u64),
}

/// The near ends of an input's ways.
pub(super) struct Ways {
    pub pictures: Receiver<TimedPicture>,
    pub sound: Receiver<Box<SoundBlock>>,
    pub orders: Sender<InputOrder>,
    pub state: Arc<InputState>,
    /// Tells by going that the layer has gone.
    pub _gone: Sender<Infallible>,
}

impl Ways {
    /// Whether nobody is left at the far ends, such as for want of a thread.
    pub fn are_abandoned(&self) -> bool {
        Arc::strong_count(&self.state) == 1
    }
}

/// The time of an input; both are kept, since an address tells whether it is live only when it has been opened.
#[derive(Default)]
pub(super) struct InputTime {
    pub file: Option<FileClock>,
    pub live: LiveClock,
}

/// A place in a file: seconds of it at a microsecond of the input's time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct FilePlace {
    pub seconds: f64,
    pub at_us: f64,
}

/// How much later the sound is heard than the picture is seen, evened out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offset {
    mean_us: f64,
    count: u32,
}

impl Offset {
    pub fn note(&mut self, offset_us: f64) -> f64 {
        self.count = (self.count + 1).min(60);
        self.mean_us += (offset_us - self.mean_us) / f64::from(self.count);
        self.mean_us
    }
}

fn note_tick(mut world: DeferredWorld, context: HookContext) {
    let tick = world
        .get_resource::<FrameClock>()
        .map_or(0, |clock| clock.tick);
    if let Some(mut input) = world.get_mut::<LiveInput>(context.entity) {
        input.since_tick = tick;
    }
}

impl LiveInput {
    /// What world and decoder let each other see of it; `None` before it is asked for.
    pub fn state(&self) -> Option<&Arc<InputState>> {
        self.ways.as_ref().map(|ways| &ways.state)
    }

    pub(super) fn stage(&self) -> InputStage {
        self.state()
            .map_or(InputStage::Opening, |state| state.stage())
    }

    /// Its microsecond at the start of this tick; `None` while a live one has not begun.
    pub(super) fn now_us(&self, clock: &FrameClock) -> Option<f64> {
        if self.is_live {
            return self.time.live.now_us();
        }
        Some(self.time.file.as_ref()?.at(clock, clock.tick))
    }

    /// Its microsecond at the end of this tick.
    pub(super) fn next_us(&self, clock: &FrameClock) -> Option<f64> {
        if !self.is_live {
            return Some(self.time.file.as_ref()?.at(clock, clock.tick + 1));
        }
        let rate = clock.rate;
        let nanos = rate.nanos_at(clock.tick + 1) - rate.nanos_at(clock.tick);
        Some(self.time.live.now_us()? + nanos as f64 / 1000.0 * self.time.live.rate())
    }

    /// Lets go of what has come, so that only what comes from now on counts.
    pub(super) fn forget(&mut self) {
        self.pictures.clear();
        self.pictures_bytes = 0;
        self.newest_picture_us = None;
        self.sound.clear();
    }

    pub(super) fn put_picture(&mut self, picture: TimedPicture) {
        self.pictures_bytes += bytes_of(&picture.picture);
        self.pictures.push_back(picture);
    }

    pub(super) fn take_picture(&mut self) -> Option<TimedPicture> {
        let picture = self.pictures.pop_front()?;
        self.pictures_bytes -= bytes_of(&picture.picture);
        Some(picture)
    }

    /// Whether more pictures may wait here.
    pub(super) fn has_room(&self) -> bool {
        self.pictures.len() < PICTURES_MAX && self.pictures_bytes < PICTURES_MAX_BYTES
    }

    /// Seconds of the file at a microsecond of its time. Loops are taken out as far as its length is known.
    pub(super) fn file_seconds(&self, now_us: f64, source: &FileSpan) -> f64 {
        let seconds = self.place.seconds + (now_us - self.place.at_us) / 1e6;
        let known = self.state().map_or(0, |state| state.duration_us());
        let own_end = (known > 0).then_some(known as f64 / 1e6);
        let end = source.end.map(f64::from).or(own_end);
        let start = f64::from(source.start);
        match end {
            Some(end) if source.loops && end > start => {
                start + (seconds - start).rem_euclid(end - start)
            }
            Some(end) => seconds.min(end),
            None => seconds,
        }
    }

    /// Goes on at another second of the file.
    pub(super) fn go_to(&mut self, seconds: f64, clock: &FrameClock) {
        let Some(at_us) = self.now_us(clock).filter(|_| !self.is_live) else {
            return;
        };
        let Some(ways) = &self.ways else { return };
        let order = InputOrder::Seek {
            to_seconds: seconds,
            run: self.run + 1,
            at_us: at_us.round() as i64,
        };
        if ways.orders.try_send(order).is_err() {
            self.pending = Some(seconds);
            return;
        }
        self.pending = None;
        self.run += 1;
        (self.awaits_run, self.is_over) = (true, false);
        self.place = FilePlace { seconds, at_us };
        self.forget();
    }

    /// Counts from this tick on, at which the rate of the ticks changes.
    pub(crate) fn count_from(&mut self, clock: &FrameClock, new: &FrameClock) {
        if let Some(file) = &mut self.time.file {
            file.rebase(clock, file.rate());
        }
        self.time.live.count_from(new);
    }

    /// Counts a picture that nobody sees.
    pub(super) fn note_dropped(&self, count: u64) {
        if let Some(state) = self.state() {
            state.pictures_dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Which part of a file is played.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct FileSpan {
    pub start: f32,
    pub end: Option<f32>,
    pub loops: bool,
}

/// The source of a layer that has an input, whichever it has.
#[derive(Clone, Copy)]
pub(super) enum AnySource<'a> {
    Video(&'a VideoSource),
    Rtsp(&'a RtspSource),
    Ingest(&'a IngestSource),
    Audio(&'a AudioSource),
}

impl<'a> AnySource<'a> {
    /// The picture that stands for it.
    pub fn fallback(self) -> Option<&'a str> {
        match self {
            Self::Video(source) => source.reception.fallback.as_deref(),
            Self::Rtsp(source) => source.reception.fallback.as_deref(),
            Self::Ingest(source) => source.reception.fallback.as_deref(),
            Self::Audio(_) => None,
        }
    }

    /// What is asked for.
    pub fn whole(self) -> InputSpec {
        match self {
            Self::Video(source) => InputSpec::Video(source.clone()),
            Self::Rtsp(source) => InputSpec::Rtsp(source.clone()),
            Self::Ingest(source) => InputSpec::Ingest(source.clone()),
            Self::Audio(source) => InputSpec::Audio(source.clone()),
        }
    }

    /// By what it is told whether another input is needed: the source without what can change while it is open.
    pub fn spec(self) -> InputSpec {
        match self {
            Self::Video(source) => InputSpec::Video(VideoSource {
                paused: false,
                speed: 1.0,
                reception: Reception::default(),
                ..source.clone()
            }),
            Self::Rtsp(source) => InputSpec::Rtsp(RtspSource {
                reception: Reception::default(),
                ..source.clone()
            }),
            Self::Ingest(source) => InputSpec::Ingest(IngestSource {
                reception: Reception::default(),
                ..source.clone()
            }),
            Self::Audio(source) => InputSpec::Audio(AudioSource {
                paused: false,
                fade_in: 0.0,
                fade_out: 0.0,
                ..source.clone()
            }),
        }
    }

    /// Whether it always plays as it comes.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Rtsp(_) | Self::Ingest(_))
    }

    /// Microseconds of a file a microsecond of the stream.
    pub fn rate(self) -> f64 {
        match self {
            Self::Video(source) if source.paused => 0.0,
            Self::Audio(source) if source.paused => 0.0,
            Self::Video(source) => f64::from(source.speed),
            _ => 1.0,
        }
    }

    pub fn span(self) -> FileSpan {
        match self {
            Self::Video(source) => FileSpan {
                start: source.start,
                end: source.end,
                loops: source.loops,
            },
            Self::Audio(source) => FileSpan {
                start: source.start,
                end: source.end,
                loops: source.loops,
            },
            Self::Rtsp(_) | Self::Ingest(_) => FileSpan::default(),
        }
    }

    pub fn has_picture(self) -> bool {
        !matches!(self, Self::Audio(_))
    }

    /// Seconds without a picture after which something else stands for it; `None` where there is never one.
    pub fn timeout(self) -> Option<f32> {
        match self {
            Self::Video(source) => Some(source.reception.timeout),
            Self::Rtsp(source) => Some(source.reception.timeout),
            Self::Ingest(source) => Some(source.reception.timeout),
            Self::Audio(_) => None,
        }
    }

    /// Seconds for which it is held.
    pub fn buffer(self) -> f32 {
        match self {
            Self::Video(source) => source.reception.buffer,
            Self::Rtsp(source) => source.reception.buffer,
            Self::Ingest(source) => source.reception.buffer,
            Self::Audio(_) => Reception::default().buffer,
        }
    }
}

fn bytes_of(picture: &LivePicture) -> usize {
    match picture {
        LivePicture::Planes(planes) => {
            planes.luma_stride() * planes.height() as usize
                + planes.chroma_stride() * planes.height() as usize
        }
        LivePicture::Raster(raster) => raster.byte_len(),
        LivePicture::Unscaled(picture) => picture.byte_len(),
    }
}
