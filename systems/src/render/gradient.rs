//! A run of colours over the whole box.

use bevy_ecs::prelude::*;
use components::derived::Computed;
use components::source::GradientSource;
use components::value::{Gradient, Paint};
use glam::Vec2;
use raster::Raster;
use tiny_skia::{PathBuilder, Pixmap};

use super::cache::{RasterCache, RasterCosts, raster_key};
use super::drawn::{Stale, Target};
use super::shape::{fill_path, set_raster, vector_canvas};
use crate::profile::Profile;

pub(super) fn draw(
    profile: Res<Profile>,
    mut cache: ResMut<RasterCache>,
    mut costs: ResMut<RasterCosts>,
    mut layers: Query<(&Computed<GradientSource>, Target), Stale<Computed<GradientSource>>>,
) {
    for (Computed(source), mut target) in &mut layers {
        let (size, scale) = (target.layout.0, target.scale.0);
        let key = raster_key("gradient", source, &[size.x, size.y, scale.x, scale.y], "");
        let raster = costs.time(&profile, target.id.as_str(), || {
            cache.get_or_draw(key, || {
                Some((rasterise(&source.gradient, size, scale)?, Vec2::ZERO))
            })
        });
        set_raster(&mut target, raster, key);
    }
}

/// A gradient over a box of `size`.
pub(super) fn rasterise(gradient: &Gradient, size: Vec2, scale: Vec2) -> Option<Raster> {
    let (mut pixmap, transform): (Pixmap, _) = vector_canvas(size, Vec2::ZERO, scale)?;
    let rect = tiny_skia::Rect::from_xywh(0.0, 0.0, size.x, size.y)?;
    fill_path(
        &mut pixmap,
        &PathBuilder::from_rect(rect),
        &Paint::Gradient(gradient.clone()),
        rect,
        transform,
    );
    Some(Raster::from_pixmap(pixmap))
}
