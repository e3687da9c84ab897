//! Effects of groups: on all that their layers come to, as one picture.

use components::layer::{BlendMode, LayerSpec, Opacity, Position};
use components::transition::{Transition, TransitionKind};
use components::value::Colour;
use serde_json::json;

use crate::stage::{
    BLUE, RED, Shot, boxed, computed, group, loaded, moving, red_box, scene, shot, with,
};

fn two() -> Vec<LayerSpec> {
    vec![
        boxed("a", RED, (50.0, 30.0), (30.0, 30.0)),
        boxed("b", BLUE, (80.0, 30.0), (30.0, 30.0)),
    ]
}

#[test]
fn layers_of_a_group_cast_one_shadow() {
    let white = boxed("white", Colour::WHITE, (0.0, 0.0), (160.0, 96.0));
    let shadow = json!([{"type": "dropShadow", "x": 8, "y": 8, "blur": 0, "color": "#000000"}]);
    let one = shot(vec![white.clone(), with(shadow, group("g", two()))]);
    assert_eq!(
        one.at(84, 40),
        [0, 0, 255],
        "no shadow falls within the group"
    );
    assert_eq!((one.at(70, 65), one.at(115, 50)), ([0; 3], [0; 3]));
    assert_eq!(one.at(52, 65), [255; 3]);
}

#[test]
fn a_group_that_changes_nothing_is_as_though_it_had_none() {
    let nothing = json!([{"type": "blur", "radius": 0}]);
    assert_eq!(
        shot(vec![with(nothing, group("g", two()))]),
        shot(vec![group("g", two())])
    );
}

#[test]
fn a_blurred_group_is_a_blur_of_its_picture() {
    let blur = json!([{"type": "blur", "radius": 4}]);
    let flat = boxed("flat", RED, (50.0, 30.0), (60.0, 30.0));
    let halves = vec![
        boxed("a", RED, (50.0, 30.0), (30.0, 30.0)),
        boxed("b", RED, (80.0, 30.0), (30.0, 30.0)),
    ];
    assert_eq!(
        shot(vec![with(blur.clone(), group("g", halves))]),
        shot(vec![with(blur, flat)])
    );
}

#[test]
fn a_group_is_made_again_only_when_its_layers_change() {
    let blur = json!([{"type": "blur", "radius": 4}]);
    let spec = scene(vec![with(blur, group("g", two()))]);
    let spec = moving(spec, "g", "position.x", 0.0, 40.0);
    let spec = moving(spec, "g", "rotation", 0.0, 20.0);
    let mut still = loaded(moving(spec.clone(), "g", "opacity", 0.5, 1.0));
    let mut busy = loaded(moving(spec, "a", "position.y", 30.0, 50.0));
    for _ in 0..20 {
        still.tick();
        busy.tick();
    }
    assert_eq!((computed(&mut still), computed(&mut busy)), (1, 20));
}

#[test]
fn opacity_blend_and_place_are_those_of_the_picture() {
    let nothing = json!([{"type": "blur", "radius": 0}]);
    let mut faded = with(nothing, group("g", two()));
    faded.opacity = Opacity(0.5.into());
    faded.blend = BlendMode::Add;
    faded.position = Position {
        x: 10.0.into(),
        y: 5.0.into(),
    };
    let behind = boxed(
        "behind",
        Colour::opaque(0, 100, 0),
        (0.0, 0.0),
        (160.0, 96.0),
    );
    let shot = shot(vec![behind, faded]);
    assert_eq!(shot.at(61, 36), [128, 100, 0]);
    assert_eq!(shot.at(91, 36), [0, 100, 128]);
    assert_eq!(shot.at(59, 36), [0, 100, 0]);
}

#[test]
fn the_innermost_group_is_first() {
    let inner = with(
        json!([{"type": "color", "saturation": 0}]),
        group("inner", vec![red_box()]),
    );
    let outer = json!([{"type": "border", "width": 4, "color": "#0000ff"}]);
    let shot = shot(vec![with(outer, group("outer", vec![inner]))]);
    assert_eq!(shot.at(80, 45), [54; 3]);
    assert_eq!(shot.at(58, 45), [0, 0, 255]);
}

#[test]
fn effects_of_layers_within_are_part_of_the_picture() {
    let border = json!([{"type": "border", "width": 4, "color": "#0000ff"}]);
    let grey = json!([{"type": "color", "saturation": 0}]);
    let shot = shot(vec![with(grey, group("g", vec![with(border, red_box())]))]);
    let [r, g, b] = shot.at(58, 45);
    assert!(r == g && g == b && r > 0);
}

#[test]
fn ways_to_come_follow_the_effects() {
    let glow = json!([{"type": "border", "width": 6, "color": "#0000ff"}]);
    let mut coming = with(glow, group("g", vec![red_box()]));
    coming.enter = Some(Transition {
        easing: components::animation::Easing::Linear,
        ..Transition::new(TransitionKind::Wipe, 1.0)
    });
    coming.size = Some(components::layer::Size {
        width: 160.0.into(),
        height: 96.0.into(),
    });
    let mut engine = loaded(scene(vec![coming]));
    for _ in 0..=15 {
        engine.tick();
    }
    let half = Shot::of(&engine);
    // The wipe cuts the border as it cuts the box: on the half of the way one side is there with its border.
    let there = |x: usize| half.at(x, 45) != [0; 3];
    assert!(
        there(57) != there(102),
        "{:?} {:?}",
        half.at(57, 45),
        half.at(102, 45)
    );
    assert_eq!(computed(&mut engine), 1);
}

#[test]
fn a_layer_slides_out_of_the_canvas_and_not_only_out_of_its_group() {
    let nothing = json!([{"type": "blur", "radius": 0}]);
    let mut child = boxed("child", RED, (10.0, 10.0), (30.0, 20.0));
    child.enter = Some(Transition {
        easing: components::animation::Easing::Linear,
        ..Transition::new(TransitionKind::Slide, 1.0)
    });
    let mut with_effects = with(nothing, group("g", vec![child.clone()]));
    with_effects.position.x = 60.0.into();
    let mut without = group("g", vec![child]);
    without.position.x = 60.0.into();
    let (mut first, mut second) = (
        loaded(scene(vec![with_effects])),
        loaded(scene(vec![without])),
    );
    for _ in 0..20 {
        first.tick();
        second.tick();
    }
    let (first, second) = (Shot::of(&first), Shot::of(&second));
    let edge = |shot: &Shot| (0..160).find(|x| shot.at(*x, 20)[0] > 128);
    assert!(edge(&second).is_some());
    assert_eq!(edge(&first), edge(&second));
}

#[test]
fn a_group_far_larger_than_the_canvas_is_filtered_where_it_is_seen() {
    let huge = boxed("huge", RED, (-5000.0, 20.0), (10_000.0, 40.0));
    let blur = json!([{"type": "blur", "radius": 4}]);
    let shot = shot(vec![with(blur, group("g", vec![huge]))]);
    assert_eq!(
        (shot.at(0, 40), shot.at(159, 40)),
        ([255, 0, 0], [255, 0, 0])
    );
    let edge = shot.at(80, 20)[0];
    assert!((115..150).contains(&edge), "{edge}");
}
