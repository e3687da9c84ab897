//! What happens on each tick: the systems that turn authored layers into one frame and exactly that frame's sound.
//!
//! [`schedule`] is the spine: it names the sets and their order. [`Engine`] owns the world and runs the schedule. Every other module
//! is one set, or one concept that several sets share; each adds its systems through a `plugin` function.
//!
//! Nothing here opens a file or a socket, reads a clock, or waits: pictures and fonts arrive decoded through [`assets`], changes
//! through [`command`], time as the number of the tick, and frames leave through [`encode::FramePort`].
#![forbid(unsafe_code)]

pub mod animate;
pub mod assets;
pub mod audio;
pub mod avatar;
pub mod clock;
pub mod command;
pub mod data;
pub mod encode;
mod engine;
pub mod feed;
pub mod inner;
pub mod input;
pub mod layout;
pub mod profile;
pub mod publish;
pub mod render;
pub mod scene;
pub mod schedule;
pub mod speech;
pub mod transition;

pub use engine::{Engine, EngineSettings, Picture, TickReport};
