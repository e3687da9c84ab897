//! A demuxer's context with an interrupt callback and a whitelist of protocols and formats.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use ffmpeg::ffi::{
    AV_DISPOSITION_ATTACHED_PIC, AV_NOPTS_VALUE, AV_TIME_BASE, AVDiscard, AVFormatContext,
    AVIOInterruptCB, AVMediaType, AVPacketSideDataType, AVRational, AVSEEK_FLAG_BACKWARD, AVStream,
    av_dict_get, av_display_rotation_get, av_find_best_stream, av_packet_rescale_ts, av_read_frame,
    av_stream_get_side_data, avcodec_parameters_copy, avformat_alloc_context, avformat_close_input,
    avformat_find_stream_info, avformat_open_input, avformat_seek_file,
};
use ffmpeg::{Error, codec};
use ffmpeg_next as ffmpeg;

use super::codec::{Options, SharedParameters, check};
use crate::interrupt::Interrupt;

/// The unit of all times that leave this crate: microseconds.
pub(crate) const MICROSECONDS: AVRational = AVRational {
    num: 1,
    den: 1_000_000,
};

/// What a stream says of itself.
pub(crate) struct StreamFacts {
    pub(crate) index: usize,
    pub(crate) parameters: SharedParameters,
    /// Microseconds of the first frame.
    pub(crate) start_us: Option<i64>,
    pub(crate) duration_us: Option<i64>,
    pub(crate) frames_per_second: Option<f64>,
    /// Quarter turns clockwise that the picture needs to stand upright.
    pub(crate) quarter_turns: u8,
    /// Whether a Matroska file says that its VP8 or VP9 has a second stream of alpha.
    pub(crate) has_alpha_mode: bool,
}

/// Owns an `AVFormatContext` for reading and its I/O.
///
/// Every method that reads may block on the source; the caller bounds it with [`Interrupt::during`].
pub(crate) struct InputContext {
    context: NonNull<AVFormatContext>,
    /// Polled by FFmpeg through a raw pointer; it is here to live as long as the context.
    _interrupt: Arc<Interrupt>,
}

// SAFETY: the context is owned by this value alone, FFmpeg ties it to no thread, and `Interrupt` is Sync.
unsafe impl Send for InputContext {}

impl InputContext {
    /// Opens `source` and reads as much as is needed to know its streams.
    pub(crate) fn open(
        source: &str,
        options: &[(&str, String)],
        interrupt: &Arc<Interrupt>,
    ) -> Result<Self, Error> {
        let source = CString::new(source).map_err(|_| Error::InvalidData)?;
        let mut options = Options::new(options)?;
        // SAFETY: the call has no conditions; without memory it gives null.
        let context = unsafe { avformat_alloc_context() };
        let Some(allocated) = NonNull::new(context) else {
            return Err(Error::Other {
                errno: ffmpeg::error::ENOMEM,
            });
        };
        let callback = AVIOInterruptCB {
            callback: Some(interrupted),
            opaque: Arc::as_ptr(interrupt).cast_mut().cast(),
        };
        // SAFETY: the context is live; the pointed-to interrupt outlives it, as the value below holds it.
        unsafe { (*allocated.as_ptr()).interrupt_callback = callback };
        let mut context = allocated.as_ptr();
        // SAFETY: context and strings are live. On failure the call frees the context.
        check(unsafe {
            avformat_open_input(
                &raw mut context,
                source.as_ptr(),
                ptr::null_mut(),
                options.as_mut_ptr(),
            )
        })?;
        let opened = Self {
            context: allocated,
            _interrupt: Arc::clone(interrupt),
        };
        // SAFETY: the context is open; null stands for no options for the decoders that it tries.
        check(unsafe { avformat_find_stream_info(opened.context.as_ptr(), ptr::null_mut()) })?;
        Ok(opened)
    }

    /// Chooses the best stream of pictures, a still cover not counted, or of sound.
    pub(crate) fn best_stream(&self, is_video: bool) -> Result<Option<StreamFacts>, Error> {
        let kind = if is_video {
            AVMediaType::AVMEDIA_TYPE_VIDEO
        } else {
            AVMediaType::AVMEDIA_TYPE_AUDIO
        };
        // SAFETY: the context is open; null stands for no interest in a decoder.
        let index =
            unsafe { av_find_best_stream(self.context.as_ptr(), kind, -1, -1, ptr::null_mut(), 0) };
        let Ok(index) = usize::try_from(index) else {
            return Ok(None);
        };
        let stream = self.stream(index);
        // SAFETY: the stream belongs to the open context.
        let disposition = unsafe { (*stream).disposition };
        if disposition & AV_DISPOSITION_ATTACHED_PIC != 0 {
            return Ok(None);
        }
        self.facts(index).map(Some)
    }

    /// Has only these streams read.
    pub(crate) fn read_only(&mut self, wanted: &[usize]) {
        // SAFETY: the context is open and holds as many streams as it says.
        let count = unsafe { (*self.context.as_ptr()).nb_streams } as usize;
        for index in 0..count {
            let discard = if wanted.contains(&index) {
                AVDiscard::AVDISCARD_DEFAULT
            } else {
                AVDiscard::AVDISCARD_ALL
            };
            // SAFETY: the stream belongs to the open context, which this value owns.
            unsafe { (*self.stream(index)).discard = discard };
        }
    }

    /// Microseconds that all of it lasts; `None` when it does not say, as live sources do.
    pub(crate) fn duration_us(&self) -> Option<i64> {
        // SAFETY: the context is open and these are plain numbers.
        let duration = unsafe { (*self.context.as_ptr()).duration };
        (duration != AV_NOPTS_VALUE && duration > 0).then_some(duration)
    }

    /// The next packet of a wanted stream, with times in microseconds, and the stream's number. `Error::Eof` at the end.
    pub(crate) fn read(&mut self) -> Result<(usize, ffmpeg::Packet), Error> {
        use ffmpeg::packet::Mut;
        let mut packet = ffmpeg::Packet::empty();
        // SAFETY: the context is open, and the packet is blank as the call wants it.
        check(unsafe { av_read_frame(self.context.as_ptr(), packet.as_mut_ptr()) })?;
        let index = packet.stream();
        // SAFETY: packets name a stream of their context; the packet is live.
        unsafe {
            let time_base = (*self.stream(index)).time_base;
            av_packet_rescale_ts(packet.as_mut_ptr(), time_base, MICROSECONDS);
        }
        Ok((index, packet))
    }

    /// Goes on at the last place at or before `to_us` from which pictures can be decoded.
    pub(crate) fn seek(&mut self, to_us: i64) -> Result<(), Error> {
        // SAFETY: the context is open; stream -1 stands for a time in microseconds of all of them.
        check(unsafe {
            avformat_seek_file(
                self.context.as_ptr(),
                -1,
                i64::MIN,
                to_us,
                to_us,
                AVSEEK_FLAG_BACKWARD,
            )
        })
        .map(drop)
    }

    fn stream(&self, index: usize) -> *mut AVStream {
        // SAFETY: the callers use numbers that the context gave, which are below its count of streams.
        unsafe { *(*self.context.as_ptr()).streams.add(index) }
    }

    fn facts(&self, index: usize) -> Result<StreamFacts, Error> {
        let stream = self.stream(index);
        let mut parameters = codec::Parameters::new();
        // SAFETY: the stream belongs to the open context; the parameters are copied.
        let (time_base, start, duration, rate) = unsafe {
            check(avcodec_parameters_copy(
                parameters.as_mut_ptr(),
                (*stream).codecpar,
            ))?;
            (
                (*stream).time_base,
                (*stream).start_time,
                (*stream).duration,
                (*stream).avg_frame_rate,
            )
        };
        let microseconds = |time: i64| {
            (time != AV_NOPTS_VALUE && time_base.den != 0).then(|| {
                let scaled =
                    i128::from(time) * i128::from(time_base.num) * i128::from(AV_TIME_BASE)
                        / i128::from(time_base.den);
                scaled.clamp(i128::from(i64::MIN / 4), i128::from(i64::MAX / 4)) as i64
            })
        };
        Ok(StreamFacts {
            index,
            parameters: SharedParameters::from(parameters),
            start_us: microseconds(start),
            duration_us: microseconds(duration).filter(|duration| *duration > 0),
            frames_per_second: (rate.num > 0 && rate.den > 0)
                .then(|| f64::from(rate.num) / f64::from(rate.den)),
            quarter_turns: quarter_turns(stream),
            has_alpha_mode: has_alpha_mode(stream),
        })
    }
}

impl Drop for InputContext {
    fn drop(&mut self) {
        let mut context = self.context.as_ptr();
        // SAFETY: the context is open and owned; the call closes its I/O as well.
        unsafe { avformat_close_input(&raw mut context) };
    }
}

/// Reads a stream's display matrix.
fn quarter_turns(stream: *mut AVStream) -> u8 {
    const MATRIX_BYTES: usize = 36;
    let mut size = 0;
    // SAFETY: the stream is live; `size` is set to the bytes of what is found.
    let matrix = unsafe {
        av_stream_get_side_data(
            stream,
            AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
            &raw mut size,
        )
    };
    if matrix.is_null() || size < MATRIX_BYTES {
        return 0;
    }
    // SAFETY: the matrix has nine numbers of 32 bits, which FFmpeg allocates with their alignment.
    let counter_clockwise = unsafe { av_display_rotation_get(matrix.cast()) };
    if counter_clockwise.is_nan() {
        return 0;
    }
    let turns = (-counter_clockwise / 90.0).round() as i64;
    turns.rem_euclid(4) as u8
}

fn has_alpha_mode(stream: *mut AVStream) -> bool {
    // SAFETY: the stream and its dictionary are live and not changed meanwhile; the key ends in NUL, and so does the value.
    unsafe {
        let entry = av_dict_get((*stream).metadata, c"alpha_mode".as_ptr(), ptr::null(), 0);
        !entry.is_null() && CStr::from_ptr((*entry).value) == c"1"
    }
}

unsafe extern "C" fn interrupted(opaque: *mut c_void) -> c_int {
    // SAFETY: `opaque` is the `Interrupt` that the context's owner keeps alive.
    let interrupt = unsafe { &*opaque.cast_const().cast::<Interrupt>() };
    c_int::from(interrupt.is_due())
}
