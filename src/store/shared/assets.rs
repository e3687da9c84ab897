//! Assets that programs share: the facts of all, and the bytes of small ones.
//!
//! `sm:{ID}:assets` is a hash of facts (JSON) by id, `sm:{ID}:asset:ID` a string with the bytes of one, `sm:{ID}:assets:deleted` a sorted set
//! of those that were deleted last, for instances that were away then. Who changes something tells it on the channel
//! `sm:{ID}:assets:changed` (`added ID`, `deleted ID`); who hears it looks at the keys, which alone count. What comes from here was
//! written by others: its size is bounded before it is sent, and the caller checks what it says.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, Value};

use super::EventListener;
use crate::store::error::StoreError;
use crate::store::remote::{Link, RedisStore};

/// The largest asset whose bytes are in Redis.
pub const ASSET_SHARE_MAX: usize = 1 << 20;
/// The most bytes of all assets in Redis.
pub const ASSETS_SHARE_BYTES_MAX: u64 = 256 << 20;
/// The most assets that are listed.
pub const ASSETS_LISTED_MAX: usize = 10_000;
/// How many deleted ones are remembered.
const DELETED_MAX: usize = 10_000;
/// The most bytes of the facts of one.
const FACTS_BYTES_MAX: usize = 4096;
/// How much longer bytes may take than other commands. They have a connection of their own, so that no lease waits behind them.
const BYTES_TAKE: Duration = Duration::from_secs(5);
/// How many are asked for their sizes at a time.
const SIZES_AT_A_TIME: usize = 500;

const PUT: &str = include_str!("asset_put.lua");
const DELETE: &str = include_str!("asset_delete.lua");
const LIST: &str = include_str!("asset_list.lua");
const SIZES: &str = include_str!("asset_sizes.lua");
static PUT_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(PUT));
static DELETE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(DELETE));
static LIST_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(LIST));
static SIZES_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(SIZES));

/// The assets of one stream in Redis. Cheap to copy.
#[derive(Clone, Debug)]
pub struct SharedAssets {
    store: RedisStore,
    link: Link,
    list: String,
    deleted: String,
    channel: String,
}

/// Everything that is listed.
#[derive(Clone, Debug, Default)]
pub struct AssetListing {
    /// How many there are, with those that are left out.
    pub count: u64,
    /// How many are left out: too many, too large, or of no good name.
    pub left_out: u64,
    /// Id and facts (JSON) of each.
    pub assets: Vec<(String, String)>,
    /// Those that were deleted.
    pub deleted: BTreeSet<String>,
}

/// What is told of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssetTold {
    /// It is listed now.
    Added(String),
    /// It is listed no more.
    Deleted(String),
}

impl AssetTold {
    /// Reads a message of the channel; `None` for what is none.
    pub fn parse(message: &str) -> Option<Self> {
        let (word, id) = message.split_once(' ')?;
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word {
            "added" if is_id => Some(Self::Added(id.to_owned())),
            "deleted" if is_id => Some(Self::Deleted(id.to_owned())),
            _ => None,
        }
    }
}

impl SharedAssets {
    /// Of one stream.
    pub fn new(store: &RedisStore) -> Self {
        let keys = store.keys();
        Self {
            link: store.link().beside(BYTES_TAKE),
            list: keys.of("assets"),
            deleted: keys.of("assets:deleted"),
            channel: keys.of("assets:changed"),
            store: store.clone(),
        }
    }

    fn key(&self, id: &str) -> String {
        self.store.keys().of(&format!("asset:{id}"))
    }

    /// Listens from now on to what is told.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn listen(&self) -> Result<EventListener, StoreError> {
        EventListener::listen_to(&self.store, &self.channel).await
    }

    /// How many are listed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn count(&self) -> Result<u64, StoreError> {
        let mut command = redis::cmd("HLEN");
        command.arg(&self.list);
        self.link.ask(&command).await
    }

    /// Everything that is listed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn list(&self) -> Result<AssetListing, StoreError> {
        let most = [ASSETS_LISTED_MAX, DELETED_MAX, FACTS_BYTES_MAX].map(|most| most.to_string());
        let arguments: Vec<&[u8]> = most.iter().map(String::as_bytes).collect();
        let (count, left_out, deleted, assets): (u64, u64, Vec<Value>, Vec<Value>) = self
            .link
            .run(&LIST_SCRIPT, LIST, &[&self.list, &self.deleted], &arguments)
            .await?;
        let mut listing = AssetListing {
            count,
            left_out,
            deleted: deleted.into_iter().filter_map(text).collect(),
            assets: Vec::with_capacity(assets.len() / 2),
        };
        let mut words = assets.into_iter().map(text);
        while let (Some(id), Some(facts)) = (words.next(), words.next()) {
            match id.zip(facts) {
                Some(asset) => listing.assets.push(asset),
                None => listing.left_out += 1,
            }
        }
        Ok(listing)
    }

    /// What is listed of one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn facts(&self, id: &str) -> Result<Option<String>, StoreError> {
        let mut length = redis::cmd("HSTRLEN");
        length.arg(&self.list).arg(id);
        if self.link.ask::<usize>(&length).await? > FACTS_BYTES_MAX {
            return Ok(None);
        }
        let mut command = redis::cmd("HGET");
        command.arg(&self.list).arg(id);
        self.link.ask::<Value>(&command).await.map(text)
    }

    /// Whether it is remembered that one was deleted.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn is_deleted(&self, id: &str) -> Result<bool, StoreError> {
        let mut command = redis::cmd("ZSCORE");
        command.arg(&self.deleted).arg(id);
        let score: Value = self.link.ask(&command).await?;
        Ok(!matches!(score, Value::Nil))
    }

    /// The bytes of one, and never more than one too many; nothing where they are not there.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn bytes(&self, id: &str) -> Result<Vec<u8>, StoreError> {
        let mut command = redis::cmd("GETRANGE");
        command.arg(self.key(id)).arg(0).arg(ASSET_SHARE_MAX);
        self.link.ask(&command).await
    }

    /// How many bytes of each are there, in the same order.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn sizes(&self, ids: &[&str]) -> Result<Vec<u64>, StoreError> {
        let mut sizes = Vec::with_capacity(ids.len());
        for some in ids.chunks(SIZES_AT_A_TIME) {
            let keys: Vec<String> = some.iter().map(|id| self.key(id)).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let found: Vec<u64> = self.link.run(&SIZES_SCRIPT, SIZES, &keys, &[]).await?;
            sizes.extend(found);
        }
        Ok(sizes)
    }

    /// Lists one, with its bytes where they are given, and tells it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn put(&self, id: &str, facts: &str, bytes: Option<&[u8]>) -> Result<(), StoreError> {
        let key = self.key(id);
        let keys = [&*self.list, &self.deleted, &key];
        let arguments = [
            id.as_bytes(),
            facts.as_bytes(),
            bytes.unwrap_or_default(),
            self.channel.as_bytes(),
        ];
        let done = self.link.run::<i64>(&PUT_SCRIPT, PUT, &keys, &arguments);
        done.await.map(drop)
    }

    /// Takes one off the list, and tells it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn delete(&self, id: &str) -> Result<(), StoreError> {
        let (key, most) = (self.key(id), DELETED_MAX.to_string());
        let keys = [&*self.list, &self.deleted, &key];
        let arguments = [id.as_bytes(), self.channel.as_bytes(), most.as_bytes()];
        let done = self
            .link
            .run::<i64>(&DELETE_SCRIPT, DELETE, &keys, &arguments);
        done.await.map(drop)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}
