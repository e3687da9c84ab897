//! Pictures ready to be composed: premultiplied pixels, and what is known of them that makes drawing cheaper.
//!
//! A [`Raster`] is built once when a layer's look changes and drawn many times, so it is read through when built: where each
//! row is empty, opaque, or between the two, and what its bounds are. Empty spans are then skipped and opaque ones copied.

use fearless_simd::dispatch;

use crate::rect::IRect;

/// The longest side of a raster, in pixels.
pub const SIDE_MAX: u32 = 16_384;

/// Shorter runs of empty or opaque pixels inside a row are not worth a span of their own.
const RUN_MIN: usize = 32;

/// Why pixels could not become a [`Raster`] or a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RasterError {
    /// A side is zero, or longer than [`SIDE_MAX`].
    #[error("a picture of {width}x{height} pixels: each side must be 1 to {SIDE_MAX}")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The data does not have four bytes for each pixel.
    #[error("{actual} bytes for a picture that takes {expected}")]
    Length {
        /// Bytes the size asks for.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// Frames of 4:2:0 planes have even sides only.
    #[error("a frame of {width}x{height} pixels: both sides must be even")]
    OddSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

/// A run of pixels in a row that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub end: u32,
    /// Whether every alpha is 255.
    pub opaque: bool,
}

/// One picture of the pyramid: half the size of the one before, rounded up.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub width: usize,
    pub height: usize,
    pub pixels: Vec<u32>,
}

/// The pixels as they came: words, or bytes that happen to be aligned as words, so that no picture is copied needlessly.
#[derive(Clone)]
enum Pixels {
    Words(Vec<u32>),
    Bytes(Vec<u8>),
}

impl Pixels {
    fn from_bytes(data: Vec<u8>) -> Self {
        if bytemuck::try_cast_slice::<u8, u32>(&data).is_ok() {
            Self::Bytes(data)
        } else {
            Self::Words(
                data.as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| u32::from_ne_bytes(bytes))
                    .collect(),
            )
        }
    }

    fn words(&self) -> &[u32] {
        match self {
            Self::Words(words) => words,
            // Checked when the value was built, and the heap block has not moved since.
            Self::Bytes(bytes) => bytemuck::cast_slice(bytes),
        }
    }

    fn words_mut(&mut self) -> &mut [u32] {
        match self {
            Self::Words(words) => words,
            Self::Bytes(bytes) => bytemuck::cast_slice_mut(bytes),
        }
    }
}

/// Premultiplied RGBA8 pixels on sRGB values, row-major, rows tightly packed.
///
/// Never changes once built: a layer whose look changes gets a new raster and a new revision.
#[derive(Clone)]
pub struct Raster {
    width: u32,
    height: u32,
    pixels: Pixels,
    /// Empty for an opaque raster, whose rows are one opaque span each.
    spans: Vec<Span>,
    /// Where each row's spans start in `spans`, and one more at the end. Empty for an opaque raster.
    row_starts: Vec<u32>,
    opaque: bool,
    content: IRect,
    opaque_rect: IRect,
    levels: Vec<Level>,
}

impl std::fmt::Debug for Raster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raster")
            .field("width", &self.width)
            .field("height", &self.height)
            .field("opaque", &self.opaque)
            .finish_non_exhaustive()
    }
}

impl Raster {
    /// Takes `width * height` pixels of four bytes: red, green, blue, alpha, the colours premultiplied by alpha.
    ///
    /// A colour above its alpha is lowered to it, so that blending cannot overflow.
    ///
    /// # Errors
    /// [`RasterError::Size`] for a side of 0 or above [`SIDE_MAX`], [`RasterError::Length`] when the data has another size.
    pub fn from_rgba8_premultiplied(
        width: u32,
        height: u32,
        data: Vec<u8>,
    ) -> Result<Self, RasterError> {
        check_size(width, height, data.len())?;
        let mut raster = Self::bare(width, height, Pixels::from_bytes(data));
        raster.read_through();
        raster.spans.shrink_to_fit();
        Ok(raster)
    }

    /// Takes pixels whose alpha is 255 throughout, such as a decoded video frame, without reading them through.
    ///
    /// An alpha below 255 does no harm beyond wrong pixels: it is treated as 255.
    ///
    /// # Errors
    /// As [`Raster::from_rgba8_premultiplied`].
    pub fn from_rgba8_opaque(width: u32, height: u32, data: Vec<u8>) -> Result<Self, RasterError> {
        check_size(width, height, data.len())?;
        Ok(Self::bare(width, height, Pixels::from_bytes(data)))
    }

    /// Takes pixels as words whose bytes in memory are red, green, blue, alpha, premultiplied, without copying them.
    ///
    /// # Errors
    /// As [`Raster::from_rgba8_premultiplied`].
    pub fn from_words_premultiplied(
        width: u32,
        height: u32,
        words: Vec<u32>,
    ) -> Result<Self, RasterError> {
        check_size(width, height, words.len() * 4)?;
        let mut raster = Self::bare(width, height, Pixels::Words(words));
        raster.read_through();
        raster.spans.shrink_to_fit();
        Ok(raster)
    }

    /// Gives the pixels back, so that their buffer can be used again. Copies them when they came as bytes.
    pub fn into_words(self) -> Vec<u32> {
        match self.pixels {
            Pixels::Words(words) => words,
            Pixels::Bytes(bytes) => bytemuck::cast_slice(&bytes).to_vec(),
        }
    }

    /// Shows other pixels from now on, and gives its own buffer in exchange: for a picture that changes on every frame.
    ///
    /// # Errors
    /// As [`Raster::from_words_premultiplied`]; nothing is exchanged then.
    pub(crate) fn exchange_words(
        &mut self,
        width: u32,
        height: u32,
        words: &mut Vec<u32>,
    ) -> Result<(), RasterError> {
        check_size(width, height, words.len() * 4)?;
        let taken = Pixels::Words(std::mem::take(words));
        *words = match std::mem::replace(&mut self.pixels, taken) {
            Pixels::Words(words) => words,
            Pixels::Bytes(_) => Vec::new(),
        };
        let whole = IRect::new(0, 0, width as i32, height as i32);
        (self.width, self.height) = (width, height);
        (self.opaque, self.content, self.opaque_rect) = (true, whole, whole);
        self.spans.clear();
        self.row_starts.clear();
        self.levels.clear();
        self.read_through();
        Ok(())
    }

    /// Takes a tiny-skia picture, without copying it.
    pub fn from_pixmap(pixmap: tiny_skia::Pixmap) -> Self {
        let (width, height) = (pixmap.width(), pixmap.height());
        let mut raster = Self::bare(width, height, Pixels::from_bytes(pixmap.take()));
        raster.read_through();
        raster.spans.shrink_to_fit();
        raster
    }

    /// An opaque raster until [`Raster::read_through`] finds otherwise.
    fn bare(width: u32, height: u32, pixels: Pixels) -> Self {
        let whole = IRect::new(0, 0, width as i32, height as i32);
        Self {
            width,
            height,
            pixels,
            spans: Vec::new(),
            row_starts: Vec::new(),
            opaque: true,
            content: whole,
            opaque_rect: whole,
            levels: Vec::new(),
        }
    }

    /// Adds box-filtered pictures of half the size, and half again down to one pixel, which make shrunken drawing smooth.
    #[must_use]
    pub fn with_mips(mut self) -> Self {
        self.levels.clear();
        let (mut width, mut height) = (self.width as usize, self.height as usize);
        while width > 1 || height > 1 {
            let previous = self
                .levels
                .last()
                .map_or(self.pixels.words(), |level| &level.pixels);
            let level = halve(width, height, previous);
            (width, height) = (level.width, level.height);
            self.levels.push(level);
        }
        self
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes: red, green, blue, alpha of each pixel, row by row.
    pub fn data(&self) -> &[u8] {
        bytemuck::cast_slice(self.pixels.words())
    }

    /// Whether every alpha is 255.
    pub fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// Whether [`Raster::with_mips`] was called.
    pub fn has_mips(&self) -> bool {
        !self.levels.is_empty()
    }

    /// The smallest rectangle that holds every pixel that is not fully transparent.
    pub fn content(&self) -> IRect {
        self.content
    }

    /// A rectangle in which every alpha is 255; not always the largest one.
    pub fn opaque_rect(&self) -> IRect {
        self.opaque_rect
    }

    /// Bytes of heap held.
    pub fn byte_len(&self) -> usize {
        let mips: usize = self.levels.iter().map(|level| level.pixels.len() * 4).sum();
        self.pixels.words().len() * 4
            + mips
            + self.spans.len() * size_of::<Span>()
            + self.row_starts.len() * 4
    }

    /// All pixels as words whose bytes in memory are red, green, blue, alpha.
    pub(crate) fn words(&self) -> &[u32] {
        self.pixels.words()
    }

    /// One row of pixels.
    pub(crate) fn row(&self, y: usize) -> &[u32] {
        let width = self.width as usize;
        &self.pixels.words()[y * width..][..width]
    }

    /// The runs of row `y` that are not empty, left to right. `None` for an opaque raster: the row is one opaque span.
    pub(crate) fn row_spans(&self, y: usize) -> Option<&[Span]> {
        if self.opaque {
            return None;
        }
        Some(&self.spans[self.row_starts[y] as usize..self.row_starts[y + 1] as usize])
    }

    /// The picture `index` halvings down, or the smallest there is. 0 is the raster itself.
    pub(crate) fn level(&self, index: u32) -> (u32, usize, usize, &[u32]) {
        let index = (index as usize).min(self.levels.len());
        match index.checked_sub(1).and_then(|i| self.levels.get(i)) {
            Some(level) => (index as u32, level.width, level.height, &level.pixels),
            None => (0, self.width as usize, self.height as usize, self.words()),
        }
    }

    /// Finds spans and bounds, and lowers colours that exceed their alpha.
    fn read_through(&mut self) {
        let width = self.width as usize;
        let words = self.pixels.words_mut();
        if words.iter().fold(u32::MAX, |all, &pixel| all & pixel) >> 24 == 255 {
            return;
        }
        self.opaque = false;
        self.row_starts.reserve(self.height as usize + 1);
        clamp_all_to_alpha(words);
        for row in words.chunks_exact(width) {
            self.row_starts.push(self.spans.len() as u32);
            push_spans(row, &mut self.spans);
        }
        self.row_starts.push(self.spans.len() as u32);
        self.content = self.find_content();
        self.opaque_rect = self.find_opaque_rect();
    }

    fn find_content(&self) -> IRect {
        let mut content = IRect::new(i32::MAX, i32::MAX, 0, 0);
        for y in 0..self.height as usize {
            let spans = self.row_spans(y).unwrap_or(&[]);
            if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
                content.x0 = content.x0.min(first.start as i32);
                content.x1 = content.x1.max(last.end as i32);
                content.y0 = content.y0.min(y as i32);
                content.y1 = y as i32 + 1;
            }
        }
        if content.is_empty() {
            IRect::EMPTY
        } else {
            content
        }
    }

    /// Grows a rectangle up and down from the widest opaque span of the middle row, giving up a tenth of its width at most.
    fn find_opaque_rect(&self) -> IRect {
        let middle = self.height as usize / 2;
        let widest = |y: usize, within: (u32, u32)| {
            let spans = self
                .row_spans(y)
                .unwrap_or(&[])
                .iter()
                .filter(|span| span.opaque);
            let cut = spans.map(|span| (span.start.max(within.0), span.end.min(within.1)));
            cut.filter(|(start, end)| start < end)
                .max_by_key(|(start, end)| end - start)
        };
        let Some(first) = widest(middle, (0, self.width)) else {
            return IRect::EMPTY;
        };
        let width_min = (first.1 - first.0) / 10 * 9;
        let mut columns = first;
        let mut grow = |rows: &mut dyn Iterator<Item = usize>| {
            let mut last = middle;
            for y in rows {
                match widest(y, columns) {
                    Some(cut) if cut.1 - cut.0 >= width_min => columns = cut,
                    _ => break,
                }
                last = y;
            }
            last
        };
        let bottom = grow(&mut (middle + 1..self.height as usize));
        let top = grow(&mut (0..middle).rev());
        IRect::new(
            columns.0 as i32,
            top as i32,
            columns.1 as i32,
            bottom as i32 + 1,
        )
    }
}

fn check_size(width: u32, height: u32, len: usize) -> Result<(), RasterError> {
    if width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX {
        return Err(RasterError::Size { width, height });
    }
    let expected = width as usize * height as usize * 4;
    if len == expected {
        Ok(())
    } else {
        Err(RasterError::Length {
            expected,
            actual: len,
        })
    }
}

#[inline(always)]
fn clamp_to_alpha(pixel: u32) -> u32 {
    // In words, which is vectorized where bytes are not.
    let alpha = pixel >> 24;
    let colour = |shift: u32| (pixel >> shift & 0xff).min(alpha) << shift;
    colour(0) | colour(8) | colour(16) | alpha << 24
}

/// Lowers colours that exceed their alpha.
pub(crate) fn clamp_all_to_alpha(words: &mut [u32]) {
    #[inline(always)]
    fn clamp(words: &mut [u32]) {
        for pixel in words {
            *pixel = clamp_to_alpha(*pixel);
        }
    }
    dispatch!(fearless_simd::Level::new(), _simd => clamp(words));
}

/// Appends the spans of one row. Short opaque or empty runs are joined to the mixed span around them.
fn push_spans(row: &[u32], spans: &mut Vec<Span>) {
    let Some(first) = row.iter().position(|pixel| pixel >> 24 != 0) else {
        return;
    };
    let end = row
        .iter()
        .rposition(|pixel| pixel >> 24 != 0)
        .map_or(0, |last| last + 1);
    let mut mixed_from = first;
    let mut x = first;
    while x < end {
        let kind = class(row[x]);
        let start = x;
        x = run_end(&row[..end], x, kind);
        // A run that fills the row's content stands alone whatever its length.
        let stands_alone = kind != 1 && (x - start >= RUN_MIN || (start == first && x == end));
        if stands_alone {
            if mixed_from < start {
                spans.push(Span {
                    start: mixed_from as u32,
                    end: start as u32,
                    opaque: false,
                });
            }
            if kind == 2 {
                spans.push(Span {
                    start: start as u32,
                    end: x as u32,
                    opaque: true,
                });
            }
            mixed_from = x;
        }
    }
    if mixed_from < end {
        spans.push(Span {
            start: mixed_from as u32,
            end: end as u32,
            opaque: false,
        });
    }
}

/// Empty, mixed or opaque.
fn class(pixel: u32) -> u8 {
    match pixel >> 24 {
        0 => 0,
        255 => 2,
        _ => 1,
    }
}

/// Where the run of pixels of a class ends that `start` stands in. Looked for many pixels at a time, which the compiler makes vectors
/// of, and pixel by pixel only where it ends.
fn run_end(row: &[u32], start: usize, kind: u8) -> usize {
    const MANY: usize = 16;
    let is_all = |pixels: &[u32; MANY]| match kind {
        0 => pixels.iter().fold(0, |any, pixel| any | pixel) >> 24 == 0,
        2 => pixels.iter().fold(u32::MAX, |all, pixel| all & pixel) >> 24 == 255,
        _ => pixels.iter().fold(true, |all, pixel| {
            all & ((pixel >> 24).wrapping_sub(1) < 254)
        }),
    };
    let mut x = start;
    for pixels in row[start..].as_chunks::<MANY>().0 {
        if !is_all(pixels) {
            break;
        }
        x += MANY;
    }
    while x < row.len() && class(row[x]) == kind {
        x += 1;
    }
    x
}

/// Half the size, rounded up; an odd last row or column counts twice in its mean.
fn halve(width: usize, height: usize, pixels: &[u32]) -> Level {
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut halved = Vec::with_capacity(half_width * half_height);
    for y in 0..half_height {
        let upper = &pixels[2 * y * width..][..width];
        let lower = &pixels[(2 * y + 1).min(height - 1) * width..][..width];
        for x in 0..half_width {
            let (left, right) = (2 * x, (2 * x + 1).min(width - 1));
            let four = [upper[left], upper[right], lower[left], lower[right]];
            let rb: u32 = four.iter().map(|pixel| pixel & 0x00ff_00ff).sum::<u32>() + 0x0002_0002;
            let ga: u32 = four
                .iter()
                .map(|pixel| (pixel >> 8) & 0x00ff_00ff)
                .sum::<u32>()
                + 0x0002_0002;
            halved.push(((rb >> 2) & 0x00ff_00ff) | (((ga >> 2) & 0x00ff_00ff) << 8));
        }
    }
    Level {
        width: half_width,
        height: half_height,
        pixels: halved,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn raster(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 4]) -> Raster {
        let data = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| pixel(x, y))
            .collect();
        Raster::from_rgba8_premultiplied(width, height, data).unwrap()
    }

    #[test]
    fn wrong_sizes_are_refused() {
        assert_eq!(
            Raster::from_rgba8_premultiplied(0, 4, vec![]).unwrap_err(),
            RasterError::Size {
                width: 0,
                height: 4
            }
        );
        assert_eq!(
            Raster::from_rgba8_premultiplied(2, 2, vec![0; 15]).unwrap_err(),
            RasterError::Length {
                expected: 16,
                actual: 15
            }
        );
    }

    #[test]
    fn spans_tell_empty_from_opaque() {
        // 40 empty, 10 mixed, 50 opaque, 5 mixed, 45 empty; the top row wholly empty.
        let raster = raster(150, 5, |x, y| match x {
            _ if y == 0 => [0; 4],
            40..50 | 100..105 => [9, 9, 9, 99],
            50..100 => [255; 4],
            _ => [0; 4],
        });
        assert!(!raster.is_opaque());
        assert_eq!(raster.row_spans(0).unwrap(), &[]);
        let expected = [(40, 50, false), (50, 100, true), (100, 105, false)]
            .map(|(start, end, opaque)| Span { start, end, opaque });
        assert_eq!(raster.row_spans(3).unwrap(), &expected);
        assert_eq!(raster.content(), IRect::new(40, 1, 105, 5));
        assert_eq!(raster.opaque_rect(), IRect::new(50, 1, 100, 5));
    }

    #[test]
    fn colours_above_alpha_are_lowered() {
        let raster = raster(2, 1, |x, _| {
            if x == 0 {
                [200, 3, 50, 40]
            } else {
                [1, 2, 3, 255]
            }
        });
        assert_eq!(raster.data(), &[40, 3, 40, 40, 1, 2, 3, 255]);
    }

    proptest::proptest! {
        #[test]
        fn spans_hold_every_pixel_that_is_seen_and_call_none_opaque_that_is_not(
            runs in proptest::collection::vec((0u8..3, 1usize..90), 1..12),
        ) {
            let alphas = runs.iter().flat_map(|&(kind, length)| std::iter::repeat_n([0, 99, 255][kind as usize], length));
            let row: Vec<u32> = alphas.map(|alpha: u32| alpha << 24).collect();
            let mut spans = Vec::new();
            push_spans(&row, &mut spans);
            let mut end = 0;
            for span in &spans {
                let (from, to) = (span.start as usize, span.end as usize);
                proptest::prop_assert!(end <= from && from < to);
                proptest::prop_assert!(row[end..from].iter().all(|pixel| pixel >> 24 == 0));
                proptest::prop_assert!(!span.opaque || row[from..to].iter().all(|pixel| pixel >> 24 == 255));
                end = to;
            }
            proptest::prop_assert!(row[end..].iter().all(|pixel| pixel >> 24 == 0));
        }
    }

    #[test]
    fn an_empty_raster_has_no_content() {
        let raster = raster(70, 3, |_, _| [0; 4]);
        assert!(raster.content().is_empty() && raster.opaque_rect().is_empty());
    }

    #[test]
    fn mips_are_means_down_to_one_pixel() {
        let raster = raster(5, 2, |x, y| [(x * 10 + y * 2) as u8, 0, 0, 255]).with_mips();
        assert_eq!(raster.level(1).1, 3);
        assert_eq!(raster.level(1).3[0] & 255, 6);
        let (index, width, height, _) = raster.level(99);
        assert_eq!((index, width, height), (3, 1, 1));
        assert!(raster.byte_len() >= 5 * 2 * 4 + 3 * 4);
    }
}
