//! Everything that is on the air: the renditions with their encoder threads, the outputs, and the handle that commands them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::{CodecError, Preset, VideoSettings};

use super::encoder::EncoderStats;
use super::error::StreamingError;
use super::event::Listener;
use super::media::MediaSender;
use super::outputs::{Output, OutputSettings, OutputStats};
use super::rendition::{Ladder, Rendition, RenditionSettings};
use super::thread::ThreadEnd;

/// A removed output has so long to write what waits and to say goodbye.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The part of a shutdown's time that is kept for collecting the threads once their I/O was cut off.
const COLLECT_TIMEOUT: Duration = Duration::from_millis(300);

/// Renditions and outputs that run. All methods may be called from any thread, and none but [`Streaming::shutdown`] waits. Dropped
/// without a shutdown, it tells all threads to end and leaves them to it.
pub struct Streaming {
    /// At least one.
    renditions: Vec<Rendition>,
    outputs: Mutex<Outputs>,
    listener: Listener,
}

#[derive(Debug, Default)]
struct Outputs {
    running: Vec<Output>,
    /// Removed, and still writing what waited.
    ending: Vec<Output>,
}

/// All of it at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamingStats {
    /// The renditions, the main one first.
    pub renditions: Vec<RenditionStats>,
    /// The outputs, in the order in which they were added.
    pub outputs: Vec<OutputStats>,
}

/// A rendition at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct RenditionStats {
    /// Its name.
    pub id: String,
    /// Its encoder thread.
    pub encoder: EncoderStats,
}

impl StreamingStats {
    /// The encoder of the main rendition.
    #[must_use]
    pub fn encoder(&self) -> EncoderStats {
        // There always is a main rendition.
        self.renditions
            .first()
            .map(|rendition| rendition.encoder)
            .unwrap_or_default()
    }
}

impl Streaming {
    /// Opens the encoders and starts all threads, telling nobody what happens. An output that cannot connect is no error; it goes on trying.
    ///
    /// # Errors
    /// As [`Streaming::start_with`].
    pub fn start(
        ladder: impl Into<Ladder>,
        outputs: Vec<OutputSettings>,
    ) -> Result<Self, StreamingError> {
        Self::start_with(ladder, outputs, Listener::default())
    }

    /// [`Streaming::start`], with somebody who hears of everything that happens.
    ///
    /// # Errors
    /// Bad settings, two renditions or two outputs of one name, an encoder that does not open, or no threads to be had.
    pub fn start_with(
        ladder: impl Into<Ladder>,
        outputs: Vec<OutputSettings>,
        listener: Listener,
    ) -> Result<Self, StreamingError> {
        let ladder = ladder.into();
        ladder.validate()?;
        let renditions = ladder
            .into_vec()
            .into_iter()
            .map(|settings| Rendition::start(settings, &listener))
            .collect::<Result<_, _>>()?;
        let streaming = Self {
            renditions,
            outputs: Mutex::new(Outputs::default()),
            listener,
        };
        for output in outputs {
            streaming.add_output(output)?;
        }
        Ok(streaming)
    }

    /// Where ticks are handed in, for all renditions.
    #[must_use]
    pub fn sender(&self) -> MediaSender {
        MediaSender::to_all(self.renditions.iter().map(Rendition::sender))
    }

    /// The settings of the renditions, the main one first.
    pub fn renditions(&self) -> impl Iterator<Item = &RenditionSettings> {
        self.renditions.iter().map(Rendition::settings)
    }

    fn main(&self) -> Result<&Rendition, StreamingError> {
        self.rendition(None)
    }

    /// The rendition of a name; the main one without.
    pub(super) fn rendition(&self, id: Option<&str>) -> Result<&Rendition, StreamingError> {
        let mut renditions = self.renditions.iter();
        let found = match id {
            Some(id) => renditions.find(|rendition| rendition.id() == id),
            None => renditions.next(),
        };
        found.ok_or_else(|| StreamingError::UnknownRendition {
            id: id.unwrap_or_default().to_owned(),
        })
    }

    /// Starts one more output, which joins at the next keyframe.
    ///
    /// # Errors
    /// A name in use, a bad setting, or no thread.
    pub fn add_output(&self, settings: OutputSettings) -> Result<(), StreamingError> {
        let mut outputs = self.lock();
        if outputs
            .running
            .iter()
            .any(|output| output.id() == settings.id)
        {
            return Err(StreamingError::DuplicateOutput { id: settings.id });
        }
        let rendition = self.rendition(settings.renditions.first().map(String::as_str))?;
        let output = Output::start(settings, rendition.context().clone(), self.listener.clone())?;
        rendition.fan_out().add(Arc::clone(output.queue()));
        outputs.running.push(output);
        rendition.control().request_keyframe();
        Ok(())
    }

    /// Takes an output away. It still writes what waits and ends its file or session, for 5 s at most; [`Streaming::ended`]
    /// tells how that went.
    ///
    /// # Errors
    /// [`StreamingError::UnknownOutput`].
    pub fn remove_output(&self, id: &str) -> Result<(), StreamingError> {
        let mut outputs = self.lock();
        let output = take(&mut outputs.running, id)?;
        self.detach(&output);
        output.stop(REMOVE_TIMEOUT);
        outputs.ending.push(output);
        Ok(())
    }

    /// Makes an output try again now: it stops waiting, or, when it has given up or ended, starts anew.
    ///
    /// # Errors
    /// [`StreamingError::UnknownOutput`], or no thread.
    pub fn retry_output(&self, id: &str) -> Result<(), StreamingError> {
        let mut outputs = self.lock();
        let output = take(&mut outputs.running, id)?;
        if output.retry_now() {
            outputs.running.push(output);
            return Ok(());
        }
        self.detach(&output);
        let again = output.settings().clone();
        outputs.ending.push(output);
        drop(outputs);
        self.add_output(again)
    }

    /// Gives the output no more packets.
    fn detach(&self, output: &Output) {
        for rendition in &self.renditions {
            rendition.fan_out().remove(output.queue());
        }
    }

    /// Changes the bitrate of the main rendition's picture from the next frame on; outputs stay connected.
    ///
    /// # Errors
    /// [`CodecError::Setting`] when it is out of the range of [`VideoSettings::bitrate_kbps`].
    pub fn set_bitrate_kbps(&self, bitrate_kbps: u32) -> Result<(), StreamingError> {
        let main = self.main()?;
        VideoSettings {
            bitrate_kbps,
            ..main.settings().encoder.video.clone()
        }
        .validate()?;
        main.control().set_bitrate_kbps(bitrate_kbps);
        Ok(())
    }

    /// Changes libx264's effort for the main rendition from the next frame on, which is a keyframe; outputs stay connected.
    ///
    /// # Errors
    /// [`CodecError::Setting`] when the preset writes other headers than the one in use ([`Preset::continues`]).
    pub fn set_preset(&self, preset: Preset) -> Result<(), StreamingError> {
        let control = self.main()?.control();
        if !preset.continues(control.preset()) {
            return Err(CodecError::Setting {
                setting: "preset",
                value: preset.to_string(),
                expected: "one that writes the same headers as the one in use",
            }
            .into());
        }
        control.set_preset(preset);
        Ok(())
    }

    /// Makes one of the next frames a keyframe in every rendition; two that were asked for are at least half a second apart.
    pub fn request_keyframe(&self) {
        for rendition in &self.renditions {
            rendition.control().request_keyframe();
        }
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> StreamingStats {
        let renditions = self.renditions.iter().map(|rendition| RenditionStats {
            id: rendition.id().to_owned(),
            encoder: rendition.stats(),
        });
        StreamingStats {
            renditions: renditions.collect(),
            outputs: self.lock().running.iter().map(Output::stats).collect(),
        }
    }

    /// The ends of threads since the last call: outputs that gave up or were removed. Each is told once.
    pub fn ended(&self) -> Vec<ThreadEnd> {
        let mut outputs = self.lock();
        let mut ends: Vec<ThreadEnd> = self.renditions.iter().filter_map(Rendition::poll).collect();
        ends.extend(outputs.running.iter().filter_map(Output::poll_end));
        outputs.ending.retain(|output| match output.poll_end() {
            Some(end) => {
                ends.push(end);
                false
            }
            None => true,
        });
        ends
    }

    /// Encodes what waits, ends all files and sessions, and collects every thread, within `limit`. A thread that would not
    /// end by then is reported as [`StreamingError::StillRunning`] and left behind. Ticks sent from now on are refused.
    #[must_use]
    pub fn shutdown(mut self, limit: Duration) -> Vec<ThreadEnd> {
        let deadline = Instant::now() + limit;
        self.renditions.iter_mut().for_each(Rendition::stop);
        // An encoder needs milliseconds; half of the time is left for the outputs in any case.
        let mut ends: Vec<ThreadEnd> = self
            .renditions
            .iter()
            .filter_map(|rendition| rendition.end_by(deadline - limit / 2))
            .collect();
        let outputs = std::mem::take(&mut *self.lock());
        let outputs = || outputs.running.iter().chain(&outputs.ending);
        let remaining = deadline.saturating_duration_since(Instant::now());
        for output in outputs() {
            output.stop(remaining.saturating_sub(COLLECT_TIMEOUT));
        }
        ends.extend(outputs().filter_map(|output| output.end_by(deadline)));
        ends
    }

    fn lock(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Streaming")
            .field("renditions", &self.renditions)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.renditions.iter_mut().for_each(Rendition::stop);
        for output in self.lock().running.iter() {
            output.stop(REMOVE_TIMEOUT);
        }
    }
}

fn take(outputs: &mut Vec<Output>, id: &str) -> Result<Output, StreamingError> {
    let index = outputs
        .iter()
        .position(|output| output.id() == id)
        .ok_or_else(|| StreamingError::UnknownOutput { id: id.to_owned() })?;
    Ok(outputs.remove(index))
}
