//! Files as ffprobe and ffmpeg see them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

pub struct Probe {
    pub streams: Vec<Value>,
    pub packets: Vec<ProbedPacket>,
}

#[derive(Debug, Clone)]
pub struct ProbedPacket {
    pub is_video: bool,
    pub pts_s: f64,
    /// As in the file; some containers have none.
    pub duration_s: f64,
    pub bytes: u64,
    pub is_key: bool,
}

impl Probe {
    pub fn open(path: &Path) -> Self {
        Self::read("error", path)
    }

    /// A file whose end is missing: the complaint about a cut last packet is let pass.
    pub fn open_cut(path: &Path) -> Self {
        Self::read("quiet", path)
    }

    fn read(verbosity: &str, path: &Path) -> Self {
        let json = run(
            "ffprobe",
            &[
                "-v",
                verbosity,
                "-show_streams",
                "-show_packets",
                "-of",
                "json",
                path.to_str().unwrap(),
            ],
        );
        let value: Value = serde_json::from_slice(&json).unwrap();
        let number = |value: &Value, name: &str| {
            value[name]
                .as_str()
                .map_or(0.0, |text| text.parse().unwrap())
        };
        let packets = value["packets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|packet| ProbedPacket {
                is_video: packet["codec_type"] == "video",
                pts_s: number(packet, "pts_time"),
                duration_s: number(packet, "duration_time"),
                bytes: number(packet, "size") as u64,
                is_key: packet["flags"].as_str().unwrap().starts_with('K'),
            });
        Self {
            packets: packets.collect(),
            streams: value["streams"].as_array().unwrap().clone(),
        }
    }

    pub fn stream(&self, kind: &str) -> &Value {
        self.streams
            .iter()
            .find(|stream| stream["codec_type"] == kind)
            .unwrap()
    }

    pub fn video(&self) -> Vec<&ProbedPacket> {
        self.packets
            .iter()
            .filter(|packet| packet.is_video)
            .collect()
    }

    pub fn audio(&self) -> Vec<&ProbedPacket> {
        self.packets
            .iter()
            .filter(|packet| !packet.is_video)
            .collect()
    }

    /// H.264 High, yuv420p, BT.709 limited range, 30 frames a second, AAC-LC at 48 kHz.
    #[track_caller]
    pub fn assert_house_format(&self, width: u32, height: u32) {
        let video = self.stream("video");
        for (name, value) in [
            ("codec_name", "h264"),
            ("profile", "High"),
            ("pix_fmt", "yuv420p"),
            ("color_range", "tv"),
            ("color_space", "bt709"),
            ("color_transfer", "bt709"),
            ("color_primaries", "bt709"),
            ("r_frame_rate", "30/1"),
        ] {
            assert_eq!(video[name], value, "{name}");
        }
        assert_eq!(
            (&video["width"], &video["height"]),
            (&Value::from(width), &Value::from(height))
        );
        assert_eq!(video["has_b_frames"], 0);
        let audio = self.stream("audio");
        for (name, value) in [
            ("codec_name", "aac"),
            ("profile", "LC"),
            ("sample_rate", "48000"),
        ] {
            assert_eq!(audio[name], value, "{name}");
        }
        assert_eq!(audio["channels"], 2);
    }

    /// Frames follow each other at 1/30 s, give or take the container's unit, and keyframes at 2 s from the first.
    #[track_caller]
    pub fn assert_steady(&self, unit_s: f64) {
        let video = self.video();
        let start = video[0].pts_s;
        for (index, packet) in video.iter().enumerate() {
            let expected = start + index as f64 / 30.0;
            assert!(
                (packet.pts_s - expected).abs() <= unit_s,
                "frame {index} at {}",
                packet.pts_s
            );
            assert_eq!(packet.is_key, index % 60 == 0, "frame {index}");
        }
    }

    /// `frames` frames, each 1/30 s after the one before.
    #[track_caller]
    pub fn assert_steady_frames(&self, frames: u64) {
        let video = self.video();
        assert_eq!(video.len() as u64, frames);
        for (index, packet) in video.iter().enumerate() {
            let expected = index as f64 / 30.0;
            assert!(
                (packet.pts_s - expected).abs() < 1e-5,
                "frame {index} at {}",
                packet.pts_s
            );
        }
    }
}

/// No frame is missing between the first and the last.
#[track_caller]
pub fn assert_no_gaps(path: &Path, video: &[&ProbedPacket]) {
    for pair in video.windows(2) {
        let step_s = pair[1].pts_s - pair[0].pts_s;
        assert!(
            (step_s - 1.0 / 30.0).abs() < 0.002,
            "{}: {step_s} s after {}",
            path.display(),
            pair[0].pts_s
        );
    }
}

/// What a tool prints; it must succeed and say nothing wrong.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{program} {arguments:?}: {said}"
    );
    output.stdout
}

/// Mean brightness of each frame of a file.
pub fn brightness(path: &Path) -> Vec<u8> {
    let filter = [
        "-map",
        "0:v",
        "-vf",
        "scale=1:1:flags=area",
        "-pix_fmt",
        "gray",
        "-f",
        "rawvideo",
        "-",
    ];
    run(
        "ffmpeg",
        &[
            &[
                "-v",
                "error",
                "-vsync",
                "passthrough",
                "-i",
                path.to_str().unwrap(),
            ],
            &filter[..],
        ]
        .concat(),
    )
}

/// The left channel of a file.
pub fn left_channel(path: &Path) -> Vec<f32> {
    let filter = ["-map", "0:a", "-af", "pan=mono|c0=c0", "-f", "f32le", "-"];
    let bytes = run(
        "ffmpeg",
        &[&["-v", "error", "-i", path.to_str().unwrap()], &filter[..]].concat(),
    );
    bytes
        .chunks_exact(4)
        .map(|sample| f32::from_le_bytes(sample.try_into().unwrap()))
        .collect()
}
