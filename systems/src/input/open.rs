//! Asks for the inputs of layers, and lets go of those that are not wanted any more.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::layer::LayerId;
use components::source::{AudioSource, IngestSource, RtspSource, VideoSource};
use crossbeam_channel::{Sender, bounded};

use super::clock::FileClock;
use super::door::{InputDoor, InputEnds, InputState, OpenInput, PICTURES_QUEUED, SOUND_QUEUED};
use super::near::{AnySource, FilePlace, InputTime, LiveInput, Ways};
use super::take::WaitsForInputs;
use crate::clock::FrameClock;

/// Requests that may wait for whoever decodes; more wait in the world, and are sent on a later tick.
const REQUESTS_MAX: usize = 256;
/// Orders that may wait for a decoder.
const ORDERS_MAX: usize = 16;
/// Seconds after which an input that nobody decodes is asked for again.
const ASK_AGAIN_SECONDS: f64 = 1.0;

/// The world's end of the [`InputDoor`].
#[derive(Resource)]
pub struct InputRequests(Sender<OpenInput>);

impl InputRequests {
    /// The door, and the world's end of it.
    pub fn new() -> (InputDoor, Self) {
        let (sender, requests) = bounded(REQUESTS_MAX);
        (InputDoor { requests }, Self(sender))
    }
}

/// The sources of which a layer with an input has one.
pub(super) type SourceRow<'a> = (
    Option<Ref<'a, VideoSource>>,
    Option<Ref<'a, RtspSource>>,
    Option<Ref<'a, IngestSource>>,
    Option<Ref<'a, AudioSource>>,
);

/// The one that it has, and whether it was written since it was looked at.
pub(super) fn source_of<'a>(
    (video, rtsp, ingest, audio): &'a SourceRow<'_>,
) -> Option<(AnySource<'a>, bool)> {
    if let Some(source) = video {
        return Some((AnySource::Video(source), source.is_changed()));
    }
    if let Some(source) = rtsp {
        return Some((AnySource::Rtsp(source), source.is_changed()));
    }
    if let Some(source) = ingest {
        return Some((AnySource::Ingest(source), source.is_changed()));
    }
    let source = audio.as_ref()?;
    Some((AnySource::Audio(source), source.is_changed()))
}

/// Asks for the input of every layer that has none, or another one than its source says.
pub(super) fn open_inputs(
    clock: Res<FrameClock>,
    requests: Res<InputRequests>,
    waits: Res<WaitsForInputs>,
    mut layers: Query<(&LayerId, SourceRow, &mut LiveInput)>,
) {
    for (id, row, mut input) in &mut layers {
        let Some((source, is_changed)) = source_of(&row) else {
            continue;
        };
        if input.is_left_alone(&clock) {
            input.ways = None;
        }
        if input.ways.is_some() && !is_changed {
            continue;
        }
        let spec = source.spec();
        if let Some(ways) = &input.ways
            && input.opened.as_ref() == Some(&spec)
        {
            tell_timeout(&ways.state, source);
            continue;
        }
        if input.opened.is_some() && input.opened.as_ref() != Some(&spec) {
            // Another input plays from its own beginning.
            input.since_tick = clock.tick;
            input.ways = None;
            input.forget();
        }
        input.opened = Some(spec);
        if requests.0.is_full() {
            continue;
        }
        let (pictures, near_pictures) = bounded(PICTURES_QUEUED);
        let (sound, near_sound) = bounded(SOUND_QUEUED);
        let (near_orders, orders) = bounded(ORDERS_MAX);
        let (near_gone, gone) = bounded(0);
        let state = Arc::new(InputState::default());
        tell_timeout(&state, source);
        if waits.0 {
            state.set_scales_late();
        }
        let ends = InputEnds {
            pictures,
            sound,
            orders,
            gone,
            state: Arc::clone(&state),
        };
        let request = OpenInput {
            layer: id.clone(),
            spec: source.whole(),
            ends,
        };
        if requests.0.try_send(request).is_err() {
            continue;
        }
        let since_tick = input.since_tick;
        let mut file = FileClock::new(since_tick);
        let start = FrameClock {
            tick: since_tick,
            ..*clock
        };
        file.rebase(&start, source.rate());
        *input = LiveInput {
            ways: Some(Ways {
                pictures: near_pictures,
                sound: near_sound,
                orders: near_orders,
                state,
                _gone: near_gone,
            }),
            opened: input.opened.take(),
            since_tick,
            time: InputTime {
                file: Some(file),
                ..InputTime::default()
            },
            place: FilePlace {
                seconds: f64::from(source.span().start),
                at_us: 0.0,
            },
            is_live: source.is_live(),
            pending: input.begins_at.take(),
            sound: std::mem::take(&mut input.sound),
            ..LiveInput::default()
        };
    }
}

/// Has whoever decodes know for how long it may be silent, also when that changes while it is open.
fn tell_timeout(state: &InputState, source: AnySource) {
    if let Some(seconds) = source.timeout() {
        state.set_timeout(seconds);
    }
}

impl LiveInput {
    /// Whether nobody has decoded it for a while, so that it is to be asked for again.
    fn is_left_alone(&mut self, clock: &FrameClock) -> bool {
        if !self.ways.as_ref().is_some_and(Ways::are_abandoned) {
            self.abandoned_tick = None;
            return false;
        }
        let since_tick = *self.abandoned_tick.get_or_insert(clock.tick);
        clock.seconds_since(since_tick) >= ASK_AGAIN_SECONDS
    }
}
