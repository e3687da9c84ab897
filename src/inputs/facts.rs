//! What is known of a decoder, for all who ask, and what they may ask of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::{Interrupt, MediaStream};

/// Over how long a bitrate is measured.
const BITRATE_OVER: Duration = Duration::from_secs(2);

/// Facts of one decoder. Written by its thread.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Times that it came back after it was lost, or was asked to connect anew.
    pub(super) reconnects: AtomicU64,
    /// Packets and pictures that could not be decoded.
    pub(super) broken: AtomicU64,
    /// Panics that were caught.
    pub(super) panics: AtomicU64,
    /// Bytes of coded pictures and sound.
    pub(super) bytes: AtomicU64,
    known: Mutex<Known>,
    retry: AtomicBool,
    interrupt: Mutex<Option<Arc<Interrupt>>>,
}

/// What is looked up together.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) error: Option<String>,
    /// Why there is no sound, though there is some in it.
    pub(super) sound_error: Option<String>,
    pub(super) video_codec: Option<String>,
    pub(super) audio_codec: Option<String>,
    pub(super) natural: Option<(u32, u32)>,
    pub(super) is_hdr: bool,
    pub(super) frames_per_second: Option<f64>,
    pub(super) sample_rate: Option<u32>,
    pub(super) bitrate_kbps: Option<f64>,
    pub(super) duration_seconds: Option<f64>,
    measured: Option<(Instant, u64)>,
    pictures: Option<(i64, u32)>,
    was_live: bool,
    is_lost: bool,
}

impl Facts {
    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    pub(super) fn set_error(&self, error: Option<&str>) {
        let mut known = self.lock();
        if known.error.as_deref() != error {
            known.error = error.map(str::to_owned);
        }
    }

    /// Notes that something was given: whatever was wrong is over.
    pub(super) fn note_live(&self) {
        let mut known = self.lock();
        known.error = None;
        if std::mem::take(&mut known.is_lost) && known.was_live {
            self.reconnects.fetch_add(1, Relaxed);
        }
        known.was_live = true;
    }

    /// Notes that it is lost: nothing comes in until it is back.
    pub(super) fn note_lost(&self, error: &str) {
        self.set_error(Some(error));
        self.note_anew();
    }

    /// Notes that its connection is made anew.
    pub(super) fn note_anew(&self) {
        let mut known = self.lock();
        known.is_lost = true;
        (known.bitrate_kbps, known.measured) = (None, None);
    }

    /// Notes why its sound cannot be heard; its pictures go on.
    pub(super) fn note_sound_error(&self, error: &str) {
        tracing::warn!(error, "the sound of an input is left out");
        self.lock().sound_error = Some(error.to_owned());
    }

    /// Warns, once, of pictures whose range of brightness is shown as if it were the usual one.
    pub(super) fn note_hdr(&self, layer: &str) {
        if !std::mem::replace(&mut self.lock().is_hdr, true) {
            tracing::warn!(
                layer,
                "an input is HDR; its brightness is not mapped, so it looks flat"
            );
        }
    }

    /// Notes what a stream of pictures says of itself.
    pub(super) fn note_video(&self, stream: &MediaStream) {
        let mut known = self.lock();
        known.video_codec = Some(stream.codec());
        (known.pictures, known.is_hdr) = (None, false);
        if stream.size().is_some() {
            known.natural = stream.size();
        }
        known.frames_per_second = stream.frames_per_second();
    }

    /// Notes what a stream of sound says of itself.
    pub(super) fn note_audio(&self, stream: &MediaStream) {
        let mut known = self.lock();
        (known.audio_codec, known.sound_error) = (Some(stream.codec()), None);
        known.sample_rate = stream.sample_rate();
    }

    pub(super) fn note_duration(&self, duration_us: Option<i64>) {
        self.lock().duration_seconds = duration_us.map(|us| us as f64 / 1_000_000.0);
    }

    /// Notes a decoded picture; of a live stream its time too, from which its rate is told.
    pub(super) fn note_picture(&self, natural: (u32, u32), live_us: Option<i64>) {
        const PICTURES: u32 = 30;
        let mut known = self.lock();
        known.natural = Some(natural);
        let Some(now_us) = live_us else { return };
        let (since_us, count) = known.pictures.unwrap_or((now_us, 0));
        if count < PICTURES && now_us >= since_us {
            known.pictures = Some((since_us, count + 1));
            return;
        }
        let seconds = (now_us - since_us) as f64 / 1_000_000.0;
        if seconds > 0.0 {
            known.frames_per_second = Some(f64::from(count) / seconds);
        }
        known.pictures = Some((now_us, 1));
    }

    /// Counts bytes, and tells the bitrate every few seconds.
    pub(super) fn note_bytes(&self, bytes: usize) {
        let all = self.bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        let now = Instant::now();
        let mut known = self.lock();
        match known.measured {
            None => known.measured = Some((now, all)),
            Some((since, before)) if now - since >= BITRATE_OVER => {
                let seconds = (now - since).as_secs_f64();
                known.bitrate_kbps = Some((all - before) as f64 * 8.0 / 1000.0 / seconds);
                known.measured = Some((now, all));
            }
            Some(_) => {}
        }
    }

    /// Asks for a new connection at once, whatever it is doing.
    pub(super) fn reconnect(&self) {
        self.retry.store(true, Relaxed);
        self.interrupt();
    }

    /// Ends the call that it is blocked in, and all of the same connection after it.
    pub(super) fn interrupt(&self) {
        let interrupt = self
            .interrupt
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(interrupt) = &*interrupt {
            interrupt.abort();
        }
    }

    /// Whether a new connection was asked for; it is then no more.
    pub(super) fn take_retry(&self) -> bool {
        self.retry.swap(false, Relaxed)
    }

    /// Whether a new connection is asked for.
    pub(super) fn is_retry_wanted(&self) -> bool {
        self.retry.load(Relaxed)
    }

    /// A bound on the calls of the next connection, which ends them when another is asked for.
    pub(super) fn new_interrupt(&self) -> Arc<Interrupt> {
        let interrupt = Arc::new(Interrupt::default());
        *self
            .interrupt
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&interrupt));
        interrupt
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
