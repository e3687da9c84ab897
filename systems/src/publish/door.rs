//! Where others ask for something as the next tick has it. A tick on which nobody asks pays for one look into an empty queue.

use bevy_ecs::prelude::*;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// How many may wait for one tick's answer.
pub const REQUESTS_MAX: usize = 64;

/// Called with the answer, on the engine's thread: it must not wait.
pub type Reply<T> = Box<dyn FnOnce(T) + Send>;

/// Where the `T` of the next tick is asked for. Cheap to copy.
pub struct Door<T>(Sender<Reply<T>>);

impl<T> Clone for Door<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The world's end of it.
#[derive(Resource)]
pub(crate) struct Requests<T: 'static>(Receiver<Reply<T>>);

impl<T: Clone> Door<T> {
    pub(crate) fn new() -> (Self, Requests<T>) {
        let (sender, receiver) = bounded(REQUESTS_MAX);
        (Self(sender), Requests(receiver))
    }

    /// Has `reply` called with what the next tick has; false when too many ask, or the engine has ended.
    pub fn ask(&self, reply: impl FnOnce(T) + Send + 'static) -> bool {
        match self.0.try_send(Box::new(reply)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl<T: Clone> Requests<T> {
    /// Answers all who ask with what `make` makes, if anybody does.
    pub fn answer(&self, make: impl FnOnce() -> T) {
        let Ok(first) = self.0.try_recv() else {
            return;
        };
        let made = make();
        // Whoever asks from now on is answered on the next tick.
        for reply in self.0.try_iter().take(REQUESTS_MAX) {
            reply(made.clone());
        }
        first(made);
    }
}
