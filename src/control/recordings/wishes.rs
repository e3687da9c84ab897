//! What was asked for over the API of recording and replay, which holds through restarts: a document beside the show.
//!
//! Beside each wish stands what the settings said then. Where they say something else by now, somebody has changed them since, and they
//! win. A wish for the recording is one for the stream that was live then: one that is stopped and started begins as the settings say.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::NewRecording;
use crate::control::error::ApiError;
use crate::store::Documents;

/// The name of the document.
pub const WISHES: &str = "recorder";
/// Seconds of replay where it is turned on and nothing says how many.
const REPLAY_SECONDS: u32 = 30;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Wishes {
    pub(super) recording: Option<RecordingWish>,
    pub(super) replay: Option<ReplayWish>,
}

/// What the recording is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordingWish {
    /// RECORDING.
    pub(super) setting: bool,
    /// When the stream that it is of went on air, in milliseconds since 1970.
    pub(super) live_since_ms: u64,
    /// The recording that was begun; `None` where it was stopped.
    pub(super) asked: Option<NewRecording>,
}

/// What of the last seconds is to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReplayWish {
    /// REPLAY_SECONDS.
    pub(super) setting: u32,
    pub(super) seconds: u32,
    pub(super) enabled: bool,
}

impl Wishes {
    /// Those among documents; none where nothing was ever asked for.
    ///
    /// # Errors
    /// The document cannot be read.
    pub(super) fn of(documents: &Documents) -> Result<Self, String> {
        let Some(bytes) = documents.get(WISHES) else {
            return Ok(Self::default());
        };
        serde_json::from_slice(bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("document `{WISHES}` cannot be read: line {line}, column {column} is not what was expected")
        })
    }

    pub(super) fn document(&self) -> Result<Bytes, ApiError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|_| ApiError::internal("what was asked for cannot be written"))?;
        Ok(bytes.into())
    }

    /// What is to be recorded of a stream that is live since then; `setting` is RECORDING.
    pub(super) fn recording(&self, setting: bool, live_since_ms: u64) -> Option<NewRecording> {
        match &self.recording {
            Some(wish) if (wish.setting, wish.live_since_ms) == (setting, live_since_ms) => {
                wish.asked.clone()
            }
            _ => setting.then(NewRecording::default),
        }
    }

    /// How many of the last seconds are to be kept, and whether any; `setting` is REPLAY_SECONDS.
    pub(in crate::control) fn replay(&self, setting: u32) -> (u32, bool) {
        match &self.replay {
            Some(wish) if wish.setting == setting => (wish.seconds, wish.enabled),
            _ if setting == 0 => (REPLAY_SECONDS, false),
            _ => (setting, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(setting: bool, asked: Option<NewRecording>) -> Wishes {
        Wishes {
            recording: Some(RecordingWish {
                setting,
                live_since_ms: 5,
                asked,
            }),
            replay: None,
        }
    }

    #[test]
    fn a_recording_that_was_begun_or_stopped_by_hand_is_one_of_its_stream() {
        let named = NewRecording {
            name: Some("friday".to_owned()),
            ..NewRecording::default()
        };
        let begun = recording(false, Some(named.clone()));
        assert_eq!(begun.recording(false, 5), Some(named));
        assert_eq!(begun.recording(false, 6), None, "another stream");
        assert_eq!(begun.recording(true, 5), Some(NewRecording::default()));
        let stopped = recording(true, None);
        assert_eq!(stopped.recording(true, 5), None);
        assert_eq!(stopped.recording(true, 6), Some(NewRecording::default()));
        assert_eq!(Wishes::default().recording(false, 5), None);
    }

    #[test]
    fn what_is_kept_of_the_last_seconds_holds_until_the_setting_is_another() {
        let wishes = Wishes {
            recording: None,
            replay: Some(ReplayWish {
                setting: 20,
                seconds: 60,
                enabled: false,
            }),
        };
        assert_eq!(wishes.replay(20), (60, false));
        assert_eq!(wishes.replay(40), (40, true));
        assert_eq!(Wishes::default().replay(0), (REPLAY_SECONDS, false));
    }

    #[test]
    fn wishes_are_read_as_they_were_saved_and_a_broken_document_is_told() {
        let wishes = recording(true, Some(NewRecording::default()));
        let document = wishes.document().expect("JSON");
        let of = |bytes: Bytes| Wishes::of(&Documents::from([(WISHES.into(), bytes)]));
        assert_eq!(of(document), Ok(wishes));
        assert_eq!(of(Bytes::from_static(b"{}")), Ok(Wishes::default()));
        let error = of(Bytes::from_static(b"[1]")).expect_err("no wishes");
        assert!(error.contains("`recorder`"), "{error}");
    }
}
