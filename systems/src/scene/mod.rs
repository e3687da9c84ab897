//! A scene in the world: from its authored form to entities.

mod bundle;
mod spawn;

pub use bundle::SceneBundle;
pub(crate) use spawn::MaxLayers;
pub use spawn::{SceneError, SceneInfo, replace_scene};
