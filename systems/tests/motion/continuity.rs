//! Nothing jumps but what was asked to.

use std::sync::Arc;

use components::animation::{Easing, Glide, LoopMode, Property, Spring, TimelineSpec};
use components::layer::Position;
use components::scene::SceneSpec;
use components::source::{ColourSource, Source};
use components::value::Colour;
use proptest::prelude::*;
use stream_manager_systems::Engine;
use stream_manager_systems::animate::TimelineAction;
use stream_manager_systems::command::Command;

use super::stage::*;

fn at(x: f32) -> SceneSpec {
    let mut spec = scene(vec![boxed("box", RED, (x, 16.0), (8.0, 8.0))]);
    let line = TimelineSpec {
        autoplay: false,
        loop_mode: LoopMode::PingPong,
        ..timeline(
            "sway",
            vec![track(
                "box",
                Property::PositionX,
                &[(0.0, 0.0), (2.0, 100.0)],
            )],
        )
    };
    spec.timelines.push(line.into());
    spec
}

fn glide_to(old: &SceneSpec, new: &SceneSpec, glide: Glide) -> Command {
    let mut edit = edit(old, new);
    for layer in &mut edit.layers {
        layer.glide = Some(glide);
    }
    Command::EditScene(Box::new(edit))
}

fn glide(duration: f32, easing: Easing) -> Glide {
    Glide {
        duration,
        easing,
        delay: 0.0,
    }
}

fn x(engine: &mut Engine) -> f32 {
    placed(engine, "box").0
}

#[test]
fn a_patched_layer_goes_from_where_it_is_also_half_way() {
    let mut engine = engine(1);
    send(&mut engine, vec![load(at(0.0))]).unwrap();
    let way = glide(1.0, Easing::Linear);
    send(&mut engine, vec![glide_to(&at(0.0), &at(60.0), way)]).unwrap();
    ticks(&mut engine, 14);
    assert!((x(&mut engine) - 30.0).abs() < 1e-3);
    send(&mut engine, vec![glide_to(&at(60.0), &at(0.0), way)]).unwrap();
    assert!((x(&mut engine) - 29.0).abs() < 1e-3, "{}", x(&mut engine));
    ticks(&mut engine, 29);
    assert_eq!(x(&mut engine), 0.0);
}

#[test]
fn a_spring_keeps_its_speed_when_it_is_sent_elsewhere() {
    let mut engine = engine(1);
    send(&mut engine, vec![load(at(0.0))]).unwrap();
    let way = glide(0.8, Easing::Spring(Spring { bounce: 0.2 }));
    send(&mut engine, vec![glide_to(&at(0.0), &at(90.0), way)]).unwrap();
    let mut trail = vec![0.0, x(&mut engine)];
    for _ in 0..5 {
        engine.tick();
        trail.push(x(&mut engine));
    }
    send(&mut engine, vec![glide_to(&at(90.0), &at(20.0), way)]).unwrap();
    trail.push(x(&mut engine));
    for _ in 0..60 {
        engine.tick();
        trail.push(x(&mut engine));
    }
    let steps: Vec<f32> = trail.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let jolts = steps.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    let worst = jolts.fold(0.0, f32::max);
    assert!(
        worst < 8.0,
        "the speed changes by {worst} pixels a tick within a tick"
    );
    assert!((trail[trail.len() - 1] - 20.0).abs() < 0.05);
}

#[test]
fn colours_glide_too_and_what_is_saved_is_the_new_one() {
    let coloured = |color| {
        let mut spec = scene(vec![full("box", RED)]);
        Arc::make_mut(&mut spec.layers[0]).source = Source::Colour(ColourSource { color });
        spec
    };
    let mut engine = engine(1);
    send(&mut engine, vec![load(coloured(RED))]).unwrap();
    let way = glide(1.0, Easing::Linear);
    send(
        &mut engine,
        vec![glide_to(&coloured(RED), &coloured(BLUE), way)],
    )
    .unwrap();
    ticks(&mut engine, 14);
    let [red, green, blue] = pixel(&engine, 64, 32);
    assert!(red.abs_diff(128) <= 1 && green == 0 && blue.abs_diff(128) <= 1);
    ticks(&mut engine, 15);
    assert_eq!(pixel(&engine, 64, 32), [0, 0, 255]);
    let world = engine.world_mut();
    let authored = world.query::<&ColourSource>().single(world).unwrap();
    assert_eq!(authored.color, BLUE);
}

#[test]
fn tracks_reach_the_fields_of_sources() {
    let mut spec = scene(vec![full("box", RED)]);
    let mut line = timeline(
        "tint",
        vec![track("box", Property::Opacity, &[(0.0, 1.0), (1.0, 1.0)])],
    );
    line.tracks[0].property = Property::Source("color".into());
    let colours = [RED, Colour::opaque(0, 200, 100)];
    for (keyframe, colour) in line.tracks[0].keyframes.iter_mut().zip(colours) {
        keyframe.value = components::animation::KeyframeValue::Colour(colour);
    }
    spec.timelines.push(line.into());
    let mut engine = engine(1);
    send(&mut engine, vec![load(spec)]).unwrap();
    assert_eq!(pixel(&engine, 5, 5), [255, 0, 0]);
    ticks(&mut engine, 15);
    assert_eq!(pixel(&engine, 5, 5), [128, 100, 50]);
    ticks(&mut engine, 15);
    assert_eq!(pixel(&engine, 5, 5), [0, 200, 100]);
}

#[derive(Clone, Debug)]
enum Step {
    Wait(usize),
    GoTo(f32, Glide),
    Timeline(TimelineAction, Glide),
}

fn step() -> impl Strategy<Value = Step> {
    let way = (
        0.4..1.5_f32,
        prop_oneof![
            Just(Easing::Linear),
            Just(Easing::EaseInOutCubic),
            (0.0..0.7_f32).prop_map(|bounce| Easing::Spring(Spring { bounce })),
        ],
    )
        .prop_map(|(duration, easing)| glide(duration, easing));
    let action = prop_oneof![
        Just(TimelineAction::Play),
        Just(TimelineAction::Pause),
        Just(TimelineAction::Stop),
        (0.0..2.0_f64).prop_map(TimelineAction::Seek),
    ];
    prop_oneof![
        (1..25_usize).prop_map(Step::Wait),
        (0.0..100.0_f32, way.clone()).prop_map(|(to, way)| Step::GoTo(to, way)),
        (action, way).prop_map(|(action, way)| Step::Timeline(action, way)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_for_nothing_jumps(steps in prop::collection::vec(step(), 1..20)) {
        let mut engine = engine(1);
        let mut now = at(10.0);
        send(&mut engine, vec![load(now.clone())]).unwrap();
        let mut last = x(&mut engine);
        let mut look = |engine: &mut Engine| {
            let x = x(engine);
            let step = (x - last).abs();
            last = x;
            (x.is_finite(), step)
        };
        for step in steps {
            let count = match step {
                Step::Wait(count) => count,
                Step::GoTo(to, way) => {
                    let mut next = now.clone();
                    let position = Position { x: to.into(), y: 16.0.into() };
                    Arc::make_mut(&mut next.layers[0]).position = position;
                    send(&mut engine, vec![glide_to(&now, &next, way)]).unwrap();
                    now = next;
                    0
                }
                Step::Timeline(action, way) => {
                    let id = "sway".into();
                    send(&mut engine, vec![Command::Timeline { id, action, blend: Some(way) }]).unwrap();
                    0
                }
            };
            for tick in 0..count.max(1) {
                if tick > 0 || count > 0 {
                    engine.tick();
                }
                let (finite, step) = look(&mut engine);
                // The fastest that was asked for: 100 pixels in 0.4 seconds through the steepest course, and the swaying beside it.
                prop_assert!(finite && step < 45.0, "{step} pixels in a tick");
            }
        }
    }
}
