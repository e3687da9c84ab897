//! Half an hour in a moment: sources whose clocks are off, that come unevenly, in bursts, late, or that jump.

use components::scene::FrameRate;

use super::*;

fn at(tick: u64) -> FrameClock {
    FrameClock {
        tick,
        rate: FrameRate::whole(30),
    }
}

#[test]
fn a_file_goes_on_where_it_was_when_its_speed_changes() {
    let mut file = FileClock::new(10);
    assert_eq!(file.at(&at(40), 40), 1e6);
    file.rebase(&at(40), 0.5);
    assert_eq!(file.at(&at(40), 40), 1e6);
    assert_eq!(file.at(&at(100), 100), 2e6);
    file.rebase(&at(100), 0.0);
    assert_eq!(file.at(&at(900), 900), 2e6);
}

/// A source: pictures and sound with times of its own, and when each of them arrives.
struct Source {
    /// Its microseconds a microsecond of the stream.
    speed: f64,
    /// Microseconds by which each item is late, at most; by chance, never before the one before it.
    jitter_us: f64,
    /// Everything is kept back and comes at once, so often, in microseconds; 0 for never.
    burst_us: f64,
    pictures: bool,
    sound: bool,
    /// Microseconds of its own clock at which its sound begins.
    sound_from_us: f64,
    state: u64,
    /// The next picture and block of sound, and the moments at which they arrive.
    next: [(f64, f64); 2],
}

/// Microseconds between pictures, and between packets of AAC.
const PICTURE_US: f64 = 1e6 / 30.0;
const PACKET_US: f64 = 1024.0 / 0.048;

impl Source {
    fn new(speed: f64, jitter_us: f64) -> Self {
        Self {
            speed,
            jitter_us,
            burst_us: 0.0,
            pictures: true,
            sound: true,
            sound_from_us: 0.0,
            state: 0x9e37_79b9_7f4a_7c15,
            next: [(0.0, 0.0); 2],
        }
    }

    fn chance(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1u64 << 53) as f64
    }

    /// When what ends at this microsecond of its clock arrives.
    fn arrival(&mut self, us: f64, before: f64) -> f64 {
        let mut moment = us / self.speed;
        if self.burst_us > 0.0 {
            moment = (moment / self.burst_us).ceil() * self.burst_us;
        }
        (moment + self.chance() * self.jitter_us).max(before)
    }

    /// The times of what of a stream has arrived by a moment: the first and the end of the newest.
    fn arrived(&mut self, stream: Stream, moment: f64) -> Option<(f64, f64)> {
        let (index, length, from_us, is_there) = match stream {
            Stream::Picture => (0, PICTURE_US, 0.0, self.pictures),
            Stream::Sound => (1, PACKET_US, self.sound_from_us, self.sound),
        };
        let mut span = None;
        while is_there && self.next[index].1 <= moment {
            let us = self.next[index].0;
            if us >= from_us {
                // A picture counts from its start, and sound to its end.
                let newest = if index == 0 { us } else { us + length };
                span = Some((span.map_or(us, |(first, _)| first), newest));
            }
            let before = self.next[index].1;
            let next = us + length;
            self.next[index] = (next, self.arrival(next + length, before));
        }
        span
    }
}

/// What a stretch of ticks came to.
#[derive(Debug)]
struct Stretch {
    /// What was held of pictures and of sound, least and most, in microseconds.
    pictures: (f64, f64),
    sound: (f64, f64),
    jumps: usize,
    /// Ticks for which a picture or a sample was missing.
    dry: usize,
    fastest: f64,
    drift_ppm: f64,
}

struct Run {
    clock: LiveClock,
    tick: u64,
    buffer_us: f64,
    newest: [Option<f64>; 2],
}

impl Run {
    fn new(buffer_us: f64) -> Self {
        Self {
            clock: LiveClock::default(),
            tick: 0,
            buffer_us,
            newest: [None; 2],
        }
    }

    fn ticks(&mut self, count: u64, source: &mut Source) -> Stretch {
        let none = (f64::INFINITY, f64::NEG_INFINITY);
        let mut stretch = Stretch {
            pictures: none,
            sound: none,
            jumps: 0,
            dry: 0,
            fastest: 0.0,
            drift_ppm: 0.0,
        };
        for _ in 0..count {
            let clock = at(self.tick);
            let moment = clock.rate.nanos_at(self.tick) as f64 / 1000.0;
            let seconds = self.clock.advance(&clock);
            for (stream, newest) in [Stream::Picture, Stream::Sound]
                .into_iter()
                .zip(&mut self.newest)
            {
                if let Some(span) = source.arrived(stream, moment) {
                    let jumped = newest.is_some_and(|newest| (span.0 - newest).abs() > 1e6);
                    let began =
                        self.clock
                            .arrived(stream, span, jumped, self.buffer_us, PICTURE_US);
                    stretch.jumps += usize::from(began);
                    *newest = Some(span.1);
                }
            }
            stretch.jumps += usize::from(self.clock.steer(seconds, self.buffer_us, PICTURE_US));
            self.tick += 1;
            let Some(now_us) = self.clock.now_us() else {
                continue;
            };
            let note = |held: &mut (f64, f64), newest: Option<f64>| {
                let newest = newest?;
                *held = (held.0.min(newest - now_us), held.1.max(newest - now_us));
                Some(newest - now_us)
            };
            let pictures = note(&mut stretch.pictures, self.newest[0]);
            let sound = note(&mut stretch.sound, self.newest[1]);
            // A picture that comes within a tick is shown on the next.
            let is_dry = pictures.is_some_and(|held| held < -PICTURE_US)
                || sound.is_some_and(|held| held < PICTURE_US * self.clock.rate());
            stretch.dry += usize::from(is_dry);
            stretch.fastest = stretch.fastest.max((self.clock.rate() - 1.0).abs());
        }
        stretch.drift_ppm = self.clock.drift_ppm();
        stretch
    }
}

const MINUTE: u64 = 30 * 60;

#[test]
fn a_source_that_falls_silent_teaches_nothing() {
    // The silence begins at another moment of what is being measured each time.
    for extra in [0, 7, 15, 23] {
        let mut source = Source::new(1.0002, 10_000.0);
        let mut run = Run::new(120_000.0);
        run.ticks(2 * MINUTE + extra, &mut source);
        let before = run.clock.drift_ppm();
        (source.pictures, source.sound) = (false, false);
        let silent = run.ticks(20 * 30, &mut source);
        let after = silent.drift_ppm;
        assert!((after - before).abs() < 50.0, "{before} {after}");
        assert!((run.clock.rate() - 1.0) * 1e6 - before < 50.0);
    }
}

#[test]
fn half_an_hour_with_a_clock_that_is_off_stays_in_its_buffer() {
    for ppm in [-500.0, -200.0, 0.0, 200.0, 500.0] {
        let mut source = Source::new(1.0 + ppm / 1e6, 30_000.0);
        let mut run = Run::new(120_000.0);
        let first = run.ticks(MINUTE, &mut source);
        assert_eq!(first.jumps, 1, "only the beginning: {ppm} {first:?}");
        let mut all = vec![first];
        for _ in 1..30 {
            all.push(run.ticks(MINUTE, &mut source));
        }
        for (minute, stretch) in all.iter().enumerate() {
            assert_eq!(stretch.dry, 0, "{ppm} ppm, minute {minute}: {stretch:?}");
            assert!(
                minute == 0 || stretch.jumps == 0,
                "{ppm} ppm, minute {minute}: {stretch:?}"
            );
            // Without steering it would be off by 200 ppm * 30 min = 360 ms.
            assert!(
                stretch.pictures.1 < 200_000.0,
                "{ppm} ppm, minute {minute}: {stretch:?}"
            );
            assert!(
                stretch.sound.1 < 200_000.0,
                "{ppm} ppm, minute {minute}: {stretch:?}"
            );
            assert!(stretch.fastest <= STEER_MAX);
        }
        let last = &all[29];
        assert!((last.drift_ppm - ppm).abs() < 120.0, "{ppm}: {last:?}");
    }
}

#[test]
fn no_buffer_and_each_stream_alone_hold() {
    for (pictures, sound) in [(true, true), (true, false), (false, true)] {
        let mut source = Source {
            pictures,
            sound,
            ..Source::new(1.0002, 2000.0)
        };
        let mut run = Run::new(0.0);
        run.ticks(MINUTE, &mut source);
        for minute in 1..10 {
            let stretch = run.ticks(MINUTE, &mut source);
            assert!(stretch.dry <= 2, "{pictures} {sound} {minute}: {stretch:?}");
            assert_eq!(stretch.jumps, 0, "{pictures} {sound} {minute}: {stretch:?}");
            let held = if pictures {
                stretch.pictures.1
            } else {
                stretch.sound.1
            };
            assert!(held < 130_000.0, "{pictures} {sound} {minute}: {stretch:?}");
        }
    }
}

#[test]
fn bursts_are_held_together() {
    let mut source = Source {
        burst_us: 400_000.0,
        ..Source::new(1.0001, 5000.0)
    };
    let mut run = Run::new(500_000.0);
    let first = run.ticks(MINUTE, &mut source);
    assert!(first.jumps <= 2, "{first:?}");
    for minute in 1..10 {
        let stretch = run.ticks(MINUTE, &mut source);
        assert_eq!(
            (stretch.dry, stretch.jumps),
            (0, 0),
            "{minute}: {stretch:?}"
        );
        assert!(stretch.pictures.1 < 1_100_000.0, "{minute}: {stretch:?}");
    }
}

#[test]
fn sound_that_joins_later_has_what_it_takes() {
    let mut source = Source {
        sound_from_us: 1e6,
        ..Source::new(1.0, 1000.0)
    };
    let mut run = Run::new(0.0);
    run.ticks(31, &mut source);
    let stretch = run.ticks(MINUTE, &mut source);
    assert!(stretch.dry <= 3, "{stretch:?}");
    assert_eq!(stretch.jumps, 0);
}

#[test]
fn what_a_server_had_kept_is_passed_over() {
    // Two seconds come at once, and the rest as it is made.
    let mut source = Source::new(1.0, 0.0);
    source.next = [(0.0, 0.0); 2];
    let mut run = Run::new(120_000.0);
    run.tick = 60;
    run.ticks(15, &mut source);
    let stretch = run.ticks(MINUTE, &mut source);
    assert!(stretch.pictures.1 < 260_000.0, "{stretch:?}");
    assert_eq!((stretch.dry, stretch.jumps), (0, 0), "{stretch:?}");
}

#[test]
fn a_stall_and_a_new_time_are_got_over_at_once() {
    let mut source = Source::new(1.0, 1000.0);
    let mut run = Run::new(120_000.0);
    run.ticks(10 * MINUTE / 60, &mut source);
    // The source stands still for three seconds, and goes on with the time that it had.
    let mut late = Late { source, shift: 3e6 };
    assert_eq!(late.run(&mut run, 150), 1);
    let now_us = run.clock.now_us().unwrap();
    let held = run.newest[0].unwrap() - now_us;
    assert!((0.0..300_000.0).contains(&held), "{held}");
}

/// A source whose things all come later than its clock says.
struct Late {
    source: Source,
    shift: f64,
}

impl Late {
    /// How often the time jumps in so many ticks.
    fn run(&mut self, run: &mut Run, ticks: u64) -> usize {
        let mut jumps = 0;
        for _ in 0..ticks {
            let clock = at(run.tick);
            let moment = clock.rate.nanos_at(run.tick) as f64 / 1000.0;
            let seconds = run.clock.advance(&clock);
            for (stream, newest) in [Stream::Picture, Stream::Sound]
                .into_iter()
                .zip(&mut run.newest)
            {
                if let Some(span) = self.source.arrived(stream, moment - self.shift) {
                    let began = run
                        .clock
                        .arrived(stream, span, false, run.buffer_us, PICTURE_US);
                    jumps += usize::from(began);
                    *newest = Some(span.1);
                }
            }
            jumps += usize::from(run.clock.steer(seconds, run.buffer_us, PICTURE_US));
            run.tick += 1;
        }
        jumps
    }
}
