//! Encoding to a file as fast as the machine goes, for `render`.
//!
//! The same frames and settings give the same bytes, on every run and machine: the rate is controlled without a live
//! buffer, whose plan would depend on how far libx264's threads are, the number of threads is fixed, and the container
//! holds neither dates nor random numbers. Nothing is ever dropped; whoever hands in frames waits for room.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use codec::{
    AudioEncoder, AudioSettings, CodecError, Container, FrameRate, Interrupt, Muxer, MuxerOptions,
    Packet, RateControl, VideoEncoder, VideoSettings,
};

use super::error::StreamingError;
use super::media::{AudioChunk, MediaReceiver, TickMedia, TickSender, media_channel};
use super::thread::NamedThread;

/// Frames on the way to the encoder; each is one frame of the pool.
const FRAMES_WAITING: usize = 3;
/// The last frames of the slowest preset come out well within this.
const FINISH_TIMEOUT: Duration = Duration::from_secs(600);
/// A disk may be slow, but not dead.
const DISK_TIMEOUT: Duration = Duration::from_secs(60);

/// How a file is rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct OfflineSettings {
    /// The picture. [`RateControl::Constant`] is taken as [`RateControl::Average`], which repeats exactly.
    pub video: VideoSettings,
    /// The sound; `None` gives a stream without any.
    pub audio: Option<AudioSettings>,
}

impl OfflineSettings {
    /// Good quality for a file: four threads on every machine, the preset's own lookahead, a held quality.
    #[must_use]
    pub fn new(width: u32, height: u32, frame_rate: FrameRate) -> Self {
        let video = VideoSettings {
            width,
            height,
            frame_rate,
            rate_control: RateControl::Quality { rate_factor: 20.0 },
            threads: 4,
            lookahead_frames: None,
            ..VideoSettings::default()
        };
        Self {
            video,
            audio: Some(AudioSettings::default()),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfflineReport {
    /// Frames in the file.
    pub frames: u64,
    /// Bytes of its packets.
    pub bytes: u64,
}

/// A file being rendered, by a thread of its own.
#[derive(Debug)]
pub struct OfflineEncoder {
    sender: Option<TickSender>,
    thread: NamedThread,
    report: Arc<Mutex<OfflineReport>>,
    next_tick: u64,
}

impl OfflineEncoder {
    /// Opens the encoders and `path`, by whose extension the container is chosen: `.mp4` (one index at the end), `.mkv` or
    /// `.flv`. A file there is overwritten.
    ///
    /// # Errors
    /// Bad settings, an extension that is not known, or a file that cannot be made.
    pub fn create(path: &Path, settings: &OfflineSettings) -> Result<Self, StreamingError> {
        let container = match Container::from_path(path) {
            Some(Container::FragmentedMp4) => Container::Mp4,
            Some(container @ (Container::Matroska | Container::Flv)) => container,
            _ => {
                return Err(StreamingError::Setting {
                    id: "render".to_owned(),
                    setting: "path",
                    value: path.display().to_string(),
                    expected: "a file of .mp4, .mkv or .flv is needed",
                });
            }
        };
        let mut video = settings.video.clone();
        if matches!(video.rate_control, RateControl::Constant { .. }) {
            video.rate_control = RateControl::Average;
        }
        let video = VideoEncoder::open(&video)?;
        let audio = settings
            .audio
            .as_ref()
            .map(AudioEncoder::open)
            .transpose()?;
        let options = MuxerOptions {
            bit_exact: true,
            open_timeout: DISK_TIMEOUT,
            write_timeout: DISK_TIMEOUT,
            finish_timeout: FINISH_TIMEOUT,
            ..MuxerOptions::default()
        };
        let streams: Vec<_> = [
            Some(video.stream()),
            audio.as_ref().map(AudioEncoder::stream),
        ]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
        let guard = Arc::new(Interrupt::default());
        let muxer = Muxer::open(
            &path.to_string_lossy(),
            container,
            &streams,
            &options,
            &guard,
        )?;
        let (sender, receiver) = media_channel(FRAMES_WAITING);
        let report = Arc::new(Mutex::new(OfflineReport::default()));
        let writer = Writer {
            video,
            audio,
            muxer,
            report: Arc::clone(&report),
            failed: None,
        };
        let thread = NamedThread::spawn("render".to_owned(), move || writer.run(&receiver))?;
        Ok(Self {
            sender: Some(sender),
            thread,
            report,
            next_tick: 0,
        })
    }

    /// Hands in the next tick and waits for room.
    ///
    /// # Errors
    /// What stopped the encoder or the file; told once, and nothing more is taken then.
    pub fn push(
        &mut self,
        frame: Arc<raster::I420Frame>,
        audio: AudioChunk,
    ) -> Result<(), StreamingError> {
        let media = TickMedia {
            tick: self.next_tick,
            frame,
            audio,
        };
        self.next_tick += 1;
        if self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.send(media).is_ok())
        {
            return Ok(());
        }
        self.end().and(Err(StreamingError::StillRunning))
    }

    /// Encodes what is left and writes the file's end.
    ///
    /// # Errors
    /// What stopped the encoder or the file.
    pub fn finish(mut self) -> Result<OfflineReport, StreamingError> {
        self.end()?;
        Ok(*self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&mut self) -> Result<(), StreamingError> {
        self.sender = None;
        self.thread
            .end_by(Instant::now() + FINISH_TIMEOUT)
            .map_or(Ok(()), |end| end.result)
    }
}

/// The thread's side.
struct Writer {
    video: VideoEncoder,
    audio: Option<AudioEncoder>,
    muxer: Muxer,
    report: Arc<Mutex<OfflineReport>>,
    /// The first failed write; an encoder's sink cannot stop the encoder.
    failed: Option<CodecError>,
}

impl Writer {
    fn run(mut self, receiver: &MediaReceiver) -> Result<(), StreamingError> {
        let mut frames = 0;
        for media in &receiver.media {
            self.take(&media)?;
            frames += 1;
        }
        let Self {
            mut video,
            audio,
            mut muxer,
            report,
            mut failed,
        } = self;
        video.flush(&mut |packet| write(&mut muxer, &mut failed, &packet))?;
        if let Some(mut audio) = audio {
            audio.flush(&mut |packet| write(&mut muxer, &mut failed, &packet))?;
        }
        failed.map_or(Ok(()), Err)?;
        let bytes = muxer.payload_bytes();
        muxer.finish()?;
        *report.lock().unwrap_or_else(PoisonError::into_inner) = OfflineReport { frames, bytes };
        Ok(())
    }

    fn take(&mut self, media: &TickMedia) -> Result<(), StreamingError> {
        let (muxer, failed) = (&mut self.muxer, &mut self.failed);
        let mut sink = |packet| write(muxer, failed, &packet);
        match (&mut self.audio, &media.audio) {
            (Some(audio), AudioChunk::Silence { samples }) => {
                audio.push_silence(*samples, &mut sink)?
            }
            (Some(audio), AudioChunk::Samples(stereo)) => {
                audio.push(&stereo.left, &stereo.right, &mut sink)?
            }
            (None, _) => {}
        }
        self.video
            .encode(&media.frame, media.tick.cast_signed(), &mut sink)?;
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

fn write(muxer: &mut Muxer, failed: &mut Option<CodecError>, packet: &Packet) {
    if failed.is_none() {
        *failed = muxer.write(packet).err();
    }
}
