//! A picture, cropped, fitted and drawn once at the size at which it is shown: pixels are resized, an SVG is rasterised, and of a
//! moving picture each frame is resized when its turn comes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::layer::{Crop, Fit};
use components::source::ImageSource;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use glam::{Affine2, Vec2};
use raster::{Paint, Raster};

use super::cache::{CachedRaster, RasterCache, RasterCosts};
use super::drawn::{Stale, Target};
use super::frames::FrameRasters;
use super::round::{Rounded, rounded};
use crate::assets::{Animation, Picture, PictureKind, VECTOR_PIXELS_MAX};
use crate::layout::{ShownPicture, crop_box, fitted};
use crate::profile::Profile;

pub(super) fn draw(
    profile: Res<Profile>,
    mut cache: ResMut<RasterCache>,
    mut frames: ResMut<FrameRasters>,
    mut costs: ResMut<RasterCosts>,
    mut layers: Query<(&mut ShownPicture, Option<&Rounded>, Target), Stale<ImageSource>>,
) {
    for (mut shown, corners, mut target) in &mut layers {
        let Some((picture, part)) = shown.picture.clone().and_then(|picture| {
            let (layout, scale) = (target.layout.0, target.scale.0);
            let part = target
                .crop_clip
                .0
                .then(|| Part::uncut(&picture, layout, scale, &target.crop.0, *target.fit))
                .flatten();
            let part = match part {
                Some(part) => part,
                None => Part::new(&picture, layout, scale, &target.crop.0, *target.fit)?,
            };
            Some((picture, part))
        }) else {
            target.drawn.clear();
            continue;
        };
        if !matches!(picture.kind(), PictureKind::Animated(_)) {
            shown.bypass_change_detection().frames = None;
        }
        let radius = corners.map_or(0.0, |corners| corners.0 * target.scale.0.x);
        let key = part.key(&picture, shown.frame) ^ u64::from(radius.to_bits());
        let raster = costs.time(&profile, target.id.as_str(), || match picture.kind() {
            PictureKind::Still(raster) if radius <= 0.0 && part.is_whole(raster) => {
                Some(Arc::clone(raster))
            }
            PictureKind::Still(raster) => {
                cached(&mut cache, key, || rounded(part.resize(raster)?, radius))
            }
            PictureKind::Vector(vector) => cached(&mut cache, key, || {
                rounded(vector.draw(part.from, part.pixels)?, radius)
            }),
            PictureKind::Animated(animation) => {
                let set = part.key(&picture, 0);
                let first = |draw: &dyn Fn() -> Option<Raster>| cached(&mut cache, key, draw);
                frame_of(animation, &part, set, &mut shown, &mut frames, first)
            }
        });
        let Some(raster) = raster else {
            target.drawn.clear();
            continue;
        };
        target.drawn.size = Vec2::new(raster.width() as f32, raster.height() as f32);
        target.drawn.paint = Some(Paint::Raster(raster));
        target.drawn.layer_from_paint = part.layer_from_raster();
        target.drawn.revision = key;
    }
    frames.sweep();
}

pub(super) fn cached(
    cache: &mut RasterCache,
    key: u64,
    draw: impl FnOnce() -> Option<Raster>,
) -> Option<Arc<Raster>> {
    let found = cache.get_or_draw(key, || Some((draw()?, Vec2::ZERO)));
    found.map(|CachedRaster { raster, .. }| raster)
}

/// The frame that is shown; when it is resized for that, the layer then holds what it is kept by. The first frame of a size is made
/// by `first`, which knows those that were drawn ahead of time.
fn frame_of(
    animation: &Animation,
    part: &Part,
    key: u64,
    shown: &mut Mut<ShownPicture>,
    frames: &mut FrameRasters,
    first: impl FnOnce(&dyn Fn() -> Option<Raster>) -> Option<Arc<Raster>>,
) -> Option<Arc<Raster>> {
    let frame = animation.frames().get(shown.frame)?;
    // What is kept for a layer is no change of what it shows.
    let shown = shown.bypass_change_detection();
    let place = (shown.frame, animation.frames().len());
    let holder = &mut shown.frames;
    if part.is_whole(frame) {
        *holder = None;
        return Some(Arc::clone(frame));
    }
    let (width, height) = part.pixels;
    let frame_bytes = width as usize * height as usize * 4;
    let (raster, kept_by) = frames.get_or_draw(key, place, frame_bytes, |is_first| {
        let draw = || part.resize(frame);
        if is_first {
            first(&draw)
        } else {
            draw().map(Arc::new)
        }
    })?;
    *holder = Some(kept_by);
    Some(raster)
}

/// Which part of a picture is seen, and how many raster pixels it is drawn with.
pub(super) struct Part {
    /// Top left and size of the part, in picture pixels.
    pub from: (Vec2, Vec2),
    /// Raster pixels.
    pub pixels: (u32, u32),
    /// Where it lies in the layer's box, in layer pixels.
    pub origin: Vec2,
    /// Layer pixels a raster pixel.
    layer_from_pixels: Vec2,
}

impl Part {
    pub fn new(
        picture: &Picture,
        layout: Vec2,
        scale: Vec2,
        crop: &Crop,
        fit: Fit,
    ) -> Option<Self> {
        let (crop_origin, cropped) = crop_box(picture.size(), crop);
        let (origin, size) = fitted(cropped, layout, fit);
        if size.min_element() <= 0.0 {
            return None;
        }
        // What hangs over the box is left out, here and not at each frame.
        let low = origin.max(Vec2::ZERO);
        let high = (origin + size).min(layout);
        if (high - low).min_element() <= 0.0 {
            return None;
        }
        let picture_from_layer = cropped / size;
        let from = (
            crop_origin + (low - origin) * picture_from_layer,
            (high - low) * picture_from_layer,
        );
        // Whole raster pixels: the size is off by less than half of one, and a still picture stays crisp.
        let pixels = ((high - low) * scale)
            .round()
            .clamp(Vec2::ONE, Vec2::splat(raster::SIDE_MAX as f32));
        let mut part = Self {
            from,
            pixels: (pixels.x as u32, pixels.y as u32),
            origin: low,
            layer_from_pixels: scale.recip(),
        };
        if matches!(picture.kind(), PictureKind::Vector(_)) {
            part.limit(high - low, pixels);
        }
        Some(part)
    }

    /// The whole of a picture that is neither enlarged nor made smaller in its box, so that a crop which moves has it shown elsewhere
    /// and not resized anew; `None` of others.
    fn uncut(picture: &Picture, layout: Vec2, scale: Vec2, crop: &Crop, fit: Fit) -> Option<Self> {
        let whole = picture.size();
        let (crop_origin, cropped) = crop_box(whole, crop);
        let (origin, size) = fitted(cropped, layout, fit);
        if cropped.min_element() <= 0.0 || (size - cropped).abs().max_element() > 1e-3 {
            return None;
        }
        let part = Self::new(picture, whole, scale, &Crop::default(), Fit::Fill)?;
        Some(Self {
            origin: origin - crop_origin,
            ..part
        })
    }

    /// Draws an area of `size` layer pixels that would take more than an SVG's most pixels with fewer.
    fn limit(&mut self, size: Vec2, pixels: Vec2) {
        let over = pixels.x * pixels.y / VECTOR_PIXELS_MAX as f32;
        if over > 1.0 {
            let fewer = (pixels / over.sqrt()).floor().max(Vec2::ONE);
            self.pixels = (fewer.x as u32, fewer.y as u32);
            self.layer_from_pixels = size / fewer;
        }
    }

    /// From the raster's pixels to the layer's box.
    pub fn layer_from_raster(&self) -> Affine2 {
        Affine2::from_scale_angle_translation(self.layer_from_pixels, 0.0, self.origin)
    }

    pub fn is_whole(&self, picture: &Raster) -> bool {
        self.from.0 == Vec2::ZERO
            && self.pixels == (picture.width(), picture.height())
            && (self.from.1 - Vec2::new(picture.width() as f32, picture.height() as f32))
                .abs()
                .max_element()
                < 1e-3
    }

    /// A hash of all that the pixels follow from, the same in every process: a scene that was drawn ahead of time by another world
    /// is found by it.
    pub fn key(&self, picture: &Picture, frame: usize) -> u64 {
        let (from, size) = self.from;
        let mut hasher = DefaultHasher::new();
        "image".hash(&mut hasher);
        (picture.content(), frame, self.pixels).hash(&mut hasher);
        for number in [from.x, from.y, size.x, size.y] {
            number.to_bits().hash(&mut hasher);
        }
        hasher.finish()
    }

    pub fn resize(&self, picture: &Raster) -> Option<Raster> {
        let (width, height) = self.pixels;
        let source = ImageRef::new(
            picture.width(),
            picture.height(),
            picture.data(),
            PixelType::U8x4,
        )
        .ok()?;
        let mut target = Image::new(width, height, PixelType::U8x4);
        // The pixels are premultiplied already.
        let (origin, size) = self.from;
        let algorithm = if size.x < width as f32 || size.y < height as f32 {
            FilterType::CatmullRom
        } else {
            FilterType::Lanczos3
        };
        // Rounding may have put its end beyond the picture's, where nothing would be resized at all.
        let (left, top) = (f64::from(origin.x.max(0.0)), f64::from(origin.y.max(0.0)));
        let width_of_part = f64::from(size.x).min(f64::from(picture.width()) - left);
        let height_of_part = f64::from(size.y).min(f64::from(picture.height()) - top);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(algorithm))
            .use_alpha(false)
            .crop(left, top, width_of_part, height_of_part);
        Resizer::new().resize(&source, &mut target, &options).ok()?;
        let mut data = target.into_vec();
        // Ringing of the filter can lift a colour over its alpha, which premultiplied pixels must not have.
        for pixel in data.as_chunks_mut::<4>().0 {
            let alpha = pixel[3];
            for channel in &mut pixel[..3] {
                *channel = (*channel).min(alpha);
            }
        }
        Raster::from_rgba8_premultiplied(width, height, data).ok()
    }
}
