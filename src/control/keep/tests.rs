//! A scene that was saved and read shows, on every tick, what the one shows that went on.

use serde_json::{Value, json};
use systems::Engine;
use systems::feed::Epoch;
use systems::scene::{SceneBundle, Standing};

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

/// Saves what is on air after one more tick, and begins with it again in an engine of its own, on the tick that comes next.
fn again(stage: &mut Stage) -> Engine {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let door = stage.engine.motions_door();
    assert!(door.ask(move |motions| tell.send(motions).expect("somebody listens")));
    stage.tick();
    let motions = told.recv().expect("an answer");
    let snapshot = stage.director.snapshot();
    let constants = Constants {
        started_with: "scene.json".to_owned(),
        file: None,
        instance: None,
        first: None,
        config_base: serde_json::Map::new(),
        frame: (320, 180),
    };
    let epoch = stage.ticks.epoch();
    let mut puts = documents::puts(None, &snapshot, epoch, &constants).expect("documents");
    let motions = motions.until(snapshot.tick);
    documents::put_motions(&mut puts, &motions).expect("a document");
    let saved: Documents = puts
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes?)))
        .collect();
    let read = documents::read(&saved).expect("readable").expect("a show");
    let text = read.scene.scene.to_string();
    let spec = scene_from_text(&text, "saved", None, &LoadOptions::default()).expect("a scene");
    assert_eq!(spec, *snapshot.show.program.spec);
    assert_eq!(
        read.standing(Standing::default(), snapshot.rate).motions,
        motions
    );
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

/// Of each way in which something is on its way.
const MOVING: &str = r##"{
  "version": 1, "name": "On its way", "canvas": {"width": 96, "height": 64, "fps": 30},
  "audio": {"master": {"gain": -6}},
  "layers": [
    {"id": "box", "source": {"type": "color", "color": "#ff0000"}, "size": {"width": 20, "height": 20},
      "effects": [{"id": "soft", "type": "blur", "radius": 1}]},
    {"id": "door", "visible": false, "source": {"type": "color", "color": "#00ff00"}, "position": {"x": 40, "y": 0},
      "size": {"width": 30, "height": 20},
      "enter": {"type": "slide", "duration": 2, "easing": "easeOutCubic"}, "exit": {"type": "fade", "duration": 2}},
    {"id": "strip", "source": {"type": "ticker", "items": ["first", "second"], "speed": 31, "font": {"size": 10}},
      "position": {"x": 0, "y": 50}, "size": {"width": 96, "height": 14}}
  ],
  "timelines": [
    {"id": "move", "duration": 4, "tracks": [{"layer": "box", "property": "rotation", "keyframes": [{"at": 0, "value": 0}, {"at": 4, "value": 90}]}]}
  ]
}"##;

#[tokio::test]
async fn what_is_on_its_way_goes_on_when_it_comes_back() {
    let spec = scene_from_text(MOVING, "scene", None, &LoadOptions::default()).expect("a scene");
    let mut stage = Stage::of(spec);
    stage.ticks.set_epoch(Epoch(0));
    for _ in 0..20 {
        stage.tick();
    }
    let glide = json!({"duration": 3, "easing": "easeInOutCubic"});
    ask(
        &mut stage,
        &[
            json!({"type": "layer.update", "id": "box", "animate": glide,
                "patch": {"position": {"x": 70, "y": 30}, "opacity": 0.4, "source": {"color": "#0000ff"}}}),
            json!({"type": "layer.update", "id": "strip", "animate": glide, "patch": {"source": {"speed": 90}}}),
            json!({"type": "layer.update", "id": "door", "patch": {"visible": true}}),
        ],
    )
    .await;
    show_the_same(&mut stage, 20, "a third of the way");
    ask(
        &mut stage,
        &[
            // Half way from one place to the next, by a spring that keeps its speed.
            json!({"type": "layer.update", "id": "box", "animate": {"duration": 1, "easing": {"spring": {"bounce": 0.5}}},
                "patch": {"position": {"x": 10, "y": 40}}}),
            json!({"type": "layer.update", "id": "door", "patch": {"visible": false}}),
            json!({"type": "timeline.seek", "id": "move", "to": 3, "blend": glide}),
        ],
    )
    .await;
    show_the_same(&mut stage, 20, "turned round");
    // One number of two is there at once, the other one stays on its way.
    let at_once = json!({"type": "layer.update", "id": "box", "patch": {"position": {"x": 50}}});
    ask(&mut stage, &[at_once]).await;
    show_the_same(&mut stage, 120, "to the end");
    let settled =
        json!({"type": "layer.update", "id": "strip", "patch": {"source": {"speed": 10}}});
    ask(&mut stage, &[settled]).await;
    show_the_same(&mut stage, 40, "a ticker that has run at other speeds");
}

#[test]
fn what_was_written_by_hand_and_cannot_be_is_passed_over() {
    let spec = scene_from_text(MOVING, "scene", None, &LoadOptions::default()).expect("a scene");
    let glide = |duration: f64| {
        json!({"glide": {"duration": duration, "easing": "linear"}, "sinceTick": 0,
            "from": [0, 0, 0, 0], "velocity": [0, 0, 0, 0], "offset": [50, 0, 0, 0]})
    };
    let shown = |glides: Value| {
        let motions = serde_json::from_value(json!({"glides": glides})).expect("a document");
        let standing = Standing {
            motions,
            ..Standing::default()
        };
        let mut engine = Engine::new(settings()).expect("an engine");
        engine
            .load(SceneBundle::new(spec.clone()))
            .expect("a scene");
        engine.resume(&standing, 30);
        engine.tick();
        picture(&engine)
    };
    let as_authored = shown(json!({}));
    assert!(shown(json!({"box": {"position": glide(5.0)}})) != as_authored);
    for wrong in [
        json!({"box": {"position": glide(-5.0)}}),
        json!({"box": {"nothing": glide(5.0), "source.nothing": glide(5.0), "effects.nothing.radius": glide(5.0)}}),
        json!({"nobody": {"position": glide(5.0)}}),
    ] {
        assert!(shown(wrong.clone()) == as_authored, "{wrong}");
    }
}
