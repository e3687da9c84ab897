//! The numbers and colours of sources and effects: tracks and glides move them by their paths, one system for every component.

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use components::animation::{Fields, Glide, Lane};
use components::derived::{Animatable, Computed};
use glam::Vec4;

use super::glide::GlideState;
use super::lane::CompiledLane;
use super::timeline::TimelineNow;
use crate::clock::FrameClock;

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
    base: Option<Vec4>,
    lanes: Vec<CompiledLane>,
    /// Units a second.
    velocity: Vec4,
    glide: Option<GlideState>,
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
            });
            self.fields.len() - 1
        });
        &mut self.fields[place]
    }

    /// Whether a track moves the field.
    pub fn has_track(&self, path: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|field| &*field.path == path && !field.lanes.is_empty())
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
            let wanted = read(new, &path)?;
            (read(&authored, &path)? != wanted).then_some(())?;
            Some((read(&shown, &path)?, path)).map(|(shown, path)| (path, shown))
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
    let Some(shown) = entity
        .get::<Computed<S>>()
        .map(|computed| computed.0.clone())
    else {
        return;
    };
    let Some(mut motions) = entity.get_mut::<FieldMotions<S>>() else {
        return;
    };
    for field in &mut motions.fields {
        let follows = field.lanes.iter().any(|lane| lane.timeline() == timeline);
        if let Some(shown) = read(&shown, &field.path).filter(|_| follows) {
            field.glide = Some(GlideState::begin(glide, shown, field.velocity, clock));
        }
    }
}

fn read<S: MovingFields>(value: &S, path: &str) -> Option<Vec4> {
    let mut value = value.clone();
    let field = value.field_mut(path)?;
    Some(Vec4::from_array(field.get()))
}

type Row<'a, S> = (
    Ref<'a, S>,
    Option<&'a mut FieldMotions<S>>,
    &'a mut Computed<S>,
);

/// Writes `Computed<S>` where the authored value, its tracks or a glide may have changed it.
pub(crate) fn compute<S: MovingFields>(
    clock: Res<FrameClock>,
    timelines: Query<&TimelineNow>,
    mut layers: Query<Row<S>>,
) {
    for (authored, motions, mut computed) in &mut layers {
        let changed = authored.is_changed();
        if changed {
            computed.set_if_neq(Computed(S::clone(&authored)));
        }
        let Some(mut motions) = motions else { continue };
        for field in &mut motions.fields {
            if changed || field.base.is_none() {
                field.base = read(&*authored, &field.path);
            }
            let Some(mut value) = field.base else {
                continue;
            };
            for lane in &field.lanes {
                lane.lay_over(&mut value, &timelines, |base, track| base + track);
            }
            if let Some(glide) = &mut field.glide {
                match glide.offset(value, &clock) {
                    Some(offset) => value += offset,
                    None => field.glide = None,
                }
            }
            write(&mut computed, field, value, &clock);
        }
    }
}

fn write<S: MovingFields>(
    computed: &mut Mut<Computed<S>>,
    field: &mut FieldMotion,
    value: Vec4,
    clock: &FrameClock,
) {
    let shown = computed.bypass_change_detection();
    let Some(slot) = shown.0.field_mut(&field.path) else {
        return;
    };
    let before = Vec4::from_array(slot.get());
    slot.set(value.to_array());
    let after = shown.0.field_mut(&field.path);
    let after = after.map_or(before, |slot| Vec4::from_array(slot.get()));
    if after != before {
        computed.set_changed();
    }
    field.velocity = (after - before) * clock.rate.as_f64() as f32;
}
