//! Broken and hostile picture files: each is refused with an error, or shown; none brings anything down.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod support;

use image::codecs::gif::Repeat;
use proptest::prelude::*;
use stream_manager_systems::assets::{Picture, PictureFonts, PictureKind, decode_picture};
use support::*;

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    decode_picture(bytes, &PictureFonts::default).map_err(|error| error.to_string())
}

const SVG: &str = "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]>
<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><style>.a{fill:url(#g)}</style>
<linearGradient id='g'><stop stop-color='red'/><stop offset='1'/></linearGradient>
<pattern id='p' width='4' height='4' patternUnits='userSpaceOnUse'><path d='M0 0h2v2z' class='a'/></pattern>
<mask id='m'><rect width='9' height='9' fill='white'/></mask><clipPath id='c'><circle r='8'/></clipPath>
<filter id='f'><feGaussianBlur stdDeviation='1'/><feOffset dx='1'/></filter>
<g mask='url(#m)' clip-path='url(#c)' transform='rotate(9)'><use href='#q'/></g><desc>&a;</desc>
<path id='q' d='M1 1C2 3 4 5 9 9z' fill='url(#p)' stroke='#00f8' stroke-dasharray='1 2' filter='url(#f)'/></svg>";

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let frames = [(RED, 40), (GREEN, 100), (BLUE, 60)];
    let parts = frames.map(|(colour, milliseconds)| whole(colour, milliseconds as u16));
    vec![
        ("GIF", gif(&frames, Some(Repeat::Infinite))),
        ("APNG", apng(&parts, 0)),
        ("WebP", webp(&parts, 0)),
        ("SVG", SVG.as_bytes().to_vec()),
    ]
}

/// Decodes, and draws what comes of it.
fn survives(bytes: &[u8]) {
    let Ok(picture) = decode(bytes) else { return };
    assert!(picture.byte_len() > 0 && picture.size().min_element() > 0.0);
    match picture.kind() {
        PictureKind::Still(raster) => assert!(!raster.data().is_empty()),
        PictureKind::Vector(vector) => {
            vector.draw((glam::Vec2::ZERO, picture.size()), (32, 32));
        }
        PictureKind::Animated(animation) => {
            assert!(animation.ends_nanos().is_sorted_by(|a, b| a < b));
            let frame = animation.frame_at(u64::MAX, 0.0, &Default::default());
            assert!(frame < animation.frames().len());
        }
    }
}

#[test]
fn files_that_end_early_are_refused_or_shown() {
    for (name, bytes) in files() {
        assert!(decode(&bytes).is_ok(), "{name}");
        for length in 0..bytes.len() {
            survives(&bytes[..length]);
        }
        let half = decode(&bytes[..bytes.len() / 3]);
        assert!(half.is_err(), "a third of a {name}");
    }
}

#[test]
fn an_animation_above_its_bound_is_refused_with_words() {
    // A screen of 6000x6000, of which each frame fills a corner: 137 MiB a frame.
    let mut bytes = gif(&[(RED, 40), (GREEN, 100), (BLUE, 60)], None);
    bytes[6..10].copy_from_slice(&[0x70, 0x17, 0x70, 0x17]);
    let error = decode(&bytes).unwrap_err();
    assert!(error.contains("256 MiB"), "{error}");

    let mut wide = gif(&[(RED, 40), (GREEN, 100)], None);
    wide[6..8].copy_from_slice(&[0xff, 0xff]);
    assert!(decode(&wide).is_err(), "65535 pixels wide");

    let mut vast = webp(&[whole(RED, 40), whole(GREEN, 40)], 0);
    // Width and height of the canvas, less one, three bytes each.
    vast[24..30].copy_from_slice(&[0xff, 0x3f, 0, 0xff, 0x3f, 0]);
    assert!(decode(&vast).is_err(), "16384x16384");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn mutated_files_bring_nothing_down(
        which in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let (_, mut bytes) = files().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(&bytes);
    }
}
