//! Speech: what is heard of utterances, sample by sample, and what the avatar's mouth shows on the same frame.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::io::Cursor;
use std::sync::Arc;

use components::layer::LayerSpec;
use components::scene::{FrameRate, SceneSpec};
use components::source::Source;
use image::{ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};
use stream_manager_systems::audio::SourceSound;
use stream_manager_systems::command::Command;
use stream_manager_systems::data::SceneData;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::speech::{
    BLOCK_FRAMES, CUT_SAMPLES, EndReason, QueueMode, RAMP_SAMPLES, Speech, SpeechBlock, SpeechDoor,
    SpeechIn, SpeechNews, SpeechOrder, SpokenWord, Utterance, WAITING_MAX, speech_way,
};
use stream_manager_systems::{Engine, EngineSettings};

/// Ticks a second: 960 samples each.
const RATE: u32 = 50;
const TICK: usize = 960;
const LOUD: i16 = 16384;
const SHUT: [u8; 4] = [240, 0, 0, 255];
const OPEN: [u8; 4] = [0, 0, 240, 255];
const HAPPY: [u8; 4] = [0, 240, 0, 255];
const GREY: [u8; 4] = [100, 100, 100, 255];

fn no_clock() -> u64 {
    0
}

fn picture(colour: [u8; 4], right: bool) -> Picture {
    let picture = RgbaImage::from_fn(32, 32, |x, _| {
        Rgba(if right && x < 16 { [0; 4] } else { colour })
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    decode_picture(&bytes.into_inner(), &PictureFonts::default).unwrap()
}

fn host(id: &str) -> LayerSpec {
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

fn scene(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec::new("test");
    (spec.canvas.width, spec.canvas.height) = (32, 32);
    spec.layers = layers.into_iter().map(Arc::new).collect();
    spec
}

fn bundle(spec: &SceneSpec) -> SceneBundle {
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

struct Stage {
    engine: Engine,
    door: SpeechDoor,
    /// Left samples of all ticks.
    heard: Vec<f32>,
}

/// Says something of which all, part or nothing is there.
fn said(id: &str, samples: &[i16]) -> (Utterance, SpeechIn) {
    let (far, near) = speech_way(4096);
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

fn feed(far: &SpeechIn, samples: &[i16]) {
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
    fn new() -> Self {
        Self::of(&scene(vec![host("host")]))
    }

    fn of(spec: &SceneSpec) -> Self {
        let mut engine = Engine::new(EngineSettings {
            width: 32,
            height: 32,
            rate: FrameRate::whole(RATE),
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
            heard: Vec::new(),
        }
    }

    fn order(&self, order: SpeechOrder) {
        let layer = "host".into();
        let command = Command::Speech { layer, order };
        self.engine.commands().send(command, |_| {}).unwrap();
    }

    fn say(&self, utterance: Utterance) {
        self.order(SpeechOrder::Say(Box::new(utterance)));
    }

    fn stop(&self, id: Option<&str>) {
        let id = id.map(Into::into);
        self.order(SpeechOrder::Stop { id });
    }

    /// Runs ticks and gives the left samples of them.
    fn ticks(&mut self, count: usize) -> Vec<f32> {
        let from = self.heard.len();
        for _ in 0..count {
            self.engine.tick();
            self.note();
        }
        self.heard[from..].to_vec()
    }

    fn note(&mut self) {
        let world = self.engine.world_mut();
        let mut sounds = world.query::<(&Speech, &SourceSound)>();
        let (_, sound) = sounds.single(world).unwrap();
        if sound.plays {
            assert_eq!(sound.samples.left.len(), TICK);
            assert_eq!(sound.samples.left, sound.samples.right);
            self.heard.extend(&sound.samples.left);
        } else {
            self.heard.extend([0.0; TICK]);
        }
    }

    fn at(&self, x: u32) -> [u8; 4] {
        let rgba = self.engine.picture().rgba;
        let at = ((16 * 32 + x) * 4) as usize;
        rgba[at..at + 4].try_into().unwrap()
    }

    fn mouth(&self) -> [u8; 4] {
        self.at(24)
    }

    fn news(&self) -> Vec<(String, SpeechNews)> {
        let events = self.door.events.try_iter();
        events
            .map(|event| (event.id.to_string(), event.news))
            .collect()
    }

    fn value(&mut self, path: &str) -> Value {
        let data = self.engine.world_mut().resource::<SceneData>();
        data.lookup(data.program(), path).unwrap().clone()
    }
}

fn end(reason: EndReason) -> SpeechNews {
    SpeechNews::End { reason }
}

/// The largest step from one sample to the next.
fn step(samples: &[f32]) -> f32 {
    let steps = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    steps.fold(0.0, f32::max)
}

#[test]
fn the_frame_of_the_first_loud_samples_shows_the_open_mouth() {
    let mut stage = Stage::new();
    // Two ticks of silence first.
    let mut samples = vec![0; 2 * TICK];
    samples.extend([LOUD; 3 * TICK]);
    let (utterance, far) = said("a", &samples);
    drop(far);
    stage.ticks(2);
    stage.say(utterance);
    let mut opened = None;
    for tick in 0..8 {
        let heard = stage.ticks(1);
        let is_loud = heard.iter().any(|sample| *sample > 0.1);
        let is_open = stage.mouth() == OPEN;
        assert_eq!(is_loud, is_open, "at {tick}");
        if is_loud {
            opened.get_or_insert(tick);
        }
    }
    assert_eq!(opened, Some(2));
    assert_eq!(stage.mouth(), SHUT, "and shut when it is over");
}

#[test]
fn every_sample_is_heard_once_between_short_ramps() {
    let mut stage = Stage::new();
    let samples: Vec<i16> = (0..5000).map(|place| 8000 + place as i16).collect();
    let (mut utterance, far) = said("a", &samples);
    utterance.gain_db = -6.0;
    drop(far);
    stage.say(utterance);
    let heard = stage.ticks(8);
    let gain = 10f32.powf(-6.0 / 20.0) / 32768.0;
    for place in RAMP_SAMPLES..5000 - RAMP_SAMPLES {
        let expected = f32::from(samples[place]) * gain;
        assert!((heard[place] - expected).abs() < 1e-5, "at {place}");
    }
    assert!(heard[5000..].iter().all(|sample| *sample == 0.0));
    assert!(heard[0] < 0.01 && heard[4999] < 0.01);
    assert!(step(&heard) < 0.01, "it clicks: {}", step(&heard));
    assert_eq!(
        stage.news(),
        [
            ("a".to_owned(), SpeechNews::Queued { place: 0 }),
            ("a".to_owned(), SpeechNews::Start),
            ("a".to_owned(), end(EndReason::Done))
        ]
    );
    assert!(stage.door.board.of("host").is_empty());
}

#[test]
fn a_stream_begins_with_a_little_in_hand_and_pauses_where_it_runs_dry() {
    let mut stage = Stage::new();
    let (utterance, far) = said("a", &[LOUD; 2400]);
    stage.say(utterance);
    assert!(stage.ticks(5).iter().all(|sample| *sample == 0.0));
    feed(&far, &[LOUD; 3360]);
    // 5760 samples are there: six ticks.
    let heard = stage.ticks(10);
    let loud = heard.iter().filter(|sample| **sample > 0.0).count();
    assert_eq!(loud, 5760);
    assert!(step(&heard) < 0.01);
    assert_eq!(stage.mouth(), SHUT);
    feed(&far, &[LOUD; 4800]);
    assert!(
        stage.ticks(3).iter().all(|sample| *sample == 0.0),
        "too little"
    );
    drop(far);
    let heard = stage.ticks(8);
    assert_eq!(heard.iter().filter(|sample| **sample > 0.0).count(), 4800);
    assert!(step(&heard) < 0.01);
    let news: Vec<_> = stage.news().into_iter().map(|(_, news)| news).collect();
    let expected = [
        SpeechNews::Queued { place: 0 },
        SpeechNews::Start,
        end(EndReason::Done),
    ];
    assert_eq!(news, expected);
}

#[test]
fn utterances_follow_each_other_as_they_were_queued() {
    let mut stage = Stage::new();
    let modes = [
        ("a", QueueMode::Append),
        ("b", QueueMode::Append),
        ("c", QueueMode::Next),
    ];
    for (id, queue) in modes {
        let (mut utterance, far) = said(id, &[LOUD; 2 * TICK]);
        utterance.queue = queue;
        drop(far);
        stage.say(utterance);
        stage.ticks(1);
    }
    let (mut utterance, far) = said("d", &[LOUD; 2 * TICK]);
    utterance.queue = QueueMode::Interrupt;
    drop(far);
    stage.say(utterance);
    stage.ticks(1);
    let waiting: Vec<_> = stage
        .door
        .board
        .of("host")
        .iter()
        .map(|shown| shown.id.to_string())
        .collect();
    assert_eq!(waiting.last().map(String::as_str), Some("b"));
    stage.ticks(12);
    let ends: Vec<_> = stage
        .news()
        .into_iter()
        .filter_map(|(id, news)| match news {
            SpeechNews::End { reason } => Some((id, reason)),
            _ => None,
        })
        .collect();
    let ends: Vec<_> = ends
        .iter()
        .map(|(id, reason)| (id.as_str(), *reason))
        .collect();
    // `a` was over when `d` came, and `c` was cut.
    assert_eq!(
        ends,
        [
            ("a", EndReason::Done),
            ("c", EndReason::Interrupted),
            ("d", EndReason::Done),
            ("b", EndReason::Done)
        ]
    );
    assert!(step(&stage.heard) < 0.01, "it clicks");
}

#[test]
fn what_is_stopped_fades_and_what_waits_is_forgotten() {
    let mut stage = Stage::new();
    let fars: Vec<_> = ["a", "b", "c"]
        .map(|id| {
            let (utterance, far) = said(id, &[LOUD; 40 * BLOCK_FRAMES]);
            stage.say(utterance);
            far
        })
        .into();
    stage.ticks(2);
    stage.stop(Some("b"));
    stage.ticks(1);
    stage.stop(None);
    let heard = stage.ticks(5);
    let loud = heard.iter().filter(|sample| **sample > 0.0).count();
    assert!(loud.abs_diff(CUT_SAMPLES) <= 1, "{loud}");
    assert!(step(&heard) < 0.01);
    let ends: Vec<_> = stage
        .news()
        .into_iter()
        .filter(|(_, news)| matches!(news, SpeechNews::End { .. }))
        .collect();
    let expected = ["b", "c", "a"].map(|id| (id.to_owned(), end(EndReason::Cancelled)));
    assert_eq!(ends, expected);
    drop(fars);
}

#[test]
fn more_than_may_wait_is_refused_with_an_error() {
    let mut stage = Stage::new();
    let mut fars = Vec::new();
    for number in 0..=WAITING_MAX {
        let (utterance, far) = said(&number.to_string(), &[]);
        stage.say(utterance);
        fars.push(far);
    }
    stage.ticks(1);
    let last = stage.news().pop().unwrap();
    assert_eq!(last, (WAITING_MAX.to_string(), end(EndReason::Error)));
    assert_eq!(stage.door.board.of("host").len(), WAITING_MAX);
}

#[test]
fn ticks_that_repeat_a_frame_take_their_samples_too() {
    let samples: Vec<i16> = (0..6 * TICK)
        .map(|place| (place % 200) as i16 * 100)
        .collect();
    let run = |repeats: &[usize]| {
        let mut stage = Stage::new();
        let (utterance, far) = said("a", &samples);
        drop(far);
        stage.say(utterance);
        for tick in 0..8 {
            if repeats.contains(&tick) {
                stage.engine.repeat();
                stage.note();
            } else {
                stage.ticks(1);
            }
        }
        stage.heard
    };
    assert_eq!(run(&[]), run(&[2, 3, 6]));
}

#[test]
fn an_emotion_lasts_as_long_as_what_is_said() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 3 * TICK]);
    utterance.emotion = Some("happy".into());
    drop(far);
    stage.ticks(1);
    assert_eq!(stage.at(4), GREY);
    stage.say(utterance);
    stage.ticks(2);
    assert_eq!(stage.at(4), HAPPY);
    stage.ticks(4);
    assert_eq!(stage.at(4), GREY);
}

#[test]
fn captions_show_the_words_that_were_said_and_nothing_unless_asked() {
    let word = |word: &str, start: f32| SpokenWord {
        word: word.into(),
        start,
        end: start + 0.02,
    };
    for captions in [false, true] {
        let mut stage = Stage::new();
        let (mut utterance, far) = said("a", &[LOUD; 4 * TICK]);
        utterance.text = "Good evening, Lisbon!".into();
        utterance.words = vec![
            word("Good", 0.0),
            word("evening", 0.02),
            word("Lisbon", 0.04),
        ];
        utterance.captions = captions;
        drop(far);
        assert_eq!(stage.value("speech.host.line"), "");
        assert_eq!(stage.value("speech.nobody.speaking"), false);
        stage.say(utterance);
        let mut lines = Vec::new();
        for _ in 0..4 {
            stage.ticks(1);
            lines.push(stage.value("speech.host.line"));
        }
        let expected = match captions {
            true => ["Good", "Good evening,", "Good evening, Lisbon!", ""],
            false => [""; 4],
        };
        // The last sample belongs to the fourth tick, on which it is over.
        assert_eq!(lines, expected.map(Value::from));
        assert_eq!(stage.value("speech.host.speaking"), false);
        let words = stage.news().into_iter().filter_map(|(_, news)| match news {
            SpeechNews::Word { word, .. } => Some(word.to_string()),
            _ => None,
        });
        assert_eq!(words.collect::<Vec<_>>(), ["Good", "evening", "Lisbon"]);
    }
}

#[test]
fn a_layer_that_goes_falls_silent_and_one_that_stays_goes_on() {
    let spec = scene(vec![host("host")]);
    let mut stage = Stage::of(&spec);
    let (utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    stage.say(utterance);
    stage.ticks(2);
    let mut edited = spec.clone();
    let layer = Arc::make_mut(&mut edited.layers[0]);
    layer.opacity = serde_json::from_value(json!(0.5)).unwrap();
    let edit = SceneEdit::between(&spec, &edited).unwrap();
    let commands = stage.engine.commands();
    commands
        .send(Command::EditScene(Box::new(edit)), |_| {})
        .unwrap();
    assert!(stage.ticks(2).iter().all(|sample| *sample > 0.4));
    let scene = Command::LoadScene(Box::new(bundle(&scene(vec![host("host")]))));
    commands.send(scene, |_| {}).unwrap();
    stage.ticks(2);
    let last = stage.news().pop().unwrap();
    assert_eq!(last, ("a".to_owned(), end(EndReason::Cancelled)));
    assert!(stage.heard[4 * TICK..].iter().all(|sample| *sample == 0.0));
    assert!(stage.door.board.of("host").is_empty());
}
