//! Words into pixels: shaping, line breaking, fitting and painting of the authored
//! [`TextSource`](components::source::TextSource).
//!
//! The Layout set asks [`FontLibrary::measure`] how large a text wants to be; the Render set asks [`FontLibrary::draw`] for its
//! raster when a text layer has changed. Between the two stand, in the order a text passes them:
//!
//! | module | does |
//! |---|---|
//! | [`library`](FontLibrary) | keeps fonts and caches, checks limits |
//! | `style` | turns authored fields into values that cannot be out of range, and into parley's properties |
//! | `layout` | shapes, breaks, aligns: positioned glyphs in layer pixels |
//! | `fit`, `ellipsis` | the two ways to make words fit a box |
//! | `glyph` | outlines and colour pictures of glyphs, in bounded caches |
//! | `draw`, `mask`, `shadow` | coverage, outline, fill, colour glyphs, shadow: one premultiplied pixmap |
//! | [`paint`], [`blur`] | gradients and softness, which shapes and effects use too |
//!
//! The same request gives the same pixels: nothing here reads a clock, starts a thread, or keeps state that changes a picture.
//! Nothing here panics on what a user wrote; limits are constants in this crate and going over one is a [`TextError`].
#![forbid(unsafe_code)]

pub mod blur;
pub mod paint;

mod cache;
mod draw;
mod ellipsis;
mod emoji;
mod error;
mod fit;
mod glyph;
mod layout;
mod library;
mod mask;
mod rect;
mod request;
mod shadow;
mod style;

pub use error::TextError;
pub use library::{
    FontLibrary, REGISTERED_BYTES_MAX, REGISTERED_FONTS_MAX, WORDS_BYTES_MAX, is_font,
};
pub use rect::{RASTER_AREA_PX_MAX, RASTER_SIDE_PX_MAX};
pub use request::{DrawnText, TextRequest};
