//! A scene that was edited is the same to the eye as one that was loaded in its final form.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use components::animation::{PlayState, Timeline, TimelineSpec};
use components::layer::{LayerSpec, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ColourSource, GroupSource, Source, TextSource};
use components::value::{Colour, Number};
use proptest::prelude::*;
use serde_json::json;
use stream_manager_systems::animate::TimelineAction;
use stream_manager_systems::command::{Applied, Command, CommandError};
use stream_manager_systems::render::Hold;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};

const IDS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn no_clock() -> u64 {
    0
}

fn engine() -> Engine {
    Engine::new(EngineSettings {
        width: 128,
        height: 64,
        rate: FrameRate::whole(30),
        render_threads: 1,
        pool_frames: 4,
        max_layers: 10,
        epoch_unix_ms: 0,
        now_nanos: no_clock,
    })
    .unwrap()
}

fn send(engine: &mut Engine, commands: Vec<Command>) -> Result<Applied, CommandError> {
    let (reply, answer) = sync_channel(1);
    engine
        .commands()
        .send_batch(commands, None, move |result| reply.send(result).unwrap())
        .unwrap();
    engine.tick();
    answer.try_recv().unwrap()
}

fn planes(engine: &Engine) -> (Vec<u8>, Vec<u8>) {
    let frame = engine.frame().unwrap().frame;
    (frame.y().to_vec(), frame.u().to_vec())
}

fn scene() -> SceneSpec {
    let mut spec = SceneSpec::new("edited");
    (spec.canvas.width, spec.canvas.height) = (128, 64);
    spec
}

/// What one layer may be.
#[derive(Clone, Debug)]
struct Draft {
    kind: u8,
    x: f32,
    size: Option<(f32, f32)>,
    opacity: f32,
    z_index: Option<i32>,
    visible: bool,
    /// Below an earlier layer.
    parent: Option<usize>,
    bound: bool,
}

fn draft() -> impl Strategy<Value = Draft> {
    (
        0..3_u8,
        0.0..64.0_f32,
        proptest::option::of((4.0..64.0_f32, 4.0..32.0_f32)),
        prop_oneof![Just(1.0_f32), 0.1..1.0_f32],
        proptest::option::of(-3..3_i32),
        prop::bool::weighted(0.8),
        proptest::option::of(0..4_usize),
        any::<bool>(),
    )
        .prop_map(
            |(kind, x, size, opacity, z_index, visible, parent, bound)| Draft {
                kind,
                x,
                size,
                opacity,
                z_index,
                visible,
                parent,
                bound,
            },
        )
}

fn layer(id: &str, draft: &Draft) -> LayerSpec {
    let source = match draft.kind {
        0 => Source::Colour(ColourSource {
            color: Colour {
                red: (draft.x * 3.0) as u8,
                green: 200,
                blue: 40,
                alpha: 255,
            },
        }),
        1 => Source::Group(GroupSource::default()),
        _ => {
            let words = if draft.bound { "{{words}}" } else { "fixed" };
            let text = json!({"text": words, "font": {"size": 14}});
            Source::Text(serde_json::from_value::<TextSource>(text).unwrap())
        }
    };
    let mut layer = LayerSpec::new(id);
    layer.source = source;
    layer.position = Position {
        x: draft.x.into(),
        y: Number::Bound("y".into()),
    };
    layer.size = draft.size.map(|(width, height)| Size {
        width: width.into(),
        height: height.into(),
    });
    layer.opacity.0 = draft.opacity.into();
    layer.z_index.0 = draft.z_index;
    layer.visible.0 = draft.visible;
    layer
}

/// Some of the layers in some order, each below none or an earlier one.
fn drafts() -> impl Strategy<Value = Vec<(usize, Draft)>> {
    let order = Just((0..IDS.len()).collect::<Vec<_>>()).prop_shuffle();
    (order, proptest::collection::vec(draft(), 0..=IDS.len()))
        .prop_map(|(order, drafts)| order.into_iter().zip(drafts).collect())
}

fn build(drafts: &[(usize, Draft)], words: &str, y: i32) -> SceneSpec {
    fn below(drafts: &[(usize, Draft)], parent: Option<usize>) -> Vec<Arc<LayerSpec>> {
        let stands = |place: usize, draft: &Draft| draft.parent.filter(|above| *above < place);
        drafts
            .iter()
            .enumerate()
            .filter(|(place, (_, draft))| stands(*place, draft) == parent)
            .map(|(place, (id, draft))| {
                let mut layer = layer(IDS[*id], draft);
                layer.children = below(drafts, Some(place));
                Arc::new(layer)
            })
            .collect()
    }
    let mut spec = scene();
    spec.layers = below(drafts, None);
    let data = json!({"words": words, "y": y});
    spec.data = Arc::new(data.as_object().unwrap().clone());
    spec
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn editing_comes_to_the_same_picture_as_loading(
        from in drafts(),
        to in drafts(),
        words in "[a-z]{1,6}",
        y in 0..40_i32,
    ) {
        let (old, new) = (build(&from, "first", 5), build(&to, &words, y));
        let mut edited = engine();
        edited.load(SceneBundle::new(old.clone())).unwrap();
        edited.tick();
        let edit = SceneEdit::between(&old, &new).unwrap();
        send(&mut edited, vec![Command::EditScene(Box::new(edit))]).unwrap();

        let mut loaded = engine();
        loaded.load(SceneBundle::new(new.clone())).unwrap();
        loaded.tick();
        prop_assert_eq!(planes(&edited), planes(&loaded));
        prop_assert!(SceneEdit::between(&new, &new.clone()).unwrap().is_empty());
    }
}

fn slide(id: &str, end: f32) -> Arc<TimelineSpec> {
    let spec = json!({
        "id": id,
        "tracks": [{"layer": "a", "property": "position.x", "keyframes": [
            {"at": 0, "value": 0, "easing": "linear"}, {"at": 2, "value": end},
        ]}],
    });
    Arc::new(serde_json::from_value(spec).unwrap())
}

fn bar() -> LayerSpec {
    let draft = Draft {
        kind: 0,
        x: 80.0,
        size: Some((8.0, 64.0)),
        opacity: 1.0,
        z_index: None,
        visible: true,
        parent: None,
        bound: false,
    };
    let mut layer = layer("a", &draft);
    layer.position.y = 0.0.into();
    layer
}

/// Where the bar begins.
fn left(engine: &Engine) -> Option<usize> {
    let frame = engine.frame().unwrap().frame;
    frame.y()[..128].iter().position(|luma| *luma > 16)
}

#[test]
fn timelines_go_on_through_an_edit_and_obey() {
    let mut old = scene();
    old.layers = vec![Arc::new(bar())];
    old.timelines = vec![slide("slide", 60.0)];
    let mut engine = engine();
    engine.load(SceneBundle::new(old.clone())).unwrap();
    for _ in 0..30 {
        engine.tick();
    }
    // The same timeline to another place: it stands where it would have stood.
    let mut new = old.clone();
    new.timelines = vec![slide("slide", 120.0)];
    let edit = SceneEdit::between(&old, &new).unwrap();
    send(&mut engine, vec![Command::EditScene(Box::new(edit))]).unwrap();
    assert_eq!(left(&engine), Some(60), "half way after 30 ticks");

    let tell = |engine: &mut Engine, action| {
        let id = Arc::from("slide");
        send(
            engine,
            vec![Command::Timeline {
                id,
                action,
                blend: None,
            }],
        )
        .unwrap()
    };
    tell(&mut engine, TimelineAction::Pause);
    let stands = left(&engine);
    engine.tick();
    assert_eq!(left(&engine), stands);
    tell(&mut engine, TimelineAction::Seek(0.5));
    assert_eq!(left(&engine), Some(30));
    tell(&mut engine, TimelineAction::Play);
    for _ in 0..15 {
        engine.tick();
    }
    assert_eq!(left(&engine), Some(60), "half a second later");
    tell(&mut engine, TimelineAction::Stop);
    assert_eq!(left(&engine), Some(80), "its own place");

    let mut gone = new.clone();
    gone.timelines.clear();
    let edit = SceneEdit::between(&new, &gone).unwrap();
    send(&mut engine, vec![Command::EditScene(Box::new(edit))]).unwrap();
    let id = Arc::from("slide");
    let action = TimelineAction::Play;
    let refused = send(
        &mut engine,
        vec![Command::Timeline {
            id,
            action,
            blend: None,
        }],
    );
    assert!(
        matches!(refused, Err(CommandError::NoTimeline(_))),
        "{refused:?}"
    );
}

#[test]
fn a_timeline_that_ended_plays_from_its_start() {
    let mut spec = scene();
    spec.layers = vec![Arc::new(bar())];
    spec.timelines = vec![slide("slide", 60.0)];
    let mut engine = engine();
    engine.load(SceneBundle::new(spec)).unwrap();
    engine.seek(90);
    engine.tick();
    let id = Arc::from("slide");
    let action = TimelineAction::Play;
    send(
        &mut engine,
        vec![Command::Timeline {
            id,
            action,
            blend: None,
        }],
    )
    .unwrap();
    let mut timelines = engine.world_mut().query::<&Timeline>();
    let state = timelines.single(engine.world_mut()).unwrap().state;
    let from_start = PlayState::Playing {
        since_tick: 91,
        from_seconds: 0.0,
    };
    assert_eq!(state, from_start);
}

#[test]
fn a_batch_with_a_bad_command_changes_nothing() {
    let mut spec = scene();
    spec.layers = vec![Arc::new(bar())];
    let mut engine = engine();
    engine.load(SceneBundle::new(spec.clone())).unwrap();
    engine.tick();
    let mut other = scene();
    other.canvas.fps = Some(FrameRate::whole(50));
    let edit = SceneEdit::between(&spec, &scene()).unwrap();
    let commands = vec![
        Command::EditScene(Box::new(edit)),
        Command::LoadScene(Box::new(SceneBundle::new(other))),
    ];
    assert!(send(&mut engine, commands).is_err());
    assert_eq!(left(&engine), Some(80));
    assert_eq!(engine.counters().revision, 0);
}

#[test]
fn a_held_program_shows_its_slate_and_then_the_scene_as_it_went_on() {
    let mut slate = engine();
    let mut white = scene();
    white.canvas.background = Colour::WHITE;
    slate.load(SceneBundle::new(white)).unwrap();
    slate.tick();
    let slate = slate.frame().unwrap().frame;

    let mut spec = scene();
    spec.layers = vec![Arc::new(bar())];
    spec.timelines = vec![slide("slide", 60.0)];
    let mut engine = engine();
    engine.load(SceneBundle::new(spec)).unwrap();
    engine.tick();
    send(&mut engine, vec![Command::Hold(Hold::Slate(slate.clone()))]).unwrap();
    assert!(Arc::ptr_eq(&engine.frame().unwrap().frame, &slate));
    send(&mut engine, vec![Command::Hold(Hold::LastFrame)]).unwrap();
    for _ in 0..27 {
        engine.tick();
    }
    assert!(Arc::ptr_eq(&engine.frame().unwrap().frame, &slate));
    send(&mut engine, vec![Command::Hold(Hold::Scene)]).unwrap();
    assert_eq!(left(&engine), Some(30), "a second on");
}
