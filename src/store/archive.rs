//! Everything that is saved as one file (JSON), to keep, to move, or to look at.
//!
//! Each document is the text that was saved, with its SHA-256, and the file has one over all of them. Everything is checked before
//! anything is written, and then written as one commit. The file may hold stream keys, as the state does.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::format::{self, FORMAT};
use super::{Batch, Documents, Saved, Store, check};
use crate::control::library::write_whole;

/// What the file says that it is.
const KIND: &str = "stream-manager-state";
/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Archive {
    kind: String,
    format: u32,
    revision: u64,
    /// SHA-256 of the format, the revision, and the name and checksum of each document, in hexadecimal.
    checksum: String,
    documents: BTreeMap<String, Document>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    sha256: String,
    /// What was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// What was saved, where it is no text, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// Writes what a store was found to hold into a file that its owner alone can read.
///
/// # Errors
/// The disk's; a file that was there is still there.
pub fn export(saved: &Saved, path: &Path) -> Result<(), StoreError> {
    let documents: BTreeMap<String, Document> = saved
        .documents
        .iter()
        .map(|(key, bytes)| (key.to_string(), document(bytes)))
        .collect();
    let archive = Archive {
        kind: KIND.to_owned(),
        format: FORMAT,
        revision: saved.revision,
        checksum: checksum(FORMAT, saved.revision, &documents),
        documents,
    };
    let unavailable = |what: String| StoreError::Unavailable {
        place: path.display().to_string(),
        what,
    };
    let mut text =
        serde_json::to_vec_pretty(&archive).map_err(|error| unavailable(error.to_string()))?;
    text.push(b'\n');
    let absolute = std::path::absolute(path).map_err(|error| unavailable(error.to_string()))?;
    write_whole(&absolute, &text).map_err(|error| unavailable(error.to_string()))
}

/// Reads a file and checks everything in it.
///
/// # Errors
/// It cannot be read, is no export, was damaged, or a newer release wrote it.
pub fn read(path: &Path) -> Result<Saved, StoreError> {
    let place = path.display().to_string();
    let unavailable = |what: String| StoreError::Unavailable {
        place: place.clone(),
        what,
    };
    let bytes = std::fs::metadata(path)
        .map_err(|error| unavailable(error.to_string()))?
        .len();
    if bytes > FILE_BYTES_MAX {
        return Err(StoreError::TooMuch {
            what: format!("a file of {bytes} bytes; at most {FILE_BYTES_MAX}"),
        });
    }
    let text = std::fs::read(path).map_err(|error| unavailable(error.to_string()))?;
    let corrupt = |what: String| StoreError::Corrupt {
        place: place.clone(),
        what,
        way_out: "nothing of it was taken in".to_owned(),
    };
    // A newer release may have other fields, so its number is looked at first.
    let head: Head = serde_json::from_slice(&text)
        .map_err(|error| corrupt(format!("line {}: no export of a state", error.line())))?;
    if head.kind != KIND {
        return Err(corrupt("no export of a state".to_owned()));
    }
    if head.format > FORMAT {
        return Err(StoreError::Newer {
            place,
            found: head.format,
            known: FORMAT,
        });
    }
    // serde's own words could repeat a key.
    let archive: Archive = serde_json::from_slice(&text)
        .map_err(|error| corrupt(format!("line {} cannot be read", error.line())))?;
    if archive.checksum != checksum(archive.format, archive.revision, &archive.documents) {
        return Err(corrupt("its checksum is another".to_owned()));
    }
    let mut documents = Documents::new();
    for (key, document) in &archive.documents {
        let bytes = document
            .bytes()
            .filter(|bytes| sha256(bytes) == document.sha256);
        let bytes =
            bytes.ok_or_else(|| corrupt(format!("document `{key}` has another checksum")))?;
        documents.insert(key.as_str().into(), bytes);
    }
    format::bring_up(&place, archive.format, &mut documents)?;
    Ok(Saved {
        revision: archive.revision,
        fence: 0,
        format: archive.format,
        documents,
    })
}

/// Puts what was read in the place of everything that a store holds, as one commit, and gives the revision that it makes.
///
/// # Errors
/// As [`StoreError`] says; the store is as it was then. [`StoreError::Fenced`] where a running program leads.
pub async fn import(store: &Store, saved: &Saved) -> Result<u64, StoreError> {
    let puts = saved.documents.iter();
    let puts = puts
        .map(|(key, bytes)| (key.clone(), Some(bytes.clone())))
        .collect();
    check(&puts)?;
    let found = store.health().await?;
    let revision = saved.revision.max(found.revision + 1);
    let batch = Batch {
        after: None,
        revision,
        // In Redis who writes without a lease has none, and is refused while there is one.
        fence: match store {
            Store::Embedded(_) => found.fence,
            Store::Redis(_) => 0,
        },
        puts,
    };
    store.commit(batch).await?;
    Ok(revision)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[derive(Deserialize)]
struct Head {
    kind: String,
    format: u32,
}

impl Document {
    fn bytes(&self) -> Option<Bytes> {
        match (&self.text, &self.hex) {
            (Some(text), None) => Some(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(hex)) => unhex(hex).map(Bytes::from),
            _ => None,
        }
    }
}

fn document(bytes: &[u8]) -> Document {
    let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
    Document {
        sha256: sha256(bytes),
        hex: text.is_none().then(|| hex(bytes)),
        text,
    }
}

fn checksum(format: u32, revision: u64, documents: &BTreeMap<String, Document>) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{format} {revision}\n"));
    for (key, document) in documents {
        hash.update(format!("{} {key} {}\n", key.len(), document.sha256));
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
