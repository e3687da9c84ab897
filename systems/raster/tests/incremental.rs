//! Frames composed step by step, from damage and pooled frames, equal frames composed from nothing, byte for byte.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use components::BlendMode;
use glam::{Affine2, Vec2};
use proptest::prelude::*;
use stream_manager_raster::{
    Clip, ComposeError, Compositor, DrawItem, FramePool, I420Frame, Paint, Raster, Workers,
};

const WIDTH: u32 = 330;
const HEIGHT: u32 = 202;

/// The pictures items choose from: opaque, translucent, a round card, mostly empty, and one with mips.
fn rasters() -> Vec<Arc<Raster>> {
    let picture = |width: u32, height: u32, pixel: &dyn Fn(u32, u32) -> [u8; 4]| {
        let mut data = Vec::new();
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let [r, g, b, a] = pixel(x, y);
            data.extend([r, g, b].map(|c| c.min(a)));
            data.push(a);
        }
        Raster::from_rgba8_premultiplied(width, height, data).unwrap()
    };
    let noise = |x: u32, y: u32| (x.wrapping_mul(73) ^ y.wrapping_mul(151) ^ (x * y)) as u8;
    let distance = |x: u32, y: u32| (x as f32 - 75.0).hypot(y as f32 - 60.0);
    vec![
        Arc::new(picture(340, 210, &|x, y| {
            [noise(x, y), x as u8, y as u8, 255]
        })),
        Arc::new(picture(120, 70, &|x, y| {
            [noise(y, x), 90, noise(x, y), noise(x + 3, y)]
        })),
        Arc::new(picture(150, 120, &|x, y| match distance(x, y) {
            d if d < 50.0 => [x as u8, 200, y as u8, 255],
            d if d < 58.0 => [10, 100, 20, 120],
            _ => [0; 4],
        })),
        Arc::new(picture(90, 90, &|x, y| {
            if (40..44).contains(&x) && y > 30 {
                [255, 0, 9, 255]
            } else {
                [0; 4]
            }
        })),
        Arc::new(picture(64, 48, &|x, y| [x as u8 * 4, y as u8 * 5, noise(x, y), 255]).with_mips()),
    ]
}

fn arb_transform() -> impl Strategy<Value = Affine2> {
    let at = (-80.0f32..350.0, -60.0f32..220.0).prop_map(|(x, y)| Vec2::new(x, y));
    prop_oneof![
        3 => at.clone().prop_map(|at| Affine2::from_translation(at.round())),
        2 => at.clone().prop_map(Affine2::from_translation),
        1 => (at.clone(), 0.2f32..3.0, 0.2f32..3.0).prop_map(|(at, x, y)| Affine2::from_scale_angle_translation(Vec2::new(x, y), 0.0, at)),
        1 => (at, 0.1f32..2.0, -1.0f32..1.5, -3.2f32..3.2).prop_map(|(at, x, y, angle)| Affine2::from_scale_angle_translation(Vec2::new(x, y), angle, at)),
    ]
}

fn arb_clip() -> impl Strategy<Value = Option<Clip>> {
    prop_oneof![
        4 => Just(None),
        1 => (0u8..200, 0u8..100, 1u8..200, 1u8..150).prop_map(|(x, y, w, h)| {
            let min = Vec2::new(f32::from(x), f32::from(y));
            Some(Clip::rect(min, min + Vec2::new(f32::from(w), f32::from(h))))
        }),
        1 => (arb_transform(), 10.0f32..300.0, 10.0f32..200.0).prop_map(|(canvas_from_clip, x, y)| Some(Clip { canvas_from_clip, size: Vec2::new(x, y) })),
    ]
}

#[derive(Clone, Debug)]
struct Look {
    paint: Result<usize, [u8; 4]>,
    transform: Affine2,
    opacity: f32,
    blend: BlendMode,
    clip: Option<Clip>,
}

fn arb_look() -> impl Strategy<Value = Look> {
    let paint = prop_oneof![
        4 => (0usize..5).prop_map(Ok),
        1 => any::<[u8; 4]>().prop_map(|[r, g, b, a]| Err([r.min(a), g.min(a), b.min(a), a])),
        1 => any::<[u8; 3]>().prop_map(|[r, g, b]| Err([r, g, b, 255])),
    ];
    let opacity = prop_oneof![3 => Just(1.0f32), 1 => 0.0f32..1.0];
    let blend = prop_oneof![4 => Just(BlendMode::Normal), 1 => proptest::sample::select(&BlendMode::ALL[..])];
    (paint, arb_transform(), opacity, blend, arb_clip()).prop_map(
        |(paint, transform, opacity, blend, clip)| Look {
            paint,
            transform,
            opacity,
            blend,
            clip,
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize, Look),
    Remove(usize),
    Change(usize, Look),
    Swap(usize, usize),
    Raise(usize),
    Background([u8; 3]),
    Invalidate,
    Nothing,
    Hold,
    Release(usize),
}

fn arb_step() -> impl Strategy<Value = Step> {
    let index = 0usize..12;
    prop_oneof![
        4 => (index.clone(), arb_look()).prop_map(|(at, look)| Step::Add(at, look)),
        1 => index.clone().prop_map(Step::Remove),
        4 => (index.clone(), arb_look()).prop_map(|(at, look)| Step::Change(at, look)),
        1 => (index.clone(), index.clone()).prop_map(|(a, b)| Step::Swap(a, b)),
        1 => index.clone().prop_map(Step::Raise),
        1 => any::<[u8; 3]>().prop_map(Step::Background),
        1 => Just(Step::Invalidate),
        1 => Just(Step::Nothing),
        3 => Just(Step::Hold),
        2 => index.prop_map(Step::Release),
    ]
}

fn item(rasters: &[Arc<Raster>], key: u64, look: &Look) -> DrawItem {
    let base = match look.paint {
        Ok(index) => DrawItem::raster(key, Arc::clone(&rasters[index]), look.transform),
        Err(colour) => DrawItem {
            paint: Paint::Solid(colour),
            ..DrawItem::solid(key, colour, Vec2::new(60.0, 45.5), look.transform)
        },
    };
    DrawItem {
        opacity: look.opacity,
        blend: look.blend,
        clip: look.clip,
        ..base
    }
}

/// The visible bytes of a frame, without the padding of its rows.
fn visible(frame: &I420Frame) -> Vec<u8> {
    let (width, chroma) = (frame.width() as usize, frame.width() as usize / 2);
    let luma = frame
        .y()
        .chunks(frame.luma_stride())
        .flat_map(|row| &row[..width]);
    let others = frame
        .u()
        .chunks(frame.chroma_stride())
        .chain(frame.v().chunks(frame.chroma_stride()))
        .flat_map(|row| &row[..chroma]);
    luma.chain(others).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn incremental_equals_full(steps in proptest::collection::vec(arb_step(), 1..30)) {
        let rasters = rasters();
        let crews = [1, 2, 4].map(Workers::new);
        let mut compositors = crews.each_ref().map(|crew| (Compositor::new(WIDTH, HEIGHT, crew.threads()), FramePool::new(4, WIDTH, HEIGHT).unwrap()));
        let mut held: Vec<Vec<Arc<I420Frame>>> = vec![Vec::new(); 3];
        let mut items: Vec<DrawItem> = Vec::new();
        let mut background = [10, 20, 30];
        for (time, step) in steps.into_iter().enumerate() {
            let len = items.len().max(1);
            let mut hold = false;
            match step {
                Step::Add(at, look) => items.insert(at % len.min(items.len() + 1), item(&rasters, time as u64, &look)),
                Step::Remove(at) if !items.is_empty() => drop(items.remove(at % len)),
                Step::Change(at, look) if !items.is_empty() => items[at % len] = item(&rasters, items[at % len].key, &look),
                Step::Swap(a, b) if !items.is_empty() => items.swap(a % len, b % len),
                Step::Raise(at) if !items.is_empty() => {
                    let raised = items.remove(at % len);
                    items.push(raised);
                }
                Step::Background(colour) => background = colour,
                Step::Invalidate => compositors.iter_mut().for_each(|(compositor, _)| compositor.invalidate()),
                Step::Hold => hold = true,
                Step::Release(at) => held.iter_mut().filter(|held| !held.is_empty()).for_each(|held| drop(held.remove(at % held.len()))),
                _ => {}
            }
            let fresh = Compositor::new(WIDTH, HEIGHT, 1).compose(background, &items, &mut FramePool::new(1, WIDTH, HEIGHT).unwrap(), &crews[0]).unwrap();
            let expected = visible(&fresh.frame);
            for ((crew, (compositor, pool)), held) in crews.iter().zip(&mut compositors).zip(&mut held) {
                match compositor.compose(background, &items, pool, crew) {
                    Ok(composed) => {
                        prop_assert!(visible(&composed.frame) == expected, "step {time} with {} threads, {:?}", crew.threads(), composed.stats);
                        if hold {
                            held.push(composed.frame);
                        }
                    }
                    Err(error) => {
                        prop_assert_eq!(error, ComposeError::PoolExhausted);
                        prop_assert_eq!(pool.stats().free, 0);
                    }
                }
            }
        }
    }
}
