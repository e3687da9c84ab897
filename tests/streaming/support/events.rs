//! What a listener heard.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stream_manager::streaming::{Listener, OutputState, StreamingEvent};

#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<StreamingEvent>>>);

impl Heard {
    pub fn listener(&self) -> Listener {
        let heard = self.clone();
        Listener::new(move |event| heard.0.lock().unwrap().push(event))
    }

    pub fn all(&self) -> Vec<StreamingEvent> {
        self.0.lock().unwrap().clone()
    }

    /// The states that an output went through.
    pub fn states(&self, id: &str) -> Vec<OutputState> {
        let of = |event| match event {
            StreamingEvent::OutputState { output, state, .. } if output == id => Some(state),
            _ => None,
        };
        self.all().into_iter().filter_map(of).collect()
    }

    /// The files that an output ended, with their lengths and bytes.
    pub fn finished(&self, id: &str) -> Vec<(PathBuf, Duration, u64)> {
        let of = |event| match event {
            StreamingEvent::FileFinished {
                output,
                path,
                duration,
                bytes,
            } if output == id => Some((path, duration, bytes)),
            _ => None,
        };
        self.all().into_iter().filter_map(of).collect()
    }

    pub fn started(&self, id: &str) -> Vec<PathBuf> {
        let of = |event| match event {
            StreamingEvent::FileStarted { output, path } if output == id => Some(path),
            _ => None,
        };
        self.all().into_iter().filter_map(of).collect()
    }

    pub fn disks_full(&self, id: &str) -> usize {
        let of = |event: &StreamingEvent| matches!(event, StreamingEvent::DiskFull { output, .. } if output == id);
        self.all().iter().filter(|event| of(event)).count()
    }

    /// How often and how many drops were told.
    pub fn drops(&self, id: &str) -> Vec<u64> {
        let of = |event| match event {
            StreamingEvent::OutputDropped { output, packets } if output == id => Some(packets),
            _ => None,
        };
        self.all().into_iter().filter_map(of).collect()
    }
}
