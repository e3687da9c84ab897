//! Follows what a leader saves: the log says that something has changed, one script gives the documents of a whole revision.
//!
//! Each [`Change`] goes from one whole revision to a later one, in order. Where the log does not reach back, since it was trimmed,
//! flushed or written anew, the change has everything.

use std::time::Duration;

use crate::store::error::StoreError;
use crate::store::remote::{Link, RedisStore};
use crate::store::{Documents, Puts, Standing, format};

/// From one revision to the next.
#[derive(Clone)]
pub struct Change {
    /// The revision after it.
    pub revision: u64,
    /// The fence of who made it.
    pub fence: u64,
    /// The number of the commit that did.
    pub writes: u64,
    /// Whether `puts` are all documents, and what is not among them is gone.
    pub is_whole: bool,
    /// The documents that differ.
    pub puts: Puts,
}

/// Documents may hold stream keys.
impl std::fmt::Debug for Change {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Change")
            .field("revision", &self.revision)
            .field("is_whole", &self.is_whole)
            .field("puts", &self.puts.keys())
            .finish_non_exhaustive()
    }
}

/// Reads the changes of one stream.
#[derive(Debug)]
pub struct Follower {
    store: RedisStore,
    /// A connection of its own, on which it may wait.
    waiting: Link,
    wait: Duration,
    /// The newest entry of the log that was read; empty before the first.
    last: String,
    /// Where the store stood after it.
    standing: Standing,
}

impl Follower {
    /// Follows from the beginning: the first change has everything. `wait` is the longest that [`Follower::next`] waits.
    pub fn new(store: &RedisStore, wait: Duration) -> Self {
        Self {
            waiting: store.link().beside(wait),
            store: store.clone(),
            wait,
            last: String::new(),
            standing: Standing::default(),
        }
    }

    /// The next change, or `None` where none came within the time.
    ///
    /// Dropping this while it waits loses nothing.
    ///
    /// # Errors
    /// As [`StoreError`] says; the next call goes on where this one stood.
    pub async fn next(&mut self) -> Result<Option<Change>, StoreError> {
        if !self.last.is_empty() && !self.is_there_more().await? {
            return Ok(None);
        }
        let changes = self.store.changes(&self.last, self.standing).await?;
        let mut puts = changes.puts;
        if changes.is_whole {
            puts = self.brought_up(changes.format, puts)?;
        }
        self.last = changes.last;
        self.standing = changes.standing;
        Ok(Some(Change {
            revision: self.standing.revision,
            fence: self.standing.fence,
            writes: self.standing.writes,
            is_whole: changes.is_whole,
            puts,
        }))
    }

    fn brought_up(&self, found: u32, puts: Puts) -> Result<Puts, StoreError> {
        let there = puts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let mut documents: Documents = there.collect();
        format::bring_up(&self.store.link().place(), found, &mut documents)?;
        let puts = documents.into_iter().map(|(key, bytes)| (key, Some(bytes)));
        Ok(puts.collect())
    }

    async fn is_there_more(&self) -> Result<bool, StoreError> {
        let (log, last) = (&self.store.keys().log, &self.last);
        if self.waiting.is_there_more(log, last, self.wait).await? {
            return Ok(true);
        }
        // After a flush the log is empty, and on another server it may end earlier: no entry tells of that.
        Ok(self.store.health().await? != self.standing)
    }
}
