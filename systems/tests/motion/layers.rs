//! Layers come and go.

use std::sync::Arc;

use components::layer::{LayerSpec, Visible};
use components::scene::SceneSpec;
use components::source::{GroupSource, Source};
use components::transition::{Side, Transition, TransitionKind as Kind};
use components::value::Colour;
use stream_manager_systems::Engine;
use stream_manager_systems::command::Command;

use super::stage::*;

fn coming(enter: Option<Transition>, exit: Option<Transition>) -> LayerSpec {
    LayerSpec {
        enter,
        exit,
        ..boxed("box", RED, (32.0, 16.0), (64.0, 32.0))
    }
}

fn change(engine: &mut Engine, old: &SceneSpec, new: &SceneSpec) {
    let edit = Box::new(edit(old, new));
    send(engine, vec![Command::EditScene(edit)]).unwrap();
}

#[test]
fn a_layer_enters_with_its_scene_and_when_it_becomes_visible() {
    let mut engine = engine(1);
    let shown = scene(vec![coming(Some(linear(Kind::Fade, 1.0)), None)]);
    send(&mut engine, vec![load(shown.clone())]).unwrap();
    assert_eq!(pixel(&engine, 64, 32), [0; 3]);
    ticks(&mut engine, 15);
    assert!(pixel(&engine, 64, 32)[0].abs_diff(128) <= 1);
    ticks(&mut engine, 15);
    assert_eq!(pixel(&engine, 64, 32), [255, 0, 0]);
    let mut hidden = shown.clone();
    Arc::make_mut(&mut hidden.layers[0]).visible = Visible(false);
    change(&mut engine, &shown, &hidden);
    assert_eq!(
        pixel(&engine, 64, 32),
        [0; 3],
        "without a way out it goes at once"
    );
    change(&mut engine, &hidden, &shown);
    ticks(&mut engine, 15);
    assert!(pixel(&engine, 64, 32)[0].abs_diff(128) <= 1);
}

#[test]
fn a_removed_layer_leaves_and_its_name_is_free_at_once() {
    let mut engine = engine(1);
    let shown = scene(vec![coming(None, Some(linear(Kind::Fade, 1.0)))]);
    let empty = scene(Vec::new());
    send(&mut engine, vec![load(shown.clone())]).unwrap();
    change(&mut engine, &shown, &empty);
    ticks(&mut engine, 15);
    assert!(pixel(&engine, 64, 32)[0].abs_diff(128) <= 1);
    let other = scene(vec![boxed("box", BLUE, (0.0, 0.0), (8.0, 8.0))]);
    change(&mut engine, &empty, &other);
    assert_eq!(layer_count(&mut engine), 2);
    assert_eq!(pixel(&engine, 4, 4), [0, 0, 255]);
    ticks(&mut engine, 15);
    assert_eq!(layer_count(&mut engine), 1);
    assert_eq!(pixel(&engine, 64, 32), [0; 3]);
}

#[test]
fn a_change_of_mind_goes_on_from_what_is_on_screen() {
    let ways = (Some(linear(Kind::Fade, 1.0)), Some(linear(Kind::Wipe, 1.0)));
    let shown = scene(vec![coming(ways.0, ways.1)]);
    let mut hidden = shown.clone();
    Arc::make_mut(&mut hidden.layers[0]).visible = Visible(false);
    let mut engine = engine(1);
    send(&mut engine, vec![load(shown.clone())]).unwrap();
    let mut last = 0;
    // Hidden and shown again on its way in: it fades back and forth, a step a tick, and never wipes.
    for (hide, count) in [(false, 12), (true, 6), (false, 9), (true, 15)] {
        let (old, new) = if hide {
            (&shown, &hidden)
        } else {
            (&hidden, &shown)
        };
        for tick in 0..count {
            if tick == 0 && last > 0 {
                change(&mut engine, old, new);
            } else {
                engine.tick();
            }
            let now = pixel(&engine, 64, 32)[0];
            assert!(now.abs_diff(last) <= 10, "{last} to {now}");
            assert_eq!(pixel(&engine, 40, 32)[0], now, "the same everywhere");
            last = now;
        }
    }
    assert_eq!(last, 0);
}

#[test]
fn what_stands_in_a_group_comes_with_it() {
    let mut group = LayerSpec {
        source: Source::Group(GroupSource::default()),
        enter: Some(Transition {
            side: Side::Left,
            ..linear(Kind::Wipe, 1.0)
        }),
        ..boxed("group", RED, (0.0, 0.0), (128.0, 64.0))
    };
    group.source = Source::Group(GroupSource::default());
    group.children = vec![
        Arc::new(boxed("a", RED, (0.0, 0.0), (64.0, 64.0))),
        Arc::new(boxed("b", BLUE, (64.0, 0.0), (64.0, 64.0))),
    ];
    let mut engine = engine(1);
    let after = boxed("after", Colour::WHITE, (0.0, 60.0), (128.0, 4.0));
    send(&mut engine, vec![load(scene(vec![group, after]))]).unwrap();
    ticks(&mut engine, 22);
    assert_eq!(pixel(&engine, 60, 30), [255, 0, 0]);
    assert_eq!(pixel(&engine, 88, 30), [0, 0, 255]);
    assert_eq!(pixel(&engine, 100, 30), [0; 3]);
    assert_eq!(
        pixel(&engine, 100, 62),
        [255; 3],
        "what is beside the group is whole"
    );
}

#[test]
fn a_colour_comes_first_and_gives_way() {
    let through = Transition {
        color: Colour::WHITE,
        ..linear(Kind::FadeThroughColor, 1.0)
    };
    let mut layer = coming(Some(through), None);
    layer.children = vec![Arc::new(boxed("child", BLUE, (0.0, 0.0), (8.0, 8.0)))];
    let mut engine = engine(1);
    send(&mut engine, vec![load(scene(vec![layer]))]).unwrap();
    ticks(&mut engine, 7);
    let [red, green, _] = pixel(&engine, 64, 32);
    assert!(red == green && red.abs_diff(119) <= 1, "{red} {green}");
    ticks(&mut engine, 8);
    assert_eq!(pixel(&engine, 64, 32), [255; 3]);
    assert_eq!(pixel(&engine, 10, 32), [0; 3], "no larger than the layer");
    ticks(&mut engine, 15);
    assert_eq!(pixel(&engine, 64, 32), [255, 0, 0]);
}

#[test]
fn a_slide_starts_outside_and_a_delay_waits_there() {
    let slide = Transition {
        delay: 0.5,
        side: Side::Right,
        ..linear(Kind::Slide, 1.0)
    };
    let mut engine = engine(1);
    send(
        &mut engine,
        vec![load(scene(vec![coming(Some(slide), None)]))],
    )
    .unwrap();
    ticks(&mut engine, 15);
    assert_eq!(placed(&mut engine, "box").0, 128.0);
    ticks(&mut engine, 15);
    assert_eq!(placed(&mut engine, "box").0, 80.0);
    ticks(&mut engine, 15);
    assert_eq!(placed(&mut engine, "box").0, 32.0);
}

#[test]
fn a_layer_fades_as_one_with_what_stands_in_it() {
    let mut layer = coming(Some(linear(Kind::Fade, 1.0)), None);
    layer.children = vec![Arc::new(boxed("child", BLUE, (0.0, 0.0), (64.0, 32.0)))];
    let mut engine = engine(1);
    send(&mut engine, vec![load(scene(vec![layer]))]).unwrap();
    ticks(&mut engine, 15);
    let [red, _, blue] = pixel(&engine, 64, 32);
    assert!(
        red == 0 && blue.abs_diff(128) <= 1,
        "nothing shines through: {red} {blue}"
    );
}
