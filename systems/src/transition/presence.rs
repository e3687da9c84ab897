//! Layers that come and go: how much of each is there on this tick.
//!
//! Where a layer stands follows from the tick on which it last turned round, so a change of mind goes on from what is on screen.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::layer::Visible;
use components::transition::{Enter, Exit, Transition, TransitionKind};
use raster::Raster;
use serde::{Deserialize, Serialize};

use super::clip::Clip;
use crate::animate::sample_easing;
use crate::assets::Pictures;
use crate::clock::FrameClock;
use crate::layout::LayerTree;
use crate::scene::Leaving;

/// How much of a layer is there. On layers that have a way to come or to go; written in `Animate`.
#[derive(Component, Clone, Debug, Default)]
pub struct Presence {
    wanted: bool,
    way: Way,
    /// The part that had come on `since_tick`, 0 to 1, before its easing.
    from: f64,
    since_tick: u64,
    /// The part that has come on this tick.
    part: f64,
    /// The picture of a stinger over it, and its number.
    frame: Option<(Arc<Raster>, u64)>,
    /// The part that has come behind a stinger.
    behind: Option<f32>,
}

/// By which of its two ways a layer comes or goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// That by which it comes.
    #[default]
    Enter,
    /// That by which it goes.
    Exit,
}

/// Where a layer stands that is on its way, so that another run goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresencePlace {
    /// Whether it comes.
    pub comes: bool,
    /// Its way.
    pub way: Way,
    /// The part that had come on `since_tick`, 0 to 1.
    pub from: f64,
    /// The tick on which it set out or last turned round.
    pub since_tick: u64,
}

impl Presence {
    /// Where it stands, if it is on its way.
    pub(crate) fn place(&self) -> Option<PresencePlace> {
        self.moves().then_some(PresencePlace {
            comes: self.wanted,
            way: self.way,
            from: self.from,
            since_tick: self.since_tick,
        })
    }

    /// Of a layer that goes on from there.
    pub(crate) fn going_on(place: PresencePlace) -> Self {
        Self {
            wanted: place.comes,
            way: place.way,
            from: place.from.clamp(0.0, 1.0),
            since_tick: place.since_tick,
            ..Self::default()
        }
    }

    /// Of a layer that comes into the world on a tick.
    pub(crate) fn entering(is_visible: bool, since_tick: u64) -> Self {
        Self {
            wanted: is_visible,
            since_tick,
            ..Self::default()
        }
    }

    /// Of a layer that is there, or is not, for a while already.
    pub(crate) fn settled(is_there: bool) -> Self {
        Self {
            wanted: is_there,
            part: f64::from(u8::from(is_there)),
            from: f64::from(u8::from(is_there)),
            ..Self::default()
        }
    }

    /// Whether anything of the layer is there.
    pub fn is_there(&self) -> bool {
        self.wanted || self.part > 0.0
    }

    /// The transition that it is in and the part that has come, eased; `None` where it is all there, or not at all.
    pub fn transition<'a>(
        &self,
        enter: Option<&'a Enter>,
        exit: Option<&'a Exit>,
    ) -> Option<(&'a Transition, f32)> {
        if self.part >= 1.0 || !self.is_there() {
            return None;
        }
        let transition = self.way.of(enter, exit)?;
        if let Some(behind) = self.behind {
            return Some((transition, behind));
        }
        let part = match self.way {
            Way::Enter => sample_easing(transition.easing, self.part),
            Way::Exit => 1.0 - sample_easing(transition.easing, 1.0 - self.part),
        };
        Some((transition, part as f32))
    }

    /// The picture that plays over the layer, and its number.
    pub fn frame(&self) -> Option<&(Arc<Raster>, u64)> {
        self.frame.as_ref()
    }

    /// Whether it is on its way.
    pub fn moves(&self) -> bool {
        self.is_there() && self.part < 1.0
    }
}

impl Way {
    fn of<'a>(self, enter: Option<&'a Enter>, exit: Option<&'a Exit>) -> Option<&'a Transition> {
        match self {
            Self::Enter => enter.map(|enter| &enter.0),
            Self::Exit => exit.map(|exit| &exit.0),
        }
    }
}

type Row<'a> = (
    &'a Visible,
    Option<&'a Enter>,
    Option<&'a Exit>,
    Has<Leaving>,
    &'a mut Presence,
);

pub(crate) fn advance(clock: Res<FrameClock>, pictures: Res<Pictures>, mut layers: Query<Row>) {
    for (visible, enter, exit, leaving, mut presence) in &mut layers {
        let row = presence.bypass_change_detection();
        let wanted = visible.0 && !leaving;
        if wanted != row.wanted {
            row.since_tick = clock.tick;
            if row.part <= 0.0 || row.part >= 1.0 {
                // At rest it takes the way for where it goes, and begins with nothing gone of it.
                row.way = if wanted { Way::Enter } else { Way::Exit };
            } else {
                // Half way it turns round on the way that it is on, without standing still for a tick.
                row.since_tick = clock.tick.saturating_sub(1);
            }
            row.wanted = wanted;
            row.from = row.part;
        }
        let transition = row.way.of(enter, exit).filter(|way| !way.is_cut());
        let clip = transition
            .filter(|way| way.kind == TransitionKind::Stinger)
            .map(|way| Clip::of(way, way.src.as_deref().and_then(|src| pictures.peek(src))));
        let transition = transition.filter(|_| !matches!(clip, Some(None)));
        let clip = clip.flatten();
        let part = match transition {
            None => f64::from(u8::from(wanted)),
            Some(transition) => {
                let at_rest = row.from <= 0.0 || row.from >= 1.0;
                let delay = if at_rest {
                    f64::from(transition.delay)
                } else {
                    0.0
                };
                let seconds = (clock.seconds_since(row.since_tick) - delay).max(0.0);
                let duration = clip
                    .as_ref()
                    .map_or(f64::from(transition.duration), Clip::duration);
                let gone = seconds / duration;
                let direction = if wanted { 1.0 } else { -1.0 };
                (row.from + direction * gone).clamp(0.0, 1.0)
            }
        };
        if part != row.part {
            presence.part = part;
            // A clip plays forwards when the layer goes, too.
            let played = if wanted { part } else { 1.0 - part };
            presence.frame = clip
                .as_ref()
                .filter(|_| part < 1.0 && part > 0.0)
                .and_then(|clip| clip.frame(played));
            presence.behind = clip.map(|clip| {
                if wanted {
                    clip.eased(played)
                } else {
                    1.0 - clip.eased(played)
                }
            });
        }
    }
}

/// Takes layers away that were removed and have gone.
pub(crate) fn retire(
    mut commands: Commands,
    mut tree: ResMut<LayerTree>,
    leaving: Query<(Entity, &Presence), With<Leaving>>,
) {
    for (entity, presence) in &leaving {
        if !presence.is_there() {
            commands.entity(entity).despawn();
            tree.mark_stale();
        }
    }
}
