//! Composing allocates nothing once it is warm. A binary of its own, because it counts every allocation of the process.
#![allow(clippy::unwrap_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use glam::{Affine2, Vec2};
use stream_manager_raster::{
    Compositor, DrawItem, FramePool, Group, Matte, Raster, Stack, Workers,
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
fn composing_moving_items_allocates_nothing() {
    let card = Arc::new(
        Raster::from_rgba8_premultiplied(200, 120, [60, 40, 20, 180].repeat(200 * 120)).unwrap(),
    );
    let workers = Workers::new(2);
    let (mut compositor, mut pool) = (
        Compositor::new(640, 360, 2),
        FramePool::new(4, 640, 360).unwrap(),
    );
    let mut items: Vec<DrawItem> = (0..20)
        .map(|key| DrawItem::raster(key, Arc::clone(&card), Affine2::IDENTITY))
        .collect();
    let mut groups = [2..9, 3..6, 11..40].map(|items| Group::new(items.start as u64, items));
    let mut held = std::collections::VecDeque::with_capacity(8);
    let mut before = 0;
    for time in 0..140u32 {
        if time == 40 {
            before = ALLOCATIONS.load(Ordering::Relaxed);
        }
        for (index, item) in items.iter_mut().enumerate() {
            let moved = Vec2::new(
                (index as f32 * 29.0 + time as f32 * 3.5) % 600.0,
                index as f32 * 15.0,
            );
            item.canvas_from_paint = match index % 3 {
                0 => Affine2::from_translation(moved.round()),
                1 => Affine2::from_translation(moved),
                _ => Affine2::from_angle_translation(time as f32 * 0.01, moved),
            };
        }
        // Reordering, appearing and vanishing must not allocate either.
        items.swap(time as usize % 20, time as usize * 7 % 20);
        let shown = 15 + time as usize % 6;
        // Nor must groups that fade, are wiped, come and go, here one inside another.
        groups[0].opacity = time as f32 / 140.0;
        groups[1].matte = Some(Matte::clock(
            Vec2::new(320.0, 180.0),
            0.0,
            time as f32 / 140.0,
        ));
        items[0].matte = Some(Matte::iris(Vec2::ZERO, time as f32 * 4.0).soft(20.0));
        let stack = Stack {
            items: &items[..shown],
            groups: &groups[..time as usize / 5 % 4],
        };
        let composed = compositor
            .compose([0, 0, 0], stack, &mut pool, &workers)
            .unwrap();
        held.push_back(composed.frame);
        if held.len() > 2 {
            held.pop_front();
        }
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
}
