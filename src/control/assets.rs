//! Uploaded assets: files of a folder named by the hash of what they hold, each with its facts beside it. Everything here waits
//! for the disk, and is called where that is allowed.

use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use codec::{Demuxer, Interrupt, MediaStream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use systems::assets::{PictureFonts, decode_picture, is_svg};

use super::error::{ApiError, ErrorCode};
use super::library::write_whole;
use super::station::now_ms;

/// The largest asset, in bytes.
pub const ASSET_MAX: u64 = 64 << 20;
/// The most assets.
pub const ASSETS_MAX: usize = 10_000;
/// The longest side of a picture, in pixels, and the most pixels of one.
const SIDE_MAX: u32 = 16_384;
const PIXELS_MAX: u64 = 64 << 20;

/// How many bytes of a file tell what it is: an SVG may say much before it begins.
const START: usize = 4096;

/// How long a film or a sound may take to be looked at.
const MEDIA_DEADLINE: Duration = Duration::from_secs(10);

/// The media type of an SVG, which a browser could take for a page.
pub const SVG_TYPE: &str = "image/svg+xml";

/// A folder of assets. Cheap to copy.
#[derive(Clone, Debug)]
pub struct AssetStore {
    folder: PathBuf,
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
        Self { folder }
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
        let hash = incoming.hash.finalize();
        let id: String = hash
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if let Ok(asset) = self.get(&id) {
            return Ok((asset, false));
        }
        if self.list().len() >= ASSETS_MAX {
            let message = format!("there are {ASSETS_MAX} assets, which is the most; delete some");
            return Err(ApiError::conflict(message));
        }
        let looked = look(&incoming.start, incoming.file.path())?;
        let asset = Asset {
            id,
            name: shown_name(name),
            kind: looked.kind,
            media_type: looked.media_type.to_owned(),
            bytes: incoming.bytes,
            width: looked.size.map(|(width, _)| width),
            height: looked.size.map(|(_, height)| height),
            duration_ms: looked.duration_ms,
            created_at,
        };
        let facts = serde_json::to_vec(&asset)
            .map_err(|_| ApiError::internal("the asset's facts cannot be written"))?;
        incoming
            .file
            .as_file()
            .sync_all()
            .map_err(|error| disk(&error))?;
        incoming
            .file
            .persist(self.folder.join(&asset.id))
            .map_err(|error| disk(&error.error))?;
        // Last: an asset without its facts is not there.
        write_whole(&self.facts(&asset.id), &facts).map_err(|error| disk(&error))?;
        Ok((asset, true))
    }

    /// Every asset, the newest first.
    pub fn list(&self) -> Vec<Asset> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut assets: Vec<Asset> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                self.get(name.strip_suffix(".json")?).ok()
            })
            .collect();
        assets.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
        assets
    }

    /// What is known of an asset.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, id: &str) -> Result<Asset, ApiError> {
        let missing = || ApiError::not_found("asset", id, []);
        if !is_id(id) {
            return Err(missing());
        }
        let facts = fs::read(self.facts(id)).map_err(|_| missing())?;
        serde_json::from_slice(&facts).map_err(|_| missing())
    }

    /// The file of an asset.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn file(&self, id: &str) -> Result<PathBuf, ApiError> {
        self.get(id).map(|asset| self.folder.join(asset.id))
    }

    /// Deletes an asset.
    ///
    /// # Errors
    /// There is none of this name, or the disk's.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        self.get(id)?;
        // First: an asset without its facts is not there.
        fs::remove_file(self.facts(id)).map_err(|error| disk(&error))?;
        fs::remove_file(self.folder.join(id)).map_err(|error| disk(&error))
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

/// What the bytes of a file tell.
struct Looked {
    kind: AssetKind,
    media_type: &'static str,
    /// Pixels.
    size: Option<(u32, u32)>,
    duration_ms: Option<u64>,
}

impl Looked {
    fn of(kind: AssetKind, media_type: &'static str, size: Option<(u32, u32)>) -> Self {
        Self {
            kind,
            media_type,
            size,
            duration_ms: None,
        }
    }
}

/// What the bytes are. A picture's size is read from its head, and its pixels are decoded once, within limits.
fn look(start: &[u8], path: &Path) -> Result<Looked, ApiError> {
    let fonts = [
        (&b"\x00\x01\x00\x00"[..], "font/ttf"),
        (b"true", "font/ttf"),
        (b"OTTO", "font/otf"),
        (b"ttcf", "font/collection"),
    ];
    if let Some((_, media_type)) = fonts.iter().find(|(magic, _)| start.starts_with(magic)) {
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|error| disk(&error))?;
        if !text::is_font(&bytes) {
            return Err(ApiError::invalid("the file begins like a font and is none"));
        }
        return Ok(Looked::of(AssetKind::Font, media_type, None));
    }
    if is_svg(start) {
        // Read without fonts: where its letters come to lie matters when it is shown.
        let bytes = fs::read(path).map_err(|error| disk(&error))?;
        let picture = decode_picture(&bytes, &PictureFonts::default)
            .map_err(|error| ApiError::invalid(format!("the picture cannot be read: {error}")))?;
        let size = picture.size().ceil();
        let size = Some((size.x as u32, size.y as u32));
        return Ok(Looked::of(AssetKind::Image, SVG_TYPE, size));
    }
    let format = image::guess_format(start).ok();
    let media_type = match format {
        Some(image::ImageFormat::Png) => "image/png",
        Some(image::ImageFormat::Jpeg) => "image/jpeg",
        Some(image::ImageFormat::WebP) => "image/webp",
        Some(image::ImageFormat::Gif) => "image/gif",
        _ => return look_at_media(start, path),
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        ApiError::invalid(format!("the picture cannot be read: {error}"))
    };
    let (width, height) = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|error| disk(&error))?
        .into_dimensions()
        .map_err(|error| unreadable(&error))?;
    let pixels = u64::from(width) * u64::from(height);
    if width > SIDE_MAX || height > SIDE_MAX || pixels > PIXELS_MAX {
        return Err(ApiError::invalid(format!(
            "the picture is {width}x{height}; at most {SIDE_MAX} pixels a side and {} million in all are taken",
            PIXELS_MAX >> 20
        )));
    }
    let bytes = fs::read(path).map_err(|error| disk(&error))?;
    decode_picture(&bytes, &PictureFonts::default).map_err(|error| unreadable(&error))?;
    let size = Some((width, height));
    Ok(Looked::of(AssetKind::Image, media_type, size))
}

/// What FFmpeg tells of films and sound; only containers that name no other files are opened.
fn look_at_media(start: &[u8], path: &Path) -> Result<Looked, ApiError> {
    let interrupt = Arc::new(Interrupt::default());
    let demuxer = Demuxer::open_file(path, &interrupt, MEDIA_DEADLINE).map_err(|error| {
        tracing::debug!(%error, "an upload is no film and no sound");
        ApiError::invalid(
            "PNG, JPEG, WebP, GIF, SVG, TrueType, OpenType, and the films and sounds that FFmpeg reads are taken; the bytes are none of them",
        )
    })?;
    let kind = match demuxer.video() {
        Some(_) => AssetKind::Video,
        None => AssetKind::Audio,
    };
    Ok(Looked {
        kind,
        media_type: media_type(start, kind),
        size: demuxer.video().and_then(MediaStream::size),
        duration_ms: demuxer.duration_us().map(|us| us.unsigned_abs() / 1000),
    })
}

/// The media type of a film or a sound, by how its file begins.
fn media_type(start: &[u8], kind: AssetKind) -> &'static str {
    let is_video = kind == AssetKind::Video;
    let pick = |video, audio| if is_video { video } else { audio };
    match start {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => pick("video/mp4", "audio/mp4"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => pick("video/webm", "audio/webm"),
        [b'O', b'g', b'g', b'S', ..] => pick("video/ogg", "audio/ogg"),
        [b'R', b'I', b'F', b'F', ..] => pick("video/x-msvideo", "audio/wav"),
        [b'F', b'L', b'V', ..] => pick("video/x-flv", "audio/x-flv"),
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => "audio/mpeg",
        [0x47, ..] => "video/mp2t",
        _ => "application/octet-stream",
    }
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
