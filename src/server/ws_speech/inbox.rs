//! What a client that pushes speech has sent and that waits until there is room for it: as it came, in order, and bounded. So a client that is
//! held back can still break off, or go.

use std::collections::VecDeque;

use axum::body::Bytes;
use serde_json::Value;

/// When so much waits, no more is read. One message can be beyond it.
pub const WAITING_BYTES_MAX: usize = 256 << 10;
/// What a message counts at the least.
const MESSAGE_BYTES: usize = 64;

/// What a text message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// An utterance begins.
    Begin,
    /// All sound of the one that is pushed has come.
    End,
    /// Anything else.
    More,
}

impl About {
    /// Of a message.
    pub fn of(message: &Value) -> Self {
        match message {
            _ if message.get("rate").is_some() => Self::Begin,
            _ if message.get("end").is_some() => Self::End,
            _ => Self::More,
        }
    }
}

/// Whether a message breaks off what is pushed.
pub fn is_cancel(message: &Value) -> bool {
    message.get("rate").is_none() && message.get("cancel") == Some(&Value::Bool(true))
}

/// A message that waits.
#[derive(Debug, PartialEq)]
pub enum Sent {
    /// Samples.
    Sound(Bytes),
    /// Text.
    Text(String, About),
}

impl Sent {
    fn bytes(&self) -> usize {
        MESSAGE_BYTES
            + match self {
                Self::Sound(bytes) => bytes.len(),
                Self::Text(text, _) => text.len(),
            }
    }
}

/// The messages that wait.
#[derive(Debug, Default)]
pub struct Inbox {
    waiting: VecDeque<Sent>,
    bytes: usize,
}

impl Inbox {
    /// Whether one more message may be read.
    pub fn has_room(&self) -> bool {
        self.bytes < WAITING_BYTES_MAX
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether some text waits, which no other may overtake.
    pub fn has_text(&self) -> bool {
        let is_text = |sent: &Sent| matches!(sent, Sent::Text(..));
        self.waiting.iter().any(is_text)
    }

    /// Puts samples behind all others. They are copied: a message may share its memory with much that is over.
    pub fn push_sound(&mut self, bytes: &[u8]) {
        self.push(Sent::Sound(Bytes::copy_from_slice(bytes)));
    }

    /// Puts a text behind all others.
    pub fn push_text(&mut self, text: &str, about: About) {
        self.push(Sent::Text(text.to_owned(), about));
    }

    fn push(&mut self, sent: Sent) {
        self.bytes += sent.bytes();
        self.waiting.push_back(sent);
    }

    /// Takes the next message; of samples at most so many bytes.
    pub fn next(&mut self, bytes_max: usize) -> Option<Sent> {
        if let Some(Sent::Sound(bytes)) = self.waiting.front_mut()
            && bytes.len() > bytes_max
        {
            self.bytes -= bytes_max;
            return Some(Sent::Sound(bytes.split_to(bytes_max)));
        }
        let next = self.waiting.pop_front()?;
        self.bytes -= next.bytes();
        Some(next)
    }

    /// Forgets the samples of the utterance that came last, which is not to be said. Whether that one begins here, after the one that is
    /// pushed now, if one is.
    pub fn break_off(&mut self, mut is_open: bool) -> bool {
        let mut begin = None;
        for (place, sent) in self.waiting.iter().enumerate() {
            match sent {
                Sent::Text(_, About::End) => is_open = false,
                // Another one before the end is refused.
                Sent::Text(_, About::Begin) if !is_open => {
                    (is_open, begin) = (true, Some(place));
                }
                _ => {}
            }
        }
        let mut place = 0;
        self.waiting.retain(|sent| {
            let stays = matches!(sent, Sent::Text(..)) || begin.is_some_and(|begin| place < begin);
            place += 1;
            stays
        });
        self.bytes = self.waiting.iter().map(Sent::bytes).sum();
        begin.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut inbox: Inbox) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(sent) = inbox.next(usize::MAX) {
            all.push(sent);
        }
        assert_eq!(inbox.bytes, 0);
        all
    }

    fn text(name: &str, about: About) -> Sent {
        Sent::Text(name.to_owned(), about)
    }

    fn sound(bytes: &'static [u8]) -> Sent {
        Sent::Sound(Bytes::from_static(bytes))
    }

    #[test]
    fn what_waits_is_bounded_and_samples_are_taken_a_little_at_a_time() {
        let mut inbox = Inbox::default();
        inbox.push_sound(b"abcde");
        inbox.push_text("end", About::End);
        assert_eq!(inbox.next(2), Some(sound(b"ab")));
        assert_eq!(inbox.next(2), Some(sound(b"cd")));
        assert_eq!(inbox.next(2), Some(sound(b"e")));
        assert!(inbox.has_text());
        assert_eq!(all(inbox), [text("end", About::End)]);
        let mut inbox = Inbox::default();
        let mut messages = 0;
        while inbox.has_room() {
            inbox.push_sound(b"");
            messages += 1;
        }
        assert_eq!(messages, WAITING_BYTES_MAX / MESSAGE_BYTES);
        inbox.next(1);
        assert!(inbox.has_room());
    }

    #[test]
    fn what_is_broken_off_is_the_utterance_that_came_last() {
        let pushed = |parts: &[&str]| {
            let mut inbox = Inbox::default();
            for part in parts {
                match *part {
                    "begin" => inbox.push_text("begin", About::Begin),
                    "end" => inbox.push_text("end", About::End),
                    samples => inbox.push_sound(samples.as_bytes()),
                }
            }
            inbox
        };
        let mut inbox = pushed(&["a", "a", "end"]);
        assert!(!inbox.break_off(true), "the one that is pushed");
        assert_eq!(all(inbox), [text("end", About::End)]);
        let mut inbox = pushed(&["a", "end", "begin", "b"]);
        assert!(inbox.break_off(true), "the one after it");
        let rest = [
            sound(b"a"),
            text("end", About::End),
            text("begin", About::Begin),
        ];
        assert_eq!(all(inbox), rest);
        let mut inbox = pushed(&["a", "begin", "a"]);
        assert!(!inbox.break_off(true), "the other one will be refused");
        assert_eq!(all(inbox), [text("begin", About::Begin)]);
        let mut inbox = pushed(&["begin", "b"]);
        assert!(inbox.break_off(false));
        assert_eq!(all(inbox), [text("begin", About::Begin)]);
    }
}
