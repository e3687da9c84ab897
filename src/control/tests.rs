//! The director with an engine whose ticks the tests make.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use components::output::RenditionSpec;
use components::scene::{FrameRate, SceneSpec};
use proptest::prelude::*;
use serde_json::{Value, json};
use systems::clock::FrameClock;
use systems::feed::Epoch;
use systems::scene::SceneBundle;
use systems::{Engine, EngineSettings};
use tokio::task::JoinHandle;

use super::config::Config;
use super::director::{REQUESTS_MAX, Start};
use super::speech::SpeechDesk;
use super::{
    ApiError, Asked, Director, ErrorCode, Events, Library, Outcome, Show, Staged, Terms, Ticks,
    Work,
};
use crate::config::{LoadSources, Settings};
use crate::scene::{LoadOptions, scene_from_text};

const SCENE: &str = r##"{
  "version": 1, "name": "Tested", "canvas": {"width": 96, "height": 64, "fps": 30},
  "data": {"word": "one", "x": 4},
  "layers": [
    {"id": "a", "source": {"type": "color", "color": "#ff0000"}, "size": {"width": 20, "height": 20}},
    {"id": "b", "position": {"x": 30, "y": 10}, "children": [
      {"id": "c", "source": {"type": "text", "text": "{{word}}", "font": {"size": 16}}, "position": {"x": "{{x}}", "y": 2}}
    ]}
  ]
}"##;

pub(super) struct Stage {
    pub(super) engine: Engine,
    pub(super) ticks: Ticks,
    pub(super) director: Director,
    events: Events,
}

pub(super) fn settings() -> EngineSettings {
    EngineSettings {
        width: 96,
        height: 64,
        rate: FrameRate::whole(30),
        render_threads: 1,
        pool_frames: 4,
        max_layers: 12,
        epoch_unix_ms: 0,
        now_nanos: crate::clock::now_nanos,
    }
}

fn scene() -> SceneSpec {
    scene_from_text(SCENE, "scene", None, &LoadOptions::default()).expect("a scene")
}

pub(super) fn picture(engine: &Engine) -> (Vec<u8>, Vec<u8>) {
    let frame = engine.frame().expect("a frame").frame;
    (frame.y().to_vec(), frame.u().to_vec())
}

impl Stage {
    fn new() -> Self {
        Self::of(scene())
    }

    pub(super) fn of(scene: SceneSpec) -> Self {
        let mut engine = Engine::new(settings()).expect("an engine");
        engine
            .load(SceneBundle::new(scene.clone()))
            .expect("a scene");
        engine.tick();
        let slate = engine.frame().expect("a frame").frame;
        let (ticks, events) = (Ticks::default(), Events::after(0));
        ticks.note(engine.next_tick());
        let own = Settings::load(LoadSources {
            config_file: None,
            dotenv: None,
            environment: [("MAX_LAYERS".to_owned(), "12".to_owned())],
            flags: Vec::new(),
        });
        let own = own.expect("settings");
        let director = Director::start(Start {
            show: Show {
                revision: 0,
                program: Staged {
                    id: "scene".to_owned(),
                    spec: Arc::new(scene.clone()),
                    folder: PathBuf::new(),
                    is_edited: false,
                    file: "".into(),
                },
                preview: None,
                changing: None,
                pause: None,
                live_since_ms: None,
                config: Config::new(
                    &own,
                    &RenditionSpec::new("main"),
                    (96, 64),
                    FrameRate::whole(30),
                ),
                outputs: Arc::default(),
                output_changes: Arc::default(),
            },
            rate: FrameRate::whole(30),
            tick: engine.next_tick(),
            since_tick: 0,
            paused_tick: None,
            origin_tick: None,
            mix: None,
            standing: super::fresh(
                &scene,
                &FrameClock {
                    tick: 0,
                    rate: FrameRate::whole(30),
                },
                Epoch(0),
            ),
            schedule: Vec::new(),
            commands: engine.commands(),
            engine: settings(),
            library: Library::new(PathBuf::new(), PathBuf::new()),
            known: HashSet::new(),
            slate,
            ticks: ticks.clone(),
            events: events.clone(),
            speech: SpeechDesk::new(engine.speech_door()),
        });
        Self {
            engine,
            ticks,
            director,
            events,
        }
    }

    pub(super) fn tick(&mut self) {
        self.engine.tick();
        self.ticks.note(self.engine.next_tick());
    }

    fn ask(
        &self,
        commands: &[Value],
        terms: Terms,
    ) -> Result<JoinHandle<Result<Outcome, ApiError>>, ApiError> {
        let asked = commands
            .iter()
            .map(|command| Asked::parse(command, "command"))
            .collect::<Result<Vec<_>, _>>()?;
        let director = self.director.clone();
        Ok(tokio::spawn(async move {
            director.ask(Work::Changes(asked), terms).await
        }))
    }

    /// Asks, and ticks until there is an answer.
    pub(super) async fn change(
        &mut self,
        commands: &[Value],
        terms: Terms,
    ) -> Result<Outcome, ApiError> {
        let answer = self.ask(commands, terms)?;
        while !answer.is_finished() {
            tokio::task::yield_now().await;
            self.tick();
        }
        answer.await.expect("no panic")
    }
}

fn update(patch: Value) -> Value {
    json!({"type": "layer.update", "id": "a", "patch": patch})
}

#[tokio::test]
async fn more_changes_than_can_wait_are_refused_aloud_and_the_others_are_kept() {
    let mut stage = Stage::new();
    let count = systems::command::QUEUE_LENGTH + REQUESTS_MAX + 100;
    let mut answers = Vec::new();
    for number in 0..count {
        let opacity = (number % 100) as f64 / 100.0 + 0.001 * (number % 7) as f64;
        let patch = update(json!({"opacity": opacity.min(1.0)}));
        answers.push(stage.ask(&[patch], Terms::default()).expect("a change"));
    }
    // Without a tick nothing is answered but refusals.
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
    let refused = answers.iter().filter(|answer| answer.is_finished()).count();
    assert!(refused >= 100, "{refused}");
    while answers.iter().any(|answer| !answer.is_finished()) {
        tokio::task::yield_now().await;
        stage.tick();
    }
    let (mut made, mut revisions) = (0, HashSet::new());
    for answer in answers {
        match answer.await.expect("no panic") {
            Ok(outcome) => {
                made += 1;
                revisions.insert(outcome.revision);
            }
            Err(error) => assert_eq!(error.code, ErrorCode::Unavailable, "{error}"),
        }
    }
    assert_eq!(made + refused, count, "nothing is lost without a word");
    let revision = stage.director.snapshot().show.revision;
    assert_eq!(stage.engine.counters().revision, revision);
}

#[tokio::test]
async fn what_is_scheduled_lands_on_its_tick_whatever_comes_between() {
    let mut stage = Stage::new();
    let (mut told, _) = stage.events.listen();
    let next = stage.ticks.next();
    let at = |tick| Terms {
        at_tick: Some(tick),
        ..Terms::default()
    };
    let layer = json!({"type": "layer.create", "layer": {"id": "late", "source": {"type": "color", "color": "blue"}}});
    let scheduled = stage
        .change(&[layer], at(next + 20))
        .await
        .expect("scheduled");
    assert!(scheduled.scheduled.is_some());
    // It will have gone by then.
    let doomed = [json!({"type": "layer.update", "id": "a", "patch": {"opacity": 0.5}})];
    stage
        .change(&doomed, at(next + 21))
        .await
        .expect("scheduled");
    assert_eq!(stage.director.scheduled().len(), 2);
    let deletion = [json!({"type": "layer.delete", "id": "a"})];
    stage
        .change(&deletion, Terms::default())
        .await
        .expect("gone");
    while stage.ticks.next() < next + 30 {
        stage.tick();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    let mut seen = Vec::new();
    while let Ok(event) = told.try_recv() {
        let event: Value = serde_json::from_slice(&event.json).expect("JSON");
        if event["event"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("command:"))
        {
            seen.push((event["event"].clone(), event["data"]["tick"].clone()));
        }
    }
    assert_eq!(
        seen,
        [
            (json!("command:applied"), json!(next + 20)),
            (json!("command:failed"), Value::Null)
        ]
    );
    assert!(stage.director.scheduled().is_empty());
    let past = stage.change(&[update(json!({}))], at(1)).await;
    assert!(past.is_err(), "{past:?}");
}

#[tokio::test]
async fn a_revision_that_is_not_the_worlds_keeps_a_change_out() {
    let mut stage = Stage::new();
    let if_revision = |revision| Terms {
        if_revision: Some(revision),
        ..Terms::default()
    };
    let first = stage
        .change(&[update(json!({"opacity": 0.5}))], if_revision(0))
        .await;
    assert_eq!(first.expect("at revision 0").revision, 1);
    let error = stage
        .change(&[update(json!({"opacity": 0.7}))], if_revision(0))
        .await
        .expect_err("at revision 1");
    assert_eq!(error.code, ErrorCode::RevisionConflict);
    assert_eq!(error.details["revision"], 1);
    let same = stage
        .change(&[update(json!({"opacity": 0.5}))], if_revision(1))
        .await;
    assert_eq!(same.expect("nothing differs").revision, 1);
}

/// Changes, many of which cannot be made.
fn command() -> impl Strategy<Value = Value> {
    let id = prop::sample::select(vec!["a", "b", "c", "d", "e", ""]);
    let number = prop_oneof![-5.0..70.0_f64, Just(1e9), Just(0.5)];
    let patch = prop_oneof![
        number.clone().prop_map(|x| json!({"position": {"x": x}})),
        number
            .clone()
            .prop_map(|opacity| json!({"opacity": opacity})),
        any::<bool>().prop_map(|visible| json!({"visible": visible})),
        (-3..3_i32).prop_map(|z| json!({"zIndex": z})),
        Just(json!({"size": null})),
        Just(json!({"size": {"width": 12, "height": 9}})),
        Just(json!({"source": {"type": "color", "color": "#00ff00"}})),
        Just(json!({"source": {"type": "text", "text": "{{word}}!", "font": {"size": 12}}})),
        Just(json!({"source": null, "crop": {"left": 2}})),
        Just(json!({"children": []})),
        Just(json!({"sorce": 1})),
    ];
    let make = (id.clone(), id.clone(), 0..3_usize).prop_map(|(id, parent, index)| {
        let mut command = json!({
            "type": "layer.create", "index": index,
            "layer": {"id": id, "size": {"width": 9, "height": 9}, "source": {"type": "color", "color": "#2040ff"}},
        });
        if !parent.is_empty() {
            command["parent"] = json!(parent);
        }
        command
    });
    prop_oneof![
        make,
        (id.clone(), patch)
            .prop_map(|(id, patch)| json!({"type": "layer.update", "id": id, "patch": patch})),
        id.clone()
            .prop_map(|id| json!({"type": "layer.delete", "id": id})),
        (id.clone(), id).prop_map(|(id, parent)| {
            let parent = if parent.is_empty() {
                Value::Null
            } else {
                json!(parent)
            };
            json!({"type": "layer.move", "id": id, "parent": parent, "index": 0})
        }),
        "[a-z]{0,5}".prop_map(|word| json!({"type": "data.update", "patch": {"word": word}})),
        (0..40_u32).prop_map(|x| json!({"type": "data.update", "patch": {"x": x}})),
        Just(json!({"type": "data.update", "patch": {"x": null}})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_world_shows_what_the_snapshot_says_after_any_changes(
        batches in prop::collection::vec(prop::collection::vec(command(), 1..4), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut stage = Stage::new();
            for batch in &batches {
                let before = stage.director.snapshot();
                match stage.change(batch, Terms::default()).await {
                    Ok(outcome) => prop_assert!(outcome.revision <= before.show.revision + 1),
                    Err(_) => {
                        let after = stage.director.snapshot();
                        prop_assert!(after.show.is_same(&before.show), "a refusal changes nothing");
                    }
                }
            }
            stage.tick();
            let snapshot = stage.director.snapshot();
            let mut fresh = Engine::new(settings()).expect("an engine");
            fresh
                .load(SceneBundle::new((*snapshot.show.program.spec).clone()))
                .expect("every rule was kept");
            fresh.tick();
            prop_assert_eq!(picture(&stage.engine), picture(&fresh));
            Ok(())
        })?;
    }
}

/// A change of the feed `lots`, by numbers.
fn feed_change(kind: u8, name: usize, place: usize) -> Value {
    let item = format!("i{name}");
    match kind {
        0 => json!({"type": "feed.next", "id": "lots"}),
        1 => json!({"type": "feed.previous", "id": "lots"}),
        2 => json!({"type": "feed.show", "id": "lots", "item": item, "pin": place == 0}),
        3 => json!({"type": "feed.delete", "id": "lots", "item": item}),
        4 => json!({"type": "feed.update", "id": "lots", "item": item, "patch": {"bid": place}}),
        5 => {
            json!({"type": "layer.update", "id": "lots", "patch": {"source": {"dwell": 1 + place}}})
        }
        _ => {
            json!({"type": "feed.push", "id": "lots", "items": {"id": item, "title": "T"}, "position": place})
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_world_shows_the_item_that_the_director_tells_of(
        changes in prop::collection::vec((0..9_u8, 0..6_usize, 0..4_usize, 0..70_u32), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut stage = Stage::new();
            let layer = json!({"type": "layer.create", "layer": {"id": "lots", "source": {
                "type": "visualFeed", "dwell": 1, "transition": {"duration": 0.2},
                "items": [{"id": "i0", "title": "T"}, {"id": "i1", "title": "T"}],
            }}});
            stage.change(&[layer], Terms::default()).await.expect("a feed");
            for (kind, name, place, ticks) in changes {
                for _ in 0..ticks {
                    stage.tick();
                }
                // What cannot be done changes nothing.
                let _made = stage.change(&[feed_change(kind, name, place)], Terms::default()).await;
                let told = stage.director.snapshot().feeds.get("lots").cloned();
                let shown = systems::feed::state_of(stage.engine.world_mut(), "lots");
                assert_eq!(told, shown);
            }
        });
    }
}
