//! The last seconds of a rendition, kept as references to its packets, and written to a file when somebody asks.
//!
//! The encoder's thread adds a packet and drops what is too old; it never waits for a disk. A file is written from a list of references
//! that was taken at one moment, on the thread of who asks. No packet is copied.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codec::{Container, Interrupt, Muxer, MuxerOptions, Packet, StreamDescription};

use super::broadcast::Streaming;
use super::error::StreamingError;

/// The most seconds that are kept.
pub const REPLAY_SECONDS_MAX: u32 = 600;
/// The most bytes that are kept, whatever the seconds: ten minutes at 4 Mbit/s fit in.
pub const REPLAY_BYTES_MAX: usize = 320 << 20;

/// The last seconds of a rendition. One serves for many streams after each other.
#[derive(Debug, Default)]
pub struct Replay(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Begins with a keyframe, or is empty.
    packets: VecDeque<Packet>,
    bytes: usize,
    /// Seconds that are asked for.
    seconds: u32,
    is_on: bool,
    streams: Vec<StreamDescription>,
}

/// What is kept at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ReplayStats {
    /// Whether anything is kept.
    pub is_on: bool,
    /// Seconds that are asked for.
    pub seconds: u32,
    /// Seconds that are kept.
    pub kept: Duration,
    /// Bytes that are kept.
    pub bytes: usize,
    /// Packets that are kept.
    pub packets: usize,
}

/// Packets of the last seconds, to be written.
#[derive(Debug)]
pub struct ReplayClip {
    packets: Vec<Packet>,
    streams: Vec<StreamDescription>,
    /// Its length.
    pub length: Duration,
    /// The first frame's moment on the stream's clock, since tick 0.
    pub start: Duration,
}

/// Where a rendition stands on the stream's clock, in seconds since tick 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamClock {
    /// The end of the newest frame.
    pub newest_s: f64,
    /// The last keyframes, the oldest first.
    pub keyframes_s: Vec<f64>,
}

impl Replay {
    /// Keeps this many seconds from now on, at most [`REPLAY_SECONDS_MAX`]; off, it forgets everything.
    pub fn set(&self, seconds: u32, is_on: bool) {
        let mut inner = self.lock();
        inner.seconds = seconds.min(REPLAY_SECONDS_MAX);
        inner.is_on = is_on;
        inner.trim();
    }

    /// What is kept.
    #[must_use]
    pub fn stats(&self) -> ReplayStats {
        let inner = self.lock();
        ReplayStats {
            is_on: inner.is_on,
            seconds: inner.seconds,
            kept: inner.length(),
            bytes: inner.bytes,
            packets: inner.packets.len(),
        }
    }

    /// The last `seconds`, or all that is kept: from the keyframe at or before that moment. `None` when nothing is kept.
    #[must_use]
    pub fn clip(&self, seconds: Option<f64>) -> Option<ReplayClip> {
        let inner = self.lock();
        let newest_ns = inner.packets.back()?.dts_nanoseconds();
        let from_ns = seconds.map(|seconds| newest_ns - (seconds * 1e9) as i64);
        let start = from_ns.map_or(Some(0), |from_ns| {
            let fits =
                |packet: &Packet| packet.is_video_key() && packet.dts_nanoseconds() <= from_ns;
            inner.packets.iter().rposition(fits)
        });
        let packets: Vec<Packet> = inner
            .packets
            .iter()
            .skip(start.unwrap_or(0))
            .cloned()
            .collect();
        let start_ns = packets.first()?.dts_nanoseconds();
        Some(ReplayClip {
            length: length_of(start_ns, packets.last()),
            start: Duration::from_nanos(u64::try_from(start_ns).unwrap_or(0)),
            packets,
            streams: inner.streams.clone(),
        })
    }

    /// Takes a reference to `packet`. Called on the encoder's thread.
    pub(super) fn push(&self, packet: &Packet) {
        let mut inner = self.lock();
        let is_wanted = !inner.packets.is_empty() || packet.is_video_key();
        if !inner.is_on || !is_wanted {
            return;
        }
        inner.bytes += packet.len();
        inner.packets.push_back(packet.clone());
        // Groups of pictures go whole, so there is something to drop at keyframes alone.
        if packet.is_video_key() || inner.bytes > REPLAY_BYTES_MAX {
            inner.trim();
        }
    }

    /// Forgets what was kept: packets of other streams follow.
    fn restart(&self, streams: Vec<StreamDescription>) {
        let mut inner = self.lock();
        inner.clear();
        inner.streams = streams;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn length(&self) -> Duration {
        let first = self.packets.front();
        first.map_or(Duration::ZERO, |first| {
            length_of(first.dts_nanoseconds(), self.packets.back())
        })
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.bytes = 0;
    }

    /// Drops groups of pictures from the front, as long as the seconds are there without them or the bytes are too many.
    fn trim(&mut self) {
        if !self.is_on {
            return self.clear();
        }
        let kept_ns = i64::from(self.seconds) * 1_000_000_000;
        while let Some(newest_ns) = self.packets.back().map(Packet::dts_nanoseconds) {
            let mut keyframes = self.packets.iter().enumerate().skip(1);
            let next = keyframes.find(|(_, packet)| packet.is_video_key());
            let is_heavy = self.bytes > REPLAY_BYTES_MAX;
            match next {
                Some((index, packet))
                    if is_heavy || newest_ns - packet.dts_nanoseconds() >= kept_ns =>
                {
                    let gone: usize = self.packets.drain(..index).map(|packet| packet.len()).sum();
                    self.bytes -= gone;
                }
                // One group alone is more than may be kept.
                None if is_heavy => return self.clear(),
                _ => return,
            }
        }
    }
}

fn length_of(start_ns: i64, last: Option<&Packet>) -> Duration {
    last.map_or(Duration::ZERO, |last| {
        let span_ns = last.dts_nanoseconds() - start_ns;
        Duration::from_nanos(u64::try_from(span_ns).unwrap_or(0)) + last.length()
    })
}

impl ReplayClip {
    /// Writes the clip to a file that must not be there yet; it has its name once it is whole. Waits for the disk.
    ///
    /// # Errors
    /// The file is there, or cannot be written: nothing is left of it then.
    pub fn write(&self, path: &Path, container: Container) -> Result<(), StreamingError> {
        if path.exists() {
            let path = path.to_owned();
            return Err(StreamingError::FileExists { path });
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = folder.join(format!(".{name}.part"));
        let failed = |source| StreamingError::File {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let written = self.write_packets(&unfinished, container);
        let placed = written.and_then(|()| fs::rename(&unfinished, path).map_err(failed));
        if placed.is_err() {
            // What is left of it is of no use.
            drop(fs::remove_file(&unfinished));
        }
        placed
    }

    fn write_packets(&self, path: &Path, container: Container) -> Result<(), StreamingError> {
        let guard = Arc::new(Interrupt::default());
        let options = MuxerOptions::default();
        let target = path.to_string_lossy();
        let mut muxer = Muxer::open(&target, container, &self.streams, &options, &guard)?;
        let start_ns = self.packets.first().map_or(0, Packet::dts_nanoseconds);
        for packet in &self.packets {
            muxer.write_shifted(packet, start_ns)?;
        }
        Ok(muxer.finish()?)
    }
}

impl Streaming {
    /// Has `replay` keep the last seconds of a rendition, the main one without a name. What it kept before is forgotten.
    ///
    /// # Errors
    /// [`StreamingError::UnknownRendition`].
    pub fn keep_replay(
        &self,
        rendition: Option<&str>,
        replay: &Arc<Replay>,
    ) -> Result<(), StreamingError> {
        let rendition = self.rendition(rendition)?;
        replay.restart(rendition.context().streams.clone());
        rendition.fan_out().set_replay(Some(Arc::clone(replay)));
        Ok(())
    }

    /// Where a rendition stands on the stream's clock, the main one without a name.
    ///
    /// # Errors
    /// [`StreamingError::UnknownRendition`].
    pub fn clock(&self, rendition: Option<&str>) -> Result<StreamClock, StreamingError> {
        let marks = self.rendition(rendition)?.fan_out().marks();
        let seconds = |ns: i64| ns as f64 / 1e9;
        Ok(StreamClock {
            newest_s: seconds(marks.newest_ns),
            keyframes_s: marks.keyframes_ns.iter().map(|ns| seconds(*ns)).collect(),
        })
    }
}
