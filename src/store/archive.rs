//! Everything that is saved as one file, to keep, to move, or to look at.
//!
//! It begins with a JSON object: each document is the text that was saved, with its SHA-256, and there is one over all of them. The
//! uploaded assets follow, one JSON object a line, so that neither who writes nor who reads holds more than one of them. Everything is
//! checked before anything is written. The file may hold stream keys, as the state does.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::format::{self, FORMAT};
use super::{Batch, Documents, Saved, Store, check};
use crate::control::library::write_whole_by;

/// What the file says that it is.
const KIND: &str = "stream-manager-state";
/// The most bytes of its documents.
const DOCUMENTS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The most bytes of one asset, which are more by a third here than the 64 MiB that it may have.
const ASSET_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How many letters of a SHA-256 name an asset.
const ASSET_ID_LETTERS: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Archive {
    kind: String,
    format: u32,
    revision: u64,
    /// SHA-256 of the format, the revision, the name and checksum of each document, and the names of the assets, in hexadecimal.
    checksum: String,
    documents: BTreeMap<String, Document>,
    /// The names of the assets that follow, each of which is half the SHA-256 of what it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assets: Vec<String>,
}

/// An asset, in one line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchivedAsset {
    id: String,
    name: String,
    created_at: u64,
    base64: String,
}

/// An asset that is to be exported.
#[derive(Clone, Debug)]
pub struct AssetFile {
    /// The first half of the SHA-256 of its bytes, in hexadecimal.
    pub id: String,
    /// The name under which it was uploaded.
    pub name: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: u64,
    /// Where its bytes are.
    pub path: PathBuf,
}

/// An asset that was exported.
#[derive(Debug)]
pub struct ReadAsset {
    /// The name under which it was uploaded.
    pub name: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: u64,
    /// What it holds.
    pub bytes: Vec<u8>,
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

/// Writes what a store was found to hold, and assets, into a file that its owner alone can read.
///
/// # Errors
/// The disk's; a file that was there is still there.
pub fn export(saved: &Saved, assets: &[AssetFile], path: &Path) -> Result<(), StoreError> {
    let documents: BTreeMap<String, Document> = saved
        .documents
        .iter()
        .map(|(key, bytes)| (key.to_string(), document(bytes)))
        .collect();
    let names: Vec<String> = assets.iter().map(|asset| asset.id.clone()).collect();
    let archive = Archive {
        kind: KIND.to_owned(),
        format: FORMAT,
        revision: saved.revision,
        checksum: checksum(FORMAT, saved.revision, &documents, &names),
        documents,
        assets: names,
    };
    let unavailable = |error: std::io::Error| StoreError::Unavailable {
        place: path.display().to_string(),
        what: error.to_string(),
    };
    let absolute = std::path::absolute(path).map_err(unavailable)?;
    let write = |file: &mut File| {
        let mut file = BufWriter::new(file);
        serde_json::to_writer_pretty(&mut file, &archive)?;
        file.write_all(b"\n")?;
        for asset in assets {
            let bytes = std::fs::read(&asset.path)?;
            if !is_of(&asset.id, &bytes) {
                let what = format!("the asset {} is damaged", asset.id);
                return Err(std::io::Error::other(what));
            }
            let asset = ArchivedAsset {
                id: asset.id.clone(),
                name: asset.name.clone(),
                created_at: asset.created_at,
                base64: BASE64.encode(bytes),
            };
            serde_json::to_writer(&mut file, &asset)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write_whole_by(&absolute, write).map_err(unavailable)
}

/// Reads a file and checks everything in it; gives how many assets it has too.
///
/// # Errors
/// It cannot be read, is no export, was damaged, or a newer release wrote it.
pub fn read(path: &Path) -> Result<(Saved, usize), StoreError> {
    let mut count = 0;
    let saved = read_with_assets(path, |_| {
        count += 1;
        Ok(())
    })?;
    Ok((saved, count))
}

/// Reads a file, and hands each asset over, checked, as it comes; before the last, what follows it has not been looked at.
///
/// # Errors
/// As [`read`], and what `take` says of an asset.
pub fn read_with_assets(
    path: &Path,
    mut take: impl FnMut(ReadAsset) -> Result<(), String>,
) -> Result<Saved, StoreError> {
    let place = path.display().to_string();
    let corrupt = |what: String| StoreError::Corrupt {
        place: place.clone(),
        what,
        way_out: "what is saved was left as it was".to_owned(),
    };
    let file = File::open(path).map_err(|error| StoreError::Unavailable {
        place: place.clone(),
        what: error.to_string(),
    })?;
    let left = Rc::new(Cell::new(DOCUMENTS_BYTES_MAX));
    let file = Bounded {
        file: BufReader::new(file),
        left: Rc::clone(&left),
    };
    let mut values = serde_json::Deserializer::from_reader(file).into_iter::<Value>();
    let first = values.next().transpose();
    let first =
        first.map_err(|error| corrupt(format!("line {}: no export of a state", error.line())))?;
    let first = first.unwrap_or_default();
    let archive = archive(first, &place)?;
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
    for id in &archive.assets {
        left.set(ASSET_BYTES_MAX);
        let broken = || corrupt(format!("the asset `{id}` is missing or damaged"));
        let value = values.next().and_then(Result::ok).ok_or_else(broken)?;
        let asset: ArchivedAsset = serde_json::from_value(value).map_err(|_| broken())?;
        let bytes = BASE64.decode(asset.base64).map_err(|_| broken())?;
        if asset.id != *id || !is_of(id, &bytes) {
            return Err(broken());
        }
        let asset = ReadAsset {
            name: asset.name,
            created_at: asset.created_at,
            bytes,
        };
        take(asset).map_err(|what| corrupt(format!("the asset `{id}`: {what}")))?;
    }
    if values.next().is_some() {
        return Err(corrupt("something follows its end".to_owned()));
    }
    Ok(Saved {
        revision: archive.revision,
        fence: 0,
        writes: 0,
        format: archive.format,
        documents,
    })
}

/// The beginning of a file, looked at as far as it can be by itself.
fn archive(value: Value, place: &str) -> Result<Archive, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt {
        place: place.to_owned(),
        what: what.to_owned(),
        way_out: "what is saved was left as it was".to_owned(),
    };
    // A newer release may have other fields, so its number is looked at first.
    let head = Head::deserialize(&value).map_err(|_| corrupt("no export of a state"))?;
    if head.kind != KIND {
        return Err(corrupt("no export of a state"));
    }
    if head.format > FORMAT {
        return Err(StoreError::Newer {
            place: place.to_owned(),
            found: head.format,
            known: FORMAT,
        });
    }
    // serde's own words could repeat a key.
    let archive: Archive =
        serde_json::from_value(value).map_err(|_| corrupt("a field of it cannot be read"))?;
    let found = checksum(
        archive.format,
        archive.revision,
        &archive.documents,
        &archive.assets,
    );
    if archive.checksum != found {
        return Err(corrupt("its checksum is another"));
    }
    Ok(archive)
}

/// A file of which no part is larger than expected.
struct Bounded {
    file: BufReader<File>,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        let room = usize::try_from(left).unwrap_or(usize::MAX);
        if room == 0 && !buffer.is_empty() {
            return Err(std::io::Error::other("a part of it is too large"));
        }
        let wanted = buffer.len().min(room);
        let count = self.file.read(&mut buffer[..wanted])?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

/// Whether an asset of this name holds these bytes.
fn is_of(id: &str, bytes: &[u8]) -> bool {
    id.len() == ASSET_ID_LETTERS && sha256(bytes).starts_with(id)
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
        writes: found.writes + 1,
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

fn checksum(
    format: u32,
    revision: u64,
    documents: &BTreeMap<String, Document>,
    assets: &[String],
) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{format} {revision}\n"));
    for (key, document) in documents {
        hash.update(format!("{} {key} {}\n", key.len(), document.sha256));
    }
    for id in assets {
        hash.update(format!("asset {} {id}\n", id.len()));
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
