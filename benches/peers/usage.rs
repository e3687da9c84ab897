//! What work costs the machine, and which machine it is.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// Whose processor time is read.
#[derive(Clone, Copy)]
pub enum Who {
    /// All threads of this process.
    Ourselves,
    /// Child processes that have ended.
    Children,
}

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// User and system time of all threads.
    pub cpu: Duration,
    pub wall: Duration,
}

impl Cost {
    /// Milliseconds of processor time a frame.
    pub fn cpu_ms(self, frames: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e3 / frames as f64
    }
}

/// Runs `work` and tells what it took.
///
/// # Errors
/// Those of `work`.
pub fn measure<T>(who: Who, work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let (cpu, start) = (processor_time(who)?, Instant::now());
    let result = work()?;
    let wall = start.elapsed();
    Ok((
        result,
        Cost {
            cpu: processor_time(who)?.saturating_sub(cpu),
            wall,
        },
    ))
}

fn processor_time(who: Who) -> Result<Duration> {
    let usage = getrusage(match who {
        Who::Ourselves => UsageWho::RUSAGE_SELF,
        Who::Children => UsageWho::RUSAGE_CHILDREN,
    })?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(microseconds.unsigned_abs()))
}

/// The most memory that a process ever held (`VmHWM`), in KiB. `getrusage` would give that of the parent for a young child.
pub fn peak_kib(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The machine and the moment.
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub ffmpeg: String,
    pub date: String,
    /// The load averages over 1, 5 and 15 minutes.
    pub load: String,
}

/// Looks at the machine.
///
/// # Errors
/// There is no `ffmpeg`, or this is not Linux.
pub fn machine() -> Result<Machine> {
    let said = |program: &str, argument: &str| -> Result<String> {
        let output = Command::new(program)
            .arg(argument)
            .output()
            .with_context(|| format!("`{program}` is needed"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let ffmpeg = said("ffmpeg", "-version")?;
    Ok(Machine {
        processor: model.map_or("unknown", |(_, name)| name).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        ffmpeg: ffmpeg
            .split(" Copyright")
            .next()
            .unwrap_or_default()
            .to_owned(),
        date: said("date", "--utc")?,
        load: load_average()?,
    })
}

/// The load averages over 1, 5 and 15 minutes.
///
/// # Errors
/// This is not Linux.
pub fn load_average() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text
        .split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" "))
}
