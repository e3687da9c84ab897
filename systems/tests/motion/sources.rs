//! The numbers and colours of sources move: of tickers, of chats, and numbers that the data gives.

use std::sync::Arc;

use components::animation::{
    Easing, Glide, Keyframe, KeyframeValue, LoopMode, Property, TimelineSpec, TrackSpec,
};
use components::derived::{Computed, FilledText};
use components::layer::{LayerId, LayerSpec, Position};
use components::scene::SceneSpec;
use components::source::{AvatarSource, Source};
use components::value::Colour;
use serde_json::{Map, Value, json};
use stream_manager_systems::Engine;
use stream_manager_systems::animate::TimelineAction;
use stream_manager_systems::command::Command;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};

use super::stage::*;

fn source(path: &str) -> Property {
    Property::parse(&format!("source.{path}")).unwrap()
}

fn with_source(kind: impl FnOnce(Value) -> Source, value: Value) -> LayerSpec {
    let mut layer = boxed("a", RED, (8.0, 4.0), (112.0, 56.0));
    layer.source = kind(value);
    layer
}

fn ticker() -> LayerSpec {
    let strip = json!({
        "items": ["One", {"text": "two", "fill": "#ff5c5c"}], "speed": 45, "gap": 12, "font": {"size": 20},
        "outline": {"color": "#0000ff", "width": 1}, "shadow": {"color": "#00ff00", "blur": 0},
        "separatorFill": "#ffff00",
    });
    with_source(
        |strip| Source::Ticker(serde_json::from_value(strip).unwrap()),
        strip,
    )
}

fn chat() -> LayerSpec {
    let rows = json!({
        "messages": [{"author": "Mira", "text": "Good evening"}, {"author": "Jo", "text": "Hi"}],
        "font": {"size": 9}, "avatars": {"size": 12}, "gap": 2, "bubble": {"padding": 2, "radius": 3},
        "shadow": {"color": "#00ff00", "blur": 0},
    });
    with_source(
        |rows| Source::Chat(serde_json::from_value(rows).unwrap()),
        rows,
    )
}

fn colours(path: &str, from: Colour, to: Colour) -> TrackSpec {
    let keyframe = |at, colour| Keyframe {
        at,
        value: KeyframeValue::Colour(colour),
        easing: Easing::Linear,
    };
    let keyframes = vec![keyframe(0.0, from), keyframe(1.0, to)];
    TrackSpec::new("a", source(path), keyframes)
}

fn numbers(path: &str, from: f32, to: f32) -> TrackSpec {
    track("a", source(path), &[(0.0, from), (1.0, to)])
}

fn moving(layer: LayerSpec, track: TrackSpec, loop_mode: LoopMode) -> SceneSpec {
    let mut spec = scene(vec![layer]);
    let line = TimelineSpec {
        loop_mode,
        ..timeline("go", vec![track])
    };
    spec.timelines.push(line.into());
    spec
}

fn frame(engine: &mut Engine) -> Vec<u8> {
    engine.tick();
    engine.picture().rgba
}

fn loaded(spec: &SceneSpec) -> Engine {
    let mut engine = engine(1);
    engine.load(SceneBundle::new(spec.clone())).unwrap();
    engine
}

/// Each tick sought by itself, and from the middle of the way, gives what playing to it gives, and something moves.
fn seeks_as_it_plays(spec: &SceneSpec, name: &str) {
    let mut playing = loaded(spec);
    let played: Vec<Vec<u8>> = (0..50).map(|_| frame(&mut playing)).collect();
    assert!(played[3] != played[20], "{name} moves nothing");
    for tick in [1_u64, 14, 30, 31, 49] {
        let mut seeking = loaded(spec);
        seeking.seek(tick);
        assert!(
            frame(&mut seeking) == played[tick as usize],
            "{name}: tick {tick}"
        );
    }
    let mut leaping = loaded(spec);
    for tick in [5_u64, 6, 21, 43, 11] {
        leaping.seek(tick);
        assert!(
            frame(&mut leaping) == played[tick as usize],
            "{name}: a leap to {tick}"
        );
    }
}

#[test]
fn every_field_of_a_ticker_moves_and_is_the_same_when_it_is_sought() {
    for track in [
        numbers("speed", 10.0, 300.0),
        numbers("speed", -90.0, 200.0),
        numbers("gap", 4.0, 40.0),
        numbers("font.size", 12.0, 30.0),
        numbers("font.letterSpacing", 0.0, 6.0),
        numbers("outline.width", 0.5, 3.0),
        numbers("shadow.offset.y", 0.0, 6.0),
        colours("fill", RED, BLUE),
        colours("separatorFill", RED, BLUE),
        colours("items.1.fill", RED, BLUE),
        colours("outline.color", RED, BLUE),
        colours("shadow.color", RED, BLUE),
    ] {
        let name = track.property.to_string();
        for loop_mode in [LoopMode::Once, LoopMode::PingPong] {
            let spec = moving(ticker(), track.clone(), loop_mode);
            seeks_as_it_plays(&spec, &name);
        }
        let mut added = track.clone();
        added.additive = true;
        seeks_as_it_plays(&moving(ticker(), added, LoopMode::Loop), &name);
    }
}

#[test]
fn a_speed_that_moves_after_another_timeline_is_the_same_when_it_is_sought() {
    let mut spec = moving(ticker(), numbers("speed", 45.0, 200.0), LoopMode::Once);
    let then = TimelineSpec {
        start_after: Some("go".to_owned()),
        ..timeline("then", vec![numbers("speed", -100.0, 60.0)])
    };
    spec.timelines.push(then.into());
    seeks_as_it_plays(&spec, "two timelines");
}

/// Where the texts of a strip stand: its name, and pixels from the left of the box.
fn places(engine: &mut Engine) -> Vec<(u64, f64)> {
    let world = engine.world_mut();
    let mut rows = world.query::<(bevy_ecs::entity::Entity, &LayerId, &Computed<Position>)>();
    let mut places: Vec<(u64, f64)> = rows
        .iter(world)
        .filter(|(_, id, _)| id.as_str().starts_with("a/"))
        .map(|(entity, _, place)| (entity.to_bits(), f64::from(place.0.x)))
        .collect();
    places.sort_unstable_by_key(|place| place.0);
    places
}

/// How far the strip went from one tick to the next: what most of its texts did, as some begin anew at the other side.
fn step(before: &[(u64, f64)], after: &[(u64, f64)]) -> f64 {
    assert_eq!(before.len(), after.len());
    let mut steps: Vec<f64> = before
        .iter()
        .zip(after)
        .map(|((a, from), (b, to))| {
            assert_eq!(a, b, "no text is made anew");
            from - to
        })
        .collect();
    steps.sort_unstable_by(f64::total_cmp);
    steps[steps.len() / 2]
}

#[test]
fn a_strip_goes_on_from_where_it_stands_whatever_its_speed_becomes() {
    let mut layer = ticker();
    let Source::Ticker(strip) = &mut layer.source else {
        unreachable!()
    };
    strip.outline = None;
    let spec = moving(layer.clone(), numbers("speed", 300.0, 0.0), LoopMode::Once);
    let mut engine = loaded(&spec);
    engine.tick();
    let mut before = places(&mut engine);
    for tick in 0..40_u8 {
        engine.tick();
        let after = places(&mut engine);
        let expected = (300.0 - 10.0 * f64::from(tick)).max(0.0) / 30.0;
        let step = step(&before, &after);
        assert!(
            (step - expected).abs() < 0.01,
            "tick {tick}: {step} and not {expected}"
        );
        before = after;
    }
    // Told to stop, it goes on at its own speed; and a new one is gone to in half a second.
    let stop = Command::Timeline {
        id: "go".into(),
        action: TimelineAction::Stop,
        blend: None,
    };
    send(&mut engine, vec![stop]).unwrap();
    let mut before = places(&mut engine);
    engine.tick();
    let after = places(&mut engine);
    assert!((step(&before, &after) - 1.5).abs() < 0.01);
    let mut new = spec.clone();
    let mut faster = LayerSpec::clone(&layer);
    if let Source::Ticker(strip) = &mut faster.source {
        strip.speed = 345.0;
    }
    new.layers[0] = faster.into();
    let mut change = edit(&spec, &new);
    change.layers[0].glide = Some(linear_glide(0.5));
    send(&mut engine, vec![Command::EditScene(Box::new(change))]).unwrap();
    before = places(&mut engine);
    let mut last = 1.5;
    for tick in 0..20 {
        engine.tick();
        let after = places(&mut engine);
        let now = step(&before, &after);
        let more = if tick <= 14 { 300.0 / 15.0 / 30.0 } else { 0.0 };
        if tick > 0 {
            assert!(
                (now - last - more).abs() < 0.02,
                "tick {tick}: {now} after {last}"
            );
        }
        (before, last) = (after, now);
    }
    assert!((last - 11.5).abs() < 0.01, "{last}");
}

fn linear_glide(duration: f32) -> Glide {
    Glide {
        duration,
        easing: Easing::Linear,
        delay: 0.0,
    }
}

#[test]
fn every_field_of_a_chat_moves_and_is_the_same_when_it_is_sought() {
    for track in [
        numbers("gap", 0.0, 20.0),
        numbers("padding", 0.0, 12.0),
        numbers("font.size", 6.0, 14.0),
        numbers("avatars.size", 4.0, 24.0),
        numbers("bubble.radius", 0.0, 8.0),
        numbers("bubble.padding", 0.0, 6.0),
        numbers("shadow.offset.x", 0.0, 5.0),
        colours("fill", RED, BLUE),
        colours("nameColors.0", RED, BLUE),
        colours("bubble.fill", RED, BLUE),
        colours("shadow.color", RED, BLUE),
    ] {
        let name = track.property.to_string();
        let mut layer = chat();
        if let Source::Chat(chat) = &mut layer.source {
            chat.name_colors.truncate(1);
        }
        seeks_as_it_plays(&moving(layer, track, LoopMode::PingPong), &name);
    }
}

#[test]
fn rows_go_with_a_gap_that_glides() {
    let spec = scene(vec![chat()]);
    let mut engine = loaded(&spec);
    ticks(&mut engine, 2);
    // The newest row stands at the bottom, the one before it goes up as the gap grows.
    let top = |engine: &mut Engine| {
        let world = engine.world_mut();
        let mut rows = world.query::<(&LayerId, &Computed<Position>)>();
        rows.iter(world)
            .filter(|(id, _)| id.as_str() == "a/message")
            .map(|(_, place)| place.0.y)
            .fold(f32::INFINITY, f32::min)
    };
    let from = top(&mut engine);
    let mut new = spec.clone();
    let mut layer = chat();
    if let Source::Chat(chat) = &mut layer.source {
        chat.gap = 17.0;
    }
    new.layers[0] = layer.into();
    let mut change = edit(&spec, &new);
    change.layers[0].glide = Some(linear_glide(0.5));
    send(&mut engine, vec![Command::EditScene(Box::new(change))]).unwrap();
    let mut last = from;
    for tick in 1..=15_u8 {
        let now = top(&mut engine);
        let expected = from - f32::from(tick);
        assert!(
            (now - expected).abs() <= 1.0,
            "tick {tick}: {now}, {expected}"
        );
        assert!(last - now <= 2.0 && now <= last, "tick {tick}");
        last = now;
        engine.tick();
    }
    // The first pixel was a change of the authored gap, which rows follow by their spring.
    assert!((last - (from - 15.0)).abs() < 0.05, "{last}");
}

fn words(engine: &mut Engine, id: &str) -> String {
    let world = engine.world_mut();
    let mut rows = world.query::<(&LayerId, &FilledText)>();
    let row = rows.iter(world).find(|(it, _)| it.as_str() == id).unwrap();
    row.1.0.clone()
}

fn data(value: Value) -> Arc<Map<String, Value>> {
    Arc::new(value.as_object().cloned().unwrap())
}

fn set(amount: f64) -> Command {
    Command::EditScene(Box::new(SceneEdit {
        data: Some(data(json!({"amount": amount, "part": 0.5}))),
        ..SceneEdit::default()
    }))
}

#[test]
fn a_track_moves_a_number_that_the_data_gives() {
    let mut layer = LayerSpec::new("a");
    let text =
        json!({"text": "{{counter}}", "counter": {"value": "{{amount}}", "roll": {"duration": 0}}});
    layer.source = Source::Text(serde_json::from_value(text).unwrap());
    layer.opacity = serde_json::from_value(json!("{{part}}")).unwrap();
    let mut added = numbers("counter.value", 0.0, 30.0);
    added.additive = true;
    let mut faded = track("a", Property::Opacity, &[(0.0, 0.5), (1.0, 1.0)]);
    faded.additive = true;
    let mut spec = scene(vec![layer]);
    spec.timelines
        .push(timeline("go", vec![added, faded]).into());
    spec.data = data(json!({"amount": 123_456_789, "part": 0.5}));
    let mut engine = loaded(&spec);
    engine.tick();
    // What is laid over has the digits of 32 bits.
    assert_eq!(words(&mut engine, "a"), "123,456,790");
    assert_eq!(placed(&mut engine, "a").2, 0.25);
    send(&mut engine, vec![set(100.0)]).unwrap();
    assert_eq!(words(&mut engine, "a"), "101");
    ticks(&mut engine, 9);
    assert_eq!(words(&mut engine, "a"), "110");
    send(&mut engine, vec![set(200.0)]).unwrap();
    assert_eq!(words(&mut engine, "a"), "211", "the data of this tick");
    let mut seeking = loaded(&spec);
    seeking.seek(5);
    send(&mut seeking, vec![set(200.0)]).unwrap();
    assert_eq!(words(&mut seeking, "a"), "205");

    // What nothing moves any more is the data's, with all its digits; and one that takes its place goes there from what is shown.
    let stop = Command::Timeline {
        id: "go".into(),
        action: TimelineAction::Stop,
        blend: None,
    };
    send(&mut engine, vec![stop, set(123_456_789.0)]).unwrap();
    assert_eq!(words(&mut engine, "a"), "123,456,789");
    send(&mut engine, vec![set(40.0)]).unwrap();
    let mut new = spec.clone();
    let mut layer = LayerSpec::clone(&spec.layers[0]);
    if let Source::Text(text) = &mut layer.source
        && let Some(counter) = &mut text.counter
    {
        counter.value = 70.0.into();
    }
    new.layers[0] = layer.into();
    let mut change = edit(&spec, &new);
    change.layers[0].glide = Some(linear_glide(1.0));
    send(&mut engine, vec![Command::EditScene(Box::new(change))]).unwrap();
    for tick in 1..=30 {
        assert_eq!(words(&mut engine, "a"), (40 + tick).to_string());
        engine.tick();
    }
}

#[test]
fn a_track_moves_the_level_of_a_mouth_that_the_data_gives() {
    let avatar = json!({
        "states": {"idle": {"src": "idle.png"}},
        "mouth": {"level": "{{level}}", "shapes": [{"src": "closed.png", "from": 0}]},
    });
    let mut layer = LayerSpec::new("a");
    layer.source = Source::Avatar(serde_json::from_value(avatar).unwrap());
    let mut added = numbers("mouth.level", 0.0, 0.3);
    added.additive = true;
    let mut spec = moving(layer, added, LoopMode::Once);
    spec.data = data(json!({"level": 0.8}));
    let mut engine = loaded(&spec);
    let level = |engine: &mut Engine| {
        let world = engine.world_mut();
        let mut rows = world.query::<&Computed<AvatarSource>>();
        let source = rows.iter(world).next().unwrap();
        source
            .0
            .mouth
            .as_ref()
            .and_then(|mouth| mouth.level.literal())
    };
    for tick in 0..40_u8 {
        engine.tick();
        let expected = (0.8 + 0.01 * f32::from(tick)).min(1.0);
        let level = level(&mut engine).unwrap();
        assert!((level - expected).abs() < 1e-5, "tick {tick}: {level}");
    }
}
