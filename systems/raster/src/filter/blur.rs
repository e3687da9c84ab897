//! Softness: three passes of a box whose ends count in part, which come within a few percent of a Gaussian.
//!
//! The kernel is that of Gwosdek, Grewenig, Bruhn and Weickert, "Theoretical Foundations of Gaussian Convolution by Extended
//! Box Filtering" (2011): a box of radius r, and the pixel beyond each end with a share a, where r and a give three passes
//! together exactly the variance sigma squared. It costs the same at any sigma, and as sigma grows the picture changes
//! smoothly.
//!
//! Pixels outside of the picture count as transparent. Rows are taken a few side by side, transposed so that the same step of
//! all of them is one run of floats; columns lie like that already. Between the two directions values are kept to 1/256 of a
//! byte. Only where there is something to blur is anything computed.

use fearless_simd::{Level, dispatch, f32x16, prelude::*};

use super::{
    Alpha, Margin, Pixels, Scratch,
    planes::{LANES, One, Plane, Rgba, Step, to_u16},
    within,
};

/// The largest standard deviation in pixels; larger ones blur as this does.
pub const SIGMA_MAX: f32 = 1000.0;

/// Below this standard deviation no byte of a picture would change visibly.
const SIGMA_MIN: f32 = 0.05;

/// Passes of the box. Three is where the result stops looking like boxes.
const PASSES: usize = 3;

/// How far a blur of standard deviation `sigma` reaches, in pixels: the margin it needs.
pub fn reach(sigma: f32) -> u32 {
    BoxKernel::new(sigma).map_or(0, |kernel| (PASSES * kernel.reach()) as u32)
}

/// Blurs a picture with a standard deviation for each direction, in pixels; 0 to [`SIGMA_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blur {
    /// To the right and left.
    pub sigma_x: f32,
    /// Up and down.
    pub sigma_y: f32,
}

impl Blur {
    /// As far in all directions.
    pub fn new(sigma: f32) -> Self {
        Self {
            sigma_x: sigma,
            sigma_y: sigma,
        }
    }

    /// The room that the soft edge takes.
    pub fn margin(&self) -> Margin {
        Margin::new(reach(self.sigma_x), reach(self.sigma_y))
    }

    /// Blurs `pixels`.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        self.run(&mut Rgba(pixels), scratch.level, &mut scratch.blur);
    }

    /// Blurs one channel.
    pub fn apply_alpha(&self, alpha: &mut Alpha, scratch: &mut Scratch) {
        self.run(&mut One(alpha), scratch.level, &mut scratch.blur);
    }

    pub(super) fn run<P: Plane>(&self, plane: &mut P, level: Level, scratch: &mut BlurScratch) {
        let kernels = [BoxKernel::new(self.sigma_x), BoxKernel::new(self.sigma_y)];
        if kernels == [None, None] {
            return;
        }
        dispatch!(level, simd => blur(simd, plane, kernels, scratch));
    }
}

/// A box whose ends may count in part.
#[derive(Clone, Copy, Debug, PartialEq)]
struct BoxKernel {
    /// Pixels on each side of the middle that count in full.
    radius: usize,
    /// Weight of a pixel that counts in full.
    full: f32,
    /// Weight of the pixel beyond each end.
    edge: f32,
}

impl BoxKernel {
    /// The box that, applied [`PASSES`] times, has the variance of a Gaussian of `sigma`. `None` when nothing would change.
    fn new(sigma: f32) -> Option<Self> {
        let sigma = within(sigma, 0.0, SIGMA_MAX, 0.0);
        if sigma < SIGMA_MIN {
            return None;
        }
        // In double precision: just above a whole radius the share is a small difference of large numbers.
        let variance = f64::from(sigma).powi(2) / PASSES as f64;
        // A box of radius r alone has the variance r (r + 1) / 3.
        let radius = (((1.0 + 12.0 * variance).sqrt() - 1.0) / 2.0).floor();
        let count = 2.0 * radius + 1.0;
        let short = variance - radius * (radius + 1.0) / 3.0;
        let share = count * short / (2.0 * ((radius + 1.0).powi(2) - variance));
        let share = share.clamp(0.0, 1.0);
        let full = 1.0 / (count + 2.0 * share);
        Some(Self {
            radius: radius as usize,
            full: full as f32,
            edge: (share * full) as f32,
        })
    }

    /// Pixels on each side of the middle that count at all.
    fn reach(self) -> usize {
        self.radius + 1
    }
}

/// Room for strips and for the picture between the two directions.
#[derive(Debug, Default)]
pub(super) struct BlurScratch {
    strip: Vec<Step>,
    spare: Vec<Step>,
    /// Blocks of as many columns as fit a step, each with its rows from the top, so that columns are read in one run.
    middle: Vec<[u16; LANES]>,
}

/// A run of positions along a row or a column.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    start: isize,
    end: isize,
}

impl Run {
    fn len(self) -> usize {
        (self.end - self.start).max(0) as usize
    }

    /// The positions that pass `pass` of `kernel` reaches from these, as far as they matter to the positions `0..len`.
    fn after(self, pass: usize, kernel: BoxKernel, len: usize) -> Self {
        let reach = kernel.reach() as isize;
        let still = (PASSES - pass) as isize * reach;
        Self {
            start: (self.start - pass as isize * reach).max(-still),
            end: (self.end + pass as isize * reach).min(len as isize + still),
        }
    }
}

/// The rows and the columns that hold anything.
#[inline(always)]
fn content<P: Plane>(plane: &P) -> Option<(Run, Run)> {
    let (width, height) = plane.size();
    let filled = |y: &usize| plane.row(*y).iter().any(|&pixel| !P::is_empty(pixel));
    let top = (0..height).find(filled)?;
    let bottom = (0..height).rfind(filled)? + 1;
    // The columns shrink inwards from the best row so far, so that most of each row is not looked at.
    let (mut left, mut right) = (width, 0);
    for y in top..bottom {
        let row = plane.row(y);
        let first = row[..left].iter().position(|&pixel| !P::is_empty(pixel));
        left = first.unwrap_or(left);
        let last = row[right..].iter().rposition(|&pixel| !P::is_empty(pixel));
        right = last.map_or(right, |last| right + last + 1);
    }
    let run = |start: usize, end: usize| Run {
        start: start as isize,
        end: end as isize,
    };
    Some((run(left, right), run(top, bottom)))
}

#[inline(always)]
fn blur<S: Simd, P: Plane>(
    simd: S,
    plane: &mut P,
    kernels: [Option<BoxKernel>; 2],
    scratch: &mut BlurScratch,
) {
    let Some((columns, rows)) = content(plane) else {
        return;
    };
    let (width, height) = plane.size();
    let pixels = LANES / P::CHANNELS;
    let count = rows.len();
    // What is there already is overwritten wherever it is read: blocks that rows reach are written whole.
    scratch
        .middle
        .resize(width.div_ceil(pixels) * count, [0; LANES]);

    let mut reached = columns;
    for top in (0..count).step_by(pixels) {
        reached = blur_rows::<S, P>(simd, plane, kernels[0], columns, rows, top, scratch);
    }
    for block in 0..width.div_ceil(pixels) {
        let x = block * pixels;
        let holds = (x as isize) < reached.end && ((x + pixels) as isize) > reached.start;
        if holds {
            let block = block * count..(block + 1) * count;
            blur_columns(simd, plane, kernels[1], rows, x, block, scratch);
        } else {
            (0..height).for_each(|y| plane.clear(x, y));
        }
    }
}

/// Blurs the rows from `top` on that fit the lanes into the middle. Gives the columns that the blur reached.
#[inline(always)]
fn blur_rows<S: Simd, P: Plane>(
    simd: S,
    plane: &P,
    kernel: Option<BoxKernel>,
    columns: Run,
    rows: Run,
    top: usize,
    scratch: &mut BlurScratch,
) -> Run {
    let pixels = LANES / P::CHANNELS;
    let (width, count) = (plane.size().0, rows.len());
    let lanes = pixels.min(count - top);
    let mut sources: [&[P::Pixel]; LANES] = [&[]; LANES];
    for (lane, source) in sources[..lanes].iter_mut().enumerate() {
        let row = plane.row(rows.start as usize + top + lane);
        *source = &row[columns.start as usize..columns.end as usize];
    }
    let sources = &sources[..lanes];
    scratch.strip.clear();
    scratch
        .strip
        .extend((0..columns.len()).map(|x| P::gather(sources, x)));
    let run = passes(simd, kernel, columns, width, scratch);

    // Whole blocks, so that nothing of an earlier picture is left in them.
    let first = run.start as usize / pixels;
    for block in first..(run.end as usize).div_ceil(pixels) {
        let mut whole = [[0; LANES]; LANES];
        for (slot, transposed) in whole[..pixels].iter_mut().enumerate() {
            let x = (block * pixels + slot) as isize;
            if x >= run.start && x < run.end {
                *transposed = to_u16(&scratch.strip[(x - run.start) as usize], P::UNIT);
            }
        }
        let middle = &mut scratch.middle[block * count + top..][..lanes];
        for (lane, row) in middle.iter_mut().enumerate() {
            for (slot, transposed) in whole[..pixels].iter().enumerate() {
                let at = slot * P::CHANNELS;
                row[at..at + P::CHANNELS]
                    .copy_from_slice(&transposed[lane * P::CHANNELS..][..P::CHANNELS]);
            }
        }
    }
    run
}

/// Blurs one block of columns of the middle into the picture.
#[inline(always)]
fn blur_columns<S: Simd, P: Plane>(
    simd: S,
    plane: &mut P,
    kernel: Option<BoxKernel>,
    rows: Run,
    x: usize,
    block: std::ops::Range<usize>,
    scratch: &mut BlurScratch,
) {
    let height = plane.size().1;
    scratch.strip.clear();
    scratch
        .strip
        .extend(scratch.middle[block].iter().map(|values| {
            let mut step = [0.0; LANES];
            for (float, &value) in step.iter_mut().zip(values) {
                *float = f32::from(value);
            }
            step
        }));
    let run = passes(simd, kernel, rows, height, scratch);
    (0..run.start as usize).for_each(|y| plane.clear(x, y));
    for (y, step) in (run.start as usize..).zip(&scratch.strip) {
        plane.store(x, y, step);
    }
    (run.end as usize..height).for_each(|y| plane.clear(x, y));
}

/// All passes along the strip, which holds the positions of `run`. Gives the positions that it holds then, all in `0..len`.
#[inline(always)]
fn passes<S: Simd>(
    simd: S,
    kernel: Option<BoxKernel>,
    run: Run,
    len: usize,
    scratch: &mut BlurScratch,
) -> Run {
    let Some(kernel) = kernel else {
        return run;
    };
    let mut from = run;
    for pass in 1..=PASSES {
        let to = run.after(pass, kernel, len);
        scratch.spare.resize(to.len(), [0.0; LANES]);
        let lead = (to.start - from.start) as usize;
        one_pass(simd, kernel, &scratch.strip, &mut scratch.spare, lead);
        std::mem::swap(&mut scratch.strip, &mut scratch.spare);
        from = to;
    }
    from
}

/// One pass. The first step of `to` stands at position `lead` of `from`, which wraps when it lies before its first.
#[inline(always)]
fn one_pass<S: Simd>(simd: S, kernel: BoxKernel, from: &[Step], to: &mut [Step], lead: usize) {
    static NOTHING: Step = [0.0; LANES];
    // A closure would be compiled without the instruction set; this one only finds an address.
    let step = |position: usize| from.get(position).unwrap_or(&NOTHING);
    let reach = kernel.reach();
    let full = f32x16::splat(simd, kernel.full);
    let edge = f32x16::splat(simd, kernel.edge);
    let zero = f32x16::splat(simd, 0.0);
    let (mut sum_a, mut sum_b) = (zero, zero);
    for offset in 0..=2 * kernel.radius {
        let inside = step(lead.wrapping_sub(kernel.radius).wrapping_add(offset));
        sum_a += f32x16::from_slice(simd, &inside[..16]);
        sum_b += f32x16::from_slice(simd, &inside[16..]);
    }
    let before = step(lead.wrapping_sub(reach));
    let mut left_a = f32x16::from_slice(simd, &before[..16]);
    let mut left_b = f32x16::from_slice(simd, &before[16..]);
    let mut entering = lead.wrapping_add(reach);
    let mut leaving = lead.wrapping_sub(kernel.radius);
    for out in to {
        let next = step(entering);
        let next_a = f32x16::from_slice(simd, &next[..16]);
        let next_b = f32x16::from_slice(simd, &next[16..]);
        let value_a = sum_a * full + (next_a + left_a) * edge;
        let value_b = sum_b * full + (next_b + left_b) * edge;
        value_a.store_slice(&mut out[..16]);
        value_b.store_slice(&mut out[16..]);
        let last = step(leaving);
        left_a = f32x16::from_slice(simd, &last[..16]);
        left_b = f32x16::from_slice(simd, &last[16..]);
        sum_a += next_a - left_a;
        sum_b += next_b - left_b;
        entering = entering.wrapping_add(1);
        leaving = leaving.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, error_max, pictures, unit, wild};

    /// The weights of one pass, from its definition, in doubles.
    fn weights(sigma: f64) -> Vec<f64> {
        if sigma < f64::from(SIGMA_MIN) {
            return vec![1.0];
        }
        let variance = sigma.min(f64::from(SIGMA_MAX)).powi(2) / 3.0;
        let r = ((12.0 * variance + 1.0).sqrt() * 0.5 - 0.5).floor();
        let share = (2.0 * r + 1.0) * (r * (r + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (r + 1.0).powi(2)));
        let length = 2.0 * (share + r) + 1.0;
        let count = 2 * r as usize + 3;
        (0..count)
            .map(|i| {
                if i == 0 || i == count - 1 {
                    share / length
                } else {
                    1.0 / length
                }
            })
            .collect()
    }

    fn convolve(line: &[f64], weights: &[f64]) -> Vec<f64> {
        let half = weights.len() / 2;
        (0..line.len() + 2 * half)
            .map(|at| {
                let terms = weights.iter().enumerate();
                terms
                    .filter_map(|(i, weight)| {
                        line.get((at + i).wrapping_sub(2 * half))
                            .map(|v| v * weight)
                    })
                    .sum()
            })
            .collect()
    }

    /// All three passes on an endless line, cut to the line's own length at the end.
    fn blur_line(line: &[f64], sigma: f64) -> Vec<f64> {
        let weights = weights(sigma);
        let once = convolve(line, &weights);
        let thrice = convolve(&convolve(&once, &weights), &weights);
        let cut = weights.len() / 2 * 3;
        thrice[cut..cut + line.len()].to_vec()
    }

    fn blur_along(
        planes: &mut [[f64; 4]],
        channel: usize,
        at: impl Iterator<Item = usize> + Clone,
        sigma: f32,
    ) {
        let line: Vec<f64> = at.clone().map(|at| planes[at][channel]).collect();
        for (at, value) in at.zip(blur_line(&line, f64::from(sigma))) {
            planes[at][channel] = value;
        }
    }

    fn reference(pixels: &Pixels, blur: Blur) -> Vec<[f64; 4]> {
        let (width, height) = (pixels.width(), pixels.height());
        let mut planes: Vec<[f64; 4]> = pixels.words().iter().map(|&pixel| unit(pixel)).collect();
        for channel in 0..4 {
            for y in 0..height {
                let row = (0..width).map(|x| y * width + x);
                blur_along(&mut planes, channel, row, blur.sigma_x);
            }
            for x in 0..width {
                let column = (0..height).map(|y| y * width + x);
                blur_along(&mut planes, channel, column, blur.sigma_y);
            }
        }
        planes
    }

    fn error(pixels: &Pixels, blur: Blur) -> f64 {
        let got = at_all_levels(pixels, |pixels, scratch| blur.apply(pixels, scratch));
        let expected = reference(pixels, blur);
        error_max(&got, |x, y| expected[y * pixels.width() + x])
    }

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(pixels in pictures(), sigma_x in 0.0f32..12.0, sigma_y in 0.0f32..12.0) {
            let worst = error(&pixels, Blur { sigma_x, sigma_y });
            prop_assert!(worst < 0.6, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), sigma_x in wild(), sigma_y in wild()) {
            at_all_levels(&pixels, |pixels, scratch| Blur { sigma_x, sigma_y }.apply(pixels, scratch));
        }
    }

    #[test]
    fn large_pictures_and_sigmas_stay_within_a_255th() {
        let noise = |x: u32, y: u32| (x * 7919 + y * 104_729 + x * y * 31) % 256;
        let pixels = draw(330, 35, |x, y| {
            let alpha = if x / 45 % 2 == 0 { 255 } else { noise(y, x) };
            [0, 1, 2]
                .map(|c| noise(x + c, y) * alpha / 255)
                .map(|c| c as u8)
                .into_iter()
                .chain([alpha as u8])
                .collect::<Vec<u8>>()
                .try_into()
                .unwrap()
        });
        for sigma in [0.3, 7.3, 20.0, 55.5, 200.0] {
            assert!(error(&pixels, Blur::new(sigma)) < 0.7, "sigma {sigma}");
        }
    }

    #[test]
    fn one_channel_is_blurred_as_the_alpha_of_four() {
        let pixels = draw(150, 70, |x, y| {
            [
                0,
                0,
                0,
                if (x / 20 + y / 9) % 2 == 0 {
                    255
                } else {
                    (x + y) as u8
                },
            ]
        });
        for sigma in [0.5, 3.3, 30.0] {
            let mut alpha = Alpha::default();
            alpha.fill_from(&pixels);
            let mut scratch = Scratch::new();
            Blur::new(sigma).apply_alpha(&mut alpha, &mut scratch);
            let mut blurred = pixels.clone();
            Blur::new(sigma).apply(&mut blurred, &mut scratch);
            for (value, pixel) in alpha.values().iter().zip(blurred.words()) {
                let difference = f32::from(*value) / 256.0 - (pixel >> 24) as f32;
                assert!(difference.abs() <= 0.52, "{difference}");
            }
        }
    }

    #[test]
    fn nothing_is_lost_beyond_the_reach() {
        for sigma in [0.0, 0.04, 0.05, 0.4, 1.0, 5.0, 9.7] {
            let reach = reach(sigma);
            let pixels = draw(2 * reach + 3, 2 * reach + 3, |x, y| {
                if (x, y) == (reach + 1, reach + 1) {
                    [255; 4]
                } else {
                    [0; 4]
                }
            });
            let mut alpha = Alpha::default();
            alpha.fill_from(&pixels);
            Blur::new(sigma).apply_alpha(&mut alpha, &mut Scratch::new());
            assert!(
                alpha.values()[..alpha.width()]
                    .iter()
                    .all(|value| *value == 0)
            );
            let sum: f64 = alpha.values().iter().map(|value| f64::from(*value)).sum();
            assert!(
                (sum / f64::from(Alpha::OPAQUE) - 1.0).abs() < 0.02,
                "{sigma}: {sum}"
            );
        }
    }

    #[test]
    fn softness_grows_smoothly_with_sigma() {
        let pixels = draw(120, 9, |x, _| if x < 60 { [255; 4] } else { [0; 4] });
        let mut scratch = Scratch::new();
        let mut last: Option<Pixels> = None;
        for tenth in 0..300 {
            let mut blurred = pixels.clone();
            Blur {
                sigma_x: tenth as f32 * 0.05,
                sigma_y: 0.0,
            }
            .apply(&mut blurred, &mut scratch);
            if let Some(last) = last {
                let changes = last.words().iter().zip(blurred.words());
                let most = changes.map(|(a, b)| (a >> 24).abs_diff(b >> 24)).max();
                assert!(most.unwrap() <= 8, "at {tenth}");
            }
            last = Some(blurred);
        }
    }

    #[test]
    fn what_was_blurred_before_leaves_no_trace() {
        let big = draw(90, 80, |_, _| [255; 4]);
        let small = draw(60, 50, |x, y| {
            if (20..23).contains(&x) && y == 30 {
                [9, 8, 7, 200]
            } else {
                [0; 4]
            }
        });
        let mut scratch = Scratch::new();
        Blur::new(4.0).apply(&mut big.clone(), &mut scratch);
        let (mut used, mut fresh) = (small.clone(), small);
        Blur::new(2.0).apply(&mut used, &mut scratch);
        Blur::new(2.0).apply(&mut fresh, &mut Scratch::new());
        assert_eq!(used, fresh);
    }
}
