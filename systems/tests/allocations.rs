//! Steady state allocates nothing: moving layers, still texts, a looping timeline, a moving picture, a ticker, a chat,
//! an avatar that speaks, effects that change, sounds that are too loud and step back under each other, a publisher with picture and
//! sound. Asking for an input allocates little.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use bevy_ecs::prelude::*;
use components::animation::{
    Easing, Keyframe, KeyframeValue, LoopMode, Property, TimelineSpec, TrackSpec,
};
use components::layer::{LayerSpec, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ChatSource, ShapeKind, ShapeSource, Source, TextSource, TickerSource};
use components::value::{Colour, Paint};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, Rgba, RgbaImage};
use raster::Planes;
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};
use stream_manager_systems::audio::{SourceSound, samples_in_tick};
use stream_manager_systems::avatar::Avatar;
use stream_manager_systems::clock::FrameClock;
use stream_manager_systems::command::Command;
use stream_manager_systems::input::{LivePicture, OpenInput, SoundBlock, TimedPicture};
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::schedule::TickSet;
use stream_manager_systems::speech::{
    BLOCK_FRAMES, QueueMode, Speech, SpeechBlock, SpeechBudget, SpeechOrder, Utterance, speech_way,
};
use stream_manager_systems::{Engine, EngineSettings};

struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches atomics alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.load(SeqCst) {
            ALLOCATIONS.fetch_add(1, SeqCst);
            BYTES.fetch_add(layout.size(), SeqCst);
        }
        // SAFETY: the caller keeps `alloc`'s contract, which is passed on as it is.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if COUNTING.load(SeqCst) {
            ALLOCATIONS.fetch_add(1, SeqCst);
        }
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn no_clock() -> u64 {
    0
}

fn card(id: &str) -> LayerSpec {
    let shape = ShapeSource {
        shape: ShapeKind::Rectangle,
        radius: Default::default(),
        path: None,
        fill: Some(Paint::Solid(Colour {
            red: 255,
            green: 128,
            blue: 0,
            alpha: 128,
        })),
        stroke: None,
    };
    LayerSpec {
        source: Source::Shape(shape),
        size: Some(Size {
            width: 200.0.into(),
            height: 100.0.into(),
        }),
        ..LayerSpec::new(id)
    }
}

/// With a blur and a shadow that a track changes.
fn filtered() -> LayerSpec {
    let effects = r#"[{"type": "blur"}, {"type": "dropShadow", "blur": 20}, {"type": "pixelate"}, {"type": "color", "gamma": 2}]"#;
    LayerSpec {
        effects: serde_json::from_str(effects).unwrap(),
        ..card("filtered")
    }
}

/// Two frames, drawn larger than they are.
fn moving_picture() -> (LayerSpec, Picture) {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Infinite).unwrap();
    for grey in [50, 200] {
        let picture = RgbaImage::from_pixel(16, 16, Rgba([grey, grey, grey, 255]));
        let delay = Delay::from_numer_denom_ms(50, 1);
        let frame = Frame::from_parts(picture, 0, 0, delay);
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    let source = serde_json::from_str(r#"{"src": "moving"}"#).unwrap();
    let layer = LayerSpec {
        source: Source::Image(source),
        size: Some(Size {
            width: 80.0.into(),
            height: 60.0.into(),
        }),
        ..LayerSpec::new("moving")
    };
    (
        layer,
        decode_picture(&bytes, &PictureFonts::default).unwrap(),
    )
}

/// Breathes, blinks, and speaks as a track says.
fn avatar() -> LayerSpec {
    let source = serde_json::from_str(
        r#"{
            "states": {"idle": {"src": "moving"}}, "eyes": "moving", "blink": {"src": "moving", "every": [0.2, 0.3]}, "breathe": {},
            "mouth": {"shapes": [{"src": "moving", "from": 0}, {"src": "moving", "offset": {"x": 8}, "from": 0.5}]}
        }"#,
    );
    LayerSpec {
        source: Source::Avatar(source.unwrap()),
        ..LayerSpec::new("avatar")
    }
}

/// A sound that is moved to one side, and steps back under what the avatar says.
fn bed() -> LayerSpec {
    LayerSpec {
        source: Source::Audio(serde_json::from_str(r#"{"src": "bed.wav"}"#).unwrap()),
        sound: serde_json::from_str(r#"{"gain": 6, "pan": 0.4, "duck": {}}"#).unwrap(),
        ..LayerSpec::new("bed")
    }
}

/// Eight seconds of speech, all there.
fn speech() -> Command {
    let (far, near) = speech_way(800, &SpeechBudget::default());
    for _ in 0..800 {
        let len = BLOCK_FRAMES as u16;
        let frames = std::array::from_fn(|place| [(place as i16 % 60) * 300; 2]);
        far.try_send(Box::new(SpeechBlock { len, frames })).unwrap();
    }
    let said = Utterance {
        id: "said".into(),
        text: "Good evening".into(),
        emotion: None,
        captions: true,
        words: Vec::new(),
        gain_db: 3.0,
        queue: QueueMode::Append,
        sound: near,
    };
    Command::Speech {
        layer: "avatar".into(),
        order: SpeechOrder::Say(Box::new(said)),
    }
}

/// Whatever else has sound is as loud as can be.
fn play(clock: Res<FrameClock>, mut layers: Query<&mut SourceSound, Without<Avatar>>) {
    let count = samples_in_tick(clock.rate, clock.tick);
    for mut sound in &mut layers {
        sound.plays = true;
        let samples = &mut sound.bypass_change_detection().samples;
        for side in [&mut samples.left, &mut samples.right] {
            side.clear();
            side.extend((0..count).map(|place| (place as f32 * 0.1).sin()));
        }
    }
}

/// A publisher.
fn guest() -> LayerSpec {
    LayerSpec {
        source: Source::Ingest(serde_json::from_str(r#"{"key": "guest"}"#).unwrap()),
        ..card("guest")
    }
}

/// A picture in planes of one size, as decoders lend them.
struct Still {
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Planes for Still {
    fn width(&self) -> u32 {
        64
    }
    fn height(&self) -> u32 {
        36
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
        64
    }
    fn chroma_stride(&self) -> usize {
        32
    }
}

/// Gives what a publisher sends in the time of a tick, and counts what the tick then allocates.
fn tick_fed(engine: &mut Engine, guest: &OpenInput, number: i64) {
    let is_counted = COUNTING.swap(false, SeqCst);
    let planes = Still {
        luma: vec![(number % 200) as u8; 64 * 36],
        chroma: vec![128; 32 * 18],
    };
    let picture = TimedPicture {
        run: 0,
        pts_us: number * 1_000_000 / 30,
        picture: LivePicture::Planes(Arc::new(planes)),
        natural: (64, 36),
    };
    guest.ends.pictures.try_send(picture).unwrap();
    for block in number * 10 / 3..(number + 1) * 10 / 3 {
        let block = Box::new(SoundBlock {
            run: 0,
            pts_us: block * 10_000,
            len: 480,
            frames: [[0.25; 2]; 480],
        });
        guest.ends.sound.try_send(block).unwrap();
    }
    COUNTING.store(is_counted, SeqCst);
    engine.tick();
}

fn track(layer: &str, property: Property, to: f32) -> TrackSpec {
    let keyframe = |at, value| Keyframe {
        at,
        value: KeyframeValue::Number(value),
        easing: Easing::EaseInOutSine,
    };
    TrackSpec::new(layer, property, vec![keyframe(0.0, 0.0), keyframe(1.0, to)])
}

fn scene(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec {
        schema: None,
        version: 1,
        name: "steady".to_owned(),
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
    (spec.canvas.width, spec.canvas.height) = (640, 360);
    spec
}

fn engine() -> Engine {
    Engine::new(EngineSettings {
        width: 640,
        height: 360,
        rate: FrameRate::whole(30),
        render_threads: 2,
        pool_frames: 4,
        max_layers: 50,
        epoch_unix_ms: 0,
        now_nanos: no_clock,
    })
    .unwrap()
}

/// Bytes that the tick allocates on which a layer joins a scene.
fn bytes_to_add(layer: LayerSpec) -> usize {
    let mut engine = engine();
    let empty = scene(Vec::new());
    let edit = SceneEdit::between(&empty, &scene(vec![layer])).unwrap();
    engine.load(SceneBundle::new(empty)).unwrap();
    engine.tick();
    let command = Command::EditScene(Box::new(edit));
    engine.commands().send(command, |_| {}).unwrap();
    BYTES.store(0, SeqCst);
    COUNTING.store(true, SeqCst);
    engine.tick();
    COUNTING.store(false, SeqCst);
    BYTES.load(SeqCst)
}

#[test]
fn a_tick_of_moving_layers_allocates_nothing() {
    let text: TextSource =
        serde_json::from_str(r#"{"text": "Still words", "font": {"family": "DejaVu Sans"}}"#)
            .unwrap();
    let mut group = LayerSpec::new("group");
    group.children = vec![
        Arc::new(LayerSpec {
            source: Source::Text(text),
            ..LayerSpec::new("words")
        }),
        Arc::new(card("child")),
    ];
    let (moving, picture) = moving_picture();
    let ticker: TickerSource =
        serde_json::from_str(r#"{"items": ["One", "Another"], "font": {"family": "DejaVu Sans"}}"#)
            .unwrap();
    let strip = LayerSpec {
        source: Source::Ticker(ticker),
        ..card("strip")
    };
    let chat: ChatSource = serde_json::from_str(
        r#"{"messages": [{"text": "One"}, {"text": "Another"}, {"text": "A third"}], "font": {"family": "DejaVu Sans"}}"#,
    )
    .unwrap();
    let rows = LayerSpec {
        source: Source::Chat(Box::new(chat)),
        ..card("rows")
    };
    let mut spec = scene(vec![
        card("slides"),
        card("turns"),
        card("fades"),
        group,
        moving,
        strip,
        rows,
        avatar(),
        filtered(),
        bed(),
        guest(),
    ]);
    spec.timelines.push(Arc::new(TimelineSpec {
        loop_mode: LoopMode::PingPong,
        tracks: vec![
            track("slides", Property::PositionX, 400.0),
            track("turns", Property::Rotation, 90.0),
            track("fades", Property::Opacity, 1.0),
            track("group", Property::PositionY, 200.0),
            track("avatar", Property::Source("mouth.level".into()), 1.0),
            track("filtered", Property::Effect("blur.radius".into()), 12.0),
            track("bed", Property::Sound("gain".into()), -20.0),
            track("filtered", Property::Effect("dropShadow.y".into()), 30.0),
        ],
        ..TimelineSpec::new("motion")
    }));
    let mut engine = engine();
    let mut bundle = SceneBundle::new(spec);
    bundle.pictures.push(("moving".into(), picture));
    engine.add_sound_systems(TickSet::Ingest, play);
    engine.load(bundle).unwrap();
    engine.commands().send(speech(), |_| {}).unwrap();
    engine.tick();
    let opened: Vec<OpenInput> = engine.input_door().requests.try_iter().collect();
    let publisher = opened.iter().find(|open| open.layer.as_str() == "guest");
    let publisher = publisher.unwrap();
    engine.repeat();
    (0..88).for_each(|number| tick_fed(&mut engine, publisher, number));
    // Between two whole seconds, since words that follow the clock are made anew on each: ticks 90 to 119 are one such second.
    tick_fed(&mut engine, publisher, 88);
    let shown = publisher.ends.state.pictures_shown.load(SeqCst);
    COUNTING.store(true, SeqCst);
    (89..116).for_each(|number| tick_fed(&mut engine, publisher, number));
    // A tick without time to compose, too.
    engine.repeat();
    COUNTING.store(false, SeqCst);
    assert_eq!(ALLOCATIONS.load(SeqCst), 0);
    assert_eq!(publisher.ends.state.pictures_shown.load(SeqCst) - shown, 27);
    let world = engine.world_mut();
    let mut avatars = world.query::<&Speech>();
    assert!(avatars.single(world).unwrap().level().is_some());
    // Six seconds of sound have room in an input's way; it takes memory when they come, and not on the tick that asks.
    let asking = bytes_to_add(guest()).saturating_sub(bytes_to_add(card("guest")));
    assert!(asking < 50_000, "{asking} bytes");
}
