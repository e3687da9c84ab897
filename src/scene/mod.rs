//! Scene files: read, checked, described, written, watched.
//!
//! The way of a file: text -> [`serde_json::Value`] -> layers and sources by kind ([`registry`]) -> rules of the whole scene
//! ([`validate`]) -> a [`LoadedScene`], or all of its problems at their lines and columns ([`SceneErrors`]). Nothing here touches the
//! world; a scene that does not load changes nothing on air.

pub mod effects;
mod error;
mod fault;
mod feeds;
mod file;
pub mod files;
mod load;
mod motion;
mod nested;
mod outputs;
mod reader;
pub mod registry;
pub mod schema;
pub mod span;
pub mod validate;
pub mod watch;
pub(crate) mod words;

pub use error::{SceneErrors, SceneProblem};
pub use file::to_json;
pub use load::{
    LoadOptions, LoadedScene, folder_of, load_scene, scene_from_bytes, scene_from_text,
};
pub use nested::{Around, load_inner};
pub use registry::parse_layer;
pub use schema::scene_schema;
pub use validate::{SceneRules, check_scene};
pub use watch::{SceneWatcher, WatchError};
