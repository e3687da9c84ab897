//! How loud each layer is heard, and its samples at that gain: `audio::gains` and `audio::weigh`.
//!
//! A gain is reached at the last sample of its tick, in a straight line from where the tick before left it, so nothing clicks and a fade
//! has no steps. What jumps, such as a layer that is muted or cut, gets there within [`CUT_SAMPLES`].

use std::f32::consts::FRAC_PI_2;

use bevy_ecs::prelude::*;
use components::derived::Computed;
use components::sound::{GAIN_MIN_DB, Sound, SoundRole};
use components::transition::{Enter, Exit};

use super::bus::Bus;
use super::{Heard, SourceSound, StereoSamples, samples_in_tick};
use crate::clock::FrameClock;
use crate::layout::{LayerTree, Placed};
use crate::scene::{Leaving, Outgoing};
use crate::transition::{Presence, SceneMix};

/// In how many samples a gain that jumps gets there: 8 ms.
pub const CUT_SAMPLES: usize = 384;
/// In how many samples a source that begins in the middle of a wave is let in: 2 ms.
const ATTACK_SAMPLES: usize = 96;
/// A source whose first sample is below this begins by itself without a click.
const ATTACK_FROM: f32 = 0.01;
/// A sample beyond this (24 dB over full scale) is a fault of its source, and silence.
const SAMPLE_MAX: f32 = 16.0;
/// The longest stretch over which a level is measured, in samples: 5 ms.
pub(super) const LEVEL_SAMPLES: usize = 240;
/// The time constant of the measured level, in samples: 10 ms.
const LEVEL_TIME_SAMPLES: f32 = 480.0;
/// A mean square below this (-120 dB) is silence.
const LEVEL_MIN: f32 = 1e-12;

/// Decibels as a factor; [`GAIN_MIN_DB`] is silence.
pub(crate) fn factor_of(decibels: f32) -> f32 {
    if decibels <= GAIN_MIN_DB {
        return 0.0;
    }
    10f64.powf(f64::from(decibels) / 20.0) as f32
}

/// What each side gives to each side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Weights {
    left: f32,
    right: f32,
    right_to_left: f32,
    left_to_right: f32,
}

impl Weights {
    /// A stereo source at `gain`, moved to one side by the law of the Web Audio API's `StereoPannerNode` for two channels: in the middle
    /// nothing changes; the side that is left goes over to the other one at constant power.
    pub(super) fn panned(gain: f32, pan: f32) -> Self {
        let angle = pan.abs().min(1.0) * FRAC_PI_2;
        let (stays, crosses) = if pan == 0.0 {
            (gain, 0.0)
        } else {
            (gain * angle.cos(), gain * angle.sin())
        };
        if pan <= 0.0 {
            Self {
                left: gain,
                right: stays,
                right_to_left: crosses,
                left_to_right: 0.0,
            }
        } else {
            Self {
                left: stays,
                right: gain,
                right_to_left: 0.0,
                left_to_right: crosses,
            }
        }
    }

    fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    fn crosses(&self) -> bool {
        self.right_to_left != 0.0 || self.left_to_right != 0.0
    }
}

/// How loud a layer is heard on this tick: from the first sample to the last. On each layer with sound; written in `Mix`.
#[derive(Component, Clone, Debug, Default)]
pub struct ChannelGain {
    from: Weights,
    to: Weights,
    /// Samples in which it gets there.
    ramp: usize,
    /// Whether something moves it: a track, a glide, a fade.
    moves: bool,
    /// Whether the layer could be heard if it played: visible, not muted, not left out by others that are solo.
    pub is_open: bool,
}

/// What a layer gives to the sum: its samples at its gain. On each layer with sound; written in `Mix`.
#[derive(Component, Clone, Debug, Default)]
pub struct ChannelSound {
    /// This tick's samples, where `plays`.
    pub samples: StereoSamples,
    /// Whether there is anything but silence.
    pub plays: bool,
}

/// How loud a layer was in the stretches of this tick, as the mean square of both sides, smoothed. On each layer with sound; written in
/// `Mix`, before anything steps back.
#[derive(Component, Clone, Debug, Default)]
pub struct ChannelLevel {
    /// What it is, for ducking.
    pub(super) role: SoundRole,
    /// Of each stretch, at its end; empty in silence.
    pub(super) levels: Vec<f32>,
    last: f32,
}

/// The layers with sound in the order in which they are added up.
#[derive(Resource, Debug, Default)]
pub struct Channels(pub(super) Vec<Entity>);

/// A layer that goes on with a sound of the scene before it: it is not faded as its scene comes. On such layers; written as scenes change.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct Through;

/// How a layer was heard, for another one to go on with.
pub(crate) struct Strand {
    from: Entity,
    gain: Option<ChannelGain>,
    level: Option<ChannelLevel>,
    plays: bool,
}

/// Takes how a layer is heard.
pub(crate) fn take_strand(world: &World, from: Entity) -> Strand {
    Strand {
        from,
        gain: world.get::<ChannelGain>(from).cloned(),
        level: world.get::<ChannelLevel>(from).cloned(),
        plays: world
            .get::<ChannelSound>(from)
            .is_some_and(|sound| sound.plays),
    }
}

/// Has a layer go on from there, as though it were the one before: nothing begins, and nothing ends.
pub(crate) fn tie_strand(world: &mut World, strand: Strand, to: Entity) {
    let Strand {
        from,
        gain,
        level,
        plays,
    } = strand;
    world.resource_mut::<Bus>().rename_tail(from, to);
    let mut entity = world.entity_mut(to);
    entity.insert(Through);
    if let Some(gain) = gain {
        entity.insert(gain);
    }
    if let Some(level) = level {
        entity.insert(level);
    }
    if let Some(mut sound) = entity.get_mut::<ChannelSound>() {
        sound.plays = plays;
    }
}

type GainRow<'a> = (
    &'a Computed<Sound>,
    &'a Sound,
    &'a Placed,
    Has<Through>,
    Has<Outgoing>,
    Has<Leaving>,
    &'a mut ChannelGain,
);
type Fade<'a> = (&'a Presence, Option<&'a Enter>, Option<&'a Exit>);

/// Says how loud each layer is.
pub(super) fn gains(
    clock: Res<FrameClock>,
    tree: Res<LayerTree>,
    mix: Res<SceneMix>,
    mut channels: ResMut<Channels>,
    mut rows: Query<GainRow, With<SourceSound>>,
    fades: Query<Fade>,
) {
    channels.0.clear();
    let mut has_solo = [false; 2];
    for (sound, _, _, _, goes, leaves, _) in &rows {
        has_solo[usize::from(goes)] |= sound.0.solo && !leaves;
    }
    let tick_samples = samples_in_tick(clock.rate, clock.tick);
    for (place, node) in tree.nodes.iter().enumerate() {
        let Ok((Computed(sound), authored, placed, stays, goes, _, mut gain)) =
            rows.get_mut(node.entity)
        else {
            continue;
        };
        channels.0.push(node.entity);
        let (fade, fades_now) = fade_of(&tree, place, &fades);
        let change = mix.part().filter(|_| !stays).map_or(1.0, |part| {
            // Two scenes are two sounds that have nothing to do with each other: their powers add up to one.
            let angle = part as f32 * FRAC_PI_2;
            if goes { angle.cos() } else { angle.sin() }
        });
        let is_open =
            placed.visible && !sound.muted && (sound.solo || !has_solo[usize::from(goes)]);
        let to = if is_open {
            Weights::panned(factor_of(sound.gain) * fade * change, sound.pan)
        } else {
            Weights::default()
        };
        let moves = fades_now
            || mix.is_active()
            || (sound.gain, sound.pan) != (authored.gain, authored.pan);
        let ramp = if is_open == gain.is_open && (moves || gain.moves) {
            tick_samples
        } else {
            CUT_SAMPLES
        };
        *gain = ChannelGain {
            from: gain.to,
            to,
            ramp: ramp.min(tick_samples),
            moves,
            is_open,
        };
    }
}

/// What is there of a layer and of those above it, as they come or go, as a factor; and whether one of them does.
fn fade_of(tree: &LayerTree, place: usize, fades: &Query<Fade>) -> (f32, bool) {
    let (mut factor, mut moves) = (1.0, false);
    let mut next = Some(place);
    while let Some(node) = next.and_then(|place| tree.nodes.get(place)) {
        if let Ok((presence, enter, exit)) = fades.get(node.entity)
            && let Some((_, part)) = presence.transition(enter, exit)
        {
            factor *= (part.clamp(0.0, 1.0) * FRAC_PI_2).sin();
            moves = true;
        }
        next = node.parent.map(|parent| parent as usize);
    }
    (factor, moves)
}

type WeighRow<'a> = (
    &'a SourceSound,
    &'a Heard,
    &'a ChannelGain,
    &'a mut ChannelSound,
    &'a mut ChannelLevel,
);

/// Takes each layer's samples to its gain, and measures them.
pub(super) fn weigh(clock: Res<FrameClock>, mut rows: Query<WeighRow>) {
    let count = samples_in_tick(clock.rate, clock.tick);
    for (source, heard, gain, mut channel, mut level) in &mut rows {
        let played = channel.plays;
        channel.plays = source.plays && !(gain.from.is_silent() && gain.to.is_silent());
        level.role = heard.role;
        if channel.plays {
            weigh_one(&source.samples, gain, &mut channel.samples, count);
            if !played {
                let_in(&mut channel.samples);
            }
            level.measure(&channel.samples);
        } else {
            level.fall(count);
        }
    }
}

fn weigh_one(source: &StereoSamples, gain: &ChannelGain, out: &mut StereoSamples, count: usize) {
    out.left.clear();
    out.right.clear();
    out.left
        .extend(source.left.iter().take(count).map(|sample| sound(*sample)));
    out.right
        .extend(source.right.iter().take(count).map(|sample| sound(*sample)));
    out.left.resize(count, 0.0);
    out.right.resize(count, 0.0);
    let (from, to) = (gain.from, gain.to);
    let ramp = if from == to { 0 } else { gain.ramp.min(count) };
    let step = 1.0 / ramp.max(1) as f32;
    let mut pairs = out.left.iter_mut().zip(out.right.iter_mut());
    for (place, (left, right)) in pairs.by_ref().take(ramp).enumerate() {
        let part = (place + 1) as f32 * step;
        let at = |from: f32, to: f32| from + (to - from) * part;
        let (a, b) = (*left, *right);
        *left = a * at(from.left, to.left) + b * at(from.right_to_left, to.right_to_left);
        *right = b * at(from.right, to.right) + a * at(from.left_to_right, to.left_to_right);
    }
    if to.crosses() {
        for (left, right) in pairs {
            let (a, b) = (*left, *right);
            *left = a * to.left + b * to.right_to_left;
            *right = b * to.right + a * to.left_to_right;
        }
        return;
    }
    scale(&mut out.left[ramp..], to.left);
    scale(&mut out.right[ramp..], to.right);
}

/// A sample, or silence where it is none.
fn sound(sample: f32) -> f32 {
    if sample.abs() <= SAMPLE_MAX {
        sample
    } else {
        0.0
    }
}

fn scale(samples: &mut [f32], factor: f32) {
    if factor != 1.0 {
        for sample in samples {
            *sample *= factor;
        }
    }
}

/// Has a sound that begins in the middle of a wave rise to it; one that begins by itself is left as it is.
fn let_in(samples: &mut StereoSamples) {
    let first = |side: &[f32]| side.first().map_or(0.0, |sample| sample.abs());
    if first(&samples.left).max(first(&samples.right)) < ATTACK_FROM {
        return;
    }
    for side in [&mut samples.left, &mut samples.right] {
        for (place, sample) in side.iter_mut().take(ATTACK_SAMPLES).enumerate() {
            *sample *= place as f32 / ATTACK_SAMPLES as f32;
        }
    }
}

impl ChannelLevel {
    fn measure(&mut self, samples: &StereoSamples) {
        self.levels.clear();
        let stretches =
            |side: &'_ [f32]| -> f32 { side.iter().map(|sample| sample * sample).sum() };
        for (left, right) in samples
            .left
            .chunks(LEVEL_SAMPLES)
            .zip(samples.right.chunks(LEVEL_SAMPLES))
        {
            let mean = (stretches(left) + stretches(right)) / (2 * left.len()) as f32;
            self.last += (mean - self.last) * part_of(left.len());
            self.levels.push(self.last);
        }
    }

    fn fall(&mut self, count: usize) {
        self.levels.clear();
        if self.last < LEVEL_MIN {
            self.last = 0.0;
            return;
        }
        for stretch in stretches_of(count) {
            self.last -= self.last * part_of(stretch);
            self.levels.push(self.last);
        }
    }
}

/// The lengths of the stretches of a tick.
pub(super) fn stretches_of(count: usize) -> impl Iterator<Item = usize> {
    let whole = count / LEVEL_SAMPLES;
    let rest = count % LEVEL_SAMPLES;
    std::iter::repeat_n(LEVEL_SAMPLES, whole).chain((rest > 0).then_some(rest))
}

fn part_of(samples: usize) -> f32 {
    1.0 - (-(samples as f32) / LEVEL_TIME_SAMPLES).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_changes_nothing_and_a_side_has_all_the_power() {
        let middle = Weights::panned(1.0, 0.0);
        assert_eq!(
            (middle.left, middle.right, middle.crosses()),
            (1.0, 1.0, false)
        );
        for pan in [-1.0f32, -0.7, -0.2, 0.3, 0.5, 1.0] {
            let weights = Weights::panned(1.0, pan);
            let (near, far, crossed) = match pan < 0.0 {
                true => (weights.left, weights.right, weights.right_to_left),
                false => (weights.right, weights.left, weights.left_to_right),
            };
            assert_eq!(near, 1.0);
            assert!((far * far + crossed * crossed - 1.0).abs() < 1e-6, "{pan}");
        }
    }

    #[test]
    fn stretches_are_as_long_as_the_tick() {
        for count in [0, 1, 240, 800, 801, 1602, 4800] {
            assert_eq!(stretches_of(count).sum::<usize>(), count);
        }
    }

    #[test]
    fn what_is_no_number_is_silence() {
        let source = StereoSamples {
            left: vec![f32::NAN, f32::INFINITY, 0.5],
            right: vec![1e9, -0.25],
        };
        let gain = ChannelGain {
            from: Weights::panned(1.0, 0.0),
            to: Weights::panned(1.0, 0.0),
            ..ChannelGain::default()
        };
        let mut out = StereoSamples::default();
        weigh_one(&source, &gain, &mut out, 4);
        assert_eq!(out.left, [0.0, 0.0, 0.5, 0.0]);
        assert_eq!(out.right, [0.0, -0.25, 0.0, 0.0]);
    }
}
