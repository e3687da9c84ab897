//! A small engine, layers that sound as a test says, and what is heard of them.

use std::collections::HashMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::layer::{LayerId, LayerSpec};
use components::scene::{FrameRate, SceneSpec};
use components::sound::Sound;
use components::source::Source;
use serde_json::json;
use stream_manager_systems::audio::{AudioChunk, SAMPLE_RATE, SourceSound, samples_in_tick};
use stream_manager_systems::clock::FrameClock;
use stream_manager_systems::command::Command;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::schedule::TickSet;
use stream_manager_systems::{Engine, EngineSettings};

/// What a layer gives to be heard: both sides at a sample of the program's clock; nothing where there is none.
pub type Wave = Arc<dyn Fn(u64) -> Option<[f32; 2]> + Send + Sync>;

#[derive(Resource, Default, Clone)]
struct Waves(HashMap<String, Wave>);

fn play(
    clock: Res<FrameClock>,
    waves: Res<Waves>,
    mut layers: Query<(&LayerId, &mut SourceSound)>,
) {
    let start = samples_before(clock.rate, clock.tick);
    let count = samples_in_tick(clock.rate, clock.tick) as u64;
    for (id, mut sound) in &mut layers {
        sound.plays = false;
        sound.samples.left.clear();
        sound.samples.right.clear();
        let Some(wave) = waves.0.get(id.as_str()) else {
            continue;
        };
        for place in start..start + count {
            let sample = wave(place);
            sound.plays |= sample.is_some();
            let [left, right] = sample.unwrap_or_default();
            sound.samples.left.push(left);
            sound.samples.right.push(right);
        }
    }
}

/// Samples of the program before a tick.
pub fn samples_before(rate: FrameRate, tick: u64) -> u64 {
    tick * u64::from(SAMPLE_RATE) * u64::from(rate.denominator) / u64::from(rate.numerator)
}

/// A sine of `decibels` below full scale on both sides.
pub fn tone(hertz: f64, decibels: f32) -> Wave {
    let gain = 10f64.powf(f64::from(decibels) / 20.0);
    Arc::new(move |place| {
        let turns = place as f64 * hertz / f64::from(SAMPLE_RATE);
        Some([(gain * (std::f64::consts::TAU * turns).sin()) as f32; 2])
    })
}

/// The same value on each side for ever, which shows gains as they are.
pub fn level(left: f32, right: f32) -> Wave {
    Arc::new(move |_| Some([left, right]))
}

/// A wave that is there in some of the samples alone.
pub fn during(range: std::ops::Range<u64>, wave: Wave) -> Wave {
    Arc::new(move |place| range.contains(&place).then(|| wave(place)).flatten())
}

/// A layer with sound and without a picture.
pub fn heard(id: &str, sound: serde_json::Value) -> LayerSpec {
    let source = json!({"src": "a.wav"});
    LayerSpec {
        source: Source::Audio(serde_json::from_value(source).unwrap()),
        sound: serde_json::from_value::<Sound>(sound).unwrap(),
        ..LayerSpec::new(id)
    }
}

pub fn scene(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec::new("test");
    (spec.canvas.width, spec.canvas.height) = (64, 32);
    spec.layers = layers.into_iter().map(Arc::new).collect();
    spec
}

pub struct Desk {
    pub engine: Engine,
    scene: SceneSpec,
    /// All that was heard, without the time that the limiter takes.
    pub left: Vec<f32>,
    pub right: Vec<f32>,
    /// Samples of each tick, and whether they were more than silence.
    pub ticks: Vec<(usize, bool)>,
}

fn no_clock() -> u64 {
    0
}

impl Desk {
    pub fn new(scene: SceneSpec, waves: &[(&str, Wave)]) -> Self {
        Self::at(FrameRate::whole(60), scene, waves)
    }

    pub fn at(rate: FrameRate, scene: SceneSpec, waves: &[(&str, Wave)]) -> Self {
        Self::with_threads(1, rate, scene, waves)
    }

    pub fn with_threads(
        threads: usize,
        rate: FrameRate,
        scene: SceneSpec,
        waves: &[(&str, Wave)],
    ) -> Self {
        let mut engine = Engine::new(EngineSettings {
            width: 64,
            height: 32,
            rate,
            render_threads: threads,
            pool_frames: 4,
            max_layers: 100,
            now_nanos: no_clock,
            epoch_unix_ms: 0,
        })
        .unwrap();
        let waves = waves
            .iter()
            .map(|(id, wave)| ((*id).to_owned(), Arc::clone(wave)));
        let waves = Waves(waves.collect());
        engine.world_mut().insert_resource(waves);
        engine.add_sound_systems(TickSet::Ingest, play);
        engine.load(SceneBundle::new(scene.clone())).unwrap();
        Self {
            engine,
            scene,
            left: Vec::new(),
            right: Vec::new(),
            ticks: Vec::new(),
        }
    }

    pub fn tick(&mut self) {
        self.engine.tick();
        self.listen();
    }

    pub fn repeat(&mut self) {
        self.engine.repeat();
        self.listen();
    }

    fn listen(&mut self) {
        match self.engine.frame().unwrap().sound {
            AudioChunk::Silence { samples } => {
                self.left.resize(self.left.len() + samples, 0.0);
                self.right.resize(self.right.len() + samples, 0.0);
                self.ticks.push((samples, false));
            }
            AudioChunk::Samples(samples) => {
                assert_eq!(samples.left.len(), samples.right.len());
                self.left.extend(&samples.left);
                self.right.extend(&samples.right);
                self.ticks.push((samples.left.len(), true));
            }
        }
    }

    pub fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick();
        }
    }

    pub fn send(&mut self, command: Command) {
        self.engine.commands().send(command, |_| {}).unwrap();
    }

    /// Makes of the scene on air what `change` makes of it.
    pub fn edit(&mut self, change: impl FnOnce(&mut SceneSpec)) {
        let edit = self.edit_of(change);
        self.send(Command::EditScene(Box::new(edit)));
    }

    pub fn edit_of(&mut self, change: impl FnOnce(&mut SceneSpec)) -> SceneEdit {
        let mut new = self.scene.clone();
        change(&mut new);
        let edit = SceneEdit::between(&self.scene, &new).unwrap();
        self.scene = new;
        edit
    }

    /// The left side at a time of the sources' clock, in seconds.
    pub fn at_second(&self, second: f64) -> f32 {
        let place = (second * 48_000.0).round() as usize;
        self.left[place + stream_manager_systems::audio::LATENCY_SAMPLES]
    }

    /// The largest step from one sample to the next.
    pub fn steepest(&self, from: usize) -> f32 {
        let steps = |side: &[f32]| {
            side.windows(2)
                .map(|pair| (pair[1] - pair[0]).abs())
                .fold(0.0, f32::max)
        };
        steps(&self.left[from..]).max(steps(&self.right[from..]))
    }
}

/// A layer of the scene, to be changed.
pub fn layer<'a>(scene: &'a mut SceneSpec, id: &str) -> &'a mut LayerSpec {
    let layer = scene
        .layers
        .iter_mut()
        .find(|layer| layer.id.as_str() == id);
    Arc::make_mut(layer.unwrap())
}

pub fn decibels(factor: f32) -> f32 {
    20.0 * factor.abs().log10()
}
