//! Shared by the tests of filters: small pictures of every kind, parameters of every kind, and comparing with floats.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{Pixels, Scratch};
use crate::testing::{levels, premultiplied_row};

/// Pictures of up to 24 by 24 pixels, some empty, of valid premultiplied pixels.
pub fn pictures() -> impl Strategy<Value = Pixels> {
    (0..24usize, 0..24usize, premultiplied_row(600)).prop_map(|(width, height, row)| {
        let mut pixels = Pixels::new(width as u32, height as u32);
        for (pixel, value) in pixels.words_mut().iter_mut().zip(row.iter().cycle()) {
            *pixel = *value;
        }
        pixels
    })
}

/// Any float, and those of use more often.
pub fn wild() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<f32>(),
        -30.0f32..30.0,
        Just(0.0),
        Just(f32::MAX),
        Just(f32::NAN),
        Just(f32::INFINITY)
    ]
}

/// A picture of one colour for each position.
pub fn draw(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 4]) -> Pixels {
    let mut pixels = Pixels::new(width, height);
    for (at, word) in pixels.words_mut().iter_mut().enumerate() {
        *word = u32::from_le_bytes(pixel(at as u32 % width, at as u32 / width));
    }
    pixels
}

/// Applies a filter at every level of this machine, demands the same valid pixels of each, and gives them.
pub fn at_all_levels(pixels: &Pixels, apply: impl Fn(&mut Pixels, &mut Scratch)) -> Pixels {
    let mut expected = None;
    for level in levels() {
        let mut got = pixels.clone();
        apply(&mut got, &mut Scratch::with_level(level));
        assert_eq!(
            got,
            *expected.get_or_insert_with(|| got.clone()),
            "{level:?}"
        );
    }
    let result: Pixels = expected.unwrap();
    for pixel in result.words() {
        let [r, g, b, alpha] = pixel.to_le_bytes();
        assert!(r.max(g).max(b) <= alpha, "not premultiplied: {pixel:08x}");
    }
    result
}

/// The bytes of a pixel from 0 to 1.
pub fn unit(pixel: u32) -> [f64; 4] {
    pixel.to_le_bytes().map(|byte| f64::from(byte) / 255.0)
}

/// The largest difference in 255ths between what a filter made and what the floats say.
pub fn error_max(got: &Pixels, expected: impl Fn(usize, usize) -> [f64; 4]) -> f64 {
    let mut worst: f64 = 0.0;
    for (at, &pixel) in got.words().iter().enumerate() {
        let expected = expected(at % got.width(), at / got.width());
        for (got, expected) in unit(pixel).into_iter().zip(expected) {
            assert!(expected.is_finite());
            worst = worst.max((got - expected).abs() * 255.0);
        }
    }
    worst
}
