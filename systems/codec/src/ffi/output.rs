//! A muxer's context with an interrupt callback, which ffmpeg-next gives to inputs only.

use std::ffi::{CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ffmpeg::Error;
use ffmpeg::ffi::{
    AVFMT_FLAG_BITEXACT, AVFMT_FLAG_FLUSH_PACKETS, AVFMT_NOFILE, AVFormatContext, AVIO_FLAG_WRITE,
    AVIOInterruptCB, AVRational, av_interleaved_write_frame, av_write_trailer,
    avcodec_parameters_copy, avformat_alloc_output_context2, avformat_free_context,
    avformat_new_stream, avformat_write_header, avio_closep, avio_open2,
};
use ffmpeg_next as ffmpeg;

use super::codec::{Options, check};
use crate::interrupt::Interrupt;
use crate::packet::{StreamDescription, TimeBase};

/// Owns an `AVFormatContext` for writing and its I/O.
///
/// Every method but `new` may block on the target; the caller bounds it with [`Interrupt::during`].
pub(crate) struct OutputContext {
    context: NonNull<AVFormatContext>,
    /// Polled by FFmpeg through a raw pointer; it is here to live as long as the context.
    _interrupt: Arc<Interrupt>,
}

// SAFETY: the context is owned by this value alone, FFmpeg ties it to no thread, and `Interrupt` is Sync.
unsafe impl Send for OutputContext {}

impl OutputContext {
    pub(crate) fn new(
        target: &str,
        format: &str,
        interrupt: &Arc<Interrupt>,
    ) -> Result<Self, Error> {
        let target = CString::new(target).map_err(|_| Error::InvalidData)?;
        let format = CString::new(format).map_err(|_| Error::InvalidData)?;
        let mut context = ptr::null_mut();
        // SAFETY: the strings end in NUL and are copied; `context` is set on success.
        check(unsafe {
            avformat_alloc_output_context2(
                &raw mut context,
                ptr::null(),
                format.as_ptr(),
                target.as_ptr(),
            )
        })?;
        let context = NonNull::new(context).ok_or(Error::Unknown)?;
        let callback = AVIOInterruptCB {
            callback: Some(interrupted),
            opaque: Arc::as_ptr(interrupt).cast_mut().cast(),
        };
        // SAFETY: the context is live; the pointed-to interrupt is kept alive by the field next to it.
        unsafe { (*context.as_ptr()).interrupt_callback = callback };
        Ok(Self {
            context,
            _interrupt: Arc::clone(interrupt),
        })
    }

    /// Connects to, or creates, the target. Gives the names of the options that no protocol took.
    pub(crate) fn open_io(&mut self, options: &[(&str, String)]) -> Result<Option<String>, Error> {
        let mut options = Options::new(options)?;
        let context = self.context.as_ptr();
        // SAFETY: context, its format and its URL are live; a format without a file has no I/O to open.
        unsafe {
            if (*(*context).oformat).flags & AVFMT_NOFILE as c_int != 0 {
                return Ok(options.unused());
            }
            check(avio_open2(
                &raw mut (*context).pb,
                (*context).url,
                AVIO_FLAG_WRITE as c_int,
                &raw const (*context).interrupt_callback,
                options.as_mut_ptr(),
            ))?;
        }
        Ok(options.unused())
    }

    pub(crate) fn add_stream(&mut self, description: &StreamDescription) -> Result<(), Error> {
        // SAFETY: the context is live, and the new stream is checked before use and owned by the context. A tag
        // of 0 lets the container choose its own.
        unsafe {
            let stream = avformat_new_stream(self.context.as_ptr(), ptr::null());
            if stream.is_null() {
                return Err(Error::Other {
                    errno: ffmpeg::error::ENOMEM,
                });
            }
            let parameters = description.parameters.parameters().as_ptr();
            check(avcodec_parameters_copy((*stream).codecpar, parameters))?;
            (*(*stream).codecpar).codec_tag = 0;
            (*stream).time_base = description.time_base.rational().into();
            if let Some(rate) = description.frame_rate {
                let rate = AVRational {
                    num: c_int::try_from(rate.numerator).unwrap_or(c_int::MAX),
                    den: c_int::try_from(rate.denominator).unwrap_or(c_int::MAX),
                };
                (*stream).avg_frame_rate = rate;
                (*stream).r_frame_rate = rate;
            }
        }
        Ok(())
    }

    /// Makes every packet reach the target at once, rather than when a buffer is full.
    pub(crate) fn flush_each_packet(&mut self) {
        // SAFETY: the context is live and this is a plain number.
        unsafe { (*self.context.as_ptr()).flags |= AVFMT_FLAG_FLUSH_PACKETS as c_int };
    }

    /// Leaves out dates, versions and random identifiers.
    pub(crate) fn be_bit_exact(&mut self) {
        // SAFETY: the context is live and this is a plain number.
        unsafe { (*self.context.as_ptr()).flags |= AVFMT_FLAG_BITEXACT as c_int };
    }

    /// Writes the header. Gives the names of the options that the format did not take.
    pub(crate) fn write_header(
        &mut self,
        options: &[(&str, String)],
    ) -> Result<Option<String>, Error> {
        let mut options = Options::new(options)?;
        // SAFETY: the context is live, its I/O is open and its streams are described.
        check(unsafe { avformat_write_header(self.context.as_ptr(), options.as_mut_ptr()) })?;
        Ok(options.unused())
    }

    /// The unit of timestamps that the format chose for a stream; known after the header.
    pub(crate) fn time_base(&self, stream: usize) -> Option<TimeBase> {
        // SAFETY: the context is live and the index is checked.
        unsafe {
            let context = self.context.as_ptr();
            let count = usize::try_from((*context).nb_streams).unwrap_or(0);
            (stream < count).then(|| {
                let time_base = (**(*context).streams.add(stream)).time_base;
                TimeBase {
                    numerator: time_base.num,
                    denominator: time_base.den,
                }
            })
        }
    }

    /// Writes a packet whose stream index and timestamps fit this context. It is blank afterwards.
    pub(crate) fn write(&mut self, packet: &mut ffmpeg::Packet) -> Result<(), Error> {
        use ffmpeg::packet::Mut;
        // SAFETY: context and packet are live; FFmpeg takes over the packet's reference.
        check(unsafe { av_interleaved_write_frame(self.context.as_ptr(), packet.as_mut_ptr()) })
            .map(drop)
    }

    /// Writes what is held back and the end of the file.
    pub(crate) fn write_trailer(&mut self) -> Result<(), Error> {
        // SAFETY: the context is live and its header was written, as the caller sees to.
        check(unsafe { av_write_trailer(self.context.as_ptr()) }).map(drop)
    }

    /// Flushes and closes the I/O; the only place that tells of a failed last write.
    pub(crate) fn close_io(&mut self) -> Result<(), Error> {
        let context = self.context.as_ptr();
        // SAFETY: the context is live; a format without a file has no I/O of ours, and `avio_closep` takes null.
        unsafe {
            if (*(*context).oformat).flags & AVFMT_NOFILE as c_int != 0 {
                return Ok(());
            }
            check(avio_closep(&raw mut (*context).pb)).map(drop)
        }
    }
}

impl Drop for OutputContext {
    fn drop(&mut self) {
        // An error here has been told by the operation that led here, or the target is being given up.
        let _ = self.close_io();
        // SAFETY: this value owns the context, and nothing uses it afterwards.
        unsafe { avformat_free_context(self.context.as_ptr()) };
    }
}

/// Called by FFmpeg while it waits: a value other than 0 makes it give up.
unsafe extern "C" fn interrupted(opaque: *mut c_void) -> c_int {
    // SAFETY: `opaque` is the `Interrupt` that the context's owner keeps alive.
    let interrupt = unsafe { &*opaque.cast_const().cast::<Interrupt>() };
    c_int::from(interrupt.is_due())
}
