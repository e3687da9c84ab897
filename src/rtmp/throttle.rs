//! How fast a peer is read: no faster than it may send, and what is no publisher much slower, since it has little to say.

use std::time::{Duration, Instant};

use super::session::End;

/// Bytes a second of a peer that does not publish, whatever a publisher may send.
const ASKING_BYTES_PER_SECOND: f64 = 65_536.0;
/// What a message costs at least: an empty one comes as one byte, and is work all the same.
const MESSAGE_BYTES_MIN: usize = 64;
/// Seconds of the bandwidth that may come at once.
const BURST_S: f64 = 2.0;
/// A peer that sends more than it may is read slower for so long, then let go.
const THROTTLED_MAX: Duration = Duration::from_secs(10);
/// A peer that was not held up for so long keeps to what it may. One that has more to send is held up all the time.
const KEPT: Duration = Duration::from_millis(200);

/// Reads a peer no faster than it may send.
pub(super) struct Throttle {
    /// Of a publisher.
    rate_max: f64,
    rate: f64,
    left: f64,
    at: Instant,
    /// When it was held up first.
    since: Option<Instant>,
    /// When it was held up last.
    until: Instant,
}

impl Throttle {
    /// Of a peer that has just come; as a publisher it may send `rate_max` bytes a second.
    pub(super) fn new(rate_max: f64, now: Instant) -> Self {
        let rate = rate_max.min(ASKING_BYTES_PER_SECOND);
        Self {
            rate_max,
            rate,
            left: rate * BURST_S,
            at: now,
            since: None,
            until: now,
        }
    }

    /// Notes whether the peer publishes.
    pub(super) fn set_publishing(&mut self, is_publishing: bool) {
        let rate = if is_publishing {
            self.rate_max
        } else {
            self.rate_max.min(ASKING_BYTES_PER_SECOND)
        };
        if rate != self.rate {
            (self.rate, self.left, self.since) = (rate, rate * BURST_S, None);
        }
    }

    /// Notes a message whose bytes were noted: how long to wait before another is looked at.
    ///
    /// # Errors
    /// As [`Throttle::take`].
    pub(super) fn take_message(
        &mut self,
        bytes: usize,
        now: Instant,
    ) -> Result<Option<Duration>, End> {
        match MESSAGE_BYTES_MIN.saturating_sub(bytes) {
            0 => Ok(None),
            more => self.take(more, now),
        }
    }

    /// Notes bytes that came: how long to wait before more are read.
    ///
    /// # Errors
    /// [`End::Bandwidth`].
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> Result<Option<Duration>, End> {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.left = (self.left + gained).min(self.rate * BURST_S);
        self.at = now;
        if now.saturating_duration_since(self.until) > KEPT {
            self.since = None;
        }
        self.left -= bytes as f64;
        if self.left >= 0.0 {
            return Ok(None);
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) > THROTTLED_MAX {
            return Err(End::Bandwidth);
        }
        let pause = Duration::from_secs_f64(-self.left / self.rate);
        self.until = now + pause;
        Ok(Some(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends pieces as fast as they are taken: how many were, in how long.
    fn flood(
        throttle: &mut Throttle,
        start: Instant,
        mut take: impl FnMut(&mut Throttle, Instant) -> Result<Option<Duration>, End>,
    ) -> (u32, f64) {
        let (mut now, mut taken) = (start, 0);
        loop {
            match take(throttle, now) {
                Ok(pause) => now += pause.unwrap_or_default(),
                Err(End::Bandwidth) => break,
                Err(end) => panic!("{end}"),
            }
            taken += 1;
        }
        (taken, (now - start).as_secs_f64())
    }

    #[test]
    fn a_peer_that_sends_too_much_is_slowed_and_then_let_go() {
        let start = Instant::now();
        let mut throttle = Throttle::new(1000.0, start);
        let (taken, seconds) = flood(&mut throttle, start, |throttle, now| {
            throttle.take(500, now)
        });
        assert!((9.0..12.0).contains(&seconds), "{seconds}");
        let bytes = f64::from(taken) * 500.0;
        assert!(bytes <= 2000.0 + 1000.0 * seconds + 500.0, "{bytes}");
    }

    #[test]
    fn who_keeps_to_it_is_never_let_go() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(1000.0, now);
        // After a burst 98 of 100, in large pictures and small ones: for long it has little left, and is held up now and then.
        assert_eq!(throttle.take(2000, now).expect("a burst"), None);
        let mut pauses = 0;
        for index in 0..1000 {
            now += Duration::from_millis(500);
            let bytes = if index % 2 == 0 { 940 } else { 40 };
            let pause = throttle.take(bytes, now).expect("it keeps to it");
            pauses += u32::from(pause.is_some());
        }
        assert!(pauses > 15, "{pauses}");
    }

    #[test]
    fn empty_messages_cost_and_who_does_not_publish_may_send_little() {
        let start = Instant::now();
        let mut throttle = Throttle::new(6_250_000.0, start);
        let (taken, seconds) = flood(&mut throttle, start, |throttle, now| {
            throttle.take_message(0, now)
        });
        assert!(
            f64::from(taken) < 1024.0 * (seconds + 2.5),
            "{taken} in {seconds} s"
        );
        throttle.set_publishing(true);
        assert_eq!(throttle.take(12_000_000, start).expect("a burst"), None);
        assert_eq!(throttle.take_message(64, start).expect("paid"), None);
        throttle.set_publishing(false);
        assert!(throttle.take(200_000, start).expect("a pause").is_some());
    }
}
