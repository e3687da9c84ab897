//! Spawns a scene's layers and timelines, in the place of those that are there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::animation::{
    Easing, Lane, PlayState, Property, Timeline, TimelineId, TimelineSpec, Tracks,
};
use components::derived::{Animatable, Computed, DrawOrder, FilledText, LayoutBox, NaturalSize};
use components::effect::Effects;
use components::layer::{
    Anchor, Crop, LayerId, LayerSpec, Opacity, Position, Rotation, Scale, Size, Visible, ZIndex,
};
use components::scene::{CanvasSpec, FrameRate, SceneSpec};
use components::sound::{AudioSpec, Sound};
use components::source::{
    AudioSource, AvatarSource, ChatSource, ColourSource, GradientSource, GroupSource, ImageSource,
    IngestSource, RtspSource, SceneSource, ShapeSource, Source, TextSource, TickerSource,
    VideoSource,
};
use components::transition::{Enter, Exit, Transition, TransitionKind};
use glam::Vec4;

use super::SceneBundle;
use super::internal::despawn_all_internal;
use super::stage::Internal;
use crate::animate::{
    ChatRows, CompiledTracks, FieldMotions, Motion, MovingFields, MovingProperty, Rolling, Strip,
    TimelineNow, add_lanes,
};
use crate::assets::{Picture, Pictures};
use crate::audio::{self, Heard, SourceSound};
use crate::avatar::Avatar;
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};
use crate::feed;
use crate::inner::{InnerScene, fill_scenes};
use crate::input::{LiveInput, ShownInput};
use crate::layout::{
    CanvasSize, ClipsChildren, CropClip, FileOrder, Fonts, InputPlace, LayerTree, Placed,
    RasterScale, ShownPicture,
};
use crate::render::{Background, ComposedFrame, Drawn, Effected, Flattened, RasterCache};
use crate::speech::{self, Speech};
use crate::transition::{self, Clip, Presence};

/// Why a scene cannot be taken on air.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SceneError {
    /// The rate of the ticks cannot change while frames are encoded.
    #[error(
        "{on_air} frames a second are made, and the scene asks for {wanted} (canvas.fps); that needs a new start"
    )]
    OtherRate {
        /// What is on air.
        on_air: String,
        /// What the scene asks for.
        wanted: String,
    },
    /// More layers than the world holds.
    #[error("the scene has {count} layers; MAX_LAYERS is {max}")]
    TooManyLayers {
        /// Layers of the scene, children counted.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// The scene on air, apart from its layers.
#[derive(Resource, Clone, Debug)]
pub struct SceneInfo {
    /// Its title.
    pub name: String,
    /// Its canvas.
    pub canvas: CanvasSpec,
    /// What is done to the sum of its sounds.
    pub audio: AudioSpec,
}

/// The most layers that the world holds.
#[derive(Resource, Clone, Copy, Debug)]
pub(crate) struct MaxLayers(pub usize);

/// Takes a scene on air from this tick on. Nothing changes when it cannot be.
///
/// # Errors
/// The scene asks for another frame rate than the one on air, or has too many layers.
pub fn replace_scene(world: &mut World, bundle: SceneBundle) -> Result<(), SceneError> {
    let SceneBundle {
        spec,
        pictures,
        fonts,
        rasters,
        hold,
    } = bundle;
    check_scene(world, &spec)?;

    let tick = world.resource::<FrameClock>().tick;
    let transition = spec.transitions.scene.clone();
    let on_air = world.resource::<ComposedFrame>().frame.is_some();
    let before = world.resource::<SceneData>().program();
    let clip = bundle_clip(&transition, &pictures);
    let is_cut = match transition.kind {
        // A clip that cannot play is none.
        TransitionKind::Stinger => clip.is_none(),
        _ => transition.is_cut() && hold.is_none(),
    };
    let mixes = on_air && !is_cut;
    let heirs = avatars_of(&spec);
    let carried = speech::lift(world, |layer| heirs.contains(layer));
    audio::leave_scene(world, mixes);
    if mixes {
        transition::begin(world, transition, clip, CanvasSize::of(&spec.canvas), hold);
    } else {
        transition::end(world);
        for entity in transition::all(world, false) {
            // A child may have gone with its parent.
            if let Ok(entity) = world.get_entity_mut(entity) {
                entity.despawn();
            }
        }
    }
    world.resource_mut::<Fonts>().renew(&fonts, mixes);
    world.resource_mut::<Pictures>().renew(pictures);
    world.resource_mut::<RasterCache>().warm(rasters);
    let mut data = world.resource_mut::<SceneData>();
    let scope = data.begin_program(spec.data.clone());
    if !mixes {
        data.remove(before);
    }
    let (name, canvas) = (spec.name.clone(), spec.canvas.clone());
    show_canvas(world, name, canvas, spec.audio.clone());
    spawn_scene(world, &spec, scope, tick);
    speech::land(world, carried);
    fill_scenes(world);
    world.resource_mut::<LayerTree>().mark_stale();
    Ok(())
}

/// The names of the avatars of a scene.
fn avatars_of(spec: &SceneSpec) -> HashSet<&str> {
    let mut names = HashSet::new();
    spec.walk_layers(|layer| {
        if matches!(layer.source, Source::Avatar(_)) {
            names.insert(layer.id.as_str());
        }
    });
    names
}

fn bundle_clip(transition: &Transition, pictures: &[(Arc<str>, Picture)]) -> Option<Clip> {
    let src = transition.src.as_deref()?;
    let picture = pictures.iter().find(|(name, _)| &**name == src);
    Clip::of(transition, picture.map(|(_, picture)| picture))
}

/// Whether the world can hold a scene.
///
/// # Errors
/// As [`replace_scene`].
pub(crate) fn check_scene(world: &World, spec: &SceneSpec) -> Result<(), SceneError> {
    let count = spec.count_layers();
    let max = world.resource::<MaxLayers>().0;
    if count > max {
        return Err(SceneError::TooManyLayers { count, max });
    }
    let rate = world.resource::<FrameClock>().rate;
    match spec.canvas.fps {
        Some(wanted) if wanted != rate => {
            let describe = |rate: FrameRate| ((rate.as_f64() * 100.0).round() / 100.0).to_string();
            Err(SceneError::OtherRate {
                on_air: describe(rate),
                wanted: describe(wanted),
            })
        }
        _ => Ok(()),
    }
}

/// Takes over the title, the canvas's size and its own colour, and what is done to the sum of all sounds.
pub(super) fn show_canvas(world: &mut World, name: String, canvas: CanvasSpec, audio: AudioSpec) {
    let colour = canvas.background;
    world.insert_resource(Background([colour.red, colour.green, colour.blue]));
    world.insert_resource(CanvasSize::of(&canvas));
    world.insert_resource(SceneInfo {
        name,
        canvas,
        audio,
    });
}

/// The entities of layers and timelines by their names.
type Named<T> = HashMap<T, Entity>;

fn spawn_scene(world: &mut World, spec: &SceneSpec, scope: DataScope, tick: u64) {
    let place = Place {
        parent: None,
        scope,
        within: None,
    };
    spawn_tree(world, &spec.layers, &spec.timelines, &place, tick);
}

/// Where layers are spawned.
pub(crate) struct Place<'a> {
    /// The layer in whose space they stand.
    pub parent: Option<Entity>,
    /// Where they look their data up.
    pub scope: DataScope,
    /// The name of the authored layer that they are made for, and that stands before their own; `None` for authored layers.
    pub within: Option<&'a str>,
}

/// Spawns layers with all below them, and the timelines that move them. Gives the outermost layers in their order.
///
/// Layers that are made for another one are its children, and go with it, together with their timelines.
pub(crate) fn spawn_tree(
    world: &mut World,
    layers: &[Arc<LayerSpec>],
    timelines: &[Arc<TimelineSpec>],
    place: &Place,
    tick: u64,
) -> Vec<Entity> {
    let mut order = 0;
    let mut named = Named::new();
    let roots = layers
        .iter()
        .map(|layer| spawn_layer(world, layer, place, &mut order, &mut named))
        .collect();
    let mut timeline_entities = Named::new();
    for timeline in timelines {
        let entity = spawn_timeline(world, timeline, tick);
        if let (Some(parent), true) = (place.parent, place.within.is_some()) {
            world.entity_mut(entity).insert((ChildOf(parent), Internal));
        }
        timeline_entities.insert(timeline.id.as_str(), entity);
    }
    insert_lanes(world, timelines, &named, &timeline_entities);
    world.resource_mut::<LayerTree>().mark_stale();
    roots
}

/// The timeline as it moves, in the state in which it starts on `tick`.
pub fn timeline_component(spec: &TimelineSpec, tick: u64) -> Timeline {
    let state = if spec.autoplay && spec.start_after.is_none() {
        PlayState::Playing {
            since_tick: tick,
            from_seconds: 0.0,
        }
    } else {
        PlayState::Stopped
    };
    Timeline {
        start_after: spec.start_after.as_deref().map(Into::into),
        started_for_tick: None,
        duration: f64::from(spec.duration_seconds().max(0.001)),
        loop_mode: spec.loop_mode,
        delay: f64::from(spec.delay),
        speed: f64::from(spec.speed),
        state,
    }
}

pub(super) fn spawn_timeline(world: &mut World, spec: &TimelineSpec, tick: u64) -> Entity {
    let id = TimelineId(spec.id.as_str().into());
    let component = timeline_component(spec, tick);
    world.spawn((id, component, TimelineNow::default())).id()
}

/// Gives the layers the tracks of all timelines.
pub(super) fn insert_lanes(
    world: &mut World,
    specs: &[Arc<TimelineSpec>],
    layers: &Named<LayerId>,
    timelines: &Named<&str>,
) {
    let mut lanes: HashMap<(Entity, Property), Vec<Lane>> = HashMap::new();
    for spec in specs {
        let Some(timeline) = timelines.get(spec.id.as_str()) else {
            continue;
        };
        for track in &spec.tracks {
            for (place, id) in track.layers.iter().enumerate() {
                let Some(layer) = layers.get(id) else {
                    continue;
                };
                let lane = Lane {
                    timeline: *timeline,
                    mask: track.property.mask(),
                    additive: track.additive,
                    delay: track.stagger * place as f32,
                    path: track.path.clone(),
                    keyframes: track.keyframes.clone(),
                };
                if track.path.as_ref().is_some_and(|path| path.orient) {
                    let mask = Property::Rotation.mask();
                    let turning = Lane {
                        mask,
                        ..lane.clone()
                    };
                    let key = (*layer, Property::Rotation);
                    lanes.entry(key).or_default().push(turning);
                }
                let key = (*layer, whole(&track.property));
                lanes.entry(key).or_default().push(lane);
            }
        }
    }
    for ((entity, property), lanes) in lanes {
        let mut entity = world.entity_mut(entity);
        match property {
            Property::Position => insert_tracks::<Position>(&mut entity, lanes),
            Property::Size => insert_tracks::<Size>(&mut entity, lanes),
            Property::Anchor => insert_tracks::<Anchor>(&mut entity, lanes),
            Property::Scale => insert_tracks::<Scale>(&mut entity, lanes),
            Property::Rotation => insert_tracks::<Rotation>(&mut entity, lanes),
            Property::Opacity => insert_tracks::<Opacity>(&mut entity, lanes),
            Property::Crop => insert_tracks::<Crop>(&mut entity, lanes),
            Property::ZIndex => insert_tracks::<ZIndex>(&mut entity, lanes),
            Property::Source(path) => add_source_lanes(&mut entity, &path, &lanes),
            Property::Effect(path) => add_lanes::<Effects>(&mut entity, &path, &lanes),
            Property::Sound(path) => add_lanes::<Sound>(&mut entity, &path, &lanes),
            _ => {}
        }
    }
}

/// The property that a track's coordinate belongs to.
fn whole(property: &Property) -> Property {
    match property {
        Property::PositionX | Property::PositionY => Property::Position,
        Property::SizeWidth | Property::SizeHeight => Property::Size,
        Property::AnchorX | Property::AnchorY => Property::Anchor,
        Property::ScaleX | Property::ScaleY => Property::Scale,
        Property::CropLeft | Property::CropTop | Property::CropRight | Property::CropBottom => {
            Property::Crop
        }
        own => own.clone(),
    }
}

/// Whichever source the layer has takes them.
fn add_source_lanes(entity: &mut EntityWorldMut, path: &str, lanes: &[Lane]) {
    add_lanes::<ColourSource>(entity, path, lanes);
    add_lanes::<GradientSource>(entity, path, lanes);
    add_lanes::<ShapeSource>(entity, path, lanes);
    add_lanes::<TextSource>(entity, path, lanes);
    add_lanes::<AvatarSource>(entity, path, lanes);
    add_lanes::<ImageSource>(entity, path, lanes);
    add_lanes::<TickerSource>(entity, path, lanes);
    add_lanes::<ChatSource>(entity, path, lanes);
}

fn insert_tracks<T: Animatable>(entity: &mut EntityWorldMut, lanes: Vec<Lane>) {
    let tracks = Tracks::<T>::new(lanes);
    entity.insert((CompiledTracks::new(&tracks), tracks));
    if !entity.contains::<Motion<T>>() {
        entity.insert(Motion::<T>::default());
    }
}

fn unset<T: MovingProperty>() -> Computed<T> {
    Computed(T::join(Vec4::ZERO))
}

fn spawn_layer(
    world: &mut World,
    spec: &LayerSpec,
    place: &Place,
    order: &mut u32,
    layers: &mut Named<LayerId>,
) -> Entity {
    let entity = spawn_one(world, spec, place, *order);
    *order += 1;
    layers.insert(spec.id.clone(), entity);
    let below = Place {
        parent: Some(entity),
        ..*place
    };
    for child in &spec.children {
        spawn_layer(world, child, &below, order, layers);
    }
    entity
}

/// Spawns a layer without its children.
pub(super) fn spawn_one(world: &mut World, spec: &LayerSpec, place: &Place, order: u32) -> Entity {
    let id = match place.within {
        Some(within) => LayerId::new(format!("{within}/{}", spec.id)),
        None => spec.id.clone(),
    };
    let authored = (
        id,
        place.scope,
        spec.name.clone(),
        spec.role,
        spec.visible,
        spec.position.clone(),
        spec.anchor,
        spec.scale.clone(),
        spec.rotation.clone(),
        spec.opacity.clone(),
        ZIndex(Some(spec.z())),
        spec.blend,
        spec.crop,
        spec.fit,
    );
    let derived = (
        (
            unset::<Position>(),
            unset::<Anchor>(),
            unset::<Scale>(),
            unset::<Rotation>(),
            unset::<Opacity>(),
            unset::<Crop>(),
            unset::<ZIndex>(),
        ),
        FileOrder(order),
        DrawOrder::default(),
        NaturalSize::default(),
        LayoutBox::default(),
        Placed::default(),
        RasterScale::default(),
        Drawn::default(),
    );
    let mut entity = world.spawn((authored, derived));
    insert_size(&mut entity, spec);
    insert_source(&mut entity, spec);
    put_effects(&mut entity, spec);
    put_sound(&mut entity, spec);
    put_ways(&mut entity, spec);
    if let Some(parent) = place.parent {
        entity.insert(ChildOf(parent));
    }
    if place.within.is_some() {
        entity.insert(Internal);
    }
    entity.id()
}

/// Gives a layer the size that it has, if any.
pub(super) fn insert_size(entity: &mut EntityWorldMut, spec: &LayerSpec) {
    if let Some(size) = &spec.size {
        entity.insert((size.clone(), unset::<Size>()));
    }
}

/// Gives a layer its effects, after its source; a list that stays a list keeps what moves its fields.
pub(super) fn put_effects(entity: &mut EntityWorldMut, spec: &LayerSpec) {
    let is_there = entity.contains::<Effects>();
    if spec.effects.is_empty() {
        if is_there {
            remove_computed::<Effects>(entity);
            entity.remove::<(Effected, Flattened)>();
        }
        return;
    }
    if !is_there {
        insert_computed(entity, &spec.effects);
    } else if entity.get::<Effects>() != Some(&spec.effects) {
        entity.insert(spec.effects.clone());
    }
    // Of a source that has pixels of its own those are changed; of any other what its layers come to.
    match &spec.source {
        Source::Colour(_)
        | Source::Gradient(_)
        | Source::Image(_)
        | Source::Shape(_)
        | Source::Text(_) => {
            entity.remove::<Flattened>();
            if !entity.contains::<Effected>() {
                entity.insert(Effected::default());
            }
        }
        _ => {
            entity.remove::<Effected>();
            if !entity.contains::<Flattened>() {
                entity.insert(Flattened::default());
            }
        }
    }
}

/// Gives a layer its sound, after its source; one that stays keeps what moves its fields.
pub(super) fn put_sound(entity: &mut EntityWorldMut, spec: &LayerSpec) {
    let Some(own) = spec.source.sound_role() else {
        if entity.contains::<Sound>() {
            remove_computed::<Sound>(entity);
            entity
                .remove_with_requires::<SourceSound>()
                .remove::<Heard>();
        }
        return;
    };
    if entity.get::<Sound>().is_none() {
        insert_computed(entity, &spec.sound);
        entity.insert(SourceSound::default());
    } else if entity.get::<Sound>() != Some(&spec.sound) {
        entity.insert(spec.sound.clone());
    }
    entity.insert(Heard {
        role: spec.sound.role.unwrap_or(own),
    });
}

/// Gives a layer its ways to come and to go.
pub(super) fn put_ways(entity: &mut EntityWorldMut, spec: &LayerSpec) {
    // A sound that rises and falls does it as a layer that comes and goes.
    let (rise, fall) = match &spec.source {
        Source::Audio(source) => (faded(source.fade_in), faded(source.fade_out)),
        _ => (None, None),
    };
    let enter = spec.enter.clone().or(rise).map(Enter);
    if entity.get::<Enter>() != enter.as_ref() {
        match enter.clone() {
            Some(enter) => entity.insert(enter),
            None => entity.remove::<Enter>(),
        };
    }
    let exit = spec.exit.clone().or(fall).map(Exit);
    if entity.get::<Exit>() != exit.as_ref() {
        match exit.clone() {
            Some(exit) => entity.insert(exit),
            None => entity.remove::<Exit>(),
        };
    }
    let has_ways = enter.is_some() || exit.is_some();
    if has_ways && !entity.contains::<Presence>() {
        let is_new = entity
            .get::<Placed>()
            .is_none_or(|placed| *placed == Placed::default());
        let is_visible = entity.get::<Visible>().is_some_and(|visible| visible.0);
        let presence = if is_new {
            let tick = entity.world().resource::<FrameClock>().tick;
            Presence::entering(is_visible, tick)
        } else {
            Presence::settled(is_visible)
        };
        entity.insert(presence);
    }
}

/// A way of `seconds`, if that is any.
fn faded(seconds: f32) -> Option<Transition> {
    (seconds > 0.0).then(|| Transition {
        easing: Easing::Linear,
        ..Transition::new(TransitionKind::Fade, seconds)
    })
}

/// Gives a layer its source, and what belongs to it.
pub(super) fn insert_source(entity: &mut EntityWorldMut, spec: &LayerSpec) {
    match &spec.source {
        Source::Colour(source) => insert_drawn(entity, source),
        Source::Gradient(source) => insert_drawn(entity, source),
        Source::Shape(source) => insert_drawn(entity, source),
        Source::Text(source) => {
            insert_drawn(entity, source);
            entity.insert((FilledText::default(), Rolling::default()));
        }
        Source::Image(source) => {
            insert_drawn(entity, source);
            entity.insert((FilledText::default(), ShownPicture::default()));
        }
        Source::Ticker(source) => {
            let tick = entity.world().resource::<FrameClock>().tick;
            insert_computed(entity, source);
            entity.insert((Strip::new(tick), ClipsChildren));
        }
        Source::VisualFeed(source) => feed::insert(entity, source),
        Source::Scene(source) => drop(entity.insert(source.clone())),
        Source::Chat(source) => {
            let tick = entity.world().resource::<FrameClock>().tick;
            insert_computed(entity, &**source);
            entity.insert((ChatRows::new(tick), ClipsChildren));
        }
        Source::Avatar(source) => {
            insert_computed(entity, source);
            entity.insert(Avatar::default());
        }
        Source::Video(source) => insert_input(entity, source),
        Source::Rtsp(source) => insert_input(entity, source),
        Source::Ingest(source) => insert_input(entity, source),
        Source::Audio(source) => {
            entity.insert((source.clone(), LiveInput::default()));
        }
        Source::Group(source) => drop(entity.insert(source.clone())),
    }
}

/// Gives a layer an input that may have pictures.
fn insert_input<S: Component + Clone>(entity: &mut EntityWorldMut, source: &S) {
    entity.insert((source.clone(), LiveInput::default()));
    entity.insert((
        ShownInput::default(),
        InputPlace::default(),
        CropClip::default(),
    ));
}

fn insert_computed<S: MovingFields>(entity: &mut EntityWorldMut, source: &S) {
    entity.insert((source.clone(), Computed::<S>(source.clone())));
}

/// Gives a layer a source that has pixels of its own.
fn insert_drawn<S: MovingFields>(entity: &mut EntityWorldMut, source: &S) {
    insert_computed(entity, source);
    entity.insert(CropClip::default());
}

/// Takes a layer's source away, with all that belongs to it.
pub(super) fn remove_source(entity: &mut EntityWorldMut) {
    feed::remove(entity);
    remove_computed::<ColourSource>(entity);
    remove_computed::<GradientSource>(entity);
    remove_computed::<ShapeSource>(entity);
    remove_computed::<TextSource>(entity);
    remove_computed::<AvatarSource>(entity);
    remove_computed::<ImageSource>(entity);
    remove_computed::<TickerSource>(entity);
    remove_computed::<ChatSource>(entity);
    despawn_all_internal(entity);
    entity
        .remove::<(GroupSource, SceneSource, InnerScene)>()
        .remove::<(VideoSource, RtspSource, IngestSource, AudioSource)>()
        .remove::<(LiveInput, ShownInput, InputPlace)>()
        .remove::<(FilledText, Rolling, ShownPicture, CropClip, Avatar, Speech)>()
        .remove::<(Strip, ChatRows, ClipsChildren)>()
        .insert((NaturalSize::default(), Drawn::default()));
}

fn remove_computed<S: MovingFields>(entity: &mut EntityWorldMut) {
    entity.remove::<(S, Computed<S>, FieldMotions<S>)>();
}
