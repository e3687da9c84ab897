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

/// Runs `work`, which measures something, and tells which part of the machine others took meanwhile, 0 to 1. On a machine that is shared it
/// waits for a quiet moment first, and tries again when it was disturbed; the least disturbed try is kept. All of it within bounds.
///
/// # Errors
/// Those of `work`.
pub fn undisturbed<T>(mut work: impl FnMut() -> Result<T>) -> Result<(T, f64)> {
    let mut best: Option<(T, f64)> = None;
    for _ in 0..TRIES_MAX {
        wait_for_quiet()?;
        let (result, others) = beside_others(&mut work)?;
        if best.as_ref().is_none_or(|(_, least)| others < *least) {
            best = Some((result, others));
        }
        if others < OTHERS_MAX {
            break;
        }
    }
    best.context("nothing was tried")
}

/// Tries of a measurement that others disturb.
const TRIES_MAX: u32 = 4;
/// The part of the machine that others may take without disturbing.
const OTHERS_MAX: f64 = 0.03;
/// How long a quiet moment is, and how long it is waited for.
const QUIET_MOMENT: Duration = Duration::from_millis(400);
const QUIET_WAIT_MAX: Duration = Duration::from_secs(40);

/// Waits for a moment at which others leave the machine alone; not for ever.
///
/// # Errors
/// This is not Linux.
pub fn wait_for_quiet() -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < QUIET_WAIT_MAX {
        let ((), others) = beside_others(|| {
            std::thread::sleep(QUIET_MOMENT);
            Ok(())
        })?;
        if others < OTHERS_MAX {
            break;
        }
    }
    Ok(())
}

/// Runs `work` and tells which part of the machine was busy with anything else.
///
/// # Errors
/// Those of `work`.
pub fn beside_others<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let ours =
        || Ok::<_, anyhow::Error>(processor_time(Who::Ourselves)? + processor_time(Who::Children)?);
    let (before, ours_before) = (jiffies()?, ours()?);
    let result = work()?;
    let (after, ours_after) = (jiffies()?, ours()?);
    let (busy, all) = (after.0 - before.0, after.1 - before.1);
    // The kernel counts in hundredths of a second.
    let others = busy as f64 - (ours_after - ours_before).as_secs_f64() * 100.0;
    Ok((result, (others / all.max(1) as f64).max(0.0)))
}

/// Hundredths of a second in which all cores together were busy (or taken away by the host), and in which they were there.
fn jiffies() -> Result<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let numbers = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1);
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let times: Vec<u64> = numbers
        .take(8)
        .map(|number| number.parse().unwrap_or_default())
        .collect();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    let all: u64 = times.iter().sum();
    Ok((all - idle, all))
}

/// Processor time of this process's living threads by what they do.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadTimes {
    /// The main thread.
    pub main: Duration,
    /// Those that compose beside it.
    pub compose: Duration,
    /// The one that feeds the encoders, and libx264's, which take its name.
    pub encoder: Duration,
    /// Those that write files.
    pub output: Duration,
    /// Those that decode inputs.
    pub inputs: Duration,
}

/// Looks at the threads. What threads took that have ended is not there any more.
///
/// # Errors
/// This is not Linux.
pub fn thread_times() -> Result<ThreadTimes> {
    let mut times = ThreadTimes::default();
    let main = std::process::id().to_string();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?;
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else {
            continue;
        };
        // Nanoseconds on a core, nanoseconds in wait for one, turns.
        let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else {
            continue;
        };
        let spent = stat
            .split_whitespace()
            .next()
            .and_then(|nanos| nanos.parse().ok())
            .map_or(Duration::ZERO, Duration::from_nanos);
        let part = match name.trim() {
            _ if task.file_name() == main.as_str() => &mut times.main,
            name if name.starts_with("encoder") => &mut times.encoder,
            name if name.starts_with("compose") => &mut times.compose,
            name if name.starts_with("output") => &mut times.output,
            name if name.starts_with("input") => &mut times.inputs,
            _ => continue,
        };
        *part += spent;
    }
    Ok(times)
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
