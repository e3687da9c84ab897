//! One track made ready to be sampled: its curves built, its path measured.

use bevy_ecs::entity::Entity;
use components::animation::Lane;
use glam::{Vec4, Vec4Swizzles as _};

use super::easing::EasingCurve;
use super::path::LengthPath;

/// One track with its curves built.
#[derive(Debug)]
pub struct CompiledLane {
    timeline: Entity,
    mask: [bool; 4],
    additive: bool,
    delay: f64,
    path: Option<LengthPath>,
    frames: Vec<CompiledFrame>,
}

#[derive(Debug)]
struct CompiledFrame {
    at: f64,
    value: Vec4,
    curve: EasingCurve,
}

impl CompiledLane {
    /// Builds the curves of a track.
    pub fn new(lane: &Lane) -> Self {
        let frames = lane
            .keyframes
            .iter()
            .map(|keyframe| CompiledFrame {
                at: f64::from(keyframe.at),
                value: keyframe.value.numbers(),
                curve: keyframe.easing.into(),
            })
            .collect();
        Self {
            timeline: lane.timeline,
            mask: lane.mask,
            additive: lane.additive,
            delay: f64::from(lane.delay),
            path: lane
                .path
                .as_ref()
                .and_then(|path| LengthPath::parse(&path.d).ok()),
            frames,
        }
    }

    /// The value at `seconds` of the timeline: the first keyframe's before it, the last one's after it. On a path, the place in x and y
    /// and the direction in z, which is the first number of a rotation's lane.
    pub fn sample(&self, seconds: f64) -> Vec4 {
        let value = self.between(seconds - self.delay);
        match &self.path {
            None => value,
            Some(path) => {
                let placed = path.value(value.x);
                // A lane that moves the first number alone turns a layer.
                if self.mask[1] { placed } else { placed.zzzz() }
            }
        }
    }

    fn between(&self, seconds: f64) -> Vec4 {
        let next = self.frames.partition_point(|frame| frame.at <= seconds);
        match (
            next.checked_sub(1).and_then(|index| self.frames.get(index)),
            self.frames.get(next),
        ) {
            (Some(from), Some(to)) => {
                let part = to.curve.sample((seconds - from.at) / (to.at - from.at));
                from.value + (to.value - from.value) * part as f32
            }
            (Some(only), None) | (None, Some(only)) => only.value,
            (None, None) => Vec4::ZERO,
        }
    }

    /// Lays the lane over `value`, while its timeline is not stopped; gives whether it did. `seconds` tells where a timeline stands,
    /// and `combine` is how an additive one meets what is there.
    pub(super) fn lay_over(
        &self,
        value: &mut Vec4,
        seconds: impl Fn(Entity) -> Option<f64>,
        combine: impl Fn(f32, f32) -> f32,
    ) -> bool {
        let Some(seconds) = seconds(self.timeline) else {
            return false;
        };
        let sampled = self.sample(seconds);
        for axis in 0..4 {
            if self.mask[axis] {
                value[axis] = if self.additive {
                    combine(value[axis], sampled[axis])
                } else {
                    sampled[axis]
                };
            }
        }
        true
    }

    /// The largest value of each number over all keyframes, by absolute value; 0 for those that are not moved.
    pub(super) fn largest(&self) -> Vec4 {
        let mut largest = Vec4::ZERO;
        for frame in &self.frames {
            largest = largest.max(frame.value.abs());
        }
        let mask = self.mask.map(|moves| f32::from(u8::from(moves)));
        largest * Vec4::from_array(mask)
    }

    /// The timeline that it follows.
    pub(super) fn timeline(&self) -> Entity {
        self.timeline
    }
}
