//! Video encoders: frames in, packets out, keyframes on a fixed beat, no B-frames.

use std::sync::Arc;

use ffmpeg::{Rational, codec, color};
use ffmpeg_next as ffmpeg;
use raster::I420Frame;

use crate::codecs::{Acceleration, VideoCodec};
use crate::error::CodecError;
use crate::ffi;
use crate::packet::{Coding, Packet, StreamDescription, StreamKind, TimeBase};
use crate::rfc6381;
use crate::settings::{RateControl, VideoSettings};
use backend::{Backend, Feed};

mod backend;
#[cfg(test)]
mod tests;

/// Hardware that was wanted and could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// What the settings ask for.
    pub wanted: Acceleration,
    /// FFmpeg's name of the software encoder that does the work.
    pub used: &'static str,
    /// Why, for each encoder that was tried.
    pub reason: String,
}

/// Turns frames into packets. Software reads each frame where it lies and holds on to it only until the encoder has
/// taken it in; NVENC does too, and other hardware gets a copy.
pub struct VideoEncoder {
    encoder: codec::encoder::video::Video,
    backend: Backend,
    feed: Feed,
    fallback: Option<Fallback>,
    settings: VideoSettings,
    stream: StreamDescription,
    keyframe_requested: bool,
    /// Frames given since the last keyframe, with it, where the encoder does not count them itself.
    frames_since_keyframe: u32,
}

impl VideoEncoder {
    /// Opens the encoder. Where hardware is wanted and cannot be had, software takes its place, which the log and
    /// [`VideoEncoder::fallback`] tell.
    ///
    /// # Errors
    /// A setting out of its range, an FFmpeg without the software encoder, or a refusal by that.
    pub fn open(settings: &VideoSettings) -> Result<Self, CodecError> {
        Self::open_at(settings, None)
    }

    /// As [`VideoEncoder::open`], for an encoder that is to go on with `stream` in the place of one that is lost: its headers keep the
    /// level that the stream began with, whatever the bitrate is by now.
    ///
    /// # Errors
    /// As [`VideoEncoder::open`].
    pub fn open_after(
        settings: &VideoSettings,
        stream: &StreamDescription,
    ) -> Result<Self, CodecError> {
        Self::open_at(settings, level_of(settings.codec, stream))
    }

    /// Opens the encoder with a level of H.264, times ten.
    fn open_at(settings: &VideoSettings, level: Option<u8>) -> Result<Self, CodecError> {
        ffi::initialize();
        settings.validate()?;
        let software = Backend::software(settings.codec);
        if settings.acceleration == Acceleration::None {
            return Self::open_with(software, settings, level);
        }
        let reason = match Self::open_hardware(settings, level) {
            Ok(encoder) => return Ok(encoder),
            Err(reason) => reason,
        };
        let fallback = Fallback {
            wanted: settings.acceleration,
            used: software.name(),
            reason,
        };
        tracing::warn!(
            wanted = %fallback.wanted,
            used = fallback.used,
            reason = fallback.reason,
            "no hardware encoder could be opened; software does the work"
        );
        let mut encoder = Self::open_with(software, settings, level)?;
        encoder.fallback = Some(fallback);
        Ok(encoder)
    }

    /// The first of the wanted hardware that opens, or why none did.
    fn open_hardware(settings: &VideoSettings, level: Option<u8>) -> Result<Self, String> {
        if settings.codec != VideoCodec::H264 {
            let codec = settings.codec.label();
            return Err(format!("hardware is used for H.264 alone, not for {codec}"));
        }
        if !matches!(settings.rate_control, RateControl::Constant { .. }) {
            return Err("hardware is used for a constant bitrate alone".to_owned());
        }
        let mut reasons = Vec::new();
        for backend in Backend::hardware(settings.acceleration) {
            match ffi::listening(|| Self::open_with(*backend, settings, level)) {
                (Ok(encoder), _) => return Ok(encoder),
                (Err(error), words) => {
                    match words.or_else(|| backend.missing().map(str::to_owned)) {
                        Some(words) => reasons.push(format!("{error} ({words})")),
                        None => reasons.push(error.to_string()),
                    }
                }
            }
        }
        Err(reasons.join("; "))
    }

    /// Opens one of FFmpeg's encoders. `level` is H.264's, times ten; `None` lets the encoder choose the least.
    fn open_with(
        backend: Backend,
        settings: &VideoSettings,
        level: Option<u8>,
    ) -> Result<Self, CodecError> {
        let name = backend.name();
        let codec =
            ffmpeg::encoder::find_by_name(name).ok_or(CodecError::EncoderMissing { name })?;
        let error = |error| CodecError::encoder("open", name, error);
        let mut encoder = codec::Context::new_with_codec(codec)
            .encoder()
            .video()
            .map_err(error)?;
        let rate = Rational(
            settings.frame_rate.numerator.cast_signed(),
            settings.frame_rate.denominator.cast_signed(),
        );
        let time_base = TimeBase {
            numerator: rate.1,
            denominator: rate.0,
        };
        encoder.set_width(settings.width);
        encoder.set_height(settings.height);
        encoder.set_format(backend.pixels());
        encoder.set_time_base(time_base.rational());
        encoder.set_frame_rate(Some(rate));
        encoder.set_aspect_ratio(Rational(1, 1));
        encoder.set_gop(settings.keyframe_interval_frames());
        encoder.set_max_b_frames(0);
        encoder.set_colorspace(color::Space::BT709);
        encoder.set_color_range(color::Range::MPEG);
        encoder.set_color_primaries(color::Primaries::BT709);
        encoder.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        ffi::set_rate(&mut encoder, backend.rate(settings));
        ffi::flag_global_header(&mut encoder);
        let feed = backend.feed(&mut encoder, settings).map_err(error)?;
        let mut options = backend.options(settings);
        options.extend(level.map(|level| ("level", level.to_string())));
        if let Some(names) = ffi::open_codec(&mut encoder, &options).map_err(error)? {
            return Err(CodecError::UnusedOptions {
                what: name.to_owned(),
                names,
            });
        }
        let stream = StreamDescription {
            parameters: Arc::new(ffi::stream_parameters(&encoder).map_err(error)?),
            kind: StreamKind::Video,
            coding: Coding::Video(settings.codec),
            time_base,
            frame_rate: Some(settings.frame_rate),
        };
        Ok(Self {
            encoder,
            backend,
            feed,
            fallback: None,
            settings: settings.clone(),
            stream,
            keyframe_requested: false,
            frames_since_keyframe: 0,
        })
    }

    /// A new encoder for `settings` by the same of FFmpeg's encoders, to take over the stream of this one: flush this
    /// one, and go on with the other at the next timestamp. It begins with a keyframe, and its headers are the same, so
    /// that outputs stay connected. It is how a new bitrate is taken up where
    /// [`VideoEncoder::changes_bitrate_live`] is false.
    ///
    /// # Errors
    /// As [`VideoEncoder::open`]; [`CodecError::OtherHeaders`] when a stream cannot go on with it.
    pub fn reopened(&self, settings: &VideoSettings) -> Result<Self, CodecError> {
        settings.validate()?;
        let level = level_of(self.settings.codec, &self.stream);
        let next = Self {
            fallback: self.fallback.clone(),
            ..Self::open_with(self.backend, settings, level)?
        };
        let is_same = |of: fn(&Self) -> (u32, u32)| of(self) == of(&next);
        let continues = self.settings.codec == settings.codec
            && self.settings.frame_rate == settings.frame_rate
            && is_same(|encoder| (encoder.settings.width, encoder.settings.height))
            && self.stream.headers() == next.stream.headers();
        if continues {
            Ok(next)
        } else {
            Err(CodecError::OtherHeaders {
                encoder: self.backend.name(),
            })
        }
    }

    /// What a muxer must know of this stream. The same settings always give the same description.
    #[must_use]
    pub fn stream(&self) -> &StreamDescription {
        &self.stream
    }

    /// The settings in force, with the bitrate that was set last.
    #[must_use]
    pub fn settings(&self) -> &VideoSettings {
        &self.settings
    }

    /// FFmpeg's name of the encoder that does the work, such as "libx264" or "h264_nvenc".
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.backend.name()
    }

    /// Why software does the work, when hardware was to do it.
    #[must_use]
    pub fn fallback(&self) -> Option<&Fallback> {
        self.fallback.as_ref()
    }

    /// Whether [`VideoEncoder::set_bitrate_kbps`] has an effect. Otherwise a new bitrate needs a new encoder:
    /// [`VideoEncoder::reopened`].
    #[must_use]
    pub fn changes_bitrate_live(&self) -> bool {
        self.backend.changes_bitrate_live()
    }

    /// Gives one frame, to be shown at `pts` frames of the frame rate (larger on each call), and hands the packets
    /// that are ready, of this or of earlier frames, to `sink`.
    ///
    /// # Errors
    /// A frame of another size is refused and changes nothing. After any other error the encoder is of no more use.
    pub fn encode(
        &mut self,
        frame: &Arc<I420Frame>,
        pts: i64,
        sink: &mut dyn FnMut(Packet),
    ) -> Result<(), CodecError> {
        let (width, height) = (self.settings.width, self.settings.height);
        let (actual_width, actual_height) = (frame.width(), frame.height());
        if (actual_width, actual_height) != (width, height) {
            return Err(CodecError::FrameSize {
                width,
                height,
                actual_width,
                actual_height,
            });
        }
        let is_due = !self.backend.keeps_beat()
            && self.frames_since_keyframe >= self.settings.keyframe_interval_frames();
        let keyframe = std::mem::take(&mut self.keyframe_requested) || is_due;
        self.frames_since_keyframe = if keyframe {
            1
        } else {
            self.frames_since_keyframe.saturating_add(1)
        };
        self.feed
            .send(&mut self.encoder, frame, pts, keyframe)
            .map_err(|error| CodecError::encoder("feed", self.name(), error))?;
        self.drain(sink)
    }

    /// Hands out the packets still inside. The encoder takes no frame afterwards.
    ///
    /// # Errors
    /// FFmpeg's.
    pub fn flush(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        self.encoder
            .send_eof()
            .map_err(|error| CodecError::encoder("flush", self.name(), error))?;
        self.drain(sink)
    }

    /// Changes the bitrate from the next frame on, with no new headers: outputs stay connected.
    ///
    /// # Errors
    /// [`CodecError::Setting`] when it is out of the range of [`VideoSettings::bitrate_kbps`];
    /// [`CodecError::FixedBitrate`] when this encoder cannot ([`VideoEncoder::changes_bitrate_live`]). Nothing changes
    /// then.
    pub fn set_bitrate_kbps(&mut self, bitrate_kbps: u32) -> Result<(), CodecError> {
        let settings = VideoSettings {
            bitrate_kbps,
            ..self.settings.clone()
        };
        settings.validate()?;
        if !self.changes_bitrate_live() {
            return Err(CodecError::FixedBitrate {
                encoder: self.name(),
            });
        }
        ffi::set_rate(&mut self.encoder, self.backend.rate(&settings));
        self.settings = settings;
        Ok(())
    }

    /// Makes the next frame a keyframe (IDR), from which a new receiver can start.
    pub fn request_keyframe(&mut self) {
        self.keyframe_requested = true;
    }

    fn drain(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        loop {
            let mut packet = ffmpeg::Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    // The encoders leave it at 0, and MP4 and HLS need it.
                    packet.set_duration(1);
                    sink(Packet::new(
                        packet,
                        StreamKind::Video,
                        self.stream.time_base,
                    ));
                }
                Err(
                    ffmpeg::Error::Other {
                        errno: ffmpeg::error::EAGAIN,
                    }
                    | ffmpeg::Error::Eof,
                ) => return Ok(()),
                Err(error) => return Err(CodecError::encoder("drain", self.name(), error)),
            }
        }
    }
}

/// The level that a stream of H.264 began with, times ten: the one for a lower bitrate may be a lower one.
fn level_of(codec: VideoCodec, stream: &StreamDescription) -> Option<u8> {
    match codec {
        VideoCodec::H264 => rfc6381::avc_level(stream.headers()),
        VideoCodec::Vp8 | VideoCodec::Vp9 => None,
    }
}
