//! Chats: a row of layers for each message that fits the box, made when it comes, moved as one, and taken away when it is gone.
//!
//! A message that comes costs measuring and drawing its own words; the rows before it only move.

mod card;
mod colours;
mod rows;

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::Computed;
use components::layer::{LayerId, Opacity, Position, Scale, Size};
use components::source::{ChatDirection, ChatMotionKind, ChatSource};
use glam::Vec2;

use super::easing::sample_easing;
use crate::clock::FrameClock;
use crate::layout::{Flows, Fonts, ShownPicture};
use crate::render::Rounded;
use crate::scene::{despawn_internal, spawn_internal};
use card::Card;
pub(crate) use rows::ChatRows;
use rows::Row;

/// How far a row slides, in pixels.
const SLIDE_PX: f32 = 56.0;
/// What a row that pops begins with of its size.
const POP: f32 = 0.8;
/// The part of a row that may be cut off by the far end of the box before nothing of it is seen.
const CUT_MAX: f32 = 0.3;

type Hosts<'w> = (
    Entity,
    Ref<'w, ChatSource>,
    Ref<'w, Computed<ChatSource>>,
    &'w ChatRows,
    Option<Ref<'w, Computed<Size>>>,
);

/// Follows messages, time and boxes: makes rows and takes them away, and says where each is to stand.
pub(super) fn follow(
    world: &mut World,
    hosts: &mut QueryState<Hosts<'static>>,
    mut stale: Local<Vec<(Entity, Cause)>>,
) {
    stale.clear();
    let tick = world.resource::<FrameClock>().tick;
    stale.extend(
        hosts
            .iter(world)
            .filter_map(|(host, authored, chat, rows, size)| {
                let is_told = authored.is_changed()
                    || rows.has_out
                    || rows.due_tick.is_some_and(|due| due <= tick)
                    || size.as_ref().is_some_and(|size| size.is_changed());
                match (is_told, chat.is_changed()) {
                    (true, _) => Some((host, Cause::Told)),
                    (false, true) => Some((host, Cause::Moved)),
                    (false, false) => None,
                }
            }),
    );
    for (host, cause) in &*stale {
        update(world, *host, *cause);
    }
}

/// Why rows stand elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cause {
    /// Something came or went: they go there.
    Told,
    /// A track or a glide moves the look of the chat: they stand there, and what they were on the way from goes on.
    Moved,
}

fn update(world: &mut World, host: Entity, cause: Cause) {
    let clock = *world.resource::<FrameClock>();
    let Some(chat) = world
        .get::<Computed<ChatSource>>(host)
        .map(|chat| chat.0.clone())
    else {
        return;
    };
    let box_size = world
        .get::<Computed<Size>>(host)
        .map_or(Vec2::ZERO, |size| size.0);
    let Some(mut rows) = world
        .get_mut::<ChatRows>(host)
        .map(|mut rows| std::mem::take(&mut *rows))
    else {
        return;
    };
    let mut gone = rows.take_messages(&chat, &clock);
    gone.extend(rows.pass_time(&chat, &clock));
    let style = rows.style.as_ref();
    let same_style = style.is_some_and(|style| style.has_style_of(&chat));
    let same_cards = style.is_some_and(|style| style.has_cards_of(&chat));
    if !same_cards || rows.box_size.x != box_size.x {
        // What they look like follows from both; where they stand does not.
        for row in &mut rows.rows {
            gone.extend(row.layer.take());
            row.size = None;
        }
    }
    rows.box_size = box_size;
    for layer in gone {
        despawn_internal(world, layer);
    }
    stack(world, host, &chat, &mut rows, cause, &clock);
    if !same_style {
        rows.style = Some(chat.style());
    }
    if let Some(mut slot) = world.get_mut::<ChatRows>(host) {
        *slot = rows;
    }
}

/// Puts the rows on each other from the newest end of the box on, as many as there is room for.
fn stack(
    world: &mut World,
    host: Entity,
    chat: &ChatSource,
    rows: &mut ChatRows,
    cause: Cause,
    clock: &FrameClock,
) {
    let is_first = rows.style.is_none();
    let extent = rows.extent(chat);
    let mut before = 0.0;
    let mut list = std::mem::take(&mut rows.rows);
    // Rows that are new to the box, the newest first, and where each is to stand.
    let mut fresh: Vec<(usize, f32)> = Vec::new();
    for (index, row) in list.iter_mut().enumerate().rev() {
        if row.is_gone {
            continue;
        }
        // With less than a pixel there is nothing to see.
        let has_no_room = before + 1.0 > extent;
        if has_no_room && rows.is_out(chat, row) {
            row.is_placed = false;
            if let Some(layer) = row.layer.take() {
                despawn_internal(world, layer);
            }
        }
        if has_no_room && !row.is_placed {
            continue;
        }
        if row.layer.is_none() {
            spawn(world, host, chat, rows.box_size.x, row);
        }
        let height = row.size.map_or(0.0, |size| size.y);
        let target = rows.top(chat, before, height);
        before += height + chat.gap;
        if row.is_placed {
            match cause {
                Cause::Told => row.go_to(target, chat, clock),
                Cause::Moved => row.shift_to(target),
            }
        } else {
            fresh.push((index, target));
        }
    }
    for (index, target) in fresh {
        let lag = if is_first {
            (0.0, 0.0)
        } else {
            lag_of_column(&list, index, chat, clock)
        };
        if let Some(row) = list.get_mut(index) {
            row.stand(target, lag, chat, clock);
        }
    }
    rows.rows = list;
}

/// A row that is new to the box goes along with the one beside it, as if it had been there: one that came now with the ones before
/// it, one that has room again with the ones after it.
fn lag_of_column(list: &[Row], index: usize, chat: &ChatSource, clock: &FrameClock) -> (f32, f32) {
    let Some(row) = list.get(index) else {
        return (0.0, 0.0);
    };
    let is_new = row.enters && row.came_tick == clock.tick;
    let beside = if is_new {
        list.iter().take(index).rev().find(|row| row.is_placed)
    } else {
        list.iter().skip(index + 1).find(|row| row.is_placed)
    };
    match beside {
        Some(beside) => beside.lag(),
        None if is_new => {
            let way = row.size.map_or(0.0, |size| size.y) + chat.gap;
            match chat.direction {
                ChatDirection::Up => (way, 0.0),
                ChatDirection::Down => (-way, 0.0),
            }
        }
        None => (0.0, 0.0),
    }
}

/// Measures a row and makes its layers.
fn spawn(world: &mut World, host: Entity, chat: &ChatSource, width: f32, row: &mut Row) {
    let width = (width - chat.padding * 2.0).max(1.0);
    let Card { spec, size } = world.resource_scope(|_, mut fonts: Mut<Fonts>| {
        card::lay_out(chat, &row.message, width, &mut fonts.library)
    });
    row.size = Some(size);
    row.layer = spawn_internal(world, host, Arc::new(spec));
    let Some(layer) = row.layer else { return };
    world.entity_mut(layer).insert(Flows(true));
    play_since(world, layer, row.came_tick);
    let children = world.get::<Children>(layer);
    let avatar = children.and_then(|children| {
        children.iter().find(|child| {
            let id = world.get::<LayerId>(*child);
            id.is_some_and(|id| id.as_str().ends_with(card::AVATAR))
        })
    });
    if let Some(avatar) = avatar {
        let radius = card::avatar_radius(chat, chat.avatars.size);
        world.entity_mut(avatar).insert(Rounded(radius));
    }
}

/// Moving pictures play since their message came, whenever its layers are made.
fn play_since(world: &mut World, row: Entity, tick: u64) {
    let parts = world.get::<Children>(row);
    let parts: Vec<Entity> = parts.map_or_else(Vec::new, |parts| parts.iter().collect());
    for part in parts {
        if let Some(mut shown) = world.get_mut::<ShownPicture>(part) {
            shown.since_tick = tick;
        }
    }
}

type Placing<'a> = (
    &'a mut Computed<Position>,
    &'a mut Computed<Opacity>,
    &'a mut Computed<Scale>,
    &'a mut Flows,
);

/// Puts every row where it stands on this tick.
pub(super) fn flow(
    clock: Res<FrameClock>,
    mut chats: Query<(&Computed<ChatSource>, &mut ChatRows)>,
    mut layers: Query<Placing>,
) {
    for (Computed(chat), mut rows) in &mut chats {
        let rows = rows.bypass_change_detection();
        let box_size = rows.box_size;
        let mut out = false;
        for row in &mut rows.rows {
            let (Some(layer), Some(size)) = (row.layer, row.size) else {
                continue;
            };
            let Ok((mut position, mut opacity, mut scale, mut flows)) = layers.get_mut(layer)
            else {
                continue;
            };
            let y = row.step(&clock);
            let look = Look::new(chat, row, &clock);
            let cut = match chat.direction {
                ChatDirection::Up => -y,
                ChatDirection::Down => y + size.y - box_size.y,
            };
            let cut = (cut / size.y.max(1.0)).clamp(0.0, 1.0);
            out |= cut >= 1.0;
            let seen = 1.0 - (cut / CUT_MAX).min(1.0);
            // It grows from the middle of its left side.
            let corner = Vec2::new(
                chat.padding + look.aside,
                y + size.y * (1.0 - look.scale) / 2.0,
            );
            position.set_if_neq(Computed(corner));
            opacity.set_if_neq(Computed((look.opacity * seen).clamp(0.0, 1.0)));
            scale.set_if_neq(Computed(Vec2::splat(look.scale)));
            flows.set_if_neq(Flows(row.glides() || look.moves));
        }
        rows.has_out = out;
    }
}

/// What an entrance or an exit makes of a row.
struct Look {
    opacity: f32,
    scale: f32,
    /// Pixels to the right.
    aside: f32,
    moves: bool,
}

impl Look {
    fn new(chat: &ChatSource, row: &Row, clock: &FrameClock) -> Self {
        let (entered, left) = (row.entered(chat, clock), row.left(chat, clock));
        let mut look = Self {
            opacity: 1.0,
            scale: 1.0,
            aside: 0.0,
            moves: entered < 1.0 || left > 0.0,
        };
        look.apply(
            chat.entrance.kind,
            sample_easing(chat.entrance.easing, entered),
        );
        // The course of an exit is that of an entrance turned round.
        look.apply(chat.exit.kind, sample_easing(chat.exit.easing, 1.0 - left));
        look
    }

    /// `there` is how much of the row is there: 0 to 1, with some easings a little beyond.
    fn apply(&mut self, kind: ChatMotionKind, there: f64) {
        let there = there as f32;
        self.opacity *= there.clamp(0.0, 1.0);
        match kind {
            ChatMotionKind::Fade => {}
            ChatMotionKind::Slide => self.aside -= (1.0 - there) * SLIDE_PX,
            ChatMotionKind::Pop => self.scale *= POP + (1.0 - POP) * there,
        }
    }
}
