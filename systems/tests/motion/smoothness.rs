//! Slow motion has no steps, and turning edges stay clean.

use components::animation::{LoopMode, Property, TimelineSpec};
use components::layer::{Anchor, LayerSpec};
use components::source::{Source, TextSource};
use components::value::Colour;
use serde_json::json;
use stream_manager_systems::Engine;

use super::stage::*;

/// The middle of all light in the picture, in pixels from the left, and how much light there is in pixels.
fn light(engine: &Engine) -> (f64, f64) {
    let picture = engine.picture();
    let (mut sum, mut moment) = (0.0, 0.0);
    for (index, pixel) in picture.rgba.as_chunks::<4>().0.iter().enumerate() {
        let value = f64::from(pixel[1]) / 255.0;
        sum += value;
        moment += value * ((index % WIDTH) as f64 + 0.5);
    }
    (moment / sum, sum)
}

fn moving(layer: LayerSpec, property: Property, to: f32, seconds: f32) -> Engine {
    let id = layer.id.as_str().to_owned();
    let from = match property {
        Property::PositionX => 10.0,
        _ => 0.0,
    };
    let mut spec = scene(vec![layer]);
    let values = [(0.0, from), (seconds, from + to)];
    let line = TimelineSpec {
        loop_mode: LoopMode::Loop,
        ..timeline("go", vec![track(&id, property, &values)])
    };
    spec.timelines.push(line.into());
    let mut engine = engine(1);
    send(&mut engine, vec![load(spec)]).unwrap();
    engine
}

#[test]
fn a_text_at_ten_pixels_a_second_moves_a_third_of_a_pixel_a_frame() {
    let text = json!({"text": "Slow", "font": {"family": "DejaVu Sans", "size": 24}});
    let layer = LayerSpec {
        source: Source::Text(serde_json::from_value::<TextSource>(text).unwrap()),
        ..LayerSpec::new("words")
    };
    let mut engine = moving(layer, Property::PositionX, 40.0, 4.0);
    let (mut last, whole) = light(&engine);
    for tick in 0..100 {
        engine.tick();
        let (now, sum) = light(&engine);
        let step = now - last;
        // Positions are kept in 256ths of a pixel, and pixels in 255ths of their light.
        assert!(
            (step - 1.0 / 3.0).abs() < 0.02,
            "tick {tick}: {step} pixels"
        );
        assert!(
            (sum - whole).abs() < whole * 0.01,
            "it neither glows nor pales: {sum}"
        );
        last = now;
    }
}

#[test]
fn a_turning_box_keeps_its_area_and_a_clean_edge() {
    let white = Colour::WHITE;
    let mut layer = boxed("box", white, (64.0, 32.0), (40.0, 24.0));
    layer.anchor = Anchor { x: 0.5, y: 0.5 };
    let mut engine = moving(layer, Property::Rotation, 360.0, 12.0);
    for tick in 0..90_u32 {
        let angle = f64::from(tick).to_radians();
        let (_, area) = light(&engine);
        assert!(
            (area - 960.0).abs() < 4.0,
            "at {tick} degrees it covers {area} pixels"
        );
        let picture = engine.picture();
        for (index, pixel) in picture.rgba.as_chunks::<4>().0.iter().enumerate() {
            let (x, y) = ((index % WIDTH) as f64 - 63.5, (index / WIDTH) as f64 - 31.5);
            let (along, across) = (
                (x * angle.cos() + y * angle.sin()).abs() - 20.0,
                (y * angle.cos() - x * angle.sin()).abs() - 12.0,
            );
            let outside = along.max(across);
            // Three quarters of a pixel is the furthest that a pixel's corner is from its middle.
            if outside > 0.75 {
                assert_eq!(pixel[1], 0, "light outside at {tick} degrees");
            } else if outside < -0.75 {
                assert_eq!(pixel[1], 255, "a hole at {tick} degrees");
            }
        }
        engine.tick();
    }
}

#[test]
fn a_picture_that_turns_has_no_stairs() {
    // The picture of a shape is sampled when it turns, which a plain colour is not.
    let shape = json!({"shape": "rectangle", "fill": "#ffffff"});
    let mut layer = boxed("card", Colour::WHITE, (64.0, 32.0), (40.0, 24.0));
    layer.source = Source::Shape(serde_json::from_value(shape).unwrap());
    layer.anchor = Anchor { x: 0.5, y: 0.5 };
    let mut engine = moving(layer, Property::Rotation, 360.0, 12.0);
    for tick in 0..90 {
        let (middle, area) = light(&engine);
        assert!(
            (area - 960.0).abs() < 6.0,
            "at {tick} degrees it covers {area} pixels"
        );
        assert!(
            (middle - 64.0).abs() < 0.05,
            "at {tick} degrees its middle is at {middle}"
        );
        engine.tick();
    }
}
