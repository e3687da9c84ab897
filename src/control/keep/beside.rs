//! Documents that stand beside the show: stream keys, the index of recordings, what was asked of recording and replay, saved scenes.
//!
//! Who keeps one hands its bytes over whenever they differ, which never waits, and goes on. They are saved with the show, in the order in
//! which they were given, and have no revision of their own. [`Saving::flushed`](super::Saving::flushed) waits until they are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::control::error::{ApiError, ErrorCode};
use crate::store::{Persister, Puts, StoreError};

/// How long it is waited until what was given is saved, before something is done that may be left undone.
const SAVED_WAIT_MAX: Duration = Duration::from_secs(10);

/// Where documents beside the show are handed over. Cheap to copy.
#[derive(Clone, Default)]
pub struct Beside(To);

#[derive(Clone, Default)]
enum To {
    #[default]
    Nowhere,
    Store(Persister, Handle),
    Pile(Arc<Mutex<Puts>>),
}

impl std::fmt::Debug for Beside {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self.0 {
            To::Nowhere => "Beside(nowhere)",
            To::Store(..) => "Beside(store)",
            To::Pile(_) => "Beside(pile)",
        })
    }
}

impl Beside {
    /// Nothing is saved: for who only looks at what another one keeps.
    pub fn nowhere() -> Self {
        Self::default()
    }

    /// Into the store that a persister writes to, on the runtime that this is called on.
    pub(super) fn store(persister: Persister) -> Self {
        Self(To::Store(persister, Handle::current()))
    }

    /// Onto a pile, which somebody else commits.
    pub fn pile() -> (Self, Arc<Mutex<Puts>>) {
        let pile = Arc::new(Mutex::new(Puts::new()));
        (Self(To::Pile(Arc::clone(&pile))), pile)
    }

    /// Hands a document over; `None` is one that goes. Never waits.
    ///
    /// # Errors
    /// It is larger than a store takes, or one too many; it is not taken then.
    pub fn put(&self, name: &str, bytes: Option<Bytes>) -> Result<(), ApiError> {
        let puts = Puts::from([(name.into(), bytes)]);
        match &self.0 {
            To::Nowhere => Ok(()),
            // Of no revision of its own: that of the show stays.
            To::Store(persister, _) => persister.put(0, puts).map_err(|error| refused(&error)),
            To::Pile(pile) => {
                crate::store::check(&puts).map_err(|error| refused(&error))?;
                pile.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(puts);
                Ok(())
            }
        }
    }

    /// Whether a document would be taken.
    ///
    /// # Errors
    /// As [`Beside::put`].
    pub fn check(&self, name: &str, bytes: &Bytes) -> Result<(), ApiError> {
        let puts = Puts::from([(name.into(), Some(bytes.clone()))]);
        let checked = match &self.0 {
            To::Store(persister, _) => persister.check(&puts),
            To::Nowhere | To::Pile(_) => crate::store::check(&puts),
        };
        checked.map_err(|error| refused(&error))
    }

    /// Does `work` once what was given by now is saved; where that takes too long, it is left undone. Never waits.
    pub fn once_saved(&self, work: impl FnOnce() + Send + 'static) {
        match &self.0 {
            To::Nowhere | To::Pile(_) => work(),
            To::Store(persister, runtime) => {
                let persister = persister.clone();
                drop(runtime.spawn(async move {
                    if persister.settled(SAVED_WAIT_MAX).await {
                        drop(tokio::task::spawn_blocking(work).await);
                    }
                }));
            }
        }
    }
}

fn refused(error: &StoreError) -> ApiError {
    ApiError::new(ErrorCode::Conflict, format!("it cannot be saved: {error}"))
}
