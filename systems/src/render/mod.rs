//! Set `Render`: draws changed layers into their own rasters, and composes what changed into a pooled frame.
//!
//! A layer's raster is cached at the size at which it is shown; moving a layer composes it anew and never draws it anew. One file a
//! kind of source, one line a kind in [`plugin`].

mod cache;
mod colour;
mod compose;
mod drawn;
mod effect;
mod frames;
mod gradient;
mod image;
mod input;
mod round;
mod shape;
mod svg_path;
mod text;

use bevy_app::App;
use bevy_ecs::prelude::*;

use crate::profile::AddTimed;
use crate::schedule::{Tick, TickSet};

pub use cache::{CachedRaster, RasterCache, RasterCosts};
pub use compose::{Background, Canvas, ComposedFrame, DrawList, Hold, picture};
pub use drawn::Drawn;
pub use effect::{EffectRoom, Effected, Flattened};
pub use frames::{FRAMES_MAX_BYTES, FrameRasters};
pub use round::Rounded;
pub use svg_path::parse_path;

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<RasterCache>()
        .init_resource::<FrameRasters>()
        .init_resource::<RasterCosts>()
        .init_resource::<EffectRoom>()
        .init_resource::<DrawList>();
    app.init_resource::<ComposedFrame>()
        .init_resource::<Background>()
        .init_resource::<Hold>();
    let set = TickSet::Render;
    let systems = (
        app.timed(set, "render::colours", colour::draw),
        app.timed(set, "render::gradients", gradient::draw),
        app.timed(set, "render::images", image::draw),
        app.timed(set, "render::inputs", input::draw),
        app.timed(set, "render::shapes", shape::draw),
        app.timed(set, "render::texts", text::draw),
        app.timed(set, "render::effects", effect::apply),
        app.timed(set, "render::draw_list", compose::list),
        app.timed(set, "render::compose", compose::compose),
    )
        .chain();
    app.add_systems(Tick, systems);
}
