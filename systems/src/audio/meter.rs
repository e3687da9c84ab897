//! How loud layers and the sum are, for those who look: `audio::meters`.
//!
//! What is read is written on each tick, unless somebody reads at that very moment. Silent layers cost nothing but their place.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use bevy_ecs::prelude::*;
use components::layer::LayerId;

use super::bus::Out;
use super::channel::{ChannelGain, ChannelSound, Channels};
use super::duck::DuckState;
use super::loudness::{Loudness, SILENCE_DB};
use super::true_peak::{AHEAD, BEHIND, TAPS, phases, raise, sample_peak, square_sum};
use super::{AudioChunk, MixedSound, SAMPLE_RATE, StereoSamples, samples_in_tick};
use crate::clock::FrameClock;
use crate::scene::{Leaving, Outgoing};

/// A peak falls by 20 dB in so many seconds, as IEC 60268-18 has it for digital meters.
const FALL_SECONDS: f32 = 1.7;
const FALL_DB: f32 = 20.0;
/// The time constant of the mean of squares, in seconds.
const RMS_SECONDS: f32 = 0.1;

/// What a meter shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// The largest sample, falling slowly, in dB below full scale.
    pub peak_dbfs: f32,
    /// Root of the mean square of both sides over about 100 ms, in dB below full scale.
    pub rms_dbfs: f32,
    /// Loudness of the last 400 ms, in LUFS.
    pub momentary_lufs: f32,
    /// Loudness of the last 3 s, in LUFS.
    pub short_term_lufs: f32,
    /// Loudness of all since it was first heard, gated, in LUFS.
    pub integrated_lufs: f32,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            peak_dbfs: SILENCE_DB,
            rms_dbfs: SILENCE_DB,
            momentary_lufs: SILENCE_DB,
            short_term_lufs: SILENCE_DB,
            integrated_lufs: SILENCE_DB,
        }
    }
}

/// The meter of a layer. On each layer with sound; written in `Mix`, from what the layer gives to the sum.
#[derive(Component, Clone, Debug, Default)]
pub struct Meter {
    peak: f32,
    mean_square: f32,
    loudness: Loudness,
}

impl Meter {
    fn hear(&mut self, samples: Option<&StereoSamples>, count: usize) {
        let seconds = count as f32 / SAMPLE_RATE as f32;
        let fall = 10f32.powf(-FALL_DB * seconds / (FALL_SECONDS * 20.0));
        let (mut peak, mut mean) = (0.0, 0.0);
        if let Some(samples) = samples {
            peak = sample_peak(&samples.left).max(sample_peak(&samples.right));
            mean = (square_sum(&samples.left) + square_sum(&samples.right))
                / (2 * count).max(1) as f32;
        }
        self.peak = peak.max(self.peak * fall);
        self.mean_square += (mean - self.mean_square) * (1.0 - (-seconds / RMS_SECONDS).exp());
        // Numbers that are all but nothing are slow to count with.
        self.mean_square = if self.mean_square < 1e-12 {
            0.0
        } else {
            self.mean_square
        };
        self.peak = if self.peak < 1e-6 { 0.0 } else { self.peak };
        self.loudness.hear(samples, count);
    }

    /// What it shows.
    pub fn levels(&self) -> Levels {
        Levels {
            peak_dbfs: decibels(self.peak),
            rms_dbfs: decibels(self.mean_square.sqrt()),
            momentary_lufs: self.loudness.momentary(),
            short_term_lufs: self.loudness.short_term(),
            integrated_lufs: self.loudness.integrated(),
        }
    }
}

fn decibels(factor: f32) -> f32 {
    (20.0 * factor.log10()).max(SILENCE_DB)
}

/// The meter of the sum, after its limiter.
#[derive(Resource, Debug, Default)]
pub(super) struct MasterMeter {
    meter: Meter,
    /// The largest true peak so far.
    true_peak: f32,
    /// By how much the limiter turns down, falling slowly, in decibels.
    reduction_db: f32,
    /// The last samples of each side, before this tick's.
    lines: [Vec<f32>; 2],
    peaks: Vec<f32>,
    scratch: Vec<f32>,
}

impl MasterMeter {
    fn hear(&mut self, samples: Option<&StereoSamples>, count: usize) {
        self.meter.hear(samples, count);
        let Some(samples) = samples else {
            self.lines.iter_mut().for_each(Vec::clear);
            return;
        };
        for (line, side) in self.lines.iter_mut().zip([&samples.left, &samples.right]) {
            if line.is_empty() {
                line.resize(TAPS, 0.0);
            }
            line.extend_from_slice(side);
            // Where it cannot be larger than what was there, nobody has to look.
            if sample_peak(line) * phases().overshoot_max > self.true_peak {
                self.peaks.clear();
                self.peaks.resize(line.len() - BEHIND - AHEAD, 0.0);
                raise(&mut self.peaks, line, &mut self.scratch);
                self.true_peak = self.true_peak.max(sample_peak(&self.peaks));
            }
            let kept = line.len() - TAPS;
            line.copy_within(kept.., 0);
            line.truncate(TAPS);
        }
    }
}

/// What all meters show on a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SoundLevels {
    /// The tick.
    pub tick: u64,
    /// The sum, as it goes out.
    pub master: Levels,
    /// The largest true peak that went out, in dB below full scale (dBTP).
    pub true_peak_max_dbtp: f32,
    /// By how much the limiter turns the sum down, in decibels, 0 or more.
    pub reduction_db: f32,
    /// Layers with sound, of the scene on air, those among them that systems made.
    pub channels: Vec<ChannelLevels>,
}

/// What the meter of a layer shows.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelLevels {
    /// The layer.
    pub layer: LayerId,
    /// Whether it can be heard when it plays: visible, not muted, not left out by others that are solo.
    pub is_open: bool,
    /// By how much it steps back, in decibels, 0 or more.
    pub ducked_db: f32,
    /// What it gives to the sum.
    pub levels: Levels,
}

/// The newest [`SoundLevels`], to be read at any time from any thread.
#[derive(Resource, Clone, Debug, Default)]
pub struct LevelBoard(Arc<Mutex<SoundLevels>>);

impl LevelBoard {
    /// A copy of what the meters show.
    pub fn read(&self) -> SoundLevels {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes it, unless somebody reads it this very moment: the next tick writes it anyway.
    fn try_write(&self, write: impl FnOnce(&mut SoundLevels)) {
        match self.0.try_lock() {
            Ok(mut levels) => write(&mut levels),
            Err(TryLockError::Poisoned(poisoned)) => write(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

type Row<'a> = (
    &'a LayerId,
    &'a ChannelGain,
    &'a ChannelSound,
    &'a DuckState,
    Has<Outgoing>,
    Has<Leaving>,
    &'a mut Meter,
);

/// Begins anew what the meters show of the whole time: integrated loudness, and the largest true peak.
pub(crate) fn reset_meters(world: &mut World) {
    let mut master = world.resource_mut::<MasterMeter>();
    master.true_peak = 0.0;
    master.meter.loudness.begin_anew();
    let mut meters = world.query::<&mut Meter>();
    for mut meter in meters.iter_mut(world) {
        meter.loudness.begin_anew();
    }
}

/// Measures layers and the sum, and shows what they come to.
pub(super) fn meters(
    clock: Res<FrameClock>,
    channels: Res<Channels>,
    (mixed, out, board): (Res<MixedSound>, Res<Out>, Res<LevelBoard>),
    mut master: ResMut<MasterMeter>,
    mut rows: Query<Row>,
) {
    let count = samples_in_tick(clock.rate, clock.tick);
    for (_, _, sound, _, _, _, mut meter) in &mut rows {
        meter.hear(sound.plays.then_some(&sound.samples), count);
    }
    let samples = match &mixed.0 {
        AudioChunk::Samples(samples) => Some(&**samples),
        AudioChunk::Silence { .. } => None,
    };
    master.hear(samples, count);
    let fall = FALL_DB / FALL_SECONDS * count as f32 / SAMPLE_RATE as f32;
    master.reduction_db = out.reduction_db().max(master.reduction_db - fall).max(0.0);
    board.try_write(|shown| {
        shown.tick = clock.tick;
        shown.master = master.meter.levels();
        shown.true_peak_max_dbtp = decibels(master.true_peak);
        shown.reduction_db = master.reduction_db;
        let mut place = 0;
        for entity in &channels.0 {
            let Ok((layer, gain, _, duck, goes, leaves, meter)) = rows.get(*entity) else {
                continue;
            };
            if goes || leaves {
                continue;
            }
            let levels = ChannelLevels {
                layer: layer.clone(),
                is_open: gain.is_open,
                ducked_db: duck.reduction_db,
                levels: meter.levels(),
            };
            match shown.channels.get_mut(place) {
                Some(slot) => *slot = levels,
                None => shown.channels.push(levels),
            }
            place += 1;
        }
        shown.channels.truncate(place);
    });
}
