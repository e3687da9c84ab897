//! Codec contexts: opening with a check of the options, live rates, and the description of the stream.

use ffmpeg::ffi::{
    AV_CODEC_FLAG_GLOBAL_HEADER, AVDictionary, av_dict_free, av_dict_get, av_dict_set,
    avcodec_open2, avcodec_parameters_from_context,
};
use ffmpeg::{Error, codec};
use ffmpeg_next as ffmpeg;
use std::ffi::{CStr, CString, c_int};
use std::ptr;

/// FFmpeg's dictionary of options, which shrinks by those that were understood.
pub(super) struct Options(*mut AVDictionary);

impl Options {
    pub(super) fn new(pairs: &[(&str, String)]) -> Result<Self, Error> {
        let mut options = Self(ptr::null_mut());
        for (key, value) in pairs {
            let key = CString::new(*key).map_err(|_| Error::InvalidData)?;
            let value = CString::new(value.as_str()).map_err(|_| Error::InvalidData)?;
            // SAFETY: the strings end in NUL and outlive the call, which copies them.
            check(unsafe { av_dict_set(&raw mut options.0, key.as_ptr(), value.as_ptr(), 0) })?;
        }
        Ok(options)
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut *mut AVDictionary {
        &raw mut self.0
    }

    /// The names that nobody took, separated by commas.
    pub(super) fn unused(&self) -> Option<String> {
        let mut names: Vec<String> = Vec::new();
        let mut entry = ptr::null_mut();
        loop {
            const AV_DICT_IGNORE_SUFFIX: c_int = 2;
            // SAFETY: the dictionary is live and not changed while it is walked; the empty key ends in NUL.
            entry = unsafe { av_dict_get(self.0, c"".as_ptr(), entry, AV_DICT_IGNORE_SUFFIX) };
            if entry.is_null() {
                break;
            }
            // SAFETY: an entry's key is a string that lives as long as the dictionary is unchanged.
            let key = unsafe { CStr::from_ptr((*entry).key) };
            names.push(key.to_string_lossy().into_owned());
        }
        (!names.is_empty()).then(|| names.join(", "))
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the pointer is null or to a dictionary that this value owns.
        unsafe { av_dict_free(&raw mut self.0) };
    }
}

/// Turns FFmpeg's result into ours.
pub(super) fn check(result: c_int) -> Result<c_int, Error> {
    if result < 0 {
        Err(Error::from(result))
    } else {
        Ok(result)
    }
}

/// Opens `context` for the codec that it was made for. Gives the names of the options nobody took.
pub(crate) fn open_codec(
    context: &mut codec::Context,
    options: &[(&str, String)],
) -> Result<Option<String>, Error> {
    let mut options = Options::new(options)?;
    // SAFETY: the context is live and was allocated for a codec, which a null codec then stands for.
    check(unsafe { avcodec_open2(context.as_mut_ptr(), ptr::null(), options.as_mut_ptr()) })?;
    Ok(options.unused())
}

/// Asks for codec headers in the stream's description, as FLV and MP4 need them, next to the flags set so far.
pub(crate) fn flag_global_header(context: &mut codec::Context) {
    // SAFETY: the context is live and this thread is its only user.
    unsafe { (*context.as_mut_ptr()).flags |= AV_CODEC_FLAG_GLOBAL_HEADER as c_int };
}

/// What an encoder may spend; 0 stands for no bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) bits_per_second: i64,
    pub(crate) ceiling_bits_per_second: i64,
    pub(crate) floor_bits_per_second: i64,
    pub(crate) buffer_bits: i32,
}

/// Sets the rate. On an open context of libx264 or NVENC it is read again before each frame (`reconfig_encoder` in
/// libavcodec/libx264.c and nvenc.c); the others do not look again.
pub(crate) fn set_rate(context: &mut codec::Context, rate: Rate) {
    // SAFETY: the context is live, this thread is its only user, and these are plain numbers.
    unsafe {
        let context = context.as_mut_ptr();
        (*context).bit_rate = rate.bits_per_second;
        (*context).rc_max_rate = rate.ceiling_bits_per_second;
        (*context).rc_min_rate = rate.floor_bits_per_second;
        (*context).rc_buffer_size = rate.buffer_bits;
        // Half full rather than nine tenths, so that the first second does not overshoot.
        (*context).rc_initial_buffer_occupancy = rate.buffer_bits / 2;
    }
}

/// The parameters of an open encoder, with its headers.
pub(crate) fn stream_parameters(context: &codec::Context) -> Result<SharedParameters, Error> {
    let mut parameters = codec::Parameters::new();
    // SAFETY: both are live; the call copies, so that nothing is shared afterwards.
    check(unsafe { avcodec_parameters_from_context(parameters.as_mut_ptr(), context.as_ptr()) })?;
    Ok(SharedParameters(parameters))
}

/// Codec parameters that are only read from now on.
pub(crate) struct SharedParameters(codec::Parameters);

// SAFETY: the parameters own plain memory with no tie to a thread, and there is no way to change them through a
// shared reference to this type.
unsafe impl Sync for SharedParameters {}

impl From<codec::Parameters> for SharedParameters {
    fn from(parameters: codec::Parameters) -> Self {
        Self(parameters)
    }
}

impl SharedParameters {
    pub(super) fn parameters(&self) -> &codec::Parameters {
        &self.0
    }

    /// Width and height of a picture, pixels; 0 for sound.
    pub(crate) fn size(&self) -> (u32, u32) {
        // SAFETY: the parameters are live and these are plain numbers.
        let (width, height) = unsafe {
            let parameters = self.0.as_ptr();
            ((*parameters).width, (*parameters).height)
        };
        (
            u32::try_from(width).unwrap_or(0),
            u32::try_from(height).unwrap_or(0),
        )
    }

    /// Samples that an audio encoder puts before the first one.
    pub(crate) fn priming_samples(&self) -> i64 {
        // SAFETY: the parameters are live and this is a plain number.
        i64::from(unsafe { (*self.0.as_ptr()).initial_padding })
    }

    pub(crate) fn extradata(&self) -> &[u8] {
        // SAFETY: FFmpeg keeps `extradata_size` bytes there, or null; they live as long as the parameters.
        unsafe {
            let parameters = self.0.as_ptr();
            let length = usize::try_from((*parameters).extradata_size).unwrap_or(0);
            if (*parameters).extradata.is_null() || length == 0 {
                return &[];
            }
            std::slice::from_raw_parts((*parameters).extradata, length)
        }
    }
}
