//! Frames for encoders in hardware: NV12 in system memory, and surfaces of VA-API.

use std::ffi::c_int;
use std::ptr;

use ffmpeg::ffi::{
    AVBufferRef, AVHWDeviceType, AVHWFramesContext, AVPixelFormat, av_buffer_ref, av_buffer_unref,
    av_frame_make_writable, av_frame_unref, av_hwdevice_ctx_create, av_hwframe_ctx_alloc,
    av_hwframe_ctx_init, av_hwframe_get_buffer, av_hwframe_transfer_data, avcodec_send_frame,
};
use ffmpeg::format::Pixel;
use ffmpeg::{Error, codec, frame};
use ffmpeg_next as ffmpeg;
use raster::I420Frame;

use super::codec::check;
use super::frame::describe;

/// Surfaces that are made at once. One is being filled and a few are with the encoder, which holds no B-frames.
const SURFACES: c_int = 16;

fn out_of_memory() -> Error {
    Error::Other {
        errno: ffmpeg::error::ENOMEM,
    }
}

/// One picture in NV12 (luma, then both chroma planes in turn), used again for each frame.
pub(crate) struct Nv12Frame(frame::Video);

impl Nv12Frame {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self(frame::Video::new(Pixel::NV12, width, height))
    }

    /// Takes over the pixels of a picture of the same size.
    pub(crate) fn fill(&mut self, picture: &I420Frame) -> Result<(), Error> {
        // An encoder may still read the last picture; then this gives us fresh memory.
        // SAFETY: the frame is valid and owned.
        check(unsafe { av_frame_make_writable(self.0.as_mut_ptr()) })?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let stride = self.0.stride(0);
        let rows = picture.y().chunks(picture.luma_stride());
        let targets = self.0.data_mut(0).chunks_mut(stride);
        for (target, row) in targets.zip(rows).take(height) {
            target[..width].copy_from_slice(&row[..width]);
        }
        let stride = self.0.stride(1);
        let u_rows = picture.u().chunks(picture.chroma_stride());
        let v_rows = picture.v().chunks(picture.chroma_stride());
        let targets = self.0.data_mut(1).chunks_mut(stride);
        for (target, (u, v)) in targets.zip(u_rows.zip(v_rows)).take(height / 2) {
            let pairs = target[..width].chunks_exact_mut(2);
            for (pair, (u, v)) in pairs.zip(u.iter().zip(v)) {
                pair.copy_from_slice(&[*u, *v]);
            }
        }
        Ok(())
    }

    /// Gives the picture to an open encoder that takes it from system memory.
    pub(crate) fn send(
        &mut self,
        context: &mut codec::Context,
        pts: i64,
        keyframe: bool,
    ) -> Result<(), Error> {
        // SAFETY: context and frame are live; the encoder takes a reference if it keeps the frame.
        unsafe {
            let raw = self.0.as_mut_ptr();
            describe(&mut *raw, pts, keyframe);
            check(avcodec_send_frame(context.as_mut_ptr(), raw)).map(drop)
        }
    }

    #[cfg(test)]
    pub(crate) fn planes(&self) -> [&[u8]; 2] {
        [self.0.data(0), self.0.data(1)]
    }

    #[cfg(test)]
    pub(crate) fn strides(&self) -> [usize; 2] {
        [self.0.stride(0), self.0.stride(1)]
    }
}

/// A reference to one of FFmpeg's counted buffers.
struct Buffer(*mut AVBufferRef);

// SAFETY: the count is atomic, and the device and the pool behind it may be used from any one thread at a time, which
// owning them by value gives.
unsafe impl Send for Buffer {}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the pointer is null or a reference that this value owns.
        unsafe { av_buffer_unref(&raw mut self.0) };
    }
}

/// The way of a picture into the memory of the machine's first VA-API device.
pub(crate) struct VaapiUpload {
    frames: Buffer,
    staging: Nv12Frame,
    /// Blank between frames.
    surface: frame::Video,
}

impl VaapiUpload {
    /// Opens the device, makes the surfaces and tells `context`, which must not be open yet, to take them.
    pub(crate) fn attach(
        context: &mut codec::Context,
        width: u32,
        height: u32,
    ) -> Result<Self, Error> {
        let mut device = Buffer(ptr::null_mut());
        // SAFETY: `device` is set on success; null stands for the first device and for no options.
        check(unsafe {
            av_hwdevice_ctx_create(
                &raw mut device.0,
                AVHWDeviceType::AV_HWDEVICE_TYPE_VAAPI,
                ptr::null(),
                ptr::null_mut(),
                0,
            )
        })?;
        // SAFETY: the device is live; the pool takes its own reference, and null is checked for.
        let frames = Buffer(unsafe { av_hwframe_ctx_alloc(device.0) });
        if frames.0.is_null() {
            return Err(out_of_memory());
        }
        // SAFETY: the data of such a buffer is an `AVHWFramesContext` whose public fields are the caller's to set before
        // it is initialized; the context is live, not open, and owns the reference that it is given.
        unsafe {
            let pool = (*frames.0).data.cast::<AVHWFramesContext>();
            (*pool).format = AVPixelFormat::AV_PIX_FMT_VAAPI;
            (*pool).sw_format = AVPixelFormat::AV_PIX_FMT_NV12;
            (*pool).width = c_int::try_from(width).map_err(|_| Error::InvalidData)?;
            (*pool).height = c_int::try_from(height).map_err(|_| Error::InvalidData)?;
            (*pool).initial_pool_size = SURFACES;
            check(av_hwframe_ctx_init(frames.0))?;
            let reference = av_buffer_ref(frames.0);
            if reference.is_null() {
                return Err(out_of_memory());
            }
            (*context.as_mut_ptr()).hw_frames_ctx = reference;
        }
        Ok(Self {
            frames,
            staging: Nv12Frame::new(width, height),
            surface: frame::Video::empty(),
        })
    }

    /// Copies a picture into a surface and gives that to the encoder.
    pub(crate) fn send(
        &mut self,
        context: &mut codec::Context,
        picture: &I420Frame,
        pts: i64,
        keyframe: bool,
    ) -> Result<(), Error> {
        self.staging.fill(picture)?;
        // SAFETY: the pool, both frames and the context are live; the surface is blank before and, on every path, after,
        // and the encoder takes its own reference.
        unsafe {
            let surface = self.surface.as_mut_ptr();
            let sent = check(av_hwframe_get_buffer(self.frames.0, surface, 0))
                .and_then(|_| {
                    check(av_hwframe_transfer_data(
                        surface,
                        self.staging.0.as_ptr(),
                        0,
                    ))
                })
                .and_then(|_| {
                    describe(&mut *surface, pts, keyframe);
                    check(avcodec_send_frame(context.as_mut_ptr(), surface))
                });
            av_frame_unref(surface);
            sent.map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use raster::{Compositor, DrawItem, FramePool, Raster, Workers};

    use super::*;

    #[test]
    fn chroma_is_taken_in_turn() {
        // Each pixel a colour of its own, so that rows and columns cannot be taken for each other.
        let pixels = (0..18 * 4u32).flat_map(|at| [(at * 3) as u8, (at * 7) as u8, 200, 255]);
        let source = Raster::from_rgba8_opaque(18, 4, pixels.collect()).expect("a raster");
        let item = DrawItem::raster(1, Arc::new(source), glam::Affine2::IDENTITY);
        let mut pool = FramePool::new(1, 18, 4).expect("a pool");
        let picture = Compositor::new(18, 4, 1)
            .compose([0, 0, 0], &[item], &mut pool, &Workers::new(1))
            .expect("a picture")
            .frame;
        let mut frame = Nv12Frame::new(18, 4);
        frame.fill(&picture).expect("memory");
        let [luma, chroma] = frame.planes();
        let strides = frame.strides();
        for row in 0..4 {
            assert_eq!(
                luma[row * strides[0]..][..18],
                picture.y()[row * picture.luma_stride()..][..18]
            );
        }
        for row in 0..2 {
            for column in 0..9 {
                let at = row * picture.chroma_stride() + column;
                let pair = &chroma[row * strides[1] + column * 2..][..2];
                assert_eq!(pair, [picture.u()[at], picture.v()[at]], "{column}, {row}");
            }
        }
    }
}
