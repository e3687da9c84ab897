//! Stream keys, with which publishers send to this program. A key is 160 random bits; what is kept of it is its hash, or the key
//! itself where whoever makes it asks for that.
//!
//! The file is shared with the command line: whoever writes it holds a lock beside it and begins from what is in it by then, and a
//! program that runs reads it again when it has changed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

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
/// The name under which players ask for the program.
const PROGRAM: &str = "program";
/// Letters of a key that are shown.
const SHOWN: usize = 7;

/// The keys, kept in a file. Cheap to copy.
#[derive(Clone, Debug)]
pub struct KeyStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    keys: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Vec<Kept>,
    /// Of the file when it was looked at last.
    stamp: Option<Stamp>,
    /// The file has changed since, and could not be read.
    is_stale: bool,
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// A key that somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedKey {
    /// 16 hexadecimal digits, by which the API, layers and players name it.
    pub id: String,
    /// Its name for people; empty where it has none.
    pub name: String,
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
    /// 16 hexadecimal digits, by which the API, layers and players name it.
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
    /// Its name, by which layers and players ask for what is published with it: up to 128 of the letters a-z, A-Z, 0-9, `-`, `_` and `.`,
    /// not `program`, and nothing that begins with `sm_`. No other key has it.
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9._-]*$"))]
    pub name: String,
    /// Whether the key itself is kept, so that it can be shown again; otherwise its hash alone is.
    pub readable: bool,
}

/// A key that was just made.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeKey {
    /// 16 hexadecimal digits, by which the API, layers and players name it.
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
        let stamp = stamp(&path);
        let keys = read(&path)?;
        Ok(Self(Arc::new(Inner {
            path,
            keys: Mutex::new(Known {
                keys,
                stamp,
                is_stale: false,
            }),
        })))
    }

    /// Every key, the oldest first.
    pub fn list(&self) -> Vec<KeyEntry> {
        self.refreshed().keys.iter().map(entry).collect()
    }

    /// Makes a key.
    ///
    /// # Errors
    /// There are [`KEYS_MAX`], the name is too long, kept for something else or another key's, or the disk's: then there is no key.
    pub fn make(&self, asked: &NewKey) -> Result<MadeKey, ApiError> {
        if !asked.name.is_empty() && !is_plain(&asked.name) {
            return Err(ApiError::invalid(
                "name: a key's name is part of an address: up to 128 of the letters a-z, A-Z, 0-9, `-`, `_` and `.`",
            ));
        }
        if asked.name == PROGRAM || asked.name.starts_with(PREFIX) {
            return Err(ApiError::invalid(format!(
                "name: `{PROGRAM}` is what players ask for, and what begins with `{PREFIX}` is taken for a key",
            )));
        }
        let (_file, keys) = self.to_change()?;
        if keys.len() >= KEYS_MAX {
            let message = format!("there are {KEYS_MAX} keys, which is the most; delete some");
            return Err(ApiError::conflict(message));
        }
        let name = &asked.name;
        let is_taken = |kept: &Kept| kept.name == *name || kept.id == *name;
        if !name.is_empty() && keys.iter().any(is_taken) {
            let message = format!("there is a key of the name `{name}` already");
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
        self.write(next)?;
        Ok(made)
    }

    /// Shows a readable key again.
    ///
    /// # Errors
    /// There is none of this name, or only its hash is kept.
    pub fn reveal(&self, id: &str) -> Result<String, ApiError> {
        let known = self.refreshed();
        let kept = known
            .keys
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
        let (_file, keys) = self.to_change()?;
        let next: Vec<Kept> = keys.iter().filter(|kept| kept.id != id).cloned().collect();
        if next.len() == keys.len() {
            return Err(ApiError::not_found("key", id, []));
        }
        self.write(next)
    }

    /// The key that `offered` is. Every key is compared, each in constant time. Waits for the disk.
    pub fn accept(&self, offered: &str) -> Option<AcceptedKey> {
        let offered = hash(offered);
        let known = self.refreshed();
        let mut found = None;
        for kept in &known.keys {
            if bool::from(kept.hash.as_bytes().ct_eq(offered.as_bytes())) {
                found = Some(kept);
            }
        }
        found.map(|kept| AcceptedKey {
            id: kept.id.clone(),
            name: kept.name.clone(),
        })
    }

    /// Notes that somebody publishes with a key now. Waits for the disk.
    pub fn note_used(&self, id: &str) {
        let noted = self.to_change().and_then(|(_file, mut next)| {
            let Some(kept) = next.iter_mut().find(|kept| kept.id == id) else {
                return Ok(());
            };
            kept.last_used = Some(now_ms());
            self.write(next)
        });
        if let Err(error) = noted {
            // Who has a key may publish whatever the disk does.
            tracing::warn!(%error, "the time at which a key was used is not noted");
        }
    }

    /// The name for people of the key that is called `key`, by either of its names, and its name for the API.
    pub fn named(&self, key: &str) -> Option<AcceptedKey> {
        let known = self.refreshed();
        let mut keys = known.keys.iter();
        let found = keys
            .find(|kept| kept.id == key)
            .or_else(|| known.keys.iter().find(|kept| kept.name == key));
        found.filter(|_| !key.is_empty()).map(|kept| AcceptedKey {
            id: kept.id.clone(),
            name: kept.name.clone(),
        })
    }

    /// Whether there is a key of this name for the API.
    pub fn contains(&self, id: &str) -> bool {
        self.refreshed().keys.iter().any(|kept| kept.id == id)
    }

    /// The keys as they are in the file by now. One that cannot be read changes nothing.
    fn refreshed(&self) -> MutexGuard<'_, Known> {
        let mut known = self.lock();
        let stamp = stamp(&self.0.path);
        if stamp != known.stamp || known.is_stale {
            match read(&self.0.path) {
                Ok(keys) => (known.keys, known.is_stale) = (keys, false),
                Err(error) => {
                    // Told once for each change, and tried each time.
                    if stamp != known.stamp {
                        tracing::warn!(%error, "the file of keys has changed, and the keys stay as they were");
                    }
                    known.is_stale = true;
                }
            }
            known.stamp = stamp;
        }
        known
    }

    /// The keys by now, while nobody else may write the file, be it in this program or another.
    fn to_change(&self) -> Result<(File, Vec<Kept>), ApiError> {
        let path = self.0.path.with_extension("json.lock");
        let locked = self
            .0
            .path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| File::create(path))
            .and_then(|file| file.lock().map(|()| file));
        let file = locked.map_err(|error| cannot_write(&error))?;
        let known = self.refreshed();
        if known.is_stale {
            // What is not known is not written over: a deleted key would be back.
            drop(known);
            let keys = read(&self.0.path).map_err(|error| cannot_write(&error))?;
            return Ok((file, keys));
        }
        Ok((file, known.keys.clone()))
    }

    /// Writes the file, which is locked; who looks for a key meanwhile does not wait for the disk.
    fn write(&self, keys: Vec<Kept>) -> Result<(), ApiError> {
        let bytes = serde_json::to_vec_pretty(&keys).map_err(|error| cannot_write(&error))?;
        // Readable by its owner alone: `tempfile` makes it so.
        write_whole(&self.0.path, &bytes).map_err(|error| cannot_write(&error))?;
        let stamp = stamp(&self.0.path);
        *self.lock() = Known {
            keys,
            stamp,
            is_stale: false,
        };
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a name can stand in an address as it is.
pub fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn cannot_write(error: &dyn std::fmt::Display) -> ApiError {
    tracing::warn!(%error, "the file of keys cannot be written");
    ApiError::new(ErrorCode::Unavailable, "the keys cannot be written")
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
        inode: metadata.ino(),
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<Kept>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| anyhow::anyhow!("`{}` holds no keys: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => anyhow::bail!("`{}` cannot be read: {error}", path.display()),
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
        let accepted = store.accept(&made.key).expect("the key");
        assert_eq!(accepted.id, made.id);
        assert_eq!(store.list()[0].last_used, None, "it was looked for alone");
        store.note_used(&made.id);
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
        assert!(store.contains(&made.id), "what was known stays");
        // And is not written over what is there.
        assert!(store.make(&NewKey::default()).is_err());
        assert_eq!(std::fs::read(&store.0.path).expect("a file"), b"no keys");
    }

    #[test]
    fn a_name_is_one_keys_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = KeyStore::open(folder.path().join("keys.json")).expect("a store");
        let named = |name: &str| NewKey {
            name: name.to_owned(),
            ..NewKey::default()
        };
        let made = store.make(&named("studio")).expect("a key");
        store.make(&named("")).expect("a key");
        store.make(&named("")).expect("another without a name");
        for (name, code) in [
            ("studio", ErrorCode::Conflict),
            (&*made.id, ErrorCode::Conflict),
            ("program", ErrorCode::Invalid),
            ("sm_studio", ErrorCode::Invalid),
            ("studio?", ErrorCode::Invalid),
            ("my studio", ErrorCode::Invalid),
            ("studio/1", ErrorCode::Invalid),
            ("caf\u{e9}", ErrorCode::Invalid),
            (&*"a".repeat(129), ErrorCode::Invalid),
        ] {
            assert_eq!(
                store
                    .make(&named(name))
                    .map(|_| ())
                    .expect_err("refused")
                    .code,
                code,
                "{name}"
            );
        }
        assert_eq!(store.list().len(), 3);
    }

    #[test]
    fn two_programs_share_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        let [one, other] = [(); 2].map(|()| KeyStore::open(path.clone()).expect("a store"));
        let made = one.make(&NewKey::default()).expect("a key");
        let named = NewKey {
            name: "studio".to_owned(),
            readable: false,
        };
        let second = other.make(&named).expect("a key");
        assert_eq!(one.list().len(), 2);
        assert_eq!(other.accept(&made.key).expect("the key").id, made.id);
        other.note_used(&made.id);
        assert!(one.list()[0].last_used.is_some());
        assert_eq!(one.named("studio").expect("the key").id, second.id);
        assert_eq!(one.named(""), None);
        one.delete(&made.id).expect("deleted");
        assert_eq!(other.accept(&made.key), None);
        assert!(!other.contains(&made.id));
    }
}
