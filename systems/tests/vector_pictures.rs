//! SVGs: crisp at every size, like stills in their boxes, and nothing but what is in their files.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;

use components::layer::{Crop, Fit, LayerSpec, Scale, Size};
use components::scene::{FrameRate, SceneSpec};
use components::source::{ImageSource, Playback, Source};
use components::value::Template;
use stream_manager_systems::assets::{
    FontDatabase, Picture, PictureFonts, PictureKind, decode_picture, is_svg,
};
use stream_manager_systems::render::RasterCache;
use stream_manager_systems::scene::SceneBundle;
use stream_manager_systems::{Engine, EngineSettings};

const CANVAS: u32 = 120;

fn no_clock() -> u64 {
    0
}

fn svg(attributes: &str, body: &str) -> String {
    format!("<svg xmlns='http://www.w3.org/2000/svg' {attributes}>{body}</svg>")
}

fn decode(svg: &str) -> Result<Picture, String> {
    decode_picture(svg.as_bytes(), &PictureFonts::default).map_err(|error| error.to_string())
}

fn shown(svg: &str, change: impl FnOnce(&mut LayerSpec)) -> Engine {
    let mut layer = LayerSpec {
        source: Source::Image(ImageSource {
            src: Template::parse("a").unwrap(),
            playback: Playback::default(),
        }),
        ..LayerSpec::new("drawn")
    };
    change(&mut layer);
    let mut spec = SceneSpec {
        schema: None,
        version: 1,
        name: "test".to_owned(),
        canvas: Default::default(),
        assets: Default::default(),
        data: Default::default(),
        layers: vec![Arc::new(layer)],
        timelines: Vec::new(),
        transitions: Default::default(),
        audio: Default::default(),
        renditions: Vec::new(),
        outputs: Vec::new(),
    };
    (spec.canvas.width, spec.canvas.height) = (CANVAS, CANVAS);
    let mut bundle = SceneBundle::new(spec);
    bundle.pictures.push(("a".into(), decode(svg).unwrap()));
    let mut engine = Engine::new(EngineSettings {
        width: CANVAS,
        height: CANVAS,
        rate: FrameRate::whole(30),
        render_threads: 1,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: no_clock,
        epoch_unix_ms: 0,
    })
    .unwrap();
    engine.load(bundle).unwrap();
    engine.tick();
    engine
}

fn pixel(engine: &Engine, x: u32, y: u32) -> [u8; 3] {
    let at = ((y * CANVAS + x) * 4) as usize;
    engine.picture().rgba[at..at + 3].try_into().unwrap()
}

fn sized(width: f32, height: f32) -> impl FnOnce(&mut LayerSpec) {
    move |layer| {
        layer.size = Some(Size {
            width: width.into(),
            height: height.into(),
        });
    }
}

/// Columns of black and white, 5 of its pixels each.
const STRIPES: &str = "<rect width='40' height='40' fill='white'/><path d='M5 0h5v40h-5zM15 0h5v40h-5zM25 0h5v40h-5zM35 0h5v40h-5z'/>";
const RED: [u8; 3] = [255, 0, 0];
const BLACK: [u8; 3] = [0, 0, 0];
const WHITE: [u8; 3] = [255, 255, 255];

#[test]
fn edges_are_sharp_at_once_and_at_three_times_the_size() {
    let picture = svg("width='40' height='40'", STRIPES);
    let by_size = shown(&picture, sized(120.0, 120.0));
    let by_scale = shown(&picture, |layer| {
        layer.scale = Scale {
            x: 3.0.into(),
            y: 3.0.into(),
        };
    });
    for (engine, scale) in [(&shown(&picture, |_| {}), 1), (&by_size, 3), (&by_scale, 3)] {
        for x in 0..40 * scale {
            let wanted = if x / (5 * scale) % 2 == 0 {
                WHITE
            } else {
                BLACK
            };
            assert_eq!(pixel(engine, x, 20), wanted, "column {x} at {scale}x");
        }
        if scale == 1 {
            assert_eq!(pixel(engine, 41, 20), BLACK, "its own size is 40x40");
        }
    }
}

#[test]
fn it_is_drawn_once_for_a_size() {
    let mut engine = shown(&svg("width='40' height='40'", STRIPES), sized(90.0, 90.0));
    for _ in 0..5 {
        engine.tick();
    }
    let cache = engine.world_mut().resource::<RasterCache>();
    assert_eq!(cache.uses().1, 1);
    assert_eq!(cache.byte_len(), 90 * 90 * 4);
}

#[test]
fn fit_and_crop_are_those_of_stills() {
    // Left half red, right half white, twice as wide as high.
    let halves = svg(
        "viewBox='0 0 80 40'",
        "<rect width='80' height='40' fill='white'/><rect width='40' height='40' fill='red'/>",
    );
    let contain = shown(&halves, |layer| {
        sized(120.0, 120.0)(layer);
        layer.fit = Fit::Contain;
    });
    assert_eq!(pixel(&contain, 5, 20), BLACK, "above it");
    assert_eq!(
        [pixel(&contain, 5, 60), pixel(&contain, 61, 60)],
        [RED, WHITE]
    );
    let cover = shown(&halves, |layer| {
        sized(120.0, 120.0)(layer);
        layer.fit = Fit::Cover;
    });
    assert_eq!([pixel(&cover, 0, 0), pixel(&cover, 119, 119)], [RED, WHITE]);
    assert_eq!([pixel(&cover, 59, 60), pixel(&cover, 60, 60)], [RED, WHITE]);
    let cropped = shown(&halves, |layer| {
        layer.crop = Crop {
            left: 30.0,
            ..Crop::default()
        };
    });
    assert_eq!(
        [pixel(&cropped, 9, 20), pixel(&cropped, 10, 20)],
        [RED, WHITE]
    );
    assert_eq!(pixel(&cropped, 51, 20), BLACK, "50 pixels are left");
}

#[test]
fn alpha_gradients_and_pictures_inside_are_drawn() {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbaImage::from_pixel(1, 1, image::Rgba([255, 0, 0, 255]))
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    let data = base64(png.get_ref());
    let body = format!(
        "<linearGradient id='g'><stop stop-color='white'/><stop offset='1'/></linearGradient>
         <rect width='120' height='40' fill='url(#g)'/>
         <rect y='40' width='120' height='40' fill='white' opacity='0.5'/>
         <image y='80' width='40' height='40' href='data:image/png;base64,{data}'/>"
    );
    let engine = shown(&svg("width='120' height='120'", &body), |_| {});
    let greys = [5, 30, 60, 90, 115].map(|x| pixel(&engine, x, 20)[0]);
    assert!(greys.is_sorted_by(|a, b| a > b), "{greys:?}");
    assert!(greys[0] > 230 && greys[4] < 25, "{greys:?}");
    assert!(pixel(&engine, 60, 60)[0].abs_diff(128) <= 1);
    assert_eq!(pixel(&engine, 20, 100), RED);
    assert_eq!(pixel(&engine, 60, 100), BLACK);
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|three| {
            let word = (0..3).fold(0, |word, at| {
                word << 8 | u32::from(three.get(at).copied().unwrap_or(0))
            });
            let letter = move |at: usize| match at <= three.len() {
                true => char::from(LETTERS[(word >> (18 - 6 * at) & 63) as usize]),
                false => '=',
            };
            (0..4).map(letter)
        })
        .collect()
}

#[test]
fn text_is_drawn_in_the_fonts_that_are_given_and_asked_for_only_then() {
    let words = svg(
        "width='120' height='40'",
        "<text x='2' y='34' font-size='40' font-family='DejaVu Sans'>HHH</text>",
    );
    let fonts = || {
        let mut database = FontDatabase::new();
        database.load_system_fonts();
        PictureFonts {
            database: Arc::new(database),
            set: 7,
        }
    };
    let with = decode_picture(words.as_bytes(), &fonts).unwrap();
    let without = decode(&words).unwrap();
    let inked = |picture: &Picture| {
        let PictureKind::Vector(vector) = picture.kind() else {
            panic!("an SVG");
        };
        let raster = vector
            .draw((glam::Vec2::ZERO, picture.size()), (120, 40))
            .unwrap();
        raster
            .data()
            .chunks(4)
            .filter(|pixel| pixel[3] == 255)
            .count()
    };
    assert!(inked(&with) > 300, "{}", inked(&with));
    assert_eq!(inked(&without), 0);
    assert!(!with.is_same(&without), "other fonts make another picture");
    let asked = || panic!("without text no fonts are needed");
    decode_picture(svg("width='9' height='9'", STRIPES).as_bytes(), &asked).unwrap();
}

#[test]
fn nothing_outside_the_file_is_read() {
    let folder = std::env::temp_dir().join(format!("stream-manager-svg-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("secret.png");
    image::RgbaImage::from_pixel(4, 4, image::Rgba([255, 255, 255, 255]))
        .save(&file)
        .unwrap();
    let path = file.display();
    let nested = base64(
        svg(
            "width='9' height='9'",
            &format!("<image href='{path}' width='9' height='9'/>"),
        )
        .as_bytes(),
    );
    for href in [
        format!("{path}"),
        format!("file://{path}"),
        "http://127.0.0.1:9/a.png".to_owned(),
        format!("data:image/svg+xml;base64,{nested}"),
    ] {
        let picture = svg(
            "width='120' height='120'",
            &format!("<image width='120' height='120' href='{href}'/>"),
        );
        let engine = shown(&picture, |_| {});
        assert_eq!(pixel(&engine, 60, 60), BLACK, "{href}");
    }
    let external = format!(
        "<!DOCTYPE svg [<!ENTITY secret SYSTEM 'file://{path}'>]>{}",
        svg("width='9' height='9'", "<desc>&secret;</desc>")
    );
    assert!(decode(&external).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_svg_is_known_by_its_first_element() {
    for start in [
        "<svg>",
        "\u{feff} <?xml version='1.0'?>\n<!-- <html> --><svg\nwidth='1'>",
        "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'a.dtd'><svg/>",
        "<!DOCTYPE svg [<!ENTITY a 'b'>]><svg:svg xmlns:svg='x'>",
    ] {
        assert!(is_svg(start.as_bytes()), "{start}");
    }
    for start in [
        "",
        "<",
        "svg",
        "<html><svg>",
        "<svgs>",
        "<!-- <svg>",
        "<svg",
        "GIF89a<svg>",
    ] {
        assert!(!is_svg(start.as_bytes()), "{start}");
    }
}

#[test]
fn what_would_take_too_much_is_refused() {
    let layers = |from: usize, to: usize, line: &dyn Fn(usize, usize) -> String| {
        (from..to).map(|n| line(n, n - 1)).collect::<String>()
    };
    let uses = layers(1, 12, &|n, below| {
        let inner = format!("<use href='#u{below}'/>").repeat(10);
        format!("<g id='u{n}'>{inner}</g>")
    });
    let patterns = |rect: &str| {
        layers(1, 12, &|n, below| {
            let inner = rect.replace('?', &below.to_string()).repeat(10);
            format!("<pattern id='u{n}' width='1' height='1'>{inner}</pattern>")
        })
    };
    let first = "<rect id='u0' width='1' height='1'/>";
    let by_class: String = (0..12)
        .map(|n| format!(".c{n}{{fill:url(#u{n})}}"))
        .collect();
    let entities = |value: &str| {
        let uses = "&a;".repeat(2000);
        let body = format!("<desc>{uses}</desc>");
        let document = svg("width='9' height='9'", &body);
        format!("<!DOCTYPE svg [<!ENTITY b 'b'><!ENTITY a '{value}'>]>{document}")
    };
    let size = "width='9' height='9'";
    for (name, file) in [
        (
            "uses",
            svg(size, &format!("{first}{uses}<use href='#u11'/>")),
        ),
        (
            "patterns",
            svg(
                size,
                &format!(
                    "{}<rect width='9' height='9' fill='url(#u11)'/>",
                    patterns("<rect width='1' height='1' fill='url(#u?)'/>")
                ),
            ),
        ),
        (
            "patterns by style",
            svg(
                size,
                &format!(
                    "<style>{by_class}</style>{}<rect width='9' height='9' class='c11'/>",
                    patterns("<rect width='1' height='1' class='c?'/>")
                ),
            ),
        ),
        ("entities in entities", entities("&b;&b;")),
        ("long entities", entities(&"x".repeat(3000))),
        (
            "depth",
            svg(
                size,
                &format!("{}{}", "<g>".repeat(20_000), "</g>".repeat(20_000)),
            ),
        ),
        (
            "closed depth",
            svg(
                size,
                &format!("{}{}", "<g opacity='0.5'>".repeat(900), "</g>".repeat(900)),
            ),
        ),
        (
            "layers",
            svg(
                size,
                &format!(
                    "{}<rect width='9' height='9'/><rect width='9' height='8'/>{}",
                    "<g opacity='0.5'><rect width='3' height='3'/>".repeat(100),
                    "</g>".repeat(100)
                ),
            ),
        ),
        (
            "turbulence",
            svg(
                size,
                "<filter id='f'><feTurbulence numOctaves='2000000000'/></filter><rect width='9' height='9' filter='url(#f)'/><rect width='9' height='9' filter='url(#f)'/>",
            ),
        ),
        ("elements", svg(size, &"<g/>".repeat(300_000))),
        ("a side", svg("width='20000' height='9'", "")),
        (
            "a length",
            svg(size, &format!("<!--{}-->", "x".repeat(8 << 20))),
        ),
        ("no size", svg("width='0' height='9'", "")),
        (
            "no end",
            "<svg xmlns='http://www.w3.org/2000/svg'".to_owned() + " >",
        ),
    ] {
        let result = decode(&file);
        assert!(result.is_err(), "{name}");
    }
    // What is common is not.
    let common = svg(
        size,
        &format!(
            "<!-- --><g fill='url(#u1)'>{}</g>{}",
            "<path d='M0 0h9v9z'/>".repeat(2000),
            patterns("<rect width='1' height='1'/>")
        ),
    );
    assert!(decode(&common).is_ok(), "{:?}", decode(&common));
    assert!(decode(&entities("plain")).is_ok());
    let deep = format!(
        "{}<path d='M0 0h9v9z'/>{}",
        "<g transform='translate(0.1)'>".repeat(190),
        "</g>".repeat(190)
    );
    shown(&svg(size, &deep), |_| {});
}
