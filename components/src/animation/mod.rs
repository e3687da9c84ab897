//! Motion as data: timelines (a clock each), tracks (one property of one layer over a timeline) and keyframes.

mod easing;
mod timeline;
mod track;

pub use easing::{Easing, Spring};
pub use timeline::{LoopMode, PlayState, Timeline, TimelineId, TimelineSpec};
pub use track::{Keyframe, KeyframeValue, Lane, Property, TrackSpec, Tracks};
