//! Hands changes to the store without letting anybody wait, and tells when they are durable.
//!
//! The writer gives documents with the revision that they make; it takes a lock for as long as a map is changed, never for I/O. A task
//! commits what has gathered: at once when it is idle, else one commit at a time with a pause between. Each commit is a whole revision,
//! and of a document that changed often the last value alone. While the store is away every document's newest value is kept, which
//! bounds the memory by the number of documents, and the store gets all of it when it is back. Where the store turns out to hold
//! something else, because it was flushed, or because a server is there now that never got the newest commits, everything is written anew.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::error::StoreError;
use super::format::FORMAT;
use super::persist_status::{
    NotDurable, PersistCounters, PersistOptions, PersistState, PersistStatus,
};
use super::{Batch, DOCUMENTS_MAX, Documents, Puts, Saved, Standing, Store, check};

/// Takes documents and saves them. Cheap to copy; one of the copies should be the only writer.
#[derive(Clone)]
pub struct Persister(Arc<Shared>);

struct Shared {
    desk: Mutex<Desk>,
    changed: Notify,
    durable: watch::Sender<u64>,
    /// How many of the puts the store has.
    settled: watch::Sender<u64>,
    status: watch::Sender<PersistStatus>,
    task: Mutex<Option<(oneshot::Sender<()>, JoinHandle<Store>)>>,
}

/// What lies between the writer and the task.
struct Desk {
    /// Every document as it is now.
    known: Documents,
    /// Those that the store has not, in their newest form.
    pending: Puts,
    revision: u64,
    /// What the store holds, as far as is known.
    stored: Standing,
    /// The number of the last commit that was asked for.
    writes: u64,
    /// Whether it has to get everything.
    is_whole: bool,
    fence: u64,
    /// Whether another process writes.
    is_watching: bool,
    /// How many puts there were.
    given: u64,
    /// When the oldest pending change was given.
    since: Option<Instant>,
    /// The same of the changes that are being committed.
    taken: Option<Instant>,
    /// When a commit last took too long.
    slow_at: Option<Instant>,
    counters: PersistCounters,
}

impl fmt::Debug for Persister {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Persister")
            .field(&*self.0.status.borrow())
            .finish()
    }
}

impl Persister {
    /// Starts on the runtime that this is called on, with what the store was found to hold.
    pub fn start(store: Store, saved: &Saved, options: PersistOptions) -> Self {
        Self::new(store, saved, options, false)
    }

    /// As [`Persister::start`], for who only looks at what another process saves: nothing is ever written, and the status says how the
    /// store is.
    pub fn watch(store: Store, saved: &Saved, options: PersistOptions) -> Self {
        Self::new(store, saved, options, true)
    }

    fn new(store: Store, saved: &Saved, options: PersistOptions, is_watching: bool) -> Self {
        let status = PersistStatus {
            engine: store.engine(),
            state: PersistState::Ok,
            reason: None,
            revision: saved.revision,
            durable_revision: saved.revision,
            lag_ms: 0,
            pending: 0,
        };
        let desk = Desk {
            known: saved.documents.clone(),
            pending: Puts::new(),
            revision: saved.revision,
            stored: saved.standing(),
            writes: saved.writes,
            // What an older release wrote is written anew in today's format.
            is_whole: !is_watching && saved.revision > 0 && saved.format != FORMAT,
            fence: saved.fence,
            is_watching,
            given: 0,
            since: None,
            taken: None,
            slow_at: None,
            counters: PersistCounters::default(),
        };
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            changed: Notify::new(),
            durable: watch::Sender::new(saved.revision),
            settled: watch::Sender::new(0),
            status: watch::Sender::new(status),
            task: Mutex::new(None),
        });
        let (stop, stopped) = oneshot::channel();
        let task = Task {
            shared: Arc::clone(&shared),
            store,
            options,
            failures: 0,
        };
        let task = tokio::spawn(task.run(stopped));
        *shared.task() = Some((stop, task));
        Self(shared)
    }

    /// Takes the documents that a revision changes; `None` is one that goes. Never waits.
    ///
    /// # Errors
    /// More, longer or larger documents than a store takes; nothing is taken then.
    pub fn put(&self, revision: u64, puts: Puts) -> Result<(), StoreError> {
        check(&puts)?;
        let mut desk = self.0.desk();
        desk.check_room(&puts)?;
        for (key, value) in puts {
            match &value {
                Some(bytes) => drop(desk.known.insert(Arc::clone(&key), bytes.clone())),
                None => drop(desk.known.remove(&key)),
            }
            desk.pending.insert(key, value);
        }
        // Names that come and go while the store is away are bounded too: then it gets everything.
        if desk.pending.len() > DOCUMENTS_MAX {
            desk.pending.clear();
            desk.is_whole = true;
        }
        desk.revision = desk.revision.max(revision);
        desk.given += 1;
        desk.since.get_or_insert_with(Instant::now);
        drop(desk);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Whether documents would be taken now.
    ///
    /// # Errors
    /// As [`Persister::put`].
    pub fn check(&self, puts: &Puts) -> Result<(), StoreError> {
        check(puts)?;
        self.0.desk().check_room(puts)
    }

    /// Every document as it was given last, whether or not the store has it.
    pub fn known(&self) -> Saved {
        let desk = self.0.desk();
        Saved {
            revision: desk.revision,
            fence: desk.fence,
            writes: desk.writes,
            format: FORMAT,
            documents: desk.known.clone(),
        }
    }

    /// Another process has saved a revision, as the one who only looks has seen.
    pub fn note_saved(&self, revision: u64) {
        let mut desk = self.0.desk();
        (desk.revision, desk.stored.revision) = (revision, revision);
        drop(desk);
        self.0.durable.send_replace(revision);
        self.0.changed.notify_one();
    }

    /// Commits under this fence from now on, which a lease has given.
    pub fn set_fence(&self, fence: u64) {
        self.0.desk().fence = fence;
        self.0.changed.notify_one();
    }

    /// Waits until a revision outlives the process.
    ///
    /// # Errors
    /// It does not within `limit`.
    pub async fn durable(&self, revision: u64, limit: Duration) -> Result<(), NotDurable> {
        let mut durable = self.0.durable.subscribe();
        match timeout(limit, durable.wait_for(|durable| *durable >= revision)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(NotDurable {
                revision,
                durable_revision: *self.0.durable.borrow(),
            }),
        }
    }

    /// Waits until everything that was given so far outlives the process, whatever its revision; false where it does not within `limit`.
    pub async fn settled(&self, limit: Duration) -> bool {
        let given = self.0.desk().given;
        let mut settled = self.0.settled.subscribe();
        let waiting = settled.wait_for(|settled| *settled >= given);
        matches!(timeout(limit, waiting).await, Ok(Ok(_)))
    }

    /// Where saving stands, from change to change.
    pub fn status(&self) -> watch::Receiver<PersistStatus> {
        self.0.status.subscribe()
    }

    /// What was done since the start.
    pub fn counters(&self) -> PersistCounters {
        self.0.desk().counters
    }

    /// Saves what is left and lets go of the store.
    ///
    /// # Errors
    /// Not all could be saved within `limit`.
    pub async fn shut_down(&self, limit: Duration) -> Result<(), NotDurable> {
        let revision = self.0.desk().revision;
        let result = match self.settled(limit).await {
            true => Ok(()),
            false => Err(NotDurable {
                revision,
                durable_revision: *self.0.durable.borrow(),
            }),
        };
        let task = self.0.task().take();
        if let Some((stop, mut task)) = task {
            let _task_may_be_over = stop.send(());
            match timeout(Duration::from_secs(1), &mut task).await {
                Ok(Ok(store)) => {
                    let _closed = timeout(Duration::from_secs(1), store.close()).await;
                }
                _ => task.abort(),
            }
        }
        result
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self) -> MutexGuard<'_, Option<(oneshot::Sender<()>, JoinHandle<Store>)>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells where it stands. The reason stays until something goes well.
    fn tell(&self, options: &PersistOptions, news: Option<Result<(), &StoreError>>) {
        let desk = self.desk();
        let oldest = desk.taken.or(desk.since);
        let lag = oldest.map_or(Duration::ZERO, |since| since.elapsed());
        let (revision, pending) = (desk.revision, desk.pending.len());
        let slow_at = desk.slow_at;
        drop(desk);
        // One that is slow now and then is not told as well in between.
        let is_slow = slow_at.is_some_and(|at| at.elapsed() < options.slow_told);
        let durable_revision = *self.durable.borrow();
        self.status.send_if_modified(|status| {
            let mut next = PersistStatus {
                revision,
                durable_revision,
                lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
                pending,
                ..status.clone()
            };
            match news {
                Some(Ok(())) => (next.state, next.reason) = (PersistState::Ok, None),
                Some(Err(error)) => {
                    next.state = if error.is_away() {
                        PersistState::Down
                    } else {
                        PersistState::Degraded
                    };
                    next.reason = Some(error.to_string());
                }
                None => {}
            }
            if next.state == PersistState::Ok && (is_slow || lag > options.lag_max) {
                next.state = PersistState::Degraded;
                next.reason = Some("the store is slow".to_owned());
            }
            if next.state != status.state {
                log(&next);
            }
            let is_changed = next != *status;
            *status = next;
            is_changed
        });
    }
}

fn log(status: &PersistStatus) {
    let reason = status.reason.as_deref().unwrap_or_default();
    let (engine, revision) = (status.engine, status.durable_revision);
    match status.state {
        PersistState::Ok => tracing::info!(engine, revision, "changes are saved again"),
        state => tracing::warn!(
            engine,
            revision,
            ?state,
            "changes are kept in memory: {reason}"
        ),
    }
}

struct Task {
    shared: Arc<Shared>,
    store: Store,
    options: PersistOptions,
    failures: u32,
}

impl Task {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) -> Store {
        loop {
            let pause = tokio::select! {
                biased;
                _ = &mut stopped => return self.store,
                pause = self.turn() => pause,
            };
            tokio::select! {
                biased;
                _ = &mut stopped => return self.store,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits for something to do, does it, and says how long to pause.
    async fn turn(&mut self) -> Duration {
        let Some((batch, given)) = self.shared.desk().take() else {
            let changed = self.shared.changed.notified();
            if timeout(self.options.look, changed).await.is_err() {
                self.look().await;
            }
            return Duration::ZERO;
        };
        let begun = Instant::now();
        let (was_whole, made) = (batch.after.is_none(), batch.makes());
        let revision = made.revision;
        let kept = batch.puts.clone();
        let bytes: usize = kept.values().flatten().map(Bytes::len).sum();
        let result = self.watched(self.store.commit(batch)).await;
        match result {
            Ok(()) => {
                // One that was away and comes back meanwhile is not slow.
                let was_away = std::mem::take(&mut self.failures) > 0;
                let is_slow = !was_away && begun.elapsed() > self.options.lag_max;
                self.shared.desk().done(made, bytes, is_slow);
                self.shared.durable.send_if_modified(|durable| {
                    let is_further = revision > *durable;
                    *durable = revision.max(*durable);
                    is_further
                });
                self.shared.settled.send_replace(given);
                self.shared.tell(&self.options, Some(Ok(())));
                self.options.pause.saturating_sub(begun.elapsed())
            }
            Err(StoreError::Diverged {
                found, expected, ..
            }) if !was_whole => {
                tracing::warn!(
                    %found,
                    %expected,
                    "the store holds something else; everything is written anew"
                );
                self.shared.desk().keep(kept, true);
                Duration::ZERO
            }
            Err(error) => {
                self.shared.desk().keep(kept, was_whole);
                self.shared.tell(&self.options, Some(Err(&error)));
                self.failures = self.failures.saturating_add(1);
                self.retry_pause()
            }
        }
    }

    /// The store's answer; where it takes long, the status says so meanwhile.
    async fn watched<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        loop {
            match timeout(self.options.lag_max / 2, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => self.shared.tell(&self.options, None),
            }
        }
    }

    /// Asks the store how it is, and sees whether it lost something.
    async fn look(&mut self) {
        let result = self.watched(self.store.health()).await;
        match result {
            Ok(standing) => {
                let mut desk = self.shared.desk();
                // Commits of the same revision are told apart too: what stands beside the show has none of its own.
                let is_lost = standing != desk.stored && desk.pending.is_empty();
                if is_lost && !desk.is_watching {
                    tracing::warn!(
                        found = %standing,
                        expected = %desk.stored,
                        "the store has lost what it was given; everything is written anew"
                    );
                    desk.is_whole = true;
                    desk.since.get_or_insert_with(Instant::now);
                }
                drop(desk);
                self.failures = 0;
                self.shared.tell(&self.options, Some(Ok(())));
            }
            Err(error) => self.shared.tell(&self.options, Some(Err(&error))),
        }
    }

    fn retry_pause(&self) -> Duration {
        let doubled = self.options.retry_first * 2u32.pow(self.failures.saturating_sub(1).min(10));
        jittered(doubled.min(self.options.retry_max))
    }
}

/// Somewhere between half of a pause and all of it, so that many who wait do not come at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + chance / 2.0)
}

impl Desk {
    /// Holds the number of documents to its bound.
    fn check_room(&self, puts: &Puts) -> Result<(), StoreError> {
        let added = puts
            .iter()
            .filter(|(key, value)| value.is_some() && !self.known.contains_key(*key));
        if self.known.len() + added.count() > DOCUMENTS_MAX {
            return Err(StoreError::TooMuch {
                what: format!("more than {DOCUMENTS_MAX} documents"),
            });
        }
        Ok(())
    }

    /// What is to be committed next: everything that waits, which makes a whole revision. And how many puts it has, with those before.
    fn take(&mut self) -> Option<(Batch, u64)> {
        let is_idle = self.pending.is_empty() && !self.is_whole && self.since.is_none();
        if is_idle || self.is_watching {
            return None;
        }
        let pending = std::mem::take(&mut self.pending);
        let (after, puts) = if self.is_whole {
            let all = self.known.iter();
            let all = all.map(|(key, bytes)| (Arc::clone(key), Some(bytes.clone())));
            (None, all.collect())
        } else {
            (Some(self.stored), pending)
        };
        self.is_whole = false;
        self.taken = self.since.take();
        self.writes += 1;
        let batch = Batch {
            after,
            revision: self.revision,
            fence: self.fence,
            writes: self.writes,
            puts,
        };
        Some((batch, self.given))
    }

    /// A batch was committed.
    fn done(&mut self, made: Standing, bytes: usize, is_slow: bool) {
        self.stored = made;
        let waited = self.taken.take().map_or(Duration::ZERO, |at| at.elapsed());
        if is_slow {
            self.slow_at = Some(Instant::now());
        }
        let counters = &mut self.counters;
        counters.commits += 1;
        counters.bytes += bytes as u64;
        counters.waited_us += u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
    }

    /// A commit failed: what it had waits on, unless it was given anew.
    fn keep(&mut self, puts: Puts, is_whole: bool) {
        self.since = self.taken.take().or(self.since);
        self.counters.failures += 1;
        for (key, value) in puts {
            self.pending.entry(key).or_insert(value);
        }
        self.is_whole |= is_whole;
    }
}
