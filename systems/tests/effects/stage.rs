//! A small engine, and scenes for it as JSON-like pieces.

use std::sync::Arc;

use components::animation::{
    Easing, Keyframe, KeyframeValue, LoopMode, Property, TimelineSpec, TrackSpec,
};
use components::effect::Effects;
use components::layer::{LayerSpec, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ColourSource, Source};
use components::value::Colour;
use serde_json::Value;
use stream_manager_systems::assets::Picture;
use stream_manager_systems::render::{EffectRoom, RasterCache};
use stream_manager_systems::scene::SceneBundle;
use stream_manager_systems::{Engine, EngineSettings};

pub const WIDTH: usize = 160;
pub const HEIGHT: usize = 96;
pub const RED: Colour = Colour::opaque(255, 0, 0);
pub const BLUE: Colour = Colour::opaque(0, 0, 255);

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
        max_layers: 50,
        now_nanos: no_clock,
        epoch_unix_ms: 0,
    })
    .unwrap()
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

/// A red box of 40 by 30 at 60, 30.
pub fn red_box() -> LayerSpec {
    boxed("box", RED, (60.0, 30.0), (40.0, 30.0))
}

pub fn with(effects: Value, layer: LayerSpec) -> LayerSpec {
    let effects: Effects = serde_json::from_value(effects).unwrap();
    LayerSpec { effects, ..layer }
}

pub fn group(id: &str, children: Vec<LayerSpec>) -> LayerSpec {
    LayerSpec {
        children: children.into_iter().map(Arc::new).collect(),
        ..LayerSpec::new(id)
    }
}

pub fn scene(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec::new("test");
    (spec.canvas.width, spec.canvas.height) = (WIDTH as u32, HEIGHT as u32);
    spec.layers = layers.into_iter().map(Arc::new).collect();
    spec
}

/// Has a property go from one value to another and back for ever, two seconds each way.
pub fn moving(mut spec: SceneSpec, layer: &str, property: &str, from: f32, to: f32) -> SceneSpec {
    let keyframe = |at, value| Keyframe {
        at,
        value: KeyframeValue::Number(value),
        easing: Easing::Linear,
    };
    let property = Property::parse(property).unwrap();
    let track = TrackSpec::new(
        layer,
        property,
        vec![keyframe(0.0, from), keyframe(2.0, to)],
    );
    spec.timelines.push(Arc::new(TimelineSpec {
        loop_mode: LoopMode::PingPong,
        tracks: vec![track],
        ..TimelineSpec::new(format!("motion {}", spec.timelines.len()).as_str())
    }));
    spec
}

pub fn loaded(spec: SceneSpec) -> Engine {
    loaded_with(spec, Vec::new())
}

pub fn loaded_with(spec: SceneSpec, pictures: Vec<(&str, Picture)>) -> Engine {
    let mut engine = engine(1);
    let mut bundle = SceneBundle::new(spec);
    let pictures = pictures.into_iter();
    bundle.pictures = pictures
        .map(|(src, picture)| (src.into(), picture))
        .collect();
    engine.load(bundle).unwrap();
    engine
}

/// The frame of the first tick.
pub fn shot(layers: Vec<LayerSpec>) -> Shot {
    let mut engine = loaded(scene(layers));
    engine.tick();
    Shot::of(&engine)
}

pub fn computed(engine: &mut Engine) -> u64 {
    engine.world_mut().resource::<EffectRoom>().computed()
}

pub fn cached_bytes(engine: &mut Engine) -> usize {
    engine.world_mut().resource::<RasterCache>().byte_len()
}

#[derive(Clone, PartialEq)]
pub struct Shot(pub Vec<u8>);

/// Not printed whole.
impl std::fmt::Debug for Shot {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} bytes", self.0.len())
    }
}

impl Shot {
    pub fn of(engine: &Engine) -> Self {
        Self(engine.picture().rgba)
    }

    /// Red, green and blue of a pixel.
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let place = (y * WIDTH + x) * 4;
        [self.0[place], self.0[place + 1], self.0[place + 2]]
    }

    /// The brightest pixel of a row.
    pub fn brightest(&self, y: usize) -> u8 {
        (0..WIDTH)
            .map(|x| self.at(x, y).into_iter().max().unwrap_or(0))
            .max()
            .unwrap_or(0)
    }
}
