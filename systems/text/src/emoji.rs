//! Which characters are to be shown as colour pictures, even where a text font has a plain drawing of them.

use std::ops::Range;

/// Stretches of `words`, in bytes, that are emoji: characters that are pictures by default, those that a variation selector makes
/// so, and all that is joined to them.
pub(crate) fn ranges(words: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    if words.is_ascii() {
        return ranges;
    }
    let mut characters = words.char_indices().peekable();
    while let Some((start, c)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let is_emoji = match next {
            Some(TEXT_STYLE) => false,
            Some(EMOJI_STYLE) => true,
            _ => is_picture(c),
        };
        if !is_emoji {
            continue;
        }
        let mut end = start + c.len_utf8();
        let mut is_joined = false;
        while let Some((at, c)) = characters.next_if(|(_, c)| is_joined || continues(*c)) {
            end = at + c.len_utf8();
            is_joined = c == JOINER;
        }
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

const JOINER: char = '\u{200d}';
const TEXT_STYLE: char = '\u{fe0e}';
const EMOJI_STYLE: char = '\u{fe0f}';

/// Whether `c` belongs to the emoji before it: a selector, a joiner, a skin tone, a keycap, or a tag of a flag.
fn continues(c: char) -> bool {
    matches!(c,
        JOINER | EMOJI_STYLE | '\u{20e3}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

/// `Emoji_Presentation` of Unicode's emoji-data.txt, and the rest of the picture blocks, which text fonts do not draw.
fn is_picture(c: char) -> bool {
    matches!(c,
        '\u{231a}'..='\u{231b}' | '\u{23e9}'..='\u{23ec}' | '\u{23f0}' | '\u{23f3}'
        | '\u{25fd}'..='\u{25fe}' | '\u{2614}'..='\u{2615}' | '\u{2648}'..='\u{2653}' | '\u{267f}'
        | '\u{2693}' | '\u{26a1}' | '\u{26aa}'..='\u{26ab}' | '\u{26bd}'..='\u{26be}'
        | '\u{26c4}'..='\u{26c5}' | '\u{26ce}' | '\u{26d4}' | '\u{26ea}' | '\u{26f2}'..='\u{26f3}'
        | '\u{26f5}' | '\u{26fa}' | '\u{26fd}' | '\u{2705}' | '\u{270a}'..='\u{270b}' | '\u{2728}'
        | '\u{274c}' | '\u{274e}' | '\u{2753}'..='\u{2755}' | '\u{2757}' | '\u{2795}'..='\u{2797}'
        | '\u{27b0}' | '\u{27bf}' | '\u{2b1b}'..='\u{2b1c}' | '\u{2b50}' | '\u{2b55}'
        | '\u{1f004}' | '\u{1f0cf}' | '\u{1f18e}' | '\u{1f191}'..='\u{1f19a}'
        | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f201}' | '\u{1f21a}' | '\u{1f22f}'
        | '\u{1f232}'..='\u{1f236}' | '\u{1f238}'..='\u{1f23a}' | '\u{1f250}'..='\u{1f251}'
        | '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6ff}' | '\u{1f7e0}'..='\u{1f7f0}'
        | '\u{1f900}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &str) -> Vec<&str> {
        ranges(words)
            .into_iter()
            .map(|range| &words[range])
            .collect()
    }

    #[test]
    fn sequences_are_found_whole() {
        assert_eq!(found("a👩‍👩‍👧b🏳️‍🌈 👍🏽🇨🇿"), ["👩‍👩‍👧", "🏳️‍🌈", "👍🏽🇨🇿"]);
        assert_eq!(found("1️⃣ 2 ❤️ ✈"), ["1️⃣", "❤️"]);
        assert_eq!(found("⚡\u{fe0e} ⚡"), ["⚡"]);
        assert_eq!(found("plain, ünïcode, 中文, \u{200d}"), [""; 0]);
    }
}
