//! Where the instances of a stream can be reached, so that one which takes the lease can ask the one before it to let go.
//!
//! A leader that is cut off from Redis cannot know whether Redis is gone, and then goes on, or whether another instance has taken the
//! lease. The other one knows, and asks: `sm:{ID}:member:NAME` holds where, and a word that only the two can know. What answers there
//! stops sending before it answers. What does not answer is dead, stopped, or cut off from everybody.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::error::StoreError;
use crate::store::remote::RedisStore;

/// How long it is known where an instance was that has not said so again.
const KEPT: Duration = Duration::from_secs(3600);

/// Where an instance is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// `host:port` of its health port.
    pub address: String,
    /// What it is asked with.
    pub word: String,
}

/// The word is a secret.
impl std::fmt::Debug for Contact {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Contact")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Says where an instance is.
///
/// # Errors
/// As [`StoreError`] says.
pub async fn announce(store: &RedisStore, name: &str, contact: &Contact) -> Result<(), StoreError> {
    let json = serde_json::to_string(contact).unwrap_or_default();
    let mut command = redis::cmd("SET");
    command
        .arg(store.keys().of(&format!("member:{name}")))
        .arg(json)
        .arg("PX")
        .arg(u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX));
    let _ok: String = store.link().ask(&command).await?;
    Ok(())
}

/// Where an instance is, if it is known.
///
/// # Errors
/// As [`StoreError`] says.
pub async fn contact_of(store: &RedisStore, name: &str) -> Result<Option<Contact>, StoreError> {
    let mut command = redis::cmd("GET");
    command.arg(store.keys().of(&format!("member:{name}")));
    let json: Option<String> = store.link().ask(&command).await?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}
