//! A small engine, and scenes of coloured boxes for it.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use components::animation::{Easing, Keyframe, KeyframeValue, Property, TimelineSpec, TrackSpec};
use components::layer::{LayerId, LayerSpec, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ColourSource, Source};
use components::transition::{Transition, TransitionKind};
use components::value::Colour;
use stream_manager_systems::command::{Applied, Command, CommandError};
use stream_manager_systems::layout::Placed;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};

pub const RED: Colour = Colour::opaque(255, 0, 0);
pub const BLUE: Colour = Colour::opaque(0, 0, 255);
pub const WIDTH: usize = 128;
pub const HEIGHT: usize = 64;

fn no_clock() -> u64 {
    0
}

pub fn engine(threads: usize) -> Engine {
    Engine::new(EngineSettings {
        width: WIDTH as u32,
        height: HEIGHT as u32,
        rate: FrameRate::whole(30),
        render_threads: threads,
        pool_frames: 4,
        max_layers: 20,
        now_nanos: no_clock,
        epoch_unix_ms: 0,
    })
    .unwrap()
}

pub fn scene(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec::new("test");
    (spec.canvas.width, spec.canvas.height) = (WIDTH as u32, HEIGHT as u32);
    spec.layers = layers.into_iter().map(Arc::new).collect();
    spec
}

pub fn boxed(id: &str, colour: Colour, at: (f32, f32), size: (f32, f32)) -> LayerSpec {
    LayerSpec {
        source: Source::Colour(ColourSource { color: colour }),
        position: Position {
            x: at.0.into(),
            y: at.1.into(),
        },
        size: Some(Size {
            width: size.0.into(),
            height: size.1.into(),
        }),
        ..LayerSpec::new(id)
    }
}

/// A box over the whole canvas.
pub fn full(id: &str, colour: Colour) -> LayerSpec {
    boxed(id, colour, (0.0, 0.0), (WIDTH as f32, HEIGHT as f32))
}

pub fn linear(kind: TransitionKind, duration: f32) -> Transition {
    Transition {
        easing: Easing::Linear,
        ..Transition::new(kind, duration)
    }
}

pub fn track(layer: &str, property: Property, values: &[(f32, f32)]) -> TrackSpec {
    let keyframes = values
        .iter()
        .map(|&(at, value)| Keyframe {
            at,
            value: KeyframeValue::Number(value),
            easing: Easing::Linear,
        })
        .collect();
    TrackSpec::new(layer, property, keyframes)
}

pub fn timeline(id: &str, tracks: Vec<TrackSpec>) -> TimelineSpec {
    TimelineSpec {
        tracks,
        ..TimelineSpec::new(id)
    }
}

/// Sends commands and runs the tick on which they land.
pub fn send(engine: &mut Engine, commands: Vec<Command>) -> Result<Applied, CommandError> {
    let (reply, answer) = sync_channel(1);
    engine
        .commands()
        .send_batch(commands, None, move |result| reply.send(result).unwrap())
        .unwrap();
    engine.tick();
    answer.try_recv().unwrap()
}

pub fn load(spec: SceneSpec) -> Command {
    Command::LoadScene(Box::new(SceneBundle::new(spec)))
}

pub fn edit(old: &SceneSpec, new: &SceneSpec) -> SceneEdit {
    SceneEdit::between(old, new).unwrap()
}

pub fn ticks(engine: &mut Engine, count: usize) {
    for _ in 0..count {
        engine.tick();
    }
}

pub fn pixel(engine: &Engine, x: usize, y: usize) -> [u8; 3] {
    let picture = engine.picture();
    let at = (y * WIDTH + x) * 4;
    [picture.rgba[at], picture.rgba[at + 1], picture.rgba[at + 2]]
}

/// Where a layer's top left is on the canvas, and its opacity.
pub fn placed(engine: &mut Engine, id: &str) -> (f32, f32, f32) {
    let world = engine.world_mut();
    let mut rows = world.query::<(&LayerId, &Placed)>();
    let (_, placed) = rows.iter(world).find(|(it, _)| it.as_str() == id).unwrap();
    let at = placed.canvas_from_layer.translation;
    (at.x, at.y, placed.opacity)
}

pub fn layer_count(engine: &mut Engine) -> usize {
    let world = engine.world_mut();
    world.query::<&LayerId>().iter(world).count()
}
