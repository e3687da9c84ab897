//! Recordings: files of the program in the folder of recordings, and an index of what they are. Everything here waits for the disk, and
//! is called where that is allowed; the index is a document beside the show, and waits for nothing.
//!
//! The index knows what was recorded by this stream, through restarts too, and on which of several machines; what else lies in the folder
//! is listed as found.

mod chapters;
mod control;
mod index;
mod store;
#[cfg(test)]
mod tests;
mod wishes;

pub use control::{Marked, NewMarker, NewRecording, recording_name};
pub use index::{DOCUMENT, OLD_FILE, SavedIndex};
pub use store::{Begun, Store};
pub use wishes::{WISHES, Wishes};

use std::path::{Path, PathBuf};

use components::output::ContainerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The output that records.
pub const OUTPUT: &str = "recording";
/// The most markers of a recording.
pub const MARKERS_MAX: usize = 1000;
/// What a recording's name looks like; a point would begin the ending.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$";

/// A recording: one file, or several that follow each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recording {
    /// Its name: that of its first file without the ending.
    pub id: String,
    /// How it stands.
    pub state: RecordingState,
    /// Its files, the first first.
    pub files: Vec<RecordedFile>,
    /// The layout of its files.
    pub container: ContainerName,
    /// The rendition that it has; null where that is not known.
    pub rendition: Option<String>,
    /// The codecs of picture and sound; empty where they are not known.
    pub codecs: Vec<String>,
    /// Milliseconds since 1970 (UTC) at which it began; for a file that was found, at which it was last written.
    pub started_at: u64,
    /// Its length; null where that is not known.
    pub seconds: Option<f64>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Marked moments.
    pub markers: Vec<Marker>,
    /// The output that writes or wrote it; null where that is not known.
    pub output: Option<String>,
    /// Why it ended early.
    pub error: Option<String>,
    /// The instance of this stream that has its files, where that is another one than the one that answers; null where they are here.
    #[serde(default)]
    pub instance: Option<String>,
    /// Where its first frame stands on the stream's clock, in seconds since tick 0, while it is written.
    #[serde(skip)]
    #[schemars(skip)]
    pub first_s: Option<f64>,
    /// The newest moment on that clock when it was asked for.
    #[serde(skip)]
    #[schemars(skip)]
    pub asked_s: f64,
}

/// A file of a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordedFile {
    /// Its name in the folder.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Its length; null where that is not known.
    pub seconds: Option<f64>,
}

/// How a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RecordingState {
    /// It is being written.
    Recording,
    /// It ended as asked.
    Finished,
    /// It ended by an error, such as a full disk; what was written is there.
    Failed,
    /// The program ended while it was written; it plays up to there.
    Interrupted,
    /// A file that lay in the folder.
    Found,
}

/// A marked moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Marker {
    /// Seconds since the recording's first frame.
    pub at: f64,
    /// The tick of that frame.
    pub tick: u64,
    /// What it says.
    pub label: String,
}

/// A path in `folder` that is not taken: `stem.extension`, or with a number where it is.
pub fn free_name(folder: &Path, stem: &str, extension: &str) -> PathBuf {
    let mut path = folder.join(format!("{stem}.{extension}"));
    let mut number = 1;
    while path.exists() {
        number += 1;
        path = folder.join(format!("{stem}-{number}.{extension}"));
    }
    path
}

/// The name of a recording that begins now, from the time in UTC: `20260131T235959Z`.
pub fn stamp_now() -> String {
    utc_stamp(super::now_ms() / 1000)
}

/// Seconds since 1970 as `YYYYMMDDTHHMMSSZ` (ISO 8601 basic), by the civil calendar of days since 0000-03-01.
fn utc_stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// The media type of a layout (RFC 9110 and the registrations of IANA; the last two are what players know).
pub fn media_type(container: ContainerName) -> &'static str {
    match container {
        ContainerName::Mp4 => "video/mp4",
        ContainerName::Webm => "video/webm",
        ContainerName::Ts => "video/mp2t",
        ContainerName::Mkv => "video/x-matroska",
        ContainerName::Flv => "video/x-flv",
    }
}
