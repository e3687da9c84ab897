//! The peer: FFmpeg's overlay filter. Pictures are decoded and converted once and held, a moving ground is a crop (which copies nothing),
//! positions are whole pixels, and the result is thrown away.
//!
//! How the pictures are held matters more to it than all of its blending: see [`Held`].

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::assets;
use crate::scenes::{Course, HEIGHT, Layer, Paint, WIDTH, Workload};
use crate::usage::{Who, measure, peak_kib};

/// Frames a second of the graph.
const FPS: u32 = 30;
/// The run that is subtracted: it has the start-up and these frames.
const FRAMES_SHORT: u64 = 30;
/// Between two looks at the memory of a running FFmpeg.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the graph blends in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// The planes of the encoder, with chroma at half the resolution: fast and not exact.
    Yuv,
    /// Red, green and blue, converted at the end: as exact as ours.
    Rgb,
}

/// How the pictures that lie over the ground last from frame to frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// By the `loop` filter, which sends each of them again on every frame. An overlay whose upper input may change before its lower one
    /// does copies the whole lower frame first, so that every layer costs a copy of the canvas.
    ByLoop,
    /// By the overlay filter, which repeats the last picture of an input that has ended: no such copies, the fastest graph we know.
    ByOverlay,
}

/// One of its graphs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Graph {
    pub pixels: Pixels,
    pub held: Held,
}

/// What the peer took.
#[derive(Clone, Copy, Debug)]
pub struct PeerCost {
    /// Milliseconds of processor time a frame, without the start-up.
    pub cpu_ms: f64,
    /// MiB at the most.
    pub peak_mib: f64,
}

/// Composes `frames` frames.
///
/// # Errors
/// FFmpeg is not there, or fails.
pub fn compose(workload: &Workload, graph: Graph, frames: u64) -> Result<PeerCost> {
    let frames = frames.max(2 * FRAMES_SHORT);
    let (short, _) = run(workload, graph, frames, FRAMES_SHORT)?;
    let (long, peak_kib) = run(workload, graph, frames, frames)?;
    let cpu = long.saturating_sub(short);
    Ok(PeerCost {
        cpu_ms: cpu.as_secs_f64() * 1e3 / (frames - FRAMES_SHORT) as f64,
        peak_mib: peak_kib as f64 / 1024.0,
    })
}

/// One run of `count` frames of the graph for `frames`: its processor time and its most KiB.
fn run(workload: &Workload, graph: Graph, frames: u64, count: u64) -> Result<(Duration, u64)> {
    let script = assets::out_folder().join(format!("{}-{}.graph", workload.name, graph.name()));
    fs::write(&script, graph.text(workload, frames)?)
        .with_context(|| format!("`{}` cannot be written", script.display()))?;

    let mut command = Command::new("ffmpeg");
    // One thread a filter costs the least processor time, which is what is compared.
    command.args([
        "-hide_banner",
        "-nostdin",
        "-loglevel",
        "error",
        "-filter_complex_threads",
        "1",
    ]);
    for layer in &workload.layers {
        match &layer.paint {
            Paint::Picture(file) => {
                command.args(["-threads", "1", "-framerate", &FPS.to_string(), "-i"]);
                command.arg(assets::out_folder().join(assets::folder()).join(file));
            }
            Paint::Film { file, .. } => {
                // As ours: one thread a film, again from the start when it has ended.
                command.args(["-threads", "1", "-stream_loop", "-1", "-i"]);
                command.arg(assets::out_folder().join(assets::folder()).join(file));
            }
            Paint::Seconds { .. } => {}
        }
    }
    command.arg("-filter_complex_script").arg(&script);
    command.args([
        "-map",
        "[out]",
        "-frames:v",
        &count.to_string(),
        "-fps_mode",
        "passthrough",
        "-f",
        "null",
        "-",
    ]);
    command.stdin(Stdio::null());

    let (peak, cost) = measure(Who::Children, || {
        let mut child = command.spawn().context("`ffmpeg` is needed")?;
        let mut peak = 0;
        let status = loop {
            // Read before the question: an ended process has no memory any more.
            peak = peak_kib(&child.id().to_string()).unwrap_or(peak);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            std::thread::sleep(LOOK_EVERY);
        };
        ensure!(
            status.success(),
            "ffmpeg failed on {}: {status}",
            workload.name
        );
        Ok(peak)
    })?;
    Ok((cost.cpu, peak))
}

impl Graph {
    /// For file names.
    fn name(self) -> &'static str {
        match (self.pixels, self.held) {
            (Pixels::Yuv, Held::ByLoop) => "yuv-loop",
            (Pixels::Yuv, Held::ByOverlay) => "yuv",
            (Pixels::Rgb, Held::ByLoop) => "rgb-loop",
            (Pixels::Rgb, Held::ByOverlay) => "rgb",
        }
    }

    fn text(self, workload: &Workload, frames: u64) -> Result<String> {
        let (ground, above, overlay) = match self.pixels {
            Pixels::Yuv => ("yuv420p", "yuva420p", "yuv420"),
            Pixels::Rgb => ("gbrp", "gbrap", "gbrp"),
        };
        let hold = format!("loop=loop=-1:size=1,setpts=N/({FPS}*TB)");
        let mut graph = String::new();
        let mut inputs = 0;
        for (index, layer) in workload.layers.iter().enumerate() {
            let (x, y) = (expression(layer.x), expression(layer.y));
            match &layer.paint {
                Paint::Picture(_) if index == 0 => {
                    writeln!(graph, "[0:v]format={ground},{hold}{}[at0];", crop(layer))?;
                    inputs += 1;
                }
                Paint::Picture(_) => {
                    // It comes once over all frames, where ours goes up and down: the work is the same.
                    let held = match (layer.opacity, self.held) {
                        (Some(_), _) => {
                            format!(",{hold},fade=type=in:start_frame=0:nb_frames={frames}:alpha=1")
                        }
                        (None, Held::ByLoop) => format!(",{hold}"),
                        (None, Held::ByOverlay) => String::new(),
                    };
                    writeln!(graph, "[{inputs}:v]format={above}{held}[in{index}];")?;
                    writeln!(
                        graph,
                        "[at{}][in{index}]overlay=x='{x}':y='{y}':format={overlay}[at{index}];",
                        index - 1
                    )?;
                    inputs += 1;
                }
                Paint::Film { width, height, .. } => {
                    writeln!(
                        graph,
                        "[{inputs}:v]scale={width}:{height},format={ground}[in{index}];[at{}][in{index}]overlay=x='{x}':y='{y}':format={overlay}[at{index}];",
                        index - 1
                    )?;
                    inputs += 1;
                }
                Paint::Seconds { before, after } => {
                    let font = assets::out_folder()
                        .join(assets::folder())
                        .join(assets::FONT);
                    writeln!(
                        graph,
                        "[at{}]drawtext=fontfile='{}':fontsize=40:fontcolor=white:x={x}:y={y}:text='{before}%{{eif\\:trunc(t)\\:d}}{after}'[at{index}];",
                        index - 1,
                        font.display()
                    )?;
                }
            }
        }
        writeln!(
            graph,
            "[at{}]format=yuv420p[out]",
            workload.layers.len() - 1
        )?;
        Ok(graph)
    }
}

/// The part of a larger ground that is seen.
fn crop(layer: &Layer) -> String {
    match (layer.x, layer.y) {
        (Course::Still(_), Course::Still(_)) => String::new(),
        (x, y) => format!(
            ",crop={WIDTH}:{HEIGHT}:x='-({})':y='-({})'",
            expression(x),
            expression(y)
        ),
    }
}

/// A coordinate as an expression of the frame's number, the same whole pixels as the scene's steps give.
fn expression(course: Course) -> String {
    let (from, to, seconds, part) = match course {
        Course::Still(at) => return at.to_string(),
        Course::Swing { from, to, seconds } => (from, to, seconds, "1-abs(1-mod(n/PERIOD,2))"),
        Course::Run { from, to, seconds } => (from, to, seconds, "mod(n/PERIOD,1)"),
    };
    let part = part.replace("PERIOD", &(seconds * FPS as f32).to_string());
    let sign = if to < from { '-' } else { '+' };
    format!("{from}{sign}floor({}*({part}))", from.abs_diff(to))
}
