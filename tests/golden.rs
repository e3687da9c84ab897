//! Golden frames: every shipped scene at fixed ticks, against pictures that somebody has looked at.
//!
//! On a difference the test leaves `expected`, `actual` and `difference` pictures in `tests/actual`. When the new look is meant,
//! `BLESS=1 cargo test --test golden` takes it as the expected one. Pictures are kept at half size.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::path::{Path, PathBuf};

use components::scene::FrameRate;
use image::imageops::{FilterType, resize};
use image::{ImageFormat, Rgba, RgbaImage};
use stream_manager::prepare;
use stream_manager::scene::{LoadOptions, load_scene};
use systems::Engine;

/// The second of each scene that is kept: late enough for what comes in to have come in.
const SECONDS: [f64; 2] = [1.0, 4.5];
/// Channels may differ by so much where another CPU rounds another way in a resize or a curve.
const CHANNEL_TOLERANCE: u8 = 6;
/// The part of pixels that may differ by more.
const PIXELS_OFF_MAX: f64 = 0.0005;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn engine_for(scene: &Path, threads: usize) -> (Engine, FrameRate) {
    let loaded = load_scene(scene, &LoadOptions::default()).unwrap();
    let rate = loaded.spec.canvas.fps.unwrap_or_default();
    let mut engine =
        Engine::new(prepare::engine_settings(&loaded.spec, rate, threads, 4, 50)).unwrap();
    engine
        .load(prepare::bundle(&loaded, std::path::Path::new("")).unwrap())
        .unwrap();
    (engine, rate)
}

fn shipped_scenes() -> Vec<PathBuf> {
    let mut scenes: Vec<PathBuf> = std::fs::read_dir(root().join("scenes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter(|path| !path.to_string_lossy().contains("schema"))
        .collect();
    scenes.sort();
    scenes
}

fn picture_at(engine: &mut Engine, tick: u64) -> RgbaImage {
    engine.seek(tick);
    engine.tick();
    let picture = engine.picture();
    RgbaImage::from_raw(picture.width, picture.height, picture.rgba).unwrap()
}

#[test]
fn every_shipped_scene_looks_as_it_did() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut failures = Vec::new();
    for scene in shipped_scenes() {
        let (mut engine, rate) = engine_for(&scene, 2);
        for second in SECONDS {
            let tick = (second * rate.as_f64()).round() as u64;
            let full = picture_at(&mut engine, tick);
            let actual = resize(
                &full,
                full.width() / 2,
                full.height() / 2,
                FilterType::Triangle,
            );
            let name = format!(
                "{}-{tick}.png",
                scene.file_stem().unwrap().to_string_lossy()
            );
            let expected_path = root().join("tests/golden").join(&name);
            if bless {
                actual
                    .save_with_format(&expected_path, ImageFormat::Png)
                    .unwrap();
                continue;
            }
            match image::open(&expected_path) {
                Err(error) => failures.push(format!("{name}: no expected picture ({error})")),
                Ok(expected) => failures.extend(compare(&name, &expected.into_rgba8(), &actual)),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn compare(name: &str, expected: &RgbaImage, actual: &RgbaImage) -> Option<String> {
    let folder = root().join("tests/actual");
    let difference_of = |a: &Rgba<u8>, b: &Rgba<u8>| {
        a.0.iter()
            .zip(b.0)
            .map(|(a, b)| a.abs_diff(b))
            .max()
            .unwrap_or(0)
    };
    let problem = if expected.dimensions() != actual.dimensions() {
        format!(
            "is {:?} and was {:?}",
            actual.dimensions(),
            expected.dimensions()
        )
    } else {
        let off = expected
            .pixels()
            .zip(actual.pixels())
            .filter(|(a, b)| difference_of(a, b) > CHANNEL_TOLERANCE)
            .count();
        let part = off as f64 / f64::from(expected.width() * expected.height());
        if part <= PIXELS_OFF_MAX {
            return None;
        }
        format!("{:.3} % of its pixels differ", part * 100.0)
    };
    std::fs::create_dir_all(&folder).unwrap();
    expected
        .save(folder.join(format!("expected-{name}")))
        .unwrap();
    actual.save(folder.join(format!("actual-{name}"))).unwrap();
    if expected.dimensions() == actual.dimensions() {
        let difference = RgbaImage::from_fn(actual.width(), actual.height(), |x, y| {
            let off =
                difference_of(expected.get_pixel(x, y), actual.get_pixel(x, y)).saturating_mul(8);
            Rgba([off, off, off, 255])
        });
        difference
            .save(folder.join(format!("difference-{name}")))
            .unwrap();
    }
    Some(format!("{name}: {problem}; see {}", folder.display()))
}

#[test]
fn seeking_gives_the_frame_that_playing_gives_on_any_number_of_threads() {
    for scene in shipped_scenes() {
        let target = 40;
        let (mut seeking, _) = engine_for(&scene, 1);
        let sought = picture_at(&mut seeking, target);
        for threads in [2, 4] {
            let (mut playing, _) = engine_for(&scene, threads);
            while playing.next_tick() <= target {
                playing.tick();
            }
            let picture = playing.picture();
            assert!(
                sought.as_raw() == &picture.rgba,
                "{} on {threads} threads",
                scene.display()
            );
            let (frame, other) = (
                playing.frame().unwrap().frame,
                seeking.frame().unwrap().frame,
            );
            assert!(
                frame.y() == other.y() && frame.u() == other.u() && frame.v() == other.v(),
                "{} in planes",
                scene.display()
            );
        }
    }
}
