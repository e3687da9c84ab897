//! Composes one band of tiles: chooses what each tile starts from, and draws and converts neighbouring tiles together.
//!
//! Neighbouring tiles that start from the same cover are composed as one run. A run stays in the L2 cache from its first
//! pixel to its conversion, and pictures are read in long stretches, which memory likes best.

use crate::{
    draw::{Drawable, RowScratch, draw_row},
    frame::Band,
    item::DrawItem,
    kernels::{Level, convert::convert_rows},
    prepare::Prepared,
    rect::IRect,
};

/// Width of a tile, in pixels: a whole number of vectors of every kernel.
pub(crate) const TILE_WIDTH: usize = 64;
/// Height of a tile and thus of a band, in pixels; even, for chroma.
pub(crate) const TILE_HEIGHT: usize = 16;

/// What a tile of the frame needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TileTask {
    /// Nothing: it is up to date.
    Keep,
    /// To be copied from the last frame.
    Copy,
    /// To be composed.
    Compose,
}

/// Where finished pixels go.
pub(crate) trait Sink {
    /// Takes one or two rows of finished pixels; `y` counts from the top of the band.
    fn put(&mut self, level: Level, x0: usize, y: usize, upper: &[u32], lower: Option<&[u32]>);
}

impl Sink for Band<'_> {
    fn put(&mut self, level: Level, x0: usize, y: usize, upper: &[u32], lower: Option<&[u32]>) {
        // Frames have even heights, so there always is a lower row.
        let lower = lower.unwrap_or(upper);
        let width = upper.len();
        let (first, second) = self.y[y * self.luma_stride..].split_at_mut(self.luma_stride);
        let luma = [&mut first[x0..x0 + width], &mut second[x0..x0 + width]];
        let chroma = y / 2 * self.chroma_stride + x0 / 2;
        convert_rows(
            level,
            [upper, lower],
            luma,
            &mut self.u[chroma..chroma + width / 2],
            &mut self.v[chroma..chroma + width / 2],
        );
    }
}

/// Rows of a band as pixels.
pub(crate) struct RgbaBand<'a> {
    pub pixels: &'a mut [u32],
    pub width: usize,
}

impl Sink for RgbaBand<'_> {
    fn put(&mut self, _level: Level, x0: usize, y: usize, upper: &[u32], lower: Option<&[u32]>) {
        for (y, row) in std::iter::once(upper)
            .chain(lower)
            .enumerate()
            .map(|(i, row)| (y + i, row))
        {
            self.pixels[y * self.width + x0..][..row.len()].copy_from_slice(row);
        }
    }
}

/// What one worker needs while it composes. Allocated once.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The rows being composed.
    strip: [Vec<u32>; TILE_HEIGHT],
    rows: RowScratch,
    /// Items on the band, and those of them on the run, back to front.
    in_band: Vec<u32>,
    in_run: Vec<u32>,
}

impl Scratch {
    pub fn new(width: usize) -> Self {
        Self {
            strip: std::array::from_fn(|_| vec![0; width]),
            rows: RowScratch::new(width),
            in_band: Vec::new(),
            in_run: Vec::new(),
        }
    }

    /// Makes room for lists of `items` items.
    pub fn reserve(&mut self, items: usize) {
        for list in [&mut self.in_band, &mut self.in_run] {
            list.clear();
            list.reserve(items);
        }
    }
}

/// The picture to compose, shared by all workers.
#[derive(Clone, Copy)]
pub(crate) struct Picture<'a> {
    pub level: Level,
    pub canvas: IRect,
    /// Opaque.
    pub background: u32,
    pub items: &'a [DrawItem],
    pub prepared: &'a [Prepared],
}

impl<'a> Picture<'a> {
    /// Composes the tiles of band `index` that `tasks` says are to be composed.
    pub fn compose_band(
        &self,
        index: usize,
        tasks: &[TileTask],
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        let top = (index * TILE_HEIGHT) as i32;
        let band = IRect::new(
            0,
            top,
            self.canvas.x1,
            (top + TILE_HEIGHT as i32).min(self.canvas.y1),
        );
        scratch.in_band.clear();
        scratch.in_band.extend(
            (0u32..)
                .zip(self.prepared)
                .filter(|(_, prepared)| prepared.bounds.overlaps(band))
                .map(|(index, _)| index),
        );
        let mut tile = 0;
        while tile < tasks.len() {
            if tasks[tile] != TileTask::Compose {
                tile += 1;
                continue;
            }
            let first = tile;
            let cover = self.cover_of(tile, band, &scratch.in_band);
            tile += 1;
            while tile < tasks.len()
                && tasks[tile] == TileTask::Compose
                && self.cover_of(tile, band, &scratch.in_band) == cover
            {
                tile += 1;
            }
            let run = IRect {
                x0: (first * TILE_WIDTH) as i32,
                x1: ((tile * TILE_WIDTH) as i32).min(band.x1),
                ..band
            };
            self.compose_run(run, cover, scratch, sink);
        }
    }

    /// The topmost item that hides everything below it on a whole tile.
    fn cover_of(&self, tile: usize, band: IRect, in_band: &[u32]) -> Option<u32> {
        let x0 = (tile * TILE_WIDTH) as i32;
        let tile = IRect {
            x0,
            x1: (x0 + TILE_WIDTH as i32).min(band.x1),
            ..band
        };
        in_band
            .iter()
            .rev()
            .copied()
            .find(|&index| self.prepared[index as usize].cover.contains(tile))
    }

    fn drawable(&self, index: u32) -> Drawable<'a> {
        Drawable {
            item: &self.items[index as usize],
            prepared: &self.prepared[index as usize],
        }
    }

    fn compose_run(
        &self,
        run: IRect,
        cover: Option<u32>,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) {
        let Scratch {
            strip,
            rows,
            in_band,
            in_run,
        } = scratch;
        in_run.clear();
        let above = in_band
            .iter()
            .copied()
            .filter(|&index| cover.is_none_or(|cover| index > cover));
        in_run.extend(above.filter(|&index| self.prepared[index as usize].bounds.overlaps(run)));
        let width = (run.x1 - run.x0) as usize;
        let plain =
            |y: i32| cover.and_then(|cover| self.drawable(cover).plain_row(y, run.x0, width));
        // Nothing lies over the cover: its pixels go out as they are.
        let is_bare = in_run.is_empty() && plain(run.y0).is_some();
        if !is_bare {
            self.draw_strip(run, cover, in_run, strip, rows);
        }
        for y in (run.y0..run.y1).step_by(2) {
            let row = |y: i32| {
                if is_bare {
                    plain(y)
                } else {
                    strip.get((y - run.y0) as usize).map(|row| &row[..width])
                }
            };
            if let Some(upper) = row(y) {
                let lower = if y + 1 < run.y1 { row(y + 1) } else { None };
                sink.put(
                    self.level,
                    run.x0 as usize,
                    (y - run.y0) as usize,
                    upper,
                    lower,
                );
            }
        }
    }

    /// Draws item by item, so that each picture is read for several rows on end: row by row across items takes a quarter longer
    /// when the pictures come from memory.
    fn draw_strip(
        &self,
        block: IRect,
        cover: Option<u32>,
        above: &[u32],
        strip: &mut [Vec<u32>],
        scratch: &mut RowScratch,
    ) {
        let width = (block.x1 - block.x0) as usize;
        for (y, row) in (block.y0..block.y1).zip(&mut *strip) {
            match cover {
                Some(cover) => draw_row(
                    self.level,
                    self.drawable(cover),
                    &mut row[..width],
                    block.x0,
                    y,
                    scratch,
                ),
                None => row[..width].fill(self.background),
            }
        }
        for &index in above {
            for (y, row) in (block.y0..block.y1).zip(&mut *strip) {
                draw_row(
                    self.level,
                    self.drawable(index),
                    &mut row[..width],
                    block.x0,
                    y,
                    scratch,
                );
            }
        }
    }
}
