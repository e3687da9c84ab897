//! The pictures of the workloads, drawn by arithmetic alone: the same bytes on every machine, made once and kept under `benches/out`.
//!
//! Only sums, products, floors and square roots of floats are used, which IEEE 754 rounds the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use image::{Rgb, RgbImage, Rgba, RgbaImage};

/// Raised when a picture changes, so that an older one is not taken for it.
const VERSION: u32 = 1;
/// The font of the texts, from the scenes that come with the program.
pub const FONT: &str = "Inter-Bold.ttf";

/// Where everything that a bench makes is kept.
pub fn out_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/out")
}

/// Where the pictures are, relative to [`out_folder`].
pub fn folder() -> String {
    format!("assets-{VERSION}")
}

/// Makes what is not there yet.
///
/// # Errors
/// The folder cannot be written.
pub fn make() -> Result<()> {
    let folder = out_folder().join(folder());
    fs::create_dir_all(&folder)
        .with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let font = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/assets/fonts");
    put(&folder, FONT, |path| {
        fs::copy(font.join(FONT), path)
            .map(drop)
            .map_err(Into::into)
    })?;

    let save_rgb =
        |name: &str, draw: &dyn Fn() -> RgbImage| put(&folder, name, |path| Ok(draw().save(path)?));
    save_rgb("photo.png", &|| photo(1920, 1080, 11))?;
    save_rgb("photo-wide.png", &|| photo(2240, 1260, 23))?;
    save_rgb("photo-other.png", &|| photo(1920, 1080, 37))?;

    let save = |name: &str, draw: &dyn Fn() -> RgbaImage| {
        put(&folder, name, |path| Ok(draw().save(path)?))
    };
    save("avatar.png", &|| avatar(5))?;
    save("ticker.png", &|| ticker(9))?;
    for index in 0..12 {
        save(&format!("card-{index}.png"), &|| {
            card(400, 220, 24, 100 + index)
        })?;
    }
    for index in 0..20 {
        save(&format!("glass-{index}.png"), &|| {
            glass(600, 400, 200 + index)
        })?;
    }
    for index in 0..49 {
        save(&format!("small-{index}.png"), &|| {
            card(240, 160, 16, 300 + index)
        })?;
    }
    save("tiny.png", &|| card(80, 60, 8, 400))
}

/// Has `make` write a file under another name first, so that a broken run leaves no half picture behind.
fn put(folder: &Path, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = folder.join(name);
    if path.exists() {
        return Ok(());
    }
    let unfinished = folder.join(format!("unfinished-{name}"));
    make(&unfinished).with_context(|| format!("`{}` cannot be made", path.display()))?;
    fs::rename(&unfinished, &path).with_context(|| format!("`{}` cannot be made", path.display()))
}

/// A number from 0 to 1 for a place of a grid, by the finaliser of MurmurHash3.
fn hash(x: u32, y: u32, seed: u32) -> f32 {
    let mut bits =
        x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ seed.wrapping_mul(0xc2b2_ae3d);
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x85eb_ca6b);
    bits ^= bits >> 13;
    bits = bits.wrapping_mul(0xc2b2_ae35);
    bits ^= bits >> 16;
    bits as f32 / u32::MAX as f32
}

/// Value noise, 0 to 1: numbers at the corners of a grid of `period` pixels, and a smooth way between them.
fn noise(x: u32, y: u32, period: u32, seed: u32) -> f32 {
    let smooth = |part: f32| part * part * (3.0 - 2.0 * part);
    let (column, row) = (x / period, y / period);
    let across = smooth((x % period) as f32 / period as f32);
    let down = smooth((y % period) as f32 / period as f32);
    let mix = |from: f32, to: f32, part: f32| from + (to - from) * part;
    let upper = mix(hash(column, row, seed), hash(column + 1, row, seed), across);
    let lower = mix(
        hash(column, row + 1, seed),
        hash(column + 1, row + 1, seed),
        across,
    );
    mix(upper, lower, down)
}

/// A colour as a photograph has it: light falls off downwards, large shapes are strong and small ones faint, hues change slowly, and
/// over all lies the grain of a sensor.
fn photo_colour(x: u32, y: u32, height: u32, seed: u32) -> [u8; 3] {
    let octaves = [
        (480, 70.0),
        (240, 44.0),
        (120, 26.0),
        (60, 15.0),
        (30, 9.0),
        (12, 5.0),
        (5, 3.0),
    ];
    let light: f32 = octaves
        .iter()
        .zip(seed..)
        .map(|(&(period, strength), seed)| (noise(x, y, period, seed) - 0.5) * strength)
        .sum();
    let slope = 150.0 - 80.0 * y as f32 / height as f32;
    let (warm, cold) = (
        noise(x, y, 700, seed + 20) - 0.5,
        noise(x, y, 520, seed + 21) - 0.5,
    );
    let grain = (hash(x, y, seed + 22) - 0.5) * 4.0;
    let base = slope + light + grain;
    [
        base + 70.0 * warm,
        base + 10.0 * cold,
        base - 60.0 * warm + 50.0 * cold,
    ]
    .map(|value| value.clamp(0.0, 255.0) as u8)
}

/// Opaque, like a photograph.
fn photo(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb(photo_colour(x, y, height, seed)))
}

fn rgba([red, green, blue]: [u8; 3], alpha: f32) -> Rgba<u8> {
    Rgba([red, green, blue, alpha.clamp(0.0, 255.0) as u8])
}

/// A head over shoulders: opaque inside, an edge of some 14 pixels, nothing around it.
fn avatar(seed: u32) -> RgbaImage {
    const EDGE: f32 = 14.0;
    let inside = |x: u32, y: u32, [centre_x, centre_y, radius_x, radius_y]: [f32; 4]| {
        let (across, down) = (
            (x as f32 - centre_x) / radius_x,
            (y as f32 - centre_y) / radius_y,
        );
        (1.0 - (across * across + down * down).sqrt()) * radius_x.min(radius_y) / EDGE
    };
    RgbaImage::from_fn(800, 900, |x, y| {
        let head = inside(x, y, [400.0, 250.0, 190.0, 230.0]);
        let shoulders = inside(x, y, [400.0, 930.0, 380.0, 500.0]);
        // A veil over the shoulders lets the ground through.
        let most = if y > 780 && head <= 0.0 { 225.0 } else { 255.0 };
        rgba(
            photo_colour(x, y, 900, seed),
            head.max(shoulders).clamp(0.0, 1.0) * most,
        )
    })
}

/// How much of a pixel lies inside a rectangle with round corners, 0 to 1.
fn rounded(x: u32, y: u32, width: u32, height: u32, radius: u32) -> f32 {
    let beyond = |at: u32, length: u32| {
        let at = at as f32 + 0.5;
        (radius as f32 - at)
            .max(at - (length - radius) as f32)
            .max(0.0)
    };
    let (across, down) = (beyond(x, width), beyond(y, height));
    (radius as f32 + 0.5 - (across * across + down * down).sqrt()).clamp(0.0, 1.0)
}

/// A translucent card with round corners and two lines of opaque strokes.
fn card(width: u32, height: u32, radius: u32, seed: u32) -> RgbaImage {
    let hue =
        [hash(1, 0, seed), hash(2, 0, seed), hash(3, 0, seed)].map(|part| 30.0 + part * 120.0);
    RgbaImage::from_fn(width, height, |x, y| {
        let line = y % (height / 3) > height / 3 - height / 10
            && (width / 10..width * 9 / 10).contains(&x);
        if line && x % 11 < 6 && hash(x / 11, y * 3 / height, seed) > 0.2 {
            return Rgba([240, 240, 235, 255]);
        }
        let light = 40.0 * y as f32 / height as f32 + 6.0 * noise(x, y, 30, seed);
        rgba(
            hue.map(|part| (part + light).clamp(0.0, 255.0) as u8),
            205.0 * rounded(x, y, width, height, radius),
        )
    })
}

/// A dark translucent strip with strokes as of letters; its second half is its first again, so that it scrolls without a seam.
fn ticker(seed: u32) -> RgbaImage {
    RgbaImage::from_fn(3840, 64, |x, y| {
        let x = x % 1920;
        let stroke = (18..46).contains(&y) && x % 17 < 5 && hash(x / 17, y / 7, seed) > 0.3;
        if stroke {
            Rgba([250, 246, 230, 255])
        } else {
            Rgba([14, 16, 28, 215])
        }
    })
}

/// A translucent picture, of another alpha at every place, with a soft edge.
fn glass(width: u32, height: u32, seed: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let from_edge = x.min(width - 1 - x).min(y).min(height - 1 - y) as f32;
        let alpha = 90.0 + 140.0 * noise(x, y, 90, seed + 50);
        rgba(
            photo_colour(x, y, height, seed),
            alpha * (from_edge / 10.0).min(1.0),
        )
    })
}
