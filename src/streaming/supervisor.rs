//! The thread that looks after the encoders: replaces those that hang, and follows what the outputs take.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::adaptive::{BEAT, Controller, Meter, OutputSample};
use super::error::StreamingError;
use super::event::{Listener, StreamingEvent};
use super::outputs::OutputStats;
use super::rendition::Rendition;
use super::thread::NamedThread;

/// The time from one look at the encoders to the next.
const WATCH_EVERY: Duration = Duration::from_millis(50);

/// An output whose lag may lower the bitrate of the renditions that it carries.
pub(super) struct Watched {
    /// The renditions that it carries, by name; the main one when empty.
    pub(super) renditions: Vec<String>,
    pub(super) stats: OutputStats,
}

/// A running supervisor. Dropped, it ends soon.
#[derive(Debug)]
pub(super) struct Supervisor {
    stop: Option<Sender<()>>,
    thread: NamedThread,
}

impl Supervisor {
    /// Looks after `renditions`; `outputs` gives those outputs that are adaptive.
    ///
    /// # Errors
    /// No thread.
    pub(super) fn start(
        renditions: Arc<Vec<Rendition>>,
        outputs: impl Fn() -> Vec<Watched> + Send + 'static,
        listener: Listener,
    ) -> Result<Self, StreamingError> {
        let (stop, stopped) = bounded(0);
        let thread = NamedThread::spawn("supervisor".to_owned(), move || {
            let controllers = renditions.iter().map(controller).collect();
            Work {
                renditions,
                controllers,
                meters: HashMap::new(),
                listener,
            }
            .run(&stopped, outputs);
            Ok(())
        })?;
        Ok(Self {
            stop: Some(stop),
            thread,
        })
    }

    /// Ends it, waiting no longer than one look takes.
    pub(super) fn stop(&mut self) {
        self.stop = None;
        // It has nothing to tell.
        drop(self.thread.end_by(Instant::now() + WATCH_EVERY));
    }
}

fn controller(rendition: &Rendition) -> Option<Controller> {
    let settings = rendition.settings();
    let audio = settings.encoder.audio.as_ref();
    let audio_kbps = audio.map_or(0, |audio| audio.bitrate_kbps);
    settings
        .adaptive
        .map(|adaptive| Controller::new(adaptive, audio_kbps))
}

struct Work {
    renditions: Arc<Vec<Rendition>>,
    /// One for each rendition that is adaptive, in their order.
    controllers: Vec<Option<Controller>>,
    /// By the names of the outputs.
    meters: HashMap<String, Meter>,
    listener: Listener,
}

impl Work {
    fn run(mut self, stopped: &Receiver<()>, outputs: impl Fn() -> Vec<Watched>) {
        let start = Instant::now();
        let (mut watched, mut adapted) = (start, start);
        let is_adaptive = self.controllers.iter().any(Option::is_some);
        while stopped.recv_timeout(WATCH_EVERY) == Err(RecvTimeoutError::Timeout) {
            let now = Instant::now();
            for rendition in self.renditions.iter() {
                rendition.watch(now - watched);
            }
            watched = now;
            if is_adaptive && now - adapted >= BEAT {
                adapted = now;
                self.adapt(now - start, &outputs());
            }
        }
    }

    fn adapt(&mut self, now: Duration, outputs: &[Watched]) {
        self.meters
            .retain(|id, _| outputs.iter().any(|output| output.stats.id == *id));
        let samples: Vec<OutputSample> = outputs
            .iter()
            .map(|output| {
                let meter = self.meters.entry(output.stats.id.clone()).or_default();
                meter.look(now, &output.stats)
            })
            .collect();
        for (index, controller) in self.controllers.iter_mut().enumerate() {
            let Some(controller) = controller else {
                continue;
            };
            let rendition = &self.renditions[index];
            let carries = |output: &Watched| {
                let names = &output.renditions;
                (names.is_empty() && index == 0) || names.iter().any(|name| name == rendition.id())
            };
            let carried: Vec<OutputSample> = outputs
                .iter()
                .zip(&samples)
                .filter(|(output, _)| carries(output))
                .map(|(_, sample)| *sample)
                .collect();
            let control = rendition.control();
            let Some(change) = controller.step(now, control.ceiling_kbps(), &carried) else {
                continue;
            };
            control.set_limit_kbps(change.limit_kbps);
            let (rendition, kbps) = (rendition.id().to_owned(), control.bitrate_kbps());
            tracing::info!(rendition, kbps, reason = ?change.reason, "the bitrate follows the outputs");
            self.listener.tell(StreamingEvent::Bitrate {
                rendition,
                kbps,
                reason: change.reason,
            });
        }
    }
}
