//! The finished frame, in the planes an encoder reads.
//!
//! Bands of rows of one frame are written by several workers at once, so this module hands out disjoint parts of the planes
//! through raw pointers. That is its only unsafe code.

use std::marker::PhantomData;

use crate::raster::{RasterError, SIDE_MAX};

/// Planes and strides are aligned to this many bytes: a cache line, and the widest vector of any encoder.
pub const ALIGNMENT: usize = 64;

/// A block of [`ALIGNMENT`] bytes.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; ALIGNMENT]);

// SAFETY: an array of bytes, as large as its alignment, so without padding; all zeroes are valid.
unsafe impl bytemuck::Zeroable for Line {}
// SAFETY: as above, every bit pattern is valid, and the type is `Copy` and `'static`.
unsafe impl bytemuck::Pod for Line {}

/// Whose content a frame holds, and as of which change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Identity of the compositor; 0 is nobody.
    pub owner: u64,
    /// The compositor's count of changes.
    pub serial: u64,
}

/// A picture as BT.709 limited-range 4:2:0 planes in one allocation. Both sides are even.
///
/// Rows start on 64-byte boundaries; `stride` bytes lie between the starts of neighbouring rows.
pub struct I420Frame {
    width: u32,
    height: u32,
    luma_stride: usize,
    chroma_stride: usize,
    lines: Vec<Line>,
    content: Content,
}

impl std::fmt::Debug for I420Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("I420Frame")
            .field("width", &self.width)
            .field("height", &self.height)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

impl I420Frame {
    /// A black frame.
    ///
    /// # Errors
    /// [`RasterError::Size`] for a side of 0 or above [`SIDE_MAX`], [`RasterError::OddSize`] for an odd one.
    pub fn new(width: u32, height: u32) -> Result<Self, RasterError> {
        if width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX {
            return Err(RasterError::Size { width, height });
        }
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return Err(RasterError::OddSize { width, height });
        }
        let luma_stride = (width as usize).next_multiple_of(ALIGNMENT);
        let chroma_stride = (width as usize / 2).next_multiple_of(ALIGNMENT);
        let bytes = luma_stride * height as usize + chroma_stride * height as usize;
        let mut frame = Self {
            width,
            height,
            luma_stride,
            chroma_stride,
            lines: vec![Line([128; ALIGNMENT]); bytes / ALIGNMENT],
            content: Content::default(),
        };
        let luma = luma_stride * height as usize;
        frame.bytes_mut()[..luma].fill(16);
        Ok(frame)
    }

    /// Width in pixels, even.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, even.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The luma plane, `height` rows of [`I420Frame::luma_stride`] bytes.
    pub fn y(&self) -> &[u8] {
        &self.bytes()[..self.luma_len()]
    }

    /// The blue-difference plane, half as many rows of [`I420Frame::chroma_stride`] bytes.
    pub fn u(&self) -> &[u8] {
        &self.bytes()[self.luma_len()..][..self.chroma_len()]
    }

    /// The red-difference plane, laid out as [`I420Frame::u`].
    pub fn v(&self) -> &[u8] {
        &self.bytes()[self.luma_len() + self.chroma_len()..]
    }

    /// Bytes from one luma row to the next.
    pub fn luma_stride(&self) -> usize {
        self.luma_stride
    }

    /// Bytes from one chroma row to the next, in both chroma planes.
    pub fn chroma_stride(&self) -> usize {
        self.chroma_stride
    }

    /// Addresses of the three planes, for an encoder that reads them in place. Valid while the frame is held.
    pub fn as_ptr(&self) -> [*const u8; 3] {
        [self.y().as_ptr(), self.u().as_ptr(), self.v().as_ptr()]
    }

    /// Bytes of heap held.
    pub fn byte_len(&self) -> usize {
        self.lines.len() * ALIGNMENT
    }

    /// Changes with every change of the picture: two frames of one compositor with equal serials look the same.
    pub fn content_serial(&self) -> u64 {
        self.content.serial
    }

    pub(crate) fn content(&self) -> Content {
        self.content
    }

    pub(crate) fn set_content(&mut self, content: Content) {
        self.content = content;
    }

    fn luma_len(&self) -> usize {
        self.luma_stride * self.height as usize
    }

    fn chroma_len(&self) -> usize {
        self.chroma_stride * (self.height as usize / 2)
    }

    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// The three planes, to be written: luma, blue difference, red difference. The frame's content is nobody's from here on.
    pub(crate) fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        self.content = Content::default();
        let (luma, chroma) = (self.luma_len(), self.chroma_len());
        let (y, rest) = self.bytes_mut().split_at_mut(luma);
        let (u, v) = rest.split_at_mut(chroma);
        [y, u, v]
    }

    /// Splits the frame into bands of `band_height` rows (even) that may be written at the same time.
    pub(crate) fn bands(&mut self, band_height: usize) -> Bands<'_> {
        debug_assert!(band_height.is_multiple_of(2));
        Bands {
            luma_len: self.luma_len(),
            chroma_len: self.chroma_len(),
            luma_stride: self.luma_stride,
            chroma_stride: self.chroma_stride,
            height: self.height as usize,
            band_height,
            base: self.bytes_mut().as_mut_ptr(),
            frame: PhantomData,
        }
    }
}

/// A frame being written, band by band.
pub(crate) struct Bands<'a> {
    base: *mut u8,
    luma_len: usize,
    chroma_len: usize,
    luma_stride: usize,
    chroma_stride: usize,
    height: usize,
    band_height: usize,
    frame: PhantomData<&'a mut I420Frame>,
}

// SAFETY: `base` stands for an exclusive borrow of plain bytes; parts of it are only handed out by the unsafe `band`, whose
// caller promises that no two threads hold the same part.
unsafe impl Sync for Bands<'_> {}

/// The rows of one band, from all three planes. Rows are counted from the top of the band.
pub(crate) struct Band<'a> {
    pub y: &'a mut [u8],
    pub u: &'a mut [u8],
    pub v: &'a mut [u8],
    pub luma_stride: usize,
    pub chroma_stride: usize,
}

impl Bands<'_> {
    /// Band `index` of the frame.
    ///
    /// # Safety
    /// No two [`Band`]s of the same index may live at the same time.
    #[allow(
        clippy::mut_from_ref,
        reason = "the bands are disjoint; that none is taken twice is the caller's promise"
    )]
    pub unsafe fn band(&self, index: usize) -> Band<'_> {
        let top = index * self.band_height;
        assert!(top < self.height, "band {index} is beyond the frame");
        let rows = self.band_height.min(self.height - top);
        let part = |offset: usize, len: usize| {
            // SAFETY: `offset + len` is within the allocation `base` points to, since the rows are within the frame; bands of
            // different index do not overlap, and the caller holds no other band of this one.
            unsafe { std::slice::from_raw_parts_mut(self.base.add(offset), len) }
        };
        let chroma = (top / 2 * self.chroma_stride, rows / 2 * self.chroma_stride);
        Band {
            y: part(top * self.luma_stride, rows * self.luma_stride),
            u: part(self.luma_len + chroma.0, chroma.1),
            v: part(self.luma_len + self.chroma_len + chroma.0, chroma.1),
            luma_stride: self.luma_stride,
            chroma_stride: self.chroma_stride,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn planes_are_aligned_and_black_at_first() {
        let frame = I420Frame::new(130, 6).unwrap();
        assert_eq!((frame.luma_stride(), frame.chroma_stride()), (192, 128));
        assert_eq!(
            (frame.y().len(), frame.u().len(), frame.v().len()),
            (192 * 6, 128 * 3, 128 * 3)
        );
        assert!(
            frame
                .as_ptr()
                .iter()
                .all(|plane| plane.addr().is_multiple_of(64))
        );
        assert!(
            frame.y().iter().all(|&y| y == 16)
                && frame.u().iter().chain(frame.v()).all(|&c| c == 128)
        );
    }

    #[test]
    fn odd_sizes_are_refused() {
        assert_eq!(
            I420Frame::new(3, 2).unwrap_err(),
            RasterError::OddSize {
                width: 3,
                height: 2
            }
        );
        assert_eq!(
            I420Frame::new(2, 0).unwrap_err(),
            RasterError::Size {
                width: 2,
                height: 0
            }
        );
    }

    #[test]
    fn bands_tile_the_planes() {
        let mut frame = I420Frame::new(64, 10).unwrap();
        let bands = frame.bands(4);
        for index in 0..3 {
            // SAFETY: one band at a time.
            let band = unsafe { bands.band(index) };
            band.y.fill(index as u8);
            band.u.fill(index as u8 + 10);
            band.v.fill(index as u8 + 20);
        }
        assert_eq!(
            (frame.y()[0], frame.y()[4 * 64], frame.y()[10 * 64 - 1]),
            (0, 1, 2)
        );
        assert_eq!(
            (frame.u()[0], frame.u()[2 * 64], frame.u()[5 * 64 - 1]),
            (10, 11, 12)
        );
        assert_eq!(
            (frame.v()[0], frame.v()[2 * 64], frame.v()[5 * 64 - 1]),
            (20, 21, 22)
        );
    }
}
