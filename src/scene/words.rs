//! Wording of problems: the nearest valid word, and lists of the words that there are.

/// The longest list of words that is printed.
const LIST_MAX: usize = 40;
/// The longest list that is printed beside a suggestion.
const LIST_BESIDE_MAX: usize = 10;
/// The longest piece of a user's text that is repeated, in characters.
const QUOTE_MAX: usize = 40;

/// The word of `known` that `word` was most likely meant to be; none when nothing is close.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = word.chars().count();
    if length > 128 {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= 256)
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            let longer = length.max(candidate.chars().count());
            // One slip in three letters; but two words of one or two letters are not near because both are short.
            (distance == 0 || distance <= (longer / 3).max(1) && distance < longer.min(length))
                .then_some((distance, candidate))
        })
        // The first of equals.
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What to write instead of `word`: the nearest of `known`, and the whole list when it is short.
pub fn suggest(word: &str, known: &[&str]) -> Option<String> {
    let list = || {
        known
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match nearest(word, known.iter().copied()) {
        Some(near) if known.len() <= LIST_BESIDE_MAX => {
            Some(format!("did you mean `{near}`? There are {}", list()))
        }
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None if known.len() <= LIST_MAX => Some(format!("there are {}", list())),
        None => None,
    }
}

/// A user's text in quotes, shortened when it is long.
pub fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A user's word in backticks, shortened when it is long and without control characters.
pub fn name(text: &str) -> String {
    let quoted = quote(text);
    let bare = quoted.trim_matches('"');
    format!("`{bare}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["opacity", "position", "zIndex", "id"];
        assert_eq!(nearest("opacty", known), Some("opacity"));
        assert_eq!(nearest("ZINDEX", known), Some("zIndex"));
        assert_eq!(nearest("pos", known), None);
        assert_eq!(nearest("colour", ["color"]), Some("color"));
        assert_eq!(nearest("xy", known), None);
        assert_eq!(nearest("Id", known), Some("id"));
        assert_eq!(nearest("", known), None);
    }
}
