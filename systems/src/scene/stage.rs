//! Which entities belong to what: the scene on air, one that goes, and layers that systems made.

use bevy_ecs::prelude::*;

/// A layer or a timeline of the scene that gives way to another one. It goes on moving, and no command reaches it.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct Outgoing;

/// A layer or a timeline that stands for no authored one: a message of a chat, an item of a feed, a layer of a scene within a scene. It
/// goes with the layer that it was made for, and no command reaches it.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct Internal;

/// A layer that was removed and is still on its way out. No command reaches it.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct Leaving;

/// Entities that commands reach.
pub type Reachable = (Without<Outgoing>, Without<Internal>, Without<Leaving>);
