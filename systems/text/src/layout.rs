//! From words to placed glyphs, in layer pixels.
//!
//! parley shapes, orders and breaks; where a line stands between the sides of the box is decided here, because lines that end in an
//! ellipsis are laid out on their own and must stand where the line they replace would have stood.

use std::sync::Arc;

use components::source::{Align, Overflow, VerticalAlign};
use glam::Vec2;
use parley::{
    Alignment, AlignmentOptions, FontContext, FontData, Layout, LayoutContext, Line, OverflowWrap,
    PositionedLayoutItem,
};

use crate::style::{Joined, Style};
use crate::{ellipsis, fit};

/// Slack for comparing widths and heights that were added up in another order, in layer pixels.
pub(crate) const EPSILON_PX: f32 = 0.01;

/// Shapes texts of one style. The contexts are parley's font collection and scratch memory.
pub(crate) struct Typesetter<'a> {
    pub(crate) fonts: &'a mut FontContext,
    pub(crate) scratch: &'a mut LayoutContext<Joined>,
    pub(crate) style: &'a Style<'a>,
}

/// A text with every glyph in its place.
#[derive(Debug)]
pub(crate) struct Composition {
    pub(crate) runs: Vec<Run>,
    /// The box, in layer pixels; the natural size when none was given.
    pub(crate) size: Vec2,
    /// What the lines take up, rounded up to whole layer pixels.
    pub(crate) natural: Vec2,
    /// What the lines take up, which a gradient spans.
    pub(crate) block: Block,
    pub(crate) font_size: f32,
    pub(crate) missing_glyphs: usize,
}

/// A rectangle in the box, in layer pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) min: Vec2,
    pub(crate) max: Vec2,
}

/// Glyphs of one font on one baseline.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) font: FontData,
    pub(crate) font_size: f32,
    /// Normalized variation coordinates, in 2.14 fixed point.
    pub(crate) coords: Arc<[i16]>,
    /// Slant for letters that have no italic face, in degrees.
    pub(crate) skew_degrees: f32,
    /// Whether the face is too light and is to be drawn bolder.
    pub(crate) embolden: bool,
    /// Height of the baseline, downwards from the box's top.
    pub(crate) baseline: f32,
    /// Glyph number and its place in the box.
    pub(crate) glyphs: Vec<(u32, Vec2)>,
}

impl Typesetter<'_> {
    /// Lays `words` out in a box of `size`, or at its natural size, wrapped at `width_max` if that is given.
    pub(crate) fn compose(
        &mut self,
        words: &str,
        size: Option<Vec2>,
        width_max: Option<f32>,
    ) -> Composition {
        let style = self.style;
        let font_size = match (style.fit, size) {
            (Some(range), Some(size)) => fit::largest_size(self, words, size, range),
            _ => style.font_size,
        };
        let width_max = size.map(|size| size.x).or(width_max);
        let wrap_width = width_max.filter(|_| style.wrap);
        let mut layout = self.shape(words, font_size, OverflowWrap::BreakWord, style.direction);
        break_lines(&mut layout, wrap_width, style.align);
        let shown = self.shown_lines(&layout, size);
        let lines = self.lines(words, &layout, shown, width_max, font_size);
        self.place(&layout, &lines, size, font_size)
    }

    /// Shapes `words` in an em square of `font_size` layer pixels; lines are not broken yet.
    pub(crate) fn shape(
        &mut self,
        words: &str,
        font_size: f32,
        overflow_wrap: OverflowWrap,
        direction: parley::BaseDirection,
    ) -> Layout<Joined> {
        let mut builder = self.scratch.ranged_builder(self.fonts, words, 1.0, false);
        builder.set_base_direction(direction);
        self.style
            .push(&mut builder, words, font_size, overflow_wrap);
        builder.build(words)
    }

    /// How many lines are shown, which is at least one if there is one.
    fn shown_lines(&self, layout: &Layout<Joined>, size: Option<Vec2>) -> usize {
        let shown = layout.len().min(self.style.lines_max);
        match (self.style.overflow, size) {
            (Overflow::Ellipsis, Some(size)) => layout
                .lines()
                .take(shown)
                .take_while(|line| line.metrics().block_max_coord <= size.y + EPSILON_PX)
                .count()
                .max(shown.min(1)),
            _ => shown,
        }
    }

    /// The first `shown` lines, those that do not fit cut short if the overflow says so.
    fn lines(
        &mut self,
        words: &str,
        layout: &Layout<Joined>,
        shown: usize,
        width_max: Option<f32>,
        font_size: f32,
    ) -> Vec<PlacedLine> {
        let ellipsis = self.style.overflow == Overflow::Ellipsis;
        let spacing = self.style.letter_spacing;
        let mut lines = Vec::with_capacity(shown);
        for (index, line) in layout.lines().take(shown).enumerate() {
            let extent = Extent::of(&line, layout.is_rtl(), spacing);
            let is_cut = index + 1 == shown && shown < layout.len();
            let too_wide = width_max.is_some_and(|width| extent.width > width + EPSILON_PX);
            let placed = if ellipsis && (is_cut || too_wide) {
                ellipsis::shorten(self, words, &line, layout.is_rtl(), width_max, font_size)
            } else {
                None
            };
            lines.push(match placed {
                Some(short) => {
                    let extent = short
                        .get(0)
                        .map_or(extent, |line| Extent::of(&line, short.is_rtl(), spacing));
                    PlacedLine {
                        extent,
                        instead: Some(short),
                    }
                }
                None => PlacedLine {
                    extent,
                    instead: None,
                },
            });
        }
        lines
    }

    /// Puts the lines into the box.
    fn place(
        &self,
        layout: &Layout<Joined>,
        lines: &[PlacedLine],
        size: Option<Vec2>,
        font_size: f32,
    ) -> Composition {
        let is_rtl = layout.is_rtl();
        let widest = lines
            .iter()
            .map(|line| line.extent.width)
            .fold(0.0, f32::max);
        let height = lines
            .len()
            .checked_sub(1)
            .and_then(|last| layout.get(last))
            .map_or(0.0, |line| line.metrics().block_max_coord);
        // Rounding up keeps the lines inside a box of whole pixels; the slack keeps 120.00001 from becoming 121.
        let natural = (Vec2::new(widest, height) - EPSILON_PX)
            .ceil()
            .max(Vec2::ZERO);
        let size = size.unwrap_or(natural);
        let top = match self.style.vertical_align {
            VerticalAlign::Top => 0.0,
            VerticalAlign::Middle => (size.y - height) / 2.0,
            VerticalAlign::Bottom => size.y - height,
        };

        let mut composition = Composition {
            runs: Vec::new(),
            size,
            natural,
            block: Block::default(),
            font_size,
            missing_glyphs: 0,
        };
        let (mut left_most, mut right_most) = (f32::MAX, f32::MIN);
        for (line, placed) in layout.lines().zip(lines) {
            let left = self.line_left(size.x - placed.extent.width, is_rtl);
            left_most = left_most.min(left);
            right_most = right_most.max(left + placed.extent.width);
            let offset = Vec2::new(left - placed.extent.left, top);
            match placed.instead.as_ref().and_then(|short| short.get(0)) {
                Some(short) => {
                    let down = line.metrics().baseline - short.metrics().baseline;
                    composition.push_line(&short, offset + Vec2::new(0.0, down));
                }
                None => composition.push_line(&line, offset),
            }
        }
        if left_most <= right_most {
            composition.block = Block {
                min: Vec2::new(left_most, top),
                max: Vec2::new(right_most, top + height),
            };
        }
        composition
    }

    /// Where a line that leaves `free` layer pixels of the box starts from the left.
    fn line_left(&self, free: f32, is_rtl: bool) -> f32 {
        let align = match self.style.align {
            // What is cut at the box must show its beginning.
            _ if free < 0.0 && self.style.overflow != Overflow::Visible => Align::Start,
            align => align,
        };
        match (align, is_rtl) {
            (Align::Left, _) => 0.0,
            (Align::Center, _) => free / 2.0,
            (Align::Right, _) => free,
            (Align::Start | Align::Justify, false) | (Align::End, true) => 0.0,
            (Align::Start | Align::Justify, true) | (Align::End, false) => free,
        }
    }
}

/// One line that is shown.
struct PlacedLine {
    extent: Extent,
    /// A layout of one line that stands in its place.
    instead: Option<Layout<Joined>>,
}

/// Where a line's words stand in its layout, without the white space that hangs at its end; in layer pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) left: f32,
    pub(crate) width: f32,
}

impl Extent {
    pub(crate) fn of(line: &Line<'_, Joined>, is_rtl: bool, letter_spacing: f32) -> Self {
        let metrics = line.metrics();
        // Justification adds to the runs, but not to the line's own advance.
        let advance: f32 = line.runs().map(|run| run.advance()).sum();
        // The last gap between letters has no letter after it, and would push words off the middle and off the right side.
        let advance = advance - last_gap(line, letter_spacing);
        let hanging_left = if is_rtl { metrics.hanging_advance } else { 0.0 };
        Self {
            left: metrics.inline_min_coord + metrics.offset + hanging_left,
            width: (advance - metrics.hanging_advance).max(0.0),
        }
    }
}

/// The room that letter spacing makes to the right of the line's last letter, in layer pixels.
fn last_gap(line: &Line<'_, Joined>, letter_spacing: f32) -> f32 {
    if letter_spacing == 0.0 {
        return 0.0;
    }
    let right_most = line
        .runs()
        .last()
        .and_then(|run| run.visual_clusters().last());
    match right_most {
        Some(cluster) if !cluster.style().brush.0 => letter_spacing,
        _ => 0.0,
    }
}

/// Breaks lines at `width`, and stretches them to it if they are justified. Other alignment is for [`Typesetter::place`].
pub(crate) fn break_lines(layout: &mut Layout<Joined>, width: Option<f32>, align: Align) {
    layout.break_all_lines(width);
    let alignment = match align {
        Align::Justify if width.is_some() => Alignment::Justify,
        _ => Alignment::Left,
    };
    layout.align(
        alignment,
        AlignmentOptions {
            align_when_overflowing: true,
            last_line_alignment: Some(Alignment::Left),
        },
    );
}

impl Composition {
    fn push_line(&mut self, line: &Line<'_, Joined>, offset: Vec2) {
        for item in line.items() {
            let PositionedLayoutItem::GlyphRun(glyphs) = item else {
                continue;
            };
            let run = glyphs.run();
            let synthesis = run.synthesis();
            let placed: Vec<(u32, Vec2)> = glyphs
                .positioned_glyphs()
                .map(|glyph| (glyph.id, Vec2::new(glyph.x, glyph.y) + offset))
                .collect();
            self.missing_glyphs += placed.iter().filter(|(id, _)| *id == 0).count();
            self.runs.push(Run {
                font: run.font().clone(),
                font_size: run.font_size(),
                coords: run
                    .normalized_coords()
                    .iter()
                    .map(|coord| coord.to_bits())
                    .collect(),
                skew_degrees: synthesis.skew().unwrap_or(0.0),
                embolden: synthesis.embolden(),
                baseline: glyphs.baseline() + offset.y,
                glyphs: placed,
            });
        }
    }
}
