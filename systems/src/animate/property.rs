//! The properties that every layer has: resolve the authored value, lay the tracks over it, and glide from what was shown before.

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use components::animation::{Glide, Tracks};
use components::derived::{Animatable, Computed};
use components::layer::{Anchor, Crop, Opacity, Position, Rotation, Scale, Size, ZIndex};
use glam::{Vec2, Vec4, Vec4Swizzles as _};
use serde_json::Value;

use super::glide::{GlidePlace, GlideState};
use super::lane::CompiledLane;
use super::timeline::TimelineNow;
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};

/// A property that data and tracks can move: how its authored form comes to a value, and how tracks reach its numbers.
pub trait MovingProperty: Animatable<Value: Copy> {
    /// The authored value, bound numbers looked up.
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> Self::Value;
    /// Whether any number is bound to data.
    fn is_bound(&self) -> bool;
    /// The value as its numbers, noughts behind them.
    fn split(value: Self::Value) -> Vec4;
    /// The value from its numbers, cut to its range.
    fn join(numbers: Vec4) -> Self::Value;
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
    fn split(value: Vec2) -> Vec4 {
        value.extend(0.0).extend(0.0)
    }
    fn join(numbers: Vec4) -> Vec2 {
        numbers.xy()
    }
}

impl MovingProperty for Size {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> Vec2 {
        Self::join(Self::split(Vec2::new(
            self.width.resolve(lookup),
            self.height.resolve(lookup),
        )))
    }
    fn is_bound(&self) -> bool {
        self.width.path().is_some() || self.height.path().is_some()
    }
    fn split(value: Vec2) -> Vec4 {
        value.extend(0.0).extend(0.0)
    }
    fn join(numbers: Vec4) -> Vec2 {
        numbers.xy().clamp(Vec2::ZERO, Vec2::splat(Self::MAX))
    }
}

impl MovingProperty for Scale {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> Vec2 {
        Vec2::new(self.x.resolve(lookup), self.y.resolve(lookup))
    }
    fn is_bound(&self) -> bool {
        self.x.path().is_some() || self.y.path().is_some()
    }
    fn split(value: Vec2) -> Vec4 {
        value.extend(0.0).extend(0.0)
    }
    fn join(numbers: Vec4) -> Vec2 {
        numbers
            .xy()
            .clamp(Vec2::splat(-1000.0), Vec2::splat(1000.0))
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
    fn split(value: f32) -> Vec4 {
        Vec4::new(value, 0.0, 0.0, 0.0)
    }
    fn join(numbers: Vec4) -> f32 {
        numbers.x
    }
}

impl MovingProperty for Opacity {
    fn resolve<'a>(&self, lookup: &dyn Fn(&str) -> Option<&'a Value>) -> f32 {
        self.0.resolve(lookup).clamp(0.0, 1.0)
    }
    fn is_bound(&self) -> bool {
        self.0.path().is_some()
    }
    fn split(value: f32) -> Vec4 {
        Vec4::new(value, 0.0, 0.0, 0.0)
    }
    fn join(numbers: Vec4) -> f32 {
        numbers.x.clamp(0.0, 1.0)
    }
    fn combine(base: f32, track: f32) -> f32 {
        base * track
    }
}

impl MovingProperty for Anchor {
    fn resolve<'a>(&self, _: &dyn Fn(&str) -> Option<&'a Value>) -> Vec2 {
        Vec2::new(self.x, self.y)
    }
    fn is_bound(&self) -> bool {
        false
    }
    fn split(value: Vec2) -> Vec4 {
        value.extend(0.0).extend(0.0)
    }
    fn join(numbers: Vec4) -> Vec2 {
        numbers.xy().clamp(Vec2::splat(-100.0), Vec2::splat(100.0))
    }
}

impl MovingProperty for Crop {
    fn resolve<'a>(&self, _: &dyn Fn(&str) -> Option<&'a Value>) -> Self {
        *self
    }
    fn is_bound(&self) -> bool {
        false
    }
    fn split(value: Self) -> Vec4 {
        Vec4::new(value.left, value.top, value.right, value.bottom)
    }
    fn join(numbers: Vec4) -> Self {
        let [left, top, right, bottom] =
            numbers.clamp(Vec4::ZERO, Vec4::splat(Size::MAX)).to_array();
        Self {
            left,
            top,
            right,
            bottom,
        }
    }
}

/// In the world it always has a number: that of its role where none is authored.
impl MovingProperty for ZIndex {
    fn resolve<'a>(&self, _: &dyn Fn(&str) -> Option<&'a Value>) -> i32 {
        self.0.unwrap_or_default()
    }
    fn is_bound(&self) -> bool {
        false
    }
    fn split(value: i32) -> Vec4 {
        Vec4::new(value as f32, 0.0, 0.0, 0.0)
    }
    fn join(numbers: Vec4) -> i32 {
        // A float that becomes a whole number is cut to what that can hold.
        numbers.x.round() as i32
    }
}

/// [`Tracks`] with their curves built. On the layer's entity, beside them.
#[derive(Component, Debug)]
pub struct CompiledTracks<T: Animatable> {
    lanes: Vec<CompiledLane>,
    marker: std::marker::PhantomData<fn() -> T>,
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
        let largest = |sum: Vec4, lane: &CompiledLane| sum.max(lane.largest());
        self.lanes.iter().fold(Vec4::ZERO, largest).xy()
    }

    /// Whether any of the tracks follows this timeline.
    pub(crate) fn follows(&self, timeline: Entity) -> bool {
        self.lanes.iter().any(|lane| lane.timeline() == timeline)
    }
}

/// How fast a property moves, and its way from a value that was shown before. On layers whose property has moved; written in `Animate`.
#[derive(Component, Debug)]
pub struct Motion<T: Animatable> {
    /// Units a second.
    velocity: Vec4,
    glide: Option<GlideState>,
    /// What was authored when it moved last.
    own: Option<Vec4>,
    marker: std::marker::PhantomData<fn() -> T>,
}

impl<T: Animatable> Default for Motion<T> {
    fn default() -> Self {
        Self {
            velocity: Vec4::ZERO,
            glide: None,
            own: None,
            marker: std::marker::PhantomData,
        }
    }
}

impl<T: MovingProperty> Motion<T> {
    /// Whether the property is on its way.
    pub fn glides(&self) -> bool {
        self.glide.is_some()
    }

    /// Where its way stands, if it is on one.
    pub(crate) fn place(&self) -> Option<GlidePlace> {
        self.glide.as_ref()?.place()
    }

    /// Of a property that goes on from there.
    pub(crate) fn going_on(place: GlidePlace) -> Self {
        Self {
            glide: Some(place.into()),
            ..Self::default()
        }
    }

    /// The larger of both ends of its way, by absolute value.
    pub fn largest(&self) -> Option<Vec2> {
        self.glide.as_ref().map(|glide| glide.largest().xy())
    }
}

/// Has the property go from what the last tick showed to whatever it is from this tick on.
pub(crate) fn begin_glide<T>(entity: &mut EntityWorldMut, glide: &Glide, clock: &FrameClock)
where
    T: MovingProperty + Component<Mutability = Mutable>,
{
    let Some(shown) = entity.get::<Computed<T>>().map(|value| T::split(value.0)) else {
        return;
    };
    let velocity = entity
        .get::<Motion<T>>()
        .map_or(Vec4::ZERO, |motion| motion.velocity);
    let state = GlideState::begin(glide, shown, velocity, clock);
    match entity.get_mut::<Motion<T>>() {
        Some(mut motion) => motion.glide = Some(state),
        None => {
            let motion = Motion::<T> {
                glide: Some(state),
                ..Motion::default()
            };
            entity.insert(motion);
        }
    }
}

type Row<'a, T> = (
    Ref<'a, T>,
    &'a DataScope,
    Option<&'a CompiledTracks<T>>,
    Option<&'a mut Motion<T>>,
    &'a mut Computed<T>,
);

/// Writes `Computed<T>` where the authored value, its data, its tracks or a glide may have changed it.
pub(super) fn compute<T: MovingProperty>(
    clock: Res<FrameClock>,
    data: Res<SceneData>,
    timelines: Query<&TimelineNow>,
    mut layers: Query<Row<T>>,
) {
    for (authored, scope, tracks, mut motion, mut computed) in &mut layers {
        let moves = tracks.is_some()
            || motion
                .as_ref()
                .is_some_and(|motion| motion.glide.is_some() || motion.velocity != Vec4::ZERO);
        let stale = authored.is_changed()
            || authored.is_bound() && {
                let changed = data.changed(*scope);
                changed.own || changed.second || changed.frame || changed.speech
            };
        if !stale && !moves {
            continue;
        }
        let lookup = |path: &str| data.lookup(*scope, path);
        let own = authored.resolve(&lookup);
        if !moves {
            computed.set_if_neq(Computed(own));
            continue;
        }
        let mut value = T::split(own);
        if let Some(motion) = &mut motion {
            let before = motion.own.replace(value);
            if let (Some(glide), Some(before)) = (&mut motion.glide, before)
                && authored.is_changed()
                && !authored.is_bound()
            {
                glide.settle(before, value);
            }
        }
        let seconds = |timeline| timelines.get(timeline).ok()?.0;
        for lane in tracks.iter().flat_map(|tracks| &tracks.lanes) {
            lane.lay_over(&mut value, seconds, T::combine);
        }
        if let Some(motion) = &mut motion {
            if let Some(glide) = &mut motion.glide {
                match glide.offset(value, &clock) {
                    Some(offset) => value += offset,
                    None => motion.glide = None,
                }
            }
            let step = value - T::split(computed.0);
            motion.velocity = step * clock.rate.as_f64() as f32;
        }
        computed.set_if_neq(Computed(T::join(value)));
    }
}
