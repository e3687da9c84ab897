//! Making ready what an output writes to, without losing what is there.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use codec::Container;

use super::settings::{OutputKind, OutputSettings};
use crate::streaming::error::StreamingError;

/// The playlist in an HLS folder.
const PLAYLIST: &str = "program.m3u8";

/// What the muxer is to open, and how.
pub(super) struct Prepared {
    pub(super) target: String,
    pub(super) container: Container,
}

/// Prepares the target of an output: a file is made and must be new, an HLS folder is made and cleared of the segments of
/// an earlier run.
pub(super) fn prepare(settings: &OutputSettings) -> Result<Prepared, StreamingError> {
    match settings.kind {
        OutputKind::Rtmp => Ok(Prepared {
            target: settings.target.clone(),
            container: Container::Flv,
        }),
        OutputKind::Srt => Ok(Prepared {
            target: settings.target.clone(),
            container: Container::MpegTs,
        }),
        OutputKind::File(container) => {
            create_file(Path::new(&settings.target))?;
            Ok(Prepared {
                target: settings.target.clone(),
                container,
            })
        }
        OutputKind::Hls => {
            let folder = Path::new(&settings.target);
            clear_folder(folder)?;
            Ok(Prepared {
                target: folder.join(PLAYLIST).to_string_lossy().into_owned(),
                container: Container::Hls,
            })
        }
    }
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
        Err(source) => Err(StreamingError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn clear_folder(folder: &Path) -> Result<(), StreamingError> {
    let failed = |path: PathBuf| move |source| StreamingError::File { path, source };
    fs::create_dir_all(folder).map_err(failed(folder.to_owned()))?;
    for entry in fs::read_dir(folder).map_err(failed(folder.to_owned()))? {
        let entry = entry.map_err(failed(folder.to_owned()))?;
        if entry.file_name().to_str().is_some_and(is_ours) {
            fs::remove_file(entry.path()).map_err(failed(entry.path()))?;
        }
    }
    Ok(())
}

/// Whether a file of this name in an HLS folder was made by an output.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(".tmp").unwrap_or(name);
    let segment = name
        .strip_prefix("program_")
        .and_then(|rest| rest.strip_suffix(".m4s"));
    name == PLAYLIST
        || name == "init.mp4"
        || segment.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_files_are_cleared() {
        for ours in [
            "program.m3u8",
            "program.m3u8.tmp",
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
}
