//! Outputs: where a rendition's packets go.
//!
//! An output is a bounded queue and a thread that takes from it. The thread connects, writes, and, when its peer
//! fails, waits and connects again; nothing that happens to it reaches the encoder or another output.

mod backoff;
mod output;
mod queue;
mod settings;
mod stats;
mod target;
#[cfg(test)]
mod tests;

pub(super) use output::{Output, OutputContext};
pub(super) use queue::PacketQueue;
#[cfg(test)]
pub(super) use queue::Popped;
pub use settings::{OutputKind, OutputSettings, Platform, Split};
pub use stats::{OutputState, OutputStats};
