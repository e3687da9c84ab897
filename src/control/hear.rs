//! What happens in the streaming threads, carried over to a task of its own: into the events, and into the index of recordings.
//!
//! Those threads never wait for it: what finds no room is counted and left out. States can be asked for again, and the index measures the
//! files themselves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::json;
use tokio::sync::mpsc;

use super::events::Event;
use super::outputs::container_of_path;
use super::recordings::{Begun, OUTPUT, RecordingState};
use super::station::Station;
use crate::streaming::{BitrateReason, Listener, OutputState, StreamingEvent};

/// How many events may wait.
const WAITING_MAX: usize = 1024;

/// The streaming threads' end of the way.
#[derive(Clone, Debug)]
pub struct Ear {
    sender: mpsc::Sender<StreamingEvent>,
    lost: Arc<AtomicU64>,
}

impl Ear {
    /// A way, and where its events come out.
    pub fn new() -> (Self, mpsc::Receiver<StreamingEvent>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let lost = Arc::default();
        (Self { sender, lost }, receiver)
    }

    /// What the streaming threads call.
    pub fn listener(&self) -> Listener {
        let ear = self.clone();
        Listener::new(move |event| {
            if ear.sender.try_send(event).is_err() {
                ear.lost.fetch_add(1, Relaxed);
            }
        })
    }

    /// Events that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

impl Station {
    /// Hears everything that happens in the streaming threads; ends with the program.
    pub async fn hear(self, mut events: mpsc::Receiver<StreamingEvent>) {
        while let Some(event) = events.recv().await {
            let station = self.clone();
            // The index is on a disk. One after the other, so that the order stays.
            let heard = tokio::task::spawn_blocking(move || station.take(event));
            if heard.await.is_err() {
                tracing::error!("an event of the stream could not be taken");
            }
        }
    }

    fn take(&self, event: StreamingEvent) {
        match event {
            StreamingEvent::OutputState {
                output,
                state,
                error,
            } => self.take_state(&output, state, error.as_deref()),
            StreamingEvent::OutputDropped { output, packets } => {
                let data = json!({"id": output, "packets": packets});
                self.tell(Event::about("output:dropped", &output, data));
            }
            StreamingEvent::DiskFull { output, path } => {
                let file = path.file_name().map(|name| name.to_string_lossy());
                let data = json!({"id": output, "file": file});
                self.tell(Event::about("output:diskFull", &output, data));
            }
            StreamingEvent::FileStarted { output, path } => self.take_file(&output, path),
            StreamingEvent::FileFinished {
                output,
                path,
                duration,
                ..
            } => {
                let seconds = duration.as_secs_f64();
                self.recordings().file_ended(&output, &path, seconds);
                if let Some(recording) = self.recordings().of_output(&output) {
                    self.tell_recording(&recording);
                }
            }
            StreamingEvent::EncoderRestarted { rendition, reason } => {
                let data = json!({"rendition": rendition, "reason": reason});
                self.tell(Event::about("encoder:restarted", &rendition, data));
            }
            StreamingEvent::EncoderFallback {
                rendition,
                wanted,
                used,
                reason,
            } => {
                let data = json!({"rendition": rendition, "wanted": wanted, "used": used, "reason": reason});
                self.tell(Event::about("encoder:fallback", &rendition, data));
            }
            StreamingEvent::Bitrate {
                rendition,
                kbps,
                reason,
            } => {
                let reason = match reason {
                    BitrateReason::Operator => "operator",
                    BitrateReason::Congestion => "congestion",
                    BitrateReason::Recovery => "recovery",
                };
                let data = json!({"rendition": rendition, "kbps": kbps, "reason": reason});
                self.tell(Event::about("rendition:bitrate", &rendition, data));
            }
        }
    }

    fn take_state(&self, output: &str, state: OutputState, error: Option<&str>) {
        if output != OUTPUT {
            self.tell_output(output, state, error);
        }
        match state {
            OutputState::Idle | OutputState::Stopped | OutputState::Failed => {
                // A full disk is waited for; this is one that will not be written any more.
                if output == OUTPUT && state == OutputState::Failed {
                    self.recordings().forget_failed();
                }
                let is_good = state != OutputState::Failed && error.is_none();
                let state = if is_good {
                    RecordingState::Finished
                } else {
                    RecordingState::Failed
                };
                if let Some(recording) = self.recordings().end(output, state, error) {
                    self.tell_recording(&recording);
                }
            }
            _ => {}
        }
    }

    /// An output began a file: one more of its recording, or the first of a new one.
    fn take_file(&self, output: &str, path: PathBuf) {
        let store = self.recordings();
        if store.of_output(output).is_none()
            && path.parent() == Some(store.folder())
            && let Some(container) = container_of_path(&path)
        {
            let show = Arc::clone(&self.director().snapshot().show);
            let spec = show.outputs.output(output).ok();
            let rendition = spec.and_then(|entry| entry.spec.renditions.first().cloned());
            let rendition = rendition.unwrap_or_else(|| "main".to_owned());
            let clock = self
                .streaming()
                .and_then(|streaming| streaming.clock(Some(&rendition)).ok());
            // The keyframe that it began with is the newest one.
            let newest = clock.and_then(|clock| clock.keyframes_s.last().copied());
            store.begin(&Begun {
                output: output.to_owned(),
                path: path.clone(),
                container,
                codecs: self.codecs(&show.outputs, &rendition),
                rendition,
                asked_s: newest.map_or(-1.0, |at| at - 0.001),
            });
        }
        store.file_begun(output, &path);
        if let Some(recording) = store.of_output(output) {
            self.tell_recording(&recording);
        }
    }
}
