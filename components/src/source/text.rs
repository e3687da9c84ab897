//! Words: their font, paint, box and overflow.

use bevy_ecs::component::Component;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::image::{read_template, write_template};
use super::shape::paint_path;
use crate::animation::{Easing, FieldMut, Fields, Glide, below, number, template, within};
use crate::validate::{Problems, Validate};
use crate::value::{Colour, Number, Paint, Point, Template};

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
    /// A number that stands in the text as `{{counter}}` and rolls from one value to the next. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<Counter>,
}

/// A number in a text that rolls when it changes.
///
/// `{"value": "{{auction.bid}}", "decimals": 2, "roll": {"duration": 0.8, "easing": "easeOutExpo"}}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Counter {
    /// The number, or the data path that gives it. A track can move it as `source.counter.value`.
    #[schemars(schema_with = "counted")]
    pub value: Number,
    /// Digits after the point, 0 to 6. Default 0.
    #[serde(default, skip_serializing_if = "is_none")]
    #[schemars(range(min = 0, max = 6))]
    pub decimals: u8,
    /// How thousands are set apart. Default `comma`.
    #[serde(default)]
    pub grouping: Grouping,
    /// How it rolls to a new value. Default 0.6 seconds, `easeOutCubic`.
    #[serde(default = "default_roll")]
    pub roll: Glide,
}

/// How the thousands of a number are set apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Grouping {
    /// Not at all: 1234567.8.
    None,
    /// 1,234,567.8.
    #[default]
    Comma,
    /// 1.234.567,8.
    Dot,
    /// 1 234 567.8, with spaces that do not break.
    Space,
}

fn counted(_: &mut SchemaGenerator) -> Schema {
    Number::schema(-1e15, 1e15)
}

fn is_none(digits: &u8) -> bool {
    *digits == 0
}

fn default_roll() -> Glide {
    Glide {
        duration: 0.6,
        easing: Easing::EaseOutCubic,
        delay: 0.0,
    }
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

pub(super) fn white() -> Paint {
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
        problems.at("font", |problems| self.font.validate(problems));
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
        if let Some(counter) = &self.counter {
            problems.at("counter", |problems| {
                if let Some(value) = counter.value.literal() {
                    problems.range("value", value, -1e15..=1e15);
                }
                if counter.decimals > 6 {
                    problems.at("decimals", |problems| {
                        problems.report("a counter has 0 to 6 digits after the point")
                    });
                }
                problems.at("roll", |problems| counter.roll.validate(problems));
            });
        }
        if let Some(outline) = &self.outline {
            problems.at("outline", |problems| outline.validate(problems));
        }
        if let Some(shadow) = &self.shadow {
            problems.at("shadow", |problems| shadow.validate(problems));
        }
    }
}

impl Validate for Font {
    fn validate(&self, problems: &mut Problems) {
        problems.range("size", self.size, 1.0..=2000.0);
        problems.range("weight", self.weight, 1.0..=1000.0);
        problems.range("lineHeight", self.line_height, 0.1..=10.0);
        problems.range("letterSpacing", self.letter_spacing, -1000.0..=1000.0);
        if self.family.trim().is_empty() {
            problems.at("family", |problems| {
                problems.report("a font needs a family name")
            });
        }
    }
}

impl Validate for Outline {
    fn validate(&self, problems: &mut Problems) {
        problems.range("width", self.width, 0.01..=100.0);
    }
}

impl Validate for Shadow {
    fn validate(&self, problems: &mut Problems) {
        problems.range("blur", self.blur, 0.0..=100.0);
        problems.at("offset", |problems| self.offset.validate(problems));
    }
}

impl TextSource {
    /// Words that stand as they are in the default font: white, at the start of one line.
    pub fn plain(text: Template) -> Self {
        Self {
            text,
            font: Font::default(),
            fill: white(),
            align: Align::Start,
            vertical_align: VerticalAlign::Top,
            wrap: true,
            max_lines: None,
            overflow: Overflow::Visible,
            fit_to_box: None,
            outline: None,
            shadow: None,
            direction: TextDirection::Auto,
            counter: None,
        }
    }
}

impl Fields for Font {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "size" => number(&mut self.size, 1.0, 2000.0),
            "weight" => number(&mut self.weight, 1.0, 1000.0),
            "lineHeight" => number(&mut self.line_height, 0.1, 10.0),
            "letterSpacing" => number(&mut self.letter_spacing, -1000.0, 1000.0),
            _ => None,
        }
    }

    fn field_paths(&self) -> Vec<String> {
        ["size", "weight", "lineHeight", "letterSpacing"]
            .map(str::to_owned)
            .into()
    }
}

impl Fields for Outline {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "color" => Some(FieldMut::Colour(&mut self.color)),
            "width" => number(&mut self.width, 0.01, 100.0),
            _ => None,
        }
    }

    fn field_paths(&self) -> Vec<String> {
        ["color", "width"].map(str::to_owned).into()
    }
}

impl Fields for Shadow {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "color" => Some(FieldMut::Colour(&mut self.color)),
            "blur" => number(&mut self.blur, 0.0, 100.0),
            "offset.x" => number(&mut self.offset.x, -1000.0, 1000.0),
            "offset.y" => number(&mut self.offset.y, -1000.0, 1000.0),
            _ => None,
        }
    }

    fn field_paths(&self) -> Vec<String> {
        ["color", "blur", "offset.x", "offset.y"]
            .map(str::to_owned)
            .into()
    }
}

/// The paths of a field that may not be there.
pub(super) fn below_some<F: Fields>(prefix: &str, fields: Option<&F>) -> Vec<String> {
    let paths = fields.map(Fields::field_paths).unwrap_or_default();
    below(prefix, paths).collect()
}

impl Fields for TextSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        if path == "counter.value" {
            return template(&mut self.counter.as_mut()?.value, -1e15, 1e15);
        }
        if let Some(path) = within(path, "font") {
            return self.font.field_mut(path);
        }
        if let Some(path) = within(path, "outline") {
            return self.outline.as_mut()?.field_mut(path);
        }
        if let Some(path) = within(path, "shadow") {
            return self.shadow.as_mut()?.field_mut(path);
        }
        self.fill.field_mut(paint_path(path, "fill")?)
    }

    fn field_paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = below("font", self.font.field_paths()).collect();
        paths.extend(below("fill", self.fill.field_paths()));
        paths.extend(self.counter.as_ref().map(|_| "counter.value".to_owned()));
        paths.extend(below_some("outline", self.outline.as_ref()));
        paths.extend(below_some("shadow", self.shadow.as_ref()));
        paths
    }
}
