//! Sound out of packets, as stereo at 48 kHz.

use ffmpeg::format::Sample;
use ffmpeg::format::sample::Type;
use ffmpeg::software::resampling;
use ffmpeg::{ChannelLayout, frame};
use ffmpeg_next as ffmpeg;

use super::{CodedPacket, MediaStream, Tolerant};
use crate::error::CodecError;
use crate::ffi;

/// Samples a second of what comes out.
pub const DECODED_RATE: u32 = 48_000;
/// Samples that come out of one frame at the most: more than a second.
const SAMPLES_MAX: usize = 1 << 16;
/// Timestamps that stray by less are rounded ones, of containers that count milliseconds.
const STRAY_US: i64 = 2_000;
/// Timestamps that stray by more are a gap, or a jump.
const JUMP_US: i64 = 60_000;

/// Decodes one stream of sound. What comes out follows on without a gap as long as the timestamps do.
pub struct AudioDecoder {
    decoder: Tolerant,
    codec: String,
    frame: frame::Audio,
    resampler: Option<Resampler>,
    output: frame::Audio,
    /// When the next sample is due, in microseconds and a fraction.
    due_us: Option<f64>,
    /// No packet follows.
    has_ended: bool,
}

struct Resampler {
    context: resampling::Context,
    is_mono: bool,
}

impl AudioDecoder {
    /// Opens the decoder.
    ///
    /// # Errors
    /// This FFmpeg cannot decode it.
    pub fn open(stream: &MediaStream) -> Result<Self, CodecError> {
        ffi::initialize();
        Ok(Self {
            decoder: Tolerant::open(stream, None, false)?,
            codec: stream.codec(),
            frame: frame::Audio::empty(),
            resampler: None,
            output: frame::Audio::new(
                Sample::F32(Type::Packed),
                SAMPLES_MAX,
                ChannelLayout::STEREO,
            ),
            due_us: None,
            has_ended: false,
        })
    }

    /// Gives it a packet. Take all sound out before the next.
    ///
    /// # Errors
    /// The decoder could not be opened anew.
    pub fn send(&mut self, packet: &CodedPacket) -> Result<(), CodecError> {
        self.decoder.send(packet)
    }

    /// Puts the next samples into `samples`, left and right, and gives the time of the first in microseconds.
    ///
    /// # Errors
    /// Sound of a kind that cannot be resampled.
    pub fn receive(&mut self, samples: &mut Vec<[f32; 2]>) -> Result<Option<i64>, CodecError> {
        samples.clear();
        loop {
            if !self.decoder.receive(&mut self.frame) {
                return Ok(self.last(samples));
            }
            if self.frame.samples() == 0 || self.frame.rate() == 0 {
                continue;
            }
            let delayed_us = self.convert(samples)?;
            let told_us = ffi::best_time_us(&self.frame).map(|time| time as f64 - delayed_us);
            if samples.is_empty() {
                continue;
            }
            let begins_us = self.place(told_us);
            self.due_us =
                Some(begins_us + samples.len() as f64 * 1_000_000.0 / f64::from(DECODED_RATE));
            return Ok(Some(begins_us.round() as i64));
        }
    }

    /// When samples begin that are told to begin at `told_us`. They follow on, unless the times say otherwise.
    fn place(&self, told_us: Option<f64>) -> f64 {
        let Some(due_us) = self.due_us else {
            return told_us.unwrap_or(0.0);
        };
        let Some(told_us) = told_us else {
            return due_us;
        };
        let stray_us = told_us - due_us;
        if stray_us.abs() < STRAY_US as f64 {
            due_us
        } else if stray_us.abs() < JUMP_US as f64 {
            // A clock that runs a little faster or slower is followed, without a step.
            due_us + (stray_us.abs() - STRAY_US as f64).copysign(stray_us) / 32.0
        } else {
            told_us
        }
    }

    /// Resamples the frame, and gives the microseconds by which what comes out is before what went in.
    fn convert(&mut self, samples: &mut Vec<[f32; 2]>) -> Result<f64, CodecError> {
        let error = |error| CodecError::decoder("resample", &self.codec, error);
        let is_mono = self.frame.channels() == 1;
        if self.frame.channel_layout().bits() == 0 {
            let layout = ChannelLayout::default(self.frame.channels().into());
            self.frame.set_channel_layout(layout);
        }
        let (format, layout, rate) = (
            self.frame.format(),
            self.frame.channel_layout(),
            self.frame.rate(),
        );
        let fits = self.resampler.as_ref().is_some_and(|resampler| {
            let input = resampler.context.input();
            (input.format, input.channel_layout, input.rate) == (format, layout, rate)
        });
        if !fits {
            // One channel is put into both by ourselves, as mixing it in would make it 3 dB quieter.
            let to = if is_mono {
                ChannelLayout::MONO
            } else {
                ChannelLayout::STEREO
            };
            let context = resampling::Context::get(
                format,
                layout,
                rate,
                Sample::F32(Type::Packed),
                to,
                DECODED_RATE,
            )
            .map_err(error)?;
            if self.output.channel_layout() != to {
                self.output = frame::Audio::new(Sample::F32(Type::Packed), SAMPLES_MAX, to);
            }
            self.output.set_rate(DECODED_RATE);
            self.resampler = Some(Resampler { context, is_mono });
        }
        let Some(resampler) = &mut self.resampler else {
            return Ok(0.0);
        };
        let delayed_us = resampler.context.delay().map_or(0.0, |delay| {
            delay.input as f64 * 1_000_000.0 / f64::from(rate)
        });
        self.output.set_samples(SAMPLES_MAX);
        resampler
            .context
            .run(&self.frame, &mut self.output)
            .map_err(error)?;
        take_samples(&self.output, resampler.is_mono, samples);
        Ok(delayed_us)
    }

    /// No packet follows: what is inside comes out.
    pub fn end(&mut self) {
        self.decoder.end();
        self.has_ended = true;
    }

    /// What the resampler holds back until it knows that nothing follows; it comes out once.
    fn last(&mut self, samples: &mut Vec<[f32; 2]>) -> Option<i64> {
        let mut resampler = self.resampler.take_if(|_| self.has_ended)?;
        self.output.set_samples(SAMPLES_MAX);
        resampler.context.flush(&mut self.output).ok()?;
        take_samples(&self.output, resampler.is_mono, samples);
        let begins_us = self.due_us?;
        (!samples.is_empty()).then_some(begins_us.round() as i64)
    }

    /// Forgets everything, to go on at another place.
    pub fn flush(&mut self) {
        self.decoder.flush();
        self.has_ended = false;
        self.resampler = None;
        self.due_us = None;
    }

    /// Packets and frames that could not be decoded.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.decoder.broken
    }
}

/// Adds what stands in a frame that was resampled.
fn take_samples(output: &frame::Audio, is_mono: bool, samples: &mut Vec<[f32; 2]>) {
    let count = output.samples().min(SAMPLES_MAX);
    if count == 0 {
        return;
    }
    if is_mono {
        let plane = output.plane::<f32>(0);
        samples.extend(plane.iter().take(count).map(|&sample| [sample, sample]));
    } else {
        let plane = output.plane::<(f32, f32)>(0);
        samples.extend(plane.iter().take(count).map(|&(left, right)| [left, right]));
    }
}
