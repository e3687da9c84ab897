//! Speech: what is heard of utterances, sample by sample, and what the avatar's mouth shows on the same frame.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::io::Cursor;
use std::sync::Arc;

use components::layer::LayerSpec;
use components::scene::{FrameRate, SceneSpec};
use components::source::Source;
use components::transition::{Transition, TransitionKind};
use image::{ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};
use stream_manager_systems::audio::{AudioChunk, LATENCY_SAMPLES, SourceSound};
use stream_manager_systems::command::Command;
use stream_manager_systems::data::SceneData;
use stream_manager_systems::scene::{Outgoing, SceneBundle, SceneEdit};
use stream_manager_systems::speech::{
    BLOCK_FRAMES, CUT_SAMPLES, EndReason, QueueMode, RAMP_SAMPLES, Refusal, STALL_SAMPLES, Speech,
    SpeechBlock, SpeechBudget, SpeechDoor, SpeechIn, SpeechNews, SpeechOrder, SpokenWord,
    Utterance, WAITING_MAX, WORDS_A_TICK, speech_way,
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
    /// Those of the program.
    program: Vec<f32>,
}

/// Says something of which all, part or nothing is there.
fn said(id: &str, samples: &[i16]) -> (Utterance, SpeechIn) {
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
            program: Vec::new(),
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
        let playing = sounds.iter(world).filter(|(_, sound)| sound.plays);
        let playing: Vec<_> = playing.map(|(_, sound)| &sound.samples).collect();
        assert!(playing.len() <= 1, "one host speaks at a time");
        match playing.first() {
            Some(samples) => {
                assert_eq!(samples.left.len(), TICK);
                assert_eq!(samples.left, samples.right);
                self.heard.extend(&samples.left);
            }
            None => self.heard.extend([0.0; TICK]),
        }
        match &self.engine.frame().unwrap().sound {
            AudioChunk::Samples(samples) => self.program.extend(&samples.left),
            AudioChunk::Silence { samples } => {
                self.program.extend(std::iter::repeat_n(0.0, *samples));
            }
        }
    }

    fn load(&self, spec: &SceneSpec) {
        let scene = Command::LoadScene(Box::new(bundle(spec)));
        self.engine.commands().send(scene, |_| {}).unwrap();
    }

    fn at(&self, x: u32) -> [u8; 4] {
        let rgba = self.engine.picture().rgba;
        let at = ((16 * 32 + x) * 4) as usize;
        rgba[at..at + 4].try_into().unwrap()
    }

    fn mouth(&self) -> [u8; 4] {
        self.at(24)
    }

    /// What was told since; of ends the reason alone.
    fn news(&self) -> Vec<(String, SpeechNews)> {
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

    fn ends(&self) -> Vec<(String, EndReason)> {
        let end = |(id, news)| match news {
            SpeechNews::End { reason, .. } => Some((id, reason)),
            _ => None,
        };
        self.news().into_iter().filter_map(end).collect()
    }

    fn value(&mut self, path: &str) -> Value {
        let data = self.engine.world_mut().resource::<SceneData>();
        data.lookup(data.program(), path).unwrap().clone()
    }
}

fn end(reason: EndReason) -> SpeechNews {
    SpeechNews::End {
        reason,
        played: 0,
        last_word: None,
    }
}

fn pair(id: &str, reason: EndReason) -> (String, EndReason) {
    (id.to_owned(), reason)
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
        SpeechNews::Pause { played: 5760 },
        SpeechNews::Resume { played: 5760 },
        end(EndReason::Done),
    ];
    assert_eq!(news, expected);
    assert_eq!((stage.door.begun(), stage.door.underruns()), (1, 1));
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
    // `a` was over when `d` came, and `c` was cut.
    assert_eq!(
        stage.ends(),
        [
            pair("a", EndReason::Done),
            pair("c", EndReason::Interrupted),
            pair("d", EndReason::Done),
            pair("b", EndReason::Done)
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
    assert_eq!(
        stage.ends(),
        ["b", "c", "a"].map(|id| pair(id, EndReason::Cancelled))
    );
    drop(fars);
}

#[test]
fn more_than_may_wait_and_a_name_that_is_taken_are_refused() {
    let mut stage = Stage::new();
    let mut fars = Vec::new();
    for number in 0..=WAITING_MAX {
        let (utterance, far) = said(&number.to_string(), &[]);
        stage.say(utterance);
        fars.push(far);
    }
    stage.ticks(1);
    let refused = SpeechNews::Refused(Refusal::Full);
    assert_eq!(stage.news().pop(), Some((WAITING_MAX.to_string(), refused)));
    assert_eq!(fars[WAITING_MAX].state().refusal(), Some(Refusal::Full));
    assert_eq!(fars[0].state().refusal(), None);
    assert_eq!(stage.door.board.of("host").len(), WAITING_MAX);
    let (utterance, far) = said("7", &[]);
    stage.say(utterance);
    stage.ticks(1);
    assert_eq!(far.state().refusal(), Some(Refusal::Duplicate));
    assert_eq!(stage.ends(), [], "the one of this name goes on");
    // One that takes the place of all has room.
    let (mut utterance, far) = said("all", &[LOUD; 2 * TICK]);
    utterance.queue = QueueMode::Replace;
    drop(far);
    stage.say(utterance);
    stage.ticks(1);
    let ends = stage.ends();
    assert_eq!(ends.len(), WAITING_MAX);
    assert!(
        ends.iter()
            .all(|(_, reason)| *reason == EndReason::Interrupted)
    );
    stage.ticks(2);
    assert_eq!(stage.ends(), [pair("all", EndReason::Done)]);
}

#[test]
fn a_stream_that_stalls_ends_by_a_fault_and_does_not_hold_up_the_others() {
    let mut stage = Stage::new();
    let most = STALL_SAMPLES as usize / TICK;
    // One that runs dry, one of which nothing comes, and one that is all there.
    let (utterance, first) = said("dry", &[LOUD; 12 * BLOCK_FRAMES]);
    stage.say(utterance);
    let (utterance, _second) = said("empty", &[]);
    stage.say(utterance);
    let (utterance, far) = said("whole", &[LOUD; TICK]);
    stage.say(utterance);
    drop(far);
    stage.ticks(8 + most / 2);
    // A little more comes, less than it takes to go on.
    feed(&first, &[LOUD; BLOCK_FRAMES]);
    stage.ticks(most - 5);
    assert_eq!(stage.ends(), [], "it is not long since there was some");
    stage.ticks(10);
    assert_eq!(stage.ends(), [pair("dry", EndReason::Error)]);
    stage.ticks(most - 20);
    assert_eq!(stage.ends(), [], "its turn has not lasted long enough");
    stage.ticks(30);
    assert_eq!(
        stage.ends(),
        [
            pair("empty", EndReason::Error),
            pair("whole", EndReason::Done)
        ]
    );
}

#[test]
fn of_those_that_break_in_only_the_last_is_said() {
    let mut stage = Stage::new();
    let (utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    stage.say(utterance);
    stage.ticks(2);
    let mut fars = Vec::new();
    for id in ["b", "c", "d"] {
        let (mut utterance, far) = said(id, &[]);
        utterance.queue = QueueMode::Interrupt;
        stage.say(utterance);
        fars.push(far);
        stage.ticks(1);
    }
    feed(&fars.pop().unwrap(), &[LOUD; TICK]);
    stage.ticks(4);
    assert_eq!(
        stage.ends(),
        [
            pair("b", EndReason::Interrupted),
            pair("a", EndReason::Interrupted),
            pair("c", EndReason::Interrupted),
            pair("d", EndReason::Done)
        ]
    );
}

#[test]
fn an_end_says_how_far_it_came_and_what_is_over_is_let_go_of_elsewhere() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 10 * TICK]);
    utterance.words = ["one", "two", "three"]
        .iter()
        .zip([0.0, 0.01, 5.0])
        .map(|(word, start)| SpokenWord {
            word: (*word).into(),
            start,
            end: start,
        })
        .collect();
    stage.say(utterance);
    stage.ticks(3);
    stage.stop(None);
    stage.ticks(3);
    let news = stage.door.events.try_iter().last().unwrap().news;
    let SpeechNews::End {
        reason,
        played,
        last_word,
    } = news
    else {
        panic!("{news:?}");
    };
    assert_eq!(reason, EndReason::Cancelled);
    assert!((played as usize).abs_diff(3 * TICK + CUT_SAMPLES) <= 1);
    assert_eq!(last_word, Some(("two".into(), 1)));
    assert_eq!(far.state().end_reason(), Some(EndReason::Cancelled));
    let spent = stage.door.spent.try_recv().unwrap();
    assert_eq!(&*spent.id, "a");
    assert!(spent.sound.state().received() > played, "with its sound");
    drop(stage);
}

#[test]
fn many_words_are_told_on_more_than_one_tick() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    utterance.words = (0..WORDS_A_TICK * 3 + 1)
        .map(|number| SpokenWord {
            word: number.to_string().into(),
            start: 0.0,
            end: 0.0,
        })
        .collect();
    stage.say(utterance);
    let mut words = Vec::new();
    for _ in 0..5 {
        stage.ticks(1);
        let is_word = |(_, news): &(String, SpeechNews)| matches!(news, SpeechNews::Word { .. });
        words.push(stage.news().into_iter().filter(is_word).count());
    }
    let most = WORDS_A_TICK;
    assert_eq!(words, [most, most, most, 1, 0]);
    assert_eq!(stage.door.lost(), 0);
}

#[test]
fn words_that_come_ahead_of_their_time_do_not_blank_the_caption() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    utterance.text = "Good evening, Lisbon!".into();
    utterance.captions = true;
    stage.say(utterance);
    stage.ticks(2);
    let phrase = stage.value("speech.host.line");
    assert_eq!(phrase, "Good evening, Lisbon!");
    let words = vec![SpokenWord {
        word: "Good".into(),
        start: 0.2,
        end: 0.3,
    }];
    let (id, text) = ("a".into(), None);
    stage.order(SpeechOrder::Tell { id, text, words });
    stage.ticks(1);
    assert_eq!(stage.value("speech.host.line"), phrase);
    stage.ticks(10);
    assert_eq!(stage.value("speech.host.line"), "Good");
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
    stage.load(&scene(vec![host("other")]));
    stage.ticks(2);
    assert_eq!(stage.ends(), [pair("a", EndReason::Cancelled)]);
    assert!(stage.heard[4 * TICK..].iter().all(|sample| *sample == 0.0));
    assert!(stage.door.board.of("host").is_empty());
    assert_eq!(stage.door.spent.len(), 1);
}

fn fading(layers: Vec<LayerSpec>, seconds: f32) -> SceneSpec {
    let mut spec = scene(layers);
    if seconds > 0.0 {
        spec.transitions.scene = Transition::new(TransitionKind::Fade, seconds);
    }
    spec
}

#[test]
fn speech_goes_on_in_the_next_scene_on_the_avatar_of_the_same_name_without_a_break() {
    for seconds in [0.0, 0.2] {
        let mut stage = Stage::new();
        let quiet = stage.ticks(2).len() + RAMP_SAMPLES;
        let (mut utterance, far) = said("a", &[LOUD; 40 * TICK]);
        utterance.captions = true;
        utterance.text = "Hello".into();
        drop(far);
        stage.say(utterance);
        let (utterance, far) = said("b", &[LOUD; TICK]);
        drop(far);
        stage.say(utterance);
        stage.ticks(3);
        stage.load(&fading(vec![host("host")], seconds));
        stage.ticks(5);
        assert_eq!(stage.value("speech.host.line"), "Hello");
        if seconds == 0.0 {
            assert_eq!(stage.mouth(), OPEN);
        } else {
            // Turned round in the middle, it goes back with its scene.
            let back = Command::Mix {
                action: stream_manager_systems::transition::MixAction::Reverse,
                back: None,
            };
            stage.engine.commands().send(back, |_| {}).unwrap();
        }
        stage.ticks(25);
        let shown = stage.door.board.of("host");
        assert_eq!(shown.len(), 2, "in {seconds}");
        assert_eq!(stage.door.board.all().len(), 1);
        let level = f32::from(LOUD) / 32768.0;
        for heard in [
            &stage.heard[quiet..],
            &stage.program[quiet + LATENCY_SAMPLES..],
        ] {
            let off = heard
                .iter()
                .position(|sample| (sample - level).abs() > 1e-3);
            assert_eq!(off, None, "in {seconds}");
        }
        stage.ticks(15);
        assert_eq!(
            stage.ends(),
            [pair("a", EndReason::Done), pair("b", EndReason::Done)]
        );
    }
}

#[test]
fn a_host_on_its_way_out_can_be_stopped() {
    let mut stage = Stage::new();
    let (utterance, far) = said("a", &[LOUD; 40 * TICK]);
    drop(far);
    stage.say(utterance);
    stage.ticks(3);
    stage.load(&fading(vec![host("other")], 1.0));
    stage.ticks(2);
    let world = stage.engine.world_mut();
    assert_eq!(world.query::<(&Speech, &Outgoing)>().iter(world).count(), 1);
    assert!(stage.heard.last().unwrap() > &0.4, "it goes on meanwhile");
    stage.stop(None);
    stage.ticks(3);
    assert_eq!(stage.ends(), [pair("a", EndReason::Cancelled)]);
    assert!(stage.door.board.of("host").is_empty());
}
