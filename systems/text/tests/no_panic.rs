//! Whatever the words, the box and the fields, a text is drawn or refused.

mod common;

use std::cell::RefCell;

use common::source;
use components::source::{
    Align, FitText, FontStyle, Outline, Overflow, Shadow, TextDirection, TextSource, VerticalAlign,
};
use components::value::Point;
use components::{Colour, Paint};
use glam::Vec2;
use proptest::prelude::*;
use stream_manager_text::{FontLibrary, TextRequest};

thread_local! {
    static LIBRARY: RefCell<FontLibrary> = RefCell::new(FontLibrary::new(true));
}

fn words() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<String>(),
        4 => "[a-zA-Z ,.]{0,40}",
        2 => "[א-ת ]{0,20}",
        2 => "[ء-ي ]{0,20}",
        1 => Just("👩‍👩‍👧🏳️‍🌈".to_owned()),
        1 => Just("\u{202e}rtl\u{202c}\u{200d}\u{fe0f}\u{301}\u{301}".to_owned()),
        1 => Just("\r\n\t\u{0}\u{2028}\u{2029}\u{85}".to_owned()),
        1 => Just("नमस्ते ".to_owned()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => 0.0_f32..120.0,
        2 => -50.0_f32..2000.0,
        1 => prop::num::f32::ANY,
        1 => Just(0.0),
    ]
}

fn a_source() -> impl Strategy<Value = TextSource> {
    let shape = (
        number(),
        number(),
        any::<bool>(),
        number(),
        number(),
        any::<bool>(),
    );
    let place = (
        0..6_usize,
        0..3_usize,
        any::<bool>(),
        prop::option::of(0_u32..4),
        0..3_usize,
        0..3_usize,
    );
    let looks = (
        prop::option::of((number(), prop::option::of(number()))),
        prop::option::of(number()),
        prop::option::of((number(), number(), number())),
        0..4_u8,
    );
    (shape, place, looks).prop_map(|(shape, place, (fit, outline, shadow, fill))| {
        let mut source = source();
        source.font.size = shape.0;
        source.font.weight = shape.1 * 10.0;
        source.font.tabular_figures = shape.2;
        source.font.line_height = shape.3 / 40.0;
        source.font.letter_spacing = if shape.2 { shape.4 } else { 0.0 };
        source.font.style = if shape.5 {
            FontStyle::Italic
        } else {
            FontStyle::Normal
        };
        source.align = [
            Align::Start,
            Align::Center,
            Align::End,
            Align::Left,
            Align::Right,
            Align::Justify,
        ][place.0];
        source.vertical_align = [
            VerticalAlign::Top,
            VerticalAlign::Middle,
            VerticalAlign::Bottom,
        ][place.1];
        source.wrap = place.2;
        source.max_lines = place.3;
        source.overflow = [Overflow::Visible, Overflow::Clip, Overflow::Ellipsis][place.4];
        source.direction = [TextDirection::Auto, TextDirection::Ltr, TextDirection::Rtl][place.5];
        source.fit_to_box = fit.map(|(min_size, max_size)| FitText { min_size, max_size });
        source.outline = outline.map(|width| Outline {
            color: Colour::BLACK,
            width,
        });
        source.shadow = shadow.map(|(x, y, blur)| Shadow {
            color: Colour::BLACK,
            offset: Point { x, y },
            blur,
        });
        if fill == 0 {
            source.fill = Paint::Solid(Colour::TRANSPARENT);
        }
        source
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_drawn_or_refused(
        words in words(),
        source in a_source(),
        size in prop::option::of((number(), number())),
        scale in (0.1_f32..3.0, prop_oneof![3 => Just(1.0_f32), 1 => prop::num::f32::ANY]),
    ) {
        LIBRARY.with_borrow_mut(|library| {
            let size = size.map(Vec2::from);
            let scale = Vec2::new(scale.0, scale.0 * scale.1.clamp(0.5, 2.0));
            let measured = library.measure(&source, &words, size.map(|size| size.x), size);
            prop_assert!(measured.is_finite() && measured.min_element() >= 0.0);
            let request = TextRequest { source: &source, words: &words, size, scale };
            if let Ok(drawn) = library.draw(&request) {
                prop_assert!(drawn.origin.is_finite() && drawn.size.is_finite());
                for pixel in drawn.pixmap.pixels() {
                    let colour = pixel.red().max(pixel.green()).max(pixel.blue());
                    prop_assert!(colour <= pixel.alpha(), "premultiplied");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_ellipsis_keeps_to_its_box(words in "[a-zא-ת 🎉]{1,60}", width in 60.0_f32..500.0) {
        LIBRARY.with_borrow_mut(|library| {
            let mut source = source();
            source.overflow = Overflow::Ellipsis;
            let size = Vec2::new(width, 100.0);
            let taken = library.measure(&source, &words, None, Some(size));
            prop_assert!(taken.x <= width.ceil() && taken.y <= 100.0, "{taken}");
            Ok(())
        })?;
    }
}
