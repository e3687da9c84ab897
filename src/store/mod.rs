//! State that survives: the documents of a show, kept whole from revision to revision in one file or in Redis.
//!
//! A [`Store`] is one of two engines behind one door: `load`, `commit`, `health`. It knows nothing of shows, scenes or ticks: a
//! document is a name and bytes. Nothing here is called on the tick; who changes things hands them to the [`Persister`], which never
//! lets anybody wait. What only Redis can give, a world that several programs share, is in [`shared`].

pub mod archive;
pub mod embedded;
pub mod error;
pub mod format;
pub mod persist_status;
pub mod persister;
pub mod remote;
pub mod shared;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use embedded::Embedded;
pub use error::StoreError;
pub use persist_status::{
    NotDurable, PersistCounters, PersistOptions, PersistState, PersistStatus,
};
pub use persister::Persister;
pub use remote::{RedisStore, RedisUrl};

/// The most documents that a store holds.
pub const DOCUMENTS_MAX: usize = 4096;
/// The longest name of a document, in bytes.
pub const KEY_BYTES_MAX: usize = 200;
/// The largest document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Documents by their names.
pub type Documents = BTreeMap<Arc<str>, Bytes>;
/// Documents that change: `None` is one that goes.
pub type Puts = BTreeMap<Arc<str>, Option<Bytes>>;

/// What a store holds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// The revision that the documents are of; 0 is a store that nothing was saved in.
    pub revision: u64,
    /// The fence of who saved them; 0 without a lease.
    pub fence: u64,
    /// The format that they were written in, of which they have been brought to today's.
    pub format: u32,
    /// Every document, as today's format has it.
    pub documents: Documents,
}

/// Documents may hold stream keys.
impl fmt::Debug for Saved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Saved")
            .field("revision", &self.revision)
            .field("fence", &self.fence)
            .field("documents", &self.documents.keys())
            .finish_non_exhaustive()
    }
}

/// Changes that are saved whole or not at all.
#[derive(Clone)]
pub struct Batch {
    /// The revision that the changes are made to. The store may be further, up to `revision`, where an answer of the same fence was
    /// lost: the changes are all that were made since. `None` puts these documents in the place of whatever is there.
    pub after: Option<u64>,
    /// The revision that they make.
    pub revision: u64,
    /// The fence of the lease that they are made under; 0 without one.
    pub fence: u64,
    /// The changes.
    pub puts: Puts,
}

/// Documents may hold stream keys.
impl fmt::Debug for Batch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Batch")
            .field("after", &self.after)
            .field("revision", &self.revision)
            .field("fence", &self.fence)
            .field("puts", &self.puts.keys())
            .finish()
    }
}

/// Where a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The revision of its documents.
    pub revision: u64,
    /// The fence of who saved them.
    pub fence: u64,
}

/// One of the two engines. Cheap to copy.
#[derive(Clone, Debug)]
pub enum Store {
    /// One file, of which this process is the only user.
    Embedded(Embedded),
    /// Redis, with whoever else uses it.
    Redis(RedisStore),
}

impl Store {
    /// The engine's name: `embedded` or `redis`.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Redis(_) => "redis",
        }
    }

    /// Everything that is saved, in today's format.
    ///
    /// # Errors
    /// As [`StoreError`] says; nothing is changed.
    pub async fn load(&self) -> Result<Saved, StoreError> {
        match self {
            Self::Embedded(store) => store.load().await,
            Self::Redis(store) => store.load().await,
        }
    }

    /// Saves a batch. When this answers well, it outlives the process.
    ///
    /// # Errors
    /// As [`StoreError`] says. Nothing of the batch is saved then, but for an [`StoreError::Unavailable`], after which it is not
    /// known; asking again is safe.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        check(&batch.puts)?;
        match self {
            Self::Embedded(store) => store.commit(batch).await,
            Self::Redis(store) => store.commit(&batch).await,
        }
    }

    /// Asks whether it is there, and where it stands.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn health(&self) -> Result<Standing, StoreError> {
        match self {
            Self::Embedded(store) => store.health().await,
            Self::Redis(store) => store.health().await,
        }
    }

    /// Lets go of the file, or of the connection. What was committed stays.
    pub async fn close(self) {
        if let Self::Embedded(store) = self {
            store.close().await;
        }
    }
}

/// Holds names and sizes to their bounds.
///
/// # Errors
/// [`StoreError::TooMuch`], which names what.
pub fn check(puts: &Puts) -> Result<(), StoreError> {
    let too_much = |what: String| Err(StoreError::TooMuch { what });
    if puts.len() > DOCUMENTS_MAX {
        return too_much(format!("{} documents; at most {DOCUMENTS_MAX}", puts.len()));
    }
    for (key, value) in puts {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return too_much(format!(
                "a name of {} bytes; from 1 to {KEY_BYTES_MAX}",
                key.len()
            ));
        }
        let bytes = value.as_ref().map_or(0, Bytes::len);
        if bytes > DOCUMENT_BYTES_MAX {
            return too_much(format!(
                "`{key}` has {bytes} bytes; at most {DOCUMENT_BYTES_MAX}"
            ));
        }
    }
    Ok(())
}

/// Whether a batch may be laid over what a store holds: the same rule for both engines (`commit.lua` has it too).
fn follows(batch: &Batch, found: Standing, found_format: u32) -> bool {
    let Some(after) = batch.after else {
        return true;
    };
    let is_there = found.revision == after;
    // The answer to an earlier one of ours was lost; this one has its changes too.
    let was_ours = found.fence == batch.fence && (after..=batch.revision).contains(&found.revision);
    (is_there || was_ours) && (found.revision == 0 || found_format == format::FORMAT)
}
