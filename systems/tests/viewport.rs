//! Scenes on frames of other sizes than their canvases.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;

use components::layer::{LayerSpec, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ColourSource, ShapeKind, ShapeSource, Source};
use components::transition::{Transition, TransitionKind};
use components::value::{Colour, Paint};
use components::viewport::CanvasFit;
use stream_manager_systems::command::Command;
use stream_manager_systems::render::DrawList;
use stream_manager_systems::scene::SceneBundle;
use stream_manager_systems::transition::MixAction;
use stream_manager_systems::{Engine, EngineSettings};

const RED: Colour = Colour::opaque(255, 0, 0);
const GREEN: Colour = Colour::opaque(0, 255, 0);
const BLUE: Colour = Colour::opaque(0, 0, 255);

fn no_clock() -> u64 {
    0
}

fn engine(width: u32, height: u32) -> Engine {
    Engine::new(EngineSettings {
        width,
        height,
        rate: FrameRate::whole(30),
        render_threads: 2,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: no_clock,
        epoch_unix_ms: 0,
    })
    .unwrap()
}

fn scene(canvas: (u32, u32), background: Colour, layers: Vec<LayerSpec>) -> SceneBundle {
    let mut spec = SceneSpec::new("test");
    (spec.canvas.width, spec.canvas.height) = canvas;
    spec.canvas.background = background;
    spec.layers = layers.into_iter().map(Arc::new).collect();
    SceneBundle::new(spec)
}

fn with(mut bundle: SceneBundle, kind: TransitionKind) -> SceneBundle {
    bundle.spec.transitions.scene = Transition {
        easing: components::animation::Easing::Linear,
        ..Transition::new(kind, 1.0)
    };
    bundle
}

fn source(id: &str, source: Source, at: (f32, f32), size: (f32, f32)) -> LayerSpec {
    LayerSpec {
        source,
        position: Position {
            x: at.0.into(),
            y: at.1.into(),
        },
        size: Some(Size {
            width: size.0.into(),
            height: size.1.into(),
        }),
        ..LayerSpec::new(id)
    }
}

fn colour(id: &str, colour: Colour, at: (f32, f32), size: (f32, f32)) -> LayerSpec {
    source(id, Source::Colour(ColourSource { color: colour }), at, size)
}

fn pixel(engine: &Engine, x: u32, y: u32) -> [u8; 3] {
    let picture = engine.picture();
    let at = ((y * picture.width + x) * 4) as usize;
    [picture.rgba[at], picture.rgba[at + 1], picture.rgba[at + 2]]
}

fn load(engine: &mut Engine, bundle: SceneBundle) {
    send(engine, Command::LoadScene(Box::new(bundle)));
}

fn send(engine: &mut Engine, command: Command) {
    engine
        .commands()
        .send(command, |applied| assert!(applied.is_ok()))
        .unwrap();
    engine.tick();
}

fn play(engine: &mut Engine, ticks: usize) {
    for _ in 0..ticks {
        engine.tick();
    }
}

#[test]
fn a_canvas_of_other_proportions_has_bars_in_which_nothing_shows() {
    let over = colour("over", GREEN, (48.0, -50.0), (16.0, 200.0));
    let wide = || scene((64, 32), RED, vec![over.clone()]);
    let mut engine_ = engine(64, 64);
    engine_.load(wide()).unwrap();
    engine_.tick();
    for (x, y, expected) in [
        (10, 15, [0, 0, 0]),
        (10, 16, [255, 0, 0]),
        (10, 47, [255, 0, 0]),
        (10, 48, [0, 0, 0]),
        (50, 15, [0, 0, 0]),
        (50, 16, [0, 255, 0]),
        (50, 63, [0, 0, 0]),
    ] {
        assert_eq!(pixel(&engine_, x, y), expected, "{x} {y}");
    }
    let mut filled = engine(64, 64);
    filled.set_fit(CanvasFit::Cover);
    filled.load(wide()).unwrap();
    filled.tick();
    // Twice as large, and a quarter cut off on both sides.
    assert_eq!(pixel(&filled, 63, 0), [255, 0, 0]);
    assert_eq!(pixel(&filled, 0, 63), [255, 0, 0]);
}

#[test]
fn shapes_are_drawn_with_the_pixels_of_the_frame() {
    let disc = || {
        let disc = ShapeSource {
            shape: ShapeKind::Ellipse,
            radius: Default::default(),
            path: None,
            fill: Some(Paint::Solid(Colour::WHITE)),
            stroke: None,
        };
        scene(
            (64, 64),
            Colour::BLACK,
            vec![source(
                "disc",
                Source::Shape(disc),
                (8.0, 8.0),
                (48.0, 48.0),
            )],
        )
    };
    let size_on = |side: u32| {
        let mut engine = engine(side, side);
        engine.load(disc()).unwrap();
        engine.tick();
        let list = engine.world_mut().resource::<DrawList>();
        list.items.last().unwrap().size.x
    };
    assert_eq!([32, 64, 128, 256].map(size_on), [24.0, 48.0, 96.0, 192.0]);
    // The edge of a disc that is drawn with twice the pixels is no wider than one pixel.
    let mut large = engine(256, 256);
    large.load(disc()).unwrap();
    large.tick();
    let row: Vec<u8> = (0..256).map(|x| pixel(&large, x, 128)[0]).collect();
    let between = row.iter().filter(|value| !matches!(value, 0 | 255)).count();
    assert!(between <= 2, "{between} pixels of {row:?}");
}

#[test]
fn scenes_of_different_canvases_give_way_to_each_other() {
    let small = || {
        scene(
            (64, 64),
            RED,
            vec![colour("all", RED, (0.0, 0.0), (64.0, 64.0))],
        )
    };
    // Its quarters are 64 pixels of its own, and 32 of the frame.
    let large = |kind| {
        let quarter = colour("quarter", GREEN, (64.0, 64.0), (64.0, 64.0));
        with(scene((128, 128), BLUE, vec![quarter]), kind)
    };
    for kind in [
        TransitionKind::Fade,
        TransitionKind::Push,
        TransitionKind::Wipe,
        TransitionKind::Iris,
        TransitionKind::Cut,
    ] {
        let mut engine = engine(64, 64);
        load(&mut engine, small());
        play(&mut engine, 1);
        load(&mut engine, large(kind));
        play(&mut engine, 15);
        match kind {
            TransitionKind::Fade => {
                let [red, green, _] = pixel(&engine, 48, 48);
                assert!(red.abs_diff(128) <= 1 && green.abs_diff(128) <= 1);
            }
            // Half of each scene, as large as it is on the frame.
            TransitionKind::Push => {
                let sides = [pixel(&engine, 8, 8), pixel(&engine, 56, 8)];
                assert!(
                    sides.contains(&[255, 0, 0]) && sides.contains(&[0, 0, 255]),
                    "{sides:?}"
                );
            }
            _ => {}
        }
        play(&mut engine, 20);
        assert_eq!(pixel(&engine, 48, 48), [0, 255, 0], "{kind:?}");
        assert_eq!(pixel(&engine, 31, 31), [0, 0, 255], "{kind:?}");
    }
}

#[test]
fn a_change_that_turns_round_gives_each_scene_its_own_canvas_back() {
    // A colour without a size covers the canvas of its own scene.
    let whole = |id: &str, fill| LayerSpec {
        source: Source::Colour(ColourSource { color: fill }),
        ..LayerSpec::new(id)
    };
    let mut engine = engine(64, 64);
    load(&mut engine, scene((64, 32), RED, vec![whole("a", RED)]));
    play(&mut engine, 1);
    let tall = scene((64, 128), BLUE, vec![whole("b", BLUE)]);
    load(&mut engine, with(tall, TransitionKind::Fade));
    play(&mut engine, 10);
    send(
        &mut engine,
        Command::Mix {
            action: MixAction::Reverse,
            back: None,
        },
    );
    play(&mut engine, 40);
    assert_eq!(pixel(&engine, 1, 32), [255, 0, 0]);
    assert_eq!(pixel(&engine, 32, 1), [0, 0, 0]);
    load(&mut engine, scene((64, 128), BLUE, vec![whole("b", BLUE)]));
    play(&mut engine, 1);
    assert_eq!(pixel(&engine, 1, 32), [0, 0, 0]);
    assert_eq!(pixel(&engine, 32, 1), [0, 0, 255]);
}

#[test]
fn a_layer_comes_with_its_edge_on_the_frame() {
    // Half uncovered from the left, whatever the frame's size.
    for side in [32, 64, 256] {
        let mut layer = colour("wiped", RED, (16.0, 16.0), (32.0, 32.0));
        layer.enter = Some(Transition {
            easing: components::animation::Easing::Linear,
            ..Transition::new(TransitionKind::Wipe, 1.0)
        });
        let mut engine = engine(side, side);
        engine
            .load(scene((64, 64), Colour::BLACK, vec![layer]))
            .unwrap();
        play(&mut engine, 16);
        let reds = (0..side)
            .filter(|x| pixel(&engine, *x, side / 2)[0] > 127)
            .count() as u32;
        assert!(reds.abs_diff(side / 4) <= 1, "{reds} of {side}");
    }
}

#[test]
fn round_edges_of_coming_layers_are_as_large_as_the_frame() {
    for kind in [TransitionKind::Iris, TransitionKind::Clock] {
        let lit = [64, 256].map(|side: u32| {
            let mut layer = colour("uncovered", RED, (16.0, 16.0), (32.0, 32.0));
            layer.enter = Some(Transition::new(kind, 1.0));
            let mut engine = engine(side, side);
            engine
                .load(scene((64, 64), Colour::BLACK, vec![layer]))
                .unwrap();
            play(&mut engine, 12);
            let picture = engine.picture();
            let red: u64 = picture
                .rgba
                .chunks(4)
                .map(|pixel| u64::from(pixel[0]))
                .sum();
            red as f64 / 255.0 / f64::from(side * side)
        });
        assert!(lit[0] > 0.01, "{kind:?}: {lit:?}");
        assert!((lit[0] / lit[1] - 1.0).abs() < 0.03, "{kind:?}: {lit:?}");
    }
}
