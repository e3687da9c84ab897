//! Softness: three box passes, which come within a few percent of a Gaussian and cost the same at any width.
//!
//! Shadows of texts and shapes use it on their alpha. It knows nothing of either.

/// Rows or columns that are blurred side by side, so that a strip stays in the cache and the compiler can use wide registers.
const LANES: usize = 32;

/// Passes of the box. Three is where the result stops looking like boxes.
const PASSES: usize = 3;

/// Largest standard deviation; larger ones blur as this does.
const SIGMA_MAX: f32 = 4096.0;

/// How far a blur of standard deviation `sigma` reaches, in whole pixels of the same unit.
pub fn reach_px(sigma: f32) -> u32 {
    match BoxKernel::new(sigma) {
        Some(kernel) => PASSES as u32 * (kernel.radius as u32 + 1),
        None => 0,
    }
}

/// Blurs one channel of `width` by `height` bytes in place, with standard deviation `sigma` in pixels both ways.
///
/// What lies outside counts as 0: give the picture a border of [`reach_px`] pixels to keep its soft edge. A `sigma` that is not
/// above 0, or a buffer that is shorter than `width * height`, changes nothing.
pub fn box_blur_alpha(alpha: &mut [u8], width: usize, height: usize, sigma: f32) {
    box_blur_alpha_xy(alpha, width, height, sigma, sigma);
}

/// As [`box_blur_alpha`], with a standard deviation to the right and one downwards.
pub fn box_blur_alpha_xy(
    alpha: &mut [u8],
    width: usize,
    height: usize,
    sigma_x: f32,
    sigma_y: f32,
) {
    let Some(alpha) = width
        .checked_mul(height)
        .filter(|area| *area > 0)
        .and_then(|area| alpha.get_mut(..area))
    else {
        return;
    };
    if let Some(kernel) = BoxKernel::new(sigma_x) {
        blur_rows(alpha, width, kernel);
    }
    if let Some(kernel) = BoxKernel::new(sigma_y) {
        blur_columns(alpha, width, height, kernel);
    }
}

/// A box whose ends may count in part, so that softness grows smoothly with sigma.
#[derive(Clone, Copy, Debug, PartialEq)]
struct BoxKernel {
    /// Pixels on each side of the middle that count in full.
    radius: usize,
    /// Share of the pixel beyond the radius.
    edge: f32,
    /// One over the weight of all pixels.
    inverse: f32,
}

impl BoxKernel {
    /// The box that, applied [`PASSES`] times, has the variance of a Gaussian of `sigma`.
    fn new(sigma: f32) -> Option<Self> {
        if !sigma.is_finite() || sigma < 0.05 {
            return None;
        }
        // Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering", section 2.2: a box of
        // radius r has variance r (r + 1) / 3, and the two pixels beyond it make up for what that is short of.
        let variance = sigma.min(SIGMA_MAX).powi(2) / PASSES as f32;
        let radius = (((1.0 + 12.0 * variance).sqrt() - 1.0) / 2.0).floor();
        let full = 2.0 * radius + 1.0;
        let short = variance - radius * (radius + 1.0) / 3.0;
        let edge = full * short / (2.0 * ((radius + 1.0).powi(2) - variance));
        let edge = edge.clamp(0.0, 1.0);
        Some(Self {
            radius: radius as usize,
            edge,
            inverse: 1.0 / (full + 2.0 * edge),
        })
    }
}

fn blur_rows(alpha: &mut [u8], width: usize, kernel: BoxKernel) {
    let mut strip = vec![0_u16; LANES * width];
    let mut blurred = strip.clone();
    for rows in alpha.chunks_mut(LANES * width) {
        if rows.iter().all(|value| *value == 0) {
            continue;
        }
        // Rows that a last, lower strip lacks stay as they were, and are not read back.
        for (lane, row) in rows.chunks_exact(width).enumerate() {
            for (step, value) in strip.chunks_exact_mut(LANES).zip(row) {
                step[lane] = u16::from(*value) << 8;
            }
        }
        blur_strip(&mut strip, &mut blurred, kernel);
        for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
            for (step, value) in strip.chunks_exact(LANES).zip(row) {
                *value = narrow(step[lane]);
            }
        }
    }
}

fn blur_columns(alpha: &mut [u8], width: usize, height: usize, kernel: BoxKernel) {
    let mut strip = vec![0_u16; LANES * height];
    let mut blurred = strip.clone();
    for left in (0..width).step_by(LANES) {
        for (step, row) in strip.chunks_exact_mut(LANES).zip(alpha.chunks_exact(width)) {
            for (wide, value) in step.iter_mut().zip(&row[left..]) {
                *wide = u16::from(*value) << 8;
            }
        }
        blur_strip(&mut strip, &mut blurred, kernel);
        for (step, row) in strip.chunks_exact(LANES).zip(alpha.chunks_exact_mut(width)) {
            for (value, wide) in row[left..].iter_mut().zip(step) {
                *value = narrow(*wide);
            }
        }
    }
}

/// All passes along the steps of `strip`, whose [`LANES`] values are blurred side by side. `spare` is as long.
fn blur_strip(strip: &mut Vec<u16>, spare: &mut Vec<u16>, kernel: BoxKernel) {
    for _ in 0..PASSES {
        blur_once(strip, spare, kernel);
        std::mem::swap(strip, spare);
    }
}

fn blur_once(from: &[u16], to: &mut [u16], kernel: BoxKernel) {
    let (from, _) = from.as_chunks::<LANES>();
    let (to, _) = to.as_chunks_mut::<LANES>();
    let radius = kernel.radius;
    let lanes = |step: Option<usize>| step.and_then(|step| from.get(step)).unwrap_or(&[0; LANES]);
    // The largest sum is 65,280 times the widest box, which is below 2^31.
    let mut sums = [0_i32; LANES];
    for step in from.iter().take(radius) {
        for (sum, value) in sums.iter_mut().zip(step) {
            *sum += i32::from(*value);
        }
    }
    for (step, out) in to.iter_mut().enumerate() {
        let entering = lanes(Some(step + radius));
        let leaving = lanes(step.checked_sub(radius));
        let before = lanes(step.checked_sub(radius + 1));
        let after = lanes(Some(step + radius + 1));
        for lane in 0..LANES {
            let full = sums[lane] + i32::from(entering[lane]);
            let ends = i32::from(before[lane]) + i32::from(after[lane]);
            let mean = (full as f32 + ends as f32 * kernel.edge) * kernel.inverse;
            out[lane] = (mean + 0.5) as i32 as u16;
            sums[lane] = full - i32::from(leaving[lane]);
        }
    }
}

/// 8.8 fixed point to the nearest byte.
fn narrow(wide: u16) -> u8 {
    ((u32::from(wide) + 128) >> 8).min(255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(side: usize, sigma: f32) -> Vec<u8> {
        let mut alpha = vec![0; side * side];
        for y in side / 2 - 4..side / 2 + 5 {
            for x in side / 2 - 4..side / 2 + 5 {
                alpha[y * side + x] = 255;
            }
        }
        box_blur_alpha(&mut alpha, side, side, sigma);
        alpha
    }

    #[test]
    fn the_sum_stays_and_the_picture_is_symmetric() {
        for sigma in [0.3, 1.0, 2.5, 6.0] {
            let alpha = spot(65, sigma);
            let sum: u32 = alpha.iter().map(|value| u32::from(*value)).sum();
            let whole = 81.0 * 255.0;
            assert!(
                (sum as f32 - whole).abs() < whole * 0.05,
                "sigma {sigma}: {sum}"
            );
            for y in 0..65 {
                for x in 0..65 {
                    let mirrored = alpha[y * 65 + 64 - x];
                    assert!(alpha[y * 65 + x].abs_diff(mirrored) <= 1);
                    assert!(alpha[y * 65 + x].abs_diff(alpha[x * 65 + y]) <= 1);
                }
            }
        }
    }

    #[test]
    fn the_spread_is_that_of_the_sigma() {
        for sigma in [1.0_f32, 3.0, 8.0] {
            let side = 129;
            let mut alpha = vec![0_u8; side];
            alpha[side / 2] = 255;
            let mut many: Vec<u8> = alpha.iter().flat_map(|value| [*value; 64]).collect();
            blur_columns(&mut many, 64, side, BoxKernel::new(sigma).expect("above 0"));
            let column: Vec<f32> = many.chunks_exact(64).map(|row| f32::from(row[7])).collect();
            let sum: f32 = column.iter().sum();
            let variance: f32 = column
                .iter()
                .enumerate()
                .map(|(y, value)| value * (y as f32 - 64.0).powi(2))
                .sum::<f32>()
                / sum;
            assert!(
                (variance.sqrt() - sigma).abs() < 0.15 * sigma,
                "sigma {sigma}, found {}",
                variance.sqrt()
            );
        }
    }

    #[test]
    fn nothing_is_lost_beyond_the_reach() {
        let sigma = 5.0;
        let reach = reach_px(sigma) as usize;
        let side = 2 * reach + 3;
        let mut alpha = vec![0; side * side];
        alpha[side * side / 2] = 255;
        box_blur_alpha(&mut alpha, side, side, sigma);
        assert!(alpha[..side].iter().all(|value| *value == 0));
    }

    #[test]
    fn odd_arguments_change_nothing() {
        let mut alpha = vec![9; 6];
        box_blur_alpha(&mut alpha, 3, 3, 2.0);
        box_blur_alpha(&mut alpha, 3, 2, f32::NAN);
        box_blur_alpha(&mut alpha, 3, 2, 0.0);
        box_blur_alpha(&mut alpha, 0, 2, 2.0);
        box_blur_alpha(&mut alpha, usize::MAX, 2, 2.0);
        assert_eq!(alpha, [9; 6]);
        box_blur_alpha(&mut alpha, 3, 2, 1e30);
    }
}
