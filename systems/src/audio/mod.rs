//! The program's sound: what layers give to be heard, and the sum of it, exactly one tick's samples a tick.
//!
//! In the set `Ingest` the source of each layer that has sound writes its [`SourceSound`]: this tick's samples, before anything is done
//! to them. In the set `Mix` they are weighed, step back under others, are added up, kept below the ceiling and measured:
//! [`MixedSound`] is what comes of it, and what the set `Encode` hands out. Meters are read from the [`LevelBoard`].
//!
//! Sound cannot be skipped or repeated as pictures can. So these systems, and those that write [`SourceSound`], also run on a tick on
//! which there was no time to compose ([`add_to_every_tick`]). Layers are added up in one order by one thread, so the same sounds give
//! the same bytes.

mod bus;
pub(crate) mod channel;
mod duck;
mod limiter;
mod loudness;
mod meter;
mod true_peak;

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::scene::FrameRate;
use components::sound::SoundRole;

use crate::profile::AddTimed;
use crate::schedule::{TickSet, add_to_every_tick};

pub(crate) use bus::{Bus, glide_master, leave_scene, turn_round};
pub use channel::{CUT_SAMPLES, ChannelGain, ChannelLevel, ChannelSound, Channels, Through};
pub(crate) use channel::{Strand, take_strand, tie_strand};
pub use duck::DuckState;
pub use limiter::LATENCY_SAMPLES;
pub use loudness::{Loudness, SILENCE_DB};
pub(crate) use meter::reset_meters;
pub use meter::{ChannelLevels, LevelBoard, Levels, Meter, SoundLevels};

/// Samples a second of the program's sound.
pub const SAMPLE_RATE: u32 = 48_000;

/// How many samples belong to `tick`: over any run of ticks the sum is exactly the time that the ticks take.
pub fn samples_in_tick(rate: FrameRate, tick: u64) -> usize {
    rate.samples_in(tick, SAMPLE_RATE)
}

/// Stereo samples at [`SAMPLE_RATE`], -1 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StereoSamples {
    /// The left channel.
    pub left: Vec<f32>,
    /// The right channel, as long as the left one.
    pub right: Vec<f32>,
}

/// The sound of one tick.
#[derive(Clone, Debug)]
pub enum AudioChunk {
    /// Nothing plays.
    Silence {
        /// Samples of each channel.
        samples: usize,
    },
    /// What plays.
    Samples(Arc<StereoSamples>),
}

impl AudioChunk {
    /// Samples of each channel.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Silence { samples } => *samples,
            Self::Samples(samples) => samples.left.len().min(samples.right.len()),
        }
    }

    /// Whether there is not one sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a layer's source gives to be heard on this tick, before it is mixed. On each layer whose source has sound; written in `Ingest`.
#[derive(Component, Clone, Debug, Default)]
#[require(ChannelGain, ChannelSound, ChannelLevel, DuckState, Meter)]
pub struct SourceSound {
    /// This tick's samples, exactly [`samples_in_tick`] of them where `plays`; room is kept from tick to tick.
    pub samples: StereoSamples,
    /// Whether there is anything but silence; the samples are not looked at otherwise.
    pub plays: bool,
}

/// The systems that write [`SourceSound`], in the set `Ingest`. No two of them write that of one layer.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceSounds;

/// What a layer's sound is. On each layer whose source has sound; written by spawning and edits.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// For ducking: as its `sound` says, or as is usual for its source.
    pub role: SoundRole,
}

/// The program's sound on this tick. Written in `Mix`.
#[derive(Resource, Clone, Debug)]
pub struct MixedSound(pub AudioChunk);

impl Default for MixedSound {
    fn default() -> Self {
        Self(AudioChunk::Silence { samples: 0 })
    }
}

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<MixedSound>()
        .init_resource::<Channels>()
        .init_resource::<bus::Bus>()
        .init_resource::<bus::Out>()
        .init_resource::<meter::MasterMeter>()
        .init_resource::<LevelBoard>();
    add_to_every_tick(app, |app| {
        let set = TickSet::Mix;
        (
            app.timed(set, "audio::gains", channel::gains),
            app.timed(set, "audio::weigh", channel::weigh),
            app.timed(set, "audio::ducking", duck::ducking),
            app.timed(set, "audio::sum", bus::sum),
            app.timed(set, "audio::limiter", bus::limit),
            app.timed(set, "audio::meters", meter::meters),
        )
            .chain()
    });
}
