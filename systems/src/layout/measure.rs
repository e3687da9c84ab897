//! How large layers are: their sources' natural sizes, and the boxes that follow.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::{Computed, FilledText, LayoutBox, NaturalSize};
use components::layer::{Crop, Fit, Size};
use components::source::{ColourSource, GradientSource, TextSource};
use glam::Vec2;
use text::FontLibrary;

use super::CanvasSize;
use crate::scene::Outgoing;
use crate::transition::SceneMix;

/// The fonts of the scene and of the system, and what shapes text with them.
#[derive(Resource)]
pub struct Fonts {
    /// Shapes and draws.
    pub library: FontLibrary,
    /// A hash of the scene's font files: the same words in other fonts are another picture.
    pub set: u64,
    current: Vec<FontFile>,
    /// Those of the scene before, as long as it may be seen.
    before: Vec<FontFile>,
}

type FontFile = (String, Arc<[u8]>);

impl Fonts {
    /// Takes the scene's fonts, in the place of those of the scene before, or beside them while that one is still seen; a file that
    /// cannot be used is left out, with a warning.
    pub fn renew(&mut self, fonts: &[FontFile], beside: bool) {
        let set = hash_of(fonts);
        let is_alone = self.before.is_empty();
        let before = std::mem::replace(&mut self.current, fonts.to_vec());
        if set == self.set && is_alone {
            return;
        }
        self.set = set;
        self.before = if beside { before } else { Vec::new() };
        self.library.unregister_all();
        let all = self.before.iter().chain(&self.current).cloned();
        self.register(&all.collect::<Vec<_>>());
    }

    /// Adds fonts to those that are there.
    pub fn add(&mut self, fonts: &[FontFile]) {
        self.current.extend_from_slice(fonts);
        self.set = hash_of(&self.current);
        self.register(fonts);
    }

    fn register(&mut self, fonts: &[FontFile]) {
        for (name, bytes) in fonts {
            if let Err(error) = self.library.register(bytes.to_vec(), name) {
                tracing::warn!(font = name, %error, "a font cannot be used");
            }
        }
    }
}

fn hash_of(fonts: &[FontFile]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (_, bytes) in fonts {
        bytes.hash(&mut hasher);
    }
    hasher.finish()
}

impl Default for Fonts {
    fn default() -> Self {
        Self {
            library: FontLibrary::new(true),
            set: 0,
            current: Vec::new(),
            before: Vec::new(),
        }
    }
}

type TextRow<'a> = (
    &'a Computed<TextSource>,
    &'a FilledText,
    Option<&'a Computed<Size>>,
    &'a mut NaturalSize,
);
type TextChanged = Or<(
    Changed<Computed<TextSource>>,
    Changed<FilledText>,
    Changed<Computed<Size>>,
)>;

/// A text without a size is as large as its words.
pub(super) fn measure_text(mut fonts: ResMut<Fonts>, mut layers: Query<TextRow, TextChanged>) {
    for (Computed(source), words, size, mut natural) in &mut layers {
        if size.is_none() {
            let measured = fonts.library.measure(source, &words.0, None, None);
            natural.set_if_neq(NaturalSize(measured));
        }
    }
}

type BoxRow<'a> = (
    Option<&'a Computed<Size>>,
    &'a NaturalSize,
    Has<ColourSource>,
    Has<GradientSource>,
    Has<Outgoing>,
    &'a mut LayoutBox,
);

/// A layer's box: its own size, or its source's; a colour or a gradient without a size covers the canvas.
pub(super) fn boxes(canvas: Res<CanvasSize>, mix: Res<SceneMix>, mut layers: Query<BoxRow>) {
    let outgoing = mix.outgoing_canvas().unwrap_or(*canvas);
    for (size, natural, colour, gradient, goes, mut layout) in &mut layers {
        let value = match size {
            Some(Computed(size)) => *size,
            None if colour || gradient => if goes { outgoing } else { *canvas }.size(),
            None => natural.0,
        };
        layout.set_if_neq(LayoutBox(value));
    }
}

/// What is left of a box of `size` after cropping: its top left and its size, never negative.
pub fn crop_box(size: Vec2, crop: &Crop) -> (Vec2, Vec2) {
    let origin = Vec2::new(crop.left, crop.top).min(size);
    let end = (size - Vec2::new(crop.right, crop.bottom)).max(origin);
    (origin, end - origin)
}

/// Where a picture of size `source` lies in a box, as CSS `object-fit` puts it: top left and size, which may hang over the box.
pub fn fitted(source: Vec2, layout: Vec2, fit: Fit) -> (Vec2, Vec2) {
    if source.min_element() <= 0.0 {
        return (Vec2::ZERO, Vec2::ZERO);
    }
    let ratio = layout / source;
    let size = match fit {
        Fit::Contain => source * ratio.min_element(),
        Fit::Cover => source * ratio.max_element(),
        Fit::Fill => layout,
        Fit::None => source,
    };
    ((layout - size) / 2.0, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_follow_css() {
        let (source, layout) = (Vec2::new(200.0, 100.0), Vec2::new(100.0, 100.0));
        assert_eq!(
            fitted(source, layout, Fit::Contain),
            (Vec2::new(0.0, 25.0), Vec2::new(100.0, 50.0))
        );
        assert_eq!(
            fitted(source, layout, Fit::Cover),
            (Vec2::new(-50.0, 0.0), Vec2::new(200.0, 100.0))
        );
        assert_eq!(fitted(source, layout, Fit::Fill), (Vec2::ZERO, layout));
        assert_eq!(
            fitted(source, layout, Fit::None),
            (Vec2::new(-50.0, 0.0), source)
        );
    }

    #[test]
    fn a_crop_larger_than_the_box_leaves_nothing() {
        let crop = Crop {
            left: 80.0,
            right: 80.0,
            ..Default::default()
        };
        assert_eq!(
            crop_box(Vec2::new(100.0, 50.0), &crop),
            (Vec2::new(80.0, 0.0), Vec2::new(0.0, 50.0))
        );
    }
}
