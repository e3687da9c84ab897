//! Which picture an image layer shows, and which frame of a moving one. Both follow from the tick, so that seeking to it gives what
//! playing to it gives.

use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use components::animation::Timeline;
use components::derived::{Computed, FilledText, NaturalSize};
use components::layer::Crop;
use components::source::{ImageSource, Playback};

use super::measure::crop_box;
use super::propagate::Placed;
use crate::animate::{FieldMotions, Integral, Speed};
use crate::assets::{Picture, PictureKind, Pictures};
use crate::clock::FrameClock;

/// The picture that an image layer shows on this tick: the last one that was there, while a new one is on its way. Written in `Layout`.
#[derive(Component, Clone, Default)]
#[component(on_add = note_tick)]
pub struct ShownPicture {
    /// The picture.
    pub picture: Option<Picture>,
    /// The tick from which a moving picture plays: the one on which its layer, or its source, came into the world; or on which other
    /// words of its `src` brought another picture.
    pub since_tick: u64,
    /// How long it had played at that tick, in nanoseconds: more than 0 only after the rate of the ticks has changed.
    pub from_nanos: u64,
    /// Seconds of the file that came to it as the speed was moved.
    played: Integral,
    /// The frame of a moving picture; 0 of others.
    pub frame: usize,
    /// Whether the layer was looked at before.
    is_known: bool,
    /// Keeps the resized frames that the layer shows; see [`FrameRasters`](crate::render::FrameRasters).
    pub(crate) frames: Option<Arc<()>>,
}

impl ShownPicture {
    /// How long a moving picture has played, in nanoseconds.
    pub fn elapsed_nanos(&self, clock: &FrameClock) -> u64 {
        let ticks = clock.tick.saturating_sub(self.since_tick);
        self.from_nanos.saturating_add(clock.rate.nanos_at(ticks))
    }

    /// It plays since `tick`; before it was looked at.
    pub(crate) fn began_on(&mut self, tick: u64) {
        self.since_tick = tick;
        self.played = Integral::new(tick);
    }

    /// Plays from its start: its source is another one from this tick on.
    pub(crate) fn begin_anew(&mut self, clock: &FrameClock) {
        (self.since_tick, self.from_nanos) = (clock.tick, 0);
        self.played = Integral::new(clock.tick);
    }

    /// Goes on from where it is on this tick, having played at `speed`, when its source plays it in another way.
    pub(crate) fn play_on(&mut self, speed: f32, clock: &FrameClock) {
        self.played.settle(clock, clock.rate);
        let seconds = self.elapsed_nanos(clock) as f64 / 1e9 * f64::from(speed);
        let played = Integral::of(seconds + self.played.value(), clock.tick);
        (self.since_tick, self.from_nanos) = (clock.tick, 0);
        self.played = played;
    }

    /// Counts from this tick on, at which the rate of the ticks changes.
    pub(crate) fn count_from(&mut self, clock: &FrameClock) {
        self.from_nanos = self.elapsed_nanos(clock);
        self.since_tick = clock.tick;
    }
}

fn note_tick(mut world: DeferredWorld, context: HookContext) {
    let tick = world
        .get_resource::<FrameClock>()
        .map_or(0, |clock| clock.tick);
    if let Some(mut shown) = world.get_mut::<ShownPicture>(context.entity) {
        shown.since_tick = tick;
        shown.played = Integral::new(tick);
    }
}

type PictureRow<'a> = (
    Ref<'a, ImageSource>,
    Ref<'a, FilledText>,
    Ref<'a, Computed<Crop>>,
    &'a mut ShownPicture,
    &'a mut NaturalSize,
);

pub(super) fn measure_pictures(
    clock: Res<FrameClock>,
    mut pictures: ResMut<Pictures>,
    mut seen: Local<u64>,
    mut layers: Query<PictureRow>,
) {
    let arrived = *seen != pictures.revision();
    *seen = pictures.revision();
    for (source, words, crop, mut shown, mut natural) in &mut layers {
        if !arrived && !source.is_changed() && !words.is_changed() && !crop.is_changed() {
            continue;
        }
        let is_new = !shown.is_known;
        shown.bypass_change_detection().is_known = true;
        // No name is no picture, and a name that has none yet leaves what was there.
        if words.0.is_empty() && shown.picture.is_some() {
            shown.picture = None;
        }
        let Some(picture) = pictures.get(&words.0) else {
            continue;
        };
        natural.set_if_neq(NaturalSize(crop_box(picture.size(), &crop.0).1));
        let is_same = shown
            .picture
            .as_ref()
            .is_some_and(|shown| shown.is_same(&picture));
        if !is_same {
            shown.picture = Some(picture);
            shown.frame = 0;
            if !is_new {
                shown.begin_anew(&clock);
            }
        }
    }
}

type RunningRow<'a> = (
    &'a ImageSource,
    &'a mut ShownPicture,
    Option<&'a mut FieldMotions<ImageSource>>,
);

/// Adds up how far a speed that moves has played each picture before this tick. Stands in `Animate`, before that speed is computed.
pub(crate) fn advance_plays(
    clock: Res<FrameClock>,
    timelines: Query<&Timeline>,
    mut pictures: Query<RunningRow>,
) {
    for (source, mut shown, motions) in &mut pictures {
        let shown = shown.bypass_change_detection();
        let speed = Speed {
            path: "playback.speed",
            own: source.playback.speed,
            range: (0.0, 16.0),
        };
        let since_tick = shown.since_tick;
        shown
            .played
            .advance(&speed, since_tick, motions, &timelines, &clock, clock.rate);
    }
}

type PlayingRow<'a> = (
    &'a ImageSource,
    &'a Computed<ImageSource>,
    &'a Placed,
    &'a mut ShownPicture,
);

/// After it, each visible moving picture has the frame of this tick. Only another frame counts as a change.
pub(super) fn choose_frames(clock: Res<FrameClock>, mut layers: Query<PlayingRow>) {
    for (authored, Computed(source), placed, mut shown) in &mut layers {
        let faster = f64::from(source.playback.speed) - f64::from(authored.playback.speed);
        shown.bypass_change_detection().played.note(faster);
        let Some(PictureKind::Animated(animation)) = shown.picture.as_ref().map(Picture::kind)
        else {
            continue;
        };
        if !placed.visible || placed.opacity <= 0.0 {
            continue;
        }
        let playback = Playback {
            speed: authored.playback.speed,
            ..source.playback
        };
        let played = shown.played.value();
        let frame = animation.frame_at(shown.elapsed_nanos(&clock), played, &playback);
        if shown.frame != frame {
            shown.frame = frame;
        }
    }
}
