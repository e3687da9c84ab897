//! AAC-LC by FFmpeg's own encoder, and Opus by libopus.

use std::sync::Arc;

use ffmpeg::format::sample::Type;
use ffmpeg::{ChannelLayout, codec, format};
use ffmpeg_next as ffmpeg;

use crate::codecs::AudioCodec;
use crate::error::CodecError;
use crate::ffi;
use crate::packet::{Coding, Packet, StreamDescription, StreamKind, TimeBase};
use crate::settings::AudioSettings;

/// FFmpeg's name of a codec's encoder.
fn name_of(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Aac => "aac",
        AudioCodec::Opus => "libopus",
    }
}

/// Samples in a frame: of AAC-LC (ISO/IEC 14496-3), and 20 ms of Opus, which is the most that it encodes at once without
/// loss (RFC 6716, section 2.1.4).
fn frame_samples(codec: AudioCodec) -> usize {
    match codec {
        AudioCodec::Aac => 1024,
        AudioCodec::Opus => 960,
    }
}

fn options(codec: AudioCodec) -> &'static [(&'static str, &'static str)] {
    match codec {
        AudioCodec::Aac => &[],
        AudioCodec::Opus => &[
            ("application", "audio"),
            ("frame_duration", "20"),
            // The mean is kept over a second, as an output's rate needs.
            ("vbr", "constrained"),
        ],
    }
}

/// Turns stereo samples into packets.
///
/// Timestamps count samples. The encoder puts some samples of priming before the first one (1024 for AAC, 312 for Opus),
/// so that the first packet's timestamp is as many samples before the start, and each packet's timestamp is the moment
/// at which a decoder's output of it must sound: sound and picture meet with no offset when the timestamps are kept.
pub struct AudioEncoder {
    name: &'static str,
    encoder: codec::encoder::audio::Audio,
    stream: StreamDescription,
    frame: ffi::SampleFrame,
    /// Timestamp of the first sample in `frame`.
    pts: i64,
    /// Samples by which timestamps are earlier than the samples came.
    late: i64,
}

impl AudioEncoder {
    /// Opens the encoder.
    ///
    /// # Errors
    /// A setting out of its range, or a refusal by FFmpeg.
    pub fn open(settings: &AudioSettings) -> Result<Self, CodecError> {
        ffi::initialize();
        settings.validate()?;
        let name = name_of(settings.codec);
        let codec =
            ffmpeg::encoder::find_by_name(name).ok_or(CodecError::EncoderMissing { name })?;
        let error = |error| CodecError::encoder("open", name, error);
        let mut encoder = codec::Context::new_with_codec(codec)
            .encoder()
            .audio()
            .map_err(error)?;
        let time_base = TimeBase {
            numerator: 1,
            denominator: settings.sample_rate.cast_signed(),
        };
        encoder.set_rate(settings.sample_rate.cast_signed());
        let layout = match settings.codec {
            AudioCodec::Aac => Type::Planar,
            AudioCodec::Opus => Type::Packed,
        };
        encoder.set_format(format::Sample::F32(layout));
        encoder.set_channel_layout(ChannelLayout::STEREO);
        encoder.set_time_base(time_base.rational());
        encoder.set_bit_rate(settings.bitrate_kbps as usize * 1000);
        ffi::flag_global_header(&mut encoder);
        let options: Vec<(&str, String)> = options(settings.codec)
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        if let Some(names) = ffi::open_codec(&mut encoder, &options).map_err(error)? {
            return Err(CodecError::UnusedOptions {
                what: name.to_owned(),
                names,
            });
        }
        let stream = StreamDescription {
            parameters: Arc::new(ffi::stream_parameters(&encoder).map_err(error)?),
            kind: StreamKind::Audio,
            coding: Coding::Audio(settings.codec),
            time_base,
            frame_rate: None,
        };
        let frame =
            ffi::SampleFrame::new(frame_samples(settings.codec), settings.sample_rate, layout);
        Ok(Self {
            name,
            encoder,
            stream,
            frame,
            pts: -i64::from(settings.late_samples),
            late: i64::from(settings.late_samples),
        })
    }

    /// What a muxer must know of this stream.
    #[must_use]
    pub fn stream(&self) -> &StreamDescription {
        &self.stream
    }

    /// Places the next sample at `samples` on the stream's clock. It is for an encoder that takes over from
    /// another: call it before the first [`AudioEncoder::push`].
    pub fn set_start(&mut self, samples: i64) {
        self.pts = samples - self.late;
    }

    /// Where the next sample will be, in samples of the stream's clock.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.pts + self.late + i64::try_from(self.frame.filled()).unwrap_or(0)
    }

    /// Takes any number of samples, as many left as right (the longer side is cut), -1 to 1.
    ///
    /// # Errors
    /// FFmpeg's; the encoder is of no more use then.
    pub fn push(
        &mut self,
        left: &[f32],
        right: &[f32],
        sink: &mut dyn FnMut(Packet),
    ) -> Result<(), CodecError> {
        self.push_all(left.len().min(right.len()), Some([left, right]), sink)
    }

    /// Takes `count` samples of silence.
    ///
    /// # Errors
    /// As [`AudioEncoder::push`].
    pub fn push_silence(
        &mut self,
        count: usize,
        sink: &mut dyn FnMut(Packet),
    ) -> Result<(), CodecError> {
        self.push_all(count, None, sink)
    }

    /// Encodes what is left and hands out the packets still inside. The encoder takes no samples afterwards.
    ///
    /// # Errors
    /// FFmpeg's.
    pub fn flush(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        if self.frame.filled() > 0 {
            self.send(sink)?;
        }
        self.encoder
            .send_eof()
            .map_err(|error| CodecError::encoder("flush", self.name, error))?;
        self.drain(sink)
    }

    fn push_all(
        &mut self,
        count: usize,
        samples: Option<[&[f32]; 2]>,
        sink: &mut dyn FnMut(Packet),
    ) -> Result<(), CodecError> {
        let mut taken = 0;
        while taken < count {
            let rest = samples.map(|[left, right]| [&left[taken..], &right[taken..]]);
            taken += self
                .frame
                .fill(count - taken, rest)
                .map_err(|error| CodecError::encoder("feed", self.name, error))?;
            if self.frame.free() == 0 {
                self.send(sink)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        let samples = self.frame.filled();
        self.frame
            .send(&mut self.encoder, self.pts)
            .map_err(|error| CodecError::encoder("feed", self.name, error))?;
        self.pts += i64::try_from(samples).unwrap_or(0);
        self.drain(sink)
    }

    fn drain(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        loop {
            let mut packet = ffmpeg::Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => sink(Packet::new(
                    packet,
                    StreamKind::Audio,
                    self.stream.time_base,
                )),
                Err(
                    ffmpeg::Error::Other {
                        errno: ffmpeg::error::EAGAIN,
                    }
                    | ffmpeg::Error::Eof,
                ) => return Ok(()),
                Err(error) => return Err(CodecError::encoder("drain", self.name, error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_count_samples_from_the_priming() {
        for (codec, priming, length) in
            [(AudioCodec::Aac, 1024, 1024), (AudioCodec::Opus, 312, 960)]
        {
            let settings = AudioSettings {
                codec,
                late_samples: 144,
                ..AudioSettings::default()
            };
            let mut encoder = AudioEncoder::open(&settings).expect("an encoder");
            let mut packets = Vec::new();
            let mut sink = |packet: Packet| packets.push((packet.pts(), packet.duration()));
            encoder.set_start(48_000);
            // Odd amounts, so that frames and pushes do not meet.
            for samples in [1, 1023, 1600, 1601, 5000] {
                let wave = vec![0.25; samples];
                encoder
                    .push(&wave, &wave, &mut sink)
                    .expect("samples taken");
            }
            encoder.push_silence(775, &mut sink).expect("samples taken");
            assert_eq!(encoder.position(), 48_000 + 10_000);
            encoder.flush(&mut sink).expect("the last packets");
            for (index, (pts, _)) in packets.iter().enumerate() {
                let expected = 48_000 - 144 - priming + index as i64 * length;
                assert_eq!(*pts, expected, "{codec}");
            }
            assert!(
                packets[..packets.len() - 1]
                    .iter()
                    .all(|(_, duration)| *duration == length)
            );
            let (pts, duration) = packets.last().expect("packets");
            assert!(
                pts + duration >= 58_000 - 144,
                "{codec}: the end is in {pts} + {duration}"
            );
        }
    }

    #[test]
    fn opus_says_its_rate() {
        let settings = AudioSettings {
            codec: AudioCodec::Opus,
            sample_rate: 44_100,
            ..AudioSettings::default()
        };
        let error = AudioEncoder::open(&settings).err().expect("a refusal");
        assert_eq!(
            error.to_string(),
            "audio sample_rate is 44100: Opus needs 48000 Hz"
        );
    }

    #[test]
    fn bad_bitrates_are_refused() {
        let settings = AudioSettings {
            bitrate_kbps: 1,
            ..AudioSettings::default()
        };
        assert!(matches!(
            AudioEncoder::open(&settings),
            Err(CodecError::Setting { .. })
        ));
    }
}
