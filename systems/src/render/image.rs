//! A still picture, cropped, fitted and resized once to the size at which it is shown.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::FilledText;
use components::layer::{Crop, Fit};
use components::source::ImageSource;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use glam::{Affine2, Vec2};
use raster::{Paint, Raster};

use super::cache::{CachedRaster, RasterCache, RasterCosts, raster_key};
use super::drawn::{Stale, Target};
use crate::layout::{ShownPicture, crop_box, fitted};
use crate::profile::Profile;

pub(super) fn draw(
    profile: Res<Profile>,
    mut cache: ResMut<RasterCache>,
    mut costs: ResMut<RasterCosts>,
    mut layers: Query<(&ImageSource, &FilledText, &ShownPicture, Target), Stale<ImageSource>>,
) {
    for (source, words, shown, mut target) in &mut layers {
        let Some(picture) = &shown.0 else {
            target.drawn.clear();
            continue;
        };
        let Some(part) = Part::new(
            picture,
            target.layout.0,
            target.scale.0,
            target.crop,
            *target.fit,
        ) else {
            target.drawn.clear();
            continue;
        };
        let key = raster_key("image", source, &part.key(picture), &words.0);
        let cached = costs.time(&profile, target.id.as_str(), || {
            if part.is_whole(picture) {
                return Some(CachedRaster {
                    raster: Arc::clone(picture),
                    origin: part.origin,
                });
            }
            cache.get_or_draw(key, || Some((part.resize(picture)?, part.origin)))
        });
        let Some(CachedRaster { raster, origin }) = cached else {
            target.drawn.clear();
            continue;
        };
        target.drawn.size = Vec2::new(raster.width() as f32, raster.height() as f32);
        target.drawn.paint = Some(Paint::Raster(raster));
        target.drawn.layer_from_paint =
            Affine2::from_scale_angle_translation(target.scale.0.recip(), 0.0, origin);
        // The picture behind a path can change while the path stays: two pictures never share a revision.
        target.drawn.revision = key ^ (Arc::as_ptr(picture) as u64);
    }
}

/// Which part of a picture is seen, and how many raster pixels it is drawn with.
struct Part {
    /// Top left and size of the part, in picture pixels.
    from: (Vec2, Vec2),
    /// Raster pixels.
    pixels: (u32, u32),
    /// Where it lies in the layer's box, in layer pixels.
    origin: Vec2,
}

impl Part {
    fn new(picture: &Raster, layout: Vec2, scale: Vec2, crop: &Crop, fit: Fit) -> Option<Self> {
        let natural = Vec2::new(picture.width() as f32, picture.height() as f32);
        let (crop_origin, cropped) = crop_box(natural, crop);
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
        Some(Self {
            from,
            pixels: (pixels.x as u32, pixels.y as u32),
            origin: low,
        })
    }

    fn is_whole(&self, picture: &Raster) -> bool {
        self.from.0 == Vec2::ZERO
            && self.pixels == (picture.width(), picture.height())
            && (self.from.1 - Vec2::new(picture.width() as f32, picture.height() as f32))
                .abs()
                .max_element()
                < 1e-3
    }

    fn key(&self, picture: &Raster) -> [f32; 8] {
        let (from, size) = self.from;
        [
            from.x,
            from.y,
            size.x,
            size.y,
            self.pixels.0 as f32,
            self.pixels.1 as f32,
            picture.width() as f32,
            picture.height() as f32,
        ]
    }

    fn resize(&self, picture: &Raster) -> Option<Raster> {
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
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(algorithm))
            .use_alpha(false)
            .crop(
                f64::from(origin.x),
                f64::from(origin.y),
                f64::from(size.x),
                f64::from(size.y),
            );
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
