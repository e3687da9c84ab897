//! Each kind of effect on a simple source, by facts about its pixels.

use components::layer::{Crop, Rotation, Scale};
use components::value::Colour;
use serde_json::json;

use crate::stage::{RED, boxed, red_box, shot, with};

#[test]
fn a_blur_is_half_there_on_the_edge_and_reaches_beyond_it() {
    let shot = shot(vec![with(
        json!([{"type": "blur", "radius": 4}]),
        red_box(),
    )]);
    // A wide edge blurred by a Gaussian has half of its height where it was.
    let (inside, outside) = (shot.at(60, 45)[0], shot.at(59, 45)[0]);
    assert!((125..150).contains(&inside), "{inside}");
    assert!((105..130).contains(&outside), "{outside}");
    // One standard deviation out it is the normal distribution's 15.9 %.
    let one_out = f32::from(shot.at(56, 45)[0]) + f32::from(shot.at(55, 45)[0]);
    assert!((one_out / 510.0 - 0.159).abs() < 0.02, "{one_out}");
    assert_eq!(shot.at(80, 45), [255, 0, 0]);
    assert_eq!(shot.at(40, 45), [0; 3]);
}

#[test]
fn a_shadow_lies_below_and_beside() {
    let white = boxed("white", Colour::WHITE, (0.0, 0.0), (160.0, 96.0));
    let shadow = json!([{"type": "dropShadow", "x": 10, "y": 6, "blur": 0, "color": "#000000"}]);
    let hard = shot(vec![white.clone(), with(shadow, red_box())]);
    assert_eq!(hard.at(60, 30), [255, 0, 0]);
    assert_eq!(hard.at(105, 50), [0; 3]);
    assert_eq!(hard.at(109, 65), [0; 3]);
    assert_eq!(hard.at(110, 50), [255; 3]);
    assert_eq!(hard.at(65, 63), [255; 3], "the offset moves it");
    let spread =
        json!([{"type": "dropShadow", "y": 0, "blur": 0, "spread": 8, "color": "#000000"}]);
    let grown = shot(vec![white.clone(), with(spread, red_box())]);
    assert_eq!((grown.at(53, 45), grown.at(51, 45)), ([0; 3], [255; 3]));
    // A blur of 16 has a standard deviation of 8, so half of the strength is on the edge.
    let soft = json!([{"type": "dropShadow", "y": 0, "blur": 16, "color": "#000000"}]);
    let soft = shot(vec![white, with(soft, red_box())]);
    let edge = soft.at(59, 45)[0];
    assert!((115..150).contains(&edge), "{edge}");
}

#[test]
fn a_glow_is_stronger_with_its_intensity() {
    let glow = |intensity: f32| {
        let effects =
            json!([{"type": "glow", "radius": 6, "color": "#00ff00", "intensity": intensity}]);
        shot(vec![with(effects, red_box())])
    };
    let (weak, strong) = (glow(1.0), glow(3.0));
    assert!(weak.at(54, 45)[1] > 20);
    assert!(strong.at(54, 45)[1] > weak.at(54, 45)[1] * 2);
    assert_eq!(strong.at(80, 45), [255, 0, 0]);
}

#[test]
fn a_border_lies_where_it_is_placed() {
    let border = |placement: &str| {
        let effects = json!([
            {"type": "border", "width": 4, "color": "#0000ff", "placement": placement}
        ]);
        shot(vec![with(effects, red_box())])
    };
    for (placement, out, inner) in [("outside", 4, 0), ("center", 2, 2), ("inside", 0, 4)] {
        let shot = border(placement);
        let y = 45;
        assert_eq!(shot.at(60 + inner, y), [255, 0, 0], "{placement}");
        assert_eq!(shot.at(60 - out - 1, y), [0; 3], "{placement}");
        for x in 60 - out..60 + inner {
            assert_eq!(shot.at(x, y), [0, 0, 255], "{placement} {x}");
        }
    }
}

#[test]
fn corners_are_rounded_each_by_its_radius() {
    let effects = json!([{"type": "cornerRadius", "radius": [12, 0, 12, 0]}]);
    let shot = shot(vec![with(effects, red_box())]);
    assert_eq!((shot.at(60, 30), shot.at(99, 59)), ([0; 3], [0; 3]));
    assert_eq!(
        (shot.at(99, 30), shot.at(60, 59)),
        ([255, 0, 0], [255, 0, 0])
    );
    assert_eq!(
        (shot.at(72, 30), shot.at(60, 42)),
        ([255, 0, 0], [255, 0, 0])
    );
    // 12 pixels from the corner's centre along the diagonal: 72 - 8.5.
    let edge = shot.at(63, 33)[0];
    assert!((20..235).contains(&edge), "{edge}");
}

#[test]
fn corners_are_those_of_what_is_left_by_a_crop() {
    let crop = Crop {
        left: 20.0,
        ..Crop::default()
    };
    let layer = components::layer::LayerSpec { crop, ..red_box() };
    let shot = shot(vec![with(
        json!([{"type": "cornerRadius", "radius": 8}]),
        layer,
    )]);
    assert_eq!((shot.at(79, 45), shot.at(80, 30)), ([0; 3], [0; 3]));
    assert_eq!(shot.at(80, 45), [255, 0, 0]);
}

#[test]
fn colours_change() {
    let effects = json!([{"type": "color", "saturation": 0}]);
    let grey = shot(vec![with(effects, red_box())]).at(80, 45);
    // The luma of red: BT.709's 0.2126.
    assert_eq!(grey, [54; 3]);
    let effects = json!([{"type": "color", "brightness": -0.5}]);
    assert_eq!(shot(vec![with(effects, red_box())]).at(80, 45), [128, 0, 0]);
    let untouched = json!([{"type": "color"}]);
    assert_eq!(
        shot(vec![with(untouched, red_box())]),
        shot(vec![red_box()])
    );
}

#[test]
fn a_green_screen_shows_what_is_behind_it() {
    let behind = boxed(
        "behind",
        Colour::opaque(10, 20, 200),
        (0.0, 0.0),
        (160.0, 96.0),
    );
    let screen = boxed(
        "screen",
        Colour::opaque(20, 230, 40),
        (20.0, 10.0),
        (120.0, 70.0),
    );
    let figure = boxed(
        "figure",
        Colour::opaque(220, 170, 140),
        (60.0, 30.0),
        (40.0, 30.0),
    );
    let key = json!([{"type": "chromaKey", "color": "#00ff00"}]);
    let shot = shot(vec![behind, with(key.clone(), screen), with(key, figure)]);
    assert_eq!(shot.at(30, 20), [10, 20, 200]);
    assert_eq!(shot.at(80, 45), [220, 170, 140]);
}

#[test]
fn blocks_have_one_colour_and_begin_at_the_layer() {
    let half = boxed("half", RED, (60.0, 30.0), (10.0, 40.0));
    let group = crate::stage::group(
        "group",
        vec![
            half,
            boxed("blue", crate::stage::BLUE, (70.0, 30.0), (30.0, 40.0)),
        ],
    );
    let shot = shot(vec![with(json!([{"type": "pixelate", "size": 20}]), group)]);
    for x in 60..80 {
        assert_eq!(shot.at(x, 35), [128, 0, 128], "{x}");
    }
    assert_eq!(shot.at(80, 35), [0, 0, 255]);
    assert_eq!(shot.at(59, 35), [0; 3]);
    // The last blocks end with the layer, also where another effect has room beside it.
    let effects = json!([{"type": "pixelate", "size": 15}, {"type": "border", "width": 4, "color": "#0000ff"}]);
    let bordered = crate::stage::shot(vec![with(effects, red_box())]);
    for x in 60..100 {
        assert_eq!(bordered.at(x, 45), [255, 0, 0], "{x}");
    }
    assert_eq!(bordered.at(101, 45), [0, 0, 255]);
    // Room for another effect moves no block.
    let effects = json!([{"type": "dropShadow", "blur": 3, "color": "#0000"}, {"type": "pixelate", "size": 20}]);
    let wide = boxed("wide", RED, (61.0, 33.0), (40.0, 40.0));
    let shadowed = crate::stage::shot(vec![with(effects, wide.clone())]);
    assert_eq!(shadowed, crate::stage::shot(vec![wide]));
}

#[test]
fn a_vignette_darkens_the_corners_alone() {
    let white = boxed("white", Colour::WHITE, (0.0, 0.0), (160.0, 96.0));
    let effects = json!([{"type": "vignette", "amount": 0.8}]);
    let shot = shot(vec![with(effects, white)]);
    assert_eq!(shot.at(80, 48), [255; 3]);
    assert!(shot.at(0, 0)[0] < 70, "{:?}", shot.at(0, 0));
    assert!(shot.at(0, 48)[0] > shot.at(0, 0)[0]);
}

#[test]
fn effects_are_applied_in_their_order() {
    let border = json!({"type": "border", "width": 6, "color": "#0000ff", "placement": "inside"});
    let grey = json!({"type": "color", "saturation": 0});
    let first = shot(vec![with(json!([border, grey]), red_box())]);
    let last = shot(vec![with(json!([grey, border]), red_box())]);
    assert_eq!(last.at(62, 45), [0, 0, 255]);
    let [r, g, b] = first.at(62, 45);
    assert!(r == g && g == b, "the border turned grey with the rest");
}

#[test]
fn what_is_switched_off_does_nothing() {
    let effects = json!([{"type": "blur", "radius": 8, "enabled": false}]);
    assert_eq!(shot(vec![with(effects, red_box())]), shot(vec![red_box()]));
}

#[test]
fn lengths_grow_with_the_layer() {
    let effects = json!([{"type": "border", "width": 4, "color": "#0000ff"}]);
    let mut layer = with(effects, red_box());
    layer.scale = Scale {
        x: 2.0.into(),
        y: 2.0.into(),
    };
    layer.position.x = 40.0.into();
    let shot = shot(vec![layer]);
    assert_eq!(
        (shot.at(32, 50), shot.at(39, 50)),
        ([0, 0, 255], [0, 0, 255])
    );
    assert_eq!((shot.at(31, 50), shot.at(40, 50)), ([0; 3], [255, 0, 0]));
}

#[test]
fn effects_turn_with_the_layer() {
    let effects = json!([{"type": "dropShadow", "x": 20, "y": 0, "blur": 0, "color": "#0000ff"}]);
    let mut layer = with(effects, red_box());
    layer.rotation = Rotation(90.0.into());
    let shot = shot(vec![layer]);
    // The box's right is down now.
    assert_eq!(shot.at(45, 50), [255, 0, 0]);
    assert_eq!(shot.at(45, 80), [0, 0, 255]);
}
