//! Stream keys, with which publishers send to this program. A key is 160 random bits; what is kept of it is its hash, or the key
//! itself where whoever makes it asks for that.
//!
//! They are one document beside the show. Nothing here waits: what differs is handed over to be saved.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::ApiError;
use super::keep::Beside;
use super::station::now_ms;
use crate::store::Documents;

/// The name of the document.
pub const DOCUMENT: &str = "keys";
/// The file of earlier releases in DATA_DIR, which is taken over once.
pub const OLD_FILE: &str = "keys.json";
/// The most keys.
pub const KEYS_MAX: usize = 1000;
/// What every key begins with, so that one is known for what it is where it leaks.
const PREFIX: &str = "sm_";
/// The name under which players ask for the program.
const PROGRAM: &str = "program";
/// Letters of a key that are shown.
const SHOWN: usize = 7;

/// The keys. Cheap to copy.
#[derive(Clone, Debug)]
pub struct KeyStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Mutex<Vec<Kept>>,
    beside: Beside,
}

/// Keys as they were saved.
#[derive(Clone, Debug, Default)]
pub struct SavedKeys(Vec<Kept>);

/// A key that somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedKey {
    /// 16 hexadecimal digits, by which the API, layers and players name it.
    pub id: String,
    /// Its name for people; empty where it has none.
    pub name: String,
}

/// A key as the document has it. `Debug` shows no secret.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
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
    /// These keys; what is changed of them is handed to `beside`.
    pub fn new(saved: SavedKeys, beside: Beside) -> Self {
        Self(Arc::new(Inner {
            keys: Mutex::new(saved.0),
            beside,
        }))
    }

    /// Takes the keys that somebody else has saved in the place of these.
    pub fn follow(&self, saved: SavedKeys) {
        *self.lock() = saved.0;
    }

    /// Every key, the oldest first.
    pub fn list(&self) -> Vec<KeyEntry> {
        self.lock().iter().map(entry).collect()
    }

    /// Makes a key.
    ///
    /// # Errors
    /// There are [`KEYS_MAX`], the name is too long, kept for something else or another key's, or there is no room: then there is no key.
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
        let mut keys = self.lock();
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
        self.write(&mut keys, next)?;
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
    /// There is none of this name.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        let mut keys = self.lock();
        let next: Vec<Kept> = keys.iter().filter(|kept| kept.id != id).cloned().collect();
        if next.len() == keys.len() {
            return Err(ApiError::not_found("key", id, []));
        }
        self.write(&mut keys, next)
    }

    /// The key that `offered` is. Every key is compared, each in constant time.
    pub fn accept(&self, offered: &str) -> Option<AcceptedKey> {
        let offered = hash(offered);
        let keys = self.lock();
        let mut found = None;
        for kept in &*keys {
            if bool::from(kept.hash.as_bytes().ct_eq(offered.as_bytes())) {
                found = Some(kept);
            }
        }
        found.map(|kept| AcceptedKey {
            id: kept.id.clone(),
            name: kept.name.clone(),
        })
    }

    /// Notes that somebody publishes with a key now.
    pub fn note_used(&self, id: &str) {
        let mut keys = self.lock();
        let mut next = keys.clone();
        let Some(kept) = next.iter_mut().find(|kept| kept.id == id) else {
            return;
        };
        kept.last_used = Some(now_ms());
        if let Err(error) = self.write(&mut keys, next) {
            // Who has a key may publish all the same.
            tracing::warn!(%error, "the time at which a key was used is not noted");
        }
    }

    /// The name for people of the key that is called `key`, by either of its names, and its name for the API.
    pub fn named(&self, key: &str) -> Option<AcceptedKey> {
        let keys = self.lock();
        let found = keys
            .iter()
            .find(|kept| kept.id == key)
            .or_else(|| keys.iter().find(|kept| kept.name == key));
        found.filter(|_| !key.is_empty()).map(|kept| AcceptedKey {
            id: kept.id.clone(),
            name: kept.name.clone(),
        })
    }

    /// Whether there is a key of this name for the API.
    pub fn contains(&self, id: &str) -> bool {
        self.lock().iter().any(|kept| kept.id == id)
    }

    /// Hands the keys over as they are to be; under their lock, so that they are saved in order.
    fn write(&self, keys: &mut Vec<Kept>, next: Vec<Kept>) -> Result<(), ApiError> {
        self.0.beside.put(DOCUMENT, Some(document(&next)?))?;
        *keys = next;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SavedKeys {
    /// Those among documents; `None` where none were ever saved.
    ///
    /// # Errors
    /// Where the document cannot be read.
    pub fn of(documents: &Documents) -> Result<Option<Self>, String> {
        let Some(bytes) = documents.get(DOCUMENT) else {
            return Ok(None);
        };
        let keys =
            parse(bytes).map_err(|what| format!("document `{DOCUMENT}` cannot be read: {what}"))?;
        Ok(Some(Self(keys)))
    }

    /// Those of an earlier release's file; `None` when it is not there.
    ///
    /// # Errors
    /// The file is there and cannot be read: it is left as it is.
    pub fn of_file(path: &Path) -> anyhow::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => parse(&bytes)
                .map(|keys| Some(Self(keys)))
                .map_err(|what| anyhow::anyhow!("`{}` holds no keys: {what}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => anyhow::bail!("`{}` cannot be read: {error}", path.display()),
        }
    }

    /// Whether each of those is among these.
    pub fn has_all_of(&self, others: &Self) -> bool {
        let is_known = |other: &Kept| self.0.iter().any(|kept| kept.id == other.id);
        others.0.iter().all(is_known)
    }

    /// As a document.
    ///
    /// # Errors
    /// They are no JSON, which is the program's fault.
    pub fn document(&self) -> Result<Bytes, ApiError> {
        document(&self.0)
    }
}

fn document(keys: &[Kept]) -> Result<Bytes, ApiError> {
    let bytes = serde_json::to_vec(keys);
    bytes
        .map(Bytes::from)
        .map_err(|_| ApiError::internal("the keys cannot be written"))
}

/// serde's own words could repeat a key.
fn parse(bytes: &[u8]) -> Result<Vec<Kept>, String> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("line {line}, column {column} is not what was expected")
    })
}

/// Whether a name can stand in an address as it is.
pub fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
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
    use crate::control::ErrorCode;

    /// Keys, and what they hand over.
    fn stored(saved: SavedKeys) -> (KeyStore, impl Fn() -> Documents) {
        let (beside, pile) = Beside::pile();
        let documents = move || {
            let pile = pile.lock().expect("a pile").clone();
            let there = pile.into_iter();
            there
                .filter_map(|(name, bytes)| Some((name, bytes?)))
                .collect()
        };
        (KeyStore::new(saved, beside), documents)
    }

    fn again(documents: &Documents) -> SavedKeys {
        SavedKeys::of(documents).expect("readable").expect("keys")
    }

    #[test]
    fn a_key_is_shown_once_and_known_again_after_a_restart() {
        let (store, documents) = stored(SavedKeys::default());
        assert!(SavedKeys::of(&documents()).expect("none").is_none());
        let made = store.make(&NewKey::default()).expect("a key");
        assert_eq!(made.key.len(), PREFIX.len() + 40);
        let saved = documents();
        let text = std::str::from_utf8(&saved[DOCUMENT]).expect("text");
        assert!(!text.contains(&made.key), "the hash alone is kept");
        assert!(
            !serde_json::to_string(&store.list())
                .expect("JSON")
                .contains(&made.key)
        );

        let (store, documents) = stored(again(&documents()));
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
        let other = KeyStore::new(SavedKeys::default(), Beside::nowhere());
        other.follow(again(&documents()));
        assert!(other.list()[0].last_used.is_some());
        store.delete(&made.id).expect("deleted");
        assert_eq!(store.accept(&made.key), None);
        assert!(store.delete(&made.id).is_err());
        other.follow(again(&documents()));
        assert_eq!(other.accept(&made.key), None);

        let readable = NewKey {
            readable: true,
            ..NewKey::default()
        };
        let made = store.make(&readable).expect("a key");
        assert_eq!(store.reveal(&made.id).expect("readable"), made.key);
        let shown = format!("{store:?}{:?}", again(&documents()));
        assert!(!shown.contains(&made.key), "{shown}");
        let broken = format!("[{{\"id\": \"{}\"}}]", made.key);
        let broken = Documents::from([(DOCUMENT.into(), broken.into())]);
        let error = SavedKeys::of(&broken).expect_err("no keys");
        assert!(!error.contains(&made.key), "{error}");
    }

    #[test]
    fn the_file_of_an_earlier_release_is_read_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(OLD_FILE);
        assert!(SavedKeys::of_file(&path).expect("none").is_none());
        let (store, documents) = stored(SavedKeys::default());
        let made = store.make(&NewKey::default()).expect("a key");
        std::fs::write(&path, &documents()[DOCUMENT]).expect("written");
        let saved = SavedKeys::of_file(&path).expect("readable").expect("keys");
        assert!(saved.has_all_of(&saved) && !SavedKeys::default().has_all_of(&saved));
        let store = KeyStore::new(saved, Beside::nowhere());
        assert!(store.accept(&made.key).is_some());
        std::fs::write(&path, "no keys").expect("a file");
        assert!(SavedKeys::of_file(&path).is_err());
    }

    #[test]
    fn a_name_is_one_keys_alone() {
        let store = KeyStore::new(SavedKeys::default(), Beside::nowhere());
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
}
