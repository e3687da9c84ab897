//! Whether this process may send to others at this moment. Of several programs of one stream, one has the lease; a process that was
//! paused may wake up after another one has taken it, so its outputs ask before each packet.

use std::fmt;
use std::sync::Arc;

/// Asked from the threads of outputs before whatever goes to a server. Cheap to copy.
#[derive(Clone, Default)]
pub struct Leave(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Leave {
    /// Asks `may_send`, which must not wait.
    pub fn asking(may_send: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(may_send)))
    }

    /// Whether it may; always where nobody is to be asked.
    pub fn may_send(&self) -> bool {
        self.0.as_ref().is_none_or(|may_send| may_send())
    }
}

impl fmt::Debug for Leave {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Leave").field(&self.may_send()).finish()
    }
}

/// What a stream starts under.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Whether it may be sent to servers.
    pub leave: Leave,
    /// Time 0 of what goes to servers, in nanoseconds of the ticks, where the stream goes on from an earlier process: receivers then see
    /// time go on. `None` begins at 0.
    pub origin_ns: Option<i64>,
}
