//! Outputs: where a rendition's packets go.
//!
//! An output is a bounded queue and a thread that takes from it; in an HLS folder, one of each for every rendition. The thread
//! connects, writes, and, when its peer fails, waits and connects again; nothing that happens to it reaches the encoder or another
//! output. One watcher for all of them sees which thread is stuck in a write.
//!
//! ```text
//! Idle -> Connecting -> Live <-> Stalled        Stopped: removed, or the program ended
//!             ^   \       |         |           Failed: gave up, or a mistake in its settings
//!             |    v      v         v
//!            BackingOff <-----------+
//! ```

mod backoff;
mod board;
mod check;
mod ladder;
mod master;
mod output;
mod part;
mod platform;
mod queue;
mod session;
mod settings;
mod stats;
mod target;
#[cfg(test)]
mod tests;
mod watch;
mod worker;

pub(crate) use backoff::delay as backoff_delay;
pub use check::{Finding, Severity, check};
pub(super) use output::{Output, OutputStart};
pub(super) use part::OutputContext;
pub use platform::Ingest;
pub(super) use queue::PacketQueue;
#[cfg(test)]
pub(super) use queue::Popped;
pub use settings::{OutputKind, OutputSettings, Platform, Split};
pub use stats::{OutputState, OutputStats};
pub(super) use watch::Watcher;
