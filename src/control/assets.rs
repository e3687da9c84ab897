//! Uploaded assets: files of a folder named by the hash of what they hold, each with its facts beside it. The list of them is kept in
//! memory. Everything here waits for the disk, and is called where that is allowed.
//!
//! Programs that share a stream in Redis share its assets there ([`sharing`]). What is uploaded or deleted is noted in a folder beside, on
//! the disk before the answer, and told when Redis takes it.

mod list;
mod look;
mod outbox;
pub mod sharing;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use list::AssetList;
use look::look;
use outbox::{Mark, Outbox};

use super::error::{ApiError, ErrorCode};
use super::library::write_whole;
use super::station::now_ms;
use crate::store::archive::AssetFile;

/// The largest asset, in bytes.
pub const ASSET_MAX: u64 = 64 << 20;
/// The most assets.
pub const ASSETS_MAX: usize = 10_000;

/// How many bytes of a file tell what it is: an SVG may say much before it begins.
const START: usize = 4096;

/// The media type of an SVG, which a browser could take for a page.
pub const SVG_TYPE: &str = "image/svg+xml";

/// A folder of assets. Cheap to copy.
#[derive(Clone, Debug)]
pub struct AssetStore {
    folder: PathBuf,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    list: Mutex<AssetList>,
    /// Held while an asset comes or goes and that is noted, so that the one is not taken for the other.
    changing: Mutex<()>,
    /// What other programs are to be told; none where there are no others.
    outbox: OnceLock<Outbox>,
    /// Something was put there.
    noted: Notify,
}

/// What is known of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    /// The first half of the SHA-256 of its bytes, in hexadecimal; scenes name it `asset:<id>`.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    pub id: String,
    /// The name of the file that was uploaded.
    pub name: String,
    /// What it is, told by its bytes and not by its name.
    pub kind: AssetKind,
    /// Its media type.
    pub media_type: String,
    /// Its size.
    pub bytes: u64,
    /// Pixels, of a picture or a film.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, of a picture or a film.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Milliseconds that it lasts, of a film or sound that tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Milliseconds since 1970 (UTC).
    pub created_at: u64,
    /// Whether its bytes are not on this machine: they are on their way, or too large to be sent by Redis.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AssetKind {
    /// PNG, JPEG, WebP, GIF or SVG.
    Image,
    /// TrueType or OpenType.
    Font,
    /// A film, with sound or without.
    Video,
    /// Sound.
    Audio,
}

/// An asset on its way in: written aside while it comes.
pub struct Incoming {
    file: tempfile::NamedTempFile,
    hash: Sha256,
    bytes: u64,
    start: Vec<u8>,
}

impl AssetStore {
    /// The assets of a folder, which is made when it is needed.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            inner: Arc::default(),
        }
    }

    /// Makes room for an asset.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin(&self) -> Result<Incoming, ApiError> {
        fs::create_dir_all(&self.folder).map_err(|error| disk(&error))?;
        let file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)
            .map_err(|error| disk(&error))?;
        Ok(Incoming {
            file,
            hash: Sha256::new(),
            bytes: 0,
            start: Vec::new(),
        })
    }

    /// Looks at what has come and keeps it. The same bytes again are the asset that is there; the flag says whether it is new.
    ///
    /// # Errors
    /// It is of no kind that can be used, or the disk's.
    pub fn finish(&self, incoming: Incoming, name: &str) -> Result<(Asset, bool), ApiError> {
        self.finish_of(incoming, name, now_ms())
    }

    /// The same of an asset that was uploaded elsewhere at `created_at`.
    ///
    /// # Errors
    /// As [`AssetStore::finish`].
    pub fn finish_of(
        &self,
        incoming: Incoming,
        name: &str,
        created_at: u64,
    ) -> Result<(Asset, bool), ApiError> {
        if incoming.bytes == 0 {
            return Err(ApiError::invalid("the file is empty"));
        }
        let id = incoming.id();
        if let Some(asset) = self.own_again(&id)? {
            return Ok((asset, false));
        }
        if self.list().len() >= ASSETS_MAX {
            let message = format!("there are {ASSETS_MAX} assets, which is the most; delete some");
            return Err(ApiError::conflict(message));
        }
        let name = shown_name(name);
        let asset = self.keep(incoming, id, name, created_at, Some(Mark::Added))?;
        Ok((asset, true))
    }

    /// An asset that is here and came once more. Where other programs have deleted it, as this one may not have heard yet, it is theirs
    /// again too.
    fn own_again(&self, id: &str) -> Result<Option<Asset>, ApiError> {
        let _changing = self.changing();
        let asset = self.own(id);
        if asset.is_some() {
            self.note(id, Mark::Added)?;
        }
        Ok(asset)
    }

    /// Keeps what another program took in.
    ///
    /// # Errors
    /// The bytes are not those of `facts`, are of no kind that can be used, or the disk's.
    fn adopt(&self, facts: &Asset, bytes: &[u8]) -> Result<Asset, ApiError> {
        let mut incoming = self.begin()?;
        incoming.write(bytes)?;
        let id = incoming.id();
        if id != facts.id {
            let message = format!("the bytes are those of `{id}`");
            return Err(ApiError::invalid(message));
        }
        let name = shown_name(&facts.name);
        self.keep(incoming, id, name, facts.created_at, None)
    }

    fn keep(
        &self,
        incoming: Incoming,
        id: String,
        name: String,
        created_at: u64,
        mark: Option<Mark>,
    ) -> Result<Asset, ApiError> {
        let looked = look(&incoming.start, incoming.file.path())?;
        let asset = Asset {
            id,
            name,
            kind: looked.kind,
            media_type: looked.media_type.to_owned(),
            bytes: incoming.bytes,
            width: looked.size.map(|(width, _)| width),
            height: looked.size.map(|(_, height)| height),
            duration_ms: looked.duration_ms,
            created_at,
            missing: false,
        };
        let facts = serde_json::to_vec(&asset)
            .map_err(|_| ApiError::internal("the asset's facts cannot be written"))?;
        incoming
            .file
            .as_file()
            .sync_all()
            .map_err(|error| disk(&error))?;
        let _changing = self.changing();
        incoming
            .file
            .persist(self.folder.join(&asset.id))
            .map_err(|error| disk(&error.error))?;
        // Last: an asset without its facts is not there.
        write_whole(&self.facts(&asset.id), &facts).map_err(|error| disk(&error))?;
        self.known().add(asset.clone());
        if let Some(mark) = mark {
            self.note(&asset.id, mark)?;
        }
        Ok(asset)
    }

    /// Every asset, the newest first; those of which only other programs have the bytes are marked.
    pub fn list(&self) -> Vec<Asset> {
        let mut known = self.known();
        known.refresh(&self.folder, |id| self.own(id));
        known.all()
    }

    /// What is known of an asset.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, id: &str) -> Result<Asset, ApiError> {
        let known = self.own(id).or_else(|| self.known().elsewhere(id));
        known.ok_or_else(|| missing(id))
    }

    /// What is known of an asset whose file is here.
    fn own(&self, id: &str) -> Option<Asset> {
        let facts = is_id(id).then(|| fs::read(self.facts(id)).ok())??;
        serde_json::from_slice(&facts).ok()
    }

    /// The file of an asset.
    ///
    /// # Errors
    /// There is none of this name here.
    pub fn file(&self, id: &str) -> Result<PathBuf, ApiError> {
        let asset = self.own(id).ok_or_else(|| missing(id))?;
        Ok(self.folder.join(asset.id))
    }

    /// Every asset whose bytes are here, to be exported.
    pub fn files(&self) -> Vec<AssetFile> {
        let here = self.list().into_iter().filter(|asset| !asset.missing);
        here.map(|asset| AssetFile {
            path: self.folder.join(&asset.id),
            id: asset.id,
            name: asset.name,
            created_at: asset.created_at,
        })
        .collect()
    }

    /// Deletes an asset.
    ///
    /// # Errors
    /// There is none of this name, or the disk's.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        let asset = self.get(id)?;
        let _changing = self.changing();
        let others = self.known().elsewhere(id);
        let created_at = others.map_or(asset.created_at, |others| others.created_at);
        // First: what other programs have of it is not to come back.
        self.note(id, Mark::Deleted(created_at))?;
        if asset.missing {
            self.known().forget(id);
            return Ok(());
        }
        self.remove(id).map_err(|error| disk(&error))
    }

    fn remove(&self, id: &str) -> std::io::Result<()> {
        let gone = |result: std::io::Result<()>| match result {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        // First: an asset without its facts is not there.
        gone(fs::remove_file(self.facts(id)))?;
        self.known().forget(id);
        gone(fs::remove_file(self.folder.join(id)))
    }

    /// Notes what other programs are to be told, if there are any.
    fn note(&self, id: &str, mark: Mark) -> Result<(), ApiError> {
        if let Some(outbox) = self.inner.outbox.get() {
            outbox.put(id, mark).map_err(|error| disk(&error))?;
            self.inner.noted.notify_one();
        }
        Ok(())
    }

    /// From now on notes what other programs are to be told, for [`sharing`] to tell it, in this process or the next one.
    pub fn note_for_others(&self) {
        self.outbox();
    }

    fn outbox(&self) -> &Outbox {
        let outbox = &self.inner.outbox;
        outbox.get_or_init(|| Outbox::new(self.folder.with_file_name("assets-outbox")))
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        let changing = &self.inner.changing;
        changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, AssetList> {
        let list = &self.inner.list;
        list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

impl Incoming {
    /// Takes some more bytes.
    ///
    /// # Errors
    /// There are more than [`ASSET_MAX`], or the disk's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > ASSET_MAX {
            let message = format!("an asset has at most {} MiB", ASSET_MAX >> 20);
            return Err(ApiError::new(ErrorCode::TooLarge, message));
        }
        let room = START.saturating_sub(self.start.len());
        self.start.extend(bytes.iter().take(room));
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|error| disk(&error))
    }

    /// The id of what has come by now.
    fn id(&self) -> String {
        let hash = self.hash.clone().finalize();
        let half = hash.iter().take(16);
        half.map(|byte| format!("{byte:02x}")).collect()
    }
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found("asset", id, [])
}

fn is_id(id: &str) -> bool {
    id.len() == 32
        && id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The last part of a path, without what no name should have.
fn shown_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars()
        .filter(|letter| !letter.is_control())
        .take(128)
        .collect()
}

fn disk(error: &std::io::Error) -> ApiError {
    tracing::warn!(%error, "the folder of assets fails");
    ApiError::new(
        ErrorCode::Unavailable,
        format!("the asset cannot be kept: {}", error.kind()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(store: &AssetStore, bytes: &[u8], name: &str) -> Result<(Asset, bool), ApiError> {
        let mut incoming = store.begin()?;
        for part in bytes.chunks(7) {
            incoming.write(part)?;
        }
        store.finish(incoming, name)
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbaImage::new(width, height)
            .write_to(&mut bytes, image::ImageFormat::Png)
            .expect("a picture");
        bytes.into_inner()
    }

    #[test]
    fn an_asset_is_kept_once_under_the_hash_of_its_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AssetStore::new(folder.path().join("assets"));
        let (asset, is_new) = upload(&store, &png(3, 2), "../../etc/a\u{7}b.png").expect("kept");
        assert!(is_new);
        assert_eq!((asset.width, asset.height), (Some(3), Some(2)));
        assert_eq!(
            (asset.name.as_str(), asset.kind),
            ("ab.png", AssetKind::Image)
        );
        let (again, is_new) = upload(&store, &png(3, 2), "other.png").expect("kept");
        assert!(!is_new);
        assert_eq!(again, asset);
        assert_eq!(store.list(), std::slice::from_ref(&asset));
        store.delete(&asset.id).expect("deleted");
        assert!(store.list().is_empty());
        assert_eq!(
            store.get(&asset.id).expect_err("gone").code,
            ErrorCode::NotFound
        );
        assert_eq!(
            fs::read_dir(folder.path().join("assets"))
                .expect("a folder")
                .count(),
            0
        );
    }

    #[test]
    fn the_folder_is_listed_again_only_when_it_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (
            AssetStore::new(folder.path().to_owned()),
            AssetStore::new(folder.path().to_owned()),
        );
        let age = |seconds| {
            let then = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
            let opened = fs::File::open(folder.path()).expect("the folder");
            opened.set_modified(then).expect("set");
            opened
                .metadata()
                .and_then(|facts| facts.modified())
                .expect("a time")
        };
        let (first, _) = upload(&one, &png(1, 1), "first.png").expect("kept");
        let then = age(3600);
        assert_eq!(other.list(), std::slice::from_ref(&first));
        let (second, _) = upload(&one, &png(2, 1), "second.png").expect("kept");
        let opened = fs::File::open(folder.path()).expect("the folder");
        opened.set_modified(then).expect("set");
        assert_eq!(other.list().len(), 1, "it is not looked at again");
        age(1800);
        assert_eq!((other.list().len(), one.list().len()), (2, 2));
        one.delete(&first.id).expect("deleted");
        assert_eq!(other.list(), [second]);
    }

    #[test]
    fn sound_is_kept_with_how_long_it_lasts() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AssetStore::new(folder.path().to_owned());
        // Half a second of silence at 8 kHz, one channel of 16 bits.
        let mut wave = Vec::from(*b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0");
        wave.extend(8000_u32.to_le_bytes());
        wave.extend(16_000_u32.to_le_bytes());
        wave.extend([2, 0, 16, 0]);
        wave.extend(b"data");
        wave.extend(8000_u32.to_le_bytes());
        wave.resize(wave.len() + 8000, 0);
        let (asset, _) = upload(&store, &wave, "bell.png").expect("kept");
        assert_eq!(
            (asset.kind, &*asset.media_type),
            (AssetKind::Audio, "audio/wav")
        );
        assert_eq!((asset.duration_ms, asset.width), (Some(500), None));
        // A list of other files is none of the files.
        let list = b"ffconcat version 1.0\nfile /etc/hostname\n";
        assert!(upload(&store, list, "list").is_err());
        assert!(upload(&store, b"#EXTM3U\n#EXTINF:2,\n/etc/hostname\n", "list").is_err());
    }

    #[test]
    fn what_is_no_picture_and_no_font_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = AssetStore::new(folder.path().to_owned());
        let mut broken = png(30, 20);
        broken.truncate(60);
        // A head that promises 60,000 x 60,000 pixels.
        let mut bomb = png(1, 1);
        bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        for (bytes, code) in [
            (&b""[..], ErrorCode::Invalid),
            (b"<svg>", ErrorCode::Invalid),
            (
                b"<html><svg xmlns='http://www.w3.org/2000/svg'/></html>",
                ErrorCode::Invalid,
            ),
            (b"\x00\x01\x00\x00 no font", ErrorCode::Invalid),
            (&broken, ErrorCode::Invalid),
            (&bomb, ErrorCode::Invalid),
        ] {
            let error = upload(&store, bytes, "a").expect_err("refused");
            assert_eq!(error.code, code, "{error:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        for id in ["..", "../assets", "", "ABCDEF", "a/b"] {
            assert!(store.get(id).is_err());
        }
    }
}
