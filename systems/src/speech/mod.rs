//! What hosts say: utterances that somebody else synthesises, one after the other on each avatar's layer.
//!
//! An utterance comes as a command with the near end of a bounded way; its sound follows on that way, all at once or as it is made.
//! In the set `Ingest`, on every tick, this tick's samples go into the layer's [`SourceSound`](crate::audio::SourceSound), and how
//! loud they are is what the avatar's mouth follows in `Animate` of the same tick. What is said is told outside by the
//! [`SpeechDoor`], and to texts as the built-in data `speech.<layer>`. Nothing here waits: where sound is missing, it pauses.

mod captions;
mod data;
mod play;
mod queue;
mod say;
mod tell;
mod way;

use bevy_app::App;
use bevy_ecs::prelude::*;

use crate::audio::SourceSounds;
use crate::profile::AddTimed;
use crate::schedule::{TickSet, add_to_every_tick};

pub(crate) use data::{SPEECH_PREFIX, SpeechData};
pub use queue::Speech;
pub(crate) use queue::{act, land, lift, outgoing_avatars};
pub use say::{
    QueueMode, Refusal, SpeechEnd, SpeechOrder, SpeechStage, SpeechState, SpokenWord, Utterance,
};
pub use tell::{
    EndReason, ShownSpeech, ShownUtterance, SpeechBoard, SpeechDoor, SpeechEvent, SpeechNews,
    Teller,
};
pub use way::{
    BLOCK_FRAMES, NEAR_SAMPLES, SpeechBlock, SpeechBudget, SpeechIn, SpeechOut, SpeechPart,
    speech_way, whole_way,
};

/// Utterances that may wait on one layer.
pub const WAITING_MAX: usize = 32;
/// What has to be there before an utterance begins, or goes on after a pause, unless all of it is there: 0.12 s, in samples.
pub const PREBUFFER_SAMPLES: usize = 5760;
/// How long it takes to begin, to end, and to pause: 5 ms, in samples.
pub const RAMP_SAMPLES: usize = 240;
/// How long it takes to break off: 30 ms, in samples.
pub const CUT_SAMPLES: usize = 1440;

/// How long an utterance whose turn it is may wait for what it needs of its sound to begin or go on, before it ends by a fault: 30 s, in samples.
pub const STALL_SAMPLES: u64 = 48_000 * 30;
/// Words that one utterance tells on one tick; more wait for the next.
pub const WORDS_A_TICK: usize = 32;

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    add_to_every_tick(app, |app| {
        app.timed(TickSet::Ingest, "ingest::speech", play::speak)
            .in_set(SourceSounds)
    });
}
