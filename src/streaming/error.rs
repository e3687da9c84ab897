//! What can go wrong between a finished tick and the world.

use std::path::PathBuf;

use codec::CodecError;

/// A failure of the encoder thread or of an output. Targets in it are redacted.
#[derive(Debug, thiserror::Error)]
pub enum StreamingError {
    /// The encoder or the muxer failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A setting of an output is out of the range that its documentation gives.
    #[error("output {id}: {setting} is {value}: {expected}")]
    Setting {
        /// The output.
        id: String,
        /// The name of the setting.
        setting: &'static str,
        /// The value that was refused, redacted.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// There is an output of this name already.
    #[error("there is an output named {id} already")]
    DuplicateOutput {
        /// The name.
        id: String,
    },
    /// There is no output of this name.
    #[error("there is no output named {id}")]
    UnknownOutput {
        /// The name.
        id: String,
    },
    /// There is no rendition of this name.
    #[error("there is no rendition named {id}")]
    UnknownRendition {
        /// The name.
        id: String,
    },
    /// A codec of the rendition cannot be carried.
    #[error("output {id} cannot carry the rendition {rendition}")]
    Unsupported {
        /// The output.
        id: String,
        /// The rendition.
        rendition: String,
        /// The codec, and why.
        #[source]
        source: codec::Unsupported,
    },
    /// A file is there already, and is not overwritten.
    #[error("{} exists already and is not overwritten", path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// A file or folder could not be made.
    #[error("cannot make {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Another process of this stream may lead; nothing is sent before it is known that none does.
    #[error("it is not confirmed that this instance leads the stream")]
    NotLeading,
    /// The disk is full; what was written until then is kept.
    #[error("the disk is full")]
    DiskFull {
        /// The write that failed.
        #[source]
        source: CodecError,
    },
    /// As many attempts in a row failed as `retry_attempts` allows.
    #[error("gave up after {attempts} attempts")]
    RetriesExhausted {
        /// Attempts in a row.
        attempts: u32,
        /// The failure of the last.
        #[source]
        last: Box<StreamingError>,
    },
    /// A thread panicked; this is a defect of the program.
    #[error("panic: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// A thread did not end before the deadline and was left behind.
    #[error("still running at the deadline")]
    StillRunning,
    /// The system gave no thread.
    #[error("no thread could be started")]
    Spawn(#[source] std::io::Error),
}

impl StreamingError {
    /// The error and its causes on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        use std::error::Error;
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
