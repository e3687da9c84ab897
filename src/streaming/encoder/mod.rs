//! The encoder thread of one rendition: from ticks to packets, on one clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use codec::{
    AudioEncoder, AudioSettings, CodecError, FrameRate, StreamDescription, VideoEncoder,
    VideoSettings,
};
use crossbeam_channel::{Receiver, select};

use super::error::StreamingError;
use super::fan_out::FanOut;
use super::media::{AudioChunk, MediaReceiver, TickMedia};
use super::thread::panicked;
pub(super) use control::EncoderControl;
pub use control::EncoderStats;
use interleave::Interleaver;

mod control;
mod interleave;
#[cfg(test)]
mod tests;

/// After an encoder that would not open, the next try.
const REOPEN_AFTER: Duration = Duration::from_millis(250);

/// How a rendition is encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSettings {
    /// The picture.
    pub video: VideoSettings,
    /// The sound; `None` gives a stream without any.
    pub audio: Option<AudioSettings>,
    /// Frames that may wait for the encoder, 1 to 16. Each is one frame of the pool.
    pub frame_queue: usize,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            video: VideoSettings::default(),
            audio: Some(AudioSettings::default()),
            frame_queue: 3,
        }
    }
}

/// What the thread owns.
pub(super) struct EncoderThread {
    settings: EncoderSettings,
    video: Option<VideoEncoder>,
    audio: Option<AudioEncoder>,
    /// When to try again to open what is missing.
    reopen_at: Instant,
    control: Arc<EncoderControl>,
    outputs: Interleaver,
    /// Samples of the stream's clock that were given to the audio encoder.
    samples_given: u64,
    /// Sound of a later tick than the one being encoded.
    sound_ahead: Option<(u64, AudioChunk)>,
    /// Tick of the last keyframe that was asked for.
    keyframe_tick: Option<u64>,
    started: bool,
}

impl EncoderThread {
    /// Opens both encoders, so that bad settings are told before any thread starts.
    pub(super) fn open(
        settings: EncoderSettings,
        control: Arc<EncoderControl>,
        outputs: Arc<FanOut>,
    ) -> Result<Self, StreamingError> {
        let video = VideoEncoder::open(&settings.video)?;
        let audio = settings
            .audio
            .as_ref()
            .map(AudioEncoder::open)
            .transpose()?;
        Ok(Self {
            settings,
            video: Some(video),
            audio,
            reopen_at: Instant::now(),
            control,
            outputs: Interleaver::new(outputs),
            samples_given: 0,
            sound_ahead: None,
            keyframe_tick: None,
            started: false,
        })
    }

    /// Picture and sound, in this order.
    pub(super) fn streams(&self) -> Vec<StreamDescription> {
        let video = self.video.iter().map(VideoEncoder::stream);
        video
            .chain(self.audio.iter().map(AudioEncoder::stream))
            .cloned()
            .collect()
    }

    /// Encodes until every sender is gone or `stop` is, then hands out what is still inside and closes the outputs.
    pub(super) fn run(
        mut self,
        receiver: MediaReceiver,
        stop: &Receiver<()>,
    ) -> Result<(), StreamingError> {
        loop {
            select! {
                recv(receiver.media) -> media => match media {
                    Ok(media) => self.take(media, &receiver.sound),
                    Err(_) => break,
                },
                recv(stop) -> _ => break,
            }
        }
        while let Ok(media) = receiver.media.try_recv() {
            self.take(media, &receiver.sound);
        }
        let flushed = self.flush();
        self.outputs.close();
        flushed
    }

    /// One tick. Whatever fails in it is replaced, and the thread goes on.
    fn take(&mut self, media: TickMedia, sound: &Receiver<(u64, AudioChunk)>) {
        if !self.started {
            self.started = true;
            self.samples_given = self.samples_before(media.tick);
            if let Some(audio) = &mut self.audio {
                audio.set_start(self.samples_given.cast_signed());
            }
        }
        self.reopen();
        let heard = catch_unwind(AssertUnwindSafe(|| self.take_sound(&media, sound)));
        if let Err(error) = heard.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            self.audio = None;
            self.report("audio", &error);
        }
        let begun = Instant::now();
        let seen = catch_unwind(AssertUnwindSafe(|| self.take_frame(&media)));
        match seen.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            Ok(()) => self.control.figures().count_frame(begun.elapsed()),
            // The encoder refused it and is as it was.
            Err(StreamingError::Codec(CodecError::FrameSize { .. })) => {
                self.control.figures().count_misfit()
            }
            Err(error) => {
                self.video = None;
                self.report("video", &error);
            }
        }
    }

    /// Puts a new encoder in the place of a failed one, at once the first time.
    fn reopen(&mut self) {
        let sound_is_whole = self.audio.is_some() || self.settings.audio.is_none();
        if (self.video.is_some() && sound_is_whole) || Instant::now() < self.reopen_at {
            return;
        }
        let mut settings = self.settings.video.clone();
        settings.bitrate_kbps = self.control.bitrate_kbps();
        settings.preset = self.control.preset();
        let reopened = (|| -> Result<(), CodecError> {
            if self.video.is_none() {
                self.video = Some(VideoEncoder::open(&settings)?);
            }
            if let (None, Some(settings)) = (&self.audio, &self.settings.audio) {
                let mut audio = AudioEncoder::open(settings)?;
                audio.set_start(self.samples_given.cast_signed());
                self.audio = Some(audio);
            }
            Ok(())
        })();
        match reopened {
            Ok(()) => tracing::info!("the encoder runs again"),
            Err(error) => {
                self.reopen_at = Instant::now() + REOPEN_AFTER;
                tracing::error!(%error, "the encoder could not be opened again; it will be tried soon");
            }
        }
    }

    fn report(&mut self, which: &str, error: &StreamingError) {
        self.control.figures().count_restart();
        // The next tick opens a new one.
        self.reopen_at = Instant::now();
        tracing::error!(
            which,
            error = error.chain(),
            "the encoder failed; a new one takes its place"
        );
    }

    /// Encodes the sound of this tick and, before it, of ticks whose frames were dropped. What is missing becomes silence.
    fn take_sound(
        &mut self,
        media: &TickMedia,
        sound: &Receiver<(u64, AudioChunk)>,
    ) -> Result<(), StreamingError> {
        while let Some((tick, chunk)) = self.sound_ahead.take().or_else(|| sound.try_recv().ok()) {
            if tick >= media.tick {
                self.sound_ahead = Some((tick, chunk));
                break;
            }
            self.encode_sound(tick, &chunk)?;
        }
        self.encode_sound(media.tick, &media.audio)
    }

    fn encode_sound(&mut self, tick: u64, chunk: &AudioChunk) -> Result<(), StreamingError> {
        let missing = self.samples_before(tick).saturating_sub(self.samples_given);
        let samples = chunk.len();
        // Counted first: should the encoder fail, its successor starts behind the samples that were lost.
        self.samples_given += missing + samples as u64;
        let Some(audio) = &mut self.audio else {
            return Ok(());
        };
        let outputs = &mut self.outputs;
        let mut sink = |packet| {
            self.control.figures().count_bytes(&packet);
            outputs.push(packet);
        };
        if missing > 0 {
            self.control.figures().count_silence(missing);
            audio.push_silence(usize::try_from(missing).unwrap_or(usize::MAX), &mut sink)?;
        }
        match chunk {
            AudioChunk::Silence { .. } => audio.push_silence(samples, &mut sink)?,
            AudioChunk::Samples(stereo) => audio.push(&stereo.left, &stereo.right, &mut sink)?,
        }
        Ok(())
    }

    /// Puts an encoder of the wanted preset in the place of the one there is, whose last packets go out first. It begins with a
    /// keyframe under the same headers.
    fn follow_preset(&mut self) -> Result<(), StreamingError> {
        let wanted = self.control.preset();
        let Some(video) = &mut self.video else {
            return Ok(());
        };
        if video.settings().preset == wanted {
            return Ok(());
        }
        let next = VideoEncoder::open(&VideoSettings {
            preset: wanted,
            ..video.settings().clone()
        })?;
        let outputs = &mut self.outputs;
        video.flush(&mut |packet| {
            self.control.figures().count_bytes(&packet);
            outputs.push(packet);
        })?;
        *video = next;
        // The new one begins with a keyframe, asked for or not.
        self.keyframe_tick = None;
        Ok(())
    }

    fn take_frame(&mut self, media: &TickMedia) -> Result<(), StreamingError> {
        self.follow_preset()?;
        let Some(video) = &mut self.video else {
            return Ok(());
        };
        let bitrate_kbps = self.control.bitrate_kbps();
        if video.settings().bitrate_kbps != bitrate_kbps {
            video.set_bitrate_kbps(bitrate_kbps)?;
        }
        // Keyframes follow the clock rather than a count of frames, so that all renditions have theirs on the same ticks
        // and dropped frames do not shift them.
        let interval = u64::from(self.settings.video.keyframe_interval_frames());
        let spacing_min = u64::from(self.settings.video.frame_rate.numerator)
            / (2 * u64::from(self.settings.video.frame_rate.denominator));
        let is_due = self
            .keyframe_tick
            .is_none_or(|last| media.tick / interval != last / interval);
        let is_far = self
            .keyframe_tick
            .is_none_or(|last| media.tick.saturating_sub(last) >= spacing_min);
        // Half a second at least, so that outputs that come and go do not eat the bitrate.
        let is_wanted = (is_due || is_far) && self.control.take_keyframe_request();
        if is_due || is_wanted {
            self.keyframe_tick = Some(media.tick);
            video.request_keyframe();
        }
        let outputs = &mut self.outputs;
        video.encode(&media.frame, media.tick.cast_signed(), &mut |packet| {
            self.control.figures().count_bytes(&packet);
            outputs.push(packet);
        })?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamingError> {
        let outputs = &mut self.outputs;
        // Sound first: what is of later time than the last pictures waits in the interleaver for them.
        let audio = self.audio.as_mut().map_or(Ok(()), |audio| {
            audio.flush(&mut |packet| outputs.push(packet))
        });
        let video = self.video.as_mut().map_or(Ok(()), |video| {
            video.flush(&mut |packet| outputs.push(packet))
        });
        outputs.flush();
        Ok(video.and(audio)?)
    }

    fn samples_before(&self, tick: u64) -> u64 {
        let rate: FrameRate = self.settings.video.frame_rate;
        let sample_rate = self
            .settings
            .audio
            .as_ref()
            .map_or(0, |audio| audio.sample_rate);
        rate.samples_before(tick, sample_rate)
    }
}
