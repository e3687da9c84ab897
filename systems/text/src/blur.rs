//! Softness: three box passes, which come within a few percent of a Gaussian and cost the same at any width.
//!
//! Shadows of texts and shapes use it on their alpha. It knows nothing of either.

/// Columns that are blurred downwards together, so that a strip stays in the cache.
const STRIP_COLUMNS: usize = 32;

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
    /// Share of the pixel beyond the radius, in 1/256.
    edge: u32,
    /// 2^40 over the weight of all pixels, in units of 1/256.
    inverse: u64,
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
        let edge = (edge.clamp(0.0, 1.0) * 256.0).round() as u32;
        let weight = (2 * radius as u64 + 1) * 256 + 2 * u64::from(edge);
        Some(Self {
            radius: radius as usize,
            edge,
            inverse: ((1_u64 << 40) + weight / 2) / weight,
        })
    }

    /// The mean, from the sum of the full pixels and that of the two beyond them.
    fn mean(self, full: u64, ends: u64) -> u16 {
        let weighted = full * 256 + ends * u64::from(self.edge);
        ((weighted * self.inverse + (1 << 39)) >> 40) as u16
    }
}

fn blur_rows(alpha: &mut [u8], width: usize, kernel: BoxKernel) {
    let (mut line, mut blurred) = (vec![0_u16; width], vec![0_u16; width]);
    for row in alpha.chunks_exact_mut(width) {
        if row.iter().all(|value| *value == 0) {
            continue;
        }
        for (wide, value) in line.iter_mut().zip(&*row) {
            *wide = u16::from(*value) << 8;
        }
        for _ in 0..PASSES {
            blur_lanes(&line, &mut blurred, 1, kernel);
            std::mem::swap(&mut line, &mut blurred);
        }
        for (value, wide) in row.iter_mut().zip(&line) {
            *value = narrow(*wide);
        }
    }
}

fn blur_columns(alpha: &mut [u8], width: usize, height: usize, kernel: BoxKernel) {
    let mut strip = vec![0_u16; STRIP_COLUMNS.min(width) * height];
    let mut blurred = strip.clone();
    for left in (0..width).step_by(STRIP_COLUMNS) {
        let columns = STRIP_COLUMNS.min(width - left);
        let (strip, blurred) = (
            &mut strip[..columns * height],
            &mut blurred[..columns * height],
        );
        for (lane, row) in strip
            .chunks_exact_mut(columns)
            .zip(alpha.chunks_exact(width))
        {
            for (wide, value) in lane.iter_mut().zip(&row[left..]) {
                *wide = u16::from(*value) << 8;
            }
        }
        let (mut from, mut to) = (strip, blurred);
        for _ in 0..PASSES {
            blur_lanes(from, to, columns, kernel);
            std::mem::swap(&mut from, &mut to);
        }
        for (lane, row) in from
            .chunks_exact(columns)
            .zip(alpha.chunks_exact_mut(width))
        {
            for (value, wide) in row[left..].iter_mut().zip(lane) {
                *value = narrow(*wide);
            }
        }
    }
}

/// One box pass along the steps of `from`, each of which has `lanes` values that are blurred side by side.
fn blur_lanes(from: &[u16], to: &mut [u16], lanes: usize, kernel: BoxKernel) {
    let steps = from.len() / lanes;
    let radius = kernel.radius;
    let zeros = [0_u16; STRIP_COLUMNS];
    let lane = |step: Option<usize>| -> &[u16] {
        match step {
            Some(step) if step < steps => &from[step * lanes..(step + 1) * lanes],
            _ => &zeros[..lanes],
        }
    };
    let mut sums = [0_u64; STRIP_COLUMNS];
    for step in 0..radius.min(steps) {
        for (sum, value) in sums.iter_mut().zip(lane(Some(step))) {
            *sum += u64::from(*value);
        }
    }
    for step in 0..steps {
        let entering = lane(Some(step + radius));
        let before = lane(step.checked_sub(radius + 1));
        let after = lane(Some(step + radius + 1));
        let leaving = lane(step.checked_sub(radius));
        let out = &mut to[step * lanes..(step + 1) * lanes];
        for index in 0..lanes {
            let full = sums[index] + u64::from(entering[index]);
            let ends = u64::from(before[index]) + u64::from(after[index]);
            out[index] = kernel.mean(full, ends);
            sums[index] = full - u64::from(leaving[index]);
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
