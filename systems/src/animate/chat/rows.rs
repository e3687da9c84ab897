//! The rows of one chat: which messages have one, where it is to stand, and when it comes and goes. No layers here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::scene::FrameRate;
use components::source::{ChatDirection, ChatMessage, ChatSource};
use glam::{Vec2, Vec4};

use crate::animate::GlideState;
use crate::clock::FrameClock;

/// The rows of a chat. On the chat's layer; written in `Animate`.
#[derive(Component, Debug, Default)]
pub(crate) struct ChatRows {
    /// The tick on which the chat came on air.
    since_tick: u64,
    /// When messages came that are in it from the first, of those that came after it.
    came: BTreeMap<Arc<str>, u64>,
    /// Its look when the rows were made; `None` before the first.
    pub(super) style: Option<ChatSource>,
    pub(super) box_size: Vec2,
    /// The oldest first.
    pub(super) rows: Vec<Row>,
    /// The next tick on which a row begins to go, or is gone.
    pub(super) due_tick: Option<u64>,
    /// Whether a row was pushed out of the box on the last tick.
    pub(super) has_out: bool,
}

/// One message.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) message: Arc<ChatMessage>,
    /// The tick on which it came.
    pub(super) came_tick: u64,
    /// Whether it came on air after its chat, and is seen to come.
    pub(super) enters: bool,
    /// The tick on which it begins to go.
    pub(super) leaves_tick: Option<u64>,
    /// Whether its time is over; its message may still be kept.
    pub(super) is_gone: bool,
    /// Whether its message is no longer kept.
    is_trimmed: bool,
    /// Pixels; `None` before it was measured.
    pub(super) size: Option<Vec2>,
    pub(super) layer: Option<Entity>,
    /// Whether it stands in the box, or was pushed out of it and can still be seen.
    pub(super) is_placed: bool,
    /// Pixels from the top of the box to its top, when it has come to rest.
    target: f32,
    glide: Option<GlideState>,
    /// Where it was on the last tick, and how fast, in pixels and pixels a second.
    shown: f32,
    velocity: f32,
}

impl ChatRows {
    /// Rows of a chat that comes on air on `tick`.
    pub(crate) fn new(tick: u64) -> Self {
        Self {
            since_tick: tick,
            ..Self::default()
        }
    }

    /// Messages that came after the chat, and when; before any was taken.
    pub(crate) fn came_on(&mut self, ticks: &BTreeMap<Arc<str>, u64>) {
        self.came.clone_from(ticks);
    }

    /// Takes over what was written; gives the layers of rows that are no more.
    pub(super) fn take_messages(&mut self, chat: &ChatSource, clock: &FrameClock) -> Vec<Entity> {
        let is_first = self.style.is_none();
        let came = std::mem::take(&mut self.came);
        let max = chat.max_messages as usize;
        let kept = &chat.messages[chat.messages.len().saturating_sub(max)..];
        let mut old: Vec<Option<Row>> = std::mem::take(&mut self.rows)
            .into_iter()
            .map(Some)
            .collect();
        let is_kept = |row: &Row| kept.iter().any(|message| message.id == row.message.id);
        // Those before all that are kept went because there were too many; any other was deleted.
        let oldest_kept = old.iter().position(|row| {
            row.as_ref()
                .is_some_and(|row| !row.is_trimmed && is_kept(row))
        });
        let is_full = kept.len() >= max;
        let mut gone = Vec::new();
        let mut rows = Vec::with_capacity(kept.len() + 4);
        for (index, slot) in old.iter_mut().enumerate() {
            let Some(row) = slot.take_if(|row| row.is_trimmed || !is_kept(row)) else {
                continue;
            };
            let makes_room = is_full && oldest_kept.is_none_or(|oldest| index < oldest);
            if row.is_trimmed || makes_room && !row.is_gone && row.layer.is_some() {
                rows.push(Row {
                    is_trimmed: true,
                    leaves_tick: row.leaves_tick.or(Some(clock.tick)),
                    ..row
                });
            } else {
                gone.extend(row.layer);
            }
        }
        for message in kept {
            let found = old.iter_mut().find(|slot| {
                slot.as_ref()
                    .is_some_and(|row| row.message.id == message.id)
            });
            match found.and_then(Option::take) {
                Some(mut row) => {
                    if row.message != *message {
                        gone.extend(row.layer.take());
                        row.message = Arc::clone(message);
                        row.size = None;
                    }
                    rows.push(row);
                }
                None => {
                    let came = came.get(message.id.as_str()).copied();
                    let came_tick = match came {
                        Some(tick) => tick,
                        None if is_first => self.since_tick,
                        None => clock.tick,
                    };
                    rows.push(Row::new(message, came_tick, !is_first || came.is_some()));
                }
            }
        }
        self.rows = rows;
        gone
    }

    /// Lets rows go whose time is over; gives their layers, and notes when the next is due.
    pub(super) fn pass_time(&mut self, chat: &ChatSource, clock: &FrameClock) -> Vec<Entity> {
        let lifetime = chat.lifetime.map(|seconds| ticks(seconds, clock.rate));
        let exit = ticks(chat.exit.duration, clock.rate);
        let mut gone = Vec::new();
        self.due_tick = None;
        self.rows.retain_mut(|row| {
            if row.is_gone {
                return !row.is_trimmed;
            }
            let end = lifetime.map(|lifetime| row.came_tick + lifetime);
            if !row.is_trimmed {
                row.leaves_tick = end.filter(|end| *end <= clock.tick);
            }
            let due = match row.leaves_tick {
                Some(leaves) if leaves + exit <= clock.tick => {
                    row.is_gone = true;
                    gone.extend(row.layer.take());
                    return !row.is_trimmed;
                }
                Some(leaves) => Some(leaves + exit),
                None => end,
            };
            self.due_tick = match (self.due_tick, due) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            true
        });
        gone
    }

    /// Pixels of the box in which rows stand.
    pub(super) fn extent(&self, chat: &ChatSource) -> f32 {
        (self.box_size.y - chat.padding * 2.0).max(0.0)
    }

    /// Whether a row is wholly past the far end of the box.
    pub(super) fn is_out(&self, chat: &ChatSource, row: &Row) -> bool {
        let height = row.size.map_or(0.0, |size| size.y);
        match chat.direction {
            ChatDirection::Up => row.shown + height <= 0.0,
            ChatDirection::Down => row.shown >= self.box_size.y,
        }
    }

    /// The top of a row of `height` pixels, `before` pixels behind the newest end of the box.
    pub(super) fn top(&self, chat: &ChatSource, before: f32, height: f32) -> f32 {
        match chat.direction {
            ChatDirection::Up => (self.box_size.y - chat.padding - before - height).round(),
            ChatDirection::Down => (chat.padding + before).round(),
        }
    }
}

impl Row {
    fn new(message: &Arc<ChatMessage>, came_tick: u64, enters: bool) -> Self {
        Self {
            message: Arc::clone(message),
            came_tick,
            enters,
            leaves_tick: None,
            is_gone: false,
            is_trimmed: false,
            size: None,
            layer: None,
            is_placed: false,
            target: 0.0,
            glide: None,
            shown: 0.0,
            velocity: 0.0,
        }
    }

    /// Has a row that is shown go to another place.
    pub(super) fn go_to(&mut self, target: f32, chat: &ChatSource, clock: &FrameClock) {
        if self.target != target {
            self.target = target;
            self.glide(chat, clock);
        }
    }

    /// Has a row that is shown stand at another place, from which it is as far as it was from the one before.
    pub(super) fn shift_to(&mut self, target: f32) {
        self.shown += target - self.target;
        self.target = target;
    }

    /// Puts a row that was not shown at its place, as far from it as `lag` says, with that speed.
    pub(super) fn stand(
        &mut self,
        target: f32,
        (lag, velocity): (f32, f32),
        chat: &ChatSource,
        clock: &FrameClock,
    ) {
        self.is_placed = true;
        (self.target, self.shown) = (target, target + lag);
        (self.velocity, self.glide) = (velocity, None);
        if lag != 0.0 || velocity != 0.0 {
            self.glide(chat, clock);
        }
    }

    fn glide(&mut self, chat: &ChatSource, clock: &FrameClock) {
        let shown = Vec4::new(self.shown, 0.0, 0.0, 0.0);
        let velocity = Vec4::new(self.velocity, 0.0, 0.0, 0.0);
        self.glide = Some(GlideState::begin(&chat.push, shown, velocity, clock));
    }

    /// How far it is from where it is to stand, and how fast it moves.
    pub(super) fn lag(&self) -> (f32, f32) {
        (self.shown - self.target, self.velocity)
    }

    /// Whether it is on its way.
    pub(super) fn glides(&self) -> bool {
        self.glide.is_some()
    }

    /// Moves on to this tick; gives where its top is.
    pub(super) fn step(&mut self, clock: &FrameClock) -> f32 {
        let own = Vec4::new(self.target, 0.0, 0.0, 0.0);
        let mut y = self.target;
        if let Some(glide) = &mut self.glide {
            match glide.offset(own, clock) {
                Some(offset) => y += offset.x,
                None => self.glide = None,
            }
        }
        self.velocity = match self.glide {
            Some(_) => (y - self.shown) * clock.rate.as_f64() as f32,
            None => 0.0,
        };
        self.shown = y;
        y
    }

    /// The part of its entrance that is over, 0 to 1; its first tick shows some of it.
    pub(super) fn entered(&self, chat: &ChatSource, clock: &FrameClock) -> f64 {
        if !self.enters {
            return 1.0;
        }
        let ticks = clock.tick.saturating_sub(self.came_tick) + 1;
        part(clock.rate.seconds_at(ticks), chat.entrance.duration)
    }

    /// The part of its exit that is over, 0 to 1.
    pub(super) fn left(&self, chat: &ChatSource, clock: &FrameClock) -> f64 {
        self.leaves_tick.map_or(0.0, |leaves| {
            let ticks = clock.tick.saturating_sub(leaves) + 1;
            part(clock.rate.seconds_at(ticks), chat.exit.duration)
        })
    }
}

fn part(seconds: f64, duration: f32) -> f64 {
    if duration > 0.0 {
        (seconds / f64::from(duration)).min(1.0)
    } else {
        1.0
    }
}

/// The first whole tick after so many seconds.
fn ticks(seconds: f32, rate: FrameRate) -> u64 {
    (f64::from(seconds) * rate.as_f64()).ceil() as u64
}
