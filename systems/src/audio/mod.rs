//! The program's sound: what layers give to be heard, and the sum of it, exactly one tick's samples a tick.
//!
//! In the set `Ingest` the source of each layer that has sound writes its [`SourceSound`]: this tick's samples, before anything is done
//! to them. In the set `Mix` they are weighed and added up into [`MixedSound`], which the set `Encode` hands out.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::scene::FrameRate;
use components::sound::SoundRole;

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
pub struct SourceSound {
    /// This tick's samples, exactly [`samples_in_tick`] of them where `plays`; room is kept from tick to tick.
    pub samples: StereoSamples,
    /// Whether there is anything but silence; the samples are not looked at otherwise.
    pub plays: bool,
}

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
pub fn plugin(app: &mut bevy_app::App) {
    use crate::profile::AddTimed as _;
    use crate::schedule::{Tick, TickSet};
    app.init_resource::<MixedSound>();
    let system = app.timed(TickSet::Mix, "audio::mix", mix);
    app.add_systems(Tick, system);
}

fn mix(clock: Res<crate::clock::FrameClock>, mut mixed: ResMut<MixedSound>) {
    mixed.0 = AudioChunk::Silence {
        samples: samples_in_tick(clock.rate, clock.tick),
    };
}
