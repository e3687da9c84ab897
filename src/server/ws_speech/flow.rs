//! The sound of what is pushed, on its way into the world as far as there is room for it: a slice at a time.

use crossbeam_channel::TrySendError;
use systems::speech::{SpeechIn, SpeechStage};

use crate::control::speech::{Pcm, Sounds, WordsSoFar};
use crate::control::{ApiError, ErrorCode};

/// An utterance whose sound is on its way.
pub struct Open {
    /// Its name.
    pub id: String,
    /// What makes its sound of samples.
    pub pcm: Pcm,
    /// How many bytes are a slice.
    pub slice_bytes: usize,
    /// Where that goes.
    pub way: SpeechIn,
    /// Its words.
    pub words: WordsSoFar,
}

/// What is pushed, and what of its sound has found no room yet.
#[derive(Default)]
pub struct Flow {
    open: Option<Open>,
    /// Sound on its way, a slice at the most.
    sounds: Sounds,
    /// The way of an utterance whose last sound waits.
    ending: Option<SpeechIn>,
}

impl Flow {
    /// What is pushed; it may be over in the world.
    pub fn open(&mut self) -> Option<&mut Open> {
        self.open.as_mut()
    }

    /// Whether something is pushed that may be heard.
    pub fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !is_over(&open.way))
    }

    /// Another one is pushed from now on.
    pub fn begin(&mut self, open: Open) {
        self.sounds = Sounds::default();
        self.open = Some(open);
    }

    /// Whether no sound waits for room.
    pub fn is_through(&self) -> bool {
        self.sounds.blocks.is_empty() && self.ending.is_none()
    }

    /// Samples of each channel that wait for room.
    pub fn samples_waiting(&self) -> u64 {
        self.sounds.samples_waiting()
    }

    /// How many bytes are to be taken in at once: all of them where nobody hears them.
    pub fn slice_bytes(&self) -> usize {
        let open = self.open.as_ref().filter(|open| !is_over(&open.way));
        open.map_or(usize::MAX, |open| open.slice_bytes)
    }

    /// Takes samples in.
    ///
    /// # Errors
    /// Nothing is pushed, or what they are made sound with fails, by which what is pushed ends.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let Some(open) = &mut self.open else {
            let message = "samples follow a text message that says what they are";
            return Err(ApiError::new(ErrorCode::BadRequest, message));
        };
        if is_over(&open.way) {
            return Ok(());
        }
        let done = open.pcm.push(bytes, &mut self.sounds);
        if done.is_err()
            && let Some(open) = self.open.take()
        {
            open.way.fail();
        }
        done
    }

    /// Sends on what there is room for.
    pub fn send_on(&mut self) {
        let way = self
            .ending
            .as_ref()
            .or(self.open.as_ref().map(|open| &open.way));
        let Some(way) = way.filter(|way| !is_over(way)) else {
            // What is over is for nobody.
            self.forget_sound();
            return;
        };
        while let Some(block) = self.sounds.blocks.pop_front() {
            match way.try_send(block) {
                Ok(()) => {}
                Err(TrySendError::Full(block)) => {
                    self.sounds.blocks.push_front(block);
                    return;
                }
                // It was stopped; what follows is for nobody.
                Err(TrySendError::Disconnected(_)) => self.sounds.blocks.clear(),
            }
        }
        self.ending = None;
    }

    /// All sound of what is pushed has come.
    pub fn end(&mut self) {
        let Some(Open { pcm, way, .. }) = self.open.take() else {
            return;
        };
        match pcm.end(&mut self.sounds) {
            Ok(()) => self.ending = Some(way),
            Err(_) => way.fail(),
        }
    }

    /// Forgets what waits for room.
    pub fn forget_sound(&mut self) {
        self.sounds.blocks.clear();
        self.ending = None;
    }

    /// Lets go of what is pushed and of what waits for room.
    pub fn break_off(&mut self) -> Option<Open> {
        self.forget_sound();
        self.open.take()
    }
}

/// Whether an utterance is over in the world, so that nobody hears what follows.
fn is_over(way: &SpeechIn) -> bool {
    way.state().stage() == SpeechStage::Over
}
