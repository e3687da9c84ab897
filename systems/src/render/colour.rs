//! One colour: needs no raster at all.

use bevy_ecs::prelude::*;
use components::derived::Computed;
use components::source::ColourSource;
use glam::Affine2;
use raster::Paint;

use super::drawn::{Stale, Target};
use crate::layout::crop_box;

pub(super) fn draw(
    mut layers: Query<(&Computed<ColourSource>, Target), Stale<Computed<ColourSource>>>,
) {
    for (Computed(source), mut target) in &mut layers {
        let (origin, size) = crop_box(target.layout.0, &target.cut());
        if size.min_element() <= 0.0 {
            target.drawn.clear();
            continue;
        }
        target.drawn.paint = Some(Paint::Solid(source.color.premultiplied()));
        target.drawn.size = size;
        target.drawn.layer_from_paint = Affine2::from_translation(origin);
        target.drawn.revision = target.drawn.revision.wrapping_add(1);
    }
}
