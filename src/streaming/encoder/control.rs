//! What other threads may ask of an encoder thread, and what they can see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use codec::{Packet, Preset, StreamKind, VideoSettings};

use super::clock::KeyframeClock;
use crate::streaming::thread::milliseconds;

/// Frame rate and bitrate are taken over so long.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// Without a frame for so long, both are 0.
const RATE_STALE: Duration = Duration::from_secs(3);

/// An encoder thread at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EncoderStats {
    /// Frames encoded.
    pub frames: u64,
    /// Bytes of picture and sound.
    pub bytes: u64,
    /// Frames that found no room on the way to the encoder, or came while there was none.
    pub frames_dropped: u64,
    /// Frames of another size than the rendition's, which were scaled to it.
    pub frames_scaled: u64,
    /// Frames of another size that could not be scaled, and were left out.
    pub frames_misfit: u64,
    /// Frames a second over the last second.
    pub fps: f64,
    /// Kilobits a second of picture and sound over the last second.
    pub bitrate_kbps: f64,
    /// The picture's bitrate that the encoder is to hold now, kilobits a second.
    pub bitrate_kbps_set: u32,
    /// The picture's bitrate that the operator asked for, kilobits a second: `bitrate_kbps_set` where no output lags.
    pub bitrate_kbps_ceiling: u32,
    /// Frames that wait for the encoder.
    pub queue_len: usize,
    /// Keyframes among the frames.
    pub keyframes: u64,
    /// Encoders that failed and were replaced.
    pub restarts: u64,
    /// Samples of silence that stand for sound that never came.
    pub silence_samples: u64,
    /// Milliseconds that the last frame took.
    pub encode_ms_last: f64,
    /// Milliseconds that a frame took, on average since the start.
    pub encode_ms_mean: f64,
}

/// No limit below the operator's ceiling.
const UNLIMITED: u32 = u32::MAX;

/// Shared by the encoder threads of a rendition and all who ask something of it.
#[derive(Debug)]
pub(crate) struct EncoderControl {
    /// What the operator wants.
    ceiling_kbps: AtomicU32,
    /// What the outputs take, where that is less.
    limit_kbps: AtomicU32,
    /// Index into [`Preset::ALL`].
    preset: AtomicU8,
    clock: Arc<KeyframeClock>,
    figures: Figures,
    frames_refused: Arc<AtomicU64>,
    /// The encoder's own name.
    encoder: Mutex<String>,
    /// One more than the samples given to the sound encoder, and than the tick of the last picture; 0 before the first.
    reached: [AtomicU64; 2],
}

impl EncoderControl {
    pub(crate) fn new(
        video: &VideoSettings,
        frames_refused: Arc<AtomicU64>,
        clock: Arc<KeyframeClock>,
    ) -> Self {
        Self {
            ceiling_kbps: AtomicU32::new(video.bitrate_kbps),
            limit_kbps: AtomicU32::new(UNLIMITED),
            preset: AtomicU8::new(video.preset as u8),
            clock,
            figures: Figures::default(),
            frames_refused,
            encoder: Mutex::default(),
            reached: Default::default(),
        }
    }

    /// What the encoder is to hold now.
    pub(crate) fn bitrate_kbps(&self) -> u32 {
        self.ceiling_kbps()
            .min(self.limit_kbps.load(Ordering::Relaxed))
    }

    pub(crate) fn ceiling_kbps(&self) -> u32 {
        self.ceiling_kbps.load(Ordering::Relaxed)
    }

    /// The value must have been validated.
    pub(crate) fn set_ceiling_kbps(&self, bitrate_kbps: u32) {
        self.ceiling_kbps.store(bitrate_kbps, Ordering::Relaxed);
    }

    /// Holds the bitrate below the ceiling, or no longer.
    pub(crate) fn set_limit_kbps(&self, limit_kbps: Option<u32>) {
        let limit_kbps = limit_kbps.unwrap_or(UNLIMITED);
        self.limit_kbps.store(limit_kbps, Ordering::Relaxed);
    }

    pub(crate) fn set_encoder(&self, name: &str) {
        name.clone_into(&mut self.encoder.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The encoder's own name; empty before one is open.
    pub(crate) fn encoder(&self) -> String {
        let name = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        name.clone()
    }

    pub(crate) fn clock(&self) -> &KeyframeClock {
        &self.clock
    }

    /// Samples given to the sound encoder, and the tick of the last picture.
    pub(super) fn reached(&self) -> (Option<u64>, Option<u64>) {
        let [samples, tick] = &self.reached;
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed).checked_sub(1);
        (read(samples), read(tick))
    }

    pub(super) fn set_reached(&self, samples: Option<u64>, tick: Option<u64>) {
        for (cell, value) in self.reached.iter().zip([samples, tick]) {
            cell.store(value.map_or(0, |value| value + 1), Ordering::Relaxed);
        }
    }

    pub(crate) fn preset(&self) -> Preset {
        let index = usize::from(self.preset.load(Ordering::Relaxed));
        Preset::ALL.get(index).copied().unwrap_or(Preset::Veryfast)
    }

    pub(crate) fn set_preset(&self, preset: Preset) {
        self.preset.store(preset as u8, Ordering::Relaxed);
    }

    /// Asks for a keyframe, of all renditions.
    pub(crate) fn request_keyframe(&self) {
        self.clock.request();
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    pub(crate) fn stats(&self, queue_len: usize) -> EncoderStats {
        let figures = &self.figures;
        let frames = figures.frames.load(Ordering::Relaxed);
        let rates = figures.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stale = rates.since.is_none_or(|since| since.elapsed() > RATE_STALE);
        let (fps, bitrate_kbps) = if is_stale {
            (0.0, 0.0)
        } else {
            (rates.fps, rates.kbps)
        };
        drop(rates);
        let mean_us = figures
            .encode_us_total
            .load(Ordering::Relaxed)
            .checked_div(frames)
            .unwrap_or(0);
        EncoderStats {
            frames,
            bytes: figures.bytes.load(Ordering::Relaxed),
            frames_dropped: self.frames_refused.load(Ordering::Relaxed)
                + figures.skipped.load(Ordering::Relaxed),
            frames_scaled: figures.scaled.load(Ordering::Relaxed),
            frames_misfit: figures.misfits.load(Ordering::Relaxed),
            fps,
            bitrate_kbps,
            bitrate_kbps_set: self.bitrate_kbps(),
            bitrate_kbps_ceiling: self.ceiling_kbps(),
            queue_len,
            keyframes: figures.keyframes.load(Ordering::Relaxed),
            restarts: figures.restarts.load(Ordering::Relaxed),
            silence_samples: figures.silence_samples.load(Ordering::Relaxed),
            encode_ms_last: milliseconds(Duration::from_micros(
                figures.encode_us_last.load(Ordering::Relaxed),
            )),
            encode_ms_mean: milliseconds(Duration::from_micros(mean_us)),
        }
    }
}

/// Counters that encoder threads alone write, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    frames: AtomicU64,
    keyframes: AtomicU64,
    skipped: AtomicU64,
    scaled: AtomicU64,
    misfits: AtomicU64,
    restarts: AtomicU64,
    silence_samples: AtomicU64,
    bytes: AtomicU64,
    encode_us_last: AtomicU64,
    encode_us_total: AtomicU64,
    rates: Mutex<Rates>,
}

#[derive(Debug, Default)]
struct Rates {
    /// Start of the window being counted.
    since: Option<Instant>,
    frames: u64,
    bytes: u64,
    fps: f64,
    kbps: f64,
}

impl Figures {
    pub(super) fn count_frame(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.encode_us_last.store(took_us, Ordering::Relaxed);
        self.encode_us_total.fetch_add(took_us, Ordering::Relaxed);
        let frames = self.frames.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.load(Ordering::Relaxed);
        let now = Instant::now();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let window = rates.since.map(|since| now - since);
        if let Some(window) = window.filter(|window| *window >= RATE_WINDOW) {
            // Counts of one window, far below 2^52.
            #[expect(clippy::cast_precision_loss, reason = "small counts, and a statistic")]
            let (window_frames, window_bits) = (
                (frames - rates.frames) as f64,
                (bytes - rates.bytes) as f64 * 8.0,
            );
            rates.fps = window_frames / window.as_secs_f64();
            rates.kbps = window_bits / 1000.0 / window.as_secs_f64();
        }
        if window.is_none_or(|window| window >= RATE_WINDOW) {
            (rates.since, rates.frames, rates.bytes) = (Some(now), frames, bytes);
        }
    }

    pub(super) fn count_bytes(&self, packet: &Packet) {
        self.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        if packet.kind() == StreamKind::Video && packet.is_key() {
            self.keyframes.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_scaled(&self) {
        self.scaled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_misfit(&self) {
        self.misfits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_silence(&self, samples: u64) {
        self.silence_samples.fetch_add(samples, Ordering::Relaxed);
    }
}
