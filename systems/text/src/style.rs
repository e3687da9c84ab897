//! From authored fields to shaping properties.
//!
//! Authored values are validated when a scene is loaded, but data and animation may bring others. Everything below this module
//! works on a [`Style`], whose numbers are in range whatever was authored.

use std::borrow::Cow;

use components::source::{Align, FontStyle, Overflow, TextDirection, TextSource, VerticalAlign};
use glam::Vec2;
use parley::setting::Tag;
use parley::{
    BaseDirection, FontFamily, FontFamilyName, FontFeature, FontFeatures, FontVariation,
    FontVariations, FontWeight, GenericFamily, LineHeight, OverflowWrap, RangedBuilder,
    StyleProperty,
};

use crate::emoji;

/// Largest em square in layer pixels.
pub(crate) const FONT_SIZE_MAX: f32 = 2000.0;
/// Largest side of a box in layer pixels.
const BOX_SIDE_MAX: f32 = 100_000.0;
/// Stretches of emoji, and of joined letters, that are treated as such in one text; parley counts styles in 16 bits.
const RANGES_MAX: usize = 1024;

/// The authored fields that shape and place words, held in range.
#[derive(Clone, Debug)]
pub(crate) struct Style<'a> {
    pub(crate) families: Vec<FontFamilyName<'a>>,
    /// Families for emoji, which come before the authored ones: text fonts have plain drawings of many.
    pub(crate) emoji_families: Vec<FontFamilyName<'a>>,
    pub(crate) font_size: f32,
    pub(crate) fit: Option<FitRange>,
    pub(crate) weight: f32,
    pub(crate) italic: bool,
    pub(crate) line_height: f32,
    pub(crate) letter_spacing: f32,
    pub(crate) tabular: bool,
    pub(crate) align: Align,
    pub(crate) vertical_align: VerticalAlign,
    pub(crate) wrap: bool,
    pub(crate) lines_max: usize,
    pub(crate) overflow: Overflow,
    pub(crate) direction: BaseDirection,
}

/// Whether letters join their neighbours and so are not spaced; parley's brush, which it carries along with a style.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined(pub(crate) bool);

/// The sizes between which a text is fitted, in layer pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FitRange {
    pub(crate) min: f32,
    pub(crate) max: f32,
}

impl<'a> Style<'a> {
    /// Reads `source`; `registered` are the families that came with scenes, which help out before the system's fallback fonts.
    pub(crate) fn new(source: &'a TextSource, registered: &'a [String]) -> Self {
        let font = &source.font;
        let font_size = within(font.size, 1.0, FONT_SIZE_MAX, 32.0);
        let fit = source.fit_to_box.map(|fit| {
            let max = fit.max_size.unwrap_or(font_size);
            let max = within(max, 1.0, FONT_SIZE_MAX, font_size);
            FitRange {
                min: within(fit.min_size, 1.0, max, 1.0),
                max,
            }
        });
        let families = families(&font.family, registered);
        Self {
            emoji_families: emoji_families(&families, registered),
            families,
            font_size,
            fit,
            weight: within(font.weight, 1.0, 1000.0, 400.0),
            italic: font.style == FontStyle::Italic,
            line_height: within(font.line_height, 0.1, 10.0, 1.2),
            letter_spacing: within(font.letter_spacing, -1000.0, 1000.0, 0.0),
            tabular: font.tabular_figures,
            align: source.align,
            vertical_align: source.vertical_align,
            wrap: source.wrap,
            lines_max: source
                .max_lines
                .map_or(usize::MAX, |lines| lines.max(1) as usize),
            overflow: source.overflow,
            direction: match source.direction {
                TextDirection::Auto => BaseDirection::Auto,
                TextDirection::Ltr => BaseDirection::Ltr,
                TextDirection::Rtl => BaseDirection::Rtl,
            },
        }
    }

    /// Hands the style to parley for `words`, in an em square of `font_size` layer pixels.
    pub(crate) fn push(
        &self,
        builder: &mut RangedBuilder<'_, Joined>,
        words: &str,
        font_size: f32,
        overflow_wrap: OverflowWrap,
    ) {
        builder.push_default(FontFamily::List(Cow::Borrowed(&self.families)));
        for range in emoji::ranges(words).into_iter().take(RANGES_MAX) {
            builder.push(
                FontFamily::List(Cow::Borrowed(&self.emoji_families)),
                range.clone(),
            );
            // A line is as high with an emoji as without.
            builder.push(StyleProperty::LineHeight(LineHeight::Absolute(0.0)), range);
        }
        builder.push_default(StyleProperty::FontSize(font_size));
        builder.push_default(StyleProperty::FontWeight(FontWeight::new(self.weight)));
        if self.italic {
            builder.push_default(StyleProperty::FontStyle(parley::FontStyle::Italic));
        }
        builder.push_default(LineHeightProperty(self.line_height));
        builder.push_default(StyleProperty::OverflowWrap(overflow_wrap));
        // As CSS does where a font has drawings for several sizes; others ignore it.
        builder.push_default(FontVariations::List(Cow::Owned(vec![FontVariation::new(
            Tag::new(b"opsz"),
            font_size,
        )])));
        let features = self.features();
        if !features.is_empty() {
            builder.push_default(FontFeatures::List(Cow::Owned(features)));
        }
        if self.letter_spacing != 0.0 {
            builder.push_default(StyleProperty::LetterSpacing(self.letter_spacing));
            for range in cursive_ranges(words).into_iter().take(RANGES_MAX) {
                builder.push(StyleProperty::LetterSpacing(0.0), range.clone());
                builder.push(StyleProperty::Brush(Joined(true)), range);
            }
        }
    }

    fn features(&self) -> Vec<FontFeature> {
        let mut features = Vec::new();
        if self.tabular {
            features.push(FontFeature::new(Tag::new(b"tnum"), 1));
        }
        if self.letter_spacing != 0.0 {
            // A ligature would keep its letters together while the others part.
            features.push(FontFeature::new(Tag::new(b"liga"), 0));
            features.push(FontFeature::new(Tag::new(b"clig"), 0));
        }
        features
    }
}

/// Line height as a multiple of the font size, by a name that says so.
struct LineHeightProperty(f32);

impl From<LineHeightProperty> for StyleProperty<'_, Joined> {
    fn from(height: LineHeightProperty) -> Self {
        Self::LineHeight(LineHeight::FontSizeRelative(height.0))
    }
}

/// `value` between `min` and `max`, or `otherwise` when it is not a number.
pub(crate) fn within(value: f32, min: f32, max: f32, otherwise: f32) -> f32 {
    if value.is_nan() {
        otherwise
    } else {
        value.clamp(min, max)
    }
}

/// A box that layout can work in.
pub(crate) fn box_within(size: Vec2) -> Vec2 {
    Vec2::new(
        within(size.x, 0.0, BOX_SIDE_MAX, 0.0),
        within(size.y, 0.0, BOX_SIDE_MAX, 0.0),
    )
}

/// Words as they are laid out: one kind of line break, tabs as spaces, and no other control characters, for which fonts have only
/// the picture of a missing glyph.
pub(crate) fn clean(words: &str) -> Cow<'_, str> {
    let is_odd = |c: char| c != '\n' && c.is_control();
    if !words.contains(is_odd) {
        return Cow::Borrowed(words);
    }
    let mut clean = String::with_capacity(words.len());
    let mut characters = words.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' => {
                if characters.peek() != Some(&'\n') {
                    clean.push('\n');
                }
            }
            '\t' => clean.push_str("    "),
            c if is_odd(c) => {}
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// The families to try in turn: the authored ones, the system's sans serif, and those that came with scenes.
fn families<'a>(authored: &'a str, registered: &'a [String]) -> Vec<FontFamilyName<'a>> {
    authored
        .split(',')
        .map(str::trim)
        .filter_map(|name| {
            let bare = name.trim_matches(['"', '\'']).trim();
            if bare.is_empty() {
                None
            } else if let Some(generic) = GenericFamily::parse(name) {
                Some(FontFamilyName::Generic(generic))
            } else {
                Some(FontFamilyName::named(bare))
            }
        })
        .chain([FontFamilyName::Generic(GenericFamily::SansSerif)])
        .chain(registered.iter().map(|name| FontFamilyName::named(name)))
        .collect()
}

/// The families to try for emoji: those of scenes that say that they have them, the system's, and then all others.
fn emoji_families<'a>(
    families: &[FontFamilyName<'a>],
    registered: &'a [String],
) -> Vec<FontFamilyName<'a>> {
    registered
        .iter()
        .filter(|name| name.to_ascii_lowercase().contains("emoji"))
        .map(|name| FontFamilyName::named(name))
        .chain([FontFamilyName::Generic(GenericFamily::Emoji)])
        .chain(families.iter().cloned())
        .collect()
}

/// Stretches of letters that join their neighbours, which spacing would tear apart.
fn cursive_ranges(words: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for (start, c) in words.char_indices().filter(|(_, c)| is_cursive(*c)) {
        let end = start + c.len_utf8();
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

/// The scripts of CSS Text 4, section 8.2.1, by their Unicode blocks, and the joiners.
fn is_cursive(c: char) -> bool {
    matches!(c,
        '\u{0600}'..='\u{08ff}'          // Arabic, Syriac, Thaana, N'Ko, Mandaic and their supplements
        | '\u{1800}'..='\u{18af}'        // Mongolian
        | '\u{200c}'..='\u{200d}'
        | '\u{a840}'..='\u{a87f}'        // Phags-pa
        | '\u{fb50}'..='\u{fdff}'
        | '\u{fe70}'..='\u{fefc}'
        | '\u{10d00}'..='\u{10d3f}'      // Hanifi Rohingya
        | '\u{1e900}'..='\u{1e95f}'      // Adlam
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_fonts() {
        assert_eq!(clean("a\r\nb\rc\td\u{0}\u{7f}e"), "a\nb\nc    de");
        assert!(matches!(clean("plain\ntext"), Cow::Borrowed(_)));
    }

    #[test]
    fn families_are_read_as_css_writes_them() {
        let registered = ["House".to_owned()];
        let read = families(" 'Fira Sans' ,monospace,, \"serif\"", &registered);
        let names: Vec<String> = read
            .iter()
            .map(|name| match name {
                FontFamilyName::Named(name) => name.to_string(),
                FontFamilyName::Generic(generic) => format!("<{generic}>"),
            })
            .collect();
        assert_eq!(
            names,
            ["Fira Sans", "<monospace>", "serif", "<sans-serif>", "House"]
        );
    }

    #[test]
    fn only_joined_letters_are_cursive() {
        assert_eq!(cursive_ranges("ab سلام cd"), vec![3.."ab سلام".len()]);
    }
}
