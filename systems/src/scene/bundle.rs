//! A scene with everything that it needs, read and decoded before it reaches the tick.

use std::sync::Arc;

use components::scene::SceneSpec;

use crate::assets::Picture;
use crate::render::CachedRaster;

/// A scene that can be taken on air without touching a disk.
#[derive(Clone)]
pub struct SceneBundle {
    /// What the file says, validated.
    pub spec: SceneSpec,
    /// The pictures that its layers show at first, by the words of their `src`.
    pub pictures: Vec<(Arc<str>, Picture)>,
    /// Font files, by name for messages.
    pub fonts: Vec<(String, Arc<[u8]>)>,
    /// Layers drawn ahead of time, by key; see [`Engine::take_rasters`](crate::Engine::take_rasters).
    pub rasters: Vec<(u64, CachedRaster)>,
    /// Has the change to it stand where this part of it is there, 0 to 1, until it is moved on.
    pub hold: Option<f32>,
}

impl SceneBundle {
    /// A scene that needs no files.
    pub fn new(spec: SceneSpec) -> Self {
        Self {
            spec,
            pictures: Vec::new(),
            fonts: Vec::new(),
            rasters: Vec::new(),
            hold: None,
        }
    }
}
