//! Control: what users' programs ask for, planned, sent into the world, and told back.
//!
//! The way of a change: a request (REST, WebSocket, a reloaded file) -> the [`Director`], which plans it on the newest [`Show`] and
//! sends commands with the revision that they make -> the world, which applies them at the start of a tick -> the director again,
//! which publishes the [`Snapshot`], tells the [`Events`], and answers. Readers look at the snapshot and never at the world.

pub mod assets;
pub mod authored;
mod came;
pub mod change;
pub mod config;
mod director;
mod error;
pub mod events;
mod feeds;
mod figures;
mod hear;
pub mod keep;
mod kept_scenes;
pub mod keys;
mod landed;
pub mod library;
mod news;
pub mod outputs;
pub mod plan;
mod playback;
mod preload;
pub mod recordings;
mod reload;
pub mod schema;
pub mod show;
pub mod speech;
mod station;
pub mod still;
mod task;
#[cfg(test)]
mod tests;
pub mod thumbnails;
mod ticks;
pub mod view;
mod viewers;

pub use change::{Asked, Change};
pub use director::{
    AHEAD_MAX, Director, Mirror, Outcome, SCHEDULED_MAX, Scheduled, Start, Terms, Work, in_turn,
};
pub use error::{ApiError, ErrorCode};
pub use events::{Event, Events};
pub use figures::{Figures, Usage, own_usage};
pub use hear::Ear;
pub use kept_scenes::{KeptScenes, PREFIX as SCENES_PREFIX, Synced};
pub use landed::fresh;
pub use library::Library;
pub use preload::Preloader;
pub use reload::{Reloads, scene_id};
pub use show::{PausedAs, Show, Snapshot, Staged};
pub use station::{Parts, SHUTDOWN_MAX, Station, now_ms};
pub use ticks::Ticks;
pub use viewers::{ViewerCount, Viewers};
