//! What the tests share: moving pictures, encoded streams in the order of time, temporary folders, and ffprobe's view.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and each test file uses a part"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use glam::Affine2;
use raster::{Compositor, DrawItem, FramePool, I420Frame, Raster, Workers};
use stream_manager_codec::{
    AudioCodec, AudioEncoder, AudioSettings, FrameRate, Packet, StreamDescription, VideoCodec,
    VideoEncoder, VideoSettings,
};

pub const WIDTH: u32 = 160;
pub const HEIGHT: u32 = 96;
pub const FPS: u32 = 30;
pub const SAMPLES_PER_TICK: usize = 1600;

pub fn video_settings(codec: VideoCodec) -> VideoSettings {
    VideoSettings {
        codec,
        width: WIDTH,
        height: HEIGHT,
        frame_rate: FrameRate::whole(FPS),
        bitrate_kbps: 600,
        ..VideoSettings::default()
    }
}

/// Noise that jumps about, so that every frame has bytes.
pub fn noise(count: usize) -> Vec<Arc<I420Frame>> {
    let side = WIDTH * 2;
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
    let mut pool = FramePool::new(count + 2, WIDTH, HEIGHT).unwrap();
    let mut compositor = Compositor::new(WIDTH, HEIGHT, 1);
    let workers = Workers::new(1);
    let frames = (0..count as u32).map(|index| {
        let offset = glam::vec2((index * 37 % WIDTH) as f32, (index * 53 % HEIGHT) as f32);
        let item = DrawItem::raster(1, Arc::clone(&picture), Affine2::from_translation(-offset));
        compositor
            .compose([0, 0, 0], &[item], &mut pool, &workers)
            .unwrap()
            .frame
    });
    frames.collect()
}

pub fn plain(colour: [u8; 3]) -> Arc<I420Frame> {
    let mut pool = FramePool::new(1, WIDTH, HEIGHT).unwrap();
    Compositor::new(WIDTH, HEIGHT, 1)
        .compose(colour, &[], &mut pool, &Workers::new(1))
        .unwrap()
        .frame
}

/// A beep of one tick.
pub fn beep() -> Vec<f32> {
    (0..SAMPLES_PER_TICK)
        .map(|index| if index / 24 % 2 == 0 { 0.8 } else { -0.8 })
        .collect()
}

/// A stream as it comes out of the encoders, in the order of decoding.
pub struct Encoded {
    pub streams: Vec<StreamDescription>,
    pub packets: Vec<Packet>,
}

impl Encoded {
    /// `ticks` of what `media` gives for each: a frame, and sound or silence.
    pub fn of(
        video: &VideoSettings,
        audio: Option<AudioCodec>,
        ticks: u64,
        mut media: impl FnMut(u64) -> (Arc<I420Frame>, Option<Vec<f32>>),
    ) -> Self {
        let mut video = VideoEncoder::open(video).unwrap();
        let mut audio = audio.map(|codec| {
            AudioEncoder::open(&AudioSettings {
                codec,
                ..AudioSettings::default()
            })
            .unwrap()
        });
        let mut packets = Vec::new();
        let mut sink = |packet| packets.push(packet);
        for tick in 0..ticks {
            let (frame, sound) = media(tick);
            video.encode(&frame, tick as i64, &mut sink).unwrap();
            match (&mut audio, sound) {
                (Some(audio), Some(wave)) => audio.push(&wave, &wave, &mut sink).unwrap(),
                (Some(audio), None) => audio.push_silence(SAMPLES_PER_TICK, &mut sink).unwrap(),
                (None, _) => {}
            }
        }
        video.flush(&mut sink).unwrap();
        if let Some(audio) = &mut audio {
            audio.flush(&mut sink).unwrap();
        }
        packets.sort_by_key(Packet::dts_nanoseconds);
        let streams = std::iter::once(video.stream())
            .chain(audio.as_ref().map(AudioEncoder::stream))
            .cloned()
            .collect();
        Self { streams, packets }
    }

    /// Seconds of noise, with a beep in every tick.
    pub fn noise(video: VideoCodec, audio: Option<AudioCodec>, seconds: u64) -> Self {
        let frames = noise(30);
        Self::of(
            &video_settings(video),
            audio,
            seconds * u64::from(FPS),
            |tick| (Arc::clone(&frames[tick as usize % 30]), Some(beep())),
        )
    }

    pub fn frames(&self) -> usize {
        self.packets
            .iter()
            .filter(|packet| packet.kind() == stream_manager_codec::StreamKind::Video)
            .count()
    }
}

/// A folder that is gone at the end.
pub struct TempFolder(PathBuf);

impl TempFolder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!(
            "stream-manager-codec-{name}-{}-{count}",
            std::process::id()
        ));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn target(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that is killed at the end.
pub struct Process(pub Child);

impl Process {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        Self(
            Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    pub fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// What a tool prints, and whether it complained.
pub fn run(program: &str, arguments: &[&str]) -> (Vec<u8>, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.stdout, said)
}

/// One field of the streams of a kind ("v", "a"), as ffprobe sees them.
pub fn probe(path: &Path, kind: &str, field: &str) -> String {
    let (out, _) = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            kind,
            "-show_entries",
            &format!("stream={field}"),
            "-of",
            "csv=p=0",
            path.to_str().unwrap(),
        ],
    );
    let text = String::from_utf8_lossy(&out).into_owned();
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_matches(',')
        .to_owned()
}

/// The times at which decoded frames of a kind ("v", "a") are shown, seconds.
pub fn decoded_s(path: &Path, kind: &str) -> Vec<f64> {
    let (out, _) = run(
        "ffprobe",
        &[
            "-v",
            "quiet",
            "-select_streams",
            kind,
            "-show_entries",
            "frame=best_effort_timestamp_time",
            "-of",
            "csv=p=0",
            path.to_str().unwrap(),
        ],
    );
    String::from_utf8_lossy(&out)
        .lines()
        .filter_map(|line| line.trim_matches(',').parse().ok())
        .collect()
}

/// Mean brightness of each frame of a file.
pub fn brightness(path: &Path) -> Vec<u8> {
    let filter = "-map 0:v -vf scale=1:1:flags=area -pix_fmt gray -f rawvideo -";
    let file = path.to_str().unwrap();
    let mut arguments = vec!["-v", "error", "-vsync", "passthrough", "-i", file];
    arguments.extend(filter.split(' '));
    run("ffmpeg", &arguments).0
}

/// The left channel of a file.
pub fn left_channel(path: &Path) -> Vec<f32> {
    let filter = "-map 0:a -af pan=mono|c0=c0 -f f32le -";
    let mut arguments = vec!["-v", "error", "-i", path.to_str().unwrap()];
    arguments.extend(filter.split(' '));
    run("ffmpeg", &arguments)
        .0
        .chunks_exact(4)
        .map(|sample| f32::from_le_bytes(sample.try_into().unwrap()))
        .collect()
}

/// Seconds by which the beep at a tick is later than its flash, in a file whose frames are shown at `frames_s`.
pub fn offset_s(path: &Path, frames_s: &[f64]) -> f64 {
    let flash = brightness(path)
        .iter()
        .position(|mean| *mean > 128)
        .unwrap();
    let beep = left_channel(path)
        .iter()
        .position(|sample| sample.abs() > 0.3)
        .unwrap();
    // Where the first sample that comes out of the decoder belongs, without those that it is told to leave out.
    let start_s = decoded_s(path, "a")[0];
    start_s + beep as f64 / 48_000.0 - frames_s[flash]
}
