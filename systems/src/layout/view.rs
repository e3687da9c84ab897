//! How the canvases of the scenes that are seen lie on the frame. The frame keeps its size; each scene's canvas has its own.

use bevy_ecs::prelude::*;
use components::viewport::{CanvasFit, Viewport};
use glam::{Affine2, Vec2};
use raster::Clip;

use super::{CanvasSize, Placed};
use crate::transition::SceneMix;

/// The size of the frames in pixels, and how a canvas of another size is laid on them. Written when the engine is made.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct OutputSize {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// What becomes of a canvas of other proportions.
    pub fit: CanvasFit,
}

impl OutputSize {
    /// As a vector.
    pub fn size(&self) -> Vec2 {
        Vec2::new(self.width as f32, self.height as f32)
    }

    /// How a canvas lies on the frame.
    pub fn view(&self, canvas: CanvasSize) -> Viewport {
        Viewport::new(canvas.size(), self.size(), self.fit)
    }
}

/// How the scene on air lies on the frame, and the one that goes while it does.
#[derive(Clone, Copy, Debug)]
pub struct Views {
    /// The scene on air.
    pub program: Viewport,
    /// The scene that goes; the same as `program` when none does.
    pub outgoing: Viewport,
}

impl Views {
    /// On this tick.
    pub fn new(output: &OutputSize, canvas: &CanvasSize, mix: &SceneMix) -> Self {
        Self {
            program: output.view(*canvas),
            outgoing: output.view(mix.outgoing_canvas().unwrap_or(*canvas)),
        }
    }

    /// That of a layer's scene.
    pub fn of(&self, goes: bool) -> &Viewport {
        if goes { &self.outgoing } else { &self.program }
    }
}

/// A layer's place in pixels of the frame. `Placed` itself is in pixels of the canvas.
pub fn on_frame(placed: &Placed, view: &Viewport) -> Placed {
    if view.is_identity() {
        return *placed;
    }
    let by: Affine2 = view.output_from_canvas();
    Placed {
        canvas_from_layer: by * placed.canvas_from_layer,
        clip: placed.clip.map(|clip| Clip {
            canvas_from_clip: by * clip.canvas_from_clip,
            ..clip
        }),
        matte: placed
            .matte
            .map(|matte| matte.magnified(view.scale, view.offset)),
        ..*placed
    }
}
