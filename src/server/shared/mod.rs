//! The stream as other programs share it through Redis: the leader does the commands that they send and tells them its events.
//!
//! Redis is the border of trust here: who may write the stream's keys may do everything that the API does, without a token, an origin
//! or a rate. Commands take the way that requests take, to the director and the routes; nothing else is touched. Everything runs on
//! tasks of its own, so a Redis that is slow or away holds up nobody but who waits for its answers.

mod commands;
mod events;
mod order;
mod request;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Api;
use crate::store::shared::{CommandAnswers, CommandReader, EventTeller};
use crate::store::{RedisStore, StoreError};

/// The longest that one call waits for commands.
const READ_WAIT: Duration = Duration::from_secs(1);
/// The pauses after calls that failed, from the first to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the end waits for commands that have begun and for their answers.
const STOP_WAIT_MAX: Duration = Duration::from_secs(1);

/// What was counted of it since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Commands that were done.
    pub done: AtomicU64,
    /// Commands that were refused, since they could not be used.
    pub refused: AtomicU64,
    /// Commands that failed here.
    pub failed: AtomicU64,
    /// Commands that had been begun before.
    pub repeated: AtomicU64,
    /// Commands without an id.
    pub nameless: AtomicU64,
    /// Commands that an earlier leader began and did not answer.
    pub interrupted: AtomicU64,
    /// Commands that have begun and are not answered yet.
    pub open: AtomicU64,
    /// Answers that Redis did not get.
    pub answers_lost: AtomicU64,
    /// Events that Redis got.
    pub events: AtomicU64,
    /// Events that it did not.
    pub events_lost: AtomicU64,
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}

/// What runs for other programs while this one leads.
#[derive(Debug)]
pub struct Shared {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Begins to do commands and to tell events under a fence, on the runtime that this is called on. It ends by itself when another
/// instance is found to lead.
pub fn spawn(store: &RedisStore, fence: u64, api: &Api) -> Shared {
    let (stop, stopped) = watch::channel(false);
    let (answers, to_tell) = commands::channel();
    let reader = CommandReader::new(store, fence, READ_WAIT);
    let doing = commands::run(reader, api.clone(), answers, Stop(stopped.clone()));
    let writer = CommandAnswers::new(store, fence);
    let answering = commands::answer(writer, to_tell, api.clone());
    let teller = EventTeller::new(store, fence);
    let telling = events::run(teller, api.clone(), Stop(stopped));
    Shared {
        stop,
        tasks: vec![
            tokio::spawn(doing),
            tokio::spawn(answering),
            tokio::spawn(telling),
        ],
    }
}

impl Shared {
    /// Reads no further, answers what is done within a short time, and lets the rest go.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let mut tasks = self.tasks;
        let ending = async {
            for task in &mut tasks {
                let _ended = task.await;
            }
        };
        if timeout(STOP_WAIT_MAX, ending).await.is_err() {
            tracing::warn!("what other programs asked for through Redis is not all answered");
            for task in &tasks {
                task.abort();
            }
        }
    }
}

/// Says when to end.
#[derive(Clone)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    fn is_now(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    async fn come(&mut self) {
        // Who would say so may be gone.
        let _said = self.0.wait_for(|stop| *stop).await;
    }
}

/// The pauses between calls that fail; says once what is wrong, and once that it is over.
struct Patience {
    what: &'static str,
    failures: u32,
}

impl Patience {
    fn new(what: &'static str) -> Self {
        Self { what, failures: 0 }
    }

    fn well(&mut self) {
        if self.failures > 0 {
            tracing::info!("{} again", self.what);
        }
        self.failures = 0;
    }

    /// Waits a while; false where it makes no sense to go on.
    async fn fail(&mut self, error: &StoreError) -> bool {
        if matches!(error, StoreError::Fenced { .. }) {
            tracing::warn!(%error, "not {} any more", self.what);
            return false;
        }
        if self.failures == 0 {
            tracing::warn!(%error, "not {} for now", self.what);
        }
        let pause = PAUSE_FIRST * 2u32.pow(self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        sleep(pause.min(PAUSE_MAX)).await;
        true
    }
}
