//! The sound of speech: files and raw samples, made into blocks at 48 kHz.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use codec::{
    AudioDecoder, CodecError, CodedPacket, Demuxer, InputCodec, Interrupt, MediaStream, StreamKind,
};
use systems::speech::{BLOCK_FRAMES, SpeechBlock, SpeechBudget, SpeechOut, SpeechPart, whole_way};

use super::say::PcmFormat;
use super::too_much;
use crate::control::authored::unusable;
use crate::control::error::{ApiError, ErrorCode};
use crate::scene::registry::field;

/// The longest file or body, in seconds.
pub const SECONDS_MAX: u64 = 600;
/// The largest file or body, in bytes.
pub const BODY_BYTES_MAX: u64 = 64 << 20;
/// Samples that one who pushes may be ahead: 120 s.
pub const AHEAD_MAX_SAMPLES: usize = 48_000 * 120;
/// How long a file may be looked at.
const READ_MAX: Duration = Duration::from_secs(60);

/// How raw samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcmKind {
    /// Samples a second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// Each sample.
    pub format: PcmFormat,
    /// Whether whole numbers of 16 bits come with their highest byte first, as `audio/L16` (RFC 2586) has them.
    pub is_high_first: bool,
}

impl PcmKind {
    /// Looks at it.
    ///
    /// # Errors
    /// What cannot be taken, with its path.
    pub fn checked(self) -> Result<Self, ApiError> {
        if !(8_000..=48_000).contains(&self.rate) {
            let message = format!(
                "{} is out of range; it must be from 8000 to 48000",
                self.rate
            );
            return Err(unusable(field("", "rate"), message));
        }
        if !(1..=2).contains(&self.channels) {
            let message = format!("{} is out of range; it must be 1 or 2", self.channels);
            return Err(unusable(field("", "channels"), message));
        }
        Ok(self)
    }

    /// Bytes of a quarter of a second.
    pub fn slice_bytes(self) -> usize {
        (self.rate as usize / 4).max(1) * self.frame_bytes()
    }

    fn frame_bytes(self) -> usize {
        let sample = match self.format {
            PcmFormat::S16le => 2,
            PcmFormat::F32le => 4,
        };
        sample * usize::from(self.channels)
    }
}

/// Samples on their way to be blocks.
#[derive(Debug, Default)]
pub struct Sounds {
    waiting: Vec<[i16; 2]>,
    /// Blocks that are whole.
    pub blocks: VecDeque<Box<SpeechBlock>>,
    samples: u64,
    /// What they take of the budget, where all of them are kept.
    part: Option<SpeechPart>,
}

impl Sounds {
    /// All sound of an utterance, as far as the budget has room.
    fn within(budget: &SpeechBudget) -> Self {
        Self {
            part: Some(budget.part()),
            ..Self::default()
        }
    }

    fn add(&mut self, samples: &[[f32; 2]]) -> Result<(), ApiError> {
        if let Some(part) = &self.part
            && !part.grow(samples.len() as u64)
        {
            return Err(too_much());
        }
        let whole = |sample: f32| (sample * 32767.0).round() as i16;
        self.samples += samples.len() as u64;
        let samples = samples
            .iter()
            .map(|[left, right]| [whole(*left), whole(*right)]);
        self.waiting.extend(samples);
        let mut rest = 0;
        for chunk in self.waiting.chunks_exact(BLOCK_FRAMES) {
            self.blocks.push_back(block(chunk));
            rest += BLOCK_FRAMES;
        }
        self.waiting.drain(..rest);
        Ok(())
    }

    /// Makes a block of what is less than one.
    pub fn flush(&mut self) {
        if !self.waiting.is_empty() {
            self.blocks.push_back(block(&self.waiting));
            self.waiting.clear();
        }
    }

    /// Samples of each channel that have not been sent on.
    pub fn samples_waiting(&self) -> u64 {
        let blocks = self.blocks.iter().map(|block| u64::from(block.len));
        blocks.sum::<u64>() + self.waiting.len() as u64
    }

    fn must_be_short(&self) -> Result<(), ApiError> {
        match self.samples > SECONDS_MAX * 48_000 {
            true => Err(too_long()),
            false => Ok(()),
        }
    }

    /// An utterance's way with all of it.
    fn whole(mut self) -> Result<SpeechOut, ApiError> {
        self.flush();
        if self.blocks.is_empty() {
            return Err(ApiError::invalid("there is no sound in it"));
        }
        let part = self.part.unwrap_or_else(|| SpeechBudget::default().part());
        Ok(whole_way(self.blocks, part))
    }
}

fn block(samples: &[[i16; 2]]) -> Box<SpeechBlock> {
    let mut frames = [[0; 2]; BLOCK_FRAMES];
    frames[..samples.len()].copy_from_slice(samples);
    Box::new(SpeechBlock {
        len: samples.len() as u16,
        frames,
    })
}

/// Raw samples on their way to 48 kHz.
pub struct Pcm {
    kind: PcmKind,
    decoder: AudioDecoder,
    /// Bytes of a frame that is not whole.
    rest: Vec<u8>,
    samples: Vec<[f32; 2]>,
}

impl Pcm {
    /// Opens the resampler.
    ///
    /// # Errors
    /// FFmpeg's.
    pub fn open(kind: PcmKind) -> Result<Self, ApiError> {
        let codec = match kind.format {
            PcmFormat::S16le => InputCodec::PcmS16le,
            PcmFormat::F32le => InputCodec::PcmF32le,
        };
        let stream = MediaStream::of_codec(codec, &[], Some((kind.rate, kind.channels)));
        let decoder = stream.and_then(|stream| AudioDecoder::open(&stream));
        Ok(Self {
            kind,
            decoder: decoder.map_err(|error| unreadable(&error))?,
            rest: Vec::new(),
            samples: Vec::new(),
        })
    }

    /// Takes some bytes.
    ///
    /// # Errors
    /// FFmpeg's.
    pub fn push(&mut self, bytes: &[u8], sounds: &mut Sounds) -> Result<(), ApiError> {
        self.rest.extend_from_slice(bytes);
        let frame = self.kind.frame_bytes();
        let whole = self.rest.len() / frame * frame;
        let some = (self.kind.rate as usize / 10).max(1) * frame;
        if self.kind.is_high_first {
            let pairs = self.rest[..whole].chunks_exact_mut(2);
            pairs.for_each(|pair| pair.swap(0, 1));
        }
        for chunk in self.rest[..whole].chunks(some) {
            let packet = CodedPacket::from_bytes(StreamKind::Audio, chunk, 0, 0, true);
            self.decoder
                .send(&packet)
                .map_err(|error| unreadable(&error))?;
            take(&mut self.decoder, &mut self.samples, sounds)?;
        }
        self.rest.drain(..whole);
        Ok(())
    }

    /// Nothing follows.
    ///
    /// # Errors
    /// FFmpeg's.
    pub fn end(mut self, sounds: &mut Sounds) -> Result<(), ApiError> {
        self.decoder.end();
        take(&mut self.decoder, &mut self.samples, sounds)?;
        sounds.flush();
        Ok(())
    }
}

fn take(
    decoder: &mut AudioDecoder,
    samples: &mut Vec<[f32; 2]>,
    sounds: &mut Sounds,
) -> Result<(), ApiError> {
    while decoder
        .receive(samples)
        .map_err(|error| unreadable(&error))?
        .is_some()
    {
        sounds.add(samples)?;
    }
    Ok(())
}

/// All of some raw samples.
///
/// # Errors
/// There are none, more than 10 minutes of them, or more than may wait; or the reader's.
pub fn read_pcm(
    mut from: impl Read,
    kind: PcmKind,
    budget: &SpeechBudget,
) -> Result<SpeechOut, ApiError> {
    let mut sounds = Sounds::within(budget);
    let mut pcm = Pcm::open(kind)?;
    let mut bytes = vec![0; 64 << 10];
    loop {
        let length = from
            .read(&mut bytes)
            .map_err(|error| ApiError::internal(format!("the disk: {error}")))?;
        if length == 0 {
            break;
        }
        pcm.push(&bytes[..length], &mut sounds)?;
        sounds.must_be_short()?;
    }
    pcm.end(&mut sounds)?;
    sounds.whole()
}

/// All sound of a file.
///
/// # Errors
/// It has none that can be decoded, more than 10 minutes of it, or more than may wait.
pub fn sound_of(path: &Path, budget: &SpeechBudget) -> Result<SpeechOut, ApiError> {
    let refused = |error: CodecError| {
        let message = format!("it is no sound that can be played: {error}");
        ApiError::invalid(message.replace(&*path.to_string_lossy(), "the file"))
    };
    let interrupt = Arc::new(Interrupt::default());
    let mut demuxer = Demuxer::open_file(path, &interrupt, READ_MAX).map_err(refused)?;
    if demuxer.duration_us().unwrap_or(0) > SECONDS_MAX as i64 * 1_000_000 {
        return Err(too_long());
    }
    demuxer.without_video();
    let stream = demuxer.audio().cloned();
    let stream = stream.ok_or_else(|| ApiError::invalid("there is no sound in the file"))?;
    let mut decoder = AudioDecoder::open(&stream).map_err(refused)?;
    let (mut sounds, mut samples) = (Sounds::within(budget), Vec::new());
    while let Some(packet) = demuxer.read().map_err(refused)? {
        if packet.kind() != StreamKind::Audio {
            continue;
        }
        decoder.send(&packet).map_err(refused)?;
        take(&mut decoder, &mut samples, &mut sounds)?;
        sounds.must_be_short()?;
    }
    decoder.end();
    take(&mut decoder, &mut samples, &mut sounds)?;
    sounds.whole()
}

fn too_long() -> ApiError {
    let message = format!("speech is at most {} minutes long", SECONDS_MAX / 60);
    ApiError::new(ErrorCode::TooLarge, message)
}

fn unreadable(error: &CodecError) -> ApiError {
    ApiError::invalid(format!("the samples cannot be resampled: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(out: &SpeechOut) -> u64 {
        out.state().received()
    }

    #[test]
    fn samples_of_any_rate_last_as_long_at_48_khz() {
        let budget = SpeechBudget::default();
        for (rate, channels, format, size) in [
            (24_000, 1, PcmFormat::S16le, 2),
            (44_100, 2, PcmFormat::F32le, 8),
            (48_000, 1, PcmFormat::F32le, 4),
            (8_000, 2, PcmFormat::S16le, 4),
        ] {
            let kind = PcmKind {
                rate,
                channels,
                format,
                is_high_first: false,
            };
            let out = read_pcm(&*vec![0; rate as usize * size], kind, &budget).expect("samples");
            let length = length(&out);
            assert!(length.abs_diff(48_000) < 100, "{kind:?}: {length}");
            assert_eq!(budget.used(), length);
            drop(out);
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn bytes_may_be_cut_anywhere_and_come_in_either_order() {
        for (is_high_first, bytes_of) in [
            (false, u16::to_le_bytes as fn(u16) -> [u8; 2]),
            (true, u16::to_be_bytes),
        ] {
            let kind = PcmKind {
                rate: 48_000,
                channels: 1,
                format: PcmFormat::S16le,
                is_high_first,
            };
            let bytes: Vec<u8> = (0..9_600).flat_map(bytes_of).collect();
            let (mut sounds, mut pcm) = (Sounds::default(), Pcm::open(kind).expect("opens"));
            for chunk in bytes.chunks(333) {
                pcm.push(chunk, &mut sounds).expect("taken");
            }
            pcm.end(&mut sounds).expect("ends");
            let samples: Vec<i16> = sounds
                .blocks
                .iter()
                .flat_map(|block| &block.frames[..usize::from(block.len)])
                .map(|[left, _]| *left)
                .collect();
            assert_eq!(samples.len(), 9_600);
            let is_near = |(place, sample): (usize, &i16)| place.abs_diff(*sample as usize) <= 1;
            assert!(samples.iter().enumerate().all(is_near));
        }
    }

    #[test]
    fn nothing_and_what_is_no_sound_is_refused() {
        let kind = PcmKind {
            rate: 48_000,
            channels: 1,
            format: PcmFormat::S16le,
            is_high_first: false,
        };
        let budget = SpeechBudget::default();
        assert!(read_pcm(&[][..], kind, &budget).is_err());
        let long = std::io::repeat(0).take((SECONDS_MAX + 1) * 96_000);
        let error = read_pcm(long, kind, &budget).expect_err("too long");
        assert_eq!(error.code, ErrorCode::TooLarge);
        let small = SpeechBudget::new(48_000);
        let error = read_pcm(&vec![0; 100_000][..], kind, &small).expect_err("no room");
        assert_eq!((error.code, small.used()), (ErrorCode::Unavailable, 0));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wav");
        std::fs::write(&path, b"no sound at all").expect("written");
        let error = sound_of(&path, &budget).expect_err("refused");
        assert!(!error.message.contains(&*path.to_string_lossy()));
    }
}
