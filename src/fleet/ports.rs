//! Which ports a channel has: five in a row for each place of an instance, so that a scheduler can map them before it knows which
//! channel comes to stand there.

use serde::Serialize;

/// From the first port of a place to that of the next.
pub const STEP: u16 = 10;
/// Ports that a place uses.
const USED: u16 = 5;

/// The ports of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// The API, the first one.
    pub api: u16,
    /// WebSocket alone.
    pub websocket: u16,
    /// `/metrics`.
    pub metrics: u16,
    /// `/health` and `/ready`.
    pub health: u16,
    /// RTMP; `None` where the instance has none.
    pub rtmp: Option<u16>,
}

impl Ports {
    /// Those of a place, counted from 0: `base`, and ten more for each place before it.
    #[must_use]
    pub fn of(base: u16, slot: u16) -> Self {
        let first = base.saturating_add(slot.saturating_mul(STEP));
        Self {
            api: first,
            websocket: first.saturating_add(1),
            metrics: first.saturating_add(2),
            health: first.saturating_add(3),
            rtmp: Some(first.saturating_add(4)),
        }
    }

    /// What is wrong with `capacity` places from `base` on beside a port that is in use already.
    #[must_use]
    pub fn problem(base: u16, capacity: usize, taken: u16) -> Option<String> {
        let count = u32::try_from(capacity).unwrap_or(u32::MAX);
        let span = count.saturating_sub(1).saturating_mul(u32::from(STEP));
        let last = u32::from(base)
            .saturating_add(span)
            .saturating_add(u32::from(USED) - 1);
        if last > u32::from(u16::MAX) {
            return Some(format!(
                "FLEET_PORT_BASE {base} with FLEET_CAPACITY {capacity} goes up to port {last}, and the last one is {}",
                u16::MAX
            ));
        }
        let is_within =
            (u32::from(base)..=last).contains(&u32::from(taken)) && (taken - base) % STEP < USED;
        is_within.then(|| {
            format!(
                "HEALTH_PORT {taken} is one of the ports of channels, which begin at FLEET_PORT_BASE {base}"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_five_ports_each_and_share_none() {
        let (first, third) = (Ports::of(4300, 0), Ports::of(4300, 2));
        assert_eq!((first.api, first.rtmp), (4300, Some(4304)));
        assert_eq!((third.api, third.health), (4320, 4323));
    }

    #[test]
    fn ports_that_are_taken_or_not_there_are_a_problem() {
        for (base, capacity, taken, is_good) in [
            (4300, 1, 4291, true),
            (4291, 1, 4291, false),
            (4270, 3, 4291, false),
            (4270, 3, 4295, true),
            (4270, 2, 4290, true),
            (65_000, 54, 4291, true),
            (65_000, 55, 4291, false),
            (1024, 256, 0, true),
        ] {
            let problem = Ports::problem(base, capacity, taken);
            assert_eq!(problem.is_none(), is_good, "{base} {capacity} {taken}");
        }
    }
}
