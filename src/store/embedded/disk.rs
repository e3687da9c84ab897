//! The file under the database: made for its owner alone, locked against other processes, and tried in memory before it is touched.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::StorageBackend;

use crate::store::error::StoreError;

/// How long a lock is waited for: who ends may still be at it, or a child of its that has not begun yet has the file from it.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// What a database begins with; redb writes it last when it makes one, once all else is on the disk.
const MAGIC_BYTES: usize = 9;
/// The header, in bytes. Nothing behind it is written before the magic number is.
const HEADER_BYTES: usize = 320;

/// A locked file. The lock is let go when the last copy is.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    file: Arc<File>,
    path: PathBuf,
}

impl Disk {
    /// Opens a file, makes it where there is none, and locks it.
    ///
    /// # Errors
    /// It cannot be opened, or another process has it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let place = || path.display().to_string();
        let failed = |error: &Error| StoreError::Unavailable {
            place: place(),
            what: error.to_string(),
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| failed(&error))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT_MAX => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { place: place() }),
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
        }
        let mode = std::fs::Permissions::from_mode(0o600);
        file.set_permissions(mode).map_err(|error| failed(&error))?;
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
        })
    }

    /// Whether the file still lies where it was opened.
    pub(super) fn is_in_place(&self) -> bool {
        let same = |there: std::fs::Metadata, ours: std::fs::Metadata| {
            there.ino() == ours.ino() && there.dev() == ours.dev()
        };
        match (std::fs::metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => same(there, ours),
            _ => false,
        }
    }

    /// Everything in it, as a disk in memory. A file whose making was not finished, in which nothing was ever saved, is emptied first.
    ///
    /// # Errors
    /// It cannot be read, or not emptied.
    pub(super) fn copy(&self) -> Result<Memory, Error> {
        let bytes = usize::try_from(self.len()?).map_err(|_| ErrorKind::FileTooLarge)?;
        let mut copy = vec![0; bytes];
        self.file.read_exact_at(&mut copy, 0)?;
        if is_unfinished(&copy) {
            tracing::info!(file = %self.path.display(), "the file of the state was begun and never finished; it is made anew");
            self.file.set_len(0)?;
            copy.clear();
        }
        Ok(Memory(RwLock::new(copy)))
    }
}

/// Whether the process or the disk gave up while the file was made: it has its length and at most a header without the magic number. One
/// that is damaged there has documents behind it.
fn is_unfinished(bytes: &[u8]) -> bool {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let magic = &bytes[..MAGIC_BYTES.min(bytes.len())];
    let behind = &bytes[HEADER_BYTES.min(bytes.len())..];
    !bytes.is_empty() && is_zero(magic) && is_zero(behind)
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(data, offset)
    }
}

/// A copy, in which a database may be opened and repaired without a change of the file.
#[derive(Debug)]
pub(super) struct Memory(RwLock<Vec<u8>>);

impl Memory {
    fn range(bytes: &[u8], offset: u64, len: usize) -> Result<std::ops::Range<usize>, Error> {
        let start = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(len).ok_or(ErrorKind::UnexpectedEof)?;
        if end > bytes.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(start..end)
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> Result<u64, Error> {
        let bytes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let bytes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let range = Self::range(&bytes, offset, out.len())?;
        out.copy_from_slice(&bytes[range]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?;
        let mut bytes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // A damaged header may ask for any length.
        if len > bytes.len().saturating_mul(2).max(64 * 1024 * 1024) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut bytes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let range = Self::range(&bytes, offset, data.len())?;
        bytes[range].copy_from_slice(data);
        Ok(())
    }
}
