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

/// Where samples of a picture go, one of each for a pixel.
pub(crate) struct SampledRows<'a> {
    pub luma: &'a mut [u8],
    pub u: &'a mut [u8],
    pub v: &'a mut [u8],
}

/// Half a luma pixel, in the middle of which a chroma sample lies, and what that is on the chroma's own grid.
const CHROMA_SHIFT: i64 = 1 << 30;

/// Fills rows with bilinear samples along a line: positions in luma pixels with 32 fractional bits, whole numbers in the middle of
/// pixels. Beyond its edge the picture repeats its outermost samples.
pub(crate) fn sample_planes(
    planes: &dyn Planes,
    rows: SampledRows<'_>,
    start: [i64; 2],
    step: [i64; 2],
) {
    let size = [planes.width() as usize, planes.height() as usize];
    let luma = Plane {
        samples: planes.y(),
        stride: planes.luma_stride(),
        size,
    };
    luma.sample(rows.luma, start, step);
    let on_chroma = |position: i64| (position >> 1) - CHROMA_SHIFT;
    let (start, step) = (start.map(on_chroma), step.map(|step| step >> 1));
    for (out, samples) in [(rows.u, planes.u()), (rows.v, planes.v())] {
        let chroma = Plane {
            samples,
            stride: planes.chroma_stride(),
            size: size.map(|side| side.div_ceil(2)),
        };
        chroma.sample(out, start, step);
    }
}

struct Plane<'a> {
    samples: &'a [u8],
    stride: usize,
    size: [usize; 2],
}

impl Plane<'_> {
    fn sample(&self, out: &mut [u8], start: [i64; 2], step: [i64; 2]) {
        let [mut u, mut v] = start;
        let [width, height] = self.size;
        let mut rows = self.rows_at(v, height);
        for out in out {
            if step[1] != 0 {
                rows = self.rows_at(v, height);
            }
            let (upper, lower, weight_y) = rows;
            let (x0, x1, weight_x) = neighbours(u, width);
            let mix =
                |row: &[u8]| u32::from(row[x0]) * (256 - weight_x) + u32::from(row[x1]) * weight_x;
            let sum = mix(upper) * (256 - weight_y) + mix(lower) * weight_y;
            *out = ((sum + (1 << 15)) >> 16) as u8;
            u = u.wrapping_add(step[0]);
            v = v.wrapping_add(step[1]);
        }
    }

    fn rows_at(&self, position: i64, height: usize) -> (&[u8], &[u8], u32) {
        let (y0, y1, weight) = neighbours(position, height);
        let row = |y: usize| &self.samples[y * self.stride..][..self.size[0]];
        (row(y0), row(y1), weight)
    }
}

/// The two samples beside a position, kept inside `0..len`, and the weight of the second in 256ths.
fn neighbours(position: i64, len: usize) -> (usize, usize, u32) {
    let last = len as i64 - 1;
    let index = position >> 32;
    (
        index.clamp(0, last) as usize,
        (index + 1).clamp(0, last) as usize,
        ((position >> 24) & 255) as u32,
    )
}
