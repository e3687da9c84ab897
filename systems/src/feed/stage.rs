//! The layers of a feed: those of the item on show, and of the one that gives way to it.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::NaturalSize;
use components::layer::{LayerId, LayerSpec, Opacity, Position, Scale, Size, ZIndex};
use components::source::{
    FeedDirection, FeedItem, FeedTransition, FeedTransitionKind, VisualFeedSource,
};
use glam::Vec2;
use serde_json::{Map, Value, json};

use super::card::{Look, card, nominal};
use super::clock::{Arrivals, Epoch, countdown_words};
use super::state::{FeedClock, show_at};
use crate::animate::{MovingProperty as _, sample_easing};
use crate::assets::Pictures;
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};
use crate::inner::{InTransition, Interior, OwnScope, covering, spawn_stage};
use crate::layout::LayerTree;
use crate::scene::{Place, change_layer, put, spawn_tree};

/// How much smaller an item is when it comes forward.
const FORWARD: f32 = 0.06;

/// What a feed has in the world. On its layer; written in `Populate`.
#[derive(Component, Debug, Default)]
pub(crate) struct FeedStage {
    base: Option<Base>,
    slots: Vec<Slot>,
    /// The item whose picture was asked for last.
    preloaded: Option<Arc<FeedItem>>,
}

/// The stage, and what it was made for.
#[derive(Debug)]
struct Base {
    stage: Entity,
    template: Option<Vec<Arc<LayerSpec>>>,
    /// The size of the space of its items; of a template, of the box.
    size: Vec2,
}

/// An item that is alive.
#[derive(Debug)]
struct Slot {
    root: Entity,
    scope: DataScope,
    facts: Facts,
    /// The layers of the built-in card.
    card: Vec<(Arc<LayerSpec>, Entity)>,
}

/// All that an item's layers follow from.
#[derive(Clone, Debug)]
struct Facts {
    item: Arc<FeedItem>,
    index: usize,
    count: usize,
    seconds_left: Option<u64>,
    ended: Arc<str>,
}

impl Facts {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.item, &other.item)
            && (self.index, self.count, self.seconds_left)
                == (other.index, other.count, other.seconds_left)
            && self.ended == other.ended
    }

    fn look(&self, size: Vec2) -> Look {
        Look {
            size,
            bid: self.item.bid,
            has_bidder: self.item.bidder.is_some(),
            has_artist: self.item.artist.is_some(),
            has_image: self.item.image.is_some(),
            seconds_left: self.seconds_left,
            index: self.index,
            count: self.count,
        }
    }

    /// What templates look up.
    fn values(&self) -> Arc<Map<String, Value>> {
        let item = &self.item;
        let words = |seconds| countdown_words(seconds, &self.ended);
        let item = json!({
            "id": item.id,
            "title": item.title,
            "artist": item.artist,
            "image": item.image,
            "bid": item.bid,
            "currency": item.currency,
            "bidder": item.bidder,
            "endsAt": item.ends_at,
            "data": item.data,
            "countdown": self.seconds_left.map(words),
            "index": self.index + 1,
            "count": self.count,
        });
        let mut values = Map::new();
        values.insert("item".to_owned(), item);
        Arc::new(values)
    }
}

/// An item that is to be alive on this tick.
struct Wanted {
    facts: Facts,
    pose: Pose,
}

/// Where an item stands in its transition.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pose {
    offset: Vec2,
    scale: f32,
    opacity: f32,
    z_index: i32,
    moves: bool,
}

/// Set `Populate`.
pub(super) fn populate(
    world: &mut World,
    feeds: &mut QueryState<Entity, With<FeedStage>>,
    mut todo: Local<Vec<Entity>>,
) {
    todo.clear();
    todo.extend(feeds.iter(world));
    for layer in &*todo {
        // Taken out, since what it holds is in the world.
        let Some(mut stage) = world.get_mut::<FeedStage>(*layer) else {
            continue;
        };
        let mut stage = std::mem::take(&mut *stage);
        show(world, *layer, &mut stage);
        if let Some(mut slot) = world.get_mut::<FeedStage>(*layer) {
            *slot = stage;
        }
    }
}

fn show(world: &mut World, layer: Entity, stage: &mut FeedStage) {
    let size = follow_source(world, layer, stage);
    let [current, previous, next] = wanted(world, layer, size, stage);
    let is_wanted = |slot: &Slot| {
        [&current, &previous]
            .into_iter()
            .flatten()
            .any(|wanted| wanted.facts.item.id == slot.facts.item.id)
    };
    let mut gone = false;
    stage.slots.retain(|slot| {
        let stays = is_wanted(slot);
        if !stays {
            world.despawn(slot.root);
            gone = true;
        }
        stays
    });
    if gone {
        world.resource_mut::<LayerTree>().mark_stale();
    }
    for wanted in [previous, current].into_iter().flatten() {
        let id = &wanted.facts.item.id;
        let place = stage
            .slots
            .iter()
            .position(|slot| slot.facts.item.id == *id);
        let slot = match place {
            Some(place) => {
                let slot = &mut stage.slots[place];
                refresh(world, slot, wanted.facts, size);
                &stage.slots[place]
            }
            None => {
                let Some(slot) = spawn(world, layer, stage, wanted.facts) else {
                    continue;
                };
                stage.slots.push(slot);
                let Some(slot) = stage.slots.last() else {
                    continue;
                };
                slot
            }
        };
        pose(world, slot.root, wanted.pose);
    }
    preload(world, stage, next.map(|wanted| wanted.facts.item));
}

/// Makes the stage, anew when the template or the form of the card is another. Gives the size of the items' space.
fn follow_source(world: &mut World, layer: Entity, stage: &mut FeedStage) -> Vec2 {
    let data = world.resource::<SceneData>();
    let scope = world.get::<DataScope>(layer).copied();
    let own = world.get::<Size>(layer).zip(scope).map(|(size, scope)| {
        let lookup = |path: &str| data.lookup(scope, path);
        size.resolve(&lookup)
    });
    let template = world
        .get::<VisualFeedSource>(layer)
        .and_then(|source| source.template.as_ref());
    let size = match template {
        Some(_) => own.unwrap_or_default(),
        None => nominal(own),
    };
    if let Some(base) = &mut stage.base {
        let same_template = is_same(base.template.as_deref(), template.map(Vec::as_slice));
        if same_template && (base.size == size || template.is_some()) {
            base.size = size;
            return size;
        }
    }
    let template = template.cloned();
    if let Some(old) = stage.base.take() {
        stage.slots.clear();
        world.despawn(old.stage);
    }
    let interior = match template {
        Some(_) => Interior::Box,
        None => Interior::Canvas(size),
    };
    if let Some(scope) = scope {
        stage.base = Some(Base {
            stage: spawn_stage(world, layer, scope, interior),
            template,
            size,
        });
    }
    world.entity_mut(layer).insert(NaturalSize(size));
    size
}

/// Whether two templates are the same; on most ticks they are the very same.
fn is_same(a: Option<&[Arc<LayerSpec>]>, b: Option<&[Arc<LayerSpec>]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// The item on show, the one that gives way to it, and the one that comes next.
fn wanted(world: &World, layer: Entity, size: Vec2, stage: &FeedStage) -> [Option<Wanted>; 3] {
    let clock = *world.resource::<FrameClock>();
    let now_ms = world.resource::<Epoch>().at(&clock);
    let entity = world.entity(layer);
    let (Some(source), Some(state), Some(arrivals)) = (
        entity.get::<VisualFeedSource>(),
        entity.get::<FeedClock>(),
        entity.get::<Arrivals>(),
    ) else {
        return [None, None, None];
    };
    let Some(showing) = show_at(&state.0, source, &clock) else {
        return [None, None, None];
    };
    let known = stage.slots.first().map(|slot| &slot.facts.ended);
    let ended = known
        .filter(|ended| ***ended == *source.ended)
        .map_or_else(|| source.ended.as_str().into(), Arc::clone);
    let want = |index: usize, pose: Pose| {
        let item = Arc::clone(source.items.get(index)?);
        let facts = Facts {
            seconds_left: arrivals.seconds_left(&item, now_ms),
            item,
            index,
            count: source.items.len(),
            ended: Arc::clone(&ended),
        };
        Some(Wanted { facts, pose })
    };
    let part = match showing.previous {
        Some(_) => part(&source.transition, showing.seconds),
        None => None,
    };
    let poses = poses(&source.transition, part, size);
    let previous = showing.previous.filter(|_| part.is_some());
    [
        want(showing.index, poses[0]),
        previous.and_then(|index| want(index, poses[1])),
        want(showing.next, poses[0]),
    ]
}

/// How much of a transition is done; `None` when it is over.
fn part(transition: &FeedTransition, seconds: f64) -> Option<f32> {
    let duration = f64::from(transition.duration);
    if transition.kind == FeedTransitionKind::Cut || seconds >= duration {
        return None;
    }
    Some(sample_easing(transition.easing, seconds / duration) as f32)
}

/// Where the one that comes and the one that goes stand, when `part` of the way is done.
fn poses(transition: &FeedTransition, part: Option<f32>, size: Vec2) -> [Pose; 2] {
    let still = Pose {
        offset: Vec2::ZERO,
        scale: 1.0,
        opacity: 1.0,
        z_index: 1,
        moves: false,
    };
    let Some(part) = part else {
        return [
            still,
            Pose {
                z_index: 0,
                ..still
            },
        ];
    };
    let way = size
        * match transition.direction {
            FeedDirection::Left => Vec2::NEG_X,
            FeedDirection::Right => Vec2::X,
            FeedDirection::Up => Vec2::NEG_Y,
            FeedDirection::Down => Vec2::Y,
        };
    let seen = part.clamp(0.0, 1.0);
    let coming = Pose {
        moves: true,
        ..still
    };
    let going = Pose {
        z_index: 0,
        ..coming
    };
    match transition.kind {
        // The one below goes late, so that the two together do not let what is behind them through.
        FeedTransitionKind::Fade => [
            Pose {
                opacity: seen,
                moves: false,
                ..coming
            },
            Pose {
                opacity: 1.0 - seen * seen,
                moves: false,
                ..going
            },
        ],
        FeedTransitionKind::Slide => [
            Pose {
                offset: way * (part - 1.0),
                ..coming
            },
            Pose {
                opacity: 1.0 - seen,
                ..going
            },
        ],
        FeedTransitionKind::Push => [
            Pose {
                offset: way * (part - 1.0),
                ..coming
            },
            Pose {
                offset: way * part,
                ..going
            },
        ],
        FeedTransitionKind::Scale => {
            let about_middle = |scale: f32| size * (1.0 - scale) / 2.0;
            let (from, to) = (1.0 - FORWARD * (1.0 - part), 1.0 + FORWARD * part);
            [
                Pose {
                    scale: from,
                    offset: about_middle(from),
                    opacity: seen,
                    ..coming
                },
                Pose {
                    scale: to,
                    offset: about_middle(to),
                    opacity: 1.0 - seen,
                    ..going
                },
            ]
        }
        FeedTransitionKind::Cut => [still, going],
    }
}

fn pose(world: &mut World, root: Entity, pose: Pose) {
    let Ok(mut root) = world.get_entity_mut(root) else {
        return;
    };
    put(
        &mut root,
        &Position {
            x: pose.offset.x.into(),
            y: pose.offset.y.into(),
        },
    );
    put(
        &mut root,
        &Scale {
            x: pose.scale.into(),
            y: pose.scale.into(),
        },
    );
    put(&mut root, &Opacity(pose.opacity.into()));
    put(&mut root, &ZIndex(Some(pose.z_index)));
    match (pose.moves, root.contains::<InTransition>()) {
        (true, false) => drop(root.insert(InTransition)),
        (false, true) => drop(root.remove::<InTransition>()),
        _ => {}
    }
}

fn spawn(world: &mut World, layer: Entity, stage: &FeedStage, facts: Facts) -> Option<Slot> {
    let base = stage.base.as_ref()?;
    let above = *world.get::<DataScope>(layer)?;
    let within = world.get::<LayerId>(layer)?.clone();
    let tick = world.resource::<FrameClock>().tick;
    let scope = world
        .resource_mut::<SceneData>()
        .add(facts.values(), Some(above));
    let place = Place {
        parent: Some(base.stage),
        scope,
        within: Some(within.as_str()),
    };
    let root = LayerSpec::new(facts.item.id.clone());
    let root = *spawn_tree(world, &[Arc::new(root)], &[], &place, tick).first()?;
    world.entity_mut(root).insert(OwnScope(scope));
    let place = Place {
        parent: Some(root),
        ..place
    };
    let mut cards = Vec::new();
    match &base.template {
        Some(template) => {
            let layers = covering(template, base.size);
            spawn_tree(world, &layers, &[], &place, tick);
        }
        None => {
            let layers = card(&facts.look(base.size));
            let entities = spawn_tree(world, &layers, &[], &place, tick);
            cards = layers.into_iter().zip(entities).collect();
        }
    }
    Some(Slot {
        root,
        scope,
        facts,
        card: cards,
    })
}

/// Has an item that is alive say what it is now.
fn refresh(world: &mut World, slot: &mut Slot, facts: Facts, size: Vec2) {
    if slot.facts.is_same(&facts) {
        return;
    }
    slot.facts = facts;
    let values = slot.facts.values();
    world.resource_mut::<SceneData>().set(slot.scope, values);
    if slot.card.is_empty() {
        return;
    }
    let layers = card(&slot.facts.look(size));
    for ((shown, entity), layer) in slot.card.iter_mut().zip(layers) {
        if *shown != layer {
            change_layer(world, *entity, &layer, Some(slot.root));
            *shown = layer;
        }
    }
}

/// Asks for the picture of the item that comes next, so that it is there when it is needed.
fn preload(world: &mut World, stage: &mut FeedStage, next: Option<Arc<FeedItem>>) {
    let is_known = match (&stage.preloaded, &next) {
        (Some(known), Some(next)) => Arc::ptr_eq(known, next),
        (known, next) => known.is_none() && next.is_none(),
    };
    if is_known {
        return;
    }
    if let Some(image) = next.as_ref().and_then(|item| item.image.as_deref()) {
        world.resource_mut::<Pictures>().get(image);
    }
    stage.preloaded = next;
}
