//! The colours of names: each author keeps one, and each can be read on what stands behind it.

use components::source::{ChatMessage, ChatSource};
use components::value::{Colour, Paint};

/// The least contrast of a name, as WCAG 2 counts it: a little more than it asks for, since the picture shines through.
const CONTRAST: f32 = 5.5;
/// How many steps lead from a colour to white or black.
const STEPS: u8 = 10;

/// The colour of a message's author: its own, or one of the chat's, the same for the same name.
pub(super) fn name_colour(chat: &ChatSource, message: &ChatMessage) -> Colour {
    if let Some(colour) = message.color {
        return Colour {
            alpha: 255,
            ..colour
        };
    }
    // FNV-1a: the same in every process.
    let hash = message.author.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let colours = &chat.name_colors;
    let index = (hash ^ (hash >> 16)) as usize % colours.len().max(1);
    colours.get(index).copied().unwrap_or(Colour::WHITE)
}

/// The colour, or the nearest one towards white or black that can be read on `back`.
pub(super) fn readable(colour: Colour, back: &Paint) -> Colour {
    let dark = is_dark(back);
    let behind = match back {
        Paint::Solid(back) if back.alpha > 127 => luminance(*back),
        // A picture of unknown colours, and letters with a dark shadow.
        _ if dark => 0.03,
        _ => 0.9,
    };
    let end = if dark { Colour::WHITE } else { Colour::BLACK };
    let steps = (0..=STEPS).map(|step| mix(colour, end, step));
    let enough = |colour: &Colour| {
        let (a, b) = (luminance(*colour) + 0.05, behind + 0.05);
        a.max(b) / a.min(b) >= CONTRAST
    };
    steps.into_iter().find(enough).unwrap_or(end)
}

/// Whether light letters are read better on it. What can be seen through is taken for dark.
pub(super) fn is_dark(paint: &Paint) -> bool {
    match paint {
        Paint::Solid(colour) => colour.alpha < 128 || luminance(*colour) < 0.2,
        Paint::Gradient(gradient) => {
            let count = gradient.stops.len().max(1) as f32;
            let sum: f32 = gradient
                .stops
                .iter()
                .map(|stop| luminance(stop.color))
                .sum();
            sum / count < 0.2
        }
    }
}

/// About the relative luminance of WCAG 2, with a square for its curve.
fn luminance(colour: Colour) -> f32 {
    let linear = |channel: u8| {
        let value = f32::from(channel) / 255.0;
        value * value
    };
    0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue)
}

fn mix(from: Colour, to: Colour, step: u8) -> Colour {
    let channel = |from: u8, to: u8| {
        let (from, to) = (u16::from(from), u16::from(to));
        let (step, steps) = (u16::from(step), u16::from(STEPS));
        ((from * (steps - step) + to * step) / steps) as u8
    };
    Colour {
        red: channel(from.red, to.red),
        green: channel(from.green, to.green),
        blue: channel(from.blue, to.blue),
        alpha: from.alpha,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_names_become_lighter_on_a_dark_bubble_and_light_ones_darker_on_a_light_one() {
        let dark = Paint::Solid(Colour::opaque(11, 13, 23));
        let light = Paint::Solid(Colour::opaque(245, 245, 250));
        let blue = Colour::opaque(0, 0, 255);
        assert!(luminance(readable(blue, &dark)) > 0.13);
        assert_eq!(readable(blue, &light), blue, "it can be read as it is");
        assert_eq!(readable(Colour::WHITE, &dark), Colour::WHITE);
        let yellow = Colour::opaque(255, 224, 130);
        assert!(luminance(readable(yellow, &light)) < 0.2);
    }
}
