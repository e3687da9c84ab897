//! RGBA to the encoder's planes: BT.709, limited range, 4:2:0.
//!
//! Coefficients follow ITU-R BT.709-6, section 3, in 15-bit fixed point, so that luma is the rounded real value to within a
//! thousandth; a chroma sample is that of the mean of its 2x2 pixels. Alpha is ignored: a canvas is opaque.

use fearless_simd::{Level, dispatch, i16x32, i32x16, prelude::*, u8x64, u16x32, u32x16};

const LUMA_BITS: u32 = 15;
const LUMA_R: i32 = 5983;
const LUMA_G: i32 = 20127;
const LUMA_B: i32 = 2032;
const LUMA_BIAS: i32 = (16 << LUMA_BITS) + (1 << (LUMA_BITS - 1));

/// Two bits more than luma, because four pixels are summed.
const CHROMA_BITS: u32 = 17;
const U_R: i32 = -3298;
const U_G: i32 = -11094;
const U_B: i32 = 14392;
const V_R: i32 = 14392;
const V_G: i32 = -13073;
const V_B: i32 = -1319;
const CHROMA_BIAS: i32 = (128 << CHROMA_BITS) + (1 << (CHROMA_BITS - 1));

/// Converts two rows of equal, even length into two rows of luma and one each of chroma.
///
/// `luma` holds the upper and the lower row; each plane row must be as long as its share of the pixels.
pub fn convert_rows(
    level: Level,
    rows: [&[u32]; 2],
    luma: [&mut [u8]; 2],
    u: &mut [u8],
    v: &mut [u8],
) {
    dispatch!(level, simd => convert_rows_simd(simd, rows, luma, u, v));
}

/// Scalar twin of [`convert_rows`].
pub fn convert_rows_scalar(rows: [&[u32]; 2], luma: [&mut [u8]; 2], u: &mut [u8], v: &mut [u8]) {
    for (row, luma) in rows.iter().zip(luma) {
        for (&pixel, y) in row.iter().zip(luma) {
            let [r, g, b] = channels(pixel);
            *y = ((r * LUMA_R + g * LUMA_G + b * LUMA_B + LUMA_BIAS) >> LUMA_BITS) as u8;
        }
    }
    let pairs = rows[0].chunks_exact(2).zip(rows[1].chunks_exact(2));
    for ((upper, lower), (u, v)) in pairs.zip(u.iter_mut().zip(v)) {
        let sum = |c: usize| {
            channels(upper[0])[c]
                + channels(upper[1])[c]
                + channels(lower[0])[c]
                + channels(lower[1])[c]
        };
        let (r, g, b) = (sum(0), sum(1), sum(2));
        *u = ((r * U_R + g * U_G + b * U_B + CHROMA_BIAS) >> CHROMA_BITS) as u8;
        *v = ((r * V_R + g * V_G + b * V_B + CHROMA_BIAS) >> CHROMA_BITS) as u8;
    }
}

#[inline(always)]
fn channels(pixel: u32) -> [i32; 3] {
    [
        (pixel & 255) as i32,
        ((pixel >> 8) & 255) as i32,
        ((pixel >> 16) & 255) as i32,
    ]
}

/// Two 16-bit coefficients for the low and the high half of each pixel.
#[inline(always)]
fn coefficients<S: Simd>(simd: S, low: i32, high: i32) -> i16x32<S> {
    u32x16::splat(simd, (low as u32 & 0xffff) | ((high as u32) << 16)).bitcast()
}

// The helpers are functions, not closures: a closure would be compiled without the instruction set of its caller.

/// The weighted sum of a pixel's channels, from its red and blue halves and its green ones.
#[inline(always)]
fn weigh<S: Simd, const BITS: u32>(
    rb: i16x32<S>,
    ga: i16x32<S>,
    weights_rb: i16x32<S>,
    weights_g: i16x32<S>,
    bias: i32x16<S>,
) -> i32x16<S> {
    (rb.pairwise_dot_product(weights_rb) + ga.pairwise_dot_product(weights_g) + bias) >> BITS
}

/// Values that fit a byte, to 16 bits.
#[inline(always)]
fn narrow<S: Simd>(a: i32x16<S>, b: i32x16<S>) -> u16x32<S> {
    a.relaxed_narrow(b).bitcast()
}

/// Sums of neighbouring pixels of 32.
#[inline(always)]
fn across<S: Simd>(a: u32x16<S>, b: u32x16<S>) -> i16x32<S> {
    let even: u16x32<S> = a.unzip_low(b).bitcast();
    let odd: u16x32<S> = a.unzip_high(b).bitcast();
    (even + odd).bitcast()
}

#[inline(always)]
fn convert_rows_simd<S: Simd>(
    simd: S,
    rows: [&[u32]; 2],
    luma: [&mut [u8]; 2],
    u: &mut [u8],
    v: &mut [u8],
) {
    const BLOCK: usize = 64;
    let len = rows[0].len().min(rows[1].len());
    let whole = len - len % BLOCK;
    let [luma0, luma1] = luma;
    let low = u16x32::splat(simd, 255);
    let luma_rb = coefficients(simd, LUMA_R, LUMA_B);
    let luma_g = coefficients(simd, LUMA_G, 0);
    let u_rb = coefficients(simd, U_R, U_B);
    let u_g = coefficients(simd, U_G, 0);
    let v_rb = coefficients(simd, V_R, V_B);
    let v_g = coefficients(simd, V_G, 0);
    let luma_bias = i32x16::splat(simd, LUMA_BIAS);
    let chroma_bias = i32x16::splat(simd, CHROMA_BIAS);
    let blocks = rows[0][..whole]
        .chunks_exact(BLOCK)
        .zip(rows[1][..whole].chunks_exact(BLOCK));
    let planes = luma0[..whole]
        .chunks_exact_mut(BLOCK)
        .zip(luma1[..whole].chunks_exact_mut(BLOCK));
    let chroma = u[..whole / 2]
        .chunks_exact_mut(BLOCK / 2)
        .zip(v[..whole / 2].chunks_exact_mut(BLOCK / 2));
    for (((upper, lower), (y0, y1)), (u, v)) in blocks.zip(planes).zip(chroma) {
        let mut lumas = [[i32x16::splat(simd, 0); 4]; 2];
        // Sums of two rows, 16 pixels a vector: red and blue, green and alpha.
        let mut sums_rb = [u32x16::splat(simd, 0); 4];
        let mut sums_ga = [u32x16::splat(simd, 0); 4];
        for i in 0..4 {
            let p0: u16x32<S> = u32x16::from_slice(simd, &upper[i * 16..i * 16 + 16]).bitcast();
            let p1: u16x32<S> = u32x16::from_slice(simd, &lower[i * 16..i * 16 + 16]).bitcast();
            let (rb0, ga0) = (p0 & low, p0 >> 8);
            let (rb1, ga1) = (p1 & low, p1 >> 8);
            lumas[0][i] =
                weigh::<S, LUMA_BITS>(rb0.bitcast(), ga0.bitcast(), luma_rb, luma_g, luma_bias);
            lumas[1][i] =
                weigh::<S, LUMA_BITS>(rb1.bitcast(), ga1.bitcast(), luma_rb, luma_g, luma_bias);
            sums_rb[i] = (rb0 + rb1).bitcast();
            sums_ga[i] = (ga0 + ga1).bitcast();
        }
        let bytes: u8x64<S> =
            narrow(lumas[0][0], lumas[0][1]).relaxed_narrow(narrow(lumas[0][2], lumas[0][3]));
        bytes.store_slice(y0);
        let bytes: u8x64<S> =
            narrow(lumas[1][0], lumas[1][1]).relaxed_narrow(narrow(lumas[1][2], lumas[1][3]));
        bytes.store_slice(y1);

        let zero = i32x16::splat(simd, 0);
        let (mut us, mut vs) = ([zero; 2], [zero; 2]);
        for i in 0..2 {
            let rb = across(sums_rb[2 * i], sums_rb[2 * i + 1]);
            let ga = across(sums_ga[2 * i], sums_ga[2 * i + 1]);
            us[i] = weigh::<S, CHROMA_BITS>(rb, ga, u_rb, u_g, chroma_bias);
            vs[i] = weigh::<S, CHROMA_BITS>(rb, ga, v_rb, v_g, chroma_bias);
        }
        let bytes: u8x64<S> = narrow(us[0], us[1]).relaxed_narrow(narrow(vs[0], vs[1]));
        let (u_bytes, v_bytes) = bytes.split();
        u_bytes.store_slice(u);
        v_bytes.store_slice(v);
    }
    if whole < len {
        convert_rows_scalar(
            [&rows[0][whole..len], &rows[1][whole..len]],
            [&mut luma0[whole..len], &mut luma1[whole..len]],
            &mut u[whole / 2..],
            &mut v[whole / 2..],
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::levels;

    type Planes = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

    fn run(
        convert: impl Fn([&[u32]; 2], [&mut [u8]; 2], &mut [u8], &mut [u8]),
        upper: &[u32],
        lower: &[u32],
    ) -> Planes {
        let len = upper.len();
        let mut planes = (
            vec![0; len],
            vec![0; len],
            vec![0; len / 2],
            vec![0; len / 2],
        );
        convert(
            [upper, lower],
            [&mut planes.0, &mut planes.1],
            &mut planes.2,
            &mut planes.3,
        );
        planes
    }

    /// BT.709 limited range in floats.
    fn reference(r: f64, g: f64, b: f64) -> [f64; 3] {
        let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let (pb, pr) = ((b - y) / 1.8556, (r - y) / 1.5748);
        [
            16.0 + 219.0 / 255.0 * y,
            128.0 + 224.0 / 255.0 * pb,
            128.0 + 224.0 / 255.0 * pr,
        ]
    }

    proptest! {
        #[test]
        fn simd_equals_scalar_and_both_are_near_the_reference(pixels in proptest::collection::vec(any::<u32>(), 4..700)) {
            let half = pixels.len() / 4 * 2;
            let (upper, lower) = (&pixels[..half], &pixels[half..2 * half]);
            let expected = run(convert_rows_scalar, upper, lower);
            for level in levels() {
                prop_assert_eq!(&run(|r, l, u, v| convert_rows(level, r, l, u, v), upper, lower), &expected);
            }
            let rgb = |p: u32| channels(p).map(f64::from);
            for x in 0..half {
                let [r, g, b] = rgb(upper[x]);
                prop_assert!((reference(r, g, b)[0] - f64::from(expected.0[x])).abs() <= 0.51);
                let four = [upper[x & !1], upper[x | 1], lower[x & !1], lower[x | 1]].map(rgb);
                let mean = |c: usize| four.iter().map(|p| p[c]).sum::<f64>() / 4.0;
                let [_, u, v] = reference(mean(0), mean(1), mean(2));
                prop_assert!((u - f64::from(expected.2[x / 2])).abs() <= 0.51);
                prop_assert!((v - f64::from(expected.3[x / 2])).abs() <= 0.51);
            }
        }
    }

    #[test]
    fn known_colours() {
        for (rgba, [y, u, v]) in [
            ([255, 255, 255, 255], [235, 128, 128]),
            ([0, 0, 0, 255], [16, 128, 128]),
            ([255, 0, 0, 255], [63, 102, 240]),
            ([0, 255, 0, 255], [173, 42, 26]),
            ([0, 0, 255, 255], [32, 240, 118]),
        ] {
            let row = [u32::from_le_bytes(rgba); 2];
            assert_eq!(
                run(convert_rows_scalar, &row, &row),
                (vec![y; 2], vec![y; 2], vec![u], vec![v]),
                "{rgba:?}"
            );
        }
    }
}
