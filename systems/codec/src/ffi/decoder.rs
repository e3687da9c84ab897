//! Decoder contexts, and the parameters of streams that no demuxer describes.

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};

use ffmpeg::ffi::{
    AV_CODEC_FLAG_LOW_DELAY, AV_INPUT_BUFFER_PADDING_SIZE, AV_NOPTS_VALUE, AVCodec, AVCodecContext,
    AVCodecID, AVMediaType, av_mallocz, avcodec_alloc_context3, avcodec_find_decoder,
    avcodec_find_decoder_by_name, avcodec_flush_buffers, avcodec_free_context, avcodec_get_name,
    avcodec_open2, avcodec_parameters_to_context, avcodec_receive_frame, avcodec_send_packet,
};
use ffmpeg::packet::Ref as _;
use ffmpeg::{Error, codec, frame};
use ffmpeg_next as ffmpeg;

use super::codec::{SharedParameters, check};
use super::input::MICROSECONDS;

/// Pixels of the largest picture that is decoded: 8K.
const PIXELS_MAX: i64 = 8192 * 4352;

/// Owns an open `AVCodecContext` for decoding, on one thread.
pub(crate) struct DecoderContext(NonNull<AVCodecContext>);

// SAFETY: the context is owned by this value alone, and FFmpeg ties it to no thread.
unsafe impl Send for DecoderContext {}

impl DecoderContext {
    /// Opens the decoder called `name` where one is named and there, the usual one otherwise.
    pub(crate) fn open(
        parameters: &SharedParameters,
        name: Option<&str>,
        is_low_delay: bool,
    ) -> Result<Self, Error> {
        let decoder = find(parameters.codec_id(), name).ok_or(Error::DecoderNotFound)?;
        // SAFETY: the decoder is FFmpeg's own; without memory the call gives null.
        let context =
            NonNull::new(unsafe { avcodec_alloc_context3(decoder) }).ok_or(Error::Other {
                errno: ffmpeg::error::ENOMEM,
            })?;
        let opened = Self(context);
        let context = opened.0.as_ptr();
        // SAFETY: context and parameters are live; the parameters are copied, and the fields are plain numbers.
        unsafe {
            check(avcodec_parameters_to_context(
                context,
                parameters.parameters().as_ptr(),
            ))?;
            (*context).pkt_timebase = MICROSECONDS;
            (*context).thread_count = 1;
            (*context).max_pixels = PIXELS_MAX;
            if is_low_delay {
                (*context).flags |= AV_CODEC_FLAG_LOW_DELAY as c_int;
            }
            check(avcodec_open2(context, decoder, ptr::null_mut()))?;
        }
        Ok(opened)
    }

    /// Gives it a packet; `None` says that no more come.
    pub(crate) fn send(&mut self, packet: Option<&ffmpeg::Packet>) -> Result<(), Error> {
        // SAFETY: context and packet are live; null begins to empty the decoder.
        check(unsafe {
            avcodec_send_packet(
                self.0.as_ptr(),
                packet.map_or(ptr::null(), |packet| packet.as_ptr()),
            )
        })
        .map(drop)
    }

    /// Takes the next frame out of it.
    pub(crate) fn receive(&mut self, frame: &mut frame::Frame) -> Result<(), Error> {
        // SAFETY: context and frame are live; the call lets go of what the frame held.
        check(unsafe { avcodec_receive_frame(self.0.as_ptr(), frame.as_mut_ptr()) }).map(drop)
    }

    /// Forgets what it was given, to go on at another place.
    pub(crate) fn flush(&mut self) {
        // SAFETY: the context is open.
        unsafe { avcodec_flush_buffers(self.0.as_ptr()) };
    }
}

impl Drop for DecoderContext {
    fn drop(&mut self) {
        let mut context = self.0.as_ptr();
        // SAFETY: the context is owned; frames that came from it hold their buffers by themselves.
        unsafe { avcodec_free_context(&raw mut context) };
    }
}

fn find(id: AVCodecID, name: Option<&str>) -> Option<*const AVCodec> {
    let by_name = name
        .and_then(|name| CString::new(name).ok())
        // SAFETY: the name ends in NUL.
        .map(|name| unsafe { avcodec_find_decoder_by_name(name.as_ptr()) })
        .filter(|decoder| !decoder.is_null());
    by_name.or_else(|| {
        // SAFETY: the call takes any number.
        let decoder = unsafe { avcodec_find_decoder(id) };
        (!decoder.is_null()).then_some(decoder)
    })
}

/// The time of a decoded frame, in microseconds, as well as FFmpeg knows it.
pub(crate) fn best_time_us(frame: &frame::Frame) -> Option<i64> {
    // SAFETY: the frame is live and this is a plain number.
    let time = unsafe { (*frame.as_ptr()).best_effort_timestamp };
    (time != AV_NOPTS_VALUE).then_some(time)
}

impl SharedParameters {
    /// Parameters of a stream that is known by its codec and headers alone.
    pub(crate) fn made(
        id: codec::Id,
        is_video: bool,
        headers: &[u8],
        sound: Option<(u32, u16)>,
    ) -> Result<Self, Error> {
        let mut parameters = codec::Parameters::new();
        let padding = AV_INPUT_BUFFER_PADDING_SIZE as usize;
        // SAFETY: the parameters are live and this thread is their only user. The headers are copied into memory of
        // FFmpeg's own with the padding that it wants, which the parameters free.
        unsafe {
            let raw = parameters.as_mut_ptr();
            (*raw).codec_type = if is_video {
                AVMediaType::AVMEDIA_TYPE_VIDEO
            } else {
                AVMediaType::AVMEDIA_TYPE_AUDIO
            };
            (*raw).codec_id = id.into();
            if !headers.is_empty() {
                let copy = av_mallocz(headers.len() + padding).cast::<u8>();
                if copy.is_null() {
                    return Err(Error::Other {
                        errno: ffmpeg::error::ENOMEM,
                    });
                }
                ptr::copy_nonoverlapping(headers.as_ptr(), copy, headers.len());
                (*raw).extradata = copy;
                (*raw).extradata_size =
                    c_int::try_from(headers.len()).map_err(|_| Error::InvalidData)?;
            }
            if let Some((rate, channels)) = sound {
                (*raw).sample_rate = rate.cast_signed();
                ffmpeg::ffi::av_channel_layout_default(&raw mut (*raw).ch_layout, channels.into());
                (*raw).channels = channels.into();
            }
        }
        Ok(Self::from(parameters))
    }

    pub(crate) fn codec_id(&self) -> AVCodecID {
        // SAFETY: the parameters are live and this is a plain number.
        unsafe { (*self.parameters().as_ptr()).codec_id }
    }

    /// FFmpeg's name of the codec.
    pub(crate) fn codec_name(&self) -> String {
        // SAFETY: the call gives a constant string for any number.
        let name = unsafe { std::ffi::CStr::from_ptr(avcodec_get_name(self.codec_id())) };
        name.to_string_lossy().into_owned()
    }

    /// Samples a second of sound; 0 of pictures.
    pub(crate) fn sample_rate(&self) -> u32 {
        // SAFETY: the parameters are live and this is a plain number.
        let rate = unsafe { (*self.parameters().as_ptr()).sample_rate };
        u32::try_from(rate).unwrap_or(0)
    }

    /// Width by height of a picture's pixels, as the container says; 0 by 0 where it says nothing.
    pub(crate) fn pixel_aspect(&self) -> (u32, u32) {
        // SAFETY: the parameters are live and these are plain numbers.
        let aspect = unsafe { (*self.parameters().as_ptr()).sample_aspect_ratio };
        (
            u32::try_from(aspect.num).unwrap_or(0),
            u32::try_from(aspect.den).unwrap_or(0),
        )
    }
}
