//! On which ticks every rendition has its keyframes.
//!
//! The tick's thread decides, once for all renditions, before it hands a tick to them; encoder threads look back at what was
//! decided. So neither a late start, dropped frames, an encoder that is replaced nor a keyframe asked for by one output parts
//! the renditions: whoever watches may change from one to another at every keyframe of either.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use codec::VideoSettings;

/// Keyframes that are remembered: with one each half second, those of the last 8 s, and more than a queue of ticks holds.
const MARKS_MAX: usize = 16;

/// What was asked for since the last keyframe.
const NOTHING: u8 = 0;
const A_KEYFRAME: u8 = 1;
const A_KEYFRAME_NOW: u8 = 2;

/// Ticks of keyframes. One thread at a time hands in ticks; all others may read and ask. Nothing waits.
#[derive(Debug)]
pub(crate) struct KeyframeClock {
    /// Ticks from one keyframe to the next.
    interval: u64,
    /// Ticks at least between two that were asked for.
    spacing: u64,
    /// Whether more than one rendition follows it.
    is_shared: bool,
    asked: AtomicU8,
    /// The last ticks marked, as a ring.
    marks: [AtomicU64; MARKS_MAX],
    /// Ticks marked so far.
    count: AtomicU64,
}

impl KeyframeClock {
    /// The beat of `video`, which `renditions` renditions share.
    pub(crate) fn new(video: &VideoSettings, renditions: usize) -> Self {
        let rate = video.frame_rate;
        Self {
            interval: u64::from(video.keyframe_interval_frames()),
            spacing: u64::from(rate.numerator) / (2 * u64::from(rate.denominator.max(1))),
            is_shared: renditions > 1,
            asked: AtomicU8::new(NOTHING),
            marks: Default::default(),
            count: AtomicU64::new(0),
        }
    }

    /// Decides about `tick`, before any rendition has it: the first one, one on the beat, or one that was asked for, half a
    /// second at least after the last so that outputs that come and go do not eat the bitrate.
    pub(crate) fn advance(&self, tick: u64) {
        let count = self.count.load(Ordering::Relaxed);
        let last = count.checked_sub(1).map(|index| self.mark(index));
        // The beat is that of the ticks, not a count of frames.
        let is_due = last.is_none_or(|last| tick / self.interval != last / self.interval);
        let is_far = last.is_none_or(|last| tick.saturating_sub(last) >= self.spacing);
        let is_asked = match self.asked.load(Ordering::Relaxed) {
            NOTHING => false,
            A_KEYFRAME => is_far,
            _ => true,
        };
        if (is_due || is_asked) && last != Some(tick) {
            self.asked.store(NOTHING, Ordering::Relaxed);
            self.marks[slot(count)].store(tick, Ordering::Relaxed);
            // Whoever sees the count sees the mark, and whoever has the tick sees both.
            self.count.store(count + 1, Ordering::Release);
        }
    }

    /// Asks for a keyframe on one of the next ticks.
    pub(crate) fn request(&self) {
        self.asked.fetch_max(A_KEYFRAME, Ordering::Relaxed);
    }

    /// Asks for a keyframe on the next tick, however near the last one is: an encoder waits to begin.
    pub(crate) fn request_now(&self) {
        self.asked.store(A_KEYFRAME_NOW, Ordering::Relaxed);
    }

    /// The ticks of keyframes behind `after` and up to `tick`, in order.
    pub(crate) fn marks(&self, after: Option<u64>, tick: u64) -> impl Iterator<Item = u64> {
        let count = self.count.load(Ordering::Acquire);
        (count.saturating_sub(MARKS_MAX as u64)..count)
            .map(|index| self.mark(index))
            .filter(move |mark| after.is_none_or(|after| *mark > after) && *mark <= tick)
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn mark(&self, index: u64) -> u64 {
        self.marks[slot(index)].load(Ordering::Relaxed)
    }
}

fn slot(index: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "below 16")]
    let slot = (index % MARKS_MAX as u64) as usize;
    slot
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(clock: &KeyframeClock) -> Vec<u64> {
        clock.marks(None, u64::MAX).collect()
    }

    #[test]
    fn the_beat_is_that_of_the_ticks() {
        let clock = KeyframeClock::new(&VideoSettings::default(), 2);
        for tick in (50..70).chain(150..200) {
            clock.advance(tick);
        }
        assert_eq!(marks(&clock), [50, 60, 150, 180]);
        assert_eq!(clock.marks(Some(60), 179).collect::<Vec<_>>(), [150]);
    }

    #[test]
    fn requests_keep_their_distance_unless_an_encoder_waits() {
        let clock = KeyframeClock::new(&VideoSettings::default(), 2);
        for tick in 0..120 {
            if [5, 7, 31, 61].contains(&tick) {
                clock.request();
            }
            if tick == 80 {
                clock.request_now();
            }
            clock.advance(tick);
        }
        assert_eq!(marks(&clock), [0, 15, 31, 60, 75, 80]);
    }

    #[test]
    fn the_newest_are_remembered() {
        let clock = KeyframeClock::new(&VideoSettings::default(), 2);
        for tick in 0..60 * 40 {
            clock.advance(tick);
        }
        assert_eq!(
            marks(&clock),
            (24..40).map(|beat| beat * 60).collect::<Vec<_>>()
        );
    }
}
