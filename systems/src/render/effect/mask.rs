//! The pictures of masks: found like those of image layers, and drawn at the size of the layer's box.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::discriminant;
use std::sync::Arc;

use components::effect::{EffectKind, Effects, Mask};
use components::layer::Crop;
use components::value::Gradient;
use glam::Vec2;
use raster::Raster;

use crate::assets::{Picture, PictureKind, Pictures};
use crate::render::cache::{CachedRaster, RasterCache};
use crate::render::gradient;
use crate::render::image::{Part, cached};

/// What a mask shows and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MaskKey {
    /// A hash of all that its pixels follow from, the same in every process.
    pub content: u64,
    /// The place of its top left in the layer's box, in pixels of the layer's picture.
    pub offset: Vec2,
}

/// The pictures of a layer's masks, kept as long as the layer shows them.
#[derive(Default)]
pub(super) struct MaskPictures {
    drawn: Vec<Drawn>,
}

struct Drawn {
    content: u64,
    raster: Arc<Raster>,
    /// The picture that it was drawn from, so that it is not let go of as one that no layer shows.
    _picture: Option<Picture>,
}

impl MaskPictures {
    pub fn get(&self, content: u64) -> Option<&Raster> {
        let mut drawn = self.drawn.iter();
        let found = drawn.find(|drawn| drawn.content == content);
        found.map(|drawn| &*drawn.raster)
    }

    /// Draws the masks of `effects` that are not there, and lets go of those that are no longer among them. What `moves` is drawn for
    /// one frame, and not put where it could be found again.
    pub fn renew(
        &mut self,
        effects: &Effects,
        scale: Vec2,
        size: Vec2,
        moves: bool,
        pictures: &mut Pictures,
        cache: &mut RasterCache,
    ) {
        let masks = effects.0.iter().filter(|effect| effect.enabled);
        let masks = masks.filter_map(|effect| match &effect.kind {
            EffectKind::Mask(mask) => Some(mask),
            _ => None,
        });
        let mut kept = 0;
        for mask in masks {
            let Some(key) = find_mask(mask, scale, size, pictures) else {
                continue;
            };
            let old = self.drawn[kept..]
                .iter()
                .position(|drawn| drawn.content == key.content);
            match old {
                Some(old) => self.drawn.swap(kept, kept + old),
                None => {
                    let Some(raster) = draw(mask, key.content, scale, size, moves, pictures, cache)
                    else {
                        continue;
                    };
                    let mask = Drawn {
                        content: key.content,
                        raster,
                        _picture: mask.src.as_deref().and_then(|src| pictures.get(src)),
                    };
                    self.drawn.insert(kept, mask);
                }
            }
            kept += 1;
        }
        self.drawn.truncate(kept);
    }
}

/// What a mask shows over a box of `size` pixels; `None` while its picture cannot be had, which is then asked for.
pub(super) fn find_mask(
    mask: &Mask,
    scale: Vec2,
    size: Vec2,
    pictures: &mut Pictures,
) -> Option<MaskKey> {
    if let Some(gradient) = &mask.gradient {
        return Some(MaskKey {
            content: gradient_key(gradient, size),
            offset: Vec2::ZERO,
        });
    }
    let picture = pictures.get(mask.src.as_deref()?)?;
    let part = part_of(mask, &picture, scale, size);
    Some(MaskKey {
        // A box without a size shows no part of it.
        content: part.as_ref().map_or(0, |part| part.key(&picture, 0)),
        offset: part.map_or(Vec2::ZERO, |part| part.origin * scale),
    })
}

fn part_of(mask: &Mask, picture: &Picture, scale: Vec2, size: Vec2) -> Option<Part> {
    Part::new(picture, size / scale, scale, &Crop::default(), mask.fit.0)
}

fn gradient_key(gradient: &Gradient, size: Vec2) -> u64 {
    let mut hasher = DefaultHasher::new();
    "mask".hash(&mut hasher);
    discriminant(&gradient.kind).hash(&mut hasher);
    let Gradient {
        angle,
        center,
        radius,
        ..
    } = gradient;
    for number in [*angle, center.x, center.y, *radius, size.x, size.y] {
        number.to_bits().hash(&mut hasher);
    }
    for stop in &gradient.stops {
        (stop.at.to_bits(), stop.color).hash(&mut hasher);
    }
    hasher.finish()
}

fn draw(
    mask: &Mask,
    key: u64,
    scale: Vec2,
    size: Vec2,
    moves: bool,
    pictures: &mut Pictures,
    cache: &mut RasterCache,
) -> Option<Arc<Raster>> {
    if let Some(gradient) = &mask.gradient {
        let rasterise = || gradient::rasterise(gradient, size, Vec2::ONE);
        return if moves {
            rasterise().map(Arc::new)
        } else {
            let found = cache.get_or_draw(key, || Some((rasterise()?, Vec2::ZERO)));
            found.map(|CachedRaster { raster, .. }| raster)
        };
    }
    let picture = pictures.get(mask.src.as_deref()?)?;
    let part = part_of(mask, &picture, scale, size)?;
    match picture.kind() {
        PictureKind::Still(raster) if part.is_whole(raster) => Some(Arc::clone(raster)),
        PictureKind::Still(raster) => cached(cache, key, || part.resize(raster)),
        PictureKind::Vector(vector) => cached(cache, key, || vector.draw(part.from, part.pixels)),
        PictureKind::Animated(animation) => {
            let first = animation.frames().first()?;
            cached(cache, key, || part.resize(first))
        }
    }
}
