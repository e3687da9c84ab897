//! From the engine's frames to the encoder threads.

use crossbeam_channel::{Receiver, Sender, bounded};
use systems::encode::{FrameOut, FramePort, Offer};
use systems::publish::{PlacedDoor, PlacedLayers};
use tokio::sync::oneshot;

use crate::streaming::{MediaSender, Refused, TickMedia};

/// What a tick hands to an encoder thread.
pub fn media(frame: &FrameOut) -> TickMedia {
    TickMedia {
        tick: frame.tick,
        frame: frame.frame.clone(),
        audio: frame.sound.clone(),
    }
}

/// A live encoder: never waited for.
pub struct LivePort(pub MediaSender);

impl FramePort for LivePort {
    fn offer(&mut self, frame: &FrameOut) -> Offer {
        match self.0.try_send(media(frame)) {
            Ok(()) => Offer::Taken,
            Err(Refused::Frame | Refused::FrameAndSound | Refused::Ended) => Offer::Full,
        }
    }
}

/// Where it is asked how the layers stand: answered from the next tick. Cheap to copy.
#[derive(Clone)]
pub struct PlacedRequests(pub PlacedDoor);

impl PlacedRequests {
    /// The next tick's table; `None` when too many ask, or the engine has ended.
    pub async fn next(&self) -> Option<PlacedLayers> {
        let (sender, table) = oneshot::channel();
        // Who asked may be gone.
        let is_asked = self.0.ask(move |placed| drop(sender.send(placed)));
        if is_asked { table.await.ok() } else { None }
    }
}

/// Where single frames are asked for: the next one is handed out whole, as the encoders get it. Cheap to copy.
#[derive(Clone, Debug)]
pub struct FrameRequests(Sender<oneshot::Sender<FrameOut>>);

/// The engine's end of [`FrameRequests`].
pub struct FramesPort(Receiver<oneshot::Sender<FrameOut>>);

/// How many may wait for one frame.
const REQUESTS_MAX: usize = 64;

impl FrameRequests {
    /// A way and its other end.
    pub fn new() -> (Self, FramesPort) {
        let (sender, receiver) = bounded(REQUESTS_MAX);
        (Self(sender), FramesPort(receiver))
    }

    /// The next frame; `None` when too many ask, or the engine has ended. It must be let go soon: it is one of the pool.
    pub async fn next(&self) -> Option<FrameOut> {
        let (sender, frame) = oneshot::channel();
        self.0.try_send(sender).ok()?;
        frame.await.ok()
    }
}

impl FramePort for FramesPort {
    fn offer(&mut self, frame: &FrameOut) -> Offer {
        while let Ok(asked) = self.0.try_recv() {
            // Who asked may be gone.
            let _sent = asked.send(frame.clone());
        }
        Offer::Taken
    }

    fn is_encoder(&self) -> bool {
        false
    }
}
