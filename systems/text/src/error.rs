//! What can go wrong with a text.

use crate::library::{REGISTERED_BYTES_MAX, REGISTERED_FONTS_MAX, WORDS_BYTES_MAX};
use crate::rect::{RASTER_AREA_PX_MAX, RASTER_SIDE_PX_MAX};

/// Why a font was not taken, or a text not drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The bytes hold no font that can be read.
    #[error("`{name}` is not a TrueType, OpenType or font collection file")]
    NotAFont {
        /// What the caller called the font, usually its path.
        name: String,
    },
    /// More fonts were registered than are kept.
    #[error("`{name}` is one font too many; at most {REGISTERED_FONTS_MAX} can be registered")]
    TooManyFonts {
        /// What the caller called the font, usually its path.
        name: String,
    },
    /// The registered fonts take more memory than is given to them.
    #[error(
        "`{name}` has {bytes} bytes, which takes the registered fonts over {REGISTERED_BYTES_MAX} bytes"
    )]
    TooMuchFontData {
        /// What the caller called the font, usually its path.
        name: String,
        /// Size of the refused font in bytes.
        bytes: usize,
    },
    /// The text is longer than is laid out.
    #[error("a text of {bytes} bytes is longer than {WORDS_BYTES_MAX} bytes")]
    TooLong {
        /// Length of the text in bytes.
        bytes: usize,
    },
    /// The picture of the text would be larger than is drawn.
    #[error(
        "a text picture of {width} x {height} pixels is over the limit of {RASTER_SIDE_PX_MAX} pixels a side and \
         {RASTER_AREA_PX_MAX} pixels in all; use a smaller font, a smaller box, or `overflow: clip`"
    )]
    TooLarge {
        /// Width of the refused picture in raster pixels.
        width: u64,
        /// Height of the refused picture in raster pixels.
        height: u64,
    },
}
