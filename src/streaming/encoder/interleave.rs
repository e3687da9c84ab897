//! Puts picture and sound in the order of their times.
//!
//! The video encoder gives a frame out some frames after it was taken in, the audio encoder does not. Left as they come, the
//! sound that belongs to a keyframe would be ahead of it, and an output that starts at the keyframe would miss it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use codec::{Packet, StreamKind};

use crate::streaming::fan_out::FanOut;

/// Packets of sound that may wait for a picture: over 5 s, which is more than any encoder holds back. Without a picture
/// for longer, the sound goes on alone.
const SOUND_WAITING_MAX: usize = 256;

/// Holds sound until the picture of its time has passed. After it, sound follows the picture that it starts with or in:
/// behind a picture of time t there is no sound from before t.
pub(super) struct Interleaver {
    outputs: Arc<FanOut>,
    sound: VecDeque<Packet>,
    /// Cleared when another has taken its place.
    is_heard: Arc<AtomicBool>,
}

impl Interleaver {
    pub(super) fn new(outputs: Arc<FanOut>) -> Self {
        Self {
            outputs,
            sound: VecDeque::with_capacity(SOUND_WAITING_MAX),
            is_heard: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Clearing it makes all that is pushed from then on go nowhere.
    pub(super) fn is_heard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_heard)
    }

    pub(super) fn push(&mut self, packet: Packet) {
        match packet.kind() {
            StreamKind::Video => {
                let now_ns = packet.dts_nanoseconds();
                while self
                    .sound
                    .front()
                    .is_some_and(|sound| sound.dts_nanoseconds() < now_ns)
                {
                    self.release();
                }
                self.give_out(&packet);
            }
            StreamKind::Audio => {
                if self.sound.len() >= SOUND_WAITING_MAX {
                    self.release();
                }
                self.sound.push_back(packet);
            }
        }
    }

    /// Gives out what waits, at the end.
    pub(super) fn flush(&mut self) {
        while !self.sound.is_empty() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(packet) = self.sound.pop_front() {
            self.give_out(&packet);
        }
    }

    fn give_out(&self, packet: &Packet) {
        if self.is_heard.load(Ordering::SeqCst) {
            self.outputs.push(packet);
        }
    }
}
