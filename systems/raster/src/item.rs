//! What the compositor is asked to draw: a flat list, back to front.

use std::sync::Arc;

use components::BlendMode;
use glam::{Affine2, Vec2};

use crate::{matte::Matte, planes::Planes, raster::Raster};

/// Where a layer's colours come from.
#[derive(Clone)]
pub enum Paint {
    /// One premultiplied colour (red, green, blue, alpha) over a rectangle of the item's `size`.
    Solid([u8; 4]),
    /// A picture, one paint pixel to each of its pixels.
    Raster(Arc<Raster>),
    /// A decoded picture, one paint pixel to each of its pixels. Opaque, at its own size and on whole pixels, even ones, it goes into
    /// the frame plane to plane wherever nothing lies over it.
    Planes(Arc<dyn Planes>),
}

impl std::fmt::Debug for Paint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Solid(colour) => f.debug_tuple("Solid").field(colour).finish(),
            Self::Raster(raster) => f.debug_tuple("Raster").field(raster).finish(),
            Self::Planes(planes) => write!(f, "Planes({}x{})", planes.width(), planes.height()),
        }
    }
}

/// A rectangle outside of which a layer is not drawn. Its edges are anti-aliased where they do not fall on whole pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// From the rectangle's own space, where it spans `0..size`, to canvas pixels.
    pub canvas_from_clip: Affine2,
    /// Width and height in its own space.
    pub size: Vec2,
}

impl Clip {
    /// An upright rectangle on the canvas, in pixels.
    pub fn rect(min: Vec2, max: Vec2) -> Self {
        Self {
            canvas_from_clip: Affine2::from_translation(min),
            size: max - min,
        }
    }
}

/// One layer as it is to be drawn on this frame.
#[derive(Clone, Debug)]
pub struct DrawItem {
    /// The layer's identity from frame to frame; unique in a list.
    pub key: u64,
    /// Changes whenever the pixels of the paint do.
    pub revision: u64,
    /// Where the colours come from.
    pub paint: Paint,
    /// Size in paint space, for a solid paint. A raster is as large as it is, whatever stands here.
    pub size: Vec2,
    /// From paint pixels to canvas pixels.
    pub canvas_from_paint: Affine2,
    /// 0 (unseen) to 1; drawn in steps of 1/255.
    pub opacity: f32,
    /// How the colours meet those below.
    pub blend: BlendMode,
    /// Where on the canvas the layer may show; everywhere when absent.
    pub clip: Option<Clip>,
    /// Where on the canvas the layer may show, with a soft edge; everywhere when absent.
    pub matte: Option<Matte>,
}

impl DrawItem {
    /// A picture drawn as it is: opaque as its pixels are, blended normally, unclipped.
    pub fn raster(key: u64, raster: Arc<Raster>, canvas_from_paint: Affine2) -> Self {
        let size = Vec2::new(raster.width() as f32, raster.height() as f32);
        Self {
            key,
            revision: 0,
            paint: Paint::Raster(raster),
            size,
            canvas_from_paint,
            opacity: 1.0,
            blend: BlendMode::Normal,
            clip: None,
            matte: None,
        }
    }

    /// A decoded picture drawn as it is. `revision` must differ from picture to picture.
    pub fn planes(
        key: u64,
        planes: Arc<dyn Planes>,
        revision: u64,
        canvas_from_paint: Affine2,
    ) -> Self {
        let size = Vec2::new(planes.width() as f32, planes.height() as f32);
        Self {
            revision,
            size,
            paint: Paint::Planes(planes),
            ..Self::solid(key, [0; 4], size, canvas_from_paint)
        }
    }

    /// A rectangle of one premultiplied colour.
    pub fn solid(key: u64, colour: [u8; 4], size: Vec2, canvas_from_paint: Affine2) -> Self {
        Self {
            key,
            revision: 0,
            paint: Paint::Solid(colour),
            size,
            canvas_from_paint,
            opacity: 1.0,
            blend: BlendMode::Normal,
            clip: None,
            matte: None,
        }
    }

    /// Size of the paint in its own pixels.
    pub(crate) fn paint_size(&self) -> Vec2 {
        match &self.paint {
            Paint::Solid(_) => self.size,
            Paint::Raster(raster) => Vec2::new(raster.width() as f32, raster.height() as f32),
            Paint::Planes(planes) => Vec2::new(planes.width() as f32, planes.height() as f32),
        }
    }
}
