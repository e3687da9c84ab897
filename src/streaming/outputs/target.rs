//! Making ready what an output writes to, without losing what is there.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use codec::{CodecError, HlsOptions};

use super::settings::OutputSettings;
use crate::streaming::error::StreamingError;

/// The playlist of one rendition in an HLS folder.
pub(super) const PLAYLIST: &str = "program.m3u8";
/// Its name without the extension.
const PLAYLIST_STEM: &str = "program";
/// The playlist that names those of all renditions.
pub(super) const MASTER: &str = "master.m3u8";
/// A disk with less room is full, whatever the bitrate.
const ROOM_BYTES_MIN: u64 = 1024 * 1024;
/// The room that a file needs to be begun or a segment to be written, in seconds of the stream.
const ROOM_S: u64 = 4;
/// The system's number of `ENOSPC`.
const NO_SPACE: i32 = 28;

/// The files of an output, which are numbered when it makes several.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The number of the last one; 0 is before the first.
    last: u32,
}

impl Parts {
    /// Makes the next file, which is new. The first has the target's own name, unless it is to be split; the others are
    /// `NAME-0001.ext` and on from there, past those that exist.
    ///
    /// # Errors
    /// There is no room for some seconds of `bytes_per_second`, a file of that very name exists, or it cannot be made.
    pub(super) fn next(
        &mut self,
        settings: &OutputSettings,
        bytes_per_second: u32,
    ) -> Result<PathBuf, StreamingError> {
        let target = Path::new(&settings.target);
        let is_first = self.last == 0 && settings.split.is_none();
        let is_device = is_first && fs::metadata(target).is_ok_and(|found| !found.is_file());
        if !is_device {
            check_room(target, bytes_per_second)?;
        }
        if is_first {
            create_file(target)?;
            self.last = 1;
            return Ok(target.to_owned());
        }
        loop {
            self.last += 1;
            let path = numbered(target, self.last);
            match create_file(&path) {
                Err(StreamingError::FileExists { .. }) if self.last < u32::MAX => {}
                result => return result.map(|()| path),
            }
        }
    }
}

/// `a.mp4` and 12 give `a-0012.mp4`.
fn numbered(target: &Path, number: u32) -> PathBuf {
    let mut name = target.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number:04}"));
    if let Some(extension) = target.extension() {
        name.push(".");
        name.push(extension);
    }
    target.with_file_name(name)
}

/// Makes an empty file, so that no other can be overwritten. A device or a pipe is taken as it is.
fn create_file(path: &Path) -> Result<(), StreamingError> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                Ok(())
            } else {
                Err(StreamingError::FileExists {
                    path: path.to_owned(),
                })
            }
        }
        Err(error) if error.kind() == ErrorKind::StorageFull => Err(no_room(path)),
        Err(source) => Err(StreamingError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Takes a file away that nothing was written to.
pub(super) fn discard(path: &Path) {
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if is_file && let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "an empty file stays");
    }
}

/// Whether the disk of `path` has room for some seconds of a stream.
///
/// # Errors
/// [`StreamingError::DiskFull`] when it has not. A disk that does not tell is taken to have.
pub(super) fn check_room(path: &Path, bytes_per_second: u32) -> Result<(), StreamingError> {
    let folder = if path.is_dir() {
        path
    } else {
        path.parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    };
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let room = disk.f_bavail.saturating_mul(disk.f_frsize);
    if room < (u64::from(bytes_per_second) * ROOM_S).max(ROOM_BYTES_MIN) {
        return Err(no_room(path));
    }
    Ok(())
}

fn no_room(path: &Path) -> StreamingError {
    StreamingError::DiskFull {
        source: CodecError::Target {
            action: "write to",
            target: path.display().to_string(),
            reason: std::io::Error::from_raw_os_error(NO_SPACE).to_string(),
            code: -NO_SPACE,
        },
    }
}

/// Makes a folder, and clears it of the playlists and segments of an earlier run, in folders of renditions below it too.
pub(super) fn clear_folder(folder: &Path) -> Result<(), StreamingError> {
    fs::create_dir_all(folder).map_err(failed(folder))?;
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.is_dir() && path.join(PLAYLIST).is_file() {
            clear_files(&path)?;
            // It stays when something else is in it.
            let _ = fs::remove_dir(&path);
        }
    }
    clear_files(folder)
}

fn clear_files(folder: &Path) -> Result<(), StreamingError> {
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        if entry.file_name().to_str().is_some_and(is_ours) {
            fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
        }
    }
    Ok(())
}

/// Makes the error of a file or folder.
pub(super) fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> StreamingError + use<> {
    let path = path.to_owned();
    move |source| {
        if source.kind() == ErrorKind::StorageFull {
            no_room(&path)
        } else {
            StreamingError::File { path, source }
        }
    }
}

/// Whether a file of this name in an HLS folder was made by an output.
fn is_ours(name: &str) -> bool {
    name.strip_suffix(".tmp").unwrap_or(name) == MASTER
        || HlsOptions::makes_file(PLAYLIST_STEM, name)
}

/// The number of the segment that comes after those of the playlists in a folder and in folders of renditions below it; 0 without any.
/// A player that knows the old playlist so takes the new one for what follows.
pub(super) fn next_segment(folder: &Path) -> u32 {
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = below.map(|entry| entry.path()).chain([folder.to_owned()]);
    let texts = folders.filter_map(|folder| fs::read_to_string(folder.join(PLAYLIST)).ok());
    texts
        .filter_map(|text| segment_after(&text))
        .max()
        .unwrap_or(0)
}

fn segment_after(playlist: &str) -> Option<u32> {
    let first = playlist
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))?;
    let first: u32 = first.trim().parse().ok()?;
    let count = playlist.matches("#EXTINF:").count();
    first.checked_add(u32::try_from(count).ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::streaming::outputs::Split;

    #[test]
    fn only_our_own_files_are_cleared() {
        for ours in [
            "program.m3u8",
            "program.m3u8.tmp",
            "master.m3u8",
            "master.m3u8.tmp",
            "init.mp4",
            "program_00001.m4s",
            "program_00002.m4s.tmp",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in [
            "program_.m4s",
            "program_x.m4s",
            "index.html",
            "program.mp4",
            ".tmp",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn numbers_go_on_from_the_playlists_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(next_segment(folder.path()), 0);
        fs::write(folder.path().join(PLAYLIST), "#EXTM3U\n").expect("a playlist");
        assert_eq!(next_segment(folder.path()), 0);
        fs::create_dir(folder.path().join("low")).expect("a folder");
        let text = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:41\n#EXTINF:2.0,\na\n#EXTINF:2.0,\nb\n";
        fs::write(folder.path().join("low").join(PLAYLIST), text).expect("a playlist");
        assert_eq!(next_segment(folder.path()), 43);
    }

    #[test]
    fn folders_of_renditions_are_cleared_and_others_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "x").expect("a file");
        };
        for name in [
            "master.m3u8",
            "720p/program.m3u8",
            "720p/program_00001.m4s",
            "480p/program.m3u8",
            "480p/notes.txt",
            "pictures/init.mp4",
            "index.html",
        ] {
            make(name);
        }
        clear_folder(folder.path()).expect("cleared");
        let is_there = |name: &str| folder.path().join(name).exists();
        assert!(!is_there("720p") && !is_there("master.m3u8") && !is_there("480p/program.m3u8"));
        assert!(
            is_there("480p/notes.txt") && is_there("pictures/init.mp4") && is_there("index.html")
        );
    }

    #[test]
    fn files_are_numbered_past_those_that_exist() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let target = path("show.1.mp4").to_string_lossy().into_owned();
        let whole = OutputSettings::new("a", target).expect("settings");
        let split = OutputSettings {
            split: Split {
                after: Some(Duration::from_secs(60)),
                bytes: None,
            },
            ..whole.clone()
        };
        let mut parts = Parts::default();
        assert_eq!(
            parts.next(&whole, 1000).expect("a file"),
            path("show.1.mp4")
        );
        assert_eq!(
            parts.next(&whole, 1000).expect("a file"),
            path("show.1-0002.mp4")
        );
        assert!(matches!(
            Parts::default().next(&whole, 1000),
            Err(StreamingError::FileExists { .. })
        ));
        let mut parts = Parts::default();
        assert_eq!(
            parts.next(&split, 1000).expect("a file"),
            path("show.1-0001.mp4")
        );
        assert_eq!(
            parts.next(&split, 1000).expect("a file"),
            path("show.1-0003.mp4")
        );
    }
}
