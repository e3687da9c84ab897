//! Every property that a layer has can be moved: by a track, by a glide, and the same when a tick is sought.

use components::animation::{Easing, Glide, Keyframe, KeyframeValue, Property, TrackSpec};
use components::layer::{Anchor, Crop, LayerId, LayerSpec, ZIndex};
use components::source::Source;
use serde_json::json;
use stream_manager_systems::Engine;
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};
use stream_manager_systems::command::Command;
use stream_manager_systems::layout::LayerTree;
use stream_manager_systems::render::Drawn;
use stream_manager_systems::scene::SceneBundle;

use super::stage::*;

/// A scene whose tracks go over one second.
fn moved(layers: Vec<LayerSpec>, tracks: Vec<TrackSpec>) -> Engine {
    let mut spec = scene(layers);
    spec.timelines.push(timeline("go", tracks).into());
    let mut engine = engine(1);
    send(&mut engine, vec![load(spec)]).unwrap();
    engine
}

/// Columns and rows of the picture that are red, from the first to the one after the last.
fn red(engine: &Engine) -> [usize; 4] {
    let is_red = |x: usize, y: usize| pixel(engine, x, y)[0] > 128;
    let columns: Vec<usize> = (0..WIDTH)
        .filter(|&x| (0..HEIGHT).any(|y| is_red(x, y)))
        .collect();
    let rows: Vec<usize> = (0..HEIGHT)
        .filter(|&y| (0..WIDTH).any(|x| is_red(x, y)))
        .collect();
    let ends = |list: &[usize]| {
        let first = list.first().copied().unwrap_or_default();
        (first, list.last().map_or(0, |last| last + 1))
    };
    let ((left, right), (top, bottom)) = (ends(&columns), ends(&rows));
    [left, top, right, bottom]
}

/// What a layer is drawn from: the same as long as its picture is.
fn revision(engine: &mut Engine, id: &str) -> u64 {
    let world = engine.world_mut();
    let mut rows = world.query::<(&LayerId, &Drawn)>();
    let (_, drawn) = rows.iter(world).find(|(it, _)| it.as_str() == id).unwrap();
    drawn.revision
}

fn shape() -> LayerSpec {
    let mut layer = boxed("a", RED, (20.0, 10.0), (60.0, 40.0));
    let source = json!({"shape": "rectangle", "fill": "#ff0000"});
    layer.source = Source::Shape(serde_json::from_value(source).unwrap());
    layer
}

/// A red picture of 60 x 40 pixels, in a layer that is as large as it.
fn picture() -> (LayerSpec, Picture) {
    let mut file = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbaImage::from_pixel(60, 40, image::Rgba([255, 0, 0, 255]));
    pixels.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let mut layer = boxed("a", RED, (20.0, 10.0), (60.0, 40.0));
    layer.source = Source::Image(serde_json::from_value(json!({"src": "red.png"})).unwrap());
    layer.size = None;
    let picture = decode_picture(file.get_ref(), &PictureFonts::default).unwrap();
    (layer, picture)
}

#[test]
fn an_anchor_moves_the_box_about_its_position() {
    let layer = boxed("a", RED, (60.0, 30.0), (40.0, 20.0));
    let tracks = vec![
        track("a", Property::AnchorX, &[(0.0, 0.0), (1.0, 1.0)]),
        track("a", Property::AnchorY, &[(0.0, 0.5)]),
    ];
    let mut engine = moved(vec![layer], tracks);
    for tick in 0..30_u8 {
        let (x, y, _) = placed(&mut engine, "a");
        let expected = 60.0 - 40.0 * f32::from(tick) / 30.0;
        assert!((x - expected).abs() < 1e-3, "tick {tick}: {x}");
        assert_eq!(y, 20.0);
        engine.tick();
    }
}

#[test]
fn each_edge_of_a_crop_moves_and_the_picture_stays_as_it_is() {
    let sides = |left, top, right, bottom| {
        KeyframeValue::Sides(Crop {
            left,
            top,
            right,
            bottom,
        })
    };
    let keyframe = |at, value| Keyframe {
        at,
        value,
        easing: Easing::Linear,
    };
    let keyframes = vec![
        keyframe(0.0, KeyframeValue::Number(0.0)),
        keyframe(1.0, sides(30.0, 15.0, 15.0, 3.0)),
    ];
    let whole = TrackSpec::new("a", Property::Crop, keyframes);
    let one = |property, end| track("a", property, &[(0.0, 0.0), (1.0, end)]);
    let each = vec![
        one(Property::CropLeft, 30.0),
        one(Property::CropTop, 15.0),
        one(Property::CropRight, 15.0),
        one(Property::CropBottom, 3.0),
    ];
    let (image, image_picture) = picture();
    let mut words = shape();
    let gradient =
        json!({"gradient": {"stops": [{"at": 0, "color": "#f00"}, {"at": 1, "color": "#f00"}]}});
    words.source = Source::Gradient(serde_json::from_value(gradient).unwrap());
    let plain = boxed("a", RED, (20.0, 10.0), (60.0, 40.0));
    for (layer, tracks) in [
        (shape(), vec![whole.clone()]),
        (words, each.clone()),
        (plain, each.clone()),
        (image, each),
    ] {
        let is_image = matches!(layer.source, Source::Image(_));
        let mut spec = scene(vec![layer]);
        spec.timelines.push(timeline("go", tracks).into());
        let mut bundle = SceneBundle::new(spec);
        bundle.pictures = vec![("red.png".into(), image_picture.clone())];
        let mut engine = engine(1);
        send(&mut engine, vec![Command::LoadScene(Box::new(bundle))]).unwrap();
        let drawn = revision(&mut engine, "a");
        for part in 0..30 {
            // Whole pixels on every tenth tick.
            if part % 10 == 0 {
                let (left, top) = (part, part / 2);
                let (right, bottom) = (60 - part / 2, 40 - part / 10);
                // The box of a picture without a size is what is left of it.
                let (x, y) = if is_image { (0, 0) } else { (left, top) };
                let (right, bottom) = (right - left + x, bottom - top + y);
                let expected = [20 + x, 10 + y, 20 + right, 10 + bottom];
                assert_eq!(red(&engine), expected, "tick {part}");
            }
            if !matches!(engine_source(&mut engine), Kind::Colour) {
                assert_eq!(revision(&mut engine, "a"), drawn, "nothing is drawn anew");
            }
            engine.tick();
        }
    }
}

enum Kind {
    Colour,
    Other,
}

/// A plain colour has no picture that could stay.
fn engine_source(engine: &mut Engine) -> Kind {
    let world = engine.world_mut();
    let mut rows = world.query::<&components::source::ColourSource>();
    match rows.iter(world).next() {
        Some(_) => Kind::Colour,
        None => Kind::Other,
    }
}

#[test]
fn a_crop_that_moves_meets_the_crop_of_its_group_and_its_effects() {
    // A group that leaves the columns 30 to 70, and a box in it that is cut from the left.
    let mut group = LayerSpec::new("g");
    group.source = Source::Group(components::source::GroupSource::default());
    group.size = boxed("a", RED, (0.0, 0.0), (100.0, 64.0)).size;
    group.crop.left = 30.0;
    group.crop.right = 30.0;
    for effects in [json!([]), json!([{"type": "cornerRadius", "radius": 0}])] {
        let mut inner = shape();
        inner.effects = serde_json::from_value(effects).unwrap();
        let mut group = group.clone();
        group.children = vec![inner.into()];
        let left = track("a", Property::CropLeft, &[(0.0, 0.0), (1.0, 30.0)]);
        let mut engine = moved(vec![group], vec![left]);
        assert_eq!(red(&engine), [30, 10, 70, 50]);
        ticks(&mut engine, 20);
        assert_eq!(red(&engine), [40, 10, 70, 50]);
    }
}

#[test]
fn a_z_index_moves_through_the_other_layers() {
    let mut low = full("low", RED);
    low.z_index = ZIndex(Some(0));
    let mut high = full("high", BLUE);
    high.z_index = ZIndex(Some(2));
    let mut engine = moved(
        vec![low, high],
        vec![track("low", Property::ZIndex, &[(0.0, 0.0), (1.0, 3.0)])],
    );
    for tick in 0..30 {
        // 2 stands below the other layer, which comes later in the file; what rounds to 3 above.
        let expected = if tick >= 25 { 255 } else { 0 };
        assert_eq!(pixel(&engine, 5, 5)[0], expected, "tick {tick}");
        engine.tick();
    }
    let order = engine.world_mut().resource::<LayerTree>().nodes.len();
    assert_eq!(order, 2);
}

#[test]
fn each_goes_to_a_new_value_from_what_is_shown() {
    let mut spec = scene(vec![boxed("a", RED, (40.0, 20.0), (40.0, 20.0)), {
        let mut over = boxed("over", BLUE, (90.0, 0.0), (10.0, 10.0));
        over.z_index = ZIndex(Some(510));
        over
    }]);
    let mut engine = engine(1);
    send(&mut engine, vec![load(spec.clone())]).unwrap();
    let old = spec.clone();
    let mut layer = LayerSpec::clone(&spec.layers[0]);
    layer.anchor = Anchor { x: 1.0, y: 0.0 };
    layer.crop.top = 10.0;
    layer.z_index = ZIndex(Some(600));
    spec.layers[0] = layer.into();
    let mut change = edit(&old, &spec);
    change.layers[0].glide = Some(Glide {
        duration: 1.0,
        easing: Easing::Linear,
        delay: 0.0,
    });
    send(&mut engine, vec![Command::EditScene(Box::new(change))]).unwrap();
    for tick in 1..=30_u16 {
        let (x, _, _) = placed(&mut engine, "a");
        let expected = 40.0 - 40.0 * f32::from(tick) / 30.0;
        assert!((x - expected).abs() < 1e-2, "tick {tick}: {x}");
        if tick % 3 == 0 {
            let top = red(&engine)[1];
            assert_eq!(top, 20 + usize::from(tick) / 3, "tick {tick}");
        }
        let world = engine.world_mut();
        let mut rows = world.query::<(&LayerId, &components::derived::DrawOrder)>();
        let order = rows.iter(world).find(|(id, _)| id.as_str() == "a");
        let is_over = order.unwrap().1.0 == 1;
        assert_eq!(
            is_over,
            500.0 + f32::from(tick) / 0.3 >= 510.5,
            "tick {tick}"
        );
        engine.tick();
    }
    assert_eq!(red(&engine), [0, 30, 40, 40]);
}
