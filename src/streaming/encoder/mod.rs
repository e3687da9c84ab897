//! The encoder thread of one rendition: from ticks to packets, on one clock.
//!
//! A thread may hang in the encoder, where nobody can end it. So it is one of a row of generations at the same post: the
//! supervisor starts the next one there, which takes over the way of the ticks, the outputs and the sound, and what the old one
//! still says is not heard any more. Frames of another size than the rendition's are scaled here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::{AudioEncoder, AudioSettings, CodecError, Packet, StreamDescription, VideoSettings};
use crossbeam_channel::{Receiver, select};
use raster::{I420Frame, Scaler};

use super::error::StreamingError;
use super::event::StreamingEvent;
use super::media::TickMedia;
use super::thread::panicked;
pub(super) use clock::KeyframeClock;
pub(super) use control::EncoderControl;
pub use control::EncoderStats;
use line::Line;
#[cfg(test)]
pub(super) use picture::Fallback;
pub(super) use picture::{OpenPicture, PictureEncoder, open_real};
pub(super) use post::Post;
pub(super) use watch::{Patience, Watch};

mod clock;
mod control;
mod interleave;
mod line;
mod picture;
mod post;
#[cfg(test)]
pub(super) mod tests;
mod watch;

/// After an encoder that would not open, the next try.
const REOPEN_AFTER: Duration = Duration::from_millis(250);
/// Frames of the rendition's size: one that was scaled last, one that is being made, and two that an encoder may hold on to.
const SCALED_FRAMES: usize = 4;

/// How a rendition is encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSettings {
    /// The picture. Frames of another size are scaled to its size.
    pub video: VideoSettings,
    /// The sound; `None` gives a stream without any.
    pub audio: Option<AudioSettings>,
    /// Frames that may wait for the encoder, 1 to 16. Each is one frame of the pool; see
    /// [`Ladder::frame_queue`](super::Ladder::frame_queue).
    pub frame_queue: usize,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            video: VideoSettings::default(),
            audio: Some(AudioSettings::default()),
            frame_queue: 3,
        }
    }
}

/// What one thread owns.
pub(super) struct EncoderThread {
    post: Arc<Post>,
    generation: u64,
    watch: Arc<Watch>,
    line: Arc<Mutex<Line>>,
    video: Option<Box<dyn PictureEncoder>>,
    /// Whether the encoder has not had a frame yet.
    is_fresh: bool,
    /// Whether a keyframe was asked for, at which an encoder begins.
    is_waiting: bool,
    /// When to try again to open an encoder that is missing.
    reopen_at: Instant,
    /// Why the encoder before is gone, until another has taken its place.
    lost: Option<String>,
    scaler: Option<Scaler>,
    /// Times at which the frame is encoded.
    due: Vec<u64>,
    packets: Vec<Packet>,
}

impl EncoderThread {
    /// The first thread of a post. Opens both encoders, so that bad settings are told before any tick.
    pub(super) fn open(post: Arc<Post>, watch: Arc<Watch>) -> Result<Self, StreamingError> {
        let mut thread = Self::succeed(post, 0, watch, None);
        thread.install((thread.post.open)(&thread.post.settings.video, None)?);
        let audio = &thread.post.settings.audio;
        let audio = audio.as_ref().map(AudioEncoder::open).transpose()?;
        lock(&thread.line).audio = audio;
        Ok(thread)
    }

    /// A later one, which opens its encoder on its first tick. `lost` says why the one before is gone.
    pub(super) fn succeed(
        post: Arc<Post>,
        generation: u64,
        watch: Arc<Watch>,
        lost: Option<String>,
    ) -> Self {
        let line = post.line();
        lock(&line).forget_inside();
        Self {
            line,
            post,
            generation,
            watch,
            video: None,
            is_fresh: true,
            is_waiting: false,
            reopen_at: Instant::now(),
            lost,
            scaler: None,
            due: Vec::with_capacity(16),
            packets: Vec::with_capacity(16),
        }
    }

    /// Picture and sound, in this order.
    pub(super) fn streams(&self) -> Vec<StreamDescription> {
        let video = self.video.iter().map(|video| video.stream());
        let line = lock(&self.line);
        let audio = line.audio.iter().map(AudioEncoder::stream);
        video.chain(audio).cloned().collect()
    }

    /// Encodes until every sender is gone or `stop` is, then hands out what is still inside and closes the outputs; or until
    /// another thread has taken this one's place.
    pub(super) fn run(mut self, stop: &Receiver<()>) -> Result<(), StreamingError> {
        let media = self.post.receiver.media.clone();
        loop {
            select! {
                recv(media) -> media => match media {
                    Ok(media) => if !self.take(media) {
                        return Ok(());
                    },
                    Err(_) => break,
                },
                recv(stop) -> _ => break,
            }
        }
        while let Ok(media) = media.try_recv() {
            if !self.take(media) {
                return Ok(());
            }
        }
        self.flush()
    }

    /// One tick. Whatever fails in it is replaced, and the thread goes on. `false` when another has taken its place.
    fn take(&mut self, media: TickMedia) -> bool {
        self.watch.begin();
        let is_heard = self.take_sound(&media) && self.take_picture(media);
        self.watch.end();
        is_heard
    }

    fn take_sound(&mut self, media: &TickMedia) -> bool {
        let post = Arc::clone(&self.post);
        let line = Arc::clone(&self.line);
        let watch = Arc::clone(&self.watch);
        let mut line = lock(&line);
        if post.generation() != self.generation {
            return false;
        }
        let heard = catch_unwind(AssertUnwindSafe(|| {
            let is_back = line.reopen_audio(&post.settings)?;
            let sound = &post.receiver.sound;
            line.take_sound(
                media.tick,
                &media.audio,
                sound,
                &post.settings,
                &post.control,
                &watch,
            )?;
            Ok(is_back)
        }));
        match heard.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            Ok(false) => {}
            Ok(true) => self.tell_restart(),
            Err(error) => {
                line.drop_audio();
                self.report("audio", &error);
            }
        }
        line.note(&post.control);
        true
    }

    fn take_picture(&mut self, media: TickMedia) -> bool {
        let begun = Instant::now();
        let tick = media.tick;
        if !self.post.fan_out.is_wanted() {
            return self.pass(tick);
        }
        // The composed frame is let go of as soon as it is scaled.
        let Some(frame) = self.fit(media.frame) else {
            self.post.control.figures().count_misfit();
            return true;
        };
        let after = lock(&self.line).last_tick;
        let mut last_tick = after;
        let seen = catch_unwind(AssertUnwindSafe(|| {
            self.reopen()?;
            self.encode(&frame, tick, &mut last_tick)
        }));
        let seen = seen.unwrap_or_else(|panic| Err(panicked(&*panic)));
        let line = Arc::clone(&self.line);
        let mut line = lock(&line);
        if self.post.generation() != self.generation {
            return false;
        }
        line.push(&mut self.packets, &self.post.control);
        line.last_tick = last_tick;
        if seen.is_err() {
            line.forget_inside();
        }
        line.note(&self.post.control);
        drop(line);
        match seen {
            Ok(()) if last_tick != after => {
                let figures = self.post.control.figures();
                figures.count_frame(begun.elapsed());
            }
            Ok(()) => self.post.control.figures().count_skipped(),
            Err(error) => {
                self.video = None;
                self.report("video", &error);
            }
        }
        true
    }

    /// A picture that no output takes is not made. The next one that is begins with a keyframe.
    fn pass(&mut self, tick: u64) -> bool {
        let mut line = lock(&self.line);
        if self.post.generation() != self.generation {
            return false;
        }
        line.last_tick = Some(tick);
        self.is_fresh = true;
        true
    }

    /// The frame in the rendition's size. `None` when none of its frames is free, which an encoder holds then.
    fn fit(&mut self, frame: Arc<I420Frame>) -> Option<Arc<I420Frame>> {
        let VideoSettings { width, height, .. } = self.post.settings.video;
        if (frame.width(), frame.height()) == (width, height) {
            return Some(frame);
        }
        if self.scaler.is_none() {
            // Sizes were validated.
            self.scaler = Scaler::new(width, height, SCALED_FRAMES).ok();
        }
        let scaled = self.scaler.as_mut()?.scale(&frame)?;
        self.post.control.figures().count_scaled();
        Some(scaled)
    }

    /// Gives `frame` to the encoder. It becomes a keyframe on the ticks that the clock says; where the frame of such a tick was
    /// dropped, this one takes its time. `last_tick` is the last time that was given.
    fn encode(
        &mut self,
        frame: &Arc<I420Frame>,
        tick: u64,
        last_tick: &mut Option<u64>,
    ) -> Result<(), StreamingError> {
        let control = Arc::clone(&self.post.control);
        let clock = control.clock();
        self.due.clear();
        self.due.extend(clock.marks(*last_tick, tick));
        let is_key = !self.due.is_empty();
        if is_key {
            self.is_waiting = false;
            self.follow()?;
        } else if self.wants_another() || (self.is_fresh && clock.is_shared()) {
            // The next keyframe of all renditions is where an encoder can begin.
            if !std::mem::replace(&mut self.is_waiting, true) {
                clock.request_now();
            }
        }
        let Some(video) = &mut self.video else {
            return Ok(());
        };
        if !is_key {
            if self.is_fresh && clock.is_shared() {
                return Ok(());
            }
            self.due.push(tick);
        }
        let bitrate_kbps = control.bitrate_kbps();
        if video.changes_bitrate_live() && video.settings().bitrate_kbps != bitrate_kbps {
            video.set_bitrate_kbps(bitrate_kbps)?;
        }
        for &pts in &self.due {
            if is_key || self.is_fresh {
                video.request_keyframe();
            }
            let packets = &mut self.packets;
            video.encode(frame, pts.cast_signed(), &mut |packet| packets.push(packet))?;
            *last_tick = Some(pts);
            self.is_fresh = false;
            self.watch.step();
        }
        Ok(())
    }

    /// What the encoder should be now.
    fn wanted(&self) -> VideoSettings {
        VideoSettings {
            bitrate_kbps: self.post.control.bitrate_kbps(),
            preset: self.post.control.preset(),
            ..self.post.settings.video.clone()
        }
    }

    /// Whether only another encoder can be as is wanted.
    fn wants_another(&self) -> bool {
        let control = &self.post.control;
        self.video.as_ref().is_some_and(|video| {
            let settings = video.settings();
            settings.preset != control.preset()
                || (!video.changes_bitrate_live()
                    && settings.bitrate_kbps != control.bitrate_kbps())
        })
    }

    /// Puts the wanted encoder in the place of the one there is, whose last packets go out first. It begins with a keyframe under
    /// the same headers. Should it not open, the one there is goes on.
    fn follow(&mut self) -> Result<(), StreamingError> {
        if !self.wants_another() {
            return Ok(());
        }
        let next = match self.open_wanted() {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, rendition = self.post.rendition, "the encoder cannot be changed");
                return Ok(());
            }
        };
        if let Some(mut video) = self.video.take() {
            let packets = &mut self.packets;
            video.flush(&mut |packet| packets.push(packet))?;
        }
        self.install(next);
        Ok(())
    }

    /// Opens an encoder where there is none, at once the first time.
    fn reopen(&mut self) -> Result<(), StreamingError> {
        if self.video.is_some() || Instant::now() < self.reopen_at {
            return Ok(());
        }
        self.reopen_at = Instant::now() + REOPEN_AFTER;
        match self.open_wanted() {
            Ok(video) => {
                self.install(video);
                self.tell_restart();
            }
            Err(error) => {
                let rendition = &self.post.rendition;
                tracing::error!(%error, rendition, "the encoder could not be opened again; it will be tried soon");
            }
        }
        Ok(())
    }

    fn open_wanted(&self) -> Result<Box<dyn PictureEncoder>, CodecError> {
        self.watch.opening(true);
        let opened = (self.post.open)(&self.wanted(), self.post.stream.get());
        self.watch.opening(false);
        opened
    }

    fn install(&mut self, video: Box<dyn PictureEncoder>) {
        let post = &self.post;
        post.control.set_encoder(video.name());
        if let Some(fallback) = video.fallback() {
            post.listener.tell(StreamingEvent::EncoderFallback {
                rendition: post.rendition.clone(),
                wanted: fallback.wanted,
                used: fallback.used,
                reason: fallback.reason,
            });
        }
        let first = post.stream.get_or_init(|| video.stream().clone());
        if first.headers() != video.stream().headers() {
            let rendition = &post.rendition;
            tracing::warn!(
                rendition,
                "the encoder writes other headers than the one before; outputs need to connect again"
            );
        }
        self.video = Some(video);
        self.is_fresh = true;
    }

    fn report(&mut self, which: &str, error: &StreamingError) {
        self.post.control.figures().count_restart();
        // The next tick opens a new one.
        self.reopen_at = Instant::now();
        let reason = error.chain();
        let rendition = &self.post.rendition;
        tracing::error!(
            rendition,
            which,
            error = reason,
            "the encoder failed; a new one takes its place"
        );
        self.lost = Some(reason);
    }

    /// Another encoder has taken the place of one that was lost.
    fn tell_restart(&mut self) {
        let Some(reason) = self.lost.take() else {
            return;
        };
        let rendition = &self.post.rendition;
        tracing::info!(rendition, "the encoder runs again");
        self.post.listener.tell(StreamingEvent::EncoderRestarted {
            rendition: rendition.clone(),
            reason,
        });
    }

    fn flush(&mut self) -> Result<(), StreamingError> {
        let packets = &mut self.packets;
        let video = self.video.as_mut().map_or(Ok(()), |video| {
            video.flush(&mut |packet| packets.push(packet))
        });
        let mut line = lock(&self.line);
        if self.post.generation() != self.generation {
            return Ok(());
        }
        // Sound first: what is of later time than the last pictures waits in the interleaver for them.
        let audio = line.flush_sound();
        line.push(&mut self.packets, &self.post.control);
        line.outputs.flush();
        video?;
        audio
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}
