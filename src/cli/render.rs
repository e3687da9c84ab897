//! `render`: a scene to a file, offline.

use std::path::Path;
use std::time::Instant;

use clap::ArgMatches;
use components::scene::FrameRate;
use image::{ImageFormat, RgbaImage};

use super::offline::{Offline, progress};
use super::{Failure, say};
use crate::config::Settings;
use crate::live::audio_settings;
use crate::streaming::offline::{OfflineEncoder, OfflineSettings};

/// Seconds that are rendered when nothing says how many.
const DEFAULT_SECONDS: f64 = 10.0;

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(output) = matches.get_one::<std::path::PathBuf>("output") else {
        return Err(Failure::Usage("an output file is needed".to_owned()));
    };
    if output.exists() && !matches.get_flag("force") {
        return Err(Failure::Usage(format!(
            "`{}` exists; --force overwrites it",
            output.display()
        )));
    }
    let is_picture = output
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    match (matches.get_one::<u64>("frame"), is_picture) {
        (Some(frame), true) => one_frame(Offline::open(matches)?, *frame, output),
        (Some(_), false) => Err(Failure::Usage("--frame writes a .png".to_owned())),
        (None, true) => Err(Failure::Usage("a .png needs --frame".to_owned())),
        (None, false) => film(matches, output),
    }
}

fn one_frame(mut offline: Offline, frame: u64, output: &Path) -> Result<(), Failure> {
    offline.engine.seek(frame);
    if offline.tick() {
        // Once more, with the pictures that it asked for.
        offline.engine.seek(frame);
        offline.tick();
    }
    let picture = offline.engine.picture();
    let image = RgbaImage::from_raw(picture.width, picture.height, picture.rgba)
        .ok_or_else(|| anyhow::anyhow!("the picture has the wrong size"))?;
    image
        .save_with_format(output, ImageFormat::Png)
        .map_err(|error| anyhow::anyhow!("`{}` cannot be written: {error}", output.display()))?;
    Ok(())
}

fn film(matches: &ArgMatches, output: &Path) -> Result<(), Failure> {
    let mut offline = Offline::open(matches)?;
    let from = matches.get_one::<f64>("from").copied().unwrap_or(0.0);
    let duration = match (
        matches.get_one::<f64>("duration"),
        matches.get_one::<f64>("to"),
    ) {
        (Some(duration), _) => *duration,
        (None, Some(to)) if *to > from => to - from,
        (None, Some(_)) => return Err(Failure::Usage("--to must lie after --from".to_owned())),
        (None, None) => (natural_seconds(&offline) - from).max(1.0),
    };
    let rate = offline.rate;
    let first = frames_in(from, rate);
    let count = frames_in(duration, rate);
    if count == 0 {
        return Err(Failure::Usage("that duration holds no frame".to_owned()));
    }

    let (width, height) = offline.size;
    let mut encoder = OfflineEncoder::create(
        output,
        &offline_settings(&offline.settings, width, height, rate),
    )?;
    offline.engine.seek(first);
    let bar = progress(count, "rendering");
    let start = Instant::now();
    for _ in 0..count {
        offline.tick();
        let Some(out) = offline.engine.frame() else {
            continue;
        };
        encoder.push(out.frame, out.sound)?;
        bar.inc(1);
    }
    encoder.finish()?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    say(&format!(
        "{}: {count} frames in {seconds:.1} s, {:.1} fps",
        output.display(),
        count as f64 / seconds
    ));
    Ok(())
}

fn frames_in(seconds: f64, rate: FrameRate) -> u64 {
    (seconds * rate.as_f64()).round() as u64
}

fn natural_seconds(offline: &Offline) -> f64 {
    let longest = offline
        .scene
        .spec
        .timelines
        .iter()
        .map(|timeline| {
            f64::from(timeline.delay) + f64::from(timeline.duration_seconds() / timeline.speed)
        })
        .fold(0.0, f64::max);
    if longest > 0.0 {
        longest
    } else {
        DEFAULT_SECONDS
    }
}

fn offline_settings(
    settings: &Settings,
    width: u32,
    height: u32,
    rate: FrameRate,
) -> OfflineSettings {
    let rate = codec::FrameRate {
        numerator: rate.numerator,
        denominator: rate.denominator,
    };
    let mut offline = OfflineSettings::new(width, height, rate);
    offline.video.preset = settings.stream_preset;
    offline.audio = audio_settings(settings);
    offline
}
