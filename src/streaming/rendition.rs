//! One rendition: an encoder thread, and the list of outputs that its packets go to.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};

use super::encoder::{EncoderControl, EncoderSettings, EncoderStats, EncoderThread};
use super::error::StreamingError;
use super::event::Listener;
use super::fan_out::FanOut;
use super::media::{TickSender, media_channel};
use super::outputs::OutputContext;
use super::thread::{NamedThread, Priority, ThreadEnd, panicked, set_priority};

/// The most renditions of a ladder.
pub const RENDITIONS_MAX: usize = 8;

/// One rendition, as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RenditionSettings {
    /// Its name, unique in the ladder: 1 to 32 of the characters `a` to `z`, `0` to `9` and `-`.
    pub id: String,
    /// How it is encoded.
    pub encoder: EncoderSettings,
}

impl RenditionSettings {
    /// The name of the rendition that there always is.
    pub const MAIN: &str = "main";
}

/// The renditions of a program, the main one first.
#[derive(Debug, Clone, PartialEq)]
pub struct Ladder(Vec<RenditionSettings>);

impl Ladder {
    /// At least one rendition, the main one first.
    #[must_use]
    pub fn new(renditions: Vec<RenditionSettings>) -> Self {
        Self(renditions)
    }

    /// # Errors
    /// No rendition, too many, a bad name, or one name twice.
    pub fn validate(&self) -> Result<(), StreamingError> {
        let refuse = |value: String, expected| {
            Err(StreamingError::Setting {
                id: "renditions".to_owned(),
                setting: "id",
                value,
                expected,
            })
        };
        if !(1..=RENDITIONS_MAX).contains(&self.0.len()) {
            return refuse(self.0.len().to_string(), "1 to 8 renditions are needed");
        }
        for (index, rendition) in self.0.iter().enumerate() {
            let id = &rendition.id;
            let is_plain = id
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
            if !is_plain || !(1..=32).contains(&id.len()) {
                return refuse(id.clone(), "1 to 32 of a to z, 0 to 9 and - are needed");
            }
            if self.0[..index].iter().any(|other| other.id == *id) {
                return refuse(id.clone(), "each rendition needs a name of its own");
            }
        }
        Ok(())
    }

    pub(super) fn into_vec(self) -> Vec<RenditionSettings> {
        self.0
    }
}

impl From<EncoderSettings> for Ladder {
    /// The main rendition alone.
    fn from(encoder: EncoderSettings) -> Self {
        Self(vec![RenditionSettings {
            id: RenditionSettings::MAIN.to_owned(),
            encoder,
        }])
    }
}

/// A running rendition.
#[derive(Debug)]
pub(super) struct Rendition {
    settings: RenditionSettings,
    sender: TickSender,
    control: Arc<EncoderControl>,
    fan_out: Arc<FanOut>,
    context: OutputContext,
    thread: NamedThread,
    /// Dropped to stop the encoder thread.
    stop: Option<Sender<()>>,
}

impl Rendition {
    /// Opens the encoder and starts its thread.
    ///
    /// # Errors
    /// Bad settings, an encoder that does not open, or no thread.
    pub(super) fn start(
        settings: RenditionSettings,
        _listener: &Listener,
    ) -> Result<Self, StreamingError> {
        let encoder = &settings.encoder;
        let (sender, receiver) = media_channel(encoder.frame_queue);
        let control = Arc::new(EncoderControl::new(
            &encoder.video,
            receiver.frames_refused(),
        ));
        let fan_out = Arc::new(FanOut::default());
        let (stop, stopped) = bounded(0);
        let (opened, streams) = bounded(1);
        let thread = NamedThread::spawn(format!("encoder {}", settings.id), {
            let (settings, control) = (encoder.clone(), Arc::clone(&control));
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
            rendition: settings.id.clone(),
            // Nothing comes when the thread panicked.
            streams: streams
                .recv()
                .unwrap_or_else(|_| Err(panicked(&"the encoder")))?,
            encoder: Arc::clone(&control),
            send_buffer_bytes: send_buffer_bytes(&settings.encoder),
        };
        Ok(Self {
            settings,
            sender,
            control,
            fan_out,
            context,
            thread,
            stop: Some(stop),
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.settings.id
    }

    pub(super) fn settings(&self) -> &RenditionSettings {
        &self.settings
    }

    /// Where ticks are handed in.
    pub(super) fn sender(&self) -> TickSender {
        self.sender.clone()
    }

    pub(super) fn control(&self) -> &Arc<EncoderControl> {
        &self.control
    }

    pub(super) fn fan_out(&self) -> &FanOut {
        &self.fan_out
    }

    /// What its outputs share.
    pub(super) fn context(&self) -> &OutputContext {
        &self.context
    }

    pub(super) fn stats(&self) -> EncoderStats {
        self.control.stats(self.sender.waiting())
    }

    /// Tells the thread to encode what waits and end.
    pub(super) fn stop(&mut self) {
        self.stop = None;
    }

    /// The thread's end, once it has come. It is given once.
    pub(super) fn poll(&self) -> Option<ThreadEnd> {
        self.thread.poll()
    }

    /// The end of the thread, which must have been told to stop; `None` when it was polled before.
    pub(super) fn end_by(&self, deadline: Instant) -> Option<ThreadEnd> {
        self.thread.end_by(deadline)
    }
}

/// Tells the outputs that no packet follows when the encoder thread is gone, however it went.
struct CloseOnDrop(Arc<FanOut>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
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
