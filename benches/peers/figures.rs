//! What was measured, by workload: one value a round.

/// What is measured of a workload. Milliseconds a frame of processor time, where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Composing with one thread.
    OneThread,
    /// Composing with two threads.
    TwoThreads,
    /// A tick with one thread, median, wall time.
    OneThreadWall,
    /// A tick with two threads, median, wall time.
    TwoThreadsWall,
    /// Composing with one thread, positions between pixels.
    SubPixels,
    /// FFmpeg's fastest graph in YUV.
    PeerYuv,
    /// The same with every picture looped.
    PeerYuvLooped,
    /// FFmpeg's fastest graph in RGB.
    PeerRgb,
    /// The same with every picture looped.
    PeerRgbLooped,
    /// FFmpeg's peak memory, MiB.
    PeerPeak,
    /// Ours over FFmpeg's fastest graph in YUV.
    OverYuv,
    /// Ours over FFmpeg's looped graph in YUV.
    OverYuvLooped,
    /// Ours over FFmpeg's fastest graph in RGB.
    OverRgb,
    /// Ours over FFmpeg's looped graph in RGB.
    OverRgbLooped,
    /// Wall time with one thread over that with two.
    SpeedUp,
    /// libx264 alone.
    Limit,
    /// Of it, the thread that feeds libx264.
    LimitCaller,
    /// The whole process.
    Whole,
    /// Of it, the thread that ticks, which composes too.
    WholeTick,
    /// Of it, the thread that composes beside it.
    WholeCompose,
    /// Of it, the thread that feeds the encoders with AAC and packets, and libx264's threads, which are named after it.
    WholeEncoder,
    /// Of it, the threads that decode inputs.
    WholeInputs,
    /// Of it, the thread that writes the file.
    WholeOutput,
    /// The whole process over libx264 alone.
    OverLimit,
    /// Allocations of the whole process a frame.
    WholeAllocations,
    /// A tick, median, wall time.
    Tick,
    /// The system that composes, median, wall time.
    ComposeSystem,
    /// Allocations of a tick on which no text changes.
    Allocations,
    /// Allocations of a tick on which texts change.
    AllocationsOnSecond,
    /// Timing of every system, a tick.
    Profiling,
    /// Timing of every system over the tick, in percent.
    ProfilingShare,
    /// Peak memory of a process on the air, MiB.
    Peak,
    /// The system that draws effects, median, wall time.
    EffectsSystem,
}

impl Figure {
    /// As the table of figures has it.
    pub fn label(self) -> &'static str {
        match self {
            Self::OneThread => "ours, 1 thread, CPU ms",
            Self::TwoThreads => "ours, 2 threads, CPU ms",
            Self::OneThreadWall => "ours, 1 thread, a tick, wall ms",
            Self::TwoThreadsWall => "ours, 2 threads, a tick, wall ms",
            Self::SubPixels => "ours between pixels, 1 thread, CPU ms",
            Self::PeerYuv => "FFmpeg in YUV, CPU ms",
            Self::PeerYuvLooped => "FFmpeg in YUV, pictures looped, CPU ms",
            Self::PeerRgb => "FFmpeg in RGB, CPU ms",
            Self::PeerRgbLooped => "FFmpeg in RGB, pictures looped, CPU ms",
            Self::PeerPeak => "FFmpeg, peak MiB",
            Self::OverYuv => "ours / FFmpeg in YUV",
            Self::OverYuvLooped => "ours / FFmpeg in YUV, pictures looped",
            Self::OverRgb => "ours / FFmpeg in RGB",
            Self::OverRgbLooped => "ours / FFmpeg in RGB, pictures looped",
            Self::SpeedUp => "1 thread / 2 threads, wall",
            Self::Limit => "libx264 alone, CPU ms",
            Self::LimitCaller => "of it the feeding thread",
            Self::Whole => "whole process, CPU ms",
            Self::WholeTick => "of it the tick's thread",
            Self::WholeCompose => "of it the composing worker",
            Self::WholeEncoder => "of it the encoder's threads: libx264 and AAC",
            Self::WholeInputs => "of it the inputs' threads",
            Self::WholeOutput => "of it the output's thread",
            Self::OverLimit => "whole process / libx264 alone",
            Self::WholeAllocations => "whole process, allocations a frame",
            Self::Tick => "tick, wall ms",
            Self::ComposeSystem => "of it `render::compose`, ms",
            Self::Allocations => "allocations a tick",
            Self::AllocationsOnSecond => "allocations on a tick that changes texts",
            Self::Profiling => "timing of all systems, ms a tick",
            Self::ProfilingShare => "timing of all systems, % of the tick",
            Self::Peak => "on the air, peak MiB",
            Self::EffectsSystem => "of it `render::effects`, ms",
        }
    }
}

/// One value a round.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    /// The middle value; of an even number, the upper one.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The smallest and the largest value.
    pub fn range(&self) -> (f64, f64) {
        self.0
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(*value), high.max(*value))
            })
    }
}

/// Everything that was measured, in the order in which it came.
#[derive(Default)]
pub struct Figures(Vec<(&'static str, Figure, Series)>);

impl Figures {
    /// Adds a round's value.
    pub fn add(&mut self, workload: &'static str, figure: Figure, value: f64) {
        match self
            .0
            .iter_mut()
            .find(|(name, kind, _)| (*name, *kind) == (workload, figure))
        {
            Some((_, _, series)) => series.0.push(value),
            None => self.0.push((workload, figure, Series(vec![value]))),
        }
    }

    /// The values of a figure, when it was measured.
    pub fn get(&self, workload: &str, figure: Figure) -> Option<&Series> {
        self.0
            .iter()
            .find(|(name, kind, _)| *name == workload && *kind == figure)
            .map(|(_, _, series)| series)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Figure, &Series)> {
        self.0
            .iter()
            .map(|(workload, figure, series)| (*workload, *figure, series))
    }
}
