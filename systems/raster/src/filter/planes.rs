//! How pictures become the floats that are blurred side by side, and floats become pictures again.
//!
//! A step holds the values of one position: several rows' pixels when rows are blurred, neighbours of one row when columns are.
//! The pixels of both kinds of picture fill it without a rest.

use super::{Alpha, Pixels, ROUND};

/// Floats that are blurred side by side.
pub(super) const LANES: usize = 32;

/// One step of all lanes.
pub(super) type Step = [f32; LANES];

/// A picture of one or of four channels: how it becomes floats, and floats become it.
pub(super) trait Plane {
    /// Channels of a pixel.
    const CHANNELS: usize;
    /// 1/256ths of a byte in one unit of the floats.
    const UNIT: f32;
    /// One pixel as it is stored.
    type Pixel: Copy;

    /// Width and height in pixels.
    fn size(&self) -> (usize, usize);
    /// The pixels of row `y`.
    fn row(&self, y: usize) -> &[Self::Pixel];
    /// Whether a pixel adds nothing to a sum.
    fn is_empty(pixel: Self::Pixel) -> bool;
    /// The pixels at `x` of several rows, one after another.
    fn gather(rows: &[&[Self::Pixel]], x: usize) -> Step;
    /// Writes one step to row `y` from column `x` on, as far as the row goes.
    fn store(&mut self, x: usize, y: usize, step: &Step);
    /// Empties the row from column `x` on for a step's pixels.
    fn clear(&mut self, x: usize, y: usize);
}

/// All four channels of a picture.
pub(super) struct Rgba<'a>(pub &'a mut Pixels);

impl Plane for Rgba<'_> {
    const CHANNELS: usize = 4;
    const UNIT: f32 = 256.0;
    type Pixel = u32;

    fn size(&self) -> (usize, usize) {
        (self.0.width(), self.0.height())
    }

    #[inline(always)]
    fn row(&self, y: usize) -> &[u32] {
        let width = self.0.width();
        &self.0.words()[y * width..][..width]
    }

    #[inline(always)]
    fn is_empty(pixel: u32) -> bool {
        pixel == 0
    }

    #[inline(always)]
    fn gather(rows: &[&[u32]], x: usize) -> Step {
        let mut bytes = [[0; 4]; LANES / 4];
        for (lane, row) in bytes.iter_mut().zip(rows) {
            *lane = row[x].to_le_bytes();
        }
        let bytes = bytes.as_flattened();
        let mut step = [0.0; LANES];
        for (value, &byte) in step.iter_mut().zip(bytes) {
            *value = f32::from(byte);
        }
        step
    }

    #[inline(always)]
    fn store(&mut self, x: usize, y: usize, step: &Step) {
        let mut bytes = [0; LANES];
        for (byte, value) in bytes.iter_mut().zip(step) {
            *byte = (value * (1.0 / Self::UNIT) + ROUND).to_bits() as u8;
        }
        let mut words = [0; LANES / 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        for word in &mut words {
            // Rounding may have lifted a colour over its alpha.
            let alpha = *word >> 24;
            let one = |shift: u32| ((*word >> shift) & 255).min(alpha) << shift;
            *word = one(0) | one(8) | one(16) | (alpha << 24);
        }
        let width = self.0.width();
        let row = &mut self.0.words_mut()[y * width..][..width];
        write(row, x, &words);
    }

    #[inline(always)]
    fn clear(&mut self, x: usize, y: usize) {
        let width = self.0.width();
        let row = &mut self.0.words_mut()[y * width..][..width];
        write(row, x, &[0; LANES / 4]);
    }
}

/// The only channel of a plane.
pub(super) struct One<'a>(pub &'a mut Alpha);

impl Plane for One<'_> {
    const CHANNELS: usize = 1;
    const UNIT: f32 = 1.0;
    type Pixel = u16;

    fn size(&self) -> (usize, usize) {
        (self.0.width, self.0.height)
    }

    #[inline(always)]
    fn row(&self, y: usize) -> &[u16] {
        let width = self.0.width;
        &self.0.values[y * width..][..width]
    }

    #[inline(always)]
    fn is_empty(pixel: u16) -> bool {
        pixel == 0
    }

    #[inline(always)]
    fn gather(rows: &[&[u16]], x: usize) -> Step {
        let mut values = [0; LANES];
        for (lane, row) in values.iter_mut().zip(rows) {
            *lane = row[x];
        }
        let mut step = [0.0; LANES];
        for (float, &value) in step.iter_mut().zip(&values) {
            *float = f32::from(value);
        }
        step
    }

    #[inline(always)]
    fn store(&mut self, x: usize, y: usize, step: &Step) {
        let width = self.0.width;
        write(
            &mut self.0.values[y * width..][..width],
            x,
            &to_u16(step, 1.0),
        );
    }

    #[inline(always)]
    fn clear(&mut self, x: usize, y: usize) {
        let width = self.0.width;
        write(&mut self.0.values[y * width..][..width], x, &[0; LANES]);
    }
}

/// Writes `values` from column `x` on, as far as the row goes.
#[inline(always)]
fn write<T: Copy, const N: usize>(row: &mut [T], x: usize, values: &[T; N]) {
    match row[x..].first_chunk_mut::<N>() {
        Some(whole) => *whole = *values,
        None => {
            let rest = &mut row[x..];
            rest.copy_from_slice(&values[..rest.len()]);
        }
    }
}

/// Whole numbers of `1 / factor`, as they are kept between the directions.
#[inline(always)]
pub(super) fn to_u16(step: &Step, factor: f32) -> [u16; LANES] {
    let mut values = [0; LANES];
    for (value, float) in values.iter_mut().zip(step) {
        *value = (float * factor + ROUND).to_bits() as u16;
    }
    values
}
