//! Sound that is sent as a body, on a disk until it is decoded: what has come of it takes no memory.

use std::io::Write as _;
use std::path::Path;

use super::sound::BODY_BYTES_MAX;
use crate::control::error::{ApiError, ErrorCode};

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
            .prefix(".speech-")
            .tempfile_in(folder)
            .map_err(|error| disk(&error))?;
        Ok(Self { file, bytes: 0 })
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
}
