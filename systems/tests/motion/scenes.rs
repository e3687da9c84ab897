//! One scene gives way to another.

use components::animation::Property;
use components::transition::{Side, Transition, TransitionKind as Kind};
use components::value::Colour;
use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, Rgba, RgbaImage};
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};
use stream_manager_systems::command::{Command, CommandError};
use stream_manager_systems::scene::SceneBundle;
use stream_manager_systems::transition::MixAction;

use super::stage::*;

/// Red is on air, and blue comes through `transition`.
fn change(transition: Transition) -> stream_manager_systems::Engine {
    let mut engine = engine(1);
    send(&mut engine, vec![load(scene(vec![full("red", RED)]))]).unwrap();
    let mut blue = scene(vec![full("blue", BLUE)]);
    blue.transitions.scene = transition;
    send(&mut engine, vec![load(blue)]).unwrap();
    engine
}

fn is(engine: &stream_manager_systems::Engine, x: usize, y: usize, colour: Colour) -> bool {
    pixel(engine, x, y) == [colour.red, colour.green, colour.blue]
}

fn mix(action: MixAction) -> Command {
    Command::Mix { action, back: None }
}

#[test]
fn every_kind_goes_from_the_old_scene_to_the_new_one() {
    for kind in [
        Kind::Fade,
        Kind::FadeThroughColor,
        Kind::Slide,
        Kind::Push,
        Kind::Scale,
        Kind::Wipe,
        Kind::Iris,
        Kind::Clock,
    ] {
        let mut engine = change(linear(kind, 1.0));
        for (x, y) in [(0, 0), (64, 32), (127, 63)] {
            assert!(is(&engine, x, y, RED), "{kind:?} starts with the old scene");
        }
        ticks(&mut engine, 29);
        assert_eq!(
            layer_count(&mut engine),
            2,
            "{kind:?}: both are in the world"
        );
        ticks(&mut engine, 1);
        for (x, y) in [(0, 0), (64, 32), (127, 63)] {
            assert!(is(&engine, x, y, BLUE), "{kind:?} ends with the new scene");
        }
        assert_eq!(layer_count(&mut engine), 1, "{kind:?}: the old one is gone");
    }
}

#[test]
fn half_way_each_kind_shows_what_its_name_says() {
    let half = |transition| {
        let mut engine = change(transition);
        ticks(&mut engine, 15);
        engine
    };
    let fade = half(linear(Kind::Fade, 1.0));
    let [red, _, blue] = pixel(&fade, 64, 32);
    assert!(
        red.abs_diff(128) <= 1 && blue.abs_diff(128) <= 1,
        "{red} {blue}"
    );

    let through = half(Transition {
        color: Colour::WHITE,
        ..linear(Kind::FadeThroughColor, 1.0)
    });
    assert_eq!(pixel(&through, 64, 32), [255; 3]);

    for kind in [Kind::Slide, Kind::Wipe, Kind::Push] {
        let from_left = half(linear(kind, 1.0));
        assert!(
            is(&from_left, 60, 32, BLUE) && is(&from_left, 68, 32, RED),
            "{kind:?}"
        );
        let from_top = half(Transition {
            side: Side::Top,
            ..linear(kind, 1.0)
        });
        assert!(
            is(&from_top, 5, 28, BLUE) && is(&from_top, 5, 36, RED),
            "{kind:?}"
        );
    }
    let iris = half(linear(Kind::Iris, 1.0));
    assert!(is(&iris, 64, 32, BLUE) && is(&iris, 2, 2, RED));
    let clock = half(linear(Kind::Clock, 1.0));
    assert!(is(&clock, 100, 50, BLUE) && is(&clock, 20, 50, RED));
    let scale = half(Transition {
        scale: 0.0,
        ..linear(Kind::Scale, 1.0)
    });
    assert!(is(&scale, 2, 2, RED) && pixel(&scale, 64, 32)[2] > 120);
}

#[test]
fn both_scenes_go_on_moving() {
    let moving = |id: &str, colour| {
        let mut spec = scene(vec![boxed(id, colour, (0.0, 0.0), (8.0, 8.0))]);
        let values = [(0.0, 0.0), (4.0, 120.0)];
        let line = timeline("go", vec![track(id, Property::PositionX, &values)]);
        spec.timelines.push(line.into());
        spec
    };
    let mut engine = engine(1);
    send(&mut engine, vec![load(moving("red", RED))]).unwrap();
    ticks(&mut engine, 29);
    let mut blue = moving("blue", BLUE);
    blue.transitions.scene = linear(Kind::Fade, 1.0);
    send(&mut engine, vec![load(blue)]).unwrap();
    assert_eq!(
        (placed(&mut engine, "red").0, placed(&mut engine, "blue").0),
        (30.0, 0.0)
    );
    ticks(&mut engine, 15);
    assert_eq!(
        (placed(&mut engine, "red").0, placed(&mut engine, "blue").0),
        (45.0, 15.0)
    );
}

#[test]
fn turned_round_it_goes_back_from_what_is_on_screen() {
    let mut engine = change(linear(Kind::Wipe, 1.0));
    ticks(&mut engine, 20);
    let edge = |engine: &stream_manager_systems::Engine| {
        (0..WIDTH).filter(|x| is(engine, *x, 32, BLUE)).count() as i64
    };
    let before = edge(&engine);
    send(&mut engine, vec![mix(MixAction::Reverse)]).unwrap();
    let after = edge(&engine);
    // 128 pixels in 30 ticks are 4.3 a tick.
    assert!((4..=5).contains(&(before - after)), "{before} {after}");
    ticks(&mut engine, 9);
    assert!((41..45).contains(&edge(&engine)), "{}", edge(&engine));
    ticks(&mut engine, 10);
    assert!(is(&engine, 2, 32, RED));
    assert_eq!(layer_count(&mut engine), 1);
    // Commands reach the scene that came back.
    let red = scene(vec![full("red", RED)]);
    let green = scene(vec![full("red", Colour::opaque(0, 255, 0))]);
    let edit = Box::new(edit(&red, &green));
    send(&mut engine, vec![Command::EditScene(edit)]).unwrap();
    assert_eq!(pixel(&engine, 64, 32), [0, 255, 0]);
}

#[test]
fn an_operator_moves_it_by_hand() {
    let mut engine = change(linear(Kind::Wipe, 1.0));
    let blue = |engine: &stream_manager_systems::Engine| {
        (0..WIDTH).filter(|x| is(engine, *x, 32, BLUE)).count()
    };
    for (part, columns) in [(0.25, 32), (0.75, 96), (0.5, 64)] {
        send(&mut engine, vec![mix(MixAction::Hold(part))]).unwrap();
        ticks(&mut engine, 50);
        assert!(
            blue(&engine).abs_diff(columns) <= 1,
            "{part}: {}",
            blue(&engine)
        );
    }
    send(&mut engine, vec![mix(MixAction::Release)]).unwrap();
    ticks(&mut engine, 16);
    assert_eq!(blue(&engine), WIDTH);
    let refused = send(&mut engine, vec![mix(MixAction::Release)]);
    assert_eq!(refused, Err(CommandError::NoMix));
}

#[test]
fn it_can_be_called_off_and_cut_short() {
    let mut engine = change(linear(Kind::Fade, 10.0));
    send(&mut engine, vec![mix(MixAction::Cancel)]).unwrap();
    assert!(is(&engine, 64, 32, RED));
    assert_eq!(layer_count(&mut engine), 1);
    let mut engine = change(linear(Kind::Fade, 10.0));
    send(&mut engine, vec![mix(MixAction::Finish)]).unwrap();
    assert!(is(&engine, 64, 32, BLUE));
    let mut engine = change(linear(Kind::Fade, 10.0));
    let green = scene(vec![full("green", Colour::opaque(0, 255, 0))]);
    send(&mut engine, vec![load(green)]).unwrap();
    assert_eq!(pixel(&engine, 64, 32), [0, 255, 0]);
    assert_eq!(layer_count(&mut engine), 1);
}

#[test]
fn frames_do_not_depend_on_threads() {
    for kind in [Kind::Fade, Kind::Scale, Kind::Iris, Kind::Push] {
        let pictures = [1, 2, 3].map(|threads| {
            let mut engine = engine(threads);
            let red = scene(vec![
                full("r", RED),
                boxed("b", BLUE, (9.5, 9.25), (50.0, 30.0)),
            ]);
            send(&mut engine, vec![load(red)]).unwrap();
            let mut blue = scene(vec![
                full("b", BLUE),
                boxed("r", RED, (30.5, 9.25), (50.0, 30.0)),
            ]);
            blue.transitions.scene = linear(kind, 1.0);
            send(&mut engine, vec![load(blue)]).unwrap();
            ticks(&mut engine, 11);
            (
                engine.picture().rgba,
                engine.frame().unwrap().frame.y().to_vec(),
            )
        });
        assert!(
            pictures[0] == pictures[1] && pictures[1] == pictures[2],
            "{kind:?}"
        );
    }
}

/// A clip of six frames of a tenth of a second each: green all over in the two in the middle, nothing in the others.
fn clip() -> Picture {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for number in 0..6 {
        let alpha = if number == 2 || number == 3 { 255 } else { 0 };
        let frame = RgbaImage::from_pixel(16, 8, Rgba([0, 255, 0, alpha]));
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder
            .encode_frame(Frame::from_parts(frame, 0, 0, delay))
            .unwrap();
    }
    drop(encoder);
    decode_picture(&bytes, &PictureFonts::default).unwrap()
}

#[test]
fn a_stinger_plays_over_the_cut() {
    let mut engine = engine(1);
    send(&mut engine, vec![load(scene(vec![full("red", RED)]))]).unwrap();
    let mut blue = scene(vec![full("blue", BLUE)]);
    blue.transitions.scene = Transition {
        src: Some("clip.gif".to_owned()),
        ..Transition::new(Kind::Stinger, 0.0)
    };
    let mut bundle = SceneBundle::new(blue);
    bundle.pictures = vec![("clip.gif".into(), clip())];
    send(&mut engine, vec![Command::LoadScene(Box::new(bundle))]).unwrap();
    let mut seen = vec![pixel(&engine, 64, 32)];
    for _ in 0..18 {
        engine.tick();
        seen.push(pixel(&engine, 64, 32));
    }
    let green = [0, 255, 0];
    let expected: Vec<[u8; 3]> = (0..19)
        .map(|tick| match tick {
            0..6 => [255, 0, 0],
            6..12 => green,
            _ => [0, 0, 255],
        })
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(layer_count(&mut engine), 1);
}

#[test]
fn a_stinger_without_its_clip_is_a_cut() {
    let mut engine = change(Transition {
        src: Some("nothing.gif".to_owned()),
        ..Transition::new(Kind::Stinger, 1.0)
    });
    assert!(is(&engine, 64, 32, BLUE));
    assert_eq!(layer_count(&mut engine), 1);
}
