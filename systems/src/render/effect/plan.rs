//! From a layer's effects to filters in the pixels of its picture, and how they are run.
//!
//! A plan holds all that the result follows from besides the picture itself: two that are equal make the same of the same picture.

use components::effect::{
    BorderPlacement, ChromaKey, ColourChange, Effect, EffectKind, Effects, MaskMode,
};
use components::value::Colour;
use glam::Vec2;
use raster::filter::{
    self, Blur, Border, DropShadow, Glow, Margin, MaskSource, Pixelate, Pixels, Placement, Scratch,
};

use super::mask::{MaskKey, MaskPictures, find_mask};
use crate::assets::Pictures;

/// One filter, in pixels of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Blur(Blur),
    Shadow(DropShadow),
    Glow(Glow),
    Border(Border),
    /// Radii of the area's corners.
    Corners([f32; 4]),
    Mask(filter::Mask, MaskKey),
    Colour(filter::Colour),
    ChromaKey(filter::ChromaKey),
    /// And whether it is for the picture without its room, which nothing before it has drawn into.
    Pixelate(Pixelate, bool),
    /// The filter, whose area is filled in when it is run.
    Vignette(filter::Vignette),
}

/// What is done to a picture.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub steps: Vec<Step>,
    /// Pixels of the picture a pixel of the layer's box.
    pub scale: Vec2,
    /// The top left and the size of the layer's box, in pixels from the picture's top left.
    pub area: (Vec2, Vec2),
    /// The empty pixels that are needed round the picture.
    pub room: Margin,
    /// Whether a mask cannot be had, so that nothing is to be seen.
    pub hides: bool,
}

impl Plan {
    /// Takes another one's steps, in the buffer that is there.
    pub fn copy_from(&mut self, other: &Self) {
        self.steps.clone_from(&other.steps);
        (self.scale, self.area) = (other.scale, other.area);
        (self.room, self.hides) = (other.room, other.hides);
    }

    /// Makes the plan for a picture of `scale`, in which the layer's box lies at `area`.
    pub fn make(
        &mut self,
        effects: &Effects,
        scale: Vec2,
        area: (Vec2, Vec2),
        pictures: &mut Pictures,
    ) {
        self.steps.clear();
        (self.scale, self.area) = (scale, area);
        (self.room, self.hides) = (Margin::default(), false);
        for effect in effects.0.iter().filter(|effect| effect.enabled) {
            self.add(effect, pictures);
        }
        self.align_blocks();
    }

    fn add(&mut self, effect: &Effect, pictures: &mut Pictures) {
        let scale = self.scale;
        // What a filter knows one length of: of an uneven scale the mean that keeps areas.
        let mean = (scale.x * scale.y).sqrt();
        let step = match &effect.kind {
            EffectKind::Blur(blur) => Step::Blur(Blur {
                sigma_x: blur.radius * scale.x,
                sigma_y: blur.radius * scale.y,
            }),
            EffectKind::DropShadow(shadow) => Step::Shadow(DropShadow {
                offset: [shadow.x * scale.x, shadow.y * scale.y],
                // CSS Backgrounds and Borders 3, section 6.1: the blur radius is twice the standard deviation.
                sigma: shadow.blur * 0.5 * mean,
                spread: shadow.spread * mean,
                colour: straight(shadow.color),
            }),
            EffectKind::Glow(glow) => Step::Glow(Glow {
                sigma: glow.radius * mean,
                colour: straight(glow.color),
                intensity: glow.intensity,
            }),
            EffectKind::Border(border) => Step::Border(Border {
                width: border.width * mean,
                colour: straight(border.color),
                placement: match border.placement {
                    BorderPlacement::Inside => Placement::Inside,
                    BorderPlacement::Center => Placement::Center,
                    BorderPlacement::Outside => Placement::Outside,
                },
            }),
            EffectKind::CornerRadius(corners) => {
                Step::Corners(corners.radius.corners().map(|radius| radius * mean))
            }
            EffectKind::Mask(mask) => {
                let Some(key) = find_mask(mask, scale, self.area.1, pictures) else {
                    self.hides = true;
                    return;
                };
                let source = match mask.mode {
                    MaskMode::Alpha => MaskSource::Alpha,
                    MaskMode::Luma => MaskSource::Luma,
                };
                let inverted = mask.invert;
                Step::Mask(filter::Mask { source, inverted }, key)
            }
            EffectKind::Colour(change) => Step::Colour(colour(change)),
            EffectKind::ChromaKey(key) => Step::ChromaKey(chroma_key(key)),
            EffectKind::Pixelate(pixelate) => {
                let size = pixelate.size * mean;
                Step::Pixelate(Pixelate { size }, self.room == Margin::default())
            }
            EffectKind::Vignette(vignette) => Step::Vignette(filter::Vignette {
                amount: vignette.amount,
                size: vignette.size,
                softness: vignette.softness,
                colour: [
                    vignette.color.red,
                    vignette.color.green,
                    vignette.color.blue,
                ],
                area: [0.0; 4],
            }),
        };
        let margin = match &step {
            Step::Blur(blur) => blur.margin(),
            Step::Shadow(shadow) => shadow.margin(),
            Step::Glow(glow) => glow.margin(),
            Step::Border(border) => border.margin(),
            _ => Margin::default(),
        };
        self.room = self.room.plus(margin);
        self.steps.push(step);
    }

    /// Has the blocks of large pixels begin at the picture's own top left, whatever room is left round it.
    fn align_blocks(&mut self) {
        let sizes = self.steps.iter().filter_map(|step| match step {
            Step::Pixelate(pixelate, is_inside) => (!is_inside).then_some(pixelate.size),
            _ => None,
        });
        for size in sizes {
            let whole = |room: u32| match size > 1.0 {
                true => ((room as f32 / size).ceil() * size).round() as u32,
                false => room,
            };
            (self.room.left, self.room.top) = (whole(self.room.left), whole(self.room.top));
        }
    }

    /// Left, top, right and bottom of the layer's box in the picture with its room.
    fn area_with_room(&self) -> [f32; 4] {
        let room = Vec2::new(self.room.left as f32, self.room.top as f32);
        let low = self.area.0 + room;
        let high = low + self.area.1;
        [low.x, low.y, high.x, high.y]
    }

    /// Runs the filters on a picture with its room. `masks` has the pictures of the masks, `mask` is a buffer.
    pub fn run(
        &self,
        pixels: &mut Pixels,
        masks: &MaskPictures,
        mask: &mut Pixels,
        scratch: &mut Scratch,
    ) {
        let area = self.area_with_room();
        for step in &self.steps {
            match step {
                Step::Blur(filter) => filter.apply(pixels, scratch),
                Step::Shadow(filter) => filter.apply(pixels, scratch),
                Step::Glow(filter) => filter.apply(pixels, scratch),
                Step::Border(filter) => filter.apply(pixels, scratch),
                Step::Corners(radii) => {
                    let radii = *radii;
                    filter::CornerRadius { radii, area }.apply(pixels, scratch);
                }
                Step::Mask(filter, key) => {
                    let (width, height) = (pixels.width() as u32, pixels.height() as u32);
                    mask.reset(width, height);
                    if let Some(picture) = masks.get(key.content) {
                        let x = (area[0] + key.offset.x).round() as i32;
                        let y = (area[1] + key.offset.y).round() as i32;
                        mask.place(picture, x, y);
                    }
                    filter.apply(pixels, mask, scratch);
                }
                Step::Colour(filter) => filter.apply(pixels, scratch),
                Step::ChromaKey(filter) => filter.apply(pixels, scratch),
                Step::Pixelate(filter, true) => self.inside(pixels, mask, |pixels| {
                    filter.apply(pixels, scratch);
                }),
                Step::Pixelate(filter, false) => filter.apply(pixels, scratch),
                Step::Vignette(filter) => {
                    filter::Vignette { area, ..*filter }.apply(pixels, scratch)
                }
            }
        }
    }
}

impl Plan {
    /// Runs a filter on a picture without its room. `inner` is a buffer.
    fn inside(&self, pixels: &mut Pixels, inner: &mut Pixels, run: impl FnOnce(&mut Pixels)) {
        let room = self.room;
        let (left, top) = (room.left as usize, room.top as usize);
        let width = pixels.width().saturating_sub(left + room.right as usize);
        let height = pixels.height().saturating_sub(top + room.bottom as usize);
        if width == 0 || height == 0 {
            return;
        }
        let row = pixels.width();
        inner.reset(width as u32, height as u32);
        let of_whole = |y: usize| (top + y) * row + left;
        for (y, target) in inner.words_mut().chunks_exact_mut(width).enumerate() {
            target.copy_from_slice(&pixels.words()[of_whole(y)..][..width]);
        }
        run(inner);
        for (y, source) in inner.words().chunks_exact(width).enumerate() {
            pixels.words_mut()[of_whole(y)..][..width].copy_from_slice(source);
        }
    }
}

fn straight(colour: Colour) -> [u8; 4] {
    [colour.red, colour.green, colour.blue, colour.alpha]
}

fn colour(change: &ColourChange) -> filter::Colour {
    filter::Colour {
        brightness: change.brightness,
        contrast: change.contrast,
        saturation: change.saturation,
        hue: change.hue,
        gamma: change.gamma,
    }
}

fn chroma_key(key: &ChromaKey) -> filter::ChromaKey {
    filter::ChromaKey {
        colour: [key.color.red, key.color.green, key.color.blue],
        similarity: key.similarity,
        smoothness: key.smoothness,
        spill: key.spill,
    }
}
