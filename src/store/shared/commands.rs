//! Commands of other programs: `XADD sm:{ID}:commands * id UUID json TEXT`, and what became of them.
//!
//! The leader takes them in order, many at a time. A command is done at most once for its `id`, within the hour: it is marked as begun
//! before it is handed out, and stands in the hash `open` until it is answered. One whose leader died in between is answered by the
//! next one, that it is not known whether it was done. The result is in the stream `results` and, for the hour, in the key `done:ID`.
//! Only who holds the lease takes and answers. Every call may be made twice, and comes to what one comes to.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::{Script, Value};
use tokio::time::Instant;

use crate::store::error::StoreError;
use crate::store::remote::{Keys, Link, RedisStore};

/// Commands and results that the streams keep, about.
pub const COMMANDS_MAX: u64 = 10_000;
/// The longest text of a command, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// How long a result is kept, and with it the knowledge that a command was done.
pub const KEPT: Duration = Duration::from_secs(3600);
/// The longest result that stands in the stream `results` itself, in bytes.
const RESULT_BYTES_MAX: usize = 8 * 1024;
/// Commands that are taken at a time, and about the bytes of their texts.
const TAKEN_MAX: usize = 128;
/// Entries that the script reads at once, each of which may be large.
const READ_AT_ONCE: usize = 8;
const TAKEN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Commands in the stream from which on those that were taken are let go of, where they are not answered.
const READ_MAX: u64 = 1000;
/// Entries among which a command that was sent twice in one call is looked for.
const SENT_TWICE_WITHIN: usize = 8;
/// The pauses between looks for a result that is waited for, from the first to the longest.
const LOOK_FIRST: Duration = Duration::from_millis(4);
const LOOK_MAX: Duration = Duration::from_millis(20);

const TAKE: &str = include_str!("take.lua");
const ANSWER: &str = include_str!("answer.lua");
const SWEEP: &str = include_str!("sweep.lua");
const TAKE_BACK: &str = include_str!("take_back.lua");
static TAKE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE));
static ANSWER_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(ANSWER));
static SWEEP_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(SWEEP));
static TAKE_BACK_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE_BACK));

/// A command of another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The name that its sender gave it: 1 to 100 printable letters of ASCII, without spaces.
    pub id: String,
    /// What it asks for, as the sender wrote it.
    pub json: String,
}

/// A command that was taken to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenCommand {
    /// The name that its sender gave it.
    pub id: String,
    /// What it asks for.
    pub json: Result<String, Unreadable>,
}

/// Why the text of a command is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The entry has no field `json`.
    Missing,
    /// It has more than [`TEXT_BYTES_MAX`] bytes.
    TooLong,
    /// It is not UTF-8.
    NotText,
}

/// What was taken at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What is to be done, in order.
    pub commands: Vec<TakenCommand>,
    /// Entries without an id, which nobody can be answered.
    pub nameless: u64,
    /// Commands that were begun or done before.
    pub repeated: u64,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The command.
    pub id: String,
    /// JSON text.
    pub json: CommandResult,
    /// How long it is kept.
    pub kept: Duration,
}

/// What became of a command: JSON text.
pub type CommandResult = String;

/// Takes the commands of a stream, for its leader.
#[derive(Debug)]
pub struct CommandReader {
    link: Link,
    waiting: Link,
    wait: Duration,
    keys: Arc<Keys>,
    fence: u64,
    /// The entry behind which it goes on; empty before it is known where the leader before this one stood.
    last: String,
}

impl CommandReader {
    /// Reads on where the leader before this one stood. `wait` is the longest that [`CommandReader::next`] waits. Its connections are
    /// its own, so that large texts hold up no lease.
    pub fn new(store: &RedisStore, fence: u64, wait: Duration) -> Self {
        Self {
            link: store.link().beside(Duration::ZERO),
            waiting: store.link().beside(wait),
            wait,
            keys: Arc::clone(store.keys()),
            fence,
            last: String::new(),
        }
    }

    /// The next commands; none where none came within the time.
    ///
    /// Dropping this while it waits loses nothing.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another instance leads, else as [`StoreError`] says; the next call goes on where this one stood.
    pub async fn next(&mut self) -> Result<Taken, StoreError> {
        if self.last.is_empty() {
            self.take().await?;
        }
        let (taken, is_anything) = self.take().await?;
        if is_anything || !self.is_there_more().await? {
            return Ok(taken);
        }
        Ok(self.take().await?.0)
    }

    /// Answers what leaders before this one have begun and not answered, all with `result`; gives how many that were.
    ///
    /// # Errors
    /// As [`CommandReader::next`]; doing it again is safe.
    pub async fn sweep(&self, result: &str) -> Result<u64, StoreError> {
        let [results, open, commands] =
            ["results", "open", "commands"].map(|name| self.keys.of(name));
        let keys = [&*results, &open, &self.keys.lease, &commands];
        let prefix = self.keys.of("");
        let (most, kept) = (COMMANDS_MAX.to_string(), KEPT.as_millis().to_string());
        let fence = self.fence.to_string();
        let arguments = [&*prefix, &fence, &most, &kept, result].map(str::as_bytes);
        let (word, detail): (String, String) = self
            .link
            .run(&SWEEP_SCRIPT, SWEEP, &keys, &arguments)
            .await?;
        held(&self.link, self.fence, &word, &detail)?;
        Ok(detail.parse().unwrap_or_default())
    }

    /// Whether entries were read.
    async fn take(&mut self) -> Result<(Taken, bool), StoreError> {
        let [commands, cursor, open] =
            ["commands", "cursor", "open"].map(|name| self.keys.of(name));
        let keys = [&*commands, &cursor, &self.keys.lease, &open];
        let prefix = self.keys.of("");
        let numbers = [
            TAKEN_MAX.to_string(),
            READ_AT_ONCE.to_string(),
            TAKEN_BYTES_MAX.to_string(),
            TEXT_BYTES_MAX.to_string(),
            KEPT.as_millis().to_string(),
            READ_MAX.to_string(),
        ];
        let fence = self.fence.to_string();
        let mut arguments = vec![prefix.as_bytes(), fence.as_bytes(), self.last.as_bytes()];
        arguments.extend(numbers.iter().map(String::as_bytes));
        let answer: Vec<Value> = self.link.run(&TAKE_SCRIPT, TAKE, &keys, &arguments).await?;
        let mut parts = answer.into_iter();
        let mut word = || parts.next().and_then(text).unwrap_or_default();
        let (word, detail) = (word(), word());
        held(&self.link, self.fence, &word, &detail)?;
        let mut taken = Taken::default();
        let mut is_anything = false;
        for part in parts {
            is_anything = true;
            taken.add(part);
        }
        self.last = detail;
        Ok((taken, is_anything))
    }

    async fn is_there_more(&self) -> Result<bool, StoreError> {
        let commands = self.keys.of("commands");
        let (waiting, last) = (&self.waiting, &self.last);
        waiting.is_there_more(&commands, last, self.wait).await
    }
}

impl Taken {
    /// Adds one entry of the script's answer: kind, id and text.
    fn add(&mut self, part: Value) {
        let Value::Array(fields) = part else {
            return;
        };
        let mut fields = fields.into_iter();
        let kind = fields.next().and_then(text).unwrap_or_default();
        let id = fields.next().and_then(text).unwrap_or_default();
        let json = match &*kind {
            "NAMELESS" => return self.nameless += 1,
            "KNOWN" => return self.repeated += 1,
            "EMPTY" => Err(Unreadable::Missing),
            "LONG" => Err(Unreadable::TooLong),
            _ => fields.next().and_then(text).ok_or(Unreadable::NotText),
        };
        self.commands.push(TakenCommand { id, json });
    }
}

/// Tells what became of commands, for the leader. Cheap to copy.
#[derive(Clone, Debug)]
pub struct CommandAnswers {
    link: Link,
    keys: Arc<Keys>,
    fence: u64,
}

impl CommandAnswers {
    /// Of one stream, by a connection of its own.
    pub fn new(store: &RedisStore, fence: u64) -> Self {
        Self {
            link: store.link().beside(Duration::ZERO),
            keys: Arc::clone(store.keys()),
            fence,
        }
    }

    /// Tells what became of commands, of each once: the first answer holds.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another instance leads, else as [`StoreError`] says; telling it again is safe.
    pub async fn tell(&self, answers: &[Answer]) -> Result<(), StoreError> {
        let [results, open, commands] =
            ["results", "open", "commands"].map(|name| self.keys.of(name));
        let keys = [&*results, &open, &self.keys.lease, &commands];
        let prefix = self.keys.of("");
        let (fence, most) = (self.fence.to_string(), COMMANDS_MAX.to_string());
        let longest = RESULT_BYTES_MAX.to_string();
        let kept: Vec<String> = answers
            .iter()
            .map(|answer| answer.kept.as_millis().to_string())
            .collect();
        let mut arguments = [&*prefix, &fence, &most, &longest]
            .map(str::as_bytes)
            .to_vec();
        for (answer, kept) in answers.iter().zip(&kept) {
            arguments.extend([&*answer.id, &answer.json, kept].map(str::as_bytes));
        }
        let (word, detail): (String, String) = self
            .link
            .run(&ANSWER_SCRIPT, ANSWER, &keys, &arguments)
            .await?;
        held(&self.link, self.fence, &word, &detail)
    }
}

/// Whether the script that answered so found the lease held.
///
/// # Errors
/// [`StoreError::Fenced`] where another instance has it. Where nobody has it, this one may have it again in a moment.
pub(super) fn held(link: &Link, fence: u64, word: &str, holder: &str) -> Result<(), StoreError> {
    match (word, holder.split_once(':')) {
        ("FENCED", Some((other, instance))) => Err(StoreError::Fenced {
            place: link.place(),
            fence,
            holder: format!("`{instance}` has it with fence {other}"),
        }),
        ("FENCED", None) => Err(link.unavailable("nobody has the lease".to_owned())),
        _ => Ok(()),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// What became of a command that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenBack {
    /// No leader has begun it, nor ever will.
    Undone,
    /// A leader has begun it, and has not answered.
    Begun,
    /// It was answered meanwhile.
    Answered(CommandResult),
}

/// Takes a command back that nobody has answered.
///
/// # Errors
/// As [`StoreError`] says; it may be taken back all the same.
pub async fn take_back(store: &RedisStore, id: &str, entry: &str) -> Result<TakenBack, StoreError> {
    let keys = store.keys();
    let (begun, done) = (
        keys.of(&format!("begun:{id}")),
        keys.of(&format!("done:{id}")),
    );
    let (kept, looked) = (KEPT.as_millis().to_string(), SENT_TWICE_WITHIN.to_string());
    let arguments = [entry, id, &kept, &looked].map(str::as_bytes);
    let keys = [&*keys.of("commands"), &begun, &done];
    let (word, result): (String, String) = store
        .link()
        .run(&TAKE_BACK_SCRIPT, TAKE_BACK, &keys, &arguments)
        .await?;
    Ok(match word.as_str() {
        "DONE" => TakenBack::Answered(result),
        "TAKEN" => TakenBack::Undone,
        _ => TakenBack::Begun,
    })
}

/// Puts a command behind all others, and gives its entry.
///
/// # Errors
/// As [`StoreError`] says; after [`StoreError::Unavailable`] it may be there all the same, and adding it again under the same id is safe.
pub async fn add_command(store: &RedisStore, command: &Command) -> Result<String, StoreError> {
    let mut sending = redis::cmd("XADD");
    sending
        .arg(store.keys().of("commands"))
        .arg("MAXLEN")
        .arg("~")
        .arg(COMMANDS_MAX)
        .arg("*")
        .arg("id")
        .arg(&command.id)
        .arg("json")
        .arg(&command.json);
    store.link().ask(&sending).await
}

/// Waits for the result of a command; `None` where none came within `limit`.
///
/// # Errors
/// As [`StoreError`] says.
pub async fn await_result(
    store: &RedisStore,
    id: &str,
    limit: Duration,
) -> Result<Option<CommandResult>, StoreError> {
    let mut looking = redis::cmd("GET");
    looking.arg(store.keys().of(&format!("done:{id}")));
    let end = Instant::now() + limit;
    let mut pause = LOOK_FIRST;
    loop {
        let result: Option<String> = store.link().ask(&looking).await?;
        if result.is_some() || Instant::now() >= end {
            return Ok(result);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    }
}
