//! libswscale: sizes, layouts of pixels, matrices and ranges, all in one pass.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};

use ffmpeg::ffi::{
    AVPixelFormat, SWS_ACCURATE_RND, SWS_BILINEAR, SWS_BITEXACT, SWS_CS_BT2020, SWS_CS_FCC,
    SWS_CS_ITU601, SWS_CS_ITU709, SWS_CS_SMPTE240M, SWS_FULL_CHR_H_INP, SWS_FULL_CHR_H_INT,
    SwsContext, av_opt_set_int, sws_alloc_context, sws_freeContext, sws_getCoefficients,
    sws_init_context, sws_scale, sws_setColorspaceDetails,
};
use ffmpeg::{Error, frame};
use ffmpeg_next as ffmpeg;

use super::codec::check;
use super::picture::{Description, FramePlanes, Matrix};

/// Makes pictures of one kind and size out of pictures of another.
pub(crate) struct PictureScaler {
    context: NonNull<SwsContext>,
    from: Description,
    size: (u32, u32),
    is_rgba: bool,
}

// SAFETY: the context is owned by this value alone and not tied to a thread: it is made without threads of its own.
unsafe impl Send for PictureScaler {}

impl PictureScaler {
    /// From pictures as described to `size`, as 4:2:0 planes in BT.709, limited range, or as RGBA.
    pub(crate) fn new(from: Description, size: (u32, u32), is_rgba: bool) -> Result<Self, Error> {
        // SAFETY: the call has no conditions; without memory it gives null.
        let context = NonNull::new(unsafe { sws_alloc_context() }).ok_or(Error::Other {
            errno: ffmpeg::error::ENOMEM,
        })?;
        let made = Self {
            context,
            from,
            size,
            is_rgba,
        };
        let to_format = if is_rgba {
            AVPixelFormat::AV_PIX_FMT_RGBA
        } else {
            AVPixelFormat::AV_PIX_FMT_YUV420P
        };
        // Exact rounding, so that the pixels do not depend on the processor's instructions.
        let flags = SWS_BILINEAR
            | SWS_ACCURATE_RND
            | SWS_BITEXACT
            | SWS_FULL_CHR_H_INT
            | SWS_FULL_CHR_H_INP;
        made.set(c"srcw", from.width.into())?;
        made.set(c"srch", from.height.into())?;
        made.set(c"src_format", from.format as i64)?;
        made.set(c"src_range", from.is_full_range.into())?;
        made.set(c"dstw", size.0.into())?;
        made.set(c"dsth", size.1.into())?;
        made.set(c"dst_format", to_format as i64)?;
        made.set(c"dst_range", is_rgba.into())?;
        made.set(c"sws_flags", flags.into())?;
        // SAFETY: the context is live; null stands for no further filters. The tables are FFmpeg's constants.
        unsafe {
            let context = made.context.as_ptr();
            check(sws_init_context(context, ptr::null_mut(), ptr::null_mut()))?;
            // A layout without chroma has no matrices to set, and says so; nothing is wrong then.
            let _unset = sws_setColorspaceDetails(
                context,
                sws_getCoefficients(coefficients(from.matrix)),
                from.is_full_range.into(),
                sws_getCoefficients(SWS_CS_ITU709),
                is_rgba.into(),
                0,
                1 << 16,
                1 << 16,
            );
        }
        Ok(made)
    }

    /// Whether it serves such pictures.
    pub(crate) fn serves(&self, from: &Description, size: (u32, u32), is_rgba: bool) -> bool {
        self.from == *from && self.size == size && self.is_rgba == is_rgba
    }

    /// Fills `to`, which is of the size.
    pub(crate) fn fill_planes(
        &mut self,
        from: &frame::Video,
        to: &mut FramePlanes,
    ) -> Result<(), Error> {
        let frame = to.frame_mut();
        if self.is_rgba || (frame.width(), frame.height()) != self.size {
            return Err(Error::InvalidData);
        }
        // SAFETY: the frame is live, of ours, and its planes hold pictures of the size.
        let (data, strides) = unsafe {
            let raw = frame.as_mut_ptr();
            ((*raw).data, (*raw).linesize)
        };
        self.run(from, data.as_ptr(), strides.as_ptr())
    }

    /// Fills `to` with words whose bytes in memory are red, green, blue, alpha, not premultiplied.
    pub(crate) fn fill_rgba(&mut self, from: &frame::Video, to: &mut [u32]) -> Result<(), Error> {
        let pixels = self.size.0 as usize * self.size.1 as usize;
        if !self.is_rgba || to.len() != pixels {
            return Err(Error::InvalidData);
        }
        let data = [
            to.as_mut_ptr().cast::<u8>(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        ];
        let stride = c_int::try_from(self.size.0 * 4).map_err(|_| Error::InvalidData)?;
        self.run(from, data.as_ptr(), [stride, 0, 0, 0].as_ptr())
    }

    /// Makes premultiplied RGBA of one size out of such of another.
    pub(crate) fn rgba_to_rgba(&mut self, from: &[u32], to: &mut [u32]) -> Result<(), Error> {
        let pixels = |width: u32, height: u32| width as usize * height as usize;
        if !self.is_rgba
            || self.from.format != AVPixelFormat::AV_PIX_FMT_RGBA
            || from.len() != pixels(self.from.width, self.from.height)
            || to.len() != pixels(self.size.0, self.size.1)
        {
            return Err(Error::InvalidData);
        }
        let (width, height) = (
            self.from.width.cast_signed(),
            self.from.height.cast_signed(),
        );
        let source = [
            from.as_ptr().cast::<u8>(),
            ptr::null(),
            ptr::null(),
            ptr::null(),
        ];
        let target = [
            to.as_mut_ptr().cast::<u8>(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        ];
        // SAFETY: the context is live; both sides have the sizes that it was made for, four bytes a pixel, rows without gaps.
        check(unsafe {
            sws_scale(
                self.context.as_ptr(),
                source.as_ptr(),
                [width * 4, 0, 0, 0].as_ptr(),
                0,
                height,
                target.as_ptr(),
                [self.size.0.cast_signed() * 4, 0, 0, 0].as_ptr(),
            )
        })
        .map(drop)
    }

    fn run(
        &mut self,
        from: &frame::Video,
        data: *const *mut u8,
        strides: *const c_int,
    ) -> Result<(), Error> {
        let described = super::describe_picture(from)?;
        if (described.width, described.height, described.format)
            != (self.from.width, self.from.height, self.from.format)
        {
            return Err(Error::InvalidData);
        }
        // SAFETY: the context is live; the source has the size and layout that it was made for, as was just looked at; the
        // callers have seen to the target.
        check(unsafe {
            let raw = from.as_ptr();
            sws_scale(
                self.context.as_ptr(),
                (*raw).data.as_ptr().cast(),
                (*raw).linesize.as_ptr(),
                0,
                self.from.height.cast_signed(),
                data,
                strides,
            )
        })
        .map(drop)
    }

    fn set(&self, name: &CStr, value: i64) -> Result<(), Error> {
        // SAFETY: the context is live and knows its options by their names, which end in NUL.
        check(unsafe {
            av_opt_set_int(
                self.context.as_ptr().cast::<c_void>(),
                name.as_ptr(),
                value,
                0,
            )
        })
        .map(drop)
    }
}

impl Drop for PictureScaler {
    fn drop(&mut self) {
        // SAFETY: the context is owned and live.
        unsafe { sws_freeContext(self.context.as_ptr()) };
    }
}

fn coefficients(matrix: Matrix) -> c_int {
    match matrix {
        Matrix::Bt601 => SWS_CS_ITU601,
        Matrix::Bt709 => SWS_CS_ITU709,
        Matrix::Bt2020 => SWS_CS_BT2020,
        Matrix::Smpte240 => SWS_CS_SMPTE240M,
        Matrix::Fcc => SWS_CS_FCC,
    }
}
