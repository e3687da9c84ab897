//! Composes one band of tiles: chooses what each tile starts from, and has neighbouring tiles drawn and converted together.
//!
//! Neighbouring tiles that start from the same cover are composed as one run. A run stays in the L2 cache from its first
//! pixel to its conversion, and pictures are read in long stretches, which memory likes best.

use crate::{
    draw::RowScratch,
    frame::Band,
    group::CANVAS,
    kernels::{Level, convert::convert_rows},
    planes::Planes,
    rect::IRect,
    strip::{Picture, Strip},
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
    /// Whether it takes planes as they are.
    const TAKES_PLANES: bool;

    /// Takes a part of decoded planes, whose top left lies at `from` in them; all is even. `part` counts from the top left of the band.
    fn put_planes(&mut self, part: IRect, planes: &dyn Planes, from: [usize; 2]);

    /// Takes one or two rows of finished pixels; `y` counts from the top of the band.
    fn put(&mut self, level: Level, x0: usize, y: usize, upper: &[u32], lower: Option<&[u32]>);
}

impl Sink for Band<'_> {
    const TAKES_PLANES: bool = true;

    fn put_planes(&mut self, part: IRect, planes: &dyn Planes, from: [usize; 2]) {
        let [x, y] = from;
        let (left, top) = (part.x0 as usize, part.y0 as usize);
        let (width, height) = ((part.x1 - part.x0) as usize, (part.y1 - part.y0) as usize);
        let luma = (planes.y(), planes.luma_stride());
        copy_plane(
            (self.y, self.luma_stride, [left, top]),
            (luma.0, luma.1, from),
            [width, height],
        );
        for (to, plane) in [(&mut *self.u, planes.u()), (&mut *self.v, planes.v())] {
            copy_plane(
                (to, self.chroma_stride, [left / 2, top / 2]),
                (plane, planes.chroma_stride(), [x / 2, y / 2]),
                [width / 2, height / 2],
            );
        }
    }

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

/// Copies a rectangle of one plane into another: each with its stride and the rectangle's top left.
fn copy_plane(
    (to, to_stride, [left, top]): (&mut [u8], usize, [usize; 2]),
    (from, from_stride, [x, y]): (&[u8], usize, [usize; 2]),
    [width, height]: [usize; 2],
) {
    for row in 0..height {
        let from = &from[(y + row) * from_stride + x..][..width];
        to[(top + row) * to_stride + left..][..width].copy_from_slice(from);
    }
}

/// Rows of a band as bytes: red, green, blue, alpha of each pixel.
pub(crate) struct RgbaBand<'a> {
    pub bytes: &'a mut [u8],
    /// Pixels of a row.
    pub width: usize,
}

impl Sink for RgbaBand<'_> {
    const TAKES_PLANES: bool = false;

    fn put_planes(&mut self, _part: IRect, _planes: &dyn Planes, _from: [usize; 2]) {}

    fn put(&mut self, _level: Level, x0: usize, y: usize, upper: &[u32], lower: Option<&[u32]>) {
        for (y, row) in std::iter::once(upper)
            .chain(lower)
            .enumerate()
            .map(|(i, row)| (y + i, row))
        {
            self.bytes[(y * self.width + x0) * 4..][..row.len() * 4]
                .copy_from_slice(bytemuck::cast_slice(row));
        }
    }
}

/// What one worker needs while it composes. Allocated once.
#[derive(Debug)]
pub(crate) struct Scratch {
    width: usize,
    /// The rows being composed: the canvas's, and those of groups within groups.
    strips: Vec<Strip>,
    rows: RowScratch,
    /// Items on the band, and those of them on the run, back to front.
    in_band: Vec<u32>,
    in_run: Vec<u32>,
}

impl Scratch {
    /// For a canvas of this width, in pixels.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            strips: vec![Strip::new(width)],
            rows: RowScratch::new(width),
            in_band: Vec::new(),
            in_run: Vec::new(),
        }
    }

    /// Makes room for lists of `items` items, in groups `depth` deep.
    pub fn reserve(&mut self, items: usize, depth: usize) {
        for list in [&mut self.in_band, &mut self.in_run] {
            list.clear();
            list.reserve(items);
        }
        while self.strips.len() <= depth {
            self.strips.push(Strip::new(self.width));
        }
    }
}

impl Picture<'_> {
    /// Composes the tiles of band `index` that `tasks` says are to be composed.
    pub fn compose_band<S: Sink>(
        &self,
        index: usize,
        tasks: &[TileTask],
        scratch: &mut Scratch,
        sink: &mut S,
    ) {
        let top = self.canvas.y0 + (index * TILE_HEIGHT) as i32;
        let band = IRect {
            y0: top,
            y1: (top + TILE_HEIGHT as i32).min(self.canvas.y1),
            ..self.canvas
        };
        scratch.in_band.clear();
        scratch.in_band.extend(
            (0u32..)
                .zip(self.prepared)
                .filter(|(_, prepared)| prepared.bounds.overlaps(band))
                .map(|(index, _)| index),
        );
        let state_of = |tile: usize, in_band: &[u32]| {
            let tile = tile_of(tile, band);
            let cover = self.cover_of(tile, CANVAS, in_band);
            let planes = cover.filter(|_| S::TAKES_PLANES);
            let planes = planes.and_then(|cover| self.bare_planes(cover, tile, in_band));
            (cover, planes)
        };
        let mut tile = 0;
        while tile < tasks.len() {
            if tasks[tile] != TileTask::Compose {
                tile += 1;
                continue;
            }
            let first = tile;
            let (cover, planes) = state_of(tile, &scratch.in_band);
            tile += 1;
            let is_same = |other: (Option<u32>, Option<_>)| {
                other.0 == cover && other.1.is_some() == planes.is_some()
            };
            while tile < tasks.len()
                && tasks[tile] == TileTask::Compose
                && is_same(state_of(tile, &scratch.in_band))
            {
                tile += 1;
            }
            let run = IRect {
                x0: tile_of(first, band).x0,
                x1: tile_of(tile - 1, band).x1,
                ..band
            };
            if let Some((planes, dx, dy)) = planes {
                let part = run.translate(-self.canvas.x0, -top);
                let from = [(run.x0 + dx) as usize, (run.y0 + dy) as usize];
                sink.put_planes(part, planes, from);
                continue;
            }
            self.compose_run(run, cover, scratch, sink);
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
            strips,
            rows,
            in_band,
            in_run,
            ..
        } = scratch;
        in_run.clear();
        let above = in_band
            .iter()
            .copied()
            .filter(|&index| cover.is_none_or(|cover| index > cover));
        in_run.extend(above.filter(|&index| self.prepared[index as usize].bounds.overlaps(run)));
        // Nothing lies over the cover: its pixels go out as they are.
        let bare = cover
            .filter(|&cover| in_run.is_empty() && self.plain_row(cover, run, run.y0).is_some());
        if bare.is_none() {
            self.draw_strip(run, CANVAS, cover, in_run, strips, rows);
        }
        let row = |y: i32| match bare {
            Some(cover) => self.plain_row(cover, run, y),
            None => strips.first().map(|strip| self.row_of(strip, run, y)),
        };
        for y in (run.y0..run.y1).step_by(2) {
            let Some(upper) = row(y) else { continue };
            let lower = if y + 1 < run.y1 { row(y + 1) } else { None };
            sink.put(
                self.level,
                (run.x0 - self.canvas.x0) as usize,
                (y - run.y0) as usize,
                upper,
                lower,
            );
        }
    }
}

fn tile_of(index: usize, band: IRect) -> IRect {
    let x0 = band.x0 + (index * TILE_WIDTH) as i32;
    IRect {
        x0,
        x1: (x0 + TILE_WIDTH as i32).min(band.x1),
        ..band
    }
}
