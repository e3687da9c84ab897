//! Golden frames at fixed ticks, against pictures that somebody has looked at: every shipped scene, and sheets with every easing,
//! transition, effect, blend mode and kind of source.
//!
//! On a difference the test leaves `expected`, `actual` and `difference` pictures in `tests/actual`. When the new look is meant,
//! `BLESS=1 cargo test --test golden` takes it as the expected one. Pictures are kept at half size.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::path::{Path, PathBuf};

use components::animation::Easing;
use components::scene::FrameRate;
use components::transition::{Side, Transition, TransitionKind};
use image::imageops::{FilterType, resize};
use image::{ImageFormat, Rgba, RgbaImage};
use stream_manager::prepare;
use stream_manager::scene::{LoadOptions, LoadedScene, load_scene};
use systems::Engine;

/// The seconds of each scene that are kept: late enough for what comes in to have come in.
const SECONDS: [f64; 2] = [1.0, 4.5];
/// Those of a sheet: in the midst of its motion.
const SHEET_SECONDS: [f64; 2] = [0.4, 0.8];
/// Sheets have more layers than scenes may have.
const LAYERS_MAX: usize = 200;
/// Channels may differ by so much where another CPU rounds another way in a resize or a curve.
const CHANNEL_TOLERANCE: u8 = 6;
/// The part of pixels that may differ by more.
const PIXELS_OFF_MAX: f64 = 0.0005;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn load(scene: &Path) -> LoadedScene {
    let options = LoadOptions {
        max_layers: LAYERS_MAX,
        ..LoadOptions::default()
    };
    load_scene(scene, &options).unwrap()
}

fn engine_for(scene: &Path, threads: usize) -> (Engine, FrameRate) {
    let loaded = load(scene);
    let rate = loaded.spec.canvas.fps.unwrap_or_default();
    let mut engine = Engine::new(prepare::engine_settings(
        &loaded.spec,
        rate,
        threads,
        4,
        LAYERS_MAX,
    ))
    .unwrap();
    engine
        .load(prepare::bundle(&loaded, &PathBuf::new().into()).unwrap())
        .unwrap();
    (engine, rate)
}

fn scenes_in(folder: &str) -> Vec<PathBuf> {
    let mut scenes: Vec<PathBuf> = std::fs::read_dir(root().join(folder))
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
    let mut failures = Vec::new();
    for scene in scenes_in("scenes") {
        failures.extend(look_at(&scene, &SECONDS, "tests/golden", 2));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_easing_transition_effect_blend_mode_and_source_looks_as_it_did() {
    let mut failures = Vec::new();
    for sheet in scenes_in("tests/golden/sheets") {
        failures.extend(look_at(&sheet, &SHEET_SECONDS, "tests/golden/sheets", 1));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What differs in the pictures of a scene, which are kept in `folder`, shrunken by `shrink`.
fn look_at(scene: &Path, seconds: &[f64], folder: &str, shrink: u32) -> Vec<String> {
    let (mut engine, rate) = engine_for(scene, 2);
    let ticks = seconds
        .iter()
        .map(|second| (second * rate.as_f64()).round() as u64);
    ticks
        .filter_map(|tick| {
            let full = picture_at(&mut engine, tick);
            let (width, height) = (full.width() / shrink, full.height() / shrink);
            let actual = resize(&full, width, height, FilterType::Triangle);
            let stem = scene.file_stem().unwrap().to_string_lossy();
            hold(&format!("{stem}-{tick}.png"), folder, &actual)
        })
        .collect()
}

/// What is wrong with a picture; nothing when it is taken as the expected one.
fn hold(name: &str, folder: &str, actual: &RgbaImage) -> Option<String> {
    let expected_path = root().join(folder).join(name);
    if std::env::var_os("BLESS").is_some() {
        actual
            .save_with_format(&expected_path, ImageFormat::Png)
            .unwrap();
        return None;
    }
    match image::open(&expected_path) {
        Err(error) => Some(format!("{name}: no expected picture ({error})")),
        Ok(expected) => compare(name, &expected.into_rgba8(), actual),
    }
}

/// One scene gives way to another in every way, two fifths of it gone, on one sheet.
#[test]
fn every_way_from_scene_to_scene_looks_as_it_did() {
    use TransitionKind as Kind;
    let (columns, width, height) = (3, 320, 180);
    let soft = |kind| Transition {
        softness: 60.0,
        ..Transition::new(kind, 1.0)
    };
    let side = |kind, side| Transition {
        side,
        ..Transition::new(kind, 1.0)
    };
    let ways = [
        Transition::new(Kind::Fade, 1.0),
        Transition::new(Kind::FadeThroughColor, 1.0),
        side(Kind::Slide, Side::Right),
        side(Kind::Push, Side::Left),
        side(Kind::Push, Side::Bottom),
        Transition::new(Kind::Scale, 1.0),
        soft(Kind::Wipe),
        soft(Kind::Iris),
        Transition::new(Kind::Clock, 1.0),
    ];
    let mut sheet = RgbaImage::new(columns * width, 3 * height);
    for (place, way) in (0..).zip(ways) {
        let (mut engine, _) = engine_for(&root().join("tests/golden/sheets/evening.json"), 2);
        engine.tick();
        let mut next = load(&root().join("tests/golden/sheets/morning.json"));
        next.spec.transitions.scene = Transition {
            easing: Easing::Linear,
            ..way
        };
        engine
            .load(prepare::bundle(&next, &PathBuf::new().into()).unwrap())
            .unwrap();
        for _ in 0..12 {
            engine.tick();
        }
        let tick = engine.next_tick();
        let picture = picture_at(&mut engine, tick);
        let small = resize(&picture, width, height, FilterType::Triangle);
        let (x, y) = (place % columns * width, place / columns * height);
        image::imageops::replace(&mut sheet, &small, i64::from(x), i64::from(y));
    }
    let wrong = hold("scene-transitions.png", "tests/golden/sheets", &sheet);
    assert_eq!(wrong, None);
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
    for scene in scenes_in("scenes") {
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
