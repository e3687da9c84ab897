//! The fonts, the caches, and the two questions that can be asked of them.

use std::sync::Arc;

use components::source::TextSource;
use fontique::{Blob, Collection, CollectionOptions, SourceCache};
use glam::Vec2;
use parley::{FontContext, LayoutContext};

use crate::draw;
use crate::error::TextError;
use crate::glyph::Glyphs;
use crate::layout::{Composition, Typesetter};
use crate::request::{DrawnText, TextRequest};
use crate::style::{Joined, Style, box_within, clean, within};

/// Fonts that can be registered.
pub const REGISTERED_FONTS_MAX: usize = 256;
/// Bytes that registered fonts can take together.
pub const REGISTERED_BYTES_MAX: usize = 512 << 20;
/// Longest text that is laid out, in bytes of UTF-8.
pub const WORDS_BYTES_MAX: usize = 256 << 10;

/// Smallest and largest raster resolution, in raster pixels a layer pixel.
const SCALE_MIN: f32 = 0.01;
const SCALE_MAX: f32 = 64.0;

/// Fonts and everything that is remembered about them. One is enough for a program; it is made for one thread at a time.
pub struct FontLibrary {
    fonts: FontContext,
    scratch: LayoutContext<Joined>,
    glyphs: Glyphs,
    registered: Vec<Registered>,
    /// Families of `registered`, each once, in the order in which they came.
    families: Vec<String>,
}

/// A font that came with a scene.
struct Registered {
    data: Blob<u8>,
    families: Vec<String>,
}

/// Whether bytes are a font file that can be used.
pub fn is_font(bytes: &[u8]) -> bool {
    let families = FontLibrary::new(false).register(bytes.to_vec(), "font");
    families.is_ok_and(|families| !families.is_empty())
}

impl FontLibrary {
    /// A library of the system's fonts, as fontconfig lists them, or of none. A system without fontconfig has no fonts.
    pub fn new(use_system_fonts: bool) -> Self {
        let collection = Collection::new(CollectionOptions {
            shared: false,
            system_fonts: use_system_fonts,
        });
        Self {
            fonts: FontContext {
                collection,
                source_cache: SourceCache::default(),
            },
            scratch: LayoutContext::new(),
            glyphs: Glyphs::new(),
            registered: Vec::new(),
            families: Vec::new(),
        }
    }

    /// Adds the fonts of a TrueType, OpenType or collection file and returns their families. They stand before the system's fonts of
    /// the same family, and help out with letters that the family of a text and the system's sans serif lack.
    ///
    /// `name` is used in errors only. Bytes that were registered before are not added again.
    pub fn register(&mut self, data: Vec<u8>, name: &str) -> Result<Vec<String>, TextError> {
        if let Some(known) = self
            .registered
            .iter()
            .find(|known| known.data.as_ref() == data.as_slice())
        {
            return Ok(known.families.clone());
        }
        let name = name.to_owned();
        if self.registered.len() >= REGISTERED_FONTS_MAX {
            return Err(TextError::TooManyFonts { name });
        }
        let bytes = data.len();
        let taken: usize = self.registered.iter().map(|font| font.data.len()).sum();
        if taken.saturating_add(bytes) > REGISTERED_BYTES_MAX {
            return Err(TextError::TooMuchFontData { name, bytes });
        }
        let data = Blob::new(Arc::new(data));
        let added = self.fonts.collection.register_fonts(data.clone(), None);
        let families: Vec<String> = added
            .iter()
            .filter(|(_, fonts)| !fonts.is_empty())
            .filter_map(|(family, _)| {
                let name = self.fonts.collection.family_name(*family)?;
                Some(name.to_owned())
            })
            .collect();
        if families.is_empty() {
            return Err(TextError::NotAFont { name });
        }
        for family in &families {
            if !self.families.contains(family) {
                self.families.push(family.clone());
            }
        }
        self.registered.push(Registered {
            data,
            families: families.clone(),
        });
        Ok(families)
    }

    /// Forgets every registered font. Those of the system stay.
    pub fn unregister_all(&mut self) {
        self.fonts.collection.clear();
        self.glyphs.clear();
        self.registered.clear();
        self.families.clear();
    }

    /// Whether there is a family of this name, from a scene or the system.
    pub fn has_family(&mut self, name: &str) -> bool {
        self.fonts.collection.family_id(name).is_some()
    }

    /// How much room `words` take in layer pixels, rounded up to whole ones; that of the lines, not of the ink.
    ///
    /// Without `box_size` the text is laid out at its natural size, its lines broken at `max_width` if that is given and the source
    /// wraps. With `box_size` it is laid out as [`Self::draw`] would in a box of that size, fitted and cut short as authored. A text
    /// that is too long to be laid out takes no room; drawing it says why.
    pub fn measure(
        &mut self,
        source: &TextSource,
        words: &str,
        max_width: Option<f32>,
        box_size: Option<Vec2>,
    ) -> Vec2 {
        match self.compose(source, words, box_size, max_width) {
            Ok(composition) => composition.natural,
            Err(_) => Vec2::ZERO,
        }
    }

    /// Lays out and paints a text.
    pub fn draw(&mut self, request: &TextRequest<'_>) -> Result<DrawnText, TextError> {
        let TextRequest {
            source,
            words,
            size,
            scale,
        } = *request;
        let composition = self.compose(source, words, size, None)?;
        let scale = Vec2::new(
            within(scale.x, SCALE_MIN, SCALE_MAX, 1.0),
            within(scale.y, SCALE_MIN, SCALE_MAX, 1.0),
        );
        let (pixmap, origin) = draw::draw(
            &mut self.glyphs,
            &composition,
            source,
            scale,
            size.is_some(),
        )?;
        Ok(DrawnText {
            pixmap,
            origin,
            size: composition.size,
            font_size: composition.font_size,
            missing_glyphs: composition.missing_glyphs,
        })
    }

    fn compose(
        &mut self,
        source: &TextSource,
        words: &str,
        size: Option<Vec2>,
        max_width: Option<f32>,
    ) -> Result<Composition, TextError> {
        if words.len() > WORDS_BYTES_MAX {
            return Err(TextError::TooLong { bytes: words.len() });
        }
        let style = Style::new(source, &self.families);
        let mut typesetter = Typesetter {
            fonts: &mut self.fonts,
            scratch: &mut self.scratch,
            style: &style,
        };
        let max_width = max_width.map(|width| box_within(Vec2::splat(width)).x);
        Ok(typesetter.compose(&clean(words), size.map(box_within), max_width))
    }
}
