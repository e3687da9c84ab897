//! What other programs are to be told of assets, as files that outlive this process: one an asset, until Redis has taken it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::is_id;
use crate::control::library::write_whole;

/// What became of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Added,
    /// With the milliseconds since 1970 of the upload that was deleted.
    Deleted(u64),
}

impl Mark {
    fn words(self) -> String {
        match self {
            Self::Added => "added".to_owned(),
            Self::Deleted(created_at) => format!("deleted {created_at}"),
        }
    }

    fn parse(words: &str) -> Option<Self> {
        match words.split_once(' ') {
            None => (words == "added").then_some(Self::Added),
            Some(("deleted", created_at)) => created_at.parse().ok().map(Self::Deleted),
            Some(_) => None,
        }
    }
}

/// A folder with a file for each asset that something is to be told of.
#[derive(Debug)]
pub(super) struct Outbox {
    folder: PathBuf,
    /// Held while a mark is looked at and changed.
    changing: Mutex<()>,
}

impl Outbox {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            changing: Mutex::default(),
        }
    }

    /// Notes what became of an asset, in the place of what was noted before.
    pub(super) fn put(&self, id: &str, mark: Mark) -> io::Result<()> {
        let _changing = self.lock();
        fs::create_dir_all(&self.folder)?;
        write_whole(&self.folder.join(id), mark.words().as_bytes())
    }

    /// What is noted of an asset.
    pub(super) fn get(&self, id: &str) -> Option<Mark> {
        let words = is_id(id).then(|| fs::read_to_string(self.folder.join(id)).ok())??;
        Mark::parse(&words)
    }

    /// Everything that is noted.
    pub(super) fn list(&self) -> Vec<(String, Mark)> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| {
                let id = entry.ok()?.file_name().into_string().ok()?;
                let mark = self.get(&id)?;
                Some((id, mark))
            })
            .collect()
    }

    /// It was told; what was noted meanwhile stays.
    pub(super) fn clear(&self, id: &str, mark: Mark) -> io::Result<()> {
        let _changing = self.lock();
        if self.get(id) != Some(mark) {
            return Ok(());
        }
        match fs::remove_file(self.folder.join(id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
