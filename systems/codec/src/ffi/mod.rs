//! The calls into FFmpeg that ffmpeg-next has no safe form of, and those into the kernel that FFmpeg has none of, each
//! behind a safe function or type.
//!
//! All `unsafe` of this crate is in this folder.

mod codec;
mod decoder;
mod frame;
mod hardware;
mod input;
mod log;
mod output;
mod picture;
mod scale;
mod srt_log;
mod transport;

use std::sync::Once;

use ffmpeg_next as ffmpeg;

pub(crate) use codec::{
    Rate, SharedParameters, flag_global_header, open_codec, set_rate, stream_parameters,
};
pub(crate) use decoder::{DecoderContext, best_time_us};
pub(crate) use frame::{SampleFrame, send_borrowed_frame};
pub(crate) use hardware::{Nv12Frame, VaapiUpload};
pub(crate) use input::{InputContext, StreamFacts};
pub(crate) use log::listening;
pub(crate) use output::OutputContext;
pub(crate) use picture::{
    Description, FramePlanes, Matrix, copy_upright, describe_picture, reference_frame, turn,
};
pub(crate) use scale::PictureScaler;
pub(crate) use srt_log::hearing_refusal;
pub(crate) use transport::{BufferTag, TcpSocket};

/// Registers FFmpeg's networking and the log, once.
pub(crate) fn initialize() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It can only fail without memory; opening anything then says so.
        if let Err(error) = ffmpeg::init() {
            tracing::error!(%error, "FFmpeg did not start");
        }
        log::install();
        srt_log::install();
    });
}

/// The major version of the libavformat in use.
pub(crate) fn format_version_major() -> u32 {
    // SAFETY: the call has no conditions.
    (unsafe { ffmpeg::ffi::avformat_version() }) >> 16
}

/// A further reference to the payload of `packet`, with its own timestamps.
pub(crate) fn reference(packet: &ffmpeg::Packet) -> ffmpeg::Packet {
    use ffmpeg::packet::{Mut, Ref};
    let mut copy = ffmpeg::Packet::empty();
    // SAFETY: both pointers are to live packets, `copy` is blank as `av_packet_ref` demands, and the buffer's
    // count is atomic. Failure means no memory and leaves `copy` blank, which muxers refuse.
    let result = unsafe { ffmpeg::ffi::av_packet_ref(copy.as_mut_ptr(), packet.as_ptr()) };
    if result < 0 {
        tracing::error!(error = %ffmpeg::Error::from(result), "a packet could not be referenced");
    }
    copy
}
