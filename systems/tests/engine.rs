//! The engine as the program drives it: scenes and commands in, frames out.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use components::layer::{LayerSpec, Position, Rotation, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ColourSource, GroupSource, Source};
use components::transition::TransitionKind;
use components::value::{Colour, Number};
use serde_json::{Map, Value, json};
use stream_manager_systems::command::{Applied, Command, CommandError};
use stream_manager_systems::scene::{SceneBundle, SceneEdit, SceneError};
use stream_manager_systems::{Engine, EngineSettings};

fn no_clock() -> u64 {
    0
}

fn engine() -> Engine {
    Engine::new(EngineSettings {
        width: 64,
        height: 64,
        rate: FrameRate::whole(30),
        render_threads: 2,
        pool_frames: 4,
        max_layers: 10,
        epoch_unix_ms: 0,
        now_nanos: no_clock,
    })
    .unwrap()
}

fn scene(layers: Vec<LayerSpec>) -> SceneBundle {
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
    (spec.canvas.width, spec.canvas.height) = (64, 64);
    SceneBundle::new(spec)
}

fn data(value: Value) -> Arc<Map<String, Value>> {
    Arc::new(value.as_object().unwrap().clone())
}

fn colour(id: &str, colour: Colour, at: (f32, f32), size: (f32, f32)) -> LayerSpec {
    LayerSpec {
        source: Source::Colour(ColourSource { color: colour }),
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

const RED: Colour = Colour::opaque(255, 0, 0);
const BLUE: Colour = Colour::opaque(0, 0, 255);

fn pixel(engine: &Engine, x: usize, y: usize) -> [u8; 3] {
    let picture = engine.picture();
    let at = (y * 64 + x) * 4;
    [picture.rgba[at], picture.rgba[at + 1], picture.rgba[at + 2]]
}

fn send(engine: &mut Engine, command: Command) -> Result<Applied, CommandError> {
    let (tell, told) = sync_channel(1);
    engine
        .commands()
        .send(command, move |result| tell.send(result).unwrap())
        .unwrap();
    engine.tick();
    told.try_recv().unwrap()
}

#[test]
fn children_follow_their_group_in_place_scale_turn_and_opacity() {
    let mut group = LayerSpec {
        source: Source::Group(GroupSource::default()),
        position: Position {
            x: 32.0.into(),
            y: 32.0.into(),
        },
        rotation: Rotation(90.0.into()),
        ..LayerSpec::new("group")
    };
    group.scale.x = 2.0.into();
    group.scale.y = 2.0.into();
    group.opacity.0 = 0.5.into();
    group.children.push(Arc::new(colour(
        "child",
        Colour::WHITE,
        (2.0, 0.0),
        (8.0, 4.0),
    )));
    let mut engine = engine();
    engine.load(scene(vec![group])).unwrap();
    engine.tick();
    // Turned a quarter clockwise, x becomes y: the child covers x 24 to 32 and y 36 to 52.
    assert_eq!(pixel(&engine, 28, 44), [128; 3]);
    for outside in [(28, 34), (28, 54), (22, 44), (34, 44)] {
        assert_eq!(pixel(&engine, outside.0, outside.1), [0; 3], "{outside:?}");
    }
}

#[test]
fn higher_z_indexes_cover_lower_ones_and_hidden_layers_nothing() {
    let mut high = colour("high", RED, (0.0, 0.0), (32.0, 64.0));
    high.z_index.0 = Some(2);
    let mut low = colour("low", BLUE, (0.0, 0.0), (64.0, 64.0));
    low.z_index.0 = Some(1);
    let mut hidden = colour("hidden", Colour::WHITE, (0.0, 0.0), (64.0, 64.0));
    hidden.z_index.0 = Some(3);
    hidden.visible.0 = false;
    let mut engine = engine();
    engine.load(scene(vec![high, low, hidden])).unwrap();
    engine.tick();
    assert_eq!(
        (pixel(&engine, 10, 10), pixel(&engine, 40, 10)),
        ([255, 0, 0], [0, 0, 255])
    );
}

#[test]
fn a_group_with_a_crop_clips_its_children() {
    let mut group = LayerSpec {
        size: Some(Size {
            width: 40.0.into(),
            height: 40.0.into(),
        }),
        position: Position {
            x: 10.0.into(),
            y: 10.0.into(),
        },
        ..LayerSpec::new("group")
    };
    group.crop.left = 4.0;
    group.children.push(Arc::new(colour(
        "child",
        RED,
        (-20.0, -20.0),
        (200.0, 200.0),
    )));
    let mut engine = engine();
    engine.load(scene(vec![group])).unwrap();
    engine.tick();
    assert_eq!(pixel(&engine, 14, 12), [255, 0, 0]);
    for outside in [(13, 30), (30, 9), (50, 30), (30, 50)] {
        assert_eq!(pixel(&engine, outside.0, outside.1), [0; 3], "{outside:?}");
    }
}

#[test]
fn numbers_follow_data_on_the_tick_on_which_it_changes() {
    let mut bar = colour("bar", RED, (0.0, 0.0), (10.0, 64.0));
    bar.size = Some(Size {
        width: Number::Bound("bar.width".into()),
        height: 64.0.into(),
    });
    let mut bundle = scene(vec![bar]);
    bundle.spec.data = data(json!({"bar": {"width": 8}}));
    let mut engine = engine();
    engine.load(bundle).unwrap();
    engine.tick();
    assert_eq!(
        (pixel(&engine, 4, 4), pixel(&engine, 20, 4)),
        ([255, 0, 0], [0; 3])
    );
    let edit = SceneEdit {
        data: Some(data(json!({"bar": {"width": 32}}))),
        ..SceneEdit::default()
    };
    let applied = send(&mut engine, Command::EditScene(Box::new(edit))).unwrap();
    assert_eq!((applied.tick, applied.revision), (1, 1));
    assert_eq!(pixel(&engine, 20, 4), [255, 0, 0]);
}

#[test]
fn a_scene_that_cannot_come_on_air_changes_nothing() {
    let mut engine = engine();
    engine
        .load(scene(vec![colour("red", RED, (0.0, 0.0), (64.0, 64.0))]))
        .unwrap();
    engine.tick();
    let mut other_rate = scene(Vec::new());
    other_rate.spec.canvas.fps = Some(FrameRate::whole(50));
    let refused = send(&mut engine, Command::LoadScene(Box::new(other_rate)));
    assert!(
        matches!(
            refused,
            Err(CommandError::Scene(SceneError::OtherRate { .. }))
        ),
        "{refused:?}"
    );
    let many = (0..11)
        .map(|index| colour(&format!("l{index}"), BLUE, (0.0, 0.0), (64.0, 64.0)))
        .collect();
    let refused = send(&mut engine, Command::LoadScene(Box::new(scene(many))));
    assert_eq!(
        refused,
        Err(CommandError::Scene(SceneError::TooManyLayers {
            count: 11,
            max: 10
        }))
    );
    assert_eq!(pixel(&engine, 30, 30), [255, 0, 0]);
}

#[test]
fn scenes_dissolve_into_each_other_when_the_new_one_says_so() {
    let mut engine = engine();
    engine
        .load(scene(vec![colour("red", RED, (0.0, 0.0), (64.0, 64.0))]))
        .unwrap();
    engine.tick();
    let mut next = scene(vec![colour("blue", BLUE, (0.0, 0.0), (64.0, 64.0))]);
    next.spec.transitions.scene.kind = TransitionKind::Fade;
    next.spec.transitions.scene.duration = 1.0;
    send(&mut engine, Command::LoadScene(Box::new(next))).unwrap();
    assert_eq!(
        pixel(&engine, 30, 30),
        [255, 0, 0],
        "it starts with what was on air"
    );
    for _ in 0..15 {
        engine.tick();
    }
    let [red, _, blue] = pixel(&engine, 30, 30);
    assert!(
        red.abs_diff(128) <= 1 && blue.abs_diff(128) <= 1,
        "half way: {red} {blue}"
    );
    for _ in 0..15 {
        engine.tick();
    }
    assert_eq!(pixel(&engine, 30, 30), [0, 0, 255]);
}

#[test]
fn a_still_scene_gives_the_same_frame_again() {
    let mut engine = engine();
    engine
        .load(scene(vec![colour("red", RED, (0.0, 0.0), (64.0, 64.0))]))
        .unwrap();
    engine.tick();
    let first = engine.frame().unwrap().frame;
    engine.tick();
    assert!(std::sync::Arc::ptr_eq(
        &first,
        &engine.frame().unwrap().frame
    ));
}

#[test]
fn frames_that_others_keep_are_never_written_over() {
    let mut engine = engine();
    engine
        .load(scene(vec![colour("bar", RED, (0.0, 0.0), (10.0, 64.0))]))
        .unwrap();
    let mut kept = Vec::new();
    for width in 0..8 {
        let patch = scene(vec![colour(
            "bar",
            RED,
            (0.0, 0.0),
            (10.0 + width as f32 * 4.0, 64.0),
        )]);
        send(&mut engine, Command::LoadScene(Box::new(patch))).unwrap();
        let frame = engine.frame().unwrap().frame;
        kept.push((frame.clone(), frame.y().to_vec()));
    }
    assert!(
        engine.counters().pool_exhausted > 0,
        "with all frames held there is none to compose into"
    );
    let blame = engine.status_board().read().blame.unwrap();
    assert_eq!(blame.cause, "pool");
    for (frame, luma) in &kept {
        assert_eq!(frame.y(), luma);
    }
}
