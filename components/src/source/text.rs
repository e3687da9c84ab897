//! Words: their font, paint, box and overflow.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::image::{read_template, write_template};
use crate::validate::{Problems, Validate};
use crate::value::{Colour, Paint, Point, Template};

/// A text, shaped with bidirectional runs, fallback fonts and colour emoji.
///
/// `{"type": "text", "text": "Current bid {{bid.amount}}", "font": {"family": "Inter", "size": 48, "weight": 700}}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TextSource {
    /// The words; `\n` breaks a line, `{{path}}` is filled from the scene's data.
    #[serde(serialize_with = "write_template", deserialize_with = "read_template")]
    #[schemars(with = "String", example = "Current bid {{bid.amount}}")]
    pub text: Template,
    /// How the letters look.
    #[serde(default)]
    pub font: Font,
    /// What the letters are filled with; a gradient spans the whole text. Default white.
    #[serde(default = "white")]
    pub fill: Paint,
    /// Where lines stand between the box's sides. Default `start`, which is the right side for right-to-left text.
    #[serde(default)]
    pub align: Align,
    /// Where the lines stand between the box's top and bottom. Default `top`.
    #[serde(default)]
    pub vertical_align: VerticalAlign,
    /// Whether lines break at the layer's width. Default true. A layer without a size never breaks its lines.
    #[serde(default = "yes")]
    pub wrap: bool,
    /// The most lines that are shown. All when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_lines: Option<u32>,
    /// What becomes of text that does not fit the box. Default `visible`.
    #[serde(default)]
    pub overflow: Overflow,
    /// Makes the letters smaller, or larger, until the text fits the box. Needs a size. Off when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit_to_box: Option<FitText>,
    /// A line around the letters. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// A shadow behind the letters. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// Base direction. Default `auto`: the direction of the first strong letter.
    #[serde(default)]
    pub direction: TextDirection,
}

/// How letters look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Font {
    /// Family name of a font that comes with the scene or is installed; several are tried in turn: `"Inter, Noto Sans"`. Letters that
    /// it lacks come from the system's fallback fonts.
    #[schemars(regex(pattern = r"\S"))]
    pub family: String,
    /// Size of the em square in pixels, 1 to 2000. Default 32.
    #[schemars(range(min = 1, max = 2000))]
    pub size: f32,
    /// 100 (thin) to 900 (black); 400 is regular, 700 bold. Default 400.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: f32,
    /// Upright or slanted. Default `normal`.
    pub style: FontStyle,
    /// Distance of baselines over the font size. Default 1.2.
    #[schemars(range(min = 0.1, max = 10))]
    pub line_height: f32,
    /// Extra room between letters in pixels. Default 0.
    #[schemars(range(min = -1000, max = 1000))]
    pub letter_spacing: f32,
    /// Whether digits share one width, so that a counter does not jitter. Default false.
    pub tabular_figures: bool,
}

impl Default for Font {
    fn default() -> Self {
        Self {
            family: "Inter".to_owned(),
            size: 32.0,
            weight: 400.0,
            style: FontStyle::Normal,
            line_height: 1.2,
            letter_spacing: 0.0,
            tabular_figures: false,
        }
    }
}

/// Upright or slanted letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FontStyle {
    /// Upright.
    #[default]
    Normal,
    /// Slanted, by an italic face where the family has one.
    Italic,
}

/// Where lines stand between two sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Align {
    /// At the side where reading starts.
    #[default]
    Start,
    /// In the middle.
    Center,
    /// At the side where reading ends.
    End,
    /// At the left, whatever the direction.
    Left,
    /// At the right, whatever the direction.
    Right,
    /// Stretched to both sides.
    Justify,
}

/// Where lines stand between top and bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum VerticalAlign {
    /// At the top.
    #[default]
    Top,
    /// In the middle.
    Middle,
    /// At the bottom.
    Bottom,
}

/// What becomes of text that does not fit its box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Overflow {
    /// It runs out of the box.
    #[default]
    Visible,
    /// It is cut at the box.
    Clip,
    /// The last line that fits ends in `…`.
    Ellipsis,
}

/// The sizes between which a text is fitted to its box.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct FitText {
    /// Smallest font size in pixels. Default 8.
    #[schemars(range(min = 1, max = 2000))]
    pub min_size: f32,
    /// Largest font size in pixels. Default the font's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2000))]
    pub max_size: Option<f32>,
}

impl Default for FitText {
    fn default() -> Self {
        Self {
            min_size: 8.0,
            max_size: None,
        }
    }
}

/// A line around letters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outline {
    /// Its colour.
    pub color: Colour,
    /// Pixels outside the letter, above 0.
    #[schemars(range(min = 0.01, max = 100))]
    pub width: f32,
}

/// A shadow behind letters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shadow {
    /// Its colour.
    pub color: Colour,
    /// How far it lies from the letters, in pixels. Default 0, 2.
    #[serde(default = "shadow_offset")]
    pub offset: Point,
    /// Standard deviation of its softness in pixels, 0 (hard) to 100. Default 4.
    #[serde(default = "shadow_blur")]
    #[schemars(range(min = 0, max = 100))]
    pub blur: f32,
}

/// Base direction of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TextDirection {
    /// That of the first strong letter.
    #[default]
    Auto,
    /// Left to right.
    Ltr,
    /// Right to left.
    Rtl,
}

fn white() -> Paint {
    Paint::Solid(Colour::WHITE)
}

fn yes() -> bool {
    true
}

fn shadow_offset() -> Point {
    Point { x: 0.0, y: 2.0 }
}

fn shadow_blur() -> f32 {
    4.0
}

impl Validate for TextSource {
    fn validate(&self, problems: &mut Problems) {
        problems.at("font", |problems| {
            problems.range("size", self.font.size, 1.0..=2000.0);
            problems.range("weight", self.font.weight, 1.0..=1000.0);
            problems.range("lineHeight", self.font.line_height, 0.1..=10.0);
            problems.range("letterSpacing", self.font.letter_spacing, -1000.0..=1000.0);
            if self.font.family.trim().is_empty() {
                problems.at("family", |problems| {
                    problems.report("a font needs a family name")
                });
            }
        });
        problems.at("fill", |problems| self.fill.validate(problems));
        if self.max_lines == Some(0) {
            problems.at("maxLines", |problems| {
                problems.report("at least one line must be shown")
            });
        }
        if let Some(fit) = &self.fit_to_box {
            problems.at("fitToBox", |problems| {
                problems.range("minSize", fit.min_size, 1.0..=2000.0);
                if let Some(max) = fit.max_size {
                    problems.range("maxSize", max, fit.min_size.clamp(1.0, 2000.0)..=2000.0);
                }
            });
        }
        if let Some(outline) = &self.outline {
            problems.at("outline", |problems| {
                problems.range("width", outline.width, 0.01..=100.0)
            });
        }
        if let Some(shadow) = &self.shadow {
            problems.at("shadow", |problems| {
                problems.range("blur", shadow.blur, 0.0..=100.0);
                problems.at("offset", |problems| shadow.offset.validate(problems));
            });
        }
    }
}
