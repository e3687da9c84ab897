//! What a tick gives to the encoder, and the bounded way there.
//!
//! A frame may be lost when the encoder is behind; sound may not, as a gap in it is heard at once. So the way of the
//! frames is short, and the sound of a tick whose frame found no room goes on a longer one beside it. Only when that is
//! full too, seconds behind, is a tick lost whole; the encoder then fills in silence of the same length, so that
//! sound and picture stay on one clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use raster::I420Frame;
pub use systems::audio::{AudioChunk, StereoSamples};

use super::encoder::KeyframeClock;

/// Ticks whose sound can wait while the encoder is behind: over 4 s at 60 frames a second.
const SOUND_TICKS_MAX: usize = 256;

/// One tick's picture and sound. The sound must be as long as the tick
/// (`FrameRate::samples_before(tick + 1, rate) - samples_before(tick, rate)`).
#[derive(Debug, Clone)]
pub struct TickMedia {
    /// Counts up; larger on each sending.
    pub tick: u64,
    /// The picture. A rendition of another size scales it.
    pub frame: Arc<I420Frame>,
    /// The sound.
    pub audio: AudioChunk,
}

/// What became of a tick that was not taken whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The encoder is behind: the frame was dropped, the sound taken.
    #[error("the encoder is behind; the frame was dropped")]
    Frame,
    /// The encoder is seconds behind: frame and sound were dropped.
    #[error("the encoder is far behind; frame and sound were dropped")]
    FrameAndSound,
    /// The encoder has ended.
    #[error("the encoder has ended")]
    Ended,
}

/// The tick loop's end of the ways to all encoder threads.
#[derive(Debug, Clone)]
pub struct MediaSender {
    encoders: Vec<TickSender>,
    keyframes: Arc<KeyframeClock>,
}

/// One end of the way to an encoder thread.
#[derive(Debug, Clone)]
pub(super) struct TickSender {
    media: Sender<TickMedia>,
    sound: Sender<(u64, AudioChunk)>,
    frames_refused: Arc<AtomicU64>,
}

/// The encoder thread's end.
#[derive(Debug)]
pub(super) struct MediaReceiver {
    pub(super) media: Receiver<TickMedia>,
    pub(super) sound: Receiver<(u64, AudioChunk)>,
    frames_refused: Arc<AtomicU64>,
}

/// A way that holds at most `frames` frames, each of which is missing from the pool meanwhile.
pub(super) fn media_channel(frames: usize) -> (TickSender, MediaReceiver) {
    let (media_sender, media) = bounded(frames.max(1));
    let (sound_sender, sound) = bounded(SOUND_TICKS_MAX);
    let frames_refused = Arc::new(AtomicU64::new(0));
    (
        TickSender {
            media: media_sender,
            sound: sound_sender,
            frames_refused: Arc::clone(&frames_refused),
        },
        MediaReceiver {
            media,
            sound,
            frames_refused,
        },
    )
}

impl MediaSender {
    /// Hands every tick to all of `encoders`, whose keyframes `keyframes` decides.
    pub(super) fn to_all(
        encoders: impl Iterator<Item = TickSender>,
        keyframes: Arc<KeyframeClock>,
    ) -> Self {
        Self {
            encoders: encoders.collect(),
            keyframes,
        }
    }

    /// Hands over a tick to every encoder without ever waiting. What one refuses, the others take.
    ///
    /// # Errors
    /// [`Refused`] says what the first that refused dropped; each counts its own.
    pub fn try_send(&self, media: TickMedia) -> Result<(), Refused> {
        self.each(media, TickSender::try_send)
    }

    /// Hands over a tick and waits for room. Only for what has no clock to keep, such as tests and rendering.
    ///
    /// # Errors
    /// [`Refused::Ended`].
    pub fn send(&self, media: TickMedia) -> Result<(), Refused> {
        self.each(media, TickSender::send)
    }

    fn each(
        &self,
        media: TickMedia,
        send: impl Fn(&TickSender, TickMedia) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut result = Ok(());
        self.keyframes.advance(media.tick);
        if let Some((last, others)) = self.encoders.split_last() {
            for sender in others {
                let sent = send(sender, media.clone());
                result = result.and(sent);
            }
            let sent = send(last, media);
            result = result.and(sent);
        }
        result
    }
}

impl TickSender {
    /// Hands over a tick without ever waiting.
    ///
    /// # Errors
    /// [`Refused`] says what was dropped, which is counted as well.
    pub(super) fn try_send(&self, media: TickMedia) -> Result<(), Refused> {
        let media = match self.media.try_send(media) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(_)) => return Err(Refused::Ended),
            Err(TrySendError::Full(media)) => media,
        };
        self.frames_refused.fetch_add(1, Ordering::Relaxed);
        match self.sound.try_send((media.tick, media.audio)) {
            Ok(()) => Err(Refused::Frame),
            Err(TrySendError::Full(_)) => Err(Refused::FrameAndSound),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Ended),
        }
    }

    /// Hands over a tick and waits for room. Only for what has no clock to keep, such as tests and rendering.
    ///
    /// # Errors
    /// [`Refused::Ended`].
    pub(super) fn send(&self, media: TickMedia) -> Result<(), Refused> {
        self.media.send(media).map_err(|_| Refused::Ended)
    }

    /// Frames that wait for the encoder now.
    #[must_use]
    pub(super) fn waiting(&self) -> usize {
        self.media.len()
    }
}

impl MediaReceiver {
    /// Frames that found no room so far.
    pub(super) fn frames_refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.frames_refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(tick: u64) -> TickMedia {
        let frame = Arc::new(I420Frame::new(16, 16).expect("a small frame"));
        TickMedia {
            tick,
            frame,
            audio: AudioChunk::Silence { samples: 1600 },
        }
    }

    #[test]
    fn sound_is_kept_when_frames_are_not() {
        let (sender, receiver) = media_channel(1);
        assert_eq!(sender.try_send(media(0)), Ok(()));
        for tick in 1..=SOUND_TICKS_MAX as u64 {
            assert_eq!(sender.try_send(media(tick)), Err(Refused::Frame));
        }
        assert_eq!(sender.try_send(media(999)), Err(Refused::FrameAndSound));
        assert_eq!(
            receiver.frames_refused().load(Ordering::Relaxed),
            SOUND_TICKS_MAX as u64 + 1
        );
        drop(receiver);
        assert_eq!(sender.try_send(media(1000)), Err(Refused::Ended));
    }
}
