//! Sound that is sent as a body, on a disk until it is decoded: what has come of it takes no memory.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::sound::BODY_BYTES_MAX;
use crate::control::error::{ApiError, ErrorCode};

/// What the names of these files begin with.
const PREFIX: &str = ".speech-";

/// A file of sound on its way. Deleted when it goes.
#[derive(Debug)]
pub struct SpeechFile {
    file: tempfile::NamedTempFile,
    bytes: u64,
}

impl SpeechFile {
    /// An empty one in a folder. Waits for the disk, as does [`SpeechFile::write`].
    ///
    /// # Errors
    /// The disk's.
    pub fn begin(folder: &Path) -> Result<Self, ApiError> {
        std::fs::create_dir_all(folder).map_err(|error| disk(&error))?;
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempfile_in(folder)
            .map_err(|error| disk(&error))?;
        Ok(Self { file, bytes: 0 })
    }

    /// Deletes those that an earlier run of the program left in a folder, which was ended before it could. Waits for the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn sweep(folder: &Path) -> std::io::Result<()> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let is_own = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if is_own && entry.file_type()?.is_file() {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Takes what comes next.
    ///
    /// # Errors
    /// It is larger than [`BODY_BYTES_MAX`], or the disk's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > BODY_BYTES_MAX {
            let message = format!("the sound is larger than {BODY_BYTES_MAX} bytes");
            return Err(ApiError::new(ErrorCode::TooLarge, message));
        }
        self.file.write_all(bytes).map_err(|error| disk(&error))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

fn disk(error: &std::io::Error) -> ApiError {
    ApiError::internal(format!("the disk: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_grows_up_to_the_limit_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = SpeechFile::begin(folder.path()).expect("begins");
        let chunk = vec![0; 1 << 20];
        for _ in 0..BODY_BYTES_MAX >> 20 {
            file.write(&chunk).expect("there is room");
        }
        let error = file.write(&[0]).expect_err("too large");
        assert_eq!(error.code, ErrorCode::TooLarge);
        let path = file.path().to_owned();
        assert_eq!(
            std::fs::metadata(&path).expect("there").len(),
            BODY_BYTES_MAX
        );
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_an_earlier_run_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [".speech-Ab12", "keys.json", "speech-notes"] {
            std::fs::write(folder.path().join(name), "a").expect("written");
        }
        SpeechFile::sweep(folder.path()).expect("swept");
        let left = std::fs::read_dir(folder.path()).expect("a folder");
        let left = left.map(|entry| entry.expect("an entry").file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["keys.json", "speech-notes"]);
        SpeechFile::sweep(&folder.path().join("nothing")).expect("nothing to do");
    }
}
