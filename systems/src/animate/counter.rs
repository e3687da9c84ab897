//! Numbers in texts that roll from one value to the next.

use std::fmt::Write as _;

use bevy_ecs::prelude::*;
use components::derived::Computed;
use components::source::{Counter, Grouping, TextSource};
use serde_json::Value;

use super::easing::sample_easing;
use super::fields::FieldMotions;
use crate::clock::FrameClock;
use crate::data::{DataScope, SceneData};

/// The name of the number in its text: `{{counter}}`.
pub const COUNTER: &str = "counter";
/// The field that a track moves.
const FIELD: &str = "counter.value";

/// The number of a text's counter on this tick. On every text; written in `Animate`, and changed only when its digits change.
#[derive(Component, Debug, Default)]
pub struct Rolling {
    /// From, to, and the tick before the first step; `None` before the first value.
    way: Option<(f64, f64, u64)>,
    shown: f64,
    /// What the digits were written from.
    written: Option<(f64, u8, Grouping)>,
    digits: Value,
}

impl Rolling {
    /// The digits as they stand in the text.
    pub fn digits(&self) -> &Value {
        &self.digits
    }
}

type Row<'a> = (
    &'a DataScope,
    &'a Computed<TextSource>,
    Option<&'a FieldMotions<TextSource>>,
    &'a mut Rolling,
);

pub(super) fn roll(clock: Res<FrameClock>, data: Res<SceneData>, mut texts: Query<Row>) {
    for (scope, Computed(source), motions, mut rolling) in &mut texts {
        let Some(counter) = &source.counter else {
            continue;
        };
        let target = counter.value.resolve_wide(|path| data.lookup(*scope, path));
        // What moves by itself rolls by itself.
        let moves = motions.is_some_and(|motions| motions.moves(FIELD));
        let row = rolling.bypass_change_detection();
        row.shown = match row.way {
            Some(way) if !moves => {
                if way.1 != target {
                    row.way = Some((row.shown, target, clock.tick.saturating_sub(1)));
                }
                on_the_way(row.way.unwrap_or(way), counter, &clock)
            }
            _ => {
                row.way = Some((target, target, clock.tick));
                target
            }
        };
        let scale = 10_f64.powi(i32::from(counter.decimals));
        let units = (row.shown * scale).round();
        let wanted = (units, counter.decimals, counter.grouping);
        if row.written != Some(wanted) {
            row.written = Some(wanted);
            if !row.digits.is_string() {
                row.digits = Value::String(String::new());
            }
            if let Value::String(text) = &mut row.digits {
                write_number(text, units, counter.decimals, counter.grouping);
            }
            rolling.set_changed();
        }
    }
}

fn on_the_way((from, to, since): (f64, f64, u64), counter: &Counter, clock: &FrameClock) -> f64 {
    let seconds = clock.seconds_since(since) - f64::from(counter.roll.delay);
    let part = seconds / f64::from(counter.roll.duration);
    if part >= 1.0 || from == to || part.is_nan() {
        to
    } else if part <= 0.0 {
        from
    } else {
        from + (to - from) * sample_easing(counter.roll.easing, part)
    }
}

/// Writes `units`, a whole number of the last digit after the point.
fn write_number(out: &mut String, units: f64, decimals: u8, grouping: Grouping) {
    let (group, point) = match grouping {
        Grouping::None => ("", '.'),
        Grouping::Comma => (",", '.'),
        Grouping::Dot => (".", ','),
        Grouping::Space => ("\u{202f}", '.'),
    };
    // Beyond 2^53 the digits of a float say nothing.
    let units = units.clamp(-9e21, 9e21) as i128;
    let scale = 10_i128.pow(u32::from(decimals));
    let (whole, rest) = (units.abs() / scale, units.abs() % scale);
    out.clear();
    if units < 0 {
        out.push('-');
    }
    let mut divisor = 1_i128;
    while whole / divisor >= 1000 {
        divisor *= 1000;
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", whole / divisor);
    while divisor > 1 {
        divisor /= 1000;
        let _ = write!(out, "{group}{:03}", whole / divisor % 1000);
    }
    if decimals > 0 {
        let width = usize::from(decimals);
        let _ = write!(out, "{point}{rest:0width$}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f64, decimals: u8, grouping: Grouping) -> String {
        let mut out = String::new();
        let units = (value * 10_f64.powi(i32::from(decimals))).round();
        write_number(&mut out, units, decimals, grouping);
        out
    }

    #[test]
    fn numbers_are_grouped_as_people_write_them() {
        assert_eq!(written(1_234_567.891, 2, Grouping::Comma), "1,234,567.89");
        assert_eq!(written(1_234_567.891, 1, Grouping::Dot), "1.234.567,9");
        assert_eq!(written(-1000.0, 0, Grouping::Space), "-1\u{202f}000");
        assert_eq!(written(1_000_005.0, 0, Grouping::Comma), "1,000,005");
        assert_eq!(written(0.05, 2, Grouping::None), "0.05");
        assert_eq!(written(999.0, 0, Grouping::Comma), "999");
    }
}
