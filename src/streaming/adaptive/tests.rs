//! The controller against links that change, in a model of what lies between an encoder and a link.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const STEP_MS: u64 = 10;
const AUDIO_KBPS: u32 = 128;

/// An encoder that holds its bitrate, a queue, a socket's buffer, and a link.
struct Model {
    controller: Controller,
    ceiling_kbps: u32,
    /// Of a socket: half a second of the first ceiling.
    buffer_kbits: f64,
    limit_kbps: Option<u32>,
    links: Vec<Link>,
    now_ms: u64,
    /// Kbit/s of the picture at every look.
    history: Vec<(f64, u32)>,
    changes: Vec<(f64, BitrateReason)>,
}

struct Link {
    /// Kbit/s at a time in seconds.
    capacity: Box<dyn Fn(f64) -> f64>,
    is_live: bool,
    /// Frames that wait: when they were made, and their kbits that are left.
    queue: VecDeque<(u64, f64)>,
    /// Kbits in the socket's buffer.
    buffered: f64,
    written_kbits: f64,
    meter: Meter,
}

impl Link {
    fn new(capacity: impl Fn(f64) -> f64 + 'static) -> Self {
        Self {
            capacity: Box::new(capacity),
            is_live: true,
            queue: VecDeque::new(),
            buffered: 0.0,
            written_kbits: 0.0,
            meter: Meter::default(),
        }
    }

    fn advance(&mut self, now_ms: u64, made_kbits: f64, buffer_kbits: f64) {
        self.queue.push_back((now_ms, made_kbits));
        let seconds = STEP_MS as f64 / 1000.0;
        let sent = (self.capacity)(now_ms as f64 / 1000.0) * seconds;
        self.buffered = (self.buffered - sent).max(0.0);
        while let Some((_, kbits)) = self.queue.front_mut() {
            let room = (buffer_kbits - self.buffered).clamp(0.0, *kbits);
            *kbits -= room;
            self.buffered += room;
            self.written_kbits += room;
            if *kbits > 1e-9 {
                break;
            }
            self.queue.pop_front();
        }
    }

    fn lag(&self, now_ms: u64) -> Duration {
        let oldest = self.queue.front().map_or(now_ms, |(made, _)| *made);
        Duration::from_millis(now_ms - oldest + 70)
    }
}

impl Model {
    fn new(ceiling_kbps: u32, floor_kbps: u32, links: Vec<Link>) -> Self {
        Self {
            controller: Controller::new(Adaptive { floor_kbps }, AUDIO_KBPS),
            ceiling_kbps,
            buffer_kbits: f64::from(ceiling_kbps) / 2.0,
            limit_kbps: None,
            links,
            now_ms: 0,
            history: Vec::new(),
            changes: Vec::new(),
        }
    }

    fn kbps(&self) -> u32 {
        self.ceiling_kbps.min(self.limit_kbps.unwrap_or(u32::MAX))
    }

    fn run(&mut self, until_s: f64) {
        while (self.now_ms as f64) < until_s * 1000.0 {
            self.now_ms += STEP_MS;
            let made = f64::from(self.kbps() + AUDIO_KBPS) * STEP_MS as f64 / 1000.0;
            let buffer = self.buffer_kbits;
            let now = Duration::from_millis(self.now_ms);
            for link in self.links.iter_mut().filter(|link| link.is_live) {
                link.advance(self.now_ms, made, buffer);
            }
            if !self.now_ms.is_multiple_of(250) {
                continue;
            }
            let now_ms = self.now_ms;
            let samples: Vec<OutputSample> = self
                .links
                .iter_mut()
                .map(|link| {
                    let look = Look {
                        at: now,
                        bytes: (link.written_kbits * 125.0) as u64,
                        dropped: 0,
                        lag: link.lag(now_ms),
                    };
                    if !link.is_live {
                        link.meter.looks.clear();
                    }
                    link.meter.measure(link.is_live, look)
                })
                .collect();
            if let Some(change) = self.controller.step(now, self.ceiling_kbps, &samples) {
                self.limit_kbps = change.limit_kbps;
                self.changes.push((now.as_secs_f64(), change.reason));
            }
            self.history.push((now.as_secs_f64(), self.kbps()));
        }
    }

    fn between(&self, from_s: f64, to_s: f64) -> impl Iterator<Item = u32> {
        self.history
            .iter()
            .filter(move |(at, _)| (from_s..to_s).contains(at))
            .map(|(_, kbps)| *kbps)
    }
}

fn step_link(at_s: f64, kbps: f64, back_s: f64) -> Link {
    Link::new(move |now_s| {
        if (at_s..back_s).contains(&now_s) {
            kbps
        } else {
            7000.0
        }
    })
}

#[test]
fn a_link_that_narrows_is_followed_within_two_seconds_and_regained() {
    let mut model = Model::new(6000, 300, vec![step_link(20.0, 1000.0, 80.0)]);
    model.run(20.0);
    assert!(model.changes.is_empty());
    model.run(80.0);
    let after: Vec<u32> = model.between(22.0, 23.0).collect();
    assert!(
        after.iter().all(|kbps| (450..=900).contains(kbps)),
        "{after:?}"
    );
    // What had gathered is gone, and little more than the link takes was tried.
    let settled: Vec<u32> = model.between(40.0, 80.0).collect();
    assert!(
        settled.iter().all(|kbps| (600..=1300).contains(kbps)),
        "{settled:?}"
    );
    assert!(model.links[0].lag(model.now_ms) < Duration::from_millis(1500));
    model.run(240.0);
    assert_eq!(model.kbps(), 6000);
    let back = model
        .history
        .iter()
        .find(|(at, kbps)| *at > 80.0 && *kbps == 6000);
    let back_s = back.expect("the ceiling again").0;
    // Slowly, and yet in the end.
    assert!((100.0..200.0).contains(&back_s), "{back_s}");
}

#[test]
fn on_a_narrow_link_probes_become_rare_and_stay_small() {
    let mut model = Model::new(6000, 300, vec![step_link(5.0, 2000.0, 1e9)]);
    model.run(900.0);
    let settled: Vec<u32> = model.between(120.0, 900.0).collect();
    let (low, high) = (settled.iter().min(), settled.iter().max());
    // The bound: from 0.6 of the link, while a probe's excess drains, to two steps above it.
    assert!(
        low.is_some_and(|low| *low >= 1000) && high.is_some_and(|high| *high <= 2600),
        "{low:?} {high:?}"
    );
    let downs = model
        .changes
        .iter()
        .filter(|(at, reason)| *at > 450.0 && *reason == BitrateReason::Congestion);
    assert!(downs.count() <= 12, "{:?}", model.changes);
}

#[test]
fn a_sawtooth_is_never_above_the_ceiling_or_below_the_floor() {
    let link = Link::new(|now_s| 500.0 + (now_s % 60.0) * 100.0);
    let mut model = Model::new(4000, 800, vec![link]);
    model.run(600.0);
    assert!(
        model
            .between(0.0, 600.0)
            .all(|kbps| (800..=4000).contains(&kbps))
    );
}

#[test]
fn a_dead_peer_does_not_drag_the_others_down() {
    for (dies_at_s, kbps_before) in [(30.0, 7000.0), (30.07, 7000.0), (30.21, 6400.0)] {
        let dead = Link::new(move |now_s| if now_s < dies_at_s { kbps_before } else { 0.0 });
        let mut model = Model::new(6000, 300, vec![step_link(1e9, 0.0, 1e9), dead]);
        model.run(60.0);
        assert!(model.changes.is_empty(), "{:?}", model.changes);
        model.links[1].is_live = false;
        model.run(90.0);
        assert!(model.changes.is_empty(), "{:?}", model.changes);
    }
}

#[test]
fn the_operators_ceiling_is_never_overridden() {
    let mut model = Model::new(6000, 300, vec![step_link(10.0, 2000.0, 1e9)]);
    model.run(60.0);
    // Lower than what the link takes: it is held, and never 0.
    model.ceiling_kbps = 500;
    model.run(120.0);
    assert!(model.between(60.5, 120.0).all(|kbps| kbps == 500));
    // Below the floor: what the operator says.
    model.ceiling_kbps = 200;
    model.run(180.0);
    assert!(model.between(120.5, 180.0).all(|kbps| kbps == 200));
    // Raised again, on a link that did not grow.
    model.ceiling_kbps = 6000;
    model.run(300.0);
    assert!(
        model
            .between(180.5, 300.0)
            .all(|kbps| (300..=6000).contains(&kbps))
    );
    assert!(model.between(240.0, 300.0).all(|kbps| kbps <= 2400));
    // And without a limit it is taken over at once, both ways.
    let mut free = Model::new(1000, 300, vec![step_link(1e9, 0.0, 1e9)]);
    free.run(10.0);
    free.ceiling_kbps = 6000;
    free.run(40.0);
    assert!(free.changes.is_empty() && free.kbps() == 6000);
}

#[test]
fn nobody_left_lifts_the_limit() {
    let mut model = Model::new(6000, 300, vec![step_link(5.0, 1000.0, 1e9)]);
    model.run(20.0);
    assert!(model.kbps() < 1200);
    model.links.clear();
    model.run(21.0);
    assert_eq!(model.kbps(), 6000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_the_link_does_the_bounds_hold(
        capacities in proptest::collection::vec(0.0f64..9000.0, 1..12),
        ceiling in 200u32..8000,
        floor in 50u32..3000,
    ) {
        let link = Link::new(move |now_s| capacities[(now_s / 10.0) as usize % capacities.len()]);
        let mut model = Model::new(ceiling, floor, vec![link]);
        model.run(150.0);
        let low = floor.min(ceiling);
        prop_assert!(model.between(0.0, 150.0).all(|kbps| (low..=ceiling).contains(&kbps)));
    }
}
