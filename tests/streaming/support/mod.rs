//! What the tests share: pictures, a tick source, temporary folders, and waiting for a condition under a limit.

pub mod events;
pub mod log;
pub mod nginx;
pub mod probe;
pub mod proxy;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use codec::{FrameRate, VideoSettings};
use crossbeam_channel::{Sender, bounded, select, tick};
use glam::Affine2;
use raster::{Compositor, DrawItem, FramePool, I420Frame, Raster, Workers};
use stream_manager::streaming::{
    AudioChunk, EncoderSettings, MediaSender, OutputSettings, OutputStats, StereoSamples,
    Streaming, TickMedia,
};

pub const FPS: u32 = 30;
pub const SAMPLES_PER_TICK: usize = 1600;

/// Small pictures, so that the tests measure behaviour and not the machine.
pub fn encoder_settings(bitrate_kbps: u32) -> EncoderSettings {
    let video = VideoSettings {
        width: 320,
        height: 180,
        frame_rate: FrameRate::whole(FPS),
        bitrate_kbps,
        ..VideoSettings::default()
    };
    EncoderSettings {
        video,
        ..EncoderSettings::default()
    }
}

/// Frames of noise that jumps about, which no bitrate is enough for.
pub fn noise(width: u32, height: u32, count: usize) -> Vec<Arc<I420Frame>> {
    let side = width.max(height) * 2;
    let mut state = 0x9e37_79b9_u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let data = (0..side * side).flat_map(|_| {
        let [r, g, b, _] = random().to_le_bytes();
        [r, g, b, 255]
    });
    let picture = Arc::new(Raster::from_rgba8_opaque(side, side, data.collect()).unwrap());
    let mut pool = FramePool::new(count + 2, width, height).unwrap();
    let mut compositor = Compositor::new(width, height, 1);
    let workers = Workers::new(1);
    let frames = (0..count as u32).map(|index| {
        let offset = glam::vec2((index * 37 % width) as f32, (index * 53 % height) as f32);
        let item = DrawItem::raster(1, Arc::clone(&picture), Affine2::from_translation(-offset));
        compositor
            .compose([0, 0, 0], &[item], &mut pool, &workers)
            .unwrap()
            .frame
    });
    frames.collect()
}

/// A frame of one colour.
pub fn plain(width: u32, height: u32, colour: [u8; 3]) -> Arc<I420Frame> {
    let mut pool = FramePool::new(1, width, height).unwrap();
    Compositor::new(width, height, 1)
        .compose(colour, &[], &mut pool, &Workers::new(1))
        .unwrap()
        .frame
}

/// A tone of 440 Hz for one tick.
pub fn tone(tick: u64) -> AudioChunk {
    let wave = (0..SAMPLES_PER_TICK).map(|index| {
        let seconds = (tick as f64 * SAMPLES_PER_TICK as f64 + index as f64) / 48_000.0;
        (seconds * 440.0 * std::f64::consts::TAU).sin() as f32 * 0.5
    });
    let left: Vec<f32> = wave.collect();
    AudioChunk::Samples(Arc::new(StereoSamples {
        right: left.clone(),
        left,
    }))
}

/// Hands over `ticks` as fast as the encoder and the output named `pace` take them.
pub fn push_fast(
    streaming: &Streaming,
    frames: &[Arc<I420Frame>],
    ticks: std::ops::Range<u64>,
    pace: &str,
) {
    let sender = streaming.sender();
    for tick in ticks {
        if tick % 16 == 0 {
            wait_until("the output keeps up", Duration::from_secs(20), || {
                output(streaming, pace).is_none_or(|output| output.queue_len < 400)
            });
        }
        let frame = Arc::clone(&frames[tick as usize % frames.len()]);
        sender
            .send(TickMedia {
                tick,
                frame,
                audio: tone(tick),
            })
            .unwrap();
    }
}

pub fn output(streaming: &Streaming, id: &str) -> Option<OutputStats> {
    streaming
        .stats()
        .outputs
        .into_iter()
        .find(|output| output.id == id)
}

/// A tick loop at the true rate, on a thread.
pub struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub fn start(sender: MediaSender, frames: Vec<Arc<I420Frame>>) -> Self {
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::spawn(move || {
            let beat = tick(Duration::from_nanos(1_000_000_000 / u64::from(FPS)));
            for tick in 0.. {
                select! {
                    recv(beat) -> _ => {}
                    recv(stopped) -> _ => break,
                }
                let frame = Arc::clone(&frames[tick as usize % frames.len()]);
                let _ = sender.try_send(TickMedia {
                    tick,
                    frame,
                    audio: tone(tick),
                });
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop = None;
        let _ = self.thread.take().unwrap().join();
    }
}

/// Polls until `condition` holds.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    let beat = tick(Duration::from_millis(5));
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        beat.recv().unwrap();
    }
    start.elapsed()
}

/// A folder that is removed at the end.
pub struct TempFolder(PathBuf);

impl TempFolder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "stream-manager-{name}-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn target(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A child process that does not outlive its test.
pub struct Process(pub Child);

impl Process {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{program} is needed by this test: {error}")),
        )
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Whether somebody listens.
pub fn is_listening(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

pub fn file_output(id: &str, target: &str) -> OutputSettings {
    OutputSettings::new(id, target).unwrap()
}

/// Every thread must have ended well, but for the outputs named in `except`.
#[track_caller]
pub fn shut_down(streaming: Streaming, except: &[&str]) {
    let start = Instant::now();
    for end in streaming.shutdown(Duration::from_secs(5)) {
        let is_excepted = except.iter().any(|id| end.who == format!("output {id}"));
        assert!(
            is_excepted || end.result.is_ok(),
            "{}: {:?}",
            end.who,
            end.result
        );
    }
    assert!(
        start.elapsed() < Duration::from_millis(5200),
        "shutdown took {:?}",
        start.elapsed()
    );
}
