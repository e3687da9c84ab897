//! From the engine's frames to the encoder threads.

use systems::encode::{FrameOut, FramePort, Offer};

use crate::streaming::{AudioChunk, MediaSender, Refused, TickMedia};

/// What a tick hands to an encoder thread.
pub fn media(frame: &FrameOut) -> TickMedia {
    TickMedia {
        tick: frame.tick,
        frame: frame.frame.clone(),
        audio: AudioChunk::Silence {
            samples: frame.samples,
        },
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
