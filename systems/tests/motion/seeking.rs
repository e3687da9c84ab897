//! Any order of seeking gives the frame that playing gives.

use components::animation::{
    Easing, LoopMode, MotionPath, Property, Spring, TimelineSpec, TrackLayers, TrackSpec,
};
use components::transition::TransitionKind;
use proptest::prelude::*;
use proptest::sample::select;
use stream_manager_systems::Engine;
use stream_manager_systems::scene::SceneBundle;

use super::stage::*;

fn easing() -> impl Strategy<Value = Easing> {
    prop_oneof![
        select(Easing::NAMED.to_vec()),
        (0.0..0.9_f32).prop_map(|bounce| Easing::Spring(Spring { bounce })),
        (1..9_u32).prop_map(Easing::Steps),
    ]
}

fn one_track() -> impl Strategy<Value = TrackSpec> {
    let properties = vec![
        Property::PositionX,
        Property::PositionY,
        Property::Scale,
        Property::Rotation,
        Property::Opacity,
        Property::SizeWidth,
        Property::AnchorX,
        Property::Crop,
        Property::CropBottom,
        Property::ZIndex,
    ];
    let way = (any::<bool>(), 0.0..0.7_f32, prop::option::of(any::<bool>()));
    (select(properties), easing(), 0.2..1.0_f32, way).prop_map(
        |(property, easing, end, (additive, stagger, path))| {
            let mut track = match path {
                Some(orient) => TrackSpec {
                    path: Some(MotionPath {
                        d: "M5 5 C 60 0 90 60 120 50 L 20 40 Z".to_owned(),
                        orient,
                    }),
                    ..track("a", Property::Position, &[(0.0, 0.0), (end, 1.0)])
                },
                None => track("a", property, &[(0.0, 0.2), (end, 0.9)]),
            };
            track.layers = TrackLayers(vec!["a".into(), "b".into()]);
            track.additive = additive;
            track.stagger = stagger;
            track.keyframes[1].easing = easing;
            track
        },
    )
}

fn one_timeline(id: &'static str) -> impl Strategy<Value = TimelineSpec> {
    let modes = vec![LoopMode::Once, LoopMode::Loop, LoopMode::PingPong];
    let tracks = prop::collection::vec(one_track(), 1..3);
    (select(modes), 0.0..0.4_f32, 0.3..3.0_f32, tracks).prop_map(
        move |(loop_mode, delay, speed, tracks)| TimelineSpec {
            loop_mode,
            delay,
            speed,
            ..timeline(id, tracks)
        },
    )
}

fn frame(engine: &mut Engine) -> Vec<u8> {
    engine.tick();
    engine.frame().unwrap().frame.y().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn seeking_gives_what_playing_gives(
        first in one_timeline("first"), second in one_timeline("second"), mut third in one_timeline("third"),
        seeks in prop::collection::vec(0..90_u64, 1..6),
    ) {
        third.start_after = (first.loop_mode == LoopMode::Once).then(|| "first".to_owned());
        let mut a = boxed("a", RED, (20.0, 20.0), (30.0, 20.0));
        a.enter = Some(linear(TransitionKind::Scale, 0.8));
        let b = boxed("b", BLUE, (60.0, 30.0), (30.0, 20.0));
        let mut spec = scene(vec![a, b]);
        spec.timelines = [first, second, third].map(Into::into).into();

        let mut playing = engine(1);
        playing.load(SceneBundle::new(spec.clone())).unwrap();
        let played: Vec<Vec<u8>> = (0..90).map(|_| frame(&mut playing)).collect();
        // A seek starts anew, since what a layer has been through may say where it goes; the scene has been through nothing yet.
        for tick in seeks {
            let mut seeking = engine(2);
            seeking.load(SceneBundle::new(spec.clone())).unwrap();
            seeking.seek(tick);
            prop_assert!(frame(&mut seeking) == played[tick as usize], "tick {tick}");
        }
    }
}
