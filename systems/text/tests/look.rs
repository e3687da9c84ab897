//! How letters look: fonts, weights, scripts, fills, outlines, shadows. Told by the pixels.

mod common;

use common::variable_font::{BAR_GAIN, BAR_THIN, bar_font};
use common::{bands, draw, ink, ink_area, ink_where, source, source_with};
use components::source::{FontStyle, Outline, Shadow};
use components::value::{Gradient, GradientKind, GradientStop, Point};
use components::{Colour, Paint};
use glam::Vec2;
use stream_manager_text::{FontLibrary, TextError, TextRequest};

const RED: Colour = Colour::opaque(255, 0, 0);
const BLUE: Colour = Colour::opaque(0, 0, 255);

fn red_to_blue(angle: f32) -> Paint {
    Paint::Gradient(Gradient {
        kind: GradientKind::Linear,
        angle,
        center: Point::default(),
        radius: 0.5,
        stops: vec![
            GradientStop {
                at: 0.0,
                color: RED,
            },
            GradientStop {
                at: 1.0,
                color: BLUE,
            },
        ],
    })
}

#[test]
fn every_script_finds_its_font() {
    for words in [
        "English",
        "مرحبا بالعالم",
        "שלום",
        "नमस्ते दुनिया",
        "Γειά",
        "Привет",
        "สวัสดี",
        "🎉",
    ] {
        let drawn = draw(&source(), words, None);
        assert_eq!(drawn.missing_glyphs, 0, "{words}");
        assert!(ink_area(&drawn) > 50.0, "{words}");
    }
}

#[test]
fn what_no_font_has_is_counted() {
    let drawn = draw(&source(), "a\u{f8ff1}b", None);
    assert_eq!(drawn.missing_glyphs, 1);
}

#[test]
fn arabic_letters_join() {
    let joined = draw(&source(), "سلام", None);
    let apart = draw(&source(), "س\u{200c}ل\u{200c}ا\u{200c}م", None);
    assert!(ink(&joined).width() < ink(&apart).width());
    let spaced = source_with(|source| source.font.letter_spacing = 10.0);
    assert_eq!(draw(&spaced, "سلام", None).pixmap, joined.pixmap);
}

#[test]
fn emoji_have_their_own_colours() {
    let is_coloured = |pixel: [u8; 4]| {
        let [red, green, blue, alpha] = pixel;
        alpha > 200 && red.max(green).max(blue) - red.min(green).min(blue) > 60
    };
    assert!(ink_where(&draw(&source(), "😀", None), is_coloured).is_some());
    assert!(ink_where(&draw(&source(), "x", None), is_coloured).is_none());
    let family = draw(&source(), "👩‍👩‍👧", None);
    let one = draw(&source(), "👩", None);
    assert_eq!(family.size.x, one.size.x, "a joined sequence is one glyph");
}

#[test]
fn heavier_weights_have_more_ink() {
    let area = |weight: f32| {
        let source = source_with(|source| source.font.weight = weight);
        ink_area(&draw(&source, "Hamburgefonstiv", None))
    };
    assert!(area(700.0) > 1.15 * area(400.0));
    assert!(area(900.0) >= area(700.0));
}

#[test]
fn a_variable_font_has_every_weight() {
    let mut library = FontLibrary::new(false);
    let families = library.register(bar_font(), "Bar").expect("a font");
    assert_eq!(families, ["Bar"]);
    for weight in [100.0, 250.0, 400.0, 500.0, 900.0] {
        let source = source_with(|source| {
            source.font.family = "Bar".to_owned();
            source.font.size = 100.0;
            source.font.weight = weight;
        });
        let request = TextRequest {
            source: &source,
            words: "I",
            size: None,
            scale: Vec2::ONE,
        };
        let drawn = library.draw(&request).expect("drawn");
        let bold = (weight - 100.0) / 800.0;
        let width = (f32::from(BAR_THIN) + bold * f32::from(BAR_GAIN)) / 10.0;
        assert!((ink_area(&drawn) / 70.0 - width).abs() < 0.3, "{weight}");
        assert!(
            (ink(&drawn).width() - width.ceil()).abs() <= 1.0,
            "{weight}"
        );
    }
}

#[test]
fn italics_lean_even_where_there_is_no_italic_face() {
    for family in ["Noto Sans", "Noto Sans Hebrew"] {
        let words = if family == "Noto Sans" { "l" } else { "ן" };
        let upright = source_with(|source| source.font.family = family.to_owned());
        let slanted = source_with(|source| {
            source.font.family = family.to_owned();
            source.font.style = FontStyle::Italic;
        });
        let (upright, slanted) = (draw(&upright, words, None), draw(&slanted, words, None));
        assert!(
            ink(&slanted).width() > ink(&upright).width() + 3.0,
            "{family}: {:?} {:?}",
            ink(&upright),
            ink(&slanted)
        );
    }
}

#[test]
fn tabular_figures_share_a_width() {
    let inter = common::house_font("Inter-Regular.ttf");
    let mut library = FontLibrary::new(false);
    let family = library.register(inter, "Inter").expect("a font").remove(0);
    let mut width = |words: &str, tabular: bool| {
        let source = source_with(|source| {
            source.font.family = family.clone();
            source.font.tabular_figures = tabular;
        });
        library.measure(&source, words, None, None).x
    };
    assert_ne!(width("11111111", false), width("00000000", false));
    assert_eq!(width("11111111", true), width("00000000", true));
}

#[test]
fn size_line_height_and_spacing_are_in_pixels() {
    let size = |change: fn(&mut components::source::TextSource), words: &str| {
        draw(&source_with(change), words, None).size
    };
    let normal = size(|_| {}, "HHHH");
    assert_eq!(normal.y, 48.0, "1.2 times 40");
    assert_eq!(
        size(|source| source.font.line_height = 2.0, "H\nH").y,
        160.0
    );
    let doubled = size(|source| source.font.size = 80.0, "HHHH");
    assert!((doubled.x - 2.0 * normal.x).abs() <= 1.0);
    let spaced = size(|source| source.font.letter_spacing = 10.0, "HHHH");
    assert!(
        (spaced.x - normal.x - 30.0).abs() <= 1.0,
        "three gaps of four letters"
    );
}

#[test]
fn a_gradient_runs_over_the_whole_text() {
    let across = source_with(|source| source.fill = red_to_blue(90.0));
    let drawn = draw(&across, "IIIIIIIIII", None);
    let red = ink_where(&drawn, |pixel| pixel[0] > 200 && pixel[3] == 255).expect("red");
    let blue = ink_where(&drawn, |pixel| pixel[2] > 200 && pixel[3] == 255).expect("blue");
    let whole = ink(&drawn);
    assert!(red.left < whole.left + 4.0 && blue.right > whole.right - 4.0);
    assert!(red.right < blue.left);

    let down = source_with(|source| source.fill = red_to_blue(180.0));
    let drawn = draw(&down, "H\nH\nH", None);
    let lines = bands(&drawn);
    assert_eq!(lines.len(), 3);
    let red = ink_where(&drawn, |pixel| pixel[0] > 180 && pixel[3] == 255).expect("red");
    let blue = ink_where(&drawn, |pixel| pixel[2] > 180 && pixel[3] == 255).expect("blue");
    assert!(red.bottom <= lines[0].1 && blue.top >= lines[2].0);
}

#[test]
fn an_outline_stands_outside_the_letters() {
    let bare = ink(&draw(&source(), "HOH", None));
    let outlined = source_with(|source| {
        source.outline = Some(Outline {
            color: RED,
            width: 6.0,
        });
    });
    let drawn = draw(&outlined, "HOH", None);
    let around = ink(&drawn);
    for (grown, side) in [
        (bare.left - around.left, "left"),
        (bare.top - around.top, "top"),
        (around.right - bare.right, "right"),
        (around.bottom - bare.bottom, "bottom"),
    ] {
        assert!((5.0..=7.0).contains(&grown), "{side} grew by {grown}");
    }
    let white = ink_where(&drawn, |pixel| pixel == [255; 4]).expect("the fill is still there");
    assert!((white.width() - bare.width()).abs() <= 2.0);
}

#[test]
fn an_outline_leaves_the_inside_of_glass_letters_clear() {
    let glass = source_with(|source| {
        source.font.size = 120.0;
        source.fill = Paint::Solid(Colour {
            alpha: 0,
            ..Colour::WHITE
        });
        source.outline = Some(Outline {
            color: RED,
            width: 2.0,
        });
    });
    let drawn = draw(&glass, "I", None);
    let middle = drawn
        .pixmap
        .pixel(drawn.pixmap.width() / 2, drawn.pixmap.height() / 2);
    assert_eq!(middle.expect("inside").alpha(), 0);
    assert!(ink_area(&drawn) > 100.0);
}

#[test]
fn a_shadow_lies_at_its_offset() {
    let bare = ink(&draw(&source(), "HOH", None));
    let hard = source_with(|source| {
        source.shadow = Some(Shadow {
            color: RED,
            offset: Point { x: 30.0, y: 60.0 },
            blur: 0.0,
        });
    });
    let drawn = draw(&hard, "HOH", None);
    let shadow = ink_where(&drawn, |pixel| pixel[0] > 200 && pixel[1] == 0).expect("a shadow");
    assert!((shadow.left - bare.left - 30.0).abs() <= 1.0);
    assert!((shadow.bottom - bare.bottom - 60.0).abs() <= 1.0);
    assert!((shadow.width() - bare.width()).abs() <= 2.0);

    let soft = source_with(|source| {
        source.shadow = Some(Shadow {
            color: RED,
            offset: Point { x: 0.0, y: 0.0 },
            blur: 6.0,
        });
    });
    let drawn = draw(&soft, "HOH", None);
    let glow = ink_where(&drawn, |pixel| pixel[3] > 2).expect("a glow");
    let spread = bare.left - glow.left;
    assert!((6.0..=18.0).contains(&spread), "spread {spread}");
    assert!(drawn.origin.x < 0.0, "it reaches out of the box");
}

#[test]
fn resolution_changes_pixels_and_not_the_layout() {
    let source = source_with(|source| source.fill = red_to_blue(90.0));
    let mut library = FontLibrary::new(true);
    let mut at = |scale: f32| {
        library
            .draw(&TextRequest {
                source: &source,
                words: "Size\nof text",
                size: None,
                scale: Vec2::splat(scale),
            })
            .expect("drawn")
    };
    let (one, three) = (at(1.0), at(3.0));
    assert_eq!(one.size, three.size);
    let ratio = three.pixmap.width() as f32 / one.pixmap.width() as f32;
    assert!((2.8..=3.1).contains(&ratio), "{ratio}");
    assert!((three.origin * 3.0).fract().abs().max_element() < 1e-3);
    let area = ink_area(&three) / ink_area(&one);
    assert!((8.6..=9.4).contains(&area), "{area}");
}

#[test]
fn baselines_stand_on_whole_rows() {
    let shifted = source_with(|source| source.font.line_height = 1.37);
    let drawn = draw(&shifted, "EEEE\nEEEE\nEEEE", None);
    let width = drawn.pixmap.width() as usize;
    for (_, bottom) in bands(&drawn) {
        let row = (bottom - 1.0 - drawn.origin.y) as usize;
        let strongest = drawn.pixmap.data()[row * width * 4..(row + 1) * width * 4]
            .chunks_exact(4)
            .map(|pixel| pixel[3])
            .max();
        assert_eq!(strongest, Some(255), "the foot of E fills its row");
    }
}

#[test]
fn registered_fonts_are_used_and_bad_ones_named() {
    let mut library = FontLibrary::new(false);
    assert_eq!(
        library.register(vec![1, 2, 3], "fonts/broken.ttf"),
        Err(TextError::NotAFont {
            name: "fonts/broken.ttf".to_owned()
        })
    );
    let data = std::fs::read("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").expect("installed");
    let families = library
        .register(data.clone(), "DejaVuSans.ttf")
        .expect("a font");
    assert_eq!(families, ["DejaVu Sans"]);
    assert_eq!(library.register(data, "again"), Ok(families));
    assert!(library.has_family("dejavu sans"));
    let measured = library.measure(&source(), "helped out by DejaVu Sans", None, None);
    assert!(measured.x > 100.0);
    library.unregister_all();
    assert!(!library.has_family("DejaVu Sans"));
}

#[test]
fn a_library_can_be_a_resource() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<FontLibrary>();
}
