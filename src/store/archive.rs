//! Everything that is saved as one file, to keep, to move, or to look at.
//!
//! It begins with a JSON object: each document is the text that was saved, with its SHA-256, and there is one over all of them. The
//! uploaded assets follow, one JSON object a line; who writes holds only a piece of one of them, who reads no more than one. Everything is
//! checked before anything is imported. The file may hold stream keys, as the state does.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::write::EncoderWriter;
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
/// How much of an asset is written at a time, in bytes.
const ASSET_PIECE: usize = 48 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Archive<'a> {
    kind: String,
    format: u32,
    revision: u64,
    /// SHA-256 of the format, the revision, the name and checksum of each document, and the names of the assets, in hexadecimal.
    checksum: String,
    documents: BTreeMap<String, Document<'a>>,
    /// The names of the assets that follow, each of which is half the SHA-256 of what it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assets: Vec<String>,
}

/// An asset, in one line, as [`write_asset`] writes it.
#[derive(Deserialize)]
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
struct Document<'a> {
    sha256: String,
    /// What was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    /// What was saved, where it is no text, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// Writes what a store was found to hold, and assets, into a file that its owner alone can read.
///
/// # Errors
/// The disk's; a file that was there is still there.
pub fn export(saved: &Saved, assets: &[AssetFile], path: &Path) -> Result<(), StoreError> {
    let unavailable = |error: io::Error| StoreError::Unavailable {
        place: path.display().to_string(),
        what: error.to_string(),
    };
    let absolute = std::path::absolute(path).map_err(unavailable)?;
    let written = write_whole_by(&absolute, |file| {
        let mut file = BufWriter::new(file);
        write(saved, assets, &mut file)?;
        file.flush()
    });
    written.map_err(unavailable)
}

/// Writes what a store was found to hold, and assets, piece by piece.
///
/// # Errors
/// Those of `out`, or an asset cannot be read or is damaged; what was written by then is no export.
pub fn write(saved: &Saved, assets: &[AssetFile], mut out: impl Write) -> io::Result<()> {
    let documents: BTreeMap<String, Document<'_>> = saved
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
    serde_json::to_writer_pretty(&mut out, &archive)?;
    out.write_all(b"\n")?;
    for asset in assets {
        write_asset(asset, &mut out).map_err(|error| {
            let what = format!("the asset {}: {error}", asset.id);
            io::Error::new(error.kind(), what)
        })?;
    }
    Ok(())
}

/// Writes an asset as an [`ArchivedAsset`], without holding it.
fn write_asset(asset: &AssetFile, out: &mut impl Write) -> io::Result<()> {
    let mut file = File::open(&asset.path)?;
    let (id, name) = (
        serde_json::to_string(&asset.id)?,
        serde_json::to_string(&asset.name)?,
    );
    let created_at = asset.created_at;
    write!(
        out,
        r#"{{"id":{id},"name":{name},"createdAt":{created_at},"base64":""#
    )?;
    let mut hash = Sha256::new();
    let mut encoder = EncoderWriter::new(&mut *out, &BASE64);
    let mut piece = vec![0; ASSET_PIECE];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
        encoder.write_all(&piece[..count])?;
    }
    encoder.finish()?;
    drop(encoder);
    if !is_hash(&asset.id, &hex(&hash.finalize())) {
        return Err(io::Error::other("it is damaged"));
    }
    out.write_all(b"\"}\n")
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
    take: impl FnMut(ReadAsset) -> Result<(), String>,
) -> Result<Saved, StoreError> {
    let place = path.display().to_string();
    let file = File::open(path).map_err(|error| StoreError::Unavailable {
        place: place.clone(),
        what: error.to_string(),
    })?;
    read_from(file, &place, take)
}

/// The same of what comes from elsewhere.
///
/// # Errors
/// As [`read_with_assets`].
pub fn read_from(
    from: impl Read,
    place: &str,
    mut take: impl FnMut(ReadAsset) -> Result<(), String>,
) -> Result<Saved, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt {
        place: place.to_owned(),
        what,
        way_out: "what is saved was left as it was".to_owned(),
    };
    let left = Rc::new(Cell::new(DOCUMENTS_BYTES_MAX));
    let from = Bounded {
        from: BufReader::new(from),
        left: Rc::clone(&left),
    };
    let mut values = serde_json::Deserializer::from_reader(from).into_iter::<Value>();
    let first = values.next().transpose();
    let first =
        first.map_err(|error| corrupt(format!("line {}: no export of a state", error.line())))?;
    let first = first.unwrap_or_default();
    let archive = archive(first, place)?;
    let mut documents = Documents::new();
    for (key, document) in &archive.documents {
        let bytes = document
            .bytes()
            .filter(|bytes| sha256(bytes) == document.sha256);
        let bytes =
            bytes.ok_or_else(|| corrupt(format!("document `{key}` has another checksum")))?;
        documents.insert(key.as_str().into(), bytes);
    }
    format::bring_up(place, archive.format, &mut documents)?;
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
fn archive(value: Value, place: &str) -> Result<Archive<'static>, StoreError> {
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
    let archive: Archive<'static> =
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

/// What is read, of which no part is larger than expected.
struct Bounded<R> {
    from: BufReader<R>,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        let room = usize::try_from(left).unwrap_or(usize::MAX);
        if room == 0 && !buffer.is_empty() {
            return Err(std::io::Error::other("a part of it is too large"));
        }
        let wanted = buffer.len().min(room);
        let count = self.from.read(&mut buffer[..wanted])?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

/// Whether an asset of this name holds these bytes.
fn is_of(id: &str, bytes: &[u8]) -> bool {
    is_hash(id, &sha256(bytes))
}

/// Whether bytes of this SHA-256 are those of an asset.
fn is_hash(id: &str, sha256: &str) -> bool {
    id.len() == ASSET_ID_LETTERS && sha256.starts_with(id)
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

impl Document<'_> {
    fn bytes(&self) -> Option<Bytes> {
        match (&self.text, &self.hex) {
            (Some(text), None) => Some(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(hex)) => unhex(hex).map(Bytes::from),
            _ => None,
        }
    }
}

fn document(bytes: &[u8]) -> Document<'_> {
    let text = std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
    Document {
        sha256: sha256(bytes),
        hex: text.is_none().then(|| hex(bytes)),
        text,
    }
}

fn checksum(
    format: u32,
    revision: u64,
    documents: &BTreeMap<String, Document<'_>>,
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
