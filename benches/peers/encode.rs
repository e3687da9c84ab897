//! With an encoder: libx264 alone, which is the limit, and the whole process over it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use codec::{FrameRate, Preset, VideoEncoder, VideoSettings};
use raster::I420Frame;
use stream_manager::ports::media;
use stream_manager::streaming::{
    EncoderSettings, MediaSender, OutputSettings, Streaming, ThreadEnd,
};
use systems::encode::{FrameOut, FramePort, Offer};

use crate::alloc;
use crate::assets;
use crate::ours::{FPS, POOL_FRAMES};
use crate::scenes::{HEIGHT, Stage, WIDTH};
use crate::usage::{Cost, ThreadTimes, Who, measure, thread_times};

/// The most ready frames that are kept for the limit: some 3 MB each.
pub const FRAMES_MAX: u64 = 300;
/// A file is finished within it.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(30);

/// Veryfast, 4 Mbit/s, a keyframe every 2 s, two threads, no B-frames.
pub fn settings(fps: u32) -> EncoderSettings {
    EncoderSettings {
        video: VideoSettings {
            width: WIDTH,
            height: HEIGHT,
            frame_rate: FrameRate::whole(fps),
            bitrate_kbps: 4000,
            preset: Preset::Veryfast,
            keyframe_interval_s: 2.0,
            threads: 2,
            ..VideoSettings::default()
        },
        frame_queue: POOL_FRAMES - 3,
        ..EncoderSettings::default()
    }
}

/// The first `frames` frames of a workload, all of them held.
///
/// # Errors
/// The engine's.
pub fn ready_frames(stage: &Stage, frames: u64) -> Result<Vec<Arc<I420Frame>>> {
    let mut engine = stage.engine(FPS, 0, frames as usize + 3)?;
    let mut ready = Vec::with_capacity(frames as usize);
    for _ in 0..frames {
        engine.tick();
        ready.extend(engine.frame().map(|out| out.frame));
    }
    ensure!(engine.counters().repeated == 0, "the pool ran dry");
    Ok(ready)
}

/// What libx264 took alone.
pub struct Limit {
    pub cost: Cost,
    /// Of it, the thread that feeds it.
    pub caller: Duration,
}

/// libx264 alone, through libavcodec, on frames that are there already.
///
/// # Errors
/// The encoder's.
pub fn limit(ready: &[Arc<I420Frame>]) -> Result<Limit> {
    let mut encoder = VideoEncoder::open(&settings(FPS).video)?;
    let mut bytes = 0;
    let mut sink = |packet: codec::Packet| bytes += packet.len();
    let before = thread_times()?.main;
    let ((), cost) = measure(Who::Ourselves, || {
        for (frame, pts) in ready.iter().zip(0..) {
            encoder.encode(frame, pts, &mut sink)?;
        }
        Ok(encoder.flush(&mut sink)?)
    })?;
    ensure!(bytes > 0, "the encoder gave nothing");
    Ok(Limit {
        cost,
        caller: thread_times()?.main - before,
    })
}

/// The whole process at work.
pub struct Whole {
    pub cost: Cost,
    /// The threads' own shares, without the little that the end of the file takes.
    pub threads: ThreadTimes,
    /// Allocations of all threads a frame, in the second half.
    pub allocations: f64,
}

/// Engine, encoder thread with silence, and one file: as fast as they go together, with nothing dropped.
///
/// # Errors
/// The engine's, and the encoder's.
pub fn whole(stage: &Stage, frames: u64) -> Result<Whole> {
    let mut engine = stage.engine(FPS, 0, POOL_FRAMES)?;
    // As the program does: everything is drawn before the first frame goes out.
    engine.tick();
    engine.seek(0);
    let output = fresh_file(&format!("whole-{}.mkv", stage.name))?;
    let streaming = Streaming::start(settings(FPS), vec![output])?;
    engine.add_port(Box::new(WaitingPort(streaming.sender())));
    let mut allocations = 0;
    let before = thread_times()?;
    let mut threads = ThreadTimes::default();
    let (ends, cost) = measure(Who::Ourselves, || {
        for frame in 0..frames {
            if frame == frames / 2 {
                allocations = alloc::count();
            }
            engine.tick();
        }
        allocations = alloc::count() - allocations;
        threads = thread_times()?;
        engine.close_ports();
        Ok(streaming.shutdown(SHUTDOWN_MAX))
    })?;
    check_ends(ends)?;
    let counters = engine.counters();
    ensure!(
        counters.repeated == 0 && counters.encoder_full == 0,
        "frames were lost: {counters:?}"
    );
    // The encoder's threads and the output's began with this run.
    threads.main -= before.main;
    threads.inputs -= before.inputs;
    Ok(Whole {
        cost,
        threads,
        allocations: allocations as f64 / (frames - frames / 2) as f64,
    })
}

/// An output into a file of `benches/out` that is not there yet.
///
/// # Errors
/// An old one cannot be removed.
pub fn fresh_file(name: &str) -> Result<OutputSettings> {
    let path: PathBuf = assets::out_folder().join(name);
    if path.exists() {
        fs::remove_file(&path)
            .with_context(|| format!("`{}` cannot be removed", path.display()))?;
    }
    Ok(OutputSettings::new("file", path.to_string_lossy())?)
}

/// # Errors
/// The first thread that ended badly.
pub fn check_ends(ends: Vec<ThreadEnd>) -> Result<()> {
    for end in ends {
        end.result
            .with_context(|| format!("the thread `{}`", end.who))?;
    }
    Ok(())
}

/// Waits for the encoder, so that every frame is encoded.
struct WaitingPort(MediaSender);

impl FramePort for WaitingPort {
    fn offer(&mut self, frame: &FrameOut) -> Offer {
        match self.0.send(media(frame)) {
            Ok(()) => Offer::Taken,
            Err(_) => Offer::Full,
        }
    }
}
