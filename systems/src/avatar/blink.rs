//! When an avatar blinks: a function of its seed and the tick.

use components::scene::FrameRate;
use components::source::AvatarBlink;

/// How many blinks back one may still be seen: a double one reaches into the time of the next when blinks follow closely.
const REACH: u64 = 3;

/// A number that follows from a layer's name (FNV-1a, 64 bits).
pub(super) fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Whether the eyes are closed on a tick.
///
/// Time is cut into slots of the mean of both bounds, with one blink in each, at most half of their difference after its start. So two
/// in turn are never nearer or farther than the bounds, and any of them is found without those before it.
pub(super) fn is_closed(blink: &AvatarBlink, seed: u64, tick: u64, rate: FrameRate) -> bool {
    let [least, most] = blink.every.map(f64::from);
    let (slot, spread) = ((least + most) / 2.0, (most - least) / 2.0);
    let seconds = rate.seconds_at(tick);
    // One tick more, since a blink begins on the first tick at or after its time.
    let last = ((seconds - least) / slot).floor();
    if last < 0.0 {
        return false;
    }
    let last = last as u64;
    let length = (f64::from(blink.duration) * rate.as_f64()).round().max(1.0) as u64;
    (last.saturating_sub(REACH)..=last).any(|number| {
        let [when, twice] = draw(seed, number);
        let at = least + number as f64 * slot + when * spread;
        let start = (at * rate.as_f64()).ceil() as u64;
        let is_within = |start: u64| (start..start + length).contains(&tick);
        is_within(start) || twice < f64::from(blink.double) && is_within(start + 2 * length)
    })
}

/// Two numbers from 0 up to 1 for a blink (SplitMix64).
fn draw(seed: u64, number: u64) -> [f64; 2] {
    [1, 2].map(|which| {
        let step = (2 * number + which).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed.wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first ticks of all blinks of an hour.
    fn starts(blink: &AvatarBlink, seed: u64) -> Vec<u64> {
        let rate = FrameRate::whole(30);
        let closed = |tick| is_closed(blink, seed, tick, rate);
        (1..3600 * 30)
            .filter(|&tick| closed(tick) && !closed(tick - 1))
            .collect()
    }

    #[test]
    fn blinks_keep_their_distance_and_their_length() {
        let blink = AvatarBlink {
            double: 0.0,
            ..AvatarBlink::default()
        };
        let starts = starts(&blink, seed("host"));
        assert!((700..1000).contains(&starts.len()), "{}", starts.len());
        for pair in starts.windows(2) {
            let gap = (pair[1] - pair[0]) as f32 / 30.0;
            assert!((2.46..=6.04).contains(&gap), "{gap}");
        }
        let rate = FrameRate::whole(30);
        let length = (starts[5]..).take_while(|&tick| is_closed(&blink, seed("host"), tick, rate));
        assert_eq!(length.count(), 4);
    }

    #[test]
    fn some_blinks_are_double() {
        let often = AvatarBlink {
            double: 0.5,
            ..AvatarBlink::default()
        };
        let starts = starts(&often, seed("host"));
        let doubles = starts.windows(2).filter(|pair| pair[1] - pair[0] == 8);
        let part = doubles.count() as f32 / starts.len() as f32;
        assert!((0.25..0.42).contains(&part), "{part}");
    }
}
