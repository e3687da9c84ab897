//! A scene: the canvas, its assets, layers, timelines, transitions and data.

mod canvas;
mod frame_rate;
mod spec;

pub use canvas::{CanvasSpec, Grid, SafeAreas};
pub use frame_rate::FrameRate;
pub use spec::{AssetSpec, SCENE_VERSION, SceneSpec, Transitions};
