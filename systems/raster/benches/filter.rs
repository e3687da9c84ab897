//! What each filter costs on a card of 600x400 pixels, with the margin it needs, and on a full frame.
//!
//! `cargo bench -p stream-manager-raster --bench filter -- [part of a name]`. Prints milliseconds on one thread: the median of the runs and
//! their best tenth, which other work on the machine disturbs least. The time to copy the picture in is not counted.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench reports on standard output and may fail"
)]

use std::{hint::black_box, time::Instant};

use stream_manager_raster::{
    Raster,
    filter::{
        Alpha, Blur, Border, ChromaKey, Colour, CornerRadius, DropShadow, Glow, Margin, Mask,
        MaskSource, Pixelate, Pixels, Placement, Scratch, Vignette,
    },
    kernels::Level,
};

const RUNS: usize = 60;

type Apply = Box<dyn Fn(&mut Pixels, &mut Scratch)>;

fn main() {
    let part = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    println!("{:?}, one thread", Level::new());
    println!(
        "{:<34} {:>11} {:>9} {:>9}   {:>11} {:>9} {:>9}",
        "filter", "of card", "median", "best 10%", "of frame", "median", "best 10%"
    );
    for (name, margin, make) in filters() {
        if !name.contains(&part) {
            continue;
        }
        let mut line = format!("{name:<34}");
        for (width, height) in [(600, 400), (1920, 1080)] {
            let picture = card(width, height);
            let source = Pixels::from_raster(&picture, margin).unwrap();
            let (median, best) = measure(&source, &make(&source));
            let size = format!("{}x{}", source.width(), source.height());
            line += &format!(" {size:>11} {median:>9.3} {best:>9.3}  ");
        }
        println!("{line}");
    }
    if "blur, one channel".contains(&part) {
        one_channel();
    }
}

fn measure(source: &Pixels, apply: &Apply) -> (f64, f64) {
    let mut scratch = Scratch::new();
    let mut pixels = source.clone();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            pixels.words_mut().copy_from_slice(source.words());
            let start = Instant::now();
            apply(black_box(&mut pixels), &mut scratch);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[RUNS / 2], times[RUNS / 10])
}

fn one_channel() {
    let blur = Blur::new(20.0);
    for (width, height) in [(600, 400), (1920, 1080)] {
        let source = Pixels::from_raster(&card(width, height), blur.margin()).unwrap();
        let mut scratch = Scratch::new();
        let mut alpha = Alpha::default();
        let mut times: Vec<f64> = (0..RUNS)
            .map(|_| {
                alpha.fill_from(&source);
                let start = Instant::now();
                blur.apply_alpha(black_box(&mut alpha), &mut scratch);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "blur, one channel, sigma 20 {width}x{height}: median {:.3}, best 10% {:.3}",
            times[RUNS / 2],
            times[RUNS / 10]
        );
    }
}

/// A colourful picture with round, soft corners.
fn card(width: u32, height: u32) -> Raster {
    let mut pixels = Pixels::new(width, height);
    for (at, word) in pixels.words_mut().iter_mut().enumerate() {
        let (x, y) = (at as u32 % width, at as u32 / width);
        let noise = at.wrapping_mul(2_654_435_761) >> 11;
        *word = u32::from_le_bytes([
            (x * 255 / width) as u8,
            (y * 255 / height) as u8,
            noise as u8,
            255,
        ]);
    }
    let area = [0.0, 0.0, width as f32, height as f32];
    let radii = [24.0; 4];
    CornerRadius { radii, area }.apply(&mut pixels, &mut Scratch::new());
    pixels.into_raster().unwrap()
}

fn area_of(pixels: &Pixels) -> [f32; 4] {
    [0.0, 0.0, pixels.width() as f32, pixels.height() as f32]
}

/// Name, margin, and the filter for a picture.
type Entry = (&'static str, Margin, Box<dyn Fn(&Pixels) -> Apply>);

fn entry<F>(name: &'static str, margin: Margin, apply: F) -> Entry
where
    F: Fn(&mut Pixels, &mut Scratch) + Copy + 'static,
{
    (name, margin, Box::new(move |_| Box::new(apply)))
}

fn filters() -> Vec<Entry> {
    let none = Margin::default();
    let mut all = Vec::new();
    for (name, sigma) in [
        ("blur, sigma 2", 2.0),
        ("blur, sigma 20", 20.0),
        ("blur, sigma 100", 100.0),
    ] {
        let blur = Blur::new(sigma);
        all.push(entry(name, blur.margin(), move |p, s| blur.apply(p, s)));
    }
    let shadow = DropShadow {
        offset: [6.5, 10.0],
        sigma: 20.0,
        spread: 0.0,
        colour: [0, 0, 0, 160],
    };
    all.push(entry(
        "drop shadow, sigma 20",
        shadow.margin(),
        move |p, s| shadow.apply(p, s),
    ));
    let spread = DropShadow {
        spread: 4.0,
        ..shadow
    };
    all.push(entry(
        "drop shadow, spread 4",
        spread.margin(),
        move |p, s| spread.apply(p, s),
    ));
    let glow = Glow {
        sigma: 12.0,
        colour: [80, 160, 255, 255],
        intensity: 2.0,
    };
    all.push(entry("glow, sigma 12", glow.margin(), move |p, s| {
        glow.apply(p, s)
    }));
    for (name, width, placement) in [
        ("border, 4 outside", 4.0, Placement::Outside),
        ("border, 20 centred", 20.0, Placement::Center),
    ] {
        let border = Border {
            width,
            colour: [255; 4],
            placement,
        };
        all.push(entry(name, border.margin(), move |p, s| border.apply(p, s)));
    }
    all.push(entry("corner radius 24", none, |p, s| {
        let area = area_of(p);
        CornerRadius {
            radii: [24.0; 4],
            area,
        }
        .apply(p, s);
    }));
    all.push((
        "mask, luma",
        none,
        Box::new(|source| {
            let mask = source.clone();
            let filter = Mask {
                source: MaskSource::Luma,
                inverted: false,
            };
            Box::new(move |p, s| filter.apply(p, &mask, s))
        }),
    ));
    let colour = Colour {
        brightness: 0.1,
        contrast: 1.2,
        saturation: 1.5,
        hue: 30.0,
        gamma: 1.0,
    };
    all.push(entry("colour", none, move |p, s| colour.apply(p, s)));
    let gamma = Colour {
        gamma: 1.4,
        ..colour
    };
    all.push(entry("colour with gamma", none, move |p, s| {
        gamma.apply(p, s)
    }));
    let key = ChromaKey {
        colour: [0, 255, 0],
        similarity: 0.4,
        smoothness: 0.08,
        spill: 0.1,
    };
    all.push(entry("chroma key", none, move |p, s| key.apply(p, s)));
    all.push(entry("pixelate 12.5", none, |p, s| {
        Pixelate { size: 12.5 }.apply(p, s)
    }));
    all.push(entry("vignette", none, |p, s| {
        Vignette {
            amount: 0.7,
            size: 0.5,
            softness: 0.5,
            colour: [0; 3],
            area: area_of(p),
        }
        .apply(p, s);
    }));
    all
}
