//! The index of recordings as a document beside the show, and as the file of earlier releases.

use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;

use super::{Recording, RecordingState, Wishes};
use crate::control::error::ApiError;
use crate::store::{DOCUMENT_BYTES_MAX, Documents};

/// The name of the document.
pub const DOCUMENT: &str = "recordings";
/// The file of earlier releases in DATA_DIR, which is taken over once.
pub const OLD_FILE: &str = "recordings.json";

/// An index as it was saved.
#[derive(Clone, Debug, Default)]
pub struct SavedIndex {
    pub(super) entries: Vec<Recording>,
    /// Whether it holds what the document does not.
    pub(super) is_new: bool,
    /// What was asked for over the API.
    pub(super) wishes: Wishes,
}

impl SavedIndex {
    /// That among documents, and what was asked for; empty where none was ever saved.
    ///
    /// # Errors
    /// Where a document cannot be read.
    pub fn of(documents: &Documents) -> Result<Self, String> {
        let entries = match documents.get(DOCUMENT) {
            Some(bytes) => parse(bytes)
                .map_err(|what| format!("document `{DOCUMENT}` cannot be read: {what}"))?,
            None => Vec::new(),
        };
        Ok(Self {
            entries,
            is_new: false,
            wishes: Wishes::of(documents)?,
        })
    }

    /// Takes in what the file of an earlier release has besides, which was recorded by `instance`; false where there is no such file.
    ///
    /// # Errors
    /// The file is there and cannot be read: it is left as it is.
    pub fn take_file(&mut self, path: &Path, instance: Option<&str>) -> anyhow::Result<bool> {
        let found = match std::fs::read(path) {
            Ok(bytes) => parse(&bytes)
                .map_err(|what| anyhow::anyhow!("`{}` is no index: {what}", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => anyhow::bail!("`{}` cannot be read: {error}", path.display()),
        };
        for mut entry in found {
            if self.entries.iter().all(|known| known.id != entry.id) {
                entry.instance = instance.map(str::to_owned);
                self.entries.push(entry);
                self.is_new = true;
            }
        }
        self.entries.sort_by_key(|entry| entry.started_at);
        Ok(true)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }
}

/// The document of these recordings. Where they are more than it has room for, the oldest that are not being written leave.
pub(super) fn document(entries: &mut Vec<Recording>) -> Result<Bytes, ApiError> {
    loop {
        let bytes = serde_json::to_vec(entries)
            .map_err(|_| ApiError::internal("the index of recordings cannot be written"))?;
        let is_over = |entry: &Recording| entry.state != RecordingState::Recording;
        if bytes.len() <= DOCUMENT_BYTES_MAX || !entries.iter().any(is_over) {
            return Ok(bytes.into());
        }
        // Many at a time: each time, all are written.
        let mut leaving = entries.len().div_ceil(16);
        entries.retain(|entry| {
            let leaves = leaving > 0 && is_over(entry);
            leaving -= usize::from(leaves);
            !leaves
        });
        tracing::warn!("the index of recordings is full; the oldest are only found as files");
    }
}

fn parse(bytes: &[u8]) -> Result<Vec<Recording>, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("line {line}, column {column} is not what was expected")
    })
}
