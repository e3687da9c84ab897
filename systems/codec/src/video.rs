//! H.264 by libx264: constant bitrate, keyframes on a fixed beat, no B-frames.

use std::sync::Arc;

use ffmpeg::{Rational, codec, color, format, frame};
use ffmpeg_next as ffmpeg;

use crate::error::CodecError;
use crate::packet::{Packet, StreamDescription, StreamKind, TimeBase};
use crate::settings::VideoSettings;
use crate::{I420Frame, ffi};

const NAME: &str = "libx264";

/// Turns frames into H.264 packets. It reads each frame where it lies and holds on to it only until the
/// encoder has taken it in.
pub struct VideoEncoder {
    encoder: codec::encoder::video::Video,
    settings: VideoSettings,
    stream: StreamDescription,
    time_base: TimeBase,
    /// Blank between frames.
    holder: frame::Frame,
    keyframe_requested: bool,
}

impl VideoEncoder {
    /// Opens the encoder.
    ///
    /// # Errors
    /// A setting out of its range, an FFmpeg without libx264, or a refusal by libx264.
    pub fn open(settings: &VideoSettings) -> Result<Self, CodecError> {
        ffi::initialize();
        settings.validate()?;
        let codec = ffmpeg::encoder::find_by_name(NAME).ok_or(CodecError::EncoderMissing { name: NAME })?;
        let error = |error| CodecError::encoder("open", NAME, error);
        let mut encoder = codec::Context::new_with_codec(codec).encoder().video().map_err(error)?;
        let rate = Rational(settings.frame_rate.numerator.cast_signed(), settings.frame_rate.denominator.cast_signed());
        let time_base = TimeBase { numerator: rate.1, denominator: rate.0 };
        encoder.set_width(settings.width);
        encoder.set_height(settings.height);
        encoder.set_format(format::Pixel::YUV420P);
        encoder.set_time_base(time_base.rational());
        encoder.set_frame_rate(Some(rate));
        encoder.set_aspect_ratio(Rational(1, 1));
        encoder.set_gop(settings.keyframe_interval_frames());
        encoder.set_max_b_frames(0);
        encoder.set_colorspace(color::Space::BT709);
        encoder.set_color_range(color::Range::MPEG);
        encoder.set_color_primaries(color::Primaries::BT709);
        encoder.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        ffi::set_rate(&mut encoder, bits_per_second(settings.bitrate_kbps), buffer_bits(settings));
        ffi::flag_global_header(&mut encoder);
        if let Some(names) = ffi::open_codec(&mut encoder, &options(settings)).map_err(error)? {
            return Err(CodecError::UnusedOptions { what: NAME.to_owned(), names });
        }
        let stream = StreamDescription {
            parameters: Arc::new(ffi::stream_parameters(&encoder).map_err(error)?),
            kind: StreamKind::Video,
            time_base,
            frame_rate: Some(settings.frame_rate),
        };
        // SAFETY-free blank frame: `empty` allocates only the structure.
        let holder = frame::Frame::clone_blank();
        Ok(Self { encoder, settings: settings.clone(), stream, time_base, holder, keyframe_requested: false })
    }
}
