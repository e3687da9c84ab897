//! Moving pictures: the right frame on every tick, whether the tick is played to or sought, and no work between frames.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod support;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use components::animation::{
    Easing, Glide, Keyframe, KeyframeValue, Property, TimelineSpec, TrackSpec,
};
use components::layer::{LayerSpec, Size, Visible};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ImageSource, Playback, PlaybackLoop, Source};
use components::value::Template;
use image::codecs::gif::Repeat;
use stream_manager_systems::assets::{Picture, PictureFonts, PictureKind, decode_picture};
use stream_manager_systems::command::Command;
use stream_manager_systems::render::{ComposedFrame, FrameRasters, RasterCache};
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};
use support::*;

const CANVAS: u32 = 64;
const NOTHING: [u8; 4] = [0; 4];

fn no_clock() -> u64 {
    0
}

/// 20 milliseconds a tick.
fn engine() -> Engine {
    Engine::new(EngineSettings {
        width: CANVAS,
        height: CANVAS,
        rate: FrameRate::whole(50),
        render_threads: 1,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: no_clock,
        epoch_unix_ms: 0,
    })
    .unwrap()
}

fn layer(id: &str, src: &str, playback: Playback, side: f32) -> LayerSpec {
    LayerSpec {
        source: Source::Image(ImageSource {
            src: Template::parse(src).unwrap(),
            playback,
        }),
        size: Some(Size {
            width: side.into(),
            height: side.into(),
        }),
        ..LayerSpec::new(id)
    }
}

fn spec(layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec {
        schema: None,
        version: 1,
        name: "test".to_owned(),
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
    (spec.canvas.width, spec.canvas.height) = (CANVAS, CANVAS);
    spec
}

fn picture(bytes: &[u8]) -> Picture {
    decode_picture(bytes, &PictureFonts::default).unwrap()
}

fn bundle(bytes: &[u8], playback: Playback) -> SceneBundle {
    let mut bundle = SceneBundle::new(spec(vec![layer("moves", "a", playback, CANVAS as f32)]));
    bundle.pictures.push(("a".into(), picture(bytes)));
    bundle
}

fn colour(engine: &Engine) -> [u8; 4] {
    let rgba = engine.picture().rgba;
    let at = ((CANVAS / 2 * CANVAS + CANVAS / 2) * 4) as usize;
    rgba[at..at + 4].try_into().unwrap()
}

/// The colours of the first `count` ticks, played; some are sought, too.
fn colours(bytes: &[u8], playback: Playback, count: u64) -> Vec<[u8; 4]> {
    let mut played = engine();
    played.load(bundle(bytes, playback)).unwrap();
    (0..count)
        .map(|tick| {
            played.tick();
            if tick % 3 != 1 {
                return colour(&played);
            }
            let mut sought = engine();
            sought.load(bundle(bytes, playback)).unwrap();
            sought.seek(tick);
            sought.tick();
            assert_eq!(
                played.picture().rgba,
                sought.picture().rgba,
                "tick {tick} sought and played"
            );
            colour(&played)
        })
        .collect()
}

/// Red for 2 ticks, green for 5, blue for 3.
fn three() -> [Part; 3] {
    [whole(RED, 40), whole(GREEN, 100), whole(BLUE, 60)]
}

fn three_gif(repeat: Option<Repeat>) -> Vec<u8> {
    gif(&[(RED, 40), (GREEN, 100), (BLUE, 60)], repeat)
}

fn turns(of: &[([u8; 4], usize)]) -> Vec<[u8; 4]> {
    of.iter()
        .flat_map(|&(colour, count)| std::iter::repeat_n(colour, count))
        .collect()
}

#[test]
fn frames_of_unequal_length_show_on_their_ticks_and_loop() {
    let turn = turns(&[(RED, 2), (GREEN, 5), (BLUE, 3)]);
    let expected = [&turn[..], &turn, &turn[..4]].concat();
    for (name, bytes) in [
        ("GIF", three_gif(Some(Repeat::Infinite))),
        ("APNG", apng(&three(), 0)),
        ("WebP", webp(&three(), 0)),
    ] {
        assert_eq!(colours(&bytes, Playback::default(), 24), expected, "{name}");
    }
}

#[test]
fn the_file_the_scene_or_nobody_ends_the_loop() {
    let turn = turns(&[(RED, 2), (GREEN, 5), (BLUE, 3)]);
    let stays = turns(&[(BLUE, 12)]);
    let once = [&turn[..], &stays].concat();
    let twice = [&turn[..], &turn, &stays[..2]].concat();
    let with = |loop_mode| Playback {
        loop_mode,
        ..Playback::default()
    };
    for (name, bytes, file) in [
        // The number of a GIF is of repetitions; without one it plays once.
        ("GIF", three_gif(Some(Repeat::Finite(1))), &twice),
        ("GIF", three_gif(None), &once),
        ("APNG", apng(&three(), 2), &twice),
        ("APNG", apng(&three(), 1), &once),
        ("WebP", webp(&three(), 2), &twice),
        ("WebP", webp(&three(), 1), &once),
    ] {
        assert_eq!(
            colours(&bytes, with(PlaybackLoop::File), 22),
            *file,
            "{name}"
        );
        assert_eq!(
            colours(&bytes, with(PlaybackLoop::Once), 22),
            once,
            "{name}"
        );
        let forever = colours(&bytes, with(PlaybackLoop::Forever), 30);
        assert_eq!(forever[20..], turn, "{name}");
    }
}

#[test]
fn speed_and_start_shift_the_frames() {
    let bytes = webp(&three(), 0);
    let with = |speed, start| Playback {
        speed,
        start,
        ..Playback::default()
    };
    let slow = turns(&[(RED, 4), (GREEN, 10), (BLUE, 6)]);
    assert_eq!(colours(&bytes, with(0.5, 0.0), 20), slow);
    let late = turns(&[(GREEN, 4), (BLUE, 3), (RED, 2), (GREEN, 1)]);
    assert_eq!(colours(&bytes, with(1.0, 0.06), 10), late);
    assert_eq!(colours(&bytes, with(0.0, 0.15), 10), turns(&[(BLUE, 10)]));
}

#[test]
fn delays_in_haste_last_a_tenth_of_a_second() {
    let expected = turns(&[(RED, 5), (GREEN, 5), (BLUE, 1)]);
    for bytes in [
        gif(&[(RED, 0), (GREEN, 10), (BLUE, 20)], Some(Repeat::Infinite)),
        apng(&[whole(RED, 0), whole(GREEN, 10), whole(BLUE, 20)], 0),
        webp(&[whole(RED, 0), whole(GREEN, 10), whole(BLUE, 20)], 0),
    ] {
        assert_eq!(colours(&bytes, Playback::default(), 11), expected);
    }
}

#[test]
fn partial_frames_are_blended_and_disposed_of() {
    let middle = |colour, over, dispose| Part {
        colour,
        at: (2, 2),
        side: 4,
        milliseconds: 20,
        over,
        dispose,
    };
    let parts = [
        whole(RED, 20),
        middle(GREEN, false, false),
        middle(NOTHING, true, false),
        middle(BLUE, true, true),
        Part {
            at: (0, 0),
            side: 2,
            ..middle(GREEN, false, false)
        },
    ];
    for (name, bytes) in [("APNG", apng(&parts, 0)), ("WebP", webp(&parts, 0))] {
        let picture = picture(&bytes);
        let PictureKind::Animated(animation) = picture.kind() else {
            panic!("{name} moves");
        };
        // The third frame looks like the second, which lasts longer instead.
        assert_eq!(animation.frames().len(), 4, "{name}");
        assert_eq!(animation.ends_nanos()[1], 60_000_000, "{name}");
        let pixel = |frame: usize, x: u32, y: u32| {
            let at = ((y * SIDE + x) * 4) as usize;
            // The decoder of WebP blends with 254 where 255 would be right.
            let pixel = &animation.frames()[frame].data()[at..at + 4];
            let rounded = |&value: &u8| if value >= 254 { 255 } else { value };
            pixel.iter().map(rounded).collect::<Vec<u8>>()
        };
        assert_eq!([pixel(1, 4, 4), pixel(1, 0, 0)], [GREEN, RED], "{name}");
        assert_eq!([pixel(2, 4, 4), pixel(2, 7, 7)], [BLUE, RED], "{name}");
        assert_eq!([pixel(3, 4, 4), pixel(3, 0, 0)], [NOTHING, GREEN], "{name}");
        let least = 4 * (SIDE * SIDE * 4) as usize;
        assert!(picture.byte_len() > least, "{name}: {}", picture.byte_len());
    }
}

#[test]
fn time_counts_from_the_tick_on_which_the_layer_came() {
    let bytes = apng(&three(), 1);
    let mut engine = engine();
    engine.seek(7);
    engine.load(bundle(&bytes, Playback::default())).unwrap();
    let seen: Vec<_> = (0..11)
        .map(|_| {
            engine.tick();
            colour(&engine)
        })
        .collect();
    assert_eq!(seen, turns(&[(RED, 2), (GREEN, 5), (BLUE, 4)]));

    // Another speed is another source, and begins anew.
    let old = spec(vec![layer("moves", "a", Playback::default(), 64.0)]);
    let fast = Playback {
        speed: 2.0,
        ..Playback::default()
    };
    let new = spec(vec![layer("moves", "a", fast, 64.0)]);
    edit(&mut engine, &old, &new);
    assert_eq!(colour(&engine), RED);
    engine.tick();
    assert_eq!(colour(&engine), GREEN);
}

fn edit(engine: &mut Engine, old: &SceneSpec, new: &SceneSpec) {
    let (tell, told) = sync_channel(1);
    let edit = SceneEdit::between(old, new).unwrap();
    engine
        .commands()
        .send(Command::EditScene(Box::new(edit)), move |result| {
            tell.send(result).unwrap();
        })
        .unwrap();
    engine.tick();
    told.try_recv().unwrap().unwrap();
}

#[test]
fn another_rate_of_ticks_goes_on_from_where_the_picture_stands() {
    let mut engine = engine();
    engine
        .load(bundle(&webp(&three(), 0), Playback::default()))
        .unwrap();
    for _ in 0..5 {
        engine.tick();
    }
    let (tell, told) = sync_channel(1);
    engine
        .commands()
        .send(Command::SetRate(FrameRate::whole(100)), move |result| {
            tell.send(result).unwrap();
        })
        .unwrap();
    // 100 milliseconds have gone by, so green stays for 40 more, which are 4 of the new ticks.
    let seen: Vec<_> = (0..5)
        .map(|_| {
            engine.tick();
            colour(&engine)
        })
        .collect();
    told.try_recv().unwrap().unwrap();
    assert_eq!(seen, turns(&[(GREEN, 4), (BLUE, 1)]));
}

#[test]
fn only_another_frame_is_composed_and_each_is_resized_once() {
    let mut engine = engine();
    engine
        .load(bundle(&webp(&three(), 0), Playback::default()))
        .unwrap();
    let composed: Vec<usize> = (0..30)
        .map(|_| {
            engine.tick();
            let stats = engine.world_mut().resource::<ComposedFrame>().stats;
            stats.tiles_composed
        })
        .collect();
    let changes: Vec<usize> = (0..30).filter(|&tick| composed[tick] > 0).collect();
    assert_eq!(changes, [0, 2, 7, 10, 12, 17, 20, 22, 27]);
    let frames = engine.world_mut().resource::<FrameRasters>();
    assert_eq!(frames.drawn(), 3);
    assert_eq!(frames.byte_len(), 3 * (CANVAS * CANVAS * 4) as usize);
    engine.load(SceneBundle::new(spec(Vec::new()))).unwrap();
    engine.tick();
    assert_eq!(engine.world_mut().resource::<FrameRasters>().byte_len(), 0);
}

#[test]
fn a_picture_that_nobody_sees_costs_nothing_and_has_not_fallen_behind() {
    let hidden = LayerSpec {
        visible: Visible(false),
        ..layer("moves", "a", Playback::default(), 64.0)
    };
    let old = spec(vec![hidden]);
    let mut bundle = SceneBundle::new(old.clone());
    bundle
        .pictures
        .push(("a".into(), picture(&webp(&three(), 0))));
    let mut engine = engine();
    engine.load(bundle).unwrap();
    for _ in 0..23 {
        engine.tick();
    }
    let drawn = engine.world_mut().resource::<FrameRasters>().drawn();
    assert!(drawn <= 1, "{drawn}");
    let new = spec(vec![layer("moves", "a", Playback::default(), 64.0)]);
    edit(&mut engine, &old, &new);
    assert_eq!(
        colour(&engine),
        GREEN,
        "tick 23 is the fourth of the third turn"
    );
}

#[test]
fn two_layers_share_the_frames_of_one_size() {
    let mut bundle = SceneBundle::new(spec(vec![
        layer("one", "a", Playback::default(), 32.0),
        layer("two", "a", Playback::default(), 32.0),
        layer("own size", "a", Playback::default(), SIDE as f32),
    ]));
    bundle
        .pictures
        .push(("a".into(), picture(&webp(&three(), 0))));
    let mut engine = engine();
    engine.load(bundle).unwrap();
    for _ in 0..20 {
        engine.tick();
    }
    assert_eq!(engine.world_mut().resource::<FrameRasters>().drawn(), 3);
}

#[test]
fn the_first_frame_of_a_scene_that_was_drawn_ahead_is_not_resized_again() {
    let mut bundle = bundle(&webp(&three(), 0), Playback::default());
    let mut ahead = engine();
    ahead.load(bundle.clone()).unwrap();
    ahead.tick();
    bundle.rasters = ahead.take_rasters();
    let mut engine = engine();
    engine.load(bundle).unwrap();
    engine.tick();
    assert_eq!(colour(&engine), RED);
    assert_eq!(engine.world_mut().resource::<RasterCache>().uses(), (1, 0));
}

#[test]
fn a_file_that_changed_under_its_name_is_drawn_anew() {
    let still = |colour| gif(&[(colour, 100)], None);
    let mut engine = engine();
    for wanted in [RED, GREEN] {
        engine
            .load(bundle(&still(wanted), Playback::default()))
            .unwrap();
        engine.tick();
        assert_eq!(colour(&engine), wanted);
    }
}

/// A scene in which a track moves a number of the picture from one value to another within a second.
fn with_track(bytes: &[u8], playback: Playback, field: &str, from: f32, to: f32) -> SceneBundle {
    let mut bundle = bundle(bytes, playback);
    let keyframe = |at, value| Keyframe {
        at,
        value: KeyframeValue::Number(value),
        easing: Easing::Linear,
    };
    let property = Property::parse(&format!("source.playback.{field}")).unwrap();
    let keyframes = vec![keyframe(0.0, from), keyframe(1.0, to)];
    let line = TimelineSpec {
        tracks: vec![TrackSpec::new("moves", property, keyframes)],
        ..TimelineSpec::new("go")
    };
    bundle.spec.timelines.push(line.into());
    bundle
}

/// What the file shows so many milliseconds after its start; none near the end of a frame, where rounding decides.
fn shown_at(milliseconds: f64) -> Option<[u8; 4]> {
    let at = milliseconds % 200.0;
    let near = [0.0, 40.0, 140.0, 200.0];
    if near.iter().any(|end| (at - end).abs() < 0.01) {
        return None;
    }
    Some(match at {
        at if at < 40.0 => RED,
        at if at < 140.0 => GREEN,
        _ => BLUE,
    })
}

#[test]
fn tracks_move_the_start_and_the_speed_and_a_sought_tick_is_the_same() {
    let file = three_gif(Some(Repeat::Infinite));
    let still = Playback {
        speed: 0.0,
        ..Playback::default()
    };
    // By hand through the file, and ever faster through it: what it has played is the sum of its speeds.
    let by_hand = |tick: u64| 200.0 * tick.min(50) as f64 / 50.0;
    let faster = |tick: u64| -> f64 {
        let speeds = (0..tick).map(|tick| 4.0 * tick.min(50) as f64 / 50.0);
        speeds.sum::<f64>() * 20.0
    };
    let cases: [(Playback, &str, f32, &dyn Fn(u64) -> f64); 2] = [
        (still, "start", 0.2, &by_hand),
        (Playback::default(), "speed", 4.0, &faster),
    ];
    for (playback, field, to, played) in cases {
        let scene = || with_track(&file, playback, field, 0.0, to);
        let mut playing = engine();
        playing.load(scene()).unwrap();
        for tick in 0..70 {
            playing.tick();
            let expected = shown_at(played(tick));
            if let Some(expected) = expected {
                assert_eq!(colour(&playing), expected, "{field}: tick {tick}");
            }
            let mut sought = engine();
            sought.load(scene()).unwrap();
            sought.seek(tick);
            sought.tick();
            assert_eq!(colour(&sought), colour(&playing), "{field}: tick {tick}");
        }
    }
}

#[test]
fn a_picture_that_glides_to_another_speed_goes_on_from_its_frame() {
    let file = three_gif(Some(Repeat::Infinite));
    let before = bundle(&file, Playback::default());
    let mut engine = engine();
    engine.load(before.clone()).unwrap();
    for _ in 0..5 {
        engine.tick();
    }
    assert_eq!(colour(&engine), GREEN);
    let fast = Playback {
        speed: 2.0,
        ..Playback::default()
    };
    let mut edit = SceneEdit::between(&before.spec, &bundle(&file, fast).spec).unwrap();
    edit.layers[0].glide = Some(Glide {
        duration: 0.2,
        easing: Easing::Linear,
        delay: 0.0,
    });
    let command = Command::EditScene(Box::new(edit));
    engine
        .commands()
        .send(command, |result| {
            result.unwrap();
        })
        .unwrap();
    // 100 milliseconds when it is told, and from then on a tenth faster on each tick.
    let mut milliseconds = 100.0;
    for tick in 1..40_u8 {
        engine.tick();
        if let Some(expected) = shown_at(milliseconds) {
            assert_eq!(colour(&engine), expected, "tick {tick}: {milliseconds}");
        }
        milliseconds += 20.0 * (1.0 + 0.1 * f64::from(tick)).min(2.0);
    }
}
