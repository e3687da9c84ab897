//! A layer's own picture, and what has it drawn anew.

use bevy_ecs::prelude::*;
use bevy_ecs::query::QueryData;
use components::derived::{Computed, FilledText, LayoutBox};
use components::layer::{Crop, Fit, LayerId};
use glam::{Affine2, Vec2};
use raster::Paint;

use crate::layout::{CropClip, RasterScale, ShownPicture};

/// What a layer looks like by itself. Written in `Render`, by the system of its kind of source.
#[derive(Component, Clone, Default)]
pub struct Drawn {
    /// Its pixels or its colour; `None` when there is nothing to see.
    pub paint: Option<Paint>,
    /// The size of the paint in its own pixels.
    pub size: Vec2,
    /// From the paint's pixels to the layer's box.
    pub layer_from_paint: Affine2,
    /// Changes when the pixels do.
    pub revision: u64,
}

impl Drawn {
    /// Nothing to see.
    pub fn clear(&mut self) {
        if self.paint.is_some() {
            *self = Self {
                revision: self.revision.wrapping_add(1),
                ..Self::default()
            };
        }
    }
}

/// What every kind of source is drawn from.
#[derive(QueryData)]
#[query_data(mutable)]
pub struct Target {
    /// Its name, for blame.
    pub id: &'static LayerId,
    /// Its box, in layer pixels.
    pub layout: &'static LayoutBox,
    /// Raster pixels a layer pixel.
    pub scale: &'static RasterScale,
    /// What is cut off.
    pub crop: &'static Computed<Crop>,
    /// Whether that is cut off where the picture is composed, and not out of it.
    pub crop_clip: &'static CropClip,
    /// How a picture fills the box.
    pub fit: &'static Fit,
    /// Where the result goes.
    pub drawn: &'static mut Drawn,
}

impl TargetItem<'_, '_> {
    /// What is cut out of the picture.
    pub fn cut(&self) -> Crop {
        if self.crop_clip.0 {
            Crop::default()
        } else {
            self.crop.0
        }
    }
}

/// Layers of source `S` that must be drawn anew.
pub type Stale<S> = Or<(
    Changed<S>,
    Changed<LayoutBox>,
    Changed<RasterScale>,
    Changed<Computed<Crop>>,
    Changed<CropClip>,
    Changed<Fit>,
    Changed<FilledText>,
    Changed<ShownPicture>,
)>;
