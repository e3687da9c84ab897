//! How far a live connection's peer has got, as TCP knows it.

use std::time::Duration;

use crate::ffi::TcpSocket;

/// What TCP says of a connection. Bytes that were written may lie in the kernel for long; only acknowledged ones are with
/// the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transport {
    /// Bytes that the peer's kernel has, with all that the protocol adds. A peer that stands still acknowledges what its
    /// receive buffer takes, and then nothing more.
    pub bytes_acknowledged: u64,
    /// Bytes that were written and are not acknowledged, sent or not.
    pub bytes_in_flight: u32,
    /// The time to the peer and back, smoothed.
    pub rtt: Duration,
    /// Segments that were sent again, over the connection's life.
    pub retransmits: u32,
}

/// Asks about one connection, from any thread, even while its muxer waits for the peer.
#[derive(Debug, Clone)]
pub struct TransportProbe(pub(crate) TcpSocket);

impl TransportProbe {
    /// The figures now; `None` once the connection is closed.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.0.transport()
    }
}
