//! How a mouth follows a level: straight up and down to it, and from shape to shape.

use components::scene::FrameRate;
use components::source::AvatarMouth;

/// The level on its way to another one. A function of the tick since the level was last told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follow {
    from: f32,
    to: f32,
    since_tick: u64,
}

/// How fast, and with how much patience, a mouth follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Seconds from 0 to 1.
    pub attack: f32,
    /// Seconds from 1 to 0.
    pub release: f32,
    /// How far the level falls below a shape before the shape goes.
    pub hysteresis: f32,
}

impl Manner {
    /// Of a mouth; `exact` follows the level as it is.
    pub fn of(mouth: &AvatarMouth, exact: bool) -> Self {
        let part = if exact { 0.0 } else { 1.0 };
        Self {
            attack: mouth.attack * part,
            release: mouth.release * part,
            hysteresis: mouth.hysteresis * part,
        }
    }
}

impl Follow {
    /// Stands at a level.
    pub fn at_rest(level: f32, tick: u64) -> Self {
        Self {
            from: level,
            to: level,
            since_tick: tick,
        }
    }

    /// The level that is shown on a tick on which it is told to be `level`.
    pub fn follow(&mut self, level: f32, manner: Manner, tick: u64, rate: FrameRate) -> f32 {
        if level != self.to {
            // It moves on at once: where it stood is that of the tick before.
            let before = tick.saturating_sub(1).max(self.since_tick);
            *self = Self {
                from: self.shown(manner, before, rate),
                to: level,
                since_tick: before,
            };
        }
        self.shown(manner, tick, rate)
    }

    fn shown(&self, manner: Manner, tick: u64, rate: FrameRate) -> f32 {
        let seconds = rate.seconds_at(tick.saturating_sub(self.since_tick)) as f32;
        let way = |whole: f32| if whole > 0.0 { seconds / whole } else { 1.0 };
        if self.to > self.from {
            (self.from + way(manner.attack)).min(self.to)
        } else {
            (self.from - way(manner.release)).max(self.to)
        }
    }

    /// Keeps its way when the rate of the ticks changes at `tick`.
    pub fn set_rate(&mut self, rebase: impl Fn(u64) -> u64) {
        self.since_tick = rebase(self.since_tick);
    }
}

/// The shape that is seen at a level: the last whose own level is reached, or that was seen and is hardly missed. `levels` rise.
pub(super) fn shape_at(
    levels: impl DoubleEndedIterator<Item = f32> + ExactSizeIterator,
    seen: Option<usize>,
    level: f32,
    hysteresis: f32,
) -> Option<usize> {
    levels.enumerate().rev().find_map(|(shape, from)| {
        let is_seen = seen.is_some_and(|seen| shape <= seen);
        let needed = if is_seen { from - hysteresis } else { from };
        (level >= needed).then_some(shape)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: FrameRate = FrameRate::whole(50);
    const MANNER: Manner = Manner {
        attack: 0.0,
        release: 0.1,
        hysteresis: 0.03,
    };

    #[test]
    fn a_rise_is_followed_at_once_and_a_fall_in_its_time() {
        let mut follow = Follow::at_rest(0.0, 0);
        assert_eq!(follow.follow(0.8, MANNER, 10, RATE), 0.8);
        // A fifth of the whole way a tick.
        let shown: Vec<f32> = (20..26)
            .map(|tick| follow.follow(0.0, MANNER, tick, RATE))
            .collect();
        let expected = [0.6, 0.4, 0.2, 0.0, 0.0, 0.0];
        for (shown, expected) in shown.into_iter().zip(expected) {
            assert!((shown - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn ticks_that_were_left_out_change_nothing() {
        let told = [(3, 0.9), (8, 0.1), (9, 0.4), (15, 0.0)];
        let level = |tick: u64| {
            let before = told.iter().rev().find(|(since, _)| *since <= tick);
            before.map_or(0.0, |(_, level)| *level)
        };
        let mut all = Follow::at_rest(0.0, 0);
        let mut some = Follow::at_rest(0.0, 0);
        for tick in 0..30 {
            let shown = all.follow(level(tick), MANNER, tick, RATE);
            let is_told = told.iter().any(|(since, _)| *since == tick);
            if is_told || tick % 7 == 0 {
                assert_eq!(some.follow(level(tick), MANNER, tick, RATE), shown);
            }
        }
    }

    #[test]
    fn a_shape_stays_until_the_level_is_clearly_below_it() {
        let levels = [0.0, 0.08, 0.35];
        let mut seen = None;
        let shapes = [0.34, 0.35, 0.33, 0.321, 0.319, 0.06, 0.049, 0.07, 0.9, 0.0].map(|level| {
            seen = shape_at(levels.into_iter(), seen, level, 0.03);
            seen.unwrap()
        });
        assert_eq!(shapes, [1, 2, 2, 2, 1, 1, 0, 0, 2, 0]);
        assert_eq!(shape_at([0.2].into_iter(), None, 0.1, 0.03), None);
    }
}
