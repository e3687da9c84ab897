//! Decoded pictures: what they are, and their planes where they lie.

use std::ffi::c_int;

use ffmpeg::ffi::{
    AV_PIX_FMT_FLAG_ALPHA, AV_PIX_FMT_FLAG_RGB, AVColorRange, AVColorSpace,
    AVColorTransferCharacteristic, AVPixelFormat, av_frame_ref, av_pix_fmt_desc_get,
};
use ffmpeg::format::Pixel;
use ffmpeg::{Error, frame};
use ffmpeg_next as ffmpeg;
use raster::Planes;

use super::codec::check;

/// How the colours of a picture became luma and chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
    Smpte240,
    Fcc,
}

/// What a decoded picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) format: AVPixelFormat,
    pub(crate) matrix: Matrix,
    pub(crate) is_full_range: bool,
    pub(crate) has_alpha: bool,
    /// 4:2:0 of 8 bits in planes, in the colours of this program: it can be shown as it lies.
    pub(crate) is_native: bool,
    /// Whether its brightness is told by the curves of HDR.
    pub(crate) is_hdr: bool,
    /// Width by height of a pixel; 0 by 0 where nothing is said.
    pub(crate) pixel_aspect: (u32, u32),
}

/// Looks at a decoded picture.
pub(crate) fn describe_picture(frame: &frame::Video) -> Result<Description, Error> {
    let (width, height) = (frame.width(), frame.height());
    let format: AVPixelFormat = frame.format().into();
    // SAFETY: the call takes any format, and gives null or a constant.
    let descriptor = unsafe { av_pix_fmt_desc_get(format).as_ref() }.ok_or(Error::InvalidData)?;
    let is = |flag: c_int| descriptor.flags & u64::from(flag.unsigned_abs()) != 0;
    // SAFETY: the frame is live and these are plain values.
    let (space, range, transfer, aspect) = unsafe {
        let raw = frame.as_ptr();
        (
            (*raw).colorspace,
            (*raw).color_range,
            (*raw).color_trc,
            (*raw).sample_aspect_ratio,
        )
    };
    let is_old_full_range = matches!(
        format,
        AVPixelFormat::AV_PIX_FMT_YUVJ420P
            | AVPixelFormat::AV_PIX_FMT_YUVJ422P
            | AVPixelFormat::AV_PIX_FMT_YUVJ444P
            | AVPixelFormat::AV_PIX_FMT_YUVJ440P
            | AVPixelFormat::AV_PIX_FMT_YUVJ411P
    );
    let is_full_range = is_old_full_range || range == AVColorRange::AVCOL_RANGE_JPEG;
    let matrix = matrix_of(space, width, height);
    let planes_are_whole = (0..3).all(|plane| {
        // SAFETY: as above.
        unsafe { (*frame.as_ptr()).linesize[plane] > 0 && !(*frame.as_ptr()).data[plane].is_null() }
    });
    Ok(Description {
        width,
        height,
        format,
        matrix,
        is_full_range,
        has_alpha: is(AV_PIX_FMT_FLAG_ALPHA),
        is_native: format == AVPixelFormat::AV_PIX_FMT_YUV420P
            && !is_full_range
            && matrix == Matrix::Bt709
            && !is(AV_PIX_FMT_FLAG_RGB)
            && planes_are_whole,
        is_hdr: matches!(
            transfer,
            AVColorTransferCharacteristic::AVCOL_TRC_SMPTE2084
                | AVColorTransferCharacteristic::AVCOL_TRC_ARIB_STD_B67
        ),
        pixel_aspect: (
            u32::try_from(aspect.num).unwrap_or(0),
            u32::try_from(aspect.den).unwrap_or(0),
        ),
    })
}

/// The matrix that is told, or, where nothing is, the one that is usual for the size (as FFmpeg's players and GStreamer guess).
fn matrix_of(space: AVColorSpace, width: u32, height: u32) -> Matrix {
    match space {
        AVColorSpace::AVCOL_SPC_BT709 => Matrix::Bt709,
        AVColorSpace::AVCOL_SPC_BT470BG | AVColorSpace::AVCOL_SPC_SMPTE170M => Matrix::Bt601,
        AVColorSpace::AVCOL_SPC_FCC => Matrix::Fcc,
        AVColorSpace::AVCOL_SPC_SMPTE240M => Matrix::Smpte240,
        AVColorSpace::AVCOL_SPC_BT2020_NCL | AVColorSpace::AVCOL_SPC_BT2020_CL => Matrix::Bt2020,
        _ if width >= 1280 || height > 576 => Matrix::Bt709,
        _ => Matrix::Bt601,
    }
}

/// Makes `to`, which is blank, a further reference to the pixels of `from`.
pub(crate) fn reference_frame(to: &mut frame::Video, from: &frame::Video) -> Result<(), Error> {
    // SAFETY: both are live and `to` is blank, as the call wants it; the count of a buffer is atomic.
    check(unsafe { av_frame_ref(to.as_mut_ptr(), from.as_ptr()) }).map(drop)
}

/// A picture of 8-bit 4:2:0 in FFmpeg's memory: a decoder's own, which goes back to its pool when the last holder lets go, or one of
/// ours that is written again and again.
pub(crate) struct FramePlanes(frame::Video);

impl FramePlanes {
    /// A picture of ours, of any size.
    pub(crate) fn new(width: u32, height: u32) -> Result<Self, Error> {
        let frame = frame::Video::new(Pixel::YUV420P, width, height);
        Self::lent(frame)
    }

    /// A decoder's, which must be [native](Description::is_native) but for its colours.
    pub(crate) fn lent(frame: frame::Video) -> Result<Self, Error> {
        let described = describe_picture(&frame)?;
        let is_sound = described.format == AVPixelFormat::AV_PIX_FMT_YUV420P
            && described.width > 0
            && described.height > 0
            && (0..3).all(|plane| {
                // SAFETY: the frame is live and these are plain values.
                unsafe {
                    (*frame.as_ptr()).linesize[plane] > 0
                        && !(*frame.as_ptr()).data[plane].is_null()
                }
            });
        if is_sound {
            Ok(Self(frame))
        } else {
            Err(Error::InvalidData)
        }
    }

    pub(super) fn frame_mut(&mut self) -> &mut frame::Video {
        &mut self.0
    }

    fn side(&self, plane: usize) -> (usize, usize, usize) {
        let (width, height) = (self.0.width() as usize, self.0.height() as usize);
        let (width, height) = if plane == 0 {
            (width, height)
        } else {
            (width.div_ceil(2), height.div_ceil(2))
        };
        (width, height, self.stride(plane))
    }

    fn stride(&self, plane: usize) -> usize {
        // SAFETY: the frame is live; strides were found to be above 0.
        unsafe { (*self.0.as_ptr()).linesize[plane] as usize }
    }

    fn plane(&self, plane: usize) -> &[u8] {
        let (width, height, stride) = self.side(plane);
        // SAFETY: the frame is of this format and size, so that each plane has its rows of pixels `stride` bytes apart; nobody
        // writes while the frame is shared. The last row is taken to its pixels alone, as the buffer may end there.
        unsafe {
            let start = (*self.0.as_ptr()).data[plane];
            std::slice::from_raw_parts(start, stride * (height - 1) + width)
        }
    }

    /// Bytes from one row to the next of each plane.
    pub(crate) fn strides(&self) -> [usize; 3] {
        [0, 1, 2].map(|plane| self.stride(plane))
    }

    /// The three planes, to be written. Only of a picture of ours.
    pub(crate) fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let lengths = [0, 1, 2].map(|plane| {
            let (width, height, stride) = self.side(plane);
            stride * (height - 1) + width
        });
        // SAFETY: as in `plane`; pictures of ours have one owner when they are written, and their planes do not overlap.
        unsafe {
            let raw = self.0.as_mut_ptr();
            [0, 1, 2]
                .map(|plane| std::slice::from_raw_parts_mut((*raw).data[plane], lengths[plane]))
        }
    }
}

impl Planes for FramePlanes {
    fn width(&self) -> u32 {
        self.0.width()
    }
    fn height(&self) -> u32 {
        self.0.height()
    }
    fn y(&self) -> &[u8] {
        self.plane(0)
    }
    fn u(&self) -> &[u8] {
        self.plane(1)
    }
    fn v(&self) -> &[u8] {
        self.plane(2)
    }
    fn luma_stride(&self) -> usize {
        self.stride(0)
    }
    fn chroma_stride(&self) -> usize {
        // Both chroma planes of this format have rows of one length, in all that FFmpeg allocates.
        self.stride(1).min(self.stride(2))
    }
}

/// Copies `from` into `to`, whose sides are swapped where the number is odd, turned clockwise by quarter turns.
pub(crate) fn copy_upright(from: &FramePlanes, to: &mut FramePlanes, quarter_turns: u8) {
    let sides = [0, 1, 2].map(|plane| from.side(plane));
    let strides = [0, 1, 2].map(|plane| to.stride(plane));
    let sources = [from.y(), from.u(), from.v()];
    for (plane, target) in to.planes_mut().into_iter().enumerate() {
        let (width, height, stride) = sides[plane];
        turn(
            (sources[plane], width, height, stride),
            (target, strides[plane]),
            quarter_turns,
        );
    }
}

/// Turns rows of anything clockwise by quarter turns.
pub(crate) fn turn<T: Copy>(
    (source, width, height, source_stride): (&[T], usize, usize, usize),
    (target, target_stride): (&mut [T], usize),
    quarter_turns: u8,
) {
    let (to_width, to_height) = if quarter_turns % 2 == 1 {
        (height, width)
    } else {
        (width, height)
    };
    for y in 0..to_height {
        let row = &mut target[y * target_stride..][..to_width];
        for (x, pixel) in row.iter_mut().enumerate() {
            let (from_x, from_y) = match quarter_turns % 4 {
                0 => (x, y),
                1 => (y, height - 1 - x),
                2 => (width - 1 - x, height - 1 - y),
                _ => (width - 1 - y, x),
            };
            *pixel = source[from_y * source_stride + from_x];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turns_are_clockwise() {
        let source = [1, 2, 3, 4, 5, 6];
        for (turns, expected) in [
            (0, [1, 2, 3, 4, 5, 6]),
            (1, [4, 1, 5, 2, 6, 3]),
            (2, [6, 5, 4, 3, 2, 1]),
            (3, [3, 6, 2, 5, 1, 4]),
        ] {
            let mut target = [0; 6];
            let stride = if turns % 2 == 1 { 2 } else { 3 };
            turn((&source, 3, 2, 3), (&mut target, stride), turns);
            assert_eq!(target, expected, "{turns}");
        }
    }
}
