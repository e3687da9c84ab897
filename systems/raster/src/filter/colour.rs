//! Changes of colour: brightness, contrast, saturation, hue, gamma.

use fearless_simd::{Level, dispatch};

use super::{Pixels, Scratch, pack, unpack, within};

/// Weights of luma: ITU-R BT.709-6, section 3.
const LUMA: [f64; 3] = [0.2126, 0.7152, 0.0722];

/// Steps of the curve for each step of a byte: fine enough between them for the steepest gamma, by linear interpolation.
const CURVE_STEPS: usize = 16;

/// Pixels whose channels are looked up at a time before they are mixed.
const CHUNK: usize = 64;

/// Changes a picture's colours and keeps its alpha.
///
/// A channel v from 0 to 1, not premultiplied, becomes `(v ^ (1 / gamma) - 0.5) * contrast + 0.5 + brightness`, limited to
/// 0..1. The three channels are then multiplied by a matrix and limited again. The matrix mixes each channel with the luma in
/// the share of `saturation`, then turns the hue as `hueRotate` of the W3C's "Filter Effects Module Level 1", section 9.6, does
/// it, so that luma stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colour {
    /// Added to every channel, -1 to 1; 0 changes nothing.
    pub brightness: f32,
    /// Factor on the distance from middle grey, 0 to 4; 1 changes nothing.
    pub contrast: f32,
    /// Factor on the distance from grey of the same luma, 0 (grey) to 4; 1 changes nothing.
    pub saturation: f32,
    /// Turn of the hue in degrees; 0 changes nothing.
    pub hue: f32,
    /// Above 1 middle tones are lighter, below 1 darker; 0.1 to 10; 1 changes nothing.
    pub gamma: f32,
}

impl Default for Colour {
    fn default() -> Self {
        Self {
            brightness: 0.0,
            contrast: 1.0,
            saturation: 1.0,
            hue: 0.0,
            gamma: 1.0,
        }
    }
}

impl Colour {
    /// Changes the colours of `pixels`.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        let tone = Tone {
            brightness: within(self.brightness, -1.0, 1.0, 0.0),
            contrast: within(self.contrast, 0.0, 4.0, 1.0),
            gamma: within(self.gamma, 0.1, 10.0, 1.0),
        };
        let saturation = within(self.saturation, 0.0, 4.0, 1.0);
        let hue = if self.hue.is_finite() {
            self.hue % 360.0
        } else {
            0.0
        };
        let matrix = matrix(f64::from(saturation), f64::from(hue));
        let plain = saturation == 1.0 && hue == 0.0;
        if plain && tone == Tone::default() {
            return;
        }
        let words = pixels.words_mut();
        if tone.gamma == 1.0 {
            dispatch!(scratch.level, _simd => linear(tone, &matrix, words));
        } else {
            scratch.curve.prepare(tone);
            curved(scratch.level, &scratch.curve.values, &matrix, words);
        }
    }
}

/// What is done to each channel on its own.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tone {
    brightness: f32,
    contrast: f32,
    gamma: f32,
}

impl Default for Tone {
    fn default() -> Self {
        Self {
            brightness: 0.0,
            contrast: 1.0,
            gamma: 1.0,
        }
    }
}

/// The tone's curve in small steps, kept while it stays the same.
#[derive(Debug, Default)]
pub(super) struct Curve {
    tone: Tone,
    values: Vec<f32>,
}

impl Curve {
    fn prepare(&mut self, tone: Tone) {
        if self.tone == tone && !self.values.is_empty() {
            return;
        }
        self.tone = tone;
        self.values.clear();
        let last = 255 * CURVE_STEPS;
        // One more than the last, so that interpolation finds a neighbour there too.
        self.values.extend((0..=last + 1).map(|step| {
            let value = step.min(last) as f64 / last as f64;
            let value = value.powf(1.0 / f64::from(tone.gamma));
            let value = (value - 0.5) * f64::from(tone.contrast) + 0.5 + f64::from(tone.brightness);
            value.clamp(0.0, 1.0) as f32
        }));
    }
}

type Matrix = [[f32; 3]; 3];

/// Saturation, then the turn of the hue.
fn matrix(saturation: f64, hue: f64) -> Matrix {
    let (sin, cos) = hue.to_radians().sin_cos();
    let [lr, lg, lb] = LUMA;
    // What the sine adds to red and blue; green gets what keeps the luma.
    let red = [-lr, -lg, 1.0 - lb];
    let blue = [lr - 1.0, lg, lb];
    let green: [f64; 3] = std::array::from_fn(|c| -(lr * red[c] + lb * blue[c]) / lg);
    let turn = [red, green, blue];
    let identity = |row: usize, column: usize| f64::from(u8::from(row == column));
    let rotate = |row: usize, column: usize| {
        LUMA[column] + cos * (identity(row, column) - LUMA[column]) + sin * turn[row][column]
    };
    let saturate = |row: usize, column: usize| {
        LUMA[column] + saturation * (identity(row, column) - LUMA[column])
    };
    std::array::from_fn(|row| {
        std::array::from_fn(|column| {
            let terms = (0..3).map(|k| rotate(row, k) * saturate(k, column));
            terms.sum::<f64>() as f32
        })
    })
}

/// As `clamp(0.0, high)`, which checks its limits each time and so keeps loops from being vectorized.
#[inline(always)]
fn limit(value: f32, high: f32) -> f32 {
    let value = if value > 0.0 { value } else { 0.0 };
    if value < high { value } else { high }
}

#[inline(always)]
fn mix(matrix: &Matrix, rgb: [f32; 3], high: f32) -> [f32; 3] {
    let [r, g, b] = rgb;
    matrix.map(|[from_r, from_g, from_b]| limit(r * from_r + g * from_g + b * from_b, high))
}

/// Without a gamma all is done on premultiplied colours: the limits become 0 and alpha.
#[inline(always)]
fn linear(tone: Tone, matrix: &Matrix, pixels: &mut [u32]) {
    let lift = 0.5 - 0.5 * tone.contrast + tone.brightness;
    for pixel in pixels {
        let [r, g, b, alpha] = unpack(*pixel);
        let toned = [r, g, b].map(|value| limit(value * tone.contrast + alpha * lift, alpha));
        let [r, g, b] = mix(matrix, toned, alpha);
        *pixel = pack(r, g, b, *pixel >> 24);
    }
}

/// Looks each channel up, then mixes a chunk at a time.
fn curved(level: Level, curve: &[f32], matrix: &Matrix, pixels: &mut [u32]) {
    let mut toned = [[0.0; CHUNK]; 3];
    for chunk in pixels.chunks_mut(CHUNK) {
        for (x, &pixel) in chunk.iter().enumerate() {
            let channels = look_up(curve, pixel);
            for (plane, value) in toned.iter_mut().zip(channels) {
                plane[x] = value;
            }
        }
        dispatch!(level, _simd => mix_chunk(&toned, matrix, chunk));
    }
}

/// The toned, premultiplied channels of a pixel, 0 to 255.
#[inline(always)]
fn look_up(curve: &[f32], pixel: u32) -> [f32; 3] {
    let alpha = pixel >> 24;
    if alpha == 255 {
        let one = |shift: u32| {
            let value = (pixel >> shift) & 255;
            curve
                .get(value as usize * CURVE_STEPS)
                .copied()
                .unwrap_or(0.0)
                * 255.0
        };
        return [one(0), one(8), one(16)];
    }
    if alpha == 0 {
        return [0.0; 3];
    }
    let alpha = alpha as f32;
    let scale = (255 * CURVE_STEPS) as f32 / alpha;
    let one = |shift: u32| {
        let at = ((pixel >> shift) & 255) as f32 * scale;
        let step = (at as usize).min(255 * CURVE_STEPS);
        match curve.get(step..step + 2) {
            Some(&[low, high]) => (low + (high - low) * (at - step as f32)) * alpha,
            _ => 0.0,
        }
    };
    [one(0), one(8), one(16)]
}

#[inline(always)]
fn mix_chunk(toned: &[[f32; CHUNK]; 3], matrix: &Matrix, pixels: &mut [u32]) {
    let [r, g, b] = toned;
    for (((pixel, &r), &g), &b) in pixels.iter_mut().zip(r).zip(g).zip(b) {
        let alpha = *pixel >> 24;
        let [r, g, b] = mix(matrix, [r, g, b], alpha as i32 as f32);
        *pixel = pack(r, g, b, alpha);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, error_max, pictures, unit, wild};

    fn reference(filter: Colour, pixel: u32) -> [f64; 4] {
        let [r, g, b, alpha] = unit(pixel);
        if alpha == 0.0 {
            return [0.0; 4];
        }
        let toned = [r, g, b].map(|value| {
            let value = (value / alpha).min(1.0).powf(1.0 / f64::from(filter.gamma));
            ((value - 0.5) * f64::from(filter.contrast) + 0.5 + f64::from(filter.brightness))
                .clamp(0.0, 1.0)
        });
        let luma = |v: [f64; 3]| 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
        let y = luma(toned);
        let saturated = toned.map(|value| y + f64::from(filter.saturation) * (value - y));
        // The definition in terms of differences to luma.
        let (sin, cos) = f64::from(filter.hue).to_radians().sin_cos();
        let [r, g, b] = saturated;
        let turned_r = y + cos * (r - y) + sin * (b - y);
        let turned_b = y + cos * (b - y) + sin * (y - r);
        let turned_g = (y - 0.2126 * turned_r - 0.0722 * turned_b) / 0.7152;
        let _ = g;
        let [r, g, b] = [turned_r, turned_g, turned_b].map(|value| value.clamp(0.0, 1.0) * alpha);
        [r, g, b, alpha]
    }

    fn filters() -> impl Strategy<Value = Colour> {
        let gamma = prop_oneof![Just(1.0f32), 0.1f32..10.0];
        (
            -1.0f32..1.0,
            0.0f32..4.0,
            0.0f32..4.0,
            -360.0f32..360.0,
            gamma,
        )
            .prop_map(|(brightness, contrast, saturation, hue, gamma)| Colour {
                brightness,
                contrast,
                saturation,
                hue,
                gamma,
            })
    }

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(pixels in pictures(), filter in filters()) {
            let got = at_all_levels(&pixels, |pixels, scratch| filter.apply(pixels, scratch));
            let worst = error_max(&got, |x, y| reference(filter, pixels.words()[y * pixels.width() + x]));
            prop_assert!(worst < 0.9, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), values in proptest::array::uniform5(wild())) {
            let [brightness, contrast, saturation, hue, gamma] = values;
            let filter = Colour { brightness, contrast, saturation, hue, gamma };
            at_all_levels(&pixels, |pixels, scratch| filter.apply(pixels, scratch));
        }

        #[test]
        fn the_neutral_values_change_nothing(pixels in pictures()) {
            let mut same = pixels.clone();
            Colour::default().apply(&mut same, &mut Scratch::new());
            prop_assert_eq!(same, pixels);
        }
    }

    #[test]
    fn a_turned_hue_keeps_grey_and_luma() {
        let mut pixels = draw(2, 1, |x, _| {
            if x == 0 {
                [90, 90, 90, 255]
            } else {
                [150, 100, 90, 255]
            }
        });
        Colour {
            hue: 120.0,
            ..Colour::default()
        }
        .apply(&mut pixels, &mut Scratch::new());
        assert_eq!(pixels.words()[0].to_le_bytes(), [90, 90, 90, 255]);
        let luma = |rgb: [u8; 4]| {
            0.2126 * f32::from(rgb[0]) + 0.7152 * f32::from(rgb[1]) + 0.0722 * f32::from(rgb[2])
        };
        let turned = pixels.words()[1].to_le_bytes();
        assert!((luma(turned) - luma([150, 100, 90, 255])).abs() < 1.0 && turned[1] > turned[0]);
    }
}
