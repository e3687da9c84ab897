//! Pictures composed in one go, as bytes: of the canvas, and of layers that go into the canvas as pictures.

use std::sync::{Mutex, PoisonError};

use crate::{
    band::{RgbaBand, Scratch, TILE_HEIGHT, TILE_WIDTH, TileTask},
    group::{Grouping, Stack},
    kernels::Level,
    prepare::Prepared,
    raster::SIDE_MAX,
    rect::IRect,
    strip::Picture,
    workers::Workers,
};

/// Draws `stack`, back to front, over transparency: premultiplied red, green, blue and alpha of each pixel of `rect`, row by row.
///
/// `rect` lies in the space that the stack is in; it may begin anywhere and its sides may be odd. What is drawn of a pixel does
/// not depend on it. Empty when `rect` is, or when a side is above [`SIDE_MAX`].
pub fn compose_layer<'a>(stack: impl Into<Stack<'a>>, rect: IRect, workers: &Workers) -> Vec<u8> {
    render(0, stack.into(), rect, workers)
}

/// Draws `stack` over a background (a pixel) for the pixels of `canvas`.
pub(crate) fn render(
    background: u32,
    stack: Stack<'_>,
    canvas: IRect,
    workers: &Workers,
) -> Vec<u8> {
    let side = |from: i32, to: i32| usize::try_from(to.saturating_sub(from)).unwrap_or(0);
    let (width, height) = (side(canvas.x0, canvas.x1), side(canvas.y0, canvas.y1));
    if width == 0 || height == 0 || width.max(height) > SIDE_MAX as usize {
        return Vec::new();
    }
    let mut groups = Grouping::default();
    groups.read(stack, canvas, &Grouping::default(), &mut 0);
    let prepared: Vec<Prepared> = stack
        .items
        .iter()
        .enumerate()
        .map(|(index, item)| Prepared::new(item, groups.bounds(index, canvas)))
        .collect();
    let picture = Picture {
        level: Level::new(),
        canvas,
        background,
        items: stack.items,
        prepared: &prepared,
        groups: &groups,
    };
    let mut bytes = vec![0u8; width * height * 4];
    let tasks = vec![TileTask::Compose; width.div_ceil(TILE_WIDTH)];
    let bands: Vec<Mutex<&mut [u8]>> = bytes
        .chunks_mut(width * TILE_HEIGHT * 4)
        .map(Mutex::new)
        .collect();
    let scratches: Vec<Mutex<Scratch>> = (0..workers.threads())
        .map(|_| {
            let mut scratch = Scratch::new(width);
            scratch.reserve(stack.items.len(), groups.depth());
            Mutex::new(scratch)
        })
        .collect();
    workers.run(bands.len(), &|index, worker| {
        // No lock is ever waited for: a band is visited once, and a worker's number is its own while it draws.
        let mut scratch = scratches[worker]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut band = bands[index].lock().unwrap_or_else(PoisonError::into_inner);
        let mut sink = RgbaBand {
            bytes: &mut band,
            width,
        };
        picture.compose_band(index, &tasks, &mut scratch, &mut sink);
    });
    drop(bands);
    bytes
}
