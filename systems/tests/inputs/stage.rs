//! An engine with layers that have inputs, and far ends of their ways in the hands of the tests.

use std::sync::Arc;

use components::layer::{Fit, LayerSpec, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{AudioSource, IngestSource, Reception, Source, VideoSource};
use raster::{I420Frame, Planes};
use stream_manager_systems::audio::{SourceSound, samples_in_tick};
use stream_manager_systems::clock::FrameClock;
use stream_manager_systems::input::{
    BLOCK_FRAMES, LivePicture, OpenInput, SoundBlock, TimedPicture,
};
use stream_manager_systems::scene::SceneBundle;
use stream_manager_systems::{Engine, EngineSettings};

pub const WIDTH: u32 = 128;
pub const HEIGHT: u32 = 64;
/// Microseconds of a tick.
pub const TICK_US: i64 = 33_333;

pub fn engine() -> Engine {
    Engine::new(EngineSettings {
        width: WIDTH,
        height: HEIGHT,
        rate: FrameRate::whole(30),
        render_threads: 1,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: || 0,
        epoch_unix_ms: 0,
    })
    .unwrap()
}

pub fn scene(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec {
        schema: None,
        version: 1,
        name: "inputs".to_owned(),
        canvas: Default::default(),
        assets: Default::default(),
        data: Default::default(),
        layers: layers.into_iter().map(Arc::new).collect(),
        timelines: Vec::new(),
        transitions: Default::default(),
        audio: Default::default(),
        renditions: Vec::new(),
        outputs: Vec::new(),
    };
    (spec.canvas.width, spec.canvas.height) = (WIDTH, HEIGHT);
    spec
}

pub fn film() -> VideoSource {
    VideoSource {
        src: "film.mp4".to_owned(),
        loops: false,
        paused: false,
        start: 0.0,
        end: None,
        speed: 1.0,
        reception: Reception::default(),
    }
}

pub fn guest(buffer: f32) -> Source {
    Source::Ingest(IngestSource {
        key: "guest".to_owned(),
        reception: Reception {
            buffer,
            timeout: 1.0,
            fallback: Some("away".to_owned()),
        },
    })
}

pub fn bed() -> AudioSource {
    AudioSource {
        src: "bed.opus".to_owned(),
        loops: false,
        paused: false,
        start: 0.0,
        end: None,
        fade_in: 0.0,
        fade_out: 0.0,
    }
}

/// A layer in a box that covers the canvas.
pub fn layer(source: Source) -> LayerSpec {
    LayerSpec {
        source,
        size: Some(Size {
            width: (WIDTH as f32).into(),
            height: (HEIGHT as f32).into(),
        }),
        ..LayerSpec::new("input")
    }
}

pub fn boxed(source: Source, at: (f32, f32), size: (f32, f32), fit: Fit) -> LayerSpec {
    LayerSpec {
        position: Position {
            x: at.0.into(),
            y: at.1.into(),
        },
        size: Some(Size {
            width: size.0.into(),
            height: size.1.into(),
        }),
        fit,
        ..layer(source)
    }
}

/// An engine with a scene, after its first tick, and the input that it asked for.
pub fn started(spec: SceneSpec) -> (Engine, OpenInput) {
    started_with(SceneBundle::new(spec))
}

/// As [`started`], of a scene with its pictures.
pub fn started_with(bundle: SceneBundle) -> (Engine, OpenInput) {
    let mut engine = engine();
    engine.load(bundle).unwrap();
    engine.tick();
    let request = engine.input_door().requests.try_recv().unwrap();
    (engine, request)
}

/// A plain picture whose luma is its number.
pub fn plain(luma: u8, width: u32, height: u32) -> Arc<dyn Planes> {
    Arc::new(Plain {
        size: (width, height),
        luma: vec![luma; (width * height) as usize],
        chroma: vec![128; (width.div_ceil(2) * height.div_ceil(2)) as usize],
    })
}

struct Plain {
    size: (u32, u32),
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Planes for Plain {
    fn width(&self) -> u32 {
        self.size.0
    }
    fn height(&self) -> u32 {
        self.size.1
    }
    fn y(&self) -> &[u8] {
        &self.luma
    }
    fn u(&self) -> &[u8] {
        &self.chroma
    }
    fn v(&self) -> &[u8] {
        &self.chroma
    }
    fn luma_stride(&self) -> usize {
        self.size.0 as usize
    }
    fn chroma_stride(&self) -> usize {
        self.size.0.div_ceil(2) as usize
    }
}

pub fn picture(run: u32, pts_us: i64, luma: u8) -> TimedPicture {
    TimedPicture {
        run,
        pts_us,
        picture: LivePicture::Planes(plain(luma, WIDTH, HEIGHT)),
        natural: (WIDTH, HEIGHT),
    }
}

/// Picture `number` of a film of 30 a second.
pub fn frame(number: u8) -> TimedPicture {
    picture(0, i64::from(number) * 1_000_000 / 30, number + 16)
}

/// Block `number` of a sound.
pub fn block(run: u32, number: i64, pts_us: i64, value: impl Fn(i64) -> f32) -> Box<SoundBlock> {
    let first = number * BLOCK_FRAMES as i64;
    Box::new(SoundBlock {
        run,
        pts_us,
        len: BLOCK_FRAMES as u16,
        frames: std::array::from_fn(|index| {
            let value = value(first + index as i64);
            [value, -value]
        }),
    })
}

fn luma_at(frame: &I420Frame, x: usize, y: usize) -> u8 {
    frame.y()[y * frame.luma_stride() + x]
}

/// The luma at a place of the last frame.
pub fn at(engine: &Engine, x: usize, y: usize) -> u8 {
    luma_at(&engine.frame().unwrap().frame, x, y)
}

/// The luma in the middle.
pub fn middle(engine: &Engine) -> u8 {
    at(engine, WIDTH as usize / 2, HEIGHT as usize / 2)
}

/// Runs a tick and gives the number of the picture that it shows.
pub fn tick(engine: &mut Engine) -> i32 {
    engine.tick();
    i32::from(middle(engine)) - 16
}

/// This tick's samples of the left channel; none where nothing plays.
pub fn heard(engine: &mut Engine) -> Option<Vec<f32>> {
    let world = engine.world_mut();
    let clock = *world.resource::<FrameClock>();
    let mut sounds = world.query::<&SourceSound>();
    let sound = sounds.iter(world).next()?;
    if !sound.plays {
        return None;
    }
    let count = samples_in_tick(clock.rate, clock.tick);
    assert_eq!(
        (sound.samples.left.len(), sound.samples.right.len()),
        (count, count)
    );
    Some(sound.samples.left.clone())
}

/// The largest step from sample to sample.
pub fn steepest(sound: &[f32]) -> f32 {
    sound
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max)
}
