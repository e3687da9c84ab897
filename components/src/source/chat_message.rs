//! One message of a chat: what a viewer wrote, made harmless when it is read.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::validate::{Problems, Validate};
use crate::value::Colour;

/// A message of a chat.
///
/// It is shown as it was written: braces and markup stand for themselves. Line breaks become spaces; control characters, characters
/// that turn the direction of what follows, and piles of marks over one letter are taken out.
///
/// `{"id": "m1", "author": "Mira", "text": "Good evening from Lisbon 👋", "badges": ["MOD"]}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatMessage {
    /// Unique among the messages of its chat, 1 to 128 letters. One is made where it is left out.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub id: String,
    /// Who wrote it, at most 64 letters. Default empty, which shows no name.
    #[serde(default, deserialize_with = "read_tame")]
    #[schemars(length(max = 64))]
    pub author: String,
    /// The colour of the name, made lighter or darker where it could not be read. One of the chat's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Colour>,
    /// A picture of the author: the name of one of the scene's `assets`, an uploaded `asset:<id>`, or a path relative to the scene's
    /// file. The name's first letter stands for it when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub avatar: Option<String>,
    /// What stands beside the name, at most 6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub badges: Vec<ChatBadge>,
    /// The words, at most 500 letters. May be empty.
    #[serde(deserialize_with = "read_tame")]
    #[schemars(length(max = 500))]
    pub text: String,
    /// When it was written, in milliseconds since 1970 (UTC), for those who read the chat. It does not change what is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub at: Option<u64>,
}

/// What stands beside a name: a short text, or a picture such as `{"image": "badges/mod.png"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ChatBadge {
    /// A short text, 1 to 16 letters.
    Text(#[schemars(length(min = 1, max = 16))] String),
    /// A picture.
    Image(ChatBadgeImage),
}

/// A picture beside a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatBadgeImage {
    /// The name of one of the scene's `assets`, an uploaded `asset:<id>`, or a path relative to the scene's file.
    #[schemars(length(min = 1, max = 512))]
    pub image: String,
}

/// By hand, and not untagged, so that an error keeps its own words.
impl<'de> Deserialize<'de> for ChatBadge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ChatBadge;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a short text, or a picture such as {\"image\": \"badges/mod.png\"}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ChatBadge, E> {
                Ok(ChatBadge::Text(tame(text)))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ChatBadge, A::Error> {
                ChatBadgeImage::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(ChatBadge::Image)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl ChatMessage {
    /// The most letters of an id.
    pub const ID_MAX: usize = 128;
    /// The most letters of a name.
    pub const AUTHOR_MAX: usize = 64;
    /// The most letters of the words.
    pub const TEXT_MAX: usize = 500;
    /// The most badges.
    pub const BADGES_MAX: usize = 6;
    /// The most letters of a badge.
    pub const BADGE_MAX: usize = 16;
    /// The most letters of the name of a picture.
    pub const SRC_MAX: usize = 512;
}

impl Validate for ChatMessage {
    fn validate(&self, problems: &mut Problems) {
        length(problems, "id", &self.id, 0, Self::ID_MAX);
        length(problems, "author", &self.author, 0, Self::AUTHOR_MAX);
        length(problems, "text", &self.text, 0, Self::TEXT_MAX);
        if let Some(avatar) = &self.avatar {
            length(problems, "avatar", avatar, 1, Self::SRC_MAX);
        }
        if self.badges.len() > Self::BADGES_MAX {
            let message = format!("a message has at most {} badges", Self::BADGES_MAX);
            problems.at("badges", |problems| problems.report(message));
        }
        for (index, badge) in self.badges.iter().enumerate().take(Self::BADGES_MAX) {
            match badge {
                ChatBadge::Text(text) => {
                    length(
                        problems,
                        &format!("badges[{index}]"),
                        text,
                        1,
                        Self::BADGE_MAX,
                    );
                }
                ChatBadge::Image(badge) => problems.at_index("badges", index, |problems| {
                    length(problems, "image", &badge.image, 1, Self::SRC_MAX);
                }),
            }
        }
    }
}

fn length(problems: &mut Problems, name: &str, text: &str, min: usize, max: usize) {
    let letters = text.chars().count();
    if !(min..=max).contains(&letters) {
        problems.at(name, |problems| {
            problems.report(format!(
                "it has {letters} letters; it must have {min} to {max}"
            ));
        });
    }
}

fn read_tame<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| tame(&text))
}

/// Reads a list of messages, and gives ids to those that have none.
pub(super) fn read_messages<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Arc<ChatMessage>>, D::Error> {
    let mut messages = Vec::<ChatMessage>::deserialize(deserializer)?;
    for index in 0..messages.len() {
        let mut number = index + 1;
        while messages[index].id.is_empty() {
            let id = format!("m{number}");
            if messages.iter().all(|other| other.id != id) {
                messages[index].id = id;
            }
            number += 1;
        }
    }
    Ok(messages.into_iter().map(Arc::new).collect())
}

/// How many marks may stand over or under one letter; scripts that need marks need no more.
const MARKS_MAX: usize = 3;

/// A text on one line that can do nothing to what stands around it.
fn tame(text: &str) -> String {
    let mut tame = String::with_capacity(text.len());
    let mut marks = 0;
    for letter in text.chars() {
        let is_space = letter.is_whitespace();
        if is_space || letter.is_control() || turns_direction(letter) {
            // A run of spaces is one space, and there is none at the start.
            if is_space && !tame.is_empty() && !tame.ends_with(' ') {
                tame.push(' ');
            }
            continue;
        }
        marks = if is_mark(letter) { marks + 1 } else { 0 };
        if marks <= MARKS_MAX {
            tame.push(letter);
        }
    }
    tame.truncate(tame.trim_end().len());
    tame
}

/// Embeddings, overrides and isolates (Unicode Standard Annex 9), and marks of formats that are not for display.
fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The blocks of combining marks that letters can be piled with, of all scripts and of those that have many.
fn is_mark(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6ed}' | '\u{e31}' | '\u{e34}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}' | '\u{eb1}' | '\u{eb4}'..='\u{ebc}' | '\u{ec8}'..='\u{ecd}' | '\u{f71}'..='\u{f84}'
        | '\u{135d}'..='\u{135f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{a66f}'..='\u{a67d}' | '\u{a6f0}' | '\u{a6f1}' | '\u{a8e0}'..='\u{a8f1}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_viewers_write_is_made_harmless_and_otherwise_kept() {
        for (written, shown) in [
            ("{{secret}} <b>bold</b>", "{{secret}} <b>bold</b>"),
            ("  two\r\n\tlines \u{0}\u{7}\u{1b}[31m ", "two lines [31m"),
            ("safe\u{202e}txt.exe\u{2066}", "safetxt.exe"),
            ("👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 e\u{301}", "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 e\u{301}"),
            ("שָׁלוֹם עולם", "שָׁלוֹם עולם"),
        ] {
            assert_eq!(tame(written), shown);
        }
        let pile = format!("z{}a", "\u{300}\u{489}".repeat(200));
        assert_eq!(tame(&pile).chars().count(), 2 + MARKS_MAX);
    }

    #[test]
    fn lengths_are_held_and_ids_are_made() {
        let message = |text: &str| -> ChatMessage {
            serde_json::from_value(json!({"text": text, "badges": ["MOD", {"image": "a.png"}]}))
                .expect("a message")
        };
        let mut problems = Problems::new();
        message(&"a".repeat(500)).validate(&mut problems);
        assert_eq!(problems.into_vec(), []);
        let mut problems = Problems::new();
        message(&"ä".repeat(501)).validate(&mut problems);
        assert_eq!(problems.len(), 1);

        let list = json!([{"text": "a"}, {"id": "m1", "text": "b"}, {"text": "c"}]);
        let ids: Vec<String> = read_messages(list)
            .expect("messages")
            .iter()
            .map(|message| message.id.clone())
            .collect();
        assert_eq!(ids, ["m2", "m1", "m3"]);
    }
}
