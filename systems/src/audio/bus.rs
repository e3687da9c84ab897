//! The sum of all sounds and what is done to it: `audio::sum` and `audio::limiter`.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::animation::Glide;
use components::scene::FrameRate;
use components::sound::{GAIN_MAX_DB, GAIN_MIN_DB, MasterSound};
use glam::Vec4;

use super::channel::{CUT_SAMPLES, ChannelSound, Channels, factor_of};
use super::limiter::Limiter;
use super::{AudioChunk, MixedSound, SAMPLE_RATE, StereoSamples, samples_in_tick};
use crate::animate::{GlidePlace, GlideState};
use crate::clock::FrameClock;
use crate::render::Hold;
use crate::scene::SceneInfo;
use crate::transition::SceneMix;

/// In how many samples the sound goes when the stream is paused, and comes back: 50 ms.
const HOLD_SAMPLES: f32 = 0.05 * SAMPLE_RATE as f32;
/// A sound that ends below this needs nothing to let it end (-80 dB).
const TAIL_FROM: f32 = 1e-4;
/// The most buffers that are kept to be used again.
const POOL_MAX: usize = 32;

/// The end of what a layer gave to the sum, should the layer not be there on the next tick.
#[derive(Clone, Debug)]
struct Tail {
    layer: Entity,
    sides: [Vec<f32>; 2],
    is_of_this_tick: bool,
}

/// The sum of this tick before its limiter. Written in `Mix`.
#[derive(Resource, Debug)]
pub(crate) struct Bus {
    samples: StereoSamples,
    plays: bool,
    /// What the last tick ended with: the factor of the sum, and its decibels.
    factor: Option<f32>,
    shown_db: f32,
    moved: bool,
    glide: Option<GlideState>,
    /// What was authored on the last tick.
    own_db: Option<Vec4>,
    /// The factor that the scene on air has by itself, as of the last tick.
    own: f32,
    /// The factor that the scene that goes was heard with when it was left, or turned round from.
    gone: Option<f32>,
    /// How much is heard while the stream is being paused, 1 all, 0 nothing.
    open: f32,
    tails: Vec<Tail>,
    spare: Vec<Tail>,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            samples: StereoSamples::default(),
            plays: false,
            factor: None,
            shown_db: 0.0,
            moved: false,
            glide: None,
            own_db: None,
            own: 1.0,
            gone: None,
            open: 1.0,
            tails: Vec::new(),
            spare: Vec::new(),
        }
    }
}

/// The limiter, and the buffers in which sound goes out.
#[derive(Resource, Debug, Default)]
pub(super) struct Out {
    limiter: Limiter,
    pool: Vec<Arc<StereoSamples>>,
}

impl Out {
    /// By how much the limiter turned this tick down at most, in decibels, 0 or more.
    pub(super) fn reduction_db(&self) -> f32 {
        if self.limiter.least < 1.0 {
            -20.0 * self.limiter.least.log10()
        } else {
            0.0
        }
    }
}

/// Has the gain of the sum go to what is written next, from what is heard.
pub(crate) fn glide_master(world: &mut World, glide: &Glide) {
    let clock = *world.resource::<FrameClock>();
    let mut bus = world.resource_mut::<Bus>();
    bus.glide = Some(GlideState::begin(
        glide,
        Vec4::splat(bus.shown_db),
        Vec4::ZERO,
        &clock,
    ));
}

/// The scene on air gives way to another one, which has a gain of its own; `mixes` says whether it is heard meanwhile.
pub(crate) fn leave_scene(world: &mut World, mixes: bool) {
    let mut bus = world.resource_mut::<Bus>();
    bus.glide = None;
    bus.gone = bus.factor.filter(|_| mixes);
}

/// The scene that goes comes back, and the other one goes.
pub(crate) fn turn_round(world: &mut World) {
    let mut bus = world.resource_mut::<Bus>();
    bus.glide = None;
    bus.gone = bus.factor.is_some().then_some(bus.own);
}

/// Adds all layers up.
pub(super) fn sum(
    clock: Res<FrameClock>,
    (mix, info, hold): (Res<SceneMix>, Option<Res<SceneInfo>>, Res<Hold>),
    channels: Res<Channels>,
    rows: Query<&ChannelSound>,
    mut bus: ResMut<Bus>,
) {
    let bus = &mut *bus;
    let count = samples_in_tick(clock.rate, clock.tick);
    bus.plays = false;
    bus.samples.left.clear();
    bus.samples.right.clear();
    bus.samples.left.resize(count, 0.0);
    bus.samples.right.resize(count, 0.0);
    for entity in &channels.0 {
        let Ok(channel) = rows.get(*entity) else {
            continue;
        };
        if channel.plays {
            add(&mut bus.samples.left, &channel.samples.left);
            add(&mut bus.samples.right, &channel.samples.right);
            bus.plays = true;
            bus.keep_tail(*entity, &channel.samples);
        }
    }
    bus.end_tails();
    let master = info.as_ref().map(|info| info.audio.master.clone());
    bus.turn(&clock, &master.unwrap_or_default(), &mix, count);
    bus.pause(!matches!(*hold, Hold::Scene));
}

fn add(sum: &mut [f32], samples: &[f32]) {
    for (sum, sample) in sum.iter_mut().zip(samples) {
        *sum += sample;
    }
}

impl Bus {
    /// Another layer goes on with the sound of one.
    pub(super) fn rename_tail(&mut self, from: Entity, to: Entity) {
        for tail in &mut self.tails {
            if tail.layer == from {
                tail.layer = to;
            }
        }
    }

    /// Keeps the end of a layer's sound.
    fn keep_tail(&mut self, layer: Entity, samples: &StereoSamples) {
        let place = self.tails.iter().position(|tail| tail.layer == layer);
        let place = place.unwrap_or_else(|| {
            let tail = self.spare.pop().unwrap_or_else(|| Tail {
                layer,
                sides: [(); 2].map(|()| Vec::with_capacity(CUT_SAMPLES)),
                is_of_this_tick: true,
            });
            self.tails.push(tail);
            self.tails.len() - 1
        });
        let tail = &mut self.tails[place];
        tail.layer = layer;
        tail.is_of_this_tick = true;
        for (kept, side) in tail.sides.iter_mut().zip([&samples.left, &samples.right]) {
            kept.clear();
            kept.extend_from_slice(&side[side.len().saturating_sub(CUT_SAMPLES)..]);
        }
    }

    /// A layer that was cut off in the middle of a wave is heard a little longer, backwards, on its way to nothing: that does not click.
    fn end_tails(&mut self) {
        let mut place = 0;
        while place < self.tails.len() {
            if self.tails[place].is_of_this_tick {
                self.tails[place].is_of_this_tick = false;
                place += 1;
                continue;
            }
            let tail = self.tails.swap_remove(place);
            let end = |side: &Vec<f32>| side.last().map_or(0.0, |sample| sample.abs());
            if end(&tail.sides[0]).max(end(&tail.sides[1])) >= TAIL_FROM {
                self.plays = true;
                let sums = [&mut self.samples.left, &mut self.samples.right];
                for (sum, side) in sums.into_iter().zip(&tail.sides) {
                    let length = side.len().min(sum.len());
                    for (place, (sum, sample)) in sum.iter_mut().zip(side.iter().rev()).enumerate()
                    {
                        *sum += sample * (1.0 - (place + 1) as f32 / length as f32).max(0.0);
                    }
                }
            }
            self.spare.push(tail);
        }
    }

    /// Where the way of the sum's gain stands, if it is on one.
    pub(crate) fn glide_place(&self) -> Option<GlidePlace> {
        self.glide.as_ref()?.place()
    }

    /// Has the sum's gain go on from there.
    pub(crate) fn go_on(&mut self, place: GlidePlace) {
        self.glide = Some(place.into());
    }

    /// The gain of the sum, before scenes are mixed.
    fn decibels(&mut self, clock: &FrameClock, own: f32) -> f32 {
        let own = Vec4::splat(own);
        let before = self.own_db.replace(own);
        let Some(glide) = &mut self.glide else {
            return own.x;
        };
        if let Some(before) = before {
            glide.settle(before, own);
        }
        match glide.offset(own, clock) {
            Some(offset) => (own.x + offset.x).clamp(GAIN_MIN_DB, GAIN_MAX_DB),
            None => {
                self.glide = None;
                own.x
            }
        }
    }

    /// The gain of the sum.
    fn turn(&mut self, clock: &FrameClock, master: &MasterSound, mix: &SceneMix, count: usize) {
        let decibels = self.decibels(clock, master.gain);
        self.shown_db = decibels;
        let own = if master.muted {
            0.0
        } else {
            factor_of(decibels)
        };
        self.own = own;
        let to = match mix.part().zip(self.gone) {
            Some((part, gone)) => gone + (own - gone) * part as f32,
            None => own,
        };
        let moves = self.glide.is_some() || mix.is_active();
        let ramp = match moves || self.moved {
            true => count,
            false => CUT_SAMPLES.min(count),
        };
        self.moved = moves;
        let from = self.factor.replace(to).unwrap_or(to);
        if !self.plays {
            return;
        }
        if from == 0.0 && to == 0.0 {
            self.plays = false;
            return;
        }
        if (from, to) == (1.0, 1.0) {
            return;
        }
        for side in [&mut self.samples.left, &mut self.samples.right] {
            for (place, sample) in side.iter_mut().enumerate() {
                let part = ((place + 1) as f32 / ramp as f32).min(1.0);
                *sample *= from + (to - from) * part;
            }
        }
    }

    /// What stands for the scene while the stream is paused has no sound.
    fn pause(&mut self, is_paused: bool) {
        let count = self.samples.left.len();
        let step = if is_paused { -1.0 } else { 1.0 } / HOLD_SAMPLES;
        let from = self.open;
        let at = |place: usize| (from + step * (place + 1) as f32).clamp(0.0, 1.0);
        self.open = count.checked_sub(1).map_or(from, at);
        if !self.plays || from == 1.0 && self.open == 1.0 {
            return;
        }
        if from == 0.0 && self.open == 0.0 {
            self.plays = false;
            return;
        }
        for side in [&mut self.samples.left, &mut self.samples.right] {
            for (place, sample) in side.iter_mut().enumerate() {
                *sample *= at(place);
            }
        }
    }
}

/// Keeps the sum below its ceiling, and puts it where it goes out from.
pub(super) fn limit(
    clock: Res<FrameClock>,
    (mix, info): (Res<SceneMix>, Option<Res<SceneInfo>>),
    bus: Res<Bus>,
    mut out: ResMut<Out>,
    mut mixed: ResMut<MixedSound>,
) {
    let count = samples_in_tick(clock.rate, clock.tick);
    let Out { limiter, pool } = &mut *out;
    // The one that went out on the last tick may be free by now.
    mixed.0 = AudioChunk::Silence { samples: count };
    if limiter.is_empty(bus.plays) {
        limiter.rest();
        return;
    }
    let mut spec = info.as_ref().map(|info| info.audio.master.limiter.clone());
    if let (Some(spec), Some((part, before))) = (
        spec.as_mut(),
        mix.part()
            .zip(mix.outgoing_master().map(|master| &master.limiter)),
    ) {
        spec.ceiling = before.ceiling + (spec.ceiling - before.ceiling) * part as f32;
    }
    let spec = spec.unwrap_or_default();
    let place = free_buffer(pool, longest_tick(clock.rate));
    if let Some(buffer) = pool.get_mut(place).and_then(Arc::get_mut) {
        let input = bus.plays.then_some(&bus.samples);
        limiter.run(input, count, &spec, buffer);
        mixed.0 = AudioChunk::Samples(Arc::clone(&pool[place]));
    }
}

fn longest_tick(rate: FrameRate) -> usize {
    (f64::from(SAMPLE_RATE) / rate.as_f64()).ceil() as usize
}

/// A buffer that nobody holds any more, or a new one.
fn free_buffer(pool: &mut Vec<Arc<StereoSamples>>, samples: usize) -> usize {
    let free = pool
        .iter_mut()
        .position(|buffer| Arc::get_mut(buffer).is_some());
    free.unwrap_or_else(|| {
        let buffer = Arc::new(StereoSamples {
            left: Vec::with_capacity(samples),
            right: Vec::with_capacity(samples),
        });
        if pool.len() < POOL_MAX {
            pool.push(buffer);
            pool.len() - 1
        } else {
            // Whoever holds the other one lets go of it by itself.
            pool[0] = buffer;
            0
        }
    })
}
