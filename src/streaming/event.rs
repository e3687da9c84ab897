//! What happens to renditions and outputs, told to who wants to hear it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::outputs::OutputState;

/// Something that happened. Targets and errors in it are redacted.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamingEvent {
    /// An output does something else than before.
    OutputState {
        /// The output.
        output: String,
        /// What it does now.
        state: OutputState,
        /// Why, where it failed.
        error: Option<String>,
    },
    /// An output was too far behind and went on from a later keyframe.
    OutputDropped {
        /// The output.
        output: String,
        /// Packets dropped.
        packets: u64,
    },
    /// An output found no room on its disk. It goes on in a new file when there is room again.
    DiskFull {
        /// The output.
        output: String,
        /// The file that ended.
        path: PathBuf,
    },
    /// An output began a file.
    FileStarted {
        /// The output.
        output: String,
        /// The file.
        path: PathBuf,
    },
    /// An output ended a file.
    FileFinished {
        /// The output.
        output: String,
        /// The file.
        path: PathBuf,
        /// Its length.
        duration: Duration,
        /// Bytes of its packets.
        bytes: u64,
    },
    /// An encoder failed or hung, and another took its place.
    EncoderRestarted {
        /// The rendition.
        rendition: String,
        /// What went wrong.
        reason: String,
    },
    /// An encoder was not to be had, and another is used.
    EncoderFallback {
        /// The rendition.
        rendition: String,
        /// What was asked for.
        wanted: String,
        /// What is used.
        used: String,
        /// Why.
        reason: String,
    },
    /// A rendition's bitrate changed.
    Bitrate {
        /// The rendition.
        rendition: String,
        /// Kbit/s of the picture.
        kbps: u32,
        /// Why.
        reason: BitrateReason,
    },
}

/// Why a bitrate changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BitrateReason {
    /// The operator said so.
    Operator,
    /// An output fell behind.
    Congestion,
    /// The outputs keep up again.
    Recovery,
}

/// Who hears of events. Called on the thread where they happen, so it must not wait. The default hears nothing.
#[derive(Clone, Default)]
pub struct Listener(Option<Arc<Hear>>);

type Hear = dyn Fn(StreamingEvent) + Send + Sync;

impl Listener {
    /// Calls `hear` for every event.
    #[must_use]
    pub fn new(hear: impl Fn(StreamingEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    /// Tells of an event.
    pub fn tell(&self, event: StreamingEvent) {
        if let Some(hear) = &self.0 {
            hear(event);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() {
            "Listener"
        } else {
            "Listener(none)"
        })
    }
}
