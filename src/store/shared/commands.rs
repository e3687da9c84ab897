//! Commands of other programs: `XADD sm:{ID}:commands * id UUID json TEXT`, and what became of them.
//!
//! The leader reads them in order. A command is done at most once for its `id`, within the hour: it is marked as begun before it is
//! handed out, so one whose leader died in between is answered by nobody, and who sent it asks again under a new `id` when it has seen
//! that nothing changed. The result is in the stream `results` and, for the hour, in the key `done:ID`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::streams::StreamReadReply;
use redis::{Script, Value};
use tokio::time::Instant;

use crate::store::error::StoreError;
use crate::store::remote::{Keys, Link, RedisStore};

/// Commands and results that the streams keep, about.
pub const COMMANDS_MAX: u64 = 10_000;
/// The longest id of a command, and the longest text, in bytes.
const ID_BYTES_MAX: usize = 100;
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// How long a result is kept, and with it the knowledge that a command was done.
const KEPT: Duration = Duration::from_secs(3600);
/// Commands that are read at a time.
const READ_MAX: usize = 64;
/// How often a result that is waited for is looked for.
const LOOK: Duration = Duration::from_millis(20);

const DONE: &str = include_str!("commands.lua");
const BEGIN: &str = include_str!("begin.lua");
static DONE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(DONE));
static BEGIN_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(BEGIN));

/// A command of another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The name that its sender gave it.
    pub id: String,
    /// What it asks for, as the sender wrote it.
    pub json: String,
}

/// What became of a command: JSON text.
pub type CommandResult = String;

/// Reads the commands of a stream, for its leader.
#[derive(Debug)]
pub struct CommandReader {
    link: Link,
    waiting: Link,
    wait: Duration,
    keys: Arc<Keys>,
    fence: u64,
    /// The last entry that was read; `None` before it is known where the leader before this one stood.
    last: Option<String>,
    read: std::collections::VecDeque<(String, Option<Command>)>,
}

impl CommandReader {
    /// Reads on where the leader before this one stood. `wait` is the longest that [`CommandReader::next`] waits.
    pub fn new(store: &RedisStore, fence: u64, wait: Duration) -> Self {
        Self {
            link: store.link().clone(),
            waiting: store.link().beside(wait),
            wait,
            keys: Arc::clone(store.keys()),
            fence,
            last: None,
            read: std::collections::VecDeque::new(),
        }
    }

    /// The next command, or `None` where none came within the time.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when this is the leader no more, else as [`StoreError`] says; the next call goes on.
    pub async fn next(&mut self) -> Result<Option<Command>, StoreError> {
        if self.read.is_empty() {
            self.fill().await?;
        }
        while let Some((entry, command)) = self.read.front().cloned() {
            let is_begun = self.begin(&entry, command.as_ref()).await?;
            self.last = Some(entry);
            self.read.pop_front();
            match command {
                Some(command) if is_begun => return Ok(Some(command)),
                Some(command) => tracing::debug!(id = %command.id, "a command came twice"),
                None => tracing::warn!("a command without `id` or `json` was left out"),
            }
        }
        Ok(None)
    }

    /// Tells what became of a command.
    ///
    /// # Errors
    /// As [`StoreError`] says; telling it again is safe.
    pub async fn answer(&self, id: &str, result: &str) -> Result<(), StoreError> {
        let (done, results) = (self.keys.of(&format!("done:{id}")), self.keys.of("results"));
        let (kept, most) = (KEPT.as_millis().to_string(), COMMANDS_MAX.to_string());
        let keys = [&*done, &results];
        let arguments = [
            id.as_bytes(),
            result.as_bytes(),
            kept.as_bytes(),
            most.as_bytes(),
        ];
        let _was_first: i64 = self.link.run(&DONE_SCRIPT, DONE, &keys, &arguments).await?;
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), StoreError> {
        let last = match &self.last {
            Some(last) => last.clone(),
            None => {
                let mut command = redis::cmd("GET");
                command.arg(self.keys.of("cursor"));
                let cursor: Option<String> = self.link.ask(&command).await?;
                cursor.unwrap_or_else(|| "0-0".to_owned())
            }
        };
        let wait_ms = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("XREAD");
        command
            .arg("COUNT")
            .arg(READ_MAX)
            .arg("BLOCK")
            .arg(wait_ms.max(1))
            .arg("STREAMS")
            .arg(self.keys.of("commands"))
            .arg(&last);
        let reply: Option<StreamReadReply> = self.waiting.ask(&command).await?;
        self.last = Some(last);
        let entries = reply.into_iter().flat_map(|reply| reply.keys);
        for entry in entries.flat_map(|stream| stream.ids) {
            let text = |name: &str| match entry.map.get(name) {
                Some(Value::BulkString(bytes)) => String::from_utf8(bytes.clone()).ok(),
                _ => None,
            };
            let command = match (text("id"), text("json")) {
                (Some(id), Some(json))
                    if (1..=ID_BYTES_MAX).contains(&id.len()) && json.len() <= TEXT_BYTES_MAX =>
                {
                    Some(Command { id, json })
                }
                _ => None,
            };
            self.read.push_back((entry.id, command));
        }
        Ok(())
    }

    /// Whether a command is to be done now.
    async fn begin(&self, entry: &str, command: Option<&Command>) -> Result<bool, StoreError> {
        let id = command.map_or("", |command| &command.id);
        let begun = self.keys.of(&format!("begun:{id}"));
        let cursor = self.keys.of("cursor");
        let kept = command.map_or_else(|| "0".to_owned(), |_| KEPT.as_millis().to_string());
        let fence = self.fence.to_string();
        let keys = [&*begun, &cursor, &self.keys.lease];
        let arguments = [kept.as_bytes(), entry.as_bytes(), fence.as_bytes()];
        let word: String = self
            .link
            .run(&BEGIN_SCRIPT, BEGIN, &keys, &arguments)
            .await?;
        match word.as_str() {
            "BEGUN" => Ok(true),
            "KNOWN" => Ok(false),
            _ => Err(StoreError::Fenced {
                place: self.link.place(),
                fence: self.fence,
                holder: "another instance leads".to_owned(),
            }),
        }
    }
}

/// Sends a command and waits for its result, as a standby does with what it is asked for; `None` where none came within `limit`.
///
/// # Errors
/// As [`StoreError`] says; the command may have been done all the same, and sending it again under the same id is safe.
pub async fn send_command(
    store: &RedisStore,
    command: &Command,
    limit: Duration,
) -> Result<Option<CommandResult>, StoreError> {
    let (link, keys) = (store.link(), store.keys());
    let mut sending = redis::cmd("XADD");
    sending
        .arg(keys.of("commands"))
        .arg("MAXLEN")
        .arg("~")
        .arg(COMMANDS_MAX)
        .arg("*")
        .arg("id")
        .arg(&command.id)
        .arg("json")
        .arg(&command.json);
    let _entry: String = link.ask(&sending).await?;
    let mut looking = redis::cmd("GET");
    looking.arg(keys.of(&format!("done:{}", command.id)));
    let end = Instant::now() + limit;
    loop {
        let result: Option<String> = link.ask(&looking).await?;
        if result.is_some() || Instant::now() >= end {
            return Ok(result);
        }
        tokio::time::sleep(LOOK).await;
    }
}
