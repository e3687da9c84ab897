//! Feeds: which item shows when, how one takes the place of another, and what an item says.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use components::derived::FilledText;
use components::layer::{LayerId, LayerSpec, Opacity, Position, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ColourSource, FeedItem, Source, TextSource, VisualFeedSource};
use components::value::{Colour, Moment, Number};
use proptest::prelude::*;
use serde_json::{Value, json};
use stream_manager_systems::clock::FrameClock;
use stream_manager_systems::command::Command;
use stream_manager_systems::data::SceneData;
use stream_manager_systems::feed::{FeedAction, FeedState, after_action, follow, show_at};
use stream_manager_systems::render::ComposedFrame;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};
use stream_manager_systems::{Engine, EngineSettings};

const EPOCH: &str = "2026-05-01T20:00:00Z";

fn engine() -> Engine {
    Engine::new(EngineSettings {
        width: 128,
        height: 64,
        rate: FrameRate::whole(30),
        render_threads: 1,
        pool_frames: 4,
        max_layers: 50,
        epoch_unix_ms: Moment::parse(EPOCH).unwrap().unix_ms(),
        now_nanos: || 0,
    })
    .unwrap()
}

fn item(id: &str, fields: Value) -> Value {
    let mut item = json!({"id": id, "title": id});
    for (name, value) in fields.as_object().unwrap() {
        item[name] = value.clone();
    }
    item
}

fn feed(fields: Value) -> VisualFeedSource {
    serde_json::from_value(fields).unwrap()
}

fn three(fields: Value) -> VisualFeedSource {
    let items = ["a", "b", "c"].map(|id| item(id, json!({})));
    let mut whole = json!({
        "items": items,
        "dwell": 2, "transition": {"duration": 0.5, "easing": "linear"},
    });
    for (name, value) in fields.as_object().unwrap() {
        whole[name] = value.clone();
    }
    feed(whole)
}

/// A text, and a strip as wide as the bid.
fn template() -> Vec<Arc<LayerSpec>> {
    let words = json!({
        "text": "{{item.title}} {{item.countdown}} {{item.index}}/{{item.count}} {{counter}}{{item.data.x}}{{mood}}",
        "counter": {"value": "{{item.bid}}", "roll": {"duration": 1, "easing": "linear"}},
        "font": {"size": 8},
    });
    let mut text = LayerSpec::new("words");
    text.source = Source::Text(serde_json::from_value::<TextSource>(words).unwrap());
    let mut strip = LayerSpec::new("strip");
    strip.source = Source::Colour(ColourSource {
        color: Colour::parse("#f00").unwrap(),
    });
    strip.size = Some(Size {
        width: Number::Bound("item.bid".into()),
        height: 8.0.into(),
    });
    strip.position.y = 40.0.into();
    vec![Arc::new(text), Arc::new(strip)]
}

fn scene(mut source: VisualFeedSource) -> SceneSpec {
    source.template.get_or_insert_with(template);
    let mut layer = LayerSpec::new("feed");
    layer.size = Some(Size {
        width: 100.0.into(),
        height: 60.0.into(),
    });
    layer.source = Source::VisualFeed(source);
    let mut spec = SceneSpec::new("tested");
    (spec.canvas.width, spec.canvas.height) = (128, 64);
    spec.layers = vec![Arc::new(layer)];
    spec
}

fn on_air(spec: &SceneSpec) -> Engine {
    let mut engine = engine();
    engine.load(SceneBundle::new(spec.clone())).unwrap();
    engine
}

fn to_tick(engine: &mut Engine, tick: u64) {
    while engine.next_tick() <= tick {
        engine.tick();
    }
}

fn send(engine: &mut Engine, command: Command) {
    let (reply, answer) = sync_channel(1);
    engine
        .commands()
        .send(command, move |result| reply.send(result).unwrap())
        .unwrap();
    engine.tick();
    answer.try_recv().unwrap().unwrap();
}

fn edit(engine: &mut Engine, spec: &mut SceneSpec, change: impl FnOnce(&mut VisualFeedSource)) {
    let old = spec.clone();
    if let Source::VisualFeed(source) = &mut Arc::make_mut(&mut spec.layers[0]).source {
        change(source);
    }
    let edit = SceneEdit::between(&old, spec).unwrap();
    send(engine, Command::EditScene(Box::new(edit)));
}

fn act(engine: &mut Engine, action: FeedAction) {
    let layer = "feed".into();
    send(engine, Command::Feed { layer, action });
}

/// The words of all items that are alive, by the names of their layers.
fn words(engine: &mut Engine) -> Vec<String> {
    let world = engine.world_mut();
    let mut rows = world.query::<(&LayerId, &FilledText)>();
    let mut words: Vec<_> = rows.iter(world).map(|(_, text)| text.0.clone()).collect();
    words.sort();
    words
}

/// The titles of all items that are alive.
fn titles(engine: &mut Engine) -> Vec<String> {
    let words = words(engine);
    let title = |words: &String| words.split(' ').next().unwrap().to_owned();
    words.iter().map(title).collect()
}

/// Place and opacity of the layer that holds an item.
fn pose(engine: &mut Engine, id: &str) -> (f32, f32) {
    let name = format!("feed/{id}");
    let world = engine.world_mut();
    let mut rows = world.query::<(&LayerId, &Position, &Opacity)>();
    let found = rows.iter(world).find(|(id, ..)| id.as_str() == name);
    let (_, position, opacity) = found.unwrap();
    (position.x.literal().unwrap(), opacity.0.literal().unwrap())
}

#[test]
fn items_follow_each_other_after_their_dwell_time_with_both_alive_meanwhile() {
    let mut engine = on_air(&scene(three(json!({}))));
    for (tick, alive) in [
        (0, &["a"][..]),
        (59, &["a"]),
        (60, &["a", "b"]),
        (74, &["a", "b"]),
        (75, &["b"]),
        (119, &["b"]),
        (121, &["b", "c"]),
        (179, &["c"]),
        (181, &["a", "c"]),
    ] {
        to_tick(&mut engine, tick);
        assert_eq!(titles(&mut engine), alive, "tick {tick}");
    }
    let mut once = on_air(&scene(three(json!({"order": "once"}))));
    to_tick(&mut once, 600);
    assert_eq!(titles(&mut once), ["c"], "the last one stays");
    let lone = json!({"items": [item("a", json!({}))]});
    let mut lone = on_air(&scene(three(lone)));
    to_tick(&mut lone, 200);
    assert_eq!(titles(&mut lone), ["a"]);
    let mut empty = on_air(&scene(three(json!({"items": []}))));
    to_tick(&mut empty, 5);
    assert!(titles(&mut empty).is_empty());
}

#[test]
fn transitions_stand_where_they_should_on_their_ticks() {
    let at = |kind: &str, direction: &str| {
        let transition =
            json!({"type": kind, "duration": 1, "easing": "linear", "direction": direction});
        let mut engine = on_air(&scene(three(json!({"transition": transition}))));
        to_tick(&mut engine, 75);
        let alive = titles(&mut engine).len();
        let second = pose(&mut engine, "b");
        (alive, (alive == 2).then(|| pose(&mut engine, "a")), second)
    };
    assert_eq!(at("fade", "left"), (2, Some((0.0, 0.75)), (0.0, 0.5)));
    assert_eq!(at("push", "left"), (2, Some((-50.0, 1.0)), (50.0, 1.0)));
    assert_eq!(at("push", "right"), (2, Some((50.0, 1.0)), (-50.0, 1.0)));
    assert_eq!(at("slide", "left"), (2, Some((0.0, 0.5)), (50.0, 1.0)));
    assert_eq!(at("cut", "left"), (1, None, (0.0, 1.0)));
    let (_, going, coming) = at("scale", "left");
    assert_eq!((going.unwrap().1, coming.1), (0.5, 0.5));
    assert!(going.unwrap().0 < 0.0 && coming.0 > 0.0, "one grows");
}

#[test]
fn seeking_gives_what_playing_gives() {
    for (order, kind) in [("loop", "push"), ("shuffle", "scale"), ("once", "fade")] {
        let items: Vec<Value> = (0..5)
            .map(|n| item(&format!("i{n}"), json!({"bid": 10 * n, "endsIn": 3 + n})))
            .collect();
        let source =
            json!({"items": items, "order": order, "transition": {"type": kind, "duration": 0.5}});
        for template in [Some(template()), None] {
            let mut spec = scene(three(source.clone()));
            if let Source::VisualFeed(source) = &mut Arc::make_mut(&mut spec.layers[0]).source {
                source.template = template;
            }
            let mut playing = on_air(&spec);
            for tick in [0, 61, 68, 200, 307] {
                to_tick(&mut playing, tick);
                let mut sought = on_air(&spec);
                sought.seek(tick);
                sought.tick();
                assert!(
                    playing.picture().rgba == sought.picture().rgba,
                    "{order} {tick}"
                );
            }
        }
    }
}

#[test]
fn a_new_bid_rolls_and_new_words_show_at_once_without_the_item_starting_anew() {
    let items =
        json!({"items": [item("a", json!({"bid": 10, "data": {"x": "!"}})), item("b", json!({}))]});
    let mut spec = scene(three(items));
    spec.data = Arc::new(json!({"mood": "?"}).as_object().unwrap().clone());
    let mut engine = on_air(&spec);
    to_tick(&mut engine, 30);
    assert_eq!(words(&mut engine), ["a  1/2 10!?"]);
    edit(&mut engine, &mut spec, |source| {
        let item = Arc::make_mut(&mut source.items[0]);
        (item.bid, item.title) = (Some(40.0), "A".to_owned());
    });
    assert_eq!(words(&mut engine), ["A  1/2 11!?"], "one tick of thirty");
    to_tick(&mut engine, 45);
    assert_eq!(words(&mut engine), ["A  1/2 25!?"], "half of its way");
    to_tick(&mut engine, 59);
    assert_eq!(titles(&mut engine), ["A"]);
    engine.tick();
    assert_eq!(
        titles(&mut engine),
        ["A", "b"],
        "the next one comes when it would have"
    );
}

#[test]
fn the_time_that_is_left_follows_real_time_and_ends() {
    let items = json!({"items": [
        item("a", json!({"endsAt": "2026-05-01T20:01:05Z"})),
        item("b", json!({"endsIn": 2.5})),
    ], "dwell": 60, "ended": "Sold"});
    let spec = scene(three(items));
    let mut engine = on_air(&spec);
    for (tick, left) in [
        (0, "1:05"),
        (1, "1:05"),
        (30, "1:04"),
        (29 + 60, "1:03"),
        (30 * 6, "0:59"),
    ] {
        to_tick(&mut engine, tick);
        assert_eq!(
            words(&mut engine),
            [format!("a {left} 1/2 0")],
            "tick {tick}"
        );
    }
    engine.seek(30 * 100);
    engine.tick();
    assert_eq!(words(&mut engine), ["b Sold 2/2 0"]);
    let late = json!({"items": [item("a", json!({"endsAt": "2020-01-01T00:00:00Z"}))]});
    let mut late = on_air(&scene(three(late)));
    late.tick();
    assert_eq!(words(&mut late), ["a Ended 1/1 0"]);
    // An item that is pushed later runs from then on.
    let mut spec = spec.clone();
    let mut engine = on_air(&spec);
    to_tick(&mut engine, 100);
    edit(&mut engine, &mut spec, |source| {
        let pushed: FeedItem = serde_json::from_value(item("late", json!({"endsIn": 10}))).unwrap();
        source.items.push(Arc::new(pushed));
    });
    act(
        &mut engine,
        FeedAction::Show {
            item: "late".into(),
            pinned: true,
        },
    );
    to_tick(&mut engine, 131);
    assert_eq!(words(&mut engine), ["late 0:09 3/3 0"]);
}

#[test]
fn next_previous_and_pins_show_on_their_tick() {
    let mut engine = on_air(&scene(three(json!({}))));
    to_tick(&mut engine, 10);
    act(&mut engine, FeedAction::Next);
    assert_eq!(titles(&mut engine), ["a", "b"]);
    assert!(
        pose(&mut engine, "b").1 > 0.0,
        "it is seen on that very tick"
    );
    to_tick(&mut engine, 40);
    act(&mut engine, FeedAction::Previous);
    to_tick(&mut engine, 80);
    assert_eq!(titles(&mut engine), ["a"]);
    act(
        &mut engine,
        FeedAction::Show {
            item: "c".into(),
            pinned: true,
        },
    );
    to_tick(&mut engine, 900);
    assert_eq!(titles(&mut engine), ["c"], "it is pinned");
    act(&mut engine, FeedAction::Next);
    to_tick(&mut engine, 930);
    assert_eq!(titles(&mut engine), ["a"]);
    to_tick(&mut engine, 901 + 75);
    assert_eq!(titles(&mut engine), ["b"], "and it goes on from there");
}

#[test]
fn the_item_on_show_stays_when_others_come_and_go_and_its_follower_comes_when_it_goes() {
    let mut spec = scene(three(json!({})));
    let mut engine = on_air(&spec);
    to_tick(&mut engine, 90);
    assert_eq!(titles(&mut engine), ["b"]);
    let new: FeedItem = serde_json::from_value(item("new", json!({}))).unwrap();
    edit(&mut engine, &mut spec, |source| {
        source.items.insert(0, Arc::new(new))
    });
    edit(&mut engine, &mut spec, |source| {
        drop(source.items.remove(1))
    });
    assert_eq!(titles(&mut engine), ["b"]);
    to_tick(&mut engine, 119);
    assert_eq!(titles(&mut engine), ["b"], "its time is as long as it was");
    to_tick(&mut engine, 121);
    assert_eq!(titles(&mut engine), ["b", "c"]);
    to_tick(&mut engine, 140);
    edit(&mut engine, &mut spec, |source| {
        source.items.retain(|item| item.id.as_str() != "c")
    });
    assert_eq!(titles(&mut engine), ["new"], "what came after it");
    edit(&mut engine, &mut spec, |source| source.items.clear());
    assert!(titles(&mut engine).is_empty());
}

#[test]
fn nothing_is_left_behind_and_what_stands_still_is_not_composed_again() {
    let mut spec = scene(three(
        json!({"transition": {"type": "push", "duration": 0.5}}),
    ));
    let mut engine = on_air(&spec);
    to_tick(&mut engine, 20);
    let count = |engine: &mut Engine| {
        let world = engine.world_mut();
        let scopes = format!("{:?}", world.resource::<SceneData>());
        (
            world.query::<&LayerId>().iter(world).count(),
            scopes.matches("Some(Scope").count(),
        )
    };
    let before = count(&mut engine);
    assert_eq!(
        before,
        (5, 2),
        "the layer, its stage, the item and two layers"
    );
    engine.tick();
    let stats = engine.world_mut().resource::<ComposedFrame>().stats;
    assert_eq!(stats.tiles_composed, 0, "{stats:?}");
    to_tick(&mut engine, 60 * 20 + 20);
    assert_eq!(count(&mut engine), before);

    // Another template, no template, another source, and a scene without a feed.
    edit(&mut engine, &mut spec, |source| source.template = None);
    let world = engine.world_mut();
    let has_card = world
        .query::<&LayerId>()
        .iter(world)
        .any(|id| id.as_str() == "feed/panel");
    assert!(has_card);
    let old = spec.clone();
    Arc::make_mut(&mut spec.layers[0]).source = Source::default();
    let away = SceneEdit::between(&old, &spec).unwrap();
    send(&mut engine, Command::EditScene(Box::new(away)));
    assert_eq!(count(&mut engine), (1, 1));
}

#[test]
fn the_next_picture_is_asked_for_before_it_is_needed() {
    let items = ["a", "b", "c"].map(|id| item(id, json!({"image": format!("{id}.png")})));
    let spec = scene(three(json!({"items": items})));
    let mut engine = on_air(&spec);
    let door = engine.picture_door();
    engine.tick();
    let asked = |door: &stream_manager_systems::assets::PictureDoor| -> Vec<String> {
        door.requests
            .try_iter()
            .map(|src| src.to_string())
            .collect()
    };
    assert_eq!(
        asked(&door),
        ["b.png"],
        "the template shows no picture itself"
    );
    to_tick(&mut engine, 60);
    assert_eq!(asked(&door), ["c.png"]);
}

fn clock(tick: u64) -> FrameClock {
    FrameClock {
        tick,
        rate: FrameRate::whole(30),
    }
}

proptest! {
    #[test]
    fn a_shuffled_feed_shows_every_item_once_a_round_and_never_one_twice(count in 3..12_usize, seed in any::<u32>()) {
        let items: Vec<Value> = (0..count).map(|n| item(&format!("i{n}"), json!({}))).collect();
        let source = three(json!({"items": items, "order": "shuffle", "seed": seed}));
        let state = FeedState::start(&source, 0);
        let shown: Vec<usize> = (0..count * 4)
            .map(|step| show_at(&state, &source, &clock(step as u64 * 60)).unwrap().index)
            .collect();
        for round in shown.chunks(count) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
        }
        prop_assert!(shown.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", shown);
    }

    #[test]
    fn whatever_is_told_there_is_an_item_and_it_goes_on_from_there(
        steps in prop::collection::vec((0..6_u8, 0..200_u64, 0..6_usize), 1..30),
        shuffle in any::<bool>(),
    ) {
        let order = if shuffle { "shuffle" } else { "loop" };
        let mut source = three(json!({"order": order}));
        let mut state = FeedState::start(&source, 0);
        let mut tick = 0;
        let mut next_id = 0;
        for (kind, pause, place) in steps {
            tick += pause;
            let now = clock(tick);
            let before = show_at(&state, &source, &now).map(|showing| source.items[showing.index].id.clone());
            let old = source.clone();
            match kind {
                0 => state = after_action(&state, &source, &FeedAction::Next, &now),
                1 => state = after_action(&state, &source, &FeedAction::Previous, &now),
                2 | 3 => {
                    next_id += 1;
                    let new: FeedItem = serde_json::from_value(item(&format!("n{next_id}"), json!({}))).unwrap();
                    source.items.insert(place.min(source.items.len()), Arc::new(new));
                }
                _ if !source.items.is_empty() => drop(source.items.remove(place % source.items.len())),
                _ => {}
            }
            state = follow(&state, &old, &source, &now);
            let after = show_at(&state, &source, &now);
            prop_assert_eq!(after.is_none(), source.items.is_empty());
            if let (Some(after), Some(before), 2..) = (after, before, kind) {
                let stays = source.find(before.as_str()).is_some();
                let shown = &source.items[after.index].id;
                // One whose time was over as the only one gives way at once.
                let gave_way = after.previous.map(|index| &source.items[index].id) == Some(&before);
                prop_assert!(!stays || *shown == before || gave_way);
            }
        }
    }
}
