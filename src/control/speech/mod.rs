//! Speech on its way into the world: what is asked to be said, checked; its sound, made into blocks; and what is told of it.
//!
//! Speech is no part of a scene and is not saved. The world keeps the queues; here nothing waits for a tick.

mod news;
mod say;
mod sound;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use components::source::{AvatarSource, Source};
use systems::speech::{SpeechBoard, SpeechDoor, SpeechEvent, SpeechOrder, WAITING_MAX};
use tokio::sync::Semaphore;

use super::authored;
use super::error::{ApiError, ErrorCode};
use super::show::{Show, layer_ids, layer_with_parent};
use crate::scene::registry::field;

pub use say::{PcmFormat, QueueWord, SayFile, SayStream, Saying, TEXT_MAX, TellMore, Word};
pub use sound::{
    AHEAD_MAX_SAMPLES, BODY_BYTES_MAX, Pcm, PcmKind, SECONDS_MAX, Sounds, read_pcm, sound_of,
};

/// Samples of each channel that may wait on all layers together: 20 minutes, 220 MiB.
const HELD_MAX: u64 = 48_000 * 60 * 20;
/// Files that are decoded at a time.
const DECODED_AT_ONCE: usize = 2;
/// Connections that push speech at a time.
const PUSHING_MAX: usize = 64;

/// Where speech is asked for and seen. Cheap to copy.
#[derive(Clone, Debug)]
pub struct SpeechDesk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    door: SpeechDoor,
    decoding: Semaphore,
    pushing: AtomicUsize,
    next: Mutex<u64>,
}

/// One that pushes, counted off when it goes.
#[derive(Debug)]
pub struct Pushing(SpeechDesk);

impl Drop for Pushing {
    fn drop(&mut self) {
        self.0.0.pushing.fetch_sub(1, Relaxed);
    }
}

impl SpeechDesk {
    /// At the engine's door.
    pub fn new(door: SpeechDoor) -> Self {
        Self(Arc::new(Inner {
            door,
            decoding: Semaphore::new(DECODED_AT_ONCE),
            pushing: AtomicUsize::new(0),
            next: Mutex::new(0),
        }))
    }

    /// The queues.
    pub fn board(&self) -> &SpeechBoard {
        &self.0.door.board
    }

    /// What happens, in order.
    pub(super) fn events(&self) -> crossbeam_channel::Receiver<SpeechEvent> {
        self.0.door.events.clone()
    }

    /// One more that pushes.
    ///
    /// # Errors
    /// There are too many.
    pub fn push(&self) -> Result<Pushing, ApiError> {
        if self.0.pushing.fetch_add(1, Relaxed) >= PUSHING_MAX {
            self.0.pushing.fetch_sub(1, Relaxed);
            let message = format!("{PUSHING_MAX} clients push speech, which is the most");
            return Err(ApiError::new(ErrorCode::Unavailable, message));
        }
        Ok(Pushing(self.clone()))
    }

    /// A name for an utterance that came without one.
    pub fn made_id(&self) -> String {
        let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        format!("u{next}")
    }

    /// Waits until a file may be decoded.
    pub async fn decoding(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.0.decoding.acquire().await.ok()
    }

    /// Whether a layer may be given one more utterance of this name.
    ///
    /// # Errors
    /// Why not.
    pub fn must_have_room(&self, layer: &str, id: &str) -> Result<(), ApiError> {
        let waiting = self.board().of(layer);
        if waiting.iter().any(|shown| &*shown.id == id) {
            let message = format!("the utterance `{id}` is being said already");
            return Err(ApiError::conflict(message));
        }
        if waiting.len() > WAITING_MAX {
            let message = format!("{WAITING_MAX} utterances wait on the layer, which is the most");
            return Err(ApiError::new(ErrorCode::Unavailable, message));
        }
        if self.board().held() > HELD_MAX {
            let message = "more than 20 minutes of speech wait; try again later";
            return Err(ApiError::new(ErrorCode::Unavailable, message));
        }
        Ok(())
    }

    /// Whether an utterance of a layer is there to be stopped.
    ///
    /// # Errors
    /// It is not.
    pub fn must_be_said(&self, layer: &str, id: &str) -> Result<(), ApiError> {
        let known = self.board().of(layer);
        if known.iter().any(|shown| &*shown.id == id) {
            return Ok(());
        }
        Err(ApiError::not_found(
            "utterance",
            id,
            known.iter().map(|shown| &*shown.id),
        ))
    }
}

/// The avatar of a layer on air.
///
/// # Errors
/// There is no such layer, or it is no avatar.
pub fn avatar_of<'s>(show: &'s Show, layer: &str) -> Result<&'s AvatarSource, ApiError> {
    let spec = &show.program.spec;
    let (found, _) = layer_with_parent(spec, layer)
        .ok_or_else(|| ApiError::not_found("layer", layer, layer_ids(spec)))?;
    match &found.source {
        Source::Avatar(avatar) => Ok(avatar),
        other => Err(ApiError::conflict(format!(
            "the layer `{layer}` is no avatar; it is of the kind `{}`",
            other.kind()
        ))),
    }
}

/// Whether an order can be given to a layer of a show.
///
/// # Errors
/// The layer is no avatar, or does not know the emotion.
pub fn may_order(show: &Show, layer: &str, order: &SpeechOrder) -> Result<(), ApiError> {
    let avatar = avatar_of(show, layer)?;
    if let SpeechOrder::Say(said) = order
        && let Some(emotion) = &said.emotion
    {
        let own = avatar.emotions.keys().map(String::as_str);
        let own = own.filter(|name| *name != AvatarSource::NEUTRAL);
        let known: Vec<&str> = own.chain([AvatarSource::NEUTRAL]).collect();
        authored::must_be_known("emotion", emotion, &known, &field("", "emotion"))?;
    }
    Ok(())
}
