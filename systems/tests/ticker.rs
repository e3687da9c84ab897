//! Tickers: strips without a seam, which go on from where they stand.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;

use components::derived::{Computed, FilledText, LayoutBox};
use components::layer::{LayerId, LayerSpec, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{Source, TickerSource};
use serde_json::{Value, json};
use stream_manager_systems::command::Command;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};

const WIDTH: u32 = 320;

fn engine(threads: usize) -> Engine {
    Engine::new(EngineSettings {
        width: WIDTH,
        height: 64,
        rate: FrameRate::whole(30),
        render_threads: threads,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: || 0,
        epoch_unix_ms: 0,
    })
    .unwrap()
}

fn scene(source: &Value) -> SceneSpec {
    let mut spec = SceneSpec::new("ticker");
    (spec.canvas.width, spec.canvas.height) = (WIDTH, 64);
    let mut layer = LayerSpec::new("strip");
    let source: TickerSource = serde_json::from_value(source.clone()).unwrap();
    layer.source = Source::Ticker(source);
    layer.position = Position {
        x: 20.0.into(),
        y: 12.0.into(),
    };
    layer.size = Some(Size {
        width: 280.0.into(),
        height: 40.0.into(),
    });
    spec.layers = vec![Arc::new(layer)];
    spec.data = Arc::new(
        json!({"word": "short"})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    );
    spec
}

fn ticker(speed: f64) -> Value {
    json!({"items": ["One thing", {"text": "another {{word}}", "fill": "#ff5c5c"}], "speed": speed, "gap": 12, "font": {"size": 20}})
}

fn at(spec: &SceneSpec, tick: u64, threads: usize) -> Vec<u8> {
    let mut engine = engine(threads);
    engine.load(SceneBundle::new(spec.clone())).unwrap();
    engine.seek(tick);
    engine.tick();
    engine.picture().rgba
}

/// Where each text stands: its name, and pixels from the left of the box.
fn places(engine: &mut Engine) -> Vec<(u64, f32)> {
    let world = engine.world_mut();
    let mut rows = world.query::<(bevy_ecs::entity::Entity, &LayerId, &Computed<Position>)>();
    let mut places: Vec<(u64, f32)> = rows
        .iter(world)
        .filter(|(_, id, _)| id.as_str().starts_with("strip/"))
        .map(|(entity, _, place)| (entity.to_bits(), place.0.x))
        .collect();
    places.sort_unstable_by_key(|place| place.0);
    places
}

fn edit(engine: &mut Engine, old: &SceneSpec, new: &SceneSpec) {
    let edit = SceneEdit::between(old, new).unwrap();
    engine
        .commands()
        .send(Command::EditScene(Box::new(edit)), |result| {
            result.unwrap();
        })
        .unwrap();
}

/// How long the strip is: the way from one copy of an item to the next.
fn length(spec: &SceneSpec) -> f64 {
    let mut engine = engine(1);
    engine.load(SceneBundle::new(spec.clone())).unwrap();
    engine.tick();
    let mut places: Vec<f32> = places(&mut engine).iter().map(|place| place.1).collect();
    places.sort_unstable_by(f32::total_cmp);
    // Four elements: the fifth is the first once more.
    f64::from(places[4] - places[0])
}

#[test]
fn a_strip_that_has_come_round_is_the_same_picture() {
    for sign in [1.0, -1.0] {
        let strip = length(&scene(&ticker(120.0)));
        assert!((100.0..600.0).contains(&strip), "{strip}");
        // As many pixels a second as the strip has: it comes round each second.
        let spec = scene(&ticker(sign * strip));
        for tick in [0, 7, 13] {
            let picture = at(&spec, tick, 1);
            assert!(
                picture
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .any(|pixel| pixel[0] > 100)
            );
            assert_eq!(picture, at(&spec, tick + 30, 2), "{sign} {tick}");
            assert_eq!(
                picture,
                at(&spec, tick + 30 * 3600 * 24 * 30, 1),
                "{sign} {tick}"
            );
        }
    }
}

#[test]
fn seeking_gives_the_same_picture_as_playing_and_nothing_leaves_the_box() {
    let spec = scene(&ticker(37.0));
    let mut played = engine(2);
    played.load(SceneBundle::new(spec.clone())).unwrap();
    for _ in 0..=45 {
        played.tick();
    }
    let picture = played.picture().rgba;
    assert_eq!(picture, at(&spec, 45, 1));
    for (index, pixel) in picture.as_chunks::<4>().0.iter().enumerate() {
        let (x, y) = (index as u32 % WIDTH, index as u32 / WIDTH);
        if !(20..300).contains(&x) || !(12..52).contains(&y) {
            assert_eq!(pixel, &[0, 0, 0, 255], "{x} {y}");
        }
    }
}

#[test]
fn a_slow_strip_moves_by_parts_of_a_pixel() {
    let mut engine = engine(1);
    engine.load(SceneBundle::new(scene(&ticker(10.0)))).unwrap();
    engine.tick();
    let mut before = places(&mut engine);
    let (mut last, mut changed) = (engine.picture().rgba, 0);
    for _ in 0..60 {
        engine.tick();
        let now = places(&mut engine);
        for (old, new) in before.iter().zip(&now) {
            let step = old.1 - new.1;
            // One that has left comes back at the other end.
            assert!(step < 0.0 || (step - 1.0 / 3.0).abs() < 0.01, "{step}");
        }
        let picture = engine.picture().rgba;
        changed += usize::from(picture != last);
        (before, last) = (now, picture);
    }
    assert_eq!(changed, 60, "each frame differs, not only each whole pixel");
}

#[test]
fn a_new_speed_goes_on_from_where_the_strip_stands() {
    let (slow, fast) = (scene(&ticker(30.0)), scene(&ticker(-300.0)));
    let mut engine = engine(1);
    engine.load(SceneBundle::new(slow.clone())).unwrap();
    for _ in 0..100 {
        engine.tick();
    }
    let before = places(&mut engine);
    edit(&mut engine, &slow, &fast);
    engine.tick();
    let now = places(&mut engine);
    assert_eq!(before.len(), now.len());
    for (old, new) in before.iter().zip(&now) {
        assert_eq!(old.0, new.0, "the layers stay");
        let step = (new.1 - old.1).abs();
        assert!(!(2.0..100.0).contains(&step), "{step}");
    }
    engine.tick();
    let after = places(&mut engine);
    let steps = now.iter().zip(&after).map(|(old, new)| new.1 - old.1);
    assert!(steps.filter(|step| (step - 10.0).abs() < 0.01).count() >= 4);
}

#[test]
fn words_that_become_longer_push_only_what_follows() {
    let old = scene(&ticker(30.0));
    let mut new = old.clone();
    new.data = Arc::new(
        json!({"word": "of many more letters"})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    );
    let mut engine = engine(1);
    engine.load(SceneBundle::new(old.clone())).unwrap();
    for _ in 0..20 {
        engine.tick();
    }
    let before = places(&mut engine);
    let first = before
        .iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .copied()
        .unwrap();
    edit(&mut engine, &old, &new);
    engine.tick();
    let now = places(&mut engine);
    let same = now.iter().find(|place| place.0 == first.0).unwrap();
    assert!((first.1 - same.1 - 1.0).abs() < 0.01, "{first:?} {same:?}");
    assert_eq!(engine.picture().rgba.len(), 320 * 64 * 4);
}

#[test]
fn right_to_left_items_follow_each_other_to_the_left() {
    let mut source = ticker(0.0);
    source["direction"] = json!("rtl");
    source["items"] = json!(["אחת", "שתיים"]);
    let mut engine = engine(1);
    engine.load(SceneBundle::new(scene(&source))).unwrap();
    engine.tick();
    let world = engine.world_mut();
    let mut rows = world.query::<(&FilledText, &LayoutBox, &Computed<Position>)>();
    let mut edges = |words: &str| -> Vec<(f32, f32)> {
        let own = rows.iter(world).filter(|row| row.0.0 == words);
        own.map(|row| (row.2.0.x, row.2.0.x + row.1.0.x)).collect()
    };
    let mut rights = Vec::new();
    for (left, right) in edges("אחת") {
        if right == 280.0 {
            rights.push(left);
        }
    }
    let [first] = rights[..] else {
        panic!("the first item begins at the right edge: {rights:?}");
    };
    let follows = edges("שתיים").into_iter().any(|(_, right)| {
        let gap = first - right;
        (24.0..60.0).contains(&gap)
    });
    assert!(follows, "{first} {:?}", edges("שתיים"));
}
