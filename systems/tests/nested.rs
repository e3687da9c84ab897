//! Scenes within scenes: where they stand, what they see, and that they go on while the scene around them changes.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use components::animation::TimelineSpec;
use components::layer::{Crop, Fit, LayerId, LayerSpec, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ColourSource, SceneSource, Source, TextSource};
use components::value::{Colour, Number};
use serde_json::{Map, Value, json};
use stream_manager_systems::command::Command;
use stream_manager_systems::data::SceneData;
use stream_manager_systems::scene::{Reachable, SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};

fn engine() -> Engine {
    Engine::new(EngineSettings {
        width: 128,
        height: 64,
        rate: FrameRate::whole(30),
        render_threads: 1,
        pool_frames: 4,
        max_layers: 10,
        epoch_unix_ms: 0,
        now_nanos: || 0,
    })
    .unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn colour(text: &str) -> Source {
    Source::Colour(ColourSource {
        color: Colour::parse(text).unwrap(),
    })
}

fn layer(id: &str, source: Source, at: (f32, f32), size: Option<(f32, f32)>) -> LayerSpec {
    let mut layer = LayerSpec::new(id);
    layer.source = source;
    layer.position = Position {
        x: at.0.into(),
        y: at.1.into(),
    };
    layer.size = size.map(|(width, height)| Size {
        width: width.into(),
        height: height.into(),
    });
    layer
}

fn scene(width: u32, height: u32, layers: Vec<LayerSpec>) -> SceneSpec {
    let mut spec = SceneSpec::new("tested");
    (spec.canvas.width, spec.canvas.height) = (width, height);
    spec.layers = layers.into_iter().map(Arc::new).collect();
    spec
}

fn within(inner: SceneSpec) -> SceneSource {
    SceneSource {
        src: "inner".to_owned(),
        background: false,
        data: Map::new(),
        inner: Some(Arc::new(inner)),
    }
}

fn outer(source: SceneSource, size: Option<(f32, f32)>) -> SceneSpec {
    let layer = layer("inner", Source::Scene(source), (32.0, 16.0), size);
    scene(128, 64, vec![layer])
}

fn on_air(spec: SceneSpec) -> Engine {
    let mut engine = engine();
    engine.load(SceneBundle::new(spec)).unwrap();
    engine.tick();
    engine
}

fn edit(engine: &mut Engine, old: &SceneSpec, new: &SceneSpec) {
    let edit = SceneEdit::between(old, new).unwrap();
    let (reply, answer) = sync_channel(1);
    engine
        .commands()
        .send(Command::EditScene(Box::new(edit)), move |result| {
            reply.send(result).unwrap();
        })
        .unwrap();
    engine.tick();
    answer.try_recv().unwrap().unwrap();
}

fn pixel(engine: &Engine, x: usize, y: usize) -> [u8; 3] {
    let picture = engine.picture();
    let at = (y * 128 + x) * 4;
    [picture.rgba[at], picture.rgba[at + 1], picture.rgba[at + 2]]
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const BLACK: [u8; 3] = [0, 0, 0];

/// Twice as large as its box: red but for a blue half at the right, and something far outside.
fn halves() -> SceneSpec {
    scene(
        64,
        64,
        vec![
            layer("all", colour("#f00"), (0.0, 0.0), None),
            layer("half", colour("#00f"), (32.0, 0.0), Some((200.0, 200.0))),
        ],
    )
}

#[test]
fn an_inner_scene_is_fitted_into_the_box_and_cut_there() {
    let mut spec = outer(within(halves()), Some((64.0, 32.0)));
    let engine = on_air(spec.clone());
    // 64 x 64 in 64 x 32: half as large, in the middle.
    assert_eq!(pixel(&engine, 47, 20), BLACK, "left of it");
    assert_eq!(pixel(&engine, 49, 20), RED);
    assert_eq!(pixel(&engine, 63, 47), RED);
    assert_eq!(pixel(&engine, 65, 20), BLUE);
    assert_eq!(pixel(&engine, 81, 20), BLACK, "cut at its canvas");
    assert_eq!(pixel(&engine, 60, 49), BLACK, "cut at its box");

    let set = |spec: &mut SceneSpec, change: &dyn Fn(&mut LayerSpec)| {
        change(Arc::make_mut(&mut spec.layers[0]));
    };
    set(&mut spec, &|layer| layer.fit = Fit::Fill);
    let engine = on_air(spec.clone());
    assert_eq!(
        (pixel(&engine, 33, 20), pixel(&engine, 94, 20)),
        (RED, BLUE)
    );
    assert_eq!(pixel(&engine, 97, 20), BLACK);
    set(&mut spec, &|layer| {
        layer.crop = Crop {
            left: 32.0,
            ..Crop::default()
        }
    });
    let engine = on_air(spec.clone());
    assert_eq!(pixel(&engine, 34, 20), BLUE, "what was cropped is gone");
    set(&mut spec, &|layer| {
        (layer.size, layer.crop) = (None, Crop::default());
    });
    let engine = on_air(spec);
    assert_eq!(pixel(&engine, 33, 60), RED, "as large as its canvas");
    assert_eq!(pixel(&engine, 95, 60), BLUE);
    assert_eq!(pixel(&engine, 97, 60), BLACK);
}

#[test]
fn the_background_is_drawn_if_wished_and_own_children_stand_in_front() {
    let mut inner = scene(64, 64, Vec::new());
    inner.canvas.background = Colour::parse("#f00").unwrap();
    let mut source = within(inner);
    let bare = on_air(outer(source.clone(), None));
    assert_eq!(pixel(&bare, 40, 40), BLACK);
    source.background = true;
    let mut spec = outer(source, None);
    let child = layer("child", colour("#00f"), (10.0, 10.0), Some((4.0, 4.0)));
    Arc::make_mut(&mut spec.layers[0]).children = vec![Arc::new(child)];
    let engine = on_air(spec);
    assert_eq!(pixel(&engine, 40, 40), RED);
    assert_eq!(pixel(&engine, 43, 27), BLUE);
}

#[test]
fn names_are_looked_up_in_the_given_data_then_in_its_own_then_outside() {
    let mut inner = scene(
        64,
        64,
        vec![{
            let mut layer = layer("box", colour("#f00"), (0.0, 0.0), Some((8.0, 8.0)));
            layer.position.x = Number::Bound("x".into());
            layer.position.y = Number::Bound("y".into());
            layer
        }],
    );
    inner.data = Arc::new(object(json!({"x": 10})));
    let mut source = within(inner);
    let mut spec = outer(source.clone(), None);
    spec.data = Arc::new(object(json!({"x": 40, "y": 20})));
    let mut engine = on_air(spec.clone());
    assert_eq!(pixel(&engine, 32 + 12, 16 + 22), RED);

    // A value of the scene around it.
    let mut moved = spec.clone();
    moved.data = Arc::new(object(json!({"x": 40, "y": 2})));
    edit(&mut engine, &spec, &moved);
    assert_eq!(pixel(&engine, 32 + 12, 16 + 4), RED);
    // A value that is given takes the place of its own.
    source.data = object(json!({"x": 50}));
    let mut given = moved.clone();
    Arc::make_mut(&mut given.layers[0]).source = Source::Scene(source);
    edit(&mut engine, &moved, &given);
    assert_eq!(pixel(&engine, 32 + 52, 16 + 4), RED);
    assert_eq!(pixel(&engine, 32 + 12, 16 + 4), BLACK);
}

fn moving() -> SceneSpec {
    let mut spec = scene(
        64,
        64,
        vec![layer("box", colour("#f00"), (0.0, 0.0), Some((4.0, 64.0)))],
    );
    let timeline: TimelineSpec = serde_json::from_value(json!({
        "id": "move", "tracks": [{"layer": "box", "property": "position.x", "keyframes": [
            {"at": 0, "value": 0}, {"at": 2, "value": 60}
        ]}]
    }))
    .unwrap();
    spec.timelines = vec![Arc::new(timeline)];
    spec
}

#[test]
fn its_timelines_move_it_and_seeking_gives_what_playing_gives() {
    let spec = outer(within(moving()), None);
    let mut playing = on_air(spec.clone());
    while playing.next_tick() <= 30 {
        playing.tick();
    }
    assert_eq!(pixel(&playing, 32 + 32, 40), RED, "half of its way");
    let mut sought = engine();
    sought.load(SceneBundle::new(spec.clone())).unwrap();
    sought.seek(30);
    sought.tick();
    assert!(playing.picture().rgba == sought.picture().rgba);

    // What changes outside leaves it where it is.
    let mut changed = spec.clone();
    Arc::make_mut(&mut changed.layers[0]).position.y = 0.0.into();
    edit(&mut playing, &spec, &changed);
    assert_eq!(pixel(&playing, 32 + 33, 10), RED);
}

#[test]
fn no_command_reaches_inner_layers_and_all_of_it_goes_with_its_layer() {
    let mut two_deep = scene(
        64,
        64,
        vec![layer("deep", colour("#f00"), (0.0, 0.0), None)],
    );
    two_deep.data = Arc::new(object(json!({"deep": 1})));
    let mut middle = scene(
        64,
        64,
        vec![layer(
            "inner",
            Source::Scene(within(two_deep)),
            (0.0, 0.0),
            None,
        )],
    );
    middle.timelines = moving().timelines.clone();
    let spec = outer(within(middle), None);
    assert_eq!(spec.count_layers(), 3);
    let mut engine = on_air(spec.clone());
    assert_eq!(pixel(&engine, 60, 40), RED, "two scenes deep");
    let world = engine.world_mut();
    let mut reachable = world.query_filtered::<&LayerId, Reachable>();
    let ids: Vec<_> = reachable.iter(world).map(LayerId::as_str).collect();
    assert_eq!(ids, ["inner"]);

    // Another kind of source, and back again.
    let before = format!("{:?}", engine.world_mut().resource::<SceneData>());
    let mut plain = spec.clone();
    Arc::make_mut(&mut plain.layers[0]).source = colour("#00f");
    for _ in 0..3 {
        edit(&mut engine, &spec, &plain);
        assert_eq!(pixel(&engine, 60, 40), BLUE);
        let world = engine.world_mut();
        assert_eq!(world.query::<&LayerId>().iter(world).count(), 1);
        edit(&mut engine, &plain, &spec);
        assert_eq!(pixel(&engine, 60, 40), RED);
    }
    let after = format!("{:?}", engine.world_mut().resource::<SceneData>());
    let scopes = |text: &str| text.matches("Some(Scope").count();
    assert_eq!(scopes(&before), scopes(&after), "scopes are let go");
}

#[test]
fn inner_layers_count_and_what_stands_still_is_not_composed_again() {
    let many: Vec<LayerSpec> = (0..10)
        .map(|index| layer(&format!("l{index}"), colour("#f00"), (0.0, 0.0), None))
        .collect();
    let refused = engine().load(SceneBundle::new(outer(within(scene(64, 64, many)), None)));
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("11 layers"), "{message}");

    let words = json!({"text": "{{title}}", "font": {"size": 14}});
    let text = Source::Text(serde_json::from_value::<TextSource>(words).unwrap());
    let mut inner = scene(64, 64, vec![layer("words", text, (2.0, 2.0), None)]);
    inner.data = Arc::new(object(json!({"title": "still"})));
    let mut engine = on_air(outer(within(inner), Some((32.0, 32.0))));
    engine.tick();
    let world = engine.world_mut();
    let stats = world
        .resource::<stream_manager_systems::render::ComposedFrame>()
        .stats;
    assert_eq!(stats.tiles_composed, 0, "{stats:?}");
}
