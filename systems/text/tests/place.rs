//! Where words stand and how they are made to fit: told by where their ink is.

mod common;

use common::{Ink, bands, draw, ink, ink_area, source, source_with, try_draw};
use components::source::{Align, FitText, Overflow, TextDirection, TextSource, VerticalAlign};
use glam::Vec2;
use stream_manager_text::{
    FontLibrary, RASTER_SIDE_PX_MAX, TextError, TextRequest, WORDS_BYTES_MAX,
};

const BOX: (f32, f32) = (400.0, 200.0);
const LONG: &str =
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen";
const HEBREW: &str = "אחת שתיים שלוש ארבע חמש שש שבע שמונה תשע עשר אחת עשרה שתים עשרה";

fn boxed(words: &str, change: impl FnOnce(&mut TextSource)) -> Ink {
    ink(&draw(&source_with(change), words, Some(BOX)))
}

#[test]
fn lines_stand_where_align_says() {
    let near = |a: f32, b: f32| (a - b).abs() < 8.0;
    for (words, align, left, right) in [
        ("Hi", Align::Start, true, false),
        ("Hi", Align::Left, true, false),
        ("Hi", Align::End, false, true),
        ("Hi", Align::Right, false, true),
        ("Hi", Align::Justify, true, false),
        ("שלום", Align::Start, false, true),
        ("שלום", Align::Left, true, false),
        ("שלום", Align::End, true, false),
        ("שלום", Align::Right, false, true),
        ("שלום", Align::Justify, false, true),
    ] {
        let ink = boxed(words, |source| source.align = align);
        assert_eq!(near(ink.left, 0.0), left, "{words} {align:?} {ink:?}");
        assert_eq!(near(ink.right, BOX.0), right, "{words} {align:?} {ink:?}");
    }
    for words in ["Hi", "שלום"] {
        let ink = boxed(words, |source| source.align = Align::Center);
        assert!(near(ink.left, BOX.0 - ink.right), "{words} {ink:?}");
    }
}

#[test]
fn tracking_leaves_centred_words_in_the_middle() {
    let ink = boxed("HHH", |source| {
        source.align = Align::Center;
        source.font.letter_spacing = 40.0;
    });
    assert!((ink.left - (BOX.0 - ink.right)).abs() < 2.0, "{ink:?}");
}

#[test]
fn direction_can_be_given() {
    let ink = boxed("Hi", |source| source.direction = TextDirection::Rtl);
    assert!(ink.right > 390.0);
    let ink = boxed("שלום", |source| source.direction = TextDirection::Ltr);
    assert!(ink.left < 10.0);
}

#[test]
fn justified_lines_reach_both_sides_but_for_the_last() {
    for (words, last_at_left) in [(LONG, true), (HEBREW, false)] {
        let source = source_with(|source| source.align = Align::Justify);
        let drawn = draw(&source, words, Some((300.0, 400.0)));
        let width = drawn.pixmap.width() as usize;
        let lines = bands(&drawn);
        assert!(lines.len() >= 3);
        for (index, (top, bottom)) in lines.iter().enumerate() {
            let rows = (top - drawn.origin.y) as usize..(bottom - drawn.origin.y) as usize;
            let columns = rows.flat_map(|y| {
                let row = &drawn.pixmap.data()[y * width * 4..(y + 1) * width * 4];
                row.chunks_exact(4)
                    .enumerate()
                    .filter(|(_, pixel)| pixel[3] > 24)
                    .map(|(x, _)| x as f32)
                    .collect::<Vec<_>>()
            });
            let (mut left, mut right) = (f32::MAX, f32::MIN);
            for x in columns {
                left = left.min(x + drawn.origin.x);
                right = right.max(x + drawn.origin.x);
            }
            if index + 1 < lines.len() {
                assert!(
                    left < 6.0 && right > 293.0,
                    "line {index}: {left} to {right}"
                );
            } else {
                assert_eq!(left < 6.0, last_at_left, "{left} to {right}");
                assert_eq!(right > 293.0, !last_at_left, "{left} to {right}");
            }
        }
    }
}

#[test]
fn blocks_stand_where_vertical_align_says() {
    let top = boxed("H", |_| {});
    let middle = boxed("H", |source| source.vertical_align = VerticalAlign::Middle);
    let bottom = boxed("H", |source| source.vertical_align = VerticalAlign::Bottom);
    assert!(top.top < 20.0);
    assert!((middle.top - top.top - 76.0).abs() <= 1.0, "(200 - 48) / 2");
    assert!((bottom.top - top.top - 152.0).abs() <= 1.0);
}

#[test]
fn lines_break_at_the_box_and_at_newlines() {
    let wrapped = draw(&source(), LONG, Some((300.0, 900.0)));
    assert!(bands(&wrapped).len() > 3);
    assert!(ink(&wrapped).right <= 300.0);
    let unwrapped = draw(
        &source_with(|source| source.wrap = false),
        LONG,
        Some((300.0, 900.0)),
    );
    assert_eq!(bands(&unwrapped).len(), 1);
    assert!(ink(&unwrapped).right > 1000.0);
    assert_eq!(bands(&draw(&source(), "H\nH\r\nH", None)).len(), 3);
    assert_eq!(
        bands(&draw(&source(), LONG, None)).len(),
        1,
        "no size, no wrapping"
    );
}

#[test]
fn a_word_that_is_too_wide_is_broken() {
    let drawn = draw(
        &source(),
        "Donaudampfschifffahrtsgesellschaft",
        Some((200.0, 300.0)),
    );
    assert!(ink(&drawn).right <= 200.0);
    assert!(bands(&drawn).len() > 1);
}

#[test]
fn max_lines_are_the_most_that_are_shown() {
    let drawn = draw(
        &source_with(|source| source.max_lines = Some(2)),
        "H\nH\nH\nH",
        Some(BOX),
    );
    assert_eq!(bands(&drawn).len(), 2);
    let natural = draw(
        &source_with(|source| source.max_lines = Some(2)),
        "H\nH\nH",
        None,
    );
    assert_eq!(natural.size.y, 96.0);
}

#[test]
fn overflow_runs_out_or_is_cut() {
    let size = Some((300.0, 60.0));
    let visible = draw(&source(), LONG, size);
    assert!(ink(&visible).bottom > 150.0);
    let clipped = draw(
        &source_with(|source| source.overflow = Overflow::Clip),
        LONG,
        size,
    );
    let cut = ink(&clipped);
    assert!(cut.bottom <= 60.0 && cut.right <= 300.0 && cut.left >= 0.0 && cut.top >= 0.0);
    assert_eq!(cut.bottom, 60.0, "the second line is cut through");
}

#[test]
fn the_last_line_that_fits_ends_in_an_ellipsis() {
    for (words, wrap, size) in [
        (LONG, true, (300.0, 100.0)),
        (LONG, false, (300.0, 60.0)),
        (HEBREW, true, (300.0, 100.0)),
        (HEBREW, false, (300.0, 60.0)),
        ("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", false, (200.0, 60.0)),
    ] {
        let source = source_with(|source| {
            source.overflow = Overflow::Ellipsis;
            source.wrap = wrap;
        });
        let drawn = draw(&source, words, Some(size));
        let ink = ink(&drawn);
        assert_eq!(drawn.missing_glyphs, 0, "{words}");
        assert!(
            ink.left >= -1.0 && ink.right <= size.0 + 1.0 && ink.bottom <= size.1,
            "{words}: {ink:?}"
        );
        assert!(ink.width() > 0.75 * size.0, "{words}: {ink:?}");
        assert_eq!(bands(&drawn).len(), if wrap { 2 } else { 1 }, "{words}");
    }
}

#[test]
fn the_ellipsis_stands_where_reading_ends() {
    // Low ink only in the last columns where reading ends: dots.
    let source = source_with(|source| {
        source.overflow = Overflow::Ellipsis;
        source.wrap = false;
    });
    for (words, at_right) in [
        ("HHHHHHHHHHHHHHHHHHH", true),
        ("ההההההההההההההההההההה", false),
    ] {
        let drawn = draw(&source, words, Some((200.0, 60.0)));
        let ink = ink(&drawn);
        let columns = if at_right {
            (ink.right - 6.0) as i32..ink.right as i32
        } else {
            ink.left as i32..(ink.left + 6.0) as i32
        };
        let middle = (ink.top + ink.height() / 2.0) as i32;
        for y in ink.top as i32..middle {
            for x in columns.clone() {
                let (x, y) = (x - drawn.origin.x as i32, y - drawn.origin.y as i32);
                let alpha = drawn
                    .pixmap
                    .pixel(x as u32, y as u32)
                    .map_or(0, |pixel| pixel.alpha());
                assert!(alpha < 24, "{words}: ink above the dots");
            }
        }
    }
}

#[test]
fn text_that_fits_has_no_ellipsis() {
    let source = source_with(|source| source.overflow = Overflow::Ellipsis);
    let plain = draw(&common::source(), "fits", Some(BOX));
    assert_eq!(draw(&source, "fits", Some(BOX)), plain);
    let natural = FontLibrary::new(true).measure(&source, LONG, None, None);
    let exact = draw(&source, LONG, Some((natural.x, natural.y)));
    assert_eq!(exact.pixmap, draw(&common::source(), LONG, None).pixmap);
}

#[test]
fn no_space_stands_before_the_ellipsis() {
    let source = source_with(|source| {
        source.overflow = Overflow::Ellipsis;
        source.max_lines = Some(1);
    });
    let cut = draw(&source, "word   \nmore", None);
    let written = draw(&common::source(), "word…", None);
    assert_eq!(cut.pixmap, written.pixmap);
    assert_eq!(cut.size, written.size);
}

#[test]
fn fitted_text_fills_its_box_and_stays_in_it() {
    for (words, wrap, size) in [
        ("Short", false, (600.0, 120.0)),
        (LONG, true, (500.0, 300.0)),
        (LONG, false, (500.0, 300.0)),
        (HEBREW, true, (333.0, 222.0)),
        ("Wide words Donaudampfschiff", true, (240.0, 500.0)),
    ] {
        let source = source_with(|source| {
            source.wrap = wrap;
            source.fit_to_box = Some(FitText {
                min_size: 4.0,
                max_size: Some(500.0),
            });
        });
        let mut library = FontLibrary::new(true);
        let taken = library.measure(&source, words, None, Some(Vec2::from(size)));
        assert!(taken.x <= size.0 && taken.y <= size.1, "{words}: {taken}");
        let drawn = draw(&source, words, Some(size));
        let larger = source_with(|source| {
            source.wrap = wrap;
            source.font.size = drawn.font_size + 0.5;
        });
        let taken = library.measure(&larger, words, Some(size.0), None);
        let widest_word = words
            .split(' ')
            .map(|word| library.measure(&larger, word, None, None).x);
        let widest_word = widest_word.fold(0.0, f32::max);
        assert!(
            taken.x > size.0 || taken.y > size.1 || widest_word > size.0,
            "{words}: {} leaves room: {taken}",
            drawn.font_size
        );
    }
}

#[test]
fn fitting_stays_between_its_sizes() {
    let fitted = |min_size, max_size| {
        let source = source_with(|source| source.fit_to_box = Some(FitText { min_size, max_size }));
        draw(&source, LONG, Some((100.0, 30.0))).font_size
    };
    assert_eq!(fitted(12.0, Some(20.0)), 12.0);
    let source = source_with(|source| source.fit_to_box = Some(FitText::default()));
    assert_eq!(
        draw(&source, "x", Some((900.0, 900.0))).font_size,
        40.0,
        "the font's own size"
    );
}

#[test]
fn the_natural_size_is_that_of_the_lines() {
    let mut library = FontLibrary::new(true);
    let size = library.measure(&source(), "HHH", None, None);
    let drawn = draw(&source(), "HHH", None);
    assert_eq!(drawn.size, size);
    assert_eq!(size, size.ceil());
    assert!(ink(&drawn).right <= size.x);
    let wrapped = library.measure(&source(), LONG, Some(300.0), None);
    assert!(wrapped.x <= 300.0 && wrapped.y >= 96.0);
    assert_eq!(library.measure(&source(), "", None, None).x, 0.0);
}

#[test]
fn lines_are_as_high_with_emoji_as_without() {
    let mut library = FontLibrary::new(true);
    let mut height = |words: &str| library.measure(&source(), words, None, None).y;
    assert_eq!(height("H"), 48.0);
    assert_eq!(height("H🎉 مرحبا नमस्ते"), 48.0);
    assert_eq!(height("🎉"), 48.0);
    assert_eq!(height("H\n❤️❤️\nH"), 144.0);
}

#[test]
fn nothing_to_draw_is_one_clear_pixel() {
    for words in ["", " ", "\n\n", "\u{200b}"] {
        let drawn = draw(&source(), words, Some(BOX));
        assert_eq!(ink_area(&drawn), 0.0, "{words:?}");
        assert_eq!((drawn.pixmap.width(), drawn.pixmap.height()), (1, 1));
    }
}

#[test]
fn limits_are_errors_that_name_them() {
    let long = "m".repeat(10_000);
    match try_draw(&source(), &long, None) {
        Err(error @ TextError::TooLarge { .. }) => {
            assert!(
                error.to_string().contains(&RASTER_SIDE_PX_MAX.to_string()),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    let clipped = source_with(|source| source.overflow = Overflow::Clip);
    draw(&clipped, &long, Some((500.0, 100.0)));
    let too_long = "m".repeat(WORDS_BYTES_MAX + 1);
    assert!(matches!(
        try_draw(&source(), &too_long, None),
        Err(TextError::TooLong { .. })
    ));
}

#[test]
fn long_texts_are_drawn_where_they_show() {
    let words = "lorem ipsum dolor ".repeat(100_000 / 18);
    for overflow in [Overflow::Clip, Overflow::Ellipsis] {
        for wrap in [true, false] {
            let source = source_with(|source| {
                source.overflow = overflow;
                source.wrap = wrap;
            });
            let drawn = draw(&source, &words, Some(BOX));
            assert!(ink(&drawn).right <= BOX.0 + 1.0);
        }
    }
}

#[test]
fn the_same_request_gives_the_same_pixels() {
    let source = source_with(|source| {
        source.fit_to_box = Some(FitText::default());
        source.overflow = Overflow::Ellipsis;
    });
    let mut library = FontLibrary::new(true);
    let request = TextRequest {
        source: &source,
        words: "Mixed مرحبا 🎉 नमस्ते",
        size: Some(Vec2::new(301.0, 77.0)),
        scale: Vec2::new(1.5, 1.5),
    };
    let first = library.draw(&request).expect("drawn");
    for _ in 0..3 {
        assert_eq!(library.draw(&request).expect("drawn"), first);
    }
    assert_eq!(FontLibrary::new(true).draw(&request).expect("drawn"), first);
}
