//! Masks: by transparency, by brightness, by a gradient; and pictures that are not there.

use components::layer::LayerSpec;
use image::{ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};

use crate::stage::{Shot, loaded_with, red_box, scene, shot, with};

/// A picture of two pixels side by side.
fn picture(left: [u8; 4], right: [u8; 4]) -> Picture {
    let pixels = RgbaImage::from_fn(2, 1, |x, _| Rgba(if x == 0 { left } else { right }));
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, ImageFormat::Png).unwrap();
    decode_picture(&bytes.into_inner(), &PictureFonts::default).unwrap()
}

fn masked(mask: Value, picture: Picture) -> Shot {
    let layer: LayerSpec = with(json!([mask]), red_box());
    let mut engine = loaded_with(scene(vec![layer]), vec![("mask.png", picture)]);
    engine.tick();
    Shot::of(&engine)
}

#[test]
fn a_picture_masks_by_its_transparency() {
    let half = || picture([255, 255, 255, 255], [255, 255, 255, 0]);
    let plain = masked(json!({"type": "mask", "src": "mask.png"}), half());
    assert_eq!((plain.at(62, 45), plain.at(97, 45)), ([255, 0, 0], [0; 3]));
    let turned = json!({"type": "mask", "src": "mask.png", "invert": true});
    let turned = masked(turned, half());
    assert_eq!(
        (turned.at(62, 45), turned.at(97, 45)),
        ([0; 3], [255, 0, 0])
    );
}

#[test]
fn a_picture_masks_by_its_brightness() {
    let two = picture([0, 0, 0, 255], [255, 255, 255, 255]);
    let shot = masked(
        json!({"type": "mask", "src": "mask.png", "mode": "luma"}),
        two,
    );
    assert_eq!((shot.at(62, 45), shot.at(97, 45)), ([0; 3], [255, 0, 0]));
}

#[test]
fn a_picture_that_leaves_room_hides_what_is_there() {
    let wide = picture([255; 4], [255; 4]);
    let mask = json!({"type": "mask", "src": "mask.png", "fit": "contain"});
    // Twice as wide as high: 20 of the 30 rows.
    let shot = masked(mask, wide);
    assert_eq!((shot.at(80, 33), shot.at(80, 45)), ([0; 3], [255, 0, 0]));
}

#[test]
fn a_gradient_gives_a_soft_edge() {
    let gradient =
        json!({"angle": 90, "stops": [{"at": 0, "color": "#000"}, {"at": 1, "color": "#0000"}]});
    let shot = shot(vec![with(
        json!([{"type": "mask", "gradient": gradient}]),
        red_box(),
    )]);
    let reds: Vec<u8> = (60..100).map(|x| shot.at(x, 45)[0]).collect();
    assert!(reds.is_sorted_by(|a, b| a >= b), "{reds:?}");
    assert!(reds[0] > 245 && reds[39] < 10, "{reds:?}");
    assert!((reds[20] as i32 - 125).abs() < 8, "{reds:?}");
}

#[test]
fn without_its_picture_nothing_is_seen_until_it_comes() {
    let layer = with(json!([{"type": "mask", "src": "mask.png"}]), red_box());
    let mut engine = loaded_with(scene(vec![layer]), Vec::new());
    engine.tick();
    assert_eq!(Shot::of(&engine).brightest(45), 0);
    let door = engine.picture_door();
    let src = door.requests.try_recv().unwrap();
    assert_eq!(&*src, "mask.png");
    let picture = Ok(picture([255; 4], [255; 4]));
    let arrival = stream_manager_systems::assets::Arrival { src, picture };
    door.arrivals.send(arrival).unwrap();
    engine.tick();
    assert_eq!(Shot::of(&engine), shot(vec![red_box()]));
}

#[test]
fn a_picture_is_there_at_any_size() {
    let pixels = RgbaImage::from_pixel(288, 288, Rgba([255; 4]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, ImageFormat::Png).unwrap();
    let picture = decode_picture(&bytes.into_inner(), &PictureFonts::default).unwrap();
    let source: components::source::ImageSource =
        serde_json::from_value(json!({"src": "whole.png"})).unwrap();
    for (width, height) in [(200.0, 280.0), (140.0, 93.0), (33.3, 70.7), (151.0, 89.0)] {
        let layer = LayerSpec {
            source: components::source::Source::Image(source.clone()),
            fit: components::layer::Fit::Cover,
            ..crate::stage::boxed("picture", crate::stage::RED, (0.0, 0.0), (width, height))
        };
        let mut engine = loaded_with(scene(vec![layer]), vec![("whole.png", picture.clone())]);
        engine.tick();
        assert_eq!(Shot::of(&engine).at(10, 10), [255; 3], "{width} {height}");
    }
}
