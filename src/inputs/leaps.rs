//! Times of a film's pictures that leap far ahead: those of a damaged packet, which are left out, told from those that others follow.
//!
//! A damaged time would have the film last for hours, and its picture keep all others from being shown. All times are microseconds
//! of the film.

use std::collections::VecDeque;

/// A picture that is further ahead of those before it than this is held until it is known what follows.
const LEAP_US: i64 = 10_000_000;
/// Damaged times that are remembered until their pictures come out of the decoder.
const STRAYS_MAX: usize = 64;

/// What is known of the times of a pass.
#[derive(Debug, Default)]
pub(super) struct Leaps {
    /// The last packet, where it leapt: its time, and where its picture ends.
    pending: Option<(i64, i64)>,
    strays: VecDeque<i64>,
}

impl Leaps {
    /// Takes the next packet, which is shown from `film_us` to `ends_us`, and gives where what was read so far ends: `read_us` before it.
    /// Packets come out of order by at most `reorder_us`.
    pub(super) fn packet(
        &mut self,
        (film_us, ends_us): (i64, i64),
        read_us: i64,
        reorder_us: i64,
    ) -> i64 {
        let mut read_us = read_us;
        if let Some(pending) = self.pending.take() {
            // Others follow a real one, and go on from before one that is damaged.
            let is_real = film_us >= pending.0.saturating_sub(reorder_us);
            read_us = self.settle(pending, is_real, read_us);
        }
        if film_us > read_us.saturating_add(LEAP_US) {
            self.pending = Some((film_us, ends_us));
            return read_us;
        }
        read_us.max(ends_us)
    }

    /// Nothing follows: a last picture that leapt counts where the film is known to last as long.
    pub(super) fn end(&mut self, duration_us: Option<i64>, read_us: i64) -> i64 {
        let Some(pending) = self.pending.take() else {
            return read_us;
        };
        let is_real = duration_us.is_some_and(|duration_us| pending.0 < duration_us);
        self.settle(pending, is_real, read_us)
    }

    /// Whether it is not known yet what the last packet's time is worth; it is not to be decoded before.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the picture of this time is to be left out.
    pub(super) fn is_stray(&self, film_us: i64) -> bool {
        self.strays.contains(&film_us)
    }

    /// Forgets all, for another pass.
    pub(super) fn clear(&mut self) {
        self.pending = None;
        self.strays.clear();
    }

    fn settle(&mut self, (film_us, ends_us): (i64, i64), is_real: bool, read_us: i64) -> i64 {
        if is_real {
            return read_us.max(ends_us);
        }
        self.strays.truncate(STRAYS_MAX - 1);
        self.strays.push_front(film_us);
        read_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: i64 = 40_000;
    const HOUR_US: i64 = 3_600_000_000;

    fn read(leaps: &mut Leaps, times: &[i64]) -> i64 {
        times.iter().fold(0, |read_us, time| {
            leaps.packet((*time, time + FRAME_US), read_us, 1_000_000)
        })
    }

    #[test]
    fn one_damaged_time_is_left_out_and_the_film_is_no_longer_for_it() {
        let mut leaps = Leaps::default();
        let read_us = read(
            &mut leaps,
            &[0, FRAME_US, HOUR_US, 3 * FRAME_US, 4 * FRAME_US],
        );
        assert_eq!(read_us, 5 * FRAME_US);
        assert!(leaps.is_stray(HOUR_US) && !leaps.is_stray(3 * FRAME_US));
        // At the end it is told by how long the film is.
        assert_eq!(read(&mut leaps, &[0, HOUR_US]), FRAME_US);
        assert_eq!(leaps.end(Some(2 * FRAME_US), FRAME_US), FRAME_US);
    }

    #[test]
    fn pictures_that_stand_for_minutes_are_real() {
        let mut leaps = Leaps::default();
        let minutes = [0, 60_000_000, 120_000_000];
        let read_us = read(&mut leaps, &minutes);
        assert_eq!(read_us, 60_000_000 + FRAME_US);
        assert!(leaps.is_pending());
        assert_eq!(
            leaps.end(Some(130_000_000), read_us),
            120_000_000 + FRAME_US
        );
        assert!(minutes.iter().all(|time| !leaps.is_stray(*time)));
    }
}
