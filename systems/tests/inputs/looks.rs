//! Where the picture of an input stands and what it looks like there.

use components::effect::{Effect, Effects};
use components::layer::{Crop, Fit, LayerSpec, Opacity, Rotation};
use components::source::Source;
use stream_manager_systems::Engine;
use stream_manager_systems::input::{LivePicture, TimedPicture, WantedSize};

use crate::stage::*;

/// A film of one picture of `luma`, as large as told, in a layer.
fn shown(spec: LayerSpec, luma: u8, size: (u32, u32)) -> (Engine, WantedSize) {
    let (mut engine, open) = started(scene(vec![spec]));
    let still = TimedPicture {
        run: 0,
        pts_us: 0,
        picture: LivePicture::Planes(plain(luma, size.0, size.1)),
        natural: size,
    };
    open.ends.pictures.try_send(still).unwrap();
    engine.tick();
    (engine, open.ends.state.wanted())
}

fn film_source() -> Source {
    Source::Video(film())
}

#[test]
fn it_is_fitted_and_cut_as_a_picture_is() {
    // A square into a box that is twice as wide.
    let side = (32, 32);
    let place = |fit| boxed(film_source(), (16.0, 8.0), (64.0, 32.0), fit);
    let (engine, wanted) = shown(place(Fit::Contain), 150, side);
    assert_eq!((at(&engine, 30, 20), at(&engine, 33, 20)), (16, 150));
    assert_eq!((wanted.width, wanted.height), (32, 32));
    let (engine, wanted) = shown(place(Fit::Cover), 150, side);
    let seen = [(15, 20), (16, 8), (79, 39), (80, 20), (40, 7), (40, 40)];
    let lumas = seen.map(|(x, y)| at(&engine, x, y));
    assert_eq!(lumas, [16, 150, 150, 16, 16, 16]);
    assert_eq!((wanted.width, wanted.height), (64, 64));
    let (engine, _) = shown(place(Fit::None), 150, side);
    assert_eq!((at(&engine, 31, 20), at(&engine, 32, 20)), (16, 150));
    let (engine, wanted) = shown(place(Fit::Fill), 150, side);
    assert_eq!((at(&engine, 16, 8), at(&engine, 79, 39)), (150, 150));
    assert_eq!((wanted.width, wanted.height), (64, 32));
    let cropped = LayerSpec {
        crop: Crop {
            left: 16.0,
            ..Crop::default()
        },
        ..place(Fit::Contain)
    };
    let (engine, _) = shown(cropped, 150, side);
    // What is left is 16 by 32, in the middle of the box.
    assert_eq!(
        [39, 40, 55, 56].map(|x| at(&engine, x, 20)),
        [16, 150, 150, 16]
    );
}

#[test]
fn without_a_size_it_has_its_own() {
    let spec = LayerSpec {
        size: None,
        ..layer(film_source())
    };
    let (engine, _) = shown(spec, 150, (40, 20));
    assert_eq!(
        (
            at(&engine, 39, 19),
            at(&engine, 40, 19),
            at(&engine, 39, 20)
        ),
        (150, 16, 16)
    );
}

#[test]
fn it_fades_turns_and_has_effects() {
    let faded = LayerSpec {
        opacity: Opacity(0.5.into()),
        ..layer(film_source())
    };
    let (engine, _) = shown(faded, 235, (WIDTH, HEIGHT));
    assert!(middle(&engine).abs_diff(126) <= 1, "{}", middle(&engine));
    let turned = LayerSpec {
        rotation: Rotation(30.0.into()),
        ..boxed(film_source(), (40.0, 10.0), (40.0, 40.0), Fit::Fill)
    };
    let (engine, _) = shown(turned, 200, (40, 40));
    assert!(at(&engine, 41, 35).abs_diff(200) <= 1 && at(&engine, 78, 12) == 16);
    let round: Effect =
        serde_json::from_value(serde_json::json!({"type": "cornerRadius", "radius": 16})).unwrap();
    let effects = Effects(vec![round]);
    for fit in [Fit::Fill, Fit::Cover] {
        let rounded = LayerSpec {
            effects: effects.clone(),
            ..boxed(film_source(), (10.0, 10.0), (60.0, 40.0), fit)
        };
        let (engine, _) = shown(rounded, 200, (40, 40));
        assert!(at(&engine, 40, 30).abs_diff(200) <= 1);
        assert_eq!(
            (at(&engine, 10, 10), at(&engine, 40, 52)),
            (16, 16),
            "{fit:?}"
        );
    }
}

#[test]
fn a_size_that_moves_is_asked_for_when_it_has_settled() {
    let mut spec = boxed(film_source(), (0.0, 0.0), (64.0, 32.0), Fit::Fill);
    let (mut engine, open) = started(scene(vec![spec.clone()]));
    open.ends.pictures.try_send(frame(0)).unwrap();
    engine.tick();
    let wanted = || {
        (
            open.ends.state.wanted().width,
            open.ends.state.wanted().height,
        )
    };
    assert_eq!(wanted(), (64, 32));
    for step in 1..=10 {
        let before = spec.clone();
        spec = boxed(
            film_source(),
            (0.0, 0.0),
            (64.0 + step as f32 * 4.0, 32.0),
            Fit::Fill,
        );
        let edit = stream_manager_systems::scene::SceneEdit::between(
            &scene(vec![before]),
            &scene(vec![spec.clone()]),
        );
        let edit = Box::new(edit.unwrap());
        let command = stream_manager_systems::command::Command::EditScene(edit);
        engine.commands().send(command, |_| {}).unwrap();
        engine.tick();
        assert_eq!(wanted(), (64, 32));
    }
    for _ in 0..10 {
        engine.tick();
    }
    assert_eq!(wanted(), (104, 32));
}
