//! From what is said to the line that a caption shows: which phrase, and how much of it.

use std::ops::Range;

use super::say::{SpokenWord, Utterance};

/// Letters that a phrase has at the most, unless one word alone has more.
const LETTERS_MAX: usize = 60;
/// Letters from which on a phrase may end with a comma.
const LETTERS_SOME: usize = 32;
/// Letters a second that are reckoned with while it is not known how long an utterance is.
const LETTERS_A_SECOND: f64 = 15.0;

/// A text in phrases.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub text: String,
    /// The phrases, as bytes of the text, and how many letters are before each.
    phrases: Vec<(Range<usize>, usize)>,
    letters: usize,
    /// Where each word with a time ends in the text, with the marks after it.
    ends: Vec<usize>,
    /// How many words were on the pages before this one.
    turned: usize,
}

impl Script {
    /// Of a text and its words with times, of which `begun` have begun. Words that are not in the text, in their order, take its place, a page
    /// at a time: what it takes to make one is bounded, however many there are.
    pub fn new(text: &str, words: &[SpokenWord], begun: usize) -> Self {
        let (text, ends, turned) = match ends_in(text, words) {
            Some(ends) => (text.to_owned(), ends, 0),
            None => {
                let page = page_of(words, begun);
                let (text, ends) = joined(&words[page.clone()]);
                (text, ends, page.start)
            }
        };
        Self {
            phrases: phrases_of(&text),
            letters: text.chars().count(),
            text,
            ends,
            turned,
        }
    }

    /// Whether it has the last of so many words, and does not have to be turned.
    pub fn reaches(&self, begun: usize) -> bool {
        begun <= self.turned + self.ends.len()
    }

    /// The line after `said` words of those that have times.
    pub fn line_after(&self, said: usize) -> &str {
        let last = said.checked_sub(self.turned + 1);
        let Some(end) = last.and_then(|last| self.ends.get(last)) else {
            return "";
        };
        let phrase = self
            .phrases
            .iter()
            .rev()
            .find(|(range, _)| range.start < *end);
        phrase.map_or("", |(range, _)| {
            self.text.get(range.start..*end).unwrap_or_default()
        })
    }

    /// The phrase after `seconds` of `length`, where that is known, as if all letters took the same time.
    pub fn phrase_at(&self, seconds: f64, length: Option<f64>) -> usize {
        let letters = match length {
            Some(length) if length > 0.0 => seconds / length * self.letters as f64,
            _ => seconds * LETTERS_A_SECOND,
        };
        let begun = |before: usize| before as f64 <= letters;
        let begun = self.phrases.iter().rposition(|(_, before)| begun(*before));
        begun.unwrap_or_default()
    }

    /// A phrase, or the last one where there are fewer.
    pub fn phrase(&self, place: usize) -> &str {
        let phrase = self.phrases.get(place).or(self.phrases.last());
        phrase.map_or("", |(range, _)| &self.text[range.clone()])
    }
}

/// Where each word ends in the text; `None` when one is not there.
fn ends_in(text: &str, words: &[SpokenWord]) -> Option<Vec<usize>> {
    let mut from = 0;
    let mut ends = Vec::with_capacity(words.len());
    for word in words {
        let word = word.word.trim();
        let at = from + text.get(from..)?.find(word)?;
        let after = at + word.len();
        let rest = &text[after..];
        from = after + rest.find(char::is_whitespace).unwrap_or(rest.len());
        // The marks after a word belong to it; `don` and `'t` are told as two words by some.
        if text[after..from].chars().any(char::is_alphanumeric) {
            from = after;
        }
        ends.push(from);
    }
    Some(ends)
}

/// The words of the page that has the last of those that have begun. Where pages begin depends on the words alone.
fn page_of(words: &[SpokenWord], begun: usize) -> Range<usize> {
    let (mut first, mut letters) = (0, 0);
    for (place, word) in words.iter().enumerate() {
        let own = word.word.chars().count() + 1;
        if letters + own > Utterance::TEXT_MAX && place > first {
            if place >= begun {
                return first..place;
            }
            (first, letters) = (place, 0);
        }
        letters += own;
    }
    first..words.len()
}

/// Words as a text, and where each ends in it.
fn joined(words: &[SpokenWord]) -> (String, Vec<usize>) {
    let mut text = String::new();
    let mut ends = Vec::with_capacity(words.len());
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word.word.trim());
        ends.push(text.len());
    }
    (text, ends)
}

/// Phrases of at most [`LETTERS_MAX`] letters: they end with a sentence, or with a comma, or before the word that is too much.
fn phrases_of(text: &str) -> Vec<(Range<usize>, usize)> {
    let mut phrases = Vec::new();
    let mut open: Option<(Range<usize>, usize)> = None;
    let (mut counted, mut before) = (0, 0);
    for (start, word) in words_of(text) {
        before += text[counted..start].chars().count();
        let long = word.chars().count();
        if let Some(phrase) = open.take_if(|(_, from)| before + long - *from > LETTERS_MAX) {
            phrases.push(phrase);
        }
        let (range, from) = open.get_or_insert((start..start, before));
        range.end = start + word.len();
        before += long;
        counted = range.end;
        let has = before - *from;
        let bare = word.trim_end_matches(['"', '\'', ')', '”', '’', '»']);
        let ends_sentence = bare.ends_with(['.', '!', '?', '…', '。', '！', '？']);
        let ends_part = bare.ends_with([',', ';', ':', '—', '、']) && has >= LETTERS_SOME;
        if ends_sentence || ends_part {
            phrases.extend(open.take());
        }
    }
    phrases.extend(open);
    phrases
}

/// The words of a text and where they start. A word too long for a phrase, as in languages without spaces, is cut.
fn words_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let base = text.as_ptr() as usize;
    text.split_whitespace().flat_map(move |word| {
        let start = word.as_ptr() as usize - base;
        let mut cuts: Vec<usize> = word
            .char_indices()
            .step_by(LETTERS_MAX)
            .map(|(at, _)| at)
            .collect();
        cuts.push(word.len());
        let pieces: Vec<(usize, &str)> = cuts
            .windows(2)
            .map(|cut| (start + cut[0], &word[cut[0]..cut[1]]))
            .collect();
        pieces
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Good evening, Lisbon! The next lot is a chair that nobody has ever sat on, and it starts at ten.";

    fn words(list: &[&str]) -> Vec<SpokenWord> {
        let word = |(index, word): (usize, &&str)| SpokenWord {
            word: (*word).into(),
            start: index as f32,
            end: index as f32 + 0.5,
        };
        list.iter().enumerate().map(word).collect()
    }

    #[test]
    fn phrases_end_where_one_breathes_and_are_never_too_long() {
        let script = Script::new(TEXT, &[], 0);
        let phrases: Vec<&str> = script
            .phrases
            .iter()
            .map(|(range, _)| &script.text[range.clone()])
            .collect();
        assert_eq!(
            phrases,
            [
                "Good evening, Lisbon!",
                "The next lot is a chair that nobody has ever sat on,",
                "and it starts at ten."
            ]
        );
        let long = "ab".repeat(200);
        let script = Script::new(&long, &[], 0);
        assert!(
            script
                .phrases
                .iter()
                .all(|(range, _)| range.len() <= LETTERS_MAX)
        );
        assert!(Script::new("  \n ", &[], 0).phrases.is_empty());
    }

    #[test]
    fn words_with_times_build_their_phrase() {
        let words = words(&["Good", "evening", "Lisbon", "The", "next"]);
        let script = Script::new(TEXT, &words, 0);
        let lines: Vec<&str> = (0..=5).map(|said| script.line_after(said)).collect();
        assert_eq!(
            lines,
            [
                "",
                "Good",
                "Good evening,",
                "Good evening, Lisbon!",
                "The",
                "The next"
            ]
        );
    }

    #[test]
    fn words_that_are_not_in_the_text_are_the_text() {
        let script = Script::new("Something else", &words(&["Bom", "dia"]), 0);
        assert_eq!(script.text, "Bom dia");
        assert_eq!(script.line_after(2), "Bom dia");
        let script = Script::new("", &words(&["Bom", "dia"]), 0);
        assert_eq!(script.line_after(1), "Bom");
    }

    #[test]
    fn without_words_phrases_share_the_length() {
        let script = Script::new(TEXT, &[], 0);
        let line = |seconds, length| script.phrase(script.phrase_at(seconds, length));
        let phrases = [
            "Good evening, Lisbon!",
            "The next lot is a chair that nobody has ever sat on,",
            "and it starts at ten.",
        ];
        assert_eq!(line(0.0, Some(10.0)), phrases[0]);
        assert_eq!(line(9.9, Some(10.0)), phrases[2]);
        assert_eq!(line(2.0, None), phrases[1]);
        assert_eq!(line(99.0, None), phrases[2]);
    }

    #[test]
    fn words_beyond_a_page_are_shown_on_the_next() {
        let numbers: Vec<String> = (0..4000).map(|number| format!("word{number:05}")).collect();
        let list: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let words = words(&list);
        // Ten letters each.
        let script = Script::new("", &words, 1);
        assert_eq!(script.text.chars().count(), Utterance::TEXT_MAX - 1);
        assert!(script.text.starts_with("word00000 ") && script.text.ends_with("word00999"));
        assert!(script.reaches(1000) && !script.reaches(1001));
        assert!(script.line_after(1000).ends_with("word00999"));
        let script = Script::new("", &words, 1001);
        assert_eq!(script.line_after(1001), "word01000");
        assert_eq!(script.line_after(1000), "", "that page was turned");
        let later = Script::new("", &words, 1700);
        assert_eq!(later.text, script.text, "a page stays where it is");
        let last = Script::new("", &words, 4000);
        assert!(last.line_after(4000).ends_with("word03999"));
        assert!(last.text.chars().count() < Utterance::TEXT_MAX);
    }
}
