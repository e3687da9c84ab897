//! One system for every property: resolve the authored value, then lay the tracks over it.

use bevy_ecs::prelude::*;
use components::animation::{Lane, Tracks};
use components::derived::{Animatable, Computed};
use components::layer::{Opacity, Position, Rotation, Scale, Size};
use glam::Vec2;
use serde_json::Value;

use super::easing::EasingCurve;
use super::timeline::TimelineNow;
use crate::data::SceneData;

/// A property that data and tracks can move: how its authored form comes to a value, and how tracks reach its numbers.
pub trait MovingProperty: Animatable {
    /// The authored value, bound numbers looked up.
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> Self::Value;
    /// Whether any number is bound to data.
    fn is_bound(&self) -> bool;
    /// The value as two numbers; a single number is the first.
    fn split(value: Self::Value) -> Vec2;
    /// The value from its two numbers, cut to its range.
    fn join(pair: Vec2) -> Self::Value;
    /// Lays a track's number over another: replaced, or combined.
    fn combine(base: f32, track: f32) -> f32 {
        base + track
    }
}

impl MovingProperty for Position {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> Vec2 {
        Vec2::new(self.x.resolve(lookup), self.y.resolve(lookup))
    }
    fn is_bound(&self) -> bool {
        self.x.path().is_some() || self.y.path().is_some()
    }
    fn split(value: Vec2) -> Vec2 {
        value
    }
    fn join(pair: Vec2) -> Vec2 {
        pair
    }
}

impl MovingProperty for Size {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> Vec2 {
        Self::join(Vec2::new(
            self.width.resolve(lookup),
            self.height.resolve(lookup),
        ))
    }
    fn is_bound(&self) -> bool {
        self.width.path().is_some() || self.height.path().is_some()
    }
    fn split(value: Vec2) -> Vec2 {
        value
    }
    fn join(pair: Vec2) -> Vec2 {
        pair.clamp(Vec2::ZERO, Vec2::splat(Self::MAX))
    }
}

impl MovingProperty for Scale {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> Vec2 {
        Vec2::new(self.x.resolve(lookup), self.y.resolve(lookup))
    }
    fn is_bound(&self) -> bool {
        self.x.path().is_some() || self.y.path().is_some()
    }
    fn split(value: Vec2) -> Vec2 {
        value
    }
    fn join(pair: Vec2) -> Vec2 {
        pair.clamp(Vec2::splat(-1000.0), Vec2::splat(1000.0))
    }
    fn combine(base: f32, track: f32) -> f32 {
        base * track
    }
}

impl MovingProperty for Rotation {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> f32 {
        self.0.resolve(lookup)
    }
    fn is_bound(&self) -> bool {
        self.0.path().is_some()
    }
    fn split(value: f32) -> Vec2 {
        Vec2::new(value, 0.0)
    }
    fn join(pair: Vec2) -> f32 {
        pair.x
    }
}

impl MovingProperty for Opacity {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> f32 {
        self.0.resolve(lookup).clamp(0.0, 1.0)
    }
    fn is_bound(&self) -> bool {
        self.0.path().is_some()
    }
    fn split(value: f32) -> Vec2 {
        Vec2::new(value, 0.0)
    }
    fn join(pair: Vec2) -> f32 {
        pair.x.clamp(0.0, 1.0)
    }
    fn combine(base: f32, track: f32) -> f32 {
        base * track
    }
}

/// [`Tracks`] with their curves built. On the layer's entity, beside them.
#[derive(Component, Debug)]
pub struct CompiledTracks<T: Animatable> {
    lanes: Vec<CompiledLane>,
    marker: std::marker::PhantomData<fn() -> T>,
}

/// One track with its curves built.
#[derive(Debug)]
pub struct CompiledLane {
    timeline: Entity,
    mask: [bool; 2],
    additive: bool,
    frames: Vec<CompiledFrame>,
}

#[derive(Debug)]
struct CompiledFrame {
    at: f64,
    value: Vec2,
    curve: EasingCurve,
}

impl<T: Animatable> CompiledTracks<T> {
    /// Builds the curves of `tracks`.
    pub fn new(tracks: &Tracks<T>) -> Self {
        Self {
            lanes: tracks.lanes.iter().map(CompiledLane::new).collect(),
            marker: std::marker::PhantomData,
        }
    }

    /// The largest value of each number over all keyframes, by absolute value; 0 when there are none.
    pub fn largest(&self) -> Vec2 {
        let mut largest = Vec2::ZERO;
        for lane in &self.lanes {
            for frame in &lane.frames {
                let pair = frame.value.abs();
                let kept = Vec2::new(
                    if lane.mask[0] { pair.x } else { 0.0 },
                    if lane.mask[1] { pair.y } else { 0.0 },
                );
                largest = largest.max(kept);
            }
        }
        largest
    }
}

impl CompiledLane {
    fn new(lane: &Lane) -> Self {
        let frames = lane
            .keyframes
            .iter()
            .map(|keyframe| CompiledFrame {
                at: f64::from(keyframe.at),
                value: keyframe.value.pair(),
                curve: keyframe.easing.into(),
            })
            .collect();
        // A property of one number keeps it in the first place.
        Self {
            timeline: lane.timeline,
            mask: lane.mask,
            additive: lane.additive,
            frames,
        }
    }

    /// The value at `seconds` of the timeline: the first keyframe's before it, the last one's after it.
    pub fn sample(&self, seconds: f64) -> Vec2 {
        let next = self.frames.partition_point(|frame| frame.at <= seconds);
        match (
            next.checked_sub(1).and_then(|index| self.frames.get(index)),
            self.frames.get(next),
        ) {
            (Some(from), Some(to)) => {
                let part = to.curve.sample((seconds - from.at) / (to.at - from.at));
                from.value + (to.value - from.value) * part as f32
            }
            (Some(only), None) | (None, Some(only)) => only.value,
            (None, None) => Vec2::ZERO,
        }
    }
}

type Row<'a, T> = (
    Ref<'a, T>,
    Option<&'a CompiledTracks<T>>,
    &'a mut Computed<T>,
);

/// Writes `Computed<T>` where the authored value, its data or its tracks may have changed it.
pub(super) fn compute<T: MovingProperty>(
    data: Res<SceneData>,
    timelines: Query<&TimelineNow>,
    mut layers: Query<Row<T>>,
) {
    let own_data_changed = data.changed().own || data.changed().second || data.changed().frame;
    let lookup = |path: &str| data.lookup(path);
    for (authored, tracks, mut computed) in &mut layers {
        let stale = authored.is_changed() || (own_data_changed && authored.is_bound());
        if !stale && tracks.is_none() {
            continue;
        }
        let mut value = T::split(authored.resolve(&lookup));
        for lane in tracks.iter().flat_map(|tracks| &tracks.lanes) {
            let Ok(TimelineNow(Some(seconds))) = timelines.get(lane.timeline) else {
                continue;
            };
            let sampled = lane.sample(*seconds);
            for axis in 0..2 {
                if lane.mask[axis] {
                    value[axis] = if lane.additive {
                        T::combine(value[axis], sampled[axis])
                    } else {
                        sampled[axis]
                    };
                }
            }
        }
        computed.set_if_neq(Computed(T::join(value)));
    }
}
