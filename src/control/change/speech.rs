//! Changes of what avatars say: files that they are to say, and that they stop. Sound that is sent comes by its own routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::error::ApiError;
use crate::control::schema;
use crate::control::speech::{QueueWord, Saying, Word};

/// Has an avatar say a file. Whether the world took it in is told by `speech:queued` or `speech:refused`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaySpeech {
    /// The avatar's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The sound: a name in the scene's `assets`, a path relative to its file, or `asset:<id>`.
    pub src: String,
    /// A name for the utterance, of letters, digits, `_` and `-`; one is made when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub utterance: Option<String>,
    /// What is said, for captions.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub text: String,
    /// What the avatar feels while it lasts: one of its emotions. As it was when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

impl SaySpeech {
    /// What is asked for, apart from its sound; `path` is that of the change.
    ///
    /// # Errors
    /// What cannot be said, with its path.
    pub fn saying(&self, path: &str) -> Result<Saying, ApiError> {
        Saying {
            id: self.utterance.clone(),
            text: self.text.clone(),
            emotion: self.emotion.clone(),
            captions: self.captions,
            words: self.words.clone(),
            queue: self.queue,
            gain: self.gain,
        }
        .checked(path, "utterance")
    }
}

/// Breaks off what an avatar says and forgets what waits, or one utterance alone.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopSpeech {
    /// The avatar's layer.
    #[schemars(schema_with = "schema::name")]
    pub id: String,
    /// The utterance; all of them when absent. One that is over already is no error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub utterance: Option<String>,
}
