//! W4, the video wall: four films of 720p30, decoded and scaled into the quadrants, with an overlay.
//!
//! Ours decodes with the program's own decoders, each on its thread; the ticks wait for them, so that every frame is one that was decoded,
//! and the processor time of all threads counts. The peer decodes and scales the same files in its graph.

use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use stream_manager::ingest::IngestHub;
use stream_manager::inputs::{Inputs, Sources};
use systems::Engine;

use crate::assets;
use crate::scenes::{Course, HEIGHT, Layer, Paint, WIDTH, Workload, picture};

/// Frames of each film.
const FRAMES: u32 = 240;

fn file(index: u32) -> String {
    format!("wall-{index}.mp4")
}

/// Makes the films that are not there yet: looks that wander over the photos, without grain, so that decoding them is to encoding the wall as
/// it is with filmed material (FFmpeg's graph at some 0.6 of libx264).
///
/// # Errors
/// FFmpeg is not there, or fails.
pub fn make() -> Result<()> {
    let folder = assets::out_folder().join(assets::folder());
    for index in 0..4 {
        let path = folder.join(file(index));
        if path.exists() {
            continue;
        }
        let unfinished = folder.join(format!("unfinished-{}", file(index)));
        let photo = ["photo.png", "photo-wide.png", "photo-other.png"][index as usize % 3];
        let (across, down) = (40 + 7 * index, 53 + 5 * index);
        let filter = format!(
            "crop=1280:720:x='(iw-ow)/2*(1+sin(n/{across}))':y='(ih-oh)/2*(1+cos(n/{down}))',format=yuv420p"
        );
        let mut command = Command::new("ffmpeg");
        command.args([
            "-hide_banner",
            "-nostdin",
            "-loglevel",
            "error",
            "-y",
            "-loop",
            "1",
        ]);
        command
            .args(["-framerate", "30", "-i"])
            .arg(folder.join(photo));
        command.args(["-vf", &filter, "-frames:v", &FRAMES.to_string()]);
        command.args([
            "-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M", "-g", "60",
        ]);
        command.args(["-colorspace", "bt709", "-color_primaries", "bt709"]);
        command.args(["-color_trc", "bt709", "-color_range", "tv"]);
        let status = command
            .arg(&unfinished)
            .stdin(Stdio::null())
            .status()
            .context("`ffmpeg` is needed")?;
        ensure!(status.success(), "ffmpeg cannot make a film: {status}");
        std::fs::rename(&unfinished, &path)?;
    }
    Ok(())
}

/// W4.
pub fn workload() -> Workload {
    let (width, height) = (WIDTH / 2, HEIGHT / 2);
    let at = Course::Still;
    let mut layers = vec![picture("ground", "photo.png", at(0), at(0))];
    layers.extend((0..4).map(|index| Layer {
        id: format!("film-{index}"),
        paint: Paint::Film {
            file: file(index),
            width,
            height,
        },
        x: at((index % 2 * width) as i32),
        y: at((index / 2 * height) as i32),
        opacity: None,
    }));
    layers.push(picture("ticker", "ticker.png", at(0), at(1016)));
    layers.push(picture("card", "card-0.png", at(760), at(430)));
    Workload {
        name: "W4",
        title: "video wall",
        layers,
    }
}

/// Has an engine's films decoded, and its ticks wait for them.
///
/// # Errors
/// The system gives no thread.
pub fn serve(engine: &mut Engine) -> Result<()> {
    let sources = Sources {
        files: Arc::new(|| Arc::new(|src: &str| Ok(assets::out_folder().join(src)))),
        password: Arc::new(|_| None),
        hub: IngestHub::default(),
        inputs_max: 8,
        hear: Arc::new(|_| {}),
    };
    Inputs::start(engine.input_door(), sources)?;
    engine.set_waits_for_inputs(true);
    Ok(())
}
