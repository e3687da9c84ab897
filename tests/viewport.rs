//! One layout at every size of frame: what is seen is the same, and what is drawn is drawn with the pixels that are there.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use components::scene::FrameRate;
use components::viewport::CanvasFit;
use image::imageops::{FilterType, resize};
use image::{RgbImage, RgbaImage};
use stream_manager::prepare;
use stream_manager::scene::{LoadOptions, load_scene};
use systems::EngineSettings;

/// Both tests look at these.
static OWN: LazyLock<RgbaImage> = LazyLock::new(|| still(1920, 1080));
static LARGE: LazyLock<RgbaImage> = LazyLock::new(|| still(3840, 2160));

/// The first seconds of the demo on a frame.
fn still(width: u32, height: u32) -> RgbaImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/demo.json");
    let loaded = load_scene(&path, &LoadOptions::default()).unwrap();
    let settings = prepare::engine_settings(&loaded.spec, FrameRate::whole(30), 1, 2, 50);
    let settings = EngineSettings {
        width,
        height,
        ..settings
    };
    let bundle = prepare::bundle(&loaded, &PathBuf::new().into()).unwrap();
    let picture = prepare::still(bundle, &settings, CanvasFit::Contain, 4.5).unwrap();
    RgbaImage::from_raw(picture.width, picture.height, picture.rgba).unwrap()
}

fn small(picture: &RgbaImage) -> RgbImage {
    let small = resize(picture, 320, 180, FilterType::Triangle);
    image::DynamicImage::from(small).into_rgb8()
}

/// Mean difference of channels, and the part of pixels that differ by more than 24 of 255.
fn differences(a: &RgbImage, b: &RgbImage) -> (f64, f64) {
    let (mut sum, mut far) = (0_u64, 0_u64);
    for (a, b) in a.pixels().zip(b.pixels()) {
        let channels = a.0.iter().zip(b.0).map(|(a, b)| a.abs_diff(b));
        sum += channels.clone().map(u64::from).sum::<u64>();
        far += u64::from(channels.max() > Some(24));
    }
    let count = f64::from(a.width() * a.height());
    (sum as f64 / count / 3.0, far as f64 / count)
}

#[test]
fn a_layout_is_the_same_at_every_size() {
    let own = small(&OWN);
    // What stands still is laid on whole pixels, so on small frames edges differ by up to half of a pixel.
    for (width, height, mean_max, far_max) in [
        (640, 360, 2.5, 0.04),
        (854, 480, 2.5, 0.04),
        (1280, 720, 1.5, 0.015),
        (3840, 2160, 1.0, 0.01),
    ] {
        let other = if width == 3840 {
            small(&LARGE)
        } else {
            small(&still(width, height))
        };
        let (mean, far) = differences(&own, &other);
        assert!(
            mean < mean_max && far < far_max,
            "at {width}x{height}: {mean:.2} on the mean, {:.2} % of pixels far off",
            far * 100.0
        );
    }
}

/// How steep edges are: the mean of the squared differences of neighbours.
fn steepness(picture: &RgbaImage) -> f64 {
    let rows = picture.rows().map(|row| {
        let row: Vec<f64> = row.map(|pixel| f64::from(pixel.0[1])).collect();
        row.windows(2)
            .map(|pair| (pair[1] - pair[0]).powi(2))
            .sum::<f64>()
    });
    rows.sum::<f64>() / f64::from(picture.width() * picture.height())
}

#[test]
fn words_and_shapes_are_not_enlarged_but_drawn_large() {
    let enlarged = resize(&*OWN, 3840, 2160, FilterType::CatmullRom);
    let (drawn, enlarged) = (steepness(&LARGE), steepness(&enlarged));
    assert!(drawn > enlarged * 1.4, "{drawn} {enlarged}");
}
