//! The tick loop: absolute deadlines, and a constant frame rate whatever happens in between.
//!
//! Tick `n` is due at `n` frame times after the start, however long the ones before it took. A tick that ends late is noted and
//! blamed; for every whole frame time that is lost, the last good frame goes out once more, so that picture and sound keep the pace
//! of the clock.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use components::scene::FrameRate;
use systems::Engine;

use crate::clock::Clock;

/// The longest stop (of the machine, or of the whole process) that is made up for by repeated frames. After a longer one the loop
/// starts anew from there.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(5);

/// Ticks `engine` at its rate until `stop` is set. `after_tick` is called after each tick; it must not wait.
pub fn run(
    engine: &mut Engine,
    clock: &dyn Clock,
    stop: &AtomicBool,
    mut after_tick: impl FnMut(&mut Engine),
) {
    let mut rate = engine.rate();
    let mut origin = Origin {
        time: clock.now(),
        tick: engine.next_tick(),
    };
    loop {
        let deadline = origin.due(rate, engine.next_tick());
        clock.sleep_until(deadline);
        if stop.load(Relaxed) {
            return;
        }
        engine.tick();
        if engine.rate() != rate {
            // This tick was the last at the old rate; it began at its deadline.
            rate = engine.rate();
            origin = Origin {
                time: deadline,
                tick: engine.next_tick() - 1,
            };
        }
        let end = clock.now();
        let late = end.saturating_sub(origin.due(rate, engine.next_tick()));
        if !late.is_zero() {
            engine.note_late(late.as_secs_f64() * 1e3);
            if late > CATCH_UP_MAX {
                tracing::warn!(
                    stopped_ms = late.as_millis() as u64,
                    "the program stood still; the stream goes on from here"
                );
                origin = Origin {
                    time: end,
                    tick: engine.next_tick(),
                };
            }
            // A frame is repeated once its own time has wholly passed; less than that is made up by the next tick.
            while end >= origin.due(rate, engine.next_tick() + 1) {
                engine.repeat();
            }
        }
        after_tick(engine);
    }
}

struct Origin {
    time: Duration,
    tick: u64,
}

impl Origin {
    fn due(&self, rate: FrameRate, tick: u64) -> Duration {
        self.time + Duration::from_nanos(rate.nanos_at(tick - self.tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};
    use systems::EngineSettings;
    use systems::encode::{FrameOut, FramePort, Offer};
    use systems::publish::Blame;

    /// A clock that moves only when it is slept on, or when a slow port says so.
    #[derive(Clone, Default)]
    struct FakeClock(Arc<Mutex<Duration>>);

    impl FakeClock {
        fn advance(&self, by: Duration) {
            *self.0.lock().expect("no panic holds it") += by;
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Duration {
            *self.0.lock().expect("no panic holds it")
        }
        fn sleep_until(&self, deadline: Duration) {
            let mut now = self.0.lock().expect("no panic holds it");
            *now = deadline.max(*now);
        }
    }

    /// Takes every frame; on some ticks it takes a long time over it.
    struct SlowPort {
        clock: FakeClock,
        delays_ms: HashMap<u64, u64>,
        seen: Arc<Mutex<Vec<(u64, Duration, usize)>>>,
    }

    impl FramePort for SlowPort {
        fn offer(&mut self, frame: &FrameOut) -> Offer {
            self.seen.lock().expect("no panic holds it").push((
                frame.tick,
                self.clock.now(),
                frame.sound.len(),
            ));
            if let Some(delay) = self.delays_ms.remove(&frame.tick) {
                self.clock.advance(Duration::from_millis(delay));
            }
            Offer::Taken
        }
    }

    struct Outcome {
        seen: Vec<(u64, Duration, usize)>,
        repeated: u64,
        late: u64,
        blame: Option<Blame>,
    }

    fn run_with(delays_ms: &[(u64, u64)], ticks: u64) -> Outcome {
        let rate = FrameRate::whole(50);
        let mut engine = Engine::new(EngineSettings {
            width: 64,
            height: 32,
            rate,
            render_threads: 1,
            pool_frames: 4,
            max_layers: 8,
            epoch_unix_ms: 0,
            now_nanos: crate::clock::now_nanos,
        })
        .expect("a small canvas");
        let clock = FakeClock::default();
        let seen = Arc::new(Mutex::new(Vec::new()));
        engine.add_port(Box::new(SlowPort {
            clock: clock.clone(),
            delays_ms: delays_ms.iter().copied().collect(),
            seen: Arc::clone(&seen),
        }));
        let stop = AtomicBool::new(false);
        run(&mut engine, &clock, &stop, |engine| {
            stop.store(engine.next_tick() >= ticks, Relaxed)
        });
        let counters = engine.counters();
        let seen = seen.lock().expect("no panic holds it").clone();
        Outcome {
            seen,
            repeated: counters.repeated,
            late: counters.late,
            blame: engine.status_board().read().blame,
        }
    }

    #[test]
    fn ticks_start_on_absolute_deadlines_without_gaps() {
        // 7 ms of work in a tick of 20 ms must not add up.
        let outcome = run_with(&[(3, 7), (4, 7), (5, 7)], 10);
        let starts: Vec<u128> = outcome
            .seen
            .iter()
            .map(|(_, at, _)| at.as_millis())
            .collect();
        assert_eq!(starts, (0..10).map(|tick| tick * 20).collect::<Vec<u128>>());
        assert_eq!((outcome.repeated, outcome.late), (0, 0));
    }

    #[test]
    fn a_late_tick_is_made_up_without_a_repeat_when_its_time_has_not_wholly_passed() {
        let outcome = run_with(&[(2, 30)], 6);
        let starts: Vec<u128> = outcome
            .seen
            .iter()
            .map(|(_, at, _)| at.as_millis())
            .collect();
        assert_eq!(starts, [0, 20, 40, 70, 80, 100]);
        assert_eq!((outcome.repeated, outcome.late), (0, 1));
        let blame = outcome.blame.expect("somebody is to blame");
        assert_eq!(
            (blame.tick, blame.cause, blame.late_ms),
            (2, "system", 10.0)
        );
    }

    #[test]
    fn lost_frame_times_are_filled_with_the_last_frame_and_its_sound() {
        let outcome = run_with(&[(2, 90)], 10);
        let ticks: Vec<u64> = outcome.seen.iter().map(|(tick, ..)| *tick).collect();
        assert_eq!(
            ticks,
            (0..ticks.len() as u64).collect::<Vec<_>>(),
            "no tick is left out"
        );
        assert!(
            outcome.seen.iter().all(|(.., samples)| *samples == 960),
            "each has its own sound"
        );
        // From 40 ms to 130 ms: the times of ticks 3, 4 and 5 have wholly passed.
        assert_eq!((outcome.repeated, outcome.late), (3, 1));
        assert_eq!(
            outcome.seen[6].1,
            Duration::from_millis(130),
            "and the next tick runs at once"
        );
        assert_eq!(
            outcome.seen[7].1,
            Duration::from_millis(140),
            "back on its deadline"
        );
    }

    #[test]
    fn a_long_stop_is_not_made_up_for() {
        let outcome = run_with(&[(2, 60_000)], 6);
        assert_eq!(outcome.repeated, 0);
        assert_eq!(outcome.seen[3].1, Duration::from_millis(60_040));
    }
}
