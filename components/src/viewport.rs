//! How a canvas lies on a frame of another size, and what editors measure on it: coordinates, safe areas, the grid.
//!
//! Three spaces are named here, all with y pointing down: *canvas*, the pixels that a scene is laid out in; *output*, the pixels of a
//! frame; and *normalised*, parts of the canvas from 0 to 1. Where a layer lies on the canvas is not known here: that follows from a tick.

use glam::{Affine2, Vec2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scene::CanvasSpec;

/// How a canvas fills a frame of other proportions. Both ways keep the canvas's proportions and put its middle in the frame's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CanvasFit {
    /// All of the canvas is seen; what is left of the frame is black.
    #[default]
    Contain,
    /// All of the frame is filled; what hangs over it is not seen.
    Cover,
}

/// A rest of the frame narrower than this, in pixels, is filled and not left black: 854x480 stands for 16:9, and is not quite.
const BAR_MIN: f32 = 2.0;

/// A canvas on a frame: one scale and a place.
///
/// Where the two have one size, every conversion between them gives back the very same numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Viewport {
    /// Width and height of the canvas in its own pixels.
    pub canvas: Vec2,
    /// Width and height of the frame in pixels.
    pub output: Vec2,
    /// Output pixels a canvas pixel, above 0.
    pub scale: f32,
    /// Where the canvas's top left lies, in whole output pixels; below 0 where the canvas hangs over the frame.
    pub offset: Vec2,
}

impl Viewport {
    /// A canvas of `canvas` pixels on a frame of `output` pixels; all sides above 0.
    pub fn new(canvas: Vec2, output: Vec2, fit: CanvasFit) -> Self {
        let ratio = output / canvas;
        let contained = canvas * ratio.min_element();
        let has_bars = (output - contained).max_element() >= BAR_MIN;
        let scale = match fit {
            CanvasFit::Contain if has_bars => ratio.min_element(),
            CanvasFit::Contain | CanvasFit::Cover => ratio.max_element(),
        };
        Self {
            canvas,
            output,
            scale,
            // Whole pixels: what is crisp on the canvas stays so at whole scales.
            offset: ((output - canvas * scale) / 2.0).round(),
        }
    }

    /// Whether canvas and frame are the same.
    pub fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.offset == Vec2::ZERO
    }

    /// From canvas pixels to output pixels.
    pub fn output_from_canvas(&self) -> Affine2 {
        Affine2::from_scale_angle_translation(Vec2::splat(self.scale), 0.0, self.offset)
    }

    /// Where a point of the canvas lies on the frame.
    pub fn to_output(&self, on_canvas: Vec2) -> Vec2 {
        on_canvas * self.scale + self.offset
    }

    /// Which point of the canvas lies at a point of the frame.
    pub fn from_output(&self, on_output: Vec2) -> Vec2 {
        (on_output - self.offset) / self.scale
    }

    /// A point of the canvas as parts of its width and height.
    pub fn to_normalised(&self, on_canvas: Vec2) -> Vec2 {
        on_canvas / self.canvas
    }

    /// A point of the canvas from parts of its width and height.
    pub fn from_normalised(&self, parts: Vec2) -> Vec2 {
        parts * self.canvas
    }

    /// The parts of the frame that the canvas does not reach, as top left and bottom right in output pixels: none, or two.
    pub fn bars(&self) -> impl Iterator<Item = (Vec2, Vec2)> + use<> {
        let (low, high) = (self.offset, self.to_output(self.canvas));
        let end = self.output;
        [
            (Vec2::ZERO, Vec2::new(low.x, end.y)),
            (Vec2::new(high.x, 0.0), end),
            (Vec2::ZERO, Vec2::new(end.x, low.y)),
            (Vec2::new(0.0, high.y), end),
        ]
        .into_iter()
        // A hair is the rounding of the scale.
        .filter(|(low, high)| (*high - *low).min_element() > 0.01)
    }
}

/// What [`parse_size`] reads.
pub const SIZE_EXPECTED: &str =
    "WIDTHxHEIGHT in pixels, both even, such as 1280x720; from 16x16 to 7680x4320";

/// The size of a frame, as `1280x720`; `None` when it is none, odd, or out of range.
pub fn parse_size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str, max| {
        let side: u32 = text.parse().ok()?;
        // Written in one way only: no sign, no leading nought.
        let fits = (16..=max).contains(&side) && side.is_multiple_of(2) && side.to_string() == text;
        fits.then_some(side)
    };
    Some((side(width, 7680)?, side(height, 4320)?))
}

/// A rectangle in the middle of the canvas that is `part` of each side, 0 to 1: its top left and its bottom right, in canvas pixels.
pub fn safe_area(canvas: Vec2, part: f32) -> (Vec2, Vec2) {
    // To the thousandth: 67.2 and not 67.200005.
    let margin = (canvas * ((1.0 - part) / 2.0) * 1e3).round() / 1e3;
    (margin, canvas - margin)
}

/// Where a point of the canvas snaps to: on each axis the nearest of the grid's lines, the edges of the safe areas and the canvas's
/// middle. Of two that are as near, guides go before the grid.
///
/// Nothing is farther away than half a step of the grid, so no point moves by more.
pub fn snapped(point: Vec2, canvas: &CanvasSpec) -> Vec2 {
    let size = Vec2::new(canvas.width as f32, canvas.height as f32);
    let areas =
        [canvas.safe_areas.action, canvas.safe_areas.title].map(|part| safe_area(size, part));
    let [action, title] = areas;
    let guides = [action.0, action.1, title.0, title.1, size / 2.0];
    Vec2::new(
        nearest(point.x, canvas.grid.size, guides.map(|guide| guide.x)),
        nearest(point.y, canvas.grid.size, guides.map(|guide| guide.y)),
    )
}

/// The nearest line of a grid whose lines are `size` pixels apart, in a space that has no guides: a group's.
pub fn snapped_to_grid(point: Vec2, size: u32) -> Vec2 {
    Vec2::new(nearest(point.x, size, []), nearest(point.y, size, []))
}

fn nearest<const GUIDES: usize>(value: f32, step: u32, guides: [f32; GUIDES]) -> f32 {
    let step = step.max(1) as f32;
    // A tie rounds up on both sides of 0, so that the grid has no seam there.
    let mut best = (value / step + 0.5).floor() * step;
    for guide in guides {
        if (guide - value).abs() <= (best - value).abs() {
            best = guide;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back_is_where_it_began(
            (canvas_w, canvas_h) in (8_u32..=3840, 8_u32..=2160),
            (output_w, output_h) in (8_u32..=3840, 8_u32..=2160),
            (x, y) in (-0.5_f32..1.5, -0.5_f32..1.5),
            cover: bool,
        ) {
            let fit = if cover { CanvasFit::Cover } else { CanvasFit::Contain };
            let canvas = Vec2::new(canvas_w as f32 * 2.0, canvas_h as f32 * 2.0);
            let output = Vec2::new(output_w as f32 * 2.0, output_h as f32 * 2.0);
            let view = Viewport::new(canvas, output, fit);
            let parts = Vec2::new(x, y);
            let point = view.from_normalised(parts);
            // Rounding grows with what the canvas is made larger by.
            let slack = 1e-3 * view.scale.recip().max(1.0);
            prop_assert!((view.from_output(view.to_output(point)) - point).abs().max_element() < slack);
            prop_assert!((view.to_normalised(point) - parts).abs().max_element() < 1e-5);
            let matrix = view.output_from_canvas();
            prop_assert!((matrix.transform_point2(point) - view.to_output(point)).abs().max_element() < 0.01);
            // The middles lie on each other, as far as whole pixels let them.
            prop_assert!((view.to_output(canvas / 2.0) - output / 2.0).abs().max_element() <= 0.51);
            let filled = canvas * view.scale;
            match fit {
                CanvasFit::Contain => prop_assert!((filled - output).max_element() < BAR_MIN + 0.01 || view.bars().count() == 0),
                CanvasFit::Cover => prop_assert!((filled - output).min_element() > -0.01),
            }
        }
    }

    fn on(output: (f32, f32), fit: CanvasFit) -> Viewport {
        Viewport::new(Vec2::new(1920.0, 1080.0), output.into(), fit)
    }

    #[test]
    fn a_frame_of_the_same_size_changes_no_number() {
        for fit in [CanvasFit::Contain, CanvasFit::Cover] {
            let same = on((1920.0, 1080.0), fit);
            assert!(same.is_identity());
            let point = Vec2::new(0.1, 1079.3);
            assert_eq!(
                (same.to_output(point), same.from_output(point)),
                (point, point)
            );
            assert_eq!(same.bars().count(), 0);
        }
    }

    #[test]
    fn other_proportions_leave_bars_or_hang_over() {
        let wide = on((640.0, 480.0), CanvasFit::Contain);
        assert_eq!(wide.offset, Vec2::new(0.0, 60.0));
        let bars: Vec<_> = wide.bars().collect();
        let at = |x, y| Vec2::new(x, y);
        assert_eq!(bars.len(), 2);
        assert_eq!(bars[0], (at(0.0, 0.0), at(640.0, 60.0)));
        assert!((bars[1].0 - at(0.0, 420.0)).length() < 1e-3);
        let tall = on((1080.0, 1920.0), CanvasFit::Contain);
        assert_eq!((tall.offset, tall.bars().count()), (at(0.0, 656.0), 2));
        let over = on((640.0, 480.0), CanvasFit::Cover);
        assert_eq!((over.offset, over.bars().count()), (at(-107.0, 0.0), 0));
    }

    #[test]
    fn a_frame_that_is_all_but_of_the_same_proportions_has_no_hair_lines() {
        for output in [(854.0, 480.0), (426.0, 240.0), (1366.0, 768.0)] {
            let view = on(output, CanvasFit::Contain);
            assert_eq!(view.bars().count(), 0, "{output:?}: {view:?}");
        }
    }

    #[test]
    fn the_nearest_of_grid_and_guides_wins() {
        let mut canvas = CanvasSpec::default();
        canvas.grid.size = 20;
        // The action area begins at about 67.2 by 37.8.
        let (action, _) = safe_area(Vec2::new(1920.0, 1080.0), canvas.safe_areas.action);
        assert_eq!(
            snapped(Vec2::new(69.0, 41.0), &canvas),
            Vec2::new(action.x, 40.0)
        );
        assert_eq!(
            snapped(Vec2::new(951.0, 544.0), &canvas),
            Vec2::new(960.0, 540.0)
        );
        assert_eq!(
            snapped(Vec2::new(-29.0, 1000.0), &canvas),
            Vec2::new(-20.0, 1000.0)
        );
        assert_eq!(
            snapped_to_grid(Vec2::new(69.0, -11.0), 20),
            Vec2::new(60.0, -20.0)
        );
    }
}
