//! One rendition: an encoder thread, and the list of outputs that its packets go to.
//!
//! Frames are shared by reference and come from one pool, which a ladder must not empty: add up, for a pool of `POOL_SIZE`,
//! - one frame that is being composed, one that was composed last, and one that is looked at as a picture,
//! - for each rendition those that wait ([`EncoderSettings::frame_queue`]) and one inside its encoder; while one is behind, others
//!   may be ahead, so that no two need hold the same frame,
//! - one for each encoder thread that hangs and was given up, [`ABANDONED_MAX`] at most.
//!
//! [`Ladder::frame_queue`] solves this for the queues. Of the 16 frames that a pool has by default, 8 may wait for one
//! rendition, 2 for each of three, and 1 for each of more; from five on, that is enough only while fewer encoders hang, and
//! eight want a pool of 19 (23, should four hang). A rendition that scales holds a composed frame no longer than it takes to
//! scale it; its own frames are four more of its own size.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::adaptive::Adaptive;
use super::broadcast::RenditionStats;
use super::encoder::{
    EncoderControl, EncoderSettings, EncoderStats, EncoderThread, KeyframeClock, OpenPicture,
    Patience, Post, Watch, open_real,
};
use super::error::StreamingError;
use super::event::Listener;
use super::fan_out::FanOut;
use super::leave::Conditions;
use super::media::{TickSender, media_channel};
use super::outputs::OutputContext;
use super::thread::{NamedThread, Priority, ThreadEnd, panicked, set_priority};

/// The most renditions of a ladder.
pub const RENDITIONS_MAX: usize = 8;
/// Encoder threads that hang and were given up, of all renditions. When there are as many, encoders that hang are left as they are
/// until one of these ends.
pub(super) const ABANDONED_MAX: usize = 4;
/// Frames of the pool that others than encoders hold.
const OTHER_FRAMES: usize = 3;

/// One rendition, as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RenditionSettings {
    /// Its name, unique in the ladder: 1 to 32 of the characters `a` to `z`, `0` to `9` and `-`.
    pub id: String,
    /// How it is encoded. Frame rate and keyframe interval are the same in all renditions.
    pub encoder: EncoderSettings,
    /// How its bitrate follows what the outputs take; `None` leaves it where the operator sets it.
    pub adaptive: Option<Adaptive>,
}

impl RenditionSettings {
    /// The name of the rendition that there always is.
    pub const MAIN: &str = "main";

    /// One whose bitrate stays where it is set.
    #[must_use]
    pub fn new(id: impl Into<String>, encoder: EncoderSettings) -> Self {
        Self {
            id: id.into(),
            encoder,
            adaptive: None,
        }
    }
}

/// The renditions of a program, the main one first.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder(Vec<RenditionSettings>);

impl Ladder {
    /// At least one rendition, the main one first.
    #[must_use]
    pub fn new(renditions: Vec<RenditionSettings>) -> Self {
        Self(renditions)
    }

    /// The longest [`EncoderSettings::frame_queue`] with which `renditions` renditions leave frames in a pool of `pool_size`; 1 at
    /// least.
    #[must_use]
    pub fn frame_queue(pool_size: usize, renditions: usize) -> usize {
        let left = pool_size.saturating_sub(OTHER_FRAMES + ABANDONED_MAX);
        (left / renditions.max(1)).saturating_sub(1).clamp(1, 16)
    }

    /// # Errors
    /// No rendition, too many, a bad name, one name twice, or renditions whose keyframes would not be on the same ticks.
    pub fn validate(&self) -> Result<(), StreamingError> {
        let refuse_setting = |setting, value: String, expected| {
            Err(StreamingError::Setting {
                id: "renditions".to_owned(),
                setting,
                value,
                expected,
            })
        };
        let refuse = |value, expected| refuse_setting("id", value, expected);
        if !(1..=RENDITIONS_MAX).contains(&self.0.len()) {
            return refuse(self.0.len().to_string(), "1 to 8 renditions are needed");
        }
        for (index, rendition) in self.0.iter().enumerate() {
            let id = &rendition.id;
            let is_plain = id
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
            if !is_plain || !(1..=32).contains(&id.len()) {
                return refuse(id.clone(), "1 to 32 of a to z, 0 to 9 and - are needed");
            }
            if self.0[..index].iter().any(|other| other.id == *id) {
                return refuse(id.clone(), "each rendition needs a name of its own");
            }
            let (first, video) = (&self.0[0].encoder.video, &rendition.encoder.video);
            if video.frame_rate != first.frame_rate {
                let value = format!("{:?}", video.frame_rate);
                return refuse_setting("frame_rate", value, "that of the first is needed in all");
            }
            if video.keyframe_interval_frames() != first.keyframe_interval_frames() {
                let value = video.keyframe_interval_s.to_string();
                let expected = "that of the first is needed in all";
                return refuse_setting("keyframe_interval_s", value, expected);
            }
            if let Some(adaptive) = rendition.adaptive {
                adaptive.validate(id)?;
            }
        }
        Ok(())
    }

    pub(super) fn into_vec(self) -> Vec<RenditionSettings> {
        self.0
    }
}

impl From<EncoderSettings> for Ladder {
    /// The main rendition alone.
    fn from(encoder: EncoderSettings) -> Self {
        Self(vec![RenditionSettings::new(
            RenditionSettings::MAIN,
            encoder,
        )])
    }
}

/// What all renditions of a ladder share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) clock: Arc<KeyframeClock>,
    pub(super) listener: Listener,
    pub(super) conditions: Conditions,
    /// Encoder threads that were given up.
    pub(super) abandoned: Arc<AtomicUsize>,
    pub(super) open: OpenPicture,
}

impl Shared {
    pub(super) fn new(ladder: &Ladder, listener: Listener) -> Result<Self, StreamingError> {
        ladder.validate()?;
        // There is one; and its settings must be good before they are reckoned with.
        ladder.0[0].encoder.video.validate()?;
        Ok(Self {
            clock: Arc::new(KeyframeClock::new(
                &ladder.0[0].encoder.video,
                ladder.0.len(),
            )),
            listener,
            conditions: Conditions::default(),
            abandoned: Arc::default(),
            open: open_real(),
        })
    }
}

/// A running rendition.
pub(super) struct Rendition {
    settings: RenditionSettings,
    sender: TickSender,
    post: Arc<Post>,
    context: OutputContext,
    running: Mutex<Running>,
}

/// The thread that is at the post.
struct Running {
    thread: NamedThread,
    watch: Arc<Watch>,
    patience: Patience,
    /// Dropped to stop the encoder thread.
    stop: Option<Sender<()>>,
    /// The last time that it was said that an encoder which hangs stays.
    warned_at: Option<Instant>,
}

/// So often at most it is said that an encoder which hangs stays.
const WARN_EVERY: Duration = Duration::from_secs(10);

impl Rendition {
    /// Opens the encoder and starts its thread.
    ///
    /// # Errors
    /// Bad settings, an encoder that does not open, or no thread.
    pub(super) fn start(
        settings: RenditionSettings,
        shared: &Shared,
    ) -> Result<Self, StreamingError> {
        let encoder = &settings.encoder;
        let (sender, receiver) = media_channel(encoder.frame_queue);
        let control = Arc::new(EncoderControl::new(
            &encoder.video,
            receiver.frames_refused(),
            Arc::clone(&shared.clock),
        ));
        let mut post = Post::new(
            settings.id.clone(),
            encoder.clone(),
            Arc::clone(&control),
            receiver,
            shared.listener.clone(),
        );
        post.open = Arc::clone(&shared.open);
        post.abandoned = Arc::clone(&shared.abandoned);
        let post = Arc::new(post);
        let (opened, streams) = bounded(1);
        let running = Running::start(&post, 0, move |post, watch| {
            match EncoderThread::open(post, watch) {
                Ok(thread) => {
                    drop(opened.send(Ok(thread.streams())));
                    Some(thread)
                }
                Err(error) => {
                    drop(opened.send(Err(error)));
                    None
                }
            }
        })?;
        let context = OutputContext {
            rendition: settings.id.clone(),
            // Nothing comes when the thread panicked.
            streams: streams
                .recv()
                .unwrap_or_else(|_| Err(panicked(&"the encoder")))?,
            encoder: control,
            send_buffer_bytes: send_buffer_bytes(&settings),
            conditions: shared.conditions.clone(),
        };
        Ok(Self {
            settings,
            sender,
            post,
            context,
            running: Mutex::new(running),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.settings.id
    }

    pub(super) fn settings(&self) -> &RenditionSettings {
        &self.settings
    }

    /// Where ticks are handed in.
    pub(super) fn sender(&self) -> TickSender {
        self.sender.clone()
    }

    pub(super) fn control(&self) -> &Arc<EncoderControl> {
        &self.post.control
    }

    pub(super) fn fan_out(&self) -> &FanOut {
        &self.post.fan_out
    }

    /// What its outputs share.
    pub(super) fn context(&self) -> &OutputContext {
        &self.context
    }

    pub(super) fn stats(&self) -> EncoderStats {
        self.post.control.stats(self.sender.waiting())
    }

    /// [`Rendition::stats`] and what it is.
    pub(super) fn stats_whole(&self) -> RenditionStats {
        let video = &self.settings.encoder.video;
        RenditionStats {
            id: self.id().to_owned(),
            width: video.width,
            height: video.height,
            codec: video.codec.as_str(),
            encoder_name: self.post.control.encoder(),
            sound_ahead_s: self.post.fan_out.sound_ahead_s(),
            encoder: self.stats(),
        }
    }

    /// Puts another thread in the place of one that hangs. `since` is the time since the last look, a fraction of a second.
    pub(super) fn watch(&self, since: Duration) {
        let mut running = self.lock();
        let frames_wait = self.sender.waiting() > 0;
        let mean_ms = self.stats().encode_ms_mean;
        let Running {
            watch,
            patience,
            stop,
            ..
        } = &mut *running;
        if stop.is_none() || !patience.look(watch, frames_wait, since, mean_ms) {
            return;
        }
        let rendition = self.id();
        if self.post.abandoned.load(Ordering::SeqCst) >= ABANDONED_MAX {
            if running
                .warned_at
                .is_none_or(|at| at.elapsed() >= WARN_EVERY)
            {
                running.warned_at = Some(Instant::now());
                tracing::error!(
                    rendition,
                    "the encoder hangs, and too many that do were given up; it stays until one ends"
                );
            }
            return;
        }
        let generation = self.post.give_up();
        self.post.control.figures().count_restart();
        tracing::error!(
            rendition,
            generation,
            "the encoder hangs; a new one takes its place"
        );
        let lost = Some("it hung in the encoder".to_owned());
        let started = Running::start(&self.post, generation, move |post, watch| {
            Some(EncoderThread::succeed(post, generation, watch, lost))
        });
        match started {
            // The old thread is left to itself.
            Ok(next) => *running = next,
            // The old one stays; the next look tries again, as its watch still hangs.
            Err(error) => {
                self.post.take_back(generation);
                tracing::error!(rendition, %error, "no thread for the encoder");
            }
        }
    }

    /// Tells the thread to encode what waits and end.
    pub(super) fn stop(&self) {
        self.lock().stop = None;
    }

    /// The thread's end, once it has come. It is given once.
    pub(super) fn poll(&self) -> Option<ThreadEnd> {
        self.lock().thread.poll()
    }

    /// The end of the thread, which must have been told to stop; `None` when it was polled before.
    pub(super) fn end_by(&self, deadline: Instant) -> Option<ThreadEnd> {
        self.lock().thread.end_by(deadline)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Rendition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Rendition")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Starts a thread at `post`. What `open` makes runs there; nothing when that failed.
    fn start(
        post: &Arc<Post>,
        generation: u64,
        open: impl FnOnce(Arc<Post>, Arc<Watch>) -> Option<EncoderThread> + Send + 'static,
    ) -> Result<Self, StreamingError> {
        let (stop, stopped): (_, Receiver<()>) = bounded(0);
        let watch = Arc::new(Watch::default());
        let thread = NamedThread::spawn(format!("encoder {}", post.rendition), {
            let (post, watch) = (Arc::clone(post), Arc::clone(&watch));
            move || {
                // Before the encoder opens, whose own threads take after this one.
                set_priority(Priority::Work);
                // Should the thread panic outside of a tick, the outputs still finish their files.
                let _leave = LeaveOnDrop(Arc::clone(&post), generation);
                open(post, watch).map_or(Ok(()), |thread| thread.run(&stopped))
            }
        })?;
        Ok(Self {
            thread,
            watch,
            patience: Patience::default(),
            stop: Some(stop),
            warned_at: None,
        })
    }
}

/// Tells the outputs that no packet follows when the encoder thread is gone, however it went.
struct LeaveOnDrop(Arc<Post>, u64);

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// A second of the stream, at least 256 KiB: enough for any round trip, and so little that a peer that reads nothing is
/// noticed soon. A quarter where the bitrate follows what the outputs take, which is seen once the buffer is full: the system doubles
/// it, which is enough for a round trip of half a second.
fn send_buffer_bytes(settings: &RenditionSettings) -> u32 {
    let encoder = &settings.encoder;
    let audio = encoder.audio.as_ref().map_or(0, |audio| audio.bitrate_kbps);
    let bits = (encoder.video.bitrate_kbps + audio).saturating_mul(1000);
    if settings.adaptive.is_some() {
        (bits / 32).max(64 * 1024)
    } else {
        (bits / 8).max(256 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_leaves_the_pool_frames_to_compose_in() {
        for (pool, renditions, queue) in
            [(16, 1, 8), (16, 2, 3), (16, 3, 2), (16, 4, 1), (64, 8, 6)]
        {
            assert_eq!(
                Ladder::frame_queue(pool, renditions),
                queue,
                "{pool}, {renditions}"
            );
            assert!(OTHER_FRAMES + renditions * (queue + 1) + ABANDONED_MAX <= pool);
        }
        // Never none, and never more than a channel takes.
        assert_eq!(
            (Ladder::frame_queue(4, 8), Ladder::frame_queue(64, 1)),
            (1, 16)
        );
    }
}
