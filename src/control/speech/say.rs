//! What can be asked to be said, and what is wrong with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use systems::speech::{QueueMode, SpeechOut, SpokenWord, Utterance};

use crate::control::authored::unusable;
use crate::control::error::ApiError;
use crate::scene::registry::field;

/// Letters of an utterance's text.
pub const TEXT_MAX: usize = Utterance::TEXT_MAX;
/// Letters of a word.
const WORD_MAX: usize = 200;
/// Letters of an utterance's name.
const ID_MAX: usize = 64;
/// Seconds that a word may be away from the beginning.
const WORD_SECONDS_MAX: f32 = 86_400.0;

/// A word and when it is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// The word.
    #[schemars(length(min = 1, max = 200))]
    pub word: String,
    /// Seconds from the beginning of the utterance's sound to that of the word.
    #[schemars(range(min = 0, max = 86_400))]
    pub start: f32,
    /// The same to its end.
    #[schemars(range(min = 0, max = 86_400))]
    pub end: f32,
}

/// Where an utterance goes in its layer's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum QueueWord {
    /// After all that wait.
    #[default]
    Append,
    /// After what is spoken, before all that wait.
    Next,
    /// At once: what is spoken breaks off within 30 ms, and so does another one that was to interrupt and has not begun. What waits goes on waiting.
    Interrupt,
    /// At once, in the place of all: what is spoken breaks off within 30 ms, and what waits is forgotten.
    Replace,
}

/// Samples as they are pushed, the lowest byte first, channels interleaved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PcmFormat {
    /// Whole numbers of 16 bits.
    #[default]
    S16le,
    /// Floating point of 32 bits, -1 to 1.
    F32le,
}

macro_rules! sayings {
    ($($(#[$doc:meta])* $name:ident { $($(#[$own_doc:meta])* $own:ident: $kind:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Deserialize, JsonSchema)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            pub struct $name {
                $($(#[$own_doc])* pub $own: $kind,)*
                /// A name for it, of letters, digits, `_` and `-`; one is made when absent.
                #[serde(default)]
                #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
                pub id: Option<String>,
                /// What is said, for captions.
                #[serde(default)]
                #[schemars(length(max = 10_000))]
                pub text: String,
                /// What the avatar feels while it lasts: one of its emotions. As it was when absent.
                #[serde(default)]
                pub emotion: Option<String>,
                /// Whether texts show it, as `{{speech.<layer>.line}}`, `.text`, `.word` and `.speaking`.
                #[serde(default)]
                pub captions: bool,
                /// Words with their times, which are told as `speech:word` and build the captions word by word.
                #[serde(default)]
                #[schemars(length(max = 4096))]
                pub words: Vec<Word>,
                /// Where it goes in the queue.
                #[serde(default)]
                pub queue: QueueWord,
                /// Gain in decibels.
                #[serde(default)]
                #[schemars(range(min = -60, max = 24))]
                pub gain: f32,
            }

            impl $name {
                /// What is asked for, apart from its sound.
                ///
                /// # Errors
                /// What cannot be said, with its path.
                pub fn saying(&self) -> Result<Saying, ApiError> {
                    Saying {
                        id: self.id.clone(),
                        text: self.text.clone(),
                        emotion: self.emotion.clone(),
                        captions: self.captions,
                        words: self.words.clone(),
                        queue: self.queue,
                        gain: self.gain,
                    }
                    .checked("", "id")
                }
            }
        )+
    };
}

sayings! {
    /// Something to be said whose sound is a file.
    ///
    /// `{"src": "hello.mp3", "text": "Good evening, Lisbon!", "emotion": "happy", "captions": true}`
    SayFile {
        /// The sound: a name in the scene's `assets`, a path relative to its file, or `asset:<id>`. Only where the body has no sound.
        #[serde(default)]
        src: Option<String>,
    }
    /// Something to be said whose sound follows as it is synthesised.
    SayStream {
        /// Samples a second.
        #[schemars(range(min = 8000, max = 48_000))]
        rate: u32,
        /// Channels.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 2))]
        channels: u16,
        /// How samples are written.
        #[serde(default)]
        format: PcmFormat,
    }
}

fn one() -> u16 {
    1
}

/// More of an utterance whose sound is on its way.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TellMore {
    /// All of its text, in the place of what was known of it.
    #[serde(default)]
    pub text: Option<String>,
    /// Further words with their times.
    #[serde(default)]
    pub words: Vec<Word>,
    /// All of its sound was sent.
    #[serde(default)]
    pub end: bool,
    /// It is not to be said any further.
    #[serde(default)]
    pub cancel: bool,
}

impl TellMore {
    /// The words, checked as those that follow `before`.
    ///
    /// # Errors
    /// What cannot be said, with its path.
    pub fn spoken(&self, before: WordsSoFar) -> Result<Vec<SpokenWord>, ApiError> {
        check_text(self.text.as_deref().unwrap_or_default(), "")?;
        spoken(&self.words, before, "")
    }
}

/// The words that an utterance has, as far as it matters to those that follow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WordsSoFar {
    /// How many there are.
    pub count: usize,
    /// When the last begins, in seconds.
    pub start: f32,
}

impl WordsSoFar {
    /// With some more.
    #[must_use]
    pub fn and(self, words: &[SpokenWord]) -> Self {
        Self {
            count: self.count + words.len(),
            start: words.last().map_or(self.start, |word| word.start),
        }
    }
}

/// Something to be said, checked.
#[derive(Clone, Debug)]
pub struct Saying {
    /// A name for it.
    pub id: Option<String>,
    /// What is said.
    pub text: String,
    /// What the avatar feels.
    pub emotion: Option<String>,
    /// Whether texts show it.
    pub captions: bool,
    /// Words with their times.
    pub words: Vec<Word>,
    /// Where it goes.
    pub queue: QueueWord,
    /// Gain in decibels.
    pub gain: f32,
}

impl Saying {
    /// Looks at it. `at` is the path of what was written, and `id` what the name is called there.
    ///
    /// # Errors
    /// What cannot be said, with its path.
    pub fn checked(self, at: &str, id: &str) -> Result<Self, ApiError> {
        if let Some(name) = &self.id {
            check_id(name, &field(at, id))?;
        }
        if !(-60.0..=24.0).contains(&self.gain) {
            let message = format!("{} is out of range; it must be from -60 to 24", self.gain);
            return Err(unusable(field(at, "gain"), message));
        }
        check_text(&self.text, at)?;
        spoken(&self.words, WordsSoFar::default(), at)?;
        Ok(self)
    }

    /// The utterance that the world gets.
    pub fn utterance(&self, id: &str, sound: SpeechOut) -> Utterance {
        Utterance {
            id: id.into(),
            text: self.text.as_str().into(),
            emotion: self.emotion.as_deref().map(Into::into),
            captions: self.captions,
            words: spoken(&self.words, WordsSoFar::default(), "").unwrap_or_default(),
            gain_db: self.gain,
            queue: self.mode(),
            sound,
        }
    }

    /// Where it goes.
    pub fn mode(&self) -> QueueMode {
        match self.queue {
            QueueWord::Append => QueueMode::Append,
            QueueWord::Next => QueueMode::Next,
            QueueWord::Interrupt => QueueMode::Interrupt,
            QueueWord::Replace => QueueMode::Replace,
        }
    }
}

/// Whether an utterance can have this name, which stands at `path`.
///
/// # Errors
/// It cannot.
pub fn check_id(id: &str, path: &str) -> Result<(), ApiError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=ID_MAX).contains(&id.len()) && id.bytes().all(known) {
        return Ok(());
    }
    let message = format!("a name has 1 to {ID_MAX} letters, digits, `_` and `-`");
    Err(unusable(path.to_owned(), message))
}

fn check_text(text: &str, at: &str) -> Result<(), ApiError> {
    let letters = text.chars().count();
    if letters > TEXT_MAX {
        let message = format!("it has {letters} letters; at most {TEXT_MAX} are taken");
        return Err(unusable(field(at, "text"), message));
    }
    Ok(())
}

fn spoken(words: &[Word], before: WordsSoFar, at: &str) -> Result<Vec<SpokenWord>, ApiError> {
    let path = field(at, "words");
    let count = before.count + words.len();
    if count > Utterance::WORDS_MAX {
        let most = Utterance::WORDS_MAX;
        let message = format!("it has {count} words; at most {most} are taken");
        return Err(unusable(path, message));
    }
    let mut before = before.start;
    let mut list = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        let at = |name| field(&format!("{path}[{index}]"), name);
        let letters = word.word.chars().count();
        if word.word.trim().is_empty() || letters > WORD_MAX {
            let message = format!("a word has 1 to {WORD_MAX} letters");
            return Err(unusable(at("word"), message));
        }
        if !(before..=WORD_SECONDS_MAX).contains(&word.start) {
            let message =
                format!("words are told in the order in which they begin, from {before} to 86400");
            return Err(unusable(at("start"), message));
        }
        if !(word.start..=WORD_SECONDS_MAX).contains(&word.end) {
            return Err(unusable(at("end"), "a word ends after it begins"));
        }
        before = word.start;
        list.push(SpokenWord {
            word: word.word.trim().into(),
            start: word.start,
            end: word.end,
        });
    }
    Ok(list)
}
