//! The bars and whether they are met, as Markdown.

use std::fmt::Write as _;

use anyhow::Result;
use systems::schedule::TickSet;

use crate::figures::{Figure, Figures};
use crate::live::OnAir;
use crate::usage::{Machine, undisturbed};

/// Everything that a run came to.
pub struct Run {
    pub machine: Machine,
    pub load_after: String,
    pub rounds: u32,
    pub frames: u64,
    pub figures: Figures,
    /// The largest part of the machine, 0 to 1, that others took during a measurement.
    pub others_most: f64,
    /// By workload: the part of all tiles composed, and mean milliseconds a tick of each set, with one thread.
    pub ticks: Vec<(&'static str, f64, Vec<(TickSet, f64)>)>,
    /// By workload, every attempt; empty when nothing was put on the air.
    pub on_air: Vec<(&'static str, Vec<OnAir>)>,
}

/// Frames a second on the air.
pub const LIVE_FPS: u32 = 60;
/// Distinct frames a second that W2 needs on the air.
const DISTINCT_MIN: f64 = 55.0;

/// How much faster two cores must be than one.
const SPEED_UP_MIN: f64 = 1.7;

/// What is measured, of which workload, and how much it may be.
type AtMost = (&'static str, &'static str, Figure, f64);

/// Without an encoder, beside the peer. Its fastest graph comes first; the looped ones are the slower way that is often seen.
const COMPOSING: &[AtMost] = &[
    (
        "W0 still: tick without the encoder, ms",
        "W0",
        Figure::Tick,
        0.060,
    ),
    (
        "W1 composing over FFmpeg's YUV graph",
        "W1",
        Figure::OverYuv,
        0.45,
    ),
    (
        "the same, its pictures looped",
        "W1",
        Figure::OverYuvLooped,
        0.45,
    ),
    (
        "W2 composing over FFmpeg's YUV graph",
        "W2",
        Figure::OverYuv,
        0.75,
    ),
    (
        "the same, its pictures looped",
        "W2",
        Figure::OverYuvLooped,
        0.75,
    ),
    (
        "W2 composing over FFmpeg's RGB graph",
        "W2",
        Figure::OverRgb,
        0.40,
    ),
    (
        "the same, its pictures looped",
        "W2",
        Figure::OverRgbLooped,
        0.40,
    ),
    (
        "W3 composing over FFmpeg's YUV graph",
        "W3",
        Figure::OverYuv,
        0.25,
    ),
    (
        "the same, its pictures looped",
        "W3",
        Figure::OverYuvLooped,
        0.25,
    ),
    (
        "W4 composing with decoding over FFmpeg's YUV graph",
        "W4",
        Figure::OverYuv,
        0.80,
    ),
];

/// With an encoder, beside the encoder alone.
const ENCODING: &[AtMost] = &[
    (
        "W1 whole process over libx264 alone",
        "W1",
        Figure::OverLimit,
        1.08,
    ),
    (
        "W2 whole process over libx264 alone",
        "W2",
        Figure::OverLimit,
        1.20,
    ),
    (
        "W3 whole process over libx264 alone",
        "W3",
        Figure::OverLimit,
        1.06,
    ),
    (
        "W4 whole process over libx264 alone",
        "W4",
        Figure::OverLimit,
        1.50,
    ),
];

/// Of effects and transitions.
const MOTION: &[AtMost] = &[
    (
        "blur of radius 20 on a moving 600x400 layer, a tick, ms",
        "blur",
        Figure::Tick,
        1.5,
    ),
    (
        "the same, its radius moving too: the effect, ms",
        "moving blur",
        Figure::EffectsSystem,
        1.5,
    ),
    (
        "full-frame crossfade of two still pictures, CPU ms",
        "crossfade",
        Figure::OneThread,
        2.5,
    ),
    (
        "the same, with five cards on each, CPU ms",
        "crossfade of cards",
        Figure::OneThread,
        2.5,
    ),
];

/// Of the engine itself.
const TICKS: &[AtMost] = &[
    (
        "W1 allocations a tick in steady state",
        "W1",
        Figure::Allocations,
        0.0,
    ),
    (
        "W2 allocations a tick in steady state",
        "W2",
        Figure::Allocations,
        0.0,
    ),
    (
        "W3 allocations a tick in steady state",
        "W3",
        Figure::Allocations,
        0.0,
    ),
    (
        "profiling of every system on W0, ms of a tick's 33.3",
        "W0",
        Figure::Profiling,
        0.333,
    ),
    (
        "profiling of every system, % of W1's tick",
        "W1",
        Figure::ProfilingShare,
        1.0,
    ),
    (
        "profiling of every system, % of W2's tick",
        "W2",
        Figure::ProfilingShare,
        1.0,
    ),
    (
        "profiling of every system, % of W3's tick",
        "W3",
        Figure::ProfilingShare,
        1.0,
    ),
    (
        "W1 peak memory of the whole process, MiB",
        "W1",
        Figure::Peak,
        300.0,
    ),
    (
        "a thousand still layers: tick, ms",
        "thousand",
        Figure::Tick,
        0.5,
    ),
];

/// Whether a run on the air meets the bar of its workload.
pub fn is_clean(workload: &str, run: &OnAir) -> bool {
    if workload == "W2" {
        run.distinct >= DISTINCT_MIN
    } else {
        run.late == 0 && run.repeated == 0 && run.dropped == 0
    }
}

/// One bar.
struct Row {
    what: String,
    bar: String,
    measured: String,
    /// `None` when it was not measured.
    met: Option<bool>,
}

impl Run {
    /// Measures when others leave the machine alone, as far as they do.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn quietly<T>(&mut self, work: impl FnMut() -> Result<T>) -> Result<T> {
        let (result, others) = undisturbed(work)?;
        self.others_most = self.others_most.max(others);
        Ok(result)
    }

    /// The whole report.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        let Machine {
            processor,
            cores,
            kernel,
            ffmpeg,
            date,
            load,
        } = &self.machine;
        line("# Results of `make bench`\n");
        line(&format!(
            "{date}; {processor}, {cores} cores, Linux {kernel}, {ffmpeg}."
        ));
        line(&format!(
            "Load average before {load}, after {}; {} rounds of {} frames, 1920x1080; others took at most {:.0} % of the machine during a measurement.\n",
            self.load_after,
            self.rounds,
            self.frames,
            self.others_most * 100.0
        ));
        line(
            "Written by `make bench ARGS=--live`; the bars are those of the product's performance goals. Each round measures us, the peer and the",
        );
        line(
            "limit in turn, and ratios are taken within a round. Values are medians of the rounds, with the lowest and the highest in brackets.\n",
        );
        line("## Bars\n");
        line("| what | bar | measured | met |\n|---|---|---|---|");
        for Row {
            what,
            bar,
            measured,
            met,
        } in self.bars()
        {
            let met = met.map_or("-", |met| if met { "yes" } else { "**no**" });
            line(&format!("| {what} | {bar} | {measured} | {met} |"));
        }
        line("\n## Figures\n");
        line("| workload | figure | median | lowest | highest |\n|---|---|---|---|---|");
        for (workload, figure, series) in self.figures.iter() {
            let (low, high) = series.range();
            line(&format!(
                "| {workload} | {} | {} | {} | {} |",
                figure.label(),
                shown(series.median()),
                shown(low),
                shown(high)
            ));
        }
        if !self.ticks.is_empty() {
            line("\n## Where a tick goes\n");
            line(
                "Mean milliseconds a tick by set of the schedule, composing with one thread and no encoder.\n",
            );
            line(&self.tick_table());
        }
        if !self.on_air.is_empty() {
            line("\n## On the air\n");
            line(&format!(
                "{LIVE_FPS} fps, the encoder beside it on the same cores; `busy` is processor time over wall time.\n"
            ));
            line(
                "| workload | run | late | repeated | dropped | distinct fps | busy | others | latest blame |\n|---|---|---|---|---|---|---|---|---|",
            );
            for (workload, runs) in &self.on_air {
                for (run, number) in runs.iter().zip(1..) {
                    let blame = run.blame.as_deref().unwrap_or("-");
                    line(&format!(
                        "| {workload} | {number} | {} | {} | {} | {:.2} | {:.2} | {:.0} % | {blame} |",
                        run.late,
                        run.repeated,
                        run.dropped,
                        run.distinct,
                        run.busy,
                        run.others * 100.0
                    ));
                }
            }
        }
        out
    }

    fn tick_table(&self) -> String {
        let mut out = String::from("| workload | tiles composed |");
        let sets = self.ticks.first().map_or(&[][..], |(_, _, sets)| sets);
        for (set, _) in sets {
            // Writing to a String cannot fail.
            let _written = write!(out, " {set:?} |");
        }
        out.push_str("\n|---|---|");
        out.push_str(&"---|".repeat(sets.len()));
        for (workload, damage, sets) in &self.ticks {
            let _written = write!(out, "\n| {workload} | {:.1} % |", damage * 100.0);
            for (_, ms) in sets {
                let _written = write!(out, " {ms:.4} |");
            }
        }
        out
    }

    fn bars(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = COMPOSING.iter().map(|bar| self.at_most(bar)).collect();
        rows.extend(ENCODING.iter().map(|bar| self.at_most(bar)));
        rows.extend(["W1", "W3", "W2"].map(|workload| self.live(workload)));
        rows.extend(MOTION.iter().map(|bar| self.at_most(bar)));
        let speed_up = self.figures.get("W2", Figure::SpeedUp);
        rows.push(Row {
            what: "two cores against one, composing of W2".to_owned(),
            bar: format!("at least {}", shown(SPEED_UP_MIN)),
            measured: self.shown("W2", Figure::SpeedUp),
            met: speed_up.map(|series| series.median() >= SPEED_UP_MIN),
        });
        rows.extend(TICKS.iter().map(|bar| self.at_most(bar)));
        rows
    }

    fn at_most(&self, (what, workload, figure, bar): &AtMost) -> Row {
        let (figure, bar) = (*figure, *bar);
        Row {
            what: (*what).to_owned(),
            bar: format!("at most {}", shown(bar)),
            measured: self.shown(workload, figure),
            met: self
                .figures
                .get(workload, figure)
                .map(|series| series.median() <= bar),
        }
    }

    fn shown(&self, workload: &str, figure: Figure) -> String {
        self.figures
            .get(workload, figure)
            .map_or("not measured".to_owned(), |series| {
                let (low, high) = series.range();
                format!(
                    "{} ({} to {})",
                    shown(series.median()),
                    shown(low),
                    shown(high)
                )
            })
    }

    fn live(&self, workload: &str) -> Row {
        let what = format!("{workload} live at {LIVE_FPS} fps, 60 s, best of three");
        let bar = if workload == "W2" {
            format!("at least {DISTINCT_MIN} distinct frames a second")
        } else {
            "no late tick, no repeat".to_owned()
        };
        let runs = self
            .on_air
            .iter()
            .find(|(name, _)| *name == workload)
            .map(|(_, runs)| runs);
        let best = runs.and_then(|runs| {
            let order = |run: &&OnAir| {
                (
                    is_clean(workload, run),
                    std::cmp::Reverse(run.late + run.repeated + run.dropped),
                )
            };
            runs.iter().max_by_key(order)
        });
        Row {
            what,
            bar,
            measured: best.map_or("not run (`--live`)".to_owned(), |run| {
                format!(
                    "{} late, {} repeated, {} dropped, {:.2} distinct a second",
                    run.late, run.repeated, run.dropped, run.distinct
                )
            }),
            met: best.map(|run| is_clean(workload, run)),
        }
    }
}

/// Three digits that say something.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}
