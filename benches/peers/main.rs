//! We, our peer and our limit, measured in turn on the same workloads in one run.
//!
//! `cargo bench --bench peers -- [--rounds N] [--frames N] [--live] [--only W1,W3]`. Prints the bars and whether they are met, and writes them
//! to `benches/RESULTS.md` when every workload was measured. Pictures, scenes and streams are left in `benches/out`.
#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

mod alloc;
mod assets;
mod encode;
mod ffmpeg;
mod figures;
mod live;
mod motion;
mod ours;
mod report;
mod scenes;
mod usage;
mod wall;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;

use ffmpeg::{Graph, Held, Pixels};
use figures::{Figure, Figures};
use report::{LIVE_FPS, Run, is_clean};
use scenes::{Motion, Stage, Workload};

/// Attempts on the air, of which the best counts.
const ATTEMPTS_MAX: usize = 3;
/// Seconds on the air.
const LIVE_SECONDS: u64 = 60;

/// Measures composing, encoding and the whole process beside FFmpeg and libx264.
#[derive(Parser)]
struct Options {
    /// How often each thing is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Frames of a measurement.
    #[arg(long, default_value_t = 300)]
    frames: u64,
    /// Puts W1, W3 and W2 on the air at 60 fps too, for a minute each.
    #[arg(long)]
    live: bool,
    /// Some workloads alone, W0 to W4; the results are then printed and not kept.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Puts a workload on the air and prints the most memory that it took; for the bench itself.
    #[arg(long, hide = true)]
    memory: Option<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(name) = &options.memory {
        let workload = scenes::all()
            .into_iter()
            .find(|workload| workload.name == name)
            .context("there is no such workload")?;
        return live::print_peak(&workload.stage(Motion::WholePixels)?);
    }
    let machine = usage::machine()?;
    println!("load average {}", machine.load);
    assets::make()?;
    wall::make()?;
    codec::initialize();

    let is_wanted = |workload: &Workload| {
        options.only.is_empty()
            || options
                .only
                .iter()
                .any(|name| name.eq_ignore_ascii_case(workload.name))
    };
    let staged = scenes::all()
        .into_iter()
        .filter(is_wanted)
        .map(Staged::new)
        .collect::<Result<Vec<_>>>()?;
    let thousand = scenes::thousand_still().stage(Motion::WholePixels)?;
    let motion = motion::Scenes::new()?;
    let mut run = Run {
        machine,
        load_after: String::new(),
        rounds: options.rounds,
        frames: options.frames,
        figures: Figures::default(),
        others_most: 0.0,
        ticks: Vec::new(),
        on_air: Vec::new(),
    };
    for round in 1..=options.rounds {
        for staged in &staged {
            println!(
                "round {round}, {} {}",
                staged.workload.name, staged.workload.title
            );
            staged.compose(options.frames, &mut run)?;
            staged.encode(options.frames, &mut run)?;
        }
        measure_ticks(&staged, &thousand, options.frames, &mut run)?;
        motion.measure(options.frames, &mut run)?;
    }
    if options.live {
        for name in ["W1", "W3", "W2"] {
            if let Some(staged) = staged.iter().find(|staged| staged.workload.name == name) {
                put_on_air(staged, &mut run)?;
            }
        }
    }
    run.load_after = usage::load_average()?;
    let text = run.markdown();
    println!("\n{text}");
    if options.only.is_empty() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
        fs::write(&path, text)
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    Ok(())
}

/// A workload, read and decoded.
struct Staged {
    workload: Workload,
    stage: Stage,
    /// The same between pixels, where anything moves all over the picture.
    sub_pixels: Option<Stage>,
}

impl Staged {
    fn new(workload: Workload) -> Result<Self> {
        let stage = workload.stage(Motion::WholePixels)?;
        let moves = ["W1", "W2"].contains(&workload.name);
        let sub_pixels = if moves {
            Some(workload.stage(Motion::SubPixels)?)
        } else {
            None
        };
        Ok(Self {
            workload,
            stage,
            sub_pixels,
        })
    }

    /// Us and the peer, in turn.
    fn compose(&self, frames: u64, run: &mut Run) -> Result<()> {
        let name = self.workload.name;
        let one = run.quietly(|| ours::compose(&self.stage, 1, frames))?;
        let one_ms = one.cost.cpu_ms(frames);
        let two = run.quietly(|| ours::compose(&self.stage, 2, frames))?;
        let figures = &mut run.figures;
        figures.add(name, Figure::OneThread, one_ms);
        figures.add(name, Figure::TwoThreads, two.cost.cpu_ms(frames));
        figures.add(name, Figure::OneThreadWall, one.tick_ms);
        figures.add(name, Figure::TwoThreadsWall, two.tick_ms);
        figures.add(name, Figure::SpeedUp, one.tick_ms / two.tick_ms);
        let mut peers = vec![
            (
                Pixels::Yuv,
                Held::ByOverlay,
                Figure::PeerYuv,
                Figure::OverYuv,
            ),
            (
                Pixels::Yuv,
                Held::ByLoop,
                Figure::PeerYuvLooped,
                Figure::OverYuvLooped,
            ),
        ];
        if name == "W2" {
            peers.push((
                Pixels::Rgb,
                Held::ByOverlay,
                Figure::PeerRgb,
                Figure::OverRgb,
            ));
            peers.push((
                Pixels::Rgb,
                Held::ByLoop,
                Figure::PeerRgbLooped,
                Figure::OverRgbLooped,
            ));
        }
        // Films go on by themselves: there is nothing to loop.
        peers.truncate(if name == "W4" { 1 } else { peers.len() });
        for (pixels, held, figure, ratio) in peers {
            let peer =
                run.quietly(|| ffmpeg::compose(&self.workload, Graph { pixels, held }, frames))?;
            let figures = &mut run.figures;
            figures.add(name, figure, peer.cpu_ms);
            figures.add(name, ratio, one_ms / peer.cpu_ms);
            if figure == Figure::PeerYuv {
                figures.add(name, Figure::PeerPeak, peer.peak_mib);
            }
        }
        if let Some(sub_pixels) = &self.sub_pixels {
            let between = run.quietly(|| ours::compose(sub_pixels, 1, frames))?;
            run.figures
                .add(name, Figure::SubPixels, between.cost.cpu_ms(frames));
        }
        // The first round's, for the look inside.
        if run.ticks.iter().all(|(other, ..)| *other != name) {
            run.ticks.push((name, one.damage, one.sets));
        }
        Ok(())
    }

    /// The limit and the whole process, in turn. W0 is left out: it has no bar here.
    fn encode(&self, frames: u64, run: &mut Run) -> Result<()> {
        let name = self.workload.name;
        if name == "W0" {
            return Ok(());
        }
        let frames = frames.min(encode::FRAMES_MAX);
        let ready = encode::ready_frames(&self.stage, frames)?;
        let limit = run.quietly(|| encode::limit(&ready))?;
        drop(ready);
        let whole = run.quietly(|| encode::whole(&self.stage, frames))?;
        let figures = &mut run.figures;
        let (limit_ms, whole_ms) = (limit.cost.cpu_ms(frames), whole.cost.cpu_ms(frames));
        let share_ms = |time: Duration| time.as_secs_f64() * 1e3 / frames as f64;
        figures.add(name, Figure::Limit, limit_ms);
        figures.add(name, Figure::LimitCaller, share_ms(limit.caller));
        figures.add(name, Figure::Whole, whole_ms);
        figures.add(name, Figure::WholeTick, share_ms(whole.threads.main));
        figures.add(name, Figure::WholeCompose, share_ms(whole.threads.compose));
        figures.add(name, Figure::WholeEncoder, share_ms(whole.threads.encoder));
        figures.add(name, Figure::WholeInputs, share_ms(whole.threads.inputs));
        figures.add(name, Figure::WholeOutput, share_ms(whole.threads.output));
        figures.add(name, Figure::OverLimit, whole_ms / limit_ms);
        figures.add(name, Figure::WholeAllocations, whole.allocations);
        Ok(())
    }
}

/// The bare tick, what it allocates, what timing it costs, and memory.
fn measure_ticks(staged: &[Staged], thousand: &Stage, frames: u64, run: &mut Run) -> Result<()> {
    for Staged {
        workload, stage, ..
    } in staged
    {
        // Its ticks wait for decoders, which allocate.
        if workload.name == "W4" {
            continue;
        }
        let (tick_ms, compose_ms) = run.quietly(|| ours::tick_ms(stage, frames))?;
        let profiling_ms = run.quietly(|| ours::profiling_ms(stage))?;
        let allocations = ours::allocations(stage)?;
        let figures = &mut run.figures;
        figures.add(workload.name, Figure::Tick, tick_ms);
        figures.add(workload.name, Figure::ComposeSystem, compose_ms);
        figures.add(workload.name, Figure::Profiling, profiling_ms);
        figures.add(
            workload.name,
            Figure::ProfilingShare,
            profiling_ms / tick_ms * 100.0,
        );
        figures.add(workload.name, Figure::Allocations, allocations.steady);
        figures.add(
            workload.name,
            Figure::AllocationsOnSecond,
            allocations.on_second,
        );
        if workload.name == "W1" {
            figures.add(workload.name, Figure::Peak, live::peak_mib(workload.name)?);
        }
    }
    let (tick_ms, compose_ms) = run.quietly(|| ours::tick_ms(thousand, frames))?;
    let figures = &mut run.figures;
    figures.add(thousand.name, Figure::Tick, tick_ms);
    figures.add(thousand.name, Figure::ComposeSystem, compose_ms);
    Ok(())
}

/// A minute at 60 fps, again while it is not clean.
fn put_on_air(staged: &Staged, run: &mut Run) -> Result<()> {
    let name = staged.workload.name;
    let mut attempts = Vec::new();
    while attempts.len() < ATTEMPTS_MAX {
        usage::wait_for_quiet()?;
        println!("{name} on the air, load average {}", usage::load_average()?);
        let attempt = live::run(
            &staged.stage,
            LIVE_FPS,
            LIVE_SECONDS,
            live::file(&staged.stage)?,
        )?;
        println!("{attempt:?}");
        let done = is_clean(name, &attempt);
        attempts.push(attempt);
        if done {
            break;
        }
    }
    run.on_air.push((name, attempts));
    Ok(())
}
