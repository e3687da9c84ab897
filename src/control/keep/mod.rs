//! What survives the process: the show as documents in a store, from snapshot to snapshot.
//!
//! A [`Keeper`] follows the director's snapshots on a task of its own. Each is a whole revision, so what is saved is one too; those that
//! come faster than it looks are left out, the newest counts. It makes documents of what differs and hands them to the
//! [`Persister`]. The tick and the director know nothing of it, and nothing happens while nothing changes. What stands [`Beside`] the show
//! goes the same way, handed over by who keeps it. At the start [`begin`] chooses what comes on air: what was saved, or what the files say.

mod begin;
mod beside;
mod changing;
mod config;
mod documents;
mod first;
mod found;
pub mod handover;
mod open;
mod set_aside;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use systems::scene::{Motions, MotionsDoor};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::documents::Constants;
use super::error::{ApiError, ErrorCode};
use super::keys::KeyStore;
use super::library::Library;
use super::recordings;
use super::show::Snapshot;
use super::ticks::Ticks;
use crate::store::shared::{Lease, LeaseState};
use crate::store::{
    PersistCounters, PersistOptions, PersistState, PersistStatus, Persister, RedisStore, Saved,
    Store,
};

use self::open::AbortOnDrop;
pub use begin::{Begin, Origin, Resumed, ResumedTicks, begin, next_tick};
pub use beside::Beside;
pub use changing::ResumedMix;
pub use documents::note_import;
pub use first::FirstScene;
pub use found::Stand;
pub use open::{Member, Opened, instance, join, open};

/// The least time from one look at the show to the next. With [`MOTIONS_WAIT_MAX`] and the time that a commit may take before the store
/// counts as slow it makes the 250 ms within which a change is saved.
const PACE: Duration = Duration::from_millis(50);
/// How long the tick is waited for that tells what is on its way; at 30 a second the next one is at most 33 ms off.
const MOTIONS_WAIT_MAX: Duration = Duration::from_millis(50);
/// How long a change that is to be durable is waited for.
pub const DURABLE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long the end waits for what is not saved yet.
const END_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long it waits until the lease is let go.
const RELEASE_WAIT_MAX: Duration = Duration::from_millis(500);

/// How saving goes, for whoever asks. Cheap to copy.
#[derive(Clone)]
pub struct Saving(Arc<Inner>);

struct Inner {
    persister: Persister,
    status: watch::Receiver<PersistStatus>,
    /// Why the newest show is not handed to the store.
    refused: watch::Sender<Option<String>>,
    /// Who leads in the place of this program.
    lost: watch::Sender<Option<String>>,
    /// How often it was asked to look at the show, and up to which of those it has.
    asked: watch::Sender<u64>,
    looked: watch::Sender<u64>,
}

impl Saving {
    /// Where it stands.
    pub fn status(&self) -> PersistStatus {
        let mut status = self.0.status.borrow().clone();
        if let Some(reason) = &*self.0.refused.borrow() {
            status.state = PersistState::Degraded;
            status.reason = Some(reason.clone());
        }
        status
    }

    /// Waits until a revision outlives the process.
    ///
    /// # Errors
    /// It does not within [`DURABLE_WAIT_MAX`]. It is on air all the same, and saved when the store takes it.
    pub async fn durable(&self, revision: u64) -> Result<(), ApiError> {
        let result = self.0.persister.durable(revision, DURABLE_WAIT_MAX).await;
        result.map_err(|error| Self::not_saved(revision, error.durable_revision))
    }

    /// Waits until everything that is known by now outlives the process, also what has no revision of its own.
    ///
    /// # Errors
    /// As [`Saving::durable`].
    pub async fn flushed(&self, revision: u64) -> Result<(), ApiError> {
        let waiting =
            async { self.looked().await && self.0.persister.settled(DURABLE_WAIT_MAX).await };
        match timeout(DURABLE_WAIT_MAX, waiting).await {
            Ok(true) => Ok(()),
            _ => Err(Self::not_saved(revision, self.status().durable_revision)),
        }
    }

    /// Everything that is known by now, as it is saved or is going to be: a store that is away keeps nobody from having it.
    ///
    /// # Errors
    /// The newest show cannot be saved, or was not looked at within [`DURABLE_WAIT_MAX`].
    pub async fn known(&self) -> Result<Saved, ApiError> {
        let unavailable = |what: &str| ApiError::new(ErrorCode::Unavailable, what);
        match timeout(DURABLE_WAIT_MAX, self.looked()).await {
            Ok(true) => {}
            _ => return Err(unavailable("what is to be saved is not known in time")),
        }
        if let Some(reason) = &*self.0.refused.borrow() {
            let message = format!("the newest show is not among what is saved: {reason}");
            return Err(unavailable(&message));
        }
        Ok(self.0.persister.known())
    }

    /// Waits until the newest show was handed to the store; false where nobody does that any more.
    async fn looked(&self) -> bool {
        let mut asked = 0;
        self.0.asked.send_modify(|count| {
            *count += 1;
            asked = *count;
        });
        let mut looked = self.0.looked.subscribe();
        looked.wait_for(|looked| *looked >= asked).await.is_ok()
    }

    fn not_saved(revision: u64, durable_revision: u64) -> ApiError {
        let message = format!(
            "the change is made, at revision {revision}, and not saved yet; it is kept in memory until the store takes it"
        );
        ApiError::new(ErrorCode::NotSaved, message)
            .with("revision", revision)
            .with("durableRevision", durable_revision)
    }

    /// How it goes for who only looks at what another instance saves, on the runtime that this is called on.
    pub fn watching(store: Store, saved: &Saved) -> Self {
        Self::of(Persister::watch(store, saved, PersistOptions::default()))
    }

    fn of(persister: Persister) -> Self {
        Self(Arc::new(Inner {
            status: persister.status(),
            persister,
            refused: watch::Sender::new(None),
            lost: watch::Sender::new(None),
            asked: watch::Sender::new(0),
            looked: watch::Sender::new(0),
        }))
    }

    /// Lets go of the store.
    pub async fn close(&self) {
        // Nothing waits to be saved.
        let _ended = self.0.persister.shut_down(Duration::ZERO).await;
    }

    /// The other instance has saved a revision.
    pub fn note_saved(&self, revision: u64) {
        self.0.persister.note_saved(revision);
    }

    /// Waits until another program leads this stream, and gives its name.
    pub async fn lost(&self) -> String {
        let mut lost = self.0.lost.subscribe();
        match lost.wait_for(Option::is_some).await {
            Ok(leader) => leader.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// What was done since the start.
    pub fn counters(&self) -> PersistCounters {
        self.0.persister.counters()
    }

    /// Waits until it goes better or worse than `before`, and says how.
    pub async fn turned(&self, before: PersistState) -> PersistStatus {
        let (mut status, mut refused) = (self.0.status.clone(), self.0.refused.subscribe());
        loop {
            let now = self.status();
            if now.state != before {
                return now;
            }
            let goes_on = tokio::select! {
                changed = status.changed() => changed.is_ok(),
                changed = refused.changed() => changed.is_ok(),
            };
            if !goes_on {
                return std::future::pending().await;
            }
        }
    }
}

/// Saves the show as it changes.
pub struct Keeper {
    saving: Saving,
    following: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    redis: Option<RedisStore>,
    lease: Option<Lease>,
    /// What this program leads under.
    fence: u64,
    _announcing: Option<AbortOnDrop>,
    _lock: Option<File>,
}

impl Keeper {
    /// Takes the store over, on the runtime that this is called on. Nothing is saved yet.
    pub fn new(opened: Opened) -> Self {
        let Opened {
            store,
            saved,
            lease,
            lock,
            announcing,
            fence,
            ..
        } = opened;
        let redis = match &store {
            Store::Redis(redis) => Some(redis.clone()),
            Store::Embedded(_) => None,
        };
        let saving = Saving::of(Persister::start(store, &saved, PersistOptions::default()));
        if let Some(lease) = &lease {
            // At once: what stands beside the show may be put before the task begins.
            saving.0.persister.set_fence(fence);
            tokio::spawn(follow_lease(saving.clone(), lease.state(), fence));
        }
        Self {
            saving,
            following: None,
            redis,
            lease,
            fence,
            _announcing: announcing,
            _lock: lock,
        }
    }

    /// Opens what stands beside the show: stream keys and recordings. Whatever changes of them, and of the scenes of the library, is saved
    /// from here on. On the runtime that this is called on.
    ///
    /// # Errors
    /// What was taken over from an earlier release has no room in the store.
    pub fn open_beside(
        &self,
        begin: &Begin,
        library: &Library,
    ) -> anyhow::Result<(KeyStore, recordings::Store)> {
        self.open_found(begin.found(), library)
    }

    /// Saves the show from here on. It is as it is to come back by now: a program that dies before it was on air again has saved nothing
    /// that says it was stopped.
    pub fn follow(
        &mut self,
        begin: &Begin,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        ticks: Ticks,
        motions: MotionsDoor,
    ) {
        if let Some(lease) = &self.lease {
            let (ticks, snapshots) = (ticks.clone(), snapshots.clone());
            lease.tell_position(move || snapshots.borrow().rate.nanos_at(ticks.next()));
        }
        let follower = Follower {
            saving: self.saving.clone(),
            constants: begin.constants().clone(),
            snapshots,
            ticks,
            motions,
            before: None,
            motions_before: None,
            is_behind: false,
            old_files: begin.old_files(),
        };
        let (stop, stopped) = oneshot::channel();
        self.following = Some((stop, tokio::spawn(follower.run(stopped))));
    }

    /// How saving goes.
    pub fn saving(&self) -> &Saving {
        &self.saving
    }

    /// The store that other programs share, with the fence that this one leads under.
    pub fn shared(&self) -> Option<(RedisStore, u64)> {
        Some((self.redis.clone()?, self.fence))
    }

    /// Takes the newest show as the last one; what happens from here on is not saved.
    pub async fn stop(self) -> Stopped {
        if let Some((stop, task)) = self.following {
            let _task_may_be_over = stop.send(());
            let _ended = task.await;
        }
        Stopped {
            saving: self.saving,
            lease: self.lease,
            _lock: self._lock,
        }
    }
}

/// What is left to do once nothing more is taken.
pub struct Stopped {
    saving: Saving,
    lease: Option<Lease>,
    _lock: Option<File>,
}

impl Stopped {
    /// Waits until what is known by now is saved.
    pub async fn settle(&self) {
        let _told_by_save = self.saving.0.persister.settled(END_WAIT_MAX).await;
    }

    /// Saves what is left, and closes the store.
    pub async fn save(&self) {
        if let Err(error) = self.saving.0.persister.shut_down(END_WAIT_MAX).await {
            tracing::error!(%error, "the last changes are not saved");
        }
    }

    /// Lets the lease go, once nothing is sent to anybody any more.
    pub async fn let_go(self) {
        if let Some(lease) = self.lease
            && timeout(RELEASE_WAIT_MAX, lease.release()).await.is_err()
        {
            tracing::warn!("the lease was not let go; it runs out by itself");
        }
    }
}

struct Follower {
    saving: Saving,
    constants: Constants,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    ticks: Ticks,
    motions: MotionsDoor,
    before: Option<Arc<Snapshot>>,
    motions_before: Option<Arc<Motions>>,
    /// Whether what is on its way was not told in time.
    is_behind: bool,
    /// Files that are put aside once the store has what they held.
    old_files: Vec<PathBuf>,
}

impl Follower {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut asked = self.saving.0.asked.subscribe();
        loop {
            let now = *asked.borrow_and_update();
            self.take().await;
            self.saving.0.looked.send_replace(now);
            let is_behind = self.is_behind;
            let next = async {
                sleep(PACE).await;
                if is_behind {
                    return true;
                }
                tokio::select! {
                    changed = self.snapshots.changed() => changed.is_ok(),
                    changed = asked.changed() => changed.is_ok(),
                }
            };
            let goes_on = tokio::select! {
                biased;
                _ = &mut stopped => false,
                goes_on = next => goes_on,
            };
            if !goes_on {
                return self.take().await;
            }
        }
    }

    /// Hands what differs to the store.
    async fn take(&mut self) {
        let told = self.ask_motions().await;
        let now = Arc::clone(&self.snapshots.borrow_and_update());
        // What has begun since belongs to the next one.
        let motions = told.map(|motions| Arc::new(motions.until(now.tick)));
        let motions = motions.or_else(|| self.motions_before.clone());
        let new_motions = motions
            .clone()
            .filter(|motions| self.motions_before.as_ref() != Some(motions));
        let (before, epoch) = (self.before.clone(), self.ticks.epoch());
        let (constants, snapshot) = (self.constants.clone(), Arc::clone(&now));
        // A large scene takes a while to be written as JSON.
        let writing = tokio::task::spawn_blocking(move || {
            let mut puts = documents::puts(before.as_deref(), &snapshot, epoch, &constants)?;
            if let Some(motions) = new_motions {
                documents::put_motions(&mut puts, &motions)?;
            }
            Ok::<_, serde_json::Error>(puts)
        });
        let result = match writing.await {
            Ok(Ok(puts)) => {
                let put = self.saving.0.persister.put(now.show.revision, puts);
                put.map_err(|error| error.to_string())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the show could not be written".to_owned()),
        };
        let reason = result.err();
        match &reason {
            // What was not taken is looked at again as a whole.
            Some(reason) => {
                tracing::error!(
                    revision = now.show.revision,
                    "the show is not saved: {reason}"
                );
                (self.before, self.motions_before) = (None, None);
            }
            None => {
                (self.before, self.motions_before) = (Some(now), motions);
                if !self.old_files.is_empty() {
                    let files = std::mem::take(&mut self.old_files);
                    tokio::spawn(retire(self.saving.clone(), files));
                }
            }
        }
        self.saving.0.refused.send_if_modified(|refused| {
            let is_changed = *refused != reason;
            *refused = reason;
            is_changed
        });
    }
}

impl Follower {
    /// What is on its way after the next tick, where a change may have set something on its way.
    async fn ask_motions(&mut self) -> Option<Motions> {
        let now = Arc::clone(&self.snapshots.borrow());
        let may_differ = self.before.as_ref().is_none_or(|before| {
            !Arc::ptr_eq(&before.show.program.spec, &now.show.program.spec)
                || !Arc::ptr_eq(&before.timelines, &now.timelines)
        });
        if !may_differ && !self.is_behind {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let is_asked = self.motions.ask(move |motions| {
            let _nobody_waits_any_more = tell.send(motions);
        });
        let told = match is_asked {
            true => timeout(MOTIONS_WAIT_MAX, told).await.ok(),
            false => None,
        };
        let told = told.and_then(Result::ok);
        self.is_behind = told.is_none();
        told
    }
}

/// Commits under the fence of the lease, and says when somebody else has it.
async fn follow_lease(saving: Saving, mut state: watch::Receiver<LeaseState>, own: u64) {
    loop {
        match &*state.borrow_and_update() {
            LeaseState::Held { fence } | LeaseState::Unconfirmed { fence, .. } if *fence == own => {
                saving.0.persister.set_fence(own);
            }
            // It was free in between: others may have led, and what this program knows may be old.
            LeaseState::Held { .. } | LeaseState::Unconfirmed { .. } => {
                let leader = "another instance, for a while,".to_owned();
                saving.0.lost.send_replace(Some(leader));
            }
            LeaseState::Standby { leader } => {
                saving.0.lost.send_replace(Some(leader.clone()));
            }
            LeaseState::Seeking { .. } => {}
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Once the store has what files held, they are put aside, so that there is one truth.
async fn retire(saving: Saving, files: Vec<PathBuf>) {
    while !saving.0.persister.settled(DURABLE_WAIT_MAX).await {}
    for path in files {
        let aside = aside(&path);
        match std::fs::rename(&path, &aside) {
            Ok(()) => tracing::info!(
                file = %path.display(), aside = %aside.display(),
                "what this file held is in the saved state now; it was put aside"
            ),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a file that is not read any more cannot be put aside")
            }
        }
    }
}

/// Where a file of an earlier release lies once it was taken over.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".imported");
    PathBuf::from(name)
}
