//! The workloads of composing, beside the limits of the machine measured in the same run.
//!
//! `cargo bench -p stream-manager-raster --bench compose -- [part of a name]`. Prints medians over all frames of a workload; one frame is
//! 1920x1080. With one thread the wall time is the CPU time. Pictures are synthetic and the same on every run.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench reports on standard output and may fail"
)]

use std::{hint::black_box, sync::Arc, time::Instant};

use glam::{Affine2, Vec2};
use stream_manager_raster::{
    Compositor, DrawItem, FramePool, Group, I420Frame, Matte, Raster, Scaler, Stack, Workers,
    kernels::{Level, bilinear, convert, over, ramp},
};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;
const FRAMES: usize = 300;

/// Sets a workload's items and groups to what they are on a frame.
type Animate = Box<dyn FnMut(usize, &mut Vec<DrawItem>, &mut [Group])>;

struct Workload {
    name: &'static str,
    items: Vec<DrawItem>,
    groups: Vec<Group>,
    animate: Animate,
}

fn main() {
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    println!(
        "{:?}, {} workers at most",
        Level::new(),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    if "limits".contains(&filter) {
        limits();
    }
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>9} speed-up (of best)  tiles composed, copied",
        "workload", "1 thread", "best 10%", "CPU mean", "2 threads", "best 10%"
    );
    for build in [
        w0_still,
        w0_thousand,
        w1_auction,
        w1_subpixel,
        w2_moving,
        w2_subpixel,
        w3_fifty,
        w3_subpixel,
        turning,
        crossfade,
        crossfade_scenes,
        soft_wipe,
        softest_wipe,
        clock_wipe,
        iris,
    ] {
        let name = build().name;
        if !name.contains(&filter) {
            continue;
        }
        let one = measure(build(), 1);
        let two = measure(build(), 2);
        let speed_up = one.best / two.best;
        println!(
            "{name:<34} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {:>9.4} {speed_up:>8.2}  {}, {}",
            one.median, one.best, one.cpu, two.median, two.best, one.composed, one.copied
        );
    }
}

/// CPU time of this thread so far, in milliseconds, to about one tick of the kernel; it does not count time spent waiting for others.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|ns| ns.parse::<f64>().ok())
        .unwrap_or(f64::NAN)
        / 1e6
}

struct Times {
    /// CPU time of the calling thread a frame, mean.
    cpu: f64,
    median: f64,
    /// The tenth percentile, which other work on the machine disturbs least.
    best: f64,
    composed: usize,
    copied: usize,
}

fn measure(mut workload: Workload, threads: usize) -> Times {
    let workers = Workers::new(threads);
    let mut compositor = Compositor::new(WIDTH, HEIGHT, threads);
    let mut pool = FramePool::new(5, WIDTH, HEIGHT).unwrap();
    // An encoder lets go of a frame while the next is made.
    let mut held = None;
    let mut times = Vec::with_capacity(FRAMES);
    let (mut composed, mut copied) = (0, 0);
    let mut cpu_start = 0.0;
    for frame in 0..FRAMES + 20 {
        if frame == 20 {
            cpu_start = cpu_ms();
        }
        (workload.animate)(frame, &mut workload.items, &mut workload.groups);
        let stack = Stack {
            items: &workload.items,
            groups: &workload.groups,
        };
        let start = Instant::now();
        let result = compositor
            .compose([12, 14, 20], stack, &mut pool, &workers)
            .unwrap();
        let elapsed = start.elapsed().as_secs_f64() * 1e3;
        if frame >= 20 {
            times.push(elapsed);
            composed += result.stats.tiles_composed;
            copied += result.stats.tiles_copied;
        }
        held = Some(black_box(result.frame));
    }
    let cpu = (cpu_ms() - cpu_start) / FRAMES as f64;
    drop(held);
    times.sort_by(f64::total_cmp);
    Times {
        cpu,
        median: times[FRAMES / 2],
        best: times[FRAMES / 10],
        composed: composed / FRAMES,
        copied: copied / FRAMES,
    }
}

fn limits() {
    let opaque = photo(WIDTH, HEIGHT, 1);
    let glass = glass(WIDTH, HEIGHT, 2);
    let words = |raster: &Raster| bytemuck_words(raster.data());
    let (below, above) = (words(&opaque), words(&glass));
    let mut out = below.clone();
    let level = Level::new();
    let report = |name: &str, run: &mut dyn FnMut()| {
        let mut times: Vec<f64> = (0..60)
            .map(|_| {
                let start = Instant::now();
                run();
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "limit: {name:<40} median {:>8.3} ms, best 10% {:>8.3}",
            times[30], times[6]
        );
    };
    report("memcpy of an RGBA frame", &mut || {
        black_box(&mut out).copy_from_slice(black_box(&below))
    });
    report("source-over of a full frame", &mut || {
        over::over(level, black_box(&mut out), &above)
    });
    report("the same with opacity", &mut || {
        over::over_opacity(level, black_box(&mut out), &above, 100)
    });
    report("cross-fade of a full frame", &mut || {
        over::fade(level, black_box(&mut out), &below, 100)
    });
    let frame = I420Frame::new(WIDTH, HEIGHT).unwrap();
    for (width, height) in [(1280, 720), (854, 480), (640, 360)] {
        let mut scaler = Scaler::new(width, height, 1).unwrap();
        report(&format!("planes scaled to {width}x{height}"), &mut || {
            drop(black_box(scaler.scale(black_box(&frame))));
        });
    }
    let mut coverage = vec![0u32; WIDTH as usize];
    for (name, ramp) in [
        (
            "linear matte of a full frame",
            ramp::Ramp::Line {
                step: 5e-4,
                base: 0.0,
            },
        ),
        (
            "iris of a full frame",
            ramp::Ramp::Circle {
                dx: -960.0,
                dy_squared: 1e4,
                slope: 1e-3,
                base: 1.0,
            },
        ),
        (
            "clock of a full frame",
            ramp::Ramp::Wedge {
                steps: [1e-3, -5e-4],
                bases: [0.0, 1.0],
                cosine: -0.5,
            },
        ),
    ] {
        report(name, &mut || {
            for _ in 0..HEIGHT {
                ramp::coverage_row(level, black_box(&mut coverage), 0, ramp, 0);
            }
        });
    }
    report("source-over by coverage of a full frame", &mut || {
        for (row, source) in out.chunks_exact_mut(1920).zip(below.chunks_exact(1920)) {
            ramp::over_by(level, black_box(row), source, &coverage);
        }
    });
    report("half-pixel mix of a full frame", &mut || {
        bilinear::mix_rows(level, black_box(&mut out), &below, &above, 128)
    });
    let (mut y, mut u, mut v) = (
        vec![0u8; 1920 * 1080],
        vec![0u8; 960 * 540],
        vec![0u8; 960 * 540],
    );
    report("to I420, our kernel", &mut || {
        let chroma = u.chunks_exact_mut(960).zip(v.chunks_exact_mut(960));
        for ((rows, luma), (u, v)) in below
            .chunks_exact(3840)
            .zip(y.chunks_exact_mut(3840))
            .zip(chroma)
        {
            let (upper, lower) = rows.split_at(1920);
            let (luma0, luma1) = luma.split_at_mut(1920);
            convert::convert_rows(level, [upper, lower], [luma0, luma1], u, v);
        }
    });
    use yuv::{
        YuvChromaSubsampling, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
        rgba_to_yuv420,
    };
    let mut planes = YuvPlanarImageMut::<u8>::alloc(WIDTH, HEIGHT, YuvChromaSubsampling::Yuv420);
    report("to I420, yuv crate, balanced", &mut || {
        let (range, matrix, mode) = (
            YuvRange::Limited,
            YuvStandardMatrix::Bt709,
            YuvConversionMode::Balanced,
        );
        rgba_to_yuv420(&mut planes, opaque.data(), WIDTH * 4, range, matrix, mode).unwrap();
    });
    // What W2 must read from memory on each frame, whatever it does with it: no cache holds it all.
    let pictures: Vec<Vec<u32>> = std::iter::once(2100 * 1200)
        .chain([600 * 400; 20])
        .chain([1920 * 1080])
        .map(|len| vec![1; len])
        .collect();
    report("reading W2's pictures once", &mut || {
        let sum: u32 = pictures
            .iter()
            .map(|picture| black_box(picture).iter().fold(0, |all, &pixel| all ^ pixel))
            .sum();
        black_box(sum);
    });
}

fn bytemuck_words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&pixel| u32::from_le_bytes(pixel))
        .collect()
}

fn noise(seed: &mut u32) -> u32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    *seed
}

fn picture(
    width: u32,
    height: u32,
    seed: u32,
    alpha: impl Fn(u32, u32, u32) -> u32,
) -> Arc<Raster> {
    let mut seed = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut data = Vec::with_capacity((width * height * 4) as usize);
    for y in 0..height {
        for x in 0..width {
            let n = noise(&mut seed);
            let a = alpha(x, y, n);
            let colour = [x * 255 / width, y * 255 / height, (x ^ y) & 255]
                .map(|c| ((c * 7 + (n & 255)) / 8 * a / 255) as u8);
            data.extend(colour);
            data.push(a as u8);
        }
    }
    Arc::new(Raster::from_rgba8_premultiplied(width, height, data).unwrap())
}

/// Opaque, like a photograph.
fn photo(width: u32, height: u32, seed: u32) -> Arc<Raster> {
    picture(width, height, seed, |_, _, _| 255)
}

/// Translucent everywhere, every pixel of another alpha.
fn glass(width: u32, height: u32, seed: u32) -> Arc<Raster> {
    picture(width, height, seed, |_, _, n| 60 + (n >> 8) % 150)
}

/// A translucent card with round corners.
fn card(width: u32, height: u32, seed: u32) -> Arc<Raster> {
    const RADIUS: i64 = 24;
    picture(width, height, seed, |x, y, _| {
        let corner = |v: u32, len: u32| {
            (RADIUS - i64::from(v))
                .max(i64::from(v) - (i64::from(len) - 1 - RADIUS))
                .max(0)
        };
        let (dx, dy) = (corner(x, width), corner(y, height));
        if dx * dx + dy * dy > RADIUS * RADIUS {
            0
        } else {
            200
        }
    })
}

/// A figure: opaque body, soft edge, nothing around it.
fn avatar(width: u32, height: u32, seed: u32) -> Arc<Raster> {
    picture(width, height, seed, |x, y, n| {
        let (x, y) = (
            x as f32 / width as f32 * 2.0 - 1.0,
            y as f32 / height as f32 * 2.0 - 1.0,
        );
        let d = x.hypot(y);
        if d > 0.97 {
            0
        } else if d > 0.9 {
            ((0.97 - d) * 3600.0) as u32
        } else {
            160 + (n >> 8) % 80
        }
    })
}

/// Text: mostly nothing, small opaque strokes with soft edges.
fn text(width: u32, height: u32, seed: u32) -> Arc<Raster> {
    picture(width, height, seed, |x, y, _| match (x % 19, y % 40) {
        (_, 0..8 | 32..) => 0,
        (3 | 7, _) => 128,
        (4..7, _) => 255,
        _ => 0,
    })
}

fn place(item: &mut DrawItem, x: f32, y: f32, subpixel: bool) {
    let at = Vec2::new(x, y);
    item.canvas_from_paint = Affine2::from_translation(if subpixel { at } else { at.round() });
}

fn still(key: u64, raster: &Arc<Raster>, x: f32, y: f32) -> DrawItem {
    DrawItem::raster(
        key,
        Arc::clone(raster),
        Affine2::from_translation(Vec2::new(x, y)),
    )
}

fn w1(subpixel: bool, name: &'static str) -> Workload {
    let mut items = vec![
        still(0, &photo(WIDTH, HEIGHT, 1), 0.0, 0.0),
        still(1, &avatar(800, 900, 2), 560.0, 120.0),
    ];
    for i in 0..12u64 {
        items.push(still(
            2 + i,
            &card(400, 220, i as u32),
            (i % 4) as f32 * 470.0 + 20.0,
            (i / 4) as f32 * 330.0 + 60.0,
        ));
    }
    let ticker = text(4000, 64, 5);
    items.push(DrawItem {
        clip: None,
        ..still(14, &ticker, 0.0, 1016.0)
    });
    let texts: Vec<[Arc<Raster>; 2]> = (0..3)
        .map(|i| [text(300, 60, i), text(300, 60, i + 9)])
        .collect();
    for i in 0..3u64 {
        items.push(still(
            15 + i,
            &texts[i as usize][0],
            60.0 + 600.0 * i as f32,
            20.0,
        ));
    }
    let animate = move |frame: usize, items: &mut Vec<DrawItem>, _: &mut [Group]| {
        let time = frame as f32 / 60.0;
        place(
            &mut items[1],
            560.0,
            100.0 + 40.0 * (time * 2.0).sin(),
            subpixel,
        );
        place(&mut items[14], -((time * 150.0) % 2000.0), 1016.0, subpixel);
        for i in 0..3 {
            items[15 + i].paint =
                stream_manager_raster::Paint::Raster(Arc::clone(&texts[i][frame / 60 % 2]));
            items[15 + i].revision = frame as u64 / 60;
        }
    };
    Workload {
        name,
        items,
        groups: Vec::new(),
        animate: Box::new(animate),
    }
}

fn w1_auction() -> Workload {
    w1(false, "W1 auction stream")
}

fn w1_subpixel() -> Workload {
    w1(true, "W1 auction stream, sub-pixel")
}

fn w2(subpixel: bool, name: &'static str) -> Workload {
    let mut items = vec![still(0, &photo(2100, 1200, 1), 0.0, 0.0)];
    for i in 0..20u64 {
        items.push(still(1 + i, &glass(600, 400, i as u32), 0.0, 0.0));
    }
    items.push(still(21, &photo(WIDTH, HEIGHT, 77), 0.0, 0.0));
    let animate = move |frame: usize, items: &mut Vec<DrawItem>, _: &mut [Group]| {
        let time = frame as f32 / 60.0;
        place(
            &mut items[0],
            -90.0 + 80.0 * (time * 0.7).sin(),
            -60.0 + 50.0 * (time * 0.9).cos(),
            subpixel,
        );
        for i in 0..20 {
            let phase = i as f32 * 0.61;
            let (x, y) = (
                660.0 + 640.0 * (time * 0.8 + phase).sin(),
                340.0 + 330.0 * (time * 1.1 + phase * 1.7).cos(),
            );
            place(&mut items[1 + i], x, y, subpixel);
        }
        items[21].opacity = 0.05 + 0.9 * (frame % 100) as f32 / 100.0;
    };
    Workload {
        name,
        items,
        groups: Vec::new(),
        animate: Box::new(animate),
    }
}

fn w2_moving() -> Workload {
    w2(false, "W2 everything moves")
}

fn w2_subpixel() -> Workload {
    w2(true, "W2 everything moves, sub-pixel")
}

fn w3(moving: bool, subpixel: bool, name: &'static str) -> Workload {
    let mut items = vec![still(0, &photo(WIDTH, HEIGHT, 1), 0.0, 0.0)];
    for i in 0..49u64 {
        items.push(still(
            1 + i,
            &card(240, 160, i as u32),
            (i % 9) as f32 * 205.0 + 5.0,
            (i / 9) as f32 * 175.0 + 8.0,
        ));
    }
    let animate = move |frame: usize, items: &mut Vec<DrawItem>, _: &mut [Group]| {
        let time = if moving { frame as f32 / 60.0 } else { 0.0 };
        for i in 0..5 {
            let phase = i as f32 * 1.3;
            place(
                &mut items[45 + i],
                150.0 + 330.0 * i as f32 + 100.0 * (time + phase).sin(),
                440.0 + 400.0 * (time * 0.8 + phase).cos(),
                subpixel,
            );
        }
    };
    Workload {
        name,
        items,
        groups: Vec::new(),
        animate: Box::new(animate),
    }
}

fn w0_still() -> Workload {
    w3(false, false, "W0 still")
}

fn w0_thousand() -> Workload {
    let small = card(80, 60, 3);
    let items = (0..1000)
        .map(|i| still(i, &small, (i % 40) as f32 * 46.0, (i / 40) as f32 * 40.0))
        .collect();
    Workload {
        name: "W0 a thousand still layers",
        items,
        groups: Vec::new(),
        animate: Box::new(|_, _, _| {}),
    }
}

fn w3_fifty() -> Workload {
    w3(true, false, "W3 fifty layers")
}

fn w3_subpixel() -> Workload {
    w3(true, true, "W3 fifty layers, sub-pixel")
}

/// A full-frame picture turning and a card that grows: the general paths.
fn turning() -> Workload {
    let items = vec![
        still(0, &photo(WIDTH, HEIGHT, 1), 0.0, 0.0),
        still(1, &card(400, 300, 3), 0.0, 0.0),
    ];
    let animate = |frame: usize, items: &mut Vec<DrawItem>, _: &mut [Group]| {
        let time = frame as f32 / 60.0;
        let centre = Vec2::new(960.0, 540.0);
        items[0].canvas_from_paint = Affine2::from_angle_translation(0.2 * time.sin(), centre)
            * Affine2::from_translation(-centre);
        items[1].canvas_from_paint = Affine2::from_scale_angle_translation(
            Vec2::splat(1.5 + time.sin()),
            0.0,
            Vec2::new(300.0, 200.0),
        );
    };
    Workload {
        name: "turned full frame, scaled card",
        items,
        groups: Vec::new(),
        animate: Box::new(animate),
    }
}

/// Two panes of as many items, each hiding the canvas, the upper one a group: a transition.
fn panes(
    name: &'static str,
    items: Vec<DrawItem>,
    mut change: impl FnMut(f32, &mut Group) + 'static,
) -> Workload {
    let upper = items.len() / 2..items.len();
    Workload {
        name,
        items,
        groups: vec![Group::new(1, upper)],
        animate: Box::new(move |frame, _, groups| {
            // Never all or nothing: those cost less.
            change(0.01 + 0.98 * (frame % 100) as f32 / 100.0, &mut groups[0]);
        }),
    }
}

fn stills() -> Vec<DrawItem> {
    vec![
        still(0, &photo(WIDTH, HEIGHT, 1), 0.0, 0.0),
        still(1, &photo(WIDTH, HEIGHT, 2), 0.0, 0.0),
    ]
}

/// Each pane a picture with four cards on it.
fn scenes() -> Vec<DrawItem> {
    let mut items = Vec::new();
    for pane in 0..2u64 {
        items.push(still(
            pane * 5,
            &photo(WIDTH, HEIGHT, pane as u32),
            0.0,
            0.0,
        ));
        for i in 0..4u64 {
            let (x, y) = (150.0 + 400.0 * i as f32, 200.0 + 130.0 * i as f32);
            items.push(still(pane * 5 + 1 + i, &card(400, 220, i as u32), x, y));
        }
    }
    items
}

fn crossfade() -> Workload {
    panes("G1 crossfade", stills(), |progress, group| {
        group.opacity = progress
    })
}

fn crossfade_scenes() -> Workload {
    panes("G1 crossfade of scenes", scenes(), |progress, group| {
        group.opacity = progress
    })
}

fn wiped(progress: f32, direction: Vec2, softness: f32) -> Option<Matte> {
    let size = Vec2::new(WIDTH as f32, HEIGHT as f32);
    Some(Matte::wipe(Vec2::ZERO, size, direction, softness, progress))
}

fn soft_wipe() -> Workload {
    panes("G2 wipe, 200 pixels soft", stills(), |progress, group| {
        group.matte = wiped(progress, Vec2::X, 200.0);
    })
}

fn softest_wipe() -> Workload {
    panes("G2 wipe, soft all over", stills(), |progress, group| {
        // Slanted, and wider than the canvas: every pixel is on the ramp.
        group.matte = wiped(0.5 + progress * 0.01, Vec2::new(2.0, 1.0), 6000.0);
    })
}

fn clock_wipe() -> Workload {
    panes("G2 clock wipe of scenes", scenes(), |progress, group| {
        let centre = Vec2::new(WIDTH as f32, HEIGHT as f32) * 0.5;
        group.matte = Some(Matte::clock(centre, 0.0, progress).soft(40.0));
    })
}

fn iris() -> Workload {
    panes("G2 iris of scenes", scenes(), |progress, group| {
        let size = Vec2::new(WIDTH as f32, HEIGHT as f32);
        group.matte = Some(Matte::iris_in(Vec2::ZERO, size, size * 0.5, 40.0, progress));
    })
}
