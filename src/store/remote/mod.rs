//! The engine that programs share: documents in a hash of Redis, changed by one script that checks the lease and the revision.
//!
//! Keys begin with `sm:{ID}:`, whose braces keep them on one server of a cluster:
//!
//! | Key | Kind | Holds |
//! |---|---|---|
//! | `documents` | hash | each document by its name |
//! | `meta` | hash | `revision`, `fence`, `writes`, `format` |
//! | `lease` | string | `fence:instance` of the leader, with a time to live |
//! | `fence` | string | the newest fence that was given |
//! | `story` | hash | of the last holder of the lease: `name`, `position`, `at` |
//! | `log` | stream | an entry a commit: `after`, `revision`, `fence`, `writes`, `whole`, `names` (JSON) |
//! | `commands`, `results` | streams | commands of other programs, and what became of them |
//! | `cursor` | string | the entry of `commands` up to which was read |
//! | `begun:COMMAND`, `done:COMMAND` | strings | that one was begun, and its result, with times to live |
//! | `open` | hash | the commands that were begun and not answered |
//! | `events` | channel | every event, as WebSocket clients get it |
//! | `told` | string | the number of the last of them |
//! | `assets` | hash | what is known of each asset (JSON), by its id |
//! | `asset:ID` | string | the bytes of a small one |
//! | `assets:deleted` | sorted set | those that were deleted last, and when |
//! | `assets:changed` | channel | `added ID`, `deleted ID` |

pub mod link;
pub mod url;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use redis::{Script, Value};

pub use link::{Link, Timeouts};
pub use url::{RedisUrl, URL_EXPECTED};

use super::error::StoreError;
use super::format::{self, FORMAT};
use super::{Batch, Documents, Puts, Saved, Standing};

/// Entries that the log keeps, about: who was away for longer reads everything anew.
pub const LOG_MAX: u64 = 1000;

const COMMIT: &str = include_str!("commit.lua");
const CHANGES: &str = include_str!("changes.lua");
static COMMIT_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(COMMIT));
static CHANGES_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(CHANGES));

/// The names of a stream's keys.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
    pub(super) documents: String,
    pub(super) meta: String,
    pub(super) lease: String,
    pub(super) log: String,
}

impl Keys {
    /// Of the stream with this id.
    pub fn new(id: &str) -> Self {
        // A brace within would end the part that chooses the server.
        let prefix = format!("sm:{{{}}}:", id.replace(['{', '}'], "_"));
        let key = |name: &str| format!("{prefix}{name}");
        Self {
            documents: key("documents"),
            meta: key("meta"),
            lease: key("lease"),
            log: key("log"),
            prefix,
        }
    }

    /// A key of the stream.
    pub fn of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// What Redis holds of one stream. Cheap to copy.
#[derive(Clone, Debug)]
pub struct RedisStore {
    link: Link,
    keys: Arc<Keys>,
}

/// What has changed since a place in the log.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    /// Whether `puts` are all documents that there are.
    pub(super) is_whole: bool,
    pub(super) standing: Standing,
    pub(super) format: u32,
    /// The newest entry of the log.
    pub(super) last: String,
    pub(super) puts: Puts,
}

impl RedisStore {
    /// The store of the stream with this id. Nothing is connected before the first call.
    pub fn new(link: Link, id: &str) -> Self {
        Self {
            link,
            keys: Arc::new(Keys::new(id)),
        }
    }

    /// The connection.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The names of the keys.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// The instance that leads the stream, if any does.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn leader(&self) -> Result<Option<String>, StoreError> {
        let mut command = redis::cmd("GET");
        command.arg(&self.keys.lease);
        let held: Option<String> = self.link.ask(&command).await?;
        Ok(held.map(|held| match held.split_once(':') {
            Some((_, instance)) => instance.to_owned(),
            None => held,
        }))
    }

    pub(super) async fn load(&self) -> Result<Saved, StoreError> {
        let changes = self.changes("", Standing::default()).await?;
        let mut documents: Documents = changes
            .puts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        format::bring_up(&self.link.place(), changes.format, &mut documents)?;
        Ok(Saved {
            revision: changes.standing.revision,
            fence: changes.standing.fence,
            writes: changes.standing.writes,
            format: changes.format,
            documents,
        })
    }

    pub(super) async fn health(&self) -> Result<Standing, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.keys.meta);
        command.arg("revision").arg("fence").arg("writes");
        let numbers: [Option<u64>; 3] = self.link.ask(&command).await?;
        let [revision, fence, writes] = numbers.map(Option::unwrap_or_default);
        Ok(Standing {
            revision,
            fence,
            writes,
        })
    }

    pub(super) async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let after = batch.after.map(|after| {
            let Standing {
                revision,
                fence,
                writes,
            } = after;
            [revision, fence, writes].map(|number| number.to_string())
        });
        let [revision, fence, writes] = after.unwrap_or_default();
        let numbers = [
            batch.fence.to_string(),
            batch.writes.to_string(),
            revision,
            fence,
            writes,
            batch.revision.to_string(),
            FORMAT.to_string(),
            LOG_MAX.to_string(),
        ];
        let mut arguments: Vec<&[u8]> = numbers.iter().map(String::as_bytes).collect();
        let there = batch
            .puts
            .values()
            .filter(|value| value.is_some())
            .count()
            .to_string();
        arguments.push(there.as_bytes());
        for (key, value) in &batch.puts {
            if let Some(bytes) = value {
                arguments.extend([key.as_bytes(), bytes]);
            }
        }
        let gone = batch.puts.iter().filter(|(_, value)| value.is_none());
        arguments.extend(gone.map(|(key, _)| key.as_bytes()));
        let keys = &self.keys;
        let keys = [&*keys.documents, &keys.meta, &keys.lease, &keys.log];
        let answer: Vec<String> = self
            .link
            .run(&COMMIT_SCRIPT, COMMIT, &keys, &arguments)
            .await?;
        let part = |index: usize| answer.get(index).map(String::as_str).unwrap_or_default();
        let number = |index| part(index).parse().unwrap_or_default();
        let detail = part(1);
        match part(0) {
            "SAVED" => Ok(()),
            "DIVERGED" => Err(StoreError::Diverged {
                place: self.link.place(),
                expected: batch.after.unwrap_or_default(),
                found: Standing {
                    revision: number(1),
                    fence: number(2),
                    writes: number(3),
                },
            }),
            _ => Err(StoreError::Fenced {
                place: self.link.place(),
                fence: batch.fence,
                holder: match detail.split_once(':') {
                    Some((fence, instance)) => format!("`{instance}` has it with fence {fence}"),
                    None => "nobody has the lease".to_owned(),
                },
            }),
        }
    }

    /// What was saved since an entry of the log, after which it stood at `at`; everything where it is not told any more.
    pub(super) async fn changes(&self, last: &str, at: Standing) -> Result<Changes, StoreError> {
        let keys = &self.keys;
        let keys = [&*keys.documents, &keys.meta, &keys.log];
        let Standing {
            revision,
            fence,
            writes,
        } = at;
        let at = format!("{revision}:{fence}:{writes}");
        let arguments = [last.as_bytes(), at.as_bytes()];
        let answer: Vec<Value> = self
            .link
            .run(&CHANGES_SCRIPT, CHANGES, &keys, &arguments)
            .await?;
        self.read_changes(answer)
            .ok_or_else(|| StoreError::Corrupt {
                place: self.link.place(),
                what: format!("`{}` is not what this program writes", self.keys.meta),
                way_out: "delete the keys of this stream, or use another database".to_owned(),
            })
    }

    fn read_changes(&self, answer: Vec<Value>) -> Option<Changes> {
        let mut parts = answer.into_iter();
        let mut text = || match parts.next()? {
            Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
            _ => None,
        };
        let is_whole = text()? == "WHOLE";
        let standing = Standing {
            revision: text()?.parse().ok()?,
            fence: text()?.parse().ok()?,
            writes: text()?.parse().ok()?,
        };
        let format = match text()?.as_str() {
            "" => FORMAT,
            number => number.parse().ok()?,
        };
        let last = text()?;
        let mut puts = BTreeMap::new();
        while let Some(Value::BulkString(name)) = parts.next() {
            let value = match parts.next()? {
                Value::BulkString(bytes) => Some(Bytes::from(bytes)),
                _ => None,
            };
            puts.insert(Arc::from(String::from_utf8(name).ok()?), value);
        }
        Some(Changes {
            is_whole,
            standing,
            format,
            last,
            puts,
        })
    }
}
