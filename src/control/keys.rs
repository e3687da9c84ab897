//! Stream keys, with which publishers send to this program. A key is 160 random bits; what is kept of it is its hash, or the key
//! itself where whoever makes it asks for that.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::{ApiError, ErrorCode};
use super::library::write_whole;
use super::station::now_ms;

/// The most keys.
pub const KEYS_MAX: usize = 1000;
/// What every key begins with, so that one is known for what it is where it leaks.
const PREFIX: &str = "sm_";
/// Letters of a key that are shown.
const SHOWN: usize = 7;

/// The keys, kept in a file. Cheap to copy.
#[derive(Clone, Debug)]
pub struct KeyStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    keys: Mutex<Vec<Kept>>,
}

/// A key as the file has it. `Debug` shows no secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    id: String,
    name: String,
    /// SHA-256 in hexadecimal.
    hash: String,
    /// Its first letters.
    shown: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    created_at: u64,
    last_used: Option<u64>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "key {}", self.id)
    }
}

/// A key in the list: without what is secret of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyEntry {
    /// Its name for the API.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its first letters and an ellipsis: a key is shown whole once, when it is made.
    pub key: String,
    /// Whether it can be shown again.
    pub readable: bool,
    /// Milliseconds since 1970 (UTC).
    pub created_at: u64,
    /// Milliseconds since 1970 (UTC) at which somebody last published with it.
    pub last_used: Option<u64>,
}

/// What is asked of a new key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewKey {
    /// Its name for people, up to 128 letters.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Whether the key itself is kept, so that it can be shown again; otherwise its hash alone is.
    pub readable: bool,
}

/// A key that was just made.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeKey {
    /// Its name for the API.
    pub id: String,
    /// The key, which is shown this once.
    pub key: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: u64,
}

impl KeyStore {
    /// The keys of a file; none when it is not there.
    ///
    /// # Errors
    /// The file is there and cannot be read: it is left as it is.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        let keys = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| anyhow::anyhow!("`{}` holds no keys: {error}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => anyhow::bail!("`{}` cannot be read: {error}", path.display()),
        };
        Ok(Self(Arc::new(Inner {
            path,
            keys: Mutex::new(keys),
        })))
    }

    /// Every key, the oldest first.
    pub fn list(&self) -> Vec<KeyEntry> {
        self.lock().iter().map(entry).collect()
    }

    /// Makes a key.
    ///
    /// # Errors
    /// There are [`KEYS_MAX`], the name is too long, or the disk's: then there is no key.
    pub fn make(&self, asked: &NewKey) -> Result<MadeKey, ApiError> {
        if asked.name.chars().count() > 128 {
            return Err(ApiError::invalid(
                "name: a key's name has at most 128 letters",
            ));
        }
        let mut keys = self.lock();
        if keys.len() >= KEYS_MAX {
            let message = format!("there are {KEYS_MAX} keys, which is the most; delete some");
            return Err(ApiError::conflict(message));
        }
        let key = format!("{PREFIX}{}", random_hex::<20>()?);
        let made = MadeKey {
            id: random_hex::<8>()?,
            key: key.clone(),
            created_at: now_ms(),
        };
        let mut next = keys.clone();
        next.push(Kept {
            id: made.id.clone(),
            name: asked.name.clone(),
            hash: hash(&key),
            shown: key.chars().take(SHOWN).collect(),
            key: asked.readable.then_some(key),
            created_at: made.created_at,
            last_used: None,
        });
        self.write(&next)?;
        *keys = next;
        Ok(made)
    }

    /// Shows a readable key again.
    ///
    /// # Errors
    /// There is none of this name, or only its hash is kept.
    pub fn reveal(&self, id: &str) -> Result<String, ApiError> {
        let keys = self.lock();
        let kept = keys
            .iter()
            .find(|kept| kept.id == id)
            .ok_or_else(|| ApiError::not_found("key", id, []))?;
        kept.key.clone().ok_or_else(|| {
            ApiError::conflict("only the hash of this key is kept; make a new one, with `readable`")
        })
    }

    /// Deletes a key; who publishes with it next is refused.
    ///
    /// # Errors
    /// There is none of this name, or the disk's.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        let mut keys = self.lock();
        let next: Vec<Kept> = keys.iter().filter(|kept| kept.id != id).cloned().collect();
        if next.len() == keys.len() {
            return Err(ApiError::not_found("key", id, []));
        }
        self.write(&next)?;
        *keys = next;
        Ok(())
    }

    /// The name of the key that `offered` is, with the time noted. Every key is compared, each in constant time.
    pub fn accept(&self, offered: &str) -> Option<String> {
        let offered = hash(offered);
        let mut keys = self.lock();
        let mut found = None;
        for (index, kept) in keys.iter().enumerate() {
            if bool::from(kept.hash.as_bytes().ct_eq(offered.as_bytes())) {
                found = Some(index);
            }
        }
        let kept = keys.get_mut(found?)?;
        kept.last_used = Some(now_ms());
        Some(kept.id.clone())
    }

    fn write(&self, keys: &[Kept]) -> Result<(), ApiError> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "the file of keys cannot be written");
            ApiError::new(ErrorCode::Unavailable, "the keys cannot be written")
        };
        let bytes = serde_json::to_vec_pretty(keys).map_err(|error| failed(&error))?;
        if let Some(folder) = self.0.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        // Readable by its owner alone: `tempfile` makes it so.
        write_whole(&self.0.path, &bytes).map_err(|error| failed(&error))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(kept: &Kept) -> KeyEntry {
    KeyEntry {
        id: kept.id.clone(),
        name: kept.name.clone(),
        key: format!("{}…", kept.shown),
        readable: kept.key.is_some(),
        created_at: kept.created_at,
        last_used: kept.last_used,
    }
}

fn hash(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random_hex<const N: usize>() -> Result<String, ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        ApiError::internal("the system gives no random numbers")
    })?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_once_and_known_again_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        let store = KeyStore::open(path.clone()).expect("a store");
        let made = store.make(&NewKey::default()).expect("a key");
        assert_eq!(made.key.len(), PREFIX.len() + 40);
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(!text.contains(&made.key), "the hash alone is kept");
        assert!(
            !serde_json::to_string(&store.list())
                .expect("JSON")
                .contains(&made.key)
        );

        let store = KeyStore::open(path.clone()).expect("a store");
        assert_eq!(store.accept(&made.key), Some(made.id.clone()));
        assert!(store.list()[0].last_used.is_some());
        assert_eq!(store.accept("sm_other"), None);
        assert_eq!(
            store.reveal(&made.id).expect_err("a hash").code,
            ErrorCode::Conflict
        );
        store.delete(&made.id).expect("deleted");
        assert_eq!(store.accept(&made.key), None);
        assert!(store.delete(&made.id).is_err());

        let readable = NewKey {
            readable: true,
            ..NewKey::default()
        };
        let made = store.make(&readable).expect("a key");
        assert_eq!(store.reveal(&made.id).expect("readable"), made.key);
        std::fs::write(&path, "no keys").expect("a file");
        assert!(KeyStore::open(path).is_err());
    }
}
