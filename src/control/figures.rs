//! What is measured once a second: rates, processor time and memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use systems::profile::Profile;
use systems::publish::Status;

use super::station::Past;
use super::viewers::ViewerCount;
use crate::streaming::StreamingStats;

/// Measured once a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Frames made a second, over the last five seconds.
    pub fps: f64,
    /// Kbit/s of picture and sound.
    pub bitrate_kbps: f64,
    /// Frames that were the one before again, or that the encoder had no room for.
    pub dropped_frames: u64,
    /// Percent of one core.
    pub cpu_percent: f64,
    /// Bytes of memory in use (resident set).
    pub memory_bytes: u64,
    /// Mean milliseconds that a tick's systems take.
    pub render_ms: f64,
    /// Clients that watch the program.
    pub viewers: ViewerCount,
}

/// Seconds over which frames are counted for their rate: one more or less matters little then.
const FPS_SECONDS: usize = 5;

/// Makes rates of counters.
pub(super) struct Meter {
    /// When how many frames had been made, the newest last.
    frames: VecDeque<(Instant, u64)>,
    at: Instant,
    cpu: Duration,
    ticks: u64,
    tick_nanos: u64,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            frames: VecDeque::with_capacity(FPS_SECONDS + 1),
            at: Instant::now(),
            cpu: Duration::ZERO,
            ticks: 0,
            tick_nanos: 0,
        }
    }

    pub(super) fn measure(
        &mut self,
        status: &Status,
        stats: Option<&StreamingStats>,
        past: Past,
        profile: &Profile,
    ) -> Figures {
        let now = Instant::now();
        let seconds = (now - self.at).as_secs_f64().max(1e-3);
        let usage = own_usage();
        let counters = status.counters;
        let nanos: u64 = profile
            .systems()
            .iter()
            .map(|system| system.total_nanos())
            .sum();
        let ticks = counters.frames - counters.repeated.min(counters.frames);
        let ticked = ticks.saturating_sub(self.ticks).max(1);
        if self.frames.len() > FPS_SECONDS {
            self.frames.pop_front();
        }
        let fps = self.frames.front().map_or(0.0, |(at, frames)| {
            counters.frames.saturating_sub(*frames) as f64 / (now - *at).as_secs_f64().max(1e-3)
        });
        self.frames.push_back((now, counters.frames));
        let dropped = past.dropped + stats.map_or(0, |stats| stats.encoder().frames_dropped);
        let figures = Figures {
            fps: (fps * 100.0).round() / 100.0,
            bitrate_kbps: stats.map_or(0.0, |stats| stats.encoder().bitrate_kbps),
            dropped_frames: counters.repeated + dropped,
            cpu_percent: usage.cpu.saturating_sub(self.cpu).as_secs_f64() / seconds * 100.0,
            memory_bytes: usage.memory_bytes,
            render_ms: nanos.saturating_sub(self.tick_nanos) as f64 / 1e6 / ticked as f64,
            viewers: ViewerCount::default(),
        };
        self.at = now;
        self.cpu = usage.cpu;
        self.ticks = ticks;
        self.tick_nanos = nanos;
        figures
    }
}

/// What this process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of all threads.
    pub cpu: Duration,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open files and sockets.
    pub descriptors: u64,
}

/// As Linux's `/proc/self` says (proc(5)); nought elsewhere.
pub fn own_usage() -> Usage {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return Usage::default();
    };
    // After the name in parentheses: utime and stime are the 12th and 13th, rss the 22nd.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let number = |index: usize| -> u64 {
        fields
            .get(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let descriptors =
        std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    Usage {
        cpu: Duration::from_secs_f64((number(11) + number(12)) as f64 / ticks_per_second as f64),
        memory_bytes: number(21) * rustix::param::page_size() as u64,
        descriptors,
    }
}
