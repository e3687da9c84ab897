//! On the air: the tick loop on the system's clock, the encoder thread, and files, as the program runs them.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context as _, Result, ensure};
use stream_manager::clock::SystemClock;
use stream_manager::ports::LivePort;
use stream_manager::streaming::{OutputSettings, Streaming};
use stream_manager::tick_loop;

use crate::assets;
use crate::encode::{SHUTDOWN_MAX, check_ends, fresh_file, settings};
use crate::ours::POOL_FRAMES;
use crate::scenes::Stage;
use crate::usage::{Who, beside_others, measure, peak_kib};

/// How long the child that measures memory is on the air.
const MEMORY_SECONDS: u64 = 12;
/// What the child prints before its figure.
const PEAK: &str = "peak KiB: ";

/// How a run on the air went.
#[derive(Clone, Debug)]
pub struct OnAir {
    /// Ticks that ended after their time.
    pub late: u64,
    /// Frames that were the one before again.
    pub repeated: u64,
    /// Frames that the encoder had no room for.
    pub dropped: u64,
    /// Frames a second that were new and arrived.
    pub distinct: f64,
    /// Processor time over wall time: 2 is both cores, all the time.
    pub busy: f64,
    /// The part of the machine that others took meanwhile, 0 to 1.
    pub others: f64,
    /// The latest blame for a late tick or a repeat.
    pub blame: Option<String>,
}

/// Puts a workload on the air.
///
/// # Errors
/// The engine's, and the encoder's.
pub fn run(stage: &Stage, fps: u32, seconds: u64, outputs: Vec<OutputSettings>) -> Result<OnAir> {
    let mut engine = stage.engine(fps, 0, POOL_FRAMES)?;
    engine.tick();
    engine.seek(0);
    let before = engine.counters();
    let streaming = Streaming::start(settings(fps), outputs)?;
    engine.add_port(Box::new(LivePort(streaming.sender())));
    let ticks = seconds * u64::from(fps);
    let stop = AtomicBool::new(false);
    let mut on_air = || {
        let end = |engine: &mut systems::Engine| stop.store(engine.next_tick() >= ticks, Relaxed);
        tick_loop::run(&mut engine, &SystemClock, &stop, end);
        Ok(())
    };
    let (((), cost), others) = beside_others(|| measure(Who::Ourselves, &mut on_air))?;
    let counters = engine.counters();
    engine.close_ports();
    check_ends(streaming.shutdown(SHUTDOWN_MAX))?;
    let frames = counters.frames - before.frames;
    let lost = counters.repeated + counters.encoder_full;
    let blame = engine.status_board().read().blame;
    Ok(OnAir {
        late: counters.late,
        repeated: counters.repeated,
        dropped: counters.encoder_full,
        distinct: frames.saturating_sub(lost) as f64 / seconds as f64,
        others,
        busy: cost.cpu.as_secs_f64() / cost.wall.as_secs_f64(),
        blame: blame.map(|blame| {
            format!(
                "{} at tick {}, {:.1} ms late, {} took {:.1} ms",
                blame.cause, blame.tick, blame.late_ms, blame.system, blame.system_ms
            )
        }),
    })
}

/// One file in `benches/out`, as an output on the air.
///
/// # Errors
/// An old one cannot be removed.
pub fn file(stage: &Stage) -> Result<Vec<OutputSettings>> {
    Ok(vec![fresh_file(&format!("live-{}.mkv", stage.name))?])
}

/// The child's side of [`peak_mib`]: what the program does by default, HLS and a recording, and then its peak on a line.
///
/// # Errors
/// As [`run`].
pub fn print_peak(stage: &Stage) -> Result<()> {
    let folder = assets::out_folder().join("hls");
    fs::create_dir_all(&folder)
        .with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let hls = OutputSettings::new("hls", format!("{}/", folder.display()))?;
    run(
        stage,
        crate::ours::FPS,
        MEMORY_SECONDS,
        vec![hls, fresh_file("memory.mkv")?],
    )?;
    let peak = peak_kib("self").context("this is not Linux")?;
    println!("{PEAK}{peak}");
    Ok(())
}

/// The most memory of a process of its own that has a workload on the air, in MiB.
///
/// # Errors
/// The child's.
pub fn peak_mib(workload: &str) -> Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--memory", workload])
        .output()?;
    ensure!(
        output.status.success(),
        "the child failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix(PEAK))
        .context("the child said nothing")?;
    Ok(kib.trim().parse::<f64>()? / 1024.0)
}
