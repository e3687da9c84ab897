//! One rendition on the air: its encoder thread, its outputs, and the handle that commands them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::{CodecError, Preset, VideoSettings};
use crossbeam_channel::{Sender, bounded};

use super::encoder::{EncoderControl, EncoderSettings, EncoderStats, EncoderThread};
use super::error::StreamingError;
use super::fan_out::FanOut;
use super::media::{MediaSender, media_channel};
use super::outputs::{Output, OutputContext, OutputSettings, OutputStats};
use super::thread::{NamedThread, Priority, ThreadEnd, panicked, set_priority};

/// A removed output has so long to write what waits and to say goodbye.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The part of a shutdown's time that is kept for collecting the threads once their I/O was cut off.
const COLLECT_TIMEOUT: Duration = Duration::from_millis(300);

/// A running rendition. All methods may be called from any thread, and none but [`Streaming::shutdown`] waits. Dropped
/// without a shutdown, it tells all threads to end and leaves them to it.
#[derive(Debug)]
pub struct Streaming {
    settings: EncoderSettings,
    sender: MediaSender,
    control: Arc<EncoderControl>,
    fan_out: Arc<FanOut>,
    context: OutputContext,
    encoder: NamedThread,
    /// Dropped to stop the encoder thread.
    stop: Option<Sender<()>>,
    outputs: Mutex<Outputs>,
}

#[derive(Debug, Default)]
struct Outputs {
    running: Vec<Output>,
    /// Removed, and still writing what waited.
    ending: Vec<Output>,
}

/// A rendition at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamingStats {
    /// The encoder thread.
    pub encoder: EncoderStats,
    /// The outputs, in the order in which they were added.
    pub outputs: Vec<OutputStats>,
}

impl Streaming {
    /// Opens the encoders and starts all threads. An output that cannot connect is no error; it goes on trying.
    ///
    /// # Errors
    /// Bad settings, two outputs of one name, an encoder that does not open, or no threads to be had.
    pub fn start(
        settings: EncoderSettings,
        outputs: Vec<OutputSettings>,
    ) -> Result<Self, StreamingError> {
        let (sender, receiver) = media_channel(settings.frame_queue);
        let control = Arc::new(EncoderControl::new(
            &settings.video,
            receiver.frames_refused(),
        ));
        let fan_out = Arc::new(FanOut::default());
        let (stop, stopped) = bounded(0);
        let (opened, streams) = bounded(1);
        let encoder = NamedThread::spawn("encoder".to_owned(), {
            let (settings, control) = (settings.clone(), Arc::clone(&control));
            let fan_out = Arc::clone(&fan_out);
            move || {
                // Before the encoder opens, whose own threads take after this one.
                set_priority(Priority::Work);
                // Should the thread panic outside of a tick, the outputs still finish their files.
                let _close = CloseOnDrop(Arc::clone(&fan_out));
                let thread = match EncoderThread::open(settings, control, fan_out) {
                    Ok(thread) => thread,
                    Err(error) => {
                        drop(opened.send(Err(error)));
                        return Ok(());
                    }
                };
                drop(opened.send(Ok(thread.streams())));
                thread.run(receiver, &stopped)
            }
        })?;
        let context = OutputContext {
            // Nothing comes when the thread panicked.
            streams: streams
                .recv()
                .unwrap_or_else(|_| Err(panicked(&"the encoder")))?,
            encoder: Arc::clone(&control),
            send_buffer_bytes: send_buffer_bytes(&settings),
        };
        let streaming = Self {
            settings,
            sender,
            control,
            fan_out,
            context,
            encoder,
            stop: Some(stop),
            outputs: Mutex::new(Outputs::default()),
        };
        for output in outputs {
            streaming.add_output(output)?;
        }
        Ok(streaming)
    }

    /// Where ticks are handed in.
    #[must_use]
    pub fn sender(&self) -> MediaSender {
        self.sender.clone()
    }

    /// How the rendition was started.
    #[must_use]
    pub fn settings(&self) -> &EncoderSettings {
        &self.settings
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
        let output = Output::start(settings, self.context.clone())?;
        self.fan_out.add(Arc::clone(output.queue()));
        outputs.running.push(output);
        self.control.request_keyframe();
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
        self.fan_out.remove(output.queue());
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
        self.fan_out.remove(output.queue());
        let again = output.settings().clone();
        outputs.ending.push(output);
        drop(outputs);
        self.add_output(again)
    }

    /// Changes the picture's bitrate from the next frame on; outputs stay connected.
    ///
    /// # Errors
    /// [`CodecError::Setting`] when it is out of the range of [`VideoSettings::bitrate_kbps`].
    pub fn set_bitrate_kbps(&self, bitrate_kbps: u32) -> Result<(), CodecError> {
        VideoSettings {
            bitrate_kbps,
            ..self.settings.video.clone()
        }
        .validate()?;
        self.control.set_bitrate_kbps(bitrate_kbps);
        Ok(())
    }

    /// Changes libx264's effort from the next frame on, which is a keyframe; outputs stay connected.
    ///
    /// # Errors
    /// [`CodecError::Setting`] when the preset writes other headers than the one in use ([`Preset::continues`]).
    pub fn set_preset(&self, preset: Preset) -> Result<(), CodecError> {
        if !preset.continues(self.control.preset()) {
            return Err(CodecError::Setting {
                setting: "preset",
                value: preset.to_string(),
                expected: "one that writes the same headers as the one in use",
            });
        }
        self.control.set_preset(preset);
        Ok(())
    }

    /// Makes one of the next frames a keyframe; two that were asked for are at least half a second apart.
    pub fn request_keyframe(&self) {
        self.control.request_keyframe();
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> StreamingStats {
        let outputs = self.lock().running.iter().map(Output::stats).collect();
        StreamingStats {
            encoder: self.control.stats(self.sender.waiting()),
            outputs,
        }
    }

    /// The ends of threads since the last call: outputs that gave up or were removed. Each is told once.
    pub fn ended(&self) -> Vec<ThreadEnd> {
        let mut outputs = self.lock();
        let mut ends: Vec<ThreadEnd> = self.encoder.poll().into_iter().collect();
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
        self.stop = None;
        // An encoder needs milliseconds; half of the time is left for the outputs in any case.
        let mut ends: Vec<ThreadEnd> = self
            .encoder
            .end_by(deadline - limit / 2)
            .into_iter()
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

impl Drop for Streaming {
    fn drop(&mut self) {
        self.stop = None;
        for output in self.lock().running.iter() {
            output.stop(REMOVE_TIMEOUT);
        }
    }
}

/// Tells the outputs that no packet follows when the encoder thread is gone, however it went.
struct CloseOnDrop(Arc<FanOut>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn take(outputs: &mut Vec<Output>, id: &str) -> Result<Output, StreamingError> {
    let index = outputs
        .iter()
        .position(|output| output.id() == id)
        .ok_or_else(|| StreamingError::UnknownOutput { id: id.to_owned() })?;
    Ok(outputs.remove(index))
}

/// A second of the stream, at least 256 KiB: enough for any round trip, and so little that a peer that reads nothing is
/// noticed soon.
fn send_buffer_bytes(settings: &EncoderSettings) -> u32 {
    let bits = (settings.video.bitrate_kbps
        + settings
            .audio
            .as_ref()
            .map_or(0, |audio| audio.bitrate_kbps))
    .saturating_mul(1000);
    (bits / 8).max(256 * 1024)
}
