//! Speech on its way into the world: what is asked to be said, checked; its sound, made into blocks; and what is told of it.
//!
//! Speech is no part of a scene and is not saved. The world keeps the queues; here nothing waits for a tick.

mod file;
mod news;
mod say;
mod sound;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use components::source::{AvatarSource, Source};
use systems::speech::{
    QueueMode, Refusal, ShownUtterance, SpeechBoard, SpeechBudget, SpeechDoor, SpeechOrder,
    SpeechOut, SpeechStage, SpeechState, Utterance, WAITING_MAX,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::authored;
use super::error::{ApiError, ErrorCode};
use super::library::Library;
use super::plan::{ReadSound, WantedSound};
use super::show::{Show, Staged, layer_ids, layer_with_parent};
use crate::scene::registry::field;

pub use file::SpeechFile;
pub use news::{end_data, seconds};
pub use say::{
    PcmFormat, QueueWord, SayFile, SayStream, Saying, TEXT_MAX, TellMore, Word, WordsSoFar,
    check_id,
};
pub use sound::{
    AHEAD_MAX_SAMPLES, BODY_BYTES_MAX, Pcm, PcmKind, SECONDS_MAX, Sounds, read_pcm, sound_of,
};

/// Samples of each channel that may wait on all layers together: 20 minutes, 220 MiB.
const HELD_MAX: u64 = 48_000 * 60 * 20;
/// Files that are decoded at a time.
const DECODED_AT_ONCE: usize = 2;
/// Bodies with sound that are on their way at a time.
const SENT_AT_ONCE: usize = 16;
/// Connections that push speech at a time.
const PUSHING_MAX: usize = 64;

/// Where speech is asked for and seen. Cheap to copy.
#[derive(Clone, Debug)]
pub struct SpeechDesk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    door: SpeechDoor,
    budget: SpeechBudget,
    sending: Semaphore,
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
            budget: SpeechBudget::new(HELD_MAX),
            sending: Semaphore::new(SENT_AT_ONCE),
            decoding: Semaphore::new(DECODED_AT_ONCE),
            pushing: AtomicUsize::new(0),
            next: Mutex::new(0),
        }))
    }

    /// The queues.
    pub fn board(&self) -> &SpeechBoard {
        &self.0.door.board
    }

    /// What the world tells.
    pub fn door(&self) -> &SpeechDoor {
        &self.0.door
    }

    /// What may wait to be said.
    pub fn budget(&self) -> &SpeechBudget {
        &self.0.budget
    }

    /// Clients that push.
    pub fn pushing(&self) -> usize {
        self.0.pushing.load(Relaxed)
    }

    /// One more body with sound is on its way.
    ///
    /// # Errors
    /// There are too many.
    pub fn sending(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.0.sending.try_acquire().map_err(|_| {
            let message =
                format!("{SENT_AT_ONCE} files of speech are being sent, which is the most");
            ApiError::new(ErrorCode::Unavailable, message)
        })
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

    /// A name for an utterance of a layer that came without one.
    pub fn made_id(&self, layer: &str) -> String {
        let known = self.board().of(layer);
        let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            *next += 1;
            let id = format!("u{next}");
            if known.iter().all(|shown| *shown.id != *id) {
                return id;
            }
        }
    }

    /// Waits until a file may be decoded.
    pub async fn decoding(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.0.decoding.acquire().await.ok()
    }

    /// Whether a layer may be given one more utterance, as far as that can be known before the world is asked.
    ///
    /// # Errors
    /// Why not.
    pub fn must_have_room(&self, layer: &str, saying: &Saying) -> Result<(), ApiError> {
        if let Some(id) = &saying.id
            && self.board().of(layer).iter().any(|shown| *shown.id == **id)
        {
            return Err(refused(Refusal::Duplicate, layer, id));
        }
        if self.board().queue_of(layer).len() > WAITING_MAX && saying.queue != QueueWord::Replace {
            return Err(refused(Refusal::Full, layer, ""));
        }
        if self.budget().used() >= HELD_MAX {
            return Err(too_much());
        }
        Ok(())
    }

    /// How many would be before an utterance; what is spoken counts.
    pub fn place(&self, layer: &str, queue: QueueMode) -> u32 {
        let known = self.board().queue_of(layer);
        let is_spoken = |shown: &&ShownUtterance| shown.state.stage() != SpeechStage::Waiting;
        let place = match queue {
            QueueMode::Append => known.len(),
            QueueMode::Next => known.iter().take(1).filter(is_spoken).count(),
            QueueMode::Interrupt | QueueMode::Replace => 0,
        };
        place as u32
    }

    /// Reads files that avatars are to say. Waits for the disk; [`SpeechDesk::decoding`] is held meanwhile.
    ///
    /// # Errors
    /// The first that cannot be said, with its path in the request.
    pub(super) fn read_sounds(
        &self,
        library: &Library,
        wanted: &[WantedSound],
    ) -> Result<Vec<(usize, ReadSound)>, ApiError> {
        let read = |wanted: &WantedSound| {
            self.must_have_room(&wanted.layer, &wanted.saying)?;
            let at = field(&wanted.path, "src");
            let sound = self.read_file(library, &wanted.scene, &wanted.src, &at)?;
            let id = wanted.saying.id.clone();
            let id = id.unwrap_or_else(|| self.made_id(&wanted.layer));
            Ok((wanted.place, ReadSound { id, sound }))
        };
        wanted.iter().map(read).collect()
    }

    /// Reads a file that an avatar is to say, whose name is written at `path`.
    ///
    /// # Errors
    /// It cannot be said.
    pub fn read_file(
        &self,
        library: &Library,
        scene: &Staged,
        src: &str,
        path: &str,
    ) -> Result<SpeechOut, ApiError> {
        let file = library.sound_file(scene, src, BODY_BYTES_MAX);
        let file = file.map_err(|message| authored::unusable(path.to_owned(), message))?;
        sound_of(&file, self.budget()).map_err(|error| placed(error, path))
    }

    /// Looks at what the world made of an utterance that it was given; taken in, it is seen on the board from now on.
    ///
    /// # Errors
    /// The world refused it.
    pub fn must_be_taken(&self, layer: &str, said: &Noted) -> Result<(), ApiError> {
        match said.0.state.refusal() {
            Some(refusal) => Err(refused(refusal, layer, &said.0.id)),
            None => {
                self.board().note(layer, said.0.clone());
                Ok(())
            }
        }
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

/// What is to be seen of an utterance, kept while it is on its way into the world.
#[derive(Debug)]
pub struct Noted(ShownUtterance);

impl Noted {
    /// Of an utterance.
    pub fn of(utterance: &Utterance) -> Self {
        Self(ShownUtterance {
            id: Arc::clone(&utterance.id),
            text: Arc::clone(&utterance.text),
            emotion: utterance.emotion.clone(),
            state: Arc::clone(utterance.sound.state()),
        })
    }

    /// How it stands.
    pub fn state(&self) -> &Arc<SpeechState> {
        &self.0.state
    }
}

fn refused(refusal: Refusal, layer: &str, id: &str) -> ApiError {
    match refusal {
        Refusal::Full => {
            let message = format!("{WAITING_MAX} utterances wait on the layer, which is the most");
            ApiError::new(ErrorCode::Unavailable, message)
        }
        Refusal::Duplicate => {
            ApiError::conflict(format!("the utterance `{id}` is being said already"))
        }
        Refusal::Gone => ApiError::conflict(format!("the layer `{layer}` went meanwhile")),
    }
}

/// What is wrong with a sound, told of the field that brought it.
pub fn placed(error: ApiError, path: &str) -> ApiError {
    match error.code {
        ErrorCode::Invalid => authored::unusable(path.to_owned(), error.message),
        _ => error,
    }
}

fn too_much() -> ApiError {
    let minutes = HELD_MAX / 48_000 / 60;
    let message = format!("more than {minutes} minutes of speech wait; try again later");
    ApiError::new(ErrorCode::Unavailable, message)
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

/// Whether a layer is an avatar that can have something to say: on air, or in the scene that gives way to it.
///
/// # Errors
/// It is neither.
pub fn must_be_heard(show: &Show, layer: &str) -> Result<(), ApiError> {
    let found = avatar_of(show, layer).map(|_| ());
    found.or_else(|error| {
        let before = show.changing.as_ref();
        let before = before.and_then(|changing| layer_with_parent(&changing.from.spec, layer));
        match before {
            Some((before, _)) if matches!(before.source, Source::Avatar(_)) => Ok(()),
            _ => Err(error),
        }
    })
}

/// Whether an order can be given to a layer of a show.
///
/// # Errors
/// The layer is no avatar, or does not know the emotion.
pub fn may_order(show: &Show, layer: &str, order: &SpeechOrder) -> Result<(), ApiError> {
    if let SpeechOrder::Stop { .. } = order {
        return must_be_heard(show, layer);
    }
    let avatar = avatar_of(show, layer)?;
    if let SpeechOrder::Say(said) = order
        && let Some(emotion) = &said.emotion
    {
        must_feel(avatar, emotion, &field("", "emotion"))?;
    }
    Ok(())
}

/// Whether an avatar can feel something, which is written at `path`.
///
/// # Errors
/// It does not know the emotion.
pub fn must_feel(avatar: &AvatarSource, emotion: &str, path: &str) -> Result<(), ApiError> {
    let own = avatar.emotions.keys().map(String::as_str);
    let own = own.filter(|name| *name != AvatarSource::NEUTRAL);
    let known: Vec<&str> = own.chain([AvatarSource::NEUTRAL]).collect();
    authored::must_be_known("emotion", emotion, &known, path)
}
