//! Pictures composed in one go, as bytes: of the canvas, and of layers that go into the canvas as pictures.

use std::sync::{Mutex, PoisonError};

use crate::{
    RasterError,
    band::{RgbaBand, Scratch, TILE_HEIGHT, TILE_WIDTH, TileTask},
    filter::{Margin, Pixels},
    group::{Grouping, Stack},
    kernels::Level,
    prepare::Prepared,
    raster::{SIDE_MAX, clamp_all_to_alpha},
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

/// As [`compose_layer`], into the buffer of `pixels`, as large as `rect` with `margin` round it; what is drawn there shows too.
///
/// # Errors
/// [`RasterError::Size`] when that is empty or a side would be above [`SIDE_MAX`]; the pixels are then what they were.
pub fn compose_layer_into<'a>(
    pixels: &mut Pixels,
    stack: impl Into<Stack<'a>>,
    rect: IRect,
    margin: Margin,
    workers: &Workers,
) -> Result<(), RasterError> {
    let side = |from: i32, to: i32, a: u32, b: u32| {
        let own = u32::try_from(to.saturating_sub(from)).unwrap_or(0);
        own.saturating_add(a).saturating_add(b)
    };
    let width = side(rect.x0, rect.x1, margin.left, margin.right);
    let height = side(rect.y0, rect.y1, margin.top, margin.bottom);
    if width == 0 || height == 0 || width.max(height) > SIDE_MAX {
        return Err(RasterError::Size { width, height });
    }
    pixels.resize(width, height);
    // Both fit: the sides are not above the largest.
    let (x0, y0) = (rect.x0 - margin.left as i32, rect.y0 - margin.top as i32);
    let canvas = IRect::new(x0, y0, x0 + width as i32, y0 + height as i32);
    let words = pixels.words_mut();
    render_into(
        bytemuck::cast_slice_mut(words),
        0,
        stack.into(),
        canvas,
        workers,
    );
    clamp_all_to_alpha(words);
    Ok(())
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
    let mut bytes = vec![0u8; width * height * 4];
    render_into(&mut bytes, background, stack, canvas, workers);
    bytes
}

/// Draws all pixels of `canvas`, whose sides are within the limits, into `bytes`, four a pixel.
fn render_into(
    bytes: &mut [u8],
    background: u32,
    stack: Stack<'_>,
    canvas: IRect,
    workers: &Workers,
) {
    let width = (canvas.x1 - canvas.x0) as usize;
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
}
