//! From finished ticks to the world: one encoder thread a rendition, one thread an output, and one that looks after the encoders.
//!
//! ```text
//! tick loop --MediaSender--> encoder thread --FanOut--> PacketQueue --> output thread --> socket or file
//! ```
//!
//! Each arrow is bounded. The tick loop never waits (`try_send`), the encoder never waits for an output (a full
//! queue drops to a keyframe), and an output waits only for its own peer, under a deadline. FFmpeg itself is
//! behind the `codec` crate; what is here is policy: when to drop, retry, restart and give up.
//!
//! The clock of a rendition is the tick: a frame's timestamp is its tick, and the sound's is the count of samples
//! since tick 0. Nothing here reads the wall clock into a timestamp.

mod adaptive;
mod broadcast;
mod encoder;
mod error;
mod event;
mod fan_out;
mod leave;
mod media;
pub mod offline;
pub mod outputs;
mod rendition;
mod replay;
mod supervisor;
mod thread;

pub use adaptive::Adaptive;
pub use broadcast::{RenditionStats, Streaming, StreamingStats};
pub use encoder::{EncoderSettings, EncoderStats};
pub use error::StreamingError;
pub use event::{BitrateReason, Listener, StreamingEvent};
pub use fan_out::PacketTap;
pub use leave::{Conditions, Leave};
pub use media::{AudioChunk, MediaSender, Refused, StereoSamples, TickMedia};
pub(crate) use outputs::backoff_delay;
pub use outputs::{
    Finding, Ingest, OutputKind, OutputSettings, OutputState, OutputStats, Platform, Severity,
    Split, check,
};
pub use rendition::{Ladder, RENDITIONS_MAX, RenditionSettings};
pub use replay::{
    REPLAY_BYTES_MAX, REPLAY_SECONDS_MAX, Replay, ReplayClip, ReplayStats, StreamClock,
};
pub use thread::{Priority, ThreadEnd, set_priority};
