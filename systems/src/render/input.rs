//! The picture of an input: as it was decoded, or the one that stands for it.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use glam::{Affine2, Vec2};
use raster::{Paint, Raster};

use super::cache::{RasterCache, RasterCosts};
use super::drawn::Target;
use super::drawn::TargetItem;
use super::frames::FrameRasters;
use super::image::{Part, cached};
use crate::assets::{Picture, PictureKind};
use crate::input::{InputContent, LivePicture, ShownInput};
use crate::layout::{CropClip, InputPlace, RasterScale};
use crate::profile::Profile;

type Stale = Or<(
    Changed<ShownInput>,
    Changed<InputPlace>,
    Changed<CropClip>,
    Changed<RasterScale>,
)>;

pub(super) fn draw(
    profile: Res<Profile>,
    mut cache: ResMut<RasterCache>,
    mut costs: ResMut<RasterCosts>,
    mut frames: ResMut<FrameRasters>,
    mut layers: Query<(&mut ShownInput, &InputPlace, Target), Stale>,
) {
    for (mut shown, place, mut target) in &mut layers {
        // What is kept for a layer is no change of what it shows.
        let shown = shown.bypass_change_detection();
        match &shown.content {
            InputContent::Nothing => target.drawn.clear(),
            InputContent::Live { picture, .. } => {
                let (paint, size) = match picture {
                    LivePicture::Planes(planes) => (
                        Paint::Planes(planes.clone()),
                        (planes.width(), planes.height()),
                    ),
                    LivePicture::Raster(raster) => (
                        Paint::Raster(raster.clone()),
                        (raster.width(), raster.height()),
                    ),
                    LivePicture::Unscaled(_) => {
                        target.drawn.clear();
                        continue;
                    }
                };
                let size = Vec2::new(size.0 as f32, size.1 as f32);
                let (origin, shown_size) = place.picture;
                target.drawn.paint = Some(paint).filter(|_| shown_size.min_element() > 0.0);
                target.drawn.size = size;
                target.drawn.layer_from_paint =
                    Affine2::from_scale_angle_translation(shown_size / size, 0.0, origin);
                target.drawn.revision = shown.revision;
            }
            InputContent::Fallback(picture, frame) => {
                let (id, kept_by) = (target.id.as_str(), &mut shown.frames);
                let drawn = costs.time(&profile, id, || {
                    stand_in((picture, *frame), &target, &mut cache, &mut frames, kept_by)
                });
                let Some((part, raster, key)) = drawn else {
                    target.drawn.clear();
                    continue;
                };
                target.drawn.size = Vec2::new(raster.width() as f32, raster.height() as f32);
                target.drawn.paint = Some(Paint::Raster(raster));
                target.drawn.layer_from_paint = part.layer_from_raster();
                target.drawn.revision = key;
            }
        }
    }
}

/// A picture at the size at which it is shown, or a frame of a moving one.
fn stand_in(
    (picture, frame): (&Picture, usize),
    target: &TargetItem,
    cache: &mut RasterCache,
    frames: &mut FrameRasters,
    kept_by: &mut Option<Arc<()>>,
) -> Option<(Part, Arc<Raster>, u64)> {
    let (layout, scale) = (target.layout.0, target.scale.0);
    let part = Part::new(picture, layout, scale, &target.crop.0, *target.fit)?;
    let key = part.key(picture, frame);
    let raster = match picture.kind() {
        PictureKind::Still(raster) if part.is_whole(raster) => Some(Arc::clone(raster)),
        PictureKind::Still(raster) => cached(cache, key, || part.resize(raster)),
        PictureKind::Vector(vector) => cached(cache, key, || vector.draw(part.from, part.pixels)),
        PictureKind::Animated(animation) => {
            let own = animation.frames().get(frame)?;
            if part.is_whole(own) {
                Some(Arc::clone(own))
            } else {
                let (width, height) = part.pixels;
                let bytes = width as usize * height as usize * 4;
                let place = (frame, animation.frames().len());
                let set = part.key(picture, 0);
                let draw = |_| part.resize(own).map(Arc::new);
                let (raster, holder) = frames.get_or_draw(set, place, bytes, draw)?;
                *kept_by = Some(holder);
                Some(raster)
            }
        }
    };
    Some((part, raster?, key))
}
