//! What single items look like on the canvas, pixel for pixel, and how the compositor behaves over several frames.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use components::BlendMode;
use glam::{Affine2, Vec2};
use stream_manager_raster::{Clip, ComposeError, Compositor, DrawItem, FramePool, Raster, Workers};

const RED: [u8; 4] = [255, 0, 0, 255];

fn pixels(
    width: u32,
    height: u32,
    background: [u8; 3],
    items: &[DrawItem],
) -> impl Fn(u32, u32) -> [u8; 4] + use<> {
    let bytes = Compositor::new(width, height, 1).compose_rgba(background, items, &Workers::new(1));
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

#[test]
fn a_solid_rectangle_has_exact_edges() {
    let pixel = pixels(
        20,
        10,
        [0, 0, 0],
        &[DrawItem::solid(1, RED, Vec2::new(4.5, 3.0), at(2.0, 1.25))],
    );
    assert_eq!(
        [1, 2, 5, 6, 7].map(|x| pixel(x, 2)[0]),
        [0, 255, 255, 128, 0]
    );
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(|y| pixel(3, y)[0]),
        [0, 191, 255, 255, 64, 0]
    );
}

#[test]
fn a_fractional_shift_weighs_neighbours() {
    let raster = Arc::new(
        Raster::from_rgba8_premultiplied(2, 1, [[200, 0, 0, 255], [100, 0, 0, 255]].concat())
            .unwrap(),
    );
    let pixel = pixels(
        8,
        4,
        [0, 0, 0],
        &[DrawItem::raster(1, raster, at(2.25, 1.0))],
    );
    assert_eq!(
        [1, 2, 3, 4, 5].map(|x| pixel(x, 1)),
        [
            [0, 0, 0, 255],
            [150, 0, 0, 255],
            [125, 0, 0, 255],
            [25, 0, 0, 255],
            [0, 0, 0, 255]
        ]
    );
    assert_eq!(pixel(3, 0), [0, 0, 0, 255]);
}

#[test]
fn a_magnified_picture_ends_at_its_edge() {
    let item = DrawItem::raster(
        1,
        uniform(3, 3, RED),
        Affine2::from_scale_angle_translation(Vec2::splat(4.0), 0.0, Vec2::new(2.0, 2.5)),
    );
    let pixel = pixels(20, 20, [0, 0, 0], &[item]);
    assert_eq!([1, 2, 13, 14].map(|x| pixel(x, 8)[0]), [0, 255, 255, 0]);
    assert_eq!(
        [1, 2, 3, 13, 14, 15].map(|y| pixel(8, y)[0]),
        [0, 128, 255, 255, 128, 0]
    );
}

#[test]
fn a_quarter_turn_keeps_pixels_whole() {
    let raster =
        Arc::new(Raster::from_rgba8_premultiplied(2, 1, [RED, [0, 0, 255, 255]].concat()).unwrap());
    let turned = Affine2::from_angle_translation(std::f32::consts::FRAC_PI_2, Vec2::new(5.0, 2.0));
    let pixel = pixels(10, 10, [0, 0, 0], &[DrawItem::raster(1, raster, turned)]);
    assert_eq!((pixel(4, 2), pixel(4, 3)), (RED, [0, 0, 255, 255]));
    assert_eq!(
        (pixel(3, 2), pixel(5, 2), pixel(4, 1), pixel(4, 4)),
        (
            [0, 0, 0, 255],
            [0, 0, 0, 255],
            [0, 0, 0, 255],
            [0, 0, 0, 255]
        )
    );
}

#[test]
fn a_shrunken_chequerboard_is_grey() {
    let data = (0..64 * 64)
        .flat_map(|i| {
            if (i % 64 + i / 64) % 2 == 0 {
                [255; 4]
            } else {
                [0, 0, 0, 255]
            }
        })
        .collect();
    let raster = Arc::new(
        Raster::from_rgba8_premultiplied(64, 64, data)
            .unwrap()
            .with_mips(),
    );
    let item = DrawItem::raster(1, raster, Affine2::from_scale(Vec2::splat(0.25)));
    let pixel = pixels(32, 32, [0, 0, 0], &[item]);
    assert_eq!(pixel(7, 9), [128, 128, 128, 255]);
}

#[test]
fn opacity_and_modes_apply() {
    let faded = DrawItem {
        opacity: 0.5,
        ..DrawItem::raster(1, uniform(8, 8, [255; 4]), at(0.0, 0.0))
    };
    assert_eq!(
        pixels(8, 8, [0, 0, 0], std::slice::from_ref(&faded))(3, 3),
        [128, 128, 128, 255]
    );
    let multiplied = DrawItem {
        blend: BlendMode::Multiply,
        ..DrawItem::solid(1, [128, 255, 0, 255], Vec2::splat(8.0), at(0.0, 0.0))
    };
    assert_eq!(
        pixels(8, 8, [100, 100, 100], &[multiplied])(3, 3),
        [50, 100, 0, 255]
    );
    let added = DrawItem {
        blend: BlendMode::Add,
        ..DrawItem::solid(1, [200, 10, 0, 255], Vec2::splat(8.0), at(0.0, 0.0))
    };
    assert_eq!(
        pixels(8, 8, [100, 100, 100], &[added])(3, 3),
        [255, 110, 100, 255]
    );
}

#[test]
fn clips_cut() {
    let item = DrawItem::raster(1, uniform(16, 16, RED), at(0.0, 0.0));
    let whole = DrawItem {
        clip: Some(Clip::rect(Vec2::new(2.0, 3.0), Vec2::new(6.0, 5.0))),
        ..item.clone()
    };
    let pixel = pixels(16, 16, [0, 0, 0], &[whole]);
    assert_eq!([1, 2, 5, 6].map(|x| pixel(x, 3)[0]), [0, 255, 255, 0]);
    let partial = DrawItem {
        clip: Some(Clip::rect(Vec2::new(2.5, 3.0), Vec2::new(6.0, 5.0))),
        ..item.clone()
    };
    let pixel = pixels(16, 16, [0, 0, 0], &[partial]);
    assert_eq!([1, 2, 3, 6].map(|x| pixel(x, 3)[0]), [0, 128, 255, 0]);
    let turned = Clip {
        canvas_from_clip: Affine2::from_angle_translation(
            std::f32::consts::FRAC_PI_4,
            Vec2::new(8.0, 2.0),
        ),
        size: Vec2::splat(8.0),
    };
    let pixel = pixels(
        16,
        16,
        [0, 0, 0],
        &[DrawItem {
            clip: Some(turned),
            ..item
        }],
    );
    assert_eq!(
        (pixel(8, 8)[0], pixel(1, 2)[0], pixel(15, 2)[0]),
        (255, 0, 0)
    );
}

#[test]
fn odd_canvases_can_be_pictures() {
    let pixel = pixels(
        33,
        17,
        [1, 2, 3],
        &[DrawItem::solid(1, RED, Vec2::splat(4.0), at(31.0, 15.0))],
    );
    assert_eq!((pixel(32, 16), pixel(30, 16)), (RED, [1, 2, 3, 255]));
}

#[test]
fn absurd_transforms_draw_nothing_and_do_not_panic() {
    let raster = uniform(8, 8, RED);
    for matrix in [
        Affine2::from_scale(Vec2::splat(0.0)),
        Affine2::from_scale(Vec2::splat(1e30)),
        Affine2::from_scale(Vec2::new(1e-4, 1e7)),
        Affine2::from_translation(Vec2::splat(f32::NAN)),
        Affine2::from_translation(Vec2::splat(3e9)),
        Affine2::from_translation(Vec2::splat(-f32::MAX)),
    ] {
        let items = [
            DrawItem::raster(1, Arc::clone(&raster), matrix),
            DrawItem::solid(2, RED, Vec2::ONE, matrix),
        ];
        pixels(64, 32, [0, 0, 0], &items)(1, 1);
    }
}

#[test]
fn an_unchanged_picture_is_the_same_frame() {
    let (mut compositor, mut pool, workers) = (
        Compositor::new(256, 64, 1),
        FramePool::new(3, 256, 64).unwrap(),
        Workers::new(1),
    );
    let mut items = [DrawItem::solid(1, RED, Vec2::splat(10.0), at(0.0, 0.0))];
    let first = compositor
        .compose([0, 0, 0], &items, &mut pool, &workers)
        .unwrap();
    assert_eq!(first.stats.tiles_composed, first.stats.tiles_total);
    let second = compositor
        .compose([0, 0, 0], &items, &mut pool, &workers)
        .unwrap();
    assert!(Arc::ptr_eq(&first.frame, &second.frame));
    assert_eq!(second.stats.tiles_composed, 0);
    items[0].canvas_from_paint = at(70.0, 0.0);
    let third = compositor
        .compose([0, 0, 0], &items, &mut pool, &workers)
        .unwrap();
    assert!(!Arc::ptr_eq(&first.frame, &third.frame));
    items[0].canvas_from_paint = at(72.0, 0.0);
    drop((first, second, third));
    let fourth = compositor
        .compose([0, 0, 0], &items, &mut pool, &workers)
        .unwrap();
    assert_eq!(
        (
            fourth.stats.tiles_composed,
            fourth.stats.tiles_copied,
            fourth.stats.items_changed
        ),
        (1, 0, 1)
    );
}

#[test]
fn known_colours_reach_the_planes() {
    let (mut compositor, mut pool, workers) = (
        Compositor::new(64, 16, 1),
        FramePool::new(2, 64, 16).unwrap(),
        Workers::new(1),
    );
    for (colour, expected) in [
        ([255, 255, 255], (235, 128, 128)),
        ([0, 0, 0], (16, 128, 128)),
        ([255, 0, 0], (63, 102, 240)),
    ] {
        let frame = compositor
            .compose(colour, &[], &mut pool, &workers)
            .unwrap()
            .frame;
        assert_eq!((frame.y()[5], frame.u()[5], frame.v()[5]), expected);
    }
}

#[test]
fn an_exhausted_pool_is_told_and_damage_is_kept() {
    let (mut compositor, mut pool, workers) = (
        Compositor::new(64, 16, 1),
        FramePool::new(1, 64, 16).unwrap(),
        Workers::new(1),
    );
    let first = compositor
        .compose([0, 0, 0], &[], &mut pool, &workers)
        .unwrap();
    let items = [DrawItem::solid(1, RED, Vec2::splat(64.0), at(0.0, 0.0))];
    assert_eq!(
        compositor
            .compose([0, 0, 0], &items, &mut pool, &workers)
            .unwrap_err(),
        ComposeError::PoolExhausted
    );
    drop(first);
    let second = compositor
        .compose([0, 0, 0], &items, &mut pool, &workers)
        .unwrap();
    assert_eq!(second.frame.y()[0], 63);
    let mut other = FramePool::new(1, 32, 16).unwrap();
    assert!(matches!(
        compositor.compose([0, 0, 0], &items, &mut other, &workers),
        Err(ComposeError::FrameSize { .. })
    ));
}
