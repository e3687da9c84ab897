//! Set `Layout`: how large each layer is, where it stands on the canvas, and what is drawn over what.

mod inputs;
mod measure;
mod pictures;
mod propagate;
mod tree;
mod view;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::scene::CanvasSpec;
use glam::Vec2;

use crate::profile::AddTimed;
use crate::schedule::{Tick, TickSet};

pub use inputs::InputPlace;
pub use measure::{Fonts, crop_box, fitted};
pub use pictures::ShownPicture;
pub(crate) use pictures::advance_plays;
pub use propagate::{ChildSpace, ClipsChildren, CropClip, Flows, Placed, RasterScale};
pub use tree::{FileOrder, LayerTree, Node};
pub use view::{OutputSize, Views, on_frame};

/// The size of the canvas of the scene on air in pixels: what it is laid out in, whatever the size of the frames. Written when a scene
/// is taken on air.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct CanvasSize {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
}

impl CanvasSize {
    /// That of a scene.
    pub fn of(canvas: &CanvasSpec) -> Self {
        Self {
            width: canvas.width,
            height: canvas.height,
        }
    }

    /// As a vector.
    pub fn size(self) -> Vec2 {
        Vec2::new(self.width as f32, self.height as f32)
    }
}

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<LayerTree>().init_resource::<Fonts>();
    let set = TickSet::Layout;
    let systems = (
        app.timed(set, "layout::measure_text", measure::measure_text),
        app.timed(set, "layout::measure_pictures", pictures::measure_pictures),
        app.timed(set, "layout::measure_avatars", crate::avatar::measure),
        app.timed(set, "layout::measure_inputs", inputs::measure_inputs),
        app.timed(set, "layout::boxes", measure::boxes),
        app.timed(set, "layout::fit_inputs", inputs::fit_inputs),
        app.timed(set, "layout::fit_avatars", crate::avatar::fit),
        app.timed(set, "layout::drawing_order", tree::order),
        app.timed(set, "layout::placement", propagate::propagate),
        app.timed(set, "layout::picture_frames", pictures::choose_frames),
        app.timed(set, "layout::wanted_sizes", inputs::want_sizes),
    )
        .chain();
    app.add_systems(Tick, systems);
}
