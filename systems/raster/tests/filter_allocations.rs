//! Filtering allocates nothing once it is warm. A binary of its own, because it counts every allocation of the process.
#![allow(clippy::unwrap_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use stream_manager_raster::{
    Raster,
    filter::{
        Blur, Border, ChromaKey, Colour, CornerRadius, DropShadow, Glow, Margin, Mask, Pixelate,
        Pixels, Placement, Scratch, Vignette,
    },
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards every call unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn animated_filters_allocate_nothing() {
    let card = Raster::from_rgba8_premultiplied(90, 60, [60, 40, 20, 180].repeat(90 * 60)).unwrap();
    let mut scratch = Scratch::new();
    let mut pixels = Pixels::default();
    let mask = Pixels::from_raster(&card, Margin::all(40)).unwrap();
    let mut before = 0;
    for time in 0..90_u32 {
        if time == 45 {
            before = ALLOCATIONS.load(Ordering::Relaxed);
        }
        // Each value comes again in the second half, so that the first one has seen the largest.
        let phase = (time % 45) as f32 / 45.0;
        let area = [40.0, 40.0, 130.0, 100.0];
        pixels.fill_from(&card, Margin::all(40)).unwrap();
        CornerRadius {
            radii: [20.0 * phase; 4],
            area,
        }
        .apply(&mut pixels, &mut scratch);
        let tone = Colour {
            gamma: 1.0 + phase,
            ..Colour::default()
        };
        tone.apply(&mut pixels, &mut scratch);
        let (width, colour) = (8.0 * phase, [255, 0, 0, 255]);
        let placement = Placement::Center;
        Border {
            width,
            colour,
            placement,
        }
        .apply(&mut pixels, &mut scratch);
        let (sigma, spread, offset) = (9.0 * phase, 3.0 * phase, [phase * 5.0, 2.0]);
        DropShadow {
            offset,
            sigma,
            spread,
            colour,
        }
        .apply(&mut pixels, &mut scratch);
        Glow {
            sigma,
            colour,
            intensity: 2.0,
        }
        .apply(&mut pixels, &mut scratch);
        Blur::new(4.0 * phase).apply(&mut pixels, &mut scratch);
        Pixelate {
            size: 1.0 + 5.0 * phase,
        }
        .apply(&mut pixels, &mut scratch);
        Mask::default().apply(&mut pixels, &mask, &mut scratch);
        let key = [0, 255, 0];
        let (similarity, smoothness) = (0.4, 0.1);
        ChromaKey {
            colour: key,
            similarity,
            smoothness,
            spill: phase,
        }
        .apply(&mut pixels, &mut scratch);
        let (size, softness) = (0.5, 0.5);
        Vignette {
            amount: phase,
            size,
            softness,
            colour: key,
            area,
        }
        .apply(&mut pixels, &mut scratch);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
}
