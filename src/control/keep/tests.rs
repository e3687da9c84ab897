//! A scene that was saved and read shows, on every tick, what the one shows that went on.

use serde_json::{Value, json};
use systems::Engine;
use systems::feed::Epoch;
use systems::scene::SceneBundle;

use super::documents::{self, Constants};
use crate::control::tests::{Stage, picture, settings};
use crate::control::{Terms, fresh};
use crate::scene::{LoadOptions, scene_from_text};
use crate::store::Documents;

const SCENE: &str = r##"{
  "version": 1, "name": "Moving", "canvas": {"width": 96, "height": 64, "fps": 30},
  "data": {"word": "one"},
  "layers": [
    {"id": "a", "source": {"type": "color", "color": "#ff0000"}, "size": {"width": 20, "height": 20}},
    {"id": "words", "source": {"type": "text", "text": "{{word}}", "font": {"size": 12}}, "position": {"x": 30, "y": 2}},
    {"id": "strip", "source": {"type": "ticker", "items": ["first", "second"], "speed": 31, "font": {"size": 10}},
      "position": {"x": 0, "y": 50}, "size": {"width": 96, "height": 14}},
    {"id": "talk", "source": {"type": "chat", "lifetime": 4, "font": {"size": 8}, "messages": [{"id": "early", "author": "a", "text": "early"}]},
      "position": {"x": 40, "y": 18}, "size": {"width": 56, "height": 30}},
    {"id": "lots", "source": {"type": "visualFeed", "dwell": 3, "items": [
        {"id": "x", "title": "X"}, {"id": "y", "title": "Y", "endsIn": 90}, {"id": "z", "title": "Z"}]},
      "position": {"x": 0, "y": 22}, "size": {"width": 40, "height": 26}}
  ],
  "timelines": [
    {"id": "move", "loop": "pingPong", "tracks": [{"layer": "a", "property": "position.x", "keyframes": [{"at": 0, "value": 0}, {"at": 1.5, "value": 70}]}]},
    {"id": "once", "autoplay": false, "tracks": [{"layer": "a", "property": "position.y", "keyframes": [{"at": 0, "value": 0}, {"at": 5, "value": 40}]}]}
  ]
}"##;

/// Saves what is on air, and begins with it again in an engine of its own, on the tick that comes next.
fn again(stage: &Stage) -> Engine {
    let snapshot = stage.director.snapshot();
    let constants = Constants {
        started_with: "scene.json".to_owned(),
        config_base: serde_json::Map::new(),
        frame: (320, 180),
    };
    let epoch = stage.ticks.epoch();
    let puts = documents::puts(None, &snapshot, epoch, &constants).expect("documents");
    let saved: Documents = puts
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes?)))
        .collect();
    let read = documents::read(&saved).expect("readable").expect("a show");
    let text = read.scene.scene.to_string();
    let spec = scene_from_text(&text, "saved", None, &LoadOptions::default()).expect("a scene");
    assert_eq!(spec, *snapshot.show.program.spec);
    let rate = read.show.rate;
    let clock = systems::clock::FrameClock {
        tick: read.show.since_tick,
        rate,
    };
    let standing = read.standing(fresh(&spec, &clock, epoch), rate);
    let mut engine = Engine::new(settings()).expect("an engine");
    engine.set_epoch(epoch.0);
    engine.seek(read.show.since_tick);
    engine.load(SceneBundle::new(spec)).expect("a scene");
    engine.resume(&standing, stage.engine.next_tick());
    engine
}

/// Holds the two to each other for some time.
fn show_the_same(stage: &mut Stage, ticks: u64, when: &str) {
    let mut other = again(stage);
    for _ in 0..ticks {
        let tick = stage.engine.next_tick();
        stage.tick();
        assert_eq!(other.next_tick(), tick);
        other.tick();
        let differs = picture(&other) != picture(&stage.engine);
        assert!(!differs, "{when}: tick {tick} shows something else");
    }
}

async fn ask(stage: &mut Stage, commands: &[Value]) {
    stage
        .change(commands, Terms::default())
        .await
        .expect("a change");
}

#[tokio::test]
async fn a_scene_that_comes_back_shows_what_it_would_have_shown() {
    let spec = scene_from_text(SCENE, "scene", None, &LoadOptions::default()).expect("a scene");
    let mut stage = Stage::of(spec);
    stage.ticks.set_epoch(Epoch(0));
    for _ in 0..20 {
        stage.tick();
    }
    show_the_same(&mut stage, 40, "as its file has it");
    let late = json!({"id": "late", "source": {"type": "ticker", "items": ["late"], "speed": 17, "font": {"size": 9}},
        "position": {"x": 0, "y": 0}, "size": {"width": 96, "height": 12}});
    ask(
        &mut stage,
        &[
            json!({"type": "layer.create", "layer": late}),
            json!({"type": "layer.update", "id": "words", "patch": {"opacity": 0.5}}),
            json!({"type": "data.update", "patch": {"word": "two"}}),
        ],
    )
    .await;
    for _ in 0..13 {
        stage.tick();
    }
    let message = json!({"id": "m1", "author": "b", "text": "hello"});
    let item = json!({"id": "w", "title": "W", "endsIn": 30});
    ask(
        &mut stage,
        &[
            json!({"type": "chat.push", "id": "talk", "messages": [message]}),
            json!({"type": "timeline.play", "id": "once"}),
            json!({"type": "feed.push", "id": "lots", "items": [item]}),
            json!({"type": "feed.show", "id": "lots", "item": "w"}),
        ],
    )
    .await;
    for _ in 0..45 {
        stage.tick();
    }
    // The early message has gone or goes, the later one stays for a while; layers and words are where they were.
    show_the_same(&mut stage, 150, "after changes");
    ask(
        &mut stage,
        &[
            json!({"type": "timeline.pause", "id": "move"}),
            json!({"type": "layer.delete", "id": "late"}),
        ],
    )
    .await;
    show_the_same(&mut stage, 30, "at rest");
}
