//! Stingers: a clip with transparency plays over a change, and hides the moment at which it happens.

use std::sync::Arc;

use components::transition::{Transition, TransitionKind};
use raster::Raster;

use crate::assets::{Animation, Picture, PictureKind};

/// The clip of a stinger.
#[derive(Clone, Debug)]
pub struct Clip {
    animation: Arc<Animation>,
    /// Seconds of the clip at which what is below it changes.
    cut_at: f64,
}

impl Clip {
    /// The clip that a transition plays; `None` for one of another kind, and for a picture that does not move.
    pub fn of(transition: &Transition, picture: Option<&Picture>) -> Option<Self> {
        if transition.kind != TransitionKind::Stinger {
            return None;
        }
        let PictureKind::Animated(animation) = picture?.kind() else {
            return None;
        };
        let mut clip = Self {
            animation: Arc::clone(animation),
            cut_at: 0.0,
        };
        let end = clip.duration();
        clip.cut_at = transition.cut_at.map_or(end / 2.0, f64::from).min(end);
        Some(clip)
    }

    /// Seconds that it takes, once.
    pub fn duration(&self) -> f64 {
        let end = self.animation.ends_nanos().last();
        end.map_or(0.0, |nanos| *nanos as f64 / 1e9)
    }

    /// How much of what comes is there after a part of the clip, 0 to 1: nothing or all of it.
    pub fn eased(&self, part: f64) -> f32 {
        if part * self.duration() >= self.cut_at {
            1.0
        } else {
            0.0
        }
    }

    /// The picture after a part of the clip, and its number.
    pub fn frame(&self, part: f64) -> Option<(Arc<Raster>, u64)> {
        let ends = self.animation.ends_nanos();
        let nanos = (part * self.duration() * 1e9) as u64;
        let index = ends.partition_point(|end| *end <= nanos);
        let index = index.min(ends.len().saturating_sub(1));
        let frame = self.animation.frames().get(index)?;
        Some((Arc::clone(frame), index as u64))
    }
}
