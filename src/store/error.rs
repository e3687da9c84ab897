//! What a store says when it cannot.

use thiserror::Error;

use super::Standing;

/// Why a store did not do what it was asked. None repeats a password or a document.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Nobody answers, or not in time.
    #[error("{place} cannot be reached: {what}")]
    Unavailable {
        /// The file, or the server without its password.
        place: String,
        /// What happened.
        what: String,
    },
    /// It has no room.
    #[error("{place} is full: {what}")]
    Full {
        /// The file, or the server without its password.
        place: String,
        /// What happened.
        what: String,
    },
    /// It can be read and not written, as a replica.
    #[error("{place} can only be read: {what}")]
    ReadOnly {
        /// The file, or the server without its password.
        place: String,
        /// What happened.
        what: String,
    },
    /// It answers, and refuses: a wrong password, a missing right, an answer that makes no sense.
    #[error("{place} refuses: {what}")]
    Refused {
        /// The file, or the server without its password.
        place: String,
        /// What it said.
        what: String,
    },
    /// Somebody else holds the lease, or nobody does; who asked must not write.
    #[error("{place} was taken over: fence {fence} holds no more, {holder}")]
    Fenced {
        /// The server without its password.
        place: String,
        /// The fence of who asked.
        fence: u64,
        /// Who holds the lease.
        holder: String,
    },
    /// It stands elsewhere than who asked believed.
    #[error("{place} stands at {found}, where {expected} was expected")]
    Diverged {
        /// The file, or the server without its password.
        place: String,
        /// What was expected.
        expected: Standing,
        /// What is there.
        found: Standing,
    },
    /// What is there cannot be read. It was left as it is.
    #[error("{place} is damaged: {what}. It was left as it is; {way_out}")]
    Corrupt {
        /// The file, or the server without its password.
        place: String,
        /// What is wrong.
        what: String,
        /// What a person can do.
        way_out: String,
    },
    /// A newer release wrote it.
    #[error(
        "{place} has format {found}, and this release knows formats up to {known}: use the release that wrote it, or a newer one"
    )]
    Newer {
        /// The file, or the server without its password.
        place: String,
        /// The format that is there.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// Another process has it.
    #[error(
        "{place} is in use by another process; each needs a DATA_DIR of its own, or REDIS_URL to share one state"
    )]
    InUse {
        /// The file.
        place: String,
    },
    /// More than a store takes.
    #[error("that is more than a store takes: {what}")]
    TooMuch {
        /// What is too long, too large or too many.
        what: String,
    },
}

impl StoreError {
    /// Whether it is worth asking again by and by.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::TooMuch { .. } | Self::Fenced { .. })
    }

    /// Whether it answers, and what it holds cannot be read by this release.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Newer { .. })
    }

    /// Whether it could not be asked at all.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
