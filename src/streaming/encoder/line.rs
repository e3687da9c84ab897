//! What one encoder thread leaves to the next: the sound, the order of the packets, and how far the stream is.
//!
//! A thread that hangs in the encoder of pictures holds none of it, so that its successor goes on with the same sound encoder,
//! on the next sample.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use codec::{AudioEncoder, CodecError, FrameRate, Packet};
use crossbeam_channel::Receiver;

use super::interleave::Interleaver;
use super::{EncoderControl, EncoderSettings, REOPEN_AFTER, Watch};
use crate::streaming::error::StreamingError;
use crate::streaming::fan_out::FanOut;
use crate::streaming::media::AudioChunk;

/// The stream of a rendition behind the encoder of pictures.
pub(super) struct Line {
    pub(super) outputs: Interleaver,
    pub(super) audio: Option<AudioEncoder>,
    /// When to try again to open a sound encoder that is missing.
    reopen_at: Instant,
    /// Samples of the stream's clock that were given to the sound encoder; none before the first tick.
    samples_given: Option<u64>,
    /// Sound of a later tick than the one being encoded.
    sound_ahead: VecDeque<(u64, AudioChunk)>,
    /// The tick of the last picture that an encoder took in.
    pub(super) last_tick: Option<u64>,
    /// The tick of the last picture given out.
    last_out: Option<u64>,
}

impl Line {
    pub(super) fn new(fan_out: Arc<FanOut>, audio: Option<AudioEncoder>) -> Self {
        Self {
            outputs: Interleaver::new(fan_out),
            audio,
            reopen_at: Instant::now(),
            samples_given: None,
            sound_ahead: VecDeque::with_capacity(1),
            last_tick: None,
            last_out: None,
        }
    }

    /// One that goes on where another, which cannot be had any more, has come to.
    pub(super) fn succeed(fan_out: Arc<FanOut>, control: &EncoderControl) -> Self {
        let (samples_given, last_out) = control.reached();
        Self {
            samples_given,
            last_tick: last_out,
            last_out,
            ..Self::new(fan_out, None)
        }
    }

    /// Leaves word of how far the stream is, for a successor.
    pub(super) fn note(&self, control: &EncoderControl) {
        control.set_reached(self.samples_given, self.last_out);
    }

    /// Opens a sound encoder in the place of one that failed. `true` when one is there again.
    pub(super) fn reopen_audio(&mut self, settings: &EncoderSettings) -> Result<bool, CodecError> {
        let Some(settings) = settings.audio.as_ref().filter(|_| self.audio.is_none()) else {
            return Ok(false);
        };
        if Instant::now() < self.reopen_at {
            return Ok(false);
        }
        self.reopen_at = Instant::now() + REOPEN_AFTER;
        let mut audio = AudioEncoder::open(settings)?;
        audio.set_start(self.samples_given.unwrap_or(0).cast_signed());
        self.audio = Some(audio);
        Ok(true)
    }

    /// Takes a sound encoder away that failed; the next tick opens another.
    pub(super) fn drop_audio(&mut self) {
        self.audio = None;
        self.reopen_at = Instant::now();
    }

    /// Encodes the sound of this tick and, before it, of ticks whose frames were dropped. What is missing becomes silence.
    pub(super) fn take_sound(
        &mut self,
        tick: u64,
        chunk: &AudioChunk,
        sound: &Receiver<(u64, AudioChunk)>,
        settings: &EncoderSettings,
        control: &EncoderControl,
        watch: &Watch,
    ) -> Result<(), StreamingError> {
        if self.samples_given.is_none() {
            let start = samples_before(settings, tick);
            self.samples_given = Some(start);
            if let Some(audio) = &mut self.audio {
                audio.set_start(start.cast_signed());
            }
        }
        while let Some((earlier, chunk)) = self
            .sound_ahead
            .pop_front()
            .or_else(|| sound.try_recv().ok())
        {
            if earlier >= tick {
                self.sound_ahead.push_front((earlier, chunk));
                break;
            }
            self.encode_sound(earlier, &chunk, settings, control)?;
            // There may be seconds of it.
            watch.step();
        }
        self.encode_sound(tick, chunk, settings, control)
    }

    fn encode_sound(
        &mut self,
        tick: u64,
        chunk: &AudioChunk,
        settings: &EncoderSettings,
        control: &EncoderControl,
    ) -> Result<(), StreamingError> {
        let given = self.samples_given.unwrap_or(0);
        let missing = samples_before(settings, tick).saturating_sub(given);
        let samples = chunk.len();
        // Counted first: should the encoder fail, its successor starts behind the samples that were lost.
        self.samples_given = Some(given + missing + samples as u64);
        self.note(control);
        let Some(audio) = &mut self.audio else {
            return Ok(());
        };
        let outputs = &mut self.outputs;
        let mut sink = |packet| {
            control.figures().count_bytes(&packet);
            outputs.push(packet);
        };
        if missing > 0 {
            control.figures().count_silence(missing);
            audio.push_silence(usize::try_from(missing).unwrap_or(usize::MAX), &mut sink)?;
        }
        match chunk {
            AudioChunk::Silence { .. } => audio.push_silence(samples, &mut sink)?,
            AudioChunk::Samples(stereo) => audio.push(&stereo.left, &stereo.right, &mut sink)?,
        }
        Ok(())
    }

    /// Gives out pictures.
    pub(super) fn push(&mut self, packets: &mut Vec<Packet>, control: &EncoderControl) {
        for packet in packets.drain(..) {
            control.figures().count_bytes(&packet);
            self.last_out = u64::try_from(packet.pts()).ok();
            self.outputs.push(packet);
        }
    }

    /// What is inside the encoder never comes: its time may be used again.
    pub(super) fn forget_inside(&mut self) {
        self.last_tick = self.last_out;
    }

    /// Gives out the sound that is left.
    pub(super) fn flush_sound(&mut self) -> Result<(), StreamingError> {
        let outputs = &mut self.outputs;
        if let Some(audio) = &mut self.audio {
            audio.flush(&mut |packet| outputs.push(packet))?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn samples_given(&self) -> u64 {
        self.samples_given.unwrap_or(0)
    }
}

fn samples_before(settings: &EncoderSettings, tick: u64) -> u64 {
    let rate: FrameRate = settings.video.frame_rate;
    let sample_rate = settings.audio.as_ref().map_or(0, |audio| audio.sample_rate);
    rate.samples_before(tick, sample_rate)
}
