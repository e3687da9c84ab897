//! Chats: rows that stack up, are pushed on, go, and vanish.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;

use bevy_ecs::entity::Entity;
use bevy_ecs::hierarchy::ChildOf;
use components::derived::{Computed, FilledText, LayoutBox};
use components::layer::{LayerId, LayerSpec, Opacity, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ChatSource, Source};
use serde_json::{Value, json};
use stream_manager_systems::command::Command;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};

fn engine(threads: usize) -> Engine {
    Engine::new(EngineSettings {
        width: 320,
        height: 240,
        rate: FrameRate::whole(30),
        render_threads: threads,
        pool_frames: 4,
        max_layers: 2,
        now_nanos: || 0,
        epoch_unix_ms: 0,
    })
    .unwrap()
}

fn scene(chat: &Value) -> SceneSpec {
    let mut spec = SceneSpec::new("chat");
    (spec.canvas.width, spec.canvas.height) = (320, 240);
    let mut layer = LayerSpec::new("chat");
    let source: ChatSource = serde_json::from_value(chat.clone()).unwrap();
    layer.source = Source::Chat(Box::new(source));
    layer.position = Position {
        x: 10.0.into(),
        y: 20.0.into(),
    };
    layer.size = Some(Size {
        width: 300.0.into(),
        height: 200.0.into(),
    });
    spec.layers = vec![Arc::new(layer)];
    spec
}

/// A chat on air, and what was written so far.
struct Stage {
    engine: Engine,
    chat: Value,
}

impl Stage {
    fn new(chat: Value, threads: usize) -> Self {
        let mut engine = engine(threads);
        engine.load(SceneBundle::new(scene(&chat))).unwrap();
        engine.tick();
        Self { engine, chat }
    }

    /// Makes a change of the chat, which lands on the next tick.
    fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let old = scene(&self.chat);
        change(&mut self.chat);
        let edit = SceneEdit::between(&old, &scene(&self.chat)).unwrap();
        let commands = self.engine.commands();
        let sent = commands.send(Command::EditScene(Box::new(edit)), |result| {
            result.unwrap();
        });
        sent.unwrap();
        self.engine.tick();
    }

    fn push(&mut self, id: &str, text: &str) {
        let message = json!({"id": id, "author": "Mira", "text": text});
        self.edit(|chat| {
            let max = chat["maxMessages"].as_u64().unwrap_or(50) as usize;
            let messages = chat["messages"].as_array_mut().unwrap();
            messages.push(message);
            let over = messages.len().saturating_sub(max);
            messages.drain(..over);
        });
    }

    fn delete(&mut self, id: &str) {
        self.edit(|chat| {
            let messages = chat["messages"].as_array_mut().unwrap();
            messages.retain(|message| message["id"] != id);
        });
    }

    fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.engine.tick();
        }
    }

    /// The rows that are there by their words: top and bottom in the box, and opacity. From the top down.
    fn rows(&mut self) -> Vec<(String, f32, f32, f32)> {
        let world = self.engine.world_mut();
        let mut texts = world.query::<(&FilledText, &LayerId, &ChildOf, &LayoutBox)>();
        let words: Vec<(String, Entity, f32)> = texts
            .iter(world)
            .filter(|(_, id, ..)| id.as_str().ends_with("/words"))
            .map(|(words, _, row, size)| (words.0.clone(), row.parent(), size.0.y))
            .collect();
        let mut rows: Vec<_> = words
            .into_iter()
            .map(|(words, row, height)| {
                let y = world.get::<Computed<Position>>(row).unwrap().0.y;
                let opacity = world.get::<Computed<Opacity>>(row).unwrap().0;
                (words, y, y + height, opacity)
            })
            .collect();
        rows.sort_by(|a, b| a.1.total_cmp(&b.1));
        rows
    }

    fn words(&mut self) -> Vec<String> {
        self.rows().into_iter().map(|row| row.0).collect()
    }

    fn layers(&mut self) -> usize {
        let world = self.engine.world_mut();
        world.query::<&LayerId>().iter(world).count()
    }

    fn picture(&self) -> Vec<u8> {
        self.engine.picture().rgba
    }
}

fn chat() -> Value {
    json!({"messages": [], "font": {"size": 14}, "avatars": {"size": 0}, "bubble": {"padding": 4}, "gap": 4})
}

fn with(mut chat: Value, name: &str, value: Value) -> Value {
    chat[name] = value;
    chat
}

#[test]
fn new_messages_push_the_others_on_without_a_jump_and_all_come_to_rest() {
    for (direction, newest_first) in [("up", false), ("down", true)] {
        let mut stage = Stage::new(with(chat(), "direction", json!(direction)), 1);
        stage.push("1", "one");
        stage.ticks(60);
        let rest = stage.rows()[0].clone();
        stage.push("2", "two");
        let moved = stage.rows();
        let one = moved.iter().find(|row| row.0 == "one").unwrap();
        assert!(
            (one.1 - rest.1).abs() < 15.0,
            "it only begins to move: {one:?} {rest:?}"
        );
        let mut last = one.1;
        for _ in 0..60 {
            stage.ticks(1);
            let rows = stage.rows();
            let y = rows.iter().find(|row| row.0 == "one").unwrap().1;
            let step = if newest_first { y - last } else { last - y };
            assert!((-0.01..15.0).contains(&step), "{direction}: {step}");
            // The column stays together: no row lies on another.
            assert!(rows[1].1 >= rows[0].2, "{rows:?}");
            last = y;
        }
        let order = if newest_first {
            ["two", "one"]
        } else {
            ["one", "two"]
        };
        assert_eq!(stage.words(), order);
        assert_eq!(last.fract(), 0.0, "crisp at rest");
        let newest = stage.rows().into_iter().find(|row| row.0 == "two").unwrap();
        assert!(
            (newest.1 - rest.1).abs() < 1.0,
            "where the one before stood"
        );
    }
}

#[test]
fn only_what_fits_is_kept_as_layers_and_comes_back_when_there_is_room() {
    let mut stage = Stage::new(with(chat(), "maxMessages", json!(30)), 1);
    for number in 0..60 {
        stage.push(&number.to_string(), &format!("message {number}"));
        stage.ticks(2);
    }
    stage.ticks(90);
    let words = stage.words();
    assert!((3..8).contains(&words.len()), "{words:?}");
    assert_eq!(words.last().unwrap(), "message 59");
    let layers = stage.layers();
    assert!(layers < 45, "{layers}");
    // Two go, two that were pushed out are there again, and the rest is the same.
    stage.delete("58");
    stage.delete("59");
    assert!(!stage.words().contains(&"message 59".to_owned()), "at once");
    stage.ticks(90);
    let now = stage.words();
    assert_eq!(now.last().unwrap(), "message 57");
    assert_eq!(now.len(), words.len());
    assert!(stage.layers() <= layers);
}

#[test]
fn a_deleted_message_is_gone_on_the_tick_and_the_gap_closes_smoothly() {
    let mut stage = Stage::new(chat(), 1);
    for (id, text) in [("1", "one"), ("2", "two"), ("3", "three")] {
        stage.push(id, text);
    }
    stage.ticks(60);
    let before = stage.rows();
    stage.delete("2");
    assert_eq!(stage.words(), ["one", "three"]);
    let after = stage.rows();
    assert!(
        (after[0].1 - before[0].1).abs() < 12.0,
        "{before:?} {after:?}"
    );
    assert_eq!(after[1].1, before[2].1);
    stage.ticks(60);
    assert_eq!(stage.rows()[0].1, before[1].1, "it has taken the place");
    stage.edit(|chat| chat["messages"] = json!([]));
    assert_eq!(stage.words(), [""; 0]);
    assert_eq!(stage.layers(), 1);
    assert!(
        stage
            .picture()
            .as_chunks::<4>()
            .0
            .iter()
            .all(|pixel| pixel[..3] == [0; 3])
    );
}

#[test]
fn one_too_many_and_one_too_old_fade_out() {
    let mut stage = Stage::new(with(chat(), "maxMessages", json!(2)), 1);
    for (id, text) in [("1", "one"), ("2", "two")] {
        stage.push(id, text);
    }
    stage.ticks(60);
    stage.push("3", "three");
    let rows = stage.rows();
    assert_eq!(rows.len(), 3);
    assert!((0.2..1.0).contains(&rows[0].3), "{rows:?}");
    stage.ticks(15);
    assert_eq!(stage.words(), ["two", "three"]);

    let mut stage = Stage::new(with(chat(), "lifetime", json!(1)), 1);
    stage.push("1", "one");
    stage.ticks(28);
    assert_eq!(stage.rows()[0].3, 1.0);
    stage.ticks(4);
    assert!(stage.rows()[0].3 < 1.0);
    stage.ticks(12);
    assert_eq!(stage.words(), [""; 0]);
    stage.push("2", "two");
    stage.ticks(10);
    assert_eq!(stage.words(), ["two"], "the old one does not come back");
}

#[test]
fn what_viewers_write_is_never_filled() {
    let mut stage = Stage::new(chat(), 1);
    stage.push("1", "{{secret}} }} {{clock.hms}}");
    stage.ticks(40);
    assert_eq!(stage.words(), ["{{secret}} }} {{clock.hms}}"]);
}

#[test]
fn empty_endless_and_foreign_texts_stay_in_the_box() {
    let mut stage = Stage::new(with(chat(), "avatars", json!({"size": 30})), 2);
    for (id, text) in [
        ("1", ""),
        ("2", &*"W".repeat(400)),
        ("3", "שלום {{x}} 👩‍👩‍👧"),
        (
            "4",
            "z\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}\u{300}",
        ),
    ] {
        stage.push(id, text);
        stage.ticks(40);
        for (index, pixel) in stage.picture().as_chunks::<4>().0.iter().enumerate() {
            let (x, y) = (index % 320, index / 320);
            if !(10..310).contains(&x) || !(20..220).contains(&y) {
                assert_eq!(pixel, &[0, 0, 0, 255], "{text}: {x} {y}");
            }
        }
    }
}

#[test]
fn the_same_messages_on_the_same_ticks_give_the_same_pixels() {
    let run = |threads| {
        let mut stage = Stage::new(with(chat(), "entrance", json!({"type": "pop"})), threads);
        let mut pictures = Vec::new();
        for number in 0..12 {
            stage.push(&number.to_string(), &format!("message {number} 🎉"));
            stage.ticks(number % 4);
            pictures.push(stage.picture());
        }
        stage.delete("9");
        stage.ticks(3);
        pictures.push(stage.picture());
        pictures
    };
    assert!(run(1) == run(2));
}

#[test]
fn a_chat_with_a_lifetime_is_a_function_of_the_tick() {
    let mut source = with(chat(), "lifetime", json!(1));
    source["messages"] = json!([{"text": "first"}, {"text": "second"}]);
    for tick in [0, 10, 33, 38, 60] {
        let mut sought = engine(1);
        sought.load(SceneBundle::new(scene(&source))).unwrap();
        sought.seek(tick);
        sought.tick();
        let mut played = Stage::new(source.clone(), 1);
        played.ticks(tick as usize);
        assert!(played.picture() == sought.picture().rgba, "{tick}");
    }
}

#[test]
fn old_messages_are_not_drawn_again_for_new_ones_nor_for_a_change_of_another_field() {
    let mut stage = Stage::new(chat(), 1);
    stage.push("1", "one");
    stage.ticks(40);
    let row = |stage: &mut Stage| {
        let world = stage.engine.world_mut();
        let mut texts = world.query::<(Entity, &FilledText)>();
        let found = texts.iter(world).find(|row| row.1.0 == "one");
        found.map(|row| row.0).unwrap()
    };
    let before = row(&mut stage);
    stage.push("2", "two");
    assert_eq!(row(&mut stage), before, "the row stays");
    stage.edit(|chat| chat["fill"] = json!("#ff0000"));
    assert_ne!(row(&mut stage), before, "another look is another row");
    assert_eq!(stage.words(), ["one", "two"]);
}

#[test]
fn a_chat_that_becomes_something_else_or_goes_leaves_nothing_behind() {
    let mut stage = Stage::new(chat(), 1);
    stage.push("1", "one");
    let old = scene(&stage.chat);
    let mut new = old.clone();
    let text = serde_json::from_value(json!({"text": "words"})).unwrap();
    Arc::make_mut(&mut new.layers[0]).source = Source::Text(text);
    let mut none = new.clone();
    none.layers.clear();
    for (old, new, layers) in [(&old, &new, 1), (&new, &old, 5), (&old, &none, 0)] {
        let edit = SceneEdit::between(old, new).unwrap();
        let commands = stage.engine.commands();
        let sent = commands.send(Command::EditScene(Box::new(edit)), |result| {
            result.unwrap();
        });
        sent.unwrap();
        stage.ticks(2);
        assert_eq!(stage.layers(), layers);
    }
}
