//! The largest letters with which a text fits its box.

use glam::Vec2;
use parley::OverflowWrap;

use crate::layout::{EPSILON_PX, Extent, Typesetter, break_lines};
use crate::style::FitRange;

/// Sizes are tried in steps of this many layer pixels, so that the answer does not hang on rounding.
const STEP_PX: f32 = 0.25;

/// The largest size of `range` at which `words` fit into `size`, or its smallest when none does.
///
/// Words are never broken inside to fit: a size at which a word is wider than the box is too large.
pub(crate) fn largest_size(
    typesetter: &mut Typesetter<'_>,
    words: &str,
    size: Vec2,
    range: FitRange,
) -> f32 {
    if fits(typesetter, words, size, range.max) {
        return range.max;
    }
    // Step 0 is the smallest size, and is taken even if it does not fit.
    let size_at = |step: u32| range.min + step as f32 * STEP_PX;
    let (mut low, mut high) = (0, ((range.max - range.min) / STEP_PX).ceil() as u32);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if fits(typesetter, words, size, size_at(middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    size_at(low)
}

fn fits(typesetter: &mut Typesetter<'_>, words: &str, size: Vec2, font_size: f32) -> bool {
    let style = typesetter.style;
    let mut layout = typesetter.shape(words, font_size, OverflowWrap::Normal, style.direction);
    break_lines(&mut layout, style.wrap.then_some(size.x), style.align);
    let (is_rtl, spacing) = (layout.is_rtl(), style.letter_spacing);
    layout.len() <= style.lines_max
        && layout.height() <= size.y + EPSILON_PX
        && layout
            .lines()
            .all(|line| Extent::of(&line, is_rtl, spacing).width <= size.x + EPSILON_PX)
}
