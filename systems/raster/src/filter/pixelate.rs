//! Large pixels: every block of a picture in its mean colour.

use super::{Pixels, Scratch, within};
use crate::raster::SIDE_MAX;

/// Replaces each block by the mean of its pixels.
///
/// Blocks start at the top left. Block k of a row spans the pixels from k * size to (k + 1) * size, both rounded, so that
/// blocks of a fractional size differ by a pixel and never drift. The last ones are cut off by the picture's end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pixelate {
    /// Side of a block in pixels, 1 (nothing changes) to the longest side of a picture.
    pub size: f32,
}

impl Pixelate {
    /// Makes blocks of `pixels`.
    pub fn apply(&self, pixels: &mut Pixels, scratch: &mut Scratch) {
        let size = within(self.size, 1.0, SIDE_MAX as f32, 1.0);
        let (width, height) = (pixels.width(), pixels.height());
        if size <= 1.0 || width == 0 {
            return;
        }
        let sums = &mut scratch.block_sums;
        let mut band = 0;
        while block(band, size, height).0 < height {
            let (top, bottom) = block(band, size, height);
            band += 1;
            if top < bottom {
                let rows = &mut pixels.words_mut()[top * width..bottom * width];
                flatten(rows, width, size, sums);
            }
        }
    }
}

/// Where block `index` starts and ends, within `len`.
fn block(index: usize, size: f32, len: usize) -> (usize, usize) {
    // In double precision: a thousand blocks of 16.1 would otherwise end beside the pixel.
    let edge = |index: usize| ((index as f64 * f64::from(size)).round() as usize).min(len);
    (edge(index), edge(index + 1))
}

/// Makes the rows of one band of blocks.
fn flatten(rows: &mut [u32], width: usize, size: f32, sums: &mut Vec<[u64; 4]>) {
    let height = (rows.len() / width) as u64;
    let count = (width as f64 / f64::from(size)).ceil() as usize + 1;
    sums.clear();
    sums.resize(count, [0; 4]);
    for row in rows.chunks_exact(width) {
        for (index, sum) in sums.iter_mut().enumerate() {
            let (left, right) = block(index, size, width);
            let run = sum_run(&row[left..right]);
            for (total, part) in sum.iter_mut().zip(run) {
                *total += u64::from(part);
            }
        }
    }
    let (first, others) = rows.split_at_mut(width);
    for (index, sum) in sums.iter().enumerate() {
        let (left, right) = block(index, size, width);
        let count = (right - left) as u64 * height;
        if count > 0 {
            let mean = sum.map(|total| ((total + count / 2) / count) as u8);
            first[left..right].fill(u32::from_le_bytes(mean));
        }
    }
    for row in others.chunks_exact_mut(width) {
        row.copy_from_slice(first);
    }
}

/// The sum of each channel. No row is so long that a sum would overflow.
fn sum_run(run: &[u32]) -> [u32; 4] {
    let mut sums = [0; 4];
    for pixel in run {
        for (channel, sum) in sums.iter_mut().enumerate() {
            *sum += (pixel >> (8 * channel)) & 255;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::testing::{at_all_levels, draw, error_max, pictures, unit, wild};

    proptest! {
        #[test]
        fn it_is_within_a_255th_of_floats(pixels in pictures(), size in 1.0f32..30.0) {
            let got = at_all_levels(&pixels, |pixels, scratch| Pixelate { size }.apply(pixels, scratch));
            let index = |at: usize| (0..).find(|k| (((k + 1) as f64) * f64::from(size)).round() > at as f64).unwrap_or(0usize);
            let worst = error_max(&got, |x, y| {
                let members = (0..pixels.words().len())
                    .filter(|at| index(at % pixels.width()) == index(x) && index(at / pixels.width()) == index(y));
                let members: Vec<[f64; 4]> = members.map(|at| unit(pixels.words()[at])).collect();
                std::array::from_fn(|c| members.iter().map(|pixel| pixel[c]).sum::<f64>() / members.len() as f64)
            });
            prop_assert!(worst < 0.51, "{worst}");
        }

        #[test]
        fn anything_may_be_asked_for(pixels in pictures(), size in wild()) {
            at_all_levels(&pixels, |pixels, scratch| Pixelate { size }.apply(pixels, scratch));
        }
    }

    #[test]
    fn blocks_start_at_the_top_left() {
        let mut pixels = draw(5, 2, |x, _| [x as u8 * 10, 0, 0, 255]);
        Pixelate { size: 2.0 }.apply(&mut pixels, &mut Scratch::new());
        let reds: Vec<u32> = pixels.words()[5..]
            .iter()
            .map(|pixel| pixel & 255)
            .collect();
        assert_eq!(reds, [5, 5, 25, 25, 40]);
    }
}
