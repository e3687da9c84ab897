//! What groups and mattes look like: crossfades against means, wipes against shapes, and what they cost to move.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use components::BlendMode;
use glam::{Affine2, Vec2};
use stream_manager_raster::{
    Compositor, DrawItem, FramePool, Group, IRect, Matte, Raster, Stack, Workers, compose_layer,
    compose_layer_into,
    filter::{Margin, Pixels},
};

const RED: [u8; 4] = [255, 0, 0, 255];

fn pixels(width: u32, height: u32, stack: Stack<'_>) -> impl Fn(u32, u32) -> [u8; 4] + use<> {
    let bytes = Compositor::new(width, height, 1).compose_rgba([0; 3], stack, &Workers::new(1));
    move |x, y| {
        bytes[((y * width + x) * 4) as usize..][..4]
            .try_into()
            .unwrap()
    }
}

fn at(x: f32, y: f32) -> Affine2 {
    Affine2::from_translation(Vec2::new(x, y))
}

fn uniform(width: u32, height: u32, colour: [u8; 4]) -> Arc<Raster> {
    Arc::new(
        Raster::from_rgba8_premultiplied(width, height, colour.repeat((width * height) as usize))
            .unwrap(),
    )
}

fn noise(width: u32, height: u32, seed: u32, alpha: Option<u8>) -> Arc<Raster> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        (state >> 24) as u8
    };
    let data = (0..width * height)
        .flat_map(|_| {
            let alpha = alpha.unwrap_or_else(&mut next);
            [next(), next(), next()]
                .map(|colour| colour.min(alpha))
                .into_iter()
                .chain([alpha])
                .collect::<Vec<u8>>()
        })
        .collect();
    Arc::new(Raster::from_rgba8_premultiplied(width, height, data).unwrap())
}

/// A scene of its own: a backdrop, glass, and words that multiply.
fn pane(first_key: u64, seed: u32) -> Vec<DrawItem> {
    let backdrop = DrawItem::raster(first_key, noise(200, 90, seed, Some(255)), at(0.0, 0.0));
    let glass = DrawItem::raster(
        first_key + 1,
        noise(120, 50, seed + 7, None),
        at(30.0 + seed as f32, 20.5),
    );
    let multiplied = DrawItem {
        blend: BlendMode::Multiply,
        ..DrawItem::solid(
            first_key + 2,
            [90, 160, 30, 200],
            Vec2::new(60.0, 40.0),
            at(100.0, 30.25),
        )
    };
    vec![backdrop, glass, multiplied]
}

#[test]
fn a_crossfade_is_the_mean_of_two_scenes() {
    let (lower, upper) = (pane(0, 3), pane(10, 50));
    let (a, b) = (
        pixels(200, 90, Stack::from(&lower)),
        pixels(200, 90, Stack::from(&upper)),
    );
    let items = [lower, upper].concat();
    for step in [0u8, 1, 64, 128, 200, 254, 255] {
        let t = f32::from(step) / 255.0;
        let groups = [Group {
            opacity: t,
            ..Group::new(1, 3..6)
        }];
        let stack = Stack {
            items: &items,
            groups: &groups,
        };
        let mixed = pixels(200, 90, stack);
        for (x, y) in (0..90).flat_map(|y| (0..200).map(move |x| (x, y))) {
            for ((a, b), mixed) in a(x, y).into_iter().zip(b(x, y)).zip(mixed(x, y)) {
                let exact = f32::from(a) * (1.0 - t) + f32::from(b) * t;
                let error = (f32::from(mixed) - exact).abs();
                assert!(error <= 1.001, "{x} {y} at {step}: {mixed} for {exact}");
            }
        }
    }
}

#[test]
fn a_group_fades_as_one() {
    let items = [
        DrawItem::solid(1, RED, Vec2::splat(8.0), at(0.0, 0.0)),
        DrawItem::solid(2, [0, 0, 255, 255], Vec2::splat(8.0), at(4.0, 0.0)),
    ];
    let groups = [Group {
        opacity: 0.5,
        ..Group::new(1, 0..2)
    }];
    let stack = Stack {
        items: &items,
        groups: &groups,
    };
    let together = pixels(16, 8, stack);
    // Where the two overlap, nothing of the lower one shines through.
    assert_eq!(
        [2, 6, 10].map(|x| together(x, 4)),
        [[128, 0, 0, 255], [0, 0, 128, 255], [0, 0, 128, 255]]
    );
    let alone = items.map(|item| DrawItem {
        opacity: 0.5,
        ..item
    });
    assert_eq!(pixels(16, 8, Stack::from(&alone))(6, 4), [64, 0, 128, 255]);
}

#[test]
fn only_an_isolated_group_hides_what_is_below_from_blend_modes() {
    let items = [
        DrawItem::solid(1, [200, 200, 200, 255], Vec2::splat(8.0), at(0.0, 0.0)),
        DrawItem {
            blend: BlendMode::Multiply,
            ..DrawItem::solid(2, [128, 0, 0, 255], Vec2::splat(8.0), at(0.0, 0.0))
        },
    ];
    for (isolated, expected) in [(false, [100, 0, 0, 255]), (true, [128, 0, 0, 255])] {
        let groups = [Group {
            isolated,
            ..Group::new(1, 1..2)
        }];
        let stack = Stack {
            items: &items,
            groups: &groups,
        };
        assert_eq!(pixels(8, 8, stack)(4, 4), expected);
    }
}

#[test]
fn a_layer_is_composed_over_nothing() {
    let items = [DrawItem::solid(
        1,
        [90, 0, 30, 90],
        Vec2::splat(2.0),
        at(-3.0, -1.0),
    )];
    let bytes = compose_layer(&items, IRect::new(-4, -2, -1, 1), &Workers::new(1));
    let (none, some) = ([0; 4], [90, 0, 30, 90]);
    let rows = [[none; 3], [none, some, some], [none, some, some]];
    assert_eq!(bytes, rows.as_flattened().as_flattened());
    let empty = IRect::new(3, 0, 3, 9);
    assert!(compose_layer(&items, empty, &Workers::new(1)).is_empty());

    // Into what is there, with room beside it.
    let mut pixels = Pixels::new(9, 9);
    pixels.words_mut().fill(u32::MAX);
    let margin = Margin {
        left: 1,
        top: 1,
        ..Margin::default()
    };
    let rect = IRect::new(-3, -1, -1, 1);
    compose_layer_into(&mut pixels, &items, rect, margin, &Workers::new(1)).unwrap();
    let bytes: Vec<[u8; 4]> = pixels
        .words()
        .iter()
        .map(|word| word.to_le_bytes())
        .collect();
    assert_eq!(bytes, rows.as_flattened());
    let workers = Workers::new(1);
    compose_layer_into(&mut pixels, &items, empty, Margin::default(), &workers).unwrap_err();
    assert_eq!(bytes.len(), pixels.words().len());
}

/// What a matte shows of each pixel, 0 to 255, tried on an item and on a group.
fn coverage(width: u32, height: u32, matte: Matte) -> impl Fn(u32, u32) -> u8 {
    let size = Vec2::new(width as f32, height as f32);
    let item = DrawItem::solid(1, [255; 4], size, at(0.0, 0.0));
    let cut = DrawItem {
        matte: Some(matte),
        ..item.clone()
    };
    let group = Group {
        matte: Some(matte),
        ..Group::new(1, 0..1)
    };
    let (items, groups) = ([item], [group]);
    let stack = Stack {
        items: &items,
        groups: &groups,
    };
    let (alone, grouped) = (
        pixels(width, height, Stack::from(&[cut])),
        pixels(width, height, stack),
    );
    move |x, y| {
        assert_eq!(alone(x, y), grouped(x, y));
        alone(x, y)[0]
    }
}

#[test]
fn a_wipe_goes_from_nothing_to_everything() {
    let size = Vec2::new(100.0, 40.0);
    let row = |softness: f32, progress: f32| {
        let matte = Matte::wipe(Vec2::ZERO, size, Vec2::X, softness, progress);
        let shown = coverage(100, 40, matte);
        (0..100).map(|x| shown(x, 20)).collect::<Vec<u8>>()
    };
    for softness in [0.0, 1.0, 30.0, 500.0] {
        assert_eq!(row(softness, 0.0), [0; 100], "{softness}");
        assert_eq!(row(softness, 1.0), [255; 100], "{softness}");
        let half = row(softness, 0.5);
        assert!(half.is_sorted_by(|a, b| a >= b));
        assert!(half[49].abs_diff(128) < 6 || softness <= 1.0, "{softness}");
    }
    assert_eq!(row(1.0, 0.5)[48..52], [255, 255, 0, 0]);
    // A ramp of 100 pixels on 100: a quarter of the way the hand is at column 0.
    assert_eq!(
        [0, 24, 49, 50].map(|x| row(100.0, 0.25)[x]),
        [126, 65, 1, 0]
    );
}

/// The mean of `inside` over 16 by 16 points of a pixel.
fn supersampled(x: u32, y: u32, inside: impl Fn(Vec2) -> bool) -> f32 {
    let points = (0..256).map(|i| Vec2::new((i % 16) as f32, (i / 16) as f32));
    let hits = points.filter(|&point| inside(Vec2::new(x as f32, y as f32) + (point + 0.5) / 16.0));
    hits.count() as f32 / 256.0 * 255.0
}

#[test]
fn an_iris_is_a_circle() {
    let centre = Vec2::new(31.3, 20.8);
    for radius in [0.0, 2.5, 10.0, 19.2, 60.0] {
        let matte = Matte::iris(centre, radius);
        let (inside, outside) = (coverage(64, 40, matte), coverage(64, 40, matte.inverted()));
        for (x, y) in (0..40).flat_map(|y| (0..64).map(move |x| (x, y))) {
            let exact = supersampled(x, y, |point| point.distance(centre) <= radius);
            let error = (f32::from(inside(x, y)) - exact).abs();
            // A circle of no radius leaves the half of an edge at its centre.
            assert!(
                error <= 14.0 || radius == 0.0,
                "{x} {y}, radius {radius}: {error}"
            );
            assert_eq!(inside(x, y), 255 - outside(x, y));
        }
    }
}

#[test]
fn a_clock_sweeps_a_sector() {
    let centre = Vec2::new(32.0, 24.0);
    let turn = |from: f32, sweep: f32, point: Vec2| {
        let to = point - centre;
        let turns = (to.x.atan2(-to.y) / std::f32::consts::TAU - from).rem_euclid(1.0);
        if sweep < 0.0 { 1.0 - turns } else { turns }
    };
    for step in -33i32..=33 {
        let (from, sweep) = ((step.rem_euclid(3)) as f32 * 0.13, step as f32 / 32.0);
        let shown = coverage(64, 48, Matte::clock(centre, from, sweep));
        for (x, y) in (0..48).flat_map(|y| (0..64).map(move |x| (x, y))) {
            let exact = supersampled(x, y, |point| turn(from, sweep, point) < sweep.abs());
            let error = (f32::from(shown(x, y)) - exact).abs();
            // The point of the sector itself is the one place where an edge's ramp is not the whole story.
            let is_point = Vec2::new(x as f32 + 0.5, y as f32 + 0.5).distance(centre) < 1.5;
            let error_max = if is_point { 64.0 } else { 14.0 };
            assert!(error <= error_max, "{x} {y}, {from} + {sweep}: {error}");
        }
    }
}

#[test]
fn a_moving_wipe_composes_what_its_edge_sweeps() {
    let (mut compositor, mut pool, workers) = (
        Compositor::new(640, 64, 1),
        FramePool::new(3, 640, 64).unwrap(),
        Workers::new(1),
    );
    let items = [
        DrawItem::raster(1, uniform(640, 64, RED), at(0.0, 0.0)),
        DrawItem::raster(2, uniform(640, 64, [0, 0, 255, 255]), at(0.0, 0.0)),
    ];
    let mut composed = |edge: f32| {
        let groups = [Group {
            matte: Some(Matte::linear(Vec2::X, edge)),
            ..Group::new(1, 1..2)
        }];
        let stack = Stack {
            items: &items,
            groups: &groups,
        };
        let composed = compositor.compose([0; 3], stack, &mut pool, &workers);
        composed.unwrap().stats.tiles_composed
    };
    assert_eq!(composed(100.0), 40);
    assert_eq!(
        (composed(100.0), composed(110.0), composed(150.0)),
        (0, 4, 8)
    );
}
