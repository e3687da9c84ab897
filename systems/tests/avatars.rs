//! Avatars: the mouth of every level, blinks, states that follow each other, looks that give way, on their ticks.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::io::Cursor;
use std::sync::Arc;

use components::layer::LayerSpec;
use components::scene::{FrameRate, SceneSpec};
use components::source::{AvatarSource, Source};
use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, ImageFormat, Rgba, RgbaImage};
use serde_json::{Map, Value, json};
use stream_manager_systems::assets::{Arrival, Picture, PictureFonts, decode_picture};
use stream_manager_systems::command::Command;
use stream_manager_systems::render::RasterCache;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};

const CANVAS: u32 = 64;
/// The side of every picture. Bodies fill it; eyes fill its upper left quarter, mouths its lower right one.
const SIDE: u32 = 32;
const RATE: u32 = 50;

const GREY: [u8; 4] = [100, 100, 100, 255];
const RED: [u8; 4] = [240, 0, 0, 255];
const GREEN: [u8; 4] = [0, 240, 0, 255];
const BLUE: [u8; 4] = [0, 0, 240, 255];
const WHITE: [u8; 4] = [255, 255, 255, 255];
const BLACK: [u8; 4] = [0, 0, 0, 255];

const EYES: (u32, u32) = (4, 4);
const MOUTH: (u32, u32) = (28, 28);
const BODY: (u32, u32) = (28, 4);

fn no_clock() -> u64 {
    0
}

fn engine(threads: usize) -> Engine {
    Engine::new(EngineSettings {
        width: CANVAS,
        height: CANVAS,
        rate: FrameRate::whole(RATE),
        render_threads: threads,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: no_clock,
        epoch_unix_ms: 0,
    })
    .unwrap()
}

/// A picture of one colour in a quarter of the frame, or in all of it.
fn part(colour: [u8; 4], quarter: Option<(u32, u32)>) -> Picture {
    let picture = RgbaImage::from_fn(SIDE, SIDE, |x, y| {
        let half = SIDE / 2;
        match quarter {
            Some((right, down)) if (x / half, y / half) != (right, down) => Rgba([0; 4]),
            _ => Rgba(colour),
        }
    });
    encoded(&picture)
}

fn encoded(picture: &RgbaImage) -> Picture {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    decode_picture(&bytes.into_inner(), &PictureFonts::default).unwrap()
}

fn pictures() -> Vec<(Arc<str>, Picture)> {
    let (eyes, mouth) = (Some((0, 0)), Some((1, 1)));
    [
        ("grey", part(GREY, None)),
        ("red", part(RED, None)),
        ("green", part(GREEN, None)),
        ("open", part(WHITE, eyes)),
        ("happy", part(GREEN, eyes)),
        ("shut", part(BLACK, eyes)),
        ("m0", part(RED, mouth)),
        ("m1", part(GREEN, mouth)),
        ("m2", part(BLUE, mouth)),
        ("small", encoded(&RgbaImage::from_pixel(8, 8, Rgba(BLUE)))),
    ]
    .map(|(name, picture)| (name.into(), picture))
    .into()
}

/// Of all that the tests look at; `more` is laid over it.
fn source(more: Value) -> AvatarSource {
    let mut source = json!({
        "states": {"idle": {"src": "grey"}, "talk": {"src": "red"}, "wave": {"src": "green", "duration": 0.4}},
        "emotions": {"happy": {"eyes": "happy"}},
        "state": "{{state}}", "emotion": "{{emotion}}",
        "eyes": "open",
        "mouth": {
            "level": "{{level}}", "release": 0,
            "shapes": [{"src": "m0", "from": 0}, {"src": "m1", "from": 0.1}, {"src": "m2", "from": 0.4}],
        },
        "transition": {"duration": 0, "easing": "linear"},
    });
    for (name, value) in more.as_object().unwrap() {
        source[name] = value.clone();
    }
    serde_json::from_value(source).unwrap()
}

fn avatar(id: &str, more: Value) -> LayerSpec {
    LayerSpec {
        source: Source::Avatar(source(more)),
        ..LayerSpec::new(id)
    }
}

fn spec(layers: Vec<LayerSpec>, data: Value) -> SceneSpec {
    let mut spec = SceneSpec {
        schema: None,
        version: 1,
        name: "test".to_owned(),
        canvas: Default::default(),
        assets: Default::default(),
        data: Arc::new(data.as_object().unwrap().clone()),
        layers: layers.into_iter().map(Arc::new).collect(),
        timelines: Vec::new(),
        transitions: Default::default(),
        audio: Default::default(),
        renditions: Vec::new(),
        outputs: Vec::new(),
    };
    (spec.canvas.width, spec.canvas.height) = (CANVAS, CANVAS);
    spec
}

fn bundle(spec: &SceneSpec) -> SceneBundle {
    let mut bundle = SceneBundle::new(spec.clone());
    bundle.pictures = pictures();
    bundle
}

fn at_rest() -> Value {
    json!({"state": "idle", "emotion": "neutral", "level": 0})
}

/// A stage on which an avatar is told things.
struct Stage {
    engine: Engine,
    spec: SceneSpec,
}

impl Stage {
    fn new(more: Value) -> Self {
        Self::of(spec(vec![avatar("host", more)], at_rest()))
    }

    fn of(spec: SceneSpec) -> Self {
        let mut engine = engine(1);
        engine.load(bundle(&spec)).unwrap();
        Self { engine, spec }
    }

    fn tell(&mut self, more: Value) {
        let mut data: Map<String, Value> = (*self.spec.data).clone();
        data.extend(more.as_object().unwrap().clone());
        let mut new = self.spec.clone();
        new.data = Arc::new(data);
        self.edit(new);
    }

    fn edit(&mut self, new: SceneSpec) {
        let edit = SceneEdit::between(&self.spec, &new).unwrap();
        let edit = Command::EditScene(Box::new(edit));
        self.engine.commands().send(edit, |_| {}).unwrap();
        self.spec = new;
    }

    fn tick(&mut self) -> u64 {
        self.engine.tick().tick
    }

    fn at(&self, (x, y): (u32, u32)) -> [u8; 4] {
        pixel(&self.engine, x, y)
    }
}

fn pixel(engine: &Engine, x: u32, y: u32) -> [u8; 4] {
    let rgba = engine.picture().rgba;
    let at = ((y * CANVAS + x) * 4) as usize;
    rgba[at..at + 4].try_into().unwrap()
}

fn is_near(colour: [u8; 4], expected: [u8; 4]) -> bool {
    let mut pairs = colour.into_iter().zip(expected);
    pairs.all(|(a, b)| a.abs_diff(b) <= 3)
}

#[test]
fn a_level_shows_its_shape_on_its_own_tick_and_a_shape_stays_a_little() {
    let mut stage = Stage::new(json!({}));
    let levels = [0.0, 0.1, 0.09, 0.06, 0.4, 0.38, 0.36, 1.0, 0.0];
    let shapes = [RED, GREEN, GREEN, RED, BLUE, BLUE, GREEN, BLUE, RED];
    for (level, shape) in levels.into_iter().zip(shapes) {
        stage.tell(json!({"level": level}));
        stage.tick();
        assert_eq!(stage.at(MOUTH), shape, "at {level}");
        assert_eq!(stage.at(BODY), GREY);
    }
}

#[test]
fn a_fall_of_the_level_takes_its_time() {
    let mouth = |release: f32| {
        let mut mouth = serde_json::to_value(source(json!({})).mouth).unwrap();
        mouth["release"] = json!(release);
        mouth["hysteresis"] = json!(0);
        json!({"mouth": mouth})
    };
    // From 1 to 0 in twelve ticks.
    let mut stage = Stage::new(mouth(0.24));
    stage.tell(json!({"level": 1}));
    stage.tick();
    stage.tell(json!({"level": 0}));
    let shapes: Vec<_> = (0..12)
        .map(|_| {
            stage.tick();
            stage.at(MOUTH)
        })
        .collect();
    let count = |shape| shapes.iter().filter(|other| **other == shape).count();
    assert_eq!((count(BLUE), count(GREEN), count(RED)), (7, 3, 2));
}

#[test]
fn a_mouth_that_moves_draws_nothing_anew_and_touches_little() {
    let mut stage = Stage::new(json!({}));
    stage.tick();
    let misses = |stage: &mut Stage| stage.engine.world_mut().resource::<RasterCache>().uses().1;
    let before = misses(&mut stage);
    for tick in 0..20 {
        stage.tell(json!({"level": f64::from(tick % 3) * 0.3}));
        stage.tick();
    }
    assert_eq!(misses(&mut stage), before);
}

#[test]
fn blinks_are_those_of_the_tick_and_two_avatars_blink_apart() {
    let blink = json!({"blink": {"src": "shut", "every": [0.5, 1.5]}});
    let other = LayerSpec {
        position: serde_json::from_value(json!({"x": 32, "y": 32})).unwrap(),
        ..avatar("guest", blink.clone())
    };
    let spec = spec(vec![avatar("host", blink), other], at_rest());
    let mut stage = Stage::of(spec.clone());
    let seen: Vec<_> = (0..600)
        .map(|_| {
            stage.tick();
            [stage.at(EYES), stage.at((36, 36))]
        })
        .collect();
    let blinks = |who: usize| {
        let pairs = seen.windows(2);
        pairs
            .filter(|pair| pair[0][who] == WHITE && pair[1][who] == BLACK)
            .count()
    };
    assert!((9..25).contains(&blinks(0)) && (9..25).contains(&blinks(1)));
    let both = seen.iter().filter(|eyes| **eyes == [BLACK, BLACK]).count();
    let one = seen.iter().filter(|eyes| eyes.contains(&BLACK)).count();
    assert!(both * 3 < one, "{both} of {one}");
    for tick in (0..600).step_by(37) {
        let mut sought = engine(1);
        sought.load(bundle(&spec)).unwrap();
        sought.seek(tick);
        sought.tick();
        let eyes = [pixel(&sought, 4, 4), pixel(&sought, 36, 36)];
        assert_eq!(eyes, seen[tick as usize], "tick {tick}");
    }
}

#[test]
fn two_bodies_that_fade_are_whole_all_the_way() {
    let mut stage = Stage::new(json!({"transition": {"duration": 0.2, "easing": "linear"}}));
    stage.tick();
    assert_eq!(stage.at(BODY), GREY);
    stage.tell(json!({"state": "talk"}));
    let seen: Vec<_> = (0..11)
        .map(|_| {
            stage.tick();
            stage.at(BODY)
        })
        .collect();
    // A tenth a tick, the first on the tick of the change; nothing of the black behind shines through.
    for (tick, colour) in seen.iter().enumerate() {
        let part = ((tick + 1) as f32 / 10.0).min(1.0);
        let mixed = [0, 1, 2, 3].map(|channel| {
            let (from, to) = (f32::from(GREY[channel]), f32::from(RED[channel]));
            (from + (to - from) * part).round() as u8
        });
        assert!(
            is_near(*colour, mixed),
            "{tick}: {colour:?} is not {mixed:?}"
        );
    }
    assert_eq!((seen[9], seen[10]), (RED, RED));
}

#[test]
fn a_change_of_mind_goes_on_from_what_is_on_screen() {
    let mut stage = Stage::new(json!({"transition": {"duration": 0.2, "easing": "linear"}}));
    stage.tick();
    stage.tell(json!({"state": "talk"}));
    for _ in 0..5 {
        stage.tick();
    }
    let half = stage.at(BODY);
    assert!(is_near(half, [170, 50, 50, 255]), "{half:?}");
    stage.tell(json!({"state": "idle"}));
    stage.tick();
    assert!(
        is_near(stage.at(BODY), [163, 55, 55, 255]),
        "{:?}",
        stage.at(BODY)
    );
    for _ in 0..9 {
        stage.tick();
    }
    assert_eq!(stage.at(BODY), GREY);
}

#[test]
fn a_state_ends_on_its_tick_by_play_and_by_seek() {
    let transition = json!({"transition": {"duration": 0.1, "easing": "linear"}});
    let data = json!({"state": "wave", "emotion": "neutral", "level": 0});
    let spec = spec(vec![avatar("host", transition)], data);
    let mut stage = Stage::of(spec.clone());
    for tick in 0..30 {
        stage.tick();
        let expected = match tick {
            0..20 => GREEN,
            25.. => GREY,
            _ => stage.at(BODY),
        };
        assert_eq!(stage.at(BODY), expected, "tick {tick}");
        let mut sought = engine(2);
        sought.load(bundle(&spec)).unwrap();
        sought.seek(tick);
        sought.tick();
        assert!(
            sought.picture().rgba == stage.engine.picture().rgba,
            "tick {tick} sought and played"
        );
    }
    // Told again, it waves again; told something else meanwhile, it does that.
    let mut new = stage.spec.clone();
    new.layers = vec![Arc::new(avatar(
        "host",
        json!({"again": 1, "transition": {"duration": 0}}),
    ))];
    stage.edit(new);
    stage.tick();
    assert_eq!(stage.at(BODY), GREEN);
    stage.tell(json!({"state": "nonsense"}));
    stage.tick();
    assert_eq!(stage.at(BODY), GREEN, "what is no state changes nothing");
    stage.tell(json!({"state": "talk"}));
    stage.tick();
    assert_eq!(stage.at(BODY), RED);
}

/// Red for two ticks, then blue.
fn moving() -> Picture {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for colour in [RED, BLUE] {
        let picture = RgbaImage::from_pixel(SIDE, SIDE, Rgba(colour));
        let delay = Delay::from_numer_denom_ms(40, 1);
        let frame = Frame::from_parts(picture, 0, 0, delay);
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    decode_picture(&bytes, &PictureFonts::default).unwrap()
}

#[test]
fn a_moving_picture_plays_from_its_start_each_time_its_state_comes() {
    let states = json!({"idle": {"src": "grey"}, "dance": {"src": "moving", "duration": 0.2}});
    let spec = spec(vec![avatar("host", json!({"states": states}))], at_rest());
    let mut engine = engine(1);
    let mut bundle = bundle(&spec);
    bundle.pictures.push(("moving".into(), moving()));
    engine.load(bundle).unwrap();
    let mut stage = Stage { engine, spec };
    for wait in [5, 8] {
        stage.tell(json!({"state": "idle"}));
        for _ in 0..wait {
            stage.tick();
            assert_eq!(stage.at(BODY), GREY);
        }
        stage.tell(json!({"state": "dance"}));
        for tick in 0..10 {
            stage.tick();
            let expected = if tick < 2 { RED } else { BLUE };
            assert!(is_near(stage.at(BODY), expected), "tick {tick}");
        }
    }
}

#[test]
fn a_voice_takes_the_state_talk_and_keeps_it_between_words() {
    let mut stage = Stage::new(json!({"talkWhen": 0.2, "talkHold": 0.1}));
    stage.tick();
    assert_eq!(stage.at(BODY), GREY);
    stage.tell(json!({"level": 0.5}));
    stage.tick();
    assert_eq!(stage.at(BODY), RED);
    stage.tell(json!({"level": 0}));
    let talks = (0..20).take_while(|_| {
        stage.tick();
        stage.at(BODY) == RED
    });
    assert_eq!(talks.count(), 5);
    // What ends by itself is not talked over.
    stage.tell(json!({"level": 0.5, "state": "wave"}));
    stage.tick();
    assert_eq!(stage.at(BODY), GREEN);
}

#[test]
fn a_leap_in_time_finds_what_the_tracks_of_the_voice_led_to() {
    let mouth = json!({"level": 0, "shapes": [{"src": "m0", "from": 0}]});
    let talking = json!({"talkWhen": 0.2, "transition": {"duration": 0.2}, "mouth": mouth});
    let mut spec = spec(vec![avatar("host", talking)], at_rest());
    let voice = json!({"id": "voice", "tracks": [{
        "layer": "host", "property": "source.mouth.level",
        "keyframes": [{"at": 0, "value": 0}, {"at": 0.5, "value": 0}, {"at": 0.5, "value": 1}, {"at": 9, "value": 1}]
    }]});
    spec.timelines
        .push(Arc::new(serde_json::from_value(voice).unwrap()));
    let mut stage = Stage::of(spec);
    for (tick, expected) in [(4, GREY), (60, RED), (10, GREY), (90, RED)] {
        stage.engine.seek(tick);
        stage.tick();
        assert_eq!(stage.at(BODY), expected, "tick {tick}");
    }
}

#[test]
fn an_emotion_changes_what_it_says_and_no_more() {
    let mut stage = Stage::new(json!({}));
    stage.tick();
    assert_eq!(stage.at(EYES), WHITE);
    stage.tell(json!({"emotion": "happy"}));
    stage.tick();
    assert_eq!((stage.at(EYES), stage.at(BODY)), (GREEN, GREY));
    stage.tell(json!({"emotion": "neutral"}));
    stage.tick();
    assert_eq!(stage.at(EYES), WHITE);
}

#[test]
fn a_body_that_is_missing_leaves_the_last_good_one() {
    let states = json!({"states": {"idle": {"src": "grey"}, "talk": {"src": "late"}}});
    let mut stage = Stage::new(states);
    stage.tick();
    stage.tell(json!({"state": "talk", "emotion": "happy"}));
    for _ in 0..5 {
        stage.tick();
        assert_eq!((stage.at(BODY), stage.at(EYES)), (GREY, GREEN));
    }
    let door = stage.engine.picture_door();
    let picture = part(BLUE, None);
    let arrival = Arrival {
        src: "late".into(),
        picture: Ok(picture),
    };
    door.arrivals.send(arrival).unwrap();
    stage.tick();
    assert_eq!(stage.at(BODY), BLUE);
}

#[test]
fn the_frame_fills_the_box_as_one_picture() {
    let mut layer = avatar(
        "host",
        json!({"eyes": {"src": "small", "offset": {"x": 24, "y": 0}}, "mouth": null}),
    );
    layer.size = serde_json::from_value(json!({"width": 64, "height": 64})).unwrap();
    let seen = |layer: &LayerSpec| {
        let mut stage = Stage::of(spec(vec![layer.clone()], at_rest()));
        stage.tick();
        stage
    };
    let whole = seen(&layer);
    assert_eq!((whole.at((46, 14)), whole.at((49, 14))), (GREY, BLUE));
    assert_eq!((whole.at((62, 14)), whole.at((50, 18))), (BLUE, GREY));
    // The right half of the frame, 16 pixels wide, in the middle of the box.
    layer.crop = serde_json::from_value(json!({"left": 16})).unwrap();
    let cut = seen(&layer);
    assert_eq!((cut.at((14, 30)), cut.at((18, 30))), (BLACK, GREY));
    assert_eq!(
        (cut.at((33, 8)), cut.at((46, 8)), cut.at((50, 8))),
        (BLUE, BLUE, BLACK)
    );
    // Half seen as a whole: what lies below the eyes does not shine through them.
    layer.crop = Default::default();
    layer.opacity = serde_json::from_value(json!(0.5)).unwrap();
    let faint = seen(&layer);
    assert!(is_near(faint.at((55, 8)), [0, 0, 120, 255]));
    assert!(is_near(faint.at((8, 8)), [50, 50, 50, 255]));
}

#[test]
fn breathing_moves_the_top_and_not_the_foot_and_draws_nothing_anew() {
    let layer = LayerSpec {
        position: serde_json::from_value(json!({"x": 0, "y": 16})).unwrap(),
        ..avatar("host", json!({"breathe": {"amount": 8, "period": 2}}))
    };
    let mut stage = Stage::of(spec(vec![layer], at_rest()));
    let mut tops = Vec::new();
    for _ in 0..100 {
        stage.tick();
        tops.push(stage.at((28, 10)) == GREY);
        assert_eq!((stage.at((8, 46)), stage.at((8, 49))), (GREY, BLACK));
    }
    assert!(!tops[0] && tops[50] && !tops[99]);
    let uses = stage.engine.world_mut().resource::<RasterCache>().uses();
    assert!(uses.1 <= 8, "{uses:?}");
}

#[test]
fn another_source_takes_all_layers_of_an_avatar_away() {
    let mut stage = Stage::new(json!({}));
    let names = |stage: &mut Stage| {
        let world = stage.engine.world_mut();
        let mut names = world.query::<&components::layer::LayerId>();
        names.iter(world).count()
    };
    stage.tick();
    assert!(names(&mut stage) > 5);
    let mut new = stage.spec.clone();
    new.layers = vec![Arc::new(LayerSpec::new("host"))];
    stage.edit(new.clone());
    stage.tick();
    assert_eq!((names(&mut stage), stage.at(BODY)), (1, BLACK));
    new.layers = vec![Arc::new(avatar("host", json!({"eyes": "happy"})))];
    stage.edit(new);
    stage.tick();
    assert_eq!(stage.at(EYES), GREEN);
}

#[test]
fn frames_do_not_depend_on_threads() {
    let fading = json!({"transition": {"duration": 0.3}, "breathe": {}, "talkWhen": 0.2});
    let spec = spec(vec![avatar("host", fading)], at_rest());
    let play = |threads: usize| {
        let mut stage = Stage {
            engine: engine(threads),
            spec: spec.clone(),
        };
        stage.engine.load(bundle(&spec)).unwrap();
        let mut frames = Vec::new();
        for tick in 0..40 {
            stage.tell(json!({"level": f64::from(tick % 7) / 7.0}));
            stage.tick();
            frames.push(stage.engine.frame().unwrap().frame.y().to_vec());
        }
        frames
    };
    assert!(play(1) == play(3));
}
