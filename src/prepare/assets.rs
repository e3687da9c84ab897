//! Where uploaded assets are, and what is kept of all files that were read.

use std::path::{Path, PathBuf};

use super::cache::AssetCache;

/// A folder of uploaded assets with a cache for these and all other files. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Assets {
    folder: PathBuf,
    cache: AssetCache,
}

impl Assets {
    /// The assets of a folder, with a cache that keeps at most so many bytes.
    pub fn new(folder: PathBuf, cache_bytes: usize) -> Self {
        Self {
            folder,
            cache: AssetCache::new(cache_bytes),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is kept.
    pub fn cache(&self) -> &AssetCache {
        &self.cache
    }
}

/// Nothing is kept.
impl From<PathBuf> for Assets {
    fn from(folder: PathBuf) -> Self {
        Self::new(folder, 0)
    }
}
