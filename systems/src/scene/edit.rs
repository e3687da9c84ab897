//! Changes parts of the scene on air: what differs between two scenes, and how the world follows.
//!
//! A scene that was edited is the same to the eye as one that was loaded in its final form; a test holds it to that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use components::animation::{Glide, Timeline, TimelineId, TimelineSpec, Tracks};
use components::derived::{Animatable, Computed, NaturalSize};
use components::effect::Effects;
use components::layer::{
    Anchor, Crop, LayerId, LayerSpec, Opacity, Position, Rotation, Scale, Size, ZIndex,
};
use components::scene::{CanvasSpec, SceneSpec};
use components::sound::{AudioSpec, Sound};
use components::source::{
    AudioSource, AvatarSource, ChatSource, ColourSource, GradientSource, GroupSource, ImageSource,
    IngestSource, RtspSource, SceneSource, ShapeSource, Source, TextSource, TickerSource,
    VideoSource, VisualFeedSource,
};
use components::transition::Exit;
use serde_json::{Map, Value};

use super::spawn::{
    Place, SceneInfo, insert_lanes, insert_size, insert_source, put_effects, put_sound, put_ways,
    remove_source, show_canvas, spawn_one, spawn_timeline, timeline_component,
};
use super::stage::{Leaving, Reachable};
use crate::animate::{
    CompiledTracks, FieldMotions, MovingFields, MovingProperty, begin_glide, glide_to, keep_place,
    remove_lanes,
};
use crate::assets::{Picture, Pictures};
use crate::audio::glide_master;
use crate::clock::FrameClock;
use crate::data::SceneData;
use crate::feed;
use crate::inner::fill_scenes;
use crate::input::ShownInput;
use crate::layout::{FileOrder, Fonts, LayerTree, Placed, ShownPicture};
use crate::render::Drawn;

/// What has to change in the scene on air. Made by [`SceneEdit::between`], which knows that it can be done.
#[derive(Clone, Default)]
pub struct SceneEdit {
    /// Layers that are new or differ in their own fields or their parents, parents before their children.
    pub layers: Vec<LayerEdit>,
    /// Layers that go; those below them that stay have another parent in `layers`.
    pub removed: Vec<LayerId>,
    /// The names of all layers in the order of the file, when it differs.
    pub order: Option<Vec<LayerId>>,
    /// All timelines, when they or the layers that they may move differ. One whose name stays keeps its state.
    pub timelines: Option<Vec<Arc<TimelineSpec>>>,
    /// The scene's variables, when they differ.
    pub data: Option<Arc<Map<String, Value>>>,
    /// Title and canvas, when they differ; the size and the rate of the canvas are those on air.
    pub canvas: Option<(String, CanvasSpec)>,
    /// What is done to the sum of all sounds, when it differs, and how its gain goes there; at once when there is no way.
    pub audio: Option<(AudioSpec, Option<Glide>)>,
    /// Pictures that the layers need, by the words of their `src`.
    pub pictures: Vec<(Arc<str>, Picture)>,
    /// Font files that come to those that are there, by name for messages.
    pub fonts: Vec<(String, Arc<[u8]>)>,
}

/// One layer that differs.
#[derive(Clone)]
pub struct LayerEdit {
    /// What it is to be; its children are not looked at.
    pub spec: Arc<LayerSpec>,
    /// The layer in whose space it stands.
    pub parent: Option<LayerId>,
    /// How its properties go there from what is on screen; at once when there is none.
    pub glide: Option<Glide>,
}

/// A layer where it stands in a scene.
struct Standing<'a> {
    spec: &'a Arc<LayerSpec>,
    parent: Option<&'a LayerId>,
}

impl SceneEdit {
    /// The difference between two scenes. `None` when it is more than an edit: another canvas, other files.
    pub fn between(old: &SceneSpec, new: &SceneSpec) -> Option<Self> {
        let same_canvas = (old.canvas.width, old.canvas.height, old.canvas.fps)
            == (new.canvas.width, new.canvas.height, new.canvas.fps);
        if !same_canvas || old.assets != new.assets {
            return None;
        }
        let (before, after) = (standing(old), standing(new));
        let was: HashMap<&LayerId, &Standing> =
            before.iter().map(|layer| (&layer.spec.id, layer)).collect();
        let stays: HashSet<&LayerId> = after.iter().map(|layer| &layer.spec.id).collect();
        let layers: Vec<LayerEdit> = after
            .iter()
            .filter(|layer| {
                was.get(&layer.spec.id).is_none_or(|was| {
                    was.parent != layer.parent || !has_same_fields(was.spec, layer.spec)
                })
            })
            .map(|layer| LayerEdit {
                spec: Arc::clone(layer.spec),
                parent: layer.parent.cloned(),
                glide: None,
            })
            .collect();
        let removed: Vec<LayerId> = before
            .iter()
            .filter(|layer| !stays.contains(&layer.spec.id))
            .map(|layer| layer.spec.id.clone())
            .collect();
        // Tracks of a source's fields go with a source of another kind, and those of effects with another list.
        let is_new = |layer: &LayerEdit| {
            was.get(&layer.spec.id).is_none_or(|was| {
                was.spec.source.kind() != layer.spec.source.kind()
                    || !was.spec.effects.has_same_names(&layer.spec.effects)
            })
        };
        let came_or_went = !removed.is_empty() || layers.iter().any(is_new);
        let same_order = before.len() == after.len()
            && before
                .iter()
                .zip(&after)
                .all(|(a, b)| a.spec.id == b.spec.id);
        let same_timelines = same_lists(&old.timelines, &new.timelines);
        let same_data = Arc::ptr_eq(&old.data, &new.data) || old.data == new.data;
        let same_head = old.name == new.name && old.canvas == new.canvas;
        Some(Self {
            layers,
            removed,
            order: (!same_order).then(|| after.iter().map(|layer| layer.spec.id.clone()).collect()),
            timelines: (!same_timelines || came_or_went).then(|| new.timelines.clone()),
            data: (!same_data).then(|| Arc::clone(&new.data)),
            canvas: (!same_head).then(|| (new.name.clone(), new.canvas.clone())),
            audio: (old.audio != new.audio).then(|| (new.audio.clone(), None)),
            pictures: Vec::new(),
            fonts: Vec::new(),
        })
    }

    /// Whether nothing on air differs.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
            && self.removed.is_empty()
            && self.order.is_none()
            && self.timelines.is_none()
            && self.data.is_none()
            && self.canvas.is_none()
            && self.audio.is_none()
    }
}

/// Every layer in the order of the file, parents before their children.
fn standing(scene: &SceneSpec) -> Vec<Standing<'_>> {
    fn below<'a>(
        layers: &'a [Arc<LayerSpec>],
        parent: Option<&'a LayerId>,
        all: &mut Vec<Standing<'a>>,
    ) {
        for spec in layers {
            all.push(Standing { spec, parent });
            below(&spec.children, Some(&spec.id), all);
        }
    }
    let mut all = Vec::new();
    below(&scene.layers, None, &mut all);
    all
}

/// Whether two layers are the same but for their children.
fn has_same_fields(a: &Arc<LayerSpec>, b: &Arc<LayerSpec>) -> bool {
    Arc::ptr_eq(a, b) || a.without_children() == b.without_children()
}

fn same_lists<T: PartialEq>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
}

/// Makes an edit. It was made for the scene that is in the world.
pub(crate) fn edit_scene(world: &mut World, edit: SceneEdit) {
    let tick = world.resource::<FrameClock>().tick;
    if !edit.pictures.is_empty() {
        world.resource_mut::<Pictures>().add(edit.pictures);
    }
    if !edit.fonts.is_empty() {
        world.resource_mut::<Fonts>().add(&edit.fonts);
    }
    if let Some(data) = edit.data {
        world.resource_mut::<SceneData>().replace(data);
    }
    if let Some((name, canvas)) = edit.canvas {
        let info = world.get_resource::<SceneInfo>();
        let audio = info.map(|info| info.audio.clone()).unwrap_or_default();
        show_canvas(world, name, canvas, audio);
    }
    if let Some((audio, glide)) = edit.audio {
        if let Some(glide) = &glide {
            glide_master(world, glide);
        }
        if let Some(mut info) = world.get_resource_mut::<SceneInfo>() {
            info.audio = audio;
        }
    }
    let mut rows = world.query_filtered::<(Entity, &LayerId), Reachable>();
    let mut layers: HashMap<LayerId, Entity> = rows
        .iter(world)
        .map(|(entity, id)| (id.clone(), entity))
        .collect();
    let scope = world.resource::<SceneData>().program();
    for LayerEdit {
        spec,
        parent,
        glide,
    } in edit.layers
    {
        let parent = parent.and_then(|id| layers.get(&id).copied());
        match layers.get(&spec.id) {
            Some(entity) => {
                if let Some(glide) = &glide {
                    begin_glides(world, *entity, &spec, glide);
                }
                change_layer(world, *entity, &spec, parent);
            }
            None => {
                let place = Place {
                    parent,
                    scope,
                    within: None,
                };
                let entity = spawn_one(world, &spec, &place, u32::MAX);
                layers.insert(spec.id.clone(), entity);
            }
        }
    }
    for id in edit.removed {
        // A child may have gone with its parent.
        if let Some(entity) = layers.remove(&id)
            && let Ok(mut entity) = world.get_entity_mut(entity)
        {
            let is_seen = entity.get::<Placed>().is_some_and(|placed| placed.visible);
            if is_seen && entity.contains::<Exit>() {
                entity.insert(Leaving);
            } else {
                entity.despawn();
            }
        }
    }
    for (place, id) in (0..).zip(edit.order.iter().flatten()) {
        if let Some(mut order) = layers
            .get(id)
            .and_then(|entity| world.get_mut::<FileOrder>(*entity))
        {
            order.set_if_neq(FileOrder(place));
        }
    }
    if let Some(specs) = edit.timelines {
        replace_timelines(world, &specs, &layers, tick);
    }
    fill_scenes(world);
    world.resource_mut::<LayerTree>().mark_stale();
}

/// Gives a layer that is there its new fields; what is the same is left alone, so that nothing is drawn anew for it.
pub(crate) fn change_layer(
    world: &mut World,
    entity: Entity,
    spec: &LayerSpec,
    parent: Option<Entity>,
) {
    let old_parent = world.get::<ChildOf>(entity).map(|parent| parent.parent());
    let mut entity = world.entity_mut(entity);
    if old_parent != parent {
        match parent {
            Some(parent) => entity.insert(ChildOf(parent)),
            None => entity.remove::<ChildOf>(),
        };
    }
    put(&mut entity, &spec.name);
    put(&mut entity, &spec.role);
    put(&mut entity, &spec.visible);
    put(&mut entity, &spec.position);
    put(&mut entity, &spec.anchor);
    put(&mut entity, &spec.scale);
    put(&mut entity, &spec.rotation);
    put(&mut entity, &spec.opacity);
    put(&mut entity, &ZIndex(Some(spec.z())));
    put(&mut entity, &spec.blend);
    put(&mut entity, &spec.crop);
    put(&mut entity, &spec.fit);
    put_ways(&mut entity, spec);
    let old_size = entity.get::<Size>();
    let came_or_went = old_size.is_some() != spec.size.is_some();
    match &spec.size {
        Some(size) if !came_or_went => put(&mut entity, size),
        Some(_) => insert_size(&mut entity, spec),
        None => {
            entity.remove::<(Size, Computed<Size>)>();
        }
    }
    // A source is measured by itself or not at all, as there is a size or not.
    put_source(&mut entity, spec, came_or_went);
    put_effects(&mut entity, spec);
    put_sound(&mut entity, spec);
}

/// Gives a layer its source; one of the same kind keeps what moves its fields.
fn put_source(entity: &mut EntityWorldMut, spec: &LayerSpec, measure: bool) {
    match &spec.source {
        Source::Colour(source) if entity.contains::<ColourSource>() => put(entity, source),
        Source::Gradient(source) if entity.contains::<GradientSource>() => put(entity, source),
        Source::Shape(source) if entity.contains::<ShapeSource>() => put(entity, source),
        Source::Text(source) if entity.contains::<TextSource>() => put(entity, source),
        Source::Avatar(source) if entity.contains::<AvatarSource>() => put(entity, source),
        Source::Image(source) if entity.contains::<ImageSource>() => {
            if entity.get::<ImageSource>() != Some(source) {
                let clock = *entity.world().resource::<FrameClock>();
                let goes_on = entity
                    .get::<FieldMotions<ImageSource>>()
                    .is_some_and(FieldMotions::glides);
                let before = entity.get::<ImageSource>().filter(|before| {
                    goes_on
                        && (&before.src, before.playback.loop_mode)
                            == (&source.src, source.playback.loop_mode)
                });
                let speed = before.map(|before| before.playback.speed);
                if let Some(mut shown) = entity.get_mut::<ShownPicture>() {
                    match speed {
                        Some(speed) => shown.play_on(speed, &clock),
                        None => shown.begin_anew(&clock),
                    }
                }
                entity.insert(source.clone());
            }
        }
        Source::Ticker(source) if entity.contains::<TickerSource>() => put(entity, source),
        Source::VisualFeed(source) if entity.contains::<VisualFeedSource>() => {
            feed::put(entity, source);
        }
        Source::Scene(source) if entity.contains::<SceneSource>() => put(entity, source),
        Source::Chat(source) if entity.contains::<ChatSource>() => put(entity, &**source),
        Source::Video(source) if entity.contains::<VideoSource>() => put(entity, source),
        Source::Rtsp(source) if entity.contains::<RtspSource>() => put(entity, source),
        Source::Ingest(source) if entity.contains::<IngestSource>() => put(entity, source),
        Source::Audio(source) if entity.contains::<AudioSource>() => put(entity, source),
        Source::Group(source) if entity.contains::<GroupSource>() => put(entity, source),
        _ => {
            remove_source(entity);
            insert_source(entity, spec);
        }
    }
    if measure {
        entity.insert((NaturalSize::default(), Drawn::default()));
        touch::<TextSource>(entity);
        if let Some(mut source) = entity.get_mut::<ImageSource>() {
            source.set_changed();
        }
        if let Some(mut shown) = entity.get_mut::<ShownInput>() {
            shown.set_changed();
        }
        touch::<ShapeSource>(entity);
        touch::<ColourSource>(entity);
        touch::<GradientSource>(entity);
    }
}

fn touch<S: MovingFields>(entity: &mut EntityWorldMut) {
    if let Some(mut computed) = entity.get_mut::<Computed<S>>() {
        computed.set_changed();
    }
}

/// Has every property in which `spec` differs go there from what the last tick showed.
fn begin_glides(world: &mut World, entity: Entity, spec: &LayerSpec, glide: &Glide) {
    let clock = *world.resource::<FrameClock>();
    let mut entity = world.entity_mut(entity);
    glide_property(&mut entity, Some(&spec.position), glide, &clock);
    glide_property(&mut entity, spec.size.as_ref(), glide, &clock);
    glide_property(&mut entity, Some(&spec.anchor), glide, &clock);
    glide_property(&mut entity, Some(&spec.scale), glide, &clock);
    glide_property(&mut entity, Some(&spec.rotation), glide, &clock);
    glide_property(&mut entity, Some(&spec.opacity), glide, &clock);
    glide_property(&mut entity, Some(&spec.crop), glide, &clock);
    let z_index = ZIndex(Some(spec.z()));
    glide_property(&mut entity, Some(&z_index), glide, &clock);
    glide_to(&mut entity, &spec.effects, glide, &clock);
    glide_to(&mut entity, &spec.sound, glide, &clock);
    match &spec.source {
        Source::Colour(source) => glide_to(&mut entity, source, glide, &clock),
        Source::Gradient(source) => glide_to(&mut entity, source, glide, &clock),
        Source::Shape(source) => glide_to(&mut entity, source, glide, &clock),
        Source::Text(source) => glide_to(&mut entity, source, glide, &clock),
        Source::Avatar(source) => glide_to(&mut entity, source, glide, &clock),
        Source::Ticker(source) => glide_to(&mut entity, source, glide, &clock),
        Source::Chat(source) => glide_to(&mut entity, &**source, glide, &clock),
        Source::Image(source) => glide_to(&mut entity, source, glide, &clock),
        Source::VisualFeed(_)
        | Source::Scene(_)
        | Source::Video(_)
        | Source::Rtsp(_)
        | Source::Ingest(_)
        | Source::Audio(_)
        | Source::Group(_) => {}
    }
}

fn glide_property<T>(
    entity: &mut EntityWorldMut,
    new: Option<&T>,
    glide: &Glide,
    clock: &FrameClock,
) where
    T: MovingProperty + Component<Mutability = Mutable> + PartialEq,
{
    let old = entity.get::<T>();
    if old.is_some() && new.is_some() && old != new {
        begin_glide::<T>(entity, glide, clock);
    }
}

/// Writes a component where it differs, so that a change is a change.
pub(crate) fn put<T: Component + Clone + PartialEq>(entity: &mut EntityWorldMut, value: &T) {
    if entity.get::<T>() != Some(value) {
        entity.insert(value.clone());
    }
}

/// Follows a new list of timelines; one whose name stays goes on as it is.
fn replace_timelines(
    world: &mut World,
    specs: &[Arc<TimelineSpec>],
    layers: &HashMap<LayerId, Entity>,
    tick: u64,
) {
    let mut rows = world.query_filtered::<(Entity, &TimelineId), Reachable>();
    let mut old: HashMap<Arc<str>, Entity> = rows
        .iter(world)
        .map(|(entity, id)| (Arc::clone(&id.0), entity))
        .collect();
    let mut timelines = HashMap::new();
    for spec in specs {
        let entity = match old.remove(spec.id.as_str()) {
            Some(entity) => {
                let clock = *world.resource::<FrameClock>();
                if let Some(mut timeline) = world.get_mut::<Timeline>(entity) {
                    let kept = keep_place(timeline_component(spec, tick), &timeline, &clock);
                    timeline.set_if_neq(kept);
                }
                entity
            }
            None => spawn_timeline(world, spec, tick),
        };
        timelines.insert(spec.id.as_str(), entity);
    }
    for entity in old.into_values() {
        world.despawn(entity);
    }
    for entity in layers.values() {
        let Ok(mut entity) = world.get_entity_mut(*entity) else {
            continue;
        };
        release::<Position>(&mut entity);
        release::<Size>(&mut entity);
        release::<Anchor>(&mut entity);
        release::<Scale>(&mut entity);
        release::<Rotation>(&mut entity);
        release::<Opacity>(&mut entity);
        release::<Crop>(&mut entity);
        release::<ZIndex>(&mut entity);
        remove_lanes::<ColourSource>(&mut entity);
        remove_lanes::<GradientSource>(&mut entity);
        remove_lanes::<ShapeSource>(&mut entity);
        remove_lanes::<TextSource>(&mut entity);
        remove_lanes::<AvatarSource>(&mut entity);
        remove_lanes::<ImageSource>(&mut entity);
        remove_lanes::<TickerSource>(&mut entity);
        remove_lanes::<ChatSource>(&mut entity);
        remove_lanes::<Effects>(&mut entity);
        remove_lanes::<Sound>(&mut entity);
    }
    insert_lanes(world, specs, layers, &timelines);
}

/// Takes a property's tracks away, and has its value computed without them.
fn release<T>(entity: &mut EntityWorldMut)
where
    T: Animatable + Component<Mutability = Mutable>,
{
    if entity.contains::<Tracks<T>>() {
        entity.remove::<(Tracks<T>, CompiledTracks<T>)>();
        if let Some(mut authored) = entity.get_mut::<T>() {
            authored.set_changed();
        }
    }
}
