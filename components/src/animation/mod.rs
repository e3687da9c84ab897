//! Motion as data: timelines (a clock each), tracks (one property of some layers over a timeline) and keyframes.

mod easing;
mod glide;
mod property;
mod timeline;
mod track;

pub use easing::{Easing, Spring};
pub use glide::Glide;
pub use property::{FieldMut, Fields, Property};
pub(crate) use property::{below, number, template, within};
pub use timeline::{LoopMode, PlayState, Timeline, TimelineId, TimelineSpec};
pub use track::{Keyframe, KeyframeValue, Lane, MotionPath, TrackLayers, TrackSpec, Tracks};
