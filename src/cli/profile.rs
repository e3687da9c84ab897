//! `profile`: renders a scene without encoding it and prints what each system costs.

use std::fmt::Write as _;
use std::time::Instant;

use clap::ArgMatches;
use serde_json::json;
use systems::profile::SystemSummary;

use super::offline::{Offline, progress};
use super::{Failure, print};

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let mut offline = Offline::open(matches)?;
    let frames = matches.get_one::<u64>("frames").copied().unwrap_or(300);
    let bar = progress(frames, "profiling");
    let mut first_ms = 0.0;
    let mut rest_ms = Vec::with_capacity(frames as usize);
    for frame in 0..frames {
        let start = Instant::now();
        offline.engine.tick();
        let ms = start.elapsed().as_secs_f64() * 1e3;
        // The first frame draws every layer; it says nothing about the others.
        if frame == 0 {
            first_ms = ms
        } else {
            rest_ms.push(ms)
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    rest_ms.sort_by(f64::total_cmp);
    let tick = TickTimes {
        first_ms,
        mean_ms: rest_ms.iter().sum::<f64>() / rest_ms.len().max(1) as f64,
        p50_ms: percentile(&rest_ms, 0.5),
        p99_ms: percentile(&rest_ms, 0.99),
        max_ms: percentile(&rest_ms, 1.0),
    };
    let systems = offline.engine.profile().summaries();
    let counters = offline.engine.counters();
    let damage = counters.tiles_composed as f64 / counters.tiles_total.max(1) as f64;
    let timing = timing_ms(systems.len());
    if matches.get_flag("json") {
        print(&serde_json::to_string_pretty(&json!({
            "frames": frames,
            "fps": offline.rate.as_f64(),
            "tick": {"firstMs": tick.first_ms, "meanMs": tick.mean_ms, "p50Ms": tick.p50_ms, "p99Ms": tick.p99_ms, "maxMs": tick.max_ms},
            "damageRatio": damage,
            "timingMs": timing,
            "systems": systems,
        }))?);
    } else {
        print(&table(
            &systems,
            &tick,
            frames,
            offline.rate.as_f64(),
            damage,
            timing,
        ));
    }
    Ok(())
}

struct TickTimes {
    first_ms: f64,
    mean_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted
        .get((sorted.len().saturating_sub(1) as f64 * part).round() as usize)
        .copied()
        .unwrap_or(0.0)
}

/// What timing that many systems costs a tick, in milliseconds, measured here and now.
fn timing_ms(systems: usize) -> f64 {
    const READS: u32 = 20_000;
    let start = Instant::now();
    for _ in 0..READS {
        std::hint::black_box(crate::clock::now_nanos());
    }
    // One reading a system, and one for the tick.
    start.elapsed().as_secs_f64() * 1e3 / f64::from(READS) * (systems + 1) as f64
}

fn table(
    systems: &[SystemSummary],
    tick: &TickTimes,
    frames: u64,
    fps: f64,
    damage: f64,
    timing_ms: f64,
) -> String {
    let budget_ms = 1e3 / fps;
    let mut out = String::new();
    let mut line = |cells: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _written = writeln!(out, "{cells}");
    };
    line(format_args!(
        "{:<28} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "system (ms)", "mean", "p50", "p99", "max", "of tick"
    ));
    for system in systems {
        let share = system.p50_ms / tick.p50_ms.max(1e-9) * 100.0;
        line(format_args!(
            "{:<28} {:>10.4} {:>10.4} {:>10.4} {:>10.3} {:>7.1}%",
            system.name, system.mean_ms, system.p50_ms, system.p99_ms, system.max_ms, share
        ));
    }
    line(format_args!(
        "{:<28} {:>10.4} {:>10.4} {:>10.4} {:>10.3} {:>7.1}%",
        "whole tick", tick.mean_ms, tick.p50_ms, tick.p99_ms, tick.max_ms, 100.0
    ));
    line(format_args!(""));
    line(format_args!(
        "{frames} frames; the first took {:.1} ms, the table's tick leaves it out",
        tick.first_ms
    ));
    line(format_args!(
        "budget at {fps:.2} fps {budget_ms:.2} ms, used {:.1} %",
        tick.p50_ms / budget_ms * 100.0
    ));
    line(format_args!("tiles composed {:.1} %", damage * 100.0));
    out.push_str(&format!(
        "timing itself {timing_ms:.4} ms a tick, {:.2} % of the budget",
        timing_ms / budget_ms * 100.0
    ));
    out
}
