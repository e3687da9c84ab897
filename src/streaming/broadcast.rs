//! Everything that is on the air: the renditions with their encoder threads, the outputs, and the handle that commands them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::{CodecError, Preset, VideoSettings};

use super::encoder::EncoderStats;
use super::error::StreamingError;
use super::event::{BitrateReason, Listener, StreamingEvent};
use super::fan_out::PacketTap;
use super::leave::Conditions;
use super::media::MediaSender;
use super::outputs::{Output, OutputSettings, OutputStart, OutputStats, Watcher};
use super::rendition::{Ladder, Rendition, RenditionSettings, Shared};
use super::supervisor::{Supervisor, Watched};
use super::thread::ThreadEnd;

/// A removed output has so long to write what waits and to say goodbye.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The part of a shutdown's time that is kept for collecting the threads once their I/O was cut off.
const COLLECT_TIMEOUT: Duration = Duration::from_millis(300);

/// Renditions and outputs that run. All methods may be called from any thread, and none but [`Streaming::shutdown`] waits. Dropped
/// without a shutdown, it tells all threads to end and leaves them to it.
pub struct Streaming {
    /// At least one.
    renditions: Arc<Vec<Rendition>>,
    outputs: Arc<Mutex<Outputs>>,
    watcher: Watcher,
    listener: Listener,
    shared: Shared,
    supervisor: Supervisor,
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
    /// Width of its picture in pixels.
    pub width: u32,
    /// Height of its picture in pixels.
    pub height: u32,
    /// How its picture is encoded: `h264`.
    pub codec: &'static str,
    /// The encoder in use, by its library's name: `libx264`.
    pub encoder_name: String,
    /// By how many seconds the newest sound that went to the outputs is ahead of the newest picture; `None` without both.
    pub sound_ahead_s: Option<f64>,
    /// Its encoder thread, with the ceiling of the bitrate, what is held now, and what is measured.
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
        Self::start_under(ladder, outputs, listener, Conditions::default())
    }

    /// [`Streaming::start_with`], under conditions that hold for all outputs.
    ///
    /// # Errors
    /// As [`Streaming::start_with`].
    pub fn start_under(
        ladder: impl Into<Ladder>,
        outputs: Vec<OutputSettings>,
        listener: Listener,
        conditions: Conditions,
    ) -> Result<Self, StreamingError> {
        let ladder = ladder.into();
        let mut shared = Shared::new(&ladder, listener)?;
        shared.conditions = conditions;
        let streaming = Self::start_shared(ladder, shared)?;
        for output in outputs {
            streaming.add_output(output)?;
        }
        Ok(streaming)
    }

    pub(super) fn start_shared(ladder: Ladder, shared: Shared) -> Result<Self, StreamingError> {
        let renditions: Vec<Rendition> = ladder
            .into_vec()
            .into_iter()
            .map(|settings| Rendition::start(settings, &shared))
            .collect::<Result<_, _>>()?;
        let (renditions, outputs) = (Arc::new(renditions), Arc::default());
        let listener = shared.listener.clone();
        let supervisor = Supervisor::start(
            Arc::clone(&renditions),
            {
                let outputs = Arc::clone(&outputs);
                move || watched(&outputs)
            },
            listener.clone(),
        )?;
        Ok(Self {
            renditions,
            outputs,
            watcher: Watcher::start()?,
            listener,
            shared,
            supervisor,
        })
    }

    /// Where ticks are handed in, for all renditions.
    #[must_use]
    pub fn sender(&self) -> MediaSender {
        let encoders = self.renditions.iter().map(Rendition::sender);
        MediaSender::to_all(encoders, Arc::clone(&self.shared.clock))
    }

    /// A long queue on each rendition.
    #[cfg(test)]
    pub(super) fn tap(&self) -> Vec<Arc<super::outputs::PacketQueue>> {
        let taps = self.renditions.iter().map(|rendition| {
            let queue = Arc::new(super::outputs::PacketQueue::new(1 << 16));
            rendition.fan_out().add(Arc::clone(&queue));
            queue
        });
        taps.collect()
    }

    /// The settings of the renditions, the main one first.
    pub fn renditions(&self) -> impl Iterator<Item = &RenditionSettings> {
        self.renditions.iter().map(Rendition::settings)
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

    /// Has `tap` take the packets of the main rendition too, from the next keyframe on.
    ///
    /// # Errors
    /// None, since there always is a main rendition.
    pub fn tap_main(&self, tap: &Arc<dyn PacketTap>) -> Result<(), StreamingError> {
        let rendition = self.rendition(None)?;
        tap.begin(&rendition.settings().encoder, &rendition.context().streams);
        rendition.fan_out().set_tap(Some(Arc::clone(tap)));
        Ok(())
    }

    /// Starts one more output, which joins at the next keyframe.
    ///
    /// # Errors
    /// A name in use, a rendition that is not there, a bad setting, or no thread.
    pub fn add_output(&self, settings: OutputSettings) -> Result<(), StreamingError> {
        self.insert_output(settings, false)
    }

    /// Adds an output that does nothing until [`Streaming::start_output`].
    ///
    /// # Errors
    /// As [`Streaming::add_output`].
    pub fn add_idle_output(&self, settings: OutputSettings) -> Result<(), StreamingError> {
        self.insert_output(settings, true)
    }

    fn insert_output(&self, settings: OutputSettings, is_idle: bool) -> Result<(), StreamingError> {
        let mut outputs = self.lock();
        if outputs
            .running
            .iter()
            .any(|output| output.id() == settings.id)
        {
            return Err(StreamingError::DuplicateOutput { id: settings.id });
        }
        let output = self.launch(&outputs, settings, is_idle, None)?;
        outputs.running.push(output);
        Ok(())
    }

    /// Starts an output's threads and gives them packets.
    fn launch(
        &self,
        outputs: &Outputs,
        settings: OutputSettings,
        is_idle: bool,
        replaces: Option<&Output>,
    ) -> Result<Output, StreamingError> {
        let wanted: Vec<&Rendition> = if settings.renditions.is_empty() {
            vec![self.rendition(None)?]
        } else {
            let ids = settings.renditions.iter();
            ids.map(|id| self.rendition(Some(id)))
                .collect::<Result<_, _>>()?
        };
        for rendition in &wanted {
            let rendition = rendition.settings();
            let held = settings.holds(&rendition.encoder);
            held.map_err(|source| StreamingError::Unsupported {
                id: settings.id.clone(),
                rendition: rendition.id.clone(),
                source,
            })?;
        }
        // One that has been removed may still be at the end of the same file or folder.
        let same_target = outputs
            .ending
            .iter()
            .filter(|ending| ending.settings().target == settings.target);
        let awaits = same_target.flat_map(Output::presences).collect();
        let renditions = wanted
            .iter()
            .map(|rendition| (rendition.settings().clone(), rendition.context().clone()));
        let output = Output::start(OutputStart {
            settings,
            renditions: renditions.collect(),
            listener: self.listener.clone(),
            watcher: &self.watcher,
            is_idle,
            replaces,
            awaits,
        })?;
        for (rendition, (_, queue)) in wanted.iter().zip(output.queues()) {
            rendition.fan_out().add(Arc::clone(queue));
            rendition.control().request_keyframe();
        }
        Ok(output)
    }

    /// Puts an output with `settings` in the place of one that runs or has failed, with its name, its counts and its place in the
    /// list. It begins when the other one has ended.
    fn replace(
        &self,
        outputs: &mut Outputs,
        index: usize,
        settings: OutputSettings,
        is_idle: bool,
    ) -> Result<(), StreamingError> {
        let next = self.launch(outputs, settings, is_idle, outputs.running.get(index))?;
        if let Some(place) = outputs.running.get_mut(index) {
            let previous = std::mem::replace(place, next);
            self.detach(&previous);
            previous.stop(REMOVE_TIMEOUT);
            outputs.ending.push(previous);
        }
        Ok(())
    }

    /// Takes an output away. It still writes what waits and ends its file or session, for 5 s at most; [`Streaming::ended`]
    /// tells how that went.
    ///
    /// # Errors
    /// [`StreamingError::UnknownOutput`].
    pub fn remove_output(&self, id: &str) -> Result<(), StreamingError> {
        let mut outputs = self.lock();
        let index = outputs.index(id)?;
        let output = outputs.running.remove(index);
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
        let index = outputs.index(id)?;
        let Some(output) = outputs.running.get(index) else {
            return Ok(());
        };
        if output.retry_now() {
            return Ok(());
        }
        let again = output.settings().as_ref().clone();
        self.replace(&mut outputs, index, again, false)
    }

    /// Starts an output that is idle or has failed. Without effect on one that runs.
    ///
    /// # Errors
    /// As [`Streaming::retry_output`].
    pub fn start_output(&self, id: &str) -> Result<(), StreamingError> {
        {
            let outputs = self.lock();
            let output = outputs.running.get(outputs.index(id)?);
            if output.is_none_or(|output| !output.is_held() && !output.is_over()) {
                return Ok(());
            }
        }
        self.retry_output(id)
    }

    /// Ends an output's session or file well, within 5 s, and keeps the output, idle, for [`Streaming::start_output`].
    ///
    /// # Errors
    /// [`StreamingError::UnknownOutput`], or no thread.
    pub fn stop_output(&self, id: &str) -> Result<(), StreamingError> {
        let mut outputs = self.lock();
        let index = outputs.index(id)?;
        let Some(output) = outputs.running.get(index) else {
            return Ok(());
        };
        if !output.is_over() {
            output.rest();
            return Ok(());
        }
        let settings = output.settings().as_ref().clone();
        self.replace(&mut outputs, index, settings, true)
    }

    /// Gives an output of the same name other settings. What can go on goes on: limits, retries, backups that are not in use, splits
    /// and lengths of sessions change where they stand, another target begins another session, and only another kind, folder or
    /// rendition starts the output anew. An idle output stays idle, one that failed starts again.
    ///
    /// # Errors
    /// [`StreamingError::UnknownOutput`], a bad setting, a rendition that is not there, or no thread; the output is as it was then.
    pub fn change_output(&self, settings: OutputSettings) -> Result<(), StreamingError> {
        settings.validate()?;
        let mut outputs = self.lock();
        let index = outputs.index(&settings.id)?;
        let Some(output) = outputs.running.get(index) else {
            return Ok(());
        };
        if !output.is_over() && settings.fits(&output.settings()) {
            output.change(settings);
            return Ok(());
        }
        let is_idle = output.is_held();
        self.replace(&mut outputs, index, settings, is_idle)
    }

    /// Gives the output no more packets.
    fn detach(&self, output: &Output) {
        for rendition in self.renditions.iter() {
            for (_, queue) in output.queues() {
                rendition.fan_out().remove(queue);
            }
        }
    }

    /// Changes the bitrate that the operator wants for a rendition's picture (the main one without a name) from the next frame on;
    /// outputs stay connected. Where outputs take less, the bitrate stays below it.
    ///
    /// # Errors
    /// [`StreamingError::UnknownRendition`], or [`CodecError::Setting`] when it is out of the range of
    /// [`VideoSettings::bitrate_kbps`].
    pub fn set_bitrate_kbps(
        &self,
        rendition: Option<&str>,
        bitrate_kbps: u32,
    ) -> Result<(), StreamingError> {
        let rendition = self.rendition(rendition)?;
        VideoSettings {
            bitrate_kbps,
            ..rendition.settings().encoder.video.clone()
        }
        .validate()?;
        let control = rendition.control();
        if control.ceiling_kbps() != bitrate_kbps {
            control.set_ceiling_kbps(bitrate_kbps);
            self.listener.tell(StreamingEvent::Bitrate {
                rendition: rendition.id().to_owned(),
                kbps: control.bitrate_kbps(),
                reason: BitrateReason::Operator,
            });
        }
        Ok(())
    }

    /// Changes libx264's effort for a rendition (the main one without a name) from the next keyframe on, which comes at once;
    /// outputs stay connected.
    ///
    /// # Errors
    /// [`StreamingError::UnknownRendition`], or [`CodecError::Setting`] when the preset writes other headers than the one in use
    /// ([`Preset::continues`]).
    pub fn set_preset(
        &self,
        rendition: Option<&str>,
        preset: Preset,
    ) -> Result<(), StreamingError> {
        let control = self.rendition(rendition)?.control();
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

    /// Makes one of the next frames a keyframe in every rendition, on the same tick; two that were asked for are at least half a
    /// second apart.
    pub fn request_keyframe(&self) {
        self.shared.clock.request();
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> StreamingStats {
        let renditions = self.renditions.iter().map(Rendition::stats_whole);
        StreamingStats {
            renditions: renditions.collect(),
            outputs: self.lock().running.iter().map(Output::stats).collect(),
        }
    }

    /// The ends of threads since the last call: outputs that gave up or were removed. Each is told once.
    pub fn ended(&self) -> Vec<ThreadEnd> {
        let mut outputs = self.lock();
        let mut ends: Vec<ThreadEnd> = self.renditions.iter().filter_map(Rendition::poll).collect();
        ends.extend(outputs.running.iter().flat_map(Output::poll_ends));
        outputs.ending.retain(|output| {
            ends.extend(output.poll_ends());
            !output.has_ended()
        });
        ends
    }

    /// Encodes what waits, ends all files and sessions, and collects every thread, within `limit`. A thread that would not
    /// end by then is reported as [`StreamingError::StillRunning`] and left behind. Ticks sent from now on are refused.
    #[must_use]
    pub fn shutdown(mut self, limit: Duration) -> Vec<ThreadEnd> {
        let deadline = Instant::now() + limit;
        self.supervisor.stop();
        self.renditions.iter().for_each(Rendition::stop);
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
        ends.extend(outputs().flat_map(|output| output.ends_by(deadline)));
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
        self.supervisor.stop();
        self.renditions.iter().for_each(Rendition::stop);
        for output in self.lock().running.iter() {
            output.stop(REMOVE_TIMEOUT);
        }
    }
}

/// The outputs that are adaptive.
fn watched(outputs: &Mutex<Outputs>) -> Vec<Watched> {
    let outputs = outputs.lock().unwrap_or_else(PoisonError::into_inner);
    let adaptive = outputs
        .running
        .iter()
        .filter(|output| output.settings().adaptive);
    adaptive
        .map(|output| Watched {
            renditions: output.settings().renditions.clone(),
            stats: output.stats(),
        })
        .collect()
}

impl Outputs {
    fn index(&self, id: &str) -> Result<usize, StreamingError> {
        let mut running = self.running.iter();
        running
            .position(|output| output.id() == id)
            .ok_or_else(|| StreamingError::UnknownOutput { id: id.to_owned() })
    }
}
