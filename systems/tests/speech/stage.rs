//! A small engine with a host, what it is told to say, and what is heard and seen of it.

use std::io::Cursor;
use std::sync::Arc;

use components::layer::LayerSpec;
use components::scene::{FrameRate, SceneSpec};
use components::source::Source;

use image::{ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};
use stream_manager_systems::audio::{AudioChunk, SourceSound};
use stream_manager_systems::command::Command;
use stream_manager_systems::data::SceneData;
use stream_manager_systems::scene::SceneBundle;
use stream_manager_systems::speech::{
    BLOCK_FRAMES, EndReason, QueueMode, Speech, SpeechBlock, SpeechBudget, SpeechDoor, SpeechIn,
    SpeechNews, SpeechOrder, Utterance, speech_way,
};
use stream_manager_systems::{Engine, EngineSettings};

/// Ticks a second: 960 samples each.
pub const RATE: u32 = 50;
pub const TICK: usize = 960;
pub const LOUD: i16 = 16384;
pub const SHUT: [u8; 4] = [240, 0, 0, 255];
pub const OPEN: [u8; 4] = [0, 0, 240, 255];
pub const HAPPY: [u8; 4] = [0, 240, 0, 255];
pub const GREY: [u8; 4] = [100, 100, 100, 255];

pub fn no_clock() -> u64 {
    0
}

pub fn picture(colour: [u8; 4], right: bool) -> Picture {
    let picture = RgbaImage::from_fn(32, 32, |x, _| {
        Rgba(if right && x < 16 { [0; 4] } else { colour })
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    decode_picture(&bytes.into_inner(), &PictureFonts::default).unwrap()
}

pub fn host(id: &str) -> LayerSpec {
    let source = json!({
        "states": {"idle": {"src": "grey"}, "talk": {"src": "grey"}},
        "emotions": {"happy": {"src": "happy"}},
        "mouth": {"release": 0, "shapes": [{"src": "shut", "from": 0}, {"src": "open", "from": 0.3}]},
        "talkWhen": 0.2,
        "transition": {"duration": 0, "easing": "linear"},
    });
    LayerSpec {
        source: Source::Avatar(serde_json::from_value(source).unwrap()),
        ..LayerSpec::new(id)
    }
}

pub fn scene(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec::new("test");
    (spec.canvas.width, spec.canvas.height) = (32, 32);
    spec.layers = layers.into_iter().map(Arc::new).collect();
    spec
}

pub fn bundle(spec: &SceneSpec) -> SceneBundle {
    let mut bundle = SceneBundle::new(spec.clone());
    bundle.pictures = [
        ("grey", GREY, false),
        ("happy", HAPPY, false),
        ("shut", SHUT, true),
        ("open", OPEN, true),
    ]
    .map(|(name, colour, right)| (name.into(), picture(colour, right)))
    .into();
    bundle
}

pub struct Stage {
    pub engine: Engine,
    pub door: SpeechDoor,
    /// Samples of a tick.
    pub tick: usize,
    /// Left samples of all ticks.
    pub heard: Vec<f32>,
    /// Those of the program.
    pub program: Vec<f32>,
}

/// Says something of which all, part or nothing is there.
pub fn said(id: &str, samples: &[i16]) -> (Utterance, SpeechIn) {
    let (far, near) = speech_way(4096, &SpeechBudget::default());
    feed(&far, samples);
    let utterance = Utterance {
        id: id.into(),
        text: "".into(),
        emotion: None,
        captions: false,
        words: Vec::new(),
        gain_db: 0.0,
        queue: QueueMode::Append,
        sound: near,
    };
    (utterance, far)
}

pub fn feed(far: &SpeechIn, samples: &[i16]) {
    for chunk in samples.chunks(BLOCK_FRAMES) {
        let mut frames = [[0; 2]; BLOCK_FRAMES];
        for (frame, sample) in frames.iter_mut().zip(chunk) {
            *frame = [*sample; 2];
        }
        let len = chunk.len() as u16;
        far.try_send(Box::new(SpeechBlock { len, frames })).unwrap();
    }
}

impl Stage {
    pub fn new() -> Self {
        Self::of(&scene(vec![host("host")]))
    }

    pub fn of(spec: &SceneSpec) -> Self {
        Self::at_rate(spec, RATE)
    }

    /// With so many ticks a second.
    pub fn at_rate(spec: &SceneSpec, rate: u32) -> Self {
        let mut engine = Engine::new(EngineSettings {
            width: 32,
            height: 32,
            rate: FrameRate::whole(rate),
            render_threads: 1,
            pool_frames: 4,
            max_layers: 10,
            now_nanos: no_clock,
            epoch_unix_ms: 0,
        })
        .unwrap();
        engine.load(bundle(spec)).unwrap();
        let door = engine.speech_door();
        Self {
            engine,
            door,
            tick: RATE as usize * TICK / rate as usize,
            heard: Vec::new(),
            program: Vec::new(),
        }
    }

    pub fn order(&self, order: SpeechOrder) {
        let layer = "host".into();
        let command = Command::Speech { layer, order };
        self.engine.commands().send(command, |_| {}).unwrap();
    }

    pub fn say(&self, utterance: Utterance) {
        self.order(SpeechOrder::Say(Box::new(utterance)));
    }

    pub fn stop(&self, id: Option<&str>) {
        let id = id.map(Into::into);
        self.order(SpeechOrder::Stop { id });
    }

    /// Runs ticks and gives the left samples of them.
    pub fn ticks(&mut self, count: usize) -> Vec<f32> {
        let from = self.heard.len();
        for _ in 0..count {
            self.engine.tick();
            self.note();
        }
        self.heard[from..].to_vec()
    }

    pub fn note(&mut self) {
        let world = self.engine.world_mut();
        let mut sounds = world.query::<(&Speech, &SourceSound)>();
        let playing = sounds.iter(world).filter(|(_, sound)| sound.plays);
        let playing: Vec<_> = playing.map(|(_, sound)| &sound.samples).collect();
        assert!(playing.len() <= 1, "one host speaks at a time");
        match playing.first() {
            Some(samples) => {
                assert_eq!(samples.left.len(), self.tick);
                assert_eq!(samples.left, samples.right);
                self.heard.extend(&samples.left);
            }
            None => self.heard.extend(vec![0.0; self.tick]),
        }
        match &self.engine.frame().unwrap().sound {
            AudioChunk::Samples(samples) => self.program.extend(&samples.left),
            AudioChunk::Silence { samples } => {
                self.program.extend(std::iter::repeat_n(0.0, *samples));
            }
        }
    }

    pub fn load(&self, spec: &SceneSpec) {
        let scene = Command::LoadScene(Box::new(bundle(spec)));
        self.engine.commands().send(scene, |_| {}).unwrap();
    }

    pub fn at(&self, x: u32) -> [u8; 4] {
        let rgba = self.engine.picture().rgba;
        let at = ((16 * 32 + x) * 4) as usize;
        rgba[at..at + 4].try_into().unwrap()
    }

    pub fn mouth(&self) -> [u8; 4] {
        self.at(24)
    }

    /// What was told since; of ends the reason alone.
    pub fn news(&self) -> Vec<(String, SpeechNews)> {
        let events = self.door.events.try_iter();
        events
            .map(|event| {
                let news = match event.news {
                    SpeechNews::End { reason, .. } => end(reason),
                    news => news,
                };
                (event.id.to_string(), news)
            })
            .collect()
    }

    pub fn ends(&self) -> Vec<(String, EndReason)> {
        let end = |(id, news)| match news {
            SpeechNews::End { reason, .. } => Some((id, reason)),
            _ => None,
        };
        self.news().into_iter().filter_map(end).collect()
    }

    pub fn value(&mut self, path: &str) -> Value {
        let data = self.engine.world_mut().resource::<SceneData>();
        data.lookup(data.program(), path).unwrap().clone()
    }
}

pub fn end(reason: EndReason) -> SpeechNews {
    SpeechNews::End {
        reason,
        played: 0,
        last_word: None,
    }
}

pub fn pair(id: &str, reason: EndReason) -> (String, EndReason) {
    (id.to_owned(), reason)
}

/// The largest step from one sample to the next.
pub fn step(samples: &[f32]) -> f32 {
    let steps = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    steps.fold(0.0, f32::max)
}
