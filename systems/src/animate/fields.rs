//! The numbers and colours of sources and effects: tracks and glides move them by their paths, one system for every component.

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use components::animation::{FieldMut, Fields, Glide, Lane};
use components::derived::{Animatable, Computed};
use components::value::Number;
use glam::Vec4;
use serde_json::Value;

use super::glide::{GlidePlace, GlideState};
use super::lane::CompiledLane;
use super::timeline::TimelineNow;
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};

/// A component whose fields are moved, and which is computed as a whole.
pub trait MovingFields: Animatable<Value = Self> + Fields + Clone + PartialEq {}

impl<T: Animatable<Value = T> + Fields + Clone + PartialEq> MovingFields for T {}

/// The fields of the component `S` that move. On the layer's entity; tracks are written by spawning, the rest in `Animate`.
#[derive(Component, Debug)]
pub struct FieldMotions<S: MovingFields> {
    fields: Vec<FieldMotion>,
    marker: std::marker::PhantomData<fn() -> S>,
}

#[derive(Debug)]
struct FieldMotion {
    path: Box<str>,
    /// What is authored; looked up again when that changes.
    base: Option<Base>,
    lanes: Vec<CompiledLane>,
    /// Units a second.
    velocity: Vec4,
    glide: Option<GlideState>,
    /// Whether a track or a glide moved it on the last tick.
    moves: bool,
}

/// What a field comes to before it is moved.
#[derive(Debug)]
enum Base {
    Plain(Vec4),
    /// A number that the data gives anew on each tick.
    Bound(Number),
}

impl Base {
    fn of<S: MovingFields>(authored: &S, path: &str) -> Option<Self> {
        let mut authored = authored.clone();
        match authored.field_mut(path)? {
            FieldMut::Template { value, .. } if value.path().is_some() => {
                Some(Self::Bound(value.clone()))
            }
            field => Some(Self::Plain(Vec4::from_array(field.get(&|_| None)))),
        }
    }

    fn value<'v>(&self, lookup: impl Fn(&str) -> Option<&'v Value>) -> Vec4 {
        match self {
            Self::Plain(value) => *value,
            Self::Bound(number) => {
                let found = number.resolve(lookup);
                // Data may say "nan".
                let value = if found.is_finite() { found } else { 0.0 };
                Vec4::new(value, 0.0, 0.0, 0.0)
            }
        }
    }
}

impl<S: MovingFields> Default for FieldMotions<S> {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            marker: std::marker::PhantomData,
        }
    }
}

impl<S: MovingFields> FieldMotions<S> {
    fn field(&mut self, path: &str) -> &mut FieldMotion {
        let place = self.fields.iter().position(|field| &*field.path == path);
        let place = place.unwrap_or_else(|| {
            self.fields.push(FieldMotion {
                path: path.into(),
                base: None,
                lanes: Vec::new(),
                velocity: Vec4::ZERO,
                glide: None,
                moves: false,
            });
            self.fields.len() - 1
        });
        &mut self.fields[place]
    }

    /// Whether any field is on its way to a new value.
    pub fn glides(&self) -> bool {
        self.fields.iter().any(|field| field.glide.is_some())
    }

    /// Where the ways of its fields stand, by their paths.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, GlidePlace)> {
        let fields = self.fields.iter();
        fields.filter_map(|field| Some((&*field.path, field.glide.as_ref()?.place()?)))
    }

    /// Has a field go on from there.
    pub(crate) fn go_on(&mut self, path: &str, place: GlidePlace) {
        self.field(path).glide = Some(place.into());
    }

    /// Whether a track that is not stopped, or a glide, moves the field.
    pub fn moves(&self, path: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|field| &*field.path == path && field.moves)
    }

    /// The first number of the field at `path` on the tick of `clock`, which may be one that was left out; `None` when nothing has
    /// moved it. `own` is what is authored, and `seconds` tells where a timeline stood on that tick.
    pub(super) fn number_at(
        &mut self,
        path: &str,
        own: f32,
        seconds: impl Fn(Entity) -> Option<f64>,
        clock: &FrameClock,
    ) -> Option<f32> {
        let mut fields = self.fields.iter_mut();
        let field = fields.find(|field| &*field.path == path)?;
        let mut value = Vec4::new(own, 0.0, 0.0, 0.0);
        for lane in &field.lanes {
            lane.lay_over(&mut value, &seconds, |base, track| base + track);
        }
        let offset = field.glide.as_mut().map(|glide| glide.offset(value, clock));
        Some(value.x + offset.flatten().map_or(0.0, |offset| offset.x))
    }

    /// Whether nothing but those timelines moves the field at `path`.
    pub(super) fn follows_only(&self, path: &str, is_meant: impl Fn(Entity) -> bool) -> bool {
        let mut fields = self.fields.iter().filter(|field| &*field.path == path);
        fields.all(|field| {
            field.glide.is_none() && field.lanes.iter().all(|lane| is_meant(lane.timeline()))
        })
    }
}

/// Gives a layer tracks of the field at `path`.
pub(crate) fn add_lanes<S: MovingFields>(entity: &mut EntityWorldMut, path: &str, lanes: &[Lane]) {
    let Some(path) = entity.get::<S>().map(|authored| authored.own_path(path)) else {
        return;
    };
    if !entity.contains::<FieldMotions<S>>() {
        entity.insert(FieldMotions::<S>::default());
    }
    if let Some(mut motions) = entity.get_mut::<FieldMotions<S>>() {
        let field = motions.field(&path);
        field.lanes.extend(lanes.iter().map(CompiledLane::new));
    }
}

/// Takes all tracks away; fields go back to what is authored.
pub(crate) fn remove_lanes<S: MovingFields>(entity: &mut EntityWorldMut) {
    if let Some(mut motions) = entity.get_mut::<FieldMotions<S>>() {
        for field in &mut motions.fields {
            field.lanes.clear();
        }
    }
}

/// Has the fields in which `new` differs from what is authored go there from what the last tick showed.
pub(crate) fn glide_to<S>(entity: &mut EntityWorldMut, new: &S, glide: &Glide, clock: &FrameClock)
where
    S: MovingFields + Component<Mutability = Mutable>,
{
    let (Some(data), Some(scope)) = (
        entity.world().get_resource::<SceneData>(),
        entity.get::<DataScope>().copied(),
    ) else {
        return;
    };
    let lookup = |path: &str| data.lookup(scope, path);
    let (Some(authored), Some(shown)) = (
        entity.get::<S>().cloned(),
        entity
            .get::<Computed<S>>()
            .map(|computed| computed.0.clone()),
    ) else {
        return;
    };
    let differing: Vec<(String, Vec4)> = new
        .field_paths()
        .into_iter()
        .filter_map(|path| {
            let wanted = read(new, &path, &lookup)?;
            (read(&authored, &path, &lookup)? != wanted).then_some(())?;
            Some((read(&shown, &path, &lookup)?, path)).map(|(shown, path)| (path, shown))
        })
        .collect();
    if differing.is_empty() {
        return;
    }
    if !entity.contains::<FieldMotions<S>>() {
        entity.insert(FieldMotions::<S>::default());
    }
    if let Some(mut motions) = entity.get_mut::<FieldMotions<S>>() {
        for (path, shown) in differing {
            let field = motions.field(&path);
            field.glide = Some(GlideState::begin(glide, shown, field.velocity, clock));
        }
    }
}

/// Has the fields that a timeline moves go from what the last tick showed to whatever they are from this tick on.
pub(crate) fn glide_with<S: MovingFields>(
    entity: &mut EntityWorldMut,
    timeline: Entity,
    glide: &Glide,
    clock: &FrameClock,
) {
    let (Some(shown), Some(motions), Some(scope)) = (
        entity.get::<Computed<S>>(),
        entity.get::<FieldMotions<S>>(),
        entity.get::<DataScope>().copied(),
    ) else {
        return;
    };
    let data = entity.world().resource::<SceneData>();
    let lookup = |path: &str| data.lookup(scope, path);
    let shown: Vec<Option<Vec4>> = motions
        .fields
        .iter()
        .map(|field| {
            let follows = field.lanes.iter().any(|lane| lane.timeline() == timeline);
            read(&shown.0, &field.path, &lookup).filter(|_| follows)
        })
        .collect();
    let Some(mut motions) = entity.get_mut::<FieldMotions<S>>() else {
        return;
    };
    for (field, shown) in motions.fields.iter_mut().zip(shown) {
        if let Some(shown) = shown {
            field.glide = Some(GlideState::begin(glide, shown, field.velocity, clock));
        }
    }
}

fn read<'v, S: MovingFields>(
    value: &S,
    path: &str,
    lookup: &dyn Fn(&str) -> Option<&'v Value>,
) -> Option<Vec4> {
    let mut value = value.clone();
    let field = value.field_mut(path)?;
    Some(Vec4::from_array(field.get(lookup)))
}

type Row<'a, S> = (
    Ref<'a, S>,
    &'a DataScope,
    Option<&'a mut FieldMotions<S>>,
    &'a mut Computed<S>,
);

/// Writes `Computed<S>` where the authored value, its tracks or a glide may have changed it.
pub(crate) fn compute<S: MovingFields>(
    clock: Res<FrameClock>,
    data: Res<SceneData>,
    timelines: Query<&TimelineNow>,
    mut layers: Query<Row<S>>,
) {
    let seconds = |timeline| timelines.get(timeline).ok()?.0;
    for (authored, scope, motions, mut computed) in &mut layers {
        let changed = authored.is_changed();
        if changed {
            computed.set_if_neq(Computed(S::clone(&authored)));
        }
        let Some(mut motions) = motions else { continue };
        let lookup = |path: &str| data.lookup(*scope, path);
        for field in &mut motions.fields {
            if changed || field.base.is_none() {
                let base = Base::of(&*authored, &field.path);
                if let (Some(glide), Some(Base::Plain(before)), Some(Base::Plain(own))) =
                    (&mut field.glide, &field.base, &base)
                {
                    glide.settle(*before, *own);
                }
                field.base = base;
            }
            let Some(base) = &field.base else {
                continue;
            };
            let mut value = base.value(lookup);
            field.moves = field.glide.is_some();
            for lane in &field.lanes {
                field.moves |= lane.lay_over(&mut value, seconds, |base, track| base + track);
            }
            if let Some(glide) = &mut field.glide {
                match glide.offset(value, &clock) {
                    Some(offset) => value += offset,
                    None => field.glide = None,
                }
            }
            write(&mut computed, field, value, &lookup, &clock);
        }
    }
}

fn write<'v, S: MovingFields>(
    computed: &mut Mut<Computed<S>>,
    field: &mut FieldMotion,
    value: Vec4,
    lookup: &dyn Fn(&str) -> Option<&'v Value>,
    clock: &FrameClock,
) {
    let shown = computed.bypass_change_detection();
    let Some(slot) = shown.0.field_mut(&field.path) else {
        return;
    };
    let before = Vec4::from_array(slot.get(lookup));
    match (slot, &field.base) {
        // What nothing moves is the data's again, with all the digits that it has there.
        (FieldMut::Template { value, .. }, Some(Base::Bound(number))) if !field.moves => {
            if value != number {
                value.clone_from(number);
                computed.set_changed();
            }
            field.velocity = Vec4::ZERO;
            return;
        }
        (slot, _) => slot.set(value.to_array()),
    }
    let after = shown.0.field_mut(&field.path);
    let after = after.map_or(before, |slot| Vec4::from_array(slot.get(lookup)));
    if after != before {
        computed.set_changed();
    }
    field.velocity = (after - before) * clock.rate.as_f64() as f32;
}
