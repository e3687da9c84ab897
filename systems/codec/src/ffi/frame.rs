//! Frames: pictures lent to the encoder without a copy, and one reusable frame of samples.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use ffmpeg::ffi::{
    AV_BUFFER_FLAG_READONLY, AVColorPrimaries, AVColorRange, AVColorSpace,
    AVColorTransferCharacteristic, AVFrame, AVPictureType, AVPixelFormat, av_buffer_create,
    av_frame_make_writable, av_frame_unref, avcodec_send_frame,
};
use ffmpeg::format::sample::Type;
use ffmpeg::{Error, codec, frame};
use ffmpeg_next as ffmpeg;

use super::codec::check;
use raster::I420Frame;

/// Gives `picture` to an open video encoder. The encoder reads the planes where they lie: FFmpeg holds the `Arc`
/// until it lets go of the frame. `holder` is a blank frame that is blank again afterwards.
pub(crate) fn send_borrowed_frame(
    context: &mut codec::Context,
    holder: &mut frame::Frame,
    picture: &Arc<I420Frame>,
    pts: i64,
    keyframe: bool,
) -> Result<(), Error> {
    let (y, u, v) = (picture.y(), picture.u(), picture.v());
    let (luma_stride, chroma_stride) = (picture.luma_stride(), picture.chroma_stride());
    let (Ok(width), Ok(height), Ok(luma_stride), Ok(chroma_stride)) = (
        c_int::try_from(picture.width()),
        c_int::try_from(picture.height()),
        c_int::try_from(luma_stride),
        c_int::try_from(chroma_stride),
    ) else {
        return Err(Error::InvalidData);
    };
    // SAFETY: the planes are inside the picture, which the buffer keeps alive through `lent` until FFmpeg calls
    // `release`. The buffer is read-only, so FFmpeg copies before it would ever write. Only the buffer's life
    // matters to FFmpeg, not that its range covers just the first plane. `holder` is a valid frame that this
    // thread alone uses, and `av_frame_unref` takes its reference back on every path.
    unsafe {
        let lent = Arc::into_raw(Arc::clone(picture));
        let buffer = av_buffer_create(
            y.as_ptr().cast_mut(),
            y.len(),
            Some(release),
            lent.cast_mut().cast(),
            AV_BUFFER_FLAG_READONLY as c_int,
        );
        if buffer.is_null() {
            drop(Arc::from_raw(lent));
            return Err(Error::Other {
                errno: ffmpeg::error::ENOMEM,
            });
        }
        let raw = holder.as_mut_ptr();
        (*raw).buf[0] = buffer;
        (*raw).data[0] = y.as_ptr().cast_mut();
        (*raw).data[1] = u.as_ptr().cast_mut();
        (*raw).data[2] = v.as_ptr().cast_mut();
        (*raw).linesize[0] = luma_stride;
        (*raw).linesize[1] = chroma_stride;
        (*raw).linesize[2] = chroma_stride;
        (*raw).extended_data = (*raw).data.as_mut_ptr();
        (*raw).width = width;
        (*raw).height = height;
        (*raw).format = AVPixelFormat::AV_PIX_FMT_YUV420P as c_int;
        describe(&mut *raw, pts, keyframe);
        let result = avcodec_send_frame(context.as_mut_ptr(), raw);
        av_frame_unref(raw);
        check(result).map(drop)
    }
}

/// Says when a frame is shown, in which colours, and whether it must be a keyframe.
pub(super) fn describe(frame: &mut AVFrame, pts: i64, keyframe: bool) {
    frame.color_range = AVColorRange::AVCOL_RANGE_MPEG;
    frame.colorspace = AVColorSpace::AVCOL_SPC_BT709;
    frame.color_primaries = AVColorPrimaries::AVCOL_PRI_BT709;
    frame.color_trc = AVColorTransferCharacteristic::AVCOL_TRC_BT709;
    frame.pts = pts;
    frame.pict_type = if keyframe {
        AVPictureType::AV_PICTURE_TYPE_I
    } else {
        AVPictureType::AV_PICTURE_TYPE_NONE
    };
}

/// Called by FFmpeg, on whichever of its threads, when the last reference to a lent picture is gone.
unsafe extern "C" fn release(opaque: *mut c_void, _data: *mut u8) {
    // SAFETY: `opaque` is the pointer that `Arc::into_raw` gave in `send_borrowed_frame`, and FFmpeg calls this
    // once a buffer. `I420Frame` is Send and Sync, which the assertion below holds.
    drop(unsafe { Arc::from_raw(opaque.cast_const().cast::<I420Frame>()) });
}

const _: fn() = || {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<I420Frame>();
};

/// A frame of stereo samples that is filled bit by bit and then sent.
pub(crate) struct SampleFrame {
    frame: frame::Audio,
    /// Left and right in turn, rather than in a plane each.
    is_packed: bool,
    capacity: usize,
    filled: usize,
}

impl SampleFrame {
    /// `layout` is the encoder's: a plane for each side, or both sides in turn.
    pub(crate) fn new(capacity: usize, sample_rate: u32, layout: Type) -> Self {
        let format = ffmpeg::format::Sample::F32(layout);
        let mut frame = frame::Audio::new(format, capacity, ffmpeg::ChannelLayout::STEREO);
        frame.set_rate(sample_rate);
        Self {
            frame,
            is_packed: layout == Type::Packed,
            capacity,
            filled: 0,
        }
    }

    /// Samples that still fit.
    pub(crate) fn free(&self) -> usize {
        self.capacity - self.filled
    }

    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    /// Takes as many samples as fit, silence where `samples` is `None`, and returns how many.
    pub(crate) fn fill(
        &mut self,
        count: usize,
        samples: Option<[&[f32]; 2]>,
    ) -> Result<usize, Error> {
        if self.filled == 0 {
            // The encoder may still hold the last frame; then this gives us fresh memory.
            // SAFETY: the frame is valid and owned.
            check(unsafe { av_frame_make_writable(self.frame.as_mut_ptr()) })?;
            self.frame.set_samples(self.capacity);
        }
        let count = count.min(self.free());
        let range = self.filled..self.filled + count;
        if self.is_packed {
            let pairs = &mut self.frame.plane_mut::<(f32, f32)>(0)[range];
            match samples {
                Some([left, right]) => {
                    for (pair, (left, right)) in pairs.iter_mut().zip(left.iter().zip(right)) {
                        *pair = (*left, *right);
                    }
                }
                None => pairs.fill((0.0, 0.0)),
            }
        } else {
            for channel in 0..2 {
                let plane = &mut self.frame.plane_mut::<f32>(channel)[range.clone()];
                match samples {
                    Some(samples) => plane.copy_from_slice(&samples[channel][..count]),
                    None => plane.fill(0.0),
                }
            }
        }
        self.filled += count;
        Ok(count)
    }

    /// Sends what was filled and starts again.
    pub(crate) fn send(&mut self, context: &mut codec::Context, pts: i64) -> Result<(), Error> {
        self.frame.set_samples(self.filled);
        self.frame.set_pts(Some(pts));
        self.filled = 0;
        // SAFETY: context and frame are live, and the frame's planes hold at least as many samples as it says.
        check(unsafe { avcodec_send_frame(context.as_mut_ptr(), self.frame.as_ptr()) }).map(drop)
    }
}
