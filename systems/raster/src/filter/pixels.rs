//! What filters work on: an owned picture, and an owned plane of alpha alone.

use super::within;
use crate::raster::{Raster, RasterError, SIDE_MAX};

/// Empty pixels round a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margin {
    /// Pixels to the left.
    pub left: u32,
    /// Pixels above.
    pub top: u32,
    /// Pixels to the right.
    pub right: u32,
    /// Pixels below.
    pub bottom: u32,
}

impl Margin {
    /// As much on every side.
    pub fn all(pixels: u32) -> Self {
        Self::new(pixels, pixels)
    }

    /// `x` pixels left and right, `y` above and below.
    pub fn new(x: u32, y: u32) -> Self {
        Self {
            left: x,
            top: y,
            right: x,
            bottom: y,
        }
    }

    /// What holds a shape that grows by `x` and `y` pixels and is then moved by `offset`, beside the shape itself.
    pub(super) fn moved(x: f32, y: f32, offset: [f32; 2]) -> Self {
        let pixels = |value: f32| within(value.ceil(), 0.0, SIDE_MAX as f32, 0.0) as u32;
        Self {
            left: pixels(x - offset[0]),
            top: pixels(y - offset[1]),
            right: pixels(x + offset[0]),
            bottom: pixels(y + offset[1]),
        }
    }

    /// The larger of the two on each side: room for two filters that both start from the same picture.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// The sum on each side: room for a filter and one that follows on its result.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            left: self.left.saturating_add(other.left),
            top: self.top.saturating_add(other.top),
            right: self.right.saturating_add(other.right),
            bottom: self.bottom.saturating_add(other.bottom),
        }
    }
}

/// A picture that filters change: premultiplied RGBA8 on sRGB values, rows tightly packed. May have no pixels at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pixels {
    width: usize,
    height: usize,
    words: Vec<u32>,
}

impl Pixels {
    /// A transparent picture. Sides above [`SIDE_MAX`] are cut to it.
    pub fn new(width: u32, height: u32) -> Self {
        let mut pixels = Self::default();
        pixels.reset(width, height);
        pixels
    }

    /// The pixels of `raster` with `margin` round them.
    ///
    /// # Errors
    /// [`RasterError::Size`] when a side would be above [`SIDE_MAX`].
    pub fn from_raster(raster: &Raster, margin: Margin) -> Result<Self, RasterError> {
        let mut pixels = Self::default();
        pixels.fill_from(raster, margin)?;
        Ok(pixels)
    }

    /// The buffer of a raster that is no longer needed, to be filled again.
    pub fn recycle(raster: Raster) -> Self {
        let (width, height) = (raster.width() as usize, raster.height() as usize);
        Self {
            width,
            height,
            words: raster.into_words(),
        }
    }

    /// As [`Pixels::from_raster`], in the buffer that is there.
    ///
    /// # Errors
    /// As [`Pixels::from_raster`]; the pixels are then what they were.
    pub fn fill_from(&mut self, raster: &Raster, margin: Margin) -> Result<(), RasterError> {
        let sum = |a: u32, b: u32, c: u32| a.saturating_add(b).saturating_add(c);
        let width = sum(raster.width(), margin.left, margin.right);
        let height = sum(raster.height(), margin.top, margin.bottom);
        if width > SIDE_MAX || height > SIDE_MAX {
            return Err(RasterError::Size { width, height });
        }
        (self.width, self.height) = (width as usize, height as usize);
        self.words.clear();
        self.words.reserve_exact(self.width * self.height);
        // Appended piece by piece, so that no pixel is written twice.
        self.words.resize(margin.top as usize * self.width, 0);
        for row in raster.words().chunks_exact(raster.width() as usize) {
            self.words
                .resize(self.words.len() + margin.left as usize, 0);
            self.words.extend_from_slice(row);
            self.words
                .resize(self.words.len() + margin.right as usize, 0);
        }
        self.words.resize(self.width * self.height, 0);
        Ok(())
    }

    /// Makes the picture transparent and of another size, in the buffer that is there. Sides are cut to [`SIDE_MAX`].
    pub fn reset(&mut self, width: u32, height: u32) {
        self.width = width.min(SIDE_MAX) as usize;
        self.height = height.min(SIDE_MAX) as usize;
        self.words.clear();
        self.words.resize(self.width * self.height, 0);
    }

    /// Gives the picture another size, in the buffer that is there; the pixels then mean nothing. Sides are cut to [`SIDE_MAX`].
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        self.width = width.min(SIDE_MAX) as usize;
        self.height = height.min(SIDE_MAX) as usize;
        self.words.resize(self.width * self.height, 0);
    }

    /// The picture as something that can be drawn, without copying it.
    ///
    /// # Errors
    /// [`RasterError::Size`] when there are no pixels.
    pub fn into_raster(self) -> Result<Raster, RasterError> {
        Raster::from_words_premultiplied(self.width as u32, self.height as u32, self.words)
    }

    /// Puts the picture into a raster that nobody draws any more, and takes that one's buffer, whose pixels mean nothing.
    ///
    /// # Errors
    /// As [`Pixels::into_raster`]; nothing is exchanged then.
    pub fn exchange(&mut self, raster: &mut Raster) -> Result<(), RasterError> {
        raster.exchange_words(self.width as u32, self.height as u32, &mut self.words)?;
        (self.width, self.height) = (0, 0);
        self.words.clear();
        Ok(())
    }

    /// Copies a raster over what is there, its top left at `x` and `y`; what reaches over the picture is left out.
    pub fn place(&mut self, raster: &Raster, x: i32, y: i32) {
        let (x, y) = (i64::from(x), i64::from(y));
        let start = (-x).clamp(0, i64::from(raster.width())) as usize;
        let end = (self.width as i64 - x).clamp(0, i64::from(raster.width())) as usize;
        let rows = raster.words().chunks_exact(raster.width() as usize);
        for (source_y, source) in (0_i64..).zip(rows) {
            let target = usize::try_from(source_y + y).ok();
            let Some(target) = target.filter(|target| *target < self.height && start < end) else {
                continue;
            };
            let from = target * self.width + (x + start as i64) as usize;
            self.words[from..from + end - start].copy_from_slice(&source[start..end]);
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, row by row, as words whose bytes in memory are red, green, blue, alpha.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// As [`Pixels::words`], to be written. A colour above its alpha gives wrong pixels, nothing worse.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words
    }

    /// The rows from the top, each with its number. None when there are no pixels.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = (usize, &mut [u32])> {
        self.words.chunks_exact_mut(self.width.max(1)).enumerate()
    }
}

/// One channel in steps of 1/256 of a byte: 65280 is opaque. Finer than a byte, so that a glow can be strengthened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alpha {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<u16>,
}

impl Alpha {
    /// The value of an opaque pixel.
    pub const OPAQUE: u16 = 255 << 8;

    /// Takes the alpha of `pixels`, in the buffer that is there.
    pub fn fill_from(&mut self, pixels: &Pixels) {
        (self.width, self.height) = (pixels.width, pixels.height);
        self.values.clear();
        self.values
            .extend(pixels.words.iter().map(|pixel| (pixel >> 24 << 8) as u16));
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, row by row.
    pub fn values(&self) -> &[u16] {
        &self.values
    }

    /// As [`Alpha::values`], to be written; at most [`Alpha::OPAQUE`].
    pub fn values_mut(&mut self) -> &mut [u16] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::filter::testing::draw;

    #[test]
    fn a_raster_comes_and_goes_with_its_margin() {
        let raster = draw(3, 2, |x, y| [x as u8, y as u8, 0, 255])
            .into_raster()
            .unwrap();
        let margin = Margin {
            left: 1,
            top: 2,
            right: 3,
            bottom: 4,
        };
        let pixels = Pixels::from_raster(&raster, margin).unwrap();
        let expected = draw(7, 8, |x, y| {
            if (1..4).contains(&x) && (2..4).contains(&y) {
                [x as u8 - 1, y as u8 - 2, 0, 255]
            } else {
                [0; 4]
            }
        });
        assert_eq!(pixels, expected);
    }

    #[test]
    fn buffers_are_used_again() {
        let pixels = Pixels::new(30, 20);
        let place = pixels.words().as_ptr();
        let mut again = Pixels::recycle(pixels.into_raster().unwrap());
        let small = draw(3, 2, |_, _| [255; 4]).into_raster().unwrap();
        again.fill_from(&small, Margin::all(2)).unwrap();
        assert_eq!((again.words().as_ptr(), again.width()), (place, 7));
    }

    #[test]
    fn a_raster_gives_its_buffer_for_another_picture() {
        let mut raster = draw(9, 7, |_, _| [255; 4]).into_raster().unwrap();
        let picture = draw(3, 2, |x, _| [0, 0, 0, 40 * x as u8]);
        let mut pixels = picture.clone();
        pixels.exchange(&mut raster).unwrap();
        assert_eq!((pixels.width(), pixels.words().len()), (0, 0));
        let fresh = picture.clone().into_raster().unwrap();
        assert_eq!(raster.data(), fresh.data());
        assert_eq!(raster.content(), fresh.content());
        assert_eq!((raster.width(), raster.is_opaque()), (3, false));
        assert!(Pixels::default().exchange(&mut raster).is_err());
        assert_eq!(raster.data(), fresh.data());
    }

    #[test]
    fn what_reaches_over_the_picture_is_left_out() {
        let raster = draw(3, 2, |x, y| [x as u8, y as u8, 9, 255])
            .into_raster()
            .unwrap();
        for (x, y) in [
            (1, 1),
            (-2, -1),
            (3, 0),
            (0, 3),
            (-3, 0),
            (i32::MIN, i32::MAX),
        ] {
            let mut pixels = Pixels::new(4, 4);
            pixels.place(&raster, x, y);
            let expected = draw(4, 4, |column, row| {
                let (column, row) = (column as i64 - i64::from(x), row as i64 - i64::from(y));
                if (0..3).contains(&column) && (0..2).contains(&row) {
                    [column as u8, row as u8, 9, 255]
                } else {
                    [0; 4]
                }
            });
            assert_eq!(pixels, expected, "{x} {y}");
        }
    }

    #[test]
    fn no_picture_is_too_large_or_has_no_pixels() {
        let raster = draw(3, 2, |_, _| [255; 4]).into_raster().unwrap();
        let error = Pixels::from_raster(&raster, Margin::all(u32::MAX)).unwrap_err();
        assert!(matches!(error, RasterError::Size { .. }));
        assert!(Pixels::new(0, 5).into_raster().is_err());
    }
}
