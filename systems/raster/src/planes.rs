//! Pictures that come in planes: decoded video.

use crate::frame::I420Frame;

/// An opaque picture as 8-bit 4:2:0 planes, BT.709, limited range. Its bytes never change.
pub trait Planes: Send + Sync {
    /// Width in pixels.
    fn width(&self) -> u32;
    /// Height in pixels.
    fn height(&self) -> u32;
    /// The luma plane: `height` rows, [`luma_stride`](Self::luma_stride) bytes apart; the last may end with its pixels.
    fn y(&self) -> &[u8];
    /// The blue-difference plane: half as many rows, rounded up, [`chroma_stride`](Self::chroma_stride) bytes apart.
    fn u(&self) -> &[u8];
    /// The red-difference plane, laid out as that of blue.
    fn v(&self) -> &[u8];
    /// Bytes from one luma row to the next.
    fn luma_stride(&self) -> usize;
    /// Bytes from one chroma row to the next.
    fn chroma_stride(&self) -> usize;
}

impl Planes for I420Frame {
    fn width(&self) -> u32 {
        self.width()
    }
    fn height(&self) -> u32 {
        self.height()
    }
    fn y(&self) -> &[u8] {
        self.y()
    }
    fn u(&self) -> &[u8] {
        self.u()
    }
    fn v(&self) -> &[u8] {
        self.v()
    }
    fn luma_stride(&self) -> usize {
        self.luma_stride()
    }
    fn chroma_stride(&self) -> usize {
        self.chroma_stride()
    }
}
