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
    /// The number of the commit that saved them.
    pub writes: u64,
    /// The format that they were written in, of which they have been brought to today's.
    pub format: u32,
    /// Every document, as today's format has it.
    pub documents: Documents,
}

impl Saved {
    /// Where the store stood.
    pub fn standing(&self) -> Standing {
        Standing {
            revision: self.revision,
            fence: self.fence,
            writes: self.writes,
        }
    }

    /// Changes that make the next revision of it.
    pub fn change(&self, puts: Puts) -> Batch {
        Batch {
            after: Some(self.standing()),
            revision: self.revision + 1,
            fence: self.fence,
            writes: self.writes + 1,
            puts,
        }
    }
}

/// Documents may hold stream keys.
impl fmt::Debug for Saved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Saved")
            .field("revision", &self.revision)
            .field("fence", &self.fence)
            .field("writes", &self.writes)
            .field("documents", &self.documents.keys())
            .finish_non_exhaustive()
    }
}

/// Changes that are saved whole or not at all.
#[derive(Clone)]
pub struct Batch {
    /// What the changes are made to. The store may be further, by commits of the same fence up to the number of this one, whose answers
    /// were lost: the changes are all that were made since. `None` puts these documents in the place of whatever is there.
    pub after: Option<Standing>,
    /// The revision that they make.
    pub revision: u64,
    /// The fence of the lease that they are made under; 0 without one.
    pub fence: u64,
    /// The number of this commit, which is above those of all that its writer has asked for, done or not. With the fence it tells one
    /// commit from every other, also where the revision stays: a store that has lost the newest ones is known by it.
    pub writes: u64,
    /// The changes.
    pub puts: Puts,
}

impl Batch {
    /// Where the store stands with it.
    pub fn makes(&self) -> Standing {
        Standing {
            revision: self.revision,
            fence: self.fence,
            writes: self.writes,
        }
    }
}

/// Documents may hold stream keys.
impl fmt::Debug for Batch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Batch")
            .field("after", &self.after)
            .field("revision", &self.revision)
            .field("fence", &self.fence)
            .field("writes", &self.writes)
            .field("puts", &self.puts.keys())
            .finish()
    }
}

/// Where a store stands: after which commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The revision of its documents.
    pub revision: u64,
    /// The fence of who saved them.
    pub fence: u64,
    /// The number of the commit that did; 0 where a release saved them that counted none.
    pub writes: u64,
}

impl fmt::Display for Standing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            revision,
            fence,
            writes,
        } = self;
        match fence {
            0 => write!(out, "revision {revision} by commit {writes}"),
            _ => write!(
                out,
                "revision {revision} by commit {writes} of fence {fence}"
            ),
        }
    }
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

/// Whether a batch may be laid over what a store holds. `commit.lua` has the same rule for Redis, where without a lease nothing tells whose
/// a commit was.
fn follows(batch: &Batch, found: Standing, found_format: u32) -> bool {
    let Some(after) = batch.after else {
        return true;
    };
    // The answer to an earlier one of ours was lost; this one has its changes too.
    let was_ours =
        found.fence == batch.fence && after.writes < found.writes && found.writes <= batch.writes;
    (found == after || was_ours) && (found.revision == 0 || found_format == format::FORMAT)
}
