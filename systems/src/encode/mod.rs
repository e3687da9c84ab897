//! Set `Encode`: offers the frame and exactly this tick's sound to the encoders. Never waits for them.

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use raster::I420Frame;

use crate::audio::{AudioChunk, MixedSound};
use crate::clock::FrameClock;
use crate::profile::AddTimed;
use crate::publish::Counters;
use crate::render::ComposedFrame;
use crate::schedule::{Tick, TickSet};

/// What one tick came to.
#[derive(Clone, Debug)]
pub struct FrameOut {
    /// The tick, from 0 and without gaps; the frame's presentation time in ticks.
    pub tick: u64,
    /// The frame. A still picture is the same frame again.
    pub frame: Arc<I420Frame>,
    /// The sound: exactly this tick's samples.
    pub sound: AudioChunk,
}

/// Where frames go: one a rendition. Live ports must not wait; an offline one may.
pub trait FramePort: Send + Sync {
    /// Takes the frame, or says that there is no room for it.
    fn offer(&mut self, frame: &FrameOut) -> Offer;
    /// Whether it ends with the stream; what only looks on stays.
    fn is_encoder(&self) -> bool {
        true
    }
}

/// What became of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is on its way.
    Taken,
    /// The queue is full; the frame is dropped there.
    Full,
}

/// The encoders that are offered each frame.
#[derive(Resource, Default)]
pub struct FramePorts(pub Vec<Box<dyn FramePort>>);

impl FramePorts {
    /// Offers the frame of `clock`'s tick to every port; returns how many had no room.
    pub(crate) fn offer(
        &mut self,
        clock: &FrameClock,
        frame: &Arc<I420Frame>,
        sound: &AudioChunk,
    ) -> u64 {
        let out = FrameOut {
            tick: clock.tick,
            frame: Arc::clone(frame),
            sound: sound.clone(),
        };
        self.0
            .iter_mut()
            .map(|port| u64::from(port.offer(&out) == Offer::Full))
            .sum()
    }
}

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    app.init_resource::<FramePorts>();
    let system = app.timed(TickSet::Encode, "encode::offer_frame", offer_frame);
    app.add_systems(Tick, system);
}

fn offer_frame(
    clock: Res<FrameClock>,
    composed: Res<ComposedFrame>,
    sound: Res<MixedSound>,
    mut ports: ResMut<FramePorts>,
    mut counters: ResMut<Counters>,
) {
    if let Some(frame) = &composed.frame {
        counters.encoder_full += ports.offer(&clock, frame, &sound.0);
    }
}
