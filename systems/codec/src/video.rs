//! H.264 by libx264: constant bitrate, keyframes on a fixed beat, no B-frames.

use std::sync::Arc;

use ffmpeg::{Rational, codec, color, format, frame};
use ffmpeg_next as ffmpeg;
use raster::I420Frame;

use crate::error::CodecError;
use crate::ffi;
use crate::packet::{Packet, StreamDescription, StreamKind, TimeBase};
use crate::settings::{RateControl, VideoSettings};

const NAME: &str = "libx264";

/// Turns frames into H.264 packets. It reads each frame where it lies and holds on to it only until the
/// encoder has taken it in.
pub struct VideoEncoder {
    encoder: codec::encoder::video::Video,
    settings: VideoSettings,
    stream: StreamDescription,
    /// Blank between frames.
    holder: frame::Video,
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
        let codec =
            ffmpeg::encoder::find_by_name(NAME).ok_or(CodecError::EncoderMissing { name: NAME })?;
        let error = |error| CodecError::encoder("open", NAME, error);
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
        ffi::set_rate(&mut encoder, spending(settings));
        ffi::flag_global_header(&mut encoder);
        if let Some(names) = ffi::open_codec(&mut encoder, &options(settings)).map_err(error)? {
            return Err(CodecError::UnusedOptions {
                what: NAME.to_owned(),
                names,
            });
        }
        let stream = StreamDescription {
            parameters: Arc::new(ffi::stream_parameters(&encoder).map_err(error)?),
            kind: StreamKind::Video,
            time_base,
            frame_rate: Some(settings.frame_rate),
        };
        let holder = frame::Video::empty();
        Ok(Self {
            encoder,
            settings: settings.clone(),
            stream,
            holder,
            keyframe_requested: false,
        })
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
        let keyframe = std::mem::take(&mut self.keyframe_requested);
        ffi::send_borrowed_frame(&mut self.encoder, &mut self.holder, frame, pts, keyframe)
            .map_err(|error| CodecError::encoder("feed", NAME, error))?;
        self.drain(sink)
    }

    /// Hands out the packets still inside. The encoder takes no frame afterwards.
    ///
    /// # Errors
    /// FFmpeg's.
    pub fn flush(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        self.encoder
            .send_eof()
            .map_err(|error| CodecError::encoder("flush", NAME, error))?;
        self.drain(sink)
    }

    /// Changes the bitrate from the next frame on, with no new headers: outputs stay connected.
    ///
    /// # Errors
    /// [`CodecError::Setting`] when it is out of the range of [`VideoSettings::bitrate_kbps`]; nothing changes then.
    pub fn set_bitrate_kbps(&mut self, bitrate_kbps: u32) -> Result<(), CodecError> {
        let settings = VideoSettings {
            bitrate_kbps,
            ..self.settings.clone()
        };
        settings.validate()?;
        ffi::set_rate(&mut self.encoder, spending(&settings));
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
                    // libx264 leaves it at 0, and MP4 and HLS need it.
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
                Err(error) => return Err(CodecError::encoder("drain", NAME, error)),
            }
        }
    }
}

fn options(settings: &VideoSettings) -> Vec<(&'static str, String)> {
    let mut options = vec![
        ("preset", settings.preset.to_string()),
        ("profile", "high".to_owned()),
        ("threads", settings.threads.to_string()),
        // A keyframe at each cut would break the beat that segments and joining viewers rely on.
        ("sc_threshold", "0".to_owned()),
        ("forced-idr", "1".to_owned()),
        // There is no `nal-hrd=cbr`: it writes the rate into the headers, and libx264 then refuses to change it live.
    ];
    if settings.preset.has_common_headers() {
        // One of these can follow another while the stream goes on: all of them write the same headers then.
        options.push(("refs", "1".to_owned()));
    }
    if let RateControl::Quality { rate_factor } = settings.rate_control {
        options.push(("crf", rate_factor.to_string()));
    }
    if settings.low_latency {
        options.push(("tune", "zerolatency".to_owned()));
        return options;
    }
    if let Some(frames) = settings.lookahead_frames {
        options.push(("rc-lookahead", frames.to_string()));
    }
    // libx264 would hold one frame back to see the next one's time, and another for a lookahead thread that has nothing to do.
    // Without a lookahead it has no macroblock tree either, and would say so.
    let private = if settings.lookahead_frames == Some(0) {
        "force-cfr=1:sync-lookahead=0:mbtree=0"
    } else {
        "force-cfr=1"
    };
    options.push(("x264-params", private.to_owned()));
    options
}

/// Of the wanted rate, what libx264 is told: with threads of frames it plans by the progress of the others, and goes over the rate by
/// up to an eighth for a second on a busy machine. What is left keeps every second within a tenth.
const CONSTANT_PERCENT: i64 = 97;

fn spending(settings: &VideoSettings) -> ffi::Rate {
    let bits_per_second = i64::from(settings.bitrate_kbps) * 1000;
    match settings.rate_control {
        RateControl::Constant { buffer_s } => {
            let bits_per_second = bits_per_second * CONSTANT_PERCENT / 100;
            // At most 200 Mbit/s times 10 s, which is below 2^31.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "bounded by the ranges that `validate` holds"
            )]
            let buffer_bits =
                (f64::from(settings.bitrate_kbps) * 1000.0 * f64::from(buffer_s)) as i32;
            ffi::Rate {
                bits_per_second,
                ceiling_bits_per_second: bits_per_second,
                buffer_bits,
            }
        }
        RateControl::Average => ffi::Rate {
            bits_per_second,
            ceiling_bits_per_second: 0,
            buffer_bits: 0,
        },
        RateControl::Quality { .. } => ffi::Rate {
            bits_per_second: 0,
            ceiling_bits_per_second: 0,
            buffer_bits: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::FrameRate;

    fn settings() -> VideoSettings {
        VideoSettings {
            width: 64,
            height: 48,
            frame_rate: FrameRate::whole(30),
            ..VideoSettings::default()
        }
    }

    fn frame() -> Arc<I420Frame> {
        Arc::new(I420Frame::new(64, 48).expect("a small frame"))
    }

    #[test]
    fn frames_are_lent_and_given_back() {
        for low_latency in [false, true] {
            let settings = VideoSettings {
                low_latency,
                ..settings()
            };
            let mut encoder = VideoEncoder::open(&settings).expect("libx264");
            let frame = frame();
            for pts in 0..10 {
                encoder
                    .encode(&frame, pts, &mut |_| {})
                    .expect("a frame taken");
                // libx264 takes it in at once, so that the pool has it back before the next tick.
                assert_eq!(Arc::strong_count(&frame), 1);
            }
        }
    }

    #[test]
    fn keyframes_come_on_the_beat_and_when_asked() {
        let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
        let frame = frame();
        let mut keys = Vec::new();
        let mut count = 0;
        let mut sink = |packet: Packet| {
            assert_eq!(
                (packet.pts(), packet.dts(), packet.duration()),
                (count, count, 1)
            );
            count += 1;
            if packet.is_video_key() {
                keys.push(packet.pts());
            }
        };
        for pts in 0..130 {
            if pts == 75 {
                encoder.request_keyframe();
            }
            encoder
                .encode(&frame, pts, &mut sink)
                .expect("a frame taken");
        }
        encoder.flush(&mut sink).expect("the last packets");
        assert_eq!(count, 130);
        assert_eq!(keys, [0, 60, 75]);
    }

    #[test]
    fn delay_is_what_the_settings_say() {
        for (low_latency, threads, delay) in [(true, 2, 0), (false, 1, 0), (false, 2, 1)] {
            let settings = VideoSettings {
                low_latency,
                threads,
                ..settings()
            };
            let mut encoder = VideoEncoder::open(&settings).expect("libx264");
            let frame = frame();
            let mut given = 0;
            for pts in 0..20 {
                encoder
                    .encode(&frame, pts, &mut |_| given += 1)
                    .expect("a frame taken");
            }
            assert_eq!(
                20 - given,
                delay,
                "low_latency {low_latency}, {threads} threads"
            );
        }
    }

    #[test]
    fn a_frame_of_another_size_is_refused() {
        let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
        let other = Arc::new(I420Frame::new(32, 32).expect("a small frame"));
        let refused = encoder.encode(&other, 0, &mut |_| {});
        assert!(matches!(
            refused,
            Err(CodecError::FrameSize {
                actual_width: 32,
                ..
            })
        ));
        assert_eq!(Arc::strong_count(&other), 1);
        encoder
            .encode(&frame(), 0, &mut |_| {})
            .expect("a frame taken");
    }

    #[test]
    fn clones_share_their_bytes() {
        let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
        let mut packets = Vec::new();
        for pts in 0..3 {
            encoder
                .encode(&frame(), pts, &mut |packet| packets.push(packet))
                .expect("a frame taken");
        }
        let clone = packets[0].clone();
        assert_eq!(clone.data().as_ptr(), packets[0].data().as_ptr());
        assert!(!clone.is_empty());
        // Annex B: SPS and PPS are in the description.
        assert!(encoder.stream().headers().starts_with(&[0, 0, 0, 1]));
    }

    #[test]
    fn bad_bitrates_are_refused_and_change_nothing() {
        let mut encoder = VideoEncoder::open(&settings()).expect("libx264");
        assert!(encoder.set_bitrate_kbps(0).is_err());
        assert_eq!(encoder.settings().bitrate_kbps, 4000);
        encoder.set_bitrate_kbps(1000).expect("a good bitrate");
        assert_eq!(encoder.settings().bitrate_kbps, 1000);
    }
}
