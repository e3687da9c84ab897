//! What is made again, and what is not: a still picture once, whatever its layer does; one that changes, once a tick.

use components::animation::{FieldMut, Fields as _, Glide};
use components::effect::Effects;
use components::scene::SceneSpec;
use serde_json::json;
use stream_manager_systems::command::Command;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};

use crate::stage::{
    Shot, boxed, cached_bytes, computed, engine, group, loaded, moving, red_box, scene, with,
};

fn blurred() -> SceneSpec {
    let effects = json!([{"type": "blur", "radius": 3}, {"type": "dropShadow", "blur": 10}]);
    scene(vec![with(effects, red_box())])
}

#[test]
fn a_layer_that_moves_turns_and_fades_is_filtered_once() {
    let mut spec = blurred();
    for (property, to) in [("position.x", 90.0), ("rotation", 80.0), ("opacity", 0.2)] {
        spec = moving(spec, "box", property, 0.0, to);
    }
    let mut engine = loaded(spec);
    for _ in 0..40 {
        engine.tick();
    }
    assert_eq!(computed(&mut engine), 1);
}

#[test]
fn a_parameter_that_moves_is_followed_once_a_tick_and_fills_no_cache() {
    let spec = moving(blurred(), "box", "effects.blur.radius", 1.0, 12.0);
    let mut engine = loaded(moving(spec, "box", "position.x", 40.0, 70.0));
    let mut shots = Vec::new();
    for tick in 1..=30 {
        engine.tick();
        assert_eq!(computed(&mut engine), tick);
        shots.push(Shot::of(&engine));
    }
    assert!(shots.windows(2).all(|pair| pair[0] != pair[1]));
    // The very first frame alone, which might have stayed.
    let first = cached_bytes(&mut engine);
    assert!(first < 100 * 100 * 4, "{first}");
}

#[test]
fn a_change_that_stays_is_found_again() {
    let mut engine = loaded(blurred());
    for _ in 0..5 {
        engine.tick();
    }
    let old = blurred();
    let mut other = old.clone();
    let layer = std::sync::Arc::make_mut(&mut other.layers[0]);
    if let Some(FieldMut::Number { value, .. }) = layer.effects.field_mut("blur.radius") {
        *value = 6.0;
    }
    let before = Shot::of(&engine);
    for (from, to, count) in [(&old, &other, 2), (&other, &old, 2), (&old, &other, 2)] {
        let edit = SceneEdit::between(from, to).unwrap();
        let command = Command::EditScene(Box::new(edit));
        engine
            .commands()
            .send(command, |result| assert!(result.is_ok()))
            .unwrap();
        for _ in 0..5 {
            engine.tick();
        }
        assert_eq!(computed(&mut engine), count);
        assert_eq!(Shot::of(&engine) == before, std::ptr::eq(to, &old));
    }
}

#[test]
fn seeking_gives_what_playing_gives() {
    let spec = moving(blurred(), "box", "effects.0.radius", 1.0, 12.0);
    let inner = boxed("inner", crate::stage::BLUE, (10.0, 10.0), (30.0, 30.0));
    let mut spec = moving(spec, "inner", "position.x", 0.0, 50.0);
    let glow = json!([{"type": "glow", "radius": 5}]);
    spec.layers
        .push(with(glow, group("group", vec![inner])).into());
    let spec = moving(spec, "group", "rotation", 0.0, 30.0);
    let mut played = loaded(spec.clone());
    for _ in 0..=25 {
        played.tick();
    }
    let mut sought = loaded(spec);
    sought.seek(25);
    sought.tick();
    assert_eq!(Shot::of(&played), Shot::of(&sought));
}

#[test]
fn threads_change_nothing() {
    let spec = moving(blurred(), "box", "effects.blur.radius", 1.0, 12.0);
    let mut spec = moving(spec, "group", "effects.glow.intensity", 0.0, 4.0);
    let children = vec![
        boxed("a", crate::stage::BLUE, (10.5, 10.0), (70.0, 50.0)),
        with(
            json!([{"type": "blur", "radius": 5}]),
            boxed("b", crate::stage::RED, (30.0, 20.0), (70.0, 60.0)),
        ),
    ];
    let glow = json!([{"type": "glow", "radius": 9}, {"type": "cornerRadius", "radius": 12}]);
    spec.layers
        .push(with(glow, group("group", children)).into());
    let shots: Vec<Vec<Shot>> = [1, 3]
        .into_iter()
        .map(|threads| {
            let mut engine = engine(threads);
            engine.load(SceneBundle::new(spec.clone())).unwrap();
            let frames = (0..12).map(|_| {
                engine.tick();
                Shot::of(&engine)
            });
            frames.collect()
        })
        .collect();
    assert_eq!(shots[0], shots[1]);
}

#[test]
fn a_glide_goes_there_from_what_is_on_screen() {
    let old = blurred();
    let mut new = old.clone();
    let effects: Effects = serde_json::from_value(json!([
        {"type": "blur", "radius": 12}, {"type": "dropShadow", "blur": 10},
    ]))
    .unwrap();
    std::sync::Arc::make_mut(&mut new.layers[0]).effects = effects;
    let mut engine = loaded(old.clone());
    engine.tick();
    let mut edit = SceneEdit::between(&old, &new).unwrap();
    edit.layers[0].glide = Some(Glide {
        duration: 1.0,
        ..Glide::default()
    });
    let command = Command::EditScene(Box::new(edit));
    engine
        .commands()
        .send(command, |result| assert!(result.is_ok()))
        .unwrap();
    let edges: Vec<u8> = (0..40)
        .map(|_| {
            engine.tick();
            Shot::of(&engine).at(80, 45)[0]
        })
        .collect();
    assert!(edges.is_sorted_by(|a, b| a >= b), "{edges:?}");
    assert!(edges[2] > 240 && edges[39] < 200, "{edges:?}");
    assert_eq!(edges[31..].iter().min(), edges[31..].iter().max());
}

#[test]
fn what_nobody_sees_is_not_filtered_on_each_tick() {
    let mut spec = moving(blurred(), "box", "effects.blur.radius", 1.0, 12.0);
    let layer = std::sync::Arc::make_mut(&mut spec.layers[0]);
    layer.visible.0 = false;
    let mut engine = loaded(spec);
    for _ in 0..20 {
        engine.tick();
    }
    assert!(computed(&mut engine) <= 1);
}
