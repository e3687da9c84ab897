//! Frames composed step by step, from damage and pooled frames, equal frames composed from nothing, byte for byte.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use components::BlendMode;
use glam::{Affine2, Vec2};
use proptest::prelude::*;
use stream_manager_raster::{
    Clip, ComposeError, Compositor, DrawItem, FramePool, Group, I420Frame, IRect, Matte, Paint,
    Planes, Raster, Stack, Workers, compose_layer,
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

/// A decoded picture with odd strides and, one of them, odd sides.
struct Film {
    size: (u32, u32),
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Film {
    fn new(width: u32, height: u32) -> Self {
        let (luma, chroma) = (width as usize + 5, width.div_ceil(2) as usize + 3);
        let plane = |stride: usize, rows: u32, salt: usize| {
            let sample = |at: usize| (at.wrapping_mul(at ^ salt) >> 3) as u8;
            (0..stride * rows as usize).map(sample).collect()
        };
        Self {
            size: (width, height),
            y: plane(luma, height, 77),
            u: plane(chroma, height.div_ceil(2), 1001),
            v: plane(chroma, height.div_ceil(2), 333),
        }
    }
}

impl Planes for Film {
    fn width(&self) -> u32 {
        self.size.0
    }
    fn height(&self) -> u32 {
        self.size.1
    }
    fn y(&self) -> &[u8] {
        &self.y
    }
    fn u(&self) -> &[u8] {
        &self.u
    }
    fn v(&self) -> &[u8] {
        &self.v
    }
    fn luma_stride(&self) -> usize {
        self.size.0 as usize + 5
    }
    fn chroma_stride(&self) -> usize {
        self.size.0.div_ceil(2) as usize + 3
    }
}

/// Larger than the canvas, smaller, and of odd sides.
fn films() -> &'static [Arc<dyn Planes>; 3] {
    static FILMS: std::sync::OnceLock<[Arc<dyn Planes>; 3]> = std::sync::OnceLock::new();
    FILMS.get_or_init(|| {
        [(400, 260), (200, 120), (151, 97)].map(|(w, h)| Arc::new(Film::new(w, h)) as _)
    })
}

fn arb_transform() -> impl Strategy<Value = Affine2> {
    let at = (-80.0f32..350.0, -60.0f32..220.0).prop_map(|(x, y)| Vec2::new(x, y));
    prop_oneof![
        3 => at.clone().prop_map(|at| Affine2::from_translation(at.round())),
        2 => at.clone().prop_map(|at| Affine2::from_translation((at / 2.0).round() * 2.0)),
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

fn arb_shape() -> impl Strategy<Value = Matte> {
    let at = || (-30.0f32..360.0, -30.0f32..230.0).prop_map(|(x, y)| Vec2::new(x, y));
    let shape = prop_oneof![
        (-3.2f32..3.2, -200.0f32..400.0)
            .prop_map(|(angle, offset)| Matte::linear(Vec2::from_angle(angle), offset)),
        (any::<bool>(), -20.0f32..340.0).prop_map(|(down, offset)| {
            Matte::linear(if down { Vec2::Y } else { Vec2::X }, offset)
        }),
        (at(), -10.0f32..300.0).prop_map(|(centre, radius)| Matte::iris(centre, radius)),
        (at(), 0.0f32..1.0, -1.1f32..1.1)
            .prop_map(|(centre, start, sweep)| Matte::clock(centre, start, sweep)),
    ];
    let softness = prop_oneof![Just(0.0f32), 0.0f32..300.0];
    (shape, softness, any::<bool>()).prop_map(|(matte, softness, inverted)| {
        let matte = matte.soft(softness);
        if inverted { matte.inverted() } else { matte }
    })
}

fn arb_matte() -> impl Strategy<Value = Option<Matte>> {
    prop_oneof![3 => Just(None), 1 => arb_shape().prop_map(Some)]
}

fn arb_opacity() -> impl Strategy<Value = f32> {
    prop_oneof![3 => Just(1.0f32), 1 => 0.0f32..1.0]
}

fn arb_blend() -> impl Strategy<Value = BlendMode> {
    prop_oneof![4 => Just(BlendMode::Normal), 1 => proptest::sample::select(&BlendMode::ALL[..])]
}

#[derive(Clone, Debug)]
struct Look {
    paint: Result<usize, [u8; 4]>,
    transform: Affine2,
    opacity: f32,
    blend: BlendMode,
    clip: Option<Clip>,
    matte: Option<Matte>,
}

/// A group of neighbours, up to the whole of a list.
fn arb_group() -> impl Strategy<Value = Group> {
    let items = (0usize..6, 1usize..8).prop_map(|(first, len)| first..first + len);
    let look = (
        arb_opacity(),
        arb_blend(),
        arb_clip(),
        arb_matte(),
        any::<bool>(),
    );
    (0u64..9, items, look).prop_map(
        |(key, items, (opacity, blend, clip, matte, isolated))| Group {
            opacity,
            blend,
            clip,
            matte,
            isolated,
            ..Group::new(key, items)
        },
    )
}

/// Groups in the order in which a stack wants them, each key once. Some cross, and are passed over.
fn in_order(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by_key(|group| group.key);
    groups.dedup_by_key(|group| group.key);
    groups.sort_by_key(|group| (group.items.start, std::cmp::Reverse(group.items.end)));
    groups
}

fn arb_look() -> impl Strategy<Value = Look> {
    let paint = prop_oneof![
        4 => (0usize..8).prop_map(Ok),
        1 => any::<[u8; 4]>().prop_map(|[r, g, b, a]| Err([r.min(a), g.min(a), b.min(a), a])),
        1 => any::<[u8; 3]>().prop_map(|[r, g, b]| Err([r, g, b, 255])),
    ];
    let how = (arb_opacity(), arb_blend(), arb_clip(), arb_matte());
    (paint, arb_transform(), how).prop_map(|(paint, transform, (opacity, blend, clip, matte))| {
        Look {
            paint,
            transform,
            opacity,
            blend,
            clip,
            matte,
        }
    })
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize, Look),
    Remove(usize),
    Change(usize, Look),
    Swap(usize, usize),
    Raise(usize),
    Group(Group),
    Ungroup(usize),
    /// Another matte for a group, as a wipe has it from frame to frame.
    Wipe(usize, Matte),
    Fade(usize, f32),
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
        3 => arb_group().prop_map(Step::Group),
        1 => index.clone().prop_map(Step::Ungroup),
        2 => (index.clone(), arb_shape()).prop_map(|(at, matte)| Step::Wipe(at, matte)),
        2 => (index.clone(), arb_opacity()).prop_map(|(at, opacity)| Step::Fade(at, opacity)),
        1 => any::<[u8; 3]>().prop_map(Step::Background),
        1 => Just(Step::Invalidate),
        1 => Just(Step::Nothing),
        3 => Just(Step::Hold),
        2 => index.prop_map(Step::Release),
    ]
}

fn item(rasters: &[Arc<Raster>], key: u64, look: &Look) -> DrawItem {
    let base = match look.paint {
        Ok(index) => match rasters.get(index) {
            Some(raster) => DrawItem::raster(key, Arc::clone(raster), look.transform),
            None => DrawItem::planes(
                key,
                Arc::clone(&films()[index - rasters.len()]),
                7,
                look.transform,
            ),
        },
        Err(colour) => DrawItem {
            paint: Paint::Solid(colour),
            ..DrawItem::solid(key, colour, Vec2::new(60.0, 45.5), look.transform)
        },
    };
    DrawItem {
        opacity: look.opacity,
        blend: look.blend,
        clip: look.clip,
        matte: look.matte,
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
        let mut groups: Vec<Group> = Vec::new();
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
                Step::Group(group) => {
                    groups.retain(|other| other.key != group.key);
                    groups.push(group);
                    groups = in_order(groups);
                }
                Step::Ungroup(at) if !groups.is_empty() => drop(groups.remove(at % groups.len())),
                Step::Wipe(at, matte) if !groups.is_empty() => {
                    let at = at % groups.len();
                    groups[at].matte = Some(matte);
                }
                Step::Fade(at, opacity) if !groups.is_empty() => {
                    let at = at % groups.len();
                    groups[at].opacity = opacity;
                }
                Step::Background(colour) => background = colour,
                Step::Invalidate => compositors.iter_mut().for_each(|(compositor, _)| compositor.invalidate()),
                Step::Hold => hold = true,
                Step::Release(at) => held.iter_mut().filter(|held| !held.is_empty()).for_each(|held| drop(held.remove(at % held.len()))),
                _ => {}
            }
            let stack = Stack { items: &items, groups: &groups };
            let fresh = Compositor::new(WIDTH, HEIGHT, 1).compose(background, stack, &mut FramePool::new(1, WIDTH, HEIGHT).unwrap(), &crews[0]).unwrap();
            let expected = visible(&fresh.frame);
            for ((crew, (compositor, pool)), held) in crews.iter().zip(&mut compositors).zip(&mut held) {
                match compositor.compose(background, stack, pool, crew) {
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

const CANVAS: IRect = IRect::new(0, 0, WIDTH as i32, HEIGHT as i32);

/// The long way: every group, innermost first, is made one picture, which takes its place.
fn without_groups(items: &[DrawItem], groups: &[Group]) -> Vec<DrawItem> {
    let mut flat = Vec::new();
    let mut at = 0;
    let (mut next, mut rest) = (0, groups);
    while at < items.len() {
        let Some((group, after)) = rest
            .split_first()
            .filter(|(group, _)| group.items.start == at)
        else {
            flat.push(items[at].clone());
            at += 1;
            continue;
        };
        let end = group.items.end;
        let inside = after
            .iter()
            .take_while(|inner| inner.items.start < end)
            .count();
        let inner: Vec<Group> = after[..inside]
            .iter()
            .map(|inner| Group {
                items: inner.items.start - at..inner.items.end - at,
                ..inner.clone()
            })
            .collect();
        let children = without_groups(&items[at..end], &inner);
        let changes_nothing = is_opaque(group)
            && group.blend == BlendMode::Normal
            && group.clip.is_none()
            && group.matte.is_none()
            && !(group.isolated
                && items[at..end]
                    .iter()
                    .any(|item| item.blend != BlendMode::Normal));
        if changes_nothing {
            flat.extend(children);
        } else {
            let bytes = compose_layer(&children, CANVAS, &Workers::new(1));
            let picture = Raster::from_rgba8_premultiplied(WIDTH, HEIGHT, bytes).unwrap();
            next += 1;
            flat.push(DrawItem {
                opacity: group.opacity,
                blend: group.blend,
                clip: group.clip,
                matte: group.matte,
                ..DrawItem::raster(1_000_000 + next, Arc::new(picture), Affine2::IDENTITY)
            });
        }
        (at, rest) = (end, &after[inside..]);
    }
    flat
}

fn is_opaque(group: &Group) -> bool {
    (group.opacity * 255.0).round() == 255.0
}

/// Drops what a stack would pass over.
fn nested(groups: Vec<Group>, items: usize) -> Vec<Group> {
    let mut kept: Vec<Group> = Vec::new();
    for mut group in in_order(groups) {
        group.items.end = group.items.end.min(items);
        let crosses = |other: &Group| {
            group.items.start < other.items.end && group.items.end > other.items.end
        };
        if !group.items.is_empty() && !kept.iter().any(crosses) {
            kept.push(group);
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn a_group_is_one_picture(looks in proptest::collection::vec(arb_look(), 1..9), groups in proptest::collection::vec(arb_group(), 1..5)) {
        let rasters = rasters();
        let items: Vec<DrawItem> = (0..).zip(&looks).map(|(key, look)| item(&rasters, key, look)).collect();
        // Ends that are cut to the list may change the order.
        let mut groups = nested(nested(groups, items.len()), items.len());
        for group in &mut groups {
            // A group with nothing but a clip of whole pixels changes nothing where it shows, which the long way cannot say.
            let does_more = !is_opaque(group) || group.blend != BlendMode::Normal || group.matte.is_some();
            group.clip = group.clip.filter(|_| does_more);
        }
        let stack = Stack { items: &items, groups: &groups };
        let compositor = Compositor::new(WIDTH, HEIGHT, 1);
        let got = compositor.compose_rgba([40, 50, 60], stack, &Workers::new(2));
        let flat = without_groups(&items, &groups);
        let expected = compositor.compose_rgba([40, 50, 60], &flat, &Workers::new(1));
        prop_assert!(got == expected);
    }

    #[test]
    fn a_part_of_a_layer_is_a_part_of_its_picture(looks in proptest::collection::vec(arb_look(), 1..6), groups in proptest::collection::vec(arb_group(), 0..3), x0 in -50i32..200, y0 in -50i32..100, width in 1i32..200, height in 1i32..90) {
        let rasters = rasters();
        let items: Vec<DrawItem> = (0..).zip(&looks).map(|(key, look)| item(&rasters, key, look)).collect();
        let groups = in_order(groups);
        let stack = Stack { items: &items, groups: &groups };
        let whole = IRect::new(-50, -50, 400, 200);
        let part = IRect::new(x0, y0, x0 + width, y0 + height);
        let workers = Workers::new(2);
        let (all, got) = (compose_layer(stack, whole, &workers), compose_layer(stack, part, &workers));
        for (y, row) in (y0..).zip(got.chunks_exact(width as usize * 4)) {
            let start = ((y - whole.y0) * 450 + x0 - whole.x0) as usize * 4;
            prop_assert!(row == &all[start..start + row.len()], "row {}", y);
        }
    }
}

/// Full planes at an even place go into the frame as they are, but for the tiles under what lies over them; and what shows through
/// there is the same picture, to within what rounding does.
#[test]
fn bare_planes_are_copied_and_what_is_covered_is_near() {
    let film = &films()[0];
    let at = Affine2::from_translation(Vec2::new(-20.0, -6.0));
    let overlay = DrawItem {
        opacity: 0.0,
        ..DrawItem::solid(2, [255; 4], Vec2::new(64.0, 16.0), Affine2::IDENTITY)
    };
    let compose = |items: &[DrawItem]| {
        let mut pool = FramePool::new(1, WIDTH, HEIGHT).unwrap();
        let mut compositor = Compositor::new(WIDTH, HEIGHT, 1);
        let workers = Workers::new(1);
        compositor
            .compose([0; 3], items, &mut pool, &workers)
            .unwrap()
            .frame
    };
    let bare = compose(&[DrawItem::planes(1, Arc::clone(film), 1, at), overlay]);
    for y in 0..HEIGHT as usize {
        let row = &bare.y()[y * bare.luma_stride()..][..WIDTH as usize];
        assert_eq!(
            row,
            &film.y()[(y + 6) * film.luma_stride() + 20..][..WIDTH as usize]
        );
        let (from, to) = (
            y / 2 * bare.chroma_stride(),
            (y / 2 + 3) * film.chroma_stride() + 10,
        );
        let width = WIDTH as usize / 2;
        assert_eq!(bare.u()[from..][..width], film.u()[to..][..width]);
        assert_eq!(bare.v()[from..][..width], film.v()[to..][..width]);
    }
    // Colours that RGB can hold come through the long way as they were.
    let mut soft = Film::new(400, 260);
    for (index, y) in soft.y.iter_mut().enumerate() {
        *y = 100 + (index % 40) as u8;
    }
    for chroma in soft.u.iter_mut().chain(&mut soft.v) {
        *chroma = 118 + *chroma % 20;
    }
    let soft: Arc<dyn Planes> = Arc::new(soft);
    let speck = DrawItem::solid(2, [255; 4], Vec2::new(2.0, 2.0), Affine2::IDENTITY);
    let film = DrawItem::planes(1, soft, 1, at);
    let (bare, under) = (
        compose(std::slice::from_ref(&film)),
        compose(&[film, speck]),
    );
    let near = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > 1).count();
    assert_eq!(near(bare.y(), under.y()), 4);
    assert!(near(bare.u(), under.u()) + near(bare.v(), under.v()) <= 2);
}
