//! Files that a scene names: kept inside the scene's folder, and told apart by their first bytes.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use super::words;

/// The most names of a folder that are looked through for a near one.
const NAMES_MAX: usize = 1000;

/// How many bytes of a file are looked at: an SVG may say much before it begins.
const SNIFFED: u64 = 4096;

/// What a file holds, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// PNG, JPEG, WebP, GIF or SVG.
    Picture,
    /// TrueType or OpenType, or a collection of them.
    Font,
    /// Anything else.
    Other,
}

/// Why a file that a scene names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing is named.
    #[error("the path is empty")]
    Empty,
    /// The path starts at the root of a disk.
    #[error("{0} is an absolute path; files are named relative to the scene file")]
    Absolute(String),
    /// The path goes up past the scene's folder, or a link on it does.
    #[error("{0} leaves the scene's folder")]
    Leaves(String),
    /// There is no such file.
    #[error("the file {0} does not exist")]
    Missing(String),
    /// It is a folder, a pipe or a device.
    #[error("{0} is not a file")]
    NotAFile(String),
    /// The system does not give it.
    #[error("the file {0} cannot be read: {1}")]
    Unreadable(String, io::Error),
}

/// Joins `folder` and a path of a scene, without looking at the disk.
///
/// # Errors
/// When the path is empty, absolute (on any system), or leads out of the folder.
pub fn join_inside(folder: &Path, relative: &str) -> Result<PathBuf, FileError> {
    let shown = || words::quote(relative);
    if relative.is_empty() {
        return Err(FileError::Empty);
    }
    let bytes = relative.as_bytes();
    let drive = bytes.get(1) == Some(&b':') && bytes[0].is_ascii_alphabetic();
    if drive || relative.starts_with(['/', '\\']) {
        return Err(FileError::Absolute(shown()));
    }
    let mut inside = PathBuf::new();
    for part in Path::new(relative).components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !inside.pop() {
                    return Err(FileError::Leaves(shown()));
                }
            }
            Component::RootDir | Component::Prefix(_) => return Err(FileError::Absolute(shown())),
        }
    }
    Ok(folder.join(inside))
}

/// The real place of a file that a scene names, which lies in the scene's folder with all links followed.
///
/// # Errors
/// As [`join_inside`]; and when there is no such regular file, or a link leads out of the folder.
pub fn find_inside(folder: &Path, relative: &str) -> Result<PathBuf, FileError> {
    let joined = join_inside(folder, relative)?;
    let shown = || words::quote(relative);
    let say = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::Missing(shown()),
        _ => FileError::Unreadable(shown(), error),
    };
    let folder = folder.canonicalize().map_err(say)?;
    let real = joined.canonicalize().map_err(say)?;
    if !real.starts_with(&folder) {
        return Err(FileError::Leaves(shown()));
    }
    if fs::metadata(&real).map_err(say)?.is_file() {
        Ok(real)
    } else {
        Err(FileError::NotAFile(shown()))
    }
}

/// The id in `asset:<id>`, the name of an uploaded asset.
pub fn asset_id(src: &str) -> Option<&str> {
    src.strip_prefix("asset:")
}

/// The file of an uploaded asset.
///
/// # Errors
/// When there is none.
pub fn find_asset(folder: Option<&Path>, id: &str) -> Result<PathBuf, FileError> {
    // Ids are hexadecimal, so that none is a path.
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    folder
        .filter(|_| is_id)
        .map(|folder| folder.join(id))
        .filter(|file| file.is_file())
        .ok_or_else(|| FileError::Missing(words::quote(&format!("asset:{id}"))))
}

/// Looks at the first bytes of a regular file.
///
/// # Errors
/// When the system does not give them.
pub fn sniff(path: &Path) -> io::Result<FileKind> {
    let mut start = Vec::new();
    File::open(path)?.take(SNIFFED).read_to_end(&mut start)?;
    Ok(kind_of(&start))
}

fn kind_of(start: &[u8]) -> FileKind {
    let picture = start.starts_with(b"\x89PNG\r\n\x1a\n")
        || start.starts_with(b"\xff\xd8\xff")
        || start.starts_with(b"GIF87a")
        || start.starts_with(b"GIF89a")
        || start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP")
        || systems::assets::is_svg(start);
    let font = [b"\x00\x01\x00\x00", b"OTTO", b"true", b"ttcf"]
        .iter()
        .any(|magic| start.starts_with(*magic));
    match (picture, font) {
        (true, _) => FileKind::Picture,
        (_, true) => FileKind::Font,
        _ => FileKind::Other,
    }
}

/// What the end of a file's name promises.
pub(super) fn kind_by_name(path: &str) -> FileKind {
    let extension = Path::new(path)
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("png" | "jpg" | "jpeg" | "webp" | "gif" | "apng" | "svg") => FileKind::Picture,
        Some("ttf" | "otf" | "ttc" | "otc") => FileKind::Font,
        _ => FileKind::Other,
    }
}

/// The file beside a missing one whose name is the most like it, as a scene writes it.
pub(super) fn nearest_file(folder: &Path, relative: &str) -> Option<String> {
    let joined = join_inside(folder, relative).ok()?;
    let wanted = joined.file_name()?.to_str()?;
    let names: Vec<String> = fs::read_dir(joined.parent()?)
        .ok()?
        .take(NAMES_MAX)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let near = words::nearest(wanted, names.iter().map(String::as_str))?;
    Some(match relative.rsplit_once('/') {
        Some((above, _)) => format!("{above}/{near}"),
        None => near.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_stay_inside() {
        let folder = Path::new("scenes");
        for (relative, joined) in [
            ("a.png", "scenes/a.png"),
            ("./a/../b/c.png", "scenes/b/c.png"),
        ] {
            assert_eq!(join_inside(folder, relative).ok(), Some(joined.into()));
        }
        for relative in [
            "",
            "/etc/passwd",
            "../a",
            "a/../../b",
            "C:\\a",
            "\\\\host\\a",
            "c:/a",
        ] {
            assert!(join_inside(folder, relative).is_err(), "{relative}");
        }
    }

    #[test]
    fn magic_tells_pictures_and_fonts() {
        assert_eq!(kind_of(b"\x89PNG\r\n\x1a\n...."), FileKind::Picture);
        assert_eq!(kind_of(b"RIFF\0\0\0\0WEBPVP8 "), FileKind::Picture);
        assert_eq!(kind_of(b"RIFF\0\0\0\0WAVEfmt "), FileKind::Other);
        assert_eq!(kind_of(b"<?xml?>\n<svg>"), FileKind::Picture);
        assert_eq!(kind_of(b"<html><svg>"), FileKind::Other);
        assert_eq!(kind_of(b"OTTO"), FileKind::Font);
        assert_eq!(kind_of(b""), FileKind::Other);
    }

    proptest! {
        #[test]
        fn no_path_leaves(relative in r"[./\\a:]{0,12}|\PC{0,12}") {
            if let Ok(joined) = join_inside(Path::new("/scenes"), &relative) {
                prop_assert!(joined.starts_with("/scenes"));
                prop_assert!(joined.components().all(|part| part != Component::ParentDir));
            }
        }
    }
}
